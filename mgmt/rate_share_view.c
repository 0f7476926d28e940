/* Two things come of the keys behind PREFIXlimits: what each limit's document says, and whose keys are there.  Who has an entry in a document
 * and no key is gone. */
#include "mgmt/rate_share_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define VIEW_AGAIN_NS 1000000000ull
#define SESSIONS 4096 /* that are known of; nothing is taken from any while there are more */

struct sl_share_session { /* of which a document has an entry */
	struct sl_share_peer is;
	bool live, floor, named; /* named: in a document */
};

static struct sl_share_session *
session_at(struct sl_share_view *v, uint64_t id)
{
	for (unsigned i = 0; i < v->session_cnt; i++)
		if (v->sessions[i].is.session == id)
			return &v->sessions[i];
	if (v->session_cnt == SESSIONS) {
		v->crowded = true;
		v->seen_ns = 0;
		return NULL;
	}
	struct sl_share_session *more = realloc(v->sessions, (v->session_cnt + 1) * sizeof(*more));
	if (more)
		v->sessions = more;
	struct sl_share_peer *peers = realloc(v->peers, (v->session_cnt + 1) * sizeof(*peers));
	if (peers)
		v->peers = peers;
	if (!more || !peers)
		return NULL;
	more[v->session_cnt] = (struct sl_share_session){
		.is = {.session = id, .gone_ns = SL_SHARE_NEVER, .floor_gone_ns = SL_SHARE_NEVER}};
	peers[v->session_cnt] = more[v->session_cnt].is;
	return &more[v->session_cnt++];
}

static void
on_begin(void *ctx)
{
	struct sl_rate_shares *s = ctx;
	struct sl_share_view *v = &s->view;

	v->whole = true;
	v->crowded = false;
	for (unsigned i = 0; i < v->session_cnt; i++)
		v->sessions[i].live = v->sessions[i].floor = false;
	for (unsigned i = 0; i < s->cnt; i++)
		s->limits[i]->seen = false;
}

/* Of a key behind PREFIXlimits: "-live/SESSION", "-floor/SESSION"; 0: another one. */
static uint64_t
session_of(const char *key, const char *kind)
{
	size_t len = strlen(kind);
	char *end;

	if (strncmp(key, kind, len) || strlen(key + len) != 16)
		return 0;
	uint64_t id = strtoull(key + len, &end, 16);
	return *end ? 0 : id;
}

static void
note(struct sl_share_view *v, const char *key, bool there)
{
	uint64_t live = session_of(key, "-live/"), floor = session_of(key, "-floor/");
	struct sl_share_session *of = live || floor ? session_at(v, live ? live : floor) : NULL;

	if (of && live)
		of->live = there;
	else if (of)
		of->floor = there;
	/* from now on, also when it is gone again by the end */
	if (of && there && live)
		of->is.gone_ns = SL_SHARE_NEVER;
	else if (of && there)
		of->is.floor_gone_ns = SL_SHARE_NEVER;
}

/* An entry of this session in a document of a limit that the table does not have is to go. */
static struct sl_share_limit *
stray(struct sl_rate_shares *s, const char *name, const struct sl_etcd_kv *kv)
{
	struct sl_share_doc doc;
	char why[200], is[SL_NAME_MAX];

	if (!s->placed || sl_share_doc_read(kv->value, kv->value_len, &doc, why, sizeof(why)) ||
	    !sl_share_doc_find(&doc, s->session) || strlen(name) >= SL_NAME_MAX)
		return NULL;
	memset(is, 0, sizeof(is));
	memcpy(is, name, strlen(name));
	struct sl_share_limit *l = sl_name_ok(is) ? sl_rate_shares_add(s, is) : NULL;
	if (l)
		l->plan.leaving = true;
	return l;
}

static void
on_put(void *ctx, const struct sl_etcd_kv *kv)
{
	struct sl_rate_shares *s = ctx;

	note(&s->view, kv->key, true);
	if (kv->key[0] != '/')
		return;
	struct sl_share_limit *l = sl_rate_shares_find(s, kv->key + 1);
	if (!l && !(l = stray(s, kv->key + 1, kv)))
		return;
	l->seen = true;
	sl_share_limit_learn(l, kv->value, kv->value_len, kv->modified);
}

static void
on_gone(void *ctx, const char *key)
{
	struct sl_rate_shares *s = ctx;
	struct sl_share_limit *l = key[0] == '/' ? sl_rate_shares_find(s, key + 1) : NULL;

	note(&s->view, key, false);
	if (l)
		l->look = true;
}

/* Those that are nowhere any more. */
static void
forget_sessions(struct sl_share_view *v)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < v->session_cnt; i++)
		if (v->sessions[i].live || v->sessions[i].floor || v->sessions[i].named)
			v->sessions[kept++] = v->sessions[i];
	v->session_cnt = kept;
}

void
sl_share_view_look(struct sl_rate_shares *s, bool anew)
{
	struct sl_share_view *v = &s->view;
	uint64_t now_ns = uv_hrtime();

	for (unsigned i = 0; i < v->session_cnt; i++)
		v->sessions[i].named = false;
	for (unsigned i = 0; i < s->cnt; i++)
		for (unsigned k = 0; k < s->limits[i]->plan.doc.cnt; k++) {
			struct sl_share_session *of =
				session_at(v, s->limits[i]->plan.doc.e[k].session);
			if (of)
				of->named = true;
		}
	if (anew)
		forget_sessions(v);
	for (unsigned i = 0; i < v->session_cnt; i++) {
		struct sl_share_session *of = &v->sessions[i];
		sl_share_peer_look(&of->is, of->live, of->floor, anew, now_ns);
		v->peers[i] = of->is;
		if (of->is.session == s->session && !of->live)
			sl_share_keys_doubt(s->keys);
	}
}

/* An answer of etcd says that all is known: as of when it was asked. */
static void
seen(struct sl_rate_shares *s)
{
	uint64_t now_ns = uv_hrtime(), ago_ns = s->source->timeout_ms * 1000000ull;

	if (!s->view.crowded)
		s->view.seen_ns = now_ns > ago_ns ? now_ns - ago_ns : 0;
}

static void
on_end(void *ctx)
{
	struct sl_rate_shares *s = ctx;
	struct sl_share_view *v = &s->view;

	v->trouble = false;
	for (unsigned i = 0; i < s->cnt && v->whole; i++)
		if (!s->limits[i]->seen)
			s->limits[i]->look = true;
	if (v->whole)
		seen(s);
	sl_share_view_look(s, v->whole);
	v->whole = false;
	sl_rate_shares_tick(s);
}

static void
on_confirm(void *ctx)
{
	struct sl_rate_shares *s = ctx;

	s->view.trouble = false;
	seen(s);
}

static void
on_trouble(void *ctx, const char *why)
{
	(void)why; /* the keys have the same, and say it */
	((struct sl_rate_shares *)ctx)->view.trouble = true;
}

static void
on_view_says(void *ctx, const char *line)
{
	(void)ctx;
	sl_daemon_say("limits: %s", line);
}

/* A view that went wrong waits longer and longer; as soon as the keys get on, it is made anew. */
void
sl_share_view_keep(struct sl_rate_shares *s, uint64_t now_ns)
{
	struct sl_share_view *v = &s->view;
	const struct sl_etcd_view_events ev = {on_begin,   on_put,     on_gone,      on_end,
					       on_confirm, on_trouble, on_view_says, s};
	bool good = !sl_share_keys_look(s->keys).trouble[0];
	char prefix[SL_ETCD_KEY_MAX];

	if (v->etcd && !(v->trouble && good && now_ns >= v->made_ns + VIEW_AGAIN_NS))
		return;
	sl_etcd_view_destroy(v->etcd);
	v->etcd = NULL;
	v->made_ns = now_ns;
	v->trouble = false;
	snprintf(prefix, sizeof(prefix), "%slimits", s->source->prefix);
	if (sl_etcd_view_create(s->d->loop, s->etcd, prefix, s->source->timeout_ms, s->seed, &ev,
				&v->etcd))
		v->etcd = NULL;
}

void
sl_share_view_drop(struct sl_rate_shares *s)
{
	sl_etcd_view_destroy(s->view.etcd);
	s->view.etcd = NULL;
}

void
sl_share_view_renew(struct sl_rate_shares *s)
{
	s->view.trouble = true;
	s->view.made_ns = 0;
}

void
sl_share_view_fini(struct sl_rate_shares *s)
{
	free(s->view.sessions);
	free(s->view.peers);
}

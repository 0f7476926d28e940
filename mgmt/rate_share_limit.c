/* One question about a limit is under way at a time: its document is read, or written by compare-and-swap, and each answer is followed by a
 * tick. */
#include "mgmt/rate_share_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_NS 500000000ull
#define GIVE_UP_NS 2000000000ull
#define ATTACH_NS 2000000000ull
#define LOST_MS 5 /* the pause after a write that another was before; doubled with each in a row */
#define LOST_MOST_MS 500

void
sl_share_limit_learn(struct sl_share_limit *l, const void *text, size_t len, uint64_t modified)
{
	struct sl_share_here here = sl_rate_shares_here(l->s);
	struct sl_share_doc doc;
	char why[200] = "", trouble[sizeof(l->trouble)] = "";

	if (modified && (modified < l->plan.modified || modified <= l->plan.removed))
		return;
	bool bad = modified && sl_share_doc_read(text, len, &doc, why, sizeof(why));
	if (bad)
		snprintf(trouble, sizeof(trouble), "%slimits/%s %s", l->s->source->prefix, l->name,
			 why);
	if (bad && strcmp(trouble, l->trouble))
		sl_daemon_say("limits: %s: what was this gateway's before stays its share; "
			      "remove the key to begin anew",
			      trouble);
	memcpy(l->trouble, trouble, sizeof(l->trouble));
	if (sl_share_plan_learn(&l->plan, &here, bad || !modified ? NULL : &doc, modified))
		sl_daemon_say("limits: %slimits/%s is not as this gateway left it: it takes "
			      "nothing more for %llu s",
			      l->s->source->prefix, l->name,
			      (unsigned long long)((l->plan.rise_ns - here.now_ns) / 1000000000) +
				      1);
}

/* splitmix64 */
static uint64_t
random_of(struct sl_rate_shares *s, uint64_t below)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

/* Gateways that want to write the same document do so one after the other, by chance. */
static void
stand_back(struct sl_share_limit *l)
{
	uint64_t ms = SL_MIN((uint64_t)LOST_MS << SL_MIN(l->refusals, 10u), (uint64_t)LOST_MOST_MS);

	l->refusals++;
	l->hold_ns = uv_hrtime() + (ms + random_of(l->s, ms)) / 2 * 1000000;
}

static void
refused(struct sl_share_limit *l, const struct sl_etcd_answer *a)
{
	bool same = (a->cnt ? a->kvs[0].modified : 0) == l->plan.next_modified;

	stand_back(l);
	sl_share_plan_refused(&l->plan);
	if (a->cnt && a->kvs[0].modified < l->plan.next_modified)
		sl_share_keys_older(l->s->keys); /* than what was seen before it was asked */
	for (size_t i = 0; i < a->cnt; i++)
		sl_share_limit_learn(l, a->kvs[i].value, a->kvs[i].value_len, a->kvs[i].modified);
	if (a->cnt == 0)
		sl_share_limit_learn(l, NULL, 0, 0);
	if (same) /* its own key, or one of those that were gone */
		sl_share_keys_doubt(l->s->keys);
}

static void
on_written(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_share_limit *l = ctx;
	struct sl_share_here here = sl_rate_shares_here(l->s);
	struct sl_etcd_answer a = {0};
	bool applied = false;
	char why[200];

	l->call = NULL;
	l->hold_ns = uv_hrtime() + AGAIN_NS;
	if (code != SL_ETCD_OK) {
		sl_share_plan_lost(&l->plan);
		snprintf(l->trouble, sizeof(l->trouble), "%s", error);
	} else if (sl_etcd_wire_txn(body, len, "", &applied, &a, why, sizeof(why))) {
		sl_share_plan_lost(&l->plan);
		snprintf(l->trouble, sizeof(l->trouble), "an answer of etcd %s", why);
	} else if (!sl_share_keys_heard(l->s->keys, l->asked, &a)) {
		sl_share_plan_lost(&l->plan);
	} else {
		l->hold_ns = 0;
		l->trouble[0] = 0;
		if (applied) {
			l->refusals = 0;
			sl_share_plan_applied(&l->plan, &here, a.revision);
		} else {
			refused(l, &a);
		}
	}
	sl_etcd_wire_fini(&a);
	sl_rate_shares_tick(l->s);
}

static void
on_read(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_share_limit *l = ctx;
	struct sl_etcd_answer a = {0};
	char why[200];

	l->call = NULL;
	l->hold_ns = uv_hrtime() + AGAIN_NS;
	if (code != SL_ETCD_OK) {
		snprintf(l->trouble, sizeof(l->trouble), "%s", error);
	} else if (sl_etcd_wire_range(body, len, "", &a, why, sizeof(why))) {
		snprintf(l->trouble, sizeof(l->trouble), "an answer of etcd %s", why);
	} else if (sl_share_keys_heard(l->s->keys, l->asked, &a)) {
		l->hold_ns = 0;
		l->look = false;
		if (a.cnt)
			sl_share_limit_learn(l, a.kvs[0].value, a.kvs[0].value_len,
					     a.kvs[0].modified);
		else
			sl_share_limit_learn(l, NULL, 0, 0);
		sl_share_view_look(l->s, false);
	}
	sl_etcd_wire_fini(&a);
	sl_rate_shares_tick(l->s);
}

static void
read_in(struct sl_share_limit *l, uint64_t now_ns)
{
	char key[SL_ETCD_KEY_MAX];

	snprintf(key, sizeof(key), "%slimits/%s", l->s->source->prefix, l->name);
	const struct sl_etcd_ask ask = {.from = key, .from_len = strlen(key)};
	l->call_ns = now_ns;
	l->asked = sl_share_keys_asked(l->s->keys);
	if (sl_etcd_ask(l->s->etcd, "/v3/kv/range", sl_etcd_wire_ask_range(&ask), on_read, l,
			&l->call)) {
		l->call = NULL;
		l->hold_ns = now_ns + AGAIN_NS;
	}
}

static char *
text_of(const struct sl_share_limit *l, const struct sl_share_write *w)
{
	static char keys[2 * SL_SHARE_GATEWAYS + 2][SL_ETCD_KEY_MAX];
	struct sl_etcd_compare is[SL_ARRAY_CNT(keys)];
	const struct sl_share_keys *k = l->s->keys;
	unsigned n = 2;

	snprintf(keys[0], SL_ETCD_KEY_MAX, "%slimits/%s", l->s->source->prefix, l->name);
	is[0] = (struct sl_etcd_compare){.key = keys[0], .number = w->modified};
	sl_share_keys_live(k, l->s->session, keys[1]);
	is[1] = (struct sl_etcd_compare){
		.key = keys[1], .by = SL_ETCD_LEASE, .number = sl_share_keys_look(k).lease};
	for (unsigned i = 0; i < w->absent_cnt; i++, n++) {
		sl_share_keys_live(k, w->absent[i], keys[n]);
		is[n] = (struct sl_etcd_compare){.key = keys[n]};
	}
	for (unsigned i = 0; i < w->floor_cnt; i++, n++) {
		sl_share_keys_floor(k, w->floors[i], keys[n]);
		is[n] = (struct sl_etcd_compare){.key = keys[n]};
	}
	char *value = w->doc->cnt ? sl_share_doc_write(w->doc) : NULL;
	char *text = !value && w->doc->cnt ? NULL
					   : sl_etcd_wire_ask_if(is, n, keys[0], value,
								 value ? strlen(value) : 0, 0);
	free(value);
	return text;
}

static void
write_out(struct sl_share_limit *l, const struct sl_share_write *w, uint64_t now_ns)
{
	l->call_ns = now_ns;
	l->asked = sl_share_keys_asked(l->s->keys);
	if (sl_etcd_ask(l->s->etcd, "/v3/kv/txn", text_of(l, w), on_written, l, &l->call)) {
		l->call = NULL;
		l->hold_ns = now_ns + AGAIN_NS;
		sl_share_plan_lost(&l->plan);
	}
}

void
sl_share_limit_lead(struct sl_share_limit *l, uint64_t now_ns, bool may_ask)
{
	struct sl_share_here here = sl_rate_shares_here(l->s);
	struct sl_share_write w;

	if (l->placed)
		sl_share_demand_measure(l, now_ns);
	if (l->call && now_ns >= l->call_ns + GIVE_UP_NS) {
		sl_etcd_cancel(l->call);
		l->call = NULL;
		if (l->plan.asking)
			sl_share_plan_lost(&l->plan);
		l->hold_ns = now_ns + AGAIN_NS;
	}
	if (l->look && !l->call && now_ns >= l->hold_ns && here.epoch && may_ask)
		read_in(l, now_ns);
	/* who was here before told workers something: it is taken up before anything is written */
	bool early = l->s->words.boot_id == 0 && now_ns < l->s->start_ns + ATTACH_NS;
	if (l->call || l->look || early || now_ns < l->hold_ns || !may_ask)
		here.epoch = 0; /* nothing is written, but words may have to come down */
	if (sl_share_plan_step(&l->plan, &here, &w))
		write_out(l, &w, now_ns);
}

bool
sl_share_limit_left(const struct sl_share_limit *l)
{
	const struct sl_share_plan *p = &l->plan;

	for (unsigned i = 0; i < p->doc.cnt; i++)
		if (p->doc.e[i].session == l->s->session)
			return false;
	return p->leaving && p->known && p->readable && !l->call && uv_hrtime() >= p->rise_ns;
}

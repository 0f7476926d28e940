/* A tick, at least every 100 ms and after each answer:
 *   keys (rate_share_keys.h) ──▶ each limit's plan (rate_share_plan.h) ──▶ its write, if there is one ──▶ words ──▶ until when they count */
#include "mgmt/rate_share_priv.h"

#include "mgmt/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define TICK_MS 100
#define UNDER_WAY 8 /* questions about limits at a time */

/* ---- limits ---- */

struct sl_share_limit *
sl_rate_shares_find(const struct sl_rate_shares *s, const char *name)
{
	for (unsigned i = 0; i < s->cnt; i++)
		if (strcmp(s->limits[i]->name, name) == 0)
			return s->limits[i];
	return NULL;
}

struct sl_share_limit *
sl_rate_shares_add(struct sl_rate_shares *s, const char *name)
{
	struct sl_share_limit **more = realloc(s->limits, (s->cnt + 1) * sizeof(*more));
	struct sl_share_limit *l = more ? calloc(1, sizeof(*l)) : NULL;

	if (more)
		s->limits = more;
	if (!l)
		return NULL;
	l->s = s;
	snprintf(l->name, sizeof(l->name), "%s", name);
	sl_share_plan_init(&l->plan);
	l->look = true;
	s->limits[s->cnt++] = l;
	return l;
}

static void
drop(struct sl_rate_shares *s, unsigned i)
{
	sl_etcd_cancel(s->limits[i]->call);
	free(s->limits[i]);
	s->limits[i] = s->limits[--s->cnt];
}

struct sl_share_here
sl_rate_shares_here(const struct sl_rate_shares *s)
{
	uint64_t now_ns = uv_hrtime();

	return (struct sl_share_here){
		.now_ns = now_ns,
		.session = s->session,
		.gateway = s->gateway,
		.epoch = sl_share_keys_look(s->keys).epoch,
		.sure_ns = sl_share_keys_look(s->keys).sure_ns,
		.frozen = sl_share_frozen(s->words.seg, s->words.boot_id, now_ns, s->start_ns,
					  s->words.until_ns),
		.peers = s->view.peers,
		.peer_cnt = s->view.session_cnt,
		.seen_ns = s->view.seen_ns,
	};
}

/* Whoever knows a later state of etcd has it no longer than that. */
static void
quiet(struct sl_rate_shares *s, uint64_t now_ns)
{
	s->quiet_ns = now_ns + SL_SHARE_COUNTS_NS;
	for (unsigned i = 0; i < s->cnt; i++)
		sl_share_plan_quiet(&s->limits[i]->plan, s->quiet_ns);
}

static void
note_epoch(struct sl_rate_shares *s, uint64_t now_ns)
{
	uint64_t epoch = sl_share_keys_look(s->keys).epoch;

	if (epoch && !s->epoch) /* the first answers */
		quiet(s, now_ns);
	s->epoch = epoch ? epoch : s->epoch;
}

void
sl_rate_shares_attach(struct sl_rate_shares *s, struct sl_state_seg *seg, uint64_t boot_id)
{
	if (!s)
		return;
	sl_share_words_attach(s, seg, boot_id);
	if (seg)
		sl_rate_shares_tick(s);
}

/* ---- the table ---- */

static void
take_rate(struct sl_rate_shares *s, const struct sl_table *t, const struct sl_conf_rate *r)
{
	struct sl_placed at;
	struct sl_share_limit *l = sl_rate_shares_find(s, r->name);

	if (sl_slot_find_rate(&t->map, r->name, &at) || at.slot >= SL_STATE_SHARES)
		return;
	if (!l && !(l = sl_rate_shares_add(s, r->name))) {
		sl_daemon_say("limits: out of memory: nothing of %s passes here", r->name);
		return;
	}
	bool moved = memcmp(&l->at, &at, sizeof(at)) != 0, before = l->at.incarnation != 0;
	if (moved)
		sl_share_demand_forget(&l->demand);
	l->at = at;
	l->placed = true;
	sl_share_plan_table(&l->plan, r->requests, r->floor, r->per_ms);
	if (uv_hrtime() < s->quiet_ns)
		sl_share_plan_quiet(&l->plan, s->quiet_ns);
	if (moved && before) /* it was gone: workers have forgotten what it let pass */
		sl_share_plan_restarted(&l->plan, uv_hrtime());
}

void
sl_rate_shares_table(struct sl_rate_shares *s, const struct sl_table *t)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->cnt; i++)
		s->limits[i]->placed = false;
	for (uint32_t i = 0; i < t->conf->rate_cnt; i++)
		if (t->conf->rates[i].shared)
			take_rate(s, t, &t->conf->rates[i]);
	for (unsigned i = 0; i < s->cnt; i++)
		s->limits[i]->plan.leaving = !s->limits[i]->placed;
	if (!s->placed) /* what this gateway has by documents of other limits */
		sl_share_view_drop(s);
	s->placed = true;
	if (s->words.seg)
		sl_share_words_clear(s);
	sl_rate_shares_tick(s);
}

static void
on_world(void *ctx)
{
	struct sl_rate_shares *s = ctx;

	for (unsigned i = 0; i < s->cnt; i++)
		sl_share_plan_world(&s->limits[i]->plan);
	quiet(s, uv_hrtime());
	sl_share_view_renew(s);
	sl_daemon_say("limits: etcd is another one, or in an older state: no share rises for 7.5 s "
		      "and the limit's per");
}

/* ---- the tick ---- */

/* Who could not ask this time is among the first the next. */
static void
lead_all(struct sl_rate_shares *s, uint64_t now_ns)
{
	unsigned under_way = 0, first = s->turn, last = 0;

	for (unsigned i = 0; i < s->cnt; i++)
		under_way += s->limits[i]->call != NULL;
	for (unsigned i = 0; i < s->cnt; i++) {
		struct sl_share_limit *l = s->limits[(first + i) % s->cnt];
		bool had = l->call != NULL;
		sl_share_limit_lead(l, now_ns, under_way < UNDER_WAY);
		if (!had && l->call && ++under_way == UNDER_WAY)
			last = i + 1;
	}
	s->turn = s->cnt ? (first + last) % s->cnt : 0;
}

static void
say_trouble(struct sl_rate_shares *s)
{
	const char *trouble = s->cnt ? sl_share_keys_look(s->keys).trouble : "";

	if (strcmp(trouble, s->said) == 0)
		return;
	if (trouble[0] && strcmp(trouble, "etcd has not answered yet"))
		sl_daemon_say("limits: no share is renewed: %s", trouble);
	else if (!trouble[0] && s->said[0])
		sl_daemon_say("limits: shares are renewed");
	snprintf(s->said, sizeof(s->said), "%s", trouble);
}

void
sl_rate_shares_tick(struct sl_rate_shares *s)
{
	uint64_t now_ns = uv_hrtime();

	sl_share_keys_tick(s->keys, now_ns);
	note_epoch(s, now_ns);
	sl_share_view_keep(s, now_ns);
	lead_all(s, now_ns);
	for (unsigned i = s->cnt; i-- > 0;)
		if (sl_share_limit_left(s->limits[i]))
			drop(s, i);
	sl_share_words_tell(s, now_ns);
	say_trouble(s);
}

static void
on_tick(uv_timer_t *t)
{
	sl_rate_shares_tick(t->data);
}

static void
on_keys(void *ctx)
{
	sl_rate_shares_tick(ctx);
}

/* ---- look ---- */

static void
say_why(const struct sl_rate_shares *s, const struct sl_share_limit *l, uint64_t now_ns, char *ret,
	size_t size)
{
	struct sl_share_keys_look k = sl_share_keys_look(s->keys);
	uint64_t rise_ns = l->plan.rise_ns;

	if (!s->words.seg)
		snprintf(ret, size, "no dataplane is connected");
	else if (l->trouble[0])
		snprintf(ret, size, "%s", l->trouble);
	else if (k.trouble[0])
		snprintf(ret, size, "%s", k.trouble);
	else if (l->plan.full)
		snprintf(ret, size, "%d gateways have shares already", SL_SHARE_GATEWAYS);
	else if (now_ns < rise_ns)
		snprintf(ret, size, "what others may have is over in %llu s",
			 (unsigned long long)(rise_ns - now_ns) / 1000000000 + 1);
	else
		snprintf(ret, size, "others have not given any yet");
}

bool
sl_rate_share_look(const struct sl_rate_shares *s, const char *limit,
		   struct sl_rate_share_look *ret)
{
	const struct sl_share_limit *l = s ? sl_rate_shares_find(s, limit) : NULL;
	uint64_t now_ns = uv_hrtime(), until_ns = 0;
	char why[1000];

	if (!l || !l->placed)
		return false;
	const struct sl_share_plan *p = &l->plan;
	const struct sl_share_words *w = &s->words;
	*ret = (struct sl_rate_share_look){.total = p->tokens, .wanted = p->asked};
	for (unsigned i = 0; i < p->doc.cnt; i++)
		ret->gateways += p->doc.e[i].share > 0;
	say_why(s, l, now_ns, why, sizeof(why));
	bool floored = w->floor_until_ns >= w->until_ns && p->word_floor > p->word;
	if (w->seg && now_ns < w->until_ns && !floored) {
		ret->share = p->word;
		until_ns = w->until_ns;
	} else if (w->seg && now_ns < w->floor_until_ns) {
		ret->share = p->word_floor;
		until_ns = w->floor_until_ns;
	}
	bool shared = ret->share && until_ns == w->until_ns;
	if (shared && !sl_share_keys_look(s->keys).trouble[0] && !l->trouble[0])
		snprintf(ret->state, sizeof(ret->state), "shared");
	else
		snprintf(ret->state, sizeof(ret->state), "%s: %.130s",
			 shared       ? "shared"
			 : ret->share ? "floor"
				      : "no share",
			 why);
	if (ret->share)
		ret->until_ms = sl_daemon_wall_ms() + (int64_t)((until_ns - now_ns) / 1000000);
	return true;
}

/* ---- life ---- */

/* Kept over restarts, so that what the sluiced of before held is this one's. */
static uint64_t
session_here(struct sl_daemon *d)
{
	char path[1100], *text, made[32];
	size_t len;
	uint64_t id = 0;
	struct sl_diag diag = {0};

	snprintf(path, sizeof(path), "%s/limits.session", d->conf->state_dir);
	if (sl_disk_read(path, 64, &text, &len, &diag) == 0) {
		id = strtoull(text, NULL, 16);
		free(text);
	}
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	int n = snprintf(made, sizeof(made), "%016" PRIx64 "\n", id);
	if (sl_disk_write(path, made, (size_t)n, &diag))
		sl_daemon_say("limits: %s cannot be written: after a restart this gateway waits "
			      "for its own shares to end",
			      path);
	sl_diag_fini(&diag);
	return id;
}

int
sl_rate_shares_create(struct sl_daemon *d, struct sl_rate_shares **ret_shares)
{
	const struct sl_store_conf *c = &d->conf->store;
	uint64_t nonce = 0;

	*ret_shares = NULL;
	if (!c->source[0] || !c->limits)
		return 0;
	struct sl_rate_shares *s = calloc(1, sizeof(*s));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	if (!s || !timer) {
		free(s);
		free(timer);
		return -ENOMEM;
	}
	s->d = d;
	s->timer = timer;
	s->seed = (uint64_t)d->started_ms;
	memcpy(s->gateway, c->gateway, sizeof(s->gateway));
	uv_timer_init(d->loop, timer);
	timer->data = s;
	*ret_shares = s;
	for (unsigned i = 0; i < d->conf->source_cnt; i++)
		if (strcmp(d->conf->sources[i].name, c->source) == 0)
			s->source = &d->conf->sources[i];
	if (!s->source || sl_etcd_create(d->loop, s->source, &s->etcd))
		return -ENOMEM;
	s->session = session_here(d);
	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		nonce = (uint64_t)d->started_ms;
	s->start_ns = uv_hrtime();
	s->rng = nonce;
	if (sl_share_keys_create(d->loop, s->etcd, s->source->prefix, s->gateway, s->session, nonce,
				 on_world, on_keys, s, &s->keys))
		return -ENOMEM;
	uv_timer_start(timer, on_tick, 0, TICK_MS);
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_rate_shares_destroy(struct sl_rate_shares *s)
{
	if (!s)
		return;
	sl_share_view_drop(s);
	sl_share_keys_destroy(s->keys);
	while (s->cnt)
		drop(s, s->cnt - 1);
	sl_etcd_destroy(s->etcd);
	free(s->limits);
	sl_share_view_fini(s);
	uv_timer_stop(s->timer);
	uv_close((uv_handle_t *)s->timer, on_freed);
	free(s);
}

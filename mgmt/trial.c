#include "mgmt/trial.h"

#include "mgmt/diff.h"
#include "mgmt/table.h"
#include "mgmt/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum state { NONE, RUNNING, ENDING, ENDED };

struct sl_trial {
	struct sl_trial_conf c;
	uv_timer_t *timer;
	struct sl_publish *publish;
	struct sl_table *table; /* of the last run; NULL: there was none */
	enum state state;
	bool asking;
	bool known; /* counts have come */
	uint32_t sample_ppm, for_s;
	uint64_t due; /* ms of the loop */
	int64_t began_ms, ended_ms;
	int64_t uid;
	char *user;
	char why[160]; /* it ended */
	unsigned revised;
	struct sl_ctl_shadow_counts counts;
	uint32_t coming;  /* examples of the answer under way */
	json_t *arriving; /* [ … ] of it */
	json_t *examples; /* of the last whole answer */
	struct sl_trial_rates rates;
	json_t *untried; /* changes that it tells nothing of; NULL: no memory */
};

static void on_timer(uv_timer_t *timer);

static int64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
say(struct sl_trial *t, const char *line)
{
	t->c.say(t->c.ctx, line);
}

/* ---- examples, with names ---- */

static json_t *
name(const struct sl_slot_space *s, uint32_t slot)
{
	const char *key = slot < s->cnt ? s->owner[slot].key : NULL;

	return key ? json_string(key) : json_null();
}

/* "web/web-1/192.0.2.11:80" → "web-1" */
static json_t *
endpoint_name(const struct sl_slot_space *s, uint32_t slot)
{
	const char *key = slot < s->cnt ? s->owner[slot].key : NULL;
	const char *slash = key ? strchr(key, '/') : NULL;

	return slash ? json_stringn(slash + 1, strcspn(slash + 1, "/")) : json_null();
}

/* Bytes of a client, padded with 0: what is not plain becomes '?'. */
static json_t *
plain(const char *bytes, size_t size)
{
	char text[256];
	size_t n = 0;

	while (n < size && n < sizeof(text) && bytes[n]) {
		text[n] = bytes[n] >= 0x20 && bytes[n] < 0x7f ? bytes[n] : '?';
		n++;
	}
	return n ? json_stringn(text, n) : json_null();
}

static json_t *
side_json(const struct sl_shadow_side *s, const struct sl_table *tab)
{
	static const struct sl_slot_map none;
	const struct sl_slot_map *m = tab ? &tab->map : &none;
	char addr[SL_ADDR_STRLEN];
	bool has = s->endpoint_slot != UINT32_MAX;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "status",
			 s->status ? json_integer(s->status) : json_null(), "listener",
			 name(&m->listeners, s->listener_slot), "host",
			 name(&m->vhosts, s->vhost_slot), "route", name(&m->hroutes, s->route_slot),
			 "service", name(&m->services, s->service_slot), "endpoint",
			 endpoint_name(&m->endpoints, s->endpoint_slot), "endpoint_address",
			 has ? json_string(sl_addr_format(&s->endpoint, addr)) : json_null(),
			 "by_chance", s->by_chance, "endpoint_port",
			 has ? json_integer(sl_from_be16(s->endpoint_port)) : json_null(), "why",
			 plain(s->why, sizeof(s->why)));
}

static const char *const kinds[SL_SHADOW_KINDS] = {
	[SL_SHADOW_STATUS] = "status", [SL_SHADOW_LISTENER] = "listener",
	[SL_SHADOW_ROUTE] = "route",   [SL_SHADOW_SERVICE] = "service",
	[SL_SHADOW_SUBSET] = "subset", [SL_SHADOW_ENDPOINT] = "endpoint",
};

static json_t *
example_json(const struct sl_trial *t, const struct sl_ctl_shadow_example *e)
{
	char src[SL_ADDR_STRLEN], dst[SL_ADDR_STRLEN];
	const char *what = e->what == SL_SHADOW_REQUESTS      ? "request"
			   : e->tuple.proto == SL_IPPROTO_UDP ? "udp"
							      : "tcp";

	return json_pack(
		"{s:s, s:s, s:s, s:i, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "kind", kinds[e->kind],
		"what", what, "client", sl_addr_format(&e->tuple.src, src), "client_port",
		(int)sl_from_be16(e->tuple.sport), "address", sl_addr_format(&e->tuple.dst, dst),
		"port", (int)sl_from_be16(e->tuple.dport), "method",
		plain(e->method, sizeof(e->method)), "host", plain(e->host, sizeof(e->host)),
		"path", plain(e->path, sizeof(e->path)), "now",
		side_json(&e->now, t->c.active(t->c.ctx)), "then", side_json(&e->then, t->table));
}

/* ---- the report ---- */

static json_t *
answer_json(uint16_t status)
{
	return status ? json_integer(status) : json_null();
}

static json_t *
tally_json(const struct sl_shadow_tally *n)
{
	json_t *by_kind = json_object();

	for (unsigned k = 0; k < SL_SHADOW_KINDS; k++)
		json_object_set_new(by_kind, kinds[k], json_integer((json_int_t)n->kind[k]));
	return json_pack("{s:I, s:I, s:I, s:o, s:I, s:I}", "seen", (json_int_t)n->seen, "sampled",
			 (json_int_t)n->sampled, "changed", (json_int_t)n->changed, "kinds",
			 by_kind, "by_chance", (json_int_t)n->chance, "undecided",
			 (json_int_t)n->undecided);
}

static json_t *
answers_json(const struct sl_ctl_shadow_counts *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->pair_cnt; i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:I}", "from",
						      answer_json(c->pair[i].from), "to",
						      answer_json(c->pair[i].to), "requests",
						      (json_int_t)c->pair[i].count));
	return list;
}

json_t *
sl_trial_report(const struct sl_trial *t, bool people)
{
	static const char *const states[] = {"none", "running", "running", "ended"};
	json_t *o = json_pack("{s:s}", "state", states[t->state]);
	uint64_t now = uv_now(t->c.loop);
	bool runs = t->state == RUNNING && now < t->due;

	if (t->state == NONE)
		return o;
	json_t *more =
		json_pack("{s:I, s:s, s:s, s:I, s:I, s:o, s:o, s:f, s:f, s:s?, s:i, s:b}",
			  "generation", (json_int_t)t->table->number, "file", t->table->push->file,
			  "user", t->user, "sample_ppm", (json_int_t)t->sample_ppm, "for_s",
			  (json_int_t)t->for_s, "began", sl_show_time(t->began_ms), "ended",
			  t->state == ENDED ? sl_show_time(t->ended_ms) : json_null(), "ran_s",
			  (double)t->counts.ran_ns / 1e9, "left_s",
			  runs ? (double)(t->due - now) / 1000.0 : 0.0, "why",
			  t->why[0] ? t->why : NULL, "revised", (int)t->revised, "known", t->known);
	json_object_update(o, more);
	json_decref(more);
	json_object_set_new(o, "requests", tally_json(&t->counts.what[SL_SHADOW_REQUESTS]));
	json_object_set_new(o, "flows", tally_json(&t->counts.what[SL_SHADOW_FLOWS]));
	json_object_set_new(o, "answers", answers_json(&t->counts));
	json_object_set_new(o, "answers_more", json_integer((json_int_t)t->counts.pairs_more));
	json_object_set_new(o, "limits", sl_trial_rates_json(&t->rates));
	json_object_set(o, "untried", t->untried);
	if (people)
		json_object_set(o, "examples", t->examples);
	return o;
}

/* ---- its end ---- */

static void
ended(struct sl_trial *t)
{
	const struct sl_shadow_tally *n = t->counts.what;
	char line[400];

	t->state = ENDED;
	t->ended_ms = wall_ms();
	uv_timer_stop(t->timer);
	snprintf(line, sizeof(line),
		 "generation %" PRIu64 " was tried (%s): %" PRIu64 " of %" PRIu64
		 " requests and %" PRIu64 " of %" PRIu64 " flows would go otherwise",
		 t->table->number, t->why, n[SL_SHADOW_REQUESTS].changed,
		 n[SL_SHADOW_REQUESTS].sampled, n[SL_SHADOW_FLOWS].changed,
		 n[SL_SHADOW_FLOWS].sampled);
	say(t, line);
	json_t *e = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "verb",
			      "shadow", "outcome", "ended", "generation",
			      (json_int_t)t->table->number, "file", t->table->push->file, "why",
			      t->why, "sample_ppm", (json_int_t)t->sample_ppm, "requests",
			      (json_int_t)n[SL_SHADOW_REQUESTS].sampled, "requests_changed",
			      (json_int_t)n[SL_SHADOW_REQUESTS].changed, "flows",
			      (json_int_t)n[SL_SHADOW_FLOWS].sampled, "flows_changed",
			      (json_int_t)n[SL_SHADOW_FLOWS].changed);
	if (sl_audit_add(t->c.audit, wall_ms(), t->uid, t->user, e))
		say(t, "audit log: cannot write that a trial ended");
}

/* ---- answers of the dataplane ---- */

static void
whole(struct sl_trial *t)
{
	t->asking = false;
	t->known = true;
	json_decref(t->examples);
	t->examples = t->arriving;
	t->arriving = NULL;
	if (t->state == ENDING && !t->counts.running) /* running: asked before the end was */
		ended(t);
}

static void
on_answer(void *ctx, int err, const struct sl_ctl_shadow_counts *c,
	  const struct sl_ctl_shadow_example *e, const char *why)
{
	struct sl_trial *t = ctx;

	if (err) {
		t->asking = false;
		if (t->state != RUNNING && t->state != ENDING)
			return;
		if (t->state == RUNNING)
			snprintf(t->why, sizeof(t->why), "the dataplane %s",
				 why ? "ended it" : "does not answer");
		ended(t);
		return;
	}
	if (c) {
		t->counts = *c;
		t->coming = c->example_cnt;
		json_decref(t->arriving);
		t->arriving = json_array();
	} else if (t->coming) {
		t->coming--;
		json_array_append_new(t->arriving, example_json(t, e));
	}
	if (t->coming == 0)
		whole(t);
}

static void
on_timer(uv_timer_t *timer)
{
	struct sl_trial *t = timer->data;

	if (t->state != RUNNING)
		return;
	sl_trial_rates_look(&t->rates, uv_now(t->c.loop), t->c.counted, t->c.ctx);
	if (uv_now(t->c.loop) >= t->due)
		sl_trial_end(t, "its time is over");
	else if (!t->asking)
		t->asking = sl_publish_shadow(t->publish, SL_SHADOW_ASK, on_answer, t) == 0;
}

/* ---- from outside ---- */

int
sl_trial_create(const struct sl_trial_conf *conf, struct sl_trial **ret_trial)
{
	struct sl_trial *t = calloc(1, sizeof(*t));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!t || !timer) {
		free(t);
		free(timer);
		return -ENOMEM;
	}
	t->c = *conf;
	t->timer = timer;
	uv_timer_init(conf->loop, timer);
	timer->data = t;
	*ret_trial = t;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_trial_destroy(struct sl_trial *t)
{
	if (!t)
		return;
	uv_timer_stop(t->timer);
	uv_close((uv_handle_t *)t->timer, on_freed);
	sl_table_destroy(t->table);
	json_decref(t->arriving);
	json_decref(t->examples);
	json_decref(t->untried);
	sl_trial_rates_fini(&t->rates);
	free(t->user);
	free(t);
}

void
sl_trial_begin(struct sl_trial *t, struct sl_publish *p, struct sl_table *tab,
	       const struct sl_push_request *q)
{
	const struct sl_table *now = t->c.active(t->c.ctx);

	sl_table_destroy(t->table);
	json_decref(t->examples);
	json_decref(t->untried);
	free(t->user);
	t->untried = sl_diff_untried(now ? now->push->conf : NULL, tab->push->conf);
	sl_trial_rates_fini(&t->rates);
	if (now)
		sl_trial_rates_begin(&t->rates, now->conf, &now->map, tab->conf, uv_now(t->c.loop),
				     t->c.counted, t->c.ctx);
	t->publish = p;
	t->table = tab;
	t->examples = json_array();
	t->user = strdup(q->user);
	t->uid = q->uid;
	t->sample_ppm = q->sample_ppm;
	t->for_s = q->for_s;
	t->why[0] = 0;
	t->known = t->asking = false;
	t->revised = 0;
	t->counts = (struct sl_ctl_shadow_counts){.sample_ppm = q->sample_ppm};
	t->began_ms = wall_ms();
	t->due = uv_now(t->c.loop) + q->for_s * 1000ull;
	t->state = RUNNING;
	uv_timer_start(t->timer, on_timer, SL_MIN((uint64_t)SL_TRIAL_ASK_MS, q->for_s * 1000ull),
		       SL_TRIAL_ASK_MS);
}

bool
sl_trial_end(struct sl_trial *t, const char *why)
{
	if (t->state != RUNNING)
		return t->state == ENDING;
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->state = ENDING;
	if (sl_publish_shadow(t->publish, SL_SHADOW_END, on_answer, t))
		ended(t);
	return true;
}

void
sl_trial_lost(struct sl_trial *t)
{
	t->asking = false;
	if (t->state != RUNNING && t->state != ENDING)
		return;
	snprintf(t->why, sizeof(t->why), "the dataplane went away");
	ended(t);
}

void
sl_trial_revised(struct sl_trial *t)
{
	t->revised += t->state == RUNNING;
}

bool
sl_trial_of(const struct sl_trial *t, const char *text, size_t len)
{
	const struct sl_pushed *p = t->state == NONE ? NULL : t->table->push;

	return p && p->text_len == len && memcmp(p->text, text, len) == 0;
}

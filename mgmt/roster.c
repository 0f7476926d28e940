/* A table asks questions, those that it asks have an id, and a source answers by id.  An answer is kept with its question; the services
 * that ask it are made anew before `changed` is told, once for all of a turn. */
#include "mgmt/roster_priv.h"

#include "mgmt/roster_disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PARK_MS (24 * 3600000ll) /* a question that no table asks keeps its answer so long */

int64_t
sl_roster_now_ms(const struct sl_roster *r)
{
	return (int64_t)uv_now(r->c.loop);
}

static int64_t
wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
sl_roster_say(struct sl_roster *r, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->c.say(r->c.ctx, line);
}

uint32_t
sl_roster_service_index(const struct sl_roster *r, const char *service)
{
	const uint32_t *order = r->rules.links.service_order;
	uint32_t lo = 0, hi = r->table ? r->table->service_cnt : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(r->table->services[order[mid]].name, service);
		if (d == 0)
			return order[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}

static void
on_turn(uv_timer_t *timer)
{
	struct sl_roster *r = timer->data;

	if (sl_roster_endpoints_refresh(r))
		r->c.changed(r->c.ctx);
}

void
sl_roster_stir(struct sl_roster *r)
{
	if (!uv_is_active((uv_handle_t *)r->turn))
		uv_timer_start(r->turn, on_turn, 0, 0);
}

/* ---- tables ---- */

static void
unuse(struct sl_roster *r, struct sl_roster_question *q)
{
	(void)r;
	q->used = false;
}

/* Asks what is used, drops what is not; what was parked too long goes. */
static void
settle(struct sl_roster *r, struct sl_roster_question *q)
{
	if (q->used) {
		sl_roster_sources_ask(r, q);
		sl_roster_states_tell(r, q);
		return;
	}
	bool was = q->id != 0;
	sl_roster_sources_drop(r, q);
	if (was || q->trouble) {
		q->parked_ms = sl_roster_now_ms(r);
		q->trouble = false;
		sl_roster_states_tell(r, q);
	} else if (sl_roster_now_ms(r) - q->parked_ms > PARK_MS) {
		sl_roster_questions_remove(r, q, false);
	}
}

/* Service i of the new table takes over from the one of its name. */
static int
take_service(struct sl_roster *r, const struct sl_conf_service *s, struct sl_roster_service *old,
	     struct sl_roster_service *to)
{
	unsigned silent = 0;

	for (unsigned k = 0; k < s->discover_cnt; k++) {
		struct sl_roster_question *q = sl_roster_questions_get(r, s->name, &s->discover[k]);
		if (!q)
			return -ENOMEM;
		q->q = s->discover[k]; /* what is ours to apply may be new */
		q->used = true;
		to->q[to->q_cnt++] = q;
		silent += !q->good;
	}
	if (!old || !to->q_cnt)
		return 0;
	if (old->block)
		to->block = sl_roster_block_ref(old->block);
	for (unsigned k = 0; silent && k < old->q_cnt + old->old_cnt; k++) {
		struct sl_roster_question *q =
			k < old->q_cnt ? old->q[k] : old->old[k - old->q_cnt];
		bool there = !q->good || to->old_cnt == SL_MAX_DISCOVER;
		for (unsigned j = 0; j < to->q_cnt; j++)
			there = there || to->q[j] == q;
		if (there)
			continue;
		to->old[to->old_cnt++] = q;
		q->parked_ms = sl_roster_now_ms(r);
	}
	return 0;
}

static void
free_services(struct sl_roster_service *s, uint32_t cnt)
{
	for (uint32_t i = 0; s && i < cnt; i++)
		sl_roster_block_unref(s[i].block);
	free(s);
}

int
sl_roster_table(struct sl_roster *r, const struct sl_conf *c)
{
	struct sl_roster_service *fresh = calloc(c->service_cnt + 1u, sizeof(*fresh));
	struct sl_roster_rules rules = {0};
	int err = fresh ? sl_roster_rules_make(&rules, c) : -ENOMEM;

	sl_roster_questions_each(r, unuse);
	for (uint32_t i = 0; i < c->service_cnt && !err; i++) {
		uint32_t was = sl_roster_service_index(r, c->services[i].name);
		err = take_service(r, &c->services[i], was == UINT32_MAX ? NULL : &r->services[was],
				   &fresh[i]);
	}
	if (err) {
		free_services(fresh, c->service_cnt);
		sl_roster_rules_fini(&rules);
		return err;
	}
	free_services(r->services, r->service_cnt);
	sl_roster_rules_fini(&r->rules);
	r->rules = rules;
	r->table = c;
	r->services = fresh;
	r->service_cnt = c->service_cnt;
	r->endpoint_cnt = 0;
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		fresh[i].stale = fresh[i].q_cnt > 0;
		r->endpoint_cnt +=
			fresh[i].block ? fresh[i].block->cnt : c->services[i].endpoint_cnt;
	}
	for (uint32_t i = 0; i < c->service_cnt; i++)
		if (fresh[i].q_cnt && !fresh[i].block)
			r->endpoint_cnt -= c->services[i].endpoint_cnt; /* refresh adds them */
	for (uint32_t i = 0; i < c->service_cnt; i++)
		sl_roster_states_lift(r, i);
	sl_roster_questions_each(r, settle);
	sl_roster_stir(r);
	return 0;
}

int
sl_roster_admit(const struct sl_roster *r, const struct sl_conf *c, const char *file,
		struct sl_diag *diag)
{
	char there[512] = SL_REGISTRY;
	int err = 0;

	for (unsigned i = 0; i < r->c.source_cnt; i++)
		snprintf(there + strlen(there), sizeof(there) - strlen(there), ", %s",
			 r->c.sources[i].name);
	for (uint32_t i = 0; i < c->service_cnt; i++)
		for (uint32_t k = 0; k < c->services[i].discover_cnt; k++) {
			const struct sl_conf_discover *d = &c->services[i].discover[k];
			char path[96], hint[600];
			if (sl_roster_sources_index(r, d->source) <= r->c.source_cnt)
				continue;
			snprintf(path, sizeof(path), "services[%u].discover[%u].source", i, k);
			snprintf(hint, sizeof(hint), "there are: %s", there);
			sl_diag_add(diag, file, d->line, path, hint,
				    "sluiced's file has no source \"%s\"", d->source);
			err = -EINVAL;
		}
	return err;
}

bool
sl_roster_settled(const struct sl_roster *r)
{
	for (uint32_t i = 0; i < r->service_cnt; i++)
		for (unsigned k = 0; k < r->services[i].q_cnt; k++)
			if (!r->services[i].q[k]->spoken)
				return false;
	return !uv_is_active((uv_handle_t *)r->turn);
}

/* ---- showing ---- */

static void
describe(const struct sl_roster *r, const struct sl_roster_question *q,
	 struct sl_roster_status *ret)
{
	int64_t wall = wall_ms(), now = sl_roster_now_ms(r);

	*ret = (struct sl_roster_status){
		.service = q->service,
		.source = q->q.source,
		.name = q->q.name[0] ? q->q.name : q->service,
		.endpoints = q->placed,
		.left_out = q->strange + q->out,
		.good_ms = q->good ? wall - (now - q->good_ms) : 0,
		.trouble_ms = q->trouble ? wall - (now - q->trouble_ms) : 0,
		.answers = q->answers,
		.troubles = q->troubles,
		.why = q->why[0]    ? q->why
		       : q->lifted  ? "all endpoints drain or are down: that is not believed"
		       : q->left[0] ? q->left
				    : q->note,
		.kept = q->kept,
	};
}

int
sl_roster_show(struct sl_roster *r, int (*fn)(void *ctx, const struct sl_roster_status *s),
	       void *ctx)
{
	struct sl_roster_status s;
	int err = 0;

	for (uint32_t i = 0; i < r->service_cnt; i++)
		for (unsigned k = 0; k < r->services[i].q_cnt && !err; k++) {
			describe(r, r->services[i].q[k], &s);
			err = fn(ctx, &s);
		}
	return err;
}

int
sl_roster_find(struct sl_roster *r, const char *service, unsigned from,
	       struct sl_roster_status *ret)
{
	uint32_t i = sl_roster_service_index(r, service);

	if (i == UINT32_MAX || from < 1 || from > r->services[i].q_cnt)
		return -ENOENT;
	describe(r, r->services[i].q[from - 1], ret);
	return 0;
}

/* ---- life ---- */

/* What was on disk becomes a question that no table asks yet. */
static void
on_loaded(void *ctx, const char *service, const struct sl_conf_discover *d,
	  struct sl_source_endpoint *eps, uint32_t cnt, int64_t wall, uint64_t turn)
{
	struct sl_roster *r = ctx;
	struct sl_roster_question *q = sl_roster_questions_get(r, service, d);
	int64_t age = wall_ms() - wall;

	if (!q || (q->good && q->turn > turn)) {
		free(eps);
		return;
	}
	free(q->eps);
	q->eps = eps;
	q->turn = turn;
	q->cnt = cnt;
	q->good = q->on_disk = true;
	q->good_ms = sl_roster_now_ms(r) - SL_MAX(age, (int64_t)0);
}

int
sl_roster_create(const struct sl_roster_conf *conf, struct sl_diag *diag, struct sl_diag *notes,
		 struct sl_roster **ret_roster)
{
	struct sl_roster *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->c = *conf;
	r->c.source_cnt = SL_MIN(conf->source_cnt, SL_SOURCES_MAX);
	r->sink = sl_roster_answers_sink(r);
	r->turn = calloc(1, sizeof(*r->turn));
	if (!r->turn || sl_roster_questions_init(r)) {
		free(r->turn);
		free(r);
		return -ENOMEM;
	}
	uv_timer_init(conf->loop, r->turn);
	r->turn->data = r;
	int err = sl_roster_disk_create(conf->loop, conf->state_dir, conf->say, conf->ctx, diag,
					&r->disk);
	if (!err)
		sl_roster_disk_load(r->disk, notes, on_loaded, r);
	if (!err)
		err = sl_roster_sources_create(r, diag);
	if (err) {
		sl_roster_destroy(r);
		return err;
	}
	*ret_roster = r;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

bool
sl_roster_busy(const struct sl_roster *r)
{
	return r && sl_roster_disk_busy(r->disk);
}

void
sl_roster_destroy(struct sl_roster *r)
{
	if (!r)
		return;
	sl_roster_sources_fini(r);
	free_services(r->services, r->service_cnt);
	sl_roster_rules_fini(&r->rules);
	sl_roster_disk_finish(r->disk);
	sl_roster_questions_fini(r);
	sl_roster_disk_destroy(r->disk);
	uv_timer_stop(r->turn);
	uv_close((uv_handle_t *)r->turn, on_freed);
	free(r);
}

const struct sl_source_sink *
sl_roster_sink(struct sl_roster *r)
{
	return &r->sink;
}

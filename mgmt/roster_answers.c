/* An answer is taken whole, into bytes of its own, before it is judged: is there an endpoint that its service can have? */
#include "mgmt/roster_priv.h"

#include "mgmt/roster_disk.h"

#include <stdio.h>
#include <stdlib.h>

static int
by_name(const void *a, const void *b)
{
	const struct sl_source_endpoint *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void
put_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len); /* into zeroes */
}

/* e with every byte behind a text 0; false: it is none that a source may give. */
static bool
take_endpoint(const struct sl_source_endpoint *e, struct sl_source_endpoint *to)
{
	char meta[SL_META_MAX];

	memset(to, 0, sizeof(*to));
	put_text(to->name, sizeof(to->name), e->name);
	put_text(to->locality, sizeof(to->locality), e->locality);
	put_text(to->meta, sizeof(to->meta), e->meta);
	to->addr = e->addr;
	to->port = e->port;
	to->weight = e->weight;
	to->priority = e->priority;
	to->percent = e->percent;
	to->drain = e->drain;
	to->down = e->down;
	memcpy(meta, to->meta, sizeof(meta));
	return sl_name_ok(to->name) && sl_addr_src_ok(&to->addr) &&
	       (to->weight <= SL_MAX_WEIGHT || to->weight == UINT16_MAX) &&
	       to->priority <= SL_MAX_PRIORITY && to->percent <= 100;
}

/* A copy by name, without what is no endpoint and what is there twice; NULL: no memory. */
static struct sl_source_endpoint *
take_answer(const struct sl_source_endpoint *e, size_t cnt, uint32_t *ret_cnt,
	    uint32_t *ret_strange)
{
	struct sl_source_endpoint *out = malloc((cnt + 1) * sizeof(*out));
	uint32_t n = 0, kept = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < cnt; i++)
		n += take_endpoint(&e[i], &out[n]);
	qsort(out, n, sizeof(*out), by_name);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(out[kept - 1].name, out[i].name) != 0)
			memmove(&out[kept++], &out[i], sizeof(*out));
	*ret_cnt = kept;
	*ret_strange = (uint32_t)(cnt - kept);
	return out;
}

/* Endpoints of an answer that the table lets its service have. */
static uint32_t
usable(const struct sl_roster *r, const struct sl_roster_question *q,
       const struct sl_source_endpoint *e, uint32_t cnt)
{
	uint32_t i = sl_roster_service_index(r, q->service), n = 0;

	for (uint32_t k = 0; i != UINT32_MAX && k < cnt; k++)
		n += !sl_roster_rules_refuse(&r->rules, i, &e[k].addr,
					     e[k].port ? e[k].port : q->q.port);
	return n;
}

static void
calm(struct sl_roster *r, struct sl_roster_question *q)
{
	if (q->trouble)
		sl_roster_say(r, "discovery: %s: %s answers again", q->service, q->q.source);
	q->trouble = false;
}

/* An answer that is not believed. */
static void
keep(struct sl_roster *r, struct sl_roster_question *q, size_t cnt, uint32_t strange)
{
	bool first = !q->kept;

	if (cnt == 0 && strange == 0)
		snprintf(q->why, sizeof(q->why),
			 "the last answer has no endpoints: the %u of the one before stay", q->cnt);
	else
		snprintf(q->why, sizeof(q->why),
			 "no endpoint of the last answer can be used: the %u of the one before "
			 "stay",
			 q->cnt);
	q->kept = true;
	if (first)
		sl_roster_say(r, "discovery: %s: %s: %s", q->service, q->q.source, q->why);
}

static void
mark_stale(struct sl_roster *r, const struct sl_roster_question *q)
{
	uint32_t i = sl_roster_service_index(r, q->service);

	if (i == UINT32_MAX)
		return;
	r->services[i].stale = true;
	sl_roster_stir(r);
}

/* The answer becomes the last good one. */
static void
believe(struct sl_roster *r, struct sl_roster_question *q, struct sl_source_endpoint *eps,
	uint32_t cnt)
{
	bool same = q->good && q->cnt == cnt &&
		    (cnt == 0 || memcmp(q->eps, eps, cnt * sizeof(*eps)) == 0);
	struct sl_source_endpoint *old = q->eps;
	uint32_t old_cnt = q->cnt;
	bool first = !q->good;

	q->good = true;
	q->good_ms = sl_roster_now_ms(r);
	q->kept = false;
	q->why[0] = 0;
	q->eps = eps;
	q->cnt = cnt;
	uint32_t i = sl_roster_service_index(r, q->service);
	if (i != UINT32_MAX)
		/* first: the last one that takes flows is not told away for a moment */
		sl_roster_states_lift(r, i);
	sl_roster_states_moved(r, q->service, old, old_cnt, eps, cnt);
	free(old);
	if (!same || first)
		mark_stale(r, q);
	if (!same)
		sl_roster_disk_note(r->disk, q);
}

static void
on_answer(void *ctx, uint32_t id, const struct sl_source_endpoint *endpoints, size_t cnt,
	  uint32_t left_out, const char *note)
{
	struct sl_roster *r = ctx;
	struct sl_roster_question *q = sl_roster_sources_asked(r, id);
	uint32_t n, strange;

	if (!q)
		return;
	struct sl_source_endpoint *eps =
		take_answer(endpoints, SL_MIN(cnt, (size_t)SL_MAX_SERVICE_ENDPOINTS), &n, &strange);
	if (!eps) {
		sl_roster_say(r, "discovery: out of memory: an answer for %s is lost", q->service);
		return;
	}
	if (cnt > SL_MAX_SERVICE_ENDPOINTS)
		strange += (uint32_t)SL_MIN(cnt - SL_MAX_SERVICE_ENDPOINTS, (size_t)1 << 30);
	q->answers++;
	q->spoken = true;
	q->strange = strange + left_out;
	snprintf(q->note, sizeof(q->note), "%s", note ? note : "");
	calm(r, q);
	bool none = n == 0 && q->strange == 0;
	if (!(none && q->q.accept_empty) && usable(r, q, eps, n) == 0) {
		keep(r, q, n, q->strange);
		free(eps);
		return;
	}
	believe(r, q, eps, n);
}

static void
on_confirm(void *ctx, uint32_t id)
{
	struct sl_roster *r = ctx;
	struct sl_roster_question *q = sl_roster_sources_asked(r, id);

	if (!q)
		return;
	q->spoken = true;
	calm(r, q);
	if (q->kept || !q->good)
		return; /* what was confirmed is the one that is not believed */
	q->why[0] = 0;
	q->good_ms = sl_roster_now_ms(r);
	sl_roster_disk_confirm(r->disk, q);
}

void
sl_roster_answers_trouble(struct sl_roster *r, struct sl_roster_question *q, const char *why)
{
	bool first = !q->trouble;

	q->spoken = true;
	if (first)
		q->trouble_ms = sl_roster_now_ms(r);
	q->trouble = true;
	q->troubles++;
	snprintf(q->why, sizeof(q->why), "%s", why);
	if (first)
		sl_roster_say(r, "discovery: %s: %s: %s; its last good answer stays", q->service,
			      q->q.source, why);
}

static void
on_trouble(void *ctx, uint32_t id, const char *why)
{
	struct sl_roster_question *q = sl_roster_sources_asked(ctx, id);

	if (q)
		sl_roster_answers_trouble(ctx, q, why);
}

static void
on_say(void *ctx, const char *line)
{
	struct sl_roster *r = ctx;

	r->c.say(r->c.ctx, line);
}

struct sl_source_sink
sl_roster_answers_sink(struct sl_roster *r)
{
	return (struct sl_source_sink){r->c.loop,  r->c.seed, on_answer, on_confirm,
				       on_trouble, on_say,    r};
}

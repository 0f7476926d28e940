/* A name may be known by several questions and by the table: one of them says what counts.  Where sources leave nobody that takes flows, their
 * word is lifted. */
#include "mgmt/roster_priv.h"

#include <stdio.h>

static const struct sl_source_endpoint *
answer_find(const struct sl_roster_question *q, const char *name)
{
	uint32_t lo = 0, hi = q->cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(q->eps[mid].name, name);
		if (d == 0)
			return &q->eps[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool
plain(const struct sl_source_endpoint *e)
{
	return !e || (!e->drain && !e->down && e->percent == 100);
}

static bool
takes(const struct sl_source_endpoint *e)
{
	return !e->drain && !e->down && e->percent > 0;
}

/* Whether, by what sources say, nobody of service i takes flows any more, and whose word is then not counted. */
static enum sl_roster_lift
judge(const struct sl_roster *r, uint32_t i)
{
	const struct sl_roster_service *rs = &r->services[i];
	bool some = false, serving = false;

	if (r->table->services[i].endpoint_cnt)
		return SL_ROSTER_AS_TOLD; /* the table's own take them */
	for (unsigned k = 0; k < rs->q_cnt; k++) {
		const struct sl_roster_question *q = rs->q[k];
		if (q->q.accept_empty)
			return SL_ROSTER_AS_TOLD;
		for (uint32_t j = 0; j < q->cnt; j++) {
			const struct sl_source_endpoint *e = &q->eps[j];
			uint16_t port = e->port ? e->port : q->q.port;
			if (sl_roster_rules_refuse(&r->rules, i, &e->addr, port))
				continue;
			if (takes(e))
				return SL_ROSTER_AS_TOLD;
			some = true;
			serving |= !e->down;
		}
	}
	return !some ? SL_ROSTER_AS_TOLD : serving ? SL_ROSTER_LIFT_DRAIN : SL_ROSTER_LIFT_DOWN;
}

/* e as it counts under a lift. */
static struct sl_source_endpoint
lifted(const struct sl_source_endpoint *e, enum sl_roster_lift lift)
{
	struct sl_source_endpoint to = *e;

	if (lift == SL_ROSTER_AS_TOLD || (lift == SL_ROSTER_LIFT_DRAIN && e->down))
		return to;
	to.drain = to.down = false;
	to.percent = e->percent ? e->percent : 100;
	return to;
}

/* Tells what counts of an endpoint's name: the table's own has no source; else the first question that knows it. */
static void
tell_state(struct sl_roster *r, const char *service, const char *name)
{
	const struct sl_source_endpoint *e = NULL;
	const struct sl_roster_question *from = NULL;
	uint32_t i = sl_roster_service_index(r, service);
	char why[SL_NAME_MAX + 64];

	if (i != UINT32_MAX) {
		const struct sl_conf_service *s = &r->table->services[i];
		const struct sl_roster_service *rs = &r->services[i];
		bool own = false;
		for (uint32_t k = 0; k < s->endpoint_cnt && !own; k++)
			own = strcmp(s->endpoints[k].name, name) == 0;
		for (unsigned k = 0; k < rs->q_cnt && !own && !e; k++)
			if ((e = answer_find(rs->q[k], name)))
				from = rs->q[k];
	}
	struct sl_source_endpoint counts;
	if (e) {
		counts = lifted(e, r->services[i].lift);
		e = &counts;
	}
	snprintf(why, sizeof(why), "source %s says so", from ? from->q.source : "");
	r->c.state(r->c.ctx, service, name, e && e->drain, e && e->down, e ? e->percent : 100,
		   plain(e) ? "" : why);
}

void
sl_roster_states_tell(struct sl_roster *r, const struct sl_roster_question *q)
{
	for (uint32_t k = 0; k < q->cnt; k++)
		if (!plain(&q->eps[k]))
			tell_state(r, q->service, q->eps[k].name);
}

void
sl_roster_states_lift(struct sl_roster *r, uint32_t i)
{
	struct sl_roster_service *rs = &r->services[i];
	enum sl_roster_lift lift = judge(r, i);

	if (lift == rs->lift)
		return;
	rs->lift = (uint8_t)lift;
	sl_roster_say(
		r, "discovery: %s: %s", r->table->services[i].name,
		lift ? "sources say of all its endpoints that they drain or are down: that is not "
		       "believed"
		     : "what sources say of its endpoints' states counts again");
	for (unsigned k = 0; k < rs->q_cnt; k++) {
		rs->q[k]->lifted = lift != SL_ROSTER_AS_TOLD;
		sl_roster_states_tell(r, rs->q[k]);
	}
}

static bool
same_state(const struct sl_source_endpoint *a, const struct sl_source_endpoint *b)
{
	return (plain(a) && plain(b)) ||
	       (a && b && a->drain == b->drain && a->down == b->down && a->percent == b->percent);
}

void
sl_roster_states_moved(struct sl_roster *r, const char *service,
		       const struct sl_source_endpoint *old, uint32_t old_cnt,
		       const struct sl_source_endpoint *now, uint32_t now_cnt)
{
	uint32_t i = 0, k = 0;

	while (i < old_cnt || k < now_cnt) {
		int d = i == old_cnt ? 1 : k == now_cnt ? -1 : strcmp(old[i].name, now[k].name);
		const struct sl_source_endpoint *a = d <= 0 ? &old[i++] : NULL;
		const struct sl_source_endpoint *b = d >= 0 ? &now[k++] : NULL;
		if (!same_state(a, b))
			tell_state(r, service, a ? a->name : b->name);
	}
}

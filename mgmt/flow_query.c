/* The walk takes buckets in steps, and looks between them whether anybody still waits for the answer. */
#include "mgmt/flow_query.h"

#include "sluice/image.h"

#include <errno.h>
#include <stdlib.h>

#define STEP_RECORDS 512
#define STEP_BUCKETS 4096 /* about a millisecond when all is full */

static const char *const state_names[] = {
	[SL_FLOW_EMBRYONIC] = "embryonic", [SL_FLOW_ESTABLISHED] = "established",
	[SL_FLOW_CLOSING] = "closing",     [SL_FLOW_UDP] = "udp",
	[SL_FLOW_UDP_NEW] = "udp_new",
};

const char *
sl_flow_state_name(unsigned state)
{
	return state < SL_ARRAY_CNT(state_names) ? state_names[state] : NULL;
}

unsigned
sl_flow_state_find(const char *name)
{
	for (unsigned i = SL_FLOW_FREE + 1; i < SL_ARRAY_CNT(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return i;
	return SL_FLOW_FREE;
}

struct sl_flow_ends
sl_flow_ends(const struct sl_flow_record *r)
{
	if (!(r->state & SL_FLOW_REPLY))
		return (struct sl_flow_ends){r->tuple.src, r->tuple.dst, r->tuple.sport,
					     r->tuple.dport};
	return (struct sl_flow_ends){r->tuple.dst, r->other_addr, r->tuple.dport, r->other_port};
}

static bool
in_prefix(const struct sl_addr *a, unsigned family, const struct sl_addr *prefix, unsigned plen)
{
	return family == 0 || (sl_addr_is_v4(a) == (family == 4) && sl_addr_in(a, prefix, plen));
}

static bool
in_span(const struct sl_flow_span *s, const struct sl_flow_ends *e, uint8_t proto)
{
	uint16_t port = sl_from_be16(e->vip_port);

	return s->proto == proto && port >= s->port_lo && port <= s->port_hi &&
	       sl_addr_in(&e->vip, &s->addr, s->plen);
}

static bool
of_listener(const struct sl_flow_filter *f, const struct sl_flow_ends *e, uint8_t proto)
{
	if (!f->spans)
		return true;
	if (!in_span(&f->spans[0], e, proto))
		return false;
	for (uint32_t i = 1; i < f->span_cnt; i++)
		if (in_span(&f->spans[i], e, proto))
			return false;
	return true;
}

bool
sl_flow_filter_takes(const struct sl_flow_filter *f, const struct sl_flow_record *r)
{
	struct sl_flow_ends e = sl_flow_ends(r);
	unsigned state = r->state & SL_FLOW_STATE_MASK;

	if ((r->state & SL_FLOW_REPLY) && !f->halves)
		return false;
	if ((f->proto && f->proto != r->tuple.proto) || (f->states && !(f->states >> state & 1)) ||
	    (f->worker && f->worker - 1 != r->worker) || r->idle_q < f->idle_q)
		return false;
	if (f->with_port && f->port != sl_from_be16(e.vip_port))
		return false;
	if (f->slots && (r->slot >= SL_MAX_ENDPOINTS || r->incarnation == 0 ||
			 f->slots[r->slot] != r->incarnation))
		return false;
	return in_prefix(&e.client, f->client_family, &f->client, f->client_plen) &&
	       in_prefix(&e.vip, f->vip_family, &f->vip, f->vip_plen) &&
	       of_listener(f, &e, r->tuple.proto);
}

static void
take(struct sl_flow_query *q, const struct sl_flow_record *r)
{
	if (q->limit == 0) {
		q->matched++;
	} else if (q->found_cnt < q->limit) {
		q->found[q->found_cnt++] = *r;
		q->matched++;
	} else {
		q->more = true;
	}
}

int
sl_flow_query_run(struct sl_flow_query *q, const void *region, size_t bytes,
		  const atomic_bool *cancel, const char **ret_why)
{
	struct sl_flow_record *step = malloc(STEP_RECORDS * sizeof(*step));
	struct sl_flow_scan *scan = aligned_alloc(SL_CACHE_LINE, sizeof(*scan));
	const char *why = NULL;
	bool end = false;
	int err = 0;

	q->found = calloc(q->limit + 1, sizeof(*q->found));
	q->found_cnt = 0;
	q->matched = q->looked = q->skipped = 0;
	q->more = false;
	if (!step || !scan || !q->found) {
		err = -ENOMEM;
	} else if ((why = sl_flow_scan_init(scan, region, bytes))) {
		*ret_why = why;
		err = -EINVAL;
	}
	while (!err && !end && !q->more) {
		unsigned n = sl_flow_scan_next(scan, step, STEP_RECORDS, STEP_BUCKETS, &end);
		for (unsigned i = 0; i < n && !q->more; i++)
			if (sl_flow_filter_takes(&q->filter, &step[i]))
				take(q, &step[i]);
		/* relaxed: nothing is read because of it; its writer joins us through the pool */
		if (atomic_load_explicit(cancel, memory_order_relaxed))
			err = -ECANCELED;
		q->looked = scan->looked;
		q->skipped = scan->skipped;
	}
	free(step);
	free(scan);
	return err;
}

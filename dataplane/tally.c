/* tally — how many flows this worker has on each endpoint, and how many source ports of fullnat are in use.
 *
 * By endpoint slot.  A slot belongs to one incarnation at a time: the flows of the one before end uncounted.  The service
 * that a port is counted for is that of the endpoint; after a restart, and where a slot has
 * another owner, a new view says it (sl_tally_view).
 *
 * Of a nat flow the forward half is counted, of a pair it is both at once, and so is its end.  A connection of the relay
 * counts like a flow. */
#include "dataplane/worker_priv.h"

#define NO_SERVICE UINT16_MAX

static void
own(struct sl_worker *w, struct sl_use *u, uint16_t service)
{
	if (sl_likely(u->service == service))
		return;
	if (u->service != NO_SERVICE)
		w->service_stats[u->service].ports_used -= u->pairs;
	if (service != NO_SERVICE)
		w->service_stats[service].ports_used += u->pairs;
	u->service = service;
}

/* The slot has another owner: nothing is on it yet. */
static void
renew(struct sl_worker *w, uint32_t slot, uint16_t incarnation)
{
	struct sl_use *u = &w->use[slot];

	if (u->incarnation)
		own(w, u, NO_SERVICE);
	*u = (struct sl_use){.incarnation = incarnation, .service = NO_SERVICE};
	w->conns[slot] = 0;
}

static void
add(struct sl_worker *w, uint32_t slot, bool pair)
{
	struct sl_use *u = &w->use[slot];

	w->endpoint_stats[slot].active = ++w->conns[slot];
	if (!pair)
		return;
	w->pair_cnt++;
	u->pairs++;
	if (u->service != NO_SERVICE)
		w->service_stats[u->service].ports_used++;
}

void
sl_tally_insert(struct sl_worker *w, uint32_t slot, uint16_t incarnation, uint32_t service_slot,
		bool pair)
{
	struct sl_use *u = &w->use[slot];

	if (sl_unlikely(u->incarnation != incarnation))
		renew(w, slot, incarnation);
	own(w, u, (uint16_t)service_slot);
	add(w, slot, pair);
}

static void
end(struct sl_worker *w, uint32_t slot, uint16_t incarnation, bool pair)
{
	struct sl_use *u = &w->use[slot];

	w->endpoint_stats[slot].ended_flows++;
	w->pair_cnt -= pair;
	if (u->incarnation != incarnation)
		return;
	w->endpoint_stats[slot].active = --w->conns[slot];
	if (!pair)
		return;
	u->pairs--;
	if (u->service != NO_SERVICE)
		w->service_stats[u->service].ports_used--;
}

void
sl_tally_end(struct sl_worker *w, const struct sl_flow *f)
{
	bool pair = f->state & SL_FLOW_PAIR;

	if (pair || !(f->state & SL_FLOW_REPLY))
		end(w, f->slot, f->incarnation, pair);
}

void
sl_tally_close(struct sl_worker *w, uint32_t slot, uint16_t incarnation)
{
	end(w, slot, incarnation, false);
}

void
sl_tally_adopt(struct sl_worker *w, const struct sl_flow *f)
{
	struct sl_use *u = &w->use[f->slot];
	bool pair = f->state & SL_FLOW_PAIR;

	if (f->state & SL_FLOW_REPLY)
		return;
	/* Of several incarnations the last is the one that is in use. */
	if (u->incarnation == 0 || (int16_t)(f->incarnation - u->incarnation) > 0)
		renew(w, f->slot, f->incarnation);
	if (u->incarnation == f->incarnation)
		add(w, f->slot, pair);
	else
		w->pair_cnt += pair;
}

void
sl_tally_view(struct sl_worker *w, const struct sl_view *view)
{
	if (w->tally_generation != view->generation) {
		w->tally_generation = view->generation;
		w->tally_next = 0;
	}
	for (unsigned n = 0; n < SL_TALLIES_PER_TURN && w->tally_next < view->hop_cnt; n++) {
		uint32_t slot = w->tally_next++;
		const struct sl_hop *hop = &view->hops[slot];
		struct sl_use *u = &w->use[slot];
		/* in this order: hops are cold, main has just written them */
		if (!u->incarnation || !hop->incarnation)
			continue;
		if (u->incarnation != hop->incarnation) {
			renew(w, slot, hop->incarnation);
			w->endpoint_stats[slot].active = 0;
		} else if (u->pairs) {
			own(w, u, (uint16_t)view->services[hop->service].slot);
		}
	}
}

/* What a view has in common with the one whose place it takes: most of its next hops, when endpoints come and go. */
#include "dataplane/view.h"

#include <stdlib.h>

/* The hop of live that leads where h does, from the same slot; NULL: there is none. */
static const struct sl_hop *
same_hop(const struct sl_view *live, uint32_t slot, const struct sl_hop *h)
{
	const struct sl_hop *o = slot < live->hop_cnt ? &live->hops[slot] : NULL;

	return o && o->incarnation && o->out_port == h->out_port && sl_addr_eq(&o->next, &h->next)
		       ? o
		       : NULL;
}

void
sl_view_follow(struct sl_view *v, const struct sl_view *live)
{
	uint32_t cnt = 0;

	if (!live)
		return;
	for (uint32_t i = 0; i < v->hop_cnt; i++)
		cnt += v->hops[i].incarnation && !same_hop(live, i, &v->hops[i]);
	v->fresh = malloc((cnt + 1) * sizeof(*v->fresh));
	if (!v->fresh)
		return;
	v->follows = live->generation;
	for (uint32_t i = 0; i < v->hop_cnt; i++) {
		struct sl_hop *h = &v->hops[i];
		const struct sl_hop *o = h->incarnation ? same_hop(live, i, h) : NULL;
		if (o) /* relaxed: a hint, checked at use */
			h->neigh = __atomic_load_n((const uint32_t *)&o->neigh, __ATOMIC_RELAXED);
		else if (h->incarnation)
			v->fresh[v->fresh_cnt++] = i;
	}
}

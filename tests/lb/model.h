/* model — the flow table as one would write it without caring for speed: one row a key, with
 * 32-bit times.  It says what the table must answer; what the table refused or evicted it is told.
 */
#ifndef SL_TESTS_LB_MODEL_H
#define SL_TESTS_LB_MODEL_H

#include "lb/flow.h"

struct model_flow {
	bool used;     /* in the table, live or not yet swept */
	uint8_t state; /* as sl_flow.state */
	uint32_t idx;
	uint32_t until_q; /* not live from here on */
};

/* One row per key number: the test draws its tuples from numbers, so the map is an array. */
struct model {
	struct model_flow *flow;
	uint32_t cnt;
	uint32_t used;
	uint32_t embryonic;
	uint32_t replies;
};

static inline bool
model_live(const struct model_flow *f, uint32_t now_q)
{
	return f->used && (int32_t)(f->until_q - now_q) > 0;
}

static inline uint32_t
model_timeout(uint8_t state)
{
	switch (state & SL_FLOW_STATE_MASK) {
	case SL_FLOW_EMBRYONIC:
		return SL_FLOW_T_SYN;
	case SL_FLOW_ESTABLISHED:
		return SL_FLOW_T_EST;
	case SL_FLOW_CLOSING:
		return SL_FLOW_T_CLOSING;
	}
	return SL_FLOW_T_UDP;
}

/* Opened and not proved yet: under the cap. */
static inline bool
model_embryonic(uint8_t state)
{
	return (state & SL_FLOW_STATE_MASK) == SL_FLOW_EMBRYONIC ||
	       (state & SL_FLOW_STATE_MASK) == SL_FLOW_UDP_NEW;
}

static inline void
model_add(struct model *m, uint32_t key, struct model_flow f)
{
	m->flow[key] = f;
	m->used++;
	m->embryonic += model_embryonic(f.state);
	m->replies += !!(f.state & SL_FLOW_REPLY);
}

static inline void
model_del(struct model *m, uint32_t key)
{
	struct model_flow *f = &m->flow[key];

	m->used--;
	m->embryonic -= model_embryonic(f->state);
	m->replies -= !!(f->state & SL_FLOW_REPLY);
	f->used = false;
}

#endif

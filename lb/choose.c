/* One hash a try: its high bits are the place of the Maglev table, its low eight the flow's draw against
 * the endpoint's fraction.  A flow that an endpoint took at fraction f is thereby taken at any f' > f,
 * on every gateway. */
#include "lb/choose.h"

#include <stdatomic.h>

#include "sluice/pkt.h"

#define REFUSING (SL_ST_UNHEALTHY | SL_ST_DRAIN | SL_ST_DISABLED | SL_ST_EJECTED)
#define FRESH ((uint32_t)SL_FRACTION_WHOLE << 16)

/* Flags of both words together, and in bits 16–23 the smaller fraction. */
static uint32_t
merged(const struct sl_state_word2 *w, uint32_t incarnation)
{
	/* Relaxed: a word is complete in itself, nothing is ordered against it (state.h). */
	uint64_t a = atomic_load_explicit(&w->admin, memory_order_relaxed);
	uint64_t p = atomic_load_explicit(&w->passive, memory_order_relaxed);
	uint32_t a32 = sl_state_incarnation(a) == incarnation ? (uint32_t)a : FRESH;
	uint32_t p32 = sl_state_incarnation(p) == incarnation ? (uint32_t)p : FRESH;
	uint32_t fraction = SL_MIN(a32 >> 16 & 255, p32 >> 16 & 255);

	return ((a32 | p32) & UINT16_MAX) | fraction << 16;
}

bool
sl_choose_admits(const struct sl_state_word2 *w, uint32_t incarnation, uint8_t hash2)
{
	uint32_t m = merged(w, incarnation);
	uint32_t fraction = m >> 16;

	return !(m & REFUSING) && (fraction == SL_FRACTION_WHOLE || hash2 < fraction);
}

static bool
admits_any(const struct sl_img_endpoint *e, const struct sl_state_word2 *states)
{
	uint32_t m = merged(&states[e->slot], e->incarnation);

	return e->weight > 0 && !(m & REFUSING) && m >> 16 > 0;
}

static struct sl_choice
walk(const struct sl_service *svc, const struct sl_state_word2 *states, uint64_t hash)
{
	uint32_t at = sl_hash_reduce(hash, svc->endpoint_cnt);

	for (uint32_t i = 0; i < svc->endpoint_cnt; i++) {
		if (admits_any(&svc->endpoints[at], states))
			return (struct sl_choice){at, SL_WHY_WALK, SL_CHOOSE_SALTS + 1};
		if (++at == svc->endpoint_cnt)
			at = 0;
	}
	return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, SL_CHOOSE_SALTS + 1};
}

static uint32_t
next_in_schedule(const struct sl_service *svc, uint32_t *cursor)
{
	/* A push may have shortened the schedule under the cursor. */
	uint32_t at = *cursor < svc->sched_cnt ? *cursor : 0;

	*cursor = at + 1;
	return svc->sched[at];
}

struct sl_choice
sl_choose(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
	  const struct sl_tuple *tuple)
{
	const struct sl_state_word2 *states = ctx->states;
	uint64_t seed = ctx->seed;
	uint32_t *cursor = ctx->cursor;
	uint8_t why = svc->policy == SL_POLICY_ROUND_ROBIN   ? SL_WHY_ROUND_ROBIN
		      : svc->policy == SL_POLICY_SOURCE_HASH ? SL_WHY_SOURCE
							     : SL_WHY_MAGLEV;
	uint64_t hash = 0;

	/* Nothing has weight (or there is nothing): the compiler left the table out. */
	if ((why == SL_WHY_ROUND_ROBIN ? svc->sched_cnt : svc->maglev_cnt) == 0)
		return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, 0};
	for (unsigned salt = 0; salt <= SL_CHOOSE_SALTS; salt++) {
		uint32_t i;
		hash = why == SL_WHY_SOURCE ? sl_hash_addr(seed, &tuple->src, salt)
					    : sl_hash_tuple(seed, tuple, salt);
		if (why == SL_WHY_ROUND_ROBIN)
			i = next_in_schedule(svc, cursor);
		else
			i = svc->maglev[sl_hash_reduce(hash, svc->maglev_cnt)];
		const struct sl_img_endpoint *e = &svc->endpoints[i];
		if (sl_likely(sl_choose_admits(&states[e->slot], e->incarnation, (uint8_t)hash)))
			return (struct sl_choice){i, why, (uint8_t)salt};
	}
	return walk(svc, states, hash);
}

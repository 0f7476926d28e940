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

/* ---- least connections ---- */

/* The endpoint with the smallest (flows + 1) / weight of those that admit a flow with this draw, or UINT32_MAX.
 * Fractions are compared by their products, so nothing is rounded: at most 2^32 × 2^8. */
static uint32_t
least_of(const struct sl_service *svc, const struct sl_choose_ctx *ctx, uint64_t hash,
	 uint32_t hash2)
{
	bool all = svc->endpoint_cnt <= SL_CHOOSE_ALL;
	uint32_t cnt = all ? svc->endpoint_cnt : SL_CHOOSE_DRAWS, best = UINT32_MAX;
	uint32_t at = sl_hash_reduce(hash, svc->endpoint_cnt);
	uint64_t flows = 1, weight = 0; /* of the best: worse than any */

	for (uint32_t i = 0; i < cnt; i++) {
		const struct sl_img_endpoint *e = &svc->endpoints[at];
		uint64_t mine = (uint64_t)ctx->conns[e->slot] + 1;
		if (mine * weight < flows * e->weight) {
			uint32_t m = merged(&ctx->states[e->slot], e->incarnation);
			uint32_t fraction = m >> 16;
			if (!(m & REFUSING) &&
			    (fraction == SL_FRACTION_WHOLE || hash2 < fraction)) {
				best = at;
				flows = mine;
				weight = e->weight;
			}
		}
		if (!all)
			at = sl_hash_reduce(sl_hash_fold(hash ^ (i + 1) * SL_HASH_P1, SL_HASH_P2),
					    svc->endpoint_cnt);
		else if (++at == cnt)
			at = 0;
	}
	return best;
}

static struct sl_choice
choose_least(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
	     const struct sl_tuple *tuple)
{
	uint64_t hash = sl_hash_tuple(ctx->seed, tuple, 0);
	uint32_t i = least_of(svc, ctx, hash, (uint8_t)hash);

	if (sl_likely(i != UINT32_MAX))
		return (struct sl_choice){i, SL_WHY_LEAST, 0};
	/* The smallest draw: only a fraction of 0 refuses it. */
	i = least_of(svc, ctx, hash, 0);
	if (i != UINT32_MAX)
		return (struct sl_choice){i, SL_WHY_LEAST, SL_CHOOSE_SALTS + 1};
	return walk(svc, ctx->states, hash);
}

/* ---- all policies ---- */

/* The client's address as far as it counts: bits of IPv4 are those of its four bytes. */
static struct sl_addr
counting(const struct sl_service *svc, const struct sl_addr *client)
{
	unsigned plen = sl_addr_is_v4(client) ? 96u + svc->source_bits4 : svc->source_bits6;
	uint64_t half[2] = {sl_load64(client->b), sl_load64(client->b + 8)};
	struct sl_addr a;

	/* Bytes are in wire order: the mask is made as a number and turned round. */
	if (plen < 64) {
		half[0] &= __builtin_bswap64(plen ? UINT64_MAX << (64 - plen) : 0);
		half[1] = 0;
	} else if (plen < 128) {
		half[1] &= __builtin_bswap64(plen > 64 ? UINT64_MAX << (128 - plen) : 0);
	}
	memcpy(a.b, half, sizeof(a.b));
	return a;
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
	struct sl_addr client;
	uint64_t hash = 0;

	if (svc->policy == SL_POLICY_LEAST_CONN)
		return choose_least(svc, ctx, tuple);
	/* Nothing has weight (or there is nothing): the compiler left the table out. */
	if ((why == SL_WHY_ROUND_ROBIN ? svc->sched_cnt : svc->maglev_cnt) == 0)
		return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, 0};
	if (why == SL_WHY_SOURCE)
		client = counting(svc, &tuple->src);
	for (unsigned salt = 0; salt <= SL_CHOOSE_SALTS; salt++) {
		uint32_t i;
		hash = why == SL_WHY_SOURCE ? sl_hash_addr(seed, &client, salt)
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

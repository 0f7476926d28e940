/* path — what the ways to tunnel endpoints take, as routers there have told: soft state (RFC 2003 5.1, RFC 2473 7.1).
 *
 * By endpoint slot: an MTU of the outer packet, with the incarnation of the endpoint and when it was told.  Forgotten after
 * ten minutes (RFC 1191, 6.3), and when the slot has another owner.  Whoever learns judges what it was told (errors.c).
 *
 * Owner:   one table per gateway, in the caller's memory.
 * Threads: [worker] any writes, all read, without locks: an entry is one word, complete in itself.  Of two that learn at once
 *          one wins; the other is told again.
 * Units:   time in quarters of a second of the worker clock.
 */
#ifndef SL_DATAPLANE_PATH_H
#define SL_DATAPLANE_PATH_H

#include "sluice/base.h"
#include "sluice/image.h"

#define SL_PATH_LIFE_Q 2400u
#define SL_PATH_MIN4 576u  /* less is not believed: RFC 791 lets every host expect that much */
#define SL_PATH_MIN6 1280u /* RFC 8200, 5 */
#define SL_PATH_SMALL                                                                              \
	544u /* inner packets up to this fit every way: SL_PATH_MIN4 less IPv4, UDP and GUE */

struct sl_path_table {
	SL_ALIGNED uint32_t learned_q;             /* when anything was learned last */
	SL_ALIGNED uint64_t way[SL_MAX_ENDPOINTS]; /* MTU, incarnation, time: 16, 16, 32 bits */
};

/* sl_path_learn: slot's endpoint is reached by a way that takes mtu (not 0) bytes. */
static inline void
sl_path_learn(struct sl_path_table *t, uint32_t slot, uint16_t incarnation, uint16_t mtu,
	      uint32_t now_q)
{
	uint64_t word = (uint64_t)mtu << 48 | (uint64_t)incarnation << 32 | now_q;

	/* Relaxed: no other memory goes with the word; who sees learned_q late sends one more packet that is too long. */
	__atomic_store_n(&t->way[slot], word, __ATOMIC_RELAXED);
	__atomic_store_n(&t->learned_q, now_q, __ATOMIC_RELAXED);
}

/* Clocks of workers differ by little: what was learned just ahead of now counts. */
static inline bool
sl_path_lives(uint32_t learned_q, uint32_t now_q)
{
	return (int32_t)(now_q - learned_q) < (int32_t)SL_PATH_LIFE_Q;
}

/* sl_path_mtu: 0 where nothing is known. */
static inline unsigned
sl_path_mtu(const struct sl_path_table *t, uint32_t slot, uint16_t incarnation, uint32_t now_q)
{
	/* nothing learned for long: one line that all packets share is all that is read */
	if (sl_likely(!sl_path_lives(__atomic_load_n(&t->learned_q, __ATOMIC_RELAXED), now_q)))
		return 0;
	uint64_t word = __atomic_load_n(&t->way[slot], __ATOMIC_RELAXED);
	if ((uint16_t)(word >> 32) != incarnation || !sl_path_lives((uint32_t)word, now_q))
		return 0;
	return (unsigned)(word >> 48);
}

/* sl_path_plateau: the largest MTU in use below a packet of `sent` bytes, for routers that tell none (RFC 1191, 7). */
static inline unsigned
sl_path_plateau(unsigned sent)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};

	for (unsigned i = 0; i < SL_ARRAY_CNT(plateaus); i++)
		if (plateaus[i] < sent)
			return plateaus[i];
	return 68;
}

#endif

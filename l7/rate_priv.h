/* rate_priv — what the files of rate share: a ring of grains, which is a bucket's memory, and the sets of keyed buckets.
 *
 *   rate.c       limits, their own buckets, leases
 *   rate_ring.c  a bucket
 *   rate_keys.c  buckets by key
 */
#ifndef SL_L7_RATE_PRIV_H
#define SL_L7_RATE_PRIV_H

#include "l7/rate.h"

#include <stdatomic.h>

#define RATE_UNIT 12 /* time is in 2^12 ns: 44 bits of them last for two years */
#define RATE_USED 20 /* bits */
#define RATE_USED_MAX ((1u << RATE_USED) - 1)

/* What of a limit a bucket goes by, at a take. */
struct rate_now {
	uint64_t now; /* units */
	uint64_t per; /* units after which a token is surely back */
	uint32_t tokens;
	uint32_t want;  /* [1, SL_RATE_LEASE] */
	uint64_t until; /* want > 1: they are used before */
};

/* The head of a ring; its slots are elsewhere.  Each slot: time of the last take · tokens taken since they were all back. */
struct rate_ring {
	_Atomic uint32_t at;     /* the slot that tokens are taken from */
	_Atomic uint32_t grains; /* slots in use at the last take */
	_Atomic uint64_t mixed;  /* until then slots may be out of the order of their times */
};

struct rate_taken {
	uint32_t cnt; /* 0: none */
	uint32_t slot;
	uint64_t time; /* cnt: of the take; none: when the next token is back */
};

/* rate_ring_take: up to n->want tokens.  slots: of the ring's memory, [1, SL_RATE_GRAINS]. */
struct rate_taken rate_ring_take(struct rate_ring *ring, _Atomic uint64_t *slot, uint32_t slots,
				 const struct rate_now *n);
/* rate_ring_give: one token that was taken from the slot at `time`; nothing when that was so long ago that it may be back. */
void rate_ring_give(_Atomic uint64_t *slot, uint64_t time, uint64_t per);
/* rate_ring_look: tokens that could be taken, and when the first of the others is back (0: there are none). */
uint32_t rate_ring_look(const _Atomic uint64_t *slot, uint32_t slots, const struct rate_now *n,
			uint64_t *ret_back);

/* ---- buckets by key ---- */

#define RATE_SET_BYTES 32768

struct rate_set;
struct rate_key {
	uint64_t hash; /* not 0 */
	uint32_t slot; /* of the limit */
	uint32_t incarnation;
	uint32_t tokens;             /* of the limit, the most that n->tokens can become */
	uint32_t keys;               /* buckets that the limit may have */
	_Atomic uint32_t *cnt;       /* and has */
	struct rate_ring *rest;      /* the bucket of keys without one */
	_Atomic uint64_t *rest_slot; /* [SL_RATE_GRAINS] */
};

/* The number of buckets that the limit of a slot has, for who lets go of some; *ret_old: this one's limit is no more. */
struct rate_counts {
	_Atomic uint32_t *(*of)(void *ctx, uint32_t slot, uint32_t incarnation, bool *ret_old);
	void *ctx;
};

/* All of them lock the set.  rate_set_take: false: no room for a bucket, it was asked of the rest's. */
bool rate_set_take(struct rate_set *s, const struct rate_key *k, const struct rate_now *n,
		   const struct rate_counts *counts, struct rate_taken *ret);
void rate_set_give(struct rate_set *s, uint64_t hash, uint32_t slot, uint64_t time, uint64_t per);
/* rate_set_look: RATE_OWN: what remains in the key's bucket; RATE_REST, RATE_NEW: it has none, and would begin with what the rest has taken,
 * or whole. */
enum rate_found { RATE_NEW, RATE_REST, RATE_OWN };
enum rate_found rate_set_look(struct rate_set *s, uint64_t hash, uint32_t rate_slot,
			      const struct rate_now *n, uint32_t *ret_remaining,
			      uint64_t *ret_back);
/* rate_set_sweep lets go of buckets that are idle at `now`. */
void rate_set_sweep(struct rate_set *s, uint64_t now, const struct rate_counts *counts);

#endif

/* A bucket: a ring of slots that are filled one after the other, each with a grain of the limit's tokens.
 *
 *     time  used          now ≥ time + per: all of the grain is back, the slot begins anew with {now, 1}
 *   ┌──────┬──────┐       else, used < grain: {max(time, now), used + 1}
 *   │ 44 b │ 20 b │       else: full; the next slot's turn, which is the oldest
 *   └──────┴──────┘
 *
 * Why never more than Σ grains = tokens are taken in a window [t, t + per): between the last take of a slot's filling and the
 * first of its next one lies at least per, so a window meets at most one filling of each slot, and a filling is at most a grain.  It
 * holds whatever `at` says, since every change of a slot is one compare and swap: relaxed, a word of its own, nothing is ordered by it.
 * Up to 256 tokens a grain is one token: each is then back exactly per after it was taken.
 *
 * A number that changes, as shares do: with n tokens at its highest in a window no slot's filling is more than its grain of n, since
 * grains only grow with tokens; and of what is taken after the number fell, a filling is at most the smaller grain.
 *
 * When the number of slots in use changes, their times may for a while not be in the order of the ring.  Until that has passed, a ring
 * that is full at its place is looked through.
 */
#include "l7/rate_priv.h"

struct word {
	uint64_t time;
	uint32_t used;
};

static inline struct word
unpack(uint64_t v)
{
	return (struct word){v >> RATE_USED, (uint32_t)v & RATE_USED_MAX};
}

static inline uint64_t
pack(uint64_t time, uint32_t used)
{
	return time << RATE_USED | used;
}

static inline uint64_t
load(const _Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_relaxed);
}

/* Tokens of slot i of g.  More tokens are never fewer in any slot. */
static inline uint32_t
grain(uint32_t tokens, uint32_t g, uint32_t i)
{
	return SL_MIN(tokens / g + (i < tokens % g), RATE_USED_MAX);
}

/* Tokens that the slot has now. */
static inline uint32_t
room(struct word w, uint32_t size, const struct rate_now *n)
{
	if (n->now >= w.time + n->per)
		return size;
	return w.used < size ? size - w.used : 0;
}

/* Whether something was taken from slot i. */
static bool
slot_take(_Atomic uint64_t *slot, uint32_t size, const struct rate_now *n, struct rate_taken *ret)
{
	uint64_t old = load(slot);

	for (;;) {
		struct word w = unpack(old);
		uint32_t cnt = SL_MIN(room(w, size, n), n->want);
		if (cnt == 0)
			return false;
		if (n->now >= w.time + n->per)
			w.used = 0;
		uint64_t time = SL_MAX(w.time, n->now);
		uint64_t last = n->want > 1 ? SL_MAX(time, n->until) : time;
		if (atomic_compare_exchange_weak_explicit(slot, &old, pack(last, w.used + cnt),
							  memory_order_relaxed,
							  memory_order_relaxed)) {
			ret->cnt = cnt;
			ret->time = time;
			return true;
		}
	}
}

/* The ring's number of slots follows the limit's. */
static void
reshape(struct rate_ring *ring, uint32_t g, const struct rate_now *n)
{
	uint32_t old = atomic_load_explicit(&ring->grains, memory_order_relaxed);

	if (sl_likely(old == g))
		return;
	if (old)
		atomic_store_explicit(&ring->mixed, n->now + n->per, memory_order_relaxed);
	atomic_store_explicit(&ring->grains, g, memory_order_relaxed);
}

/* A slot that has tokens, or g; the earliest time at which one has goes to ret_back. */
static uint32_t
look_through(const _Atomic uint64_t *slot, uint32_t g, const struct rate_now *n, uint64_t *ret_back)
{
	*ret_back = UINT64_MAX;
	for (uint32_t i = 0; i < g; i++) {
		struct word w = unpack(load(&slot[i]));
		if (room(w, grain(n->tokens, g, i), n))
			return i;
		*ret_back = SL_MIN(*ret_back, w.time + n->per);
	}
	return g;
}

/* The slot after i, if it has tokens, else g. */
static uint32_t
after(struct rate_ring *ring, const _Atomic uint64_t *slot, uint32_t g, uint32_t i,
      const struct rate_now *n, uint64_t *ret_back)
{
	uint32_t next = i + 1 < g ? i + 1 : 0;
	struct word w = unpack(load(&slot[next]));

	if (room(w, grain(n->tokens, g, next), n))
		return next;
	*ret_back = w.time + n->per;
	if (sl_likely(load(&ring->mixed) <= n->now))
		return g;
	return look_through(slot, g, n, ret_back);
}

struct rate_taken
rate_ring_take(struct rate_ring *ring, _Atomic uint64_t *slot, uint32_t slots,
	       const struct rate_now *n)
{
	struct rate_taken ret = {.time = n->now + n->per};
	uint32_t g = SL_MIN(n->tokens, slots);

	if (g == 0)
		return ret;
	reshape(ring, g, n);
	uint32_t at = atomic_load_explicit(&ring->at, memory_order_relaxed);
	for (;;) {
		ret.slot = at < g ? at : 0;
		if (slot_take(&slot[ret.slot], grain(n->tokens, g, ret.slot), n, &ret))
			return ret;
		uint32_t next = after(ring, slot, g, ret.slot, n, &ret.time);
		if (next < g) {
			/* one step only, whoever makes it */
			if (atomic_compare_exchange_strong_explicit(&ring->at, &at, next,
								    memory_order_relaxed,
								    memory_order_relaxed))
				at = next;
			continue;
		}
		uint32_t moved = atomic_load_explicit(&ring->at, memory_order_relaxed);
		if (moved == at)
			return ret;
		at = moved; /* others went on meanwhile */
	}
}

/* The slot still counts the filling that the take was of: its next one begins per later at the earliest. */
void
rate_ring_give(_Atomic uint64_t *slot, uint64_t time, uint64_t per)
{
	uint64_t old = load(slot);

	for (;;) {
		struct word w = unpack(old);
		if (w.used == 0 || w.time >= time + per)
			return;
		if (atomic_compare_exchange_weak_explicit(slot, &old, pack(w.time, w.used - 1),
							  memory_order_relaxed,
							  memory_order_relaxed))
			return;
	}
}

uint32_t
rate_ring_look(const _Atomic uint64_t *slot, uint32_t slots, const struct rate_now *n,
	       uint64_t *ret_back)
{
	uint32_t g = SL_MIN(n->tokens, slots), sum = 0;

	*ret_back = 0;
	for (uint32_t i = 0; i < g; i++) {
		struct word w = unpack(load(&slot[i]));
		uint32_t size = grain(n->tokens, g, i), left = room(w, size, n);
		sum += left;
		if (left < size && (*ret_back == 0 || w.time + n->per < *ret_back))
			*ret_back = w.time + n->per;
	}
	return sum;
}

/* A set: buckets of keys whose hash leads here, with their rings, all in one piece of memory.
 *
 *   lock · time · used ── map of units ── rested[] ── hash[] ── entry[] ── units of 16 slots
 *
 * Entries are dense: the last one takes the place of one that goes.  A ring has as many units as its limit had tokens for when it was
 * made, or up to twice as many.  A bucket is idle when all its tokens are back; then it says nothing that a new one would not say, and
 * may go at any time.
 *
 * A key without a bucket takes from the rest's, under the lock of its set, too, and rested[] keeps when, and of which limit, by some bits of
 * its hash.  What others took there may have been this key's for all that is known: so when it gets a bucket within per of that, it begins
 * with what the rest has taken, and no window has more of the key than tokens, whichever it took from.  A ring made for fewer tokens than
 * the rest had counts several slots as one: as many tokens as the one has, should the number rise again, for its
 * slots divide SL_RATE_GRAINS.
 *
 * Time of a set never goes back: a worker that is behind another one must not find a bucket idle no more that the other has let go.
 * Under the lock nothing waits and nothing is called, so it is held for about 100 ns, longer only for the first key in a while, and
 * for a new bucket that begins with what the rest has taken.
 */
#include "l7/rate_priv.h"

#include <immintrin.h>

#define UNIT 16 /* slots */
#define UNITS 190
#define RESTED 64
#define SEVERAL RATE_USED_MAX /* limits, in a cell of rested[] */
#define PER_MAX ((24 * 3600ull * 1000000000 >> RATE_UNIT) + 2)

struct entry {
	uint64_t idle; /* units of time: from then on */
	struct rate_ring ring;
	uint16_t slot, incarnation; /* of the limit */
	uint8_t first, units;
	uint8_t zero[2];
};
static_assert(SL_RATE_GRAINS / UNIT <= UNITS && UNITS <= UINT8_MAX, "");

struct rate_set {
	_Atomic uint32_t lock;
	uint32_t cnt;
	uint64_t time;
	uint64_t map[4];         /* units in use */
	uint64_t rested[RESTED]; /* by hash: time · the limit's slot + 1, or SEVERAL; 0: never */
	uint64_t hash[UNITS];
	struct entry entry[UNITS];
	SL_ALIGNED _Atomic uint64_t slot[UNITS][UNIT];
};
static_assert(sizeof(struct rate_set) <= RATE_SET_BYTES, "");

/* Acquire and release: what the set holds belongs to who has the lock. */
static void
lock(struct rate_set *s)
{
	while (atomic_exchange_explicit(&s->lock, 1, memory_order_acquire))
		while (atomic_load_explicit(&s->lock, memory_order_relaxed))
			_mm_pause();
}

static void
unlock(struct rate_set *s)
{
	atomic_store_explicit(&s->lock, 0, memory_order_release);
}

/* ---- units ---- */

static bool
unit_used(const struct rate_set *s, unsigned i)
{
	return s->map[i / 64] >> i % 64 & 1;
}

static void
units_mark(struct rate_set *s, unsigned first, unsigned cnt)
{
	for (unsigned i = first; i < first + cnt; i++)
		s->map[i / 64] ^= 1ull << i % 64;
}

/* The first of cnt free ones in a row; UNITS: there are none. */
static unsigned
units_find(const struct rate_set *s, unsigned cnt)
{
	unsigned run = 0;

	for (unsigned i = 0; i < UNITS; i++) {
		run = unit_used(s, i) ? 0 : run + 1;
		if (run == cnt)
			return i + 1 - cnt;
	}
	return UNITS;
}

/* ---- entries ---- */

static struct entry *
find(struct rate_set *s, uint64_t hash)
{
	for (uint32_t i = 0; i < s->cnt; i++)
		if (s->hash[i] == hash)
			return &s->entry[i];
	return NULL;
}

static void
drop(struct rate_set *s, uint32_t i)
{
	units_mark(s, s->entry[i].first, s->entry[i].units);
	s->cnt--;
	s->hash[i] = s->hash[s->cnt];
	s->entry[i] = s->entry[s->cnt];
}

/* Relaxed, as all counts of keys: a number that bounds, nothing is ordered by it. */
static void
uncount(_Atomic uint32_t *cnt)
{
	atomic_fetch_sub_explicit(cnt, 1, memory_order_relaxed);
}

static bool
count(const struct rate_key *k)
{
	if (atomic_fetch_add_explicit(k->cnt, 1, memory_order_relaxed) < k->keys)
		return true;
	uncount(k->cnt);
	return false;
}

/* A power of two: so many slots divide SL_RATE_GRAINS, as inherit wants. */
static unsigned
units_for(uint32_t tokens)
{
	unsigned units = 1;

	while (units * UNIT < SL_MIN(tokens, (uint32_t)SL_RATE_GRAINS))
		units *= 2;
	return units;
}

static struct entry *
insert(struct rate_set *s, const struct rate_key *k)
{
	unsigned units = units_for(k->tokens);
	unsigned first = units_find(s, units);

	if (first == UNITS || !count(k))
		return NULL;
	struct entry *e = &s->entry[s->cnt];
	*e = (struct entry){
		.slot = (uint16_t)k->slot,
		.incarnation = (uint16_t)k->incarnation,
		.first = (uint8_t)first,
		.units = (uint8_t)units,
	};
	s->hash[s->cnt++] = k->hash;
	units_mark(s, first, e->units);
	memset((void *)s->slot[first], 0, e->units * sizeof(s->slot[0]));
	return e;
}

/* ---- what the rest's buckets gave ---- */

/* A key of that limit had something at that time. */
static void
rest_mark(struct rate_set *s, const struct rate_key *k, uint64_t time)
{
	uint64_t *cell = &s->rested[k->hash % RESTED];
	uint64_t before = *cell >> RATE_USED, tag = *cell & RATE_USED_MAX;

	if (tag == 0 || before + PER_MAX <= s->time)
		tag = k->slot + 1;
	else if (tag != k->slot + 1)
		tag = SEVERAL;
	*cell = SL_MAX(before, time) << RATE_USED | tag;
}

/* Whether the key may have had something within per. */
static bool
rested(const struct rate_set *s, uint64_t hash, uint32_t slot, uint64_t now, uint64_t per)
{
	uint64_t cell = s->rested[hash % RESTED], tag = cell & RATE_USED_MAX;

	return (tag == slot + 1 || tag == SEVERAL) && now < (cell >> RATE_USED) + per;
}

/* The key's new bucket begins with what the rest has taken.  Others may be taking meanwhile: of them this key had nothing. */
static void
inherit(struct rate_set *s, struct entry *e, const struct rate_key *k, uint64_t per)
{
	_Atomic uint64_t *own = s->slot[e->first];
	unsigned slots = e->units * UNIT;
	uint64_t last = s->time;

	for (unsigned i = 0; i < SL_RATE_GRAINS; i++) {
		uint64_t word = atomic_load_explicit(&k->rest_slot[i], memory_order_relaxed);
		uint64_t had = atomic_load_explicit(&own[i % slots], memory_order_relaxed);
		uint64_t time = word >> RATE_USED;
		if (time + per <= s->time) /* all of it is back */
			continue;
		uint64_t used = (word & RATE_USED_MAX) + (had & RATE_USED_MAX);
		word = SL_MAX(time, had >> RATE_USED) << RATE_USED |
		       SL_MIN(used, (uint64_t)RATE_USED_MAX);
		atomic_store_explicit(&own[i % slots], word, memory_order_relaxed);
		last = SL_MAX(last, time);
	}
	e->idle = last + per;
	e->ring.mixed = e->idle;
}

static void
let_go(struct rate_set *s, const struct rate_counts *counts)
{
	for (uint32_t i = s->cnt; i-- > 0;) {
		const struct entry *e = &s->entry[i];
		bool old;
		_Atomic uint32_t *cnt = counts->of(counts->ctx, e->slot, e->incarnation, &old);
		if (old || e->idle <= s->time) {
			uncount(cnt);
			drop(s, i);
		}
	}
}

static struct entry *
make(struct rate_set *s, const struct rate_key *k, const struct rate_counts *counts, uint64_t per)
{
	struct entry *e = insert(s, k);

	if (!e) {
		let_go(s, counts);
		e = insert(s, k);
	}
	if (e && sl_unlikely(rested(s, k->hash, k->slot, s->time, per)))
		inherit(s, e, k, per);
	return e;
}

static void
open_at(struct rate_set *s, uint64_t now)
{
	lock(s);
	s->time = SL_MAX(s->time, now);
}

bool
rate_set_take(struct rate_set *s, const struct rate_key *k, const struct rate_now *n,
	      const struct rate_counts *counts, struct rate_taken *ret)
{
	open_at(s, n->now);
	struct rate_now at = *n;
	at.now = s->time;
	struct entry *e = find(s, k->hash);
	if (!e)
		e = make(s, k, counts, at.per);
	if (e) {
		*ret = rate_ring_take(&e->ring, s->slot[e->first], e->units * UNIT, &at);
		if (ret->cnt)
			e->idle = SL_MAX(e->idle, at.now + at.per);
	} else {
		*ret = rate_ring_take(k->rest, k->rest_slot, SL_RATE_GRAINS, &at);
		if (ret->cnt)
			rest_mark(s, k, ret->time);
	}
	unlock(s);
	return e != NULL;
}

void
rate_set_give(struct rate_set *s, uint64_t hash, uint32_t slot, uint64_t time, uint64_t per)
{
	lock(s);
	struct entry *e = find(s, hash);
	if (e && slot < e->units * UNIT)
		rate_ring_give(s->slot[e->first] + slot, time, per);
	unlock(s);
}

enum rate_found
rate_set_look(struct rate_set *s, uint64_t hash, uint32_t rate_slot, const struct rate_now *n,
	      uint32_t *ret_remaining, uint64_t *ret_back)
{
	enum rate_found found = RATE_NEW;

	lock(s);
	const struct entry *e = find(s, hash);
	if (e) {
		*ret_remaining = rate_ring_look(s->slot[e->first], e->units * UNIT, n, ret_back);
		found = RATE_OWN;
	} else if (rested(s, hash, rate_slot, n->now, n->per)) {
		found = RATE_REST;
	}
	unlock(s);
	return found;
}

void
rate_set_sweep(struct rate_set *s, uint64_t now, const struct rate_counts *counts)
{
	/* mostly there is nothing, and a page that was never touched stays so */
	if (((volatile struct rate_set *)s)->cnt == 0)
		return;
	open_at(s, now);
	let_go(s, counts);
	unlock(s);
}

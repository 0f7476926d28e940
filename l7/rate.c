/* A limit's home is its place in shared memory: the bucket of all its requests, which is also the one of keys without a bucket of their
 * own.  Behind the homes lie the sets of keyed buckets, as many as there is memory for.
 *
 * A home belongs to one incarnation of its slot.  The first taker of a newer one clears it; others wait for those 256 stores, once in
 * the life of a limit.  A taker of an older one, whose table is about to go, takes from what there is.
 */
#include "l7/rate_priv.h"

#include <immintrin.h>

#define BUSY (1u << 31) /* of home.life */
#define BUCKET_HOME 0   /* of a verdict: else a hash */
#define SWEEP_NS 1000000

struct home {
	SL_ALIGNED _Atomic uint32_t life; /* incarnation; 0: none yet */
	_Atomic uint32_t keys;            /* buckets in sets */
	struct rate_ring ring;
	SL_ALIGNED _Atomic uint64_t slot[SL_RATE_GRAINS];
};

struct sl_rates_shared {
	struct sl_hash_key key;
	uint32_t set_cnt;
	SL_ALIGNED struct home home[SL_MAX_RATES];
	_Alignas(4096) uint8_t set[][RATE_SET_BYTES];
};
static_assert(sizeof(struct sl_rates_shared) + RATE_SET_BYTES <= SL_RATE_MEMORY_MIN, "");

/* Tokens that this worker has taken from a home and not yet given out. */
struct lease {
	uint64_t from, until; /* units: not before the filling of its slot began; used before */
	uint32_t left, size;
	uint32_t incarnation;
	uint32_t slot;   /* of the ring */
	uint32_t tokens; /* that the limit had */
};

struct sl_rates {
	struct sl_rates_shared *shared;
	uint32_t worker_cnt;
	uint32_t sweep; /* the next set */
	uint64_t now_ns, sweep_ns;
	struct sl_rate_words words;
	struct lease lease[SL_MAX_RATES];
};

struct sl_rates_shared *
sl_rates_shared_init(void *mem, size_t bytes, const struct sl_hash_key *key)
{
	struct sl_rates_shared *s = mem;

	s->key = *key;
	s->set_cnt = (uint32_t)((bytes - sizeof(*s)) / RATE_SET_BYTES);
	return s;
}

size_t
sl_rates_bytes(void)
{
	return sizeof(struct sl_rates);
}

struct sl_rates *
sl_rates_init(void *mem, struct sl_rates_shared *shared, unsigned worker_cnt)
{
	struct sl_rates *r = mem;

	memset(r, 0, sizeof(*r));
	r->shared = shared;
	r->worker_cnt = worker_cnt;
	return r;
}

void
sl_rates_words(struct sl_rates *r, const struct sl_rate_words *words)
{
	r->words = *words;
}

uint32_t
sl_rate_share(const struct sl_rates *r, const struct sl_img_rate *rate)
{
	const struct sl_rate_words *s = &r->words;

	if (!s->seg)
		return 0;
	uint32_t tokens = sl_state_share_tokens(s->seg, rate->slot, rate->incarnation,
						s->monotonic_ns(s->ctx));
	return SL_MIN(tokens, rate->tokens);
}

/* ---- which bucket ---- */

static void
home_clear(struct home *h, uint32_t incarnation)
{
	/* relaxed: whoever sees the life that is stored last, sees the rest; who takes by an older one counts or does not */
	for (unsigned i = 0; i < SL_RATE_GRAINS; i++)
		atomic_store_explicit(&h->slot[i], 0, memory_order_relaxed);
	atomic_store_explicit(&h->ring.at, 0, memory_order_relaxed);
	atomic_store_explicit(&h->ring.grains, 0, memory_order_relaxed);
	atomic_store_explicit(&h->ring.mixed, 0, memory_order_relaxed);
	atomic_store_explicit(&h->life, incarnation, memory_order_release);
}

static struct home *
home_of(struct sl_rates *r, const struct sl_img_rate *rate)
{
	struct home *h = &r->shared->home[rate->slot];
	/* acquire, with the release in home_clear: its zeros are there */
	uint32_t life = atomic_load_explicit(&h->life, memory_order_acquire);

	while (sl_unlikely(life != rate->incarnation)) {
		if (life & BUSY) {
			_mm_pause();
			life = atomic_load_explicit(&h->life, memory_order_acquire);
		} else if (life && (int16_t)(rate->incarnation - life) < 0) {
			return h; /* of an older table */
		} else if (atomic_compare_exchange_strong_explicit(
				   &h->life, &life, rate->incarnation | BUSY, memory_order_acquire,
				   memory_order_acquire)) {
			home_clear(h, rate->incarnation);
			return h;
		}
	}
	return h;
}

/* In pieces of 32 bytes, each hashed with what was before it.  Never 0. */
static uint64_t
hash_of(const struct sl_rates *r, const struct sl_img_rate *rate, const void *key, uint32_t len)
{
	uint64_t block[5] = {(uint64_t)rate->slot << 32 | rate->incarnation, len};
	struct sl_tuple t;
	uint64_t hash;

	memcpy(&t, block, sizeof(t));
	hash = sl_hash_tuple_keyed(&r->shared->key, &t);
	for (uint32_t at = 0; at < len; at += 32) {
		memset(block, 0, sizeof(block));
		block[0] = hash;
		memcpy(block + 1, (const char *)key + at, SL_MIN(len - at, 32u));
		memcpy(&t, block, sizeof(t));
		hash = sl_hash_tuple_keyed(&r->shared->key, &t);
	}
	return hash ? hash : 1;
}

static struct rate_set *
set_of(const struct sl_rates *r, uint64_t hash)
{
	uint32_t i = sl_hash_reduce(hash, r->shared->set_cnt);

	return (struct rate_set *)(void *)r->shared->set[i];
}

/* Of a limit that is no more, the buckets go at once. */
static _Atomic uint32_t *
count_of(void *ctx, uint32_t slot, uint32_t incarnation, bool *ret_old)
{
	struct sl_rates_shared *s = ctx;
	struct home *h = &s->home[slot];
	uint32_t life = atomic_load_explicit(&h->life, memory_order_relaxed);

	*ret_old = !(life & BUSY) && (int16_t)(life - incarnation) > 0;
	return &h->keys;
}

static struct rate_now
now_of(const struct sl_img_rate *rate, uint32_t tokens, uint64_t now_ns)
{
	uint64_t unit = 1u << RATE_UNIT, per_ns = (uint64_t)rate->per_ms * 1000000;

	/* one more: times are rounded down */
	return (struct rate_now){
		.now = now_ns >> RATE_UNIT,
		.per = (per_ns + unit - 1) / unit + 1,
		.tokens = SL_MIN(tokens, rate->tokens),
		.want = 1,
	};
}

/* ---- a bucket for all ---- */

/* A worker asks for more at once only when it has used all it had in time, so that who has little demand holds nothing. */
static uint32_t
lease_size(struct sl_rates *r, const struct rate_now *n, uint32_t incarnation, struct lease *l)
{
	uint32_t most = n->tokens / (SL_RATE_EXACT * r->worker_cnt);

	if (sl_likely(most < 2 || r->worker_cnt == 1))
		return 1;
	if (l->incarnation != incarnation || n->now >= l->until)
		l->size = 1;
	else
		l->size = SL_MIN(2 * l->size, SL_MIN(most, (uint32_t)SL_RATE_LEASE));
	return l->size;
}

static struct rate_taken
home_take(struct sl_rates *r, const struct sl_img_rate *rate, struct home *h, struct rate_now *n)
{
	struct lease *l = &r->lease[rate->slot];

	/* of a share that fell, others may soon have what a lease still holds */
	if (l->left && l->incarnation == rate->incarnation && n->now < l->until &&
	    n->tokens >= l->tokens) {
		l->left--;
		return (struct rate_taken){1, l->slot, SL_MAX(l->from, n->now)};
	}
	l->left = 0;
	n->want = lease_size(r, n, rate->incarnation, l);
	n->until = n->now + n->per / 256;
	struct rate_taken t = rate_ring_take(&h->ring, h->slot, SL_RATE_GRAINS, n);
	if (t.cnt == 0)
		return t;
	l->left = t.cnt - 1;
	l->slot = t.slot;
	l->from = t.time;
	l->until = n->until;
	l->incarnation = rate->incarnation;
	l->tokens = n->tokens;
	return t;
}

/* ---- by key ---- */

/* Whether it was of a bucket of the key's own. */
static bool
key_take(struct sl_rates *r, const struct sl_img_rate *rate, struct home *h, uint64_t hash,
	 const struct rate_now *n, struct rate_taken *ret)
{
	const struct rate_counts counts = {count_of, r->shared};
	const struct rate_key k = {
		.hash = hash,
		.slot = rate->slot,
		.incarnation = rate->incarnation,
		.tokens = rate->tokens,
		.keys = rate->keys,
		.cnt = &h->keys,
		.rest = &h->ring,
		.rest_slot = h->slot,
	};

	return rate_set_take(set_of(r, hash), &k, n, &counts, ret);
}

/* ---- verdicts ---- */

/* Without the units that a token is late by rounding, so that 10 s are not told as 11. */
static uint32_t
ms_until(uint64_t time, uint64_t now)
{
	uint64_t ns = time > now + 2 ? (time - now - 2) << RATE_UNIT : 0;

	return (uint32_t)SL_MIN((ns + 999999) / 1000000, (uint64_t)UINT32_MAX);
}

/* Nobody knows when there will be a share; mostly it is on its way. */
static uint32_t
retry_ms(const struct sl_img_rate *rate, const struct rate_now *n, uint32_t back_ms)
{
	if (n->tokens == 0)
		return SL_MIN(rate->per_ms, (uint32_t)SL_RATE_NONE_MS);
	return SL_MAX(back_ms, 1u);
}

/* What goes into x-ratelimit-remaining and -reset. */
static void
look(struct sl_rates *r, struct home *h, const struct rate_now *n, struct sl_rate_verdict *v)
{
	uint64_t back = 0;
	enum rate_found found = RATE_REST;

	v->remaining = n->tokens;
	if (v->bucket != BUCKET_HOME)
		found = rate_set_look(set_of(r, v->bucket), v->bucket,
				      (uint32_t)(h - r->shared->home), n, &v->remaining, &back);
	if (found == RATE_REST)
		v->remaining = rate_ring_look(h->slot, SL_RATE_GRAINS, n, &back);
	v->reset_ms = back ? ms_until(back, n->now) : 0;
}

void
sl_rate_take(struct sl_rates *r, const struct sl_img_rate *rate, uint32_t tokens, const void *key,
	     uint32_t len, uint64_t now_ns, struct sl_rate_verdict *ret)
{
	struct rate_now n = now_of(rate, tokens, now_ns);
	struct home *h = home_of(r, rate);
	struct rate_taken t;

	*ret = (struct sl_rate_verdict){.bucket = BUCKET_HOME};
	if (rate->key != SL_RATE_ALL && n.tokens) {
		uint64_t hash = hash_of(r, rate, key, len);
		ret->overflow = !key_take(r, rate, h, hash, &n, &t);
		ret->bucket = ret->overflow ? BUCKET_HOME : hash;
	} else {
		t = home_take(r, rate, h, &n);
	}
	ret->allowed = t.cnt != 0;
	ret->place = t.slot;
	if (ret->allowed)
		ret->at_ns = SL_MAX(t.time << RATE_UNIT, now_ns);
	else
		ret->retry_ms = retry_ms(rate, &n, ms_until(t.time, n.now));
	if (rate->flags & SL_RATE_HEADERS)
		look(r, h, &n, ret);
}

void
sl_rate_give(struct sl_rates *r, const struct sl_img_rate *rate,
	     const struct sl_rate_verdict *taken)
{
	uint64_t time = taken->at_ns >> RATE_UNIT;
	uint64_t per = now_of(rate, 0, 0).per;

	if (!taken->allowed)
		return;
	if (taken->bucket == BUCKET_HOME)
		rate_ring_give(&r->shared->home[rate->slot].slot[taken->place], time, per);
	else
		rate_set_give(set_of(r, taken->bucket), taken->bucket, taken->place, time, per);
}

void
sl_rate_look(struct sl_rates *r, const struct sl_img_rate *rate, uint32_t tokens, const void *key,
	     uint32_t len, uint64_t now_ns, struct sl_rate_verdict *ret)
{
	struct rate_now n = now_of(rate, tokens, now_ns);
	struct home *h = &r->shared->home[rate->slot];

	*ret = (struct sl_rate_verdict){.bucket = BUCKET_HOME, .remaining = n.tokens};
	if (rate->key != SL_RATE_ALL)
		ret->bucket = hash_of(r, rate, key, len);
	if (atomic_load_explicit(&h->life, memory_order_acquire) == rate->incarnation)
		look(r, h, &n, ret);
	ret->allowed = ret->remaining != 0;
	if (!ret->allowed)
		ret->retry_ms = retry_ms(rate, &n, ret->reset_ms);
}

/* ---- housekeeping ---- */

bool
sl_rates_tick(struct sl_rates *r, uint64_t now_ns)
{
	const struct rate_counts counts = {count_of, r->shared};

	r->now_ns = now_ns;
	if (sl_likely(now_ns < r->sweep_ns))
		return false;
	r->sweep_ns = now_ns + SWEEP_NS;
	r->sweep = r->sweep + 1 < r->shared->set_cnt ? r->sweep + 1 : 0;
	rate_set_sweep((struct rate_set *)(void *)r->shared->set[r->sweep], now_ns >> RATE_UNIT,
		       &counts);
	return true;
}

uint64_t
sl_rates_now(const struct sl_rates *r)
{
	return r->words.now_ns ? r->words.now_ns(r->words.ctx) : r->now_ns;
}

uint32_t
sl_rates_keys(const struct sl_rates_shared *shared, uint32_t rate_slot)
{
	return atomic_load_explicit(&shared->home[rate_slot].keys, memory_order_relaxed);
}

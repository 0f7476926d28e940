/* One hash a try: its high bits are the place of the table or ring, its low eight the flow's draw against
 * the endpoint's fraction.  A flow that an endpoint took at fraction f is thereby taken at any f' > f,
 * on every gateway. */
#include "lb/choose.h"

#include <stdatomic.h>

#include "lb/shares.h"
#include "sluice/pkt.h"

#define LEVEL_SALT (SL_CHOOSE_SALTS + 1)
#define REFUSING (SL_ST_UNHEALTHY | SL_ST_DRAIN | SL_ST_DISABLED | SL_ST_EJECTED)
#define REFUSING_IN_PANIC (SL_ST_DRAIN | SL_ST_DISABLED)
#define FRESH ((uint32_t)SL_FRACTION_WHOLE << 16)

/* What is asked for. */
struct ask {
	const struct sl_service *svc;
	const struct sl_level *level;
	const struct sl_choose_ctx *ctx;
	const struct sl_tuple *tuple; /* NULL: a request, and the key is */
	uint64_t key;
	struct sl_addr client; /* of the tuple, as far as it counts */
	bool by_client;
	bool panic;            /* in level */
	bool odd;              /* panic, or is_limited: more than words decide */
	const uint32_t *avoid; /* [avoid_cnt] endpoint slots */
	unsigned avoid_cnt;
};

/* ---- who may be taken ---- */

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

bool
sl_choose_takes(const struct sl_state_word2 *w, uint32_t incarnation, bool panic)
{
	uint32_t m = merged(w, incarnation);

	return panic ? !(m & REFUSING_IN_PANIC) : !(m & REFUSING) && m >> 16 > 0;
}

/* Requests under way on a slot, over all workers: their counters are read beside them, relaxed. */
static uint64_t
load_of(const struct sl_choose_ctx *ctx, uint32_t slot)
{
	uint64_t sum = 0;

	if (!ctx->loads)
		return ctx->conns ? ctx->conns[slot] : 0;
	for (unsigned w = 0; w < ctx->load_cnt; w++)
		sum += __atomic_load_n(&ctx->loads[w][slot], __ATOMIC_RELAXED);
	return sum;
}

static inline bool
is_limited(const struct sl_choose_ctx *ctx)
{
	return ctx->load_max | ctx->conn_max;
}

static bool
is_full(const struct sl_choose_ctx *ctx, uint32_t slot)
{
	if (ctx->load_max && load_of(ctx, slot) >= ctx->load_max)
		return true;
	return ctx->conn_max && !(ctx->idle && ctx->idle[slot]) &&
	       atomic_load_explicit(&ctx->open[slot], memory_order_relaxed) >= ctx->conn_max;
}

/* Not one of avoid[], nor full, and in panic nothing but what people said counts. */
static bool
admits(const struct ask *q, const struct sl_img_endpoint *e, uint8_t hash2)
{
	const struct sl_state_word2 *w = &q->ctx->states[e->slot];

	for (unsigned i = 0; i < q->avoid_cnt; i++)
		if (q->avoid[i] == e->slot)
			return false;
	if (sl_unlikely(q->odd)) {
		if (is_full(q->ctx, e->slot))
			return false;
		if (q->panic)
			return sl_choose_takes(w, e->incarnation, true);
	}
	return sl_choose_admits(w, e->incarnation, hash2);
}

static inline uint32_t
member(const struct sl_level *level, uint32_t at)
{
	return sl_likely(!level->members) ? at : level->members[at];
}

static struct sl_choice
walk(const struct ask *q, uint64_t hash)
{
	const struct sl_level *level = q->level;
	uint32_t at = sl_hash_reduce(hash, level->member_cnt);

	for (uint32_t i = 0; i < level->member_cnt; i++) {
		uint32_t m = member(level, at);
		const struct sl_img_endpoint *e = &q->svc->endpoints[m];
		/* the smallest draw: only a fraction of 0 refuses it */
		if (e->weight > 0 && admits(q, e, 0))
			return (struct sl_choice){m, SL_WHY_WALK, SL_CHOOSE_SALTS + 1, 0, false};
		if (++at == level->member_cnt)
			at = 0;
	}
	return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, SL_CHOOSE_SALTS + 1, 0, false};
}

/* ---- hashes ---- */

static uint64_t
hash_of_key(uint64_t seed, uint64_t key, unsigned salt)
{
	return sl_hash_end(sl_hash_step(sl_hash_start(seed, salt), key, SL_HASH_P0));
}

/* In line also where it is called for a level: the common choice has one hash and nothing around it. */
static inline __attribute__((always_inline)) uint64_t
hash_of(const struct ask *q, unsigned salt)
{
	uint64_t seed = q->ctx->seed;

	if (!q->tuple)
		return hash_of_key(seed, q->key, salt);
	return q->by_client ? sl_hash_addr(seed, &q->client, salt)
			    : sl_hash_tuple(seed, q->tuple, salt);
}

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

/* ---- least connections ---- */

/* The endpoint with the smallest (flows + 1) / weight of those that admit a flow with this draw, or UINT32_MAX.
 * Fractions are compared by their products, so nothing is rounded: at most 2^32 × 2^8. */
static uint32_t
least_of(const struct ask *q, uint64_t hash, uint8_t hash2)
{
	const struct sl_level *level = q->level;
	bool all = level->member_cnt <= SL_CHOOSE_ALL;
	uint32_t cnt = all ? level->member_cnt : SL_CHOOSE_DRAWS, best = UINT32_MAX;
	uint32_t at = sl_hash_reduce(hash, level->member_cnt);
	uint64_t flows = 1, weight = 0; /* of the best: worse than any */

	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t m = member(level, at);
		const struct sl_img_endpoint *e = &q->svc->endpoints[m];
		uint64_t mine = (uint64_t)q->ctx->conns[e->slot] + 1;
		if (mine * weight < flows * e->weight && admits(q, e, hash2)) {
			best = m;
			flows = mine;
			weight = e->weight;
		}
		if (!all)
			at = sl_hash_reduce(sl_hash_fold(hash ^ (i + 1) * SL_HASH_P1, SL_HASH_P2),
					    level->member_cnt);
		else if (++at == cnt)
			at = 0;
	}
	return best;
}

static struct sl_choice
choose_least(const struct ask *q)
{
	uint64_t hash = hash_of(q, 0);
	uint32_t i = least_of(q, hash, (uint8_t)hash);

	if (sl_likely(i != UINT32_MAX))
		return (struct sl_choice){i, SL_WHY_LEAST, 0, 0, false};
	/* The smallest draw: only a fraction of 0 refuses it. */
	i = least_of(q, hash, 0);
	if (i != UINT32_MAX)
		return (struct sl_choice){i, SL_WHY_LEAST, SL_CHOOSE_SALTS + 1, 0, false};
	return walk(q, hash);
}

/* ---- subsets ---- */

uint64_t
sl_choose_subset(const char *name)
{
	return name ? sl_hash_name(0, name, strlen(name), 0) | 1 : 0;
}

const struct sl_set *
sl_choose_set(const struct sl_service *svc, uint64_t key)
{
	for (uint32_t i = 0; svc->sets && i < svc->set_cnt; i++)
		if (svc->sets[i].key == key)
			return &svc->sets[i];
	return NULL;
}

/* ---- draws by weight ---- */

void
sl_choose_sums(const struct sl_img_endpoint *endpoints, const uint16_t *members, uint32_t cnt,
	       uint32_t *sums)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < cnt; i++)
		sums[i] = sum += endpoints[members ? members[i] : i].weight;
}

static uint32_t
weight_at(const struct ask *q, uint32_t at)
{
	return q->svc->endpoints[member(q->level, at)].weight;
}

/* All weights together: at most 2^14 × 2^8. */
static uint32_t
weight_of_all(const struct ask *q)
{
	const struct sl_level *level = q->level;
	uint32_t sum = 0;

	if (level->weight_sums)
		return level->member_cnt ? level->weight_sums[level->member_cnt - 1] : 0;
	for (uint32_t i = 0; i < level->member_cnt; i++)
		sum += weight_at(q, i);
	return sum;
}

/* The endpoint in whose share of [0, all) `at` lies, and where its share begins. */
static uint32_t
share_at(const struct ask *q, uint32_t at, uint32_t *ret_begin)
{
	const uint32_t *sums = q->level->weight_sums;
	uint32_t lo = 0, hi = q->level->member_cnt - 1, begin = 0;

	if (!sums) {
		for (; at >= begin + weight_at(q, lo); lo++)
			begin += weight_at(q, lo);
		*ret_begin = begin;
		return member(q->level, lo);
	}
	while (lo < hi) { /* the first whose sum is above */
		uint32_t mid = (lo + hi) / 2;
		if (sums[mid] > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	*ret_begin = sums[lo] - weight_at(q, lo);
	return member(q->level, lo);
}

/* What a request more costs there, for a weight of 1. */
static inline uint64_t
cost_of(const struct ask *q, const struct sl_img_endpoint *e, bool by_latency)
{
	const struct sl_choose_ctx *ctx = q->ctx;
	uint64_t load = load_of(ctx, e->slot);

	if (!by_latency)
		return load + 1;
	return sl_ewma_cost(sl_ewma_now(&ctx->ewma[e->slot], (uint16_t)e->incarnation, ctx->now_ns),
			    load);
}

/* Of two different ones that admit, the one with less to do for its weight; UINT32_MAX: neither admits. */
static inline uint32_t
better_of_two(const struct ask *q, uint64_t hash, uint32_t all, bool by_latency)
{
	const struct sl_service *svc = q->svc;
	uint32_t begin, none, a = share_at(q, sl_hash_reduce(hash, all), &begin), b = a;
	const struct sl_img_endpoint *first = &svc->endpoints[a];

	if (all > first->weight) { /* the second from what is left without the first */
		uint32_t at = sl_hash_reduce(sl_hash_fold(hash ^ SL_HASH_P1, SL_HASH_P2),
					     all - first->weight);
		b = share_at(q, at < begin ? at : at + first->weight, &none);
	}
	const struct sl_img_endpoint *second = &svc->endpoints[b];
	bool takes_a = admits(q, first, (uint8_t)hash);
	if (b == a || !admits(q, second, (uint8_t)hash))
		return takes_a ? a : UINT32_MAX;
	if (!takes_a)
		return b;
	uint64_t load_a = cost_of(q, first, by_latency), load_b = cost_of(q, second, by_latency);
	return load_a * second->weight <= load_b * first->weight ? a : b;
}

/* ---- all policies ---- */

static uint32_t
next_in_schedule(const struct ask *q, unsigned salt)
{
	const struct sl_level *level = q->level;
	uint32_t *cursor = &q->ctx->cursors[level->cursor], at = *cursor;

	/* A push may have shortened the schedule under the cursor, and workers begin anywhere; a cursor that levels share counts on. */
	if (at >= level->sched_cnt && level->cursor < SL_MAX_SERVICES)
		at %= level->sched_cnt;
	if (q->ctx->dry)
		at += salt;
	else
		*cursor = at + 1;
	return level->sched[at < level->sched_cnt ? at : at % level->sched_cnt];
}

static uint32_t
next_on_ring(const struct sl_level *level, uint32_t hash)
{
	uint32_t lo = 0, hi = level->ring_cnt;

	while (lo < hi) { /* the first not below */
		uint32_t mid = (lo + hi) / 2;
		if (level->ring[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return level->ring[lo < level->ring_cnt ? lo : 0].endpoint;
}

/* Who is next in turn or by this hash, if it admits; UINT32_MAX. */
static inline uint32_t
candidate(const struct ask *q, uint64_t hash, uint32_t size, unsigned salt)
{
	const struct sl_service *svc = q->svc;
	uint32_t i, none;

	if (sl_likely(sl_policy_has_table(svc->policy))) {
		i = q->level->maglev[sl_hash_reduce(hash, size)];
		return sl_likely(admits(q, &svc->endpoints[i], (uint8_t)hash)) ? i : UINT32_MAX;
	}
	switch (svc->policy) {
	case SL_POLICY_ROUND_ROBIN:
		i = next_in_schedule(q, salt);
		break;
	case SL_POLICY_RING_HASH:
		i = next_on_ring(q->level, (uint32_t)(hash >> 32));
		break;
	case SL_POLICY_RANDOM:
		i = share_at(q, sl_hash_reduce(hash, size), &none);
		break;
	case SL_POLICY_LEAST_REQUEST:
		return better_of_two(q, hash, size, false);
	case SL_POLICY_EWMA:
		return better_of_two(q, hash, size, q->ctx->ewma != NULL);
	default:
		return UINT32_MAX;
	}
	return sl_likely(admits(q, &svc->endpoints[i], (uint8_t)hash)) ? i : UINT32_MAX;
}

/* Why a policy's candidate, and of how many places it is drawn: 0 when nothing has weight, for then the compiler left the
 * table out. */
static uint8_t
policy_of(const struct ask *q, uint32_t *ret_size)
{
	if (sl_likely(sl_policy_has_table(q->svc->policy))) {
		*ret_size = q->level->maglev_cnt;
		return q->svc->policy == SL_POLICY_SOURCE_HASH ? SL_WHY_SOURCE : SL_WHY_MAGLEV;
	}
	switch (q->svc->policy) {
	case SL_POLICY_ROUND_ROBIN:
		*ret_size = q->level->sched_cnt;
		return SL_WHY_ROUND_ROBIN;
	case SL_POLICY_RING_HASH:
		*ret_size = q->level->ring_cnt;
		return SL_WHY_RING;
	case SL_POLICY_RANDOM:
		*ret_size = weight_of_all(q);
		return SL_WHY_RANDOM;
	case SL_POLICY_LEAST_REQUEST:
	case SL_POLICY_EWMA:
		*ret_size = weight_of_all(q);
		return SL_WHY_LEAST;
	default:
		*ret_size = 0;
		return SL_WHY_NONE;
	}
}

static inline struct sl_choice
choose(const struct ask *q)
{
	uint32_t size;
	uint64_t hash = 0;

	if (q->svc->policy == SL_POLICY_LEAST_CONN)
		return choose_least(q);
	uint8_t why = policy_of(q, &size);
	if (size == 0)
		return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, 0, 0, false};
	for (unsigned salt = 0; salt <= SL_CHOOSE_SALTS; salt++) {
		hash = hash_of(q, salt);
		uint32_t i = candidate(q, hash, size, salt);
		if (sl_likely(i != UINT32_MAX))
			return (struct sl_choice){i, why, (uint8_t)salt, 0, false};
	}
	return walk(q, hash);
}

/* In a level of the set, then in the others. */
static __attribute__((noinline)) struct sl_choice
choose_level(struct ask *q)
{
	const struct sl_set *set = q->ctx->set;
	const struct sl_shares *shares = q->ctx->shares;
	uint32_t first = 0;

	if (set->level_cnt > 1 && shares && shares->upto[0] < SL_SHARES_WHOLE)
		first = sl_shares_level(shares, hash_of(q, LEVEL_SALT));
	for (uint32_t n = 0; n < set->level_cnt; n++) {
		/* first, then 0, 1, … without it */
		uint32_t i = n == 0 ? first : n - (n <= first);
		q->level = &set->levels[i];
		q->panic = shares && shares->panic >> i & 1;
		q->odd = q->panic || is_limited(q->ctx);
		struct sl_choice c = choose(q);
		if (sl_unlikely(c.endpoint == UINT32_MAX))
			continue;
		c.level = (uint8_t)i;
		c.panic = q->panic;
		return c;
	}
	return (struct sl_choice){UINT32_MAX, SL_WHY_NONE, 0, 0, false};
}

static inline struct sl_choice
choose_in(struct ask *q)
{
	return sl_likely(!q->ctx->set) ? choose(q) : choose_level(q);
}

static inline void
by_client(struct ask *q)
{
	const struct sl_service *svc = q->svc;

	if (svc->policy == SL_POLICY_SOURCE_HASH) {
		q->by_client = true;
		q->client = counting(svc, &q->tuple->src);
	} else if (svc->policy == SL_POLICY_RING_HASH) {
		q->by_client = true;
		q->client = q->tuple->src;
	}
}

struct sl_choice
sl_choose(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
	  const struct sl_tuple *tuple)
{
	struct ask q = {
		.svc = svc, .level = &svc->top, .ctx = ctx, .tuple = tuple, .odd = is_limited(ctx)};

	by_client(&q);
	return choose_in(&q);
}

struct sl_choice
sl_choose_other(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
		const struct sl_tuple *tuple, const uint32_t *avoid, unsigned avoid_cnt)
{
	struct ask q = {.svc = svc,
			.level = &svc->top,
			.ctx = ctx,
			.tuple = tuple,
			.odd = is_limited(ctx),
			.avoid = avoid,
			.avoid_cnt = avoid_cnt};

	by_client(&q);
	return choose_in(&q);
}

struct sl_choice
sl_choose_request(const struct sl_service *svc, const struct sl_choose_ctx *ctx, bool hashed,
		  uint64_t hash, const uint32_t *avoid, unsigned avoid_cnt)
{
	bool by_hash =
		hashed && (sl_policy_has_table(svc->policy) || svc->policy == SL_POLICY_RING_HASH);
	struct ask q = {.svc = svc,
			.level = &svc->top,
			.ctx = ctx,
			.key = by_hash ? hash : ctx->random,
			.odd = is_limited(ctx),
			.avoid = avoid,
			.avoid_cnt = avoid_cnt};
	struct sl_choice c = choose_in(&q);

	if (c.endpoint != UINT32_MAX || avoid_cnt == 0)
		return c;
	q.avoid_cnt = 0; /* nobody else: one that was tried */
	return choose_in(&q);
}

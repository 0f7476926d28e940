/* Each node walks a permutation of the places of its own: offset and skip come from its name, and as the
 * size is prime every skip reaches every place.  Round by round, in the order of names, each node takes
 * the next place of its permutation that is free.
 *
 * Weights: in each round a node's credit grows by its weight; at the greatest weight it takes a place and
 * pays that much.  Credit starts anywhere below that, by name, so that roundings do not all fall on one
 * side.  With equal weights every node takes one place a round: the algorithm of the paper.
 *
 * Speed: a walk that finds a place when f of M are free takes M / f steps, so most of M ln M steps would
 * fall to the last few hundred places.  Those are listed instead: a node at place a with skip s comes to
 * place p after (p − a) / s steps (mod M), so it takes the listed place for which that is least.  The
 * result is the same. */
#include "lb/maglev.h"

#include <errno.h>
#include <immintrin.h>
#include <stdlib.h>

#include "lb/hash.h"

#define MAX_NODES 16384u
#define MAX_WEIGHT 256u

static const uint32_t primes[] = {
	101,   211,   503,    1009,   2003,   4093,    8191,    16381,
	32771, 65537, 131071, 262147, 524287, 1048573, 1638431,
};

#define UNLISTED __builtin_nan("")
#define GROUP 16u /* nodes whose credit grows in one step */

struct cursor {
	uint32_t at;   /* the place to look at next */
	uint32_t skip; /* in [1, size) */
};

struct build {
	uint32_t size;
	uint32_t cnt;        /* nodes with weight */
	uint32_t group_cnt;  /* of GROUP nodes; weights past cnt are 0 */
	uint32_t max_weight; /* of these nodes */
	uint32_t left;       /* places still free */
	uint16_t *order;     /* [cnt] index into the input, by name */
	uint16_t *weight;    /* [group_cnt × GROUP] */
	uint16_t *credit;    /* likewise, below max_weight between rounds */
	struct cursor *cur;  /* [cnt] */
	uint64_t *taken;     /* one bit a place */
	uint16_t *table;
	/* the last places */
	double *last;      /* free places, filled up to a multiple of 4 with UNLISTED */
	uint32_t *inverse; /* [cnt] 1 / skip */
	uint32_t last_cnt;
};

uint32_t
sl_maglev_size(uint32_t max_endpoints)
{
	if (max_endpoints < 1 || max_endpoints > MAX_NODES)
		return 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(primes); i++)
		if (primes[i] >= 100 * max_endpoints)
			return primes[i];
	return 0;
}

bool
sl_maglev_size_listed(uint32_t n)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(primes); i++)
		if (primes[i] == n)
			return true;
	return false;
}

static int
by_name(const void *a, const void *b, void *nodes_arg)
{
	const struct sl_maglev_node *nodes = nodes_arg;
	return strcmp(nodes[*(const uint16_t *)a].name, nodes[*(const uint16_t *)b].name);
}

/* Lists the nodes with weight by name.  Tables hold endpoints sorted, so there is seldom work to do.
 * Returns their number, or 0 where a weight is out of range. */
static uint32_t
order_nodes(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint16_t *order)
{
	uint32_t cnt = 0;
	bool sorted = true;

	for (uint32_t i = 0; i < node_cnt; i++) {
		if (nodes[i].weight > MAX_WEIGHT)
			return 0;
		if (nodes[i].weight == 0)
			continue;
		sorted = sorted &&
			 (cnt == 0 || strcmp(nodes[order[cnt - 1]].name, nodes[i].name) < 0);
		order[cnt++] = (uint16_t)i;
	}
	if (!sorted)
		qsort_r(order, cnt, sizeof(*order), by_name, (void *)(uintptr_t)nodes);
	return cnt;
}

static void
start(struct build *b, const struct sl_maglev_node *nodes, uint64_t seed)
{
	for (uint32_t i = 0; i < b->cnt; i++) {
		b->weight[i] = (uint16_t)nodes[b->order[i]].weight;
		b->max_weight = SL_MAX(b->max_weight, b->weight[i]);
	}
	for (uint32_t i = 0; i < b->cnt; i++) {
		const char *name = nodes[b->order[i]].name;
		size_t len = strlen(name);
		uint64_t h = sl_hash_name(seed, name, len, 1);
		b->cur[i].at = sl_hash_reduce(sl_hash_name(seed, name, len, 0), b->size);
		b->cur[i].skip = 1 + sl_hash_reduce(h, b->size - 1);
		b->credit[i] = (uint16_t)sl_hash_reduce(h << 32, b->max_weight);
	}
	b->left = b->size;
}

static inline uint32_t
step(uint32_t at, uint32_t by, uint32_t size)
{
	at += by;
	return SL_MIN(at, at - size); /* wraps far up when at < size */
}

static inline uint32_t
is_free(const struct build *b, uint32_t place)
{
	return ~(uint32_t)(b->taken[place / 64] >> (place % 64)) & 1;
}

/* Four steps at a time: whether a place is taken is a coin that no branch predictor knows, so all four are
 * looked at and the first free one is picked without a branch. */
static inline void
take_by_walking(struct build *b, uint32_t i)
{
	struct cursor *c = &b->cur[i];
	uint32_t skip = c->skip, skip2 = step(skip, skip, b->size), at[4], free4;

	at[0] = c->at;
	for (;;) {
		at[1] = step(at[0], skip, b->size);
		at[2] = step(at[0], skip2, b->size);
		at[3] = step(at[1], skip2, b->size);
		free4 = is_free(b, at[0]) | is_free(b, at[1]) << 1 | is_free(b, at[2]) << 2 |
			is_free(b, at[3]) << 3;
		if (free4)
			break;
		at[0] = step(at[2], skip2, b->size);
	}
	uint32_t place = at[__builtin_ctz(free4)];
	b->taken[place / 64] |= 1ull << (place % 64);
	b->table[place] = b->order[i];
	c->at = step(place, skip, b->size);
}

/* 1 / a modulo the prime m, by Euclid. */
static uint32_t
invert(uint32_t a, uint32_t m)
{
	uint32_t r0 = m, r1 = a;
	int64_t t0 = 0, t1 = 1;

	while (r1 > 1) {
		uint32_t q = r0 / r1, r = r0 % r1;
		int64_t t = t0 - (int64_t)q * t1;
		r0 = r1;
		r1 = r;
		t0 = t1;
		t1 = t;
	}
	return (uint32_t)(t1 < 0 ? t1 + m : t1);
}

/* All inverses for the price of one: that of the product of all skips, and three multiplications each. */
static void
invert_all(struct build *b)
{
	uint64_t product = 1;

	for (uint32_t i = 0; i < b->cnt; i++) {
		b->inverse[i] = (uint32_t)product; /* of the skips before */
		product = product * b->cur[i].skip % b->size;
	}
	uint64_t rest = invert((uint32_t)product, b->size); /* of the skips up to i */
	for (uint32_t i = b->cnt; i-- > 0;) {
		b->inverse[i] = (uint32_t)(rest * b->inverse[i] % b->size);
		rest = rest * b->cur[i].skip % b->size;
	}
}

/* The least (p − at) × inverse (mod size) over the listed places.  Exact in doubles: products stay below
 * 2^42, and a quotient that is no whole number is at least 1 / size away from one. */
static uint32_t
least_steps(const struct build *b, uint32_t at, uint32_t inverse)
{
	__m256d a = _mm256_set1_pd(at), inv = _mm256_set1_pd(inverse);
	__m256d m = _mm256_set1_pd(b->size), per_m = _mm256_set1_pd(1.0 / b->size);
	__m256d least = m;
	double lane[4];

	for (uint32_t i = 0; i < b->last_cnt; i += 4) {
		__m256d d = _mm256_mul_pd(_mm256_sub_pd(_mm256_load_pd(b->last + i), a), inv);
		__m256d q = _mm256_floor_pd(_mm256_mul_pd(d, per_m));
		/* The second operand wins against a NaN. */
		least = _mm256_min_pd(_mm256_fnmadd_pd(q, m, d), least);
	}
	_mm256_storeu_pd(lane, least);
	return (uint32_t)SL_MIN(SL_MIN(lane[0], lane[1]), SL_MIN(lane[2], lane[3]));
}

static void
unlist(struct build *b, uint32_t place)
{
	uint32_t i = 0, end = --b->last_cnt;

	while (b->last[i] != place)
		i++;
	b->last[i] = b->last[end];
	b->last[end] = UNLISTED;
}

static void
take_listed(struct build *b, uint32_t i)
{
	struct cursor *c = &b->cur[i];
	uint64_t steps = least_steps(b, c->at, b->inverse[i]);
	uint32_t place = (uint32_t)((c->at + steps * c->skip) % b->size);
	unlist(b, place);
	b->table[place] = b->order[i];
	c->at = step(place, c->skip, b->size);
}

static void
list_last(struct build *b)
{
	invert_all(b);
	for (uint32_t at = 0; at < b->size; at += 64) {
		uint64_t free64 = ~b->taken[at / 64];
		if (b->size - at < 64)
			free64 &= (1ull << (b->size - at)) - 1;
		for (; free64; free64 &= free64 - 1)
			b->last[b->last_cnt++] = at + (uint32_t)__builtin_ctzll(free64);
	}
	for (uint32_t i = b->last_cnt; i % 4; i++)
		b->last[i] = UNLISTED;
}

/* One round over a group: who takes a place, a bit each. */
static inline uint32_t
grow(struct build *b, uint32_t group)
{
	__m256i *credit = (__m256i *)(void *)(b->credit + group * GROUP);
	const __m256i *weight = (const __m256i *)(const void *)(b->weight + group * GROUP);
	__m256i max = _mm256_set1_epi16((short)b->max_weight);
	__m256i c = _mm256_add_epi16(_mm256_load_si256(credit), _mm256_load_si256(weight));
	__m256i pays = _mm256_cmpgt_epi16(max, c); /* not yet */

	_mm256_store_si256(credit, _mm256_sub_epi16(c, _mm256_andnot_si256(pays, max)));
	return ~(uint32_t)_mm256_movemask_epi8(pays);
}

static void
fill(struct build *b, uint32_t listed_from)
{
	for (;;) {
		for (uint32_t g = 0; g < b->group_cnt; g++) {
			for (uint32_t m = grow(b, g) & 0x55555555u; m; m &= m - 1) {
				uint32_t i = g * GROUP + (uint32_t)__builtin_ctz(m) / 2;
				if (sl_likely(b->left > listed_from)) {
					take_by_walking(b, i);
				} else {
					if (b->last_cnt == 0)
						list_last(b);
					take_listed(b, i);
				}
				if (--b->left == 0)
					return;
			}
		}
	}
}

/* One zeroed block for everything, each array on a line of its own. */
static void *
carve(struct build *b, uint32_t node_cnt, uint32_t listed_from)
{
	uint32_t padded = (node_cnt + GROUP - 1) / GROUP * GROUP;
	const struct {
		size_t bytes;
		void *field;
	} parts[] = {
		{(b->size + 63) / 64 * sizeof(*b->taken), &b->taken},
		{padded * sizeof(*b->credit), &b->credit},
		{padded * sizeof(*b->weight), &b->weight},
		{padded * sizeof(*b->order), &b->order},
		{padded * sizeof(*b->cur), &b->cur},
		{padded * sizeof(*b->inverse), &b->inverse},
		{(listed_from + 4) * sizeof(*b->last), &b->last},
	};
	size_t total = 0;

	for (unsigned i = 0; i < SL_ARRAY_CNT(parts); i++)
		total += (parts[i].bytes + 63) / 64 * 64;
	char *mem = aligned_alloc(SL_CACHE_LINE, total);
	if (!mem)
		return NULL;
	memset(mem, 0, total);
	char *at = mem;
	for (unsigned i = 0; i < SL_ARRAY_CNT(parts); i++) {
		memcpy(parts[i].field, &at, sizeof(at));
		at += (parts[i].bytes + 63) / 64 * 64;
	}
	return mem;
}

int
sl_maglev_build(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint64_t seed,
		uint16_t *table, uint32_t size)
{
	struct build b = {.size = size, .table = table};
	uint32_t listed_from = 1;

	if (node_cnt < 1 || node_cnt > MAX_NODES || !sl_maglev_size_listed(size))
		return -EINVAL;
	/* Where walking (size / f steps) gets dearer than looking at f places, a fourth the price. */
	while (listed_from * listed_from < 4 * size)
		listed_from++;
	listed_from = SL_MIN(listed_from, size);
	void *mem = carve(&b, node_cnt, listed_from);
	if (!mem)
		return -ENOMEM;
	b.cnt = order_nodes(nodes, node_cnt, b.order);
	b.group_cnt = (b.cnt + GROUP - 1) / GROUP;
	bool sound = b.cnt > 0 && b.cnt <= size;
	if (sound) {
		start(&b, nodes, seed);
		fill(&b, listed_from);
	}
	free(mem);
	return sound ? 0 : -EINVAL;
}

/* ---- round robin ---- */

/* The rounded share of weight w when all weights together get `room` places, at least one. */
static uint32_t
share(uint32_t w, uint64_t room, uint64_t total)
{
	uint64_t s = (2 * w * room + total) / (2 * total);
	return s ? (uint32_t)s : 1;
}

/* Scales weights so that their sum is at most cap; cnt ≤ cap.  The largest room that does is found by
 * halving: the sum grows with it, and room = 0 gives cnt. */
static void
scale(uint32_t *w, uint32_t cnt, uint64_t total, uint32_t cap)
{
	uint64_t lo = 0, hi = cap;

	while (lo < hi) {
		uint64_t mid = (lo + hi + 1) / 2, sum = 0;
		for (uint32_t i = 0; i < cnt; i++)
			sum += share(w[i], mid, total);
		if (sum <= cap)
			lo = mid;
		else
			hi = mid - 1;
	}
	for (uint32_t i = 0; i < cnt; i++)
		w[i] = share(w[i], lo, total);
}

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t t = a % b;
		a = b;
		b = t;
	}
	return a;
}

/* Brings weights to what the schedule can hold and returns their sum. */
static uint32_t
fit_weights(uint32_t *w, uint32_t cnt, uint32_t cap)
{
	uint64_t total = 0;
	uint32_t g = 0;

	for (uint32_t i = 0; i < cnt; i++)
		g = gcd(w[i], g);
	for (uint32_t i = 0; i < cnt; i++) {
		w[i] /= g;
		total += w[i];
	}
	if (total <= cap)
		return (uint32_t)total;
	scale(w, cnt, total, cap);
	total = 0;
	for (uint32_t i = 0; i < cnt; i++)
		total += w[i];
	return (uint32_t)total;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Nodes of equal weight share a beat: m nodes of weight w beat m × w times in a cycle, at even distances,
 * and take turns.  A beat's key is its time (32 bits of a cycle) over the node's place in the order. */
static void
beats(const uint32_t *w, uint32_t cnt, uint64_t *keys)
{
	static const uint64_t cycle = 1ull << 32;
	uint32_t same[MAX_WEIGHT + 1] = {0}, turn[MAX_WEIGHT + 1] = {0};

	for (uint32_t i = 0; i < cnt; i++)
		same[w[i]]++;
	for (uint32_t i = 0; i < cnt; i++) {
		uint64_t m = same[w[i]], r = turn[w[i]]++;
		for (uint64_t k = 0; k < w[i]; k++) {
			uint64_t time = (2 * (k * m + r) + 1) * cycle / (2 * m * w[i]);
			*keys++ = time << 16 | i;
		}
	}
}

int
sl_maglev_schedule(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint16_t *sched,
		   uint32_t cap, uint32_t *ret_cnt)
{
	if (node_cnt < 1 || node_cnt > MAX_NODES)
		return -EINVAL;
	uint16_t *order = malloc(node_cnt * sizeof(*order));
	if (!order)
		return -ENOMEM;
	uint32_t cnt = order_nodes(nodes, node_cnt, order);
	if (cnt == 0 || cnt > cap) {
		free(order);
		return -EINVAL;
	}
	uint32_t *w = malloc(cnt * sizeof(*w));
	if (!w) {
		free(order);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cnt; i++)
		w[i] = nodes[order[i]].weight;
	uint32_t total = fit_weights(w, cnt, cap);
	uint64_t *keys = malloc(total * sizeof(*keys));
	if (keys) {
		beats(w, cnt, keys);
		qsort(keys, total, sizeof(*keys), by_value);
		for (uint32_t i = 0; i < total; i++)
			sched[i] = order[keys[i] & UINT16_MAX];
		*ret_cnt = total;
		free(keys);
	}
	free(w);
	free(order);
	return keys ? 0 : -ENOMEM;
}

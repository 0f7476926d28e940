/* Each node walks a permutation of the places of its own: offset and skip come from its name, and as the
 * size is prime every skip reaches every place.  Round by round, in the order of names, each node takes
 * the next place of its permutation that is free.
 *
 * Weights: in each round a node's credit grows by its weight; at the greatest weight it takes a place and
 * pays that much.  Credit starts at half, so shares are rounded, not cut.  With equal weights every node
 * takes one place a round: the algorithm of the paper. */
#include "lb/maglev.h"

#include <errno.h>
#include <stdlib.h>

#include "lb/hash.h"

#define MAX_NODES 16384u
#define MAX_WEIGHT 256u

static const uint32_t primes[] = {
	101,   211,   503,    1009,   2003,   4093,    8191,    16381,
	32771, 65537, 131071, 262147, 524287, 1048573, 1638431,
};

struct cursor {
	uint32_t at;   /* the place to look at next */
	uint32_t skip; /* in [1, size) */
};

struct build {
	uint32_t size;
	uint32_t cnt;     /* nodes with weight */
	uint16_t *order;  /* [cnt] index into the input, by name */
	uint16_t *weight; /* [cnt] */
	uint16_t *credit; /* [cnt] */
	struct cursor *cur;
	uint64_t *taken; /* one bit a place */
	uint16_t *table;
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
start_cursors(struct build *b, const struct sl_maglev_node *nodes, uint64_t seed)
{
	for (uint32_t i = 0; i < b->cnt; i++) {
		const char *name = nodes[b->order[i]].name;
		size_t len = strlen(name);
		b->cur[i].at = sl_hash_reduce(sl_hash_name(seed, name, len, 0), b->size);
		b->cur[i].skip = 1 + sl_hash_reduce(sl_hash_name(seed, name, len, 1), b->size - 1);
	}
}

static inline void
take(struct build *b, uint32_t i)
{
	uint32_t at = b->cur[i].at, skip = b->cur[i].skip, place;

	do {
		place = at;
		at += skip;
		at = SL_MIN(at, at - b->size); /* wraps far up when at < size */
	} while (b->taken[place / 64] >> (place % 64) & 1);
	b->taken[place / 64] |= 1ull << (place % 64);
	b->table[place] = b->order[i];
	b->cur[i].at = at;
}

static void
fill(struct build *b, uint32_t max_weight)
{
	uint32_t left = b->size;

	for (;;) {
		for (uint32_t i = 0; i < b->cnt; i++) {
			b->credit[i] = (uint16_t)(b->credit[i] + b->weight[i]);
			if (b->credit[i] < max_weight)
				continue;
			b->credit[i] = (uint16_t)(b->credit[i] - max_weight);
			take(b, i);
			if (--left == 0)
				return;
		}
	}
}

int
sl_maglev_build(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint64_t seed,
		uint16_t *table, uint32_t size)
{
	struct build b = {.size = size, .table = table};
	uint32_t max_weight = 0;

	if (node_cnt < 1 || node_cnt > MAX_NODES || !sl_maglev_size_listed(size))
		return -EINVAL;
	size_t words = (size + 63) / 64;
	char *mem = calloc(1, words * 8 + node_cnt * (sizeof(struct cursor) + 3 * 2));
	if (!mem)
		return -ENOMEM;
	b.taken = (uint64_t *)mem;
	b.cur = (struct cursor *)(b.taken + words);
	b.order = (uint16_t *)(b.cur + node_cnt);
	b.weight = b.order + node_cnt;
	b.credit = b.weight + node_cnt;
	b.cnt = order_nodes(nodes, node_cnt, b.order);
	if (b.cnt == 0 || b.cnt > size) {
		free(mem);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < b.cnt; i++) {
		b.weight[i] = (uint16_t)nodes[b.order[i]].weight;
		max_weight = SL_MAX(max_weight, b.weight[i]);
	}
	for (uint32_t i = 0; i < b.cnt; i++)
		b.credit[i] = (uint16_t)(max_weight / 2);
	start_cursors(&b, nodes, seed);
	fill(&b, max_weight);
	free(mem);
	return 0;
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
	uint16_t *order = malloc(node_cnt * (sizeof(*order) + sizeof(uint32_t)));
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

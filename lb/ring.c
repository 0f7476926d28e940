/* Point j of an endpoint is the j-th half of a sequence of hashes of its name: 2i and 2i + 1 are the halves of
 * hash(name) under salt i.  Fewer points are the beginning of more. */
#include "lb/ring.h"

#include <stdlib.h>

#include "lb/hash.h"

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static uint32_t
points_of(uint32_t weight, uint32_t unit, unsigned halvings)
{
	uint64_t n = (uint64_t)(weight / unit) * SL_RING_POINTS >> halvings;
	return weight == 0 ? 0 : n ? (uint32_t)n : 1;
}

/* The common factor of the weights (0: none), and how often the points are halved until they fit. */
static uint32_t
scale(const struct sl_maglev_node *nodes, uint32_t cnt, uint32_t most, unsigned *ret_halvings,
      uint32_t *ret_sum)
{
	uint32_t unit = 0;
	uint64_t sum = UINT64_MAX;
	unsigned halvings = 0;

	for (uint32_t i = 0; i < cnt; i++)
		unit = gcd(unit, nodes[i].weight);
	for (; unit && sum > most; halvings++) {
		sum = 0;
		for (uint32_t i = 0; i < cnt; i++)
			sum += points_of(nodes[i].weight, unit, halvings);
	}
	*ret_halvings = unit ? halvings - 1 : 0;
	*ret_sum = unit ? (uint32_t)sum : 0;
	return unit;
}

uint32_t
sl_ring_size(const struct sl_maglev_node *nodes, uint32_t cnt, uint32_t most)
{
	unsigned halvings;
	uint32_t sum;

	scale(nodes, cnt, most, &halvings, &sum);
	return sum;
}

static int
by_hash(const void *a, const void *b)
{
	const struct sl_img_point *x = a, *y = b;
	int d = (x->hash > y->hash) - (x->hash < y->hash);
	return d ? d : (x->endpoint > y->endpoint) - (x->endpoint < y->endpoint);
}

void
sl_ring_build(const struct sl_maglev_node *nodes, uint32_t cnt, uint32_t most, uint64_t seed,
	      struct sl_img_point *points)
{
	unsigned halvings;
	uint32_t sum, at = 0, unit = scale(nodes, cnt, most, &halvings, &sum);

	for (uint32_t i = 0; i < cnt && unit; i++) {
		uint32_t n = points_of(nodes[i].weight, unit, halvings);
		size_t len = strlen(nodes[i].name);
		for (uint32_t j = 0; j < n; j++) {
			uint64_t h = sl_hash_name(seed, nodes[i].name, len, j / 2);
			points[at++] = (struct sl_img_point){(uint32_t)(j % 2 ? h >> 32 : h), i};
		}
	}
	qsort(points, sum, sizeof(*points), by_hash);
}

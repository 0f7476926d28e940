/* The ring of ring_hash: shares, order, and what a change moves. */
#include "lb/ring.h"

#include <stdlib.h>

#include "tests/suite.h"

enum { NODES = 40 };

static char names[SL_MAX_SERVICE_ENDPOINTS][16];
static struct sl_maglev_node nodes[SL_MAX_SERVICE_ENDPOINTS];

static void
fill(uint32_t cnt, uint32_t weight)
{
	for (uint32_t i = 0; i < cnt; i++) {
		snprintf(names[i], sizeof(names[i]), "web-%05u", i);
		nodes[i] = (struct sl_maglev_node){names[i], weight};
	}
}

static struct sl_img_point *
build(uint32_t cnt, uint64_t seed, uint32_t *ret_size)
{
	*ret_size = sl_ring_size(nodes, cnt, SL_MAX_RING);
	struct sl_img_point *p = calloc(*ret_size + 1u, sizeof(*p));
	sl_ring_build(nodes, cnt, SL_MAX_RING, seed, p);
	return p;
}

/* As image.h says: the first point not below the hash, else the first. */
static uint32_t
owner(const struct sl_img_point *p, uint32_t cnt, uint32_t hash)
{
	uint32_t lo = 0, hi = cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (p[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return p[lo < cnt ? lo : 0].endpoint;
}

static void
points_are_sorted_and_of_endpoints_with_weight(void)
{
	uint32_t size;

	fill(NODES, 2);
	nodes[3].weight = 0;
	struct sl_img_point *p = build(NODES, 7, &size);
	CU_ASSERT_EQUAL(size, (NODES - 1) * SL_RING_POINTS);
	for (uint32_t i = 0; i < size; i++) {
		CU_ASSERT(p[i].endpoint < NODES && p[i].endpoint != 3);
		if (i)
			CU_ASSERT(
				p[i - 1].hash < p[i].hash ||
				(p[i - 1].hash == p[i].hash && p[i - 1].endpoint <= p[i].endpoint));
	}
	free(p);
}

static void
shares_follow_weights(void)
{
	uint32_t size, share[NODES] = {0}, total = 1u << 20, light = 0, heavy = 0;

	fill(NODES, 10);
	for (uint32_t i = 0; i < NODES; i += 2)
		nodes[i].weight = 30;
	struct sl_img_point *p = build(NODES, 7, &size);
	CU_ASSERT_EQUAL(size, NODES / 2 * 4 * SL_RING_POINTS);
	for (uint32_t h = 0; h < total; h++)
		share[owner(p, size, h << 12)]++;
	for (uint32_t i = 0; i < NODES; i++) {
		uint32_t fair = total / (NODES / 2 * 4) * (i % 2 ? 1 : 3);
		CU_ASSERT(share[i] > fair / 2 && share[i] < fair * 2);
		*(i % 2 ? &light : &heavy) += share[i];
	}
	CU_ASSERT(heavy > 5 * (light / 2) && heavy < 7 * (light / 2));
	free(p);
}

static void
a_new_endpoint_takes_its_share_and_moves_nothing_else(void)
{
	uint32_t size, more_size, moved = 0, total = 1u << 16;

	fill(NODES, 1);
	struct sl_img_point *p = build(NODES - 1, 7, &size);
	struct sl_img_point *more = build(NODES, 7, &more_size);
	for (uint32_t h = 0; h < total; h++) {
		uint32_t was = owner(p, size, h << 16), is = owner(more, more_size, h << 16);
		CU_ASSERT(was == is || is == NODES - 1);
		moved += was != is;
	}
	CU_ASSERT(moved > total / NODES / 2 && moved < total / NODES * 2);
	free(p);
	free(more);
}

static void
gateways_agree_whatever_the_order_and_only_by_the_same_seed(void)
{
	uint32_t size, differ = 0;
	struct sl_maglev_node turned[NODES];

	fill(NODES, 1);
	struct sl_img_point *p = build(NODES, 7, &size), *q = calloc(size, sizeof(*q));
	for (uint32_t i = 0; i < NODES; i++)
		turned[i] = nodes[NODES - 1 - i];
	sl_ring_build(turned, NODES, SL_MAX_RING, 7, q);
	for (uint32_t h = 0; h < 1u << 12; h++)
		CU_ASSERT_EQUAL(owner(p, size, h << 20), NODES - 1 - owner(q, size, h << 20));
	sl_ring_build(nodes, NODES, SL_MAX_RING, 8, q);
	for (uint32_t h = 0; h < 1u << 12; h++)
		differ += owner(p, size, h << 20) != owner(q, size, h << 20);
	CU_ASSERT(differ > 3 << 10);
	free(p);
	free(q);
}

static void
the_largest_ring_fits(void)
{
	static const struct {
		uint32_t cnt, weight, odd; /* odd: of the first */
		uint32_t size;
		const char *reason;
	} rows[] = {
		{0, 0, 0, 0, "nobody"},
		{3, 0, 0, 0, "no weight"},
		{1, 256, 256, 160, "a weight alone is 1"},
		{SL_MAX_SERVICE_ENDPOINTS, 1, 1, SL_MAX_SERVICE_ENDPOINTS * 40, "halved twice"},
		{SL_MAX_SERVICE_ENDPOINTS, 256, 255, 0, "halved until it fits"},
		{SL_MAX_SERVICE_ENDPOINTS, 1, 256, 0, "one heavy"},
		{SL_MAX_SERVICE_ENDPOINTS, 256, 1, 0, "the lightest is not left out"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t size;
		fill(rows[i].cnt, rows[i].weight);
		nodes[0].weight = rows[i].odd;
		struct sl_img_point *p = build(rows[i].cnt, 7, &size);
		bool *seen = calloc(rows[i].cnt + 1u, 1);
		uint32_t owners = 0;
		for (uint32_t j = 0; j < size; j++) {
			owners += !seen[p[j].endpoint];
			seen[p[j].endpoint] = true;
		}
		bool good = size <= SL_MAX_RING && (!rows[i].size || size == rows[i].size) &&
			    owners == (size ? rows[i].cnt : 0) && !size == !rows[i].weight;
		if (!good)
			printf("\n  %s: %u", rows[i].reason, size);
		CU_ASSERT(good);
		free(seen);
		free(p);
	}
}

SL_SUITE("ring", SL_TEST(points_are_sorted_and_of_endpoints_with_weight),
	 SL_TEST(shares_follow_weights),
	 SL_TEST(a_new_endpoint_takes_its_share_and_moves_nothing_else),
	 SL_TEST(gateways_agree_whatever_the_order_and_only_by_the_same_seed),
	 SL_TEST(the_largest_ring_fits))

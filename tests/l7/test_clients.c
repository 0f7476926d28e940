/* Connections of each client to a listener: exact over threads, each client for itself. */
#include "l7/clients.h"

#include <pthread.h>

#include "tests/suite.h"

enum { THREADS = 4, ROUNDS = 40000, MAX = 5, HELD = 24 };

static struct sl_clients *
table(void)
{
	struct sl_clients *c = aligned_alloc(SL_CACHE_LINE, sizeof(*c));

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	memset(c, 0, sizeof(*c));
	c->key = 0x9e3779b97f4a7c15ull;
	return c;
}

static struct sl_addr
v4(unsigned n)
{
	return sl_addr_from_v4((uint8_t[]){10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n});
}

static bool
is_empty(const struct sl_clients *c)
{
	for (unsigned l = 0; l < SL_CLIENT_LINES; l++)
		for (unsigned i = 0; i < SL_CLIENT_PLACES; i++)
			if (c->line[l].place[i].cnt)
				return false;
	return true;
}

static void
each_client_and_listener_has_its_own_number(void)
{
	struct sl_clients *c = table();
	struct sl_addr a = v4(1), b = v4(2);
	uint32_t taken[7];

	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_FALSE(sl_clients_full(c, 8, &a, 3));
		taken[i] = sl_clients_take(c, 8, &a, 3);
		CU_ASSERT_NOT_EQUAL(taken[i], 0);
	}
	CU_ASSERT_TRUE(sl_clients_full(c, 8, &a, 3));
	CU_ASSERT_EQUAL(sl_clients_take(c, 8, &a, 3), 0);
	taken[3] = sl_clients_take(c, 8, &b, 3);
	taken[4] = sl_clients_take(c, 9, &a, 3);
	taken[5] = sl_clients_take(c, 8, &a, 4); /* the limit was raised */
	CU_ASSERT_TRUE(taken[3] && taken[4] && taken[5]);
	CU_ASSERT_EQUAL(sl_clients_take(c, 8, &a, 2), 0);
	sl_clients_give(c, taken[0]);
	sl_clients_give(c, taken[1]);
	taken[0] = sl_clients_take(c, 8, &a, 3);
	CU_ASSERT_NOT_EQUAL(taken[0], 0);
	taken[1] = 0;
	taken[6] = 0;
	for (unsigned i = 0; i < 7; i++)
		sl_clients_give(c, taken[i]);
	CU_ASSERT_TRUE(is_empty(c));
	free(c);
}

static void
a_client_of_ipv6_is_a_64(void)
{
	struct sl_clients *c = table();
	struct sl_addr a = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1}}, b = a, other = a;

	b.b[15] = 9;
	other.b[7] = 2;
	CU_ASSERT_NOT_EQUAL(sl_clients_take(c, 1, &a, 1), 0);
	CU_ASSERT_EQUAL(sl_clients_take(c, 1, &b, 1), 0);
	CU_ASSERT_NOT_EQUAL(sl_clients_take(c, 1, &other, 1), 0);
	free(c);
}

static void
a_full_line_refuses_and_counts_nobody_for_another(void)
{
	struct sl_clients *c = table();
	uint32_t got = 0, refused = 0;

	for (unsigned n = 0; n < 200000; n++) {
		struct sl_addr a = v4(n);
		if (sl_clients_take(c, 1, &a, 1))
			got++;
		else
			refused++;
	}
	CU_ASSERT_TRUE(got <= SL_CLIENT_LINES * SL_CLIENT_PLACES && refused > 0);
	CU_ASSERT_TRUE(got > SL_CLIENT_LINES * SL_CLIENT_PLACES * 95 / 100);
	free(c);
}

static void
as_many_clients_as_lines_all_have_a_place_but_a_few(void)
{
	struct sl_clients *c = table();
	uint32_t refused = 0;

	for (unsigned n = 0; n < 2 * SL_CLIENT_LINES; n++) {
		struct sl_addr a = v4(n);
		refused += sl_clients_take(c, 1, &a, 1) == 0;
	}
	CU_ASSERT_TRUE(refused < 2 * SL_CLIENT_LINES / 500);
	free(c);
}

static struct {
	struct sl_clients *table;
	_Atomic int at[3]; /* connections of each client */
	_Atomic bool exceeded;
	_Atomic uint32_t refused;
} crowd;

static void *
connects(void *arg)
{
	uint32_t held[HELD] = {0};
	unsigned whose[HELD] = {0};

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned k = (unsigned)(i * 2654435761u >> 7) % HELD,
			 n = (i + *(unsigned *)arg) % 3;
		struct sl_addr a = v4(n);
		if (held[k]) {
			atomic_fetch_sub(&crowd.at[whose[k]], 1);
			sl_clients_give(crowd.table, held[k]);
		}
		held[k] = sl_clients_take(crowd.table, 3, &a, MAX);
		whose[k] = n;
		if (held[k] && atomic_fetch_add(&crowd.at[n], 1) >= MAX)
			crowd.exceeded = true;
		crowd.refused += held[k] == 0;
	}
	for (unsigned k = 0; k < HELD; k++) {
		if (held[k])
			atomic_fetch_sub(&crowd.at[whose[k]], 1);
		sl_clients_give(crowd.table, held[k]);
	}
	return NULL;
}

static void
threads_never_exceed_a_limit_and_leave_nothing(void)
{
	pthread_t thread[THREADS];
	unsigned number[THREADS];

	memset(&crowd, 0, sizeof(crowd));
	crowd.table = table();
	for (unsigned i = 0; i < THREADS; i++) {
		number[i] = i;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, connects, &number[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CU_ASSERT_FALSE(crowd.exceeded);
	CU_ASSERT_NOT_EQUAL(crowd.refused, 0);
	CU_ASSERT_TRUE(is_empty(crowd.table));
	free(crowd.table);
}

SL_SUITE("clients", SL_TEST(each_client_and_listener_has_its_own_number),
	 SL_TEST(a_client_of_ipv6_is_a_64),
	 SL_TEST(a_full_line_refuses_and_counts_nobody_for_another),
	 SL_TEST(as_many_clients_as_lines_all_have_a_place_but_a_few),
	 SL_TEST(threads_never_exceed_a_limit_and_leave_nothing))

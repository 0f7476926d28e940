/* The kernel's addresses as workers read them: found exactly, and whole while they change. */
#include "tests/suite.h"

#include "dataplane/punt.h"

#include <pthread.h>
#include <stdatomic.h>

static struct sl_punt_addrs shared;

/* The i-th of many addresses, of either family; their bytes are spread so that order is not that of i. */
static struct sl_addr
addr_of(unsigned i)
{
	uint32_t mix = i * 2654435761u;
	uint8_t v4[4] = {10, (uint8_t)(mix >> 8), (uint8_t)(mix >> 16), (uint8_t)(mix >> 24)};
	struct sl_addr a = sl_addr_from_v4(v4);

	if (i % 2)
		a = (struct sl_addr){.b = {0xfd, [9] = (uint8_t)mix, v4[1], v4[2], v4[3]}};
	return a;
}

static void
set(unsigned from, unsigned n)
{
	struct sl_addr a[SL_PUNT_ADDRS];

	for (unsigned i = 0; i < n; i++)
		a[i] = addr_of(from + i);
	sl_punt_addrs_set(&shared, a, n);
}

static unsigned
count(unsigned from, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		struct sl_addr a = addr_of(from + i);
		found += sl_punt_addrs_has(&shared, &a);
	}
	return found;
}

static void
none_is_found_before_any_is_set(void)
{
	struct sl_punt_addrs fresh = {0};
	struct sl_addr zero = {{0}}, a = addr_of(1);

	CU_ASSERT_FALSE(sl_punt_addrs_has(&fresh, &zero));
	CU_ASSERT_FALSE(sl_punt_addrs_has(&fresh, &a));
}

static void
exactly_those_set_are_found(void)
{
	for (unsigned n = 0; n <= SL_PUNT_ADDRS; n += n < 8 ? 1 : 31) {
		set(0, n);
		CU_ASSERT_EQUAL(count(0, n), n);
		CU_ASSERT_EQUAL(count(n, 2000), 0);
	}
	set(500, SL_PUNT_ADDRS);
	CU_ASSERT_EQUAL(count(500, SL_PUNT_ADDRS), SL_PUNT_ADDRS);
	CU_ASSERT_EQUAL(count(0, 500), 0);
}

static _Atomic bool stop;

/* Addresses 0 to 63 are always there, 1000 to 1063 never; the others come and go, and move those. */
static void *
reader(void *ret_wrong)
{
	unsigned long *wrong = ret_wrong;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		*wrong += 64 - count(0, 64) + count(1000, 64);
	return NULL;
}

static void
readers_see_them_whole_while_they_change(void)
{
	unsigned long wrong = 0;
	pthread_t t;

	set(0, 64);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, reader, &wrong), 0);
	for (unsigned i = 0; i < 20000; i++)
		set(0, 64 + i * 7 % (SL_PUNT_ADDRS - 64));
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(wrong, 0);
}

SL_SUITE("dataplane/punt", SL_TEST(none_is_found_before_any_is_set),
	 SL_TEST(exactly_those_set_are_found), SL_TEST(readers_see_them_whole_while_they_change))

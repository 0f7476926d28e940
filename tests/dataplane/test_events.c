/* The ring of access-log records: what one side puts the other takes, in order and whole; what does not fit is lost and
 * counted; and neither side believes a number of the other's. */
#include "sluice/events.h"
#include "tests/suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define SIZE 4096u
#define RECORD_MAX (SIZE / 4)

static void *region;

static struct sl_events_worker *
ring(void)
{
	size_t bytes = sl_events_bytes(1, SIZE);

	free(region);
	region = aligned_alloc(4096, bytes);
	memset(region, 0, bytes);
	sl_events_init(region, 1, SIZE, 7);
	CU_ASSERT_EQUAL_FATAL(sl_events_check(region, bytes), 0);
	return sl_events_worker(region, 0);
}

/* A record that says its number in every word. */
static bool
put(struct sl_events_worker *w, uint32_t size, uint32_t bytes, uint64_t number)
{
	uint8_t *p = sl_events_put(w, size, bytes);

	if (!p)
		return false;
	*(struct sl_event *)p = (struct sl_event){bytes, SL_EVENT_ACCESS, 0};
	for (uint32_t i = 8; i < bytes; i += 8)
		sl_store64(p + i, number * 0x9e3779b97f4a7c15u + i);
	sl_events_commit(w, bytes);
	return true;
}

static bool
whole(const uint8_t *p, long bytes, uint64_t number)
{
	for (long i = 8; i < bytes; i += 8)
		if (sl_load64(p + i) != number * 0x9e3779b97f4a7c15u + (uint64_t)i)
			return false;
	return true;
}

static uint32_t
some_bytes(uint64_t number, uint32_t max)
{
	return (uint32_t)(8 + number * 2654435761u % (max / 8) * 8);
}

static _Alignas(8) uint8_t buf[RECORD_MAX];

static void
a_region_is_as_large_as_its_parts_and_no_range_is_stretched(void)
{
	static const struct {
		unsigned workers;
		uint32_t size;
		size_t bytes;
		const char *why;
	} rows[] = {
		{1, 4096, 4096 + 8192 + 4096, "the smallest"},
		{64, 1u << 28, 4096 + 64 * (8192 + (1ul << 28)), "the largest"},
		{0, 4096, 0, "no worker"},
		{65, 4096, 0, "too many"},
		{1, 2048, 0, "too small"},
		{1, 1u << 29, 0, "too large"},
		{1, 12288, 0, "no power of two"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		if (sl_events_bytes(rows[i].workers, rows[i].size) != rows[i].bytes)
			CU_FAIL(rows[i].why);
}

static void
a_region_that_is_not_sound_is_not_walked(void)
{
	static const struct {
		size_t off, bytes;
		uint64_t value;
		const char *why;
	} rows[] = {
		{offsetof(struct sl_events_head, magic), 4, 1, "another magic"},
		{offsetof(struct sl_events_head, version), 4, SL_EVENTS_VERSION + 1,
		 "another version"},
		{offsetof(struct sl_events_head, worker_cnt), 4, 3, "a worker more"},
		{offsetof(struct sl_events_head, worker_cnt), 4, 0, "no worker"},
		{offsetof(struct sl_events_head, size), 4, 8192, "a larger ring"},
		{offsetof(struct sl_events_head, size), 4, 4095, "no power of two"},
		{offsetof(struct sl_events_head, worker_off), 4, 0, "another place"},
		{offsetof(struct sl_events_head, worker_bytes), 8, 4096, "other steps"},
		{offsetof(struct sl_events_head, bytes), 8, 1, "another length"},
		{offsetof(struct sl_events_head, zero), 4, 1, "a bit that has no meaning"},
	};
	size_t bytes = sl_events_bytes(2, SIZE);
	uint8_t *m = aligned_alloc(4096, bytes);

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		memset(m, 0, 4096);
		sl_events_init(m, 2, SIZE, 7);
		CU_ASSERT_EQUAL(sl_events_check(m, bytes), 0);
		memcpy(m + rows[i].off, &rows[i].value, rows[i].bytes);
		if (sl_events_check(m, bytes) != -EINVAL)
			CU_FAIL(rows[i].why);
	}
	memset(m, 0, 4096);
	sl_events_init(m, 2, SIZE, 7);
	CU_ASSERT_EQUAL(sl_events_check(m, bytes - 1), -EINVAL);
	CU_ASSERT_EQUAL(sl_events_check(m, 64), -EINVAL);
	CU_ASSERT_PTR_EQUAL(sl_events_worker(m, 1), m + 4096 + 8192 + SIZE);
	free(m);
}

/* Every length, so that each place of the ring is once where a record ends and does not fit. */
static void
records_come_out_as_they_went_in_across_the_end_of_the_ring(void)
{
	struct sl_events_worker *w = ring();
	uint64_t taken = 0;
	long n;

	for (uint64_t i = 0; i < 5000; i++) {
		uint32_t bytes = some_bytes(i, RECORD_MAX);
		CU_ASSERT_FATAL(put(w, SIZE, bytes, i));
		if (i % 3 == 0)
			continue;
		while ((n = sl_events_take(w, SIZE, buf, sizeof(buf))) > 0) {
			CU_ASSERT_FATAL(n == some_bytes(taken, RECORD_MAX));
			CU_ASSERT_FATAL(whole(buf, n, taken++));
		}
		CU_ASSERT_EQUAL(n, 0);
	}
	while ((n = sl_events_take(w, SIZE, buf, sizeof(buf))) > 0)
		CU_ASSERT_FATAL(whole(buf, n, taken++));
	CU_ASSERT_EQUAL(taken, 5000);
	CU_ASSERT_EQUAL(atomic_load(&w->lost), 0);
	CU_ASSERT_EQUAL(atomic_load(&w->tail), atomic_load(&w->head));
}

static void
what_finds_no_room_is_lost_and_counted_and_the_rest_stays(void)
{
	struct sl_events_worker *w = ring();
	unsigned in = 0;

	while (put(w, SIZE, 504, in))
		in++;
	CU_ASSERT_EQUAL(in, 8); /* 8 × 504 = 4032 */
	CU_ASSERT_EQUAL(atomic_load(&w->lost), 1);
	CU_ASSERT_TRUE(put(w, SIZE, 64, in)); /* to the last byte */
	CU_ASSERT_FALSE(put(w, SIZE, 8, 0));
	CU_ASSERT_EQUAL(atomic_load(&w->lost), 2);
	for (unsigned i = 0; i <= in; i++) {
		long n = sl_events_take(w, SIZE, buf, sizeof(buf));
		CU_ASSERT_EQUAL(n, i < in ? 504 : 64);
		CU_ASSERT_TRUE(whole(buf, n, i));
	}
	CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 0);
	CU_ASSERT_TRUE(put(w, SIZE, 1024, 99));
}

/* The rest before the end of the ring and the record must both fit: else a PAD would be in the way of what is not read. */
static void
a_pad_takes_no_room_that_is_not_there(void)
{
	struct sl_events_worker *w = ring();

	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_TRUE(put(w, SIZE, i == 3 ? 1016 : 1024, i));
	CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 1024);
	uint64_t head = atomic_load(&w->head);
	CU_ASSERT_TRUE(put(w, SIZE, 1024, 4)); /* 8 of PAD and the place of the first */
	CU_ASSERT_EQUAL(atomic_load(&w->head), head + 8 + 1024);
	CU_ASSERT_FALSE(put(w, SIZE, 8, 5));
	for (unsigned i = 1; i < 5; i++) {
		long n = sl_events_take(w, SIZE, buf, sizeof(buf));
		CU_ASSERT_TRUE(n > 0 && whole(buf, n, i));
	}
	CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 0);
}

static void
lengths_that_are_none_are_lost(void)
{
	static const uint32_t wrong[] = {0, 4, 9, 1025, 1032, UINT32_MAX, UINT32_MAX - 7};
	struct sl_events_worker *w = ring();

	for (unsigned i = 0; i < SL_ARRAY_CNT(wrong); i++)
		CU_ASSERT_PTR_NULL(sl_events_put(w, SIZE, wrong[i]));
	CU_ASSERT_EQUAL(atomic_load(&w->lost), SL_ARRAY_CNT(wrong));
	CU_ASSERT_EQUAL(atomic_load(&w->head), 0);
}

static void
a_tail_that_cannot_be_is_a_full_ring(void)
{
	static const uint64_t tails[] = {4096 + 8, UINT64_MAX, 1ull << 63, 4104};
	struct sl_events_worker *w = ring();

	CU_ASSERT_TRUE(put(w, SIZE, 64, 1));
	for (unsigned i = 0; i < SL_ARRAY_CNT(tails); i++) {
		atomic_store(&w->tail, tails[i]);
		CU_ASSERT_PTR_NULL(sl_events_put(w, SIZE, 64));
		CU_ASSERT_EQUAL(atomic_load(&w->lost), i + 1);
	}
	atomic_store(&w->tail, 0);
	CU_ASSERT_TRUE(put(w, SIZE, 64, 2));
	/* its own head, written over: nothing leaves the ring */
	for (unsigned i = 0; i < 4096; i++) {
		atomic_store(&w->head, 0x123456789abcull + i);
		atomic_store(&w->tail, 0x123456789abcull + i);
		uint8_t *p = sl_events_put(w, SIZE, 1024);
		CU_ASSERT_FATAL(!p || (p >= w->data && p + 1024 <= w->data + SIZE));
	}
}

static void
a_head_that_cannot_be_is_an_empty_ring(void)
{
	static const uint64_t heads[] = {4104, UINT64_MAX, 1ull << 63};
	struct sl_events_worker *w = ring();

	for (unsigned i = 0; i < SL_ARRAY_CNT(heads); i++) {
		atomic_store(&w->head, heads[i]);
		CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 0);
		CU_ASSERT_EQUAL(atomic_load(&w->tail), 0);
	}
}

static void
what_is_no_record_is_passed_over_once_and_the_next_is_read(void)
{
	static const struct {
		struct sl_event e;
		uint32_t head; /* where the worker says it stands */
		const char *why;
	} rows[] = {
		{{0, SL_EVENT_ACCESS, 0}, 128, "no length: it would never end"},
		{{4, SL_EVENT_ACCESS, 0}, 128, "shorter than its head"},
		{{12, SL_EVENT_ACCESS, 0}, 128, "not aligned"},
		{{136, SL_EVENT_ACCESS, 0}, 128, "longer than what was written"},
		{{UINT32_MAX - 7, SL_EVENT_ACCESS, 0}, 128, "longer than the ring"},
		{{2048, SL_EVENT_ACCESS, 0}, 4096, "longer than the reader's place"},
		{{64, 3, 0}, 128, "a type that is none"},
		{{64, 0, 0}, 128, "likewise"},
		{{64, SL_EVENT_ACCESS, 1}, 128, "a bit that has no meaning"},
		{{64, SL_EVENT_PAD, 0}, 128, "a PAD that does not reach the end"},
		{{64, SL_EVENT_ACCESS, 0}, 132, "a head that is not aligned"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_events_worker *w = ring();
		memcpy(w->data, &rows[i].e, sizeof(rows[i].e));
		atomic_store(&w->tail, 2 * SIZE);
		atomic_store(&w->head, 2 * SIZE + rows[i].head);
		if (sl_events_take(w, SIZE, buf, sizeof(buf)) != -EBADMSG)
			CU_FAIL(rows[i].why);
		CU_ASSERT_EQUAL(atomic_load(&w->tail), 2 * SIZE + rows[i].head);
		CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 0);
		if (rows[i].head % 8)
			continue;
		CU_ASSERT_TRUE(put(w, SIZE, 64, i));
		CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 64);
	}
}

/* Whatever stands in the ring, nothing behind it is read (it ends at a page that faults), and reading ends. */
static void
no_bytes_make_the_reader_leave_the_ring(void)
{
	const size_t bytes = sizeof(struct sl_events_worker) + SIZE;
	struct sl_events_worker *w = (void *)guard_buf(bytes);
	uint64_t x = 88172645463325252ull;

	for (unsigned round = 0; round < 5000; round++) {
		for (unsigned i = 0; i < SIZE; i += 8) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			struct sl_event e = {(uint32_t)(x % 640) * (x >> 60 ? 8 : 1),
					     (uint16_t)(x >> 20 & 3), (uint16_t)(x >> 40 == 1)};
			memcpy(w->data + i, &e, sizeof(e));
		}
		atomic_store(&w->tail, x & ~7ull);
		atomic_store(&w->head, (x & ~7ull) + x % (SIZE + 64));
		for (unsigned n = 0; sl_events_take(w, SIZE, buf, sizeof(buf)) != 0; n++)
			CU_ASSERT_FATAL(n <= SIZE / 8);
	}
	guard_free((uint8_t *)w, bytes);
}

#define MANY 300000u

static void *
producer(void *arg)
{
	struct sl_events_worker *w = arg;

	for (uint64_t i = 0; i < MANY;)
		i += put(w, SIZE, some_bytes(i, 256), i);
	return NULL;
}

static void
two_threads_lose_nothing_but_what_is_counted(void)
{
	struct sl_events_worker *w = ring();
	pthread_t t;
	uint64_t taken = 0;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, producer, w), 0);
	while (taken < MANY) {
		long n = sl_events_take(w, SIZE, buf, sizeof(buf));
		CU_ASSERT_FATAL(n >= 0);
		if (n == 0)
			continue;
		CU_ASSERT_EQUAL_FATAL(n, some_bytes(taken, 256));
		CU_ASSERT_FATAL(whole(buf, n, taken));
		taken++;
	}
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(sl_events_take(w, SIZE, buf, sizeof(buf)), 0);
	free(region);
	region = NULL;
}

static void
flags_have_the_names_that_people_know(void)
{
	CU_ASSERT_STRING_EQUAL(sl_rflag_name(0), "UH");
	CU_ASSERT_STRING_EQUAL(sl_rflag_name(SL_RF_BIT_URX), "URX");
	CU_ASSERT_STRING_EQUAL(sl_rflag_text(SL_RF_BIT_NR), "no route");
	CU_ASSERT_STRING_EQUAL(sl_rflag_name(SL_RF_CNT), "unknown");
	CU_ASSERT_STRING_EQUAL(sl_rflag_text(31), "unknown");
}

SL_SUITE("events", SL_TEST(a_region_is_as_large_as_its_parts_and_no_range_is_stretched),
	 SL_TEST(a_region_that_is_not_sound_is_not_walked),
	 SL_TEST(records_come_out_as_they_went_in_across_the_end_of_the_ring),
	 SL_TEST(what_finds_no_room_is_lost_and_counted_and_the_rest_stays),
	 SL_TEST(a_pad_takes_no_room_that_is_not_there), SL_TEST(lengths_that_are_none_are_lost),
	 SL_TEST(a_tail_that_cannot_be_is_a_full_ring),
	 SL_TEST(a_head_that_cannot_be_is_an_empty_ring),
	 SL_TEST(what_is_no_record_is_passed_over_once_and_the_next_is_read),
	 SL_TEST(no_bytes_make_the_reader_leave_the_ring),
	 SL_TEST(two_threads_lose_nothing_but_what_is_counted),
	 SL_TEST(flags_have_the_names_that_people_know))

#include "sluice/stats.h"

#include <errno.h>

#include "tests/suite.h"

/* The third is longer than a name may be: it is cut. */
static const char *const names[] = {
	"eth0",
	"eth1",
	"a.port.whose.name.has.more.than.sixty.three.characters.as.one.can.count",
};

static void *
segment(unsigned workers, unsigned ports, size_t *ret_bytes)
{
	*ret_bytes = sl_stats_bytes(workers, ports);
	void *m =
		mmap(NULL, *ret_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		abort();
	sl_stats_init(m, workers, ports, names, 42, 1000000000);
	return m;
}

static void
every_value_lies_in_the_bucket_whose_floor_is_below(void)
{
	for (unsigned i = 0; i + 1 < SL_HIST_BUCKETS; i++) {
		uint64_t lo = sl_hist_floor(i), next = sl_hist_floor(i + 1);
		CU_ASSERT(lo < next);
		CU_ASSERT_EQUAL(sl_hist_index(lo), i);
		CU_ASSERT_EQUAL(sl_hist_index(next - 1), i);
		/* Error at most 6.25 %. */
		CU_ASSERT(next - lo <= 1 || (next - lo) * 16 <= lo);
	}
	CU_ASSERT_EQUAL(sl_hist_index(UINT64_MAX), SL_HIST_BUCKETS - 1);
	CU_ASSERT_EQUAL(sl_hist_floor(SL_HIST_BUCKETS - 1), 31ull << 31);
	CU_ASSERT_EQUAL(sl_hist_floor(UINT32_MAX), 31ull << 31);
}

static void
hist_add_counts_and_sums(void)
{
	static struct sl_hist h;

	sl_hist_add(&h, 3);
	sl_hist_add(&h, 100);
	sl_hist_add(&h, 100);
	CU_ASSERT_EQUAL(h.cnt, 3);
	CU_ASSERT_EQUAL(h.sum, 203);
	CU_ASSERT_EQUAL(h.bucket[3], 1);
	CU_ASSERT_EQUAL(h.bucket[sl_hist_index(100)], 2);
}

static void
regions_neither_overlap_nor_leave_the_segment(void)
{
	static const struct {
		unsigned workers, ports;
	} rows[] = {{1, 0}, {1, 1}, {2, 3}, {3, 2}};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		size_t bytes;
		char *m = segment(rows[r].workers, rows[r].ports, &bytes);
		char *end = m + sizeof(struct sl_stats_head);
		CU_ASSERT_EQUAL(sl_stats_check(m, bytes), 0);
		for (unsigned w = 0; w < rows[r].workers; w++) {
			const struct {
				void *at;
				size_t bytes;
			} parts[] = {
				{sl_stats_worker(m, w), sizeof(struct sl_stats_worker)},
				{sl_stats_ports(m, w),
				 rows[r].ports * sizeof(struct sl_stats_port)},
				{sl_stats_listeners(m, w),
				 SL_MAX_LISTENERS * sizeof(struct sl_stats_listener)},
				{sl_stats_services(m, w),
				 SL_MAX_SERVICES * sizeof(struct sl_stats_service)},
				{sl_stats_endpoints(m, w),
				 SL_MAX_ENDPOINTS * sizeof(struct sl_stats_endpoint)},
			};
			CU_ASSERT_EQUAL((uintptr_t)parts[0].at % 4096, 0);
			for (unsigned i = 0; i < SL_ARRAY_CNT(parts); i++) {
				CU_ASSERT((char *)parts[i].at >= end);
				CU_ASSERT_EQUAL((uintptr_t)parts[i].at % SL_CACHE_LINE, 0);
				end = (char *)parts[i].at + parts[i].bytes;
			}
		}
		CU_ASSERT(end <= m + bytes);
		munmap(m, bytes);
	}
}

static void
names_are_kept(void)
{
	size_t bytes;
	struct sl_stats_head *h = segment(1, 3, &bytes);

	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(strncmp(h->port_name[i], names[i], SL_NAME_MAX - 1), 0);
	CU_ASSERT_EQUAL(h->port_name[2][SL_NAME_MAX - 1], 0);
	CU_ASSERT_EQUAL(h->boot_id, 42);
	munmap(h, bytes);
}

static void
check_refuses_what_may_not_be_walked(void)
{
	size_t bytes;
	struct sl_stats_head *h = segment(2, 1, &bytes);
	const struct sl_stats_head good = *h;

	CU_ASSERT_EQUAL(sl_stats_check(h, bytes), 0);
	CU_ASSERT_EQUAL(sl_stats_check(h, bytes - 1), -EINVAL);
	CU_ASSERT_EQUAL(sl_stats_check(h, sizeof(*h) - 1), -EINVAL);
	CU_ASSERT_EQUAL(sl_stats_check(h, 0), -EINVAL);
#define BAD(field, value)                                                                          \
	h->field = value;                                                                          \
	CU_ASSERT_EQUAL(sl_stats_check(h, bytes), -EINVAL);                                        \
	*h = good
	BAD(magic, 0);
	BAD(version, 99);
	BAD(worker_cnt, 0);
	BAD(worker_cnt, 3);
	BAD(worker_cnt, 65);
	BAD(worker_cnt, UINT32_MAX);
	BAD(port_cnt, 33);
	BAD(ticks_per_s, 0);
	BAD(worker_off, good.worker_off + 4096);
	BAD(worker_bytes, UINT64_MAX);
	BAD(port_off, 0);
	BAD(listener_off, UINT32_MAX);
	BAD(service_off, good.service_off + 1);
	BAD(endpoint_off, good.endpoint_off + 64);
	BAD(port_name[0][SL_NAME_MAX - 1], 'x');
#undef BAD
	CU_ASSERT_EQUAL(sl_stats_check(h, bytes), 0);
	munmap(h, bytes);
}

SL_SUITE("stats", SL_TEST(every_value_lies_in_the_bucket_whose_floor_is_below),
	 SL_TEST(hist_add_counts_and_sums), SL_TEST(regions_neither_overlap_nor_leave_the_segment),
	 SL_TEST(names_are_kept), SL_TEST(check_refuses_what_may_not_be_walked))

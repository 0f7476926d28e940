#include "lb/flow_scan.h"

#include <pthread.h>

#include "tests/lb/region.h"
#include "tests/suite.h"

#define NOW REGION_NOW
#define FLOWS 600

static uint64_t rng;

static uint64_t
draw(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Flow n is with worker n % 2. */
static struct sl_flows_head *
filled(uint32_t capacity, uint32_t cnt)
{
	struct sl_flows_head *h = region_make(2, capacity, capacity);

	for (uint32_t n = 0; n < cnt; n++)
		CU_ASSERT_NOT_EQUAL_FATAL(region_put(sl_flows_table(h, n % 2), n, NOW),
					  SL_FLOW_NONE);
	for (unsigned w = 0; w < 2; w++)
		sl_flow_sweep(sl_flows_table(h, w), 1, NOW, NULL, NULL);
	return h;
}

/* What is wrong with a record that a scan showed, or NULL; notes it in seen[cnt]. */
static const char *
record_wrong(const struct sl_flow_record *r, uint32_t cnt, uint8_t *seen)
{
	uint32_t n;
	unsigned half;

	if (!region_number(&r->tuple, cnt, &n, &half))
		return "a flow that never was";
	if (half)
		return "the reply half of a pair";
	if (seen[n]++)
		return "a flow twice";
	if (r->slot != region_slot(n) || r->incarnation != region_incarnation(n))
		return "another endpoint";
	if ((r->state & SL_FLOW_ROLE_MASK) != region_role(n, 0))
		return "another role";
	struct sl_addr addr = {0};
	sl_be16 port = 0;
	if (region_kind(n) == NAT_REPLY) {
		addr = region_vip(n);
		port = (sl_be16)n;
	} else if (region_is_pair(n)) {
		addr = region_tuple(n, 1).dst;
		port = region_tuple(n, 1).dport;
	}
	return sl_addr_eq(&addr, &r->other_addr) && port == r->other_port ? NULL
									  : "another address";
}

/* A whole scan in given steps; the number of records, and what is wrong with the first that is. */
static unsigned
scan_all(const struct sl_flows_head *h, size_t bytes, unsigned max, unsigned buckets, uint32_t cnt,
	 uint8_t *seen, struct sl_flow_scan *s, const char **ret_wrong)
{
	struct sl_flow_record r[64];
	bool end = false;
	unsigned total = 0;

	memset(seen, 0, cnt);
	*ret_wrong = sl_flow_scan_init(s, h, bytes);
	while (!*ret_wrong && !end) {
		unsigned n = sl_flow_scan_next(s, r, max, buckets, &end);
		if (n > max)
			*ret_wrong = "more than asked for";
		for (unsigned i = 0; i < n && !*ret_wrong; i++) {
			*ret_wrong = record_wrong(&r[i], cnt, seen);
			if (!*ret_wrong && r[i].worker >= 2)
				*ret_wrong = "another worker";
		}
		total += n;
	}
	return total;
}

static void
a_scan_shows_every_flow_once_in_steps_of_any_size(void)
{
	struct sl_flows_head *h = filled(1024, FLOWS);
	static const struct {
		unsigned max, buckets;
	} steps[] = {{64, 1u << 20}, {1, 1}, {3, 2}, {64, 7}, {5, 1000}};
	struct sl_flow_scan s;
	uint8_t seen[FLOWS];
	const char *wrong;

	for (unsigned i = 0; i < SL_ARRAY_CNT(steps); i++) {
		unsigned n = scan_all(h, h->bytes, steps[i].max, steps[i].buckets, FLOWS, seen, &s,
				      &wrong);
		if (wrong)
			printf("  %s\n", wrong);
		CU_ASSERT_PTR_NULL(wrong);
		CU_ASSERT_EQUAL(n, FLOWS);
		CU_ASSERT_EQUAL(s.skipped, 0);
		CU_ASSERT_EQUAL(s.looked, FLOWS + FLOWS / 3);
	}
	struct sl_flow_record r;
	bool end = false;
	CU_ASSERT_EQUAL(sl_flow_scan_next(&s, &r, 1, 1, &end), 0);
	CU_ASSERT_TRUE(end);
	region_free(h, h->bytes);
}

static void
times_follow_the_state(void)
{
	static const uint16_t lasts[8] = {0, 120, 14400, 28, 120, 120};
	struct sl_flows_head *h = filled(1024, FLOWS);
	struct sl_flow_record r[FLOWS];
	struct sl_flow_scan s;
	bool end;

	/* Ten seconds of silence; of pair PAIR_UDP the reply half was seen five seconds ago. */
	struct sl_flow_table *t = sl_flows_table(h, PAIR_UDP % 2);
	struct sl_tuple k = region_tuple(PAIR_UDP, 1);
	const struct sl_tuple *at = &k;
	uint64_t hash;
	uint32_t idx;
	sl_flow_find_burst(t, &at, &hash, &idx, 1, NOW + 20);
	for (unsigned w = 0; w < 2; w++)
		sl_flow_sweep(sl_flows_table(h, w), 1, NOW + 40, NULL, NULL);
	CU_ASSERT_PTR_NULL_FATAL(sl_flow_scan_init(&s, h, h->bytes));
	unsigned n = sl_flow_scan_next(&s, r, FLOWS, UINT32_MAX, &end);
	CU_ASSERT_TRUE(end);
	unsigned shown = 0;
	for (uint32_t i = 0; i < FLOWS; i++)
		shown += lasts[region_state(i)] > 40;
	CU_ASSERT_EQUAL(n, shown);
	for (unsigned i = 0; i < n; i++) {
		uint32_t number = 0;
		unsigned half;
		CU_ASSERT_TRUE_FATAL(region_number(&r[i].tuple, FLOWS, &number, &half));
		CU_ASSERT_EQUAL(r[i].worker, number % 2);
		CU_ASSERT_EQUAL(r[i].idle_q, number == PAIR_UDP ? 20 : 40);
		CU_ASSERT_EQUAL(r[i].left_q + r[i].idle_q, lasts[region_state(number)]);
	}
	region_free(h, h->bytes);
}

static void
a_region_that_is_none_is_refused(void)
{
	struct sl_flows_head *h = filled(1024, 1);
	size_t bytes = h->bytes;
	SL_ALIGNED struct sl_flow_scan s;

	CU_ASSERT_PTR_NULL(sl_flow_scan_init(&s, h, bytes));
	CU_ASSERT_PTR_NOT_NULL(sl_flow_scan_init(&s, h, bytes - 4096));
	CU_ASSERT_PTR_NOT_NULL(sl_flow_scan_init(&s, h, 64));
	h->capacity = 2048;
	CU_ASSERT_PTR_NOT_NULL(sl_flow_scan_init(&s, h, bytes));
	h->capacity = 1024;
	h->version++;
	CU_ASSERT_PTR_NOT_NULL(sl_flow_scan_init(&s, h, bytes));
	region_free(h, bytes);
}

/* The region ends before a page that must not be touched. */
static void
damage_never_leads_outside_nor_shows_what_never_was(void)
{
	struct sl_flows_head *made = filled(1024, FLOWS);
	size_t bytes = made->bytes;
	uint8_t *raw = guard_buf(bytes);
	uint8_t seen[FLOWS];
	struct sl_flow_scan s;
	unsigned bad = 0;
	uint64_t skipped = 0;

	memcpy(raw, made, bytes);
	rng = 3;
	for (unsigned round = 0; round < 4000 && bad < 5; round++) {
		struct sl_flows_head *h = (struct sl_flows_head *)raw;
		struct sl_flow_table *t = sl_flows_table(h, round & 1);
		uint8_t *table = (uint8_t *)t;
		size_t used = round % 8 ? sl_flow_bytes(1024, 1024) : sizeof(*t);
		for (unsigned n = 1 + draw() % 30; n > 0; n--)
			table[draw() % used] ^= (uint8_t)draw();
		const char *wrong;
		scan_all(h, bytes, 64, UINT32_MAX, FLOWS, seen, &s, &wrong);
		if (wrong) {
			printf("  round %u: %s\n", round, wrong);
			bad++;
		}
		skipped += s.skipped;
		memcpy(table, sl_flows_table(made, round & 1), sl_flow_bytes(1024, 1024));
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(skipped > 10000);
	guard_free(raw, bytes);
	region_free(made, bytes);
}

/* ---- beside a writer ---- */

#define STABLE 400
#define ALL 1000

struct writer {
	struct sl_flows_head *h;
	uint64_t ops;  /* atomic; read by the test, relaxed: a count alone */
	uint32_t stop; /* atomic; relaxed likewise */
};

/* Flows [STABLE, ALL) come and go, all others are only refreshed and seen. */
static void *
write_along(void *arg)
{
	struct writer *w = arg;
	uint64_t z = 1;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		z = z * 6364136223846793005ull + 1442695040888963407ull;
		uint32_t n = (uint32_t)(z >> 33) % ALL;
		struct sl_flow_table *t = sl_flows_table(w->h, n % 2);
		struct sl_tuple k = region_tuple(n, z >> 32 & region_is_pair(n));
		const struct sl_tuple *at = &k;
		uint64_t hash;
		uint32_t idx;
		sl_flow_find_burst(t, &at, &hash, &idx, 1, NOW);
		if (idx == SL_FLOW_NONE)
			region_put(t, n, NOW);
		else if (n < STABLE || (z >> 40 & 1))
			sl_flow_seen(t, hash, idx, n & 1 ? SL_TCP_ACK : SL_TCP_FIN, false, NOW);
		else
			sl_flow_remove(t, hash, idx);
		__atomic_fetch_add(&w->ops, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
beside_a_writer_a_scan_misses_nothing_that_stays_and_invents_nothing(void)
{
	struct sl_flows_head *h = filled(4096, STABLE);
	struct writer w = {.h = h};
	struct sl_flow_scan s;
	uint8_t seen[ALL];
	unsigned bad = 0, scans = 0;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_along, &w), 0);
	while (bad < 5 && (scans < 200 || __atomic_load_n(&w.ops, __ATOMIC_RELAXED) < 200000)) {
		const char *wrong;
		unsigned missed = 0;
		scan_all(h, h->bytes, 64, 16, ALL, seen, &s, &wrong);
		/* One that was removed and put in again elsewhere while we looked is no mistake. */
		if (wrong && strcmp(wrong, "a flow twice") == 0)
			continue;
		for (uint32_t n = 0; n < STABLE; n++)
			missed += !wrong && !seen[n];
		if (wrong || missed) {
			printf("  scan %u: %s, missed %u\n", scans, wrong ? wrong : "", missed);
			bad++;
		}
		scans++;
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(bad, 0);
	region_free(h, h->bytes);
}

SL_SUITE("flow_scan", SL_TEST(a_scan_shows_every_flow_once_in_steps_of_any_size),
	 SL_TEST(times_follow_the_state), SL_TEST(a_region_that_is_none_is_refused),
	 SL_TEST(damage_never_leads_outside_nor_shows_what_never_was),
	 SL_TEST(beside_a_writer_a_scan_misses_nothing_that_stays_and_invents_nothing))

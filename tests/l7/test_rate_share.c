/* A limit that several gateways share: what passes at all of them together, while parts of it go from one to the other. */
#include "l7/rate.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "tests/suite.h"

enum { GATEWAYS = 3, WORKERS = 2, SLOT = 7, MEMORY = SL_RATE_MEMORY_MIN, LOG_MAX = 1 << 18 };
static const uint64_t ms = 1000000, start = 3600000000000ull;

struct gateway {
	void *mem;
	struct sl_state_seg *seg;
	struct sl_rates *worker[WORKERS];
	const uint64_t *now_ns;
	uint32_t share;
};

struct group {
	uint64_t now_ns; /* CLOCK_MONOTONIC of all */
	struct gateway gw[GATEWAYS];
	uint64_t at[LOG_MAX];
	size_t cnt;
};

static uint64_t
now_of(void *gateway)
{
	const struct gateway *g = gateway;

	return *g->now_ns;
}

static struct group *
group_make(void)
{
	static const struct sl_hash_key key = {.b = {1, 2, 3, 5, 8, 13, 21}};
	struct group *all = calloc(1, sizeof(*all));

	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	all->now_ns = start;
	for (unsigned i = 0; i < GATEWAYS; i++) {
		struct gateway *g = &all->gw[i];
		const struct sl_rate_words words = {
			.seg = g->seg = calloc(1, sizeof(*g->seg)),
			.monotonic_ns = now_of,
			.ctx = g,
		};
		g->now_ns = &all->now_ns;
		g->mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
		CU_ASSERT_FATAL(g->seg && g->mem != MAP_FAILED);
		g->seg->share_until_ns = g->seg->floor_until_ns = UINT64_MAX;
		struct sl_rates_shared *shared = sl_rates_shared_init(g->mem, MEMORY, &key);
		for (unsigned w = 0; w < WORKERS; w++) {
			g->worker[w] = sl_rates_init(malloc(sl_rates_bytes()), shared, WORKERS);
			sl_rates_words(g->worker[w], &words);
		}
	}
	return all;
}

static void
group_free(struct group *all)
{
	for (unsigned i = 0; i < GATEWAYS; i++) {
		for (unsigned w = 0; w < WORKERS; w++)
			free(all->gw[i].worker[w]);
		munmap(all->gw[i].mem, MEMORY);
		free(all->gw[i].seg);
	}
	free(all);
}

static struct sl_img_rate
limit(uint32_t tokens, uint32_t per_ms)
{
	return (struct sl_img_rate){
		.slot = SLOT,
		.incarnation = 4,
		.tokens = tokens,
		.per_ms = per_ms,
		.key = SL_RATE_ALL,
		.flags = SL_RATE_SHARED,
		.name = "a",
	};
}

static void
say(struct gateway *g, uint32_t share)
{
	g->share = share;
	g->seg->share[SLOT].share = sl_state_share_make(share, 4);
}

static bool
take(struct group *all, unsigned i, unsigned w, const struct sl_img_rate *r)
{
	struct sl_rates *rates = all->gw[i].worker[w];
	struct sl_rate_verdict v;

	sl_rate_take(rates, r, sl_rate_share(rates, r), "key", 3, all->now_ns, &v);
	if (v.allowed && all->cnt < LOG_MAX)
		all->at[all->cnt++] = v.at_ns;
	return v.allowed;
}

static unsigned
takes(struct group *all, unsigned i, const struct sl_img_rate *r, unsigned n)
{
	unsigned got = 0;

	while (n--)
		got += take(all, i, n % WORKERS, r);
	return got;
}

static int
earlier(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The most that any window of per holds. */
static size_t
most(struct group *all, uint64_t per_ns)
{
	size_t first = 0, ret = 0;

	qsort(all->at, all->cnt, sizeof(*all->at), earlier);
	for (size_t i = 0; i < all->cnt; i++) {
		while (all->at[i] - all->at[first] >= per_ns)
			first++;
		ret = SL_MAX(ret, i + 1 - first);
	}
	return ret;
}

static void
words_say_how_much_there_is_and_until_when(void)
{
	static const struct {
		uint32_t share, floor, incarnation;
		int64_t share_left, floor_left; /* ms */
		uint32_t want;
		const char *reason;
	} rows[] = {
		{40, 10, 4, 1, 1, 40, "the share, while it lasts"},
		{40, 10, 4, 0, 1, 10, "then the floor"},
		{40, 10, 4, -5, 0, 0, "then nothing"},
		{40, 10, 4, 1, -1, 40, "a share does not need a floor"},
		{0, 10, 4, 1, 1, 0, "a share of nothing is one"},
		{40, 10, 5, 1, 1, 0, "of the limit that had the slot before"},
		{40, 10, 5, 0, 1, 0, "and so of the floor"},
		{4000000, 10, 4, 1, 1, 100, "never more than the limit's own"},
	};
	struct group *all = group_make();
	struct gateway *g = &all->gw[0];
	struct sl_img_rate r = limit(100, 1000);

	CU_ASSERT_EQUAL(sl_rate_share(g->worker[0], &r), 0);
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_state_share *s = &g->seg->share[SLOT];
		s->share = sl_state_share_make(rows[i].share, rows[i].incarnation);
		s->floor = sl_state_share_make(rows[i].floor, rows[i].incarnation);
		g->seg->share_until_ns = all->now_ns + (uint64_t)(rows[i].share_left * (int64_t)ms);
		g->seg->floor_until_ns = all->now_ns + (uint64_t)(rows[i].floor_left * (int64_t)ms);
		uint32_t got = sl_rate_share(g->worker[0], &r);
		if (got != rows[i].want)
			printf("\n%s: %u\n", rows[i].reason, got);
		CU_ASSERT_EQUAL(got, rows[i].want);
	}
	group_free(all);
}

static void
without_a_share_nobody_passes_and_soon_is_told(void)
{
	struct group *all = group_make();
	struct sl_img_rate day = limit(100, 86400000), tenth = limit(100, 100);
	struct sl_rates *w = all->gw[0].worker[0];
	const struct sl_rate_words none = {NULL, NULL, NULL, NULL};
	struct sl_rate_verdict v;

	sl_rate_take(w, &day, sl_rate_share(w, &day), NULL, 0, all->now_ns, &v);
	CU_ASSERT_FALSE(v.allowed);
	CU_ASSERT_EQUAL(v.retry_ms, SL_RATE_NONE_MS);
	sl_rate_look(w, &tenth, 0, NULL, 0, all->now_ns, &v);
	CU_ASSERT_FALSE(v.allowed);
	CU_ASSERT_EQUAL(v.retry_ms, 100);
	say(&all->gw[0], 5);
	CU_ASSERT_EQUAL(takes(all, 0, &day, 10), 5);
	sl_rates_words(w, &none); /* a worker outside of a gateway */
	CU_ASSERT_EQUAL(sl_rate_share(w, &day), 0);
	group_free(all);
}

/* Of a key of which nothing was taken yet, and of a large number of which workers hold some ahead. */
static void
what_a_share_falls_by_is_gone_at_once(void)
{
	static const uint32_t falls[][2] = {
		{10000, 9000}, {10000, 5000}, {10000, 3}, {10000, 0},
		{300, 257},    {511, 257},    {20, 5},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(falls); i++) {
		struct group *all = group_make();
		struct sl_img_rate r = limit(10000, 1000);
		uint64_t from = 0;
		say(&all->gw[0], falls[i][0]);
		for (unsigned t = 0; t < 2500; t++, all->now_ns += ms) {
			if (t == 1234) {
				say(&all->gw[0], falls[i][1]);
				from = all->now_ns;
				all->cnt = 0; /* those of before are the old share's */
			}
			takes(all, 0, &r, 15);
		}
		CU_ASSERT_TRUE(from && most(all, r.per_ms * ms) <= falls[i][1]);
		group_free(all);
	}
}

/* A part that somebody gives up at a time is had by another one per later. */
struct part {
	uint64_t due_ns;
	unsigned to;
	uint32_t tokens; /* 0: none is under way */
};

static void
move(struct group *all, struct part part[8], uint64_t x, uint64_t per_ns)
{
	for (unsigned i = 0; i < 8; i++)
		if (part[i].tokens && part[i].due_ns <= all->now_ns) {
			say(&all->gw[part[i].to], all->gw[part[i].to].share + part[i].tokens);
			part[i].tokens = 0;
		}
	unsigned from = x % GATEWAYS, to = (x >> 8) % GATEWAYS, i = (x >> 16) % 8;
	if ((x >> 24) % 50 || from == to || part[i].tokens || all->gw[from].share == 0)
		return;
	uint32_t tokens = 1 + (x >> 32) % all->gw[from].share;
	say(&all->gw[from], all->gw[from].share - tokens);
	part[i] = (struct part){all->now_ns + per_ns, to, tokens};
}

static void
shares_that_move_never_let_more_through_together(void)
{
	uint64_t x = 88172645463325252ull;
	size_t passed = 0, there = 0;

	for (unsigned seed = 0; seed < 60; seed++) {
		static const uint32_t numbers[] = {5, 40, 257, 300, 700, 3000, 20000};
		struct group *all = group_make();
		struct sl_img_rate r = limit(numbers[seed % SL_ARRAY_CNT(numbers)], 100);
		struct part part[8] = {{0}};
		if (seed % 3 == 0) {
			r.key = SL_RATE_HEADER;
			r.keys = 8;
		}
		for (unsigned i = 0; i < GATEWAYS; i++)
			say(&all->gw[i], r.tokens / GATEWAYS + (i == 0 ? r.tokens % GATEWAYS : 0));
		for (uint64_t end = start + 1500 * ms; all->now_ns < end;) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			move(all, part, x, r.per_ms * ms);
			for (unsigned i = 0; i < GATEWAYS; i++)
				takes(all, i, &r, 1 + r.tokens / 60);
			all->now_ns += (x >> 40) % (2 * ms);
		}
		size_t got = most(all, r.per_ms * ms);
		if (got > r.tokens)
			printf("\nseed %u: %zu of %u\n", seed, got, r.tokens);
		CU_ASSERT_TRUE(got <= r.tokens);
		passed += all->cnt;
		there += 15u * r.tokens;
		group_free(all);
	}
	CU_ASSERT_TRUE(passed * 100 > there * 60); /* parts under way are nobody's */
}

SL_SUITE("rate_share", SL_TEST(words_say_how_much_there_is_and_until_when),
	 SL_TEST(without_a_share_nobody_passes_and_soon_is_told),
	 SL_TEST(what_a_share_falls_by_is_gone_at_once),
	 SL_TEST(shares_that_move_never_let_more_through_together))

#include "l7/rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/suite.h"

enum { MAX_WORKERS = 4, SLOT = 1023, MEMORY = 16 << 20, LOG_MAX = 1 << 20 };
static const uint64_t ms = 1000000, start = 3600000000000ull;

/* Takes that passed, and when. */
struct passed {
	uint64_t *at;
	size_t cnt;
};

struct gate {
	void *mem;
	struct sl_rates_shared *shared;
	struct sl_rates *worker[MAX_WORKERS];
	unsigned cnt;
	struct passed passed;
};

static struct gate
gate_sized(unsigned workers, size_t bytes)
{
	static const struct sl_hash_key key = {.b = {1, 2, 3, 5, 8, 13, 21}};
	struct gate g = {.cnt = workers};

	g.mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(g.mem != MAP_FAILED);
	g.shared = sl_rates_shared_init(g.mem, bytes, &key);
	for (unsigned i = 0; i < workers; i++)
		g.worker[i] = sl_rates_init(malloc(sl_rates_bytes()), g.shared, workers);
	g.passed.at = malloc(LOG_MAX * sizeof(uint64_t));
	CU_ASSERT_PTR_NOT_NULL_FATAL(g.passed.at);
	return g;
}

static struct gate
gate_of(unsigned workers)
{
	return gate_sized(workers, MEMORY);
}

static void
gate_close(struct gate *g)
{
	for (unsigned i = 0; i < g->cnt; i++)
		free(g->worker[i]);
	free(g->passed.at);
	munmap(g->mem, MEMORY);
}

static struct sl_img_rate
limit(uint32_t tokens, uint32_t per_ms)
{
	return (struct sl_img_rate){
		.slot = SLOT,
		.incarnation = 1,
		.tokens = tokens,
		.per_ms = per_ms,
		.key = SL_RATE_ALL,
		.name = "a",
	};
}

static struct sl_img_rate
by_header(uint32_t tokens, uint32_t per_ms, uint32_t keys)
{
	struct sl_img_rate r = limit(tokens, per_ms);

	r.key = SL_RATE_HEADER;
	r.keys = keys;
	memcpy(r.header, "x-key", 5);
	return r;
}

static struct sl_rate_verdict
take(struct gate *g, unsigned w, const struct sl_img_rate *r, const char *key, uint64_t now)
{
	struct sl_rate_verdict v;

	sl_rate_take(g->worker[w], r, r->tokens, key, key ? (uint32_t)strlen(key) : 0, now, &v);
	if (v.allowed && g->passed.cnt < LOG_MAX)
		g->passed.at[g->passed.cnt++] = v.at_ns;
	return v;
}

static unsigned
takes(struct gate *g, unsigned w, const struct sl_img_rate *r, const char *key, uint64_t now,
      unsigned n)
{
	unsigned got = 0;

	while (n--)
		got += take(g, w, r, key, now).allowed;
	return got;
}

static int
earlier(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Whether a window of per holds more than tokens: the take that is the `tokens`-th after another one is at least per after it. */
static bool
exceeds(struct passed *p, uint32_t tokens, uint64_t per_ns)
{
	qsort(p->at, p->cnt, sizeof(*p->at), earlier);
	for (size_t i = tokens; i < p->cnt; i++)
		if (p->at[i] - p->at[i - tokens] < per_ns)
			return true;
	return false;
}

static void
a_burst_of_all_tokens_passes_and_each_is_back_per_after_it_was_taken(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate r = limit(100, 1000);

	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start, 60), 60);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 300 * ms, 60), 40);
	struct sl_rate_verdict v = take(&g, 0, &r, NULL, start + 400 * ms);
	CU_ASSERT_FALSE(v.allowed);
	CU_ASSERT_EQUAL(v.retry_ms, 600);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 999 * ms, 9), 0);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 1001 * ms, 99), 60);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 1301 * ms, 99), 40);
	CU_ASSERT_FALSE(exceeds(&g.passed, 100, 1000 * ms));
	gate_close(&g);
}

static void
the_one_token_of_a_limit_is_had_once_in_its_time(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = limit(1, 10);

	for (uint64_t t = 0; t < 1000; t++)
		(void)take(&g, t & 1, &r, NULL, start + t * ms);
	CU_ASSERT_FALSE(exceeds(&g.passed, 1, 10 * ms));
	CU_ASSERT_TRUE(g.passed.cnt >= 90); /* each 11 ms: it is looked at each ms */
	gate_close(&g);
}

/* Offered evenly, at `over` times the number, by turns to each worker. */
static double
share_used(unsigned workers, uint32_t tokens, uint32_t per_ms, double over, bool *ret_exceeds)
{
	struct gate g = gate_of(workers);
	struct sl_img_rate r = limit(tokens, per_ms);
	uint64_t per = per_ms * ms, rounds = 5;
	uint64_t step = (uint64_t)((double)per / tokens / over);

	for (uint64_t t = 0, i = 0; t < rounds * per && g.passed.cnt < LOG_MAX; t += step, i++)
		(void)take(&g, (unsigned)(i % workers), &r, NULL, start + t);
	double used = (double)g.passed.cnt / (double)(rounds * tokens);
	*ret_exceeds = exceeds(&g.passed, tokens, per);
	gate_close(&g);
	return used;
}

static void
under_demand_nearly_all_of_a_number_is_used_and_never_more(void)
{
	static const uint32_t tokens[] = {50, 64, 100, 255, 256, 257, 1000, 1999, 10000, 100000};
	static const double over[] = {1.05, 1.5, 2, 10};
	bool more;

	for (unsigned w = 1; w <= MAX_WORKERS; w++)
		for (unsigned i = 0; i < 10; i++)
			for (unsigned k = 0; k < (tokens[i] > 1999 ? 2 : 4); k++) {
				double used = share_used(w, tokens[i], 1000, over[k], &more);
				if (used < 0.99 || more)
					printf("%u workers, %u tokens, %.2f: %.4f\n", w, tokens[i],
					       over[k], used);
				CU_ASSERT_TRUE(used >= 0.99);
				CU_ASSERT_FALSE(more);
			}
}

static void
a_worker_whose_clock_is_behind_gets_no_token_early(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = limit(1000, 10);

	for (uint64_t t = 0; t < 200000; t++) {
		uint64_t now = start + t * 4000;
		(void)take(&g, 0, &r, NULL, now);
		(void)take(&g, 1, &r, NULL, now - 3 * ms - t % 7 * 100000);
	}
	CU_ASSERT_TRUE(g.passed.cnt > 70000);
	CU_ASSERT_FALSE(exceeds(&g.passed, 1000, 10 * ms));
	gate_close(&g);
}

static void
demand_that_comes_and_goes_never_gets_more(void)
{
	static const uint32_t tokens[] = {5, 200, 700, 5000, 33333};

	for (unsigned seed = 0; seed < 60; seed++) {
		struct gate g = gate_of(1 + seed % MAX_WORKERS);
		struct sl_img_rate r = limit(tokens[seed % 5], 10 + seed * 3);
		uint64_t now = start, x = seed * 0x9e3779b97f4a7c15ull + 1;
		for (unsigned i = 0; i < 60000; i++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			/* mostly at once, sometimes after a while */
			if (x >> 60 == 0)
				now += (x >> 20) % (r.per_ms * ms / 3);
			else
				now += (x >> 20) % 3000;
			struct sl_rate_verdict v = take(&g, (x >> 8) % g.cnt, &r, NULL, now);
			if (v.allowed && x >> 61 == 3) {
				sl_rate_give(g.worker[(x >> 8) % g.cnt], &r, &v);
				g.passed.cnt--;
			}
		}
		CU_ASSERT_TRUE(g.passed.cnt > r.tokens);
		CU_ASSERT_FALSE(exceeds(&g.passed, r.tokens, r.per_ms * ms));
		gate_close(&g);
	}
}

static void
a_token_that_is_given_back_can_be_had_again(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = limit(3, 1000), k = by_header(2, 1000, 8);

	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start, 2), 2);
	struct sl_rate_verdict v = take(&g, 0, &r, NULL, start);
	CU_ASSERT_FALSE(take(&g, 1, &r, NULL, start).allowed);
	sl_rate_give(g.worker[0], &r, &v);
	CU_ASSERT_TRUE(take(&g, 1, &r, NULL, start).allowed);
	CU_ASSERT_FALSE(take(&g, 1, &r, NULL, start).allowed);
	/* long after, it is back already */
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 1001 * ms, 3), 3);
	sl_rate_give(g.worker[0], &r, &v);
	CU_ASSERT_FALSE(take(&g, 1, &r, NULL, start + 1001 * ms).allowed);
	CU_ASSERT_TRUE(take(&g, 0, &k, "x", start).allowed);
	v = take(&g, 0, &k, "x", start);
	sl_rate_give(g.worker[0], &k, &v);
	CU_ASSERT_EQUAL(takes(&g, 1, &k, "x", start, 5), 1);
	gate_close(&g);
}

static void
each_key_has_a_bucket_of_its_own(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = by_header(10, 1000, 4096);
	char key[64];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "a key that is longer than 32 bytes: %u", i);
		CU_ASSERT_EQUAL(takes(&g, i & 1, &r, key, start + i, 12), 10);
	}
	CU_ASSERT_EQUAL(sl_rates_keys(g.shared, SLOT), 3000);
	CU_ASSERT_FALSE(take(&g, 0, &r, "a key that is longer than 32 bytes: 7", start).allowed);
	/* idle ones go */
	for (uint64_t i = 0; i < 1000; i++)
		sl_rates_tick(g.worker[0], start + 2000 * ms + i * ms);
	CU_ASSERT_EQUAL(sl_rates_keys(g.shared, SLOT), 0);
	gate_close(&g);
}

static void
keys_over_the_number_share_one_bucket(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate r = by_header(10, 1000, 4);
	char key[16];
	unsigned own = 0, shared = 0;

	for (unsigned i = 0; i < 20; i++)
		for (unsigned n = 0; n < 20; n++) {
			snprintf(key, sizeof(key), "%u", i);
			struct sl_rate_verdict v = take(&g, 0, &r, key, start);
			own += v.allowed && !v.overflow;
			shared += v.allowed && v.overflow;
		}
	CU_ASSERT_EQUAL(own, 40);
	CU_ASSERT_EQUAL(shared, 10);
	CU_ASSERT_EQUAL(sl_rates_keys(g.shared, SLOT), 4);
	gate_close(&g);
}

/* More keys than there are buckets, which come and go: what one has of the shared one and of its own is together never more. */
static void
churn(uint32_t tokens, unsigned seed)
{
	enum { KEYS = 9, WORKERS = 2, PER_MS = 100 };
	struct gate g = gate_sized(WORKERS, SL_RATE_MEMORY_MIN);
	struct sl_img_rate r = by_header(tokens, PER_MS, 3);
	struct passed of[KEYS];
	uint64_t now = start, rested[KEYS] = {0};
	unsigned both = 0;

	for (unsigned i = 0; i < KEYS; i++)
		of[i] = (struct passed){malloc(LOG_MAX * sizeof(uint64_t)), 0};
	srand(seed);
	for (unsigned turn = 0; turn < 4000; turn++, now += (uint64_t)(rand() % 20) * ms / 4) {
		unsigned k = (unsigned)rand() % KEYS, w = (unsigned)rand() % WORKERS;
		char key[2] = {(char)('a' + k), 0};
		for (unsigned n = (unsigned)rand() % (2 * tokens); n > 0; n--) {
			struct sl_rate_verdict v = take(&g, w, &r, key, now);
			if (!v.allowed)
				break;
			of[k].at[of[k].cnt++] = v.at_ns;
			if (v.overflow)
				rested[k] = now;
			both += !v.overflow && now < rested[k] + PER_MS * ms;
		}
		g.passed.cnt = 0;
		if (rand() % 3 == 0) /* all sets */
			for (unsigned i = 0; i < 60; i++)
				sl_rates_tick(g.worker[0], now += ms);
	}
	CU_ASSERT_TRUE(both > 0 || tokens == 1);
	for (unsigned i = 0; i < KEYS; i++) {
		CU_ASSERT_TRUE(of[i].cnt > tokens);
		CU_ASSERT_FALSE(exceeds(&of[i], tokens, PER_MS * ms));
		free(of[i].at);
	}
	gate_close(&g);
}

static void
a_key_that_gets_a_bucket_of_its_own_never_has_both(void)
{
	for (unsigned seed = 1; seed <= 20; seed++)
		churn(10, seed);
	churn(1, 21);
	churn(300, 22);
}

/* k has all that the rest's bucket gives, then the number falls, k gets a bucket, and the number rises again. */
static void
nor_does_one_whose_number_falls_and_rises(void)
{
	static const uint32_t tokens[] = {200, 1000, 17, 336, 512}, fewer[] = {10, 10, 10, 170, 40};

	for (unsigned i = 0; i < 5; i++) {
		struct gate g = gate_of(1);
		struct sl_img_rate r = by_header(tokens[i], 1000, 1), few = r;
		few.tokens = fewer[i];
		CU_ASSERT_EQUAL(takes(&g, 0, &r, "first", start, 1), 1);
		CU_ASSERT_EQUAL(takes(&g, 0, &r, "k", start, 2 * tokens[i]), tokens[i]);
		few.keys = r.keys = 2;
		CU_ASSERT_EQUAL(takes(&g, 0, &few, "k", start + 1, 400), 0);
		CU_ASSERT_EQUAL(sl_rates_keys(g.shared, SLOT), 2);
		CU_ASSERT_EQUAL(takes(&g, 0, &r, "k", start + 2, 2 * tokens[i]), 0);
		CU_ASSERT_EQUAL(takes(&g, 0, &r, "k", start + 1001 * ms, 2 * tokens[i]), tokens[i]);
		gate_close(&g);
	}
}

/* Nor one of which nothing is known, though the host has run for less than per. */
static void
a_key_that_had_nothing_begins_whole(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate r = by_header(10, 24 * 3600 * 1000, 1), other = r;
	struct sl_rate_verdict v;

	other.slot = SLOT - 1;
	CU_ASSERT_EQUAL(takes(&g, 0, &r, "first", start, 1), 1);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, "k", start, 20), 10);
	CU_ASSERT_EQUAL(takes(&g, 0, &other, "first", start, 1), 1);
	CU_ASSERT_EQUAL(takes(&g, 0, &other, "k", start, 20), 10);
	r.keys = other.keys = 4;
	sl_rate_look(g.worker[0], &r, r.tokens, "k", 1, start, &v);
	CU_ASSERT_EQUAL(v.remaining, 0);
	sl_rate_look(g.worker[0], &r, r.tokens, "new", 3, start, &v);
	CU_ASSERT_EQUAL(v.remaining, 10);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, "new", start, 20), 10);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, "k", start, 20), 0);
	CU_ASSERT_EQUAL(takes(&g, 0, &other, "another", start, 20), 10);
	gate_close(&g);
}

static void
buckets_for_which_there_is_no_memory_are_one(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate r = by_header(1000, 1000, 1u << 20);
	char key[16];
	unsigned own = 0, shared = 0;

	/* of 2 KiB each */
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%u", i);
		struct sl_rate_verdict v = take(&g, 0, &r, key, start);
		own += v.allowed && !v.overflow;
		shared += v.allowed && v.overflow;
	}
	CU_ASSERT_TRUE(own > 4500);
	CU_ASSERT_EQUAL(shared, 1000);
	CU_ASSERT_EQUAL(sl_rates_keys(g.shared, SLOT), own);
	/* a while later they are idle, and let others in without any sweep, as long as their sets are not full of them */
	shared = 0;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "n%u", i);
		shared += take(&g, 0, &r, key, start + 1001 * ms).overflow;
	}
	CU_ASSERT_TRUE(shared < 60);
	gate_close(&g);
}

static void
what_remains_and_when_more_is_there_is_told(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate r = limit(10, 1000);
	struct sl_rate_verdict v;

	r.flags = SL_RATE_HEADERS;
	v = take(&g, 0, &r, NULL, start);
	CU_ASSERT_EQUAL(v.remaining, 9);
	CU_ASSERT_EQUAL(v.reset_ms, 1000);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 500 * ms, 8), 8);
	sl_rate_look(g.worker[0], &r, r.tokens, NULL, 0, start + 600 * ms, &v);
	CU_ASSERT_TRUE(v.allowed);
	CU_ASSERT_EQUAL(v.remaining, 1);
	CU_ASSERT_EQUAL(v.reset_ms, 400);
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start + 600 * ms, 8), 1); /* looking took nothing */
	sl_rate_look(g.worker[0], &r, r.tokens, NULL, 0, start + 600 * ms, &v);
	CU_ASSERT_FALSE(v.allowed);
	CU_ASSERT_EQUAL(v.retry_ms, 400);
	gate_close(&g);
}

static void
a_number_that_changes_keeps_what_was_taken(void)
{
	struct gate g = gate_of(1);
	struct sl_img_rate few = limit(100, 1000), many = limit(180, 1000),
			   lots = limit(5000, 1000);

	CU_ASSERT_EQUAL(takes(&g, 0, &few, NULL, start, 200), 100);
	CU_ASSERT_EQUAL(takes(&g, 0, &many, NULL, start + 100 * ms, 200), 80);
	CU_ASSERT_EQUAL(takes(&g, 0, &few, NULL, start + 200 * ms, 200), 0);
	CU_ASSERT_EQUAL(takes(&g, 0, &few, NULL, start + 1050 * ms, 200), 100);
	CU_ASSERT_EQUAL(takes(&g, 0, &many, NULL, start + 1101 * ms, 200), 80);
	uint32_t got = takes(&g, 0, &lots, NULL, start + 1200 * ms, 9000);
	CU_ASSERT_TRUE(got > 1400 && got + 180 <= 5000); /* within a time, all of it */
	for (uint64_t i = 1200; i < 3300; i++)
		(void)takes(&g, 0, &lots, NULL, start + i * ms, 100);
	g.passed.cnt = 0;
	for (uint64_t i = 3300; i < 5300; i++)
		(void)takes(&g, 0, &lots, NULL, start + i * ms, 100);
	CU_ASSERT_TRUE(g.passed.cnt > 9900);
	CU_ASSERT_FALSE(exceeds(&g.passed, 5000, 1000 * ms));
	gate_close(&g);
}

static void
a_share_that_goes_up_and_down_is_used_whole(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = limit(100, 100);
	struct sl_rate_verdict v;
	uint64_t sum = 0;

	for (uint64_t t = 0; t < 10000; t++) {
		uint32_t share = 50 + t / 200 % 2; /* each 200 ms another one */
		for (unsigned i = 0; i < 4; i++) {
			sl_rate_take(g.worker[i & 1], &r, share, NULL, 0, start + t * ms, &v);
			sum += v.allowed;
			if (v.allowed)
				g.passed.at[g.passed.cnt++] = v.at_ns;
		}
	}
	CU_ASSERT_TRUE(sum >= 4900);
	CU_ASSERT_FALSE(exceeds(&g.passed, 51, 100 * ms));
	sl_rate_take(g.worker[0], &r, 0, NULL, 0, start + 20000 * ms, &v);
	CU_ASSERT_FALSE(v.allowed);
	gate_close(&g);
}

static void
a_limit_in_the_place_of_another_one_begins_whole(void)
{
	struct gate g = gate_of(2);
	struct sl_img_rate r = limit(10, 86400000), next = limit(10, 86400000);

	next.incarnation = 2;
	CU_ASSERT_EQUAL(takes(&g, 0, &r, NULL, start, 20), 10);
	CU_ASSERT_EQUAL(takes(&g, 0, &next, NULL, start, 5), 5);
	/* a worker on the older table */
	CU_ASSERT_EQUAL(takes(&g, 1, &r, NULL, start, 2), 2);
	CU_ASSERT_EQUAL(takes(&g, 0, &next, NULL, start, 5), 3);
	next.incarnation = 65535;
	CU_ASSERT_EQUAL(takes(&g, 0, &next, NULL, start, 20), 0); /* older, going round */
	gate_close(&g);
}

static uint64_t
time_at(void *ctx)
{
	return *(const uint64_t *)ctx;
}

static void
the_time_of_a_take_is_read_when_asked_and_not_the_turns(void)
{
	struct gate g = gate_of(1);
	uint64_t now = start + 7;
	const struct sl_rate_words words = {.now_ns = time_at, .ctx = &now};

	CU_ASSERT_EQUAL(sl_rates_now(g.worker[0]), 0);
	sl_rates_tick(g.worker[0], start);
	CU_ASSERT_EQUAL(sl_rates_now(g.worker[0]), start);
	sl_rates_words(g.worker[0], &words);
	CU_ASSERT_EQUAL(sl_rates_now(g.worker[0]), start + 7);
	now += ms;
	CU_ASSERT_EQUAL(sl_rates_now(g.worker[0]), start + 7 + ms);
	gate_close(&g);
}

/* ---- threads ---- */

/* The time of all threads: a turn is 4 microseconds, whoever has it, so that time in which nobody ran is nobody's loss. */
struct runner {
	struct gate *gate;
	_Atomic uint64_t *clock_ns;
	unsigned worker;
	const struct sl_img_rate *rate;
	uint64_t until;
	uint64_t *at;
	size_t cnt, asked;
};

static uint64_t
next_turn(struct runner *r)
{
	return atomic_fetch_add_explicit(r->clock_ns, 4000, memory_order_relaxed);
}

/* Few keys have a bucket, or all are asked for in a turn; '0' is the one that is looked at. */
static char
key_at(const struct sl_img_rate *rate, uint64_t now, unsigned i)
{
	if (rate->key == SL_RATE_ALL)
		return '0';
	return (char)('0' + (rate->keys < 4 ? now / (3 * ms) % 6 : i % 2));
}

/* Turns of up to 16 takes, as workers have. */
static void *
run(void *arg)
{
	struct runner *r = arg;
	struct sl_rate_verdict v;
	char key[2] = "0";

	for (uint64_t now = next_turn(r); now < r->until; now = next_turn(r)) {
		for (unsigned i = 0; i < 16; i++) {
			key[0] = key_at(r->rate, now, i);
			sl_rate_take(r->gate->worker[r->worker], r->rate, r->rate->tokens, key, 1,
				     now, &v);
			r->asked++;
			if (v.allowed && key[0] == '0' && r->cnt < LOG_MAX)
				r->at[r->cnt++] = v.at_ns;
		}
		sl_rates_tick(r->gate->worker[r->worker], now);
	}
	return NULL;
}

static void
run_threads(const struct sl_img_rate *rate, unsigned per_cnt)
{
	struct gate g = gate_of(MAX_WORKERS);
	struct runner r[MAX_WORKERS];
	pthread_t t[MAX_WORKERS];
	uint64_t per = rate->per_ms * ms;
	_Atomic uint64_t clock_ns = start;
	size_t asked = 0;

	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		r[i] = (struct runner){&g, &clock_ns, i, rate, start + per * per_cnt, NULL, 0, 0};
		r[i].at = malloc(LOG_MAX * sizeof(uint64_t));
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, run, &r[i]), 0);
	}
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		pthread_join(t[i], NULL);
		asked += r[i].asked;
		for (size_t k = 0; k < r[i].cnt && g.passed.cnt < LOG_MAX; k++)
			g.passed.at[g.passed.cnt++] = r[i].at[k];
		free(r[i].at);
	}
	CU_ASSERT_TRUE(g.passed.cnt > 2 * rate->tokens);
	CU_ASSERT_FALSE(exceeds(&g.passed, rate->tokens, per));
	uint64_t most = (uint64_t)rate->tokens * per_cnt;
	if (rate->key != SL_RATE_ALL && rate->keys < 4) { /* demand comes and goes */
		gate_close(&g);
		return;
	}
	if (g.passed.cnt * 100 < most * 99 || g.passed.cnt > most)
		printf("%u tokens: %zu passed of %zu, %lu were there\n", rate->tokens, g.passed.cnt,
		       asked, (unsigned long)most);
	CU_ASSERT_TRUE(g.passed.cnt <= most + rate->tokens);
	CU_ASSERT_TRUE(g.passed.cnt * 100 >= most * 99);
	gate_close(&g);
}

static void
threads_together_never_take_more_and_hardly_less(void)
{
	struct sl_img_rate few = limit(200, 50), many = limit(20000, 200);
	struct sl_img_rate keyed = by_header(1000, 100, 16), crowded = by_header(40, 8, 3);

	run_threads(&few, 6);
	run_threads(&many, 3);
	run_threads(&keyed, 4);
	run_threads(&crowded, 400);
}

SL_SUITE("rate", SL_TEST(a_burst_of_all_tokens_passes_and_each_is_back_per_after_it_was_taken),
	 SL_TEST(the_one_token_of_a_limit_is_had_once_in_its_time),
	 SL_TEST(under_demand_nearly_all_of_a_number_is_used_and_never_more),
	 SL_TEST(a_worker_whose_clock_is_behind_gets_no_token_early),
	 SL_TEST(demand_that_comes_and_goes_never_gets_more),
	 SL_TEST(a_token_that_is_given_back_can_be_had_again),
	 SL_TEST(each_key_has_a_bucket_of_its_own), SL_TEST(keys_over_the_number_share_one_bucket),
	 SL_TEST(a_key_that_gets_a_bucket_of_its_own_never_has_both),
	 SL_TEST(nor_does_one_whose_number_falls_and_rises),
	 SL_TEST(a_key_that_had_nothing_begins_whole),
	 SL_TEST(buckets_for_which_there_is_no_memory_are_one),
	 SL_TEST(what_remains_and_when_more_is_there_is_told),
	 SL_TEST(a_number_that_changes_keeps_what_was_taken),
	 SL_TEST(a_share_that_goes_up_and_down_is_used_whole),
	 SL_TEST(a_limit_in_the_place_of_another_one_begins_whole),
	 SL_TEST(the_time_of_a_take_is_read_when_asked_and_not_the_turns),
	 SL_TEST(threads_together_never_take_more_and_hardly_less))

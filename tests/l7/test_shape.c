/* Bandwidth in virtual time: what a word gives over any window, whoever takes; who waits, and for how long. */
#include "l7/shape.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/suite.h"

enum { SLOT = 4095, INCARNATION = 7, EVENTS = 4000, THREADS = 4, TAKES = 200000, WAITERS = 8 };
#define MS 1000000ull
#define SECOND 1000000000ull

static const struct sl_img_bandwidth some = {{1000000, 7000003}, {65536, 10007}};

struct event {
	uint64_t at;
	uint32_t n;
};

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Whether no window had more than rate × t + burst: a bucket that runs out at the rate never holds more than the burst. */
static bool
held(struct event *e, unsigned cnt, const struct sl_shape_limit *l)
{
	unsigned __int128 level = 0, most = (unsigned __int128)l->burst * SECOND;

	qsort(e, cnt, sizeof(*e), by_time);
	for (unsigned i = 0; i < cnt; i++) {
		unsigned __int128 out =
			i ? (unsigned __int128)l->rate * (e[i].at - e[i - 1].at) : 0;
		level = (level > out ? level - out : 0) + (unsigned __int128)e[i].n * SECOND;
		if (level > most)
			return false;
	}
	return true;
}

static uint64_t random_state = 88172645463325252ull;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state % n);
}

static void
no_window_has_more_than_rate_and_burst(void)
{
	static struct event e[EVENTS];

	for (unsigned round = 0; round < 20; round++) {
		struct sl_img_bandwidth b = {
			.rate = {(uint64_t)SL_BANDWIDTH_MIN << random_below(31), 1},
			.burst = {SL_BURST_MIN + random_below(1u << 20), 0},
		};
		struct sl_shape_limit l = sl_shape_limit(&b, SL_TO_ENDPOINTS);
		_Atomic uint64_t word = 0;
		uint64_t now = random_below(1000000);
		unsigned cnt = 0;
		while (cnt < EVENTS) {
			uint32_t want = 1 + random_below(l.burst * 2);
			uint32_t n =
				sl_shape_grab(&word, &l, now, random_below(2) ? 1 : l.bite, want);
			CU_ASSERT_TRUE(n <= want);
			if (n)
				e[cnt++] = (struct event){now, n};
			now += random_below(8) ? random_below((uint32_t)(SECOND / 1000))
					       : sl_shape_wait_ns(&word, &l, now, l.bite);
		}
		CU_ASSERT_TRUE(held(e, cnt, &l));
	}
}

static void
a_bucket_that_was_not_used_has_its_burst_and_no_more(void)
{
	struct sl_shape_limit l = sl_shape_limit(&some, SL_TO_CLIENTS);
	_Atomic uint64_t word = 0;

	/* 1 ns and 1 byte are rounded away */
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 90 * SECOND, 1, UINT32_MAX), 10006);
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 90 * SECOND, 1, UINT32_MAX), 0);
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 90 * SECOND + MS, 1, UINT32_MAX), 7000);
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 900 * SECOND, 1, UINT32_MAX), 10006);
}

static void
all_that_may_go_goes(void)
{
	struct sl_shape_limit l = sl_shape_limit(&some, SL_TO_ENDPOINTS);
	_Atomic uint64_t word = 0;
	uint64_t sum = 0;

	for (uint64_t now = SECOND; now < 11 * SECOND; now += 50000)
		sum += sl_shape_grab(&word, &l, now, 1, UINT32_MAX);
	CU_ASSERT_TRUE(sum > 9990000 && sum <= 10000000 + 65536);
}

static void
what_is_returned_may_go_again(void)
{
	struct sl_shape_limit l = sl_shape_limit(&some, SL_TO_ENDPOINTS);
	_Atomic uint64_t word = 0;

	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, SECOND, 1, 65536), 65536);
	sl_shape_return(&word, &l, 60000);
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, SECOND, 1, UINT32_MAX), 60000);
	/* of a bucket that has filled meanwhile nothing is left of it */
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 2 * SECOND, 1, 1000), 1000);
	sl_shape_return(&word, &l, 1000);
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, 9 * SECOND, 1, UINT32_MAX), 65536);
}

static void
a_head_goes_whole_and_is_paid_before_anything_else_goes(void)
{
	const struct sl_img_bandwidth b = {{100000, 0}, {8192, 0}};
	struct sl_shape_limit l = sl_shape_limit(&b, SL_TO_ENDPOINTS);
	_Atomic uint64_t word = 0;

	CU_ASSERT_EQUAL(l.bite, SL_SHAPE_BITE_MIN);
	CU_ASSERT_TRUE(sl_shape_grab_whole(&word, &l, SECOND, 8192 + 20000));
	CU_ASSERT_EQUAL(sl_shape_grab(&word, &l, SECOND + 199 * MS, 1, UINT32_MAX), 0);
	CU_ASSERT_FALSE(sl_shape_grab_whole(&word, &l, SECOND + 214 * MS, 50000));
	CU_ASSERT_TRUE(sl_shape_grab_whole(&word, &l, SECOND + 215 * MS, 1460));
	CU_ASSERT_EQUAL(sl_shape_wait_ns(&word, &l, SECOND + 215 * MS, 1000), 10 * MS - 400000);
	sl_shape_pay(&word, &l, SECOND + 215 * MS, 1000);
	CU_ASSERT_EQUAL(sl_shape_wait_ns(&word, &l, SECOND + 215 * MS, 1000), 20 * MS - 400000);
}

/* ---- threads ---- */

struct taking {
	pthread_t thread;
	struct event e[TAKES];
	unsigned cnt;
};

static struct {
	_Atomic uint64_t word, clock;
	_Atomic unsigned ready;
	struct sl_shape_limit limit;
	struct taking by[THREADS];
} shared;

static void *
take_all(void *arg)
{
	struct taking *t = arg;

	atomic_fetch_add(&shared.ready, 1);
	while (atomic_load(&shared.ready) < THREADS)
		;
	while (t->cnt < TAKES) {
		/* a turn's time may be old when it is used: the bound holds all the same */
		uint64_t now = atomic_fetch_add(&shared.clock, 7000) + 7000;
		uint32_t n = sl_shape_grab(&shared.word, &shared.limit, now, 1, 3000);
		if (n)
			t->e[t->cnt++] = (struct event){now, n};
	}
	return NULL;
}

static void
threads_together_take_what_one_would(void)
{
	static struct event all[THREADS * TAKES];
	uint64_t sum = 0;
	unsigned cnt = 0;

	memset(&shared, 0, sizeof(shared));
	shared.limit = sl_shape_limit(&some, SL_TO_CLIENTS);
	shared.clock = SECOND;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&shared.by[i].thread, NULL, take_all, &shared.by[i]);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(shared.by[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned k = 0; k < shared.by[i].cnt; k++, cnt++) {
			all[cnt] = shared.by[i].e[k];
			sum += all[cnt].n;
		}
	CU_ASSERT_TRUE(held(all, cnt, &shared.limit));
	uint64_t span = atomic_load(&shared.clock) - SECOND;
	CU_ASSERT_TRUE(sum <= span * shared.limit.rate / SECOND + shared.limit.burst);
	CU_ASSERT_TRUE(sum >= span * shared.limit.rate / SECOND * 95 / 100);
}

/* ---- queues ---- */

/* Waiters that want `want` bytes each; what they have got. */
struct scene {
	struct sl_shape_words *words;
	struct sl_shaper *shaper;
	struct sl_img_bandwidth bandwidth;
	bool gone; /* the service */
	uint64_t now;
	uint64_t want[WAITERS], got[WAITERS];
	bool whole[WAITERS];
	unsigned goes;
	struct event e[EVENTS];
	unsigned cnt;
};

static const struct sl_img_bandwidth *
bandwidth(void *ctx, uint32_t slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_TRUE(slot == SLOT && incarnation == INCARNATION);
	return s->gone ? NULL : &s->bandwidth;
}

static void
try(struct scene *s, uint32_t waiter)
{
	const struct sl_shape_who who = {waiter, SLOT, INCARNATION, SL_TO_CLIENTS, 0};
	uint32_t want = (uint32_t)s->want[waiter], n;

	if (want == 0)
		return;
	if (s->whole[waiter])
		n = sl_shaper_take_whole(s->shaper, &who, s->now, want) ? want : 0;
	else
		n = sl_shaper_take(s->shaper, &who, s->now, want);
	s->got[waiter] += n;
	s->want[waiter] -= n;
	if (n && s->cnt < EVENTS)
		s->e[s->cnt++] = (struct event){s->now, n};
}

static void
go(void *user, uint32_t waiter)
{
	struct scene *s = user;

	CU_ASSERT_FALSE(sl_shaper_waits(s->shaper, waiter));
	s->goes++;
	try(s, waiter);
}

static void
scene_init(struct scene *s, struct sl_shape_words *words, uint64_t rate, uint32_t burst)
{
	*s = (struct scene){.words = words, .now = 5 * SECOND};
	s->bandwidth = (struct sl_img_bandwidth){{0, rate}, {0, burst}};
	const struct sl_shaper_conf conf = {WAITERS, words, {s, bandwidth, go, s}};
	s->shaper = sl_shaper_init(malloc(sl_shaper_bytes(WAITERS)), &conf);
}

static struct sl_shape_words *
words_new(void)
{
	struct sl_shape_words *w = aligned_alloc(SL_CACHE_LINE, sizeof(*w));

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	memset(w, 0, sizeof(*w));
	return w;
}

static void
run(struct scene *s, uint64_t ns, uint64_t turn_ns)
{
	for (uint64_t end = s->now + ns; s->now < end; s->now += turn_ns)
		sl_shaper_tick(s->shaper, s->now);
}

static void
scene_fini(struct scene *s)
{
	struct sl_shape_limit l = sl_shape_limit(&s->bandwidth, SL_TO_CLIENTS);

	CU_ASSERT_TRUE(s->gone || held(s->e, s->cnt, &l));
	free(s->shaper);
}

static void
who_waits_together_gets_alike(void)
{
	struct sl_shape_words *words = words_new();
	struct scene s;

	scene_init(&s, words, 1000000, 65536);
	for (unsigned i = 0; i < 5; i++)
		s.want[i] = i == 3 ? 1u << 28 : 4000000;
	for (unsigned i = 0; i < 5; i++)
		try(&s, i);
	run(&s, SECOND, 100000);
	/* the first had the burst */
	CU_ASSERT_TRUE(s.got[0] >= 65536 + 198000);
	for (unsigned i = 1; i < 5; i++)
		CU_ASSERT_TRUE(s.got[i] > 197000 && s.got[i] < 203000);
	CU_ASSERT_TRUE(s.goes < 560); /* bites of 2000 bytes: nobody is woken for nothing */
	scene_fini(&s);
	free(words);
}

static void
a_head_is_not_starved_by_bodies(void)
{
	struct sl_shape_words *words = words_new();
	struct scene s;

	scene_init(&s, words, 1000000, 16384);
	s.want[0] = s.want[1] = 1u << 30;
	try(&s, 0);
	try(&s, 1);
	s.want[2] = 7000;
	s.whole[2] = true;
	try(&s, 2);
	CU_ASSERT_EQUAL(s.got[2], 0);
	run(&s, 8 * MS, 50000); /* two bites are before it */
	CU_ASSERT_EQUAL(s.got[2], 7000);
	/* who comes now stands behind those that wait, though there were bytes */
	s.want[3] = 10;
	s.now += SECOND;
	try(&s, 3);
	CU_ASSERT_EQUAL(s.got[3], 0);
	run(&s, 8 * MS, 50000);
	CU_ASSERT_EQUAL(s.got[3], 10);
	free(s.shaper);
	free(words);
}

static void
who_leaves_is_not_called(void)
{
	struct sl_shape_words *words = words_new();
	struct scene s;

	scene_init(&s, words, 100000, 8192);
	for (unsigned i = 0; i < WAITERS; i++) {
		s.want[i] = 10000;
		try(&s, i);
	}
	for (unsigned i = 0; i < WAITERS; i += 2)
		sl_shaper_leave(s.shaper, i);
	sl_shaper_leave(s.shaper, 6);
	run(&s, SECOND, MS);
	for (unsigned i = 0; i < WAITERS; i++)
		CU_ASSERT_EQUAL(s.want[i], i == 0 ? 10000 - 8192 : i % 2 ? 0 : 10000);
	for (unsigned i = 0; i < WAITERS; i++)
		CU_ASSERT_FALSE(sl_shaper_waits(s.shaper, i));
	unsigned goes = s.goes;
	run(&s, SECOND, MS);
	CU_ASSERT_EQUAL(s.goes, goes);
	scene_fini(&s);
	free(words);
}

static void
a_limit_that_goes_lets_everybody_go(void)
{
	struct sl_shape_words *words = words_new();
	struct scene s;

	scene_init(&s, words, 1024, 8192);
	for (unsigned i = 0; i < WAITERS; i++) {
		s.want[i] = 1u << 28;
		try(&s, i);
	}
	s.gone = true;
	run(&s, 2 * SL_SHAPE_LOOK_NS, MS);
	for (unsigned i = 0; i < WAITERS; i++)
		CU_ASSERT_EQUAL(s.want[i], 0);
	scene_fini(&s);
	free(words);
}

static void
two_workers_share_one_rate(void)
{
	struct sl_shape_words *words = words_new();
	static struct scene s[2];
	static struct event all[2 * EVENTS];

	for (unsigned w = 0; w < 2; w++) {
		scene_init(&s[w], words, 4000000, 65536);
		for (unsigned i = 0; i < 3; i++) {
			s[w].want[i] = 1u << 30;
			try(&s[w], i);
		}
	}
	for (unsigned turn = 0; turn < 50000; turn++) {
		/* turns of chance length, by one clock */
		unsigned w = random_below(2);
		s[w].now = SL_MAX(s[0].now, s[1].now) + random_below(80000);
		sl_shaper_tick(s[w].shaper, s[w].now);
	}
	uint64_t one = s[0].got[0] + s[0].got[1] + s[0].got[2];
	uint64_t other = s[1].got[0] + s[1].got[1] + s[1].got[2];
	uint64_t end = SL_MAX(s[0].now, s[1].now) - 5 * SECOND;
	CU_ASSERT_TRUE(one + other <= end * 4000000 / SECOND + 65536);
	CU_ASSERT_TRUE(one + other >= end * 4000000 / SECOND * 99 / 100);
	CU_ASSERT_TRUE(one > other - other / 20 && other > one - one / 20);
	unsigned cnt = s[0].cnt + s[1].cnt;
	memcpy(all, s[0].e, s[0].cnt * sizeof(all[0]));
	memcpy(all + s[0].cnt, s[1].e, s[1].cnt * sizeof(all[0]));
	struct sl_shape_limit l = sl_shape_limit(&s[0].bandwidth, SL_TO_CLIENTS);
	CU_ASSERT_TRUE(held(all, cnt, &l));
	free(s[0].shaper);
	free(s[1].shaper);
	free(words);
}

/* ---- several shapers on one word, A's turn always before B's ---- */

enum { SHAPERS = 3 };

struct crowd {
	struct sl_shape_words *words;
	struct scene s[SHAPERS];
	unsigned cnt;
	struct event e[SHAPERS * EVENTS];
};

static struct crowd *
crowd_new(unsigned cnt, uint64_t rate, uint32_t burst)
{
	struct crowd *c = calloc(1, sizeof(*c));

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	c->words = words_new();
	c->cnt = cnt;
	for (unsigned i = 0; i < cnt; i++)
		scene_init(&c->s[i], c->words, rate, burst);
	return c;
}

/* Waiters that never have enough. */
static void
crowd_greedy(struct crowd *c, unsigned shaper, unsigned waiters)
{
	for (unsigned i = 0; i < waiters; i++) {
		c->s[shaper].want[i] = 1u << 30;
		try(&c->s[shaper], i);
	}
}

static void
crowd_run(struct crowd *c, uint64_t ns, uint64_t turn_ns)
{
	for (uint64_t end = c->s[0].now + ns; c->s[0].now < end;) {
		for (unsigned i = 0; i < c->cnt; i++)
			sl_shaper_tick(c->s[i].shaper, c->s[i].now);
		for (unsigned i = 0; i < c->cnt; i++)
			c->s[i].now += turn_ns;
	}
}

static uint64_t
crowd_got(struct crowd *c, unsigned shaper)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WAITERS; i++) {
		sum += c->s[shaper].got[i];
		c->s[shaper].got[i] = 0;
	}
	return sum;
}

static uint32_t
crowd_waiters(const struct crowd *c)
{
	return atomic_load(&c->words->service[SLOT].waiters[SL_TO_CLIENTS]);
}

/* Whether no window had more than the limit, all shapers together; and what was told is taken back. */
static void
crowd_fini(struct crowd *c, uint64_t rate, uint32_t burst)
{
	const struct sl_img_bandwidth b = {{0, rate}, {0, burst}};
	struct sl_shape_limit l = sl_shape_limit(&b, SL_TO_CLIENTS);
	unsigned cnt = 0, waits = 0;

	for (unsigned i = 0; i < c->cnt; i++) {
		CU_ASSERT_TRUE(c->s[i].cnt < EVENTS); /* all are in e */
		memcpy(c->e + cnt, c->s[i].e, c->s[i].cnt * sizeof(c->e[0]));
		cnt += c->s[i].cnt;
		for (unsigned k = 0; k < WAITERS; k++)
			waits += sl_shaper_waits(c->s[i].shaper, k);
	}
	CU_ASSERT_TRUE(held(c->e, cnt, &l));
	CU_ASSERT_EQUAL(crowd_waiters(c), waits);
	for (unsigned i = 0; i < c->cnt; i++) {
		sl_shaper_fini(c->s[i].shaper);
		free(c->s[i].shaper);
	}
	CU_ASSERT_EQUAL(crowd_waiters(c), 0);
	free(c->words);
	free(c);
}

static const struct {
	uint64_t rate;
	uint32_t burst;
	uint64_t turn_ns, ns;
	unsigned waiters[SHAPERS];
	const char *why;
} unequal[] = {
	{65536, 8192, 50000, 20 * SECOND, {1, 1}, "a slow service"},
	{65536, 8192, 50000, 20 * SECOND, {8, 1}, "one against many, whose turn is first"},
	{65536, 8192, 50000, 20 * SECOND, {1, 8}, "one, whose turn is first"},
	{65536, 8192, 15 * MS, 20 * SECOND, {3, 3}, "turns of nearly a bite's time"},
	{1024, 8192, MS, 600 * SECOND, {2, 3, 1}, "the least rate there is"},
	{4194304, 524288, 100000, 4 * SECOND, {1, 1, 1}, "three"},
	{4194304, 65536, 100000, 4 * SECOND, {5, 2}, "a bite of 2 ms"},
	{4194304, 65536, 3 * MS, 4 * SECOND, {2, 5}, "turns longer than a bite's time"},
	{256 << 20, 5368709, 500000, SECOND, {4, 2, 1}, "bites of less than a turn"},
	{256 << 20, 5368709, 500000, SECOND, {1, 1}, "likewise, two that have to take several"},
	{10 << 20, 8192, 20000, SECOND, {1, 3}, "a burst of less than a ms"},
};

/* After a first part, in which LAG may be made up for, each gets its part but for two bites. */
static void
each_shaper_gets_the_part_of_its_waiters_whosever_turn_is_first(void)
{
	for (unsigned row = 0; row < SL_ARRAY_CNT(unequal); row++) {
		const uint64_t rate = unequal[row].rate,
			       most = rate * (unequal[row].ns / MS) / 1000;
		struct crowd *c = crowd_new(SHAPERS, rate, unequal[row].burst);
		struct sl_shape_limit l = sl_shape_limit(&c->s[0].bandwidth, SL_TO_CLIENTS);
		unsigned all = 0;
		for (unsigned i = 0; i < SHAPERS; i++) {
			crowd_greedy(c, i, unequal[row].waiters[i]);
			all += unequal[row].waiters[i];
		}
		uint64_t sum = 0, got;
		for (unsigned part = 0; part < 4; part++) {
			crowd_run(c, unequal[row].ns / 4, unequal[row].turn_ns);
			for (unsigned i = 0; i < SHAPERS; i++) {
				uint64_t share = most / 4 * unequal[row].waiters[i] / all;
				uint64_t lag = rate / 10 * unequal[row].waiters[i] / all;
				sum += got = crowd_got(c, i);
				CU_ASSERT_TRUE(got + (part ? 0 : lag) + 2 * l.bite >= share);
				CU_ASSERT_TRUE(part == 0 || got <= share + 2 * l.bite);
			}
		}
		CU_ASSERT_TRUE(sum >= most - most / 100);
		crowd_fini(c, rate, unequal[row].burst);
	}
}

/* Takes of 100 bytes that always come before B's turn, and have not waited. */
static void
who_waits_elsewhere_is_not_starved_by_many_that_come(void)
{
	struct crowd *c = crowd_new(2, 65536, 8192);
	uint64_t sum = 0, got;

	crowd_greedy(c, 1, 1);
	crowd_got(c, 1);
	for (unsigned i = 0; i < 40000; i++) {
		if (!sl_shaper_waits(c->s[0].shaper, i % WAITERS) && !c->s[0].want[i % WAITERS])
			c->s[0].want[i % WAITERS] = 100;
		try(&c->s[0], i % WAITERS);
		crowd_run(c, 50000, 50000);
		sum += crowd_got(c, 0);
	}
	got = crowd_got(c, 1);
	/* 2 s: of what is there a part at least for one against eight, and nothing is left over */
	CU_ASSERT_TRUE(got >= 2 * 65536 / 9 - 1460);
	CU_ASSERT_TRUE(sum >= 2 * 65536 * 7 / 9);
	CU_ASSERT_TRUE(sum + got >= 2 * 65536 - 1460);
	crowd_fini(c, 65536, 8192);
}

static void
what_a_worker_that_stands_still_does_not_take_others_take(void)
{
	struct crowd *c = crowd_new(2, 4194304, 524288);
	uint64_t now;

	crowd_greedy(c, 0, 3);
	crowd_greedy(c, 1, 3);
	crowd_run(c, SECOND, 100000);
	crowd_got(c, 0);
	now = crowd_got(c, 1);
	c->cnt = 1; /* B has waiters, but no turns */
	crowd_run(c, SECOND, 100000);
	now = crowd_got(c, 0);
	CU_ASSERT_TRUE(now >= 4194304 - 524288 / 3 && now <= 4194304 + 524288);
	c->cnt = 2;
	c->s[1].now = c->s[0].now;
	crowd_run(c, SECOND, 100000);
	/* of its second it gets what the other's part of LAG is, and bites, no more */
	now = crowd_got(c, 1);
	CU_ASSERT_TRUE(now >= 2097152 && now <= 2097152 + 524288 + 3 * 8388);
	CU_ASSERT_TRUE(crowd_got(c, 0) >= 2097152 - 524288 - 3 * 8388);
	crowd_fini(c, 4194304, 524288);
}

static void
a_limit_that_changes_leaves_the_parts(void)
{
	static const uint64_t rates[] = {4194304, 65536, 1 << 26, 1048576};
	struct crowd *c = crowd_new(2, rates[0], 65536);

	crowd_greedy(c, 0, 2);
	crowd_greedy(c, 1, 4);
	for (unsigned r = 0; r < SL_ARRAY_CNT(rates); r++) {
		for (unsigned i = 0; i < 2; i++)
			c->s[i].bandwidth.rate[SL_TO_CLIENTS] = rates[r];
		crowd_run(c, 2 * SL_SHAPE_LOOK_NS, 100000);
		c->s[0].cnt = c->s[1].cnt = 0;
		crowd_got(c, 0);
		crowd_got(c, 1);
		crowd_run(c, SECOND / 2, 100000);
		uint64_t a = crowd_got(c, 0), b = crowd_got(c, 1), bite = 2 * 16384;
		CU_ASSERT_TRUE(a + bite >= b / 2 && b + bite >= a * 2);
		CU_ASSERT_TRUE(a + b + bite >= rates[r] / 2);
	}
	crowd_fini(c, rates[0], 65536);
}

/* Waiters of chance that come, get enough, leave, of shapers whose turns are of chance lengths: never more than the limit, never less
 * than there is while somebody waits, and the number of waiters is right in the end. */
static void
waiters_that_come_and_go_are_counted(void)
{
	for (unsigned round = 0; round < 20; round++) {
		struct crowd *c = crowd_new(SHAPERS, 1000000, 65536);
		for (unsigned turn = 0; turn < 4000; turn++) {
			unsigned i = random_below(SHAPERS), w = random_below(WAITERS);
			struct scene *s = &c->s[i];
			if (random_below(4) == 0) {
				sl_shaper_leave(s->shaper, w);
				s->want[w] = 0;
			} else if (!sl_shaper_waits(s->shaper, w)) {
				s->whole[w] = random_below(3) == 0; /* a bite at most */
				s->want[w] = 1 + random_below(s->whole[w] ? 2000 : 9000);
				try(s, w);
			}
			s->gone = round % 2 && random_below(100) == 0;
			c->s[i].now = SL_MAX(c->s[i].now, c->s[random_below(SHAPERS)].now) +
				      random_below(MS);
			sl_shaper_tick(s->shaper, s->now);
			if (s->gone)
				s->cnt = 0;
		}
		if (round % 2)
			for (unsigned i = 0; i < SHAPERS; i++)
				c->s[i].cnt = 0; /* it was without a limit at times */
		crowd_fini(c, 1000000, 65536);
	}
}

SL_SUITE("shape", SL_TEST(no_window_has_more_than_rate_and_burst),
	 SL_TEST(a_bucket_that_was_not_used_has_its_burst_and_no_more),
	 SL_TEST(all_that_may_go_goes), SL_TEST(what_is_returned_may_go_again),
	 SL_TEST(a_head_goes_whole_and_is_paid_before_anything_else_goes),
	 SL_TEST(threads_together_take_what_one_would), SL_TEST(who_waits_together_gets_alike),
	 SL_TEST(a_head_is_not_starved_by_bodies), SL_TEST(who_leaves_is_not_called),
	 SL_TEST(a_limit_that_goes_lets_everybody_go), SL_TEST(two_workers_share_one_rate),
	 SL_TEST(each_shaper_gets_the_part_of_its_waiters_whosever_turn_is_first),
	 SL_TEST(who_waits_elsewhere_is_not_starved_by_many_that_come),
	 SL_TEST(what_a_worker_that_stands_still_does_not_take_others_take),
	 SL_TEST(a_limit_that_changes_leaves_the_parts),
	 SL_TEST(waiters_that_come_and_go_are_counted))

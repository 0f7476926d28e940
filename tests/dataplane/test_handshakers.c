/* handshakers, with steps of our own in place of OpenSSL's: each handshake counts its steps and knows its engine, so that what is
 * lost, doubled, out of order or at another thread is seen. */
#include "dataplane/handshakers.h"
#include "tests/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

struct sl_hs {
	_Alignas(16) struct sl_hs_engine *engine;
	uint64_t steps;
};

struct sl_hs_engine {
	unsigned no;
};

static struct {
	_Atomic unsigned wrong, alive, steps, engines, engine_fail_at;
	_Atomic uint64_t work_ns;
	/* the gate: steps wait while it is shut */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool shut;
	unsigned at_gate;
	uint64_t order[64]; /* tags in the order of steps, while it is used */
	_Atomic unsigned ordered;
	char name[16];
	int cpu;
} stub = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct sl_hs_engine *
stub_create(const struct sl_hs_conf *conf)
{
	struct sl_hs_engine *e = calloc(1, sizeof(*e));

	(void)conf;
	if (!e)
		abort();
	e->no = ++stub.engines;
	if (e->no != stub.engine_fail_at)
		return e;
	stub.engines--;
	free(e);
	return NULL;
}

static void
stub_destroy(struct sl_hs_engine *e)
{
	stub.engines--;
	free(e);
}

static void
pass_gate(void)
{
	pthread_mutex_lock(&stub.lock);
	stub.at_gate++;
	pthread_cond_broadcast(&stub.moved);
	while (stub.shut)
		pthread_cond_wait(&stub.moved, &stub.lock);
	stub.at_gate--;
	pthread_mutex_unlock(&stub.lock);
}

static void
stub_step(struct sl_hs_engine *e, struct sl_hs_job *job)
{
	uint64_t until = now_ns() + stub.work_ns;

	stub.steps++;
	pass_gate();
	unsigned n = stub.ordered++;
	if (n < SL_ARRAY_CNT(stub.order))
		stub.order[n] = job->tag;
	if (job->op == SL_HS_SERVER) {
		job->hs = aligned_alloc(16, sizeof(*job->hs));
		if (!job->hs)
			abort();
		*job->hs = (struct sl_hs){.engine = e};
		stub.alive++;
	}
	stub.wrong += job->hs->engine != e || job->hs->steps++ != job->asked_ns;
	job->in_used = job->in_len;
	job->state = SL_HS_MORE;
	if (job->op == SL_HS_END) {
		free(job->hs);
		job->hs = NULL;
		stub.alive--;
	}
	if (stub.work_ns == 1) {
		pthread_getname_np(pthread_self(), stub.name, sizeof(stub.name));
		stub.cpu = sched_getcpu();
	}
	while (now_ns() < until)
		;
}

static const struct sl_handshaker_ops ops = {stub_create, stub_step, stub_destroy};

static void
shut(bool is)
{
	pthread_mutex_lock(&stub.lock);
	stub.shut = is;
	pthread_cond_broadcast(&stub.moved);
	pthread_mutex_unlock(&stub.lock);
}

static void
wait_at_gate(unsigned cnt)
{
	pthread_mutex_lock(&stub.lock);
	while (stub.at_gate < cnt)
		pthread_cond_wait(&stub.moved, &stub.lock);
	pthread_mutex_unlock(&stub.lock);
}

static struct sl_handshakers *
make(unsigned workers, unsigned threads, uint32_t jobs)
{
	struct sl_handshakers *h = NULL;
	char text[SL_HANDSHAKERS_TEXT];
	const struct sl_handshakers_conf conf = {
		.worker_cnt = workers,
		.thread_cnt = threads,
		.jobs = jobs,
		.ops = &ops,
	};

	stub.wrong = stub.alive = stub.steps = stub.ordered = 0;
	stub.work_ns = 0;
	if (sl_handshakers_create(&conf, &h, text)) {
		fprintf(stderr, "%s\n", text);
		abort();
	}
	return h;
}

static struct sl_hs_job *
new_job(uint64_t tag)
{
	struct sl_hs_job *j = calloc(1, sizeof(*j));

	if (!j)
		abort();
	j->op = SL_HS_SERVER;
	j->tag = tag;
	return j;
}

static struct sl_hs_job *
await(const struct sl_tls_steps *s)
{
	uint64_t until = now_ns() + 20000000000u;
	struct sl_hs_job *j;

	while (!(j = s->poll(s->ctx)) && now_ns() < until)
		sched_yield();
	return j;
}

/* Begins and ends one. */
static void
end(const struct sl_tls_steps *s, struct sl_hs_job *j)
{
	j->op = SL_HS_END;
	j->asked_ns++;
	CU_ASSERT_TRUE_FATAL(s->submit(s->ctx, j));
	CU_ASSERT_PTR_NOT_NULL_FATAL(await(s));
}

/* ---- many ---- */

#define CONNS 40
#define STEPS 60

struct a_worker {
	pthread_t thread;
	struct sl_tls_steps steps;
	unsigned id, wrong;
	struct sl_hs_job *jobs[CONNS];
};

/* Each connection's next step is asked when its last one came back. */
static void *
work(void *arg)
{
	struct a_worker *w = arg;
	bool out[CONNS] = {0};
	unsigned over = 0;
	uint64_t until = now_ns() + 60000000000u;

	while (over < CONNS && now_ns() < until) {
		for (unsigned c = 0; c < CONNS; c++)
			if (w->jobs[c] && !out[c])
				out[c] = w->steps.submit(w->steps.ctx, w->jobs[c]);
		struct sl_hs_job *j = w->steps.poll(w->steps.ctx);
		if (!j) {
			sched_yield();
			continue;
		}
		unsigned c = (unsigned)(j->tag & 0xffff);
		w->wrong += j->tag >> 16 != w->id || !out[c] || w->jobs[c] != j;
		out[c] = false;
		if (j->op == SL_HS_END) {
			free(j);
			w->jobs[c] = NULL;
			over++;
			continue;
		}
		j->asked_ns++;
		j->op = j->asked_ns == STEPS - 1 ? SL_HS_END : SL_HS_FEED;
	}
	w->wrong += over != CONNS;
	return NULL;
}

static void
many(unsigned workers, unsigned threads, uint32_t jobs)
{
	struct sl_handshakers *h = make(workers, threads, jobs);
	struct a_worker w[8];

	for (unsigned i = 0; i < workers; i++) {
		w[i] = (struct a_worker){.steps = sl_handshakers_worker(h, i), .id = i};
		for (unsigned c = 0; c < CONNS; c++)
			w[i].jobs[c] = new_job((uint64_t)i << 16 | c);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < workers; i++) {
		pthread_join(w[i].thread, NULL);
		CU_ASSERT_EQUAL(w[i].wrong, 0);
	}
	CU_ASSERT_EQUAL(stub.wrong, 0);
	CU_ASSERT_EQUAL(stub.alive, 0);
	CU_ASSERT_EQUAL(stub.steps, workers * CONNS * STEPS);
	sl_handshakers_destroy(h);
	CU_ASSERT_EQUAL(stub.engines, 0);
}

static void
every_step_is_made_once_in_order_by_the_thread_it_began_at(void)
{
	many(1, 1, 64);
	many(4, 3, 64);
	many(3, 2, 1);
	many(2, SL_HANDSHAKERS_MAX, 8);
}

static void
workers_make_their_own_steps_where_there_are_no_threads(void)
{
	many(1, 0, 64);
	many(3, 0, 4);
}

/* ---- sleep ---- */

static void
a_thread_that_sleeps_is_woken_each_time(void)
{
	struct sl_handshakers *h = make(1, 1, 4);
	struct sl_tls_steps s = sl_handshakers_worker(h, 0);
	struct sl_hs_job *j = new_job(1);

	for (unsigned i = 0; i < 3000; i++) {
		/* from right away to long after it has gone to sleep, most about when it does */
		uint64_t until = now_ns() + (uint64_t)(i * 7919 % 40) * 1000;
		while (now_ns() < until)
			;
		CU_ASSERT_TRUE_FATAL(s.submit(s.ctx, j));
		CU_ASSERT_PTR_EQUAL_FATAL(await(&s), j);
		j->op = SL_HS_FEED;
		j->asked_ns++;
	}
	j->op = SL_HS_END;
	CU_ASSERT_TRUE_FATAL(s.submit(s.ctx, j));
	CU_ASSERT_PTR_EQUAL(await(&s), j);
	CU_ASSERT_EQUAL(stub.wrong, 0);
	free(j);
	sl_handshakers_destroy(h);
}

/* ---- bounds, order ---- */

static void
what_is_too_much_is_refused_and_taken_when_there_is_room(void)
{
	enum { THREADS = 2, JOBS = 4, ALL = THREADS * JOBS };
	struct sl_handshakers *h = make(1, THREADS, JOBS);
	struct sl_tls_steps s = sl_handshakers_worker(h, 0);
	struct sl_hs_job *jobs[ALL + 1];

	shut(true);
	for (unsigned i = 0; i < ALL + 1; i++) {
		jobs[i] = new_job(i);
		CU_ASSERT_EQUAL(s.submit(s.ctx, jobs[i]), i < ALL);
	}
	wait_at_gate(THREADS);
	CU_ASSERT_FALSE(s.submit(s.ctx, jobs[ALL])); /* what is under way is out, too */
	CU_ASSERT_PTR_NULL(s.poll(s.ctx));
	shut(false);
	CU_ASSERT_PTR_NOT_NULL(await(&s));
	CU_ASSERT_TRUE(s.submit(s.ctx, jobs[ALL]));
	for (unsigned i = 0; i < ALL; i++)
		CU_ASSERT_PTR_NOT_NULL(await(&s));
	CU_ASSERT_PTR_NULL(s.poll(s.ctx));
	CU_ASSERT_EQUAL(stub.alive, ALL + 1);
	for (unsigned i = 0; i < ALL + 1; i++) {
		end(&s, jobs[i]);
		free(jobs[i]);
	}
	CU_ASSERT_EQUAL(stub.wrong, 0);
	sl_handshakers_destroy(h);
}

static void
a_handshake_begins_where_least_is_to_do(void)
{
	struct sl_handshakers *h = make(2, 3, 64);
	struct sl_tls_steps a = sl_handshakers_worker(h, 0), b = sl_handshakers_worker(h, 1);
	struct sl_hs_job *jobs[9];

	shut(true);
	/* 3 threads, one after the other of both workers: three each */
	for (unsigned i = 0; i < 9; i++) {
		jobs[i] = new_job(i);
		CU_ASSERT_TRUE(i % 2 ? b.submit(b.ctx, jobs[i]) : a.submit(a.ctx, jobs[i]));
	}
	wait_at_gate(3);
	shut(false);
	for (unsigned i = 0; i < 9; i++)
		CU_ASSERT_PTR_NOT_NULL(await(i % 2 ? &b : &a));
	unsigned at[SL_HANDSHAKERS_MAX] = {0};
	for (unsigned i = 0; i < 9; i++) {
		at[(uintptr_t)jobs[i]->hs & 15]++;
		end(i % 2 ? &b : &a, jobs[i]);
		free(jobs[i]);
	}
	CU_ASSERT_TRUE(at[0] == 3 && at[1] == 3 && at[2] == 3);
	sl_handshakers_destroy(h);
}

static void
a_worker_with_much_to_do_does_not_keep_others_waiting(void)
{
	enum { MUCH = 40 };
	struct sl_handshakers *h = make(2, 1, 64);
	struct sl_tls_steps a = sl_handshakers_worker(h, 0), b = sl_handshakers_worker(h, 1);
	struct sl_hs_job *jobs[MUCH], *other = new_job(1000);
	unsigned place = 0;

	shut(true);
	for (unsigned i = 0; i < MUCH; i++) {
		jobs[i] = new_job(i);
		CU_ASSERT_TRUE(a.submit(a.ctx, jobs[i]));
	}
	wait_at_gate(1);
	CU_ASSERT_TRUE(b.submit(b.ctx, other));
	shut(false);
	CU_ASSERT_PTR_EQUAL(await(&b), other);
	for (unsigned i = 0; i < MUCH; i++)
		CU_ASSERT_PTR_NOT_NULL(await(&a));
	while (place < MUCH && stub.order[place] != 1000)
		place++;
	CU_ASSERT_TRUE(place <= 2);
	end(&b, other);
	free(other);
	for (unsigned i = 0; i < MUCH; i++) {
		end(&a, jobs[i]);
		free(jobs[i]);
	}
	sl_handshakers_destroy(h);
}

/* ---- the budget of a worker ---- */

static unsigned
turn(const struct sl_tls_steps *s)
{
	unsigned n = 0;

	while (s->poll(s->ctx))
		n++;
	return n;
}

static void
a_turn_makes_one_step_or_as_many_as_its_budget_holds(void)
{
	struct sl_handshakers *h = NULL;
	char text[SL_HANDSHAKERS_TEXT];
	struct sl_handshakers_conf conf = {.worker_cnt = 1, .jobs = 8, .ops = &ops};
	struct sl_hs_job *jobs[8];

	stub.work_ns = 2000;
	for (unsigned round = 0; round < 2; round++) {
		conf.budget_ticks = round ? UINT64_MAX : 1;
		CU_ASSERT_EQUAL_FATAL(sl_handshakers_create(&conf, &h, text), 0);
		struct sl_tls_steps s = sl_handshakers_worker(h, 0);
		for (unsigned i = 0; i < 8; i++) {
			jobs[i] = new_job(i);
			CU_ASSERT_TRUE(s.submit(s.ctx, jobs[i]));
		}
		CU_ASSERT_FALSE(s.submit(s.ctx, jobs[0]));
		for (unsigned i = 0; round == 0 && i < 8; i++)
			CU_ASSERT_EQUAL(turn(&s), 1);
		if (round)
			CU_ASSERT_EQUAL(turn(&s), 8);
		CU_ASSERT_EQUAL(turn(&s), 0);
		for (unsigned i = 0; i < 8; i++) {
			end(&s, jobs[i]);
			free(jobs[i]);
		}
		sl_handshakers_destroy(h);
	}
	stub.work_ns = 0;
}

/* ---- the end ---- */

static void *
stop(void *h)
{
	sl_handshakers_stop(h);
	return NULL;
}

static void
stopping_waits_for_the_step_under_way_and_leaves_the_others(void)
{
	enum { OUT = 6 };
	struct sl_handshakers *h = make(1, 1, 8);
	struct sl_tls_steps s = sl_handshakers_worker(h, 0);
	struct sl_hs_job *jobs[OUT];
	pthread_t stopper;

	shut(true);
	for (unsigned i = 0; i < OUT; i++) {
		jobs[i] = new_job(i);
		CU_ASSERT_TRUE(s.submit(s.ctx, jobs[i]));
	}
	wait_at_gate(1);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&stopper, NULL, stop, h), 0);
	shut(false);
	pthread_join(stopper, NULL);
	unsigned made = stub.steps;
	CU_ASSERT_TRUE(made >= 1 && made <= OUT);
	sl_handshakers_stop(h);
	sl_handshakers_stop(NULL);
	CU_ASSERT_EQUAL(stub.steps, made);
	sl_handshakers_destroy(h);
	sl_handshakers_destroy(NULL);
	CU_ASSERT_EQUAL(stub.engines, 0);
	for (unsigned i = 0; i < OUT; i++) {
		free((void *)((uintptr_t)jobs[i]->hs & ~(uintptr_t)15));
		free(jobs[i]);
	}
}

static void
stopping_ends_threads_that_sleep(void)
{
	for (unsigned i = 0; i < 50; i++)
		sl_handshakers_destroy(make(1, 3, 1));
	CU_ASSERT_EQUAL(stub.engines, 0);
}

static void
an_engine_that_cannot_be_made_is_told(void)
{
	struct sl_handshakers *h = NULL;
	char text[SL_HANDSHAKERS_TEXT];
	const struct sl_handshakers_conf conf = {
		.worker_cnt = 2, .thread_cnt = 3, .jobs = 8, .ops = &ops};

	stub.engine_fail_at = 2;
	CU_ASSERT_EQUAL(sl_handshakers_create(&conf, &h, text), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "OpenSSL"));
	CU_ASSERT_PTR_NULL(h);
	CU_ASSERT_EQUAL(stub.engines, 0);
	stub.engine_fail_at = 0;
}

/* ---- where, when ---- */

static void
threads_have_names_and_run_where_they_are_told(void)
{
	struct sl_handshakers *h = NULL;
	char text[SL_HANDSHAKERS_TEXT];
	cpu_set_t set;
	int cpu = CPU_SETSIZE;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	while (cpu-- > 0 && !CPU_ISSET((size_t)cpu, &set))
		; /* the last one */
	const struct sl_handshakers_conf conf = {.worker_cnt = 1,
						 .thread_cnt = 1,
						 .jobs = 2,
						 .cpu_cnt = 1,
						 .cpus = &cpu,
						 .ops = &ops};
	CU_ASSERT_EQUAL_FATAL(sl_handshakers_create(&conf, &h, text), 0);
	struct sl_tls_steps s = sl_handshakers_worker(h, 0);
	struct sl_hs_job *j = new_job(0);
	stub.work_ns = 1;
	CU_ASSERT_TRUE(s.submit(s.ctx, j));
	CU_ASSERT_PTR_EQUAL(await(&s), j);
	end(&s, j);
	free(j);
	stub.work_ns = 0;
	sl_handshakers_destroy(h);
	CU_ASSERT_STRING_EQUAL(stub.name, "hs-0");
	CU_ASSERT_EQUAL(stub.cpu, cpu);
}

static void
time_is_told_to_workers_as_it_was_told_last(void)
{
	struct sl_handshakers *h = make(2, 0, 4);
	struct sl_tls_steps s = sl_handshakers_worker(h, 1);
	int64_t at_first = sl_handshakers_now_s(s.ctx);

	CU_ASSERT_TRUE(at_first <= time(NULL) && at_first > time(NULL) - 100);
	sl_handshakers_now(h, 1234567890123);
	CU_ASSERT_EQUAL(sl_handshakers_now_s(s.ctx), 1234567890123);
	sl_handshakers_destroy(h);
}

SL_SUITE("handshakers", SL_TEST(every_step_is_made_once_in_order_by_the_thread_it_began_at),
	 SL_TEST(workers_make_their_own_steps_where_there_are_no_threads),
	 SL_TEST(a_thread_that_sleeps_is_woken_each_time),
	 SL_TEST(what_is_too_much_is_refused_and_taken_when_there_is_room),
	 SL_TEST(a_handshake_begins_where_least_is_to_do),
	 SL_TEST(a_worker_with_much_to_do_does_not_keep_others_waiting),
	 SL_TEST(a_turn_makes_one_step_or_as_many_as_its_budget_holds),
	 SL_TEST(stopping_waits_for_the_step_under_way_and_leaves_the_others),
	 SL_TEST(stopping_ends_threads_that_sleep), SL_TEST(an_engine_that_cannot_be_made_is_told),
	 SL_TEST(threads_have_names_and_run_where_they_are_told),
	 SL_TEST(time_is_told_to_workers_as_it_was_told_last))

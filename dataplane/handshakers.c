/* Going to sleep:
 *
 *   thread                                     worker
 *     asleep = 1          (read-modify-write)    job into the ring
 *     rings empty? sleep while asleep = 1        asleep was 1? (read-modify-write)  0, and wake
 *
 * Both change the same word, so one comes first: if the worker, then the thread's change acquires what the worker released, and its
 * look at the rings sees the job; if the thread, the worker sees 1 and wakes.
 *
 * A worker counts what it has out at each thread, so that answers always have room; others read the counts to find who has least. */
#include "dataplane/handshakers.h"

#include "dataplane/vault.h"
#include "sluice/ring.h"

#include <errno.h>
#include <linux/futex.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define SPIN_TICKS 40000u /* some 15 µs */
#define STACK (1u << 20)
#define STEP_STACK 32768 /* of a step on a worker: cleansed behind it */
#define TAG 15u          /* the thread, in the lowest bits of job.hs */

/* Between one worker and one thread. */
struct lane {
	struct sl_ring *to, *from; /* struct sl_hs_job * */
	_Atomic uint32_t out;      /* written by the worker alone; relaxed: others only compare */
	uint8_t pad[64 - 2 * 8 - 4];
};
static_assert(sizeof(struct lane) == 64, "a line");

struct worker {
	SL_ALIGNED struct sl_handshakers *h;
	struct lane *lanes; /* [thread_cnt] */
	unsigned id;
	unsigned next;    /* thread to be asked first, by poll, */
	unsigned begin;   /* and by who begins */
	uint32_t waiting; /* out at all threads */
	/* threads 0 */
	struct sl_hs_engine *engine;
	struct sl_ring *queue;
	uint64_t spent; /* ticks of this turn */
};

struct thread {
	SL_ALIGNED _Atomic uint32_t asleep;
	SL_ALIGNED struct sl_handshakers *h;
	struct sl_hs_engine *engine;
	unsigned id;
	bool runs;
	pthread_t thread;
	void *stack;
};

struct sl_handshakers {
	struct sl_handshakers_conf conf;
	struct sl_handshaker_ops ops;
	uint32_t ring_size;
	_Atomic bool stop;     /* relaxed: wake, which follows, makes a sleeper see it */
	_Atomic int64_t now_s; /* relaxed: one word, and nothing else goes by it */
	struct lane *lanes;    /* [worker_cnt][thread_cnt] */
	void *rings;
	struct worker *workers; /* [worker_cnt] */
	struct thread *threads; /* [thread_cnt] */
};

/* ---- threads ---- */

static void
futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	(void)syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void
wake(struct thread *t)
{
	/* see above; pairs with the exchange in nap */
	if (atomic_fetch_and_explicit(&t->asleep, 0, memory_order_acq_rel))
		futex(&t->asleep, FUTEX_WAKE, 1);
}

static struct lane *
lane_of(struct sl_handshakers *h, unsigned worker, unsigned thread)
{
	return &h->lanes[worker * h->conf.thread_cnt + thread];
}

static void
make_step(struct thread *t, struct sl_hs_job *job)
{
	job->hs = (void *)((uintptr_t)job->hs & ~(uintptr_t)TAG);
	t->h->ops.step(t->engine, job);
	SL_ASSERT(((uintptr_t)job->hs & TAG) == 0);
	if (job->hs)
		job->hs = (void *)((uintptr_t)job->hs | t->id);
}

/* One job of each worker; how many there were. */
static unsigned
take_round(struct thread *t)
{
	struct sl_handshakers *h = t->h;
	struct sl_hs_job *job;
	unsigned done = 0;

	for (unsigned w = 0; w < h->conf.worker_cnt; w++) {
		struct lane *l = lane_of(h, w, t->id);
		if (atomic_load_explicit(&h->stop, memory_order_relaxed))
			break;
		if (sl_ring_take(l->to, &job, 1) == 0)
			continue;
		make_step(t, job);
		uint32_t put = sl_ring_put(l->from, &job, 1);
		SL_ASSERT(put == 1); /* the worker counts */
		(void)put;
		done++;
	}
	return done;
}

static bool
all_empty(struct thread *t)
{
	for (unsigned w = 0; w < t->h->conf.worker_cnt; w++)
		if (!sl_ring_empty(lane_of(t->h, w, t->id)->to))
			return false;
	return true;
}

static void
nap(struct thread *t)
{
	/* pairs with wake */
	(void)atomic_exchange_explicit(&t->asleep, 1, memory_order_acq_rel);
	while (all_empty(t) && !atomic_load_explicit(&t->h->stop, memory_order_relaxed) &&
	       atomic_load_explicit(&t->asleep, memory_order_acquire))
		futex(&t->asleep, FUTEX_WAIT, 1);
	atomic_store_explicit(&t->asleep, 0, memory_order_relaxed);
}

static void
look_at_clock(struct sl_handshakers *h)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME_COARSE, &ts) == 0)
		sl_handshakers_now(h, ts.tv_sec);
}

static void *
run(void *thread)
{
	struct thread *t = thread;
	uint64_t since = __rdtsc();

	while (!atomic_load_explicit(&t->h->stop, memory_order_relaxed)) {
		if (take_round(t)) {
			look_at_clock(t->h);
			since = __rdtsc();
		} else if (__rdtsc() - since < SPIN_TICKS) {
			_mm_pause();
		} else {
			nap(t);
			since = __rdtsc();
		}
	}
	OPENSSL_thread_stop();
	return NULL;
}

/* ---- a worker's side, with threads ---- */

static uint32_t
load_of(struct sl_handshakers *h, unsigned thread)
{
	uint32_t sum = 0;

	for (unsigned w = 0; w < h->conf.worker_cnt; w++)
		sum += atomic_load_explicit(&lane_of(h, w, thread)->out, memory_order_relaxed);
	return sum;
}

static uint32_t
out(const struct lane *l)
{
	return atomic_load_explicit(&l->out, memory_order_relaxed);
}

/* Who has least to do and room for one of ours; thread_cnt: nobody. */
static unsigned
choose(struct worker *w)
{
	unsigned cnt = w->h->conf.thread_cnt, best = cnt;
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < cnt; i++) {
		unsigned t = (w->begin + i) % cnt;
		uint32_t load = out(&w->lanes[t]) < w->h->conf.jobs ? load_of(w->h, t) : UINT32_MAX;
		if (load < least) {
			least = load;
			best = t;
		}
	}
	w->begin++;
	return best;
}

static bool
submit(void *ctx, struct sl_hs_job *job)
{
	struct worker *w = ctx;
	bool begins = job->op == SL_HS_SERVER || job->op == SL_HS_CLIENT;
	unsigned t = begins ? choose(w) : (unsigned)((uintptr_t)job->hs & TAG);

	if (t >= w->h->conf.thread_cnt)
		return false;
	struct lane *l = &w->lanes[t];
	if (out(l) >= w->h->conf.jobs || sl_ring_put(l->to, &job, 1) == 0)
		return false;
	atomic_store_explicit(&l->out, out(l) + 1, memory_order_relaxed);
	w->waiting++;
	wake(&w->h->threads[t]);
	return true;
}

static struct sl_hs_job *
poll(void *ctx)
{
	struct worker *w = ctx;
	unsigned cnt = w->h->conf.thread_cnt;
	struct sl_hs_job *job;

	for (unsigned i = 0; w->waiting && i < cnt; i++) {
		struct lane *l = &w->lanes[w->next];
		w->next = w->next + 1 == cnt ? 0 : w->next + 1;
		if (out(l) == 0 || sl_ring_take(l->from, &job, 1) == 0)
			continue;
		atomic_store_explicit(&l->out, out(l) - 1, memory_order_relaxed);
		w->waiting--;
		return job;
	}
	return NULL;
}

/* ---- on the worker ---- */

static bool
submit_here(void *ctx, struct sl_hs_job *job)
{
	struct worker *w = ctx;

	if (w->waiting >= w->h->conf.jobs || sl_ring_put(w->queue, &job, 1) == 0)
		return false;
	w->waiting++;
	return true;
}

static __attribute__((noinline)) void
cleanse_stack(void)
{
	uint8_t below[STEP_STACK];

	OPENSSL_cleanse(below, sizeof(below));
}

static __attribute__((noinline)) void
step_here(struct worker *w, struct sl_hs_job *job)
{
	w->h->ops.step(w->engine, job);
}

/* A turn's polls end with NULL: then the next one begins. */
static struct sl_hs_job *
poll_here(void *ctx)
{
	struct worker *w = ctx;
	struct sl_hs_job *job;

	if ((w->spent && w->spent >= w->h->conf.budget_ticks) ||
	    sl_ring_take(w->queue, &job, 1) == 0) {
		w->spent = 0;
		return NULL;
	}
	uint64_t start = __rdtsc();
	step_here(w, job);
	cleanse_stack();
	w->spent += __rdtsc() - start + 1;
	w->waiting--;
	return job;
}

struct sl_tls_steps
sl_handshakers_worker(struct sl_handshakers *h, unsigned worker)
{
	struct worker *w = &h->workers[worker];

	if (h->conf.thread_cnt == 0)
		return (struct sl_tls_steps){w, submit_here, poll_here};
	return (struct sl_tls_steps){w, submit, poll};
}

/* ---- time ---- */

void
sl_handshakers_now(struct sl_handshakers *h, int64_t now_s)
{
	atomic_store_explicit(&h->now_s, now_s, memory_order_relaxed);
}

int64_t
sl_handshakers_now_s(void *steps_ctx)
{
	const struct worker *w = steps_ctx;

	return atomic_load_explicit(&w->h->now_s, memory_order_relaxed);
}

/* ---- life ---- */

static void *
lines(size_t bytes)
{
	size_t n = (bytes + SL_CACHE_LINE) & ~(size_t)(SL_CACHE_LINE - 1);
	void *m = aligned_alloc(SL_CACHE_LINE, n);

	return m ? memset(m, 0, n) : NULL;
}

static bool
make_rings(struct sl_handshakers *h)
{
	unsigned lanes = h->conf.worker_cnt * h->conf.thread_cnt;
	unsigned cnt = lanes ? 2 * lanes : h->conf.worker_cnt;
	size_t one;

	for (h->ring_size = 2; h->ring_size < h->conf.jobs;)
		h->ring_size *= 2;
	one = sl_ring_bytes(h->ring_size, sizeof(struct sl_hs_job *));
	uint8_t *at = h->rings = lines(cnt * one);
	if (!at)
		return false;
	for (unsigned i = 0; i < cnt; i++, at += one) {
		struct sl_ring *r = sl_ring_init(at, h->ring_size, sizeof(struct sl_hs_job *));
		if (!lanes)
			h->workers[i].queue = r;
		else if (i % 2)
			h->lanes[i / 2].from = r;
		else
			h->lanes[i / 2].to = r;
	}
	return true;
}

static bool
make_memory(struct sl_handshakers *h)
{
	unsigned workers = h->conf.worker_cnt, threads = h->conf.thread_cnt;

	h->workers = lines(workers * sizeof(*h->workers));
	h->threads = lines(threads * sizeof(*h->threads));
	h->lanes = lines((size_t)workers * threads * sizeof(*h->lanes));
	if (!h->workers || !h->threads || !h->lanes)
		return false;
	for (unsigned w = 0; w < workers; w++) {
		h->workers[w].h = h;
		h->workers[w].id = w;
		h->workers[w].lanes = threads ? lane_of(h, w, 0) : NULL;
	}
	for (unsigned t = 0; t < threads; t++) {
		h->threads[t].h = h;
		h->threads[t].id = t;
	}
	return make_rings(h);
}

static bool
make_engines(struct sl_handshakers *h)
{
	unsigned threads = h->conf.thread_cnt;

	for (unsigned i = 0; i < (threads ? threads : h->conf.worker_cnt); i++) {
		struct sl_hs_engine *e = h->ops.create(&h->conf.hs);
		if (!e)
			return false;
		*(threads ? &h->threads[i].engine : &h->workers[i].engine) = e;
	}
	return true;
}

static int
pin(struct sl_handshakers *h, const struct thread *t, pthread_attr_t *attr)
{
	cpu_set_t one;

	if (h->conf.cpu_cnt) {
		CPU_ZERO(&one);
		CPU_SET((size_t)h->conf.cpus[t->id % h->conf.cpu_cnt], &one);
		return pthread_attr_setaffinity_np(attr, sizeof(one), &one);
	}
	return h->conf.set ? pthread_attr_setaffinity_np(attr, sizeof(one), h->conf.set) : 0;
}

static int
start(struct sl_handshakers *h, struct thread *t)
{
	pthread_attr_t attr;
	char name[16];

	t->stack = sl_vault_stack(STACK);
	if (!t->stack)
		return errno;
	pthread_attr_init(&attr);
	int err = pthread_attr_setstack(&attr, t->stack, STACK);
	if (!err)
		err = pin(h, t, &attr);
	if (!err)
		err = pthread_create(&t->thread, &attr, run, t);
	pthread_attr_destroy(&attr);
	t->runs = err == 0;
	snprintf(name, sizeof(name), "hs-%u", t->id);
	if (!err)
		pthread_setname_np(t->thread, name);
	return err;
}

int
sl_handshakers_create(const struct sl_handshakers_conf *conf, struct sl_handshakers **ret,
		      char ret_text[SL_HANDSHAKERS_TEXT])
{
	struct sl_handshakers *h = lines(sizeof(*h));
	int err = 0;

	if (!h || (h->conf = *conf, !make_memory(h)))
		err = -ENOMEM;
	snprintf(ret_text, SL_HANDSHAKERS_TEXT, "there is no memory for queues of handshakes");
	if (!err) {
		h->ops = *conf->ops;
		look_at_clock(h);
		err = make_engines(h) ? 0 : -EIO;
		snprintf(ret_text, SL_HANDSHAKERS_TEXT,
			 "OpenSSL cannot be made ready for handshakes: is libssl 3.0 whole, and "
			 "tls.memory_mb enough?");
	}
	for (unsigned i = 0; i < conf->thread_cnt && !err; i++) {
		err = -start(h, &h->threads[i]);
		snprintf(ret_text, SL_HANDSHAKERS_TEXT, "handshake thread %u: %s", i,
			 strerror(-err));
	}
	if (err)
		sl_handshakers_destroy(h);
	else
		*ret = h;
	return err;
}

void
sl_handshakers_stop(struct sl_handshakers *h)
{
	if (!h || !h->threads)
		return;
	atomic_store_explicit(&h->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < h->conf.thread_cnt; i++) {
		struct thread *t = &h->threads[i];
		if (!t->runs)
			continue;
		wake(t);
		pthread_join(t->thread, NULL);
		t->runs = false;
	}
}

void
sl_handshakers_destroy(struct sl_handshakers *h)
{
	if (!h)
		return;
	sl_handshakers_stop(h);
	for (unsigned i = 0; h->threads && i < h->conf.thread_cnt; i++) {
		if (h->threads[i].engine)
			h->ops.destroy(h->threads[i].engine);
		sl_vault_unstack(h->threads[i].stack, STACK);
	}
	for (unsigned i = 0; h->workers && i < h->conf.worker_cnt; i++)
		if (h->workers[i].engine)
			h->ops.destroy(h->workers[i].engine);
	free(h->rings);
	free(h->lanes);
	free(h->threads);
	free(h->workers);
	free(h);
}

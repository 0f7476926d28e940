/* Idle, when adaptive: SPIN empty turns polling, then naps that double from NAP_MIN to NAP_MAX while
 * nothing comes; one packet ends it.  A nap is at most what a burst of arrivals may wait for. */
#include "dataplane/lcore.h"

#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define SPIN 256
#define NAP_MIN 5000
#define NAP_MAX 100000
#define STOP_NS 20000000

/* One pause of an idle worker; `empty` turns in a row so far. */
static void
idle(struct sl_lcore *l, unsigned empty)
{
	if (empty < SPIN) {
		_mm_pause();
		return;
	}
	unsigned shift = SL_MIN((empty - SPIN) / 16, 5u);
	struct timespec ts = {0, SL_MIN((long)NAP_MIN << shift, (long)NAP_MAX)};

	rte_rcu_qsbr_thread_offline(l->shared->qsbr, l->id);
	nanosleep(&ts, NULL);
	rte_rcu_qsbr_thread_online(l->shared->qsbr, l->id);
}

/* Gives the worker its flow table (lcore.h). */
static void __attribute__((cold, noinline)) take_table(struct sl_lcore *l)
{
	struct sl_hand *h = &l->hand;
	struct sl_flow_table *t = sl_flows_table(h->head, l->id);

	h->got = (struct sl_flow_adopted){0};
	h->why = NULL;
	/* on kernels without it the pages come one by one, later */
	if (h->how == SL_HAND_MAKE) {
		if (h->populate)
			(void)madvise(t, h->head->table_bytes, MADV_POPULATE_WRITE);
		t = sl_flow_init(t, h->head->capacity, h->head->xlat_capacity, &h->key);
	} else if (h->how == SL_HAND_ADOPT) {
		uint64_t now_ns = sl_clock_now(&l->shared->clock);
		h->why = sl_flow_adopt(h->head, l->id, (uint32_t)(now_ns / 250000000u), &h->key,
				       &h->got);
	}
	for (unsigned p = 0; p < SL_BOOT_MAX_PORTS; p++)
		if (h->handed_over & 1u << p)
			sl_worker_hand_over(l->worker, p);
	sl_worker_adopt(l->worker, t);
	l->stats->flow_lost = h->gone + h->got.expired + h->got.lost;
	/* pairs with main's acquire: the table and the answer are whole */
	atomic_store_explicit(&h->state, SL_HAND_DONE, memory_order_release);
}

/* The last turn.  What it sends may have to go by another worker's queue: each waits for the others, not for long. */
static void
last_turn(struct sl_lcore *l)
{
	struct sl_lcore_shared *s = l->shared;
	uint64_t now_ns = sl_clock_now(&s->clock), until = now_ns + STOP_NS;

	sl_worker_stop(l->worker, atomic_load_explicit(&s->view, memory_order_acquire), now_ns);
	atomic_fetch_add_explicit(&s->stopped, 1, memory_order_release);
	while (atomic_load_explicit(&s->stopped, memory_order_acquire) < s->worker_cnt &&
	       sl_clock_now(&s->clock) < until)
		sl_worker_forward(l->worker);
	sl_worker_forward(l->worker);
}

int
sl_lcore_run(void *lcore)
{
	struct sl_lcore *l = lcore;
	struct sl_lcore_shared *s = l->shared;
	struct sl_stats_worker *stats = l->stats;
	unsigned empty = 0;
	uint64_t before = __rdtsc();

	prctl(PR_SET_TIMERSLACK, 1000ul);
	rte_rcu_qsbr_thread_online(s->qsbr, l->id);
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		/* pairs with the release in sl_takeover: the request is whole */
		if (sl_unlikely(atomic_load_explicit(&l->hand.state, memory_order_acquire) ==
				SL_HAND_ASKED))
			take_table(l);
		/* pairs with main's release (unplug.c) */
		uint32_t unplugged = atomic_load_explicit(&s->unplugged, memory_order_acquire);
		if (sl_unlikely(unplugged != l->unplugged))
			sl_worker_unplug(l->worker, l->unplugged = unplugged);
		/* pairs with the release of main's publication */
		const struct sl_view *view = atomic_load_explicit(&s->view, memory_order_acquire);
		const struct sl_shadow *shadow =
			atomic_load_explicit(&s->shadow, memory_order_acquire);
		if (sl_unlikely(shadow != l->shadow))
			sl_worker_shadow(l->worker, l->shadow = shadow);
		unsigned done = sl_worker_turn(l->worker, view, sl_clock_at(&s->clock, before));
		rte_rcu_qsbr_quiescent(s->qsbr, l->id);

		uint64_t after = __rdtsc(), ticks = after - before;
		stats->total_ticks += ticks;
		before = after;
		if (sl_likely(done)) {
			stats->busy_ticks += ticks;
			sl_hist_add(&stats->turn_ns, sl_clock_ns(&s->clock, ticks));
			empty = 0;
		} else if (s->adaptive) {
			empty = SL_MIN(empty + 1, 1u << 30);
			idle(l, empty);
			uint64_t woke = __rdtsc();
			stats->total_ticks += woke - before;
			before = woke;
		}
	}
	last_turn(l);
	rte_rcu_qsbr_thread_offline(s->qsbr, l->id);
	return 0;
}

/* The swap is short: a turn of the slowest worker, some µs to 100 µs.  Main naps in small steps for SWAP_NAPS of
 * them, then goes back to its loop and looks again each millisecond.  An offer that comes meanwhile is held, root
 * and all, until the swap before it is over, so at most one is under way; likewise one that comes before the gate
 * is open.  What is held is the newest offer, and is refused when a worker is stuck. */
#include "dataplane/publish.h"

#include "dataplane/shadow.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 10000
#define SWAP_NAPS 200
#define STUCK_NS 5000000000ull

static const uint64_t no_time[3];

struct held {
	uint64_t generation; /* 0: none is held */
	struct sl_obj_id root;
	uint32_t sample_ppm;
	int fd;
	uint64_t since_ns;
	bool told; /* that it waits long */
};

struct sl_publish {
	struct sl_store *store;
	struct sl_lcore_shared *shared;
	struct sl_ctl_server *server;
	void (*log)(const char *line);
	int (*ready)(void *ctx, const struct sl_view *view, struct sl_diag *diag); /* or NULL */
	void *ready_ctx;
	int (*gate)(void *ctx, struct sl_diag *diag); /* or NULL */
	void *gate_ctx;
	uint64_t times[3];   /* check, build, swap of the open offer; ns */
	uint32_t sample_ppm; /* of the open offer: it is to be tried; 0: to be active */
	struct {
		struct sl_view *view; /* NULL: none under way */
		uint64_t token;
		uint64_t since_ns;
		bool told; /* that it takes long */
	} swap;
	struct held held;
	struct {
		struct sl_shadow *run; /* NULL: nothing is tried */
		struct sl_view *view;
		bool ending; /* workers may still see it, until */
		uint64_t token;
		uint32_t seq; /* of the END to be answered; 0: none */
	} shadow;
};

static void say(const struct sl_publish *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
say(const struct sl_publish *p, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	p->log(line);
}

static uint64_t
now(const struct sl_publish *p)
{
	return sl_clock_now(&p->shared->clock);
}

static void
nap(void)
{
	nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

/* ---- answers ---- */

static uint32_t
live_cnt(const struct sl_publish *p)
{
	struct sl_store_live live[SL_STORE_LIVE_MAX];

	return sl_store_live(p->store, live);
}

static void
refused(struct sl_publish *p, uint64_t generation, struct sl_diag *diag, int err)
{
	char text[512];

	if (diag->cnt == 0 && err == -ENOMEM)
		sl_diag_add(diag, NULL, 0, NULL, NULL, "the dataplane is out of memory");
	else if (diag->cnt == 0) /* the reasons went out as objects came */
		say(p, "generation %" PRIu64 " refused", generation);
	for (unsigned i = 0; i < diag->cnt && i < 3; i++) {
		sl_diag_format(&diag->items[i], text, sizeof(text));
		say(p, "generation %" PRIu64 " refused: %s", generation, text);
	}
	if (diag->cnt > 3)
		say(p, "generation %" PRIu64 " refused: %u more reasons", generation,
		    diag->cnt - 3 + diag->more);
	sl_store_offer_abort(p->store);
	sl_ctl_server_reasons(p->server, generation, diag);
	sl_ctl_server_verdict(p->server, generation, SL_CTL_REFUSED, live_cnt(p), p->times);
}

/* ---- the swap ---- */

/* Whether somebody still holds one. */
static bool
release_retired(struct sl_publish *p)
{
	struct sl_store_live live[SL_STORE_LIVE_MAX];
	unsigned n = sl_store_live(p->store, live);
	bool held = false;

	for (unsigned i = 0; i < n; i++)
		if (live[i].state == SL_STORE_RETIRED)
			held |= sl_store_release(p->store, live[i].view) != 0;
	return held;
}

static bool
swap_done(struct sl_publish *p)
{
	if (rte_rcu_qsbr_check(p->shared->qsbr, p->swap.token, false) != 1)
		return false;
	uint64_t generation = p->swap.view->generation;
	p->times[2] = now(p) - p->swap.since_ns;
	p->swap.view = NULL;
	(void)release_retired(p); /* the one before goes now, unless it is pinned */
	say(p,
	    "generation %" PRIu64 " active on all workers (check %" PRIu64 " us, build %" PRIu64
	    " us, swap %" PRIu64 " us)",
	    generation, p->times[0] / 1000, p->times[1] / 1000, p->times[2] / 1000);
	sl_ctl_server_verdict(p->server, generation, SL_CTL_ACTIVE, live_cnt(p), p->times);
	return true;
}

static void
swap(struct sl_publish *p, struct sl_view *view)
{
	sl_view_follow(view, sl_store_active(p->store));
	p->swap.since_ns = now(p);
	p->swap.told = false;
	p->swap.view = view;
	/* pairs with the acquire in sl_lcore_run: who sees the pointer sees the view whole */
	atomic_store_explicit(&p->shared->view, view, memory_order_release);
	p->swap.token = rte_rcu_qsbr_start(p->shared->qsbr);
	sl_store_published(p->store, view);
	for (unsigned i = 0; i < SWAP_NAPS && !swap_done(p); i++)
		nap();
}

/* ---- a table that is tried ---- */

static void
answer_shadow(struct sl_publish *p, uint32_t seq, bool running)
{
	struct sl_ctl_shadow_counts counts;
	struct sl_ctl_shadow_example *examples = calloc(SL_SHADOW_EXAMPLES, sizeof(*examples));

	if (!examples) {
		sl_ctl_server_unexplained(p->server, seq, "the dataplane is out of memory");
		return;
	}
	sl_shadow_sum(p->shadow.run, now(p), &counts, examples);
	counts.running = running;
	sl_ctl_server_shadow(p->server, seq, &counts, examples);
	free(examples);
}

/* No worker sees it any more. */
static bool
shadow_over(struct sl_publish *p)
{
	if (!p->shadow.ending || rte_rcu_qsbr_check(p->shared->qsbr, p->shadow.token, false) != 1)
		return false;
	if (p->shadow.seq)
		answer_shadow(p, p->shadow.seq, false);
	say(p, "generation %" PRIu64 " is not tried any more", p->shadow.view->generation);
	sl_shadow_destroy(p->shadow.run);
	(void)sl_store_release(p->store, p->shadow.view);
	memset(&p->shadow, 0, sizeof(p->shadow));
	return true;
}

static void
shadow_end(struct sl_publish *p, uint32_t seq)
{
	if (!p->shadow.run || p->shadow.ending)
		return;
	p->shadow.seq = seq;
	p->shadow.ending = true;
	atomic_store_explicit(&p->shared->shadow, NULL, memory_order_release);
	p->shadow.token = rte_rcu_qsbr_start(p->shared->qsbr);
	for (unsigned i = 0; i < SWAP_NAPS && !shadow_over(p); i++)
		nap();
}

static int
shadow_begin(struct sl_publish *p, struct sl_view *view)
{
	uint64_t seed = view->seed ^ now(p);

	p->shadow.run = sl_shadow_create(view, p->sample_ppm, p->shared->worker_cnt, seed, now(p));
	if (!p->shadow.run)
		return -ENOMEM;
	p->shadow.view = view;
	/* pairs with the acquire in sl_lcore_run */
	atomic_store_explicit(&p->shared->shadow, p->shadow.run, memory_order_release);
	say(p, "generation %" PRIu64 " is tried with %u of a million requests and flows",
	    view->generation, p->sample_ppm);
	sl_ctl_server_verdict(p->server, view->generation, SL_CTL_TRIED, live_cnt(p), p->times);
	return 0;
}

/* 0, or why nothing can be tried now. */
static int
shadow_check(struct sl_publish *p, struct sl_diag *diag)
{
	if (p->shadow.run) {
		sl_diag_add(diag, NULL, 0, NULL, "end it first",
			    "generation %" PRIu64 " is being tried", p->shadow.view->generation);
		return -EBUSY;
	}
	if (sl_store_active(p->store))
		return 0;
	sl_diag_add(diag, NULL, 0, NULL, "push one",
		    "there is no active table that another could be tried beside");
	return -EINVAL;
}

void
sl_publish_shadow(void *publish, uint32_t seq, uint32_t op)
{
	struct sl_publish *p = publish;

	if (!p->shadow.run || p->shadow.ending)
		sl_ctl_server_unexplained(p->server, seq, "nothing is tried");
	else if (op == SL_SHADOW_END)
		shadow_end(p, seq);
	else
		answer_shadow(p, seq, true);
}

/* ---- what the control server calls ---- */

void
sl_publish_active(void *publish, uint64_t *ret_generation, struct sl_obj_id *ret_root)
{
	const struct sl_view *v = sl_store_active(((struct sl_publish *)publish)->store);

	*ret_generation = v ? v->generation : 0;
	*ret_root = v ? v->root_id : (struct sl_obj_id){0};
}

static void
complete(struct sl_publish *p)
{
	uint64_t generation = sl_store_offer_generation(p->store), start = now(p);
	struct sl_diag diag = {0};
	struct sl_view *view = NULL;
	int err = sl_store_offer_complete(p->store, &diag, &view);

	/* what is tried ends no TLS */
	if (!err && p->ready && !p->sample_ppm && (err = p->ready(p->ready_ctx, view, &diag)))
		(void)sl_store_release(p->store, view); /* nobody has seen it */
	p->times[1] = now(p) - start;
	if (!err && p->sample_ppm) {
		err = shadow_begin(p, view);
		if (err)
			(void)sl_store_release(p->store, view);
	}
	if (err)
		refused(p, generation, &diag, err);
	else if (p->sample_ppm)
		p->sample_ppm = 0;
	else
		swap(p, view);
	sl_diag_fini(&diag);
}

static void
begin(struct sl_publish *p, uint64_t generation, const struct sl_obj_id *root, int fd,
      uint32_t sample_ppm)
{
	struct sl_diag diag = {0};
	uint64_t start = now(p);
	unsigned cnt = 0;
	/* a push needs the place more */
	if (!sample_ppm && live_cnt(p) == SL_STORE_LIVE_MAX)
		shadow_end(p, 0);
	int err = sample_ppm ? shadow_check(p, &diag) : 0;

	p->sample_ppm = sample_ppm;
	if (!err)
		err = sl_store_offer_begin(p->store, generation, root, fd, &diag);
	memset(p->times, 0, sizeof(p->times));
	p->times[0] = now(p) - start;
	if (err) {
		refused(p, generation, &diag, err);
	} else {
		const uint32_t *refs = sl_store_offer_wanted(p->store, &cnt);
		sl_ctl_server_want(p->server, generation, refs, cnt);
		/* the connection may have ended over the WANT, and the offer with it */
		if (sl_store_offer_generation(p->store) == generation && cnt == 0)
			complete(p);
	}
	sl_diag_fini(&diag);
}

/* ---- an offer that is held ---- */

/* 0; -EBUSY: not yet; or another -errno.  Why not is in diag. */
static int
may_take(const struct sl_publish *p, struct sl_diag *diag)
{
	if (!p->swap.view)
		return p->gate ? p->gate(p->gate_ctx, diag) : 0;
	sl_diag_add(diag, NULL, 0, NULL, "is the worker's CPU used by something else?",
		    "a worker has not taken generation %" PRIu64 " yet", p->swap.view->generation);
	return -EBUSY;
}

/* Nothing keeps h waiting any more. */
static void
take(struct sl_publish *p, const struct held *h)
{
	const struct sl_view *active = sl_store_active(p->store);

	if (active && !h->sample_ppm && memcmp(&active->root_id, &h->root, sizeof(h->root)) == 0)
		sl_ctl_server_verdict(p->server, h->generation, SL_CTL_ACTIVE, live_cnt(p),
				      no_time);
	else
		begin(p, h->generation, &h->root, h->fd, h->sample_ppm);
}

/* Its number; 0: none was held. */
static uint64_t
let_go(struct sl_publish *p)
{
	uint64_t generation = p->held.generation;

	if (generation)
		close(p->held.fd);
	p->held.generation = 0;
	return generation;
}

static void
say_held(struct sl_publish *p, const struct sl_diag *diag)
{
	char text[512];

	if (p->held.told || now(p) - p->held.since_ns <= STUCK_NS)
		return;
	p->held.told = true;
	sl_diag_format(&diag->items[0], text, sizeof(text));
	say(p, "generation %" PRIu64 " has waited for 5 s: %s", p->held.generation, text);
}

/* What is held is taken or refused as soon as it can be. */
static void
held_turn(struct sl_publish *p)
{
	struct sl_diag diag = {0};

	if (!p->held.generation)
		return;
	int err = may_take(p, &diag);
	if (!p->held.generation) { /* the connection ended over the gate, and the offer with it */
		sl_diag_fini(&diag);
		return;
	}
	if (!err) {
		struct held h = p->held;
		p->held.generation = 0;
		take(p, &h);
		close(h.fd);
	} else if (err == -EBUSY && now(p) - p->held.since_ns <= SL_CTL_HOLD_MS * 1000000ull) {
		say_held(p, &diag);
	} else {
		uint64_t times[3]; /* of the swap that may be under way */
		memcpy(times, p->times, sizeof(times));
		memset(p->times, 0, sizeof(p->times));
		refused(p, let_go(p), &diag, err);
		memcpy(p->times, times, sizeof(times));
	}
	sl_diag_fini(&diag);
}

/* Answers the offer that the next one replaces: one that is held, or one whose objects are missing. */
static void
supersede(struct sl_publish *p)
{
	uint64_t held = let_go(p), open = held ? held : sl_store_offer_generation(p->store);

	sl_store_offer_abort(p->store);
	if (open)
		sl_ctl_server_verdict(p->server, open, SL_CTL_SUPERSEDED, live_cnt(p), no_time);
}

void
sl_publish_offer(void *publish, uint64_t generation, const struct sl_obj_id *root,
		 uint32_t sample_ppm, int fd)
{
	struct sl_publish *p = publish;
	uint64_t peer = sl_ctl_server_peer(p->server);

	supersede(p);
	/* the connection may have ended over an answer: nobody would end this offer any more */
	if (sl_ctl_server_peer(p->server) != peer) {
		close(fd);
		return;
	}
	p->held = (struct held){.generation = generation,
				.root = *root,
				.sample_ppm = sample_ppm,
				.fd = fd,
				.since_ns = now(p)};
	held_turn(p);
}

void
sl_publish_object(void *publish, uint64_t generation, uint32_t ref, int fd)
{
	struct sl_publish *p = publish;
	struct sl_diag diag = {0};

	/* what was on its way when its offer was refused or superseded is no mistake */
	if (generation == sl_store_offer_generation(p->store)) {
		uint64_t start = now(p);
		int err = sl_store_offer_object(p->store, ref, fd, &diag);
		p->times[0] += now(p) - start;
		if (err && err != -EINVAL)
			refused(p, generation, &diag, err);
		else if (err)
			sl_ctl_server_reasons(p->server, generation, &diag);
		if (generation == sl_store_offer_generation(p->store) &&
		    sl_store_offer_missing(p->store) == 0)
			complete(p);
	}
	sl_diag_fini(&diag);
	close(fd);
}

void
sl_publish_drop(void *publish)
{
	struct sl_publish *p = publish;
	uint64_t held = let_go(p), open = held ? held : sl_store_offer_generation(p->store);

	if (open)
		say(p, "generation %" PRIu64 " dropped: sluiced went away before it was complete",
		    open);
	sl_store_offer_abort(p->store);
	shadow_end(p, 0);
	p->shadow.seq = 0;
}

/* ---- turns ---- */

int
sl_publish_turn(struct sl_publish *p)
{
	bool ends = p->shadow.ending && !shadow_over(p);
	bool swaps = p->swap.view && !swap_done(p);

	held_turn(p);
	if (swaps) {
		if (!p->swap.told && now(p) - p->swap.since_ns > STUCK_NS) {
			p->swap.told = true;
			say(p,
			    "generation %" PRIu64 ": a worker has not taken it for 5 s: is its "
			    "CPU used by something else?",
			    p->swap.view->generation);
		}
	}
	if (p->swap.view || p->held.generation)
		return 1;
	return release_retired(p) || ends ? 10 : -1;
}

const struct sl_view *
sl_publish_view(const struct sl_publish *p)
{
	return sl_store_active(p->store);
}

/* ---- life ---- */

int
sl_publish_create(const struct sl_view_ports *ports, struct sl_lcore_shared *shared,
		  void (*log)(const char *line), struct sl_publish **ret_publish)
{
	struct sl_publish *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->shared = shared;
	p->log = log;
	int err = sl_store_create(ports, &p->store);
	if (err)
		free(p);
	else
		*ret_publish = p;
	return err;
}

void
sl_publish_attach(struct sl_publish *p, struct sl_ctl_server *server)
{
	p->server = server;
}

void
sl_publish_before(struct sl_publish *p,
		  int (*ready)(void *ctx, const struct sl_view *view, struct sl_diag *diag),
		  void *ctx)
{
	p->ready = ready;
	p->ready_ctx = ctx;
}

void
sl_publish_gate(struct sl_publish *p, int (*gate)(void *ctx, struct sl_diag *diag), void *ctx)
{
	p->gate = gate;
	p->gate_ctx = ctx;
}

void
sl_publish_destroy(struct sl_publish *p)
{
	if (!p)
		return;
	atomic_store_explicit(&p->shared->view, NULL, memory_order_relaxed);
	atomic_store_explicit(&p->shared->shadow, NULL, memory_order_relaxed);
	sl_shadow_destroy(p->shadow.run);
	(void)let_go(p);
	sl_store_destroy(p->store);
	free(p);
}

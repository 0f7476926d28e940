/* Every target has exactly one time: of its next start while idle, of its deadline while a probe is
 * open.  One heap orders them all, one uv timer stands at its top.  A target that is due while
 * open_max probes are under way leaves the heap for a FIFO and starts when another one ends.
 *
 *        ┌───────────── heap, `when` = next start ◀─────────────┐
 *        ▼ due                                                  │ result
 *   open < open_max ── yes ─▶ open: heap, `when` = deadline ────┘
 *        └──────────── no ──▶ FIFO ─▶ open
 *
 * The sockets have an epoll descriptor of their own behind one uv_poll: one system call a socket
 * instead of libuv's three.  Deadlines are looked at only after all pending socket events: after
 * the loop was held up, answers that have been waiting must not count as silence. */
#include "mgmt/health.h"
#include "mgmt/target.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS 256  /* socket events taken per epoll_wait */
#define STARTS 512  /* probes started per tick: the loop has other guests */
#define STALL_MS 20 /* a timer later than this means that the loop was held up */
/* Left out of the interval, so that "within two intervals" has room: */
#define DOUBT_SLACK 10  /* 1/10 after a failure */
#define FIRST_SLACK 50  /* 1/50 of the first one */
#define FD_RESERVE 128  /* descriptors left to the rest of the process */
#define IDLE UINT32_MAX /* heap position of one that is not in the heap */

/* The probe settings of one service, shared by its targets. */
struct plan {
	unsigned refs;
	char service[SL_NAME_MAX];
	struct sl_health_conf conf;
	struct sl_probe_tls *tls; /* NULL: plaintext */
	struct sl_held_text held; /* of conf.body, when there is one */
};

struct target {
	/* schedule */
	uint64_t when; /* ms, key of the heap */
	uint32_t pos;  /* in the heap, or IDLE */
	uint32_t mark; /* last set that named it */
	bool waiting;  /* in the FIFO */
	bool open;
	TAILQ_ENTRY(target) fifo;
	/* probe under way */
	struct sl_probe probe;
	uint64_t start_ms;
	uint64_t start_ns;
	uint32_t stalls; /* the prober's when the deadline was set */
	/* whom */
	struct plan *plan;
	struct sl_addr addr;
	uint16_t port;
	uint32_t slot;
	uint32_t incarnation;
	char endpoint[SL_NAME_MAX];
	bool by_port; /* it leaves by that port of the dataplane; "": none leads there */
	char out[SL_NAME_MAX];
	/* what came of it */
	enum sl_probe_state state;
	uint64_t since_ms;
	uint64_t last_ms;
	uint64_t latency_us;
	uint32_t ok_run;
	uint32_t fail_run;
	uint64_t probes;
	uint64_t failures;
	char text[SL_PROBE_TEXT_MAX];
};

TAILQ_HEAD(target_fifo, target);

struct sl_prober {
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_poll_t poll;
	unsigned closing; /* handles that have not reported their close */
	int epfd;
	uint64_t rng;
	sl_probe_fn fn;
	void *ctx;
	sl_probe_device_fn *device;
	void *device_ctx;
	sl_probe_line_fn *line;
	void *line_ctx;
	const struct sl_prober *beside; /* or NULL */
	uint64_t armed_ms;              /* when the timer is to fire */
	struct target **heap;
	uint32_t heap_cnt;
	uint32_t stalls; /* how often the loop was held up */
	uint32_t mark;
	uint32_t limit_for; /* so many targets the descriptor limit was looked at for */
	struct target_fifo fifo;
	struct sl_prober_stats st;
	struct target *by_slot[SL_MAX_ENDPOINTS];
};

static void tick(uv_timer_t *timer);
static void sockets_ready(uv_poll_t *poll, int status, int events);
static void closed(uv_handle_t *h);
static void forget(struct sl_prober *p, struct target *t);
static void install(struct sl_prober *p, struct target *t);
static bool same(const struct target *t, const struct sl_probe_target *in);
static struct target *make_target(const struct sl_probe_target *in, struct plan *plan);
static struct plan *make_plan(const struct sl_probe_target *in);
static void drop_plan(struct plan *plan);
static void raise_limit(struct sl_prober *p, struct sl_diag *diag);
static void pump(struct sl_prober *p);
static void arm(struct sl_prober *p);

/* ---- life ---- */

const char *
sl_probe_state_name(enum sl_probe_state s)
{
	static const char *const names[] = {"checking", "healthy", "unhealthy"};

	return (unsigned)s < SL_ARRAY_CNT(names) ? names[s] : "unknown";
}

struct sl_prober *
sl_prober_create(uv_loop_t *loop, uint64_t seed, sl_probe_fn fn, void *ctx)
{
	struct sl_prober *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->rng = seed;
	p->fn = fn;
	p->ctx = ctx;
	TAILQ_INIT(&p->fifo);
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	int rc = p->epfd < 0 ? -errno : uv_poll_init(loop, &p->poll, p->epfd);
	if (rc) {
		if (p->epfd >= 0)
			close(p->epfd);
		free(p);
		errno = -rc;
		return NULL;
	}
	uv_timer_init(loop, &p->timer);
	p->poll.data = p->timer.data = p;
	uv_poll_start(&p->poll, UV_READABLE, sockets_ready);
	return p;
}

void
sl_prober_devices(struct sl_prober *p, sl_probe_device_fn *fn, void *ctx)
{
	p->device = fn;
	p->device_ctx = ctx;
}

void
sl_prober_lines(struct sl_prober *p, sl_probe_line_fn *fn, void *ctx)
{
	p->line = fn;
	p->line_ctx = ctx;
}

void
sl_prober_beside(struct sl_prober *p, const struct sl_prober *other)
{
	p->beside = other;
}

void
sl_prober_destroy(struct sl_prober *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < SL_MAX_ENDPOINTS; i++)
		if (p->by_slot[i])
			forget(p, p->by_slot[i]);
	p->closing = 2;
	uv_close((uv_handle_t *)&p->poll, closed);
	uv_close((uv_handle_t *)&p->timer, closed);
	close(p->epfd);
}

static void
closed(uv_handle_t *h)
{
	struct sl_prober *p = h->data;

	if (--p->closing)
		return;
	free(p->heap);
	free(p);
}

/* ---- the set ---- */

/* Makes what is new before anything is touched: ret[i] stays NULL where target i goes on. */
static int
make_fresh(struct sl_prober *p, const struct sl_probe_target *in, size_t cnt, struct target **ret)
{
	const struct sl_probe_target *last = NULL;
	struct plan *plan = NULL;
	int rc = 0;

	for (size_t i = 0; i < cnt && !rc; i++) {
		const struct target *old = p->by_slot[in[i].slot];
		if (in[i].conf->type == SL_HEALTH_NONE || (old && same(old, &in[i])))
			continue;
		if (!last || last->conf != in[i].conf || last->tls != in[i].tls ||
		    strcmp(last->service, in[i].service)) {
			drop_plan(plan);
			plan = make_plan(&in[i]);
			last = &in[i];
		}
		ret[i] = plan ? make_target(&in[i], plan) : NULL;
		rc = ret[i] ? 0 : -ENOMEM;
	}
	drop_plan(plan);
	return rc;
}

static void
take_over(struct target *t, const struct target *old)
{
	t->state = old->state;
	t->since_ms = old->since_ms;
	t->last_ms = old->last_ms;
	t->latency_us = old->latency_us;
	t->probes = old->probes;
	t->failures = old->failures;
	memcpy(t->text, old->text, sizeof(t->text));
}

/* Nothing can fail any more. */
static void
commit(struct sl_prober *p, const struct sl_probe_target *in, size_t cnt, struct target **fresh)
{
	p->mark++;
	for (size_t i = 0; i < cnt; i++) {
		struct target *old = p->by_slot[in[i].slot];
		if (in[i].conf->type == SL_HEALTH_NONE)
			continue;
		if (!fresh[i]) {
			old->mark = p->mark;
			continue;
		}
		fresh[i]->since_ms = uv_now(p->loop);
		if (old && old->incarnation == fresh[i]->incarnation)
			take_over(fresh[i], old);
		if (old)
			forget(p, old);
		install(p, fresh[i]);
	}
	for (uint32_t s = 0; s < SL_MAX_ENDPOINTS; s++)
		if (p->by_slot[s] && p->by_slot[s]->mark != p->mark)
			forget(p, p->by_slot[s]);
}

int
sl_prober_set(struct sl_prober *p, const struct sl_probe_target *targets, size_t cnt,
	      struct sl_diag *diag)
{
	int rc = sl_target_check(targets, cnt, diag);
	if (rc)
		return rc;

	/* While the sets change places the heap may hold both. */
	size_t room = p->st.targets + cnt;
	struct target **heap = realloc(p->heap, (room + 1) * sizeof(struct target *));
	if (!heap)
		return -ENOMEM;
	p->heap = heap;
	struct target **fresh = calloc(cnt + 1, sizeof(struct target *));
	rc = fresh ? make_fresh(p, targets, cnt, fresh) : -ENOMEM;
	if (!rc) {
		uv_update_time(p->loop);
		commit(p, targets, cnt, fresh);
		raise_limit(p, diag);
		pump(p);
		arm(p);
	} else {
		for (size_t i = 0; fresh && i < cnt; i++)
			if (fresh[i]) {
				drop_plan(fresh[i]->plan);
				free(fresh[i]);
			}
	}
	free(fresh);
	return rc;
}

static bool
same(const struct target *t, const struct sl_probe_target *in)
{
	return t->incarnation == in->incarnation && t->port == in->port &&
	       t->by_port == (in->out != NULL) && !strcmp(t->out, in->out ? in->out : "") &&
	       sl_addr_eq(&t->addr, &in->addr) && !strcmp(t->endpoint, in->endpoint) &&
	       !strcmp(t->plan->service, in->service) &&
	       sl_target_same_conf(&t->plan->conf, in->conf) &&
	       sl_probe_tls_same(t->plan->tls, in->tls);
}

static struct plan *
make_plan(const struct sl_probe_target *in)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->refs = 1;
	plan->conf = *in->conf;
	plan->tls = sl_probe_tls_share(in->tls);
	if (plan->conf.type == SL_HEALTH_HTTP && plan->conf.body[0])
		sl_held_prepare(&plan->held, plan->conf.body);
	snprintf(plan->service, sizeof(plan->service), "%s", in->service);
	return plan;
}

static void
drop_plan(struct plan *plan)
{
	if (!plan || --plan->refs)
		return;
	sl_probe_tls_drop(plan->tls);
	free(plan);
}

static struct target *
make_target(const struct sl_probe_target *in, struct plan *plan)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	plan->refs++;
	t->plan = plan;
	t->probe.fd = -1;
	t->pos = IDLE;
	t->addr = in->addr;
	t->port = in->port;
	t->slot = in->slot;
	t->incarnation = in->incarnation;
	snprintf(t->endpoint, sizeof(t->endpoint), "%s", in->endpoint);
	t->by_port = in->out != NULL;
	snprintf(t->out, sizeof(t->out), "%s", in->out ? in->out : "");
	return t;
}

static unsigned
descriptors_in_use(const struct sl_prober *p)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	if (!d)
		return p->st.open +
		       FD_RESERVE; /* a process that others may not look into cannot either */
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Every endpoint may be silent at the same time, so a set of n wants n descriptors. */
static void
raise_limit(struct sl_prober *p, struct sl_diag *diag)
{
	uint32_t wish = SL_MIN(p->st.targets, (uint32_t)SL_PROBE_OPEN_MAX);
	struct rlimit lim, more;

	if (wish <= p->limit_for) /* sets come many times a second */
		return;
	p->limit_for = wish;
	uint64_t others = descriptors_in_use(p) - p->st.open + FD_RESERVE;
	if (p->beside)
		others += p->beside->st.targets - p->beside->st.open;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		lim = (struct rlimit){1024, 1024};
	if (lim.rlim_cur < others + wish) {
		more = (struct rlimit){others + wish, SL_MAX(lim.rlim_max, others + wish)};
		if (setrlimit(RLIMIT_NOFILE, &more)) {
			more = (struct rlimit){lim.rlim_max, lim.rlim_max};
			setrlimit(RLIMIT_NOFILE, &more);
		}
		getrlimit(RLIMIT_NOFILE, &lim);
	}
	uint64_t left = lim.rlim_cur > others ? lim.rlim_cur - others : 1;
	p->st.open_max = (uint32_t)SL_MIN(left, (uint64_t)SL_PROBE_OPEN_MAX);
	if (p->st.open_max >= wish)
		return;
	char hint[128];
	snprintf(hint, sizeof(hint), "raise it to %llu (LimitNOFILE= of the unit, or ulimit -n)",
		 (unsigned long long)(others + wish));
	sl_diag_add(diag, NULL, 0, "health", hint,
		    "%u endpoints are probed, but the descriptor limit of %llu lets only %u probes "
		    "be under way at once: when many endpoints are silent, probes come late",
		    p->st.targets, (unsigned long long)lim.rlim_cur, p->st.open_max);
}

/* ---- schedule ---- */

static void
heap_put(struct sl_prober *p, uint32_t pos, struct target *t)
{
	p->heap[pos] = t;
	t->pos = pos;
}

/* Moves t, which belongs at or near pos, to where the order holds again. */
static void
heap_settle(struct sl_prober *p, uint32_t pos, struct target *t)
{
	while (pos > 0 && p->heap[(pos - 1) / 2]->when > t->when) {
		heap_put(p, pos, p->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	for (;;) {
		uint32_t kid = 2 * pos + 1;
		if (kid + 1 < p->heap_cnt && p->heap[kid + 1]->when < p->heap[kid]->when)
			kid++;
		if (kid >= p->heap_cnt || p->heap[kid]->when >= t->when)
			break;
		heap_put(p, pos, p->heap[kid]);
		pos = kid;
	}
	heap_put(p, pos, t);
}

static void
schedule(struct sl_prober *p, struct target *t, uint64_t when)
{
	t->when = when;
	heap_settle(p, t->pos == IDLE ? p->heap_cnt++ : t->pos, t);
}

static void
unschedule(struct sl_prober *p, struct target *t)
{
	if (t->pos == IDLE)
		return;
	struct target *last = p->heap[--p->heap_cnt];
	if (last != t)
		heap_settle(p, t->pos, last);
	t->pos = IDLE;
}

/* splitmix64 */
static uint64_t
random_below(struct sl_prober *p, uint64_t n)
{
	uint64_t z = p->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return (uint64_t)(((unsigned __int128)z * n) >> 64);
}

static uint64_t
period(struct sl_prober *p, const struct target *t)
{
	const struct sl_health_conf *c = &t->plan->conf;
	bool out = t->state == SL_PROBE_UNHEALTHY && c->unhealthy_ms;
	uint64_t ms = out ? c->unhealthy_ms : c->interval_ms;

	if (t->fail_run && t->state != SL_PROBE_UNHEALTHY)
		ms -= ms / DOUBT_SLACK;
	return ms - random_below(p, ms * c->jitter_pct / 100 + 1);
}

static void
arm(struct sl_prober *p)
{
	uint64_t now = uv_now(p->loop);

	if (p->heap_cnt == 0) {
		uv_timer_stop(&p->timer);
		return;
	}
	p->armed_ms = SL_MAX(p->heap[0]->when, now);
	uv_timer_start(&p->timer, tick, p->armed_ms - now, 0);
}

static void
install(struct sl_prober *p, struct target *t)
{
	t->mark = p->mark;
	p->by_slot[t->slot] = t;
	p->st.targets++;
	p->st.unhealthy += t->state == SL_PROBE_UNHEALTHY;
	uint32_t interval = t->plan->conf.interval_ms;
	schedule(p, t, uv_now(p->loop) + random_below(p, interval - interval / FIRST_SLACK));
}

static void
end_probe(struct sl_prober *p, struct target *t)
{
	if (!t->open)
		return;
	sl_probe_close(&t->probe);
	t->open = false;
	p->st.open--;
}

static void
forget(struct sl_prober *p, struct target *t)
{
	end_probe(p, t);
	unschedule(p, t);
	if (t->waiting) {
		TAILQ_REMOVE(&p->fifo, t, fifo);
		p->st.waiting--;
	}
	p->st.targets--;
	p->st.unhealthy -= t->state == SL_PROBE_UNHEALTHY;
	p->by_slot[t->slot] = NULL;
	drop_plan(t->plan);
	free(t);
}

/* ---- results ---- */

static void
change(struct sl_prober *p, struct target *t, enum sl_probe_state to)
{
	struct sl_probe_event ev = {
		.slot = t->slot,
		.incarnation = t->incarnation,
		.service = t->plan->service,
		.endpoint = t->endpoint,
		.from = t->state,
		.to = to,
		.reason = t->text,
		.since_ms = uv_now(p->loop),
	};

	p->st.unhealthy += (to == SL_PROBE_UNHEALTHY) - (t->state == SL_PROBE_UNHEALTHY);
	t->state = to;
	t->since_ms = ev.since_ms;
	if (p->fn)
		p->fn(p->ctx, &ev);
}

static void
count_success(struct sl_prober *p, struct target *t)
{
	p->st.ok++;
	t->ok_run++;
	t->fail_run = 0;
	if (t->state == SL_PROBE_CHECKING ||
	    (t->state == SL_PROBE_UNHEALTHY && t->ok_run >= t->plan->conf.rise))
		change(p, t, SL_PROBE_HEALTHY);
}

static void
count_failure(struct sl_prober *p, struct target *t)
{
	p->st.failed++;
	t->failures++;
	t->fail_run++;
	t->ok_run = 0;
	if (t->state != SL_PROBE_UNHEALTHY && t->fail_run >= t->plan->conf.fall)
		change(p, t, SL_PROBE_UNHEALTHY);
}

/* The text is in t already.  After silence of one that still counts as healthy there is no point in
 * waiting: a whole timeout has passed. */
static void
finish(struct sl_prober *p, struct target *t, enum sl_probe_result r, bool silent)
{
	uint64_t now = uv_now(p->loop);

	if (r == SL_PROBE_OK && t->probe.line && p->line)
		p->line(p->line_ctx, t->slot, t->incarnation, t->probe.line, t->probe.line_len);
	end_probe(p, t);
	if (r == SL_PROBE_LOCAL) {
		p->st.local_errors++;
	} else {
		t->probes++;
		t->last_ms = now;
		t->latency_us = (uv_hrtime() - t->start_ns) / 1000;
		if (r == SL_PROBE_OK)
			count_success(p, t);
		else
			count_failure(p, t);
	}
	uint64_t next = t->start_ms + period(p, t);
	bool doubt = silent && t->state != SL_PROBE_UNHEALTHY;
	schedule(p, t, doubt || next < now ? now : next);
}

static struct sl_probe_where
where(const struct target *t)
{
	return (struct sl_probe_where){.addr = t->addr,
				       .port = t->port,
				       .conf = &t->plan->conf,
				       .tls = t->plan->tls,
				       .held = t->plan->held.len ? &t->plan->held : NULL};
}

/* False: there is no way by its port now; text says so. */
static bool
find_device(struct sl_prober *p, struct target *t, struct sl_probe_where *w)
{
	if (!t->by_port)
		return true;
	if (t->out[0] && p->device)
		w->device = p->device(p->device_ctx, t->out);
	if (w->device)
		return true;
	if (t->out[0])
		snprintf(t->text, sizeof(t->text),
			 "not probed: the kernel has no interface of port %.40s", t->out);
	else
		snprintf(t->text, sizeof(t->text),
			 "not probed: no address or route of the table leads there");
	return false;
}

static void
begin(struct sl_prober *p, struct target *t)
{
	struct sl_probe_where w = where(t);

	t->start_ms = uv_now(p->loop);
	t->start_ns = uv_hrtime();
	t->stalls = p->stalls;
	enum sl_probe_result r = SL_PROBE_LOCAL;

	if (find_device(p, t, &w))
		r = sl_probe_open(&t->probe, &w, p->epfd, t, t->text);
	if (r != SL_PROBE_GOING) {
		finish(p, t, r, false);
		return;
	}
	t->open = true;
	p->st.open++;
	schedule(p, t, t->start_ms + t->plan->conf.timeout_ms);
}

static void
start_or_wait(struct sl_prober *p, struct target *t)
{
	if (p->st.open < p->st.open_max) {
		begin(p, t);
		return;
	}
	unschedule(p, t);
	t->waiting = true;
	TAILQ_INSERT_TAIL(&p->fifo, t, fifo);
	p->st.waiting++;
}

static void
pump(struct sl_prober *p)
{
	while (p->st.open < p->st.open_max && !TAILQ_EMPTY(&p->fifo)) {
		struct target *t = TAILQ_FIRST(&p->fifo);
		TAILQ_REMOVE(&p->fifo, t, fifo);
		t->waiting = false;
		p->st.waiting--;
		begin(p, t);
	}
}

/* Takes events until there are none, at most about one per open probe. */
static void
drain_events(struct sl_prober *p)
{
	struct epoll_event ev[EVENTS];
	int n, rounds = (int)(p->st.open / EVENTS) + 1;

	do {
		n = epoll_wait(p->epfd, ev, EVENTS, 0);
		for (int i = 0; i < n; i++) {
			struct target *t = ev[i].data.ptr;
			struct sl_probe_where w = where(t);
			enum sl_probe_result r =
				sl_probe_event(&t->probe, &w, ev[i].events, t->text);
			if (r != SL_PROBE_GOING)
				finish(p, t, r, false);
		}
	} while (n == EVENTS && rounds-- > 0);
}

/* The time is up.  But when the loop was held up meanwhile, a probe past its handshake may have
 * waited for
 * us: it gets its time once more. */
static void
expire(struct sl_prober *p, struct target *t)
{
	struct sl_probe_where w = where(t);

	if (t->stalls != p->stalls && sl_probe_connected(&t->probe)) {
		t->stalls = p->stalls;
		schedule(p, t, uv_now(p->loop) + t->plan->conf.timeout_ms);
		return;
	}
	sl_probe_timeout(&t->probe, &w, t->text);
	finish(p, t, SL_PROBE_FAILED, true);
}

static void
tick(uv_timer_t *timer)
{
	struct sl_prober *p = timer->data;
	unsigned left = STARTS;

	uv_update_time(p->loop);
	uint64_t now = uv_now(p->loop);
	if (now > p->armed_ms + STALL_MS)
		p->stalls++;
	drain_events(p);
	while (p->heap_cnt && p->heap[0]->when <= now && left) {
		struct target *t = p->heap[0];
		if (t->open) {
			expire(p, t);
		} else {
			start_or_wait(p, t);
			left--;
		}
	}
	pump(p);
	arm(p);
}

static void
sockets_ready(uv_poll_t *poll, int status, int events)
{
	struct sl_prober *p = poll->data;

	(void)status;
	(void)events;
	uv_update_time(p->loop);
	drain_events(p);
	pump(p);
	if (p->heap_cnt && p->heap[0]->when < p->armed_ms)
		arm(p);
}

/* ---- show ---- */

static void
fill_status(const struct target *t, struct sl_probe_status *ret)
{
	*ret = (struct sl_probe_status){
		.service = t->plan->service,
		.endpoint = t->endpoint,
		.slot = t->slot,
		.incarnation = t->incarnation,
		.addr = t->addr,
		.port = t->port,
		.type = t->plan->conf.type,
		.state = t->state,
		.since_ms = t->since_ms,
		.last_ms = t->last_ms,
		.last_text = t->text,
		.latency_us = t->latency_us,
		.ok_run = t->ok_run,
		.fail_run = t->fail_run,
		.probes = t->probes,
		.failures = t->failures,
		.next_ms = t->when,
		.open = t->open,
	};
}

int
sl_prober_show(struct sl_prober *p, int (*fn)(void *ctx, const struct sl_probe_status *st),
	       void *ctx)
{
	struct sl_probe_status st;
	int rc = 0;

	for (uint32_t i = 0; i < SL_MAX_ENDPOINTS && !rc; i++)
		if (p->by_slot[i]) {
			fill_status(p->by_slot[i], &st);
			rc = fn(ctx, &st);
		}
	return rc;
}

int
sl_prober_find(struct sl_prober *p, uint32_t slot, uint32_t incarnation,
	       struct sl_probe_status *ret_st)
{
	const struct target *t = slot < SL_MAX_ENDPOINTS ? p->by_slot[slot] : NULL;

	if (!t || t->incarnation != incarnation)
		return -ENOENT;
	fill_status(t, ret_st);
	return 0;
}

int
sl_prober_kick(struct sl_prober *p, uint32_t slot, uint32_t incarnation)
{
	struct target *t = slot < SL_MAX_ENDPOINTS ? p->by_slot[slot] : NULL;

	if (!t || t->incarnation != incarnation)
		return -ENOENT;
	if (t->open || t->waiting)
		return 0;
	schedule(p, t, uv_now(p->loop));
	arm(p);
	return 0;
}

void
sl_prober_stats(const struct sl_prober *p, struct sl_prober_stats *ret)
{
	*ret = p->st;
}

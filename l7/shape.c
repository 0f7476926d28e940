#include "l7/shape.h"

#include <string.h>

#define NS 1000000000u
#define NOBODY UINT32_MAX
#define QUEUES (SL_MAX_SERVICES * SL_WAYS)
#define BITES 8 /* of a waiter in a turn at most: one is less than a turn's time of a high rate */
#define COST_MAX_NS (1ull << 42) /* that a share of it fits */

/* ---- a word ---- */

struct sl_shape_limit
sl_shape_limit(const struct sl_img_bandwidth *b, enum sl_way way)
{
	uint64_t rate = b->rate[way], turn = rate / 500;
	uint32_t bite = (uint32_t)SL_MIN(SL_MAX(turn, (uint64_t)SL_SHAPE_BITE_MIN),
					 (uint64_t)SL_SHAPE_BITE_MAX);

	return (struct sl_shape_limit){rate, b->burst[way], SL_MIN(bite, b->burst[way] / 4)};
}

/* No product reaches 2^64: burst is at most 2^30, n below 2^32, and a time that is multiplied by the rate at most burst / rate. */
static uint64_t
cost_ns(const struct sl_shape_limit *l, uint64_t n)
{
	return (n * NS + l->rate - 1) / l->rate;
}

static uint64_t
save_ns(const struct sl_shape_limit *l)
{
	return (uint64_t)l->burst * NS / l->rate;
}

/* From when on bytes are there, at the earliest. */
static uint64_t
begin_ns(const struct sl_shape_limit *l, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t save = save_ns(l), first = now_ns > save ? now_ns - save : 0;

	return SL_MAX(until_ns, first);
}

static uint64_t
there(const struct sl_shape_limit *l, uint64_t now_ns, uint64_t begin)
{
	return begin < now_ns ? (now_ns - begin) * l->rate / NS : 0;
}

uint32_t
sl_shape_grab(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
	      uint32_t need, uint32_t want)
{
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed), begin, n;

	do {
		begin = begin_ns(l, now_ns, old);
		n = SL_MIN(there(l, now_ns, begin), (uint64_t)want);
		if (n == 0 || n < need)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(
		word, &old, begin + cost_ns(l, n), memory_order_relaxed, memory_order_relaxed));
	return (uint32_t)n;
}

bool
sl_shape_grab_whole(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
		    uint32_t n)
{
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed), begin;

	do {
		begin = begin_ns(l, now_ns, old);
		if (begin + cost_ns(l, SL_MIN(n, l->bite)) > now_ns)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		word, &old, begin + cost_ns(l, n), memory_order_relaxed, memory_order_relaxed));
	return true;
}

void
sl_shape_pay(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns, uint32_t n)
{
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(word, &old,
						      begin_ns(l, now_ns, old) + cost_ns(l, n),
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void
sl_shape_return(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint32_t n)
{
	/* rounded down, so that no more comes back than was taken */
	atomic_fetch_sub_explicit(word, (uint64_t)n * NS / l->rate, memory_order_relaxed);
}

uint64_t
sl_shape_wait_ns(const _Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
		 uint32_t n)
{
	uint64_t until = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t at = begin_ns(l, now_ns, until) + cost_ns(l, n);

	return at > now_ns ? at - now_ns : 0;
}

/* ---- a worker's queues ---- */

struct waiter {
	uint32_t next, prev; /* of its queue: waiter + 1 */
	uint32_t queue;      /* queue + 1; 0: it does not wait */
	uint32_t need;       /* bytes that have to be there */
};

struct queue {
	uint64_t due_ns;      /* when it is looked at next, while it is listed */
	uint64_t own_ns;      /* until when what was taken from here is its share of the rate */
	uint32_t first, last; /* waiter + 1 */
	uint32_t next;        /* listed: queue + 1 */
	uint32_t cnt;
	uint32_t told;        /* of cnt, in the shared number */
	uint16_t incarnation; /* of the service */
	bool listed;
};

struct sl_shaper {
	struct sl_shaper_conf conf;
	uint64_t due_ns; /* of the queue that is due first, or before that */
	uint32_t listed; /* queues with somebody in them, and some that had: queue + 1 */
	uint32_t going;  /* waiter whose `go` is under way */
	uint32_t served; /* queue whose waiters go */
	struct queue queue[QUEUES];
	struct waiter waiter[];
};

static _Atomic uint64_t *
word_of(const struct sl_shaper *s, uint32_t queue)
{
	return &s->conf.words->service[queue / SL_WAYS].until_ns[queue % SL_WAYS];
}

static _Atomic uint32_t *
waiters_of(const struct sl_shaper *s, uint32_t queue)
{
	return &s->conf.words->service[queue / SL_WAYS].waiters[queue % SL_WAYS];
}

size_t
sl_shaper_bytes(uint32_t waiters)
{
	return sizeof(struct sl_shaper) + waiters * sizeof(struct waiter);
}

struct sl_shaper *
sl_shaper_init(void *mem, const struct sl_shaper_conf *conf)
{
	struct sl_shaper *s = mem;

	memset(mem, 0, sl_shaper_bytes(conf->waiters));
	s->conf = *conf;
	s->due_ns = UINT64_MAX;
	s->going = NOBODY;
	s->served = NOBODY;
	return s;
}

void
sl_shaper_fini(struct sl_shaper *s)
{
	for (uint32_t n = 0; n < QUEUES; n++)
		if (s->queue[n].told)
			atomic_fetch_sub_explicit(waiters_of(s, n), s->queue[n].told,
						  memory_order_relaxed);
}

/* false: there is none (any more). */
static bool
limit_of(const struct sl_shaper *s, uint32_t queue, uint16_t incarnation,
	 struct sl_shape_limit *ret)
{
	const struct sl_img_bandwidth *b =
		s->conf.env.bandwidth(s->conf.env.ctx, queue / SL_WAYS, incarnation);

	if (!b || b->rate[queue % SL_WAYS] == 0)
		return false;
	*ret = sl_shape_limit(b, queue % SL_WAYS);
	return true;
}

static uint32_t
queue_of(const struct sl_shape_who *who)
{
	return who->service_slot * SL_WAYS + who->way;
}

/* ---- shares of those who wait in several places ---- */

/* What was not told yet is added, so that the number is the sum of what all have told. */
static void
tell(struct sl_shaper *s, uint32_t n)
{
	struct queue *q = &s->queue[n];

	if (s->served == n || q->told == q->cnt)
		return;
	atomic_fetch_add_explicit(waiters_of(s, n), q->cnt - q->told, memory_order_relaxed);
	q->told = q->cnt;
}

static uint32_t
elsewhere(const struct sl_shaper *s, uint32_t n)
{
	return atomic_load_explicit(waiters_of(s, n), memory_order_relaxed) - s->queue[n].told;
}

/* Waiters here, with the one that asks, and elsewhere. */
struct part {
	uint32_t own, others;
};

static struct part
part_of(const struct sl_shaper *s, const struct sl_shape_who *who)
{
	uint32_t n = queue_of(who);
	bool counted = s->waiter[who->waiter].queue == n + 1;

	return (struct part){s->queue[n].cnt + !counted, elsewhere(s, n)};
}

/* How long the part of the rate takes for n bytes. */
static uint64_t
part_ns(const struct part *p, const struct sl_shape_limit *l, uint64_t bytes)
{
	return SL_MIN(cost_ns(l, bytes), COST_MAX_NS) * ((uint64_t)p->own + p->others) / p->own;
}

/* The queue's time, as far as it is remembered: LAG either way, but no more than others make good in LAG, and a bite.  Who comes to an
 * empty queue has missed nothing. */
static uint64_t
own_ns(struct sl_shaper *s, const struct sl_shape_who *who, const struct sl_shape_limit *l,
       const struct part *p, uint64_t now_ns)
{
	struct queue *q = &s->queue[queue_of(who)];
	uint64_t bite = part_ns(p, l, l->bite), lag = SL_SHAPE_LAG_NS, least = now_ns;

	if (p->others < p->own)
		lag = lag * p->others / p->own;
	if (q->cnt || s->going == who->waiter)
		least -= SL_MIN(lag + bite, now_ns);
	q->own_ns = SL_MIN(SL_MAX(q->own_ns, least), now_ns + SL_SHAPE_LAG_NS + bite);
	return q->own_ns;
}

/* Who has it alone is neither ahead nor behind when others come. */
static void
charge(struct sl_shaper *s, const struct sl_shape_who *who, const struct sl_shape_limit *l,
       uint64_t now_ns, uint64_t bytes)
{
	const struct part p = part_of(s, who);
	struct queue *q = &s->queue[queue_of(who)];

	if (sl_likely(p.others == 0))
		q->own_ns = SL_MAX(q->own_ns, now_ns);
	else
		q->own_ns = own_ns(s, who, l, &p, now_ns) + part_ns(&p, l, bytes);
}

/* Until n bytes may be taken from here: beside what has to stay for those elsewhere. */
static uint64_t
wait_ns(struct sl_shaper *s, const struct sl_shape_who *who, const struct sl_shape_limit *l,
	uint64_t now_ns, uint32_t n)
{
	const _Atomic uint64_t *word = word_of(s, queue_of(who));
	const struct part p = part_of(s, who);
	uint64_t wait = sl_shape_wait_ns(word, l, now_ns, n), until = 0;

	if (p.others)
		until = own_ns(s, who, l, &p, now_ns) + SL_SHAPE_LAG_NS;
	if (until <= now_ns + wait)
		return wait;
	uint64_t over = SL_MIN(until - now_ns, 2ull * SL_SHAPE_LAG_NS);
	uint64_t stays = l->burst / 3 * over / (2ull * SL_SHAPE_LAG_NS);
	return SL_MIN(until - now_ns, sl_shape_wait_ns(word, l, now_ns, n + (uint32_t)stays));
}

/* ---- queues ---- */

static void
list(struct sl_shaper *s, struct queue *q)
{
	if (!q->listed) {
		q->listed = true;
		q->next = s->listed;
		s->listed = (uint32_t)(q - s->queue) + 1;
	}
	s->due_ns = SL_MIN(s->due_ns, q->due_ns);
}

static void
wait_for(struct sl_shaper *s, const struct sl_shape_who *who, const struct sl_shape_limit *l,
	 uint64_t now_ns, uint32_t need)
{
	struct waiter *w = &s->waiter[who->waiter];
	uint32_t n = queue_of(who), place = who->waiter + 1;
	struct queue *q = &s->queue[n];

	if (w->queue == n + 1)
		return;
	sl_shaper_leave(s, who->waiter);
	*w = (struct waiter){.prev = q->last, .queue = n + 1, .need = need};
	if (q->last)
		s->waiter[q->last - 1].next = place;
	else
		q->first = place;
	q->last = place;
	q->cnt++;
	tell(s, n);
	q->incarnation = who->incarnation;
	if (!q->listed) {
		uint64_t ns = wait_ns(s, who, l, now_ns, need);
		q->due_ns = now_ns + SL_MIN(ns, (uint64_t)SL_SHAPE_LOOK_NS);
	}
	list(s, q);
}

void
sl_shaper_leave(struct sl_shaper *s, uint32_t waiter)
{
	struct waiter *w = &s->waiter[waiter];

	if (sl_likely(w->queue == 0))
		return;
	uint32_t n = w->queue - 1;
	struct queue *q = &s->queue[n];
	if (w->prev)
		s->waiter[w->prev - 1].next = w->next;
	else
		q->first = w->next;
	if (w->next)
		s->waiter[w->next - 1].prev = w->prev;
	else
		q->last = w->prev;
	q->cnt--;
	w->queue = 0;
	tell(s, n);
}

bool
sl_shaper_waits(const struct sl_shaper *s, uint32_t waiter)
{
	return s->waiter[waiter].queue != 0;
}

/* false: it has to stand behind others, of here or elsewhere. */
static bool
may_take(struct sl_shaper *s, const struct sl_shape_who *who, const struct sl_shape_limit *l,
	 uint64_t now_ns, uint32_t n)
{
	if (s->queue[queue_of(who)].first && s->going != who->waiter)
		return false;
	return sl_likely(elsewhere(s, queue_of(who)) == 0) || wait_ns(s, who, l, now_ns, n) == 0;
}

uint32_t
sl_shaper_take(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns, uint32_t want)
{
	uint32_t n = queue_of(who), most = want, got = 0;
	struct sl_shape_limit l;

	if (want == 0 || !limit_of(s, n, who->incarnation, &l))
		return want;
	uint32_t need = SL_MIN(want, l.bite);
	if (s->queue[n].first || elsewhere(s, n))
		most = need;
	if (may_take(s, who, &l, now_ns, need))
		got = sl_shape_grab(word_of(s, n), &l, now_ns, need, most);
	if (got)
		charge(s, who, &l, now_ns, got);
	if (got < want)
		wait_for(s, who, &l, now_ns, SL_MIN(want - got, l.bite));
	return got;
}

bool
sl_shaper_take_whole(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns,
		     uint32_t bytes)
{
	uint32_t n = queue_of(who);
	struct sl_shape_limit l;

	if (!limit_of(s, n, who->incarnation, &l))
		return true;
	uint32_t need = SL_MIN(bytes, l.bite);
	if (may_take(s, who, &l, now_ns, need) &&
	    sl_shape_grab_whole(word_of(s, n), &l, now_ns, bytes)) {
		charge(s, who, &l, now_ns, bytes);
		return true;
	}
	wait_for(s, who, &l, now_ns, need);
	return false;
}

void
sl_shaper_pay(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns, uint32_t bytes)
{
	uint32_t n = queue_of(who);
	struct sl_shape_limit l;

	if (!limit_of(s, n, who->incarnation, &l))
		return;
	sl_shape_pay(word_of(s, n), &l, now_ns, bytes);
	charge(s, who, &l, now_ns, bytes);
}

void
sl_shaper_return(struct sl_shaper *s, const struct sl_shape_who *who, uint32_t bytes)
{
	uint32_t n = queue_of(who);
	struct sl_shape_limit l;

	if (!bytes || !limit_of(s, n, who->incarnation, &l))
		return;
	sl_shape_return(word_of(s, n), &l, bytes);
	const struct part p = part_of(s, who);
	if (p.others)
		s->queue[n].own_ns -= SL_MIN(part_ns(&p, &l, bytes), s->queue[n].own_ns);
}

/* Those that wait go in turn, as far as there are bytes.  When it is looked at again. */
static uint64_t
serve_all(struct sl_shaper *s, struct queue *q, uint64_t now_ns)
{
	uint32_t n = (uint32_t)(q - s->queue);
	struct sl_shape_limit l;
	bool limited = limit_of(s, n, q->incarnation, &l);

	for (uint64_t left = (uint64_t)q->cnt * BITES; left && q->first; left--) {
		const struct sl_shape_who who = {.waiter = q->first - 1,
						 .service_slot = n / SL_WAYS,
						 .way = (uint8_t)(n % SL_WAYS)};
		uint32_t need = s->waiter[who.waiter].need;
		uint64_t ns = limited ? wait_ns(s, &who, &l, now_ns, SL_MIN(need, l.bite)) : 0;
		if (ns)
			return now_ns + SL_MIN(ns, (uint64_t)SL_SHAPE_LOOK_NS);
		sl_shaper_leave(s, who.waiter);
		s->going = who.waiter;
		s->conf.env.go(s->conf.env.user, who.waiter);
		s->going = NOBODY;
	}
	return now_ns; /* the next turn */
}

/* Who takes a bite and waits again has waited all the time. */
static void
serve(struct sl_shaper *s, struct queue *q, uint64_t now_ns)
{
	s->served = (uint32_t)(q - s->queue);
	q->due_ns = serve_all(s, q, now_ns);
	uint32_t n = s->served;
	s->served = NOBODY;
	tell(s, n);
}

void
sl_shaper_tick(struct sl_shaper *s, uint64_t now_ns)
{
	if (sl_likely(now_ns < s->due_ns))
		return;
	uint32_t at = s->listed;
	s->listed = 0;
	s->due_ns = UINT64_MAX;
	while (at) {
		struct queue *q = &s->queue[at - 1];
		at = q->next;
		q->listed = false;
		if (q->due_ns <= now_ns)
			serve(s, q, now_ns);
		if (q->first)
			list(s, q);
	}
}

#include "l7/shape.h"

#include <string.h>

#define NS 1000000000u
#define NOBODY UINT32_MAX
#define QUEUES (SL_MAX_SERVICES * SL_WAYS)

/* ---- a word ---- */

struct sl_shape_limit
sl_shape_limit(const struct sl_img_bandwidth *b, enum sl_way way)
{
	uint64_t rate = b->rate[way], turn = rate / 500;
	uint32_t bite = (uint32_t)SL_MIN(SL_MAX(turn, (uint64_t)SL_SHAPE_BITE_MIN),
					 (uint64_t)SL_SHAPE_BITE_MAX);

	return (struct sl_shape_limit){rate, b->burst[way], SL_MIN(bite, b->burst[way] / 2)};
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
	uint32_t first, last; /* waiter + 1 */
	uint32_t next;        /* listed: queue + 1 */
	uint32_t cnt;
	uint16_t incarnation; /* of the service */
	bool listed;
};

struct sl_shaper {
	struct sl_shaper_conf conf;
	uint64_t due_ns; /* of the queue that is due first, or before that */
	uint32_t listed; /* queues with somebody in them, and some that had: queue + 1 */
	uint32_t going;  /* waiter whose `go` is under way */
	struct queue queue[QUEUES];
	struct waiter waiter[];
};

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
	return s;
}

static _Atomic uint64_t *
word_of(const struct sl_shaper *s, uint32_t queue)
{
	return &s->conf.words->service[queue / SL_WAYS].until_ns[queue % SL_WAYS];
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
	q->incarnation = who->incarnation;
	if (!q->listed) {
		uint64_t ns = sl_shape_wait_ns(word_of(s, n), l, now_ns, need);
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
	struct queue *q = &s->queue[w->queue - 1];
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
}

bool
sl_shaper_waits(const struct sl_shaper *s, uint32_t waiter)
{
	return s->waiter[waiter].queue != 0;
}

/* Whether it has to stand behind others. */
static bool
stands_behind(const struct sl_shaper *s, const struct sl_shape_who *who)
{
	return s->queue[queue_of(who)].first && s->going != who->waiter;
}

uint32_t
sl_shaper_take(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns, uint32_t want)
{
	uint32_t n = queue_of(who), most = want, got = 0;
	struct sl_shape_limit l;

	if (want == 0 || !limit_of(s, n, who->incarnation, &l))
		return want;
	uint32_t need = SL_MIN(want, l.bite);
	if (s->queue[n].first)
		most = need;
	if (!stands_behind(s, who))
		got = sl_shape_grab(word_of(s, n), &l, now_ns, need, most);
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
	if (!stands_behind(s, who) && sl_shape_grab_whole(word_of(s, n), &l, now_ns, bytes))
		return true;
	wait_for(s, who, &l, now_ns, SL_MIN(bytes, l.bite));
	return false;
}

void
sl_shaper_pay(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns, uint32_t bytes)
{
	uint32_t n = queue_of(who);
	struct sl_shape_limit l;

	if (limit_of(s, n, who->incarnation, &l))
		sl_shape_pay(word_of(s, n), &l, now_ns, bytes);
}

void
sl_shaper_return(struct sl_shaper *s, const struct sl_shape_who *who, uint32_t bytes)
{
	uint32_t n = queue_of(who);
	struct sl_shape_limit l;

	if (bytes && limit_of(s, n, who->incarnation, &l))
		sl_shape_return(word_of(s, n), &l, bytes);
}

/* Each of those that wait now goes once, as far as there are bytes. */
static void
serve(struct sl_shaper *s, struct queue *q, uint64_t now_ns)
{
	uint32_t n = (uint32_t)(q - s->queue);
	struct sl_shape_limit l;
	bool limited = limit_of(s, n, q->incarnation, &l);

	for (uint32_t left = q->cnt; left && q->first; left--) {
		uint32_t waiter = q->first - 1, need = s->waiter[waiter].need;
		uint64_t ns =
			limited ? sl_shape_wait_ns(word_of(s, n), &l, now_ns, SL_MIN(need, l.bite))
				: 0;
		if (ns) {
			q->due_ns = now_ns + SL_MIN(ns, (uint64_t)SL_SHAPE_LOOK_NS);
			return;
		}
		sl_shaper_leave(s, waiter);
		s->going = waiter;
		s->conf.env.go(s->conf.env.user, waiter);
		s->going = NOBODY;
	}
	q->due_ns = now_ns; /* the next turn */
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

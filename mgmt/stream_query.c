/* Rows are read word by word, each word whole, without a lock: writers do not know of readers.  With an order the records
 * kept are a heap whose first one goes when a better one comes. */
#include "mgmt/stream_query.h"

#include "sluice/image.h"

#include <errno.h>
#include <stdlib.h>

#define STEP 4096  /* places between two looks at *cancel: about a millisecond when all are used */
#define READ_MAX 3 /* times a row that changes is read */

#define X(NAME, word) word,
static const char *const order_words[] = {SL_STREAM_ORDERS(X)};
#undef X

unsigned
sl_stream_state_find(const char *name)
{
	for (unsigned i = SL_STREAM_FREE + 1; i < SL_STREAM_STATE_CNT; i++)
		if (strcmp(sl_stream_state_name(i), name) == 0)
			return i;
	return SL_STREAM_FREE;
}

int
sl_stream_order_find(const char *name)
{
	for (unsigned i = SL_STREAM_BY_NONE + 1; i < SL_ARRAY_CNT(order_words); i++)
		if (strcmp(order_words[i], name) == 0)
			return (int)i;
	return -1;
}

/* ---- rows ---- */

/* The distance from a to b, 0 where b is behind a. */
static uint32_t
ahead(uint32_t b, uint32_t a)
{
	return (int32_t)(b - a) > 0 ? b - a : 0;
}

struct sl_stream_sums
sl_stream_sums(const struct sl_stream_row *r, uint32_t now_ms)
{
	return (struct sl_stream_sums){
		.age_ms = ahead(now_ms, r->opened_ms),
		.queued = ahead(r->snd_end, r->snd_una),
		.in_flight = ahead(r->snd_nxt, r->snd_una),
	};
}

static void
copy(const struct sl_stream_row *from, struct sl_stream_row *to)
{
	const uint64_t *f = (const void *)from;
	uint64_t *t = (void *)to;

	for (unsigned i = 0; i < sizeof(*from) / 8; i++)
		t[i] = __atomic_load_n(&f[i], __ATOMIC_RELAXED);
}

static uint8_t
state_of(const struct sl_stream_row *r)
{
	/* pairs with the release of the worker that opens the stream: the line is written before */
	return __atomic_load_n(&r->state, __ATOMIC_ACQUIRE);
}

/* 1: *ret is a row of one stream; 0: the place is free; -1: it changed each time, or is of no state there is. */
static int
read_row(const struct sl_stream_row *at, struct sl_stream_row *ret)
{
	struct sl_stream_row again;

	for (unsigned i = 0; i < READ_MAX; i++) {
		uint8_t state = state_of(at);
		if (state == SL_STREAM_FREE)
			return 0;
		if (state >= SL_STREAM_STATE_CNT)
			return -1;
		copy(at, ret);
		/* what was copied is read before what follows */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		copy(at, &again);
		if (ret->state == state && again.state == state &&
		    memcmp(&ret->tuple, &again.tuple, sizeof(again.tuple)) == 0)
			return 1;
	}
	return -1;
}

/* ---- the filter ---- */

static bool
in_prefix(const struct sl_stream_filter *f, const struct sl_addr *a)
{
	return sl_addr_is_v4(a) == (f->family == 4) && sl_addr_in(a, &f->addr, f->plen);
}

bool
sl_stream_filter_takes(const struct sl_stream_filter *f, const struct sl_stream_record *r)
{
	const struct sl_stream_row *s = &r->row;
	unsigned side = s->flags & SL_STREAM_OUT ? SL_SIDE_ENDPOINT : SL_SIDE_CLIENT;

	if ((f->states && !(f->states >> s->state & 1)) || (f->side && f->side != side) ||
	    (f->worker && f->worker - 1 != r->worker) ||
	    (f->listener && f->listener - 1 != s->listener_slot) ||
	    (f->service && f->service - 1 != s->service_slot))
		return false;
	if (s->retrans < f->retrans || ahead(s->snd_end, s->snd_una) < f->queue)
		return false;
	if (f->with_port && f->port != sl_from_be16(s->tuple.sport) &&
	    f->port != sl_from_be16(s->tuple.dport))
		return false;
	if (f->slots && (s->endpoint_slot >= SL_MAX_ENDPOINTS || s->incarnation == 0 ||
			 f->slots[s->endpoint_slot] != s->incarnation))
		return false;
	return !f->family || in_prefix(f, &s->tuple.src) || in_prefix(f, &s->tuple.dst);
}

/* ---- what is kept ---- */

static uint64_t
key_of(const struct sl_stream_query *q, const struct sl_stream_record *r)
{
	const struct sl_stream_row *s = &r->row;
	struct sl_stream_sums sums = sl_stream_sums(s, q->now_ms);

	switch (q->order) {
	case SL_STREAM_BY_NONE:
		break;
	case SL_STREAM_BY_AGE:
		return sums.age_ms;
	case SL_STREAM_BY_RTT:
		return s->srtt_us;
	case SL_STREAM_BY_CWND:
		return s->cwnd;
	case SL_STREAM_BY_FLIGHT:
		return sums.in_flight;
	case SL_STREAM_BY_QUEUE:
		return sums.queued;
	case SL_STREAM_BY_RCVQ:
		return s->rcv_queue;
	case SL_STREAM_BY_OOO:
		return s->ooo;
	case SL_STREAM_BY_RETRANS:
		return s->retrans;
	case SL_STREAM_BY_IN:
		return s->bytes_in;
	case SL_STREAM_BY_OUT:
		return s->bytes_out;
	}
	return 0;
}

/* Whether a stands before b in the answer; places tell equal ones apart, so that the order is one. */
static bool
before(const struct sl_stream_query *q, const struct sl_stream_record *a,
       const struct sl_stream_record *b)
{
	uint64_t x = key_of(q, a), y = key_of(q, b);

	if (x != y)
		return x > y;
	return a->worker != b->worker ? a->worker < b->worker : a->place < b->place;
}

/* The record at i goes down: the last of the order is on top. */
static void
sift(struct sl_stream_query *q, uint32_t i, uint32_t cnt)
{
	struct sl_stream_record *r = q->found, moved = r[i];

	for (uint32_t child; (child = 2 * i + 1) < cnt; i = child) {
		if (child + 1 < cnt && before(q, &r[child], &r[child + 1]))
			child++;
		if (!before(q, &moved, &r[child]))
			break;
		r[i] = r[child];
	}
	r[i] = moved;
}

static void
keep(struct sl_stream_query *q, const struct sl_stream_record *r)
{
	if (q->found_cnt < q->limit) {
		q->found[q->found_cnt++] = *r;
		if (q->order && q->found_cnt == q->limit)
			for (uint32_t i = q->limit / 2 + 1; i-- > 0;)
				sift(q, i, q->limit);
		return;
	}
	q->more = true;
	if (q->order && before(q, r, &q->found[0])) {
		q->found[0] = *r;
		sift(q, 0, q->limit);
	}
}

static void
put_in_order(struct sl_stream_query *q)
{
	uint32_t n = q->found_cnt;

	if (!q->order)
		return;
	for (uint32_t i = n / 2 + 1; n && i-- > 0;)
		sift(q, i, n);
	while (n > 1) {
		struct sl_stream_record last = q->found[0];
		q->found[0] = q->found[--n];
		q->found[n] = last;
		sift(q, 0, n);
	}
}

/* ---- the walk ---- */

static const struct sl_stream_row *
row_at(const struct sl_streams_head *h, const void *region, unsigned worker, uint32_t place)
{
	return (const void *)((const char *)region + h->worker_off + worker * h->worker_bytes +
			      (uint64_t)place * h->stride);
}

static void
look(struct sl_stream_query *q, const struct sl_streams_head *h, const void *region,
     unsigned worker, uint32_t place)
{
	struct sl_stream_record r = {.worker = worker, .place = place};
	int ret = read_row(row_at(h, region, worker, place), &r.row);

	if (ret == 0)
		return;
	q->looked++;
	if (ret < 0) {
		q->skipped++;
		return;
	}
	if (!sl_stream_filter_takes(&q->filter, &r))
		return;
	q->matched++;
	if (q->limit)
		keep(q, &r);
}

/* The partner has to say the same of the pair: else one of them is another stream by now. */
static void
find_partners(struct sl_stream_query *q, const struct sl_streams_head *h, const void *region)
{
	for (uint32_t i = 0; i < q->found_cnt; i++) {
		const struct sl_stream_record *r = &q->found[i];
		struct sl_stream_record p = {.worker = r->worker, .place = r->row.partner};
		if (p.place < h->capacity &&
		    read_row(row_at(h, region, p.worker, p.place), &p.row) > 0 &&
		    p.row.partner == r->place)
			q->partner[i] = p;
	}
}

static int
walk(struct sl_stream_query *q, const struct sl_streams_head *h, const void *region,
     const atomic_bool *cancel)
{
	for (unsigned w = 0; w < h->worker_cnt; w++) {
		if (q->filter.worker && q->filter.worker - 1 != w)
			continue;
		for (uint32_t i = 0; i < h->capacity; i++) {
			look(q, h, region, w, i);
			if (q->more && !q->order) {
				q->matched = q->found_cnt;
				return 0;
			}
			/* relaxed: nothing is read because of it; its writer joins us through the pool */
			if (i % STEP == 0 && atomic_load_explicit(cancel, memory_order_relaxed))
				return -ECANCELED;
		}
	}
	return 0;
}

int
sl_stream_query_run(struct sl_stream_query *q, const void *region, size_t bytes,
		    const atomic_bool *cancel, const char **ret_why)
{
	struct sl_streams_head h;

	q->found = calloc(q->limit + 1, sizeof(*q->found));
	q->partner = q->pairs ? calloc(q->limit + 1, sizeof(*q->partner)) : NULL;
	q->found_cnt = 0;
	q->matched = q->looked = q->skipped = 0;
	q->more = false;
	if (!q->found || (q->pairs && !q->partner))
		return -ENOMEM;
	*ret_why = "its head is not that of streams of this version, or does not fit its size";
	if (bytes < sizeof(h))
		return -EINVAL;
	memcpy(&h, region, sizeof(h)); /* what is judged is what is used */
	if (sl_streams_check(&h, bytes))
		return -EINVAL;
	int err = walk(q, &h, region, cancel);
	if (err)
		return err;
	put_in_order(q);
	if (q->pairs)
		find_partners(q, &h, region);
	return 0;
}

/* tcp — the stack as a whole: its memory, its turn.
 *
 *   turn:  begin ─ input, input, … (tcp.h) ─ run: timers → TIME-WAIT → events → output
 *
 * A stream that has something to tell stands in the list of the ready, one that has something to send in that of the dirty;
 * both are walked once a turn.  A place is given back when it stands in neither. */
#include "dataplane/tcp/tcp_priv.h"

#define TIMERS_PER_TURN 1024
#define MAX_STREAMS (1u << 22)

/* ---- memory ---- */

struct layout {
	size_t heads, timewaits, segs, blocks, end;
	uint32_t head_cnt;
};

static size_t
line_up(size_t n)
{
	return (n + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

static bool
lay_out(const struct sl_tcp_conf *c, struct layout *l)
{
	if (c->capacity < 16 || c->capacity > MAX_STREAMS || c->timewait_cnt < 16 ||
	    c->timewait_cnt > MAX_STREAMS || c->seg_cnt < 64 || c->seg_cnt > 1u << 24 ||
	    c->block_cnt < 16 || c->block_cnt > 1u << 22 || c->rcv_max < 4096 ||
	    c->rcv_max > 1u << 24 || c->snd_max < 4096 || c->snd_max > 1u << 24)
		return false;
	l->head_cnt = 32;
	while (l->head_cnt < c->capacity + c->timewait_cnt)
		l->head_cnt *= 2;
	l->heads = line_up(sizeof(struct sl_tcp));
	l->timewaits = line_up(l->heads + l->head_cnt * sizeof(uint32_t));
	l->segs = l->timewaits + c->timewait_cnt * sizeof(struct sl_timewait);
	l->blocks = l->segs + c->seg_cnt * sizeof(struct sl_seg);
	l->end = l->blocks + (size_t)c->block_cnt * SL_BLOCK;
	return true;
}

size_t
sl_tcp_stride(void)
{
	return sizeof(struct sl_stream);
}

size_t
sl_tcp_bytes(const struct sl_tcp_conf *conf)
{
	struct layout l;

	return lay_out(conf, &l) ? l.end : 0;
}

/* Secrets of the seed (splitmix64): what is known of one tells nothing of the others. */
static void
derive(uint64_t *seed, struct sl_hash_key *key)
{
	for (unsigned i = 0; i < sizeof(key->b); i += 8) {
		uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		sl_store64(key->b + i, z ^ z >> 31);
	}
}

/* Free lists grow into untouched memory little by little: touching all of it would take seconds at boot.  Lowest first. */
static void
link_places(struct sl_tcp *t)
{
	uint32_t first = t->stream_linked, end = SL_MIN(first + SL_LINK_EACH, t->conf.capacity);

	for (uint32_t i = end; i-- > first;) {
		t->streams[i].ready_next = t->stream_free;
		t->stream_free = i + 1;
	}
	t->stream_linked = end;
}

struct sl_tcp *
sl_tcp_init(void *mem, const struct sl_tcp_conf *conf)
{
	struct sl_tcp *t = mem;
	uint64_t seed = conf->seed;
	struct layout l;

	if (!lay_out(conf, &l))
		return NULL;
	t->conf = *conf;
	t->count = conf->stats->count;
	t->streams = conf->streams;
	t->heads = (uint32_t *)((uint8_t *)mem + l.heads);
	t->head_mask = l.head_cnt - 1;
	t->timewaits = (struct sl_timewait *)((uint8_t *)mem + l.timewaits);
	derive(&seed, &t->key);
	derive(&seed, &t->isn_key);
	t->mem.segs = (struct sl_seg *)((uint8_t *)mem + l.segs);
	t->mem.blocks = (uint8_t *)mem + l.blocks;
	link_places(t);
	sl_mem_link(t);
	sl_timewait_link(t);
	conf->stats->stream_capacity = conf->capacity;
	conf->stats->half_open_max = conf->half_open_max;
	conf->stats->timewait_capacity = conf->timewait_cnt;
	conf->stats->seg_capacity = conf->seg_cnt;
	conf->stats->block_capacity = conf->block_cnt;
	conf->stats->pinned_max = conf->pinned_max;
	return t;
}

void
sl_tcp_fini(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < t->stream_linked; i++) { /* the rest was never touched */
		struct sl_stream *s = &t->streams[i];
		if (s->row.state == SL_STREAM_FREE && !(s->flags & SL_F_DEAD))
			continue;
		s->row.state = SL_STREAM_FREE;
		sl_sendq_clear(t, s);
		sl_recvq_clear(t, s);
	}
}

void
sl_tcp_usage(const struct sl_tcp *t, struct sl_tcp_usage *u)
{
	*u = (struct sl_tcp_usage){
		.streams = t->stream_cnt,
		.half_open = t->half_open,
		.timewait = t->timewait_used,
		.segs = t->mem.seg_used,
		.blocks = t->mem.block_used,
		.pinned = t->mem.pinned,
	};
}

/* ---- streams ---- */

struct sl_stream *
sl_tcp_new(struct sl_tcp *t)
{
	uint32_t place = t->stream_free;

	if (sl_unlikely(place == 0))
		return NULL;
	struct sl_stream *s = &t->streams[place - 1];
	t->stream_free = s->ready_next;
	if (sl_unlikely(t->stream_free == 0))
		link_places(t);
	t->stream_cnt++;
	memset((void *)s, 0, sizeof(*s));
	s->sent_last = &s->sent_first;
	s->tcp = t;
	return s;
}

static void
give_place_back(struct sl_tcp *t, struct sl_stream *s)
{
	if (s->flags & (SL_F_READY | SL_F_DIRTY))
		return;
	s->flags = 0;
	s->ready_next = t->stream_free;
	t->stream_free = sl_tcp_place(t, s) + 1;
	t->stream_cnt--;
}

static void
enlist(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t place = sl_tcp_place(t, s) + 1;

	if (s->flags & SL_F_READY)
		return;
	s->flags |= SL_F_READY;
	s->ready_next = 0;
	if (t->ready)
		t->streams[t->ready_last - 1].ready_next = place;
	else
		t->ready = place;
	t->ready_last = place;
}

void
sl_tcp_event(struct sl_tcp *t, struct sl_stream *s, uint32_t ev)
{
	if (s->flags & SL_F_LET_GO)
		return;
	s->flags |= ev;
	enlist(t, s);
}

void
sl_tcp_dirty(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t place = sl_tcp_place(t, s) + 1;

	if (s->flags & SL_F_DIRTY)
		return;
	s->flags |= SL_F_DIRTY;
	s->dirty_next = 0;
	if (t->dirty)
		t->streams[t->dirty_last - 1].dirty_next = place;
	else
		t->dirty = place;
	t->dirty_last = place;
}

void
sl_tcp_end(struct sl_tcp *t, struct sl_stream *s, enum sl_stream_end why)
{
	bool half_open = s->row.state == SL_STREAM_SYN_RECEIVED && (s->flags & SL_F_PASSIVE);

	if (s->flags & SL_F_DEAD)
		return;
	if (half_open)
		t->half_open--;
	/* A reader of the region sees the place free before anything else of it changes. */
	__atomic_store_n(&s->row.state, SL_STREAM_FREE, __ATOMIC_RELEASE);
	if (!(s->flags & SL_F_UNLISTED))
		sl_table_remove(t, sl_tcp_place(t, s));
	uint32_t user_due = s->flags & SL_F_FILTER ? s->due[SL_T_USER] : 0; /* for sl_filter_hold */
	sl_wheel_stop(&t->wheel, &s->timer);
	memset(s->due, 0, sizeof(s->due));
	s->due[SL_T_USER] = user_due;
	sl_sendq_clear(t, s);
	if (s->rq_head)
		s->flags &= ~(uint32_t)SL_F_FIN_IN; /* what is lost unread has no good end */
	sl_recvq_clear(t, s);
	t->count[SL_TCP_END_OK + why]++;
	s->flags |= SL_F_DEAD;
	s->end = (uint8_t)why;
	/* Nobody was told of it yet, or nobody is left to be told. */
	if (half_open)
		s->flags |= SL_F_LET_GO;
	if (!(s->flags & SL_F_LET_GO))
		s->flags |= SL_F_EV_CLOSED;
	enlist(t, s);
}

/* ---- the turn ---- */

void
sl_tcp_begin(struct sl_tcp *t, uint64_t now_ns)
{
	if (sl_unlikely(!t->begun)) {
		sl_wheel_init(&t->wheel, (uint32_t)(now_ns >> SL_TICK_SHIFT));
		t->begun = true;
	}
	t->now_ns = now_ns;
	t->now_us = (uint32_t)(now_ns / 1000);
	t->now_ms = (uint32_t)(now_ns / 1000000);
	t->tick = (uint32_t)(now_ns >> SL_TICK_SHIFT);
	sl_pressure_look(t);
}

static void
settle_timer(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t first = 0;

	for (unsigned i = 0; i < SL_T_CNT; i++)
		if (s->due[i] && (first == 0 || sl_seq_lt(s->due[i], first)))
			first = s->due[i];
	if (first && (!sl_timer_is_set(&s->timer) || s->timer.due != first))
		sl_wheel_set(&t->wheel, &s->timer, first);
}

void
sl_tcp_arm(struct sl_tcp *t, struct sl_stream *s, unsigned which, uint64_t us)
{
	uint32_t due = t->tick + SL_MAX(sl_ticks_of_us(us), 1u);

	due += due == 0;
	s->due[which] = due;
	/* One that is set for earlier comes for nothing, and is set again then. */
	if (!sl_timer_is_set(&s->timer) || sl_seq_lt(due, s->timer.due))
		sl_wheel_set(&t->wheel, &s->timer, due);
}

/* Silence: a SYN again, a probe whether the peer is there, the end of waiting for his FIN. */
static void
slow_timer(struct sl_tcp *t, struct sl_stream *s)
{
	/* Of one whom nobody reads, a peer that merely answers is no progress. */
	bool alone = s->flags & SL_F_LET_GO;
	uint32_t idle_ms = t->now_ms - (alone ? s->active_ms : s->heard_ms);
	uint32_t both = SL_F_FIN_IN | SL_F_FIN_ACKED;

	if (s->row.state <= SL_STREAM_SYN_RECEIVED) {
		sl_open_timer(t, s);
		return;
	}
	if (alone) {
		if (idle_ms < SL_FIN_WAIT2_MS) {
			sl_tcp_arm(t, s, SL_T_SLOW, (SL_FIN_WAIT2_MS - idle_ms) * 1000ull);
			return;
		}
		if (!(s->flags & SL_F_FIN_ACKED))
			sl_output_rst(t,
				      s); /* bytes are given up that the peer may still ask for */
		sl_tcp_end(t, s, SL_END_TIMEOUT);
		return;
	}
	/* When both directions have ended, who may have forgotten it is not asked: the rest is there to be read. */
	if (s->keepalive_s == 0 || (s->flags & both) == both)
		return;
	if (idle_ms < s->keepalive_s * 1000u) {
		sl_tcp_arm(t, s, SL_T_SLOW, (s->keepalive_s * 1000u - idle_ms) * 1000ull);
		return;
	}
	if (s->tries >= s->keepalive_cnt) {
		sl_output_rst(t, s);
		sl_tcp_end(t, s, SL_END_KEEPALIVE);
		return;
	}
	s->tries++;
	sl_tcp_count(t, KEEPALIVES);
	sl_output_probe(t, s);
	sl_tcp_arm(t, s, SL_T_SLOW, s->keepalive_each_s * 1000000ull);
}

/* A window that stays closed is asked about; without an answer for as long as a time-out would take, it is over. */
static void
persist_timer(struct sl_tcp *t, struct sl_stream *s)
{
	if (s->flags & SL_F_WAIT_ROOM)
		sl_raw_wait_room(s, s->want_room);
	if (!s->sq_next || s->row.snd_una != s->row.snd_nxt)
		return;
	if (s->tries > SL_RTO_GIVE_UP) {
		sl_output_rst(t, s);
		sl_tcp_end(t, s, SL_END_TIMEOUT);
		return;
	}
	s->tries++;
	s->probes = (uint8_t)SL_MIN(s->probes + 1, UINT8_MAX);
	sl_tcp_count(t, PROBES);
	s->flags |= SL_F_PROBE;
	sl_tcp_dirty(t, s);
}

static void
transmit_timer(struct sl_tcp *t, struct sl_stream *s)
{
	switch (sl_loss_timer(t, s)) {
	case SL_LOSS_DEAD:
		sl_output_rst(t, s);
		sl_tcp_end(t, s, SL_END_TIMEOUT);
		return;
	case SL_LOSS_PROBE:
		s->flags |= SL_F_PROBE;
		break;
	case SL_LOSS_GO_ON:
		break;
	}
	sl_tcp_dirty(t, s);
}

static bool
due(const struct sl_tcp *t, struct sl_stream *s, unsigned which)
{
	if (s->due[which] == 0 || sl_seq_gt(s->due[which], t->tick))
		return false;
	s->due[which] = 0;
	return true;
}

static void
timer(void *ctx, struct sl_timer *entry)
{
	struct sl_tcp *t = ctx;
	struct sl_stream *s =
		(struct sl_stream *)((uint8_t *)entry - offsetof(struct sl_stream, timer));

	if (due(t, s, SL_T_USER))
		sl_tcp_event(t, s, SL_F_EV_TIMER);
	if (due(t, s, SL_T_ACK)) {
		s->flags |= SL_F_ACK_NOW;
		sl_tcp_dirty(t, s);
	}
	if (due(t, s, SL_T_SLOW))
		slow_timer(t, s);
	if (!(s->flags & SL_F_DEAD) && due(t, s, SL_T_PERSIST))
		persist_timer(t, s);
	if (!(s->flags & SL_F_DEAD) && due(t, s, SL_T_XMIT))
		transmit_timer(t, s);
	if ((s->flags & (SL_F_DEAD | SL_F_FILTER)) != SL_F_DEAD)
		settle_timer(t, s);
}

/* Whether the user still wants to hear of it. */
static bool
listens(const struct sl_stream *s)
{
	return !(s->flags & SL_F_LET_GO);
}

static void
tell(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t ev = s->flags;

	s->flags &= ~(uint32_t)(SL_F_READY | SL_F_EV_OPENED | SL_F_EV_READ | SL_F_EV_WRITE |
				SL_F_EV_TIMER | SL_F_EV_CLOSED);
	if ((ev & SL_F_EV_OPENED) && listens(s) && s->ops->opened)
		s->ops->opened(s);
	if ((ev & SL_F_EV_TIMER) && listens(s) && s->ops->timer)
		s->ops->timer(s);
	if ((ev & SL_F_EV_READ) && listens(s) && s->ops->readable)
		s->ops->readable(s);
	if ((ev & SL_F_EV_WRITE) && listens(s) && s->ops->writable)
		s->ops->writable(s);
	if ((ev & SL_F_EV_CLOSED) && listens(s)) {
		s->flags |= SL_F_LET_GO;
		s->ops->closed(s, (enum sl_stream_end)s->end);
	}
	if ((s->flags & SL_F_DEAD) && (s->flags & SL_F_LET_GO))
		give_place_back(t, s);
}

static unsigned
events(struct sl_tcp *t)
{
	unsigned done = 0;

	for (; t->ready; done++) {
		struct sl_stream *s = &t->streams[t->ready - 1];
		t->ready = s->ready_next;
		if (t->ready)
			sl_prefetch(&t->streams[t->ready - 1]);
		tell(t, s);
	}
	return done;
}

static unsigned
outputs(struct sl_tcp *t)
{
	unsigned done = 0;

	for (; t->dirty; done++) {
		struct sl_stream *s = &t->streams[t->dirty - 1];
		t->dirty = s->dirty_next;
		if (t->dirty)
			sl_prefetch(&t->streams[t->dirty - 1].sq_head);
		/* still marked, so that what it writes does not put it into the list again */
		if (sl_unlikely(s->flags & SL_F_FILTER) && !(s->flags & SL_F_DEAD))
			sl_filter_flush(s);
		s->flags &= ~(uint32_t)SL_F_DIRTY;
		if (!(s->flags & SL_F_DEAD))
			sl_output(t, s);
		else if (s->flags & SL_F_LET_GO)
			give_place_back(t, s);
	}
	return done;
}

unsigned
sl_tcp_run(struct sl_tcp *t)
{
	unsigned done = sl_wheel_run(&t->wheel, t->tick, TIMERS_PER_TURN, timer, t);

	if (t->timewait_first)
		done += sl_timewait_expire(t);
	sl_cookie_expire(t);
	done += events(t);
	done += outputs(t);
	return done;
}

/* ---- the rest ---- */

bool
sl_tcp_empty(const struct sl_tcp *t)
{
	return t->stream_cnt == 0 && t->timewait_used == 0 && !t->cookie_out;
}

uint32_t
sl_tcp_each(struct sl_tcp *t, uint32_t from, uint32_t n, sl_tcp_each_fn *fn, void *ctx)
{
	for (; n > 0 && from < t->conf.capacity; n--, from++)
		if (t->streams[from].row.state != SL_STREAM_FREE)
			fn(ctx, &t->streams[from]);
	return from < t->conf.capacity ? from : 0;
}

uint32_t
sl_tcp_now_ms(const struct sl_tcp *t)
{
	return t->now_ms;
}

uint64_t
sl_tcp_now_ns(const struct sl_tcp *t)
{
	return t->now_ns;
}

void *
sl_tcp_context(const struct sl_tcp *t)
{
	return t->conf.context;
}

const char *
sl_stream_end_text(enum sl_stream_end why)
{
	return sl_tcp_counter_text(SL_TCP_END_OK + (unsigned)why);
}

/* session — TLS on a stream: places, events of streams, what users ask.  The rest: session_priv.h. */
#include "l7/tls/session_priv.h"

/* ---- memory ---- */

static size_t
lines(size_t bytes)
{
	return (bytes + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

struct layout {
	size_t sessions, jobs, free_jobs, ends, arena, records, linear, all;
};

/* Handshakes that are over and not told so: fewer than conf.handshakes when one begins; besides, all that are under way may end before any
 * is told, and as many that came when those had just timed out, and what jobs bring back. */
static size_t
ends_max(const struct sl_tls_conf *c)
{
	return 3 * (size_t)c->handshakes + c->jobs;
}

static struct layout
lay_out(const struct sl_tls_conf *c)
{
	struct layout l;
	size_t at = lines(sizeof(struct sl_tls));

	l.sessions = at;
	at += lines(c->sessions * sizeof(struct session));
	l.jobs = at;
	at += lines(c->jobs * sizeof(struct sl_hs_job));
	l.free_jobs = at;
	at += lines(c->jobs * sizeof(struct sl_hs_job *));
	l.ends = at;
	at += lines(ends_max(c) * sizeof(struct sl_hs *));
	l.arena = at;
	at += lines(sl_arena_bytes((size_t)c->peer_kb * 1024));
	l.records = at;
	at += lines(sl_record_bytes(c->keys));
	l.linear = at;
	l.all = at + lines(SL_RECORD_WIRE_MAX);
	return l;
}

size_t
sl_tls_bytes(const struct sl_tls_conf *conf)
{
	return lay_out(conf).all;
}

struct sl_tls *
sl_tls_init(void *mem, const struct sl_tls_conf *conf, const char **ret_why)
{
	struct layout l = lay_out(conf);
	uint8_t *at = mem;
	struct sl_tls *t = mem;

	t->conf = *conf;
	t->sessions = (void *)(at + l.sessions);
	t->jobs = (void *)(at + l.jobs);
	t->free_jobs = (void *)(at + l.free_jobs);
	t->ends = (void *)(at + l.ends);
	t->arena = sl_arena_init(at + l.arena, (size_t)conf->peer_kb * 1024);
	t->linear = at + l.linear;
	t->records = sl_record_init(at + l.records, conf->keys, ret_why);
	if (!t->records)
		return NULL;
	t->keys = sl_keys_create(NULL);
	if (!t->keys) {
		*ret_why = "OpenSSL lacks TLS13-KDF or TLS1-PRF";
		return NULL;
	}
	for (uint32_t i = 0; i < conf->jobs; i++)
		t->free_jobs[t->free_cnt++] = &t->jobs[conf->jobs - 1 - i];
	conf->stats->session_capacity = conf->sessions;
	conf->stats->handshake_capacity = conf->handshakes;
	conf->stats->peer_capacity = (uint64_t)conf->peer_kb * 1024;
	return t;
}

void
sl_tls_fini(struct sl_tls *t)
{
	sl_record_fini(t->records);
	sl_keys_destroy(t->keys);
	OPENSSL_cleanse(t->sessions, t->session_linked * sizeof(struct session));
	OPENSSL_cleanse(t->jobs, t->conf.jobs * sizeof(struct sl_hs_job));
	OPENSSL_cleanse(t->linear, SL_RECORD_WIRE_MAX);
}

static struct session *
session_new(struct sl_tls *t)
{
	struct session *s;

	if (t->session_free) {
		s = &t->sessions[t->session_free - 1];
		t->session_free = s->next;
	} else if (t->session_linked < t->conf.sessions) {
		s = &t->sessions[t->session_linked++];
	} else {
		return NULL;
	}
	uint32_t generation = s->generation;
	memset(s, 0, sizeof(*s));
	s->generation = generation;
	s->tls = t;
	t->session_used++;
	t->conf.stats->sessions = t->session_used;
	return s;
}

void
sl_session_drop_chunks(struct session *s, struct sl_chunk **first, struct sl_chunk **last)
{
	while (*first) {
		struct sl_chunk *c = *first;
		*first = sl_chunk_next(c);
		sl_chunk_free(s->tls->conf.tcp, c);
	}
	*last = NULL;
}

void
sl_session_release(struct session *s)
{
	struct sl_tls *t = s->tls;
	uint32_t generation = s->generation + 1;

	sl_session_drop_chunks(s, &s->in_first, &s->in_last);
	sl_session_drop_chunks(s, &s->out_first, &s->out_last);
	sl_session_hs_release(s);
	sl_ossl_free(s->ssl);
	if (s->about)
		sl_arena_give(t->arena, s->about, s->about_room);
	if (s->host)
		sl_arena_give(t->arena, s->host, s->host_room);
	sl_record_drop(t->records, &s->read);
	sl_record_drop(t->records, &s->write);
	sl_filter_remove(&s->filter);
	OPENSSL_cleanse(s, sizeof(*s));
	s->generation = generation;
	s->next = t->session_free;
	t->session_free = (uint32_t)(s - t->sessions) + 1;
	t->session_used--;
	t->conf.stats->sessions = t->session_used;
	t->conf.stats->peer_bytes = sl_arena_used(t->arena);
}

bool
sl_session_about(struct session *s, const struct sl_hs_job *job)
{
	const struct sl_hs_done *d = &job->done;
	struct sl_tls *t = s->tls;

	s->info.alpn = "";
	if (!d->alpn[0] && !d->peer_len)
		return true;
	s->about = sl_arena_take(t->arena, SL_ALPN_MAX + d->peer_len, &s->about_room);
	if (!s->about)
		return false;
	memcpy(s->about, d->alpn, SL_ALPN_MAX);
	memcpy(s->about + SL_ALPN_MAX, job->peer, d->peer_len);
	s->info.alpn = (const char *)s->about;
	s->info.peer = d->peer_len ? (const void *)(s->about + SL_ALPN_MAX) : NULL;
	t->conf.stats->peer_bytes = sl_arena_used(t->arena);
	return true;
}

/* ---- ends ---- */

void
sl_session_end(struct session *s, enum sl_stream_end why)
{
	if (session_has(s, SF_OVER))
		return;
	s->state_flags |= SF_OVER;
	s->end = (uint8_t)why;
	sl_session_drop_chunks(s, &s->out_first, &s->out_last);
	s->out_bytes = 0;
	sl_filter_wake(&s->filter, false);
}

void
sl_session_drain(struct sl_stream *stream)
{
	uint32_t n = sl_raw_readable_bytes(stream);

	if (n > 0)
		sl_raw_consume(stream, n);
}

/* The raw stream ends by itself: what was written goes out, what still comes nobody reads. */
static void
let_go(struct session *s)
{
	struct sl_stream *stream = s->filter.stream;

	sl_session_release(s);
	sl_session_drain(stream);
	sl_raw_close(stream);
}

/* The user hears of the end, once and last. */
static void
tell_closed(struct session *s)
{
	struct sl_filter *f = &s->filter;
	uint32_t generation = s->generation;
	enum sl_stream_end why = s->end;

	if (s->state != SESSION_CLOSING && f->user_ops) {
		s->state = SESSION_CLOSING; /* whatever he asks, nothing is left */
		f->user_ops->closed(f->stream, why);
		if (s->generation != generation)
			return;
	}
	let_go(s);
}

/* ---- events of the raw stream ---- */

/* What became possible is told: opened, readable, writable, closed.  false: the session is gone. */
static bool
tell_opened(struct session *s)
{
	struct sl_filter *f = &s->filter;
	uint32_t generation = s->generation;

	if (!session_has(s, SF_TELL_OPENED))
		return true;
	s->state_flags &= ~(uint32_t)SF_TELL_OPENED;
	if (f->user_ops->opened)
		f->user_ops->opened(f->stream);
	return s->generation == generation;
}

static bool
tell_readable(struct session *s)
{
	struct sl_filter *f = &s->filter;
	uint32_t generation = s->generation;

	if (s->state == SESSION_OPEN && f->user_ops->readable)
		f->user_ops->readable(f->stream);
	return s->generation == generation;
}

static void
go(struct session *s)
{
	if (s->state == SESSION_HANDSHAKE && !session_has(s, SF_OVER))
		sl_session_hs_go(s);
	if (!tell_opened(s))
		return;
	if (s->state == SESSION_CLOSING) {
		sl_session_drain(s->filter.stream);
	} else if (s->state == SESSION_OPEN && sl_session_in(s) && !tell_readable(s)) {
		return;
	}
	/* both said that nothing more comes: the raw stream's end is nobody's business */
	if (s->state == SESSION_OPEN && session_has(s, SF_SAID_END) &&
	    session_has(s, SF_SHUT_SENT) && s->in_bytes == 0)
		sl_session_end(s, SL_END_OK);
	if (session_has(s, SF_OVER) ||
	    (session_has(s, SF_RAW_OVER) && (s->in_bytes == 0 || s->state == SESSION_CLOSING)))
		tell_closed(s);
}

static void
raw_readable(struct sl_stream *stream)
{
	go(session_of(sl_filter_of(stream)));
}

static void
raw_writable(struct sl_stream *stream)
{
	struct session *s = session_of(sl_filter_of(stream));

	if (s->state == SESSION_HANDSHAKE) {
		go(s);
		return;
	}
	if (session_has(s, SF_BLOCKED)) {
		s->state_flags &= ~(uint32_t)SF_BLOCKED;
		sl_filter_dirty(&s->filter);
	}
	/* what waits for room itself goes first */
	if (s->state != SESSION_OPEN || session_has(s, SF_OVER) || s->want == 0 || s->out_bytes > 0)
		return;
	s->want = 0;
	if (s->filter.user_ops->writable)
		s->filter.user_ops->writable(stream);
}

static void
raw_timer(struct sl_stream *stream)
{
	struct session *s = session_of(sl_filter_of(stream));

	if (s->state == SESSION_CLOSING) {
		sl_session_release(s);
		sl_raw_abort(stream, SL_END_TIMEOUT);
	} else if (s->filter.user_ops->timer) {
		s->filter.user_ops->timer(stream);
	}
}

static void
raw_closed(struct sl_stream *stream, enum sl_stream_end why)
{
	struct session *s = session_of(sl_filter_of(stream));

	if (s->state == SESSION_HANDSHAKE && !session_has(s, SF_OVER))
		tls_count(s->tls, SL_TLS_CNT_FAIL_GONE);
	s->state_flags |= SF_RAW_OVER;
	if (!session_has(s, SF_OVER))
		s->end = (uint8_t)why;
	sl_filter_hold(&s->filter);
	if (why == SL_END_OK && s->state == SESSION_OPEN && s->in_bytes > 0)
		return; /* closed is told when they are read */
	tell_closed(s);
}

static const struct sl_stream_ops raw_events = {
	.readable = raw_readable,
	.writable = raw_writable,
	.timer = raw_timer,
	.closed = raw_closed,
};

/* ---- what users ask ---- */

static uint32_t
op_readable_bytes(const struct sl_filter *f)
{
	return session_of(f)->in_bytes;
}

static unsigned
op_peek(struct sl_filter *f, uint32_t skip, struct sl_span *spans, unsigned max)
{
	unsigned n = 0;

	for (struct sl_chunk *c = session_of(f)->in_first; c && n < max; c = sl_chunk_next(c)) {
		if (skip >= c->len) {
			skip -= c->len;
			continue;
		}
		spans[n++] = (struct sl_span){c->data + skip, c->len - skip};
		skip = 0;
	}
	return n;
}

/* Records that were left, because too much was unread; an end that was not told for the same reason. */
static void
read_on(struct session *s)
{
	if (session_has(s, SF_RAW_OVER | SF_SAID_END) ||
	    sl_raw_readable_bytes(s->filter.stream) > 0 ||
	    (!session_has(s, SF_ENDED) && sl_raw_ending(s->filter.stream)))
		sl_filter_wake(&s->filter, false);
}

static struct sl_chunk *
pop(struct session *s)
{
	struct sl_chunk *c = s->in_first;

	s->in_first = sl_chunk_next(c);
	if (!s->in_first)
		s->in_last = NULL;
	sl_chunk_set_next(c, NULL);
	s->in_bytes -= c->len;
	s->in_cnt--;
	return c;
}

static void
op_consume(struct sl_filter *f, uint32_t n)
{
	struct session *s = session_of(f);

	SL_ASSERT(n <= s->in_bytes);
	while (n > 0 && s->in_first->len <= n) {
		struct sl_chunk *c = pop(s);
		n -= c->len;
		sl_chunk_free(s->tls->conf.tcp, c);
	}
	if (n > 0) {
		sl_chunk_skip(s->in_first, n);
		s->in_bytes -= n;
	}
	read_on(s);
}

static struct sl_chunk *
op_take(struct sl_filter *f, uint32_t max)
{
	struct session *s = session_of(f);
	struct sl_chunk *c = s->in_first;

	if (!c || max == 0)
		return NULL;
	if (c->len > max) {
		struct sl_chunk *rest = sl_chunk_split(s->tls->conf.tcp, c, max);
		if (!rest)
			return NULL;
		s->in_cnt++;
		if (s->in_last == c)
			s->in_last = rest;
	}
	c = pop(s);
	read_on(s);
	return c;
}

static bool
op_ending(const struct sl_filter *f)
{
	return session_has(session_of(f), SF_ENDED);
}

static bool
op_eof(const struct sl_filter *f)
{
	return op_ending(f) && session_of(f)->in_bytes == 0;
}

static bool
op_cut(const struct sl_filter *f)
{
	const struct session *s = session_of(f);

	return session_has(s, SF_ENDED | SF_RAW_OVER) && !session_has(s, SF_SAID_END);
}

static bool
may_write(const struct session *s)
{
	return s->state == SESSION_OPEN && !session_has(s, SF_SHUT | SF_OVER | SF_RAW_OVER);
}

static uint32_t
op_room(const struct sl_filter *f)
{
	const struct session *s = session_of(f);

	return may_write(s) ? sl_session_room(s) : 0;
}

/* Below what was written and not sealed nobody can tell how much room there will be: then it is asked behind the flush. */
static void
ask_room(struct session *s)
{
	uint32_t n = s->want + TLS_ROOM;

	if (s->want && s->out_bytes == 0) /* so much that sl_session_room makes `want` of it */
		sl_raw_wait_room(s->filter.stream, n + n / 31 + 1);
}

static void
op_wait_room(struct sl_filter *f, uint32_t n)
{
	struct session *s = session_of(f);

	if (s->state == SESSION_HANDSHAKE)
		return; /* the raw stream's room is what the handshake's answer waits for */
	s->want = may_write(s) ? n : 0;
	if (s->want == 0 && !session_has(s, SF_BLOCKED))
		sl_raw_wait_room(f->stream, 0);
	if (s->want) /* asked at the end of the turn: who insists on more than he is told of is told again in the next */
		sl_filter_dirty(f);
}

static void
op_wrote(struct sl_filter *f, struct sl_chunk *c)
{
	struct session *s = session_of(f);

	if (!may_write(s) || c->len == 0) {
		sl_chunk_free(s->tls->conf.tcp, c);
		return;
	}
	sl_chunk_set_next(c, NULL);
	if (s->out_last)
		sl_chunk_set_next(s->out_last, c);
	else
		s->out_first = c;
	s->out_last = c;
	s->out_bytes += c->len;
	sl_filter_dirty(f);
}

static struct sl_chunk *
op_tail(struct sl_filter *f)
{
	return session_of(f)->out_last;
}

static void
op_grew(struct sl_filter *f, uint32_t n)
{
	session_of(f)->out_bytes += n;
	sl_filter_dirty(f);
}

static void
op_shutdown(struct sl_filter *f)
{
	struct session *s = session_of(f);

	if (!may_write(s))
		return;
	s->state_flags |= SF_SHUT;
	s->want = 0;
	sl_filter_dirty(f);
}

static void
op_abort(struct sl_filter *f, enum sl_stream_end why)
{
	struct session *s = session_of(f);
	struct sl_stream *stream = f->stream;
	bool held = session_has(s, SF_RAW_OVER);

	sl_session_release(s);
	sl_raw_abort(stream, why);
	if (held)
		sl_filter_unhold(stream);
}

static void
op_close(struct sl_filter *f)
{
	struct session *s = session_of(f);

	if (s->state != SESSION_OPEN || session_has(s, SF_OVER | SF_RAW_OVER) || s->in_bytes > 0) {
		op_abort(f, SL_END_ABORTED);
		return;
	}
	s->state_flags |= SF_SHUT;
	s->state = SESSION_CLOSING;
	s->want = 0;
	f->user_ops = NULL;
	sl_stream_set_timer(f->stream, TLS_CLOSE_MS);
	sl_filter_dirty(f);
}

static void
op_flush(struct sl_filter *f)
{
	struct session *s = session_of(f);

	if (s->state == SESSION_HANDSHAKE || session_has(s, SF_OVER | SF_RAW_OVER))
		return;
	sl_session_flush(s);
	ask_room(s);
	if (!session_has(s, SF_SHUT_SENT))
		return;
	if (s->state == SESSION_CLOSING)
		let_go(s);
	else if (session_has(s, SF_SAID_END))
		sl_filter_wake(f, false);
}

static const struct sl_filter_ops filter_ops = {
	.readable_bytes = op_readable_bytes,
	.peek = op_peek,
	.consume = op_consume,
	.take = op_take,
	.eof = op_eof,
	.ending = op_ending,
	.cut = op_cut,
	.room = op_room,
	.wait_room = op_wait_room,
	.wrote = op_wrote,
	.tail = op_tail,
	.grew = op_grew,
	.shutdown = op_shutdown,
	.close = op_close,
	.abort = op_abort,
	.flush = op_flush,
};

/* ---- beginning ---- */

static struct session *
begin(struct sl_tls *t, struct sl_stream *stream, uint32_t slot, uint16_t incarnation,
      uint32_t handshake_ms)
{
	if (t->pending_cnt >= t->conf.handshakes)
		sl_session_hs_yield(t);
	bool room = t->pending_cnt < t->conf.handshakes && t->end_cnt < t->conf.handshakes;
	struct session *s = room ? session_new(t) : NULL;

	if (!s) {
		tls_count(t, SL_TLS_CNT_FAIL_OVERLOAD);
		return NULL;
	}
	s->filter.ops = &filter_ops;
	s->state = SESSION_HANDSHAKE;
	s->slot = slot;
	s->incarnation = incarnation;
	s->began_ns = sl_tcp_now_ns(t->conf.tcp);
	s->info.alpn = "";
	sl_filter_put(stream, &s->filter, &raw_events);
	sl_session_pend(s, sl_tcp_now_ms(t->conf.tcp) + handshake_ms);
	sl_filter_wake(&s->filter, false);
	return s;
}

bool
sl_tls_server(struct sl_tls *t, struct sl_stream *stream, uint32_t listener_slot,
	      uint16_t incarnation, uint32_t handshake_ms)
{
	struct session *s = begin(t, stream, listener_slot, incarnation, handshake_ms);

	if (!s)
		return false;
	s->state_flags |= SF_SERVER;
	s->info.server = 1;
	return true;
}

bool
sl_tls_client(struct sl_tls *t, struct sl_stream *stream, uint32_t service_slot,
	      uint16_t incarnation, uint32_t endpoint_slot, const char *host, uint32_t handshake_ms)
{
	uint32_t len = host ? (uint32_t)strnlen(host, SL_HOST_MAX - 1) + 1 : 0, room = 0;
	char *copy = len ? sl_arena_take(t->arena, len, &room) : NULL;

	if (len && !copy) {
		tls_count(t, SL_TLS_CNT_FAIL_OVERLOAD);
		return false;
	}
	struct session *s = begin(t, stream, service_slot, incarnation, handshake_ms);
	if (!s) {
		if (copy)
			sl_arena_give(t->arena, copy, room);
		return false;
	}
	s->endpoint_slot = endpoint_slot;
	if (copy) {
		memcpy(copy, host, len - 1);
		copy[len - 1] = 0;
		s->host = copy;
		s->host_room = (uint16_t)room;
	}
	return true;
}

const struct sl_tls_info *
sl_tls_info(const struct sl_stream *stream)
{
	const struct sl_filter *f = sl_filter_of(stream);

	if (!f || f->ops != &filter_ops || session_of(f)->state == SESSION_HANDSHAKE)
		return NULL;
	return &session_of(f)->info;
}

/* ---- the turn ---- */

bool
sl_tls_tick(struct sl_tls *t)
{
	bool did = sl_session_hs_tick(t);
	uint64_t expanded = sl_record_expanded(t->records);

	t->conf.stats->count[SL_TLS_CNT_KEYS_EXPANDED] += expanded - t->expanded;
	t->expanded = expanded;
	return did;
}

bool
sl_tls_waits(const struct sl_tls *t)
{
	return t->free_cnt < t->conf.jobs || t->waits > 0 || t->end_cnt > 0;
}

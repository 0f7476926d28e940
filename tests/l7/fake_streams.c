#include "tests/l7/fake_streams.h"

#include <stdlib.h>

enum { EV_OPENED = 1, EV_TIMER = 2, EV_READ = 4, EV_WRITE = 8, EV_CLOSED = 16 };

enum { TLS_NONE, TLS_HANDSHAKE, TLS_OPEN };

struct sl_stream {
	struct sl_stream_row row;
	struct sl_tcp *tcp;
	const struct sl_stream_ops *ops;
	void *user;
	uint8_t *in, *out;
	uint32_t in_len, out_len;
	uint32_t events, want_room;
	uint32_t timer_ms; /* due; 0: none */
	uint32_t active_ms;
	uint32_t gone_turn; /* its place is not used again in this one */
	enum sl_stream_end end;
	bool used, open, fin_in, fin_acked, over, cut;
	uint8_t tls;
	struct sl_tls_info session;
	struct fake_tls_asked asked;
	struct sl_stream_target target;
	struct fake_seen seen;
};

struct sl_tcp {
	struct fake_conf conf;
	uint32_t now_ms;
	uint32_t turn;
	enum sl_stream_end fail_next;
	enum fake_tls_way tls_way;
	struct sl_tls_info session;
	struct sl_stream *last;
	struct sl_stream streams[];
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Calls of users go through here: a stream that was let go is not to be used. */
static struct sl_stream *
live(const struct sl_stream *s)
{
	must(s->used && !s->seen.let_go);
	return (struct sl_stream *)s;
}

struct sl_tcp *
fake_create(const struct fake_conf *conf)
{
	struct sl_tcp *t = calloc(1, sizeof(*t) + conf->streams * sizeof(t->streams[0]));

	must(t != NULL);
	t->conf = *conf;
	t->turn = 1;
	fake_tls_session(t, NULL);
	t->now_ms = UINT32_MAX - 5000; /* the clock wraps soon */
	for (uint32_t i = 0; i < conf->streams; i++) {
		t->streams[i].in = malloc(conf->rcv_max);
		t->streams[i].out = malloc(conf->snd_max);
		must(t->streams[i].in && t->streams[i].out);
	}
	return t;
}

void
fake_destroy(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < t->conf.streams; i++) {
		free(t->streams[i].in);
		free(t->streams[i].out);
	}
	free(t);
}

static struct sl_stream *
place(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < t->conf.streams; i++) {
		struct sl_stream *s = &t->streams[i];
		if (s->used || s->gone_turn == t->turn)
			continue;
		*s = (struct sl_stream){.tcp = t, .used = true, .in = s->in, .out = s->out};
		s->active_ms = t->now_ms;
		s->seen.endpoint_slot = s->seen.partner = UINT32_MAX;
		return s;
	}
	return NULL;
}

static void
let_go(struct sl_stream *s)
{
	s->seen.let_go = true;
	s->seen.unread = s->out_len;
	s->seen.in = s->in_len;
	s->used = false;
	s->gone_turn = s->tcp->turn;
	s->row.state = SL_STREAM_FREE;
}

/* ---- the turn ---- */

static void
both_ended(struct sl_stream *s)
{
	if (!s->over && s->fin_in && s->in_len == 0 && s->fin_acked) {
		s->over = true;
		s->end = SL_END_OK;
		s->events |= EV_CLOSED;
	}
}

/* What is told now: a handshake is nobody's but the session's. */
static uint32_t
told_now(const struct sl_stream *s)
{
	return s->tls == TLS_HANDSHAKE ? s->events & ~(uint32_t)(EV_READ | EV_WRITE) : s->events;
}

static void
tell(struct sl_stream *s)
{
	static const unsigned order[] = {EV_OPENED, EV_TIMER, EV_READ, EV_WRITE};

	for (unsigned i = 0; i < SL_ARRAY_CNT(order) && !s->seen.let_go; i++) {
		if (!(told_now(s) & order[i]))
			continue;
		s->events &= ~order[i];
		if (order[i] == EV_OPENED && s->tls == TLS_HANDSHAKE)
			s->tls = TLS_OPEN;
		void (*fn)(struct sl_stream *) = order[i] == EV_OPENED  ? s->ops->opened
						 : order[i] == EV_TIMER ? s->ops->timer
						 : order[i] == EV_READ  ? s->ops->readable
									: s->ops->writable;
		if (fn)
			fn(s);
	}
	if (!s->seen.let_go)
		both_ended(s);
	if (!s->seen.let_go && (s->events & EV_CLOSED)) {
		s->ops->closed(s, s->end);
		let_go(s);
	}
}

/* What was asked for, or as much as there can be. */
static bool
has_room(const struct sl_stream *s)
{
	return s->want_room && sl_stream_room(s) >= SL_MIN(s->want_room, s->tcp->conf.snd_max);
}

void
fake_turn(struct sl_tcp *t, uint32_t ms)
{
	t->now_ms += ms;
	t->turn++;
	for (uint32_t i = 0; i < t->conf.streams; i++) {
		struct sl_stream *s = &t->streams[i];
		if (!s->used)
			continue;
		if (s->timer_ms && (int32_t)(t->now_ms - s->timer_ms) >= 0) {
			s->timer_ms = 0;
			s->events |= EV_TIMER;
		}
		if (has_room(s)) {
			s->want_room = 0;
			s->events |= EV_WRITE;
		}
	}
	for (uint32_t i = 0; i < t->conf.streams; i++)
		if (t->streams[i].used)
			tell(&t->streams[i]);
}

bool
fake_quiet(const struct sl_tcp *t)
{
	for (uint32_t i = 0; i < t->conf.streams; i++) {
		const struct sl_stream *s = &t->streams[i];
		if (s->used && (told_now(s) || has_room(s) ||
				(!s->over && s->fin_in && s->in_len == 0 && s->fin_acked)))
			return false;
	}
	return true;
}

/* ---- the far side ---- */

struct sl_stream *
fake_accept(struct sl_tcp *t, const struct sl_tcp_accept *accept, const struct sl_tuple *tuple)
{
	struct sl_stream *s = place(t);

	if (!s)
		return NULL;
	s->ops = accept->ops;
	s->user = accept->user;
	s->row.tuple = *tuple;
	s->row.state = SL_STREAM_ESTABLISHED;
	s->seen.listener_slot = accept->listener_slot;
	s->seen.service_slot = accept->service_slot;
	s->open = true;
	s->events = EV_OPENED;
	return s;
}

void
fake_connect_fails(struct sl_tcp *t, enum sl_stream_end why)
{
	t->fail_next = why;
}

struct sl_stream *
fake_connected(struct sl_tcp *t)
{
	return t->last;
}

const struct sl_stream_target *
fake_target(const struct sl_stream *s)
{
	return &s->target;
}

void
fake_peer_answers(struct sl_stream *s)
{
	must(s->used && !s->open);
	s->open = true;
	s->row.state = SL_STREAM_ESTABLISHED;
	s->active_ms = s->tcp->now_ms;
	s->events |= EV_OPENED;
}

uint32_t
fake_peer_sends(struct sl_stream *s, const void *bytes, uint32_t n)
{
	if (!s->used || s->over || s->fin_in)
		return 0;
	n = SL_MIN(n, s->tcp->conf.rcv_max - s->in_len);
	if (n) {
		memcpy(s->in + s->in_len, bytes, n);
		s->in_len += n;
		s->active_ms = s->tcp->now_ms;
		s->events |= EV_READ;
	}
	return n;
}

void
fake_peer_fin(struct sl_stream *s)
{
	if (!s->used || s->over)
		return;
	s->fin_in = true;
	if (s->tls != TLS_OPEN)
		s->row.state = SL_STREAM_CLOSE_WAIT;
	s->events |= EV_READ;
}

void
fake_peer_cuts(struct sl_stream *s)
{
	if (!s->used || s->over)
		return;
	must(s->tls == TLS_OPEN);
	s->fin_in = s->cut = true;
	s->row.state = SL_STREAM_CLOSE_WAIT;
	s->events |= EV_READ;
}

void
fake_peer_ends(struct sl_stream *s, enum sl_stream_end why)
{
	if (!s->used || s->over)
		return;
	s->over = true;
	s->end = why;
	s->in_len = s->out_len = 0;
	s->fin_in = false;
	s->row.state = SL_STREAM_FREE;
	s->events |= EV_CLOSED;
}

uint32_t
fake_peer_reads(struct sl_stream *s, void *to, uint32_t n)
{
	if ((!s->used && s->seen.aborted) || s->over)
		return 0;
	n = SL_MIN(n, s->out_len);
	memcpy(to, s->out, n);
	memmove(s->out, s->out + n, s->out_len - n);
	s->out_len -= n;
	if (n)
		s->active_ms = s->tcp->now_ms;
	if (s->seen.shut && s->out_len == 0)
		s->fin_acked = true;
	return n;
}

struct fake_seen
fake_seen(const struct sl_stream *s)
{
	struct fake_seen seen = s->seen;

	if (s->used) {
		seen.unread = s->out_len;
		seen.in = s->in_len;
	}
	return seen;
}

uint32_t
fake_place(const struct sl_stream *s)
{
	return (uint32_t)(s - s->tcp->streams);
}

struct sl_stream *
fake_stream(struct sl_tcp *t, uint32_t at)
{
	return t->streams[at].used ? &t->streams[at] : NULL;
}

uint32_t
fake_live(const struct sl_tcp *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->conf.streams; i++)
		n += t->streams[i].used;
	return n;
}

/* ---- stream.h ---- */

void
sl_stream_attach(struct sl_stream *s, const struct sl_stream_ops *ops, void *user)
{
	live(s)->ops = ops;
	s->user = user;
}

void *
sl_stream_user(const struct sl_stream *s)
{
	return live(s)->user;
}

const struct sl_stream_row *
sl_stream_row(const struct sl_stream *s)
{
	return &live(s)->row;
}

void
sl_stream_label(struct sl_stream *s, uint32_t listener_slot, uint32_t service_slot,
		uint32_t endpoint_slot, uint16_t incarnation, struct sl_stream *partner)
{
	live(s)->row.incarnation = incarnation;
	s->seen.listener_slot = listener_slot;
	s->seen.service_slot = service_slot;
	s->seen.endpoint_slot = endpoint_slot;
	s->seen.partner = partner ? fake_place(live(partner)) : UINT32_MAX;
}

struct sl_stream *
sl_stream_connect(struct sl_tcp *t, const struct sl_stream_target *target,
		  const struct sl_stream_ops *ops, void *user, enum sl_stream_end *ret_why)
{
	enum sl_stream_end why = t->fail_next;
	struct sl_stream *s = NULL;

	must(target->source_cnt >= 1 && target->connect_ms >= 1 && target->zero == 0);
	t->fail_next = SL_END_OK;
	if (why == SL_END_OK) {
		s = place(t);
		why = SL_END_NO_MEMORY;
	}
	if (!s) {
		*ret_why = why;
		return NULL;
	}
	s->ops = ops;
	s->user = user;
	s->target = *target;
	s->row.tuple = (struct sl_tuple){.src = target->dst,
					 .sport = target->port,
					 .dst = target->sources[0],
					 .dport = 1,
					 .proto = SL_IPPROTO_TCP};
	s->row.state = SL_STREAM_SYN_SENT;
	t->last = s;
	return s;
}

uint32_t
sl_stream_readable_bytes(const struct sl_stream *s)
{
	return live(s)->tls == TLS_HANDSHAKE ? 0 : s->in_len;
}

/* Spans of three bytes at most, so that nobody counts on more. */
unsigned
sl_stream_peek(struct sl_stream *s, uint32_t skip, struct sl_span *ret_spans, unsigned max)
{
	unsigned n = 0;

	for (live(s); n < max && skip < sl_stream_readable_bytes(s); n++) {
		ret_spans[n] = (struct sl_span){s->in + skip, SL_MIN(3u, s->in_len - skip)};
		skip += ret_spans[n].len;
	}
	return n;
}

void
sl_stream_consume(struct sl_stream *s, uint32_t n)
{
	must(n <= sl_stream_readable_bytes(s));
	memmove(s->in, s->in + n, s->in_len - n);
	s->in_len -= n;
}

bool
sl_stream_eof(const struct sl_stream *s)
{
	return live(s)->fin_in && s->in_len == 0 && !(s->over && s->end != SL_END_OK) &&
	       s->tls != TLS_HANDSHAKE;
}

bool
sl_stream_ending(const struct sl_stream *s)
{
	return live(s)->fin_in && s->tls != TLS_HANDSHAKE;
}

bool
sl_stream_cut(const struct sl_stream *s)
{
	return live(s)->cut;
}

uint32_t
sl_stream_room(const struct sl_stream *s)
{
	return !live(s)->open || s->seen.shut || s->over || s->tls == TLS_HANDSHAKE
		       ? 0
		       : s->tcp->conf.snd_max - s->out_len;
}

void
sl_stream_wait_room(struct sl_stream *s, uint32_t n)
{
	live(s)->want_room = n;
}

uint32_t
sl_stream_write(struct sl_stream *s, const void *bytes, uint32_t n)
{
	n = SL_MIN(n, sl_stream_room(s));
	memcpy(s->out + s->out_len, bytes, n);
	s->out_len += n;
	s->seen.most_out = SL_MAX(s->seen.most_out, s->out_len);
	return n;
}

uint32_t
sl_stream_forward(struct sl_stream *from, struct sl_stream *to, uint32_t n)
{
	n = SL_MIN(n, sl_stream_readable_bytes(from));
	from->seen.forwards++;
	n = sl_stream_write(live(to), from->in, n);
	sl_stream_consume(from, n);
	return n;
}

void
sl_stream_set_timer(struct sl_stream *s, uint32_t ms)
{
	uint32_t due = live(s)->tcp->now_ms + ms;

	must(ms <= 1u << 28);
	s->timer_ms = ms == 0 ? 0 : due == 0 ? 1 : due;
	s->events &= ~(uint32_t)EV_TIMER;
}

uint32_t
sl_stream_idle_ms(const struct sl_stream *s)
{
	return live(s)->tcp->now_ms - s->active_ms;
}

void
sl_stream_set_cc(struct sl_stream *s, uint8_t cc)
{
	live(s)->row.cc = cc;
}

void
sl_stream_set_keepalive(struct sl_stream *s, uint16_t idle_s, uint8_t interval_s, uint8_t cnt)
{
	(void)interval_s, (void)cnt;
	live(s)->seen.keepalive_s = idle_s;
}

void
sl_stream_shutdown(struct sl_stream *s)
{
	must(!live(s)->seen.shut || s->over);
	s->seen.shut = true;
}

void
sl_stream_close(struct sl_stream *s)
{
	if (!live(s)->over && (s->in_len || !s->open || s->tls == TLS_HANDSHAKE)) {
		sl_stream_abort(s, SL_END_ABORTED);
		return;
	}
	live(s)->seen.shut = true;
	let_go(s);
}

void
sl_stream_abort(struct sl_stream *s, enum sl_stream_end why)
{
	live(s)->seen.aborted = true;
	s->seen.why = why;
	let_go(s);
}

uint32_t
sl_tcp_now_ms(const struct sl_tcp *t)
{
	return t->now_ms;
}

uint64_t
sl_tcp_now_ns(const struct sl_tcp *t)
{
	/* of which now_ms is the low end: it goes on where that wraps */
	uint64_t ms = t->now_ms >= UINT32_MAX - 5000 ? t->now_ms : (1ull << 32) + t->now_ms;

	return ms * 1000000ull;
}

/* ---- l7/tls/session.h ---- */

struct sl_tls *
fake_tls(struct sl_tcp *t)
{
	return (struct sl_tls *)(void *)t;
}

void
fake_tls_way(struct sl_tcp *t, enum fake_tls_way way)
{
	t->tls_way = way;
}

void
fake_tls_session(struct sl_tcp *t, const struct sl_tls_info *info)
{
	static const struct sl_tls_info usual = {
		.version = SL_TLS_1_3, .suite = SL_SUITE_AES128_GCM, .alpn = ""};

	t->session = info ? *info : usual;
}

void
fake_tls_done(struct sl_stream *s)
{
	must(live(s)->tls == TLS_HANDSHAKE);
	s->session = s->tcp->session;
	s->session.server = s->asked.server;
	s->events |= EV_OPENED;
}

bool
fake_tls_waits(const struct sl_stream *s)
{
	return s->used && s->tls == TLS_HANDSHAKE && !(s->events & (EV_OPENED | EV_CLOSED));
}

bool
fake_tls_open(const struct sl_stream *s)
{
	return s->used && s->tls == TLS_OPEN;
}

struct fake_tls_asked
fake_tls_asked(const struct sl_stream *s)
{
	return s->asked;
}

static bool
handshake(struct sl_tls *t, struct sl_stream *s, struct fake_tls_asked asked)
{
	must((void *)t == (void *)live(s)->tcp && s->open && s->tls == TLS_NONE);
	must(asked.handshake_ms >= 1);
	if (s->tcp->tls_way == FAKE_TLS_FULL)
		return false;
	asked.in = s->in_len;
	asked.out = s->out_len;
	s->asked = asked;
	s->tls = TLS_HANDSHAKE;
	if (s->in_len)
		s->events |= EV_READ;
	if (s->tcp->tls_way == FAKE_TLS_DONE && !s->over) /* else `closed` is all that follows */
		fake_tls_done(s);
	return true;
}

bool
sl_tls_server(struct sl_tls *t, struct sl_stream *s, uint32_t listener_slot, uint16_t incarnation,
	      uint32_t handshake_ms)
{
	return handshake(t, s,
			 (struct fake_tls_asked){.server = true,
						 .slot = listener_slot,
						 .endpoint_slot = UINT32_MAX,
						 .handshake_ms = handshake_ms,
						 .incarnation = incarnation});
}

bool
sl_tls_client(struct sl_tls *t, struct sl_stream *s, uint32_t service_slot, uint16_t incarnation,
	      uint32_t endpoint_slot, const char *host, uint32_t handshake_ms)
{
	struct fake_tls_asked asked = {.client = true,
				       .slot = service_slot,
				       .endpoint_slot = endpoint_slot,
				       .handshake_ms = handshake_ms,
				       .incarnation = incarnation};

	must(!host || (*host && strlen(host) < sizeof(asked.host)));
	if (host)
		strcpy(asked.host, host);
	return handshake(t, s, asked);
}

const struct sl_tls_info *
sl_tls_info(const struct sl_stream *s)
{
	return live(s)->tls == TLS_OPEN ? &s->session : NULL;
}

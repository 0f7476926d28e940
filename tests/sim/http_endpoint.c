#include "tests/sim/http_user.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OUT_ROOM 400000

enum how {
	RIGHT,
	INTERIM, /* some 1xx before it */
	FAILS,   /* a 503 of its own */
	EARLY,   /* before the body came */
	DIES_AFTER,
	/* from here on the request suffers */
	STALLS,
	GARBAGE,
	AMBIGUOUS,
	CUT,
	EXCESS,
	ENDLESS,
	DIES_BEFORE,
	HOWS
};

/* ---- what reaches it ---- */

static void
judge_again(struct run *run, struct req *r)
{
	unsigned most = r->kind == REQ_RETRY ? 3 : r->kind == REQ_HEDGE ? 4 : 2;

	if (r->seen == 0)
		return;
	if (r->seen + 1 > most)
		run_wrong(run, "request %u reaches endpoints %u times", r->id, r->seen + 1);
	else if (r->body_seen)
		run_wrong(run, "request %u is sent again with a body", r->id);
	else if (r->kind != REQ_RETRY && !r->idempotent)
		run_wrong(run, "request %u is not idempotent and sent again", r->id);
	else if (r->kind != REQ_RETRY && r->kind != REQ_HEDGE && !r->reused)
		run_wrong(run, "request %u was sent on a new connection, and again", r->id);
}

/* /retry is for endpoint 1 while there is one, /up for endpoint 0 and nobody else. */
static void
judge_subset(struct run *run, const struct req *r, unsigned endpoint)
{
	bool strange = (r->kind == REQ_RETRY && endpoint != 1 && !run_excuses(run, r)) ||
		       (r->kind == REQ_UPGRADE && endpoint != 0);

	if (strange)
		run_wrong(run, "request %u comes to endpoint %u, which is not of its subset", r->id,
			  endpoint);
}

static void
request_head(struct peer *p)
{
	struct run *run = p->run;
	const struct http_read *in = &p->in;
	char value[64], path[16];
	unsigned id, sim = 0;
	const char *x = read_header(in, "x-sim", value, sizeof(value));

	if (!x || sscanf(x, "%u", &sim) != 1 ||
	    sscanf(in->target, "/%15[a-z]/%u", path, &id) != 2 || id != sim || id == 0 ||
	    id > run->req_cnt) {
		run_wrong(run, "an endpoint hears what nobody asked: %.100s", in->head);
		return;
	}
	struct req *r = p->r = &run->req[id];
	run_log(run, "endpoint %u: %s %s, %u. on the connection, %u. time", p->endpoint, in->method,
		in->target, p->served + 1, r->seen + 1);
	if (r->malformed && !r->bad_body)
		run_wrong(run, "request %u is malformed and reaches an endpoint", id);
	if (strcmp(path, req_path[r->kind]) || r->kind >= REQ_LOCAL)
		run_wrong(run, "request %u comes as %s", id, in->target);
	if (!r->malformed && strcmp(in->method, r->method))
		run_wrong(run, "request %u comes as %s", id, in->method);
	if (in->version != 11)
		run_wrong(run, "request %u comes as HTTP/%u", id, in->version);
	bool framed = r->chunked || r->malformed
			      ? in->chunked
			      : !in->chunked && (in->has_length ? in->left : 0) == r->body;
	if (!framed)
		run_wrong(run, "request %u comes with other framing", id);
	if (p->shadow) {
		if (r->kind != REQ_MIRROR || r->copies++)
			run_wrong(run, "request %u comes as a copy, %u. time", id, r->copies);
		return;
	}
	judge_again(run, r);
	judge_subset(run, r, p->endpoint);
	r->seen++;
	r->reused = p->served > 0;
}

static void
request_body(struct peer *p, const uint8_t *body, unsigned n)
{
	struct req *r = p->r;

	r->body_seen |= !p->shadow;
	if (r->malformed)
		return;
	if (p->in.moved > r->body)
		run_wrong(p->run, "request %u: more body than was sent", r->id);
	else if (bytes_same(r->id, p->in.moved - n, body, n) != n)
		run_wrong(p->run, "request %u: byte %llu of its body or one behind it is wrong",
			  r->id, (unsigned long long)p->in.moved - n);
}

static void
request_whole(struct peer *p)
{
	struct req *r = p->r;

	p->whole = true;
	if (r->malformed)
		run_wrong(p->run, "request %u is malformed, and whole", r->id);
	else if (p->in.moved != r->body)
		run_wrong(p->run, "request %u: its body ends after %llu of %llu bytes", r->id,
			  (unsigned long long)p->in.moved, (unsigned long long)r->body);
	else if (!r->wrote_all)
		run_wrong(p->run, "request %u is whole before it was sent", r->id);
	r->whole |= !p->shadow;
}

/* ---- answers ---- */

static unsigned
put_answer_chunks(struct run *run, uint64_t seed, unsigned len, uint8_t *at)
{
	uint8_t *p = at;

	for (unsigned off = 0, n; off < len; off += n) {
		n = (unsigned)dice_range(&run->dice, 1, SL_MIN(len - off, 9000u));
		p += sprintf((char *)p, "%X\r\n", n);
		bytes_fill(seed, off, p, n);
		p += n;
		p += sprintf((char *)p, "\r\n");
	}
	p += sprintf((char *)p, "0\r\n\r\n");
	return (unsigned)(p - at);
}

static unsigned
draw_len(struct run *run, enum how how)
{
	static const unsigned upto[] = {200, 3000, 60000};
	unsigned n = (unsigned)dice_below(&run->dice, upto[dice_below(&run->dice, 3)]);

	return how == EXCESS ? n % 300 : n;
}

static __attribute__((format(printf, 2, 3))) char *
put(char *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(at, 300, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= 300)
		abort();
	return at + n;
}

/* 101, and all that goes through the tunnel this way. */
static void
put_upgrade(struct peer *p)
{
	const struct req *r = p->r;
	int n = sprintf((char *)p->out,
			"HTTP/1.1 101 Go\r\nUpgrade: sim\r\nConnection: Upgrade\r\nX-Answer: %u 0 "
			"0\r\n\r\n",
			r->id);

	bytes_fill(SEED_DOWN | r->id, 0, p->out + n, r->down);
	p->out_len = (unsigned)n + r->down;
	p->tunnels = true;
}

/* An answer with x-answer; lies stand in its head. */
static void
put_answer(struct peer *p, enum how how)
{
	struct run *run = p->run;
	struct tcp_dice *d = &run->dice;
	const struct req *r = p->r;
	unsigned len = draw_len(run, how), nonce = (unsigned)dice_below(d, 1000000);
	bool head = strcmp(r->method, "HEAD") == 0, none = how == RIGHT && dice_chance(d, 0.1);
	unsigned frame = none ? 3 : how >= CUT ? 0 : (unsigned)dice_below(d, 8);
	unsigned status = none ? 204 : how == FAILS ? 503 : 200;
	char *at = (char *)p->out + p->out_len;
	uint64_t seed = (uint64_t)r->id << 32 | nonce;

	if (status == 204)
		len = 0;
	if (how == CUT)
		len += 2;
	for (unsigned i = how == INTERIM ? (unsigned)dice_range(d, 1, 4) : 0; i; i--)
		at = put(at, "HTTP/1.1 10%u I\r\nx-i: 1\r\n\r\n", i == 1 ? 0u : 2u);
	at = put(at, "HTTP/1.1 %u OK\r\nX-Answer: %u %u %u\r\n", status, r->id, nonce, len);
	if (frame == 1 || frame == 2)
		at = put(at, "Transfer-Encoding: chunked\r\n");
	else if (frame == 7)
		p->end = PEER_FIN;
	else if (!none)
		at = put(at, "Content-Length: %u\r\n", len);
	if (how == AMBIGUOUS && (frame == 1 || frame == 2))
		at = put(at, "Content-Length: 5\r\n");
	else if (how == AMBIGUOUS)
		at = put(at, "Content-Length: %u\r\nTransfer-Encoding: chunked\r\n", len + 1);
	if (frame == 7 || (how != EXCESS && dice_chance(d, 0.05))) {
		at = put(at, "Connection: close\r\n");
		p->end = PEER_FIN;
	}
	at = put(at, "\r\n");
	if (!head && (frame == 1 || frame == 2)) {
		at += put_answer_chunks(run, seed, len, (uint8_t *)at);
	} else if (!head) {
		unsigned n = how == CUT ? (unsigned)dice_below(d, len) : len;
		bytes_fill(seed, 0, (uint8_t *)at, n);
		at += n;
	}
	if (how == EXCESS)
		at += sprintf(
			at, "HTTP/1.1 200 OK\r\nX-Answer: 0 0 4\r\nContent-Length: 4\r\n\r\nEVIL");
	if (how == CUT)
		p->end = dice_chance(d, 0.5) ? PEER_FIN : PEER_RST;
	p->out_len = (unsigned)(at - (char *)p->out);
}

static enum how
draw_how(struct run *run)
{
	struct tcp_dice *d = &run->dice;

	if (run->lies && dice_chance(d, 0.2))
		return (enum how)dice_range(d, DIES_AFTER + 1, HOWS - 1);
	if (run->dies && dice_chance(d, 0.08))
		return DIES_AFTER;
	if (dice_chance(d, 0.1))
		return INTERIM;
	return run->lies && dice_chance(d, 0.05) ? FAILS : RIGHT;
}

static void
answers(struct peer *p, enum how how)
{
	struct run *run = p->run;

	p->answers = true;
	p->out_sent = p->out_len = 0;
	p->end = PEER_GOES_ON;
	if (!p->out)
		p->out = malloc(OUT_ROOM);
	if (!p->out)
		abort();
	if (how > DIES_AFTER)
		p->r->faulted |= !p->shadow;
	if (strcmp(p->r->method, "HEAD") == 0 && (how == CUT || how == EXCESS))
		how = DIES_BEFORE;
	run_log(run, "endpoint %u: answers %u, how %u", p->endpoint, p->r->id, how);
	switch (how) {
	case STALLS:
		p->stalls = true;
		break;
	case ENDLESS:
		p->endless = true;
		break;
	case GARBAGE:
		p->out_len =
			(unsigned)sprintf((char *)p->out, "220 mail ESMTP\r\n\r\nEVIL\r\n\r\n");
		break;
	case DIES_BEFORE:
		p->end = dice_chance(&run->dice, 0.5) ? PEER_FIN : PEER_RST;
		break;
	default:
		if (how == RIGHT && p->r->kind == REQ_UPGRADE && dice_chance(&run->dice, 0.8)) {
			put_upgrade(p);
			break;
		}
		put_answer(p, how);
		if (how == DIES_AFTER && p->end == PEER_GOES_ON)
			p->end = PEER_FIN, run_disturbed(run);
		break;
	}
}

/* ---- reading and writing ---- */

static void
over(struct peer *p, bool reset)
{
	struct sl_stream *s = p->s;

	p->s = NULL;
	if (reset)
		sl_stream_abort(s, SL_END_ABORTED);
	else
		sl_stream_close(s);
}

static void
heard(struct peer *p, enum read_event e, const uint8_t *body, unsigned n)
{
	struct run *run = p->run;

	if (e == READ_BAD) {
		run_wrong(run, "an endpoint hears %s: %.80s", p->in.bad, p->in.head);
	} else if (e == READ_HEAD) {
		request_head(p);
		if (p->r && p->r->body && !p->shadow && run->lies && dice_chance(&run->dice, 0.1)) {
			p->r->early = true;
			answers(p, EARLY);
		}
	} else if (e == READ_BODY) {
		request_body(p, body, n);
	} else if (e == READ_END) {
		request_whole(p);
		if (!p->answers)
			answers(p, draw_how(run));
	}
}

static void
reads(struct peer *p)
{
	struct run *run = p->run;
	struct sl_span span;

	while (p->s && !run->wrong[0] && p->in.state != R_OVER &&
	       sl_stream_peek(p->s, 0, &span, 1)) {
		const uint8_t *body = NULL;
		unsigned used = 0, n = 0;
		enum read_event e = read_feed(&p->in, span.data, span.len, &used, &body, &n);
		if (e != READ_MORE)
			heard(p, e, body, n);
		/* a message's end takes no byte */
		if (p->s)
			sl_stream_consume(p->s, used);
	}
	unsigned used = 0, n = 0;
	const uint8_t *body = NULL;
	if (p->s && p->in.state == R_END &&
	    read_feed(&p->in, NULL, 0, &used, &body, &n) == READ_END)
		heard(p, READ_END, NULL, 0);
}

/* The answer is sent: the next request, or the end. */
static void
answered(struct peer *p)
{
	if (p->end != PEER_GOES_ON) {
		over(p, p->end == PEER_RST);
		return;
	}
	if (!p->whole)
		return; /* the rest of the request is read over */
	p->answers = p->whole = false;
	p->r = NULL;
	p->served++;
	read_begin(&p->in, false);
	if (p->run->dies)
		p->close_ns = p->run->net.w.now_ns + dice_below(&p->run->dice, 2 * TCP_S);
}

static void
writes(struct peer *p)
{
	struct run *run = p->run;
	uint64_t now = run->net.w.now_ns;

	if (!p->answers || p->stalls || now < p->write_ns)
		return;
	if (p->endless) {
		sl_stream_write(p->s, "HTTP/1.1 102 Wait\r\n\r\n", 21);
		p->write_ns = now + 20 * TCP_MS;
		return;
	}
	unsigned n = p->out_len - p->out_sent;
	if (n > 2000 && dice_chance(&run->dice, 0.3)) {
		n = (unsigned)dice_range(&run->dice, 1, n);
		p->write_ns = now + dice_below(&run->dice, 10 * TCP_MS);
	}
	if (n)
		p->out_sent += sl_stream_write(p->s, p->out + p->out_sent, n);
	if (p->out_sent == p->out_len && !p->tunnels) {
		answered(p);
	} else if (p->out_sent == p->out_len && !p->shut) {
		p->shut = true;
		sl_stream_shutdown(p->s);
	}
}

static void
on_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct peer *p = sl_stream_user(s);

	(void)why;
	p->s = NULL;
}

static const struct sl_stream_ops ops = {.closed = on_closed};

void
peer_accepted(void *ctx, struct sl_stream *s, unsigned endpoint)
{
	struct run *run = ctx;
	struct peer *p = calloc(1, sizeof(*p));

	*p = (struct peer){.run = run, .next = run->peers, .s = s, .endpoint = endpoint};
	p->shadow = endpoint >= RUN_SHADOW;
	p->close_ns = UINT64_MAX;
	run->peers = p;
	read_begin(&p->in, false);
	sl_stream_attach(s, &ops, p);
}

void
peer_poke(struct peer *p)
{
	struct run *run = p->run;
	bool idle = !p->r && p->in.head_len == 0;

	if (!p->s)
		return;
	if ((idle && run->net.w.now_ns >= p->close_ns && sl_stream_readable_bytes(p->s) == 0) ||
	    run->closing) {
		if (!run->closing)
			run_disturbed(run);
		run_log(run, "endpoint %u closes a kept connection", p->endpoint);
		over(p, !run->closing && dice_chance(&run->dice, 0.3));
		return;
	}
	reads(p);
	if (p->s && p->in.state == R_OVER && !p->tunnels && sl_stream_readable_bytes(p->s) &&
	    (p->stalls || p->endless || p->out_sent < p->out_len))
		run_wrong(run, "request %u is not answered, and another one comes", p->r->id);
	if (p->s)
		writes(p);
	if (!p->s || !sl_stream_eof(p->s) || (p->tunnels && !p->shut))
		return;
	if (p->tunnels && p->up != p->r->up && !run_excuses(run, p->r))
		run_wrong(run, "request %u: its tunnel brings %u of %u bytes", p->r->id, p->up,
			  p->r->up);
	over(p, false);
}

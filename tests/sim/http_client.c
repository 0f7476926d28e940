#include "tests/sim/http_user.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_NS (30 * TCP_S)

const char *const req_path[REQ_KINDS] = {"a",     "b",  "c",     "retry", "mirror",
					 "hedge", "up", "local", "redir", "none"};

/* Heads that two readers could take for two things, or nobody for one.  Each %u: its number. */
static const char *const malformed[] = {
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ncontent-length: 5\r\ntransfer-encoding: "
	"chunked\r\n\r\n0\r\n\r\nEVIL",
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ncontent-length: 5\r\ncontent-length: "
	"6\r\n\r\nhello!",
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ntransfer-encoding: "
	"xchunked\r\n\r\n0\r\n\r\n",
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ncontent-length: +5\r\n\r\nhello",
	"GET /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\nx-y : z\r\n\r\n",
	"GET /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\nx-y: z\r\n folded: 1\r\n\r\n",
	"GET /a/%u HTTP/1.1\r\nx-sim: %u\r\n\r\n",
	"GET /a/%u HTTP/1.1\r\nhost: t\r\nhost: u\r\nx-sim: %u\r\n\r\n",
	"GET /a/%u HTTP/2.0\r\nhost: t\r\nx-sim: %u\r\n\r\n",
	"GET /a/%u HTTP/1.1\r\nhost: t\nx-sim: %u\r\n\r\n",
	"POST /a/%u HTTP/1.0\r\nhost: t\r\nx-sim: %u\r\ntransfer-encoding: "
	"chunked\r\n\r\n0\r\n\r\n",
	"\x16\x03\x01\x02 %u %u \r\n\r\n",
	/* the head is one: */
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ntransfer-encoding: "
	"chunked\r\n\r\n5\r\nhello\r\nzz\r\nEVIL\r\n0\r\n\r\n",
	"POST /a/%u HTTP/1.1\r\nhost: t\r\nx-sim: %u\r\ntransfer-encoding: "
	"chunked\r\n\r\n5\r\nhelloEVIL0\r\n\r\n",
};
#define BAD_BODIES 2 /* the last ones */

/* ---- what is asked ---- */

static void
draw_request(struct run *run, struct req *r, bool last)
{
	static const char *const methods[] = {"GET",  "GET",  "GET",  "GET", "HEAD",
					      "POST", "POST", "POST", "PUT", "DELETE"};
	struct tcp_dice *d = &run->dice;

	r->id = (uint32_t)(r - run->req);
	r->kind = dice_chance(d, 0.5) ? REQ_PLAIN : (enum req_kind)dice_below(d, REQ_KINDS);
	r->method = methods[dice_below(d, SL_ARRAY_CNT(methods))];
	r->version = dice_chance(d, 0.1) ? 10 : 11;
	r->keep_10 = dice_chance(d, 0.5);
	r->idempotent = r->method[0] != 'P' || r->method[1] == 'U';
	if (r->method[0] == 'P') {
		r->body = dice_below(d, dice_chance(d, 0.2) ? 60000 : 500);
		if (dice_chance(d, 0.3))
			r->body = 0;
		r->chunked = r->version == 11 && dice_chance(d, 0.5);
		r->expect = r->version == 11 && r->body && dice_chance(d, 0.1);
	}
	if (r->kind == REQ_UPGRADE) {
		r->method = "GET";
		r->idempotent = true;
		r->version = 11;
		r->body = 0;
		r->chunked = r->expect = false;
		r->up = (unsigned)dice_below(d, 30000);
		r->down = (unsigned)dice_below(d, 30000);
		last = false;
	}
	r->says_close = last && dice_chance(d, 0.2);
	if (dice_chance(d, 0.04)) {
		unsigned k = (unsigned)dice_below(d, SL_ARRAY_CNT(malformed));
		r->malformed = malformed[k];
		r->bad_body = k >= SL_ARRAY_CNT(malformed) - BAD_BODIES;
		r->idempotent = false;
		r->kind = REQ_PLAIN;
	}
}

/* Whether nothing can be asked on the connection after it. */
static bool
is_last(const struct req *r)
{
	return r->malformed || r->kind == REQ_UPGRADE || r->says_close ||
	       (r->version == 10 && !r->keep_10);
}

void
client_init(struct client *c, struct run *run, unsigned id)
{
	struct tcp_dice *d = &run->dice;
	unsigned cnt = (unsigned)dice_range(d, 1, 7);

	*c = (struct client){.run = run, .id = id, .first = run->req_cnt + 1};
	for (unsigned i = 0; i < cnt && run->req_cnt < RUN_REQUESTS; i++) {
		struct req *r = &run->req[++run->req_cnt];
		draw_request(run, r, i + 1 == cnt);
		c->cnt++;
		if (is_last(r))
			break;
	}
	c->depth = dice_chance(d, 0.5) ? 1 : (unsigned)dice_range(d, 1, 5);
	c->start_ns = run->net.w.now_ns + dice_below(d, 3 * TCP_S);
	c->vanish_ns = dice_chance(d, 0.1) ? c->start_ns + dice_below(d, TCP_S) : UINT64_MAX;
	c->half_close = dice_chance(d, 0.2);
	c->read_max = UINT32_MAX;
	if (dice_chance(d, 0.15)) {
		c->read_max = (uint32_t)dice_range(d, 100, 4000);
		c->read_gap_ns = dice_range(d, TCP_MS, 30 * TCP_MS);
	}
	read_begin(&c->in, true);
}

/* ---- writing ---- */

static unsigned
put_chunks(struct run *run, const struct req *r, uint8_t *at)
{
	uint8_t *p = at;

	for (uint64_t off = 0, n; off < r->body; off += n) {
		n = dice_range(&run->dice, 1, SL_MIN(r->body - off, 9000u));
		p += sprintf((char *)p, "%llx%s\r\n", (unsigned long long)n,
			     dice_chance(&run->dice, 0.1) ? ";ext=\"1\"" : "");
		bytes_fill(r->id, off, p, n);
		p += n;
		*p++ = '\r';
		*p++ = '\n';
	}
	p += sprintf((char *)p, "0\r\n%s\r\n",
		     dice_chance(&run->dice, 0.2) ? "x-trailer: 1\r\n" : "");
	return (unsigned)(p - at);
}

static void
put_request(struct client *c, const struct req *r)
{
	struct run *run = c->run;
	char *p = (char *)(c->wire = malloc(8192 + 20 * r->body));

	if (!p)
		abort();
	c->wire_sent = 0;
	if (r->malformed) {
		c->wire_head = c->wire_len = (unsigned)sprintf(p, r->malformed, r->id, r->id);
		return;
	}
	p += sprintf(p, "%s /%s/%u HTTP/1.%u\r\nHost: t.example\r\nX-Sim: %u\r\n", r->method,
		     req_path[r->kind], r->id, r->version - 10u, r->id);
	if (dice_chance(&run->dice, 0.2))
		p += sprintf(p, "X-Pad: %0*u\r\n", (int)dice_range(&run->dice, 1, 3000), 0);
	if (r->says_close || (r->version == 10 && r->keep_10))
		p += sprintf(p, "Connection: %s\r\n", r->says_close ? "close" : "keep-alive");
	if (r->kind == REQ_UPGRADE)
		p += sprintf(p, "Connection: Upgrade\r\nUpgrade: sim\r\n");
	if (r->expect)
		p += sprintf(p, "Expect: 100-continue\r\n");
	if (r->chunked)
		p += sprintf(p, "Transfer-Encoding: chunked\r\n");
	else if (r->method[0] == 'P')
		p += sprintf(p, "Content-Length: %llu\r\n", (unsigned long long)r->body);
	p += sprintf(p, "\r\n");
	c->wire_head = (unsigned)(p - (char *)c->wire);
	if (r->chunked) {
		p += put_chunks(run, r, (uint8_t *)p);
	} else {
		bytes_fill(r->id, 0, (uint8_t *)p, r->body);
		p += r->body;
	}
	c->wire_len = (unsigned)(p - (char *)c->wire);
}

static void
drop_wire(struct client *c)
{
	free(c->wire);
	c->wire = NULL;
}

/* How much of the wire may go now: a body waits for 100, a while. */
static unsigned
may_go(struct client *c, const struct req *r)
{
	uint64_t now = c->run->net.w.now_ns;

	if (!r->expect || c->continues || c->wire_sent > c->wire_head)
		return c->wire_len;
	if (c->wire_sent == c->wire_head && c->body_wait_ns == 0)
		c->body_wait_ns = now + TCP_S;
	return c->body_wait_ns && now >= c->body_wait_ns ? c->wire_len : c->wire_head;
}

static bool
upgrades(const struct client *c)
{
	return c->run->req[c->first + c->cnt - 1].kind == REQ_UPGRADE;
}

static void
writes_tunnel(struct client *c)
{
	const struct req *r = &c->run->req[c->first + c->read_at];
	uint8_t bytes[2000];

	while (c->up < r->up) {
		unsigned n = SL_MIN(r->up - c->up, (unsigned)sizeof(bytes));
		bytes_fill(SEED_UP | r->id, c->up, bytes, n);
		unsigned put = sl_stream_write(c->s, bytes, n);
		c->up += put;
		if (put < n)
			return;
	}
	if (!c->shut)
		sl_stream_shutdown(c->s);
	c->shut = true;
}

static void
writes(struct client *c)
{
	struct run *run = c->run;
	uint64_t now = run->net.w.now_ns;

	while (c->s && c->write_at < c->cnt && now >= c->write_ns && !c->told_close) {
		struct req *r = &run->req[c->first + c->write_at];
		if (!c->wire) {
			if (c->write_at - c->read_at >= c->depth)
				return;
			put_request(c, r);
			r->begun_ns = now;
			c->continues = false;
			c->body_wait_ns = 0;
		}
		unsigned n = may_go(c, r) - c->wire_sent;
		if (dice_chance(&run->dice, 0.3)) {
			unsigned some = (unsigned)dice_range(&run->dice, 1, 300);
			n = SL_MIN(n, some);
			c->write_ns = now + dice_below(&run->dice, 5 * TCP_MS);
		}
		unsigned put = sl_stream_write(c->s, c->wire + c->wire_sent, n);
		c->wire_sent += put;
		if (put)
			run_log(run, "client %u: %u of %u bytes of request %u (%u sent of %u)",
				c->id, put, n, r->id, c->wire_sent, c->wire_len);
		if (c->wire_sent == c->wire_len) {
			r->wrote_all = true;
			drop_wire(c);
			c->write_at++;
		} else if (put == 0) {
			return;
		}
	}
	if (c->s && c->tunnels)
		writes_tunnel(c);
	if (c->s && c->half_close && !upgrades(c) && c->write_at == c->cnt && !c->shut) {
		c->shut = true;
		sl_stream_shutdown(c->s);
	}
}

/* ---- reading ---- */

/* The gateway's own answer. */
static void
judge_own(struct client *c, const struct req *r)
{
	struct run *run = c->run;
	unsigned st = c->in.status;
	bool ok;

	run->own++;
	if (r->malformed)
		ok = st == 400 || st == 505;
	else if (r->kind == REQ_LOCAL)
		ok = st == 403;
	else if (r->kind == REQ_REDIR)
		ok = st == 301;
	else if (r->kind == REQ_NONE)
		ok = st == 404;
	else if (r->kind == REQ_LIMIT && st == 503)
		ok = true;
	else
		ok = (st == 502 || st == 503 || st == 504) && run_excuses(run, r);
	if (!ok && !(r->bad_body && run_excuses(run, r)))
		run_wrong(run, "request %u (%s /%s, %s): the gateway answers %u", r->id, r->method,
			  req_path[r->kind], r->malformed ? "malformed" : "right", st);
}

static void
answer_head(struct client *c, struct req *r)
{
	struct run *run = c->run;
	char value[64];
	unsigned id, nonce, len;
	const char *whose = read_header(&c->in, "x-answer", value, sizeof(value));

	c->theirs = whose;
	r->status = c->in.status;
	run_log(run, "client %u: answer %u to %u (%s)", c->id, r->status, r->id,
		whose ? whose : "own");
	if (!whose) {
		judge_own(c, r);
	} else if (sscanf(whose, "%u %u %u", &id, &nonce, &len) != 3) {
		run_wrong(run, "request %u: an answer that nobody gave: %s", r->id, whose);
	} else {
		if (id != r->id)
			run_wrong(run, "request %u is answered with that of %u", r->id, id);
		c->answer_seed = (uint64_t)id << 32 | nonce;
		c->answer_len = len;
		if (r->malformed && !r->early)
			run_wrong(run, "request %u is malformed and answered", id);
	}
	if (c->in.closes) {
		c->told_close = true;
		if (whose && r->whole && r->version == 11 && !r->says_close && !r->early &&
		    !r->expect && !run_excuses(run, r) && !run->closing)
			run_wrong(run, "request %u: the connection is closed without need", r->id);
	}
}

static void
answer_end(struct client *c, struct req *r)
{
	struct run *run = c->run;

	if (c->theirs && strcmp(r->method, "HEAD") && c->in.moved != c->answer_len)
		run_wrong(run, "request %u: an answer of %llu bytes, whole with %llu", r->id,
			  (unsigned long long)c->answer_len, (unsigned long long)c->in.moved);
	run->fine += c->theirs;
	c->read_at++;
	if (c->read_at > c->write_at) { /* answered before it was sent: the rest will not be */
		c->told_close = true;
		drop_wire(c);
	}
	read_begin(&c->in, true);
}

static void
answer_event(struct client *c, struct req *r, enum read_event e, const uint8_t *body, unsigned n)
{
	if (e == READ_BAD) {
		run_wrong(c->run, "request %u: the client hears %s", r->id, c->in.bad);
	} else if (e == READ_HEAD && c->in.status == 101) {
		if (r->kind != REQ_UPGRADE)
			run_wrong(c->run, "request %u hears 101", r->id);
		answer_head(c, r);
		c->tunnels = true;
	} else if (e == READ_HEAD && c->in.status < 200) {
		c->continues |= c->in.status == 100;
	} else if (e == READ_HEAD) {
		answer_head(c, r);
	} else if (e == READ_BODY && c->theirs &&
		   bytes_same(c->answer_seed, c->in.moved - n, body, n) != n) {
		run_wrong(c->run, "request %u: byte %llu or one behind it is wrong", r->id,
			  (unsigned long long)(c->in.moved - n));
	} else if (e == READ_END && c->tunnels) {
		run_log(c->run, "client %u: a tunnel", c->id);
	} else if (e == READ_END && c->in.status < 200) {
		read_begin(&c->in, true);
	} else if (e == READ_END) {
		answer_end(c, r);
	}
}

static void
hears_tunnel(struct client *c, const struct req *r, const uint8_t *bytes, unsigned n)
{
	if (bytes_same(SEED_DOWN | r->id, c->down, bytes, n) != n)
		run_wrong(c->run, "request %u: byte %u of its tunnel or one behind it is wrong",
			  r->id, c->down);
	c->down += n;
	if (c->down > r->down)
		run_wrong(c->run, "request %u: more bytes through the tunnel than were sent",
			  r->id);
}

static void
hears(struct client *c, const uint8_t *bytes, unsigned n)
{
	struct run *run = c->run;

	for (;;) {
		unsigned used = 0, body_n = 0;
		const uint8_t *body = NULL;
		if (c->read_at == c->cnt) {
			if (n)
				run_wrong(run, "client %u hears more than it asked for", c->id);
			return;
		}
		struct req *r = &run->req[c->first + c->read_at];
		if (c->in.state == R_OVER) {
			hears_tunnel(c, r, bytes, n);
			return;
		}
		if (c->in.state == R_HEAD && c->in.head_len == 0) {
			if (!n)
				return;
			if (!r->begun_ns)
				run_wrong(run, "client %u hears an answer before it asks", c->id);
			c->in.no_body = strcmp(r->method, "HEAD") == 0 && !r->malformed;
		}
		enum read_event e = read_feed(&c->in, bytes, n, &used, &body, &body_n);
		bytes += used;
		n -= used;
		if (e == READ_MORE)
			return;
		answer_event(c, r, e, body, body_n);
		if (run->wrong[0])
			return;
	}
}

static void
reads(struct client *c)
{
	uint64_t now = c->run->net.w.now_ns;
	struct sl_span span;

	while (c->s && now >= c->read_ns && sl_stream_peek(c->s, 0, &span, 1)) {
		uint32_t n = SL_MIN(span.len, c->read_max);
		c->heard_ns = now;
		hears(c, span.data, n);
		sl_stream_consume(c->s, n);
		if (c->read_gap_ns)
			c->read_ns = now + c->read_gap_ns;
	}
}

/* ---- ends ---- */

/* The connection is over, well (FIN) or not; whether what is missing may be missing. */
static void
judge_end(struct client *c, bool fin)
{
	struct run *run = c->run;

	drop_wire(c);
	c->over = true;
	if (fin && c->in.state == R_CLOSE) {
		struct req *r = &run->req[c->first + c->read_at];
		answer_end(c, r);
		return;
	}
	if (fin && c->tunnels) {
		const struct req *r = &run->req[c->first + c->read_at];
		if (c->down != r->down && !run_excuses(run, r))
			run_wrong(run, "request %u: its tunnel ends after %u of %u bytes", r->id,
				  c->down, r->down);
		run->fine++;
		return;
	}
	if (c->read_at == c->cnt || c->vanished || run->wrong[0])
		return;
	const struct req *r = &run->req[c->first + c->read_at];
	bool between = c->in.state == R_HEAD && c->in.head_len == 0;
	const struct req *before = c->read_at ? r - 1 : NULL;
	run->cut++;
	if (between && (c->told_close || (before && before->early) || (c->opened && !r->begun_ns)))
		return;
	for (unsigned i = c->read_at + 1; i <= c->write_at && i < c->cnt; i++)
		if (run->req[c->first + i].faulted) /* its RST overtakes what was on its way */
			return;
	if (!run_excuses(run, r) && !r->bad_body)
		run_wrong(run, "request %u (%s /%s): the connection ends (%s)%s", r->id, r->method,
			  req_path[r->kind], fin ? "FIN" : "RST",
			  between ? "" : " in the midst of the answer");
}

static void
on_opened(struct sl_stream *s)
{
	struct client *c = sl_stream_user(s);

	c->opened = true;
	c->heard_ns = c->run->net.w.now_ns;
}

static void
on_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct client *c = sl_stream_user(s);

	c->s = NULL;
	run_log(c->run, "client %u: closed: %s", c->id, sl_stream_end_text(why));
	if (!c->over)
		judge_end(c, why == SL_END_OK);
}

static const struct sl_stream_ops ops = {.opened = on_opened, .closed = on_closed};

void
client_poke(struct client *c)
{
	uint64_t now = c->run->net.w.now_ns;

	if (c->over || now < c->start_ns)
		return;
	if (!c->began) {
		c->began = true;
		c->s = net_connect(&c->run->net, c->id, &ops, c);
		c->over = !c->s;
	}
	if (!c->s || !c->opened)
		return;
	if (now >= c->vanish_ns) {
		struct sl_stream *s = c->s;
		c->vanished = c->over = true;
		c->s = NULL;
		drop_wire(c);
		run_log(c->run, "client %u vanishes", c->id);
		sl_stream_abort(s, SL_END_ABORTED);
		return;
	}
	reads(c);
	if (c->s)
		writes(c);
	if (c->s && now - c->heard_ns > PATIENCE_NS) {
		/* a lost RST, for one */
		struct sl_stream *s = c->s;
		c->s = NULL;
		sl_stream_abort(s, SL_END_ABORTED);
		judge_end(c, false);
	}
	if (c->s && c->tunnels && !c->shut)
		return; /* the other way goes on */
	if (c->s && (sl_stream_eof(c->s) || c->read_at == c->cnt ||
		     (c->told_close && c->in.state == R_HEAD && c->in.head_len == 0))) {
		struct sl_stream *s = c->s;
		bool fin = sl_stream_eof(s);
		c->s = NULL;
		sl_stream_close(s);
		judge_end(c, fin);
	}
}

void
client_fini(struct client *c)
{
	drop_wire(c);
}

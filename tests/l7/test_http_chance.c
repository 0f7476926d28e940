/* The HTTP engine over fake streams, by chance: clients that pipeline, stop, hold and go; endpoints that answer in any framing and
 * in pieces, lie, stall and die; operators that take things away; time.  Whatever happens:
 *
 *   - what an endpoint hears is HTTP that the strict parser takes, one request after the other, each with its own body;
 *   - a client hears the answers to its requests, in their order, each with its own body, or an error of the gateway;
 *   - an answer that is cut is seen as cut: the connection is reset, or its end was never said;
 *   - a request with a body is never told twice;
 *   - nothing is left at the end.
 */
#include <stdarg.h>

#include "tests/l7/http_scene.h"

enum { CLIENTS = 6, QUEUE = 8, TAGS = 20000, OUT = 1 << 15 };

static uint64_t seed;

static uint32_t
chance(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

static void
must(bool holds, const char *what)
{
	if (!holds) {
		printf("\n%s", what);
		CU_FAIL_FATAL("see above");
	}
}

static uint32_t
at_most(uint32_t most, uint32_t n)
{
	return n < most ? n : most;
}

/* ---- messages as their reader sees them ---- */

enum part { HEAD, BODY, TRAILERS, WHOLE };

struct reader {
	enum part part;
	struct sl_http_head head;
	struct sl_http_chunked chunk;
	uint64_t left; /* LENGTH */
	uint32_t tag, at;
	bool tagged;
	char text[512]; /* of the head: the start of it, for people */
};

static char
body_byte(uint32_t tag, uint32_t at)
{
	return (char)(tag * 31 + at * 7 + at / 256 * 13);
}

static void
took(struct peer *p, uint32_t n)
{
	p->len -= n;
	memmove(p->got, p->got + n, p->len);
}

/* n bytes of the body are there: its own? */
static void
body_took(struct reader *r, struct peer *p, uint32_t n)
{
	for (uint32_t i = 0; i < n && r->tagged; i++) {
		bool own = p->got[i] == body_byte(r->tag, r->at + i);
		if (!own)
			printf("\nbyte %u of %u: %.*s ... %.*s", r->at + i, r->tag, 200, r->text,
			       (int)SL_MIN(n, 40u), p->got);
		must(own, "a byte of somebody else's body");
	}
	r->at += n;
	took(p, n);
}

static uint32_t
number(const uint8_t *p, uint32_t n)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < n; i++)
		v = p[i] >= '0' && p[i] <= '9' ? v * 10 + (p[i] - '0') : 0;
	return v;
}

static void
head_took(struct reader *r, struct peer *p, int n, bool request)
{
	const struct sl_http_head *h = &r->head;

	r->at = 0;
	r->left = h->body == SL_BODY_LENGTH ? h->length : 0;
	r->chunk = (struct sl_http_chunked){0};
	unsigned i = sl_http_find(h, (const uint8_t *)"t", 1,
				  sl_http_name_hash((const uint8_t *)"t", 1), 0);
	r->tagged = request || i < h->line_cnt;
	if (request)
		r->tag = number(h->bytes + h->path, h->path_len);
	else if (r->tagged)
		r->tag = number(h->bytes + h->line[i].value, h->line[i].value_len);
	r->part = h->body == SL_BODY_NONE || (h->body == SL_BODY_LENGTH && h->length == 0) ? WHOLE
											   : BODY;
	snprintf(r->text, sizeof(r->text), "%.*s", SL_MIN(n, 500), p->got);
	took(p, (uint32_t)n);
}

static void
read_chunked(struct reader *r, struct peer *p)
{
	uint32_t used;

	while (r->part == BODY) {
		if (r->chunk.left) {
			uint32_t n = (uint32_t)SL_MIN(r->chunk.left, p->len);
			sl_http_chunk_data(&r->chunk, n);
			body_took(r, p, n);
			if (r->chunk.left)
				return;
		}
		enum sl_chunk_event e =
			sl_http_chunk(&r->chunk, (const uint8_t *)p->got, p->len, &used);
		must(e != SL_CHUNK_BAD, "a chunk that is none");
		took(p, used);
		if (e == SL_CHUNK_MORE)
			return;
		if (e == SL_CHUNK_END)
			r->part = TRAILERS;
	}
	struct sl_http_head t;
	enum sl_http_bad why;
	int n = sl_http_trailers((const uint8_t *)p->got, p->len, 0, &t, &why);
	must(n != SL_BAD, "trailers that are none");
	if (n > 0) {
		took(p, (uint32_t)n);
		r->part = WHOLE;
	}
}

/* As far as there is something. */
static void
read_on(struct reader *r, struct peer *p, bool request, uint8_t method)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	enum sl_http_bad why = 0;

	if (r->part == HEAD && p->len) {
		int n = request ? sl_http_request((const uint8_t *)p->got, p->len, 0, &limits,
						  &r->head, &why)
				: sl_http_response((const uint8_t *)p->got, p->len, 0, method,
						   &limits, &r->head, &why);
		if (n == SL_BAD)
			printf("\n%s: %.*s", sl_http_bad_text(why), (int)SL_MIN(p->len, 300u),
			       p->got);
		must(n != SL_BAD, "a head that is none");
		if (n > 0)
			head_took(r, p, n, request);
	}
	if (r->part == BODY && r->head.body == SL_BODY_LENGTH) {
		uint32_t n = (uint32_t)SL_MIN(r->left, p->len);
		r->left -= n;
		body_took(r, p, n);
		r->part = r->left ? BODY : WHOLE;
	} else if (r->part == BODY && r->head.body == SL_BODY_CLOSE) {
		body_took(r, p, p->len);
		if (p->fin && !p->rst)
			r->part = WHOLE;
	} else if (r->part == BODY || r->part == TRAILERS) {
		read_chunked(r, p);
	}
}

/* ---- what is to be sent, in pieces ---- */

struct out {
	char *bytes;
	uint32_t len, sent;
};

static void
out_add(struct out *o, const void *bytes, uint32_t n)
{
	if (o->sent == o->len)
		o->sent = o->len = 0;
	must(o->len + n <= OUT, "the test's own room");
	memcpy(o->bytes + o->len, bytes, n);
	o->len += n;
}

static void
out_text(struct out *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	out_add(o, text, (uint32_t)n);
}

static void
out_body(struct out *o, uint32_t tag, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char c = body_byte(tag, from + i);
		out_add(o, &c, 1);
	}
}

static void
out_chunks(struct out *o, uint32_t tag, uint32_t n)
{
	for (uint32_t at = 0, k; at < n; at += k) {
		k = at_most(n - at, 1 + chance(700));
		out_text(o, "%x%s\r\n", k, chance(5) ? "" : ";x=y");
		out_body(o, tag, at, k);
		out_text(o, "\r\n");
	}
	out_text(o, chance(3) ? "0\r\n\r\n" : "0\r\nsum: 1\r\n\r\n");
}

static void
out_go(struct out *o, struct peer *p)
{
	uint32_t n = at_most(o->len - o->sent, 1 + chance(chance(2) ? 40 : 3000));

	if (p->s && n)
		o->sent += fake_peer_sends(p->s, o->bytes + o->sent, n);
}

/* ---- clients ---- */

struct client {
	struct peer *p; /* NULL: none */
	struct out out;
	struct reader r;
	struct {
		uint32_t tag;
		uint8_t method;
	} asked[QUEUE];
	unsigned cnt;
	bool garbage; /* what it said last is no request */
	bool left;    /* it says no more */
	bool went;    /* by itself */
};

/* Of each request: how often an endpoint was told of it, and of its body. */
struct told {
	uint8_t heads, bodies;
};

struct world {
	struct scene s;
	struct client client[CLIENTS];
	struct {
		struct out out;
		struct reader r;
		bool answered; /* the request is dealt with: what there is to say is said */
		bool fin, rst; /* behind it */
		bool busy;
		bool bodied; /* a byte of the request's body came */
	} up[SCENE_PEERS];
	struct told told[TAGS];
	uint32_t tags, whole, errors, cut;
};

static void
client_asks(struct world *w, struct client *c)
{
	static const char *const routes[] = {
		"",       "/once",   "/reset",   "/5xx",    "/codes", "/gateway", "/slow",
		"/try",   "/idle",   "/backoff", "/mirror", "/split", "/nosvc",   "/direct",
		"/hedge", "/hedges", "/delayed", "/kept",   "/cors"};
	static const struct {
		const char *name;
		uint8_t id;
	} methods[] = {{"GET", SL_METHOD_GET},
		       {"GET", SL_METHOD_GET},
		       {"HEAD", SL_METHOD_HEAD},
		       {"POST", SL_METHOD_POST},
		       {"PUT", SL_METHOD_PUT}};
	unsigned m = chance(5), body = m >= 3 ? chance(3) : 0,
		 size = chance(3) ? chance(300) : chance(6000);
	uint32_t tag = ++w->tags;

	if (c->cnt == QUEUE || c->left || c->garbage || c->out.len - c->out.sent > 8000 ||
	    tag >= TAGS)
		return;
	if (chance(60) == 0) {
		out_text(&c->out, "%s",
			 chance(2) ? "nonsense\r\n\r\n"
				   : "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: "
				     "1\r\nTransfer-Encoding: chunked\r\n\r\n");
		c->garbage = true;
		return;
	}
	c->asked[c->cnt].tag = tag;
	c->asked[c->cnt++].method = methods[m].id;
	out_text(&c->out, "%s %s/%u HTTP/1.1\r\nHost: h\r\n%s", methods[m].name, routes[chance(19)],
		 tag, chance(4) ? "" : "a: b\r\nX-c:d \r\n");
	if (chance(25) == 0) {
		out_text(&c->out, "Connection: close\r\n");
		c->left = true;
	}
	if (body && chance(10) == 0)
		out_text(&c->out, "Expect: 100-continue\r\n");
	if (body == 1) {
		out_text(&c->out, "Content-Length: %u\r\n\r\n", size);
		out_body(&c->out, tag, 0, size);
	} else if (body == 2) {
		out_text(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
		out_chunks(&c->out, tag, size);
	} else {
		out_text(&c->out, "\r\n");
	}
}

static void
client_over(struct client *c)
{
	c->p->spare = true;
	c->p = NULL;
	c->cnt = 0;
	c->out.len = c->out.sent = 0;
	c->r.part = HEAD;
	c->garbage = c->left = c->went = false;
}

static void
client_reads(struct world *w, struct client *c)
{
	for (;;) {
		enum part before = c->r.part;
		uint32_t len = c->p->len;
		/* without a request in the queue only a refusal can come */
		read_on(&c->r, c->p, false, c->cnt ? c->asked[0].method : SL_METHOD_GET);
		if (c->r.part == WHOLE) {
			c->r.part = HEAD;
			if (c->r.head.status < 200)
				continue;
			if (c->cnt) {
				if (c->r.tagged && c->r.tag != c->asked[0].tag)
					printf("\nasked %u, heard %s", c->asked[0].tag, c->r.text);
				must(!c->r.tagged || c->r.tag == c->asked[0].tag,
				     "somebody else's answer");
				memmove(c->asked, c->asked + 1, --c->cnt * sizeof(c->asked[0]));
			} else {
				must(!c->r.tagged && c->r.head.status >= 400,
				     "an answer to nothing");
			}
			w->whole += c->r.tagged;
			w->errors += !c->r.tagged;
			continue;
		}
		if (c->r.part == before && len == c->p->len)
			break;
	}
	if (!c->p->s) {
		w->cut += c->r.part != HEAD;
		must(c->r.part == HEAD || c->p->rst || c->went,
		     "an answer that is cut ends in order");
		client_over(c);
	} else if (c->p->fin && chance(4) == 0) {
		fake_peer_fin(c->p->s);
	}
}

static void
client_step(struct world *w, struct client *c)
{
	if (!c->p) {
		c->p = chance(4) ? NULL : scene_client(&w->s);
		c->r.part = HEAD;
		return;
	}
	switch (chance(12)) {
	case 0:
	case 1:
		client_asks(w, c);
		break;
	case 2:
		c->p->hold = chance(4) == 0;
		break;
	case 3:
		if (chance(60) == 0 && c->p->s) {
			fake_peer_ends(c->p->s, SL_END_RESET);
			c->went = true;
		}
		if (chance(60) == 0 && c->p->s)
			fake_peer_fin(c->p->s);
		break;
	default:
		out_go(&c->out, c->p);
		break;
	}
	if (!c->p->hold || !c->p->s)
		client_reads(w, c);
}

/* ---- endpoints ---- */

static void
answer_body(struct out *o, unsigned framing, uint32_t tag, uint32_t size, bool head)
{
	if (framing == 1) {
		out_text(o, "Content-Length: %u\r\n\r\n", size);
		if (!head)
			out_body(o, tag, 0, size);
	} else if (framing == 2) {
		out_text(o, "Transfer-Encoding: chunked\r\n\r\n");
		if (!head)
			out_chunks(o, tag, size);
	} else {
		out_text(o, "\r\n");
		if (!head)
			out_body(o, tag, 0, size);
	}
}

/* What this endpoint says to a request, and whether it dies of it. */
static void
answer(struct world *w, unsigned i)
{
	static const unsigned statuses[] = {200, 200, 200, 404, 418, 500, 503};
	struct out *o = &w->up[i].out;
	struct reader *r = &w->up[i].r;
	bool head = r->head.method == SL_METHOD_HEAD;
	unsigned framing = chance(3), kind = chance(24);
	uint32_t size = chance(3) ? chance(400) : chance(9000);

	w->up[i].answered = true;
	if (chance(10) == 0)
		out_text(o, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	switch (kind) {
	case 0: /* dead */
		w->up[i].rst = true;
		return;
	case 1:
		w->up[i].fin = true;
		return;
	case 2:
		out_text(o, "what?\r\n\r\n");
		return;
	case 3: /* stalls */
		return;
	case 4:
		out_text(o, "HTTP/1.1 %s\r\nt: %u\r\n\r\n",
			 chance(2) ? "204 No Content" : "304 Not Modified", r->tag);
		return;
	case 5: /* less than it said */
		out_text(o, "HTTP/1.1 200 OK\r\nt: %u\r\nContent-Length: %u\r\n\r\n", r->tag,
			 size + 1);
		if (!head)
			out_body(o, r->tag, 0, size);
		w->up[i].fin = chance(2);
		w->up[i].rst = !w->up[i].fin;
		return;
	default:
		break;
	}
	out_text(o, "HTTP/1.1 %u X\r\nt: %u\r\n%s", statuses[chance(7)], r->tag,
		 kind == 6 ? "Connection: close\r\n" : "");
	answer_body(o, framing, r->tag, size, head);
	w->up[i].fin = (framing == 0 && !head) || kind == 6;
	if (kind == 7 && (framing || head)) /* and too much */
		out_text(o, "more");
}

static void
up_reads(struct world *w, unsigned i, struct peer *p)
{
	struct reader *r = &w->up[i].r;
	enum part before = r->part;

	if (w->up[i].answered && w->up[i].out.sent == w->up[i].out.len && r->part == WHOLE) {
		r->part = HEAD; /* the next request */
		w->up[i].answered = w->up[i].bodied = false;
	}
	read_on(r, p, true, 0);
	if (before == HEAD && r->part != HEAD &&
	    memmem(r->text, strlen(r->text), "-shadow", 7) == NULL) {
		must(r->tag > 0 && r->tag < TAGS, "a request that nobody made");
		struct told *t = &w->told[r->tag];
		t->heads++;
		must(t->heads <= 6, "tried more often than any route allows");
	}
	if (r->part != HEAD && r->at && !w->up[i].bodied &&
	    memmem(r->text, strlen(r->text), "-shadow", 7) == NULL) {
		w->up[i].bodied = true;
		w->told[r->tag].bodies++;
		must(w->told[r->tag].bodies == 1, "a body that was told twice");
	}
	if (r->part != HEAD && !w->up[i].answered && (r->part == WHOLE || chance(200) == 0))
		answer(w, i);
}

static void
up_step(struct world *w, unsigned i)
{
	struct peer *p = &w->s.peers[i];

	if (!w->up[i].busy) {
		w->up[i].busy = true;
		w->up[i].r.part = HEAD;
		w->up[i].out.len = w->up[i].out.sent = 0;
		w->up[i].answered = w->up[i].bodied = w->up[i].fin = w->up[i].rst = false;
	}
	if (!p->s) {
		p->spare = true;
		w->up[i].busy = false;
		return;
	}
	p->hold = chance(40) == 0 ? chance(2) : p->hold;
	up_reads(w, i, p);
	out_go(&w->up[i].out, p);
	if (w->up[i].answered && w->up[i].out.sent == w->up[i].out.len) {
		if (w->up[i].rst)
			fake_peer_ends(p->s, SL_END_RESET);
		else if (w->up[i].fin && fake_tls_open(p->s) && chance(2))
			fake_peer_cuts(p->s);
		else if (w->up[i].fin)
			fake_peer_fin(p->s);
	}
	if (chance(2000) == 0)
		fake_peer_ends(p->s, SL_END_TIMEOUT);
}

/* Handshakes are done, or fail, or take their time. */
static void
tls_step(struct world *w)
{
	for (uint32_t i = 0; i < 64; i++) {
		struct sl_stream *s = fake_stream(w->s.tcp, i);
		if (!s || !fake_tls_waits(s) || chance(2))
			continue;
		if (chance(20) == 0)
			fake_peer_ends(s, SL_END_TLS);
		else
			fake_tls_done(s);
	}
	if (chance(200) == 0)
		fake_tls_way(w->s.tcp, FAKE_TLS_FULL);
	else if (chance(10) == 0)
		fake_tls_way(w->s.tcp, chance(2) ? FAKE_TLS_HOLD : FAKE_TLS_DONE);
	if (chance(500) == 0) { /* pushes */
		unsigned svc = chance(2);
		if (w->s.service_tls[svc].is)
			w->s.service_tls[svc].is = false;
		else
			scene_secures(&w->s, SCENE_A + svc);
		w->s.service_tls[svc].says.auto_sni = chance(2);
		w->s.rule.generation++;
	}
	if (chance(1500) == 0)
		w->s.rule.tls = w->s.rule.tls ? NULL : &w->s.tls;
}

static void
operator_step(struct world *w)
{
	struct scene *s = &w->s;
	struct endpoint *e = &s->ep[chance(SCENE_ENDPOINTS)];

	switch (chance(9)) {
	case 0:
		e->dead = chance(6) == 0;
		break;
	case 1:
		e->down = chance(4) == 0;
		break;
	case 2:
		e->refuses = chance(5) == 0;
		break;
	case 3:
		s->no_service = chance(12) == 0;
		break;
	case 4:
		s->no_listener = chance(20) == 0;
		break;
	case 5:
		s->service[chance(2)].tcp.max_connections = 1 + chance(8);
		break;
	case 6:
		s->service[chance(2)].http.max_requests = 1 + chance(12);
		break;
	case 7:
		s->bandwidth[chance(2)] = (struct sl_img_bandwidth){
			{chance(2) ? 0 : 4096u << chance(8), chance(2) ? 0 : 4096u << chance(8)},
			{SL_BURST_MIN, SL_BURST_MIN}};
		break;
	default:
		s->service[chance(2)].http.conn_requests = chance(3) ? 0 : 1 + chance(4);
		break;
	}
}

static struct world *
world_new(uint32_t snd_max, bool tls)
{
	struct world *w = calloc(1, sizeof(*w));

	scene_init(&w->s,
		   &(struct scene_conf){
			   .exchanges = 12,
			   .snd_max = snd_max,
			   .tls = tls,
			   .head_bytes = 1 << 20,
			   .http = {.stream_idle_ms = 2000, .header_ms = 3000, .idle_ms = 5000},
		   });
	for (unsigned i = 0; i < CLIENTS; i++)
		w->client[i].out.bytes = malloc(OUT);
	for (unsigned i = 0; i < SCENE_PEERS; i++)
		w->up[i].out.bytes = malloc(OUT);
	return w;
}

static void
world_end(struct world *w)
{
	scene_end(&w->s);
	for (unsigned i = 0; i < CLIENTS; i++)
		free(w->client[i].out.bytes);
	for (unsigned i = 0; i < SCENE_PEERS; i++)
		free(w->up[i].out.bytes);
	free(w);
}

static void
whatever_happens_everybody_hears_his_own(void)
{
	const char *only = getenv("SEED");
	uint32_t whole = 0, errors = 0, cut = 0;

	for (unsigned i = only ? (unsigned)atoi(only) : 1; i <= (only ? (unsigned)atoi(only) : 40u);
	     i++) {
		struct world *w =
			world_new(i % 3 ? 0 : 4096, i % 2); /* room for all, or hardly for a head */
		unsigned failures = CU_get_number_of_failures();
		seed = i * 0x9e3779b97f4a7c15ull;
		for (unsigned step = 0; step < 6000; step++) {
			client_step(w, &w->client[chance(CLIENTS)]);
			for (unsigned u = 0; u < w->s.peer_cnt; u++)
				if (w->s.peers[u].endpoint >= 0 && !w->s.peers[u].spare &&
				    chance(2))
					up_step(w, u);
			if (chance(100) == 0)
				operator_step(w);
			if (i % 2)
				tls_step(w);
			scene_turn(&w->s, chance(4) ? 0 : chance(chance(50) ? 10 : 400));
		}
		whole += w->whole;
		errors += w->errors;
		cut += w->cut;
		world_end(w);
		if (CU_get_number_of_failures() != failures)
			printf("\nseed %u", i);
	}
	if (!only)
		CU_ASSERT(whole > 5000 && errors > 500 && cut > 100);
	printf("%u answers, %u errors, %u cut\n", whole, errors, cut);
}

SL_SUITE("http_chance", SL_TEST(whatever_happens_everybody_hears_his_own))

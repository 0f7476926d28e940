#include "tests/sim/hosts.h"

#include <stdlib.h>

#include "dataplane/parse.h"
#include "dataplane/tcp/tcp_priv.h"
#include "tests/suite.h"

#define TURN_NS 200000
#define BUFFERS 8192
#define PORT 443

struct buffer {
	struct buffer *next;
	unsigned refs;
	uint8_t head[SL_HEADERS_MAX];
	uint8_t bytes[2048];
};

struct packet {
	struct packet *next;
	uint64_t at_ns;
	unsigned len;
	uint8_t l3[];
};

struct host {
	struct hosts *net;
	unsigned id;
	struct sl_tcp *tcp;
	void *mem, *streams;
	struct sl_stats_tcp stats;
	unsigned buffers;
	bool down, listens, reads;
	uint32_t seed, expect;
	enum sl_tcp_admit (*admit)(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret);
	void *admit_ctx;
	struct hosts_end *accepted;
	struct packet *first, **last; /* on the way to it */
};

struct hosts {
	struct hosts_conf conf;
	uint64_t now_ns, checked_ns;
	struct sl_rss rss;
	struct host host[HOSTS_MAX];
	struct hosts_end *ends; /* all, by all */
};

struct keep {
	struct hosts_end end; /* first */
	struct hosts_end *all;
};

struct sl_addr
hosts_addr(unsigned host)
{
	return sl_addr_from_v4((uint8_t[]){10, 0, 0, (uint8_t)(host + 1)});
}

/* ---- what a stack needs ---- */

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	struct host *h = ctx;
	struct buffer *b = h->buffers < BUFFERS ? malloc(sizeof(*b)) : NULL;

	if (!b)
		return NULL;
	b->refs = 1;
	h->buffers++;
	*ret_data = b->bytes;
	return b;
}

static void
env_free(void *ctx, void *buf)
{
	struct host *h = ctx;
	struct buffer *b = buf;

	if (--b->refs)
		return;
	free(b);
	h->buffers--;
}

static void
env_share(void *ctx, void *buf)
{
	(void)ctx;
	((struct buffer *)buf)->refs++;
}

static unsigned
env_refs(void *ctx, void *buf)
{
	(void)ctx;
	return ((struct buffer *)buf)->refs;
}

static unsigned
env_held(void *ctx)
{
	return ((struct host *)ctx)->buffers * 256 / BUFFERS;
}

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	(void)ctx;
	return (struct sl_tcp_way){.mtu = 1500, .known = dst->b[15] <= HOSTS_MAX};
}

/* A frame around l3. */
static struct sl_pkt
frame(uint8_t *data, const uint8_t *l3, unsigned len)
{
	memset(data, 2, 12);
	sl_store16(data + 12, sl_to_be16(0x0800));
	memcpy(data + 14, l3, len);
	struct sl_pkt p = {.data = data, .len = (uint16_t)(14 + len)};
	CU_ASSERT_EQUAL_FATAL(sl_parse(&p), SL_DROP_NONE);
	return p;
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct host *h = ctx;
	struct hosts *net = h->net;
	unsigned to = dst->b[15] - 1u;
	uint8_t data[2048];

	CU_ASSERT_TRUE_FATAL(offload == 0 && mss == 0 && len <= 1500);
	struct sl_pkt p = frame(data, l3, len);
	bool lost = h->down || to >= net->conf.cnt || net->host[to].down ||
		    (net->conf.lost && net->conf.lost(net->conf.ctx, h->id, to, &p));
	if (!lost) {
		struct packet *k = malloc(sizeof(*k) + len);
		*k = (struct packet){.at_ns = net->now_ns + net->conf.delay_us * 1000ull,
				     .len = len};
		memcpy(k->l3, l3, len);
		*net->host[to].last = k;
		net->host[to].last = &k->next;
	}
	env_free(h, buf);
}

/* ---- ends ---- */

static uint8_t
pattern(uint32_t seed, uint64_t at)
{
	uint64_t x = (at / 8 + seed) * 0x9e3779b97f4a7c15u;

	return (uint8_t)((x ^ x >> 29) >> (at % 8 * 5));
}

static void
check(struct hosts_end *e, const struct sl_span *span)
{
	for (uint32_t i = 0; i < span->len; i++, e->read++) {
		if (e->expect != UINT32_MAX)
			e->wrong += span->data[i] != pattern(e->expect, e->read);
		else if (e->read < sizeof(e->first))
			e->first[e->read] = span->data[i];
	}
}

uint32_t
hosts_read(struct hosts_end *e, uint32_t n)
{
	struct sl_span span;
	uint32_t done = 0;

	while (e->s && done < n && sl_stream_peek(e->s, 0, &span, 1)) {
		span.len = SL_MIN(span.len, n - done);
		check(e, &span);
		sl_stream_consume(e->s, span.len);
		done += span.len;
	}
	if (e->s && sl_stream_eof(e->s))
		e->eof = true;
	return done;
}

uint32_t
hosts_write(struct hosts_end *e, uint32_t n)
{
	uint8_t bytes[1024];
	uint32_t done = 0;

	while (e->s && done < n) {
		uint32_t some = SL_MIN(n - done, (uint32_t)sizeof(bytes));
		for (uint32_t i = 0; i < some; i++)
			bytes[i] = pattern(e->seed, e->wrote + i);
		some = sl_stream_write(e->s, bytes, some);
		if (some == 0)
			break;
		e->wrote += some;
		done += some;
	}
	return done;
}

void
hosts_say(struct hosts_end *e, const void *bytes, uint32_t n)
{
	CU_ASSERT_EQUAL(sl_stream_write(e->s, bytes, n), n);
}

static void
end_opened(struct sl_stream *s)
{
	((struct hosts_end *)sl_stream_user(s))->opened = true;
}

static void
end_readable(struct sl_stream *s)
{
	struct hosts_end *e = sl_stream_user(s);

	if (e->reads)
		hosts_read(e, UINT32_MAX);
}

static void
end_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct hosts_end *e = sl_stream_user(s);

	if (why == SL_END_OK)
		e->eof = true;
	e->s = NULL;
	e->closed = true;
	e->why = why;
}

static struct hosts_end *
end_new(struct hosts *net, bool reads, uint32_t seed, uint32_t expect)
{
	struct keep *k = calloc(1, sizeof(*k));

	k->end = (struct hosts_end){.net = net, .reads = reads, .seed = seed, .expect = expect};
	k->all = net->ends;
	net->ends = &k->end;
	return &k->end;
}

static const struct sl_stream_ops end_ops = {
	.opened = end_opened, .readable = end_readable, .closed = end_closed};

static void
end_accepted(struct sl_stream *s)
{
	struct host *h = sl_stream_user(s);
	struct hosts_end *e = end_new(h->net, h->reads, h->seed, h->expect), **at = &h->accepted;

	while (*at)
		at = &(*at)->next;
	*at = e;
	e->s = s;
	e->opened = true;
	sl_stream_attach(s, &end_ops, e);
}

static void
nobody_closed(struct sl_stream *s, enum sl_stream_end why)
{
	(void)s, (void)why;
}

static const struct sl_stream_ops accept_ops = {.opened = end_accepted, .closed = nobody_closed};

static enum sl_tcp_admit
env_admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	struct host *h = ctx;

	if (h->admit)
		return h->admit(h->admit_ctx, p, ret);
	if (!h->listens)
		return SL_ADMIT_NO;
	*ret = (struct sl_tcp_accept){.ops = &accept_ops, .user = h, .nodelay = 1};
	return SL_ADMIT_YES;
}

struct hosts_end *
hosts_connect(struct hosts *net, unsigned host, unsigned to, bool reads, uint32_t seed,
	      uint32_t expect)
{
	struct hosts_end *e = end_new(net, reads, seed, expect);
	struct sl_addr source = hosts_addr(host);
	const struct sl_stream_target target = {.dst = hosts_addr(to),
						.port = sl_to_be16(PORT),
						.nodelay = 1,
						.sources = &source,
						.source_cnt = 1,
						.connect_ms = 60000};

	e->s = sl_stream_connect(net->host[host].tcp, &target, &end_ops, e, &e->why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e->s);
	return e;
}

/* ---- the wire ---- */

static void
deliver(struct host *h)
{
	while (h->first && h->first->at_ns <= h->net->now_ns) {
		struct packet *k = h->first;
		uint8_t *data;
		h->first = k->next;
		if (!h->first)
			h->last = &h->first;
		struct buffer *b = h->down ? NULL : env_alloc(h, &data);
		if (b) {
			struct sl_pkt p = frame(data, k->l3, k->len);
			p.buf = b;
			uint64_t hash = sl_tcp_hash(h->tcp, &p.tuple);
			sl_tcp_input(h->tcp, &p, hash, sl_tcp_find(h->tcp, hash, &p.tuple));
		}
		free(k);
	}
}

static void
turn(struct hosts *net)
{
	net->now_ns += TURN_NS;
	for (unsigned i = 0; i < net->conf.cnt; i++) {
		struct host *h = &net->host[i];
		sl_tcp_begin(h->tcp, net->now_ns);
		deliver(h);
		if (net->conf.tick && i == net->conf.tick_host)
			net->conf.tick(net->conf.ctx);
		sl_tcp_run(h->tcp);
	}
}

static void
check_all(struct hosts *net)
{
	for (unsigned i = 0; i < net->conf.cnt; i++) {
		const char *wrong = sl_tcp_check(net->host[i].tcp);
		if (wrong)
			fprintf(stderr, "host %u: %s\n", i, wrong);
		CU_ASSERT_PTR_NULL(wrong);
	}
	net->checked_ns = net->now_ns;
}

/* Whether everything agrees is looked at every quarter of a second, and in the end. */
void
hosts_run(struct hosts *net, uint32_t ms)
{
	for (uint64_t end = net->now_ns + ms * 1000000ull; net->now_ns < end;)
		turn(net);
	if (net->now_ns - net->checked_ns >= 250000000)
		check_all(net);
}

uint64_t
hosts_now_ns(const struct hosts *net)
{
	return net->now_ns;
}

/* ---- making and ending ---- */

static void *
zeroed(size_t n)
{
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);

	return memset(p, 0, (n + 63) / 64 * 64);
}

static void
host_init(struct hosts *net, unsigned i)
{
	struct host *h = &net->host[i];
	bool scarce = i == net->conf.tick_host;
	const struct sl_tcp_conf c = {
		.rss = &net->rss,
		.seed = 77 + i,
		.capacity = net->conf.streams,
		.timewait_cnt = 1024,
		.half_open_max = 512,
		.seg_cnt = scarce && net->conf.seg_cnt ? net->conf.seg_cnt : 8192,
		.block_cnt = scarce && net->conf.block_cnt ? net->conf.block_cnt : 2048,
		.pinned_max = 1024,
		.rcv_max = net->conf.rcv_max,
		.snd_max = net->conf.snd_max,
		.timewait_ms = 1000,
		.env = {h, env_alloc, env_free, env_share, env_refs, env_held, env_way, env_send,
			env_admit},
		.stats = &h->stats,
		.streams = zeroed(net->conf.streams * sl_tcp_stride()),
	};

	h->net = net;
	h->id = i;
	h->last = &h->first;
	h->streams = c.streams;
	h->mem = zeroed(sl_tcp_bytes(&c));
	h->tcp = sl_tcp_init(h->mem, &c);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h->tcp);
	sl_tcp_begin(h->tcp, net->now_ns);
}

struct hosts *
hosts_create(const struct hosts_conf *conf)
{
	static const uint8_t key[SL_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	struct hosts *net = calloc(1, sizeof(*net));

	net->conf = *conf;
	net->now_ns = (1ull << 32) * 1000000 - 3000000000u; /* milliseconds wrap soon */
	sl_rss_init(&net->rss, key, 1);
	for (unsigned i = 0; i < conf->cnt; i++)
		host_init(net, i);
	return net;
}

static void
host_fini(struct host *h)
{
	struct sl_tcp_usage u;

	sl_tcp_fini(h->tcp);
	sl_tcp_usage(h->tcp, &u);
	CU_ASSERT_TRUE(u.segs == 0 && u.blocks == 0 && u.pinned == 0 && h->buffers == 0);
	while (h->first) {
		struct packet *k = h->first;
		h->first = k->next;
		free(k);
	}
	free(h->mem);
	free(h->streams);
}

void
hosts_destroy(struct hosts *net)
{
	check_all(net);
	for (unsigned i = 0; i < net->conf.cnt; i++)
		host_fini(&net->host[i]);
	while (net->ends) {
		struct keep *k = (struct keep *)net->ends;
		net->ends = k->all;
		free(k);
	}
	free(net);
}

struct sl_tcp *
hosts_tcp(struct hosts *net, unsigned host)
{
	return net->host[host].tcp;
}

struct sl_stats_tcp *
hosts_stats(struct hosts *net, unsigned host)
{
	return &net->host[host].stats;
}

struct sl_tcp_usage
hosts_usage(const struct hosts *net, unsigned host)
{
	struct sl_tcp_usage u;

	sl_tcp_usage(net->host[host].tcp, &u);
	return u;
}

unsigned
hosts_buffers(const struct hosts *net, unsigned host)
{
	return net->host[host].buffers;
}

void
hosts_listen(struct hosts *net, unsigned host, bool reads, uint32_t seed, uint32_t expect)
{
	struct host *h = &net->host[host];

	h->listens = true;
	h->reads = reads;
	h->seed = seed;
	h->expect = expect;
}

void
hosts_listen_as(struct hosts *net, unsigned host,
		enum sl_tcp_admit (*admit)(void *ctx, const struct sl_pkt *p,
					   struct sl_tcp_accept *ret),
		void *ctx)
{
	net->host[host].admit = admit;
	net->host[host].admit_ctx = ctx;
}

void
hosts_down(struct hosts *net, unsigned host, bool down)
{
	net->host[host].down = down;
}

struct hosts_end *
hosts_accepted(struct hosts *net, unsigned host)
{
	return net->host[host].accepted;
}

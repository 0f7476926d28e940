#include "tcp_bed.h"

#ifdef TCP_BED_ABORT /* for fuzzers */
#define CU_ASSERT(x) ((x) ? (void)0 : abort())
#define CU_ASSERT_FATAL(x) CU_ASSERT(x)
#include <stdio.h>
#include <stdlib.h>
#else
#include <CUnit/CUnit.h>
#endif

#include "dataplane/parse.h"
#include "lb/rewrite.h"

#define ROOM 2048

struct buffer {
	struct buffer *next;
	unsigned refs;
	uint8_t head[SL_HEADERS_MAX];
	uint8_t bytes[ROOM];
};

struct tcp_bed {
	struct tcp_bed_conf conf;
	struct sl_tcp *tcp;
	void *mem;
	struct sl_stream *streams;
	struct sl_stats_tcp stats;
	struct sl_rss rss;
	struct buffer *buffers, *free;
	unsigned used;
	bool no_buffers;
	enum sl_tcp_admit admit;
	uint64_t now_ns;
	struct tcp_user user;
	unsigned sent;
	struct tcp_out out[TCP_BED_SENT];
};

/* ---- what the stack needs ---- */

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	struct tcp_bed *b = ctx;
	struct buffer *buf = b->no_buffers ? NULL : b->free;

	if (!buf)
		return NULL;
	b->free = buf->next;
	buf->refs = 1;
	b->used++;
	*ret_data = buf->bytes;
	return buf;
}

static void
env_free(void *ctx, void *p)
{
	struct tcp_bed *b = ctx;
	struct buffer *buf = p;

	CU_ASSERT_FATAL(buf->refs > 0);
	if (--buf->refs > 0)
		return;
	memset(buf->bytes, 0xdd, sizeof(buf->bytes)); /* whoever reads on sees it */
	buf->next = b->free;
	b->free = buf;
	b->used--;
}

static void
env_share(void *ctx, void *p)
{
	(void)ctx;
	((struct buffer *)p)->refs++;
}

static unsigned
env_refs(void *ctx, void *p)
{
	(void)ctx;
	return ((struct buffer *)p)->refs;
}

static unsigned
env_held(void *ctx)
{
	struct tcp_bed *b = ctx;

	return b->used * 256 / b->conf.buffers;
}

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	(void)dst;
	return (struct sl_tcp_way){.mtu = ((struct tcp_bed *)ctx)->conf.mtu, .known = 1};
}

static void
read_tcp(struct tcp_out *o, const uint8_t *l4, unsigned l4_len)
{
	unsigned head = (unsigned)(l4[12] >> 4) * 4;
	uint64_t sum = sl_csum_pseudo(&o->tuple.src, &o->tuple.dst, SL_IPPROTO_TCP, l4_len);

	o->csum_ok = sl_csum_fold(sl_csum_add(sum, l4, l4_len)) == 0xffff;
	o->tuple.sport = sl_load16(l4);
	o->tuple.dport = sl_load16(l4 + 2);
	o->seq = sl_from_be32(sl_load32(l4 + 4));
	o->ack = sl_from_be32(sl_load32(l4 + 8));
	o->flags = l4[13];
	o->wnd = sl_from_be16(sl_load16(l4 + 14));
	CU_ASSERT_FATAL(head >= 20 && head <= l4_len);
	CU_ASSERT(sl_options_parse(l4 + 20, head - 20, o->flags & SL_TCP_SYN, &o->o));
	o->len = l4_len - head;
	memcpy(o->data, l4 + head, SL_MIN(o->len, (uint32_t)sizeof(o->data)));
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct tcp_bed *b = ctx;
	struct tcp_out *o = &b->out[SL_MIN(b->sent, TCP_BED_SENT - 1u)];
	bool v4 = l3[0] >> 4 == 4;

	(void)offload, (void)mss;
	b->sent++;
	*o = (struct tcp_out){.ip_len = len, .tuple.proto = SL_IPPROTO_TCP};
	o->tuple.src = v4 ? sl_addr_from_v4(l3 + 12) : sl_addr_from_v6(l3 + 8);
	o->tuple.dst = v4 ? sl_addr_from_v4(l3 + 16) : sl_addr_from_v6(l3 + 24);
	CU_ASSERT(sl_addr_eq(dst, &o->tuple.dst));
	unsigned said =
		v4 ? sl_from_be16(sl_load16(l3 + 2)) : 40u + sl_from_be16(sl_load16(l3 + 4));
	CU_ASSERT(said == len);
	CU_ASSERT(!v4 || sl_csum_fold(sl_csum_add(0, l3, 20)) == 0xffff);
	CU_ASSERT(len <= b->conf.mtu);
	read_tcp(o, l3 + (v4 ? 20 : 40), len - (v4 ? 20 : 40));
	env_free(ctx, buf);
}

/* ---- the user ---- */

static struct tcp_user *
user_of(struct sl_stream *s)
{
	return sl_stream_user(s);
}

static void
opened(struct sl_stream *s)
{
	user_of(s)->s = s;
	user_of(s)->opened++;
}

static void
readable(struct sl_stream *s)
{
	user_of(s)->readable++;
}

static void
writable(struct sl_stream *s)
{
	user_of(s)->writable++;
}

static void
timer(struct sl_stream *s)
{
	user_of(s)->timer++;
}

static void
closed(struct sl_stream *s, enum sl_stream_end why)
{
	user_of(s)->closed++;
	user_of(s)->why = why;
	user_of(s)->s = NULL;
}

static const struct sl_stream_ops ops = {opened, readable, writable, timer, closed};

static enum sl_tcp_admit
env_admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	struct tcp_bed *b = ctx;

	(void)p;
	*ret = (struct sl_tcp_accept){.ops = &ops, .user = &b->user, .nodelay = 1};
	return b->admit;
}

/* ---- the bed ---- */

static uint32_t
or_default(uint32_t given, uint32_t usual, uint32_t least)
{
	return given == 0 ? usual : given == UINT32_MAX ? least : given;
}

struct tcp_bed *
tcp_bed_create(const struct tcp_bed_conf *given)
{
	static const uint8_t key[SL_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	struct tcp_bed *b = calloc(1, sizeof(*b));

	b->conf = *given;
	b->conf.mtu = given->mtu ? given->mtu : 1500;
	b->conf.buffers = given->buffers ? given->buffers : 4096;
	b->admit = SL_ADMIT_YES;
	b->now_ns = 1000000000ull;
	b->buffers = calloc(b->conf.buffers, sizeof(struct buffer));
	for (unsigned i = 0; i < b->conf.buffers; i++) {
		b->buffers[i].next = b->free;
		b->free = &b->buffers[i];
	}
	sl_rss_init(&b->rss, key, 1);
	struct sl_tcp_conf c = {
		.rss = &b->rss,
		.seed = given->seed ? given->seed : 1,
		.capacity = or_default(given->capacity, 64, 16),
		.timewait_cnt = 64,
		.half_open_max = or_default(given->half_open, 32, 0),
		.seg_cnt = or_default(given->seg_cnt, 4096, 64),
		.block_cnt = or_default(given->block_cnt, 1024, 16),
		.pinned_max = or_default(given->pinned_max, 256, 0),
		.rcv_max = or_default(given->rcv_max, 1 << 20, 4096),
		.snd_max = or_default(given->snd_max, 1 << 20, 4096),
		.timewait_ms = 60000,
		.env = {b, env_alloc, env_free, env_share, env_refs, env_held, env_way, env_send,
			env_admit},
		.stats = &b->stats,
	};
	b->streams = aligned_alloc(64, c.capacity * sl_tcp_stride());
	memset((void *)b->streams, 0, c.capacity * sl_tcp_stride());
	c.streams = b->streams;
	size_t bytes = sl_tcp_bytes(&c);
	CU_ASSERT_FATAL(bytes > 0);
	b->mem = aligned_alloc(64, bytes);
	memset(b->mem, 0, bytes);
	b->tcp = sl_tcp_init(b->mem, &c);
	sl_tcp_begin(b->tcp, b->now_ns);
	return b;
}

void
tcp_bed_destroy(struct tcp_bed *b)
{
	struct sl_tcp_usage u;

	tcp_bed_check(b);
	sl_tcp_fini(b->tcp);
	sl_tcp_usage(b->tcp, &u);
	CU_ASSERT(u.segs == 0 && u.blocks == 0 && u.pinned == 0);
	CU_ASSERT(b->used == 0);
	free(b->mem);
	free(b->streams);
	free(b->buffers);
	free(b);
}

struct sl_tcp *
tcp_bed_stack(struct tcp_bed *b)
{
	return b->tcp;
}

void
tcp_bed_admit(struct tcp_bed *b, enum sl_tcp_admit verdict)
{
	b->admit = verdict;
}

void
tcp_bed_buffers(struct tcp_bed *b, bool any)
{
	b->no_buffers = !any;
}

unsigned
tcp_bed_buffers_used(const struct tcp_bed *b)
{
	return b->used;
}

void
tcp_bed_check(struct tcp_bed *b)
{
	const char *wrong = sl_tcp_check(b->tcp);

	if (wrong)
		fprintf(stderr, "  %s\n", wrong);
	CU_ASSERT(wrong == NULL);
}

/* ---- segments in ---- */

static unsigned
put_ip(uint8_t *ip, bool v6, unsigned l4)
{
	static const uint8_t client6[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
	static const uint8_t vip6[16] = {0x20, 1, 0xd, 0xb8, 0, 1, [15] = 1};

	if (v6) {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		sl_store16(ip + 4, sl_to_be16(l4));
		ip[6] = SL_IPPROTO_TCP;
		ip[7] = 64;
		memcpy(ip + 8, client6, 16);
		memcpy(ip + 24, vip6, 16);
		return 40;
	}
	static const uint8_t addrs[8] = {198, 51, 100, 7, 192, 0, 2, 10};
	memset(ip, 0, 20);
	ip[0] = 0x45;
	sl_store16(ip + 2, sl_to_be16(20 + l4));
	ip[8] = 64;
	ip[9] = SL_IPPROTO_TCP;
	memcpy(ip + 12, addrs, 8);
	sl_store16(ip + 10, (uint16_t)~sl_csum_fold(sl_csum_add(0, ip, 20)));
	return 20;
}

static unsigned
put_tcp(uint8_t *l4, const struct tcp_in *in)
{
	unsigned opt = in->raw_options ? in->raw_len : sl_options_write(l4 + 20, &in->o);

	if (in->raw_options)
		memcpy(l4 + 20, in->raw_options, in->raw_len);
	memset(l4, 0, 20);
	sl_store16(l4, sl_to_be16(in->sport ? in->sport : 40000));
	sl_store16(l4 + 2, sl_to_be16(in->dport ? in->dport : 80));
	sl_store32(l4 + 4, sl_to_be32(in->seq));
	sl_store32(l4 + 8, sl_to_be32(in->ack));
	l4[12] = (uint8_t)((20 + opt) << 2);
	l4[13] = in->flags;
	sl_store16(l4 + 14, sl_to_be16(in->wnd == TCP_BED_WND0 ? 0 : in->wnd ? in->wnd : 65535));
	if (in->len)
		memcpy(l4 + 20 + opt, in->data, in->len);
	return 20 + opt + in->len;
}

void
tcp_bed_in(struct tcp_bed *b, const struct tcp_in *in)
{
	uint8_t *data = NULL;
	unsigned ip = in->v6 ? 40 : 20;
	bool was = b->no_buffers;

	b->no_buffers = false;
	void *buf = env_alloc(b, &data);
	b->no_buffers = was;
	CU_ASSERT_FATAL(buf != NULL);
	unsigned l4 = put_tcp(data + 14 + ip, in);
	put_ip(data + 14, in->v6, l4);
	sl_store16(data + 12, in->v6 ? sl_to_be16(0x86dd) : sl_to_be16(0x0800));
	memset(data, 2, 12);
	struct sl_pkt p = {.data = data, .buf = buf, .len = (uint16_t)(14 + ip + l4)};
	enum sl_drop why = sl_parse(&p);
	if (why != SL_DROP_NONE) { /* what the worker drops never comes here */
		env_free(b, buf);
		return;
	}
	uint64_t sum = sl_csum_pseudo(&p.tuple.src, &p.tuple.dst, SL_IPPROTO_TCP, l4);
	sl_store16(data + p.l4_off + 16,
		   (uint16_t)(~sl_csum_fold(sl_csum_add(sum, data + p.l4_off, l4)) ^ in->bad_csum));
	uint64_t hash = sl_tcp_hash(b->tcp, &p.tuple);
	sl_tcp_input(b->tcp, &p, hash, sl_tcp_find(b->tcp, hash, &p.tuple));
}

void
tcp_bed_run(struct tcp_bed *b, uint32_t ms)
{
	sl_tcp_run(b->tcp);
	for (; ms > 0; ms--) {
		b->now_ns += 1000000;
		sl_tcp_begin(b->tcp, b->now_ns);
		sl_tcp_run(b->tcp);
	}
}

unsigned
tcp_bed_sent(const struct tcp_bed *b)
{
	return b->sent;
}

const struct tcp_out *
tcp_bed_out(const struct tcp_bed *b, unsigned i)
{
	return i < b->sent && i < TCP_BED_SENT ? &b->out[i] : NULL;
}

const struct tcp_out *
tcp_bed_last(const struct tcp_bed *b)
{
	return b->sent ? tcp_bed_out(b, SL_MIN(b->sent, (unsigned)TCP_BED_SENT) - 1) : NULL;
}

void
tcp_bed_clear(struct tcp_bed *b)
{
	b->sent = 0;
}

uint64_t
tcp_bed_count(const struct tcp_bed *b, enum sl_tcp_counter code)
{
	return b->stats.count[code];
}

struct tcp_user *
tcp_bed_user(struct tcp_bed *b)
{
	return &b->user;
}

struct sl_stream *
tcp_bed_connect(struct tcp_bed *b, uint32_t *ret_iss)
{
	static const uint8_t peer[4] = {198, 51, 100, 7}, me[4] = {192, 0, 2, 10};
	const struct sl_addr source = sl_addr_from_v4(me);
	const struct sl_stream_target target = {
		.dst = sl_addr_from_v4(peer),
		.port = sl_to_be16(80),
		.nodelay = 1,
		.sources = &source,
		.source_cnt = 1,
		.connect_ms = 10000,
	};
	enum sl_stream_end why;

	tcp_bed_clear(b);
	b->user = (struct tcp_user){.s = sl_stream_connect(b->tcp, &target, &ops, &b->user, &why)};
	tcp_bed_run(b, 0);
	if (b->user.s && ret_iss)
		*ret_iss = tcp_bed_out(b, 0)->seq;
	return b->user.s;
}

struct sl_stream *
tcp_bed_accept(struct tcp_bed *b, const struct sl_tcp_options *o, uint32_t *ret_iss)
{
	struct tcp_in syn = {.seq = TCP_BED_ISN, .flags = SL_TCP_SYN};
	struct tcp_in ack = {.seq = TCP_BED_ISN + 1, .flags = SL_TCP_ACK};

	b->user = (struct tcp_user){0};
	tcp_bed_clear(b);
	if (o)
		syn.o = *o;
	tcp_bed_in(b, &syn);
	tcp_bed_run(b, 0);
	CU_ASSERT_FATAL(b->sent == 1 && b->out[0].flags == (SL_TCP_SYN | SL_TCP_ACK));
	uint32_t iss = b->out[0].seq;
	ack.ack = iss + 1;
	if (syn.o.has_ts) {
		ack.o.has_ts = true;
		ack.o.ts_val = syn.o.ts_val;
		ack.o.ts_ecr = b->out[0].o.ts_val;
	}
	tcp_bed_in(b, &ack);
	tcp_bed_run(b, 0);
	CU_ASSERT_FATAL(b->user.opened == 1);
	tcp_bed_clear(b);
	if (ret_iss)
		*ret_iss = iss;
	return b->user.s;
}

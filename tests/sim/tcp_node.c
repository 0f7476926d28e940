/* A turn: time → users whose time has come → packets → router's words → run → the next turn where one is due. */
#include "tests/sim/tcp_node.h"

#include "dataplane/parse.h"
#include "dataplane/tcp/tcp_priv.h"
#include "dataplane/worker.h"
#include "tests/sim/frames.h"
#include "tests/sim/tcp_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NEVER UINT64_MAX

struct node_buf {
	unsigned refs;
	unsigned bytes;
	uint8_t head[]; /* SL_HEADROOM, then the frame */
};

__attribute__((format(printf, 2, 3))) static void
complain(struct tcp_node *n, const char *form, ...)
{
	va_list ap;

	if (n->wrong[0])
		return;
	va_start(ap, form);
	vsnprintf(n->wrong, sizeof(n->wrong), form, ap);
	va_end(ap);
}

/* ---- buffers ---- */

static unsigned
frame_bytes(const struct tcp_node *n)
{
	return 14 + SL_MAX(SL_MAX(n->conf.mtu, n->conf.tso_max + 100), 1500u);
}

static struct node_buf *
buf_new(struct tcp_node *n)
{
	if (n->held >= n->conf.buffers)
		return NULL;
	struct node_buf *b = malloc(sizeof(*b) + SL_HEADROOM + frame_bytes(n));
	if (!b)
		abort();
	b->refs = 1;
	b->bytes = frame_bytes(n);
	n->held++;
	n->held_max = SL_MAX(n->held_max, n->held);
	return b;
}

static void
buf_put(struct tcp_node *n, struct node_buf *b)
{
	if (b->refs == 0) {
		complain(n, "buffer freed twice");
		return;
	}
	if (--b->refs)
		return;
	n->held--;
	free(b);
}

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	struct tcp_node *n = ctx;
	struct node_buf *b = dice_chance(&n->dice, n->conf.no_buffer) ? NULL : buf_new(n);

	if (b)
		*ret_data = b->head + SL_HEADROOM;
	return b;
}

static void
env_free(void *ctx, void *buf)
{
	buf_put(ctx, buf);
}

static void
env_share(void *ctx, void *buf)
{
	(void)ctx;
	((struct node_buf *)buf)->refs++;
}

static unsigned
env_refs(void *ctx, void *buf)
{
	(void)ctx;
	return ((struct node_buf *)buf)->refs;
}

static unsigned
env_held(void *ctx)
{
	const struct tcp_node *n = ctx;

	return SL_MIN(n->held * 256 / n->conf.buffers, 256u);
}

static uint64_t
sum_of(const uint8_t *p, unsigned len)
{
	uint64_t h = len;

	for (; len >= 8; len -= 8, p += 8)
		h = (h ^ sl_load64(p)) * 0x9e3779b97f4a7c15u;
	for (; len; len--)
		h = (h ^ *p++) * 0x9e3779b97f4a7c15u;
	return h;
}

/* The port lets go of the oldest buffer. */
static void
let_go(struct tcp_node *n, struct node_held *h)
{
	if (!h->buf)
		return;
	if (sum_of(h->l3, h->len) != h->sum)
		complain(n, "a packet changed after it was sent");
	buf_put(n, h->buf);
	h->buf = NULL;
}

static void
hold(struct tcp_node *n, struct node_buf *b, const uint8_t *l3, unsigned len)
{
	struct node_held *h = &n->sent[n->sent_at++ % n->conf.hold];

	let_go(n, h);
	*h = (struct node_held){b, l3, len, sum_of(l3, len)};
}

/* ---- sending ---- */

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	const struct tcp_node *n = ctx;

	(void)dst;
	return (struct sl_tcp_way){
		.mtu = (uint16_t)n->conf.mtu,
		.tso_max = (uint16_t)n->conf.tso_max,
		.offload = (uint8_t)((n->conf.csum_offload ? SL_OFFLOAD_CSUM : 0) |
				     (n->conf.tso_max ? SL_OFFLOAD_TSO : 0)),
		.known = 1,
	};
}

static void
put_out(struct tcp_node *n, const uint8_t *ip, unsigned len)
{
	if (n->tap)
		n->tap(n->tap_ctx, true, ip, len, false);
	link_send(n->out, ip, len);
}

/* The port's part of TSO: pieces of mss bytes, each a segment of its own. */
static void
cut_up(struct tcp_node *n, const uint8_t *ip, unsigned len, unsigned mss)
{
	unsigned l3 = ip[0] >> 4 == 4 ? 20 : 40, head = l3 + (ip[l3 + 12] >> 4) * 4u;
	uint32_t seq = sl_from_be32(sl_load32(ip + l3 + 4));
	uint8_t piece[65536], last = ip[l3 + 13] & (WIRE_FIN | WIRE_PSH);

	for (unsigned off = 0; head + off < len; off += mss) {
		unsigned k = SL_MIN(mss, len - head - off), all = head + k;
		memcpy(piece, ip, head);
		memcpy(piece + head, ip + head + off, k);
		sl_store16(piece + (l3 == 20 ? 2 : 4), sl_to_be16(l3 == 20 ? all : all - 40));
		sl_store32(piece + l3 + 4, sl_to_be32(seq + off));
		if (head + off + k < len)
			piece[l3 + 13] &= (uint8_t)~last;
		wire_finish(piece, all);
		put_out(n, piece, all);
	}
}

/* What SL_OFFLOAD_CSUM promises: the field holds the sum of the pseudo header. */
static void
finish_csum(struct tcp_node *n, const uint8_t *ip, unsigned len, uint8_t *out)
{
	unsigned l3 = ip[0] >> 4 == 4 ? 20 : 40;
	uint32_t pseudo = l3 == 20 ? wire_sum(0, ip + 12, 8) : wire_sum(0, ip + 8, 32);
	uint16_t want = (uint16_t)~wire_fold(pseudo + 6 + (len - l3));

	if (sl_from_be16(sl_load16(ip + l3 + 16)) != want)
		complain(n, "checksum offload without the pseudo header's sum");
	memcpy(out, ip, len);
	wire_finish(out, len);
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct tcp_node *n = ctx;
	struct node_buf *b = buf;
	uint8_t ip[65536];

	(void)dst;
	if (l3 < b->head + 14 || l3 + len > b->head + SL_HEADROOM + b->bytes)
		complain(n, "a packet of %u bytes at %td lies outside its buffer", len,
			 l3 - b->head);
	else if (offload & SL_OFFLOAD_TSO && (!n->conf.tso_max || !mss))
		complain(n, "TSO that nobody offered");
	else if (offload & SL_OFFLOAD_TSO)
		cut_up(n, l3, len, mss);
	else if (offload & SL_OFFLOAD_CSUM && n->conf.csum_offload) {
		finish_csum(n, l3, len, ip);
		put_out(n, ip, len);
	} else
		put_out(n, l3, len);
	/* Only a buffer that nobody else holds may get an Ethernet header in front, as the port would. */
	if (b->refs == 1)
		memset(l3 - 14, 0xee, 14);
	hold(n, b, l3, len);
}

static const struct sl_stream_ops ops;

/* ---- users on streams ---- */

enum { WAY_RESERVE = 1, WAY_EXT = 2, WAY_TAKE = 4, WAY_TIMER = 8, WAY_GIVE = 16 };

static uint32_t
port_room(void *ctx)
{
	struct node_user *nu = ctx;

	return sl_stream_room(nu->s);
}

static uint32_t
port_readable(void *ctx)
{
	struct node_user *nu = ctx;

	return sl_stream_readable_bytes(nu->s);
}

static bool
port_eof(void *ctx)
{
	struct node_user *nu = ctx;

	return sl_stream_eof(nu->s);
}

struct ext {
	struct sl_ext e;
	struct tcp_node *node;
	unsigned len;
	uint64_t sum;
	uint8_t bytes[];
};

static void
ext_release(struct sl_ext *e)
{
	struct ext *x = (struct ext *)e;

	if (sum_of(x->bytes, x->len) != x->sum)
		complain(x->node, "somebody's bytes changed while they were sent");
	free(x);
}

static uint32_t
produce_ext(struct node_user *nu, uint32_t n)
{
	struct ext *x = malloc(sizeof(*x) + n);

	if (!x)
		abort();
	user_fill(&nu->user, 0, x->bytes, n);
	*x = (struct ext){.e = {.refs = 1, .release = ext_release}, .node = nu->node, .len = n};
	user_fill(&nu->user, 0, x->bytes, n);
	x->sum = sum_of(x->bytes, n);
	bool ok = sl_stream_write_ext(nu->s, x->bytes, n, &x->e);
	sl_ext_put(&x->e);
	return ok ? n : 0;
}

static uint32_t
produce_reserve(struct node_user *nu, uint32_t n)
{
	struct sl_span span[4];
	unsigned cnt =
		sl_stream_reserve(nu->s, n, span, 1 + (unsigned)dice_below(&nu->user.dice, 4));
	uint32_t put = 0;

	for (unsigned i = 0; i < cnt; i++) {
		user_fill(&nu->user, put, span[i].data, span[i].len);
		put += span[i].len;
	}
	if (put > n)
		complain(nu->node, "more reserved than asked for");
	if (put > 1 && dice_chance(&nu->user.dice, 0.2))
		put = (uint32_t)dice_range(&nu->user.dice, 1, put);
	sl_stream_commit(nu->s, put);
	return put;
}

static uint32_t
port_produce(void *ctx, uint32_t n)
{
	struct node_user *nu = ctx;
	uint8_t bytes[16384];

	if (nu->ways & WAY_EXT && n >= 64 && dice_chance(&nu->user.dice, 0.4))
		return produce_ext(nu, n);
	if (nu->ways & WAY_RESERVE && dice_chance(&nu->user.dice, 0.5))
		return produce_reserve(nu, n);
	n = SL_MIN(n, (uint32_t)sizeof(bytes));
	user_fill(&nu->user, 0, bytes, n);
	return sl_stream_write(nu->s, bytes, n);
}

static uint32_t
consume_chunks(struct node_user *nu, uint32_t n)
{
	struct sl_chunk *c = sl_stream_take(nu->s, n);
	struct sl_tcp *t = nu->node->tcp;

	if (!c)
		return 0;
	uint32_t len = c->len;
	if (len > n || len == 0)
		complain(nu->node, "a piece of %u bytes, asked for %u", len, n);
	user_check(&nu->user, c->data, len);
	sl_chunk_free(t, c);
	return len;
}

static uint32_t
port_consume(void *ctx, uint32_t n)
{
	struct node_user *nu = ctx;
	struct sl_span span[8];
	uint32_t there = sl_stream_readable_bytes(nu->s), skip = 0, got = 0;

	if (nu->ways & WAY_TAKE && dice_chance(&nu->user.dice, 0.5)) {
		got = consume_chunks(nu, n);
		if (got)
			return got;
	}
	n = SL_MIN(n, there);
	if (n > 1 && dice_chance(&nu->user.dice, 0.1)) {
		/* A look at a later byte says the same as one from the beginning. */
		skip = (uint32_t)dice_range(&nu->user.dice, 1, n - 1);
		unsigned cnt = sl_stream_peek(nu->s, skip, span, 1);
		if (cnt != 1 || bytes_same(nu->user.conf.seed_in, nu->user.read + skip,
					   span[0].data, span[0].len) != span[0].len)
			complain(nu->node, "peek from byte %u on shows something else", skip);
	}
	unsigned cnt = sl_stream_peek(nu->s, 0, span, 8);
	for (unsigned i = 0; i < cnt && got < n; i++) {
		uint32_t k = SL_MIN(span[i].len, n - got);
		user_check(&nu->user, span[i].data, k);
		got += k;
	}
	if (!got)
		complain(nu->node, "%u bytes to read, and none to see", there);
	sl_stream_consume(nu->s, got);
	return got;
}

static void
port_want_room(void *ctx, uint32_t n)
{
	struct node_user *nu = ctx;

	sl_stream_wait_room(nu->s, n);
}

static void
port_shutdown(void *ctx)
{
	struct node_user *nu = ctx;

	sl_stream_shutdown(nu->s);
}

static void
port_close(void *ctx)
{
	struct node_user *nu = ctx;
	struct sl_stream *s = nu->s;

	nu->s = NULL;
	sl_stream_close(s);
}

static void
port_abort(void *ctx)
{
	struct node_user *nu = ctx;
	struct sl_stream *s = nu->s;

	nu->s = NULL;
	sl_stream_abort(s, SL_END_ABORTED);
}

static void
port_wake(void *ctx, uint64_t at_ns)
{
	struct node_user *nu = ctx;

	if (nu->ways & WAY_TIMER) {
		uint64_t ms = (at_ns - nu->node->w->now_ns + TCP_MS - 1) / TCP_MS;
		sl_stream_set_timer(nu->s, (uint32_t)SL_MAX(ms, 1u));
		return;
	}
	if (at_ns < nu->wake_ns) {
		nu->wake_ns = at_ns;
		node_wake(nu->node, at_ns);
	}
}

static const struct user_port port = {
	port_room,      port_readable, port_eof,   port_produce, port_consume,
	port_want_room, port_shutdown, port_close, port_abort,   port_wake,
};

static void
on_opened(struct sl_stream *s)
{
	struct node_user *nu = sl_stream_user(s);

	if (!nu) { /* accepted: the next user takes it */
		struct tcp_node *n = sl_tcp_context(sl_stream_tcp(s));
		if (n->accepted >= n->user_cnt) {
			sl_stream_abort(s, SL_END_ADMIN);
			return;
		}
		nu = n->user[n->accepted++];
		nu->s = s;
		sl_stream_attach(s, &ops, nu);
	}
	if (nu->user.opened || nu->s != s)
		complain(nu->node, "opened twice");
	nu->user.opened = true;
	nu->user.opened_ns = nu->node->w->now_ns;
	user_poke(&nu->user);
}

static void
on_any(struct sl_stream *s)
{
	struct node_user *nu = sl_stream_user(s);

	if (!nu || !nu->user.opened || nu->s != s)
		complain(nu ? nu->node : sl_tcp_context(sl_stream_tcp(s)),
			 "event before opened, or after the end");
	else
		user_poke(&nu->user);
}

static void
on_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct node_user *nu = sl_stream_user(s);

	if (!nu) /* never opened */
		return;
	if (nu->closed || nu->s != s)
		complain(nu->node, "closed twice, or after it was let go");
	if (why == SL_END_OK && !nu->user.eof)
		complain(nu->node, "ended well with bytes unread");
	nu->closed = true;
	nu->user.gone = true;
	nu->why = why;
	nu->s = NULL;
}

static const struct sl_stream_ops ops = {
	.opened = on_opened,
	.readable = on_any,
	.writable = on_any,
	.timer = on_any,
	.closed = on_closed,
};

void
node_user_init(struct node_user *nu, struct tcp_node *n, const struct user_conf *conf)
{
	memset(nu, 0, sizeof(*nu));
	nu->node = n;
	nu->wake_ns = NEVER;
	user_init(&nu->user, n->w, conf, &port, nu);
	nu->ways = (uint8_t)dice_next(&nu->user.dice);
	n->user[n->user_cnt++] = nu;
}

static enum sl_tcp_admit
env_admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	struct tcp_node *n = ctx;

	if (!n->conf.listen_port || p->tuple.dport != sl_to_be16(n->conf.listen_port))
		return SL_ADMIT_NO;
	if (n->accepted >= n->user_cnt)
		return SL_ADMIT_REFUSE;
	*ret = (struct sl_tcp_accept){
		.ops = &ops,
		.user = NULL,
		.listener_slot = 7,
		.service_slot = 8,
		.keepalive_s = n->conf.keepalive_s,
		.cc = n->conf.cc,
		.nodelay = n->conf.nodelay,
	};
	return SL_ADMIT_YES;
}

/* ---- turns ---- */

static void turn(void *node, struct tcp_packet *pkt);

void
node_wake(struct tcp_node *n, uint64_t at_ns)
{
	if (at_ns >= n->wake_ns)
		return;
	n->wake_ns = at_ns;
	world_at(n->w, at_ns, turn, n, NULL);
}

void
node_arrive(void *node, struct tcp_packet *pkt)
{
	struct tcp_node *n = node;

	if (n->rx_cnt == SL_ARRAY_CNT(n->rx)) {
		n->rx_full++;
		free(pkt);
		return;
	}
	n->rx[n->rx_cnt++] = pkt;
	node_wake(n, n->w->now_ns + (n->conf.turn_ns ? dice_below(&n->dice, n->conf.turn_ns) : 0));
}

void
node_too_big(void *node, const uint8_t *ip, unsigned len, unsigned mtu)
{
	struct tcp_node *n = node;
	struct wire_seg s;

	if (n->icmp_cnt == SL_ARRAY_CNT(n->icmp) || wire_read(ip, len, &s))
		return;
	n->icmp[n->icmp_cnt++] = (struct node_icmp){
		.tuple = {.src = s.dst,
			  .dst = s.src,
			  .sport = sl_to_be16(s.dport),
			  .dport = sl_to_be16(s.sport),
			  .proto = SL_IPPROTO_TCP},
		.seq = s.seq,
		.mtu = mtu,
	};
	node_wake(n, n->w->now_ns + 1000);
}

/* Packets for another worker would not come here. */
static bool
is_ours(const struct tcp_node *n, const struct sl_tuple *t)
{
	return n->rss->owner[sl_rss_bucket(sl_rss_hash(n->rss, t))] == n->conf.worker;
}

static void
input(struct tcp_node *n, const struct tcp_packet *in)
{
	struct node_buf *b = 14 + in->len <= frame_bytes(n) ? buf_new(n) : NULL;

	if (!b)
		return;
	uint8_t *data = b->head + SL_HEADROOM;
	memset(data, 2, 12);
	sl_store16(data + 12, in->ip[0] >> 4 == 4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));
	memcpy(data + 14, in->ip, in->len);
	struct sl_pkt p = {.data = data,
			   .buf = b,
			   .len = (uint16_t)(14 + in->len),
			   .stream = SL_TCP_NONE,
			   .csum_ok = !in->damaged && dice_chance(&n->dice, 0.5)};
	enum sl_drop bad = sl_parse(&p);
	if (bad != SL_DROP_NONE || !(p.flags & SL_PKT_TCP)) {
		if (!in->damaged)
			complain(n, "parse refuses a packet (%u)", bad);
		buf_put(n, b);
		return;
	}
	if (n->conf.workers > 1 && !in->damaged && !n->conf.listen_port && !is_ours(n, &p.tuple))
		complain(n, "the port chosen belongs to another worker");
	if (n->tap)
		n->tap(n->tap_ctx, false, in->ip, in->len, in->damaged);
	uint64_t hash = sl_tcp_hash(n->tcp, &p.tuple);
	sl_tcp_prefetch(n->tcp, hash);
	sl_tcp_input(n->tcp, &p, hash, sl_tcp_find(n->tcp, hash, &p.tuple));
}

/* When the next timer is due, by the clock of the world. */
static uint64_t
next_due(const struct tcp_node *n)
{
	const struct sl_tcp *t = n->tcp;
	uint64_t now = n->w->now_ns + n->conf.clock_ns;
	int32_t best = INT32_MAX;

	if (t->ready || t->dirty || t->wheel.late)
		return n->w->now_ns + 20000;
	for (uint32_t i = 0; i < t->conf.capacity; i++)
		if (sl_timer_is_set(&t->streams[i].timer))
			best = SL_MIN(best, (int32_t)(t->streams[i].timer.due - t->tick));
	if (t->timewait_used)
		best = SL_MIN(best, (int32_t)(t->timewaits[t->timewait_first - 1].due - t->tick));
	if (best == INT32_MAX)
		return NEVER;
	uint64_t at = ((now >> SL_TICK_SHIFT) + (uint64_t)SL_MAX(best, 1)) << SL_TICK_SHIFT;
	return at - n->conf.clock_ns;
}

static void
wake_users(struct tcp_node *n)
{
	for (unsigned i = 0; i < n->user_cnt; i++) {
		struct node_user *nu = n->user[i];
		if (nu->wake_ns > n->w->now_ns)
			continue;
		nu->wake_ns = NEVER;
		if (nu->s)
			user_poke(&nu->user);
	}
}

static void
turn(void *node, struct tcp_packet *none)
{
	struct tcp_node *n = node;

	(void)none;
	if (n->wake_ns > n->w->now_ns || n->in_turn)
		return;
	n->wake_ns = NEVER;
	n->in_turn = true;
	sl_tcp_begin(n->tcp, n->w->now_ns + n->conf.clock_ns);
	wake_users(n);
	for (unsigned i = 0; i < n->rx_cnt; i++) {
		input(n, n->rx[i]);
		free(n->rx[i]);
	}
	n->rx_cnt = 0;
	for (unsigned i = 0; i < n->icmp_cnt; i++)
		sl_tcp_icmp(n->tcp, &n->icmp[i].tuple, n->icmp[i].seq, true, n->icmp[i].mtu, false);
	n->icmp_cnt = 0;
	sl_tcp_run(n->tcp);
	n->in_turn = false;
	if (n->conf.check) {
		const char *bad = sl_tcp_check(n->tcp);
		if (bad)
			complain(n, "check: %s", bad);
	}
	uint64_t due = next_due(n);
	for (unsigned i = 0; i < n->user_cnt; i++)
		due = SL_MIN(due, n->user[i]->wake_ns);
	if (due != NEVER)
		node_wake(n, due);
}

/* ---- life ---- */

static struct sl_tcp_conf
stack_conf(const struct node_conf *c, const struct sl_rss *rss)
{
	return (struct sl_tcp_conf){
		.worker = c->worker,
		.rss = rss,
		.seed = c->seed,
		.capacity = 16,
		.timewait_cnt = 16,
		.half_open_max = c->half_open_max,
		.seg_cnt = c->seg_cnt,
		.block_cnt = c->block_cnt,
		.pinned_max = c->pinned_max,
		.rcv_max = c->rcv_max,
		.snd_max = c->snd_max,
		.timewait_ms = c->timewait_ms,
	};
}

/* One per number of workers; the key is any that does. */
static const struct sl_rss *
rss_of(unsigned workers)
{
	static struct sl_rss rss[4];
	struct sl_rss *r = &rss[workers - 1];

	if (!r->worker_cnt) {
		uint8_t key[SL_RSS_KEY_BYTES];
		for (uint64_t seed = 1;; seed++) {
			bytes_fill(seed, 0, key, sizeof(key));
			if (sl_rss_key_ok(key))
				break;
		}
		sl_rss_init(r, key, workers);
	}
	return r;
}

static void *
zeroed(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!p)
		abort();
	return memset(p, 0, bytes);
}

void
node_init(struct tcp_node *n, struct tcp_world *w, const struct node_conf *conf, const char *local)
{
	memset(n, 0, sizeof(*n));
	n->w = w;
	n->conf = *conf;
	n->dice.s = conf->seed ^ 0x6e6f6465;
	n->local = frame_addr(local);
	n->wake_ns = NEVER;
	n->rss = rss_of(conf->workers);
	n->stats = calloc(1, sizeof(*n->stats));
	struct sl_tcp_conf c = stack_conf(conf, n->rss);
	n->rows = zeroed(c.capacity * sl_tcp_stride());
	n->mem = zeroed(sl_tcp_bytes(&c));
	c.stats = n->stats;
	c.streams = n->rows;
	c.context = n;
	c.env = (struct sl_tcp_env){
		.ctx = n,
		.alloc = env_alloc,
		.free = env_free,
		.share = conf->share ? env_share : NULL,
		.refs = env_refs,
		.held = env_held,
		.way = env_way,
		.send = env_send,
		.admit = env_admit,
	};
	n->tcp = sl_tcp_init(n->mem, &c);
	sl_tcp_begin(n->tcp, w->now_ns + conf->clock_ns);
}

void
node_fini(struct tcp_node *n)
{
	struct sl_tcp_usage u;

	for (unsigned i = 0; i < n->rx_cnt; i++)
		free(n->rx[i]);
	sl_tcp_usage(n->tcp, &u);
	if (u.streams || u.half_open || u.timewait || u.segs || u.blocks || u.pinned)
		complain(n,
			 "left over: streams %u, half open %u, timewait %u, segs %u, blocks %u, "
			 "pinned "
			 "%u",
			 u.streams, u.half_open, u.timewait, u.segs, u.blocks, u.pinned);
	const char *bad = sl_tcp_check(n->tcp);
	if (bad)
		complain(n, "check at the end: %s", bad);
	sl_tcp_fini(n->tcp);
	for (unsigned i = 0; i < SL_ARRAY_CNT(n->sent); i++)
		let_go(n, &n->sent[i]);
	if (n->held)
		complain(n, "%u packet buffers leaked", n->held);
	free(n->mem);
	free(n->rows);
	free(n->stats);
}

bool
node_connect(struct node_user *nu, const char *remote, uint16_t dport)
{
	struct tcp_node *n = nu->node;
	struct sl_stream_target target = {
		.dst = frame_addr(remote),
		.port = sl_to_be16(dport),
		.cc = n->conf.cc,
		.nodelay = n->conf.nodelay,
		.sources = &n->local,
		.source_cnt = 1,
		.connect_ms = 120000,
		.keepalive_s = n->conf.keepalive_s,
	};

	sl_tcp_begin(n->tcp, n->w->now_ns + n->conf.clock_ns);
	nu->s = sl_stream_connect(n->tcp, &target, &ops, nu, &nu->why);
	nu->closed = !nu->s;
	node_wake(n, n->w->now_ns);
	return nu->s != NULL;
}

/* ---- numbers near the wrap ---- */

uint16_t
node_next_port(const struct node_conf *conf, const char *local, const char *remote, uint16_t dport)
{
	struct tcp_world w;
	struct tcp_node n;
	struct node_user nu;
	struct link_conf nowhere = {0};
	struct tcp_link link;
	uint16_t sport = 0;

	world_init(&w, 0);
	node_init(&n, &w, conf, local);
	link_init(&link, &w, 1, &nowhere, NULL, NULL);
	n.out = &link;
	node_user_init(&nu, &n, &(struct user_conf){0});
	if (node_connect(&nu, remote, dport)) {
		sport = sl_from_be16(sl_stream_row(nu.s)->tuple.dport);
		sl_stream_abort(nu.s, SL_END_ADMIN);
		sl_tcp_run(n.tcp);
	}
	node_fini(&n);
	world_fini(&w);
	return sport;
}

uint64_t
node_isn_clock(const struct node_conf *conf, const char *local, const struct sl_tuple *tuple,
	       uint64_t at_ns, uint32_t isn)
{
	struct tcp_world w;
	struct tcp_node n;

	world_init(&w, at_ns);
	node_init(&n, &w, conf, local);
	/* The number moves on by one each 4 µs (RFC 6528). */
	uint64_t clock = conf->clock_ns + (uint64_t)(isn - sl_isn(n.tcp, tuple)) * 4000;
	node_fini(&n);
	world_fini(&w);
	return clock;
}

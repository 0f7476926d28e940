#include "tests/sim/http_net.h"

#include "dataplane/parse.h"
#include "dataplane/tcp/tcp.h"
#include "tests/sim/bed.h"
#include "tests/sim/frames.h"

#include <stdlib.h>

#define BUFFERS 8192
#define STREAMS 512
#define QUANTUM_NS 60000 /* turns are at least so far apart */

struct buffer {
	unsigned refs;
	uint8_t head[SL_HEADROOM];
	uint8_t bytes[2048];
};

/* ---- what a stack needs ---- */

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	struct net_side *h = ctx;
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
	struct net_side *h = ctx;
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
	return ((struct net_side *)ctx)->buffers * 256 / BUFFERS;
}

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	(void)ctx, (void)dst;
	return (struct sl_tcp_way){.mtu = 1500, .known = 1};
}

/* The endpoint with that address; NET_ENDPOINTS: none. */
static unsigned
endpoint_at(const struct sl_addr *a)
{
	unsigned i = a->b[15] - 11u;

	return sl_addr_is_v4(a) && a->b[14] == 2 && i < NET_ENDPOINTS ? i : NET_ENDPOINTS;
}

static bool
is_dead(const struct http_net *n, const struct sl_addr *a)
{
	unsigned i = endpoint_at(a);

	return i < NET_ENDPOINTS && n->dead[i];
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct net_side *h = ctx;
	struct sl_addr src = sl_addr_from_v4(l3 + 12);

	(void)dst;
	if (offload || mss)
		abort();
	if (h->id == NET_CLIENTS || !is_dead(h->net, &src))
		link_send(&h->out, l3, len);
	env_free(h, buf);
}

static void
accept_opened(struct sl_stream *s)
{
	struct net_side *h = sl_stream_user(s);

	h->net->accepted(h->net->ctx, s, endpoint_at(&sl_stream_row(s)->tuple.dst));
}

static void
accept_closed(struct sl_stream *s, enum sl_stream_end why)
{
	(void)s, (void)why;
}

static const struct sl_stream_ops accept_ops = {.opened = accept_opened, .closed = accept_closed};

static enum sl_tcp_admit
env_admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	struct net_side *h = ctx;
	unsigned i = endpoint_at(&p->tuple.dst);

	if (h->id == NET_CLIENTS || i == NET_ENDPOINTS || h->net->refuses[i])
		return SL_ADMIT_NO;
	*ret = (struct sl_tcp_accept){.ops = &accept_ops, .user = h, .nodelay = 1};
	return SL_ADMIT_YES;
}

/* ---- packets ---- */

/* From a side to the gateway (a tcp_event_fn). */
static void
to_gateway(void *ctx, struct tcp_packet *pkt)
{
	struct net_side *h = ctx;
	struct rig *rig = h->net->rig;
	uint8_t frame[RIG_FRAME];

	memcpy(frame, rig_mac(rig, h->id), 6);
	memset(frame + 6, 2, 6);
	sl_store16(frame + 12, sl_to_be16(0x0800));
	memcpy(frame + 14, pkt->ip, pkt->len);
	rig_inject(rig, h->id, frame, 14 + pkt->len);
	free(pkt);
}

static void
to_side(void *ctx, struct tcp_packet *pkt)
{
	struct net_side *h = ctx;
	struct sl_addr dst = sl_addr_from_v4(pkt->ip + 16);

	if (h->rx_cnt == SL_ARRAY_CNT(h->rx) || (h->id == NET_SERVERS && is_dead(h->net, &dst)))
		free(pkt);
	else
		h->rx[h->rx_cnt++] = pkt;
}

/* A port sends; neighbours are asked for though known: nobody answers but net_begin. */
static void
sent(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	struct http_net *n = ctx;

	if (frame[12] == 8 && frame[13] == 0)
		link_send(&n->side[port].in, frame + 14, len - 14);
}

static void
input(struct net_side *h)
{
	for (unsigned i = 0; i < h->rx_cnt; i++) {
		const struct tcp_packet *k = h->rx[i];
		uint8_t *data;
		void *buf = env_alloc(h, &data);
		if (!buf)
			abort();
		memset(data, 2, 12);
		sl_store16(data + 12, sl_to_be16(0x0800));
		memcpy(data + 14, k->ip, k->len);
		struct sl_pkt p = {.data = data, .buf = buf, .len = (uint16_t)(14 + k->len)};
		if (sl_parse(&p) == SL_DROP_NONE && p.flags & SL_PKT_TCP) {
			uint64_t hash = sl_tcp_hash(h->tcp, &p.tuple);
			sl_tcp_input(h->tcp, &p, hash, sl_tcp_find(h->tcp, hash, &p.tuple));
		} else {
			env_free(h, buf);
		}
		free(h->rx[i]);
	}
	h->rx_cnt = 0;
}

/* ---- time ---- */

static void
neighbours(struct http_net *n)
{
	struct sl_addr a = frame_addr("10.0.1.254");
	uint8_t mac[6];

	if (n->w.now_ns < n->neighbours_ns)
		return;
	n->neighbours_ns = n->w.now_ns + TCP_S;
	bed_mac(&a, mac);
	rig_neighbour(n->rig, 0, &a, mac, n->w.now_ns);
	for (unsigned i = 0; i < NET_ENDPOINTS; i++) {
		a = net_endpoint(i);
		bed_mac(&a, mac);
		rig_neighbour(n->rig, 1, &a, mac, n->w.now_ns);
	}
}

void
net_begin(struct http_net *n, uint64_t until_ns)
{
	struct tcp_world *w = &n->w;
	uint64_t at = w->cnt ? SL_MIN(until_ns, w->heap[0].at_ns) : until_ns;

	at = SL_MAX(at, w->now_ns + QUANTUM_NS);
	while (w->cnt && w->heap[0].at_ns <= at)
		world_step(w);
	w->now_ns = at;
	neighbours(n);
	for (unsigned i = 0; i < NET_SIDES; i++) {
		sl_tcp_begin(n->side[i].tcp, at);
		input(&n->side[i]);
	}
}

void
net_end(struct http_net *n)
{
	for (unsigned i = 0; i < NET_SIDES; i++)
		sl_tcp_run(n->side[i].tcp);
	if (dice_chance(&n->dice, 0.3))
		rig_turn_one(n->rig, (unsigned)dice_below(&n->dice, n->workers), n->w.now_ns);
	for (unsigned i = 0; i < (n->workers > 1 ? 4u : 1u); i++)
		rig_turn(n->rig, n->w.now_ns);
}

/* ---- beginning and end ---- */

struct sl_addr
net_endpoint(unsigned i)
{
	return sl_addr_from_v4((uint8_t[]){10, 0, 2, (uint8_t)(11 + i)});
}

struct sl_stream *
net_connect(struct http_net *n, unsigned client, const struct sl_stream_ops *ops, void *user)
{
	struct sl_addr source = sl_addr_from_v4((uint8_t[]){198, 51, 100, (uint8_t)(1 + client)});
	const struct sl_stream_target target = {
		.dst = frame_addr(NET_VIP),
		.port = sl_to_be16(80),
		.nodelay = 1,
		.sources = &source,
		.source_cnt = 1,
		.connect_ms = 60000,
	};
	enum sl_stream_end why;

	return sl_stream_connect(n->side[NET_CLIENTS].tcp, &target, ops, user, &why);
}

/* Large, and mostly untouched. */
static void *
zeroed(size_t bytes, void **ret_mem)
{
	*ret_mem = calloc(1, bytes + 64);
	if (!*ret_mem)
		abort();
	return (void *)(((uintptr_t)*ret_mem + 63) & ~(uintptr_t)63);
}

static void
side_init(struct http_net *n, unsigned id, uint64_t seed, const struct link_conf *link)
{
	struct net_side *h = &n->side[id];
	struct sl_tcp_conf c = {
		.rss = &n->rss,
		.seed = seed + id,
		.capacity = STREAMS,
		.timewait_cnt = STREAMS,
		.half_open_max = STREAMS / 2,
		.seg_cnt = 8192,
		.block_cnt = 4096,
		.pinned_max = 1024,
		.rcv_max = 32768,
		.snd_max = 65536,
		.timewait_ms = 1000,
		.env = {h, env_alloc, env_free, env_share, env_refs, env_held, env_way, env_send,
			env_admit},
		.stats = &h->stats,
	};

	h->net = n;
	h->id = id;
	c.streams = zeroed(STREAMS * sl_tcp_stride(), &h->rows);
	h->tcp = sl_tcp_init(zeroed(sl_tcp_bytes(&c), &h->mem), &c);
	sl_tcp_begin(h->tcp, n->w.now_ns);
	link_init(&h->out, &n->w, seed + 11 + id, link, to_gateway, h);
	link_init(&h->in, &n->w, seed + 13 + id, link, to_side, h);
}

void
net_init(struct http_net *n, uint64_t seed, const struct rig_conf *rig,
	 const struct link_conf *link)
{
	static const uint8_t key[SL_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

	/* milliseconds of 32 bits wrap during the run */
	world_init(&n->w, (1ull << 32) * TCP_MS - 5 * TCP_S);
	n->dice.s = seed * 31 + 7;
	n->workers = rig->workers;
	n->rig = rig_create(rig, sent, n);
	sl_rss_init(&n->rss, key, 1);
	for (unsigned i = 0; i < NET_SIDES; i++)
		side_init(n, i, seed, link);
	neighbours(n);
}

const char *
net_fini(struct http_net *n, bool orphans)
{
	const char *bad = NULL;
	uint64_t now = n->w.now_ns;

	for (unsigned i = 0; i < NET_SIDES; i++) {
		struct net_side *h = &n->side[i];
		struct sl_tcp_usage u;
		for (unsigned k = 0; k < h->rx_cnt; k++)
			free(h->rx[k]);
		sl_tcp_fini(h->tcp);
		sl_tcp_usage(h->tcp, &u);
		if (u.segs || u.blocks || u.pinned || h->buffers)
			bad = "a side's stack kept buffers";
		free(h->mem);
		free(h->rows);
	}
	if (!orphans && rig_in_use(n->rig))
		bad = "the gateway kept buffers";
	rig_destroy(n->rig);
	world_fini(&n->w);
	n->w.now_ns = now;
	return bad;
}

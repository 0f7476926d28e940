#include "tests/sim/tls_pair.h"

#include "dataplane/parse.h"
#include "tests/sim/frames.h"

#include <stdlib.h>

#define SL_HEADROOM 128
#define BUFFERS 8192
#define STREAMS 64
#define QUANTUM_NS 60000
#define HELLO 100 /* bytes of the play: client, server, client */
#define ANSWER 9000
#define FINISH 50

struct buffer {
	unsigned refs;
	uint8_t head[SL_HEADROOM];
	uint8_t bytes[2048];
};

/* ---- the stack's needs ---- */

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	struct pair_side *h = ctx;
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
	struct pair_side *h = ctx;
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
	return ((struct pair_side *)ctx)->buffers * 256 / BUFFERS;
}

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	(void)ctx, (void)dst;
	return (struct sl_tcp_way){.mtu = 1500, .known = 1};
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct pair_side *h = ctx;

	(void)dst, (void)offload, (void)mss;
	link_send(&h->out, l3, len);
	env_free(h, buf);
}

static void
accept_opened(struct sl_stream *s)
{
	struct pair_side *h = sl_stream_user(s);

	h->pair->accepted(h->pair->ctx, s);
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
	struct pair_side *h = ctx;

	(void)p;
	if (h->id == PAIR_CLIENT)
		return SL_ADMIT_NO;
	*ret = (struct sl_tcp_accept){.ops = &accept_ops, .user = h, .nodelay = 1};
	return SL_ADMIT_YES;
}

/* ---- handshakes ---- */

struct sl_hs {
	uint32_t got;
	bool server;
};

static void
deal(struct tls_pair *p, struct sl_hs_secret *s, bool from_client)
{
	struct sl_keys *k = p->side[0].tls->keys;

	memset(s, 0, sizeof(*s));
	bytes_fill(p->seed + from_client, 0, s->secret, sl_suite_hash_len(p->suite));
	if (!sl_keys_expand(k, p->suite, s->secret, s->key, s->iv))
		abort();
	s->seq = p->version == SL_TLS_1_2;
}

static void
act_done(struct tls_pair *p, struct sl_hs_job *j, bool server)
{
	struct sl_tls_peer *peer = (void *)j->peer;

	j->state = SL_HS_DONE;
	memset(&j->done, 0, sizeof(j->done));
	j->done.version = (uint8_t)p->version;
	j->done.suite = (uint8_t)p->suite;
	deal(p, &j->done.read, server);
	deal(p, &j->done.write, !server);
	memset(peer, 0, sizeof(*peer));
	peer->bytes = (uint16_t)(sizeof(*peer) + 5);
	peer->verified = 1;
	peer->uri_len = 5;
	memcpy(peer->text, "who:1", 5);
	j->done.peer_len = peer->bytes;
	strcpy(j->done.alpn, "http/1.1");
}

/* What the actor says next: the whole of his line so far is `want` bytes. */
static void
act(struct tls_pair *p, struct sl_hs_job *j)
{
	struct sl_hs *hs = j->hs;
	uint32_t want = hs->server ? HELLO : ANSWER, used;

	j->state = SL_HS_MORE;
	j->more_out = 0;
	j->out_len = 0;
	j->in_used = j->in_len;
	if (hs->got + j->in_len < want) {
		hs->got += j->in_len;
		return;
	}
	if (!hs->server) {
		j->in_used = want - hs->got;
		memset(j->out, 'F', j->out_len = FINISH);
		act_done(p, j, false);
		j->done.keep = p->keep;
		return;
	}
	if (hs->got < HELLO)
		memset(j->out, 'S', j->out_len = ANSWER);
	used = SL_MIN(HELLO + FINISH - hs->got, j->in_len);
	hs->got += used;
	j->in_used = used;
	if (hs->got < HELLO + FINISH)
		return;
	if (p->fails) {
		j->state = SL_HS_FAILED;
		j->fail = SL_TLS_CNT_FAIL_NAME;
		memcpy(j->out, "\x15\x03\x03\x00\x02\x02\x2a", j->out_len = 7);
		return;
	}
	act_done(p, j, true);
}

static void
step(struct pair_steps *st, struct sl_hs_job *j)
{
	j->tickets = 0;
	if (j->op == SL_HS_SERVER || j->op == SL_HS_CLIENT) {
		j->hs = calloc(1, sizeof(*j->hs));
		j->hs->server = j->op == SL_HS_SERVER;
		st->hs_cnt++;
		if (j->op == SL_HS_CLIENT) {
			j->state = SL_HS_MORE;
			j->more_out = 0;
			j->in_used = 0;
			memset(j->out, 'C', j->out_len = HELLO);
			return;
		}
	}
	if (j->op == SL_HS_END) {
		free(j->hs);
		j->hs = NULL;
		st->hs_cnt--;
		return;
	}
	if (!j->hs->server && j->hs->got > ANSWER) { /* a record for tickets */
		j->state = SL_HS_MORE;
		j->tickets = 1;
		return;
	}
	act(st->pair, j);
	if (j->state == SL_HS_DONE && j->done.keep) {
		j->hs->got = ANSWER + 1;
	} else if (j->state != SL_HS_MORE) {
		free(j->hs);
		j->hs = NULL;
		st->hs_cnt--;
	}
}

static bool
submit(void *ctx, struct sl_hs_job *job)
{
	struct pair_steps *st = ctx;

	if (st->cnt == st->limit)
		return false;
	st->queue[st->cnt++] = job;
	return true;
}

static struct sl_hs_job *
poll(void *ctx)
{
	struct pair_steps *st = ctx;

	if (st->cnt == 0 || dice_below(&st->pair->dice, st->pair->lazy) > 0)
		return NULL;
	struct sl_hs_job *j = st->queue[0];
	memmove(st->queue, st->queue + 1, --st->cnt * sizeof(st->queue[0]));
	step(st, j);
	return j;
}

static int64_t
now_s(void *ctx)
{
	(void)ctx;
	return 1;
}

/* ---- packets and time ---- */

static void
arrives(void *ctx, struct tcp_packet *pkt)
{
	struct pair_side *from = ctx, *to = &from->pair->side[!from->id];

	if (to->rx_cnt == SL_ARRAY_CNT(to->rx))
		free(pkt);
	else
		to->rx[to->rx_cnt++] = pkt;
}

static void
input(struct pair_side *h)
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

void
pair_begin(struct tls_pair *p, uint64_t until_ns)
{
	struct tcp_world *w = &p->w;
	uint64_t at = w->cnt ? SL_MIN(until_ns, w->heap[0].at_ns) : until_ns;

	at = SL_MAX(at, w->now_ns + QUANTUM_NS);
	while (w->cnt && w->heap[0].at_ns <= at)
		world_step(w);
	w->now_ns = at;
	for (unsigned i = 0; i < PAIR_SIDES; i++) {
		sl_tcp_begin(p->side[i].tcp, at);
		input(&p->side[i]);
	}
}

void
pair_end(struct tls_pair *p)
{
	for (unsigned i = 0; i < PAIR_SIDES; i++) {
		sl_tls_tick(p->side[i].tls);
		sl_tcp_run(p->side[i].tcp);
	}
}

/* ---- beginning and end ---- */

static void *
zeroed(size_t bytes, void **ret_mem)
{
	*ret_mem = calloc(1, bytes + 64);
	if (!*ret_mem)
		abort();
	return (void *)(((uintptr_t)*ret_mem + 63) & ~(uintptr_t)63);
}

static void
side_init(struct tls_pair *p, unsigned id, const struct sl_rss *rss, const struct link_conf *link)
{
	struct pair_side *h = &p->side[id];
	struct sl_tcp_conf c = {
		.rss = rss,
		.seed = p->seed + id,
		.capacity = STREAMS,
		.timewait_cnt = STREAMS,
		.half_open_max = STREAMS / 2,
		.seg_cnt = 16384,
		.block_cnt = 4096,
		.pinned_max = 1024,
		.rcv_max = 65536 << (p->seed % 3),
		.snd_max = 65536 << (p->seed / 3 % 3),
		.timewait_ms = 1000,
		.env = {h, env_alloc, env_free, env_share, env_refs, env_held, env_way, env_send,
			env_admit},
		.stats = &h->stats,
	};
	const char *why;

	h->pair = p;
	h->id = id;
	h->steps = (struct pair_steps){.pair = p, .limit = 4};
	c.streams = zeroed(STREAMS * sl_tcp_stride(), &h->rows);
	h->tcp = sl_tcp_init(zeroed(sl_tcp_bytes(&c), &h->mem), &c);
	sl_tcp_begin(h->tcp, p->w.now_ns);
	const struct sl_tls_conf t = {
		.sessions = STREAMS,
		.handshakes = STREAMS / 2,
		.jobs = 8,
		.keys = 16,
		.peer_kb = 64,
		.tcp = h->tcp,
		.steps = {&h->steps, submit, poll},
		.now_s = now_s,
		.stats = &h->tls_stats,
	};
	h->tls = sl_tls_init(zeroed(sl_tls_bytes(&t), &h->tls_mem), &t, &why);
	if (!h->tls)
		abort();
	link_init(&h->out, &p->w, p->seed + 11 + id, link, arrives, h);
}

void
pair_init(struct tls_pair *p, uint64_t seed, const struct link_conf *link)
{
	static const uint8_t key[SL_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	static struct sl_rss rss;

	*p = (struct tls_pair){.seed = seed, .version = SL_TLS_1_3, .suite = 1, .lazy = 1};
	p->dice.s = seed * 0x9e3779b97f4a7c15ull + 1;
	sl_rss_init(&rss, key, 1);
	world_init(&p->w, TCP_S);
	for (unsigned i = 0; i < PAIR_SIDES; i++)
		side_init(p, i, &rss, link);
}

const char *
pair_fini(struct tls_pair *p)
{
	const char *why = NULL;

	for (unsigned i = 0; i < PAIR_SIDES; i++) {
		struct pair_side *h = &p->side[i];
		struct sl_tcp_usage u;
		const char *wrong = sl_tcp_check(h->tcp);
		sl_tcp_usage(h->tcp, &u);
		if (wrong)
			why = wrong;
		else if (h->tls_stats.sessions || h->tls_stats.handshakes ||
			 h->tls_stats.peer_bytes)
			why = "a session, handshake or peer is left";
		else if (h->steps.hs_cnt || h->steps.cnt || sl_tls_waits(h->tls))
			why = "a handshake or job is left at its thread";
		else if (u.streams || u.segs || u.blocks)
			why = "a stream, segment or block is left";
		sl_tls_fini(h->tls);
		sl_tcp_fini(h->tcp);
		if (!why && h->buffers)
			why = "a buffer is left";
		for (unsigned k = 0; k < h->rx_cnt; k++)
			free(h->rx[k]);
		free(h->mem);
		free(h->rows);
		free(h->tls_mem);
	}
	world_fini(&p->w);
	return why;
}

struct sl_stream *
pair_connect(struct tls_pair *p, const struct sl_stream_ops *ops, void *user)
{
	struct sl_addr source = sl_addr_from_v4((uint8_t[]){10, 0, 0, 1});
	const struct sl_stream_target target = {
		.dst = frame_addr(PAIR_VIP),
		.port = sl_to_be16(443),
		.nodelay = 1,
		.sources = &source,
		.source_cnt = 1,
		.connect_ms = 60000,
	};
	enum sl_stream_end why;

	return sl_stream_connect(p->side[PAIR_CLIENT].tcp, &target, ops, user, &why);
}

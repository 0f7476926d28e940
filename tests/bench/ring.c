#include "tests/bench/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_priv.h"

#define L3 14
#define L4 34
#define OPTIONS 12 /* NOP, NOP, timestamps */
#define PORTS 16384
#define FIRST_PORT 1024
#define ADDRESSES 64
#define WINDOW 0xffff /* × 2^7 */

/* A segment as the peers see it; ports and addresses as on the wire. */
struct segment {
	uint8_t saddr[4], daddr[4];
	sl_be16 sport, dport;
	uint32_t seq, ack;
	uint32_t val, ecr; /* timestamps */
	uint32_t len;
	uint16_t wnd;
	uint8_t flags;
	const char *data; /* [len]; NULL: whatever */
};

/* ---- frames ---- */

static void
die(const struct ring *r, const char *why)
{
	fprintf(stderr, "ring: %s: %u of %u frames held, %u connections under way\n", why, r->used,
		RING_FRAMES, (unsigned)(r->begun - r->done));
	exit(1);
}

static struct ring_frame *
get(struct ring *r)
{
	struct ring_frame *f = r->free;

	if (!f)
		return NULL;
	r->free = f->next;
	f->refs = 1;
	r->used++;
	return f;
}

void
ring_drop(struct ring *r, struct ring_frame *f)
{
	if (--f->refs)
		return;
	f->next = r->free;
	r->free = f;
	r->used--;
}

static void
queue_put(struct ring *r, struct ring_queue *q, struct ring_frame *f, uint8_t *data, unsigned len)
{
	if (q->tail - q->head == RING_QUEUE)
		die(r, "a queue is full");
	q->item[q->tail++ % RING_QUEUE] = (struct ring_item){f, data, len};
}

static struct ring_item *
queue_take(struct ring_queue *q)
{
	return q->head == q->tail ? NULL : &q->item[q->head++ % RING_QUEUE];
}

/* ---- the port, as what is measured sees it ---- */

static unsigned
rx(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max)
{
	struct ring *r = ctx;
	struct ring_item *item;
	unsigned n = 0;

	while (n < max && (item = queue_take(&r->rx[port]))) {
		struct sl_pkt *p = &pkts[n++];
		p->data = item->data;
		p->buf = item->f;
		p->len = (uint16_t)item->len;
		p->port_in = (uint16_t)port;
		p->flags = r->sum ? 0 : SL_PKT_IP_CSUM_OK;
		p->csum_ok = !r->sum;
		sl_prefetch(item->data);
	}
	r->in += n;
	return n;
}

void
ring_put(struct ring *r, unsigned port, struct ring_frame *f, uint8_t *data, unsigned len)
{
	struct ring_item *item;

	while ((item = queue_take(&r->sent)))
		ring_drop(r, item->f);
	queue_put(r, &r->tx[port], f, data, len);
	r->out++;
}

static unsigned
tx(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct ring_frame *f = pkts[i].buf;
		uint8_t *data = pkts[i].offload & SL_TXD_AT ? (uint8_t *)f + pkts[i].at
							    : f->room - pkts[i].grown;
		ring_put(ctx, port, f, data, pkts[i].len);
	}
	return n;
}

void *
ring_alloc(void *ctx, uint8_t **ret_data)
{
	struct ring_frame *f = get(ctx);

	if (f)
		*ret_data = f->room;
	return f;
}

static void
drop(void *ctx, void *const *bufs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ring_drop(ctx, bufs[i]);
}

static void
share(void *ctx, void *buf)
{
	(void)ctx;
	((struct ring_frame *)buf)->refs++;
}

static unsigned
refs(void *ctx, void *buf)
{
	(void)ctx;
	return ((struct ring_frame *)buf)->refs;
}

static unsigned
held(void *ctx)
{
	return ((struct ring *)ctx)->used * 256 / RING_FRAMES;
}

static unsigned
offset(void *ctx, void *buf, const uint8_t *data)
{
	(void)ctx;
	return (unsigned)(data - (uint8_t *)buf);
}

struct ring *
ring_create(void)
{
	size_t bytes = sizeof(struct ring) + RING_FRAMES * sizeof(struct ring_frame);
	struct ring *r = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (r == MAP_FAILED)
		abort();
	r->frames = (void *)(((uintptr_t)(r + 1) + 63) & ~(uintptr_t)63);
	for (unsigned i = 0; i < RING_FRAMES - 1; i++) {
		r->frames[i].next = r->free;
		r->free = &r->frames[i];
	}
	r->io = (struct sl_io){.rx = rx,
			       .tx = tx,
			       .alloc = ring_alloc,
			       .free = drop,
			       .ctx = r,
			       .share = share,
			       .refs = refs,
			       .held = held,
			       .offset = offset};
	return r;
}

/* ---- segments ---- */

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t
get32(const uint8_t *p)
{
	return sl_from_be32(sl_load32(p));
}

static unsigned
put_options(uint8_t *o, const struct segment *s)
{
	unsigned n = 0;

	if (s->flags & SL_TCP_SYN) { /* MSS, SACK permitted, timestamps, NOP, window scale 7 */
		memcpy(o, (const uint8_t[]){2, 4, 5, 180, 4, 2}, 6);
		memcpy(o + 16, (const uint8_t[]){1, 3, 3, 7}, 4);
		n = 6;
	} else {
		memset(o, 1, 2);
		n = 2;
	}
	o[n] = 8;
	o[n + 1] = 10;
	put32(o + n + 2, s->val);
	put32(o + n + 6, s->ecr);
	return s->flags & SL_TCP_SYN ? 20 : OPTIONS;
}

static void
put_sums(uint8_t *f, unsigned len)
{
	uint8_t pseudo[12];
	unsigned n = len - L4;

	memcpy(pseudo, f + L3 + 12, 8);
	put16(pseudo + 8, SL_IPPROTO_TCP);
	put16(pseudo + 10, n);
	uint32_t sum = sl_tcp_sum_add(sl_tcp_sum(pseudo, 12), sl_tcp_sum(f + L4, n));
	uint16_t folded = (uint16_t)~sl_tcp_sum_fold(sum);
	memcpy(f + L4 + 16, &folded, 2);
	folded = (uint16_t)~sl_tcp_sum_fold(sl_tcp_sum(f + L3, 20));
	memcpy(f + L3 + 10, &folded, 2);
}

/* One segment into what is measured. */
static void
say(struct ring *r, unsigned port, const struct segment *s)
{
	struct ring_frame *frame = get(r);

	if (!frame)
		die(r, "no frame is left");
	uint8_t *f = frame->room, *ip = f + L3, *tcp = f + L4;
	unsigned options = put_options(tcp + 20, s), len = L4 + 20 + options + s->len;

	memcpy(f, r->mac[port], 6);
	memcpy(f + 6, (const uint8_t[6]){2, 0, 0, 0, 1, (uint8_t)port}, 6);
	put16(f + 12, 0x0800);
	memcpy(ip, (const uint8_t[12]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, SL_IPPROTO_TCP}, 12);
	put16(ip + 2, len - L3);
	memcpy(ip + 12, s->saddr, 4);
	memcpy(ip + 16, s->daddr, 4);
	memcpy(tcp, &s->sport, 2);
	memcpy(tcp + 2, &s->dport, 2);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((20 + options) << 2);
	tcp[13] = s->flags;
	put16(tcp + 14, WINDOW);
	memset(tcp + 16, 0, 4);
	if (s->data)
		memcpy(tcp + 20 + options, s->data, s->len);
	else if (r->sum)
		memset(tcp + 20 + options, s->flags, s->len);
	if (r->sum)
		put_sums(f, len);
	queue_put(r, &r->rx[port], frame, f, len);
}

static struct segment
hear(const uint8_t *f)
{
	const uint8_t *ip = f + L3, *tcp = f + L4;
	unsigned head = (tcp[12] >> 4) * 4u, total = (unsigned)ip[2] << 8 | ip[3];
	struct segment s = {.sport = sl_load16(tcp),
			    .dport = sl_load16(tcp + 2),
			    .seq = get32(tcp + 4),
			    .ack = get32(tcp + 8),
			    .flags = tcp[13],
			    .wnd = (uint16_t)(tcp[14] << 8 | tcp[15]),
			    .len = total - 20 - head};

	memcpy(s.saddr, ip + 12, 4);
	memcpy(s.daddr, ip + 16, 4);
	for (const uint8_t *o = tcp + 20, *end = tcp + head; o < end && *o;
	     o += *o == 1 ? 1 : o[1]) {
		if (*o == 8) {
			s.val = get32(o + 2);
			s.ecr = get32(o + 6);
			break;
		}
	}
	return s;
}

/* The other direction, with everything acknowledged. */
static struct segment
reply(const struct ring *r, const struct segment *s, uint8_t flags)
{
	struct segment a = {.sport = s->dport,
			    .dport = s->sport,
			    .seq = s->ack,
			    .ack = s->seq + s->len + (s->flags & (SL_TCP_SYN | SL_TCP_FIN) ? 1 : 0),
			    .val = r->now_ms,
			    .ecr = s->val,
			    .flags = flags};

	memcpy(a.saddr, s->daddr, 4);
	memcpy(a.daddr, s->saddr, 4);
	return a;
}

/* ---- the client ---- */

void
ring_begin(struct ring *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t id = (uint32_t)r->begun++;
		struct segment s = {.saddr = {198, 18, 0, (uint8_t)(1 + id / PORTS % ADDRESSES)},
				    .sport = sl_to_be16(FIRST_PORT + id % PORTS),
				    .dport = r->vport,
				    .seq = id << 8,
				    .val = r->now_ms,
				    .flags = SL_TCP_SYN};
		memcpy(s.daddr, r->vip, 4);
		say(r, 0, &s);
	}
}

static void
ask(struct ring *r, const struct segment *s)
{
	struct segment a = reply(r, s, SL_TCP_ACK);

	if (r->chatty)
		say(r, 0, &a);
	a.flags = SL_TCP_ACK | SL_TCP_PSH;
	a.len = r->request.len ? r->request.len : REQUEST;
	a.data = r->request.text;
	say(r, 0, &a);
}

/* Data, or the end. */
static void
receive(struct ring *r, const struct segment *s)
{
	struct segment a = reply(r, s, SL_TCP_ACK);
	uint8_t *odd = &r->odd[s->dport];

	r->bytes += s->len;
	if (s->flags & SL_TCP_FIN) {
		if (r->chatty)
			say(r, 0, &a);
		a.flags |= SL_TCP_FIN;
		say(r, 0, &a);
	} else if (!r->bulk || s->len < RING_MSS || (*odd ^= 1) == 0) {
		say(r, 0, &a);
	}
}

static void
client(struct ring *r, const struct segment *s, bool more)
{
	if (s->flags & SL_TCP_RST) {
		r->reset++;
	} else if (s->flags & SL_TCP_SYN) {
		ask(r, s);
	} else if (r->request.len) {
		if (s->len) {
			r->done++;
			r->bytes += s->len;
			ask(r, s);
		}
	} else if (s->len || s->flags & SL_TCP_FIN) {
		receive(r, s);
	} else if ((s->ack & 0xff) == 1 + REQUEST + 1) {
		r->done++;
		if (more)
			ring_begin(r, 1);
	}
}

/* ---- the server ---- */

static void
answer(struct ring *r, const struct segment *s)
{
	struct segment a = reply(r, s, SL_TCP_ACK);

	if (r->chatty)
		say(r, 1, &a);
	if (r->answer.len) {
		a.len = r->answer.len;
		a.data = r->answer.text;
		a.flags |= SL_TCP_PSH;
		say(r, 1, &a);
		return;
	}
	a.len = ANSWER;
	a.flags |= SL_TCP_PSH | (r->chatty ? 0 : SL_TCP_FIN);
	say(r, 1, &a);
	if (!r->chatty)
		return;
	a.seq += ANSWER;
	a.len = 0;
	a.flags = SL_TCP_ACK | SL_TCP_FIN;
	say(r, 1, &a);
}

static void
stream_open(struct ring *r, const struct segment *s)
{
	if (r->streams == RING_BULK)
		die(r, "more streams than were begun");
	struct segment a = reply(r, s, SL_TCP_ACK);
	unsigned i = r->streams++;

	r->stream[i].open = true;
	r->stream[i].una = r->stream[i].nxt = a.seq;
	r->stream[i].wnd = (uint32_t)s->wnd << SL_WSCALE;
	r->stream[i].ack = a.ack;
	r->stream[i].ecr = a.ecr;
	r->stream[i].sport = a.sport;
	r->stream[i].dport = a.dport;
	memcpy(r->stream[i].saddr, a.saddr, 4);
	memcpy(r->stream[i].daddr, a.daddr, 4);
}

static void
stream_acked(struct ring *r, const struct segment *s)
{
	for (unsigned i = 0; i < r->streams; i++)
		if (r->stream[i].dport == s->sport && r->stream[i].sport == s->dport) {
			r->stream[i].una = s->ack;
			r->stream[i].wnd = (uint32_t)s->wnd << SL_WSCALE;
			r->stream[i].ecr = s->val;
		}
}

/* A burst of the streams in turn, as windows allow. */
static void
stream_feed(struct ring *r)
{
	unsigned idle = 0;

	for (unsigned i = 0; idle < r->streams && r->used < RING_FRAMES * 3 / 4 &&
			     r->rx[1].tail - r->rx[1].head < 2 * SL_BURST;
	     i = (i + 1) % r->streams) {
		if (r->stream[i].nxt - r->stream[i].una + RING_MSS > r->stream[i].wnd) {
			idle++;
			continue;
		}
		struct segment s = {.sport = r->stream[i].sport,
				    .dport = r->stream[i].dport,
				    .seq = r->stream[i].nxt,
				    .ack = r->stream[i].ack,
				    .val = r->now_ms,
				    .ecr = r->stream[i].ecr,
				    .len = RING_MSS,
				    .flags = SL_TCP_ACK};
		memcpy(s.saddr, r->stream[i].saddr, 4);
		memcpy(s.daddr, r->stream[i].daddr, 4);
		say(r, 1, &s);
		r->stream[i].nxt += RING_MSS;
		idle = 0;
	}
}

static void
server(struct ring *r, const struct segment *s)
{
	struct segment a;

	if (s->flags & SL_TCP_RST) {
		r->reset++;
	} else if (s->flags & SL_TCP_SYN) {
		a = reply(r, s, SL_TCP_SYN | SL_TCP_ACK);
		a.seq = s->seq * 2654435761u;
		say(r, 1, &a);
	} else if (s->len && r->bulk) {
		stream_open(r, s);
	} else if (s->len) {
		answer(r, s);
	} else if (s->flags & SL_TCP_FIN) {
		a = reply(r, s, SL_TCP_ACK);
		say(r, 1, &a);
	} else if (r->bulk) {
		stream_acked(r, s);
	}
}

void
ring_peers(struct ring *r, uint64_t now_ns, bool more)
{
	struct ring_item *item;

	r->now_ms = (uint32_t)(now_ns / 1000000) + 1;
	for (unsigned port = 0; port < 2; port++) {
		while ((item = queue_take(&r->tx[port]))) {
			bool ip = sl_load16(item->data + 12) == sl_to_be16(0x0800);
			struct segment s = {0};
			if (ip)
				s = hear(item->data);
			queue_put(r, &r->sent, item->f, NULL, 0);
			if (!ip) /* ARP: the neighbours are known */
				continue;
			if (port == 0)
				client(r, &s, more);
			else
				server(r, &s);
		}
	}
	if (r->streams)
		stream_feed(r);
}

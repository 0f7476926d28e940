/* A frame is built from scratch each time: Ethernet and tags, IPv4 or IPv6 with its extension headers, TCP or UDP,
 * payload up to the size.  A datagram in fragments is composed once and cut as its pieces go out.
 * A span's value after v is v + inc, or min once that is past max, as in Pktgen-DPDK's range mode. */
#include "pktgen/frame.h"

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define V4_BYTES 20
#define V6_BYTES 40
#define TCP_BYTES 20
#define UDP_BYTES 8
#define FRAG_BYTES 8
#define V4_MORE 0x2000
#define OPT_PADN 1
#define AZ "abcdefghijklmnopqrstuvwxyz"
#define AZ4 AZ AZ AZ AZ
#define AZ16 AZ4 AZ4 AZ4 AZ4
#define TCP_WINDOW 8192

static void
put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

static void
put16(uint8_t *p, unsigned v)
{
	sl_store16(p, sl_to_be16(v));
}

static void
put32(uint8_t *p, uint32_t v)
{
	sl_store32(p, sl_to_be32(v));
}

static inline uint64_t
sum16(const uint8_t *p)
{
	return (uint64_t)sl_load32(p) + sl_load32(p + 4) + sl_load32(p + 8) + sl_load32(p + 12);
}

/* 32 bits at a time: a carry out of 16 bits folds back in the same. */
static inline uint64_t
sum(const uint8_t *p, unsigned len, uint64_t acc)
{
	for (; len >= 16; len -= 16, p += 16)
		acc += sum16(p);
	if (len & 8) {
		acc += (uint64_t)sl_load32(p) + sl_load32(p + 4);
		p += 8;
	}
	if (len & 4) {
		acc += sl_load32(p);
		p += 4;
	}
	if (len & 2) {
		acc += sl_load16(p);
		p += 2;
	}
	return len & 1 ? acc + *p : acc;
}

static uint16_t
fold(uint64_t acc)
{
	acc = (acc & 0xffffffff) + (acc >> 32);
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

/* Ethernet and tags; how many bytes. */
static unsigned
put_link(uint8_t *p, const struct sl_script_port *port, const struct sl_script_packet *k)
{
	unsigned at = 12;

	put_mac(p, k->dst_mac);
	put_mac(p + 6, k->src_mac);
	if (sl_unlikely(port->tags != SL_TAGS_NONE)) {
		bool two = port->tags == SL_TAGS_QINQ;

		if (two) {
			put16(p + at, ETHERTYPE_QINQ);
			put16(p + at + 2, port->qinq[0]);
			at += 4;
		}
		put16(p + at, ETHERTYPE_VLAN);
		put16(p + at + 2, two ? port->qinq[1] : k->vlan);
		at += 4;
	}
	put16(p + at, k->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	return at + 2;
}

/* The fixed header before bytes of payload, the first of protocol next.  v4 only: cut is the field of flags and
 * offset. */
static unsigned
put_ip(uint8_t *p, const struct sl_script_packet *k, unsigned bytes, uint8_t next, uint16_t ident,
       unsigned cut)
{
	if (k->v6) {
		put32(p, 6u << 28 | (uint32_t)k->tos << 20);
		put16(p + 4, bytes);
		p[6] = next;
		p[7] = k->ttl;
		memcpy(p + 8, k->src.b, 16);
		memcpy(p + 24, k->dst.b, 16);
		return V6_BYTES;
	}
	memset(p, 0, V4_BYTES);
	p[0] = 0x45;
	p[1] = k->tos;
	put16(p + 2, bytes + V4_BYTES);
	put16(p + 4, ident);
	put16(p + 6, cut);
	p[8] = k->ttl;
	p[9] = next;
	memcpy(p + 12, k->src.b + 12, 4);
	memcpy(p + 16, k->dst.b + 12, 4);
	sl_store16(p + 10, fold(sum16(p) + sl_load32(p + 16)));
	return V4_BYTES;
}

/* Extension headers [from, to) of the port; next follows the last. */
static unsigned
put_exts(uint8_t *p, const struct sl_script_port *port, unsigned from, unsigned to, uint8_t next,
	 uint32_t ident)
{
	unsigned at = 0;

	for (unsigned i = from; i < to; i++) {
		const struct sl_script_ext *e = &port->ext[i];

		memset(p + at, 0, e->bytes);
		p[at] = i + 1 < to ? port->ext[i + 1].proto : next;
		if (e->proto == SL_EXT_FRAGMENT) {
			put32(p + at + 4, ident);
		} else {
			p[at + 1] = (uint8_t)(e->bytes / 8 - 1);
			p[at + 2] = OPT_PADN;
			p[at + 3] = (uint8_t)(e->bytes - 4);
		}
		at += e->bytes;
	}
	return at;
}

/* Everything of layer 4 but the checksum. */
static void
put_l4(uint8_t *p, const struct sl_script_packet *k, unsigned bytes, bool zeros)
{
	static const char letters[] = AZ16 AZ16 AZ16 AZ16;
	unsigned head = k->proto == SL_IPPROTO_TCP ? TCP_BYTES : UDP_BYTES;

	memset(p, 0, head);
	put16(p, k->sport);
	put16(p + 2, k->dport);
	if (k->proto == SL_IPPROTO_TCP) {
		put32(p + 4, k->seq);
		put32(p + 8, k->ack);
		p[12] = TCP_BYTES / 4 << 4;
		p[13] = k->tcp_flags;
		put16(p + 14, TCP_WINDOW);
	} else {
		put16(p + 4, bytes);
	}
	if (zeros) {
		memset(p + head, 0, bytes - head);
		return;
	}
	for (unsigned at = head; at < bytes; at += sizeof(letters) - 1)
		memcpy(p + at, letters, SL_MIN(bytes - at, (unsigned)sizeof(letters) - 1));
}

static void
seal_l4(uint8_t *p, const struct sl_script_packet *k, unsigned bytes)
{
	uint64_t pseudo = sl_to_be16(bytes) + sl_to_be16(k->proto);
	bool tcp = k->proto == SL_IPPROTO_TCP;

	pseudo += k->v6 ? sum16(k->src.b) + sum16(k->dst.b)
			: (uint64_t)sl_load32(k->src.b + 12) + sl_load32(k->dst.b + 12);
	uint16_t v = fold(sum(p, bytes, pseudo));

	sl_store16(p + (tcp ? 16 : 6), v || tcp ? v : 0xffff);
}

static void
put_trail(struct sl_frame *f, uint8_t *end, uint64_t seq, uint64_t time)
{
	const struct sl_trail t = {
		.time = time, .seq = (uint32_t)seq, .stream = f->stream, .run = f->run};

	sl_trail_put(end - SL_TRAIL_BYTES, &t);
}

static unsigned
build(struct sl_frame *f, uint8_t *buf)
{
	const struct sl_script_packet *k = &f->now;
	const struct sl_script_port *port = f->port;
	unsigned len = k->size - SL_SCRIPT_FCS, exts = k->v6 ? port->ext_cnt : 0;
	unsigned at = put_link(buf, port, k);

	at += put_ip(buf + at, k, len - at - (k->v6 ? V6_BYTES : V4_BYTES),
		     exts ? port->ext[0].proto : k->proto, 0, 0);
	if (sl_unlikely(exts))
		at += put_exts(buf + at, port, 0, exts, k->proto, f->ident++);
	put_l4(buf + at, k, len - at, port->zero_fill);
	if (sl_unlikely(f->measured)) {
		bool tcp = k->proto == SL_IPPROTO_TCP;

		put_trail(f, buf + len, f->issued++, 0);
		f->spot = (struct sl_trail_spot){.time_off = (uint16_t)(len - 8),
						 .csum_off = (uint16_t)(at + (tcp ? 16 : 6)),
						 .odd = (len - 8 - at) % 2,
						 .udp = !tcp};
	}
	seal_l4(buf + at, k, len - at);
	return len;
}

/* ---- fragments ---- */

static uint64_t
draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void
shuffle(struct sl_frame *f)
{
	unsigned n = f->port->piece_cnt;

	for (unsigned i = 0; i < n; i++)
		f->order[i] = (uint8_t)(f->port->order == SL_ORDER_REVERSE ? n - 1 - i : i);
	for (unsigned i = n - 1; f->port->order == SL_ORDER_RANDOM && i; i--) {
		unsigned j = (unsigned)(draw(&f->random) % (i + 1));
		uint8_t t = f->order[i];

		f->order[i] = f->order[j];
		f->order[j] = t;
	}
}

/* The first extension header of the part that is cut: a listed fragment header is where it is cut. */
static unsigned
after_first(const struct sl_frame *f)
{
	unsigned i = f->shape.before_cnt;

	return i < f->port->ext_cnt && f->port->ext[i].proto == SL_EXT_FRAGMENT ? i + 1 : i;
}

/* The part that is cut, for the packet f stands at. */
static void
compose(struct sl_frame *f)
{
	const struct sl_script_packet *k = &f->now;
	const struct sl_script_shape *h = &f->shape;
	unsigned whole, cnt = f->port->piece_cnt;
	const char *why;

	if (sl_script_shape(f->port, k, &f->shape, &why))
		return; /* the script was refused for it */
	whole = h->after + h->l4;
	shuffle(f);
	if (h->after)
		put_exts(f->datagram, f->port, after_first(f), f->port->ext_cnt, k->proto, 0);
	put_l4(f->datagram + h->after, k, h->l4, f->port->zero_fill);
	for (unsigned i = 0; f->measured && i < cnt; i++)
		put_trail(f, f->datagram + SL_MIN((f->order[i] + 1u) * h->piece, whole),
			  f->issued++, f->time);
	seal_l4(f->datagram + h->after, k, h->l4);
}

/* One fragment of the composed datagram. */
static unsigned
piece(struct sl_frame *f, uint8_t *buf)
{
	const struct sl_script_packet *k = &f->now;
	const struct sl_script_port *port = f->port;
	const struct sl_script_shape *h = &f->shape;
	unsigned whole = h->after + h->l4, off = f->order[f->piece_at] * h->piece;
	unsigned n = SL_MIN(h->piece, whole - off), at = put_link(buf, port, k);
	bool more = off + n < whole;

	if (k->v6) {
		at += put_ip(buf + at, k, h->before + FRAG_BYTES + n,
			     h->before_cnt ? port->ext[0].proto : SL_EXT_FRAGMENT, 0, 0);
		at += put_exts(buf + at, port, 0, h->before_cnt, SL_EXT_FRAGMENT, 0);
		buf[at] = h->after ? port->ext[after_first(f)].proto : k->proto;
		buf[at + 1] = 0;
		put16(buf + at + 2, off | more);
		put32(buf + at + 4, f->ident);
		at += FRAG_BYTES;
	} else {
		at += put_ip(buf + at, k, n, k->proto, (uint16_t)f->ident,
			     off / 8 | (more ? V4_MORE : 0));
	}
	memcpy(buf + at, f->datagram + off, n);
	f->spot = (struct sl_trail_spot){0};
	for (at += n; at < SL_FRAME_MIN; at++)
		buf[at] = 0;
	return at;
}

static void
put_low(struct sl_addr *a, bool v6, uint64_t v)
{
	if (v6)
		sl_store64(a->b + 8, __builtin_bswap64(v));
	else
		put32(a->b + 12, (uint32_t)v);
}

/* The packet the spans stand at. */
static void
apply(struct sl_frame *f)
{
	struct sl_script_packet *k = &f->now;

	k->dst_mac = f->at[SL_SPAN_DST_MAC];
	k->src_mac = f->at[SL_SPAN_SRC_MAC];
	put_low(&k->dst, k->v6, f->at[SL_SPAN_DST_IP]);
	put_low(&k->src, k->v6, f->at[SL_SPAN_SRC_IP]);
	k->dport = (uint16_t)f->at[SL_SPAN_DST_PORT];
	k->sport = (uint16_t)f->at[SL_SPAN_SRC_PORT];
	k->ttl = (uint8_t)f->at[SL_SPAN_TTL];
	k->tos = (uint8_t)f->at[SL_SPAN_TOS];
	k->size = (uint16_t)f->at[SL_SPAN_SIZE];
	k->seq = (uint32_t)f->at[SL_SPAN_SEQ];
	k->ack = (uint32_t)f->at[SL_SPAN_ACK];
	k->vlan = (uint16_t)f->at[SL_SPAN_VLAN];
	if (sl_unlikely(f->port->imix_cnt))
		k->size = f->port->imix[f->imix_at];
}

void
sl_frame_init(struct sl_frame *f, const struct sl_script_port *port)
{
	memset(f, 0, offsetof(struct sl_frame, datagram));
	f->port = port;
	f->ident = 1;
	f->random = port->seed;
	switch (port->mode) {
	case SL_SCRIPT_SINGLE:
		f->now = port->single;
		break;
	case SL_SCRIPT_SEQUENCE:
		f->now = port->seq[0];
		break;
	case SL_SCRIPT_RANGE:
		f->now = port->range;
		for (unsigned i = 0; i < SL_SPAN_CNT; i++)
			f->at[i] = port->span[i].start;
		apply(f);
		break;
	}
	if (port->imix_cnt)
		f->now.size = port->imix[0];
}

static void
step(struct sl_frame *f)
{
	const struct sl_script_port *port = f->port;

	if (sl_unlikely(port->imix_cnt)) {
		f->imix_at = f->imix_at + 1 < port->imix_cnt ? f->imix_at + 1 : 0;
		f->now.size = port->imix[f->imix_at];
	}
	if (port->mode == SL_SCRIPT_SEQUENCE) {
		f->seq_at = f->seq_at + 1 < port->seq_cnt ? f->seq_at + 1 : 0;
		f->now = port->seq[f->seq_at];
	}
	if (port->mode != SL_SCRIPT_RANGE)
		return;
	for (unsigned i = 0; i < SL_SPAN_CNT; i++) {
		const struct sl_script_span *s = &port->span[i];

		if (s->inc)
			f->at[i] = s->max - f->at[i] >= s->inc ? f->at[i] + s->inc : s->min;
	}
	apply(f);
}

unsigned
sl_frame_next(struct sl_frame *f, uint8_t *buf, struct sl_tuple *ret_tuple)
{
	const struct sl_script_packet *k = &f->now;
	bool cut = f->port->piece_cnt > 1;
	unsigned len;

	if (sl_unlikely(cut)) {
		if (!f->piece_at)
			compose(f);
		len = piece(f, buf);
	} else {
		len = build(f, buf);
	}
	if (ret_tuple)
		*ret_tuple = (struct sl_tuple){.src = k->src,
					       .dst = k->dst,
					       .sport = sl_to_be16(k->sport),
					       .dport = sl_to_be16(k->dport),
					       .proto = k->proto};
	if (sl_unlikely(cut)) {
		if (++f->piece_at < f->port->piece_cnt)
			return len;
		f->piece_at = 0;
		f->ident++;
	}
	step(f);
	return len;
}

/* The size that k needs for a trail, 0: fragments too small. */
static unsigned
trail_size(const struct sl_script_port *port, const struct sl_script_packet *k)
{
	struct sl_script_shape h;
	const char *why;

	if (sl_script_shape(port, k, &h, &why))
		return 0;
	if (!h.piece)
		return k->size - h.l4 + h.l4_head + SL_TRAIL_BYTES;
	unsigned last = h.after + h.l4 - h.piece * (port->piece_cnt - 1);

	return h.piece < h.after + h.l4_head + SL_TRAIL_BYTES || last < SL_TRAIL_BYTES ? 0
										       : k->size;
}

static bool
measurable(const struct sl_script_port *port, const struct sl_script_packet *k, unsigned *ret_min)
{
	unsigned min = trail_size(port, k);

	if (min && min <= k->size)
		return true;
	*ret_min = min;
	return false;
}

bool
sl_frame_measurable(const struct sl_script_port *port, unsigned *ret_min)
{
	const struct sl_script_span *size = &port->span[SL_SPAN_SIZE];
	struct sl_script_packet k;

	for (unsigned i = 0; port->mode == SL_SCRIPT_SEQUENCE && i < port->seq_cnt; i++)
		if (!measurable(port, &port->seq[i], ret_min))
			return false;
	if (port->mode == SL_SCRIPT_SEQUENCE)
		return true;
	k = port->mode == SL_SCRIPT_RANGE ? port->range : port->single;
	for (unsigned i = 0; i < port->imix_cnt; i++) {
		k.size = port->imix[i];
		if (!measurable(port, &k, ret_min))
			return false;
	}
	if (port->imix_cnt)
		return true;
	if (port->mode == SL_SCRIPT_SINGLE)
		return measurable(port, &k, ret_min);
	for (uint64_t v = size->inc ? size->min : size->start;; v += size->inc) {
		k.size = (uint16_t)v;
		if (!measurable(port, &k, ret_min))
			return false;
		if (!size->inc || size->max - v < size->inc)
			return true;
	}
}

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t t = a % b;
		a = b;
		b = t;
	}
	return a;
}

uint64_t
sl_frame_period(const struct sl_script_port *port)
{
	uint64_t all = 1, pieces = SL_MAX(port->piece_cnt, 1u);

	if (port->mode == SL_SCRIPT_SEQUENCE)
		all = port->seq_cnt;
	else if (port->imix_cnt)
		all = port->imix_cnt;
	if (port->mode != SL_SCRIPT_RANGE)
		return all * pieces;
	for (unsigned i = 0; i < SL_SPAN_CNT; i++) {
		const struct sl_script_span *s = &port->span[i];
		uint64_t n = s->inc ? (s->max - s->min) / s->inc + 1 : 1;

		n /= gcd(all, n);
		if (n > ((uint64_t)1 << 40) / all)
			return UINT64_MAX;
		all *= n;
	}
	return all * pieces;
}

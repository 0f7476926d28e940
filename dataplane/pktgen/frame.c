/* A frame is built from scratch each time: Ethernet, IPv4 or IPv6, TCP or UDP, payload up to the size.
 * A span's value after v is v + inc, or min once that is past max, as in Pktgen-DPDK's range mode. */
#include "pktgen/frame.h"

#define ETH_BYTES 14
#define V4_BYTES 20
#define V6_BYTES 40
#define TCP_BYTES 20
#define UDP_BYTES 8
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

static uint64_t
sum(const uint8_t *p, unsigned len, uint64_t acc)
{
	for (; len >= 2; len -= 2, p += 2)
		acc += sl_load16(p);
	return len ? acc + *p : acc;
}

static uint16_t
fold(uint64_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

static unsigned
put_ip(uint8_t *p, const struct sl_script_packet *k, unsigned bytes, uint64_t *ret_pseudo)
{
	unsigned l4 = bytes - (k->v6 ? V6_BYTES : V4_BYTES);
	const uint8_t *src = k->src.b, *dst = k->dst.b;

	memset(p, 0, V4_BYTES);
	if (k->v6) {
		put32(p, 6u << 28 | (uint32_t)k->tos << 20);
		put16(p + 4, l4);
		p[6] = k->proto;
		p[7] = k->ttl;
		memcpy(p + 8, src, 16);
		memcpy(p + 24, dst, 16);
		*ret_pseudo = sum(p + 8, 32, sl_to_be16(l4) + sl_to_be16(k->proto));
		return V6_BYTES;
	}
	p[0] = 0x45;
	p[1] = k->tos;
	put16(p + 2, bytes);
	p[8] = k->ttl;
	p[9] = k->proto;
	memcpy(p + 12, src + 12, 4);
	memcpy(p + 16, dst + 12, 4);
	sl_store16(p + 10, fold(sum(p, V4_BYTES, 0)));
	*ret_pseudo = sum(p + 12, 8, sl_to_be16(l4) + sl_to_be16(k->proto));
	return V4_BYTES;
}

static void
put_l4(uint8_t *p, const struct sl_script_packet *k, unsigned bytes, uint64_t pseudo, bool zeros)
{
	unsigned head = k->proto == SL_IPPROTO_TCP ? TCP_BYTES : UDP_BYTES;
	uint8_t *csum = p + (k->proto == SL_IPPROTO_TCP ? 16 : 6);

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
	for (unsigned i = head; i < bytes; i++)
		p[i] = zeros ? 0 : (uint8_t)('a' + (i - head) % 26);
	uint16_t v = fold(sum(p, bytes, pseudo));
	sl_store16(csum, v || k->proto == SL_IPPROTO_TCP ? v : 0xffff);
}

static unsigned
build(const struct sl_script_packet *k, bool zeros, uint8_t *buf)
{
	unsigned len = k->size - SL_SCRIPT_FCS;
	uint64_t pseudo;

	put_mac(buf, k->dst_mac);
	put_mac(buf + 6, k->src_mac);
	put16(buf + 12, k->v6 ? 0x86dd : 0x0800);
	unsigned ip = put_ip(buf + ETH_BYTES, k, len - ETH_BYTES, &pseudo);
	put_l4(buf + ETH_BYTES + ip, k, len - ETH_BYTES - ip, pseudo, zeros);
	return len;
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
}

void
sl_frame_init(struct sl_frame *f, const struct sl_script_port *port)
{
	*f = (struct sl_frame){.port = port};
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
}

static void
step(struct sl_frame *f)
{
	const struct sl_script_port *port = f->port;

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
	unsigned len = build(k, f->port->zero_fill, buf);

	if (ret_tuple)
		*ret_tuple = (struct sl_tuple){.src = k->src,
					       .dst = k->dst,
					       .sport = sl_to_be16(k->sport),
					       .dport = sl_to_be16(k->dport),
					       .proto = k->proto};
	step(f);
	return len;
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
	uint64_t all = 1;

	if (port->mode != SL_SCRIPT_RANGE)
		return port->mode == SL_SCRIPT_SEQUENCE ? port->seq_cnt : 1;
	for (unsigned i = 0; i < SL_SPAN_CNT; i++) {
		const struct sl_script_span *s = &port->span[i];
		uint64_t n = s->inc ? (s->max - s->min) / s->inc + 1 : 1;

		n /= gcd(all, n);
		if (n > ((uint64_t)1 << 40) / all)
			return UINT64_MAX;
		all *= n;
	}
	return all;
}

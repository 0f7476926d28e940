/* An ICMP error and the packet it quotes:
 *
 *   outer IP │ ICMP 8 │ quoted IP … │ quoted L4: 8 bytes or more │ (RFC 4884: padding, extensions)
 *            l4_off   inner_off = l4_off + 8
 *
 * Three checksums can change with an edit: the quoted IPv4 header's, the quoted L4's, and that of the ICMP message,
 * which covers the other two.  Each change of a word adds ~m + m' to the sums above it (lb/rewrite.c); all words lie
 * at even distances from where the sums begin.
 */
#include "dataplane/icmp_error.h"

#include "lb/rewrite.h"

#define ETH_LEN 14
#define IP4_LEN 20
#define IP6_LEN 40
#define ICMP_LEN 8
#define PORTS_LEN 4
#define PROTO_IP4 4
#define PROTO_IP6 41
#define GUE_HEADERS 12 /* UDP and GUE */
#define INNER_L4 8     /* of the inner packet, before it is quoted to its sender */
#define LONG_QUOTE 128 /* RFC 4884: what has extensions behind it is at least this long */
#define TTL 64
#define QUOTE4_MAX (576 - IP4_LEN - ICMP_LEN)  /* RFC 1812, 4.3.2.3 */
#define QUOTE6_MAX (1280 - IP6_LEN - ICMP_LEN) /* RFC 4443, 2.4 */
#define TOS_CONTROL 0xc0                       /* RFC 1812, 4.3.2.5 */
#define DONT_FRAGMENT 0x40

enum { UNREACHABLE4 = 3, QUENCH4 = 4, REDIRECT4 = 5, EXCEEDED4 = 11, PARAMETER4 = 12 };
enum { UNREACHABLE6 = 1, TOO_BIG6 = 2, EXCEEDED6 = 3, PARAMETER6 = 4 };
enum { INFORMATION6 = 128, REDIRECT6 = 137 };
enum { NEEDS_FRAGMENTS = 4 };
enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DST_OPTIONS = 60, EXT_MAX = 4 };

/* ---- reading ---- */

/* The quoted packet: `ip` its header, n bytes of it are there. */
struct quote {
	const uint8_t *ip;
	uint32_t n;
	uint32_t l4_off; /* from ip */
	uint8_t proto;
};

static bool
passed_on(const struct sl_pkt *p, uint8_t type)
{
	if (p->flags & SL_PKT_V4)
		return type == UNREACHABLE4 || type == EXCEEDED4 || type == PARAMETER4;
	return type >= UNREACHABLE6 && type <= PARAMETER6;
}

static enum sl_drop
quote4(struct quote *q)
{
	if (q->n < IP4_LEN)
		return SL_DROP_ICMP_ERROR;
	q->l4_off = (q->ip[0] & 15) * 4u;
	if (q->ip[0] >> 4 != 4 || q->l4_off < IP4_LEN)
		return SL_DROP_L4_HEADER;
	if (sl_load16(q->ip + 6) & sl_to_be16(0x1fff))
		return SL_DROP_ICMP_ERROR;
	q->proto = q->ip[9];
	return SL_DROP_NONE;
}

static bool
is_ext(uint8_t type)
{
	return type == EXT_HOP_BY_HOP || type == EXT_ROUTING || type == EXT_FRAGMENT ||
	       type == EXT_DST_OPTIONS;
}

static enum sl_drop
quote6(struct quote *q)
{
	if (q->n < IP6_LEN)
		return SL_DROP_ICMP_ERROR;
	if (q->ip[0] >> 4 != 6)
		return SL_DROP_L4_HEADER;
	q->l4_off = IP6_LEN;
	q->proto = q->ip[6];
	for (unsigned i = 0; is_ext(q->proto); i++) {
		const uint8_t *h = q->ip + q->l4_off;
		if (i == EXT_MAX || q->n - q->l4_off < 8)
			return SL_DROP_ICMP_ERROR;
		bool fragment = q->proto == EXT_FRAGMENT;
		if (fragment && (sl_load16(h + 2) & sl_to_be16(0xfff8)))
			return SL_DROP_ICMP_ERROR;
		uint32_t size = fragment ? 8 : (h[1] + 1u) * 8;
		if (size > q->n - q->l4_off)
			return SL_DROP_ICMP_ERROR;
		q->l4_off += size;
		q->proto = h[0];
	}
	return SL_DROP_NONE;
}

/* The quoted packet of a message that lies at p->l4_off.  It ends with the message, with its own length, and where
 * the message says that extensions begin (RFC 4884: in words of 4 or 8 bytes). */
static enum sl_drop
find_quoted_ip(const struct sl_pkt *p, struct quote *q)
{
	const uint8_t *icmp = p->data + p->l4_off;
	bool v4 = p->flags & SL_PKT_V4;
	uint32_t said = v4 ? icmp[5] * 4u : icmp[4] * 8u;

	*q = (struct quote){.ip = icmp + ICMP_LEN, .n = p->l4_len - ICMP_LEN};
	/* in IPv6 the others have an MTU or a pointer there */
	bool has_length = v4 || icmp[0] == UNREACHABLE6 || icmp[0] == EXCEEDED6;
	if (has_length && said >= LONG_QUOTE)
		q->n = SL_MIN(q->n, said);
	enum sl_drop why = v4 ? quote4(q) : quote6(q);
	if (why != SL_DROP_NONE)
		return why;
	uint32_t total = v4 ? sl_from_be16(sl_load16(q->ip + 2))
			    : IP6_LEN + (uint32_t)sl_from_be16(sl_load16(q->ip + 4));
	q->n = SL_MIN(q->n, total);
	return q->n < q->l4_off ? SL_DROP_ICMP_ERROR : SL_DROP_NONE;
}

/* Of a TCP or UDP packet, with its ports. */
static enum sl_drop
find_quote(const struct sl_pkt *p, struct quote *q)
{
	enum sl_drop why = find_quoted_ip(p, q);

	if (why != SL_DROP_NONE)
		return why;
	if (q->proto != SL_IPPROTO_TCP && q->proto != SL_IPPROTO_UDP)
		return SL_DROP_ICMP_ERROR;
	return q->n - q->l4_off < PORTS_LEN ? SL_DROP_ICMP_ERROR : SL_DROP_NONE;
}

static bool
sum_ok(const struct sl_pkt *p)
{
	uint64_t sum = p->flags & SL_PKT_V4 ? 0
					    : sl_csum_pseudo(&p->tuple.src, &p->tuple.dst,
							     SL_IPPROTO_ICMP6, p->l4_len);

	return sl_csum_fold(sl_csum_add(sum, p->data + p->l4_off, p->l4_len)) == 0xffff;
}

/* The quote's tuple turned round.  An IPv6 quote must not name IPv4 flows. */
static bool
turn(bool v4, const struct quote *q, struct sl_tuple *ret_tuple)
{
	const uint8_t *l4 = q->ip + q->l4_off;
	struct sl_tuple t = {
		.src = v4 ? sl_addr_from_v4(q->ip + 16) : sl_addr_from_v6(q->ip + 24),
		.dst = v4 ? sl_addr_from_v4(q->ip + 12) : sl_addr_from_v6(q->ip + 8),
		.sport = sl_load16(l4 + 2),
		.dport = sl_load16(l4),
		.proto = q->proto,
	};

	if (!v4 && (sl_addr_is_v4(&t.src) || sl_addr_is_v4(&t.dst)))
		return false;
	*ret_tuple = t;
	return true;
}

enum sl_drop
sl_icmp_error_read(struct sl_pkt *p, unsigned *ret_inner_off)
{
	const uint8_t *icmp = p->data + p->l4_off;
	struct sl_tuple t;
	struct quote q;

	if (p->l4_len < ICMP_LEN)
		return SL_DROP_L4_HEADER;
	if (!(p->flags & SL_PKT_ICMP) || (p->flags & SL_PKT_BCAST) || !passed_on(p, icmp[0]))
		return SL_DROP_ICMP_IGNORED;
	if (!sum_ok(p))
		return SL_DROP_L4_CSUM;
	enum sl_drop why = find_quote(p, &q);
	if (why != SL_DROP_NONE)
		return why;
	if (!turn(p->flags & SL_PKT_V4, &q, &t))
		return SL_DROP_ICMP_ERROR;
	p->tuple = t;
	p->flags |= SL_PKT_ICMP_ERR;
	*ret_inner_off = (unsigned)p->l4_off + ICMP_LEN;
	return SL_DROP_NONE;
}

/* The packet inside a quoted tunnel packet, at `at` from the beginning of the quote, as far as it is there: enough for an
 * answer, or len 0.  What was cut on its way (IPv4 without DF) needs none. */
static void
find_inner(const struct quote *q, uint32_t at, uint8_t proto, struct sl_icmp_tunnel *ret)
{
	bool v4 = proto == PROTO_IP4;
	struct quote in = {.ip = q->ip + at, .n = q->n > at ? q->n - at : 0};
	struct sl_tuple back;

	if ((v4 ? quote4(&in) : quote6(&in)) != SL_DROP_NONE ||
	    (in.proto != SL_IPPROTO_TCP && in.proto != SL_IPPROTO_UDP) || in.n < in.l4_off ||
	    in.n - in.l4_off < INNER_L4 || (v4 && !(in.ip[6] & DONT_FRAGMENT)) ||
	    !turn(v4, &in, &back))
		return;
	ret->inner_sent = v4 ? sl_from_be16(sl_load16(in.ip + 2))
			     : IP6_LEN + (uint32_t)sl_from_be16(sl_load16(in.ip + 4));
	ret->inner = (struct sl_pkt){
		.data = (uint8_t *)(uintptr_t)in.ip - ETH_LEN,
		.l3_off = ETH_LEN,
		.len = (uint16_t)(ETH_LEN + SL_MIN(in.n, ret->inner_sent)),
		.flags = v4 ? SL_PKT_V4 : 0,
		.tuple = {.src = back.dst,
			  .dst = back.src,
			  .sport = back.dport,
			  .dport = back.sport,
			  .proto = back.proto},
	};
}

bool
sl_icmp_tunnel_read(const struct sl_pkt *p, struct sl_icmp_tunnel *ret)
{
	const uint8_t *icmp = p->data + p->l4_off;
	bool v4 = p->flags & SL_PKT_V4;
	struct quote q;

	if (!(p->flags & SL_PKT_ICMP) || (p->flags & SL_PKT_BCAST) || p->l4_len < ICMP_LEN)
		return false;
	if (v4 ? icmp[0] != UNREACHABLE4 || icmp[1] != NEEDS_FRAGMENTS : icmp[0] != TOO_BIG6)
		return false;
	if (find_quoted_ip(p, &q) != SL_DROP_NONE)
		return false;
	const uint8_t *l4 = q.ip + q.l4_off;
	bool udp = q.proto == SL_IPPROTO_UDP;
	if ((!udp && q.proto != PROTO_IP4 && q.proto != PROTO_IP6) ||
	    (udp && q.n - q.l4_off < PORTS_LEN) || !sum_ok(p))
		return false;
	*ret = (struct sl_icmp_tunnel){
		.src = v4 ? sl_addr_from_v4(q.ip + 12) : sl_addr_from_v6(q.ip + 8),
		.dst = v4 ? sl_addr_from_v4(q.ip + 16) : sl_addr_from_v6(q.ip + 24),
		.udp_port = udp ? sl_load16(l4 + 2) : 0,
		.udp = udp,
		.mtu = v4 ? sl_from_be16(sl_load16(icmp + 6)) : sl_from_be32(sl_load32(icmp + 4)),
		.sent = v4 ? sl_from_be16(sl_load16(q.ip + 2))
			   : IP6_LEN + (uint32_t)sl_from_be16(sl_load16(q.ip + 4)),
	};
	if (!udp)
		find_inner(&q, q.l4_off, q.proto, ret);
	else if (q.n - q.l4_off >= GUE_HEADERS && l4[8] == 0 && sl_load16(l4 + 10) == 0 &&
		 (l4[9] == PROTO_IP4 || l4[9] == PROTO_IP6))
		find_inner(&q, q.l4_off + GUE_HEADERS, l4[9], ret);
	return true;
}

/* ---- editing ---- */

/* Puts n bytes (an even number) over `at`; what that adds to a sum that covers them. */
static uint64_t
put(uint8_t *at, const void *is, unsigned n)
{
	uint64_t delta = 0;

	for (unsigned i = 0; i < n; i += 2)
		delta +=
			(uint64_t)(uint16_t)~sl_load16(at + i) + sl_load16((const uint8_t *)is + i);
	memcpy(at, is, n);
	return delta;
}

/* A checksum over words that changed by delta follows; what its own change adds to a sum that covers it. */
static uint64_t
follow(uint8_t *csum, uint64_t delta)
{
	uint16_t was = (uint16_t)~sl_load16(csum);
	uint16_t is = (uint16_t)~sl_csum_fold(was + delta);

	return put(csum, &is, 2);
}

static uint64_t
put_addr(const struct sl_pkt *p, uint8_t *at4, uint8_t *at6, const struct sl_addr *addr)
{
	if (!addr)
		return 0;
	return p->flags & SL_PKT_V4 ? put(at4, addr->b + 12, 4) : put(at6, addr->b, 16);
}

static uint64_t
put_port(uint8_t *at, sl_be16 port)
{
	return port ? put(at, &port, 2) : 0;
}

/* UDP's 0 says that there is none (RFC 768). */
static uint64_t
follow_l4(const struct quote *q, uint8_t *l4, uint64_t delta)
{
	bool udp = q->proto == SL_IPPROTO_UDP;
	uint8_t *csum = l4 + (udp ? 6 : 16);
	const uint16_t ones = UINT16_MAX;

	if (q->n - q->l4_off < (udp ? 8u : 18u) || (udp && sl_load16(csum) == 0))
		return 0;
	uint64_t own = follow(csum, delta);
	return udp && sl_load16(csum) == 0 ? own + put(csum, &ones, 2) : own;
}

void
sl_icmp_error_edit(struct sl_pkt *p, unsigned inner_off, const struct sl_icmp_edit *edit)
{
	uint8_t *ip = p->data + p->l3_off, *inner = p->data + inner_off;
	bool v4 = p->flags & SL_PKT_V4;
	struct quote q;

	if (find_quote(p, &q) != SL_DROP_NONE)
		return;
	uint8_t *l4 = inner + q.l4_off;
	uint64_t addrs = put_addr(p, inner + 12, inner + 8, edit->inner_src);
	addrs += put_addr(p, inner + 16, inner + 24, edit->inner_dst);
	uint64_t message = addrs;
	if (v4)
		message += follow(inner + 10, addrs);
	uint64_t ports = put_port(l4, edit->inner_sport);
	ports += put_port(l4 + 2, edit->inner_dport);
	message += ports + follow_l4(&q, l4, addrs + ports);

	uint64_t outer = put_addr(p, ip + 12, ip + 8, edit->outer_src);
	outer += put_addr(p, ip + 16, ip + 24, edit->outer_dst);
	if (v4)
		follow(ip + 10, outer);
	else
		message += outer;
	follow(p->data + p->l4_off + 2, message);
}

/* ---- our own ---- */

/* RFC 1122, 3.2.2 and RFC 4443, 2.4 (e): what no error may be sent about. */
static bool
may_answer(const struct sl_pkt *p)
{
	const uint8_t *ip = p->data + p->l3_off;
	bool v4 = p->flags & SL_PKT_V4;
	struct sl_addr src = v4 ? sl_addr_from_v4(ip + 12) : sl_addr_from_v6(ip + 8);

	if (p->flags & (SL_PKT_FRAG_LATER | SL_PKT_BCAST | SL_PKT_ICMP_ERR))
		return false;
	if (!sl_addr_src_ok(&src))
		return false;
	if (v4 ? (ip[16] & 0xf0) == 0xe0 || sl_load32(ip + 16) == UINT32_MAX : ip[24] == 0xff)
		return false;
	if (!(p->flags & SL_PKT_ICMP))
		return true;
	uint8_t type = p->data[p->l4_off];
	if (!v4)
		return type >= INFORMATION6 && type != REDIRECT6;
	return !passed_on(p, type) && type != QUENCH4 && type != REDIRECT4;
}

static unsigned
too_big4(const uint8_t *ip, unsigned n, uint16_t mtu, uint8_t *out)
{
	uint8_t *icmp = out + IP4_LEN;
	unsigned quoted = SL_MIN(n, (unsigned)QUOTE4_MAX), total = IP4_LEN + ICMP_LEN + quoted;

	memset(out, 0, IP4_LEN + ICMP_LEN);
	out[0] = 0x45;
	out[1] = TOS_CONTROL;
	sl_store16(out + 2, sl_to_be16(total));
	out[6] = DONT_FRAGMENT;
	out[8] = TTL;
	out[9] = SL_IPPROTO_ICMP;
	memcpy(out + 12, ip + 16, 4);
	memcpy(out + 16, ip + 12, 4);
	sl_store16(out + 10, (uint16_t)~sl_csum_fold(sl_csum_add(0, out, IP4_LEN)));
	icmp[0] = UNREACHABLE4;
	icmp[1] = NEEDS_FRAGMENTS;
	sl_store16(icmp + 6, sl_to_be16(mtu));
	memcpy(icmp + ICMP_LEN, ip, quoted);
	sl_store16(icmp + 2, (uint16_t)~sl_csum_fold(sl_csum_add(0, icmp, ICMP_LEN + quoted)));
	return total;
}

static unsigned
too_big6(const uint8_t *ip, unsigned n, uint16_t mtu, uint8_t *out)
{
	uint8_t *icmp = out + IP6_LEN;
	unsigned quoted = SL_MIN(n, (unsigned)QUOTE6_MAX), message = ICMP_LEN + quoted;
	struct sl_addr src = sl_addr_from_v6(ip + 24), dst = sl_addr_from_v6(ip + 8);

	memset(out, 0, IP6_LEN + ICMP_LEN);
	out[0] = 0x60;
	sl_store16(out + 4, sl_to_be16(message));
	out[6] = SL_IPPROTO_ICMP6;
	out[7] = TTL;
	memcpy(out + 8, src.b, 16);
	memcpy(out + 24, dst.b, 16);
	icmp[0] = TOO_BIG6;
	sl_store32(icmp + 4, sl_to_be32(mtu));
	memcpy(icmp + ICMP_LEN, ip, quoted);
	uint64_t sum = sl_csum_pseudo(&src, &dst, SL_IPPROTO_ICMP6, message);
	sl_store16(icmp + 2, (uint16_t)~sl_csum_fold(sl_csum_add(sum, icmp, message)));
	return IP6_LEN + message;
}

unsigned
sl_icmp_too_big(const struct sl_pkt *p, uint16_t mtu, uint8_t *frame)
{
	const uint8_t *ip = p->data + p->l3_off;
	unsigned n = (unsigned)p->len - p->l3_off;

	if (!may_answer(p))
		return 0;
	memcpy(frame, p->data + 6, 6);
	memcpy(frame + 6, p->data, 6);
	sl_store16(frame + 12, p->flags & SL_PKT_V4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));
	return ETH_LEN + (p->flags & SL_PKT_V4 ? too_big4(ip, n, mtu, frame + ETH_LEN)
					       : too_big6(ip, n, mtu, frame + ETH_LEN));
}

/* Ethernet → IPv4 or IPv6 → TCP, UDP, ICMP; ARP.
 *
 *   data ──14──▶ l3_off ──20..60 │ 40 + extensions──▶ l4_off ──l4_len──▶ end of datagram = p->len
 *
 * The straight way is IPv4 without options, then IPv6 without extensions, each into TCP or UDP; ipv4() is
 * compiled twice, once with a header length of 20 known to the compiler.  Every length is checked against
 * what is left before the bytes behind it are read, so nothing past data[len) is touched.
 *
 * Order of refusal is from outside in: a frame is given the reason of its outermost fault.
 */
#include "dataplane/parse.h"

#define ETH_LEN 14
#define ARP_LEN 28
#define IP4_LEN 20
#define IP6_LEN 40
#define TCP_LEN 20
#define UDP_LEN 8
#define ICMP_LEN 8

#define BE16(v) ((uint16_t)((((v)&0xff) << 8) | ((v) >> 8)))
#define ETHERTYPE_IP4 BE16(0x0800)
#define ETHERTYPE_ARP BE16(0x0806)
#define ETHERTYPE_IP6 BE16(0x86dd)
#define FRAGMENT_BITS BE16(0x3fff) /* more fragments, offset */

#define DRIVER_FLAGS (SL_PKT_IP_CSUM_OK | SL_PKT_L4_CSUM_BAD | SL_PKT_DRY | SL_PKT_OWNED)
#define GROUP_TO_BCAST 11
static_assert(1 << GROUP_TO_BCAST == SL_PKT_BCAST, "the group bit is shifted into place");

enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DST_OPTIONS = 60 };
#define EXT_MAX 4
#define L4_OFF_MAX 255

enum { ND_ROUTER_SOLICIT = 133, ND_NEIGH_SOLICIT = 135, ND_REDIRECT = 137 };

/* One bit for each value of FIN|SYN|RST|PSH|ACK|URG: null, SYN+FIN and SYN+RST are refused. */
#define FLAGS_BAD(f) ((f) == 0 || ((f)&3) == 3 || ((f)&6) == 6)
#define FLAGS_ROW(f) ((uint64_t)FLAGS_BAD(f) << (f))
#define FLAGS_4(f) (FLAGS_ROW(f) | FLAGS_ROW((f) + 1) | FLAGS_ROW((f) + 2) | FLAGS_ROW((f) + 3))
#define FLAGS_16(f) (FLAGS_4(f) | FLAGS_4((f) + 4) | FLAGS_4((f) + 8) | FLAGS_4((f) + 12))
static const uint64_t flags_bad = FLAGS_16(0) | FLAGS_16(16) | FLAGS_16(32) | FLAGS_16(48);

/* The last 8 bytes of the tuple in one store: ports, protocol, three zeros. */
static inline void
set_ports(struct sl_pkt *p, uint32_t ports, uint8_t proto)
{
	sl_store64(&p->tuple.sport, ports | (uint64_t)proto << 32);
}

static inline void
set_v4(struct sl_addr *a, uint32_t four)
{
	sl_store64(a->b, 0);
	sl_store64(a->b + 8, 0xffff0000u | (uint64_t)four << 32);
}

static inline void
set_v6(struct sl_addr *a, const uint8_t *sixteen)
{
	uint64_t high = sl_load64(sixteen), low = sl_load64(sixteen + 8);

	sl_store64(a->b, high);
	sl_store64(a->b + 8, low);
}

/* ---- transport ---- */

static inline enum sl_drop
tcp(struct sl_pkt *p, const uint8_t *h, uint32_t len)
{
	if (sl_unlikely(len < TCP_LEN))
		return SL_DROP_L4_HEADER;
	uint32_t header = (h[12] >> 4) * 4u;
	if (sl_unlikely(header < TCP_LEN || header > len))
		return SL_DROP_L4_HEADER;
	if (sl_unlikely(flags_bad >> (h[13] & 63) & 1))
		return SL_DROP_TCP_FLAGS;
	p->tcp_flags = h[13];
	p->flags |= SL_PKT_TCP;
	set_ports(p, sl_load32(h), SL_IPPROTO_TCP);
	return SL_DROP_NONE;
}

static inline enum sl_drop
udp(struct sl_pkt *p, const uint8_t *h, uint32_t len)
{
	if (sl_unlikely(len < UDP_LEN || sl_from_be16(sl_load16(h + 4)) != len))
		return SL_DROP_L4_HEADER;
	p->flags |= SL_PKT_UDP;
	set_ports(p, sl_load32(h), SL_IPPROTO_UDP);
	return SL_DROP_NONE;
}

static enum sl_drop
icmp(struct sl_pkt *p, const uint8_t *h, uint32_t len, uint8_t proto)
{
	if (len < ICMP_LEN)
		return SL_DROP_L4_HEADER;
	p->flags |= SL_PKT_ICMP;
	if (proto == SL_IPPROTO_ICMP6 && h[0] >= ND_ROUTER_SOLICIT && h[0] <= ND_REDIRECT)
		p->flags |= SL_PKT_ND;
	set_ports(p, 0, proto);
	return SL_DROP_NONE;
}

/* The datagram's last `len` bytes, from data + off, are of protocol proto; icmp_proto is its family's. */
static inline enum sl_drop
transport(struct sl_pkt *p, uint32_t off, uint32_t len, uint8_t proto, uint8_t icmp_proto)
{
	const uint8_t *h = p->data + off;

	p->l4_off = (uint8_t)off;
	p->l4_len = len;
	if (sl_unlikely(p->flags & SL_PKT_L4_CSUM_BAD))
		return SL_DROP_L4_CSUM;
	if (sl_likely(proto == SL_IPPROTO_TCP))
		return tcp(p, h, len);
	if (sl_likely(proto == SL_IPPROTO_UDP))
		return udp(p, h, len);
	if (proto == icmp_proto)
		return icmp(p, h, len, proto);
	return SL_DROP_PROTOCOL;
}

/* ---- fragments ---- */

/* What a fragment says of its place in the datagram. */
struct piece {
	uint32_t off;    /* of this piece in the datagram's fragmentable part */
	uint32_t before; /* bytes that the datagram's length counts besides that part */
	uint32_t id;
	bool more;
};

/* Of UDP the first fragment has the header; its length is that of the whole datagram, so more than is here. */
static enum sl_drop
first_udp(struct sl_pkt *p, const uint8_t *h, uint32_t len)
{
	if (len < UDP_LEN || sl_from_be16(sl_load16(h + 4)) <= len)
		return SL_DROP_L4_HEADER;
	p->flags |= SL_PKT_UDP;
	set_ports(p, sl_load32(h), SL_IPPROTO_UDP);
	return SL_DROP_NONE;
}

static enum sl_drop
first_piece(struct sl_pkt *p, uint32_t len, uint8_t proto)
{
	const uint8_t *h = p->data + p->l4_off;

	if (proto == SL_IPPROTO_TCP)
		return tcp(p, h, len);
	if (proto == SL_IPPROTO_UDP)
		return first_udp(p, h, len);
	return SL_DROP_PROTOCOL;
}

/* A first TCP fragment has the whole header, and so 24 bytes: what claims to begin inside them is there to replace
 * them behind a filter's back (RFC 1858, 3128).  In IPv6 the header that follows may be one of options. */
static enum sl_drop
later_piece(struct sl_pkt *p, const struct piece *f, uint8_t proto)
{
	p->flags |= SL_PKT_FRAG_LATER;
	set_ports(p, 0, proto);
	if (proto == SL_IPPROTO_TCP) {
		p->flags |= SL_PKT_TCP;
		return f->off < TCP_LEN ? SL_DROP_FRAGMENT : SL_DROP_NONE;
	}
	if (proto == SL_IPPROTO_UDP) {
		p->flags |= SL_PKT_UDP;
		return SL_DROP_NONE;
	}
	return proto == EXT_DST_OPTIONS && (p->flags & SL_PKT_V6) ? SL_DROP_NONE : SL_DROP_PROTOCOL;
}

/* The fragmentable part's bytes begin at data + part; of the first fragment, its transport header at data + off.
 * A driver's word on the L4 checksum of a fragment means nothing. */
static enum sl_drop
fragment(struct sl_pkt *p, uint32_t part, uint32_t off, const struct piece *f, uint8_t proto,
	 uint8_t icmp_proto)
{
	uint32_t len = p->len - part;

	p->l4_off = (uint8_t)off;
	p->l4_len = p->len - off;
	p->frag_off = (uint16_t)f->off;
	p->frag_more = f->more;
	p->frag_id = f->id;
	p->flags |= SL_PKT_FRAG;
	if (len == 0 || (f->more && len % 8 != 0) || f->before + f->off + len > UINT16_MAX)
		return SL_DROP_FRAGMENT;
	if (proto == icmp_proto)
		return SL_DROP_FRAGMENT;
	return f->off == 0 ? first_piece(p, p->l4_len, proto) : later_piece(p, f, proto);
}

/* ---- IPv4 ---- */

/* RFC 1071: the sum over a header with its checksum in place is all ones. */
static inline bool
header_sum_ok(const uint8_t *ip, uint32_t header)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < header; i += 4)
		sum += sl_load32(ip + i);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* What an address that begins with this byte cannot be.  Limited broadcast begins like others. */
enum { NO_SRC = 1, NO_DST = 2 };
static const uint8_t v4_first[256] = {
	[0] = NO_SRC | NO_DST,
	[127] = NO_SRC | NO_DST,
	[224 ... 239] = NO_SRC,
};

/* The same answer as sl_addr_src_ok and sl_addr_dst_ok, on the 4 bytes as loaded. */
static inline bool
v4_martian(uint32_t src, uint32_t dst)
{
	return (v4_first[(uint8_t)src] & NO_SRC) || (v4_first[(uint8_t)dst] & NO_DST) ||
	       src == UINT32_MAX;
}

/* Source routes would let a sender choose its way round the listeners; a lying option length could hide
 * one. */
static bool
options_ok(const uint8_t *opt, uint32_t n)
{
	enum { END = 0, NOP = 1, LOOSE_ROUTE = 131, STRICT_ROUTE = 137 };

	for (uint32_t i = 0; i < n;) {
		if (opt[i] == END)
			return true;
		if (opt[i] == NOP) {
			i++;
			continue;
		}
		if (opt[i] == LOOSE_ROUTE || opt[i] == STRICT_ROUTE)
			return false;
		if (n - i < 2 || opt[i + 1] < 2 || opt[i + 1] > n - i)
			return false;
		i += opt[i + 1];
	}
	return true;
}

static SL_COLD enum sl_drop
fragment4(struct sl_pkt *p, uint32_t header)
{
	const uint8_t *ip = p->data + ETH_LEN;
	uint16_t bits = sl_from_be16(sl_load16(ip + 6));
	const struct piece f = {.off = (bits & 0x1fffu) * 8,
				.before = header,
				.id = sl_load16(ip + 4),
				.more = bits & 0x2000};

	return fragment(p, ETH_LEN + header, ETH_LEN + header, &f, ip[9], SL_IPPROTO_ICMP);
}

/* The frame has ETH_LEN + IP4_LEN bytes at least; header in [20,60]. */
static inline __attribute__((always_inline)) enum sl_drop
ipv4(struct sl_pkt *p, uint32_t header)
{
	const uint8_t *ip = p->data + ETH_LEN;
	uint32_t total = sl_from_be16(sl_load16(ip + 2));
	uint32_t src = sl_load32(ip + 12), dst = sl_load32(ip + 16);

	if (sl_unlikely(total < header || total > (uint32_t)p->len - ETH_LEN))
		return SL_DROP_IP_HEADER;
	p->len = (uint16_t)(ETH_LEN + total);
	p->flags |= SL_PKT_V4;
	if (!(p->flags & SL_PKT_IP_CSUM_OK) && sl_unlikely(!header_sum_ok(ip, header)))
		return SL_DROP_IP_CSUM;
	if (header > IP4_LEN && !options_ok(ip + IP4_LEN, header - IP4_LEN))
		return SL_DROP_IP_OPTIONS;
	if (sl_unlikely(v4_martian(src, dst)))
		return SL_DROP_MARTIAN;
	set_v4(&p->tuple.src, src);
	set_v4(&p->tuple.dst, dst);
	if (sl_unlikely(sl_load16(ip + 6) & FRAGMENT_BITS))
		return fragment4(p, header);
	return transport(p, ETH_LEN + header, total - header, ip[9], SL_IPPROTO_ICMP);
}

static enum sl_drop __attribute__((noinline)) ipv4_odd(struct sl_pkt *p)
{
	uint32_t first = p->data[ETH_LEN], header = (first & 15) * 4;

	if (first >> 4 != 4)
		return SL_DROP_IP_VERSION;
	if (header < IP4_LEN)
		return SL_DROP_IP_HEADER;
	return ipv4(p, header);
}

/* ---- IPv6 ---- */

/* Only addresses whose upper half is 0 or that are multicast need a closer look. */
static bool __attribute__((noinline)) v6_martian(const struct sl_pkt *p, bool *ret_unspecified)
{
	static const struct sl_addr unspecified;

	*ret_unspecified = sl_addr_eq(&p->tuple.src, &unspecified);
	if (sl_addr_is_v4(&p->tuple.src) || sl_addr_is_v4(&p->tuple.dst))
		return true;
	return (!*ret_unspecified && !sl_addr_src_ok(&p->tuple.src)) ||
	       !sl_addr_dst_ok(&p->tuple.dst);
}

/* Options of a hop-by-hop or destination header: lengths add up.  Every node has to act on hop-by-hop
 * options, and one we do not know whose upper bits say "discard" (RFC 8200, 4.2) ends the packet; so does
 * a jumbo payload (RFC 2675). */
static bool
ext_options_ok(const uint8_t *opt, uint32_t n, bool hop_by_hop)
{
	for (uint32_t i = 0; i < n;) {
		if (opt[i] == 0) {
			i++;
			continue;
		}
		if (n - i < 2 || opt[i + 1] > n - i - 2 || (hop_by_hop && opt[i] >> 6 != 0))
			return false;
		i += 2u + opt[i + 1];
	}
	return true;
}

struct ext_seen {
	uint8_t cnt, routing, fragment, dst_options;
};

/* Checks one extension header at h with `left` bytes to the end of the datagram; its length goes to
 * *ret_size. */
static enum sl_drop
ext_header(struct ext_seen *seen, uint8_t type, const uint8_t *h, uint32_t left, uint32_t *ret_size)
{
	if (seen->cnt++ == EXT_MAX || left < 8)
		return SL_DROP_EXT_HEADER;
	uint32_t size = type == EXT_FRAGMENT ? 8 : (h[1] + 1u) * 8;
	if (size > left)
		return SL_DROP_EXT_HEADER;
	*ret_size = size;

	switch (type) {
	case EXT_HOP_BY_HOP: /* only directly behind the IPv6 header */
		return seen->cnt == 1 && ext_options_ok(h + 2, size - 2, true) ? SL_DROP_NONE
									       : SL_DROP_EXT_HEADER;
	case EXT_DST_OPTIONS: /* once before a routing header, once before the transport */
		return seen->dst_options++ < 2 && ext_options_ok(h + 2, size - 2, false)
			       ? SL_DROP_NONE
			       : SL_DROP_EXT_HEADER;
	case EXT_ROUTING: /* type 0: RFC 5095; segments left: dst is not where it ends */
		return seen->routing++ == 0 && h[2] != 0 && h[3] == 0 ? SL_DROP_NONE
								      : SL_DROP_EXT_HEADER;
	default: /* fragment */
		return seen->fragment++ == 0 ? SL_DROP_NONE : SL_DROP_EXT_HEADER;
	}
}

static bool
is_ext(uint8_t type)
{
	return type == EXT_HOP_BY_HOP || type == EXT_ROUTING || type == EXT_FRAGMENT ||
	       type == EXT_DST_OPTIONS;
}

/* What a walk found.  part: where the fragmentable part begins, 0: no fragment, or one that is the whole datagram
 * (RFC 6946). */
struct ext_found {
	uint32_t off, part;
	struct piece piece;
	uint8_t proto;
};

/* Walks from r->off; afterwards r->proto is that of the transport header at r->off.  Behind the fragment header of a
 * later fragment there is payload; a first one must hold all headers (RFC 7112). */
static enum sl_drop
ext_walk(const struct sl_pkt *p, struct ext_found *r)
{
	struct ext_seen seen = {0};
	bool later = false;

	while (is_ext(r->proto) && !later) {
		const uint8_t *h = p->data + r->off;
		uint32_t size;
		enum sl_drop why = ext_header(&seen, r->proto, h, p->len - r->off, &size);
		if (why != SL_DROP_NONE)
			return why;
		r->off += size;
		if (r->proto == EXT_FRAGMENT && (sl_load16(h + 2) & BE16(0xfff9))) {
			uint16_t bits = sl_from_be16(sl_load16(h + 2));
			r->part = r->off;
			r->piece = (struct piece){.off = bits & 0xfff8u,
						  .before = r->off - 8 - ETH_LEN - IP6_LEN,
						  .id = sl_load32(h + 4),
						  .more = bits & 1};
			later = r->piece.off != 0;
		}
		r->proto = h[0];
	}
	return r->off > L4_OFF_MAX ? SL_DROP_EXT_HEADER : SL_DROP_NONE;
}

/* Extension headers, then the transport header or a fragment's payload. */
static enum sl_drop __attribute__((noinline)) ipv6_ext(struct sl_pkt *p, uint8_t proto)
{
	struct ext_found r = {.off = ETH_LEN + IP6_LEN, .proto = proto};
	enum sl_drop why = ext_walk(p, &r);

	if (why != SL_DROP_NONE)
		return why;
	if (r.part)
		return fragment(p, r.part, r.off, &r.piece, r.proto, SL_IPPROTO_ICMP6);
	return transport(p, r.off, p->len - r.off, r.proto, SL_IPPROTO_ICMP6);
}

/* Only a host that has no address yet may leave its source empty, and only to solicit (RFC 4861, 4.1
 * and 4.3). */
static bool
may_be_unspecified(const struct sl_pkt *p)
{
	uint8_t type = p->data[p->l4_off];

	return (p->flags & SL_PKT_ND) && (type == ND_ROUTER_SOLICIT || type == ND_NEIGH_SOLICIT);
}

static enum sl_drop
ipv6(struct sl_pkt *p)
{
	const uint8_t *ip = p->data + ETH_LEN;
	uint32_t off = ETH_LEN + IP6_LEN;
	bool unspecified = false;

	if (sl_unlikely(p->len < ETH_LEN + IP6_LEN))
		return SL_DROP_RUNT;
	if (sl_unlikely(ip[0] >> 4 != 6))
		return SL_DROP_IP_VERSION;
	uint32_t payload = sl_from_be16(sl_load16(ip + 4));
	if (sl_unlikely(payload > p->len - off))
		return SL_DROP_IP_HEADER;
	p->len = (uint16_t)(off + payload);
	p->flags |= SL_PKT_V6;
	set_v6(&p->tuple.src, ip + 8);
	set_v6(&p->tuple.dst, ip + 24);
	if (sl_unlikely(sl_load64(ip + 8) == 0 || sl_load64(ip + 24) == 0 || ip[8] == 0xff) &&
	    v6_martian(p, &unspecified))
		return SL_DROP_MARTIAN;
	enum sl_drop why = sl_unlikely(is_ext(ip[6]))
				   ? ipv6_ext(p, ip[6])
				   : transport(p, off, p->len - off, ip[6], SL_IPPROTO_ICMP6);
	if (sl_unlikely(unspecified) && why == SL_DROP_NONE && !may_be_unspecified(p))
		return SL_DROP_MARTIAN;
	return why;
}

/* ---- ARP ---- */

/* Who speaks about whom is judged by sl_neigh_parse; here only: Ethernet and IPv4. */
static enum sl_drop
arp(struct sl_pkt *p)
{
	static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4};
	const uint8_t *h = p->data + ETH_LEN;

	if (p->len < ETH_LEN + ARP_LEN)
		return SL_DROP_RUNT;
	if (memcmp(h, kind, sizeof(kind)) != 0)
		return SL_DROP_ARP_BAD;
	p->len = ETH_LEN + ARP_LEN;
	p->flags |= SL_PKT_ARP;
	p->l4_off = ETH_LEN;
	p->l4_len = ARP_LEN;
	set_v4(&p->tuple.src, sl_load32(h + 14));
	set_v4(&p->tuple.dst, sl_load32(h + 24));
	set_ports(p, 0, 0);
	return SL_DROP_NONE;
}

static enum sl_drop __attribute__((noinline)) other(struct sl_pkt *p, uint16_t ethertype)
{
	switch (ethertype) {
	case ETHERTYPE_IP4: /* too short for a header */
		return SL_DROP_RUNT;
	case ETHERTYPE_ARP:
		return arp(p);
	default:
		return SL_DROP_ETHERTYPE;
	}
}

enum sl_drop
sl_parse(struct sl_pkt *p)
{
	const uint8_t *d = p->data;

	if (sl_unlikely(p->len < ETH_LEN))
		return SL_DROP_RUNT;
	uint16_t ethertype = sl_load16(d + 12);
	p->flags = (uint16_t)((p->flags & DRIVER_FLAGS) | (d[0] & 1) << GROUP_TO_BCAST);
	p->l3_off = ETH_LEN;
	p->tcp_flags = 0;
	if (sl_likely(ethertype == ETHERTYPE_IP4 && p->len >= ETH_LEN + IP4_LEN)) {
		if (sl_likely(d[ETH_LEN] == 0x45))
			return ipv4(p, IP4_LEN);
		return ipv4_odd(p);
	}
	if (sl_likely(ethertype == ETHERTYPE_IP6))
		return ipv6(p);
	return other(p, ethertype);
}

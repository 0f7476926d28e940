/* The bytes of ARP and neighbour discovery.
 *
 *   ARP  14 Ethernet │ 8 kind, op │ 6 sender MAC │ 4 sender │ 6 target MAC │ 4 target │ 18 padding
 *   ND   14 Ethernet │ 40 IPv6, hop limit 255 │ 8 type, code, sum, flags │ 16 target │ 8 MAC option
 */
#include "dataplane/neigh.h"

#include "lb/rewrite.h"
#include "sluice/pkt.h"

#define ETH_LEN 14
#define IP6_LEN 40
#define ARP_FRAME_LEN 60 /* padded to the shortest frame */
#define ND_LEN 24        /* up to the options */
#define ND_OPTION_LEN 8
#define ND_FRAME_LEN (ETH_LEN + IP6_LEN + ND_LEN + ND_OPTION_LEN)

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };
enum { ND_SOLICIT = 135, ND_ADVERT = 136 };
enum { OPTION_SOURCE_MAC = 1, OPTION_TARGET_MAC = 2 };
enum { ADVERT_ROUTER = 0x80, ADVERT_SOLICITED = 0x40, ADVERT_OVERRIDE = 0x20 };

static const struct sl_addr none;

/* ---- building ---- */

static void
put_eth(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t ethertype)
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	sl_store16(frame + 12, sl_to_be16(ethertype));
}

static unsigned
put_arp(uint8_t *frame, unsigned op, const uint8_t *my_mac, const uint8_t *my_ip4,
	const uint8_t *mac, const uint8_t *ip4)
{
	static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *h = frame + ETH_LEN;

	memset(h, 0, ARP_FRAME_LEN - ETH_LEN);
	memcpy(h, kind, 6);
	h[7] = (uint8_t)op;
	memcpy(h + 8, my_mac, 6);
	memcpy(h + 14, my_ip4, 4);
	if (mac)
		memcpy(h + 18, mac, 6);
	memcpy(h + 24, ip4, 4);
	return ARP_FRAME_LEN;
}

static unsigned
put_nd(uint8_t *frame, unsigned type, unsigned flags, const struct sl_addr *src,
       const struct sl_addr *dst, const struct sl_addr *target, const uint8_t *my_mac)
{
	uint8_t *ip = frame + ETH_LEN, *h = ip + IP6_LEN;
	uint32_t len = ND_LEN + ND_OPTION_LEN;

	memset(ip, 0, IP6_LEN + len);
	ip[0] = 0x60;
	ip[5] = (uint8_t)len;
	ip[6] = SL_IPPROTO_ICMP6;
	ip[7] = 255;
	memcpy(ip + 8, src->b, 16);
	memcpy(ip + 24, dst->b, 16);
	h[0] = (uint8_t)type;
	h[4] = (uint8_t)flags;
	memcpy(h + 8, target->b, 16);
	h[24] = type == ND_SOLICIT ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC;
	h[25] = 1;
	memcpy(h + 26, my_mac, 6);
	uint64_t sum = sl_csum_pseudo(src, dst, SL_IPPROTO_ICMP6, len);
	sl_store16(h + 2, (uint16_t)~sl_csum_fold(sl_csum_add(sum, h, len)));
	return ND_FRAME_LEN;
}

/* RFC 4291, 2.7.1 */
static struct sl_addr
solicited_node(const struct sl_addr *a)
{
	struct sl_addr m = {.b = {0xff, 2, [11] = 1, [12] = 0xff}};

	memcpy(m.b + 13, a->b + 13, 3);
	return m;
}

unsigned
sl_neigh_build_request(uint8_t *frame, const uint8_t my_mac[6], const struct sl_addr *my_ip,
		       const struct sl_addr *target, const uint8_t *mac)
{
	if (sl_addr_is_v4(target)) {
		static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
		put_eth(frame, mac ? mac : broadcast, my_mac, 0x0806);
		return put_arp(frame, ARP_REQUEST, my_mac, my_ip->b + 12, mac, target->b + 12);
	}
	struct sl_addr dst = mac ? *target : solicited_node(target);
	const uint8_t group[6] = {0x33, 0x33, dst.b[12], dst.b[13], dst.b[14], dst.b[15]};
	put_eth(frame, mac ? mac : group, my_mac, 0x86dd);
	return put_nd(frame, ND_SOLICIT, 0, my_ip, &dst, target, my_mac);
}

unsigned
sl_neigh_answer(struct sl_pkt *p, const struct sl_neigh_msg *m, const uint8_t my_mac[6])
{
	static const struct sl_addr all_nodes = {.b = {0xff, 2, [15] = 1}};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t to[6];

	memcpy(to, m->has_mac ? m->mac : p->data + 6, 6);
	if (p->flags & SL_PKT_ARP) {
		static const uint8_t any[4];
		put_eth(p->data, to, my_mac, 0x0806);
		p->len = (uint16_t)put_arp(p->data, ARP_REPLY, my_mac, m->target.b + 12, to,
					   m->dad ? any : m->sender.b + 12);
		return p->len;
	}
	unsigned flags = ADVERT_ROUTER | ADVERT_OVERRIDE | (m->dad ? 0 : ADVERT_SOLICITED);
	put_eth(p->data, m->dad ? all_nodes_mac : to, my_mac, 0x86dd);
	p->len = (uint16_t)put_nd(p->data, ND_ADVERT, flags, &m->target,
				  m->dad ? &all_nodes : &m->sender, &m->target, my_mac);
	return p->len;
}

/* ---- reading ---- */

static bool
mac_ok(const uint8_t *mac)
{
	return !(mac[0] & 1) && (sl_load32(mac) | sl_load16(mac + 4)) != 0;
}

static bool
v4_multicast(const struct sl_addr *a)
{
	return a->b[12] >> 4 == 14 || sl_load32(a->b + 12) == UINT32_MAX;
}

/* RFC 826; probes and announcements: RFC 5227.  What stands in an answer's target fields is not looked
 * at: implementations differ in announcements. */
static unsigned
parse_arp(const struct sl_pkt *p, struct sl_neigh_msg *m)
{
	const uint8_t *h = p->data + p->l3_off;
	unsigned op = (unsigned)h[6] << 8 | h[7];
	struct sl_addr sender = sl_addr_from_v4(h + 14), target = sl_addr_from_v4(h + 24);
	bool probe = op == ARP_REQUEST && sl_load32(h + 14) == 0;

	if ((op != ARP_REQUEST && op != ARP_REPLY) || !mac_ok(h + 8) || !mac_ok(p->data + 6))
		return SL_DROP_ARP_BAD;
	if (!probe && !sl_addr_src_ok(&sender))
		return SL_DROP_ARP_BAD;
	if (op == ARP_REQUEST && (!sl_addr_dst_ok(&target) || v4_multicast(&target)))
		return SL_DROP_ARP_BAD;
	bool announcement = sl_addr_eq(&sender, &target);
	*m = (struct sl_neigh_msg){
		.request = op == ARP_REQUEST && !announcement,
		.solicited = op == ARP_REPLY && !announcement && !(p->flags & SL_PKT_BCAST),
		.dad = probe,
		.sender = probe ? none : sender,
		.target = target,
		.has_mac = true,
	};
	memcpy(m->mac, h + 8, 6);
	return SL_DROP_NONE;
}

/* Walks the options behind the target; *ret_mac is that of type `want`, or NULL.  False: malformed. */
static bool
parse_options(const uint8_t *o, uint32_t left, unsigned want, const uint8_t **ret_mac)
{
	*ret_mac = NULL;
	while (left > 0) {
		if (left < 8 || o[1] == 0 || o[1] * 8u > left)
			return false;
		if (o[0] == want) {
			if (o[1] != 1 || !mac_ok(o + 2))
				return false;
			*ret_mac = o + 2;
		}
		left -= o[1] * 8u;
		o += o[1] * 8u;
	}
	return true;
}

/* RFC 4861, 7.1.1 */
static unsigned
parse_solicit(const struct sl_pkt *p, const uint8_t *mac, struct sl_neigh_msg *m)
{
	const struct sl_addr *src = &p->tuple.src, *dst = &p->tuple.dst;
	struct sl_addr group = solicited_node(&m->target);

	m->request = true;
	m->dad = sl_addr_eq(src, &none);
	m->sender = *src;
	if (m->dad && (mac || !sl_addr_eq(dst, &group)))
		return SL_DROP_ND_BAD;
	m->has_mac = mac != NULL;
	if (mac)
		memcpy(m->mac, mac, 6);
	return SL_DROP_NONE;
}

/* RFC 4861, 7.1.2.  The answer to a unicast probe may leave the option out (Linux does): the sender's
 * Ethernet address stands in. */
static unsigned
parse_advert(const struct sl_pkt *p, const uint8_t *mac, struct sl_neigh_msg *m)
{
	m->solicited = p->data[p->l4_off + 4] & ADVERT_SOLICITED;
	m->sender = m->target;
	if (m->solicited && p->tuple.dst.b[0] == 0xff)
		return SL_DROP_ND_BAD;
	if (!mac && m->solicited && mac_ok(p->data + 6))
		mac = p->data + 6;
	m->has_mac = mac != NULL;
	if (mac)
		memcpy(m->mac, mac, 6);
	return SL_DROP_NONE;
}

static unsigned
parse_nd(const struct sl_pkt *p, struct sl_neigh_msg *m)
{
	const uint8_t *ip = p->data + p->l3_off, *h = p->data + p->l4_off, *mac;
	uint64_t sum = sl_csum_pseudo(&p->tuple.src, &p->tuple.dst, SL_IPPROTO_ICMP6, p->l4_len);
	unsigned why, want = h[0] == ND_SOLICIT ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC;

	/* hop limit 255: it was not forwarded; no extension headers: RFC 6980 */
	if (ip[7] != 255 || p->l4_off != p->l3_off + IP6_LEN || h[1] != 0 || !mac_ok(p->data + 6))
		return SL_DROP_ND_BAD;
	if (sl_csum_fold(sl_csum_add(sum, h, p->l4_len)) != 0xffff)
		return SL_DROP_L4_CSUM;
	if (h[0] != ND_SOLICIT && h[0] != ND_ADVERT)
		return SL_DROP_ICMP_IGNORED;
	if (p->l4_len < ND_LEN || !parse_options(h + ND_LEN, p->l4_len - ND_LEN, want, &mac))
		return SL_DROP_ND_BAD;
	struct sl_neigh_msg msg = {.target = sl_addr_from_v6(h + 8)};
	if (sl_addr_is_v4(&msg.target) || !sl_addr_src_ok(&msg.target))
		return SL_DROP_ND_BAD;
	why = h[0] == ND_SOLICIT ? parse_solicit(p, mac, &msg) : parse_advert(p, mac, &msg);
	if (why == SL_DROP_NONE)
		*m = msg;
	return why;
}

unsigned
sl_neigh_parse(const struct sl_pkt *p, struct sl_neigh_msg *ret_msg)
{
	return p->flags & SL_PKT_ARP ? parse_arp(p, ret_msg) : parse_nd(p, ret_msg);
}

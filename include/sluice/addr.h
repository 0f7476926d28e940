/* addr — an IP address, and the tuple that names a flow.
 *
 * Units:   addresses and ports in wire order.  An IPv4 address a.b.c.d is kept as
 *          ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that tables hold one format.  A packet whose
 *          IPv6 header carries a v4-mapped address is a martian and dropped by parse.
 * Threads: [any]. Pure.
 */
#ifndef SLUICE_ADDR_H
#define SLUICE_ADDR_H

#include "sluice/base.h"

#define SL_IPPROTO_ICMP 1
#define SL_IPPROTO_TCP 6
#define SL_IPPROTO_UDP 17
#define SL_IPPROTO_ICMP6 58

struct sl_addr {
	uint8_t b[16];
};
static_assert(sizeof(struct sl_addr) == 16, "an address is 16 bytes");

/* The key of a flow: what a packet says, as it arrived.  No padding, so it can be compared and
 * hashed as bytes: 16 + 16 + 2 + 2 + 1 and three bytes that are always 0. */
struct sl_tuple {
	struct sl_addr src;
	struct sl_addr dst;
	sl_be16 sport;
	sl_be16 dport;
	uint8_t proto; /* SL_IPPROTO_* */
	uint8_t zero[3];
};
static_assert(sizeof(struct sl_tuple) == 40, "a tuple has no holes");

static inline bool
sl_addr_is_v4(const struct sl_addr *a)
{
	return sl_load64(a->b) == 0 && sl_load32(a->b + 8) == 0xffff0000u;
}

static inline struct sl_addr
sl_addr_from_v4(const void *four_bytes)
{
	struct sl_addr a = {.b = {[10] = 0xff, [11] = 0xff}};
	memcpy(a.b + 12, four_bytes, 4);
	return a;
}

static inline struct sl_addr
sl_addr_from_v6(const void *sixteen_bytes)
{
	struct sl_addr a;
	memcpy(a.b, sixteen_bytes, 16);
	return a;
}

static inline bool
sl_addr_eq(const struct sl_addr *a, const struct sl_addr *b)
{
	return ((sl_load64(a->b) ^ sl_load64(b->b)) |
		(sl_load64(a->b + 8) ^ sl_load64(b->b + 8))) == 0;
}

/* sl_addr_cmp orders addresses as unsigned big-endian numbers (memcmp order). */
static inline int
sl_addr_cmp(const struct sl_addr *a, const struct sl_addr *b)
{
	return memcmp(a->b, b->b, 16);
}

/* sl_addr_in says whether a lies in prefix/plen; plen in [0,128], counted over the 16-byte form
 * (an IPv4 /24 is plen 120). */
bool sl_addr_in(const struct sl_addr *a, const struct sl_addr *prefix, unsigned plen);

/* sl_addr_parse reads "192.0.2.1" or "2001:db8::1".  Returns 0, or -EINVAL with *ret_addr untouched.
 * Refuses v4-mapped IPv6 text, zone identifiers and leading zeros. */
int sl_addr_parse(const char *text, struct sl_addr *ret_addr);

/* sl_addr_parse_prefix reads "192.0.2.0/24"; *ret_plen counts over the 16-byte form.
 * Returns 0, -EINVAL (not a prefix) or -ERANGE (bits set behind the prefix length). */
int sl_addr_parse_prefix(const char *text, struct sl_addr *ret_addr, unsigned *ret_plen);

#define SL_ADDR_STRLEN 46
/* sl_addr_format writes the RFC 5952 text, NUL-terminated, and returns buf. */
const char *sl_addr_format(const struct sl_addr *a, char buf[SL_ADDR_STRLEN]);

/* Martians: the sources no forwarded packet may carry are told apart by
 * sl_addr_src_ok (not unspecified, loopback, multicast, or limited broadcast: RFC 1122 3.2.1.3,
 * RFC 4291 2.5, 2.7), destination addresses by sl_addr_dst_ok (not unspecified, loopback). */
bool sl_addr_src_ok(const struct sl_addr *a);
bool sl_addr_dst_ok(const struct sl_addr *a);

#endif

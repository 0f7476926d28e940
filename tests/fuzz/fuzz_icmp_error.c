/* A frame that may be an ICMP error: read, edited and judged by sums over all that they cover; and answered as too big. */
#include <stdlib.h>

#include "dataplane/icmp_error.h"
#include "dataplane/parse.h"
#include "tests/dataplane/quotes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_MAX 2048

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Whether the quoted IPv4 header's checksum is right. */
static bool
header_ok(const uint8_t *ip)
{
	return quote_sum(0, ip, (ip[0] & 15) * 4u) == 0xffff;
}

static void
edit(struct sl_pkt *p, unsigned inner)
{
	bool v4 = p->flags & SL_PKT_V4;
	const struct sl_addr a =
		v4 ? sl_addr_from_v4("\x0a\1\2\3") : sl_addr_from_v6("0123456789abcdef");
	const struct sl_addr b =
		v4 ? sl_addr_from_v4("\xc6\x33\0\7") : sl_addr_from_v6("fedcba9876543210");
	const struct sl_icmp_edit e = {.outer_src = &b,
				       .outer_dst = &a,
				       .inner_src = &a,
				       .inner_dst = &b,
				       .inner_sport = sl_to_be16(8080),
				       .inner_dport = sl_to_be16(1)};
	bool inner_ok = v4 && header_ok(p->data + inner);
	bool outer_ok = v4 && header_ok(p->data + 14);

	sl_icmp_error_edit(p, inner, &e);
	uint8_t *ip = p->data + inner;
	must(quote_l4_sum(p->data + 14, 58, p->data + p->l4_off, p->l4_len) == 0xffff || v4);
	must(!v4 || quote_sum(0, p->data + p->l4_off, p->l4_len) == 0xffff);
	must(!outer_ok || header_ok(p->data + 14));
	must(!inner_ok || header_ok(ip));
	must(memcmp(ip + (v4 ? 12 : 8), v4 ? a.b + 12 : a.b, v4 ? 4 : 16) == 0);
	must(memcmp(ip + (v4 ? 16 : 24), v4 ? b.b + 12 : b.b, v4 ? 4 : 16) == 0);
	/* what is edited is read back */
	struct sl_pkt again = {.data = p->data, .len = p->len, .flags = SL_PKT_IP_CSUM_OK};
	must(sl_parse(&again) == SL_DROP_NONE);
	unsigned same;
	must(sl_icmp_error_read(&again, &same) == SL_DROP_NONE && same == inner);
	must(sl_addr_eq(&again.tuple.src, &b) && sl_addr_eq(&again.tuple.dst, &a));
	must(again.tuple.sport == sl_to_be16(1) && again.tuple.dport == sl_to_be16(8080));
}

static void
answer(const struct sl_pkt *p)
{
	uint8_t *frame = malloc(1300);
	unsigned n = (must(frame != NULL), sl_icmp_too_big(p, 1400, frame));

	must(n <= 1300);
	if (n) {
		unsigned l4 = p->flags & SL_PKT_V4 ? 34 : 54;
		must(quote_sums_ok(frame, l4, n - l4));
	}
	free(frame);
}

static void
one(const uint8_t *data, size_t size, bool mend)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct sl_pkt p = {.data = copy, .len = (uint16_t)size, .flags = SL_PKT_IP_CSUM_OK};
	unsigned inner;

	must(copy != NULL);
	if (size)
		memcpy(copy, data, size);
	if (sl_parse(&p) == SL_DROP_NONE && (p.flags & (SL_PKT_V4 | SL_PKT_V6))) {
		answer(&p);
		if (mend && (p.flags & SL_PKT_ICMP)) {
			uint8_t *icmp = copy + p.l4_off;
			quote_put16(icmp + 2, 0);
			uint32_t sum = p.flags & SL_PKT_V4
					       ? quote_sum(0, icmp, p.l4_len)
					       : quote_l4_sum(copy + 14, 58, icmp, p.l4_len);
			quote_put16(icmp + 2, ~sum & 0xffff);
		}
		struct sl_icmp_tunnel t;
		if (sl_icmp_tunnel_read(&p, &t) && t.inner.len) {
			must(t.inner.data >= copy && t.inner.data + t.inner.len <= copy + p.len);
			answer(&t.inner);
		}
		if (sl_icmp_error_read(&p, &inner) == SL_DROP_NONE)
			edit(&p, inner);
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > FRAME_MAX)
		return 0;
	one(data, size, false);
	one(data, size, true);
	return 0;
}

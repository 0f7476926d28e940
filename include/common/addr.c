#include "sluice/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

bool
sl_addr_in(const struct sl_addr *a, const struct sl_addr *prefix, unsigned plen)
{
	unsigned whole = plen / 8, rest = plen % 8;

	if (memcmp(a->b, prefix->b, whole) != 0)
		return false;
	return rest == 0 || (uint8_t)(a->b[whole] ^ prefix->b[whole]) >> (8 - rest) == 0;
}

int
sl_addr_parse(const char *text, struct sl_addr *ret_addr)
{
	struct sl_addr a;
	uint8_t v4[4];

	/* inet_pton takes neither leading zeros in IPv4, nor zones, nor space around. */
	if (inet_pton(AF_INET, text, v4) == 1) {
		*ret_addr = sl_addr_from_v4(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, a.b) != 1 || sl_addr_is_v4(&a))
		return -EINVAL;
	*ret_addr = a;
	return 0;
}

/* One to three digits without a leading zero. */
static int
parse_plen(const char *text, unsigned max, unsigned *ret_plen)
{
	unsigned v = 0, n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 3; n++)
		v = v * 10 + (unsigned)(text[n] - '0');
	if (n == 0 || text[n] != 0 || (n > 1 && text[0] == '0') || v > max)
		return -EINVAL;
	*ret_plen = v;
	return 0;
}

static bool
bits_behind(const struct sl_addr *a, unsigned plen)
{
	for (unsigned bit = plen; bit < 128; bit++)
		if (a->b[bit / 8] & (0x80u >> (bit % 8)))
			return true;
	return false;
}

int
sl_addr_parse_prefix(const char *text, struct sl_addr *ret_addr, unsigned *ret_plen)
{
	char head[SL_ADDR_STRLEN];
	struct sl_addr a;
	unsigned plen;
	const char *slash = strchr(text, '/');

	if (!slash || (size_t)(slash - text) >= sizeof(head))
		return -EINVAL;
	memcpy(head, text, (size_t)(slash - text));
	head[slash - text] = 0;
	if (sl_addr_parse(head, &a))
		return -EINVAL;
	bool v4 = sl_addr_is_v4(&a);
	if (parse_plen(slash + 1, v4 ? 32 : 128, &plen))
		return -EINVAL;
	if (v4)
		plen += 96;
	if (bits_behind(&a, plen))
		return -ERANGE;
	*ret_addr = a;
	*ret_plen = plen;
	return 0;
}

/* The longest run of at least two zero groups, the first of equals (RFC 5952, 4.2). */
static void
longest_zeros(const uint16_t g[8], unsigned *ret_at, unsigned *ret_len)
{
	unsigned at = 8, len = 1;

	for (unsigned i = 0; i < 8;) {
		unsigned n = 0;
		while (i + n < 8 && g[i + n] == 0)
			n++;
		if (n > len) {
			at = i;
			len = n;
		}
		i += n + 1;
	}
	*ret_at = at;
	*ret_len = len;
}

static void
format_v6(const struct sl_addr *a, char *out, size_t room)
{
	uint16_t g[8];
	unsigned at, len;
	size_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		g[i] = sl_from_be16(sl_load16(a->b + 2 * i));
	longest_zeros(g, &at, &len);
	for (unsigned i = 0; i < 8; i++) {
		if (i == at) {
			n += (size_t)snprintf(out + n, room - n, "::");
			i += len - 1;
			continue;
		}
		bool first = i == 0 || (at < 8 && i == at + len);
		n += (size_t)snprintf(out + n, room - n, first ? "%x" : ":%x", g[i]);
	}
}

const char *
sl_addr_format(const struct sl_addr *a, char buf[SL_ADDR_STRLEN])
{
	if (sl_addr_is_v4(a))
		snprintf(buf, SL_ADDR_STRLEN, "%u.%u.%u.%u", a->b[12], a->b[13], a->b[14],
			 a->b[15]);
	else
		format_v6(a, buf, SL_ADDR_STRLEN);
	return buf;
}

static bool
v6_unspecified_or_loopback(const struct sl_addr *a)
{
	return sl_load64(a->b) == 0 && (sl_load64(a->b + 8) & ~(1ull << 56)) == 0;
}

bool
sl_addr_src_ok(const struct sl_addr *a)
{
	if (!sl_addr_is_v4(a))
		return !v6_unspecified_or_loopback(a) && a->b[0] != 0xff;
	uint8_t net = a->b[12];
	return net != 0 && net != 127 && net >> 4 != 14 && sl_load32(a->b + 12) != UINT32_MAX;
}

bool
sl_addr_dst_ok(const struct sl_addr *a)
{
	if (!sl_addr_is_v4(a))
		return !v6_unspecified_or_loopback(a);
	return a->b[12] != 0 && a->b[12] != 127;
}

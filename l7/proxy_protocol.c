/* Version 1 is a line of at most 107 bytes:   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n
 *
 * Version 2, after twelve bytes of signature:
 *
 *   12  version 2 (high), command (low): 0 LOCAL, 1 PROXY
 *   13  family (high), protocol (low): 0x11 TCP over IPv4, 0x21 over IPv6, 0x00 not told
 *   14  length of what follows, big-endian
 *   16  source, destination, source port, destination port; then to the end: type, length (2), value …
 *
 * The length decides how much is waited for, so it is judged as soon as it is there; everything else of version 2
 * waits for the whole header.
 */
#include "l7/proxy_protocol.h"

#include <arpa/inet.h>
#include <immintrin.h>

#define V1_MAX 107
#define V2_HEAD 16
#define V2_LOCAL 0x20
#define V2_PROXY 0x21
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define TLV_HEAD 3
#define TLV_CRC32C 3

static const uint8_t v1_signature[6] = "PROXY ";
static const uint8_t v2_signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
					 '\n', 'Q',  'U',  'I',  'T', '\n'};

static int
bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return SL_BAD;
}

/* ---- version 1 ---- */

/* What is left of a line, and whether all of it was as it should be. */
struct line {
	const uint8_t *at, *end;
	const char *why; /* NULL: nothing wrong so far */
};

/* The bytes up to the next space, which is consumed, or to the end; NUL-terminated. */
static bool
v1_word(struct line *l, bool last, char *to, size_t room)
{
	const uint8_t *space = memchr(l->at, ' ', (size_t)(l->end - l->at));
	const uint8_t *end = space ? space : l->end;
	size_t n = (size_t)(end - l->at);

	if (last == (space != NULL) || n == 0 || n >= room || memchr(l->at, 0, n))
		return false;
	memcpy(to, l->at, n);
	to[n] = 0;
	l->at = end + !last;
	return true;
}

static struct sl_addr
v1_addr(struct line *l, bool v4)
{
	char word[SL_ADDR_STRLEN];
	struct sl_addr a = {0};
	uint8_t four[4];

	/* inet_pton takes neither leading zeros in IPv4, nor zones, nor space. */
	if (l->why)
		return a;
	if (!v1_word(l, false, word, sizeof(word)) ||
	    inet_pton(v4 ? AF_INET : AF_INET6, word, v4 ? four : a.b) != 1)
		l->why = "an address is malformed, or not of the family named";
	return v4 && !l->why ? sl_addr_from_v4(four) : a;
}

static sl_be16
v1_port(struct line *l, bool last)
{
	char word[6];
	uint32_t v = 0;

	if (l->why)
		return 0;
	if (!v1_word(l, last, word, sizeof(word)) || (word[0] == '0' && word[1])) {
		l->why = "a port is malformed";
		return 0;
	}
	for (const char *c = word; *c && !l->why; c++) {
		v = v * 10 + (uint32_t)(*c - '0');
		if (*c < '0' || *c > '9' || v > 65535)
			l->why = "a port is malformed";
	}
	return sl_to_be16(v);
}

/* The line without its CRLF, behind "PROXY ". */
static int
v1_fields(struct line *l, struct sl_proxy_header *h, const char **ret_why)
{
	size_t n = (size_t)(l->end - l->at);

	if (n >= 7 && memcmp(l->at, "UNKNOWN", 7) == 0 && (n == 7 || l->at[7] == ' ')) {
		h->local = true;
		return 0;
	}
	if (n < 5 || memcmp(l->at, "TCP", 3) != 0 || (l->at[3] != '4' && l->at[3] != '6') ||
	    l->at[4] != ' ')
		return bad(ret_why, "the protocol is neither TCP4 nor TCP6 nor UNKNOWN");
	bool v4 = l->at[3] == '4';
	l->at += 5;
	h->src = v1_addr(l, v4);
	h->dst = v1_addr(l, v4);
	h->sport = v1_port(l, false);
	h->dport = v1_port(l, true);
	return l->why ? bad(ret_why, l->why) : 0;
}

static int
v1_parse(const uint8_t *bytes, size_t n, struct sl_proxy_header *ret, const char **ret_why)
{
	struct sl_proxy_header h = {.version = 1};
	size_t end = sizeof(v1_signature), max = SL_MIN(n, (size_t)V1_MAX);

	while (end < max && bytes[end] != '\r' && bytes[end] != '\n')
		end++;
	if (end == V1_MAX || (end == V1_MAX - 1 && n >= V1_MAX))
		return bad(ret_why, "the line is longer than 107 bytes");
	if (end == n)
		return SL_PARTIAL;
	if (bytes[end] == '\n' || (end + 1 < n && bytes[end + 1] != '\n'))
		return bad(ret_why, "CR and LF end the line together only");
	if (end + 1 == n)
		return SL_PARTIAL;
	struct line l = {.at = bytes + sizeof(v1_signature), .end = bytes + end};
	if (v1_fields(&l, &h, ret_why))
		return SL_BAD;
	*ret = h;
	return (int)end + 2;
}

/* ---- version 2 ---- */

static uint32_t
crc32c(uint32_t crc, const uint8_t *bytes, size_t n)
{
	for (; n >= 8; n -= 8, bytes += 8)
		crc = (uint32_t)_mm_crc32_u64(crc, sl_load64(bytes));
	for (; n; n--)
		crc = _mm_crc32_u8(crc, *bytes++);
	return crc;
}

/* The sum of the whole header, its own four bytes at `at` read as 0. */
static bool
v2_crc_ok(const uint8_t *bytes, size_t len, size_t at)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(UINT32_MAX, bytes, at);

	crc = crc32c(crc, zero, sizeof(zero));
	crc = crc32c(crc, bytes + at + sizeof(zero), len - at - sizeof(zero));
	return sl_from_be32(sl_load32(bytes + at)) == ~crc;
}

static int
v2_tlvs(const uint8_t *bytes, size_t at, size_t len, const char **ret_why)
{
	while (at < len) {
		if (len - at < TLV_HEAD)
			return bad(ret_why, "the last TLV is cut off in its head");
		uint8_t type = bytes[at];
		size_t n = sl_from_be16(sl_load16(bytes + at + 1));
		at += TLV_HEAD;
		if (len - at < n)
			return bad(ret_why, "a TLV is longer than the header");
		if (type == TLV_CRC32C && n != 4)
			return bad(ret_why, "the CRC32C is not four bytes long");
		if (type == TLV_CRC32C && !v2_crc_ok(bytes, len, at))
			return bad(ret_why, "the CRC32C is wrong");
		at += n;
	}
	return 0;
}

/* The sixteen bytes at the beginning, as far as they are there. */
static int
v2_head(const uint8_t *bytes, size_t n, const char **ret_why)
{
	if (n > 12 && bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY)
		return bad(ret_why, "neither LOCAL nor PROXY of version 2");
	if (n > 13 && bytes[12] == V2_PROXY && bytes[13] != 0 && bytes[13] != V2_TCP4 &&
	    bytes[13] != V2_TCP6)
		return bad(ret_why, "the family is not TCP over IPv4 or IPv6");
	if (n >= V2_HEAD && V2_HEAD + sl_from_be16(sl_load16(bytes + 14)) > SL_PROXY_MAX)
		return bad(ret_why, "the header is longer than is read");
	return 0;
}

static int
v2_parse(const uint8_t *bytes, size_t n, struct sl_proxy_header *ret, const char **ret_why)
{
	struct sl_proxy_header h = {.version = 2};

	if (v2_head(bytes, n, ret_why))
		return SL_BAD;
	if (n < V2_HEAD)
		return SL_PARTIAL;
	size_t len = V2_HEAD + (size_t)sl_from_be16(sl_load16(bytes + 14));
	if (n < len)
		return SL_PARTIAL;
	bool v4 = bytes[13] == V2_TCP4;
	unsigned each = v4 ? 4 : 16;
	const uint8_t *src = bytes + V2_HEAD, *dst = src + each, *ports = dst + each;
	h.local = bytes[12] == V2_LOCAL || bytes[13] == 0;
	if (!h.local) {
		size_t tlvs = V2_HEAD + 2 * each + 4;
		if (len < tlvs)
			return bad(ret_why, "the length does not hold the addresses");
		h.src = v4 ? sl_addr_from_v4(src) : sl_addr_from_v6(src);
		h.dst = v4 ? sl_addr_from_v4(dst) : sl_addr_from_v6(dst);
		h.sport = sl_load16(ports);
		h.dport = sl_load16(ports + 2);
		if (v2_tlvs(bytes, tlvs, len, ret_why))
			return SL_BAD;
	}
	*ret = h;
	return (int)len;
}

/* ---- both ---- */

static bool
begins(const uint8_t *bytes, size_t n, const uint8_t *signature, size_t len)
{
	return memcmp(bytes, signature, SL_MIN(n, len)) == 0;
}

int
sl_proxy_parse(const uint8_t *bytes, size_t n, struct sl_proxy_header *ret, const char **ret_why)
{
	if (n == 0)
		return SL_PARTIAL;
	if (begins(bytes, n, v2_signature, sizeof(v2_signature)))
		return v2_parse(bytes, n, ret, ret_why);
	if (begins(bytes, n, v1_signature, sizeof(v1_signature)))
		return n < sizeof(v1_signature) ? SL_PARTIAL : v1_parse(bytes, n, ret, ret_why);
	return bad(ret_why, "the signature is of neither version");
}

/* ---- writing ---- */

static uint8_t *
put_number(uint8_t *to, unsigned v)
{
	uint8_t digits[5];
	unsigned n = 0;

	do
		digits[n++] = (uint8_t)('0' + v % 10);
	while (v /= 10);
	while (n)
		*to++ = digits[--n];
	return to;
}

static uint8_t *
put_text(uint8_t *to, const char *text)
{
	size_t n = strlen(text);

	memcpy(to, text, n);
	return to + n;
}

/* The address and a space.  The text of addresses knows v4-mapped ones as IPv4 only, so in IPv6 they are written here. */
static uint8_t *
put_addr(uint8_t *to, const struct sl_addr *a, bool v4)
{
	char text[SL_ADDR_STRLEN];

	if (v4) {
		for (unsigned i = 12; i < 16; i++) {
			to = put_number(to, a->b[i]);
			*to++ = i < 15 ? '.' : ' ';
		}
		return to;
	}
	if (sl_addr_is_v4(a)) {
		static const char hex[16] = "0123456789abcdef";
		to = put_text(to, "::ffff:");
		for (unsigned i = 12; i < 16; i++) {
			*to++ = (uint8_t)hex[a->b[i] >> 4];
			*to++ = (uint8_t)hex[a->b[i] & 15];
			if (i == 13)
				*to++ = ':';
		}
	} else {
		to = put_text(to, sl_addr_format(a, text));
	}
	*to++ = ' ';
	return to;
}

static unsigned
v1_write(uint8_t *to, bool v4, const struct sl_addr *src, sl_be16 sport, const struct sl_addr *dst,
	 sl_be16 dport)
{
	uint8_t *at = put_text(to, v4 ? "PROXY TCP4 " : "PROXY TCP6 ");

	at = put_addr(at, src, v4);
	at = put_addr(at, dst, v4);
	at = put_number(at, sl_from_be16(sport));
	*at++ = ' ';
	at = put_number(at, sl_from_be16(dport));
	at = put_text(at, "\r\n");
	return (unsigned)(at - to);
}

static unsigned
v2_write(uint8_t *to, bool v4, const struct sl_addr *src, sl_be16 sport, const struct sl_addr *dst,
	 sl_be16 dport)
{
	unsigned each = v4 ? 4 : 16;
	uint8_t *at = to + V2_HEAD;

	memcpy(to, v2_signature, sizeof(v2_signature));
	to[12] = V2_PROXY;
	to[13] = v4 ? V2_TCP4 : V2_TCP6;
	sl_store16(to + 14, sl_to_be16(2 * each + 4));
	memcpy(at, src->b + 16 - each, each);
	memcpy(at + each, dst->b + 16 - each, each);
	sl_store16(at + 2 * each, sport);
	sl_store16(at + 2 * each + 2, dport);
	return V2_HEAD + 2 * each + 4;
}

unsigned
sl_proxy_write(uint8_t to[SL_PROXY_OUT_MAX], unsigned version, const struct sl_addr *src,
	       sl_be16 sport, const struct sl_addr *dst, sl_be16 dport)
{
	bool v4 = sl_addr_is_v4(src) && sl_addr_is_v4(dst);

	if (version == SL_PROXY_V1)
		return v1_write(to, v4, src, sport, dst, dport);
	return v2_write(to, v4, src, sport, dst, dport);
}

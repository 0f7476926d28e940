#include "mgmt/conf_value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* digits reads decimal digits, at most max; returns the first character behind them or NULL. */
static const char *
digits(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!is_digit(*s) || (s[0] == '0' && is_digit(s[1])))
		return NULL;
	for (; is_digit(*s); s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > max)
			return NULL;
	}
	*ret = v;
	return s;
}

const char *
sl_value_duration(const char *text, uint32_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t v;
	const char *unit = digits(text, 1000000000, &v);

	if (!unit)
		return "is not a duration";
	if (*unit == 0)
		return "has no unit";
	for (unsigned i = 0; i < SL_ARRAY_CNT(units); i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		if (v * units[i].ms > UINT32_MAX)
			return "is out of range";
		*ret_ms = (uint32_t)(v * units[i].ms);
		return NULL;
	}
	return "is not a duration";
}

const char *
sl_value_name(const char *text, char ret_name[SL_NAME_MAX])
{
	char name[SL_NAME_MAX] = "";

	if (strlen(text) >= SL_NAME_MAX)
		return "is longer than 63 bytes";
	memcpy(name, text, strlen(text));
	if (!sl_name_ok(name))
		return "is not a name";
	memcpy(ret_name, name, SL_NAME_MAX);
	return NULL;
}

const char *
sl_value_addr(const char *text, struct sl_addr *ret_addr)
{
	struct sl_addr a;

	if (sl_addr_parse(text, &a) != 0)
		return "is not an IPv4 or IPv6 address";
	if (!sl_addr_src_ok(&a))
		return "is not a unicast address that a host on the network can have";
	*ret_addr = a;
	return NULL;
}

/* Whether the bits of a behind plen are all `ones` or all 0. */
static bool
host_bits_are(const struct sl_addr *a, unsigned plen, bool ones)
{
	for (unsigned i = plen; i < 128; i++)
		if (((a->b[i / 8] >> (7 - i % 8)) & 1) != ones)
			return false;
	return true;
}

const char *
sl_value_ifaddr(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	char host[SL_ADDR_STRLEN];
	const char *slash = strchr(text, '/');
	uint64_t plen;
	struct sl_addr a;

	if (!slash)
		return "has no prefix length";
	if ((size_t)(slash - text) >= sizeof(host))
		return "is not an address with a prefix length";
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	if (sl_addr_parse(host, &a) != 0)
		return "is not an address with a prefix length";
	bool v4 = sl_addr_is_v4(&a);
	const char *rest = digits(slash + 1, v4 ? 32 : 128, &plen);
	if (!rest || *rest)
		return v4 ? "has a prefix length that is not 0 to 32"
			  : "has a prefix length that is not 0 to 128";
	if (!sl_addr_src_ok(&a))
		return "is not a unicast address that a host on the network can have";
	if (v4)
		plen += 96;
	if (v4 && plen <= 126 &&
	    (host_bits_are(&a, (unsigned)plen, false) || host_bits_are(&a, (unsigned)plen, true)))
		return "is the network's or the broadcast address of its prefix, not a host's";
	*ret_addr = a;
	*ret_plen = (uint32_t)plen;
	return NULL;
}

const char *
sl_value_prefix(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	struct sl_addr a;
	unsigned plen;
	int err = sl_addr_parse_prefix(text, &a, &plen);

	if (err == -ERANGE)
		return "has bits set behind the prefix length";
	if (err != 0)
		return "is not a prefix";
	*ret_addr = a;
	*ret_plen = plen;
	return NULL;
}

static const char *
unicast_prefix(const char *text, unsigned least, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	struct sl_addr a;
	uint32_t plen;
	const char *why = sl_value_prefix(text, &a, &plen);

	if (why)
		return why;
	if (plen < (sl_addr_is_v4(&a) ? 96 + least : least))
		return least > 1 ? "is shorter than 8 bits" : "is every address";
	if (!sl_addr_src_ok(&a))
		return "is not a prefix of unicast addresses";
	if (sl_prefix_mixed(&a, plen))
		return "is an IPv6 prefix that holds the IPv4 addresses";
	*ret_addr = a;
	*ret_plen = plen;
	return NULL;
}

const char *
sl_value_vip(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	const char *why;

	if (strchr(text, '/'))
		return unicast_prefix(text, 1, ret_addr, ret_plen);
	why = sl_value_addr(text, ret_addr);
	if (!why)
		*ret_plen = 128;
	return why;
}

const char *
sl_value_tunnel(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	return unicast_prefix(text, 8, ret_addr, ret_plen);
}

const char *
sl_value_trusted(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	const char *why;

	if (strchr(text, '/'))
		return sl_value_prefix(text, ret_addr, ret_plen);
	why = sl_value_addr(text, ret_addr);
	if (!why)
		*ret_plen = 128;
	return why;
}

const char *
sl_value_ports(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
	uint64_t first = 1, last = UINT16_MAX;

	if (strcmp(text, "any") != 0) {
		const char *p = digits(text, UINT16_MAX, &first);
		if (p && *p == 0)
			return "is a text: write a single port without quotes";
		if (!p || *p != '-' || !(p = digits(p + 1, UINT16_MAX, &last)) || *p)
			return "is not a range of ports";
		if (first == 0 || last < first)
			return "is not within 1 to 65535, lower port first";
	}
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return NULL;
}

static bool
is_loopback(const struct sl_addr *a)
{
	static const struct sl_addr v6 = {.b = {[15] = 1}};
	return sl_addr_is_v4(a) ? a->b[12] == 127 : sl_addr_eq(a, &v6);
}

const char *
sl_value_probe(const char *text, struct sl_addr *ret_addr, uint16_t *ret_port)
{
	static const char bad[] = "is not an address with or without a port";
	char host[SL_ADDR_STRLEN];
	const char *from = text, *colon = NULL;
	size_t len = strlen(text);
	uint64_t port = 0;
	struct sl_addr a;

	if (text[0] == '[') {
		const char *close = strchr(text, ']');
		if (!close || (close[1] != ':' && close[1] != 0))
			return bad;
		from = text + 1;
		len = (size_t)(close - from);
		colon = close[1] ? close + 1 : NULL;
	} else if ((colon = strchr(text, ':')) != NULL) {
		if (strchr(colon + 1, ':')) /* two colons: IPv6 without a port */
			colon = NULL;
		else
			len = (size_t)(colon - text);
	}
	if (len >= sizeof(host))
		return bad;
	memcpy(host, from, len);
	host[len] = 0;
	if (sl_addr_parse(host, &a) != 0 || (text[0] == '[' && sl_addr_is_v4(&a)))
		return bad;
	if (colon) {
		const char *rest = digits(colon + 1, 65535, &port);
		if (!rest || *rest || port == 0)
			return "has a port that is not 1 to 65535";
	}
	if (!sl_addr_src_ok(&a) && !is_loopback(&a))
		return "is not an address that can be probed";
	*ret_addr = a;
	*ret_port = (uint16_t)port;
	return NULL;
}

/* ---- where endpoints are, and what they are ---- */

static bool
is_name_char(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' || c == '_' ||
	       c == '-';
}

const char *
sl_value_locality(const char *text, char ret_locality[SL_LOCALITY_MAX])
{
	unsigned parts = 1;

	if (strlen(text) >= SL_LOCALITY_MAX)
		return "is longer than 63 bytes";
	for (const char *p = text; *p; p++) {
		bool edge = p == text || p[-1] == '/' || !p[1];
		if (*p == '/' && edge)
			return "has an empty part";
		if (*p != '/' && !is_name_char(*p))
			return "is not a locality";
		parts += *p == '/';
	}
	if (parts > 3)
		return "has more than three parts";
	memset(ret_locality, 0, SL_LOCALITY_MAX);
	memcpy(ret_locality, text, strlen(text));
	return NULL;
}

const char *
sl_value_question(const char *text, char ret_name[256])
{
	if (strlen(text) >= 256)
		return "is longer than 255 bytes";
	for (const char *p = text; *p; p++)
		if (!is_name_char(*p) && *p != '/')
			return "has a character that it cannot have";
	memset(ret_name, 0, 256);
	memcpy(ret_name, text, strlen(text));
	return NULL;
}

/* One pair: "key=value", both of the characters of names, the value of slashes, too, and perhaps empty. */
static const char *
check_pair(const char *text)
{
	const char *p = text;

	while (is_name_char(*p))
		p++;
	if (*p != '=')
		return *p ? "has a character that a key cannot have" : "has no =";
	if (p == text)
		return "has no key";
	for (p++; *p; p++)
		if (!is_name_char(*p) && *p != '/')
			return "has a character that a value cannot have";
	return NULL;
}

static size_t
pair_len(const char *pair)
{
	return strcspn(pair, ",");
}

static int
compare_keys(const char *a, const char *b)
{
	size_t n = strcspn(a, "="), m = strcspn(b, "=");
	int order = memcmp(a, b, SL_MIN(n, m));

	return order ? order : (n > m) - (n < m);
}

const char *
sl_value_meta_add(const char *text, char meta[SL_META_MAX])
{
	const char *why = check_pair(text);
	size_t len = strlen(text), was = strnlen(meta, SL_META_MAX);
	char *at = meta;

	if (why)
		return why;
	if (was + len + 2 > SL_META_MAX)
		return "is more than fits: 255 bytes with all others";
	while (*at && compare_keys(at, text) < 0) {
		at += pair_len(at);
		at += *at == ',';
	}
	if (*at && compare_keys(at, text) == 0)
		return "has a key that stands there already";
	if (*at) {
		memmove(at + len + 1, at, was - (size_t)(at - meta) + 1);
		at[len] = ',';
	} else if (at > meta) {
		*at++ = ',';
		at[len] = 0;
	} else {
		at[len] = 0;
	}
	memcpy(at, text, len);
	return NULL;
}

bool
sl_value_meta_has(const char meta[SL_META_MAX], const char wanted[SL_META_MAX])
{
	const char *m = meta;

	for (const char *w = wanted; *w; w += pair_len(w), w += *w == ',') {
		size_t n = pair_len(w);
		while (*m && (pair_len(m) != n || memcmp(m, w, n) != 0)) {
			m += pair_len(m);
			m += *m == ',';
		}
		if (!*m)
			return false;
	}
	return true;
}

const char *
sl_value_hex64(const char *text, uint64_t *ret_value)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
		return "is not 16 hexadecimal digits";
	*ret_value = strtoull(text, NULL, 16);
	return NULL;
}

const char *
sl_value_path(const char *text, char ret_path[256])
{
	if (text[0] != '/')
		return "does not start with /";
	if (strlen(text) > 255)
		return "is longer than 255 bytes";
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 127 || *p == '#')
			return "has a character that a request line cannot have";
	strcpy(ret_path, text);
	return NULL;
}

const char *
sl_value_host(const char *text, char ret_host[256])
{
	if (strlen(text) > 255)
		return "is longer than 255 bytes";
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789.-_:[]")])
		return "has a character that a host cannot have";
	strcpy(ret_host, text);
	return NULL;
}

const char *
sl_value_held(const char *text, char ret_held[SL_HEALTH_BODY_MAX])
{
	const char *why = sl_value_plain(text);

	if (why)
		return why;
	if (strlen(text) >= SL_HEALTH_BODY_MAX)
		return "is longer than 255 bytes";
	strcpy(ret_held, text);
	return NULL;
}

const char *
sl_value_line_add(const char *text, char lines[SL_HEALTH_HEADERS_MAX])
{
	static const char *const ours[] = {
		"host",    "connection", "content-length", "transfer-encoding", "expect",
		"upgrade", "te"};
	const char *colon = strchr(text, ':'), *value = colon ? colon + 1 : text;
	char name[256] = "";
	size_t had = strlen(lines);

	if (!colon || colon - text >= (ptrdiff_t)sizeof(name))
		return "is not \"name: value\"";
	memcpy(name, text, (size_t)(colon - text));
	value += strspn(value, " ");
	const char *why = sl_value_token(name);
	if (!why)
		why = sl_value_field(value);
	if (why)
		return why;
	for (unsigned i = 0; i < SL_ARRAY_CNT(ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return i ? "is a header that the gateway sets" : "is set by the key host";
	if (had + strlen(name) + strlen(value) + 4 >= SL_HEALTH_HEADERS_MAX)
		return "is too long, together with those before it";
	sprintf(lines + had, "%s: %s\r\n", name, value);
	return NULL;
}

const char *
sl_value_codes(const char *text, struct sl_health_conf *h)
{
	struct sl_health_conf out = {0};

	for (const char *p = text;;) {
		uint64_t lo, hi;
		if (!(p = digits(p, 599, &lo)))
			return "is not a list of status codes and ranges";
		hi = lo;
		if (*p == '-' && !(p = digits(p + 1, 599, &hi)))
			return "is not a list of status codes and ranges";
		if (lo < 100 || hi < lo)
			return "has a range that is not within 100 to 599, lower code first";
		if (out.expect_cnt == SL_HEALTH_RANGES)
			return "has more than 16 ranges";
		out.expect[out.expect_cnt].lo = (uint16_t)lo;
		out.expect[out.expect_cnt++].hi = (uint16_t)hi;
		if (*p == 0)
			break;
		if (*p++ != ',')
			return "is not a list of status codes and ranges";
	}
	memcpy(h->expect, out.expect, sizeof(out.expect));
	h->expect_cnt = out.expect_cnt;
	return NULL;
}

const char *
sl_value_quote(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	buf[n++] = '"';
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (n + 9 > size) { /* an escape, the dots, the quote and the end */
			n += (size_t)sprintf(buf + n, "...");
			break;
		}
		if (*p < ' ' || *p >= 127)
			n += (size_t)sprintf(buf + n, "\\x%02x", *p);
		else
			buf[n++] = (char)*p;
	}
	buf[n++] = '"';
	buf[n] = 0;
	return buf;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours; both texts below 48 bytes. */
static unsigned
distance(const char *a, const char *b)
{
	enum { MAX = 48 };
	unsigned rows[3][MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n >= MAX || m >= MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i - 1) % 3], *upup = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);
			d = SL_MIN(d, SL_MIN(up[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = SL_MIN(d, upup[j - 2] + 1);
			row[j] = d;
		}
	}
	return rows[n % 3][m];
}

int
sl_value_nearest(const char *text, const char *const *words, unsigned n)
{
	int best = -1;
	unsigned third = (unsigned)strlen(text) / 3, best_d = SL_MAX(third, 1) + 1;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = strcasecmp(text, words[i]) ? distance(text, words[i]) : 0;
		if (d < best_d) {
			best_d = d;
			best = (int)i;
		}
	}
	return best;
}

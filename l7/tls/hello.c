/* One pass over the bytes:
 *
 *   record   22 | 3 x | length (2)      1 to 16384 bytes of messages
 *   message  1 | length (3)             ClientHello:
 *            version | random 32 | <session id> | <<suites>> | <methods> | <<extensions>>
 *
 * Records may cut the message anywhere, so all of it is read through take().  A length is held against what surrounds it when
 * it is read, and what is not wanted is passed over, not looked at: the verdict on n bytes stands however many follow.
 */
#include "l7/tls/hello.h"

#include "sluice/addr.h"

#define RECORD_HEAD 5
#define RECORD_MAX 16384
#define HANDSHAKE 22
#define CLIENT_HELLO 1
#define SESSION_ID_MAX 32
#define HOST_BYTES 253
#define LABEL_BYTES 63

enum { EXT_SERVER_NAME = 0, EXT_ALPN = 16, EXT_SUPPORTED_VERSIONS = 43 };
enum { NAME_HOST = 0 };

struct reader {
	const uint8_t *bytes;
	uint32_t n, at;
	uint32_t record;  /* bytes left of the record */
	uint32_t message; /* bytes left of the message; before its length is known, of its header */
	bool whole;       /* its length is known */
	const char *why;  /* set: refused */
};

static bool
bad(struct reader *r, const char *why)
{
	r->why = why;
	return false;
}

/* ---- records ---- */

/* It ends here at the earliest. */
static uint32_t
earliest_end(const struct reader *r)
{
	return r->at + r->message + (r->record < r->message ? RECORD_HEAD : 0);
}

/* Whether record and message go together, as far as they are known. */
static bool
consistent(struct reader *r)
{
	if (earliest_end(r) > SL_HELLO_MAX)
		return bad(r, "the ClientHello is longer than 16384 bytes");
	if (r->whole && r->record > r->message)
		return bad(r, "bytes follow the ClientHello in its record");
	return true;
}

/* The header of the next record; false without a reason: more bytes are needed. */
static bool
record_begin(struct reader *r)
{
	const uint8_t *p = r->bytes + r->at;
	uint32_t have = r->n - r->at;

	if (!consistent(r))
		return false;
	if (have >= 1 && p[0] != HANDSHAKE)
		return bad(r, r->at ? "a record of another type within the ClientHello"
				    : "it does not begin with a TLS handshake record");
	if (have >= 2 && p[1] != 3)
		return bad(r, "a record of no version of TLS");
	if (have >= 4 && p[3] > RECORD_MAX >> 8)
		return bad(r, "a record longer than 16384 bytes");
	if (have < RECORD_HEAD)
		return false;
	uint32_t len = (uint32_t)p[3] << 8 | p[4];
	if (len == 0)
		return bad(r, "an empty handshake record");
	if (len > RECORD_MAX)
		return bad(r, "a record longer than 16384 bytes");
	r->at += RECORD_HEAD;
	r->record = len;
	return consistent(r);
}

/* The next n bytes of the message, from as many records as it takes; to: NULL: they are passed over. */
static bool
take(struct reader *r, uint8_t *to, uint32_t n)
{
	while (n) {
		if (r->record == 0 && !record_begin(r))
			return false;
		uint32_t k = SL_MIN(SL_MIN(n, r->record), r->n - r->at);
		if (k == 0)
			return false;
		if (to) {
			memcpy(to, r->bytes + r->at, k);
			to += k;
		}
		r->at += k;
		r->record -= k;
		r->message -= k;
		n -= k;
	}
	return true;
}

/* ---- fields: *left is what is left of what surrounds them ---- */

static bool
field(struct reader *r, uint32_t *left, uint8_t *to, uint32_t n)
{
	if (n > *left)
		return bad(r, "a field reaches past the end of what holds it");
	*left -= n;
	return take(r, to, n);
}

static bool
number(struct reader *r, uint32_t *left, unsigned bytes, uint32_t *ret)
{
	uint8_t b[2] = {0};

	if (!field(r, left, b + sizeof(b) - bytes, bytes))
		return false;
	*ret = (uint32_t)b[0] << 8 | b[1];
	return true;
}

/* The length of a vector, of so many bytes, and no less than min; the vector is the caller's to read. */
static bool
vector(struct reader *r, uint32_t *left, unsigned bytes, uint32_t min, uint32_t *ret_len)
{
	if (!number(r, left, bytes, ret_len))
		return false;
	if (*ret_len > *left)
		return bad(r, "a length reaches past the end of what holds it");
	if (*ret_len < min)
		return bad(r, "a list is shorter than it may be");
	*left -= *ret_len;
	return true;
}

/* A vector that fills all that is left. */
static bool
vector_whole(struct reader *r, uint32_t left, unsigned bytes, uint32_t min, uint32_t *ret_len)
{
	if (!vector(r, &left, bytes, min, ret_len))
		return false;
	return left == 0 || bad(r, "bytes behind the end of a list");
}

/* ---- server_name ---- */

static bool
host_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Makes it lower case; false: no host name. */
static bool
host_fold(char *host, uint32_t n)
{
	uint32_t label = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)host[i];
		c |= (uint8_t)((c >= 'A' && c <= 'Z') << 5);
		if (c == '.' ? label == 0 : !host_byte(c) || label == LABEL_BYTES)
			return false;
		label = c == '.' ? 0 : label + 1;
		host[i] = (char)c;
	}
	return label > 0;
}

static bool
host_name(struct reader *r, uint32_t n, char host[SL_HOST_MAX])
{
	struct sl_addr addr;

	if (n > HOST_BYTES + 1)
		return bad(r, "a server name longer than a host name may be");
	if (!take(r, (uint8_t *)host, n))
		return false;
	if (n > 1 && host[n - 1] == '.')
		n--;
	host[n] = 0;
	if (strlen(host) == n && sl_addr_parse(host, &addr) == 0)
		host[0] = 0;
	else if (n > HOST_BYTES || !host_fold(host, n))
		return bad(r, "the server name is no host name");
	return true;
}

/* Types to come begin with a length of two bytes as well (RFC 6066, 3). */
static bool
ext_server_name(struct reader *r, uint32_t len, struct sl_hello *h)
{
	uint32_t list, type, n;
	bool seen = false;

	if (!vector_whole(r, len, 2, 1, &list))
		return false;
	while (list) {
		if (!number(r, &list, 1, &type))
			return false;
		if (type == NAME_HOST && seen)
			return bad(r, "more than one server name");
		if (!vector(r, &list, 2, type == NAME_HOST, &n))
			return false;
		seen |= type == NAME_HOST;
		if (type == NAME_HOST ? !host_name(r, n, h->host) : !take(r, NULL, n))
			return false;
	}
	return true;
}

/* ---- the other extensions ---- */

static bool
ext_alpn(struct reader *r, uint32_t len, struct sl_hello *h)
{
	uint32_t list, n;

	if (!vector_whole(r, len, 2, 2, &list))
		return false;
	while (list) {
		if (!vector(r, &list, 1, 1, &n))
			return false;
		char *to =
			n < SL_ALPN_MAX && h->alpn_cnt < SL_TLS_ALPNS ? h->alpn[h->alpn_cnt] : NULL;
		if (!take(r, (uint8_t *)to, n))
			return false;
		if (to && memchr(to, 0, n))
			memset(to, 0, n);
		else if (to)
			h->alpn_cnt++;
	}
	return true;
}

/* Numbers that nobody knows are there so that servers learn to pass over them (RFC 8701). */
static bool
ext_versions(struct reader *r, uint32_t len, struct sl_hello *h)
{
	uint32_t list, version;

	if (!vector_whole(r, len, 1, 2, &list))
		return false;
	if (list % 2)
		return bad(r, "half a version");
	h->version = 0;
	while (list) {
		if (!number(r, &list, 2, &version))
			return false;
		if (version >> 8 == 3 && version > h->version)
			h->version = (uint16_t)version;
	}
	return true;
}

static bool
extension(struct reader *r, uint32_t type, uint32_t len, struct sl_hello *h)
{
	switch (type) {
	case EXT_SERVER_NAME:
		return ext_server_name(r, len, h);
	case EXT_ALPN:
		return ext_alpn(r, len, h);
	case EXT_SUPPORTED_VERSIONS:
		return ext_versions(r, len, h);
	default:
		return take(r, NULL, len);
	}
}

static bool
extensions(struct reader *r, uint32_t left, struct sl_hello *h)
{
	uint64_t seen[65536 / 64] = {0};
	uint32_t type, len;

	while (left) {
		if (!number(r, &left, 2, &type))
			return false;
		if (seen[type / 64] >> type % 64 & 1)
			return bad(r, "an extension that comes twice");
		seen[type / 64] |= 1ull << type % 64;
		if (!vector(r, &left, 2, 0, &len) || !extension(r, type, len, h))
			return false;
	}
	return true;
}

/* ---- the message ---- */

static bool
head(struct reader *r)
{
	uint32_t left = 4, high, low;

	r->message = left;
	if (!number(r, &left, 1, &low))
		return false;
	if (low != CLIENT_HELLO)
		return bad(r, "the first message is no ClientHello");
	if (!number(r, &left, 1, &high) || !number(r, &left, 2, &low))
		return false;
	r->message = high << 16 | low;
	r->whole = true;
	return consistent(r);
}

static bool
body(struct reader *r, struct sl_hello *h)
{
	uint32_t left = r->message, version, n;

	if (!number(r, &left, 2, &version))
		return false;
	if (version >> 8 != 3)
		return bad(r, "a ClientHello of no version of TLS");
	h->version = (uint16_t)SL_MIN(version, 0x0303u);
	if (!field(r, &left, NULL, 32) || !vector(r, &left, 1, 0, &n))
		return false;
	if (n > SESSION_ID_MAX)
		return bad(r, "a session identifier longer than 32 bytes");
	if (!take(r, NULL, n) || !vector(r, &left, 2, 2, &n))
		return false;
	if (n % 2)
		return bad(r, "half a cipher suite");
	if (!take(r, NULL, n) || !vector(r, &left, 1, 1, &n) || !take(r, NULL, n))
		return false;
	if (left == 0) /* of before TLS 1.3: no extensions at all */
		return true;
	return vector_whole(r, left, 2, 0, &n) && extensions(r, n, h);
}

int
sl_hello_parse(const uint8_t *bytes, uint32_t n, struct sl_hello *ret, const char **ret_why)
{
	struct reader r = {.bytes = bytes, .n = n};
	struct sl_hello h = {0};

	if (head(&r) && body(&r, &h)) {
		*ret = h;
		return (int)r.at;
	}
	if (r.why) {
		*ret_why = r.why;
		return SL_BAD;
	}
	ret->need = earliest_end(&r);
	return SL_PARTIAL;
}

/* ---- who is meant ---- */

static uint32_t
find(const struct sl_img_sni *names, uint32_t cnt, const char *name)
{
	uint32_t from = 0, to = cnt;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int c = strcmp(name, names[mid].name);
		if (c == 0)
			return mid;
		if (c < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return UINT32_MAX;
}

/* How many names begin with "*": they come first, because no other character of names is less. */
static uint32_t
wildcards(const struct sl_img_sni *names, uint32_t cnt)
{
	uint32_t from = 0, to = cnt;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		if (names[mid].name[0] == '*')
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

uint32_t
sl_hello_pick(const struct sl_img_sni *names, uint32_t cnt, const char *host)
{
	char wild[SL_HOST_MAX + 1] = "*";
	uint32_t at = find(names, cnt, host);

	if (at != UINT32_MAX || *host == '*')
		return at;
	cnt = wildcards(names, cnt);
	for (const char *dot = strchr(host, '.'); cnt && dot; dot = strchr(dot + 1, '.')) {
		strcpy(wild + 1, dot);
		at = find(names, cnt, wild);
		if (at != UINT32_MAX)
			return at;
	}
	return UINT32_MAX;
}

/* Lines are put together by hand, key after key: there may be hundreds of thousands a second. */
#include "mgmt/access_line.h"

#include "l7/http1.h"
#include "l7/tls/record.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* ---- names ---- */

struct name {
	char *now, *before; /* NULL: unknown */
	uint64_t since;     /* generation from which on it is `now` */
};

enum space { LISTENER, TABLE, VHOST, ROUTE, SERVICE, ENDPOINT, SPACES };

struct sl_access_names {
	struct names {
		struct name *slot; /* [cnt] */
		uint32_t cnt;
	} space[SPACES];
};

struct sl_access_names *
sl_access_names_create(void)
{
	return calloc(1, sizeof(struct sl_access_names));
}

void
sl_access_names_destroy(struct sl_access_names *n)
{
	if (!n)
		return;
	for (unsigned s = 0; s < SPACES; s++) {
		for (uint32_t i = 0; i < n->space[s].cnt; i++) {
			free(n->space[s].slot[i].now);
			free(n->space[s].slot[i].before);
		}
		free(n->space[s].slot);
	}
	free(n);
}

/* Where the name is in a key: "edge/shop/canary" is that of a route, "web/web-1/198.51.100.11:80" of an endpoint. */
static const char *
name_in(enum space s, const char *key, size_t *ret_len)
{
	const char *slash = s == ENDPOINT ? strchr(key, '/') : strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;

	*ret_len = strcspn(name, "/");
	return name;
}

static int
learn_slot(struct name *at, const char *name, size_t len, uint64_t generation)
{
	if (at->now && strncmp(at->now, name, len) == 0 && at->now[len] == 0)
		return 0;
	char *copy = strndup(name, len);
	if (!copy)
		return -ENOMEM;
	free(at->before);
	at->before = at->now;
	at->since = at->now ? generation : 0;
	at->now = copy;
	return 0;
}

static int
learn_space(struct names *n, enum space s, const struct sl_slot_space *from, uint64_t generation)
{
	int err = 0;
	size_t len;

	if (from->cnt > n->cnt) {
		struct name *more = realloc(n->slot, from->cnt * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + n->cnt, 0, (from->cnt - n->cnt) * sizeof(*more));
		n->slot = more;
		n->cnt = from->cnt;
	}
	for (uint32_t i = 0; i < from->cnt; i++) {
		const char *key = from->owner[i].key;
		const char *name = key ? name_in(s, key, &len) : NULL;
		if (key && learn_slot(&n->slot[i], name, len, generation))
			err = -ENOMEM;
	}
	return err;
}

int
sl_access_names_learn(struct sl_access_names *n, uint64_t generation, const struct sl_slot_map *map)
{
	const struct sl_slot_space *const from[SPACES] = {
		[LISTENER] = &map->listeners, [TABLE] = &map->tables,
		[VHOST] = &map->vhosts,       [ROUTE] = &map->hroutes,
		[SERVICE] = &map->services,   [ENDPOINT] = &map->endpoints,
	};
	int err = 0;

	for (unsigned s = 0; s < SPACES; s++)
		if (learn_space(&n->space[s], s, from[s], generation))
			err = -ENOMEM;
	return err;
}

static const char *
name_of(const struct sl_access_names *n, enum space s, uint32_t slot, uint64_t generation)
{
	if (slot >= n->space[s].cnt)
		return NULL;
	const struct name *at = &n->space[s].slot[slot];
	return generation == 0 || generation >= at->since ? at->now : at->before;
}

/* ---- text ---- */

#define PUT(p, literal) put(p, literal, sizeof(literal) - 1)

static char *
put(char *p, const char *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}

/* At most what readers of JSON have a place for. */
static char *
put_u64(char *p, uint64_t v)
{
	char buf[20], *s = buf + sizeof(buf);

	v = SL_MIN(v, (uint64_t)INT64_MAX);
	do
		*--s = (char)('0' + v % 10);
	while (v /= 10);
	return put(p, s, (size_t)(buf + sizeof(buf) - s));
}

static char *
put_or_null(char *p, uint64_t v, uint64_t none)
{
	return v == none ? PUT(p, "null") : put_u64(p, v);
}

/* Names are letters, digits and . _ - */
static char *
put_name(char *p, const char *name)
{
	if (!name)
		return PUT(p, "null");
	*p++ = '"';
	p = put(p, name, strlen(name));
	*p++ = '"';
	return p;
}

static char *
put_addr(char *p, const struct sl_addr *a)
{
	char text[SL_ADDR_STRLEN];

	if (!sl_addr_is_v4(a))
		return put_name(p, sl_addr_format(a, text));
	*p++ = '"';
	for (unsigned i = 12; i < 16; i++) {
		p = put_u64(p, a->b[i]);
		*p++ = i < 15 ? '.' : '"';
	}
	return p;
}

/* Bytes of the well-formed UTF-8 sequence of two or more that starts at s and is none of the control characters U+0080 to
 * U+009F (RFC 3629, 4); 0: there is none. */
static unsigned
utf8_len(const uint8_t *s, size_t left)
{
	uint8_t a = s[0], b = left > 1 ? s[1] : 0;
	unsigned n = a < 0xc2 ? 0 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	for (unsigned i = 1; i < n; i++)
		if (s[i] >> 6 != 2)
			return 0;
	bool wrong = (a == 0xc2 && b < 0xa0) || (a == 0xe0 && b < 0xa0) ||
		     (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f);
	return wrong ? 0 : n;
}

static bool
plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* What is not plain, from s on: puts it, and says how many bytes it was. */
static char *
put_special(char *p, const uint8_t *s, size_t left, size_t *ret_n)
{
	static const char hex[] = "0123456789abcdef";
	unsigned n = utf8_len(s, left);

	*ret_n = n ? n : 1;
	if (n)
		return put(p, (const char *)s, n);
	if (*s == '"' || *s == '\\') {
		*p++ = '\\';
		*p++ = (char)*s;
		return p;
	}
	p = PUT(p, "\\u00");
	*p++ = hex[*s >> 4];
	*p++ = hex[*s & 15];
	return p;
}

static char *
put_text(char *p, const uint8_t *s, size_t len)
{
	*p++ = '"';
	for (size_t i = 0, n; i < len; i += n) {
		for (n = 0; i + n < len && plain(s[i + n]); n++)
			;
		if (n)
			p = put(p, (const char *)s + i, n);
		else
			p = put_special(p, s + i, len - i, &n);
	}
	*p++ = '"';
	return p;
}

/* The string at *at, and steps over it. */
static char *
put_str(char *p, const uint8_t **at, uint16_t len)
{
	const uint8_t *s = *at;

	*at += len;
	return len ? put_text(p, s, len) : PUT(p, "null");
}

static char *
put_time(char *p, struct sl_access_clock *c, uint64_t start_ns)
{
	int64_t ns = (int64_t)(start_ns + (uint64_t)c->offset_ns);
	int64_t second = ns / 1000000000, us = ns % 1000000000 / 1000;

	if (ns < 0)
		second = us = 0;
	if (second != c->second || !c->text[0]) {
		time_t t = (time_t)second; /* below the year 2263 */
		struct tm tm;
		strftime(c->text, sizeof(c->text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
		c->second = second;
	}
	p = put(p, c->text, sizeof(c->text) - 1);
	*p++ = '.';
	for (int64_t d = 100000; d; d /= 10)
		*p++ = (char)('0' + us / d % 10);
	*p++ = 'Z';
	return p;
}

static char *
put_flags(char *p, uint32_t flags)
{
	char *from = p;

	for (unsigned i = 0; i < SL_RF_CNT; i++) {
		if (!(flags >> i & 1))
			continue;
		if (p > from)
			*p++ = ',';
		p = put(p, sl_rflag_name(i), strlen(sl_rflag_name(i)));
	}
	return p > from ? p : PUT(p, "-");
}

static const char *
bad_name(uint8_t bad)
{
	static const char *const names[] = {
#define X(CODE, status, metric, text) metric,
		SL_HTTP_BADS(X)
#undef X
	};
	return bad == SL_HTTP_BAD_NONE ? NULL : bad < SL_ARRAY_CNT(names) ? names[bad] : "unknown";
}

/* ---- the line ---- */

static bool
strings_fit(const struct sl_event_access *e, size_t bytes)
{
	const uint16_t len[SL_ACCESS_STRS] = {e->method_len, e->host_len,     e->path_len,
					      e->agent_len,  e->id_len,       e->referer_len,
					      e->sni_len,    e->identity_len, e->why_len};
	size_t sum = sizeof(*e);

	for (unsigned i = 0; i < SL_ACCESS_STRS; i++) {
		if (len[i] > SL_ACCESS_STR_MAX)
			return false;
		sum += len[i];
	}
	return e->why_len <= SL_ACCESS_WHY_MAX && sum <= bytes; /* what is behind them is padding */
}

static bool
well_formed(const struct sl_event_access *e, size_t bytes)
{
	return bytes >= sizeof(*e) && e->head.type == SL_EVENT_ACCESS && e->head.bytes == bytes &&
	       strings_fit(e, bytes);
}

static char *
put_request(char *p, const struct sl_access_names *n, const struct sl_event_access *e,
	    const uint8_t **strs)
{
	p = PUT(p, ",\"client\":");
	p = put_addr(p, &e->client);
	p = PUT(p, ",\"client_port\":");
	p = put_u64(p, sl_from_be16(e->client_port));
	p = PUT(p, ",\"listener\":");
	p = put_name(p, name_of(n, LISTENER, e->listener_slot, e->generation));
	p = PUT(p, ",\"table\":");
	p = put_name(p, name_of(n, TABLE, e->table_slot, e->generation));
	p = PUT(p, ",\"method\":");
	p = put_str(p, strs, e->method_len);
	p = PUT(p, ",\"host\":");
	p = put_str(p, strs, e->host_len);
	p = PUT(p, ",\"path\":");
	p = put_str(p, strs, e->path_len);
	p = PUT(p, ",\"protocol\":");
	if (e->version == 10)
		return PUT(p, "\"HTTP/1.0\"");
	if (e->version == SL_ACCESS_TCP)
		return PUT(p, "\"TCP\"");
	return e->version == 11 ? PUT(p, "\"HTTP/1.1\"") : PUT(p, "null");
}

static bool
has_endpoint(const struct sl_event_access *e)
{
	static const struct sl_addr none;

	return !sl_addr_eq(&e->endpoint, &none);
}

static char *
put_way(char *p, const struct sl_access_names *n, const struct sl_event_access *e)
{
	p = PUT(p, ",\"vhost\":");
	p = put_name(p, name_of(n, VHOST, e->vhost_slot, e->generation));
	p = PUT(p, ",\"route\":");
	p = put_name(p, name_of(n, ROUTE, e->route_slot, e->generation));
	p = PUT(p, ",\"service\":");
	p = put_name(p, name_of(n, SERVICE, e->service_slot, e->generation));
	p = PUT(p, ",\"endpoint\":");
	p = put_name(p, name_of(n, ENDPOINT, e->endpoint_slot, e->generation));
	p = PUT(p, ",\"endpoint_address\":");
	if (!has_endpoint(e))
		return PUT(p, "null,\"endpoint_port\":null");
	p = put_addr(p, &e->endpoint);
	p = PUT(p, ",\"endpoint_port\":");
	return put_u64(p, sl_from_be16(e->endpoint_port));
}

static char *
put_numbers(char *p, const struct sl_event_access *e)
{
	p = PUT(p, ",\"upstream_status\":");
	p = put_or_null(p, e->upstream_status, 0);
	p = PUT(p, ",\"tries\":");
	p = put_u64(p, e->tries);
	p = PUT(p, ",\"bytes_in\":");
	p = put_u64(p, e->bytes_in);
	p = PUT(p, ",\"bytes_out\":");
	p = put_u64(p, e->bytes_out);
	p = PUT(p, ",\"first_us\":");
	p = put_or_null(p, e->first_us, UINT32_MAX);
	p = PUT(p, ",\"last_us\":");
	p = put_or_null(p, e->last_us, UINT32_MAX);
	p = PUT(p, ",\"try_us\":");
	return put_or_null(p, e->try_us, UINT32_MAX);
}

static const char *
suite_name(uint8_t version, uint8_t suite)
{
	static const char *const names[][2] = {
		[SL_SUITE_AES128_GCM] = {"TLS_ECDHE_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
		[SL_SUITE_AES256_GCM] = {"TLS_ECDHE_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
		[SL_SUITE_CHACHA20] = {"TLS_ECDHE_CHACHA20_POLY1305_SHA256",
				       "TLS_CHACHA20_POLY1305_SHA256"},
	};

	return version && suite < SL_ARRAY_CNT(names) ? names[suite][version == SL_TLS_1_3] : NULL;
}

static char *
put_bool(char *p, bool is)
{
	return is ? PUT(p, "true") : PUT(p, "false");
}

static char *
put_tls(char *p, const struct sl_event_access *e, const uint8_t **strs)
{
	p = PUT(p, ",\"tls_version\":");
	p = put_name(p, e->tls_version == SL_TLS_1_3   ? "TLSv1.3"
			: e->tls_version == SL_TLS_1_2 ? "TLSv1.2"
						       : NULL);
	p = PUT(p, ",\"tls_cipher\":");
	p = put_name(p, suite_name(e->tls_version, e->tls_suite));
	p = PUT(p, ",\"tls_resumed\":");
	p = e->tls_version ? put_bool(p, e->tls_resumed) : PUT(p, "null");
	p = PUT(p, ",\"sni\":");
	p = put_str(p, strs, e->sni_len);
	p = PUT(p, ",\"identity\":");
	p = put_str(p, strs, e->identity_len);
	p = PUT(p, ",\"upstream_tls\":");
	return has_endpoint(e) ? put_bool(p, e->upstream_tls) : PUT(p, "null");
}

static size_t
len_before_why(const struct sl_event_access *e)
{
	return (size_t)e->method_len + e->host_len + e->path_len + e->agent_len + e->id_len +
	       e->referer_len + e->sni_len + e->identity_len;
}

size_t
sl_access_line(const struct sl_access_names *n, struct sl_access_clock *clock,
	       const struct sl_event_access *e, size_t bytes, char *out)
{
	const uint8_t *strs = (const uint8_t *)(e + 1), *why = strs;
	char *p = out;

	if (!well_formed(e, bytes))
		return 0;
	p = PUT(p, "{\"time\":\"");
	p = put_time(p, clock, e->start_ns);
	*p++ = '"';
	p = put_request(p, n, e, &strs);
	p = PUT(p, ",\"status\":");
	p = put_or_null(p, e->status, 0);
	p = PUT(p, ",\"flags\":\"");
	p = put_flags(p, e->flags);
	p = PUT(p, "\",\"reason\":");
	p = put_name(p, bad_name(e->bad));
	p = PUT(p, ",\"why\":");
	why += len_before_why(e);
	p = put_str(p, &why, e->why_len);
	p = put_way(p, n, e);
	p = put_numbers(p, e);
	p = PUT(p, ",\"user_agent\":");
	p = put_str(p, &strs, e->agent_len);
	p = PUT(p, ",\"request_id\":");
	p = put_str(p, &strs, e->id_len);
	p = PUT(p, ",\"referer\":");
	p = put_str(p, &strs, e->referer_len);
	p = put_tls(p, e, &strs);
	p = PUT(p, ",\"generation\":");
	p = put_or_null(p, e->generation, 0);
	p = PUT(p, ",\"worker\":");
	p = put_u64(p, e->worker);
	p = PUT(p, "}\n");
	return (size_t)(p - out);
}

/* CORS (the fetch standard of WHATWG): which sites' pages may use what is here.
 *
 * A preflight is answered here, whoever asks: 204, with what the page may do when its origin is one of ours, without when it is
 * none.  Other requests go their way; their answers carry what the policy says, and nothing that the endpoint says of CORS.
 * As answers differ by who asks, they say so (vary), also those to origins that are none of ours: a cache may hold them. */
#include "l7/http_priv.h"

#include <strings.h>

#define ORIGIN_MAX 512 /* of a client's; longer ones are none of ours */
#define ASKED_MAX 1024 /* likewise of what a preflight asks for */

static const char allow_origin[] = "access-control-allow-origin";
static const char allow_credentials[] = "access-control-allow-credentials";
static const char allow_methods[] = "access-control-allow-methods";
static const char allow_headers[] = "access-control-allow-headers";
static const char expose_headers[] = "access-control-expose-headers";
static const char max_age[] = "access-control-max-age";
static const char private_network[] = "access-control-allow-private-network";

/* ---- origins ---- */

/* What a "*" stands for: labels, so that no other host, port or user can hide in it. */
static bool
is_labels(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!word && (c != '.' || i == 0 || s[i - 1] == '.' || i + 1 == n))
			return false;
	}
	return n != 0;
}

static bool
matches(const char *pattern, const char *origin, size_t len)
{
	size_t n = strlen(pattern);
	const char *star = strstr(pattern, "://*.");

	if (strcmp(pattern, "*") == 0)
		return true;
	if (!star)
		return n == len && strncasecmp(pattern, origin, n) == 0;
	size_t head = (size_t)(star - pattern) + 3, tail = n - head - 1;
	if (len <= head + tail)
		return false;
	return strncasecmp(pattern, origin, head) == 0 &&
	       strncasecmp(pattern + head + 1, origin + len - tail, tail) == 0 &&
	       is_labels(origin + head, len - head - tail);
}

bool
sl_http_cors_allows(struct sl_bytes origins, struct sl_bytes origin)
{
	const char *at = (const char *)origins.at, *end = at + origins.len;

	for (; at < end; at += strlen(at) + 1)
		if (matches(at, (const char *)origin.at, origin.len))
			return true;
	return false;
}

/* ---- lines ---- */

/* The one line of the name; .at NULL: there is none, or several. */
static struct sl_bytes
only_line(const struct sl_http_head *head, const char *name)
{
	const uint8_t *text = (const uint8_t *)name;
	size_t n = strlen(name);
	uint16_t hash = sl_http_name_hash(text, n);
	unsigned i = sl_http_find(head, text, n, hash, 0);

	if (i >= head->line_cnt || sl_http_find(head, text, n, hash, i + 1) < head->line_cnt)
		return (struct sl_bytes){0};
	return (struct sl_bytes){head->bytes + head->line[i].value, head->line[i].value_len};
}

static struct sl_bytes
text_of(const struct http_decision *d, struct sl_img_str s)
{
	return (struct sl_bytes){d->strs + s.off, s.len};
}

/* The endpoint's goes in any case. */
static void
put(struct sl_http *h, struct http_decision *d, const char *name, struct sl_bytes value)
{
	sl_http_policy_line(h, d, value.len ? SL_EDIT_SET : SL_EDIT_REMOVE, name, value.at,
			    value.len);
}

static void
put_text(struct sl_http *h, struct http_decision *d, const char *name, const char *value)
{
	put(h, d, name, (struct sl_bytes){(const uint8_t *)value, (uint32_t)strlen(value)});
}

/* "*" alone says the same to all. */
static bool
says_any(const struct http_decision *d, const struct sl_img_cors *c)
{
	return c->origins.len == 2 && d->strs[c->origins.off] == '*';
}

static void
put_origin(struct sl_http *h, struct http_decision *d, const struct sl_img_cors *c,
	   struct sl_bytes origin, bool allowed)
{
	const struct sl_bytes none = {0}, any = {(const uint8_t *)"*", 1};

	put(h, d, allow_origin, !allowed ? none : says_any(d, c) ? any : origin);
	put_text(h, d, allow_credentials, allowed && c->credentials ? "true" : "");
}

static void
put_max_age(struct sl_http *h, struct http_decision *d, uint32_t s)
{
	char text[12];
	unsigned at = sizeof(text);

	do {
		text[--at] = (char)('0' + s % 10);
		s /= 10;
	} while (s);
	put(h, d, max_age, (struct sl_bytes){(const uint8_t *)text + at, sizeof(text) - at});
}

/* ---- requests ---- */

static void
preflight(struct sl_http *h, struct http_decision *d, const struct sl_img_cors *c,
	  const struct sl_http_head *head, struct sl_bytes method)
{
	static const char vary[] =
		"Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
	struct sl_bytes asked = only_line(head, "access-control-request-headers");

	put(h, d, allow_methods, c->methods.len ? text_of(d, c->methods) : method);
	if (c->headers.len)
		asked = text_of(d, c->headers);
	if (asked.len && asked.len <= ASKED_MAX)
		put(h, d, allow_headers, asked);
	if (c->max_age_s != UINT32_MAX)
		put_max_age(h, d, c->max_age_s);
	put_text(h, d, "vary", vary);
}

static void
actual(struct sl_http *h, struct http_decision *d, const struct sl_img_cors *c, bool allowed)
{
	const struct sl_bytes none = {0};

	put(h, d, expose_headers, allowed ? text_of(d, c->expose) : none);
	put(h, d, allow_methods, none);
	put(h, d, allow_headers, none);
	put(h, d, max_age, none);
	put(h, d, private_network, none);
	if (!says_any(d, c))
		sl_http_policy_line(h, d, SL_EDIT_APPEND, "vary", "Origin", 6);
}

void
sl_http_judge_cors(struct sl_http *h, const struct sl_http_head *head, struct http_decision *d)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_cors *c = (const void *)((const char *)v + v->cors_off);

	if (d->policy->cors == 0)
		return;
	c += d->policy->cors - 1;
	struct sl_bytes origin = only_line(head, "origin");
	struct sl_bytes method = only_line(head, "access-control-request-method");
	bool allowed = origin.len && origin.len <= ORIGIN_MAX &&
		       sl_http_cors_allows(text_of(d, c->origins), origin);
	bool asks = head->method == SL_METHOD_OPTIONS && origin.len && method.len &&
		    method.len <= ASKED_MAX / 8;

	d->foreign = origin.len && !allowed;
	put_origin(h, d, c, origin, allowed);
	if (!asks) {
		actual(h, d, c, allowed);
		return;
	}
	if (allowed)
		preflight(h, d, c, head, method);
	else
		put_text(h, d, "vary", "Origin");
	sl_http_policy_why(d, "cors", allowed ? "preflight" : "origin");
	sl_http_policy_refuse(d, 204, 0, SL_HTTP_CNT_CORS_PREFLIGHT,
			      allowed ? "a CORS preflight of an origin that is allowed"
				      : "a CORS preflight of an origin that is not allowed");
}

/* What a route makes of a path: for the endpoint, or for the Location of a redirect. */
#include "l7/heads.h"
#include "l7/match.h"

#include <string.h>

struct out {
	uint8_t *at, *end;
	bool full;
};

static void
put(struct out *o, const void *bytes, size_t n)
{
	if (n > (size_t)(o->end - o->at)) {
		o->full = true;
		return;
	}
	if (n)
		memcpy(o->at, bytes, n);
	o->at += n;
}

static struct sl_bytes
str(const struct sl_img_vhost *v, struct sl_img_str s)
{
	return (struct sl_bytes){(const uint8_t *)v + v->str_off + s.off, s.len};
}

/* ---- templates ---- */

/* The first "{…}" at or behind *at: its name without "=**"; *at becomes the place behind it, *ret_open where it begins. */
static bool
next_name(struct sl_bytes t, uint32_t *at, uint32_t *ret_open, struct sl_bytes *ret_name)
{
	const uint8_t *open = *at < t.len ? memchr(t.at + *at, '{', t.len - *at) : NULL;
	if (!open)
		return false;
	const uint8_t *close = memchr(open, '}', (size_t)(t.at + t.len - open));
	if (!close)
		return false;
	const uint8_t *name = open + 1, *equal = memchr(name, '=', (size_t)(close - name));
	*ret_open = (uint32_t)(open - t.at);
	*ret_name = (struct sl_bytes){name, (uint32_t)((equal ? equal : close) - name)};
	*at = (uint32_t)(close - t.at) + 1;
	return true;
}

/* The text of the route's TEMPLATE condition; empty: it has none. */
static struct sl_bytes
template_of(const struct sl_img_vhost *v, const struct sl_img_http_route *r)
{
	const struct sl_img_cond *conds = (const void *)((const char *)v + v->cond_off);
	const uint32_t *ids = (const void *)((const char *)v + v->cond_id_off);

	for (uint32_t i = 0; i < r->cond_cnt; i++) {
		const struct sl_img_cond *c = &conds[ids[r->cond_first + i]];
		if (c->field == SL_FIELD_PATH && c->op == SL_COND_TEMPLATE)
			return str(v, c->value);
	}
	return (struct sl_bytes){NULL, 0};
}

/* What the template's part of the name matched; captures stand in the order of the parts. */
static struct sl_bytes
capture(struct sl_bytes from, struct sl_bytes name, const struct sl_match_result *m,
	const uint8_t *path)
{
	uint32_t at = 0, open;
	struct sl_bytes n;

	for (unsigned i = 0; i < m->capture_cnt && next_name(from, &at, &open, &n); i++)
		if (n.len == name.len && memcmp(n.at, name.at, n.len) == 0)
			return (struct sl_bytes){path + m->capture[i].off, m->capture[i].len};
	return (struct sl_bytes){NULL, 0};
}

static void
put_template(struct out *o, struct sl_bytes text, struct sl_bytes from,
	     const struct sl_match_result *m, const uint8_t *path)
{
	uint32_t at = 0, done = 0, open;
	struct sl_bytes name;

	while (next_name(text, &at, &open, &name)) {
		struct sl_bytes c = capture(from, name, m, path);
		put(o, text.at + done, open - done);
		put(o, c.at, c.len);
		done = at;
	}
	put(o, text.at + done, text.len - done);
}

/* ---- paths ---- */

/* A "/" that ends the new prefix is not written twice. */
static void
put_prefix(struct out *o, struct sl_bytes prefix, const uint8_t *rest, uint32_t len)
{
	if (len && rest[0] == '/' && prefix.len && prefix.at[prefix.len - 1] == '/')
		prefix.len--;
	put(o, prefix.at, prefix.len);
	put(o, rest, len);
}

static void
put_path(struct out *o, const struct sl_img_vhost *v, const struct sl_img_http_route *r,
	 const struct sl_match_result *m, const uint8_t *path, uint32_t len)
{
	struct sl_bytes to = str(v, r->path);
	uint32_t prefix = SL_MIN(m->prefix, len);

	if (len == 0 || path[0] != '/') /* "*" */
		put(o, path, len);
	else if (r->rewrite == SL_REWRITE_PREFIX)
		put_prefix(o, to, path + prefix, len - prefix);
	else if (r->rewrite == SL_REWRITE_TEMPLATE)
		put_template(o, to, template_of(v, r), m, path);
	else if (r->rewrite == SL_REWRITE_PATH)
		put(o, to.at, to.len);
	else
		put(o, path, len);
}

uint32_t
sl_rewrite_path(uint8_t *out, uint32_t max, const struct sl_img_vhost *v,
		const struct sl_img_http_route *r, const struct sl_match_result *m,
		const uint8_t *path, uint32_t len)
{
	struct out o = {out, out + max, false};

	put_path(&o, v, r, m, path, len);
	return o.full ? 0 : (uint32_t)(o.at - out);
}

/* ---- redirects ---- */

static void
put_port(struct out *o, uint16_t port)
{
	char digits[5];
	unsigned at = sizeof(digits);

	for (; port; port /= 10)
		digits[--at] = (char)('0' + port % 10);
	put(o, ":", 1);
	put(o, digits + at, sizeof(digits) - at);
}

/* "scheme://host:port", or nothing when nobody named a host: then Location is a path. */
static void
put_origin(struct out *o, const struct sl_img_vhost *v, const struct sl_img_http_route *r,
	   const struct sl_http_head *h, bool https)
{
	struct sl_bytes host = str(v, r->host);
	bool to_https = r->redirect_https ? r->redirect_https == 1 : https;

	if (host.len == 0) {
		bool port_too = !r->redirect_port && to_https == https;
		host = (struct sl_bytes){h->bytes + h->host,
					 port_too ? h->authority_len : h->host_len};
	}
	if (host.len == 0)
		return;
	put(o, "https", to_https ? 5 : 4);
	put(o, "://", 3);
	put(o, host.at, host.len);
	if (r->redirect_port && r->redirect_port != (to_https ? 443 : 80))
		put_port(o, r->redirect_port);
}

uint32_t
sl_redirect_location(uint8_t *out, uint32_t max, const struct sl_img_vhost *v,
		     const struct sl_img_http_route *r, const struct sl_match_result *m,
		     const struct sl_http_head *h, struct sl_bytes path, bool https)
{
	struct out o = {out, out + max, false};

	put_origin(&o, v, r, h, https);
	uint8_t *begin = o.at;
	put_path(&o, v, r, m, path.at, path.len);
	/* "//x" alone would name a host (RFC 3986, 4.2) */
	if (begin == out && o.at - begin > 1 && begin[1] == '/') {
		put(&o, "/.", 2);
		if (!o.full)
			memmove(begin + 2, begin, (size_t)(o.at - begin) - 2);
		memcpy(begin, "/.", 2);
	}
	if (h->query && !r->strip_query) {
		put(&o, memchr(begin, '?', (size_t)(o.at - begin)) ? "&" : "?", 1);
		put(&o, h->bytes + h->query, h->query_len);
	}
	return o.full ? 0 : (uint32_t)(o.at - out);
}

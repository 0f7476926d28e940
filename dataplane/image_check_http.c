/* The objects of HTTP but the virtual host (image_check_vhost.c), and a service's part in it. */
#include "dataplane/image_check_priv.h"

/* ---- SERVICE: its part ---- */

static void
check_hash_name(struct sl_look *c, const struct sl_img_http_service *h)
{
	size_t len = strnlen(h->hash_name, SL_NAME_MAX);

	for (size_t i = len; i < SL_NAME_MAX; i++)
		if (h->hash_name[i]) {
			sl_look_bad(c, "http", SL_LOOK_NOWHERE, "hash_name",
				    "is not padded with 0 to %d bytes", SL_NAME_MAX);
			return;
		}
	if (len == SL_NAME_MAX)
		sl_look_bad(c, "http", SL_LOOK_NOWHERE, "hash_name", "does not end within %d bytes",
			    SL_NAME_MAX);
	else if (h->hash_on == SL_HASH_ON_SOURCE && len)
		sl_look_bad_text(c, "http", SL_LOOK_NOWHERE, "hash_name",
				 (const void *)h->hash_name, (uint32_t)len,
				 "must be empty: the client's address is hashed");
	else if (h->hash_on != SL_HASH_ON_SOURCE &&
		 !sl_look_token((const void *)h->hash_name, len, h->hash_on == SL_HASH_ON_HEADER))
		sl_look_bad_text(c, "http", SL_LOOK_NOWHERE, "hash_name",
				 (const void *)h->hash_name, (uint32_t)len,
				 h->hash_on == SL_HASH_ON_HEADER ? "is not a token in lower case"
								 : "is not a token");
}

void
sl_look_http_service(struct sl_look *c, const struct sl_img_service *s)
{
	static const struct sl_img_http_service none;
	const struct sl_img_http_service *h = &s->http;
	const uint32_t no = SL_LOOK_NOWHERE;

	if (s->forward != SL_FORWARD_PROXY) {
		if (memcmp(h, &none, sizeof(none)) != 0)
			sl_look_bad(c, "http", no, "", "must be all 0: forward is not proxy");
		return;
	}
	sl_look_range(c, "http", no, "conn_idle_ms", h->conn_idle_ms, 1, SL_LOOK_MS_MAX);
	sl_look_range(c, "http", no, "conn_idle_max", h->conn_idle_max, 0, UINT16_MAX);
	sl_look_range(c, "http", no, "eject_ms", h->eject_ms, 1, 3600000);
	sl_look_range(c, "http", no, "eject_max_ms", h->eject_max_ms, SL_MAX(h->eject_ms, 1u),
		      UINT32_MAX);
	sl_look_range(c, "http", no, "sweep_ms", h->sweep_ms, 10, 3600000);
	sl_look_range(c, "http", no, "eject_max_pct", h->eject_max_pct, 1, 100);
	sl_look_range(c, "http", no, "budget_pct", h->budget_pct, 0, 100);
	sl_look_range(c, "http", no, "hash_on", h->hash_on, SL_HASH_ON_SOURCE, SL_HASH_ON_QUERY);
	sl_look_range(c, "http", no, "adaptive_pct", h->adaptive_pct, 0, 200);
	sl_look_zero(c, "http", no, "adaptive_zero", h->adaptive_zero);
	sl_look_range(c, "http", no, "split_local", h->split_local, 0, 1);
	sl_look_range(c, "http", no, "failure_pct", h->failure_pct, 0, 100);
	sl_look_range(c, "http", no, "rate_deviation", h->rate_deviation, 0, 10000);
	check_hash_name(c, h);
}

/* ---- ROUTES ---- */

static void
check_http(struct sl_look *c, const struct sl_img_http *h)
{
	const uint32_t no = SL_LOOK_NOWHERE;

	sl_look_range(c, "http", no, "header_ms", h->header_ms, 1, 600000);
	sl_look_range(c, "http", no, "idle_ms", h->idle_ms, 1, SL_LOOK_MS_MAX);
	sl_look_range(c, "http", no, "stream_idle_ms", h->stream_idle_ms, 1, SL_LOOK_MS_MAX);
	sl_look_range(c, "http", no, "max_head", h->max_head, 1024, SL_HTTP_HEAD_MAX);
	sl_look_range(c, "http", no, "max_headers", h->max_headers, 1, SL_HTTP_HEADERS_MAX);
	sl_look_range(c, "http", no, "slash_2f", h->slash_2f, SL_2F_KEEP, SL_2F_REJECT);
	sl_look_range(c, "http", no, "merge_slashes", h->merge_slashes, 0, 1);
	sl_look_range(c, "http", no, "log", h->log, 0, 1);
	sl_look_zero(c, "http", no, "zero", h->zero);
}

/* NULL, or what is wrong with the name of a host of that kind. */
static const char *
host_wrong(uint32_t kind, const uint8_t *s, uint32_t len)
{
	if (kind == SL_HOST_EXACT && sl_look_host_v6(s, len))
		return sl_look_lower(s, len) ? NULL : "is not in lower case";
	if (!sl_look_host_chars(s, len, true))
		return "is not a host name in lower case, without port";
	if (kind == SL_HOST_EXACT)
		return s[0] == '.' || s[len - 1] == '.' ? "begins or ends with a dot" : NULL;
	if (kind == SL_HOST_SUFFIX)
		return len < 2 || s[0] != '.' || s[len - 1] == '.'
			       ? "must begin with a dot, and not end with one"
			       : NULL;
	return len < 2 || s[0] == '.' || s[len - 1] != '.'
		       ? "must end with a dot, and not begin with one"
		       : NULL;
}

static void
check_host(const struct sl_look_strings *t, const struct sl_img_host *h, uint32_t i)
{
	bool any = h->kind == SL_HOST_ANY;

	sl_look_range(t->c, "hosts", i, "kind", h->kind, SL_HOST_EXACT, SL_HOST_ANY);
	sl_look_range(t->c, "hosts", i, "vhost", h->vhost, 0, SL_MAX_VHOSTS - 1);
	const uint8_t *s = sl_look_string(t, "hosts", i, "name", h->name, !any, any ? 0 : 253);
	if (!s || any || h->kind < SL_HOST_EXACT || h->kind > SL_HOST_ANY)
		return;
	const char *why = host_wrong(h->kind, s, h->name.len);
	if (why)
		sl_look_bad_text(t->c, "hosts", i, "name", s, h->name.len, why);
}

static int
host_cmp(const struct sl_look_strings *t, const struct sl_img_host *a, const struct sl_img_host *b)
{
	return a->kind != b->kind ? (a->kind > b->kind) - (a->kind < b->kind)
				  : sl_look_string_cmp(t, a->name, b->name);
}

void
sl_look_routes(struct sl_look *c)
{
	const struct sl_img_routes *r = (const void *)c->bytes;
	struct sl_look_strings t;

	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", r->name);
	check_http(c, &r->http);
	const struct sl_img_host *h =
		sl_look_open(c, &(struct sl_look_section){"hosts", r->host_cnt, r->host_off, 0,
							  SL_OBJ_MAX / sizeof(*h), sizeof(*h)});
	sl_look_strings_open(&t, c, r->str_bytes, r->str_off);
	for (uint32_t i = 0; h && i < r->host_cnt; i++) {
		check_host(&t, &h[i], i);
		if (i > 0 && !t.lost)
			sl_look_order(c, "hosts", i, host_cmp(&t, h + i - 1, h + i),
				      "(kind, name)");
	}
}

/* ---- SHARD ---- */

void
sl_look_shard(struct sl_look *c)
{
	const struct sl_img_shard *s = (const void *)c->bytes;

	sl_look_range(c, "", SL_LOOK_NOWHERE, "pattern_cnt", s->pattern_cnt, 1, 65536);
	sl_look_zero(c, "", SL_LOOK_NOWHERE, "zero", s->zero);
	sl_look_open(c, &(struct sl_look_section){"db", s->db_bytes, s->db_off, 1, SL_OBJ_MAX, 1});
}

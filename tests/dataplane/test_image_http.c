#include "tests/suite.h"

#include <errno.h>

#include "tests/dataplane/http_conf.h"

/* ---- the objects ---- */

static struct sl_test_image im;

static void
image_make(void)
{
	struct sl_test_conf c = http_conf();

	sl_test_image_build(&c, &im);
}

static enum sl_obj_kind
kind_of(unsigned which)
{
	return ((const struct sl_obj_head *)im.objs[which].bytes)->kind;
}

/* A copy right before a page that must not be touched. */
static uint8_t *
guarded(const struct sl_object *o)
{
	uint8_t *p = guard_buf(o->size);

	memcpy(p, o->bytes, o->size);
	return p;
}

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void
print_diag(const char *why, const struct sl_diag *d)
{
	char line[2048];

	printf("\n  %s\n", why);
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("    said: %s\n", line);
	}
}

/* ---- mistakes ---- */

enum section { FIXED, HOSTS, ROUTE, COND, IDS, SCAN, TARGET, MIRROR, EDIT, LEVEL, RING };

/* `bytes` of value at `off` of a record; text n: at the n-th byte of the string there (from 1). */
struct mistake {
	unsigned which;
	enum section section;
	unsigned idx;
	size_t off;
	unsigned bytes;
	uint64_t value;
	const char *says, *why;
	unsigned text;
};

static size_t
record_at(const uint8_t *o, enum section section, unsigned idx)
{
	const struct sl_img_routes *t = (const void *)o;
	const struct sl_img_vhost *v = (const void *)o;
	const struct sl_img_service *s = (const void *)o;

	switch (section) {
	case FIXED:
		return 0;
	case HOSTS:
		return t->host_off + idx * sizeof(struct sl_img_host);
	case ROUTE:
		return v->route_off + idx * sizeof(struct sl_img_http_route);
	case COND:
		return v->cond_off + idx * sizeof(struct sl_img_cond);
	case IDS:
		return v->cond_id_off + idx * sizeof(uint32_t);
	case SCAN:
		return v->scan_off + idx * sizeof(struct sl_img_scan);
	case TARGET:
		return v->target_off + idx * sizeof(struct sl_img_target);
	case MIRROR:
		return v->mirror_off + idx * sizeof(struct sl_img_mirror);
	case EDIT:
		return v->edit_off + idx * sizeof(struct sl_img_edit);
	case LEVEL:
		return s->level_off + idx * sizeof(struct sl_img_level);
	case RING:
		return ((const struct sl_img_level *)(const void *)(o + s->level_off))->ring_off +
		       idx * sizeof(struct sl_img_point);
	}
	return 0;
}

static void
make_mistake(uint8_t *o, const struct mistake *m)
{
	size_t at = record_at(o, m->section, m->idx) + m->off;
	uint32_t strs = kind_of(m->which) == SL_OBJ_ROUTES
				? ((const struct sl_img_routes *)(const void *)o)->str_off
				: ((const struct sl_img_vhost *)(const void *)o)->str_off;

	if (m->text) {
		struct sl_img_str s;
		memcpy(&s, o + at, sizeof(s));
		o[strs + s.off + m->text - 1] = (uint8_t)m->value;
	} else {
		memcpy(o + at, &m->value, m->bytes);
	}
}

#define F_(type, field) offsetof(type, field), sizeof(((type *)0)->field)
#define TABLE(field) REF_TABLE, FIXED, 0, F_(struct sl_img_routes, field)
#define HOST(i, field) REF_TABLE, HOSTS, i, F_(struct sl_img_host, field)
#define VHOST(field) REF_SHOP, FIXED, 0, F_(struct sl_img_vhost, field)
#define RT(i, field) REF_SHOP, ROUTE, i, F_(struct sl_img_http_route, field)
#define CD(i, field) REF_SHOP, COND, i, F_(struct sl_img_cond, field)
#define SC(i, field) REF_SHOP, SCAN, i, F_(struct sl_img_scan, field)
#define TG(i, field) REF_SHOP, TARGET, i, F_(struct sl_img_target, field)
#define MI(i, field) REF_SHOP, MIRROR, i, F_(struct sl_img_mirror, field)
#define ED(i, field) REF_SHOP, EDIT, i, F_(struct sl_img_edit, field)
#define ID(i) REF_SHOP, IDS, i, 0, 4
#define SV(field) REF_CANARY, FIXED, 0, F_(struct sl_img_service, field)
#define NAT(field) REF_NAT, FIXED, 0, F_(struct sl_img_service, field)
#define LV(field) REF_CANARY, LEVEL, 0, F_(struct sl_img_level, field)
#define PT(i, field) REF_CANARY, RING, i, F_(struct sl_img_point, field)
#define SH(field) REF_SHARDS, FIXED, 0, F_(struct sl_img_shard, field)

static const struct mistake mistakes[] = {
	/* a service's part */
	{NAT(http.max_pending), 1, "http: must be all 0: forward is not proxy", "limits of nat", 0},
	{NAT(policy), SL_POLICY_RANDOM, "policy: is 7, must be in [1, 4]", "policy of proxy", 0},
	{NAT(tls_off), 1, "tls_off: is 1, must be 0", "zero", 0},
	{SV(policy), 9, "policy: is 9, must be in [1, 8]", "policy", 0},
	{SV(http.conn_idle_ms), 0, "http.conn_idle_ms: is 0, must be in [1, 604800000]", "idle", 0},
	{SV(http.conn_idle_max), 65536, "http.conn_idle_max: is 65536", "idle connections", 0},
	{SV(http.eject_ms), 0, "http.eject_ms: is 0, must be in [1, 3600000]", "ejection", 0},
	{SV(http.eject_ms), 2, "http.eject_max_ms: is 1, must be in [2,", "longest", 0},
	{SV(http.sweep_ms), 9, "http.sweep_ms: is 9, must be in [10, 3600000]", "sweep", 0},
	{SV(http.eject_max_pct), 0, "http.eject_max_pct: is 0, must be in [1, 100]", "percent", 0},
	{SV(panic_pct), 101, "panic_pct: is 101, must be in [0, 100]", "panic", 0},
	{SV(http.budget_pct), 101, "http.budget_pct: is 101, must be in [0, 100]", "budget", 0},
	{SV(http.hash_on), 4, "http.hash_on: is 4, must be in [0, 3]", "hash on", 0},
	{SV(http.hash_on), 0, "http.hash_name: \"x-user\" must be empty", "name of an address", 0},
	{SV(http.adaptive_pct), 201, "http.adaptive_pct: is 201, must be in [0, 200]", "buffer", 0},
	{SV(http.adaptive_zero), 1, "http.adaptive_zero: is 1, must be 0", "zero", 0},
	{SV(http.split_local), 2, "http.split_local: is 2, must be in [0, 1]", "split", 0},
	{SV(http.failure_pct), 101, "http.failure_pct: is 101, must be in [0, 100]", "failures", 0},
	{SV(http.rate_deviation), 10001, "http.rate_deviation: is 10001", "deviation", 0},
	{SV(http.hash_name[0]), 'X', "\"X-user\" is not a token in lower case", "case", 0},
	{SV(http.hash_name[1]), ' ', "\"x user\" is not a token", "blank", 0},
	{SV(http.hash_name[9]), 'x', "http.hash_name: is not padded with 0", "padding", 0},
	{LV(ring_cnt), 0,
	 "levels[0].ring.cnt: is 0, must be in [1, 1048576]: the policy is ring hash",
	 "ring missing", 0},
	{SV(policy), SL_POLICY_RANDOM,
	 "levels[0].ring.cnt: is 16, must be 0: the policy is not ring hash", "ring of random", 0},
	{PT(3, endpoint), 2, "levels[0].ring[3].endpoint: is 2, must be in [0, 1]", "no endpoint",
	 0},
	{PT(3, hash), 0, "levels[0].ring[3]: stands behind, but sorts before, record 2",
	 "ring order", 0},

	/* ROUTES */
	{TABLE(name[0]), 0, "name: \"\" is not a name", "name", 0},
	{TABLE(http.header_ms), 0, "http.header_ms: is 0, must be in [1, 600000]", "header", 0},
	{TABLE(http.idle_ms), 0, "http.idle_ms: is 0, must be in [1, 604800000]", "idle", 0},
	{TABLE(http.stream_idle_ms), 604800001, "http.stream_idle_ms: is 604800001", "idle", 0},
	{TABLE(http.max_head), 1023, "http.max_head: is 1023, must be in [1024, 61440]", "head", 0},
	{TABLE(http.max_head), 61441, "http.max_head: is 61441", "head", 0},
	{TABLE(http.max_headers), 101, "http.max_headers: is 101, must be in [1, 100]", "lines", 0},
	{TABLE(http.slash_2f), 3, "http.slash_2f: is 3, must be in [0, 2]", "policy of %2F", 0},
	{TABLE(http.merge_slashes), 2, "http.merge_slashes: is 2", "flag", 0},
	{TABLE(http.log), 2, "http.log: is 2, must be in [0, 1]", "flag", 0},
	{TABLE(http.zero), 1, "http.zero: is 1, must be 0", "zero", 0},
	{TABLE(host_off), 128, "hosts.off: is 128, but the bytes before 136", "overlap", 0},
	{TABLE(str_bytes), 3, "must be 0: it is in no section", "strings cut", 0},
	{TABLE(str_bytes), 3, "bytes at 0 are not within the 3 of str", "strings cut", 0},
	{TABLE(str_off), 65536, "behind the object's end", "strings outside", 0},
	{HOST(H_V6, kind), 0, "hosts[0].kind: is 0, must be in [1, 4]", "kind", 0},
	{HOST(H_ANY, kind), 5, "hosts[4].kind: is 5, must be in [1, 4]", "kind", 0},
	{HOST(H_V6, vhost), 16384, "hosts[0].vhost: is 16384, must be in [0, 16383]", "slot", 0},
	{HOST(H_ANY, name.len), 1, "hosts[4].name: has 1 bytes, must be empty", "name of *", 0},
	{HOST(H_ANY, name.off), 1, "hosts[4].name: is empty at 1, must be at 0", "place of *", 0},
	{HOST(H_SUFFIX, name.len), 0, "hosts[2].name: has 0 bytes, must have [1, 253]", "none", 0},
	{HOST(H_SUFFIX, name.len), 254, "hosts[2].name: has 254 bytes, must", "too long", 0},
	{HOST(H_SUFFIX, name.off), UINT32_MAX, "are not within the", "offset outside", 0},
	{HOST(H_SUFFIX, name), 'x', "must begin with a dot", "suffix without its dot", 1},
	{HOST(H_PREFIX, name), 'x', "must end with a dot", "prefix without its dot", 5},
	{HOST(H_EXACT, name), 'S', "is not a host name in lower case", "upper case", 2},
	{HOST(H_EXACT, name), ':', "is not a host name in lower case, without port", "port", 1},
	{HOST(H_V6, name), 'z', "hosts[0].name: \"[2001:db8::1z\" is not a host", "bracket", 13},
	{HOST(H_EXACT, name), '.', "begins or ends with a dot", "dot first", 1},
	{HOST(H_EXACT, name), '.', "begins or ends with a dot", "dot last", 12},
	{HOST(H_EXACT, kind), 3, "records must be sorted by (kind, name)", "order of kinds", 0},
	{HOST(H_V6, name), 't', "records must be sorted by (kind, name)", "order of names", 1},

	/* VHOST: the whole */
	{VHOST(name[0]), '-', "name: \"-hop\" is not a name", "name", 0},
	{VHOST(table[0]), 0, "table: \"\" is not a name", "table", 0},
	{VHOST(route_cnt), 65537, "routes.cnt: is 65537, must be in [0, 65536]", "too many", 0},
	{VHOST(cond_off), 208, "conds.off: is 208, but the bytes before", "overlap", 0},
	{VHOST(cond_cnt), 9, "cond_ids[9]: is 9, but there are 9 conditions", "one cut off", 0},
	{VHOST(str_bytes), 70000000, "str.cnt: is 70000000, must be in", "strings", 0},
	{VHOST(edit_cnt), 0, "edits.off: is", "empty, offset", 0},
	{VHOST(str_bytes), 5, "are not within the 5 of str", "strings cut", 0},
	{ID(3), 10, "cond_ids[3]: is 10, but there are 10 conditions", "no condition", 0},

	/* routes */
	{RT(0, slot), 65536, "routes[0].slot: is 65536, must be in [0, 65535]", "slot", 0},
	{RT(1, slot), 0, "routes[1].slot: 0 is used by an earlier record", "slot twice", 0},
	{RT(0, incarnation), 0, "routes[0].incarnation: is 0, must be in", "incarnation", 0},
	{RT(0, name[0]), '/', "routes[0].name: \"/plit\" is not a name", "name", 0},
	{RT(0, name), 'd' | 'l' << 8, "is not a name", "name cut", 0},
	{RT(0, policy), 1, "routes[0].policy: is 1, must be in [0, 0]", "policy", 0},
	{RT(0, cond_cnt), 65, "routes[0].cond_cnt: is 65, must be in [0, 64]", "conditions", 0},
	{RT(0, cond_first), 8, "routes[0].cond_cnt: 5 from 8 on are not within 10", "outside", 0},
	{RT(0, cond_first), UINT32_MAX, "5 from 4294967295 on are not within 10", "wraps", 0},
	{RT(0, action), 0, "routes[0].action: is 0, must be in [1, 3]", "action", 0},
	{RT(0, action), 4, "routes[0].action: is 4, must be in [1, 3]", "action", 0},
	{RT(0, code), 200, "routes[0].code: is 200, must be 0", "code of a service", 0},
	{RT(0, target_first), 2, "routes[0].target_cnt: 2 from 2 on are not within 3", "outside",
	 0},
	{RT(0, target_cnt), 65, "routes[0].target_cnt: is 65, must be in [0, 64]", "targets", 0},
	{RT(0, target_cnt), 0, "routes[0].target_cnt: is 0, must be in [1, 64]", "none", 0},
	{RT(0, weight_sum), 0, "routes[0].weight_sum: is 0, must be 1 at least", "sum 0", 0},
	{RT(0, weight_sum), 99, "weight_sum: is 99, but the targets weigh 100", "sum", 0},
	{RT(0, mirror_cnt), 5, "routes[0].mirror_cnt: is 5, must be in [0, 4]", "mirrors", 0},
	{RT(0, mirror_first), 1, "routes[0].mirror_cnt: 1 from 1 on", "outside", 0},
	{RT(0, edit_cnt[0]), 33, "routes[0].edit_cnt: is 33, must be in [0, 32]", "edits", 0},
	{RT(0, edit_first[1]), 3, "routes[0].edit_cnt: 1 from 3 on are not within 3", "outside", 0},
	{RT(0, retries), 8, "routes[0].retries: is 8, must be in [0, 7]", "retries", 0},
	{RT(0, retry_on), 128, "routes[0].retry_on: is 128, must be in [0, 127]", "why again", 0},
	{RT(0, retry_on), 1, "retry_codes: are given, but retry_on lacks CODES", "codes", 0},
	{RT(3, retry_on), 32, "retry_codes: are all 0, but retry_on has CODES", "codes", 0},
	{RT(0, retry_codes[2]), 399, "retry_codes: is 399, must be in [400, 599]", "code", 0},
	{RT(0, backoff_max_ms), 24, "backoff_max_ms: is 24, must be in [25,", "backoff", 0},
	{RT(0, backoff_ms), 604800001, "backoff_ms: is 604800001", "backoff", 0},
	{RT(0, timeout_ms), 604800001, "timeout_ms: is 604800001", "timeout", 0},
	{RT(0, try_ms), 604800001, "try_ms: is 604800001", "timeout", 0},
	{RT(0, stream_idle_ms), 604800001, "stream_idle_ms: is 604800001", "timeout", 0},
	{RT(0, sticky), 4, "routes[0].sticky: is 4, must be in [0, 3]", "sticky", 0},
	{RT(0, sticky), 3, "routes[0].sticky_name: has 3 bytes, must be empty", "name", 0},
	{RT(3, sticky), 1, "routes[3].sticky_name: has 0 bytes, must have", "no name", 0},
	{RT(0, sticky_name), '=', "routes[0].sticky_name: \"s=d\" is not a token", "token", 2},
	{RT(0, host), '/', "is not a host, or a host and a port", "host", 3},
	{RT(0, host), 'x', "is not a host, or a host and a port", "port", 21},
	{RT(2, host.len), 3, "routes[2].host: has 3 bytes, must be empty", "host of an answer", 0},
	{RT(0, rewrite), 4, "routes[0].rewrite: is 4, must be in [0, 3]", "rewrite", 0},
	{RT(0, rewrite), 0, "routes[0].path: has 10 bytes, must be empty", "path for nothing", 0},
	{RT(0, rewrite), 1, "is 1 (PREFIX), but the route has no condition SEGMENTS", "prefix", 0},
	{RT(1, rewrite), 2, "is 2 (TEMPLATE), but the route has no condition TEMPL", "templ", 0},
	{RT(2, rewrite), 3, "routes[2].rewrite: is 3, must be in [0, 0]", "of an answer", 0},
	{RT(0, path), 'v', "routes[0].path: \"vv2/{id}.x\" is not a path", "no slash", 1},
	{RT(0, path), '?', "routes[0].path: \"/v?/{id}.x\" is not a path", "query", 3},
	{RT(0, path), '\n', "\"/v?/{id}.x\" is not a path", "line feed", 3},
	{RT(0, path), 'x', "names a capture that its template condition does not have", "name", 6},
	{RT(0, path), 'x', "has a } without its {", "brace", 5},
	{RT(0, path), 'x', "has a { without its }", "brace", 8},
	{RT(1, code), 300, "is 300, must be 301, 302, 303, 307 or 308", "no redirect", 0},
	{RT(1, redirect_https), 3, "redirect_https: is 3, must be in [0, 2]", "scheme", 0},
	{RT(1, strip_query), 2, "strip_query: is 2, must be in [0, 1]", "flag", 0},
	{RT(0, redirect_port), 1, "routes[0].redirect_port: is 1, must be in [0, 0]", "port", 0},
	{RT(0, redirect_https), 1, "redirect_https: is 1, must be in [0, 0]", "scheme", 0},
	{RT(0, strip_query), 1, "routes[0].strip_query: is 1, must be in [0, 0]", "flag", 0},
	{RT(1, target_cnt), 1, "routes[1].target_cnt: is 1, must be 0", "target", 0},
	{RT(1, target_first), 1, "routes[1].target_first: is 1, must be 0", "target", 0},
	{RT(1, weight_sum), 1, "routes[1].weight_sum: is 1, must be 0", "weight", 0},
	{RT(2, mirror_cnt), 1, "routes[2].mirror_cnt: is 1, must be 0", "mirror", 0},
	{RT(2, code), 199, "routes[2].code: is 199, must be in [200, 599]", "code", 0},
	{RT(2, code), 600, "routes[2].code: is 600, must be in [200, 599]", "code", 0},
	{RT(2, code), 204, "routes[2].body: has 3 bytes, but code 204 has no body", "body", 0},
	{RT(1, body.len), 1, "routes[1].body: has 1 bytes, must be empty", "body", 0},
	{RT(2, body.len), 65537, "body: has 65537 bytes, must have [0, 65536]", "body", 0},
	{RT(2, body.len), 0, "content_type: has 10 bytes, must be empty", "type of nothing", 0},
	{RT(2, content_type), '\r', "content_type: \"?ext/plain\" holds a control byte", "CR", 1},

	/* conditions */
	{CD(0, field), 0, "conds[0].field: is 0, must be in [1, 5]", "field", 0},
	{CD(0, field), 6, "conds[0].field: is 6, must be in [1, 5]", "field", 0},
	{CD(0, op), 0, "conds[0].op: is 0, must be in [1, 10]", "op", 0},
	{CD(0, op), 11, "conds[0].op: is 11, must be in [1, 10]", "op", 0},
	{CD(0, op), SL_COND_RANGE, "conds[0].op: is 9, which field 1 does not have", "op", 0},
	{CD(C_PREFIX, op), SL_COND_SEGMENTS, "is 2, which field 3 does not have", "op", 0},
	{CD(C_IN, op), SL_COND_REGEX, "is 7, which field 2 does not have", "op", 0},
	{CD(0, flags), 4, "conds[0].flags: is 4, must be in [0, 3]", "flags", 0},
	{CD(C_IN, flags), 2, "conds[3].flags: is 2, but op 10 has no letters", "letters", 0},
	{CD(C_COOKIE, flags), 2, "conds[8].flags: is 2, but op 8 has no letters", "letters", 0},
	{CD(0, zero), 1, "conds[0].zero: is 1, must be 0", "zero", 0},
	{CD(0, zero1), 1, "conds[0].zero1: is 1, must be 0", "zero", 0},
	{CD(0, scan), 1, "conds[0].scan: is 1, must be 0", "scan of a template", 0},
	{CD(0, pattern), 1, "conds[0].pattern: is 1, must be 0", "pattern of a template", 0},
	{CD(C_REGEX, scan), 2, "conds[2].scan: is 2, but there are 2 scans", "no scan", 0},
	{CD(C_REGEX, scan), S_PATH, "conds[2].scan: scans[1] is of another field", "scan", 0},
	{CD(C_REGEX, pattern), 1, "is 1, but scans[0] has 1 patterns", "no pattern", 0},
	{CD(0, name.len), 1, "conds[0].name: has 1 bytes, must be empty", "name of a path", 0},
	{CD(C_PREFIX, name.len), 0, "conds[1].name: has 0 bytes, must have [1, 255]", "none", 0},
	{CD(C_PREFIX, name), 'X', "conds[1].name: \"X-env\" is not a token in lower", "case", 1},
	{CD(C_PREFIX, name), ':', "conds[1].name: \"x:env\" is not a token", "token", 2},
	{CD(C_COOKIE, name), ';', "conds[8].name: \"s;d\" is not a token", "token", 2},
	{CD(C_QUERY, name), 0, "conds[7].name: \"?\" holds a control byte", "NUL", 1},
	{CD(C_PREFIX, value), '\n', "conds[1].value: \"?an\" holds a control byte", "LF", 1},
	{CD(C_PREFIX, value.len), 4097, "conds[1].value: has 4097 bytes, must", "too long", 0},
	{CD(C_RANGE, value.len), 1, "conds[4].value: has 1 bytes, must be empty", "of a range", 0},
	{CD(C_EXACT, value), 'x', "conds[6].value: \"xno\" is not a path that begins", "slash", 1},
	{CD(C_EXACT, value), 'N', "is not in lower case, but letters are alike", "case", 2},
	{CD(C_SEGMENTS, value), '/', "is not a path that begins, and does not end", "end", 4},
	{CD(C_RANGE, lo), 11, "conds[4].hi: is 11, must be over lo, 11", "empty range", 0},
	{CD(C_IN, lo), 0, "conds[3].lo: is 0, must be in [1, 1023]: methods", "no method", 0},
	{CD(C_IN, lo), 1024, "conds[3].lo: is 1024, must be in [1, 1023]", "no such method", 0},
	{CD(C_IN, hi), 1, "conds[3].hi: is 1, must be 0", "hi", 0},
	{CD(C_PREFIX, lo), 1, "conds[1].lo: is 1, must be 0", "lo", 0},
	{CD(0, value), 'x', "\"xusers/{id}/{rest=**}\" is not a path", "template", 1},
	{CD(0, value), 'x', "has a segment with braces that is not {name}", "brace", 8},
	{CD(0, value), 'x', "has a segment with braces that is not {name}", "brace", 11},
	{CD(0, value), '/', "has a segment with braces that is not {name}", "empty name", 10},
	{CD(0, value), 'x', "has a segment with braces that is not {name}", "one star", 20},
	{CD(0, value), '*', "has a segment with braces that is not {name}", "no name", 9},

	/* scans */
	{SC(0, field), SL_FIELD_METHOD, "scans[0].field: is 2 (METHOD), which is", "method", 0},
	{SC(0, field), 6, "scans[0].field: is 6, must be in [1, 5]", "field", 0},
	{SC(0, zero[6]), 1, "scans[0].zero: is 1, must be 0", "zero", 0},
	{SC(1, name.len), 1, "scans[1].name: has 1 bytes, must be empty", "name of a path", 0},
	{SC(0, base_cnt), 0, "scans[0].base_cnt: is 0, must be in [1, 65536]", "no pattern", 0},
	{SC(0, base_cnt), 65537, "scans[0].base_cnt: is 65537", "patterns", 0},
	{SC(0, delta_cnt), 1, "scans[0].delta_cnt: is 1, must be in [0, 0]", "no delta", 0},
	{SC(0, delta), 1, "scans[0].delta_cnt: is 0, must be in [1, 256]", "delta of nothing", 0},

	/* targets, mirrors, edits */
	{TG(0, service), 4096, "targets[0].service: is 4096, must be in [0, 4095]", "slot", 0},
	{TG(0, incarnation), 0, "targets[0].incarnation: is 0", "incarnation", 0},
	{TG(0, weight), 1000001, "targets[0].weight: is 1000001, must be in", "weight", 0},
	{TG(0, weight), 91, "routes[0].weight_sum: is 100, but the targets weigh 101", "sum", 0},
	{TG(0, subset), 65, "targets[0].subset: is 65, must be in [0, 64]", "subset", 0},
	{MI(0, service), 4096, "mirrors[0].service: is 4096", "slot", 0},
	{MI(0, incarnation), 65536, "mirrors[0].incarnation: is 65536", "incarnation", 0},
	{MI(0, per_million), 1000001, "mirrors[0].per_million: is 1000001", "share", 0},
	{MI(0, zero), 1, "mirrors[0].zero: is 1, must be 0", "zero", 0},
	{ED(0, op), 0, "edits[0].op: is 0, must be in [1, 4]", "op", 0},
	{ED(0, op), 5, "edits[0].op: is 5, must be in [1, 4]", "op", 0},
	{ED(0, zero), 1, "edits[0].zero: is 1, must be 0", "zero", 0},
	{ED(0, op), SL_EDIT_REMOVE, "edits[0].value: has 3 bytes, must be empty", "value", 0},
	{ED(0, name.len), 0, "edits[0].name: has 0 bytes, must have [1, 255]", "no name", 0},
	{ED(0, name), ' ', "edits[0].name: \"X A\" is not a token", "token", 2},
	{ED(0, value), '\r', "edits[0].value: \"b?c\" holds a control byte", "CR", 2},
	{ED(0, value), 0, "edits[0].value: \"b?c\" holds a control byte", "NUL", 2},
	{ED(0, value), ' ', "begins or ends with white space", "blank", 1},

	/* SHARD */
	{SH(pattern_cnt), 0, "pattern_cnt: is 0, must be in [1, 65536]", "none", 0},
	{SH(pattern_cnt), 65537, "pattern_cnt: is 65537", "too many", 0},
	{SH(db_bytes), 0, "db.cnt: is 0, must be in [1,", "no bytes", 0},
	{SH(db_bytes), 67000000, "behind the object's end", "too long", 0},
	{SH(db_off), 24, "db.off: is 24, but the bytes before 32", "overlap", 0},
	{SH(zero), 1, "zero: is 1, must be 0", "zero", 0},
};

static void
each_mistake_is_named_with_place_value_and_range(void)
{
	image_make();
	for (unsigned i = 0; i < SL_ARRAY_CNT(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		const struct sl_object *o = &im.objs[m->which];
		uint8_t *p = guarded(o);
		struct sl_diag d = {0};
		make_mistake(p, m);
		bool ok = sl_image_check(p, o->size, kind_of(m->which), NULL, "o", &d) == -EINVAL &&
			  says(&d, m->says);
		if (!ok) {
			printf("\n  row %u, \"%s\"", i, m->says);
			print_diag(m->why, &d);
		}
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

static void
valid_objects_pass(void)
{
	image_make();
	CU_ASSERT_EQUAL(im.obj_cnt, REF_SHARDS + 2);
	for (unsigned i = 0; i < im.obj_cnt; i++) {
		struct sl_diag d = {0};
		uint8_t *p = guarded(&im.objs[i]);
		int err = sl_image_check(p, im.objs[i].size, kind_of(i), NULL, "o", &d);
		if (err)
			print_diag("valid", &d);
		CU_ASSERT_EQUAL(err, 0);
		sl_diag_fini(&d);
		guard_free(p, im.objs[i].size);
	}
	sl_test_image_free(&im);
}

static void
every_shorter_object_is_refused_without_reading_past_it(void)
{
	image_make();
	for (unsigned i = REF_TABLE; i < im.obj_cnt; i++)
		for (size_t size = 0; size < im.objs[i].size; size += 8) {
			struct sl_object cut = {.bytes = im.objs[i].bytes, .size = size};
			uint8_t *p = guarded(&cut);
			if (size >= sizeof(struct sl_obj_head))
				((struct sl_obj_head *)(void *)p)->size = (uint32_t)size;
			CU_ASSERT(sl_image_check(p, size, kind_of(i), NULL, "o", NULL) == -EINVAL);
			guard_free(p, size);
		}
	sl_test_image_free(&im);
}

/* What one changed byte does not show: a virtual host of its own for each row. */
static void
virtual_hosts_that_cannot_be_are_refused(void)
{
#define CONDS(...)                                                                                 \
	.conds = (const struct sl_test_cond[])                                                     \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define EDITS(...) .edits = {(const struct sl_test_edit[]){__VA_ARGS__, {0}}}
	const struct {
		struct sl_test_http_route route;
		const char *says, *why; /* NULL: it passes */
	} rows[] = {
		{{EDITS({SL_EDIT_SET, "Content-Length", "1"})}, "the gateway itself", "framing"},
		{{EDITS({SL_EDIT_REMOVE, "transfer-encoding", NULL})}, "itself", "framing"},
		{{EDITS({SL_EDIT_ADD, "connection", "x"})}, "\"connection\" is a header", "hop"},
		{{EDITS({SL_EDIT_SET, "HOST", "x"})}, "\"HOST\" is a header", "host"},
		{{EDITS({SL_EDIT_SET, "hosts", ""})}, NULL, "no such header, an empty value"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/{a}/{a}"))}, "two captures of one name", "twice"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/{a=**}/b"))},
		 "with braces that is not",
		 "not last"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/{**}"))}, NULL, "rest without a name"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/a{b}"))}, "with braces that is not", "within"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/"
					       "{m}/{n}/{o}/{p}"))},
		 NULL,
		 "sixteen"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/"
					       "{m}/{n}/{o}/{p}/{q}"))},
		 "has more captures than can be kept",
		 "seventeen"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/A/{b}", .flags = SL_COND_ICASE))},
		 "is not in lower case",
		 "literal"},
		{{CONDS(SL_TEST_PATH(TEMPLATE, "/a/{B}", .flags = SL_COND_ICASE))}, NULL, "name"},
		{{CONDS(SL_TEST_PATH(SEGMENTS, ""))}, NULL, "every path"},
		{{CONDS(SL_TEST_PATH(SEGMENTS, "/"))}, "and does not end", "slash alone"},
		{{CONDS(SL_TEST_PATH(EXACT, ""))}, "is not a path", "empty path"},
		{{CONDS(SL_TEST_PATH(SEGMENTS, "/a", .flags = SL_COND_INVERT)),
		  .action = SL_ACTION_REDIRECT, .rewrite = SL_REWRITE_PREFIX, .path = "/b"},
		 "has no condition SEGMENTS",
		 "inverted matches nothing"},
		{{.action = SL_ACTION_REDIRECT, .host = "[2001:db8::1]:80"}, NULL, "IPv6 and port"},
		{{.action = SL_ACTION_REDIRECT, .host = "a b"}, "is not a host", "blank"},
		{{.code = 200, .body = "x"}, NULL, "no type"},
	};
#undef CONDS
#undef EDITS

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_test_vhost_image v;
		struct sl_diag d = {0};
		sl_test_vhost_build(
			&(struct sl_test_vhost){.routes = &rows[i].route, .route_cnt = 1}, &v);
		int err = sl_image_check(v.img, v.img->head.size, SL_OBJ_VHOST, NULL, "o", &d);
		bool ok = rows[i].says ? err == -EINVAL && says(&d, rows[i].says) : err == 0;
		if (!ok)
			print_diag(rows[i].why, &d);
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		sl_test_vhost_free(&v);
	}
}

static void
equal_names_and_conditions_are_refused(void)
{
	const struct sl_test_http_route routes[] = {
		{.name = "a",
		 .conds = SL_TEST_CONDS(SL_TEST_PATH(EXACT, "/a"), SL_TEST_HEADER(EXACT, "x", "1"),
					SL_TEST_HEADER(EXACT, "y", "1"))},
		{.name = "b"},
		{.name = "c"}};
	struct sl_test_vhost_image v;
	struct sl_diag d = {0};

	sl_test_vhost_build(&(struct sl_test_vhost){.routes = routes, .route_cnt = 3}, &v);
	struct sl_img_http_route *r = (void *)((char *)v.img + v.img->route_off);
	struct sl_img_cond *c = (void *)((char *)v.img + v.img->cond_off);
	r[2].name[0] = 'a';
	c[2].name = c[1].name;
	CU_ASSERT_EQUAL(sl_image_check(v.img, v.img->head.size, SL_OBJ_VHOST, NULL, "o", &d),
			-EINVAL);
	CU_ASSERT(says(&d, "routes[2].name: equals that of routes[0]"));
	CU_ASSERT(says(&d, "conds[2]: equals that of conds[1]"));
	CU_ASSERT_EQUAL(d.cnt, 2);
	sl_diag_fini(&d);
	sl_test_vhost_free(&v);
}

static void
scans_are_distinct_and_have_a_base(void)
{
	struct sl_diag d = {0};

	image_make();
	struct sl_img_vhost *v = sl_test_bytes(&im.objs[REF_SHOP]);
	struct sl_img_scan *s = (void *)((char *)v + v->scan_off);
	memset(&s[1].base, 0, sizeof(s[1].base));
	s[1].field = s[0].field;
	s[1].name = s[0].name;
	CU_ASSERT_EQUAL(sl_image_check(v, im.objs[REF_SHOP].size, SL_OBJ_VHOST, NULL, "o", &d),
			-EINVAL);
	CU_ASSERT(says(&d, "scans[1].base: is all 0, must be the id of a SHARD"));
	CU_ASSERT(says(&d, "scans[1].name: and field equal those of scans[0]"));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

static void
the_hashed_name_ends_within_its_field(void)
{
	struct sl_diag d = {0};

	image_make();
	struct sl_img_service *s = sl_test_bytes(&im.objs[REF_CANARY]);
	memset(s->http.hash_name, 'a', sizeof(s->http.hash_name));
	CU_ASSERT_EQUAL(sl_image_check(s, im.objs[REF_CANARY].size, SL_OBJ_SERVICE, NULL, "o", &d),
			-EINVAL);
	CU_ASSERT(says(&d, "http.hash_name: does not end within 64 bytes"));
	CU_ASSERT_EQUAL(d.cnt, 1);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* ---- ROOT and LISTENERS ---- */

static void
refs_of_http_stand_by_kind_slot_and_id(void)
{
	static const struct {
		unsigned a, b; /* exchanged */
		const char *says, *why;
	} rows[] = {
		{REF_WEB, REF_CANARY, "refs[3]: stands behind, but sorts before", "services"},
		{REF_SHOP, REF_PLAIN, "refs[7]: stands behind, but sorts before", "vhosts"},
		{REF_SHARDS, REF_SHARDS + 1, "record 8; records must be sorted by id", "shards"},
		{REF_NAT, REF_TABLE, "refs[5].kind: is 4, must be 5 at least", "kinds"},
		{REF_PLAIN, REF_SHARDS, "refs[8].kind: is 6, must be 7 at least", "kinds"},
	};

	image_make();
	struct sl_img_root *root = sl_test_bytes(&im.root);
	struct sl_img_ref *r = (void *)((char *)root + root->ref_off);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag d = {0};
		struct sl_img_ref a = r[rows[i].a], b = r[rows[i].b];
		r[rows[i].a] = b;
		r[rows[i].b] = a;
		bool ok =
			sl_image_check(root, im.root.size, SL_OBJ_ROOT, NULL, "o", &d) == -EINVAL &&
			says(&d, rows[i].says);
		if (!ok)
			print_diag(rows[i].why, &d);
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		r[rows[i].a] = a;
		r[rows[i].b] = b;
	}
	sl_test_image_free(&im);
}

static void
mode_http_is_of_tcp(void)
{
	struct sl_diag d = {0};

	image_make();
	struct sl_img_listeners *ls = sl_test_bytes(&im.objs[1]);
	struct sl_img_listener *l = (void *)(ls + 1);
	CU_ASSERT_EQUAL(l[0].mode, SL_MODE_HTTP);
	CU_ASSERT_EQUAL(l[0].proxy_in, 1);
	l[0].proto = SL_IPPROTO_UDP;
	CU_ASSERT_EQUAL(sl_image_check(ls, im.objs[1].size, SL_OBJ_LISTENERS, NULL, "o", &d),
			-EINVAL);
	CU_ASSERT(says(&d, "listeners[0].proto: is 17, must be 6 (TCP) with mode http"));
	CU_ASSERT_EQUAL(d.cnt, 1);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* ---- text ---- */

static char *
dump_of(const void *bytes, size_t size)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	sl_image_dump(bytes, size, f);
	fclose(f);
	return text;
}

static void
dump_shows_every_record(void)
{
	static const struct {
		unsigned which;
		const char *shows;
	} rows[] = {
		{1, "l0 203.0.113.10:80 tcp mode http ref 5 slot 0 incarnation 1 max_connections 9 "
		    "trusted 10.0.0.0/8\n"},
		{REF_CANARY, "hash header x-user\n"},
		{REF_CANARY, "ring 16\n  shares 8 8\n  points "},
		{REF_TABLE, "object routes version 7 size "},
		{REF_TABLE, "name edge\nheader_ms 10000\nidle_ms 3600000\nstream_idle_ms 300000\n"
			    "max_header_bytes 61440\nmax_headers 100\nmax_requests 0\nmax_body 0\n"
			    "slash_2f keep\nmerge_slashes 1\ntrusted_hops 0\naccess_log 0\n"
			    "hosts 5\n"},
		{REF_TABLE,
		 "  [0] [2001:db8::1] vhost 1\n  [1] shop.example vhost 0\n"
		 "  [2] *.shop.example vhost 0\n  [3] shop.* vhost 0\n  [4] * vhost 1\n"},
		{REF_SHOP, "name shop\ntable edge\nroutes 4\n"},
		{REF_SHOP,
		 "  [0] split slot 0 incarnation 1 conds 0 1 2 3 4\n"
		 "      forward host \"internal.example:8080\" template \"/v2/{id}.x\"\n"
		 "      service slot 0 incarnation 1 weight 90 of 100\n"
		 "      service slot 1 incarnation 1 weight 10 of 100\n"
		 "      sticky cookie name \"sid\"\n"
		 "      mirror slot 1 incarnation 1 per_million 105000\n"
		 "      timeout_ms 15000 try_ms 1000 stream_idle_ms 0\n"
		 "      retries 2 on connect codes 503 429 backoff_ms 25 backoff_max_ms 250\n"
		 "      request set \"X-A\" \"b c\"\n      request remove \"x-e\"\n"
		 "      response add \"x-c\" \"d\"\n"},
		{REF_SHOP, "      redirect code 308 https host \"shop.example\" port 8443 prefix "
			   "\"/new\" strip_query 1\n"},
		{REF_SHOP, "      respond code 403 body \"no\\x0a\" content_type \"text/plain\"\n"},
		{REF_SHOP, "conditions 10\n  [0] path template \"/users/{id}/{rest=**}\"\n"
			   "  [1] header \"x-env\" prefix \"can\"\n"
			   "  [2] header \"x-env\" not regex \"c[a-z]+\" scan 0 pattern 0\n"
			   "  [3] method in GET other\n"
			   "  [4] header \"x-n\" range [-1, 11)\n"
			   "  [5] path segments \"/old\"\n"
			   "  [6] path exact \"/no\" ignore_case\n"
			   "  [7] query \"v\" exact \"2\"\n"
			   "  [8] cookie \"sid\" present\n"
			   "  [9] path contains \"x.y\" scan 1 pattern 0\n"},
		{REF_SHOP, "scans 2\n  [0] header name \"x-env\" base 1 "},
		{REF_SHARDS, "patterns 1\ndatabase "},
	};

	image_make();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_object *o = &im.objs[rows[i].which];
		char *text = dump_of(o->bytes, o->size);
		bool ok = strstr(text, rows[i].shows) != NULL;
		if (!ok)
			printf("\n  no \"%s\" in\n%s\n", rows[i].shows, text);
		CU_ASSERT(ok);
		free(text);
	}
	sl_test_image_free(&im);
}

SL_SUITE("image_http", SL_TEST(valid_objects_pass),
	 SL_TEST(every_shorter_object_is_refused_without_reading_past_it),
	 SL_TEST(each_mistake_is_named_with_place_value_and_range),
	 SL_TEST(virtual_hosts_that_cannot_be_are_refused),
	 SL_TEST(equal_names_and_conditions_are_refused),
	 SL_TEST(scans_are_distinct_and_have_a_base),
	 SL_TEST(the_hashed_name_ends_within_its_field),
	 SL_TEST(refs_of_http_stand_by_kind_slot_and_id), SL_TEST(mode_http_is_of_tcp),
	 SL_TEST(dump_shows_every_record))

/* Table files are checked by conf.c; this is the last look before bytes go out: what stands in path
 * and host ends up in a request. */
#include "mgmt/target.h"

#include <errno.h>
#include <stdio.h>

static const char *bad_target(const struct sl_probe_target *in, const uint64_t *seen);

int
sl_target_check(const struct sl_probe_target *in, size_t cnt, struct sl_diag *diag)
{
	uint64_t seen[SL_MAX_ENDPOINTS / 64] = {0};
	int rc = 0;

	for (size_t i = 0; i < cnt; i++) {
		const char *why = bad_target(&in[i], seen);
		if (why) {
			char path[2 * SL_NAME_MAX + 2];
			snprintf(path, sizeof(path), "%s/%s", in[i].service, in[i].endpoint);
			sl_diag_add(diag, NULL, 0, path, NULL, "%s", why);
			rc = -EINVAL;
		} else {
			seen[in[i].slot / 64] |= 1ull << (in[i].slot % 64);
		}
	}
	return rc;
}

bool
sl_target_same_conf(const struct sl_health_conf *a, const struct sl_health_conf *b)
{
	if (a->type != b->type || a->unhealthy_ms != b->unhealthy_ms ||
	    a->interval_ms != b->interval_ms || a->timeout_ms != b->timeout_ms ||
	    a->rise != b->rise || a->fall != b->fall || a->jitter_pct != b->jitter_pct)
		return false;
	if (a->type != SL_HEALTH_HTTP)
		return true;
	if (a->method != b->method || strcmp(a->headers, b->headers) || strcmp(a->body, b->body))
		return false;
	if (strcmp(a->path, b->path) || strcmp(a->host, b->host) || a->expect_cnt != b->expect_cnt)
		return false;
	for (uint32_t i = 0; i < a->expect_cnt; i++)
		if (a->expect[i].lo != b->expect[i].lo || a->expect[i].hi != b->expect[i].hi)
			return false;
	return true;
}

/* Whole lines, each with a colon; nothing else below a blank but tabs. */
static bool
lines_ok(const char lines[SL_HEALTH_HEADERS_MAX])
{
	size_t len = strnlen(lines, SL_HEALTH_HEADERS_MAX);

	for (const char *at = lines, *end = lines + len; at < end;) {
		const char *cr = memchr(at, '\r', (size_t)(end - at));
		if (!cr || cr == end - 1 || cr[1] != '\n' || !memchr(at, ':', (size_t)(cr - at)))
			return false;
		for (const char *p = at; p < cr; p++)
			if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
				return false;
		at = cr + 2;
	}
	return len < SL_HEALTH_HEADERS_MAX;
}

static const char *
bad_conf(const struct sl_health_conf *c)
{
	if (c->interval_ms < 1 || c->timeout_ms < 1 || c->timeout_ms > c->interval_ms)
		return "probe timeout is not in [1 ms, interval]";
	if (c->unhealthy_ms && c->timeout_ms > c->unhealthy_ms)
		return "probe timeout is longer than the interval of unhealthy endpoints";
	if (c->rise < 1 || c->fall < 1 || c->jitter_pct > 50)
		return "rise or fall is 0, or jitter over 50 percent";
	if (c->type == SL_HEALTH_TCP || c->type == SL_HEALTH_AGENT)
		return NULL;
	if (c->type != SL_HEALTH_HTTP)
		return "probe type is neither tcp nor http";
	if (c->path[0] != '/' || !memchr(c->path, 0, sizeof(c->path)) ||
	    !memchr(c->host, 0, sizeof(c->host)))
		return "probe path does not begin with /";
	/* Anything else could change the request behind the path. */
	for (const char *s = c->path; *s; s++)
		if (*s <= 0x20 || *s == 0x7f)
			return "probe path has a blank, a control or a non-ASCII character";
	for (const char *s = c->host; *s; s++)
		if (*s <= 0x20 || *s == 0x7f)
			return "probe host has a blank, a control or a non-ASCII character";
	if (!lines_ok(c->headers) || !memchr(c->body, 0, sizeof(c->body)) ||
	    c->method > SL_HEALTH_OPTIONS || (c->method == SL_HEALTH_HEAD && c->body[0]))
		return "probe method, headers or body make no request";
	if (c->expect_cnt < 1 || c->expect_cnt > SL_HEALTH_RANGES)
		return "no status is expected, or too many ranges";
	return NULL;
}

static const char *
bad_target(const struct sl_probe_target *in, const uint64_t *seen)
{
	static const struct sl_addr zero;

	if (in->slot >= SL_MAX_ENDPOINTS)
		return "slot is out of range";
	if (seen[in->slot / 64] >> (in->slot % 64) & 1)
		return "slot is used by two endpoints of the set";
	if (in->conf->type == SL_HEALTH_NONE)
		return NULL;
	if (in->port == 0)
		return "no port to probe: give health.port, or a port in the endpoint's probe";
	if (sl_addr_eq(&in->addr, &zero))
		return "no address to probe";
	return bad_conf(in->conf);
}

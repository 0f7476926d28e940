/* The text of ROUTES, VHOST and SHARD.  Strings stand in quotes, what is not visible as \xNN; a long one is cut. */
#include "dataplane/image_dump.h"

#include <inttypes.h>

#define SHOWN 120 /* bytes of a string */

static void
dump_str(const uint8_t *strs, struct sl_img_str s, FILE *f)
{
	fputc('"', f);
	for (uint32_t i = 0; i < SL_MIN(s.len, (uint32_t)SHOWN); i++) {
		uint8_t ch = strs[s.off + i];
		if (ch == '"' || ch == '\\')
			fprintf(f, "\\%c", ch);
		else if (ch >= ' ' && ch < 0x7f)
			fputc(ch, f);
		else
			fprintf(f, "\\x%02x", ch);
	}
	if (s.len > SHOWN)
		fprintf(f, "\" and %u bytes", s.len - SHOWN);
	else
		fputc('"', f);
}

/* " WORD VALUE" when there is one. */
static void
dump_number(const char *word, uint32_t v, FILE *f)
{
	if (v)
		fprintf(f, " %s %u", word, v);
}

void
sl_image_dump_text(const char *word, const uint8_t *strs, struct sl_img_str s, FILE *f)
{
	if (!s.len)
		return;
	fprintf(f, word[0] ? " %s " : " ", word);
	dump_str(strs, s, f);
}

/* ---- SERVICE: its part ---- */

void
sl_image_dump_http_service(const struct sl_img_http_service *h, FILE *f)
{
	fprintf(f,
		"http max_pending %u max_requests %u max_retries %u requests_per_connection %u "
		"idle_ms %u idle_connections %u budget %u min %u",
		h->max_pending, h->max_requests, h->max_retries, h->conn_requests, h->conn_idle_ms,
		h->conn_idle_max, h->budget_pct, h->budget_min);
	dump_number("min_per_second", h->budget_per_s, f);
	dump_number("endpoint_requests", h->endpoint_requests, f);
	if (h->adaptive_min)
		fprintf(f, " adaptive min %u buffer %u", h->adaptive_min, h->adaptive_pct);
	fputc('\n', f);
	fprintf(f, "ejection after %u sweep_ms %u time_ms %u max_time_ms %u max_percent %u",
		h->eject_after, h->sweep_ms, h->eject_ms, h->eject_max_ms, h->eject_max_pct);
	dump_number("gateway_after", h->gateway_after, f);
	dump_number("local_after", h->local_after, f);
	dump_number("split_local", h->split_local, f);
	dump_number("failure_percent", h->failure_pct, f);
	dump_number("rate_deviation", h->rate_deviation, f);
	if (h->rate_deviation || h->failure_pct)
		fprintf(f, " of %u endpoints %u requests", h->rate_endpoints, h->rate_requests);
	fputc('\n', f);
	fprintf(f, h->hash_name[0] ? "hash %s %s\n" : "hash %s\n", sl_hash_on_name(h->hash_on),
		h->hash_name);
}

/* ---- ROUTES ---- */

void
sl_image_dump_routes(const uint8_t *bytes, FILE *f)
{
	static const char *const slash[] = {"keep", "decode", "reject"};
	const struct sl_img_routes *r = (const void *)bytes;
	const struct sl_img_http *h = &r->http;
	const struct sl_img_host *o = (const void *)(bytes + r->host_off);
	const uint8_t *strs = bytes + r->str_off;

	fprintf(f, "name %s\n", r->name);
	fprintf(f,
		"header_ms %u\nidle_ms %u\nstream_idle_ms %u\nmax_header_bytes %u\nmax_headers %u\n"
		"max_requests %u\nmax_body %" PRIu64 "\nslash_2f %s\nmerge_slashes %u\n"
		"trusted_hops %u\naccess_log %u\n",
		h->header_ms, h->idle_ms, h->stream_idle_ms, h->max_head, h->max_headers,
		h->conn_requests, h->max_body, slash[h->slash_2f], h->merge_slashes,
		h->trusted_hops, h->log);
	fprintf(f, "hosts %u\n", r->host_cnt);
	for (uint32_t i = 0; i < r->host_cnt; i++, o++) {
		bool suffix = o->kind == SL_HOST_SUFFIX || o->kind == SL_HOST_ANY;
		fprintf(f, "  [%u] %s%.*s%s vhost %u\n", i, suffix ? "*" : "", (int)o->name.len,
			o->name.len ? (const char *)strs + o->name.off : "",
			o->kind == SL_HOST_PREFIX ? "*" : "", o->vhost);
	}
}

/* ---- VHOST ---- */

struct vhost {
	const struct sl_img_vhost *img;
	const uint8_t *bytes, *strs;
	FILE *f;
};

static const char *const fields[] = {
	[SL_FIELD_PATH] = "path",   [SL_FIELD_METHOD] = "method", [SL_FIELD_HEADER] = "header",
	[SL_FIELD_QUERY] = "query", [SL_FIELD_COOKIE] = "cookie", [SL_FIELD_LINES] = "lines",
	[SL_FIELD_CLAIM] = "claim",
};

static void
dump_methods(int64_t set, FILE *f)
{
	for (unsigned m = 0; m < SL_METHOD_CNT; m++)
		if (set >> m & 1)
			fprintf(f, " %s", sl_method_name(m));
}

static void
dump_cond(const struct vhost *v, const struct sl_img_cond *d, uint32_t i)
{
	static const char *const ops[] = {
		[SL_COND_EXACT] = "exact",       [SL_COND_SEGMENTS] = "segments",
		[SL_COND_TEMPLATE] = "template", [SL_COND_PREFIX] = "prefix",
		[SL_COND_SUFFIX] = "suffix",     [SL_COND_CONTAINS] = "contains",
		[SL_COND_REGEX] = "regex",       [SL_COND_PRESENT] = "present",
		[SL_COND_RANGE] = "range",       [SL_COND_IN] = "in",
	};

	fprintf(v->f, "  [%u] %s", i, fields[d->field]);
	if (d->field >= SL_FIELD_HEADER) {
		fputc(' ', v->f);
		dump_str(v->strs, d->name, v->f);
	}
	fprintf(v->f, "%s %s", d->flags & SL_COND_INVERT ? " not" : "", ops[d->op]);
	if (d->op == SL_COND_RANGE)
		fprintf(v->f, " [%" PRId64 ", %" PRId64 ")", d->lo, d->hi);
	else if (d->op == SL_COND_IN)
		dump_methods(d->lo, v->f);
	else if (d->op != SL_COND_PRESENT) {
		fputc(' ', v->f);
		dump_str(v->strs, d->value, v->f);
	}
	if (d->flags & SL_COND_ICASE)
		fputs(" ignore_case", v->f);
	if (d->op == SL_COND_CONTAINS || d->op == SL_COND_REGEX)
		fprintf(v->f, " scan %u pattern %u", d->scan, d->pattern);
	fputc('\n', v->f);
}

static void
dump_edits(const struct vhost *v, const struct sl_img_http_route *r, unsigned way)
{
	static const char *const ops[] = {
		[SL_EDIT_SET] = "set",
		[SL_EDIT_ADD] = "add",
		[SL_EDIT_APPEND] = "append",
		[SL_EDIT_REMOVE] = "remove",
	};
	const struct sl_img_edit *e = (const void *)(v->bytes + v->img->edit_off);

	for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
		const struct sl_img_edit *d = &e[r->edit_first[way] + i];
		fprintf(v->f, "      %s %s ", way ? "response" : "request", ops[d->op]);
		dump_str(v->strs, d->name, v->f);
		if (d->op != SL_EDIT_REMOVE) {
			fputc(' ', v->f);
			dump_str(v->strs, d->value, v->f);
		}
		fputc('\n', v->f);
	}
}

static void
dump_retry(const struct sl_img_http_route *r, FILE *f)
{
	static const char *const words[] = {"connect", "reused", "reset",  "5xx",
					    "gateway", "codes",  "timeout"};

	fprintf(f, "      retries %u on", r->retries);
	for (unsigned i = 0; i < SL_ARRAY_CNT(words); i++)
		if (r->retry_on >> i & 1)
			fprintf(f, " %s", words[i]);
	for (unsigned i = 0; i < SL_RETRY_CODES_MAX; i++)
		if (r->retry_codes[i])
			fprintf(f, " %u", r->retry_codes[i]);
	dump_number("backoff_ms", r->backoff_ms, f);
	dump_number("backoff_max_ms", r->backoff_max_ms, f);
	fputc('\n', f);
}

static void
dump_forward(const struct vhost *v, const struct sl_img_http_route *r)
{
	static const char *const sticky[] = {"chance", "header", "cookie", "source"};
	const struct sl_img_target *t = (const void *)(v->bytes + v->img->target_off);
	const struct sl_img_mirror *m = (const void *)(v->bytes + v->img->mirror_off);

	for (uint32_t i = 0; i < r->target_cnt; i++) {
		const struct sl_img_target *d = &t[r->target_first + i];
		fprintf(v->f, "      service slot %u incarnation %u weight %u of %u", d->service,
			d->incarnation, d->weight, r->weight_sum);
		fprintf(v->f, d->subset ? " subset %u\n" : "\n", d->subset - 1);
	}
	if (r->sticky) {
		fprintf(v->f, "      sticky %s", sticky[r->sticky]);
		sl_image_dump_text("name", v->strs, r->sticky_name, v->f);
		fputc('\n', v->f);
	}
	for (uint32_t i = 0; i < r->mirror_cnt; i++) {
		const struct sl_img_mirror *d = &m[r->mirror_first + i];
		fprintf(v->f, "      mirror slot %u incarnation %u per_million %u\n", d->service,
			d->incarnation, d->per_million);
	}
	fprintf(v->f, "      timeout_ms %u try_ms %u stream_idle_ms %u\n", r->timeout_ms, r->try_ms,
		r->stream_idle_ms);
	dump_retry(r, v->f);
}

static void
dump_route(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	static const char *const rewrites[] = {"", "prefix", "template", "path"};
	static const char *const actions[] = {
		[SL_ACTION_FORWARD] = "forward",
		[SL_ACTION_REDIRECT] = "redirect",
		[SL_ACTION_RESPOND] = "respond",
	};
	static const char *const schemes[] = {"", " https", " http"};
	const uint32_t *ids = (const void *)(v->bytes + v->img->cond_id_off);

	fprintf(v->f, "  [%u] %s slot %u incarnation %u conds", i, r->name, r->slot,
		r->incarnation);
	for (uint32_t k = 0; k < r->cond_cnt; k++)
		fprintf(v->f, " %u", ids[r->cond_first + k]);
	fprintf(v->f, "\n      %s", actions[r->action]);
	dump_number("policy", r->policy, v->f);
	dump_number("code", r->code, v->f);
	fputs(schemes[r->redirect_https], v->f);
	sl_image_dump_text("host", v->strs, r->host, v->f);
	dump_number("port", r->redirect_port, v->f);
	if (r->rewrite)
		sl_image_dump_text(rewrites[r->rewrite], v->strs, r->path, v->f);
	dump_number("strip_query", r->strip_query, v->f);
	sl_image_dump_text("body", v->strs, r->body, v->f);
	sl_image_dump_text("content_type", v->strs, r->content_type, v->f);
	fputc('\n', v->f);
	if (r->action == SL_ACTION_FORWARD)
		dump_forward(v, r);
	dump_edits(v, r, 0);
	dump_edits(v, r, 1);
}

static void
dump_scan(const struct vhost *v, const struct sl_img_scan *s, uint32_t i)
{
	fprintf(v->f, "  [%u] %s", i, fields[s->field]);
	sl_image_dump_text("name", v->strs, s->name, v->f);
	fprintf(v->f, " base %u ", s->base_cnt);
	sl_image_dump_id(&s->base, v->f);
	if (s->delta_cnt) {
		fprintf(v->f, " delta %u ", s->delta_cnt);
		sl_image_dump_id(&s->delta, v->f);
	}
	fputc('\n', v->f);
}

static void
dump_conds(const struct vhost *v)
{
	const struct sl_img_cond *d = (const void *)(v->bytes + v->img->cond_off);
	const struct sl_img_scan *s = (const void *)(v->bytes + v->img->scan_off);

	fprintf(v->f, "conditions %u\n", v->img->cond_cnt);
	for (uint32_t i = 0; i < v->img->cond_cnt; i++)
		dump_cond(v, &d[i], i);
	fprintf(v->f, "scans %u\n", v->img->scan_cnt);
	for (uint32_t i = 0; i < v->img->scan_cnt; i++)
		dump_scan(v, &s[i], i);
}

void
sl_image_dump_vhost(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_vhost *img = (const void *)bytes;
	const struct vhost v = {img, bytes, bytes + img->str_off, f};
	const struct sl_img_http_route *r = (const void *)(bytes + img->route_off);

	fprintf(f, "name %s\ntable %s\nroutes %u\n", img->name, img->table, img->route_cnt);
	for (uint32_t i = 0; i < img->route_cnt; i++)
		dump_route(&v, &r[i], i);
	sl_image_dump_traffic(bytes, f);
	sl_image_dump_policies(bytes, f);
	dump_conds(&v);
}

/* ---- AUTHZ ---- */

static void
dump_rule(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	static const char *const actions[] = {
		[SL_AUTHZ_DENY] = "deny", [SL_AUTHZ_ALLOW] = "allow", [SL_AUTHZ_AUDIT] = "audit"};
	const uint32_t *ids = (const void *)(v->bytes + v->img->cond_id_off);

	fprintf(v->f, "  [%u] %s %s", i, actions[r->action], r->name);
	if (r->action == SL_AUTHZ_DENY && r->code == 0)
		fputs(" told only", v->f);
	if (r->slot)
		fprintf(v->f, " slot %u", r->slot - 1);
	fputs(" conds", v->f);
	for (uint32_t k = 0; k < r->cond_cnt; k++)
		fprintf(v->f, " %u", ids[r->cond_first + k]);
	fputc('\n', v->f);
}

void
sl_image_dump_authz(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_vhost *img = (const void *)bytes;
	const struct vhost v = {img, bytes, bytes + img->str_off, f};
	const struct sl_img_http_route *r = (const void *)(bytes + img->route_off);

	fprintf(f, "name %s\nalternatives %u\n", img->name, img->route_cnt);
	for (uint32_t i = 0; i < img->route_cnt; i++)
		dump_rule(&v, &r[i], i);
	dump_conds(&v);
}

/* ---- SHARD ---- */

/* Not the bytes themselves: they are the compiler's and differ between versions and CPUs. */
void
sl_image_dump_shard(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_shard *s = (const void *)bytes;

	fprintf(f, "patterns %u\ndatabase %u bytes\n", s->pattern_cnt, s->db_bytes);
}

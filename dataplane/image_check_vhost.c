/* A virtual host, or a set of rules, which has its layout: fixed part, then all sections in order, then the records.  They point into each other and into the strings,
 * which stand last; what points into a section that cannot be read is left unread: that was reported once. */
#include "dataplane/image_check_priv.h"

#include <stdlib.h>

#include "l7/match.h"

#define ANY_CNT (SL_OBJ_MAX / 8) /* sections that only the object's size limits */

/* The object and its sections; NULL: empty, or not readable. */
struct vhost {
	struct sl_look *c;
	const struct sl_img_vhost *img;
	const struct sl_img_http_route *routes;
	const struct sl_img_cond *conds;
	const uint32_t *cond_ids;
	const struct sl_img_scan *scans;
	const struct sl_img_target *targets;
	const struct sl_img_mirror *mirrors;
	const struct sl_img_edit *edits;
	struct sl_look_policy policy;
	struct sl_look_strings str;
	bool authz; /* it is an AUTHZ */
};

/* -- templates -- */

/* A template's names in order: one {…} after the other. */
struct captures {
	uint32_t cnt;
	struct {
		uint32_t off, len; /* of the name; len 0: {**} */
	} at[SL_CAPTURES_MAX];
};

/* "{name}", and at the end of a condition also "{name=**}" or "{**}", of len bytes: its name's length, or -1. */
static int
capture_name(const uint8_t *s, uint32_t len, bool last)
{
	if (len < 3 || s[0] != '{' || s[len - 1] != '}')
		return -1;
	uint32_t n = len - 2;
	if (last && n >= 2 && s[n] == '*' && s[n - 1] == '*') {
		if (n == 2)
			return 0;
		n -= 2;
		if (s[n] != '=' || n == 1)
			return -1;
		n--;
	}
	for (uint32_t i = 1; i <= n; i++)
		if (!((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z') && s[i] != '_' && s[i] != '-' &&
		    !(s[i] >= '0' && s[i] <= '9'))
			return -1;
	return (int)n;
}

static bool
capture_known(const struct captures *k, const uint8_t *of, const uint8_t *name, uint32_t len)
{
	for (uint32_t i = 0; len && i < k->cnt; i++)
		if (k->at[i].len == len && memcmp(of + k->at[i].off, name, len) == 0)
			return true;
	return false;
}

/* One segment s[at, end) of the template: NULL, or what is wrong with it. */
static const char *
template_segment(const uint8_t *s, uint32_t at, uint32_t end, bool last, struct captures *k)
{
	if (!memchr(s + at, '{', end - at) && !memchr(s + at, '}', end - at))
		return NULL;
	int n = capture_name(s + at, end - at, last);
	if (n < 0)
		return "has a segment with braces that is not {name}, nor {name=**} or {**} at the "
		       "end";
	if (k->cnt == SL_CAPTURES_MAX)
		return "has more captures than can be kept";
	if (capture_known(k, s, s + at + 1, (uint32_t)n))
		return "has two captures of one name";
	k->at[k->cnt].off = at + 1;
	k->at[k->cnt++].len = (uint32_t)n;
	return NULL;
}

/* NULL with the captures, or what is wrong with the template of a condition. */
static const char *
template_parse(const uint8_t *s, uint32_t len, struct captures *k)
{
	const char *why = NULL;

	k->cnt = 0;
	if (!sl_look_path(s, len))
		return "is not a path: it begins with \"/\" and has visible characters but ? and #";
	for (uint32_t at = 1; !why && at <= len;) {
		uint32_t end = at;
		while (end < len && s[end] != '/')
			end++;
		why = template_segment(s, at, end, end == len, k);
		at = end + 1;
	}
	return why;
}

/* The template of a rewrite: {name} anywhere, each one of the condition's captures. */
static const char *
rewrite_wrong(const uint8_t *s, uint32_t len, const struct captures *k, const uint8_t *of)
{
	for (uint32_t at = 0; at < len; at++) {
		if (s[at] == '}')
			return "has a } without its {";
		if (s[at] != '{')
			continue;
		const uint8_t *close = memchr(s + at, '}', len - at);
		if (!close)
			return "has a { without its }";
		uint32_t n = (uint32_t)(close - (s + at)) - 1;
		if (!capture_known(k, of, s + at + 1, n))
			return "names a capture that its template condition does not have";
		at += n + 1;
	}
	return NULL;
}

/* -- conditions -- */

/* Ops as bits: which have a value, which go by a scan, which a field has. */
#define OP(NAME) 1u << SL_COND_##NAME
enum {
	OPS_SCANNED = OP(CONTAINS) | OP(REGEX),
	OPS_TEXT = OP(EXACT) | OP(PREFIX) | OP(SUFFIX) | OPS_SCANNED,
	OPS_VALUED = OPS_TEXT | OP(SEGMENTS) | OP(TEMPLATE),
	OPS_NAMED = OPS_TEXT | OP(PRESENT) | OP(RANGE),
};
static const uint32_t ops_of[] = {
	[SL_FIELD_PATH] = OPS_VALUED,  [SL_FIELD_METHOD] = OP(EXACT) | OP(IN),
	[SL_FIELD_HEADER] = OPS_NAMED, [SL_FIELD_QUERY] = OPS_NAMED,
	[SL_FIELD_COOKIE] = OPS_NAMED, [SL_FIELD_LINES] = OPS_NAMED,
	[SL_FIELD_CLAIM] = OPS_NAMED,
};
/* Of AUTHZ: on paths what is asked of a path that is read in two ways (l7/authz.h). */
static const uint32_t authz_ops_of[] = {
	[SL_FIELD_PATH] = OP(EXACT) | OP(SEGMENTS) | OP(TEMPLATE) | OP(PREFIX) | OP(SUFFIX),
	[SL_FIELD_METHOD] = OP(EXACT) | OP(IN),
	[SL_FIELD_HEADER] = OPS_NAMED,
	[SL_FIELD_QUERY] = 0,
	[SL_FIELD_COOKIE] = 0,
	[SL_FIELD_LINES] = OPS_NAMED,
	[SL_FIELD_CLAIM] = OPS_NAMED,
};
#undef OP

static bool
op_in(unsigned op, uint32_t ops)
{
	return op < 32 && ops >> op & 1;
}

static bool
is_identity(const uint8_t *s, uint32_t len)
{
	return len == sizeof(SL_IDENTITY_NAME) - 1 && memcmp(s, SL_IDENTITY_NAME, len) == 0;
}

static bool
is_own(const uint8_t *s, uint32_t len)
{
	static const char *const names[] = {
#define X(ID, name) name,
		SL_OWN_NAMES(X)
#undef X
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(names); i++)
		if (len == strlen(names[i]) && memcmp(s, names[i], len) == 0)
			return true;
	return false;
}

/* The name of a header, parameter, cookie or claim, of a condition or a scan; none of the other fields. */
static void
check_field_name(const struct vhost *v, const char *section, uint32_t i, unsigned field,
		 struct sl_img_str name)
{
	const struct sl_look_strings *t = &v->str;
	bool named = field >= SL_FIELD_HEADER;
	bool header = field == SL_FIELD_HEADER || field == SL_FIELD_LINES;
	const uint8_t *s = sl_look_string(t, section, i, "name", name, named, named ? 255 : 0);

	if (!s || !named)
		return;
	if (field == SL_FIELD_HEADER &&
	    (is_identity(s, name.len) || (v->authz && is_own(s, name.len))))
		return;
	if (header && !sl_look_token(s, name.len, true))
		sl_look_bad_text(t->c, section, i, "name", s, name.len,
				 "is not a token in lower case");
	else if (field == SL_FIELD_COOKIE && !sl_look_token(s, name.len, false))
		sl_look_bad_text(t->c, section, i, "name", s, name.len, "is not a token");
	else if (!sl_look_plain(s, name.len))
		sl_look_bad_text(t->c, section, i, "name", s, name.len, "holds a control byte");
}

static const char *
path_value_wrong(const struct sl_img_cond *d, const uint8_t *s, uint32_t len)
{
	struct captures k;

	switch (d->op) {
	case SL_COND_EXACT:
		return sl_look_path(s, len) ? NULL : "is not a path that begins with \"/\"";
	case SL_COND_SEGMENTS:
		return len == 0 || (sl_look_path(s, len) && s[len - 1] != '/')
			       ? NULL
			       : "is not a path that begins, and does not end, with \"/\"";
	case SL_COND_TEMPLATE:
		return template_parse(s, len, &k);
	default:
		return NULL;
	}
}

/* Letters within {…} are not of the value. */
static bool
cond_lower(const struct sl_img_cond *d, const uint8_t *s, uint32_t len)
{
	bool in = false;

	for (uint32_t i = 0; i < len; i++) {
		if (d->op == SL_COND_TEMPLATE && (s[i] == '{' || s[i] == '}'))
			in = s[i] == '{';
		if (!in && s[i] >= 'A' && s[i] <= 'Z')
			return false;
	}
	return true;
}

static void
check_cond_value(const struct vhost *v, const struct sl_img_cond *d, uint32_t i)
{
	bool valued = op_in(d->op, OPS_VALUED);
	const uint8_t *s =
		sl_look_string(&v->str, "conds", i, "value", d->value, 0, valued ? 4096 : 0);
	uint32_t len = d->value.len;
	const char *why = NULL;

	if (!s || !valued)
		return;
	if (!sl_look_plain(s, len))
		why = "holds a control byte";
	else if (d->field == SL_FIELD_METHOD && !sl_look_token(s, len, false))
		why = "is not a method: a token";
	else if (d->field == SL_FIELD_PATH)
		why = path_value_wrong(d, s, len);
	if (!why && d->flags & SL_COND_ICASE && !op_in(d->op, OPS_SCANNED) &&
	    !cond_lower(d, s, len))
		why = "is not in lower case, but letters are alike";
	if (why)
		sl_look_bad_text(v->c, "conds", i, "value", s, len, why);
}

/* lo and hi. */
static void
check_cond_numbers(const struct vhost *v, const struct sl_img_cond *d, uint32_t i)
{
	const int64_t methods = (1 << SL_METHOD_CNT) - 1;

	if (d->op == SL_COND_RANGE) {
		if (d->lo >= d->hi)
			sl_look_bad(v->c, "conds", i, "hi", "is %lld, must be over lo, %lld",
				    (long long)d->hi, (long long)d->lo);
		return;
	}
	if (d->op == SL_COND_IN && (d->lo < 1 || d->lo > methods))
		sl_look_bad(v->c, "conds", i, "lo", "is %lld, must be in [1, %lld]: methods",
			    (long long)d->lo, (long long)methods);
	if (d->hi != 0 || (d->op != SL_COND_IN && d->lo != 0))
		sl_look_bad(v->c, "conds", i, d->hi ? "hi" : "lo", "is %lld, must be 0",
			    (long long)(d->hi ? d->hi : d->lo));
}

static void
check_cond_scan(const struct vhost *v, const struct sl_img_cond *d, uint32_t i)
{
	if (!op_in(d->op, OPS_SCANNED)) {
		sl_look_zero(v->c, "conds", i, "scan", d->scan);
		sl_look_zero(v->c, "conds", i, "pattern", d->pattern);
		return;
	}
	if (d->scan >= v->img->scan_cnt) {
		sl_look_bad(v->c, "conds", i, "scan", "is %u, but there are %u scans", d->scan,
			    v->img->scan_cnt);
		return;
	}
	if (!v->scans)
		return;
	const struct sl_img_scan *s = &v->scans[d->scan];
	uint64_t patterns = (uint64_t)s->base_cnt + s->delta_cnt;
	if (d->pattern >= patterns)
		sl_look_bad(v->c, "conds", i, "pattern", "is %u, but scans[%u] has %llu patterns",
			    d->pattern, d->scan, (unsigned long long)patterns);
	if (s->field != d->field || sl_look_string_cmp(&v->str, s->name, d->name) != 0)
		sl_look_bad(v->c, "conds", i, "scan", "scans[%u] is of another field or name",
			    d->scan);
}

static unsigned
field_last(const struct vhost *v)
{
	return v->authz ? SL_FIELD_LAST : SL_FIELD_COOKIE;
}

static void
check_cond(const struct vhost *v, const struct sl_img_cond *d, uint32_t i)
{
	bool letters = op_in(d->op, OPS_VALUED) && (v->authz || d->field != SL_FIELD_METHOD);
	unsigned last = field_last(v);

	sl_look_range(v->c, "conds", i, "field", d->field, SL_FIELD_PATH, last);
	sl_look_range(v->c, "conds", i, "op", d->op, SL_COND_EXACT, SL_COND_IN);
	sl_look_range(v->c, "conds", i, "flags", d->flags, 0, SL_COND_INVERT | SL_COND_ICASE);
	sl_look_zero(v->c, "conds", i, "zero", d->zero);
	sl_look_zero(v->c, "conds", i, "zero1", d->zero1);
	if (d->field < SL_FIELD_PATH || d->field > last || d->op < SL_COND_EXACT ||
	    d->op > SL_COND_IN)
		return;
	if (!op_in(d->op, v->authz ? authz_ops_of[d->field] : ops_of[d->field]))
		sl_look_bad(v->c, "conds", i, "op", "is %u, which field %u does not have", d->op,
			    d->field);
	if (d->flags & SL_COND_ICASE && !letters)
		sl_look_bad(v->c, "conds", i, "flags", "is %u, but op %u has no letters to compare",
			    d->flags, d->op);
	check_field_name(v, "conds", i, d->field, d->name);
	check_cond_value(v, d, i);
	check_cond_numbers(v, d, i);
	check_cond_scan(v, d, i);
}

static int
cond_cmp(const void *a, const void *b, void *vhost)
{
	const struct vhost *v = vhost;
	const struct sl_img_cond *x = &v->conds[*(const uint32_t *)a];
	const struct sl_img_cond *y = &v->conds[*(const uint32_t *)b];
	int d = memcmp(x, y, 3); /* field, op, flags */

	if (d == 0)
		d = sl_look_string_cmp(&v->str, x->name, y->name);
	if (d == 0)
		d = sl_look_string_cmp(&v->str, x->value, y->value);
	if (d == 0)
		d = (x->lo > y->lo) - (x->lo < y->lo);
	return d ? d : (x->hi > y->hi) - (x->hi < y->hi);
}

static int
route_name_cmp(const void *a, const void *b, void *vhost)
{
	const struct vhost *v = vhost;

	return memcmp(v->routes[*(const uint32_t *)a].name, v->routes[*(const uint32_t *)b].name,
		      SL_NAME_MAX);
}

/* Reports records that compare equal, each with the first of its kind in the sorted order. */
static void
check_distinct(const struct vhost *v, const char *section, const char *field, uint32_t cnt,
	       int (*cmp)(const void *, const void *, void *))
{
	uint32_t *order = malloc(cnt * sizeof(*order) + 1);

	if (!order) {
		sl_look_bad(v->c, section, SL_LOOK_NOWHERE, "",
			    "cannot be compared with each other: no memory for it");
		return;
	}
	for (uint32_t i = 0; i < cnt; i++)
		order[i] = i;
	qsort_r(order, cnt, sizeof(*order), cmp, (void *)(uintptr_t)v);
	for (uint32_t i = 1; i < cnt; i++)
		if (cmp(&order[i - 1], &order[i], (void *)(uintptr_t)v) == 0)
			sl_look_bad(v->c, section, SL_MAX(order[i - 1], order[i]), field,
				    "equals that of %s[%u]", section,
				    SL_MIN(order[i - 1], order[i]));
	free(order);
}

/* -- scans -- */

static bool
id_none(const struct sl_obj_id *id)
{
	static const struct sl_obj_id none;

	return memcmp(id, &none, sizeof(none)) == 0;
}

static void
check_scan(const struct vhost *v, const struct sl_img_scan *s, uint32_t i)
{
	sl_look_range(v->c, "scans", i, "field", s->field,
		      v->authz ? SL_FIELD_HEADER : SL_FIELD_PATH, field_last(v));
	if (s->field == SL_FIELD_METHOD)
		sl_look_bad(v->c, "scans", i, "field", "is %u (METHOD), which is not scanned",
			    s->field);
	for (unsigned k = 0; k < sizeof(s->zero); k++)
		sl_look_zero(v->c, "scans", i, "zero", s->zero[k]);
	check_field_name(v, "scans", i, s->field, s->name);
	if (id_none(&s->base))
		sl_look_bad(v->c, "scans", i, "base", "is all 0, must be the id of a SHARD");
	sl_look_range(v->c, "scans", i, "base_cnt", s->base_cnt, 1, 65536);
	sl_look_range(v->c, "scans", i, "delta_cnt", s->delta_cnt, !id_none(&s->delta),
		      id_none(&s->delta) ? 0 : 256);
	for (uint32_t k = 0; k < i; k++)
		if (v->scans[k].field == s->field &&
		    sl_look_string_cmp(&v->str, v->scans[k].name, s->name) == 0)
			sl_look_bad(v->c, "scans", i, "name", "and field equal those of scans[%u]",
				    k);
}

/* -- targets, mirrors, edits -- */

static void
check_target(struct sl_look *c, const struct sl_img_target *t, uint32_t i)
{
	sl_look_range(c, "targets", i, "service", t->service, 0, SL_MAX_SERVICES - 1);
	sl_look_range(c, "targets", i, "incarnation", t->incarnation, 1, UINT16_MAX);
	sl_look_range(c, "targets", i, "weight", t->weight, 0, 1000000);
	sl_look_range(c, "targets", i, "subset", t->subset, 0, SL_MAX_SUBSETS);
}

static void
check_mirror(struct sl_look *c, const struct sl_img_mirror *m, uint32_t i)
{
	sl_look_range(c, "mirrors", i, "service", m->service, 0, SL_MAX_SERVICES - 1);
	sl_look_range(c, "mirrors", i, "incarnation", m->incarnation, 1, UINT16_MAX);
	sl_look_range(c, "mirrors", i, "per_million", m->per_million, 0, 1000000);
	sl_look_zero(c, "mirrors", i, "zero", m->zero);
}

static void
check_edit(const struct vhost *v, const struct sl_img_edit *e, uint32_t i)
{
	bool removes = e->op == SL_EDIT_REMOVE;

	sl_look_range(v->c, "edits", i, "op", e->op, SL_EDIT_SET, SL_EDIT_REMOVE);
	sl_look_zero(v->c, "edits", i, "zero", e->zero);
	const uint8_t *s = sl_look_string(&v->str, "edits", i, "name", e->name, 1, 255);
	if (s && !sl_look_token(s, e->name.len, false))
		sl_look_bad_text(v->c, "edits", i, "name", s, e->name.len, "is not a token");
	else if (s && sl_http_reserved(s, e->name.len))
		sl_look_bad_text(v->c, "edits", i, "name", s, e->name.len,
				 "is a header that the gateway itself writes");
	s = sl_look_string(&v->str, "edits", i, "value", e->value, 0, removes ? 0 : 4096);
	if (s && !sl_look_field_content(s, e->value.len))
		sl_look_bad_text(v->c, "edits", i, "value", s, e->value.len,
				 "holds a control byte, or begins or ends with white space");
}

/* -- routes -- */

static void
check_span(const struct vhost *v, uint32_t i, const char *field, uint32_t first, uint32_t cnt,
	   uint32_t max, uint32_t total)
{
	sl_look_range(v->c, "routes", i, field, cnt, 0, max);
	if (first > total || cnt > total - first)
		sl_look_bad(v->c, "routes", i, field, "%u from %u on are not within %u", cnt, first,
			    total);
}

/* The route's condition of that op that must hold, or NULL. */
static const struct sl_img_cond *
path_cond(const struct vhost *v, const struct sl_img_http_route *r, unsigned op)
{
	if (!v->conds || !v->cond_ids || r->cond_first > v->img->cond_id_cnt ||
	    r->cond_cnt > v->img->cond_id_cnt - r->cond_first)
		return NULL;
	for (uint32_t k = 0; k < r->cond_cnt; k++) {
		uint32_t id = v->cond_ids[r->cond_first + k];
		const struct sl_img_cond *d = id < v->img->cond_cnt ? &v->conds[id] : NULL;
		if (d && d->op == op && d->field == SL_FIELD_PATH && !(d->flags & SL_COND_INVERT))
			return d;
	}
	return NULL;
}

static void
check_rewrite(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	bool some = r->rewrite != SL_REWRITE_NONE;
	const uint8_t *s =
		sl_look_string(&v->str, "routes", i, "path", r->path, some, some ? 4096 : 0);
	const struct sl_img_cond *d = NULL;
	struct captures k;
	uint32_t len;

	sl_look_range(v->c, "routes", i, "rewrite", r->rewrite, SL_REWRITE_NONE,
		      r->action == SL_ACTION_RESPOND ? SL_REWRITE_NONE : SL_REWRITE_PATH);
	if (s && some && !sl_look_path(s, r->path.len))
		sl_look_bad_text(
			v->c, "routes", i, "path", s, r->path.len,
			"is not a path: it begins with \"/\" and has visible characters but ? and "
			"#");
	if (r->rewrite == SL_REWRITE_PREFIX && !path_cond(v, r, SL_COND_SEGMENTS))
		sl_look_bad(v->c, "routes", i, "rewrite",
			    "is %u (PREFIX), but the route has no condition SEGMENTS", r->rewrite);
	if (r->rewrite != SL_REWRITE_TEMPLATE)
		return;
	d = path_cond(v, r, SL_COND_TEMPLATE);
	if (!d) {
		sl_look_bad(v->c, "routes", i, "rewrite",
			    "is %u (TEMPLATE), but the route has no condition TEMPLATE",
			    r->rewrite);
		return;
	}
	const uint8_t *of = sl_look_string_at(&v->str, d->value, &len);
	if (!s || template_parse(of, len, &k)) /* said of the condition */
		return;
	const char *why = rewrite_wrong(s, r->path.len, &k, of);
	if (why)
		sl_look_bad_text(v->c, "routes", i, "path", s, r->path.len, why);
}

static void
check_weights(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	uint64_t sum = 0;

	if (r->target_cnt == 0)
		sl_look_bad(v->c, "routes", i, "target_cnt", "is 0, must be in [1, %d]",
			    SL_MAX_TARGETS);
	if (r->weight_sum == 0)
		sl_look_bad(v->c, "routes", i, "weight_sum", "is 0, must be 1 at least");
	if (!v->targets || r->target_first > v->img->target_cnt ||
	    r->target_cnt > v->img->target_cnt - r->target_first)
		return;
	for (uint32_t k = 0; k < r->target_cnt; k++)
		sum += v->targets[r->target_first + k].weight;
	if (sum != r->weight_sum)
		sl_look_bad(v->c, "routes", i, "weight_sum", "is %u, but the targets weigh %llu",
			    r->weight_sum, (unsigned long long)sum);
}

static void
check_retry(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	bool some = false;

	sl_look_range(v->c, "routes", i, "retries", r->retries, 0, SL_MAX_RETRIES);
	sl_look_range(v->c, "routes", i, "retry_on", r->retry_on, 0, SL_RETRY_ALL);
	sl_look_range(v->c, "routes", i, "backoff_ms", r->backoff_ms, 0, SL_LOOK_MS_MAX);
	sl_look_range(v->c, "routes", i, "backoff_max_ms", r->backoff_max_ms, r->backoff_ms,
		      SL_MAX(r->backoff_ms, SL_LOOK_MS_MAX));
	for (unsigned k = 0; k < SL_RETRY_CODES_MAX; k++) {
		some |= r->retry_codes[k] != 0;
		if (r->retry_codes[k])
			sl_look_range(v->c, "routes", i, "retry_codes", r->retry_codes[k], 400,
				      599);
	}
	if (some != !!(r->retry_on & SL_RETRY_CODES))
		sl_look_bad(v->c, "routes", i, "retry_codes", "%s, but retry_on %s CODES",
			    some ? "are given" : "are all 0", some ? "lacks" : "has");
}

static void
check_sticky(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	bool named = r->sticky == SL_STICKY_HEADER || r->sticky == SL_STICKY_COOKIE;
	bool header = r->sticky == SL_STICKY_HEADER;

	sl_look_range(v->c, "routes", i, "sticky", r->sticky, SL_STICKY_NONE, SL_STICKY_SOURCE);
	const uint8_t *s = sl_look_string(&v->str, "routes", i, "sticky_name", r->sticky_name,
					  named, named ? 255 : 0);
	if (s && named && !sl_look_token(s, r->sticky_name.len, header))
		sl_look_bad_text(v->c, "routes", i, "sticky_name", s, r->sticky_name.len,
				 header ? "is not a token in lower case" : "is not a token");
}

static void
check_times(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	sl_look_range(v->c, "routes", i, "timeout_ms", r->timeout_ms, 0, SL_LOOK_MS_MAX);
	sl_look_range(v->c, "routes", i, "try_ms", r->try_ms, 0, SL_LOOK_MS_MAX);
	sl_look_range(v->c, "routes", i, "stream_idle_ms", r->stream_idle_ms, 0, SL_LOOK_MS_MAX);
}

/* What only FORWARD has. */
static void
check_no_targets(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	sl_look_zero(v->c, "routes", i, "target_first", r->target_first);
	sl_look_zero(v->c, "routes", i, "target_cnt", r->target_cnt);
	sl_look_zero(v->c, "routes", i, "weight_sum", r->weight_sum);
	sl_look_zero(v->c, "routes", i, "mirror_cnt", r->mirror_cnt);
}

static void
check_redirect(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	bool is = r->action == SL_ACTION_REDIRECT;

	sl_look_range(v->c, "routes", i, "redirect_port", r->redirect_port, 0, is ? UINT16_MAX : 0);
	sl_look_range(v->c, "routes", i, "redirect_https", r->redirect_https, 0, is ? 2 : 0);
	sl_look_range(v->c, "routes", i, "strip_query", r->strip_query, 0, is);
	if (is && r->code != 301 && r->code != 302 && r->code != 303 && r->code != 307 &&
	    r->code != 308)
		sl_look_bad(v->c, "routes", i, "code",
			    "is %u, must be 301, 302, 303, 307 or 308: a redirect", r->code);
}

static void
check_respond(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	bool is = r->action == SL_ACTION_RESPOND;
	bool bodiless = r->code == 204 || r->code == 205 || r->code == 304; /* RFC 9110, 15 */

	if (is)
		sl_look_range(v->c, "routes", i, "code", r->code, 200, 599);
	if (is && bodiless && r->body.len)
		sl_look_bad(v->c, "routes", i, "body", "has %u bytes, but code %u has no body",
			    r->body.len, r->code);
	sl_look_string(&v->str, "routes", i, "body", r->body, 0, is ? 65536 : 0);
	const uint8_t *s = sl_look_string(&v->str, "routes", i, "content_type", r->content_type, 0,
					  is && r->body.len ? 255 : 0);
	if (s && !sl_look_field_content(s, r->content_type.len))
		sl_look_bad_text(v->c, "routes", i, "content_type", s, r->content_type.len,
				 "holds a control byte, or begins or ends with white space");
}

static void
check_route_host(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	uint32_t max = r->action == SL_ACTION_RESPOND ? 0 : 253 + 6;
	const uint8_t *s = sl_look_string(&v->str, "routes", i, "host", r->host, 0, max);

	if (s && r->host.len && !sl_look_authority(s, r->host.len))
		sl_look_bad_text(v->c, "routes", i, "host", s, r->host.len,
				 "is not a host, or a host and a port");
}

static void
check_http_route(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i,
		 uint64_t *slots)
{
	const struct sl_img_vhost *img = v->img;

	sl_look_slot(v->c, "routes", i, r->slot, SL_MAX_HTTP_ROUTES, slots);
	sl_look_range(v->c, "routes", i, "incarnation", r->incarnation, 1, UINT16_MAX);
	sl_look_name(v->c, "routes", i, "name", r->name);
	sl_look_range(v->c, "routes", i, "policy", r->policy, 0, img->policy_cnt);
	check_span(v, i, "cond_cnt", r->cond_first, r->cond_cnt, 64, img->cond_id_cnt);
	check_span(v, i, "target_cnt", r->target_first, r->target_cnt, SL_MAX_TARGETS,
		   img->target_cnt);
	check_span(v, i, "mirror_cnt", r->mirror_first, r->mirror_cnt, SL_MAX_MIRRORS,
		   img->mirror_cnt);
	for (unsigned k = 0; k < 2; k++)
		check_span(v, i, "edit_cnt", r->edit_first[k], r->edit_cnt[k], SL_MAX_EDITS,
			   img->edit_cnt);
	sl_look_range(v->c, "routes", i, "action", r->action, SL_ACTION_FORWARD, SL_ACTION_RESPOND);
	if (r->action < SL_ACTION_FORWARD || r->action > SL_ACTION_RESPOND)
		return;
	if (r->action == SL_ACTION_FORWARD) {
		check_weights(v, r, i);
		sl_look_zero(v->c, "routes", i, "code", r->code);
	} else {
		check_no_targets(v, r, i);
	}
	check_times(v, r, i);
	check_retry(v, r, i);
	check_sticky(v, r, i);
	check_rewrite(v, r, i);
	check_redirect(v, r, i);
	check_respond(v, r, i);
	check_route_host(v, r, i);
}

/* -- the whole -- */

static void
open_vhost(struct vhost *v, struct sl_look *c)
{
	const struct sl_img_vhost *img = (const void *)c->bytes;

	*v = (struct vhost){.c = c, .img = img};
#define OPEN(list, noun, max)                                                                      \
	(v->list = sl_look_open(c,                                                                 \
				&(struct sl_look_section){#list, img->noun##_cnt, img->noun##_off, \
							  0, (max), sizeof(*v->list)}))
	OPEN(routes, route, SL_MAX_HTTP_ROUTES);
	OPEN(conds, cond, ANY_CNT);
	OPEN(cond_ids, cond_id, ANY_CNT);
	OPEN(scans, scan, SL_MAX_SHARDS);
	OPEN(targets, target, ANY_CNT);
	OPEN(mirrors, mirror, ANY_CNT);
	OPEN(edits, edit, ANY_CNT);
#undef OPEN
	sl_look_policy_open(&v->policy, c);
	sl_look_strings_open(&v->str, c, img->str_bytes, img->str_off);
}

static void
check_cond_ids(const struct vhost *v)
{
	for (uint32_t i = 0; v->cond_ids && i < v->img->cond_id_cnt; i++)
		if (v->cond_ids[i] >= v->img->cond_cnt)
			sl_look_bad(v->c, "cond_ids", i, "", "is %u, but there are %u conditions",
				    v->cond_ids[i], v->img->cond_cnt);
}

void
sl_look_vhost(struct sl_look *c)
{
	uint64_t slots[SL_MAX_HTTP_ROUTES / 64] = {0};
	struct vhost v;

	open_vhost(&v, c);
	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", v.img->name);
	sl_look_name(c, "", SL_LOOK_NOWHERE, "table", v.img->table);
	for (uint32_t i = 0; v.routes && i < v.img->route_cnt; i++)
		check_http_route(&v, &v.routes[i], i, slots);
	if (v.routes)
		check_distinct(&v, "routes", "name", v.img->route_cnt, route_name_cmp);
	for (uint32_t i = 0; v.conds && i < v.img->cond_cnt; i++)
		check_cond(&v, &v.conds[i], i);
	if (v.conds)
		check_distinct(&v, "conds", "", v.img->cond_cnt, cond_cmp);
	check_cond_ids(&v);
	for (uint32_t i = 0; v.scans && i < v.img->scan_cnt; i++)
		check_scan(&v, &v.scans[i], i);
	for (uint32_t i = 0; v.targets && i < v.img->target_cnt; i++)
		check_target(c, &v.targets[i], i);
	for (uint32_t i = 0; v.mirrors && i < v.img->mirror_cnt; i++)
		check_mirror(c, &v.mirrors[i], i);
	for (uint32_t i = 0; v.edits && i < v.img->edit_cnt; i++)
		check_edit(&v, &v.edits[i], i);
	sl_look_policy(&v.policy, &v.str);
}

/* -- a set of rules -- */

/* 0: DENY, 1: ALLOW, 2: the default, 3: AUDIT: the order in which they stand. */
static unsigned
rule_rank(const struct sl_img_http_route *r)
{
	return r->action == SL_AUTHZ_AUDIT                             ? 3
	       : r->action == SL_AUTHZ_ALLOW                           ? 1
	       : r->cond_cnt || strcmp(r->name, SL_AUTHZ_DEFAULT) != 0 ? 0
								       : 2;
}

static void
check_rule(const struct vhost *v, const struct sl_img_http_route *r, uint32_t i)
{
	struct sl_img_http_route rest = *r;
	const uint8_t *byte = (const uint8_t *)&rest;

	sl_look_name(v->c, "routes", i, "name", r->name);
	sl_look_range(v->c, "routes", i, "action", r->action, SL_AUTHZ_DENY, SL_AUTHZ_AUDIT);
	sl_look_range(v->c, "routes", i, "slot", r->slot, 0, SL_MAX_RULE_SLOTS);
	sl_look_range(v->c, "routes", i, "incarnation", r->incarnation, 1, 1);
	check_span(v, i, "cond_cnt", r->cond_first, r->cond_cnt, 64, v->img->cond_id_cnt);
	if (r->code != 0 && (r->code != 403 || r->action != SL_AUTHZ_DENY))
		sl_look_bad(v->c, "routes", i, "code", "is %u, must be 0, or of a DENY 403",
			    r->code);
	if (i && rule_rank(&r[-1]) > rule_rank(r))
		sl_look_bad(v->c, "routes", i, "action",
			    "is out of order: DENY, ALLOW, the default, AUDIT");
	if (i && rule_rank(r) == 2 && rule_rank(&r[-1]) == 2)
		sl_look_bad(v->c, "routes", i, "name", "is a second default");
	rest.slot = rest.incarnation = rest.cond_first = rest.cond_cnt = 0;
	rest.action = 0;
	rest.code = 0;
	memset(rest.name, 0, sizeof(rest.name));
	for (size_t k = 0; k < sizeof(rest); k++)
		if (byte[k]) {
			sl_look_bad(v->c, "routes", i, "",
				    "has byte %zu set, which rules do not have", k);
			return;
		}
}

static void
check_no_records(struct sl_look *c, const struct sl_img_vhost *img)
{
	const struct {
		const char *section;
		uint32_t cnt;
	} none[] = {
		{"targets", img->target_cnt}, {"mirrors", img->mirror_cnt},
		{"edits", img->edit_cnt},     {"policies", img->policy_cnt},
		{"rates", img->rate_cnt},     {"policy_refs", img->policy_ref_cnt},
		{"cors", img->cors_cnt},      {"faults", img->fault_cnt},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(none); i++)
		if (none[i].cnt)
			sl_look_bad(c, none[i].section, SL_LOOK_NOWHERE, "",
				    "has %u records, but a set of rules has none", none[i].cnt);
	for (unsigned i = 0; i < sizeof(img->table); i++)
		if (img->table[i]) {
			sl_look_bad(c, "", SL_LOOK_NOWHERE, "table", "is not empty");
			return;
		}
}

void
sl_look_authz(struct sl_look *c)
{
	struct vhost v;

	open_vhost(&v, c);
	v.authz = true;
	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", v.img->name);
	check_no_records(c, v.img);
	for (uint32_t i = 0; v.routes && i < v.img->route_cnt; i++)
		check_rule(&v, &v.routes[i], i);
	for (uint32_t i = 0; v.conds && i < v.img->cond_cnt; i++)
		check_cond(&v, &v.conds[i], i);
	if (v.conds)
		check_distinct(&v, "conds", "", v.img->cond_cnt, cond_cmp);
	check_cond_ids(&v);
	for (uint32_t i = 0; v.scans && i < v.img->scan_cnt; i++)
		check_scan(&v, &v.scans[i], i);
}

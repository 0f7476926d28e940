/* route_model — see route_model.h. */
#include "tests/l7/route_model.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "l7/path.h"

static _Noreturn void
die(const char *what, const char *which)
{
	fprintf(stderr, "route_model: %s: %s\n", what, which);
	exit(2);
}

/* ---- the model ---- */

static bool
same(const char *a, const char *b, size_t n, bool icase)
{
	return icase ? strncasecmp(a, b, n) == 0 : strncmp(a, b, n) == 0;
}

static bool
value_regex(const char *regex, const char *value, bool icase)
{
	static struct {
		char text[64];
		bool icase;
		regex_t re;
	} known[64];
	static unsigned cnt;
	char whole[96];
	unsigned i;

	for (i = 0; i < cnt; i++)
		if (known[i].icase == icase && strcmp(known[i].text, regex) == 0)
			return regexec(&known[i].re, value, 0, NULL, 0) == 0;
	if (cnt == 64)
		die("too many regexes", regex);
	snprintf(whole, sizeof(whole), "^(%s)$", regex);
	if (regcomp(&known[i].re, whole, REG_EXTENDED | REG_NOSUB | (icase ? REG_ICASE : 0)))
		die("regcomp", regex);
	snprintf(known[i].text, sizeof(known[i].text), "%s", regex);
	known[i].icase = icase;
	cnt++;
	return regexec(&known[i].re, value, 0, NULL, 0) == 0;
}

static bool
value_contains(const char *value, const char *part, bool icase)
{
	size_t n = strlen(part);

	for (;; value++) {
		if (same(value, part, n, icase))
			return true;
		if (!*value)
			return false;
	}
}

static bool
value_range(const char *v, int64_t lo, int64_t hi)
{
	const char *digits = v + (*v == '-' || *v == '+');

	if (!*digits || strspn(digits, "0123456789") != strlen(digits))
		return false;
	while (digits[0] == '0' && digits[1])
		digits++;
	if (strlen(digits) > 18)
		return false;
	int64_t n = strtoll(digits, NULL, 10);
	n = *v == '-' ? -n : n;
	return n >= lo && n < hi;
}

int
sl_model_captures(const struct sl_test_cond *c, const char *path, uint32_t ret[][2])
{
	const char *t = c->value, *p = path;
	int cnt = 0;

	for (;;) { /* both at a "/", or at their ends */
		size_t n = *t ? strcspn(t + 1, "/") : 0, m = *p ? strcspn(p + 1, "/") : 0;
		if (*t && n >= 4 && t[1] == '{' && strncmp(t + 1 + n - 3, "**}", 3) == 0) {
			ret[cnt][0] = (uint32_t)(p - path) + (*p != '\0');
			ret[cnt][1] = (uint32_t)strlen(path) - ret[cnt][0];
			return cnt + 1;
		}
		if (!*t || !*p)
			return *t || *p ? -1 : cnt;
		if (t[1] == '{') {
			if (m == 0)
				return -1;
			ret[cnt][0] = (uint32_t)(p + 1 - path);
			ret[cnt++][1] = (uint32_t)m;
		} else if (n != m || !same(t + 1, p + 1, n, c->flags & SL_COND_ICASE)) {
			return -1;
		}
		t += 1 + n;
		p += 1 + m;
	}
}

static bool
value_holds(const struct sl_test_cond *c, const char *v)
{
	bool icase = c->flags & SL_COND_ICASE;
	size_t n = strlen(v), len = c->value ? strlen(c->value) : 0;
	uint32_t capture[32][2];

	switch (c->op) {
	case SL_COND_EXACT:
		return n == len && same(v, c->value, n, icase);
	case SL_COND_PREFIX:
		return n >= len && same(v, c->value, len, icase);
	case SL_COND_SUFFIX:
		return n >= len && same(v + n - len, c->value, len, icase);
	case SL_COND_SEGMENTS:
		return len == 0 || (n >= len && same(v, c->value, len, icase) &&
				    (v[len] == '/' || v[len] == '\0'));
	case SL_COND_TEMPLATE:
		return v[0] == '/' && sl_model_captures(c, v, capture) >= 0;
	case SL_COND_CONTAINS:
		return value_contains(v, c->value, icase);
	case SL_COND_REGEX:
		return value_regex(c->value, v, icase);
	case SL_COND_PRESENT:
		return true;
	case SL_COND_RANGE:
		return value_range(v, c->lo, c->hi);
	default:
		die("operation", "unknown");
	}
}

static bool
header_value(const struct sl_model_request *r, const char *name, char *ret)
{
	const struct sl_http_head *h = &r->head;
	size_t n = strlen(name);
	bool found = false;

	*ret = '\0';
	if (strcmp(name, ":identity") == 0) {
		if (r->in.identity)
			strcpy(ret, r->identity);
		return r->in.identity != NULL;
	}
	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		if (l->name_len != n || strncasecmp((const char *)h->bytes + l->name, name, n) != 0)
			continue;
		if (found)
			strcat(ret, ", ");
		strncat(ret, (const char *)h->bytes + l->value, l->value_len);
		found = true;
	}
	return found;
}

static bool
cookie_value(const struct sl_model_request *r, const char *name, char *ret)
{
	const struct sl_http_head *h = &r->head;
	char line[1024], *save;

	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		if (l->name_len != 6 || strncasecmp((const char *)h->bytes + l->name, "cookie", 6))
			continue;
		snprintf(line, sizeof(line), "%.*s", l->value_len,
			 (const char *)h->bytes + l->value);
		for (char *p = strtok_r(line, ";", &save); p; p = strtok_r(NULL, ";", &save)) {
			p += strspn(p, " ");
			size_t n = strcspn(p, "=");
			if (p[n] == '=' && n == strlen(name) && strncmp(p, name, n) == 0) {
				strcpy(ret, p + n + 1);
				return true;
			}
		}
	}
	return false;
}

static bool
query_value(const struct sl_model_request *r, const char *name, char *ret)
{
	const uint8_t *p;
	uint32_t n;

	if (!sl_query_find(r->in.query, r->in.query_len, (const uint8_t *)name,
			   (uint32_t)strlen(name), (uint8_t *)ret, 1024, &p, &n))
		return false;
	memmove(ret, p, n);
	ret[n] = '\0';
	return true;
}

static bool
method_holds(const struct sl_test_cond *c, const struct sl_model_request *r)
{
	if (c->op == SL_COND_IN)
		return c->lo >> r->head.method & 1;
	size_t n = strcspn(r->text, " ");
	return n == strlen(c->value) && strncmp(c->value, r->text, n) == 0;
}

bool
sl_model_holds(const struct sl_test_cond *c, const struct sl_model_request *r)
{
	char v[4096];
	bool is = false;

	switch (c->field) {
	case SL_FIELD_PATH:
		is = value_holds(c, r->path);
		break;
	case SL_FIELD_METHOD:
		is = method_holds(c, r);
		break;
	case SL_FIELD_HEADER:
		is = header_value(r, c->name, v) && value_holds(c, v);
		break;
	case SL_FIELD_QUERY:
		is = query_value(r, c->name, v) && value_holds(c, v);
		break;
	case SL_FIELD_COOKIE:
		is = cookie_value(r, c->name, v) && value_holds(c, v);
		break;
	default:
		die("field", "unknown");
	}
	return is != !!(c->flags & SL_COND_INVERT);
}

uint32_t
sl_model_find(const struct sl_test_vhost *v, const struct sl_model_request *r)
{
	for (uint32_t i = 0; i < v->route_cnt; i++) {
		bool all = true;
		for (const struct sl_test_cond *c = v->routes[i].conds; all && c && c->field; c++)
			all = sl_model_holds(c, r);
		if (all)
			return i;
	}
	return SL_MATCH_NONE;
}

/* ---- chance ---- */

uint32_t
sl_model_pick(struct sl_model_source *s, uint32_t n)
{
	if (s->n) {
		s->n--;
		return *s->bytes++ % n;
	}
	if (!s->seed)
		return 0;
	s->seed = s->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((s->seed >> 33) % n);
}

#define PICK(s, list) (list)[sl_model_pick(s, SL_ARRAY_CNT(list))]

static const char *const segment[] = {"a", "b", "ab", "A", "aa", "", "segment-of-some-length"};
static const char *const headers[] = {"x-a", "x-b", "x-long-name", ":identity"};
static const char *const names[] = {"a", "b", "sid"};
static const char *const values[] = {"a",  "b",  "ab", "AB",   "aba",      "1",
				     "10", "-5", "",   "a, b", "b, a, ab", "canary-7"};
/* Both engines read them alike. */
static const char *const regexes_of_path[] = {
	"/a/[a-z]+", "/a(/b)?",      "/(a|b)/.*", "/ab?/a*", ".*b",          "/[ab]{2}(/.*)?",
	"/a/b|/b/a", "/[^/]+/[^/]*", "(/a)*/?",   "/a+",     "/aa/[0-9]*.?", "/a/b/a*/?b+"};
static const char *const regexes_of_value[] = {
	"a.*",    "[ab]+", "(a|b), .*", "ab|ba|1?0",    "",
	"[0-9]+", "-?5",   ".*b.*",     "canary-[0-9]", "a{1,3}b?a?"};

static const char *
text_keep(struct sl_model_table *t, const char *text)
{
	char *at = t->text[t->text_cnt++];

	snprintf(at, sizeof(t->text[0]), "%s", text);
	return at;
}

static const char *
lower(struct sl_model_table *t, const char *text)
{
	char buf[40];
	size_t i = 0;

	for (; text[i] && i < sizeof(buf) - 1; i++)
		buf[i] = (char)tolower((unsigned char)text[i]);
	buf[i] = '\0';
	return text_keep(t, buf);
}

static const char *
path_text(struct sl_model_source *s, struct sl_model_table *t, bool template)
{
	char buf[160] = "";
	uint32_t cnt = 1 + sl_model_pick(s, 4);

	for (uint32_t i = 0; i < cnt; i++) {
		strcat(buf, "/");
		const char *seg = PICK(s, segment);
		if (template && sl_model_pick(s, 2))
			seg = "{x}";
		if (strlen(buf) + strlen(seg) > 32)
			seg = "a";
		strcat(buf, seg);
	}
	if (template && sl_model_pick(s, 3) == 0)
		strcpy(buf + (strlen(buf) > 28 ? 28 : strlen(buf)),
		       sl_model_pick(s, 2) ? "/{**}" : "/{y=**}");
	return text_keep(t, buf);
}

/* As many lengths as it takes for some not to be looked up. */
static const char *
long_text(struct sl_model_source *s, struct sl_model_table *t)
{
	char buf[24];
	uint32_t n = sl_model_pick(s, 22);

	for (uint32_t i = 0; i < n; i++)
		buf[i] = sl_model_pick(s, 8) ? 'a' : 'b';
	buf[n] = '\0';
	return text_keep(t, buf);
}

static void
cond_path(struct sl_model_source *s, struct sl_model_table *t, uint32_t regexes,
	  struct sl_test_cond *c)
{
	static const uint8_t ops[] = {SL_COND_EXACT,    SL_COND_EXACT,    SL_COND_SEGMENTS,
				      SL_COND_SEGMENTS, SL_COND_TEMPLATE, SL_COND_TEMPLATE,
				      SL_COND_PREFIX,   SL_COND_SUFFIX,   SL_COND_CONTAINS};

	c->field = SL_FIELD_PATH;
	c->op = PICK(s, ops);
	c->value = path_text(s, t, c->op == SL_COND_TEMPLATE);
	if (c->op == SL_COND_SEGMENTS && sl_model_pick(s, 6) == 0)
		c->value = "";
	if (c->op == SL_COND_CONTAINS && !regexes)
		c->op = SL_COND_EXACT;
	if (regexes && sl_model_pick(s, regexes) == 0) {
		c->op = SL_COND_REGEX;
		c->value = PICK(s, regexes_of_path);
	}
}

static void
cond_value(struct sl_model_source *s, struct sl_model_table *t, uint32_t regexes,
	   struct sl_test_cond *c)
{
	static const uint8_t ops[] = {SL_COND_EXACT,  SL_COND_EXACT,   SL_COND_EXACT,
				      SL_COND_PREFIX, SL_COND_SUFFIX,  SL_COND_PRESENT,
				      SL_COND_RANGE,  SL_COND_CONTAINS};

	c->op = PICK(s, ops);
	c->value = sl_model_pick(s, 3) ? PICK(s, values) : long_text(s, t);
	if (c->op == SL_COND_CONTAINS && (!regexes || !*c->value))
		c->op = SL_COND_EXACT;
	if (c->op == SL_COND_PRESENT || c->op == SL_COND_RANGE)
		c->value = NULL;
	if (c->op == SL_COND_RANGE) {
		c->lo = (int64_t)sl_model_pick(s, 12) - 6;
		c->hi = c->lo + sl_model_pick(s, 12);
	}
	if (regexes && sl_model_pick(s, regexes) == 0) {
		c->op = SL_COND_REGEX;
		c->lo = c->hi = 0;
		c->value = PICK(s, regexes_of_value);
	}
}

static void
cond_flags(struct sl_model_source *s, struct sl_model_table *t, struct sl_test_cond *c)
{
	if (sl_model_pick(s, 5) == 0)
		c->flags |= SL_COND_INVERT;
	if (!c->value || sl_model_pick(s, 4))
		return;
	c->flags |= SL_COND_ICASE;
	c->value = c->op == SL_COND_REGEX ? c->value : lower(t, c->value);
}

static void
cond_any(struct sl_model_source *s, struct sl_model_table *t, uint32_t regexes,
	 struct sl_test_cond *c)
{
	uint32_t field = sl_model_pick(s, 10);

	if (field < 4) {
		cond_path(s, t, regexes, c);
	} else if (field == 4) {
		*c = (struct sl_test_cond){.field = SL_FIELD_METHOD,
					   .op = SL_COND_IN,
					   .lo = 1 + sl_model_pick(s, 1023)};
		if (sl_model_pick(s, 5) == 0)
			*c = (struct sl_test_cond){
				.field = SL_FIELD_METHOD, .op = SL_COND_EXACT, .value = "BREW"};
		c->flags = sl_model_pick(s, 5) ? 0 : SL_COND_INVERT;
		return;
	} else {
		c->field = field < 8    ? SL_FIELD_HEADER
			   : field == 8 ? SL_FIELD_QUERY
					: SL_FIELD_COOKIE;
		c->name = field < 8 ? PICK(s, headers) : PICK(s, names);
		cond_value(s, t, regexes, c);
	}
	cond_flags(s, t, c);
}

/* More lengths of one header's prefixes and suffixes than are looked up. */
static void
conds_affixes(struct sl_model_source *s, struct sl_model_table *t, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		t->cond[i][0] = (struct sl_test_cond){.field = SL_FIELD_HEADER,
						      .op = sl_model_pick(s, 3) ? SL_COND_PREFIX
										: SL_COND_SUFFIX,
						      .name = headers[0],
						      .value = long_text(s, t)};
}

void
sl_model_table(struct sl_model_source *s, uint32_t regexes, struct sl_model_table *ret)
{
	static const uint8_t cnts[] = {1, 2, 3, 5, 8, 12, 20, 80};
	uint32_t cnt = PICK(s, cnts);
	bool affixes = sl_model_pick(s, 12) == 11;

	memset(ret, 0, sizeof(*ret));
	if (affixes)
		conds_affixes(s, ret, cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		ret->route[i].conds = ret->cond[i];
		if (affixes)
			continue;
		uint32_t conds = sl_model_pick(s, 8);
		conds = conds < 4 ? 1 : conds < 6 ? 2 : conds == 6 ? 3 : i % 4;
		for (uint32_t k = 0; k < conds; k++)
			cond_any(s, ret, regexes, &ret->cond[i][k]);
	}
	ret->vhost = (struct sl_test_vhost){
		.routes = ret->route, .route_cnt = cnt, .delta_every = sl_model_pick(s, 3)};
}

/* ---- requests ---- */

static void
request_path(struct sl_model_source *s, char *path)
{
	uint32_t cnt = 1 + sl_model_pick(s, 4);

	*path = '\0';
	for (uint32_t i = 0; i < cnt; i++) {
		strcat(path, "/");
		strcat(path, PICK(s, segment));
	}
}

static void
request_query(struct sl_model_source *s, char *query)
{
	static const char *const parts[] = {
		"a=a", "b=ab", "a=1", "sid=10", "b",      "%61=b", "a=%41b",        "b=a+b",
		"",    "=",    "c=1", "a",      "b=%zz+", "a==1",  "b=aaaaaaaaaaaa"};
	uint32_t cnt = sl_model_pick(s, 4);

	*query = '\0';
	for (uint32_t i = 0; i < cnt; i++) {
		if (i)
			strcat(query, "&");
		strcat(query, PICK(s, parts));
	}
}

static void
request_line(struct sl_model_source *s, char *text)
{
	static const char *const names_sent[] = {"X-A", "x-a", "X-b", "X-B", "x-Long-Name", "x-c"};
	static const char *const cookies[] = {"a=a", "a=ab; b=b", "sid=10;a=1",
					      "b",   "b=b=b; a=", "x=y; sid=ab"};
	char value[24];

	if (sl_model_pick(s, 4) == 0) {
		sprintf(text, "Cookie: %s\r\n", PICK(s, cookies));
		return;
	}
	const char *v = PICK(s, values);
	if (sl_model_pick(s, 3) == 0) {
		uint32_t n = sl_model_pick(s, 22);
		memset(value, sl_model_pick(s, 4) ? 'a' : 'b', n);
		value[n] = '\0';
		v = value;
	}
	sprintf(text, "%s: %s\r\n", PICK(s, names_sent), v);
}

void
sl_model_request_parse(struct sl_model_request *r)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	enum sl_http_bad why = 0;

	if (sl_http_request((const uint8_t *)r->text, (uint32_t)strlen(r->text), 0, &limits,
			    &r->head, &why) <= 0)
		die(sl_http_bad_text(why), r->text);
	snprintf(r->path, sizeof(r->path), "%.*s", r->head.path_len, r->text + r->head.path);
	snprintf(r->query, sizeof(r->query), "%.*s", r->head.query_len, r->text + r->head.query);
	r->in = (struct sl_match_input){.head = &r->head,
					.path = (const uint8_t *)r->path,
					.query = (const uint8_t *)r->query,
					.path_len = (uint32_t)strlen(r->path),
					.query_len = (uint32_t)strlen(r->query)};
}

void
sl_model_request(struct sl_model_source *s, struct sl_model_request *ret)
{
	static const char *const methods[] = {"GET", "GET", "POST", "BREW", "DELETE"};
	char path[160], query[160], line[256];
	uint32_t lines = sl_model_pick(s, 7);

	request_path(s, path);
	request_query(s, query);
	int n = sprintf(ret->text, "%s %s%s%s HTTP/1.1\r\nHost: h\r\n", PICK(s, methods), path,
			*query ? "?" : "", query);
	for (uint32_t i = 0; i < lines; i++) {
		request_line(s, line);
		strcpy(ret->text + n, line);
		n += (int)strlen(line);
	}
	strcpy(ret->text + n, "\r\n");
	sl_model_request_parse(ret);
	if (sl_model_pick(s, 3) == 0)
		return;
	snprintf(ret->identity, sizeof(ret->identity), "%s", PICK(s, values));
	ret->in.identity = (const uint8_t *)ret->identity;
	ret->in.identity_len = (uint32_t)strlen(ret->identity);
}

/* ---- both ---- */

static const char *
compare_path(const struct sl_test_http_route *route, const struct sl_model_request *r,
	     const struct sl_match_result *got)
{
	uint32_t capture[32][2], prefix = 0;
	int cnt = 0;

	for (const struct sl_test_cond *c = route->conds; c && c->field; c++) {
		if (c->field != SL_FIELD_PATH || c->flags & SL_COND_INVERT)
			continue;
		if (c->op == SL_COND_SEGMENTS)
			prefix = (uint32_t)strlen(c->value);
		if (c->op == SL_COND_TEMPLATE)
			cnt = sl_model_captures(c, r->path, capture);
	}
	if (got->prefix != prefix)
		return "the prefix is another";
	if ((int)got->capture_cnt != cnt)
		return "there are more or less captures";
	for (int i = 0; i < cnt; i++)
		if (got->capture[i].off != capture[i][0] || got->capture[i].len != capture[i][1])
			return "a capture is another";
	return NULL;
}

static const char *
compare_conds(const struct sl_test_vhost *v, const struct sl_match *m,
	      struct sl_match_scratch *scratch, const struct sl_model_request *r)
{
	const struct sl_img_vhost *img = sl_match_img(m);
	const struct sl_img_http_route *route =
		(const void *)((const uint8_t *)img + img->route_off);
	const uint32_t *id = (const void *)((const uint8_t *)img + img->cond_id_off);

	for (uint32_t i = 0; i < v->route_cnt; i++) {
		uint32_t k = route[i].cond_first;
		for (const struct sl_test_cond *c = v->routes[i].conds; c && c->field; c++, k++)
			if (sl_match_holds(m, &r->in, scratch, id[k]) != sl_model_holds(c, r))
				return "a condition by itself holds otherwise";
	}
	return NULL;
}

const char *
sl_model_compare(const struct sl_test_vhost *v, const struct sl_match *m,
		 struct sl_match_scratch *scratch, const struct sl_model_request *r)
{
	uint32_t want = sl_model_find(v, r);
	struct sl_match_result got;

	memset(&got, 0xa5, sizeof(got));
	if (sl_match_find(m, &r->in, scratch, &got) != want || got.route != want)
		return "the route is another";
	const char *why = compare_conds(v, m, scratch, r);
	if (!why && want != SL_MATCH_NONE)
		why = compare_path(&v->routes[want], r, &got);
	return why;
}

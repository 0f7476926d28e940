/* authz — see authz.h. */
#include "l7/authz.h"

#include "l7/match_bytes.h"

static const struct sl_img_http_route *
alternatives(const struct sl_img_vhost *img)
{
	return (const void *)((const uint8_t *)img + img->route_off);
}

/* ---- a set ---- */

static bool
is_own(const struct sl_img_vhost *img, const struct sl_img_cond *c, const char *name)
{
	size_t n = strlen(name);

	return c->field == SL_FIELD_HEADER && c->name.len == n &&
	       memcmp((const uint8_t *)img + img->str_off + c->name.off, name, n) == 0;
}

/* What is known of a connection. */
static bool
of_streams(const struct sl_img_vhost *img, const struct sl_img_cond *c)
{
	static const char *const names[] = {
		SL_IDENTITY_NAME, ":source",    ":remote",          ":port",    ":sni",
		":trust-domain",  ":namespace", ":service-account", ":account",
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(names); i++)
		if (is_own(img, c, names[i]))
			return true;
	return false;
}

void
sl_authz_init(struct sl_authz *a, const struct sl_img_vhost *img, const struct sl_match *match,
	      uint16_t incarnation)
{
	const struct sl_img_cond *c = (const void *)((const uint8_t *)img + img->cond_off);

	*a = (struct sl_authz){
		.img = img, .match = match, .incarnation = incarnation, .streams = true};
	while (a->audit_first < img->route_cnt &&
	       alternatives(img)[a->audit_first].action != SL_AUTHZ_AUDIT)
		a->audit_first++;
	for (uint32_t i = 0; i < img->cond_cnt; i++)
		a->streams &= of_streams(img, &c[i]);
}

const char *
sl_authz_rule(const struct sl_authz *a, uint32_t alternative)
{
	return alternatives(a->img)[alternative].name;
}

/* ---- who asks ---- */

enum {
#define X(ID, name) OWN_##ID,
	SL_OWN_NAMES(X)
#undef X
		OWN_CNT
};
static_assert(OWN_CNT == SL_AUTHZ_OWN_MAX, "");

static const char *const own_names[] = {
#define X(ID, name) name,
	SL_OWN_NAMES(X)
#undef X
};

static void
own_add(struct sl_authz_own *o, unsigned id, const void *at, uint32_t len)
{
	struct sl_match_own *own = &o->own[o->cnt++];

	own->name =
		(struct sl_bytes){(const uint8_t *)own_names[id], (uint32_t)strlen(own_names[id])};
	own->value = (struct sl_bytes){at, len};
	own->hash = sl_http_name_hash(own->name.at, own->name.len);
}

static void
own_address(struct sl_authz_own *o, unsigned id, const struct sl_addr *a, uint8_t to[32])
{
	static const uint8_t hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < sizeof(a->b); i++) {
		to[2 * i] = hex[a->b[i] >> 4];
		to[2 * i + 1] = hex[a->b[i] & 15];
	}
	own_add(o, id, to, 32);
}

static void
own_port(struct sl_authz_own *o, uint16_t port)
{
	uint32_t at = sizeof(o->port);
	unsigned left = port;

	do {
		o->port[--at] = (uint8_t)('0' + left % 10);
		left /= 10;
	} while (left);
	own_add(o, OWN_PORT, o->port + at, (uint32_t)sizeof(o->port) - at);
}

/* The next segment of a path from *at on, which goes behind it; .at NULL: none. */
static struct sl_bytes
segment_next(const uint8_t *p, uint32_t len, uint32_t *at)
{
	uint32_t from = *at;

	if (from >= len)
		return (struct sl_bytes){0};
	const uint8_t *slash = memchr(p + from, '/', len - from);
	uint32_t end = slash ? (uint32_t)(slash - p) : len;
	*at = end + 1;
	return (struct sl_bytes){p + from, end - from};
}

static bool
is_text(struct sl_bytes b, const char *text)
{
	return b.at && b.len == strlen(text) && memcmp(b.at, text, b.len) == 0;
}

static void
own_account(struct sl_authz_own *o, struct sl_bytes space, struct sl_bytes account)
{
	if (space.len + 1ull + account.len > sizeof(o->account))
		return;
	memcpy(o->account, space.at, space.len);
	o->account[space.len] = '/';
	memcpy(o->account + space.len + 1, account.at, account.len);
	own_add(o, OWN_ACCOUNT, o->account, space.len + 1 + account.len);
}

static void
own_identity(struct sl_authz_own *o, struct sl_bytes id)
{
	static const char scheme[] = "spiffe://";
	uint32_t at = sizeof(scheme) - 1;

	if (!id.at || id.len <= at || memcmp(id.at, scheme, at) != 0)
		return;
	struct sl_bytes domain = segment_next(id.at, id.len, &at);
	own_add(o, OWN_TRUST_DOMAIN, domain.at, domain.len);
	if (!is_text(segment_next(id.at, id.len, &at), "ns"))
		return;
	struct sl_bytes space = segment_next(id.at, id.len, &at);
	if (!space.len || !is_text(segment_next(id.at, id.len, &at), "sa"))
		return;
	struct sl_bytes account = segment_next(id.at, id.len, &at);
	if (!account.len || at <= id.len)
		return;
	own_add(o, OWN_NAMESPACE, space.at, space.len);
	own_add(o, OWN_SERVICE_ACCOUNT, account.at, account.len);
	own_account(o, space, account);
}

void
sl_authz_own(const struct sl_authz_who *who, struct sl_authz_own *ret)
{
	struct sl_bytes host = who->host;

	ret->cnt = 0;
	own_address(ret, OWN_SOURCE, who->source, ret->source);
	own_address(ret, OWN_REMOTE, who->remote, ret->remote);
	own_port(ret, who->port);
	if (host.len && host.at[host.len - 1] == '.')
		host.len--;
	if (host.len)
		own_add(ret, OWN_HOST, host.at, host.len);
	if (who->sni.len)
		own_add(ret, OWN_SNI, who->sni.at, who->sni.len);
	own_identity(ret, who->identity);
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" */
static bool
read_address(const uint8_t *p, uint32_t len, struct sl_addr *ret)
{
	char text[SL_ADDR_STRLEN];
	const uint8_t *end = len && p[0] == '[' ? memchr(p, ']', len) : NULL;

	if (end) {
		p++;
		len = (uint32_t)(end - p);
	} else if ((end = memchr(p, ':', len)) && memchr(p, '.', len) &&
		   !memchr(end + 1, ':', (size_t)(p + len - end - 1))) {
		len = (uint32_t)(end - p);
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, p, len);
	text[len] = 0;
	return sl_addr_parse(text, ret) == 0;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The entry that `hops` is the number of, from the end of one line; what is left of hops when the line has fewer. */
static unsigned
entry_of(const uint8_t *p, uint32_t len, unsigned hops, struct sl_bytes *ret)
{
	while (hops) {
		uint32_t from = len;
		while (from && p[from - 1] != ',')
			from--;
		const uint8_t *at = p + from, *end = p + len;
		while (at < end && is_blank(*at))
			at++;
		while (end > at && is_blank(end[-1]))
			end--;
		if (at < end) {
			*ret = (struct sl_bytes){at, (uint32_t)(end - at)};
			hops--;
		}
		if (from == 0)
			break;
		len = from - 1;
	}
	return hops;
}

struct sl_addr
sl_authz_remote(const struct sl_http_head *head, unsigned hops, const struct sl_addr *source)
{
	struct sl_bytes entry = {0};
	struct sl_addr a;

	for (unsigned i = head->line_cnt; hops && i-- > 0;)
		if (head->line[i].known == SL_HTTP_X_FORWARDED_FOR)
			hops = entry_of(head->bytes + head->line[i].value, head->line[i].value_len,
					hops, &entry);
	return entry.at && read_address(entry.at, entry.len, &a) ? a : *source;
}

/* ---- the path as others read it ---- */

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Codes undone, and those that come to light by it; length. */
static uint32_t
undo_codes(uint8_t *s, uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < len; i++) {
		s[n++] = s[i];
		while (n >= 3 && s[n - 3] == '%' && digit(s[n - 2]) >= 0 && digit(s[n - 1]) >= 0) {
			s[n - 3] = (uint8_t)(digit(s[n - 2]) << 4 | digit(s[n - 1]));
			n -= 2;
		}
	}
	return n;
}

static bool
is_slash(uint8_t c)
{
	return c == '/' || c == '\\';
}

/* Parameters, empty segments and dots go; length. */
static uint32_t
cut_segments(uint8_t *s, uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t at = 0, e; at < len; at = e) {
		uint32_t name = at + 1, stop;
		for (e = name; e < len && !is_slash(s[e]); e++)
			;
		for (stop = name; stop < e && s[stop] != ';'; stop++)
			;
		uint32_t cnt = stop - name;
		bool up = cnt == 2 && s[name] == '.' && s[name + 1] == '.';
		while (up && n && s[--n] != '/')
			;
		if (up || cnt == 0 || (cnt == 1 && s[name] == '.'))
			continue;
		s[n++] = '/';
		memmove(s + n, s + name, cnt);
		n += cnt;
	}
	/* of the end only whether it is a slash is left */
	if (n == 0 || is_slash(s[len - 1]))
		s[n++] = '/';
	return n;
}

struct sl_bytes
sl_authz_loose(const uint8_t *path, uint32_t len, uint8_t *buf)
{
	bool odd = false;

	for (uint32_t i = 0; i < len; i++)
		odd |= path[i] == '%' || path[i] == ';' || path[i] == '\\' ||
		       (path[i] == '/' && i && path[i - 1] == '/');
	if (sl_likely(!odd) || path[0] != '/')
		return (struct sl_bytes){0};
	memcpy(buf, path, len);
	uint32_t n = cut_segments(buf, undo_codes(buf, len));
	if (n == len && memcmp(buf, path, n) == 0)
		return (struct sl_bytes){0};
	return (struct sl_bytes){buf, n};
}

/* ---- the verdict ---- */

static uint32_t
find(const struct sl_authz *a, const struct sl_match_input *in, struct sl_match_scratch *scratch,
     uint32_t from, struct sl_authz_verdict *v)
{
	struct sl_match_result got;
	uint32_t at = sl_match_find_from(a->match, in, scratch, from, &got);

	v->verified += got.verified;
	v->scanned += got.scanned;
	return at;
}

/* What decides: at or behind audit_first nothing does. */
static uint32_t
decide(const struct sl_authz *a, const struct sl_match_input *in, struct sl_match_scratch *scratch,
       struct sl_authz_verdict *v)
{
	uint32_t at = find(a, in, scratch, 0, v);

	return at < a->audit_first ? at : SL_MATCH_NONE;
}

static bool
denies(const struct sl_authz *a, uint32_t at)
{
	return at != SL_MATCH_NONE && alternatives(a->img)[at].action == SL_AUTHZ_DENY;
}

/* A request that is not denied by its path in normal form. */
static uint32_t
decide_loose(const struct sl_authz *a, const struct sl_match_input *in,
	     const struct sl_match_input *other, struct sl_match_scratch *scratch, uint32_t strict,
	     struct sl_authz_verdict *v)
{
	struct sl_match_input both = *in;
	uint32_t at = decide(a, other, scratch, v);

	/* before an ALLOW there are DENYs alone; the default has no conditions */
	if (denies(a, at) && alternatives(a->img)[at].cond_cnt)
		return at;
	if (strict == SL_MATCH_NONE)
		return strict;
	both.loose = (struct sl_bytes){other->path, other->path_len};
	return decide(a, &both, scratch, v);
}

void
sl_authz_judge(const struct sl_authz *a, const struct sl_match_input *in, struct sl_bytes loose,
	       struct sl_match_scratch *scratch, struct sl_authz_verdict *ret)
{
	struct sl_match_input other = *in;

	*ret = (struct sl_authz_verdict){.audit = SL_MATCH_NONE};
	ret->rule = decide(a, in, scratch, ret);
	if (sl_unlikely(loose.at)) {
		other.path = loose.at;
		other.path_len = loose.len;
		if (!denies(a, ret->rule))
			ret->rule = decide_loose(a, in, &other, scratch, ret->rule, ret);
	}
	ret->denied = denies(a, ret->rule);
	ret->told_only = ret->denied && alternatives(a->img)[ret->rule].code == 0;
	if (sl_likely(a->audit_first == a->img->route_cnt))
		return;
	ret->audit = find(a, in, scratch, a->audit_first, ret);
	if (ret->audit == SL_MATCH_NONE && loose.at)
		ret->audit = find(a, &other, scratch, a->audit_first, ret);
}

/* ---- what is counted ---- */

static struct sl_stats_authz *
rule_stats(const struct sl_authz *a, uint32_t alternative, struct sl_stats_authz *rules)
{
	uint32_t slot = alternative == SL_MATCH_NONE ? 0 : alternatives(a->img)[alternative].slot;

	return slot ? &rules[slot - 1] : NULL;
}

void
sl_authz_count(const struct sl_authz *a, const struct sl_authz_verdict *v,
	       struct sl_stats_authz *set, struct sl_stats_authz *rules)
{
	struct sl_stats_authz *rule = rule_stats(a, v->rule, rules);
	bool denied = v->denied && !v->told_only;

	set->allowed += !v->denied;
	set->denied += denied;
	set->audited += v->told_only || v->audit != SL_MATCH_NONE;
	if (rule) {
		rule->allowed += !v->denied;
		rule->denied += denied;
		rule->audited += v->told_only;
	}
	if (sl_unlikely(v->audit != SL_MATCH_NONE) && (rule = rule_stats(a, v->audit, rules)))
		rule->audited++;
}

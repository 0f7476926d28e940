/* Rules: drafts → conditions, as match knows them (image_http.h).
 *
 *   identities, hosts, paths, …   one list of conditions each, of which one has to hold
 *   not_identities, …             inverted conditions, which all hold; so do headers and claims
 *
 * What a value says is read narrowly where it allows and widely where it denies (l7/authz.h): paths of DENY and AUDIT rules, and
 * not_paths of ALLOW rules, are met in any case of letters, with a slash at the end or without; headers line by line. */
#include "mgmt/conf_priv.h"

#include "l7/authz.h"
#include "l7/path.h"
#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>

enum list {
	IDENTITIES,
	NAMESPACES,
	TRUST_DOMAINS,
	SERVICE_ACCOUNTS,
	ADDRESSES,
	REMOTES,
	HOSTS_OF,
	PORTS_OF,
	METHODS,
	PATHS,
	SERVER_NAMES,
	LISTS
};
static_assert(LISTS == SL_CONF_RULE_LISTS, "");

static const char *const keys[LISTS][2] = {
	[IDENTITIES] = {"identities", "not_identities"},
	[NAMESPACES] = {"namespaces", "not_namespaces"},
	[TRUST_DOMAINS] = {"trust_domains", "not_trust_domains"},
	[SERVICE_ACCOUNTS] = {"service_accounts", "not_service_accounts"},
	[ADDRESSES] = {"addresses", "not_addresses"},
	[REMOTES] = {"remote_addresses", "not_remote_addresses"},
	[HOSTS_OF] = {"hosts", "not_hosts"},
	[PORTS_OF] = {"ports", "not_ports"},
	[METHODS] = {"methods", "not_methods"},
	[PATHS] = {"paths", "not_paths"},
	[SERVER_NAMES] = {"server_names", "not_server_names"},
};

/* Conditions that come together. */
struct conds {
	struct sl_conf_cond *list;
	uint32_t cnt;
};

struct making {
	struct walk *w;
	const struct sl_node *s; /* the rule */
	struct conds to;
	bool invert, wide, icase; /* of what is being made */
	int line;
	unsigned told;
};

/* ---- conditions ---- */

static char *
copy(struct walk *w, const char *text, size_t len)
{
	char *s = strndup(text, len);

	w->oom |= !s;
	return s;
}

static void
lower(char *s)
{
	bool name = false;

	for (; s && *s; s++) {
		name = *s == '{' || (name && *s != '}');
		if (!name && *s >= 'A' && *s <= 'Z')
			*s |= 0x20;
	}
}

static void
cond_fini(struct sl_conf_cond *c)
{
	free(c->name);
	free(c->value);
}

/* c goes to the list, or is freed. */
static void
put(struct making *m, struct sl_conf_cond c)
{
	struct sl_conf_cond *more = m->to.list;

	if ((m->to.cnt & (m->to.cnt + 1)) == 0) /* room for 1, 3, 7, … */
		more = realloc(more, (2 * (size_t)m->to.cnt + 1) * sizeof(*more));
	if (!more) {
		m->w->oom = true;
		cond_fini(&c);
		return;
	}
	c.line = m->line;
	m->to.list = more;
	m->to.list[m->to.cnt++] = c;
}

/* One condition with the value text[0, len), on the field, or the header of the name. */
static void
add(struct making *m, uint8_t field, const char *name, uint8_t op, bool icase, const char *text,
    size_t len)
{
	bool fold = icase && op != SL_COND_PRESENT;
	struct sl_conf_cond c = {.field = field, .op = op, .invert = m->invert, .icase = fold};

	c.name = name ? copy(m->w, name, strlen(name)) : NULL;
	c.value = op == SL_COND_PRESENT ? NULL : copy(m->w, text, len);
	if (fold)
		lower(c.value);
	put(m, c);
}

static void
wrong(struct making *m, const char *text, const char *hint, const char *why)
{
	char quoted[96];

	m->told++;
	sl_walk_tell(m->w, m->s, hint, "%s (line %d) %s",
		     sl_value_quote(text, quoted, sizeof(quoted)), m->line, why);
}

/* "x", "x*", "*x", "*": which op, and the rest of it; false: a star elsewhere. */
static bool
take_stars(const char *text, uint8_t *ret_op, const char **ret_text, size_t *ret_len)
{
	size_t n = strlen(text);
	bool first = text[0] == '*', last = n > 1 && text[n - 1] == '*';

	*ret_op = n == 1 && first ? SL_COND_PRESENT
		  : first         ? SL_COND_SUFFIX
		  : last          ? SL_COND_PREFIX
				  : SL_COND_EXACT;
	*ret_text = text + first;
	*ret_len = n - first - last;
	return n > 0 && !memchr(*ret_text, '*', *ret_len) && !(first && last);
}

static void
add_text(struct making *m, const char *name, bool icase, const char *text)
{
	const char *rest;
	uint8_t op;
	size_t len;

	if (!take_stars(text, &op, &rest, &len))
		wrong(m, text, "write x, x*, *x or *", "has a star within, or is empty");
	else
		add(m, SL_FIELD_HEADER, name, op, icase, rest, len);
}

static void
add_account(struct making *m, const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash) {
		add_text(m, ":service-account", false, text);
		return;
	}
	if (strchr(text, '*') || strchr(slash + 1, '/') || slash == text || !slash[1] ||
	    strlen(text) > SL_AUTHZ_ACCOUNT_MAX) {
		wrong(m, text, "write account or namespace/account",
		      "is no service account of a namespace");
		return;
	}
	add(m, SL_FIELD_HEADER, ":account", SL_COND_EXACT, false, text, strlen(text));
}

static void
add_host(struct making *m, const char *text)
{
	size_t n = strlen(text);
	char name[256];

	if (n >= sizeof(name) || (strchr(text, ':') && text[0] != '[') || strchr(text, '/')) {
		wrong(m, text, "give the host alone; ports = ( ... ) is a key of its own",
		      "is not a host without port");
		return;
	}
	memcpy(name, text, n + 1);
	if (n > 1 && name[n - 1] == '.')
		name[n - 1] = 0;
	add_text(m, ":host", true, name);
}

/* Of 32 hexadecimal digits as many as the prefix says: one condition for each value that the last of them may have. */
static void
add_prefix(struct making *m, const char *name, const struct sl_img_prefix *p)
{
	static const char digits[] = "0123456789abcdef";
	char hex[33];
	uint32_t whole = p->plen / 4, odd = p->plen % 4;

	for (unsigned i = 0; i < 16; i++) {
		hex[2 * i] = digits[p->prefix.b[i] >> 4];
		hex[2 * i + 1] = digits[p->prefix.b[i] & 15];
	}
	if (p->plen > 128)
		return; /* was told */
	if (p->plen == 128 || p->plen == 0) {
		add(m, SL_FIELD_HEADER, name, p->plen ? SL_COND_EXACT : SL_COND_PRESENT, false, hex,
		    32);
	} else if (!odd) {
		add(m, SL_FIELD_HEADER, name, SL_COND_PREFIX, false, hex, whole);
	} else {
		unsigned from =
			(unsigned)(strchr(digits, hex[whole]) - digits) & (15u << (4 - odd) & 15u);
		for (unsigned i = 0; i < 1u << (4 - odd); i++) {
			hex[whole] = digits[from + i];
			add(m, SL_FIELD_HEADER, name, SL_COND_PREFIX, false, hex, whole + 1);
		}
	}
}

/* ---- methods ---- */

static void
add_method_set(struct making *m, uint32_t bits)
{
	struct sl_conf_cond c = {
		.field = SL_FIELD_METHOD, .op = SL_COND_IN, .invert = m->invert, .lo = bits};

	put(m, c);
}

static uint32_t
method_bit(const char *text)
{
	static const char *const names[] = {
#define X(NAME) #NAME,
		SL_METHODS(X)
#undef X
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(names); i++)
		if (strcmp(text, names[i]) == 0)
			return 1u << i;
	return 0;
}

static void
add_methods(struct making *m, const struct text_draft *t, uint32_t cnt)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		const char *text = t[i].text;
		m->line = t[i].line;
		if (!text)
			continue;
		if (strcmp(text, "*") == 0)
			bits = (1u << SL_METHOD_CNT) - 1;
		else if (sl_value_token(text))
			wrong(m, text, "write a method, as GET, or *", "is not a method");
		else if (method_bit(text))
			bits |= method_bit(text);
		else if (!m->wide)
			add(m, SL_FIELD_METHOD, NULL, SL_COND_EXACT, false, text, strlen(text));
		if (m->wide && strchr(text, '*') == NULL && !sl_value_token(text))
			add(m, SL_FIELD_METHOD, NULL, SL_COND_EXACT, true, text, strlen(text));
	}
	if (bits)
		add_method_set(m, bits);
}

/* ---- paths ---- */

/* "{*}" of other systems gets a name. */
static bool
name_captures(const char *text, char *to, size_t size)
{
	unsigned cnt = 0;
	size_t n = 0;

	for (; *text; text++) {
		if (n + 8 >= size)
			return false;
		if (strncmp(text, "{*}", 3) == 0) {
			n += (size_t)snprintf(to + n, size - n, "{part%u}", ++cnt);
			text += 2;
		} else {
			to[n++] = *text;
		}
	}
	to[n] = 0;
	return true;
}

/* Whether text[0, len), which may be the end of a path alone, is as paths are looked at. */
static bool
is_normal(struct making *m, const char *text, const char *rest, size_t len)
{
	uint8_t path[4100], to[4100];
	uint32_t n = 0;

	if (len + 2 > sizeof(path)) {
		wrong(m, text, "at most 4096 bytes", "is too long");
		return false;
	}
	path[n++] = '/';
	memcpy(path + n, rest + (rest[0] == '/'), len - (rest[0] == '/' && len));
	n += (uint32_t)(len - (rest[0] == '/' && len));
	for (uint32_t i = 0; i < n; i++)
		if (path[i] <= ' ' || path[i] >= 0x7f || path[i] == '?' || path[i] == '#') {
			wrong(m, text, "write the path alone, with %XX for what is not visible",
			      "holds what no path has");
			return false;
		}
	uint32_t got = n;
	enum sl_path_verdict v = sl_path_normalise(path, n, SL_2F_KEEP, true, to, &got);
	if (v == SL_PATH_SAME)
		return true;
	wrong(m, text,
	      "write it as it is looked at: no \"//\", \".\", \"..\", and no %XX of letters",
	      v == SL_PATH_REFUSED ? "is a path that is refused" : "is not in normal form");
	return false;
}

static void
add_template(struct making *m, const char *text)
{
	char named[4096], path[4096];
	const char *why = name_captures(text, named, sizeof(named)) ? sl_value_template(named)
								    : "is too long";

	if (why) {
		wrong(m, text, "write segments that are literal, {name} or, last, {**}", why);
		return;
	}
	if (!is_normal(m, text, path, sl_template_path(named, path)))
		return;
	size_t n = strlen(named);
	add(m, SL_FIELD_PATH, NULL, SL_COND_TEMPLATE, m->icase, named, n);
	if (!m->wide || named[n - 1] == '/' || strstr(named, "**}") || n + 1 >= sizeof(named))
		return;
	memcpy(named + n, "/", 2);
	add(m, SL_FIELD_PATH, NULL, SL_COND_TEMPLATE, m->icase, named, n + 1);
}

static void
add_exact(struct making *m, const char *path, size_t len)
{
	char other[4100];

	add(m, SL_FIELD_PATH, NULL, SL_COND_EXACT, m->icase, path, len);
	if (!m->wide || len <= 1)
		return;
	memcpy(other, path, len);
	other[len] = '/';
	add(m, SL_FIELD_PATH, NULL, SL_COND_EXACT, m->icase, other,
	    path[len - 1] == '/' ? len - 1 : len + 1);
}

static void
add_suffix(struct making *m, const char *end, size_t len)
{
	char other[4100];

	add(m, SL_FIELD_PATH, NULL, SL_COND_SUFFIX, m->icase, end, len);
	if (!m->wide || end[len - 1] == '/')
		return;
	memcpy(other, end, len);
	other[len] = '/';
	add(m, SL_FIELD_PATH, NULL, SL_COND_SUFFIX, m->icase, other, len + 1);
}

static void
add_path(struct making *m, const char *text)
{
	const char *rest;
	uint8_t op;
	size_t len;

	if (strchr(text, '{') || strchr(text, '}')) {
		add_template(m, text);
		return;
	}
	if (!take_stars(text, &op, &rest, &len) ||
	    ((op == SL_COND_EXACT || op == SL_COND_PREFIX) && text[0] != '/')) {
		wrong(m, text, "write \"/exact\", \"/below/*\", \"*.end\", \"/a/{name}\" or \"*\"",
		      "is no path");
		return;
	}
	if (op == SL_COND_PRESENT) {
		add(m, SL_FIELD_PATH, NULL, SL_COND_SEGMENTS, false, "", 0);
		return;
	}
	if (!is_normal(m, text, rest, len))
		return;
	if (op == SL_COND_SUFFIX)
		add_suffix(m, rest, len);
	else if (op == SL_COND_EXACT)
		add_exact(m, rest, len);
	else if (rest[len - 1] == '/' && (m->wide || len == 1))
		add(m, SL_FIELD_PATH, NULL, SL_COND_SEGMENTS, m->icase && len > 1, rest, len - 1);
	else
		add(m, SL_FIELD_PATH, NULL, SL_COND_PREFIX, m->icase, rest, len);
}

/* ---- lists ---- */

static void
add_texts(struct making *m, enum list list, const struct text_draft *t, uint32_t cnt)
{
	if (list == METHODS) {
		add_methods(m, t, cnt);
		return;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		m->line = t[i].line;
		if (!t[i].text)
			continue;
		switch ((unsigned)list) {
		case IDENTITIES:
			add_text(m, SL_IDENTITY_NAME, false, t[i].text);
			break;
		case NAMESPACES:
			add_text(m, ":namespace", false, t[i].text);
			break;
		case TRUST_DOMAINS:
			add_text(m, ":trust-domain", false, t[i].text);
			break;
		case SERVICE_ACCOUNTS:
			add_account(m, t[i].text);
			break;
		case SERVER_NAMES:
			add_text(m, ":sni", true, t[i].text);
			break;
		case HOSTS_OF:
			add_host(m, t[i].text);
			break;
		default:
			add_path(m, t[i].text);
		}
	}
}

static void
add_ports(struct making *m, const uint16_t *ports)
{
	char text[8];

	for (unsigned i = 0; i < RULE_PORTS; i++)
		if (ports[i]) {
			int n = snprintf(text, sizeof(text), "%u", ports[i]);
			add(m, SL_FIELD_HEADER, ":port", SL_COND_EXACT, false, text, (size_t)n);
		}
}

struct texts {
	const struct text_draft *at;
	uint32_t cnt;
};

/* The values of a key that has texts; else none. */
static struct texts
texts_of(const struct rule_draft *d, enum list list, unsigned no)
{
	const struct texts of[LISTS] = {
		[IDENTITIES] = {d->identities[no], d->identity_cnt[no]},
		[NAMESPACES] = {d->namespaces[no], d->namespace_cnt[no]},
		[TRUST_DOMAINS] = {d->trust_domains[no], d->trust_domain_cnt[no]},
		[SERVICE_ACCOUNTS] = {d->service_accounts[no], d->service_account_cnt[no]},
		[HOSTS_OF] = {d->hosts[no], d->host_cnt[no]},
		[METHODS] = {d->methods[no], d->method_cnt[no]},
		[PATHS] = {d->paths[no], d->path_cnt[no]},
		[SERVER_NAMES] = {d->server_names[no], d->server_name_cnt[no]},
	};

	return of[list];
}

/* What the key comes to, in m->to. */
static void
add_list(struct making *m, const struct rule_draft *d, enum list list, unsigned no)
{
	const struct texts t = texts_of(d, list, no);

	m->line = sl_walk_line(sl_node_member(m->s, keys[list][no]));
	if (list == PORTS_OF) {
		add_ports(m, no ? d->not_ports : d->ports);
	} else if (list == ADDRESSES) {
		for (uint32_t i = 0; i < d->address_cnt[no]; i++)
			add_prefix(m, ":source", &d->addresses[no][i]);
	} else if (list == REMOTES) {
		for (uint32_t i = 0; i < d->remote_cnt[no]; i++)
			add_prefix(m, ":remote", &d->remotes[no][i]);
	} else {
		add_texts(m, list, t.at, t.cnt);
	}
}

/* ---- in the words of the file ---- */

const char *
sl_conf_rule_key(unsigned list, unsigned no)
{
	return keys[list][no];
}

static void
say_texts(FILE *f, const struct text_draft *t, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, "%s%s", i ? " " : "", t[i].text ? t[i].text : "");
}

static void
say_prefixes(FILE *f, const struct sl_img_prefix *p, uint32_t cnt)
{
	char text[SL_PREFIX_STRLEN];

	for (uint32_t i = 0; i < cnt; i++)
		fprintf(f, "%s%s", i ? " " : "",
			p[i].plen > 128 ? "" : sl_prefix_format(&p[i].prefix, p[i].plen, text));
}

static void
say_ports(FILE *f, const uint16_t *ports)
{
	for (unsigned i = 0, cnt = 0; i < RULE_PORTS; i++)
		if (ports[i])
			fprintf(f, "%s%u", cnt++ ? " " : "", ports[i]);
}

/* NULL: no memory. */
static char *
words_of(const struct rule_draft *d, enum list list, unsigned no)
{
	const struct texts t = texts_of(d, list, no);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (list == PORTS_OF)
		say_ports(f, no ? d->not_ports : d->ports);
	else if (list == ADDRESSES)
		say_prefixes(f, d->addresses[no], d->address_cnt[no]);
	else if (list == REMOTES)
		say_prefixes(f, d->remotes[no], d->remote_cnt[no]);
	else
		say_texts(f, t.at, t.cnt);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- a rule ---- */

/* Headers and claims, which all hold. */
static void
move(struct making *m, struct sl_conf_cond *from, uint32_t cnt, bool allow)
{
	for (uint32_t i = 0; i < cnt; i++) {
		bool wide = allow == from[i].invert;
		if (from[i].field == SL_FIELD_HEADER && wide)
			from[i].field = SL_FIELD_LINES;
		m->line = from[i].line;
		put(m, from[i]);
	}
	free(from);
}

static void
free_lists(struct rule_draft *d)
{
	for (unsigned i = 0; i < 2; i++) {
		free(d->identities[i]);
		free(d->namespaces[i]);
		free(d->trust_domains[i]);
		free(d->service_accounts[i]);
		free(d->hosts[i]);
		free(d->methods[i]);
		free(d->paths[i]);
		free(d->server_names[i]);
		free(d->addresses[i]);
		free(d->remotes[i]);
	}
}

/* How many choices of one condition of each list there are. */
static void
count(struct making *m, struct sl_conf_rule *r)
{
	uint64_t alternatives = 1;
	uint32_t lists = 0;

	for (unsigned i = 0; i < LISTS; i++) {
		lists += r->any[i].cnt != 0;
		alternatives *= SL_MAX(r->any[i].cnt, 1u);
		if (alternatives > SL_CONF_RULE_ALTERNATIVES)
			break;
	}
	if (alternatives > SL_CONF_RULE_ALTERNATIVES)
		sl_walk_tell(m->w, m->s, "make several rules of it, or use prefixes",
			     "its values can be put together in more than %u ways",
			     SL_CONF_RULE_ALTERNATIVES);
	else if (lists + r->all_cnt > SL_CONF_MAX_CONDS)
		sl_walk_tell(m->w, m->s, "make several rules of it",
			     "comes to %u conditions that must hold together, more than %u",
			     lists + r->all_cnt, SL_CONF_MAX_CONDS);
	else if (!m->told && m->w->clean)
		r->alternatives = (uint32_t)alternatives;
}

static bool
of_requests(const struct sl_conf_rule *r, const struct rule_draft *d)
{
	return r->any[HOSTS_OF].cnt || r->any[METHODS].cnt || r->any[PATHS].cnt || d->header_cnt ||
	       d->claim_cnt || d->host_cnt[1] || d->method_cnt[1] || d->path_cnt[1];
}

void
sl_finish_rule(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct rule_draft *d = draft;
	struct sl_conf_rule *r = out;
	struct making m = {.w = w, .s = s};
	bool allow = d->action == SL_AUTHZ_ALLOW, given = sl_conf_given(s, "ignore_case");
	struct conds all = {0};

	memcpy(r->name, d->name, sizeof(r->name));
	r->action = d->action;
	r->line = sl_walk_line(s);
	for (unsigned i = 0; i < LISTS; i++)
		for (unsigned no = 0; no < 2; no++) {
			m.invert = no;
			m.wide = allow == m.invert;
			m.icase = given ? d->icase : m.wide;
			m.to = no ? all : (struct conds){0};
			size_t was = sl_walk_push(w, keys[i][no]);
			add_list(&m, d, i, no);
			if (sl_conf_given(s, keys[i][no]) && m.to.cnt == (no ? all.cnt : 0) &&
			    w->clean && !m.told)
				sl_walk_tell(w, s, "name some, or leave the key out", "is empty");
			sl_walk_pop(w, was);
			if (sl_conf_given(s, keys[i][no]) &&
			    !(r->words[i][no] = words_of(d, i, no)))
				w->oom = true;
			if (no)
				all = m.to;
			else
				r->any[i].conds = m.to.list, r->any[i].cnt = m.to.cnt;
		}
	r->streams = !of_requests(r, d);
	r->icase = given ? d->icase : !allow;
	m.to = all;
	move(&m, d->headers, d->header_cnt, allow);
	move(&m, d->claims, d->claim_cnt, allow);
	r->all = m.to.list;
	r->all_cnt = m.to.cnt;
	free_lists(d);
	if (strcmp(r->name, SL_AUTHZ_DEFAULT) == 0)
		sl_walk_tell(w, s, "give another name",
			     "\"default\" is what decides where no rule does");
	count(&m, r);
}

void
sl_finish_authz(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_conf_authz *a = out;

	(void)draft;
	a->line = sl_walk_line(s);
	if (a->otherwise != SL_AUTHZ_ALLOW)
		return;
	for (uint32_t i = 0; i < a->rule_cnt; i++)
		if (a->rules[i].action == SL_AUTHZ_ALLOW) {
			sl_walk_tell(w, s, "remove default, or make it \"deny\"",
				     "rule \"%s\" allows what default = \"allow\" allows anyway",
				     a->rules[i].name);
			return;
		}
}

/* ---- the end of them ---- */

static void
conds_fini(struct sl_conf_cond *c, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		cond_fini(&c[i]);
	free(c);
}

bool
sl_conf_authz_denies_rest(const struct sl_conf_authz *a)
{
	bool allows = false;

	for (uint32_t i = 0; i < a->rule_cnt; i++)
		allows |= a->rules[i].action == SL_AUTHZ_ALLOW;
	return a->otherwise ? a->otherwise == SL_AUTHZ_DENY : allows;
}

void
sl_conf_authz_free(struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->authz_cnt; i++) {
		struct sl_conf_authz *a = &c->authz[i];
		for (uint32_t j = 0; j < a->rule_cnt; j++) {
			struct sl_conf_rule *r = &a->rules[j];
			for (unsigned k = 0; k < LISTS; k++)
				conds_fini(r->any[k].conds, r->any[k].cnt);
			for (unsigned k = 0; k < 2 * LISTS; k++)
				free(r->words[k / 2][k % 2]);
			conds_fini(r->all, r->all_cnt);
		}
		free(a->rules);
	}
	free(c->authz);
}

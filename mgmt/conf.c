/* The settings tree that libconfig made is walked against the rows of conf_keys.def, and never the other way
 * round: each setting finds its row or is unknown; each row finds its setting, or is missing, or has its
 * default.  A default is a text that goes through the same parser as a text of the file.
 *
 *   text → conf_scan (what libconfig would hide) → libconfig → walk → sl_conf_check
 *
 * A value that was wrong leaves its field as it was zeroed, which no good value is (conf.h); check.c passes
 * over such fields, so that one mistake is told once. */
#include "mgmt/conf.h"

#include "mgmt/conf_scan.h"
#include "mgmt/conf_value.h"
#include "sluice/streams.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SL_RANGE_NAME "1 to 63 letters, digits, '.', '_', '-', a letter or digit first"
#define SL_RANGE_ADDR "an address, as 192.0.2.1 or 2001:db8::1"

enum group {
	ROOT,
	GATEWAY,
	NETWORK,
	ADDRESS,
	ROUTE,
	SERVICE,
	TCP,
	HEALTH,
	ENDPOINT,
	LISTENER,
	GROUPS
};

/* The struct a group's fields belong to. */
#define ROOT_STRUCT struct sl_conf
#define GATEWAY_STRUCT struct sl_conf
#define NETWORK_STRUCT struct sl_conf
#define ADDRESS_STRUCT struct sl_conf_address
#define ROUTE_STRUCT struct sl_conf_route
#define SERVICE_STRUCT struct sl_conf_service
#define TCP_STRUCT struct sl_conf_tcp
#define HEALTH_STRUCT struct sl_health_conf
#define ENDPOINT_STRUCT struct sl_conf_endpoint
#define LISTENER_STRUCT struct sl_conf_listener

/* What conf_keys.def says about pairs of fields. */
static_assert(offsetof(struct sl_conf_address, plen) == offsetof(struct sl_conf_address, addr) + 16,
	      "");
static_assert(offsetof(struct sl_conf_route, plen) == offsetof(struct sl_conf_route, prefix) + 16,
	      "");
static_assert(offsetof(struct sl_conf_service, tunnel_plen) ==
		      offsetof(struct sl_conf_service, tunnel) + 16,
	      "");
static_assert(offsetof(struct sl_conf_listener, plen) ==
		      offsetof(struct sl_conf_listener, addr) + 16,
	      "");
static_assert(offsetof(struct sl_conf_listener, port_last) ==
		      offsetof(struct sl_conf_listener, port) + sizeof(uint16_t),
	      "");
static_assert(offsetof(struct sl_conf_endpoint, probe_port) ==
		      offsetof(struct sl_conf_endpoint, probe_addr) + 16,
	      "");

struct word {
	const char *text; /* NULL ends the list */
	uint32_t value;
};
#define FORWARD_WORD(id, text) {text, SL_FORWARD_##id},
#define POLICY_WORD(id, text) {text, SL_POLICY_##id},
static const struct word forward_words[] = {SL_FORWARDS(FORWARD_WORD){NULL, 0}};
static const struct word policy_words[] = {SL_POLICIES(POLICY_WORD){NULL, 0}};
static const struct word health_words[] = {
	{"none", SL_HEALTH_NONE}, {"tcp", SL_HEALTH_TCP}, {"http", SL_HEALTH_HTTP}, {NULL, 0}};
static const struct word protocol_words[] = {
	{"tcp", SL_IPPROTO_TCP}, {"udp", SL_IPPROTO_UDP}, {NULL, 0}};
#define MODE_WORD(id, text) {text, SL_MODE_##id},
#define PROXY_OUT_WORD(id, text) {text, SL_PROXY_##id},
static const struct word mode_words[] = {SL_LISTENER_MODES(MODE_WORD){NULL, 0}};
static const struct word proxy_out_words[] = {SL_PROXY_OUTS(PROXY_OUT_WORD){NULL, 0}};
static const struct word cc_words[] = {{"cubic", SL_CC_CUBIC}, {"reno", SL_CC_RENO}, {NULL, 0}};

enum type {
	INT,
	NAME,
	ADDR,
	IFADDR,
	PREFIX,
	TUNNEL,
	VIP,
	PORTS,
	PROBE,
	DURATION,
	HEX64,
	PATH,
	HOST,
	CODES,
	WORD,
	BOOL,
	SUB,
	LIST,
	ADDRS,
	PREFIXES
};
static const char *const type_text[] = {
	[INT] = "an integer",
	[NAME] = "a string (a name)",
	[ADDR] = "a string (an address)",
	[IFADDR] = "a string (an address with its prefix length)",
	[PREFIX] = "a string (a prefix)",
	[TUNNEL] = "a string (a prefix)",
	[VIP] = "a string (an address or prefix)",
	[PORTS] = "an integer, or a string (a range)",
	[PROBE] = "a string (an address)",
	[DURATION] = "a string (a duration)",
	[HEX64] = "a string (hexadecimal digits)",
	[PATH] = "a string (a path)",
	[HOST] = "a string (a host)",
	[CODES] = "a string (status codes)",
	[WORD] = "a string (a word)",
	[BOOL] = "true or false",
	[SUB] = "a group { ... }",
	[LIST] = "a list ( ... )",
	[ADDRS] = "a list of strings (addresses)",
	[PREFIXES] = "a list of strings (addresses and prefixes)",
};

enum need { OPTIONAL, REQUIRED };

struct key {
	const char *name;
	uint8_t group; /* enum group */
	uint8_t type;  /* enum type */
	uint8_t need;  /* enum need */
	uint8_t sub;   /* SUB, LIST: enum group of the members */
	uint32_t off;  /* of the field in the group's struct */
	uint32_t size; /* of the field; LIST: of an element */
	uint32_t cnt_off;
	int64_t lo, hi; /* LIST: hi: most elements */
	const struct word *words;
	const char *def, *range, *help;
};

#define FIELD_SIZE(s, f) sizeof(((s *)0)->f)
static const struct key keys[] = {
#define SL_KEY(g, k, t, f, l, h, n, d, r, t2)                                                      \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = t,                                                                                \
	 .need = n,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .lo = l,                                                                                  \
	 .hi = h,                                                                                  \
	 .def = d,                                                                                 \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_WORD(g, k, w, f, n, d, t2)                                                              \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = WORD,                                                                             \
	 .need = n,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = FIELD_SIZE(g##_STRUCT, f),                                                        \
	 .words = w,                                                                               \
	 .def = d,                                                                                 \
	 .help = t2},
#define SL_SUB(g, k, s, o, t2)                                                                     \
	{.name = #k, .group = g, .type = SUB, .sub = s, .off = o, .help = t2},
#define SL_LIST(g, k, s, f, c, m, t2)                                                              \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = LIST,                                                                             \
	 .sub = s,                                                                                 \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = sizeof(s##_STRUCT),                                                               \
	 .cnt_off = offsetof(g##_STRUCT, c),                                                       \
	 .hi = m,                                                                                  \
	 .help = t2},
#define KEY_ARRAY(g, k, t, each, f, c, m, r, t2)                                                   \
	{.name = #k,                                                                               \
	 .group = g,                                                                               \
	 .type = t,                                                                                \
	 .off = offsetof(g##_STRUCT, f),                                                           \
	 .size = sizeof(each),                                                                     \
	 .cnt_off = offsetof(g##_STRUCT, c),                                                       \
	 .hi = m,                                                                                  \
	 .range = r,                                                                               \
	 .help = t2},
#define SL_ADDRS(g, k, f, c, m, r, t2) KEY_ARRAY(g, k, ADDRS, struct sl_addr, f, c, m, r, t2)
#define SL_PREFIXES(g, k, f, c, m, r, t2)                                                          \
	KEY_ARRAY(g, k, PREFIXES, struct sl_img_prefix, f, c, m, r, t2)
#include "mgmt/conf_keys.def"
};

#define MAX_GROUP_KEYS 32

struct walk {
	const char *file;
	struct sl_diag *diag;
	struct sl_scan *scan;
	struct {
		const struct key *key; /* rows of the group */
		unsigned cnt;
	} group[GROUPS];
	char path[256]; /* of the setting we are at */
	size_t path_len;
	unsigned told; /* problems reported */
	bool shape_bad; /* a whole group or list could not be read: cross checks would only echo that */
	bool oom;
};

static void walk_group(struct walk *w, const config_setting_t *s, enum group g, void *base);
static void default_group(struct walk *w, enum group g, void *base);

/* ---- paths and messages ---- */

static size_t
path_push(struct walk *w, const char *fmt, ...)
{
	size_t was = w->path_len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(w->path + was, sizeof(w->path) - was, fmt, ap);
	va_end(ap);
	w->path_len = SL_MIN(was + (size_t)n, sizeof(w->path) - 1);
	return was;
}

static size_t
path_push_key(struct walk *w, const char *key)
{
	return path_push(w, "%s%.64s", w->path_len ? "." : "", key);
}

static void
path_pop(struct walk *w, size_t was)
{
	w->path[was] = 0;
	w->path_len = was;
}

static int
line_of(const config_setting_t *s)
{
	return s ? (int)config_setting_source_line(s) : 0;
}

static void tell(struct walk *w, const config_setting_t *s, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void
tell(struct walk *w, const config_setting_t *s, const char *hint, const char *fmt, ...)
{
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(w->diag, w->file, line_of(s), w->path_len ? w->path : NULL, hint, "%s", text);
	w->told++;
}

/* The words of a key as `"nat" or "dsr"`. */
static void
list_words(const struct word *words, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = 0;
	for (; words->text && n < size; words++)
		n += (size_t)snprintf(buf + n, size - n, "%s\"%s\"",
				      n == 0          ? ""
				      : words[1].text ? ", "
						      : " or ",
				      words->text);
}

static void
give(const struct key *k, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "give %s", k->range ? k->range : "");
	if (k->words)
		list_words(k->words, buf + n, size - n);
}

static const char *
setting_type_text(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_GROUP:
		return "a group { ... }";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ... ]";
	case CONFIG_TYPE_LIST:
		return "a list ( ... )";
	}
	return "nothing";
}

static void
tell_type(struct walk *w, const config_setting_t *s, const struct key *k)
{
	char hint[256] = "";

	if (k->type == LIST)
		snprintf(hint, sizeof(hint), "write %s = ( { ... }, { ... } )", k->name);
	else if (k->type == SUB)
		snprintf(hint, sizeof(hint), "write %s = { ... }", k->name);
	else if (k->type == ADDRS || k->type == PREFIXES)
		snprintf(hint, sizeof(hint), "write %s = ( \"...\", \"...\" )", k->name);
	else
		give(k, hint, sizeof(hint));
	tell(w, s, hint, "is %s, must be %s", setting_type_text(s), type_text[k->type]);
}

static void
tell_value(struct walk *w, const config_setting_t *s, const struct key *k, const char *text,
	   const char *why)
{
	char hint[256], quoted[96];

	give(k, hint, sizeof(hint));
	tell(w, s, hint, "%s %s", sl_value_quote(text, quoted, sizeof(quoted)), why);
}

/* ---- scalars ---- */

static void
store_int(void *field, uint32_t size, uint32_t v)
{
	if (size == 1)
		*(uint8_t *)field = (uint8_t)v;
	else if (size == 2)
		*(uint16_t *)field = (uint16_t)v;
	else
		*(uint32_t *)field = v;
}

/* The number that libconfig misread here, or NULL. */
static struct sl_scan_number *
misread(struct walk *w, const config_setting_t *s, int64_t v)
{
	for (unsigned i = 0; i < w->scan->number_cnt; i++) {
		struct sl_scan_number *n = &w->scan->number[i];
		if (!n->told && n->line == line_of(s) && n->wrapped == v)
			return n;
	}
	return NULL;
}

static void
take_int(struct walk *w, const config_setting_t *s, const struct key *k, void *field)
{
	char hint[256];
	int64_t v = config_setting_type(s) == CONFIG_TYPE_INT64 ? config_setting_get_int64(s)
								: config_setting_get_int(s);
	struct sl_scan_number *n = misread(w, s, v);

	give(k, hint, sizeof(hint));
	if (n) {
		n->told = true;
		tell(w, s, hint, "%s is out of range", n->text);
	} else if (v < k->lo || v > k->hi) {
		tell(w, s, hint, "%lld is out of range", (long long)v);
	} else {
		store_int(field, k->size, (uint32_t)v);
	}
}

static const char *
parse_word(const struct key *k, const char *text, void *field)
{
	for (const struct word *word = k->words; word->text; word++) {
		if (strcmp(word->text, text) == 0) {
			store_int(field, k->size, word->value);
			return NULL;
		}
	}
	return "is not known";
}

static const char *
parse_duration(const struct key *k, const char *text, void *field)
{
	uint32_t ms;
	const char *why = sl_value_duration(text, &ms);

	if (why)
		return why;
	if (ms < k->lo || ms > k->hi)
		return "is out of range";
	*(uint32_t *)field = ms;
	return NULL;
}

/* parse_text stores the value of a text, or says why not. */
static const char *
parse_text(const struct key *k, const char *text, void *field)
{
	void *behind = (char *)field + sizeof(struct sl_addr); /* plen or port */

	switch ((enum type)k->type) {
	case NAME:
		return sl_value_name(text, field);
	case ADDR:
		return sl_value_addr(text, field);
	case IFADDR:
		return sl_value_ifaddr(text, field, behind);
	case PREFIX:
		return sl_value_prefix(text, field, behind);
	case TUNNEL:
		return sl_value_tunnel(text, field, behind);
	case VIP:
		return sl_value_vip(text, field, behind);
	case PORTS:
		return sl_value_ports(text, field, (uint16_t *)field + 1);
	case PROBE:
		return sl_value_probe(text, field, behind);
	case DURATION:
		return parse_duration(k, text, field);
	case HEX64:
		return sl_value_hex64(text, field);
	case PATH:
		return sl_value_path(text, field);
	case HOST:
		return sl_value_host(text, field);
	case CODES:
		return sl_value_codes(text, (struct sl_health_conf *)((char *)field - k->off));
	case WORD:
		return parse_word(k, text, field);
	case INT:
		store_int(field, k->size, (uint32_t)strtoul(text, NULL, 10)); /* a default */
		return NULL;
	case BOOL:
	case SUB:
	case LIST:
	case ADDRS:
	case PREFIXES:
		break;
	}
	return "cannot be a text";
}

static void
take_text(struct walk *w, const config_setting_t *s, const struct key *k, void *field)
{
	const char *text = config_setting_get_string(s);
	const char *why = parse_text(k, text, field);
	const char *words[8], *near = NULL;
	unsigned cnt = 0;

	if (!why)
		return;
	if (k->words) {
		for (; k->words[cnt].text; cnt++)
			words[cnt] = k->words[cnt].text;
		int i = sl_value_nearest(text, words, cnt);
		near = i >= 0 ? words[i] : NULL;
	}
	if (!near) {
		tell_value(w, s, k, text, why);
		return;
	}
	char hint[256], quoted[96];
	size_t n = (size_t)snprintf(hint, sizeof(hint), "did you mean \"%s\"? ", near);
	give(k, hint + n, sizeof(hint) - n);
	tell(w, s, hint, "%s %s", sl_value_quote(text, quoted, sizeof(quoted)), why);
}

/* ---- groups and lists ---- */

/* room_for gives the array that a list's n elements go to, with both fields set; NULL: none, too many (told), or no
 * memory. */
static void *
room_for(struct walk *w, const config_setting_t *s, const struct key *k, void *base, unsigned n)
{
	char *elems;

	if (n > k->hi) {
		tell(w, s,
		     k->type == LIST    ? "split the table between gateways"
		     : k->type == ADDRS ? "one carries tens of thousands of flows to each endpoint"
					: "give shorter prefixes",
		     "has %u elements, more than %lld", n, (long long)k->hi);
		w->shape_bad = true;
		return NULL;
	}
	if (n == 0)
		return NULL;
	if (!(elems = calloc(n, k->size))) {
		w->oom = true;
		return NULL;
	}
	memcpy((char *)base + k->off, &elems, sizeof(elems));
	memcpy((char *)base + k->cnt_off, &n, sizeof(uint32_t));
	return elems;
}

/* One text of a list.  What is wrong leaves the place as zeroed, the length of a prefix over 128. */
static const char *
take_element(const struct key *k, const char *text, void *elem)
{
	if (k->type == ADDRS)
		return sl_value_addr(text, elem);
	struct sl_img_prefix *p = elem;
	p->plen = UINT32_MAX;
	return sl_value_trusted(text, &p->prefix, &p->plen);
}

/* A list or an array of texts. */
static void
take_texts(struct walk *w, const config_setting_t *s, const struct key *k, void *base)
{
	unsigned n = (unsigned)config_setting_length(s);
	char *elems = room_for(w, s, k, base, n);

	for (unsigned i = 0; elems && i < n; i++) {
		size_t was = path_push(w, "[%u]", i);
		config_setting_t *e = config_setting_get_elem(s, i);
		const char *text = config_setting_get_string(e);
		const char *why = take_element(k, text ? text : "", elems + (size_t)i * k->size);
		if (!text)
			tell(w, e,
			     k->type == ADDRS ? "give an address within quotes"
					      : "give an address or a prefix within quotes",
			     "is %s, must be a string", setting_type_text(e));
		else if (why)
			tell_value(w, e, k, text, why);
		path_pop(w, was);
	}
}

static void
take_list(struct walk *w, const config_setting_t *s, const struct key *k, void *base)
{
	unsigned n = (unsigned)config_setting_length(s);
	char *elems = room_for(w, s, k, base, n);

	for (unsigned i = 0; elems && i < n; i++) {
		size_t was = path_push(w, "[%u]", i);
		config_setting_t *e = config_setting_get_elem(s, i);
		if (config_setting_type(e) == CONFIG_TYPE_GROUP) {
			walk_group(w, e, k->sub, elems + (size_t)i * k->size);
		} else {
			tell(w, e, "write { key = value; ... }", "is %s, must be a group { ... }",
			     setting_type_text(e));
			w->shape_bad = true;
		}
		path_pop(w, was);
	}
}

static void
take(struct walk *w, const config_setting_t *s, const struct key *k, void *base)
{
	void *field = (char *)base + k->off;
	int type = config_setting_type(s);
	bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	bool texts = k->type == ADDRS || k->type == PREFIXES;
	bool fits = k->type == INT     ? number
		    : k->type == PORTS ? number || type == CONFIG_TYPE_STRING
		    : k->type == BOOL  ? type == CONFIG_TYPE_BOOL
		    : k->type == SUB   ? type == CONFIG_TYPE_GROUP
		    : k->type == LIST  ? type == CONFIG_TYPE_LIST
		    : texts            ? type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY
				       : type == CONFIG_TYPE_STRING;

	if (!fits) {
		tell_type(w, s, k);
		if (k->type == SUB || k->type == LIST || texts)
			w->shape_bad = true;
	} else if (number) {
		take_int(w, s, k, field);
		if (k->type == PORTS)
			((uint16_t *)field)[1] = *(uint16_t *)field;
	} else if (texts) {
		take_texts(w, s, k, base);
	} else if (k->type == BOOL) {
		*(bool *)field = config_setting_get_bool(s);
	} else if (k->type == SUB) {
		walk_group(w, s, k->sub, field);
	} else if (k->type == LIST) {
		take_list(w, s, k, base);
	} else if (!(k->type == PROBE && *config_setting_get_string(s) == 0)) {
		take_text(w, s, k, field);
	}
}

static void
tell_unknown(struct walk *w, const config_setting_t *s, enum group g)
{
	const char *names[MAX_GROUP_KEYS];
	char hint[256];
	size_t n = 0;

	for (unsigned i = 0; i < w->group[g].cnt; i++)
		names[i] = w->group[g].key[i].name;
	int near = sl_value_nearest(config_setting_name(s), names, w->group[g].cnt);
	if (near >= 0) {
		snprintf(hint, sizeof(hint), "did you mean %s?", names[near]);
	} else {
		n = (size_t)snprintf(hint, sizeof(hint), "the keys here are");
		for (unsigned i = 0; i < w->group[g].cnt && n < sizeof(hint); i++)
			n += (size_t)snprintf(hint + n, sizeof(hint) - n, "%s %s", i ? "," : "",
					      names[i]);
	}
	tell(w, s, hint, "unknown key");
}

static void
tell_missing(struct walk *w, const config_setting_t *s, const struct key *k)
{
	char hint[400], what[256];

	give(k, what, sizeof(what));
	snprintf(hint, sizeof(hint), "%s: %s", k->help, what);
	tell(w, s, hint, "is missing");
}

/* What a key has that is not there.  A zeroed list is an empty one. */
static void
take_default(struct walk *w, const struct key *k, void *base)
{
	void *field = (char *)base + k->off;

	if (k->type == SUB)
		default_group(w, k->sub, field);
	else if (k->def && *k->def)
		parse_text(k, k->def, field);
}

static void
default_group(struct walk *w, enum group g, void *base)
{
	for (unsigned i = 0; i < w->group[g].cnt; i++)
		take_default(w, &w->group[g].key[i], base);
}

static const struct key *
find_key(const struct walk *w, enum group g, const char *name)
{
	for (unsigned i = 0; i < w->group[g].cnt; i++)
		if (strcmp(w->group[g].key[i].name, name) == 0)
			return &w->group[g].key[i];
	return NULL;
}

/* Elements remember where they stood; a prefix length out of range says: not read yet. */
static void
init_element(enum group g, void *base, int line)
{
	if (g == ADDRESS) {
		((struct sl_conf_address *)base)->line = line;
		((struct sl_conf_address *)base)->plen = UINT32_MAX;
	} else if (g == ROUTE) {
		((struct sl_conf_route *)base)->line = line;
		((struct sl_conf_route *)base)->plen = UINT32_MAX;
	} else if (g == SERVICE) {
		((struct sl_conf_service *)base)->line = line;
	} else if (g == TCP) {
		((struct sl_conf_tcp *)base)->given = true;
	} else if (g == ENDPOINT) {
		((struct sl_conf_endpoint *)base)->line = line;
	} else if (g == LISTENER) {
		((struct sl_conf_listener *)base)->line = line;
	}
}

/* walk_group reads the members of s (NULL: the group is absent, and has a key that is required). */
static void
walk_group(struct walk *w, const config_setting_t *s, enum group g, void *base)
{
	uint32_t seen = 0;
	unsigned n = s ? (unsigned)config_setting_length(s) : 0, told = w->told;

	init_element(g, base, line_of(s));
	for (unsigned i = 0; i < n; i++) {
		config_setting_t *e = config_setting_get_elem(s, i);
		const struct key *k = find_key(w, g, config_setting_name(e));
		size_t was = path_push_key(w, config_setting_name(e));
		if (k) {
			seen |= 1u << (k - w->group[g].key);
			take(w, e, k, base);
		} else {
			tell_unknown(w, e, g);
		}
		path_pop(w, was);
	}
	for (unsigned i = 0; i < w->group[g].cnt; i++) {
		const struct key *k = &w->group[g].key[i];
		if (seen & 1u << i)
			continue;
		size_t was = path_push_key(w, k->name);
		if (k->need == REQUIRED)
			tell_missing(w, s, k);
		else if (k->type == SUB && k->sub == GATEWAY)
			walk_group(w, NULL, k->sub, base);
		else
			take_default(w, k, base);
		path_pop(w, was);
	}
	if (g == ENDPOINT)
		((struct sl_conf_endpoint *)base)->incomplete = w->told != told;
}

/* ---- the whole ---- */

static void
index_keys(struct walk *w)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(keys); i++) {
		if (w->group[keys[i].group].cnt++ == 0)
			w->group[keys[i].group].key = &keys[i];
		SL_ASSERT(w->group[keys[i].group].cnt <= MAX_GROUP_KEYS);
	}
}

/* A probe goes to the endpoint's address unless it was given another. */
static void
fill_probes(struct sl_conf *c)
{
	static const struct sl_addr none;

	for (uint32_t i = 0; i < c->service_cnt; i++) {
		for (uint32_t j = 0; j < c->services[i].endpoint_cnt; j++) {
			struct sl_conf_endpoint *e = &c->services[i].endpoints[j];
			if (sl_addr_eq(&e->probe_addr, &none))
				e->probe_addr = e->addr;
		}
	}
}

static void
tell_syntax(const char *file, const config_t *cfg, struct sl_diag *diag)
{
	const char *text = config_error_text(cfg);
	bool twice = text && strcmp(text, "duplicate setting name") == 0;

	sl_diag_add(diag, file, config_error_line(cfg), NULL,
		    twice ? "remove one of the two"
			  : "look at this line and the one before: a missing ';', ',' or bracket",
		    "%s; nothing behind it was read",
		    twice ? "a key stands twice in its group" : "syntax error");
}

/* read_tree: text → libconfig's tree.  @include cannot get here; the directory is a second lock. */
static int
read_tree(const char *file, const char *text, size_t len, struct sl_diag *diag, config_t *cfg)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = 0;
	config_set_include_dir(cfg, "/dev/null");
	int ok = config_read_string(cfg, copy);
	free(copy);
	if (ok)
		return 0;
	tell_syntax(file, cfg, diag);
	return -EINVAL;
}

static int
walk_tree(struct walk *w, const config_t *cfg, struct sl_conf **ret_conf)
{
	struct sl_conf *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	index_keys(w);
	walk_group(w, config_root_setting(cfg), ROOT, c);
	fill_probes(c);
	int err = w->oom ? -ENOMEM : w->told ? -EINVAL : 0;
	if (!w->oom && !w->shape_bad) {
		int cross = sl_conf_check(w->file, c, w->diag);
		err = err ? err : cross;
	}
	if (err)
		sl_conf_free(c);
	else
		*ret_conf = c;
	return err;
}

/* People read from the top.  Stable, at most SL_DIAG_MAX items. */
static void
sort_by_line(struct sl_diag *diag, unsigned from)
{
	for (unsigned i = from + 1; i < diag->cnt; i++) {
		struct sl_diag_item item = diag->items[i];
		unsigned j = i;
		for (; j > from && diag->items[j - 1].line > item.line; j--)
			diag->items[j] = diag->items[j - 1];
		diag->items[j] = item;
	}
}

int
sl_conf_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
	      struct sl_conf **ret_conf)
{
	struct sl_conf *c = NULL;
	struct sl_scan *scan = malloc(sizeof(*scan));
	struct walk w = {.file = file, .diag = diag, .scan = scan};
	unsigned diag_was = diag ? diag->cnt : 0;
	config_t cfg;

	if (!scan)
		return -ENOMEM;
	config_init(&cfg);
	int err = sl_scan_text(file, text, len, diag, scan);
	if (err == 0)
		err = read_tree(file, text, len, diag, &cfg);
	if (err == 0)
		err = walk_tree(&w, &cfg, &c);
	for (unsigned i = 0; i < scan->number_cnt && err != -ENOMEM; i++) {
		if (scan->number[i].told)
			continue;
		sl_scan_tell_number(file, &scan->number[i], NULL, diag);
		err = -EINVAL;
	}
	config_destroy(&cfg);
	free(scan);
	if (diag)
		sort_by_line(diag, diag_was);
	if (err) {
		sl_conf_free(c);
		return err;
	}
	*ret_conf = c;
	return 0;
}

void
sl_conf_free(struct sl_conf *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		free(c->services[i].endpoints);
		free(c->services[i].sources);
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		free(c->listeners[i].trusted);
	free(c->services);
	free(c->listeners);
	free(c->addresses);
	free(c->routes);
	free(c);
}

/* The list `sources`: one row per key says where its text goes, what it must look like, and which types have it. */
#include "mgmt/daemon_conf_priv.h"

#include "mgmt/conf_value.h"
#include "sluice/addr.h"

#include <stdio.h>
#include <stdlib.h>

enum kind { NAME, TYPE, SERVERS, URLS, DIRECTORY, FILE_OR_NONE, PREFIX, TEXT, TIME };

#define OF(type) (1u << SL_SOURCE_##type)
#define ASKED_BY_URL (OF(ETCD) | OF(CONSUL) | OF(KUBERNETES))
#define ANY UINT32_MAX

#define ROW(key, field, kind, types)                                                               \
	{                                                                                          \
		key, offsetof(struct sl_source_conf, field),                                       \
			sizeof(((struct sl_source_conf *)0)->field), kind, types, 0, 0             \
	}
#define ROW_TIME(key, field, types, lo, hi)                                                        \
	{                                                                                          \
		key, offsetof(struct sl_source_conf, field), sizeof(uint32_t), TIME, types, lo, hi \
	}

static const struct row {
	const char *key;
	size_t off, size;
	enum kind kind;
	uint32_t types; /* that have the key */
	uint32_t lo, hi;
} rows[] = {
	ROW("name", name, NAME, ANY),
	ROW("type", type, TYPE, ANY),
	ROW("servers", servers, SERVERS, OF(DNS)),
	ROW("urls", servers, URLS, ASKED_BY_URL),
	ROW("directory", directory, DIRECTORY, OF(FILES)),
	ROW("prefix", prefix, PREFIX, OF(ETCD)),
	ROW("datacenter", datacenter, TEXT, OF(CONSUL)),
	ROW("namespace", space, TEXT, OF(KUBERNETES)),
	ROW("region", region, TEXT, OF(KUBERNETES)),
	ROW("token_file", token_file, FILE_OR_NONE, OF(CONSUL) | OF(KUBERNETES)),
	ROW("user", user, TEXT, OF(ETCD)),
	ROW("password_file", password_file, FILE_OR_NONE, OF(ETCD)),
	ROW("ca", ca, FILE_OR_NONE, ASKED_BY_URL),
	ROW("certificate", certificate, FILE_OR_NONE, ASKED_BY_URL),
	ROW("key", key, FILE_OR_NONE, ASKED_BY_URL),
	ROW_TIME("timeout", timeout_ms, ANY & ~OF(FILES), 10, 60000),
	ROW_TIME("wait", wait_ms, OF(CONSUL) | OF(KUBERNETES), 1000, 600000),
	ROW_TIME("min_ttl", min_ttl_ms, OF(DNS), 100, 3600000),
	ROW_TIME("max_ttl", max_ttl_ms, OF(DNS), 100, 604800000),
};

static const char *
key_at(unsigned i)
{
	return i < SL_ARRAY_CNT(rows) ? rows[i].key : NULL;
}

/* Types of the file: the registry is always there, and none of them. */
static unsigned
type_of(const char *text)
{
	for (unsigned t = SL_SOURCE_NONE + 1; t < SL_SOURCE_REGISTRY; t++)
		if (strcmp(text, sl_source_type_name(t)) == 0)
			return t;
	return SL_SOURCE_NONE;
}

/* ---- values: NULL, or what is wrong ---- */

/* "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:5353". */
static const char *
check_server(const char *text)
{
	struct sl_addr addr;
	uint16_t port;

	return sl_value_probe(text, &addr, &port);
}

/* "http://host", "https://[2001:db8::1]:2379": no user, path or query. */
static const char *
check_url(const char *text)
{
	const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
			   : strncmp(text, "https://", 8) == 0 ? text + 8
							       : NULL;

	if (!host)
		return "begins neither with http:// nor with https://";
	for (const char *p = host; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("/?#@\\", *p))
			return "has more than a scheme, a host and a port";
	return sl_value_authority(host);
}

static const char *
check_prefix(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return "has a character that is not visible";
	return text[0] != '/' || text[strlen(text) - 1] != '/' ? "does not begin and end with /"
							       : NULL;
}

static const char *
check_text(const struct row *r, const char *text)
{
	char name[SL_NAME_MAX];

	if (strlen(text) >= r->size)
		return "is too long";
	switch (r->kind) {
	case NAME:
		return sl_value_name(text, name);
	case DIRECTORY:
		return *text == '/' ? NULL : "is not an absolute path";
	case FILE_OR_NONE:
		return *text == '/' || !*text ? NULL : "is not an absolute path";
	case PREFIX:
		return check_prefix(text);
	default:
		return *text ? sl_value_name(text, name) : NULL;
	}
}

/* ---- one key ---- */

static void
read_text(struct parse *p, const struct row *r, const char *path, const config_setting_t *s,
	  struct sl_source_conf *c)
{
	const char *text = config_setting_get_string(s);
	const char *why = text ? check_text(r, text) : NULL;

	if (!text)
		COMPLAIN(p, s, path, "write it between double quotes", "not a string");
	else if (why)
		COMPLAIN(p, s, path, NULL, "\"%.80s\" %s", text, why);
	else
		memcpy((char *)c + r->off, text, strlen(text) + 1);
}

static void
read_type(struct parse *p, const char *path, const config_setting_t *s, struct sl_source_conf *c)
{
	const char *text = config_setting_get_string(s);

	c->type = (uint8_t)type_of(text ? text : "");
	if (!c->type)
		COMPLAIN(p, s, path, "dns, files, etcd, consul or kubernetes",
			 "no such type of source: \"%.80s\"", text ? text : "");
}

static void
read_servers(struct parse *p, const struct row *r, const char *path, const config_setting_t *s,
	     struct sl_source_conf *c)
{
	unsigned cnt = (unsigned)config_setting_length(s);

	if (!config_setting_is_list(s) && !config_setting_is_array(s)) {
		COMPLAIN(p, s, path, "write ( \"…\", \"…\" )", "not a list");
		return;
	}
	if (cnt > SL_SOURCE_SERVERS)
		COMPLAIN(p, s, path, "leave some out", "has %u elements, more than %u", cnt,
			 SL_SOURCE_SERVERS);
	for (unsigned i = 0; i < SL_MIN(cnt, (unsigned)SL_SOURCE_SERVERS); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		const char *text = config_setting_get_string(e);
		const char *why = !text                            ? "is not a string"
				  : strlen(text) >= SL_SOURCE_PATH ? "is too long"
				  : r->kind == URLS                ? check_url(text)
								   : check_server(text);
		if (why)
			COMPLAIN(p, e, path,
				 r->kind == URLS ? "as \"https://192.0.2.1:2379\""
						 : "as \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
				 "\"%.80s\" %s", text ? text : "", why);
		else
			strcpy(c->servers[c->server_cnt++], text);
	}
}

static void
read_time(struct parse *p, const struct row *r, const char *path, const config_setting_t *s,
	  struct sl_source_conf *c)
{
	const char *text = config_setting_get_string(s);
	uint32_t ms;
	const char *why = text ? sl_value_duration(text, &ms) : "is not a string";

	if (!why && (ms < r->lo || ms > r->hi))
		why = "is out of range";
	if (why)
		COMPLAIN(p, s, path, "a time, as \"2s\"", "\"%.40s\" %s (%u ms to %u ms)",
			 text ? text : "", why, r->lo, r->hi);
	else
		memcpy((char *)c + r->off, &ms, sizeof(ms));
}

static void
read_row(struct parse *p, const struct row *r, const char *path, const config_setting_t *s,
	 struct sl_source_conf *c)
{
	if (r->kind == TYPE)
		read_type(p, path, s, c);
	else if (r->kind == SERVERS || r->kind == URLS)
		read_servers(p, r, path, s, c);
	else if (r->kind == TIME)
		read_time(p, r, path, s, c);
	else
		read_text(p, r, path, s, c);
}

/* ---- one source ---- */

static void
set_defaults(struct sl_source_conf *c)
{
	c->timeout_ms = 2000;
	c->wait_ms = 300000;
	c->min_ttl_ms = 1000;
	c->max_ttl_ms = 3600000;
	strcpy(c->prefix, "/sluice/");
	strcpy(c->space, "default");
}

/* What the type must have, and what goes together. */
static void
check_whole(struct parse *p, const config_setting_t *s, const char *path,
	    const struct sl_source_conf *c)
{
	bool by_url = c->type && 1u << c->type & ASKED_BY_URL;
	const config_setting_t *urls = config_setting_get_member(s, "urls");

	if (by_url &&
	    (!urls || (config_setting_is_aggregate(urls) && !config_setting_length(urls))))
		COMPLAIN(p, s, path, "urls = ( \"https://192.0.2.1:2379\" );", "has no urls");
	if (c->type == SL_SOURCE_FILES && !config_setting_get_member(s, "directory"))
		COMPLAIN(p, s, path, "directory = \"/etc/sluice/endpoints\";", "has no directory");
	if (!c->certificate[0] != !c->key[0])
		COMPLAIN(p, s, path, "give both, or neither", "certificate and key go together");
	if (!c->user[0] != !c->password_file[0])
		COMPLAIN(p, s, path, "give both, or neither", "user and password_file go together");
	if (c->min_ttl_ms > c->max_ttl_ms)
		COMPLAIN(p, s, path, NULL, "min_ttl is above max_ttl");
}

static void
read_source(struct parse *p, const config_setting_t *s, unsigned i, struct sl_source_conf *c)
{
	char path[128], prefix[32];
	unsigned k;

	snprintf(prefix, sizeof(prefix), "sources[%u].", i);
	set_defaults(c);
	const char *type = NULL;
	config_setting_lookup_string(s, "type", &type);
	c->type = (uint8_t)type_of(type ? type : "");
	for (unsigned m = 0; m < (unsigned)config_setting_length(s); m++) {
		const config_setting_t *e = config_setting_get_elem(s, m);
		for (k = 0; k < SL_ARRAY_CNT(rows); k++)
			if (strcmp(rows[k].key, config_setting_name(e)) == 0)
				break;
		if (k == SL_ARRAY_CNT(rows)) {
			sl_daemon_conf_unknown(p, e, prefix, key_at);
			continue;
		}
		snprintf(path, sizeof(path), "%s%s", prefix, rows[k].key);
		if (c->type && !(rows[k].types & 1u << c->type))
			COMPLAIN(p, e, path, "remove it", "does not go with type \"%s\"",
				 sl_source_type_name(c->type));
		else
			read_row(p, &rows[k], path, e, c);
	}
	prefix[strlen(prefix) - 1] = 0;
	if (!config_setting_get_member(s, "name"))
		COMPLAIN(p, s, prefix, "name = \"…\";", "has no name");
	if (!config_setting_get_member(s, "type"))
		COMPLAIN(p, s, prefix, "type = \"dns\";", "has no type");
	check_whole(p, s, prefix, c);
}

static void
check_names(struct parse *p, const config_setting_t *s)
{
	const struct sl_source_conf *c = p->conf->sources;

	for (unsigned i = 0; c && i < p->conf->source_cnt; i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		if (strcmp(c[i].name, SL_REGISTRY) == 0)
			COMPLAIN(p, e, "sources", "choose another name",
				 "\"" SL_REGISTRY "\" is the name of sluiced's own registry");
		for (unsigned k = 0; k < i && c[i].name[0]; k++)
			if (strcmp(c[i].name, c[k].name) == 0)
				COMPLAIN(p, e, "sources", "names are distinct",
					 "\"%s\" stands twice", c[i].name);
	}
}

void
sl_daemon_conf_sources(struct parse *p, const config_setting_t *s)
{
	unsigned cnt = (unsigned)config_setting_length(s);

	if (!config_setting_is_list(s)) {
		COMPLAIN(p, s, "sources", "sources = ( { name = \"dns\"; type = \"dns\"; } );",
			 "not a list");
		return;
	}
	if (cnt > SL_SOURCES_MAX) {
		COMPLAIN(p, s, "sources", "leave some out", "has %u elements, more than %u", cnt,
			 SL_SOURCES_MAX);
		return;
	}
	p->conf->sources = calloc(cnt + 1, sizeof(*p->conf->sources));
	if (!p->conf->sources) {
		COMPLAIN(p, s, "sources", NULL, "out of memory");
		return;
	}
	p->conf->source_cnt = cnt;
	for (unsigned i = 0; i < cnt; i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		if (config_setting_is_group(e))
			read_source(p, e, i, &p->conf->sources[i]);
		else
			COMPLAIN(p, e, "sources", "write { name = …; type = …; }", "not a group");
	}
	check_names(p, s);
}

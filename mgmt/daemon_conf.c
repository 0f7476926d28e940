/* One row per key says where its text goes and what it must look like; what no row knows is an error with
 * the nearest key by edit distance. */
#include "mgmt/daemon_conf_priv.h"

#include "mgmt/conf_value.h"
#include "sluice/addr.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { SOCKET, PATH, PATH_OR_NONE, METRICS };

#define ROW(field, kind, text)                                                                     \
	{                                                                                          \
#field, offsetof(struct sl_daemon_conf, field),                                    \
			sizeof(((struct sl_daemon_conf *)0)->field), kind, text                    \
	}

static const struct row {
	const char *key;
	size_t off, size;
	enum kind kind;
	const char *text; /* default */
} rows[] = {
	ROW(api_socket, SOCKET, "/run/sluice/api.sock"),
	ROW(dataplane_socket, SOCKET, "/run/sluice/dataplane.sock"),
	ROW(state_dir, PATH, "/var/lib/sluice"),
	ROW(audit_log, PATH_OR_NONE, "/var/log/sluice/audit.log"),
	ROW(compile_program, PATH_OR_NONE, ""),
	ROW(metrics, METRICS, "127.0.0.1:9900"),
};

static const char *const role_keys[] = {"viewer", "operator", "admin"};

static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64], m = (unsigned)strlen(b);

	if (m >= 64)
		return 64;
	for (unsigned j = 0; j <= m; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diag = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned cost = diag + (*a != b[j - 1]);
			diag = row[j];
			row[j] = SL_MIN(cost, SL_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[m];
}

void
sl_daemon_conf_unknown(struct parse *p, const config_setting_t *s, const char *prefix,
		       const char *(*key_at)(unsigned i))
{
	const char *name = config_setting_name(s), *best = NULL;
	unsigned least = UINT32_MAX;
	char hint[128], path[128];

	for (unsigned i = 0; key_at(i); i++) {
		unsigned d = distance(name, key_at(i));
		if (d < least) {
			least = d;
			best = key_at(i);
		}
	}
	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", best);
	snprintf(path, sizeof(path), "%s%.60s", prefix, name);
	COMPLAIN(p, s, path, hint, "unknown key");
}

static const char *
key_at(unsigned i)
{
	static const char *const groups[] = {"access_log", "announce", "core_dumps",
					     "locality",   "registry", "roles",
					     "sources",    "store",    "tickets"};
	unsigned k = i - SL_ARRAY_CNT(rows);

	if (i < SL_ARRAY_CNT(rows))
		return rows[i].key;
	return k < SL_ARRAY_CNT(groups) ? groups[k] : NULL;
}

static const char *
access_key_at(unsigned i)
{
	static const char *const keys[] = {"file", "rotate_mb", "keep"};

	return i < SL_ARRAY_CNT(keys) ? keys[i] : NULL;
}

static const char *
role_at(unsigned i)
{
	return i < SL_ARRAY_CNT(role_keys) ? role_keys[i] : NULL;
}

const char *
sl_daemon_conf_metrics_ok(const char *v)
{
	char host[64];
	struct sl_addr addr;
	char *end;

	if (!*v)
		return NULL;
	if (strncmp(v, "unix:", 5) == 0) {
		if (v[5] != '/' || strlen(v + 5) >= SL_DAEMON_PATH_MAX)
			return "the path behind unix: must be absolute and shorter than 108 bytes";
		return NULL;
	}
	const char *colon = strrchr(v, ':');
	bool six = *v == '[' && colon && colon > v + 1 && colon[-1] == ']';
	size_t n = colon ? (size_t)(colon - v) - (six ? 2 : 0) : 0;
	if (n == 0 || n >= sizeof(host) || (!six && memchr(v, ':', n)))
		return "neither ADDRESS:PORT, [ADDRESS]:PORT nor unix:/PATH";
	memcpy(host, v + (six ? 1 : 0), n);
	host[n] = 0;
	if (sl_addr_parse(host, &addr))
		return "not an address";
	static const uint8_t one6[16] = {[15] = 1};
	bool loopback = sl_addr_is_v4(&addr) ? addr.b[12] == 127 : memcmp(addr.b, one6, 16) == 0;
	if (!loopback)
		return "not a loopback address: metrics are served without authentication";
	if (colon[1] < '0' || colon[1] > '9')
		return "port missing";
	unsigned long port = strtoul(colon + 1, &end, 10);
	return *end || port == 0 || port > 65535 ? "port not in 1–65535" : NULL;
}

static const char *
judge(const struct row *r, const char *v)
{
	if (r->kind == METRICS)
		return sl_daemon_conf_metrics_ok(v);
	if (r->kind == PATH_OR_NONE && !*v)
		return NULL;
	return *v == '/' ? NULL : "not an absolute path";
}

static void
read_row(struct parse *p, const struct row *r, const config_setting_t *s)
{
	const char *v = config_setting_get_string(s), *why;

	if (!v) {
		COMPLAIN(p, s, r->key, "write it between double quotes", "not a string");
		return;
	}
	if (strlen(v) >= r->size) {
		COMPLAIN(p, s, r->key, NULL, "%zu bytes long, at most %zu fit", strlen(v),
			 r->size - 1);
		return;
	}
	why = judge(r, v);
	if (why)
		COMPLAIN(p, s, r->key, r->kind == METRICS ? "for example 127.0.0.1:9900" : NULL,
			 "\"%s\": %s", v, why);
	else
		memcpy((char *)p->conf + r->off, v, strlen(v) + 1);
}

static void
read_who(struct parse *p, enum sl_role role, const char *path, const config_setting_t *s)
{
	char digits[32];
	const char *who = config_setting_get_string(s);
	int type = config_setting_type(s);

	if (type == CONFIG_TYPE_INT && config_setting_get_int(s) >= 0) {
		snprintf(digits, sizeof(digits), "%d", config_setting_get_int(s));
		who = digits;
	}
	if (!who) {
		COMPLAIN(p, s, path, NULL, "neither a uid, \"user\" nor \"@group\"");
		return;
	}
	if (sl_roles_add(&p->conf->roles, role, who))
		COMPLAIN(p, s, path, "see getent passwd, getent group", "no such %s: \"%s\"",
			 *who == '@' ? "group" : "user", who);
}

static void
read_roles(struct parse *p, const config_setting_t *s)
{
	char path[64];

	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "roles", "roles = { viewer = ( … ); };", "not a group");
		return;
	}
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		unsigned role = 0;
		while (role_at(role) && strcmp(role_at(role), config_setting_name(e)))
			role++;
		if (!role_at(role)) {
			sl_daemon_conf_unknown(p, e, "roles.", role_at);
			continue;
		}
		snprintf(path, sizeof(path), "roles.%s", role_at(role));
		if (!config_setting_is_list(e) && !config_setting_is_array(e)) {
			COMPLAIN(p, e, path, "write ( \"alice\", \"@ops\", 1000 )", "not a list");
			continue;
		}
		for (unsigned k = 0; k < (unsigned)config_setting_length(e); k++)
			read_who(p, (enum sl_role)(role + 1), path, config_setting_get_elem(e, k));
	}
}

static void
read_number(struct parse *p, const char *path, int max, const config_setting_t *s, uint32_t *ret)
{
	int v = config_setting_get_int(s);

	if (config_setting_type(s) != CONFIG_TYPE_INT)
		COMPLAIN(p, s, path, NULL, "not an integer");
	else if (v < 0 || v > max)
		COMPLAIN(p, s, path, NULL, "%d is out of range: 0 to %d", v, max);
	else
		*ret = (uint32_t)v;
}

static void
read_access_log(struct parse *p, const config_setting_t *s)
{
	static const struct row file = {
		.key = "access_log.file",
		.off = offsetof(struct sl_daemon_conf, access_log.file),
		.size = sizeof(((struct sl_access_log_conf *)0)->file),
		.kind = PATH_OR_NONE,
	};
	struct sl_access_log_conf *c = &p->conf->access_log;

	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "access_log", "access_log = { file = \"/…\"; };", "not a group");
		return;
	}
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		const char *name = config_setting_name(e);
		if (strcmp(name, "file") == 0)
			read_row(p, &file, e);
		else if (strcmp(name, "rotate_mb") == 0)
			read_number(p, "access_log.rotate_mb", 1 << 20, e, &c->rotate_mb);
		else if (strcmp(name, "keep") == 0)
			read_number(p, "access_log.keep", 1000, e, &c->keep);
		else
			sl_daemon_conf_unknown(p, e, "access_log.", access_key_at);
	}
}

static const char *
tickets_key_at(unsigned i)
{
	return i ? NULL : "rotate";
}

static const char *
announce_key_at(unsigned i)
{
	static const char *const keys[] = {"bird_socket", "routes", "settle"};

	return i < SL_ARRAY_CNT(keys) ? keys[i] : NULL;
}

/* "90m" → ms; 0: not such a text. */
static uint64_t
duration(const char *text)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}};
	char *end = NULL;
	unsigned long n = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	for (unsigned i = 0; n > 0 && n < 1000000 && i < SL_ARRAY_CNT(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].ms;
	return 0;
}

static void
read_tickets(struct parse *p, const config_setting_t *s)
{
	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "tickets", "tickets = { rotate = \"12h\"; };", "not a group");
		return;
	}
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		uint64_t ms = duration(config_setting_get_string(e));
		if (strcmp(config_setting_name(e), "rotate"))
			sl_daemon_conf_unknown(p, e, "tickets.", tickets_key_at);
		else if (ms < 60000 || ms > 168ull * 3600000)
			COMPLAIN(p, e, "tickets.rotate", "for example \"12h\"",
				 "not a time from \"1m\" to \"168h\"");
		else
			p->conf->ticket_rotate_ms = (uint32_t)ms;
	}
}

/* "0s" is a time, too. */
static void
read_settle(struct parse *p, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);
	uint64_t ms = duration(text);
	char *end = NULL;

	if (ms == 0 && text && *text >= '0' && *text <= '9') {
		ms = strtoul(text, &end, 10); /* "500ms" */
		if (strcmp(end, "ms") && (ms != 0 || strcmp(end, "s")))
			end = NULL;
	}
	if ((ms == 0 && !end) || (ms && !end && !duration(text)) || ms > SL_ANNOUNCE_SETTLE_MAX_MS)
		COMPLAIN(p, s, "announce.settle", "for example \"1s\"",
			 "not a time from \"0s\" to \"60s\"");
	else
		p->conf->announce.settle_ms = (uint32_t)ms;
}

static void
read_announce(struct parse *p, const config_setting_t *s)
{
	static const struct row rows_of[] = {
		{"announce.bird_socket", offsetof(struct sl_daemon_conf, announce.bird_socket),
		 sizeof(((struct sl_announce_conf *)0)->bird_socket), SOCKET, NULL},
		{"announce.routes", offsetof(struct sl_daemon_conf, announce.routes),
		 sizeof(((struct sl_announce_conf *)0)->routes), PATH, NULL},
	};

	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "announce", "announce = { settle = \"1s\"; };", "not a group");
		return;
	}
	p->conf->announce.on = true;
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		const char *name = config_setting_name(e);
		if (strcmp(name, "bird_socket") == 0)
			read_row(p, &rows_of[0], e);
		else if (strcmp(name, "routes") == 0)
			read_row(p, &rows_of[1], e);
		else if (strcmp(name, "settle") == 0)
			read_settle(p, e);
		else
			sl_daemon_conf_unknown(p, e, "announce.", announce_key_at);
	}
}

static void
read_locality(struct parse *p, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);
	const char *why = text ? sl_value_locality(text, p->conf->locality) : NULL;

	if (!text)
		COMPLAIN(p, s, "locality", "write it between double quotes", "not a string");
	else if (why)
		COMPLAIN(p, s, "locality", "region, zone, rack, as \"eu/a/r7\"", "\"%.80s\" %s",
			 text, why);
}

static void
read_all(struct parse *p, const config_setting_t *root)
{
	for (unsigned i = 0; i < (unsigned)config_setting_length(root); i++) {
		const config_setting_t *s = config_setting_get_elem(root, i);
		const char *name = config_setting_name(s);
		unsigned k = 0;
		while (k < SL_ARRAY_CNT(rows) && strcmp(rows[k].key, name))
			k++;
		if (k < SL_ARRAY_CNT(rows))
			read_row(p, &rows[k], s);
		else if (strcmp(name, "access_log") == 0)
			read_access_log(p, s);
		else if (strcmp(name, "announce") == 0)
			read_announce(p, s);
		else if (strcmp(name, "locality") == 0)
			read_locality(p, s);
		else if (strcmp(name, "registry") == 0)
			sl_daemon_conf_registry(p, s);
		else if (strcmp(name, "roles") == 0)
			read_roles(p, s);
		else if (strcmp(name, "sources") == 0)
			sl_daemon_conf_sources(p, s);
		else if (strcmp(name, "store") == 0)
			sl_daemon_conf_store(p, s);
		else if (strcmp(name, "tickets") == 0)
			read_tickets(p, s);
		else if (strcmp(name, "core_dumps"))
			sl_daemon_conf_unknown(p, s, "", key_at);
		else if (config_setting_type(s) != CONFIG_TYPE_BOOL)
			COMPLAIN(p, s, "core_dumps", NULL, "neither true nor false");
		else
			p->conf->core_dumps = config_setting_get_bool(s);
	}
}

/* libconfig wants a terminated string, and would follow @include on its own. */
static bool
readable(struct parse *p, const char *text, size_t len)
{
	if (memchr(text, 0, len)) {
		sl_diag_add(p->diag, p->file, 0, NULL, NULL, "holds a NUL byte");
		return false;
	}
	int line = 1;
	for (size_t i = 0; i < len; i++) {
		size_t k = i;
		while (k < len && (text[k] == ' ' || text[k] == '\t'))
			k++;
		if (len - k >= 8 && memcmp(text + k, "@include", 8) == 0) {
			sl_diag_add(p->diag, p->file, line, NULL, "write the keys into this file",
				    "@include is not allowed");
			return false;
		}
		const char *nl = memchr(text + i, '\n', len - i);
		if (!nl)
			break;
		i = (size_t)(nl - text);
		line++;
	}
	return true;
}

int
sl_daemon_conf_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
		     struct sl_daemon_conf *ret_conf)
{
	struct parse p = {.file = file, .diag = diag, .conf = ret_conf};
	config_t cfg;

	memset(ret_conf, 0, sizeof(*ret_conf));
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		strcpy((char *)ret_conf + rows[i].off, rows[i].text);
	ret_conf->access_log.rotate_mb = 100;
	ret_conf->access_log.keep = 5;
	ret_conf->ticket_rotate_ms = 12 * 3600000;
	strcpy(ret_conf->announce.bird_socket, "/run/bird/bird.ctl");
	strcpy(ret_conf->announce.routes, "/run/sluice/bird.conf");
	ret_conf->announce.settle_ms = 1000;
	ret_conf->registry.remove_after_ms = 3600000;
	if (!readable(&p, text, len))
		return -EINVAL;
	char *copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	config_init(&cfg);
	if (config_read_string(&cfg, copy) == CONFIG_TRUE) {
		read_all(&p, config_root_setting(&cfg));
		sl_daemon_conf_registry_end(&p, config_root_setting(&cfg));
		sl_daemon_conf_store_end(&p, config_root_setting(&cfg));
	} else {
		p.bad = true;
		sl_diag_add(diag, file, config_error_line(&cfg), NULL,
			    "a setting is `name = value;`, a list ( … ), a group { … }", "%s",
			    config_error_text(&cfg));
	}
	config_destroy(&cfg);
	free(copy);
	return p.bad ? -EINVAL : 0;
}

void
sl_daemon_conf_fini(struct sl_daemon_conf *c)
{
	sl_roles_fini(&c->roles);
	sl_registry_conf_fini(&c->registry);
	free(c->sources);
}

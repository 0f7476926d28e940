/* The group `registry`: who may register what, and where. */
#include "mgmt/daemon_conf_priv.h"

#include "mgmt/conf_value.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const keys[] = {"allow",  "certificate",  "group",  "key",
				   "listen", "remove_after", "socket", "trust"};
static const char *const allow_keys[] = {"addresses", "identity", "services", "user"};

static const char *
key_at(unsigned i)
{
	return i < SL_ARRAY_CNT(keys) ? keys[i] : NULL;
}

static const char *
allow_key_at(unsigned i)
{
	return i < SL_ARRAY_CNT(allow_keys) ? allow_keys[i] : NULL;
}

/* A text that fits, or NULL: told. */
static const char *
text_of(struct parse *p, const config_setting_t *s, const char *path, size_t size)
{
	const char *text = config_setting_get_string(s);

	if (!text)
		COMPLAIN(p, s, path, "write it between double quotes", "not a string");
	else if (strlen(text) >= size)
		COMPLAIN(p, s, path, NULL, "%zu bytes long, at most %zu fit", strlen(text),
			 size - 1);
	return text && strlen(text) < size ? text : NULL;
}

static void
read_path(struct parse *p, const config_setting_t *s, const char *path, char *ret, size_t size)
{
	const char *text = text_of(p, s, path, size);

	if (text && *text && *text != '/')
		COMPLAIN(p, s, path, NULL, "\"%.80s\": not an absolute path", text);
	else if (text)
		memcpy(ret, text, strlen(text) + 1);
}

static void
read_group(struct parse *p, const config_setting_t *s)
{
	struct sl_registry_conf *c = &p->conf->registry;
	const char *text = text_of(p, s, "registry.group", sizeof(c->group));
	const struct group *g = text && *text ? getgrnam(text) : NULL;

	if (text && *text && !g)
		COMPLAIN(p, s, "registry.group", "see getent group", "no such group: \"%s\"", text);
	if (!g)
		return;
	strcpy(c->group, text);
	c->group_given = true;
	c->gid = g->gr_gid;
}

static void
read_listen(struct parse *p, const config_setting_t *s)
{
	struct sl_registry_conf *c = &p->conf->registry;
	const char *text = text_of(p, s, "registry.listen", sizeof(c->listen));
	struct sl_addr addr;
	uint16_t port;
	const char *why = text && *text ? sl_registry_conf_listen(text, &addr, &port) : NULL;

	if (why)
		COMPLAIN(p, s, "registry.listen", "as \"10.0.0.1:8443\" or \"[2001:db8::1]:8443\"",
			 "\"%s\" %s", text, why);
	else if (text)
		strcpy(c->listen, text);
}

static void
read_remove_after(struct parse *p, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);
	uint32_t ms = 0;
	const char *why = !text ? "is not a string" : sl_value_duration(text, &ms);

	if (!why && ms != 0 && (ms < 1000 || ms > 30u * 86400000u))
		why = "is neither 0s nor from 1s to 720h";
	if (why)
		COMPLAIN(p, s, "registry.remove_after", "a time, as \"1h\"; \"0s\": never",
			 "\"%.40s\" %s", text ? text : "", why);
	else
		p->conf->registry.remove_after_ms = ms;
}

/* ---- allow ---- */

static bool
list_ok(struct parse *p, const config_setting_t *s, const char *path)
{
	unsigned cnt = (unsigned)config_setting_length(s);

	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		COMPLAIN(p, s, path, "write ( \"…\", \"…\" )", "not a list");
	else if (cnt > SL_REGISTRY_PATTERNS)
		COMPLAIN(p, s, path, "write a second row", "has %u elements, more than %u", cnt,
			 SL_REGISTRY_PATTERNS);
	else
		return true;
	return false;
}

/* "web", "api-*", "*" */
static bool
service_ok(const char *text)
{
	char name[SL_NAME_MAX + 1], whole[SL_NAME_MAX];
	size_t len = strlen(text);

	if (len == 0 || len > SL_NAME_MAX)
		return false;
	snprintf(name, sizeof(name), "%s", text);
	if (name[len - 1] != '*')
		return !sl_value_name(name, whole);
	name[len - 1] = 0;
	for (const char *c = name; *c;
	     c++) /* the beginning of a name may end with what no name ends with */
		if (!strchr("._-", *c) &&
		    !((*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z')))
			return false;
	return true;
}

static void
read_services(struct parse *p, const config_setting_t *s, const char *path,
	      struct sl_registry_allow *a)
{
	for (unsigned i = 0; list_ok(p, s, path) && i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		const char *text = config_setting_get_string(e);
		if (!text || !service_ok(text))
			COMPLAIN(p, e, path, "a service, or the beginning of some: \"api-*\"",
				 "\"%.80s\" is no name of a service", text ? text : "");
		else
			strcpy(a->services[a->service_cnt++], text);
	}
}

static void
read_addresses(struct parse *p, const config_setting_t *s, const char *path,
	       struct sl_registry_allow *a)
{
	for (unsigned i = 0; list_ok(p, s, path) && i < (unsigned)config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		const char *text = config_setting_get_string(e);
		struct sl_registry_net *net = &a->addresses[a->address_cnt];
		const char *why =
			text ? sl_value_trusted(text, &net->addr, &net->plen) : "is not a string";
		if (why)
			COMPLAIN(p, e, path, "as \"10.0.0.0/8\"", "\"%.80s\" %s", text ? text : "",
				 why);
		else
			a->address_cnt++;
	}
}

static void
read_identity(struct parse *p, const config_setting_t *s, const char *path,
	      struct sl_registry_allow *a)
{
	const char *text = text_of(p, s, path, sizeof(a->identity));
	const char *why = text ? sl_value_san(text, a->identity) : NULL;

	if (why)
		COMPLAIN(p, s, path, "as \"spiffe://example.org/ns/prod/*\" or \"web.example.org\"",
			 "\"%.80s\" %s", text, why);
}

static void
read_user(struct parse *p, const config_setting_t *s, const char *path, struct sl_registry_allow *a)
{
	char digits[32];
	const char *who = config_setting_get_string(s);

	if (config_setting_type(s) == CONFIG_TYPE_INT && config_setting_get_int(s) >= 0) {
		snprintf(digits, sizeof(digits), "%d", config_setting_get_int(s));
		who = digits;
	}
	if (!who)
		COMPLAIN(p, s, path, NULL, "neither a uid, \"user\" nor \"@group\"");
	else if (sl_roles_add(&a->users, SL_ROLE_VIEWER, who))
		COMPLAIN(p, s, path, "see getent passwd, getent group", "no such %s: \"%s\"",
			 *who == '@' ? "group" : "user", who);
}

static void
read_allowed(struct parse *p, const config_setting_t *s, unsigned i, struct sl_registry_allow *a)
{
	char path[64], prefix[48];

	snprintf(prefix, sizeof(prefix), "registry.allow[%u].", i);
	for (unsigned k = 0; k < (unsigned)config_setting_length(s); k++) {
		const config_setting_t *e = config_setting_get_elem(s, k);
		const char *name = config_setting_name(e);
		snprintf(path, sizeof(path), "%s%.12s", prefix, name);
		if (strcmp(name, "identity") == 0)
			read_identity(p, e, path, a);
		else if (strcmp(name, "user") == 0)
			read_user(p, e, path, a);
		else if (strcmp(name, "services") == 0)
			read_services(p, e, path, a);
		else if (strcmp(name, "addresses") == 0)
			read_addresses(p, e, path, a);
		else
			sl_daemon_conf_unknown(p, e, prefix, allow_key_at);
	}
	prefix[strlen(prefix) - 1] = 0;
	if (!config_setting_get_member(s, "identity") == !config_setting_get_member(s, "user"))
		COMPLAIN(p, s, prefix, "one row for each",
			 "has not one of identity (of a certificate) and user (of the socket)");
	if (!config_setting_get_member(s, "services"))
		COMPLAIN(p, s, prefix, "services = ( \"web\", \"api-*\" );", "has no services");
}

static void
read_allow(struct parse *p, const config_setting_t *s)
{
	struct sl_registry_conf *c = &p->conf->registry;
	unsigned cnt = (unsigned)config_setting_length(s);

	if (!config_setting_is_list(s) || cnt > SL_REGISTRY_ALLOW) {
		COMPLAIN(p, s, "registry.allow",
			 "allow = ( { identity = \"…\"; services = ( \"web\" ); } );",
			 "not a list of at most %u groups", SL_REGISTRY_ALLOW);
		return;
	}
	c->allow = calloc(cnt + 1, sizeof(*c->allow));
	if (!c->allow) {
		COMPLAIN(p, s, "registry.allow", NULL, "out of memory");
		return;
	}
	c->allow_cnt = cnt;
	for (unsigned i = 0; i < cnt; i++) {
		const config_setting_t *e = config_setting_get_elem(s, i);
		if (config_setting_is_group(e))
			read_allowed(p, e, i, &c->allow[i]);
		else
			COMPLAIN(p, e, "registry.allow", "write { identity = …; services = …; }",
				 "not a group");
	}
}

/* ---- the group ---- */

static void
read_key(struct parse *p, const config_setting_t *e)
{
	struct sl_registry_conf *c = &p->conf->registry;
	const char *name = config_setting_name(e);

	if (strcmp(name, "socket") == 0) {
		c->socket_given = true;
		read_path(p, e, "registry.socket", c->socket, sizeof(c->socket));
	} else if (strcmp(name, "group") == 0) {
		read_group(p, e);
	} else if (strcmp(name, "listen") == 0) {
		read_listen(p, e);
	} else if (strcmp(name, "certificate") == 0) {
		read_path(p, e, "registry.certificate", c->certificate, sizeof(c->certificate));
	} else if (strcmp(name, "key") == 0) {
		read_path(p, e, "registry.key", c->key, sizeof(c->key));
	} else if (strcmp(name, "trust") == 0) {
		read_path(p, e, "registry.trust", c->trust, sizeof(c->trust));
	} else if (strcmp(name, "remove_after") == 0) {
		read_remove_after(p, e);
	} else if (strcmp(name, "allow") == 0) {
		read_allow(p, e);
	} else {
		sl_daemon_conf_unknown(p, e, "registry.", key_at);
	}
}

void
sl_daemon_conf_registry(struct parse *p, const config_setting_t *s)
{
	const struct sl_registry_conf *c = &p->conf->registry;

	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "registry", "registry = { remove_after = \"1h\"; };", "not a group");
		return;
	}
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++)
		read_key(p, config_setting_get_elem(s, i));
	if (c->listen[0] && !(c->certificate[0] && c->key[0] && c->trust[0]))
		COMPLAIN(p, s, "registry.listen",
			 "certificate, key: of sluiced; trust: the CAs of those who register",
			 "needs certificate, key and trust");
}

/* registry.sock beside api_socket, unless the file says another one, or none. */
void
sl_daemon_conf_registry_end(struct parse *p, const config_setting_t *root)
{
	struct sl_registry_conf *c = &p->conf->registry;
	const char *slash = strrchr(p->conf->api_socket, '/');
	int dir = slash ? (int)(slash - p->conf->api_socket) : 0;

	if (c->socket_given || !slash)
		return;
	if (snprintf(c->socket, sizeof(c->socket), "%.*s/registry.sock", dir,
		     p->conf->api_socket) >= (int)sizeof(c->socket)) {
		c->socket[0] = 0;
		COMPLAIN(p, root, "registry.socket", "give one, or \"\"",
			 "registry.sock does not fit beside api_socket");
	}
}

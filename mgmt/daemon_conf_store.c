/* The group `store`: what several gateways share. */
#include "mgmt/daemon_conf_priv.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <unistd.h>

static const char *const keys[] = {"gateway", "limits", "registry", "source", "table"};

static const char *
key_at(unsigned i)
{
	return i < SL_ARRAY_CNT(keys) ? keys[i] : NULL;
}

static void
read_name(struct parse *p, const config_setting_t *s, const char *path, char ret[SL_NAME_MAX])
{
	const char *text = config_setting_get_string(s);
	char name[SL_NAME_MAX];
	const char *why = text && *text ? sl_value_name(text, name) : NULL;

	if (!text)
		COMPLAIN(p, s, path, "write it between double quotes", "not a string");
	else if (why)
		COMPLAIN(p, s, path, NULL, "\"%.80s\" %s", text, why);
	else if (*text)
		memcpy(ret, name, SL_NAME_MAX);
}

static void
read_bool(struct parse *p, const config_setting_t *s, const char *path, bool *ret)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		COMPLAIN(p, s, path, NULL, "neither true nor false");
	else
		*ret = config_setting_get_bool(s);
}

static void
read_key(struct parse *p, const config_setting_t *s)
{
	struct sl_store_conf *c = &p->conf->store;
	const char *name = config_setting_name(s);

	if (strcmp(name, "source") == 0)
		read_name(p, s, "store.source", c->source);
	else if (strcmp(name, "table") == 0)
		read_name(p, s, "store.table", c->table);
	else if (strcmp(name, "gateway") == 0)
		read_name(p, s, "store.gateway", c->gateway);
	else if (strcmp(name, "registry") == 0)
		read_bool(p, s, "store.registry", &c->registry);
	else if (strcmp(name, "limits") == 0)
		read_bool(p, s, "store.limits", &c->limits);
	else
		sl_daemon_conf_unknown(p, s, "store.", key_at);
}

void
sl_daemon_conf_store(struct parse *p, const config_setting_t *s)
{
	if (!config_setting_is_group(s)) {
		COMPLAIN(p, s, "store", "store = { source = \"etcd\"; table = \"edge\"; };",
			 "not a group");
		return;
	}
	for (unsigned i = 0; i < (unsigned)config_setting_length(s); i++)
		read_key(p, config_setting_get_elem(s, i));
}

void
sl_daemon_conf_store_end(struct parse *p, const config_setting_t *root)
{
	struct sl_store_conf *c = &p->conf->store;
	const config_setting_t *s = config_setting_get_member(root, "store");
	const struct sl_source_conf *source = NULL;
	char host[256] = "";

	if (!s || !config_setting_is_group(s))
		return;
	for (unsigned i = 0; i < p->conf->source_cnt; i++)
		if (strcmp(p->conf->sources[i].name, c->source) == 0)
			source = &p->conf->sources[i];
	if (!c->source[0])
		COMPLAIN(p, s, "store.source", "the name of one of `sources`, of type etcd",
			 "missing");
	else if (!source)
		COMPLAIN(p, s, "store.source", "give it in `sources`", "there is no source \"%s\"",
			 c->source);
	else if (source->type != SL_SOURCE_ETCD)
		COMPLAIN(p, s, "store.source", "a store is an etcd", "\"%s\" is of type %s",
			 c->source, sl_source_type_name(source->type));
	else if (!c->table[0] && !c->registry && !c->limits)
		COMPLAIN(p, s, "store", "table = \"edge\"; or registry = true; or limits = true;",
			 "shares nothing");
	if (c->gateway[0])
		return;
	gethostname(host, sizeof(host) - 1);
	sl_source_name(host, strlen(host), c->gateway);
}

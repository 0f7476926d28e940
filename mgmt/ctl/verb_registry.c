/* verb_registry — register, deregister, heartbeat: SERVICE/ENDPOINT of the registry; show registry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/conf_value.h"
#include "mgmt/ctl/ctl.h"

/* {"verb", "service", "endpoint"} of "SERVICE/ENDPOINT"; NULL: told. */
static json_t *
request(struct ctl *c, const char *verb)
{
	const char *slash = strchr(c->argv[0], '/');

	if (!slash || slash == c->argv[0] || !slash[1] || strchr(slash + 1, '/')) {
		ctl_fail(c, CTL_USAGE, "as web/web-1", "'%s' is not SERVICE/ENDPOINT", c->argv[0]);
		return NULL;
	}
	json_t *r = json_pack("{s:s,s:s%,s:s}", "verb", verb, "service", c->argv[0],
			      (size_t)(slash - c->argv[0]), "endpoint", slash + 1);
	if (!r)
		ctl_fail(c, CTL_USAGE, NULL, "names are UTF-8");
	return r;
}

/* "60s" → "ttl_s" */
static bool
put_ttl(struct ctl *c, json_t *is)
{
	const char *text = c->opt[CTL_OPT_TTL];
	uint32_t ms = 0;
	const char *why = text ? sl_value_duration(text, &ms) : NULL;

	if (!why && ms % 1000)
		why = "is not in whole seconds";
	if (why)
		ctl_fail(c, CTL_USAGE, "10s, 1m", "--ttl: '%s' %s", text, why);
	else if (text)
		json_object_set_new(is, "ttl_s", json_integer(ms / 1000));
	return !why;
}

static bool
put_metadata(struct ctl *c, json_t *is)
{
	json_t *all = json_object();
	char key[256];

	json_object_set_new(is, "metadata", all);
	for (int i = 0; i < c->metadata_cnt; i++) {
		const char *text = c->metadata[i], *equals = strchr(text, '=');
		size_t n = equals ? (size_t)(equals - text) : 0;
		if (n == 0 || n >= sizeof(key)) {
			ctl_fail(c, CTL_USAGE, "as version=v2", "--metadata: '%s' is not KEY=VALUE",
				 text);
			return false;
		}
		snprintf(key, sizeof(key), "%.*s", (int)n, text);
		if (json_object_get(all, key)) {
			ctl_fail(c, CTL_USAGE, NULL, "--metadata: %s stands twice", key);
			return false;
		}
		if (!ctl_put_text(c, all, key, equals + 1))
			return false;
	}
	return true;
}

static bool
put_endpoint(struct ctl *c, json_t *is)
{
	return ctl_put_text(c, is, "address", c->opt[CTL_OPT_ADDRESS]) &&
	       ctl_put_text(c, is, "locality", c->opt[CTL_OPT_LOCALITY]) &&
	       ctl_put_number(c, is, "port", "port", c->port, 65535) &&
	       ctl_put_number(c, is, "weight", "weight", c->opt[CTL_OPT_WEIGHT], 65535) &&
	       ctl_put_number(c, is, "priority", "priority", c->opt[CTL_OPT_PRIORITY], 255) &&
	       put_ttl(c, is) && put_metadata(c, is);
}

static void
print_state(const json_t *e, const char *what)
{
	char addr[64];
	long long port = ctl_int(e, "port");
	bool six = strchr(ctl_str(e, "address"), ':') != NULL;

	snprintf(addr, sizeof(addr), six && port ? "[%s]" : "%s", ctl_str(e, "address"));
	printf("%s/%s %s: %s", ctl_str(e, "service"), ctl_str(e, "endpoint"), what, addr);
	if (port)
		printf(":%lld", port);
	printf(", %s", ctl_str(e, "state"));
	if (ctl_int(e, "percent") != 100)
		printf(", wants %lld %%", ctl_int(e, "percent"));
	if (ctl_int(e, "ttl_s"))
		printf(", a heartbeat within %lld s", ctl_int(e, "ttl_s"));
	printf("%s\n", ctl_bool(e, "asked") ? "" : "; no table asks for the service");
}

/* Sends r and frees it. */
static int
send_request(struct ctl *c, json_t *r, const char *what)
{
	int rc;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	const json_t *e = json_object_get(a, "is");
	if (json_is_object(e))
		print_state(e, ctl_bool(a, "new") ? "registered, new" : what);
	else
		printf("%s %s\n", c->argv[0], what);
	json_decref(a);
	return rc;
}

/* Frees r, whose fault is told. */
static int
refuse(json_t *r)
{
	json_decref(r);
	return CTL_USAGE;
}

/* The object of r that describes the endpoint. */
static json_t *
put_is(json_t *r)
{
	json_t *is = json_object();

	json_object_set_new(r, "is", is);
	return is;
}

int
ctl_register(struct ctl *c)
{
	json_t *r = request(c, "register");

	if (!r)
		return CTL_USAGE;
	if (!c->opt[CTL_OPT_ADDRESS]) {
		ctl_fail(c, CTL_USAGE, "as 192.0.2.1", "--address is missing");
		return refuse(r);
	}
	return put_endpoint(c, put_is(r)) ? send_request(c, r, "registered") : refuse(r);
}

int
ctl_deregister(struct ctl *c)
{
	json_t *r = request(c, "deregister");

	return r ? send_request(c, r, "deregistered") : CTL_USAGE;
}

/* "yes" → "drain" */
static bool
put_leaving(struct ctl *c, json_t *is)
{
	const char *leaving = c->opt[CTL_OPT_LEAVING];
	bool yes = leaving && !strcmp(leaving, "yes");

	if (leaving && !yes && strcmp(leaving, "no")) {
		ctl_fail(c, CTL_USAGE, "yes or no", "--leaving: '%s' is neither", leaving);
		return false;
	}
	if (leaving)
		json_object_set_new(is, "drain", json_boolean(yes));
	return true;
}

int
ctl_heartbeat(struct ctl *c)
{
	json_t *r = request(c, "heartbeat");

	if (!r)
		return CTL_USAGE;
	json_t *is = put_is(r);
	bool good = put_leaving(c, is) &&
		    ctl_put_number(c, is, "percent", "percent", c->opt[CTL_OPT_PERCENT], 100);
	return good ? send_request(c, r, "heard") : refuse(r);
}

/* "version=v2 canary=true" */
static void
metadata_cell(struct ctl_table *t, const json_t *e)
{
	char text[512] = "";
	const char *key;
	json_t *v;
	size_t n = 0;

	json_object_foreach(json_object_get(e, "metadata"), key, v) if (n < sizeof(text)) n +=
		(size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s", n ? " " : "", key,
				 json_string_value(v));
	ctl_table_cell(t, "%s", *text ? text : "-");
}

static void
print_row(struct ctl_table *t, const json_t *e)
{
	const json_t *m = json_object_get(e, "maintenance");

	ctl_table_cell(t, "%s", ctl_str(e, "service"));
	ctl_table_cell(t, "%s", ctl_str(e, "endpoint"));
	if (ctl_int(e, "port"))
		ctl_table_end(t, ctl_str(e, "address"), ctl_int(e, "port"));
	else
		ctl_table_cell(t, "%s", ctl_str(e, "address"));
	if (json_object_get(e, "weight"))
		ctl_table_cell(t, "%lld", ctl_int(e, "weight"));
	else
		ctl_table_cell(t, "-");
	ctl_table_cell(t, "%lld", ctl_int(e, "percent"));
	ctl_table_cell(t, "%s%s%s", ctl_str(e, "state"), *ctl_str(m, "reason") ? ": " : "",
		       ctl_str(m, "reason"));
	if (ctl_int(e, "ttl_s"))
		ctl_table_cell(t, "%llds", ctl_int(e, "ttl_s"));
	else
		ctl_table_cell(t, "-");
	ctl_table_cell(t, "%s", *ctl_str(e, "heartbeat") ? ctl_str(e, "heartbeat") : "-");
	ctl_table_cell(t, "%s", *ctl_str(e, "locality") ? ctl_str(e, "locality") : "-");
	metadata_cell(t, e);
	ctl_table_cell(t, "%s", ctl_str(e, "by"));
	ctl_table_cell(t, "%s", ctl_bool(e, "asked") ? "yes" : "no");
}

int
ctl_registry(struct ctl *c)
{
	static const char *const titles[] = {
		"SERVICE", "ENDPOINT", "ADDRESS",  ">WEIGHT", ">PERCENT", "STATE", ">TTL",
		"HEARD",   "LOCALITY", "METADATA", "BY",      "ASKED",    NULL};
	int rc;
	size_t i;
	json_t *e, *r = json_pack("{s:s,s:s}", "verb", "show", "what", "registry");

	if (!ctl_put(c, r, "service", c->argc > 1 ? c->argv[1] : NULL))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	struct ctl_table *t = ctl_table_new(titles);
	json_array_foreach(json_object_get(a, "registry"), i, e) print_row(t, e);
	ctl_table_print(t);
	if (ctl_bool(json_object_get(a, "stats"), "failing"))
		fprintf(stderr, "the registry cannot be written to disk: changes are refused\n");
	json_decref(a);
	return rc;
}

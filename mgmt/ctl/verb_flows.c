/* verb_flows — show flows: who is talking to whom, read from the dataplane's memory while it works. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/conf_value.h"
#include "mgmt/ctl/ctl.h"

static bool
put_idle(struct ctl *c, json_t *r)
{
	const char *text = c->opt[CTL_OPT_IDLE_OVER];
	uint32_t ms;

	if (!text)
		return true;
	const char *why = sl_value_duration(text, &ms);
	if (why) {
		ctl_fail(c, CTL_USAGE, "500ms, 30s, 5m, 1h", "--idle-over: '%s' %s", text, why);
		return false;
	}
	json_object_set_new(r, "idle_over_ms", json_integer(ms));
	return true;
}

/* NULL, with the reason said. */
static json_t *
request(struct ctl *c)
{
	static const struct {
		enum ctl_opt opt;
		const char *key;
	} texts[] = {
		{CTL_OPT_CLIENT, "client"},     {CTL_OPT_VIP, "vip"},
		{CTL_OPT_PROTO, "protocol"},    {CTL_OPT_SERVICE, "service"},
		{CTL_OPT_ENDPOINT, "endpoint"}, {CTL_OPT_LISTENER, "listener"},
		{CTL_OPT_STATE, "state"},
	};
	json_t *r = json_pack("{s:s}", "verb", "flows");

	if (!ctl_put_number(c, r, "--port", "port", c->port, 65535) ||
	    !ctl_put_number(c, r, "--worker", "worker", c->opt[CTL_OPT_WORKER], 63) ||
	    !ctl_put_number(c, r, "--limit", "limit", c->opt[CTL_OPT_LIMIT], 10000) ||
	    !put_idle(c, r)) {
		json_decref(r);
		return NULL;
	}
	if (c->opt[CTL_OPT_COUNT])
		json_object_set_new(r, "count", json_true());
	if (c->opt[CTL_OPT_HALVES])
		json_object_set_new(r, "halves", json_true());
	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++)
		if (!ctl_put(c, r, texts[i].key, c->opt[texts[i].opt]))
			return NULL;
	return r;
}

static void
row(struct ctl_table *t, const json_t *o, bool halves)
{
	const json_t *via = json_object_get(o, "via");
	const char *fin = ctl_str(o, "fin");

	ctl_table_cell(t, "%s", ctl_str(o, "protocol"));
	ctl_table_end(t, ctl_str(o, "client"), ctl_int(o, "client_port"));
	ctl_table_end(t, ctl_str(o, "vip"), ctl_int(o, "vip_port"));
	if (halves)
		ctl_table_cell(t, "%s", ctl_str(o, "half"));
	if (*ctl_str(o, "endpoint"))
		ctl_table_cell(t, "%s/%s", ctl_str(o, "service"), ctl_str(o, "endpoint"));
	else
		ctl_table_cell(t, "(gone)");
	ctl_table_cell(t, "%s%s", ctl_str(o, "state"), strcmp(fin, "one") ? "" : ", one FIN");
	ctl_table_time(t, ctl_int(o, "idle_ms"));
	ctl_table_time(t, ctl_int(o, "left_ms"));
	ctl_table_cell(t, "%lld", ctl_int(o, "worker"));
	ctl_table_end(t, ctl_str(via, "address"), ctl_int(via, "port"));
}

static void
print_flows(const struct ctl *c, const json_t *a)
{
	static const char *const plain[] = {"PROTO", "CLIENT", "VIP",     "ENDPOINT", "STATE",
					    ">IDLE", ">LEFT",  ">WORKER", "VIA",      NULL},
				 *const with_half[] = {"PROTO",    "CLIENT", "VIP",   "HALF",
						       "ENDPOINT", "STATE",  ">IDLE", ">LEFT",
						       ">WORKER",  "VIA",    NULL};
	bool halves = c->opt[CTL_OPT_HALVES] != NULL;
	struct ctl_table *t = ctl_table_new(halves ? with_half : plain);
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(a, "flows"), i, o) row(t, o, halves);
	ctl_table_print(t);
	fprintf(stderr, "%lld flows, %lld looked at in %.1f ms%s\n", ctl_int(a, "matched"),
		ctl_int(a, "looked"), ctl_num(a, "ms"),
		ctl_bool(a, "more") ? "; there are more: narrow the filters or raise --limit "
				      "(--count counts them)"
				    : "");
}

int
ctl_flows(struct ctl *c)
{
	int rc = CTL_USAGE;

	if (c->argc > 1)
		return ctl_fail(c, CTL_USAGE, "--service NAME filters by service",
				"show flows takes options only");
	json_t *r = request(c), *a = r ? ctl_call(c, r, &rc) : NULL;
	if (!a)
		return rc;
	if (c->opt[CTL_OPT_COUNT])
		printf("%lld flows, %lld looked at in %.1f ms\n", ctl_int(a, "matched"),
		       ctl_int(a, "looked"), ctl_num(a, "ms"));
	else
		print_flows(c, a);
	if (!ctl_bool(a, "dataplane"))
		fprintf(stderr, "the dataplane is not connected: these flows wait for it\n");
	json_decref(a);
	return rc;
}

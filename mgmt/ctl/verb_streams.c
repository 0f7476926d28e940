/* verb_streams — show streams: the gateway's own TCP connections, read from the dataplane's memory while it works. */
#include <stdio.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "sluice/base.h"

/* NULL, with the reason said. */
static json_t *
request(struct ctl *c)
{
	static const struct {
		enum ctl_opt opt;
		const char *key;
	} texts[] = {
		{CTL_OPT_ADDRESS, "address"},   {CTL_OPT_SIDE, "side"},
		{CTL_OPT_SERVICE, "service"},   {CTL_OPT_ENDPOINT, "endpoint"},
		{CTL_OPT_LISTENER, "listener"}, {CTL_OPT_STATE, "state"},
		{CTL_OPT_SORT, "sort"},
	};
	json_t *r = json_pack("{s:s}", "verb", "streams");

	if (!ctl_put_number(c, r, "--port", "port", c->port, 65535) ||
	    !ctl_put_number(c, r, "--worker", "worker", c->opt[CTL_OPT_WORKER], 63) ||
	    !ctl_put_number(c, r, "--retrans", "retrans", c->opt[CTL_OPT_RETRANS], UINT32_MAX) ||
	    !ctl_put_number(c, r, "--queue", "queue", c->opt[CTL_OPT_QUEUE], UINT32_MAX) ||
	    !ctl_put_number(c, r, "--limit", "limit", c->opt[CTL_OPT_LIMIT], 10000)) {
		json_decref(r);
		return NULL;
	}
	if (c->opt[CTL_OPT_COUNT])
		json_object_set_new(r, "count", json_true());
	if (c->opt[CTL_OPT_PAIRS])
		json_object_set_new(r, "pairs", json_true());
	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++)
		if (!ctl_put(c, r, texts[i].key, c->opt[texts[i].opt]))
			return NULL;
	return r;
}

/* Below a second to the microsecond: round trips are short. */
static void
rtt_cell(struct ctl_table *t, const json_t *o, const char *key)
{
	long long us = ctl_int(o, key);

	if (!json_is_integer(json_object_get(o, key)))
		ctl_table_cell(t, "-");
	else if (us < 1000)
		ctl_table_cell(t, "%lldus", us);
	else
		ctl_table_cell(t, "%lld.%lldms", us / 1000, us % 1000 / 100);
}

static void
name_cells(struct ctl_table *t, const json_t *o)
{
	const char *listener = ctl_str(o, "listener"), *service = ctl_str(o, "service"),
		   *endpoint = ctl_str(o, "endpoint");

	ctl_table_cell(t, "%s", *listener ? listener : "-");
	if (*endpoint)
		ctl_table_cell(t, "%s/%s", service, endpoint);
	else
		ctl_table_cell(t, "%s", *service ? service : "-");
}

static void
flags_cell(struct ctl_table *t, const json_t *o)
{
	char text[64] = "";
	size_t i, n = 0;
	json_t *flag;

	json_array_foreach(json_object_get(o, "flags"), i, flag) if (n < sizeof(text)) n +=
		(size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "",
				 json_is_string(flag) ? json_string_value(flag) : "");
	ctl_table_cell(t, "%s", text);
}

static void
row(struct ctl_table *t, const json_t *o, bool second)
{
	static const char *const sizes[] = {"cwnd",          NULL,           "bytes_in",
					    "bytes_out",     "send_queue",   "in_flight",
					    "receive_queue", "out_of_order", "send_window",
					    "receive_window"};

	ctl_table_cell(t, "%lld", ctl_int(o, "worker"));
	ctl_table_cell(t, "%s%s", second ? "└ " : "", ctl_str(o, "side"));
	ctl_table_cell(t, "%s", ctl_str(o, "state"));
	ctl_table_end(t, ctl_str(o, "peer"), ctl_int(o, "peer_port"));
	ctl_table_end(t, ctl_str(o, "local"), ctl_int(o, "local_port"));
	name_cells(t, o);
	ctl_table_time(t, ctl_int(o, "age_ms"));
	for (size_t i = 0; i < SL_ARRAY_CNT(sizes); i++) {
		if (sizes[i]) {
			ctl_table_size(t, ctl_int(o, sizes[i]));
			continue;
		}
		rtt_cell(t, o, "rtt_us");
		rtt_cell(t, o, "rttvar_us");
		ctl_table_cell(t, "%lld", ctl_int(o, "mss"));
	}
	ctl_table_cell(t, "%lld", ctl_int(o, "retransmits"));
	ctl_table_cell(t, "%s", ctl_str(o, "congestion"));
	flags_cell(t, o);
}

static void
print_streams(const json_t *a)
{
	static const char *const titles[] = {">WORKER",  "SIDE",     "STATE", "PEER",    "LOCAL",
					     "LISTENER", "ENDPOINT", ">AGE",  ">CWND",   ">RTT",
					     ">RTTVAR",  ">MSS",     ">IN",   ">OUT",    ">SENDQ",
					     ">FLIGHT",  ">RECVQ",   ">OOO",  ">SNDWND", ">RCVWND",
					     ">RETRANS", "CC",       "FLAGS", NULL};
	struct ctl_table *t = ctl_table_new(titles);
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(a, "streams"), i, o)
	{
		const json_t *pair = json_object_get(o, "pair");
		row(t, o, false);
		if (json_is_object(pair))
			row(t, pair, true);
	}
	ctl_table_print(t);
	fprintf(stderr, "%lld streams, %lld looked at in %.1f ms%s\n", ctl_int(a, "matched"),
		ctl_int(a, "looked"), ctl_num(a, "ms"),
		ctl_bool(a, "more") ? "; there are more: narrow the filters or raise --limit "
				      "(--count counts them)"
				    : "");
}

int
ctl_streams(struct ctl *c)
{
	int rc = CTL_USAGE;

	if (c->argc > 1)
		return ctl_fail(c, CTL_USAGE, "--service NAME filters by service",
				"show streams takes options only");
	json_t *r = request(c), *a = r ? ctl_call(c, r, &rc) : NULL;
	if (!a)
		return rc;
	if (c->opt[CTL_OPT_COUNT])
		printf("%lld streams, %lld looked at in %.1f ms\n", ctl_int(a, "matched"),
		       ctl_int(a, "looked"), ctl_num(a, "ms"));
	else
		print_streams(a);
	json_decref(a);
	return rc;
}

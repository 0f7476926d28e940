/* verb_show — status, show, stats: what is, in aligned columns.
 *
 * One row of `shows` per WHAT: the array of the answer and its columns.  A column's key names a field;
 * '>' before the title aligns right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

#define MAX_COLUMNS 24

struct column {
	const char *title;
	const char *key;
};

static const struct show {
	const char *what;
	struct column columns[MAX_COLUMNS];
} shows[] = {
	{"listeners",
	 {{"LISTENER", "name"},
	  {"ADDRESS", "address"},
	  {">PORT", "ports"},
	  {"PROTO", "protocol"},
	  {"MODE", "mode"},
	  {"SERVICE", "service"},
	  {"ROUTES", "routes"},
	  {"TLS", "tls"},
	  {"ANNOUNCE", "announce"},
	  {">PACKETS", "packets"},
	  {">BYTES", "bytes"},
	  {">NEW FLOWS", "new_flows"},
	  {">REFUSED", "refused"}}},
	{"services",
	 {{"SERVICE", "name"},
	  {"FORWARD", "forward"},
	  {"POLICY", "policy"},
	  {"HEALTH", "health"},
	  {"TLS", "tls"},
	  {">ENDPOINTS", "endpoints"},
	  {">ADMITTING", "admitting"},
	  {"BY LEVEL", "levels"},
	  {"SUBSETS", "subsets"},
	  {">UP", "up"},
	  {">DOWN", "down"},
	  {">DRAINING", "draining"},
	  {">NEW FLOWS", "new_flows"},
	  {">NO ENDPOINT", "no_endpoint"},
	  {"BREAKERS", "breakers"},
	  {"EJECTIONS", "ejections"},
	  {">PORTS USED", "ports_used"},
	  {">REFUSED", "ports_refused"}}},
	{"endpoints",
	 {{"SERVICE", "service"},
	  {"ENDPOINT", "name"},
	  {"ADDRESS", "address"},
	  {">PORT", "port"},
	  {">WEIGHT", "weight"},
	  {"SOURCE", "source"},
	  {">AGE", "age_s"},
	  {"STATE", "state"},
	  {"PROBES", "health"},
	  {"PASSIVE", "passive"},
	  {">PERCENT", "percent"},
	  {">ADMITS/255", "fraction"},
	  {">FLOWS", "flows"},
	  {">NEW FLOWS", "new_flows"},
	  {">PACKETS", "packets"},
	  {">REPLIES", "reply_packets"},
	  {">FAILED", "connect_failed"},
	  {">EJECTIONS", "ejections"},
	  {"WHY", "why"},
	  {"BY", "why_by"},
	  {"SINCE", "since"}}},
	{"sources",
	 {{"SERVICE", "service"},
	  {"SOURCE", "source"},
	  {"NAME", "name"},
	  {"STATE", "state"},
	  {">ENDPOINTS", "endpoints"},
	  {">LEFT OUT", "left_out"},
	  {">AGE", "age_s"},
	  {">ANSWERS", "answers"},
	  {">TROUBLES", "troubles"},
	  {"WHY", "why"},
	  {"SINCE", "trouble_since"}}},
	{"jwt",
	 {{"NAME", "name"},
	  {"ISSUER", "issuer"},
	  {"JWKS", "jwks"},
	  {"STATE", "state"},
	  {">KEYS", "keys"},
	  {">LEFT OUT", "left_out"},
	  {">AGE", "age_s"},
	  {">READS", "reads"},
	  {">TROUBLES", "troubles"},
	  {"WHY", "why"},
	  {"SINCE", "trouble_since"}}},
	{"workers",
	 {{">WORKER", "worker"},
	  {">BUSY", "busy"},
	  {">HEADROOM", "headroom"},
	  {">RX", "rx_packets"},
	  {">FORWARDED", "forwarded"},
	  {">CONSUMED", "consumed"},
	  {">DROPPED", "dropped"},
	  {">HANDED OUT", "handoff_out"},
	  {">HANDED IN", "handoff_in"},
	  {">FLOWS", "flow_active"},
	  {">HALF-OPEN", "flow_embryonic"},
	  {">STREAMS", "tcp_streams"},
	  {">CAPACITY", "flow_capacity"},
	  {">ADOPTED", "flow_adopted"},
	  {">LOST", "flow_lost"},
	  {">GENERATION", "generation"}}},
	{"ports",
	 {{"PORT", "name"},
	  {">RX PACKETS", "rx_packets"},
	  {">RX BYTES", "rx_bytes"},
	  {">TX PACKETS", "tx_packets"},
	  {">TX BYTES", "tx_bytes"},
	  {">TX REFUSED", "tx_full"},
	  {">TO KERNEL", "to_kernel"},
	  {">FROM KERNEL", "from_kernel"},
	  {">LIMITED", "kernel_limited"}}},
	{"drops",
	 {{"REASON", "reason"},
	  {">PACKETS", "packets"},
	  {"SHOULD BE 0", "must_be_zero"},
	  {"", "text"}}},
	{"store",
	 {{"GATEWAY", "gateway"},
	  {"STATE", "state"},
	  {">REVISION", "revision"},
	  {">GENERATION", "generation"},
	  {"AT", "at"},
	  {"", "problem"}}},
	{"tcp", {{"TCP", "name"}, {">COUNT", "count"}, {">OF", "most"}, {"", "text"}}},
	{"http", {{"HTTP", "name"}, {">COUNT", "count"}, {">OF", "most"}, {"", "text"}}},
	{"tls", {{"TLS", "name"}, {">COUNT", "count"}, {">OF", "most"}, {"", "text"}}},
	{"limits",
	 {{"LIMIT", "name"},
	  {">REQUESTS", "requests"},
	  {"PER", "per"},
	  {"BY", "by"},
	  {">KEYS", "keys"},
	  {">OF", "keys_max"},
	  {">ALLOWED", "allowed"},
	  {">REFUSED", "refused"},
	  {">OVERFLOW", "overflow"},
	  {">SHARE", "share"},
	  {">WANTED", "wanted"},
	  {">GATEWAYS", "gateways"},
	  {"SHARED", "state"}}},
	{"authorization",
	 {{"SET", "set"},
	  {"RULE", "rule"},
	  {"ACTION", "action"},
	  {">ALLOWED", "allowed"},
	  {">DENIED", "denied"},
	  {">AUDITED", "audited"},
	  {"USED BY", "used"}}},
	{"hosts",
	 {{"TABLE", "table"},
	  {"HOST", "host"},
	  {"MATCH", "match"},
	  {">ROUTES", "routes"},
	  {">REQUESTS", "requests"},
	  {">NO ROUTE", "no_route"}}},
	{"routes",
	 {{"TABLE", "table"},
	  {"HOST", "host"},
	  {"ROUTE", "route"},
	  {"ACTION", "action"},
	  {"TO", "to"},
	  {">REQUESTS", "requests"},
	  {">2XX", "2xx"},
	  {">3XX", "3xx"},
	  {">4XX", "4xx"},
	  {">5XX", "5xx"},
	  {">RETRIES", "retries"},
	  {">LOCAL", "local"},
	  {">IN", "bytes_in"},
	  {">OUT", "bytes_out"},
	  {">FIRST", "first_us"},
	  {">LAST", "last_us"},
	  {"POLICY", "policy"}}},
	{"generations",
	 {{">GENERATION", "generation"},
	  {"STATE", "state"},
	  {"WRITTEN", "written"},
	  {"FILE", "file"},
	  {"USER", "user"},
	  {">BYTES", "bytes"},
	  {">ROLLBACK OF", "rollback_of"},
	  {">TO CONFIRM", "confirm_left_s"},
	  {"COMMENT", "comment"},
	  {"", "text"}}},
};

/* Below a second to the microsecond. */
static void
us_cell(struct ctl_table *t, long long us)
{
	if (us < 1000)
		ctl_table_cell(t, "%lldus", us);
	else if (us < 1000000)
		ctl_table_cell(t, "%lld.%lldms", us / 1000, us % 1000 / 100);
	else
		ctl_table_time(t, us / 1000);
}

static void
list_cell(struct ctl_table *t, const json_t *list)
{
	char text[256] = "";
	size_t i, n = 0;
	json_t *v;

	json_array_foreach(list, i, v) if (n < sizeof(text)) n +=
		(size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "",
				 json_is_string(v) ? json_string_value(v) : "");
	ctl_table_cell(t, "%s", text);
}

/* "shop, wild; client required", "5 server names"; of a service "verified", with its certificate where it shows one. */
static void
tls_cell(struct ctl_table *t, const json_t *o, const json_t *tls)
{
	const json_t *certs = json_object_get(tls, "certificates");
	size_t n = 0, names = json_array_size(json_object_get(o, "server_names")), i;
	const char *client = ctl_str(tls, "client"), *own = ctl_str(tls, "certificate");
	char text[256] = "";
	json_t *v;

	json_array_foreach(certs, i, v) if (n < sizeof(text)) n += (size_t)snprintf(
		text + n, sizeof(text) - n, "%s%s", i ? ", " : "", json_string_value(v));
	if (names)
		ctl_table_cell(t, "%zu server name%s", names, names == 1 ? "" : "s");
	else if (!json_is_object(tls))
		ctl_table_cell(t, "-");
	else if (certs)
		ctl_table_cell(t, "%s%s%s", text, strcmp(client, "none") ? "; client " : "",
			       strcmp(client, "none") ? client : "");
	else
		ctl_table_cell(t, "%s%s%s", ctl_bool(tls, "verify") ? "verified" : "not verified",
			       *own ? "; as " : "", own);
}

/* "2/3, 1/1": of each level how many take flows, of how many. */
static void
put_levels(char *text, size_t size, const json_t *levels)
{
	size_t n = 0, i;
	json_t *v;

	text[0] = 0;
	json_array_foreach(levels, i, v) if (n < size) n +=
		(size_t)snprintf(text + n, size - n, "%s%lld/%lld", i ? ", " : "",
				 ctl_int(v, "admitting"), ctl_int(v, "endpoints"));
}

/* One level is told by the numbers beside. */
static void
levels_cell(struct ctl_table *t, const json_t *levels)
{
	char text[256];

	put_levels(text, sizeof(text), levels);
	ctl_table_cell(t, "%s", json_array_size(levels) > 1 ? text : "-");
}

/* "canary 1/1; v2 0/2, 1/1; old -" */
static void
subsets_cell(struct ctl_table *t, const json_t *subsets)
{
	char text[512] = "", levels[256];
	size_t n = 0, i;
	json_t *v;

	json_array_foreach(subsets, i, v)
	{
		put_levels(levels, sizeof(levels), json_object_get(v, "levels"));
		if (n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s", i ? "; " : "",
					      ctl_str(v, "name"), *levels ? levels : "-");
	}
	ctl_table_cell(t, "%s", *text ? text : "-");
}

/* "requests 3/3 open, limited 5; retries 1/3": those that have something under way, or ever were reached. */
static void
breakers_cell(struct ctl_table *t, const json_t *breakers)
{
	char text[256] = "", max[32], limited[48];
	size_t n = 0, i;
	json_t *v;

	json_array_foreach(breakers, i, v)
	{
		long long now = ctl_int(v, "under_way"), times = ctl_int(v, "limited");
		if ((now == 0 && times == 0) || n >= sizeof(text))
			continue;
		snprintf(max, sizeof(max), "/%lld", ctl_int(v, "max"));
		snprintf(limited, sizeof(limited), ", limited %lld", times);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %lld%s%s%s", n ? "; " : "",
				      ctl_str(v, "name"), now,
				      json_is_integer(json_object_get(v, "max")) ? max : "",
				      ctl_bool(v, "open") ? " open" : "", times ? limited : "");
	}
	ctl_table_cell(t, "%s", *text ? text : "-");
}

/* "gateway 3, rate 1": how often, by reason. */
static void
ejections_cell(struct ctl_table *t, json_t *ejections)
{
	char text[256] = "";
	const char *word;
	size_t n = 0;
	json_t *v;

	json_object_foreach(ejections, word, v) if (json_integer_value(v) && n < sizeof(text)) n +=
		(size_t)snprintf(text + n, sizeof(text) - n, "%s%s %lld", n ? ", " : "", word,
				 (long long)json_integer_value(v));
	ctl_table_cell(t, "%s", *text ? text : "-");
}

static void
cell(struct ctl_table *t, const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (strcmp(key, "tls") == 0)
		tls_cell(t, o, v);
	else if (strcmp(key, "fraction") == 0 && !ctl_bool(o, "admits"))
		ctl_table_cell(t, "0"); /* drained, disabled, down: nothing, whatever its share */
	else if (json_is_integer(v) && (!strcmp(key, "first_us") || !strcmp(key, "last_us")))
		us_cell(t, json_integer_value(v));
	else if (json_is_integer(v) && (!strcmp(key, "bytes_in") || !strcmp(key, "bytes_out")))
		ctl_table_size(t, json_integer_value(v));
	else if (strcmp(key, "levels") == 0)
		levels_cell(t, v);
	else if (strcmp(key, "subsets") == 0)
		subsets_cell(t, v);
	else if (strcmp(key, "breakers") == 0)
		breakers_cell(t, v);
	else if (json_is_object(v) && strcmp(key, "ejections") == 0)
		ejections_cell(t, v);
	else if (json_is_array(v))
		list_cell(t, v);
	else if (json_is_string(v) && !*json_string_value(v) &&
		 (!strcmp(key, "service") || !strcmp(key, "routes")))
		ctl_table_cell(t, "-");
	else if (json_is_integer(v))
		ctl_table_cell(t, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v) && (!strcmp(key, "busy") || !strcmp(key, "headroom")))
		ctl_table_cell(t, "%.1f %%", 100 * json_real_value(v));
	else if (json_is_real(v) && !strcmp(key, "confirm_left_s"))
		ctl_table_time(t, (long long)(1000 * json_real_value(v)));
	else if (json_is_real(v))
		ctl_table_cell(t, "%.3f", json_real_value(v));
	else if (json_is_boolean(v))
		ctl_table_cell(t, "%s", json_is_true(v) ? "yes" : "no");
	else if (json_is_string(v))
		ctl_table_cell(t, "%s", json_string_value(v));
	else
		ctl_table_cell(t, "-");
}

/* Events of TCP and HTTP are many, and most of them rare. */
static bool
left_out(const struct ctl *c, const json_t *o)
{
	return !c->opt[CTL_OPT_ALL] && !strcmp(ctl_str(o, "kind"), "event") &&
	       ctl_int(o, "count") == 0;
}

static void
print_show(const struct ctl *ctl, const struct show *s, const json_t *rows)
{
	const char *titles[MAX_COLUMNS + 1] = {0};
	size_t i, c;
	json_t *o;

	for (c = 0; c < MAX_COLUMNS && s->columns[c].title; c++)
		titles[c] = s->columns[c].title;
	struct ctl_table *t = ctl_table_new(titles);
	json_array_foreach(rows, i, o)
	{
		for (c = 0; titles[c] && !left_out(ctl, o); c++)
			cell(t, o, s->columns[c].key);
	}
	ctl_table_print(t);
}

static void
print_audit(const json_t *rows)
{
	size_t i;
	json_t *o;

	json_array_foreach(rows, i, o)
	{
		char *line = json_dumps(o, JSON_COMPACT);
		printf("%s\n", line ? line : "");
		free(line);
	}
}

const char *const ctl_show_what[] = {
	"status",      "listeners", "services",      "endpoints", "sources",  "jwt",      "hosts",
	"routes",      "limits",    "authorization", "workers",   "ports",    "drops",    "flows",
	"streams",     "tcp",       "http",          "tls",       "announce", "registry", "store",
	"generations", "audit",     "shadow",        NULL};

static int
cannot_show(const struct ctl *c, const char *what)
{
	const char *near = ctl_near(what, ctl_show_what);
	char list[320] = "there are";

	for (size_t i = 0, at = strlen(list); ctl_show_what[i] && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s %s", i ? "," : "",
				       ctl_show_what[i]);
	if (near)
		snprintf(list, sizeof(list), "did you mean '%s'?", near);
	return ctl_fail(c, CTL_USAGE, list, "cannot show '%s'", what);
}

int
ctl_show(struct ctl *c)
{
	const char *what = c->argv[0];
	const struct show *s = NULL;
	int rc;

	if (!strcmp(what, "status"))
		return ctl_status(c);
	if (!strcmp(what, "flows"))
		return ctl_flows(c);
	if (!strcmp(what, "announce"))
		return ctl_announce(c);
	if (!strcmp(what, "streams"))
		return ctl_streams(c);
	if (!strcmp(what, "ports"))
		return ctl_ports(c);
	if (!strcmp(what, "registry"))
		return ctl_registry(c);
	if (!strcmp(what, "shadow"))
		return ctl_shadow(c);
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		if (!strcmp(shows[i].what, what))
			s = &shows[i];
	if (!s && strcmp(what, "audit"))
		return cannot_show(c, what);
	json_t *r = json_pack("{s:s,s:s}", "verb", "show", "what", what);
	const char *key = strcmp(what, "authorization") ? "service" : "set";
	if (!ctl_put(c, r, key, c->argc > 1 ? c->argv[1] : NULL) ||
	    !ctl_put(c, r, "table", c->opt[CTL_OPT_TABLE]) ||
	    !ctl_put(c, r, "host", c->opt[CTL_OPT_HOST]) ||
	    !ctl_put(c, r, "route", c->opt[CTL_OPT_ROUTE]))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	if (s)
		print_show(c, s, json_object_get(a, what));
	else
		print_audit(json_object_get(a, what));
	ctl_print_shadow(a);
	if (*ctl_str(a, "trouble"))
		fprintf(stderr, "%s\n", ctl_str(a, "trouble"));
	if (json_is_false(json_object_get(a, "dataplane")))
		fprintf(stderr, "the dataplane is not connected: counters are 0\n");
	json_decref(a);
	return rc;
}

int
ctl_status(struct ctl *c)
{
	int rc;
	json_t *a = ctl_call(c, json_pack("{s:s}", "verb", "status"), &rc), *v;
	size_t i;

	if (!a)
		return rc;
	const json_t *d = json_object_get(a, "daemon"), *p = json_object_get(a, "dataplane"),
		     *g = json_object_get(a, "generation"), *n = json_object_get(a, "counts");
	printf("daemon      pid %lld, version %s, since %s\n", ctl_int(d, "pid"),
	       ctl_str(d, "version"), ctl_str(d, "started"));
	json_array_foreach(json_object_get(d, "notes"), i, v)
		printf("            %s\n", json_string_value(v));
	if (ctl_bool(p, "connected")) {
		printf("dataplane   pid %lld, boot %s, %lld workers, ports", ctl_int(p, "pid"),
		       ctl_str(p, "boot_id"), ctl_int(p, "workers"));
		json_array_foreach(json_object_get(p, "ports"), i, v)
			printf(" %s", json_string_value(v));
		printf(", connected since %s\n", ctl_str(p, "since"));
		printf("privileges  %s\n", ctl_str(p, "privileges"));
	} else {
		printf("dataplane   not connected: %s\n", ctl_str(p, "error"));
	}
	printf("generation  %lld active", ctl_int(g, "active"));
	if (ctl_int(g, "push") != ctl_int(g, "active"))
		printf(" (push %lld)", ctl_int(g, "push"));
	if (ctl_int(g, "pending"))
		printf(", %lld pending", ctl_int(g, "pending"));
	if (ctl_int(g, "active") || ctl_int(g, "pending"))
		printf(" (%s, %s)\n", ctl_str(g, "file"), ctl_str(g, "committed"));
	else
		printf(": no table has been pushed (sluicectl push FILE)\n");
	const json_t *w = json_object_get(g, "confirm");
	if (json_is_object(w))
		printf("confirm     generation %lld is taken back to %lld in %.0f s unless: "
		       "sluicectl confirm\n",
		       ctl_int(w, "generation"), ctl_int(w, "back_to"), ctl_num(w, "left_s"));
	printf("table       %lld listeners, %lld services, %lld endpoints\n",
	       ctl_int(n, "listeners"), ctl_int(n, "services"), ctl_int(n, "endpoints"));
	printf("endpoints   %lld up, %lld down, %lld unknown, %lld unprobed, %lld draining, %lld "
	       "disabled\n",
	       ctl_int(n, "up"), ctl_int(n, "down"), ctl_int(n, "unknown"), ctl_int(n, "unprobed"),
	       ctl_int(n, "draining"), ctl_int(n, "disabled"));
	n = json_object_get(a, "flows");
	if (*ctl_str(n, "text"))
		printf("flows       %s (%s)\n", ctl_str(n, "text"), ctl_str(n, "at"));
	printf("you         %s (uid %lld)\n", ctl_str(a, "role"), ctl_int(a, "uid"));
	json_decref(a);
	return rc;
}

static void
print_counters(const char *prefix, const json_t *o)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v)
	{
		if (json_is_integer(v))
			printf("%s%-20s %20lld\n", prefix, key, (long long)json_integer_value(v));
		else if (json_is_object(v))
			printf("%s%-20s count %lld, p50 %lld, p99 %lld, p99.9 %lld\n", prefix, key,
			       ctl_int(v, "cnt"), ctl_int(v, "p50"), ctl_int(v, "p99"),
			       ctl_int(v, "p999"));
	}
}

int
ctl_stats(struct ctl *c)
{
	int rc;
	json_t *a = ctl_call(c, json_pack("{s:s}", "verb", "stats"), &rc), *o;
	size_t i;

	if (!a)
		return rc;
	printf("boot %s, generation %lld\n\nall workers\n", ctl_str(a, "boot_id"),
	       ctl_int(a, "generation"));
	print_counters("  ", json_object_get(a, "total"));
	json_array_foreach(json_object_get(a, "workers"), i, o)
	{
		printf("\nworker %lld\n", ctl_int(o, "worker"));
		print_counters("  ", o);
	}
	printf("\n");
	for (size_t s = 0; s < sizeof(shows) / sizeof(shows[0]); s++) {
		const char *what = shows[s].what;
		if (strcmp(what, "drops") && strcmp(what, "ports") && strcmp(what, "tcp") &&
		    strcmp(what, "http") && strcmp(what, "tls"))
			continue;
		print_show(c, &shows[s], json_object_get(a, what));
		printf("\n");
	}
	json_decref(a);
	return rc;
}

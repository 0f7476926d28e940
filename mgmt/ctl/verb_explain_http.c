/* verb_explain_http — what would become of a request: route, the conditions that held, service, endpoint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

/* The gateway's own answer, or that there is none. */
static void
print_verdict(const json_t *a)
{
	const char *text = ctl_str(a, "text"), *action = ctl_str(a, "action");
	long long status = ctl_int(a, "status");
	size_t i;
	json_t *f;

	if (status == 0) {
		printf("answer      of the endpoint: the request is sent on\n");
		return;
	}
	printf("answer      %lld, of the gateway itself", status);
	if (!strcmp(action, "redirect"))
		printf(": Location %s", text);
	else if (*text)
		printf(": %s", text);
	json_array_foreach(json_object_get(a, "flags"), i, f)
		printf("%s%s (%s)", i ? ", " : "; ", ctl_str(f, "flag"), ctl_str(f, "text"));
	printf("\n");
}

static void
print_route(const json_t *a)
{
	const json_t *l = json_object_get(a, "listener");
	size_t i;
	json_t *v;

	if (json_is_object(l))
		printf("listener    %s (%s port %s)\n", ctl_str(l, "name"), ctl_str(l, "address"),
		       ctl_str(l, "ports"));
	if (*ctl_str(a, "host"))
		printf("host        %s, table %s\n", ctl_str(a, "host"), ctl_str(a, "table"));
	if (!*ctl_str(a, "route"))
		return;
	printf("route       %s (number %lld of the host)\n", ctl_str(a, "route"),
	       ctl_int(a, "route_index") + 1);
	json_array_foreach(json_object_get(a, "conditions"), i, v)
		printf("%s%s\n", i ? "            " : "because     ", json_string_value(v));
	printf("action      %s\n", ctl_str(a, "action"));
}

static void
print_way(const json_t *a)
{
	const json_t *s = json_object_get(a, "service"), *e = json_object_get(a, "endpoint");
	bool goes_on = ctl_int(a, "status") == 0;

	if (json_is_object(s))
		printf("service     %s%s%s, policy %s\n", ctl_str(s, "name"),
		       *ctl_str(a, "subset") ? ", subset " : "", ctl_str(a, "subset"),
		       ctl_str(s, "policy"));
	ctl_explain_level(a);
	if (json_is_object(e))
		printf("endpoint    %s (%s port %lld), %s\n", ctl_str(e, "name"),
		       ctl_str(e, "address"), ctl_int(e, "port"), ctl_str(e, "state"));
	if (*ctl_str(a, "path"))
		printf("path        %s\n", ctl_str(a, "path"));
	if (goes_on && *ctl_str(a, "text"))
		printf("sent as     %s\n", ctl_str(a, "text"));
}

static void
print_answer(const json_t *a)
{
	size_t i;
	json_t *v;

	print_verdict(a);
	printf("worker      %lld, generation %lld\n", ctl_int(a, "worker"),
	       ctl_int(a, "generation"));
	print_route(a);
	print_way(a);
	printf("looked at   %lld candidates, %lld databases\n", ctl_int(a, "verified"),
	       ctl_int(a, "scanned"));
	json_array_foreach(json_object_get(a, "sentences"), i, v)
		printf("  %s\n", json_string_value(v));
}

/* The -H lines as one text; NULL: no memory. */
static char *
join_headers(const struct ctl *c)
{
	size_t size = 1;

	for (int i = 0; i < c->header_cnt; i++)
		size += strlen(c->header[i]) + 1;
	char *text = calloc(1, size), *at = text;
	for (int i = 0; text && i < c->header_cnt; i++)
		at += sprintf(at, "%s\n", c->header[i]);
	return text;
}

int
ctl_explain_http(struct ctl *c)
{
	int rc;

	if (c->argc)
		return ctl_fail(c, CTL_USAGE, "the request is one word: 'GET /PATH'",
				"explain --http takes no further arguments");
	for (int i = 0; i < c->header_cnt; i++)
		if (!strchr(c->header[i], ':'))
			return ctl_fail(c, CTL_USAGE, NULL, "header '%s' has no colon",
					c->header[i]);
	char *headers = join_headers(c);
	if (!headers)
		return ctl_fail(c, CTL_NO_PEER, NULL, "out of memory");
	json_t *r = json_pack("{s:s}", "verb", "explain_http");
	bool put = ctl_put(c, r, "request", c->opt[CTL_OPT_HTTP]) &&
		   ctl_put(c, r, "headers", headers) &&
		   ctl_put(c, r, "host", c->opt[CTL_OPT_HOST]) &&
		   ctl_put(c, r, "listener", c->opt[CTL_OPT_LISTENER]) &&
		   ctl_put(c, r, "from", c->opt[CTL_OPT_FROM]);
	free(headers);
	json_t *a = put ? ctl_call(c, r, &rc) : NULL;
	if (!put)
		return CTL_USAGE;
	if (a)
		print_answer(a);
	json_decref(a);
	return rc;
}

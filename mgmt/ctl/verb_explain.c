/* verb_explain — what the gateway would do with a packet, or with a request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

/* "192.0.2.1:80" or "[2001:db8::1]:80" → address text and port. */
static bool
split(const char *text, char addr[64], long *ret_port)
{
	const char *colon = strrchr(text, ':');
	char *end;

	if (!colon || colon == text)
		return false;
	size_t n = (size_t)(colon - text);
	if (text[0] == '[') {
		if (text[n - 1] != ']')
			return false;
		text++;
		n -= 2;
	}
	if (n == 0 || n >= 64)
		return false;
	memcpy(addr, text, n);
	addr[n] = 0;
	*ret_port = strtol(colon + 1, &end, 10);
	return end != colon + 1 && !*end && *ret_port >= 0 && *ret_port <= 65535;
}

static void
print_tuple(const char *label, const json_t *t)
{
	if (json_is_object(t))
		printf("%s%s %s port %lld → %s port %lld\n", label, ctl_str(t, "protocol"),
		       ctl_str(t, "src"), ctl_int(t, "sport"), ctl_str(t, "dst"),
		       ctl_int(t, "dport"));
}

void
ctl_explain_level(const json_t *a)
{
	const json_t *l = json_object_get(a, "level");

	if (!json_is_object(l) || (ctl_int(l, "levels") < 2 && !ctl_bool(l, "panic")))
		return;
	printf("level       %lld (of 0 to %lld), takes %.1f %%%s\n", ctl_int(l, "level"),
	       ctl_int(l, "levels") - 1, json_real_value(json_object_get(l, "percent")),
	       ctl_bool(l, "panic") ? "; health is ignored there" : "");
}

static void
print_answer(const json_t *a)
{
	const json_t *l = json_object_get(a, "listener"), *s = json_object_get(a, "service"),
		     *e = json_object_get(a, "endpoint"), *d = json_object_get(a, "drop");
	const json_t *t = json_object_get(a, "tunnel"), *f = json_object_get(a, "source");
	size_t i;
	json_t *v;

	printf("verdict     %s", ctl_str(a, "verdict"));
	if (json_is_object(d))
		printf(" (%s: %s)", ctl_str(d, "reason"), ctl_str(d, "text"));
	printf("\nworker      %lld (bucket %lld), generation %lld\n", ctl_int(a, "worker"),
	       ctl_int(a, "bucket"), ctl_int(a, "generation"));
	if (json_is_object(l))
		printf("listener    %s (%s port %s)\n", ctl_str(l, "name"), ctl_str(l, "address"),
		       ctl_str(l, "ports"));
	const json_t *rules = json_object_get(a, "authorization");
	if (json_is_object(rules))
		printf("rules       %s: %s\n", ctl_str(rules, "rule"),
		       ctl_bool(rules, "denied") ? "refused" : "let through");
	if (json_is_object(s))
		printf("service     %s, mode %s, policy %s\n", ctl_str(s, "name"),
		       ctl_str(s, "forward"), ctl_str(s, "policy"));
	if (json_is_object(e))
		printf("endpoint    %s (%s port %lld), %s\n", ctl_str(e, "name"),
		       ctl_str(e, "address"), ctl_int(e, "port"), ctl_str(e, "state"));
	ctl_explain_level(a);
	printf("why         %s\n", ctl_str(a, "why_text"));
	if (*ctl_str(a, "port_out"))
		printf("out         port %s, next hop %s\n", ctl_str(a, "port_out"),
		       ctl_str(a, "next_hop"));
	if (json_is_object(t)) {
		printf("tunnel      %s from %s%s to %s", ctl_str(t, "type"),
		       ctl_bool(t, "spread") ? "an address of " : "", ctl_str(t, "source"),
		       ctl_str(t, "destination"));
		if (json_object_get(t, "port"))
			printf(" port %lld", ctl_int(t, "port"));
		printf("\n");
	}
	if (json_is_object(f))
		printf("source      %s port %lld\n", ctl_str(f, "address"), ctl_int(f, "port"));
	print_tuple("leaves as   ", json_object_get(a, "out"));
	json_array_foreach(json_object_get(a, "sentences"), i, v)
		printf("  %s\n", json_string_value(v));
}

/* -H ':identity: NAME' and -H ':sni: NAME': who the client's certificate says that it is, and whom it asks for. */
static int
put_who(struct ctl *c, json_t *r)
{
	static const char *const names[] = {"identity", "sni"};

	for (int i = 0; i < c->header_cnt; i++) {
		const char *h = c->header[i], *value = NULL, *key = NULL;
		for (unsigned k = 0; k < 2; k++) {
			size_t n = strlen(names[k]);
			if (h[0] == ':' && !strncmp(h + 1, names[k], n) && h[n + 1] == ':') {
				key = names[k];
				value = h + n + 2;
			}
		}
		if (!key)
			return ctl_fail(c, CTL_USAGE, "':identity: NAME' or ':sni: NAME'",
					"'%s' says nothing of a connection", h);
		if (!ctl_put(c, r, key, value + strspn(value, " ")))
			return CTL_USAGE;
	}
	return CTL_OK;
}

int
ctl_explain(struct ctl *c)
{
	char src[64], dst[64];
	long sport, dport;
	int rc;

	if (c->opt[CTL_OPT_HTTP])
		return ctl_explain_http(c);
	if (c->argc != 3)
		return ctl_fail(c, CTL_USAGE, "or: explain --http 'GET /PATH' [-H 'NAME: VALUE']",
				"usage: sluicectl explain tcp|udp SRC:PORT DST:PORT");
	if (strcmp(c->argv[0], "tcp") && strcmp(c->argv[0], "udp"))
		return ctl_fail(c, CTL_USAGE, NULL, "'%s' is neither tcp nor udp", c->argv[0]);
	for (int i = 1; i <= 2; i++)
		if (!split(c->argv[i], i == 1 ? src : dst, i == 1 ? &sport : &dport))
			return ctl_fail(c, CTL_USAGE, "[ADDRESS]:PORT for IPv6",
					"'%s' is not ADDRESS:PORT", c->argv[i]);
	json_t *r = json_pack("{s:s,s:s,s:i,s:i}", "verb", "explain", "protocol", c->argv[0],
			      "sport", (int)sport, "dport", (int)dport);
	if (!ctl_put(c, r, "src", src) || !ctl_put(c, r, "dst", dst) ||
	    !ctl_put(c, r, "flags", c->flags) || !ctl_put(c, r, "port", c->port))
		return CTL_USAGE;
	if ((rc = put_who(c, r)) != CTL_OK) {
		json_decref(r);
		return rc;
	}
	json_t *a = ctl_call(c, r, &rc);
	if (a)
		print_answer(a);
	json_decref(a);
	return rc;
}

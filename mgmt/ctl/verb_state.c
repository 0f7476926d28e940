/* verb_state — drain, undrain, disable, enable, weight, maintenance: one endpoint's administrative state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

/* more: further keys of the request, taken over. */
static int
change(struct ctl *c, const char *service, const char *endpoint, json_t *more)
{
	json_t *r = json_pack("{s:s,s:s,s:s}", "verb", c->verb, "service", service, "endpoint",
			      endpoint);
	int rc;

	if (r)
		json_object_update(r, more);
	json_decref(more);
	if (!r)
		return ctl_fail(c, CTL_USAGE, NULL, "names are UTF-8");
	if (!ctl_put(c, r, "comment", c->comment) ||
	    !ctl_put(c, r, "reason", c->opt[CTL_OPT_REASON]))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	const json_t *e = json_object_get(a, "endpoint");
	printf("%s/%s %s, admits %lld of 255, %lld flows%s%s\n", ctl_str(e, "service"),
	       ctl_str(e, "name"), ctl_str(e, "state"),
	       ctl_bool(e, "admits") ? ctl_int(e, "fraction") : 0, ctl_int(e, "flows"),
	       ctl_bool(a, "changed") ? "" : " (it was so already)",
	       ctl_bool(a, "applied") ? "" : "; kept until the dataplane comes");
	if (*ctl_str(a, "note"))
		printf("%s\n", ctl_str(a, "note"));
	json_decref(a);
	return rc;
}

/* drain, undrain, disable, enable */
static int
plain(struct ctl *c)
{
	return change(c, c->argv[0], c->argv[1], NULL);
}

int
ctl_drain(struct ctl *c)
{
	return plain(c);
}

int
ctl_undrain(struct ctl *c)
{
	return plain(c);
}

int
ctl_disable(struct ctl *c)
{
	return plain(c);
}

int
ctl_enable(struct ctl *c)
{
	return plain(c);
}

int
ctl_weight(struct ctl *c)
{
	char *end;
	long n = strtol(c->argv[2], &end, 10);

	if (end == c->argv[2] || *end || n < 0 || n > 100)
		return ctl_fail(c, CTL_USAGE, "0 to 100", "'%s' is no percentage", c->argv[2]);
	return change(c, c->argv[0], c->argv[1], json_pack("{s:i}", "percent", (int)n));
}

int
ctl_maintenance(struct ctl *c)
{
	char *slash = strchr(c->argv[0], '/');
	bool on = strcmp(c->argv[1], "on") == 0;

	if (!slash)
		return ctl_fail(c, CTL_USAGE, "as web/web-1", "'%s' is not SERVICE/ENDPOINT",
				c->argv[0]);
	if (!on && strcmp(c->argv[1], "off"))
		return ctl_fail(c, CTL_USAGE, NULL, "'%s' is neither on nor off", c->argv[1]);
	*slash = 0;
	return change(c, c->argv[0], slash + 1, json_pack("{s:b}", "on", on));
}

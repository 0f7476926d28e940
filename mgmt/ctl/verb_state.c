/* verb_state — drain, undrain, disable, enable, weight: one endpoint's administrative state. */
#include <stdio.h>
#include <stdlib.h>

#include "mgmt/ctl/ctl.h"

static int
change(struct ctl *c, const char *verb, int percent)
{
	json_t *r = json_pack("{s:s,s:s,s:s}", "verb", verb, "service", c->argv[0], "endpoint",
			      c->argv[1]);
	int rc;

	if (!r)
		return ctl_fail(c, CTL_USAGE, NULL, "names are UTF-8");
	if (percent >= 0)
		json_object_set_new(r, "percent", json_integer(percent));
	if (!ctl_put(c, r, "comment", c->comment))
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

int
ctl_drain(struct ctl *c)
{
	return change(c, "drain", -1);
}

int
ctl_undrain(struct ctl *c)
{
	return change(c, "undrain", -1);
}

int
ctl_disable(struct ctl *c)
{
	return change(c, "disable", -1);
}

int
ctl_enable(struct ctl *c)
{
	return change(c, "enable", -1);
}

int
ctl_weight(struct ctl *c)
{
	char *end;
	long n = strtol(c->argv[2], &end, 10);

	if (end == c->argv[2] || *end || n < 0 || n > 100)
		return ctl_fail(c, CTL_USAGE, "0 to 100", "'%s' is no percentage", c->argv[2]);
	return change(c, "weight", (int)n);
}

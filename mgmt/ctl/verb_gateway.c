/* verb_gateway — gateway drain, gateway undrain; show announce. */
#include <stdio.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

int
ctl_gateway(struct ctl *c)
{
	const char *op = c->argv[0];
	int rc;

	if (strcmp(op, "drain") && strcmp(op, "undrain"))
		return ctl_fail(c, CTL_USAGE, "gateway drain, gateway undrain",
				"cannot %s the gateway", op);
	json_t *r = json_pack("{s:s,s:s}", "verb", "gateway", "op", op);
	if (!ctl_put(c, r, "comment", c->comment))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	printf("the gateway is %s%s%s\n", ctl_bool(a, "drained") ? "drained" : "not drained",
	       ctl_bool(a, "drained") && !*ctl_str(a, "note") ? ": no VIP is announced" : "",
	       ctl_bool(a, "changed") ? "" : " (it was so already)");
	if (*ctl_str(a, "note"))
		printf("%s\n", ctl_str(a, "note"));
	json_decref(a);
	return rc;
}

static void
print_vips(const json_t *vips)
{
	static const char *const titles[] = {"VIP", "POLICY", "STATE", "WHY", "LISTENERS", NULL};
	struct ctl_table *t = ctl_table_new(titles);
	json_t *v, *l;
	size_t i, k;

	json_array_foreach(vips, i, v)
	{
		char names[256] = "";
		size_t n = 0;
		json_array_foreach(json_object_get(v, "listeners"), k, l)
		{
			if (n < sizeof(names))
				n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
						      k ? " " : "", json_string_value(l));
		}
		ctl_table_cell(t, "%s", ctl_str(v, "vip"));
		ctl_table_cell(t, "%s", ctl_str(v, "policy"));
		ctl_table_cell(t, "%s", ctl_str(v, "state"));
		ctl_table_cell(t, "%s", ctl_str(v, "why"));
		ctl_table_cell(t, "%s", names);
	}
	ctl_table_print(t);
}

int
ctl_announce(struct ctl *c)
{
	int rc;
	json_t *a = ctl_call(c, json_pack("{s:s,s:s}", "verb", "show", "what", "announce"), &rc);
	const json_t *o = json_object_get(a, "announce");

	if (!a)
		return rc;
	if (ctl_bool(o, "on")) {
		printf("BIRD     %s%s%s\n",
		       *ctl_str(o, "bird") ? ctl_str(o, "bird") : "not connected",
		       *ctl_str(o, "error") ? ": " : "", ctl_str(o, "error"));
		printf("file     %s\n", ctl_str(o, "routes"));
		printf("gateway  %s%s\n",
		       ctl_bool(o, "serving") ? "serves" : ctl_str(o, "not_serving"),
		       ctl_bool(o, "drained") ? "; drained" : "");
		print_vips(json_object_get(o, "vips"));
	} else {
		printf("nothing is announced: sluiced.conf has no group announce%s\n",
		       ctl_bool(o, "drained") ? "; the gateway is drained" : "");
	}
	json_decref(a);
	return rc;
}

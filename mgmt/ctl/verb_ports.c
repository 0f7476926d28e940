/* verb_ports — show ports: all of them as a table, one of them on a page. */
#include <stdio.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

/* "up 10G", "up", "down", "gone" */
static void
link_text(const json_t *o, char *buf, size_t size)
{
	long long mbps = ctl_int(o, "speed_mbps");
	const char *link = ctl_str(o, "link");

	if (strcmp(link, "up") || mbps <= 0)
		snprintf(buf, size, "%s", *link ? link : "-");
	else if (mbps % 1000)
		snprintf(buf, size, "up %lldM", mbps);
	else
		snprintf(buf, size, "up %lldG", mbps / 1000);
}

static void
number_cell(struct ctl_table *t, const json_t *o, const char *key)
{
	if (json_is_integer(json_object_get(o, key)))
		ctl_table_cell(t, "%lld", ctl_int(o, key));
	else
		ctl_table_cell(t, "-");
}

static void
text_cell(struct ctl_table *t, const json_t *o, const char *key)
{
	ctl_table_cell(t, "%s", *ctl_str(o, key) ? ctl_str(o, key) : "-");
}

static long long
lost(const json_t *o)
{
	return ctl_int(o, "missed") + ctl_int(o, "no_buffer") + ctl_int(o, "tx_errors");
}

static void
print_all(const json_t *rows)
{
	static const char *const titles[] = {
		"PORT",        ">RX PACKETS", ">RX BYTES",    ">TX PACKETS", ">TX BYTES",
		">TX REFUSED", ">TO KERNEL",  ">FROM KERNEL", ">LIMITED",    ">LOST",
		"LINK",        ">CHANGES",    "DRIVER",       "DEVICE",      ">VLAN",
		"KERNEL",      ">MTU",        ">NUMA",        ">QUEUES",     "SPREAD",
		NULL};
	struct ctl_table *t = ctl_table_new(titles);
	char text[32];
	size_t i;
	json_t *o;

	json_array_foreach(rows, i, o)
	{
		text_cell(t, o, "name");
		number_cell(t, o, "rx_packets");
		number_cell(t, o, "rx_bytes");
		number_cell(t, o, "tx_packets");
		number_cell(t, o, "tx_bytes");
		number_cell(t, o, "tx_full");
		number_cell(t, o, "to_kernel");
		number_cell(t, o, "from_kernel");
		number_cell(t, o, "kernel_limited");
		ctl_table_cell(t, "%lld", lost(o));
		link_text(o, text, sizeof(text));
		ctl_table_cell(t, "%s", text);
		number_cell(t, o, "link_changes");
		text_cell(t, o, "driver");
		text_cell(t, o, "device");
		number_cell(t, o, "vlan");
		snprintf(text, sizeof(text), "%s (%s)", ctl_str(o, "kernel"),
			 ctl_str(o, "kernel_by"));
		ctl_table_cell(t, "%s", *ctl_str(o, "kernel") ? text : "-");
		number_cell(t, o, "mtu");
		number_cell(t, o, "numa");
		ctl_table_cell(t, "%lld/%lld", ctl_int(o, "rx_queues"), ctl_int(o, "tx_queues"));
		text_cell(t, o, "spread");
	}
	ctl_table_print(t);
}

static void
print_words(const char *title, const json_t *list)
{
	size_t i;
	json_t *v;

	printf("%-20s", title);
	json_array_foreach(list, i, v) printf(" %s", json_is_string(v) ? json_string_value(v) : "");
	printf("%s\n", json_array_size(list) ? "" : " none");
}

static void
print_one(const json_t *o)
{
	static const char *const texts[] = {"name",   "driver",    "device", "mac",
					    "kernel", "kernel_by", "spread"};
	static const char *const numbers[] = {
		"mtu",          "vlan",          "numa",      "rx_queues",  "tx_queues",
		"link_changes", "rx_packets",    "rx_bytes",  "tx_packets", "tx_bytes",
		"tx_full",      "missed",        "no_buffer", "tx_errors",  "to_kernel",
		"from_kernel",  "kernel_limited"};
	char text[32];
	const char *name;
	json_t *v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		printf("%-20s %s\n", texts[i], *ctl_str(o, texts[i]) ? ctl_str(o, texts[i]) : "-");
	link_text(o, text, sizeof(text));
	printf("%-20s %s\n", "link", text);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (json_is_integer(json_object_get(o, numbers[i])))
			printf("%-20s %lld\n", numbers[i], ctl_int(o, numbers[i]));
		else
			printf("%-20s -\n", numbers[i]);
	}
	print_words("device can", json_object_get(o, "can"));
	print_words("device does", json_object_get(o, "uses"));
	json_object_foreach(json_object_get(o, "xstats"), name, v)
		printf("  %-40s %20lld\n", name, (long long)json_integer_value(v));
}

int
ctl_ports(struct ctl *c)
{
	const char *name = c->argc > 1 ? c->argv[1] : NULL;
	int rc;

	if (c->opt[CTL_OPT_EXTENDED] && !name)
		return ctl_fail(c, CTL_USAGE, "show ports NAME --extended",
				"--extended needs the name of a port");
	json_t *r = json_pack("{s:s,s:s}", "verb", "show", "what", "ports");
	if (c->opt[CTL_OPT_EXTENDED])
		json_object_set_new(r, "extended", json_true());
	if (!ctl_put(c, r, "port", name))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (!a)
		return rc;
	const json_t *rows = json_object_get(a, "ports");
	if (name)
		print_one(json_array_get(rows, 0));
	else
		print_all(rows);
	if (json_is_false(json_object_get(a, "dataplane")))
		fprintf(stderr, "the dataplane is not connected: counters are 0\n");
	json_decref(a);
	return rc;
}

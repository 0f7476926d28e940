#include "dataplane/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define SYS_CPU "/sys/devices/system/cpu"

bool
sl_machine_list(const char *text, bool *flags)
{
	const char *p = text;
	char *end;

	while (*p && *p != '\n') {
		unsigned long from = strtoul(p, &end, 10), to = from;
		if (end == p)
			return false;
		if (*end == '-') {
			p = end + 1;
			to = strtoul(p, &end, 10);
			if (end == p)
				return false;
		}
		if (to < from || to >= SL_MACHINE_CPUS)
			return false;
		for (unsigned long i = from; i <= to; i++)
			flags[i] = true;
		if (*end != ',' && *end != '\n' && *end)
			return false;
		p = end + (*end == ',');
	}
	return true;
}

static bool
read_list(const char *path, bool *flags)
{
	char text[4096];
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(text, sizeof(text), f) && sl_machine_list(text, flags);

	if (f)
		fclose(f);
	return ok;
}

/* isolcpus takes CPUs out of what a process may use unless it asks: whether it may. */
static bool
may_ask(unsigned cpu, const cpu_set_t *mine)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		return false;
	sched_setaffinity(0, sizeof(*mine), mine);
	return true;
}

static void
read_cores(struct sl_machine *m)
{
	for (unsigned i = 0; i < m->cpu_cnt; i++) {
		bool siblings[SL_MACHINE_CPUS] = {false};
		char path[96];
		m->cpu[i].core = (int16_t)i;
		snprintf(path, sizeof(path), SYS_CPU "/cpu%u/topology/thread_siblings_list", i);
		if (!read_list(path, siblings))
			continue;
		for (unsigned k = 0; k < i; k++)
			if (siblings[k]) {
				m->cpu[i].core = (int16_t)k;
				break;
			}
	}
}

static void
read_nodes(struct sl_machine *m)
{
	bool nodes[SL_MACHINE_CPUS] = {false};

	m->node_cnt = 1;
	if (!read_list("/sys/devices/system/node/online", nodes))
		return;
	for (unsigned n = 0; n < SL_MACHINE_CPUS; n++) {
		bool cpus[SL_MACHINE_CPUS] = {false};
		char path[96];
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", n);
		if (!nodes[n] || !read_list(path, cpus))
			continue;
		m->node_cnt = SL_MAX(m->node_cnt, n + 1);
		for (unsigned i = 0; i < m->cpu_cnt; i++)
			if (cpus[i])
				m->cpu[i].node = (int16_t)n;
	}
}

void
sl_machine_read(struct sl_machine *ret)
{
	bool isolated[SL_MACHINE_CPUS] = {false}, online[SL_MACHINE_CPUS] = {false};
	cpu_set_t mine;

	*ret = (struct sl_machine){0};
	if (sched_getaffinity(0, sizeof(mine), &mine) < 0)
		CPU_ZERO(&mine);
	read_list(SYS_CPU "/isolated", isolated);
	read_list(SYS_CPU "/online", online);
	for (unsigned i = 0; i < SL_MACHINE_CPUS; i++) {
		ret->cpu[i].isolated = isolated[i];
		ret->cpu[i].usable =
			CPU_ISSET(i, &mine) || (isolated[i] && online[i] && may_ask(i, &mine));
		if (ret->cpu[i].usable)
			ret->cpu_cnt = i + 1;
	}
	read_cores(ret);
	read_nodes(ret);
}

int
sl_machine_device_node(const char *device, bool pci)
{
	char path[160];
	int node = -1;

	if (strchr(device, '/'))
		return -1;
	snprintf(path, sizeof(path),
		 pci ? "/sys/bus/pci/devices/%s/numa_node" : "/sys/class/net/%s/device/numa_node",
		 device);
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%d", &node) != 1)
		node = -1;
	if (f)
		fclose(f);
	return node < 0 ? -1 : node;
}

/* One row per check; what they say is gathered, never printed here. */
#include "mgmt/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct sl_doctor_row sl_doctor_rows[] = {
	{"boot file", sl_doctor_kernel_boot},
	{"cpu flags", sl_doctor_cpu_flags},
	{"tsc", sl_doctor_cpu_tsc},
	{"clock source", sl_doctor_cpu_clock},
	{"virtual machine", sl_doctor_cpu_machine},
	{"worker cpus", sl_doctor_cpu_workers},
	{"isolation", sl_doctor_cpu_isolated},
	{"siblings", sl_doctor_cpu_siblings},
	{"frequency", sl_doctor_cpu_frequency},
	{"interrupts", sl_doctor_cpu_interrupts},
	{"hugepages", sl_doctor_memory_huge},
	{"hugepages per node", sl_doctor_memory_nodes},
	{"hugetlbfs", sl_doctor_memory_mount},
	{"transparent huge", sl_doctor_memory_transparent},
	{"swap", sl_doctor_memory_swap},
	{"locked memory", sl_doctor_memory_lock},
	{"iommu", sl_doctor_ports_iommu},
	{"vfio", sl_doctor_ports_vfio},
	{"drivers", sl_doctor_ports_driver},
	{"numa", sl_doctor_ports_numa},
	{"pcie", sl_doctor_ports_pcie},
	{"links", sl_doctor_ports_link},
	{"offloads", sl_doctor_ports_offload},
	{"queues", sl_doctor_ports_queues},
	{"kernel's share", sl_doctor_ports_kernel},
	{"running ports", sl_doctor_ports_running},
	{"kernel", sl_doctor_kernel_version},
	{"af_xdp", sl_doctor_kernel_xdp},
	{"time", sl_doctor_kernel_time},
	{"core dumps", sl_doctor_kernel_cores},
	{"dataplane", sl_doctor_kernel_dataplane},
	{"daemon", sl_doctor_kernel_daemon},
	{"disk", sl_doctor_kernel_disk},
	{NULL, NULL},
};

enum sl_doctor_state
sl_doctor_run(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
	      struct sl_doctor_report *ret_r)
{
	enum sl_doctor_state worst = SL_DOCTOR_OK;

	*ret_r = (struct sl_doctor_report){0};
	for (const struct sl_doctor_row *row = sl_doctor_rows; row->name; row++) {
		ret_r->check = row->name;
		row->run(f, b, ret_r);
	}
	for (unsigned i = 0; i < ret_r->cnt; i++)
		if (ret_r->items[i].state > worst)
			worst = ret_r->items[i].state;
	return worst;
}

void
sl_doctor_report_fini(struct sl_doctor_report *r)
{
	for (unsigned i = 0; i < r->cnt; i++) {
		free(r->items[i].found);
		free(r->items[i].why);
		free(r->items[i].mend);
	}
	free(r->items);
	*r = (struct sl_doctor_report){0};
}

const char *
sl_doctor_state_name(enum sl_doctor_state s)
{
	static const char *const names[] = {"ok", "note", "warning", "error"};

	return names[s];
}

static char *
text(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	for (char *p = s; *p; p++) /* what files say must not move a terminal's cursor */
		if ((unsigned char)*p < 0x20 && *p != '\n')
			*p = '?';
	return s;
}

void
sl_doctor_say(struct sl_doctor_report *r, enum sl_doctor_state state, const char *fmt, ...)
{
	va_list ap;

	r->items = realloc(r->items, (r->cnt + 1) * sizeof(*r->items));
	if (!r->items)
		abort();
	va_start(ap, fmt);
	r->items[r->cnt++] = (struct sl_doctor_finding){state, r->check, text(fmt, ap), NULL, NULL};
	va_end(ap);
}

void
sl_doctor_why(struct sl_doctor_report *r, const char *fmt, ...)
{
	struct sl_doctor_finding *last = &r->items[r->cnt - 1];
	va_list ap;

	va_start(ap, fmt);
	free(last->why);
	last->why = text(fmt, ap);
	va_end(ap);
}

void
sl_doctor_mend(struct sl_doctor_report *r, const char *fmt, ...)
{
	struct sl_doctor_finding *last = &r->items[r->cnt - 1];
	char *all = NULL;
	va_list ap;

	va_start(ap, fmt);
	char *line = text(fmt, ap);
	va_end(ap);
	if (!last->mend) {
		last->mend = line;
		return;
	}
	if (asprintf(&all, "%s\n%s", last->mend, line) < 0)
		abort();
	free(last->mend);
	free(line);
	last->mend = all;
}

bool
sl_doctor_workers(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		  struct sl_doctor_cpus *ret)
{
	if (b->known && !b->worker_ask)
		*ret = b->workers;
	else if (f->dataplane.pid)
		*ret = f->dataplane.workers;
	else
		return false;
	return sl_doctor_cpus_cnt(ret) > 0;
}

/* ---- sets of CPUs ---- */

bool
sl_doctor_cpus_has(const struct sl_doctor_cpus *s, int cpu)
{
	return cpu >= 0 && cpu < SL_DOCTOR_CPUS && s->bits[cpu / 64] >> (cpu % 64) & 1;
}

void
sl_doctor_cpus_add(struct sl_doctor_cpus *s, int cpu)
{
	if (cpu >= 0 && cpu < SL_DOCTOR_CPUS)
		s->bits[cpu / 64] |= 1ull << (cpu % 64);
}

unsigned
sl_doctor_cpus_cnt(const struct sl_doctor_cpus *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SL_DOCTOR_CPUS / 64; i++)
		n += (unsigned)__builtin_popcountll(s->bits[i]);
	return n;
}

void
sl_doctor_cpus_parse(const char *text, struct sl_doctor_cpus *ret)
{
	struct sl_doctor_cpus s = {0};

	while (*text && *text != '\n' && *text != ' ') {
		char *end;
		if (*text >= '0' && *text <= '9') {
			long first = strtol(text, &end, 10), last = first;
			if (end[0] == '-' && end[1] >= '0' && end[1] <= '9')
				last = strtol(end + 1, &end, 10);
			for (long c = first; c <= last && c < SL_DOCTOR_CPUS; c++)
				sl_doctor_cpus_add(&s, (int)c);
			text = end;
		}
		text += strcspn(text, ",\n ");
		text += *text == ',';
	}
	*ret = s;
}

const char *
sl_doctor_cpus_format(const struct sl_doctor_cpus *s, char *buf, size_t size)
{
	size_t n = 0;

	snprintf(buf, size, "none");
	for (int i = 0; i < SL_DOCTOR_CPUS && n < size; i++) {
		int end = i;
		if (!sl_doctor_cpus_has(s, i))
			continue;
		while (sl_doctor_cpus_has(s, end + 1))
			end++;
		n += (size_t)snprintf(buf + n, size - n, end > i ? "%s%d-%d" : "%s%d", n ? "," : "",
				      i, end);
		i = end;
	}
	return buf;
}

struct sl_doctor_cpus
sl_doctor_cpus_minus(const struct sl_doctor_cpus *a, const struct sl_doctor_cpus *b)
{
	struct sl_doctor_cpus s;

	for (unsigned i = 0; i < SL_DOCTOR_CPUS / 64; i++)
		s.bits[i] = a->bits[i] & ~b->bits[i];
	return s;
}

struct sl_doctor_cpus
sl_doctor_cpus_both(const struct sl_doctor_cpus *a, const struct sl_doctor_cpus *b)
{
	struct sl_doctor_cpus s;

	for (unsigned i = 0; i < SL_DOCTOR_CPUS / 64; i++)
		s.bits[i] = a->bits[i] & b->bits[i];
	return s;
}

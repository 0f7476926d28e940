/* The gateway's processes, who moves interrupts, and where interrupts go. */
#include "mgmt/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mgmt/doctor_file.h"

#define THREADS_MAX 1024
#define LINES_MAX 8192 /* of /proc/interrupts */
#define CAP_IPC_LOCK_BIT 14

/* ---- interrupts ---- */

/* CPUs of the columns of /proc/interrupts: "  CPU0  CPU1 …"; how many. */
static unsigned
read_columns(const char *line, int ret_cpu[SL_DOCTOR_CPUS])
{
	size_t len = strcspn(line, "\n");
	const char *end = line + len;
	unsigned n = 0;

	for (const char *p = line; n < SL_DOCTOR_CPUS && (p = strstr(p, "CPU")) && p < end; p += 3)
		ret_cpu[n++] = atoi(p + 3);
	return n;
}

/* One line: " 24:  1  0  IO-APIC  5-edge  ACPI:Ged" */
static void
read_irq(const char *root, const char *line, const int *cpu, unsigned columns,
	 struct sl_doctor_facts *f)
{
	struct sl_doctor_irq *irq = &f->irq[f->irq_cnt];
	struct sl_doctor_cpus came = {0}, goes;
	char *at;
	long number = strtol(line, &at, 10);

	if (at == line || *at != ':' || number < 0 || number > 1000000)
		return; /* NMI, LOC, …: every CPU has them */
	at++;
	for (unsigned i = 0; i < columns; i++) {
		char *end;
		unsigned long long n = strtoull(at, &end, 10);
		if (end == at)
			break;
		if (n)
			sl_doctor_cpus_add(&came, cpu[i]);
		at = end;
	}
	char *list = sl_doctor_file_text(root, "/proc/irq/%ld/effective_affinity_list", number);
	if (!list)
		list = sl_doctor_file_text(root, "/proc/irq/%ld/smp_affinity_list", number);
	sl_doctor_cpus_parse(list ? list : "", &goes);
	*irq = (struct sl_doctor_irq){.number = (int)number,
				      .cpus = sl_doctor_cpus_both(&came, &goes)};
	size_t len = strcspn(at, "\n");
	while (len && at[len - 1] == ' ')
		len--;
	const char *name = at + len;
	while (name > at && name[-1] != ' ')
		name--;
	snprintf(irq->name, sizeof(irq->name), "%.*s", (int)(at + len - name), name);
	free(list);
	f->irq_cnt += sl_doctor_cpus_cnt(&irq->cpus) > 0;
}

static void
read_interrupts(const char *root, struct sl_doctor_facts *f)
{
	char *text = sl_doctor_file_text(root, "/proc/interrupts");
	int cpu[SL_DOCTOR_CPUS];
	unsigned columns = read_columns(text ? text : "", cpu);

	const char *line = text;
	for (unsigned i = 0; line && i < LINES_MAX && f->irq_cnt < SL_DOCTOR_IRQS; i++) {
		line = strchr(line, '\n');
		if (line && *++line)
			read_irq(root, line, cpu, columns, f);
	}
	free(text);
}

/* ---- processes ---- */

/* The value of a line "Name:\tvalue" of a status file. */
static const char *
status_of(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1;
	}
	return NULL;
}

static long
status_number(const char *text, const char *name, int base, long absent)
{
	const char *v = status_of(text, name);
	char *end;
	long n = v ? strtol(v, &end, base) : absent;

	return v && end != v ? n : absent;
}

static uint64_t
status_caps(const char *text)
{
	const char *effective = status_of(text, "CapEff"), *permitted = status_of(text, "CapPrm");

	return (effective ? strtoull(effective, NULL, 16) : 0) |
	       (permitted ? strtoull(permitted, NULL, 16) : 0);
}

static void
lower(int *least, long v)
{
	if (v != SL_DOCTOR_UNKNOWN && (*least == SL_DOCTOR_UNKNOWN || v < *least))
		*least = (int)v;
}

static void
read_thread(const char *root, int pid, const char *task, struct sl_doctor_process *p)
{
	struct sl_doctor_cpus cpus;
	char *text = sl_doctor_file_text(root, "/proc/%d/task/%s/status", pid, task), name[32];
	const char *may;

	if (!text)
		return; /* ended meanwhile */
	p->threads++;
	p->caps |= status_caps(text);
	lower(&p->no_new_privs, status_number(text, "NoNewPrivs", 10, SL_DOCTOR_UNKNOWN));
	lower(&p->seccomp, status_number(text, "Seccomp", 10, SL_DOCTOR_UNKNOWN));
	sl_doctor_file_word(name, sizeof(name), root, "/proc/%d/task/%s/comm", pid, task);
	bool worker = !strncmp(name, "rte-worker", 10) || !strncmp(name, "lcore-worker", 12);
	if (worker && (may = status_of(text, "Cpus_allowed_list"))) {
		sl_doctor_cpus_parse(may + strspn(may, " \t"), &cpus);
		for (unsigned i = 0; i < SL_DOCTOR_CPUS / 64; i++)
			p->workers.bits[i] |= cpus.bits[i];
	}
	free(text);
}

static long
read_memlock(const char *root, const char *process)
{
	static const char name[] = "Max locked memory";
	char *text = sl_doctor_file_text(root, "/proc/%s/limits", process), *end;
	const char *p = text ? strstr(text, name) : NULL;
	long kb = SL_DOCTOR_UNKNOWN;

	if (p) {
		p += sizeof(name) - 1;
		p += strspn(p, " ");
		unsigned long long bytes = strtoull(p, &end, 10);
		kb = strncmp(p, "unlimited", 9) == 0 ? LONG_MAX
		     : end == p                      ? SL_DOCTOR_UNKNOWN
						     : (long)(bytes >> 10);
	}
	free(text);
	return kb;
}

static void
read_process(const char *root, int pid, const char *status, struct sl_doctor_process *p)
{
	char path[PATH_MAX], name[16];

	snprintf(name, sizeof(name), "%d", pid);
	*p = (struct sl_doctor_process){.pid = pid,
					.uid = status_number(status, "Uid", 10, SL_DOCTOR_UNKNOWN),
					.no_new_privs = SL_DOCTOR_UNKNOWN,
					.seccomp = SL_DOCTOR_UNKNOWN,
					.memlock_kb = read_memlock(root, name),
					.swapped_kb = status_number(status, "VmSwap", 10, 0)};
	if (!sl_doctor_file_path(path, sizeof(path), root, "/proc/%d/task", pid))
		return;
	DIR *d = opendir(path);
	for (struct dirent *e; d && p->threads < THREADS_MAX && (e = readdir(d));)
		if (e->d_name[0] != '.')
			read_thread(root, pid, e->d_name, p);
	if (d)
		closedir(d);
}

/* Whether a process is in another network namespace than we are: then it is none of this gateway's.  One that may not be
 * asked counts as here; one that ends has no namespace any more. */
static bool
elsewhere(const char *root, int pid)
{
	char ours[64], its[64];

	sl_doctor_file_link(ours, sizeof(ours), root, "/proc/self/ns/net");
	errno = 0;
	sl_doctor_file_link(its, sizeof(its), root, "/proc/%d/ns/net", pid);
	return ours[0] && (its[0] ? strcmp(ours, its) != 0 : errno == ENOENT);
}

static void
look_at(const char *root, int pid, struct sl_doctor_facts *f)
{
	char name[32], parent[32];

	sl_doctor_file_word(name, sizeof(name), root, "/proc/%d/comm", pid);
	if (strcmp(name, "irqbalance") == 0)
		f->irqbalance = pid;
	bool dataplane = strncmp(name, "sluice-dataplan", 15) == 0;
	if ((!dataplane && strcmp(name, "sluiced")) || elsewhere(root, pid))
		return;
	char *status = sl_doctor_file_text(root, "/proc/%d/status", pid);
	sl_doctor_file_word(parent, sizeof(parent), root, "/proc/%ld/comm",
			    status_number(status, "PPid", 10, 0));
	if (status && strcmp(parent, name)) { /* a child of its own is no second one */
		read_process(root, pid, status, dataplane ? &f->dataplane : &f->daemon);
		f->dataplane_cnt += dataplane;
	}
	free(status);
}

void
sl_doctor_processes_read(const char *root, struct sl_doctor_facts *f)
{
	char path[PATH_MAX];
	char *self = sl_doctor_file_text(root, "/proc/self/status");

	f->ipc_lock = self && status_caps(self) >> CAP_IPC_LOCK_BIT & 1;
	free(self);
	f->memlock_kb = read_memlock(root, "self");
	read_interrupts(root, f);
	DIR *d = sl_doctor_file_path(path, sizeof(path), root, "/proc") ? opendir(path) : NULL;
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && strlen(e->d_name) < 9 &&
		    strspn(e->d_name, "0123456789") == strlen(e->d_name))
			look_at(root, atoi(e->d_name), f);
	if (d)
		closedir(d);
}

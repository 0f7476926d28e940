/* Hugepages: --in-memory takes them without a hugetlbfs mount and leaves no files behind; it does not go
 * with --no-huge, where --no-shconf does the same.  Both also keep instances apart.
 * They are taken as they are needed, not size_mb at once (-m): the first touch of 512 MB of them can take
 * seconds in a virtual machine, and the dataplane is to serve within two. */
#include "dataplane/host.h"

#include "dataplane/placement.h"

#include "dataplane/warden.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/mempolicy.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

const char *
sl_host_cpu_missing(void)
{
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2"))
		return "AVX2";
	if (!__builtin_cpu_supports("bmi2"))
		return "BMI2";
	if (!__builtin_cpu_supports("aes"))
		return "AES-NI";
	if (!__builtin_cpu_supports("pclmul"))
		return "PCLMULQDQ";
	return NULL;
}

/* ---- cores ---- */

/* "0-3,8" */
static void
cpu_list(const struct sl_machine *m, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < m->cpu_cnt && n < size; i++) {
		if (!m->cpu[i].usable)
			continue;
		unsigned end = i;
		while (end + 1 < m->cpu_cnt && m->cpu[end + 1].usable)
			end++;
		n += (size_t)snprintf(buf + n, size - n, end > i ? "%s%u-%u" : "%s%u", n ? "," : "",
				      i, end);
		i = end;
	}
}

static bool
usable(const struct sl_machine *m, int cpu)
{
	return cpu >= 0 && cpu < SL_MACHINE_CPUS && m->cpu[cpu].usable;
}

static bool
is_worker(const struct sl_boot *b, int cpu)
{
	for (unsigned i = 0; i < b->worker_cnt; i++)
		if (b->workers[i] == cpu)
			return true;
	return false;
}

static int
choose_main(const struct sl_boot *b, const struct sl_machine *m)
{
	int first = -1;

	for (unsigned i = 0; i < m->cpu_cnt; i++) {
		if (!m->cpu[i].usable)
			continue;
		if (!is_worker(b, (int)i))
			return (int)i;
		if (first < 0)
			first = (int)i;
	}
	return first;
}

static int
port_node(const struct sl_boot *b, unsigned port)
{
	const struct sl_boot_port *p = &b->ports[sl_boot_lead(b, port)];

	return p->driver == SL_DRIVER_VDEV
		       ? -1
		       : sl_machine_device_node(p->device, p->driver == SL_DRIVER_PCI);
}

/* workers = N */
static void
place_workers(struct sl_boot *b, const struct sl_machine *m, struct sl_diag *errors,
	      struct sl_diag *notes)
{
	int nodes[SL_BOOT_MAX_PORTS];
	struct sl_placement p = {
		.worker_cnt = (unsigned)b->worker_ask,
		.main_cpu = b->main_cpu,
		.port_nodes = nodes,
		.port_cnt = b->port_cnt,
	};
	char list[256] = "";
	size_t at = 0;

	for (unsigned i = 0; i < b->port_cnt; i++)
		nodes[i] = port_node(b, i);
	unsigned n = sl_placement_choose(m, &p);
	if (n < p.worker_cnt) {
		sl_diag_add(errors, b->file, b->workers_line, "workers",
			    "ask for fewer, or name CPUs: workers = [ 0, 1 ];",
			    "%u workers need as many cores beside main's CPU %d: there are %u",
			    p.worker_cnt, p.main_cpu, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		b->workers[i] = p.workers[i];
		at += (size_t)snprintf(list + at, at < sizeof(list) ? sizeof(list) - at : 0,
				       "%s%d%s", i ? ", " : "", p.workers[i],
				       m->cpu[p.workers[i]].isolated ? " (isolated)" : "");
		at = SL_MIN(at, sizeof(list));
	}
	b->main_cpu = p.main_cpu;
	sl_diag_add(notes, b->file, b->workers_line, "workers", NULL, "on CPUs %s; main on %d",
		    list, p.main_cpu);
}

/* A worker polls every port: what comes from another node crosses between them, packet by packet. */
static void
check_nodes(const struct sl_boot *b, const struct sl_machine *m, struct sl_diag *notes,
	    struct sl_host *host)
{
	for (unsigned w = 0; w < b->worker_cnt; w++) {
		char path[64];
		host->worker_node[w] = m->node_cnt > 1 ? m->cpu[b->workers[w]].node : -1;
		snprintf(path, sizeof(path), "workers[%u]", w);
		for (unsigned i = 0; i < b->port_cnt && m->node_cnt > 1; i++) {
			int node = port_node(b, i);
			if (node >= 0 && node != host->worker_node[w])
				sl_diag_add(notes, b->file, b->workers_line, path,
					    "workers = N takes CPUs of the ports' node first",
					    "CPU %d is on NUMA node %d, port %s on node %d",
					    b->workers[w], host->worker_node[w], b->ports[i].name,
					    node);
		}
	}
}

static void
check_cpus(struct sl_boot *b, const struct sl_machine *m, struct sl_diag *errors,
	   struct sl_diag *notes, struct sl_host *host)
{
	char path[64], hint[300], list[256];
	unsigned before = errors->cnt + errors->more;

	if (b->worker_ask)
		place_workers(b, m, errors, notes);
	if (errors->cnt + errors->more > before)
		return;
	cpu_list(m, list, sizeof(list));
	snprintf(hint, sizeof(hint), "usable here: %s", list);
	for (unsigned i = 0; i < b->worker_cnt; i++) {
		snprintf(path, sizeof(path), "workers[%u]", i);
		if (!usable(m, b->workers[i]))
			sl_diag_add(errors, b->file, b->workers_line, path, hint,
				    "CPU %d does not exist or may not be used", b->workers[i]);
		for (unsigned j = 0; j < i; j++)
			if (b->workers[i] == b->workers[j]) {
				sl_diag_add(notes, b->file, b->workers_line, path,
					    "for tests only; with power = \"adaptive\" they share "
					    "it better",
					    "CPU %d also runs worker %u", b->workers[i], j);
				break;
			}
	}
	host->main_cpu = b->main_cpu >= 0 ? b->main_cpu : choose_main(b, m);
	if (!usable(m, host->main_cpu))
		sl_diag_add(errors, b->file, b->main_line, "main_cpu", hint,
			    "CPU %d does not exist or may not be used", host->main_cpu);
	else if (is_worker(b, host->main_cpu))
		sl_diag_add(notes, b->file, b->main_line, "main_cpu",
			    "give the main thread a CPU of its own",
			    "CPU %d also runs a worker: table changes will delay packets",
			    host->main_cpu);
	if (errors->cnt + errors->more == before)
		check_nodes(b, m, notes, host);
}

static void
check_tls_cpus(const struct sl_boot *b, const struct sl_machine *m, struct sl_diag *errors,
	       struct sl_diag *notes)
{
	char path[64], hint[300], list[256];

	cpu_list(m, list, sizeof(list));
	snprintf(hint, sizeof(hint), "usable here: %s", list);
	for (unsigned i = 0; b->tls_sessions && i < b->tls_cpu_cnt; i++) {
		snprintf(path, sizeof(path), "tls.cpus[%u]", i);
		if (!usable(m, b->tls_cpus[i]))
			sl_diag_add(errors, b->file, b->tls_line, path, hint,
				    "CPU %d does not exist or may not be used", b->tls_cpus[i]);
		else if (is_worker(b, b->tls_cpus[i]))
			sl_diag_add(notes, b->file, b->tls_line, path,
				    "give handshake threads CPUs of their own",
				    "CPU %d also runs a worker: handshakes will delay packets",
				    b->tls_cpus[i]);
	}
}

/* ---- memory ---- */

/* One number from a file of /sys, or -1. */
static long
read_number(const char *path)
{
	long v = -1;
	FILE *f = fopen(path, "re");

	if (f) {
		if (fscanf(f, "%ld", &v) != 1)
			v = -1;
		fclose(f);
	}
	return v;
}

static long
free_huge_mb(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	char path[384];
	long mb = 0, kb;
	DIR *d = opendir(root);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (sscanf(e->d_name, "hugepages-%ldkB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, e->d_name);
		long n = read_number(path);
		if (n > 0)
			mb += n * (kb / 1024);
	}
	if (d)
		closedir(d);
	return mb;
}

static void
check_memory(const struct sl_boot *b, struct sl_diag *errors, struct sl_diag *notes,
	     struct sl_host *host)
{
	/* a dataplane that asks whether this program can take its place gives back what it has */
	const char *freed = getenv(SL_WARDEN_FREED);
	long mb = free_huge_mb() + (freed ? strtol(freed, NULL, 10) : 0);
	char hint[160];

	if (b->hugepages == SL_HUGE_NEVER)
		return;
	host->huge = mb >= b->size_mb;
	snprintf(hint, sizeof(hint), "scripts/hugepages, or: echo %d > /proc/sys/vm/nr_hugepages",
		 b->size_mb);
	if (host->huge)
		return;
	if (b->hugepages == SL_HUGE_REQUIRE)
		sl_diag_add(errors, b->file, b->memory_line, "memory.hugepages", hint,
			    "%d MB of hugepages are required, %ld MB are free", b->size_mb, mb);
	else
		sl_diag_add(notes, b->file, b->memory_line, "memory.hugepages", hint,
			    "%ld MB of hugepages are free, %d MB wanted: running on normal pages, "
			    "slower",
			    mb, b->size_mb);
}

/* ---- devices ---- */

static void
check_pci(const struct sl_boot *b, const struct sl_boot_port *p, const char *path,
	  struct sl_diag *errors)
{
	char link[160], target[256], hint[128];

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s", p->device);
	if (strchr(p->device, '/') || access(link, F_OK) != 0) {
		sl_diag_add(errors, b->file, p->line, path, "lspci -D shows what is there",
			    "there is no PCI device %s", p->device);
		return;
	}
	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/driver", p->device);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	const char *name = strrchr(target, '/') ? strrchr(target, '/') + 1 : "no driver";
	if (strcmp(name, "vfio-pci") == 0 || strstr(name, "uio") || strncmp(name, "mlx", 3) == 0)
		return;
	snprintf(hint, sizeof(hint), "scripts/devbind bind %s", p->device);
	sl_diag_add(errors, b->file, p->line, path, hint,
		    "PCI device %s is bound to %s, not to vfio-pci", p->device, name);
}

static void
check_devices(const struct sl_boot *b, struct sl_diag *errors)
{
	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_boot_port *p = &b->ports[i];
		char path[64];
		if (sl_boot_lead(b, i) != i)
			continue;
		snprintf(path, sizeof(path), "ports[%u].device", i);
		if (p->driver == SL_DRIVER_PCI)
			check_pci(b, p, path, errors);
		else if (p->driver != SL_DRIVER_VDEV && if_nametoindex(p->device) == 0)
			sl_diag_add(errors, b->file, p->line, path, "ip link shows what is there",
				    "there is no interface %s", p->device);
	}
}

int
sl_host_check(struct sl_boot *boot, struct sl_diag *errors, struct sl_diag *notes,
	      struct sl_host *ret_host)
{
	struct sl_host host = {0};
	unsigned before = errors->cnt + errors->more;
	static struct sl_machine machine;

	sl_machine_read(&machine);
	check_cpus(boot, &machine, errors, notes, &host);
	check_tls_cpus(boot, &machine, errors, notes);
	check_memory(boot, errors, notes, &host);
	check_devices(boot, errors);
	if (errors->cnt + errors->more > before)
		return -EINVAL;
	*ret_host = host;
	return 0;
}

/* ---- EAL arguments ---- */

static void __attribute__((format(printf, 2, 3))) arg(struct sl_eal_args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->text[a->argc], sizeof(a->text[0]), fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argv[++a->argc] = NULL;
}

void
sl_host_eal_args(const struct sl_boot *boot, const struct sl_host *host,
		 struct sl_eal_args *ret_args)
{
	struct sl_eal_args *a = ret_args;
	char lcores[600];
	unsigned pci = 0;
	size_t n = (size_t)snprintf(lcores, sizeof(lcores), "0@%d", host->main_cpu);

	for (unsigned i = 0; i < boot->worker_cnt; i++)
		n += (size_t)snprintf(lcores + n, sizeof(lcores) - n, ",%u@%d", i + 1,
				      boot->workers[i]);
	a->argc = 0;
	arg(a, "sluice-dataplane");
	arg(a, "--lcores=%s", lcores);
	arg(a, "--main-lcore=0");
	arg(a, "--file-prefix=sluice-%d", (int)getpid());
	arg(a, "--no-telemetry");
	arg(a, "--log-level=error");
	if (host->huge) {
		arg(a, "--in-memory");
	} else {
		arg(a, "-m");
		arg(a, "%d", boot->size_mb);
		arg(a, "--no-huge");
		arg(a, "--no-shconf");
	}
	for (unsigned i = 0; i < boot->port_cnt; i++)
		if (boot->ports[i].driver == SL_DRIVER_PCI && sl_boot_lead(boot, i) == i) {
			arg(a, "-a");
			arg(a, "%s%s%s", boot->ports[i].device, boot->ports[i].args[0] ? "," : "",
			    boot->ports[i].args);
			pci++;
		}
	if (pci == 0)
		arg(a, "--no-pci");
}

/* Memory of normal pages.  What is as large as hugepages begins and ends where those do, and no neighbour shares one with it:
 * so each is made whole by whoever touches it first.  Where two mappings met inside of one, its first touch took small pages,
 * and the kernel put them together later (khugepaged): a copy under running workers, and memory that grew though nobody used more. */
static void *
map_normal(size_t size, size_t room)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (size < HUGE_PAGE / 2)
		return mmap(NULL, size, prot, flags, -1, 0);
	uint8_t *m = mmap(NULL, room + HUGE_PAGE, prot, flags, -1, 0);
	if (m == MAP_FAILED)
		return m;
	size_t before = -(uintptr_t)m & (HUGE_PAGE - 1);
	if (before)
		munmap(m, before);
	munmap(m + before + room, HUGE_PAGE - before);
	madvise(m + before, room, MADV_HUGEPAGE);
	return m + before;
}

void
sl_host_prefer(int node)
{
	unsigned long mask[2] = {0};

	if (node >= 0 && node < 128)
		mask[node / 64] = 1ul << node % 64;
	/* kernels without NUMA have no such call, and nothing to prefer */
	(void)syscall(SYS_set_mempolicy, node >= 0 && node < 128 ? MPOL_PREFERRED : MPOL_DEFAULT,
		      node >= 0 && node < 128 ? mask : NULL, node >= 0 ? 129ul : 0ul);
}

void *
sl_host_map(size_t size, bool huge, bool *ret_huge)
{
	size_t room = (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	void *m = MAP_FAILED;

	if (huge && size >= HUGE_PAGE / 2)
		m = mmap(NULL, room, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (ret_huge)
		*ret_huge = m != MAP_FAILED;
	if (m == MAP_FAILED)
		m = map_normal(size, room);
	return m == MAP_FAILED ? NULL : m;
}

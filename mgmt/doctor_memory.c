/* Checks of memory. */
#include "mgmt/doctor.h"

#include <limits.h>
#include <string.h>

static long
mb(const struct sl_doctor_huge *h, unsigned cnt, bool total)
{
	long sum = 0;

	for (unsigned i = 0; i < cnt; i++)
		sum += (total ? h[i].total : h[i].free) * (h[i].kb / 1024);
	return sum;
}

/* What counts: free ones; all of them where a dataplane runs, which has taken its share. */
static long
usable_mb(const struct sl_doctor_facts *f, const struct sl_doctor_huge *h, unsigned cnt)
{
	return mb(h, cnt, f->dataplane.pid != 0);
}

void
sl_doctor_memory_huge(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	long have = usable_mb(f, f->huge, f->huge_cnt), all = mb(f->huge, f->huge_cnt, true),
	     free = mb(f->huge, f->huge_cnt, false);

	if (!f->huge_cnt) {
		sl_doctor_say(r,
			      strcmp(b->hugepages, "require") ? SL_DOCTOR_WARNING : SL_DOCTOR_ERROR,
			      "/sys/kernel/mm/hugepages tells of none");
		sl_doctor_why(r, "on normal pages every look-up pays for address translation");
		sl_doctor_mend(r, "run a kernel with CONFIG_HUGETLBFS");
	} else if (b->known && strcmp(b->hugepages, "never") == 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "memory.hugepages = \"never\"; %ld MB are free",
			      free);
		sl_doctor_why(r, "on normal pages every look-up pays for address translation");
		sl_doctor_mend(r, "memory = { hugepages = \"auto\"; … } in the boot file");
	} else if (!b->known && free == 0) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "%ld MB reserved, none free", all);
		sl_doctor_why(r, "on normal pages every look-up pays for address translation");
		sl_doctor_mend(r, "scripts/hugepages MB");
	} else if (b->known && have < b->size_mb) {
		sl_doctor_say(r,
			      strcmp(b->hugepages, "require") ? SL_DOCTOR_WARNING : SL_DOCTOR_ERROR,
			      "%ld MB reserved, %ld MB free, memory.size_mb asks for %ld", all,
			      free, b->size_mb);
		sl_doctor_why(r, strcmp(b->hugepages, "require")
					 ? "the dataplane runs on normal pages, slower"
					 : "the dataplane does not start");
		sl_doctor_mend(r, "scripts/hugepages %ld (at boot: hugepages=%ld)",
			       all - free + b->size_mb, (all - free + b->size_mb + 1) / 2);
	} else {
		sl_doctor_say(r, SL_DOCTOR_OK, "%ld MB reserved, %ld MB free", all, free);
	}
}

void
sl_doctor_memory_nodes(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers;
	unsigned bad = 0, nodes = 0;

	if (b->known && strcmp(b->hugepages, "never") == 0) {
		sl_doctor_say(r, SL_DOCTOR_OK, "none are used");
		return;
	}
	if (usable_mb(f, f->huge, f->huge_cnt) == 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "none on any node");
		return;
	}
	if (!sl_doctor_workers(f, b, &workers)) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "which CPUs work is not known");
		return;
	}
	for (int n = 0; n < SL_DOCTOR_NODES; n++) {
		struct sl_doctor_cpus here = sl_doctor_cpus_both(&workers, &f->node[n].cpus);
		nodes += sl_doctor_cpus_cnt(&here) > 0;
		if (!sl_doctor_cpus_cnt(&here) ||
		    usable_mb(f, f->node[n].huge, f->node[n].huge_cnt) > 0)
			continue;
		char list[256];
		sl_doctor_say(r, SL_DOCTOR_WARNING,
			      "node %d has workers (CPU %s) and no hugepages %s", n,
			      sl_doctor_cpus_format(&here, list, sizeof(list)),
			      f->dataplane.pid ? "at all" : "free");
		sl_doctor_why(r, "their tables lie on another node, each look-up crosses");
		sl_doctor_mend(r,
			       "echo %ld > /sys/devices/system/node/node%d/hugepages/"
			       "hugepages-2048kB/nr_hugepages",
			       b->size_mb ? (b->size_mb + 1) / 2 : 256, n);
		bad++;
	}
	if (!nodes)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "the nodes of workers are not told");
	else if (!bad)
		sl_doctor_say(r, SL_DOCTOR_OK, "on each of %u node%s with workers", nodes,
			      nodes == 1 ? "" : "s");
}

void
sl_doctor_memory_mount(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	(void)b;
	if (f->hugetlbfs) {
		sl_doctor_say(r, SL_DOCTOR_OK, "mounted");
		return;
	}
	sl_doctor_say(r, SL_DOCTOR_NOTE,
		      f->has_mounts ? "not mounted" : "/proc/mounts cannot be read");
	sl_doctor_why(r, "the dataplane needs none, other DPDK programs do");
	if (f->has_mounts)
		sl_doctor_mend(
			r, "mkdir -p /dev/hugepages; mount -t hugetlbfs hugetlbfs /dev/hugepages");
}

void
sl_doctor_memory_transparent(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			     struct sl_doctor_report *r)
{
	(void)b;
	if (strcmp(f->thp, "madvise") == 0) {
		sl_doctor_say(r, SL_DOCTOR_OK, "for who asks (madvise)");
	} else if (strcmp(f->thp, "always") == 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "always");
		sl_doctor_why(
			r, "the kernel moves other programs' pages together, and may hold them up");
		sl_doctor_mend(r, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	} else if (strcmp(f->thp, "never") == 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "never");
		sl_doctor_why(r, "what does not fit into hugepages lies on small ones");
		sl_doctor_mend(r, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	} else {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "this kernel tells of none");
	}
}

void
sl_doctor_memory_swap(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	(void)b;
	if (f->swap_kb == 0) {
		sl_doctor_say(r, SL_DOCTOR_OK, "none");
	} else if (f->swap_kb < 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "/proc/swaps cannot be read");
	} else {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "%ld MB", f->swap_kb / 1024);
		sl_doctor_why(r,
			      "a worker waits for a disk when memory outside hugepages is swapped");
		sl_doctor_mend(r, "swapoff -a, and take swap out of /etc/fstab");
	}
}

void
sl_doctor_memory_lock(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	bool runs = f->dataplane.pid != 0;
	long limit = runs ? f->dataplane.memlock_kb : f->memlock_kb, need = b->tls_memory_mb * 1024;

	if (b->known && !need) {
		sl_doctor_say(r, SL_DOCTOR_OK, "no TLS: none is needed");
	} else if (limit == LONG_MAX) {
		sl_doctor_say(r, SL_DOCTOR_OK, "without limit");
	} else if (limit < 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "the limit cannot be read");
	} else if (b->known && limit >= need) {
		sl_doctor_say(r, SL_DOCTOR_OK, "limit %ld MB, tls.memory_mb %ld", limit / 1024,
			      b->tls_memory_mb);
	} else if (b->known && !runs && f->ipc_lock) {
		sl_doctor_say(r, SL_DOCTOR_OK, "limit %ld MB, and whoever is root may lock more",
			      limit / 1024);
	} else if (!b->known) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "RLIMIT_MEMLOCK is %ld MB, the need is not known",
			      limit / 1024);
	} else {
		sl_doctor_say(r, runs ? SL_DOCTOR_NOTE : SL_DOCTOR_WARNING,
			      "RLIMIT_MEMLOCK is %ld MB, tls.memory_mb %ld", limit / 1024,
			      b->tls_memory_mb);
		sl_doctor_why(r, runs ? "it goes by the right to lock that it had when it started"
				      : "keys of TLS are kept in locked memory, or not at all");
		sl_doctor_mend(r, "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited");
	}
}

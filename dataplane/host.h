/* host — whether this machine has what the boot file asks for, and the EAL arguments that follow.
 *
 * Threads: [main], before the EAL is up.  Reads /sys and /proc, changes nothing.
 */
#ifndef SL_DATAPLANE_HOST_H
#define SL_DATAPLANE_HOST_H

#include "dataplane/boot.h"

struct sl_host {
	int main_cpu;
	int worker_node[SL_BOOT_MAX_WORKERS]; /* NUMA, of its CPU; -1: the machine has one node */
	bool huge;                            /* hugepages are used */
};

/* sl_host_cpu_missing names an instruction set the program needs and this CPU lacks, or NULL. */
const char *sl_host_cpu_missing(void);

/* sl_host_check: boot->workers are chosen (placement.h) when only their number is given; every core, interface and device exists, hugepages are there when required.  What is wrong goes
 * to errors, what is worth knowing (no hugepages, cores shared) to notes.  0 or -EINVAL. */
int sl_host_check(struct sl_boot *boot, struct sl_diag *errors, struct sl_diag *notes,
		  struct sl_host *ret_host);

/* EAL arguments.  Lcore 0 is main, worker i is lcore i + 1. */
#define SL_EAL_ARGS_MAX (24 + 2 * SL_BOOT_MAX_PORTS)
struct sl_eal_args {
	int argc;
	char *argv[SL_EAL_ARGS_MAX + 1];
	char text[SL_EAL_ARGS_MAX][640];
};
void sl_host_eal_args(const struct sl_boot *boot, const struct sl_host *host,
		      struct sl_eal_args *ret_args);

/* sl_host_prefer: pages that this thread touches first from now on come from the node, as long as it has some; -1: from where
 * the thread runs. */
void sl_host_prefer(int node);

/* sl_host_map gives size bytes of zeroed, page aligned memory, in hugepages when asked and possible
 * (*ret_huge says).  NULL: none.  Never given back. */
void *sl_host_map(size_t size, bool huge, bool *ret_huge);

#endif

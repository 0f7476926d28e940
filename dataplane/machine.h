/* machine — the CPUs of this machine as a placement looks at them: cores, NUMA nodes, isolation, what this process may use.
 *
 * Threads: [main], before the EAL is up.  Reads /sys; to see whether an isolated CPU may be used the thread moves there for a
 *          moment.
 */
#ifndef SL_DATAPLANE_MACHINE_H
#define SL_DATAPLANE_MACHINE_H

#include "sluice/base.h"

#define SL_MACHINE_CPUS 1024

struct sl_machine_cpu {
	bool usable;   /* it is there, and this process may run on it */
	bool isolated; /* the kernel puts nothing else on it (isolcpus) */
	int16_t core;  /* the lowest CPU of the same core: siblings (SMT) have one */
	int16_t node;  /* NUMA */
};

struct sl_machine {
	struct sl_machine_cpu cpu[SL_MACHINE_CPUS];
	unsigned cpu_cnt;  /* [0, cpu_cnt) may be usable */
	unsigned node_cnt; /* at least 1 */
};

/* sl_machine_read fills ret.  What /sys does not say: CPUs are cores of their own, on node 0. */
void sl_machine_read(struct sl_machine *ret);

/* sl_machine_list reads "0-3,8" into flags[SL_MACHINE_CPUS]; false: it is no such list, or names a CPU past them. */
bool sl_machine_list(const char *text, bool *flags);

/* sl_machine_device_node gives the NUMA node of an interface or a PCI device, -1: it has none, or there is no such device. */
int sl_machine_device_node(const char *device, bool pci);

#endif

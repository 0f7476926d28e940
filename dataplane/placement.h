/* placement — which CPUs workers and main get on a machine, when only their number is said.
 *
 * Threads: [any], pure.
 *
 * A worker's CPU is usable, not main's, and of another core than every other worker's.  Of what is left it is taken
 *   1. on a node with more ports rather than on one with fewer,
 *   2. isolated rather than not,
 *   3. of another core than main's rather than its sibling,
 *   4. with the lower number.
 * Main's, where it is not said: not isolated rather than isolated, then as 1 and 4.
 */
#ifndef SL_DATAPLANE_PLACEMENT_H
#define SL_DATAPLANE_PLACEMENT_H

#include "dataplane/machine.h"

struct sl_placement {
	unsigned worker_cnt;   /* in: how many are asked for */
	int main_cpu;          /* in: -1: choose; out */
	const int *port_nodes; /* in: [port_cnt], of each port, -1: none */
	unsigned port_cnt;
	int workers[SL_MACHINE_CPUS]; /* out: [worker_cnt], ascending within the order above */
};

/* sl_placement_choose: how many workers found a CPU, at most worker_cnt. */
unsigned sl_placement_choose(const struct sl_machine *m, struct sl_placement *p);

#endif

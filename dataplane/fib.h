/* fib — destination address → port and next hop.
 *
 * Built by main for each view from the NETWORK object, read by workers.  Routes and on-link prefixes are
 * flattened into disjoint, sorted address ranges, so that a look-up is one binary search whatever the
 * number of routes (1 route: 1–2 steps; 65,536: 17), independent of how prefixes nest.
 * Threads: build [main], find [worker]. Pure.
 */
#ifndef SL_DATAPLANE_FIB_H
#define SL_DATAPLANE_FIB_H

#include "sluice/image.h"

struct sl_fib_hop {
	struct sl_addr via; /* all 0: the destination itself is on-link */
	uint16_t port;      /* port index */
	uint16_t zero;
	uint32_t address; /* index into NETWORK's addresses: the source for ARP/ND there */
};

struct sl_fib;

/* sl_fib_create: port_of maps a port name to its index (≥ 0) or -1.  *ret_fib is destroyed by the caller.
 * 0, -ENOMEM, or -EINVAL (a via that no address of its family makes on-link; an unknown port) with
 * the index of the offending route or address in *ret_bad. */
int sl_fib_create(const struct sl_img_network *net, int (*port_of)(void *ctx, const char *name),
		  void *ctx, struct sl_fib **ret_fib, uint32_t *ret_bad);
void sl_fib_destroy(struct sl_fib *f);

/* sl_fib_find: the hop for dst, or NULL: no route. */
const struct sl_fib_hop *sl_fib_find(const struct sl_fib *f, const struct sl_addr *dst);

#endif

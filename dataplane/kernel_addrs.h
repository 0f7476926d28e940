/* kernel_addrs — the addresses that the kernel has in this network namespace, followed by netlink.
 *
 * All but 127.0.0.0/8, ::1 and those whose duplicate was found; with the broadcast addresses of networks.  On any
 * interface: to the kernel, too, an address is the host's.
 * Threads: open, close [main]; turn by one thread.
 */
#ifndef SL_DATAPLANE_KERNEL_ADDRS_H
#define SL_DATAPLANE_KERNEL_ADDRS_H

#include "dataplane/punt.h"

struct sl_kernel_addrs {
	int events_fd; /* readable: something changed */
	int ask_fd;
	unsigned left_out; /* addresses there was no room for */
};

/* sl_kernel_addrs_open: 0 or -errno.  sl_kernel_addrs_read publishes what there is now; false: it could not be read
 * whole, and what was published stays.  sl_kernel_addrs_turn does so when something changed. */
int sl_kernel_addrs_open(struct sl_kernel_addrs *a);
void sl_kernel_addrs_close(struct sl_kernel_addrs *a);
bool sl_kernel_addrs_read(struct sl_kernel_addrs *a, struct sl_punt_addrs *to);
void sl_kernel_addrs_turn(struct sl_kernel_addrs *a, struct sl_punt_addrs *to);

#endif

/* kernel_if — the interface that the kernel gets for a port: a TAP, or DPDK's virtio_user on /dev/vhost-net.
 *
 * It is persistent: it and the operator's addresses on it stay when the dataplane ends; while none runs it has no
 * carrier.  MAC and MTU are the port's.  One that is there already is taken as it is, up or down; a new one is up.
 * With vhost-net the interface is the same TAP, and the kernel's thread moves the packets between it and a ring of
 * ours.  Frames are copied on this side too: the pool that virtio_user frees to is the interface's own.
 *
 * Threads: open, close, carrier [main]; read, write by one thread.
 */
#ifndef SL_DATAPLANE_KERNEL_IF_H
#define SL_DATAPLANE_KERNEL_IF_H

#include "sluice/base.h"

#define SL_KERNEL_IF_TEXT 320
#define SL_KERNEL_IF_BURST 32

struct rte_mempool;
struct rte_mbuf;

struct sl_kernel_if_conf {
	const char *name;
	unsigned idx; /* of the port: makes DPDK's names unique */
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t room; /* bytes of the longest frame */
};

struct sl_kernel_if {
	char name[16];
	bool vhost; /* else a TAP */
	int fd;     /* of the TAP: frames; with vhost, its carrier alone.  -1: none */
	/* vhost */
	uint16_t id; /* DPDK's port */
	struct rte_mempool *pool;
	unsigned at, cnt; /* rx[at, cnt) were received and not read */
	struct rte_mbuf *rx[SL_KERNEL_IF_BURST];
};

/* sl_kernel_if_open: 0, or -errno with a sentence in ret_text; ret_text is "" or a note where it succeeded. */
int sl_kernel_if_open(struct sl_kernel_if *ret, const struct sl_kernel_if_conf *conf,
		      char ret_text[SL_KERNEL_IF_TEXT]);
void sl_kernel_if_close(struct sl_kernel_if *k);
void sl_kernel_if_carrier(struct sl_kernel_if *k, bool up);

/* sl_kernel_if_write: false: not taken (the interface is down, or its ring is full).
 * sl_kernel_if_read: bytes of a frame, 0: there is none, -1: one longer than room, which is lost. */
bool sl_kernel_if_write(struct sl_kernel_if *k, const uint8_t *frame, unsigned len);
int sl_kernel_if_read(struct sl_kernel_if *k, uint8_t *frame, unsigned room);

#endif

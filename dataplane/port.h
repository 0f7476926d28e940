/* port — DPDK ports as struct sl_io: queues, RSS, offloads, bursts.
 *
 * Walk:    first and last of a packet.
 * Owner:   the set is main's; each worker has a struct sl_port_io that only it uses.
 * Threads: open, close, watch [main]; what struct sl_io calls [worker].
 * Buffers: one pool for all ports and workers, so that AF_XDP sends without copying what it received on another port.
 *          Where TCP is on, a buffer that was sent may still be held by the stack, and transmit queues are without fast
 *          free, which needs reference count 1.  Held buffers' bytes are not written here: what goes out begins where
 *          struct sl_txd says, and the driver is told in the mbuf alone.
 *
 * Queues: a port with RSS and a queue for each worker spreads by our key and redirection table, entry i to
 * owner[i mod 128]: what worker i receives is its own.  A port with fewer queues is polled by workers 0…n-1, with one
 * queue by worker (port mod workers); what belongs to others is handed over.  A transmit queue has one owner.
 *
 * VLAN: ports of one device share it: the first (lead) has the queues, and is polled; a frame's tag says whose it is.  Tags
 * are taken out by the device or here, right behind the driver, and put in right before it, so that nothing behind this
 * file knows of them, nor counts their bytes.  In sending the device does it for packets that nobody else holds and that
 * are not offered again (worker.h, tx); for the rest four bytes before the frame are written, which are free whenever
 * its own headers could be: the payload behind them stays as it is, for whoever holds it.
 */
#ifndef SL_DATAPLANE_PORT_H
#define SL_DATAPLANE_PORT_H

#include "dataplane/boot.h"
#include "dataplane/rss.h"
#include "dataplane/worker.h"

#include <stdatomic.h>

struct rte_mempool;

struct sl_port {
	char name[SL_NAME_MAX];
	char what[160]; /* "net_af_xdp on veth0, 1 queue" */
	uint16_t id;    /* DPDK's */
	uint16_t rx_cnt, tx_cnt;
	uint16_t mtu; /* of the IP packet */
	uint8_t mac[6];
	bool rss;         /* queue i carries what worker i owns */
	bool hashes;      /* … because the device hashes by our key */
	uint8_t offload;  /* SL_OFFLOAD_* (tcp/tcp.h) that it does in sending */
	uint16_t tso_max; /* payload of one packet for TSO; 0: none */
	char device[64];  /* kernel interface, virtual device or PCI address */
	unsigned ifindex; /* of a kernel interface, else 0 */
	unsigned
		lead; /* index of the port that has this one's device: itself, or of several ports of it the first */
	bool shared; /* the device is another port's */
	bool pci;
	char kernel[16]; /* interface of the exception path, "" where there is none, */
	int kernel_by;   /* and what it is: SL_KERNEL_BY_* (sluice/ctl.h) */
	uint16_t vlan;   /* VID of its frames, 0: they have no tag */
	bool insert;     /* the device puts tags into what it sends */
	char driver[32];
	int numa;           /* node of the device, -1: none known */
	uint32_t can, uses; /* SL_NIC_* (sluice/ctl.h) */
	int up;             /* last seen: 1 up, 0 down, -1 gone */
	uint64_t changes;   /* of that */
	uint64_t lost[3];   /* last told: missed, no buffer, transmit errors */
	unsigned quiet;     /* calls of watch until losses may be told again */
	bool closed;        /* gone, and nobody uses the device any more */
};

typedef void sl_port_log_fn(const char *line);

struct sl_port_set {
	struct sl_port port[SL_BOOT_MAX_PORTS];
	unsigned cnt;
	unsigned worker_cnt;
	struct rte_mempool *pool;
	sl_port_log_fn *log;
	_Atomic uint32_t
		removed; /* relaxed: devices that the bus said are to go; set by a thread of the EAL */
};

/* sl_port_open makes the pool and brings all ports up.  0, or -errno with every port that failed in diag. */
int sl_port_open(struct sl_port_set *ret_set, const struct sl_boot *boot, const struct sl_rss *rss,
		 sl_port_log_fn *log, struct sl_diag *diag);
void sl_port_close(struct sl_port_set *set);

/* sl_port_rekey has devices that spread by our key take another.  Gives the ports (bit i) that could not, or whose key
 * is not ours to set: they hand over from then on, which the log says. */
uint32_t sl_port_rekey(struct sl_port_set *set, const uint8_t key[SL_RSS_KEY_BYTES]);

/* sl_port_watch logs links that went down, came back or were removed, and packets a device lost (at most one line
 * in ten calls); call it about once a second.  Removed is: an interface that is not there (or is another of its name); a PCI
 * device that the bus asks back, that is not there, or whose configuration reads all ones. */
void sl_port_watch(struct sl_port_set *set);

/* sl_port_gone gives the ports (bit i) whose device went away, as sl_port_watch saw; sl_port_drop closes their devices
 * once no worker uses them any more. */
uint32_t sl_port_gone(const struct sl_port_set *set);
void sl_port_drop(struct sl_port_set *set, uint32_t ports);

/* sl_port_tell gives what is known of a port as PORT messages (sluice/ctl.h) without their heads: one, or with the device's
 * own statistics (extended) as many as these need; last: the last of them is flagged.  m is fn's for the call. */
struct sl_ctl_port;
typedef void sl_port_tell_fn(void *ctx, struct sl_ctl_port *m);
void sl_port_tell(const struct sl_port_set *set, unsigned port, bool extended, bool last,
		  sl_port_tell_fn *fn, void *ctx);

/* A worker's end.  rxq, txq: UINT16_MAX where the worker has none. */
struct sl_port_io {
	struct {
		uint16_t id, rxq, txq;
		uint16_t vlan; /* 0: no tags */
		uint8_t next;  /* port of the same device, + 1; 0: the last */
		bool insert;
	} q[SL_BOOT_MAX_PORTS];
	struct rte_mempool *pool;
	uint64_t
		segmented; /* packets dropped because they came in pieces that do not fit one buffer */
	uint64_t
		cramped; /* … because they came without SL_HEADROOM, and no other buffer was free */
};

/* sl_port_io_init fills the worker's end, its struct sl_io and its view of the ports (cnt places). */
void sl_port_io_init(struct sl_port_io *pio, const struct sl_port_set *set, unsigned worker,
		     struct sl_io *ret_io, struct sl_worker_port *ret_ports);

#endif

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
 */
#ifndef SL_DATAPLANE_PORT_H
#define SL_DATAPLANE_PORT_H

#include "dataplane/boot.h"
#include "dataplane/rss.h"
#include "dataplane/worker.h"

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
	char device[64];  /* kernel interface, "" where there is none */
	unsigned ifindex; /* of it */
	int up;           /* last seen: 1 up, 0 down, -1 gone */
	uint64_t lost[3]; /* last told: missed, no buffer, transmit errors */
	unsigned quiet;   /* calls of watch until losses may be told again */
};

typedef void sl_port_log_fn(const char *line);

struct sl_port_set {
	struct sl_port port[SL_BOOT_MAX_PORTS];
	unsigned cnt;
	unsigned worker_cnt;
	struct rte_mempool *pool;
	sl_port_log_fn *log;
};

/* sl_port_open makes the pool and brings all ports up.  0, or -errno with every port that failed in diag. */
int sl_port_open(struct sl_port_set *ret_set, const struct sl_boot *boot, const struct sl_rss *rss,
		 sl_port_log_fn *log, struct sl_diag *diag);
void sl_port_close(struct sl_port_set *set);

/* sl_port_rekey has devices that spread by our key take another.  Gives the ports (bit i) that could not, or whose key
 * is not ours to set: they hand over from then on, which the log says. */
uint32_t sl_port_rekey(struct sl_port_set *set, const uint8_t key[SL_RSS_KEY_BYTES]);

/* sl_port_watch logs links that went down, came back or were removed, and packets a device lost (at most one line
 * in ten calls); call it about once a second. */
void sl_port_watch(struct sl_port_set *set);

/* A worker's end.  rxq, txq: UINT16_MAX where the worker has none. */
struct sl_port_io {
	struct {
		uint16_t id, rxq, txq;
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

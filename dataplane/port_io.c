/* A worker's bursts: buffers of the driver in, buffers of the driver out; which worker has which queue. */
#include "dataplane/port.h"

#include "dataplane/tcp/tcp.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define NO_QUEUE UINT16_MAX
#define ETH_LEN 14

static_assert(RTE_PKTMBUF_HEADROOM >= SL_HEADROOM, "what alloc gives");

static inline uint16_t
driver_flags(uint64_t ol)
{
	uint16_t flags = 0;

	if ((ol & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		flags |= SL_PKT_IP_CSUM_OK;
	if ((ol & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		flags |= SL_PKT_L4_CSUM_BAD;
	return flags;
}

/* What lies too near to the beginning of its buffer goes to another one.  NULL: there is none, the packet is lost. */
SL_COLD static struct rte_mbuf *
moved(struct sl_port_io *io, struct rte_mbuf *m)
{
	struct rte_mbuf *to = rte_pktmbuf_alloc(io->pool);
	void *room = to ? rte_pktmbuf_append(to, m->data_len) : NULL;

	if (room) {
		memcpy(room, rte_pktmbuf_mtod(m, void *), m->data_len);
		to->ol_flags = m->ol_flags;
	} else {
		io->cramped++;
		rte_pktmbuf_free(to);
		to = NULL;
	}
	rte_pktmbuf_free(m);
	return to;
}

static unsigned
rx(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max)
{
	struct sl_port_io *io = ctx;
	struct rte_mbuf *m[SL_BURST];
	unsigned out = 0;

	unsigned n = rte_eth_rx_burst(io->q[port].id, io->q[port].rxq, m,
				      (uint16_t)SL_MIN(max, (unsigned)SL_BURST));
	for (unsigned i = 0; i < n; i++)
		sl_prefetch(rte_pktmbuf_mtod(m[i], void *));
	for (unsigned i = 0; i < n; i++) {
		if (sl_unlikely(m[i]->nb_segs > 1) && rte_pktmbuf_linearize(m[i])) {
			io->segmented++;
			rte_pktmbuf_free(m[i]);
			continue;
		}
		if (sl_unlikely(rte_pktmbuf_headroom(m[i]) < SL_HEADROOM)) {
			m[i] = moved(io, m[i]);
			if (!m[i])
				continue;
		}
		struct sl_pkt *p = &pkts[out++];
		p->data = rte_pktmbuf_mtod(m[i], uint8_t *);
		p->buf = m[i];
		p->len = m[i]->data_len;
		p->port_in = (uint16_t)port;
		p->flags = driver_flags(m[i]->ol_flags);
		p->csum_ok = (m[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
			     RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	return out;
}

/* A packet of our own TCP: where it begins, and what is left to the device. */
static void
describe(struct rte_mbuf *m, const struct sl_txd *d)
{
	bool v4 = d->l4_off != ETH_LEN + 40, tso = d->offload & SL_OFFLOAD_TSO;

	m->data_off = d->at;
	if (!(d->offload & (SL_OFFLOAD_CSUM | SL_OFFLOAD_TSO)))
		return;
	m->tx_offload = 0;
	m->l2_len = ETH_LEN;
	m->l3_len = d->l4_off - ETH_LEN;
	m->l4_len = (rte_pktmbuf_mtod(m, const uint8_t *)[d->l4_off + 12] >> 4) * 4u;
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	if (!tso)
		return;
	m->tso_segsz = d->mss;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | (v4 ? RTE_MBUF_F_TX_IP_CKSUM : 0);
}

static unsigned
tx(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n)
{
	struct sl_port_io *io = ctx;
	struct rte_mbuf *m[2 * SL_BURST];
	unsigned sent = 0;

	while (sent < n) {
		unsigned some = SL_MIN(n - sent, (unsigned)SL_ARRAY_CNT(m)), ready = some;
		uint8_t offload = 0;
		for (unsigned i = 0; i < some; i++) {
			const struct sl_txd *d = &pkts[sent + i];
			m[i] = d->buf;
			m[i]->data_len = d->len;
			m[i]->pkt_len = d->len;
			m[i]->ol_flags = 0;
			if (d->offload)
				describe(m[i], d);
			else
				m[i]->data_off = (uint16_t)(m[i]->data_off - d->grown);
			offload |= d->offload;
		}
		/* drivers that need more than the flags ask for this call */
		if (sl_unlikely(offload & ~SL_TXD_AT))
			ready = rte_eth_tx_prepare(io->q[port].id, io->q[port].txq, m,
						   (uint16_t)some);
		unsigned took =
			rte_eth_tx_burst(io->q[port].id, io->q[port].txq, m, (uint16_t)ready);
		sent += took;
		if (took < some)
			break;
	}
	return sent;
}

static void *
alloc(void *ctx, uint8_t **ret_data)
{
	struct sl_port_io *io = ctx;
	struct rte_mbuf *m = rte_pktmbuf_alloc(io->pool);

	if (m)
		*ret_data = rte_pktmbuf_mtod(m, uint8_t *);
	return m;
}

static void
give_back(void *ctx, void *const *bufs, unsigned n)
{
	struct rte_mbuf *m[SL_BURST];

	(void)ctx;
	while (n > 0) {
		unsigned some = SL_MIN(n, (unsigned)SL_BURST);
		memcpy(m, bufs, some * sizeof(m[0]));
		rte_pktmbuf_free_bulk(m, some);
		bufs += some;
		n -= some;
	}
}

static void
share(void *ctx, void *buf)
{
	(void)ctx;
	rte_mbuf_refcnt_update(buf, 1);
}

static unsigned
refs(void *ctx, void *buf)
{
	(void)ctx;
	return rte_mbuf_refcnt_read(buf);
}

static unsigned
held(void *ctx)
{
	const struct rte_mempool *pool = ((struct sl_port_io *)ctx)->pool;

	return (unsigned)((uint64_t)rte_mempool_in_use_count(pool) * 256 / pool->size);
}

static unsigned
offset(void *ctx, void *buf, const uint8_t *data)
{
	(void)ctx;
	return (unsigned)(data - (const uint8_t *)((const struct rte_mbuf *)buf)->buf_addr);
}

/* Which worker has queue q of a port with cnt queues, and which queue a worker uses. */
static unsigned
queue_owner(const struct sl_port_set *set, unsigned port, unsigned cnt, unsigned q)
{
	return cnt == 1 ? port % set->worker_cnt : q;
}

void
sl_port_io_init(struct sl_port_io *pio, const struct sl_port_set *set, unsigned worker,
		struct sl_io *ret_io, struct sl_worker_port *ret_ports)
{
	*pio = (struct sl_port_io){.pool = set->pool};
	*ret_io = (struct sl_io){.rx = rx,
				 .tx = tx,
				 .alloc = alloc,
				 .free = give_back,
				 .ctx = pio,
				 .share = share,
				 .refs = refs,
				 .held = held,
				 .offset = offset};
	for (unsigned i = 0; i < set->cnt; i++) {
		const struct sl_port *p = &set->port[i];
		unsigned txq = worker % p->tx_cnt;
		unsigned rx_owner = queue_owner(set, i, p->rx_cnt, worker);
		unsigned tx_owner = queue_owner(set, i, p->tx_cnt, txq);
		bool poll = p->rx_cnt == 1 ? rx_owner == worker : worker < p->rx_cnt;
		struct sl_worker_port *w = &ret_ports[i];
		*w = (struct sl_worker_port){.mtu = p->mtu,
					     .poll = poll,
					     .rss = p->rss,
					     .tx_worker = (uint8_t)tx_owner,
					     .offload = p->offload,
					     .tso_max = p->tso_max};
		memcpy(w->mac, p->mac, 6);
		pio->q[i].id = p->id;
		pio->q[i].rxq = !poll ? NO_QUEUE : (uint16_t)(p->rx_cnt == 1 ? 0 : worker);
		pio->q[i].txq = tx_owner == worker ? (uint16_t)txq : NO_QUEUE;
	}
}

/* A worker's bursts: buffers of the driver in, buffers of the driver out; which worker has which queue. */
#include "dataplane/port.h"

#include "dataplane/tcp/tcp.h"
#include "dataplane/vlan.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define NO_QUEUE UINT16_MAX
#define ETH_LEN 14

static_assert(RTE_PKTMBUF_HEADROOM >= SL_HEADROOM, "what alloc gives");
/* A frame of the stack begins, at the earliest, where TCP with all options over IPv6 finds room before the payload of
 * a segment without options over IPv4. */
static_assert(SL_HEADROOM + 14 + 20 + 20 >= 14 + 40 + 60 + SL_VLAN_BYTES, "room for its tag");
static_assert(SL_HEADROOM >= 52 + SL_VLAN_BYTES, "… and for that of the longest tunnel header");

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

/* Takes the tag out of a frame that was received by a trunk; the port it says, or SL_PORT_NONE. */
static uint16_t
untag(const struct sl_port_io *io, unsigned port, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	bool taken = m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED;
	unsigned vid = taken ? m->vlan_tci & 0xfffu : sl_vlan_of(frame, m->data_len);

	if (vid == SL_VLAN_NONE)
		return SL_PORT_NONE;
	if (!taken) {
		sl_vlan_strip(frame);
		rte_pktmbuf_adj(m, SL_VLAN_BYTES);
	}
	for (unsigned p = port + 1; p; p = io->q[p - 1].next)
		if (io->q[p - 1].vlan == vid)
			return (uint16_t)(p - 1);
	return SL_PORT_NONE;
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
		p->port_in = sl_unlikely(io->q[port].vlan) ? untag(io, port, m[i]) : (uint16_t)port;
		p->data = rte_pktmbuf_mtod(m[i], uint8_t *);
		p->buf = m[i];
		p->len = m[i]->data_len;
		p->flags = driver_flags(m[i]->ol_flags);
		p->csum_ok = (m[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
			     RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	return out;
}

/* A packet of our own TCP: what is left to the device.  tag: bytes of it that are in the frame. */
static void
describe(struct rte_mbuf *m, const struct sl_txd *d, unsigned tag)
{
	bool v4 = d->l4_off != ETH_LEN + 40, tso = d->offload & SL_OFFLOAD_TSO;

	if (!(d->offload & (SL_OFFLOAD_CSUM | SL_OFFLOAD_TSO)))
		return;
	m->tx_offload = 0;
	m->l2_len = ETH_LEN + tag;
	m->l3_len = d->l4_off - ETH_LEN;
	m->l4_len = (rte_pktmbuf_mtod(m, const uint8_t *)[d->l4_off + tag + 12] >> 4) * 4u;
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	if (!tso)
		return;
	m->tso_segsz = d->mss;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | (v4 ? RTE_MBUF_F_TX_IP_CKSUM : 0);
}

/* The frame gets its tag: from the device when it can be told in the mbuf alone, else in its bytes.  The bytes it grew
 * by. */
static unsigned
tag(struct rte_mbuf *m, unsigned vid, bool insert)
{
	if (insert) {
		m->vlan_tci = (uint16_t)vid;
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		return 0;
	}
	SL_ASSERT(m->data_off >= SL_VLAN_BYTES);
	sl_vlan_insert(rte_pktmbuf_mtod(m, uint8_t *), vid);
	m->data_off -= SL_VLAN_BYTES;
	m->data_len += SL_VLAN_BYTES;
	m->pkt_len += SL_VLAN_BYTES;
	return SL_VLAN_BYTES;
}

/* What was not taken may be offered again: it is as it was. */
SL_COLD static void
untag_refused(struct rte_mbuf *const *m, const struct sl_txd *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (d[i].offload & SL_TXD_AT)
			sl_vlan_strip(rte_pktmbuf_mtod(m[i], uint8_t *));
}

static unsigned
tx(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n)
{
	struct sl_port_io *io = ctx;
	struct rte_mbuf *m[2 * SL_BURST];
	unsigned sent = 0, vid = io->q[port].vlan;

	while (sent < n) {
		unsigned some = SL_MIN(n - sent, (unsigned)SL_ARRAY_CNT(m)), ready = some;
		uint8_t offload = 0;
		for (unsigned i = 0; i < some; i++) {
			const struct sl_txd *d = &pkts[sent + i];
			m[i] = d->buf;
			m[i]->data_len = d->len;
			m[i]->pkt_len = d->len;
			m[i]->ol_flags = 0;
			m[i]->data_off = d->offload ? d->at : (uint16_t)(m[i]->data_off - d->grown);
			unsigned grown = sl_unlikely(vid)
						 ? tag(m[i], vid, io->q[port].insert && !d->offload)
						 : 0;
			if (d->offload)
				describe(m[i], d, grown);
			offload |= d->offload;
		}
		/* drivers that need more than the flags ask for this call */
		if (sl_unlikely((offload & ~SL_TXD_AT) || io->q[port].insert))
			ready = rte_eth_tx_prepare(io->q[port].id, io->q[port].txq, m,
						   (uint16_t)some);
		unsigned took =
			rte_eth_tx_burst(io->q[port].id, io->q[port].txq, m, (uint16_t)ready);
		if (sl_unlikely(vid && took < some))
			untag_refused(m + took, pkts + sent + took, some - took);
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

/* The next port of the same device, + 1, or 0. */
static uint8_t
next_of_device(const struct sl_port_set *set, unsigned port)
{
	for (unsigned i = port + 1; i < set->cnt; i++)
		if (set->port[i].lead == set->port[port].lead)
			return (uint8_t)(i + 1);
	return 0;
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
		unsigned rx_owner = queue_owner(set, p->lead, p->rx_cnt, worker);
		unsigned tx_owner = queue_owner(set, p->lead, p->tx_cnt, txq);
		bool poll =
			p->lead == i && (p->rx_cnt == 1 ? rx_owner == worker : worker < p->rx_cnt);
		struct sl_worker_port *w = &ret_ports[i];
		*w = (struct sl_worker_port){.mtu = p->mtu,
					     .poll = poll,
					     .trunk = p->vlan != 0,
					     .rss = p->rss,
					     .tx_worker = (uint8_t)tx_owner,
					     .offload = p->offload,
					     .tso_max = p->tso_max};
		memcpy(w->mac, p->mac, 6);
		pio->q[i].id = p->id;
		pio->q[i].rxq = !poll ? NO_QUEUE : (uint16_t)(p->rx_cnt == 1 ? 0 : worker);
		pio->q[i].txq = tx_owner == worker ? (uint16_t)txq : NO_QUEUE;
		pio->q[i].vlan = p->vlan;
		pio->q[i].insert = p->insert;
		pio->q[i].next = next_of_device(set, i);
	}
}

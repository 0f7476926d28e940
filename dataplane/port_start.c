/* A device that was made: ask what it can do → queues, key, offloads → start → redirection table. */
#include "dataplane/port_priv.h"

#include "dataplane/machine.h"
#include "dataplane/tcp/tcp.h"
#include "sluice/ctl.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>

#define RX_DESC 1024
#define TX_DESC 1024
#define HEADERS_MAX 114 /* Ethernet, IPv6, TCP with all options */

static const uint64_t rss_wanted = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 |
				   RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
/* Without these four the hash of a flow's packets is not ours. */
static const uint64_t rss_needed = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

/* Receive queues to use of a device that offers max. */
static uint16_t
rx_queues(const struct sl_port_opening *o, uint16_t max)
{
	unsigned n = o->conf->queues ? (unsigned)o->conf->queues : o->set->worker_cnt;

	n = SL_MIN(n, o->set->worker_cnt);
	return (uint16_t)SL_MAX(SL_MIN(n, (unsigned)max), 1u);
}

static bool
can_rss(const struct sl_port_opening *o, const struct rte_eth_dev_info *info, uint16_t queues)
{
	return queues > 1 && o->conf->rss == SL_RSS_AUTO && info->flow_type_rss_offloads &&
	       info->reta_size && info->reta_size <= RTE_ETH_RSS_RETA_SIZE_512 &&
	       (info->hash_key_size == 0 || info->hash_key_size >= SL_RSS_KEY_BYTES);
}

static int
spread(struct sl_port_opening *o, const struct rte_eth_dev_info *info, uint16_t queues)
{
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];

	memset(reta, 0, sizeof(reta));
	for (unsigned i = 0; i < info->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *e = &reta[i / RTE_ETH_RETA_GROUP_SIZE];
		e->mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
		e->reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			(uint16_t)(o->rss->owner[i % SL_RSS_BUCKETS] % queues);
	}
	return rte_eth_dev_rss_reta_update(o->port.id, reta, info->reta_size);
}

static int
set_up_queues(struct sl_port_opening *o, const struct rte_eth_dev_info *info, uint16_t rx,
	      uint16_t tx, const struct rte_eth_conf *conf)
{
	uint16_t rxd = RX_DESC, txd = TX_DESC;
	int socket = rte_eth_dev_socket_id(o->port.id);
	struct rte_eth_rxconf rxconf = info->default_rxconf;
	struct rte_eth_txconf txconf = info->default_txconf;

	rxconf.offloads = conf->rxmode.offloads;
	txconf.offloads = conf->txmode.offloads;
	rte_eth_dev_adjust_nb_rx_tx_desc(o->port.id, &rxd, &txd);
	for (uint16_t q = 0; q < rx; q++) {
		int err = rte_eth_rx_queue_setup(o->port.id, q, rxd, (unsigned)socket, &rxconf,
						 o->set->pool);
		if (err)
			return sl_port_failed(o, err, "receive queue %u: %s", q,
					      rte_strerror(-err));
	}
	for (uint16_t q = 0; q < tx; q++) {
		int err = rte_eth_tx_queue_setup(o->port.id, q, txd, (unsigned)socket, &txconf);
		if (err)
			return sl_port_failed(o, err, "transmit queue %u: %s", q,
					      rte_strerror(-err));
	}
	return 0;
}

/* The MTU we work with: what the boot file says, else the device's, and what a buffer holds. */
static void
settle_mtu(struct sl_port_opening *o, const struct rte_eth_dev_info *info)
{
	uint16_t mtu = 1500, room = (uint16_t)(o->boot->mbuf_data - 18);

	rte_eth_dev_get_mtu(o->port.id, &mtu);
	if (o->conf->mtu && mtu != o->conf->mtu) {
		int err = rte_eth_dev_set_mtu(o->port.id, (uint16_t)o->conf->mtu);
		if (err && o->conf->mtu > mtu)
			sl_port_say(o->set, "port %s: the device keeps its MTU of %u: %s",
				    o->conf->name, mtu, rte_strerror(-err));
		else
			mtu = (uint16_t)o->conf->mtu;
	}
	if (info->max_mtu && mtu > info->max_mtu)
		mtu = info->max_mtu;
	if (mtu > room) {
		sl_port_say(o->set, "port %s: MTU %u cut to %u, what a buffer holds (mbuf_data)",
			    o->conf->name, mtu, room);
		mtu = room;
	}
	o->port.mtu = mtu;
}

static int
settle_mac(struct sl_port_opening *o)
{
	struct rte_ether_addr mac;

	if (o->conf->has_mac) {
		memcpy(mac.addr_bytes, o->conf->mac, 6);
		/* promiscuous mode serves where the device cannot take it */
		(void)rte_eth_dev_default_mac_addr_set(o->port.id, &mac);
	} else {
		int err = rte_eth_macaddr_get(o->port.id, &mac);
		if (err)
			return sl_port_failed(o, err, "no MAC address: %s", rte_strerror(-err));
		if (!rte_is_valid_assigned_ether_addr(&mac))
			return sl_port_failed(
				o, -EADDRNOTAVAIL,
				"the device has no MAC address: set mac in the boot file");
	}
	memcpy(o->port.mac, mac.addr_bytes, 6);
	return 0;
}

static uint64_t
rx_offloads(const struct sl_port_opening *o, uint64_t can)
{
	uint64_t want = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
			RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

	return can & (want | (o->port.vlan ? RTE_ETH_RX_OFFLOAD_VLAN_STRIP : 0));
}

/* What transmit queues are to do.  Fast free says that no buffer has another holder: not so with TCP; and that all are of
 * one pool. */
static uint64_t
tx_offloads(const struct sl_port_opening *o, uint64_t can)
{
	const uint64_t sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint64_t tag = o->port.vlan ? can & RTE_ETH_TX_OFFLOAD_VLAN_INSERT : 0;

	if (o->boot->tcp_streams == 0)
		return tag | (can & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
	return tag | ((can & sums) == sums ? can & (sums | RTE_ETH_TX_OFFLOAD_TCP_TSO) : 0);
}

/* In the words of the control protocol. */
static uint32_t
nic_bits(uint64_t rx, uint64_t tx)
{
	static const struct {
		uint64_t rx, tx;
		uint32_t bit;
	} rows[] = {
		{RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0, SL_NIC_RX_IP_CSUM},
		{RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 0, SL_NIC_RX_L4_CSUM},
		{RTE_ETH_RX_OFFLOAD_VLAN_STRIP, 0, SL_NIC_RX_VLAN_STRIP},
		{RTE_ETH_RX_OFFLOAD_SCATTER, 0, SL_NIC_RX_SCATTER},
		{0, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, SL_NIC_TX_IP_CSUM},
		{0, RTE_ETH_TX_OFFLOAD_TCP_CKSUM, SL_NIC_TX_TCP_CSUM},
		{0, RTE_ETH_TX_OFFLOAD_UDP_CKSUM, SL_NIC_TX_UDP_CSUM},
		{0, RTE_ETH_TX_OFFLOAD_TCP_TSO, SL_NIC_TX_TSO},
		{0, RTE_ETH_TX_OFFLOAD_VLAN_INSERT, SL_NIC_TX_VLAN_INSERT},
		{0, RTE_ETH_TX_OFFLOAD_MULTI_SEGS, SL_NIC_TX_MULTI_SEGS},
		{0, RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, SL_NIC_TX_FAST_FREE},
	};
	uint32_t bits = 0;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		if ((rows[i].rx & rx) || (rows[i].tx & tx))
			bits |= rows[i].bit;
	return bits;
}

static void
settle_offloads(struct sl_port_opening *o, uint64_t offloads)
{
	unsigned room = (unsigned)o->boot->mbuf_data - HEADERS_MAX;

	o->port.insert = offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	if (offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
		o->port.offload |= SL_OFFLOAD_CSUM;
	if (!(offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) || room <= o->port.mtu)
		return;
	o->port.offload |= SL_OFFLOAD_TSO;
	o->port.tso_max = (uint16_t)room;
}

/* Some devices take a key without a word and keep their own. */
static bool
has_key(const struct sl_port_opening *o)
{
	uint8_t key[64] = {0};
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = sizeof(key)};

	return rte_eth_dev_rss_hash_conf_get(o->port.id, &conf) ||
	       memcmp(key, o->rss->key, SL_RSS_KEY_BYTES) == 0;
}

/* What is told of it: in the log, and by the control socket. */
static void
describe(struct sl_port_opening *o, const struct rte_eth_dev_info *info,
	 const struct rte_eth_conf *conf)
{
	struct sl_port *p = &o->port;
	char vlan[16] = "";

	p->can = nic_bits(info->rx_offload_capa, info->tx_offload_capa) |
		 (info->flow_type_rss_offloads && info->reta_size ? SL_NIC_RX_RSS_HASH : 0);
	p->uses = nic_bits(conf->rxmode.offloads, conf->txmode.offloads) |
		  (p->hashes ? SL_NIC_RX_RSS_HASH : 0);
	/* of what is no PCI device DPDK says node 0, wherever it is */
	p->numa = p->pci       ? rte_eth_dev_socket_id(p->id)
		  : p->ifindex ? sl_machine_device_node(p->device, false)
			       : -1;
	snprintf(p->driver, sizeof(p->driver), "%s", info->driver_name);
	if (p->vlan)
		snprintf(vlan, sizeof(vlan), ", VLAN %u", p->vlan);
	snprintf(p->what, sizeof(p->what), "%.31s on %.63s, %u queue%s%s%s", p->driver, p->device,
		 p->rx_cnt, p->rx_cnt > 1 ? "s" : "",
		 o->set->worker_cnt == 1 ? ""
		 : p->hashes             ? ", RSS"
		 : p->rss                ? ", RSS assumed"
					 : ", hand-off",
		 vlan);
}

int
sl_port_start(struct sl_port_opening *o)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	static uint8_t key[64]; /* drivers keep a pointer to it */
	int err = rte_eth_dev_info_get(o->port.id, &info);

	if (err)
		return sl_port_failed(o, err, "device information: %s", rte_strerror(-err));
	uint16_t rx = rx_queues(o, info.max_rx_queues);
	/* pair-wise drivers want as many of each; a queue for each worker where there is one */
	uint16_t tx =
		(uint16_t)SL_MAX(SL_MIN((unsigned)info.max_tx_queues, o->set->worker_cnt), 1u);
	bool rss = can_rss(o, &info, rx);
	conf.rxmode.offloads = rx_offloads(o, info.rx_offload_capa);
	conf.txmode.offloads = tx_offloads(o, info.tx_offload_capa);
	if (rss) {
		memcpy(key, o->rss->key, SL_RSS_KEY_BYTES);
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_key = key;
		conf.rx_adv_conf.rss_conf.rss_key_len =
			info.hash_key_size ? (uint8_t)SL_MIN(info.hash_key_size, 64)
					   : SL_RSS_KEY_BYTES;
		conf.rx_adv_conf.rss_conf.rss_hf = rss_wanted & info.flow_type_rss_offloads;
	}
	err = rte_eth_dev_configure(o->port.id, rx, tx, &conf);
	if (err)
		return sl_port_failed(o, err, "%u receive and %u transmit queues: %s", rx, tx,
				      rte_strerror(-err));
	settle_mtu(o, &info);
	settle_offloads(o, conf.txmode.offloads);
	err = set_up_queues(o, &info, rx, tx, &conf);
	if (err)
		return err;
	err = settle_mac(o);
	if (err)
		return err;
	err = rte_eth_dev_start(o->port.id);
	if (err)
		return sl_port_failed(o, err, "could not be started: %s", rte_strerror(-err));
	(void)rte_eth_promiscuous_enable(o->port.id);
	bool ours = rss && spread(o, &info, rx) == 0 && rx == o->set->worker_cnt &&
		    info.reta_size % SL_RSS_BUCKETS == 0 &&
		    (info.flow_type_rss_offloads & rss_needed) == rss_needed && has_key(o);
	o->port.rss = ours || o->conf->rss == SL_RSS_ASSUME || o->set->worker_cnt == 1;
	o->port.hashes = ours;
	o->port.rx_cnt = rx;
	o->port.tx_cnt = tx;
	if (o->conf->rss == SL_RSS_ASSUME && rx != o->set->worker_cnt)
		return sl_port_failed(o, -EINVAL, "rss = \"assume\" with %u queues and %u workers",
				      rx, o->set->worker_cnt);
	describe(o, &info, &conf);
	return 0;
}

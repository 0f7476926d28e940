/* Bringing a port up: make the device (virtual ones here, PCI ones were probed by the EAL) → ask what it can
 * do → queues, key, redirection table → start.  `auto` tries AF_XDP as far as starting it and falls back to
 * AF_PACKET, saying why; what DPDK itself had to say is caught and becomes part of the reason. */
#include "dataplane/port.h"

#include "dataplane/tcp/tcp.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RX_DESC 1024
#define TX_DESC 1024
#define NO_QUEUE UINT16_MAX
#define ETH_LEN 14
#define HEADERS_MAX 114 /* Ethernet, IPv6, TCP with all options */

static_assert(RTE_PKTMBUF_HEADROOM >= SL_HEADROOM, "what alloc gives");

static const uint64_t rss_wanted = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 |
				   RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
/* Without these four the hash of a flow's packets is not ours. */
static const uint64_t rss_needed = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

struct opening {
	struct sl_port_set *set;
	const struct sl_boot *boot;
	const struct sl_boot_port *conf;
	const struct sl_rss *rss;
	unsigned idx;
	struct sl_port port;
	char why[512]; /* what failed */
};

static void say(const struct sl_port_set *set, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
say(const struct sl_port_set *set, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	set->log(line);
}

/* ---- what drivers say ---- */

/* DPDK's log, line by line: while a port comes up the first line, which is nearest to the cause, is kept as the
 * reason of a failure; at other times lines go to our log. */
static struct {
	sl_port_log_fn *log;
	bool keep;
	char line[256];
	size_t len;
	char first[256];
	char xdp[256]; /* libxdp's or libbpf's last: they have warnings on every success */
} heard;

static void
hear_line(void)
{
	heard.line[heard.len] = 0;
	heard.len = 0;
	if (heard.keep && !heard.first[0])
		memcpy(heard.first, heard.line, sizeof(heard.first));
	else if (heard.keep)
		return;
	else if (heard.log && heard.line[0])
		heard.log(heard.line);
}

static ssize_t
hear(void *cookie, const char *buf, size_t n)
{
	(void)cookie;
	for (size_t i = 0; i < n; i++)
		if (buf[i] == '\n')
			hear_line();
		else if (heard.len < sizeof(heard.line) - 1)
			heard.line[heard.len++] = buf[i];
	return (ssize_t)n;
}

static int __attribute__((format(printf, 2, 0))) hear_xdp(int level, const char *fmt, va_list ap)
{
	if (level == 0 && heard.keep) {
		vsnprintf(heard.xdp, sizeof(heard.xdp), fmt, ap);
		heard.xdp[strcspn(heard.xdp, "\n")] = 0;
	}
	return 0;
}

/* The AF_XDP driver brings these libraries; when it is not installed there is nothing to quieten. */
static void
hear_library(const char *library, const char *function)
{
	typedef int print_fn(int level, const char *fmt, va_list ap);
	void *lib = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	print_fn *(*set_print)(print_fn *) = NULL;

	if (lib)
		*(void **)&set_print = dlsym(lib, function);
	if (set_print)
		set_print(hear_xdp);
}

static void
listen_to_drivers(sl_port_log_fn *log)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){.write = hear});

	heard.log = log;
	if (f) {
		setvbuf(f, NULL, _IONBF, 0);
		rte_openlog_stream(f);
	}
	hear_library("libxdp.so.1", "libxdp_set_print");
	hear_library("libbpf.so.1", "libbpf_set_print");
}

static int __attribute__((format(printf, 3, 4)))
failed(struct opening *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(o->why, sizeof(o->why), fmt, ap);
	va_end(ap);
	const char *heard_why = heard.first[0] ? heard.first : heard.xdp;
	if (*heard_why && n > 0 && n < (int)sizeof(o->why))
		snprintf(o->why + n, sizeof(o->why) - (size_t)n, " (%s)", heard_why);
	return err < 0 ? err : -EIO;
}

/* ---- devices ---- */

/* Receive queues of a kernel interface, at least 1. */
static unsigned
kernel_queues(const char *interface)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&ch};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", interface);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		ch.rx_count = 1;
	if (fd >= 0)
		close(fd);
	return SL_MAX(ch.rx_count + ch.combined_count, 1u);
}

static int
make_vdev(struct opening *o, const char *name, const char *args)
{
	const char *more = o->conf->args;
	char all[1024];

	snprintf(all, sizeof(all), "%s%s%s", args, *args && *more ? "," : "", more);
	int err = rte_eal_hotplug_add("vdev", name, all);
	if (err)
		return failed(o, err, "%s,%s could not be made: %s", name, all, rte_strerror(-err));
	if (rte_eth_dev_get_port_by_name(name, &o->port.id))
		return failed(o, -ENODEV, "%s has no port", name);
	return 0;
}

/* rx queues we ask of a kernel interface. */
static unsigned
wanted_queues(const struct opening *o)
{
	return o->conf->queues ? (unsigned)o->conf->queues : 1;
}

static int
make_af_xdp(struct opening *o)
{
	unsigned have = kernel_queues(o->conf->device),
		 want = o->conf->queues ? wanted_queues(o) : have;
	char name[32], args[160];

	if (want < have)
		return failed(
			o, -EINVAL,
			"AF_XDP would see %u of the %u receive queues: ethtool -L %s combined %u",
			want, have, o->conf->device, want);
	if (want > o->set->worker_cnt)
		return failed(o, -EINVAL,
			      "it has %u receive queues and there are %u workers: ethtool -L %s "
			      "combined %u",
			      want, o->set->worker_cnt, o->conf->device, o->set->worker_cnt);
	snprintf(name, sizeof(name), "net_af_xdp%u", o->idx);
	snprintf(args, sizeof(args), "iface=%s,start_queue=0,queue_count=%u", o->conf->device,
		 want);
	return make_vdev(o, name, args);
}

static int
make_af_packet(struct opening *o)
{
	unsigned frame = 2048;
	char name[32], args[200];

	while (frame < (unsigned)o->boot->mbuf_data)
		frame *= 2;
	snprintf(name, sizeof(name), "net_af_packet%u", o->idx);
	snprintf(args, sizeof(args),
		 "iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=1024,qdisc_bypass=1",
		 o->conf->device, wanted_queues(o), 16 * frame, frame);
	return make_vdev(o, name, args);
}

static int
make_pci(struct opening *o)
{
	if (rte_eth_dev_get_port_by_name(o->conf->device, &o->port.id))
		return failed(o, -ENODEV,
			      "no DPDK driver took PCI device %s: is it bound to vfio-pci?",
			      o->conf->device);
	return 0;
}

static int
make_other(struct opening *o)
{
	return make_vdev(o, o->conf->device, "");
}

/* ---- queues ---- */

/* Receive queues to use of a device that offers max. */
static uint16_t
rx_queues(const struct opening *o, uint16_t max)
{
	unsigned n = o->conf->queues ? (unsigned)o->conf->queues : o->set->worker_cnt;

	n = SL_MIN(n, o->set->worker_cnt);
	return (uint16_t)SL_MAX(SL_MIN(n, (unsigned)max), 1u);
}

static bool
can_rss(const struct opening *o, const struct rte_eth_dev_info *info, uint16_t queues)
{
	return queues > 1 && o->conf->rss == SL_RSS_AUTO && info->flow_type_rss_offloads &&
	       info->reta_size && info->reta_size <= RTE_ETH_RSS_RETA_SIZE_512 &&
	       (info->hash_key_size == 0 || info->hash_key_size >= SL_RSS_KEY_BYTES);
}

static int
spread(struct opening *o, const struct rte_eth_dev_info *info, uint16_t queues)
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
set_up_queues(struct opening *o, const struct rte_eth_dev_info *info, uint16_t rx, uint16_t tx,
	      const struct rte_eth_conf *conf)
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
			return failed(o, err, "receive queue %u: %s", q, rte_strerror(-err));
	}
	for (uint16_t q = 0; q < tx; q++) {
		int err = rte_eth_tx_queue_setup(o->port.id, q, txd, (unsigned)socket, &txconf);
		if (err)
			return failed(o, err, "transmit queue %u: %s", q, rte_strerror(-err));
	}
	return 0;
}

/* The MTU we work with: what the boot file says, else the device's, and what a buffer holds. */
static void
settle_mtu(struct opening *o, const struct rte_eth_dev_info *info)
{
	uint16_t mtu = 1500, room = (uint16_t)(o->boot->mbuf_data - 18);

	rte_eth_dev_get_mtu(o->port.id, &mtu);
	if (o->conf->mtu && mtu != o->conf->mtu) {
		int err = rte_eth_dev_set_mtu(o->port.id, (uint16_t)o->conf->mtu);
		if (err && o->conf->mtu > mtu)
			say(o->set, "port %s: the device keeps its MTU of %u: %s", o->conf->name,
			    mtu, rte_strerror(-err));
		else
			mtu = (uint16_t)o->conf->mtu;
	}
	if (info->max_mtu && mtu > info->max_mtu)
		mtu = info->max_mtu;
	if (mtu > room) {
		say(o->set, "port %s: MTU %u cut to %u, what a buffer holds (mbuf_data)",
		    o->conf->name, mtu, room);
		mtu = room;
	}
	o->port.mtu = mtu;
}

static int
settle_mac(struct opening *o)
{
	struct rte_ether_addr mac;

	if (o->conf->has_mac) {
		memcpy(mac.addr_bytes, o->conf->mac, 6);
		/* promiscuous mode serves where the device cannot take it */
		(void)rte_eth_dev_default_mac_addr_set(o->port.id, &mac);
	} else {
		int err = rte_eth_macaddr_get(o->port.id, &mac);
		if (err)
			return failed(o, err, "no MAC address: %s", rte_strerror(-err));
		if (!rte_is_valid_assigned_ether_addr(&mac))
			return failed(o, -EADDRNOTAVAIL,
				      "the device has no MAC address: set mac in the boot file");
	}
	memcpy(o->port.mac, mac.addr_bytes, 6);
	return 0;
}

/* What transmit queues are to do.  Fast free says that no buffer has another holder: not so with TCP. */
static uint64_t
tx_offloads(const struct opening *o, uint64_t can)
{
	const uint64_t sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

	if (o->boot->tcp_streams == 0)
		return can & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	return (can & sums) == sums ? can & (sums | RTE_ETH_TX_OFFLOAD_TCP_TSO) : 0;
}

static void
settle_offloads(struct opening *o, uint64_t offloads)
{
	unsigned room = (unsigned)o->boot->mbuf_data - HEADERS_MAX;

	if (offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
		o->port.offload |= SL_OFFLOAD_CSUM;
	if (!(offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) || room <= o->port.mtu)
		return;
	o->port.offload |= SL_OFFLOAD_TSO;
	o->port.tso_max = (uint16_t)room;
}

static int
start(struct opening *o)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	static uint8_t key[64]; /* drivers keep a pointer to it */
	int err = rte_eth_dev_info_get(o->port.id, &info);

	if (err)
		return failed(o, err, "device information: %s", rte_strerror(-err));
	uint16_t rx = rx_queues(o, info.max_rx_queues);
	/* pair-wise drivers want as many of each; a queue for each worker where there is one */
	uint16_t tx =
		(uint16_t)SL_MAX(SL_MIN((unsigned)info.max_tx_queues, o->set->worker_cnt), 1u);
	bool rss = can_rss(o, &info, rx);
	conf.rxmode.offloads = info.rx_offload_capa &
			       (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
				RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
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
		return failed(o, err, "%u receive and %u transmit queues: %s", rx, tx,
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
		return failed(o, err, "could not be started: %s", rte_strerror(-err));
	(void)rte_eth_promiscuous_enable(o->port.id);
	bool ours = rss && spread(o, &info, rx) == 0 && rx == o->set->worker_cnt &&
		    info.reta_size % SL_RSS_BUCKETS == 0 &&
		    (info.flow_type_rss_offloads & rss_needed) == rss_needed;
	o->port.rss = ours || o->conf->rss == SL_RSS_ASSUME || o->set->worker_cnt == 1;
	o->port.hashes = ours;
	o->port.rx_cnt = rx;
	o->port.tx_cnt = tx;
	if (o->conf->rss == SL_RSS_ASSUME && rx != o->set->worker_cnt)
		return failed(o, -EINVAL, "rss = \"assume\" with %u queues and %u workers", rx,
			      o->set->worker_cnt);
	snprintf(o->port.what, sizeof(o->port.what), "%s%s%.48s, %u queue%s%s", info.driver_name,
		 o->port.device[0] ? " on " : "", o->port.device, rx, rx > 1 ? "s" : "",
		 o->set->worker_cnt == 1 ? ""
		 : ours                  ? ", RSS"
		 : o->port.rss           ? ", RSS assumed"
					 : ", hand-off");
	return 0;
}

/* Makes and starts; on failure nothing of the device is left. */
static int
attempt(struct opening *o, int (*make)(struct opening *))
{
	heard.keep = true;
	heard.first[0] = heard.xdp[0] = 0;
	o->port.id = RTE_MAX_ETHPORTS;
	int err = make(o);
	if (!err)
		err = start(o);
	if (err && o->port.id != RTE_MAX_ETHPORTS) {
		struct rte_eth_dev_info info;
		struct rte_device *dev =
			rte_eth_dev_info_get(o->port.id, &info) ? NULL : info.device;
		rte_eth_dev_close(o->port.id);
		if (dev && o->conf->driver != SL_DRIVER_PCI)
			rte_dev_remove(dev);
	}
	heard.keep = false;
	return err;
}

static int
open_port(struct opening *o)
{
	const struct sl_boot_port *c = o->conf;

	memcpy(o->port.name, c->name, sizeof(o->port.name));
	if (c->driver != SL_DRIVER_PCI && c->driver != SL_DRIVER_VDEV) {
		snprintf(o->port.device, sizeof(o->port.device), "%s", c->device);
		o->port.ifindex = if_nametoindex(c->device);
	}
	o->port.up = 1;
	switch ((enum sl_boot_driver)c->driver) {
	case SL_DRIVER_AF_XDP:
		return attempt(o, make_af_xdp);
	case SL_DRIVER_AF_PACKET:
		return attempt(o, make_af_packet);
	case SL_DRIVER_VDEV:
		return attempt(o, make_other);
	case SL_DRIVER_PCI:
		return attempt(o, make_pci);
	case SL_DRIVER_AUTO:
		break;
	}
	if (attempt(o, make_af_xdp) == 0)
		return 0;
	say(o->set, "port %s: AF_XDP does not work on %s, taking AF_PACKET: %s", c->name, c->device,
	    o->why);
	return attempt(o, make_af_packet);
}

/* On normal pages objects are packed across page borders: a pool that leaves gaps is longer than what
 * net_af_xdp registers as its UMEM, and buffers behind its end would be lost to the kernel.  No device
 * with DMA runs on normal pages, so contiguous addresses are not needed. */
static struct rte_mempool *
make_pool(const struct sl_boot *boot)
{
	unsigned room = (unsigned)boot->mbuf_data + RTE_PKTMBUF_HEADROOM;

	if (rte_eal_has_hugepages())
		return rte_pktmbuf_pool_create("buffers", (unsigned)boot->buffers, 256, 0,
					       (uint16_t)room, SOCKET_ID_ANY);
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = (uint16_t)room};
	struct rte_mempool *mp = rte_mempool_create_empty(
		"buffers", (unsigned)boot->buffers, sizeof(struct rte_mbuf) + room, 256,
		sizeof(priv), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!mp)
		return NULL;
	rte_pktmbuf_pool_init(mp, &priv);
	if (rte_mempool_populate_default(mp) < 0) {
		rte_mempool_free(mp);
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

int
sl_port_open(struct sl_port_set *ret_set, const struct sl_boot *boot, const struct sl_rss *rss,
	     sl_port_log_fn *log, struct sl_diag *diag)
{
	struct sl_port_set *set = ret_set;
	int err = 0;

	*set = (struct sl_port_set){.worker_cnt = boot->worker_cnt, .log = log};
	listen_to_drivers(log);
	set->pool = make_pool(boot);
	if (!set->pool) {
		sl_diag_add(diag, boot->file, boot->memory_line, "buffers",
			    "raise memory.size_mb or lower buffers",
			    "%d buffers of %d bytes do not fit in %d MB: %s", boot->buffers,
			    boot->mbuf_data, boot->size_mb, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	for (unsigned i = 0; i < boot->port_cnt; i++) {
		struct opening o = {
			.set = set, .boot = boot, .conf = &boot->ports[i], .rss = rss, .idx = i};
		if (open_port(&o) == 0) {
			set->port[set->cnt++] = o.port;
			continue;
		}
		char path[32];
		snprintf(path, sizeof(path), "ports[%u]", i);
		sl_diag_add(diag, boot->file, boot->ports[i].line, path, NULL, "port %s (%s): %s",
			    boot->ports[i].name, boot->ports[i].device, o.why);
		err = -ENODEV;
	}
	if (err)
		sl_port_close(set);
	return err;
}

void
sl_port_close(struct sl_port_set *set)
{
	for (unsigned i = 0; i < set->cnt; i++) {
		rte_eth_dev_stop(set->port[i].id);
		rte_eth_dev_close(set->port[i].id);
	}
	set->cnt = 0;
	rte_mempool_free(set->pool);
	set->pool = NULL;
}

static int
rekey(const struct sl_port *p, const uint8_t key[SL_RSS_KEY_BYTES])
{
	uint8_t old[64] = {0}, room[64] = {0}; /* drivers may want more than ours; the rest is 0 */
	struct rte_eth_rss_conf conf = {.rss_key = old, .rss_key_len = sizeof(old)};
	int err = rte_eth_dev_rss_hash_conf_get(p->id, &conf);

	if (err)
		return err;
	memcpy(room, key, SL_RSS_KEY_BYTES);
	conf.rss_key = room;
	if (conf.rss_key_len < SL_RSS_KEY_BYTES || conf.rss_key_len > sizeof(room))
		conf.rss_key_len = SL_RSS_KEY_BYTES;
	return rte_eth_dev_rss_hash_update(p->id, &conf);
}

uint32_t
sl_port_rekey(struct sl_port_set *set, const uint8_t key[SL_RSS_KEY_BYTES])
{
	uint32_t failed_ports = 0;

	for (unsigned i = 0; i < set->cnt; i++) {
		struct sl_port *p = &set->port[i];
		if (!p->rss || set->worker_cnt == 1)
			continue;
		int err = p->hashes ? rekey(p, key) : -ENOTSUP;
		if (!err)
			continue;
		p->rss = p->hashes = false;
		failed_ports |= 1u << i;
		say(set,
		    "note: port %s (%s) does not take the RSS key of the flows (%s): its packets "
		    "are "
		    "handed over",
		    p->name, p->what, rte_strerror(-err));
	}
	return failed_ports;
}

/* 1 up, 0 down, -1 gone.  The drivers for kernel interfaces do not follow their links, so the kernel is asked. */
static int
kernel_state(const struct sl_port *p)
{
	struct ifreq ifr = {0};
	int fd, up;

	if (if_nametoindex(p->device) != p->ifindex)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return p->up;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", p->device);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		up = errno == ENODEV ? -1 : p->up;
	else
		up = (ifr.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	close(fd);
	return up;
}

static int
driver_state(const struct sl_port *p)
{
	struct rte_eth_link link;

	if (!rte_eth_dev_is_valid_port(p->id))
		return -1;
	return rte_eth_link_get_nowait(p->id, &link) ? p->up : link.link_status == RTE_ETH_LINK_UP;
}

/* What the device lost without a worker seeing it. */
static void
watch_losses(const struct sl_port_set *set, struct sl_port *p)
{
	struct rte_eth_stats st;

	if (p->quiet > 0)
		p->quiet--;
	if (p->quiet > 0 || p->up < 0 || rte_eth_stats_get(p->id, &st))
		return;
	uint64_t lost[3] = {st.imissed, st.rx_nombuf, st.oerrors};
	if (lost[0] > p->lost[0] || lost[1] > p->lost[1] || lost[2] > p->lost[2]) {
		say(set,
		    "port %s: lost %" PRIu64 " packets before a worker took them, %" PRIu64
		    " for want of buffers, %" PRIu64 " in sending",
		    p->name, lost[0] - p->lost[0], lost[1] - p->lost[1], lost[2] - p->lost[2]);
		p->quiet = 10;
	}
	memcpy(p->lost, lost, sizeof(lost));
}

void
sl_port_watch(struct sl_port_set *set)
{
	static const char *const text[] = {"interface removed", "link down", "link up"};

	for (unsigned i = 0; i < set->cnt; i++) {
		struct sl_port *p = &set->port[i];
		int up = p->ifindex ? kernel_state(p) : driver_state(p);
		if (up != p->up)
			say(set, "port %s (%s): %s%s", p->name, p->what, text[up + 1],
			    up == 1  ? ""
			    : up < 0 ? "; the other ports go on; restart when it is back"
				     : "; the other ports go on");
		p->up = up;
		watch_losses(set, p);
	}
}

/* ---- bursts ---- */

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

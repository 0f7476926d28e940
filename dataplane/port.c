/* Bringing a port up: make the device (virtual ones here, PCI ones were probed by the EAL) → ask what it can
 * do → queues, key, redirection table → start.  `auto` tries AF_XDP as far as starting it and falls back to
 * AF_PACKET, saying why; what DPDK itself had to say is caught and becomes part of the reason. */
#include "dataplane/machine.h"
#include "dataplane/port_priv.h"

#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdio.h>

void
sl_port_say(const struct sl_port_set *set, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	set->log(line);
}

/* Makes and starts; on failure nothing of the device is left. */
static int
attempt(struct sl_port_opening *o, sl_port_make_fn *make)
{
	sl_port_hear_keep(true);
	o->port.id = RTE_MAX_ETHPORTS;
	int err = make(o);
	if (!err)
		err = sl_port_start(o);
	if (err && o->port.id != RTE_MAX_ETHPORTS) {
		struct rte_eth_dev_info info;
		struct rte_device *dev =
			rte_eth_dev_info_get(o->port.id, &info) ? NULL : info.device;
		rte_eth_dev_close(o->port.id);
		if (dev && o->conf->driver != SL_DRIVER_PCI)
			rte_dev_remove(dev);
	}
	sl_port_hear_keep(false);
	return err;
}

/* A port of a device that is another one's already, by its own tag. */
static int
share_port(struct sl_port_opening *o, const struct sl_port *lead)
{
	const struct sl_boot_port *c = o->conf;

	o->port = *lead;
	memcpy(o->port.name, c->name, sizeof(o->port.name));
	o->port.shared = true;
	memcpy(o->port.kernel, c->kernel, sizeof(o->port.kernel));
	o->port.vlan = (uint16_t)c->vlan;
	if (c->has_mac)
		memcpy(o->port.mac, c->mac, 6);
	if (c->mtu > lead->mtu)
		return sl_port_failed(o, -EINVAL, "mtu %d is larger than the device's, %u", c->mtu,
				      lead->mtu);
	if (c->mtu)
		o->port.mtu = (uint16_t)c->mtu;
	snprintf(o->port.what, sizeof(o->port.what), "VLAN %u of %.63s", c->vlan, lead->device);
	return 0;
}

static int
open_port(struct sl_port_opening *o)
{
	const struct sl_boot_port *c = o->conf;
	unsigned lead = sl_boot_lead(o->boot, o->idx);

	if (lead != o->idx)
		return share_port(o, &o->set->port[lead]);
	o->port.lead = o->idx;
	o->port.vlan = (uint16_t)c->vlan;
	o->port.numa = -1;
	o->port.pci = c->driver == SL_DRIVER_PCI;
	memcpy(o->port.kernel, c->kernel, sizeof(o->port.kernel));
	memcpy(o->port.name, c->name, sizeof(o->port.name));
	snprintf(o->port.device, sizeof(o->port.device), "%s", c->device);
	if (c->driver != SL_DRIVER_PCI && c->driver != SL_DRIVER_VDEV)
		o->port.ifindex = if_nametoindex(c->device);
	o->port.up = 1;
	switch ((enum sl_boot_driver)c->driver) {
	case SL_DRIVER_AF_XDP:
		return attempt(o, sl_port_make_af_xdp);
	case SL_DRIVER_AF_PACKET:
		return attempt(o, sl_port_make_af_packet);
	case SL_DRIVER_VDEV:
		return attempt(o, sl_port_make_vdev);
	case SL_DRIVER_PCI:
		return attempt(o, sl_port_make_pci);
	case SL_DRIVER_AUTO:
		break;
	}
	if (attempt(o, sl_port_make_af_xdp) == 0)
		return 0;
	sl_port_say(o->set, "port %s: AF_XDP does not work on %s, taking AF_PACKET: %s", c->name,
		    c->device, o->why);
	return attempt(o, sl_port_make_af_packet);
}

/* The NUMA node of the first port that has one, or -1. */
static int
nearest_node(const struct sl_boot *boot)
{
	for (unsigned i = 0; i < boot->port_cnt; i++) {
		const struct sl_boot_port *p = &boot->ports[i];
		bool pci = p->driver == SL_DRIVER_PCI;
		int node =
			p->driver == SL_DRIVER_VDEV ? -1 : sl_machine_device_node(p->device, pci);
		if (node >= 0)
			return node;
	}
	return -1;
}

/* On normal pages objects are packed across page borders: a pool that leaves gaps is longer than what
 * net_af_xdp registers as its UMEM, and buffers behind its end would be lost to the kernel.  No device
 * with DMA runs on normal pages, so contiguous addresses are not needed. */
static struct rte_mempool *
make_pool(const struct sl_boot *boot)
{
	unsigned room = (unsigned)boot->mbuf_data + RTE_PKTMBUF_HEADROOM;

	if (rte_eal_has_hugepages()) {
		/* on the ports' node, where it has the pages */
		int node = nearest_node(boot);
		struct rte_mempool *mp = NULL;
		if (node >= 0)
			mp = rte_pktmbuf_pool_create("buffers", (unsigned)boot->buffers, 256, 0,
						     (uint16_t)room, node);
		return mp ? mp
			  : rte_pktmbuf_pool_create("buffers", (unsigned)boot->buffers, 256, 0,
						    (uint16_t)room, SOCKET_ID_ANY);
	}
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
	sl_port_hear_start(log);
	set->pool = make_pool(boot);
	if (!set->pool) {
		sl_diag_add(diag, boot->file, boot->memory_line, "buffers",
			    "raise memory.size_mb or lower buffers",
			    "%d buffers of %d bytes do not fit in %d MB: %s", boot->buffers,
			    boot->mbuf_data, boot->size_mb, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	for (unsigned i = 0; i < boot->port_cnt; i++) {
		struct sl_port_opening o = {
			.set = set, .boot = boot, .conf = &boot->ports[i], .rss = rss, .idx = i};
		if (err && sl_boot_lead(boot, i) != i)
			continue; /* its device may be what failed */
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
	else
		sl_port_watch_start(set);
	return err;
}

uint32_t
sl_port_gone(const struct sl_port_set *set)
{
	uint32_t gone = 0;

	for (unsigned i = 0; i < set->cnt; i++)
		if (set->port[i].up < 0)
			gone |= 1u << i;
	return gone;
}

void
sl_port_drop(struct sl_port_set *set, uint32_t ports)
{
	for (unsigned i = 0; i < set->cnt; i++) {
		struct sl_port *p = &set->port[i];
		struct rte_eth_dev_info info;
		if (!(ports >> i & 1) || p->closed)
			continue;
		p->closed = true;
		if (p->shared)
			continue;
		/* what drivers say when half of it is gone is no news */
		sl_port_hear_keep(true);
		struct rte_device *dev = rte_eth_dev_info_get(p->id, &info) ? NULL : info.device;
		rte_eth_dev_stop(p->id);
		rte_eth_dev_close(p->id);
		if (dev)
			rte_dev_remove(dev);
		sl_port_hear_keep(false);
		sl_port_say(set, "port %s (%s): closed", p->name, p->what);
	}
}

void
sl_port_close(struct sl_port_set *set)
{
	sl_port_watch_stop(set);
	for (unsigned i = 0; i < set->cnt; i++) {
		if (set->port[i].shared || set->port[i].closed)
			continue;
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
		int err = p->shared   ? failed_ports >> p->lead & 1 ? -ENOTSUP : 0
			  : p->hashes ? rekey(p, key)
				      : -ENOTSUP;
		if (!err)
			continue;
		p->rss = p->hashes = false;
		failed_ports |= 1u << i;
		if (p->shared)
			continue;
		sl_port_say(set,
			    "note: port %s (%s) does not take the RSS key of the flows (%s): its "
			    "packets are handed over",
			    p->name, p->what, rte_strerror(-err));
	}
	return failed_ports;
}

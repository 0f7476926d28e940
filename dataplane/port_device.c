/* Kernel interfaces and virtual devices are made here; PCI devices were probed by the EAL. */
#include "dataplane/port_priv.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One question of ethtool: 0 or -errno. */
static int
ask_kernel(const char *interface, void *question)
{
	struct ifreq ifr = {.ifr_data = question};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", interface);
	int err = fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Receive queues of a kernel interface, at least 1. */
static unsigned
kernel_queues(const char *interface)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};

	if (ask_kernel(interface, &ch))
		ch.rx_count = 1;
	return SL_MAX(ch.rx_count + ch.combined_count, 1u);
}

/* A device that takes tags out tells the kernel, not an XDP program: all of its frames would look alike. */
static int
keep_tags(struct sl_port_opening *o)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

	if (ask_kernel(o->conf->device, &flags) || !(flags.data & ETH_FLAG_RXVLAN))
		return 0;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_RXVLAN;
	int err = ask_kernel(o->conf->device, &flags);
	if (err)
		return sl_port_failed(o, err,
				      "it hides the tags of received frames from AF_XDP: ethtool "
				      "-K %s rxvlan off",
				      o->conf->device);
	sl_port_say(o->set, "port %s: VLAN tags are left in what %s receives (rxvlan off)",
		    o->conf->name, o->conf->device);
	return 0;
}

static int
make_vdev(struct sl_port_opening *o, const char *name, const char *args)
{
	const char *more = o->conf->args;
	char all[1024];

	snprintf(all, sizeof(all), "%s%s%s", args, *args && *more ? "," : "", more);
	int err = rte_eal_hotplug_add("vdev", name, all);
	if (err)
		return sl_port_failed(o, err, "%s,%s could not be made: %s", name, all,
				      rte_strerror(-err));
	if (rte_eth_dev_get_port_by_name(name, &o->port.id))
		return sl_port_failed(o, -ENODEV, "%s has no port", name);
	return 0;
}

/* rx queues we ask of a kernel interface. */
static unsigned
wanted_queues(const struct sl_port_opening *o)
{
	return o->conf->queues ? (unsigned)o->conf->queues : 1;
}

int
sl_port_make_af_xdp(struct sl_port_opening *o)
{
	unsigned have = kernel_queues(o->conf->device),
		 want = o->conf->queues ? wanted_queues(o) : have;
	char name[32], args[160];

	if (want < have)
		return sl_port_failed(
			o, -EINVAL,
			"AF_XDP would see %u of the %u receive queues: ethtool -L %s combined %u",
			want, have, o->conf->device, want);
	if (want > o->set->worker_cnt)
		return sl_port_failed(
			o, -EINVAL,
			"it has %u receive queues and there are %u workers: ethtool -L %s "
			"combined %u",
			want, o->set->worker_cnt, o->conf->device, o->set->worker_cnt);
	if (o->conf->vlan && keep_tags(o))
		return -EIO;
	snprintf(name, sizeof(name), "net_af_xdp%u", o->idx);
	snprintf(args, sizeof(args), "iface=%s,start_queue=0,queue_count=%u", o->conf->device,
		 want);
	return make_vdev(o, name, args);
}

int
sl_port_make_af_packet(struct sl_port_opening *o)
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

int
sl_port_make_pci(struct sl_port_opening *o)
{
	if (rte_eth_dev_get_port_by_name(o->conf->device, &o->port.id))
		return sl_port_failed(o, -ENODEV,
				      "no DPDK driver took PCI device %s: is it bound to vfio-pci?",
				      o->conf->device);
	return 0;
}

int
sl_port_make_vdev(struct sl_port_opening *o)
{
	return make_vdev(o, o->conf->device, "");
}

/* Links and losses.  The drivers for kernel interfaces do not follow their links, so the kernel is asked. */
#define ALLOW_EXPERIMENTAL_API /* events of devices */
#include "dataplane/port_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* 1 up, 0 down, -1 gone; what could not be asked is as it was: to be short of descriptors does not remove interfaces. */
static int
kernel_state(const struct sl_port *p)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), up = p->up;

	if (fd < 0)
		return up;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", p->device);
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		up = errno == ENODEV ? -1 : up;
	else if ((unsigned)ifr.ifr_ifindex != p->ifindex)
		up = -1;
	else if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		up = errno == ENODEV ? -1 : up;
	else
		up = (ifr.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	close(fd);
	return up;
}

/* A device that was pulled out answers every read with ones. */
static bool
pci_gone(const struct sl_port *p)
{
	char path[128];
	uint16_t vendor = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", p->device);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	bool ones = read(fd, &vendor, sizeof(vendor)) == sizeof(vendor) && vendor == 0xffff;
	close(fd);
	return ones;
}

static int
driver_state(const struct sl_port_set *set, const struct sl_port *p)
{
	struct rte_eth_link link;

	if (!rte_eth_dev_is_valid_port(p->id) ||
	    (atomic_load_explicit(&set->removed, memory_order_relaxed) >> p->lead & 1) ||
	    rte_eth_dev_is_removed(p->id) || (p->pci && pci_gone(p)))
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
		sl_port_say(set,
			    "port %s: lost %" PRIu64 " packets before a worker took them, %" PRIu64
			    " for want of buffers, %" PRIu64 " in sending",
			    p->name, lost[0] - p->lost[0], lost[1] - p->lost[1],
			    lost[2] - p->lost[2]);
		p->quiet = 10;
	}
	memcpy(p->lost, lost, sizeof(lost));
}

void
sl_port_watch(struct sl_port_set *set)
{
	static const char *const text[] = {"removed", "link down", "link up"};

	for (unsigned i = 0; i < set->cnt; i++) {
		struct sl_port *p = &set->port[i];
		if (p->up < 0)
			continue; /* what is gone does not come back */
		int up = p->shared    ? set->port[p->lead].up
			 : p->ifindex ? kernel_state(p)
				      : driver_state(set, p);
		p->changes += up != p->up;
		if (up != p->up)
			sl_port_say(set, "port %s (%s): %s%s%s", p->name, p->what,
				    up < 0 && p->ifindex ? "interface " : "", text[up + 1],
				    up == 1  ? ""
				    : up < 0 ? "; the other ports go on; restart when it is back"
					     : "; the other ports go on");
		p->up = up;
		if (!p->shared)
			watch_losses(set, p);
	}
}

/* The bus asks for a device back: VFIO holds it until we close it. */
static void
on_event(const char *device, enum rte_dev_event_type event, void *ctx)
{
	struct sl_port_set *set = ctx;

	for (unsigned i = 0; event == RTE_DEV_EVENT_REMOVE && i < set->cnt; i++)
		if (set->port[i].pci && strcmp(set->port[i].device, device) == 0)
			atomic_fetch_or_explicit(&set->removed, 1u << i, memory_order_relaxed);
}

static bool
has_pci(const struct sl_port_set *set)
{
	for (unsigned i = 0; i < set->cnt; i++)
		if (set->port[i].pci)
			return true;
	return false;
}

void
sl_port_watch_start(struct sl_port_set *set)
{
	int err = has_pci(set) ? rte_dev_event_callback_register(NULL, on_event, set) : 0;

	if (err)
		sl_port_say(set, "note: the bus does not tell of devices that go: %s",
			    rte_strerror(-err));
}

void
sl_port_watch_stop(struct sl_port_set *set)
{
	if (has_pci(set))
		rte_dev_event_callback_unregister(NULL, on_event, set);
}

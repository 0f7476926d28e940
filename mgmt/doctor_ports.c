/* Checks of ports: what the boot file names against what is there. */
#include "mgmt/doctor.h"

#include <string.h>

static bool
is(const struct sl_doctor_boot_port *p, const char *driver)
{
	return strcmp(p->driver, driver) == 0;
}

static bool
of_kernel(const struct sl_doctor_boot_port *p)
{
	return !is(p, "pci") && !is(p, "vdev");
}

static unsigned
pci_ports(const struct sl_doctor_boot *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->port_cnt; i++)
		n += is(&b->port[i], "pci");
	return n;
}

/* The finding of a check that had nothing to say against any port. */
static void
all_good(const struct sl_doctor_boot *b, struct sl_doctor_report *r, unsigned before,
	 unsigned looked, const char *good, const char *none)
{
	if (r->cnt > before)
		return;
	if (!b->known)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "the ports are not known");
	else
		sl_doctor_say(r, SL_DOCTOR_OK, "%s", looked ? good : none);
}

/* ---- binding ---- */

/* Drivers of DPDK that stand on the kernel's own. */
static bool
serves_dpdk(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strstr(driver, "uio") ||
	       strncmp(driver, "mlx", 3) == 0 || strcmp(driver, "mana") == 0;
}

static void
check_pci(const struct sl_doctor_boot_port *p, const struct sl_doctor_pci *pci,
	  struct sl_doctor_report *r)
{
	if (!pci->present) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "port %s: there is no PCI device %s", p->name,
			      p->device);
		sl_doctor_why(r, "the dataplane does not start");
		sl_doctor_mend(r,
			       "lspci -D shows what is there; write the address as 0000:3b:00.0");
	} else if (!serves_dpdk(pci->driver)) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "port %s: %s is bound to %s", p->name, p->device,
			      pci->driver[0] ? pci->driver : "no driver");
		sl_doctor_why(r, "the dataplane does not start");
		sl_doctor_mend(r, "scripts/devbind bind %s", p->device);
	} else if (strstr(pci->driver, "uio")) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s is bound to %s", p->name,
			      p->device, pci->driver);
		sl_doctor_why(r, "the device may write to any memory");
		sl_doctor_mend(r, "scripts/devbind bind %s", p->device);
	}
}

void
sl_doctor_ports_driver(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	unsigned before = r->cnt, looked = 0;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_boot_port *p = &b->port[i];
		looked += !is(p, "vdev");
		if (is(p, "pci")) {
			check_pci(p, &f->port[i].pci, r);
		} else if (of_kernel(p) && !f->port[i].nic.present) {
			sl_doctor_say(r, SL_DOCTOR_ERROR, "port %s: there is no interface %s",
				      p->name, p->device);
			sl_doctor_why(r, "the dataplane does not start");
			sl_doctor_mend(
				r, "ip link shows what is there; a NIC that is bound to vfio-pci "
				   "has none: driver = \"pci\"");
		}
	}
	all_good(b, r, before, looked, "each port's device is there and has the right driver",
		 "virtual ones alone");
}

void
sl_doctor_ports_iommu(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	unsigned ports = pci_ports(b), before = r->cnt;
	char on[64];

	if (!f->iommu_groups) {
		sl_doctor_say(r,
			      !ports       ? b->known ? SL_DOCTOR_OK : SL_DOCTOR_NOTE
			      : f->noiommu ? SL_DOCTOR_WARNING
					   : SL_DOCTOR_ERROR,
			      ports ? "off" : "off; no port needs it");
		if (ports) {
			sl_doctor_why(r, f->noiommu ? "the devices may write to any memory"
						    : "vfio-pci takes no device");
			sl_doctor_mend(
				r,
				"on in the firmware (VT-d, AMD-Vi), intel_iommu=on iommu=pt on the "
				"kernel's command line, then reboot");
		}
		return;
	}
	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_pci *pci = &f->port[i].pci;
		if (!is(&b->port[i], "pci") || !pci->others[0])
			continue;
		sl_doctor_say(r, SL_DOCTOR_ERROR, "port %s: group %s also has %s", b->port[i].name,
			      pci->group, pci->others);
		sl_doctor_why(r, "VFIO gives a group away whole or not at all");
		sl_doctor_mend(
			r, "bind all of the group to vfio-pci, or put the NIC into another slot");
	}
	snprintf(on, sizeof(on), "on, %d groups", f->iommu_groups);
	if (r->cnt == before)
		sl_doctor_say(r, SL_DOCTOR_OK, "%s", on);
}

void
sl_doctor_ports_vfio(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		     struct sl_doctor_report *r)
{
	bool needed = false;

	for (unsigned i = 0; i < b->port_cnt; i++) /* those of Mellanox need none */
		needed |= is(&b->port[i], "pci") && (!serves_dpdk(f->port[i].pci.driver) ||
						     !strcmp(f->port[i].pci.driver, "vfio-pci"));
	if (f->vfio) {
		sl_doctor_say(r, SL_DOCTOR_OK, "vfio-pci is loaded%s",
			      f->noiommu ? ", in its unsafe mode" : "");
	} else if (!needed) {
		sl_doctor_say(r, b->known ? SL_DOCTOR_OK : SL_DOCTOR_NOTE, "not loaded%s",
			      b->known ? "; no port needs it" : "");
	} else {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "vfio-pci is not loaded");
		sl_doctor_why(r, "no NIC can be bound to it");
		sl_doctor_mend(
			r, "modprobe vfio-pci; echo vfio-pci > /etc/modules-load.d/vfio-pci.conf");
	}
}

/* ---- place ---- */

void
sl_doctor_ports_numa(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		     struct sl_doctor_report *r)
{
	struct sl_doctor_cpus workers = {0};
	unsigned before = r->cnt, looked = 0;
	char list[256];

	if (b->known && !sl_doctor_workers(f, b, &workers)) {
		sl_doctor_say(r, SL_DOCTOR_OK,
			      "workers are chosen by the ports' nodes at the start");
		return;
	}
	for (unsigned i = 0; i < b->port_cnt; i++) {
		int node = f->port[i].pci.present ? f->port[i].pci.node : -1;
		if (node < 0 || !f->node[node].present)
			continue;
		struct sl_doctor_cpus far = sl_doctor_cpus_minus(&workers, &f->node[node].cpus);
		looked++;
		if (!sl_doctor_cpus_cnt(&far))
			continue;
		sl_doctor_say(r, SL_DOCTOR_WARNING,
			      "port %s: node %d, workers on CPU %s are on another", b->port[i].name,
			      node, sl_doctor_cpus_format(&far, list, sizeof(list)));
		sl_doctor_why(r, "each packet crosses between nodes");
		sl_doctor_mend(r, "workers of CPU %s in the boot file",
			       sl_doctor_cpus_format(&f->node[node].cpus, list, sizeof(list)));
	}
	all_good(b, r, before, looked, "workers are on the nodes of their ports",
		 "no device tells a node of its own");
}

void
sl_doctor_ports_pcie(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		     struct sl_doctor_report *r)
{
	unsigned before = r->cnt, looked = 0;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_pci *p = &f->port[i].pci;
		bool slow = p->speed > 0 && p->max_speed > 0 && p->speed < p->max_speed - 0.01;
		bool thin = p->width > 0 && p->max_width > 0 && p->width < p->max_width;
		looked += p->present && p->speed > 0 && p->max_speed > 0;
		if (!slow && !thin)
			continue;
		sl_doctor_say(r, SL_DOCTOR_WARNING,
			      "port %s: %s runs at %.1f GT/s x%d, and can %.1f GT/s x%d",
			      b->port[i].name, p->address, p->speed, p->width, p->max_speed,
			      p->max_width);
		sl_doctor_why(r, "it may not carry the NIC's rate");
		sl_doctor_mend(
			r, "another slot, or its speed in the firmware; no power saving of PCIe "
			   "(pcie_aspm=off)");
	}
	all_good(b, r, before, looked, "each device runs as fast and wide as it can",
		 "the devices do not tell");
}

/* ---- interfaces ---- */

void
sl_doctor_ports_link(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		     struct sl_doctor_report *r)
{
	unsigned before = r->cnt, looked = 0;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_nic *n = &f->port[i].nic;
		if (!n->present)
			continue;
		looked++;
		if (n->carrier == 0) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s has no link",
				      b->port[i].name, b->port[i].device);
			sl_doctor_why(r, "nothing comes in or goes out");
			sl_doctor_mend(r,
				       "ip link set %s up; then cable, transceiver, the other end",
				       b->port[i].device);
		} else if (n->half) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s has half duplex",
				      b->port[i].name, b->port[i].device);
			sl_doctor_why(r, "it loses packets under load");
			sl_doctor_mend(r, "ethtool -s %s autoneg on, on both ends",
				       b->port[i].device);
		} else if (n->carrier < 0) {
			sl_doctor_say(r, SL_DOCTOR_NOTE, "port %s: %s does not tell",
				      b->port[i].name, b->port[i].device);
		}
	}
	all_good(b, r, before, looked, "each interface has link", "no interface to look at");
}

void
sl_doctor_ports_offload(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			struct sl_doctor_report *r)
{
	unsigned before = r->cnt, looked = 0, told = 0;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_boot_port *p = &b->port[i];
		const struct sl_doctor_nic *n = &f->port[i].nic;
		looked += n->present;
		told += n->present && n->has_features;
		if (!n->present || !n->has_features)
			continue;
		if (n->gro || n->lro) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s has %s on", p->name,
				      p->device,
				      !n->lro  ? "GRO"
				      : n->gro ? "GRO and LRO"
					       : "LRO");
			sl_doctor_why(
				r, "packets put together by it do not fit a buffer and are lost");
			sl_doctor_mend(r, "ethtool -K %s gro off lro off", p->device);
		}
		if (p->vlan && n->rx_vlan && !is(p, "af_packet")) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s takes VLAN tags off",
				      p->name, p->device);
			sl_doctor_why(r,
				      "AF_XDP does not pass them on, and no frame is the port's");
			sl_doctor_mend(r, "ethtool -K %s rxvlan off", p->device);
		}
	}
	if (looked && !told && r->cnt == before)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "the interfaces' features are not told");
	all_good(b, r, before, looked, "nothing is on that hurts", "no interface to look at");
}

void
sl_doctor_ports_queues(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	unsigned before = r->cnt, looked = 0, told = 0;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_boot_port *p = &b->port[i];
		const struct sl_doctor_nic *n = &f->port[i].nic;
		unsigned want = p->queues ? (unsigned)p->queues : b->worker_cnt;
		if (!n->present || is(p, "af_packet"))
			continue;
		looked++;
		told += n->queues > 0;
		if (n->queues <= want)
			continue;
		sl_doctor_say(r, is(p, "af_xdp") ? SL_DOCTOR_ERROR : SL_DOCTOR_WARNING,
			      "port %s: %s has %u receive queues, %u are used", p->name, p->device,
			      n->queues, want);
		sl_doctor_why(r, is(p, "af_xdp")
					 ? "AF_XDP would not see all packets: it does not start"
					 : "it falls back to AF_PACKET, slower");
		sl_doctor_mend(r, "ethtool -L %s combined %u", p->device, want);
	}
	if (looked && !told && r->cnt == before)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "the interfaces' queues are not told");
	all_good(b, r, before, looked, "as many as are used", "no port of AF_XDP to look at");
}

/* ---- the kernel beside us ---- */

/* AF_PACKET shows us copies: the kernel goes on with its own. */
static void
check_forwarding(const struct sl_doctor_facts *f, const struct sl_doctor_boot_port *p,
		 const struct sl_doctor_nic *n, struct sl_doctor_report *r)
{
	if (is(p, "af_xdp") || (n->forwarding != 1 && !(n->forwarding < 0 && f->ip_forward == 1)))
		return;
	sl_doctor_say(r, is(p, "af_packet") ? SL_DOCTOR_WARNING : SL_DOCTOR_NOTE,
		      "port %s: the kernel forwards what comes in by %s", p->name, p->device);
	sl_doctor_why(r,
		      "with AF_PACKET it has a copy of each packet, and sends it on a second time");
	sl_doctor_mend(r, "sysctl -w net.ipv4.conf.%s.forwarding=0", p->device);
}

static void
check_exception(const struct sl_doctor_facts *f, const struct sl_doctor_boot_port *p,
		const struct sl_doctor_nic *k, struct sl_doctor_report *r)
{
	int strict = k->rp_filter > f->rp_filter_all ? k->rp_filter : f->rp_filter_all;

	if (!f->tun && !f->vhost_net) {
		sl_doctor_say(r, SL_DOCTOR_ERROR,
			      "port %s: neither /dev/net/tun nor /dev/vhost-net", p->name);
		sl_doctor_why(r, "interface %s cannot be made", p->kernel);
		sl_doctor_mend(r, "modprobe tun vhost_net");
	}
	if (!k->present) {
		if (f->dataplane.pid) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: there is no interface %s",
				      p->name, p->kernel);
			sl_doctor_why(r, "the kernel gets nothing of that port: no ssh, no BGP");
			sl_doctor_mend(r,
				       "the dataplane's log says why; it makes it when it starts");
		}
		return;
	}
	if (strict == 1) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: rp_filter of %s is strict", p->name,
			      p->kernel);
		sl_doctor_why(
			r, "the kernel drops what it would answer by another interface, silently");
		sl_doctor_mend(
			r, "sysctl -w net.ipv4.conf.%s.rp_filter=2 net.ipv4.conf.all.rp_filter=2",
			p->kernel);
	}
	if (k->forwarding == 1) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "port %s: the kernel forwards what comes in by %s",
			      p->name, p->kernel);
		sl_doctor_why(r, "the exception path is for the node itself, and rate-limited");
		sl_doctor_mend(r, "sysctl -w net.ipv4.conf.%s.forwarding=0", p->kernel);
	}
}

void
sl_doctor_ports_kernel(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	unsigned before = r->cnt;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_boot_port *p = &b->port[i];
		if (f->port[i].nic.present)
			check_forwarding(f, p, &f->port[i].nic, r);
		if (p->kernel[0])
			check_exception(f, p, &f->port[i].kernel, r);
	}
	all_good(b, r, before, b->port_cnt, "nothing of it gets in the way", "");
}

void
sl_doctor_ports_running(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			struct sl_doctor_report *r)
{
	unsigned before = r->cnt;

	(void)b;
	if (!f->answered || !f->connected || !f->running_cnt) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "no daemon tells of them");
		return;
	}
	for (unsigned i = 0; i < f->running_cnt; i++) {
		const struct sl_doctor_running *p = &f->running[i];
		if (p->link[0] && strcmp(p->link, "up")) {
			sl_doctor_say(r, SL_DOCTOR_WARNING, "port %s: %s", p->name,
				      strcmp(p->link, "gone") ? "no link" : "its device is gone");
			sl_doctor_why(r, "nothing comes in or goes out");
			sl_doctor_mend(r, strcmp(p->link, "gone")
						  ? "cable, transceiver, the other end"
						  : "restart the dataplane when it is back");
		}
		if (p->missed || p->tx_full) {
			sl_doctor_say(
				r, SL_DOCTOR_NOTE,
				"port %s: %lld packets missed, %lld not sent, since it started",
				p->name, p->missed, p->tx_full);
			sl_doctor_why(
				r, "workers, buffers or the other end were too slow for a while");
			sl_doctor_mend(
				r, "more workers or buffers; sluicectl top shows which are busy");
		}
	}
	if (r->cnt == before)
		sl_doctor_say(r, SL_DOCTOR_OK, "%u serve", f->running_cnt);
}

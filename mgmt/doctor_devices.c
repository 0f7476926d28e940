/* PCI devices and interfaces that the boot file names.  Features and queues of an interface are asked of the kernel by
 * ioctl, of the running machine alone. */
#include "mgmt/doctor.h"

#include <dirent.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mgmt/doctor_file.h"

#define PCI "/sys/bus/pci/devices"

/* ---- PCI ---- */

/* "0000:3b:00.0", and nothing behind it */
static bool
pci_address(const char *s)
{
	static const char form[] = "xxxx:xx:xx.x";
	size_t i = 0;

	for (; form[i]; i++) {
		bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');
		if (form[i] == 'x' ? !hex : s[i] != form[i])
			return false;
	}
	return !s[i];
}

/* "8.0 GT/s PCIe" */
static double
read_speed(const char *root, const char *address, const char *file)
{
	char word[16];
	double v;

	sl_doctor_file_word(word, sizeof(word), root, PCI "/%s/%s", address, file);
	return sscanf(word, "%7lf", &v) == 1 && v > 0 && v < 1000 ? v : 0;
}

/* 0 where the device has no link, 255 where it is down */
static int
read_width(const char *root, const char *address, const char *file)
{
	long v = sl_doctor_file_number(0, root, PCI "/%s/%s", address, file);

	return v > 0 && v <= 32 ? (int)v : 0;
}

/* Who else is in the group, and is not VFIO's.  Bridges have no driver that matters. */
static void
read_group(const char *root, struct sl_doctor_pci *p)
{
	char path[PATH_MAX], driver[32];
	size_t n = 0;

	if (!p->group[0] || !sl_doctor_file_path(path, sizeof(path), root,
						 "/sys/kernel/iommu_groups/%s/devices", p->group))
		return;
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d)) && n < sizeof(p->others);) {
		if (!pci_address(e->d_name) || strcmp(e->d_name, p->address) == 0)
			continue;
		sl_doctor_file_link(driver, sizeof(driver), root, PCI "/%s/driver", e->d_name);
		if (driver[0] && strcmp(driver, "vfio-pci") && strcmp(driver, "pcieport") &&
		    strcmp(driver, "pci-stub"))
			n += (size_t)snprintf(p->others + n, sizeof(p->others) - n, "%s%s (%s)",
					      n ? ", " : "", e->d_name, driver);
	}
	if (d)
		closedir(d);
}

static void
read_pci(const char *root, const char *address, struct sl_doctor_pci *p)
{
	p->node = -1;
	if (!pci_address(address))
		return;
	strcpy(p->address, address);
	if (!(p->present = sl_doctor_file_is(root, PCI "/%s", address)))
		return;
	sl_doctor_file_link(p->driver, sizeof(p->driver), root, PCI "/%s/driver", address);
	sl_doctor_file_link(p->group, sizeof(p->group), root, PCI "/%s/iommu_group", address);
	long node = sl_doctor_file_number(-1, root, PCI "/%s/numa_node", address);
	p->node = node >= 0 && node < SL_DOCTOR_NODES ? (int)node : -1;
	p->speed = read_speed(root, address, "current_link_speed");
	p->max_speed = read_speed(root, address, "max_link_speed");
	p->width = read_width(root, address, "current_link_width");
	p->max_width = read_width(root, address, "max_link_width");
	read_group(root, p);
}

/* ---- interfaces ---- */

static bool
ask_ethtool(int fd, const char *name, void *what)
{
	struct ifreq ifr = {.ifr_data = what};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", name);
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0;
}

static void
read_ethtool(const char *name, struct sl_doctor_nic *n)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS}, gro = {.cmd = ETHTOOL_GGRO};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ask_ethtool(fd, name, &driver))
		snprintf(n->driver, sizeof(n->driver), "%.31s", driver.driver);
	if (ask_ethtool(fd, name, &channels))
		n->queues = channels.rx_count + channels.combined_count;
	n->has_features = ask_ethtool(fd, name, &flags) && ask_ethtool(fd, name, &gro);
	n->lro = flags.data & ETH_FLAG_LRO;
	n->rx_vlan = flags.data & ETH_FLAG_RXVLAN;
	n->gro = gro.data;
	close(fd);
}

static void
read_nic(const char *root, const char *name, struct sl_doctor_nic *n)
{
	char word[16];

	n->carrier = n->rp_filter = n->forwarding = SL_DOCTOR_UNKNOWN;
	n->speed = SL_DOCTOR_UNKNOWN;
	if (!*name || strchr(name, '/') || *name == '.' || strlen(name) > 15)
		return;
	if (!(n->present = sl_doctor_file_is(root, "/sys/class/net/%s", name)))
		return;
	long carrier =
		sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root, "/sys/class/net/%s/carrier", name);
	sl_doctor_file_word(word, sizeof(word), root, "/sys/class/net/%s/operstate", name);
	n->carrier = carrier == 0 || carrier == 1 ? (int)carrier
		     : strcmp(word, "down") == 0
			     ? 0
			     : SL_DOCTOR_UNKNOWN; /* a file of one that is down cannot be read */
	long speed =
		sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root, "/sys/class/net/%s/speed", name);
	n->speed = speed > 0 && speed < 100000000 ? speed : SL_DOCTOR_UNKNOWN;
	sl_doctor_file_word(word, sizeof(word), root, "/sys/class/net/%s/duplex", name);
	n->half = strcmp(word, "half") == 0;
	n->rp_filter = (int)sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root,
						  "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	n->forwarding = (int)sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root,
						   "/proc/sys/net/ipv4/conf/%s/forwarding", name);
	if (!*root)
		read_ethtool(name, n);
}

/* The PCI device of an interface: the last component of its place among the devices that is one's address. */
static void
find_pci(const char *root, const char *name, char ret[16])
{
	char path[PATH_MAX], real[PATH_MAX];

	*ret = 0;
	if (!sl_doctor_file_path(path, sizeof(path), root, "/sys/class/net/%s/device", name) ||
	    !realpath(path, real))
		return;
	for (char *slash; (slash = strrchr(real, '/')); *slash = 0)
		if (pci_address(slash + 1)) {
			snprintf(ret, 16, "%s", slash + 1);
			return;
		}
}

void
sl_doctor_devices_read(const char *root, const struct sl_doctor_boot *b, struct sl_doctor_facts *f)
{
	char path[PATH_MAX], address[16];
	DIR *d = sl_doctor_file_path(path, sizeof(path), root, "/sys/kernel/iommu_groups")
			 ? opendir(path)
			 : NULL;

	for (struct dirent *e; d && (e = readdir(d));)
		f->iommu_groups += e->d_name[0] != '.';
	if (d)
		closedir(d);
	for (unsigned i = 0; i < b->port_cnt; i++) {
		const struct sl_doctor_boot_port *p = &b->port[i];
		struct sl_doctor_port *to = &f->port[i];
		bool pci = strcmp(p->driver, "pci") == 0, vdev = strcmp(p->driver, "vdev") == 0;
		read_nic(root, pci || vdev ? "" : p->device, &to->nic);
		read_nic(root, p->kernel, &to->kernel);
		if (to->nic.present)
			find_pci(root, p->device, address);
		read_pci(root, pci ? p->device : to->nic.present ? address : "", &to->pci);
	}
}

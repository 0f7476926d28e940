#include "dataplane/kernel_if.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define TUN "/dev/net/tun"
#define VHOST "/dev/vhost-net"
#define DESCRIPTORS 256
#define POOL (4 * DESCRIPTORS)
#define BUSY_TRIES 40 /* of 50 ms: a process that ends may still have it */

unsigned if_nametoindex(const char *name); /* <net/if.h> does not go with <linux/if.h> */

/* ---- the TAP ---- */

static struct ifreq
request(const char *name)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", name);
	return ifr;
}

static int
attach(int fd, const char *name)
{
	for (unsigned i = 0;; i++) {
		struct ifreq ifr = request(name);
		ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
		if (ioctl(fd, TUNSETIFF, &ifr) == 0)
			return 0;
		if (errno != EBUSY || i == BUSY_TRIES)
			return -errno;
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
}

static const char *
why_not(int err, bool existed)
{
	if (err == -EBUSY)
		return "another process has it";
	if (err == -EPERM)
		return "CAP_NET_ADMIN is needed";
	if (err == -EINVAL && existed)
		return "there is an interface of that name that is no TAP of one queue";
	return strerror(-err);
}

/* MAC and MTU, and up if it is new. */
static int
dress(const struct sl_kernel_if_conf *conf, bool is_new, const char **ret_what)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
	struct ifreq ifr = request(conf->name);

	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, conf->mac, 6);
	*ret_what = "its MAC address";
	if (fd < 0 || ioctl(fd, SIOCSIFHWADDR, &ifr) < 0)
		err = -errno;
	ifr = request(conf->name);
	ifr.ifr_mtu = conf->mtu;
	if (!err && (*ret_what = "its MTU", ioctl(fd, SIOCSIFMTU, &ifr) < 0))
		err = -errno;
	ifr = request(conf->name);
	if (!err && is_new) {
		*ret_what = "its state";
		if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
			err = -errno;
		ifr.ifr_flags |= IFF_UP;
		if (!err && ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
			err = -errno;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static int
make_tap(const struct sl_kernel_if_conf *conf, char *ret_text)
{
	int fd = open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK), err;
	bool existed = if_nametoindex(conf->name) != 0;
	const char *what;

	if (fd < 0) {
		err = -errno;
		snprintf(ret_text, SL_KERNEL_IF_TEXT, "%s: %s%s", TUN, strerror(-err),
			 err == -ENOENT || err == -ENODEV ? " (modprobe tun)" : "");
		return err;
	}
	err = attach(fd, conf->name);
	if (err) {
		snprintf(ret_text, SL_KERNEL_IF_TEXT, "%s cannot be made: %s", conf->name,
			 why_not(err, existed));
	} else if (ioctl(fd, TUNSETPERSIST, 1ul) < 0 || ioctl(fd, TUNSETOFFLOAD, 0ul) < 0) {
		err = -errno;
		snprintf(ret_text, SL_KERNEL_IF_TEXT, "%s cannot be kept: %s", conf->name,
			 strerror(-err));
	} else if ((err = dress(conf, !existed, &what)) != 0) {
		snprintf(ret_text, SL_KERNEL_IF_TEXT, "%s: %s cannot be set: %s", conf->name, what,
			 strerror(-err));
	}
	if (err)
		close(fd);
	return err ? err : fd;
}

/* ---- vhost-net ---- */

/* DPDK keeps the TAP's descriptor to itself; its carrier is set through another one of the same. */
static int
find_tap(const char *name)
{
	for (int fd = 3; fd < 4096; fd++) {
		char path[40], target[64];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n < 0 || (target[n] = 0, strcmp(target, TUN) != 0))
			continue;
		struct ifreq ifr = {0};
		if (ioctl(fd, TUNGETIFF, &ifr) == 0 && strcmp(ifr.ifr_name, name) == 0)
			return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	return -1;
}

static void
drop_vhost(struct sl_kernel_if *k)
{
	struct rte_eth_dev_info info;
	struct rte_device *dev = NULL;

	if (k->id != RTE_MAX_ETHPORTS) {
		if (rte_eth_dev_info_get(k->id, &info) == 0)
			dev = info.device;
		rte_eth_dev_stop(k->id);
		rte_eth_dev_close(k->id);
		if (dev)
			rte_dev_remove(dev);
	}
	rte_mempool_free(k->pool);
	k->pool = NULL;
	k->id = RTE_MAX_ETHPORTS;
}

static int
start_vhost(struct sl_kernel_if *k)
{
	struct rte_eth_conf conf = {0};
	int err = rte_eth_dev_configure(k->id, 1, 1, &conf);

	if (!err)
		err = rte_eth_rx_queue_setup(k->id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, k->pool);
	if (!err)
		err = rte_eth_tx_queue_setup(k->id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL);
	if (!err)
		err = rte_eth_dev_start(k->id);
	return err;
}

static int
make_vhost(struct sl_kernel_if *k, const struct sl_kernel_if_conf *conf)
{
	const uint8_t *m = conf->mac;
	char name[32], args[160];

	snprintf(name, sizeof(name), "kernel%u", conf->idx);
	k->pool = rte_pktmbuf_pool_create(
		name, POOL, 0, 0, (uint16_t)(conf->room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (!k->pool)
		return -rte_errno;
	snprintf(name, sizeof(name), "virtio_user%u", conf->idx);
	snprintf(args, sizeof(args),
		 "path=" VHOST ",iface=%s,queues=1,queue_size=%u,"
		 "mac=%02x:%02x:%02x:%02x:%02x:%02x",
		 conf->name, DESCRIPTORS, m[0], m[1], m[2], m[3], m[4], m[5]);
	int err = rte_eal_hotplug_add("vdev", name, args);
	if (!err)
		err = rte_eth_dev_get_port_by_name(name, &k->id);
	if (!err)
		err = start_vhost(k);
	if (err)
		drop_vhost(k);
	return err;
}

static bool
write_vhost(struct sl_kernel_if *k, const uint8_t *frame, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(k->pool);
	char *room = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (room) {
		memcpy(room, frame, len);
		if (rte_eth_tx_burst(k->id, 0, &m, 1) == 1)
			return true;
	}
	rte_pktmbuf_free(m);
	return false;
}

static int
read_vhost(struct sl_kernel_if *k, uint8_t *frame, unsigned room)
{
	if (k->at == k->cnt) {
		k->at = 0;
		k->cnt = rte_eth_rx_burst(k->id, 0, k->rx, SL_KERNEL_IF_BURST);
	}
	if (k->cnt == 0)
		return 0;
	struct rte_mbuf *m = k->rx[k->at++];
	int len = m->nb_segs == 1 && m->data_len <= room ? m->data_len : -1;
	if (len > 0)
		memcpy(frame, rte_pktmbuf_mtod(m, const void *), (size_t)len);
	rte_pktmbuf_free(m);
	return len;
}

/* ---- both ---- */

int
sl_kernel_if_open(struct sl_kernel_if *ret, const struct sl_kernel_if_conf *conf,
		  char ret_text[SL_KERNEL_IF_TEXT])
{
	struct sl_kernel_if k = {.id = RTE_MAX_ETHPORTS};

	ret_text[0] = 0;
	snprintf(k.name, sizeof(k.name), "%s", conf->name);
	k.fd = make_tap(conf, ret_text);
	if (k.fd < 0)
		return k.fd;
	if (access(VHOST, R_OK | W_OK) == 0) {
		/* the interface stays, and virtio_user takes it by its name */
		close(k.fd);
		int err = make_vhost(&k, conf);
		k.vhost = err == 0;
		if (err)
			snprintf(ret_text, SL_KERNEL_IF_TEXT,
				 "%s does not work for %s (%s): a TAP is used", VHOST, k.name,
				 rte_strerror(-err));
		k.fd = k.vhost ? find_tap(k.name) : make_tap(conf, ret_text);
		if (!k.vhost && k.fd < 0)
			return k.fd;
	}
	*ret = k;
	return 0;
}

void
sl_kernel_if_close(struct sl_kernel_if *k)
{
	if (k->vhost) {
		while (k->at < k->cnt)
			rte_pktmbuf_free(k->rx[k->at++]);
		drop_vhost(k);
	}
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

void
sl_kernel_if_carrier(struct sl_kernel_if *k, bool up)
{
	int on = up;

	if (k->fd >= 0)
		(void)ioctl(k->fd, TUNSETCARRIER, &on); /* older kernels: it always has one */
}

bool
sl_kernel_if_write(struct sl_kernel_if *k, const uint8_t *frame, unsigned len)
{
	if (k->vhost)
		return write_vhost(k, frame, len);
	return write(k->fd, frame, len) == (ssize_t)len;
}

int
sl_kernel_if_read(struct sl_kernel_if *k, uint8_t *frame, unsigned room)
{
	if (k->vhost)
		return read_vhost(k, frame, room);
	/* one byte more tells a frame that is too long from one that just fits */
	uint8_t more;
	struct iovec v[2] = {{frame, room}, {&more, 1}};
	ssize_t n = readv(k->fd, v, 2);
	if (n <= 0)
		return 0;
	return (size_t)n > room ? -1 : (int)n;
}

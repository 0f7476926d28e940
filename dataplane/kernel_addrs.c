/* Two sockets: one that hears of changes, and one for questions, whose answers nothing comes between.  A change is only a
 * reason to read all addresses again: there are few, and none can be missed that way. */
#include "dataplane/kernel_addrs.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIES 4

struct found {
	struct sl_addr addr[SL_PUNT_ADDRS];
	unsigned cnt, left_out;
};

static int
netlink(uint32_t groups, int flags)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (void *)&nl, sizeof(nl)) == 0)
		return fd;
	int err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

int
sl_kernel_addrs_open(struct sl_kernel_addrs *a)
{
	*a = (struct sl_kernel_addrs){
		.events_fd = netlink(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, SOCK_NONBLOCK),
		.ask_fd = -1};
	if (a->events_fd < 0)
		return a->events_fd;
	a->ask_fd = netlink(0, 0);
	if (a->ask_fd >= 0)
		return 0;
	int err = a->ask_fd;
	sl_kernel_addrs_close(a);
	return err;
}

void
sl_kernel_addrs_close(struct sl_kernel_addrs *a)
{
	if (a->events_fd >= 0)
		close(a->events_fd);
	if (a->ask_fd >= 0)
		close(a->ask_fd);
	a->events_fd = a->ask_fd = -1;
}

/* ---- reading ---- */

static void
add(struct found *f, const struct sl_addr *addr)
{
	static const struct sl_addr loopback6 = {.b = {[15] = 1}};

	if ((sl_addr_is_v4(addr) && addr->b[12] == 127) || sl_addr_eq(addr, &loopback6))
		return;
	for (unsigned i = 0; i < f->cnt; i++)
		if (sl_addr_eq(&f->addr[i], addr))
			return;
	if (f->cnt == SL_PUNT_ADDRS)
		f->left_out++;
	else
		f->addr[f->cnt++] = *addr;
}

/* IFA_LOCAL is ours where there is a peer, whose address IFA_ADDRESS then is. */
static void
read_address(const struct nlmsghdr *h, struct found *f)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	int left = (int)IFA_PAYLOAD(h);
	const uint8_t *bytes[IFA_MAX + 1] = {0};

	if (h->nlmsg_type != RTM_NEWADDR || (m->ifa_flags & IFA_F_DADFAILED))
		return;
	for (const struct rtattr *r = IFA_RTA(m); RTA_OK(r, left); r = RTA_NEXT(r, left))
		if (r->rta_type <= IFA_MAX && RTA_PAYLOAD(r) >= (m->ifa_family == AF_INET ? 4 : 16))
			bytes[r->rta_type] = RTA_DATA(r);
	const uint8_t *own = bytes[IFA_LOCAL] ? bytes[IFA_LOCAL] : bytes[IFA_ADDRESS];
	const uint8_t *all[2] = {own, bytes[IFA_BROADCAST]};
	for (unsigned i = 0; i < 2; i++) {
		if (!all[i])
			continue;
		struct sl_addr addr = m->ifa_family == AF_INET ? sl_addr_from_v4(all[i])
							       : sl_addr_from_v6(all[i]);
		add(f, &addr);
	}
}

/* One part of an answer: 1 go on, 0 it was the last, -1 there is none.  *whole: no change came in between. */
static int
read_part(struct nlmsghdr *h, size_t n, struct found *f, bool *whole)
{
	unsigned left = (unsigned)n;

	for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			*whole = false;
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -1;
		read_address(h, f);
	}
	return 1;
}

/* Reads on to the end in any case, so that the next answer begins with its beginning. */
static bool
dump(int fd, struct found *f)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
	} ask = {{sizeof(ask), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {0}};
	static _Thread_local union {
		struct nlmsghdr h;
		char room[32768];
	} buf;
	bool whole = true;

	*f = (struct found){0};
	if (send(fd, &ask, sizeof(ask), 0) != (ssize_t)sizeof(ask))
		return false;
	for (;;) {
		ssize_t n = recv(fd, &buf, sizeof(buf), MSG_TRUNC);
		if (n <= 0 || (size_t)n > sizeof(buf))
			return false;
		int rc = read_part(&buf.h, (size_t)n, f, &whole);
		if (rc <= 0)
			return rc == 0 && whole;
	}
}

bool
sl_kernel_addrs_read(struct sl_kernel_addrs *a, struct sl_punt_addrs *to)
{
	struct found f;

	for (unsigned i = 0; i < TRIES; i++)
		if (dump(a->ask_fd, &f)) {
			sl_punt_addrs_set(to, f.addr, f.cnt);
			a->left_out = f.left_out;
			return true;
		}
	return false;
}

void
sl_kernel_addrs_turn(struct sl_kernel_addrs *a, struct sl_punt_addrs *to)
{
	bool changed = false;
	char event[4096];
	ssize_t n;

	/* ENOBUFS: there were more than it keeps */
	while ((n = recv(a->events_fd, event, sizeof(event), 0)) > 0 || (n < 0 && errno == ENOBUFS))
		changed = true;
	if (changed)
		(void)sl_kernel_addrs_read(a, to);
}

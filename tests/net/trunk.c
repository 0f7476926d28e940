/* trunk — a switch between a trunk, whose frames carry an 802.1Q tag, and interfaces whose frames carry none.
 *
 *   trunk TRUNK VID:INTERFACE…
 *
 * The kernels that these tests run on have no VLAN devices; this stands for them.  A frame of the trunk goes to the interface of
 * its VID without its tag (which the kernel may have taken out already: PACKET_AUXDATA), a frame of an interface to the trunk with
 * it, and with a priority that whoever receives it has to pass over.
 *
 * Writes "ready", and at the end (SIGTERM) a line of JSON: frames by direction, frames of the trunk without a tag, with a VID
 * that nobody has, and frames whose VID was right and inside which there was another tag.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_MAX 10000
#define PORTS_MAX 16
#define PRIORITY 0xa000 /* PCP 5 */
#define BUFFER (8 << 20)

static struct {
	unsigned vid;
	int fd;
} ports[PORTS_MAX];
static unsigned port_cnt;
static uint64_t in, out, untagged, unknown, nested, failed;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
open_port(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, bytes = BUFFER;

	at.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || at.sll_ifindex == 0)
		die(name);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    bind(fd, (void *)&at, sizeof(at)))
		die(name);
	return fd;
}

/* One frame; *ret_vid is what the kernel took out of it, 0: nothing.  0: there is none. */
static size_t
take(int fd, uint8_t *frame, unsigned *ret_vid)
{
	char room[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct iovec iov = {frame, FRAME_MAX};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	*ret_vid = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
		struct tpacket_auxdata aux;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA &&
		    (aux.tp_status & TP_STATUS_VLAN_VALID))
			*ret_vid = aux.tp_vlan_tci & 0xfff;
	}
	return n < 14 ? 0 : (size_t)n;
}

static void
give(int fd, const struct iovec *iov, unsigned cnt, uint64_t *count)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = cnt};

	if (sendmsg(fd, &m, 0) < 0)
		failed++;
	else
		(*count)++;
}

static bool
from_trunk(int trunk)
{
	static uint8_t frame[FRAME_MAX];
	unsigned vid;
	size_t n = take(trunk, frame, &vid), at = 12;

	if (n == 0)
		return false;
	if (vid == 0 && n >= 18 && frame[12] == 0x81 && frame[13] == 0) {
		vid = (frame[14] & 15u) << 8 | frame[15];
		at = 16;
	}
	unsigned p = 0;
	while (p < port_cnt && ports[p].vid != vid)
		p++;
	struct iovec parts[] = {{frame, 12}, {frame + at, n - at}};
	if (vid == 0)
		untagged++;
	else if (p == port_cnt)
		unknown++;
	else if (frame[at] == 0x81 && frame[at + 1] == 0)
		nested++;
	else
		give(ports[p].fd, parts, 2, &in);
	return true;
}

static bool
from_port(unsigned p, int trunk)
{
	static uint8_t frame[FRAME_MAX];
	unsigned none;
	size_t n = take(ports[p].fd, frame, &none);

	if (n == 0)
		return false;
	uint8_t tag[4] = {0x81, 0, (uint8_t)((PRIORITY | ports[p].vid) >> 8),
			  (uint8_t)ports[p].vid};
	struct iovec parts[] = {{frame, 12}, {tag, 4}, {frame + 12, n - 12}};
	give(trunk, parts, 3, &out);
	return true;
}

static void
end(int sig)
{
	char line[256];

	(void)sig;
	int n = snprintf(line, sizeof(line),
			 "{\"in\": %" PRIu64 ", \"out\": %" PRIu64 ", \"untagged\": %" PRIu64
			 ", \"unknown\": %" PRIu64 ", \"nested\": %" PRIu64 ", \"failed\": %" PRIu64
			 "}\n",
			 in, out, untagged, unknown, nested, failed);
	_exit(write(1, line, (size_t)n) != n);
}

int
main(int argc, char **argv)
{
	struct pollfd p[PORTS_MAX + 1];

	if (argc < 3 || argc - 2 > PORTS_MAX) {
		fprintf(stderr, "usage: trunk TRUNK VID:INTERFACE…\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		const char *colon = strchr(argv[i], ':');
		ports[port_cnt].vid = (unsigned)strtoul(argv[i], NULL, 10);
		ports[port_cnt++].fd = open_port(colon ? colon + 1 : "");
	}
	int trunk = open_port(argv[1]);
	for (unsigned i = 0; i < port_cnt; i++)
		p[i] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
	p[port_cnt] = (struct pollfd){.fd = trunk, .events = POLLIN};
	signal(SIGTERM, end);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		if (poll(p, port_cnt + 1, -1) < 0 && errno != EINTR)
			die("poll");
		for (unsigned n = 0; p[port_cnt].revents && n < 64 && from_trunk(trunk); n++)
			;
		for (unsigned i = 0; i < port_cnt; i++)
			for (unsigned n = 0; p[i].revents && n < 64 && from_port(i, trunk); n++)
				;
	}
}

/* decap — the far end of a tunnel: takes the outer header off and gives the inner packet to the kernel by a TUN device.
 *
 *   decap [--tun NAME] [--gue-port PORT]
 *
 * The kernels that these tests run on may have neither IPIP nor GUE; this stands for them.  What the kernel of a real
 * endpoint would do with the inner packet, this one does: the VIP is an address of lo, the answer leaves by the routes,
 * straight to the client.  The outer packet is the kernel's too: raw sockets (protocols 4 and 41) and a UDP socket see
 * what passed its checks of addresses, header and UDP checksums.
 *
 *   in IPv4:  4 (RFC 2003), 41 (RFC 4213), GUE        in IPv6:  4 and 41 (RFC 2473), GUE
 *
 * GUE: variant 0, no control bit, header length 0, no flags; the inner IP by the protocol field (4 or 41).  Not here: the
 * ECN rules of decapsulation (RFC 6040), outer fragments beyond what the kernel puts together.
 *
 * Writes a line of JSON at SIGUSR1 and at the end (SIGTERM, SIGINT): packets by kind, what was refused, how many outer
 * sources and inner flows (addresses, protocol, ports) were seen, and `moved`: packets of a flow with another outer
 * source (or, in GUE, another UDP port) than its first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define GUE_PORT 6080
#define SET_SLOTS (1u << 17) /* more is counted as "full" */

enum kind { V4_IPIP, V4_SIT, V6_IPIP, V6_SIT, V4_GUE, V6_GUE, KINDS };
static const char *const kind_names[KINDS] = {"4in4", "6in4", "4in6", "6in6", "gue_in4", "gue_in6"};

/* key → value, open addressing; nothing is ever removed */
struct set {
	struct {
		uint8_t key[40];
		uint64_t value;
		bool used;
	} slot[SET_SLOTS];
	unsigned cnt;
	bool full;
};

static struct set outer_sources, flows;
static uint64_t packets[KINDS], bytes, refused, moved, df_missing, tun_errors;

static uint64_t
hash_bytes(const uint8_t *b, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return h;
}

/* set_note: the value first noted for the key (this one, when the key is new). */
static uint64_t
set_note(struct set *s, const uint8_t key[40], uint64_t value)
{
	unsigned i = hash_bytes(key, 40) % SET_SLOTS;

	while (s->slot[i].used && memcmp(s->slot[i].key, key, 40))
		i = (i + 1) % SET_SLOTS;
	if (!s->slot[i].used) {
		if (s->cnt >= SET_SLOTS / 2) {
			s->full = true;
			return value;
		}
		memcpy(s->slot[i].key, key, 40);
		s->slot[i].value = value;
		s->slot[i].used = true;
		s->cnt++;
	}
	return s->slot[i].value;
}

/* flow_key: addresses, protocol, and ports where they follow the header at once (fragments and others: none). */
static bool
flow_key(const uint8_t *ip, size_t len, uint8_t key[40])
{
	size_t l4;
	bool fragment = false;

	memset(key, 0, 40);
	if (len >= 20 && ip[0] >> 4 == 4) {
		l4 = (size_t)(ip[0] & 15) * 4;
		memcpy(key, ip + 12, 8);
		key[32] = ip[9];
		fragment = (ip[6] & 0x3f) || ip[7];
	} else if (len >= 40 && ip[0] >> 4 == 6) {
		l4 = 40;
		memcpy(key, ip + 8, 32);
		key[32] = ip[6];
	} else {
		return false;
	}
	if (fragment || (key[32] != IPPROTO_TCP && key[32] != IPPROTO_UDP) || len < l4 + 4)
		return false;
	memcpy(key + 33, ip + l4, 4);
	return true;
}

static void
note(enum kind kind, const uint8_t *inner, size_t len, const void *source, size_t source_len,
     uint16_t port)
{
	uint8_t key[40] = {0};
	uint64_t outer;

	packets[kind]++;
	bytes += len;
	memcpy(key, source, source_len);
	set_note(&outer_sources, key, 0);
	memcpy(key + 32, &port, 2);
	outer = hash_bytes(key, 40);
	if (flow_key(inner, len, key) && set_note(&flows, key, outer) != outer)
		moved++;
}

/* gue_inner: the inner packet behind a GUE header, or NULL. */
static const uint8_t *
gue_inner(const uint8_t *b, size_t len)
{
	if (len < 4 + 20 || b[0] != 0 || b[2] || b[3])
		return NULL;
	if (!(b[1] == IPPROTO_IPIP && b[4] >> 4 == 4) && !(b[1] == IPPROTO_IPV6 && b[4] >> 4 == 6))
		return NULL;
	return b + 4;
}

/* take one packet; false: there is none. */
static bool
take(int fd, enum kind kind, int tun)
{
	static uint8_t buf[PACKET_MAX];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n =
		recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	const struct sockaddr_in *from4 = (const void *)&from;
	const struct sockaddr_in6 *from6 = (const void *)&from;
	const uint8_t *inner = buf, *end = buf + n;
	unsigned version = kind == V4_IPIP || kind == V6_IPIP ? 4 : 6;

	if (n <= 0)
		return false;
	if (kind == V4_IPIP || kind == V4_SIT) { /* a raw IPv4 socket gives the header too */
		df_missing += !(buf[6] & 0x40);
		inner += (buf[0] & 15) * 4;
	}
	if (kind == V4_GUE || kind == V6_GUE) {
		inner = gue_inner(buf, n);
		version = inner ? inner[0] >> 4 : 0;
	}
	if (!inner || end - inner < 20 || inner[0] >> 4 != version) {
		refused++;
		return true;
	}
	if (from.ss_family == AF_INET)
		note(kind, inner, end - inner, &from4->sin_addr, 4, from4->sin_port);
	else
		note(kind, inner, end - inner, &from6->sin6_addr, 16,
		     kind == V6_GUE ? from6->sin6_port : 0);
	if (write(tun, inner, end - inner) != end - inner)
		tun_errors++;
	return true;
}

static void
report(void)
{
	uint64_t all = 0;

	printf("{");
	for (unsigned k = 0; k < KINDS; k++) {
		printf("\"%s\": %" PRIu64 ", ", kind_names[k], packets[k]);
		all += packets[k];
	}
	printf("\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"df_missing\": %" PRIu64 ", \"tun_errors\": %" PRIu64
	       ", \"sources\": %u, \"flows\": %u, \"moved\": %" PRIu64 ", \"full\": %s}\n",
	       all, bytes, refused, df_missing, tun_errors, outer_sources.cnt, flows.cnt, moved,
	       outer_sources.full || flows.full ? "true" : "false");
	fflush(stdout);
}

static int
die(const char *what)
{
	fprintf(stderr, "decap: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
open_tun(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), s;

	if (fd < 0)
		die("/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr))
		die(name);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &ifr))
		die("flags of the TUN device");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &ifr))
		die("TUN device up");
	close(s);
	return fd;
}

static int
open_socket(enum kind kind, uint16_t port)
{
	static const struct {
		int family, type, proto;
	} how[KINDS] = {
		[V4_IPIP] = {AF_INET, SOCK_RAW, IPPROTO_IPIP},
		[V4_SIT] = {AF_INET, SOCK_RAW, IPPROTO_IPV6},
		[V6_IPIP] = {AF_INET6, SOCK_RAW, IPPROTO_IPIP},
		[V6_SIT] = {AF_INET6, SOCK_RAW, IPPROTO_IPV6},
		[V4_GUE] = {AF_INET, SOCK_DGRAM, 0},
		[V6_GUE] = {AF_INET6, SOCK_DGRAM, 0},
	};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(how[kind].family, how[kind].type | SOCK_CLOEXEC, how[kind].proto);
	int one = 1, room = 8 << 20;

	if (fd < 0)
		die(kind_names[kind]);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (how[kind].type != SOCK_DGRAM)
		return fd;
	if (kind == V6_GUE && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		die("IPV6_V6ONLY");
	if (kind == V4_GUE ? bind(fd, (void *)&any4, sizeof(any4))
			   : bind(fd, (void *)&any6, sizeof(any6)))
		die("GUE port");
	return fd;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"tun", 1, NULL, 't'}, {"gue-port", 1, NULL, 'g'}, {0}};
	struct pollfd p[KINDS + 2];
	struct signalfd_siginfo si;
	const char *name = "decap0";
	long port = GUE_PORT;
	sigset_t signals;
	int tun, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 't')
			name = optarg;
		else if (c == 'g')
			port = strtol(optarg, NULL, 10);
		else
			return 2;
	}
	if (port < 1 || port > 65535 || optind != argc) {
		fprintf(stderr, "usage: decap [--tun NAME] [--gue-port PORT]\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	tun = open_tun(name);
	for (unsigned k = 0; k < KINDS; k++)
		p[k] = (struct pollfd){.fd = open_socket(k, port), .events = POLLIN};
	p[KINDS] = (struct pollfd){.fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN};
	/* what the kernel would send into the device goes nowhere */
	p[KINDS + 1] = (struct pollfd){.fd = tun, .events = POLLIN};
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		static uint8_t away[PACKET_MAX];

		if (poll(p, KINDS + 2, -1) < 0 && errno != EINTR)
			die("poll");
		for (unsigned k = 0; k < KINDS; k++)
			for (unsigned n = 0; p[k].revents && n < 64; n++)
				if (!take(p[k].fd, k, tun))
					break;
		if (p[KINDS + 1].revents && read(tun, away, sizeof(away)) < 0)
			die("read of the TUN device");
		if (!p[KINDS].revents)
			continue;
		if (read(p[KINDS].fd, &si, sizeof(si)) != sizeof(si))
			die("signalfd");
		report();
		if (si.ssi_signo != SIGUSR1)
			return 0;
	}
}

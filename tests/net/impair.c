/* impair — a bad line between two interfaces: loses, doubles, reorders, corrupts and delays what goes through.
 *
 *   impair IF_A IF_B [--loss P] [--dup P] [--reorder P] [--corrupt P] [--delay MS] [--jitter MS] [--rate MBIT]
 *          [--queue PACKETS] [--hold MS] [--seed N] [--spare-arp on|off] [--pcap FILE]
 *
 * For kernels without netem.  P is a share in percent.  Each way has generators of its own: what happens to a packet is
 * a function of the seed, the way and the packet's number on that way, and of nothing else; so two runs in which the same
 * packets are sent see the same.  ARP and ND pass unharmed, unnumbered, unless --spare-arp off.
 *
 *   arrives ─▶ lost? ─▶ corrupted? ─▶ rate, a queue ─▶ delay ± jitter ─▶ reordered? ─▶ leaves, twice if doubled
 *
 *   corrupted   one bit, anywhere behind the Ethernet header
 *   rate        --queue packets wait at most (1,000); then they are dropped and counted as queue_full
 *   jitter      the delay differs by up to so much either way; it does not reorder
 *   reordered   is overtaken by the next one to five packets of its way, but waits no longer than --hold (10 ms) for them
 *
 * Says "ready", then a line of JSON at SIGUSR1 and at the end (SIGTERM, SIGINT): for each way what came, left and was
 * done.  `unfinished`: frames whose checksum was left to a NIC, or larger than any MTU; they are dropped, since a line has
 * none: turn offloads off on both interfaces and their peers.
 * --pcap: what arrives, of both ways, in order of arrival.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 9232
#define SLOTS 8192 /* frames inside at a time, both ways; a power of two */
#define BATCH 64
#define ASIDE_MAX 64
#define NEVER UINT64_MAX

enum fate { LOSS, DUP, REORDER, CORRUPT, WHERE, JITTER, GAP };

struct slot {
	uint64_t due_ns;
	uint64_t number;
	uint32_t len;
	bool twice, overtaken;
	uint8_t data[FRAME_MAX];
};

struct figures {
	uint64_t in, out, bytes_out, spared, lost, doubled, reordered, corrupted, queue_full,
		unfinished, errors;
};

/* One direction.  line: in order of leaving; aside: overtaken ones, until `number` of those behind them left. */
struct way {
	int in, out;
	unsigned index; /* 0 or 1 */
	uint64_t next_number;
	uint64_t busy_until_ns; /* the rate's */
	uint64_t last_due_ns;
	uint32_t line[SLOTS], head, cnt;
	uint32_t aside[ASIDE_MAX], aside_cnt;
	uint32_t batch[BATCH], batch_cnt; /* to be sent now */
	uint64_t after[SLOTS]; /* of a slot that is aside: the number behind which it leaves */
	struct figures f;
};

static double loss, dup_share, reorder, corrupt, rate_mbit;
static uint64_t delay_ns, jitter_ns, hold_ns = 10000000, seed = 1;
static uint32_t queue_max = 1000;
static bool spare = true;
static struct slot *slots;
static uint32_t free_slots[SLOTS], free_cnt;
static struct way ways[2];
static FILE *pcap;
static volatile sig_atomic_t report_wanted, ended;

static uint64_t
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64's finish, applied to all that a decision depends on */
static uint64_t
draw(const struct way *w, uint64_t number, enum fate what)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + number * 0xd1342543de82ef95u +
		     (uint64_t)(w->index * 8 + what + 1) * 0xbf58476d1ce4e5b9u;
	for (int i = 0; i < 2; i++) {
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		x ^= x >> 31;
	}
	return x;
}

/* [0, 1) */
static double
draw_share(const struct way *w, uint64_t number, enum fate what)
{
	return (double)(draw(w, number, what) >> 11) * 0x1p-53;
}

/* ARP, and neighbour discovery: ICMPv6 133 to 137 right behind the IPv6 header. */
static bool
is_neighbour(const uint8_t *d, uint32_t len)
{
	if (len < 14)
		return false;
	if (d[12] == 0x08 && d[13] == 0x06)
		return true;
	return len >= 55 && d[12] == 0x86 && d[13] == 0xdd && d[20] == 58 && d[54] >= 133 &&
	       d[54] <= 137;
}

static void
pcap_open(const char *path)
{
	static const uint32_t head[6] = {0xa1b23c4d, 0x00040002, 0, 0, FRAME_MAX, 1};
	pcap = fopen(path, "w");
	if (!pcap || fwrite(head, sizeof head, 1, pcap) != 1) {
		perror(path);
		exit(1);
	}
}

static void
pcap_write(const struct slot *s)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	uint32_t head[4] = {(uint32_t)t.tv_sec, (uint32_t)t.tv_nsec, s->len, s->len};
	fwrite(head, sizeof head, 1, pcap);
	fwrite(s->data, s->len, 1, pcap);
}

/* ---- leaving ---- */

static void
flush(struct way *w)
{
	struct mmsghdr m[BATCH] = {0};
	struct iovec v[BATCH];
	for (uint32_t i = 0; i < w->batch_cnt; i++) {
		v[i] = (struct iovec){slots[w->batch[i]].data, slots[w->batch[i]].len};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	for (uint32_t i = 0; i < w->batch_cnt;) {
		int n = sendmmsg(w->out, m + i, w->batch_cnt - i, 0);
		bool sent = n > 0;
		if (!sent) {
			w->f.errors++;
			n = 1;
		}
		for (; n > 0; n--, i++) {
			w->f.out += sent;
			w->f.bytes_out += sent ? v[i].iov_len : 0;
			/* of a doubled one, the second stands right behind the first */
			if (i + 1 >= w->batch_cnt || w->batch[i + 1] != w->batch[i])
				free_slots[free_cnt++] = w->batch[i];
		}
	}
	w->batch_cnt = 0;
}

static void
leave(struct way *w, uint32_t i)
{
	if (w->batch_cnt + 2 > BATCH)
		flush(w);
	w->batch[w->batch_cnt++] = i;
	if (slots[i].twice)
		w->batch[w->batch_cnt++] = i;
}

/* Those aside that were overtaken, by `number`, or have waited long enough. */
static void
aside_leave(struct way *w, uint64_t number, uint64_t t)
{
	uint32_t kept = 0;
	for (uint32_t k = 0; k < w->aside_cnt; k++) {
		uint32_t i = w->aside[k];
		if (w->after[i] <= number || slots[i].due_ns + hold_ns <= t)
			leave(w, i);
		else
			w->aside[kept++] = i;
	}
	w->aside_cnt = kept;
}

/* way_run lets go what is due; when it wants to be called again. */
static uint64_t
way_run(struct way *w, uint64_t t)
{
	while (w->cnt && slots[w->line[w->head]].due_ns <= t) {
		uint32_t i = w->line[w->head];
		w->head = (w->head + 1) % SLOTS;
		w->cnt--;
		if (slots[i].overtaken && w->aside_cnt < ASIDE_MAX) {
			w->after[i] = slots[i].number + 1 + draw(w, slots[i].number, GAP) % 5;
			w->aside[w->aside_cnt++] = i;
			continue;
		}
		leave(w, i);
		aside_leave(w, slots[i].number, t);
	}
	aside_leave(w, 0, t);
	flush(w);

	uint64_t next = w->cnt ? slots[w->line[w->head]].due_ns : NEVER;
	for (uint32_t k = 0; k < w->aside_cnt; k++)
		if (slots[w->aside[k]].due_ns + hold_ns < next)
			next = slots[w->aside[k]].due_ns + hold_ns;
	return next;
}

/* ---- arriving ---- */

/* When the packet may leave: behind all that came before it. */
static uint64_t
due(struct way *w, const struct slot *s, uint64_t t)
{
	uint64_t at = t;
	if (rate_mbit > 0) {
		if (w->busy_until_ns > at)
			at = w->busy_until_ns;
		at += (uint64_t)(s->len * 8e3 / rate_mbit);
		w->busy_until_ns = at;
	}
	at += delay_ns;
	if (jitter_ns) {
		uint64_t off = (uint64_t)(draw_share(w, s->number, JITTER) * 2 * (double)jitter_ns);
		at = at + off > jitter_ns ? at + off - jitter_ns : 0;
	}
	if (at < w->last_due_ns)
		at = w->last_due_ns;
	w->last_due_ns = at;
	return at;
}

/* arrived takes slot i over: into the line, or it is lost. */
static void
arrived(struct way *w, uint32_t i, uint64_t t)
{
	struct slot *s = &slots[i];
	s->twice = s->overtaken = false;
	w->f.in++;
	if (pcap)
		pcap_write(s);
	if (spare && is_neighbour(s->data, s->len)) {
		w->f.spared++;
		leave(w, i);
		return;
	}
	s->number = w->next_number++;
	if (draw_share(w, s->number, LOSS) < loss) {
		w->f.lost++;
		free_slots[free_cnt++] = i;
		return;
	}
	if (w->cnt >= queue_max && rate_mbit > 0) {
		w->f.queue_full++;
		free_slots[free_cnt++] = i;
		return;
	}
	if (s->len > ETH_HLEN && draw_share(w, s->number, CORRUPT) < corrupt) {
		uint64_t bit = draw(w, s->number, WHERE) % ((s->len - ETH_HLEN) * 8u);
		s->data[ETH_HLEN + bit / 8] ^= (uint8_t)(1u << bit % 8);
		w->f.corrupted++;
	}
	s->twice = draw_share(w, s->number, DUP) < dup_share;
	s->overtaken = draw_share(w, s->number, REORDER) < reorder;
	w->f.doubled += s->twice;
	w->f.reordered += s->overtaken;
	s->due_ns = due(w, s, t);
	w->line[(w->head + w->cnt++) % SLOTS] = i;
}

/* Whether the kernel gave the frame as it would be on a line. */
static bool
finished(struct msghdr *m, uint32_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct tpacket_auxdata a;
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&a, CMSG_DATA(c), sizeof a);
		if (a.tp_status & TP_STATUS_CSUMNOTREADY || a.tp_len > len)
			return false;
	}
	return true;
}

/* A batch from the wire; whether there may be more. */
static bool
way_receive(struct way *w)
{
	struct mmsghdr m[BATCH] = {0};
	struct iovec v[BATCH];
	char extra[BATCH][CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	unsigned want = free_cnt < BATCH ? free_cnt : BATCH;
	for (unsigned k = 0; k < want; k++) {
		v[k] = (struct iovec){slots[free_slots[free_cnt - 1 - k]].data, FRAME_MAX};
		m[k].msg_hdr = (struct msghdr){.msg_iov = &v[k],
					       .msg_iovlen = 1,
					       .msg_control = extra[k],
					       .msg_controllen = sizeof extra[k]};
	}
	int n = want ? recvmmsg(w->in, m, want, MSG_DONTWAIT, NULL) : 0;
	if (n <= 0)
		return false;
	uint32_t got[BATCH];
	for (int k = 0; k < n; k++)
		got[k] = free_slots[--free_cnt];
	uint64_t t = now();
	for (int k = 0; k < n; k++) {
		slots[got[k]].len = m[k].msg_len;
		if (finished(&m[k].msg_hdr, m[k].msg_len)) {
			arrived(w, got[k], t);
		} else {
			w->f.unfinished++;
			free_slots[free_cnt++] = got[k];
		}
	}
	return n == BATCH;
}

/* ---- the program ---- */

static int
interface_open(const char *name)
{
	unsigned index = if_nametoindex(name);
	int one = 1, size = 8 << 20, fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
				.sll_protocol = htons(ETH_P_ALL),
				.sll_ifindex = (int)index};
	struct packet_mreq all = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
	if (!index || fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) ||
	    bind(fd, (struct sockaddr *)&a, sizeof a)) {
		fprintf(stderr, "impair: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	return fd;
}

static void
report_way(const char *name, const struct way *w)
{
	const struct figures *f = &w->f;
	printf("\"%s\": {\"in\": %" PRIu64 ", \"out\": %" PRIu64 ", \"bytes_out\": %" PRIu64
	       ", \"spared\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"doubled\": %" PRIu64
	       ", \"reordered\": %" PRIu64 ", \"corrupted\": %" PRIu64 ", \"queue_full\": %" PRIu64
	       ", \"unfinished\": %" PRIu64 ", \"errors\": %" PRIu64 "}",
	       name, f->in, f->out, f->bytes_out, f->spared, f->lost, f->doubled, f->reordered,
	       f->corrupted, f->queue_full, f->unfinished, f->errors);
}

static void
report(void)
{
	printf("{\"seed\": %" PRIu64 ", ", seed);
	report_way("a_to_b", &ways[0]);
	printf(", ");
	report_way("b_to_a", &ways[1]);
	printf("}\n");
	fflush(stdout);
	if (pcap)
		fflush(pcap);
}

static void
on_signal(int which)
{
	if (which == SIGUSR1)
		report_wanted = 1;
	else
		ended = 1;
}

static double
number(const char *name, const char *text, double max)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end || !(v >= 0) || v > max) {
		fprintf(stderr, "impair: --%s %s: a number from 0 to %g\n", name, text, max);
		exit(2);
	}
	return v;
}

static void
option(const char *name, const char *v)
{
	if (!strcmp(name, "loss"))
		loss = number(name, v, 100) / 100;
	else if (!strcmp(name, "dup"))
		dup_share = number(name, v, 100) / 100;
	else if (!strcmp(name, "reorder"))
		reorder = number(name, v, 100) / 100;
	else if (!strcmp(name, "corrupt"))
		corrupt = number(name, v, 100) / 100;
	else if (!strcmp(name, "delay"))
		delay_ns = (uint64_t)(number(name, v, 10000) * 1e6);
	else if (!strcmp(name, "jitter"))
		jitter_ns = (uint64_t)(number(name, v, 10000) * 1e6);
	else if (!strcmp(name, "hold"))
		hold_ns = (uint64_t)(number(name, v, 10000) * 1e6);
	else if (!strcmp(name, "rate"))
		rate_mbit = number(name, v, 100000);
	else if (!strcmp(name, "queue"))
		queue_max = (uint32_t)number(name, v, SLOTS / 2);
	else if (!strcmp(name, "seed"))
		seed = (uint64_t)number(name, v, 1e15);
	else if (!strcmp(name, "spare-arp"))
		spare = strcmp(v, "off") != 0;
	else
		pcap_open(v);
}

static int
usage(void)
{
	fprintf(stderr, "usage: impair IF_A IF_B [--loss P] [--dup P] [--reorder P] [--corrupt P] "
			"[--delay MS] "
			"[--jitter MS]\n              [--rate MBIT] [--queue PACKETS] [--hold MS] "
			"[--seed N] "
			"[--spare-arp on|off] [--pcap FILE]\n");
	return 2;
}

static void
setup(char **interfaces)
{
	slots = calloc(SLOTS, sizeof *slots); /* touched as it is used */
	if (!slots)
		exit(1);
	for (uint32_t i = 0; i < SLOTS; i++)
		free_slots[free_cnt++] = SLOTS - 1 - i;
	int a = interface_open(interfaces[0]), b = interface_open(interfaces[1]);
	ways[0].in = ways[1].out = a;
	ways[0].out = ways[1].in = b;
	ways[1].index = 1;
	prctl(PR_SET_TIMERSLACK, 1);
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{"loss", 1, NULL, 0},    {"dup", 1, NULL, 0},       {"reorder", 1, NULL, 0},
		{"corrupt", 1, NULL, 0}, {"delay", 1, NULL, 0},     {"jitter", 1, NULL, 0},
		{"rate", 1, NULL, 0},    {"queue", 1, NULL, 0},     {"hold", 1, NULL, 0},
		{"seed", 1, NULL, 0},    {"spare-arp", 1, NULL, 0}, {"pcap", 1, NULL, 0},
		{NULL, 0, NULL, 0}};
	int which;
	for (int c; (c = getopt_long(argc, argv, "", names, &which)) != -1;) {
		if (c != 0)
			return usage();
		option(names[which].name, optarg);
	}
	if (argc - optind != 2)
		return usage();

	sigset_t outside, blocked;
	sigemptyset(&blocked);
	for (size_t i = 0; i < 3; i++) {
		int s = (const int[]){SIGUSR1, SIGTERM, SIGINT}[i];
		sigaddset(&blocked, s);
		sigaction(s, &(struct sigaction){.sa_handler = on_signal}, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, &outside); /* they come while it waits, and only then */
	setup(argv + optind);
	printf("ready\n");
	fflush(stdout);

	struct pollfd p[2] = {{.fd = ways[0].in, .events = POLLIN},
			      {.fd = ways[1].in, .events = POLLIN}};
	bool more = false;
	while (!ended) {
		uint64_t t = now(), next = NEVER;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t at = way_run(&ways[i], t);
			next = at < next ? at : next;
		}
		uint64_t wait = more || next <= t ? 0 : next == NEVER ? 1000000000u : next - t;
		struct timespec ts = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
		ppoll(p, 2, &ts, &outside);
		if (report_wanted) {
			report_wanted = 0;
			report();
		}
		more = way_receive(&ways[0]);
		more |= way_receive(&ways[1]);
	}
	report();
	return 0;
}

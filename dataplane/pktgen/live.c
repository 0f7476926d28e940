/* The loop: due steps of the script → for each sending port, bursts as its clock allows (pace.h) → receive and
 * count → once a second a line.  A search is the same loop, once for each trial. */
#include "pktgen/live.h"
#include "pktgen/frame.h"
#include "pktgen/measure.h"
#include "pktgen/pace.h"
#include "pktgen/search.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include <stdlib.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define DESCS 1024
#define POOL_BUFS 8191
#define BURST_MAX 256
#define LINE_BPS 10e9 /* where a port states no speed */
#define WIRE_EXTRA 20 /* preamble and gap */
#define TRACKED (1u << 20)
#define TAIL_MS 500   /* receive until nothing came for that long, */
#define TAIL_MAX_S 5  /* at most */
#define HEAD_EVERY 20 /* lines on a terminal */

struct port {
	uint16_t id;
	bool sending;
	struct sl_script_port conf;
	struct sl_frame frame;
	uint64_t left; /* UINT64_MAX: no end */
	struct sl_pace pace;
	struct sl_live_total n;
};

struct live {
	const struct sl_live_conf *c;
	struct rte_mempool *pool;
	struct port port[SL_SCRIPT_PORTS];
	unsigned port_cnt;
	unsigned step;
	uint64_t hz, begun, wake; /* wake: end of the delay that runs */
	struct sl_live_total last;
	int64_t last_lost;
	double limit_s;    /* of the phase that runs */
	double pps;        /* per port; 0: the script's */
	double quiet_s;    /* after sending: receive until nothing came for that long, */
	double tail_max_s; /* at most */
	unsigned lines;
	bool any_line; /* in the JSON list */
	/* measuring */
	double ns; /* per tick */
	uint8_t run;
	struct sl_measure_stream stream[SL_SCRIPT_PORTS];
	struct sl_latency now, all; /* of this second, of the seconds before */
	uint32_t first;             /* source address of port 0's first packet */
	uint64_t *seen;             /* [TRACKED]: destination MAC by source address */
};

static int
problem(struct sl_diag *diag, int rc, const char *hint, const char *what, unsigned port)
{
	sl_diag_add(diag, NULL, 0, NULL, hint, "port %u: %s: %s", port, what, strerror(-rc));
	return rc;
}

static int
port_open(struct live *l, unsigned i, struct sl_diag *diag)
{
	struct rte_eth_conf conf = {0};
	uint16_t rx = DESCS, tx = DESCS;
	struct port *p = &l->port[i];
	int rc;

	p->id = (uint16_t)i;
	if ((rc = rte_eth_dev_configure(p->id, 1, 1, &conf)))
		return problem(diag, rc, NULL, "configure", i);
	rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx, &tx);
	if ((rc = rte_eth_rx_queue_setup(p->id, 0, rx, SOCKET_ID_ANY, NULL, l->pool)) ||
	    (rc = rte_eth_tx_queue_setup(p->id, 0, tx, SOCKET_ID_ANY, NULL)))
		return problem(diag, rc, "the driver may need other --vdev arguments", "queue", i);
	if ((rc = rte_eth_dev_start(p->id)))
		return problem(diag, rc, "is the interface there and up?", "start", i);
	rte_eth_promiscuous_enable(p->id);
	return 0;
}

/* Frames of size bytes a second that the port's line takes. */
static double
line_pps(const struct port *p, unsigned size)
{
	struct rte_eth_link link = {0};
	double bps = LINE_BPS;

	if (!rte_eth_link_get_nowait(p->id, &link) && link.link_speed &&
	    link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		bps = link.link_speed * 1e6;
	return bps / ((size + WIRE_EXTRA) * 8);
}

static void
port_pace(struct live *l, struct port *p)
{
	const struct sl_script_port *c = &p->conf;
	unsigned size = c->mode == SL_SCRIPT_RANGE && !c->imix_cnt
				? (unsigned)c->span[SL_SPAN_SIZE].start
				: p->frame.now.size;
	uint64_t total = 0;

	for (unsigned i = 0; i < c->imix_cnt; i++)
		total += c->imix[i];
	if (total)
		size = (unsigned)(total / c->imix_cnt);
	sl_pace_init(&p->pace, (double)l->hz,
		     l->pps > 0 ? l->pps : line_pps(p, size) * c->rate / 100, l->c->catch_up_s,
		     rte_rdtsc());
}

static void
port_start(struct live *l, struct port *p, const struct sl_script_port *conf)
{
	p->conf = *conf;
	sl_frame_init(&p->frame, &p->conf);
	p->frame.measured = l->c->measure;
	p->frame.stream = (uint8_t)p->id;
	p->frame.run = l->run;
	p->frame.issued = l->stream[p->id].issued; /* started again: it goes on */
	p->left = conf->count ? conf->count : UINT64_MAX;
	p->sending = true;
	port_pace(l, p);
}

/* Counts from nothing; what is still under way from before is of another run. */
static void
begin_run(struct live *l)
{
	l->run++;
	for (unsigned i = 0; i < l->port_cnt; i++) {
		struct port *p = &l->port[i];

		p->n = (struct sl_live_total){0};
		p->frame.run = l->run;
		p->frame.issued = 0;
		p->frame.piece_at = 0;
		sl_measure_init(&l->stream[i]);
		if (p->sending)
			port_pace(l, p);
	}
	l->last = (struct sl_live_total){0};
	l->last_lost = 0;
	sl_latency_init(&l->now);
	sl_latency_init(&l->all);
}

/* Runs steps until one waits.  A change of rate or burst reaches ports that send at the next step. */
static void
run_steps(struct live *l)
{
	const struct sl_script *s = l->c->script;

	while (l->step < s->step_cnt && rte_rdtsc() >= l->wake) {
		const struct sl_script_step *k = &s->steps[l->step++];

		for (unsigned i = 0; i < l->port_cnt; i++) {
			struct port *p = &l->port[i];

			if (k->what == SL_SCRIPT_START && k->ports >> i & 1) {
				port_start(l, p, &k->port[i]);
			} else if (k->what == SL_SCRIPT_STOP && k->ports >> i & 1) {
				p->sending = false;
			} else if (p->sending) {
				p->conf.rate = k->port[i].rate;
				p->conf.burst = k->port[i].burst;
				port_pace(l, p);
			}
		}
		if (k->what == SL_SCRIPT_DELAY)
			l->wake = rte_rdtsc() + k->ms * l->hz / 1000;
	}
}

static void
send_burst(struct live *l, struct port *p)
{
	struct rte_mbuf *m[BURST_MAX];
	struct sl_trail_spot spot[BURST_MAX];
	unsigned n = (unsigned)SL_MIN((uint64_t)p->conf.burst, p->left);
	uint64_t now = rte_rdtsc();
	bool measured = p->frame.measured;

	if (!sl_pace_due(&p->pace, now) || rte_pktmbuf_alloc_bulk(l->pool, m, n))
		return;
	p->frame.time = now;
	for (unsigned i = 0; i < n; i++) {
		m[i]->data_len =
			(uint16_t)sl_frame_next(&p->frame, rte_pktmbuf_mtod(m[i], uint8_t *), NULL);
		m[i]->pkt_len = m[i]->data_len;
		if (measured)
			spot[i] = p->frame.spot;
	}
	if (measured) {
		uint64_t time = rte_rdtsc();

		for (unsigned i = 0; i < n; i++)
			if (spot[i].time_off)
				sl_trail_stamp(rte_pktmbuf_mtod(m[i], uint8_t *), &spot[i], time);
		l->stream[p->id].issued = p->frame.issued;
	}
	unsigned done = 0;
	uint64_t bytes[BURST_MAX + 1];

	bytes[0] = 0;
	for (unsigned i = 0; i < n; i++)
		bytes[i + 1] = bytes[i] + m[i]->pkt_len;
	for (unsigned tries = 0; done < n && tries < 64; tries++)
		done += rte_eth_tx_burst(p->id, 0, m + done, (uint16_t)(n - done));
	rte_pktmbuf_free_bulk(m + done, n - done);
	p->n.sent += done;
	p->n.sent_bytes += bytes[done];
	p->n.refused += n - done;
	l->stream[p->id].refused += n - done;
	sl_pace_sent(&p->pace, now, n);
	if (p->left != UINT64_MAX && !(p->left -= n))
		p->sending = false;
}

/* The protocol behind tags and extension headers, 0 when there is none in the bytes at hand. */
static uint8_t
protocol(const uint8_t *d, unsigned len)
{
	unsigned at = 12, eight = 0;

	while (len >= at + 4 &&
	       ((d[at] == 0x81 && !d[at + 1]) || (d[at] == 0x88 && d[at + 1] == 0xa8)))
		at += 4;
	if (len < at + 22)
		return 0;
	if (d[at] == 0x08 && !d[at + 1])
		return d[at + 11];
	if (d[at] != 0x86 || d[at + 1] != 0xdd)
		return 0;
	uint8_t next = d[at + 8];

	for (at += 42; next == SL_EXT_HOP || next == SL_EXT_DST || next == SL_EXT_FRAGMENT;) {
		if (len < at + 8)
			return 0;
		eight = next == SL_EXT_FRAGMENT ? 0 : d[at + 1];
		next = d[at];
		at += 8 * (eight + 1);
	}
	return next;
}

static bool
is_traffic(const struct rte_mbuf *m)
{
	uint8_t proto = protocol(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);

	return proto == SL_IPPROTO_TCP || proto == SL_IPPROTO_UDP || proto == IPPROTO_IPIP ||
	       proto == IPPROTO_IPV6;
}

/* Whether m is a test packet of this run that came for the first time; its latency counts. */
static bool
is_test(struct live *l, const struct rte_mbuf *m, uint64_t now)
{
	unsigned n = SL_MIN(m->pkt_len, (uint32_t)SL_TRAIL_BYTES);
	uint8_t copy[SL_TRAIL_BYTES];
	const uint8_t *tail = rte_pktmbuf_read(m, m->pkt_len - n, n, copy);
	struct sl_trail t;

	if (!sl_trail_find(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, tail, n, &t) ||
	    t.run != l->run || t.stream >= l->port_cnt || t.time > now ||
	    !sl_measure_take(&l->stream[t.stream], t.seq))
		return false;
	sl_latency_add(&l->now, (uint64_t)((double)(now - t.time) * l->ns));
	return true;
}

static void
track(struct live *l, struct port *p, const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t idx = sl_from_be32(sl_load32(d + 26)) - l->first;
	uint64_t mac = sl_load64(d) & 0xffffffffffffull;

	if (d[12] != 0x08 || idx >= TRACKED)
		return;
	p->n.moved += l->seen[idx] && l->seen[idx] != mac;
	l->seen[idx] = mac;
}

static void
put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

/* True when m was an ARP request for an address of ours and has gone back as the answer. */
static bool
answer_arp(struct live *l, struct port *p, struct rte_mbuf *m)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	unsigned i = 0;

	if (m->data_len < 42 || d[12] != 0x08 || d[13] != 0x06 || d[20] || d[21] != 1)
		return false;
	while (i < l->c->arp_cnt && memcmp(l->c->arp[i].ip, d + 38, 4))
		i++;
	if (i == l->c->arp_cnt)
		return false;
	memcpy(d, d + 22, 6);
	memcpy(d + 32, d + 22, 10);
	put_mac(d + 6, l->c->arp[i].mac);
	put_mac(d + 22, l->c->arp[i].mac);
	memcpy(d + 28, l->c->arp[i].ip, 4);
	d[21] = 2;
	return rte_eth_tx_burst(p->id, 0, &m, 1) == 1;
}

static void
receive(struct live *l, struct port *p)
{
	struct rte_mbuf *m[64];
	unsigned n = rte_eth_rx_burst(p->id, 0, m, 64);
	uint64_t now = n && l->c->measure ? rte_rdtsc() : 0;

	for (unsigned i = 0; i < n; i++) {
		if (l->c->measure ? is_test(l, m[i], now) : is_traffic(m[i])) {
			p->n.received++;
			p->n.received_bytes += m[i]->pkt_len;
			if (l->seen)
				track(l, p, m[i]);
		} else {
			p->n.other++;
			if (answer_arp(l, p, m[i]))
				continue;
		}
		rte_pktmbuf_free(m[i]);
	}
}

static struct sl_live_total
total(const struct live *l)
{
	struct sl_live_total t = {0};

	for (unsigned i = 0; i < l->port_cnt; i++) {
		const struct sl_live_total *n = &l->port[i].n;

		t.sent += n->sent;
		t.sent_bytes += n->sent_bytes;
		t.received += n->received;
		t.received_bytes += n->received_bytes;
		t.other += n->other;
		t.refused += n->refused;
		t.moved += n->moved;
		t.duplicate += l->stream[i].duplicate;
		t.reordered += l->stream[i].reordered;
	}
	return t;
}

static void
percentiles(const struct sl_latency *l, uint64_t ret_ns[SL_LIVE_LAT_CNT])
{
	static const double part[SL_LIVE_MAX] = {0.5, 0.9, 0.99, 0.999};

	for (unsigned i = 0; i < SL_LIVE_MAX; i++)
		ret_ns[i] = sl_latency_at(l, part[i]);
	ret_ns[SL_LIVE_MAX] = l->max;
}

/* Lost so far.  Measured: what is missing below the newest that came, or was sent a second ago and more and has
 * not come.  Else packets in flight at the turn of a second count as lost in one line and as found in the next. */
static int64_t
lost_so_far(const struct live *l, const struct sl_live_total *t)
{
	int64_t missing = 0, overdue = (int64_t)(l->last.sent - t->received);

	if (!l->c->measure)
		return (int64_t)(t->sent - t->received);
	for (unsigned i = 0; i < l->port_cnt; i++)
		missing += (int64_t)sl_measure_missing(&l->stream[i]);
	return SL_MAX(missing, overdue);
}

static void
json_latency(FILE *f, const uint64_t ns[SL_LIVE_LAT_CNT])
{
	static const char *const name[SL_LIVE_LAT_CNT] = {"p50", "p90", "p99", "p99.9", "max"};

	fprintf(f, "\"latency_us\": {");
	for (unsigned i = 0; i < SL_LIVE_LAT_CNT; i++)
		fprintf(f, "%s\"%s\": %.3f", i ? ", " : "", name[i], (double)ns[i] / 1000);
	fprintf(f, "}");
}

static void
print_second(struct live *l, unsigned second, const int64_t n[3], const struct sl_live_total *t,
	     const uint64_t ns[SL_LIVE_LAT_CNT])
{
	bool measure = l->c->measure;

	if (!isatty(STDOUT_FILENO)) {
		printf("%5u s  sent %10lld pps  received %10lld pps  lost %10lld", second,
		       (long long)n[0], (long long)n[1], (long long)n[2]);
		if (measure)
			printf("  duplicate %llu  reordered %llu  p50 %.1f  p90 %.1f  p99 %.1f  "
			       "p99.9 "
			       "%.1f  max %.1f us",
			       (unsigned long long)t->duplicate, (unsigned long long)t->reordered,
			       (double)ns[0] / 1000, (double)ns[1] / 1000, (double)ns[2] / 1000,
			       (double)ns[3] / 1000, (double)ns[4] / 1000);
	} else {
		if (l->lines++ % HEAD_EVERY == 0)
			printf("%5s %12s %12s %10s%s\n", "s", "sent/s", "received/s", "lost/s",
			       measure ? "   dup. reorder.    p50 us    p90 us    p99 us  p99.9 us"
					 "    max us"
				       : "");
		printf("%5u %12lld %12lld %10lld", second, (long long)n[0], (long long)n[1],
		       (long long)n[2]);
		if (measure)
			printf(" %6llu %8llu", (unsigned long long)t->duplicate,
			       (unsigned long long)t->reordered);
		for (unsigned i = 0; measure && i < SL_LIVE_LAT_CNT; i++)
			printf(" %9.1f", (double)ns[i] / 1000);
	}
	printf("\n");
	fflush(stdout);
}

static void
say_second(struct live *l, unsigned second, bool lines)
{
	struct sl_live_total t = total(l);
	int64_t lost = lost_so_far(l, &t);
	const int64_t n[3] = {(int64_t)(t.sent - l->last.sent),
			      (int64_t)(t.received - l->last.received), lost - l->last_lost};
	uint64_t ns[SL_LIVE_LAT_CNT];

	percentiles(&l->now, ns);
	sl_latency_merge(&l->all, &l->now);
	sl_latency_init(&l->now);
	l->last = t;
	l->last_lost = lost;
	if (!lines)
		return;
	if (!l->c->quiet)
		print_second(l, second, n, &t, ns);
	if (!l->c->json)
		return;
	fprintf(l->c->json, "%s{\"second\": %u, \"sent\": %lld, \"received\": %lld, \"lost\": %lld",
		l->any_line ? ",\n " : "", second, (long long)n[0], (long long)n[1],
		(long long)n[2]);
	if (l->c->measure) {
		fprintf(l->c->json, ", ");
		json_latency(l->c->json, ns);
	}
	fprintf(l->c->json, "}");
	l->any_line = true;
}

static bool
busy(const struct live *l)
{
	if (*l->c->stop)
		return false;
	if (l->limit_s > 0 && (double)(rte_rdtsc() - l->begun) >= l->limit_s * (double)l->hz)
		return false;
	if (l->step < l->c->script->step_cnt || rte_rdtsc() < l->wake)
		return true;
	for (unsigned i = 0; i < l->port_cnt; i++)
		if (l->port[i].sending)
			return true;
	return false;
}

/* Sends until the phase is over, then receives what is still under way. */
static void
loop(struct live *l, double limit_s, bool lines)
{
	uint64_t second;
	unsigned seconds = 0;

	l->limit_s = limit_s;
	l->begun = rte_rdtsc();
	second = l->begun + l->hz;
	while (busy(l)) {
		run_steps(l);
		for (unsigned i = 0; i < l->port_cnt; i++) {
			if (l->port[i].sending)
				send_burst(l, &l->port[i]);
			receive(l, &l->port[i]);
		}
		if (rte_rdtsc() >= second) {
			second += l->hz;
			say_second(l, ++seconds, lines);
		}
	}
	uint64_t end = rte_rdtsc(), quiet = end;
	struct sl_live_total t = total(l);
	uint64_t got = t.received;

	l->last.seconds = (double)(end - l->begun) / (double)l->hz;
	while ((double)(rte_rdtsc() - quiet) < l->quiet_s * (double)l->hz &&
	       (double)(rte_rdtsc() - end) < l->tail_max_s * (double)l->hz &&
	       !(l->c->measure && got == t.sent)) {
		for (unsigned i = 0; i < l->port_cnt; i++)
			receive(l, &l->port[i]);
		if (total(l).received != got) {
			got = total(l).received;
			quiet = rte_rdtsc();
		}
	}
	sl_latency_merge(&l->all, &l->now);
	sl_latency_init(&l->now);
}

/* The counts of a run that is over. */
static struct sl_live_total
outcome(const struct live *l)
{
	struct sl_live_total t = total(l);

	t.seconds = l->last.seconds;
	percentiles(&l->all, t.latency_ns);
	return t;
}

static void
warm_up(struct live *l)
{
	loop(l, l->c->warm_s, false);
	begin_run(l);
	if (!l->c->quiet)
		printf("warm\n");
	fflush(stdout);
}

static void
say_json(FILE *f, const struct live *l, const struct sl_live_total *t)
{
	fprintf(f, "\"seconds\": %.3f, \"sent\": %llu, \"received\": %llu, \"lost\": %lld, ",
		t->seconds, (unsigned long long)t->sent, (unsigned long long)t->received,
		(long long)(t->sent - t->received));
	fprintf(f,
		"\"sent_bytes\": %llu, \"received_bytes\": %llu, \"other\": %llu, "
		"\"refused\": %llu, \"moved\": %llu, ",
		(unsigned long long)t->sent_bytes, (unsigned long long)t->received_bytes,
		(unsigned long long)t->other, (unsigned long long)t->refused,
		(unsigned long long)t->moved);
	if (l->c->measure) {
		fprintf(f, "\"duplicate\": %llu, \"reordered\": %llu, ",
			(unsigned long long)t->duplicate, (unsigned long long)t->reordered);
		json_latency(f, t->latency_ns);
		fprintf(f, ", ");
	}
	fprintf(f, "\"ports\": [");
	for (unsigned i = 0; i < l->port_cnt; i++)
		fprintf(f, "%s{\"port\": %u, \"sent\": %llu, \"received\": %llu}", i ? ", " : "", i,
			(unsigned long long)l->port[i].n.sent,
			(unsigned long long)l->port[i].n.received);
	fprintf(f, "]}\n");
}

static int
open_all(struct live *l, struct sl_diag *diag)
{
	l->port_cnt = rte_eth_dev_count_avail();
	if (!l->port_cnt || l->port_cnt > SL_SCRIPT_PORTS) {
		sl_diag_add(diag, NULL, 0, NULL, "give ports with --vdev or -a before --",
			    "%u ports; this program drives 1 to %d", l->port_cnt, SL_SCRIPT_PORTS);
		return -ENODEV;
	}
	l->pool = rte_pktmbuf_pool_create("pktgen", POOL_BUFS * l->port_cnt, 256, 0,
					  RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!l->pool) {
		sl_diag_add(diag, NULL, 0, NULL, "reserve hugepages, or give -m or --no-huge",
			    "no memory for %u buffers", POOL_BUFS * l->port_cnt);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < l->port_cnt; i++) {
		int rc = port_open(l, i, diag);
		if (rc)
			return rc;
	}
	return 0;
}

/* Whether every port that will send has room for trails. */
static int
check_measurable(const struct sl_script_port *p, unsigned port, struct sl_diag *diag)
{
	unsigned min;

	if (sl_frame_measurable(p, &min))
		return 0;
	if (min)
		sl_diag_add(diag, NULL, 0, NULL, "set a larger size, or do not measure",
			    "port %u: measuring needs packets of %u bytes or more", port, min);
	else
		sl_diag_add(diag, NULL, 0, NULL, "fewer fragments, a larger datagram",
			    "port %u: a fragment has no room for the %d bytes that measuring needs",
			    port, SL_TRAIL_BYTES);
	return -EINVAL;
}

static int
check_script(const struct live *l, struct sl_diag *diag)
{
	const struct sl_script *s = l->c->script;
	unsigned starts = 0;

	for (unsigned i = 0; i < s->step_cnt; i++) {
		const struct sl_script_step *k = &s->steps[i];

		if (k->what != SL_SCRIPT_START)
			continue;
		starts++;
		if (k->ports >> l->port_cnt) {
			sl_diag_add(diag, NULL, k->line, NULL, NULL,
				    "start of a port that is not there: %u ports", l->port_cnt);
			return -ENODEV;
		}
		for (unsigned n = 0; l->c->measure && n < l->port_cnt; n++)
			if (k->ports >> n & 1 && check_measurable(&k->port[n], n, diag))
				return -EINVAL;
	}
	return l->c->measure && !starts ? check_measurable(&s->port[0], 0, diag) : 0;
}

static int
live_open(struct live *l, const struct sl_live_conf *c, struct sl_diag *diag)
{
	memset(l, 0, sizeof(*l));
	l->c = c;
	l->hz = rte_get_tsc_hz();
	l->ns = 1e9 / (double)l->hz;
	l->run = (uint8_t)rte_rdtsc();
	l->pps = c->pps;
	l->quiet_s = c->tail_s > 0 ? c->tail_s : TAIL_MS / 1000.0;
	l->tail_max_s = c->tail_s > 0 ? c->tail_s : TAIL_MAX_S;
	return open_all(l, diag);
}

static void
live_close(struct live *l)
{
	free(l->seen);
	l->seen = NULL;
	for (unsigned i = 0; i < l->port_cnt; i++) {
		rte_eth_dev_stop((uint16_t)i);
		rte_eth_dev_close((uint16_t)i);
	}
}

static void
track_begin(struct live *l)
{
	static struct sl_frame f;
	struct sl_tuple t;
	uint8_t buf[SL_FRAME_MAX];

	sl_frame_init(&f, sl_script_first(l->c->script, 0));
	sl_frame_next(&f, buf, &t);
	l->first = sl_from_be32(sl_load32(t.src.b + 12));
	l->seen = calloc(TRACKED, sizeof(*l->seen));
}

static struct live live; /* once per process */

int
sl_live_run(const struct sl_live_conf *c, struct sl_diag *diag, struct sl_live_total *ret_total)
{
	struct live *l = &live;
	unsigned starts = 0;
	int rc = live_open(l, c, diag);

	rc = rc ? rc : check_script(l, diag);
	for (unsigned i = 0; i < c->script->step_cnt; i++)
		starts += c->script->steps[i].what == SL_SCRIPT_START;
	if (!rc) {
		l->wake = rte_rdtsc();
		begin_run(l);
		if (!starts)
			port_start(l, &l->port[0], &c->script->port[0]);
		if (c->track)
			track_begin(l);
		if (c->warm_s > 0)
			warm_up(l);
		if (c->json)
			fprintf(c->json, "{\"intervals\": [");
		loop(l, c->duration_s, true);
		*ret_total = outcome(l);
		if (c->json) {
			fprintf(c->json, "],\n ");
			say_json(c->json, l, ret_total);
		}
	}
	live_close(l);
	return rc;
}

/* ---- the search ---- */

struct hunt {
	struct live *l;
	const struct sl_live_search *s;
	unsigned size, repeat, trials;
};

static bool
sends(const struct live *l, unsigned port)
{
	const struct sl_script *s = l->c->script;
	bool any = false;

	for (unsigned i = 0; i < l->port_cnt; i++)
		any |= s->port[i].used;
	return s->port[port].used || (!any && !port);
}

/* The port's packets at another size. */
static struct sl_script_port
sized(const struct sl_script_port *p, unsigned size)
{
	struct sl_script_port c = *p;

	c.count = 0;
	c.single.size = (uint16_t)size;
	c.span[SL_SPAN_SIZE] = (struct sl_script_span){size, size, size, 0};
	return c;
}

/* One run at that many packets a second from each sending port. */
static int
run_at(struct hunt *h, double pps, double seconds, struct sl_live_total *ret_total)
{
	struct live *l = h->l;

	begin_run(l);
	l->pps = pps;
	for (unsigned i = 0; i < l->port_cnt; i++) {
		l->port[i].sending = false;
		if (!sends(l, i))
			continue;
		struct sl_script_port c = sized(&l->c->script->port[i], h->size);

		/* Near an even spacing where the rate allows: at most 20 µs at once. */
		c.burst = (unsigned)SL_MAX(1.0, SL_MIN(32.0, pps * 20e-6));
		port_start(l, &l->port[i], &c);
	}
	loop(l, seconds, false);
	*ret_total = outcome(l);
	return *l->c->stop ? -EINTR : 0;
}

static unsigned
sender_cnt(const struct live *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->port_cnt; i++)
		n += sends(l, i);
	return n;
}

static int
try_rate(void *ctx, struct sl_search_trial *t)
{
	struct hunt *h = ctx;
	struct sl_live_total n;
	int rc = run_at(h, t->offered_pps, h->s->trial_s, &n);

	t->sent = n.sent;
	t->received = n.received;
	t->refused = n.refused;
	t->sent_pps = (double)n.sent / n.seconds / sender_cnt(h->l);
	return rc;
}

static void
say_trial(void *ctx, unsigned idx, const struct sl_search_trial *t)
{
	struct hunt *h = ctx;
	FILE *f = h->l->c->json;
	uint64_t lost = t->sent - SL_MIN(t->received, t->sent);

	if (!h->l->c->quiet)
		printf("%5u B  trial %u.%u  offered %10.0f pps  sent %10.0f pps  lost %8llu (%.4f "
		       "%%)  "
		       "%s%s\n",
		       h->size, h->repeat + 1, idx + 1, t->offered_pps, t->sent_pps,
		       (unsigned long long)lost,
		       t->sent ? 100.0 * (double)lost / (double)t->sent : 0.0,
		       t->passed ? "pass" : "fail",
		       !t->limited  ? ""
		       : t->refused ? ", the generator's queue was full"
				    : ", the generator was too slow");
	fflush(stdout);
	if (f)
		fprintf(f,
			"%s\n   {\"repeat\": %u, \"offered_pps\": %.1f, \"sent_pps\": %.1f, "
			"\"sent\": "
			"%llu, \"received\": %llu, \"refused\": %llu, \"passed\": %s, "
			"\"generator_limited\": %s}",
			h->trials++ ? "," : "", h->repeat + 1, t->offered_pps, t->sent_pps,
			(unsigned long long)t->sent, (unsigned long long)t->received,
			(unsigned long long)t->refused, t->passed ? "true" : "false",
			t->limited ? "true" : "false");
}

static const char *const limit_name[] = {"none", "device", "max", "generator"};
static const char *const limit_text[] = {"no rate passed", "the device", "--max-pps or the line",
					 "the generator, not the device"};

struct found {
	unsigned size;
	struct sl_search_result r;
	double lowest, highest; /* of the repeats */
	struct sl_live_total at;
};

static int
by_pps(const void *a, const void *b)
{
	double x = ((const struct sl_search_result *)a)->pps;
	double y = ((const struct sl_search_result *)b)->pps;

	return (x > y) - (x < y);
}

#define REPEATS_MAX 50

/* All searches of one size; ret_found holds the median and a run at its rate. */
static int
hunt_size(struct hunt *h, struct found *ret_found)
{
	struct sl_search_result r[REPEATS_MAX];
	struct sl_search_conf c = {.min_pps = h->s->min_pps,
				   .max_pps = h->s->max_pps > 0 ? h->s->max_pps
								: line_pps(&h->l->port[0], h->size),
				   .resolution = h->s->resolution,
				   .tolerance = h->s->tolerance};
	unsigned cnt = SL_MIN(h->s->repeats, (unsigned)REPEATS_MAX);
	int rc = 0;

	c.min_pps = SL_MIN(c.min_pps, c.max_pps);
	if (h->l->c->warm_s > 0)
		rc = run_at(h, c.min_pps, h->l->c->warm_s, &ret_found->at);
	for (h->repeat = 0; h->repeat < cnt && !rc; h->repeat++)
		rc = sl_search_run(&c, try_rate, say_trial, h, &r[h->repeat]);
	if (rc)
		return rc;
	qsort(r, cnt, sizeof(r[0]), by_pps);
	*ret_found = (struct found){
		.size = h->size, .r = r[cnt / 2], .lowest = r[0].pps, .highest = r[cnt - 1].pps};
	return ret_found->r.pps > 0 ? run_at(h, ret_found->r.offered, h->s->trial_s, &ret_found->at)
				    : 0;
}

static void
json_found(FILE *f, const struct found *d)
{
	fprintf(f,
		"],\n  \"pps\": %.1f, \"lowest_pps\": %.1f, \"highest_pps\": %.1f, \"mbps\": %.3f, "
		"\"limit\": \"%s\", \"latency_lost\": %lld, ",
		d->r.pps, d->lowest, d->highest, d->r.pps * (d->size + WIRE_EXTRA) * 8 / 1e6,
		limit_name[d->r.limit], (long long)(d->at.sent - d->at.received));
	json_latency(f, d->at.latency_ns);
	fprintf(f, "}");
}

static void
print_table(const struct found *d, unsigned cnt)
{
	printf("\n%5s %13s %12s %9s %9s %9s %9s %9s  %s\n", "bytes", "no-drop pps", "Mbit/s",
	       "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "limited by");
	for (unsigned i = 0; i < cnt; i++) {
		printf("%5u %13.0f %12.3f", d[i].size, d[i].r.pps,
		       d[i].r.pps * (d[i].size + WIRE_EXTRA) * 8 / 1e6);
		for (unsigned k = 0; k < SL_LIVE_LAT_CNT; k++)
			printf(" %9.1f", (double)d[i].at.latency_ns[k] / 1000);
		printf("  %s\n", limit_text[d[i].r.limit]);
	}
}

/* 0, 1 when the size is too small for this packet (said), or -EINVAL. */
static int
check_hunt(const struct live *l, unsigned size, struct sl_diag *diag)
{
	for (unsigned i = 0; i < l->port_cnt; i++) {
		const struct sl_script_port *p = &l->c->script->port[i];

		if (!sends(l, i))
			continue;
		if (p->mode == SL_SCRIPT_SEQUENCE || p->imix_cnt || p->piece_cnt > 1) {
			sl_diag_add(
				diag, NULL, 0, NULL, "take a profile with one packet or a range",
				"port %u: a search sets the frame size; a sequence, a genome or "
				"fragments have their own",
				i);
			return -EINVAL;
		}
		struct sl_script_port c = sized(p, size);
		unsigned min;

		if (!sl_frame_measurable(&c, &min)) {
			fprintf(stderr,
				"%5u B  left out: too small for this packet's headers and %d bytes "
				"of "
				"signature\n",
				size, SL_TRAIL_BYTES);
			return 1;
		}
	}
	return 0;
}

static int
hunt_all(struct hunt *h, struct sl_diag *diag)
{
	FILE *f = h->l->c->json;
	struct found found[SL_LIVE_SIZES];
	unsigned cnt = 0;
	int rc = 0;

	if (f)
		fprintf(f,
			"{\"trial_s\": %g, \"settle_s\": %g, \"tolerance\": %g, \"resolution\": "
			"%g, "
			"\"repeats\": %u, \"sizes\": [",
			h->s->trial_s, h->s->settle_s, h->s->tolerance, h->s->resolution,
			h->s->repeats);
	for (unsigned i = 0; i < h->s->size_cnt && !rc; i++) {
		h->size = h->s->sizes[i];
		h->trials = 0;
		rc = check_hunt(h->l, h->size, diag);
		if (rc == 1) {
			rc = 0;
			continue;
		}
		if (f && !rc)
			fprintf(f, "%s\n {\"size\": %u, \"trials\": [", cnt ? "," : "", h->size);
		rc = rc ? rc : hunt_size(h, &found[cnt]);
		if (!rc && f)
			json_found(f, &found[cnt]);
		cnt += !rc;
	}
	if (f && !rc)
		fprintf(f, "]}\n");
	if (cnt && f != stdout)
		print_table(found, cnt);
	return rc;
}

int
sl_live_search(const struct sl_live_conf *c, const struct sl_live_search *s, struct sl_diag *diag)
{
	struct live *l = &live;
	struct hunt h = {.l = l, .s = s};
	int rc = live_open(l, c, diag);

	if (!rc && s->max_pps > 0 && s->min_pps > s->max_pps) {
		sl_diag_add(diag, NULL, 0, NULL, NULL, "--min-pps is above --max-pps");
		rc = -EINVAL;
	}
	if (!rc) {
		l->step = c->script->step_cnt; /* a search starts and stops by itself */
		l->wake = rte_rdtsc();
		l->quiet_s = l->tail_max_s = s->settle_s;
		rc = hunt_all(&h, diag);
	}
	live_close(l);
	return rc;
}

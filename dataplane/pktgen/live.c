/* The loop: due steps of the script → for each sending port, bursts as its clock allows → receive and count →
 * once a second a line.  A port that cannot keep its rate sends as fast as it can and does not catch up
 * for more than one burst. */
#include "pktgen/live.h"
#include "pktgen/frame.h"

#include <errno.h>
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
#define TAIL_MS 500  /* receive until nothing came for that long, */
#define TAIL_MAX_S 5 /* at most */

struct port {
	uint16_t id;
	bool sending;
	struct sl_script_port conf;
	struct sl_frame frame;
	uint64_t left; /* UINT64_MAX: no end */
	uint64_t next; /* tick of the next burst */
	uint64_t gap;  /* ticks per packet × 2^16 */
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
	double limit_s; /* of the phase that runs */
	uint32_t first; /* source address of port 0's first packet */
	uint64_t *seen; /* [TRACKED]: destination MAC by source address */
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

static double
wanted_pps(const struct live *l, const struct port *p)
{
	struct rte_eth_link link = {0};
	double bps = LINE_BPS;
	unsigned size = p->conf.mode == SL_SCRIPT_RANGE ? p->conf.span[SL_SPAN_SIZE].start
							: p->frame.now.size;

	if (l->c->pps > 0)
		return l->c->pps;
	if (!rte_eth_link_get_nowait(p->id, &link) && link.link_speed &&
	    link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		bps = link.link_speed * 1e6;
	return bps * p->conf.rate / 100 / ((size + WIRE_EXTRA) * 8);
}

static void
port_pace(struct live *l, struct port *p)
{
	p->gap = (uint64_t)((double)l->hz * 65536 / wanted_pps(l, p));
}

static void
port_start(struct live *l, struct port *p, const struct sl_script_port *conf)
{
	p->conf = *conf;
	sl_frame_init(&p->frame, &p->conf);
	p->left = conf->count ? conf->count : UINT64_MAX;
	p->next = rte_rdtsc();
	p->sending = true;
	port_pace(l, p);
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
	unsigned n = (unsigned)SL_MIN((uint64_t)p->conf.burst, p->left);
	uint64_t now = rte_rdtsc();

	if (now < p->next || rte_pktmbuf_alloc_bulk(l->pool, m, n))
		return;
	for (unsigned i = 0; i < n; i++) {
		m[i]->data_len =
			(uint16_t)sl_frame_next(&p->frame, rte_pktmbuf_mtod(m[i], uint8_t *), NULL);
		m[i]->pkt_len = m[i]->data_len;
	}
	unsigned done = 0;
	uint64_t bytes[BURST_MAX + 1] = {0};

	for (unsigned i = 0; i < n; i++)
		bytes[i + 1] = bytes[i] + m[i]->pkt_len;
	for (unsigned tries = 0; done < n && tries < 64; tries++)
		done += rte_eth_tx_burst(p->id, 0, m + done, (uint16_t)(n - done));
	rte_pktmbuf_free_bulk(m + done, n - done);
	p->n.sent += done;
	p->n.sent_bytes += bytes[done];
	p->n.refused += n - done;
	uint64_t span = n * p->gap >> 16;
	p->next = SL_MAX(p->next + span, now > span ? now - span : 0);
	if (p->left != UINT64_MAX && !(p->left -= n))
		p->sending = false;
}

static bool
is_traffic(const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type = m->data_len >= 34 ? sl_from_be16(sl_load16(d + 12)) : 0;
	uint8_t proto = type == 0x0800 ? d[23] : type == 0x86dd ? d[20] : 0;

	return proto == SL_IPPROTO_TCP || proto == SL_IPPROTO_UDP;
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

	for (unsigned i = 0; i < n; i++) {
		if (is_traffic(m[i])) {
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
	}
	return t;
}

/* Packets in flight at the turn of a second count as lost in one line and as found in the next. */
static void
say_second(struct live *l, unsigned second, bool lines)
{
	struct sl_live_total t = total(l);
	int64_t sent = (int64_t)(t.sent - l->last.sent);
	int64_t got = (int64_t)(t.received - l->last.received);

	l->last = t;
	if (l->c->quiet || !lines)
		return;
	printf("%5u s  sent %10lld pps  received %10lld pps  lost %10lld\n", second,
	       (long long)sent, (long long)got, (long long)(sent - got));
	fflush(stdout);
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
	uint64_t end = rte_rdtsc(), quiet = end, got = total(l).received;

	l->last.seconds = (double)(end - l->begun) / (double)l->hz;
	while (rte_rdtsc() - quiet < TAIL_MS * l->hz / 1000 &&
	       rte_rdtsc() - end < TAIL_MAX_S * l->hz) {
		for (unsigned i = 0; i < l->port_cnt; i++)
			receive(l, &l->port[i]);
		if (total(l).received != got) {
			got = total(l).received;
			quiet = rte_rdtsc();
		}
	}
}

static void
warm_up(struct live *l)
{
	loop(l, l->c->warm_s, false);
	for (unsigned i = 0; i < l->port_cnt; i++) {
		l->port[i].n = (struct sl_live_total){0};
		l->port[i].next = rte_rdtsc();
	}
	l->last = (struct sl_live_total){0};
	if (!l->c->quiet)
		printf("warm\n");
	fflush(stdout);
}

static void
say_json(FILE *f, const struct live *l, const struct sl_live_total *t)
{
	fprintf(f, "{\"seconds\": %.3f, \"sent\": %llu, \"received\": %llu, \"lost\": %lld, ",
		t->seconds, (unsigned long long)t->sent, (unsigned long long)t->received,
		(long long)(t->sent - t->received));
	fprintf(f,
		"\"sent_bytes\": %llu, \"received_bytes\": %llu, \"other\": %llu, "
		"\"refused\": %llu, \"moved\": %llu, \"ports\": [",
		(unsigned long long)t->sent_bytes, (unsigned long long)t->received_bytes,
		(unsigned long long)t->other, (unsigned long long)t->refused,
		(unsigned long long)t->moved);
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

int
sl_live_run(const struct sl_live_conf *c, struct sl_diag *diag, struct sl_live_total *ret_total)
{
	static struct live live; /* a few KB of state, once per process */
	struct live *l = &live;
	unsigned starts = 0;

	*l = (struct live){.c = c, .hz = rte_get_tsc_hz()};
	int rc = open_all(l, diag);

	for (unsigned i = 0; !rc && i < c->script->step_cnt; i++) {
		starts += c->script->steps[i].what == SL_SCRIPT_START;
		if (c->script->steps[i].what == SL_SCRIPT_START &&
		    c->script->steps[i].ports >> l->port_cnt) {
			sl_diag_add(diag, NULL, c->script->steps[i].line, NULL, NULL,
				    "start of a port that is not there: %u ports", l->port_cnt);
			rc = -ENODEV;
		}
	}
	if (!rc) {
		l->wake = rte_rdtsc();
		if (!starts)
			port_start(l, &l->port[0], &c->script->port[0]);
		if (c->track) {
			struct sl_tuple t;
			uint8_t buf[SL_FRAME_MAX];
			struct sl_frame f;

			sl_frame_init(&f, sl_script_first(c->script, 0));
			sl_frame_next(&f, buf, &t);
			l->first = sl_from_be32(sl_load32(t.src.b + 12));
			l->seen = calloc(TRACKED, sizeof(*l->seen));
		}
		if (c->warm_s > 0)
			warm_up(l);
		loop(l, c->duration_s, true);
		free(l->seen);
		l->seen = NULL;
		*ret_total = total(l);
		ret_total->seconds = l->last.seconds;
		if (c->json)
			say_json(c->json, l, ret_total);
	}
	for (unsigned i = 0; i < l->port_cnt; i++) {
		rte_eth_dev_stop((uint16_t)i);
		rte_eth_dev_close((uint16_t)i);
	}
	return rc;
}

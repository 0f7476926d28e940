/* worker — the loop, once per call.
 *
 *   for each source of packets (ports polled here, then hand-off rings):
 *       take a burst → take messages → l4
 *   send for other workers and for the kernel → waiting packets → sweep flows → neighbours (worker 0) → streams → flush
 *
 * Messages are taken after a burst was received and before it is worked on: a worker that opens a nat flow
 * puts its HALF message into the ring before the packet leaves, so whoever receives the reply finds the message there.
 */
#include "dataplane/worker_priv.h"

#include "lb/flow_adopt.h"

#include <stdatomic.h>

static size_t
own_bytes(void)
{
	return (sizeof(struct sl_worker) + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

size_t
sl_worker_bytes(void)
{
	return own_bytes() + sl_frag_bytes();
}

struct sl_worker *
sl_worker_init(void *mem, const struct sl_worker_conf *conf)
{
	struct sl_worker *w = mem;

	w->conf = *conf;
	memcpy(w->ports, conf->ports, conf->port_cnt * sizeof(w->ports[0]));
	w->conf.ports = w->ports;
	for (unsigned i = 0; i < conf->port_cnt; i++)
		memcpy(&w->mac[i], w->ports[i].mac, 6);
	w->stats = sl_stats_worker(conf->stats, conf->id);
	w->port_stats = sl_stats_ports(conf->stats, conf->id);
	w->listener_stats = sl_stats_listeners(conf->stats, conf->id);
	w->service_stats = sl_stats_services(conf->stats, conf->id);
	w->endpoint_stats = sl_stats_endpoints(conf->stats, conf->id);

	sl_fragments_init(w, (uint8_t *)mem + own_bytes());
	if (conf->tcp.streams)
		sl_streams_start(w);
	if (conf->flows)
		sl_worker_adopt(w, conf->flows);
	/* Workers start their round-robin schedules apart from each other. */
	for (unsigned i = 0; i < SL_CHOOSE_CURSORS; i++)
		w->cursors[i] = (uint32_t)((conf->seed + conf->id * 0x9e3779b97f4a7c15ull) >> 33);
	return w;
}

static void
gauges(struct sl_worker *w)
{
	struct sl_flow_usage u;

	sl_flow_usage(w->conf.flows, &u);
	w->stats->flow_active = u.active;
	w->stats->flow_embryonic = u.embryonic;
	w->stats->xlat_used = u.xlat_used;
	if (w->tcp)
		sl_streams_gauges(w);
}

static void
adopt(void *ctx, struct sl_flow *f)
{
	struct sl_worker *w = ctx;

	w->stats->flow_adopted += !(f->state & SL_FLOW_REPLY); /* two halves are one flow */
	sl_nat_adopt(f);
	sl_tally_adopt(w, f);
}

void
sl_worker_adopt(struct sl_worker *w, struct sl_flow_table *flows)
{
	struct sl_flow_usage u;

	w->conf.flows = flows;
	sl_flow_usage(flows, &u);
	w->stats->flow_capacity = u.capacity;
	w->stats->xlat_capacity = u.xlat_capacity;
	w->bucket_cnt = u.bucket_cnt;
	sl_flow_each(flows, adopt, w);
	w->tally_generation = 0;
	gauges(w);
}

void
sl_worker_hand_over(struct sl_worker *w, unsigned port)
{
	w->ports[port].rss = false;
}

void
sl_worker_unplug(struct sl_worker *w, uint32_t ports)
{
	for (unsigned i = 0; i < w->conf.port_cnt; i++)
		if (ports >> i & 1) {
			w->ports[i].gone = true;
			w->ports[i].poll = false;
		}
}

void
sl_worker_fini(struct sl_worker *w)
{
	for (unsigned i = 0; i < w->held_cnt; i++)
		sl_send_free(w, w->held[i].txd.buf);
	w->held_cnt = 0;
	sl_fragments_fini(w);
	if (w->tcp)
		sl_streams_end(w);
	sl_send_free_flush(w);
}

static void
explain_http(struct sl_worker *w, const struct sl_view *view, struct sl_http_question *q)
{
	q->why = NULL;
	if (!view)
		q->why = "no table is active yet";
	else if (q->about == SL_CTL_ABOUT_CONNECTION)
		sl_streams_explain_rules(w, view, q);
	else
		sl_requests_explain(w, view, q);
	atomic_store_explicit(&q->state, SL_QUESTION_ANSWERED, memory_order_release);
}

static void
message(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m)
{
	w->stats->msg_received++;
	if (m->type == SL_MSG_NEIGH)
		sl_local_want(w, m->port_in, &m->addr);
	else if (m->type == SL_MSG_EXPLAIN)
		sl_l4_explain(w, view, m);
	else if (m->type == SL_MSG_EXPLAIN_HTTP)
		explain_http(w, view, &w->conf.questions[m->slot]);
	else if (view)
		sl_nat_message(w, view, m);
}

static unsigned
take_messages(struct sl_worker *w, const struct sl_view *view)
{
	unsigned done = 0;
	struct sl_msg m;

	for (unsigned i = 0; i < w->conf.worker_cnt; i++) {
		struct sl_ring *r = w->conf.msg_in[i];
		if (!r || sl_likely(sl_ring_empty(r)))
			continue;
		while (sl_ring_take(r, &m, 1) == 1) {
			message(w, view, &m);
			done++;
		}
	}
	if (w->conf.main_in)
		for (unsigned i = 0; i < SL_MSGS_PER_TURN && !sl_ring_empty(w->conf.main_in) &&
				     sl_ring_take(w->conf.main_in, &m, 1) == 1;
		     i++, done++)
			message(w, view, &m);
	return done;
}

/* Packets of several ports: counted for theirs; those of none are dropped.  How many are left, in order. */
static __attribute__((noinline)) unsigned
sort_trunk(struct sl_worker *w, unsigned trunk, unsigned n)
{
	unsigned left = 0;

	for (unsigned i = 0; i < n; i++) {
		struct sl_pkt *p = &w->pkts[i];
		unsigned port = p->port_in == SL_PORT_NONE ? trunk : p->port_in;
		w->port_stats[port].rx_packets++;
		w->port_stats[port].rx_bytes += p->len;
		if (p->port_in == SL_PORT_NONE)
			sl_l4_drop(w, p, SL_DROP_VLAN);
		else
			w->pkts[left++] = *p;
	}
	return left;
}

static unsigned
from_port(struct sl_worker *w, const struct sl_view *view, unsigned port)
{
	unsigned n = w->conf.io.rx(w->conf.io.ctx, port, w->pkts, SL_BURST);
	unsigned done = n + take_messages(w, view);
	uint64_t bytes = 0;

	if (n == 0)
		return done;
	for (unsigned i = 0; i < n; i++)
		bytes += w->pkts[i].len;
	w->stats->rx_packets += n;
	w->stats->rx_bytes += bytes;
	if (sl_unlikely(w->ports[port].trunk)) {
		n = sort_trunk(w, port, n);
		if (n == 0)
			return done;
	} else {
		w->port_stats[port].rx_packets += n;
		w->port_stats[port].rx_bytes += bytes;
	}
	sl_l4_burst(w, view, w->pkts, n);
	return done;
}

static unsigned
from_worker(struct sl_worker *w, const struct sl_view *view, unsigned peer)
{
	struct sl_ring *r = w->conf.pkt_in[peer];

	if (!r || sl_ring_empty(r))
		return 0;
	unsigned n = sl_ring_take(r, w->pkts, SL_BURST);
	unsigned done = n + take_messages(w, view);
	w->stats->handoff_in += n;
	sl_l4_burst(w, view, w->pkts, n);
	return done;
}

struct gone_ctx {
	struct sl_worker *w;
	const struct sl_view *view;
};

static void
gone(void *ctx, const struct sl_flow *f, const struct sl_xlat *x)
{
	struct sl_worker *w = ((struct gone_ctx *)ctx)->w;

	w->stats->flow_expire++;
	sl_tally_end(w, f);
	sl_nat_gone(w, ((struct gone_ctx *)ctx)->view, f, x);
}

/* A pass over the table in SL_SWEEP_PASS_NS, in slices. */
static void
sweep(struct sl_worker *w, const struct sl_view *view)
{
	/* below 2^31, and bucket_cnt is below 2^25: the product fits */
	uint64_t elapsed = SL_MIN(w->now_ns - w->swept_ns, SL_SWEEP_PASS_NS);
	uint64_t due = w->bucket_cnt * elapsed / SL_SWEEP_PASS_NS;

	if (due < SL_SWEEP_MIN && elapsed < SL_SWEEP_PASS_NS)
		return;
	w->swept_ns = w->now_ns;
	struct gone_ctx ctx = {w, view};
	w->sweeping = true;
	sl_flow_sweep(w->conf.flows, (unsigned)SL_MIN(due, (uint64_t)SL_SWEEP_MAX), w->now_q, gone,
		      &ctx);
	w->sweeping = false;
	for (unsigned i = 0; i < w->later_cnt; i++)
		sl_nat_message(w, view, &w->later[i]);
	w->later_cnt = 0;
	gauges(w);
}

unsigned
sl_worker_turn(struct sl_worker *w, const struct sl_view *view, uint64_t now_ns)
{
	unsigned done = 0;

	w->now_ns = now_ns;
	w->now_q = (uint32_t)(now_ns / 250000000u);
	if (w->tcp)
		sl_streams_begin(w, view);
	if (sl_unlikely(view &&
			(w->tally_generation != view->generation || w->tally_next < view->hop_cnt)))
		sl_tally_view(w, view);
	for (unsigned i = 0; i < w->conf.port_cnt; i++)
		if (w->ports[i].poll)
			done += from_port(w, view, i);
	for (unsigned i = 0; i < w->conf.worker_cnt; i++)
		done += from_worker(w, view, i);
	done += take_messages(w, view);
	done += sl_send_forwarded(w);
	if (sl_unlikely(w->conf.punt.addrs != NULL))
		done += sl_punt_turn(w);
	sl_send_held(w);
	sl_fragments_tick(w, view);
	if (sl_likely(view != NULL))
		sweep(w, view);
	sl_local_tick(w, view);
	if (w->tcp)
		done += sl_streams_run(w);
	sl_send_flush(w);
	sl_send_free_flush(w);

	w->stats->turns++;
	w->stats->turns_empty += done == 0;
	w->stats->generation = view ? view->generation : 0;
	if (done)
		sl_hist_add(&w->stats->burst_pkts, done);
	return done;
}

void
sl_worker_forward(struct sl_worker *w)
{
	sl_send_forwarded(w);
	sl_send_free_flush(w);
}

void
sl_worker_stop(struct sl_worker *w, const struct sl_view *view, uint64_t now_ns)
{
	w->now_ns = now_ns;
	if (w->tcp && view) {
		sl_streams_begin(w, view);
		sl_streams_reset(w);
		sl_streams_run(w);
	}
	sl_send_flush(w);
	sl_send_free_flush(w);
}

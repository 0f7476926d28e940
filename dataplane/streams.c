/* streams — TCP that ends here: the stack's packets in and out, and what the relay asks of table and tallies.
 *
 *   burst ─ known stream ─────────────────────────────────────▶ sl_tcp_input ┐
 *         └ of no flow, to a tcp listener or an address of ours ▶ sl_tcp_input ┤
 *   ICMP error about a segment ───────────────────────────────▶ sl_tcp_icmp  ┤
 *   end of turn ─▶ relay, sl_tcp_run ◀───────────────────────────────────────┘ ─▶ send_ip ─▶ send.c
 *
 * A stream's packets arrive at this worker because their tuple's bucket is its own: clients' by the spread of all packets,
 * endpoints' because the stack chose the port for it.
 */
#include "dataplane/worker_priv.h"
#include "l7/rate.h"
#include "l7/tls/hello.h"

#define ETH_LEN 14
#define TIMEWAIT_MS 60000
#define PICK_DRAWS 8
#define NOINLINE __attribute__((noinline)) /* burst (l4.c) draws in what it calls */

enum { UNREACHABLE4 = 3, UNREACHABLE6 = 1, TOO_BIG6 = 2, PARAMETER6 = 4 };

static size_t
lines(size_t bytes)
{
	return (bytes + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

/* ---- packets in ---- */

static void
input(struct sl_worker *w, struct sl_pkt *p, uint64_t hash, uint32_t idx)
{
	p->verdict = SL_VERDICT_CONSUMED;
	p->stream = idx;
	w->stats->consumed++;
	sl_tcp_input(w->tcp, p, hash, idx);
}

NOINLINE unsigned
sl_streams_burst(struct sl_worker *w, struct sl_pkt **pkts, const struct sl_tuple **tuples,
		 unsigned cnt)
{
	const unsigned kind = SL_PKT_TCP | SL_PKT_FRAG;
	uint64_t hash[SL_BURST];
	unsigned left = 0;

	for (unsigned i = 0; i < cnt; i++) {
		if ((pkts[i]->flags & kind) != SL_PKT_TCP)
			continue;
		hash[i] = sl_tcp_hash(w->tcp, tuples[i]);
		sl_tcp_prefetch(w->tcp, hash[i]);
	}
	for (unsigned i = 0; i < cnt; i++)
		if ((pkts[i]->flags & kind) == SL_PKT_TCP)
			sl_tcp_prefetch_entry(w->tcp, hash[i]);
	/* one after the other: a segment changes what the next one finds */
	for (unsigned i = 0; i < cnt; i++) {
		uint32_t idx = SL_TCP_NONE;
		if ((pkts[i]->flags & kind) == SL_PKT_TCP)
			idx = sl_tcp_find(w->tcp, hash[i], tuples[i]);
		if (idx != SL_TCP_NONE) {
			input(w, pkts[i], hash[i], idx);
			continue;
		}
		pkts[left] = pkts[i];
		tuples[left++] = tuples[i];
	}
	return left;
}

NOINLINE bool
sl_streams_ends_here(const struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	if (!(p->flags & SL_PKT_TCP))
		return false;
	if (p->listener != SL_VIEW_NONE)
		return view->listeners[p->listener].mode != SL_MODE_L4;
	const struct sl_local *l = w->tcp ? sl_view_local(view, &p->tuple.dst) : NULL;
	return l && l->kind != SL_LOCAL_VIP;
}

/* What a connection that p opened would get now. */
static void
foresee(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	p->verdict = SL_VERDICT_CONSUMED;
	if (p->listener == SL_VIEW_NONE || (p->tcp_flags & (SL_TCP_SYN | SL_TCP_ACK)) != SL_TCP_SYN)
		return; /* a RST is the answer */
	if (view->listeners[p->listener].mode !=
	    SL_MODE_TCP) /* each request, or name, gets its own */
		return;
	p->service = sl_view_service(view, p->listener);
	const struct sl_service *svc = &view->services[p->service];
	struct sl_choice c = sl_levels_choose(w, view, svc, &p->tuple, true);
	p->service_slot = svc->slot;
	p->why = c.why;
	p->tries = c.tries;
	p->level = c.level;
	p->panic = c.panic;
	if (c.endpoint == UINT32_MAX) {
		sl_l4_drop(w, p, SL_DROP_NO_ENDPOINT);
		return;
	}
	p->endpoint_slot = svc->endpoints[c.endpoint].slot;
	p->endpoint_incarnation = svc->endpoints[c.endpoint].incarnation;
	p->port_out = view->hops[p->endpoint_slot].out_port;
}

NOINLINE void
sl_streams_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (sl_view_ours(view, &p->tuple.src)) {
		sl_l4_drop(w, p, SL_DROP_MARTIAN);
	} else if (!w->tcp) {
		sl_l4_drop(w, p, SL_DROP_NO_LISTENER);
	} else if (p->flags & SL_PKT_FRAG) {
		sl_l4_drop(w, p, SL_DROP_FRAGMENT); /* peers of TCP have no need to */
	} else if (sl_pkt_dry(p)) {
		foresee(w, view, p);
	} else {
		/* a packet before it in the burst may have opened the stream */
		uint64_t hash = sl_tcp_hash(w->tcp, &p->tuple);
		uint32_t idx = sl_tcp_find(w->tcp, hash, &p->tuple);
		if (sl_unlikely(w->shadow) && idx == SL_TCP_NONE && p->listener != SL_VIEW_NONE)
			sl_trial_flow(w, view, p);
		input(w, p, hash, idx);
	}
}

bool
sl_streams_explain(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (!w->tcp || !(p->flags & SL_PKT_TCP))
		return false;
	uint32_t idx = sl_tcp_find(w->tcp, sl_tcp_hash(w->tcp, &p->tuple), &p->tuple);
	if (idx == SL_TCP_NONE)
		return false;
	p->verdict = SL_VERDICT_CONSUMED;
	p->why = SL_WHY_FLOW;
	p->stream = idx;
	if (idx >= w->conf.tcp.streams)
		return true; /* TIME-WAIT has no row */
	const struct sl_stream_row *row =
		(const void *)((const char *)w->conf.tcp.places + idx * sl_tcp_stride());
	if (row->endpoint_slot >= view->hop_cnt ||
	    view->hops[row->endpoint_slot].incarnation != row->incarnation)
		return true;
	p->endpoint_slot = row->endpoint_slot;
	p->endpoint_incarnation = row->incarnation;
	p->service_slot = row->service_slot;
	p->port_out = view->hops[p->endpoint_slot].out_port;
	return true;
}

/* ---- ICMP errors ---- */

/* Whether the error says that nothing will ever be there (RFC 1122, 4.2.3.9; RFC 5461). */
static bool
is_hard(const struct sl_pkt *p, uint8_t type, uint8_t code)
{
	if (p->flags & SL_PKT_V4)
		return type == UNREACHABLE4 && (code == 2 || code == 3);
	return (type == UNREACHABLE6 && (code == 1 || code == 4)) ||
	       (type == PARAMETER6 && code == 1);
}

bool
sl_streams_error(struct sl_worker *w, struct sl_pkt *p)
{
	const struct sl_tuple *t = &p->tuple;
	const uint8_t *icmp = p->data + p->l4_off, *ip = icmp + 8;
	bool v4 = p->flags & SL_PKT_V4;

	if (!w->tcp || t->proto != SL_IPPROTO_TCP || sl_tcp_empty(w->tcp) ||
	    sl_tcp_find(w->tcp, sl_tcp_hash(w->tcp, t), t) == SL_TCP_NONE)
		return false;
	/* we send no extension headers; the quote's own header was read by sl_icmp_error_read */
	unsigned tcp_off = v4 ? (ip[0] & 15) * 4u : 40u;
	if (p->l4_len < 8 + tcp_off + 8 || (!v4 && ip[6] != SL_IPPROTO_TCP)) {
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
		return true;
	}
	bool too_big = v4 ? icmp[0] == UNREACHABLE4 && icmp[1] == 4 : icmp[0] == TOO_BIG6;
	unsigned mtu = v4 ? sl_from_be16(sl_load16(icmp + 6)) : sl_from_be32(sl_load32(icmp + 4));
	sl_tcp_icmp(w->tcp, t, sl_from_be32(sl_load32(ip + tcp_off + 4)), too_big,
		    too_big ? mtu : 0, is_hard(p, icmp[0], icmp[1]));
	w->stats->icmp_error++;
	w->stats->consumed++;
	p->verdict = SL_VERDICT_CONSUMED;
	sl_send_free(w, p->buf);
	return true;
}

/* ---- what the stack needs ---- */

static void *
env_alloc(void *ctx, uint8_t **ret_data)
{
	const struct sl_io *io = &((struct sl_worker *)ctx)->conf.io;

	return io->alloc(io->ctx, ret_data);
}

static void
env_free(void *ctx, void *buf)
{
	sl_send_free(ctx, buf);
}

static void
env_share(void *ctx, void *buf)
{
	const struct sl_io *io = &((struct sl_worker *)ctx)->conf.io;

	io->share(io->ctx, buf);
}

static unsigned
env_refs(void *ctx, void *buf)
{
	const struct sl_io *io = &((struct sl_worker *)ctx)->conf.io;

	return io->refs(io->ctx, buf);
}

/* Asked of the pool once a turn: that is expensive. */
static unsigned
env_held(void *ctx)
{
	struct sl_worker *w = ctx;
	struct sl_streams *s = &w->streams;

	if (s->held_ns != w->now_ns) {
		s->held_ns = w->now_ns;
		s->held = w->conf.io.held(w->conf.io.ctx);
	}
	return s->held;
}

static struct sl_route_cached *
route(struct sl_worker *w, const struct sl_addr *dst)
{
	struct sl_route_cached *c = w->streams.view ? sl_send_route(w, w->streams.view, dst) : NULL;

	return c && c->port < w->conf.port_cnt ? c : NULL;
}

static struct sl_tcp_way
env_way(void *ctx, const struct sl_addr *dst)
{
	struct sl_worker *w = ctx;
	const struct sl_route_cached *c = route(w, dst);

	if (!c)
		return (struct sl_tcp_way){0};
	const struct sl_worker_port *port = &w->ports[c->port];
	return (struct sl_tcp_way){
		.mtu = port->mtu,
		.tso_max = port->tso_max,
		.offload = port->offload,
		.known = 1,
	};
}

/* A port that cuts wants the pseudo header's sum without the length, and makes each IPv4 header's sum itself. */
static void
ready_to_cut(uint8_t *l3, unsigned l3_len, unsigned len)
{
	uint8_t *sum = l3 + l3_len + 16;
	uint32_t without = (uint32_t)sl_from_be16(sl_load16(sum)) + (uint16_t) ~(len - l3_len);

	sl_store16(sum, sl_to_be16((without & 0xffff) + (without >> 16)));
	if (l3_len != 40)
		sl_store16(l3 + 10, 0);
}

static void
env_send(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	struct sl_worker *w = ctx;
	uint8_t *frame = l3 - ETH_LEN;
	bool v4 = l3[0] >> 4 == 4;
	unsigned l3_len = v4 ? (l3[0] & 15) * 4u : 40;

	if (mss == 0)
		offload &= ~(unsigned)SL_OFFLOAD_TSO;
	sl_store16(frame + 12, v4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));
	if (offload & SL_OFFLOAD_TSO)
		ready_to_cut(l3, l3_len, len);
	const struct sl_txd d = {
		.buf = buf,
		.len = (uint16_t)(ETH_LEN + len),
		.offload = (uint8_t)(SL_TXD_AT | offload),
		.l4_off = (uint8_t)(ETH_LEN + l3_len),
		.mss = (uint16_t)mss,
		.at = (uint16_t)w->conf.io.offset(w->conf.io.ctx, buf, frame),
	};
	sl_send_made(w, route(w, dst), d, frame);
}

/* ---- listeners and endpoints, for stack and relay ---- */

/* service: index, or SL_VIEW_NONE: its name says it. */
static void
rule_make(const struct sl_view *view, const struct sl_img_listener *l, uint32_t service,
	  struct sl_relay_rule *ret)
{
	const struct sl_service *s = service == SL_VIEW_NONE ? NULL : &view->services[service];

	*ret = (struct sl_relay_rule){
		.listener_slot = l->slot,
		.service_slot = s ? s->slot : SL_RELAY_BY_NAME,
		.listener_incarnation = (uint16_t)l->incarnation,
		.service_incarnation = s ? (uint16_t)s->incarnation : 0,
		.listener_max = l->max_connections,
		.client_max = l->client_max,
		.proxy_in = l->proxy_in,
		.trust = l->trust_cnt ? view->trust + l->trust_first : NULL,
		.trust_cnt = l->trust_cnt,
		.tls = l->tls ? &view->tls[l->tls - 1] : NULL,
		.tcp = s ? &s->img->tcp : NULL,
	};
}

static bool
rule_of(const struct sl_view *view, uint32_t listener, struct sl_relay_rule *ret)
{
	if (listener == SL_VIEW_NONE)
		return false;
	const struct sl_img_listener *l = &view->listeners[listener];
	if (l->mode != SL_MODE_TCP && l->mode != SL_MODE_PASSTHROUGH)
		return false;
	uint32_t service = l->mode == SL_MODE_TCP ? view->listener_service[listener] : SL_VIEW_NONE;
	rule_make(view, l, service, ret);
	return true;
}

static enum sl_relay_named
env_named(void *ctx, const struct sl_tuple *t, const char *host, struct sl_relay_rule *ret)
{
	const struct sl_view *view = ((struct sl_worker *)ctx)->streams.view;
	uint32_t cnt,
		i = view ? sl_view_listener(view, &t->dst, t->dport, SL_IPPROTO_TCP) : SL_VIEW_NONE;

	if (i == SL_VIEW_NONE || view->listeners[i].mode != SL_MODE_PASSTHROUGH)
		return SL_RELAY_GONE;
	const struct sl_img_sni *names = sl_view_sni(view, i, &cnt);
	uint32_t at = *host ? sl_hello_pick(names, cnt, host) : UINT32_MAX;
	uint32_t service =
		at == UINT32_MAX ? sl_view_service(view, i) : sl_view_sni_service(&names[at]);
	if (service == SL_VIEW_NONE)
		return SL_RELAY_NOBODY;
	rule_make(view, &view->listeners[i], service, ret);
	return at == UINT32_MAX ? SL_RELAY_OWN : SL_RELAY_NAMED;
}

static bool
env_rule(void *ctx, const struct sl_tuple *t, struct sl_relay_rule *ret)
{
	const struct sl_view *view = ((struct sl_worker *)ctx)->streams.view;

	return view &&
	       rule_of(view, sl_view_listener(view, &t->dst, t->dport, SL_IPPROTO_TCP), ret);
}

/* Where it is refused because its client has as many as it may, the log says so: of mode http, too. */
static void
tell_full(struct sl_worker *w, uint32_t listener, const struct sl_tuple *tuple)
{
	const struct sl_img_listener *l = &w->streams.view->listeners[listener];

	if (l->client_max && !l->proxy_in &&
	    sl_clients_full(&w->conf.tcp.limits->clients, l->slot, &tuple->src, l->client_max))
		sl_streams_told(w, listener, tuple, NULL, SL_RF_RL, "max_connections_per_client",
				NULL);
}

static enum sl_tcp_admit
env_admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret_accept)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;
	struct sl_relay_rule rule;
	enum sl_tcp_admit a;

	if (!view)
		return SL_ADMIT_NO;
	uint32_t i = sl_view_listener(view, &p->tuple.dst, p->tuple.dport, SL_IPPROTO_TCP);
	if (rule_of(view, i, &rule))
		a = sl_relay_admit(w->streams.relay, &rule, &p->tuple.src, ret_accept);
	else
		a = sl_requests_admit(w, &p->tuple, ret_accept);
	if (a == SL_ADMIT_NO)
		return a;
	struct sl_stats_listener *l = &w->listener_stats[view->listeners[i].slot];
	if (a == SL_ADMIT_REFUSE) {
		l->refused++;
		tell_full(w, i, &p->tuple);
	} else if (a == SL_ADMIT_YES && (p->tcp_flags & SL_TCP_SYN))
		l->new_flows++;
	return a;
}

uint32_t
sl_streams_service(struct sl_worker *w, uint32_t slot)
{
	return sl_view_service_at(w->streams.view, slot);
}

uint32_t
sl_streams_listener(struct sl_worker *w, uint32_t slot)
{
	return sl_view_listener_at(w->streams.view, slot);
}

/* Whether there was one but for endpoint_connections. */
static SL_COLD bool
is_somebody(const struct sl_service *svc, const struct sl_choose_ctx *choose,
	    const struct sl_tuple *client, const uint32_t *avoid, unsigned avoid_cnt)
{
	struct sl_choose_ctx ctx = *choose;

	ctx.conn_max = 0;
	ctx.dry = true;
	return sl_choose_other(svc, &ctx, client, avoid, avoid_cnt).endpoint != UINT32_MAX;
}

/* The policy's choice among those that were not tried and have room; one without a way there is passed over. */
static const struct sl_img_endpoint *
pick_endpoint(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	      const struct sl_tuple *client, const uint32_t *tried, unsigned tried_cnt,
	      bool *ret_full)
{
	struct sl_choose_ctx ctx = sl_levels_ctx(w, view, svc, false);
	uint32_t avoid[SL_RELAY_TRIES + PICK_DRAWS], source_cnt;
	unsigned cnt = SL_MIN(tried_cnt, (unsigned)SL_RELAY_TRIES);

	*ret_full = false;
	ctx.open = w->conf.tcp.limits->endpoint;
	ctx.conn_max = svc->img->tcp.endpoint_connections;
	memcpy(avoid, tried, cnt * sizeof(avoid[0]));
	for (unsigned n = 0; n < PICK_DRAWS; n++) {
		struct sl_choice c = sl_choose_other(svc, &ctx, client, avoid, cnt);
		if (c.endpoint == UINT32_MAX && sl_levels_again(w, view, svc, &ctx))
			continue;
		if (c.endpoint == UINT32_MAX) {
			*ret_full = ctx.conn_max && is_somebody(svc, &ctx, client, avoid, cnt);
			return NULL;
		}
		const struct sl_img_endpoint *e = &svc->endpoints[c.endpoint];
		if (sl_view_source(view, &view->hops[e->slot], &source_cnt))
			return e;
		avoid[cnt++] = e->slot;
	}
	return NULL;
}

static bool
env_pick(void *ctx, const struct sl_tuple *client, uint32_t service_slot,
	 uint16_t service_incarnation, const uint32_t *avoid, unsigned avoid_cnt,
	 struct sl_relay_pick *ret)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;

	if (!view)
		return false;
	uint32_t place = sl_view_service_at(view, service_slot);
	if (place == 0 || view->services[place - 1].forward != SL_FORWARD_PROXY ||
	    (uint16_t)view->services[place - 1].incarnation != service_incarnation)
		return false;
	const struct sl_service *svc = &view->services[place - 1];
	const struct sl_img_endpoint *e =
		pick_endpoint(w, view, svc, client, avoid, avoid_cnt, &ret->full);
	if (!e) {
		w->service_stats[service_slot].no_endpoint += avoid_cnt == 0 && !ret->full;
		return false;
	}
	*ret = (struct sl_relay_pick){
		.addr = e->addr,
		.port = e->port_be ? e->port_be : client->dport,
		.incarnation = (uint16_t)e->incarnation,
		.endpoint_slot = e->slot,
		.tls = sl_view_service_tls(view, place - 1),
		.endpoint_max = svc->img->tcp.endpoint_connections,
	};
	ret->sources = sl_view_source(view, &view->hops[e->slot], &ret->source_cnt);
	return true;
}

void
sl_streams_began(void *worker, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	struct sl_worker *w = worker;

	sl_tally_insert(w, endpoint_slot, incarnation, service_slot, false);
	w->endpoint_stats[endpoint_slot].new_flows++;
	w->service_stats[service_slot].new_flows++;
}

void
sl_streams_ended(void *worker, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	struct sl_worker *w = worker;

	sl_tally_close(w, endpoint_slot, incarnation);
	w->endpoint_stats[endpoint_slot].connect_failed += failed;
}

static void
env_moved(void *ctx, uint32_t endpoint_slot, uint32_t listener_slot, uint64_t to, uint64_t from)
{
	struct sl_worker *w = ctx;

	w->endpoint_stats[endpoint_slot].bytes += to;
	w->endpoint_stats[endpoint_slot].reply_bytes += from;
	w->listener_stats[listener_slot].bytes += to;
}

static bool
env_lives(void *ctx, uint32_t listener_slot, uint16_t listener_incarnation, uint32_t endpoint_slot,
	  uint16_t incarnation)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;

	if (!view)
		return true;
	uint32_t place = sl_view_listener_at(view, listener_slot);
	if (place == 0)
		return false;
	const struct sl_img_listener *l = &view->listeners[place - 1];
	if ((l->mode != SL_MODE_TCP && l->mode != SL_MODE_PASSTHROUGH) ||
	    l->incarnation != listener_incarnation)
		return false;
	if (endpoint_slot >= view->hop_cnt || view->hops[endpoint_slot].incarnation != incarnation)
		return false;
	return sl_choose_serves(sl_state_refusal(&w->conf.states[endpoint_slot], incarnation));
}

const struct sl_img_bandwidth *
sl_streams_bandwidth(void *worker, uint32_t service_slot, uint16_t incarnation)
{
	struct sl_worker *w = worker;
	const struct sl_view *view = w->streams.view;

	if (sl_likely(!view || !view->shaped))
		return NULL;
	uint32_t place = sl_streams_service(w, service_slot);
	if (place == 0 || (uint16_t)view->services[place - 1].incarnation != incarnation)
		return NULL;
	return &view->services[place - 1].img->bandwidth;
}

/* ---- the turn ---- */

void
sl_streams_begin(struct sl_worker *w, const struct sl_view *view)
{
	w->streams.view = view;
	sl_tcp_begin(w->tcp, w->now_ns);
}

unsigned
sl_streams_run(struct sl_worker *w)
{
	unsigned more = w->tls && sl_tls_tick(w->tls);

	sl_streams_limits_tick(w);
	sl_relay_tick(w->streams.relay);
	more += w->requests && sl_requests_tick(w);
	return more + sl_tcp_run(w->tcp);
}

void
sl_streams_reset(struct sl_worker *w)
{
	sl_relay_drop_all(w->streams.relay);
	if (w->requests)
		sl_requests_reset(w);
}

void
sl_streams_gauges(struct sl_worker *w)
{
	struct sl_stats_tcp *s = &w->stats->tcp;
	struct sl_tcp_usage u;

	sl_tcp_usage(w->tcp, &u);
	s->streams = u.streams;
	s->half_open = u.half_open;
	s->timewait = u.timewait;
	s->segs = u.segs;
	s->blocks = u.blocks;
	s->pinned = u.pinned;
}

/* ---- beginning and end ---- */

static struct sl_tcp_conf
stack_conf(const struct sl_worker_tcp *c)
{
	return (struct sl_tcp_conf){
		.capacity = c->streams,
		.timewait_cnt = c->timewait_cnt,
		.half_open_max = c->half_open_max,
		.seg_cnt = c->seg_cnt,
		.block_cnt = c->block_cnt,
		.pinned_max = c->pinned_max,
		.rcv_max = c->rcv_max,
		.snd_max = c->snd_max,
		.timewait_ms = TIMEWAIT_MS,
	};
}

size_t
sl_worker_tcp_bytes(const struct sl_worker_tcp *tcp)
{
	const struct sl_tcp_conf conf = stack_conf(tcp);
	size_t stack = sl_tcp_bytes(&conf);

	return stack ? lines(stack) + lines(sl_rates_bytes()) + sl_relay_bytes(tcp->streams / 2)
		     : 0;
}

/* Without it (sessions 0; main has seen to it that the CPU does) listeners with TLS take nobody. */
static void
start_tls(struct sl_worker *w)
{
	const struct sl_worker_tls *c = &w->conf.tls;
	const struct sl_tls_conf conf = {
		.sessions = c->sessions,
		.handshakes = c->handshakes,
		.jobs = c->jobs,
		.keys = c->keys,
		.peer_kb = c->peer_kb,
		.tcp = w->tcp,
		.steps = c->steps,
		.now_s = c->now_s,
		.stats = &w->stats->tls,
	};
	const char *why;

	w->tls = c->sessions ? sl_tls_init(c->mem, &conf, &why) : NULL;
}

void
sl_streams_start(struct sl_worker *w)
{
	const struct sl_worker_tcp *c = &w->conf.tcp;
	struct sl_stats_tcp *s = &w->stats->tcp;
	struct sl_tcp_conf conf = stack_conf(c);
	uint8_t *rates_mem = (uint8_t *)c->mem + lines(sl_tcp_bytes(&conf));
	uint8_t *relay_mem = rates_mem + lines(sl_rates_bytes());

	conf.worker = w->conf.id;
	conf.rss = w->conf.rss;
	conf.seed = w->conf.seed ^ (w->conf.id + 1) * 0xda942042e4dd58b5ull;
	conf.env = (struct sl_tcp_env){
		.ctx = w,
		.alloc = env_alloc,
		.free = env_free,
		.share = env_share,
		.refs = env_refs,
		.held = env_held,
		.way = env_way,
		.send = env_send,
		.admit = env_admit,
	};
	conf.stats = s;
	conf.streams = c->places;
	conf.context = relay_mem; /* where sl_relay_init makes it */
	w->tcp = sl_tcp_init(c->mem, &conf);
	start_tls(w);
	sl_streams_limits_start(w, rates_mem);
	const struct sl_relay_conf relay = {
		.capacity = c->streams / 2,
		.tcp = w->tcp,
		.tls = w->tls,
		.limits = c->limits,
		.env = {w, env_rule, env_pick, sl_streams_began, sl_streams_ended, env_moved,
			env_lives, env_named, sl_streams_passes, sl_streams_allowed,
			sl_streams_bandwidth},
		.stats = s,
		.tls_stats = &w->stats->tls,
	};
	w->streams.relay = sl_relay_init(relay_mem, &relay);
	s->stream_capacity = c->streams;
	s->half_open_max = c->half_open_max;
	s->timewait_capacity = c->timewait_cnt;
	s->seg_capacity = c->seg_cnt;
	s->block_capacity = c->block_cnt;
	s->pinned_max = c->pinned_max;
	if (w->conf.http.exchanges)
		sl_requests_start(w);
}

void
sl_streams_end(struct sl_worker *w)
{
	sl_relay_fini(w->streams.relay);
	if (w->requests)
		sl_requests_end(w);
	if (w->tls)
		sl_tls_fini(w->tls);
	sl_tcp_fini(w->tcp);
}

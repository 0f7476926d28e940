/* send — the last steps of a packet: next hop's address, staging, transmit; buffers back.
 *
 * A packet whose next hop has no link-layer address yet waits (at most SL_HELD_NS); worker 0 is asked to
 * resolve it.  A port whose transmit queue belongs to another worker is reached over that worker's ring.
 */
#include "dataplane/worker_priv.h"

#include "dataplane/frag.h"
#include "dataplane/icmp_error.h"

#define ETH_LEN 14u
#define TX_AGAIN 8
#define IP4_DF 0x40 /* of byte 6 */
#define IP4_MIN_MTU 68
#define IP6_MIN_MTU 1280

static const struct sl_addr none;

void
sl_send_free_flush(struct sl_worker *w)
{
	if (w->free_cnt)
		w->conf.io.free(w->conf.io.ctx, w->free_bufs, w->free_cnt);
	w->free_cnt = 0;
}

void
sl_send_free(struct sl_worker *w, void *buf)
{
	if (w->free_cnt == SL_TX_STAGE)
		sl_send_free_flush(w);
	w->free_bufs[w->free_cnt++] = buf;
}

static void
drop_tx(struct sl_worker *w, const struct sl_txd *d, unsigned n, enum sl_drop why)
{
	w->stats->drop[why] += n;
	w->stats->dropped += n;
	for (unsigned i = 0; i < n; i++)
		sl_send_free(w, d[i].buf);
}

/* Streams send what their windows allow at once, more than a queue may hold: where it drains as it is filled, it is filled
 * again.  Up to the first packet that is not a stream's: that one has grown already (worker.h, tx).  How many more were
 * taken. */
SL_COLD static unsigned
insist(struct sl_worker *w, unsigned port, const struct sl_txd *d, unsigned n)
{
	unsigned sent = 0, more = 1, end = 0;

	while (end < n && (d[end].offload & SL_TXD_AT))
		end++;
	for (unsigned i = 0; i < TX_AGAIN && more && sent < end; i++, sent += more)
		more = w->conf.io.tx(w->conf.io.ctx, port, d + sent, end - sent);
	return sent;
}

static void
transmit(struct sl_worker *w, unsigned port, const struct sl_txd *d, unsigned n)
{
	uint64_t bytes = 0;

	if (sl_unlikely(w->ports[port].gone)) {
		drop_tx(w, d, n, SL_DROP_PORT_GONE);
		return;
	}
	unsigned sent = w->conf.io.tx(w->conf.io.ctx, port, d, n);

	if (sl_unlikely(sent < n && w->tcp))
		sent += insist(w, port, d + sent, n - sent);

	for (unsigned i = 0; i < sent; i++)
		bytes += d[i].len;
	w->port_stats[port].tx_packets += sent;
	w->port_stats[port].tx_bytes += bytes;
	if (sl_unlikely(sent < n)) {
		w->port_stats[port].tx_full += n - sent;
		drop_tx(w, d + sent, n - sent, SL_DROP_TX_FULL);
	}
}

static __attribute__((noinline)) void
flush_port(struct sl_worker *w, unsigned port)
{
	struct sl_tx_stage *s = &w->tx[port];
	unsigned n = s->cnt, owner = w->ports[port].tx_worker;

	s->cnt = 0;
	w->stats->tx_packets += n;
	for (unsigned i = 0; i < n; i++)
		w->stats->tx_bytes += s->d[i].len;
	if (owner == w->conf.id) {
		transmit(w, port, s->d, n);
		return;
	}
	unsigned put = sl_ring_put(w->conf.tx_out[owner], s->d, n);
	if (sl_unlikely(put < n))
		drop_tx(w, s->d + put, n - put, SL_DROP_TX_FULL);
}

void
sl_send_flush(struct sl_worker *w)
{
	for (unsigned i = 0; i < w->conf.port_cnt; i++)
		if (w->tx[i].cnt)
			flush_port(w, i);
}

static inline void
stage(struct sl_worker *w, struct sl_txd d)
{
	struct sl_tx_stage *s = &w->tx[d.port];

	if (sl_unlikely(s->cnt == SL_TX_STAGE))
		flush_port(w, d.port);
	s->d[s->cnt++] = d;
}

void
sl_send_stage(struct sl_worker *w, unsigned port, void *buf, unsigned len, unsigned grown)
{
	stage(w, (struct sl_txd){.buf = buf,
				 .len = (uint16_t)len,
				 .port = (uint16_t)port,
				 .grown = (uint16_t)grown});
}

/* Each run of packets for one port goes to it at once. */
static void
transmit_runs(struct sl_worker *w, const struct sl_txd *d, unsigned n)
{
	for (unsigned a = 0, b; a < n; a = b) {
		for (b = a + 1; b < n && d[b].port == d[a].port; b++)
			;
		transmit(w, d[a].port, d + a, b - a);
	}
}

unsigned
sl_send_forwarded(struct sl_worker *w)
{
	unsigned done = 0;

	for (unsigned i = 0; i < w->conf.worker_cnt; i++) {
		struct sl_ring *r = w->conf.tx_in[i];
		unsigned n = SL_TX_STAGE;
		/* A peer can put several bursts in a turn: those of its ports and of its own peers. */
		for (unsigned k = 0; r && n == SL_TX_STAGE && k < SL_TX_ROUNDS; k++) {
			struct sl_txd d[SL_TX_STAGE];
			n = sl_ring_take(r, d, SL_TX_STAGE);
			transmit_runs(w, d, n);
			done += n;
		}
	}
	return done;
}

bool
sl_send_msg(struct sl_worker *w, unsigned to, struct sl_msg *m)
{
	m->from = (uint8_t)w->conf.id;
	if (sl_unlikely(sl_ring_put(w->conf.msg_out[to], m, 1) != 1)) {
		w->stats->msg_lost++;
		return false;
	}
	w->stats->msg_sent++;
	return true;
}

/* ---- waiting for a neighbour ---- */

/* false: too many wait already, the frame is still the caller's. */
SL_COLD static bool
keep(struct sl_worker *w, const struct sl_txd *d, const struct sl_addr *next, uint8_t *frame)
{
	unsigned same = 0;

	for (unsigned i = 0; i < w->held_cnt; i++)
		same += w->held[i].txd.port == d->port && sl_addr_eq(&w->held[i].next, next);
	if (same == 0)
		sl_local_want(w, d->port, next);
	if (w->held_cnt == SL_HELD_MAX || same == SL_HELD_PER_HOP)
		return false;
	w->held[w->held_cnt++] =
		(struct sl_held){.txd = *d, .next = *next, .data = frame, .since_ns = w->now_ns};
	return true;
}

SL_COLD static void
hold(struct sl_worker *w, struct sl_pkt *p, unsigned port, const struct sl_addr *next)
{
	const struct sl_txd d = {
		.buf = p->buf, .len = p->len, .port = (uint16_t)port, .grown = p->grown};

	p->verdict = SL_VERDICT_HELD;
	if (!sl_pkt_dry(p) && !keep(w, &d, next, p->data))
		sl_l4_drop(w, p, SL_DROP_NEIGH_QUEUE);
}

void
sl_send_held(struct sl_worker *w)
{
	if (w->held_cnt == 0 || w->now_ns - w->held_look_ns < SL_HELD_LOOK_NS)
		return;
	w->held_look_ns = w->now_ns;
	unsigned kept = 0;
	for (unsigned i = 0; i < w->held_cnt; i++) {
		struct sl_held *h = &w->held[i];
		unsigned port = h->txd.port;
		uint32_t n = sl_neigh_find(w->conf.neigh, h->txd.port, &h->next);
		uint8_t mac[6];
		if (n != SL_NEIGH_NONE &&
		    sl_neigh_mac(w->conf.neigh, n, h->txd.port, &h->next, mac)) {
			memcpy(h->data, mac, 6);
			memcpy(h->data + 6, w->ports[port].mac, 6);
			w->stats->forwarded++;
			stage(w, h->txd);
		} else if (w->now_ns - h->since_ns >= SL_HELD_NS) {
			drop_tx(w, &h->txd, 1, SL_DROP_NEIGH_PENDING);
		} else {
			w->held[kept++] = *h;
		}
	}
	w->held_cnt = kept;
}

/* ---- next hop ---- */

/* The sender is told, out of the port that p came by. */
static void
tell_too_big(struct sl_worker *w, struct sl_pkt *p, unsigned mtu)
{
	enum sl_drop why = SL_DROP_TOO_BIG;
	uint8_t *frame;

	if (sl_pkt_dry(p)) {
		sl_l4_drop(w, p, why);
		return;
	}
	if (!sl_local_allowed(w, &w->too_big_ns)) {
		sl_l4_drop(w, p, SL_DROP_ICMP_LIMIT);
		return;
	}
	void *buf = w->conf.io.alloc(w->conf.io.ctx, &frame);
	unsigned len = buf ? sl_icmp_too_big(p, (uint16_t)mtu, frame) : 0;
	if (len) {
		w->stats->icmp_too_big++;
		sl_send_stage(w, p->port_in, buf, len, 0);
	} else if (buf) {
		sl_send_free(w, buf);
		why = SL_DROP_MTU;
	} else {
		why = SL_DROP_NO_BUFFER;
	}
	sl_l4_drop(w, p, why);
}

/* IPv6 and DF: the sender must send less (RFC 1191, 8201).  Every IPv6 link takes 1280 bytes, so no less can be asked
 * (RFC 2473, 7.1), and what is no longer than that and does not fit is lost. */
SL_COLD static enum sl_fit
too_long(struct sl_worker *w, struct sl_pkt *p, int takes)
{
	bool v4 = p->flags & SL_PKT_V4;
	int len = p->len - p->l3_off;

	if (takes >= IP4_MIN_MTU && v4 && !(p->data[p->l3_off + 6] & IP4_DF))
		return SL_FIT_PIECES;
	int tell = v4 ? takes : SL_MAX(takes, IP6_MIN_MTU);
	if (len > tell && tell >= IP4_MIN_MTU)
		tell_too_big(w, p, (unsigned)tell);
	else
		sl_l4_drop(w, p, SL_DROP_MTU);
	return SL_FIT_NOT;
}

unsigned
sl_send_tunnel_mtu(const struct sl_worker *w, const struct sl_hop *hop, uint32_t slot)
{
	unsigned mtu = w->ports[hop->out_port].mtu;
	unsigned learned =
		w->conf.paths ? sl_path_mtu(w->conf.paths, slot, hop->incarnation, w->now_q) : 0;

	return learned ? SL_MIN(mtu, learned) : mtu;
}

/* Of outer packets for hop, `more` bytes longer than p.  Senders of IPv6 need not go below 1280 bytes, whatever the way
 * says: a lie about it must not cost them anything. */
static unsigned
tunnel_takes(const struct sl_worker *w, const struct sl_pkt *p, const struct sl_hop *hop,
	     unsigned more)
{
	unsigned mtu = w->ports[hop->out_port].mtu;

	if (sl_likely((unsigned)(p->len - p->l3_off) <= SL_PATH_SMALL))
		return mtu;
	unsigned takes = sl_send_tunnel_mtu(w, hop, p->endpoint_slot);
	if (!(p->flags & SL_PKT_V4))
		takes = SL_MAX(takes, IP6_MIN_MTU + more);
	return SL_MIN(takes, mtu);
}

/* Whether p may grow by `more` bytes and go out of the port. */
static enum sl_fit
fit(struct sl_worker *w, struct sl_pkt *p, unsigned takes, unsigned more)
{
	if (sl_likely(p->len - p->l3_off + more <= takes))
		return SL_FIT_WHOLE;
	return too_long(w, p, (int)takes - (int)more);
}

enum sl_fit
sl_send_fit(struct sl_worker *w, struct sl_pkt *p, unsigned port)
{
	if (sl_likely(port < w->conf.port_cnt))
		return fit(w, p, w->ports[port].mtu, 0);
	sl_l4_drop(w, p, SL_DROP_NO_ROUTE);
	return SL_FIT_NOT;
}

enum sl_fit
sl_send_fit_hop(struct sl_worker *w, struct sl_pkt *p, const struct sl_hop *hop, uint8_t mode)
{
	if (mode < SL_FORWARD_IPIP || sl_unlikely(hop->out_port >= w->conf.port_cnt))
		return sl_send_fit(w, p, hop->out_port);
	unsigned more = sl_encap_bytes(mode, hop->family == 4);
	return fit(w, p, tunnel_takes(w, p, hop, more), more);
}

/* The MAC of next, whose place in the neighbour table is *neigh unless that is stale; false: not known yet. */
static inline bool
mac_of(const struct sl_worker *w, unsigned port, const struct sl_addr *next, uint32_t *neigh,
       uint8_t mac[6])
{
	if (sl_likely(sl_neigh_mac(w->conf.neigh, *neigh, (uint16_t)port, next, mac)))
		return true;
	*neigh = sl_neigh_find(w->conf.neigh, (uint16_t)port, next);
	return sl_neigh_mac(w->conf.neigh, *neigh, (uint16_t)port, next, mac);
}

/* Out of `port` to next, whose place in the neighbour table is hint unless that is stale; the place found. */
static uint32_t
out(struct sl_worker *w, struct sl_pkt *p, unsigned port, const struct sl_addr *next, uint32_t hint)
{
	uint32_t neigh = hint;
	uint8_t mac[6];
	bool known = mac_of(w, port, next, &neigh, mac);

	p->port_out = (uint16_t)port;
	p->neigh = neigh;
	if (sl_unlikely(!known)) {
		hold(w, p, port, next);
		return neigh;
	}
	p->verdict = SL_VERDICT_FORWARD;
	sl_rewrite_mac(p, mac, w->ports[port].mac);
	if (sl_unlikely(sl_pkt_dry(p)))
		return neigh;
	sl_neigh_used(w->conf.neigh, neigh, w->now_ns);
	w->stats->forwarded++;
	sl_send_stage(w, port, p->buf, p->len, p->grown);
	return neigh;
}

/* Cuts p, whose TTL has been decremented, into pieces that fit; in a tunnel (hop) each gets its header.  The place of
 * next in the neighbour table. */
SL_COLD static uint32_t
cut(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, unsigned port,
    const struct sl_addr *next, uint32_t hint, const struct sl_hop *hop, uint8_t mode)
{
	unsigned more = hop ? sl_encap_bytes(mode, hop->family == 4) : 0;
	unsigned each = (hop ? tunnel_takes(w, p, hop, more) : w->ports[port].mtu) - more;

	for (unsigned n = 0;; n++) {
		struct sl_pkt piece = *p;
		piece.grown = 0;
		piece.buf = w->conf.io.alloc(w->conf.io.ctx, &piece.data);
		if (!piece.buf) {
			sl_l4_drop(w, p, SL_DROP_NO_BUFFER);
			return hint;
		}
		unsigned len = sl_frag_split(p, each, n, piece.data);
		if (len == 0) {
			sl_send_free(w, piece.buf);
			break;
		}
		piece.len = (uint16_t)len;
		if (hop)
			sl_tunnel_wrap(view, &piece, hop, mode);
		w->stats->frag_made++;
		hint = out(w, &piece, port, next, hint);
	}
	p->verdict = SL_VERDICT_FORWARD;
	p->port_out = (uint16_t)port;
	w->stats->consumed++; /* the pieces are counted as forwarded */
	sl_send_free(w, p->buf);
	return hint;
}

void
sl_send_hop(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_hop *hop,
	    uint8_t mode, enum sl_fit fit)
{
	bool tunnel = mode >= SL_FORWARD_IPIP && !sl_pkt_dry(p);
	/* Relaxed: a hint is complete in itself and checked at use.  Any worker may write it, all write the
	 * same. */
	uint32_t hint = __atomic_load_n((uint32_t *)&hop->neigh, __ATOMIC_RELAXED);
	uint32_t found;

	sl_rewrite_ttl(p);
	if (sl_unlikely(fit == SL_FIT_PIECES && !sl_pkt_dry(p))) {
		found = cut(w, view, p, hop->out_port, &hop->next, hint, tunnel ? hop : NULL, mode);
	} else {
		if (tunnel)
			sl_tunnel_wrap(view, p, hop, mode);
		found = out(w, p, hop->out_port, &hop->next, hint);
	}
	if (sl_unlikely(found != hint))
		__atomic_store_n((uint32_t *)&hop->neigh, found, __ATOMIC_RELAXED);
}

/* Where packets to dst go, remembered per worker until the next generation. */
struct sl_route_cached *
sl_send_route(struct sl_worker *w, const struct sl_view *view, const struct sl_addr *dst)
{
	uint64_t mix = sl_load64(dst->b) ^ sl_load64(dst->b + 8);
	mix *= 0x9e3779b97f4a7c15ull;
	struct sl_route_cached *c = &w->routes[mix >> 56 & (SL_ROUTES_CACHED - 1)];

	if (sl_likely(c->generation == view->generation && sl_addr_eq(&c->dst, dst)))
		return c;
	const struct sl_fib_hop *h = sl_fib_find(view->fib, dst);
	if (!h)
		return NULL;
	*c = (struct sl_route_cached){
		.dst = *dst,
		.next = sl_addr_eq(&h->via, &none) ? *dst : h->via,
		.generation = view->generation,
		.neigh = SL_NEIGH_NONE,
		.port = h->port,
	};
	return c;
}

void
sl_send_routed(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
	       struct sl_route_cached *c, enum sl_fit fit)
{
	sl_rewrite_ttl(p);
	if (sl_unlikely(fit == SL_FIT_PIECES && !sl_pkt_dry(p)))
		c->neigh = cut(w, view, p, c->port, &c->next, c->neigh, NULL, 0);
	else
		c->neigh = out(w, p, c->port, &c->next, c->neigh);
}

/* Fills in c->macs for this turn.  false: not known yet. */
static __attribute__((noinline)) bool
look_up_macs(struct sl_worker *w, struct sl_route_cached *c)
{
	if (!mac_of(w, c->port, &c->next, &c->neigh, c->macs))
		return false;
	memcpy(c->macs + 6, w->ports[c->port].mac, 6);
	sl_neigh_used(w->conf.neigh, c->neigh, w->now_ns);
	c->turn = w->stats->turns + 1;
	return true;
}

/* Apart from the usual case, in which d then never is in memory but where it is staged. */
SL_COLD static void
drop_made(struct sl_worker *w, struct sl_txd d, enum sl_drop why)
{
	drop_tx(w, &d, 1, why);
}

SL_COLD static void
wait_made(struct sl_worker *w, const struct sl_route_cached *c, struct sl_txd d, uint8_t *frame)
{
	if (!keep(w, &d, &c->next, frame))
		drop_tx(w, &d, 1, SL_DROP_NEIGH_QUEUE);
}

void
sl_send_made(struct sl_worker *w, struct sl_route_cached *c, struct sl_txd d, uint8_t *frame)
{
	w->stats->made++;
	if (sl_unlikely(!c)) {
		drop_made(w, d, SL_DROP_NO_ROUTE);
		return;
	}
	d.port = c->port;
	/* The way may have changed since the packet was cut to size. */
	if (sl_unlikely(d.len > w->ports[d.port].mtu + ETH_LEN && !(d.offload & SL_OFFLOAD_TSO))) {
		drop_made(w, d, SL_DROP_MTU);
	} else if (sl_unlikely(c->turn != w->stats->turns + 1 && !look_up_macs(w, c))) {
		wait_made(w, c, d, frame);
	} else {
		memcpy(frame, c->macs, 12);
		w->stats->forwarded++;
		stage(w, d);
	}
}

/* local — what is addressed to the gateway itself: ARP and ND (worker 0), echo requests; and worker 0's
 * housekeeping of the neighbour table. */
#include "dataplane/worker_priv.h"

#include "dataplane/icmp.h"

static void
consumed(struct sl_worker *w, struct sl_pkt *p)
{
	p->verdict = SL_VERDICT_CONSUMED;
	w->stats->consumed++;
	sl_send_free(w, p->buf);
}

static void
reply(struct sl_worker *w, struct sl_pkt *p, unsigned len)
{
	p->verdict = SL_VERDICT_REPLY;
	p->port_out = p->port_in;
	w->stats->consumed++;
	sl_send_stage(w, p->port_in, p->buf, len, p->grown);
}

/* Whether addr is on the link of port: strangers' addresses are not learned. */
static bool
on_link(const struct sl_view *view, unsigned port, const struct sl_addr *addr)
{
	for (uint32_t i = 0; i < view->address_cnt; i++)
		if (view->address_port[i] == port &&
		    sl_addr_in(addr, &view->addresses[i].addr, view->addresses[i].plen))
			return true;
	return false;
}

static bool
link_local(const struct sl_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Read here, and the kernel's to read, too. */
static void
for_kernel(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (!sl_punt_take(w, view, p))
		consumed(w, p);
}

void
sl_local_arp_nd(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	struct sl_neigh_msg m;
	unsigned why = sl_neigh_parse(p, &m);

	SL_ASSERT(w->conf.id == 0); /* who writes the table */

	/* ICMP_IGNORED: router advertisements and the like */
	if (why != SL_DROP_NONE) {
		if (why != SL_DROP_ICMP_IGNORED || !sl_punt_take(w, view, p))
			sl_l4_drop(w, p, (enum sl_drop)why);
		return;
	}
	const bool mine = view && sl_view_ours(view, &m.target);
	if (!m.request) {
		if (m.has_mac)
			sl_neigh_heard(w->conf.neigh, p->port_in, &m.sender, m.mac, m.solicited,
				       false, w->now_ns);
		for_kernel(w, view, p);
		return;
	}
	if (!mine) {
		for_kernel(w, view, p);
		return;
	}
	bool learn = m.has_mac && !m.dad &&
		     (on_link(view, p->port_in, &m.sender) || link_local(&m.sender));
	if (learn)
		sl_neigh_heard(w->conf.neigh, p->port_in, &m.sender, m.mac, false, true, w->now_ns);
	reply(w, p, sl_neigh_answer(p, &m, w->ports[p->port_in].mac));
}

bool
sl_local_allowed(const struct sl_worker *w, uint64_t *spent_ns)
{
	const uint64_t each = 1000000000ull / SL_ICMP_PER_S, depth = 100 * each;

	if (*spent_ns + depth < w->now_ns)
		*spent_ns = w->now_ns - depth;
	if (*spent_ns > w->now_ns)
		return false;
	*spent_ns += each;
	return true;
}

void
sl_local_echo(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (sl_pkt_dry(p))
		return;
	enum sl_drop why = SL_DROP_NO_TABLE;
	if (view)
		why = sl_view_ours(view, &p->tuple.dst) ? sl_icmp_echo(p) : SL_DROP_NOT_OURS;
	if (why == SL_DROP_NONE && !sl_local_allowed(w, &w->echo_ns))
		why = SL_DROP_ICMP_LIMIT;
	bool not_ours =
		why == SL_DROP_NO_TABLE || why == SL_DROP_NOT_OURS || why == SL_DROP_ICMP_IGNORED;
	if (why == SL_DROP_NONE)
		reply(w, p, p->len);
	else if (!not_ours || !sl_punt_take(w, view, p))
		sl_l4_drop(w, p, why);
}

/* ---- neighbour table, worker 0 ---- */

/* Our address on the port, of the family, in the same prefix when there is one; NULL: none. */
static const struct sl_addr *
my_address(const struct sl_view *view, unsigned port, const struct sl_addr *peer)
{
	const struct sl_addr *any = NULL;

	for (uint32_t i = 0; i < view->address_cnt; i++) {
		const struct sl_img_address *a = &view->addresses[i];
		if (view->address_port[i] != port || sl_addr_is_v4(&a->addr) != sl_addr_is_v4(peer))
			continue;
		if (sl_addr_in(peer, &a->addr, a->plen))
			return &a->addr;
		any = &a->addr;
	}
	return any;
}

struct ask_ctx {
	struct sl_worker *w;
	const struct sl_view *view;
};

static void
ask(void *ctx, uint16_t port, const struct sl_addr *addr, const uint8_t *mac)
{
	struct sl_worker *w = ((struct ask_ctx *)ctx)->w;
	const struct sl_addr *me = my_address(((struct ask_ctx *)ctx)->view, port, addr);
	uint8_t *frame;

	if (!me || port >= w->conf.port_cnt)
		return;
	void *buf = w->conf.io.alloc(w->conf.io.ctx, &frame);
	if (!buf) {
		w->stats->drop[SL_DROP_NO_BUFFER]++;
		w->stats->dropped++;
		return;
	}
	unsigned len = sl_neigh_build_request(frame, w->ports[port].mac, me, addr, mac);
	sl_send_stage(w, port, buf, len, 0);
}

/* Those that the view before did not have; all of them when that was not pinned to its end, and within SL_PIN_ALL_NS: until
 * then what is gone stays pinned.  A pass over all goes on with the next view, or it would not end where views come fast. */
static void
pin_begin(struct sl_worker *w, const struct sl_view *view)
{
	bool going = w->pin_next < w->pin_cnt;
	bool follows = view->fresh && view->follows == w->pin_generation;

	w->pin_generation = view->generation;
	if (going && w->pin_all) {
		w->pin_cnt = view->hop_cnt;
		w->pin_again = true;
		return;
	}
	w->pin_all =
		going || w->pin_again || !follows || w->now_ns - w->pin_all_ns >= SL_PIN_ALL_NS;
	w->pin_next = 0;
	w->pin_cnt = w->pin_all ? view->hop_cnt : view->fresh_cnt;
	if (!w->pin_all)
		return;
	w->pin_all_ns = w->now_ns;
	w->pin_again = false;
	sl_neigh_unpin_all(w->conf.neigh);
}

/* The next hops of a view are pinned and resolved ahead of traffic, a few each turn. */
static void
pin_next_hops(struct sl_worker *w, const struct sl_view *view)
{
	for (unsigned i = 0; i < SL_PINS_PER_TURN && w->pin_next < w->pin_cnt; i++) {
		uint32_t at = w->pin_next++;
		struct sl_hop *hop = &view->hops[w->pin_all ? at : view->fresh[at]];
		if (hop->incarnation == 0 || hop->out_port >= w->conf.port_cnt)
			continue;
		uint32_t n = __atomic_load_n((uint32_t *)&hop->neigh, __ATOMIC_RELAXED);
		if (sl_neigh_pin(w->conf.neigh, n, hop->out_port, &hop->next, w->now_ns))
			continue;
		n = sl_neigh_want(w->conf.neigh, hop->out_port, &hop->next, true, w->now_ns);
		__atomic_store_n((uint32_t *)&hop->neigh, n, __ATOMIC_RELAXED);
	}
}

void
sl_local_tick(struct sl_worker *w, const struct sl_view *view)
{
	if (w->conf.id != 0 || !view)
		return;
	if (w->pin_generation != view->generation ||
	    (w->pin_next >= w->pin_cnt && (w->pin_again || !w->pin_all) &&
	     w->now_ns - w->pin_all_ns >= SL_PIN_ALL_NS))
		pin_begin(w, view);
	if (w->pin_next < w->pin_cnt)
		pin_next_hops(w, view);
	if (w->now_ns - w->neigh_tick_ns < 1000000)
		return;
	w->neigh_tick_ns = w->now_ns;
	struct ask_ctx ctx = {w, view};
	sl_neigh_tick(w->conf.neigh, w->now_ns, 64, ask, &ctx);
}

void
sl_local_want(struct sl_worker *w, unsigned port, const struct sl_addr *addr)
{
	if (w->conf.id == 0) {
		sl_neigh_want(w->conf.neigh, (uint16_t)port, addr, false, w->now_ns);
		return;
	}
	struct sl_msg m = {.type = SL_MSG_NEIGH, .port_in = (uint16_t)port, .addr = *addr};
	sl_send_msg(w, 0, &m);
}

#include "dataplane/worker_priv.h"

#include <stdatomic.h>
#include <stdlib.h>

#define ETH_LEN 14
#define BURST_NS 100000000ull /* tokens that a bucket holds, in time; and at least */
#define BURST_MIN 32          /* packets */
#define WAIT_NS 5000000000ull /* without a table: connections of one that is coming stay alone */

enum { OSPF = 89 };
enum { BGP = 179, BFD = 3784, BFD_ECHO = 3785, BFD_MULTIHOP = 4784 };

/* ---- addresses ---- */

static uint64_t
half_of(const struct sl_addr *a, unsigned i)
{
	return sl_load64(a->b + 8 * i);
}

static int
compare(uint64_t a0, uint64_t a1, uint64_t b0, uint64_t b1)
{
	if (a0 != b0)
		return a0 < b0 ? -1 : 1;
	return a1 < b1 ? -1 : a1 > b1;
}

static int
by_halves(const void *x, const void *y)
{
	return compare(half_of(x, 0), half_of(x, 1), half_of(y, 0), half_of(y, 1));
}

void
sl_punt_addrs_set(struct sl_punt_addrs *a, struct sl_addr *addrs, unsigned n)
{
	uint32_t version = atomic_load_explicit(&a->version, memory_order_relaxed) + 1;
	unsigned side = version & 1;

	qsort(addrs, n, sizeof(addrs[0]), by_halves);
	/* whoever reads what follows sees that the version has moved: pairs with the fence in sl_punt_addrs_has */
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < n; i++)
		for (unsigned h = 0; h < 2; h++)
			atomic_store_explicit(&a->side[side].half[i][h], half_of(&addrs[i], h),
					      memory_order_relaxed);
	atomic_store_explicit(&a->side[side].cnt, n, memory_order_relaxed);
	/* pairs with the acquire of a reader: the side is whole */
	atomic_store_explicit(&a->version, version, memory_order_release);
}

static bool
search(const struct sl_punt_addrs *a, unsigned side, uint64_t h0, uint64_t h1)
{
	unsigned lo = 0, hi = atomic_load_explicit(&a->side[side].cnt, memory_order_relaxed);

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const _Atomic uint64_t *at = a->side[side].half[mid];
		int c = compare(h0, h1, atomic_load_explicit(&at[0], memory_order_relaxed),
				atomic_load_explicit(&at[1], memory_order_relaxed));
		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

bool
sl_punt_addrs_has(const struct sl_punt_addrs *a, const struct sl_addr *addr)
{
	uint64_t h0 = half_of(addr, 0), h1 = half_of(addr, 1);
	uint32_t before, after;
	bool has;

	do {
		before = atomic_load_explicit(&a->version, memory_order_acquire);
		has = search(a, before & 1, h0, h1);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&a->version, memory_order_relaxed);
	} while (sl_unlikely(after != before));
	return has;
}

/* ---- whose it is ---- */

/* From the header: the tuple of an ICMP error is that of what it quotes, and what was refused has none. */
static struct sl_addr
outer(const struct sl_pkt *p, unsigned at4, unsigned at6)
{
	const uint8_t *ip = p->data + p->l3_off;

	return p->flags & SL_PKT_V4 ? sl_addr_from_v4(ip + at4) : sl_addr_from_v6(ip + at6);
}

static bool
is_group(const struct sl_addr *a)
{
	if (!sl_addr_is_v4(a))
		return a->b[0] == 0xff;
	return a->b[12] >> 4 == 14 || sl_load32(a->b + 12) == UINT32_MAX;
}

static bool
mac_is_ours(const struct sl_worker *w, const struct sl_pkt *p)
{
	return memcmp(p->data, w->ports[p->port_in].mac, 6) == 0;
}

/* To one address.  A table that is coming may know connections of it that the kernel would reset. */
static bool
address_theirs(const struct sl_worker *w, const struct sl_view *view, const struct sl_addr *src,
	       const struct sl_addr *dst)
{
	if (!sl_punt_addrs_has(w->conf.punt.addrs, dst))
		return false;
	if (!view)
		return w->punt.since_ns && w->now_ns - w->punt.since_ns >= WAIT_NS;
	return !sl_view_vip(view, dst) && !sl_view_ours(view, src);
}

static bool
theirs(const struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	if (!(p->flags & SL_PKT_BCAST) && !mac_is_ours(w, p))
		return false;
	if (!(p->flags & (SL_PKT_V4 | SL_PKT_V6)) || (p->flags & SL_PKT_ND))
		return true;
	struct sl_addr src = outer(p, 12, 8), dst = outer(p, 16, 24);
	if (is_group(&dst))
		return !view || !sl_view_ours(view, &src);
	return address_theirs(w, view, &src, &dst);
}

bool
sl_punt_only(const struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	if (sl_likely(!w->conf.punt.addrs))
		return false;
	struct sl_addr dst = outer(p, 16, 24);
	return sl_punt_addrs_has(w->conf.punt.addrs, &dst) && !sl_view_ours(view, &dst);
}

/* ---- how much of it ---- */

static bool
is_port(const struct sl_pkt *p, uint16_t port)
{
	return p->tuple.sport == sl_to_be16(port) || p->tuple.dport == sl_to_be16(port);
}

static enum sl_punt_class
class_of(const struct sl_pkt *p)
{
	const uint8_t *ip = p->data + p->l3_off;

	if (!(p->flags & (SL_PKT_V4 | SL_PKT_V6)) || (p->flags & SL_PKT_ND))
		return SL_PUNT_NEIGH;
	if (ip[p->flags & SL_PKT_V4 ? 9 : 6] == OSPF)
		return SL_PUNT_ROUTING;
	if (p->flags & SL_PKT_BCAST)
		return SL_PUNT_NEIGH;
	if ((p->flags & SL_PKT_TCP) && is_port(p, BGP))
		return SL_PUNT_ROUTING;
	if ((p->flags & SL_PKT_UDP) &&
	    (is_port(p, BFD) || is_port(p, BFD_ECHO) || is_port(p, BFD_MULTIHOP)))
		return SL_PUNT_ROUTING;
	return SL_PUNT_OTHER;
}

/* Whether this worker's share of the port's rate has room; *spent_ns: the time up to which its tokens are spent. */
static bool
allowed(const struct sl_worker *w, uint32_t pps, enum sl_punt_class class, uint64_t *spent_ns)
{
	unsigned parts = class == SL_PUNT_OTHER ? 2 : 4;
	uint64_t each = 1000000000ull * parts * w->conf.worker_cnt / pps;
	uint64_t depth = SL_MAX(BURST_NS, BURST_MIN * each);

	if (*spent_ns + depth < w->now_ns)
		*spent_ns = w->now_ns - depth;
	if (*spent_ns > w->now_ns)
		return false;
	*spent_ns += each;
	return true;
}

static bool
put(struct sl_worker *w, const struct sl_pkt *p)
{
	const struct sl_punt_item item = {
		.buf = p->buf, .data = p->data, .len = p->len, .port = p->port_in};
	enum sl_punt_class class = class_of(p);

	return allowed(w, w->conf.punt.pps[p->port_in], class,
		       &w->punt.spent_ns[p->port_in][class]) &&
	       sl_ring_put(w->conf.punt.out[class], &item, 1) == 1;
}

SL_COLD static bool
take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (w->conf.punt.pps[p->port_in] == 0 || !theirs(w, view, p))
		return false;
	p->verdict = SL_VERDICT_KERNEL;
	if (sl_pkt_dry(p))
		return true;
	if (!put(w, p)) {
		w->port_stats[p->port_in].kernel_limited++;
		sl_l4_drop(w, p, SL_DROP_KERNEL_LIMIT);
		return true;
	}
	w->punt.put = true;
	w->stats->consumed++;
	w->port_stats[p->port_in].to_kernel++;
	return true;
}

bool
sl_punt_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	return sl_unlikely(w->conf.punt.addrs != NULL) && take(w, view, p);
}

/* ---- buffers, and what the kernel sends ---- */

static void
take_back(struct sl_worker *w)
{
	void *bufs[SL_BURST];
	unsigned n;

	while ((n = sl_ring_take(w->conf.punt.back, bufs, SL_BURST)) > 0)
		for (unsigned i = 0; i < n; i++)
			sl_send_free(w, bufs[i]);
}

static void
send_one(struct sl_worker *w, const struct sl_punt_item *it)
{
	w->stats->made++;
	w->port_stats[it->port].from_kernel++;
	if (sl_unlikely(it->len > w->ports[it->port].mtu + ETH_LEN)) {
		w->stats->drop[SL_DROP_MTU]++;
		w->stats->dropped++;
		sl_send_free(w, it->buf);
		return;
	}
	w->stats->forwarded++;
	sl_send_stage(w, it->port, it->buf, it->len, 0);
}

static unsigned
from_kernel(struct sl_worker *w)
{
	struct sl_punt_item items[SL_BURST];
	unsigned n = sl_ring_take(w->conf.punt.in, items, SL_BURST);

	for (unsigned i = 0; i < n; i++)
		send_one(w, &items[i]);
	w->punt.room -= n;
	return n;
}

/* The thread always has something to read into; where buffers are short the kernel waits. */
static void
give_room(struct sl_worker *w)
{
	while (w->punt.room < SL_PUNT_ROOM) {
		struct sl_punt_item it = {0};
		it.buf = w->conf.io.alloc(w->conf.io.ctx, &it.data);
		if (!it.buf)
			return;
		sl_ring_put(w->conf.punt.empty, &it, 1);
		w->punt.room++;
	}
}

unsigned
sl_punt_turn(struct sl_worker *w)
{
	unsigned done = 0;

	if (w->punt.since_ns == 0)
		w->punt.since_ns = w->now_ns;
	take_back(w);
	if (w->conf.punt.in) {
		done = from_kernel(w);
		give_room(w);
	}
	if (w->punt.put)
		w->conf.punt.wake(w->conf.punt.ctx);
	w->punt.put = false;
	return done;
}

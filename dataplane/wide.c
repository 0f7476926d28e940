/* Listeners that are not one address and one port.
 *
 *   address ──mask of each length that occurs, longest first──▶ (prefix, length, protocol) ──hash──▶ group
 *   group    its ports as segments that do not overlap (a single port is cut out of the range around it), in
 *            order, and the listener for the ports that no segment has
 *
 * Of one length there is at most one group for a packet, so the first that has a listener for its port is the
 * one.  Protocol 0 is a group without ports: it says that the prefix is one of VIPs. */
#include "dataplane/wide.h"

#include <errno.h>
#include <stdlib.h>

struct segment {
	uint16_t first, last; /* host order */
	uint32_t listener;
};

struct group {
	struct sl_addr addr;
	uint8_t plen, proto;
	uint16_t used;
	uint32_t first, cnt; /* of segments */
	uint32_t any; /* listener or SL_WIDE_NONE; protocol 0: one of the prefix's listeners */
};

struct length {
	struct sl_addr mask;
	uint32_t plen;
};

struct sl_wide {
	struct length len4[32 + 1], len6[128]; /* longest first */
	uint32_t len4_cnt, len6_cnt;
	uint32_t mask; /* groups: open addressing, [mask + 1] */
	uint32_t segment_cnt;
	struct group *groups;
	struct segment *segments;
};

/* ---- look-up ---- */

static struct group *
group_place(const struct sl_wide *w, const struct sl_addr *prefix, uint32_t plen, uint8_t proto)
{
	uint64_t at = sl_wide_key(prefix, (sl_be16)plen, proto);

	for (;; at++) {
		struct group *g = &w->groups[at & w->mask];
		if (!g->used ||
		    (g->plen == plen && g->proto == proto && sl_addr_eq(&g->addr, prefix)))
			return g;
	}
}

static inline struct sl_addr
masked(const struct sl_addr *a, const struct sl_addr *mask)
{
	struct sl_addr m;
	uint64_t hi = sl_load64(a->b) & sl_load64(mask->b);
	uint64_t lo = sl_load64(a->b + 8) & sl_load64(mask->b + 8);

	memcpy(m.b, &hi, 8);
	memcpy(m.b + 8, &lo, 8);
	return m;
}

/* group_of: the group of the address at this length, or NULL. */
static const struct group *
group_of(const struct sl_wide *w, const struct sl_addr *addr, const struct length *len,
	 uint8_t proto)
{
	struct sl_addr prefix = masked(addr, &len->mask);
	const struct group *g = group_place(w, &prefix, len->plen, proto);

	return g->used ? g : NULL;
}

static const struct length *
lengths_of(const struct sl_wide *w, const struct sl_addr *addr, uint32_t *ret_cnt)
{
	bool v4 = sl_addr_is_v4(addr);

	*ret_cnt = v4 ? w->len4_cnt : w->len6_cnt;
	return v4 ? w->len4 : w->len6;
}

static uint32_t
listener_in(const struct sl_wide *w, const struct group *g, uint16_t port)
{
	const struct segment *s = &w->segments[g->first];
	uint32_t lo = 0, hi = g->cnt; /* the first segment that starts behind port */

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s[mid].first <= port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && port <= s[lo - 1].last ? s[lo - 1].listener : g->any;
}

SL_COLD uint32_t
sl_wide_find(const struct sl_wide *w, const struct sl_addr *addr, sl_be16 port, uint8_t proto)
{
	uint32_t cnt, found;
	const struct length *len = lengths_of(w, addr, &cnt);

	if (port == 0 || proto == 0)
		return SL_WIDE_NONE;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct group *g = group_of(w, addr, &len[i], proto);
		if (g && (found = listener_in(w, g, sl_from_be16(port))) != SL_WIDE_NONE)
			return found;
	}
	return SL_WIDE_NONE;
}

uint32_t
sl_wide_prefix(const struct sl_wide *w, const struct sl_addr *addr)
{
	uint32_t cnt;
	const struct length *len = lengths_of(w, addr, &cnt);

	for (uint32_t i = 0; i < cnt; i++) {
		const struct group *g = len[i].plen < 128 ? group_of(w, addr, &len[i], 0) : NULL;
		if (g)
			return g->any;
	}
	return SL_WIDE_NONE;
}

/* Zeroed memory, aligned to a line. */
static void *
line_alloc(size_t bytes)
{
	void *p = aligned_alloc(SL_CACHE_LINE, (bytes + SL_CACHE_LINE) & ~(size_t)63);

	if (p)
		memset(p, 0, (bytes + SL_CACHE_LINE) & ~(size_t)63);
	return p;
}

/* ---- building ---- */

static struct length
length_of(uint32_t plen)
{
	struct length l = {.plen = plen};

	for (uint32_t bit = 0; bit < plen; bit++)
		l.mask.b[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	return l;
}

static uint32_t
fill_lengths(const bool has[129], uint32_t least, struct length *to)
{
	uint32_t cnt = 0;

	for (uint32_t plen = 128; plen >= least; plen--)
		if (has[plen])
			to[cnt++] = length_of(plen);
	return cnt;
}

static bool
is_single(const struct sl_img_listener *l)
{
	return l->port_be == l->port_last_be;
}

static bool
is_any(const struct sl_img_listener *l)
{
	return sl_from_be16(l->port_be) == 1 && sl_from_be16(l->port_last_be) == UINT16_MAX;
}

static struct group *
group_open(struct sl_wide *w, const struct sl_img_listener *l, uint8_t proto)
{
	struct group *g = group_place(w, &l->addr, l->plen, proto);

	if (!g->used)
		*g = (struct group){l->addr, l->plen, proto, 1, w->segment_cnt, 0, SL_WIDE_NONE};
	return g;
}

static void
segment_add(struct sl_wide *w, struct group *g, uint32_t first, uint32_t last, uint32_t listener)
{
	if (first > last)
		return;
	w->segments[w->segment_cnt++] = (struct segment){(uint16_t)first, (uint16_t)last, listener};
	g->cnt++;
}

/* Listeners [from, to) are of one prefix and sorted by first port: those of one protocol become its group.  `open`
 * is the range we are in: from `next` on its ports are nobody's yet. */
static void
build_group(struct sl_wide *w, const struct sl_img_listener *l, uint32_t from, uint32_t to,
	    uint8_t proto)
{
	uint32_t open = SL_WIDE_NONE, next = 0, last = 0;
	struct group *g = NULL;

	for (uint32_t i = from; i < to; i++) {
		if (l[i].proto != proto || sl_wide_exact(&l[i]))
			continue;
		uint32_t first = sl_from_be16(l[i].port_be), end = sl_from_be16(l[i].port_last_be);
		g = g ? g : group_open(w, &l[i], proto);
		if (is_any(&l[i])) {
			g->any = i;
		} else if (is_single(&l[i])) {
			if (open != SL_WIDE_NONE && next < first) {
				uint32_t before = SL_MIN(last, first - 1);
				segment_add(w, g, next, before, open);
			}
			segment_add(w, g, first, first, i);
			next = first + 1;
			if (next > last)
				open = SL_WIDE_NONE;
		} else {
			if (open != SL_WIDE_NONE)
				segment_add(w, g, next, last, open);
			/* a single port that is a range's first one sorts before it */
			next = open == SL_WIDE_NONE && next == first + 1 ? next : first;
			open = i;
			last = end;
		}
	}
	if (g && open != SL_WIDE_NONE)
		segment_add(w, g, next, last, open);
}

/* Wide listeners are sorted by (addr, plen): each run is one prefix. */
static void
build_groups(struct sl_wide *w, const struct sl_img_listener *l, uint32_t cnt)
{
	for (uint32_t i = 0, to; i < cnt; i = to) {
		for (to = i + 1;
		     to < cnt && l[to].plen == l[i].plen && sl_addr_eq(&l[to].addr, &l[i].addr);)
			to++;
		build_group(w, l, i, to, SL_IPPROTO_TCP);
		build_group(w, l, i, to, SL_IPPROTO_UDP);
		if (l[i].plen < 128)
			group_open(w, &l[i], 0)->any = i;
	}
}

int
sl_wide_create(const struct sl_img_listener *l, uint32_t cnt, struct sl_wide **ret_wide)
{
	bool has4[129] = {0}, has6[129] = {0};
	uint32_t wide = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		if (sl_wide_exact(&l[i]))
			continue;
		wide++;
		(sl_addr_is_v4(&l[i].addr) ? has4 : has6)[l[i].plen] = true;
	}
	*ret_wide = NULL;
	if (wide == 0)
		return 0;
	struct sl_wide *w = line_alloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->mask = 15;
	while (w->mask + 1 < 4 * wide) /* two groups a listener at most */
		w->mask = 2 * w->mask + 1;
	w->groups = line_alloc((w->mask + 1) * sizeof(struct group));
	w->segments = line_alloc(2 * wide * sizeof(struct segment));
	if (!w->groups || !w->segments) {
		sl_wide_destroy(w);
		return -ENOMEM;
	}
	w->len4_cnt = fill_lengths(has4, 96, w->len4);
	w->len6_cnt = fill_lengths(has6, 1, w->len6);
	build_groups(w, l, cnt);
	*ret_wide = w;
	return 0;
}

void
sl_wide_destroy(struct sl_wide *w)
{
	if (!w)
		return;
	free(w->groups);
	free(w->segments);
	free(w);
}

/* segments — see segments.h. */
#include "l7/segments.h"

#include <errno.h>
#include <stdlib.h>

#include "l7/match_bytes.h"

#define NONE UINT32_MAX

struct node {
	uint32_t wild;         /* child for any segment, NONE */
	uint32_t reached, end; /* slots; 0: nothing is filed */
	uint32_t literal_cnt;  /* literal children */
	/* cold: main only */
	uint32_t depth,
		ways; /* ways: index of the set of wildcard ancestors, distinct within the depth */
};

struct edge {
	uint64_t hash; /* of the segment */
	uint64_t first8;
	const uint8_t *bytes;
	uint32_t len;
	uint32_t node, child; /* child 0: free */
};

/* Sets of wildcard ancestors: set i is set `from` of the depth above, and whether the last one is a wildcard. */
struct ways {
	uint32_t depth, from;
	bool wild;
};

struct sl_segments {
	bool fold;
	uint32_t edge_shift; /* of 64 − log2 of the table's size */
	struct edge *edge;
	struct node *node;
	uint32_t edge_cnt, edge_room, node_cnt, node_room;
	struct ways *ways;
	uint32_t ways_cnt, ways_room;
};

static uint64_t
edge_key(uint32_t node, uint64_t hash)
{
	return (hash | (uint64_t)node << 32) * 0x9e3779b97f4a7c15ull;
}

/* Length of the segment at p: up to the next "/" or end. */
static uint32_t
segment_len(const uint8_t *p, uint32_t n)
{
	uint32_t i = 0;

	for (; n - i >= 8; i += 8) {
		uint64_t x = sl_load64(p + i) ^ SL_BYTES_ALL('/');
		uint64_t hit = (x - SL_BYTES_ALL(1)) & ~x & SL_BYTES_ALL(0x80);
		if (hit)
			return i + (uint32_t)__builtin_ctzll(hit) / 8;
	}
	uint64_t x = sl_bytes_tail(p + i, n - i) ^ SL_BYTES_ALL('/');
	uint64_t hit = (x - SL_BYTES_ALL(1)) & ~x & SL_BYTES_ALL(0x80);
	return hit ? i + (uint32_t)__builtin_ctzll(hit) / 8 : n;
}

static uint32_t
child_find(const struct sl_segments *t, uint32_t node, uint64_t hash, uint64_t first8,
	   const uint8_t *p, uint32_t n)
{
	uint64_t mask = t->edge_room - 1;

	for (uint64_t i = edge_key(node, hash) >> t->edge_shift;; i++) {
		const struct edge *e = &t->edge[i & mask];
		if (!e->child)
			return NONE;
		if (e->hash == hash && e->node == node && e->first8 == first8 && e->len == n &&
		    (n <= 8 || sl_bytes_eq(p + 8, e->bytes + 8, n - 8, t->fold)))
			return e->child;
	}
}

/* ---- walk ---- */

/* Where a path may stand, at `at`: the beginning of a segment; behind the end: all are walked. */
struct walk {
	const struct sl_segments *t;
	const uint8_t *path;
	uint32_t len, at;
	sl_segments_fn fn;
	void *ctx;
};

struct segment {
	const uint8_t *p;
	uint32_t n;
	uint64_t first8, hash;
};

static inline struct segment
segment_next(struct walk *w)
{
	struct segment s = {.p = w->path + w->at};

	s.n = segment_len(s.p, w->len - w->at);
	s.first8 = sl_bytes_first8(s.p, s.n, w->t->fold);
	s.hash = sl_bytes_hash(0, s.p, s.n, w->t->fold);
	w->at += s.n + 1;
	return s;
}

static inline uint32_t
child_of(const struct sl_segments *t, uint32_t node, const struct segment *s)
{
	if (!t->node[node].literal_cnt)
		return NONE;
	return child_find(t, node, s->hash, s->first8, s->p, s->n);
}

static inline void
stand_at(const struct walk *w, uint32_t node)
{
	const struct node *n = &w->t->node[node];

	if (n->reached)
		w->fn(w->ctx, n->reached);
	if (w->at > w->len && n->end)
		w->fn(w->ctx, n->end);
}

/* From several nodes at once, cnt of from[]. */
static void
walk_many(struct walk *w, uint32_t *from, uint32_t cnt)
{
	uint32_t to[SL_SEGMENTS_ACTIVE_MAX];

	while (w->at <= w->len && cnt) {
		struct segment s = segment_next(w);
		uint32_t n = 0;
		for (uint32_t i = 0; i < cnt; i++) {
			uint32_t child = child_of(w->t, from[i], &s);
			uint32_t wild = s.n ? w->t->node[from[i]].wild : NONE;
			if (child != NONE)
				to[n++] = child;
			if (wild != NONE)
				to[n++] = wild;
		}
		for (uint32_t i = 0; i < n; i++)
			stand_at(w, from[i] = to[i]);
		cnt = n;
	}
}

/* From one node, as long as there is one way only. */
static void
walk_one(struct walk *w, uint32_t node)
{
	while (w->at <= w->len) {
		struct segment s = segment_next(w);
		uint32_t child = child_of(w->t, node, &s);
		uint32_t wild = s.n ? w->t->node[node].wild : NONE;
		if (child != NONE)
			stand_at(w, child);
		if (wild != NONE)
			stand_at(w, wild);
		if (child != NONE && wild != NONE) {
			uint32_t from[SL_SEGMENTS_ACTIVE_MAX] = {child, wild};
			walk_many(w, from, 2);
			return;
		}
		node = child != NONE ? child : wild;
		if (node == NONE)
			return;
	}
}

void
sl_segments_walk(const struct sl_segments *t, const uint8_t *path, uint32_t len, sl_segments_fn fn,
		 void *ctx)
{
	struct walk w = {t, path, len, 1, fn, ctx};

	if (len == 0 || path[0] != '/')
		return;
	if (t->node[0].reached)
		fn(ctx, t->node[0].reached);
	walk_one(&w, 0);
}

/* ---- built by main ---- */

static int
grow(void *array, uint32_t cnt, uint32_t *room, size_t size)
{
	void **a = array;

	if (cnt < *room)
		return 0;
	uint32_t more = *room ? *room * 2 : 16;
	void *p = realloc(*a, more * size);
	if (!p)
		return -ENOMEM;
	*a = p;
	*room = more;
	return 0;
}

/* The index of the set, or −errno; *ret counts the sets of its depth. */
static int
ways_find(struct sl_segments *t, uint32_t depth, uint32_t from, bool wild, uint32_t *ret)
{
	uint32_t same_depth = 0;

	for (uint32_t i = 0; i < t->ways_cnt; i++) {
		const struct ways *w = &t->ways[i];
		if (w->depth != depth)
			continue;
		same_depth++;
		if (w->from == from && w->wild == wild) {
			*ret = i;
			return 0;
		}
	}
	if (same_depth == SL_SEGMENTS_ACTIVE_MAX)
		return -E2BIG;
	if (grow(&t->ways, t->ways_cnt, &t->ways_room, sizeof(*t->ways)))
		return -ENOMEM;
	*ret = t->ways_cnt;
	t->ways[t->ways_cnt++] = (struct ways){depth, from, wild};
	return 0;
}

static int
node_add(struct sl_segments *t, uint32_t parent, bool wild, uint32_t *ret_node)
{
	struct node n = {.wild = NONE};

	if (grow(&t->node, t->node_cnt, &t->node_room, sizeof(*t->node)))
		return -ENOMEM;
	if (parent != NONE) {
		n.depth = t->node[parent].depth + 1;
		int err = ways_find(t, n.depth, t->node[parent].ways, wild, &n.ways);
		if (err)
			return err;
	}
	*ret_node = t->node_cnt;
	t->node[t->node_cnt++] = n;
	return 0;
}

static void
edge_put(struct sl_segments *t, const struct edge *e)
{
	uint64_t mask = t->edge_room - 1, i = edge_key(e->node, e->hash) >> t->edge_shift;

	while (t->edge[i & mask].child)
		i++;
	t->edge[i & mask] = *e;
}

/* At most half full. */
static int
edges_grow(struct sl_segments *t)
{
	struct edge *old = t->edge;
	uint32_t room = t->edge_room;

	if (2 * (t->edge_cnt + 1) <= room)
		return 0;
	struct edge *bigger = calloc(room ? 2 * room : 16, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	t->edge = bigger;
	t->edge_room = room ? 2 * room : 16;
	t->edge_shift = 64 - (uint32_t)__builtin_ctz(t->edge_room);
	for (uint32_t i = 0; i < room; i++)
		if (old[i].child)
			edge_put(t, &old[i]);
	free(old);
	return 0;
}

static int
child_literal(struct sl_segments *t, uint32_t node, const uint8_t *p, uint32_t n,
	      uint32_t *ret_child)
{
	struct edge e = {.hash = sl_bytes_hash(0, p, n, false),
			 .first8 = sl_bytes_first8(p, n, false),
			 .bytes = p,
			 .len = n,
			 .node = node};

	*ret_child = child_find(t, node, e.hash, e.first8, p, n);
	if (*ret_child != NONE)
		return 0;
	if (edges_grow(t))
		return -ENOMEM;
	int err = node_add(t, node, false, &e.child);
	if (err)
		return err;
	t->node[node].literal_cnt++;
	t->edge_cnt++;
	edge_put(t, &e);
	*ret_child = e.child;
	return 0;
}

static int
child_wild(struct sl_segments *t, uint32_t node, uint32_t *ret_child)
{
	*ret_child = t->node[node].wild;
	if (*ret_child != NONE)
		return 0;
	int err = node_add(t, node, true, ret_child);
	if (!err)
		t->node[node].wild = *ret_child;
	return err;
}

static bool
is_rest(const uint8_t *p, uint32_t n)
{
	return n >= 4 && p[0] == '{' && memcmp(p + n - 3, "**}", 3) == 0 &&
	       (n == 4 || p[n - 4] == '=');
}

static bool
is_one(const uint8_t *p, uint32_t n)
{
	return n >= 1 && p[0] == '{';
}

int
sl_segments_insert(struct sl_segments *t, uint8_t op, const uint8_t *value, uint32_t len,
		   uint32_t *next_slot, uint32_t *ret_slot)
{
	bool below = op == SL_COND_SEGMENTS;
	uint32_t node = 0;

	for (uint32_t at = 1; at <= len;) {
		const uint8_t *p = value + at;
		uint32_t n = segment_len(p, len - at);
		int err;
		at += n + 1;
		if (op == SL_COND_TEMPLATE && is_rest(p, n)) {
			below = true;
			break;
		}
		if (op == SL_COND_TEMPLATE && is_one(p, n))
			err = child_wild(t, node, &node);
		else
			err = child_literal(t, node, p, n, &node);
		if (err)
			return err;
	}
	uint32_t *slot = below ? &t->node[node].reached : &t->node[node].end;
	if (!*slot)
		*slot = (*next_slot)++;
	*ret_slot = *slot;
	return 0;
}

struct sl_segments *
sl_segments_create(bool fold)
{
	struct sl_segments *t = calloc(1, sizeof(*t));
	uint32_t root;

	if (!t)
		return NULL;
	t->fold = fold;
	if (node_add(t, NONE, false, &root) || edges_grow(t)) {
		sl_segments_destroy(t);
		return NULL;
	}
	return t;
}

void
sl_segments_destroy(struct sl_segments *t)
{
	if (!t)
		return;
	free(t->edge);
	free(t->node);
	free(t->ways);
	free(t);
}

/* ---- one template ---- */

bool
sl_segments_template(const uint8_t *tmpl, uint32_t tmpl_len, bool fold, const uint8_t *path,
		     uint32_t len, struct sl_segments_capture *ret, uint32_t max, uint32_t *ret_cnt)
{
	uint32_t cnt = 0, a = 1,
		 b = 1; /* where the next segments begin; behind the end: none is left */

	*ret_cnt = 0;
	if (len == 0 || path[0] != '/')
		return false;
	while (a <= tmpl_len) {
		uint32_t n = segment_len(tmpl + a, tmpl_len - a);
		const uint8_t *t = tmpl + a;
		if (is_rest(t, n)) {
			uint32_t off = SL_MIN(b, len);
			if (cnt < max)
				ret[cnt++] = (struct sl_segments_capture){(uint16_t)off,
									  (uint16_t)(len - off)};
			*ret_cnt = cnt;
			return true;
		}
		if (b > len)
			return false;
		uint32_t m = segment_len(path + b, len - b);
		if (is_one(t, n)) {
			if (m == 0)
				return false;
			if (cnt < max)
				ret[cnt++] = (struct sl_segments_capture){(uint16_t)b, (uint16_t)m};
		} else if (m != n || !sl_bytes_eq(path + b, t, n, fold)) {
			return false;
		}
		a += n + 1;
		b += m + 1;
	}
	*ret_cnt = cnt;
	return b > len;
}

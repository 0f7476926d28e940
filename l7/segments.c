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

struct step {
	uint32_t cnt;
	uint32_t node[2 * SL_SEGMENTS_ACTIVE_MAX];
};

static void
step_down(const struct sl_segments *t, const struct step *from, struct step *to, const uint8_t *p,
	  uint32_t n)
{
	uint64_t first8 = sl_bytes_first8(p, n, t->fold);
	uint64_t hash = sl_bytes_hash(0, p, n, t->fold);

	to->cnt = 0;
	for (uint32_t i = 0; i < from->cnt; i++) {
		const struct node *at = &t->node[from->node[i]];
		if (at->literal_cnt) {
			uint32_t child = child_find(t, from->node[i], hash, first8, p, n);
			if (child != NONE)
				to->node[to->cnt++] = child;
		}
		if (at->wild != NONE && n)
			to->node[to->cnt++] = at->wild;
	}
}

void
sl_segments_walk(const struct sl_segments *t, const uint8_t *path, uint32_t len, sl_segments_fn fn,
		 void *ctx)
{
	struct step step[2];
	unsigned now = 0;

	if (len == 0 || path[0] != '/')
		return;
	step[0].cnt = 1;
	step[0].node[0] = 0;
	if (t->node[0].reached)
		fn(ctx, t->node[0].reached);
	for (uint32_t at = 1, last = 0; !last && step[now].cnt; now ^= 1) {
		uint32_t n = segment_len(path + at, len - at);
		step_down(t, &step[now], &step[now ^ 1], path + at, n);
		at += n + 1;
		last = at > len;
		for (uint32_t i = 0; i < step[now ^ 1].cnt; i++) {
			const struct node *node = &t->node[step[now ^ 1].node[i]];
			if (node->reached)
				fn(ctx, node->reached);
			if (last && node->end)
				fn(ctx, node->end);
		}
	}
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

/* match — find: lists of the routes filed under what holds, merged in list order, verified until the first one matches.
 *
 *   trie, method, catch-all ──▶ heap ──▶ verify ──▶ best
 *   values by hash          ──▶ heap ──▶ verify ──▶ best, only routes before it
 *   databases               ──▶ heap ──▶ verify ──▶ best, only when some route before it is filed under their patterns
 *
 * A route is filed once, so it is verified at most once.  A scan that a candidate asks for puts its lists onto the
 * heap, too; they are merged from there on.
 */
#include <hs/hs.h>

#include "l7/match_bytes.h"
#include "l7/match_priv.h"
#include "l7/values.h"

/* ---- the heap: two words a list: its next route, where in m->list that stands ---- */

static void
heap_down(uint32_t *heap, uint32_t cnt, uint32_t route, uint32_t at)
{
	uint32_t i = 0;

	for (uint32_t child; (child = 2 * i + 1) < cnt; i = child) {
		if (child + 1 < cnt && heap[2 * child + 2] < heap[2 * child])
			child++;
		if (heap[2 * child] >= route)
			break;
		heap[2 * i] = heap[2 * child];
		heap[2 * i + 1] = heap[2 * child + 1];
	}
	heap[2 * i] = route;
	heap[2 * i + 1] = at;
}

static void
heap_push(struct match_find *f, uint32_t list)
{
	uint32_t *heap = f->word + f->m->heap, route = f->m->list[list];
	uint32_t i = f->heap_cnt;

	if (route >= f->best)
		return;
	f->heap_cnt++;
	for (uint32_t up; i && heap[2 * (up = (i - 1) / 2)] > route; i = up) {
		heap[2 * i] = heap[2 * up];
		heap[2 * i + 1] = heap[2 * up + 1];
	}
	heap[2 * i] = route;
	heap[2 * i + 1] = list;
}

/* The smallest route, which its list leaves. */
static uint32_t
heap_take(struct match_find *f)
{
	uint32_t *heap = f->word + f->m->heap, route = heap[0], at = heap[1] + 1;
	uint32_t next = f->m->list[at];

	if (next == MATCH_LIST_END) {
		f->heap_cnt--;
		next = heap[2 * f->heap_cnt];
		at = heap[2 * f->heap_cnt + 1];
	}
	heap_down(heap, f->heap_cnt, next, at);
	return route;
}

static bool
route_holds(struct match_find *f, uint32_t route)
{
	const struct match_route *r = &f->m->route[route];

	f->verified++;
	for (uint32_t i = 0; i < r->cond_cnt; i++)
		if (!sl_cond_holds(f, f->m->route_cond[r->cond + i]))
			return false;
	return true;
}

static __attribute__((noinline)) void
merge_some(struct match_find *f)
{
	const uint32_t *heap = f->word + f->m->heap;

	while (f->heap_cnt && heap[0] < f->best) {
		uint32_t route = heap_take(f);
		if (route >= f->from && route_holds(f, route))
			f->best = route;
	}
	f->heap_cnt = 0;
}

static inline void
merge(struct match_find *f)
{
	if (f->heap_cnt)
		merge_some(f);
}

/* ---- what puts lists there ---- */

static void
slot_holds(void *ctx, uint32_t slot)
{
	struct match_find *f = ctx;

	mark_set(f, slot, MARK_TRUE);
	if (f->m->slot_list[slot])
		heap_push(f, f->m->slot_list[slot]);
}

struct scanning {
	struct match_find *f;
	uint32_t slot, cnt; /* of the database's patterns */
};

static int
pattern_holds(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
	      void *ctx)
{
	struct scanning *s = ctx;

	(void)from, (void)to, (void)flags;
	if (id < s->cnt && mark_get(s->f, s->slot + id) != MARK_TRUE)
		slot_holds(s->f, s->slot + id);
	return 0;
}

static void
scan_value(struct match_find *f, const struct match_scan *s, const uint8_t *p, uint32_t n)
{
	struct scanning base = {f, s->slot, s->base_cnt};
	struct scanning delta = {f, s->slot + s->base_cnt, s->delta_cnt};

	/* Failures are those of a scratch that does not fit or is in use: the generation's is neither. */
	hs_scan(s->base, (const char *)p, n, 0, f->hs, pattern_holds, &base);
	f->scanned++;
	if (s->delta) {
		hs_scan(s->delta, (const char *)p, n, 0, f->hs, pattern_holds, &delta);
		f->scanned++;
	}
}

void
sl_match_scan(struct match_find *f, uint32_t scan)
{
	const struct match_scan *s = &f->m->scan[scan];
	struct values_each each = {0};
	const uint8_t *p;
	uint32_t n;

	if (mark_get(f, f->m->scan_mark + scan))
		return;
	mark_set(f, f->m->scan_mark + scan, MARK_TRUE);
	while (sl_values_next(f, s->key, &each, &p, &n))
		scan_value(f, s, p, n);
}

uint64_t
sl_match_entry_hash(uint32_t key, unsigned kind, bool fold, uint32_t len, uint64_t h)
{
	uint64_t tag = (uint64_t)key << 32 ^ (uint64_t)len << 3 ^ kind << 1 ^ fold;

	return sl_bytes_mix(h, tag * 0x9e3779b97f4a7c15ull) | 1;
}

/* Several values may lead to one entry, and the heap has room for each list once. */
static inline bool
entry_fresh(struct match_find *f, uint32_t entry)
{
	if (sl_likely(!f->m->several))
		return true;
	uint32_t mark = f->m->entry_mark + entry;
	if (mark_get(f, mark))
		return false;
	mark_set(f, mark, MARK_TRUE);
	return true;
}

static void
entry_push(struct match_find *f, uint64_t hash)
{
	const struct sl_match *m = f->m;

	for (uint64_t i = hash >> 20;; i++) {
		const struct match_entry *e = &m->entry[i & m->entry_mask];
		if (e->hash == hash && entry_fresh(f, (uint32_t)(i & m->entry_mask)))
			heap_push(f, e->list);
		if (e->hash == hash || !e->hash)
			return;
	}
}

static void
prefixes_push(struct match_find *f, uint32_t key, bool fold, const uint8_t *p, uint32_t n)
{
	const struct match_lens *lens = &f->m->key[key].prefix[fold];
	uint32_t done = 0;
	uint64_t h = 0;

	for (unsigned i = 0; i < lens->cnt && lens->len[i] <= n; i++) {
		h = sl_bytes_hash(h, p + done, lens->len[i] - done, fold);
		done = lens->len[i];
		entry_push(f, sl_match_entry_hash(key, MATCH_PREFIX, fold, done, h));
	}
}

static void
suffixes_push(struct match_find *f, uint32_t key, bool fold, const uint8_t *p, uint32_t n)
{
	const struct match_lens *lens = &f->m->key[key].suffix[fold];
	uint32_t done = 0;
	uint64_t h = 0;

	for (unsigned i = 0; i < lens->cnt && lens->len[i] <= n; i++) {
		h = sl_bytes_hash(h, p + n - lens->len[i], lens->len[i] - done, fold);
		done = lens->len[i];
		entry_push(f, sl_match_entry_hash(key, MATCH_SUFFIX, fold, done, h));
	}
}

static __attribute__((noinline)) void
value_push(struct match_find *f, uint32_t key)
{
	const struct match_key *k = &f->m->key[key];
	struct values_each each = {0};
	const uint8_t *p;
	uint32_t n;

	if (k->present)
		heap_push(f, k->present);
	while (sl_values_next(f, key, &each, &p, &n))
		for (unsigned fold = 0; fold < k->folds; fold++) {
			if (k->exact[fold])
				entry_push(f, sl_match_entry_hash(key, MATCH_EXACT, fold, n,
								  sl_bytes_hash(0, p, n, fold)));
			prefixes_push(f, key, fold, p, n);
			suffixes_push(f, key, fold, p, n);
		}
}

static inline void
key_push(struct match_find *f, uint32_t key)
{
	if (f->m->key[key].first < f->best)
		value_push(f, key);
}

/* Keys of the fields that lead to a route before the best. */
static void
fields_read(struct match_find *f)
{
	static const uint8_t fields[] = {SL_FIELD_HEADER, SL_FIELD_QUERY, SL_FIELD_COOKIE,
					 SL_FIELD_LINES, SL_FIELD_CLAIM};

	for (unsigned i = 0; i < SL_ARRAY_CNT(fields); i++)
		if (f->m->field_first[fields[i]] < f->best)
			sl_values_read(f, fields[i]);
}

static void
values_push(struct match_find *f)
{
	key_push(f, MATCH_PATH);
	fields_read(f);
	for (uint32_t i = 0; i < f->present_cnt; i++)
		key_push(f, f->word[f->m->present + i]);
	merge(f);
}

/* What one scan finds may make the next one needless. */
static void
key_scan(struct match_find *f, uint32_t key)
{
	for (uint32_t s = f->m->key[key].scan; s != MATCH_NONE; s = f->m->scan[s].next)
		if (f->m->scan[s].first < f->best) {
			sl_match_scan(f, s);
			merge(f);
		}
}

static void
values_scan(struct match_find *f)
{
	if (f->m->scan_first >= f->best)
		return;
	key_scan(f, MATCH_PATH);
	fields_read(f);
	for (uint32_t i = 0; i < f->present_cnt; i++)
		key_scan(f, f->word[f->m->present + i]);
}

/* ---- */

size_t
sl_match_bytes(const struct sl_match *m)
{
	return sizeof(struct match_mem) + m->word_cnt * sizeof(uint32_t);
}

static void
find_begin(struct match_find *f, const struct sl_match *m, const struct sl_match_input *in,
	   const struct sl_match_scratch *scratch)
{
	struct match_mem *mem = scratch->mem;

	SL_ASSERT(scratch->bytes >= sl_match_bytes(m));
	if (++mem->generation == MARK_GENERATIONS) {
		memset(mem->word, 0, scratch->bytes - sizeof(*mem));
		mem->generation = 1;
	}
	*f = (struct match_find){.m = m,
				 .in = in,
				 .mem = mem,
				 .word = mem->word,
				 .hs = scratch->hs,
				 .stamp = MARK_BIT | mem->generation << 2,
				 .best = SL_MATCH_NONE};
}

static __attribute__((noinline)) void
captures_set(const struct match_cond *c, const struct sl_match_input *in,
	     struct sl_match_result *ret)
{
	struct sl_segments_capture capture[SL_CAPTURES_MAX];

	sl_segments_template(c->value, c->len, c->fold, in->path, in->path_len, capture,
			     SL_CAPTURES_MAX, &ret->capture_cnt);
	for (uint32_t k = 0; k < ret->capture_cnt; k++) {
		ret->capture[k].off = capture[k].off;
		ret->capture[k].len = capture[k].len;
	}
}

uint32_t
sl_match_find(const struct sl_match *m, const struct sl_match_input *in,
	      struct sl_match_scratch *scratch, struct sl_match_result *ret)
{
	return sl_match_find_from(m, in, scratch, 0, ret);
}

uint32_t
sl_match_find_from(const struct sl_match *m, const struct sl_match_input *in,
		   struct sl_match_scratch *scratch, uint32_t from, struct sl_match_result *ret)
{
	struct match_find f;

	find_begin(&f, m, in, scratch);
	f.from = from;
	for (unsigned fold = 0; fold < 2; fold++)
		if (m->trie[fold])
			sl_segments_walk(m->trie[fold], in->path, in->path_len, slot_holds, &f);
	heap_push(&f, m->method_list[in->head->method]);
	heap_push(&f, m->any_list);
	merge(&f);
	values_push(&f);
	values_scan(&f);
	ret->route = f.best;
	ret->prefix = 0;
	ret->capture_cnt = 0;
	ret->verified = f.verified;
	ret->scanned = f.scanned;
	if (f.best == SL_MATCH_NONE)
		return f.best;
	const struct match_route *r = &m->route[f.best];
	ret->prefix = r->prefix;
	if (r->template != MATCH_NONE)
		captures_set(&m->cond[r->template], in, ret);
	return f.best;
}

bool
sl_match_holds(const struct sl_match *m, const struct sl_match_input *in,
	       struct sl_match_scratch *scratch, uint32_t cond)
{
	struct match_find f;

	find_begin(&f, m, in, scratch);
	f.slow = true;
	f.best = 0; /* no list is of interest */
	return sl_cond_holds(&f, cond);
}

const struct sl_img_vhost *
sl_match_img(const struct sl_match *m)
{
	return m->img;
}

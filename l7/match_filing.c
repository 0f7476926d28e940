/* match_filing — conditions to probes, routes to the probe they are filed under.
 *
 *   conditions ─▶ probes: what a request can be asked that must hold when the condition does: a slot of the trie or of a
 *                 database, a hash of a value, prefix or suffix, presence
 *   routes     ─▶ each is filed under one probe of its conditions: one that few routes share, of these the most telling kind
 */
#include "l7/match_filing.h"

#include <errno.h>
#include <stdlib.h>

#include "l7/match_bytes.h"

/* ---- probes ---- */

static uint64_t
probe_hash(const struct match_probe *p)
{
	uint64_t tag =
		(uint64_t)p->key << 32 ^ (uint64_t)p->slot << 4 ^ (uint64_t)p->kind << 1 ^ p->fold;

	return sl_bytes_hash(sl_bytes_mix(0, tag), p->bytes, p->len, false);
}

static bool
probe_same(const struct match_probe *a, const struct match_probe *b)
{
	return a->kind == b->kind && a->fold == b->fold && a->key == b->key && a->slot == b->slot &&
	       a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static uint32_t
probe_intern(struct match_builder *b, const struct match_probe *p)
{
	for (uint64_t i = probe_hash(p);; i++) {
		uint32_t *at = &b->probe_table[i & b->probe_mask];
		if (!*at) {
			b->probe[b->probe_cnt] = *p;
			*at = ++b->probe_cnt;
			return *at - 1;
		}
		if (probe_same(&b->probe[*at - 1], p))
			return *at - 1;
	}
}

static enum probe_kind
probe_kind(const struct match_cond *c)
{
	if (c->invert)
		return PROBE_NONE;
	if (c->field == SL_FIELD_METHOD)
		return c->op == SL_COND_IN ? PROBE_METHOD : PROBE_NONE;
	if (is_pattern(c))
		return PROBE_PATTERN;
	if (is_trie(c))
		return c->op == SL_COND_EXACT ? PROBE_PATH_EXACT : PROBE_PATH;
	if (c->op == SL_COND_EXACT)
		return PROBE_EXACT;
	if (c->op == SL_COND_PREFIX && c->len)
		return PROBE_PREFIX;
	if (c->op == SL_COND_SUFFIX && c->len)
		return PROBE_SUFFIX;
	return c->field == SL_FIELD_PATH ? PROBE_NONE : PROBE_PRESENT;
}

static uint32_t
cond_probe(struct match_builder *b, const struct match_cond *c)
{
	struct match_probe p = {.kind = probe_kind(c), .bytes = b->m->str};

	switch (p.kind) {
	case PROBE_NONE:
	case PROBE_METHOD: /* by its bits, see routes_file */
		return MATCH_NONE;
	case PROBE_PATH_EXACT:
	case PROBE_PATH:
	case PROBE_PATTERN:
		p.slot = c->slot;
		p.key = c->key;
		p.bytes = c->value; /* of several conditions with one slot, those of the first */
		p.len = c->len;
		break;
	case PROBE_PRESENT:
		p.key = c->key;
		break;
	default:
		p.key = c->key;
		p.fold = c->fold;
		p.bytes = c->value;
		p.len = c->len;
	}
	return probe_intern(b, &p);
}

static uint32_t
cond_literal(struct match_builder *b, uint32_t i)
{
	const struct match_cond *c = &b->m->cond[i];
	struct match_probe p = {.kind = PROBE_LITERAL,
				.fold = c->fold,
				.key = c->key,
				.bytes = b->pattern[i].literal,
				.len = b->pattern[i].literal_len};

	return c->invert || !p.len ? MATCH_NONE : probe_intern(b, &p);
}

static void
probe_count(struct match_builder *b, uint32_t probe)
{
	if (probe != MATCH_NONE)
		b->probe[probe].route_cnt++;
}

static int
probes_build(struct match_builder *b)
{
	struct sl_match *m = b->m;
	uint32_t max = 2 * m->cond_cnt + 1, room = builder_table_room(max);

	b->probe = calloc(max, sizeof(*b->probe));
	b->probe_table = calloc(room, sizeof(*b->probe_table));
	b->cond_probe = calloc(max, sizeof(*b->cond_probe));
	b->cond_literal = calloc(max, sizeof(*b->cond_literal));
	b->cond_use = calloc(max, sizeof(*b->cond_use));
	if (!b->probe || !b->probe_table || !b->cond_probe || !b->cond_literal || !b->cond_use)
		return -ENOMEM;
	b->probe_mask = room - 1;
	for (uint32_t i = 0; i < m->cond_cnt; i++) {
		b->cond_probe[i] = cond_probe(b, &m->cond[i]);
		b->cond_literal[i] = cond_literal(b, i);
	}
	for (uint32_t r = 0; r < m->img->route_cnt; r++)
		for (uint32_t k = 0; k < b->route[r].cond_cnt; k++) {
			uint32_t cond = b->cond_id[b->route[r].cond_first + k];
			b->cond_use[cond]++;
			probe_count(b, b->cond_probe[cond]);
			probe_count(b, b->cond_literal[cond]);
		}
	return 0;
}

/* ---- filing ---- */

/* Smaller is better: few routes, then kind, then the longer value.  A scan is as dear as some routes in vain. */
static uint64_t
probe_rank(const struct match_builder *b, uint32_t probe)
{
	const struct match_probe *p = &b->probe[probe];
	uint32_t cnt = p->kind == PROBE_PATTERN ? SL_MAX(p->route_cnt, FEW) : p->route_cnt;
	uint32_t crowd = 32 - (uint32_t)__builtin_clz((cnt + 1) / 2);

	return (uint64_t)crowd << 32 | (uint64_t)p->kind << 16 | (0xffff - p->len);
}

static void
route_offer(struct match_builder *b, uint32_t r, uint32_t cond, uint32_t probe, uint64_t *best)
{
	if (probe == MATCH_NONE || probe_rank(b, probe) >= *best)
		return;
	*best = probe_rank(b, probe);
	b->filed[r] = probe;
	b->filed_cond[r] = cond;
}

static void
route_file(struct match_builder *b, uint32_t r)
{
	const struct sl_img_http_route *route = &b->route[r];
	uint64_t best = UINT64_MAX;

	b->filed[r] = MATCH_NONE;
	for (uint32_t k = 0; k < route->cond_cnt; k++) {
		uint32_t cond = b->cond_id[route->cond_first + k];
		const struct match_cond *c = &b->m->cond[cond];
		if (probe_kind(c) == PROBE_METHOD)
			b->method[r] = (uint32_t)c->lo;
		route_offer(b, r, cond, b->cond_probe[cond], &best);
		route_offer(b, r, cond, b->cond_literal[cond], &best);
	}
	if (b->filed[r] != MATCH_NONE)
		b->method[r] = 0;
}

static int
routes_file(struct match_builder *b)
{
	uint32_t cnt = b->m->img->route_cnt;

	b->filed = calloc(cnt + 1, sizeof(*b->filed));
	b->filed_cond = calloc(cnt + 1, sizeof(*b->filed_cond));
	b->method = calloc(cnt + 1, sizeof(*b->method));
	if (!b->filed || !b->filed_cond || !b->method)
		return -ENOMEM;
	for (uint32_t r = 0; r < cnt; r++)
		route_file(b, r);
	return 0;
}

/* ---- lengths of prefixes and suffixes ---- */

static bool
is_prefix(uint8_t kind)
{
	return kind == PROBE_PREFIX || kind == PROBE_LITERAL;
}

static struct match_lens *
probe_lens(struct sl_match *m, const struct match_probe *p)
{
	if (is_prefix(p->kind))
		return &m->key[p->key].prefix[p->fold];
	return &m->key[p->key].suffix[p->fold];
}

struct len_of {
	uint32_t key;
	uint16_t len;
	uint8_t kind, fold;
};

static int
by_lens(const void *a, const void *b)
{
	const struct len_of *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind - y->kind;
	if (x->fold != y->fold)
		return x->fold - y->fold;
	return x->len - y->len;
}

/* From the distinct lengths of one key, at most MATCH_LENS: the shortest and some evenly among the others. */
static void
lens_pick(struct match_lens *lens, const struct len_of *of, uint32_t cnt)
{
	uint32_t take = SL_MIN(cnt, MATCH_LENS);

	for (uint32_t i = 0; i < take; i++)
		lens->len[i] = of[(uint64_t)i * cnt / take].len;
	lens->cnt = (uint8_t)take;
}

static bool
lens_together(const struct len_of *a, const struct len_of *b)
{
	return a->key == b->key && a->kind == b->kind && a->fold == b->fold;
}

static int
lens_build(struct match_builder *b)
{
	struct len_of *of = calloc(b->m->img->route_cnt + 1, sizeof(*of));
	uint32_t cnt = 0, distinct = 0;

	if (!of)
		return -ENOMEM;
	for (uint32_t r = 0; r < b->m->img->route_cnt; r++) {
		const struct match_probe *p = &b->probe[b->filed[r]];
		if (b->filed[r] == MATCH_NONE || (!is_prefix(p->kind) && p->kind != PROBE_SUFFIX))
			continue;
		uint8_t kind = is_prefix(p->kind) ? PROBE_PREFIX : PROBE_SUFFIX;
		of[cnt++] = (struct len_of){p->key, (uint16_t)p->len, kind, p->fold};
	}
	qsort(of, cnt, sizeof(*of), by_lens);
	for (uint32_t i = 0; i < cnt; i++)
		if (i == 0 || by_lens(&of[i - 1], &of[i]))
			of[distinct++] = of[i];
	for (uint32_t i = 0, n; i < distinct; i += n) {
		for (n = 1; i + n < distinct && lens_together(&of[i], &of[i + n]); n++)
			;
		struct match_probe p = {.kind = of[i].kind, .fold = of[i].fold, .key = of[i].key};
		lens_pick(probe_lens(b->m, &p), &of[i], n);
	}
	free(of);
	return 0;
}

uint64_t
sl_filing_affix_hash(struct sl_match *m, const struct match_probe *p)
{
	const struct match_lens *lens = probe_lens(m, p);
	bool prefix = is_prefix(p->kind);
	uint32_t done = 0;
	uint64_t h = 0;

	for (unsigned i = 0; i < lens->cnt && lens->len[i] <= p->len; i++) {
		uint32_t at = prefix ? done : p->len - lens->len[i];
		h = sl_bytes_hash(h, p->bytes + at, lens->len[i] - done, false);
		done = lens->len[i];
	}
	return sl_match_entry_hash(p->key, prefix ? MATCH_PREFIX : MATCH_SUFFIX, p->fold, done, h);
}

struct literal_of {
	uint64_t hash;
	uint32_t route;
};

static int
by_hash(const void *a, const void *b)
{
	const struct literal_of *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* More regexes that begin alike, as far as is looked up, than are looked at by themselves, are told apart by a scan. */
static int
literals_refile(struct match_builder *b)
{
	struct literal_of *of = calloc(b->m->img->route_cnt + 1, sizeof(*of));
	uint32_t cnt = 0;

	if (!of)
		return -ENOMEM;
	for (uint32_t r = 0; r < b->m->img->route_cnt; r++) {
		if (b->filed[r] == MATCH_NONE || b->probe[b->filed[r]].kind != PROBE_LITERAL)
			continue;
		of[cnt++] =
			(struct literal_of){sl_filing_affix_hash(b->m, &b->probe[b->filed[r]]), r};
	}
	qsort(of, cnt, sizeof(*of), by_hash);
	for (uint32_t i = 0, n; i < cnt; i += n) {
		for (n = 1; i + n < cnt && of[i + n].hash == of[i].hash; n++)
			;
		for (uint32_t k = 0; n > MATCH_LOOKS && k < n; k++) {
			uint32_t r = of[i + k].route;
			b->filed[r] = b->cond_probe[b->filed_cond[r]];
		}
	}
	free(of);
	return 0;
}

int
sl_filing_build(struct match_builder *b)
{
	int (*const steps[])(struct match_builder *) = {probes_build, routes_file, lens_build,
							literals_refile};
	int err = 0;

	for (unsigned i = 0; !err && i < SL_ARRAY_CNT(steps); i++)
		err = steps[i](b);
	return err;
}

/* match_build — from an object's plain lists to the indices that find uses.
 *
 *   names ─▶ keys    conditions ─▶ slots of the trie and of databases, automata
 *   routes ─▶ probes (match_filing) ─▶ lists of routes by slot, by hash, by method
 *
 * What a probe already proves is not verified again: slots say exactly what their conditions do; hashes only guess.
 */
#include <errno.h>
#include <stdlib.h>

#include "l7/match_bytes.h"
#include "l7/match_filing.h"
#include "l7/values.h"

#define LIST_ANY SL_METHOD_CNT

/* ---- keys ---- */

static uint16_t
key_name_hash(uint8_t field, const uint8_t *name, uint32_t len)
{
	return field == SL_FIELD_HEADER || field == SL_FIELD_LINES ? sl_http_name_hash(name, len)
								   : 0;
}

static uint32_t
key_intern(struct sl_match *m, uint8_t field, const struct sl_img_str *name)
{
	const uint8_t *p = m->str + name->off;

	if (field == SL_FIELD_PATH || field == SL_FIELD_METHOD)
		return MATCH_PATH;
	uint16_t hash = key_name_hash(field, p, name->len);
	uint32_t key = sl_values_key(m, field, hash, p, name->len);
	if (key != MATCH_NONE)
		return key;
	key = m->key_cnt++;
	m->key[key] = (struct match_key){.field = field,
					 .hash = hash,
					 .name = p,
					 .name_len = name->len,
					 .scan = MATCH_NONE,
					 .first = MATCH_NONE};
	uint32_t i = sl_values_key_hash(field, hash, p, name->len);
	while (m->key_table[i & m->key_mask] != MATCH_NONE)
		i++;
	m->key_table[i & m->key_mask] = key;
	if (field == SL_FIELD_HEADER || field == SL_FIELD_LINES)
		m->header_bloom |= 1ull << (hash & 63);
	m->several |= field >= SL_FIELD_LINES;
	return key;
}

static int
keys_build(struct match_builder *b)
{
	struct sl_match *m = b->m;
	uint32_t max = m->cond_cnt + m->scan_cnt + 1, room = builder_table_room(max);

	m->key = calloc(max, sizeof(*m->key));
	m->key_table = malloc(room * sizeof(*m->key_table));
	if (!m->key || !m->key_table)
		return -ENOMEM;
	memset(m->key_table, 0xff, room * sizeof(*m->key_table));
	m->key_mask = room - 1;
	m->key[MATCH_PATH] =
		(struct match_key){.field = SL_FIELD_PATH, .scan = MATCH_NONE, .first = MATCH_NONE};
	m->key_cnt = 1;
	return 0;
}

/* ---- conditions ---- */

static int
scans_build(struct match_builder *b, const struct sl_match_dbs *dbs)
{
	struct sl_match *m = b->m;

	m->scan = calloc(m->scan_cnt + 1, sizeof(*m->scan));
	if (!m->scan)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->scan_cnt; i++) {
		const struct sl_img_scan *img = &b->scan[i];
		struct match_scan *s = &m->scan[i];
		*s = (struct match_scan){.base = dbs[i].base,
					 .delta = dbs[i].delta,
					 .key = key_intern(m, img->field, &img->name),
					 .slot = m->slot_cnt,
					 .base_cnt = img->base_cnt,
					 .delta_cnt = img->delta_cnt,
					 .first = MATCH_NONE};
		s->next = m->key[s->key].scan;
		m->key[s->key].scan = i;
		m->slot_cnt += img->base_cnt + img->delta_cnt;
	}
	return 0;
}

static bool
is_always(const struct match_cond *c)
{
	return c->field == SL_FIELD_PATH && !c->invert && c->len == 0 && c->op == SL_COND_SEGMENTS;
}

static int
cond_slot(struct match_builder *b, uint32_t i)
{
	struct sl_match *m = b->m;
	struct match_cond *c = &m->cond[i];

	if (is_pattern(c)) {
		c->scan = b->cond[i].scan;
		c->slot = m->scan[c->scan].slot + b->cond[i].pattern;
		return 0;
	}
	if (!is_trie(c))
		return 0;
	if (!m->trie[c->fold] && !(m->trie[c->fold] = sl_segments_create(c->fold)))
		return -ENOMEM;
	return sl_segments_insert(m->trie[c->fold], c->op, c->value, c->len, &m->slot_cnt,
				  &c->slot);
}

/* Scans are for what automata do not understand, and for many regexes at once. */
static int
cond_pattern(struct match_builder *b, uint32_t i)
{
	struct match_cond *c = &b->m->cond[i];

	c->automaton = MATCH_NONE;
	if (c->op != SL_COND_REGEX)
		return 0;
	int err = sl_patterns_add(b->m->patterns, c->value, c->len, c->fold, &b->pattern[i]);
	c->automaton = b->pattern[i].automaton;
	return err;
}

static int
conds_build(struct match_builder *b)
{
	struct sl_match *m = b->m;

	m->cond = calloc(m->cond_cnt + 1, sizeof(*m->cond));
	m->patterns = sl_patterns_create();
	b->pattern = calloc(m->cond_cnt + 1, sizeof(*b->pattern));
	if (!m->cond || !m->patterns || !b->pattern)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->cond_cnt; i++) {
		const struct sl_img_cond *img = &b->cond[i];
		m->cond[i] = (struct match_cond){.field = img->field,
						 .op = img->op,
						 .invert = img->flags & SL_COND_INVERT,
						 .fold = img->flags & SL_COND_ICASE,
						 .key = key_intern(m, img->field, &img->name),
						 .len = img->value.len,
						 .value = m->str + img->value.off,
						 .lo = img->lo,
						 .hi = img->hi};
		int err = cond_slot(b, i);
		if (!err)
			err = cond_pattern(b, i);
		if (err)
			return err;
	}
	return 0;
}

/* ---- routes ---- */

/* Slots prove their conditions. */
static bool
is_proved(const struct match_builder *b, uint32_t r, uint32_t cond)
{
	if (is_always(&b->m->cond[cond]))
		return true;
	if (b->filed[r] == MATCH_NONE || b->cond_probe[cond] != b->filed[r])
		return false;
	return b->probe[b->filed[r]].slot != 0;
}

/* What the route's own path conditions will say about the path. */
static void
route_path(const struct sl_match *m, struct match_route *r, uint32_t cond)
{
	const struct match_cond *c = &m->cond[cond];

	if (c->field != SL_FIELD_PATH || c->invert)
		return;
	if (c->op == SL_COND_SEGMENTS)
		r->prefix = c->len;
	if (c->op == SL_COND_TEMPLATE)
		r->template = cond;
}

static void
route_build(struct match_builder *b, uint32_t r, uint32_t *cnt)
{
	struct sl_match *m = b->m;
	const struct sl_img_http_route *route = &b->route[r];

	m->route[r] = (struct match_route){.cond = *cnt, .template = MATCH_NONE};
	for (uint32_t k = 0; k < route->cond_cnt; k++)
		route_path(m, &m->route[r], b->cond_id[route->cond_first + k]);
	for (unsigned rank = 0; rank <= 3; rank++)
		for (uint32_t k = 0; k < route->cond_cnt; k++) {
			uint32_t cond = b->cond_id[route->cond_first + k];
			if (sl_cond_rank(&m->cond[cond]) == rank && !is_proved(b, r, cond))
				m->route_cond[(*cnt)++] = cond;
		}
	m->route[r].cond_cnt = *cnt - m->route[r].cond;
}

static int
routes_build(struct match_builder *b)
{
	struct sl_match *m = b->m;
	uint32_t cnt = 0, max = 1;

	for (uint32_t r = 0; r < m->img->route_cnt; r++)
		max += b->route[r].cond_cnt;
	m->route = calloc(m->img->route_cnt + 1, sizeof(*m->route));
	m->route_cond = calloc(max, sizeof(*m->route_cond));
	if (!m->route || !m->route_cond)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->cond_cnt; i++)
		m->cond[i].keep = b->cond_use[i] > 1;
	for (uint32_t r = 0; r < m->img->route_cnt; r++)
		route_build(b, r, &cnt);
	return 0;
}

/* ---- entries ---- */

static uint64_t
probe_entry_hash(struct sl_match *m, const struct match_probe *p)
{
	if (p->kind != PROBE_EXACT)
		return sl_filing_affix_hash(m, p);
	m->key[p->key].exact[p->fold] = true;
	return sl_match_entry_hash(p->key, MATCH_EXACT, p->fold, p->len,
				   sl_bytes_hash(0, p->bytes, p->len, false));
}

/* The entry's list, by number. */
static uint32_t
entry_list(struct match_builder *b, uint64_t hash)
{
	for (uint64_t i = hash >> 20;; i++) {
		struct match_entry *e = &b->m->entry[i & b->m->entry_mask];
		if (e->hash == hash)
			return e->list;
		if (!e->hash) {
			*e = (struct match_entry){hash, b->list_cnt};
			return b->list_cnt++;
		}
	}
}

static uint32_t
probe_list(struct match_builder *b, const struct match_probe *p)
{
	uint32_t *number;

	if (p->slot)
		number = &b->slot_number[p->slot];
	else if (p->kind == PROBE_PRESENT)
		number = &b->m->key[p->key].present;
	else
		return entry_list(b, probe_entry_hash(b->m, p));
	if (!*number)
		*number = b->list_cnt++;
	return *number;
}

static void
key_first(struct sl_match *m, const struct match_probe *p, uint32_t route)
{
	struct match_key *k = &m->key[p->key];

	if (p->kind == PROBE_PATTERN) {
		for (uint32_t s = k->scan; s != MATCH_NONE; s = m->scan[s].next)
			if (p->slot - m->scan[s].slot < m->scan[s].base_cnt + m->scan[s].delta_cnt)
				m->scan[s].first = SL_MIN(m->scan[s].first, route);
		m->scan_first = SL_MIN(m->scan_first, route);
	} else if (!p->slot) {
		k->first = SL_MIN(k->first, route);
		k->folds = SL_MAX(k->folds, p->fold + 1);
	}
	m->field_first[k->field] = SL_MIN(m->field_first[k->field], route);
}

static int
entries_build(struct match_builder *b)
{
	struct sl_match *m = b->m;
	uint32_t room = builder_table_room(b->probe_cnt);

	m->entry = calloc(room, sizeof(*m->entry));
	b->slot_number = calloc(m->slot_cnt, sizeof(*b->slot_number));
	if (!m->entry || !b->slot_number)
		return -ENOMEM;
	m->entry_mask = room - 1;
	memset(m->field_first, 0xff, sizeof(m->field_first));
	b->list_cnt = LIST_ANY + 1;
	for (uint32_t r = 0; r < m->img->route_cnt; r++) {
		if (b->filed[r] == MATCH_NONE)
			continue;
		struct match_probe *p = &b->probe[b->filed[r]];
		if (!p->list)
			p->list = probe_list(b, p);
		key_first(m, p, r);
	}
	return 0;
}

/* ---- lists ---- */

/* The lists that the route stands in; how many. */
static unsigned
route_lists(const struct match_builder *b, uint32_t r, uint32_t ret[SL_METHOD_CNT])
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < SL_METHOD_CNT; i++)
		if (b->method[r] >> i & 1)
			ret[cnt++] = i;
	if (!cnt)
		ret[cnt++] = b->filed[r] == MATCH_NONE ? LIST_ANY : b->probe[b->filed[r]].list;
	return cnt;
}

static void
lists_count(const struct match_builder *b, uint32_t *cnt)
{
	uint32_t list[SL_METHOD_CNT];

	for (uint32_t r = 0; r < b->m->img->route_cnt; r++)
		for (unsigned i = route_lists(b, r, list); i > 0; i--)
			cnt[list[i - 1]]++;
}

static void
lists_fill(const struct match_builder *b, uint32_t *at)
{
	uint32_t list[SL_METHOD_CNT];

	for (uint32_t r = 0; r < b->m->img->route_cnt; r++)
		for (unsigned i = route_lists(b, r, list); i > 0; i--)
			b->m->list[at[list[i - 1]]++] = r;
}

/* From numbers of lists to where they begin. */
static void
lists_point(struct match_builder *b, const uint32_t *begin)
{
	struct sl_match *m = b->m;

	for (uint32_t i = 0; i <= m->entry_mask; i++)
		if (m->entry[i].hash)
			m->entry[i].list = begin[m->entry[i].list];
	for (uint32_t i = 0; i < m->slot_cnt; i++)
		m->slot_list[i] = b->slot_number[i] ? begin[b->slot_number[i]] : MATCH_LIST_EMPTY;
	for (uint32_t i = 0; i < m->key_cnt; i++)
		m->key[i].present = m->key[i].present ? begin[m->key[i].present] : MATCH_LIST_EMPTY;
	for (unsigned i = 0; i < SL_METHOD_CNT; i++)
		m->method_list[i] = begin[i];
	m->any_list = begin[LIST_ANY];
}

static int
lists_build(struct match_builder *b)
{
	struct sl_match *m = b->m;
	uint32_t *begin = calloc(b->list_cnt, sizeof(*begin)),
		 *at = calloc(b->list_cnt, sizeof(*at));
	uint32_t words = 1;

	m->slot_list = calloc(m->slot_cnt, sizeof(*m->slot_list));
	if (!begin || !at || !m->slot_list)
		goto out;
	lists_count(b, at);
	for (uint32_t i = 0; i < b->list_cnt; i++) {
		uint32_t cnt = at[i];
		begin[i] = at[i] = cnt ? words : MATCH_LIST_EMPTY;
		words += cnt ? cnt + 1 : 0;
	}
	m->list = malloc(words * sizeof(*m->list));
	if (!m->list)
		goto out;
	memset(m->list, 0xff, words * sizeof(*m->list)); /* all ends */
	lists_fill(b, at);
	lists_point(b, begin);
	m->list_cnt = b->list_cnt;
out:
	free(begin);
	free(at);
	return m->list ? 0 : -ENOMEM;
}

/* ---- */

static void
words_lay_out(struct sl_match *m)
{
	m->cond_mark = m->slot_cnt;
	m->key_mark = m->cond_mark + m->cond_cnt;
	m->scan_mark = m->key_mark + m->key_cnt;
	m->entry_mark = m->scan_mark + m->scan_cnt;
	m->places = m->entry_mark + (m->several ? m->entry_mask + 1 : 0);
	m->present = m->places + 2 * m->key_cnt;
	m->heap = m->present + m->key_cnt;
	m->word_cnt = m->heap + 2 * m->list_cnt;
}

static void
builder_free(struct match_builder *b)
{
	free(b->probe);
	free(b->probe_table);
	free(b->cond_probe);
	free(b->pattern);
	free(b->cond_literal);
	free(b->cond_use);
	free(b->filed);
	free(b->filed_cond);
	free(b->method);
	free(b->slot_number);
}

static int
build(struct match_builder *b, const struct sl_match_dbs *dbs)
{
	int (*const steps[])(struct match_builder *) = {conds_build, sl_filing_build, routes_build,
							entries_build, lists_build};
	int err = keys_build(b);

	if (!err)
		err = scans_build(b, dbs);
	for (unsigned i = 0; !err && i < SL_ARRAY_CNT(steps); i++)
		err = steps[i](b);
	return err;
}

int
sl_match_create(const struct sl_img_vhost *img, const struct sl_match_dbs *dbs,
		struct sl_match **ret_match)
{
	const uint8_t *bytes = (const void *)img;
	struct sl_match *m = calloc(1, sizeof(*m));
	struct match_builder b = {.m = m,
				  .cond = (const void *)(bytes + img->cond_off),
				  .route = (const void *)(bytes + img->route_off),
				  .cond_id = (const void *)(bytes + img->cond_id_off),
				  .scan = (const void *)(bytes + img->scan_off)};

	if (!m)
		return -ENOMEM;
	m->img = img;
	m->str = bytes + img->str_off;
	m->cond_cnt = img->cond_cnt;
	m->scan_cnt = img->scan_cnt;
	m->slot_cnt = 1;
	m->scan_first = MATCH_NONE;
	int err = build(&b, dbs);
	builder_free(&b);
	if (err) {
		sl_match_destroy(m);
		return err;
	}
	words_lay_out(m);
	*ret_match = m;
	return 0;
}

void
sl_match_destroy(struct sl_match *m)
{
	if (!m)
		return;
	sl_segments_destroy(m->trie[0]);
	sl_segments_destroy(m->trie[1]);
	free(m->entry);
	free(m->cond);
	free(m->route);
	free(m->route_cond);
	free(m->scan);
	free(m->key);
	free(m->key_table);
	sl_patterns_destroy(m->patterns);
	free(m->list);
	free(m->slot_list);
	free(m);
}

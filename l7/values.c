/* values — see values.h. */
#include "l7/values.h"

#include "l7/match_bytes.h"
#include "l7/path.h"

/* A place is two words: what lies where (top bits) with its offset, and the length. */
enum {
	IN_HEAD = 0,
	IN_JOIN = 1u << 28,
	IN_QUERY = 2u << 28,
	IN_IDENTITY = 3u << 28,
	IN_OWN = 4u << 28, /* the offset is an index, as in */
	IN_CLAIMS = 5u << 28,
	IN_MASK = 7u << 28
};

static void
place_set(const struct match_find *f, uint32_t key, uint32_t where, uint32_t off, uint32_t len)
{
	uint32_t *place = &f->word[f->m->places + 2 * key];

	place[0] = where | off;
	place[1] = len;
}

/* ---- names ---- */

uint32_t
sl_values_key_hash(uint8_t field, uint16_t hash, const uint8_t *name, uint32_t len)
{
	if (field == SL_FIELD_HEADER || field == SL_FIELD_LINES)
		return hash * 0x9e3779b1u >> 8;
	return (uint32_t)sl_bytes_hash(field, name, len, false);
}

uint32_t
sl_values_key(const struct sl_match *m, uint8_t field, uint16_t hash, const uint8_t *name,
	      uint32_t len)
{
	bool fold = field == SL_FIELD_HEADER || field == SL_FIELD_LINES;

	for (uint32_t i = sl_values_key_hash(field, hash, name, len);; i++) {
		uint32_t key = m->key_table[i & m->key_mask];
		if (key == MATCH_NONE)
			return MATCH_NONE;
		const struct match_key *k = &m->key[key];
		if (k->field == field && k->name_len == len &&
		    sl_bytes_eq(name, k->name, len, fold))
			return key;
	}
}

/* ---- what the request has ---- */

static void
present_add(struct match_find *f, uint32_t key)
{
	f->word[f->m->present + f->present_cnt++] = key;
}

static void
header_line(struct match_find *f, const struct sl_http_line *l, uint8_t field)
{
	uint32_t key =
		sl_values_key(f->m, field, l->hash, f->in->head->bytes + l->name, l->name_len);

	if (key == MATCH_NONE)
		return;
	uint32_t mark = f->m->key_mark + key;
	if (mark_get(f, mark)) { /* one line more: joined when somebody asks */
		mark_set(f, mark, MARK_LATER);
		return;
	}
	mark_set(f, mark, MARK_TRUE);
	place_set(f, key, IN_HEAD, l->value, l->value_len);
	present_add(f, key);
}

static void
headers_read(struct match_find *f)
{
	const struct sl_http_head *h = f->in->head;

	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		if (sl_likely(!(f->m->header_bloom >> (l->hash & 63) & 1)))
			continue;
		header_line(f, l, SL_FIELD_HEADER);
		if (sl_unlikely(f->m->several))
			header_line(f, l, SL_FIELD_LINES);
	}
}

/* As if they were headers. */
static void
own_read(struct match_find *f)
{
	for (uint32_t i = 0; i < f->in->own_cnt; i++) {
		const struct sl_match_own *o = &f->in->own[i];
		if (!(f->m->header_bloom >> (o->hash & 63) & 1))
			continue;
		uint32_t key =
			sl_values_key(f->m, SL_FIELD_HEADER, o->hash, o->name.at, o->name.len);
		if (key == MATCH_NONE || mark_get(f, f->m->key_mark + key))
			continue;
		mark_set(f, f->m->key_mark + key, MARK_TRUE);
		place_set(f, key, IN_OWN | i, 0, o->value.len);
		present_add(f, key);
	}
}

static void
claims_read(struct match_find *f)
{
	for (uint32_t i = 0; i < f->in->claim_cnt; i++) {
		const struct sl_bytes *name = &f->in->claims[i].name;
		uint32_t key = sl_values_key(f->m, SL_FIELD_CLAIM, 0, name->at, name->len);
		if (key == MATCH_NONE || mark_get(f, f->m->key_mark + key))
			continue;
		mark_set(f, f->m->key_mark + key, MARK_LATER); /* the first of them, perhaps */
		place_set(f, key, IN_CLAIMS | i, 0, 0);
		present_add(f, key);
	}
}

static void
identity_read(struct match_find *f)
{
	static const uint8_t name[] = ":identity";
	const uint32_t len = sizeof(name) - 1;

	uint32_t key =
		sl_values_key(f->m, SL_FIELD_HEADER, sl_http_name_hash(name, len), name, len);
	if (key == MATCH_NONE)
		return;
	mark_set(f, f->m->key_mark + key, MARK_TRUE);
	place_set(f, key, IN_IDENTITY, 0, f->in->identity_len);
	present_add(f, key);
}

static void
header_join(struct match_find *f, uint32_t key)
{
	const struct sl_http_head *h = f->in->head;
	const struct match_key *k = &f->m->key[key];
	uint32_t from = f->joined;
	bool more = false;

	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		if (l->hash != k->hash || l->name_len != k->name_len ||
		    !sl_bytes_eq(h->bytes + l->name, k->name, k->name_len, true))
			continue;
		if (f->joined + l->value_len + 2 > MATCH_JOIN_BYTES) /* no head is that long */
			break;
		if (more) {
			memcpy(f->mem->join + f->joined, ", ", 2);
			f->joined += 2;
		}
		memcpy(f->mem->join + f->joined, h->bytes + l->value, l->value_len);
		f->joined += l->value_len;
		more = true;
	}
	place_set(f, key, IN_JOIN, from, f->joined - from);
}

/* The key of a parameter's name, which may have codes. */
static uint32_t
query_key(struct match_find *f, const uint8_t *name, uint32_t len)
{
	uint8_t buf[UINT8_MAX]; /* no key is longer */

	if (!sl_query_decode(name, len, buf, sizeof(buf), &name, &len))
		return MATCH_NONE;
	return sl_values_key(f->m, SL_FIELD_QUERY, 0, name, len);
}

static void
query_read(struct match_find *f)
{
	const uint8_t *q = f->in->query;
	uint32_t len = f->in->query_len;

	for (uint32_t at = 0, end; at < len; at = end + 1) {
		const uint8_t *amp = memchr(q + at, '&', len - at);
		end = amp ? (uint32_t)(amp - q) : len;
		const uint8_t *eq = memchr(q + at, '=', end - at);
		uint32_t name_end = eq ? (uint32_t)(eq - q) : end, value = name_end + (eq != NULL);
		uint32_t key = query_key(f, q + at, name_end - at);
		if (key == MATCH_NONE || mark_get(f, f->m->key_mark + key))
			continue;
		mark_set(f, f->m->key_mark + key, MARK_LATER); /* decoded when somebody asks */
		place_set(f, key, IN_QUERY, value, end - value);
		present_add(f, key);
	}
}

static void
query_decode(struct match_find *f, uint32_t key)
{
	const uint32_t *place = &f->word[f->m->places + 2 * key];
	uint8_t *buf = f->mem->join + f->joined;
	const uint8_t *value = buf;
	uint32_t len = 0;

	sl_query_decode(f->in->query + (place[0] & ~IN_MASK), place[1], buf,
			MATCH_JOIN_BYTES - f->joined, &value, &len);
	if (value != buf)
		return;
	place_set(f, key, IN_JOIN, f->joined, len);
	f->joined += len;
}

/* ---- cookies ---- */

struct cookies {
	const struct sl_http_head *head;
	unsigned line;
	const uint8_t *at, *end; /* of the line */
};

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool
cookies_line(struct cookies *c)
{
	const struct sl_http_head *h = c->head;

	for (; c->line < h->line_cnt; c->line++)
		if (h->line[c->line].known == SL_HTTP_COOKIE)
			break;
	if (c->line == h->line_cnt)
		return false;
	c->at = h->bytes + h->line[c->line].value;
	c->end = c->at + h->line[c->line].value_len;
	c->line++;
	return true;
}

struct cookie {
	const uint8_t *name, *value;
	uint32_t name_len, value_len;
};

/* One "name=value" after the other; what has no "=" is passed over. */
static bool
cookies_next(struct cookies *c, struct cookie *ret)
{
	for (;;) {
		while (c->at == c->end)
			if (!cookies_line(c))
				return false;
		const uint8_t *p = c->at, *semi = memchr(p, ';', (size_t)(c->end - p));
		const uint8_t *end = semi ? semi : c->end;
		c->at = semi ? semi + 1 : c->end;
		const uint8_t *eq = memchr(p, '=', (size_t)(end - p));
		if (!eq)
			continue;
		const uint8_t *name_end = eq, *value = eq + 1;
		while (p < name_end && is_space(*p))
			p++;
		while (name_end > p && is_space(name_end[-1]))
			name_end--;
		while (value < end && is_space(*value))
			value++;
		while (end > value && is_space(end[-1]))
			end--;
		*ret = (struct cookie){p, value, (uint32_t)(name_end - p), (uint32_t)(end - value)};
		return true;
	}
}

static struct cookies
cookies_of(const struct sl_http_head *head)
{
	return (struct cookies){.head = head, .line = 0, .at = NULL, .end = NULL};
}

bool
sl_cookie_find(const struct sl_http_head *head, const uint8_t *name, uint32_t name_len,
	       const uint8_t **ret, uint32_t *ret_len)
{
	struct cookies c = cookies_of(head);
	struct cookie k;

	while (cookies_next(&c, &k)) {
		if (k.name_len != name_len || memcmp(k.name, name, name_len) != 0)
			continue;
		*ret = k.value;
		*ret_len = k.value_len;
		return true;
	}
	return false;
}

static void
cookies_read(struct match_find *f)
{
	struct cookies c = cookies_of(f->in->head);
	struct cookie k;

	while (cookies_next(&c, &k)) {
		uint32_t key = sl_values_key(f->m, SL_FIELD_COOKIE, 0, k.name, k.name_len);
		if (key == MATCH_NONE || mark_get(f, f->m->key_mark + key))
			continue;
		mark_set(f, f->m->key_mark + key, MARK_TRUE);
		place_set(f, key, IN_HEAD, (uint32_t)(k.value - f->in->head->bytes), k.value_len);
		present_add(f, key);
	}
}

/* ---- */

void
sl_values_read(struct match_find *f, uint8_t field)
{
	if (field == SL_FIELD_LINES)
		field = SL_FIELD_HEADER; /* they are read with it */
	if (f->fields >> field & 1)
		return;
	f->fields |= (uint8_t)(1u << field);
	switch (field) {
	case SL_FIELD_HEADER:
		headers_read(f);
		if (sl_unlikely(f->in->identity != NULL))
			identity_read(f);
		if (sl_unlikely(f->in->own_cnt))
			own_read(f);
		break;
	case SL_FIELD_CLAIM:
		claims_read(f);
		break;
	case SL_FIELD_QUERY:
		query_read(f);
		break;
	case SL_FIELD_COOKIE:
		cookies_read(f);
		break;
	default:
		break;
	}
}

static void
place_get(const struct match_find *f, uint32_t key, const uint8_t **ret, uint32_t *ret_len)
{
	const uint32_t *place = &f->word[f->m->places + 2 * key];
	uint32_t where = place[0] & IN_MASK, off = place[0] & ~(uint32_t)IN_MASK;

	*ret_len = place[1];
	if (where == IN_OWN)
		*ret = f->in->own[off].value.at;
	else
		*ret = (where == IN_JOIN       ? f->mem->join
			: where == IN_QUERY    ? f->in->query
			: where == IN_IDENTITY ? f->in->identity
					       : f->in->head->bytes) +
		       off;
}

bool
sl_values_get(struct match_find *f, uint32_t key, const uint8_t **ret, uint32_t *ret_len)
{
	if (key == MATCH_PATH) {
		*ret = f->in->path;
		*ret_len = f->in->path_len;
		return true;
	}
	sl_values_read(f, f->m->key[key].field);
	uint32_t mark = f->m->key_mark + key;
	unsigned state = mark_get(f, mark);
	if (!state)
		return false;
	if (state == MARK_LATER) {
		if (f->m->key[key].field == SL_FIELD_HEADER)
			header_join(f, key);
		else
			query_decode(f, key);
		mark_set(f, mark, MARK_TRUE);
	}
	place_get(f, key, ret, ret_len);
	return true;
}

/* ---- one after the other ---- */

static bool
lines_next(struct match_find *f, uint32_t key, struct values_each *each, const uint8_t **ret,
	   uint32_t *ret_len)
{
	const struct sl_http_head *h = f->in->head;
	const struct match_key *k = &f->m->key[key];

	while (each->at < h->line_cnt) {
		const struct sl_http_line *l = &h->line[each->at++];
		if (l->hash != k->hash || l->name_len != k->name_len ||
		    !sl_bytes_eq(h->bytes + l->name, k->name, k->name_len, true))
			continue;
		*ret = h->bytes + l->value;
		*ret_len = l->value_len;
		return true;
	}
	if (each->at++ > h->line_cnt)
		return false;
	if ((f->word[f->m->places + 2 * key] & IN_MASK) != IN_JOIN)
		header_join(f, key);
	place_get(f, key, ret, ret_len);
	return true;
}

static bool
claims_next(const struct match_find *f, uint32_t key, struct values_each *each, const uint8_t **ret,
	    uint32_t *ret_len)
{
	const struct match_key *k = &f->m->key[key];

	if (each->at == 0)
		each->at = f->word[f->m->places + 2 * key] & ~(uint32_t)IN_MASK;
	while (each->at < f->in->claim_cnt) {
		const struct sl_claim *c = &f->in->claims[each->at++];
		if (c->name.len != k->name_len || memcmp(c->name.at, k->name, k->name_len) != 0)
			continue;
		*ret = c->value.at;
		*ret_len = c->value.len;
		return true;
	}
	return false;
}

bool
sl_values_next(struct match_find *f, uint32_t key, struct values_each *each, const uint8_t **ret,
	       uint32_t *ret_len)
{
	uint8_t field = f->m->key[key].field;

	if (sl_likely(field < SL_FIELD_LINES))
		return each->at++ == 0 && sl_values_get(f, key, ret, ret_len);
	sl_values_read(f, field);
	unsigned state = mark_get(f, f->m->key_mark + key);
	if (!state)
		return false;
	if (field == SL_FIELD_CLAIM)
		return claims_next(f, key, each, ret, ret_len);
	if (state == MARK_LATER)
		return lines_next(f, key, each, ret, ret_len);
	place_get(f, key, ret, ret_len);
	return each->at++ == 0;
}

/* cond — whether one condition holds for the request that is looked at. */
#include "l7/match_bytes.h"
#include "l7/match_priv.h"
#include "l7/values.h"

/* A whole decimal integer with or without a sign, in [lo, hi).  What does not fit 64 bits is in no range. */
static bool
in_range(const uint8_t *p, uint32_t n, int64_t lo, int64_t hi)
{
	bool minus = n && p[0] == '-';
	uint32_t i = n && (p[0] == '-' || p[0] == '+');
	int64_t v = 0;

	if (i == n)
		return false;
	for (; i < n; i++) {
		int digit = p[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, minus ? -digit : digit, &v))
			return false;
	}
	return v >= lo && v < hi;
}

static bool
of_segments(const struct match_cond *c, const uint8_t *p, uint32_t n)
{
	if (c->len == 0)
		return true;
	return n >= c->len && sl_bytes_eq(p, c->value, c->len, c->fold) &&
	       (n == c->len || p[c->len] == '/');
}

static bool
of_template(const struct match_cond *c, const uint8_t *p, uint32_t n)
{
	uint32_t cnt;

	return sl_segments_template(c->value, c->len, c->fold, p, n, NULL, 0, &cnt);
}

/* One regex of a value that is not scanned yet: by itself, else by the database. */
static bool
of_pattern(struct match_find *f, const struct match_cond *c, const uint8_t *p, uint32_t n)
{
	if (c->automaton != MATCH_NONE && n <= SL_PATTERN_VALUE_MAX && f->looks < MATCH_LOOKS &&
	    !f->slow && !mark_get(f, f->m->scan_mark + c->scan)) {
		f->looks++;
		return sl_patterns_matches(f->m->patterns, c->automaton, p, n);
	}
	sl_match_scan(f, c->scan);
	return mark_get(f, c->slot) == MARK_TRUE;
}

static bool
value_holds(struct match_find *f, const struct match_cond *c, const uint8_t *p, uint32_t n)
{
	switch (c->op) {
	case SL_COND_EXACT:
		return n == c->len && sl_bytes_eq(p, c->value, n, c->fold);
	case SL_COND_PREFIX:
		return n >= c->len && sl_bytes_eq(p, c->value, c->len, c->fold);
	case SL_COND_SUFFIX:
		return n >= c->len && sl_bytes_eq(p + n - c->len, c->value, c->len, c->fold);
	case SL_COND_SEGMENTS:
		return of_segments(c, p, n);
	case SL_COND_TEMPLATE:
		return of_template(c, p, n);
	case SL_COND_CONTAINS:
	case SL_COND_REGEX:
		return of_pattern(f, c, p, n);
	case SL_COND_PRESENT:
		return true;
	case SL_COND_RANGE:
		return in_range(p, n, c->lo, c->hi);
	default:
		return false;
	}
}

static bool
method_holds(const struct match_find *f, const struct match_cond *c)
{
	const struct sl_http_head *h = f->in->head;

	if (c->op == SL_COND_IN)
		return c->lo >> h->method & 1;
	return c->op == SL_COND_EXACT && h->method_len == c->len &&
	       sl_bytes_eq(h->bytes, c->value, c->len, c->fold);
}

static bool
path_holds(struct match_find *f, const struct match_cond *c)
{
	const struct sl_bytes *loose = &f->in->loose;
	bool is = c->slot && c->op < SL_COND_PREFIX && !f->slow
			  ? mark_get(f, c->slot) == MARK_TRUE
			  : value_holds(f, c, f->in->path, f->in->path_len);

	if (sl_unlikely(c->invert && loose->at && !is))
		is = value_holds(f, c, loose->at, loose->len);
	return is != c->invert;
}

static bool
any_holds(struct match_find *f, const struct match_cond *c)
{
	struct values_each each = {0};
	const uint8_t *p;
	uint32_t n;

	while (sl_values_next(f, c->key, &each, &p, &n))
		if (value_holds(f, c, p, n))
			return true;
	return false;
}

static bool
holds(struct match_find *f, const struct match_cond *c)
{
	const uint8_t *p;
	uint32_t n;

	if (c->field == SL_FIELD_METHOD)
		return method_holds(f, c) != c->invert;
	if (c->field == SL_FIELD_PATH)
		return path_holds(f, c);
	if (sl_unlikely(c->field >= SL_FIELD_LINES))
		return any_holds(f, c) != c->invert;
	return (sl_values_get(f, c->key, &p, &n) && value_holds(f, c, p, n)) != c->invert;
}

bool
sl_cond_holds(struct match_find *f, uint32_t cond)
{
	const struct match_cond *c = &f->m->cond[cond];

	if (!c->keep)
		return holds(f, c);
	unsigned known = mark_get(f, f->m->cond_mark + cond);
	if (known)
		return known == MARK_TRUE;
	bool is = holds(f, c);
	mark_set(f, f->m->cond_mark + cond, is ? MARK_TRUE : MARK_FALSE);
	return is;
}

unsigned
sl_cond_rank(const struct match_cond *c)
{
	if (c->op == SL_COND_REGEX || c->op == SL_COND_CONTAINS)
		return 3;
	if (c->field == SL_FIELD_METHOD)
		return 0;
	if (c->field == SL_FIELD_PATH && c->slot)
		return 1;
	return 2;
}

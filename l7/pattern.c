/* pattern — see pattern.h.
 *
 * The text is read twice: first to see whether all of it is understood and whether it has branches at its top, then, if it has
 * none, with its first plain bytes taken out as the literal.
 */
#include "l7/pattern.h"

#include <errno.h>
#include <stdlib.h>

#include "l7/match_bytes.h"

#define STEPS_MAX 4096 /* atoms read of one text, repetitions counted */
#define DEPTH_MAX 16

struct set {
	uint64_t bits[4];
};

struct position {
	uint64_t follow;
	uint32_t set;
};

struct automaton {
	uint64_t first, last;
	uint32_t position; /* the first one */
	uint8_t literal_len;
	bool nullable, fold;
	uint8_t literal[SL_PATTERN_LITERAL_MAX];
};

struct sl_patterns {
	struct set *set; /* [0, 256): one byte each */
	struct position *position;
	struct automaton *automaton;
	uint32_t set_cnt, set_room, position_cnt, position_room, automaton_cnt, automaton_room;
};

static int
reserve(void *array, uint32_t cnt, uint32_t *room, size_t size)
{
	void **a = array;
	uint32_t more = *room ? *room : 64;

	if (cnt <= *room)
		return 0;
	while (more < cnt)
		more *= 2;
	void *p = realloc(*a, more * size);
	if (!p)
		return -ENOMEM;
	*a = p;
	*room = more;
	return 0;
}

/* ---- sets ---- */

static void
set_add(struct set *s, uint8_t c)
{
	s->bits[c >> 6] |= 1ull << (c & 63);
}

static bool
set_has(const struct set *s, uint8_t c)
{
	return s->bits[c >> 6] >> (c & 63) & 1;
}

static void
set_range(struct set *s, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		set_add(s, (uint8_t)c);
}

static void
set_invert(struct set *s)
{
	for (unsigned i = 0; i < 4; i++)
		s->bits[i] = ~s->bits[i];
}

/* A letter brings its other case. */
static void
set_fold(struct set *s)
{
	for (unsigned c = 'a'; c <= 'z'; c++)
		if (set_has(s, (uint8_t)c) || set_has(s, (uint8_t)(c - 0x20))) {
			set_add(s, (uint8_t)c);
			set_add(s, (uint8_t)(c - 0x20));
		}
}

/* The set's index, or −errno.  Past some hundreds, equal ones are kept twice. */
static int64_t
set_find(struct sl_patterns *ps, const struct set *s)
{
	for (unsigned i = 0, cnt = 0; i < 4; i++) {
		cnt += (unsigned)__builtin_popcountll(s->bits[i]);
		if (cnt == 1 && s->bits[i] &&
		    memcmp(&ps->set[64 * i + (unsigned)__builtin_ctzll(s->bits[i])], s,
			   sizeof(*s)) == 0)
			return 64 * i + (unsigned)__builtin_ctzll(s->bits[i]);
	}
	for (uint32_t i = 256; i < SL_MIN(ps->set_cnt, 512u); i++)
		if (memcmp(&ps->set[i], s, sizeof(*s)) == 0)
			return i;
	if (reserve(&ps->set, ps->set_cnt + 1, &ps->set_room, sizeof(*ps->set)))
		return -ENOMEM;
	ps->set[ps->set_cnt] = *s;
	return ps->set_cnt++;
}

/* ---- reading ---- */

struct reader {
	struct sl_patterns *ps;
	const uint8_t *at, *end;
	bool fold;
	bool bad;      /* not understood */
	bool many;     /* more positions than there is room for */
	bool branches; /* at the top */
	bool strip;    /* plain bytes at the beginning are the literal */
	int err;
	unsigned depth, steps;
	uint32_t cnt; /* positions */
	struct position position[SL_PATTERN_POSITIONS];
	struct sl_pattern *out;
};

/* A part of the text: which positions it can begin and end with, and whether it can be nothing. */
struct part {
	uint64_t first, last;
	bool nullable;
};

static const struct part nothing = {0, 0, true};

static struct part
refuse(struct reader *r)
{
	r->bad = true;
	r->at = r->end;
	return nothing;
}

static struct part
one_of(struct reader *r, struct set *s)
{
	if (r->fold)
		set_fold(s);
	int64_t set = r->many ? 0 : set_find(r->ps, s);
	if (set < 0)
		r->err = (int)set;
	if (r->cnt == SL_PATTERN_POSITIONS)
		r->many = true;
	if (set < 0 || r->many)
		return (struct part){0, 0, false};
	r->position[r->cnt] = (struct position){0, (uint32_t)set};
	uint64_t bit = 1ull << r->cnt++;
	return (struct part){bit, bit, false};
}

static void
follow(struct reader *r, uint64_t last, uint64_t first)
{
	for (; last; last &= last - 1)
		r->position[__builtin_ctzll(last)].follow |= first;
}

static struct part
then(struct reader *r, struct part a, struct part b)
{
	follow(r, a.last, b.first);
	return (struct part){a.first | (a.nullable ? b.first : 0),
			     b.last | (b.nullable ? a.last : 0), a.nullable && b.nullable};
}

static bool
is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

static bool
is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

static bool
is_special(uint8_t c)
{
	return c == '\0' || strchr(".[](){}|*+?^$\\", c) != NULL;
}

/* What stands behind a "\": a set, or a byte. */
static bool
escape(struct reader *r, struct set *s)
{
	uint8_t c = r->at < r->end ? *r->at++ : 'z';

	if (!is_letter(c) && !is_digit(c) && c > ' ' && c < 0x7f) {
		set_add(s, c);
		return true;
	}
	/* Texts that are folded may have been put into lower case, which turns \D into \d. */
	if (r->fold || c == '\0' || !strchr("dDwW", c))
		return false;
	set_range(s, '0', '9');
	if ((c | 0x20) == 'w') {
		set_range(s, 'a', 'z');
		set_range(s, 'A', 'Z');
		set_add(s, '_');
	}
	if (c == 'D' || c == 'W')
		set_invert(s);
	return true;
}

/* One byte, range or \-set of […]. */
static bool
class_item(struct reader *r, struct set *s)
{
	struct set one = {0};
	uint8_t c = *r->at++;

	if (c == '\\') {
		if (!escape(r, &one) || (r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] != ']'))
			return false;
		for (unsigned i = 0; i < 4; i++)
			s->bits[i] |= one.bits[i];
		return true;
	}
	if (c == '[' || c == '^' || c == '&' || c == '~')
		return false; /* [:alpha:] and what others take for more than a byte */
	if (r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] != ']') {
		uint8_t to = r->at[1];
		if (c == '-' || to < c || to == '\\' || to == '[' || to == '-')
			return false;
		r->at += 2;
		set_range(s, c, to);
		return true;
	}
	set_add(s, c);
	return true;
}

static struct part class(struct reader *r)
{
	struct set s = {0};
	bool invert = r->at < r->end && *r->at == '^';

	r->at += invert;
	if (r->at == r->end || *r->at == ']')
		return refuse(r);
	while (r->at < r->end && *r->at != ']')
		if (!class_item(r, &s))
			return refuse(r);
	if (r->at == r->end)
		return refuse(r);
	r->at++;
	if (r->fold)
		set_fold(&s);
	if (invert)
		set_invert(&s);
	return one_of(r, &s);
}

static struct part branches(struct reader *r);

static struct part
group(struct reader *r)
{
	if (r->at < r->end && (*r->at == '?' || *r->at == '*')) {
		if (r->end - r->at < 2 || r->at[0] != '?' || r->at[1] != ':')
			return refuse(r);
		r->at += 2;
	}
	if (++r->depth > DEPTH_MAX)
		return refuse(r);
	struct part p = branches(r);
	r->depth--;
	if (r->at == r->end || *r->at != ')')
		return refuse(r);
	r->at++;
	return p;
}

static struct part
atom(struct reader *r)
{
	struct set s = {0};
	uint8_t c = *r->at++;

	if (++r->steps > STEPS_MAX)
		return refuse(r);
	switch (c) {
	case '(':
		return group(r);
	case '[':
		return class(r);
	case '.':
		set_invert(&s);
		return one_of(r, &s);
	case '\\':
		return escape(r, &s) ? one_of(r, &s) : refuse(r);
	default:
		if (is_special(c))
			return refuse(r);
		set_add(&s, c);
		return one_of(r, &s);
	}
}

/* A number of {n,m}; −1: none. */
static int
number(struct reader *r)
{
	int n = -1;

	for (; r->at < r->end && is_digit(*r->at) && n < 1000; r->at++)
		n = (n < 0 ? 0 : n) * 10 + (*r->at - '0');
	return n;
}

/* *ret_max −1: any number. */
static bool
quantity(struct reader *r, int *ret_min, int *ret_max)
{
	uint8_t c = r->at < r->end ? *r->at : 0;

	*ret_min = *ret_max = 1;
	if (c != '*' && c != '+' && c != '?' && c != '{')
		return true;
	r->at++;
	*ret_min = c == '+';
	*ret_max = c == '?' ? 1 : -1;
	if (c == '{') {
		*ret_min = *ret_max = number(r);
		if (r->at < r->end && *r->at == ',') {
			r->at++;
			*ret_max = number(r);
		}
		if (r->at == r->end || *r->at++ != '}' || *ret_min < 0 ||
		    (*ret_max >= 0 && *ret_max < *ret_min))
			return false;
	}
	if (r->at < r->end && *r->at == '?') /* lazy: the same values match */
		r->at++;
	return r->at == r->end || !strchr("*+?{", *r->at);
}

/* An atom with its number of times: read anew for each time, so that each has positions of its own. */
static struct part
repeat(struct reader *r)
{
	const uint8_t *from = r->at, *end;
	uint32_t cnt = r->cnt;
	struct part all = nothing, p = atom(r);
	int min, max;

	if (r->bad || !quantity(r, &min, &max))
		return refuse(r);
	end = r->at;
	if (max == 0)
		r->cnt = cnt; /* its positions are forgotten */
	for (int i = 0; i < SL_MAX(min, max < 0 ? 1 : max) && !r->bad; i++) {
		if (i > 0) {
			r->at = from;
			p = atom(r);
		}
		if (max < 0 && i + 1 >= min)
			follow(r, p.last, p.first);
		p.nullable |= i >= min;
		all = then(r, all, p);
	}
	if (r->bad)
		return refuse(r);
	r->at = end;
	return all;
}

/* The plain bytes at the beginning, but the one that a quantity belongs to. */
static void
literal_strip(struct reader *r)
{
	struct sl_pattern *out = r->out;

	while (r->at < r->end && out->literal_len < SL_PATTERN_LITERAL_MAX) {
		const uint8_t *p = r->at;
		uint8_t c = *p++;
		if (c == '\\') {
			struct set s = {0};
			r->at = p;
			c = p < r->end ? *p++ : 'z';
			bool plain = !is_letter(c) && escape(r, &s);
			r->at = p - 2;
			if (!plain)
				return;
		} else if (is_special(c)) {
			return;
		}
		if (p < r->end && strchr("*+?{", *p))
			return;
		out->literal[out->literal_len++] = r->fold ? sl_byte_fold(c) : c;
		r->at = p;
	}
}

static struct part
sequence(struct reader *r)
{
	struct part all = nothing;

	if (r->depth == 0 && r->at < r->end && *r->at == '^')
		r->at++;
	if (r->strip && r->depth == 0)
		literal_strip(r);
	while (r->at < r->end && *r->at != '|' && *r->at != ')' && !r->err) {
		if (*r->at == '$' && r->depth == 0 && (r->at + 1 == r->end || r->at[1] == '|')) {
			r->at++;
			break;
		}
		struct part p = repeat(r);
		all = then(r, all, p);
	}
	return all;
}

static struct part
branches(struct reader *r)
{
	struct part all = sequence(r);

	while (r->at < r->end && *r->at == '|') {
		r->at++;
		r->branches |= r->depth == 0;
		struct part p = sequence(r);
		all.first |= p.first;
		all.last |= p.last;
		all.nullable |= p.nullable;
	}
	return all;
}

static struct part
read_whole(struct reader *r, const uint8_t *text, uint32_t len)
{
	r->at = text;
	r->end = text + len;
	struct part p = branches(r);
	if (r->at < r->end)
		return refuse(r); /* a ")" too many */
	return p;
}

/* ---- the collection ---- */

static int
automaton_add(struct sl_patterns *ps, const struct reader *r, const struct part *p,
	      struct sl_pattern *ret)
{
	struct automaton a = {.first = p->first,
			      .last = p->last,
			      .position = ps->position_cnt,
			      .literal_len = ret->literal_len,
			      .nullable = p->nullable,
			      .fold = r->fold};

	memcpy(a.literal, ret->literal, sizeof(a.literal));
	if (reserve(&ps->position, ps->position_cnt + r->cnt, &ps->position_room,
		    sizeof(*ps->position)) ||
	    reserve(&ps->automaton, ps->automaton_cnt + 1, &ps->automaton_room,
		    sizeof(*ps->automaton)))
		return -ENOMEM;
	if (r->cnt)
		memcpy(ps->position + ps->position_cnt, r->position,
		       r->cnt * sizeof(*ps->position));
	ps->position_cnt += r->cnt;
	ret->automaton = ps->automaton_cnt;
	ps->automaton[ps->automaton_cnt++] = a;
	return 0;
}

int
sl_patterns_add(struct sl_patterns *ps, const uint8_t *text, uint32_t len, bool fold,
		struct sl_pattern *ret)
{
	struct reader first = {.ps = ps, .fold = fold, .out = ret};
	struct reader r = {.ps = ps, .fold = fold, .out = ret};

	memset(ret, 0, sizeof(*ret));
	ret->automaton = UINT32_MAX;
	read_whole(&first, text, len);
	if (first.bad || first.err)
		return first.err;
	r.strip = !first.branches;
	struct part p = read_whole(&r, text, len);
	if (r.bad || r.many || r.err)
		return r.err;
	return automaton_add(ps, &r, &p, ret);
}

struct sl_patterns *
sl_patterns_create(void)
{
	struct sl_patterns *ps = calloc(1, sizeof(*ps));

	if (!ps || reserve(&ps->set, 512, &ps->set_room, sizeof(*ps->set)) ||
	    reserve(&ps->position, 1, &ps->position_room, sizeof(*ps->position))) {
		sl_patterns_destroy(ps);
		return NULL;
	}
	memset(ps->set, 0, 256 * sizeof(*ps->set));
	for (unsigned c = 0; c < 256; c++)
		set_add(&ps->set[c], (uint8_t)c);
	ps->set_cnt = 256;
	return ps;
}

void
sl_patterns_destroy(struct sl_patterns *ps)
{
	if (!ps)
		return;
	free(ps->set);
	free(ps->position);
	free(ps->automaton);
	free(ps);
}

bool
sl_patterns_matches(const struct sl_patterns *ps, uint32_t automaton, const uint8_t *value,
		    uint32_t n)
{
	const struct automaton *a = &ps->automaton[automaton];
	const struct position *position = ps->position + a->position;
	uint64_t now = 0, next = a->first;

	if (n < a->literal_len || !sl_bytes_eq(value, a->literal, a->literal_len, a->fold))
		return false;
	if (n == a->literal_len)
		return a->nullable;
	for (uint32_t i = a->literal_len; i < n; i++) {
		uint64_t may = next;
		now = next = 0;
		for (; may; may &= may - 1) {
			const struct position *p = &position[__builtin_ctzll(may)];
			if (!set_has(&ps->set[p->set], value[i]))
				continue;
			now |= may & -may;
			next |= p->follow;
		}
		if (!now)
			return false;
	}
	return now & a->last;
}

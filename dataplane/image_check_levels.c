/* A service's subsets and levels.  The levels' own sections stand behind all others, level by level: who is a member, then who has
 * which place.  What depends on endpoints that could not be read is not looked at: that was reported. */
#include "dataplane/image_check_priv.h"

#include "lb/maglev.h"

/* What may stand in tables: by index, of all that 16 bits can say. */
enum { NOBODY, WEIGHTLESS, STRANGER, TAKER };

struct levels {
	struct sl_look *c;
	const struct sl_img_service *s;
	const struct sl_img_endpoint *endpoints; /* NULL: not readable */
	const struct sl_img_subset *subsets;
	uint32_t of[1 + SL_MAX_SUBSETS];       /* levels of the whole and of each subset */
	uint32_t seen;                         /* endpoints in levels of the whole */
	bool placed[SL_MAX_SERVICE_ENDPOINTS]; /* in an earlier level of the same subset */
	/* of the level under look */
	uint8_t taker[UINT16_MAX + 1];
	bool weighs; /* a member has weight */
	bool all;    /* every endpoint may stand in tables */
	char name[48];
};

static void
must_be(struct levels *l, const char *section, uint32_t i, const char *field, uint32_t v,
	uint32_t wanted)
{
	if (v != wanted)
		sl_look_bad(l->c, section, i, field, "is %u, must be %u", v, wanted);
}

/* ---- subsets ---- */

static void
check_subset(struct levels *l, uint32_t i, uint32_t first)
{
	const struct sl_img_subset *s = &l->subsets[i];

	sl_look_name(l->c, "subsets", i, "name", s->name);
	sl_look_range(l->c, "subsets", i, "any", s->any, 0, 1);
	sl_look_zero(l->c, "subsets", i, "zero", s->zero);
	if (i > 0)
		sl_look_order(l->c, "subsets", i, memcmp(s[-1].name, s->name, SL_NAME_MAX), "name");
	must_be(l, "subsets", i, "level_first", s->level_first, first);
	must_be(l, "subsets", i, "level_cnt", s->level_cnt, l->of[1 + i]);
}

/* ---- levels: who is in them ---- */

/* The level's place among others: sorted, dense in each subset. */
static bool
check_place(struct levels *l, const struct sl_img_level *v, uint32_t i)
{
	bool first = i == 0 || v[-1].subset != v->subset;
	unsigned before = l->c->bad;

	sl_look_range(l->c, "levels", i, "subset", v->subset, i == 0 ? 0 : v[-1].subset,
		      i == 0 ? 0 : l->s->subset_cnt);
	sl_look_range(l->c, "levels", i, "priority", v->priority, 0, SL_MAX_LEVELS - 1);
	must_be(l, "levels", i, "priority", v->priority, first ? 0 : v[-1].priority + 1);
	sl_look_zero(l->c, "levels", i, "zero", v->zero);
	sl_look_range(l->c, "levels", i, "beside", v->beside, 0, !first && l->s->zone_min);
	sl_look_range(l->c, "levels", i, "zone", v->zone, v->beside && !first ? v[-1].zone + 1u : 0,
		      l->s->zone_min ? SL_MAX_LEVELS - 1 : 0);
	if (first)
		memset(l->placed, 0, l->s->endpoint_cnt);
	return l->c->bad == before;
}

static const char *
section_of(struct levels *l, uint32_t level, const char *section)
{
	snprintf(l->name, sizeof(l->name), "levels[%u].%s", level, section);
	return l->name;
}

static void
take_member(struct levels *l, const char *name, uint32_t i, uint32_t e)
{
	if (e >= l->s->endpoint_cnt) {
		sl_look_bad(l->c, name, i, "", "is %u, must be in [0, %u]: an endpoint", e,
			    l->s->endpoint_cnt - 1);
		return;
	}
	if (l->placed[e])
		sl_look_bad(l->c, name, i, "", "%u is in an earlier level of the same subset", e);
	l->placed[e] = true;
	l->taker[e] = !l->endpoints || l->endpoints[e].weight ? TAKER : WEIGHTLESS;
	l->weighs |= l->taker[e] == TAKER;
}

/* Members, from their list or all; false: they cannot be read. */
static bool
check_members(struct levels *l, const struct sl_img_level *v, uint32_t i)
{
	uint32_t all = l->s->endpoint_cnt;
	bool listed = v->member_cnt != all;

	sl_look_range(l->c, "levels", i, "member_cnt", v->member_cnt, 1, all);
	if (v->member_cnt < 1 || v->member_cnt > all)
		return false;
	const char *name = section_of(l, i, "members");
	const uint16_t *m =
		sl_look_open(l->c, &(struct sl_look_section){name, listed ? v->member_cnt : 0,
							     v->member_off, 0, all, sizeof(*m)});
	if (listed && !m)
		return false;
	memset(l->taker, STRANGER, all);
	l->weighs = false;
	for (uint32_t k = 0; k < v->member_cnt; k++) {
		if (listed && k > 0 && m[k - 1] >= m[k])
			sl_look_order(l->c, name, k, m[k - 1] > m[k], "index");
		take_member(l, name, k, listed ? m[k] : k);
	}
	l->all = !listed && !memchr(l->taker, WEIGHTLESS, all);
	l->seen += v->subset == 0 ? v->member_cnt : 0;
	return true;
}

/* ---- levels: their tables ---- */

/* What maglev_cnt, sched_cnt and ring_cnt must be, given what the members weigh. */
static void
check_counts(struct levels *l, const struct sl_img_level *v, uint32_t i)
{
	uint8_t policy = l->s->policy;
	bool rr = policy == SL_POLICY_ROUND_ROBIN, table = sl_policy_has_table(policy);
	bool ring = policy == SL_POLICY_RING_HASH;
	const uint32_t no = SL_LOOK_NOWHERE;

	if (l->weighs && rr && v->sched_cnt == 0)
		sl_look_bad(l->c, section_of(l, i, "sched"), no, "cnt",
			    "is 0, must be in [1, %u]: the policy is round robin and some weight "
			    "is over 0",
			    SL_MAX_SCHED);
	if (!(l->weighs && rr) && v->sched_cnt != 0)
		sl_look_bad(l->c, section_of(l, i, "sched"), no, "cnt", "is %u, must be 0: %s",
			    v->sched_cnt,
			    rr ? "no member has weight" : "the policy is not round robin");
	if (l->weighs && table && !sl_maglev_size_listed(v->maglev_cnt))
		sl_look_bad(l->c, section_of(l, i, "maglev"), no, "cnt",
			    "is %u, must be one of the listed primes in [101, %u]", v->maglev_cnt,
			    SL_MAX_MAGLEV);
	if (!(l->weighs && table) && v->maglev_cnt != 0)
		sl_look_bad(l->c, section_of(l, i, "maglev"), no, "cnt", "is %u, must be 0: %s",
			    v->maglev_cnt,
			    table ? "no member has weight" : "the policy has no Maglev table");
	if (l->weighs && ring && v->ring_cnt == 0)
		sl_look_bad(l->c, section_of(l, i, "ring"), no, "cnt",
			    "is 0, must be in [1, %u]: the policy is ring hash and some weight is "
			    "over 0",
			    SL_MAX_RING);
	if (!(l->weighs && ring) && v->ring_cnt != 0)
		sl_look_bad(l->c, section_of(l, i, "ring"), no, "cnt", "is %u, must be 0: %s",
			    v->ring_cnt,
			    ring ? "no member has weight" : "the policy is not ring hash");
}

/* One entry of a table, which is not a taker. */
static void
bad_entry(struct levels *l, const char *name, uint32_t i, const char *field, uint32_t e)
{
	uint8_t is = e <= UINT16_MAX ? l->taker[e] : NOBODY;

	if (is == NOBODY)
		sl_look_bad(l->c, name, i, field, "is %u, must be in [0, %u]: an endpoint", e,
			    l->s->endpoint_cnt - 1);
	else
		sl_look_bad(l->c, name, i, field, "is %u, %s", e,
			    is == STRANGER ? "no member of the level" : "an endpoint of weight 0");
}

/* Entries of the Maglev table or of the schedule. */
static void
check_entries(struct levels *l, const char *name, const uint16_t *t, uint32_t cnt)
{
	uint32_t endpoint_cnt = l->s->endpoint_cnt;
	unsigned bad = 0;

	if (l->all) /* no branch, no look-up: this goes over megabytes */
		for (uint32_t i = 0; i < cnt; i++)
			bad |= t[i] >= endpoint_cnt;
	else
		for (uint32_t i = 0; i < cnt; i++)
			bad |= l->taker[t[i]] != TAKER;
	for (uint32_t i = 0; bad && i < cnt; i++)
		if (l->taker[t[i]] != TAKER)
			bad_entry(l, name, i, "", t[i]);
}

static void
check_points(struct levels *l, const char *name, const struct sl_img_point *p, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		if (p[i].endpoint > UINT16_MAX || l->taker[p[i].endpoint] != TAKER)
			bad_entry(l, name, i, "endpoint", p[i].endpoint);
		/* two points of an endpoint may meet */
		if (i > 0 && (p[i - 1].hash > p[i].hash ||
			      (p[i - 1].hash == p[i].hash && p[i - 1].endpoint > p[i].endpoint)))
			sl_look_order(l->c, name, i, 1, "(hash, endpoint)");
	}
}

/* `whole`: the members could be read. */
static void
check_tables(struct levels *l, const struct sl_img_level *v, uint32_t i, bool whole)
{
	if (whole && l->endpoints)
		check_counts(l, v, i);
	const char *name = section_of(l, i, "maglev");
	const uint16_t *t =
		sl_look_open(l->c, &(struct sl_look_section){name, v->maglev_cnt, v->maglev_off, 0,
							     SL_MAX_MAGLEV, sizeof(*t)});
	if (t && whole)
		check_entries(l, name, t, v->maglev_cnt);
	name = section_of(l, i, "sched");
	t = sl_look_open(l->c, &(struct sl_look_section){name, v->sched_cnt, v->sched_off, 0,
							 SL_MAX_SCHED, sizeof(*t)});
	if (t && whole)
		check_entries(l, name, t, v->sched_cnt);
	name = section_of(l, i, "ring");
	const struct sl_img_point *p =
		sl_look_open(l->c, &(struct sl_look_section){name, v->ring_cnt, v->ring_off, 0,
							     SL_MAX_RING, sizeof(*p)});
	if (p && whole)
		check_points(l, name, p, v->ring_cnt);
}

/* ---- the whole ---- */

static void
check_subsets(struct levels *l)
{
	uint32_t first = l->of[0];

	for (uint32_t i = 0; l->subsets && i < l->s->subset_cnt; i++) {
		check_subset(l, i, first);
		first += l->of[1 + i];
	}
}

static void
check_levels(struct levels *l, const struct sl_img_level *v)
{
	bool placed = true, read = true;

	for (uint32_t i = 0; i < l->s->level_cnt; i++) {
		placed &= check_place(l, &v[i], i);
		bool whole = check_members(l, &v[i], i);
		read &= whole;
		check_tables(l, &v[i], i, whole);
		if (v[i].subset < SL_ARRAY_CNT(l->of))
			l->of[v[i].subset]++;
	}
	if (placed)
		check_subsets(l);
	if (placed && read && l->s->level_cnt && l->seen != l->s->endpoint_cnt)
		sl_look_bad(l->c, "levels", SL_LOOK_NOWHERE, "",
			    "of the whole service have %u members together, must have all %u "
			    "endpoints",
			    l->seen, l->s->endpoint_cnt);
}

void
sl_look_levels(struct sl_look *c, const struct sl_img_service *s,
	       const struct sl_img_endpoint *endpoints)
{
	struct levels l = {.c = c, .s = s, .endpoints = endpoints};
	bool proxy = s->forward == SL_FORWARD_PROXY;
	uint32_t most = s->endpoint_cnt ? SL_MAX_LEVELS * (1 + SL_MAX_SUBSETS) : 0;

	if (s->endpoint_cnt > SL_MAX_SERVICE_ENDPOINTS) /* said of them */
		return;
	const struct sl_img_level *v =
		sl_look_open(c, &(struct sl_look_section){"levels", s->level_cnt, s->level_off,
							  s->endpoint_cnt > 0, most, sizeof(*v)});
	l.subsets = sl_look_open(
		c, &(struct sl_look_section){"subsets", s->subset_cnt, s->subset_off, 0,
					     proxy ? SL_MAX_SUBSETS : 0, sizeof(*l.subsets)});
	if (v || s->level_cnt == 0)
		check_levels(&l, v);
}

/* Levels and subsets of a service: each mistake in them is named, each changed byte refused or harmless. */
#include "tests/suite.h"

#include <errno.h>

#include "tests/dataplane/levels_conf.h"

enum section { FIXED, LEVEL, SUBSET, MEMBER, MAGLEV, SCHED, POINT };

struct mistake {
	unsigned which; /* place of the service */
	enum section section;
	unsigned level, idx;
	size_t off;
	unsigned bytes;
	uint64_t value;
	const char *says, *why;
};

static size_t
record_at(const uint8_t *o, const struct mistake *m)
{
	const struct sl_img_service *s = (const void *)o;
	const struct sl_img_level *l =
		(const struct sl_img_level *)(const void *)(o + s->level_off) + m->level;

	switch (m->section) {
	case FIXED:
		return 0;
	case LEVEL:
		return s->level_off + m->level * sizeof(*l);
	case SUBSET:
		return s->subset_off + m->idx * sizeof(struct sl_img_subset);
	case MEMBER:
		return l->member_off + 2 * m->idx;
	case MAGLEV:
		return l->maglev_off + 2 * m->idx;
	case SCHED:
		return l->sched_off + 2 * m->idx;
	case POINT:
		return l->ring_off + m->idx * sizeof(struct sl_img_point);
	}
	return 0;
}

#define F_(type, field) offsetof(type, field), sizeof(((type *)0)->field)
#define SV(field) FIXED, 0, 0, F_(struct sl_img_service, field)
#define LV(l, field) LEVEL, l, 0, F_(struct sl_img_level, field)
#define SU(i, field) SUBSET, 0, i, F_(struct sl_img_subset, field)
#define ENTRY(section, l, i) section, l, i, 0, 2
#define PT(l, i, field) POINT, l, i, F_(struct sl_img_point, field)

/* The levels of LEVELS_MAGLEV: 0 (a, b), 1 (c), 2 (d) of the whole; 3 (b), 4 (c) of "both"; 5 (a) of "one"; "void" has
 * none. */
static const struct mistake mistakes[] = {
	{LEVELS_MAGLEV, SV(level_cnt), 0, "levels.cnt: is 0, must be in [1, 1560]", "none"},
	{LEVELS_MAGLEV, SV(level_cnt), 1561, "levels.cnt: is 1561, must be in [1, 1560]", "many"},
	{LEVELS_MAGLEV, SV(level_cnt), UINT32_MAX, "behind the object's end", "would wrap"},
	{LEVELS_MAGLEV, SV(level_cnt), 5, "is in no section", "fewer than stand there"},
	{LEVELS_MAGLEV, SV(level_off), 280, "belong to what is declared earlier", "overlap"},
	{LEVELS_MAGLEV, SV(subset_cnt), 65, "subsets.cnt: is 65, must be in [0, 64]", "many"},
	{LEVELS_MAGLEV, SV(subset_cnt), 2, "is in no section", "fewer"},
	{LEVELS_MAGLEV, SV(subset_cnt), 1, "levels[5].subset: is 2, must be in [1, 1]", "beyond"},
	{LEVELS_MAGLEV, SV(panic_pct), 101, "panic_pct: is 101, must be in [0, 100]", "panic"},
	{LEVELS_MAGLEV, SV(forward), SL_FORWARD_NAT, "subsets.cnt: is 3, must be in [0, 0]",
	 "subsets of packets"},

	{LEVELS_MAGLEV, SU(0, name[0]), 0, "subsets[0].name: \"\" is not a name", "name"},
	{LEVELS_MAGLEV, SU(0, name[0]), 'z', "subsets[1]: stands behind, but sorts", "order"},
	{LEVELS_MAGLEV, SU(0, any), 2, "subsets[0].any: is 2, must be in [0, 1]", "any"},
	{LEVELS_MAGLEV, SU(0, zero), 1, "subsets[0].zero: is 1, must be 0", "zero"},
	{LEVELS_MAGLEV, SU(0, level_first), 2, "subsets[0].level_first: is 2, must be 3",
	 "others' levels"},
	{LEVELS_MAGLEV, SU(1, level_first), 1560, "subsets[1].level_first: is 1560, must be 5",
	 "beyond"},
	{LEVELS_MAGLEV, SU(2, level_first), 0, "subsets[2].level_first: is 0, must be 6",
	 "place of none"},
	{LEVELS_MAGLEV, SU(0, level_cnt), 1, "subsets[0].level_cnt: is 1, must be 2", "fewer"},
	{LEVELS_MAGLEV, SU(1, level_cnt), 2, "subsets[1].level_cnt: is 2, must be 1", "more"},
	{LEVELS_MAGLEV, SU(2, level_cnt), 1, "subsets[2].level_cnt: is 1, must be 0", "of none"},

	{LEVELS_MAGLEV, LV(0, subset), 1, "levels[0].subset: is 1, must be in [0, 0]", "no whole"},
	{LEVELS_MAGLEV, LV(3, subset), 4, "levels[3].subset: is 4, must be in [0, 3]", "subset"},
	{LEVELS_MAGLEV, LV(5, subset), 0, "levels[5].subset: is 0, must be in [1, 3]", "order"},
	{LEVELS_MAGLEV, LV(5, subset), 3, "subsets[1].level_cnt: is 1, must be 0", "another's"},
	{LEVELS_MAGLEV, LV(1, priority), 2, "levels[1].priority: is 2, must be 1", "a gap"},
	{LEVELS_MAGLEV, LV(1, priority), 0, "levels[1].priority: is 0, must be 1", "twice"},
	{LEVELS_MAGLEV, LV(2, priority), 24, "levels[2].priority: is 24, must be in [0, 23]",
	 "priority"},
	{LEVELS_MAGLEV, LV(3, priority), 1, "levels[3].priority: is 1, must be 0", "not from 0 on"},
	{LEVELS_MAGLEV, LV(1, beside), 1, "levels[1].beside: is 1, must be in [0, 0]",
	 "beside, without zones"},
	{LEVELS_MAGLEV, LV(1, zone), 1, "levels[1].zone: is 1, must be in [0, 0]",
	 "a zone, without zones"},
	{LEVELS_MAGLEV, SV(zone_min), 16385, "zone_min: is 16385, must be in [0, 16384]", "most"},
	{LEVELS_MAGLEV, LV(0, zero), 1, "levels[0].zero: is 1, must be 0", "zero"},
	{LEVELS_MAGLEV, SV(zone_traffic), 1, "zone_traffic: is 1, must be in [0, 0]", "no zones"},
	{LEVELS_MAGLEV, LV(0, member_cnt), 0, "levels[0].member_cnt: is 0, must be in [1, 4]",
	 "nobody"},
	{LEVELS_MAGLEV, LV(0, member_cnt), 5, "levels[0].member_cnt: is 5, must be in [1, 4]",
	 "more than there are"},
	{LEVELS_MAGLEV, LV(0, member_cnt), 4, "levels[0].members.off: is", "all, but listed"},
	{LEVELS_MAGLEV, LV(0, member_cnt), 1, "must be 0: it is in no section", "one left out"},
	{LEVELS_MAGLEV, LV(0, member_off), 0, "levels[0].members.off: is 0, but", "not listed"},
	{LEVELS_MAGLEV, LV(0, member_off), 3, "must be a multiple of 8", "alignment"},
	{LEVELS_MAGLEV, LV(1, member_off), UINT32_MAX - 7, "behind the object's end", "outside"},
	{LEVELS_MAGLEV, LV(0, maglev_cnt), 499, "levels[0].maglev.cnt: is 499, must be one of",
	 "no listed prime"},
	{LEVELS_MAGLEV, LV(2, maglev_cnt), 101,
	 "levels[2].maglev.cnt: is 101, must be 0: no member", "table of those without weight"},
	{LEVELS_MAGLEV, LV(4, sched_cnt), 1, "levels[4].sched.cnt: is 1, must be 0: the policy",
	 "schedule"},
	{LEVELS_MAGLEV, LV(4, ring_cnt), 1, "levels[4].ring.cnt: is 1, must be 0: the policy",
	 "ring"},
	{LEVELS_MAGLEV, LV(4, maglev_off), 0, "belong to what is declared earlier", "offset"},

	{LEVELS_MAGLEV, ENTRY(MEMBER, 0, 1), 0, "levels[0].members[1]: equals record 0", "twice"},
	{LEVELS_MAGLEV, ENTRY(MEMBER, 0, 0), 2, "levels[0].members[1]: stands behind", "order"},
	{LEVELS_MAGLEV, ENTRY(MEMBER, 0, 1), 4, "levels[0].members[1]: is 4, must be in [0, 3]",
	 "no endpoint"},
	{LEVELS_MAGLEV, ENTRY(MEMBER, 1, 0), 1,
	 "levels[1].members[0]: 1 is in an earlier level of the same subset", "in two levels"},
	{LEVELS_MAGLEV, ENTRY(MEMBER, 4, 0), 1,
	 "levels[4].members[0]: 1 is in an earlier level of the same subset", "of a subset"},
	{LEVELS_MAGLEV, ENTRY(MEMBER, 0, 2), 1, "must be 0: it is in no section", "padding"},
	{LEVELS_MAGLEV, ENTRY(MAGLEV, 0, 7), 2, "levels[0].maglev[7]: is 2, no member of the level",
	 "a stranger's place"},
	{LEVELS_MAGLEV, ENTRY(MAGLEV, 3, 0), 0, "levels[3].maglev[0]: is 0, no member of the level",
	 "not of the subset"},
	{LEVELS_MAGLEV, ENTRY(MAGLEV, 1, 502), 4, "levels[1].maglev[502]: is 4, must be in [0, 3]",
	 "nobody's place"},
	{LEVELS_MAGLEV, ENTRY(MAGLEV, 1, 1), 65535, "levels[1].maglev[1]: is 65535, must be in",
	 "nobody's place"},

	{LEVELS_TURNS, ENTRY(SCHED, 0, 0), 2, "levels[0].sched[0]: is 2, no member of the level",
	 "a stranger's turn"},
	{LEVELS_TURNS, ENTRY(SCHED, 1, 0), 3, "levels[1].sched[0]: is 3, an endpoint of weight 0",
	 "without weight"},
	{LEVELS_TURNS, LV(1, sched_cnt), 0, "levels[1].sched.cnt: is 0, must be in [1, 65536]",
	 "missing"},
	{LEVELS_RING, PT(0, 2, endpoint), 2, "levels[0].ring[2].endpoint: is 2, no member",
	 "a stranger's point"},
	{LEVELS_RING, PT(1, 2, endpoint), 70000, "levels[1].ring[2].endpoint: is 70000, must be in",
	 "nobody's point"},
	{LEVELS_RING, PT(0, 3, hash), 0, "levels[0].ring[3]: stands behind, but sorts before",
	 "order"},
};

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void
each_mistake_is_named(void)
{
	struct sl_test_image im;
	char line[2048];

	sl_test_image_build(&levels_conf, &im);
	for (unsigned i = 0; i < SL_ARRAY_CNT(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		const struct sl_object *o = &im.objs[2 + m->which];
		struct sl_diag d = {0};
		uint8_t *p = guard_buf(o->size);
		memcpy(p, o->bytes, o->size);
		memcpy(p + record_at(p, m) + m->off, &m->value, m->bytes);
		bool ok = sl_image_check(p, o->size, SL_OBJ_SERVICE, NULL, "o", &d) == -EINVAL &&
			  says(&d, m->says);
		if (!ok)
			printf("\n  %u %s: %s", i, m->why, d.cnt ? "" : "taken");
		for (unsigned k = 0; !ok && k < d.cnt; k++) {
			sl_diag_format(&d.items[k], line, sizeof(line));
			printf("\n    %s", line);
		}
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

/* ---- the view ---- */

static void
the_view_has_the_levels_of_each_set(void)
{
	struct sl_view *v = sl_test_view(&levels_conf);
	const struct sl_service *s = &v->services[LEVELS_MAGLEV];

	CU_ASSERT_PTR_NULL(sl_test_view_walk(v));
	CU_ASSERT_EQUAL(s->set_cnt, 4);
	CU_ASSERT_EQUAL_FATAL(s->sets[0].level_cnt, 3);
	CU_ASSERT_EQUAL(s->sets[0].levels[0].member_cnt, 2);
	CU_ASSERT_EQUAL(s->sets[0].levels[1].members[0], 2);
	CU_ASSERT_PTR_NULL(s->sets[0].levels[2].maglev);
	CU_ASSERT_EQUAL(s->top.maglev, s->sets[0].levels[0].maglev);
	CU_ASSERT_EQUAL_FATAL(s->sets[1].level_cnt, 2);
	CU_ASSERT_EQUAL(s->sets[1].levels, s->sets[0].levels + 3);
	CU_ASSERT_EQUAL(s->sets[2].level_cnt, 1);
	CU_ASSERT_EQUAL(s->sets[3].level_cnt, 3); /* "void" falls back on the whole */
	CU_ASSERT_EQUAL(s->sets[3].levels, s->sets[0].levels);

	s = &v->services[LEVELS_PLAIN];
	CU_ASSERT_PTR_NULL(s->sets); /* one level, no subset, no panic */
	CU_ASSERT_EQUAL(s->set_cnt, 1);
	CU_ASSERT_EQUAL(s->panic_pct, 0);
	CU_ASSERT_PTR_NULL(s->top.members);
	s = &v->services[LEVELS_PANIC];
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->sets);
	CU_ASSERT_EQUAL(s->panic_pct, 30);
	CU_ASSERT_EQUAL(s->sets[0].level_cnt, 1);
	CU_ASSERT_NOT_EQUAL(s->sets[0].shares, SL_VIEW_NONE);
	s = &v->services[LEVELS_RANDOM];
	CU_ASSERT_EQUAL(s->sets[0].levels[1].weight_sums[2], 6); /* sums of the level's own */
	sl_test_view_free(v);
}

/* ---- changed bytes ---- */

static void
a_changed_byte_is_refused_or_harmless(void)
{
	static const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
	struct sl_test_image im;

	sl_test_image_build(&levels_conf, &im);
	for (unsigned which = 2; which < 2 + LEVELS_SERVICES; which++) {
		uint8_t *bytes = sl_test_bytes(&im.objs[which]);
		unsigned refused = 0, walked = 0;
		for (size_t i = 0; i < im.objs[which].size; i++)
			for (unsigned m = 0; m < sizeof(masks); m++) {
				struct sl_diag d = {0};
				struct sl_view *v = NULL;
				bytes[i] ^= masks[m];
				sl_test_image_reseal(&im);
				if (sl_test_image_view(&im, &levels_conf, &d, &v)) {
					CU_ASSERT(d.cnt > 0);
					refused++;
				} else {
					CU_ASSERT_PTR_NULL(sl_test_view_walk(v));
					walked++;
				}
				sl_view_destroy(v);
				sl_diag_fini(&d);
				bytes[i] ^= masks[m];
			}
		CU_ASSERT(refused > 0 && walked > 0);
		printf("\n    object %u: %u refused, %u walked", which, refused, walked);
	}
	printf("\n    ");
	sl_test_image_free(&im);
}

SL_SUITE("image_levels", SL_TEST(each_mistake_is_named),
	 SL_TEST(the_view_has_the_levels_of_each_set),
	 SL_TEST(a_changed_byte_is_refused_or_harmless))

/* A service's levels, in three steps, because tables need to know their size before there is room for them:
 *
 *   gather  subsets by name; members of each level of each, by rank; schedules, whose size shows only when they are made
 *   place   an offset for each section, in the order of image.h
 *   fill    members, tables; a table of the same members and weights is taken from the object before, which only renumbers them
 *
 * All levels of a service together have no more points, and little more places in schedules, than one alone may have; for
 * Maglev tables see levels.h. */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "lb/ring.h"
#include "mgmt/conf_value.h"
#include "mgmt/levels.h"
#include "mgmt/object.h"

struct sl_levels_draft {
	struct sl_img_subset subsets[SL_MAX_SUBSETS];
	struct sl_img_level levels[SL_MAX_LEVELS * (1 + SL_MAX_SUBSETS)];
	uint32_t first[SL_MAX_LEVELS * (1 + SL_MAX_SUBSETS)]; /* of the level's in `members` */
	uint32_t subset_cnt, level_cnt, member_cnt;
	uint16_t *members; /* [room] */
	uint32_t room;
	uint16_t *sched; /* schedules of all levels in turn */
	uint32_t sched_cnt, sched_room;
	struct sl_level_ranks ranks;            /* by place in the file */
	uint8_t rank[SL_MAX_SERVICE_ENDPOINTS]; /* by place of the endpoint */
	uint16_t turned[SL_MAX_SERVICE_ENDPOINTS];
};

struct sl_levels_draft *
sl_compile_levels_create(void)
{
	return calloc(1, sizeof(struct sl_levels_draft));
}

void
sl_compile_levels_destroy(struct sl_levels_draft *d)
{
	if (!d)
		return;
	free(d->members);
	free(d->sched);
	free(d);
}

/* ---- gather ---- */

static int
subset_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_subset *s = arg;

	return strcmp(s[*(const uint32_t *)a].name, s[*(const uint32_t *)b].name);
}

uint32_t
sl_compile_subset(const struct sl_conf_service *s, const char *name)
{
	uint32_t place = 1;

	for (uint32_t i = 0; *name && i < s->subset_cnt; i++)
		place += strcmp(s->subsets[i].name, name) < 0;
	return *name ? place : 0;
}

static int
make_room(struct sl_levels_draft *d, const struct sl_conf_service *s)
{
	uint32_t need = s->endpoint_cnt * (1 + s->subset_cnt);

	if (need <= d->room)
		return 0;
	uint16_t *more = realloc(d->members, need * sizeof(*more));
	if (!more)
		return -ENOMEM;
	d->members = more;
	d->room = need;
	return 0;
}

/* The levels of the endpoints that have `meta`, "": of all. */
static uint32_t
gather_set(const struct sl_compiling *k, uint32_t place, struct sl_levels_draft *d, uint32_t set,
	   const char *meta)
{
	const struct sl_conf_service *s = sl_compile_service_at(k, place);
	const uint32_t *order = k->endpoint_order + k->endpoint_first[place];
	uint32_t ranks = 0, before = d->level_cnt, last = SL_RANKS;

	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		bool in = !*meta || sl_value_meta_has(s->endpoints[order[i]].meta, meta);
		d->turned[i] = in;
		ranks |= (uint32_t)in << d->rank[i];
	}
	for (; ranks; ranks &= ranks - 1) {
		unsigned rank = (unsigned)__builtin_ctz(ranks);
		struct sl_img_level *l = &d->levels[d->level_cnt];
		*l = (struct sl_img_level){
			.subset = set,
			.priority = d->level_cnt - before,
			.zone = d->ranks.zone[rank],
			.beside = s->zones.given && last < SL_RANKS &&
				  d->ranks.priority[last] == d->ranks.priority[rank],
		};
		last = rank;
		d->first[d->level_cnt++] = d->member_cnt;
		for (uint32_t i = 0; i < s->endpoint_cnt; i++)
			if (d->turned[i] && d->rank[i] == rank)
				d->members[d->member_cnt + l->member_cnt++] = (uint16_t)i;
		d->member_cnt += l->member_cnt;
	}
	return d->level_cnt - before;
}

static void
gather_subsets(const struct sl_compiling *k, uint32_t place, struct sl_levels_draft *d)
{
	const struct sl_conf_service *s = sl_compile_service_at(k, place);
	uint32_t order[SL_MAX_SUBSETS];

	for (uint32_t i = 0; i < s->subset_cnt; i++)
		order[i] = i;
	qsort_r(order, s->subset_cnt, sizeof(*order), subset_order, s->subsets);
	for (uint32_t i = 0; i < s->subset_cnt; i++) {
		const struct sl_conf_subset *from = &s->subsets[order[i]];
		struct sl_img_subset *to = &d->subsets[i];
		*to = (struct sl_img_subset){.any = from->any, .level_first = d->level_cnt};
		memcpy(to->name, from->name, SL_NAME_MAX);
		to->level_cnt = gather_set(k, place, d, 1 + i, from->meta);
	}
	d->subset_cnt = s->subset_cnt;
}

int
sl_compile_levels_gather(const struct sl_compiling *k, uint32_t place)
{
	const struct sl_conf_service *s = sl_compile_service_at(k, place);
	const uint32_t *order = k->endpoint_order + k->endpoint_first[place];
	struct sl_levels_draft *d = k->levels;

	d->level_cnt = d->subset_cnt = d->member_cnt = d->sched_cnt = 0;
	if (make_room(d, s))
		return -ENOMEM;
	if (sl_level_ranks(k->c, s, &d->ranks))
		return -ENOMEM;
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		d->rank[i] = d->ranks.of[order[i]];
	gather_set(k, place, d, 0, "");
	gather_subsets(k, place, d);
	return 0;
}

/* ---- the object before ---- */

static const void *
section(const struct sl_img_service *s, uint32_t off)
{
	return (const char *)s + off;
}

static bool
same_members(const struct sl_img_service *old, const struct sl_img_level *l,
	     const uint16_t *members, uint32_t cnt)
{
	if (l->member_cnt != cnt)
		return false;
	return l->member_off
		       ? memcmp(section(old, l->member_off), members, cnt * sizeof(*members)) == 0
		       : members[cnt - 1] == cnt - 1; /* all up to the last */
}

bool
sl_compile_levels_unchanged(const struct sl_compiling *k, const struct sl_img_service *old)
{
	const struct sl_levels_draft *d = k->levels;
	const struct sl_img_level *l = section(old, old->level_off);

	if (old->subset_cnt != d->subset_cnt || old->level_cnt != d->level_cnt ||
	    memcmp(section(old, old->subset_off), d->subsets,
		   d->subset_cnt * sizeof(*d->subsets)) != 0)
		return false;
	for (uint32_t i = 0; i < d->level_cnt; i++)
		if (l[i].subset != d->levels[i].subset || l[i].priority != d->levels[i].priority ||
		    l[i].zone != d->levels[i].zone || l[i].beside != d->levels[i].beside ||
		    !same_members(old, &l[i], d->members + d->first[i], d->levels[i].member_cnt))
			return false;
	return true;
}

/* The level of the same subset, by name, and priority; NULL: none. */
static const struct sl_img_level *
counterpart(const struct sl_img_service *old, const struct sl_levels_draft *d,
	    const struct sl_img_level *l)
{
	const struct sl_img_level *levels = section(old, old->level_off);
	const struct sl_img_subset *subsets = section(old, old->subset_off);
	uint32_t set = 0, i = 0;

	while (l->subset && set < old->subset_cnt &&
	       memcmp(subsets[set].name, d->subsets[l->subset - 1].name, SL_NAME_MAX) != 0)
		set++;
	if (l->subset && set == old->subset_cnt)
		return NULL;
	if (l->subset)
		i = subsets[set++].level_first;
	i += l->priority;
	return i < old->level_cnt && levels[i].subset == set ? &levels[i] : NULL;
}

/* Whether the level's Maglev table is the old one with other numbers: then d->turned says which. */
static bool
same_table(const struct sl_compiling *k, const struct sl_img_service *old,
	   const struct sl_img_level *was, uint32_t i)
{
	struct sl_levels_draft *d = k->levels;
	const struct sl_img_level *l = &d->levels[i];
	const struct sl_img_endpoint *e = section(old, old->endpoint_off);
	const uint16_t *old_members = section(old, was->member_off);

	if (k->prev_seed != k->c->hash_seed || was->maglev_cnt != l->maglev_cnt ||
	    was->member_cnt != l->member_cnt)
		return false;
	for (uint32_t m = 0; m < l->member_cnt; m++) {
		uint16_t from = was->member_off ? old_members[m] : (uint16_t)m;
		uint16_t to = d->members[d->first[i] + m];
		if (e[from].weight != k->eps[to].weight ||
		    memcmp(e[from].name, k->eps[to].name, SL_NAME_MAX) != 0)
			return false;
		d->turned[from] = to;
	}
	return true;
}

/* ---- sizes and places ---- */

static bool
list_nodes(const struct sl_compiling *k, uint32_t level)
{
	const struct sl_levels_draft *d = k->levels;
	const uint16_t *members = d->members + d->first[level];
	bool weighs = false;

	for (uint32_t i = 0; i < d->levels[level].member_cnt; i++) {
		const struct sl_img_endpoint *e = &k->eps[members[i]];
		k->nodes[i] = (struct sl_maglev_node){e->name, e->weight};
		weighs |= e->weight > 0;
	}
	return weighs;
}

/* What one level may have of what a service may have. */
static uint32_t
share_of(const struct sl_levels_draft *d, uint32_t level, uint32_t whole, uint32_t each)
{
	return SL_MIN(whole, SL_MAX(whole / d->level_cnt, each * d->levels[level].member_cnt));
}

/* The schedule of the level, of the nodes listed, behind those before. */
static int
add_schedule(struct sl_levels_draft *d, const struct sl_maglev_node *nodes, uint32_t level)
{
	uint32_t cap = share_of(d, level, SL_MAX_SCHED, 4);

	if (d->sched_cnt + cap > d->sched_room) {
		uint16_t *more = realloc(d->sched, (d->sched_cnt + cap) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		d->sched = more;
		d->sched_room = d->sched_cnt + cap;
	}
	int err = sl_maglev_schedule(nodes, d->levels[level].member_cnt, d->sched + d->sched_cnt,
				     cap, &d->levels[level].sched_cnt);
	d->sched_cnt += d->levels[level].sched_cnt;
	return err;
}

/* How many levels the subset of that one has. */
static unsigned
levels_beside(const struct sl_levels_draft *d, const struct sl_img_level *l)
{
	if (l->subset)
		return d->subsets[l->subset - 1].level_cnt;
	return d->subset_cnt ? d->subsets[0].level_first : d->level_cnt;
}

static int
size_tables(const struct sl_compiling *k, const struct sl_img_service *img, uint32_t i)
{
	struct sl_levels_draft *d = k->levels;
	struct sl_img_level *l = &d->levels[i];

	if (!list_nodes(k, i))
		return 0;
	if (sl_policy_has_table(img->policy))
		l->maglev_cnt = sl_level_places(img->max_endpoints, levels_beside(d, l));
	else if (img->policy == SL_POLICY_RING_HASH)
		l->ring_cnt = sl_ring_size(k->nodes, l->member_cnt, share_of(d, i, SL_MAX_RING, 1));
	else if (img->policy == SL_POLICY_ROUND_ROBIN)
		return add_schedule(d, k->nodes, i);
	return 0;
}

int
sl_compile_levels_place(const struct sl_compiling *k, struct sl_img_service *img, uint32_t *end)
{
	struct sl_levels_draft *d = k->levels;

	img->level_cnt = d->level_cnt;
	img->level_off = sl_object_section(end, d->level_cnt, sizeof(*d->levels));
	img->subset_cnt = d->subset_cnt;
	img->subset_off = sl_object_section(end, d->subset_cnt, sizeof(*d->subsets));
	for (uint32_t i = 0; i < d->level_cnt; i++) {
		struct sl_img_level *l = &d->levels[i];
		int err = size_tables(k, img, i);
		if (err)
			return err;
		uint32_t listed = l->member_cnt == img->endpoint_cnt ? 0 : l->member_cnt;
		l->member_off = sl_object_section(end, listed, sizeof(uint16_t));
		l->maglev_off = sl_object_section(end, l->maglev_cnt, sizeof(uint16_t));
		l->sched_off = sl_object_section(end, l->sched_cnt, sizeof(uint16_t));
		l->ring_off = sl_object_section(end, l->ring_cnt, sizeof(struct sl_img_point));
	}
	return 0;
}

/* ---- fill ---- */

/* From places among the members to places among the endpoints. */
static void
renumber(uint16_t *t, uint32_t cnt, const uint16_t *number)
{
	for (uint32_t i = 0; i < cnt; i++)
		t[i] = number[t[i]];
}

static int
fill_maglev(const struct sl_compiling *k, const struct sl_img_service *old, uint32_t i, uint16_t *t)
{
	struct sl_levels_draft *d = k->levels;
	const struct sl_img_level *l = &d->levels[i];
	const struct sl_img_level *was = old ? counterpart(old, d, l) : NULL;

	if (was && same_table(k, old, was, i)) {
		memcpy(t, section(old, was->maglev_off), l->maglev_cnt * sizeof(*t));
		renumber(t, l->maglev_cnt, d->turned);
		return 0;
	}
	list_nodes(k, i);
	int err = sl_maglev_build(k->nodes, l->member_cnt, k->c->hash_seed, t, l->maglev_cnt);
	if (err == 0)
		renumber(t, l->maglev_cnt, d->members + d->first[i]);
	return err;
}

static void
fill_ring(const struct sl_compiling *k, uint32_t i, struct sl_img_point *p)
{
	const struct sl_levels_draft *d = k->levels;
	const struct sl_img_level *l = &d->levels[i];

	list_nodes(k, i);
	sl_ring_build(k->nodes, l->member_cnt, share_of(d, i, SL_MAX_RING, 1), k->c->hash_seed, p);
	for (uint32_t at = 0; at < l->ring_cnt; at++)
		p[at].endpoint = d->members[d->first[i] + p[at].endpoint];
}

int
sl_compile_levels_fill(const struct sl_compiling *k, const struct sl_img_service *old,
		       struct sl_img_service *obj)
{
	const struct sl_levels_draft *d = k->levels;
	char *bytes = (char *)obj;
	uint32_t sched = 0;

	memcpy(bytes + obj->level_off, d->levels, d->level_cnt * sizeof(*d->levels));
	memcpy(bytes + obj->subset_off, d->subsets, d->subset_cnt * sizeof(*d->subsets));
	for (uint32_t i = 0; i < d->level_cnt; i++) {
		const struct sl_img_level *l = &d->levels[i];
		const uint16_t *members = d->members + d->first[i];
		uint16_t *t = (void *)(bytes + l->sched_off);
		int err = 0;
		if (l->member_off)
			memcpy(bytes + l->member_off, members, l->member_cnt * sizeof(*members));
		if (l->sched_cnt) {
			memcpy(t, d->sched + sched, l->sched_cnt * sizeof(*t));
			renumber(t, l->sched_cnt, members);
			sched += l->sched_cnt;
		}
		if (l->maglev_cnt)
			err = fill_maglev(k, old, i, (void *)(bytes + l->maglev_off));
		if (err)
			return err;
		if (l->ring_cnt)
			fill_ring(k, i, (void *)(bytes + l->ring_off));
	}
	return 0;
}

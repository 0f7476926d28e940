/* Who of a service takes new flows in whose stead:
 *
 *   service ─▶ sets[] (0 the whole, then subsets) ─▶ levels[] by priority ─▶ members, tables
 *          └─▶ top: the whole's first level once more, beside what is read of every service
 *
 * A plain service (one level, no subset, no panic threshold) has no sets: whoever looks for an endpoint sees that at once and reads
 * nothing further. */
#include "dataplane/view_priv.h"

#include <errno.h>

#include "dataplane/outlier.h"

static bool
is_plain(const struct sl_img_service *s)
{
	return s->level_cnt <= 1 && s->subset_cnt == 0 && s->panic_pct == 0;
}

static const struct sl_img_level *
levels_of(const struct sl_img_service *s)
{
	return sl_view_section(s, s->level_cnt, s->level_off);
}

/* Levels of the whole service: they stand first. */
static uint32_t
whole_of(const struct sl_img_service *s)
{
	const struct sl_img_subset *subsets = sl_view_section(s, s->subset_cnt, s->subset_off);

	return subsets ? subsets[0].level_first : s->level_cnt;
}

static struct sl_level
level_of(const struct sl_service *svc, const struct sl_img_level *l)
{
	const struct sl_img_service *s = svc->img;

	return (struct sl_level){
		.members = sl_view_section(s, l->member_off, l->member_off),
		.maglev = sl_view_section(s, l->maglev_cnt, l->maglev_off),
		.sched = sl_view_section(s, l->sched_cnt, l->sched_off),
		.ring = sl_view_section(s, l->ring_cnt, l->ring_off),
		.member_cnt = l->member_cnt,
		.maglev_cnt = l->maglev_cnt,
		.sched_cnt = l->sched_cnt,
		.ring_cnt = l->ring_cnt,
		.zone = (uint8_t)l->zone,
		.beside = l->beside,
		.cursor = sl_choose_cursor(svc->slot, l->subset, l->priority),
	};
}

/* Whether there is anything to share: levels to share among, or a panic to be seen. */
static bool
shares(const struct sl_service *svc, uint32_t level_cnt)
{
	return level_cnt > 1 || (level_cnt && svc->panic_pct);
}

/* What policies that draw by weight search; *at: the next free place. */
static void
put_sums(const struct sl_service *svc, struct sl_level *l, uint32_t **at)
{
	if (!sl_choose_draws(svc->policy))
		return;
	sl_choose_sums(svc->endpoints, l->members, l->member_cnt, *at);
	l->weight_sums = *at;
	*at += l->member_cnt;
}

/* Room for each. */
struct needs {
	uint32_t sets, levels, sums;
};

static struct needs
needs_of(const struct sl_view_build *b)
{
	struct needs n = {0};

	for (uint32_t i = 0; i < b->v->service_cnt; i++) {
		const struct sl_img_service *s = b->services[i].img;
		const struct sl_img_level *l = levels_of(s);
		bool draws = sl_choose_draws(s->policy);
		n.sets += is_plain(s) ? 0 : 1 + s->subset_cnt;
		n.levels += is_plain(s) ? 0 : s->level_cnt;
		for (uint32_t k = 0; draws && k < s->level_cnt; k++)
			n.sums += l[k].member_cnt;
	}
	return n;
}

/* The sets of a service that is not plain.  levels: all of the service. */
static void
put_sets(struct sl_view *v, const struct sl_service *svc, const struct sl_level *levels,
	 struct sl_set *set)
{
	const struct sl_img_service *s = svc->img;
	const struct sl_img_subset *subsets = sl_view_section(s, s->subset_cnt, s->subset_off);

	set[0] = (struct sl_set){.levels = levels, .level_cnt = whole_of(s)};
	for (uint32_t i = 0; i < s->subset_cnt; i++)
		set[1 + i] = (struct sl_set){.levels = levels + subsets[i].level_first,
					     .level_cnt = subsets[i].level_cnt};
	for (uint32_t i = 0; i <= s->subset_cnt; i++)
		set[i].shares = shares(svc, set[i].level_cnt) ? v->share_cnt++ : SL_VIEW_NONE;
	for (uint32_t i = 0; i < s->subset_cnt; i++) {
		if (subsets[i].any && subsets[i].level_cnt == 0)
			set[1 + i] = set[0];
		set[1 + i].key = sl_choose_subset(subsets[i].name);
	}
}

int
sl_view_levels_build(struct sl_view_build *b)
{
	struct sl_view *v = b->v;
	struct needs n = needs_of(b);
	uint32_t *sums = v->weight_sums = sl_view_mem(n.sums * sizeof(*sums));
	struct sl_set *set = v->sets = sl_view_mem(n.sets * sizeof(*set));
	struct sl_level *level = v->levels = sl_view_mem(n.levels * sizeof(*level));

	if (!sums || !set || !level)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->service_cnt; i++) {
		struct sl_service *svc = &b->services[i];
		const struct sl_img_service *s = svc->img;
		const struct sl_img_level *l = levels_of(s);
		svc->set_cnt = 1 + s->subset_cnt;
		v->shaped |= (s->bandwidth.rate[SL_TO_ENDPOINTS] |
			      s->bandwidth.rate[SL_TO_CLIENTS]) != 0;
		v->results |= sl_outlier_rates(&s->http) || s->policy == SL_POLICY_EWMA;
		if (is_plain(s)) {
			if (l)
				svc->top = level_of(svc, l);
			put_sums(svc, &svc->top, &sums);
			continue;
		}
		for (uint32_t k = 0; k < s->level_cnt; k++) {
			level[k] = level_of(svc, &l[k]);
			put_sums(svc, &level[k], &sums);
		}
		if (l)
			svc->top = level[0];
		put_sets(v, svc, level, set);
		svc->sets = set;
		set += svc->set_cnt;
		level += s->level_cnt;
	}
	v->share_workers = b->ports->worker_cnt;
	v->shares = sl_view_mem((size_t)v->share_workers * v->share_cnt * sizeof(*v->shares));
	return v->shares ? 0 : -ENOMEM;
}

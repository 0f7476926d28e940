/* Who of a service takes new flows in whose stead:
 *
 *   service ─▶ sets[] (0 the whole, then subsets) ─▶ levels[] by priority ─▶ members, tables
 *          └─▶ top: the whole's first level once more, beside what is read of every service
 *
 * A plain service (one level, no subset, no panic threshold) has no sets: whoever looks for an endpoint sees that at once and reads
 * nothing further. */
#include "dataplane/view_priv.h"

#include <errno.h>

/* What a service has of each. */
static uint32_t
sets_of(const struct sl_img_service *s)
{
	return s->http.panic_pct ? 1 : 0;
}

static uint32_t
levels_of(const struct sl_img_service *s)
{
	return sets_of(s);
}

static struct sl_level
level_of(const struct sl_service *svc, uint32_t set, uint32_t level)
{
	const struct sl_img_service *s = svc->img;

	return (struct sl_level){
		.maglev = sl_view_section(s, s->maglev_cnt, s->maglev_off),
		.sched = sl_view_section(s, s->sched_cnt, s->sched_off),
		.ring = sl_view_section(s, s->ring_cnt, s->ring_off),
		.member_cnt = s->endpoint_cnt,
		.maglev_cnt = s->maglev_cnt,
		.sched_cnt = s->sched_cnt,
		.ring_cnt = s->ring_cnt,
		.cursor = sl_choose_cursor(svc->slot, set, level),
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

static uint32_t
sums_needed(const struct sl_view_build *b)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < b->v->service_cnt; i++)
		cnt += sl_choose_draws(b->services[i].policy) ? b->services[i].endpoint_cnt : 0;
	return cnt;
}

int
sl_view_levels_build(struct sl_view_build *b)
{
	struct sl_view *v = b->v;
	uint32_t set_cnt = 0, level_cnt = 0;

	for (uint32_t i = 0; i < v->service_cnt; i++) {
		set_cnt += sets_of(b->services[i].img);
		level_cnt += levels_of(b->services[i].img);
	}
	uint32_t *sums = v->weight_sums = sl_view_mem(sums_needed(b) * sizeof(*sums));
	struct sl_set *set = v->sets = sl_view_mem(set_cnt * sizeof(*set));
	struct sl_level *level = v->levels = sl_view_mem(level_cnt * sizeof(*level));
	if (!sums || !set || !level)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->service_cnt; i++) {
		struct sl_service *svc = &b->services[i];
		svc->set_cnt = 1;
		svc->top = level_of(svc, 0, 0);
		put_sums(svc, &svc->top, &sums);
		if (sets_of(svc->img) == 0)
			continue;
		*level = svc->top;
		*set = (struct sl_set){.levels = level++, .level_cnt = 1};
		set->shares = shares(svc, set->level_cnt) ? v->share_cnt++ : SL_VIEW_NONE;
		svc->sets = set++;
	}
	v->share_workers = b->ports->worker_cnt;
	v->shares = sl_view_mem((size_t)v->share_workers * v->share_cnt * sizeof(*v->shares));
	return v->shares ? 0 : -ENOMEM;
}

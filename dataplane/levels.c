/* levels — what this worker has to know of a service's levels before it chooses: shares, measured now and then. */
#include "dataplane/worker_priv.h"

#include "lb/shares.h"

#define NOINLINE __attribute__((noinline)) /* the plain way stays short */
#define SHARES_NS (SL_SHARES_MS * 1000000ull)

static void
measure(struct sl_worker *w, const struct sl_service *svc, const struct sl_set *set,
	struct sl_shares *s)
{
	s->until_ns = w->now_ns + SHARES_NS;
	sl_shares_measure(svc, set, w->conf.states, s);
}

static struct sl_shares *
shares_of(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	  const struct sl_set *set)
{
	struct sl_shares *s = sl_view_shares(view, w->conf.id, set);

	if (s && w->now_ns >= s->until_ns)
		measure(w, svc, set, s);
	return s;
}

void
sl_levels_look(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	       const struct sl_set *set, struct sl_choose_ctx *ctx)
{
	ctx->set = set;
	ctx->shares = shares_of(w, view, svc, set);
}

SL_COLD bool
sl_levels_again(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		const struct sl_choose_ctx *ctx)
{
	struct sl_shares *s = ctx->set ? sl_view_shares(view, w->conf.id, ctx->set) : NULL;

	if (!s || s->until_ns == w->now_ns + SHARES_NS)
		return false;
	measure(w, svc, ctx->set, s);
	return true;
}

static inline struct sl_choose_ctx
plain_ctx(struct sl_worker *w, const struct sl_view *view, bool dry)
{
	return (struct sl_choose_ctx){.states = w->conf.states,
				      .seed = view->seed,
				      .conns = w->conns,
				      .cursors = w->cursors,
				      .dry = dry};
}

struct sl_choose_ctx
sl_levels_ctx(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	      bool dry)
{
	struct sl_choose_ctx ctx = plain_ctx(w, view, dry);

	if (svc->sets)
		sl_levels_look(w, view, svc, svc->sets, &ctx);
	return ctx;
}

static NOINLINE struct sl_choice
choose_by_level(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		const struct sl_tuple *tuple, bool dry)
{
	const struct sl_choose_ctx ctx = sl_levels_ctx(w, view, svc, dry);
	struct sl_choice c = sl_choose(svc, &ctx, tuple);

	if (sl_unlikely(c.endpoint == UINT32_MAX) && sl_levels_again(w, view, svc, &ctx))
		c = sl_choose(svc, &ctx, tuple);
	return c;
}

struct sl_choice
sl_levels_choose(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		 const struct sl_tuple *tuple, bool dry)
{
	if (sl_unlikely(svc->sets))
		return choose_by_level(w, view, svc, tuple, dry);
	const struct sl_choose_ctx ctx = plain_ctx(w, view, dry);
	return sl_choose(svc, &ctx, tuple);
}

static bool
holds(const struct sl_level *l, uint32_t endpoint)
{
	uint32_t lo = 0, hi = l->member_cnt;

	if (!l->members)
		return true;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (l->members[mid] < endpoint)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->member_cnt && l->members[lo] == endpoint;
}

SL_COLD bool
sl_levels_panic(struct sl_worker *w, const struct sl_view *view, const struct sl_hop *hop)
{
	const struct sl_service *svc = &view->services[hop->service];
	const struct sl_shares *s = svc->sets ? shares_of(w, view, svc, svc->sets) : NULL;

	for (uint32_t i = 0; s && i < svc->sets->level_cnt; i++)
		if (s->panic >> i & 1 && holds(&svc->sets->levels[i], hop->endpoint))
			return true;
	return false;
}

SL_COLD struct sl_ctl_level
sl_levels_explain(const struct sl_choose_ctx *ctx, unsigned level, bool panic)
{
	return (struct sl_ctl_level){
		.cnt = ctx->set ? ctx->set->level_cnt : 1,
		.level = level,
		.share = ctx->shares ? sl_shares_of(ctx->shares, level) : SL_SHARES_WHOLE,
		.panic = panic,
	};
}

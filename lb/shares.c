#include "lb/shares.h"

/* What a level has. */
struct census {
	uint64_t weight, taking; /* of its endpoints, */
	uint64_t willing;        /* of those that nobody drained or disabled */
	uint32_t cnt, taking_cnt;
};

static struct census
census_of(const struct sl_service *svc, const struct sl_level *level,
	  const struct sl_state_word2 *states)
{
	struct census c = {0};

	for (uint32_t i = 0; i < level->member_cnt; i++) {
		const struct sl_img_endpoint *e =
			&svc->endpoints[level->members ? level->members[i] : i];
		const struct sl_state_word2 *w = &states[e->slot];
		bool takes = sl_choose_takes(w, e->incarnation, false);
		c.weight += e->weight;
		c.cnt += e->weight > 0;
		c.willing += takes || sl_choose_takes(w, e->incarnation, true) ? e->weight : 0;
		c.taking += takes ? e->weight : 0;
		c.taking_cnt += takes && e->weight > 0;
	}
	return c;
}

static uint32_t
health_of(const struct census *c)
{
	uint64_t part = c->weight ? SL_SHARES_OVER * c->taking / c->weight : 0;

	return (uint32_t)SL_MIN(part, (uint64_t)SL_SHARES_WHOLE);
}

static bool
below(const struct census *c, unsigned panic_pct)
{
	return (uint64_t)c->taking_cnt * 100 < (uint64_t)c->cnt * panic_pct;
}

/* Gives `whole` away in proportion to part[], of which the sum is at least what is given: from the first on, and what rounding
 * leaves to the first that gets any.  Nobody has a part: all to the first.  upto[cnt]: what the first ones have together. */
static void
fill(const uint64_t *part, uint32_t cnt, uint64_t sum, uint32_t whole, uint16_t *upto)
{
	uint32_t left = whole, first = 0, share[SL_MAX_LEVELS] = {0};

	for (uint32_t i = cnt; i-- > 0;)
		if (part[i])
			first = i;
	for (uint32_t i = 0; i < cnt && sum; i++) {
		share[i] = (uint32_t)SL_MIN(part[i] * whole / sum, (uint64_t)left);
		left -= share[i];
	}
	share[first] += left;
	for (uint32_t i = 0, have = 0; i < cnt; i++)
		upto[i] = (uint16_t)(have += share[i]);
}

/* ---- zones ---- */

/* What zones beside each other get of what their level takes, in parts that fill() makes shares of. */
static void
split(const struct sl_service *svc, const struct sl_level *levels, const struct census *c,
      uint32_t cnt, bool panics, uint64_t *part)
{
	uint64_t all = 0, spare_all = 0, spare[SL_MAX_LEVELS];
	uint32_t taking = 0, zones = cnt + (levels[0].zone != 0); /* ours may have no endpoint */

	for (uint32_t i = 0; i < cnt; i++) {
		part[i] = panics ? c[i].willing : c[i].taking;
		all += part[i];
		taking += c[i].taking_cnt;
	}
	if (panics || all == 0 || zones < 2 || taking < svc->zone_min)
		return;
	uint64_t ours = svc->zone_traffic ? svc->zone_traffic : SL_SHARES_WHOLE / zones;
	uint64_t theirs = (SL_SHARES_WHOLE - ours) / (zones - 1), kept = 0;
	for (uint32_t i = 0; i < cnt; i++) {
		uint64_t has = part[i] * SL_SHARES_WHOLE / all;
		bool own = levels[i].zone == 0;
		if (own)
			kept = SL_MIN(has * SL_SHARES_WHOLE / ours, (uint64_t)SL_SHARES_WHOLE);
		spare[i] = own || has < theirs ? 0 : has - theirs;
		spare_all += spare[i];
	}
	if (spare_all == 0)
		kept = kept ? SL_SHARES_WHOLE : 0; /* nobody has any: rounding */
	for (uint32_t i = 0; i < cnt; i++) {
		if (levels[i].zone == 0)
			part[i] = kept;
		else if (spare_all)
			part[i] = (SL_SHARES_WHOLE - kept) * spare[i] / spare_all;
		else if (kept)
			part[i] = 0;
	}
}

/* ---- all of it ---- */

/* Levels that stand beside each other, as one. */
struct rank {
	struct census sum;
	uint32_t first, cnt;
};

static uint32_t
ranks_of(const struct sl_set *set, const struct census *c, struct rank *rank)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->level_cnt; i++) {
		if (i == 0 || !set->levels[i].beside)
			rank[n++] = (struct rank){.first = i};
		struct rank *r = &rank[n - 1];
		r->cnt++;
		r->sum.weight += c[i].weight;
		r->sum.taking += c[i].taking;
		r->sum.willing += c[i].willing;
		r->sum.cnt += c[i].cnt;
		r->sum.taking_cnt += c[i].taking_cnt;
	}
	return n;
}

/* Of ranks to shares of their levels. */
static void
deal(const struct sl_service *svc, const struct sl_set *set, const struct census *c,
     const struct rank *rank, uint32_t cnt, uint32_t panic, struct sl_shares *ret)
{
	uint16_t upto[SL_MAX_LEVELS];
	uint32_t before = 0;

	memcpy(upto, ret->upto, sizeof(upto));
	ret->panic = 0;
	for (uint32_t r = 0; r < cnt; r++) {
		const struct rank *k = &rank[r];
		uint64_t part[SL_MAX_LEVELS] = {0}, sum = 0;
		split(svc, set->levels + k->first, c + k->first, k->cnt, panic >> r & 1, part);
		for (uint32_t i = 0; i < k->cnt; i++) {
			sum += part[i];
			ret->panic |= (panic >> r & 1) << (k->first + i);
		}
		fill(part, k->cnt, sum, upto[r] - before, ret->upto + k->first);
		for (uint32_t i = 0; i < k->cnt; i++)
			ret->upto[k->first + i] = (uint16_t)(ret->upto[k->first + i] + before);
		before = upto[r];
	}
}

void
sl_shares_measure(const struct sl_service *svc, const struct sl_set *set,
		  const struct sl_state_word2 *states, struct sl_shares *ret)
{
	uint64_t health[SL_MAX_LEVELS], willing[SL_MAX_LEVELS], sum = 0, willing_sum = 0;
	struct census c[SL_MAX_LEVELS];
	struct rank rank[SL_MAX_LEVELS];
	uint32_t panic = 0;
	bool all = true;

	for (uint32_t i = 0; i < set->level_cnt; i++)
		c[i] = census_of(svc, &set->levels[i], states);
	uint32_t cnt = ranks_of(set, c, rank);
	for (uint32_t i = 0; i < cnt; i++) {
		bool panics = below(&rank[i].sum, svc->panic_pct);
		sum += health[i] = health_of(&rank[i].sum);
		willing_sum += willing[i] = rank[i].sum.willing;
		panic |= (uint32_t)panics << i;
		all = all && (panics || rank[i].sum.cnt == 0);
	}
	if (cnt > 1 && sum >= SL_SHARES_WHOLE)
		panic = 0;
	if (panic && all && willing_sum)
		fill(willing, cnt, willing_sum, SL_SHARES_WHOLE, ret->upto);
	else
		fill(health, cnt, SL_MIN(sum, (uint64_t)SL_SHARES_WHOLE), SL_SHARES_WHOLE,
		     ret->upto);
	ret->panic = panic;
	if (cnt != set->level_cnt)
		deal(svc, set, c, rank, cnt, panic, ret);
}

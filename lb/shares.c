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

/* Gives the whole away in proportion to part[], of which the sum is at least what is given: from the first on, and what rounding
 * leaves to the first that gets any.  Nobody has a part: all to the first. */
static void
fill(const uint64_t *part, uint32_t cnt, uint64_t sum, struct sl_shares *ret)
{
	uint32_t left = SL_SHARES_WHOLE, first = 0, share[SL_MAX_LEVELS] = {0};

	for (uint32_t i = cnt; i-- > 0;)
		if (part[i])
			first = i;
	for (uint32_t i = 0; i < cnt && sum; i++) {
		share[i] = (uint32_t)SL_MIN(part[i] * SL_SHARES_WHOLE / sum, (uint64_t)left);
		left -= share[i];
	}
	share[first] += left;
	for (uint32_t i = 0, upto = 0; i < cnt; i++)
		ret->upto[i] = (uint16_t)(upto += share[i]);
}

void
sl_shares_measure(const struct sl_service *svc, const struct sl_set *set,
		  const struct sl_state_word2 *states, struct sl_shares *ret)
{
	uint64_t health[SL_MAX_LEVELS], willing[SL_MAX_LEVELS], sum = 0, willing_sum = 0;
	bool all = true;

	ret->panic = 0;
	for (uint32_t i = 0; i < set->level_cnt; i++) {
		struct census c = census_of(svc, &set->levels[i], states);
		bool panics = below(&c, svc->panic_pct);
		sum += health[i] = health_of(&c);
		willing_sum += willing[i] = c.willing;
		ret->panic |= (uint32_t)panics << i;
		all = all && (panics || c.cnt == 0);
	}
	if (set->level_cnt > 1 && sum >= SL_SHARES_WHOLE)
		ret->panic = 0;
	if (ret->panic && all && willing_sum)
		fill(willing, set->level_cnt, willing_sum, ret);
	else
		fill(health, set->level_cnt, SL_MIN(sum, (uint64_t)SL_SHARES_WHOLE), ret);
}

/* Water rises in all parts at once, from their floors up to what they want; its level is found by halving. */
#include "mgmt/rate_share_divide.h"

uint32_t
sl_share_little(uint32_t tokens, unsigned cnt)
{
	return tokens / (16 * SL_MAX(cnt, 4u));
}

/* What a part takes at a level. */
static uint64_t
taken(const struct sl_share_part *p, uint64_t cap, uint64_t level)
{
	return SL_MAX(SL_MIN(cap, level), (uint64_t)p->floor);
}

static uint64_t
cap_of(const struct sl_share_part *p, uint32_t tokens, unsigned cnt)
{
	uint64_t cap = (uint64_t)p->want + p->want / 8 + sl_share_little(tokens, cnt);

	return SL_MIN(cap, (uint64_t)tokens);
}

static uint64_t
sum_at(uint32_t tokens, const struct sl_share_part *parts, unsigned cnt, uint64_t level)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < cnt; i++)
		sum += taken(&parts[i], cap_of(&parts[i], tokens, cnt), level);
	return sum;
}

/* One each, to those that are kept below what they want, then to all. */
static uint64_t
hand_out(uint32_t tokens, struct sl_share_part *parts, unsigned cnt, uint64_t left, bool all)
{
	for (unsigned i = 0; i < cnt && left > 0; i++)
		if (all || parts[i].goal < cap_of(&parts[i], tokens, cnt)) {
			parts[i].goal++;
			left--;
		}
	return left;
}

/* Floors that do not fit: each gets its part of the tokens. */
static void
fill_floors(uint32_t tokens, struct sl_share_part *parts, unsigned cnt)
{
	uint64_t sum = 0, left = tokens;

	for (unsigned i = 0; i < cnt; i++)
		sum += parts[i].floor;
	for (unsigned i = 0; i < cnt; i++) {
		parts[i].goal = (uint32_t)((uint64_t)parts[i].floor * tokens / sum);
		left -= parts[i].goal;
	}
	for (unsigned i = 0; i < cnt && left > 0; i++)
		if (parts[i].goal < parts[i].floor) {
			parts[i].goal++;
			left--;
		}
}

void
sl_share_divide(uint32_t tokens, struct sl_share_part *parts, unsigned cnt)
{
	uint64_t lo = 0, hi = (uint64_t)tokens + 1; /* lo fits, hi does not, or is above all */

	if (sum_at(tokens, parts, cnt, 0) > tokens) {
		fill_floors(tokens, parts, cnt);
		return;
	}
	while (hi - lo > 1) {
		uint64_t mid = (lo + hi) / 2;
		if (sum_at(tokens, parts, cnt, mid) <= tokens)
			lo = mid;
		else
			hi = mid;
	}
	uint64_t left = tokens - sum_at(tokens, parts, cnt, lo);
	for (unsigned i = 0; i < cnt; i++)
		parts[i].goal = (uint32_t)taken(&parts[i], cap_of(&parts[i], tokens, cnt), lo);
	left = hand_out(tokens, parts, cnt, left, false);
	for (unsigned i = 0; i < cnt; i++)
		parts[i].goal += (uint32_t)(left / cnt);
	hand_out(tokens, parts, cnt, left % cnt, true);
}

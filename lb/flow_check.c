/* Walks the buckets and adds up what the head should say, then the free lists. */
#include "lb/flow_priv.h"

#include <stdlib.h>

/* What the walk over buckets adds up. */
struct tally {
	uint8_t *over; /* [bucket_cnt] entries that lie elsewhere, saturating */
	uint32_t used, embryonic, xlat, pairs;
};

/* A half of a pair.  The partner's own place is looked at in its turn. */
static const char *
check_half(const struct sl_flow_table *t, uint32_t idx, const struct sl_flow *f)
{
	if (!(f->state & SL_FLOW_NAT) == !(f->state & SL_FLOW_REPLY))
		return "a half of a pair is neither forward nor reply, or both";
	if (f->xlat >= t->fresh)
		return "a half of a pair names a partner that was never used";
	const struct sl_flow *g = entry_at(t, f->xlat);
	if (g->xlat != idx || g->state != mirror(f->state))
		return "the halves of a pair disagree";
	if (g->slot != f->slot || g->incarnation != f->incarnation)
		return "the halves of a pair have two endpoints";
	if (place_of_entry(t, f->xlat).bucket == NONE)
		return "the partner of a half lies in no bucket";
	return NULL;
}

static const char *
check_way(const struct sl_flow_table *t, uint32_t at, unsigned way, struct tally *y)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);
	uint32_t idx = b->idx[way] & IDX_MASK;

	if (idx >= t->fresh)
		return "a bucket names an entry that was never used";
	const struct sl_flow *f = entry_at(t, idx);
	unsigned s = state_of(f);
	if (s == SL_FLOW_FREE || s > SL_FLOW_UDP_NEW)
		return "a bucket names an entry without a state";
	if (is_embryonic(f->state) != !!(b->idx[way] & IDX_EMBRYONIC))
		return "a bucket and its entry disagree about being embryonic";
	uint64_t hash = hash_of_entry(t, f);
	uint32_t primary = primary_of(t, hash);
	if (b->tag[way] != tag_of(hash))
		return "a tag is not that of the entry's tuple";
	if (at != primary && at != other_of(t, primary, tag_of(hash)))
		return "an entry lies in a bucket its tuple does not lead to";
	struct place p = place_of(t, hash, idx);
	if (p.bucket != at || p.way != way)
		return "an entry is named by two places";
	if (at != primary && y->over[primary] < OVER_MAX)
		y->over[primary]++;
	if (f->check != sl_flow_check16(hash, f->slot, f->incarnation, f->state))
		return "an entry's check is wrong";
	if (f->state & SL_FLOW_PAIR) {
		const char *bad = check_half(t, idx, f);
		if (bad)
			return bad;
		y->pairs++;
	}
	if (has_record(f->state)) {
		if (f->xlat >= t->xlat_fresh || xlat_at(t, f->xlat)->flow != idx)
			return "a reply half and its translation record disagree";
		y->xlat++;
	}
	y->used++;
	y->embryonic += is_embryonic(f->state);
	return NULL;
}

static const char *
check_free_lists(const struct sl_flow_table *t)
{
	uint32_t n = 0;

	for (uint32_t i = t->free_head; i; i = entry_at(t, i - 1)->xlat, n++)
		if (i > t->fresh || n >= t->fresh || entry_at(t, i - 1)->state != SL_FLOW_FREE)
			return "the list of free entries is broken";
	if (n + t->active != t->fresh)
		return "an entry is neither used nor free";
	n = 0;
	for (uint32_t i = t->xlat_free_head; i; i = xlat_at(t, i - 1)->flow, n++)
		if (i > t->xlat_fresh || n >= t->xlat_fresh)
			return "the list of free translation records is broken";
	if (n + t->xlat_used != t->xlat_fresh)
		return "a translation record is neither used nor free";
	return NULL;
}

static const char *
check_buckets(const struct sl_flow_table *t, struct tally *y)
{
	for (uint32_t at = 0; at < t->bucket_cnt; at++) {
		unsigned m = 255u & ~ways_free(bucket_at(t, at));
		for (; m; m &= m - 1) {
			const char *bad = check_way(t, at, (unsigned)__builtin_ctz(m), y);
			if (bad)
				return bad;
		}
	}
	if (y->used != t->active || y->embryonic != t->embryonic || y->xlat != t->xlat_used ||
	    y->pairs != t->pairs)
		return "the counts of the head are not those of the buckets";
	for (uint32_t at = 0; at < t->bucket_cnt; at++) {
		uint32_t cnt = over_cnt(bucket_at(t, at));
		if (cnt != y->over[at] && cnt != OVER_MAX)
			return "an overflow count is wrong";
	}
	return NULL;
}

const char *
sl_flow_check(const struct sl_flow_table *t)
{
	struct tally y = {0};

	if (t->magic != SL_FLOWS_MAGIC || t->version != SL_FLOWS_VERSION)
		return "not a flow table of this version";
	if (t->fresh > t->capacity || t->xlat_fresh > t->xlat_capacity ||
	    t->embryonic > t->embryonic_max)
		return "more entries in use than there are";
	y.over = calloc(t->bucket_cnt, 1);
	if (!y.over)
		return "no memory to check the table with";
	const char *bad = check_buckets(t, &y);
	free(y.over);
	return bad ? bad : check_free_lists(t);
}

/* Words are stored before the time that they count until, and that is put off only while each word that is not 0 was confirmed under the key
 * that is there. */
#include "mgmt/rate_share_priv.h"

static void
store(const struct sl_share_words *w, const struct sl_share_limit *l)
{
	struct sl_state_share *to = &w->seg->share[l->at.slot];
	uint32_t inc = l->at.incarnation;

	/* read by workers with relaxed loads; until below is what orders them */
	uint32_t share = sl_share_plan_told(&l->plan, w->until_ns, w->floor_until_ns);
	__atomic_store_n((uint64_t *)&to->share, sl_state_share_make(share, inc), __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)&to->floor, sl_state_share_make(l->plan.word_floor, inc),
			 __ATOMIC_RELAXED);
}

static bool
all_sure(const struct sl_rate_shares *s)
{
	struct sl_share_here here = sl_rate_shares_here(s);

	for (unsigned i = 0; i < s->cnt; i++)
		if (s->limits[i]->placed && !sl_share_plan_sure(&s->limits[i]->plan, &here))
			return false;
	return true;
}

void
sl_share_words_tell(struct sl_rate_shares *s, uint64_t now_ns)
{
	struct sl_share_words *w = &s->words;
	struct sl_share_keys_look k = sl_share_keys_look(s->keys);
	struct sl_share_here here = sl_rate_shares_here(s);

	if (s->epoch && k.sure_ns == 0) /* its key is gone */
		w->until_ns = 0;
	if (now_ns >= w->until_ns)
		for (unsigned i = 0; i < s->cnt; i++)
			if (!sl_share_plan_sure(&s->limits[i]->plan, &here))
				sl_share_plan_lapse(&s->limits[i]->plan);
	if (!w->seg)
		return;
	if (k.epoch && k.sure_ns > w->until_ns && all_sure(s))
		w->until_ns = k.sure_ns;
	w->floor_until_ns = SL_MAX(w->floor_until_ns, k.floor_sure_ns);
	for (unsigned i = 0; i < s->cnt; i++)
		if (s->limits[i]->placed)
			store(w, s->limits[i]);
	__atomic_store_n((uint64_t *)&w->seg->share_until_ns, w->until_ns, __ATOMIC_RELEASE);
	__atomic_store_n((uint64_t *)&w->seg->floor_until_ns, w->floor_until_ns, __ATOMIC_RELEASE);
}

void
sl_share_words_clear(struct sl_rate_shares *s)
{
	struct sl_share_words *w = &s->words;
	bool used[SL_STATE_SHARES] = {false};

	for (unsigned i = 0; i < s->cnt; i++)
		if (s->limits[i]->placed)
			used[s->limits[i]->at.slot] = true;
	for (unsigned i = 0; i < SL_STATE_SHARES; i++)
		if (!used[i]) {
			__atomic_store_n((uint64_t *)&w->seg->share[i].share, 0, __ATOMIC_RELAXED);
			__atomic_store_n((uint64_t *)&w->seg->share[i].floor, 0, __ATOMIC_RELAXED);
		}
}

/* What a sluiced of before told the workers. */
static void
adopt(struct sl_rate_shares *s)
{
	struct sl_share_words *w = &s->words;

	w->until_ns = __atomic_load_n((uint64_t *)&w->seg->share_until_ns, __ATOMIC_RELAXED);
	w->floor_until_ns = __atomic_load_n((uint64_t *)&w->seg->floor_until_ns, __ATOMIC_RELAXED);
	/* nobody of us gives more than that: it is not of this machine's clock */
	uint64_t now_ns = uv_hrtime();
	if (w->until_ns > now_ns + SL_SHARE_COUNTS_NS)
		w->until_ns = 0;
	if (w->floor_until_ns > now_ns + SL_SHARE_FLOOR_COUNTS_NS)
		w->floor_until_ns = 0;
	for (unsigned i = 0; i < s->cnt; i++) {
		struct sl_share_limit *l = s->limits[i];
		const struct sl_state_share *is = &w->seg->share[l->at.slot];
		uint64_t share = __atomic_load_n((const uint64_t *)&is->share, __ATOMIC_RELAXED);
		uint64_t floor = __atomic_load_n((const uint64_t *)&is->floor, __ATOMIC_RELAXED);
		uint32_t inc = l->at.incarnation;
		if (l->placed)
			sl_share_plan_adopt(&l->plan, (uint32_t)(share >> 32) == inc ? share : 0,
					    (uint32_t)(floor >> 32) == inc ? floor : 0, now_ns);
	}
}

void
sl_share_words_attach(struct sl_rate_shares *s, struct sl_state_seg *seg, uint64_t boot_id)
{
	struct sl_share_words *w = &s->words;

	if (w->seg && !seg)
		w->down_ns = uv_hrtime();
	w->seg = seg;
	if (!seg)
		return;
	w->up_ns = uv_hrtime();
	if (w->boot_id == 0) {
		adopt(s);
	} else if (boot_id != w->boot_id) {
		w->until_ns = w->floor_until_ns = 0;
		for (unsigned i = 0; i < s->cnt; i++)
			sl_share_plan_restarted(&s->limits[i]->plan, uv_hrtime());
	}
	w->boot_id = boot_id;
	sl_share_words_clear(s);
}

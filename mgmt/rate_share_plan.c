#include "mgmt/rate_share_plan.h"

#include "mgmt/rate_share_divide.h"

#define WAIT_MORE_NS 100000000ull
#define WANT_NS 1000000000ull /* between two changes of what is wanted */

uint64_t
sl_share_wait(uint32_t per_ms)
{
	uint64_t per_ns = per_ms * 1000000ull;

	return per_ns + per_ns / 50 + WAIT_MORE_NS;
}

void
sl_share_peer_look(struct sl_share_peer *p, bool live, bool floor, bool anew, uint64_t now_ns)
{
	if (live)
		p->gone_ns = SL_SHARE_NEVER;
	else if (anew || p->gone_ns == SL_SHARE_NEVER)
		p->gone_ns = now_ns;
	if (floor)
		p->floor_gone_ns = SL_SHARE_NEVER;
	else if (anew || p->floor_gone_ns == SL_SHARE_NEVER)
		p->floor_gone_ns = now_ns;
}

bool
sl_share_frozen(bool attached, bool ever, uint64_t now_ns, uint64_t start_ns, uint64_t until_ns)
{
	uint64_t most_ns = ever ? until_ns : start_ns + SL_SHARE_COUNTS_NS;

	return !attached && now_ns < most_ns;
}

void
sl_share_plan_init(struct sl_share_plan *p)
{
	memset(p, 0, sizeof(*p));
	p->give_ns = SL_SHARE_NEVER;
	p->cap = p->cap_floor = UINT32_MAX;
	p->per_ms = 1;
}

void
sl_share_plan_table(struct sl_share_plan *p, uint32_t tokens, uint32_t floor, uint32_t per_ms)
{
	p->tokens = tokens;
	p->floor = SL_MIN(floor, tokens);
	p->per_ms = per_ms;
	p->leaving = false;
}

void
sl_share_plan_adopt(struct sl_share_plan *p, uint32_t word, uint32_t floor, uint64_t now_ns)
{
	/* they may be others than a moment ago */
	p->rise_ns = SL_MAX(p->rise_ns, now_ns + sl_share_wait(p->per_ms));
	if (p->epoch != 0)
		return;
	p->word = word;
	p->word_floor = floor;
}

void
sl_share_plan_restarted(struct sl_share_plan *p, uint64_t now_ns)
{
	p->word = p->word_floor = 0;
	p->rise_ns = SL_MAX(p->rise_ns, now_ns + sl_share_wait(p->per_ms));
}

void
sl_share_plan_quiet(struct sl_share_plan *p, uint64_t quiet_ns)
{
	p->rise_ns = SL_MAX(p->rise_ns, quiet_ns + sl_share_wait(p->per_ms));
}

uint32_t
sl_share_plan_told(const struct sl_share_plan *p, uint64_t until_ns, uint64_t floor_until_ns)
{
	return floor_until_ns >= until_ns ? SL_MAX(p->word, p->word_floor) : p->word;
}

void
sl_share_plan_lapse(struct sl_share_plan *p)
{
	p->word = 0;
}

bool
sl_share_plan_sure(const struct sl_share_plan *p, const struct sl_share_here *here)
{
	return p->word == 0 || (p->epoch != 0 && p->epoch == here->epoch);
}

/* ---- what there is ---- */

static uint32_t
wait_per(const struct sl_share_plan *p, const struct sl_share_entry *e)
{
	return SL_MAX(p->per_ms, e->per_ms);
}

/* Its entry in the document as it is: what of it counts.  true: it is not what this gateway wrote. */
static bool
reconcile(struct sl_share_plan *p, const struct sl_share_here *here,
	  const struct sl_share_entry *me)
{
	uint32_t share = me ? me->share : 0, floor = me ? me->floor : 0;
	bool late = me && me->seq > p->confirmed && me->seq <= p->seq;
	/* who stood still for too long may have been taken for gone */
	bool mine = p->epoch == here->epoch && here->now_ns < here->sure_ns;
	bool strange = mine && !late && (me ? me->seq != p->confirmed : p->held > 0);

	if (p->epoch == 0) { /* nothing is known but what workers go by */
		p->word = SL_MIN(p->word, share);
		p->word_floor = SL_MIN(p->word_floor, SL_MIN(share, floor));
		p->seq = p->confirmed = me ? me->seq : 0;
		p->want = me ? me->want : 0;
		return false;
	}
	p->held = late ? share : SL_MIN(p->held, share);
	p->held_floor = late ? floor : SL_MIN(p->held_floor, floor);
	if (me) {
		p->confirmed = me->seq;
		p->seq = SL_MAX(p->seq, me->seq);
	}
	return strange;
}

bool
sl_share_plan_learn(struct sl_share_plan *p, const struct sl_share_here *here,
		    const struct sl_share_doc *doc, uint64_t modified)
{
	bool strange = false;

	if (modified != 0 && (modified < p->modified || modified <= p->removed))
		return false;
	p->known = true;
	p->readable = doc || modified == 0;
	if (modified != p->modified || modified == 0) {
		p->modified = modified;
		if (doc)
			p->doc = *doc;
		else
			p->doc.cnt = 0;
		if (p->readable)
			strange = reconcile(p, here, sl_share_doc_find(&p->doc, here->session));
	}
	if (!p->asking && modified != p->cap_modified)
		p->cap = p->cap_floor = UINT32_MAX;
	if (strange)
		p->rise_ns = SL_MAX(p->rise_ns,
				    here->now_ns + SL_SHARE_COUNTS_NS + sl_share_wait(p->per_ms));
	return strange;
}

void
sl_share_plan_world(struct sl_share_plan *p)
{
	p->modified = p->removed = 0;
	p->known = false;
}

/* ---- the next document ---- */

static const struct sl_share_peer *
missing(const struct sl_share_here *here, uint64_t session)
{
	for (unsigned i = 0; i < here->peer_cnt; i++)
		if (here->peers[i].session == session)
			return &here->peers[i];
	return NULL;
}

static bool
is_over(uint64_t since_ns, uint64_t wait_ns, uint64_t now_ns)
{
	return since_ns != SL_SHARE_NEVER && now_ns >= since_ns + wait_ns;
}

/* Takes from those that are gone what they do not hold any more. */
static void
reap(const struct sl_share_plan *p, const struct sl_share_here *here, struct sl_share_doc *d,
     struct sl_share_write *w)
{
	if (here->now_ns >= here->seen_ns + SL_SHARE_SEEN_NS)
		return;
	for (unsigned i = d->cnt; i-- > 0;) {
		struct sl_share_entry *e = &d->e[i];
		const struct sl_share_peer *m = missing(here, e->session);
		uint64_t wait_ns = sl_share_wait(wait_per(p, e));
		if (e->session == here->session || !m ||
		    !is_over(m->gone_ns, wait_ns, here->now_ns))
			continue;
		bool all = e->floor == 0 || is_over(m->floor_gone_ns, wait_ns, here->now_ns);
		if (!all && e->share <= e->floor)
			continue;
		w->absent[w->absent_cnt++] = e->session;
		if (all && e->floor)
			w->floors[w->floor_cnt++] = e->session;
		if (all)
			sl_share_doc_remove(d, e);
		else
			e->share = e->floor;
	}
}

static uint32_t
goal_of(const struct sl_share_plan *p, const struct sl_share_here *here,
	const struct sl_share_doc *d)
{
	struct sl_share_part parts[SL_SHARE_GATEWAYS];
	uint64_t kept = 0;
	unsigned cnt = 0, self = 0;

	for (unsigned i = 0; i < d->cnt; i++) {
		const struct sl_share_entry *e = &d->e[i];
		if (e->session == here->session) {
			self = cnt;
		} else if (missing(here, e->session) &&
			   missing(here, e->session)->gone_ns != SL_SHARE_NEVER) {
			kept += e->share;
			continue;
		}
		parts[cnt++] = (struct sl_share_part){.want = e->want, .floor = e->floor};
	}
	if (kept >= p->tokens)
		return 0;
	sl_share_divide(p->tokens - (uint32_t)kept, parts, cnt);
	return parts[self].goal;
}

static uint32_t
root(uint32_t n)
{
	uint32_t r = 0;

	while ((uint64_t)(r + 1) * (r + 1) <= n)
		r++;
	return r;
}

/* What is wanted changes in steps: steady demand writes nothing, as far as it comes by chance. */
static void
look_at_want(struct sl_share_plan *p, const struct sl_share_here *here, unsigned cnt)
{
	uint32_t asked = SL_MIN(p->asked, p->tokens);
	uint32_t step = p->want / 8 + sl_share_little(p->tokens, cnt);
	uint32_t by = asked > p->want ? asked - p->want : p->want - asked;

	if (p->want < 64 && asked != 0) /* above, an 8th is more */
		step = SL_MAX(step, root(p->want));

	if (by > step && (p->want_ns == 0 || here->now_ns >= p->want_ns + WANT_NS)) {
		p->want = asked;
		p->want_ns = here->now_ns;
	}
}

/* Somebody else is kept below what it wants, or its floor. */
static bool
others_want(const struct sl_share_here *here, const struct sl_share_doc *d)
{
	for (unsigned i = 0; i < d->cnt; i++) {
		const struct sl_share_entry *e = &d->e[i];
		if (e->session != here->session && e->share < SL_MAX(e->want, e->floor))
			return true;
	}
	return false;
}

/* Whether k is good enough in place of the goal, so that nothing has to be written. */
static bool
is_near(const struct sl_share_plan *p, const struct sl_share_here *here,
	const struct sl_share_doc *d, uint32_t k, uint64_t others)
{
	uint32_t by = p->goal > k ? p->goal - k : k - p->goal;

	if (p->leaving || by > k / 16 + sl_share_little(p->tokens, d->cnt))
		return false;
	if (p->goal > k)
		return k >= SL_MAX(p->want, p->floor);
	return others + k < p->tokens || (others + k == p->tokens && !others_want(here, d));
}

/* The share that is written next, coming down from k. */
static uint32_t
lower(struct sl_share_plan *p, const struct sl_share_here *here, const struct sl_share_entry *me,
      uint32_t k)
{
	if (!p->giving || p->give_to >= k) {
		p->giving = !here->frozen;
		p->give_to = p->goal;
		p->give_ns = SL_SHARE_NEVER;
		return k;
	}
	if (p->give_ns == SL_SHARE_NEVER)
		p->give_ns = here->now_ns;
	p->give_to = SL_MAX(p->give_to, p->goal);
	bool over = is_over(p->give_ns, sl_share_wait(wait_per(p, me)), here->now_ns);
	return over ? p->give_to : k;
}

/* The same going up.  others: what everybody else has. */
static uint32_t
raise(struct sl_share_plan *p, const struct sl_share_here *here, uint32_t k, uint64_t others)
{
	uint64_t taken = others + k, pool = taken < p->tokens ? p->tokens - taken : 0;

	p->giving = false;
	if (here->now_ns < p->rise_ns)
		return k;
	return k + (uint32_t)SL_MIN((uint64_t)(p->goal - k), pool);
}

/* This gateway's own entry as it is to be; false: it is to go. */
static bool
lead(struct sl_share_plan *p, const struct sl_share_here *here, struct sl_share_doc *d,
     struct sl_share_entry *me)
{
	uint64_t others = sl_share_doc_sum(d) - me->share;
	uint32_t k = p->epoch == 0 ? me->share : SL_MIN(p->held, me->share);

	look_at_want(p, here, d->cnt);
	me->want = p->leaving ? 0 : p->want;
	me->floor = p->leaving ? 0 : p->floor;
	p->goal = p->leaving ? 0 : goal_of(p, here, d);
	if (is_near(p, here, d, k, others))
		p->goal = k;
	if (p->goal >= k)
		me->share = raise(p, here, k, others);
	else
		me->share = lower(p, here, me, k);
	me->per_ms = p->per_ms;
	memcpy(me->gateway, here->gateway, SL_NAME_MAX);
	return !p->leaving || me->share > 0;
}

/* ---- words ---- */

static void
set_words(struct sl_share_plan *p, const struct sl_share_here *here)
{
	uint32_t down = p->giving ? p->give_to : UINT32_MAX;
	uint32_t most = SL_MIN(SL_MIN(p->held, down), p->cap);
	uint32_t floor = SL_MIN(SL_MIN(p->leaving ? 0 : p->floor, p->held_floor),
				SL_MIN(most, p->cap_floor));
	bool rise = here->now_ns >= p->rise_ns;

	if (p->epoch == 0) { /* nothing is confirmed: it can only come down */
		p->word = SL_MIN(p->word, SL_MIN(down, p->cap));
		p->word_floor = SL_MIN(SL_MIN(p->word_floor, p->leaving ? 0 : p->floor),
				       SL_MIN(down, p->cap_floor));
		return;
	}
	if (most < p->word || (rise && p->epoch == here->epoch))
		p->word = most;
	if (floor < p->word_floor || (rise && p->epoch == here->epoch))
		p->word_floor = floor;
}

/* The document as it is to be; false: nothing can be said yet. */
static bool
draft(struct sl_share_plan *p, const struct sl_share_here *here, struct sl_share_write *w)
{
	if (!p->known || !p->readable || p->asking || here->epoch == 0)
		return false;
	p->next = p->doc;
	struct sl_share_entry *me = sl_share_doc_find(&p->next, here->session);
	if (!me && p->leaving)
		return true;
	reap(p, here, &p->next, w);
	me = sl_share_doc_find(&p->next, here->session);
	if (!me)
		me = sl_share_doc_add(&p->next, here->session);
	p->full = !me;
	if (me && !lead(p, here, &p->next, me))
		sl_share_doc_remove(&p->next, me);
	return me;
}

bool
sl_share_plan_step(struct sl_share_plan *p, const struct sl_share_here *here,
		   struct sl_share_write *ret)
{
	ret->absent_cnt = ret->floor_cnt = 0;
	bool drafted = draft(p, here, ret);
	set_words(p, here);
	if (!drafted)
		return false;
	bool empty = p->leaving && p->next.cnt == 0 && p->modified != 0;
	bool confirm = !p->leaving && p->epoch != here->epoch;
	if (!empty && !confirm && sl_share_doc_equal(&p->next, &p->doc))
		return false;
	struct sl_share_entry *me = sl_share_doc_find(&p->next, here->session);
	if (me)
		me->seq = ++p->seq;
	p->cap = SL_MIN(p->cap, me ? me->share : 0);
	p->cap_floor = SL_MIN(p->cap_floor, me ? me->floor : 0);
	p->cap_modified = p->next_modified = p->modified;
	p->next_epoch = here->epoch;
	p->asking = true;
	ret->doc = &p->next;
	ret->modified = p->modified;
	set_words(p, here);
	return true;
}

void
sl_share_plan_applied(struct sl_share_plan *p, const struct sl_share_here *here, uint64_t revision)
{
	p->asking = false;
	if (revision >= p->modified) {
		p->doc = p->next;
		p->modified = p->next.cnt ? revision : 0;
		p->removed = p->next.cnt ? 0 : revision;
	}
	const struct sl_share_entry *me = sl_share_doc_find(&p->doc, here->session);
	p->held = me ? me->share : 0;
	p->held_floor = me ? me->floor : 0;
	p->confirmed = me ? me->seq : p->seq;
	p->epoch = p->next_epoch;
	p->cap = p->cap_floor = UINT32_MAX;
	if (p->giving && p->held <= p->give_to)
		p->giving = false;
	set_words(p, here);
}

/* What was asked in place of another document than the one that is known cannot be applied any more. */
static void
uncap(struct sl_share_plan *p)
{
	p->asking = false;
	if (p->known && p->modified != p->cap_modified)
		p->cap = p->cap_floor = UINT32_MAX;
}

void
sl_share_plan_refused(struct sl_share_plan *p)
{
	uncap(p);
}

void
sl_share_plan_lost(struct sl_share_plan *p)
{
	uncap(p);
}

/* Several gateways, each with its plan, its workers and a clock of its own, and one etcd with leases and compare-and-swap; in between a
 * network that delays and loses.  Gateways are killed, cut off and started again, workers too, etcd goes away and comes back, also in an
 * older state.  Workers let pass all that they may, at once, and each token counts for `per` of true time.
 *
 * Whatever happens: of all gateways together never more than `tokens` count.  And when nothing more happens, who asks gets. */
#include "mgmt/rate_share_divide.h"
#include "mgmt/rate_share_plan.h"
#include "tests/suite.h"

#define MS 1000000ull
#define STEP_NS (5 * MS)
#define GATEWAYS 5
#define CALLS 64
#define HISTORY 4096
#define KEEP_NS (2000 * MS)
#define TIMEOUT_NS (2000 * MS)
#define RESTORE_NS (10000 * MS) /* what is restored is at least that old */

enum call_kind { NONE, SWAP, KEEP, PUT };

struct state { /* of etcd, as of one revision */
	uint64_t revision, modified, at_ns;
	bool there; /* the document */
	struct sl_share_doc doc;
	uint64_t lease[GATEWAYS]; /* of the gateway's key; 0: it is not there */
	uint64_t count[GATEWAYS]; /* in the key: how often it was written */
	bool floor[GATEWAYS];
};

struct call {
	enum call_kind kind;
	unsigned gateway, life;
	uint64_t arrives_ns, answers_ns, gives_up_ns; /* true time; SL_SHARE_NEVER: lost */
	uint64_t sent_ns;                             /* of the gateway's clock */
	uint64_t lease, revision, count, told_count, highest, world;
	bool arrived, applied, told;
	struct sl_share_doc doc, now_doc;
	bool now_there;
	uint64_t now_modified, modified;
	struct sl_share_write w;
};

struct gateway {
	bool up, workers, cut;
	bool blind;          /* its watch has ended */
	bool attached, ever; /* sluiced to the workers, since it began */
	uint64_t start_ns, attach_ns, seen_ns;
	unsigned life;
	double rate;
	uint64_t offset_ns;
	char name[SL_NAME_MAX];
	uint32_t demand;
	/* sluiced */
	struct sl_share_plan plan;
	uint64_t worlds, count, counted; /* of the key: tried, and surely there */
	uint64_t epoch, epochs, lease, sure_ns, floor_sure_ns, next_keep_ns, highest, next_ns;
	bool keeping, fresh;
	struct sl_share_peer peers[GATEWAYS];
	uint64_t view; /* index into the history: what was told */
	/* the segment */
	uint32_t share, floor;
	uint64_t share_until_ns, floor_until_ns;
	/* workers: what they let pass and remember */
	uint32_t out;
};

static struct model {
	uint64_t now_ns, rng, leases;
	uint32_t tokens, floor, per_ms;
	bool down;
	struct state is;
	uint64_t expires_ns[GATEWAYS];
	struct state history[HISTORY]; /* ring, by number of change */
	uint64_t changes;
	struct gateway g[GATEWAYS];
	unsigned cnt;
	struct call calls[CALLS];
	/* takes of each step of the last `per`, of each gateway, since its workers started and before */
	uint32_t taken[GATEWAYS][1024];
	unsigned life_at[GATEWAYS];
	uint64_t steps, start_step[GATEWAYS];
	uint64_t worst, swaps;
	bool lossy;
} m;

static uint64_t
rnd(uint64_t below)
{
	m.rng ^= m.rng << 13;
	m.rng ^= m.rng >> 7;
	m.rng ^= m.rng << 17;
	return below ? (m.rng >> 11) % below : 0;
}

static uint64_t
local(const struct gateway *g)
{
	return g->offset_ns + (uint64_t)((double)m.now_ns * g->rate);
}

static uint64_t
session_of(unsigned i)
{
	return 1000 + i;
}

/* ---- etcd ---- */

static void
changed(void)
{
	m.is.revision++;
	m.is.at_ns = m.now_ns;
	m.history[m.changes++ % HISTORY] = m.is;
}

static void
expire(void)
{
	for (unsigned i = 0; i < m.cnt && !m.down; i++)
		if (m.is.lease[i] && m.now_ns >= m.expires_ns[i]) {
			m.is.lease[i] = 0;
			changed();
		}
}

static bool
holds(const struct call *c)
{
	if (m.is.modified != c->modified || m.is.lease[c->gateway] != c->lease)
		return false;
	for (unsigned i = 0; i < c->w.absent_cnt; i++)
		if (m.is.lease[c->w.absent[i] - 1000])
			return false;
	for (unsigned i = 0; i < c->w.floor_cnt; i++)
		if (m.is.floor[c->w.floors[i] - 1000])
			return false;
	return true;
}

static void
arrive(struct call *c)
{
	unsigned i = c->gateway;

	c->arrived = true;
	if (c->kind == SWAP && (c->applied = holds(c))) {
		m.swaps++;
		m.is.doc = c->doc;
		m.is.there = c->doc.cnt > 0;
		m.is.modified = m.is.there ? m.is.revision + 1 : 0;
		changed();
	} else if (c->kind == KEEP && (c->applied = m.is.lease[i] && m.is.lease[i] == c->lease &&
						    m.is.count[i] == c->told_count)) {
		m.expires_ns[i] = m.now_ns + SL_SHARE_LEASE_S * 1000 * MS;
		m.is.count[i] = c->count;
		changed();
	} else if (c->kind == PUT) {
		m.is.lease[i] = c->lease;
		m.is.count[i] = c->count;
		m.is.floor[i] = true;
		m.expires_ns[i] = m.now_ns + SL_SHARE_LEASE_S * 1000 * MS;
		c->applied = true;
		changed();
	}
	c->revision = m.is.revision;
	if (!c->applied)
		c->told_count = m.is.lease[i] == c->lease ? m.is.count[i] : 0;
	c->now_doc = m.is.doc;
	c->now_there = m.is.there;
	c->now_modified = m.is.modified;
}

/* ---- a gateway ---- */

static struct sl_share_here
here_of(struct gateway *g, unsigned i)
{
	return (struct sl_share_here){.now_ns = local(g),
				      .session = session_of(i),
				      .gateway = g->name,
				      .epoch = g->epoch,
				      .sure_ns = g->sure_ns,
				      .frozen = sl_share_frozen(g->attached, g->ever, local(g),
								g->start_ns, g->share_until_ns),
				      .peers = g->peers,
				      .peer_cnt = m.cnt,
				      .seen_ns = g->seen_ns};
}

static struct call *
send_call(unsigned i, enum call_kind kind)
{
	struct call *c = NULL;
	struct gateway *g = &m.g[i];

	for (unsigned k = 0; k < CALLS && !c; k++)
		if (m.calls[k].kind == NONE)
			c = &m.calls[k];
	if (!c)
		return NULL;
	uint64_t far = m.lossy && rnd(8) == 0 ? 6000 : 30;
	*c = (struct call){.kind = kind,
			   .gateway = i,
			   .life = g->life,
			   .arrives_ns = m.now_ns + rnd(far) * MS,
			   .sent_ns = local(g),
			   .lease = g->lease,
			   .count = kind == SWAP ? 0 : ++g->count,
			   .told_count = g->counted,
			   .highest = g->highest,
			   .world = g->worlds,
			   .gives_up_ns = m.now_ns + TIMEOUT_NS};
	c->answers_ns = c->arrives_ns + rnd(30) * MS;
	if (g->cut || (m.lossy && rnd(20) == 0))
		c->arrives_ns = c->answers_ns = SL_SHARE_NEVER;
	else if (m.lossy && rnd(20) == 0)
		c->answers_ns = SL_SHARE_NEVER;
	return c;
}

static void
other_world(struct gateway *g, unsigned i, uint64_t revision)
{
	g->highest = revision;
	g->worlds++;
	g->epoch = 0;
	sl_share_plan_quiet(&g->plan, local(g) + SL_SHARE_COUNTS_NS);
	g->view = m.changes ? m.changes - 1 : 0;
	g->fresh = true;
	sl_share_plan_world(&g->plan);
	(void)i;
}

static void
extend(struct gateway *g, unsigned i)
{
	struct sl_share_here here = here_of(g, i);

	if (local(g) >= g->share_until_ns && g->share_until_ns)
		if (!sl_share_plan_sure(&g->plan, &here))
			sl_share_plan_lapse(&g->plan);
	if (!g->attached)
		return;
	if (g->sure_ns > g->share_until_ns && sl_share_plan_sure(&g->plan, &here))
		g->share_until_ns = g->sure_ns;
	g->floor_until_ns = SL_MAX(g->floor_until_ns, g->floor_sure_ns);
	g->share = sl_share_plan_told(&g->plan, g->share_until_ns, g->floor_until_ns);
	g->floor = g->plan.word_floor;
}

static void
answer(struct call *c, bool lost)
{
	struct gateway *g = &m.g[c->gateway];
	struct sl_share_here here = here_of(g, c->gateway);

	if (!g->up || g->life != c->life)
		return;
	if (c->kind != SWAP)
		g->keeping = false;
	lost = lost || c->world != g->worlds;
	if (!lost && c->revision < c->highest) {
		if (c->kind == SWAP)
			sl_share_plan_lost(&g->plan);
		other_world(g, c->gateway, c->revision);
		return;
	}
	if (!lost)
		g->highest = SL_MAX(g->highest, c->revision);
	if (c->kind == SWAP && lost) {
		sl_share_plan_lost(&g->plan);
	} else if (c->kind == SWAP && c->applied) {
		sl_share_plan_applied(&g->plan, &here, c->revision);
	} else if (c->kind == SWAP) {
		sl_share_plan_refused(&g->plan);
		if (c->now_there && c->now_modified < c->modified) /* older than what was seen */
			other_world(g, c->gateway, c->revision);
		sl_share_plan_learn(&g->plan, &here, c->now_there ? &c->now_doc : NULL,
				    c->now_modified);
	} else if (lost) {
		return;
	} else if (c->kind == PUT && c->lease == g->lease) {
		if (g->epochs == 0)
			sl_share_plan_quiet(&g->plan, local(g) + SL_SHARE_COUNTS_NS);
		g->epoch = ++g->epochs;
		g->counted = c->count;
		g->sure_ns = c->sent_ns + SL_SHARE_COUNTS_NS;
		g->floor_sure_ns = c->sent_ns + SL_SHARE_FLOOR_COUNTS_NS;
	} else if (c->kind == KEEP && c->applied && c->lease == g->lease && g->epoch) {
		g->sure_ns = c->sent_ns + SL_SHARE_COUNTS_NS;
		g->counted = c->count;
	} else if (c->kind == KEEP && c->told_count > g->counted) {
		g->counted = c->told_count; /* an answer was lost */
	} else if (c->kind == KEEP && c->told_count == 0) {
		g->epoch = 0;
	} else if (c->kind == KEEP) {
		other_world(g, c->gateway, c->revision);
	}
}

/* What the watch tells, in order and late. */
static void
look(struct gateway *g, unsigned i)
{
	uint64_t late_ns = (m.lossy ? rnd(400) : 20) * MS;

	if (g->cut || g->blind || m.down || !m.changes)
		return;
	g->seen_ns = local(g) - SL_MIN(local(g), late_ns);
	while (g->fresh || (g->view + 1 < m.changes &&
			    m.history[(g->view + 1) % HISTORY].at_ns + late_ns <= m.now_ns)) {
		bool anew = g->fresh;
		if (!anew)
			g->view++;
		g->fresh = false;
		const struct state *s = &m.history[g->view % HISTORY];
		for (unsigned k = 0; k < m.cnt; k++) {
			struct sl_share_peer *p = &g->peers[k];
			p->session = session_of(k);
			sl_share_peer_look(p, s->lease[k], s->floor[k], anew, local(g));
		}
		struct sl_share_here here = here_of(g, i);
		sl_share_plan_learn(&g->plan, &here, s->there ? &s->doc : NULL, s->modified);
	}
}

static void
start(unsigned i)
{
	struct gateway *g = &m.g[i];

	g->up = true;
	g->life++;
	g->epoch = g->epochs = g->lease = g->sure_ns = g->floor_sure_ns = g->next_keep_ns =
		g->highest = 0;
	g->keeping = false;
	g->fresh = true;
	g->view = m.changes ? m.changes - 1 : 0;
	for (unsigned k = 0; k < GATEWAYS; k++)
		g->peers[k].gone_ns = g->peers[k].floor_gone_ns = SL_SHARE_NEVER;
	sl_share_plan_init(&g->plan);
	sl_share_plan_table(&g->plan, m.tokens, m.floor, m.per_ms);
	g->attached = g->ever = false;
	g->start_ns = local(g);
	g->attach_ns = g->start_ns + (rnd(2) ? 0 : rnd(15000) * MS);
}

static void
attach(struct gateway *g)
{
	bool counts = g->share_until_ns || g->floor_until_ns;

	g->attached = g->ever = true;
	sl_share_plan_adopt(&g->plan, counts ? g->share : 0, counts ? g->floor : 0, local(g));
}

static void
act(struct gateway *g, unsigned i)
{
	struct sl_share_write w;

	if (!g->attached && local(g) >= g->attach_ns)
		attach(g);
	look(g, i);
	if (!g->keeping && local(g) >= g->next_keep_ns) {
		bool put = g->epoch == 0;
		if (put)
			g->lease = ++m.leases;
		g->keeping = send_call(i, put ? PUT : KEEP) != NULL;
		g->next_keep_ns = local(g) + (put ? 300 * MS : KEEP_NS);
	}
	g->plan.asked = g->demand;
	struct sl_share_here here = here_of(g, i);
	if (sl_share_plan_step(&g->plan, &here, &w)) {
		struct call *c = send_call(i, SWAP);
		if (c) {
			c->doc = *w.doc;
			c->modified = w.modified;
			c->w = w;
		} else {
			sl_share_plan_refused(&g->plan);
		}
	}
	extend(g, i);
}

/* ---- workers ---- */

static void
take(void)
{
	unsigned slot = (unsigned)(m.steps % (m.per_ms / 5));
	uint64_t all = 0;

	for (unsigned i = 0; i < m.cnt; i++) {
		struct gateway *g = &m.g[i];
		uint64_t out = 0, remembered = 0;
		m.taken[i][slot] = 0;
		for (unsigned k = 0; k < m.per_ms / 5; k++)
			out += m.taken[i][k];
		/* what workers of before let pass they do not know of */
		for (uint64_t s = SL_MAX(m.start_step[i],
					 m.steps - SL_MIN(m.steps, m.per_ms / 5 - 1ull));
		     s < m.steps; s++)
			remembered += m.taken[i][s % (m.per_ms / 5)];
		uint64_t may = !g->workers                    ? 0
			       : local(g) < g->share_until_ns ? g->share
			       : local(g) < g->floor_until_ns ? g->floor
							      : 0;
		if (may > remembered) {
			m.taken[i][slot] = (uint32_t)(may - remembered);
			out += may - remembered;
		}
		all += out;
	}
	m.worst = SL_MAX(m.worst, all);
	m.steps++;
}

static void
step(void)
{
	m.now_ns += STEP_NS;
	expire();
	for (unsigned k = 0; k < CALLS; k++) {
		struct call *c = &m.calls[k];
		if (c->kind == NONE)
			continue;
		if (!c->arrived && c->arrives_ns != SL_SHARE_NEVER && m.now_ns >= c->arrives_ns) {
			if (m.down || m.g[c->gateway].cut)
				c->arrives_ns = c->answers_ns = SL_SHARE_NEVER;
			else
				arrive(c);
		}
		if (!c->told && c->arrived && m.now_ns >= c->answers_ns &&
		    c->answers_ns < c->gives_up_ns) {
			c->told = true;
			answer(c, m.g[c->gateway].cut);
		} else if (!c->told && m.now_ns >= c->gives_up_ns) {
			c->told = true;
			answer(c, true);
		}
		if (c->told && (c->arrived || c->arrives_ns == SL_SHARE_NEVER))
			c->kind = NONE;
	}
	for (unsigned i = 0; i < m.cnt; i++)
		if (m.g[i].up)
			act(&m.g[i], i);
	take();
}

static void
run(unsigned ms)
{
	for (unsigned i = 0; i < ms / 5; i++)
		step();
}

/* ---- what happens ---- */

static void
kill_workers(struct gateway *g, unsigned i)
{
	g->share = g->floor = 0;
	g->share_until_ns = g->floor_until_ns = 0;
	m.start_step[i] = m.steps;
	if (g->up && g->attached)
		sl_share_plan_restarted(&g->plan, local(g));
}

static void
restore(void)
{
	uint64_t back = rnd(SL_MIN(m.changes, (uint64_t)60));

	while (back < m.changes &&
	       m.history[(m.changes - 1 - back) % HISTORY].at_ns + RESTORE_NS > m.now_ns)
		back++;
	if (back >= m.changes)
		return;
	/* not held (README.md): who was cut off for longer than its lease, and comes back just when etcd was restored */
	for (unsigned i = 0; i < m.cnt; i++)
		if (m.g[i].up && m.g[i].epochs && local(&m.g[i]) >= m.g[i].sure_ns)
			return;
	m.is = m.history[(m.changes - 1 - back) % HISTORY];
	m.is.at_ns = m.now_ns;
	m.history[m.changes++ % HISTORY] = m.is;
	for (unsigned i = 0; i < m.cnt; i++)
		m.expires_ns[i] = m.now_ns + SL_SHARE_LEASE_S * 1000 * MS;
	for (unsigned k = 0; k < CALLS; k++) /* connections end with the etcd of before */
		m.calls[k].arrives_ns = m.calls[k].answers_ns = SL_SHARE_NEVER;
}

/* All is read again when it sees. */
static void
set_blind(struct gateway *g, bool blind)
{
	if (g->blind && !blind) {
		g->view = m.changes - 1;
		g->fresh = true;
	}
	g->blind = blind;
}

static void
disturb(bool restores)
{
	unsigned i = (unsigned)rnd(m.cnt);
	struct gateway *g = &m.g[i];

	switch (rnd(11)) {
	case 0:
		g->up = false;
		break;
	case 1:
		if (!g->up)
			start(i);
		break;
	case 2:
		kill_workers(g, i);
		break;
	case 3:
		g->cut = true;
		break;
	case 4:
		g->cut = false;
		break;
	case 5:
		m.down = !m.down;
		break;
	case 6:
		m.lossy = !m.lossy;
		break;
	case 7:
		if (restores && rnd(3) == 0)
			restore();
		break;
	case 8:
		set_blind(g, !g->blind);
		break;
	case 9:
		if (g->up)
			start(i);
		break;
	default:
		g->demand = (uint32_t)rnd(2 * m.tokens);
	}
}

static void
begin(uint64_t seed, bool restores)
{
	static const uint32_t pers[] = {50, 200, 1000, 3000};

	memset(&m, 0, sizeof(m));
	m.rng = seed * 0x9e3779b97f4a7c15ull + 1;
	rnd(1);
	m.cnt = 2 + (unsigned)rnd(GATEWAYS - 1);
	m.tokens = rnd(4) ? 100 + (uint32_t)rnd(5000) : 1 + (uint32_t)rnd(20);
	m.floor = restores || rnd(2) ? 0 : (uint32_t)rnd(m.tokens / m.cnt + 1);
	m.per_ms = pers[rnd(4)];
	for (unsigned i = 0; i < m.cnt; i++) {
		struct gateway *g = &m.g[i];
		snprintf(g->name, sizeof(g->name), "gw-%u", i);
		g->rate = 0.99 + (double)rnd(2001) / 100000.0;
		g->offset_ns = 1 + rnd(1000000) * MS;
		g->workers = true;
		g->demand = (uint32_t)rnd(2 * m.tokens);
	}
	m.is.revision = 1;
	changed();
}

static uint64_t
words(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m.cnt; i++)
		sum += local(&m.g[i]) < m.g[i].share_until_ns ? m.g[i].share : 0;
	return sum;
}

static void
calm(void)
{
	m.down = m.lossy = false;
	for (unsigned i = 0; i < m.cnt; i++) {
		m.g[i].cut = false;
		set_blind(&m.g[i], false);
		if (!m.g[i].up)
			start(i);
	}
}

static void
trial(uint64_t seed, bool restores)
{
	begin(seed, restores);
	for (unsigned i = 0; i < m.cnt; i++)
		start(i);
	for (unsigned n = 0; n < 60; n++) {
		run(100 + (unsigned)rnd(2000));
		disturb(restores);
	}
	calm();
	for (unsigned i = 0; i < m.cnt; i++)
		m.g[i].demand = m.tokens;
	run(25000 + 4 * m.per_ms);
	uint64_t even = words();
	for (unsigned i = 1; i < m.cnt; i++)
		m.g[i].demand = 0;
	run(4000 + 4 * m.per_ms);
	uint32_t one = m.g[0].share;
	if (m.worst > m.tokens || even != m.tokens ||
	    one + (uint64_t)m.floor * (m.cnt - 1) < m.tokens * 9ull / 10)
		printf("seed %llu%s: tokens %u floor %u per %u, %u gateways: worst %llu even %llu "
		       "one %u\n",
		       (unsigned long long)seed, restores ? " restores" : "", m.tokens, m.floor,
		       m.per_ms, m.cnt, (unsigned long long)m.worst, (unsigned long long)even, one);
	CU_ASSERT(m.worst <= m.tokens);
	CU_ASSERT_EQUAL(even, m.tokens);
	CU_ASSERT(one + (uint64_t)m.floor * (m.cnt - 1) >= m.tokens * 9ull / 10);
}

static void
never_above_the_number(void)
{
	const char *more = getenv("SL_SEEDS");
	uint64_t seeds = more ? strtoull(more, NULL, 10) : 25;

	for (uint64_t s = getenv("SL_FROM") ? strtoull(getenv("SL_FROM"), NULL, 10) : 1; s <= seeds;
	     s++)
		trial(s, false);
}

static void
nor_with_an_older_etcd(void)
{
	const char *more = getenv("SL_SEEDS");
	uint64_t seeds = more ? strtoull(more, NULL, 10) : 25;

	for (uint64_t s = getenv("SL_FROM") ? strtoull(getenv("SL_FROM"), NULL, 10) : 1; s <= seeds;
	     s++)
		trial(s, true);
}

/* ---- single cases ---- */

/* Two gateways with half of the number each. */
static void
begin_two(uint32_t per_ms)
{
	memset(&m, 0, sizeof(m));
	m.rng = 1;
	m.cnt = 2;
	m.tokens = 1000;
	m.per_ms = per_ms;
	m.is.revision = 1;
	changed();
	for (unsigned i = 0; i < m.cnt; i++) {
		struct gateway *g = &m.g[i];
		snprintf(g->name, sizeof(g->name), "gw-%u", i);
		g->rate = 1.0;
		g->offset_ns = 1000 * MS;
		g->workers = true;
		g->demand = m.tokens;
		start(i);
		g->attach_ns = 0;
	}
	run(20000 + 4 * per_ms);
	CU_ASSERT_EQUAL_FATAL(words(), m.tokens);
	CU_ASSERT_EQUAL_FATAL(m.g[1].share, m.tokens / 2);
}

/* What it let pass while nobody looked counts. */
static void
who_was_back_unseen_is_waited_for(void)
{
	for (unsigned ms = 4000; ms <= 12000; ms += 500) {
		begin_two(5000);
		m.g[1].cut = true;
		while (m.g[0].peers[1].gone_ns == SL_SHARE_NEVER)
			step();
		set_blind(&m.g[0], true);
		m.g[1].cut = false;
		run(ms);
		m.g[1].cut = true;
		while (m.is.lease[1])
			step();
		run(ms % 1000 ? 1000 : 50);
		set_blind(&m.g[0], false);
		run(15000);
		CU_ASSERT_EQUAL(m.g[0].share, m.tokens);
		CU_ASSERT_EQUAL(m.worst, m.tokens);
	}
}

/* Workers go by what they have, and sluiced is there again but not connected to them. */
static void
nothing_is_given_away_behind_workers(void)
{
	begin_two(200);
	start(1);
	m.g[1].attach_ns = SL_SHARE_NEVER;
	m.g[1].demand = 0;
	run(30000);
	CU_ASSERT(m.g[0].share > m.tokens * 9 / 10);
	CU_ASSERT_EQUAL(m.worst, m.tokens);
}

/* A limit of a day does not keep one of a second waiting. */
static void
each_limit_is_quiet_for_its_own_time(void)
{
	struct sl_share_plan second, day;

	sl_share_plan_init(&second);
	sl_share_plan_init(&day);
	sl_share_plan_table(&second, 100, 0, 1000);
	sl_share_plan_table(&day, 100, 0, 86400000);
	sl_share_plan_quiet(&second, 5000 * MS);
	sl_share_plan_quiet(&day, 5000 * MS);
	CU_ASSERT_EQUAL(second.rise_ns, 5000 * MS + sl_share_wait(1000));
	CU_ASSERT_EQUAL(day.rise_ns, 5000 * MS + sl_share_wait(86400000));
}

/* Without a share that can be used, while the key is there: a floor is there still. */
static void
no_share_hides_the_floor(void)
{
	begin_two(200);
	for (unsigned i = 0; i < m.cnt; i++)
		sl_share_plan_table(&m.g[i].plan, m.tokens, 20, m.per_ms);
	run(3000);
	sl_share_plan_lapse(&m.g[1].plan);
	m.g[1].plan.held = 0; /* until it is confirmed: as after its key was gone */
	CU_ASSERT_EQUAL(m.g[1].plan.word, 0);
	CU_ASSERT_EQUAL(sl_share_plan_told(&m.g[1].plan, 7, 8), 20);
	CU_ASSERT_EQUAL(sl_share_plan_told(&m.g[1].plan, 9, 8), 0);
}

/* Its entry was taken in good order while it stood still: that is no other state of etcd. */
static void
who_stood_still_is_not_quiet(void)
{
	for (unsigned late = 0; late < 2; late++) {
		begin_two(200);
		struct gateway *g = &m.g[1];
		struct sl_share_here here = here_of(g, 1);
		struct sl_share_doc doc = m.is.doc;
		sl_share_doc_remove(&doc, sl_share_doc_find(&doc, session_of(1)));
		here.now_ns = late ? here.sure_ns : here.sure_ns - 1;
		bool strange = sl_share_plan_learn(&g->plan, &here, &doc, m.is.revision + 1);
		CU_ASSERT_EQUAL(strange, !late);
		CU_ASSERT_EQUAL(g->plan.held, 0);
	}
}

/* A write whose answer was lost, of a document that is another one by now, keeps nothing down. */
static void
a_lost_write_is_over_with_its_document(void)
{
	struct sl_share_write w;

	begin_two(200);
	struct gateway *g = &m.g[1];
	struct sl_share_here here = here_of(g, 1);
	g->plan.asked = 0;
	here.now_ns += 2000 * MS;
	CU_ASSERT_FATAL(sl_share_plan_step(&g->plan, &here, &w));
	struct sl_share_doc doc = m.is.doc;
	sl_share_doc_find(&doc, session_of(0))->seq++;
	sl_share_plan_learn(&g->plan, &here, &doc, w.modified + 1);
	CU_ASSERT(g->plan.cap < UINT32_MAX);
	sl_share_plan_lost(&g->plan);
	CU_ASSERT_EQUAL(g->plan.cap, UINT32_MAX);
}

/* Writes of documents within 60 s of demand that goes up and down a little. */
static void
steady_demand_writes_seldom(void)
{
	begin_two(1000);
	uint64_t before = m.swaps;
	for (unsigned n = 0; n < 60; n++) {
		m.g[0].demand = 300 + (uint32_t)rnd(30);
		m.g[1].demand = 400 + (uint32_t)rnd(30);
		run(1000);
	}
	CU_ASSERT(m.swaps - before <= 8);
	CU_ASSERT(m.g[0].share >= 330);
	CU_ASSERT(m.g[1].share >= 430);
}

/* What another one wants a little more, or less, moves nothing here. */
static void
a_share_that_is_near_stays(void)
{
	begin_two(1000);
	m.g[0].demand = 300;
	m.g[1].demand = 400;
	run(10000);
	uint64_t seq = m.g[1].plan.seq, swaps = m.swaps;
	for (unsigned n = 0; n < 30; n++) {
		m.g[0].demand = n % 2 ? 300 : 365;
		run(2000);
	}
	CU_ASSERT(m.swaps > swaps);
	CU_ASSERT(m.g[1].plan.seq - seq <= 2);
}

/* ---- division ---- */

static void
division_is_fair(void)
{
	struct sl_share_part p[16];

	m.rng = 7;
	for (unsigned n = 0; n < 20000; n++) {
		unsigned cnt = 1 + (unsigned)rnd(16);
		uint32_t tokens = 1 + (uint32_t)rnd(rnd(2) ? 50 : 10000000);
		uint64_t sum = 0, floors = 0;
		for (unsigned i = 0; i < cnt; i++) {
			p[i] = (struct sl_share_part){
				.want = (uint32_t)rnd(rnd(3) ? 2ull * tokens : 3),
				.floor =
					rnd(2) ? 0
					       : (uint32_t)rnd(rnd(4) ? tokens / cnt + 1 : tokens)};
			floors += p[i].floor;
		}
		sl_share_divide(tokens, p, cnt);
		for (unsigned i = 0; i < cnt; i++)
			sum += p[i].goal;
		CU_ASSERT_EQUAL(sum, tokens);
		for (unsigned i = 0; i < cnt && floors > tokens; i++)
			CU_ASSERT(p[i].goal >= (uint64_t)p[i].floor * tokens / floors &&
				  p[i].goal <= p[i].floor);
		for (unsigned i = 0; i < cnt && floors <= tokens; i++) {
			CU_ASSERT(p[i].goal >= p[i].floor);
			if (floors == 0)
				CU_ASSERT(p[i].goal >= SL_MIN(p[i].want, tokens / cnt));
		}
	}
}

SL_SUITE("rate_share_plan", SL_TEST(division_is_fair), SL_TEST(never_above_the_number),
	 SL_TEST(nor_with_an_older_etcd), SL_TEST(who_was_back_unseen_is_waited_for),
	 SL_TEST(nothing_is_given_away_behind_workers),
	 SL_TEST(each_limit_is_quiet_for_its_own_time), SL_TEST(no_share_hides_the_floor),
	 SL_TEST(who_stood_still_is_not_quiet), SL_TEST(a_lost_write_is_over_with_its_document),
	 SL_TEST(steady_demand_writes_seldom), SL_TEST(a_share_that_is_near_stays))

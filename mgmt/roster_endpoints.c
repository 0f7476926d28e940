/* The endpoints of the present table's services are kept, and made anew when a question has another answer; a configuration of the present
 * table refers to them, that of another table gets some of its own, of the same answers. */
#include "mgmt/jwks_read.h"
#include "mgmt/roster_priv.h"

#include <errno.h>
#include <stdlib.h>

struct made {
	struct sl_conf conf;             /* first: what others hold */
	struct sl_roster_block **blocks; /* [conf.service_cnt], NULL: the table's own */
};

/* What service i of a table asks, as far as anything is known of it; n at most 2 × SL_MAX_DISCOVER.  rs: that of the same name in
 * the present table: until all questions have been answered once, those before them count, too. */
static unsigned
questions_of(const struct sl_roster *r, const struct sl_conf_service *s,
	     const struct sl_roster_service *rs, struct sl_roster_question **qs, uint8_t *from)
{
	struct sl_roster_question *q;
	unsigned n = 0, silent = 0;

	for (unsigned k = 0; k < s->discover_cnt; k++) {
		q = sl_roster_questions_find(r, s->name, &s->discover[k]);
		if (q && q->good) {
			qs[n] = q;
			from[n++] = (uint8_t)(k + 1);
		} else if (!silent) {
			silent = k + 1;
		}
	}
	if (!silent || !rs)
		return n;
	for (unsigned k = 0; k < rs->q_cnt + rs->old_cnt && n < 2 * SL_MAX_DISCOVER; k++) {
		q = k < rs->q_cnt ? rs->q[k] : rs->old[k - rs->q_cnt];
		bool there = !q->good;
		for (unsigned j = 0; j < n; j++)
			there = there || qs[j] == q;
		if (there)
			continue;
		qs[n] = q;
		from[n++] = (uint8_t)silent;
	}
	return n;
}

static void
let_go(struct sl_roster_service *rs)
{
	for (unsigned k = 0; k < rs->q_cnt; k++)
		if (!rs->q[k]->good)
			return;
	rs->old_cnt = 0;
}

/* Makes the endpoints of service i anew; true: they are other ones. */
static bool
refresh(struct sl_roster *r, uint32_t i)
{
	struct sl_roster_service *rs = &r->services[i];
	struct sl_roster_question *qs[2 * SL_MAX_DISCOVER];
	uint8_t from[2 * SL_MAX_DISCOVER];
	uint32_t others = r->endpoint_cnt - (rs->block ? rs->block->cnt : 0);

	let_go(rs);
	unsigned n = questions_of(r, &r->table->services[i], rs, qs, from);
	struct sl_roster_block *b = sl_roster_merge(&r->rules, i, qs, from, n, rs->block,
						    SL_MAX_ENDPOINTS - others, true);
	if (!b) {
		sl_roster_say(r, "discovery: out of memory: %s keeps its endpoints",
			      r->table->services[i].name);
		return false;
	}
	rs->stale = false;
	if (sl_roster_block_same(rs->block, b)) {
		sl_roster_block_unref(b);
		return false;
	}
	sl_roster_block_unref(rs->block);
	rs->block = b;
	r->endpoint_cnt = others + b->cnt;
	return true;
}

bool
sl_roster_endpoints_refresh(struct sl_roster *r)
{
	bool moved = false;

	for (uint32_t i = 0; i < r->service_cnt; i++)
		if (r->services[i].stale)
			moved |= refresh(r, i);
	return moved;
}

/* A block of service i of c: the present table's, or made for c. */
static struct sl_roster_block *
block_for(struct sl_roster *r, const struct sl_roster_rules *rules, uint32_t i, uint32_t room)
{
	const struct sl_conf_service *s = &rules->c->services[i];
	struct sl_roster_question *qs[2 * SL_MAX_DISCOVER];
	uint8_t from[2 * SL_MAX_DISCOVER];
	uint32_t was = sl_roster_service_index(r, s->name);
	const struct sl_roster_service *rs = was == UINT32_MAX ? NULL : &r->services[was];

	unsigned n = questions_of(r, s, rs, qs, from);
	return sl_roster_merge(rules, i, qs, from, n, rs ? rs->block : NULL, room, false);
}

static int
fill(struct sl_roster *r, struct made *m, const struct sl_roster_rules *rules)
{
	struct sl_conf *c = &m->conf;
	uint32_t room = SL_MAX_ENDPOINTS;

	for (uint32_t i = 0; i < c->service_cnt; i++)
		room -= SL_MIN(room, c->services[i].endpoint_cnt);
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		struct sl_conf_service *s = &c->services[i];
		if (!s->discover_cnt)
			continue;
		struct sl_roster_block *b = rules ? block_for(r, rules, i, room + s->endpoint_cnt)
						  : sl_roster_block_ref(r->services[i].block);
		if (!b)
			return -ENOMEM;
		m->blocks[i] = b;
		room -= SL_MIN(room, b->cnt - s->endpoint_cnt);
		s->endpoints = b->e;
		s->endpoint_cnt = b->cnt;
	}
	return 0;
}

struct sl_conf *
sl_roster_conf(struct sl_roster *r, const struct sl_conf *c)
{
	struct sl_roster_rules rules = {0};
	struct made *m = calloc(1, sizeof(*m));
	bool present = c == r->table;
	int err = -ENOMEM;

	if (!m)
		return NULL;
	m->conf = *c;
	m->conf.jwts = malloc((c->jwt_cnt + 1u) * sizeof(*c->jwts));
	m->conf.jwt_cnt = m->conf.jwts ? c->jwt_cnt : 0;
	if (m->conf.jwt_cnt)
		memcpy(m->conf.jwts, c->jwts, c->jwt_cnt * sizeof(*c->jwts));
	m->blocks = calloc(c->service_cnt + 1u, sizeof(struct sl_roster_block *));
	m->conf.services = malloc((c->service_cnt + 1u) * sizeof(*c->services));
	if (m->blocks && m->conf.services && m->conf.jwts) {
		if (c->service_cnt)
			memcpy(m->conf.services, c->services,
			       c->service_cnt * sizeof(*c->services));
		if (present)
			sl_roster_endpoints_refresh(r);
		err = present ? 0 : sl_roster_rules_make(&rules, c);
		for (uint32_t i = 0; i < c->service_cnt && present && !err; i++)
			if (c->services[i].discover_cnt && !r->services[i].block)
				err = -ENOMEM;
	}
	if (!err)
		err = fill(r, m, present ? NULL : &rules);
	sl_roster_rules_fini(&rules);
	if (!err)
		return &m->conf;
	sl_roster_conf_free(&m->conf);
	return NULL;
}

void
sl_roster_conf_free(struct sl_conf *c)
{
	struct made *m = (struct made *)c;

	if (!m)
		return;
	for (uint32_t i = 0; m->blocks && i < c->service_cnt; i++)
		sl_roster_block_unref(m->blocks[i]);
	for (uint32_t i = 0; i < c->jwt_cnt; i++)
		sl_jwks_give_back(&c->jwts[i]);
	free(c->jwts);
	free(m->blocks);
	free(c->services);
	free(m);
}

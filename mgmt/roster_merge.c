/* Candidates in order: the table's own, then each question's by name.  One whose name, or address and port, an earlier one has
 * is left out.  Of more than there is room for, those that are there already go before others. */
#include "mgmt/roster_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* Open addressing over indices into `all`: by name, and by address and port. */
struct seen {
	uint32_t *name, *place; /* index + 1 */
	uint32_t mask;
};

struct merge {
	const struct sl_roster_rules *rules;
	const struct sl_conf_service *s;
	uint32_t service;
	uint8_t family;               /* 0: not yet known */
	struct sl_conf_endpoint *all; /* [cnt] */
	uint32_t cnt;
	struct seen seen;
};

static uint32_t
hash_of(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static uint32_t
hash_place(const struct sl_conf_endpoint *e)
{
	return hash_of(&e->addr, sizeof(e->addr)) + e->port * 0x9e3779b1u;
}

static bool
seen_make(struct seen *s, size_t cnt)
{
	uint32_t size = 16;

	while (size < 2 * cnt)
		size *= 2;
	s->mask = size - 1;
	s->name = calloc(size, sizeof(*s->name));
	s->place = calloc(size, sizeof(*s->place));
	return s->name && s->place;
}

static void
seen_fini(struct seen *s)
{
	free(s->name);
	free(s->place);
}

/* The places where e's name and e's address and port are, or would be. */
static void
seen_find(const struct seen *s, const struct sl_conf_endpoint *all,
	  const struct sl_conf_endpoint *e, uint32_t **ret_name, uint32_t **ret_place)
{
	uint32_t n = hash_of(e->name, strlen(e->name)) & s->mask, p = hash_place(e) & s->mask;

	while (s->name[n] && strcmp(all[s->name[n] - 1].name, e->name) != 0)
		n = (n + 1) & s->mask;
	while (s->place[p] && !(all[s->place[p] - 1].port == e->port &&
				sl_addr_eq(&all[s->place[p] - 1].addr, &e->addr)))
		p = (p + 1) & s->mask;
	*ret_name = &s->name[n];
	*ret_place = &s->place[p];
}

/* all[cnt] is in.  NULL, or why it is not. */
static const char *
take(struct merge *m)
{
	uint32_t *name, *place;

	seen_find(&m->seen, m->all, &m->all[m->cnt], &name, &place);
	if (*name)
		return "another endpoint of the service has its name";
	if (*place)
		return "another endpoint of the service has its address and port";
	*name = *place = ++m->cnt;
	return NULL;
}

/* d: what the table says of the question; the same answer may be another question's as well. */
static void
describe(const struct sl_conf_discover *d, const struct sl_source_endpoint *from, uint8_t number,
	 struct sl_conf_endpoint *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->name, from->name, sizeof(to->name));
	to->addr = to->probe_addr = from->addr;
	to->port = from->port ? from->port : d->port;
	to->weight = from->weight == UINT16_MAX ? d->weight : from->weight;
	to->priority = (uint8_t)SL_MIN(from->priority + d->priority, SL_MAX_PRIORITY);
	to->from = number;
	memcpy(to->locality, from->locality, sizeof(to->locality));
	memcpy(to->meta, from->meta, sizeof(to->meta));
	to->line = d->line;
}

static void
tell_left(struct sl_roster_question *q, const char *name, const char *why)
{
	q->out++;
	if (!q->left[0])
		snprintf(q->left, sizeof(q->left), "%s: %s", name, why);
}

/* IPv4 where both are there, so that all gateways choose alike. */
static uint8_t
choose_family(const struct merge *m, struct sl_roster_question *const *qs, const uint8_t *from,
	      unsigned q_cnt)
{
	bool some = false;

	for (unsigned k = 0; k < q_cnt; k++)
		for (uint32_t j = 0; j < qs[k]->cnt; j++) {
			const struct sl_source_endpoint *e = &qs[k]->eps[j];
			uint16_t port = e->port ? e->port : m->s->discover[from[k] - 1].port;
			if (sl_roster_rules_refuse(m->rules, m->service, &e->addr, port))
				continue;
			if (sl_addr_is_v4(&e->addr))
				return 4;
			some = true;
		}
	return some ? 6 : 0;
}

static void
add_question(struct merge *m, struct sl_roster_question *q, uint8_t number, bool tell)
{
	for (uint32_t j = 0; j < q->cnt; j++) {
		struct sl_conf_endpoint *e = &m->all[m->cnt];
		describe(&m->s->discover[number - 1], &q->eps[j], number, e);
		const char *why = sl_roster_rules_refuse(m->rules, m->service, &e->addr, e->port);
		if (!why && m->family && m->family != (sl_addr_is_v4(&e->addr) ? 4 : 6))
			why = "it is IPv6, and others of the service are IPv4";
		if (!why)
			why = take(m);
		if (why && tell)
			tell_left(q, q->eps[j].name, why);
	}
}

/* Lets go of what there is no room for: ones that are not there yet, from the end; then any, from the end. */
static void
cut(struct merge *m, uint32_t most, const struct sl_roster_block *now, bool *out)
{
	struct seen there = {0};
	uint32_t *name, *place, left = m->cnt;
	bool know = now && seen_make(&there, now->cnt);

	for (uint32_t k = 0; know && k < now->cnt; k++) {
		seen_find(&there, now->e, &now->e[k], &name, &place);
		*name = *place = k + 1;
	}
	for (unsigned round = 0; round < 2; round++)
		for (uint32_t k = m->cnt; k > m->s->endpoint_cnt && left > most; k--) {
			if (out[k - 1])
				continue;
			if (round == 0 && know) {
				seen_find(&there, now->e, &m->all[k - 1], &name, &place);
				if (*name)
					continue;
			}
			out[k - 1] = true;
			left--;
		}
	seen_fini(&there);
}

static struct sl_roster_block *
make_block(const struct merge *m, const bool *out)
{
	struct sl_roster_block *b = malloc(sizeof(*b) + m->cnt * sizeof(b->e[0]));

	if (!b)
		return NULL;
	b->refs = 1;
	b->cnt = 0;
	for (uint32_t k = 0; k < m->cnt; k++)
		if (!out[k])
			b->e[b->cnt++] = m->all[k];
	return b;
}

/* Who is in, and what there was no room for, by question. */
static void
count(const struct merge *m, const bool *out, struct sl_roster_question *const *qs,
      const uint8_t *from, unsigned q_cnt, uint32_t most)
{
	char why[64];

	snprintf(why, sizeof(why), "there is room for %u endpoints (max_endpoints)", most);
	for (uint32_t k = m->s->endpoint_cnt; k < m->cnt; k++)
		for (unsigned j = 0; j < q_cnt; j++) {
			if (from[j] != m->all[k].from)
				continue;
			if (out[k])
				tell_left(qs[j], m->all[k].name, why);
			else
				qs[j]->placed++;
			break;
		}
}

struct sl_roster_block *
sl_roster_merge(const struct sl_roster_rules *rules, uint32_t i,
		struct sl_roster_question *const *qs, const uint8_t *from, unsigned q_cnt,
		const struct sl_roster_block *now, uint32_t room, bool tell)
{
	const struct sl_conf_service *s = &rules->c->services[i];
	struct merge m = {.rules = rules, .s = s, .service = i};
	struct sl_roster_block *b = NULL;
	size_t most = s->endpoint_cnt;

	for (unsigned k = 0; k < q_cnt; k++) {
		most += qs[k]->cnt;
		if (tell) {
			qs[k]->out = qs[k]->placed = 0;
			qs[k]->left[0] = 0;
		}
	}
	m.all = malloc((most + 1) * sizeof(*m.all));
	bool *out = calloc(most + 1, sizeof(*out));
	if (m.all && out && seen_make(&m.seen, most)) {
		m.family =
			sl_roster_rules_family(rules, i) ? 0 : choose_family(&m, qs, from, q_cnt);
		for (uint32_t k = 0; k < s->endpoint_cnt; k++) {
			m.all[m.cnt] = s->endpoints[k];
			take(&m);
		}
		for (unsigned k = 0; k < q_cnt; k++)
			add_question(&m, qs[k], from[k], tell);
		uint32_t limit = SL_MIN(s->max_endpoints, SL_MAX(room, s->endpoint_cnt));
		if (m.cnt > limit)
			cut(&m, limit, now, out);
		if (tell)
			count(&m, out, qs, from, q_cnt, limit);
		b = make_block(&m, out);
	}
	seen_fini(&m.seen);
	free(out);
	free(m.all);
	return b;
}

/* ---- blocks ---- */

void
sl_roster_block_unref(struct sl_roster_block *b)
{
	if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(b);
}

struct sl_roster_block *
sl_roster_block_ref(struct sl_roster_block *b)
{
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

bool
sl_roster_block_same(const struct sl_roster_block *a, const struct sl_roster_block *b)
{
	return a && b && a->cnt == b->cnt && memcmp(a->e, b->e, a->cnt * sizeof(a->e[0])) == 0;
}

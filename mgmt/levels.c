#include "mgmt/levels.h"

#include "lb/maglev.h"

#define WHOLE_TABLES 4 /* levels whose tables are not made smaller */

/* The part of a locality that begins at *at; *at moves behind it.  0: not known. */
static size_t
next_part(const char **at, const char **ret_part)
{
	size_t len = strcspn(*at, "/");

	*ret_part = *at;
	*at += len + ((*at)[len] == '/');
	return len == 1 && **ret_part == '-' ? 0 : len;
}

unsigned
sl_level_distance(const char *gateway, const char *endpoint)
{
	for (unsigned part = 0; part < SL_DISTANCES - 1; part++) {
		const char *a, *b;
		size_t n = next_part(&gateway, &a), m = next_part(&endpoint, &b);
		if (n && m && (n != m || memcmp(a, b, n) != 0))
			return SL_DISTANCES - 1 - part;
	}
	return 0;
}

unsigned
sl_level_rank(const struct sl_conf *c, const struct sl_conf_service *s,
	      const struct sl_conf_endpoint *e)
{
	unsigned priority = SL_MIN(e->priority, SL_MAX_PRIORITY);

	if (!s->locality_failover)
		return priority;
	return priority * SL_DISTANCES + sl_level_distance(c->locality, e->locality);
}

uint32_t
sl_level_places(uint32_t max_endpoints, unsigned level_cnt)
{
	for (; level_cnt > WHOLE_TABLES; level_cnt = (level_cnt + 1) / 2)
		max_endpoints = SL_MAX(max_endpoints / 2, 1u);
	return sl_maglev_size(max_endpoints);
}

/* Sources may answer with any priority, from any place. */
static unsigned
levels_at_most(const struct sl_conf *c, const struct sl_conf_service *s)
{
	uint32_t ranks = 0;

	if (s->discover_cnt)
		return s->locality_failover ? SL_RANKS : SL_MAX_PRIORITY + 1;
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		ranks |= 1u << sl_level_rank(c, s, &s->endpoints[i]);
	return SL_MAX((unsigned)__builtin_popcount(ranks), 1u);
}

uint64_t
sl_level_bytes(const struct sl_conf *c, const struct sl_conf_service *s)
{
	uint64_t endpoints = s->discover_cnt ? s->max_endpoints : s->endpoint_cnt, tables = 0;
	unsigned levels = sl_policy_has_table(s->policy) ? levels_at_most(c, s) : 0;

	for (unsigned n = 1; n <= levels; n++)
		tables = SL_MAX(tables, n * 2ull * sl_level_places(s->max_endpoints, n));
	return endpoints * sizeof(struct sl_img_endpoint) +
	       (1 + s->subset_cnt) * (tables + endpoints * sizeof(uint16_t));
}

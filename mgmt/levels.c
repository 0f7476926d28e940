#include "mgmt/levels.h"

#include <errno.h>
#include <stdlib.h>

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

	if (!s->locality_failover && !s->zones.given)
		return priority;
	return priority * SL_DISTANCES + sl_level_distance(c->locality, e->locality);
}

/* ---- zones ---- */

/* Region and zone of a locality. */
struct zone {
	const char *name;
	size_t len;
};

static struct zone
zone_of(const char *locality)
{
	size_t region = strcspn(locality, "/"), len = region + (locality[region] == '/');

	return (struct zone){locality, len + strcspn(locality + len, "/")};
}

static int
zone_order(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;
	int d = memcmp(x->name, y->name, SL_MIN(x->len, y->len));

	return d ? d : (x->len > y->len) - (x->len < y->len);
}

/* Zones that are not the gateway's: sorted, each once. */
static uint32_t
other_zones(const struct sl_conf *c, const struct sl_conf_service *s, struct zone *ret)
{
	uint32_t n = 0, cnt = 0;

	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		if (sl_level_distance(c->locality, s->endpoints[i].locality))
			ret[n++] = zone_of(s->endpoints[i].locality);
	qsort(ret, n, sizeof(*ret), zone_order);
	for (uint32_t i = 0; i < n; i++)
		if (cnt == 0 || zone_order(&ret[cnt - 1], &ret[i]) != 0)
			ret[cnt++] = ret[i];
	return cnt;
}

/* [0, most): 0: the gateway's own. */
static uint8_t
zone_number(const struct sl_conf *c, const char *locality, const struct zone *zones, uint32_t cnt,
	    uint32_t most)
{
	const struct zone z = zone_of(locality);

	if (sl_level_distance(c->locality, locality) == 0)
		return 0;
	const struct zone *at = bsearch(&z, zones, cnt, sizeof(z), zone_order);
	return (uint8_t)SL_MIN((uint32_t)(at - zones) + 1, most - 1);
}

/* Ranks of (priority, zone): those in use, in their order. */
static void
rank_zones(const struct sl_conf *c, const struct sl_conf_service *s, const struct zone *zones,
	   uint32_t cnt, struct sl_level_ranks *ret)
{
	uint32_t used[SL_MAX_PRIORITY + 1] = {0}, priorities = 0, n = 0;
	uint8_t rank[SL_MAX_PRIORITY + 1][SL_MAX_LEVELS];

	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		priorities |= 1u << SL_MIN(s->endpoints[i].priority, SL_MAX_PRIORITY);
	uint32_t most = SL_MAX_LEVELS / (uint32_t)SL_MAX(__builtin_popcount(priorities), 1);
	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_conf_endpoint *e = &s->endpoints[i];
		ret->of[i] = zone_number(c, e->locality, zones, cnt, most);
		used[SL_MIN(e->priority, SL_MAX_PRIORITY)] |= 1u << ret->of[i];
	}
	for (uint8_t p = 0; p <= SL_MAX_PRIORITY; p++)
		for (uint8_t z = 0; z < most; z++)
			if (used[p] >> z & 1) {
				rank[p][z] = (uint8_t)n;
				ret->priority[n] = p;
				ret->zone[n++] = z;
			}
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		ret->of[i] = rank[SL_MIN(s->endpoints[i].priority, SL_MAX_PRIORITY)][ret->of[i]];
}

int
sl_level_ranks(const struct sl_conf *c, const struct sl_conf_service *s, struct sl_level_ranks *ret)
{
	memset(ret->zone, 0, sizeof(ret->zone));
	if (!s->zones.given) {
		for (uint32_t i = 0; i < s->endpoint_cnt; i++)
			ret->of[i] = (uint8_t)sl_level_rank(c, s, &s->endpoints[i]);
		return 0;
	}
	struct zone *zones = calloc(s->endpoint_cnt + 1ull, sizeof(*zones));
	if (!zones)
		return -ENOMEM;
	rank_zones(c, s, zones, other_zones(c, s, zones), ret);
	free(zones);
	return 0;
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
		return s->locality_failover || s->zones.given ? SL_RANKS : SL_MAX_PRIORITY + 1;
	if (s->zones.given)
		return SL_MIN(SL_MAX_LEVELS, SL_MAX(s->endpoint_cnt, 1u));
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

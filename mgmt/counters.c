/* Arrays by slot: the incarnation a baseline belongs to, and the sums at that moment.  All counters
 * are uint64, so that one loop subtracts any of the structs; gauges say what is now and stay as they are. */
#include "mgmt/counters.h"

#include "mgmt/metrics.h"

#include <stdlib.h>

struct base_listener {
	uint32_t incarnation;
	struct sl_stats_listener base;
};
struct base_service {
	uint32_t incarnation;
	struct sl_stats_service base;
};
struct base_endpoint {
	uint32_t incarnation;
	struct sl_stats_endpoint base;
};

struct base_vhost {
	uint32_t incarnation;
	struct sl_stats_vhost base;
};
struct base_route {
	uint32_t incarnation;
	struct sl_stats_route base;
};

struct base_rate {
	uint32_t incarnation;
	struct sl_stats_rate base;
};

/* Of a set of rules, or of a rule. */
struct base_authz {
	uint32_t incarnation;
	struct sl_stats_authz base;
};

struct sl_counters {
	const void *stats;
	size_t bytes;
	uint64_t boot_id;
	bool booted; /* boot_id is that of a segment seen */
	bool fresh;  /* that segment began while we watched: what has no baseline began at 0 */
	struct base_listener listeners[SL_MAX_LISTENERS];
	struct base_service services[SL_MAX_SERVICES];
	struct base_endpoint endpoints[SL_MAX_ENDPOINTS];
	struct base_vhost vhosts[SL_MAX_VHOSTS];
	struct base_rate rates[SL_MAX_RATES];
	struct base_authz authz[SL_MAX_AUTHZ];
	struct base_authz *rules; /* [SL_MAX_RULE_SLOTS], or NULL: no rule was seen, or no memory */
	struct base_route
		*routes; /* [SL_MAX_HTTP_ROUTES], or NULL: no route was seen, or no memory */
};

struct sl_counters *
sl_counters_create(void)
{
	return calloc(1, sizeof(struct sl_counters));
}

void
sl_counters_destroy(struct sl_counters *c)
{
	if (c) {
		free(c->routes);
		free(c->rules);
	}
	free(c);
}

void
sl_counters_attach(struct sl_counters *c, const void *stats, size_t bytes, uint64_t boot_id)
{
	c->stats = stats;
	c->bytes = bytes;
	if (!stats || (c->booted && c->boot_id == boot_id))
		return;
	memset(c->listeners, 0, sizeof(c->listeners));
	memset(c->services, 0, sizeof(c->services));
	memset(c->endpoints, 0, sizeof(c->endpoints));
	memset(c->vhosts, 0, sizeof(c->vhosts));
	memset(c->rates, 0, sizeof(c->rates));
	memset(c->authz, 0, sizeof(c->authz));
	free(c->rules);
	c->rules = NULL;
	free(c->routes); /* 17 MB, most of it never touched */
	c->routes = NULL;
	c->fresh = c->booted;
	c->booted = true;
	c->boot_id = boot_id;
}

/* Whether the counters at this moment are the baseline of an owner that has none yet. */
static bool
from_now(const struct sl_counters *c, uint32_t known, uint32_t incarnation)
{
	/* slot never seen: the first owner of all, or a boot whose beginning we watched */
	if (known == 0 && (incarnation == 1 || c->fresh))
		return false;
	return c->stats != NULL;
}

static void
prepare_listener(struct sl_counters *c, struct sl_placed at)
{
	struct base_listener *b = &c->listeners[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_listener){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_listener(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_service(struct sl_counters *c, struct sl_placed at)
{
	struct base_service *b = &c->services[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_service){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_service(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_endpoint(struct sl_counters *c, struct sl_placed at)
{
	struct base_endpoint *b = &c->endpoints[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_endpoint){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_endpoint(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_vhost(struct sl_counters *c, struct sl_placed at)
{
	struct base_vhost *b = &c->vhosts[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_vhost){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_vhost(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_rate(struct sl_counters *c, struct sl_placed at)
{
	struct base_rate *b = &c->rates[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_rate){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_rate(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_authz(struct sl_counters *c, struct sl_placed at)
{
	struct base_authz *b = &c->authz[at.slot];
	if (b->incarnation == at.incarnation)
		return;
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_authz){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_authz(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_rule(struct sl_counters *c, struct sl_placed at)
{
	if (!c->rules)
		c->rules = calloc(SL_MAX_RULE_SLOTS, sizeof(*c->rules));
	if (!c->rules || c->rules[at.slot].incarnation == at.incarnation)
		return;
	struct base_authz *b = &c->rules[at.slot];
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_authz){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_rule(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_rules(struct sl_counters *c, const struct sl_conf_authz *a, const struct sl_slot_map *map)
{
	struct sl_placed at;

	if (sl_slot_find_authz(map, a->name, &at) == 0)
		prepare_authz(c, at);
	for (uint32_t i = 0; i < a->rule_cnt; i++)
		if (sl_slot_find_rule(map, a->name, a->rules[i].name, &at) == 0)
			prepare_rule(c, at);
	if (sl_slot_find_rule(map, a->name, SL_AUTHZ_DEFAULT, &at) == 0)
		prepare_rule(c, at);
}

static void
prepare_route(struct sl_counters *c, struct sl_placed at)
{
	if (!c->routes)
		c->routes = calloc(SL_MAX_HTTP_ROUTES, sizeof(*c->routes));
	if (!c->routes || c->routes[at.slot].incarnation == at.incarnation)
		return;
	struct base_route *b = &c->routes[at.slot];
	bool now = from_now(c, b->incarnation, at.incarnation);
	*b = (struct base_route){.incarnation = at.incarnation};
	if (now)
		(void)sl_metrics_sum_route(c->stats, c->bytes, at.slot, &b->base);
}

static void
prepare_routes(struct sl_counters *c, const struct sl_conf_table *t, const struct sl_slot_map *map)
{
	struct sl_placed at;

	for (uint32_t i = 0; i < t->vhost_cnt; i++) {
		const struct sl_conf_vhost *v = &t->vhosts[i];
		if (sl_slot_find_vhost(map, t, v, &at) == 0)
			prepare_vhost(c, at);
		for (uint32_t k = 0; k < v->route_cnt; k++)
			if (sl_slot_find_hroute(map, t, v, &v->routes[k], &at) == 0)
				prepare_route(c, at);
	}
}

static void
prepare_endpoints(struct sl_counters *c, const struct sl_conf *before, const struct sl_conf *conf,
		  const struct sl_slot_map *map)
{
	struct sl_placed at;

	for (uint32_t i = 0; i < conf->service_cnt; i++) {
		const struct sl_conf_service *s = &conf->services[i];
		for (uint32_t k = 0; k < s->endpoint_cnt && sl_conf_moved(before, conf, i); k++)
			if (sl_slot_find_endpoint(map, s, &s->endpoints[k], &at) == 0)
				prepare_endpoint(c, at);
	}
}

void
sl_counters_prepare_moved(struct sl_counters *c, const struct sl_conf *before,
			  const struct sl_conf *conf, const struct sl_slot_map *map)
{
	if (before)
		prepare_endpoints(c, before, conf, map);
	else
		sl_counters_prepare(c, conf, map);
}

void
sl_counters_prepare(struct sl_counters *c, const struct sl_conf *conf,
		    const struct sl_slot_map *map)
{
	struct sl_placed at;

	for (uint32_t i = 0; i < conf->listener_cnt; i++)
		if (sl_slot_find_listener(map, &conf->listeners[i], &at) == 0)
			prepare_listener(c, at);
	for (uint32_t i = 0; i < conf->service_cnt; i++) {
		const struct sl_conf_service *s = &conf->services[i];
		if (sl_slot_find_service(map, s, &at) == 0)
			prepare_service(c, at);
	}
	prepare_endpoints(c, NULL, conf, map);
	for (uint32_t i = 0; i < conf->rate_cnt; i++)
		if (sl_slot_find_rate(map, conf->rates[i].name, &at) == 0)
			prepare_rate(c, at);
	for (uint32_t i = 0; i < conf->authz_cnt; i++)
		prepare_rules(c, &conf->authz[i], map);
	for (uint32_t i = 0; i < conf->table_cnt; i++)
		prepare_routes(c, &conf->tables[i], map);
}

struct sl_stats_listener
sl_counters_listener_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_listener *b = &c->listeners[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_listener){0};
}

struct sl_stats_service
sl_counters_service_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_service *b = &c->services[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_service){0};
}

struct sl_stats_endpoint
sl_counters_endpoint_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_endpoint *b = &c->endpoints[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_endpoint){0};
}

struct sl_stats_vhost
sl_counters_vhost_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_vhost *b = &c->vhosts[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_vhost){0};
}

const struct sl_stats_route *
sl_counters_route_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_route *b = c->routes ? &c->routes[at.slot] : NULL;
	return b && b->incarnation == at.incarnation ? &b->base : NULL;
}

static void
subtract(uint64_t *now, const uint64_t *base, size_t bytes, unsigned gauges)
{
	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		if (!(gauges >> i & 1))
			now[i] = now[i] > base[i] ? now[i] - base[i] : 0;
}

struct sl_stats_listener
sl_counters_listener(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_listener s = {0}, base = sl_counters_listener_base(c, at);
	if (c->stats && sl_metrics_sum_listener(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s), 0);
	return s;
}

struct sl_stats_service
sl_counters_service(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_service s = {0}, base = sl_counters_service_base(c, at);
	if (c->stats && sl_metrics_sum_service(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s),
			 SL_METRICS_SERVICE_GAUGES);
	return s;
}

struct sl_stats_endpoint
sl_counters_endpoint(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_endpoint s = {0}, base = sl_counters_endpoint_base(c, at);
	if (c->stats && sl_metrics_sum_endpoint(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s),
			 SL_METRICS_ENDPOINT_GAUGES);
	return s;
}

struct sl_stats_vhost
sl_counters_vhost(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_vhost s = {0}, base = sl_counters_vhost_base(c, at);
	if (c->stats && sl_metrics_sum_vhost(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s), 0);
	return s;
}

struct sl_stats_rate
sl_counters_rate_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_rate *b = &c->rates[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_rate){0};
}

struct sl_stats_rate
sl_counters_rate(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_rate s = {0}, base = sl_counters_rate_base(c, at);
	if (c->stats && sl_metrics_sum_rate(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s),
			 SL_METRICS_RATE_GAUGES);
	return s;
}

struct sl_stats_authz
sl_counters_authz_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_authz *b = &c->authz[at.slot];
	return b->incarnation == at.incarnation ? b->base : (struct sl_stats_authz){0};
}

struct sl_stats_authz
sl_counters_rule_base(const struct sl_counters *c, struct sl_placed at)
{
	const struct base_authz *b = c->rules ? &c->rules[at.slot] : NULL;
	return b && b->incarnation == at.incarnation ? b->base : (struct sl_stats_authz){0};
}

struct sl_stats_authz
sl_counters_authz(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_authz s = {0}, base = sl_counters_authz_base(c, at);
	if (c->stats && sl_metrics_sum_authz(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s), 0);
	return s;
}

struct sl_stats_authz
sl_counters_rule(const struct sl_counters *c, struct sl_placed at)
{
	struct sl_stats_authz s = {0}, base = sl_counters_rule_base(c, at);
	if (c->stats && sl_metrics_sum_rule(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)&base, sizeof(s), 0);
	return s;
}

struct sl_stats_route
sl_counters_route(const struct sl_counters *c, struct sl_placed at)
{
	static const struct sl_stats_route zero;
	const struct sl_stats_route *base = sl_counters_route_base(c, at);
	struct sl_stats_route s = {0};
	if (c->stats && sl_metrics_sum_route(c->stats, c->bytes, at.slot, &s) == 0)
		subtract((uint64_t *)&s, (const uint64_t *)(base ? base : &zero), sizeof(s), 0);
	return s;
}

const void *
sl_counters_stats(const struct sl_counters *c, size_t *ret_bytes)
{
	*ret_bytes = c->bytes;
	return c->stats;
}

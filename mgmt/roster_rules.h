/* roster_rules — which endpoints a service of a table can have: what check.c asks of those in the file, and the dataplane of those
 * in a generation (view.c: a route to each), one at a time: one endpoint that a source made up must not hold up all others.
 *
 * Threads: [any]; rules are only read once they are made.
 */
#ifndef SL_MGMT_ROSTER_RULES_H
#define SL_MGMT_ROSTER_RULES_H

#include "mgmt/source.h"

/* A prefix of network.addresses or network.routes. */
struct sl_roster_way {
	struct sl_addr prefix;
	uint32_t plen;
	uint32_t address; /* whose port leads there: index into conf.addresses */
	bool link;        /* without a router between */
};

struct sl_roster_rules {
	const struct sl_conf *c; /* outlives the rules */
	struct sl_conf_links links;
	struct sl_addr *own;        /* [own_cnt] addresses of the gateway, sorted */
	struct sl_addr *vips;       /* [vip_cnt] listeners' single addresses, sorted */
	struct sl_addr *sources;    /* [source_cnt] of all services, sorted */
	struct sl_roster_way *ways; /* [way_cnt], the longest prefixes first */
	uint32_t *wide;             /* [wide_cnt] indices of listeners of prefixes */
	uint16_t (*kept)
		[2]; /* [service_cnt]: where ports are kept: the lowest and highest of its listeners */
	uint32_t own_cnt, vip_cnt, source_cnt, wide_cnt, way_cnt;
};

/* sl_roster_rules_make: 0 or -ENOMEM; fini in both cases. */
int sl_roster_rules_make(struct sl_roster_rules *r, const struct sl_conf *c);
void sl_roster_rules_fini(struct sl_roster_rules *r);

/* sl_roster_rules_family: 4 or 6: what the endpoints of service i have to be; 0: either, but all alike. */
uint8_t sl_roster_rules_family(const struct sl_roster_rules *r, uint32_t i);

/* sl_roster_rules_refuse: why service i cannot have an endpoint there, or NULL.  port: host order, 0: the client's. */
const char *sl_roster_rules_refuse(const struct sl_roster_rules *r, uint32_t i,
				   const struct sl_addr *addr, uint16_t port);

#endif

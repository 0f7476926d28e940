/* levels — which endpoints of a service are asked together, and how much room that takes.
 *
 * An endpoint's rank is its priority; with locality_failover it is priority × 3 + distance from the gateway; with zone_aware each
 * zone in use of each priority is a rank, the gateway's own first, then the others by name: those of one priority stand beside each
 * other.  Where that would be more than SL_MAX_LEVELS, the last zones by name are one.  Ranks in use, in
 * their order, are the levels 0, 1, … of the service; those in use among a subset's endpoints are the subset's.
 *
 * Pure: the same configuration gives the same levels on every gateway of the same locality.
 */
#ifndef SL_MGMT_LEVELS_H
#define SL_MGMT_LEVELS_H

#include "mgmt/conf.h"

#define SL_DISTANCES 3
#define SL_RANKS ((SL_MAX_PRIORITY + 1) * SL_DISTANCES)

/* sl_level_distance: 0: same region and zone, 1: same region, 2: another one.  What is not known of either ("", a part left out
 * or "-") is taken to be the same; racks do not count. */
unsigned sl_level_distance(const char *gateway, const char *endpoint);

/* Of the endpoints of a service: which rank each is of, and what zone and priority a rank is. */
struct sl_level_ranks {
	uint8_t of[SL_MAX_SERVICE_ENDPOINTS]; /* by place in s->endpoints; in [0, SL_RANKS) */
	uint8_t priority[SL_RANKS]; /* zone_aware: of those beside each other it is the same */
	uint8_t zone[SL_RANKS];     /* zone_aware: 0: the gateway's own; else 0 */
};
static_assert(SL_RANKS <= SL_MAX_LEVELS, "a level for each rank");

/* sl_level_ranks: 0, or -ENOMEM. */
int sl_level_ranks(const struct sl_conf *c, const struct sl_conf_service *s,
		   struct sl_level_ranks *ret);

/* sl_level_rank: priority and distance, in [0, SL_RANKS): an endpoint's rank but with zone_aware. */
unsigned sl_level_rank(const struct sl_conf *c, const struct sl_conf_service *s,
		       const struct sl_conf_endpoint *e);

/* sl_level_places: the size of the Maglev table of each of level_cnt levels (of the service, or of a subset).  Up to four have one
 * that is as large as that of a single level; five to eight have the half, and so on, so that priorities which a source makes
 * up do not let a service grow. */
uint32_t sl_level_places(uint32_t max_endpoints, unsigned level_cnt);

/* sl_level_bytes: what a service's endpoints and tables take at most, whatever its sources answer. */
uint64_t sl_level_bytes(const struct sl_conf *c, const struct sl_conf_service *s);

#endif

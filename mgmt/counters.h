/* counters — what the statistics segment says of an owner since it got its slot.
 *
 * The segment counts by slot and never resets; a slot that is given to another owner (incarnation raised) starts
 * at 0 by a baseline that is taken before the new owner is offered.
 * Threads: [loop].  The segment is read-only here, written by workers.
 */
#ifndef SL_MGMT_COUNTERS_H
#define SL_MGMT_COUNTERS_H

#include "mgmt/compile.h"
#include "sluice/stats.h"

struct sl_counters;

struct sl_counters *sl_counters_create(void);
void sl_counters_destroy(struct sl_counters *c);

/* sl_counters_attach: the segment (NULL: none) and the boot it belongs to.  Another boot than the last one begins
 * without baselines; for the first one this daemon sees, owners with incarnation 1 count from 0 and others
 * from now. */
void sl_counters_attach(struct sl_counters *c, const void *stats, size_t bytes, uint64_t boot_id);

/* sl_counters_prepare takes baselines for owners in (conf, map) that have none. */
/* before: as of sl_oper_place_moved: only endpoints of services that moved; NULL: all owners. */
void sl_counters_prepare_moved(struct sl_counters *c, const struct sl_conf *before,
			       const struct sl_conf *conf, const struct sl_slot_map *map);
void sl_counters_prepare(struct sl_counters *c, const struct sl_conf *conf,
			 const struct sl_slot_map *map);

/* Since the owner got its slot; all 0 without a segment. */
struct sl_stats_listener sl_counters_listener(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_service sl_counters_service(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_endpoint sl_counters_endpoint(const struct sl_counters *c, struct sl_placed at);

struct sl_stats_vhost sl_counters_vhost(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_route sl_counters_route(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_rate sl_counters_rate(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_authz sl_counters_authz(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_authz sl_counters_rule(const struct sl_counters *c, struct sl_placed at);

/* The baselines themselves, for the exporter, which subtracts. */
struct sl_stats_listener sl_counters_listener_base(const struct sl_counters *c,
						   struct sl_placed at);
struct sl_stats_service sl_counters_service_base(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_endpoint sl_counters_endpoint_base(const struct sl_counters *c,
						   struct sl_placed at);

struct sl_stats_vhost sl_counters_vhost_base(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_rate sl_counters_rate_base(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_authz sl_counters_authz_base(const struct sl_counters *c, struct sl_placed at);
struct sl_stats_authz sl_counters_rule_base(const struct sl_counters *c, struct sl_placed at);
/* NULL: 0.  Good until the next attach. */
const struct sl_stats_route *sl_counters_route_base(const struct sl_counters *c,
						    struct sl_placed at);

/* The segment, or NULL. */
const void *sl_counters_stats(const struct sl_counters *c, size_t *ret_bytes);

#endif

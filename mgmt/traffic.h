/* traffic — CORS, faults, hedging and cookies of splits that hold for a route, in words for people.
 *
 * What is nearest to the route holds: its own, else its host's, else its table's.
 * Threads: [any]; pure.
 */
#ifndef SL_MGMT_TRAFFIC_H
#define SL_MGMT_TRAFFIC_H

#include "mgmt/conf.h"

#define SL_TRAFFIC_LEN 512
struct sl_traffic { /* "": nothing holds; long ones are cut */
	char cors[SL_TRAFFIC_LEN], fault[SL_TRAFFIC_LEN], hedge[SL_TRAFFIC_LEN],
		sticky[SL_TRAFFIC_LEN];
};

void sl_traffic_of(const struct sl_conf_table *t, const struct sl_conf_vhost *v,
		   const struct sl_conf_hroute *r, struct sl_traffic *ret);

#endif

/* diff — what changes between two configurations, in people's terms.
 * Threads: [any]. Pure. */
#ifndef SL_MGMT_DIFF_H
#define SL_MGMT_DIFF_H

#include "mgmt/conf.h"
#include <jansson.h>

/* sl_diff gives the "changes" array of api.h, in the order gateway, addresses, routes, services (each with its
 * endpoints), listeners, route tables (each with its hosts, each with its routes); things are told apart by name.  A route
 * is moved when others of its host that stayed went past it: the fewest that explain the new order.  old may be NULL: everything is added.
 * NULL: out of memory. */
json_t *sl_diff(const struct sl_conf *old, const struct sl_conf *now);

/* sl_diff_untried: those changes, and of each those words, that push --shadow cannot foretell, since requests and flows are not asked
 * about them: limits, faults, hedging, mirrors, breakers, retries, times, bandwidth, health, headers, addresses, network routes. */
json_t *sl_diff_untried(const struct sl_conf *old, const struct sl_conf *now);

#endif

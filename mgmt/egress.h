/* egress — by which port of the dataplane a table's network leads to an address.
 *
 * As the dataplane's FIB: the longest prefix of network.addresses and network.routes; of a route, the port of the address whose prefix
 * its via is in.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_EGRESS_H
#define SL_MGMT_EGRESS_H

#include "mgmt/conf.h"

/* sl_egress_port: the port's name, which lives as long as c; NULL: nothing leads there. */
const char *sl_egress_port(const struct sl_conf *c, const struct sl_addr *to);

#endif

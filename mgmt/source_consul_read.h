/* source_consul_read — what a Consul agent says of a service (GET /v1/health/service/NAME) as endpoints.
 *
 *   [ { "Node":    { "Node": "n1", "Address": "192.0.2.1", "Datacenter": "dc1", … },
 *       "Service": { "ID": "web-1", "Service": "web", "Tags": [ … ], "Address": "", "Port": 80, "Meta": { … },
 *                    "Weights": { "Passing": 1, "Warning": 1 }, … },
 *       "Checks":  [ { "CheckID": "…", "Status": "passing" | "warning" | "critical" }, … ] }, … ]
 *
 * name      node, with ".ID" where the instance's ID is not the service's name: IDs are distinct on a node alone
 * address   Service.Address, without it Node.Address; port: Service.Port
 * weight    Weights.Passing; where one is over SL_MAX_WEIGHT all are scaled alike
 * percent   with a check that warns: what Weights.Warning is of Weights.Passing
 * down      a check is critical
 * drain     the node or the instance is in maintenance
 * locality  Service.Locality or Node.Locality (region, zone); without: the datacenter as region
 * metadata  Service.Meta, as far as it fits
 *
 * Threads: [any].  Pure.
 */
#ifndef SL_MGMT_SOURCE_CONSUL_READ_H
#define SL_MGMT_SOURCE_CONSUL_READ_H

#include "mgmt/source_answer.h"

/* sl_source_consul_read: 0 and *ret in its final form (port: sl_source_answer_finish); −EINVAL: it cannot be read as a whole, or −ENOMEM,
 * with why, and *ret empty.  tag: "" or one that instances must have. */
int sl_source_consul_read(const char *bytes, size_t len, const char *service, const char *tag,
			  uint16_t port, struct sl_source_answer *ret, char *why, size_t size);

/* sl_source_consul_index: X-Consul-Index; −1: it is not one.  0 is one that must not be used. */
int sl_source_consul_index(const char *text, uint64_t *ret_index);

#endif

/* dns_endpoints — addresses and SRV records become endpoints: names, priorities, weights.
 *
 * Names:      an address: "192.0.2.1-80"; SRV: "web1.example-192.0.2.1-80" (source.h says what becomes of long ones), also where a
 *             target has only one address: else its second one would give the first another name, and with it another slot.
 * Priority:   the lowest number of the records is 0, the next 1, …; records behind SL_MAX_PRIORITY are left out.
 * Weight:     of the records of one priority: all 0: 1 each; all within 1 to 256: as they are; else scaled so that the largest is
 *             256, and none less than 1 (a 0 beside others is "a very small chance", RFC 2782).
 * Order:      by priority and name: the order of records in an answer means nothing.
 * Left out:   addresses that no endpoint can have, an address and port that an earlier one has, what is more than
 *             SL_MAX_SERVICE_ENDPOINTS; counted, the first one named in the note.  The target "." (there is decidedly no such
 *             service) is noted, not counted: the answer is that there are none.
 * Threads:    [any]. Pure.
 */
#ifndef SL_MGMT_DNS_ENDPOINTS_H
#define SL_MGMT_DNS_ENDPOINTS_H

#include "mgmt/dns_answer.h"
#include "mgmt/source.h"

struct sl_dns_endpoints {
	struct sl_source_endpoint
		*list; /* [cnt], every byte of it set: two can be compared as memory */
	uint32_t cnt, left_out;
	char note[400];
};

/* The addresses of one target; those of several are in one array. */
struct sl_dns_target {
	char host[SL_DNS_HOST_MAX];
	const struct sl_addr *addrs; /* [addr_cnt] */
	uint32_t addr_cnt;
};

/* port: for the names; 0 when the question has none.  0, or -ENOMEM with nothing to fini. */
int sl_dns_endpoints_addrs(const struct sl_addr *addrs, uint32_t cnt, uint16_t port,
			   struct sl_dns_endpoints *ret);
/* srvs are put in order; targets: ascending by host. */
int sl_dns_endpoints_srv(struct sl_dns_srv *srvs, uint32_t srv_cnt,
			 const struct sl_dns_target *targets, uint32_t target_cnt,
			 struct sl_dns_endpoints *ret);
void sl_dns_endpoints_fini(struct sl_dns_endpoints *e);
bool sl_dns_endpoints_same(const struct sl_dns_endpoints *a, const struct sl_dns_endpoints *b);

#endif

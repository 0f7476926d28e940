/* maglev — the table that turns a hash into an endpoint (Eisenbud et al., NSDI 2016).
 *
 * Build [mgmt], pick [worker].  Pure: the table depends on the multiset of (name, weight), the seed and
 * the size; not on the order of the input.  Removing one endpoint of N moves about 1/N of the places
 * plus a small disturbance; adding likewise.
 */
#ifndef SL_LB_MAGLEV_H
#define SL_LB_MAGLEV_H

#include "sluice/base.h"

struct sl_maglev_node {
	const char *name; /* distinct */
	uint32_t weight;  /* [0, 256]; 0 takes no place */
};

/* sl_maglev_size gives the smallest listed prime ≥ 100 × max_endpoints (1..16384): 655 → 65537. */
uint32_t sl_maglev_size(uint32_t max_endpoints);

/* sl_maglev_size_listed says whether n is one of the listed primes. */
bool sl_maglev_size_listed(uint32_t n);

/* sl_maglev_build fills table[size] with indices into nodes, every place filled, shares proportional to
 * weight within one place per node per round.  node_cnt in [0, 16384], some weight > 0, size a listed
 * prime ≥ number of nodes with weight.  0, -EINVAL (nothing to place, size) or -ENOMEM. */
int sl_maglev_build(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint64_t seed,
		    uint16_t *table, uint32_t size);

/* sl_maglev_schedule fills a smooth weighted round-robin order (each node appears weight/gcd times, spread
 * evenly); *ret_cnt in [1, cap].  When the sum of weights / gcd is over cap the weights are scaled down,
 * every non-zero one to at least 1.  0, -EINVAL or -ENOMEM. */
int sl_maglev_schedule(const struct sl_maglev_node *nodes, uint32_t node_cnt, uint16_t *sched,
		       uint32_t cap, uint32_t *ret_cnt);

#endif

/* ring — the points of a ring hash (ketama's idea): a request's hash goes to the endpoint of the next point.
 *
 * Build [mgmt].  Pure: an endpoint's points are a function of its name and the seed alone, so gateways agree; how many of
 * them stand on the ring goes by its weight.  A new endpoint or a larger weight adds points, nothing else moves.
 */
#ifndef SL_LB_RING_H
#define SL_LB_RING_H

#include "lb/maglev.h"
#include "sluice/image.h"

#define SL_RING_POINTS 160 /* of an endpoint with the least weight, as long as all fit */

/* sl_ring_size: the number of points, in [1, most]; 0: no weight at all.  Weights count by their ratio; when they come to more than
 * `most`, each has half as many, and again, but one at least.  cnt in [0, SL_MAX_SERVICE_ENDPOINTS], most in [cnt, SL_MAX_RING]. */
uint32_t sl_ring_size(const struct sl_maglev_node *nodes, uint32_t cnt, uint32_t most);

/* sl_ring_build fills points[sl_ring_size] in order of (hash, endpoint). */
void sl_ring_build(const struct sl_maglev_node *nodes, uint32_t cnt, uint32_t most, uint64_t seed,
		   struct sl_img_point *points);

#endif

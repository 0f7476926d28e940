/* outlier_rate — which of a service's endpoints fail more than the others (Envoy's success rate and failure percentage).
 *
 *   an endpoint with at least rate_requests tries in the sweep is judged, when at least rate_endpoints are
 *   rate_deviation   its success rate < mean − rate_deviation / 1000 × standard deviation, of those judged
 *   failure_pct      its failures ≥ failure_pct per cent of its tries
 * Pure.
 */
#ifndef SL_DATAPLANE_OUTLIER_RATE_H
#define SL_DATAPLANE_OUTLIER_RATE_H

#include "sluice/image.h"
#include "sluice/state.h"

/* Tries of one endpoint in a sweep. */
struct sl_outlier_sample {
	uint32_t ok, failed;
};

/* Fills why[cnt]: SL_EJECTED_RATE, SL_EJECTED_PERCENT or SL_EJECTED_NOT. */
void sl_outlier_rate(const struct sl_outlier_sample *s, uint32_t cnt,
		     const struct sl_img_http_service *h, uint8_t *why);

#endif

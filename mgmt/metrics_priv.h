/* metrics_priv — between metrics.c and metrics_requests.c. */
#ifndef SL_MGMT_METRICS_PRIV_H
#define SL_MGMT_METRICS_PRIV_H

#include "mgmt/exposition.h"
#include "mgmt/metrics.h"

/* sl_metrics_requests: what is counted of HTTP.  0 or -ENOMEM. */
int sl_metrics_requests(struct sl_expo *o, const struct sl_expo_seg *g,
			const struct sl_metrics_snapshot *s);

#endif

/* metrics_priv — between metrics.c and its parts. */
#ifndef SL_MGMT_METRICS_PRIV_H
#define SL_MGMT_METRICS_PRIV_H

#include "mgmt/exposition.h"
#include "mgmt/metrics.h"

/* sl_metrics_requests: what is counted of HTTP.  0 or -ENOMEM. */
int sl_metrics_requests(struct sl_expo *o, const struct sl_expo_seg *g,
			const struct sl_metrics_snapshot *s);

/* metrics_authz.c: 0 or -ENOMEM. */
int sl_metrics_authz(struct sl_expo *o, const struct sl_expo_seg *g,
		     const struct sl_metrics_snapshot *s);

/* metrics_tls.c */
void sl_metrics_tls(struct sl_expo *o, const struct sl_expo_seg *g);
void sl_metrics_certs(struct sl_expo *o, const struct sl_metrics_snapshot *s);

/* metrics_registry.c */
void sl_metrics_registry(struct sl_expo *o, const struct sl_registry_stats *r);
void sl_metrics_store(struct sl_expo *o, const struct sl_store_stats *s);

/* metrics_shares.c */
void sl_metrics_shares(struct sl_expo *o, const struct sl_metrics_snapshot *s);

/* metrics_sources.c */
void sl_metrics_issuers(struct sl_expo *o, const struct sl_metrics_snapshot *s);
void sl_metrics_sources(struct sl_expo *o, const struct sl_metrics_snapshot *s);

#endif

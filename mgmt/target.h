/* target — what may be asked of the prober: the rules for a set of targets, and when two settings
 * are one.
 *
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_TARGET_H
#define SL_MGMT_TARGET_H

#include "mgmt/health.h"

/* sl_target_check: 0, or -EINVAL with every problem in diag (path "service/endpoint"). */
int sl_target_check(const struct sl_probe_target *in, size_t cnt, struct sl_diag *diag);

/* sl_target_same_conf says whether both make the same probes: what the type does not use is not
 * looked at. */
bool sl_target_same_conf(const struct sl_health_conf *a, const struct sl_health_conf *b);

#endif

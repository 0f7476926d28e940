/* store_registry — services that registered with this gateway, for all gateways: a key of the store each, under a lease of its TTL.
 *
 * Walk:    registry.h:changed → sl_store_registry_set → PREFIXendpoints/SERVICE/ENDPOINT is put under a lease of its TTL, as long as the
 *          registry hears the endpoint; who is silent or gone: the key is deleted, if it is still ours.  Gateways see them by a source of
 *          type etcd (source_etcd.c).
 * Leases:  one for all with the same TTL, kept alive every third of it: it is the gateway's death that they are for.  Lost, it is granted anew,
 *          and everything put under the new one.  Without a TTL a key stays until it is deregistered.
 * Away:    while etcd is away everything is kept here and made good afterwards; so is what etcd has lost (it was wiped, an older state restored, a
 *          key deleted): the keys are watched.
 * Twice:   an endpoint that registers with two gateways belongs to the one that wrote last; when that one's key goes, the other puts it again.
 * Threads: [loop].
 */
#ifndef SL_MGMT_STORE_REGISTRY_H
#define SL_MGMT_STORE_REGISTRY_H

#include "mgmt/etcd.h"

struct sl_store_registry;

/* etcd, prefix: outlive it.  timeout_ms: of one request.  say: one line for the log.  0 or -ENOMEM. */
int sl_store_registry_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix,
			     uint32_t timeout_ms, uint64_t seed,
			     void (*say)(void *ctx, const char *line), void *ctx,
			     struct sl_store_registry **ret_registry);
/* Leases are left: they end by themselves, or are replaced after a restart. */
void sl_store_registry_destroy(struct sl_store_registry *r);

/* json: an endpoint as source.h has it, copied; NULL: it is to be gone.  ttl_s 0: no lease.  0 or -ENOMEM. */
int sl_store_registry_set(struct sl_store_registry *r, const char *service, const char *endpoint,
			  const char *json, uint32_t ttl_s);

struct sl_store_registry_stats {
	uint32_t cnt,
		settled; /* how many there are, and how many of them are in etcd as they are here */
	uint64_t troubles; /* requests that came to nothing */
	bool trouble;      /* the last one did */
};
void sl_store_registry_stats(const struct sl_store_registry *r,
			     struct sl_store_registry_stats *ret);

#endif

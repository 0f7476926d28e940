/* Limits of services of mode tcp, which count new connections; and housekeeping of limits. */
#include "dataplane/worker_priv.h"
#include "l7/rate_judge.h"

/* Who the client's certificate says that it is, as routes see it (sl_http_identity). */
static void
identity_of(const struct sl_stream *client, struct sl_rate_who *who)
{
	const struct sl_tls_info *info = sl_tls_info(client);
	const struct sl_tls_peer *p = info ? info->peer : NULL;

	if (!p || !p->verified)
		return;
	const char *dns = sl_tls_peer_dns(p), *comma = memchr(dns, ',', p->dns_len);
	who->identity = (const uint8_t *)(p->uri_len ? sl_tls_peer_uri(p) : dns);
	who->identity_len = p->uri_len ? p->uri_len : comma ? (uint32_t)(comma - dns) : p->dns_len;
	if (who->identity_len == 0)
		who->identity = NULL;
}

bool
sl_streams_passes(void *worker, const struct sl_stream *client, bool tls,
		  const struct sl_tuple *tuple, uint32_t service_slot, uint16_t service_incarnation)
{
	struct sl_worker *w = worker;
	uint32_t i = sl_streams_service(w, service_slot);
	const struct sl_service *svc = i ? &w->streams.view->services[i - 1] : NULL;
	struct sl_rate_who who = {.source = tuple->src};
	struct sl_rate_said said;

	if (!svc || svc->incarnation != service_incarnation || !svc->img->rate_cnt || !w->rates)
		return true;
	if (tls)
		identity_of(client, &who);
	sl_rate_judge(w->rates, w->rate_stats,
		      (const void *)((const char *)svc->img + svc->img->rate_off),
		      svc->img->rate_cnt, &who, w->now_ns, false, &said);
	return said.refused == NULL;
}

void
sl_streams_limits_tick(struct sl_worker *w)
{
	if (!w->rates || !sl_rates_tick(w->rates, w->now_ns) || w->conf.id != 0)
		return;
	w->rate_seen = (w->rate_seen + 1) % SL_MAX_RATES;
	w->rate_stats[w->rate_seen].keys = sl_rates_keys(w->conf.tcp.rates, w->rate_seen);
}

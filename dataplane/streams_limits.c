/* What lets a new connection of mode tcp through: rules of its listener, limits of its service; and housekeeping of limits. */
#include "dataplane/clock.h"
#include "dataplane/worker_priv.h"
#include "l7/rate_judge.h"

#define SEEN_AT_ONCE 8 /* limits whose buckets are counted in a tick, of about one a millisecond */

static uint64_t
monotonic_ns(void *worker)
{
	const struct sl_worker *w = worker;
	uint64_t now_ns = w->conf.clock ? sl_clock_now(w->conf.clock) : w->now_ns;

	return SL_MAX(now_ns, SL_CLOCK_AHEAD_NS) - SL_CLOCK_AHEAD_NS;
}

void
sl_streams_limits_start(struct sl_worker *w, void *mem)
{
	const struct sl_rate_words words = {w->conf.shares, monotonic_ns, w};

	w->rate_stats = sl_stats_rates(w->conf.stats, w->conf.id);
	if (!w->conf.tcp.rates)
		return;
	w->rates = sl_rates_init(mem, w->conf.tcp.rates, w->conf.worker_cnt);
	sl_rates_words(w->rates, &words);
}

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

/* The rules that connections to the stream's listener are judged by, with their slot; NULL: none. */
static const struct sl_authz *
rules_of(const struct sl_view *v, const struct sl_stream *client, uint32_t *ret_slot)
{
	const struct sl_tuple *t = &sl_stream_row(client)->tuple;
	uint32_t i = v ? sl_view_listener(v, &t->dst, t->dport, SL_IPPROTO_TCP) : SL_VIEW_NONE;

	if (i == SL_VIEW_NONE || !v->listeners[i].authz)
		return NULL;
	*ret_slot = v->listeners[i].authz - 1;
	return &v->authz[*ret_slot];
}

/* Of a request there is nothing: a set that goes by requests, which no table gives a listener (check_policy.c), lets nobody in. */
bool
sl_streams_allowed(void *worker, const struct sl_stream *client, bool tls,
		   const struct sl_tuple *tuple)
{
	static const struct sl_http_head none = {.method = SL_METHOD_OTHER};
	struct sl_worker *w = worker;
	struct sl_rate_who who = {.source = tuple->src};
	struct sl_authz_verdict v;
	struct sl_authz_own own;
	uint32_t slot;
	const struct sl_authz *set = rules_of(w->streams.view, client, &slot);

	if (sl_likely(!set))
		return true;
	if (!set->streams)
		return false;
	const struct sl_tls_info *info = tls ? sl_tls_info(client) : NULL;
	const struct sl_tls_peer *p = info ? info->peer : NULL;
	if (tls)
		identity_of(client, &who);
	const struct sl_authz_who asks = {
		.source = &tuple->src,
		.remote = &tuple->src,
		.identity = {who.identity, who.identity_len},
		.sni = {p ? (const uint8_t *)sl_tls_peer_sni(p) : NULL, p ? p->sni_len : 0},
		.port = sl_from_be16(sl_stream_row(client)->tuple.dport),
	};
	sl_authz_own(&asks, &own);
	const struct sl_match_input in = {
		.head = &none,
		.path = (const uint8_t *)"",
		.identity = asks.identity.at,
		.identity_len = asks.identity.len,
		.own = own.own,
		.own_cnt = own.cnt,
	};
	sl_authz_judge(set, &in, (struct sl_bytes){0}, &w->streams.view->scratch[w->conf.id], &v);
	sl_authz_count(set, &v, &sl_stats_authz(w->conf.stats, w->conf.id)[slot],
		       sl_stats_rules(w->conf.stats, w->conf.id));
	return !v.denied || v.told_only;
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
		      svc->img->rate_cnt, &who, sl_rates_now(w->rates), false, &said);
	return said.refused == NULL;
}

void
sl_streams_limits_tick(struct sl_worker *w)
{
	uint64_t now_ns = w->conf.clock ? sl_clock_now(w->conf.clock) : w->now_ns;

	if (!w->rates || !sl_rates_tick(w->rates, now_ns) || w->conf.id != 0)
		return;
	for (unsigned i = 0; i < SEEN_AT_ONCE; i++) {
		w->rate_seen = (w->rate_seen + 1) % SL_MAX_RATES;
		w->rate_stats[w->rate_seen].keys = sl_rates_keys(w->conf.tcp.rates, w->rate_seen);
	}
}

/* What lets a new connection of mode tcp through: limits of its service; and housekeeping of limits. */
#include "dataplane/clock.h"
#include "dataplane/worker_priv.h"
#include "l7/rate_judge.h"
#include "sluice/events.h"

#define SEEN_AT_ONCE 8 /* limits whose buckets are counted in a tick, of about one a millisecond */

static uint64_t
exact_ns(void *worker)
{
	const struct sl_worker *w = worker;

	return w->conf.clock ? sl_clock_exact(w->conf.clock) : w->now_ns;
}

static uint64_t
monotonic_ns(void *worker)
{
	return SL_MAX(exact_ns(worker), SL_CLOCK_AHEAD_NS) - SL_CLOCK_AHEAD_NS;
}

void
sl_streams_limits_start(struct sl_worker *w, void *mem)
{
	const struct sl_rate_words words = {w->conf.shares, monotonic_ns, exact_ns, w};

	w->rate_stats = sl_stats_rates(w->conf.stats, w->conf.id);
	if (!w->conf.tcp.rates)
		return;
	w->rates = sl_rates_init(mem, w->conf.tcp.rates, w->conf.worker_cnt);
	sl_rates_words(w->rates, &words);
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
		sl_streams_who(client, &who);
	sl_rate_judge(w->rates, w->rate_stats,
		      (const void *)((const char *)svc->img + svc->img->rate_off),
		      svc->img->rate_cnt, &who, sl_rates_now(w->rates), false, &said);
	if (sl_likely(!said.refused))
		return true;
	const struct sl_tuple *came = &sl_stream_row(client)->tuple;
	uint32_t l = sl_view_listener(w->streams.view, &came->dst, came->dport, SL_IPPROTO_TCP);
	if (l != SL_VIEW_NONE)
		sl_streams_told(w, l, tuple, tls ? client : NULL, SL_RF_RL, said.refused->name,
				NULL);
	return false;
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

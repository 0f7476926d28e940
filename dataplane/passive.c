#include "dataplane/passive.h"

#include "l7/limits.h"

#include <errno.h>

#define REPORTS 256

static bool
wanted(const struct sl_boot *boot)
{
	return boot->tcp_streams && boot->http_requests;
}

int
sl_passive_up(struct sl_passive *p, const struct sl_boot *boot, bool huge,
	      struct sl_state_word2 *states, void *stats)
{
	if (!wanted(boot))
		return 0;
	p->worker_cnt = boot->worker_cnt;
	p->ledger = sl_host_map(sizeof(*p->ledger), huge, NULL);
	p->counts = sl_host_map(sizeof(*p->counts), huge, NULL);
	if (!p->ledger || !p->counts)
		return -ENOMEM;
	for (unsigned i = 0; i < boot->worker_cnt; i++) {
		size_t bytes = sl_ring_bytes(REPORTS, sizeof(struct sl_outlier_report));
		void *ring = sl_host_map(bytes, false, NULL);
		p->loads[i] = sl_host_map(SL_MAX_ENDPOINTS * sizeof(uint32_t), huge, NULL);
		p->tallies[i] = sl_host_map(sizeof(*p->tallies[i]), huge, NULL);
		if (!ring || !p->loads[i] || !p->tallies[i])
			return -ENOMEM;
		p->reports[i] = sl_ring_init(ring, REPORTS, sizeof(struct sl_outlier_report));
	}
	p->outlier = sl_outlier_create(states, p->counts, p->tallies, p->worker_cnt);
	if (!p->outlier)
		return -ENOMEM;
	sl_outlier_stats(p->outlier, sl_stats_services(stats, 0), sl_stats_endpoints(stats, 0));
	return 0;
}

int
sl_passive_worker(struct sl_passive *p, const struct sl_boot *boot, bool huge,
		  struct sl_worker_conf *conf)
{
	if (!wanted(boot))
		return 0;
	struct sl_worker_http *c = &conf->http;
	*c = (struct sl_worker_http){
		.conns = (uint32_t)boot->tcp_streams,
		.exchanges = (uint32_t)boot->http_requests,
		.pool = SL_MIN((uint32_t)boot->tcp_streams, (uint32_t)boot->http_pool),
		.head_bytes = (size_t)boot->http_head_mb << 20,
		.ledger = p->ledger,
		.outliers = p->counts,
		.tally = p->tallies[conf->id],
		.reports = p->reports[conf->id],
	};
	memcpy(c->loads, p->loads, sizeof(p->loads));
	c->ewma = sl_host_map(SL_MAX_ENDPOINTS * sizeof(*c->ewma), huge, NULL);
	c->mem = sl_host_map(sl_worker_http_bytes(c), huge, NULL);
	return c->ewma && c->mem ? 0 : -ENOMEM;
}

void
sl_passive_down(struct sl_passive *p)
{
	sl_outlier_destroy(p->outlier);
	p->outlier = NULL;
}

void
sl_passive_turn(struct sl_passive *p, const struct sl_view *view, uint64_t now_ns)
{
	struct sl_outlier_report r;

	if (!p->outlier || !view)
		return;
	for (unsigned i = 0; i < p->worker_cnt; i++)
		while (sl_ring_take(p->reports[i], &r, 1) == 1)
			sl_outlier_report(p->outlier, view, &r, now_ns);
	sl_outlier_tick(p->outlier, view, now_ns);
}

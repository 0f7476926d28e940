/* The layout follows from (worker_cnt, port_cnt) alone, so a segment is sound exactly when its head says
 * what layout() says. */
#include "sluice/stats.h"

#include <errno.h>

#define PAGE 4096u

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static void
layout(struct sl_stats_head *h, unsigned worker_cnt, unsigned port_cnt)
{
	size_t off = round_up(sizeof(struct sl_stats_worker), SL_CACHE_LINE);

	h->port_off = (uint32_t)off;
	off += round_up(port_cnt * sizeof(struct sl_stats_port), SL_CACHE_LINE);
	h->listener_off = (uint32_t)off;
	off += round_up(SL_MAX_LISTENERS * sizeof(struct sl_stats_listener), SL_CACHE_LINE);
	h->service_off = (uint32_t)off;
	off += round_up(SL_MAX_SERVICES * sizeof(struct sl_stats_service), SL_CACHE_LINE);
	h->endpoint_off = (uint32_t)off;
	off += round_up(SL_MAX_ENDPOINTS * sizeof(struct sl_stats_endpoint), SL_CACHE_LINE);
	h->vhost_off = (uint32_t)off;
	off += round_up(SL_MAX_VHOSTS * sizeof(struct sl_stats_vhost), SL_CACHE_LINE);
	h->route_off = (uint32_t)off;
	off += round_up(SL_MAX_HTTP_ROUTES * sizeof(struct sl_stats_route), SL_CACHE_LINE);
	h->authz_off = (uint32_t)off;
	off += round_up(SL_MAX_AUTHZ * sizeof(struct sl_stats_authz), SL_CACHE_LINE);
	h->rate_off = (uint32_t)off;
	off += round_up(SL_MAX_RATES * sizeof(struct sl_stats_rate), SL_CACHE_LINE);
	h->rule_off = (uint32_t)off;
	off += round_up(SL_MAX_RULE_SLOTS * sizeof(struct sl_stats_authz), SL_CACHE_LINE);
	h->worker_off = round_up(sizeof(*h), PAGE);
	h->worker_bytes = round_up(off, PAGE);
	h->worker_cnt = worker_cnt;
	h->port_cnt = port_cnt;
}

size_t
sl_stats_bytes(unsigned worker_cnt, unsigned port_cnt)
{
	struct sl_stats_head h;

	layout(&h, worker_cnt, port_cnt);
	return h.worker_off + worker_cnt * h.worker_bytes;
}

void
sl_stats_init(void *mem, unsigned worker_cnt, unsigned port_cnt, const char *const *port_names,
	      uint64_t boot_id, uint64_t ticks_per_s)
{
	struct sl_stats_head *h = mem;

	layout(h, worker_cnt, port_cnt);
	h->version = SL_STATS_VERSION;
	h->boot_id = boot_id;
	h->ticks_per_s = ticks_per_s;
	for (unsigned i = 0; i < port_cnt; i++) {
		size_t n = strnlen(port_names[i], SL_NAME_MAX - 1);
		memcpy(h->port_name[i], port_names[i], n);
	}
	/* Pairs with the acquire in sl_stats_check. */
	__atomic_store_n(&h->magic, SL_STATS_MAGIC, __ATOMIC_RELEASE);
}

int
sl_stats_check(const void *mem, size_t bytes)
{
	const struct sl_stats_head *h = mem;
	struct sl_stats_head want;

	if (bytes < sizeof(*h) || (uintptr_t)mem % 8 != 0)
		return -EINVAL;
	if (__atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != SL_STATS_MAGIC ||
	    h->version != SL_STATS_VERSION)
		return -EINVAL;
	if (h->worker_cnt < 1 || h->worker_cnt > SL_STATS_MAX_WORKERS ||
	    h->port_cnt > SL_STATS_MAX_PORTS || h->ticks_per_s == 0)
		return -EINVAL;
	layout(&want, h->worker_cnt, h->port_cnt);
	if (h->worker_bytes != want.worker_bytes || h->worker_off != want.worker_off ||
	    h->port_off != want.port_off || h->listener_off != want.listener_off ||
	    h->service_off != want.service_off || h->endpoint_off != want.endpoint_off ||
	    h->vhost_off != want.vhost_off || h->route_off != want.route_off ||
	    h->rate_off != want.rate_off || h->authz_off != want.authz_off ||
	    h->rule_off != want.rule_off)
		return -EINVAL;
	if (bytes < sl_stats_bytes(h->worker_cnt, h->port_cnt))
		return -EINVAL;
	for (unsigned i = 0; i < h->port_cnt; i++)
		if (h->port_name[i][SL_NAME_MAX - 1] != 0)
			return -EINVAL;
	return 0;
}

uint64_t
sl_hist_floor(unsigned idx)
{
	if (idx < 16)
		return idx;
	if (idx >= SL_HIST_BUCKETS)
		idx = SL_HIST_BUCKETS - 1;
	return (16ull + (idx & 15)) << (idx / 16 - 1);
}

struct row {
	const char *name, *text;
};

static const struct row rows[SL_TCP_CNT] = {
#define SL_TCP(CODE, name, text) {name, text},
#include "sluice/tcp.def"
#undef SL_TCP
};

const char *
sl_tcp_counter_name(unsigned code)
{
	return code < SL_TCP_CNT ? rows[code].name : "unknown";
}

const char *
sl_tcp_counter_text(unsigned code)
{
	return code < SL_TCP_CNT ? rows[code].text : "unknown";
}

static const struct row http_rows[SL_HTTP_CNT_CNT] = {
#define SL_HTTP(CODE, name, text) {name, text},
#include "sluice/http.def"
#undef SL_HTTP
};

const char *
sl_http_counter_name(unsigned code)
{
	return code < SL_HTTP_CNT_CNT ? http_rows[code].name : "unknown";
}

const char *
sl_http_counter_text(unsigned code)
{
	return code < SL_HTTP_CNT_CNT ? http_rows[code].text : "unknown";
}

static const struct {
	const char *name, *text;
} tls_rows[] = {
#define SL_TLS(CODE, name, text) {name, text},
#include "sluice/tls.def"
#undef SL_TLS
};

const char *
sl_tls_counter_name(unsigned code)
{
	return code < SL_TLS_CNT_CNT ? tls_rows[code].name : "unknown";
}

const char *
sl_tls_counter_text(unsigned code)
{
	return code < SL_TLS_CNT_CNT ? tls_rows[code].text : "unknown";
}

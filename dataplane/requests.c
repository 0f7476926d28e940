/* requests — what the HTTP engine asks of table, states and tallies.
 *
 *   SYN to a listener of mode http ─▶ sl_http_admit ─▶ … ─▶ pick: policy over the service's endpoints, health ignored in a panic
 *   a try's result ─▶ failures in a row of all workers ─▶ report to main, who ejects (outlier.c)
 */
#include "dataplane/worker_priv.h"

#include "dataplane/outlier.h"
#include "l7/http.h"
#include "sluice/ctl.h"

#define PICK_DRAWS 4 /* endpoints without a way there are passed over */

struct sl_requests {
	struct sl_http *http;
	uint64_t random;
};

static size_t
lines(size_t bytes)
{
	return (bytes + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

static uint64_t
draw(struct sl_requests *r)
{
	r->random = r->random * 6364136223846793005ull + 1442695040888963407ull;
	return r->random ^ r->random >> 29;
}

/* ---- the table ---- */

static const struct sl_service *
service_of(struct sl_worker *w, uint32_t slot, uint16_t incarnation)
{
	const struct sl_view *view = w->streams.view;
	uint32_t place = view ? sl_streams_service(w, slot) : 0;

	if (place == 0 || view->services[place - 1].forward != SL_FORWARD_PROXY ||
	    (uint16_t)view->services[place - 1].incarnation != incarnation)
		return NULL;
	return &view->services[place - 1];
}

bool
sl_requests_rule(struct sl_worker *w, const struct sl_view *view, uint32_t listener,
		 struct sl_http_rule *ret)
{
	if (!w->requests || !view || listener == SL_VIEW_NONE ||
	    view->listeners[listener].mode != SL_MODE_HTTP)
		return false;
	const struct sl_img_listener *l = &view->listeners[listener];
	*ret = (struct sl_http_rule){
		.generation = view->generation,
		.listener_slot = l->slot,
		.listener_incarnation = (uint16_t)l->incarnation,
		.proxy_in = l->proxy_in,
		.listener_max = l->max_connections,
		.client_max = l->client_max,
		.trust = l->trust_cnt ? view->trust + l->trust_first : NULL,
		.trust_cnt = l->trust_cnt,
		.tls = sl_view_tls(view, listener),
		.table = &view->tables[view->listener_service[listener]],
		.vhosts = view->vhosts,
		.issuers = view->issuers,
		.authz = view->authz,
		.authz_cnt = view->authz_cnt,
		.scratch = &view->scratch[w->conf.id],
	};
	return true;
}

static bool
env_rule(void *ctx, const struct sl_tuple *t, struct sl_http_rule *ret)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;

	return view &&
	       sl_requests_rule(w, view, sl_view_listener(view, &t->dst, t->dport, SL_IPPROTO_TCP),
				ret);
}

enum sl_tcp_admit
sl_requests_admit(struct sl_worker *w, const struct sl_tuple *tuple, struct sl_tcp_accept *ret)
{
	struct sl_http_rule rule;

	if (!env_rule(w, tuple, &rule))
		return SL_ADMIT_NO;
	return sl_http_admit(w->requests->http, &rule, &tuple->src, ret);
}

static const struct sl_img_service *
env_service(void *ctx, uint32_t slot, uint16_t incarnation)
{
	const struct sl_service *s = service_of(ctx, slot, incarnation);

	return s ? s->img : NULL;
}

static bool
env_listens(void *ctx, uint32_t listener_slot, uint16_t incarnation)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;

	if (!view)
		return true;
	uint32_t place = sl_streams_listener(w, listener_slot);
	return place && view->listeners[place - 1].mode == SL_MODE_HTTP &&
	       view->listeners[place - 1].incarnation == incarnation;
}

/* Flags that refuse it; all of them where it is not in the table any more. */
static unsigned
refusal_of(struct sl_worker *w, uint32_t slot, uint16_t incarnation)
{
	const struct sl_view *view = w->streams.view;

	if (!view)
		return 0;
	if (slot >= view->hop_cnt || view->hops[slot].incarnation != incarnation)
		return SL_ST_DISABLED;
	return sl_state_refusal(&w->conf.states[slot], incarnation);
}

static bool
env_serves(void *ctx, uint32_t endpoint_slot, uint16_t incarnation)
{
	return sl_choose_serves(refusal_of(ctx, endpoint_slot, incarnation));
}

/* ---- results ---- */

static bool
is_placed(const struct sl_view *view, uint32_t slot, uint16_t incarnation)
{
	return slot < view->hop_cnt && view->hops[slot].incarnation == incarnation;
}

static void
report(struct sl_worker *w, uint32_t endpoint_slot, uint16_t incarnation, enum sl_ejected why)
{
	const struct sl_outlier_report r = {endpoint_slot, incarnation, (uint16_t)why};

	w->stats->http.count[SL_HTTP_CNT_EJECT_REPORT]++;
	w->stats->http.count[SL_HTTP_CNT_EJECT_GATEWAY] += why == SL_EJECTED_GATEWAY;
	w->stats->http.count[SL_HTTP_CNT_EJECT_LOCAL] += why == SL_EJECTED_LOCAL;
	if (w->conf.http.reports)
		sl_ring_put(w->conf.http.reports, &r, 1);
}

/* What rates and latencies go by. */
static void
learn(struct sl_worker *w, const struct sl_service *svc, uint32_t slot, uint16_t incarnation,
      enum sl_try what, uint32_t us)
{
	const struct sl_worker_http *c = &w->conf.http;

	if (sl_outlier_rates(&svc->img->http) && c->tally)
		sl_outlier_tallied(c->tally, slot, what == SL_TRY_OK);
	if (svc->policy == SL_POLICY_EWMA && c->ewma && (us || what != SL_TRY_OK))
		sl_ewma_fed(&c->ewma[slot], incarnation, us, what != SL_TRY_OK, w->now_ns);
}

/* From the page that the kernel shares: no system call. */
static int64_t
env_wall(void *ctx)
{
	const struct sl_worker *w = ctx;
	struct timespec ts = {0};

	if (w->conf.http.wall)
		return w->conf.http.wall(w->now_ns);
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts.tv_sec;
}

static void
env_result(void *ctx, uint32_t service_slot, uint32_t endpoint_slot, uint16_t incarnation,
	   enum sl_try what, uint32_t us)
{
	struct sl_worker *w = ctx;
	const struct sl_worker_http *c = &w->conf.http;
	const struct sl_view *view = w->streams.view;

	if (what == SL_TRY_OK) {
		sl_outlier_ok(c->outliers, endpoint_slot, incarnation);
		if (sl_likely(!view || !view->results))
			return;
	}
	uint32_t place = view ? sl_streams_service(w, service_slot) : 0;
	if (place == 0)
		return;
	const struct sl_service *svc = &view->services[place - 1];
	const struct sl_img_http_service *http = &svc->img->http;
	if (sl_unlikely(view->results) && is_placed(view, endpoint_slot, incarnation))
		learn(w, svc, endpoint_slot, incarnation, what, us);
	if (what == SL_TRY_OK || !(http->eject_after | http->gateway_after | http->local_after))
		return;
	enum sl_ejected why =
		sl_outlier_failed(c->outliers, endpoint_slot, incarnation, what, http);
	if (why)
		report(w, endpoint_slot, incarnation, why);
}

/* ---- endpoints ---- */

/* What requests for a subset of the service choose by.  false: there is no such subset (any more).  In line: it is large, and made for
 * each try. */
static inline __attribute__((always_inline)) bool
choose_ctx(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	   uint64_t subset, struct sl_choose_ctx *ret)
{
	const struct sl_set *set = sl_choose_set(svc, subset);

	*ret = (struct sl_choose_ctx){
		.states = w->conf.states,
		.seed = view->seed,
		.conns = w->conns,
		.cursors = w->cursors,
		.loads = (const uint32_t *const *)w->conf.http.loads,
		.load_cnt = w->conf.worker_cnt,
		.ewma = w->conf.http.ewma,
		.now_ns = w->now_ns,
	};
	ret->load_max = svc->img->http.endpoint_requests;
	ret->conn_max = svc->img->tcp.endpoint_connections;
	if (sl_unlikely(ret->conn_max)) {
		ret->open = w->conf.tcp.limits->endpoint;
		ret->idle = sl_http_idle(w->requests->http);
	}
	if (set)
		sl_levels_look(w, view, svc, set, ret);
	return set || (!svc->sets && subset == 0);
}

/* Whether there was an endpoint but for endpoint_requests and endpoint_connections. */
static SL_COLD bool
somebody_is_full(const struct sl_service *svc, const struct sl_up_ask *ask,
		 const struct sl_choose_ctx *choose)
{
	struct sl_choose_ctx ctx = *choose;

	ctx.load_max = ctx.conn_max = 0;
	ctx.dry = true;
	return sl_choose_request(svc, &ctx, ask->hashed, ask->hash, NULL, 0).endpoint != UINT32_MAX;
}

static enum sl_up_verdict
env_pick(void *ctx, const struct sl_up_ask *ask, struct sl_up_target *ret)
{
	struct sl_worker *w = ctx;
	const struct sl_view *view = w->streams.view;
	const struct sl_service *svc = service_of(w, ask->service_slot, ask->service_incarnation);
	uint32_t avoid[SL_ARRAY_CNT(ask->avoid) + PICK_DRAWS];
	unsigned avoid_cnt = ask->avoid_cnt;

	if (!svc)
		return SL_UP_NO_SERVICE;
	memcpy(avoid, ask->avoid, sizeof(ask->avoid));
	struct sl_choose_ctx choose;
	bool there = choose_ctx(w, view, svc, ask->subset, &choose), nobody = false;
	for (unsigned i = 0; there && i < PICK_DRAWS; i++) {
		choose.random = draw(w->requests);
		struct sl_choice c =
			sl_choose_request(svc, &choose, ask->hashed, ask->hash, avoid, avoid_cnt);
		if (c.endpoint == UINT32_MAX && sl_levels_again(w, view, svc, &choose))
			continue;
		if (c.endpoint == UINT32_MAX) {
			nobody = true;
			break;
		}
		w->stats->http.count[SL_HTTP_CNT_PANIC] += c.panic;
		const struct sl_img_endpoint *e = &svc->endpoints[c.endpoint];
		*ret = (struct sl_up_target){
			.addr = e->addr,
			.port = e->port_be ? e->port_be : ask->client->dport,
			.incarnation = (uint16_t)e->incarnation,
			.endpoint_slot = e->slot,
			.tcp = &svc->img->tcp,
			.http = &svc->img->http,
			.tls = sl_view_service_tls(view, (uint32_t)(svc - view->services)),
			.generation = view->generation,
		};
		ret->sources = sl_view_source(view, &view->hops[e->slot], &ret->source_cnt);
		if (ret->sources)
			return SL_UP_READY;
		avoid[avoid_cnt++] = e->slot;
	}
	if (nobody && (choose.load_max | choose.conn_max) && somebody_is_full(svc, ask, &choose)) {
		ret->tcp = &svc->img->tcp;
		ret->http = &svc->img->http;
		return SL_UP_OVERFLOW;
	}
	w->service_stats[svc->slot].no_endpoint++;
	return SL_UP_NO_ENDPOINT;
}

static bool
env_lives(void *ctx, uint32_t service_slot, uint32_t endpoint_slot, uint16_t incarnation)
{
	struct sl_worker *w = ctx;

	if (!w->streams.view)
		return true;
	return sl_streams_service(w, service_slot) &&
	       !(refusal_of(w, endpoint_slot, incarnation) & (SL_ST_DISABLED | SL_ST_DRAIN));
}

static void
env_load(void *ctx, uint32_t endpoint_slot, int by)
{
	struct sl_worker *w = ctx;
	uint32_t *load = &w->conf.http.loads[w->conf.id][endpoint_slot];

	/* relaxed: other workers look at it to choose, nothing is ordered by it */
	__atomic_store_n(load, *load + (uint32_t)by, __ATOMIC_RELAXED);
}

/* ---- questions ---- */

void
sl_requests_explain(struct sl_worker *w, const struct sl_view *view, struct sl_http_question *q)
{
	uint32_t listener;
	struct sl_http_rule rule;
	struct sl_up_ask ask;

	if (!w->requests) {
		q->why = "the dataplane's boot file says http.requests = 0";
		return;
	}
	listener = sl_view_listener(view, &q->tuple.dst, q->tuple.dport, SL_IPPROTO_TCP);
	if (!sl_requests_rule(w, view, listener, &rule)) {
		q->why = "no listener of mode http has that address and port";
		return;
	}
	sl_http_explain(w->requests->http, &rule, &q->tuple, q->request, q->len, &q->answer,
			q->text, q->path, &ask);
	q->text[q->answer.text_len] = 0;
	const struct sl_service *svc =
		ask.service_slot == UINT32_MAX
			? NULL
			: service_of(w, ask.service_slot, ask.service_incarnation);
	if (!svc)
		return;
	struct sl_choose_ctx ctx;
	struct sl_choice c = {.endpoint = UINT32_MAX};
	if (choose_ctx(w, view, svc, ask.subset, &ctx)) {
		ctx.dry = true;
		ctx.random = w->requests->random * 6364136223846793005ull;
		c = sl_choose_request(svc, &ctx, ask.hashed, ask.hash, NULL, 0);
	}
	if (c.endpoint == UINT32_MAX) {
		q->answer.status = 503;
		q->answer.flags = SL_RF_UH;
		return;
	}
	q->answer.level = sl_levels_explain(&ctx, c.level, c.panic);
	q->answer.endpoint_slot = svc->endpoints[c.endpoint].slot;
	q->answer.endpoint_incarnation = svc->endpoints[c.endpoint].incarnation;
}

/* ---- a table that is tried ---- */

struct sl_choice
sl_requests_choose(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		   uint64_t subset, bool hashed, uint64_t hash, uint64_t random)
{
	struct sl_choose_ctx ctx;

	if (!choose_ctx(w, view, svc, subset, &ctx))
		return (struct sl_choice){.endpoint = UINT32_MAX};
	ctx.dry = true;
	ctx.random = random;
	return sl_choose_request(svc, &ctx, hashed, hash, NULL, 0);
}

void
sl_requests_try(struct sl_worker *w)
{
	sl_http_try(w->requests->http, w->shadow != NULL);
}

/* ---- beginning and end ---- */

static struct sl_http_conf
engine_conf(const struct sl_worker_http *c)
{
	return (struct sl_http_conf){
		.conns = c->conns,
		.exchanges = c->exchanges,
		.pool = c->pool,
		.head_bytes = c->head_bytes,
	};
}

size_t
sl_worker_http_bytes(const struct sl_worker_http *http)
{
	const struct sl_http_conf conf = engine_conf(http);

	return lines(sizeof(struct sl_requests)) + sl_http_bytes(&conf);
}

void
sl_requests_start(struct sl_worker *w)
{
	const struct sl_worker_http *c = &w->conf.http;
	struct sl_http_conf conf = engine_conf(c);
	void *seg = w->conf.stats;
	unsigned id = w->conf.id;

	w->requests = c->mem;
	w->requests->random = w->conf.seed ^ (id + 1) * 0x9e3779b97f4a7c15ull;
	conf.seed = w->requests->random * 0xda942042e4dd58b5ull + 1;
	conf.worker = id;
	conf.worker_cnt = w->conf.worker_cnt;
	conf.tcp = w->tcp;
	conf.tls = w->tls;
	conf.listeners = w->conf.tcp.limits;
	conf.ledger = c->ledger;
	conf.rates = w->rates;
	conf.rate_stats = w->rate_stats;
	conf.env = (struct sl_http_env){
		w,
		env_rule,
		env_service,
		env_listens,
		env_serves,
		env_result,
		env_wall,
		sl_streams_bandwidth,
		sl_trial_rule,
		sl_trial_service,
		sl_trial_compared,
	};
	conf.upstream = (struct sl_upstream_env){
		w, env_pick, env_lives, sl_streams_began, sl_streams_ended, env_load,
	};
	conf.stats = &w->stats->http;
	conf.listener_stats = w->listener_stats;
	conf.service_stats = w->service_stats;
	conf.vhost_stats = sl_stats_vhosts(seg, id);
	conf.route_stats = sl_stats_routes(seg, id);
	conf.authz_stats = sl_stats_authz(seg, id);
	conf.authz_rule_stats = sl_stats_rules(seg, id);
	conf.endpoint_stats = w->endpoint_stats;
	conf.events = w->conf.events;
	conf.events_size = w->conf.events_size;
	w->requests->http = sl_http_init((char *)c->mem + lines(sizeof(struct sl_requests)), &conf);
}

void
sl_requests_end(struct sl_worker *w)
{
	sl_http_fini(w->requests->http);
}

bool
sl_requests_tick(struct sl_worker *w)
{
	return sl_http_tick(w->requests->http);
}

void
sl_requests_reset(struct sl_worker *w)
{
	sl_http_drop_all(w->requests->http);
}

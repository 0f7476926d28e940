/* A service's tables are a function of (its levels' endpoint names and weights, policy, max_endpoints, seed).  When the new
 * endpoints, levels and the fields before them equal the old ones, the object is taken as it is. */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/object.h"

static int
source_order(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

static void
describe_http(const struct sl_conf_http *h, struct sl_img_http_service *img)
{
	*img = (struct sl_img_http_service){
		.max_pending = h->max_pending,
		.max_requests = h->max_requests,
		.max_retries = h->max_retries,
		.conn_requests = h->conn_requests,
		.conn_idle_ms = h->conn_idle_ms,
		.conn_idle_max = h->conn_idle_max,
		.eject_ms = h->eject_ms,
		.eject_max_ms = h->eject_max_ms,
		.sweep_ms = h->sweep_ms,
		.eject_after = (uint16_t)h->eject_after,
		.eject_max_pct = (uint8_t)h->eject_max_pct,
		.budget_pct = (uint8_t)h->budget_pct,
		.budget_min = (uint8_t)h->budget_min,
		.hash_on = h->hash_on,
		.split_local = h->split_local,
		.failure_pct = (uint8_t)h->failure_pct,
		.gateway_after = (uint16_t)h->gateway_after,
		.local_after = (uint16_t)h->local_after,
		.rate_deviation = (uint16_t)h->rate_deviation,
		.rate_endpoints = (uint16_t)h->rate_endpoints,
		.rate_requests = (uint16_t)h->rate_requests,
		.budget_per_s = (uint16_t)h->budget_per_s,
		.endpoint_requests = h->endpoint_requests,
		.adaptive_min = (uint16_t)h->adaptive_min,
		.adaptive_pct = (uint8_t)(h->adaptive_min ? h->adaptive_pct : 0),
	};
	memcpy(img->hash_name, h->hash_name, SL_NAME_MAX);
}

static void
describe_bandwidth(const struct sl_conf_bandwidth *b, struct sl_img_bandwidth *img)
{
	for (unsigned way = 0; way < SL_WAYS; way++) {
		img->rate[way] = b->rate[way];
		img->burst[way] = sl_conf_burst(b, way);
	}
}

/* The fields that do not depend on the tables, the sources in k->sources and the endpoints in k->eps. */
static void
describe(const struct sl_compiling *k, uint32_t place, struct sl_img_service *img)
{
	const struct sl_conf_service *s = sl_compile_service_at(k, place);
	uint32_t first = k->endpoint_first[place];

	*img = (struct sl_img_service){
		.policy = (uint8_t)s->policy,
		.forward = (uint8_t)s->forward,
		.family = k->links.family[k->links.service_order[place]],
		.panic_pct = sl_conf_panic_pct(s),
		.source_bits4 = (uint8_t)sl_conf_source_bits4(s),
		.source_bits6 = (uint8_t)sl_conf_source_bits6(s),
		.gue_port_be = sl_to_be16(sl_conf_gue_port(s)),
		.tunnel_plen = s->tunnel_plen,
		.tunnel = s->tunnel,
		.source_cnt = s->source_cnt,
		.endpoint_cnt = s->endpoint_cnt,
		.max_endpoints = s->max_endpoints,
		.zone_min = (uint16_t)(s->zones.given ? s->zones.min_endpoints : 0),
		.zone_traffic = (uint16_t)(s->zones.given ? s->zones.traffic_pct * 100 : 0),
	};
	memcpy(img->name, s->name, SL_NAME_MAX);
	if (s->forward == SL_FORWARD_PROXY)
		img->tcp = (struct sl_img_tcp){
			.connect_ms = s->tcp.connect_ms,
			.idle_ms = s->tcp.idle_ms,
			.max_connections = s->tcp.max_connections,
			.endpoint_connections = s->tcp.endpoint_connections,
			.keepalive_s = (uint16_t)(s->tcp.keepalive_ms / 1000),
			.retries = s->tcp.retries,
			.proxy_out = s->tcp.proxy_out,
			.cc = s->tcp.cc,
		};
	if (s->forward == SL_FORWARD_PROXY) {
		describe_http(&s->http, &img->http);
		describe_bandwidth(&s->bandwidth, &img->bandwidth);
	}
	if (s->source_cnt) {
		memcpy(k->sources, s->sources, s->source_cnt * sizeof(*k->sources));
		qsort(k->sources, s->source_cnt, sizeof(*k->sources), source_order);
	}
	memset(k->eps, 0, s->endpoint_cnt * sizeof(*k->eps));
	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_conf_endpoint *e = &s->endpoints[k->endpoint_order[first + i]];
		struct sl_img_endpoint *to = &k->eps[i];
		to->addr = e->addr;
		to->port_be = sl_to_be16(e->port);
		to->weight = e->weight;
		to->slot = k->endpoint_placed[first + i].slot;
		to->incarnation = k->endpoint_placed[first + i].incarnation;
		memcpy(to->name, e->name, SL_NAME_MAX);
	}
}

static const struct sl_img_endpoint *
endpoints_of(const struct sl_img_service *s)
{
	return (const void *)((const char *)s + s->endpoint_off);
}

static const struct sl_addr *
sources_of(const struct sl_img_service *s)
{
	return (const void *)((const char *)s + s->source_off);
}

/* tls, tls_size: the new part; 0: none. */
static bool
same_tls(const struct sl_img_service *old, const void *tls, uint32_t tls_size)
{
	if (!old->tls_off || !tls_size)
		return !old->tls_off && !tls_size;
	return old->head.size - old->tls_off == tls_size &&
	       memcmp((const char *)old + old->tls_off, tls, tls_size) == 0;
}

/* Its limits, in file order, each once; their number. */
static uint32_t
limits_of(const struct sl_compiling *k, const struct sl_conf_service *s,
	  struct sl_img_rate rates[SL_MAX_SERVICE_RATES])
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < s->limit_cnt && cnt < SL_MAX_SERVICE_RATES; i++) {
		uint32_t before = 0;
		sl_compile_rate(k, s->limits[i].name, &rates[cnt]);
		while (before < cnt && rates[before].slot != rates[cnt].slot)
			before++;
		cnt += before == cnt;
	}
	return cnt;
}

static bool
same_limits(const struct sl_img_service *old, const struct sl_img_rate *rates, uint32_t cnt)
{
	return old->rate_cnt == cnt &&
	       memcmp((const char *)old + old->rate_off, rates, cnt * sizeof(*rates)) == 0;
}

static bool
unchanged(const struct sl_compiling *k, const struct sl_img_service *old,
	  const struct sl_img_service *img)
{
	return k->prev_seed == k->c->hash_seed && old->policy == img->policy &&
	       old->forward == img->forward && old->family == img->family &&
	       old->panic_pct == img->panic_pct && old->source_bits4 == img->source_bits4 &&
	       old->source_bits6 == img->source_bits6 && old->gue_port_be == img->gue_port_be &&
	       old->tunnel_plen == img->tunnel_plen && sl_addr_eq(&old->tunnel, &img->tunnel) &&
	       old->source_cnt == img->source_cnt &&
	       memcmp(sources_of(old), k->sources, img->source_cnt * sizeof(*k->sources)) == 0 &&
	       memcmp(old->name, img->name, SL_NAME_MAX) == 0 &&
	       memcmp(&old->tcp, &img->tcp, sizeof(img->tcp)) == 0 &&
	       memcmp(&old->http, &img->http, sizeof(img->http)) == 0 &&
	       old->zone_min == img->zone_min && old->zone_traffic == img->zone_traffic &&
	       memcmp(&old->bandwidth, &img->bandwidth, sizeof(img->bandwidth)) == 0 &&
	       old->max_endpoints == img->max_endpoints && old->endpoint_cnt == img->endpoint_cnt &&
	       memcmp(endpoints_of(old), k->eps, img->endpoint_cnt * sizeof(*k->eps)) == 0 &&
	       sl_compile_levels_unchanged(k, old);
}

static int
build_service(const struct sl_compiling *k, uint32_t place, const void *tls, uint32_t tls_size,
	      struct sl_compiled_object *ret)
{
	struct sl_img_rate rates[SL_MAX_SERVICE_RATES];
	struct sl_img_service img, *obj;
	uint32_t end = sizeof(img), n;
	int err = sl_compile_levels_gather(k, place);

	if (err)
		return err;
	describe(k, place, &img);
	n = img.endpoint_cnt;
	img.rate_cnt = limits_of(k, sl_compile_service_at(k, place), rates);
	const struct sl_compiled_object *prev =
		sl_compile_previous(k, SL_OBJ_SERVICE, &k->service_placed[place]);
	const struct sl_img_service *old = prev ? prev->bytes : NULL;
	if (old && unchanged(k, old, &img) && same_limits(old, rates, img.rate_cnt) &&
	    same_tls(old, tls, tls_size)) {
		sl_object_share(prev, ret);
		return 0;
	}
	img.source_off = sl_object_section(&end, img.source_cnt, sizeof(struct sl_addr));
	img.endpoint_off = sl_object_section(&end, n, sizeof(struct sl_img_endpoint));
	if ((err = sl_compile_levels_place(k, &img, &end)) != 0)
		return err;
	img.rate_off = sl_object_section(&end, img.rate_cnt, sizeof(*rates));
	img.tls_off = sl_object_section(&end, tls_size, 1);
	if (!(obj = sl_object_create(SL_OBJ_SERVICE, end)))
		return -ENOMEM;
	img.head = obj->head;
	*obj = img;
	memcpy((char *)obj + img.source_off, k->sources,
	       img.source_cnt * sizeof(*k->sources) * (img.source_cnt > 0));
	memcpy((char *)obj + img.endpoint_off, k->eps, n * sizeof(*k->eps) * (n > 0));
	if (img.rate_cnt)
		memcpy((char *)obj + img.rate_off, rates, img.rate_cnt * sizeof(*rates));
	if (tls_size)
		memcpy((char *)obj + img.tls_off, tls, tls_size);
	if ((err = sl_compile_levels_fill(k, old, obj)) != 0) {
		sl_object_unref(obj);
		return err;
	}
	return sl_object_finish(obj, end, NULL, ret);
}

/* The service's part of TLS, in memory of its own; NULL: it has none, or there is no memory. */
static void *
make_tls(const struct sl_compiling *k, uint32_t place, uint32_t *ret_size)
{
	const struct sl_conf_service *s = sl_compile_service_at(k, place);
	void *tls = NULL;

	*ret_size = sl_compile_service_tls_size(s);
	if (*ret_size && (tls = calloc(1, *ret_size)))
		sl_compile_service_tls(s, k->links.streamed[k->links.service_order[place]], tls);
	return tls;
}

int
sl_compile_service(const struct sl_compiling *k, uint32_t place, struct sl_compiled_object *ret)
{
	uint32_t tls_size;
	void *tls = make_tls(k, place, &tls_size);
	int err = tls_size && !tls ? -ENOMEM : build_service(k, place, tls, tls_size, ret);

	free(tls);
	return err;
}

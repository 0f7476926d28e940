/* What two tables would do with one request or flow: the active one's side and that of the one that is tried are found by the same
 * code, dry, and given to shadow.c. */
#include "dataplane/worker_priv.h"

#include "l7/http.h"

static struct sl_shadow_part *
part_of(const struct sl_worker *w)
{
	return &w->shadow->part[w->conf.id];
}

static void
put_bytes(char *to, size_t size, const uint8_t *from, size_t n)
{
	memset(to, 0, size);
	memcpy(to, from, SL_MIN(n, size));
}

/* The endpoint of a choice by svc.  by_hash: nothing but the request or tuple decides. */
static void
put_endpoint(struct sl_shadow_side *s, const struct sl_service *svc, struct sl_choice c,
	     bool by_hash)
{
	s->by_chance = !by_hash && c.endpoint != UINT32_MAX;
	if (c.endpoint == UINT32_MAX || s->by_chance)
		return;
	const struct sl_img_endpoint *e = &svc->endpoints[c.endpoint];
	s->endpoint_slot = e->slot;
	s->endpoint = e->addr;
	s->endpoint_port = e->port_be;
}

/* ---- flows, connections ---- */

static struct sl_shadow_side
nowhere(void)
{
	return (struct sl_shadow_side){
		.listener_slot = UINT32_MAX,
		.vhost_slot = UINT32_MAX,
		.route_slot = UINT32_MAX,
		.service_slot = UINT32_MAX,
		.endpoint_slot = UINT32_MAX,
	};
}

static struct sl_shadow_side
flow_side(struct sl_worker *w, const struct sl_view *view, const struct sl_tuple *t)
{
	struct sl_shadow_side s = nowhere();
	uint32_t listener = sl_view_listener(view, &t->dst, t->dport, t->proto);

	if (listener == SL_VIEW_NONE || view->listeners[listener].mode == SL_MODE_HTTP)
		return s;
	s.listener_slot = view->listeners[listener].slot;
	uint32_t service = sl_view_service(view, listener);
	if (service == SL_VIEW_NONE)
		return s;
	const struct sl_service *svc = &view->services[service];
	s.service_slot = svc->slot;
	s.service_incarnation = (uint16_t)svc->incarnation;
	if (view->listeners[listener].mode == SL_MODE_PASSTHROUGH) { /* the server name decides */
		s.by_chance = 1;
		return s;
	}
	bool by_hash = svc->policy == SL_POLICY_MAGLEV || svc->policy == SL_POLICY_SOURCE_HASH;
	put_endpoint(&s, svc, sl_levels_choose(w, view, svc, t, true), by_hash);
	return s;
}

SL_COLD void
sl_trial_flow(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	struct sl_shadow_part *part = part_of(w);
	unsigned mode = view->listeners[p->listener].mode;

	/* of TCP that ends here each packet without a stream comes by */
	if (mode == SL_MODE_HTTP ||
	    (mode != SL_MODE_L4 && (p->tcp_flags & (SL_TCP_SYN | SL_TCP_ACK)) != SL_TCP_SYN))
		return;
	if (!sl_shadow_draws(w->shadow, part, SL_SHADOW_FLOWS))
		return;
	const struct sl_shadow_side now = flow_side(w, view, &p->tuple),
				    then = flow_side(w, w->shadow->view, &p->tuple);
	unsigned kinds = sl_shadow_differ(part, SL_SHADOW_FLOWS, &now, &then, false);
	struct sl_ctl_shadow_example *e =
		kinds ? sl_shadow_keep(part, SL_SHADOW_FLOWS, kinds, &now, &then) : NULL;
	if (!e)
		return;
	e->tuple = p->tuple;
	sl_shadow_commit(part);
}

/* ---- requests ---- */

bool
sl_trial_rule(void *worker, const struct sl_tuple *tuple, uint8_t drawn, struct sl_http_rule *ret)
{
	struct sl_worker *w = worker;

	if (!w->shadow || drawn == 2 ||
	    (!drawn && !sl_shadow_draws(w->shadow, part_of(w), SL_SHADOW_REQUESTS)))
		return false;
	const struct sl_view *view = w->shadow->view;
	uint32_t listener = sl_view_listener(view, &tuple->dst, tuple->dport, SL_IPPROTO_TCP);
	if (!sl_requests_rule(w, view, listener, ret))
		ret->table = NULL;
	return true;
}

static const struct sl_service *
service_of(const struct sl_worker *w, uint32_t slot, uint16_t incarnation)
{
	const struct sl_view *view = w->shadow->view;
	uint32_t place = sl_view_service_at(view, slot);

	if (place == 0 || view->services[place - 1].forward != SL_FORWARD_PROXY ||
	    (uint16_t)view->services[place - 1].incarnation != incarnation)
		return NULL;
	return &view->services[place - 1];
}

const struct sl_img_service *
sl_trial_service(void *worker, uint32_t slot, uint16_t incarnation)
{
	const struct sl_service *s = service_of(worker, slot, incarnation);

	return s ? s->img : NULL;
}

static bool
goes_by_hash(const struct sl_service *svc, bool hashed)
{
	return hashed && (svc->policy == SL_POLICY_MAGLEV || svc->policy == SL_POLICY_RING_HASH ||
			  svc->policy == SL_POLICY_SOURCE_HASH);
}

static struct sl_shadow_side
request_side(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
	     const struct sl_http_outcome *o, uint64_t random)
{
	struct sl_shadow_side s = nowhere();

	s.listener_slot = o->listener_slot;
	s.vhost_slot = o->vhost_slot;
	s.route_slot = o->route_slot;
	s.service_slot = o->service_slot;
	s.service_incarnation = o->service_incarnation;
	s.status = o->status;
	s.subset = o->subset;
	memcpy(s.why, o->why, sizeof(s.why));
	s.why[sizeof(s.why) - 1] = 0;
	if (!svc)
		return s;
	struct sl_choice c =
		sl_requests_choose(w, view, svc, o->subset, o->hashed, o->hash, random);
	put_endpoint(&s, svc, c, goes_by_hash(svc, o->hashed));
	if (c.endpoint == UINT32_MAX)
		s.status = 503;
	return s;
}

static void
example(struct sl_shadow_part *part, unsigned kinds, const struct sl_tuple *client,
	const struct sl_http_head *head, const struct sl_shadow_side *now,
	const struct sl_shadow_side *then)
{
	struct sl_ctl_shadow_example *e =
		sl_shadow_keep(part, SL_SHADOW_REQUESTS, kinds, now, then);
	uint32_t path_len = head->path_len + (head->query ? 1u + head->query_len : 0u);

	if (!e)
		return;
	e->tuple = *client;
	put_bytes(e->method, sizeof(e->method), head->bytes, head->method_len);
	put_bytes(e->host, sizeof(e->host), head->bytes + head->host, head->authority_len);
	put_bytes(e->path, sizeof(e->path), head->bytes + head->path, path_len);
	sl_shadow_commit(part);
}

void
sl_trial_compared(void *worker, const struct sl_tuple *client, const struct sl_http_head *head,
		  const struct sl_http_outcome *now, const struct sl_http_outcome *then)
{
	struct sl_worker *w = worker;
	struct sl_shadow_part *part = part_of(w);
	uint64_t random = part->random * 0xda942042e4dd58b5ull;
	const struct sl_service *svc_now = NULL, *svc_then = NULL;
	uint32_t at =
		now->service_slot == UINT32_MAX ? 0 : sl_streams_service(w, now->service_slot);

	if (at)
		svc_now = &w->streams.view->services[at - 1];
	if (then->service_slot != UINT32_MAX)
		svc_then = service_of(w, then->service_slot, then->service_incarnation);
	const struct sl_shadow_side a = request_side(w, w->streams.view, svc_now, now, random),
				    b = request_side(w, w->shadow->view, svc_then, then, random);
	unsigned kinds = sl_shadow_differ(part, SL_SHADOW_REQUESTS, &a, &b,
					  now->undecided || then->undecided);
	if (kinds)
		example(part, kinds, client, head, &a, &b);
}

void
sl_worker_shadow(struct sl_worker *w, const struct sl_shadow *shadow)
{
	w->shadow = shadow;
	if (w->requests)
		sl_requests_try(w);
}

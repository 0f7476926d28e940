/* flows: request → filter → a walk (walk.h) through the flow region → records → names. */
#include "mgmt/flow_query.h"
#include "mgmt/walk.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_LIMIT 100

struct job {
	struct sl_walk w; /* first */
	struct sl_flow_query q;
	uint32_t *slots;            /* q.filter's, owned; or NULL */
	struct sl_flow_span *spans; /* likewise */
};

static void
job_free(struct sl_walk *w)
{
	struct job *j = (struct job *)w;

	free(j->q.found);
	free(j->slots);
	free(j->spans);
	free(j);
}

/* ---- request → filter ---- */

/* What a request says by itself; NULL, or the error. */
static json_t *
take_words(const struct sl_verb_run *r, struct sl_flow_filter *f)
{
	const char *proto = sl_verb_text(r, "protocol"), *state = sl_verb_text(r, "state"), *why;

	why = sl_walk_take_prefix(sl_verb_text(r, "client"), &f->client, &f->client_plen,
				  &f->client_family);
	if (why)
		return sl_walk_invalid(r, "client", why);
	why = sl_walk_take_prefix(sl_verb_text(r, "vip"), &f->vip, &f->vip_plen, &f->vip_family);
	if (why)
		return sl_walk_invalid(r, "vip", why);
	if (proto && strcmp(proto, "tcp") && strcmp(proto, "udp"))
		return sl_walk_invalid(r, "protocol", "neither tcp nor udp");
	if (proto)
		f->proto = proto[0] == 't' ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
	if (state && sl_flow_state_find(state) == SL_FLOW_FREE)
		return sl_walk_invalid(r, "state",
				       "none of embryonic, established, closing, udp, udp_new");
	if (state)
		f->states = (uint8_t)(1u << sl_flow_state_find(state));
	f->with_port = json_object_get(r->body, "port") != NULL;
	f->port = (uint16_t)sl_verb_number(r, "port", 0);
	f->worker = (uint32_t)(sl_verb_number(r, "worker", -1) + 1);
	f->idle_q = (uint32_t)((sl_verb_number(r, "idle_over_ms", 0) + 249) / 250);
	f->halves = json_is_true(json_object_get(r->body, "halves"));
	return NULL;
}

static struct sl_flow_span
span_of(const struct sl_conf_listener *l)
{
	return (struct sl_flow_span){
		.addr = l->addr,
		.plen = (uint8_t)l->plen,
		.proto = l->proto,
		.port_lo = l->port,
		.port_hi = l->port_last,
	};
}

/* Whether what both take goes to b: the longer prefix, then the fewer ports. */
static bool
takes_from(const struct sl_flow_span *b, const struct sl_flow_span *a)
{
	if (a->proto != b->proto || a->port_hi < b->port_lo || b->port_hi < a->port_lo)
		return false;
	if (b->plen != a->plen)
		return b->plen > a->plen && sl_addr_in(&b->addr, &a->addr, a->plen);
	return sl_addr_eq(&a->addr, &b->addr) && b->port_hi - b->port_lo < a->port_hi - a->port_lo;
}

static json_t *
take_listener(const struct sl_verb_run *r, struct job *j)
{
	const char *name = sl_verb_text(r, "listener");
	const struct sl_table *t = sl_tables_active(r->d->tables);
	const struct sl_conf_listener *l = NULL;

	if (!name)
		return NULL;
	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++)
		if (strcmp(t->conf->listeners[i].name, name) == 0)
			l = &t->conf->listeners[i];
	if (!l)
		return sl_call_error(r->verb, "not_found", "see: show listeners",
				     "no listener %s in the active table", name);
	j->spans = calloc(t->conf->listener_cnt, sizeof(*j->spans));
	if (!j->spans)
		return sl_call_error(r->verb, "internal", NULL, "out of memory");
	uint32_t n = 0;
	j->spans[n++] = span_of(l);
	for (uint32_t i = 0; i < t->conf->listener_cnt; i++) {
		struct sl_flow_span s = span_of(&t->conf->listeners[i]);
		if (&t->conf->listeners[i] != l && takes_from(&s, &j->spans[0]))
			j->spans[n++] = s;
	}
	j->q.filter.spans = j->spans;
	j->q.filter.span_cnt = n;
	return NULL;
}

/* ---- the walk, in the pool ---- */

static int
run(struct sl_walk *w, const void *region, size_t bytes, const char **ret_why)
{
	struct job *j = (struct job *)w;
	return sl_flow_query_run(&j->q, region, bytes, &w->cancel, ret_why);
}

/* ---- records → answer ---- */

static json_t *
flow_json(const struct sl_daemon *d, const struct sl_flow_record *r)
{
	static const char *const fin[] = {"none", "one", "both"};
	const struct sl_oper_endpoint *e = sl_oper_by_slot(d->oper, r->slot);
	const char *state = sl_flow_state_name(r->state & SL_FLOW_STATE_MASK);
	bool reply = r->state & SL_FLOW_REPLY, pair = r->state & SL_FLOW_PAIR;
	unsigned fins = !!(r->state & SL_FLOW_FIN_A) + !!(r->state & SL_FLOW_FIN_B);
	struct sl_flow_ends ends = sl_flow_ends(r);
	char client[SL_ADDR_STRLEN], vip[SL_ADDR_STRLEN], via[SL_ADDR_STRLEN];
	json_t *v = json_null();

	if (e && e->at.incarnation != r->incarnation)
		e = NULL; /* the slot has another owner now */
	if (pair && !reply)
		v = json_pack("{s:s, s:i}", "address", sl_addr_format(&r->other_addr, via), "port",
			      (int)sl_from_be16(r->other_port));
	return json_pack("{s:s, s:s, s:i, s:s, s:i, s:s, s:s?, s:s?, s:I, s:I, s:s, s:s, s:I, s:I, "
			 "s:i, s:o}",
			 "protocol", r->tuple.proto == SL_IPPROTO_UDP ? "udp" : "tcp", "client",
			 sl_addr_format(&ends.client, client), "client_port",
			 (int)sl_from_be16(ends.client_port), "vip", sl_addr_format(&ends.vip, vip),
			 "vip_port", (int)sl_from_be16(ends.vip_port), "half",
			 reply ? "reply" : "forward", "service", e ? e->service : NULL, "endpoint",
			 e ? e->name : NULL, "slot", (json_int_t)r->slot, "incarnation",
			 (json_int_t)r->incarnation, "state", state ? state : "unknown", "fin",
			 fin[fins], "idle_ms", (json_int_t)r->idle_q * 250, "left_ms",
			 (json_int_t)r->left_q * 250, "worker", (int)r->worker, "via", v);
}

static json_t *
answer(const struct sl_walk *w)
{
	const struct job *j = (const struct job *)w;
	json_t *a = sl_verb_ok(&w->r), *list = j->q.limit ? json_array() : json_null();

	for (uint32_t i = 0; i < j->q.found_cnt; i++)
		json_array_append_new(list, flow_json(w->r.d, &j->q.found[i]));
	json_object_set_new(a, "dataplane", json_boolean(sl_publish_link(w->r.d->publish) != NULL));
	json_object_set_new(a, "flows", list);
	json_object_set_new(a, "matched", json_integer((json_int_t)j->q.matched));
	json_object_set_new(a, "more", json_boolean(j->q.more));
	json_object_set_new(a, "looked", json_integer((json_int_t)j->q.looked));
	json_object_set_new(a, "skipped", json_integer((json_int_t)j->q.skipped));
	json_object_set_new(a, "ms", json_real((double)w->took_ns / 1e6));
	return a;
}

static const struct sl_walk_kind kind = {
	.what = "flow",
	.align = SL_FLOWS_ALIGN,
	.region = sl_publish_flows,
	.run = run,
	.answer = answer,
	.free = job_free,
};

void
sl_verb_flows(const struct sl_verb_run *r)
{
	struct job *j = calloc(1, sizeof(*j));
	bool count = json_is_true(json_object_get(r->body, "count"));

	if (!j) {
		sl_call_answer(r->call, sl_call_error(r->verb, "internal", NULL, "out of memory"));
		return;
	}
	j->w.kind = &kind;
	j->w.r = *r;
	j->q.limit = count ? 0 : (uint32_t)sl_verb_number(r, "limit", DEFAULT_LIMIT);
	json_t *error = take_words(r, &j->q.filter);
	if (!error && count && json_object_get(r->body, "limit"))
		error = sl_walk_invalid(r, "limit", "not together with count");
	if (!error)
		error = sl_walk_take_endpoints(r, &j->slots);
	j->q.filter.slots = j->slots;
	if (!error)
		error = take_listener(r, j);
	if (error)
		sl_walk_refuse(&j->w, error);
	else
		sl_walk_ask(&j->w);
}

/* streams: request → filter → a walk (walk.h) through the region of streams → records → names. */
#include "mgmt/stream_query.h"
#include "mgmt/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_LIMIT 100
#define REGION_ALIGN 4096

struct job {
	struct sl_walk w; /* first */
	struct sl_stream_query q;
	uint32_t *slots; /* q.filter's, owned; or NULL */
};

static void
job_free(struct sl_walk *w)
{
	struct job *j = (struct job *)w;

	free(j->q.found);
	free(j->q.partner);
	free(j->slots);
	free(j);
}

/* ---- request → filter ---- */

/* What a request says by itself; NULL, or the error. */
static json_t *
take_words(const struct sl_verb_run *r, struct sl_stream_query *q)
{
	const char *state = sl_verb_text(r, "state"), *side = sl_verb_text(r, "side"),
		   *sort = sl_verb_text(r, "sort"), *why;
	struct sl_stream_filter *f = &q->filter;

	why = sl_walk_take_prefix(sl_verb_text(r, "address"), &f->addr, &f->plen, &f->family);
	if (why)
		return sl_walk_invalid(r, "address", why);
	if (state && sl_stream_state_find(state) == SL_STREAM_FREE)
		return sl_walk_invalid(r, "state",
				       "none of syn-sent, syn-received, established, fin-wait-1, "
				       "fin-wait-2, close-wait, closing, last-ack");
	if (state)
		f->states = (uint16_t)(1u << sl_stream_state_find(state));
	if (side && strcmp(side, "client") && strcmp(side, "endpoint"))
		return sl_walk_invalid(r, "side", "neither client nor endpoint");
	if (side)
		f->side = side[0] == 'c' ? SL_SIDE_CLIENT : SL_SIDE_ENDPOINT;
	if (sort && sl_stream_order_find(sort) < 0)
		return sl_walk_invalid(r, "sort",
				       "none of age, rtt, cwnd, flight, queue, rcvq, ooo, retrans, "
				       "in, out");
	if (sort)
		q->order = (enum sl_stream_order)sl_stream_order_find(sort);
	f->with_port = json_object_get(r->body, "port") != NULL;
	f->port = (uint16_t)sl_verb_number(r, "port", 0);
	f->worker = (uint32_t)(sl_verb_number(r, "worker", -1) + 1);
	f->retrans = (uint32_t)sl_verb_number(r, "retrans", 0);
	f->queue = (uint32_t)sl_verb_number(r, "queue", 0);
	q->pairs = json_is_true(json_object_get(r->body, "pairs"));
	if (q->pairs && !f->side) /* each pair once */
		f->side = SL_SIDE_CLIENT;
	return NULL;
}

static const struct sl_conf_listener *
listener_named(const struct sl_table *t, const char *name)
{
	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++)
		if (strcmp(t->conf->listeners[i].name, name) == 0)
			return &t->conf->listeners[i];
	return NULL;
}

static const struct sl_conf_service *
service_named(const struct sl_table *t, const char *name)
{
	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++)
		if (strcmp(t->conf->services[i].name, name) == 0)
			return &t->conf->services[i];
	return NULL;
}

/* A service by its slot: its streams count before they have an endpoint, too.  An endpoint by its own. */
static json_t *
take_names(const struct sl_verb_run *r, struct job *j)
{
	const struct sl_table *t = sl_tables_active(r->d->tables);
	const char *listener = sl_verb_text(r, "listener"), *service = sl_verb_text(r, "service");
	const struct sl_conf_listener *l = listener ? listener_named(t, listener) : NULL;
	struct sl_placed at;

	if (listener && (!l || sl_slot_find_listener(&t->map, l, &at)))
		return sl_call_error(r->verb, "not_found", "see: show listeners",
				     "no listener %s in the active table", listener);
	if (listener)
		j->q.filter.listener = at.slot + 1;
	json_t *error = sl_walk_take_endpoints(r, &j->slots);
	if (error || !service)
		return error;
	if (sl_verb_text(r, "endpoint"))
		j->q.filter.slots = j->slots;
	const struct sl_conf_service *s = service_named(t, service);
	if (s && sl_slot_find_service(&t->map, s, &at) == 0)
		j->q.filter.service = at.slot + 1;
	return NULL;
}

/* ---- the walk, in the pool ---- */

static int
run(struct sl_walk *w, const void *region, size_t bytes, const char **ret_why)
{
	struct job *j = (struct job *)w;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	j->q.now_ms = SL_STREAMS_EPOCH_MS +
		      (uint32_t)((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	return sl_stream_query_run(&j->q, region, bytes, &w->cancel, ret_why);
}

/* ---- records → answer ---- */

/* Names by slot, made once for an answer. */
struct names {
	const char *listener[SL_MAX_LISTENERS];
	const char *service[SL_MAX_SERVICES];
};

static struct names *
names_of(const struct sl_table *t)
{
	struct names *n = calloc(1, sizeof(*n));
	struct sl_placed at;

	for (uint32_t i = 0; n && t && i < t->conf->listener_cnt; i++)
		if (sl_slot_find_listener(&t->map, &t->conf->listeners[i], &at) == 0 &&
		    at.slot < SL_MAX_LISTENERS)
			n->listener[at.slot] = t->conf->listeners[i].name;
	for (uint32_t i = 0; n && t && i < t->conf->service_cnt; i++)
		if (sl_slot_find_service(&t->map, &t->conf->services[i], &at) == 0 &&
		    at.slot < SL_MAX_SERVICES)
			n->service[at.slot] = t->conf->services[i].name;
	return n;
}

static json_t *
flags_json(uint8_t flags)
{
	static const struct {
		uint8_t flag;
		const char *word;
	} rows[] = {{SL_STREAM_SACK, "sack"},
		    {SL_STREAM_TS, "ts"},
		    {SL_STREAM_WSCALE, "wscale"},
		    {SL_STREAM_RECOVERY, "recovery"},
		    {SL_STREAM_BACKOFF, "backoff"}};
	json_t *list = json_array();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		if (flags & rows[i].flag)
			json_array_append_new(list, json_string(rows[i].word));
	return list;
}

/* Who it is: addresses and names. */
static json_t *
stream_head(const struct sl_daemon *d, const struct names *n, const struct sl_stream_record *r)
{
	const struct sl_stream_row *s = &r->row;
	const struct sl_oper_endpoint *e = sl_oper_by_slot(d->oper, s->endpoint_slot);
	char peer[SL_ADDR_STRLEN], local[SL_ADDR_STRLEN];

	if (e && e->at.incarnation != s->incarnation)
		e = NULL; /* the slot has another owner now */
	return json_pack(
		"{s:s, s:s, s:s, s:i, s:s, s:i, s:s?, s:s?, s:s?, s:i, s:I, s:o}", "side",
		s->flags & SL_STREAM_OUT ? "endpoint" : "client", "state",
		sl_stream_state_name(s->state), "peer", sl_addr_format(&s->tuple.src, peer),
		"peer_port", (int)sl_from_be16(s->tuple.sport), "local",
		sl_addr_format(&s->tuple.dst, local), "local_port",
		(int)sl_from_be16(s->tuple.dport), "listener",
		s->listener_slot < SL_MAX_LISTENERS ? n->listener[s->listener_slot] : NULL,
		"service", s->service_slot < SL_MAX_SERVICES ? n->service[s->service_slot] : NULL,
		"endpoint", e ? e->name : NULL, "worker", (int)r->worker, "place",
		(json_int_t)r->place, "partner",
		s->partner == UINT32_MAX ? json_null() : json_integer((json_int_t)s->partner));
}

/* A counter of 64 bits that a hostile region could put over what JSON holds. */
static json_int_t
count(uint64_t n)
{
	return (json_int_t)SL_MIN(n, (uint64_t)INT64_MAX);
}

static json_t *
stream_json(const struct job *j, const struct names *n, const struct sl_stream_record *r)
{
	const struct sl_stream_row *s = &r->row;
	struct sl_stream_sums sums = sl_stream_sums(s, j->q.now_ms);
	json_t *o = stream_head(j->w.r.d, n, r);
	json_t *more = json_pack(
		"{s:I, s:I, s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}",
		"age_ms", (json_int_t)sums.age_ms, "cwnd", (json_int_t)s->cwnd, "rtt_us",
		s->srtt_us ? json_integer((json_int_t)s->srtt_us) : json_null(), "rttvar_us",
		s->srtt_us ? json_integer((json_int_t)s->rttvar_us) : json_null(), "mss",
		(int)s->mss, "bytes_in", count(s->bytes_in), "bytes_out", count(s->bytes_out),
		"send_queue", (json_int_t)sums.queued, "in_flight", (json_int_t)sums.in_flight,
		"receive_queue", (json_int_t)s->rcv_queue, "out_of_order", (json_int_t)s->ooo,
		"send_window", (json_int_t)s->snd_wnd, "receive_window", (json_int_t)s->rcv_wnd,
		"retransmits", (json_int_t)s->retrans, "congestion", sl_stream_cc_name(s->cc),
		"flags", flags_json(s->flags));

	json_object_update(o, more);
	json_decref(more);
	return o;
}

static json_t *
list_json(const struct job *j, const struct names *n)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < j->q.found_cnt; i++) {
		json_t *o = stream_json(j, n, &j->q.found[i]);
		if (j->q.pairs)
			json_object_set_new(o, "pair",
					    j->q.partner[i].row.state == SL_STREAM_FREE
						    ? json_null()
						    : stream_json(j, n, &j->q.partner[i]));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *
answer(const struct sl_walk *w)
{
	const struct job *j = (const struct job *)w;
	struct names *n = names_of(sl_tables_active(w->r.d->tables));

	if (!n)
		return sl_call_error(w->r.verb, "internal", NULL, "out of memory");
	json_t *a = sl_verb_ok(&w->r);
	json_object_set_new(a, "streams", j->q.limit ? list_json(j, n) : json_null());
	json_object_set_new(a, "matched", json_integer(count(j->q.matched)));
	json_object_set_new(a, "more", json_boolean(j->q.more));
	json_object_set_new(a, "looked", json_integer(count(j->q.looked)));
	json_object_set_new(a, "skipped", json_integer(count(j->q.skipped)));
	json_object_set_new(a, "ms", json_real((double)w->took_ns / 1e6));
	free(n);
	return a;
}

static const struct sl_walk_kind kind = {
	.what = "stream",
	.align = REGION_ALIGN,
	.region = sl_publish_streams,
	.run = run,
	.answer = answer,
	.free = job_free,
};

void
sl_verb_streams(const struct sl_verb_run *r)
{
	struct job *j = calloc(1, sizeof(*j));
	bool count_only = json_is_true(json_object_get(r->body, "count"));

	if (!j) {
		sl_call_answer(r->call, sl_call_error(r->verb, "internal", NULL, "out of memory"));
		return;
	}
	j->w.kind = &kind;
	j->w.r = *r;
	j->q.limit = count_only ? 0 : (uint32_t)sl_verb_number(r, "limit", DEFAULT_LIMIT);
	json_t *error = take_words(r, &j->q);
	if (!error && count_only && (json_object_get(r->body, "limit") || j->q.order || j->q.pairs))
		error = sl_walk_invalid(r, "count", "not together with limit, sort or pairs");
	if (!error)
		error = take_names(r, j);
	if (error)
		sl_walk_refuse(&j->w, error);
	else
		sl_walk_ask(&j->w);
}

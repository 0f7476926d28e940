/* flows: request → filter → the pool, where the region is mapped read-only and walked → records → names.
 *
 *   waiting ── first of the queue ──▶ running (pool) ── answered
 *      └── its client went away ──▶ answered into nothing, in either place
 *
 * One walk at a time, so that the pool has threads left for pushes.  A timer looks for clients that are gone while
 * there is anything in the queue.  Workers are not asked and not held up: they do not know that they are read. */
#include "mgmt/flow_query.h"
#include "mgmt/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITING_MAX 16
#define LOOK_MS 50
#define DEFAULT_LIMIT 100

struct job {
	uv_work_t work;
	struct job *next;
	struct sl_flow_queue *queue;
	struct sl_verb_run r;
	struct sl_flow_query q;
	uint32_t *slots;            /* q.filter's, owned; or NULL */
	struct sl_flow_span *spans; /* likewise */
	atomic_bool cancel;
	int fd;
	uint64_t bytes;
	int err;
	const char *why;
	uint64_t took_ns;
};

struct sl_flow_queue {
	uv_loop_t *loop;
	uv_timer_t *timer;
	struct job *running;
	struct job *head, **tail; /* waiting */
	unsigned waiting;
};

static void
job_free(struct job *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->q.found);
	free(j->slots);
	free(j->spans);
	free(j);
}

/* ---- request → filter ---- */

static const char *
take_prefix(const char *text, struct sl_addr *ret_addr, uint8_t *ret_plen, uint8_t *ret_family)
{
	unsigned plen = 128;

	if (!text)
		return NULL;
	if (!strchr(text, '/') ? sl_addr_parse(text, ret_addr)
			       : sl_addr_parse_prefix(text, ret_addr, &plen))
		return "no address, and no prefix (192.0.2.0/24) without bits behind its length";
	*ret_plen = (uint8_t)plen;
	*ret_family = sl_addr_is_v4(ret_addr) && plen >= 96 ? 4 : 6;
	return NULL;
}

static json_t *
invalid(const struct sl_verb_run *r, const char *key, const char *why)
{
	return sl_call_error(r->verb, "invalid", NULL, "%s: %s", key, why);
}

/* What a request says by itself; NULL, or the error. */
static json_t *
take_words(const struct sl_verb_run *r, struct sl_flow_filter *f)
{
	const char *proto = sl_verb_text(r, "protocol"), *state = sl_verb_text(r, "state"), *why;

	why = take_prefix(sl_verb_text(r, "client"), &f->client, &f->client_plen,
			  &f->client_family);
	if (why)
		return invalid(r, "client", why);
	why = take_prefix(sl_verb_text(r, "vip"), &f->vip, &f->vip_plen, &f->vip_family);
	if (why)
		return invalid(r, "vip", why);
	if (proto && strcmp(proto, "tcp") && strcmp(proto, "udp"))
		return invalid(r, "protocol", "neither tcp nor udp");
	if (proto)
		f->proto = proto[0] == 't' ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
	if (state && sl_flow_state_find(state) == SL_FLOW_FREE)
		return invalid(r, "state", "none of embryonic, established, closing, udp, udp_new");
	if (state)
		f->states = (uint8_t)(1u << sl_flow_state_find(state));
	if (sl_verb_text(r, "endpoint") && !sl_verb_text(r, "service"))
		return invalid(r, "endpoint", "needs the service, too");
	f->with_port = json_object_get(r->body, "port") != NULL;
	f->port = (uint16_t)sl_verb_number(r, "port", 0);
	f->worker = (uint32_t)(sl_verb_number(r, "worker", -1) + 1);
	f->idle_q = (uint32_t)((sl_verb_number(r, "idle_over_ms", 0) + 249) / 250);
	f->halves = json_is_true(json_object_get(r->body, "halves"));
	return NULL;
}

static bool
service_known(const struct sl_table *t, const char *name)
{
	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++)
		if (strcmp(t->conf->services[i].name, name) == 0)
			return true;
	return false;
}

static json_t *
take_endpoints(const struct sl_verb_run *r, struct job *j)
{
	const char *service = sl_verb_text(r, "service"), *name = sl_verb_text(r, "endpoint");
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(r->d->oper, &cnt);

	if (!service)
		return NULL;
	if (!service_known(sl_tables_active(r->d->tables), service))
		return sl_call_error(r->verb, "not_found", "see: show services",
				     "no service %s in the active table", service);
	if (name && !sl_oper_find(r->d->oper, service, name))
		return sl_call_error(r->verb, "not_found", "see: show endpoints",
				     "no endpoint %s/%s in the active table", service, name);
	j->slots = calloc(SL_MAX_ENDPOINTS, sizeof(*j->slots));
	if (!j->slots)
		return sl_call_error(r->verb, "internal", NULL, "out of memory");
	for (uint32_t i = 0; i < cnt; i++)
		if (strcmp(e[i].service, service) == 0 && (!name || strcmp(e[i].name, name) == 0) &&
		    e[i].at.slot < SL_MAX_ENDPOINTS)
			j->slots[e[i].at.slot] = e[i].at.incarnation;
	j->q.filter.slots = j->slots;
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
walk(struct job *j)
{
	uint64_t start = uv_hrtime();
	struct stat st;
	int seals = fcntl(j->fd, F_GET_SEALS); /* -1: no memfd, and all bits set */

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(j->fd, &st) ||
	    (uint64_t)st.st_size < j->bytes || j->bytes == 0 || j->bytes % SL_FLOWS_ALIGN) {
		j->why = "its size is wrong or may change";
		return -EINVAL;
	}
	void *m = mmap(NULL, j->bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, j->fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	int err = sl_flow_query_run(&j->q, m, j->bytes, &j->cancel, &j->why);
	munmap(m, j->bytes);
	j->took_ns = uv_hrtime() - start;
	return err;
}

static void
on_walk(uv_work_t *w)
{
	struct job *j = w->data;
	j->err = walk(j);
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
answer(const struct job *j)
{
	json_t *a = sl_verb_ok(&j->r), *list = j->q.limit ? json_array() : json_null();

	for (uint32_t i = 0; i < j->q.found_cnt; i++)
		json_array_append_new(list, flow_json(j->r.d, &j->q.found[i]));
	json_object_set_new(a, "dataplane", json_boolean(sl_publish_link(j->r.d->publish) != NULL));
	json_object_set_new(a, "flows", list);
	json_object_set_new(a, "matched", json_integer((json_int_t)j->q.matched));
	json_object_set_new(a, "more", json_boolean(j->q.more));
	json_object_set_new(a, "looked", json_integer((json_int_t)j->q.looked));
	json_object_set_new(a, "skipped", json_integer((json_int_t)j->q.skipped));
	json_object_set_new(a, "ms", json_real((double)j->took_ns / 1e6));
	return a;
}

static json_t *
outcome(const struct job *j)
{
	if (j->err == 0)
		return answer(j);
	if (j->err == -EINVAL)
		return sl_call_error(j->r.verb, "unavailable",
				     "install the same release of both programs",
				     "the dataplane's flow region cannot be read: %s", j->why);
	return sl_call_error(j->r.verb, "internal", NULL, "the flow region was not read: %s",
			     strerror(-j->err));
}

/* ---- the queue ---- */

static void start_next(struct sl_flow_queue *q);

static void
finish(struct job *j, json_t *a)
{
	sl_call_answer(j->r.call, a);
	job_free(j);
}

static void
on_walked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct sl_flow_queue *q = j->queue;
	(void)status; /* nobody cancels the work itself */

	q->running = NULL;
	finish(j, outcome(j));
	start_next(q);
}

static json_t *
nobody(const struct job *j)
{
	return sl_call_error(j->r.verb, "internal", NULL, "nobody waits for the answer");
}

static struct job *
pop(struct sl_flow_queue *q, struct job **link)
{
	struct job *j = *link;

	*link = j->next;
	if (q->tail == &j->next)
		q->tail = link;
	q->waiting--;
	return j;
}

static void
start_next(struct sl_flow_queue *q)
{
	while (!q->running && q->head) {
		struct job *j = pop(q, &q->head);
		int fd = -1;

		if (sl_call_gone(j->r.call)) {
			finish(j, nobody(j));
			continue;
		}
		if (sl_publish_flows(j->r.d->publish, &fd, &j->bytes))
			j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (j->fd >= 0 && uv_queue_work(q->loop, &j->work, on_walk, on_walked) == 0)
			q->running = j;
		else
			finish(j, sl_call_error(j->r.verb, "unavailable", "see: status",
						"there is no flow region to be read"));
	}
	if (!q->running)
		uv_timer_stop(q->timer);
}

static void
on_look(uv_timer_t *t)
{
	struct sl_flow_queue *q = t->data;
	struct job **link = &q->head;

	if (q->running && sl_call_gone(q->running->r.call))
		atomic_store_explicit(&q->running->cancel, true, memory_order_relaxed);
	while (*link) {
		if (sl_call_gone((*link)->r.call)) {
			struct job *j = pop(q, link);
			finish(j, nobody(j));
		} else {
			link = &(*link)->next;
		}
	}
}

int
sl_flow_queue_create(uv_loop_t *loop, struct sl_flow_queue **ret_queue)
{
	struct sl_flow_queue *q = calloc(1, sizeof(*q));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!q || !timer) {
		free(q);
		free(timer);
		return -ENOMEM;
	}
	q->loop = loop;
	q->tail = &q->head;
	q->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = q;
	*ret_queue = q;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_flow_queue_destroy(struct sl_flow_queue *q)
{
	if (!q)
		return;
	uv_close((uv_handle_t *)q->timer, on_freed);
	free(q);
}

bool
sl_flow_queue_busy(const struct sl_flow_queue *q)
{
	return q && (q->running || q->head);
}

void
sl_verb_flows(const struct sl_verb_run *r)
{
	struct sl_flow_queue *q = r->d->flow_queue;
	struct job *j = calloc(1, sizeof(*j));
	bool count = json_is_true(json_object_get(r->body, "count"));
	json_t *error = NULL;

	if (j) {
		j->fd = -1;
		j->queue = q;
		j->r = *r;
		j->work.data = j;
		j->q.limit = count ? 0 : (uint32_t)sl_verb_number(r, "limit", DEFAULT_LIMIT);
		error = take_words(r, &j->q.filter);
	} else {
		error = sl_call_error(r->verb, "internal", NULL, "out of memory");
	}
	if (!error && count && json_object_get(r->body, "limit"))
		error = invalid(r, "limit", "not together with count");
	if (!error)
		error = take_endpoints(r, j);
	if (!error)
		error = take_listener(r, j);
	if (!error && q->waiting >= WAITING_MAX)
		error = sl_call_error(r->verb, "busy", "try again in a moment",
				      "%u questions about flows wait already", q->waiting);
	if (error) {
		job_free(j);
		sl_call_answer(r->call, error);
		return;
	}
	*q->tail = j;
	q->tail = &j->next;
	q->waiting++;
	uv_timer_start(q->timer, on_look, LOOK_MS, LOOK_MS);
	start_next(q);
}

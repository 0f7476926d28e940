/* A cookie names a question for the worker; the asker's seq stays here, and an answer for a connection that
 * is gone is thrown away. */
#include "dataplane/explain.h"

#include <errno.h>
#include <stdatomic.h>

int
sl_explain_ask(struct sl_explain_desk *d, const struct sl_ctl_explain *ask, uint64_t now_ns,
	       const char **ret_why)
{
	unsigned i = 0;

	if (ask->port >= d->port_cnt) {
		*ret_why = "there is no port of that index";
		return -EINVAL;
	}
	while (i < SL_EXPLAIN_MAX && d->open[i].cookie)
		i++;
	if (i == SL_EXPLAIN_MAX) {
		*ret_why = "too many questions at a time: wait for answers";
		return -EBUSY;
	}
	if (++d->cookie == 0)
		d->cookie = 1;
	struct sl_msg m = {
		.type = SL_MSG_EXPLAIN,
		.from = UINT8_MAX,
		.tcp_flags = ask->tcp_flags,
		.port_in = (uint16_t)ask->port,
		.cookie = d->cookie,
		.tuple = ask->tuple,
	};
	unsigned owner = d->rss->owner[sl_rss_bucket(sl_rss_hash(d->rss, &ask->tuple))];
	if (sl_ring_put(d->to[owner], &m, 1) != 1) {
		*ret_why = "the worker's mailbox is full";
		return -EBUSY;
	}
	d->open[i].cookie = d->cookie;
	d->open[i].seq = ask->head.seq;
	d->open[i].peer = sl_ctl_server_peer(d->server);
	d->open[i].asked_ns = now_ns;
	d->open_cnt++;
	return 0;
}

static void
answer(struct sl_explain_desk *d, uint32_t seq, const struct sl_explained *e,
       const struct sl_view *view)
{
	const struct sl_pkt *p = &e->pkt;
	struct sl_ctl_explained a = {
		.generation = e->generation,
		.verdict = p->verdict,
		.drop = p->drop,
		.worker = e->worker,
		.bucket = p->bucket,
		.why = p->why,
		.tries = p->tries,
		.listener_slot = UINT32_MAX,
		.service_slot = p->service_slot,
		.endpoint_slot = p->endpoint_slot,
		.endpoint_incarnation = p->endpoint_incarnation,
		.port_out = p->port_out == UINT16_MAX ? UINT32_MAX : p->port_out,
		.level = e->level,
		.next_hop = e->next,
		.out = e->out,
	};

	if (view && view->generation == e->generation && p->listener < view->listener_cnt)
		a.listener_slot = view->listeners[p->listener].slot;
	sl_ctl_server_explained(d->server, seq, &a);
}

static void
close_question(struct sl_explain_desk *d, unsigned i)
{
	d->open[i].cookie = 0;
	d->open_cnt--;
}

/* ---- about requests ---- */

int
sl_explain_ask_http(struct sl_explain_desk *d, const struct sl_ctl_explain_http *ask,
		    const uint8_t *text, uint64_t now_ns, const char **ret_why)
{
	struct sl_http_question *q = d->question, *end = q + SL_EXPLAIN_HTTP_MAX;

	while (q < end && atomic_load_explicit(&q->state, memory_order_relaxed))
		q++;
	if (q == end || ask->text_len > sizeof(q->request)) {
		*ret_why = "too many questions at a time: wait for answers";
		return -EBUSY;
	}
	unsigned i = (unsigned)(q - d->question);
	unsigned owner = d->rss->owner[sl_rss_bucket(sl_rss_hash(d->rss, &ask->tuple))];
	struct sl_msg m = {.type = SL_MSG_EXPLAIN_HTTP, .from = UINT8_MAX, .slot = i};
	q->tuple = ask->tuple;
	q->len = ask->text_len;
	q->about = ask->about;
	q->answer = (struct sl_ctl_explained_http){0};
	q->text[0] = 0;
	memcpy(q->request, text, ask->text_len);
	atomic_store_explicit(&q->state, SL_QUESTION_ASKED, memory_order_relaxed);
	if (sl_ring_put(d->to[owner], &m, 1) != 1) {
		atomic_store_explicit(&q->state, SL_QUESTION_FREE, memory_order_relaxed);
		*ret_why = "the worker's mailbox is full";
		return -EBUSY;
	}
	d->http[i].seq = ask->head.seq;
	d->http[i].worker = owner;
	d->http[i].peer = sl_ctl_server_peer(d->server);
	d->http[i].asked_ns = now_ns;
	d->open_cnt++;
	return 0;
}

static void
answer_http(struct sl_explain_desk *d, unsigned i)
{
	struct sl_http_question *q = &d->question[i];

	if (q->why) {
		sl_ctl_server_unexplained(d->server, d->http[i].seq, q->why);
		return;
	}
	q->answer.worker = d->http[i].worker;
	sl_ctl_server_explained_http(d->server, d->http[i].seq, &q->answer, q->text, q->path);
}

static void
http_turn(struct sl_explain_desk *d, uint64_t now_ns)
{
	uint64_t peer = sl_ctl_server_peer(d->server);

	for (unsigned i = 0; i < SL_EXPLAIN_HTTP_MAX; i++) {
		uint32_t state = atomic_load_explicit(&d->question[i].state, memory_order_acquire);
		bool wanted = d->http[i].peer != 0;
		if (state == SL_QUESTION_ANSWERED) {
			if (wanted && d->http[i].peer == peer)
				answer_http(d, i);
			atomic_store_explicit(&d->question[i].state, SL_QUESTION_FREE,
					      memory_order_relaxed);
			d->open_cnt -= wanted;
		} else if (state == SL_QUESTION_ASKED && wanted &&
			   now_ns - d->http[i].asked_ns >= SL_EXPLAIN_WAIT_NS) {
			if (d->http[i].peer == peer)
				sl_ctl_server_unexplained(
					d->server, d->http[i].seq,
					"the worker did not answer within 5 seconds");
			d->http[i].peer = 0;
			d->open_cnt--;
		}
	}
}

/* ---- both ---- */

void
sl_explain_turn(struct sl_explain_desk *d, const struct sl_view *view, uint64_t now_ns)
{
	struct sl_explained e;
	uint64_t peer = sl_ctl_server_peer(d->server);

	http_turn(d, now_ns);
	for (unsigned w = 0; w < d->worker_cnt; w++)
		while (sl_ring_take(d->from[w], &e, 1) == 1)
			for (unsigned i = 0; i < SL_EXPLAIN_MAX; i++) {
				if (d->open[i].cookie == 0 || d->open[i].cookie != e.cookie)
					continue;
				if (d->open[i].peer == peer)
					answer(d, d->open[i].seq, &e, view);
				close_question(d, i);
			}
	for (unsigned i = 0; i < SL_EXPLAIN_MAX && d->open_cnt; i++) {
		if (d->open[i].cookie == 0 || now_ns - d->open[i].asked_ns < SL_EXPLAIN_WAIT_NS)
			continue;
		if (d->open[i].peer == peer)
			sl_ctl_server_unexplained(d->server, d->open[i].seq,
						  "the worker did not answer within 5 seconds");
		close_question(d, i);
	}
}

/* Each question is a loop of blocking queries of its own:
 *
 *   timer ──▶ query ──▶ answer ──read in the pool──▶ told ──▶ timer
 *               └──▶ trouble ──another server, a longer pause──▶ timer
 *
 * X-Consul-Index: the next query waits for something newer; one that went back, or 0, begins anew without (what Consul's
 * interface asks of its users).  That a query returns does not say that anything changed: what says the same as before is a
 * confirmation.  Queries that return early are paced: eight at once, then ten a second; when nothing changed by them, one in
 * two seconds in the end.
 */
#include "mgmt/source_consul_read.h"
#include "mgmt/source_url.h"
#include "mgmt/web.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define BURST 8
#define REFILL_MS 100
#define EARLY_MS 1000
#define IDLE_FREE 2 /* early returns without a change before they cost a pause */
#define IDLE_MOST_MS 2000
#define SAY_MS 60000

struct consul {
	const struct sl_source_conf *conf;
	struct sl_source_sink sink;
	struct sl_web *web;
	struct question *questions;
	uint64_t rng;
	uint64_t said; /* uv_now of the last line about an index; 0: never */
};

struct question {
	struct consul *consul;
	struct question *next;
	uint32_t id;
	char service[256];
	char tag[SL_NAME_MAX];
	uint16_t port;
	uv_timer_t *timer; /* freed by its close callback */
	struct sl_web_call *call;
	struct job *job;
	unsigned server, failures;
	unsigned idle;   /* early returns in a row that changed nothing */
	unsigned tokens; /* queries that may go at once */
	uint64_t filled; /* uv_now up to which tokens count */
	uint64_t sent;   /* uv_now of the query */
	uint64_t index;  /* 0: the next query does not wait */
	char told[24];   /* X-Consul-Index of the answer that comes */
	bool filtered;   /* X-Consul-Results-Filtered-By-ACLs of it */
	bool answered;   /* the sink has an answer, of hash */
	uint64_t hash;
};

/* An answer while it is read. */
struct job {
	uv_work_t work;
	struct question *q; /* NULL: dropped meanwhile */
	char *bytes;
	size_t len;
	char service[256];
	char tag[SL_NAME_MAX];
	uint16_t port;
	struct sl_source_answer answer;
	uint64_t hash;
	int err;
	char why[256];
};

static void query(struct question *q);

/* ---- when ---- */

static void
on_timer(uv_timer_t *t)
{
	query(t->data);
}

static void
again_in(struct question *q, uint64_t ms)
{
	uv_timer_start(q->timer, on_timer, ms, 0);
}

/* ms until the next query may go, which is taken from the tokens. */
static uint64_t
pace(struct question *q)
{
	uint64_t now = uv_now(q->consul->sink.loop);
	uint64_t more = (now - q->filled) / REFILL_MS;

	q->tokens = (unsigned)SL_MIN(q->tokens + more, (uint64_t)BURST);
	q->filled += more * REFILL_MS;
	uint64_t wait = q->tokens ? 0 : q->filled + REFILL_MS - now;
	if (q->tokens)
		q->tokens--;
	else
		q->filled += REFILL_MS;
	if (q->idle > IDLE_FREE) {
		unsigned shift = SL_MIN(q->idle - IDLE_FREE, 6u);
		wait = SL_MAX(wait, SL_MIN((uint64_t)REFILL_MS << shift, (uint64_t)IDLE_MOST_MS));
	}
	return wait;
}

static void
trouble(struct question *q, const char *why)
{
	struct consul *c = q->consul;

	q->index = 0;
	q->idle = 0;
	q->server = (q->server + 1) % c->conf->server_cnt;
	again_in(q, sl_source_pause(++q->failures, &c->rng));
	c->sink.trouble(c->sink.ctx, q->id, why);
}

/* ---- an answer ---- */

static void
tell(struct question *q, const struct job *j)
{
	const struct sl_source_sink *s = &q->consul->sink;
	bool same = q->answered && q->hash == j->hash;
	bool early = uv_now(s->loop) - q->sent < EARLY_MS;

	q->failures = 0;
	q->idle = same && early ? q->idle + 1 : 0;
	again_in(q, pace(q));
	if (sl_source_answer_useless(&j->answer)) {
		s->trouble(s->ctx, q->id, j->answer.note);
	} else if (same) {
		s->confirm(s->ctx, q->id);
	} else {
		q->answered = true;
		q->hash = j->hash;
		s->answer(s->ctx, q->id, j->answer.endpoints, j->answer.cnt, j->answer.left_out,
			  j->answer.note);
	}
}

static void
read_in_pool(uv_work_t *work)
{
	struct job *j = work->data;

	j->err = sl_source_consul_read(j->bytes, j->len, j->service, j->tag, j->port, &j->answer,
				       j->why, sizeof(j->why));
	if (!j->err)
		j->hash = sl_source_answer_hash(&j->answer);
}

static void
on_read(uv_work_t *work, int status)
{
	struct job *j = work->data;
	struct question *q = j->q;
	char why[SL_SOURCE_PATH + sizeof(j->why) + 160];

	(void)status;
	if (q) {
		const char *server = q->consul->conf->servers[q->server];
		q->job = NULL;
		if (j->err) {
			snprintf(why, sizeof(why), "%s: its answer about %s %s", server, j->service,
				 j->why);
			trouble(q, why);
		} else if (q->filtered && j->answer.cnt == 0) {
			snprintf(why, sizeof(why),
				 "%s: the token may not read the instances of %s: it needs "
				 "service:read and node:read",
				 server, j->service);
			trouble(q, why);
		} else {
			if (q->filtered)
				sl_source_answer_note(&j->answer,
						      "the token may not read all instances");
			tell(q, j);
		}
	}
	sl_source_answer_fini(&j->answer);
	free(j->bytes);
	free(j);
}

static void
read_answer(struct question *q, const char *body, size_t len)
{
	struct job *j = calloc(1, sizeof(*j));
	char *bytes = malloc(len + 1);

	if (!j || !bytes) {
		free(j);
		free(bytes);
		trouble(q, "no memory for the answer");
		return;
	}
	memcpy(bytes, body, len);
	j->work.data = j;
	j->q = q;
	j->bytes = bytes;
	j->len = len;
	memcpy(j->service, q->service, sizeof(j->service));
	memcpy(j->tag, q->tag, sizeof(j->tag));
	j->port = q->port;
	q->job = j;
	uv_queue_work(q->consul->sink.loop, &j->work, read_in_pool, on_read);
}

/* The index went back: what came with it is older than what we have, or of another world; a query without index says which. */
static void
begin_anew(struct question *q, uint64_t index)
{
	struct consul *c = q->consul;
	uint64_t now = uv_now(c->sink.loop), was = q->index;
	char line[SL_NAME_MAX + SL_SOURCE_PATH + 512];

	q->index = 0;
	q->idle++;
	again_in(q, pace(q));
	if (c->said && now - c->said < SAY_MS)
		return;
	c->said = now ? now : 1;
	snprintf(line, sizeof(line),
		 "source %s: %s went back from index %llu to %llu for %s: it is asked anew",
		 c->conf->name, c->conf->servers[q->server], (unsigned long long)was,
		 (unsigned long long)index, q->service);
	c->sink.say(c->sink.ctx, line);
}

static void
on_done(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct question *q = ctx;
	const char *server = q->consul->conf->servers[q->server];
	char why[SL_SOURCE_PATH + 256], text[128];
	uint64_t index;

	q->call = NULL;
	if (error) {
		trouble(q, error);
	} else if (status != 200) {
		snprintf(why, sizeof(why), "%s: answers %d: %s", server, status,
			 sl_value_quote(body, text, sizeof(text)));
		trouble(q, why);
	} else if (sl_source_consul_index(q->told, &index)) {
		snprintf(why, sizeof(why), "%s: answers without X-Consul-Index: is it Consul?",
			 server);
		trouble(q, why);
	} else if (index < q->index) {
		begin_anew(q, index);
	} else {
		q->index = index;
		read_answer(q, body, len);
	}
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct question *q = ctx;

	if (strcmp(name, "x-consul-index") == 0)
		snprintf(q->told, sizeof(q->told), "%s",
			 strlen(value) < sizeof(q->told) ? value : "?");
	else if (strcmp(name, "x-consul-results-filtered-by-acls") == 0)
		q->filtered = strcasecmp(value, "true") == 0;
}

/* ---- a query ---- */

/* "?key=value", "&key=value"; not at all without a value. */
static void
add_key(struct sl_source_url *u, const char *key, const char *value)
{
	if (!*value)
		return;
	sl_source_url_add(u, strchr(u->text, '?') ? "&" : "?");
	sl_source_url_add(u, key);
	sl_source_url_add(u, "=");
	sl_source_url_escape(u, value);
}

static void
write_url(const struct question *q, struct sl_source_url *u)
{
	const struct sl_source_conf *conf = q->consul->conf;
	char index[24], wait[24];

	sl_source_url_begin(u, conf->servers[q->server]);
	sl_source_url_add(u, "/v1/health/service/");
	sl_source_url_escape(u, q->service);
	snprintf(index, sizeof(index), "%llu", (unsigned long long)q->index);
	if (conf->wait_ms % 1000)
		snprintf(wait, sizeof(wait), "%ums", conf->wait_ms);
	else
		snprintf(wait, sizeof(wait), "%us", conf->wait_ms / 1000);
	add_key(u, "index", q->index ? index : "");
	add_key(u, "wait", q->index ? wait : "");
	add_key(u, "dc", conf->datacenter);
	add_key(u, "tag", q->tag);
}

static void
query(struct question *q)
{
	const struct sl_source_conf *conf = q->consul->conf;
	struct sl_source_url url;
	struct sl_web_request r = {.method = "GET",
				   .url = url.text,
				   .bearer_file = conf->token_file,
				   .token_header = "X-Consul-Token",
				   .ca = conf->ca,
				   .certificate = conf->certificate,
				   .key = conf->key,
				   .connect_ms = conf->timeout_ms,
				   .total_ms = conf->timeout_ms,
				   .max_body = SL_SOURCE_JSON_BYTES,
				   .header = on_header,
				   .done = on_done,
				   .ctx = q};

	write_url(q, &url);
	if (q->index) /* Consul adds up to a sixteenth */
		r.total_ms += conf->wait_ms + conf->wait_ms / 16;
	q->told[0] = 0;
	q->filtered = false;
	q->sent = uv_now(q->consul->sink.loop);
	int err = url.full ? -EINVAL : sl_web_start(q->consul->web, &r, &q->call);
	if (err)
		trouble(q, err == -ENOMEM ? "no memory for the question"
					  : "the question makes no URL");
}

/* ---- life ---- */

static int
consul_create(const struct sl_source_conf *conf, const struct sl_source_sink *sink,
	      struct sl_diag *diag, void **ret_source)
{
	struct consul *c = calloc(1, sizeof(*c));

	if (conf->server_cnt == 0) {
		free(c);
		sl_diag_add(diag, NULL, 0, NULL, "urls = ( \"http://127.0.0.1:8500\" )",
			    "source %s: no server to ask", conf->name);
		return -EINVAL;
	}
	if (c)
		c->web = sl_web_get(sink->loop);
	if (!c || !c->web) {
		free(c);
		sl_diag_add(diag, NULL, 0, NULL, NULL, "source %s: no memory", conf->name);
		return -ENOMEM;
	}
	c->conf = conf;
	c->sink = *sink;
	c->rng = sink->seed;
	*ret_source = c;
	return 0;
}

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

static void
question_free(struct question *q)
{
	sl_web_cancel(q->call);
	if (q->job)
		q->job->q = NULL;
	uv_timer_stop(q->timer);
	uv_close((uv_handle_t *)q->timer, on_closed);
	free(q);
}

static void
consul_destroy(void *source)
{
	struct consul *c = source;

	if (!c)
		return;
	while (c->questions) {
		struct question *q = c->questions;
		c->questions = q->next;
		question_free(q);
	}
	sl_web_put(c->web);
	free(c);
}

static int
consul_ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *ask)
{
	struct consul *c = source;
	struct question *q = calloc(1, sizeof(*q));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!q || !timer) {
		free(q);
		free(timer);
		return -ENOMEM;
	}
	q->consul = c;
	q->id = id;
	snprintf(q->service, sizeof(q->service), "%s", *ask->name ? ask->name : service);
	snprintf(q->tag, sizeof(q->tag), "%s", ask->tag);
	q->port = ask->port;
	q->tokens = BURST;
	q->filled = uv_now(c->sink.loop);
	q->timer = timer;
	uv_timer_init(c->sink.loop, timer);
	timer->data = q;
	q->next = c->questions;
	c->questions = q;
	again_in(q, 0);
	return 0;
}

static void
consul_drop(void *source, uint32_t id)
{
	struct consul *c = source;

	for (struct question **at = &c->questions; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct question *q = *at;
			*at = q->next;
			question_free(q);
			return;
		}
}

const struct sl_source_ops sl_source_consul = {consul_create, consul_destroy, consul_ask,
					       consul_drop};

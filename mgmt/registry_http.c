/* libmicrohttpd without threads or listeners: its epoll descriptor is watched by the loop, connections come from the front.  A request
 * goes
 *
 *   head (route, length: refused here already) ─ body ─▶ registry ─ answered at once ────────────▶ queued
 *                                                         └─ suspended, answered later, resumed ─▶ queued
 */
#include "mgmt/registry_http.h"

#include "mgmt/registry_front.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKSTOP_S 120 /* of libmicrohttpd; the front's times are shorter */
#define MEMORY 24576   /* of a connection */
#define RATE 5000      /* requests a second of an identity, and how many may be saved up */
#define RATES 512      /* identities that are remembered */
#define ROOT "/v1/registry"

struct rate {
	uint64_t key, ms;
	double tokens;
};

struct sl_registry_http {
	uv_loop_t *loop;
	struct sl_registry *registry;
	struct sl_registry_front *front;
	struct MHD_Daemon *http;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	bool ended;
	struct sl_registry_client *adding;
	struct rate rates[RATES];
};

enum op { LIST, PUT, REMOVE, HEARTBEAT, MAINTENANCE };

struct request {
	struct sl_registry_http *h;
	struct sl_registry_client *client;
	struct MHD_Connection *connection;
	enum op op;
	char service[128],
		endpoint[128]; /* "": none; longer than names, so that what is too long is told */
	char body[SL_REGISTRY_BODY + 1];
	size_t len;
	bool started, suspended;
	unsigned status; /* 0: not answered yet */
	struct MHD_Response *response;
};

/* ---- answers ---- */

static struct MHD_Response *
make_response(json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (!text)
		return NULL;
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!r)
		free(text);
	else
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return r;
}

static void
answer(struct request *q, unsigned status, json_t *body)
{
	q->status = status;
	q->response = status == 204
			      ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
			      : make_response(body);
	if (q->response && status == 429)
		MHD_add_response_header(q->response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

static void
answer_no(struct request *q, unsigned status, const char *where, const char *what, const char *hint)
{
	answer(q, status,
	       json_pack("{s:{s:s, s:s, s:s}}", "error", "what", what, "where", where, "do", hint));
}

/* The registry is not asked, or was only read. */
static void
refuse(struct request *q, unsigned status, const char *where, const char *what, const char *hint)
{
	sl_registry_refused(q->h->registry, status);
	answer_no(q, status, where, what, hint);
}

static enum MHD_Result
send_answer(struct request *q)
{
	sl_registry_front_answered(q->client);
	if (!q->response)
		return MHD_NO;
	return MHD_queue_response(q->connection, q->status, q->response);
}

static void run(struct sl_registry_http *h);

static void
on_time(uv_timer_t *timer)
{
	run(timer->data);
}

/* The registry's answer: from within sl_registry_…, or later. */
static void
on_answer(void *ctx, const struct sl_registry_answer *a)
{
	struct request *q = ctx;

	if (a->status >= 300)
		answer_no(q, a->status, a->where, a->what, a->hint);
	else
		answer(q, a->status, json_incref((json_t *)(uintptr_t)a->is));
	if (!q->suspended)
		return;
	q->suspended = false;
	MHD_resume_connection(q->connection);
	uv_timer_start(&q->h->timer, on_time, 0, 0);
}

/* ---- rates ---- */

static uint64_t
rate_key(const struct sl_registry_who *who)
{
	uint64_t h = 0xcbf29ce484222325ull ^ (uint64_t)who->uid;

	for (const char *p = who->name; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
	return h ? h : 1;
}

/* The identity's row, or the one that was not used for the longest time. */
static struct rate *
rate_of(struct sl_registry_http *h, uint64_t key)
{
	struct rate *oldest = &h->rates[0];

	for (unsigned i = 0; i < RATES; i++) {
		if (h->rates[i].key == key)
			return &h->rates[i];
		if (h->rates[i].ms < oldest->ms)
			oldest = &h->rates[i];
	}
	*oldest = (struct rate){key, uv_now(h->loop), RATE};
	return oldest;
}

static bool
too_fast(struct request *q, double cost)
{
	struct sl_registry_http *h = q->h;
	struct rate *r = rate_of(h, rate_key(&q->client->who));
	uint64_t now = uv_now(h->loop);

	r->tokens = SL_MIN(r->tokens + (double)(now - r->ms) * RATE / 1000, (double)RATE);
	r->ms = now;
	if (r->tokens < 1)
		return true;
	r->tokens -= cost; /* may go below 0: a long list is paid for afterwards */
	return false;
}

/* ---- routes ---- */

/* The next part of a path into ret; false: it does not fit. */
static bool
next_part(const char **at, char *ret, size_t size)
{
	size_t n = strcspn(*at, "/");

	if (n >= size)
		return false;
	memcpy(ret, *at, n);
	ret[n] = 0;
	*at += n;
	*at += **at == '/';
	return true;
}

/* "/v1/registry/SERVICE/ENDPOINT/heartbeat" → parts; 0, or the status of what is wrong. */
static unsigned
read_path(struct request *q, const char *url, char verb[16])
{
	size_t root = sizeof(ROOT) - 1;

	if (strncmp(url, ROOT, root) != 0 || (url[root] && url[root] != '/'))
		return 404;
	const char *at = url + root + (url[root] == '/');
	if (!next_part(&at, q->service, sizeof(q->service)) ||
	    !next_part(&at, q->endpoint, sizeof(q->endpoint)) || !next_part(&at, verb, 16) || *at)
		return 404;
	return 0;
}

static unsigned
read_route(struct request *q, const char *url, const char *method)
{
	char verb[16] = "";
	unsigned status = read_path(q, url, verb);

	if (status)
		return status;
	bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
	if (strcmp(verb, "heartbeat") == 0 || strcmp(verb, "maintenance") == 0) {
		q->op = *verb == 'h' ? HEARTBEAT : MAINTENANCE;
		return post ? 0 : 405;
	}
	if (*verb)
		return 404;
	q->op = strcmp(method, MHD_HTTP_METHOD_PUT) == 0      ? PUT
		: strcmp(method, MHD_HTTP_METHOD_DELETE) == 0 ? REMOVE
							      : LIST;
	if (q->op != LIST)
		return q->endpoint[0] ? 0 : 405;
	return strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD) ? 405
											   : 0;
}

/* ---- requests ---- */

static void
list(struct request *q)
{
	const struct sl_registry_who *who = &q->client->who;
	const char *service = q->service[0] ? q->service : NULL;
	json_t *all = sl_registry_show(q->h->registry, who, service);
	json_t *rows = json_object_get(all, "endpoints"), *e;
	size_t i;

	too_fast(q, (double)json_array_size(rows) / 10);
	if (!q->endpoint[0]) {
		answer(q, 200, all);
		return;
	}
	json_array_foreach(rows, i, e)
	{
		if (strcmp(json_string_value(json_object_get(e, "endpoint")), q->endpoint))
			continue;
		answer(q, 200, json_incref(e));
		json_decref(all);
		return;
	}
	json_decref(all);
	refuse(q, 404, q->endpoint, "no such endpoint is registered", "register it");
}

static void
perform(struct request *q)
{
	const struct sl_registry_who *who = &q->client->who;
	struct sl_registry *r = q->h->registry;
	char why[320];
	json_t *body;

	if (q->h->ended) {
		answer_no(q, 503, "", "sluiced is ending", "try again in a moment");
		return;
	}
	if (q->op == LIST) {
		list(q);
		return;
	}
	body = sl_registry_body(q->body, q->len, why, sizeof(why));
	if (!body)
		refuse(q, 400, "body", why,
		       "one JSON object, as in sluiced.conf(5) under registry");
	else if (q->op == PUT)
		sl_registry_put(r, who, q->service, q->endpoint, body, on_answer, q);
	else if (q->op == REMOVE)
		sl_registry_remove(r, who, q->service, q->endpoint, on_answer, q);
	else if (q->op == HEARTBEAT)
		sl_registry_heartbeat(r, who, q->service, q->endpoint, body, on_answer, q);
	else
		sl_registry_maintain(r, who, q->service, q->endpoint, body, on_answer, q);
	json_decref(body);
}

/* What can be refused before the body comes. */
static void
look_at_head(struct request *q, const char *url, const char *method)
{
	const struct sl_registry_who *who = &q->client->who;
	const char *len = MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND,
						      MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned status = read_route(q, url, method);

	if (who->role == SL_ROLE_NONE && !who->fits)
		refuse(q, 403, "", "nothing is permitted to this identity",
		       "an administrator permits it under registry.allow in sluiced.conf");
	else if (too_fast(q, 1))
		refuse(q, 429, "", "too many requests of this identity", "wait a second");
	else if (status == 404)
		refuse(q, 404, "path", "nothing is here",
		       "PUT, DELETE or GET " ROOT "/SERVICE/ENDPOINT, POST to heartbeat or "
		       "maintenance below it");
	else if (status == 405)
		refuse(q, 405, "method", "not possible with this path",
		       "PUT, DELETE or GET an endpoint, GET a service or all, POST to heartbeat "
		       "and "
		       "maintenance");
	else if (len && (strlen(len) > 5 || strtoul(len, NULL, 10) > SL_REGISTRY_BODY))
		refuse(q, 413, "body", "more than 16384 bytes", "send less");
}

static bool
has_body(struct MHD_Connection *c)
{
	const char *len =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (len && strcmp(len, "0")) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static void
take_body(struct request *q, const char *bytes, size_t *len)
{
	if (q->status == 0 && *len > SL_REGISTRY_BODY - q->len)
		refuse(q, 413, "body", "more than 16384 bytes", "send less");
	if (q->status == 0) {
		memcpy(q->body + q->len, bytes, *len);
		q->len += *len;
	}
	*len = 0; /* the rest of one that was refused is read over, as long as there is time */
}

static struct sl_registry_client *
client_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
	   const char *version, const char *body, size_t *body_len, void **request)
{
	struct request *q = *request;

	(void)version;
	if (!q) { /* the head */
		q = *request = calloc(1, sizeof(*q));
		if (!q || !(q->client = client_of(c)))
			return MHD_NO;
		q->h = ctx;
		q->connection = c;
		look_at_head(q, url, method);
		/* an answer before the body ends the connection: not where there is none */
		return q->status && has_body(c) ? send_answer(q) : MHD_YES;
	}
	if (*body_len) {
		take_body(q, body, body_len);
		return MHD_YES;
	}
	if (!q->status && !q->started) {
		q->started = true;
		sl_registry_front_waits(q->client);
		perform(q);
	}
	if (q->status)
		return send_answer(q);
	q->suspended = true;
	MHD_suspend_connection(c);
	return MHD_YES;
}

static void
on_completed(void *ctx, struct MHD_Connection *c, void **request,
	     enum MHD_RequestTerminationCode why)
{
	struct request *q = *request;

	(void)ctx;
	(void)c;
	(void)why;
	if (!q)
		return;
	if (q->client)
		sl_registry_front_idle(q->client);
	if (q->response)
		MHD_destroy_response(q->response);
	free(q);
	*request = NULL;
}

static void
on_notify(void *ctx, struct MHD_Connection *c, void **socket_context,
	  enum MHD_ConnectionNotificationCode what)
{
	struct sl_registry_http *h = ctx;
	struct sl_registry_client *client = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		*socket_context = info ? sl_registry_front_find(h->front, info->connect_fd) : NULL;
		return;
	}
	if (!client)
		return;
	if (h->adding == client)
		h->adding = NULL;
	sl_registry_front_gone(client);
}

static bool
on_give(void *ctx, struct sl_registry_client *c, int fd)
{
	struct sl_registry_http *h = ctx;
	struct sockaddr sa = {.sa_family = AF_UNIX};

	h->adding = c;
	if (MHD_add_connection(h->http, fd, &sa, sizeof(sa)) == MHD_YES || !h->adding) {
		uv_timer_start(&h->timer, on_time, 0, 0);
		return true;
	}
	return false;
}

/* ---- between the two loops ---- */

static void
run(struct sl_registry_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->http);
	if (uv_is_closing((uv_handle_t *)&h->timer))
		return;
	if (MHD_get_timeout(h->http, &ms) == MHD_YES)
		uv_timer_start(&h->timer, on_time, ms, 0);
	else
		uv_timer_stop(&h->timer);
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

/* Names have nothing that is escaped: what is, is none. */
static size_t
keep_escapes(void *ctx, struct MHD_Connection *c, char *s)
{
	(void)ctx;
	(void)c;
	return strlen(s);
}

static int
serve(struct sl_registry_http *h)
{
	h->http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, h, MHD_OPTION_CONNECTION_LIMIT, 600u, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)BACKSTOP_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, on_notify, h, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
	const union MHD_DaemonInfo *info =
		h->http ? MHD_get_daemon_info(h->http, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	int err = info ? uv_poll_init(h->loop, &h->poll, info->epoll_fd) : -ENOMEM;

	if (err)
		return err;
	uv_timer_init(h->loop, &h->timer);
	h->poll.data = h->timer.data = h;
	h->handles = 2;
	return uv_poll_start(&h->poll, UV_READABLE, on_ready);
}

int
sl_registry_http_start(uv_loop_t *loop, const struct sl_registry_conf *conf,
		       const struct sl_roles *roles, struct sl_registry *r,
		       void (*say)(void *ctx, const char *line), void *ctx, struct sl_diag *diag,
		       struct sl_registry_http **ret_http)
{
	struct sl_registry_http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->registry = r;
	const struct sl_registry_front_conf fc = {loop, conf, roles, on_give, say, h, ctx};
	int err = serve(h);
	if (!err)
		err = sl_registry_front_start(&fc, diag, &h->front);
	if (err) {
		sl_registry_http_stop(h);
		return err;
	}
	*ret_http = h;
	return 0;
}

void
sl_registry_http_end(struct sl_registry_http *h)
{
	if (!h)
		return;
	h->ended = true;
	sl_registry_front_end(h->front);
}

static void
on_closed(uv_handle_t *handle)
{
	struct sl_registry_http *h = handle->data;

	if (--h->handles == 0)
		free(h);
}

void
sl_registry_http_stop(struct sl_registry_http *h)
{
	if (!h)
		return;
	bool watched = h->handles > 0;
	if (watched) {
		uv_close((uv_handle_t *)&h->poll, on_closed);
		uv_close((uv_handle_t *)&h->timer, on_closed);
	}
	if (h->http)
		MHD_stop_daemon(h->http);
	sl_registry_front_stop(h->front);
	if (!watched)
		free(h);
}

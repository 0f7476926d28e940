/* curl's multi interface on the loop: each socket has a uv_poll, all times share one uv_timer.
 *
 *   start ──▶ fresh ──timer──▶ running ──curl says it is over──▶ done ──▶ freed
 *               │                 └──cancelled while curl is in a callback: dead ──▶ freed behind it
 *               └──cannot be made: done, with the reason
 *
 * curl forbids to add and remove calls from its callbacks, and nobody shall get `done` from within `start`: so calls are added by
 * the timer, and removed when curl has returned.
 */
#include "mgmt/web.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define HEAD_BYTES_MAX 65536
#define TOKEN_MAX 16384
#define BUNDLE_CACHE_S 3600

struct sl_web_call {
	struct sl_web *web;
	struct sl_web_call *next, *prev;
	CURL *easy; /* NULL: it could not be made; why says the reason */
	struct curl_slist *headers;
	bool running; /* added to curl */
	bool dead;    /* cancelled from within a callback of curl */
	bool too_long;
	bool interim; /* the head that comes is of a 1xx */
	char origin[300];
	char why[CURL_ERROR_SIZE]; /* our own reason to end it */
	char curl_said[CURL_ERROR_SIZE];
	char *body;
	size_t len, room, max_body, head_bytes;
	uint32_t silent_ms, connect_ms, total_ms;
	uint64_t heard; /* uv_now of the last byte */
	int (*data)(void *ctx, const char *bytes, size_t len);
	void (*header)(void *ctx, const char *name, const char *value);
	void (*done)(void *ctx, int status, const char *error, const char *body, size_t len);
	void *ctx;
};

struct sl_web {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t *timer;          /* freed by its close callback; so is each socket's poll */
	struct sl_web_call *calls;  /* all */
	unsigned fresh, dead, deep; /* calls to be added, to be freed; callbacks that we are in */
	bool in_curl, doomed;
	/* shared ones */
	struct sl_web *next;
	unsigned users;
};

struct sock {
	uv_poll_t poll;
	struct sl_web *web;
	curl_socket_t fd;
};

static void drive(struct sl_web *w, curl_socket_t fd, int events);
static void destroy_now(struct sl_web *w);

/* ---- calls: list, end ---- */

static void
call_free(struct sl_web_call *c)
{
	struct sl_web *w = c->web;

	if (c->running)
		curl_multi_remove_handle(w->multi, c->easy);
	else
		w->fresh--;
	if (c->dead)
		w->dead--;
	if (c->prev)
		c->prev->next = c->next;
	else
		w->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	free(c->body);
	free(c);
}

/* The words for what curl found. */
static void
explain(struct sl_web_call *c, CURLcode code, char *out, size_t size)
{
	long os = 0, status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os);
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		snprintf(out, size, "cannot connect: %s", os ? strerror((int)os) : c->curl_said);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(out, size, "its name has no address");
		break;
	case CURLE_OPERATION_TIMEDOUT: {
		curl_off_t connected = 0;
		curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
		if (connected == 0)
			snprintf(out, size, "no connection within %u ms",
				 c->total_ms ? SL_MIN(c->connect_ms, c->total_ms) : c->connect_ms);
		else
			snprintf(out, size, "no whole answer within %u ms", c->total_ms);
		break;
	}
	case CURLE_GOT_NOTHING:
		snprintf(out, size, "it closed the connection without an answer");
		break;
	case CURLE_PARTIAL_FILE:
		snprintf(out, size, "its answer ends too early");
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		snprintf(out, size, "it does not speak HTTP");
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(out, size, "the file of `ca` cannot be used: is it PEM, may it be read?");
		break;
	case CURLE_SSL_CERTPROBLEM:
		snprintf(out, size, "the files of `certificate` and `key` cannot be used: %s",
			 c->curl_said);
		break;
	default:
		snprintf(out, size, "%s",
			 c->curl_said[0] ? c->curl_said : curl_easy_strerror(code));
	}
}

/* Ends c: why wins over curl's own reason. */
static void
finish(struct sl_web_call *c, CURLcode code)
{
	char said[CURL_ERROR_SIZE + 128], error[sizeof(c->origin) + sizeof(said) + 4];
	long status = 0;

	if (c->why[0])
		snprintf(said, sizeof(said), "%s", c->why);
	else if (code != CURLE_OK)
		explain(c, code, said, sizeof(said));
	else
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	bool bad = c->why[0] || code != CURLE_OK;
	snprintf(error, sizeof(error), "%s: %s", c->origin, bad ? said : "");
	if (c->too_long)
		status = SL_WEB_TOO_LONG;
	void (*done)(void *, int, const char *, const char *, size_t) = c->done;
	void *ctx = c->ctx;
	char *body = c->body;
	size_t len = bad ? 0 : c->len;
	c->body = NULL;
	call_free(c);
	done(ctx, (int)status, bad ? error : NULL, len ? body : "", len);
	free(body);
}

/* ---- what curl tells ---- */

static bool
put(struct sl_web_call *c, const char *bytes, size_t len)
{
	if (c->len + len > c->max_body) {
		c->too_long = true;
		snprintf(c->why, sizeof(c->why), "its answer is longer than %zu bytes",
			 c->max_body);
		return false;
	}
	if (c->len + len + 1 > c->room) {
		size_t room = SL_MAX(2 * c->room, c->len + len + 1);
		char *body = realloc(c->body, room);
		if (!body) {
			snprintf(c->why, sizeof(c->why), "out of memory");
			return false;
		}
		c->body = body;
		c->room = room;
	}
	memcpy(c->body + c->len, bytes, len);
	c->len += len;
	c->body[c->len] = 0;
	return true;
}

static size_t
on_body(char *bytes, size_t one, size_t cnt, void *ctx)
{
	struct sl_web_call *c = ctx;
	size_t len = one * cnt;

	if (c->dead)
		return 0;
	c->heard = uv_now(c->web->loop);
	if (!c->data)
		return put(c, bytes, len) ? len : 0;
	c->len += len;
	if (c->max_body && c->len > c->max_body) {
		c->too_long = true;
		snprintf(c->why, sizeof(c->why), "its answer is longer than %zu bytes",
			 c->max_body);
		return 0;
	}
	if (c->data(c->ctx, bytes, len) && !c->dead)
		snprintf(c->why, sizeof(c->why), "stopped");
	return c->dead || c->why[0] ? 0 : len;
}

/* "Name: value\r\n" → name in lower case, value without blanks around it. */
static void
tell_header(struct sl_web_call *c, const char *line, size_t len)
{
	char *copy = strndup(line, len), *colon = copy ? strchr(copy, ':') : NULL;

	if (colon) {
		char *value = colon + 1, *end = copy + strlen(copy);
		*colon = 0;
		for (char *p = copy; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		while (*value == ' ' || *value == '\t')
			value++;
		while (end > value && strchr(" \t\r\n", end[-1]))
			*--end = 0;
		c->header(c->ctx, copy, value);
	}
	free(copy);
}

static size_t
on_header(char *line, size_t one, size_t cnt, void *ctx)
{
	struct sl_web_call *c = ctx;
	size_t len = one * cnt;

	if (c->dead)
		return 0;
	c->heard = uv_now(c->web->loop);
	c->head_bytes += len;
	if (c->head_bytes > HEAD_BYTES_MAX) {
		snprintf(c->why, sizeof(c->why), "its headers are longer than %d bytes",
			 HEAD_BYTES_MAX);
		return 0;
	}
	if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
		const char *space = memchr(line, ' ', len);
		c->interim = space && space + 1 < line + len && space[1] == '1';
	} else if (c->header && !c->interim) {
		tell_header(c, line, len);
	}
	return c->dead ? 0 : len;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = poll->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	drive(s->web, s->fd, flags);
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock_ctx)
{
	struct sl_web *w = ctx;
	struct sock *s = sock_ctx;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			uv_poll_stop(&s->poll);
			uv_close((uv_handle_t *)&s->poll, on_freed); /* poll is first in s */
		}
		curl_multi_assign(w->multi, fd, NULL);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || uv_poll_init(w->loop, &s->poll, fd)) {
			free(s);
			return -1; /* every call ends with an error; the timer tells them */
		}
		s->poll.data = s;
		s->web = w;
		s->fd = fd;
		curl_multi_assign(w->multi, fd, s);
	}
	int events =
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&s->poll, events, on_poll) ? -1 : 0;
}

/* ---- the turn ---- */

static void on_timer(uv_timer_t *t);

/* The timer goes off when curl, a silent stream or a fresh call wants it. */
static void
arm(struct sl_web *w)
{
	long curl_ms = -1;
	uint64_t now, due = UINT64_MAX;

	uv_update_time(w->loop);
	now = uv_now(w->loop);
	curl_multi_timeout(w->multi, &curl_ms);
	if (curl_ms >= 0)
		due = curl_ms ? (uint64_t)curl_ms + 1 : 0; /* uv's time is behind by up to 1 ms */
	for (const struct sl_web_call *c = w->calls; c; c = c->next)
		if (c->silent_ms && c->running) {
			uint64_t end = c->heard + c->silent_ms;
			due = SL_MIN(due, end > now ? end - now : 0);
		}
	if (w->fresh || w->dead)
		due = 0;
	if (due == UINT64_MAX)
		uv_timer_stop(w->timer);
	else
		uv_timer_start(w->timer, on_timer, due, 0);
}

static struct sl_web_call *
find_ended(struct sl_web *w, uint64_t now)
{
	for (struct sl_web_call *c = w->calls; c; c = c->next)
		if (c->dead || !c->easy ||
		    (c->running && c->silent_ms && now - c->heard >= c->silent_ms))
			return c;
	return NULL;
}

/* Ends what is over.  Anybody may be started or cancelled by `done`, so the search begins anew each time. */
static void
reap(struct sl_web *w, bool all)
{
	struct sl_web_call *c;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(w->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		if (c->dead)
			call_free(c);
		else
			finish(c, code);
	}
	while ((all || w->dead) && (c = find_ended(w, uv_now(w->loop)))) {
		if (c->dead) {
			call_free(c);
			continue;
		}
		if (c->easy)
			snprintf(c->why, sizeof(c->why), "nothing was heard for %u ms",
				 c->silent_ms);
		finish(c, CURLE_OK);
	}
}

static void
add_fresh(struct sl_web *w)
{
	for (struct sl_web_call *c = w->calls; c && w->fresh; c = c->next) {
		if (c->running || !c->easy)
			continue;
		CURLMcode rc = curl_multi_add_handle(w->multi, c->easy);
		if (rc != CURLM_OK) {
			snprintf(c->why, sizeof(c->why), "%s", curl_multi_strerror(rc));
			curl_easy_cleanup(c->easy);
			c->easy = NULL;
			continue;
		}
		c->heard = uv_now(w->loop);
		c->running = true;
		w->fresh--;
	}
}

static void
drive(struct sl_web *w, curl_socket_t fd, int events)
{
	int running;

	w->deep++;
	w->in_curl = true;
	curl_multi_socket_action(w->multi, fd, events, &running);
	w->in_curl = false;
	reap(w, fd == CURL_SOCKET_TIMEOUT);
	w->deep--;
	if (w->doomed && w->deep == 0)
		destroy_now(w);
	else if (!w->doomed)
		arm(w);
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_web *w = t->data;

	add_fresh(w);
	drive(w, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- making a call ---- */

static bool
one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* "http://192.0.2.1:2379" of a whole URL; false: not one of ours. */
static bool
split_origin(const char *url, char *out, size_t size)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	bool ok = u && one_line(url) && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	if (ok)
		ok = (size_t)snprintf(out, size, "%s://%s:%s", scheme, host, port) < size;
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(u);
	return ok;
}

static bool
add_header(struct sl_web_call *c, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 3;
	char *line = malloc(size);

	if (!line)
		return false;
	/* curl takes "Name:" as a wish to leave the header out */
	snprintf(line, size, *value ? "%s: %s" : "%s;", name, value);
	struct curl_slist *l = curl_slist_append(c->headers, line);
	free(line);
	if (l)
		c->headers = l;
	return l != NULL;
}

static bool
leave_out(struct sl_web_call *c, const char *header)
{
	struct curl_slist *l = curl_slist_append(c->headers, header);

	if (l)
		c->headers = l;
	return l != NULL;
}

/* The file's first line, as a bearer token or in a header of its own; false: why says what is wrong. */
static bool
add_token(struct sl_web_call *c, const char *file, const char *header)
{
	char token[TOKEN_MAX + 8] = "Bearer ";
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, token + 7, TOKEN_MAX);
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (n >= 0) {
		token[7 + n] = 0;
		token[7 + strcspn(token + 7, "\r\n")] = 0;
	}
	if (n < 0)
		snprintf(c->why, sizeof(c->why), "the token file %.200s cannot be read: %s", file,
			 strerror(err));
	else if (!token[7] || n == TOKEN_MAX || !one_line(token))
		snprintf(c->why, sizeof(c->why),
			 "the first line of the token file %.200s is no token", file);
	bool ok = !c->why[0] &&
		  add_header(c, header ? header : "Authorization", header ? token + 7 : token);
	explicit_bzero(token, sizeof(token));
	return ok;
}

static bool
add_headers(struct sl_web_call *c, const struct sl_web_request *r)
{
	bool typed = false;

	for (unsigned i = 0; i < r->header_cnt; i++) {
		typed |= strcasecmp(r->headers[i].name, "content-type") == 0;
		if (!add_header(c, r->headers[i].name, r->headers[i].value))
			return false;
	}
	if (!typed && !(r->body_len ? add_header(c, "Content-Type", "application/json")
				    : leave_out(c, "Content-Type:")))
		return false;
	if (!leave_out(c, "Expect:"))
		return false;
	return !r->bearer_file || !*r->bearer_file || add_token(c, r->bearer_file, r->token_header);
}

static const char *
given(const char *path)
{
	return path && *path ? path : NULL;
}

static bool
set_tls(CURL *e, const struct sl_web_request *r)
{
	bool ok =
		curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;

	if (given(r->ca)) /* this one and no other; read for each connection, since it may be replaced */
		ok = ok && curl_easy_setopt(e, CURLOPT_CAINFO, r->ca) == CURLE_OK &&
		     curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK;
	curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, given(r->ca) ? 0L : (long)BUNDLE_CACHE_S);
	if (given(r->certificate))
		ok = ok && curl_easy_setopt(e, CURLOPT_SSLCERT, r->certificate) == CURLE_OK &&
		     curl_easy_setopt(e, CURLOPT_SSLKEY, given(r->key)) == CURLE_OK;
	return ok;
}

static bool
set_method(CURL *e, const struct sl_web_request *r)
{
	bool bare = r->body_len == 0 && !r->body;

	if (bare && strcmp(r->method, "GET") == 0)
		return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	if (bare && strcmp(r->method, "HEAD") == 0)
		return curl_easy_setopt(e, CURLOPT_NOBODY, 1L) == CURLE_OK;
	return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len) ==
		       CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body_len ? r->body : "") ==
		       CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK;
}

static bool
set_easy(struct sl_web_call *c, const struct sl_web_request *r)
{
	CURL *e = c->easy;
	bool ok = set_method(e, r) && set_tls(e, r) &&
		  curl_easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK &&
		  curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
		  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
		  curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK;

	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* a call that ends while its name is being resolved does not wait for that thread */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)c->total_ms);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->curl_said);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	return ok;
}

static bool
request_ok(const struct sl_web_request *r, char *ret_origin, size_t size)
{
	if (!r->method || !r->url || !r->done || !split_origin(r->url, ret_origin, size))
		return false;
	for (unsigned i = 0; i < r->header_cnt; i++)
		if (!one_line(r->headers[i].name) || !one_line(r->headers[i].value))
			return false;
	return one_line(r->method) && (!r->token_header || one_line(r->token_header));
}

int
sl_web_start(struct sl_web *w, const struct sl_web_request *r, struct sl_web_call **ret_call)
{
	struct sl_web_call *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (!request_ok(r, c->origin, sizeof(c->origin))) {
		free(c);
		return -EINVAL;
	}
	c->web = w;
	c->connect_ms = r->connect_ms ? r->connect_ms : CONNECT_MS;
	c->total_ms = r->total_ms;
	c->silent_ms = r->silent_ms;
	c->max_body = r->max_body;
	c->data = r->data;
	c->header = r->header;
	c->done = r->done;
	c->ctx = r->ctx;
	c->easy = curl_easy_init();
	bool ok = c->easy && add_headers(c, r) && set_easy(c, r);
	if (!ok) {
		curl_easy_cleanup(c->easy);
		c->easy = NULL;
		if (!c->why[0]) {
			curl_slist_free_all(c->headers);
			free(c);
			return -ENOMEM;
		}
	}
	c->next = w->calls;
	if (c->next)
		c->next->prev = c;
	w->calls = c;
	w->fresh++;
	uv_timer_start(w->timer, on_timer, 0, 0);
	*ret_call = c;
	return 0;
}

void
sl_web_cancel(struct sl_web_call *c)
{
	struct sl_web *w;

	if (!c)
		return;
	w = c->web;
	if (!w->in_curl || !c->running) {
		call_free(c);
		return;
	}
	if (!c->dead)
		w->dead++;
	c->dead = true;
}

/* ---- life ---- */

int
sl_web_create(uv_loop_t *loop, struct sl_web **ret_web)
{
	static bool global;

	if (!global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	global = true;
	struct sl_web *w = calloc(1, sizeof(*w));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	CURLM *multi = curl_multi_init();
	if (!w || !timer || !multi) {
		curl_multi_cleanup(multi);
		free(timer);
		free(w);
		return -ENOMEM;
	}
	w->loop = loop;
	w->multi = multi;
	w->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = w;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, w);
	*ret_web = w;
	return 0;
}

static void
destroy_now(struct sl_web *w)
{
	while (w->calls)
		call_free(w->calls);
	curl_multi_cleanup(w->multi);
	uv_timer_stop(w->timer);
	uv_close((uv_handle_t *)w->timer, on_freed);
	free(w);
}

void
sl_web_destroy(struct sl_web *w)
{
	if (!w)
		return;
	for (struct sl_web_call *c = w->calls, *next; c && w->deep; c = next) {
		next = c->next;
		sl_web_cancel(c);
	}
	if (w->deep)
		w->doomed = true;
	else
		destroy_now(w);
}

static struct sl_web *shared;

struct sl_web *
sl_web_get(uv_loop_t *loop)
{
	struct sl_web *w = shared;

	while (w && w->loop != loop)
		w = w->next;
	if (!w) {
		if (sl_web_create(loop, &w))
			return NULL;
		w->next = shared;
		shared = w;
	}
	w->users++;
	return w;
}

void
sl_web_put(struct sl_web *w)
{
	struct sl_web **at = &shared;

	if (!w || --w->users > 0)
		return;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	sl_web_destroy(w);
}

/* libmicrohttpd without a thread: its epoll descriptor is watched by a uv_poll, its next timeout by
 * a uv_timer; either one lets it run once.  Answers are made in full as requests come. */
#include "mgmt/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 8
#define IDLE_S 10
#define REQUEST_BYTES 16384

struct sl_metrics {
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned closing;
	struct MHD_Daemon *http;
	sl_metrics_fn fn;
	void *ctx;
	uint16_t port;
	char *path; /* of the Unix socket, or NULL */
};

static int listen_at(const char *where, struct sl_diag *diag, uint16_t *ret_port, char **ret_path);
static int serve(struct sl_metrics *m, int sock);

static void on_ready(uv_poll_t *poll, int status, int events);
static void on_time(uv_timer_t *timer);
static void on_closed(uv_handle_t *h);

int
sl_metrics_start(uv_loop_t *loop, const char *where, sl_metrics_fn fn, void *ctx,
		 struct sl_diag *diag, struct sl_metrics **ret_m)
{
	struct sl_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->fn = fn;
	m->ctx = ctx;
	int sock = listen_at(where, diag, &m->port, &m->path);
	int rc = sock < 0 ? sock : serve(m, sock);
	if (rc) {
		if (sock >= 0)
			sl_diag_add(diag, NULL, 0, "metrics", NULL,
				    "cannot serve metrics at %s: %s", where, strerror(-rc));
		if (m->path)
			unlink(m->path);
		free(m->path);
		free(m);
		return rc;
	}
	*ret_m = m;
	return 0;
}

uint16_t
sl_metrics_port(const struct sl_metrics *m)
{
	return m->port;
}

void
sl_metrics_stop(struct sl_metrics *m)
{
	if (!m)
		return;
	m->closing = 2;
	uv_close((uv_handle_t *)&m->poll, on_closed);
	uv_close((uv_handle_t *)&m->timer, on_closed);
	MHD_stop_daemon(m->http);
	if (m->path)
		unlink(m->path);
}

static void
on_closed(uv_handle_t *h)
{
	struct sl_metrics *m = h->data;

	if (--m->closing)
		return;
	free(m->path);
	free(m);
}

/* ---- requests ---- */

static enum MHD_Result
reply(struct MHD_Connection *c, unsigned status, const char *type, char *text, size_t len,
      enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);

	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result ok = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
say(struct MHD_Connection *c, unsigned status, const char *text)
{
	return reply(c, status, "text/plain; charset=utf-8", (char *)(uintptr_t)text, strlen(text),
		     MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result
answer_metrics(struct sl_metrics *m, struct MHD_Connection *c)
{
	struct sl_metrics_snapshot s = {0};
	char *text;
	size_t len;

	if (m->fn(m->ctx, &s) || sl_metrics_render(&s, &text, &len))
		return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "no figures can be given now\n");
	return reply(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, len,
		     MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result
answer_health(struct sl_metrics *m, struct MHD_Connection *c)
{
	struct sl_metrics_snapshot s = {0};

	if (m->fn(m->ctx, &s) || !s.connected)
		return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "no dataplane is connected\n");
	return say(c, MHD_HTTP_OK, "ok\n");
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
	   const char *version, const char *body, size_t *body_len, void **request)
{
	struct sl_metrics *m = ctx;
	bool metrics = !strcmp(url, "/metrics");

	(void)version;
	(void)body;
	(void)body_len;
	(void)request;
	if (!metrics && strcmp(url, "/healthz"))
		return say(c, MHD_HTTP_NOT_FOUND, "only /metrics and /healthz are here\n");
	/* the library keeps the body of an answer to HEAD back */
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
	return metrics ? answer_metrics(m, c) : answer_health(m, c);
}

/* ---- between the two loops ---- */

static void
run(struct sl_metrics *m)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(m->http);
	if (MHD_get_timeout(m->http, &ms) == MHD_YES)
		uv_timer_start(&m->timer, on_time, ms, 0);
	else
		uv_timer_stop(&m->timer);
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void
on_time(uv_timer_t *timer)
{
	run(timer->data);
}

/* Owns sock from here on. */
static int
serve(struct sl_metrics *m, int sock)
{
	m->http = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, m, MHD_OPTION_LISTEN_SOCKET, sock,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_END);
	if (!m->http) {
		close(sock);
		return -ENOMEM;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(m->http, MHD_DAEMON_INFO_EPOLL_FD);
	int rc = info ? uv_poll_init(m->loop, &m->poll, info->epoll_fd) : -ENOTSUP;
	if (rc) {
		MHD_stop_daemon(m->http);
		return rc;
	}
	uv_timer_init(m->loop, &m->timer);
	m->poll.data = m->timer.data = m;
	uv_poll_start(&m->poll, UV_READABLE, on_ready);
	return 0;
}

/* ---- where to listen ---- */

static int
fail(struct sl_diag *diag, const char *where, int err, const char *hint, const char *why)
{
	sl_diag_add(diag, NULL, 0, "metrics", hint, "cannot listen at \"%s\": %s", where,
		    why ? why : strerror(err));
	return -err;
}

static int
open_listener(const struct sockaddr *sa, socklen_t len, mode_t mode)
{
	const char *path =
		sa->sa_family == AF_UNIX ? ((const struct sockaddr_un *)sa)->sun_path : NULL;
	int one = 1, sock = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* The mode is set before anyone can connect. */
	if (bind(sock, sa, len) || (path && chmod(path, mode)) || listen(sock, 16)) {
		int err = errno;
		close(sock);
		return -err;
	}
	return sock;
}

/* A socket file that refuses connections was left behind by a process that died. */
static bool
is_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int sock;

	if (lstat(un->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return false;
	bool stale =
		connect(sock, (const struct sockaddr *)un, sizeof(*un)) && errno == ECONNREFUSED;
	close(sock);
	return stale;
}

static int
listen_unix(const char *where, const char *path, struct sl_diag *diag, char **ret_path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(un.sun_path))
		return fail(diag, where, EINVAL, "unix:/run/sluice/metrics.sock",
			    "the path must be absolute and shorter than 108 bytes");
	memcpy(un.sun_path, path, strlen(path) + 1);
	int sock = open_listener((struct sockaddr *)&un, sizeof(un), 0660);
	if (sock == -EADDRINUSE && is_stale(&un) && !unlink(path))
		sock = open_listener((struct sockaddr *)&un, sizeof(un), 0660);
	if (sock == -EADDRINUSE)
		return fail(diag, where, EADDRINUSE, "stop the other process, or remove the file",
			    "the path is in use");
	if (sock < 0)
		return fail(diag, where, -sock, NULL, NULL);
	*ret_path = strdup(path);
	if (!*ret_path) {
		close(sock);
		unlink(path);
		return -ENOMEM;
	}
	return sock;
}

/* "127.0.0.1:9900" or "[::1]:9900" */
static int
parse_where(const char *where, struct sl_addr *ret_addr, uint16_t *ret_port)
{
	char host[SL_ADDR_STRLEN + 2];
	const char *colon = strrchr(where, ':');

	if (!colon || colon == where || (size_t)(colon - where) >= sizeof(host) || !colon[1] ||
	    strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	unsigned long port = strtoul(colon + 1, NULL, 10);
	size_t n = (size_t)(colon - where);
	bool bracket = where[0] == '[' && where[n - 1] == ']';
	memcpy(host, where + bracket, n - 2u * bracket);
	host[n - 2u * bracket] = 0;
	if (port > 65535 || sl_addr_parse(host, ret_addr) || bracket == sl_addr_is_v4(ret_addr))
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

static bool
is_loopback(const struct sl_addr *a)
{
	static const struct sl_addr v6 = {.b = {[15] = 1}};

	return sl_addr_is_v4(a) ? a->b[12] == 127 : sl_addr_eq(a, &v6);
}

static int
listen_tcp(const char *where, struct sl_diag *diag, uint16_t *ret_port)
{
	struct sl_addr addr;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u = {0};
	uint16_t port;
	socklen_t len = sizeof(u);

	if (parse_where(where, &addr, &port))
		return fail(diag, where, EINVAL, "127.0.0.1:9900, [::1]:9900 or unix:/path",
			    "not an address with a port, nor a Unix socket");
	if (!is_loopback(&addr))
		return fail(diag, where, EINVAL, "127.0.0.1:9900, [::1]:9900 or unix:/path",
			    "metrics are only served on loopback or a Unix socket");
	if (sl_addr_is_v4(&addr)) {
		u.in.sin_family = AF_INET;
		u.in.sin_port = htons(port);
		memcpy(&u.in.sin_addr, addr.b + 12, 4);
	} else {
		u.in6.sin6_family = AF_INET6;
		u.in6.sin6_port = htons(port);
		memcpy(&u.in6.sin6_addr, addr.b, 16);
	}
	int sock =
		open_listener(&u.sa, u.sa.sa_family == AF_INET ? sizeof(u.in) : sizeof(u.in6), 0);
	if (sock < 0)
		return fail(diag, where, -sock,
			    sock == -EADDRINUSE ? "another process has the port: choose another"
						: NULL,
			    NULL);
	getsockname(sock, &u.sa, &len);
	*ret_port = ntohs(u.sa.sa_family == AF_INET ? u.in.sin_port : u.in6.sin6_port);
	return sock;
}

static int
listen_at(const char *where, struct sl_diag *diag, uint16_t *ret_port, char **ret_path)
{
	if (!strncmp(where, "unix:", 5))
		return listen_unix(where, where + 5, diag, ret_path);
	return listen_tcp(where, diag, ret_port);
}

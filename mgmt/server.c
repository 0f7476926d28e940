/* A client is in one of four states:
 *
 *   READ ── frame whole ──▶ WORK ── answer ──▶ WRITE ── written ──▶ READ, or closed after an error of framing
 *
 * A read never asks for more than the frame needs, so that nothing of the next request has to be carried over. */
#include "mgmt/server.h"

#include "mgmt/wipe.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_ROOM 4096
#define SWEEP_MS 100

const struct sl_server_limits sl_server_limits_default = {
	.clients = SL_API_CLIENTS,
	.request_ms = 10000,
	.answer_ms = 10000,
	.idle_ms = 60000,
	.budget = 256u << 20,
};

enum phase { READ, WORK, WRITE, GONE };

struct sl_call {
	struct sl_server *server; /* NULL: the server was destroyed */
	struct sl_call *next, **link;
	uv_pipe_t pipe;
	uv_write_t write;
	struct sl_peer peer;
	enum phase phase;
	bool closed;       /* the handle's close callback came */
	bool working;      /* the handler owes an answer */
	bool last;         /* close after this answer */
	uint64_t deadline; /* of READ and WRITE */
	uint8_t *buf;      /* request: head and body */
	size_t have, need, room;
	json_t *body;
	char *text; /* answer */
	struct sl_api_head head;
};

struct sl_server {
	uv_loop_t *loop;
	uv_pipe_t *listener;
	uv_timer_t *timer;
	const struct sl_roles *roles;
	struct sl_server_limits lim;
	sl_server_fn *fn;
	void *ctx;
	struct sl_call *clients;
	unsigned client_cnt;
	size_t held; /* bytes of request buffers */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void start_reading(struct sl_call *c);

static void
release_buf(struct sl_call *c)
{
	if (c->server)
		c->server->held -= c->room;
	sl_wipe_free(c->buf); /* there may have been a key in it */
	c->buf = NULL;
	c->have = c->room = 0;
	c->need = sizeof(struct sl_api_head);
}

static void
free_if_done(struct sl_call *c)
{
	if (!c->closed || c->working)
		return;
	json_decref(c->body);
	free(c->text);
	sl_wipe_free(c->buf);
	free(c);
}

static void
on_closed(uv_handle_t *h)
{
	struct sl_call *c = h->data;
	c->closed = true;
	free_if_done(c);
}

static void
drop(struct sl_call *c)
{
	if (c->phase == GONE)
		return;
	c->phase = GONE;
	release_buf(c);
	if (c->server)
		c->server->client_cnt--;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* ---- answers ---- */

json_t *
sl_call_error(const char *verb, const char *code, const char *hint, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_t *t = json_string(text); /* NULL when a peer's bytes are not UTF-8 */
	return json_pack("{s:b, s:s?, s:{s:s, s:o, s:s?}}", "ok", 0, "verb", verb, "error", "code",
			 code, "text", t ? t : json_string("not printable"), "hint", hint);
}

static void
on_written(uv_write_t *w, int status)
{
	struct sl_call *c = w->data;

	free(c->text);
	c->text = NULL;
	if (c->phase == GONE)
		return;
	if (status < 0 || c->last)
		drop(c);
	else
		start_reading(c);
}

static void
send_answer(struct sl_call *c, json_t *answer)
{
	static const char oom[] = "{\"ok\":false,\"verb\":null,\"error\":{\"code\":\"internal\","
				  "\"text\":\"out of memory\",\"hint\":null}}";

	c->text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	if (c->text && strlen(c->text) > SL_API_MAX) {
		free(c->text);
		json_t *big = sl_call_error(NULL, "internal", "ask for less", "answer too large");
		c->text = big ? json_dumps(big, JSON_COMPACT) : NULL;
		json_decref(big);
	}
	if (!c->text)
		c->text = strdup(oom);
	json_decref(answer);
	json_decref(c->body);
	c->body = NULL;
	release_buf(c);
	c->phase = WRITE;
	c->deadline = uv_now(c->server->loop) + c->server->lim.answer_ms;
	if (!c->text) {
		drop(c);
		return;
	}
	c->head = (struct sl_api_head){SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)strlen(c->text)};
	uv_buf_t bufs[2] = {uv_buf_init((char *)&c->head, sizeof(c->head)),
			    uv_buf_init(c->text, c->head.len)};
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, bufs, 2, on_written))
		drop(c);
}

void
sl_call_answer(struct sl_call *c, json_t *answer)
{
	c->working = false;
	if (c->phase == WORK) {
		send_answer(c, answer);
		return;
	}
	json_decref(answer);
	free_if_done(c);
}

/* POLLHUP: the peer closed its end, or shut down both directions; one that has only said all it had to say is heard. */
bool
sl_call_gone(const struct sl_call *c)
{
	struct pollfd p = {0};
	uv_os_fd_t fd;

	if (c->phase != WORK || uv_fileno((const uv_handle_t *)&c->pipe, &fd))
		return true;
	p.fd = fd;
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* One answer, then the end: what comes after a broken frame cannot be trusted to be a frame. */
static void
refuse(struct sl_call *c, json_t *answer)
{
	uv_read_stop((uv_stream_t *)&c->pipe);
	c->last = true;
	send_answer(c, answer);
}

/* ---- requests ---- */

static void
take_body(struct sl_call *c)
{
	json_error_t err;
	const char *text = (const char *)c->buf + sizeof(struct sl_api_head);

	uv_read_stop((uv_stream_t *)&c->pipe);
	c->body = json_loadb(text, c->need - sizeof(struct sl_api_head), JSON_REJECT_DUPLICATES,
			     &err);
	if (!c->body) {
		char *near =
			strstr(err.text, " near "); /* words of the request: they may be a key's */
		if (near)
			*near = 0;
		refuse(c, sl_call_error(NULL, "malformed", NULL, "not JSON: %s at byte %d",
					err.text, err.position));
		return;
	}
	if (!json_is_object(c->body)) {
		refuse(c, sl_call_error(NULL, "malformed", NULL, "not a JSON object"));
		return;
	}
	release_buf(c);
	c->phase = WORK;
	c->working = true;
	c->server->fn(c->server->ctx, c, &c->peer, c->body);
}

static void
take_head(struct sl_call *c)
{
	struct sl_api_head h;

	memcpy(&h, c->buf, sizeof(h));
	if (c->peer.role == SL_ROLE_NONE)
		refuse(c, sl_call_error(NULL, "denied",
					"an administrator lists users and groups under roles in "
					"sluiced.conf",
					"user %s (uid %u) has no role here", c->peer.user,
					(unsigned)c->peer.uid));
	else if (h.magic != SL_API_MAGIC)
		refuse(c, sl_call_error(NULL, "malformed", NULL, "not a sluice request (magic)"));
	else if (h.version != SL_API_VERSION)
		refuse(c, sl_call_error(NULL, "malformed", "install the same release of both",
					"protocol version %u, this daemon speaks %u", h.version,
					SL_API_VERSION));
	else if (h.zero != 0)
		refuse(c, sl_call_error(NULL, "malformed", NULL, "field that must be 0 is not"));
	else if (h.len < 2 || h.len > SL_API_MAX)
		refuse(c, sl_call_error(NULL, "malformed", NULL,
					"length %u, allowed are 2 to %u bytes", h.len, SL_API_MAX));
	else
		c->need = sizeof(h) + h.len;
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct sl_call *c = h->data;
	(void)suggested;

	*buf = uv_buf_init(NULL, 0);
	if (c->have == c->room) {
		size_t room = c->room ? SL_MIN(c->room * 2, c->need) : FIRST_ROOM;
		if (c->server->held + room - c->room > c->server->lim.budget)
			return;
		uint8_t *more = sl_wipe_realloc(c->buf, room);
		if (!more)
			return;
		c->server->held += room - c->room;
		c->buf = more;
		c->room = room;
	}
	*buf = uv_buf_init((char *)c->buf + c->have,
			   (unsigned)(SL_MIN(c->room, c->need) - c->have));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct sl_call *c = stream->data;
	(void)buf;

	if (n == UV_ENOBUFS) {
		refuse(c, sl_call_error(NULL, "busy", "try again in a moment",
					"too many large requests at once"));
		return;
	}
	if (n < 0) {
		drop(c);
		return;
	}
	if (c->have == 0 && n > 0)
		c->deadline = uv_now(c->server->loop) + c->server->lim.request_ms;
	c->have += (size_t)n;
	if (c->have == sizeof(struct sl_api_head) && c->need == c->have)
		take_head(c);
	if (c->phase == READ && c->have == c->need)
		take_body(c);
}

static void
start_reading(struct sl_call *c)
{
	c->phase = READ;
	c->need = sizeof(struct sl_api_head);
	c->deadline = uv_now(c->server->loop) + c->server->lim.idle_ms;
	if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read))
		drop(c);
}

/* ---- clients ---- */

static void
on_connection(uv_stream_t *listener, int status)
{
	struct sl_server *s = listener->data;
	struct sl_call *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
	uv_os_fd_t fd;

	if (!c)
		return;
	uv_pipe_init(s->loop, &c->pipe, 0);
	c->pipe.data = c;
	c->server = s;
	c->next = s->clients;
	c->link = &s->clients;
	if (c->next)
		c->next->link = &c->next;
	s->clients = c;
	s->client_cnt++;
	c->need = sizeof(struct sl_api_head);
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) ||
	    uv_fileno((uv_handle_t *)&c->pipe, &fd) || sl_roles_peer(s->roles, fd, &c->peer))
		drop(c);
	else if (s->client_cnt > s->lim.clients)
		refuse(c, sl_call_error(NULL, "busy", "try again in a moment",
					"%u clients are connected already", s->lim.clients));
	else
		start_reading(c);
}

static void
on_sweep(uv_timer_t *t)
{
	struct sl_server *s = t->data;
	uint64_t now = uv_now(s->loop);
	struct sl_call *next;

	for (struct sl_call *c = s->clients; c; c = next) {
		next = c->next;
		if ((c->phase != READ && c->phase != WRITE) || now < c->deadline)
			continue;
		if (c->phase == READ && c->have > 0)
			refuse(c, sl_call_error(NULL, "malformed", NULL,
						"request not complete after %u ms",
						s->lim.request_ms));
		else
			drop(c);
	}
}

/* ---- the socket ---- */

/* A socket file in the way: somebody listens (-EADDRINUSE), or it is a leftover and goes. */
static int
clear_path(const char *path, struct sl_diag *diag)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	struct stat st;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		sl_diag_add(diag, path, 0, "api_socket", "remove it, or set another path",
			    "there is a file that is no socket");
		return -EEXIST;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	int err = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ? errno : 0;
	if (!err)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	close(fd);
	if (err != 0 && err != EAGAIN)
		return unlink(path) ? -errno : 0;
	sl_diag_add(diag, path, 0, "api_socket", "stop it first, or set another path",
		    "another sluiced (pid %d) listens there", (int)cred.pid);
	return -EADDRINUSE;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

static int
listen_at(struct sl_server *s, struct sl_diag *diag)
{
	int err = clear_path(s->path, diag);
	if (err)
		return err;
	err = uv_pipe_bind(s->listener, s->path);
	if (!err && chmod(s->path, 0666)) /* who may do what is decided by credentials */
		err = -errno;
	if (!err)
		err = uv_listen((uv_stream_t *)s->listener, 64, on_connection);
	if (err)
		sl_diag_add(diag, s->path, 0, "api_socket",
			    "make its directory, or set another path", "cannot listen: %s",
			    uv_strerror(err));
	return err;
}

int
sl_server_create(uv_loop_t *loop, const char *path, const struct sl_roles *roles,
		 const struct sl_server_limits *limits, sl_server_fn *fn, void *ctx,
		 struct sl_diag *diag, struct sl_server **ret_server)
{
	struct sl_server *s = calloc(1, sizeof(*s));
	uv_pipe_t *listener = calloc(1, sizeof(*listener));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!s || !listener || !timer || strlen(path) >= sizeof(s->path)) {
		free(s);
		free(listener);
		free(timer);
		return -ENOMEM;
	}
	strcpy(s->path, path);
	s->loop = loop;
	s->roles = roles;
	s->lim = *limits;
	s->fn = fn;
	s->ctx = ctx;
	s->listener = listener;
	s->timer = timer;
	uv_pipe_init(loop, listener, 0);
	listener->data = s;
	uv_timer_init(loop, timer);
	timer->data = s;
	uv_timer_start(timer, on_sweep, SWEEP_MS, SWEEP_MS);
	int err = listen_at(s, diag);
	if (err) {
		s->path[0] = 0; /* not ours to remove */
		sl_server_destroy(s);
		return err;
	}
	*ret_server = s;
	return 0;
}

void
sl_server_destroy(struct sl_server *s)
{
	if (!s)
		return;
	while (s->clients) {
		struct sl_call *c = s->clients;
		drop(c);
		c->server = NULL;
	}
	uv_timer_stop(s->timer);
	uv_close((uv_handle_t *)s->timer, on_freed);
	uv_close((uv_handle_t *)s->listener, on_freed);
	if (s->path[0])
		unlink(s->path);
	free(s);
}

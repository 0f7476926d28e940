/* server — tiny endpoints for probes, in the test's own loop and process.
 *
 *   struct server s; server_start(&s, loop, family, &behaviour); … server_stop(&s) … run the loop once
 */
#ifndef SL_TESTS_MGMT_SERVER_H
#define SL_TESTS_MGMT_SERVER_H

#include "sluice/addr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct server {
	uv_tcp_t listener;
	uv_loop_t *loop;
	uint16_t port;
	const char *answer; /* sent as soon as a request head is complete; NULL: never */
	size_t answer_len;
	bool close_at_once;  /* right after accept, with a reset */
	bool close_early;    /* after the answer was sent: always; this one: before the request */
	unsigned dribble_ms; /* > 0: one byte of the answer every so often */
	unsigned accepted;
	uint64_t accepted_ms; /* uv_now of the last one */
	char request[2048];   /* the last one's head */
};

struct server_conn {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	struct server *s;
	size_t sent;
	size_t got;
	unsigned closing;
	bool writing;
	char buf[2048];
};

static inline void
server_conn_closed(uv_handle_t *h)
{
	struct server_conn *c = h->data;
	if (--c->closing == 0)
		free(c);
}

static inline void
server_conn_close(struct server_conn *c)
{
	if (uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	c->closing = 2;
	uv_close((uv_handle_t *)&c->timer, server_conn_closed);
	uv_close((uv_handle_t *)&c->tcp, server_conn_closed);
}

static inline void
server_written(uv_write_t *w, int status)
{
	struct server_conn *c = w->data;
	c->writing = false;
	if (status || c->sent >= c->s->answer_len)
		server_conn_close(c);
}

static inline void
server_send(struct server_conn *c, size_t n)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)c->s->answer + c->sent, (unsigned)n);
	c->sent += n;
	c->write.data = c;
	c->writing = true;
	if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, server_written))
		server_conn_close(c);
}

static inline void
server_drip(uv_timer_t *t)
{
	struct server_conn *c = t->data;
	if (c->sent < c->s->answer_len && !c->writing)
		server_send(c, 1);
}

static inline void
server_request_done(struct server_conn *c)
{
	memcpy(c->s->request, c->buf, c->got + 1);
	if (!c->s->answer)
		return;
	if (c->s->dribble_ms)
		uv_timer_start(&c->timer, server_drip, 0, c->s->dribble_ms);
	else
		server_send(c, c->s->answer_len);
}

static inline void
server_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret)
{
	struct server_conn *c = h->data;
	(void)want;
	*ret = uv_buf_init(c->buf + c->got, (unsigned)(sizeof(c->buf) - 1 - c->got));
}

static inline void
server_read(uv_stream_t *st, ssize_t n, const uv_buf_t *b)
{
	struct server_conn *c = st->data;
	(void)b;
	if (n < 0) {
		server_conn_close(c);
		return;
	}
	c->got += (size_t)n;
	c->buf[c->got] = 0;
	if (strstr(c->buf, "\r\n\r\n"))
		server_request_done(c);
}

static inline void
server_accept(uv_stream_t *l, int status)
{
	struct server *s = l->data;
	struct server_conn *c = calloc(1, sizeof(*c));
	if (status || !c)
		abort();
	c->s = s;
	uv_tcp_init(s->loop, &c->tcp);
	uv_timer_init(s->loop, &c->timer);
	c->tcp.data = c->timer.data = c;
	s->accepted++;
	s->accepted_ms = uv_now(s->loop);
	if (uv_accept(l, (uv_stream_t *)&c->tcp) || s->close_at_once) {
		struct linger reset = {1, 0};
		int fd;
		if (!s->close_early && !uv_fileno((uv_handle_t *)&c->tcp, &fd))
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		server_conn_close(c);
		return;
	}
	uv_read_start((uv_stream_t *)&c->tcp, server_alloc, server_read);
}

/* The behaviour fields of *s are set by the caller (zeroed otherwise). */
static inline void
server_start(struct server *s, uv_loop_t *loop, int family)
{
	struct sockaddr_storage ss;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	int len = sizeof(ss);

	s->loop = loop;
	if (s->answer && !s->answer_len)
		s->answer_len = strlen(s->answer);
	uv_ip4_addr("127.0.0.1", 0, &in);
	uv_ip6_addr("::1", 0, &in6);
	if (uv_tcp_init(loop, &s->listener) ||
	    uv_tcp_bind(&s->listener,
			family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6, 0))
		abort();
	s->listener.data = s;
	if (uv_listen((uv_stream_t *)&s->listener, 4096, server_accept))
		abort();
	uv_tcp_getsockname(&s->listener, (struct sockaddr *)&ss, &len);
	s->port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
					  : ((struct sockaddr_in6 *)&ss)->sin6_port);
}

static inline void
server_stop(struct server *s)
{
	uv_close((uv_handle_t *)&s->listener, NULL);
}

/* A port that never answers a SYN: its accept queue is full and nobody accepts. */
struct black_hole {
	int listener;
	int filler[4];
	uint16_t port;
};

static inline void
black_hole_open(struct black_hole *h)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(h->listener, (struct sockaddr *)&in, len) || listen(h->listener, 0) ||
	    getsockname(h->listener, (struct sockaddr *)&in, &len))
		abort();
	h->port = ntohs(in.sin_port);
	for (unsigned i = 0; i < 4; i++) {
		h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(h->filler[i], (struct sockaddr *)&in, len);
	}
}

static inline void
black_hole_close(struct black_hole *h)
{
	for (unsigned i = 0; i < 4; i++)
		close(h->filler[i]);
	close(h->listener);
}

/* A port of loopback on which nothing listens. */
static inline uint16_t
refusing_port(int *ret_keep)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	*ret_keep = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, never listening */
	if (bind(*ret_keep, (struct sockaddr *)&in, len) ||
	    getsockname(*ret_keep, (struct sockaddr *)&in, &len))
		abort();
	return ntohs(in.sin_port);
}

#endif

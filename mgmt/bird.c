#include "mgmt/bird.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TICK_MS 50
#define GREETING_CODE 1

enum phase { OFF, GREETING, READY, ASKED };

struct sl_bird {
	uv_loop_t *loop;
	uv_timer_t *timer; /* closed by destroy, freed by its close callback; so is poll */
	uv_poll_t *poll;
	struct sl_bird_events ev;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	enum phase phase;
	int sock;
	bool absent;
	uint64_t deadline; /* OFF: not before; GREETING, ASKED: an answer must be there */
	char greeting[128];
	char trouble[256];
	struct sl_bird_reader reader;
	unsigned lines; /* of the answer, and what came unasked */
	size_t all_len;
	char all[SL_BIRD_ANSWER_MAX];
	sl_bird_fn *fn;
	void *ctx;
};

/* ---- the reader ---- */

static int
digits(const char *p)
{
	int code = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		code = code * 10 + (p[i] - '0');
	}
	return code;
}

static bool
parse_line(struct sl_bird_reader *r, struct sl_bird_line *ret)
{
	struct sl_bird_line l = {.code = r->code};
	const char *p = r->line;
	int code = r->have >= 4 ? digits(p) : -1;

	if (*p == '+') {
		l.unasked = true;
		l.text = p + 1;
	} else if (*p == ' ' && r->coded) {
		l.text = p + 1;
	} else if (code >= 0 && (p[4] == ' ' || p[4] == '-')) {
		l.code = r->code = (unsigned)code;
		l.last = p[4] == ' ';
		l.text = p + 5;
		r->coded = !l.last;
	} else {
		return false;
	}
	*ret = l;
	return true;
}

long
sl_bird_read(struct sl_bird_reader *r, const char *bytes, size_t n, struct sl_bird_line *ret_line)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c != '\n') {
			if (r->have == sizeof(r->line) - 1)
				return SL_BAD;
			r->line[r->have++] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
			continue;
		}
		r->line[r->have] = 0;
		bool ok = parse_line(r, ret_line);
		r->have = 0;
		return ok ? (long)i + 1 : SL_BAD;
	}
	return SL_PARTIAL;
}

/* ---- the connection ---- */

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

static void
close_socket(struct sl_bird *b)
{
	if (b->poll) {
		uv_poll_stop(b->poll);
		uv_close((uv_handle_t *)b->poll, on_closed);
		b->poll = NULL;
	}
	if (b->sock >= 0)
		close(b->sock);
	b->sock = -1;
}

/* Back to OFF.  Told once, until another reason comes. */
static void disconnect(struct sl_bird *b, uint64_t wait_ms, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void
disconnect(struct sl_bird *b, uint64_t wait_ms, const char *fmt, ...)
{
	bool was_up = b->phase >= READY, was_asked = b->phase == ASKED;
	char why[sizeof(b->trouble)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	bool news = strcmp(b->trouble, why) != 0;
	b->phase = OFF;
	b->deadline = uv_now(b->loop) + wait_ms;
	close_socket(b);
	snprintf(b->trouble, sizeof(b->trouble), "%s", why);
	if (was_up)
		b->ev.down(b->ev.ctx, why);
	else if (news)
		b->ev.trouble(b->ev.ctx, why);
	if (was_asked)
		b->fn(b->ctx, NULL);
}

static void
greeted(struct sl_bird *b, const struct sl_bird_line *l)
{
	if (l->code != GREETING_CODE) {
		disconnect(b, SL_BIRD_BACKOFF_MS, "%s: greets with %04u %.100s, not as BIRD does",
			   b->path, l->code, l->text);
		return;
	}
	b->phase = READY;
	b->trouble[0] = 0;
	snprintf(b->greeting, sizeof(b->greeting), "%s", l->text);
	b->ev.up(b->ev.ctx, b->greeting);
}

static void
take_line(struct sl_bird *b, const struct sl_bird_line *l)
{
	if (++b->lines > SL_BIRD_LINES_MAX) {
		disconnect(b, SL_BIRD_BACKOFF_MS, "%s: more than %d lines without an end", b->path,
			   SL_BIRD_LINES_MAX);
		return;
	}
	if (l->unasked)
		return;
	if (b->phase == GREETING) {
		if (l->last)
			greeted(b, l);
		return;
	}
	if (b->phase != ASKED) {
		disconnect(b, SL_BIRD_BACKOFF_MS, "%s: answers what was not asked: %04u %.100s",
			   b->path, l->code, l->text);
		return;
	}
	size_t room = sizeof(b->all) - b->all_len;
	int n = snprintf(b->all + b->all_len, room, "%04u %s\n", l->code, l->text);
	if (n > 0 && (size_t)n < room)
		b->all_len += (size_t)n;
	else
		b->all[b->all_len] = 0; /* whole lines alone */
	if (!l->last)
		return;
	struct sl_bird_answer a = {l->code, l->text, b->all};
	b->phase = READY;
	b->lines = 0;
	b->fn(b->ctx, &a);
}

static void
receive(struct sl_bird *b)
{
	struct sl_bird_line line;
	char buf[4096];
	int sock = b->sock;

	for (unsigned turn = 0; turn < 16 && b->sock == sock && sock >= 0; turn++) {
		ssize_t n = recv(sock, buf, sizeof(buf), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			disconnect(b, SL_BIRD_RETRY_MS, "%s: BIRD closed the connection%s%s",
				   b->path, n ? ": " : "", n ? strerror(errno) : "");
			return;
		}
		for (size_t at = 0; at < (size_t)n && b->phase != OFF;) {
			long got = sl_bird_read(&b->reader, buf + at, (size_t)n - at, &line);
			if (got == SL_PARTIAL)
				break;
			if (got == SL_BAD) {
				disconnect(b, SL_BIRD_BACKOFF_MS,
					   "%s: what answers there does not speak as BIRD does",
					   b->path);
				return;
			}
			at += (size_t)got;
			take_line(b, &line);
		}
	}
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct sl_bird *b = h->data;

	(void)events;
	if (status < 0)
		disconnect(b, SL_BIRD_RETRY_MS, "%s: %s", b->path, uv_strerror(status));
	else
		receive(b);
}

static void
try_connect(struct sl_bird *b)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	memcpy(sa.sun_path, b->path, sizeof(sa.sun_path));
	b->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (b->sock < 0 || connect(b->sock, (struct sockaddr *)&sa, sizeof(sa))) {
		int err = errno;
		b->absent = err == ENOENT || err == ECONNREFUSED;
		disconnect(b, SL_BIRD_RETRY_MS, "%s: %s%s", b->path,
			   b->absent ? "BIRD is not running" : strerror(err),
			   err == EACCES
				   ? ": is sluiced's user in the group that BIRD's socket has?"
				   : "");
		return;
	}
	b->absent = false;
	b->poll = calloc(1, sizeof(*b->poll));
	if (!b->poll || uv_poll_init(b->loop, b->poll, b->sock)) {
		free(b->poll);
		b->poll = NULL;
		disconnect(b, SL_BIRD_BACKOFF_MS, "out of memory or descriptors");
		return;
	}
	b->poll->data = b;
	b->reader = (struct sl_bird_reader){0};
	b->lines = 0;
	b->phase = GREETING;
	b->deadline = uv_now(b->loop) + SL_BIRD_WAIT_MS;
	uv_poll_start(b->poll, UV_READABLE, on_poll);
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_bird *b = t->data;
	uint64_t now = uv_now(b->loop);

	if (now < b->deadline)
		return;
	if (b->phase == OFF)
		try_connect(b);
	else if (b->phase != READY)
		disconnect(b, SL_BIRD_BACKOFF_MS, "%s: no answer within %d s", b->path,
			   SL_BIRD_WAIT_MS / 1000);
}

/* ---- from outside ---- */

int
sl_bird_create(uv_loop_t *loop, const char *path, const struct sl_bird_events *ev,
	       struct sl_bird **ret_bird)
{
	struct sl_bird *b = calloc(1, sizeof(*b));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!b || !timer || strlen(path) >= sizeof(b->path)) {
		free(b);
		free(timer);
		return strlen(path) >= sizeof(b->path) ? -ENAMETOOLONG : -ENOMEM;
	}
	strcpy(b->path, path);
	b->loop = loop;
	b->ev = *ev;
	b->sock = -1;
	b->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = b;
	uv_timer_start(timer, on_timer, 0, TICK_MS);
	*ret_bird = b;
	return 0;
}

void
sl_bird_destroy(struct sl_bird *b)
{
	if (!b)
		return;
	close_socket(b);
	uv_timer_stop(b->timer);
	uv_close((uv_handle_t *)b->timer, on_closed);
	free(b);
}

int
sl_bird_ask(struct sl_bird *b, const char *command, sl_bird_fn *fn, void *ctx)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "%s\n", command);

	if (b->phase != READY)
		return b->phase == ASKED ? -EBUSY : -ENOTCONN;
	if (len < 0 || (size_t)len >= sizeof(line))
		return -EMSGSIZE;
	/* so few bytes go out whole: there is nothing else on the way.  Where they do not, the end comes by the poll */
	if (send(b->sock, line, (size_t)len, MSG_NOSIGNAL) != len)
		shutdown(b->sock, SHUT_RDWR);
	b->phase = ASKED;
	b->deadline = uv_now(b->loop) + SL_BIRD_WAIT_MS;
	b->fn = fn;
	b->ctx = ctx;
	b->lines = 0;
	b->all_len = 0;
	b->all[0] = 0;
	return 0;
}

const char *
sl_bird_greeting(const struct sl_bird *b)
{
	return b->phase >= READY ? b->greeting : NULL;
}

const char *
sl_bird_trouble(const struct sl_bird *b)
{
	return b->trouble;
}

bool
sl_bird_absent(const struct sl_bird *b)
{
	return b->phase == OFF && b->absent;
}

/* connect ─▶ CONNECTING ─▶ (TLS) HANDSHAKE ─▶ (tcp) verdict
 *                      └─▶ (http) SENDING ─▶ READING ─▶ verdict by the answer's status
 *                      │                        └──▶ BODY ─▶ verdict by what it holds
 *                      └─▶ (agent) LINE ─▶ its line
 *
 * Edge-triggered: every step goes on until the socket would block. */
#include "mgmt/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTING, HANDSHAKE, SENDING, READING, BODY, LINE };

/* Errors of this side: descriptors, memory, ports, filters, missing routes or families. */
static bool
is_local(int err)
{
	static const int local[] = {EMFILE, ENFILE,          ENOBUFS, ENOMEM,     EADDRNOTAVAIL,
				    EAGAIN, EPERM,           EACCES,  EINVAL,     EAFNOSUPPORT,
				    EINTR,  EPROTONOSUPPORT, ENOSPC,  ENETUNREACH};
	for (size_t i = 0; i < SL_ARRAY_CNT(local); i++)
		if (local[i] == err)
			return true;
	return false;
}

static const char *
in_words(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
	case EPIPE:
		return "connection reset";
	case EHOSTUNREACH:
		return "host unreachable";
	case ENETUNREACH:
		return "network unreachable";
	case ETIMEDOUT:
		return "connection timed out";
	default:
		return strerror(err);
	}
}

static enum sl_probe_result
not_probed(struct sl_probe *pr, int err, char text[SL_PROBE_TEXT_MAX])
{
	sl_probe_close(pr);
	if (err == EMFILE || err == ENFILE)
		snprintf(text, SL_PROBE_TEXT_MAX, "not probed: no file descriptor left");
	else if (err == EADDRNOTAVAIL)
		snprintf(text, SL_PROBE_TEXT_MAX, "not probed: no local port or address left");
	else
		snprintf(text, SL_PROBE_TEXT_MAX, "not probed: %s", strerror(err));
	return SL_PROBE_LOCAL;
}

static enum sl_probe_result
failed(const char *why, char text[SL_PROBE_TEXT_MAX])
{
	snprintf(text, SL_PROBE_TEXT_MAX, "%s", why);
	return SL_PROBE_FAILED;
}

static socklen_t
fill_sockaddr(const struct sl_probe_where *w, struct sockaddr_storage *ret_ss)
{
	*ret_ss = (struct sockaddr_storage){0};
	if (sl_addr_is_v4(&w->addr)) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ret_ss;
		sin->sin_family = AF_INET;
		sin->sin_port = htons(w->port);
		memcpy(&sin->sin_addr, w->addr.b + 12, 4);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret_ss;
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(w->port);
	memcpy(&sin6->sin6_addr, w->addr.b, 16);
	return sizeof(*sin6);
}

/* Without an IPv4 address of its own the kernel would take another interface's, and no answer could come. */
static bool
leave_by(int fd, int family, const char *device, char text[SL_PROBE_TEXT_MAX])
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) ||
	    (family == AF_INET && ioctl(fd, SIOCGIFADDR, &r))) {
		snprintf(text, SL_PROBE_TEXT_MAX, "not probed: the interface %s: %s", device,
			 errno == EADDRNOTAVAIL ? "it has no IPv4 address" : strerror(errno));
		return false;
	}
	return true;
}

enum sl_probe_result
sl_probe_open(struct sl_probe *pr, const struct sl_probe_where *w, int epfd, void *tag,
	      char text[SL_PROBE_TEXT_MAX])
{
	struct sockaddr_storage ss;
	socklen_t len = fill_sockaddr(w, &ss);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = tag};

	*pr = (struct sl_probe){.fd = -1};
	pr->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (pr->fd < 0)
		return not_probed(pr, errno, text);
	if (w->conf->type == SL_HEALTH_AGENT && !(pr->line = malloc(SL_AGENT_LINE_MAX + 1)))
		return not_probed(pr, ENOMEM, text);
	if (w->device && !leave_by(pr->fd, ss.ss_family, w->device, text)) {
		sl_probe_close(pr);
		return SL_PROBE_LOCAL;
	}
	if (connect(pr->fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS) {
		int err = errno;
		if (is_local(err))
			return not_probed(pr, err, text);
		sl_probe_close(pr);
		return failed(in_words(err), text);
	}
	/* Only now: an unconnected socket would report a hang-up.  What is ready is reported. */
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, pr->fd, &ev))
		return not_probed(pr, errno, text);
	return SL_PROBE_GOING;
}

/* Whether the lines have a header of that name. */
static bool
has_header(const char *lines, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = lines; at && *at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncasecmp(at, name, len) == 0 && at[len] == ':')
			return true;
	}
	return false;
}

/* Bytes through TLS or not: > 0; 0: the end; WAIT; BROKEN, said in text. */
enum { WAIT = -1, BROKEN = -2 };

static ssize_t
put(struct sl_probe *pr, const void *data, size_t len, char text[SL_PROBE_TEXT_MAX])
{
	if (pr->ssl)
		return sl_probe_tls_send(pr->ssl, data, len, text);
	ssize_t n = send(pr->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		return WAIT;
	failed(in_words(errno), text);
	return BROKEN;
}

static ssize_t
take(struct sl_probe *pr, void *buf, size_t size, char text[SL_PROBE_TEXT_MAX])
{
	if (pr->ssl)
		return sl_probe_tls_recv(pr->ssl, buf, size, text);
	ssize_t n = recv(pr->fd, buf, size, 0);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		return WAIT;
	failed(errno == ECONNRESET ? "connection reset before the answer" : in_words(errno), text);
	return BROKEN;
}

static size_t
make_request(const struct sl_probe_where *w, char *buf, size_t size)
{
	const struct sl_health_conf *c = w->conf;
	char host[SL_ADDR_STRLEN + 16], ip[SL_ADDR_STRLEN];
	const char *h = w->conf->host;

	if (!h[0]) {
		bool v4 = sl_addr_is_v4(&w->addr);
		sl_addr_format(&w->addr, ip);
		int n = snprintf(host, sizeof(host), "%s%s%s", v4 ? "" : "[", ip, v4 ? "" : "]");
		if (w->port != 80)
			snprintf(host + n, sizeof(host) - (size_t)n, ":%u", w->port);
		h = host;
	}
	int n = snprintf(
		buf, size, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%sConnection: close\r\n\r\n",
		sl_health_method_name(c->method), c->path, h,
		has_header(c->headers, "user-agent") ? "" : "User-Agent: sluice-health\r\n",
		has_header(c->headers, "accept") ? "" : "Accept: */*\r\n", c->headers,
		c->method == SL_HEALTH_POST ? "Content-Length: 0\r\n" : "");
	return (size_t)n;
}

/* SENDING → READING, or an error */
static enum sl_probe_result
send_request(struct sl_probe *pr, const struct sl_probe_where *w, char text[SL_PROBE_TEXT_MAX])
{
	char req[sizeof(w->conf->path) + sizeof(w->conf->host) + sizeof(w->conf->headers) +
		 SL_ADDR_STRLEN + 200];
	size_t len = make_request(w, req, sizeof(req));

	while (pr->sent < len) {
		ssize_t n = put(pr, req + pr->sent, len - pr->sent, text);
		if (n == WAIT)
			return SL_PROBE_GOING;
		if (n < 0)
			return SL_PROBE_FAILED;
		pr->sent = (uint16_t)(pr->sent + n);
	}
	pr->step = READING;
	return SL_PROBE_GOING;
}

static enum sl_probe_result
judge(const struct sl_health_conf *c, unsigned status, char text[SL_PROBE_TEXT_MAX])
{
	char expect[64] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < c->expect_cnt; i++)
		if (status >= c->expect[i].lo && status <= c->expect[i].hi) {
			snprintf(text, SL_PROBE_TEXT_MAX, "ok, HTTP status %u", status);
			return SL_PROBE_OK;
		}
	for (uint32_t i = 0; i < c->expect_cnt && n + 12 < sizeof(expect); i++) {
		n += (size_t)snprintf(expect + n, sizeof(expect) - n, "%s%u", i ? "," : "",
				      c->expect[i].lo);
		if (c->expect[i].hi != c->expect[i].lo)
			n += (size_t)snprintf(expect + n, sizeof(expect) - n, "-%u",
					      c->expect[i].hi);
	}
	snprintf(text, SL_PROBE_TEXT_MAX, "HTTP status %u, expected %s", status, expect);
	return SL_PROBE_FAILED;
}

/* What the body is to hold, in as many bytes as a sentence has room for. */
static enum sl_probe_result
lacks(const struct sl_probe *pr, const struct sl_probe_where *w, const char *why,
      char text[SL_PROBE_TEXT_MAX])
{
	const char *body = w->conf->body;

	snprintf(text, SL_PROBE_TEXT_MAX, "HTTP status %u, but %s (\"%.24s%s\")", pr->status, why,
		 body, strlen(body) > 24 ? "..." : "");
	return SL_PROBE_FAILED;
}

static enum sl_probe_result
read_body(struct sl_probe *pr, const struct sl_probe_where *w, const void *data, size_t len,
	  char text[SL_PROBE_TEXT_MAX])
{
	const char *why = "";
	int got = sl_held_feed(&pr->held, w->held, data, len, &why);

	if (got == SL_BAD)
		return lacks(pr, w, why, text);
	if (got == SL_PARTIAL)
		return SL_PROBE_GOING;
	snprintf(text, SL_PROBE_TEXT_MAX, "ok, HTTP status %u, the body is as expected",
		 pr->status);
	return SL_PROBE_OK;
}

/* The head is complete; data is behind it. */
static enum sl_probe_result
head_over(struct sl_probe *pr, const struct sl_probe_where *w, const void *data, size_t len,
	  char text[SL_PROBE_TEXT_MAX])
{
	char verdict[SL_PROBE_TEXT_MAX];
	enum sl_probe_result r = judge(w->conf, pr->status, verdict);
	const char *why;

	if (r != SL_PROBE_OK || !w->held) {
		memcpy(text, verdict, sizeof(verdict));
		return r;
	}
	if (sl_held_begin(&pr->held, &pr->answer, pr->status, &why))
		return lacks(pr, w, why, text);
	pr->step = BODY;
	return read_body(pr, w, data, len, text);
}

static enum sl_probe_result
read_more(struct sl_probe *pr, const struct sl_probe_where *w, const char *data, size_t len,
	  char text[SL_PROBE_TEXT_MAX])
{
	unsigned status;
	const char *why;

	if (pr->step == BODY)
		return read_body(pr, w, data, len, text);
	int got = sl_answer_feed(&pr->answer, data, len, &status, &why);
	if (got == SL_BAD)
		return failed(why, text);
	if (got == SL_PARTIAL)
		return SL_PROBE_GOING;
	pr->status = (uint16_t)status;
	return head_over(pr, w, data + got, len - (size_t)got, text);
}

static enum sl_probe_result
read_answer(struct sl_probe *pr, const struct sl_probe_where *w, char text[SL_PROBE_TEXT_MAX])
{
	char buf[4096];

	for (;;) {
		ssize_t n = take(pr, buf, sizeof(buf), text);
		if (n == WAIT)
			return SL_PROBE_GOING;
		if (n < 0)
			return SL_PROBE_FAILED;
		if (n == 0)
			return pr->step == BODY ? lacks(pr, w, sl_held_end(&pr->held), text)
						: failed(sl_answer_end(&pr->answer), text);
		enum sl_probe_result r = read_more(pr, w, buf, (size_t)n, text);
		if (r != SL_PROBE_GOING)
			return r;
	}
}

/* All of one line, or what came until the agent closed. */
static enum sl_probe_result
read_line(struct sl_probe *pr, char text[SL_PROBE_TEXT_MAX])
{
	for (;;) {
		ssize_t n = take(pr, pr->line + pr->line_len, SL_AGENT_LINE_MAX + 1u - pr->line_len,
				 text);
		if (n == WAIT)
			return SL_PROBE_GOING;
		if (n < 0)
			return SL_PROBE_FAILED;
		pr->line_len = (uint16_t)(pr->line_len + n);
		int end = sl_agent_end(pr->line, pr->line_len);
		if (end == SL_BAD)
			return failed("the agent's line is too long", text);
		if (end == SL_PARTIAL && n > 0)
			continue;
		if (end > 0)
			pr->line_len = (uint16_t)(end - 1);
		snprintf(text, SL_PROBE_TEXT_MAX, "ok, the agent spoke");
		return SL_PROBE_OK;
	}
}

/* HANDSHAKE → SENDING, or a verdict */
static enum sl_probe_result
shake_hands(struct sl_probe *pr, const struct sl_probe_where *w, char text[SL_PROBE_TEXT_MAX])
{
	if (!pr->ssl && !(pr->ssl = sl_probe_tls_begin(w->tls, pr->fd, w->conf->host, text)))
		return SL_PROBE_LOCAL;
	int done = sl_probe_tls_handshake(pr->ssl, text);
	if (done <= 0)
		return done ? SL_PROBE_FAILED : SL_PROBE_GOING;
	if (w->conf->type == SL_HEALTH_TCP) {
		snprintf(text, SL_PROBE_TEXT_MAX, "ok, TLS %s", sl_probe_tls_version(pr->ssl));
		return SL_PROBE_OK;
	}
	pr->step = SENDING;
	return SL_PROBE_GOING;
}

/* CONNECTING → HANDSHAKE or SENDING, or a verdict */
static enum sl_probe_result
connected(struct sl_probe *pr, const struct sl_probe_where *w, uint32_t events,
	  char text[SL_PROBE_TEXT_MAX])
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (events & (EPOLLERR | EPOLLHUP)) {
		getsockopt(pr->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err)
			return failed(in_words(err), text);
	}
	if (!(events & EPOLLOUT))
		return SL_PROBE_GOING;
	if (w->conf->type == SL_HEALTH_AGENT) {
		pr->step = LINE;
		return SL_PROBE_GOING;
	}
	if (w->tls) {
		pr->step = HANDSHAKE;
		return SL_PROBE_GOING;
	}
	if (w->conf->type == SL_HEALTH_TCP) {
		snprintf(text, SL_PROBE_TEXT_MAX, "ok, connected");
		return SL_PROBE_OK;
	}
	pr->step = SENDING;
	return SL_PROBE_GOING;
}

enum sl_probe_result
sl_probe_event(struct sl_probe *pr, const struct sl_probe_where *w, uint32_t events,
	       char text[SL_PROBE_TEXT_MAX])
{
	enum sl_probe_result r = SL_PROBE_GOING;

	if (pr->step == CONNECTING)
		r = connected(pr, w, events, text);
	if (r == SL_PROBE_GOING && pr->step == HANDSHAKE)
		r = shake_hands(pr, w, text);
	if (r == SL_PROBE_GOING && pr->step == SENDING)
		r = send_request(pr, w, text);
	if (r == SL_PROBE_GOING && (pr->step == READING || pr->step == BODY))
		r = read_answer(pr, w, text);
	if (r == SL_PROBE_GOING && pr->step == LINE)
		r = read_line(pr, text);
	return r;
}

void
sl_probe_timeout(const struct sl_probe *pr, const struct sl_probe_where *w,
		 char text[SL_PROBE_TEXT_MAX])
{
	const char *what = "no answer to the connection attempt";

	if (pr->step == LINE)
		what = "connected, but the agent said nothing";
	else if (pr->step == HANDSHAKE)
		what = "connected, but TLS's handshake did not end";
	else if (pr->step == BODY)
		what = "what the answer's body should hold did not come";
	else if (pr->step != CONNECTING)
		what = pr->answer.bytes ? "the answer's head did not end"
					: "connected, but no answer";
	snprintf(text, SL_PROBE_TEXT_MAX, "%s within %u ms", what, w->conf->timeout_ms);
}

void
sl_probe_close(struct sl_probe *pr)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	sl_probe_tls_end(pr->ssl);
	free(pr->line);
	pr->ssl = NULL;
	pr->line = NULL;
	if (pr->fd < 0)
		return;
	setsockopt(pr->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(pr->fd);
	pr->fd = -1;
}

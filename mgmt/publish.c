/* One state machine on one descriptor:
 *
 *   OFF ── connect, credentials, HELLO ──▶ WAIT ── WELCOME, segments ──▶ UP ── end, BYE, error ──▶ OFF
 */
#include "mgmt/publish_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_poll(uv_poll_t *h, int status, int events);

static void
trouble(struct sl_publish *p, const char *why)
{
	if (strcmp(p->trouble, why) == 0)
		return;
	snprintf(p->trouble, sizeof(p->trouble), "%s", why);
	p->ev.trouble(p->ev.ctx, p->trouble);
}

static void
on_handle_closed(uv_handle_t *h)
{
	free(h);
}

static void
close_socket(struct sl_publish *p)
{
	if (p->poll) {
		uv_poll_stop(p->poll);
		uv_close((uv_handle_t *)p->poll, on_handle_closed);
		p->poll = NULL;
	}
	if (p->sock >= 0)
		close(p->sock);
	p->sock = -1;
}

/* Back to OFF; the next attempt in wait_ms. */
static void
disconnect(struct sl_publish *p, uint64_t wait_ms, const char *why)
{
	bool was_up = p->phase == SL_PUBLISH_UP;
	char copy[SL_PUBLISH_TEXT_MAX];

	snprintf(copy, sizeof(copy), "%s", why);
	p->phase = SL_PUBLISH_OFF;
	p->deadline = uv_now(p->loop) + wait_ms;
	close_socket(p);
	sl_publish_drop_queue(p);
	sl_publish_drop_offer(p);
	sl_publish_end_streams(p);
	if (was_up)
		p->ev.down(p->ev.ctx, copy);
	sl_publish_end_questions(p, -EPIPE, UINT64_MAX);
	sl_publish_end_waits(p, -EPIPE, UINT64_MAX);
	sl_publish_unmap(p);
	if (was_up)
		snprintf(p->trouble, sizeof(p->trouble), "%s", copy);
	else
		trouble(p, copy);
}

void
sl_publish_update_poll(struct sl_publish *p)
{
	bool more = sl_publish_more(p);
	if (p->poll)
		uv_poll_start(p->poll, UV_READABLE | (more ? UV_WRITABLE : 0), on_poll);
}

/* ---- connecting ---- */

static int
check_peer(int sock, char why[SL_PUBLISH_TEXT_MAX])
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	    (cred.uid == 0 || cred.uid == geteuid()))
		return 0;
	snprintf(why, SL_PUBLISH_TEXT_MAX,
		 "dataplane socket belongs to uid %u, neither root nor our own",
		 (unsigned)cred.uid);
	return -EPERM;
}

static void
try_connect(struct sl_publish *p)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct sl_ctl_hello hello = {.image_version = SL_IMAGE_VERSION, .pid = (uint32_t)getpid()};
	char why[SL_PUBLISH_TEXT_MAX];

	p->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(sa.sun_path, p->path, sizeof(sa.sun_path));
	if (p->sock < 0 || connect(p->sock, (struct sockaddr *)&sa, sizeof(sa))) {
		int err = errno;
		snprintf(why, sizeof(why), "cannot connect to the dataplane at %s: %s", p->path,
			 err == ENOENT || err == ECONNREFUSED ? "it is not running"
							      : strerror(err));
		disconnect(p, 0, why);
		return;
	}
	if (check_peer(p->sock, why)) {
		disconnect(p, SL_PUBLISH_BACKOFF_MS, why);
		return;
	}
	p->poll = calloc(1, sizeof(*p->poll));
	if (!p->poll || uv_poll_init(p->loop, p->poll, p->sock)) {
		free(p->poll);
		p->poll = NULL;
		disconnect(p, SL_PUBLISH_BACKOFF_MS, "out of memory or descriptors");
		return;
	}
	p->poll->data = p;
	p->phase = SL_PUBLISH_WAIT;
	p->deadline = uv_now(p->loop) + SL_PUBLISH_WELCOME_MS;
	sl_ctl_init(&hello.head, SL_CTL_HELLO, sizeof(hello), ++p->seq);
	if (sl_publish_queue(p, &hello, sizeof(hello), -1) || sl_publish_flush(p))
		disconnect(p, SL_PUBLISH_BACKOFF_MS, "the dataplane closed the connection");
	else
		sl_publish_update_poll(p);
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_publish *p = t->data;
	uint64_t now = uv_now(p->loop);

	sl_publish_end_questions(p, -ETIMEDOUT, now);
	sl_publish_end_waits(p, -ETIMEDOUT, now);
	if (p->phase == SL_PUBLISH_UP)
		sl_publish_flows_lived(p, now);
	if (p->phase == SL_PUBLISH_OFF && now >= p->deadline)
		try_connect(p);
	else if (p->phase == SL_PUBLISH_WAIT && now >= p->deadline)
		disconnect(p, SL_PUBLISH_BACKOFF_MS,
			   "something listens on the dataplane's socket but does not say WELCOME");
}

/* ---- receiving ---- */

static void
take_stopping(struct sl_publish *p, const struct sl_ctl_stopping *m)
{
	if (p->ev.stopping)
		p->ev.stopping(p->ev.ctx, m->wait_ms, m->why);
	else
		(void)sl_publish_stop(p);
}

/* NULL, or what is wrong; the descriptors stay the caller's. */
static const char *
take_welcome(struct sl_publish *p, const struct sl_ctl_welcome *w, const int fds[2])
{
	static char text[256];

	if (p->phase != SL_PUBLISH_WAIT)
		return "a second WELCOME";
	if (w->image_version != SL_IMAGE_VERSION)
		return "another version of the table format: install the same release of both "
		       "programs";
	if (w->generation > SL_PUBLISH_GENERATION_MAX)
		return "a generation number after which none can follow: restart the dataplane";
	const char *why = sl_publish_map(&p->link, w, fds);
	if (why) {
		sl_publish_unmap(p);
		snprintf(text, sizeof(text), "%s", why);
		return text;
	}
	p->link.pid = w->pid;
	p->link.worker_cnt = w->worker_cnt;
	p->link.port_cnt = w->port_cnt;
	p->link.privileges = w->privileges;
	p->link.boot_id = w->boot_id;
	p->link.generation = w->generation;
	p->link.root = w->root;
	p->phase = SL_PUBLISH_UP;
	p->trouble[0] = 0;
	if (!w->flows)
		sl_publish_park(p);
	p->ev.up(p->ev.ctx, &p->link);
	return NULL;
}

/* A REASON of generation 0 is about the question whose seq it returns. */
static const char *
take_reason(struct sl_publish *p, const struct sl_ctl_reason *m)
{
	char *text = strndup((const char *)(m + 1), m->text_len);

	if (text && m->generation == 0) {
		sl_publish_refuse_question(p, m->head.seq, text);
	} else if (text && sl_publish_keep_reason(p, m->generation, text)) {
		return NULL;
	}
	free(text);
	return NULL;
}

static const char *
take(struct sl_publish *p, const void *msg, int fds[2])
{
	static char text[SL_PUBLISH_TEXT_MAX];
	const struct sl_ctl_head *h = msg;
	const struct sl_ctl_bye *bye = msg;

	if (h->type == SL_CTL_BYE) {
		if (p->phase == SL_PUBLISH_UP)
			sl_publish_flows_lived(p, UINT64_MAX); /* it did not die */
		snprintf(text, sizeof(text), "the dataplane says: %.*s", (int)bye->text_len,
			 (const char *)(bye + 1));
		return text;
	}
	if (h->type == SL_CTL_WELCOME)
		return take_welcome(p, msg, fds);
	if (p->phase != SL_PUBLISH_UP)
		return "a message before WELCOME";
	switch (h->type) {
	case SL_CTL_WANT:
		return sl_publish_take_want(p, msg);
	case SL_CTL_REASON:
		return take_reason(p, msg);
	case SL_CTL_VERDICT:
		return sl_publish_take_verdict(p, msg);
	case SL_CTL_KEEP:
		return sl_publish_take_keep(p, msg, &fds[0]);
	case SL_CTL_STREAMS:
		return sl_publish_take_streams(p, msg, &fds[0]);
	case SL_CTL_EVENTS:
		return sl_publish_take_events(p, msg, fds[0]);
	case SL_CTL_TAKEN:
		sl_publish_take_taken(p, msg);
		return NULL;
	case SL_CTL_UPGRADED:
		sl_publish_take_upgraded(p, msg);
		return NULL;
	case SL_CTL_STOPPING:
		take_stopping(p, msg);
		return NULL;
	case SL_CTL_EXPLAINED:
	case SL_CTL_EXPLAINED_HTTP:
		return sl_publish_take_explained(p, msg);
	case SL_CTL_PORT:
		return sl_publish_take_port(p, msg);
	case SL_CTL_SHADOW_COUNTS:
		return sl_publish_take_shadow(p, msg, NULL);
	case SL_CTL_SHADOW_EXAMPLE:
		return sl_publish_take_shadow(p, NULL, msg);
	case SL_CTL_SECRET_ACK:
		sl_publish_take_secret_ack(p, msg);
		return NULL;
	default:
		return NULL;
	}
}

/* Reads what is there, at most 256 messages a turn. */
static void
receive(struct sl_publish *p)
{
	_Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];

	for (unsigned n = 0; n < 256 && p->sock >= 0; n++) {
		int fds[2] = {-1, -1}, sock = p->sock;
		unsigned fd_cnt = 0;
		const char *why = NULL;
		long got = sl_ctl_recv(sock, buf, fds, &fd_cnt);
		if (got == -EAGAIN)
			return;
		if (got == 0 || got == -ECONNRESET) {
			disconnect(p, 0, "the dataplane went away");
			return;
		}
		if (got < 0 || sl_ctl_check(buf, (size_t)got, fd_cnt, false, &why) == 0)
			why = got < 0 ? strerror((int)-got) : take(p, buf, fds);
		for (unsigned i = 0; i < fd_cnt; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (why && p->sock >= 0) {
			disconnect(p, SL_PUBLISH_BACKOFF_MS, why);
			return;
		}
	}
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct sl_publish *p = h->data;

	if (status < 0) {
		disconnect(p, 0, "the dataplane went away");
		return;
	}
	if (events & UV_READABLE)
		receive(p);
	if (p->sock < 0 || p->poll != h)
		return;
	int err = sl_publish_flush(p);
	if (err == -EPIPE || err == -ECONNRESET)
		disconnect(p, 0, "the dataplane went away");
	else if (err)
		disconnect(p, SL_PUBLISH_BACKOFF_MS, strerror(-err));
	else
		sl_publish_update_poll(p);
}

/* ---- from outside ---- */

int
sl_publish_create(uv_loop_t *loop, const char *path, const struct sl_publish_events *ev,
		  struct sl_publish **ret_publish)
{
	struct sl_publish *p = calloc(1, sizeof(*p));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!p || !timer || strlen(path) >= sizeof(p->path)) {
		free(p);
		free(timer);
		return strlen(path) >= sizeof(p->path) ? -ENAMETOOLONG : -ENOMEM;
	}
	strcpy(p->path, path);
	p->loop = loop;
	p->ev = *ev;
	p->sock = p->flows.fd = p->streams.fd = -1;
	p->queue.tail = &p->queue.head;
	p->waits.tail = &p->waits.head;
	p->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = p;
	uv_timer_start(timer, on_timer, 0, SL_PUBLISH_RETRY_MS);
	*ret_publish = p;
	return 0;
}

void
sl_publish_destroy(struct sl_publish *p)
{
	if (!p)
		return;
	close_socket(p);
	sl_publish_drop_queue(p);
	sl_publish_drop_offer(p);
	sl_publish_drop_flows(p);
	sl_publish_end_streams(p);
	sl_publish_unmap(p);
	sl_publish_drop_waits(p);
	uv_timer_stop(p->timer);
	uv_close((uv_handle_t *)p->timer, on_handle_closed);
	free(p);
}

const struct sl_publish_link *
sl_publish_link(const struct sl_publish *p)
{
	return p->phase == SL_PUBLISH_UP ? &p->link : NULL;
}

int
sl_publish_stop(struct sl_publish *p)
{
	struct sl_ctl_stop m;

	if (p->phase != SL_PUBLISH_UP)
		return -ENOTCONN;
	sl_ctl_init(&m.head, SL_CTL_STOP, sizeof(m), ++p->seq);
	return sl_publish_queue(p, &m, sizeof(m), -1);
}

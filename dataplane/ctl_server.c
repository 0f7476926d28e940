/* One connection at a time.  Messages out go straight to the socket while the queue is empty, and into the
 * queue when the peer does not keep up; the queue's own copy of a descriptor goes with its message.
 *
 * Closing: BYE, shutdown, then what the peer had already sent is read and thrown away.  Without the last
 * step the kernel would answer the peer's next read with ECONNRESET in place of our BYE. */
#include "dataplane/ctl_server.h"

#include "dataplane/secret.h"
#include "sluice/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct queued {
	struct queued *next;
	size_t bytes;
	int fd; /* -1: none */
	uint8_t msg[];
};

struct sl_ctl_server {
	struct sl_ctl_server_conf conf;
	char *path;
	int listen_fd; /* -1: none */
	int peer_fd;   /* -1: none */
	bool hello;    /* the peer said HELLO */
	bool parked;   /* … and PARKED, or OFFER: no PARKED may follow */
	pid_t peer_pid;
	uint64_t peer_no;
	struct queued *first, **last;
	size_t queued_bytes;
	const char *goodbye;
	_Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];
};

union bye {
	struct sl_ctl_bye m;
	uint8_t room[sizeof(struct sl_ctl_bye) + SL_CTL_TEXT_MAX];
};

static void say(const struct sl_ctl_server *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- a connection's end ---- */

/* Text fit for a message: cut at a character, control characters replaced.  Its length, at least 1. */
static uint32_t
clean_text(const char *text, uint8_t *to)
{
	size_t n = strlen(text);

	if (n > SL_CTL_TEXT_MAX)
		for (n = SL_CTL_TEXT_MAX; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
			n--;
	if (n == 0) {
		*to = '?';
		return 1;
	}
	bool ascii = false;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			uint8_t c = (uint8_t)text[i];
			to[i] = c < 0x20 || c == 0x7f || (ascii && c >= 0x80) ? '?' : c;
		}
		struct {
			struct sl_ctl_bye m;
			uint8_t room[SL_CTL_TEXT_MAX];
		} probe = {.m.text_len = (uint32_t)n};
		const char *why;
		sl_ctl_init(&probe.m.head, SL_CTL_BYE, sizeof(probe.m) + n, 0);
		memcpy(probe.room, to, n);
		if (sl_ctl_check(&probe, sizeof(probe.m) + n, 0, false, &why) == 0)
			break;
		ascii = true;
	}
	return (uint32_t)n;
}

static void
send_bye(int fd, const char *text)
{
	union bye bye = {0};

	bye.m.text_len = clean_text(text, bye.room + sizeof(bye.m));
	sl_ctl_init(&bye.m.head, SL_CTL_BYE, sizeof(bye.m) + bye.m.text_len, 0);
	(void)sl_ctl_send(fd, &bye, bye.m.head.size, NULL, 0);
}

/* Ends a connection so that the peer can still read what was sent to it. */
static void
hang_up(int fd)
{
	uint8_t buf[SL_CTL_MSG_MAX];
	int fds[2];
	unsigned fd_cnt;

	shutdown(fd, SHUT_RDWR);
	for (unsigned i = 0; i < 4096; i++) {
		long n = sl_ctl_recv(fd, buf, fds, &fd_cnt);
		if (n == 0 || (n < 0 && n != -EBADMSG))
			break;
		while (n > 0 && fd_cnt > 0)
			close(fds[--fd_cnt]);
	}
	close(fd);
}

static void
free_queued(struct queued *q)
{
	if (q->fd >= 0)
		close(q->fd);
	free(q);
}

static void
drop_peer(struct sl_ctl_server *s)
{
	bool told = s->hello;

	hang_up(s->peer_fd);
	s->peer_fd = -1;
	s->hello = false;
	for (struct queued *q = s->first, *next; q; q = next) {
		next = q->next;
		free_queued(q);
	}
	s->first = NULL;
	s->last = &s->first;
	s->queued_bytes = 0;
	if (told)
		s->conf.ops.drop(s->conf.ops.ctx);
}

static void
bye(struct sl_ctl_server *s, const char *text)
{
	say(s, "control: closed the connection of pid %d: %s", (int)s->peer_pid, text);
	send_bye(s->peer_fd, text);
	drop_peer(s);
}

static void
say(const struct sl_ctl_server *s, const char *fmt, ...)
{
	char line[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->conf.ops.log(s->conf.ops.ctx, line);
}

/* ---- out ---- */

static void
flush(struct sl_ctl_server *s)
{
	while (s->first) {
		struct queued *q = s->first;
		int err = sl_ctl_send(s->peer_fd, q->msg, q->bytes, &q->fd, q->fd >= 0);
		if (err == -EAGAIN || err == -ENOBUFS || err == -ETOOMANYREFS)
			return;
		if (err) {
			say(s, "control: sluiced went away (%s)", strerror(-err));
			drop_peer(s);
			return;
		}
		s->first = q->next;
		if (!s->first)
			s->last = &s->first;
		s->queued_bytes -= q->bytes;
		free_queued(q);
	}
}

/* fd is copied; -1: none */
static void
put_fd(struct sl_ctl_server *s, const void *msg, size_t bytes, int fd)
{
	if (s->peer_fd < 0 || !s->hello)
		return;
	struct queued *q = NULL;
	int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && own < 0) {
		bye(s, "the dataplane is out of descriptors");
		return;
	}
	if (s->queued_bytes + bytes <= SL_CTL_QUEUE_MAX)
		q = malloc(sizeof(*q) + bytes);
	if (!q) {
		if (own >= 0)
			close(own);
		bye(s, "the peer does not read its answers");
		return;
	}
	*q = (struct queued){NULL, bytes, own};
	memcpy(q->msg, msg, bytes);
	*s->last = q;
	s->last = &q->next;
	s->queued_bytes += bytes;
	flush(s);
}

static void
put(struct sl_ctl_server *s, const void *msg, size_t bytes)
{
	put_fd(s, msg, bytes, -1);
}

void
sl_ctl_server_want(struct sl_ctl_server *s, uint64_t generation, const uint32_t *refs, unsigned cnt)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_want) + SL_CTL_WANT_MAX * sizeof(uint32_t)];
	struct sl_ctl_want *m = (void *)room;

	do {
		unsigned n = SL_MIN(cnt, (unsigned)SL_CTL_WANT_MAX);
		size_t bytes = sizeof(*m) + n * sizeof(m->ref[0]);
		sl_ctl_init(&m->head, SL_CTL_WANT, bytes, 0);
		m->generation = generation;
		m->last = n == cnt;
		m->cnt = n;
		if (n)
			memcpy(m->ref, refs, n * sizeof(m->ref[0]));
		put(s, m, bytes);
		refs += n;
		cnt -= n;
		/* the connection may have ended over this one, and the refs with its offer */
	} while (cnt > 0 && s->peer_fd >= 0);
}

static void
reason(struct sl_ctl_server *s, uint64_t generation, uint32_t seq, const char *text)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_reason) + SL_CTL_TEXT_MAX];
	struct sl_ctl_reason *m = (void *)room;

	*m = (struct sl_ctl_reason){.generation = generation};
	m->text_len = clean_text(text, room + sizeof(*m));
	sl_ctl_init(&m->head, SL_CTL_REASON, sizeof(*m) + m->text_len, seq);
	put(s, m, m->head.size);
}

void
sl_ctl_server_reasons(struct sl_ctl_server *s, uint64_t generation, const struct sl_diag *diag)
{
	char text[2 * SL_CTL_TEXT_MAX];

	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], text, sizeof(text));
		reason(s, generation, 0, text);
	}
	if (diag->more) {
		snprintf(text, sizeof(text), "%u more problems are not listed", diag->more);
		reason(s, generation, 0, text);
	}
}

void
sl_ctl_server_verdict(struct sl_ctl_server *s, uint64_t generation, enum sl_ctl_outcome outcome,
		      uint32_t live, const uint64_t times_ns[3])
{
	struct sl_ctl_verdict m = {
		.generation = generation,
		.outcome = outcome,
		.live = live,
		.check_ns = times_ns ? times_ns[0] : 0,
		.build_ns = times_ns ? times_ns[1] : 0,
		.swap_ns = times_ns ? times_ns[2] : 0,
	};

	sl_ctl_init(&m.head, SL_CTL_VERDICT, sizeof(m), 0);
	put(s, &m, sizeof(m));
}

void
sl_ctl_server_explained(struct sl_ctl_server *s, uint32_t seq, struct sl_ctl_explained *answer)
{
	sl_ctl_init(&answer->head, SL_CTL_EXPLAINED, sizeof(*answer), seq);
	put(s, answer, sizeof(*answer));
}

void
sl_ctl_server_explained_http(struct sl_ctl_server *s, uint32_t seq,
			     const struct sl_ctl_explained_http *answer, const char *text,
			     const uint8_t *path)
{
	_Alignas(8) uint8_t room[sizeof(*answer) + SL_CTL_TEXT_MAX + SL_CTL_REQUEST_MAX / 2];
	struct sl_ctl_explained_http *m = (void *)room;
	uint8_t *at = room + sizeof(*m);

	*m = *answer;
	m->text_len = *text ? clean_text(text, at) : 0;
	m->path_len = SL_MIN(m->path_len, (uint32_t)SL_CTL_REQUEST_MAX / 2);
	if (m->path_len)
		memcpy(at + m->text_len, path, m->path_len);
	sl_ctl_init(&m->head, SL_CTL_EXPLAINED_HTTP, sizeof(*m) + m->text_len + m->path_len, seq);
	put(s, m, m->head.size);
}

void
sl_ctl_server_port(struct sl_ctl_server *s, uint32_t seq, struct sl_ctl_port *m)
{
	sl_ctl_init(&m->head, SL_CTL_PORT, sizeof(*m) + m->xstat_cnt * sizeof(m->xstat[0]), seq);
	put(s, m, m->head.size);
}

void
sl_ctl_server_shadow(struct sl_ctl_server *s, uint32_t seq, struct sl_ctl_shadow_counts *counts,
		     struct sl_ctl_shadow_example *examples)
{
	uint32_t cnt = counts->example_cnt;

	sl_ctl_init(&counts->head, SL_CTL_SHADOW_COUNTS, sizeof(*counts), seq);
	put(s, counts, sizeof(*counts));
	for (uint32_t i = 0; i < cnt; i++) {
		sl_ctl_init(&examples[i].head, SL_CTL_SHADOW_EXAMPLE, sizeof(examples[i]), seq);
		put(s, &examples[i], sizeof(examples[i]));
	}
}

void
sl_ctl_server_unexplained(struct sl_ctl_server *s, uint32_t seq, const char *why)
{
	reason(s, 0, seq, why);
}

void
sl_ctl_server_keep(struct sl_ctl_server *s)
{
	struct sl_ctl_keep m = {0};
	int fd = s->conf.ops.flows(s->conf.ops.ctx, &m.bytes, &m.region);

	if (fd < 0)
		return;
	sl_ctl_init(&m.head, SL_CTL_KEEP, sizeof(m), 0);
	put_fd(s, &m, sizeof(m), fd);
}

void
sl_ctl_server_taken(struct sl_ctl_server *s, enum sl_ctl_taken_how how, uint64_t kept,
		    uint64_t expired, uint64_t lost, const char *text)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_taken) + SL_CTL_TEXT_MAX];
	struct sl_ctl_taken *m = (void *)room;

	*m = (struct sl_ctl_taken){.how = how, .kept = kept, .expired = expired, .lost = lost};
	m->text_len = clean_text(text, room + sizeof(*m));
	sl_ctl_init(&m->head, SL_CTL_TAKEN, sizeof(*m) + m->text_len, 0);
	put(s, m, m->head.size);
}

void
sl_ctl_server_upgraded(struct sl_ctl_server *s, uint32_t seq, int error, const char *text)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_upgraded) + SL_CTL_TEXT_MAX];
	struct sl_ctl_upgraded *m = (void *)room;

	*m = (struct sl_ctl_upgraded){.error = (uint32_t)error};
	m->text_len = clean_text(text, room + sizeof(*m));
	sl_ctl_init(&m->head, SL_CTL_UPGRADED, sizeof(*m) + m->text_len, seq);
	put(s, m, m->head.size);
}

void
sl_ctl_server_stopping(struct sl_ctl_server *s, uint32_t wait_ms, uint32_t why)
{
	struct sl_ctl_stopping m = {.wait_ms = wait_ms, .why = why};

	sl_ctl_init(&m.head, SL_CTL_STOPPING, sizeof(m), 0);
	put(s, &m, sizeof(m));
}

void
sl_ctl_server_goodbye(struct sl_ctl_server *s, const char *text)
{
	s->goodbye = text;
}

static void
tell_streams(struct sl_ctl_server *s)
{
	struct sl_ctl_streams m = {.bytes = s->conf.streams_bytes};

	if (m.bytes == 0)
		return;
	sl_ctl_init(&m.head, SL_CTL_STREAMS, sizeof(m), 0);
	put_fd(s, &m, sizeof(m), s->conf.streams_fd);
}

static void
tell_events(struct sl_ctl_server *s)
{
	struct sl_ctl_events m = {.bytes = s->conf.events_bytes};

	if (m.bytes == 0)
		return;
	sl_ctl_init(&m.head, SL_CTL_EVENTS, sizeof(m), 0);
	put_fd(s, &m, sizeof(m), s->conf.events_fd);
}

/* ---- in ---- */

static void
on_hello(struct sl_ctl_server *s, const struct sl_ctl_hello *m)
{
	const struct sl_ctl_server_conf *c = &s->conf;

	if (s->hello) {
		bye(s, "HELLO was already said");
		return;
	}
	if (m->image_version != SL_IMAGE_VERSION) {
		char text[128];
		snprintf(
			text, sizeof(text),
			"table format %u, the dataplane reads %u: install the same release of both",
			m->image_version, SL_IMAGE_VERSION);
		bye(s, text);
		return;
	}
	struct sl_ctl_welcome w = {
		.image_version = SL_IMAGE_VERSION,
		.pid = (uint32_t)getpid(),
		.boot_id = c->boot_id,
		.worker_cnt = c->worker_cnt,
		.port_cnt = c->port_cnt,
		.state_bytes = c->state_bytes,
		.stats_bytes = c->stats_bytes,
		.privileges = c->privileges,
	};
	uint64_t none[2];
	const int fds[2] = {c->state_fd, c->stats_fd};
	w.flows = c->ops.flows(c->ops.ctx, &none[0], &none[1]) >= 0;
	sl_ctl_init(&w.head, SL_CTL_WELCOME, sizeof(w), m->head.seq);
	c->ops.active(c->ops.ctx, &w.generation, &w.root);
	int err = sl_ctl_send(s->peer_fd, &w, sizeof(w), fds, 2);
	if (err) {
		say(s, "control: WELCOME could not be sent: %s", strerror(-err));
		drop_peer(s);
		return;
	}
	s->hello = true;
	say(s, "control: sluiced connected (pid %d)", (int)s->peer_pid);
	tell_streams(s);
	tell_events(s);
	sl_ctl_server_keep(s);
}

static void
ack_secret(struct sl_ctl_server *s, uint32_t seq, const char *name, int err, const char *why)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_secret_ack) + SL_CTL_TEXT_MAX];
	struct sl_ctl_secret_ack *ack = (void *)room;
	char text[SL_NAME_MAX + SL_CTL_WHY + 16];

	*ack = (struct sl_ctl_secret_ack){.error = (uint32_t)-err};
	if (err) {
		snprintf(text, sizeof(text), "secret \"%s\": %s", name, why);
		ack->text_len = clean_text(text, room + sizeof(*ack));
		say(s, "control: %s", text);
	}
	sl_ctl_init(&ack->head, SL_CTL_SECRET_ACK, sizeof(*ack) + ack->text_len, seq);
	put(s, ack, ack->head.size);
}

static bool
kind_known(uint32_t kind, char ret_text[SL_CTL_WHY])
{
	if (kind >= SL_SECRET_PAIR && kind <= SL_SECRET_TICKETS)
		return true;
	snprintf(ret_text, SL_CTL_WHY, "kind %u is not known to this release", kind);
	return false;
}

static void
on_secret(struct sl_ctl_server *s, const struct sl_ctl_secret *m, int fd)
{
	struct sl_secret secret = {0};
	char text[SL_CTL_WHY];
	const char *why = "";
	int err = sl_secret_take(fd, m->bytes, &secret, &why);

	close(fd);
	if (err)
		snprintf(text, sizeof(text), "%s", why);
	else if (!kind_known(m->kind, text))
		err = -ENOTSUP;
	else
		err = s->conf.ops.secret(s->conf.ops.ctx, m->kind, m->name, secret.bytes,
					 secret.size, text);
	sl_secret_destroy(&secret);
	ack_secret(s, m->head.seq, m->name, err, text);
}

static void
on_forget(struct sl_ctl_server *s, const struct sl_ctl_forget *m)
{
	char text[SL_CTL_WHY];
	int err = -ENOTSUP;

	if (kind_known(m->kind, text))
		err = s->conf.ops.forget(s->conf.ops.ctx, m->kind, m->name, text);
	ack_secret(s, m->head.seq, m->name, err, text);
}

static void
on_explain(struct sl_ctl_server *s, const struct sl_ctl_explain *m)
{
	const char *why = "it cannot be answered";

	if (s->conf.ops.explain(s->conf.ops.ctx, m, &why))
		sl_ctl_server_unexplained(s, m->head.seq, why);
}

static void
on_explain_http(struct sl_ctl_server *s, const struct sl_ctl_explain_http *m)
{
	const char *why = "it cannot be answered";

	if (s->conf.ops.explain_http(s->conf.ops.ctx, m, (const uint8_t *)(m + 1), &why))
		sl_ctl_server_unexplained(s, m->head.seq, why);
}

static void
on_ports(struct sl_ctl_server *s, const struct sl_ctl_ports *m)
{
	if (m->port == UINT32_MAX || m->port < s->conf.port_cnt)
		s->conf.ops.ports(s->conf.ops.ctx, m->head.seq, m->port);
	else
		sl_ctl_server_unexplained(s, m->head.seq, "there is no such port");
}

static void
on_parked(struct sl_ctl_server *s, const struct sl_ctl_parked *m, int fd)
{
	if (s->parked) {
		close(fd);
		bye(s, "PARKED may be said once, before the first OFFER");
		return;
	}
	s->parked = true;
	s->conf.ops.parked(s->conf.ops.ctx, m->bytes, m->region, fd);
}

static void
on_message(struct sl_ctl_server *s, size_t bytes, const int fds[2], unsigned fd_cnt)
{
	const struct sl_ctl_ops *ops = &s->conf.ops;
	const void *msg = s->buf;
	const struct sl_ctl_head *head = msg;
	const char *why = NULL;

	if (sl_ctl_check(msg, bytes, fd_cnt, true, &why) == 0 && !s->hello &&
	    head->type != SL_CTL_HELLO && head->type != SL_CTL_BYE)
		why = "the first message must be HELLO";
	if (why) {
		while (fd_cnt > 0)
			close(fds[--fd_cnt]);
		bye(s, why);
		return;
	}
	switch (head->type) {
	case SL_CTL_HELLO:
		on_hello(s, msg);
		break;
	case SL_CTL_OFFER: {
		const struct sl_ctl_offer *m = msg;
		s->parked = true;
		ops->offer(ops->ctx, m->generation, &m->root, m->sample_ppm, fds[0]);
		break;
	}
	case SL_CTL_OBJECT: {
		const struct sl_ctl_object *m = msg;
		ops->object(ops->ctx, m->generation, m->ref, fds[0]);
		break;
	}
	case SL_CTL_EXPLAIN:
		on_explain(s, msg);
		break;
	case SL_CTL_EXPLAIN_HTTP:
		on_explain_http(s, msg);
		break;
	case SL_CTL_SECRET:
		on_secret(s, msg, fds[0]);
		break;
	case SL_CTL_FORGET:
		on_forget(s, msg);
		break;
	case SL_CTL_PARKED:
		on_parked(s, msg, fds[0]);
		break;
	case SL_CTL_PORTS:
		on_ports(s, msg);
		break;
	case SL_CTL_SHADOW:
		ops->shadow(ops->ctx, head->seq, ((const struct sl_ctl_shadow *)msg)->op);
		break;
	case SL_CTL_UPGRADE:
		ops->upgrade(ops->ctx, head->seq);
		break;
	case SL_CTL_STOP:
		ops->stop(ops->ctx);
		break;
	default: /* BYE */
		say(s, "control: sluiced (pid %d) said goodbye", (int)s->peer_pid);
		drop_peer(s);
	}
}

static void
receive(struct sl_ctl_server *s)
{
	for (unsigned i = 0; s->peer_fd >= 0 && i < SL_CTL_PER_TURN; i++) {
		int fds[2];
		unsigned fd_cnt;
		long n = sl_ctl_recv(s->peer_fd, s->buf, fds, &fd_cnt);
		if (n == -EAGAIN)
			return;
		if (n == -EBADMSG) {
			bye(s, "message too long or with too many descriptors");
		} else if (n <= 0) {
			if (s->hello)
				say(s, "control: sluiced (pid %d) went away%s%s", (int)s->peer_pid,
				    n ? ": " : "", n ? strerror((int)-n) : "");
			drop_peer(s);
		} else {
			on_message(s, (size_t)n, fds, fd_cnt);
		}
	}
}

/* ---- connections ---- */

static void
take_peer(struct sl_ctl_server *s, int fd, pid_t pid)
{
	s->peer_fd = fd;
	s->peer_pid = pid;
	s->peer_no++;
	s->hello = s->parked = false;
}

static void
newcomer(struct sl_ctl_server *s, int fd)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	char text[160];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    (cred.uid != 0 && cred.uid != geteuid() && cred.uid != s->conf.daemon_uid)) {
		snprintf(text, sizeof(text),
			 "uid %u may not control the dataplane: see daemon_user in its boot file",
			 (unsigned)cred.uid);
		say(s, "control: refused pid %d: %s", (int)cred.pid, text);
		send_bye(fd, text);
		hang_up(fd);
		return;
	}
	receive(s); /* the one we have may have gone, or be about to say HELLO */
	if (s->peer_fd >= 0 && !s->hello)
		bye(s, "another client came before you said HELLO");
	if (s->peer_fd < 0) {
		take_peer(s, fd, cred.pid);
		return;
	}
	snprintf(text, sizeof(text), "another sluiced is connected (pid %d): stop one of them",
		 (int)s->peer_pid);
	say(s, "control: refused pid %d: %s", (int)cred.pid, text);
	send_bye(fd, text);
	hang_up(fd);
}

void
sl_ctl_server_attach(struct sl_ctl_server *s, int fd)
{
	if (s->peer_fd >= 0)
		drop_peer(s);
	take_peer(s, fd, getpid());
}

unsigned
sl_ctl_server_poll(const struct sl_ctl_server *s, struct pollfd ret_fds[2])
{
	unsigned n = 0;

	if (s->listen_fd >= 0)
		ret_fds[n++] = (struct pollfd){s->listen_fd, POLLIN, 0};
	if (s->peer_fd >= 0)
		ret_fds[n++] =
			(struct pollfd){s->peer_fd, (short)(POLLIN | (s->first ? POLLOUT : 0)), 0};
	return n;
}

void
sl_ctl_server_turn(struct sl_ctl_server *s)
{
	if (s->peer_fd >= 0)
		flush(s);
	receive(s);
	for (unsigned i = 0; s->listen_fd >= 0 && i < 16; i++) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			break;
		newcomer(s, fd);
	}
}

uint64_t
sl_ctl_server_peer(const struct sl_ctl_server *s)
{
	return s->peer_fd >= 0 && s->hello ? s->peer_no : 0;
}

/* ---- the listening socket ---- */

/* A socket file that is there: 0 when it is of a dead process and has been removed. */
static int
replace_stale(const char *path, const struct sockaddr_un *addr, struct sl_diag *diag)
{
	struct stat st;
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		sl_diag_add(diag, NULL, 0, NULL, "set another `control` in the boot file",
			    "control socket %s: there is a file of that name that is not a socket",
			    path);
		return -EEXIST;
	}
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	bool live = connect(fd, (const void *)addr, sizeof(*addr)) == 0 || errno == EAGAIN;
	if (live) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
		sl_diag_add(diag, NULL, 0, NULL,
			    "stop it, or set another `control` in the boot file",
			    "control socket %s belongs to a running dataplane (pid %d)", path,
			    (int)cred.pid);
	}
	close(fd);
	if (live)
		return -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int
bind_listen(struct sl_ctl_server *s, struct sl_diag *diag)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(s->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, s->path);
	int err = replace_stale(s->path, &addr, diag);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mode_t mask = umask(0117);
	err = bind(fd, (void *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (!err && listen(fd, 8) < 0)
		err = -errno;
	if (!err && s->conf.daemon_uid != geteuid() && geteuid() == 0 &&
	    chown(s->path, s->conf.daemon_uid, (gid_t)-1) < 0)
		err = -errno;
	if (err)
		close(fd);
	else
		s->listen_fd = fd;
	return err;
}

/* The directory is locked while we look at an old file and replace it, so that of two starting dataplanes
 * one sees the other's live socket. */
static int
open_socket(struct sl_ctl_server *s, struct sl_diag *diag)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned before = diag->cnt;
	const char *slash = strrchr(s->path, '/');

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", slash == s->path ? 1 : (int)(slash - s->path),
			 s->path);
	if (mkdir(dir, 0755) == 0)
		say(s, "control: made the directory %s", dir);
	int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = lock < 0 || flock(lock, LOCK_EX) < 0 ? -errno : bind_listen(s, diag);
	if (err && diag->cnt == before)
		sl_diag_add(diag, NULL, 0, NULL, "check the directory and its owner",
			    "control socket %s cannot be made: %s", s->path, strerror(-err));
	if (lock >= 0)
		close(lock);
	return err;
}

int
sl_ctl_server_create(const struct sl_ctl_server_conf *conf, struct sl_diag *diag,
		     struct sl_ctl_server **ret_server)
{
	struct sl_ctl_server *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	s->listen_fd = s->peer_fd = -1;
	s->last = &s->first;
	s->goodbye = "the dataplane is stopping";
	if (conf->path) {
		s->path = strdup(conf->path);
		err = s->path ? open_socket(s, diag) : -ENOMEM;
	}
	if (err) {
		free(s->path);
		free(s);
		return err;
	}
	*ret_server = s;
	return 0;
}

void
sl_ctl_server_privileges(struct sl_ctl_server *s, uint32_t privileges)
{
	s->conf.privileges = privileges;
}

void
sl_ctl_server_destroy(struct sl_ctl_server *s)
{
	if (!s)
		return;
	if (s->peer_fd >= 0) {
		flush(s); /* UPGRADED must come before it */
		if (s->peer_fd >= 0)
			send_bye(s->peer_fd, s->goodbye);
	}
	if (s->peer_fd >= 0) {
		drop_peer(s);
	}
	if (s->listen_fd >= 0) {
		unlink(s->path);
		close(s->listen_fd);
	}
	free(s->path);
	free(s);
}

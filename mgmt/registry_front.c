/* A client has time for one thing after the other (registry_front.h); who has used it up is closed by a sweep.  A listener that
 * has its number of clients makes room by closing one that only occupies it: in a handshake first, else between requests. */
#include "mgmt/registry_front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 256    /* of a listener */
#define OF_ONE 64      /* of one address, or of one user but root */
#define ACCEPTS 64     /* in one turn */
#define HANDSHAKES 500 /* begun in a second */
#define SWEEP_MS 250
#define REQUEST_MS 10000
#define ANSWER_MS 10000
#define IDLE_MS 30000

struct listener {
	uv_poll_t poll;
	struct sl_registry_front *f;
	int fd;
	bool tls, on;
	struct sl_registry_client *clients;
	unsigned client_cnt;
};

struct sl_registry_front {
	struct sl_registry_front_conf conf;
	struct listener unix_end, net_end;
	struct sl_registry_tls *tls;
	uv_timer_t sweep;
	char path[108];  /* "": not ours to remove */
	unsigned tokens; /* of HANDSHAKES */
	unsigned handles;
	bool ended, stopped;
};

static void on_connection(uv_poll_t *poll, int status, int events);

static uint64_t
now_of(const struct sl_registry_front *f)
{
	return uv_now(f->conf.loop);
}

static struct listener *
listener_of(const struct sl_registry_client *c)
{
	return c->who.uid < 0 ? &c->front->net_end : &c->front->unix_end;
}

/* ---- clients ---- */

static struct sl_registry_client *
add_client(struct listener *l)
{
	struct sl_registry_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->front = l->f;
	c->fd = -1;
	c->who.uid = l->tls ? -1 : 0;
	c->deadline_ms = now_of(l->f) + REQUEST_MS;
	c->next = l->clients;
	c->link = &l->clients;
	if (c->next)
		c->next->link = &c->next;
	l->clients = c;
	l->client_cnt++;
	return c;
}

static void
forget(struct sl_registry_client *c)
{
	listener_of(c)->client_cnt--;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	if (c->pump)
		sl_registry_pump_close(c->pump);
	free(c);
}

void
sl_registry_front_gone(struct sl_registry_client *c)
{
	c->given = false;
	/* The pump still has to bring the last bytes to the peer; it tells when that is done, or time is over. */
	if (c->pump)
		c->deadline_ms = SL_MIN(c->deadline_ms, now_of(c->front) + ANSWER_MS);
	else
		forget(c);
}

/* c has no time left. */
static void
cut(struct sl_registry_client *c)
{
	c->deadline_ms = UINT64_MAX;
	if (c->given)
		shutdown(c->fd, SHUT_RDWR); /* who has the other end sees it, and closes */
	if (c->pump) {
		sl_registry_pump_close(c->pump);
		c->pump = NULL;
	}
	if (!c->given)
		forget(c);
}

struct sl_registry_client *
sl_registry_front_find(struct sl_registry_front *f, int fd)
{
	struct listener *const both[] = {&f->unix_end, &f->net_end};

	for (unsigned i = 0; i < 2; i++)
		for (struct sl_registry_client *c = both[i]->clients; c; c = c->next)
			if (c->given && c->fd == fd)
				return c;
	return NULL;
}

void
sl_registry_front_waits(struct sl_registry_client *c)
{
	c->deadline_ms = UINT64_MAX;
}

void
sl_registry_front_answered(struct sl_registry_client *c)
{
	c->deadline_ms = now_of(c->front) + ANSWER_MS;
}

void
sl_registry_front_idle(struct sl_registry_client *c)
{
	c->deadline_ms = now_of(c->front) + IDLE_MS;
}

/* Whether there is room, if need be by closing one that waits for the peer: the one with the least time left, handshakes before
 * others. */
static bool
make_room(struct listener *l)
{
	struct sl_registry_client *worst = NULL;

	if (l->client_cnt < CLIENTS)
		return true;
	for (struct sl_registry_client *c = l->clients; c; c = c->next)
		if (c->deadline_ms != UINT64_MAX &&
		    (!worst || c->given < worst->given ||
		     (c->given == worst->given && c->deadline_ms < worst->deadline_ms)))
			worst = c;
	if (worst)
		cut(worst);
	return l->client_cnt < CLIENTS;
}

static bool
hand_over(struct sl_registry_client *c, int fd)
{
	c->fd = fd;
	c->given = true;
	return c->front->conf.give(c->front->conf.ctx, c, fd);
}

/* ---- Unix ---- */

static unsigned
of_user(const struct listener *l, int64_t uid)
{
	unsigned n = 0;

	for (const struct sl_registry_client *c = l->clients; c; c = c->next)
		n += c->who.uid == uid;
	return n;
}

static void
greet_peer(struct listener *l, int fd)
{
	struct sl_registry_front *f = l->f;
	struct sl_registry_who who;
	struct sl_peer peer;

	if (sl_roles_peer(f->conf.roles, fd, &peer) == 0) {
		sl_registry_who_peer(f->conf.conf, &peer, &who);
		bool known = who.role != SL_ROLE_NONE || who.fits;
		bool room = known && (who.uid == 0 || of_user(l, who.uid) < OF_ONE) && make_room(l);
		struct sl_registry_client *c = room ? add_client(l) : NULL;
		if (c) {
			c->who = who;
			if (!hand_over(c, fd))
				forget(c);
			return;
		}
	}
	close(fd);
}

/* ---- TLS ---- */

static void
on_pump_closed(void *ctx)
{
	struct sl_registry_client *c = ctx;

	c->pump = NULL;
	if (c->given)
		shutdown(c->fd, SHUT_RDWR);
	else
		forget(c);
}

static int
on_name(void *ctx, const char *name)
{
	struct sl_registry_client *c = ctx;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		return -1;
	sl_registry_who_identity(c->front->conf.conf, name, &c->who);
	if (!c->who.name[0])
		snprintf(c->who.name, sizeof(c->who.name), "(a certificate without a name)");
	if (!hand_over(c, pair[0])) {
		c->given = false;
		close(pair[1]);
		return -1;
	}
	return pair[1];
}

static unsigned
of_address(const struct listener *l, const struct sl_addr *addr)
{
	unsigned n = 0;

	for (const struct sl_registry_client *c = l->clients; c; c = c->next)
		n += sl_addr_eq(&c->addr, addr);
	return n;
}

static struct sl_addr
address_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u = {0};
	socklen_t len = sizeof(u);
	struct sl_addr a = {0};

	if (getpeername(fd, &u.sa, &len))
		return a;
	if (u.sa.sa_family == AF_INET) {
		a.b[10] = a.b[11] = 0xff;
		memcpy(a.b + 12, &u.in.sin_addr, 4);
	} else {
		memcpy(a.b, &u.in6.sin6_addr, 16);
	}
	return a;
}

static void
say_problems(struct sl_registry_front *f, struct sl_diag *diag)
{
	char line[1024];

	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		f->conf.say(f->conf.say_ctx, line);
	}
	if (diag->cnt)
		f->conf.say(f->conf.say_ctx, "registry: the certificate that was there is used on");
	sl_diag_fini(diag);
}

static void
greet_stranger(struct listener *l, int fd)
{
	struct sl_registry_front *f = l->f;
	struct sl_diag diag = {0};
	struct sl_addr addr = address_of(fd);
	bool room = of_address(l, &addr) < OF_ONE && make_room(l);
	struct sl_registry_client *c = room ? add_client(l) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	c->addr = addr;
	sl_registry_tls_look(f->tls, now_of(f), &diag);
	say_problems(f, &diag);
	const struct sl_registry_pump_events ev = {on_name, on_pump_closed, c};
	if (sl_registry_pump_start(f->tls, f->conf.loop, fd, &ev, &c->pump))
		forget(c);
}

static void
on_connection(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;
	struct sl_registry_front *f = l->f;

	(void)status;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		if (l->tls && f->tokens == 0) { /* until the next sweep */
			uv_poll_stop(poll);
			return;
		}
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			/* without a descriptor for who waits this would be called on and on */
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				uv_poll_stop(poll);
			return;
		}
		f->tokens -= l->tls;
		if (l->tls)
			greet_stranger(l, fd);
		else
			greet_peer(l, fd);
	}
}

static void
sweep(struct listener *l, uint64_t now)
{
	for (struct sl_registry_client *c = l->clients, *next; c; c = next) {
		next = c->next;
		if (now >= c->deadline_ms)
			cut(c);
	}
}

static void
on_sweep(uv_timer_t *t)
{
	struct sl_registry_front *f = t->data;

	sweep(&f->unix_end, now_of(f));
	sweep(&f->net_end, now_of(f));
	f->tokens = SL_MIN(f->tokens + HANDSHAKES * SWEEP_MS / 1000, (unsigned)HANDSHAKES);
	if (f->unix_end.on && !f->ended)
		uv_poll_start(&f->unix_end.poll, UV_READABLE, on_connection);
	if (f->net_end.on && !f->ended)
		uv_poll_start(&f->net_end.poll, UV_READABLE, on_connection);
}

/* ---- listening ---- */

static int
fail(struct sl_diag *diag, const char *key, const char *where, int err, const char *hint)
{
	sl_diag_add(diag, NULL, 0, key, hint, "cannot listen at %s: %s", where, strerror(err));
	return -err;
}

/* A socket file that nobody listens at was left behind. */
static bool
is_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd = lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode)
			 ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
			 : -1;

	if (fd < 0)
		return false;
	bool stale = connect(fd, (const struct sockaddr *)un, sizeof(*un)) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* The file gets its group and mode before anybody can connect. */
static int
listen_unix(struct sl_registry_front *f, struct sl_diag *diag)
{
	const struct sl_registry_conf *c = f->conf.conf;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, c->socket, strlen(c->socket) + 1);
	if (fd < 0)
		return fail(diag, "registry.socket", c->socket, errno, NULL);
	if (is_stale(&un))
		unlink(c->socket);
	bool bound = bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0;
	bool ours = bound && (!c->group_given || chown(c->socket, (uid_t)-1, c->gid) == 0);
	if (!ours || chmod(c->socket, c->group_given ? 0660 : 0666) || listen(fd, 64)) {
		int err = errno;
		close(fd);
		if (bound)
			unlink(c->socket);
		if (bound && !ours)
			return fail(diag, "registry.group", c->socket, err,
				    "make sluiced's user a member of the group");
		return fail(diag, "registry.socket", c->socket, err,
			    err == EADDRINUSE ? "stop the other process, or set another path"
					      : "make its directory, or set another path");
	}
	memcpy(f->path, un.sun_path, sizeof(f->path));
	return fd;
}

static int
listen_net(struct sl_registry_front *f, struct sl_diag *diag)
{
	const struct sl_registry_conf *c = f->conf.conf;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u = {0};
	struct sl_addr addr;
	uint16_t port;
	int one = 1;

	if (sl_registry_conf_listen(c->listen, &addr, &port))
		return fail(diag, "registry.listen", c->listen, EINVAL, NULL);
	bool four = sl_addr_is_v4(&addr);
	if (four) {
		u.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&u.in.sin_addr, addr.b + 12, 4);
	} else {
		u.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&u.in6.sin6_addr, addr.b, 16);
	}
	int fd = socket(u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(diag, "registry.listen", c->listen, errno, NULL);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &u.sa, four ? sizeof(u.in) : sizeof(u.in6)) || listen(fd, 128)) {
		int err = errno;
		close(fd);
		return fail(diag, "registry.listen", c->listen, err,
			    "an address of this host, and a port that is free");
	}
	return fd;
}

static int
watch(struct sl_registry_front *f, struct listener *l, int fd, bool tls)
{
	if (fd < 0)
		return fd;
	l->f = f;
	l->fd = fd;
	l->tls = tls;
	int err = uv_poll_init(f->conf.loop, &l->poll, fd);
	if (err) {
		close(fd);
		return err;
	}
	l->on = true;
	l->poll.data = l;
	f->handles++;
	return uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

static void
free_if_done(struct sl_registry_front *f)
{
	if (f->handles || !f->stopped)
		return;
	sl_registry_tls_destroy(f->tls);
	free(f);
}

int
sl_registry_front_start(const struct sl_registry_front_conf *conf, struct sl_diag *diag,
			struct sl_registry_front **ret_front)
{
	struct sl_registry_front *f = calloc(1, sizeof(*f));
	const struct sl_registry_conf *c = conf->conf;
	int err = 0;

	if (!f)
		return -ENOMEM;
	f->conf = *conf;
	f->tokens = HANDSHAKES;
	uv_timer_init(conf->loop, &f->sweep);
	f->sweep.data = f;
	f->handles = 1;
	uv_timer_start(&f->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	if (c->listen[0])
		err = sl_registry_tls_create(c, diag, &f->tls);
	if (!err && c->socket[0])
		err = watch(f, &f->unix_end, listen_unix(f, diag), false);
	if (!err && c->listen[0])
		err = watch(f, &f->net_end, listen_net(f, diag), true);
	if (err) {
		sl_registry_front_stop(f);
		return err;
	}
	*ret_front = f;
	return 0;
}

static void
on_poll_closed(uv_handle_t *h)
{
	struct listener *l = h->data;

	close(l->fd);
	l->f->handles--;
	free_if_done(l->f);
}

static void
on_sweep_closed(uv_handle_t *h)
{
	struct sl_registry_front *f = h->data;

	f->handles--;
	free_if_done(f);
}

void
sl_registry_front_end(struct sl_registry_front *f)
{
	struct listener *const both[] = {&f->unix_end, &f->net_end};

	if (f->ended)
		return;
	f->ended = true;
	for (unsigned i = 0; i < 2; i++)
		if (both[i]->on)
			uv_close((uv_handle_t *)&both[i]->poll, on_poll_closed);
	if (f->path[0])
		unlink(f->path);
}

void
sl_registry_front_stop(struct sl_registry_front *f)
{
	struct listener *const both[] = {&f->unix_end, &f->net_end};

	if (!f)
		return;
	sl_registry_front_end(f);
	f->stopped = true;
	for (unsigned i = 0; i < 2; i++)
		while (both[i]->clients)
			forget(both[i]->clients);
	uv_close((uv_handle_t *)&f->sweep, on_sweep_closed);
}

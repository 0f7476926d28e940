/* c-ares says which sockets it waits for (on_socket) and how long (ares_timeout); a uv_poll for each socket and one timer tell
 * it when something happened. */
#include "mgmt/dns_channel.h"

#include "mgmt/dns_answer.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_UNDER_WAY 256
#define TRIES 2
#define UDP_BYTES 1232 /* that cross every network in one piece */

struct watch {
	uv_poll_t handle;
	struct watch *next;
	struct sl_dns_channel *channel;
	int fd;
};

struct question {
	struct question *next; /* while it waits */
	struct sl_dns_channel *channel;
	sl_dns_done *done;
	void *ctx;
	uint16_t type;
	char name[256];
};

struct sl_dns_channel {
	uv_loop_t *loop;
	ares_channel ares;
	uv_timer_t timer;
	struct watch *watches;
	struct question *first, **last; /* that wait */
	unsigned under_way;
	bool sending; /* send_waiting is at work */
	bool closing;
};

/* ---- c-ares on the loop ---- */

static void set_timer(struct sl_dns_channel *c);

static void
go_on(struct sl_dns_channel *c, int readable, int writable)
{
	ares_process_fd(c->ares, readable, writable);
	set_timer(c);
}

static void
on_timer(uv_timer_t *t)
{
	go_on(t->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void
set_timer(struct sl_dns_channel *c)
{
	struct timeval tv, *wait = ares_timeout(c->ares, NULL, &tv);

	if (!wait)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer,
			       (uint64_t)wait->tv_sec * 1000 + (uint64_t)wait->tv_usec / 1000 + 1,
			       0);
}

static void
on_ready(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;

	if (status < 0) /* reading will tell why */
		events = UV_READABLE | UV_WRITABLE;
	go_on(w->channel, events & UV_READABLE ? w->fd : ARES_SOCKET_BAD,
	      events & UV_WRITABLE ? w->fd : ARES_SOCKET_BAD);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct watch *
new_watch(struct sl_dns_channel *c, int fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w || uv_poll_init(c->loop, &w->handle, fd)) {
		free(w);
		return NULL; /* the question will time out */
	}
	w->handle.data = w;
	w->channel = c;
	w->fd = fd;
	w->next = c->watches;
	c->watches = w;
	return w;
}

/* A socket is closed right after neither is wanted. */
static void
on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct sl_dns_channel *c = ctx;
	struct watch **at = &c->watches;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	struct watch *w = *at;
	if (!readable && !writable) {
		if (!w)
			return;
		*at = w->next;
		uv_poll_stop(&w->handle);
		uv_close((uv_handle_t *)&w->handle, on_watch_closed);
		return;
	}
	if (!w)
		w = new_watch(c, fd);
	if (w)
		uv_poll_start(&w->handle,
			      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
			      on_ready);
}

/* ---- questions ---- */

/* NULL: the answer's bytes say more. */
static const char *
in_words(int status)
{
	switch (status) {
	case ARES_SUCCESS:
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
		return NULL;
	case ARES_EFORMERR:
		return "the server did not understand the question (FORMERR)";
	case ARES_ESERVFAIL:
		return "the server failed (SERVFAIL)";
	case ARES_ENOTIMP:
		return "the server does not answer such questions (NOTIMP)";
	case ARES_EREFUSED:
		return "the server refused to answer (REFUSED)";
	case ARES_EBADNAME:
		return "is not a name that DNS can have";
	case ARES_EBADRESP:
		return "the answer is not well formed";
	case ARES_ETIMEOUT:
		return "no answer in time";
	case ARES_ECONNREFUSED: /* the last one's own error is not known */
		return "no server answered: each one is away, failed or refused";
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return "was not answered before this stopped asking";
	default:
		return ares_strerror(status);
	}
}

static void send_waiting(struct sl_dns_channel *c);

static void
on_answer(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
	struct question *q = ctx;
	struct sl_dns_channel *c = q->channel;
	const char *error = in_words(status);

	(void)timeouts;
	if (!error && (!bytes || len <= 0)) /* of its own accord: a name that is never asked */
		error = "is not a name that DNS servers are asked for";
	c->under_way--;
	q->done(q->ctx, error, error ? NULL : bytes, error ? 0 : (size_t)len);
	free(q);
	if (!c->closing)
		send_waiting(c);
}

/* Questions that are answered at once come back here: a turn of this loop each, not a level of the stack. */
static void
send_waiting(struct sl_dns_channel *c)
{
	if (c->sending)
		return;
	c->sending = true;
	while (c->first && c->under_way < MOST_UNDER_WAY) {
		struct question *q = c->first;
		c->first = q->next;
		if (!c->first)
			c->last = &c->first;
		c->under_way++;
		ares_query(c->ares, q->name, ns_c_in, q->type, on_answer, q);
	}
	c->sending = false;
}

int
sl_dns_channel_ask(struct sl_dns_channel *c, const char *name, uint16_t type, sl_dns_done *done,
		   void *ctx)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	*q = (struct question){.channel = c, .done = done, .ctx = ctx, .type = type};
	snprintf(q->name, sizeof(q->name), "%s", name);
	*c->last = q;
	c->last = &q->next;
	send_waiting(c);
	set_timer(c);
	return 0;
}

/* ---- the channel ---- */

/* "192.0.2.53,[2001:db8::53]:5353": c-ares takes what the file has, but wants brackets where a port stands. */
static int
set_servers(struct sl_dns_channel *c, const struct sl_source_conf *conf)
{
	char list[SL_SOURCE_SERVERS * (SL_SOURCE_PATH + 1)] = "";
	size_t n = 0;

	for (unsigned i = 0; i < conf->server_cnt; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? "," : "",
				      conf->servers[i]);
	return conf->server_cnt ? ares_set_servers_ports_csv(c->ares, list) : ARES_SUCCESS;
}

/* How many servers will be asked; /etc/resolv.conf has one at least: without any it is this machine. */
static unsigned
count_servers(const struct sl_source_conf *conf)
{
	struct ares_addr_port_node *list = NULL;
	unsigned n = 0;
	ares_channel system;

	if (conf->server_cnt)
		return conf->server_cnt;
	if (ares_init(&system) == ARES_SUCCESS) {
		if (ares_get_servers_ports(system, &list) == ARES_SUCCESS)
			for (const struct ares_addr_port_node *s = list; s; s = s->next)
				n++;
		ares_free_data(list);
		ares_destroy(system);
	}
	return SL_MAX(n, 1u);
}

/* Patience with one server: all of them are asked TRIES times, each time for twice as long, within timeout_ms.  With several
 * servers c-ares keeps an answer that is an error to itself and asks the next one; of a single one we want to know which error it
 * is. */
static int
init_ares(struct sl_dns_channel *c, const struct sl_source_conf *conf)
{
	unsigned servers = count_servers(conf);
	unsigned patience_ms = conf->timeout_ms / (((1u << TRIES) - 1) * servers);
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH |
			 (servers == 1 ? ARES_FLAG_NOCHECKRESP : 0),
		.ednspsz = UDP_BYTES,
		.timeout = (int)SL_MAX(patience_ms, 1u),
		.tries = TRIES,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = c,
		.ndomains = 0,
	};
	int status = ares_init_options(&c->ares, &o,
				       ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
					       ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
					       ARES_OPT_DOMAINS | ARES_OPT_NOROTATE);
	if (status != ARES_SUCCESS)
		return status;
	status = set_servers(c, conf);
	if (status != ARES_SUCCESS)
		ares_destroy(c->ares);
	return status;
}

int
sl_dns_channel_create(uv_loop_t *loop, const struct sl_source_conf *conf, struct sl_diag *diag,
		      struct sl_dns_channel **ret_channel)
{
	struct sl_dns_channel *c = calloc(1, sizeof(*c));
	int status = c ? ares_library_init(ARES_LIB_INIT_ALL) : ARES_ENOMEM;

	if (status == ARES_SUCCESS) {
		*c = (struct sl_dns_channel){.loop = loop, .last = &c->first};
		status = init_ares(c, conf);
		if (status != ARES_SUCCESS)
			ares_library_cleanup();
	}
	if (status != ARES_SUCCESS) {
		sl_diag_add(diag, NULL, 0, conf->name, NULL, "DNS cannot be asked: %s",
			    ares_strerror(status));
		free(c);
		return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
	}
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	*ret_channel = c;
	return 0;
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
sl_dns_channel_destroy(struct sl_dns_channel *c)
{
	if (!c)
		return;
	c->closing = true;
	ares_destroy(c->ares);
	ares_library_cleanup();
	for (struct question *q = c->first, *next; q; q = next) {
		next = q->next;
		q->done(q->ctx, in_words(ARES_EDESTRUCTION), NULL, 0);
		free(q);
	}
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

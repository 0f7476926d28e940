#include "tests/sim/tcp_user.h"

#include <stdio.h>

void
user_init(struct tcp_user *u, const struct tcp_world *w, const struct user_conf *conf,
	  const struct user_port *port, void *ctx)
{
	*u = (struct tcp_user){
		.conf = *conf, .port = port, .ctx = ctx, .w = w, .dice = {conf->seed}};
}

void
user_fill(const struct tcp_user *u, uint64_t ahead, uint8_t *to, uint32_t n)
{
	bytes_fill(u->conf.seed_out, u->written + ahead, to, n);
}

void
user_check(struct tcp_user *u, const uint8_t *bytes, uint32_t n)
{
	size_t ok = bytes_same(u->conf.seed_in, u->read, bytes, n);

	if (ok != n && !u->wrong[0])
		snprintf(u->wrong, sizeof(u->wrong), "byte %llu is wrong",
			 (unsigned long long)(u->read + ok));
	u->read += n;
	if (u->read > u->conf.in_bytes && !u->wrong[0])
		snprintf(u->wrong, sizeof(u->wrong), "more bytes than were sent: %llu of %llu",
			 (unsigned long long)u->read, (unsigned long long)u->conf.in_bytes);
	if (u->read == u->conf.in_bytes)
		u->all_ns = u->w->now_ns;
}

/* Whether it gave up. */
static bool
gives_up(struct tcp_user *u)
{
	if (u->written < u->conf.abort_out && u->read < u->conf.abort_in)
		return false;
	u->aborted = true;
	u->gone = true;
	u->port->abort(u->ctx);
	return true;
}

static void
reads(struct tcp_user *u)
{
	const struct user_conf *c = &u->conf;

	while (u->port->readable(u->ctx)) {
		uint64_t now = u->w->now_ns;
		if (u->read_ns > now) {
			u->port->wake(u->ctx, u->read_ns);
			return;
		}
		uint32_t n = c->read_max ? c->read_max : UINT32_MAX;
		if (c->stall_ns && u->read < c->stall_at)
			n = (uint32_t)SL_MIN(n, c->stall_at - u->read);
		if (!u->port->consume(u->ctx, n))
			return;
		u->read_ns = now + c->read_gap_ns;
		if (c->stall_ns && u->read == c->stall_at)
			u->read_ns = now + c->stall_ns;
		if (u->read >= c->abort_in)
			return;
	}
	if (!u->eof && u->port->eof(u->ctx)) {
		u->eof = true;
		if (u->read != c->in_bytes && !u->wrong[0])
			snprintf(u->wrong, sizeof(u->wrong),
				 "the end came after %llu of %llu bytes",
				 (unsigned long long)u->read, (unsigned long long)c->in_bytes);
	}
}

static void
writes(struct tcp_user *u)
{
	const struct user_conf *c = &u->conf;

	while (u->written < c->out_bytes) {
		uint64_t now = u->w->now_ns, left = SL_MIN(c->out_bytes, c->abort_out) - u->written;
		if (u->write_ns > now) {
			u->port->wake(u->ctx, u->write_ns);
			return;
		}
		uint64_t wish = dice_range(&u->dice, c->write_min, c->write_max);
		uint32_t n = (uint32_t)SL_MIN(left, wish);
		uint32_t room = u->port->room(u->ctx);
		uint32_t put = room ? u->port->produce(u->ctx, SL_MIN(n, room)) : 0;
		if (!put) {
			u->port->want_room(u->ctx, (uint32_t)dice_range(&u->dice, 1, n));
			return;
		}
		u->written += put;
		u->write_ns = now + c->write_gap_ns;
		if (u->written >= c->abort_out)
			return;
	}
}

static void
ends(struct tcp_user *u)
{
	const struct user_conf *c = &u->conf;
	bool all_read = u->read == c->in_bytes;

	if (u->shut || u->written < c->out_bytes)
		return;
	if ((c->close == USER_SHUT_LAST || c->close == USER_CLOSE_LAST) && !u->eof)
		return;
	if (c->close == USER_CLOSE && !all_read)
		return;
	u->shut = true;
	if (c->close == USER_SHUT || c->close == USER_SHUT_LAST) {
		u->port->shutdown(u->ctx);
	} else {
		u->gone = true;
		u->port->close(u->ctx);
	}
}

void
user_poke(struct tcp_user *u)
{
	if (u->gone || !u->opened)
		return;
	reads(u);
	if (gives_up(u))
		return;
	writes(u);
	if (gives_up(u))
		return;
	ends(u);
}

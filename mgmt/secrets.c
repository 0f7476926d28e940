/* A change waits in `changes` for the dataplane's answer; one per name at a time.  What is sent after a connect is not waited
 * for: a refusal there is a line in the log and a note. */
#include "mgmt/secrets.h"

#include "mgmt/memfd.h"
#include "mgmt/wipe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_MS 60000
#define DAY_MS 86400000ll
#define LINES_MAX 20 /* about certificates that expire, at a time */
#define RETRY_MS 3600000

enum what { PUT, REMOVE, TICKETS };

struct change {
	struct change *next;
	struct sl_secrets *s;
	enum what what;
	uint32_t kind;
	char name[SL_NAME_MAX];
	struct sl_cert_made made; /* PUT; without its secret */
	int64_t now_ms;
	sl_secrets_fn *fn;
	void *ctx;
};

struct sl_secrets {
	struct sl_daemon *d;
	struct sl_certs *certs;
	struct sl_tickets *tickets;
	struct change *changes;
	uv_timer_t *timer;
	int64_t said_ms;         /* when expiry was spoken of last */
	int64_t not_rotated_ms;  /* when a rotation failed last */
	unsigned refused;        /* since the last connect */
	char refused_text[1400]; /* the first of these */
};

const char *
sl_secrets_kind(uint32_t kind)
{
	return kind == SL_SECRET_PAIR ? "pair" : kind == SL_SECRET_TRUST ? "bundle" : "tickets";
}

struct sl_certs *
sl_secrets_certs(const struct sl_secrets *s)
{
	return s->certs;
}

struct sl_tickets *
sl_secrets_tickets(const struct sl_secrets *s)
{
	return s->tickets;
}

bool
sl_secrets_busy(const struct sl_secrets *s, const char *name)
{
	for (const struct change *c = s->changes; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return true;
	return false;
}

/* ---- all of them, after a connect ---- */

int
sl_secrets_fd(void *ctx, uint32_t kind, const char *name, uint32_t *ret_bytes)
{
	struct sl_secrets *s = ((struct sl_daemon *)ctx)->secrets;
	struct sl_diag diag = {0};
	char line[1400];

	if (kind == SL_SECRET_TICKETS)
		return sl_tickets_memfd(s->tickets, false, ret_bytes);
	const struct sl_cert_entry *e = sl_certs_find(s->certs, name);
	if (!e || e->info.kind != kind)
		return -ENOENT;
	int fd = sl_certs_memfd(s->certs, name, ret_bytes, &diag);
	if (diag.cnt) {
		sl_diag_format(&diag.items[0], line, sizeof(line));
		sl_daemon_say("certificate %s is not sent to the dataplane: %s", name, line);
	}
	sl_diag_fini(&diag);
	return fd;
}

static void
on_sent(void *ctx, uint32_t kind, const char *name, int err, int error, const char *text)
{
	struct sl_secrets *s = ctx;

	unsigned kept;

	sl_certs_list(s->certs, &kept);
	if (err == -EPIPE || (!err && !error))
		return;
	if (kind == SL_SECRET_TICKETS && error == ENOTSUP && kept == 0)
		return; /* TLS is off there, and nobody wants it here */
	if (s->refused++ > 0)
		return;
	bool keys = kind == SL_SECRET_TICKETS;
	snprintf(s->refused_text, sizeof(s->refused_text), "%s%s: %s",
		 keys ? "ticket keys" : "certificate ", keys ? "" : name,
		 err     ? "it did not answer"
		 : *text ? text
			 : strerror(error));
	sl_daemon_say("secrets: the dataplane does not take all: %s", s->refused_text);
}

void
sl_secrets_up(struct sl_secrets *s)
{
	unsigned cnt;
	struct sl_cert_entry *const *e = sl_certs_list(s->certs, &cnt);
	struct sl_publish *p = s->d->publish;
	int err = sl_publish_secret_later(p, SL_SECRET_TICKETS, SL_TICKETS_NAME, on_sent, s);

	s->refused = 0;
	for (unsigned i = 0; i < cnt && !err; i++)
		err = sl_publish_secret_later(p, e[i]->info.kind, e[i]->name, on_sent, s);
	if (err)
		sl_daemon_say("secrets: not all could be sent: %s", strerror(-err));
}

/* ---- one change ---- */

static void
unlink_change(struct change *c)
{
	struct change **at = &c->s->changes;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* Answers, and ends the change. */
static void
finish(struct change *c, const char *code, bool sent, const char *hint, const char *text)
{
	struct sl_secrets_result r = {code, text, hint, sent};

	unlink_change(c);
	if (c->fn)
		c->fn(c->ctx, &r);
	sl_cert_made_fini(&c->made);
	free(c);
}

/* The dataplane is to have what is in the store, whatever it took meanwhile. */
static void
undo(struct change *c)
{
	struct sl_publish *p = c->s->d->publish;

	if (c->what == PUT && !sl_certs_find(c->s->certs, c->name))
		(void)sl_publish_forget(p, c->kind, c->name, NULL, NULL);
	else
		(void)sl_publish_secret_later(p, c->kind, c->name, NULL, NULL);
}

static void
drop(struct change *c)
{
	struct sl_cert_entry *e;

	if (c->what == PUT)
		sl_certs_drop(c->s->certs, c->name, c->kind);
	else if (c->what == TICKETS)
		sl_tickets_drop(c->s->tickets);
	else if ((e = sl_certs_find(c->s->certs, c->name)))
		e->leaving = false;
}

static void
commit(struct change *c, bool sent)
{
	struct sl_diag diag = {0};
	char line[1400] = "out of memory";
	int err;

	if (c->what == PUT)
		err = sl_certs_commit(c->s->certs, c->name, &c->made, c->now_ms, &diag);
	else if (c->what == TICKETS)
		err = sl_tickets_commit(c->s->tickets, &diag);
	else
		err = sl_certs_remove(c->s->certs, c->name, &diag);
	if (diag.cnt)
		sl_diag_format(&diag.items[0], line, sizeof(line));
	sl_diag_fini(&diag);
	if (!err) {
		finish(c, NULL, sent, NULL, NULL);
		return;
	}
	drop(c);
	if (sent)
		undo(c);
	finish(c, "internal", false, "nothing was changed", line);
}

static void on_rotated(void *ctx, const struct sl_secrets_result *r);

static void
on_answer(void *ctx, uint32_t kind, const char *name, int err, int error, const char *text)
{
	struct change *c = ctx;
	/* what it does not hold, and what it never would, need not be forgotten */
	bool gone = c->what == REMOVE && (error == ENOENT || error == ENOTSUP);

	(void)kind;
	(void)name;
	if (!err && error == ENOTSUP &&
	    c->fn == on_rotated) { /* TLS is off there: time goes on here */
		commit(c, false);
		return;
	}
	if (!err && (!error || gone)) {
		commit(c, true);
		return;
	}
	drop(c);
	if (err == -ETIMEDOUT) {
		undo(c);
		finish(c, "timeout", false, "nothing was changed",
		       "the dataplane did not answer in time");
	} else if (err) {
		finish(c, "unavailable", false, "nothing was changed; try again",
		       "the dataplane went away before it answered");
	} else {
		char line[SL_CTL_TEXT_MAX + 64];
		if (c->what != REMOVE && error != ENOTSUP)
			undo(c); /* it may hold what it could not use */
		snprintf(line, sizeof(line), "the dataplane refused: %s",
			 *text ? text : strerror(error));
		finish(c, "refused", false,
		       error == ENOTSUP ? "is TLS off there? see tls.sessions in its boot file; "
					  "nothing was changed"
					: "nothing was changed",
		       line);
	}
}

static struct change *
begin(struct sl_secrets *s, enum what what, uint32_t kind, const char *name, sl_secrets_fn *fn,
      void *ctx)
{
	struct change *c = calloc(1, sizeof(*c));
	struct sl_secrets_result oom = {"internal", "out of memory", NULL, false};

	if (!c) {
		fn(ctx, &oom);
		return NULL;
	}
	*c = (struct change){s->changes,          s,  what, kind, "", {.secret = NULL},
			     sl_daemon_wall_ms(), fn, ctx};
	snprintf(c->name, sizeof(c->name), "%s", name);
	s->changes = c;
	return c;
}

/* fd < 0: the memfd could not be made. */
static void
hand_over(struct change *c, int fd, uint32_t bytes)
{
	int err = fd < 0 ? fd
			 : sl_publish_secret(c->s->d->publish, c->kind, c->name, fd, bytes,
					     on_answer, c);

	if (err == -ENOTCONN) {
		commit(c, false);
	} else if (err) {
		drop(c);
		finish(c, "internal", false, "nothing was changed", strerror(-err));
	}
}

void
sl_secrets_put(struct sl_secrets *s, const char *name, struct sl_cert_made *m, sl_secrets_fn *fn,
	       void *ctx)
{
	struct change *c = begin(s, PUT, m->info.kind, name, fn, ctx);
	struct sl_diag diag = {0};
	char line[1400] = "out of memory";

	if (!c) {
		sl_cert_made_fini(m);
		return;
	}
	c->made = *m;
	*m = (struct sl_cert_made){.secret = NULL};
	if (sl_certs_stage(s->certs, name, &c->made, c->now_ms, &diag)) {
		if (diag.cnt)
			sl_diag_format(&diag.items[0], line, sizeof(line));
		sl_diag_fini(&diag);
		finish(c, "internal", false, "nothing was changed", line);
		return;
	}
	uint32_t bytes = (uint32_t)c->made.bytes;
	int fd = sl_memfd_secret(c->made.secret, c->made.bytes);
	sl_wipe_release(c->made.secret, c->made.bytes);
	c->made.secret = NULL;
	hand_over(c, fd, bytes);
}

void
sl_secrets_remove(struct sl_secrets *s, const char *name, sl_secrets_fn *fn, void *ctx)
{
	struct sl_cert_entry *e = sl_certs_find(s->certs, name);
	struct change *c = begin(s, REMOVE, e->info.kind, name, fn, ctx);

	if (!c)
		return;
	e->leaving = true;
	int err = sl_publish_forget(s->d->publish, c->kind, name, on_answer, c);
	if (err == -ENOTCONN) {
		commit(c, false);
	} else if (err) {
		drop(c);
		finish(c, "internal", false, "nothing was changed", strerror(-err));
	}
}

void
sl_secrets_put_tickets(struct sl_secrets *s, sl_secrets_fn *fn, void *ctx)
{
	struct change *c = begin(s, TICKETS, SL_SECRET_TICKETS, SL_TICKETS_NAME, fn, ctx);
	uint32_t bytes = 0;

	if (!c) {
		sl_tickets_drop(s->tickets);
		return;
	}
	int fd = sl_tickets_memfd(s->tickets, true, &bytes);
	hand_over(c, fd, bytes);
}

/* ---- time ---- */

static void
on_rotated(void *ctx, const struct sl_secrets_result *r)
{
	struct sl_secrets *s = ctx;

	if (r->code) {
		s->not_rotated_ms = sl_daemon_wall_ms();
		sl_daemon_say("tickets: not rotated: %s", r->text);
	} else {
		s->not_rotated_ms = 0;
		sl_daemon_say("tickets: rotated");
	}
}

static void
rotate_if_due(struct sl_secrets *s, int64_t now_ms)
{
	struct sl_diag diag = {0};
	int64_t since = sl_tickets_since(s->tickets);
	bool due =
		now_ms - since >= (int64_t)s->d->conf->ticket_rotate_ms || since > now_ms + DAY_MS;

	if (sl_tickets_installed(s->tickets) || !due ||
	    (s->not_rotated_ms && now_ms - s->not_rotated_ms < RETRY_MS))
		return;
	if (sl_tickets_rotate(s->tickets, now_ms, &diag) == 0) {
		sl_secrets_put_tickets(s, on_rotated, s);
	} else {
		s->not_rotated_ms = now_ms;
		sl_daemon_say("tickets: not rotated: %s", diag.cnt ? diag.items[0].text : "");
	}
	sl_diag_fini(&diag);
}

/* False: not to be spoken of. */
static bool
expiry_text(const struct sl_cert_entry *e, int64_t now_s, char *buf, size_t size)
{
	int64_t left = sl_cert_not_after(&e->info, now_s) - now_s;
	const char *what = e->info.kind == SL_SECRET_PAIR ? "certificate" : "bundle";

	if (left >= SL_CERT_SOON_S)
		return false;
	if (left <= 0)
		snprintf(buf, size,
			 "%s %s has expired, %" PRId64 " days ago (sluicectl cert replace %s)",
			 what, e->name, -left / 86400, e->name);
	else
		snprintf(buf, size, "%s %s expires in %" PRId64 " days (sluicectl cert replace %s)",
			 what, e->name, left / 86400, e->name);
	return true;
}

static void
say_expiry(struct sl_secrets *s, int64_t now_ms)
{
	unsigned cnt, said = 0;
	struct sl_cert_entry *const *e = sl_certs_list(s->certs, &cnt);
	char text[320];

	if (s->said_ms && now_ms - s->said_ms < DAY_MS && s->said_ms <= now_ms)
		return;
	s->said_ms = now_ms;
	for (unsigned i = 0; i < cnt; i++)
		if (expiry_text(e[i], now_ms / 1000, text, sizeof(text)) && said++ < LINES_MAX)
			sl_daemon_say("%s", text);
	if (said > LINES_MAX)
		sl_daemon_say("and %u more certificates that expire soon, or have",
			      said - LINES_MAX);
}

void
sl_secrets_tick(struct sl_secrets *s, int64_t now_ms)
{
	rotate_if_due(s, now_ms);
	say_expiry(s, now_ms);
}

void
sl_secrets_notes(const struct sl_secrets *s, int64_t now_ms,
		 void (*fn)(void *ctx, const char *text), void *ctx)
{
	unsigned cnt;
	struct sl_cert_entry *const *e = sl_certs_list(s->certs, &cnt);
	char text[1500];

	for (unsigned i = 0; i < cnt; i++) {
		if (expiry_text(e[i], now_ms / 1000, text, sizeof(text)))
			fn(ctx, text);
		if (e[i]->damaged) {
			snprintf(text, sizeof(text),
				 "certificate %s is not sent to the dataplane: its file is damaged "
				 "or "
				 "gone (sluicectl cert replace %s)",
				 e[i]->name, e[i]->name);
			fn(ctx, text);
		}
	}
	if (s->refused) {
		snprintf(text, sizeof(text), "the dataplane does not take %u secret%s: %s",
			 s->refused, s->refused == 1 ? "" : "s", s->refused_text);
		fn(ctx, text);
	}
}

/* ---- life ---- */

static void
on_tick(uv_timer_t *t)
{
	sl_secrets_tick(t->data, sl_daemon_wall_ms());
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

int
sl_secrets_create(struct sl_daemon *d, struct sl_diag *notes, struct sl_secrets **ret_secrets)
{
	struct sl_secrets *s = calloc(1, sizeof(*s));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	int err = s && timer ? 0 : -ENOMEM;

	if (!err)
		err = sl_certs_create(d->conf->state_dir, notes, &s->certs);
	if (!err)
		err = sl_tickets_create(d->conf->state_dir, sl_daemon_wall_ms(), notes,
					&s->tickets);
	if (err) {
		if (s)
			sl_certs_destroy(s->certs);
		free(s);
		free(timer);
		return err;
	}
	s->d = d;
	s->timer = timer;
	uv_timer_init(d->loop, timer);
	timer->data = s;
	uv_timer_start(timer, on_tick, 1000, TICK_MS);
	*ret_secrets = s;
	return 0;
}

void
sl_secrets_destroy(struct sl_secrets *s)
{
	if (!s)
		return;
	while (s->changes) {
		drop(s->changes);
		finish(s->changes, "unavailable", false, "nothing was changed", "sluiced ends");
	}
	uv_timer_stop(s->timer);
	uv_close((uv_handle_t *)s->timer, on_freed);
	sl_certs_destroy(s->certs);
	sl_tickets_destroy(s->tickets);
	free(s);
}

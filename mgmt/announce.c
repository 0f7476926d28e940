/* What is to be announced has a version.  The file has one, BIRD has one:
 *
 *   version ──▶ write ──▶ written ──▶ `configure`, asked ──▶ `show status` while it lasts ──▶ `show protocols` ──▶ done
 *
 * One command is under way at a time; a version that came meanwhile is next.  When the connection ends done is 0, so a BIRD
 * that comes is always asked once. */
#include "mgmt/announce.h"

#include "mgmt/announce_serving.h"
#include "mgmt/bird.h"
#include "mgmt/disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROTOCOLS "\"sluice_vip*\""
#define STATUS_MS 20 /* between two looks whether BIRD is done */

struct waiter {
	struct waiter *next;
	uint64_t until_ms;
	sl_announce_fn *fn;
	void *ctx;
};

struct sl_announce {
	uv_loop_t *loop;
	uv_timer_t *timer; /* closed by destroy, freed by its close callback */
	const struct sl_announce_conf *conf;
	struct sl_announce_events ev;
	char *drained_path;
	struct sl_announce_plan plan;
	uint8_t *health; /* [service_cnt] */
	uint32_t service_cnt;
	struct sl_serving serving;
	const char *not_serving;
	bool held; /* nothing is known of the dataplane yet: all stays as it is */
	bool stopping;
	bool drained;
	/* versions, see above; 0: none */
	uint64_t version, written, asked, done;
	uint64_t withdrawn;   /* the last that took a VIP back */
	uint64_t quiet_ms;    /* when `settle` is over after BIRD did that */
	uint64_t retry_ms;    /* not before, after something failed */
	bool busy, finishing; /* a command is under way; BIRD still works at the last one */
	struct sl_bird *bird; /* NULL: off */
	char error[512];      /* "": none */
	struct waiter *waiters;
};

static void pump(struct sl_announce *a);

static void say(struct sl_announce *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct sl_announce *a, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	a->ev.say(a->ev.ctx, line);
}

/* Said once, until it is another one; tried again later. */
static void failed(struct sl_announce *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
failed(struct sl_announce *a, const char *fmt, ...)
{
	char text[sizeof(a->error)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, a->error))
		say(a, "announce: %s", text);
	snprintf(a->error, sizeof(a->error), "%s", text);
	a->retry_ms = uv_now(a->loop) + SL_ANNOUNCE_RETRY_MS;
}

/* ---- who waits ---- */

/* Nothing leads here any more, as far as can be known. */
static bool
is_quiet(const struct sl_announce *a)
{
	if (!a->conf->on)
		return true;
	if (sl_announce_plan_cnt(&a->plan) > 0 || a->written != a->version)
		return false;
	/* no BIRD: its neighbours have seen its end, and it begins with the file */
	return sl_bird_absent(a->bird) || (a->done == a->version && uv_now(a->loop) >= a->quiet_ms);
}

static void
answer_waiters(struct sl_announce *a, const char *always)
{
	uint64_t now = uv_now(a->loop);
	bool quiet = is_quiet(a);

	for (struct waiter **at = &a->waiters; *at;) {
		struct waiter *w = *at;
		const char *why = quiet ? NULL : always;
		if (!quiet && !always && now < w->until_ms) {
			at = &w->next;
			continue;
		}
		if (!quiet && !always)
			why = a->error[0] ? a->error : "BIRD is not done with it";
		*at = w->next;
		w->fn(w->ctx, why);
		free(w);
	}
}

void
sl_announce_wait(struct sl_announce *a, uint32_t wait_ms, sl_announce_fn *fn, void *ctx)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		fn(ctx, "out of memory");
		return;
	}
	*w = (struct waiter){.next = a->waiters, .fn = fn, .ctx = ctx};
	w->until_ms = uv_now(a->loop) + wait_ms;
	a->waiters = w;
	answer_waiters(a, NULL);
}

/* ---- the file ---- */

static int
write_file(const char *path, const char *text, size_t len, struct sl_diag *diag)
{
	char tmp[1100];

	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	int err = sl_disk_create(tmp, text, len, diag);
	if (err)
		return err;
	/* BIRD is another user, and nothing in it is secret */
	if (chmod(tmp, 0644) == 0 && rename(tmp, path) == 0)
		return 0;
	err = -errno;
	sl_diag_add(diag, path, 0, NULL, NULL, "cannot be replaced: %s", strerror(-err));
	unlink(tmp);
	return err;
}

static bool
write_routes(struct sl_announce *a)
{
	struct sl_diag diag = {0};
	char *text = NULL, line[900];
	size_t len;

	int err = sl_announce_text(&a->plan, &text, &len);
	if (!err)
		err = write_file(a->conf->routes, text, len, &diag);
	free(text);
	if (!err) {
		a->written = a->version;
	} else if (diag.cnt) {
		sl_diag_format(&diag.items[0], line, sizeof(line));
		failed(a, "%s", line);
	} else {
		failed(a, "%s: %s", a->conf->routes, strerror(-err));
	}
	sl_diag_fini(&diag);
	return !err;
}

/* What is announced already, by us before a restart. */
static int
read_routes(struct sl_announce *a, struct sl_diag *diag)
{
	char *text;
	size_t len;
	int err = sl_disk_read(a->conf->routes, SL_ANNOUNCE_FILE_MAX, &text, &len, diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (len > 0 && !sl_announce_text_ours(text, len)) {
		sl_diag_add(diag, a->conf->routes, 0, "announce.routes",
			    "name another file, or remove this one",
			    "is not a file that sluiced wrote: it would be overwritten");
		err = -EEXIST;
	} else if (sl_announce_plan_read(&a->plan, text, len) == 0) {
		a->written = a->version;
	} /* else: damaged, and written anew */
	free(text);
	return err;
}

/* ---- BIRD ---- */

static void wake(struct sl_announce *a, uint64_t in_ms);

/* BIRD has what was asked for. */
static void
confirmed(struct sl_announce *a)
{
	bool back = a->done < a->withdrawn && a->asked >= a->withdrawn;

	a->done = a->asked;
	if (back)
		a->quiet_ms = uv_now(a->loop) + a->conf->settle_ms;
	if (a->done != a->version)
		return;
	sl_announce_plan_prune(&a->plan);
	for (uint32_t i = 0; i < a->plan.cnt; i++)
		a->plan.vips[i].told = a->plan.vips[i].announced;
	say(a, "announce: BIRD announces %u of %u VIPs", sl_announce_plan_cnt(&a->plan),
	    a->plan.cnt);
}

static bool
protocol_up(const char *all, const char *name)
{
	const char *at = strstr(all, name), *end = at ? strchr(at, '\n') : NULL;
	const char *up = at ? strstr(at, " up ") : NULL;

	return up && end && up < end;
}

static void
on_protocols(void *ctx, const struct sl_bird_answer *r)
{
	struct sl_announce *a = ctx;

	a->busy = false;
	if (r && protocol_up(r->all, "sluice_vip4") && protocol_up(r->all, "sluice_vip6")) {
		a->error[0] = 0;
		confirmed(a);
	} else if (r) {
		failed(a,
		       "BIRD does not have the protocols sluice_vip4 and sluice_vip6 up: does "
		       "bird.conf say include \"%s\"; ?",
		       a->conf->routes);
	}
	wake(a, 0);
}

static void
on_disabled(void *ctx, const struct sl_bird_answer *r)
{
	struct sl_announce *a = ctx;

	a->busy = false;
	if (r && r->code == 0 && a->asked == a->version) {
		say(a, "announce: both protocols were disabled instead: nothing is announced");
		confirmed(a);
	}
	wake(a, 0);
}

static void
ask(struct sl_announce *a, const char *command, sl_bird_fn *fn)
{
	a->busy = sl_bird_ask(a->bird, command, fn, a) == 0;
}

/* BIRD refuses, as a rule because of what stands elsewhere in its configuration.  A withdrawal of all does not need it. */
static void
refused(struct sl_announce *a, const struct sl_bird_answer *r)
{
	failed(a, "BIRD refuses to configure: %04u %s", r->code, r->text);
	if (a->asked == a->version && sl_announce_plan_cnt(&a->plan) == 0 && a->done < a->withdrawn)
		ask(a, "disable " PROTOCOLS, on_disabled);
}

static void
on_status(void *ctx, const struct sl_bird_answer *r)
{
	struct sl_announce *a = ctx;

	a->busy = false;
	if (r && strstr(r->all, "Reconfiguration in progress"))
		wake(a, STATUS_MS);
	else if (r) {
		a->finishing = false;
		ask(a, "show protocols " PROTOCOLS, on_protocols);
	}
}

static void
on_configured(void *ctx, const struct sl_bird_answer *r)
{
	struct sl_announce *a = ctx;

	a->busy = false;
	if (r && r->code == 3) {
		ask(a, "show protocols " PROTOCOLS, on_protocols);
	} else if (r && (r->code == 4 || r->code == 5)) { /* it goes on beside us */
		a->finishing = true;
		ask(a, "show status", on_status);
	} else if (r) {
		refused(a, r);
	}
	wake(a, 0);
}

static void
pump(struct sl_announce *a)
{
	if (!a->conf->on || uv_now(a->loop) < a->retry_ms)
		return;
	if (a->written != a->version && !write_routes(a))
		return;
	if (a->busy || !sl_bird_greeting(a->bird))
		return;
	if (a->finishing) {
		ask(a, "show status", on_status);
	} else if (a->done != a->version) {
		a->asked = a->version;
		ask(a, "configure", on_configured);
	}
}

static void
on_bird_up(void *ctx, const char *greeting)
{
	struct sl_announce *a = ctx;

	say(a, "announce: connected to BIRD: %s", greeting);
	a->error[0] = 0;
	a->retry_ms = 0;
	wake(a, 0);
}

static void
on_bird_down(void *ctx, const char *why)
{
	struct sl_announce *a = ctx;

	say(a, "announce: %s", why);
	a->done = 0;
	a->finishing = false;
	for (uint32_t i = 0; i < a->plan.cnt; i++)
		a->plan.vips[i].told = false;
	wake(a, 0);
}

static void
on_bird_trouble(void *ctx, const char *why)
{
	struct sl_announce *a = ctx;

	say(a, "announce: %s", why);
	wake(a, 0);
}

/* ---- looking ---- */

static void
say_changes(struct sl_announce *a, uint64_t now)
{
	char prefix[SL_PREFIX_STRLEN];

	for (uint32_t i = 0; i < a->plan.cnt; i++) {
		const struct sl_announce_vip *v = &a->plan.vips[i];
		if (v->changed_ms == now)
			say(a, "announce: %s is to be %s: %s",
			    sl_prefix_format(&v->addr, v->plen, prefix),
			    v->announced ? "announced" : "withdrawn", v->why);
	}
}

/* When to look again because of time alone. */
static uint64_t
look(struct sl_announce *a)
{
	uint64_t now = uv_now(a->loop), next = UINT64_MAX;
	bool withdrawn = false;

	a->not_serving = sl_serving_look(&a->serving, a->ev.generation(a->ev.ctx), now);
	if (a->stopping)
		a->not_serving = "the dataplane is about to end";
	if (a->held)
		return UINT64_MAX;
	if (a->service_cnt)
		memset(a->health, SL_ANNOUNCE_DEAD, a->service_cnt);
	a->ev.health(a->ev.ctx, a->health);
	const struct sl_announce_facts f = {a->not_serving, a->drained, a->health};
	if (sl_announce_plan_step(&a->plan, &f, now, a->conf->settle_ms, &next, &withdrawn)) {
		a->version++;
		a->withdrawn = withdrawn ? a->version : a->withdrawn;
		say_changes(a, now);
		a->retry_ms = withdrawn ? 0 : a->retry_ms;
	}
	return next;
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_announce *a = t->data;
	uint64_t now = uv_now(a->loop), next = look(a);

	pump(a);
	answer_waiters(a, NULL);
	next = SL_MIN(next, now + SL_SERVING_LOOK_MS);
	if (a->waiters && a->quiet_ms > now)
		next = SL_MIN(next, a->quiet_ms);
	if (a->finishing && !a->busy)
		next = SL_MIN(next, now + STATUS_MS);
	wake(a, next > now ? next - now : 1);
}

static void
wake(struct sl_announce *a, uint64_t in_ms)
{
	if (a->conf->on)
		uv_timer_start(a->timer, on_timer, in_ms, 0);
}

void
sl_announce_look(struct sl_announce *a)
{
	wake(a, 0);
}

void
sl_announce_table(struct sl_announce *a, const struct sl_conf *c)
{
	uint32_t cnt = c ? c->service_cnt : 0;

	if (!a->conf->on)
		return;
	uint8_t *health = calloc(cnt + 1u, 1);
	if (!health || sl_announce_plan_set(&a->plan, c)) {
		free(health);
		say(a, "announce: out of memory: the VIPs of the table before go on");
		return;
	}
	free(a->health);
	a->health = health;
	a->service_cnt = cnt;
	wake(a, 0);
}

void
sl_announce_link(struct sl_announce *a, const void *stats, size_t bytes)
{
	sl_serving_attach(&a->serving, stats, bytes, uv_now(a->loop));
	a->held = false;
	if (stats)
		a->stopping = false;
	wake(a, 0);
}

void
sl_announce_stopping(struct sl_announce *a, uint32_t wait_ms, sl_announce_fn *fn, void *ctx)
{
	a->stopping = true;
	a->held = false;
	if (a->conf->on) {
		look(a);
		pump(a);
	}
	sl_announce_wait(a, wait_ms, fn, ctx);
}

/* ---- drain ---- */

static int
keep_drained(struct sl_announce *a, const char *who, int64_t wall_ms, struct sl_diag *diag)
{
	json_t *o = json_pack("{s:s, s:I}", "user", who, "wall_ms", (json_int_t)wall_ms);
	char *text = o ? json_dumps(o, 0) : NULL;
	int err = text ? sl_disk_write(a->drained_path, text, strlen(text), diag) : -ENOMEM;

	free(text);
	json_decref(o);
	return err;
}

static int
forget_drained(struct sl_announce *a, struct sl_diag *diag)
{
	if (unlink(a->drained_path) == 0 || errno == ENOENT)
		return 0;
	int err = -errno;
	sl_diag_add(diag, a->drained_path, 0, NULL, NULL, "cannot be removed: %s", strerror(-err));
	return err;
}

int
sl_announce_drain(struct sl_announce *a, bool drained, const char *who, int64_t wall_ms,
		  bool *ret_changed, struct sl_diag *diag)
{
	bool changed = a->drained != drained;
	int err = !changed  ? 0
		  : drained ? keep_drained(a, who, wall_ms, diag)
			    : forget_drained(a, diag);

	if (err)
		return err;
	a->drained = drained;
	*ret_changed = changed;
	if (a->conf->on) {
		look(a);
		pump(a);
		wake(a, 0);
	}
	return 0;
}

bool
sl_announce_drained(const struct sl_announce *a)
{
	return a->drained;
}

/* ---- what is shown ---- */

static json_t *
listeners_of(const struct sl_announce_vip *v, const struct sl_conf *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; c && i < c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &c->listeners[i];
		if (l->announce > SL_ANNOUNCE_NEVER && l->plen == v->plen &&
		    sl_addr_eq(&l->addr, &v->addr))
			json_array_append_new(list, json_string(l->name));
	}
	return list;
}

static const char *
state_of(const struct sl_announce *a, const struct sl_announce_vip *v)
{
	if (v->announced)
		return v->told ? "announced" : "waiting";
	return a->done == a->version || sl_bird_absent(a->bird) ? "withdrawn" : "withdrawing";
}

json_t *
sl_announce_show(const struct sl_announce *a, const struct sl_conf *c)
{
	json_t *vips = json_array();
	char prefix[SL_PREFIX_STRLEN];
	const char *greeting = a->bird ? sl_bird_greeting(a->bird) : NULL;
	const char *error = a->error;

	if (a->bird && !greeting)
		error = sl_bird_trouble(a->bird);
	for (uint32_t i = 0; i < a->plan.cnt; i++) {
		const struct sl_announce_vip *v = &a->plan.vips[i];
		json_array_append_new(vips, json_pack("{s:s, s:s, s:o, s:s, s:s}", "vip",
						      sl_prefix_format(&v->addr, v->plen, prefix),
						      "policy", sl_announce_name(v->policy),
						      "listeners", listeners_of(v, c), "state",
						      state_of(a, v), "why", v->why ? v->why : ""));
	}
	return json_pack("{s:b, s:s, s:s, s:i, s:s?, s:s?, s:b, s:s?, s:b, s:o}", "on", a->conf->on,
			 "bird_socket", a->conf->bird_socket, "routes", a->conf->routes,
			 "settle_ms", (int)a->conf->settle_ms, "bird", greeting, "error",
			 *error ? error : NULL, "serving", !a->not_serving, "not_serving",
			 a->not_serving, "drained", a->drained, "vips", vips);
}

const struct sl_announce_plan *
sl_announce_plan_of(const struct sl_announce *a)
{
	return &a->plan;
}

bool
sl_announce_bird_up(const struct sl_announce *a)
{
	return a->bird && sl_bird_greeting(a->bird);
}

/* ---- life ---- */

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

static int
open_bird(struct sl_announce *a, struct sl_diag *diag)
{
	const struct sl_bird_events ev = {on_bird_up, on_bird_down, on_bird_trouble, a};
	int err = read_routes(a, diag);

	if (err)
		return err;
	if (a->written != a->version)
		write_routes(a); /* bird.conf includes it: a BIRD that starts must find it */
	err = sl_bird_create(a->loop, a->conf->bird_socket, &ev, &a->bird);
	if (!err)
		wake(a, 0);
	return err;
}

int
sl_announce_create(uv_loop_t *loop, const struct sl_announce_conf *conf, const char *state_dir,
		   const struct sl_announce_events *ev, struct sl_diag *diag,
		   struct sl_announce **ret_announce)
{
	struct sl_announce *a = calloc(1, sizeof(*a));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	char path[1200];

	snprintf(path, sizeof(path), "%s/drained", state_dir);
	if (!a || !timer || !(a->drained_path = strdup(path))) {
		free(a);
		free(timer);
		return -ENOMEM;
	}
	a->loop = loop;
	a->conf = conf;
	a->ev = *ev;
	a->version = 1;
	a->held = true;
	a->drained = access(path, F_OK) == 0; /* whatever is in it */
	a->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = a;
	a->health = calloc(1, 1);
	*ret_announce = a; /* destroyed by the caller in any case */
	if (!a->health)
		return -ENOMEM;
	if (a->drained)
		say(a, "announce: the gateway is drained, since before this start: see gateway "
		       "undrain");
	return conf->on ? open_bird(a, diag) : 0;
}

void
sl_announce_destroy(struct sl_announce *a)
{
	if (!a)
		return;
	answer_waiters(a, "sluiced ends");
	sl_bird_destroy(a->bird);
	uv_timer_stop(a->timer);
	uv_close((uv_handle_t *)a->timer, on_closed);
	sl_announce_plan_fini(&a->plan);
	free(a->health);
	free(a->drained_path);
	free(a);
}

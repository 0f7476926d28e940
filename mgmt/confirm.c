#include "mgmt/confirm.h"

#include "mgmt/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct sl_confirm {
	uv_loop_t *loop;
	uv_timer_t *timer; /* closed by destroy, freed by its close callback */
	char *path;
	void (*due)(void *ctx, const struct sl_confirm_wait *w);
	void *ctx;
	struct sl_confirm_wait wait; /* left_ms aside */
	uint64_t until;              /* ms of the loop */
};

static int64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint32_t
left_ms(const struct sl_confirm *c)
{
	uint64_t now = uv_now(c->loop);

	return now < c->until ? (uint32_t)(c->until - now) : 0;
}

static void
on_timer(uv_timer_t *timer)
{
	struct sl_confirm *c = timer->data;
	const struct sl_confirm_wait w = sl_confirm_get(c);

	if (!w.generation)
		return;
	uv_timer_start(timer, on_timer, w.left_ms ? w.left_ms : SL_CONFIRM_AGAIN_MS, 0);
	if (w.left_ms == 0)
		c->due(c->ctx, &w);
}

/* ---- the disk ---- */

static void
save(struct sl_confirm *c, struct sl_diag *diag)
{
	json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "generation", (json_int_t)c->wait.generation,
			      "back_to", (json_int_t)c->wait.back_to, "given_s",
			      (json_int_t)c->wait.given_s, "until_ms",
			      (json_int_t)(wall_ms() + left_ms(c)));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (text)
		sl_disk_write(c->path, text, strlen(text), diag);
	else
		sl_diag_add(diag, c->path, 0, NULL, NULL, "out of memory");
	free(text);
	json_decref(o);
}

static void
load(struct sl_confirm *c, struct sl_diag *notes)
{
	json_int_t generation, back_to, given_s, until_ms;
	size_t len = 0;
	char *text;

	if (sl_disk_read(c->path, 4096, &text, &len, notes))
		return;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (!o ||
	    json_unpack(o, "{s:I, s:I, s:I, s:I !}", "generation", &generation, "back_to", &back_to,
			"given_s", &given_s, "until_ms", &until_ms) ||
	    generation < 1 || back_to < 1 || given_s < 1 || given_s > SL_CONFIRM_MAX_S) {
		sl_diag_add(notes, c->path, 0, NULL, "see: show generations",
			    "not what sluiced writes: nothing waits to be confirmed any more");
		unlink(c->path);
	} else {
		int64_t left = until_ms - wall_ms();
		left = SL_MAX(0, SL_MIN(left, (int64_t)given_s * 1000));
		c->wait = (struct sl_confirm_wait){
			.generation = (uint64_t)generation,
			.back_to = (uint64_t)back_to,
			.given_s = (uint32_t)given_s,
		};
		c->until = uv_now(c->loop) + (uint64_t)left;
		uv_timer_start(c->timer, on_timer, (uint64_t)left, 0);
	}
	json_decref(o);
}

/* ---- from outside ---- */

int
sl_confirm_create(uv_loop_t *loop, const char *state_dir,
		  void (*due)(void *ctx, const struct sl_confirm_wait *w), void *ctx,
		  struct sl_diag *notes, struct sl_confirm **ret_confirm)
{
	struct sl_confirm *c = calloc(1, sizeof(*c));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	char *path = NULL;

	if (!c || !timer || asprintf(&path, "%s/confirm.json", state_dir) < 0) {
		free(c);
		free(timer);
		return -ENOMEM;
	}
	*c = (struct sl_confirm){
		.loop = loop, .timer = timer, .path = path, .due = due, .ctx = ctx};
	uv_timer_init(loop, timer);
	timer->data = c;
	load(c, notes);
	*ret_confirm = c;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_confirm_destroy(struct sl_confirm *c)
{
	if (!c)
		return;
	uv_timer_stop(c->timer);
	uv_close((uv_handle_t *)c->timer, on_freed);
	free(c->path);
	free(c);
}

void
sl_confirm_begin(struct sl_confirm *c, uint64_t generation, uint64_t back_to, uint32_t given_s,
		 struct sl_diag *diag)
{
	c->wait = (struct sl_confirm_wait){
		.generation = generation,
		.back_to = back_to,
		.given_s = given_s,
	};
	uv_update_time(c->loop);
	c->until = uv_now(c->loop) + given_s * 1000ull;
	save(c, diag);
	uv_timer_start(c->timer, on_timer, given_s * 1000ull, 0);
}

void
sl_confirm_end(struct sl_confirm *c, struct sl_diag *diag)
{
	c->wait = (struct sl_confirm_wait){0};
	uv_timer_stop(c->timer);
	if (unlink(c->path) && errno != ENOENT)
		sl_diag_add(diag, c->path, 0, NULL, "remove it", "cannot be removed: %s",
			    strerror(errno));
}

void
sl_confirm_renumber(struct sl_confirm *c, uint64_t from, uint64_t to, struct sl_diag *diag)
{
	if (c->wait.generation != from)
		return;
	c->wait.generation = to;
	save(c, diag);
}

struct sl_confirm_wait
sl_confirm_get(const struct sl_confirm *c)
{
	struct sl_confirm_wait w = c->wait;

	w.left_ms = w.generation ? left_ms(c) : 0;
	return w;
}

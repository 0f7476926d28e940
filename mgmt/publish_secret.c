/* In order with offers: each is noted as a wait when it is queued, and taken out when its answer comes or its time is up. */
#include "mgmt/publish_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A SECRET or FORGET that is not answered yet. */
struct sl_publish_wait {
	struct sl_publish_wait *next;
	uint32_t seq;
	uint64_t deadline; /* UINT64_MAX: not sent yet */
	uint32_t kind;
	char name[SL_NAME_MAX];
	sl_publish_secret_fn *fn;
	void *ctx;
};

static void
answer_wait(struct sl_publish_wait *w, int err, int error, const char *text)
{
	if (w->fn)
		w->fn(w->ctx, w->kind, w->name, err, error, text);
	free(w);
}

/* The one of that seq, taken out; NULL: given up. */
static struct sl_publish_wait *
take_wait(struct sl_publish *p, uint32_t seq)
{
	for (struct sl_publish_wait **at = &p->waits.head; *at; at = &(*at)->next) {
		struct sl_publish_wait *w = *at;
		if (w->seq != seq)
			continue;
		*at = w->next;
		if (!*at)
			p->waits.tail = at;
		return w;
	}
	return NULL;
}

void
sl_publish_end_waits(struct sl_publish *p, int err, uint64_t due)
{
	struct sl_publish_wait *all = p->waits.head, *next;

	p->waits.head = NULL;
	p->waits.tail = &p->waits.head;
	for (struct sl_publish_wait *w = all; w; w = next) {
		next = w->next;
		w->next = NULL;
		if (due != UINT64_MAX && w->deadline > due) {
			*p->waits.tail = w;
			p->waits.tail = &w->next;
		} else {
			answer_wait(w, err, 0, NULL);
		}
	}
}

void
sl_publish_drop_waits(struct sl_publish *p)
{
	while (p->waits.head)
		free(take_wait(p, p->waits.head->seq));
}

bool
sl_publish_fetch_secret(struct sl_publish *p, struct sl_ctl_secret *m, int *fd)
{
	if (*fd < 0)
		*fd = p->ev.secret(p->ev.ctx, m->kind, m->name, &m->bytes);
	for (struct sl_publish_wait *w = p->waits.head; w && *fd >= 0; w = w->next)
		if (w->seq == m->head.seq) {
			w->deadline = uv_now(p->loop) + SL_PUBLISH_SECRET_MS;
			break;
		}
	if (*fd < 0)
		free(take_wait(p, m->head.seq));
	return *fd >= 0;
}

void
sl_publish_take_secret_ack(struct sl_publish *p, const struct sl_ctl_secret_ack *m)
{
	char text[SL_CTL_TEXT_MAX + 1];
	struct sl_publish_wait *w = take_wait(p, m->head.seq);

	snprintf(text, sizeof(text), "%.*s", (int)m->text_len, (const char *)(m + 1));
	if (w)
		answer_wait(w, 0, (int)SL_MIN(m->error, (uint32_t)INT32_MAX), text);
}

static int
note_wait(struct sl_publish *p, uint32_t seq, uint32_t kind, const char *name, bool later,
	  sl_publish_secret_fn *fn, void *ctx)
{
	struct sl_publish_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct sl_publish_wait){.seq = seq, .kind = kind, .fn = fn, .ctx = ctx};
	w->deadline = later ? UINT64_MAX : uv_now(p->loop) + SL_PUBLISH_SECRET_MS;
	snprintf(w->name, sizeof(w->name), "%s", name);
	*p->waits.tail = w;
	p->waits.tail = &w->next;
	return 0;
}

static int
send_secret(struct sl_publish *p, struct sl_ctl_secret *m, const char *name, int fd, bool later,
	    sl_publish_secret_fn *fn, void *ctx)
{
	sl_ctl_init(&m->head, SL_CTL_SECRET, sizeof(*m), sl_publish_next_seq(p));
	snprintf(m->name, sizeof(m->name), "%s", name);
	int err = note_wait(p, m->head.seq, m->kind, name, later, fn, ctx);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		err = sl_publish_queue_later(p, m, sizeof(*m), fd, later);
	if (err)
		free(take_wait(p, m->head.seq));
	return err;
}

int
sl_publish_secret(struct sl_publish *p, uint32_t kind, const char *name, int fd, uint32_t bytes,
		  sl_publish_secret_fn *fn, void *ctx)
{
	struct sl_ctl_secret m = {.kind = kind, .bytes = bytes};

	if (p->phase == SL_PUBLISH_UP)
		return send_secret(p, &m, name, fd, false, fn, ctx);
	close(fd);
	return -ENOTCONN;
}

int
sl_publish_secret_later(struct sl_publish *p, uint32_t kind, const char *name,
			sl_publish_secret_fn *fn, void *ctx)
{
	struct sl_ctl_secret m = {.kind = kind};

	return p->phase == SL_PUBLISH_UP ? send_secret(p, &m, name, -1, true, fn, ctx) : -ENOTCONN;
}

int
sl_publish_forget(struct sl_publish *p, uint32_t kind, const char *name, sl_publish_secret_fn *fn,
		  void *ctx)
{
	struct sl_ctl_forget m = {.kind = kind};

	if (p->phase != SL_PUBLISH_UP)
		return -ENOTCONN;
	sl_ctl_init(&m.head, SL_CTL_FORGET, sizeof(m), sl_publish_next_seq(p));
	snprintf(m.name, sizeof(m.name), "%s", name);
	int err = note_wait(p, m.head.seq, kind, name, false, fn, ctx);
	if (!err)
		err = sl_publish_queue(p, &m, sizeof(m), -1);
	if (err)
		free(take_wait(p, m.head.seq));
	return err;
}

#include "mgmt/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 50

struct sl_walk_queue {
	uv_loop_t *loop;
	uv_timer_t *timer;
	struct sl_walk *running;
	struct sl_walk *head, **tail; /* waiting */
	unsigned waiting;
};

static void start_next(struct sl_walk_queue *q);

static void
finish(struct sl_walk *w, json_t *a)
{
	sl_call_answer(w->r.call, a);
	if (w->fd >= 0)
		close(w->fd);
	w->kind->free(w);
}

void
sl_walk_refuse(struct sl_walk *w, json_t *error)
{
	w->fd = -1;
	finish(w, error);
}

/* ---- the walk, in the pool ---- */

static int
walk(struct sl_walk *w)
{
	uint64_t start = uv_hrtime();
	struct stat st;
	int seals = fcntl(w->fd, F_GET_SEALS); /* -1: no memfd, and all bits set */

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(w->fd, &st) ||
	    (uint64_t)st.st_size < w->bytes || w->bytes == 0 || w->bytes % w->kind->align) {
		w->why = "its size is wrong or may change";
		return -EINVAL;
	}
	void *m = mmap(NULL, w->bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, w->fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	int err = w->kind->run(w, m, w->bytes, &w->why);
	munmap(m, w->bytes);
	w->took_ns = uv_hrtime() - start;
	return err;
}

static void
on_walk(uv_work_t *work)
{
	struct sl_walk *w = work->data;
	w->err = walk(w);
}

static json_t *
outcome(const struct sl_walk *w)
{
	if (w->err == 0)
		return w->kind->answer(w);
	if (w->err == -EINVAL)
		return sl_call_error(
			w->r.verb, "unavailable", "install the same release of both programs",
			"the dataplane's %s region cannot be read: %s", w->kind->what, w->why);
	return sl_call_error(w->r.verb, "internal", NULL, "the %s region was not read: %s",
			     w->kind->what, strerror(-w->err));
}

static void
on_walked(uv_work_t *work, int status)
{
	struct sl_walk *w = work->data;
	struct sl_walk_queue *q = w->queue;
	(void)status; /* nobody cancels the work itself */

	q->running = NULL;
	finish(w, outcome(w));
	start_next(q);
}

/* ---- the queue ---- */

static json_t *
nobody(const struct sl_walk *w)
{
	return sl_call_error(w->r.verb, "internal", NULL, "nobody waits for the answer");
}

static struct sl_walk *
pop(struct sl_walk_queue *q, struct sl_walk **link)
{
	struct sl_walk *w = *link;

	*link = w->next;
	if (q->tail == &w->next)
		q->tail = link;
	q->waiting--;
	return w;
}

static void
start_next(struct sl_walk_queue *q)
{
	while (!q->running && q->head) {
		struct sl_walk *w = pop(q, &q->head);
		int fd = -1;

		if (sl_call_gone(w->r.call)) {
			finish(w, nobody(w));
			continue;
		}
		if (w->kind->region(w->r.d->publish, &fd, &w->bytes))
			w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (w->fd >= 0 && uv_queue_work(q->loop, &w->work, on_walk, on_walked) == 0)
			q->running = w;
		else
			finish(w, sl_call_error(w->r.verb, "unavailable", "see: status",
						"there is no %s region to be read", w->kind->what));
	}
	if (!q->running)
		uv_timer_stop(q->timer);
}

static void
on_look(uv_timer_t *t)
{
	struct sl_walk_queue *q = t->data;
	struct sl_walk **link = &q->head;

	if (q->running && sl_call_gone(q->running->r.call))
		atomic_store_explicit(&q->running->cancel, true, memory_order_relaxed);
	while (*link) {
		if (sl_call_gone((*link)->r.call)) {
			struct sl_walk *w = pop(q, link);
			finish(w, nobody(w));
		} else {
			link = &(*link)->next;
		}
	}
}

int
sl_walk_queue_create(uv_loop_t *loop, struct sl_walk_queue **ret_queue)
{
	struct sl_walk_queue *q = calloc(1, sizeof(*q));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!q || !timer) {
		free(q);
		free(timer);
		return -ENOMEM;
	}
	q->loop = loop;
	q->tail = &q->head;
	q->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = q;
	*ret_queue = q;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_walk_queue_destroy(struct sl_walk_queue *q)
{
	if (!q)
		return;
	uv_close((uv_handle_t *)q->timer, on_freed);
	free(q);
}

bool
sl_walk_queue_busy(const struct sl_walk_queue *q)
{
	return q && (q->running || q->head);
}

void
sl_walk_ask(struct sl_walk *w)
{
	struct sl_walk_queue *q = w->r.d->walk_queue;

	if (q->waiting >= SL_WALK_WAITING) {
		sl_walk_refuse(w, sl_call_error(w->r.verb, "busy", "try again in a moment",
						"%u questions about flows and streams wait already",
						q->waiting));
		return;
	}
	w->fd = -1;
	w->queue = q;
	w->work.data = w;
	*q->tail = w;
	q->tail = &w->next;
	q->waiting++;
	uv_timer_start(q->timer, on_look, LOOK_MS, LOOK_MS);
	start_next(q);
}

/* ---- request → filter ---- */

json_t *
sl_walk_invalid(const struct sl_verb_run *r, const char *key, const char *why)
{
	return sl_call_error(r->verb, "invalid", NULL, "%s: %s", key, why);
}

const char *
sl_walk_take_prefix(const char *text, struct sl_addr *ret_addr, uint8_t *ret_plen,
		    uint8_t *ret_family)
{
	unsigned plen = 128;

	if (!text)
		return NULL;
	if (!strchr(text, '/') ? sl_addr_parse(text, ret_addr)
			       : sl_addr_parse_prefix(text, ret_addr, &plen))
		return "no address, and no prefix (192.0.2.0/24) without bits behind its length";
	*ret_plen = (uint8_t)plen;
	*ret_family = sl_addr_is_v4(ret_addr) && plen >= 96 ? 4 : 6;
	return NULL;
}

static bool
service_known(const struct sl_table *t, const char *name)
{
	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++)
		if (strcmp(t->conf->services[i].name, name) == 0)
			return true;
	return false;
}

json_t *
sl_walk_take_endpoints(const struct sl_verb_run *r, uint32_t **ret_slots)
{
	const char *service = sl_verb_text(r, "service"), *name = sl_verb_text(r, "endpoint");
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(r->d->oper, &cnt);

	*ret_slots = NULL;
	if (name && !service)
		return sl_walk_invalid(r, "endpoint", "needs the service, too");
	if (!service)
		return NULL;
	if (!service_known(sl_tables_active(r->d->tables), service))
		return sl_call_error(r->verb, "not_found", "see: show services",
				     "no service %s in the active table", service);
	if (name && !sl_oper_find(r->d->oper, service, name))
		return sl_call_error(r->verb, "not_found", "see: show endpoints",
				     "no endpoint %s/%s in the active table", service, name);
	uint32_t *slots = calloc(SL_MAX_ENDPOINTS, sizeof(*slots));
	if (!slots)
		return sl_call_error(r->verb, "internal", NULL, "out of memory");
	for (uint32_t i = 0; i < cnt; i++)
		if (strcmp(e[i].service, service) == 0 && (!name || strcmp(e[i].name, name) == 0) &&
		    e[i].at.slot < SL_MAX_ENDPOINTS)
			slots[e[i].at.slot] = e[i].at.incarnation;
	*ret_slots = slots;
	return NULL;
}

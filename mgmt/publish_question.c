/* Each has one of SL_PUBLISH_EXPLAINS places, and a seq that its answers return; one that was given up is known no more, and answers
 * to it are dropped.  It is over before its last answer is told, whose callback may ask again. */
#include "mgmt/publish_priv.h"

#include <errno.h>
#include <stdio.h>

static void
answer_question(struct sl_publish_question *at, int err, const struct sl_ctl_explained *e,
		const struct sl_ctl_explained_http *http, const char *why)
{
	struct sl_publish_question q = *at;

	at->seq = 0; /* the callback may ask again */
	if (q.fn)
		q.fn(q.ctx, err, e, why);
	else if (q.port)
		q.port(q.ctx, err, NULL, why);
	else if (q.shadow)
		q.shadow(q.ctx, err, NULL, NULL, why);
	else
		q.http(q.ctx, err, http, why);
}

static void
answer_upgrade(struct sl_publish *p, int err, int error, const char *text)
{
	sl_publish_upgrade_fn *fn = p->upgrade.fn;

	if (p->upgrade.seq == 0)
		return;
	p->upgrade.seq = 0;
	fn(p->upgrade.ctx, err, error, text);
}

void
sl_publish_end_questions(struct sl_publish *p, int err, uint64_t due)
{
	for (unsigned i = 0; i < SL_PUBLISH_EXPLAINS; i++) {
		struct sl_publish_question *q = &p->questions[i];
		if (q->seq && q->deadline <= due)
			answer_question(q, err, NULL, NULL, NULL);
	}
	if (p->upgrade.deadline <= due)
		answer_upgrade(p, err, 0, NULL);
}

/* The question of that seq and kind; NULL: given up. */
static struct sl_publish_question *
find_question(struct sl_publish *p, uint32_t seq)
{
	for (unsigned i = 0; i < SL_PUBLISH_EXPLAINS; i++)
		if (p->questions[i].seq && p->questions[i].seq == seq)
			return &p->questions[i];
	return NULL;
}

void
sl_publish_refuse_question(struct sl_publish *p, uint32_t seq, const char *why)
{
	struct sl_publish_question *q = find_question(p, seq);

	if (q)
		answer_question(q, -EREMOTEIO, NULL, NULL, why);
}

const char *
sl_publish_take_explained(struct sl_publish *p, const struct sl_ctl_head *h)
{
	struct sl_publish_question *q = find_question(p, h->seq);
	bool http = h->type == SL_CTL_EXPLAINED_HTTP;

	if (q && (q->port || q->shadow || http != (q->http != NULL)))
		return "an answer to another question than was asked";
	if (q && http)
		answer_question(q, 0, NULL, (const void *)h, NULL);
	else if (q)
		answer_question(q, 0, (const void *)h, NULL, NULL);
	return NULL;
}

/* The last of several answers ends the question. */
const char *
sl_publish_take_port(struct sl_publish *p, const struct sl_ctl_port *m)
{
	struct sl_publish_question *q = find_question(p, m->head.seq);

	if (m->port >= p->link.port_cnt)
		return "PORT of a port that there is not";
	if (!q)
		return NULL;
	if (!q->port)
		return "an answer to another question than was asked";
	struct sl_publish_question asked = *q;
	if (m->last)
		q->seq = 0; /* the callback may ask again */
	asked.port(asked.ctx, 0, m, NULL);
	return NULL;
}

/* The counts say how many examples follow. */
const char *
sl_publish_take_shadow(struct sl_publish *p, const struct sl_ctl_shadow_counts *c,
		       const struct sl_ctl_shadow_example *e)
{
	struct sl_publish_question *q = find_question(p, c ? c->head.seq : e->head.seq);

	if (!q)
		return NULL;
	if (!q->shadow || (c != NULL) != (q->left == 0))
		return "an answer to another question than was asked";
	q->left = c ? c->example_cnt + 1 : q->left;
	struct sl_publish_question asked = *q;
	if (--q->left == 0)
		q->seq = 0; /* the callback may ask again */
	asked.shadow(asked.ctx, 0, c, e, NULL);
	return NULL;
}

void
sl_publish_take_upgraded(struct sl_publish *p, const struct sl_ctl_upgraded *m)
{
	char text[SL_CTL_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)m->text_len, (const char *)(m + 1));
	if (m->head.seq == p->upgrade.seq)
		answer_upgrade(p, 0, (int)SL_MIN(m->error, (uint32_t)INT32_MAX), text);
}

/* Sends a question that was made but for its head, and notes it. */
static int
ask(struct sl_publish *p, enum sl_ctl_type type, void *msg, size_t bytes,
    struct sl_publish_question noted)
{
	struct sl_publish_question *q = NULL;

	if (p->phase != SL_PUBLISH_UP)
		return -ENOTCONN;
	for (unsigned i = 0; i < SL_PUBLISH_EXPLAINS && !q; i++)
		q = p->questions[i].seq ? NULL : &p->questions[i];
	if (!q)
		return -EBUSY;
	noted.seq = sl_publish_next_seq(p);
	noted.deadline = uv_now(p->loop) + SL_PUBLISH_EXPLAIN_MS;
	sl_ctl_init(msg, type, bytes, noted.seq);
	int err = sl_publish_queue(p, msg, bytes, -1);
	if (!err)
		*q = noted;
	return err;
}

int
sl_publish_explain(struct sl_publish *p, const struct sl_tuple *tuple, uint8_t tcp_flags,
		   uint32_t port, sl_publish_explain_fn *fn, void *ctx)
{
	struct sl_ctl_explain m = {.tuple = *tuple, .tcp_flags = tcp_flags, .port = port};

	return ask(p, SL_CTL_EXPLAIN, &m, sizeof(m),
		   (struct sl_publish_question){.fn = fn, .ctx = ctx});
}

int
sl_publish_explain_http(struct sl_publish *p, enum sl_ctl_about about, const struct sl_tuple *tuple,
			const char *head, size_t len, sl_publish_http_fn *fn, void *ctx)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_explain_http) + SL_CTL_REQUEST_MAX];
	struct sl_ctl_explain_http *m = (void *)room;

	if (len == 0 || len > SL_CTL_REQUEST_MAX)
		return -EMSGSIZE;
	*m = (struct sl_ctl_explain_http){
		.tuple = *tuple, .text_len = (uint32_t)len, .about = about};
	memcpy(m + 1, head, len);
	return ask(p, SL_CTL_EXPLAIN_HTTP, m, sizeof(*m) + len,
		   (struct sl_publish_question){.http = fn, .ctx = ctx});
}

int
sl_publish_ports(struct sl_publish *p, uint32_t port, sl_publish_port_fn *fn, void *ctx)
{
	struct sl_ctl_ports m = {.port = port};

	return ask(p, SL_CTL_PORTS, &m, sizeof(m),
		   (struct sl_publish_question){.port = fn, .ctx = ctx});
}

int
sl_publish_shadow(struct sl_publish *p, uint32_t op, sl_publish_shadow_fn *fn, void *ctx)
{
	struct sl_ctl_shadow m = {.op = op};

	return ask(p, SL_CTL_SHADOW, &m, sizeof(m),
		   (struct sl_publish_question){.shadow = fn, .ctx = ctx});
}

int
sl_publish_upgrade(struct sl_publish *p, sl_publish_upgrade_fn *fn, void *ctx)
{
	struct sl_ctl_upgrade m;

	if (p->phase != SL_PUBLISH_UP)
		return -ENOTCONN;
	if (p->upgrade.seq)
		return -EBUSY;
	uint32_t seq = sl_publish_next_seq(p);
	sl_ctl_init(&m.head, SL_CTL_UPGRADE, sizeof(m), seq);
	int err = sl_publish_queue(p, &m, sizeof(m), -1);
	if (err)
		return err;
	p->upgrade.seq = seq;
	p->upgrade.deadline = uv_now(p->loop) + SL_PUBLISH_UPGRADE_MS;
	p->upgrade.fn = fn;
	p->upgrade.ctx = ctx;
	return 0;
}

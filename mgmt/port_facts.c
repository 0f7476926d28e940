#include "mgmt/port_facts.h"

#include <stdio.h>
#include <stdlib.h>

#define PORTS_MAX SL_STATS_MAX_PORTS

struct sl_port_facts {
	uv_timer_t timer;
	struct sl_publish *publish; /* NULL: not connected */
	bool asked;
	struct sl_metrics_port now[PORTS_MAX], next[PORTS_MAX];
	size_t now_cnt, next_cnt;
};

static void
on_port(void *ctx, int err, const struct sl_ctl_port *m, const char *why)
{
	struct sl_port_facts *f = ctx;

	(void)why;
	if (err || !f->publish) {
		f->asked = false;
		return;
	}
	if (f->next_cnt < PORTS_MAX) {
		struct sl_metrics_port *p = &f->next[f->next_cnt++];
		*p = (struct sl_metrics_port){
			.up = m->link == SL_LINK_UP,
			.link_changes = m->link_changes,
			.missed = m->missed,
			.no_buffer = m->no_buffer,
			.tx_errors = m->tx_errors,
		};
		memcpy(p->name, m->name, sizeof(p->name));
		snprintf(p->kernel, sizeof(p->kernel), "%.15s", m->kernel);
	}
	if (!m->last)
		return;
	f->asked = false;
	memcpy(f->now, f->next, sizeof(f->now));
	f->now_cnt = f->next_cnt;
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_port_facts *f = t->data;

	if (f->asked)
		return;
	f->next_cnt = 0;
	f->asked = sl_publish_ports(f->publish, UINT32_MAX, on_port, f) == 0;
}

int
sl_port_facts_create(uv_loop_t *loop, struct sl_port_facts **ret)
{
	struct sl_port_facts *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	*ret = f;
	return 0;
}

static void
on_closed(uv_handle_t *h)
{
	free(h->data);
}

void
sl_port_facts_destroy(struct sl_port_facts *f)
{
	if (f)
		uv_close((uv_handle_t *)&f->timer, on_closed);
}

void
sl_port_facts_up(struct sl_port_facts *f, struct sl_publish *publish)
{
	f->publish = publish;
	f->asked = false;
	uv_timer_start(&f->timer, on_timer, 0, SL_PORT_FACTS_MS);
}

void
sl_port_facts_down(struct sl_port_facts *f)
{
	uv_timer_stop(&f->timer);
	f->publish = NULL;
	f->now_cnt = 0;
}

const struct sl_metrics_port *
sl_port_facts_get(const struct sl_port_facts *f, size_t *ret_cnt)
{
	*ret_cnt = f->now_cnt;
	return f->now;
}

/* Faults for tests: some requests wait before they go on, some are answered here.
 *
 * What is drawn comes from the worker's own sequence of numbers, so the same seed gives the same faults.  A request that waits is
 * one whose first try is asked for later: its body is not read, it takes no place of its service, and the time-outs of its route
 * begin behind the wait, as those of Envoy's router do behind its filters; only standing still (stream_idle_timeout) counts from
 * the start.
 */
#include "l7/http_priv.h"

#include <strings.h>

#define ALL 1000000

struct wish {
	uint32_t delay_ppm, delay_ms, abort_ppm, abort_status;
};

/* ---- requests that ask for it ---- */

/* "200", "0.5": × unit, at most max; false: it is no such number.  Further decimals count for nothing. */
static bool
number(struct sl_bytes text, uint32_t unit, uint32_t max, uint32_t *ret)
{
	uint64_t v = 0;
	uint32_t i = 0;

	for (; i < text.len && text.at[i] >= '0' && text.at[i] <= '9' && i < 10; i++)
		v = v * 10 + (uint64_t)(text.at[i] - '0') * unit;
	if (i == 0)
		return false;
	if (i < text.len && unit > 1 && text.at[i] == '.')
		for (i++; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
			v += (uint64_t)(text.at[i] - '0') * (unit /= 10);
	if (i < text.len)
		return false;
	*ret = (uint32_t)SL_MIN(v, (uint64_t)max);
	return true;
}

static bool
line_number(const struct sl_http_head *head, const char *name, uint32_t unit, uint32_t max,
	    uint32_t *ret)
{
	const uint8_t *text = (const uint8_t *)name;
	size_t n = strlen(name);
	unsigned i = sl_http_find(head, text, n, sl_http_name_hash(text, n), 0);

	if (i >= head->line_cnt)
		return false;
	const struct sl_http_line *l = &head->line[i];
	return number((struct sl_bytes){head->bytes + l->value, l->value_len}, unit, max, ret);
}

/* The policy says what may be asked for at most. */
static struct wish
asked(const struct sl_http_head *head, const struct sl_img_fault *f)
{
	struct wish w = {f->delay_ppm, 0, f->abort_ppm, 0};
	uint32_t percent = ALL;

	(void)line_number(head, "x-sluice-fault-percent", 10000, ALL, &percent);
	w.delay_ppm = SL_MIN(w.delay_ppm, percent);
	w.abort_ppm = SL_MIN(w.abort_ppm, percent);
	(void)line_number(head, "x-sluice-fault-delay", 1, f->delay_ms, &w.delay_ms);
	if (!line_number(head, "x-sluice-fault-abort", 1, UINT16_MAX, &w.abort_status) ||
	    w.abort_status < 200 || w.abort_status > 599)
		w.abort_status = 0;
	return w;
}

void
sl_http_fault_hide(struct sl_http_head *head)
{
	static const char prefix[] = "x-sluice-fault-";
	const size_t n = sizeof(prefix) - 1;

	for (unsigned i = 0; i < head->line_cnt; i++) {
		struct sl_http_line *l = &head->line[i];
		const char *name = (const char *)head->bytes + l->name;
		if (l->name_len > n && strncasecmp(name, prefix, n) == 0)
			l->hop = 1;
	}
}

/* ---- what is drawn ---- */

/* Of something that does not happen always nobody knows beforehand. */
static bool
draw(struct sl_http *h, uint32_t per_million, bool dry)
{
	if (per_million == 0 || per_million == ALL || dry)
		return per_million == ALL;
	return sl_http_random(h) % ALL < per_million;
}

static const struct sl_img_fault *
fault_of(const struct http_decision *d)
{
	const struct sl_img_vhost *v = d->vhost->img;

	return (const struct sl_img_fault *)((const char *)v + v->fault_off) +
	       (d->policy->fault - 1);
}

bool
sl_http_fault_by_header(const struct http_decision *d)
{
	return d->policy && d->policy->fault && fault_of(d)->by_header;
}

void
sl_http_judge_fault(struct sl_http *h, const struct sl_http_head *head, struct http_decision *d,
		    bool dry)
{
	if (d->policy->fault == 0)
		return;
	const struct sl_img_fault *f = fault_of(d);
	struct wish w = {f->delay_ppm, f->delay_ms, f->abort_ppm, f->abort_status};
	if (f->by_header)
		w = asked(head, f);
	if (w.delay_ms && d->route->action == SL_ACTION_FORWARD && draw(h, w.delay_ppm, dry)) {
		d->delay_ms = w.delay_ms;
		sl_http_policy_why(d, "fault", "delay");
	}
	if (!w.abort_status || !draw(h, w.abort_ppm, dry))
		return;
	sl_http_policy_why(d, "fault", "abort");
	if (d->delay_ms && !dry)
		d->fault_status = (uint16_t)w.abort_status;
	else
		sl_http_policy_refuse(d, (uint16_t)w.abort_status, SL_RF_FI,
				      SL_HTTP_CNT_FAULT_ABORT, "fault injected");
}

/* ---- waiting ---- */

static _Atomic uint32_t *
counter(struct http_xchg *x)
{
	return &x->http->conf.ledger->delays[x->fault_counter];
}

void
sl_http_fault_end(struct http_xchg *x)
{
	x->flags &= ~(unsigned)XF_DELAYED;
	sl_shared_count_give(counter(x));
}

static void
go_on(struct http_xchg *x)
{
	if (x->fault_status) {
		sl_http_local_error(x, x->fault_status, SL_RF_FI, SL_HTTP_CNT_FAULT_ABORT);
		return;
	}
	if (x->req.flags & PIPE_OVER)
		sl_http_timed(x);
	sl_http_go_on(x);
}

void
sl_http_fault_wait(struct http_xchg *x, const struct http_decision *d)
{
	const struct sl_img_fault *f = fault_of(d);

	x->fault_counter = f->counter;
	x->fault_status = d->fault_status;
	if (!sl_shared_count_take(counter(x), f->max_active)) {
		http_count(x->http, SL_HTTP_CNT_FAULT_LIMIT);
		sl_http_why(x, d->fault_status ? "fault/abort" : "");
		go_on(x);
		return;
	}
	http_count(x->http, SL_HTTP_CNT_FAULT_DELAY);
	x->flags |= XF_DELAYED;
	x->rflags |= SL_RF_DI;
	x->retry_waits = 1;
	x->retry_at = sl_tcp_now_ms(x->http->conf.tcp) + d->delay_ms;
	sl_http_xchg_due(x);
}

void
sl_http_fault_over(struct http_xchg *x)
{
	sl_http_fault_end(x);
	go_on(x);
}

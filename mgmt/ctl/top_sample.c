/* Items of a pane are kept in the order of their texts, so that two samples are matched in one pass. */
#include "mgmt/ctl/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sluice/base.h"

const struct top_pane_form top_panes[TOP_PANES] =
	{
		[TOP_WORKERS] =
			{
				.name = "workers",
				.texts = {"worker"},
				.values = {"turns", "turns_empty", "rx_packets", "tx_packets",
					   "rx_bytes", "busy_ticks", "handoff_in", "handoff_out",
					   "flow_active", "tcp_streams"},
				.columns = {{"WORKER", "worker", TOP_TEXT, 0, 0, 0},
					    {"HEADROOM %", "headroom_percent", TOP_SHARE, 1, 0, 0},
					    {"RX PPS", "rx_pps", TOP_RATE, 2, 0, 0},
					    {"TX PPS", "tx_pps", TOP_RATE, 3, 0, 0},
					    {"RX MBIT/S", "rx_mbit_s", TOP_MBIT, 4, 0, 0},
					    {"CYCLES/PKT", "cycles_per_packet", TOP_EACH, 5, 2, 6},
					    {"FLOWS", "flows", TOP_NOW, 8, 0, 0},
					    {"STREAMS", "streams", TOP_NOW, 9, 0, 0},
					    {"HANDED IN/S", "handoff_in_s", TOP_RATE, 6, 0, 0},
					    {"OUT/S", "handoff_out_s", TOP_RATE, 7, 0, 0}},
				.sort = 0,
			},
		[TOP_LISTENERS] =
			{
				.name = "listeners",
				.texts = {"name", "at", "service"},
				.values = {"packets", "bytes", "new_flows", "refused"},
				.columns = {{"LISTENER", "name", TOP_TEXT, 0, 0, 0},
					    {"NEW/S", "new_flows_s", TOP_RATE, 2, 0, 0},
					    {"PPS", "pps", TOP_RATE, 0, 0, 0},
					    {"MBIT/S", "mbit_s", TOP_MBIT, 1, 0, 0},
					    {"REFUSED/S", "refused_s", TOP_RATE, 3, 0, 0},
					    {"ADDRESS", "address", TOP_TEXT, 1, 0, 0},
					    {"SERVICE", "service", TOP_TEXT, 2, 0, 0}},
				.sort = 2,
			},
		[TOP_SERVICES] =
			{
				.name = "services",
				.texts = {"name"},
				.values = {"new_flows", "no_endpoint", "ports_used",
					   "ports_refused"},
				.columns = {{"SERVICE", "name", TOP_TEXT, 0, 0, 0},
					    {"NEW/S", "new_flows_s", TOP_RATE, 0, 0, 0},
					    {"NO ENDPOINT/S", "no_endpoint_s", TOP_RATE, 1, 0, 0},
					    {"PORTS USED", "ports_used", TOP_NOW, 2, 0, 0},
					    {"REFUSED/S", "ports_refused_s", TOP_RATE, 3, 0, 0}},
				.sort = 1,
			},
		[TOP_ENDPOINTS] =
			{
				.name = "endpoints",
				.texts = {"name", "service", "state"},
				.values = {"packets", "bytes", "reply_packets", "reply_bytes",
					   "new_flows", "flows", "connect_failed"},
				.columns = {{"ENDPOINT", "name", TOP_TEXT, 0, 0, 0},
					    {"SERVICE", "service", TOP_TEXT, 1, 0, 0},
					    {"STATE", "state", TOP_TEXT, 2, 0, 0},
					    {"FLOWS", "flows", TOP_NOW, 5, 0, 0},
					    {"NEW/S", "new_flows_s", TOP_RATE, 4, 0, 0},
					    {"PPS", "pps", TOP_RATE, 0, 0, 0},
					    {"MBIT/S", "mbit_s", TOP_MBIT, 1, 0, 0},
					    {"REPLY PPS", "reply_pps", TOP_RATE, 2, 0, 0},
					    {"REPLY MBIT/S", "reply_mbit_s", TOP_MBIT, 3, 0, 0},
					    {"FAILED/S", "connect_failed_s", TOP_RATE, 6, 0, 0}},
				.sort = 5,
			},
};

/* ---- samples ---- */

static uint64_t
number(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));
	return v > 0 ? (uint64_t)v : 0;
}

static void
put_text(char to[TOP_TEXT_MAX], const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (strcmp(key, "at") == 0) { /* address, ports and protocol in one */
		const char *a = ctl_str(o, "address");
		bool v6 = strchr(a, ':') != NULL;
		snprintf(to, TOP_TEXT_MAX, "%s%.50s%s:%.12s/%.8s", v6 ? "[" : "", a, v6 ? "]" : "",
			 ctl_str(o, "ports"), ctl_str(o, "protocol"));
	} else if (json_is_integer(v)) {
		snprintf(to, TOP_TEXT_MAX, "%lld", (long long)json_integer_value(v));
	} else {
		snprintf(to, TOP_TEXT_MAX, "%.90s", ctl_str(o, key));
	}
	for (char *p = to; *p; p++) /* it goes to a terminal */
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
}

/* By what an item is known: its name and, of an endpoint, the service; states and addresses change. */
static int
compare(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	int d = strverscmp(x->text[0], y->text[0]);
	return d ? d : strcmp(x->text[1], y->text[1]);
}

static bool
take_pane(struct top_sample *s, enum top_pane p, const json_t *answer)
{
	const struct top_pane_form *form = &top_panes[p];
	const json_t *rows = json_object_get(answer, form->name);
	size_t n = json_array_size(rows), i;
	json_t *o;

	s->pane[p].item = calloc(n + 1, sizeof(struct top_item));
	if (!s->pane[p].item)
		return false;
	s->pane[p].cnt = n;
	json_array_foreach(rows, i, o)
	{
		struct top_item *it = &s->pane[p].item[i];
		for (unsigned k = 0; k < TOP_TEXTS && form->texts[k]; k++)
			put_text(it->text[k], o, form->texts[k]);
		for (unsigned k = 0; k < TOP_VALUES && form->values[k]; k++)
			it->value[k] = number(o, form->values[k]);
	}
	qsort(s->pane[p].item, n, sizeof(struct top_item), compare);
	return true;
}

static void
take_drops(struct top_sample *s, const json_t *rows)
{
	size_t i;
	json_t *o;

	json_array_foreach(rows, i, o)
	{
		if (s->drop_cnt == sizeof(s->drop) / sizeof(s->drop[0]))
			break;
		snprintf(s->drop[s->drop_cnt].name, sizeof(s->drop[0].name), "%.30s",
			 ctl_str(o, "reason"));
		s->drop[s->drop_cnt++].packets = number(o, "packets");
		s->drops += number(o, "packets");
	}
}

struct top_sample *
top_sample_make(const json_t *answer)
{
	const json_t *total = json_object_get(answer, "total");
	const json_t *pids = json_object_get(answer, "pids");
	struct top_sample *s = calloc(1, sizeof(*s));
	size_t i;
	json_t *o;

	if (!s || !ctl_bool(answer, "ok") || !json_is_object(total)) {
		free(s);
		return NULL;
	}
	snprintf(s->gateway, sizeof(s->gateway), "%.63s", ctl_str(answer, "gateway"));
	snprintf(s->boot, sizeof(s->boot), "%.20s", ctl_str(answer, "boot_id"));
	s->generation = ctl_int(answer, "generation");
	s->daemon_pid = ctl_int(pids, "daemon");
	s->dataplane_pid = ctl_int(pids, "dataplane");
	s->at_ns = number(answer, "at_ns");
	s->uptime_s = ctl_num(answer, "uptime_s");
	s->flows = number(total, "flow_active");
	s->capacity = number(total, "flow_capacity");
	s->streams = number(total, "tcp_streams");
	s->adopted = number(total, "flow_adopted");
	s->rx = number(total, "rx_packets");
	s->tx = number(total, "tx_packets");
	take_drops(s, json_object_get(answer, "drops"));
	json_array_foreach(json_object_get(answer, "listeners"), i, o) s->new_flows +=
		number(o, "new_flows");
	for (unsigned p = 0; p < TOP_PANES; p++) {
		if (!take_pane(s, p, answer)) {
			top_sample_free(s);
			return NULL;
		}
	}
	return s;
}

void
top_sample_free(struct top_sample *s)
{
	for (unsigned p = 0; s && p < TOP_PANES; p++)
		free(s->pane[p].item);
	free(s);
}

/* ---- rates ---- */

static double
change(uint64_t old, uint64_t now)
{
	return now > old ? (double)(now - old) : 0;
}

static double
cell_of(const struct top_column *c, const struct top_item *old, const struct top_item *now,
	double seconds)
{
	if (c->kind == TOP_NOW)
		return (double)now->value[c->a];
	if (c->kind == TOP_TEXT || !old)
		return 0;
	double a = change(old->value[c->a], now->value[c->a]);
	double b = change(old->value[c->b], now->value[c->b]);
	if (c->kind == TOP_RATE)
		return a / seconds;
	if (c->kind == TOP_MBIT)
		return a * 8 / 1e6 / seconds;
	if (c->kind == TOP_SHARE)
		return b > 0 ? SL_MIN(100 * a / b, 100.0) : TOP_NONE;
	b += change(old->value[c->c], now->value[c->c]);
	return b > 0 ? a / b : 0;
}

static bool
view_pane(struct top_view *v, enum top_pane p, const struct top_sample *old)
{
	const struct top_sample *now = v->now;
	size_t n = now->pane[p].cnt, k = 0;

	v->pane[p].row = calloc(n + 1, sizeof(struct top_row));
	if (!v->pane[p].row)
		return false;
	v->pane[p].cnt = n;
	for (size_t i = 0; i < n; i++) {
		const struct top_item *it = &now->pane[p].item[i], *was = NULL;
		struct top_row *r = &v->pane[p].row[i];
		while (old && k < old->pane[p].cnt && compare(&old->pane[p].item[k], it) < 0)
			k++;
		if (old && k < old->pane[p].cnt && compare(&old->pane[p].item[k], it) == 0)
			was = &old->pane[p].item[k];
		r->item = it;
		r->rated = was != NULL;
		for (unsigned c = 0; top_panes[p].columns[c].title; c++)
			r->cell[c] = cell_of(&top_panes[p].columns[c], was, it, v->seconds);
	}
	return true;
}

static void
view_drops(struct top_view *v, const struct top_sample *old)
{
	double most = 0;

	v->drops = change(old->drops, v->now->drops) / v->seconds;
	for (unsigned i = 0; i < v->now->drop_cnt && i < old->drop_cnt; i++) {
		double d = change(old->drop[i].packets, v->now->drop[i].packets);
		if (d <= most)
			continue;
		most = d;
		memcpy(v->drop, v->now->drop[i].name, sizeof(v->drop));
	}
}

bool
top_view_make(struct top_view *v, const struct top_sample *old, const struct top_sample *now)
{
	bool same = old && strcmp(old->boot, now->boot) == 0;

	*v = (struct top_view){.now = now, .restarted = old && !same};
	if (same && now->at_ns > old->at_ns) {
		v->rated = true;
		v->seconds = (double)(now->at_ns - old->at_ns) / 1e9;
		v->rx = change(old->rx, now->rx) / v->seconds;
		v->tx = change(old->tx, now->tx) / v->seconds;
		v->new_flows = change(old->new_flows, now->new_flows) / v->seconds;
		view_drops(v, old);
	}
	for (unsigned p = 0; p < TOP_PANES; p++) {
		if (!view_pane(v, p, v->rated ? old : NULL)) {
			top_view_fini(v);
			return false;
		}
	}
	return true;
}

void
top_view_fini(struct top_view *v)
{
	for (unsigned p = 0; p < TOP_PANES; p++) {
		free(v->pane[p].row);
		v->pane[p].row = NULL;
		v->pane[p].cnt = 0;
	}
}

/* ---- order, filter ---- */

struct order {
	const struct top_column *column;
	unsigned idx;
	bool reverse;
};

static int
by_order(const void *a, const void *b, void *ctx)
{
	const struct top_row *x = a, *y = b;
	const struct order *o = ctx;
	int d;

	if (o->column->kind == TOP_TEXT)
		d = strverscmp(x->item->text[o->column->a], y->item->text[o->column->a]);
	else
		d = (x->cell[o->idx] < y->cell[o->idx]) - (x->cell[o->idx] > y->cell[o->idx]);
	d = o->reverse ? -d : d;
	return d ? d : (x->item > y->item) - (x->item < y->item);
}

void
top_view_sort(struct top_view *v, enum top_pane pane, unsigned column, bool reverse)
{
	struct order o = {&top_panes[pane].columns[column], column, reverse};

	qsort_r(v->pane[pane].row, v->pane[pane].cnt, sizeof(struct top_row), by_order, &o);
}

bool
top_row_matches(const struct top_row *r, const char *filter)
{
	for (unsigned k = 0; k < TOP_TEXTS; k++)
		if (strcasestr(r->item->text[k], filter))
			return true;
	return false;
}

/* ---- text ---- */

const char *
top_short(double v, char buf[TOP_TEXT_MAX])
{
	static const char unit[] = " kMGT";
	unsigned u = 0;

	for (; v >= 99999.5 && u < sizeof(unit) - 2; u++)
		v /= 1000;
	if (u == 0)
		snprintf(buf, TOP_TEXT_MAX, v < 99.95 && v != (double)(long)v ? "%.1f" : "%.0f", v);
	else
		snprintf(buf, TOP_TEXT_MAX, v < 999.5 ? "%.1f%c" : "%.0f%c", v, unit[u]);
	return buf;
}

const char *
top_cell(enum top_pane pane, unsigned column, const struct top_row *r, bool shortly,
	 char buf[TOP_TEXT_MAX])
{
	const struct top_column *c = &top_panes[pane].columns[column];

	if (c->kind == TOP_TEXT)
		return r->item->text[c->a];
	if ((c->kind != TOP_NOW && !r->rated) || r->cell[column] < 0)
		return "-";
	if (shortly)
		return top_short(r->cell[column], buf);
	snprintf(buf, TOP_TEXT_MAX, c->kind == TOP_NOW ? "%.0f" : "%.1f", r->cell[column]);
	return buf;
}

const char *
top_age(double seconds, char buf[32])
{
	unsigned long s = seconds > 0 && seconds < 1e12 ? (unsigned long)seconds : 0;

	if (s >= 86400)
		snprintf(buf, 32, "%lud %02lu:%02lu", s / 86400, s / 3600 % 24, s / 60 % 60);
	else
		snprintf(buf, 32, "%02lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	return buf;
}

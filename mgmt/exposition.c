/* Text grows in one buffer; when memory runs out nothing is added any more, and the end says so. */
#include "mgmt/exposition.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the segment, read with care ---- */

int
sl_expo_open(const void *stats, size_t bytes, struct sl_expo_seg *ret)
{
	if (!stats || bytes < sizeof(ret->head))
		return -EINVAL;
	ret->mem = stats;
	memcpy(&ret->head, stats, sizeof(ret->head));
	return sl_stats_check(&ret->head, bytes); /* looks at the head alone */
}

const char *
sl_expo_worker(const struct sl_expo_seg *g, unsigned worker)
{
	return g->mem + g->head.worker_off + worker * g->head.worker_bytes;
}

void
sl_expo_sum(const struct sl_expo_seg *g, uint32_t off, uint32_t idx, size_t bytes, uint64_t *ret)
{
	memset(ret, 0, bytes);
	for (unsigned w = 0; w < g->head.worker_cnt; w++) {
		const char *rec = sl_expo_worker(g, w) + off + idx * bytes;
		for (size_t i = 0; i < bytes / 8; i++)
			ret[i] += sl_expo_load(rec, i * 8);
	}
}

/* ---- text ---- */

static bool
room(struct sl_expo *o, size_t n)
{
	if (o->len + n < o->cap)
		return true;
	size_t cap = (o->cap + n) * 2;
	char *p = o->failed ? NULL : realloc(o->p, cap);
	if (!p) {
		o->failed = true;
		return false;
	}
	o->p = p;
	o->cap = cap;
	return true;
}

void
sl_expo_put(struct sl_expo *o, const char *s)
{
	size_t n = strlen(s);

	if (!room(o, n + 1))
		return;
	memcpy(o->p + o->len, s, n + 1);
	o->len += n;
}

void
sl_expo_format(struct sl_expo *o, const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	sl_expo_put(o, buf);
}

void
sl_expo_u64(struct sl_expo *o, uint64_t v)
{
	char buf[24], *s = buf + sizeof(buf) - 1;

	*s = 0;
	do
		*--s = (char)('0' + v % 10);
	while (v /= 10);
	sl_expo_put(o, s);
}

void
sl_expo_label(struct sl_expo *o, const char *key, const char *value, size_t max)
{
	sl_expo_format(o, "%s=\"", key);
	for (size_t i = 0; i < max && value[i]; i++) {
		char c[3] = {value[i], 0, 0};
		if (c[0] == '\\' || c[0] == '"' || c[0] == '\n') {
			c[1] = c[0] == '\n' ? 'n' : c[0];
			c[0] = '\\';
		}
		sl_expo_put(o, c);
	}
	sl_expo_put(o, "\"");
}

void
sl_expo_family(struct sl_expo *o, const char *name, const char *type, const char *help)
{
	sl_expo_format(o, "# HELP %s %s\n", name, help);
	sl_expo_format(o, "# TYPE %s %s\n", name, type);
}

static void
start(struct sl_expo *o, const char *name, const char *labels)
{
	sl_expo_put(o, name);
	if (labels[0]) {
		sl_expo_put(o, "{");
		sl_expo_put(o, labels);
		sl_expo_put(o, "}");
	}
	sl_expo_put(o, " ");
}

void
sl_expo_sample(struct sl_expo *o, const char *name, const char *labels, uint64_t v)
{
	start(o, name, labels);
	sl_expo_u64(o, v);
	sl_expo_put(o, "\n");
}

void
sl_expo_real(struct sl_expo *o, const char *name, const char *labels, double v)
{
	start(o, name, labels);
	sl_expo_format(o, "%.9f\n", v);
}

void
sl_expo_single(struct sl_expo *o, const char *name, const char *type, const char *help, uint64_t v)
{
	sl_expo_family(o, name, type, help);
	sl_expo_sample(o, name, "", v);
}

const char *
sl_expo_of_worker(unsigned w, char buf[32])
{
	snprintf(buf, 32, "worker=\"%u\"", w);
	return buf;
}

void
sl_expo_bucket(struct sl_expo *o, const char *name, const char *label, const char *le, uint64_t v)
{
	sl_expo_put(o, name);
	sl_expo_put(o, "_bucket{");
	sl_expo_put(o, label);
	sl_expo_put(o, ",le=\"");
	sl_expo_put(o, le);
	sl_expo_put(o, "\"} ");
	sl_expo_u64(o, v);
	sl_expo_put(o, "\n");
}

void
sl_expo_totals(struct sl_expo *o, const char *name, const char *label, double sum, uint64_t cnt)
{
	char text[64];

	sl_expo_put(o, name);
	snprintf(text, sizeof(text), "} %.9f\n", sum);
	sl_expo_put(o, "_sum{");
	sl_expo_put(o, label);
	sl_expo_put(o, text);
	sl_expo_put(o, name);
	sl_expo_put(o, "_count{");
	sl_expo_put(o, label);
	sl_expo_put(o, "} ");
	sl_expo_u64(o, cnt);
	sl_expo_put(o, "\n");
}

/* The counters move while they are read: _count is what the buckets add up to. */
static void
put_histogram(struct sl_expo *o, const char *name, const char *label, const char *hist,
	      const struct sl_expo_bound *bounds, size_t bound_cnt, double unit)
{
	uint64_t sum = 0;
	unsigned b = 0;

	for (size_t i = 0; i < bound_cnt; i++) {
		for (unsigned end = sl_hist_index(bounds[i].above); b < end; b++)
			sum += sl_expo_load(hist, offsetof(struct sl_hist, bucket) + b * 8);
		sl_expo_bucket(o, name, label, bounds[i].le, sum);
	}
	for (; b < SL_HIST_BUCKETS; b++)
		sum += sl_expo_load(hist, offsetof(struct sl_hist, bucket) + b * 8);
	sl_expo_bucket(o, name, label, "+Inf", sum);
	sl_expo_totals(o, name, label,
		       (double)sl_expo_load(hist, offsetof(struct sl_hist, sum)) * unit, sum);
}

void
sl_expo_histograms(struct sl_expo *o, const struct sl_expo_seg *g, const char *name,
		   const char *help, size_t off, const struct sl_expo_bound *bounds,
		   size_t bound_cnt, double unit)
{
	char label[32];

	sl_expo_family(o, name, "histogram", help);
	for (unsigned w = 0; w < g->head.worker_cnt; w++)
		put_histogram(o, name, sl_expo_of_worker(w, label), sl_expo_worker(g, w) + off,
			      bounds, bound_cnt, unit);
}

int
sl_expo_rows_init(struct sl_expo_rows *rs, size_t cnt, size_t bytes)
{
	*rs = (struct sl_expo_rows){
		.v = calloc(cnt + 1, bytes),
		.labels_off = calloc(cnt + 1, sizeof(size_t)),
		.cnt = cnt,
		.bytes = bytes,
	};
	return rs->v && rs->labels_off ? 0 : -ENOMEM;
}

void
sl_expo_rows_fini(struct sl_expo_rows *rs)
{
	free(rs->v);
	free(rs->labels_off);
	free(rs->pool.p);
}

uint64_t *
sl_expo_row(const struct sl_expo_rows *rs, size_t i)
{
	return rs->v + i * (rs->bytes / 8);
}

void
sl_expo_row_fill(struct sl_expo_rows *rs, size_t i, const struct sl_expo_seg *g, uint32_t off,
		 uint32_t slot, const void *base, uint32_t gauges)
{
	const uint64_t *b = base;
	uint64_t *v = sl_expo_row(rs, i);

	sl_expo_sum(g, off, slot, rs->bytes, v);
	for (size_t k = 0; b && k < rs->bytes / 8; k++)
		if (!(gauges >> k & 1))
			v[k] = v[k] > b[k] ? v[k] - b[k] : 0;
}

struct sl_expo *
sl_expo_row_labels(struct sl_expo_rows *rs, size_t i)
{
	/* steps over the 0 of the text before */
	if (i > 0 && room(&rs->pool, 1))
		rs->pool.len++;
	rs->labels_off[i] = rs->pool.len;
	return &rs->pool;
}

const char *
sl_expo_row_text(const struct sl_expo_rows *rs, size_t i)
{
	return rs->pool.p + rs->labels_off[i];
}

void
sl_expo_columns(struct sl_expo *o, const struct sl_expo_rows *rs, const struct sl_expo_column *c,
		size_t column_cnt)
{
	for (size_t k = 0; k < column_cnt; k++) {
		sl_expo_family(o, c[k].name, c[k].type, c[k].help);
		for (size_t i = 0; i < rs->cnt; i++)
			sl_expo_sample(o, c[k].name, sl_expo_row_text(rs, i),
				       sl_expo_row(rs, i)[c[k].off / 8]);
	}
}

int
sl_expo_rows_ready(const struct sl_expo_rows *rs)
{
	return rs->pool.failed ? -ENOMEM : 0;
}

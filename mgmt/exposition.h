/* exposition — Prometheus text (format 0.0.4) while it is written, and the statistics segment it is of.
 *
 * All samples of a family stand together, so what has labels is summed and labelled once (struct sl_expo_rows) and walked by
 * each family.  Families are rows of tables: name, help, offset of the counter in its record (struct sl_expo_column).
 * Threads: [any], pure over what is passed in.
 */
#ifndef SL_MGMT_EXPOSITION_H
#define SL_MGMT_EXPOSITION_H

#include "sluice/stats.h"

/* ---- the segment, read with care ---- */

struct sl_expo_seg {
	const char *mem;
	struct sl_stats_head head; /* a copy: what was checked cannot change any more */
};

/* 0, or -EINVAL: no valid segment. */
int sl_expo_open(const void *stats, size_t bytes, struct sl_expo_seg *ret);
const char *sl_expo_worker(const struct sl_expo_seg *g, unsigned worker);
/* sl_expo_sum adds up record idx (of bytes / 8 counters) of the array at `off` in every worker's region. */
void sl_expo_sum(const struct sl_expo_seg *g, uint32_t off, uint32_t idx, size_t bytes,
		 uint64_t *ret);

/* Another process writes it: whole 8-byte values, in no order. */
static inline uint64_t
sl_expo_load(const char *rec, size_t off)
{
	return __atomic_load_n((const uint64_t *)(rec + off), __ATOMIC_RELAXED);
}

/* ---- text ---- */

struct sl_expo {
	char *p;
	size_t len, cap;
	bool failed; /* no memory: nothing is added any more */
};

void sl_expo_put(struct sl_expo *o, const char *s);
void sl_expo_u64(struct sl_expo *o, uint64_t v);
/* sl_expo_format: less than 256 bytes. */
void sl_expo_format(struct sl_expo *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* sl_expo_label: key="value", with backslash, quote and line feed escaped; at most max bytes of the value. */
void sl_expo_label(struct sl_expo *o, const char *key, const char *value, size_t max);
/* worker="N" */
const char *sl_expo_of_worker(unsigned w, char buf[32]);

void sl_expo_family(struct sl_expo *o, const char *name, const char *type, const char *help);
void sl_expo_sample(struct sl_expo *o, const char *name, const char *labels, uint64_t v);
void sl_expo_real(struct sl_expo *o, const char *name, const char *labels, double v);
/* A family of one sample without labels. */
void sl_expo_single(struct sl_expo *o, const char *name, const char *type, const char *help,
		    uint64_t v);

/* ---- histograms ---- */

/* A bound is given as the first value above it, which must be where a bucket begins; le is the text for people.  What is
 * measured in whole ns (or µs) is below the real duration, so "< 1024 ns" is le 1.024e-06. */
struct sl_expo_bound {
	uint64_t above;
	const char *le;
};

/* Of each worker: the struct sl_hist at `off` in its region; unit: of a value, in what is exported. */
void sl_expo_histograms(struct sl_expo *o, const struct sl_expo_seg *g, const char *name,
			const char *help, size_t off, const struct sl_expo_bound *bounds,
			size_t bound_cnt, double unit);
/* One line each of other histograms: v counts all up to le. */
void sl_expo_bucket(struct sl_expo *o, const char *name, const char *label, const char *le,
		    uint64_t v);
void sl_expo_totals(struct sl_expo *o, const char *name, const char *label, double sum,
		    uint64_t cnt);

/* ---- what has rows: ports, listeners, routes, … ---- */

struct sl_expo_column {
	const char *name;
	const char *type;
	const char *help;
	size_t off;
};

struct sl_expo_rows {
	uint64_t *v;        /* [cnt] records of `bytes`: counters since the baseline */
	size_t *labels_off; /* [cnt]: of the label text in the pool */
	size_t cnt, bytes;
	struct sl_expo pool; /* label texts, each terminated */
};

/* 0 or -ENOMEM; fini in both cases. */
int sl_expo_rows_init(struct sl_expo_rows *rs, size_t cnt, size_t bytes);
void sl_expo_rows_fini(struct sl_expo_rows *rs);
uint64_t *sl_expo_row(const struct sl_expo_rows *rs, size_t i);
/* sl_expo_row_fill: row i: its sum less the baseline (NULL: none), gauges as they are; a counter below its baseline means that
 * the source began anew. */
void sl_expo_row_fill(struct sl_expo_rows *rs, size_t i, const struct sl_expo_seg *g, uint32_t off,
		      uint32_t slot, const void *base, uint32_t gauges);
/* sl_expo_row_labels: where the labels of row i are put, in the order of rows. */
struct sl_expo *sl_expo_row_labels(struct sl_expo_rows *rs, size_t i);
const char *sl_expo_row_text(const struct sl_expo_rows *rs, size_t i);
/* sl_expo_rows_ready: 0, or -ENOMEM: labels are missing. */
int sl_expo_rows_ready(const struct sl_expo_rows *rs);
void sl_expo_columns(struct sl_expo *o, const struct sl_expo_rows *rs,
		     const struct sl_expo_column *c, size_t column_cnt);

#endif

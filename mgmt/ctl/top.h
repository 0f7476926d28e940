/* top — what `sluicectl top` knows: samples of the counters, and the rates between two of them.
 *
 * Walk:    stats answer → top_sample (plain numbers) → with the one before: top_view (rows with rates) → screen or text.
 * Rates:   differences over the daemon's own clock (at_ns).  Between two boots of the dataplane there are none, nor for
 *          an owner that was not in the older sample; a counter that fell belongs to another owner: 0, never negative.
 * Threads: one.  top_sample.c is pure; top_screen.c owns the terminal; verb_top.c asks.
 */
#ifndef SL_MGMT_CTL_TOP_H
#define SL_MGMT_CTL_TOP_H

#include "mgmt/ctl/ctl.h"

#include <stddef.h>
#include <stdint.h>

#define TOP_TEXTS 3
#define TOP_TEXT_MAX 96
#define TOP_VALUES 10
#define TOP_COLUMNS 10
#define TOP_NONE (-1.0) /* a cell of which nothing can be said */

enum top_pane { TOP_WORKERS, TOP_LISTENERS, TOP_SERVICES, TOP_ENDPOINTS, TOP_PANES };

enum top_kind {
	TOP_TEXT,  /* text[a] */
	TOP_NOW,   /* value a as it is */
	TOP_RATE,  /* value a per second */
	TOP_MBIT,  /* value a, in bytes, as Mbit/s */
	TOP_SHARE, /* change of a per change of b, percent; TOP_NONE when b did not change */
	TOP_EACH,  /* change of a per change of b + c; 0 when they did not change */
};

struct top_column {
	const char *title; /* NULL ends the list */
	const char *key;   /* in --json */
	enum top_kind kind;
	uint8_t a, b, c;
};

struct top_pane_form {
	const char *name; /* array of the stats answer */
	const char *texts[TOP_TEXTS];
	const char *values[TOP_VALUES]; /* keys of counters and gauges */
	struct top_column columns[TOP_COLUMNS + 1];
	unsigned sort; /* column at first */
};
extern const struct top_pane_form top_panes[TOP_PANES];

struct top_item {
	char text[TOP_TEXTS][TOP_TEXT_MAX];
	uint64_t value[TOP_VALUES];
};

struct top_sample {
	char gateway[64], boot[24];
	long long generation, daemon_pid, dataplane_pid;
	uint64_t at_ns;
	double uptime_s;
	uint64_t flows, capacity, streams, rx, tx, new_flows, adopted;
	uint64_t drops; /* of all reasons */
	struct {
		char name[32];
		uint64_t packets;
	} drop[64]; /* [drop_cnt] */
	unsigned drop_cnt;
	struct {
		struct top_item *item; /* [cnt], in the order of their texts */
		size_t cnt;
	} pane[TOP_PANES];
};

/* top_sample_make: NULL when the answer is not one to `stats` (or no memory).  Free: NULL is allowed. */
struct top_sample *top_sample_make(const json_t *answer);
void top_sample_free(struct top_sample *s);

struct top_row {
	const struct top_item *item;
	bool rated; /* was in the older sample too */
	double cell[TOP_COLUMNS];
};

struct top_view {
	const struct top_sample *now;
	bool rated, restarted; /* there is an older sample of the same boot; of another one */
	double seconds;
	double rx, tx, new_flows, drops; /* per second */
	char drop[32];                   /* reason of most of them, or "" */
	struct {
		struct top_row *row; /* [cnt] */
		size_t cnt;
	} pane[TOP_PANES];
};

/* top_view_make: old may be NULL.  Both samples stay the caller's and must outlive the view.  false: no memory. */
bool top_view_make(struct top_view *v, const struct top_sample *old, const struct top_sample *now);
void top_view_fini(struct top_view *v);

/* top_view_sort by a column: texts upwards, numbers downwards; reversed the other way.  Equals stay as they were. */
void top_view_sort(struct top_view *v, enum top_pane pane, unsigned column, bool reverse);

/* top_view_matches: whether a text of the row holds the filter, in any case ("" matches). */
bool top_row_matches(const struct top_row *r, const char *filter);

/* top_cell writes a cell as text, at most 7 characters for numbers when `shortly` ("12.3k"), "-" for a rate that there is
 * not; buf has TOP_TEXT_MAX bytes. */
const char *top_cell(enum top_pane pane, unsigned column, const struct top_row *r, bool shortly,
		     char buf[TOP_TEXT_MAX]);
const char *top_short(double v, char buf[TOP_TEXT_MAX]);

/* top_age: "3d 04:05", "04:05:06". */
const char *top_age(double seconds, char buf[32]);

/* ---- top_screen.c: the terminal ---- */

/* top_screen_open takes the terminal over; NULL: done; else why not.  From then on it is given back by top_screen_close, and by
 * any signal that ends the program. */
const char *top_screen_open(void);
void top_screen_close(void);

/* top_screen_draw: v NULL: nothing is known yet.  note: one line about what is wrong, or "". */
void top_screen_draw(const struct top_view *v, const char *note);

/* top_screen_keys takes all keys that were pressed.  The result says what the caller has to do. */
enum top_wish { TOP_NOTHING, TOP_REDRAW, TOP_QUIT };
enum top_wish top_screen_keys(void);
bool top_screen_paused(void);

#endif

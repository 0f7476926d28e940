/* import_out — a table file as it is being put together, and its text.
 *
 * Groups, lists and values in the order in which they were added; a comment stands above what it is about.  What fits a line
 * is one line.  Texts are quoted so that sl_conf_parse reads the same bytes; comments hold no line ends.
 */
#ifndef SL_MGMT_IMPORT_OUT_H
#define SL_MGMT_IMPORT_OUT_H

#include "mgmt/import_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum sl_out_type { SL_OUT_GROUP, SL_OUT_LIST, SL_OUT_TEXT, SL_OUT_NUMBER, SL_OUT_BOOL };

struct sl_out_comment {
	const char *text;
	struct sl_out_comment *next;
};

struct sl_out {
	const char *name; /* NULL: an item of a list */
	const char *text; /* TEXT */
	int64_t number;   /* NUMBER, BOOL */
	struct sl_out *first, *last, *next;
	struct sl_out_comment *comment, *comment_last;
	uint32_t cnt;
	enum sl_out_type type;
};

/* Each adds to a group (with a name) or to a list (name NULL), and gives what it added. */
struct sl_out *sl_out_group(struct sl_memory *m, struct sl_out *to, const char *name);
struct sl_out *sl_out_list(struct sl_memory *m, struct sl_out *to, const char *name);
struct sl_out *sl_out_text(struct sl_memory *m, struct sl_out *to, const char *name,
			   const char *text);
struct sl_out *sl_out_number(struct sl_memory *m, struct sl_out *to, const char *name,
			     int64_t number);
struct sl_out *sl_out_bool(struct sl_memory *m, struct sl_out *to, const char *name, bool yes);

/* What was made without a place (to NULL) gets one. */
void sl_out_attach(struct sl_out *to, struct sl_out *o);

/* The member of a group of that name, or NULL; remove takes it out again. */
struct sl_out *sl_out_find(const struct sl_out *group, const char *name);
void sl_out_remove(struct sl_out *group, const char *name);
/* The member, made when it is not there. */
struct sl_out *sl_out_in_group(struct sl_memory *m, struct sl_out *to, const char *name);
struct sl_out *sl_out_in_list(struct sl_memory *m, struct sl_out *to, const char *name);

/* Whether one of a list's texts is this. */
bool sl_out_has_text(const struct sl_out *list, const char *text);

void sl_out_comment(struct sl_memory *m, struct sl_out *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* sl_out_write writes the members of root.  What is wrong with f is left for ferror(f). */
void sl_out_write(const struct sl_out *root, FILE *f);

#endif

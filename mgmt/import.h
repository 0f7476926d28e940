/* import — YAML of Istio or of the Gateway API as a table, and what a table cannot say of it.
 *
 * Walk:    sluicectl import → here → a table file's text, which sl_conf_parse takes.
 * Threads: [any]. Pure: files are given as texts.
 * Limits:  of a file those of import_yaml.h.
 */
#ifndef SL_MGMT_IMPORT_H
#define SL_MGMT_IMPORT_H

#include "mgmt/import_left.h"

enum sl_import_from { SL_IMPORT_ISTIO, SL_IMPORT_GATEWAY_API };

struct sl_import_file {
	const char *name; /* for messages */
	const char *text; /* [len] */
	size_t len;
};

/* A file that the table asks for (keys of issuers). */
struct sl_import_made {
	const char *name; /* within the directory; no slash */
	const char *text;
	struct sl_import_made *next;
};

struct sl_import_how {
	const char *
		addresses; /* "203.0.113.10,203.0.113.11": of listeners, in turn; NULL: none known, so placeholders */
	const char *
		directory; /* absolute: where the table, and files beside it, will be; NULL: not known */
};

struct sl_import_result {
	struct sl_memory m;  /* what left points into */
	struct sl_left left; /* in the order of the files' objects */
	char *table;         /* [table_len], terminated */
	size_t table_len;
	const struct sl_import_made *files; /* to be written beside the table */
	bool good; /* the table passed sl_conf_parse; if not, problems of it are in `own` */
	struct sl_diag own;
};

/* sl_import_run: 0, and the caller calls sl_import_result_fini.  -EINVAL with what is no YAML in diag, ret untouched. */
int sl_import_run(enum sl_import_from from, const struct sl_import_file *files, unsigned file_cnt,
		  const struct sl_import_how *how, struct sl_diag *diag,
		  struct sl_import_result *ret);
void sl_import_result_fini(struct sl_import_result *r);

#endif

/* ctl — inside sluicectl: one row per verb (arity, role, help, function), one file per topic.
 *
 * Walk:    main → verb row → request (JSON) → client → sluiced → answer → people or --json.
 * Exit:    enum ctl_exit, the same for all verbs.
 */
#ifndef SL_MGMT_CTL_H
#define SL_MGMT_CTL_H

#include <jansson.h>
#include <stdbool.h>

enum ctl_exit {
	CTL_OK = 0,
	CTL_NO =
		1, /* the answer is no: problems in the table, refused, not found, differs (diff) */
	CTL_USAGE = 2,   /* wrong arguments */
	CTL_NO_PEER = 3, /* sluiced or the dataplane cannot be reached, or did not answer in time */
	CTL_DENIED = 4,  /* the caller's role does not suffice */
};

struct ctl {
	const char *socket;
	bool json;           /* answers as they come */
	const char *comment; /* -m, or NULL */
	const char *flags;   /* --flags (explain) */
	const char *port;    /* --port (explain) */
	int argc;            /* after the verb */
	char **argv;
};

struct ctl_verb {
	const char *name;
	const char *args; /* "FILE", "[WHAT [SERVICE]]" */
	int min, max;     /* arguments */
	const char *role;
	const char *help;
	int (*run)(struct ctl *c);
};

extern const struct ctl_verb ctl_verbs[]; /* ends with a NULL name */

/* client.c.  ctl_ask sends the request (reference taken) and gives the answer, which the caller drops; NULL when it
 * could not be had, with *ret_exit set and the reason on stderr.  ctl_call also prints the error of
 * an answer that is not ok (or the whole answer with --json) and gives NULL then. */
json_t *ctl_ask(struct ctl *c, json_t *request, int *ret_exit);
json_t *ctl_call(struct ctl *c, json_t *request, int *ret_exit);

/* ctl_read_file: the whole file ("-": standard input), terminated; NULL with the reason on stderr. */
char *ctl_read_file(const char *name, size_t *ret_len);

/* ctl_print_problems lists an answer's "problems". */
void ctl_print_problems(const json_t *problems, long more);

/* table.c: aligned columns.  Cells are copied; numbers are right-aligned when the title starts with '>'. */
struct ctl_table;
struct ctl_table *ctl_table_new(const char *const *titles);
void ctl_table_cell(struct ctl_table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ctl_table_print(struct ctl_table *t); /* and frees it */

/* Fields of answers; absent or of another type: "", 0, false. */
const char *ctl_str(const json_t *o, const char *key);
long long ctl_int(const json_t *o, const char *key);
double ctl_num(const json_t *o, const char *key);
bool ctl_bool(const json_t *o, const char *key);

/* verbs */
int ctl_check(struct ctl *c);
int ctl_push(struct ctl *c);
int ctl_diff(struct ctl *c);
int ctl_rollback(struct ctl *c);
int ctl_status(struct ctl *c);
int ctl_show(struct ctl *c);
int ctl_stats(struct ctl *c);
int ctl_drain(struct ctl *c);
int ctl_undrain(struct ctl *c);
int ctl_disable(struct ctl *c);
int ctl_enable(struct ctl *c);
int ctl_weight(struct ctl *c);
int ctl_explain(struct ctl *c);
int ctl_completion(struct ctl *c);
int ctl_help(struct ctl *c);

#endif

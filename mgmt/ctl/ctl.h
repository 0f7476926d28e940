/* ctl — inside sluicectl: one row per verb (arity, role, help, function), one file per topic.
 *
 * Walk:    main → verb row → request (JSON) → client → sluiced → answer → people or --json.
 * Exit:    enum ctl_exit, the same for all verbs.
 */
#ifndef SL_MGMT_CTL_H
#define SL_MGMT_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum ctl_exit {
	CTL_OK = 0,
	CTL_NO =
		1, /* the answer is no: problems in the table, refused, not found, differs (diff) */
	CTL_USAGE = 2,   /* wrong arguments */
	CTL_NO_PEER = 3, /* sluiced or the dataplane cannot be reached, or did not answer in time */
	CTL_DENIED = 4,  /* the caller's role does not suffice */
};

/* Options of one verb; sluicectl.c says of which. */
enum ctl_opt {
	CTL_OPT_CLIENT,
	CTL_OPT_VIP,
	CTL_OPT_PROTO,
	CTL_OPT_SERVICE,
	CTL_OPT_ENDPOINT, /* SERVICE ENDPOINT: the first goes to CTL_OPT_SERVICE */
	CTL_OPT_LISTENER,
	CTL_OPT_STATE,
	CTL_OPT_WORKER,
	CTL_OPT_IDLE_OVER,
	CTL_OPT_LIMIT,
	CTL_OPT_COUNT,
	CTL_OPT_HALVES,
	CTL_OPT_ADDRESS,
	CTL_OPT_SIDE,
	CTL_OPT_RETRANS,
	CTL_OPT_QUEUE,
	CTL_OPT_SORT,
	CTL_OPT_PAIRS,
	CTL_OPT_ALL,
	CTL_OPT_TABLE,
	CTL_OPT_HOST,
	CTL_OPT_ROUTE,
	CTL_OPT_HTTP,
	CTL_OPT_FROM,
	CTL_OPT_INTERVAL,
	CTL_OPT_ONCE,
	CTL_OPT_CERT,
	CTL_OPT_KEY,
	CTL_OPT_CA,
	CTL_OPT_BOOT,
	CTL_OPT_ROOT,
	CTL_OPT_DATAPLANE,
	CTL_OPT_EXTENDED,
	CTL_OPT_REASON,
	CTL_OPT_STORE,
	CTL_OPT_FORCE,
	CTL_OPT_TTL,
	CTL_OPT_WEIGHT,
	CTL_OPT_PRIORITY,
	CTL_OPT_LOCALITY,
	CTL_OPT_METADATA, /* in ctl.metadata; set when there is one */
	CTL_OPT_PERCENT,
	CTL_OPT_LEAVING,
	CTL_OPT_CONFIRM,
	CTL_OPT_OUT,
	CTL_OPT_STRICT,
	CTL_OPT_SHADOW,
	CTL_OPT_SAMPLE,
	CTL_OPT_FOR,
	CTL_OPT_CNT
};

#define CTL_HEADERS 64
#define CTL_METADATA 32

struct ctl {
	const char *socket;
	const char *verb;                /* or NULL: none was given, or no such */
	bool json;                       /* answers as they come */
	bool help;                       /* --help */
	bool quiet;                      /* what cannot be had is no error */
	int wait_s;                      /* for an answer; 0: 90 s */
	const char *comment;             /* -m, or NULL */
	const char *flags;               /* --flags (explain) */
	const char *port;                /* --port (explain, show flows, show streams) */
	const char *opt[CTL_OPT_CNT];    /* NULL: not given; "" for those without a value */
	const char *header[CTL_HEADERS]; /* -H, [header_cnt] */
	int header_cnt;
	const char *metadata[CTL_METADATA]; /* --metadata, [metadata_cnt] */
	int metadata_cnt;
	int argc; /* after the verb */
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
/* ctl_refused prints the error of an answer that is not ok; its exit code. */
int ctl_refused(const struct ctl *c, const json_t *answer);
/* ctl_dial connects to sluiced: the socket, or -1 with the reason (and a hint or NULL; ret_hint may be NULL). */
int ctl_dial(const char *path, char *why, size_t size, const char **ret_hint);

/* ctl_exit_of: what the error of an answer that is not ok exits with. */
int ctl_exit_of(const json_t *answer);

/* ctl_fail says on stderr what was wrong here, before any daemon was asked; with --json also as an answer on
 * stdout.  Gives rc back. */
int ctl_fail(const struct ctl *c, int rc, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Adds a text to an object (value NULL: nothing).  False, with the reason said, when it is not UTF-8; ctl_put
 * drops the request then, ctl_put_text leaves the object. */
bool ctl_put_text(const struct ctl *c, json_t *object, const char *key, const char *value);
bool ctl_put(const struct ctl *c, json_t *request, const char *key, const char *value);

/* ctl_put_number adds a whole number in [0, max] (text NULL: nothing).  False, with the reason said; the request stays. */
bool ctl_put_number(struct ctl *c, json_t *request, const char *option, const char *key,
		    const char *text, long max);

/* ctl_print_json prints an answer as it came. */
void ctl_print_json(const json_t *answer);

/* ctl_near gives the entry of the list (ends with NULL) most like text, or NULL: none is. */
const char *ctl_near(const char *text, const char *const *list);

/* ctl_read_file: the whole file ("-": standard input), terminated; NULL with the reason said. */
char *ctl_read_file(const struct ctl *c, const char *name, size_t *ret_len);

/* ctl_print_problems lists an answer's "problems". */
void ctl_print_problems(const json_t *problems, long more);
/* ctl_print_warnings lists its "warnings", if there are some. */
void ctl_print_warnings(const json_t *answer);

/* table.c: aligned columns.  Cells are copied; numbers are right-aligned when the title starts with '>'. */
struct ctl_table;
struct ctl_table *ctl_table_new(const char *const *titles);
void ctl_table_cell(struct ctl_table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "192.0.2.1:80", "[2001:db8::1]:80", "" as "-"; "1.5s", "2m05s", "3h10m"; bytes as "9999", "12.3k", "4.5G" (of 1024). */
void ctl_table_end(struct ctl_table *t, const char *addr, long long port);
void ctl_table_time(struct ctl_table *t, long long ms);
void ctl_table_size(struct ctl_table *t, long long bytes);
void ctl_table_print(struct ctl_table *t); /* and frees it */

/* Fields of answers; absent or of another type: "", 0, false. */
const char *ctl_str(const json_t *o, const char *key);
long long ctl_int(const json_t *o, const char *key);
double ctl_num(const json_t *o, const char *key);
bool ctl_bool(const json_t *o, const char *key);

/* What `show` can show, ends with NULL (verb_show.c). */
extern const char *const ctl_show_what[];

/* verbs */
int ctl_check(struct ctl *c);
int ctl_push(struct ctl *c);
int ctl_diff(struct ctl *c);
int ctl_rollback(struct ctl *c);
int ctl_confirm(struct ctl *c);
int ctl_push_shadow(struct ctl *c, json_t *request); /* push --shadow; request is taken over */
void ctl_print_changes(const json_t *changes, const char *indent); /* of diff, a line each */
void ctl_print_shadow(const json_t *answer); /* a line on its "shadow", if there is one */
int ctl_shadow(struct ctl *c);               /* show shadow */
int ctl_status(struct ctl *c);
int ctl_show(struct ctl *c);
int ctl_flows(struct ctl *c);   /* show flows */
int ctl_streams(struct ctl *c); /* show streams */
int ctl_ports(struct ctl *c);   /* show ports */
int ctl_stats(struct ctl *c);
int ctl_top(struct ctl *c);
int ctl_drain(struct ctl *c);
int ctl_undrain(struct ctl *c);
int ctl_disable(struct ctl *c);
int ctl_enable(struct ctl *c);
int ctl_weight(struct ctl *c);
int ctl_maintenance(struct ctl *c);
int ctl_gateway(struct ctl *c);
int ctl_announce(struct ctl *c); /* show announce */
int ctl_register(struct ctl *c);
int ctl_deregister(struct ctl *c);
int ctl_heartbeat(struct ctl *c);
int ctl_registry(struct ctl *c); /* show registry */
int ctl_explain(struct ctl *c);
int ctl_explain_http(struct ctl *c); /* explain --http */
/* ctl_explain_level prints from which level an answer's endpoint is, where there is more than one, or a panic. */
void ctl_explain_level(const json_t *answer);
int ctl_upgrade(struct ctl *c);
int ctl_doctor(struct ctl *c);
int ctl_import(struct ctl *c);
int ctl_cert(struct ctl *c);
int ctl_tickets(struct ctl *c);
int ctl_completion(struct ctl *c);
int ctl_help(struct ctl *c);

#endif

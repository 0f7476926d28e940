/* shards — Hyperscan databases for the conditions that need one: made once by sluice-compile, kept in memory and on
 * disk.
 *
 * Walk:    compile_routes.c asks for a list of patterns → memory → DIR/<key>.hs → sluice-compile, a child under limits
 *          (compile_main.c); a push is refused when it says no, and nothing else happens to this process.
 * Key:     SHA-256 of the form, Hyperscan's version, the features of this CPU, and the patterns in order.  So what is
 *          there is right, a restart compiles nothing, and another host or version compiles anew.
 * Disk:    a file is there whole or is not believed (sums); losing one costs the time to make it again.
 * Threads: [any]; several runs at a time.
 */
#ifndef SL_MGMT_SHARDS_H
#define SL_MGMT_SHARDS_H

#include "mgmt/compile.h"

#define SL_SHARDS_DEADLINE_MS 60000 /* of a run, all its databases together */
#define SL_SHARDS_MEMORY_MB 1024    /* of sluice-compile; 10,000 regexes take 100 */

struct sl_pattern {
	const char *text; /* as in the table */
	uint32_t len;
	uint8_t op; /* SL_COND_CONTAINS, SL_COND_REGEX */
	uint8_t icase;
	/* for messages; may be NULL */
	const struct sl_conf_hroute *route; /* the first that has it */
	const struct sl_conf_cond *cond;
};

#define SL_SHARD_PATTERNS 65536 /* of a database, at most */

/* sl_pattern_order: as the patterns of a database stand. */
int sl_pattern_order(const struct sl_pattern *a, const struct sl_pattern *b);

/* A database with its patterns: sorted, distinct; the id of one is its place.  Never changes. */
struct sl_shard {
	struct sl_shard_key key;
	struct sl_compiled_object obj; /* SHARD */
	struct sl_pattern *patterns;   /* [cnt], route and cond NULL */
	uint32_t cnt;
	/* shards.c's */
	uint32_t refs; /* the last one to leave frees */
	uint32_t index_mask;
	uint32_t *index; /* hash of a pattern → id + 1 */
	uint64_t used;   /* the last run that asked; under the lock, as next */
	struct sl_shard *next;
	char *text; /* of the patterns */
};

/* Its id, or UINT32_MAX. */
uint32_t sl_shard_find(const struct sl_shard *s, const struct sl_pattern *p);
/* s may be NULL. */
void sl_shard_unref(const struct sl_shard *s);

struct sl_shards_conf {
	const char *program;  /* sluice-compile */
	const char *dir;      /* where they are kept; NULL: in memory alone */
	uint32_t deadline_ms; /* of a run; 0: SL_SHARDS_DEADLINE_MS */
	uint32_t memory_mb;   /* 0: SL_SHARDS_MEMORY_MB */
};

struct sl_shards_stats {
	uint64_t compiled, loaded,
		held;    /* made by sluice-compile, read from disk, found in memory */
	uint64_t unkept; /* could not be written to disk */
};

/* sl_shards_create makes the directory when it can: without it databases are kept in memory alone, and diag says so.  0 or
 * -ENOMEM. */
int sl_shards_create(const struct sl_shards_conf *conf, struct sl_diag *diag,
		     struct sl_shards **ret_shards);
void sl_shards_destroy(struct sl_shards *s); /* no run is under way; s may be NULL */

/* sl_shards_program: sluice-compile beside the running program, whether it is there or not; buf is returned. */
const char *sl_shards_program(char *buf, size_t size);

/* sl_shards_stop ends what is being compiled, and what will be: such runs fail.  The process is ending. */
void sl_shards_stop(struct sl_shards *s);

void sl_shards_count(struct sl_shards *s, struct sl_shards_stats *ret);

/* sl_shards_find: the shard of a key from memory or disk, or NULL.  The caller's reference. */
const struct sl_shard *sl_shards_find(struct sl_shards *s, const struct sl_shard_key *key);

/* A run: the databases of one compilation, under one deadline, by one child. */
struct sl_shards_run {
	struct sl_shards *s;
	struct sl_diag *diag;
	uint64_t start_ns;
	int fd;    /* to the child; -1: none */
	int pid;   /* of the child */
	bool over; /* refused for good: what else is asked for fails at once */
};
void sl_shards_begin(struct sl_shards_run *r, struct sl_shards *s, struct sl_diag *diag);
void sl_shards_end(struct sl_shards_run *r);

/* Of what the patterns are, for messages. */
struct sl_scan_name {
	const char *table, *vhost;
	unsigned field;   /* enum sl_field */
	const char *name; /* or NULL */
};

/* sl_shards_make: the database of cnt (≥ 1) distinct patterns in sl_pattern_order.  0 with the caller's reference; -EINVAL
 * with every reason in diag; -ENOMEM. */
int sl_shards_make(struct sl_shards_run *r, const struct sl_scan_name *what,
		   const struct sl_pattern *patterns, uint32_t cnt,
		   const struct sl_shard **ret_shard);

/* A scan whose base has become poor: its delta is large, or most of its patterns are used no more.  Compiled::wants (compile.h)
 * lists them; sl_shards_compact makes the database of what it holds now, and the next compilation takes it as base. */
#define SL_DELTA_MAX 256
#define SL_DELTA_POOR 64
#define SL_DEAD_POOR 256 /* and more than are alive */
struct sl_scan_want {
	char *scan;
	struct sl_shard_key from;
	char table[SL_NAME_MAX], vhost[SL_NAME_MAX];
	unsigned field;
	char *name;                  /* or NULL */
	struct sl_pattern *patterns; /* [cnt] */
	uint32_t cnt;
	char *text;
};
void sl_scan_wants_free(struct sl_scan_want *wants, uint32_t cnt);
int sl_shards_compact(struct sl_shards *s, const struct sl_scan_want *want, struct sl_diag *diag);

/* A new base for a scan, made in the background: compilations whose base is `from` use `to` instead.  sl_shards_base: the
 * key to use for the base `from`. */
int sl_shards_rebase(struct sl_shards *s, const char *scan, const struct sl_shard_key *from,
		     const struct sl_shard_key *to);
struct sl_shard_key sl_shards_base(struct sl_shards *s, const char *scan,
				   const struct sl_shard_key *from);

/* sl_shards_trim, after an activation: forgets in memory what no run has asked for lately, rebasings of bases that are no more,
 * and on disk the oldest of the rest above SL_SHARDS_KEEP files or SL_SHARDS_KEEP_BYTES. */
#define SL_SHARDS_KEEP 1024
#define SL_SHARDS_KEEP_BYTES (1ull << 30)
void sl_shards_trim(struct sl_shards *s, const struct sl_slot_map *active);

#endif

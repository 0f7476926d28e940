/* tables — the generations the daemon holds in memory, and how one becomes the next.
 *
 * Walk:    push → parse, compile, write as pending (thread pool) → offer → verdict → active.
 *          endpoints moved → compile the same text anew (thread pool) → offer → verdict → active: a revision.
 *
 *   next    written, not yet decided: being offered, or waiting for a dataplane
 *   active  the last one the dataplane took; its slot map is what the next compilation starts from, whatever
 *           happened to generations in between
 *
 * Revisions: the text of a push with endpoints that are discovered now (roster.h).  One takes the next number, and stands nowhere on
 * disk: `generations` are pushes, and rollback and diff go by them.  The first change is compiled at once, then at most one in
 * SL_TABLES_REVISE_MS, and none before the last compilation's CPU time has passed again: large Maglev tables are slower, not
 * more than half a core.  What changes meanwhile goes into the next.  What was refused, or could not be made, is tried again when
 * something changes, when a dataplane comes, and after SL_TABLES_RETRY_MS, with twice as long each time, up to
 * SL_TABLES_RETRY_MAX_MS.  While no dataplane is connected a revision takes the place of what it revises.
 * Restart: a dataplane that goes on with a table that discovers is offered another one once all sources have spoken, or after
 * SL_TABLES_SETTLE_MS: what it has is newer than what was on disk.
 * A refusal drops `next` and leaves `active` as it is; a dataplane that has just come and refuses `active` is offered it again
 * likewise: the audit log has the first refusal, and when it was taken.  Without a dataplane a push is kept as `next`, and a later push
 * replaces it.  Pushes are worked on one at a time, in order of arrival.
 * Confirm: a push may take itself back (confirm.h): the wait begins when it becomes active, and ends when another push does; that one goes
 *          back as far as the first would have, if it waits, too.  While a later push is undecided nothing is taken back.
 * Disk:    DIR/generations (generations.h); DIR/slots.json, the map of `active` when it was pushed, with its predecessor in
 *          slots.json.prev; what has become of it since in slots.journal (slot_journal.h), written before each offer.
 *          DIR/shards, the databases for regexes (shards.h).
 * Bases:   after an activation the bases that have become poor are made anew in the pool; whoever compiles next uses them.
 * Threads: [loop]; parse, compile and the writing of a generation run in the pool on data nobody changes.
 */
#ifndef SL_MGMT_TABLES_H
#define SL_MGMT_TABLES_H

#include "mgmt/audit.h"
#include "mgmt/compile.h"
#include "mgmt/confirm.h"
#include "mgmt/counters.h"
#include "mgmt/generations.h"
#include "mgmt/operstate.h"
#include "mgmt/publish.h"

#include <uv.h>

/* A push is answered after this, decided or not; above SL_SHARDS_DEADLINE_MS and SL_CTL_HOLD_MS. */
#define SL_TABLES_ANSWER_MS 75000
#define SL_TABLES_PREVIOUS UINT64_MAX
#define SL_TABLES_REVISE_MS 50
#define SL_TABLES_SETTLE_MS 2000
/* A refused revision is tried again after this, then after twice as long each time. */
#define SL_TABLES_RETRY_MS 1000ull
#define SL_TABLES_RETRY_MAX_MS 60000ull

/* What somebody pushed; a push's table and its revisions share it. */
struct sl_pushed {
	unsigned refs;   /* atomic */
	uint64_t number; /* in generations.h */
	uint64_t rollback_of;
	uint32_t confirm_s;
	int64_t uid;
	int64_t written_ms;
	char *file, *comment, *user;
	char *text;
	size_t text_len;
	struct sl_conf *conf; /* as the text says */
	bool discovers;       /* some service of it asks a source */
	double parse_ms;
};

struct sl_table {
	uint64_t number; /* as offered: that of its push, or a later one */
	struct sl_pushed *push;
	struct sl_conf
		*conf; /* with the endpoints that are discovered; the push's own where nothing is */
	struct sl_compiled *compiled;
	struct sl_slot_map map;
	double compile_ms;
	uint64_t begun_ns; /* uv_hrtime: what moved before is in it */
	bool pending;      /* its push has had no verdict yet */
	uint64_t map_id;   /* slot_journal.h */
	char *journal;     /* line that leads to its map, until it is written; or NULL */
};

enum sl_push_outcome {
	SL_PUSH_ACTIVE,
	SL_PUSH_PENDING,   /* kept; no dataplane, or it went away before it answered */
	SL_PUSH_CONFIG,    /* diag */
	SL_PUSH_REFUSED,   /* by the dataplane: verdict->reasons */
	SL_PUSH_NOT_FOUND, /* no generation to go back to: diag */
	SL_PUSH_INTERNAL,  /* disk, memory: diag */
	SL_PUSH_TIMEOUT,   /* goes on without an audience */
	SL_PUSH_BUSY,      /* others took too long; nothing was done */
	SL_PUSH_TRIED,     /* beside the active one */
	SL_PUSH_AWAY,      /* no dataplane that could try it */
};

struct sl_push_result {
	enum sl_push_outcome outcome;
	uint64_t generation, previous, rollback_of;
	uint32_t confirm_s;
	uint32_t objects;
	double compile_ms, total_ms;
	const struct sl_publish_verdict *verdict; /* ACTIVE, REFUSED; else NULL */
	const struct sl_diag *diag;
	const char *note;
};

typedef void sl_push_fn(void *ctx, const struct sl_push_result *r);

struct sl_push_request {
	int64_t uid;
	const char *user, *file, *comment;
	const char *text; /* copied; NULL for a rollback */
	size_t len;
	uint64_t rollback_of; /* 0: push; a number; SL_TABLES_PREVIOUS */
	/* tried beside the active one (trial.h) with [1, 1000000] of a million, for so long; 0: to be active.  It has a number, and
	 * stands nowhere on disk */
	uint32_t sample_ppm, for_s;
	uint32_t
		confirm_s; /* taken back by itself after so long, [1, SL_CONFIRM_MAX_S]; 0: it stands */
};

struct sl_tables_conf {
	uv_loop_t *loop;
	const char *state_dir;
	struct sl_oper *oper;
	struct sl_counters *counters;
	struct sl_audit *audit;
	const char *compile_program; /* sluice-compile; "" or NULL: beside this program */
	uint32_t compile_ms;         /* sl_shards_conf.deadline_ms */
	uint32_t journal_bytes;      /* 0: SL_SLOT_JOURNAL_MAX */
	const char *locality;        /* of this gateway; NULL: "" */
	/* c with all endpoints, for sl_roster_conf_free; NULL: no memory.  The callback NULL: nothing is discovered */
	struct sl_conf *(*endpoints)(void *ctx, const struct sl_conf *c);
	/* whether all sources have spoken since this process began; NULL: nothing is waited for */
	bool (*settled)(void *ctx);
	/* before a table is offered, under its number */
	void (*offering)(void *ctx, const struct sl_table *t);
	/* once a pushed table has been compiled: may it be offered?  0, or errors in diag; NULL: each may */
	int (*admit)(void *ctx, const struct sl_table *t, struct sl_diag *diag);
	/* after `active` changed; not for the one that sl_tables_create loads.  before: what it was, where only endpoints are other ones
	 * (sl_conf_moved); NULL: another push */
	void (*activated)(void *ctx, const struct sl_conf *before);
	/* the dataplane tries tab, which is the callee's from now on */
	void (*tried)(void *ctx, struct sl_table *tab, const struct sl_push_request *q);
	/* one line for the log */
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

struct sl_tables;

/* sl_tables_create makes the directories and loads what is there: the newest good active generation and a newer
 * pending one.  What could not be read is in notes; only a directory that cannot be used is an error. */
int sl_tables_create(const struct sl_tables_conf *conf, struct sl_diag *notes,
		     struct sl_tables **ret_tables);
/* sl_tables_destroy: the loop has been run until no job is left (sl_tables_busy). */
void sl_tables_destroy(struct sl_tables *t);
bool sl_tables_busy(const struct sl_tables *t);
/* sl_tables_stop: what is being compiled fails, so that the loop comes to its end soon. */
void sl_tables_stop(struct sl_tables *t);

/* The link's callbacks.  sl_tables_link: p is where offers go. */
void sl_tables_link(struct sl_tables *t, struct sl_publish *p);
void sl_tables_up(struct sl_tables *t, const struct sl_publish_link *l);
void sl_tables_down(struct sl_tables *t);
void sl_tables_verdict(struct sl_tables *t, const struct sl_publish_verdict *v);

/* fn is called once, from the loop, possibly before sl_tables_push returns. */
void sl_tables_push(struct sl_tables *t, const struct sl_push_request *q, sl_push_fn *fn,
		    void *ctx);

/* What waits to be confirmed; generation 0: nothing.  sl_tables_confirm: it stands.  0; -ENOENT: nothing waits, or another generation
 * than this (0: whichever); -EALREADY: it is being taken back. */
struct sl_confirm_wait sl_tables_waits(const struct sl_tables *t);
int sl_tables_confirm(struct sl_tables *t, uint64_t generation, int64_t uid, const char *user,
		      const char *comment, struct sl_confirm_wait *ret_wait);

/* sl_tables_revise: endpoints that are discovered are other ones now. */
void sl_tables_revise(struct sl_tables *t);
struct sl_tables_revisions {
	uint64_t active, refused; /* since the daemon started */
	double compile_ms; /* of the last one; wall clock, as are the next ones: of the dataplane */
	double check_ms, build_ms, swap_ms;
};
void sl_tables_revisions(const struct sl_tables *t, struct sl_tables_revisions *ret);

const struct sl_table *sl_tables_active(const struct sl_tables *t); /* or NULL */
const struct sl_table *sl_tables_next(const struct sl_tables *t);   /* or NULL */
struct sl_shards *sl_tables_shards(const struct sl_tables *t);
const char *sl_tables_dir(const struct sl_tables *t); /* of generations.h */
/* What the dataplane was last known to run, 0: nothing, or not connected. */
uint64_t sl_tables_running(const struct sl_tables *t);
/* Pushes decided since the daemon started. */
void sl_tables_count(const struct sl_tables *t, uint64_t *ret_active, uint64_t *ret_refused);

#endif

/* tables_priv — what the parts of tables share.
 *
 *   tables.c           active and next: loaded, changing places, let go; the life of all parts
 *   tables_push.c      who pushed: the queue, a push step by step, its answer
 *   tables_try.c       a push that is tried beside the active one
 *   tables_offer.c     what the dataplane is offered and what it says; what it refused, offered again
 *   tables_revision.c  what was pushed, with the endpoints of now
 *   tables_slots.c     slot maps: which one counts, and that it is on disk
 *   tables_confirm.c   a push that takes itself back
 *   tables_bases.c     bases of regexes made anew
 *   tables_audit.c     lines of the audit log
 *
 * Two things exclude each other: a job in the thread pool, which reads `active`, and an open offer, whose
 * verdict may replace `active`.  So a push waits for an open offer, and an offer that a new link asks for waits
 * for a job; a revision waits for both, and for pushes.  At the end of a job that offers nothing
 * sl_tables_offer_catch_up is called, for a dataplane that came meanwhile; then, as at the end of an offer, sl_tables_push_run
 * begins what waited.
 * Threads: [loop] unless tagged [pool]: in a job.
 */
#ifndef SL_MGMT_TABLES_PRIV_H
#define SL_MGMT_TABLES_PRIV_H

#include "mgmt/slot_journal.h"
#include "mgmt/table.h"
#include "mgmt/tables.h"

/* tables_push.c */
struct push {
	struct push *next;
	struct sl_tables *tables;
	struct sl_push_request q; /* strings are ours */
	sl_push_fn *fn;           /* NULL: answered */
	void *ctx;
	uint64_t since_ns;
	bool working; /* in the pool, or being offered */
	uv_work_t work;
	/* filled by the job */
	struct sl_pushed *pushed;
	struct sl_conf *conf; /* for the compilation: with endpoints of the roster, or NULL */
	bool parsed;          /* the job ended there: endpoints are asked for next */
	struct sl_table *table;
	struct sl_diag diag;
	enum sl_push_outcome outcome;
	uint64_t number, map_id;
};

/* tables_revision.c: the table being compiled with other endpoints. */
struct revision {
	uv_work_t work;
	struct sl_tables *tables;
	struct sl_table *base; /* next or active: neither changes meanwhile */
	struct sl_conf *conf;
	struct sl_table *table;
	uint64_t map_id, begun_ns;
	uint64_t cpu_ms; /* that it took */
	struct sl_diag diag;
	int err;
};

/* tables_revision.c */
struct sl_tables_revising {
	struct revision now;
	uv_timer_t *timer;
	uint64_t after;             /* ms of the loop: not before */
	uint64_t said_ms, said_cnt; /* they are said now and then: since when, how many */
	struct sl_tables_revisions counts;
};

/* tables_offer.c: what is offered later.  Times in ms of the loop; 0: nothing is. */
struct sl_tables_later {
	uint64_t settle_until; /* after a restart sources are waited for; 0: no more */
	uv_timer_t *settle_timer;
	uint64_t retry_at;  /* again what was refused, or could not be offered */
	uint64_t retry_ms;  /* how long the last one waits, or did; 0: the last offer was taken */
	uint64_t opened_ms; /* when the last offer was made */
	bool owed; /* a revision was refused, or could not be made: its endpoints are nowhere */
	bool said; /* that active was refused */
};

/* tables_slots.c: slots.json being written anew, because the journal is long. */
struct rewriting {
	uv_work_t work;
	struct sl_tables *tables;
	struct sl_diag diag;
	int err;
};

/* tables_slots.c */
struct sl_tables_slots {
	struct sl_slot_map empty;
	/* of the first compilation: what was on disk, until there is an active one */
	struct sl_slot_map *start;
	uint64_t start_id; /* of the map `start`, or of the empty one */
	uint64_t last_id;  /* largest of a map */
	struct sl_slot_journal *journal;
	bool journal_said; /* that it cannot be written */
	struct rewriting rewriting;
	uint64_t shorten_after; /* ms of the loop */
};

/* tables_bases.c */
struct sl_tables_bases {
	struct compaction *compaction; /* under way, or NULL */
	uint64_t unkept_said;
};

/* Below a file's name stands what it alone changes, and others look at. */
struct sl_tables {
	struct sl_tables_conf c;
	char *generations; /* directory */
	struct sl_shards *shards;
	uv_timer_t *timer;
	/* changed by tables.c; a refusal takes next away */
	struct sl_table *active, *next;
	/* the open offer: next, active or trying; NULL: none is.  tables_offer.c, tables_try.c */
	struct sl_table *offered;
	bool job; /* one is in the pool: of tables_push.c, tables_revision.c or tables_slots.c */
	bool stirred;     /* endpoints moved since the last compilation began, or are owed */
	uint64_t last;    /* number: the largest that was given, or that a dataplane had */
	uint64_t running; /* by the dataplane, as last known; 0: nothing, or not connected */
	uint64_t count_active, count_refused;
	/* tables.c */
	bool stopping;
	/* tables_push.c */
	struct push *pushes, **tail; /* only the head is `working` */
	/* tables_try.c */
	struct sl_table *trying; /* offered to be tried; NULL: none is */
	/* tables_offer.c */
	struct sl_publish *publish;
	bool linked;
	/* tables_confirm.c */
	struct sl_confirm *confirm; /* tables_offer.c gives what waits another number */
	bool going_back;            /* a rollback of what was not confirmed is under way */
	/* nobody else's; but tables.c makes and closes their timers, and says whether we are busy */
	struct sl_tables_later later;
	struct sl_tables_revising revising;
	struct sl_tables_slots slots;
	struct sl_tables_bases bases;
};

/* ---- tables.c ---- */

void sl_tables_say(struct sl_tables *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a step that must not stop us had to complain about; diag is empty afterwards. */
void sl_tables_say_diag(struct sl_tables *t, struct sl_diag *diag);

/* The state of tab's push on disk; what goes wrong is said. */
void sl_tables_mark(struct sl_tables *t, const struct sl_table *tab, enum sl_generation_state state,
		    const char *text);
/* tab, which is ours from now on, becomes next.  The one before goes, and is marked as superseded unless it is of the same push. */
void sl_tables_replace_next(struct sl_tables *t, struct sl_table *tab);
/* What tab differs from in nothing but endpoints: what is placed; or NULL. */
const struct sl_conf *sl_tables_moved_from(const struct sl_tables *t, const struct sl_table *tab);
/* tab takes the place of active, in memory, which it returns: the caller's, or NULL. */
struct sl_table *sl_tables_put_active(struct sl_tables *t, struct sl_table *tab);
/* next becomes active, in memory, and is what runs; the table before it, the caller's, for settle. */
struct sl_table *sl_tables_activate(struct sl_tables *t);
/* The same on disk, for a push; takes old over. */
void sl_tables_settle(struct sl_tables *t, struct sl_table *old);

/* ---- tables_push.c ---- */

/* The next push, if nothing is in its way; where none waits, a revision. */
void sl_tables_push_run(struct sl_tables *t);
/* The push at the head is decided: answered, and gone.  tab: NULL if there is none. */
void sl_tables_push_finish(struct sl_tables *t, enum sl_push_outcome outcome,
			   const struct sl_table *tab, uint64_t previous,
			   const struct sl_publish_verdict *v, const char *note);
/* Who has waited too long is told; what is not begun is let go. */
void sl_tables_push_answer_late(struct sl_tables *t);
/* At the end: nobody is answered. */
void sl_tables_push_drop(struct sl_tables *t);

/* ---- tables_try.c ---- */

/* tab, ours from now on, is what came of the push at the head, which has a sample. */
void sl_tables_try(struct sl_tables *t, struct sl_table *tab);
/* Of what is being tried. */
void sl_tables_try_verdict(struct sl_tables *t, const struct sl_publish_verdict *v);
/* The link went away.  false: nothing was being tried. */
bool sl_tables_try_lost(struct sl_tables *t);

/* ---- tables_offer.c ---- */

/* tab is next or active, and no offer is open.  0: the verdict goes on; else nothing is on its way yet: -errno. */
int sl_tables_offer(struct sl_tables *t, struct sl_table *tab);
/* What a dataplane that has just come, or has just refused, should run, if nothing is in the way. */
void sl_tables_offer_current(struct sl_tables *t);
/* A dataplane that came while a job was under way. */
void sl_tables_offer_catch_up(struct sl_tables *t);
/* tab, a revision that is next, under a number of its own; after a restart it may be what runs. */
void sl_tables_offer_revision(struct sl_tables *t, struct sl_table *tab);
/* Words, baselines and names of what is new in tab, before it may get traffic. */
void sl_tables_offer_introduce(struct sl_tables *t, const struct sl_table *tab);
/* After a restart: sources have not spoken yet.  waits: and the dataplane has what they said before, so nothing is offered now, and
 * what is current later on. */
bool sl_tables_offer_unsettled(const struct sl_tables *t);
bool sl_tables_offer_waits(struct sl_tables *t);
/* A revision was refused, or could not be made: it is made again later. */
void sl_tables_offer_owe(struct sl_tables *t);
/* What there is has the endpoints of now. */
void sl_tables_offer_paid(struct sl_tables *t);
/* What was refused is offered again, or made anew, when its time has come: called now and then. */
void sl_tables_offer_retry(struct sl_tables *t);

/* ---- tables_revision.c ---- */

/* Begins one if endpoints moved and nothing is in the way; or sees to it that it is begun in time. */
void sl_tables_revision_run(struct sl_tables *t);
/* The dataplane took the revision that is active now; or refused one. */
void sl_tables_revision_taken(struct sl_tables *t, const struct sl_publish_verdict *v);
void sl_tables_revision_refused(struct sl_tables *t);
/* The first one, then how many there were: called now and then while there is an active table. */
void sl_tables_revision_say(struct sl_tables *t);

/* ---- tables_slots.c ---- */

/* What slots.json says, and the journal after it.  0 or -errno with notes; close after either. */
int sl_tables_slots_open(struct sl_tables *t, struct sl_diag *notes);
/* There is an active table: its map counts, and is on disk. */
void sl_tables_slots_begin(struct sl_tables *t, struct sl_diag *notes);
void sl_tables_slots_close(struct sl_tables *t);
/* [pool] too: what the next compilation starts from; good as long as active is. */
const struct sl_slot_map *sl_tables_slots_now(const struct sl_tables *t);
/* Of a map that will be made. */
uint64_t sl_tables_slots_next_id(struct sl_tables *t);
/* [pool] too: the line that leads from the map of now to tab's; one that says nothing leaves both the same. */
void sl_tables_slots_note(const struct sl_tables *t, struct sl_table *tab, uint64_t id);
/* Until all sources have spoken nobody loses a slot: who is missing may only not have been said yet. */
void sl_tables_slots_retain(struct sl_tables *t, struct sl_table *tab);
/* That line to the journal, before anybody gets a flow by it. */
void sl_tables_slots_write(struct sl_tables *t, struct sl_table *tab);
/* The map of active becomes slots.json, and the journal begins anew.  0 or -errno with diag. */
int sl_tables_slots_save(struct sl_tables *t, struct sl_diag *diag);
/* What was on disk at the start counts no more: there is an active table. */
void sl_tables_slots_drop_start(struct sl_tables *t);
/* If the journal has become long: the same in a job.  false: there is none. */
bool sl_tables_slots_shorten(struct sl_tables *t);

/* ---- tables_confirm.c ---- */

int sl_tables_confirm_open(struct sl_tables *t, struct sl_diag *notes); /* 0, -ENOMEM */
/* After loading: what waits must be there to be taken back. */
void sl_tables_confirm_check(struct sl_tables *t, struct sl_diag *notes);
/* tab, of a push, is about to become active: what waited is over, and it may wait itself. */
void sl_tables_confirm_wait(struct sl_tables *t, const struct sl_table *tab);

/* ---- tables_bases.c ---- */

/* After an activation: databases that nobody needs go, poor ones are made anew. */
void sl_tables_bases_tend(struct sl_tables *t);
/* The wishes of the active table, unless others are being granted. */
void sl_tables_bases_start(struct sl_tables *t);

/* ---- tables_audit.c ---- */

/* What became of tab.  p: the push at the head; NULL: tab was pushed before, and offered by itself. */
void sl_tables_audit_push(struct sl_tables *t, const struct push *p, const struct sl_table *tab,
			  const char *outcome, const struct sl_publish_verdict *v);
/* Of the push at the head, which is tried. */
void sl_tables_audit_trial(struct sl_tables *t, const struct sl_table *tab, const char *outcome,
			   const struct sl_publish_verdict *v);
void sl_tables_audit_confirmed(struct sl_tables *t, uint64_t generation, int64_t uid,
			       const char *user, const char *comment);

#endif

/* generations — every table that was pushed and passed the checks, on disk.
 *
 *   DIR/00000007/table.conf    the text as pushed
 *   DIR/00000007/meta.json     who, when, what became of it; SHA-256 of the text and of itself
 *
 * Walk:    push → write as PENDING → the dataplane's verdict → mark ACTIVE or REFUSED.
 * Disk:    a generation appears by rename of a complete, synced directory; a mark replaces meta.json.
 * Numbers: the directory's name; they strictly rise, and the newest directory is never removed.
 * Threads: [any], one writer at a time.  Nothing is cached.
 */
#ifndef SL_MGMT_GENERATIONS_H
#define SL_MGMT_GENERATIONS_H

#include "sluice/diag.h"

#define SL_GENERATIONS_KEEP 16
#define SL_GENERATIONS_TEXT_MAX (64u << 20)

enum sl_generation_state {
	SL_GENERATION_CORRUPT = 0, /* text says how; only number and text are set */
	SL_GENERATION_PENDING,     /* no verdict yet */
	SL_GENERATION_ACTIVE,  /* was taken by the dataplane; the newest such is the one in force */
	SL_GENERATION_REFUSED, /* text says why */
	SL_GENERATION_SUPERSEDED, /* a later one came before the dataplane saw it */
};

struct sl_generation_meta {
	uint64_t number;
	enum sl_generation_state state;
	char *file;    /* name as given by the pusher */
	char *comment; /* may be "" */
	char *user;
	char *text;    /* why refused or corrupt; "" otherwise */
	char root[65]; /* id of the root object in hex */
	char sum[65];  /* of table.conf */
	int64_t uid;
	int64_t written_ms;
	uint64_t bytes; /* of table.conf */
	uint64_t rollback_of;
	uint32_t confirm_s; /* it takes itself back (confirm.h) after so long; 0: not */
};

void sl_generation_meta_fini(struct sl_generation_meta *m);
const char *sl_generation_state_name(enum sl_generation_state s);

/* sl_generations_write makes m->number (state as in m; sum and bytes are filled in). */
int sl_generations_write(const char *dir, struct sl_generation_meta *m, const char *text,
			 size_t len, struct sl_diag *diag);

/* sl_generations_mark sets the state (and text, when not NULL) of a generation that is there. */
int sl_generations_mark(const char *dir, uint64_t number, enum sl_generation_state state,
			const char *text, struct sl_diag *diag);

/* sl_generations_read reads one and verifies its sums: 0, -ENOENT, or -EINVAL with diag (corrupt).
 * ret_text may be NULL.  What is returned is the caller's to free. */
int sl_generations_read(const char *dir, uint64_t number, struct sl_generation_meta *ret_meta,
			char **ret_text, size_t *ret_len, struct sl_diag *diag);

/* sl_generations_list gives all, newest first; corrupt ones with state CORRUPT.  Half-written
 * directories (*.tmp) are not listed. */
int sl_generations_list(const char *dir, struct sl_generation_meta **ret_list, unsigned *ret_cnt);
void sl_generations_list_free(struct sl_generation_meta *list, unsigned cnt);

/* sl_generations_last is the largest number in use, 0 when there is none. */
uint64_t sl_generations_last(const char *dir);

/* sl_generations_prune removes half-written directories and all but the newest SL_GENERATIONS_KEEP; `keep`
 * (the active one) and `keep_too` (what may be gone back to; 0: none) stay whatever their age. */
void sl_generations_prune(const char *dir, uint64_t keep, uint64_t keep_too);

#endif

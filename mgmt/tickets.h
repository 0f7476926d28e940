/* tickets — the keys that session tickets are sealed with, shared by all workers (and, when installed, by several gateways).
 *
 * Own keys are rotated: a new one comes in front, and the last SL_TICKETS_KEPT stay, so that tickets are good for at least two
 * periods.  Installed ones stay as they are until sl_tickets_own.
 * Disk:    state_dir/tickets (keep.h).  A file that is damaged gets a note, and new keys are made: sessions start anew.
 * Change:  one of rotate, install, own makes the next set and puts it beside the file; sl_tickets_commit when the dataplane has
 *          taken it, or sl_tickets_drop.  One at a time: -EBUSY.
 * Memory:  keys stand in memory of sl_wipe_alloc.
 * Threads: [loop].  Times in ms since 1970.
 */
#ifndef SL_MGMT_TICKETS_H
#define SL_MGMT_TICKETS_H

#include "sluice/diag.h"
#include "sluice/secrets.h"

#define SL_TICKETS_KEPT 3
#define SL_TICKETS_NAME "tickets" /* of the secret */

struct sl_tickets;

struct sl_tickets_row {
	char name[33];   /* hex; stands in every ticket, and is no secret */
	int64_t made_ms; /* or installed */
};

int sl_tickets_create(const char *state_dir, int64_t now_ms, struct sl_diag *notes,
		      struct sl_tickets **ret_tickets);
void sl_tickets_destroy(struct sl_tickets *t);

/* The keys in force, first the one that encrypts: how many. */
unsigned sl_tickets_rows(const struct sl_tickets *t, struct sl_tickets_row ret[SL_TICKET_KEYS]);
bool sl_tickets_installed(const struct sl_tickets *t);
/* When they came to be in force as they are: a rotation is due a period later. */
int64_t sl_tickets_since(const struct sl_tickets *t);

/* 0, -EBUSY, -EINVAL (install: not keys; rotate: installed keys are not rotated), -errno of the disk; with diag. */
int sl_tickets_rotate(struct sl_tickets *t, int64_t now_ms, struct sl_diag *diag);
int sl_tickets_install(struct sl_tickets *t, const uint8_t *keys, size_t bytes, int64_t now_ms,
		       struct sl_diag *diag);
int sl_tickets_own(struct sl_tickets *t, int64_t now_ms, struct sl_diag *diag);
int sl_tickets_commit(struct sl_tickets *t, struct sl_diag *diag);
void sl_tickets_drop(struct sl_tickets *t);

/* sl_tickets_memfd: the secret of the next set (next), or of the one in force: a descriptor for the caller to close, or -errno. */
int sl_tickets_memfd(const struct sl_tickets *t, bool next, uint32_t *ret_bytes);

#endif

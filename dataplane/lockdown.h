/* lockdown — what the process gives up for good once its ports are up.
 *
 *   every thread: bounding and ambient set ─▶ user, groups ─▶ every thread: permitted, effective, inheritable ─▶ filter.h
 *        ─▶ /proc/self/task is read back, thread by thread: one that has kept anything is an error
 *
 * Capabilities belong to threads, and the EAL's and handshake threads are not ours to ask: each is interrupted by a signal
 * whose handler makes the system calls.  Threads made later inherit what is left.
 * Threads: [main]; no thread begins or ends meanwhile, but a thread that ended is passed over.
 * Not here: which system calls are left (filter.h).
 */
#ifndef SL_DATAPLANE_LOCKDOWN_H
#define SL_DATAPLANE_LOCKDOWN_H

#include "sluice/diag.h"

#include <sys/types.h>

struct sl_lockdown_conf {
	const char *user; /* ""; stays who it is */
	const char *file; /* boot file, for messages */
	uint64_t keep;    /* bit c: capability c stays, where it is there */
	bool filter;      /* system calls, too */
};

struct sl_lockdown {
	unsigned threads; /* that were looked at */
	uint64_t kept;    /* capabilities that all threads together have */
	uint64_t bound;   /* of the bounding sets: 0 where we were allowed to empty them */
	uid_t uid;
	char user[33]; /* its name, by sl_lockdown_enter */
};

/* sl_lockdown_say: one line for the log and for people: "none kept, filter of system calls on, user root, 6 threads". */
#define SL_LOCKDOWN_TEXT 160
void sl_lockdown_say(const struct sl_lockdown *l, bool filter, char ret_text[SL_LOCKDOWN_TEXT]);

/* sl_lockdown_memory raises the limit of locked memory as far as this process may, because it will not have CAP_IPC_LOCK.
 * What has to stay for that, as sl_lockdown_conf.keep: 0, or that capability where the limit cannot be raised. */
uint64_t sl_lockdown_memory(void);

/* sl_lockdown_dumps: no core is written of this process, and nobody but root traces it. */
void sl_lockdown_dumps(void);

/* sl_lockdown_child: the same for a child with one thread, without user and filter, and it gains nothing by exec. */
void sl_lockdown_child(uint64_t keep);

/* sl_lockdown_check: whether there is that user, and this process can become it.  0, or -errno with the reason in diag. */
int sl_lockdown_check(const struct sl_lockdown_conf *conf, struct sl_diag *diag);

/* sl_lockdown_enter does it for the process.  0, or -errno with the reason in diag: the process is then of no use. */
int sl_lockdown_enter(const struct sl_lockdown_conf *conf, struct sl_diag *diag,
		      struct sl_lockdown *ret_lockdown);

/* sl_lockdown_read fills what the threads of this process have now.  0, or -errno with the reason in diag: some thread has more than
 * keep, gains by exec, or (filter) has no filter. */
int sl_lockdown_read(uint64_t keep, bool filter, struct sl_diag *diag,
		     struct sl_lockdown *ret_lockdown);

#endif

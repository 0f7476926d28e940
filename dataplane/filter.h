/* filter — the system calls that a running dataplane makes; seccomp keeps all others from every thread.
 *
 *   what it makes                        → done
 *   what libraries try, and bear without → EPERM, silently
 *   what only an attacker makes          → the process is killed (SIGSYS)
 *   anything else                        → EPERM, and noted: sl_filter_refused gives the number to main, which logs it once
 *
 * No thread can run a program, make a process or memory that is executable, trace, mount, load code into the kernel.
 * Threads: install [main], for all threads there are and will be.  Not to be undone.
 * Limits:  a call that is refused raises SIGSYS in its thread, which must not block it; the filter looks at numbers and
 *          arguments, never behind pointers: which files are opened is a matter of users and of the manager's unit.
 * Sanitizers: they trace and fork at the end; nothing is installed then.
 */
#ifndef SL_DATAPLANE_FILTER_H
#define SL_DATAPLANE_FILTER_H

#include "sluice/diag.h"

#define SL_FILTER_NAME 32

/* Whether this build can have a filter. */
bool sl_filter_possible(void);

/* sl_filter_install: 0, or -errno with the reason in diag. */
int sl_filter_install(struct sl_diag *diag);

/* sl_filter_refused gives a system call that was refused since and was not given yet: true, its number and name. */
bool sl_filter_refused(int *ret_number, char ret_name[SL_FILTER_NAME]);

/* How many were refused so far, silent ones not counted. */
uint64_t sl_filter_refusals(void);

#endif

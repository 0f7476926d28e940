/* fdstore — systemd's readiness and watchdog protocol and descriptor store, without its library.
 *
 * The flow region is given to the manager that NOTIFY_SOCKET names (FDSTORE=1) and comes back at the next start among
 * the descriptors from 3 on (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).  A predecessor that became this program passes it
 * as SL_FDSTORE_ENV.  Without a manager nothing is sent.
 *
 * Threads: [main]; sl_fdstore_take before anything else opens or runs anything.
 */
#ifndef SL_DATAPLANE_FDSTORE_H
#define SL_DATAPLANE_FDSTORE_H

#include <stdint.h>

#define SL_FDSTORE_NAME "sluice-flows"
#define SL_FDSTORE_ENV "SLUICE_FLOWS_FD"

/* sl_fdstore_take gives the descriptor of a region that waits for this process, or -1: none.  Descriptors that came are
 * made close-on-exec, the variables are removed. */
int sl_fdstore_take(void);

/* sl_fdstore_leave writes fd into the environment and lets it pass an exec. */
void sl_fdstore_leave(int fd);

/* sl_fdstore_put has the manager hold fd (stays the caller's) in place of what it holds. */
void sl_fdstore_put(int fd);

/* sl_fdstore_notify tells the manager text ("READY=1\n"). */
void sl_fdstore_notify(const char *text);

/* sl_fdstore_watchdog says within how many ns of each other the manager wants to hear WATCHDOG=1 (WATCHDOG_USEC, WATCHDOG_PID):
 * 0: it does not. */
uint64_t sl_fdstore_watchdog(void);

#endif

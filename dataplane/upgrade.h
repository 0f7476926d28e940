/* upgrade — whether the program file this dataplane was started from can take its place, and how it does.
 *
 *   asked ─▶ warden: FILE --versions ─▶ the same as ours? ─▶ warden: FILE --check -c BOOT ─▶ exit 0? ─▶ ready
 *               └────────────────────────┴── no, or not within SL_UPGRADE_WAIT_NS ──┴─▶ refused, with what it said
 *
 * Two ways from there:
 *   become   the process runs the file in its own place: only with the privileges it was started with
 *   restart  it ends with SL_UPGRADE_EXIT, and the manager, who holds the flows (fdstore.h), starts the file
 * A process that has neither refuses before anything is run.
 *
 * Threads: [main].  Never waits: the warden's answers are polled for.
 * Not here: stopping what runs (main), the flows (they stay in their region; fdstore.h passes it on).
 */
#ifndef SL_DATAPLANE_UPGRADE_H
#define SL_DATAPLANE_UPGRADE_H

#include "dataplane/warden.h"

#include <poll.h>

#define SL_UPGRADE_WAIT_NS 5000000000ull
#define SL_UPGRADE_EXIT 75              /* RestartForceExitStatus= of the unit */
#define SL_UPGRADE_ENV "SLUICE_UPGRADE" /* "restart": a manager that holds flows starts us anew */

enum sl_upgrade_how { SL_UPGRADE_BECOME, SL_UPGRADE_RESTART, SL_UPGRADE_CANNOT };

struct sl_upgrade {
	char path[4096];  /* of the program */
	char **arguments; /* it was started with */
	cpu_set_t cpus;   /* it was started on */
	int freed_mb;     /* hugepages this process has */
	enum sl_upgrade_how how;
	struct sl_warden warden;
	/* what is under way */
	int stage; /* 0: nothing */
	uint32_t seq;
	uint32_t question;
	uint64_t until_ns;
};

/* What --versions prints: one line for each format that both programs must know. */
const char *sl_upgrade_versions(void);

/* sl_upgrade_init notes the program that runs. */
void sl_upgrade_init(struct sl_upgrade *u, char **arguments, const cpu_set_t *cpus);

/* sl_upgrade_start has a warden from now on, and decides how.  keep_privileges as in the boot file; keep: capabilities that
 * stay else.  0 or -errno. */
int sl_upgrade_start(struct sl_upgrade *u, const char *boot_file, bool keep_privileges,
		     uint64_t keep);

/* sl_upgrade_ask starts the checks.  0, or -errno with a sentence in ret_text. */
int sl_upgrade_ask(struct sl_upgrade *u, uint32_t seq, uint64_t now_ns, char *ret_text,
		   size_t text_size);

/* sl_upgrade_poll fills what to wait for (1 place), the number filled. */
unsigned sl_upgrade_poll(const struct sl_upgrade *u, struct pollfd *ret_fd);

/* sl_upgrade_turn goes on.  True when the checks are over: *ret_error 0 or an errno, ret_text what to say. */
bool sl_upgrade_turn(struct sl_upgrade *u, uint64_t now_ns, int *ret_error, char *ret_text,
		     size_t text_size);

/* sl_upgrade_become runs the program in this process, as it was started.  Gives -errno when it cannot. */
int sl_upgrade_become(struct sl_upgrade *u);

/* sl_upgrade_stop ends the warden. */
void sl_upgrade_stop(struct sl_upgrade *u);

#endif

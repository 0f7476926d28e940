/* upgrade — whether the program file this dataplane was started from can take its place, and becoming it.
 *
 *   asked ─▶ run FILE --versions ─▶ the same as ours? ─▶ run FILE --check -c BOOT ─▶ exit 0? ─▶ ready
 *               └────────────────────────┴── no, or not within SL_UPGRADE_WAIT_NS ──┴─▶ refused, with what it said
 *
 * Threads: [main].  Never waits: the child's output and end are polled for.
 * Not here: stopping what runs (main), the flows (they stay in their region; fdstore.h passes it on).
 */
#ifndef SL_DATAPLANE_UPGRADE_H
#define SL_DATAPLANE_UPGRADE_H

#include "sluice/base.h"

#include <poll.h>
#include <sched.h>
#include <sys/types.h>

#define SL_UPGRADE_WAIT_NS 5000000000ull
#define SL_UPGRADE_FREED                                                                           \
	"SLUICE_HUGE_FREED" /* environment of the check: MB of hugepages that we will give back */

struct sl_upgrade {
	char path[4096];  /* of the program */
	char **arguments; /* it was started with */
	const char *boot_file;
	cpu_set_t cpus; /* it was started on */
	int freed_mb;   /* hugepages this process has */
	/* what is under way */
	int stage; /* 0: nothing */
	uint32_t seq;
	pid_t pid;
	int out; /* what the child says */
	uint64_t until_ns;
	char said[2048];
	size_t said_len;
};

/* What --versions prints: one line for each format that both programs must know. */
const char *sl_upgrade_versions(void);

/* sl_upgrade_init notes the program that runs. */
void sl_upgrade_init(struct sl_upgrade *u, char **arguments, const cpu_set_t *cpus);

/* sl_upgrade_ask starts the checks.  0, -EBUSY: they are under way, or -errno. */
int sl_upgrade_ask(struct sl_upgrade *u, uint32_t seq, uint64_t now_ns);

/* sl_upgrade_poll fills what to wait for (1 place), the number filled. */
unsigned sl_upgrade_poll(const struct sl_upgrade *u, struct pollfd *ret_fd);

/* sl_upgrade_turn goes on.  True when the checks are over: *ret_error 0 or an errno, ret_text what to say. */
bool sl_upgrade_turn(struct sl_upgrade *u, uint64_t now_ns, int *ret_error, char *ret_text,
		     size_t text_size);

/* sl_upgrade_become runs the program in this process, as it was started.  Gives -errno when it cannot. */
int sl_upgrade_become(const struct sl_upgrade *u);

/* sl_upgrade_abort ends the child, if there is one. */
void sl_upgrade_abort(struct sl_upgrade *u);

#endif

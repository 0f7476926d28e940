/* warden — a child without privileges that asks a program file what it is, for a dataplane that can run nothing any more.
 *
 *   main ── question (--versions | --check) ──▶ warden ── runs FILE, reads what it says ──▶ answer ── main
 *
 * It is forked before the EAL, when the process is small and has one thread, and knows from then on which file it may run: who
 * takes over the dataplane can have it run nothing else.  It ends with its parent, whose end of the socket closes then, and ends
 * the program that runs at that moment.  Signals of the terminal and the manager are the parent's business.
 * Threads: [main].  Nothing waits but sl_warden_stop, for a child that is ending.
 */
#ifndef SL_DATAPLANE_WARDEN_H
#define SL_DATAPLANE_WARDEN_H

#include "sluice/base.h"

#include <sched.h>
#include <sys/types.h>

#define SL_WARDEN_FREED                                                                            \
	"SLUICE_HUGE_FREED" /* environment of --check: MB of hugepages that the asker will give back */

struct sl_warden_conf {
	const char *path;      /* of the program */
	const char *boot_file; /* for --check */
	const cpu_set_t *cpus; /* it runs on */
	uint64_t keep;         /* capabilities that stay (lockdown.h) */
	bool privileged;       /* all of them */
};

struct sl_warden {
	pid_t pid; /* 0: none */
	int fd;
};

struct sl_warden_question {
	uint32_t seq;   /* comes back */
	uint32_t check; /* 0: --versions */
	int32_t freed_mb;
	uint32_t limit_ms;
};

enum sl_warden_end { SL_WARDEN_EXIT, SL_WARDEN_SIGNAL, SL_WARDEN_TIMEOUT, SL_WARDEN_NOT_RUN };

struct sl_warden_answer {
	uint32_t seq;
	uint32_t end;    /* enum sl_warden_end */
	int32_t value;   /* exit code, signal, or errno */
	uint32_t length; /* of said; it is terminated */
	char said[2048];
};

/* sl_warden_start: 0 or -errno.  The descriptor is close-on-exec. */
int sl_warden_start(struct sl_warden *w, const struct sl_warden_conf *conf);

/* sl_warden_ask: 0; -EPIPE: it is gone; -EAGAIN: it has not read the last ones. */
int sl_warden_ask(const struct sl_warden *w, const struct sl_warden_question *q);

/* sl_warden_answer: 0; -EAGAIN: not yet; -EPIPE: it is gone. */
int sl_warden_answer(const struct sl_warden *w, struct sl_warden_answer *ret_answer);

/* sl_warden_stop ends it; a zeroed one and a second time are accepted. */
void sl_warden_stop(struct sl_warden *w);

#endif

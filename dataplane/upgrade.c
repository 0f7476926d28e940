#include "dataplane/upgrade.h"

#include "sluice/ctl.h"
#include "sluice/flows.h"
#include "sluice/image.h"
#include "sluice/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LATE_NS 2000000000ull /* a warden that has not answered by then is stuck */

enum { IDLE = 0, VERSIONS, CHECK };

const char *
sl_upgrade_versions(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "image %u\nflows %u\nctl %u\nstats %u\n", SL_IMAGE_VERSION,
		 SL_FLOWS_VERSION, SL_CTL_VERSION, SL_STATS_VERSION);
	return text;
}

void
sl_upgrade_init(struct sl_upgrade *u, char **arguments, const cpu_set_t *cpus)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", u->path, sizeof(u->path) - 1);

	n = n < 0 ? 0 : n;
	u->path[n] = 0;
	size_t cut = strlen(deleted);
	if ((size_t)n > cut && strcmp(u->path + n - cut, deleted) == 0)
		u->path[(size_t)n - cut] = 0;
	u->arguments = arguments;
	u->cpus = *cpus;
}

int
sl_upgrade_start(struct sl_upgrade *u, const char *boot_file, bool keep_privileges, uint64_t keep)
{
	const char *manager = getenv(SL_UPGRADE_ENV), *notify = getenv("NOTIFY_SOCKET");
	const struct sl_warden_conf conf = {u->path, boot_file, &u->cpus, keep, keep_privileges};

	if (keep_privileges)
		u->how = SL_UPGRADE_BECOME;
	else if (manager && strcmp(manager, "restart") == 0 && notify && notify[0])
		u->how = SL_UPGRADE_RESTART;
	else
		u->how = SL_UPGRADE_CANNOT;
	return sl_warden_start(&u->warden, &conf);
}

/* The next question to the warden: -EPIPE: it is gone. */
static int
ask(struct sl_upgrade *u, int stage, uint64_t now_ns)
{
	uint64_t left = u->until_ns > now_ns ? u->until_ns - now_ns : 0;
	const struct sl_warden_question q = {++u->question, stage == CHECK, u->freed_mb,
					     (uint32_t)(left / 1000000u)};
	int err = sl_warden_ask(&u->warden, &q);

	u->stage = err ? IDLE : stage;
	return err;
}

int
sl_upgrade_ask(struct sl_upgrade *u, uint32_t seq, uint64_t now_ns, char *ret_text,
	       size_t text_size)
{
	int err = -ENOENT;

	if (u->stage != IDLE) {
		snprintf(ret_text, text_size, "an upgrade is under way");
		return -EBUSY;
	}
	if (u->how == SL_UPGRADE_CANNOT) {
		snprintf(ret_text, text_size,
			 "this process gave up its privileges and cannot become another program: "
			 "run "
			 "it under a manager that keeps its flows and starts it anew "
			 "(" SL_UPGRADE_ENV "=restart, as the unit does), or set privileges = "
			 "\"keep\" in the boot file; or restart it: sluiced keeps the flows");
		return -EPERM;
	}
	u->seq = seq;
	u->until_ns = now_ns + SL_UPGRADE_WAIT_NS;
	if (u->path[0])
		err = ask(u, VERSIONS, now_ns);
	if (err)
		snprintf(ret_text, text_size, "%s cannot be asked: %s",
			 u->path[0] ? u->path : "the program",
			 err == -EPIPE ? "the process that runs it is gone; restart the dataplane"
				       : strerror(-err));
	return err;
}

unsigned
sl_upgrade_poll(const struct sl_upgrade *u, struct pollfd *ret_fd)
{
	if (u->stage == IDLE)
		return 0;
	*ret_fd = (struct pollfd){u->warden.fd, POLLIN, 0};
	return 1;
}

static bool
over(struct sl_upgrade *u, int error, int *ret_error)
{
	u->stage = IDLE;
	*ret_error = error;
	return true;
}

/* What was asked did not go well. */
static bool
failed(struct sl_upgrade *u, const struct sl_warden_answer *a, int *ret_error, char *text,
       size_t size)
{
	const char *what = u->stage == VERSIONS ? "--versions" : "--check";

	if (a->end == SL_WARDEN_NOT_RUN) {
		snprintf(text, size, "%s %s cannot be run: %s", u->path, what, strerror(a->value));
		return over(u, a->value, ret_error);
	}
	if (a->end == SL_WARDEN_TIMEOUT) {
		snprintf(text, size, "%s %s is not done after %llu s: %s", u->path, what,
			 SL_UPGRADE_WAIT_NS / 1000000000u, a->said);
		return over(u, ETIMEDOUT, ret_error);
	}
	if (a->end == SL_WARDEN_SIGNAL)
		snprintf(text, size, "%s %s was ended by signal %d: %s", u->path, what, a->value,
			 a->said);
	else
		snprintf(text, size, "%s %s gives %d: %s", u->path, what, a->value, a->said);
	return over(u, ENOEXEC, ret_error);
}

static bool
answered(struct sl_upgrade *u, const struct sl_warden_answer *a, uint64_t now_ns, int *ret_error,
	 char *text, size_t size)
{
	if (a->end != SL_WARDEN_EXIT || a->value)
		return failed(u, a, ret_error, text, size);
	if (u->stage == CHECK) {
		snprintf(text, size,
			 u->how == SL_UPGRADE_BECOME ? "becoming %s"
						     : "ending; the manager starts %s",
			 u->path);
		return over(u, 0, ret_error);
	}
	if (strcmp(a->said, sl_upgrade_versions()) != 0) {
		snprintf(text, size,
			 "%s has other formats: %s where we have: %s; restart both programs "
			 "together instead",
			 u->path, a->said, sl_upgrade_versions());
		return over(u, EPROTO, ret_error);
	}
	int err = ask(u, CHECK, now_ns);
	if (!err)
		return false;
	snprintf(text, size, "%s --check cannot be run: %s", u->path, strerror(-err));
	return over(u, -err, ret_error);
}

bool
sl_upgrade_turn(struct sl_upgrade *u, uint64_t now_ns, int *ret_error, char *ret_text,
		size_t text_size)
{
	struct sl_warden_answer a;

	if (u->stage == IDLE)
		return false;
	int err = sl_warden_answer(&u->warden, &a);
	if (!err && a.seq == u->question)
		return answered(u, &a, now_ns, ret_error, ret_text, text_size);
	if ((!err || err == -EAGAIN) && now_ns < u->until_ns + LATE_NS)
		return false;
	snprintf(ret_text, text_size, "the process that looks at %s %s: restart the dataplane",
		 u->path, err == -EPIPE ? "is gone" : "does not answer");
	return over(u, ETIMEDOUT, ret_error);
}

int
sl_upgrade_become(struct sl_upgrade *u)
{
	sl_upgrade_stop(u); /* the successor has one of its own */
	sched_setaffinity(0, sizeof(u->cpus), &u->cpus);
	execv(u->path, u->arguments);
	return -errno;
}

void
sl_upgrade_stop(struct sl_upgrade *u)
{
	u->stage = IDLE;
	sl_warden_stop(&u->warden);
}

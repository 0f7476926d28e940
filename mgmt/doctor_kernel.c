/* Checks of the kernel, of the gateway's own processes, and of the boot file as such. */
#include "mgmt/doctor.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define DISK_WARNING_MB 1024
#define DISK_ERROR_MB 64
#define CAP_IPC_LOCK_MASK (1ull << 14)

static void
say_problem(const struct sl_doctor_boot *b, struct sl_doctor_report *r, const char *text, int len)
{
	sl_doctor_say(r, SL_DOCTOR_ERROR, "%.*s", len, text);
	sl_doctor_why(r, "the dataplane does not start");
	sl_doctor_mend(r, "edit it, then sluice-dataplane --check -c %s", b->file);
}

/* One finding for each problem that the parser told. */
static void
say_problems(const struct sl_doctor_boot *b, struct sl_doctor_report *r)
{
	static const char program[] = "sluice-dataplane: ", end[] = "not started";
	unsigned before = r->cnt;

	for (const char *p = b->why; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		if (strncmp(p, program, sizeof(program) - 1) == 0)
			p += sizeof(program) - 1;
		int len = (int)strcspn(p, "\n");
		if (len && strncmp(p, end, sizeof(end) - 1))
			say_problem(b, r, p, len);
	}
	if (r->cnt == before)
		say_problem(b, r, "it is refused", 13);
}

void
sl_doctor_kernel_boot(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	(void)f;
	if (b->known) {
		sl_doctor_say(r, SL_DOCTOR_OK, "%s: %u worker%s, %u port%s", b->file, b->worker_cnt,
			      b->worker_cnt == 1 ? "" : "s", b->port_cnt,
			      b->port_cnt == 1 ? "" : "s");
	} else if (b->bad) {
		say_problems(b, r);
	} else {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "%s", b->why ? b->why : "none was read");
		sl_doctor_why(r, "what depends on workers and ports is not checked");
		sl_doctor_mend(
			r, "sluicectl doctor -c FILE names the boot file, --dataplane PROGRAM the "
			   "program that reads it");
	}
}

void
sl_doctor_kernel_version(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			 struct sl_doctor_report *r)
{
	int v = f->kernel_major * 1000 + f->kernel_minor;

	(void)b;
	if (!v) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "version unknown");
		sl_doctor_why(r, "Linux 5.11 is the least");
	} else if (v < 5011) {
		sl_doctor_say(r, SL_DOCTOR_ERROR, "Linux %s", f->release);
		sl_doctor_why(r, "it is older than 5.11, whose system calls the dataplane uses");
		sl_doctor_mend(r, "run Debian 12's kernel (6.1) or a later one");
	} else {
		sl_doctor_say(r, SL_DOCTOR_OK, "Linux %s", f->release);
	}
}

void
sl_doctor_kernel_xdp(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		     struct sl_doctor_report *r)
{
	bool needed = false, wanted = false;

	for (unsigned i = 0; i < b->port_cnt; i++) {
		needed |= strcmp(b->port[i].driver, "af_xdp") == 0;
		wanted |= strcmp(b->port[i].driver, "auto") == 0;
	}
	if (!needed && !wanted && b->known) {
		sl_doctor_say(r, SL_DOCTOR_OK, "no port uses it");
	} else if (f->af_xdp == 1) {
		sl_doctor_say(r, SL_DOCTOR_OK, "the kernel has it");
	} else if (f->af_xdp < 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "/proc/net/protocols does not tell");
		sl_doctor_why(r, "ports of interfaces are slower without it");
	} else {
		sl_doctor_say(r, needed ? SL_DOCTOR_ERROR : SL_DOCTOR_WARNING,
			      "the kernel has no AF_XDP");
		sl_doctor_why(r, needed ? "a port asks for it"
					: "ports fall back to AF_PACKET, slower");
		sl_doctor_mend(r,
			       "run a kernel with CONFIG_XDP_SOCKETS, or driver = \"af_packet\"");
	}
}

void
sl_doctor_kernel_time(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	(void)b;
	if (f->time_synced == 1) {
		sl_doctor_say(r, SL_DOCTOR_OK, "synchronised");
		return;
	}
	if (f->time_synced == 0)
		sl_doctor_say(r, SL_DOCTOR_WARNING, "the clock is not synchronised");
	else
		sl_doctor_say(r, SL_DOCTOR_NOTE, "nobody tells whether the clock is synchronised");
	sl_doctor_why(r, "certificates are judged by their dates, and tickets by their age");
	if (f->time_synced == 0)
		sl_doctor_mend(r, "apt install chrony, or timedatectl set-ntp true");
}

void
sl_doctor_kernel_cores(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		       struct sl_doctor_report *r)
{
	const char *to = f->core_pattern[0] ? f->core_pattern : "a place that is not known";

	if (!b->core_dumps) {
		sl_doctor_say(r, b->known ? SL_DOCTOR_OK : SL_DOCTOR_NOTE,
			      "the dataplane writes none%s",
			      b->known ? "" : ", unless its boot file says so");
		return;
	}
	sl_doctor_say(r, SL_DOCTOR_WARNING, "tls.core_dumps is on; cores go to %s", to);
	sl_doctor_why(r, "a core may hold what clients sent, and keys");
	sl_doctor_mend(r, "tls = { core_dumps = false; } in %s", b->file);
	if (f->core_pattern[0] == '|')
		sl_doctor_mend(
			r, "or guard where that program keeps them (sysctl kernel.core_pattern)");
}

/* ---- processes ---- */

static void
check_lockdown(const struct sl_doctor_process *p, const struct sl_doctor_boot *b,
	       struct sl_doctor_report *r)
{
	bool bare = !(p->caps & ~CAP_IPC_LOCK_MASK) && p->no_new_privs == 1 && p->seccomp == 2;

	if (p->seccomp == SL_DOCTOR_UNKNOWN && p->no_new_privs == SL_DOCTOR_UNKNOWN) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "pid %d: what it may do is not told", p->pid);
	} else if (bare && p->caps) {
		sl_doctor_say(
			r, SL_DOCTOR_NOTE,
			"pid %d, %u threads: CAP_IPC_LOCK alone, no new privileges, system calls "
			"filtered",
			p->pid, p->threads);
		sl_doctor_why(r, "its limit of locked memory could not be raised when it started");
		sl_doctor_mend(r, "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited");
	} else if (bare) {
		sl_doctor_say(
			r, SL_DOCTOR_OK,
			"pid %d, %u threads: no capabilities, no new privileges, system calls "
			"filtered",
			p->pid, p->threads);
	} else {
		sl_doctor_say(r, b->known && !b->drops ? SL_DOCTOR_NOTE : SL_DOCTOR_WARNING,
			      "pid %d: capabilities %" PRIx64 ", no_new_privs %d, seccomp %d",
			      p->pid, p->caps, p->no_new_privs, p->seccomp);
		sl_doctor_why(r, "who breaks into it has the rights of %s",
			      p->caps ? "the machine" : "every system call");
		sl_doctor_mend(r,
			       b->known && !b->drops
				       ? "privileges = \"drop\" in the boot file, then restart it"
				       : "restart it; its log says what of privileges = \"drop\" "
					 "failed");
	}
}

void
sl_doctor_kernel_dataplane(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			   struct sl_doctor_report *r)
{
	const struct sl_doctor_process *p = &f->dataplane;

	if (!p->pid) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "none runs here");
		sl_doctor_why(r, "nothing is forwarded");
		return;
	}
	check_lockdown(p, b, r);
	if (p->uid == 0 && b->drops) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "pid %d runs as root, without its capabilities",
			      p->pid);
		sl_doctor_why(r, "files and kernel settings of root are its own to write");
		sl_doctor_mend(r, "user = \"…\" in the boot file: a user that owns nothing");
	}
	if (f->dataplane_cnt > 1) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "%u of them run here, looked at pid %d",
			      f->dataplane_cnt, p->pid);
		sl_doctor_why(r, "they share CPUs and memory");
	}
	if (p->swapped_kb > 0) {
		sl_doctor_say(r, SL_DOCTOR_WARNING, "%ld KB of it are swapped out", p->swapped_kb);
		sl_doctor_why(r, "a worker that touches them waits for a disk");
		sl_doctor_mend(r, "swapoff -a, and hugepages for it");
	}
}

void
sl_doctor_kernel_daemon(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
			struct sl_doctor_report *r)
{
	const struct sl_doctor_process *p = &f->daemon;

	(void)b;
	if (!p->pid && !f->answered) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "none runs here");
		sl_doctor_why(r, "tables do not change and endpoints are not probed");
		return;
	}
	if (f->answered && !f->connected) {
		sl_doctor_say(r, f->dataplane.pid ? SL_DOCTOR_ERROR : SL_DOCTOR_WARNING,
			      "it has no connection to the dataplane");
		sl_doctor_why(r, "tables and states do not reach workers");
		sl_doctor_mend(r,
			       "sluicectl status says why; the boot file's control and sluiced's "
			       "dataplane_socket are the same, daemon_user is who sluiced runs as");
	}
	if (p->pid && p->uid == 0) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "pid %d runs as root", p->pid);
		sl_doctor_why(r, "it needs no rights but to its files");
		sl_doctor_mend(
			r, "run it as a user of its own (daemon_user in the boot file names it)");
	} else if (!f->answered) {
		sl_doctor_say(r, SL_DOCTOR_NOTE, "pid %d runs, but does not answer", p->pid);
		sl_doctor_why(r, "what it knows is not looked at");
		sl_doctor_mend(r, "sluicectl --socket PATH doctor");
	} else if (f->connected) {
		sl_doctor_say(r, SL_DOCTOR_OK, "version %s, connected to the dataplane",
			      f->version);
	}
}

void
sl_doctor_kernel_disk(const struct sl_doctor_facts *f, const struct sl_doctor_boot *b,
		      struct sl_doctor_report *r)
{
	(void)b;
	for (unsigned i = 0; i < f->disk_cnt; i++) {
		const struct sl_doctor_disk *d = &f->disk[i];
		if (d->free_mb < 0) {
			sl_doctor_say(r, SL_DOCTOR_NOTE, "%s cannot be looked at", d->path);
			continue;
		}
		sl_doctor_say(r,
			      d->free_mb < DISK_ERROR_MB ? SL_DOCTOR_ERROR
			      : d->free_mb < DISK_WARNING_MB || d->free_percent < 5
				      ? SL_DOCTOR_WARNING
				      : SL_DOCTOR_OK,
			      "%s: %ld MB free (%ld %%)", d->path, d->free_mb, d->free_percent);
		if (r->items[r->cnt - 1].state == SL_DOCTOR_OK)
			continue;
		sl_doctor_why(r, "a push is refused when it cannot be written, and logs end");
		sl_doctor_mend(
			r,
			"make room, or move it (state_dir, audit_log, access_log of sluiced.conf)");
	}
	if (!f->disk_cnt)
		sl_doctor_say(r, SL_DOCTOR_NOTE, "not looked at");
}

/* Calls that workers make for packets come first in the filter; the kernel remembers which need no look at their arguments. */
#include "dataplane/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define POSSIBLE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSSIBLE false
#endif
#endif
#ifndef POSSIBLE
#define POSSIBLE true
#endif

#define NUMBERS 1024 /* of system calls; what lies above is noted as the last */
#define CALL(name) SCMP_SYS(name)

static const int workers[] = {
	CALL(sendto),          CALL(recvfrom), CALL(poll),  CALL(nanosleep),
	CALL(clock_nanosleep), CALL(sendmsg),  CALL(futex), CALL(clock_gettime),
};

static const int done[] = {
	/* waiting, time, threads */
	CALL(ppoll),
	CALL(pselect6),
	CALL(select),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_ctl),
	CALL(epoll_create), /* the interrupt thread of the EAL, whenever a device comes or goes; it panics without */
	CALL(epoll_create1),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(signalfd4),
	CALL(gettimeofday),
	CALL(time),
	CALL(clock_getres),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(getcpu),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(membarrier),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(gettid),
	CALL(getpid),
	CALL(getppid),
	CALL(wait4),
	CALL(waitid),
	/* memory: without anything that could be run, see conditional */
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(mincore),
	CALL(brk),
	CALL(mlock),
	CALL(mlock2),
	CALL(munlock),
	CALL(msync),
	CALL(mbind),
	CALL(set_mempolicy),
	CALL(get_mempolicy),
	CALL(move_pages),
	CALL(memfd_create),
	CALL(ftruncate),
	CALL(fallocate),
	/* files: tables and flows come as descriptors; /proc and /sys are read */
	CALL(read),
	CALL(readv),
	CALL(pread64),
	CALL(preadv),
	CALL(write),
	CALL(writev),
	CALL(pwrite64),
	CALL(pwritev),
	CALL(lseek),
	CALL(open),
	CALL(openat),
	CALL(close),
	CALL(close_range),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(pipe2),
	CALL(fcntl),
	CALL(ioctl),
	CALL(flock),
	CALL(fstat),
	CALL(stat),
	CALL(lstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(statfs),
	CALL(fstatfs),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getdents64),
	CALL(fchmod),
	CALL(fsync),
	CALL(unlink),
	CALL(unlinkat),
	CALL(rmdir),
	/* sockets: those that are open, the manager's, the kernel's news; which new ones: conditional */
	CALL(connect),
	CALL(bind),
	CALL(accept), /* net_memif and net_virtio_user, whenever their peer comes */
	CALL(accept4),
	CALL(shutdown),
	CALL(recvmsg),
	CALL(recvmmsg),
	CALL(sendmmsg),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	/* itself and the machine */
	CALL(getrandom),
	CALL(uname),
	CALL(sysinfo),
	CALL(getrusage),
	CALL(times),
	CALL(prlimit64),
	CALL(getrlimit),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(capget),
};

/* By libxdp, when a port is closed: the program that steered packets to us stays, and gives all of them to the kernel. */
static const int silent[] = {CALL(bpf), CALL(mkdir), CALL(mkdirat)};

static const int killed[] = {
	CALL(execve),
	CALL(execveat),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(pidfd_getfd),
	CALL(mount),
	CALL(umount2),
	CALL(move_mount),
	CALL(open_tree),
	CALL(fsopen),
	CALL(fsconfig),
	CALL(fsmount),
	CALL(fspick),
	CALL(pivot_root),
	CALL(chroot),
	CALL(setns),
	CALL(unshare),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(reboot),
	CALL(swapon),
	CALL(swapoff),
	CALL(add_key),
	CALL(request_key),
	CALL(keyctl),
	CALL(userfaultfd),
	CALL(perf_event_open),
	CALL(io_uring_setup),
	CALL(io_uring_enter),
	CALL(io_uring_register),
	CALL(iopl),
	CALL(ioperm),
	CALL(modify_ldt),
	CALL(open_by_handle_at),
	CALL(acct),
	CALL(settimeofday),
	CALL(clock_settime),
	CALL(seccomp),
};

static const unsigned families[] = {AF_UNIX, AF_NETLINK};
static const unsigned prctls[] = {PR_SET_NAME,     PR_GET_NAME,         PR_SET_TIMERSLACK,
				  PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP,
				  PR_CAPBSET_READ, 0x53564d41 /* PR_SET_VMA */};

static _Atomic uint8_t
	noted[NUMBERS]; /* 1: refused, 2: and told.  Relaxed: nothing else goes by it */
static _Atomic uint64_t refusals;

bool
sl_filter_possible(void)
{
	return POSSIBLE;
}

/* ---- what is refused ---- */

static void
on_refused(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	unsigned n = (unsigned)info->si_syscall;
	uint8_t none = 0;

	(void)sig;
	if (n >= NUMBERS)
		n = NUMBERS - 1;
	atomic_compare_exchange_strong_explicit(&noted[n], &none, 1, memory_order_relaxed,
						memory_order_relaxed);
	atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
	u->uc_mcontext.gregs[REG_RAX] = -EPERM; /* as if the kernel had said so */
}

bool
sl_filter_refused(int *ret_number, char ret_name[SL_FILTER_NAME])
{
	for (int n = 0; n < NUMBERS; n++) {
		if (atomic_load_explicit(&noted[n], memory_order_relaxed) != 1)
			continue;
		atomic_store_explicit(&noted[n], 2, memory_order_relaxed);
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, n);
		snprintf(ret_name, SL_FILTER_NAME, "%s", name ? name : "without a name");
		free(name);
		*ret_number = n;
		return true;
	}
	return false;
}

uint64_t
sl_filter_refusals(void)
{
	return atomic_load_explicit(&refusals, memory_order_relaxed);
}

/* ---- rules ---- */

static int
rules(scmp_filter_ctx f, uint32_t action, const int *calls, unsigned cnt)
{
	int err = 0;

	for (unsigned i = 0; i < cnt && !err; i++)
		err = seccomp_rule_add(f, action, calls[i], 0);
	return err;
}

/* Of socket, clone, mmap, mprotect, prctl and tgkill some are left. */
static int
conditional(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mmap), 1, no_code);

	if (!err)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mprotect), 1, no_code);
	for (unsigned i = 0; i < SL_ARRAY_CNT(families) && !err; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, families[i], 0));
	/* to ask about interfaces; it sends nothing a packet could not */
	if (!err)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 2,
				       SCMP_A0(SCMP_CMP_EQ, AF_INET, 0),
				       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));
	for (unsigned i = 0; i < SL_ARRAY_CNT(prctls) && !err; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(prctl), 1,
				       SCMP_A0(SCMP_CMP_EQ, prctls[i], 0));
	if (!err) /* to itself alone: abort */
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(tgkill), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	if (!err)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(clone), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM,
					       CLONE_THREAD | CLONE_VM));
	if (!err) /* its flags lie behind a pointer; the C library takes clone then */
		err = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	return err;
}

static int
fill(scmp_filter_ctx f)
{
	int err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	if (!err)
		err = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (unsigned i = 0; i < SL_ARRAY_CNT(workers) && !err; i++)
		err = seccomp_syscall_priority(f, workers[i], (uint8_t)(255 - i));
	if (!err)
		err = rules(f, SCMP_ACT_ALLOW, workers, SL_ARRAY_CNT(workers));
	if (!err)
		err = rules(f, SCMP_ACT_ALLOW, done, SL_ARRAY_CNT(done));
	if (!err)
		err = rules(f, SCMP_ACT_ERRNO(EPERM), silent, SL_ARRAY_CNT(silent));
	if (!err)
		err = rules(f, SCMP_ACT_KILL_PROCESS, killed, SL_ARRAY_CNT(killed));
	return err ? err : conditional(f);
}

int
sl_filter_install(struct sl_diag *diag)
{
	struct sigaction act = {.sa_sigaction = on_refused,
				.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
	sigset_t sys;

	if (!POSSIBLE)
		return 0;
	sigemptyset(&sys);
	sigaddset(&sys, SIGSYS);
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
	int err = f ? fill(f) : -ENOMEM;
	if (!err && (sigaction(SIGSYS, &act, NULL) || sigprocmask(SIG_UNBLOCK, &sys, NULL)))
		err = -errno;
	if (!err)
		err = seccomp_load(f);
	seccomp_release(f);
	if (err)
		sl_diag_add(diag, NULL, 0, NULL,
			    "a kernel with CONFIG_SECCOMP_FILTER is needed, or privileges = "
			    "\"keep\"",
			    "the filter of system calls cannot be installed: %s", strerror(-err));
	return err;
}

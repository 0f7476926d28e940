/* region and fdstore without EAL or workers: what is made, what is taken again, what is refused; what the manager is
 * told, and what of its environment is believed. */
#include "dataplane/fdstore.h"
#include "dataplane/region.h"
#include "dataplane/upgrade.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define ALL (F_SEAL_SHRINK | F_SEAL_GROW)

static int
fd_cnt(void)
{
	int n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static struct sl_region
made(void)
{
	struct sl_region r = {0};
	uint8_t key[40];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	CU_ASSERT_FATAL(sl_region_create(2, 1024, 512, key, 77, false, &r) == 0);
	return r;
}

/* ---- region ---- */

static void
a_region_is_ours_alone_and_cannot_change_its_size(void)
{
	int before = fd_cnt();
	struct sl_region r = made();
	struct stat st;

	CU_ASSERT_EQUAL(fstat(r.fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL((size_t)st.st_size, r.bytes);
	CU_ASSERT_EQUAL(fcntl(r.fd, F_GET_SEALS) & ALL, ALL);
	CU_ASSERT_EQUAL(fcntl(r.fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(fcntl(r.keep_fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(fcntl(r.keep_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CU_ASSERT_EQUAL(write(r.keep_fd, "x", 1), -1);
	CU_ASSERT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r.keep_fd, 0) == MAP_FAILED);
	CU_ASSERT(r.head->boot_id == 77 && r.head->worker_cnt == 2 && r.head->rss_key[39] == 39);
	CU_ASSERT_PTR_NULL(sl_flows_head_check(r.head, r.bytes));
	CU_ASSERT(sl_region_fits(&r, 2, 1024, 512));
	CU_ASSERT(!sl_region_fits(&r, 3, 1024, 512) && !sl_region_fits(&r, 2, 2048, 512) &&
		  !sl_region_fits(&r, 2, 1024, 1024));
	sl_region_close(&r);
	sl_region_close(&r);
	CU_ASSERT_EQUAL(fd_cnt(), before);
}

static void
what_was_kept_for_reading_is_taken_for_writing(void)
{
	int before = fd_cnt();
	struct sl_region r = made(), again = {0};
	uint64_t id = r.head->region;
	size_t bytes = r.bytes;
	uint8_t *last = (uint8_t *)r.head + bytes - 1;

	*last = 0xa5;
	int kept = fcntl(r.keep_fd, F_DUPFD_CLOEXEC, 0);
	sl_region_close(&r);
	CU_ASSERT_PTR_NULL_FATAL(sl_region_open(kept, bytes, id, &again));
	last = (uint8_t *)again.head + bytes - 1;
	CU_ASSERT_EQUAL(*last, 0xa5);
	*last = 1; /* it may be written */
	CU_ASSERT_EQUAL(fcntl(again.keep_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CU_ASSERT_EQUAL(again.head->region, id);
	sl_region_close(&again);
	CU_ASSERT_EQUAL(fd_cnt(), before);
}

static int
file_of(int seals, off_t bytes, uid_t owner)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) || fcntl(fd, F_ADD_SEALS, seals) ||
	    (owner && fchown(fd, owner, (gid_t)-1)))
		abort();
	return fd;
}

static int
copy_of(const struct sl_region *r, size_t at, uint8_t flip)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t byte = ((uint8_t *)r->head)[at] ^ flip;

	if (fd < 0 || ftruncate(fd, (off_t)r->bytes) ||
	    pwrite(fd, r->head, sizeof(*r->head), 0) != sizeof(*r->head) ||
	    pwrite(fd, &byte, 1, (off_t)at) != 1 || fcntl(fd, F_ADD_SEALS, ALL))
		abort();
	return fd;
}

static void
what_is_no_region_is_refused_and_closed(void)
{
	int before = fd_cnt();
	struct sl_region r = made(), out = {0};
	uint64_t id = r.head->region, b = r.bytes;
	const struct {
		int fd;
		uint64_t bytes, id;
		const char *why;
	} rows[] = {
		{open("/dev/null", O_RDONLY | O_CLOEXEC), 0, 0, "not a memfd"},
		{open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0, 0, "not a memfd"},
		{file_of(0, 1 << 21, 0), 0, 0, "not sealed"},
		{file_of(F_SEAL_SHRINK, 1 << 21, 0), 0, 0, "not sealed"},
		{file_of(F_SEAL_GROW, 1 << 21, 0), 0, 0, "not sealed"},
		{file_of(ALL, 4095, 0), 0, 0, "smaller than its head"},
		{file_of(ALL, 0, 0), 0, 0, "smaller than its head"},
		{file_of(ALL, 1 << 21, geteuid() == 0 ? 12345 : 0), 0, 0,
		 geteuid() == 0 ? "another user" : ""},
		{file_of(ALL, 1 << 21, 0), 0, 0, "not a flow region"},
		{copy_of(&r, 4, 1), 0, 0, "another version"},
		{copy_of(&r, offsetof(struct sl_flows_head, rss_key), 1), 0, 0, "sum"},
		{copy_of(&r, offsetof(struct sl_flows_head, worker_cnt), 2), 0, 0, "sum"},
		{copy_of(&r, 0, 0), b + 1, id, "not as large"},
		{copy_of(&r, 0, 0), b, id + 1, "another id"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const char *why = sl_region_open(rows[i].fd, rows[i].bytes, rows[i].id, &out);
		if (!why || !strstr(why, rows[i].why)) {
			printf("row %u: %s\n", i, why ? why : "taken");
			CU_FAIL("another outcome");
		}
		CU_ASSERT_PTR_NULL(out.head);
	}
	CU_ASSERT_PTR_NULL(sl_region_open(copy_of(&r, 0, 0), b, id, &out));
	sl_region_close(&out);
	sl_region_close(&r);
	CU_ASSERT_EQUAL(fd_cnt(), before);
}

/* ---- fdstore ---- */

static void
environment(int pid, const char *fds, const char *names, const char *left)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	setenv("LISTEN_PID", text, 1);
	fds ? setenv("LISTEN_FDS", fds, 1) : unsetenv("LISTEN_FDS");
	names ? setenv("LISTEN_FDNAMES", names, 1) : unsetenv("LISTEN_FDNAMES");
	left ? setenv(SL_FDSTORE_ENV, left, 1) : unsetenv(SL_FDSTORE_ENV);
}

/* Descriptors from 3 on are the test program's own to give away here: 3, 4 and 5 are made null devices. */
static void
only_a_descriptor_of_our_name_and_pid_is_taken(void)
{
	static const struct {
		int other_pid;
		const char *fds, *names, *left;
		int fd;
		const char *reason;
	} rows[] = {
		{0, "1", "sluice-flows", NULL, 3, "the plain case"},
		{0, "3", "a:sluice-flows:b", NULL, 4, "among others"},
		{0, "2", "sluice-flows:sluice-flows", NULL, 4, "the last of the name"},
		{1, "1", "sluice-flows", NULL, -1, "meant for another process"},
		{0, "1", "sluice-flow", NULL, -1, "another name"},
		{0, "1", "sluice-flowss", NULL, -1, "another name"},
		{0, "1", NULL, NULL, -1, "no names"},
		{0, "2", "a", NULL, -1, "fewer names than descriptors"},
		{0, NULL, "sluice-flows", NULL, -1, "no number"},
		{0, "0", "sluice-flows", NULL, -1, "none"},
		{0, "-1", "sluice-flows", NULL, -1, "no number"},
		{0, "1x", "sluice-flows", NULL, -1, "no number"},
		{0, "99999999999", "sluice-flows", NULL, -1, "too many"},
		{1, NULL, NULL, "5", 5, "left by a predecessor"},
		{0, "1", "sluice-flows", "5", 5, "a predecessor's is the newer one"},
		{1, NULL, NULL, "250", -1, "left, but not there"},
		{1, NULL, NULL, "2", -1, "standard error is none"},
		{1, NULL, NULL, "5 ", -1, "no number"},
	};
	int saved[3];

	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 100);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		for (int fd = 3; fd < 6; fd++) {
			int null = open("/dev/null", O_RDONLY);
			if (null != fd && (dup2(null, fd) < 0 || close(null)))
				abort();
			fcntl(fd, F_SETFD, 0);
		}
		environment((int)getpid() + rows[i].other_pid, rows[i].fds, rows[i].names,
			    rows[i].left);
		int fd = sl_fdstore_take();
		if (fd != rows[i].fd) {
			printf("%s: %d\n", rows[i].reason, fd);
			CU_FAIL("another descriptor");
		}
		CU_ASSERT(fd < 0 || fcntl(fd, F_GETFD) == FD_CLOEXEC);
		CU_ASSERT_PTR_NULL(getenv("LISTEN_PID"));
		CU_ASSERT_PTR_NULL(getenv("LISTEN_FDS"));
		CU_ASSERT_PTR_NULL(getenv("LISTEN_FDNAMES"));
		CU_ASSERT_PTR_NULL(getenv(SL_FDSTORE_ENV));
	}
	for (int i = 0; i < 3; i++) {
		close(3 + i);
		if (saved[i] >= 0)
			close((dup2(saved[i], 3 + i), saved[i]));
	}
}

static void
the_manager_is_told_to_drop_the_old_one_first(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int before = fd_cnt(), sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	static const char *const said[] = {"FDSTOREREMOVE=1\nFDNAME=sluice-flows\n",
					   "FDSTORE=1\nFDNAME=sluice-flows\n", "READY=1\n"};
	struct sl_region r = made();

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/sl-notify-%d", (int)getpid());
	CU_ASSERT_FATAL(bind(sock, (void *)&addr, sizeof(addr)) == 0);
	unsetenv("NOTIFY_SOCKET");
	sl_fdstore_put(r.keep_fd); /* nobody is told */
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	sl_fdstore_put(r.keep_fd);
	sl_fdstore_notify("READY=1\n");
	for (unsigned i = 0; i < 3; i++) {
		_Alignas(struct cmsghdr) char room[CMSG_SPACE(4 * sizeof(int))];
		char text[128];
		struct iovec iov = {text, sizeof(text)};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = room,
				    .msg_controllen = sizeof(room)};
		ssize_t n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		CU_ASSERT_EQUAL_FATAL(n, (ssize_t)strlen(said[i]));
		CU_ASSERT_EQUAL(memcmp(text, said[i], (size_t)n), 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		CU_ASSERT_EQUAL(c != NULL, i == 1);
		if (c) {
			struct stat a, b;
			int fd;
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			CU_ASSERT_EQUAL(fstat(fd, &a) | fstat(r.fd, &b), 0);
			CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
			close(fd);
		}
	}
	unsetenv("NOTIFY_SOCKET");
	unlink(addr.sun_path);
	close(sock);
	sl_region_close(&r);
	CU_ASSERT_EQUAL(fd_cnt(), before);
}

/* ---- upgrade ---- */

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Its outcome for a program that does `script`; skip_ns is added to the clock. */
static int
outcome_of(const char *script, uint64_t skip_ns, char text[1024])
{
	struct sl_upgrade u = {0};
	struct pollfd p;
	int error = -1;
	cpu_set_t cpus;
	FILE *f;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	sl_upgrade_init(&u, NULL, &cpus);
	snprintf(u.path, sizeof(u.path), "/tmp/sl-upgrade-%d", (int)getpid());
	if (script) {
		f = fopen(u.path, "we");
		fprintf(f, "#!/bin/sh\n%s\n", script);
		fclose(f);
		chmod(u.path, 0700);
	}
	CU_ASSERT_EQUAL_FATAL(sl_upgrade_start(&u, "/nowhere", true, 0), 0);
	CU_ASSERT_EQUAL(sl_upgrade_poll(&u, &p), 0);
	CU_ASSERT_EQUAL(sl_upgrade_ask(&u, 5, now_ns(), text, 1024), 0);
	CU_ASSERT_EQUAL(sl_upgrade_ask(&u, 6, now_ns(), text, 1024), -EBUSY);
	while (!sl_upgrade_turn(&u, now_ns() + skip_ns, &error, text, 1024))
		if (sl_upgrade_poll(&u, &p) == 1)
			poll(&p, 1, 10);
	CU_ASSERT_EQUAL(u.seq, 5);
	CU_ASSERT_EQUAL(sl_upgrade_poll(&u, &p), 0);
	sl_upgrade_stop(&u);
	unlink(u.path);
	return error;
}

static void
a_program_must_speak_our_formats_and_pass_its_check(void)
{
	static const struct {
		const char *script; /* %s: our versions */
		uint64_t skip_ns;
		int error;
		const char *text;
	} rows[] = {
		{"[ $1 = --versions ] && printf '%s' && exit; [ \"$*\" = '--check -c /nowhere' ]",
		 0, 0, "becoming"},
		{"[ $1 = --versions ] && printf '%s' && exit; echo bad file; exit 1", 0, ENOEXEC,
		 "gives 1: bad file"},
		{"echo image 1", 0, EPROTO, "other formats"},
		{"printf '%sl7 1\\n'", 0, EPROTO, "other formats"},
		{"exit 2", 0, ENOEXEC, "gives 2"},
		{"kill -SEGV $$", 0, ENOEXEC, "signal 11"},
		/* programs that hang are the warden's; this is one of a warden that does */
		{"exec sleep 1000", SL_UPGRADE_WAIT_NS + 3000000000u, ETIMEDOUT, "does not answer"},
		{NULL, 0, ENOENT, "cannot be run"},
	};
	char script[512], text[1024];
	int before = fd_cnt();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		text[0] = 0;
		const char *at = rows[i].script ? strstr(rows[i].script, "%s") : NULL;
		if (at)
			snprintf(script, sizeof(script), "%.*s%s%s", (int)(at - rows[i].script),
				 rows[i].script, sl_upgrade_versions(), at + 2);
		else if (rows[i].script)
			snprintf(script, sizeof(script), "%s", rows[i].script);
		int error = outcome_of(rows[i].script ? script : NULL, rows[i].skip_ns, text);
		if (error != rows[i].error || !strstr(text, rows[i].text)) {
			printf("row %u: %d %s\n", i, error, text);
			CU_FAIL("another outcome");
		}
		CU_ASSERT_EQUAL(fd_cnt(), before);
	}
}

static void
without_privileges_a_manager_has_to_start_the_program(void)
{
	struct sl_upgrade u = {0};
	char text[1024];
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	sl_upgrade_init(&u, NULL, &cpus);
	CU_ASSERT_EQUAL_FATAL(sl_upgrade_start(&u, "/nowhere", false, 0), 0);
	CU_ASSERT_EQUAL(u.how, SL_UPGRADE_CANNOT);
	CU_ASSERT_EQUAL(sl_upgrade_ask(&u, 1, now_ns(), text, sizeof(text)), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "privileges = \"keep\""));
	sl_upgrade_stop(&u);
	setenv(SL_UPGRADE_ENV, "restart", 1);
	CU_ASSERT_EQUAL_FATAL(sl_upgrade_start(&u, "/nowhere", false, 0), 0);
	CU_ASSERT_EQUAL(u.how, SL_UPGRADE_CANNOT); /* nobody would hold the flows */
	sl_upgrade_stop(&u);
	setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
	CU_ASSERT_EQUAL_FATAL(sl_upgrade_start(&u, "/nowhere", false, 0), 0);
	CU_ASSERT_EQUAL(u.how, SL_UPGRADE_RESTART);
	sl_upgrade_stop(&u);
	unsetenv("NOTIFY_SOCKET");
	unsetenv(SL_UPGRADE_ENV);
}

SL_SUITE("region", SL_TEST(a_region_is_ours_alone_and_cannot_change_its_size),
	 SL_TEST(what_was_kept_for_reading_is_taken_for_writing),
	 SL_TEST(what_is_no_region_is_refused_and_closed),
	 SL_TEST(only_a_descriptor_of_our_name_and_pid_is_taken),
	 SL_TEST(the_manager_is_told_to_drop_the_old_one_first),
	 SL_TEST(a_program_must_speak_our_formats_and_pass_its_check),
	 SL_TEST(without_privileges_a_manager_has_to_start_the_program))

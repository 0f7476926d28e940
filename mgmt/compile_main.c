/* sluice-compile — makes Hyperscan databases for sluiced, on the far side of a pipe (compile_wire.h).
 *
 * Compiling what somebody wrote into a table can take any time and memory, or meet a mistake of the compiler.  Here it takes
 * this process at most: address space and processor time are limited, no descriptor but the pipe is open, no privilege can
 * be gained, and from the first pattern on only the system calls that memory and the pipe need are allowed.  It keeps the
 * user of its parent: it can open nothing and reach nobody, so another one would add nothing.  The parent kills it at
 * its deadline.
 *
 *   regex     ^(?:TEXT)\z   TEXT must be a regex by itself: "a)|(b" is refused, not let out of its group
 *   contains  TEXT with every byte but letters, digits and _ as \xHH
 *   icase     (?i) before it
 *
 * One set of flags for all patterns of a database, as image_http.h says. */
#include <errno.h>
#include <getopt.h>
#include <hs.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mgmt/api.h"
#include "mgmt/compile_wire.h"
#include "sluice/image.h"

#define FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL)

struct errors {
	char *bytes;
	size_t len;
	uint32_t cnt;
};

/* ---- the pipe ---- */

static bool
take(void *to, size_t len)
{
	for (char *p = to; len > 0;) {
		ssize_t n = read(STDIN_FILENO, p, len);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static bool
give(const void *from, size_t len)
{
	for (const char *p = from; len > 0;) {
		ssize_t n = write(STDOUT_FILENO, p, len);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static bool
answer(enum sl_compile_status status, const void *bytes, size_t len)
{
	struct sl_compile_answer a = {
		.magic = SL_COMPILE_MAGIC,
		.status = status,
		.bytes = (uint32_t)len,
	};

	return give(&a, sizeof(a)) && give(bytes, len);
}

static void
add_error(struct errors *e, uint32_t index, const char *text)
{
	struct sl_compile_error head = {index, (uint32_t)strlen(text)};
	char *more = realloc(e->bytes, e->len + sizeof(head) + head.len);

	if (!more || e->cnt == SL_COMPILE_ERRORS_MAX) {
		e->bytes = more ? more : e->bytes;
		return;
	}
	e->bytes = more;
	memcpy(more + e->len, &head, sizeof(head));
	memcpy(more + e->len + sizeof(head), text, head.len);
	e->len += sizeof(head) + head.len;
	e->cnt++;
}

/* ---- patterns ---- */

static bool
word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static char *
literal(const char *text, uint32_t len, bool icase)
{
	static const char hex[] = "0123456789abcdef";
	char *out = malloc((size_t)len * 4 + 8), *to = out;

	if (!out)
		return NULL;
	if (icase)
		to = stpcpy(to, "(?i)");
	for (uint32_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (word(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = 0;
	return out;
}

static char *
whole(const char *text, uint32_t len, bool icase)
{
	char *out = NULL;

	return asprintf(&out, "%s^(?:%.*s)\\z", icase ? "(?i)" : "", (int)len, text) < 0 ? NULL
											 : out;
}

/* Hyperscan then accuses the pattern it was at, or the first. */
static bool
out_of_memory(const char *message)
{
	return strstr(message, "allocate memory") != NULL;
}

/* Whether the text is a regex; else why not goes to errors. */
static void
judge(struct errors *e, uint32_t index, const char *text, uint32_t len)
{
	hs_compile_error_t *error = NULL;
	hs_expr_info_t *info = NULL;
	char *own = strndup(text, len);

	if (!own || strlen(own) != len)
		add_error(e, index, own ? "holds a NUL byte" : "out of memory");
	else if (hs_expression_info(own, FLAGS, &info, &error) != HS_SUCCESS &&
		 !out_of_memory(error->message)) /* compile will say that */
		add_error(e, index, error->message);
	hs_free_compile_error(error);
	free(info);
	free(own);
}

/* Fills exprs from the bytes behind an ask; false: they are not what the ask says, or memory ran out. */
static bool
read_patterns(const struct sl_compile_ask *ask, const char *at, char **exprs, struct errors *e)
{
	const char *end = at + ask->bytes;

	for (uint32_t i = 0; i < ask->cnt; i++) {
		struct sl_compile_pattern p;
		if ((size_t)(end - at) < sizeof(p))
			return false;
		memcpy(&p, at, sizeof(p));
		at += sizeof(p);
		if ((size_t)(end - at) < p.len)
			return false;
		if (p.op == SL_COND_REGEX)
			judge(e, i, at, p.len);
		exprs[i] = p.op == SL_COND_REGEX ? whole(at, p.len, p.icase)
						 : literal(at, p.len, p.icase);
		if (!exprs[i])
			return false;
		at += p.len;
	}
	return at == end;
}

static bool
compile(const struct sl_compile_ask *ask, char *const *exprs, struct errors *e)
{
	unsigned *flags = calloc(ask->cnt, sizeof(*flags)), *ids = calloc(ask->cnt, sizeof(*ids));
	hs_compile_error_t *error = NULL;
	hs_database_t *db = NULL;
	char *bytes = NULL;
	size_t len = 0;
	bool told;

	for (uint32_t i = 0; flags && ids && i < ask->cnt; i++) {
		flags[i] = FLAGS;
		ids[i] = i;
	}
	if (!flags || !ids) {
		told = answer(SL_COMPILE_LIMIT, "out of memory", 13);
	} else if (hs_compile_ext_multi((const char *const *)exprs, flags, ids, NULL, ask->cnt,
					HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
		const char *text = error ? error->message : "out of memory";
		if (error && error->expression >= 0 && !out_of_memory(text)) {
			add_error(e, (uint32_t)error->expression, text);
			told = answer(SL_COMPILE_BAD, e->bytes, e->len);
		} else {
			told = answer(SL_COMPILE_LIMIT, text, strlen(text));
		}
	} else if (hs_serialize_database(db, &bytes, &len) != HS_SUCCESS || len > SL_OBJ_MAX) {
		static const char text[] = "the database is larger than an object may be";
		told = answer(SL_COMPILE_LIMIT, text, sizeof(text) - 1);
	} else {
		told = answer(SL_COMPILE_OK, bytes, ask->flags & SL_COMPILE_TRY ? 0 : len);
	}
	hs_free_compile_error(error);
	hs_free_database(db);
	free(bytes);
	free(flags);
	free(ids);
	return told;
}

/* One ask; false: there is no going on. */
static bool
serve(void)
{
	struct sl_compile_ask ask;
	struct errors e = {0};
	bool told = false;

	if (!take(&ask, sizeof(ask)) || ask.magic != SL_COMPILE_MAGIC || ask.cnt == 0 ||
	    ask.cnt > 65536 || ask.bytes > SL_COMPILE_ASK_MAX)
		return false;
	char *body = malloc(ask.bytes + 1u);
	char **exprs = calloc(ask.cnt, sizeof(*exprs));
	if (body && exprs && take(body, ask.bytes) && read_patterns(&ask, body, exprs, &e))
		told = e.cnt ? answer(SL_COMPILE_BAD, e.bytes, e.len) : compile(&ask, exprs, &e);
	for (uint32_t i = 0; exprs && i < ask.cnt; i++)
		free(exprs[i]);
	free(exprs);
	free(body);
	free(e.bytes);
	return told;
}

/* ---- limits ---- */

static bool
limit(int what, rlim_t soft, rlim_t hard)
{
	struct rlimit r = {soft, hard};

	return setrlimit(what, &r) == 0;
}

/* A call that is not among these fails with EPERM. */
static bool
allow_few_calls(void)
{
	static const int calls[] = {
		SYS_read,         SYS_write,           SYS_mmap,           SYS_munmap,
		SYS_mremap,       SYS_mprotect,        SYS_madvise,        SYS_brk,
		SYS_futex,        SYS_getrandom,       SYS_clock_gettime,  SYS_getpid,
		SYS_gettid,       SYS_tgkill,          SYS_rt_sigprocmask, SYS_rt_sigaction,
		SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit,           SYS_exit_group,
	};
	enum { N = SL_ARRAY_CNT(calls) };
	struct sock_filter f[N + 6];
	unsigned n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < N; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
						      (uint8_t)(N - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = {(unsigned short)n, f};
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* Sanitizers map and call what they like. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define WATCHED true
#else
#define WATCHED false
#endif

static bool
confine(unsigned long memory_mb, unsigned long cpu_s)
{
	rlim_t bytes = (rlim_t)memory_mb << 20;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(3, ~0u, 0);
	return limit(RLIMIT_CORE, 0, 0) && limit(RLIMIT_FSIZE, 0, 0) &&
	       limit(RLIMIT_CPU, cpu_s, cpu_s + 1) && (WATCHED || limit(RLIMIT_AS, bytes, bytes)) &&
	       limit(RLIMIT_NOFILE, 3, 3) && prctl(PR_SET_DUMPABLE, 0) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && (WATCHED || allow_few_calls());
}

static bool
number(const char *text, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *ret > 0 && *ret <= 1u << 20;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"memory-mb", required_argument, NULL, 'm'},
		{"cpu-s", required_argument, NULL, 'c'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	unsigned long memory_mb = 1024, cpu_s = 60;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'v') {
			printf("sluice-compile %s, Hyperscan %s\n", SL_VERSION, hs_version());
			return 0;
		}
		if (opt == '?' || !number(optarg, opt == 'm' ? &memory_mb : &cpu_s)) {
			fprintf(stderr, "usage: sluice-compile [--memory-mb N] [--cpu-s N]\n"
					"sluiced starts it; patterns come on standard input\n");
			return 2;
		}
	}
	signal(SIGPIPE, SIG_DFL);
	if (!confine(memory_mb, cpu_s)) {
		fprintf(stderr, "sluice-compile: cannot limit itself: %s\n", strerror(errno));
		return 1;
	}
	while (serve())
		;
	return 0;
}

/* vault: as malloc, and what malloc does not promise: cleansed, locked, in no core, bounded. */
#include "dataplane/vault.h"
#include "tests/suite.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MAX_BYTES (32u << 20)

/* Under address sanitizer sizes are counted as they are, else by spans. */
static bool
by_malloc(void)
{
	struct sl_vault_usage before, after;

	sl_vault_usage(&before);
	void *p = sl_vault_malloc(31);
	sl_vault_usage(&after);
	sl_vault_free(p);
	return after.bytes == before.bytes + 31;
}

/* Whether the mapping that holds p has the flag in /proc/self/smaps. */
static bool
has_flag(const void *p, const char *flag)
{
	char line[512], want[8];
	unsigned long lo, hi;
	bool in = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	snprintf(want, sizeof(want), " %s ", flag);
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			in = (uintptr_t)p >= lo && (uintptr_t)p < hi;
		else if (in && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, want);
	}
	if (f)
		fclose(f);
	return found;
}

static uint64_t
next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* ---- as malloc ---- */

static void
every_size_is_aligned_and_wholly_its_own(void)
{
	enum { CNT = 2000 };
	static uint8_t *p[CNT];
	static size_t size[CNT];

	for (unsigned i = 0; i < CNT; i++) {
		size[i] = i < 1000 ? i + 1 : (size_t)(i - 999) * 41;
		p[i] = sl_vault_malloc(size[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
		CU_ASSERT_EQUAL((uintptr_t)p[i] & 15, 0);
		memset(p[i], (int)i, size[i]);
	}
	for (unsigned i = 0; i < CNT; i++) {
		bool same = true;
		for (size_t b = 0; b < size[i]; b++)
			same = same && p[i][b] == (uint8_t)i;
		CU_ASSERT_TRUE(same);
		sl_vault_free(p[i]);
	}
	CU_ASSERT_PTR_NULL(sl_vault_malloc(0));
	CU_ASSERT_PTR_NULL(sl_vault_malloc(SIZE_MAX));
	CU_ASSERT_PTR_NULL(sl_vault_malloc(SIZE_MAX / 2 + 1));
	sl_vault_free(NULL);
}

static void
realloc_keeps_what_was_there_up_and_down(void)
{
	static const size_t sizes[] = {1,     16,    17,     100,   128, 129,    4000, 20000,
				       32704, 32705, 100000, 40000, 500, 200000, 7,    0};
	uint8_t *p = NULL;
	size_t before = 0;

	for (unsigned i = 0; i < SL_ARRAY_CNT(sizes); i++) {
		p = sl_vault_realloc(p, sizes[i]);
		if (sizes[i] == 0) {
			CU_ASSERT_PTR_NULL(p);
			return;
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		bool same = true;
		for (size_t b = 0; b < SL_MIN(before, sizes[i]); b++)
			same = same && p[b] == (uint8_t)(b * 7);
		CU_ASSERT_TRUE(same);
		for (size_t b = 0; b < sizes[i]; b++)
			p[b] = (uint8_t)(b * 7);
		before = sizes[i];
	}
}

struct churn {
	pthread_t thread;
	uint64_t seed;
	unsigned wrong;
	void *_Atomic *pool; /* [64]: threads free what others made */
};

static void *
churn(void *arg)
{
	struct churn *c = arg;

	for (unsigned i = 0; i < 60000; i++) {
		size_t n = 8 + (next(&c->seed) & (i % 64 ? 1023 : 65535));
		uint64_t *p = sl_vault_malloc(n);
		if (!p) {
			c->wrong++;
			break;
		}
		p[0] = n;
		((uint8_t *)p)[n - 1] = (uint8_t)(n == 8 ? n >> 56 : 0x5a);
		p = atomic_exchange(&c->pool[next(&c->seed) % 64], p);
		if (!p)
			continue;
		n = p[0];
		c->wrong += n < 8 || n > 70000 || (n > 8 && ((uint8_t *)p)[n - 1] != 0x5a);
		sl_vault_free(p);
	}
	return NULL;
}

static void
threads_take_and_give_what_others_took(void)
{
	static void *_Atomic pool[64];
	struct churn c[4];
	struct sl_vault_usage once, again;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
			c[i] = (struct churn){.seed = 77 + i, .pool = pool};
			CU_ASSERT_EQUAL_FATAL(pthread_create(&c[i].thread, NULL, churn, &c[i]), 0);
		}
		for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
			pthread_join(c[i].thread, NULL);
			CU_ASSERT_EQUAL(c[i].wrong, 0);
		}
		for (unsigned i = 0; i < 64; i++)
			sl_vault_free(atomic_exchange(&pool[i], NULL));
		sl_vault_usage(round ? &again : &once);
	}
	/* caches of threads that are over are not lost */
	CU_ASSERT_TRUE(again.bytes <= once.bytes + (2u << 20));
}

/* ---- what malloc does not promise ---- */

static void
what_is_given_back_is_cleansed(void)
{
	static const char secret[] = "a key that nobody shall find again";

	if (by_malloc())
		return; /* freed memory cannot be looked at */
	char *p = sl_vault_malloc(sizeof(secret));
	memcpy(p, secret, sizeof(secret));
	sl_vault_free(p);
	CU_ASSERT_PTR_NULL(memmem(p, 64, secret + 8, 16));
	char *q = sl_vault_malloc(sizeof(secret));
	memcpy(q, secret, sizeof(secret));
	char *moved = sl_vault_realloc(q, 5000);
	CU_ASSERT_PTR_NOT_EQUAL(moved, q);
	CU_ASSERT_PTR_NULL(memmem(q, 64, secret + 8, 16));
	CU_ASSERT_EQUAL(memcmp(moved, secret, sizeof(secret)), 0);
	sl_vault_free(moved);
}

static void
memory_is_locked_and_in_no_core(void)
{
	char *map = sl_vault_map(100000), *small = sl_vault_malloc(40),
	     *big = sl_vault_malloc(1 << 18);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_TRUE(has_flag(map, "dd") && has_flag(map, "lo"));
	CU_ASSERT_TRUE(map[0] == 0 && map[99999] == 0);
	if (!by_malloc()) {
		CU_ASSERT_TRUE(has_flag(small, "dd") && has_flag(small, "lo"));
		CU_ASSERT_TRUE(has_flag(big, "dd") && has_flag(big, "lo"));
	}
	CU_ASSERT_FALSE(has_flag(&map, "dd"));
	sl_vault_free(small);
	sl_vault_free(big);
	sl_vault_unmap(map, 100000);
	sl_vault_unmap(NULL, 1);
}

static void
a_child_has_none_of_it(void)
{
	volatile char *map = sl_vault_map(4096);
	int status = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	map[9] = 'k';
	pid_t pid = fork();
	if (pid == 0)
		_exit(map[9]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CU_ASSERT_EQUAL(map[9], 'k');
	sl_vault_unmap((void *)(uintptr_t)map, 4096);
}

static void *
touch_stack(void *deep)
{
	volatile uint8_t room[100000];

	for (size_t i = 0; i < sizeof(room); i += 512)
		room[i] = (uint8_t)i;
	*(bool *)deep = has_flag((void *)(uintptr_t)room, "dd") && room[512] == 0;
	return NULL;
}

static void
a_thread_runs_on_a_stack_of_it(void)
{
	pthread_attr_t attr;
	pthread_t t;
	bool deep = false;
	const size_t bytes = 1 << 20;
	void *stack = sl_vault_stack(bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(stack);
	pthread_attr_init(&attr);
	CU_ASSERT_EQUAL(pthread_attr_setstack(&attr, stack, bytes), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, &attr, touch_stack, &deep), 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	CU_ASSERT_TRUE(deep);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		((volatile char *)stack)[-1] = 1;
		_exit(0);
	}
	int status;
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	sl_vault_unstack(stack, bytes);
	sl_vault_unstack(NULL, bytes);
}

static void
past_its_limit_there_is_no_memory_and_then_there_is_again(void)
{
	static void *p[4096];
	unsigned n = 0;
	struct sl_vault_usage u;

	while (n < SL_ARRAY_CNT(p) && (p[n] = sl_vault_malloc(20000)))
		n++;
	sl_vault_usage(&u);
	CU_ASSERT_TRUE(n > 800 && n <= MAX_BYTES / 20000);
	CU_ASSERT_TRUE(u.bytes <= u.max_bytes);
	CU_ASSERT_EQUAL(u.max_bytes, MAX_BYTES);
	CU_ASSERT_PTR_NULL(sl_vault_malloc(MAX_BYTES));
	while (n > 0)
		sl_vault_free(p[--n]);
	while (n < 800 && (p[n] = sl_vault_malloc(20000)))
		n++;
	CU_ASSERT_EQUAL(n, 800);
	while (n > 0)
		sl_vault_free(p[--n]);
}

static void
openssl_lives_in_it(void)
{
	struct sl_vault_usage before, after;
	uint8_t *p = OPENSSL_malloc(300000);

	sl_vault_usage(&before);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	OPENSSL_free(p);
	sl_vault_usage(&after);
	CU_ASSERT_TRUE(before.bytes >= after.bytes + 300000);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_TRUE(by_malloc() || has_flag(key, "dd"));
	EVP_PKEY_free(key);
}

static void
without_the_right_to_lock_it_says_what_to_raise(void)
{
	char text[SL_VAULT_TEXT] = "";
	int status;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){65536, 65536});
		if (getuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(3);
		int err = sl_vault_open(64 << 20, text);
		_exit(err == -EPERM && strstr(text, "RLIMIT_MEMLOCK is 64 KB") ? 0 : 1);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static int late_status; /* of a child that opened it late */

static void
late(void)
{
	char text[SL_VAULT_TEXT];
	pid_t pid = fork();

	if (pid == 0) {
		OPENSSL_free(OPENSSL_malloc(1));
		int err = sl_vault_open(MAX_BYTES, text);
		_exit(err == -EBUSY && strstr(text, "OpenSSL has memory already") ? 7 : 1);
	}
	if (waitpid(pid, &late_status, 0) != pid)
		late_status = -1;
}

static void
after_openssl_has_allocated_it_is_too_late(void)
{
	CU_ASSERT_TRUE(WIFEXITED(late_status));
	CU_ASSERT_EQUAL(WEXITSTATUS(late_status), 7);
}

static const CU_TestInfo tests[] = {
	SL_TEST(every_size_is_aligned_and_wholly_its_own),
	SL_TEST(realloc_keeps_what_was_there_up_and_down),
	SL_TEST(what_is_given_back_is_cleansed),
	SL_TEST(memory_is_locked_and_in_no_core),
	SL_TEST(a_child_has_none_of_it),
	SL_TEST(a_thread_runs_on_a_stack_of_it),
	SL_TEST(threads_take_and_give_what_others_took),
	SL_TEST(past_its_limit_there_is_no_memory_and_then_there_is_again),
	SL_TEST(openssl_lives_in_it),
	SL_TEST(without_the_right_to_lock_it_says_what_to_raise),
	SL_TEST(after_openssl_has_allocated_it_is_too_late),
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	char text[SL_VAULT_TEXT];

	late();
	if (sl_vault_open(MAX_BYTES, text)) {
		fprintf(stderr, "%s\n", text);
		return 77; /* no right to lock 32 MB here */
	}
	return sl_suite_run("vault", tests);
}

/* suite — one CUnit executable per room file: SL_SUITE(tests…) supplies main and the exit code.
 *
 *   static void find_returns_null_after_expiry(void) { … }
 *   SL_SUITE("flow", SL_TEST(find_returns_null_after_expiry), …)
 */
#ifndef SL_TESTS_SUITE_H
#define SL_TESTS_SUITE_H

#include <CUnit/Basic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SL_TEST(fn)                                                                                \
	{                                                                                          \
#fn, fn                                                                            \
	}

#define SL_SUITE(name, ...)                                                                        \
	int main(void)                                                                             \
	{                                                                                          \
		static const CU_TestInfo sl_tests[] = {__VA_ARGS__, CU_TEST_INFO_NULL};            \
		return sl_suite_run(name, sl_tests);                                               \
	}

static inline int
sl_suite_run(const char *name, const CU_TestInfo *tests)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	CU_pSuite s = CU_add_suite(name, NULL, NULL);
	for (const CU_TestInfo *t = tests; t->pName; t++)
		CU_add_test(s, t->pName, t->pTestFunc);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

/* guard_buf gives n bytes right before a page that must not be touched: a one-byte over-read faults.
 * guard_free gives it back. */
static inline uint8_t *
guard_buf(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
	uint8_t *m =
		mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED || mprotect(m + room, page, PROT_NONE))
		abort();
	return m + room - n;
}

static inline void
guard_free(uint8_t *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
	munmap(p + n - room, room + page);
}

#endif

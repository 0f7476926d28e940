#include "tests/suite.h"
#include "l7/arena.h"

#define ROOM (512u << 10)

static struct sl_arena *
arena(size_t room)
{
	size_t n = (sl_arena_bytes(room) + 63) & ~(size_t)63;
	void *mem = aligned_alloc(SL_CACHE_LINE, n);

	memset(mem, 0, n);
	return sl_arena_init(mem, room);
}

static void
pieces_are_powers_of_two_that_hold_what_was_asked(void)
{
	static const struct {
		uint32_t ask, get;
	} rows[] = {{1, 512},         {511, 512},      {512, 512},     {513, 1024},
		    {1024, 1024},     {1025, 2048},    {65536, 65536}, {65537, 131072},
		    {131071, 131072}, {131072, 131072}};
	struct sl_arena *a = arena(ROOM);

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t got = 0;
		void *p = sl_arena_take(a, rows[i].ask, &got);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT_EQUAL(got, rows[i].get);
		CU_ASSERT_EQUAL(sl_arena_used(a), rows[i].get);
		CU_ASSERT_EQUAL((uintptr_t)p % SL_CACHE_LINE, 0);
		memset(p, 0xa5, got);
		sl_arena_give(a, p, got);
		CU_ASSERT_EQUAL(sl_arena_used(a), 0);
	}
	free(a);
}

static void
a_piece_that_was_given_back_is_used_again(void)
{
	struct sl_arena *a = arena(1024);
	uint32_t n;
	void *p = sl_arena_take(a, 600, &n), *q;

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_PTR_NULL(sl_arena_take(a, 1, &n));
	sl_arena_give(a, p, 1024);
	q = sl_arena_take(a, 1000, &n);
	CU_ASSERT_PTR_EQUAL(p, q);
	free(a);
}

static void
what_is_used_up_is_refused_and_nothing_is_touched(void)
{
	struct sl_arena *a = arena(ROOM);
	uint32_t n = 77, taken = 0;

	while (sl_arena_take(a, SL_ARENA_MAX, &n))
		taken++;
	CU_ASSERT_EQUAL(taken, ROOM / SL_ARENA_MAX);
	CU_ASSERT_EQUAL(sl_arena_used(a), ROOM);
	n = 77;
	CU_ASSERT_PTR_NULL(sl_arena_take(a, 1, &n));
	CU_ASSERT_EQUAL(n, 77);
	free(a);
}

/* Each piece is filled with its own byte: no two may lie over each other, whatever is taken and given back. */
static void
pieces_never_overlap(void)
{
	struct {
		uint8_t *p;
		uint32_t n;
	} held[64] = {{0}};
	struct sl_arena *a = arena(ROOM);
	uint32_t seed = 1;
	size_t used = 0, refused = 0;

	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned at = seed >> 26;
		if (held[at].p) {
			for (uint32_t k = 0; k < held[at].n; k += 61)
				CU_ASSERT_FATAL(held[at].p[k] == (uint8_t)at);
			sl_arena_give(a, held[at].p, held[at].n);
			used -= held[at].n;
			held[at].p = NULL;
		} else {
			uint32_t ask = 1 + (seed >> 8) % (1u << (9 + (seed >> 3) % 9));
			held[at].p = sl_arena_take(a, ask, &held[at].n);
			refused += !held[at].p;
			if (held[at].p) {
				CU_ASSERT_FATAL(held[at].n >= ask);
				memset(held[at].p, (int)at, held[at].n);
				used += held[at].n;
			}
		}
		CU_ASSERT_FATAL(sl_arena_used(a) == used);
	}
	CU_ASSERT(refused > 0);
	free(a);
}

SL_SUITE("arena", SL_TEST(pieces_are_powers_of_two_that_hold_what_was_asked),
	 SL_TEST(a_piece_that_was_given_back_is_used_again),
	 SL_TEST(what_is_used_up_is_refused_and_nothing_is_touched), SL_TEST(pieces_never_overlap))

/* The table against what was put in, in chains of every length. */
#define LEAF_STREAMS 512
#define LEAF_TIMEWAITS 512
#include "leaf.h"

static const uint32_t head_cnts[] = {1, 2, 32, 1024};

static void
what_was_put_in_is_found_and_nothing_else(void)
{
	for (size_t h = 0; h < SL_ARRAY_CNT(head_cnts); h++) {
		unsigned wrong = 0;
		leaf_begin(head_cnts[h]);
		for (unsigned i = 0; i < 512; i++) {
			struct sl_tuple u = leaf_tuple(i);
			wrong += leaf_find(&u) != SL_TCP_NONE;
			leaf_stream(i, &u);
		}
		for (unsigned i = 0; i < 600; i++) {
			struct sl_tuple u = leaf_tuple(i);
			sl_tcp_prefetch(&t, sl_tcp_hash(&t, &u));
			wrong += leaf_find(&u) != (i < 512 ? i : SL_TCP_NONE);
		}
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

/* Streams and TIME-WAIT entries in the same chains, in and out in any order. */
static void
taking_out_leaves_the_others_in_any_order(void)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		bool in[1024] = {false};
		unsigned wrong = 0;
		leaf_begin(head_cnts[seed % SL_ARRAY_CNT(head_cnts)]);
		srandom(seed);
		for (unsigned step = 0; step < 4000; step++) {
			unsigned i = (unsigned)random() % 1024;
			struct sl_tuple u = leaf_tuple(i);
			uint32_t handle = i < 512 ? i : SL_TCP_OF_TIMEWAIT | (i - 512);
			wrong += leaf_find(&u) != (in[i] ? handle : SL_TCP_NONE);
			if (in[i]) {
				sl_table_remove(&t, handle);
			} else {
				if (i < 512)
					leaf_streams[i].row.tuple = u;
				else
					leaf_timewaits[i - 512].tuple = u;
				sl_table_insert(&t, handle, sl_tcp_hash(&t, &u));
			}
			in[i] = !in[i];
		}
		for (unsigned i = 0; i < 1024; i++) {
			struct sl_tuple u = leaf_tuple(i);
			wrong += (leaf_find(&u) != SL_TCP_NONE) != in[i];
		}
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void
every_part_of_a_tuple_counts(void)
{
	struct sl_tuple u = leaf_tuple(7);

	leaf_begin(1);
	leaf_stream(0, &u);
	uint64_t hash = sl_tcp_hash(&t, &u);
	/* Under the same hash, so that nothing but the comparison tells them apart. */
	for (unsigned bit = 0; bit < 37 * 8; bit++) {
		struct sl_tuple v = u;
		((uint8_t *)&v)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_EQUAL(sl_tcp_find(&t, hash, &v), SL_TCP_NONE);
	}
	CU_ASSERT_EQUAL(sl_tcp_find(&t, hash, &u), 0);
}

static void
another_key_makes_other_chains(void)
{
	struct sl_tuple u = leaf_tuple(7);

	leaf_begin(1024);
	uint64_t hash = sl_tcp_hash(&t, &u);
	t.key.b[0] ^= 1;
	CU_ASSERT_NOT_EQUAL(sl_tcp_hash(&t, &u), hash);
}

SL_SUITE("table", SL_TEST(what_was_put_in_is_found_and_nothing_else),
	 SL_TEST(taking_out_leaves_the_others_in_any_order), SL_TEST(every_part_of_a_tuple_counts),
	 SL_TEST(another_key_makes_other_chains))

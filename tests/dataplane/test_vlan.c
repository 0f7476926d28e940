/* Tags in bytes. */
#include "dataplane/vlan.h"

#include "tests/suite.h"

static const uint8_t plain[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x45, 1, 2, 3};

static void
what_was_inserted_is_found_and_stripped_again(void)
{
	for (unsigned vid = 1; vid < 4096; vid++) {
		uint8_t room[SL_VLAN_BYTES + sizeof(plain)] = {0}, *frame = room + SL_VLAN_BYTES;
		memcpy(frame, plain, sizeof(plain));
		sl_vlan_insert(frame, vid);
		CU_ASSERT_EQUAL(sl_vlan_of(room, sizeof(room)), vid);
		CU_ASSERT(memcmp(room, plain, 12) == 0 &&
			  memcmp(room + 16, plain + 12, sizeof(plain) - 12) == 0);
		sl_vlan_strip(room);
		CU_ASSERT(memcmp(frame, plain, sizeof(plain)) == 0);
	}
}

static void
priority_is_passed_over(void)
{
	uint8_t f[18] = {0};

	f[12] = 0x81;
	f[14] = 0xf0 | 0x01;
	f[15] = 0x23;
	CU_ASSERT_EQUAL(sl_vlan_of(f, sizeof(f)), 0x123);
}

static void
what_has_no_tag_of_ours_has_none(void)
{
	static const struct {
		uint8_t type[4];
		unsigned len;
		const char *why;
	} rows[] = {
		{{0x08, 0x00, 0x00, 0x65}, 60, "another EtherType"},
		{{0x88, 0xa8, 0x00, 0x65}, 60, "802.1ad"},
		{{0x81, 0x00, 0xa0, 0x00}, 60, "only a priority"},
		{{0x81, 0x00, 0x00, 0x65}, 17, "cut behind the tag"},
		{{0x81, 0x00, 0x00, 0x65}, 14, "cut in the tag"},
		{{0x81, 0x00, 0x00, 0x65}, 1, "next to nothing"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint8_t f[60] = {0}, *at = guard_buf(rows[i].len);
		memcpy(f + 12, rows[i].type, 4);
		memcpy(at, f, rows[i].len);
		if (sl_vlan_of(at, rows[i].len) != SL_VLAN_NONE)
			printf("  row \"%s\"\n", rows[i].why);
		CU_ASSERT_EQUAL(sl_vlan_of(at, rows[i].len), SL_VLAN_NONE);
		guard_free(at, rows[i].len);
	}
}

SL_SUITE("vlan", SL_TEST(what_was_inserted_is_found_and_stripped_again),
	 SL_TEST(priority_is_passed_over), SL_TEST(what_has_no_tag_of_ours_has_none))

#include "mgmt/generations.h"
#include "mgmt/disk.h"
#include "tests/suite.h"

#include <errno.h>
#include <sys/stat.h>

static char dir[64];

static void
open_dir(void)
{
	strcpy(dir, "/tmp/sluice-test-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
}

static void
close_dir(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	CU_ASSERT(system(cmd) == 0);
}

static int
put(uint64_t number, const char *text)
{
	struct sl_generation_meta m = {
		.number = number,
		.state = SL_GENERATION_PENDING,
		.file = "t.conf",
		.comment = "why",
		.user = "alice",
		.uid = 1000,
		.written_ms = 12345,
		.root = "ab",
	};
	return sl_generations_write(dir, &m, text, strlen(text), NULL);
}

static void
what_is_written_is_read(void)
{
	struct sl_generation_meta m;
	char *text;
	size_t len;

	open_dir();
	CU_ASSERT(sl_generations_last(dir) == 0);
	CU_ASSERT(put(7, "hello") == 0);
	CU_ASSERT(sl_generations_last(dir) == 7);
	CU_ASSERT_FATAL(sl_generations_read(dir, 7, &m, &text, &len, NULL) == 0);
	CU_ASSERT(len == 5 && memcmp(text, "hello", 5) == 0);
	CU_ASSERT(m.state == SL_GENERATION_PENDING && m.uid == 1000 && m.written_ms == 12345);
	CU_ASSERT_STRING_EQUAL(m.comment, "why");
	sl_generation_meta_fini(&m);
	free(text);
	CU_ASSERT(sl_generations_read(dir, 8, &m, NULL, NULL, NULL) == -ENOENT);
	close_dir();
}

static void
a_mark_replaces_the_state(void)
{
	struct sl_generation_meta m;

	open_dir();
	put(1, "x");
	CU_ASSERT(sl_generations_mark(dir, 1, SL_GENERATION_REFUSED, "because", NULL) == 0);
	CU_ASSERT_FATAL(sl_generations_read(dir, 1, &m, NULL, NULL, NULL) == 0);
	CU_ASSERT(m.state == SL_GENERATION_REFUSED);
	CU_ASSERT_STRING_EQUAL(m.text, "because");
	sl_generation_meta_fini(&m);
	CU_ASSERT(sl_generations_mark(dir, 2, SL_GENERATION_ACTIVE, NULL, NULL) == -ENOENT);
	close_dir();
}

/* Every byte of either file flipped, and every length cut: never read as good. */
static void
any_damage_is_seen(void)
{
	static const char *const name[] = {"table.conf", "meta.json"};
	char path[128], *text;
	size_t len;
	unsigned good = 0;

	open_dir();
	put(1, "gateway = { name = \"a\"; };");
	for (unsigned k = 0; k < 2; k++) {
		snprintf(path, sizeof(path), "%s/00000001/%s", dir, name[k]);
		CU_ASSERT_FATAL(sl_disk_read(path, 1 << 20, &text, &len, NULL) == 0);
		for (size_t i = 0; i < 2 * len; i++) {
			struct sl_generation_meta m;
			struct sl_diag diag = {0};
			FILE *f = fopen(path, "w");
			if (i < len)
				text[i] ^= 1;
			fwrite(text, 1, i < len ? len : i - len, f);
			fclose(f);
			if (sl_generations_read(dir, 1, &m, NULL, NULL, &diag) == 0) {
				good++;
				sl_generation_meta_fini(&m);
			} else {
				CU_ASSERT(diag.cnt > 0);
			}
			sl_diag_fini(&diag);
			if (i < len)
				text[i] ^= 1;
		}
		FILE *f = fopen(path, "w");
		fwrite(text, 1, len, f);
		fclose(f);
		free(text);
	}
	CU_ASSERT(good == 0);
	close_dir();
}

static void
a_half_written_one_is_not_listed(void)
{
	struct sl_generation_meta *list;
	unsigned cnt;
	char path[128];

	open_dir();
	put(1, "x");
	snprintf(path, sizeof(path), "%s/00000002.tmp", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/00000003", dir);
	mkdir(path, 0700); /* empty: corrupt, but its number is used */
	CU_ASSERT(sl_generations_last(dir) == 3);
	CU_ASSERT(sl_generations_list(dir, &list, &cnt) == 0 && cnt == 2);
	CU_ASSERT(list[0].number == 3 && list[0].state == SL_GENERATION_CORRUPT);
	CU_ASSERT(strlen(list[0].text) > 0);
	CU_ASSERT(list[1].number == 1 && list[1].state == SL_GENERATION_PENDING);
	sl_generations_list_free(list, cnt);
	close_dir();
}

static void
sixteen_are_kept_and_those_that_are_needed(void)
{
	struct sl_generation_meta *list;
	unsigned cnt;

	open_dir();
	for (unsigned i = 1; i <= 20; i++)
		put(i, "x");
	sl_generations_prune(dir, 2, 3);
	CU_ASSERT(sl_generations_list(dir, &list, &cnt) == 0 && cnt == 18);
	CU_ASSERT(list[0].number == 20 && list[15].number == 5 && list[16].number == 3 &&
		  list[17].number == 2);
	sl_generations_list_free(list, cnt);
	close_dir();
}

SL_SUITE("generations", SL_TEST(what_is_written_is_read), SL_TEST(a_mark_replaces_the_state),
	 SL_TEST(any_damage_is_seen), SL_TEST(a_half_written_one_is_not_listed),
	 SL_TEST(sixteen_are_kept_and_those_that_are_needed))

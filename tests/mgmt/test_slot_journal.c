/* Maps that follow each other, cut off anywhere: what is read back is one of them, and the last whole one. */
#include "mgmt/slot_journal.h"

#include <ftw.h>
#include <sys/stat.h>

#include "tests/suite.h"

static char dir[64];
static uint64_t rng;

static uint32_t
roll(uint32_t n)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rng >> 33) % n;
}

static void
open_dir(void)
{
	strcpy(dir, "/tmp/sluice-test-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	rng = 7;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
close_dir(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct sl_slot_journal *
load(struct sl_diag *notes)
{
	struct sl_slot_journal *j;
	struct sl_diag diag = {0};

	if (sl_slot_journal_load(dir, notes, &diag, &j))
		abort();
	return j;
}

/* m with some of 40 endpoints, chosen by chance. */
static void
assign(const struct sl_slot_map *m, struct sl_slot_map *ret)
{
	static char key[40][64];
	const char *keys[40];
	struct sl_placed placed[40];
	uint32_t n = 0;

	for (unsigned i = 0; i < 40; i++) {
		snprintf(key[i], sizeof(key[i]), "web/e%u/192.0.2.%u:80", i, i + 1);
		if (roll(2))
			keys[n++] = key[i];
	}
	if (sl_slot_map_copy(m, ret) ||
	    sl_slot_space_assign(&ret->endpoints, &ret->seq, keys, n, placed))
		abort();
}

static char *
text_of(const struct sl_slot_map *m)
{
	char *text;
	size_t len;

	if (sl_slot_map_save(m, &text, &len))
		abort();
	return text;
}

#define MAPS 24
static struct sl_slot_map maps[MAPS];
static char *texts[MAPS];

/* maps[0] is empty and has id 1; each one follows from the one before but map 10, which was refused: 11 follows from 9. */
static void
make_maps(struct sl_slot_journal *j)
{
	sl_slot_map_init(&maps[0]);
	for (unsigned i = 1; i < MAPS; i++) {
		unsigned from = i == 11 ? 9 : i - 1;
		assign(&maps[from], &maps[i]);
		char *line = sl_slot_journal_line(from + 1, i + 1, &maps[from], &maps[i]);
		CU_ASSERT(sl_slot_journal_says(line));
		CU_ASSERT_EQUAL(sl_slot_journal_add(j, line), 0);
		free(line);
	}
	for (unsigned i = 0; i < MAPS; i++)
		texts[i] = text_of(&maps[i]);
}

static void
free_maps(void)
{
	for (unsigned i = 0; i < MAPS; i++) {
		sl_slot_map_fini(&maps[i]);
		free(texts[i]);
	}
}

/* Replays from map `base` (an index), and holds what comes out against the map of that id. */
static uint64_t
replayed(unsigned base)
{
	struct sl_diag notes = {0};
	struct sl_slot_journal *j = load(&notes);
	struct sl_slot_map m;

	sl_slot_map_copy(&maps[base], &m);
	uint64_t id = sl_slot_journal_replay(j, base + 1, &m, &notes);
	char *text = text_of(&m);
	CU_ASSERT(id >= 1 && id <= MAPS);
	CU_ASSERT_STRING_EQUAL(text, texts[id - 1]);
	free(text);
	sl_slot_map_fini(&m);
	sl_slot_journal_destroy(j);
	sl_diag_fini(&notes);
	return id;
}

static void
a_replay_gives_the_last_map_from_wherever_it_begins(void)
{
	open_dir();
	struct sl_slot_journal *j = load(NULL);
	make_maps(j);
	sl_slot_journal_destroy(j);
	for (unsigned i = 0; i < MAPS; i++)
		CU_ASSERT_EQUAL(replayed(i), i == 10 ? 11u : MAPS); /* nothing follows from 10 */
	free_maps();
	close_dir();
}

static char *
read_all(const char *path, size_t *ret_len)
{
	struct stat st;
	FILE *f = fopen(path, "r");

	if (!f || fstat(fileno(f), &st))
		abort();
	char *bytes = malloc((size_t)st.st_size);
	if (!bytes || fread(bytes, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		abort();
	fclose(f);
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static void
write_all(const char *path, const char *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(bytes, 1, len, f) != len)
		abort();
	fclose(f);
}

static void
a_torn_tail_is_cut_off_wherever_it_is_torn(void)
{
	char path[128];
	size_t len;

	open_dir();
	struct sl_slot_journal *j = load(NULL);
	make_maps(j);
	sl_slot_journal_destroy(j);
	snprintf(path, sizeof(path), "%s/slots.journal", dir);
	char *bytes = read_all(path, &len);
	uint64_t before = MAPS;
	for (size_t size = len - 1; size < len; size -= 37) { /* past 0 it is huge */
		write_all(path, bytes, size);
		uint64_t id = replayed(0);
		CU_ASSERT(id <= before && id + 2 >= before);
		before = id;
		/* what is written then is whole */
		j = load(NULL);
		char *line = sl_slot_journal_line(id, 1000, &maps[id - 1], &maps[0]);
		CU_ASSERT_EQUAL(sl_slot_journal_add(j, line), 0);
		free(line);
		sl_slot_journal_destroy(j);
		j = load(NULL);
		CU_ASSERT_EQUAL(sl_slot_journal_last(j), 1000);
		sl_slot_journal_destroy(j);
	}
	CU_ASSERT_EQUAL(before, 1);
	free(bytes);
	free_maps();
	close_dir();
}

static void
a_changed_byte_ends_the_journal_there(void)
{
	char path[128];
	size_t len;

	open_dir();
	struct sl_slot_journal *j = load(NULL);
	make_maps(j);
	sl_slot_journal_destroy(j);
	snprintf(path, sizeof(path), "%s/slots.journal", dir);
	char *bytes = read_all(path, &len);
	for (unsigned i = 0; i < 200; i++) {
		size_t at = roll((uint32_t)len);
		bytes[at] ^= 0x11;
		write_all(path, bytes, len);
		bytes[at] ^= 0x11;
		CU_ASSERT(replayed(0) < MAPS);
	}
	free(bytes);
	free_maps();
	close_dir();
}

static void
the_journal_of_before_leads_on_where_slots_json_is_lost(void)
{
	open_dir();
	struct sl_slot_journal *j = load(NULL);
	make_maps(j);
	CU_ASSERT_EQUAL(sl_slot_journal_turn(j), 0); /* slots.json is map MAPS now */
	struct sl_slot_map next;
	assign(&maps[MAPS - 1], &next);
	char *line = sl_slot_journal_line(MAPS, MAPS + 1, &maps[MAPS - 1], &next);
	CU_ASSERT_EQUAL(sl_slot_journal_add(j, line), 0);
	free(line);
	sl_slot_journal_destroy(j);
	j = load(NULL);
	CU_ASSERT_EQUAL(sl_slot_journal_last(j), MAPS + 1);
	struct sl_slot_map m; /* the one of slots.json.prev */
	sl_slot_map_copy(&maps[0], &m);
	CU_ASSERT_EQUAL(sl_slot_journal_replay(j, 1, &m, NULL), MAPS + 1);
	char *have = text_of(&m), *want = text_of(&next);
	CU_ASSERT_STRING_EQUAL(have, want);
	free(have);
	free(want);
	sl_slot_map_fini(&m);
	sl_slot_map_fini(&next);
	sl_slot_journal_destroy(j);
	free_maps();
	close_dir();
}

SL_SUITE("slot_journal", SL_TEST(a_replay_gives_the_last_map_from_wherever_it_begins),
	 SL_TEST(a_torn_tail_is_cut_off_wherever_it_is_torn),
	 SL_TEST(a_changed_byte_ends_the_journal_there),
	 SL_TEST(the_journal_of_before_leads_on_where_slots_json_is_lost))

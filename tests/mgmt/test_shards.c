/* Databases: made once, kept, believed only when whole; what is too much is named and ends nothing. */
#include "mgmt/shards.h"

#include <dirent.h>
#include <fcntl.h>
#include <hs.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "mgmt/slots.h"
#include "suite.h"

static const struct sl_scan_name path_of_shop = {"edge", "shop", SL_FIELD_PATH, NULL};
static char dir[64];

static struct sl_shards *
open_with(const struct sl_shards_conf *conf)
{
	struct sl_diag diag = {0};
	struct sl_shards *s;

	CU_ASSERT_EQUAL_FATAL(sl_shards_create(conf, &diag, &s), 0);
	CU_ASSERT_EQUAL(diag.cnt, 0);
	sl_diag_fini(&diag);
	return s;
}

static struct sl_shards *
open_kept(void)
{
	return open_with(&(struct sl_shards_conf){.program = SL_COMPILE, .dir = dir});
}

static void
dir_make(void)
{
	strcpy(dir, "/tmp/sluice-shards-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

/* Calls fn for each kept file; their number. */
static unsigned
files(void (*fn)(const char *path))
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		char path[512];
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (fn)
			fn(path);
	}
	if (d)
		closedir(d);
	return n;
}

static void
remove_file(const char *path)
{
	unlink(path);
}

static void
dir_remove(void)
{
	files(remove_file);
	rmdir(dir);
}

static struct sl_pattern
pattern(const char *text, uint8_t op, bool icase)
{
	return (struct sl_pattern){
		.text = text, .len = (uint32_t)strlen(text), .op = op, .icase = icase};
}

/* The caller's reference, or NULL with what was said in *diag. */
static const struct sl_shard *
make(struct sl_shards *s, const struct sl_pattern *p, uint32_t cnt, struct sl_diag *diag)
{
	const struct sl_shard *shard = NULL;
	struct sl_shards_run r;

	sl_shards_begin(&r, s, diag);
	int err = sl_shards_make(&r, &path_of_shop, p, cnt, &shard);
	sl_shards_end(&r);
	CU_ASSERT_EQUAL(err == 0, shard != NULL);
	return shard;
}

static struct sl_shards_stats
stats(struct sl_shards *s)
{
	struct sl_shards_stats n;

	sl_shards_count(s, &n);
	return n;
}

/* ---- what is in a database ---- */

struct hits {
	uint32_t bits;
};

static int
on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)from;
	(void)to;
	(void)flags;
	((struct hits *)ctx)->bits |= 1u << id;
	return 0;
}

static uint32_t
scan(const struct sl_shard *shard, const char *text, size_t len)
{
	const struct sl_img_shard *img = shard->obj.bytes;
	hs_database_t *db = NULL;
	hs_scratch_t *scratch = NULL;
	struct hits h = {0};

	CU_ASSERT_EQUAL_FATAL(
		hs_deserialize_database((const char *)img + img->db_off, img->db_bytes, &db),
		HS_SUCCESS);
	CU_ASSERT_EQUAL(hs_alloc_scratch(db, &scratch), HS_SUCCESS);
	CU_ASSERT_EQUAL(hs_scan(db, text, (unsigned)len, 0, scratch, on_hit, &h), HS_SUCCESS);
	hs_free_scratch(scratch);
	hs_free_database(db);
	return h.bits;
}

static void
patterns_mean_what_they_say(void)
{
	static const struct {
		uint8_t op;
		bool icase;
		const char *pattern, *text;
		size_t len;
		bool holds;
		const char *reason;
	} rows[] = {
		{SL_COND_REGEX, false, "ab+", "abbb", 4, true, "all of it"},
		{SL_COND_REGEX, false, "ab+", "xabbb", 5, false, "something before"},
		{SL_COND_REGEX, false, "ab+", "abbbx", 5, false, "something behind"},
		{SL_COND_REGEX, false, "ab+", "abbb\n", 5, false, "a newline behind"},
		{SL_COND_REGEX, false, "a|b", "ab", 2, false, "the alternative is in a group"},
		{SL_COND_REGEX, false, "a.c", "a\nc", 3, true, "a dot is any byte"},
		{SL_COND_REGEX, false, "a*", "", 0, true, "empty"},
		{SL_COND_REGEX, false, "a+", "", 0, false, "not empty"},
		{SL_COND_REGEX, false, "abc", "aBc", 3, false, "letters differ"},
		{SL_COND_REGEX, true, "abc", "aBc", 3, true, "letters are alike"},
		{SL_COND_CONTAINS, false, "a.c", "xxa.cxx", 7, true, "in the midst"},
		{SL_COND_CONTAINS, false, "a.c", "xxabcxx", 7, false, "a dot is a dot"},
		{SL_COND_CONTAINS, true, "a)c", "A)C", 3, true, "letters are alike"},
		{SL_COND_CONTAINS, false, "\\E", "a\\E", 3, true, "nothing is special"},
		{SL_COND_CONTAINS, false, "\xc3\xa4", "\xc3\xa4", 2, true, "bytes, not characters"},
		{SL_COND_CONTAINS, false, "", "", 0, true, "nothing stands in everything"},
		{SL_COND_CONTAINS, false, "", "x", 1, true, "nothing stands in everything"},
	};
	struct sl_shards *s = open_with(&(struct sl_shards_conf){.program = SL_COMPILE});

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_pattern p = pattern(rows[i].pattern, rows[i].op, rows[i].icase);
		const struct sl_shard *shard = make(s, &p, 1, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(shard);
		bool holds = scan(shard, rows[i].text, rows[i].len) & 1;
		if (holds != rows[i].holds)
			printf("\n  %s: %s", rows[i].pattern, rows[i].reason);
		CU_ASSERT_EQUAL(holds, rows[i].holds);
		sl_shard_unref(shard);
	}
	sl_shards_destroy(s);
}

static void
ids_are_places(void)
{
	struct sl_pattern p[] = {
		pattern("a", SL_COND_CONTAINS, false),
		pattern("b", SL_COND_CONTAINS, false),
		pattern("b", SL_COND_CONTAINS, true),
		pattern("b.*", SL_COND_REGEX, false),
	};
	struct sl_shards *s = open_with(&(struct sl_shards_conf){.program = SL_COMPILE});
	const struct sl_shard *shard = make(s, p, 4, NULL);
	struct sl_pattern other = pattern("a", SL_COND_REGEX, false);

	CU_ASSERT_PTR_NOT_NULL_FATAL(shard);
	CU_ASSERT_EQUAL(shard->cnt, 4);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(sl_shard_find(shard, &p[i]), i);
		if (i)
			CU_ASSERT(sl_pattern_order(&p[i - 1], &p[i]) < 0);
	}
	CU_ASSERT_EQUAL(sl_shard_find(shard, &other), UINT32_MAX);
	CU_ASSERT_EQUAL(scan(shard, "ba", 2), 1 | 2 | 4 | 8);
	CU_ASSERT_EQUAL(scan(shard, "xB", 2), 4);
	sl_shard_unref(shard);
	sl_shards_destroy(s);
}

/* ---- kept ---- */

static void
a_restart_compiles_nothing(void)
{
	struct sl_pattern p = pattern("/v[0-9]+", SL_COND_REGEX, false);

	dir_make();
	struct sl_shards *s = open_kept();
	const struct sl_shard *first = make(s, &p, 1, NULL), *again = make(s, &p, 1, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_EQUAL(first, again);
	CU_ASSERT_EQUAL(stats(s).compiled, 1);
	CU_ASSERT_EQUAL(stats(s).held, 1);
	struct sl_obj_id id = first->obj.id;
	struct sl_shard_key key = first->key;
	sl_shard_unref(first);
	sl_shard_unref(again);
	sl_shards_destroy(s);

	/* Not even the program is needed. */
	s = open_with(&(struct sl_shards_conf){.program = "/nowhere/sluice-compile", .dir = dir});
	first = make(s, &p, 1, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_EQUAL(stats(s).compiled, 0);
	CU_ASSERT_EQUAL(stats(s).loaded, 1);
	CU_ASSERT_EQUAL(memcmp(&first->obj.id, &id, sizeof(id)), 0);
	CU_ASSERT_EQUAL(scan(first, "/v12", 4), 1);
	sl_shard_unref(first);
	first = sl_shards_find(s, &key);
	CU_ASSERT(first && first->cnt == 1 && first->patterns[0].len == p.len);
	sl_shard_unref(first);
	sl_shards_destroy(s);
	dir_remove();
}

static void
cut_short(const char *path)
{
	struct stat st;
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(truncate(path, st.st_size - 8), 0);
}

static off_t flip_at;

static void
flip(const char *path)
{
	struct stat st;
	uint8_t b;
	int fd = open(path, O_RDWR);
	CU_ASSERT(fd >= 0 && fstat(fd, &st) == 0);
	off_t at = flip_at < 0 ? st.st_size + flip_at : flip_at;
	CU_ASSERT_EQUAL(pread(fd, &b, 1, at), 1);
	b ^= 1;
	CU_ASSERT_EQUAL(pwrite(fd, &b, 1, at), 1);
	close(fd);
}

static void
a_file_that_is_not_whole_is_made_again(void)
{
	static const struct {
		void (*damage)(const char *path);
		off_t at;
		const char *reason;
	} rows[] = {
		{cut_short, 0, "the end is missing"},
		{flip, 0, "the magic"},
		{flip, 8, "the number of patterns"},
		{flip, 12, "the length of the list"},
		{flip, 24, "the key"},
		{flip, 56, "the sum of the object"},
		{flip, 88, "the first pattern"},
		{flip, 100, "its text"},
		{flip, -200, "the database"},
	};
	struct sl_pattern p = pattern("/v[0-9]+", SL_COND_REGEX, false);

	dir_make();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_shards *s = open_kept();
		sl_shard_unref(make(s, &p, 1, NULL));
		sl_shards_destroy(s);
		CU_ASSERT_EQUAL(files(NULL), 1);
		flip_at = rows[i].at;
		files(rows[i].damage);
		s = open_kept();
		const struct sl_shard *shard = make(s, &p, 1, NULL);
		if (!shard || stats(s).compiled != 1)
			printf("\n  believed: %s", rows[i].reason);
		CU_ASSERT(shard && stats(s).compiled == 1 && stats(s).loaded == 0);
		sl_shard_unref(shard);
		sl_shards_destroy(s);
	}
	dir_remove();
}

static void
what_nobody_asks_for_leaves_memory_and_comes_back_from_disk(void)
{
	struct sl_pattern a = pattern("a", SL_COND_REGEX, false),
			  b = pattern("b", SL_COND_REGEX, false);
	struct sl_slot_map map;

	sl_slot_map_init(&map);
	dir_make();
	struct sl_shards *s = open_kept();
	sl_shard_unref(make(s, &a, 1, NULL));
	for (int i = 0; i < 3; i++)
		sl_shard_unref(make(s, &b, 1, NULL));
	sl_shards_trim(s, &map);
	CU_ASSERT_EQUAL(files(NULL), 2);
	sl_shard_unref(make(s, &b, 1, NULL));
	CU_ASSERT_EQUAL(stats(s).loaded, 0);
	sl_shard_unref(make(s, &a, 1, NULL));
	CU_ASSERT_EQUAL(stats(s).loaded, 1);
	CU_ASSERT_EQUAL(stats(s).compiled, 2);
	sl_shards_destroy(s);
	dir_remove();
	sl_slot_map_fini(&map);
}

static void
old_files_are_pruned_and_those_in_use_are_not(void)
{
	struct sl_pattern a = pattern("a", SL_COND_REGEX, false);
	struct sl_slot_map map;
	char path[512];

	sl_slot_map_init(&map);
	dir_make();
	struct sl_shards *s = open_kept();
	sl_shard_unref(make(s, &a, 1, NULL));
	for (unsigned i = 0; i < SL_SHARDS_KEEP + 5; i++) {
		struct timespec old[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
		snprintf(path, sizeof(path), "%s/%064x.hs", dir, i);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);
		CU_ASSERT(fd >= 0 && futimens(fd, old) == 0);
		close(fd);
	}
	sl_shards_trim(s, &map);
	CU_ASSERT_EQUAL(files(NULL), SL_SHARDS_KEEP + 1);
	snprintf(path, sizeof(path), "%s/%064x.hs", dir, 4);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/%064x.hs", dir, 5);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	sl_shards_destroy(s);
	dir_remove();
	sl_slot_map_fini(&map);
}

static void
a_directory_that_cannot_be_used_is_told_and_done_without(void)
{
	struct sl_shards_conf conf = {.program = SL_COMPILE, .dir = "/proc/nothing/here"};
	struct sl_pattern a = pattern("a", SL_COND_REGEX, false);
	struct sl_diag diag = {0};
	struct sl_shards *s;

	CU_ASSERT_EQUAL_FATAL(sl_shards_create(&conf, &diag, &s), 0);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	const struct sl_shard *shard = make(s, &a, 1, NULL);
	CU_ASSERT_PTR_NOT_NULL(shard);
	sl_shard_unref(shard);
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

/* ---- too much ---- */

/* Alone it takes Hyperscan the better part of a minute. */
#define HEAVY "(a(b|c){0,100}){0,200}d"

enum { MANY = 1000 };
static char many_text[MANY][48];
static struct sl_pattern many[MANY];

static void
many_fill(unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		snprintf(many_text[i], sizeof(many_text[i]), "/api/v1/svc%04u/[a-z]+/[0-9]+", i);
		many[i] = pattern(many_text[i], SL_COND_REGEX, false);
	}
}

static bool
told(const struct sl_diag *diag, const char *part)
{
	for (unsigned i = 0; i < diag->cnt; i++)
		if (strstr(diag->items[i].text, part))
			return true;
	for (unsigned i = 0; i < diag->cnt; i++)
		printf("\n  told: %s", diag->items[i].text);
	printf("\n  not told: %s", part);
	return false;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
a_pattern_that_takes_too_long_is_named(void)
{
	struct sl_conf_hroute route = {.name = "canary"};
	struct sl_conf_cond cond = {.line = 17};
	struct sl_pattern p[] = {
		pattern(HEAVY, SL_COND_REGEX, false),
		pattern("good", SL_COND_REGEX, false),
	};
	struct sl_shards_conf conf = {.program = SL_COMPILE, .deadline_ms = 600};
	struct sl_shards *s = open_with(&conf);
	struct sl_diag diag = {0};
	double start = now_s();

	p[0].route = &route;
	p[0].cond = &cond;
	CU_ASSERT_PTR_NULL(make(s, p, 2, &diag));
	CU_ASSERT(now_s() - start < 15);
	CU_ASSERT(told(&diag, "regex of route edge/shop/canary: path: \"" HEAVY "\": takes more"));
	CU_ASSERT_EQUAL(diag.cnt, 1);
	CU_ASSERT(diag.cnt && diag.items[0].line == 17);
	sl_diag_fini(&diag);

	/* Nothing of it is left: the next run goes well. */
	const struct sl_shard *shard = make(s, &p[1], 1, &diag);
	CU_ASSERT_PTR_NOT_NULL(shard);
	sl_shard_unref(shard);
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

static void
a_set_that_is_too_much_only_together_is_named_as_one(void)
{
	struct sl_shards_conf conf = {.program = SL_COMPILE, .deadline_ms = 800};
	struct sl_shards *s = open_with(&conf);
	struct sl_diag diag = {0};

	many_fill(MANY);
	CU_ASSERT_PTR_NULL(make(s, many, MANY, &diag));
	CU_ASSERT(told(&diag, "the 1000 regex and contains conditions of host edge/shop, path, are "
			      "too much together"));
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

/* A sanitizer maps what it likes: then there is no limit. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define LIMITED false
#else
#define LIMITED true
#endif

static void
memory_that_runs_out_refuses_the_push(void)
{
	if (!LIMITED)
		return;
	struct sl_shards_conf conf = {.program = SL_COMPILE, .memory_mb = 22};
	struct sl_shards *s = open_with(&conf);
	struct sl_diag diag = {0};

	many_fill(MANY);
	CU_ASSERT_PTR_NULL(make(s, many, MANY, &diag));
	CU_ASSERT(told(&diag, "together: Unable to allocate memory"));
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

static void
a_missing_program_is_told_once(void)
{
	struct sl_pattern a = pattern("a", SL_COND_REGEX, false),
			  b = pattern("b", SL_COND_REGEX, false);
	struct sl_shards_conf conf = {.program = "/nowhere/sluice-compile"};
	struct sl_shards *s = open_with(&conf);
	const struct sl_shard *shard;
	struct sl_diag diag = {0};
	struct sl_shards_run r;

	sl_shards_begin(&r, s, &diag);
	CU_ASSERT_EQUAL(sl_shards_make(&r, &path_of_shop, &a, 1, &shard), -22);
	CU_ASSERT_EQUAL(sl_shards_make(&r, &path_of_shop, &b, 1, &shard), -22);
	sl_shards_end(&r);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	CU_ASSERT(told(&diag, "No such file"));
	CU_ASSERT_STRING_EQUAL(diag.items[0].file, "/nowhere/sluice-compile");
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

static void *
stop_soon(void *arg)
{
	/* Not a wait for anything: before or within the compilation, the end must be the same. */
	usleep(50000);
	sl_shards_stop(arg);
	return NULL;
}

static void
stop_ends_what_is_being_compiled(void)
{
	struct sl_pattern p = pattern(HEAVY, SL_COND_REGEX, false);
	struct sl_shards *s = open_with(&(struct sl_shards_conf){.program = SL_COMPILE});
	struct sl_diag diag = {0};
	pthread_t t;
	double start = now_s();

	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, stop_soon, s), 0);
	CU_ASSERT_PTR_NULL(make(s, &p, 1, &diag));
	CU_ASSERT(now_s() - start < 5); /* of the minute that a run has */
	CU_ASSERT(told(&diag, "sluiced is ending"));
	pthread_join(t, NULL);
	sl_diag_fini(&diag);
	sl_shards_destroy(s);
}

/* ---- bases ---- */

static void
a_rebase_counts_for_the_base_it_was_made_from(void)
{
	struct sl_shard_key a = {{1}}, b = {{2}}, c = {{3}}, got;
	struct sl_shards *s = open_with(&(struct sl_shards_conf){.program = SL_COMPILE});
	struct sl_slot_map map;

	sl_slot_map_init(&map);
	CU_ASSERT_EQUAL(sl_shards_rebase(s, "edge/shop/path", &a, &b), 0);
	got = sl_shards_base(s, "edge/shop/path", &a);
	CU_ASSERT_EQUAL(got.b[0], 2);
	got = sl_shards_base(s, "edge/shop/path", &c);
	CU_ASSERT_EQUAL(got.b[0], 3);
	got = sl_shards_base(s, "edge/any/path", &a);
	CU_ASSERT_EQUAL(got.b[0], 1);
	sl_slot_base_add(&map, "edge/shop/path", &a);
	sl_shards_trim(s, &map); /* still the base: it stays */
	got = sl_shards_base(s, "edge/shop/path", &a);
	CU_ASSERT_EQUAL(got.b[0], 2);
	map.bases[0].key = b;
	sl_shards_trim(s, &map); /* used: it goes */
	got = sl_shards_base(s, "edge/shop/path", &a);
	CU_ASSERT_EQUAL(got.b[0], 1);
	sl_slot_map_fini(&map);
	sl_shards_destroy(s);
}

SL_SUITE("shards", SL_TEST(patterns_mean_what_they_say), SL_TEST(ids_are_places),
	 SL_TEST(a_restart_compiles_nothing), SL_TEST(a_file_that_is_not_whole_is_made_again),
	 SL_TEST(what_nobody_asks_for_leaves_memory_and_comes_back_from_disk),
	 SL_TEST(old_files_are_pruned_and_those_in_use_are_not),
	 SL_TEST(a_directory_that_cannot_be_used_is_told_and_done_without),
	 SL_TEST(a_pattern_that_takes_too_long_is_named),
	 SL_TEST(a_set_that_is_too_much_only_together_is_named_as_one),
	 SL_TEST(memory_that_runs_out_refuses_the_push), SL_TEST(a_missing_program_is_told_once),
	 SL_TEST(stop_ends_what_is_being_compiled),
	 SL_TEST(a_rebase_counts_for_the_base_it_was_made_from))

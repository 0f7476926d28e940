/* The YAML reader: what files mean, and what is refused: each with its line. */
#include "mgmt/import_yaml.h"
#include "mgmt/import_words.h"

#include "suite.h"

static struct sl_memory m;
static struct sl_diag diag;
static struct sl_yaml *docs;

static int
read_text(const char *text, size_t len)
{
	docs = NULL;
	return sl_yaml_read(&m, "f.yaml", text, len, &diag, &docs);
}

static void
done(void)
{
	sl_memory_fini(&m);
	sl_diag_fini(&diag);
	diag = (struct sl_diag){0};
}

static void
values_are_what_was_written(void)
{
	static const char text[] =
		"# c\na: 1\nb: \"null\"\nc: ~\nd: [x, {e: f}]\n---\n{\"j\": [true]}\n---\n";
	int64_t n;
	bool yes;

	CU_ASSERT_EQUAL_FATAL(read_text(text, strlen(text)), 0);
	CU_ASSERT_TRUE(sl_yaml_number(sl_yaml_get(docs, "a"), 0, 9, &n) && n == 1);
	CU_ASSERT_STRING_EQUAL(sl_yaml_get_text(docs, "b"), "null");
	CU_ASSERT_PTR_NULL(sl_yaml_get(docs, "c"));
	struct sl_yaml *d = sl_yaml_get(docs, "d");
	CU_ASSERT_EQUAL(d->cnt, 2);
	CU_ASSERT_EQUAL(d->line, 5);
	CU_ASSERT_FALSE(d->last->used);
	CU_ASSERT_PTR_NOT_NULL_FATAL(docs->next);
	CU_ASSERT_TRUE(sl_yaml_bool(sl_yaml_get(docs->next, "j")->first, &yes) && yes);
	CU_ASSERT_PTR_NULL(docs->next->next);
	done();
}

static void
aliases_are_copies(void)
{
	static const char text[] =
		"a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\nd: {<<: [{r: 4}, *x]}\n";

	CU_ASSERT_EQUAL_FATAL(read_text(text, strlen(text)), 0);
	sl_yaml_use(sl_yaml_get(docs, "b"));
	CU_ASSERT_FALSE(sl_yaml_peek(sl_yaml_peek(docs, "a"), "p")->used);
	CU_ASSERT_STRING_EQUAL(sl_yaml_peek_text(sl_yaml_peek(docs, "c"), "q"), "3");
	CU_ASSERT_STRING_EQUAL(sl_yaml_peek_text(sl_yaml_peek(docs, "c"), "p"), "1");
	CU_ASSERT_PTR_NULL(sl_yaml_peek(sl_yaml_peek(docs, "c"), "<<"));
	CU_ASSERT_STRING_EQUAL(sl_yaml_peek_text(sl_yaml_peek(docs, "d"), "r"), "4");
	CU_ASSERT_STRING_EQUAL(sl_yaml_peek_text(sl_yaml_peek(docs, "d"), "q"), "2");
	done();
}

static void
refused(const char *text, size_t len, int line, const char *words)
{
	CU_ASSERT_NOT_EQUAL(read_text(text, len), 0);
	CU_ASSERT_PTR_NULL(docs);
	CU_ASSERT_EQUAL_FATAL(diag.cnt, 1);
	bool good = strstr(diag.items[0].text, words) && diag.items[0].line == line;
	if (!good)
		printf("\nwanted line %d, %s; got line %d, %s\n", line, words, diag.items[0].line,
		       diag.items[0].text);
	CU_ASSERT_TRUE(good);
	done();
}

static void
what_is_no_yaml_is_refused(void)
{
	static const struct {
		const char *text;
		int line;
		const char *words;
	} rows[] = {
		{"a: 1\nb: [", 3, "is not YAML"},
		{"a: 1\na: 2\n", 2, "the key \"a\" stands twice"},
		{"a: &x [*x]\n", 1, "stands within its anchor"},
		{"a: *y\n", 1, "no anchor \"y\""},
		{"{[1]: 2}\n", 1, "a key that is no text"},
		{"a: \"x\\0y\"\n", 1, "a NUL byte"},
		{"a: 1\nb: \xff\xfe\n", 2, "is no text"},
		{"a: {<<: 5}\n", 1, "the merge key << has no map"},
		{"a: %x\n", 1, "is not YAML"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(rows[i].text, strlen(rows[i].text), rows[i].line, rows[i].words);
}

/* Nine lines that stand for 9^9 values. */
static void
aliases_of_aliases_are_bounded(void)
{
	char text[1024];
	size_t n = (size_t)sprintf(text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");

	for (int i = 1; i < 9; i++)
		n += (size_t)sprintf(
			text + n, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
			i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	CU_ASSERT_NOT_EQUAL(read_text(text, n), 0);
	CU_ASSERT_TRUE(diag.cnt && strstr(diag.items[0].text, "more than 1048576 values"));
	done();
}

/* Copies count: a list of 1,023 and 1,022 copies of it are 1,047,553 values, one copy more is over the limit. */
static void
values_are_counted_with_copies(void)
{
	char *text = malloc(65536);
	size_t n = (size_t)sprintf(text, "- &a [x");

	for (int i = 1; i < 1023; i++)
		n += (size_t)sprintf(text + n, ",x");
	n += (size_t)sprintf(text + n, "]\n");
	for (int i = 1; i < 1023; i++)
		n += (size_t)sprintf(text + n, "- *a\n");
	CU_ASSERT_EQUAL(read_text(text, n), 0);
	done();
	n += (size_t)sprintf(text + n, "- *a\n");
	CU_ASSERT_NOT_EQUAL(read_text(text, n), 0);
	CU_ASSERT_TRUE(diag.cnt && strstr(diag.items[0].text, "more than 1048576 values"));
	done();
	free(text);
}

/* Depth that no line shows: each anchor holds the one before. */
static void
depth_counts_through_aliases(void)
{
	char text[8192];
	size_t n = (size_t)sprintf(text, "a0: &a0 [x]\n");

	for (int i = 1; i < 80; i++)
		n += (size_t)sprintf(text + n, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	CU_ASSERT_NOT_EQUAL(read_text(text, n), 0);
	CU_ASSERT_TRUE(diag.cnt && strstr(diag.items[0].text, "nested more than 64 deep"));
	done();
}

static void
limits_are_refused_with_words(void)
{
	size_t big = (SL_YAML_BYTES) + 1, n = 0;
	char *text = malloc(big);

	memset(text, '[', 100);
	refused(text, 100, 1, "nested more than 64 deep");
	for (int i = 0; i <= SL_YAML_MEMBERS; i++)
		n += (size_t)sprintf(text + n, "k%d: 1\n", i);
	refused(text, n, SL_YAML_MEMBERS + 1, "a map of more than 1024 keys");
	n = 0;
	for (int i = 0; i <= SL_YAML_ANCHORS; i++)
		n += (size_t)sprintf(text + n, "- &a%d x\n", i);
	refused(text, n, SL_YAML_ANCHORS + 1, "more than 256 anchors");
	memset(text, ' ', big);
	refused(text, big, 0, "is longer than 16 MB");
	free(text);
}

static void
words_are_what_tables_take(void)
{
	uint64_t ms;

	CU_ASSERT_TRUE(sl_words_duration("1h1m1.5s", &ms) && ms == 3661500);
	CU_ASSERT_TRUE(sl_words_duration("1us", &ms) && ms == 1);
	CU_ASSERT_TRUE(sl_words_duration("0s", &ms) && ms == 0);
	CU_ASSERT_FALSE(sl_words_duration("", &ms));
	CU_ASSERT_FALSE(sl_words_duration("5", &ms));
	CU_ASSERT_FALSE(sl_words_duration("-5s", &ms));
	CU_ASSERT_FALSE(sl_words_duration("1.2.3s", &ms));
	CU_ASSERT_FALSE(sl_words_duration("99999999999h", &ms));
	CU_ASSERT_STRING_EQUAL(sl_words_time(&m, 1500), "1500ms");
	CU_ASSERT_STRING_EQUAL(sl_words_percent(&m, "12.50000"), "12.5");
	CU_ASSERT_STRING_EQUAL(sl_words_percent(&m, "100"), "100");
	CU_ASSERT_PTR_NULL(sl_words_percent(&m, "101"));
	CU_ASSERT_PTR_NULL(sl_words_percent(&m, "nan"));
	CU_ASSERT_STRING_EQUAL(sl_words_name(&m, "*.a/b"), "x.a-b");
	const char *longer = sl_words_name(
		&m, "a-name-that-is-much-longer-than-any-name-of-a-table-may-be-indeed");
	CU_ASSERT_EQUAL(strlen(longer), 63);
	CU_ASSERT_PTR_NULL(sl_words_base64(&m, "a*b"));
	CU_ASSERT_PTR_NULL(sl_words_base64(&m, "AAAA"));
	CU_ASSERT_STRING_EQUAL(sl_words_escape(&m, "/a.b{c}"), "/a\\.b\\{c\\}");
	done();
}

SL_SUITE("import_yaml", SL_TEST(values_are_what_was_written), SL_TEST(aliases_are_copies),
	 SL_TEST(what_is_no_yaml_is_refused), SL_TEST(aliases_of_aliases_are_bounded),
	 SL_TEST(values_are_counted_with_copies), SL_TEST(depth_counts_through_aliases),
	 SL_TEST(limits_are_refused_with_words), SL_TEST(words_are_what_tables_take))

/* The tree of a text, against libconfig's: what it takes is taken as the same tree, what it refuses is refused. */
#include "mgmt/conf_tree.h"

#include <libconfig.h>

#include "files.h"
#include "mgmt/conf_scan.h"

const char *__lsan_default_suppressions(void);

/* libconfig loses the string it looks at on a syntax error. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

/* ---- two trees ---- */

static bool
same_type(int theirs, int ours)
{
	switch (theirs) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return ours == SL_NODE_INT;
	case CONFIG_TYPE_FLOAT:
		return ours == SL_NODE_FLOAT;
	case CONFIG_TYPE_BOOL:
		return ours == SL_NODE_BOOL;
	case CONFIG_TYPE_STRING:
		return ours == SL_NODE_STRING;
	case CONFIG_TYPE_GROUP:
		return ours == SL_NODE_GROUP;
	case CONFIG_TYPE_ARRAY:
		return ours == SL_NODE_ARRAY;
	case CONFIG_TYPE_LIST:
		return ours == SL_NODE_LIST;
	}
	return false;
}

/* libconfig wraps what does not fit 32 bits without an L, or 64 with one. */
static bool
same_number(const config_setting_t *theirs, const struct sl_node *ours)
{
	if (ours->wide)
		return true;
	if (config_setting_type(theirs) == CONFIG_TYPE_INT64)
		return config_setting_get_int64(theirs) == ours->number;
	return config_setting_get_int(theirs) == (int32_t)ours->number;
}

static bool
same_tree(const config_setting_t *theirs, const struct sl_node *ours)
{
	const char *name = config_setting_name(theirs);

	if (!same_type(config_setting_type(theirs), ours->type))
		return false;
	if (name ? !ours->name || strcmp(name, ours->name) : ours->name != NULL)
		return false;
	if (name && (int)config_setting_source_line(theirs) != ours->line)
		return false;
	if (ours->type == SL_NODE_STRING)
		return strcmp(config_setting_get_string(theirs), ours->text) == 0;
	if (ours->type == SL_NODE_BOOL)
		return config_setting_get_bool(theirs) == (int)ours->number;
	if (ours->type == SL_NODE_INT)
		return same_number(theirs, ours);
	if (ours->type == SL_NODE_FLOAT)
		return true;
	unsigned n = (unsigned)config_setting_length(theirs), i = 0;
	const struct sl_node *e = ours->first;
	for (; e && i < n; i++, e = e->next)
		if (!same_tree(config_setting_get_elem((config_setting_t *)(uintptr_t)theirs, i),
			       e))
			return false;
	return !e && i == n && n == ours->cnt;
}

enum verdict { SAME, REFUSED, OTHER };
static enum verdict
compare(const char *text)
{
	struct sl_tree t;
	config_t c;

	config_init(&c);
	int theirs = config_read_string(&c, text);
	int ours = sl_tree_parse(text, strlen(text), &t) == 0;
	/* Integers with and without L: two types there. */
	bool types = !theirs && strstr(config_error_text(&c), "mismatched element");
	enum verdict v = !theirs && (!ours || types)                   ? REFUSED
			 : theirs != ours                              ? OTHER
			 : same_tree(config_root_setting(&c), &t.root) ? SAME
								       : OTHER;
	config_destroy(&c);
	sl_tree_fini(&t);
	return v;
}

static void
texts_of_all_kinds_make_the_trees_of_libconfig(void)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"", true},
		{" \n\t\r\f", true},
		{"a = 1;", true},
		{"a : 1, b = 2 c = 3", true},
		{"a = 1;;", false},
		{"a = 1, , b = 2", false},
		{"= 1", false},
		{"a 1", false},
		{"a =", false},
		{"a = 1; a = 2;", false},
		{"a = 1; A = 2;", true},
		{"a = { b = 1; }; b = { b = 1; };", true},
		{"a = true; b = FALSE; c = True", true},
		{"a = truex", false},
		{"true = 1", false},
		{"a = 12L; b = 12LL; c = 0xffL; d = 0XFF; e = -5; f = +5; g = 007", true},
		{"a = 0x", false},
		{"a = -0x10", false},
		{"a = 1.5; b = .5; c = 1.; d = -1.5e10; e = 1.e+3", true},
		{"a = 12 x", false},
		{"a = 12x = 5", true},
		{"a = \"\"; b = \"x\" \"y\"\n\"z\"; c = 1", true},
		{"a = \"\\n\\r\\t\\f\\\\\\\"\\x41\\X7e\\q\\x4\\x\"", true},
		{"a = \"two\nlines\"; b = 1", true},
		{"a = \"open", false},
		{"a = \"open\\\"", false},
		{"a = ( 1, \"x\", true, 1.5, ( ), [ ], { } )", true},
		{"a = ( 1, 2, )", false},
		{"a = ( 1 2 )", false},
		{"a = ( , )", false},
		{"a = ( 1, , 2 )", false},
		{"a = ()", true},
		{"a = [ 1, 2, 3 ]; b = [ \"x\", \"y\" \"z\" ]; c = [ true, false ]", true},
		{"a = [ 1, \"x\" ]", false},
		{"a = [ 1, 1.5 ]", false},
		{"a = [ \"x\", ]", false},
		{"a = [ ( 1 ) ]", false},
		{"a = [ { } ]", false},
		{"a = ( 1 ]", false},
		{"a = { b = 1 }", true},
		{"a = { b = 1", false},
		{"a = { b = { c = ( { d = [ 1 ] } ) } };", true},
		{"}", false},
		{"a = 1 }", false},
		{"# comment\na = 1 // more\n/* and\nmore */ b = 2\n", true},
		{"a /* x */ = /* y */ 1 /* z */ ;", true},
		{"a# x\n= 1", true},
		{"a = / 1", false},
		{"a = 1 @ b = 2", false},
		{"a-b_c*d = 1; *x = 2", true},
		{"1a = 2", false},
		{"_a = 2", false},
		{"-a = 2", false},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		enum verdict v = compare(rows[i].text);
		if (v != (rows[i].good ? SAME : REFUSED))
			printf("\n  %s: %s", rows[i].text,
			       v == SAME    ? "taken"
			       : v == OTHER ? "other"
					    : "refused");
		CU_ASSERT_EQUAL(v, rows[i].good ? SAME : REFUSED);
	}
}

static unsigned files;

static void
compare_file(const char *path, const char *stem)
{
	size_t len;
	char *text = file_read(path, &len);
	struct sl_diag diag = {0};

	if (sl_scan_text(stem, text, len, &diag) == 0) {
		if (compare(text) == OTHER)
			printf("\n  %s", path);
		CU_ASSERT_NOT_EQUAL(compare(text), OTHER);
		files++;
	}
	sl_diag_fini(&diag);
	free(text);
}

static void
golden_files_make_the_trees_of_libconfig(void)
{
	golden_each(SL_GOLDEN, compare_file);
	golden_each(SL_GOLDEN "/http", compare_file);
	golden_each(SL_GOLDEN "/bad", compare_file);
	CU_ASSERT(files >= 20);
}

/* ---- random texts ---- */

static uint64_t state = 7;

static uint32_t
draw(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % n;
}

static char *
put_value(char *at, unsigned depth)
{
	static const char *const scalars[] = {
		"1",    "-7",    "0x1F",          "12L",         "1.5",  "true",
		"\"\"", "\"a\"", "\"\\x41\\\"\"", "\"a\" \"b\"", "false"};
	unsigned kind = depth ? draw(6) : 0, n = draw(4);

	if (kind < 3)
		return at + sprintf(at, "%s", scalars[draw(SL_ARRAY_CNT(scalars))]);
	at += sprintf(at, "%s", kind == 3 ? "{ " : kind == 4 ? "( " : "[ ");
	const char *same = scalars[draw(SL_ARRAY_CNT(scalars))];
	for (unsigned i = 0; i < n; i++) {
		if (kind == 3) {
			at += sprintf(at, "%c%u = ", 'a' + (int)draw(26), i);
			at = put_value(at, depth - 1);
			at += sprintf(at, "%s", draw(2) ? "; " : draw(2) ? ", " : " ");
		} else if (kind == 4) {
			at = put_value(at, depth - 1);
			at += sprintf(at, "%s", i + 1 < n ? ", " : " ");
		} else {
			at += sprintf(at, "%s%s", same, i + 1 < n ? ", " : " ");
		}
		if (!draw(8))
			at += sprintf(at, "%s", draw(2) ? "# x\n" : "/* \n */");
	}
	return at + sprintf(at, "%s", kind == 3 ? "}" : kind == 4 ? ")" : "]");
}

/* Good ones, and the same with one character changed, taken out or put in. */
static void
random_texts_make_the_trees_of_libconfig(void)
{
	static const char odd[] = "={}()[];,:\"\\ \n#/*.+-0x1Lae@";
	static char text[1 << 16];
	unsigned verdicts[3] = {0};

	for (unsigned i = 0; i < 20000; i++) {
		char *end = text + sprintf(text, "a = ");
		end = put_value(end, 4);
		end += sprintf(end, "; b = 1\n");
		if (i % 4) {
			size_t len = (size_t)(end - text), at = draw((uint32_t)len);
			unsigned how = draw(3);
			if (how == 1)
				memmove(text + at, text + at + 1, len - at);
			else if (how == 2)
				memmove(text + at + 1, text + at, len + 1 - at);
			if (how != 1)
				text[at] = odd[draw(sizeof(odd) - 1)];
			strcat(text, "\n");
		}
		if (sl_scan_text("t", text, strlen(text), NULL))
			continue;
		enum verdict v = compare(text);
		verdicts[v]++;
		if (v == OTHER)
			printf("\n  %s", text);
	}
	CU_ASSERT_EQUAL(verdicts[OTHER], 0);
	CU_ASSERT(verdicts[SAME] > 5000 && verdicts[REFUSED] > 1000);
}

static void
an_integer_that_does_not_fit_is_marked(void)
{
	static const struct {
		const char *text;
		bool wide;
		int64_t number;
	} rows[] = {{"4294967296", false, 4294967296},
		    {"9223372036854775807", false, INT64_MAX},
		    {"9223372036854775808", true, 0},
		    {"-9223372036854775808", false, INT64_MIN},
		    {"-9223372036854775809", true, 0},
		    {"99999999999999999999", true, 0},
		    {"0x7fffffffffffffff", false, INT64_MAX},
		    {"0x8000000000000000", true, 0},
		    {"0x1ffffffff", false, 0x1ffffffff},
		    {"000000000000000000000000000000000000001", false, 1}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char text[80];
		struct sl_tree t;
		int n = sprintf(text, "a = %s;", rows[i].text);
		CU_ASSERT_EQUAL_FATAL(sl_tree_parse(text, (size_t)n, &t), 0);
		CU_ASSERT_EQUAL(t.root.first->wide, rows[i].wide);
		CU_ASSERT_EQUAL(t.root.first->number, rows[i].number);
		CU_ASSERT_EQUAL(t.root.first->cnt, strlen(rows[i].text));
		sl_tree_fini(&t);
	}
}

SL_SUITE("conf_tree", SL_TEST(texts_of_all_kinds_make_the_trees_of_libconfig),
	 SL_TEST(golden_files_make_the_trees_of_libconfig),
	 SL_TEST(random_texts_make_the_trees_of_libconfig),
	 SL_TEST(an_integer_that_does_not_fit_is_marked))

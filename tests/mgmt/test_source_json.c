/* source_json — texts within bounds. */
#include "mgmt/source.h"

#include "tests/suite.h"

#include <jansson.h>

static char buf[512];

static void
metadata_that_does_not_fit_is_refused(void)
{
	struct sl_source_endpoint got;
	char text[2000];
	int n = sprintf(text, "{\"address\": \"192.0.2.1\", \"metadata\": {\"k\": \"");

	memset(text + n, 'v', 1500);
	strcpy(text + n + 1500, "\"}}");
	json_t *j = json_loads(text, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	CU_ASSERT_PTR_NOT_NULL(sl_source_endpoint_json(j, &got, buf, sizeof(buf)));
	json_decref(j);
	CU_ASSERT_STRING_EQUAL(buf, "metadata: \"k\" is too long, or has a = in its name");
}

/* ---- texts ---- */

static const char *
text_is(const char *text, size_t len)
{
	uint8_t *guarded = guard_buf(len);

	memcpy(guarded, text, len);
	json_t *j = sl_source_json((const char *)guarded, len, buf, sizeof(buf));
	guard_free(guarded, len);
	if (!j)
		return buf;
	json_decref(j);
	return NULL;
}

/* n times the piece between head and tail. */
static const char *
many(const char *head, const char *piece, size_t n, const char *tail)
{
	size_t len = strlen(piece), at = strlen(head);
	char *text = malloc(at + n * len + strlen(tail) + 1);

	strcpy(text, head);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(text + at, piece, len);
	strcpy(text + at, tail);
	const char *why = text_is(text, strlen(text));
	free(text);
	return why;
}

static void
texts_are_bounded(void)
{
	CU_ASSERT_PTR_NULL(many("", "[", 32, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
	CU_ASSERT_STRING_EQUAL(many("", "[", 33, ""), "is nested more than 32 levels deep");
	CU_ASSERT_STRING_EQUAL(many("", "[", 4u << 20, ""), "is nested more than 32 levels deep");
	CU_ASSERT_STRING_EQUAL(many("", "{\"a\":", 1u << 20, ""),
			       "is nested more than 32 levels deep");
	CU_ASSERT_PTR_NULL(many("[\"", "[", 40, "\"]"));
	CU_ASSERT_PTR_NULL(many("[\"\\\"", "[", 40, "\\\\\"]"));
	CU_ASSERT_PTR_NULL(many("[", "{},", (1u << 18) - 2, "1]"));
	CU_ASSERT_STRING_EQUAL(many("[", "{},", 1u << 18, "1]"),
			       "has more values than any answer needs");
	CU_ASSERT_STRING_EQUAL(many("[", "1,", (1u << 20) + 1, "1]"),
			       "has more values than any answer needs");
	CU_ASSERT_STRING_EQUAL(many("[\"", "x", SL_SOURCE_JSON_BYTES, "\"]"),
			       "is longer than 8 MB");
}

static void
what_is_no_json_is_said(void)
{
	CU_ASSERT_STRING_EQUAL(text_is("", 0), "is empty");
	CU_ASSERT(strncmp(text_is("[1,", 3), "is not JSON: line 1, column 3: ", 31) == 0);
	CU_ASSERT(strncmp(text_is("{\"a\":1,\"a\":2}", 13), "is not JSON: ", 13) == 0);
	CU_ASSERT(strncmp(text_is("[1]x", 4), "is not JSON: ", 13) == 0);
	CU_ASSERT(strncmp(text_is("[\"\\u0000\"]", 10), "is not JSON: ", 13) == 0);
	CU_ASSERT(strncmp(text_is("\"a\0b\"", 5), "is not JSON: ", 13) == 0);
	for (const char *p = text_is("[\xff\n\x01]", 5); *p; p++)
		CU_ASSERT(*p >= ' ' && *p < 127);
}

/* Whatever stands in a file that is being written is no answer. */
static void
no_beginning_of_a_list_is_a_list(void)
{
	static const char whole[] =
		"[{\"address\":\"192.0.2.1\",\"port\":80},{\"address\":\"192.0.2.2\"}]";

	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		CU_ASSERT_PTR_NOT_NULL(text_is(whole, n));
	CU_ASSERT_PTR_NULL(text_is(whole, sizeof(whole) - 1));
}

SL_SUITE("source_json", SL_TEST(metadata_that_does_not_fit_is_refused), SL_TEST(texts_are_bounded),
	 SL_TEST(what_is_no_json_is_said), SL_TEST(no_beginning_of_a_list_is_a_list))

#include "mgmt/rate_share_doc.h"
#include "tests/suite.h"

static void
what_is_written_is_read(void)
{
	struct sl_share_doc d = {0}, back;
	char why[200];

	for (unsigned i = SL_SHARE_GATEWAYS; i > 0; i--) {
		struct sl_share_entry *e = sl_share_doc_add(&d, 0xabc000 + i * 7);
		snprintf(e->gateway, sizeof(e->gateway), "gw-%u", i);
		e->share = e->want = SL_SHARE_TOKENS_MAX;
		e->floor = i;
		e->per_ms = SL_SHARE_PER_MS_MAX;
		e->seq = UINT64_MAX >> 2;
	}
	CU_ASSERT_PTR_NULL(sl_share_doc_add(&d, 1));
	char *text = sl_share_doc_write(&d);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_EQUAL(sl_share_doc_read(text, strlen(text), &back, why, sizeof(why)), 0);
	CU_ASSERT(sl_share_doc_equal(&d, &back));
	CU_ASSERT_EQUAL(sl_share_doc_sum(&back), (uint64_t)SL_SHARE_TOKENS_MAX * SL_SHARE_GATEWAYS);
	sl_share_doc_remove(&back, sl_share_doc_find(&back, 0xabc000 + 7));
	CU_ASSERT_EQUAL(back.cnt, SL_SHARE_GATEWAYS - 1);
	CU_ASSERT_PTR_NULL(sl_share_doc_find(&back, 0xabc000 + 7));
	free(text);
}

#define ENTRY(session, share, more)                                                                \
	"{\"session\": \"" session "\", \"gateway\": \"a\", \"share\": " share                     \
	", \"floor\": 0, \"want\": 0, \"per_ms\": 1000" more "}"

static void
nonsense_is_not_read(void)
{
	static const struct {
		const char *text, *why;
	} row[] = {
		{"", "empty"},
		{"7", "JSON"},
		{"{}", "list"},
		{"{\"gateways\": {}}", "list"},
		{"{\"gateways\": [7]}", "session"},
		{"{\"gateways\": [{}]}", "session"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "-1", ", \"seq\": 1") "]}", "share"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "10000001", ", \"seq\": 1") "]}",
		 "share"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "1e9", ", \"seq\": 1") "]}", "share"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "1", "") "]}", "seq"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "1", ", \"seq\": -1") "]}", "seq"},
		{"{\"gateways\": [" ENTRY("0000000000000000", "1", ", \"seq\": 1") "]}", "session"},
		{"{\"gateways\": [" ENTRY("000000000000000G", "1", ", \"seq\": 1") "]}", "session"},
		{"{\"gateways\": [" ENTRY("1", "1", ", \"seq\": 1") "]}", "session"},
		{"{\"gateways\": [" ENTRY("0000000000000001", "1", ", \"seq\": 1") ", " ENTRY(
			 "0000000000000001", "1", ", \"seq\": 1") "]}",
		 "twice"},
	};
	struct sl_share_doc d;
	char why[200];

	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		why[0] = 0;
		CU_ASSERT(sl_share_doc_read(row[i].text, strlen(row[i].text), &d, why,
					    sizeof(why)) != 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, row[i].why));
		if (!strstr(why, row[i].why))
			printf("%s: %s\n", row[i].text, why);
	}
}

SL_SUITE("rate_share_doc", SL_TEST(what_is_written_is_read), SL_TEST(nonsense_is_not_read))

/* dns_answer — messages byte by byte: what is well formed is read, what is not says nothing. */
#include "mgmt/dns_answer.h"

#include "tests/suite.h"

#include <errno.h>

/* ---- a message, piece by piece ---- */

struct message {
	uint8_t b[65536];
	size_t len;
};
static struct message msg;

static void
put(const void *bytes, size_t n)
{
	memcpy(msg.b + msg.len, bytes, n);
	msg.len += n;
}

static void
put16(unsigned v)
{
	put((uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void
put32(uint32_t v)
{
	put16(v >> 16);
	put16(v & 0xffff);
}

/* "web.example": labels; "@12": a pointer. */
static void
put_name(const char *name)
{
	if (*name == '@') {
		put16(0xc000u | (unsigned)atoi(name + 1));
		return;
	}
	while (*name) {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;
		put(&len, 1);
		put(name, n);
		name += n + (name[n] == '.');
	}
	put("", 1);
}

static void
start(unsigned flags, unsigned answers, unsigned more, const char *name, unsigned type)
{
	msg.len = 0;
	put16(7);
	put16(flags);
	put16(1);
	put16(answers);
	put16(0);
	put16(more);
	put_name(name);
	put16(type);
	put16(1);
}

static void
record(const char *owner, unsigned type, uint32_t ttl, const void *data, size_t len)
{
	put_name(owner);
	put16(type);
	put16(1);
	put32(ttl);
	put16((unsigned)len);
	put(data, len);
}

static void
record_name(const char *owner, unsigned type, uint32_t ttl, const char *skip, size_t skip_len,
	    const char *name)
{
	record(owner, type, ttl, skip, skip_len);
	size_t at = msg.len;
	put_name(name);
	size_t len = msg.len - at + skip_len;
	msg.b[at - skip_len - 2] = (uint8_t)(len >> 8);
	msg.b[at - skip_len - 1] = (uint8_t)len;
}

#define A(owner, ttl, d) record(owner, SL_DNS_A, ttl, (uint8_t[]){192, 0, 2, d}, 4)
#define CNAME(owner, ttl, name) record_name(owner, SL_DNS_CNAME, ttl, "", 0, name)
#define SRV(owner, ttl, prio, weight, port, name)                                                  \
	record_name(owner, SL_DNS_SRV, ttl, (char[]){0, prio, 0, weight, 0, port}, 6, name)

static struct sl_dns_answer got;

/* NULL: read; else why not.  The bytes end where a page ends that nobody may touch. */
static const char *
read_answer(const char *name, uint16_t type)
{
	const char *why = NULL;
	uint8_t *guarded = guard_buf(msg.len);

	memcpy(guarded, msg.b, msg.len);
	sl_dns_answer_fini(&got);
	int err = sl_dns_answer_read(guarded, msg.len, name, type, &got, &why);
	guard_free(guarded, msg.len);
	CU_ASSERT((err == 0) == (why == NULL));
	return why;
}

/* "1 2": the last bytes of the addresses. */
static const char *
addrs(void)
{
	static char text[200];
	size_t n = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < got.addr_cnt; i++)
		n += (size_t)sprintf(text + n, "%s%u", i ? " " : "", got.addrs[i].b[15]);
	return text;
}

/* ---- what is well formed ---- */

static void
addresses_are_in_order_and_distinct(void)
{
	start(0x8180, 4, 0, "web.example", SL_DNS_A);
	A("@12", 30, 3);
	A("web.example", 20, 1);
	A("WEB.Example", 40, 3);
	A("other.example", 1, 9);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT_STRING_EQUAL(addrs(), "1 3");
	CU_ASSERT_EQUAL(got.ttl_s, 20);
	CU_ASSERT(!got.no_name);
	CU_ASSERT_PTR_NULL(read_answer("Web.Example.", SL_DNS_A));
}

static void
aliases_are_followed_and_their_ttl_counts(void)
{
	start(0x8180, 4, 0, "www.example", SL_DNS_A);
	A("web.example", 30, 1);
	CNAME("@12", 5, "edge.example");
	CNAME("edge.example", 60, "web.example");
	A("www.example", 3, 7); /* beside an alias nothing else stands */
	CU_ASSERT_PTR_NULL(read_answer("www.example", SL_DNS_A));
	CU_ASSERT_STRING_EQUAL(addrs(), "1");
	CU_ASSERT_EQUAL(got.ttl_s, 5);
}

static void
circles_of_aliases_are_told(void)
{
	start(0x8180, 2, 0, "a.example", SL_DNS_A);
	CNAME("a.example", 5, "b.example");
	CNAME("b.example", 5, "a.example");
	CU_ASSERT_STRING_EQUAL(read_answer("a.example", SL_DNS_A),
			       "its aliases (CNAME) go in a circle, or are more than 16");
}

static void
no_name_and_no_records_are_answers(void)
{
	start(0x8183, 0, 0, "web.example", SL_DNS_A);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT(got.no_name && got.addr_cnt == 0 && got.ttl_s == UINT32_MAX);
	start(0x8180, 0, 0, "web.example", SL_DNS_A);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT(!got.no_name && got.addr_cnt == 0);
	/* a name that does not exist has no addresses, whatever stands there */
	start(0x8183, 1, 0, "web.example", SL_DNS_A);
	A("@12", 30, 3);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT_EQUAL(got.addr_cnt, 0);
}

static void
services_come_with_addresses_of_their_targets(void)
{
	uint32_t cnt;
	uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 5}, low[16] = {[15] = 9};

	start(0x8180, 2, 6, "_web._tcp.example", SL_DNS_SRV);
	SRV("@12", 9, 1, 2, 80, "S1.example");
	SRV("@12", 8, 3, 4, 81, "");
	A("s1.example", 7, 2);
	A("s1.example", 7, 1);
	record("s1.example", SL_DNS_AAAA, 6, six, 16);
	record("s1.example", SL_DNS_AAAA, 6, low, 16);
	A("s1.example", 4, 1);
	A("s2.example", 5, 3);
	CU_ASSERT_PTR_NULL(read_answer("_web._tcp.example", SL_DNS_SRV));
	CU_ASSERT_EQUAL_FATAL(got.srv_cnt, 2);
	CU_ASSERT_STRING_EQUAL(got.srvs[0].target, "s1.example");
	CU_ASSERT(got.srvs[0].priority == 1 && got.srvs[0].weight == 2 && got.srvs[0].port == 80);
	CU_ASSERT_STRING_EQUAL(got.srvs[1].target, "");
	CU_ASSERT_EQUAL(got.ttl_s, 8);
	const struct sl_dns_more *m = sl_dns_answer_more(&got, "s1.example", SL_DNS_A, &cnt);
	CU_ASSERT_FATAL(m && cnt == 2);
	CU_ASSERT(m[0].addr.b[15] == 1 && m[0].ttl_s == 4 && m[1].addr.b[15] == 2);
	m = sl_dns_answer_more(&got, "s1.example", SL_DNS_AAAA, &cnt);
	CU_ASSERT_FATAL(m && cnt == 2);
	CU_ASSERT(m[0].addr.b[15] == 9 && m[1].addr.b[15] == 5);
	CU_ASSERT_PTR_NULL(sl_dns_answer_more(&got, "s2.example", SL_DNS_AAAA, &cnt));
	CU_ASSERT_PTR_NOT_NULL(sl_dns_answer_more(&got, "s2.example", SL_DNS_A, &cnt));
	CU_ASSERT_PTR_NULL(sl_dns_answer_more(&got, "s3.example", SL_DNS_A, &cnt));
	CU_ASSERT_PTR_NULL(sl_dns_answer_more(&got, "a.example", SL_DNS_A, &cnt));
}

static void
what_cannot_be_used_is_counted(void)
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};

	start(0x8180, 2, 0, "_web._tcp.example", SL_DNS_SRV);
	SRV("@12", 9, 1, 2, 80, "s 1.example");
	SRV("@12", 9, 1, 2, 80, "s2.example");
	CU_ASSERT_PTR_NULL(read_answer("_web._tcp.example", SL_DNS_SRV));
	CU_ASSERT(got.srv_cnt == 1 && got.odd == 1);
	start(0x8180, 1, 0, "web.example", SL_DNS_AAAA);
	record("@12", SL_DNS_AAAA, 6, mapped, 16);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_AAAA));
	CU_ASSERT(got.addr_cnt == 0 && got.odd == 1);
}

static void
a_ttl_with_the_top_bit_is_none(void)
{
	start(0x8180, 1, 0, "web.example", SL_DNS_A);
	A("@12", 0x80000000u, 3);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT(got.ttl_s == 0 && got.addr_cnt == 1);
}

/* ---- what is not ---- */

static void
errors_have_names(void)
{
	static const struct {
		unsigned flags;
		const char *why;
	} rows[] = {
		{0x8182, "the server failed (SERVFAIL)"},
		{0x8181, "the server did not understand the question (FORMERR)"},
		{0x8184, "the server does not answer such questions (NOTIMP)"},
		{0x8185, "the server refused to answer (REFUSED)"},
		{0x8187, "the server answered with an error that has no name here"},
		{0x818f, "the server answered with an error that has no name here"},
		{0x8380, "the answer was cut off, and TCP did not mend that"},
		{0x0180, "the answer is not well formed"}, /* a question */
		{0x9180, "the answer is not well formed"}, /* another kind of message */
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		start(rows[i].flags, 1, 0, "web.example", SL_DNS_A);
		A("@12", 30, 3);
		const char *why = read_answer("web.example", SL_DNS_A);
		CU_ASSERT_PTR_NOT_NULL_FATAL(why);
		CU_ASSERT_STRING_EQUAL(why, rows[i].why);
	}
}

static void
answers_to_other_questions_are_none(void)
{
	start(0x8180, 1, 0, "web.example", SL_DNS_A);
	A("@12", 30, 3);
	CU_ASSERT_STRING_EQUAL(read_answer("www.example", SL_DNS_A),
			       "the answer is to another question");
	CU_ASSERT_STRING_EQUAL(read_answer("web.example", SL_DNS_AAAA),
			       "the answer is to another question");
	CU_ASSERT_STRING_EQUAL(read_answer("web.exampl", SL_DNS_A),
			       "the answer is to another question");
}

static void
must_be_bad(const char *name, uint16_t type)
{
	const char *why = read_answer(name, type);

	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_STRING_EQUAL(why, "the answer is not well formed");
}

static void
nothing_that_was_cut_is_read(void)
{
	start(0x8180, 2, 1, "_web._tcp.example", SL_DNS_SRV);
	SRV("@12", 9, 1, 2, 80, "s1.example");
	CNAME("x.example", 1, "y.example");
	A("s1.example", 7, 2);
	CU_ASSERT_PTR_NULL(read_answer("_web._tcp.example", SL_DNS_SRV));
	while (msg.len-- > 0)
		must_be_bad("_web._tcp.example", SL_DNS_SRV);
}

/* The record begins at 31. */
static void
names_lead_backwards_only(void)
{
	static const char *const bad[] = {"@31", "@32", "@40", "@16383"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(bad); i++) {
		start(0x8180, 1, 0, "web.example.x", SL_DNS_A);
		A(bad[i], 30, 3);
		must_be_bad("web.example.x", SL_DNS_A);
	}
	start(0x8180, 2, 0, "web.example.x", SL_DNS_A); /* to and fro */
	A("@45", 30, 3);
	A("@31", 30, 3);
	must_be_bad("web.example.x", SL_DNS_A);
}

static void
names_are_bounded(void)
{
	static const char l63[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	char name[400];

	sprintf(name, "%s.%s.%s.%.61s", l63, l63, l63, l63);
	start(0x8180, 1, 0, name, SL_DNS_A);
	A("@12", 30, 3);
	CU_ASSERT_PTR_NULL(read_answer(name, SL_DNS_A));
	sprintf(name, "%s.%s.%s.%.62s", l63, l63, l63, l63);
	start(0x8180, 1, 0, name, SL_DNS_A);
	A("@12", 30, 3);
	must_be_bad(name, SL_DNS_A);
	/* a label's length with one of the two top bits */
	start(0x8180, 1, 0, "web.example", SL_DNS_A);
	A("web.example", 30, 3);
	msg.b[29] = 0x43;
	must_be_bad("web.example", SL_DNS_A);
}

static void
data_of_another_length_is_refused(void)
{
	start(0x8180, 1, 0, "web.example", SL_DNS_A);
	record("@12", SL_DNS_A, 1, "12345", 5);
	must_be_bad("web.example", SL_DNS_A);
	start(0x8180, 1, 0, "web.example", SL_DNS_AAAA);
	record("@12", SL_DNS_AAAA, 1, "1234", 4);
	must_be_bad("web.example", SL_DNS_AAAA);
	start(0x8180, 1, 0, "web.example", SL_DNS_SRV);
	record("@12", SL_DNS_SRV, 1, "123456", 6);
	must_be_bad("web.example", SL_DNS_SRV);
	start(0x8180, 1, 0, "web.example", SL_DNS_SRV);
	record("@12", SL_DNS_SRV, 1, "123456\1a\0x", 10);
	must_be_bad("web.example", SL_DNS_SRV);
	/* more records announced than there are */
	start(0x8180, 65535, 65535, "web.example", SL_DNS_A);
	A("@12", 30, 3);
	must_be_bad("web.example", SL_DNS_A);
}

/* n pointers, each to the one before, the first to the question; then the address of the name that they lead to. */
static const char *
through(unsigned n)
{
	char last[16] = "@12";

	start(0x8180, 2, 0, "web.example", SL_DNS_A);
	record("@12", 16, 30, "", 0); /* TXT */
	size_t from = msg.len;
	for (unsigned i = 1; i < n; i++) {
		unsigned at = (unsigned)msg.len;
		put_name(last);
		snprintf(last, sizeof(last), "@%u", at);
	}
	size_t len = msg.len - from;
	msg.b[from - 2] = (uint8_t)(len >> 8);
	msg.b[from - 1] = (uint8_t)len;
	A(last, 30, 7);
	return read_answer("web.example", SL_DNS_A);
}

/* Else a message of 64 KB with 3,500 names of 8,000 pointers each takes seconds. */
static void
a_name_has_no_more_pointers_than_it_can_have_labels(void)
{
	CU_ASSERT_PTR_NULL(through(1));
	CU_ASSERT_STRING_EQUAL(addrs(), "7");
	CU_ASSERT_PTR_NULL(through(127));
	CU_ASSERT_STRING_EQUAL(addrs(), "7");
	const char *why = through(128);
	CU_ASSERT_STRING_EQUAL(why ? why : "", "the answer is not well formed");
	why = through(8000);
	CU_ASSERT_STRING_EQUAL(why ? why : "", "the answer is not well formed");
}

static void
thousands_of_records_are_read(void)
{
	start(0x8180, 4000, 0, "web.example", SL_DNS_A);
	for (unsigned i = 0; i < 4000; i++)
		record("@12", SL_DNS_A, 30, (uint8_t[]){10, 1, (uint8_t)(i >> 8), (uint8_t)i}, 4);
	CU_ASSERT_PTR_NULL(read_answer("web.example", SL_DNS_A));
	CU_ASSERT_EQUAL(got.addr_cnt, 4000);
	sl_dns_answer_fini(&got);
}

SL_SUITE("dns_answer", SL_TEST(addresses_are_in_order_and_distinct),
	 SL_TEST(aliases_are_followed_and_their_ttl_counts), SL_TEST(circles_of_aliases_are_told),
	 SL_TEST(no_name_and_no_records_are_answers),
	 SL_TEST(services_come_with_addresses_of_their_targets),
	 SL_TEST(what_cannot_be_used_is_counted), SL_TEST(a_ttl_with_the_top_bit_is_none),
	 SL_TEST(errors_have_names), SL_TEST(answers_to_other_questions_are_none),
	 SL_TEST(nothing_that_was_cut_is_read), SL_TEST(names_lead_backwards_only),
	 SL_TEST(names_are_bounded), SL_TEST(data_of_another_length_is_refused),
	 SL_TEST(a_name_has_no_more_pointers_than_it_can_have_labels),
	 SL_TEST(thousands_of_records_are_read))

/* PROXY headers: each row is tried whole, followed by payload, and cut at every byte, right before a page that must not
 * be touched. */
#include "l7/proxy_protocol.h"
#include "tests/suite.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define ADDRS4 "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
#define SRC6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define DST6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* As HAProxy 2.6 sent it: send-proxy-v2, proxy-v2-options crc32c,unique-id. */
static const uint8_t from_haproxy[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
				       0x54, 0x0a, 0x21, 0x11, 0x00, 0x1e, 0x7f, 0x00, 0x00, 0x01,
				       0x7f, 0x00, 0x00, 0x01, 0xb2, 0xe8, 0xb2, 0x85, 0x03, 0x00,
				       0x04, 0x3f, 0x10, 0x6c, 0xad, 0x05, 0x00, 0x08, 0x69, 0x64,
				       0x2d, 0x34, 0x35, 0x38, 0x30, 0x30};

static int
parse_guarded(const uint8_t *bytes, size_t n, struct sl_proxy_header *ret, const char **ret_why)
{
	uint8_t *g = guard_buf(n ? n : 1);

	if (n)
		memcpy(g + !n, bytes, n);
	int r = sl_proxy_parse(n ? g : g + 1, n, ret, ret_why);
	guard_free(g, n ? n : 1);
	return r;
}

static void
addr_is(const struct sl_addr *a, const char *text)
{
	char got[SL_ADDR_STRLEN];

	CU_ASSERT_STRING_EQUAL(sl_addr_format(a, got), text);
}

struct good {
	const char *what;
	const uint8_t *bytes;
	size_t n;
	unsigned version;
	bool local;
	const char *src, *dst;
	unsigned sport, dport;
};

static void
good_whole(const struct good *g)
{
	struct sl_proxy_header h;
	const char *why = NULL;

	memset(&h, 0xa5, sizeof(h));
	int r = parse_guarded(g->bytes, g->n, &h, &why);
	if (r != (int)g->n)
		fprintf(stderr, "%s: %d (%s)\n", g->what, r, why ? why : "-");
	CU_ASSERT_EQUAL_FATAL(r, (int)g->n);
	CU_ASSERT_EQUAL(h.version, g->version);
	CU_ASSERT_EQUAL(h.local, g->local);
	if (g->local)
		return;
	addr_is(&h.src, g->src);
	addr_is(&h.dst, g->dst);
	CU_ASSERT_EQUAL(sl_from_be16(h.sport), g->sport);
	CU_ASSERT_EQUAL(sl_from_be16(h.dport), g->dport);
}

/* Whatever piece has come, it could still be this header; what comes behind it changes nothing. */
static void
good_split(const struct good *g)
{
	static const uint8_t payload[] = "PROXY \r\n\0\xff payload";
	uint8_t *more = malloc(g->n + sizeof(payload));
	struct sl_proxy_header h, untouched, whole, with;
	const char *why = NULL;

	memset(&untouched, 0xa5, sizeof(untouched));
	for (size_t n = 0; n < g->n; n++) {
		h = untouched;
		CU_ASSERT_EQUAL(parse_guarded(g->bytes, n, &h, &why), SL_PARTIAL);
		CU_ASSERT_EQUAL(memcmp(&h, &untouched, sizeof(h)), 0);
	}
	whole = with = untouched;
	parse_guarded(g->bytes, g->n, &whole, &why);
	memcpy(more, g->bytes, g->n);
	memcpy(more + g->n, payload, sizeof(payload));
	for (size_t n = 0; n <= sizeof(payload); n++)
		CU_ASSERT_EQUAL(parse_guarded(more, g->n + n, &with, &why), (int)g->n);
	CU_ASSERT_EQUAL(memcmp(&whole, &with, sizeof(with)), 0);
	CU_ASSERT_PTR_NULL(why);
	free(more);
}

static const struct good goods[] = {
	{"v1, IPv4", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), 1, false,
	 "192.0.2.1", "198.51.100.7", 56324, 443},
	{"v1, longest IPv4, highest port",
	 BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), 1, false,
	 "255.255.255.255", "255.255.255.255", 65535, 65535},
	{"v1, port 0", BYTES("PROXY TCP4 0.0.0.0 1.0.0.1 0 0\r\n"), 1, false, "0.0.0.0", "1.0.0.1",
	 0, 0},
	{"v1, IPv6", BYTES("PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 1 65535\r\n"), 1, false,
	 "2001:db8::1", "2001:db8::2", 1, 65535},
	{"v1, longest IPv6",
	 BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "65535 65535\r\n"),
	 1, false, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535},
	{"v1, IPv4 as IPv6, in hexadecimal digits",
	 BYTES("PROXY TCP6 ::ffff:c000:201 ::1 9 10\r\n"), 1, false, "192.0.2.1", "::1", 9, 10},
	{"v1, UNKNOWN, short", BYTES("PROXY UNKNOWN\r\n"), 1, true, NULL, NULL, 0, 0},
	{"v1, UNKNOWN, with an empty rest", BYTES("PROXY UNKNOWN \r\n"), 1, true, NULL, NULL, 0, 0},
	{"v1, UNKNOWN, garbage is passed over",
	 BYTES("PROXY UNKNOWN \0\xff TCP4 999.1 :::: -1\r\n"), 1, true, NULL, NULL, 0, 0},
	{"v1, UNKNOWN, 107 bytes",
	 BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "65535 65535\r\n"),
	 1, true, NULL, NULL, 0, 0},
	{"v2, IPv4", BYTES(SIG "\x21\x11\0\x0c" ADDRS4), 2, false, "192.0.2.1", "198.51.100.7",
	 56324, 443},
	{"v2, IPv6", BYTES(SIG "\x21\x21\0\x24" SRC6 DST6 "\0\1\xff\xff"), 2, false, "2001:db8::1",
	 "2001:db8::2", 1, 65535},
	{"v2, v4-mapped in IPv6",
	 BYTES(SIG "\x21\x21\0\x24"
		   "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1" DST6 "\0\0\0\0"),
	 2, false, "192.0.2.1", "2001:db8::2", 0, 0},
	{"v2, LOCAL", BYTES(SIG "\x20\x00\0\0"), 2, true, NULL, NULL, 0, 0},
	{"v2, LOCAL with addresses: passed over", BYTES(SIG "\x20\x11\0\x0c" ADDRS4), 2, true, NULL,
	 NULL, 0, 0},
	{"v2, LOCAL with bytes that are nothing", BYTES(SIG "\x20\xff\0\3\3\xff\xff"), 2, true,
	 NULL, NULL, 0, 0},
	{"v2, AF_UNSPEC", BYTES(SIG "\x21\x00\0\0"), 2, true, NULL, NULL, 0, 0},
	{"v2, AF_UNSPEC with bytes", BYTES(SIG "\x21\x00\0\5\1\2\3\4\5"), 2, true, NULL, NULL, 0,
	 0},
	{"v2, unknown TLVs, empty ones",
	 BYTES(SIG "\x21\x11\0\x17" ADDRS4 "\x01\0\2h2\x04\0\0\xe0\0\0"), 2, false, "192.0.2.1",
	 "198.51.100.7", 56324, 443},
	{"v2, CRC32C as HAProxy makes it", from_haproxy, sizeof(from_haproxy), 2, false,
	 "127.0.0.1", "127.0.0.1", 45800, 45701},
};

static void
headers_are_read(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(goods); i++)
		good_whole(&goods[i]);
}

static void
headers_are_read_whatever_pieces_they_come_in(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(goods); i++)
		good_split(&goods[i]);
}

struct refused {
	const char *reason;
	const uint8_t *bytes;
	size_t n;
};

static const struct refused refused[] = {
	{"another protocol", BYTES("GET / HTTP/1.1\r\n")},
	{"a byte that begins neither", BYTES("\0")},
	{"lower case", BYTES("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"no space behind PROXY", BYTES("PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"two spaces", BYTES("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"a protocol it does not have", BYTES("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"a family it does not have", BYTES("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"nothing", BYTES("PROXY \r\n")},
	{"no addresses", BYTES("PROXY TCP4\r\n")},
	{"UNKNOWN with a tail", BYTES("PROXY UNKNOWNX\r\n")},
	{"IPv6 under TCP4", BYTES("PROXY TCP4 ::1 ::2 1 2\r\n")},
	{"IPv4 under TCP6", BYTES("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n")},
	{"a number too high", BYTES("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n")},
	{"a leading zero in an address", BYTES("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n")},
	{"three numbers", BYTES("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n")},
	{"an address without end", BYTES("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::2 1 2\r\n")},
	{"five digits", BYTES("PROXY TCP6 00001::1 ::2 1 2\r\n")},
	{"two gaps", BYTES("PROXY TCP6 1::2::3 ::2 1 2\r\n")},
	{"a zone", BYTES("PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n")},
	{"NUL in an address", BYTES("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n")},
	{"a port too high", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n")},
	{"a port of six digits", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 100000 2\r\n")},
	{"a port that wraps to 1", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 4294967297 2\r\n")},
	{"a leading zero in a port", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n")},
	{"00", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 00 2\r\n")},
	{"a sign", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n")},
	{"a minus", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 -2\r\n")},
	{"hexadecimal", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 0x2\r\n")},
	{"no port", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n")},
	{"an empty port", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n")},
	{"a space behind the last port", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n")},
	{"one field too many", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n")},
	{"a tab", BYTES("PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n")},
	{"LF alone", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n")},
	{"CR alone", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rG")},
	{"CR CR LF", BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n")},
	{"LF inside UNKNOWN", BYTES("PROXY UNKNOWN a\nb\r\n")},
	{"no CRLF in 107 bytes", BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				       "65535 655350\r\n")},
	{"signature with another byte", BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" ADDRS4)},
	{"version 1", BYTES(SIG "\x11\x11\0\x0c" ADDRS4)},
	{"version 3", BYTES(SIG "\x31\x11\0\x0c" ADDRS4)},
	{"version 0", BYTES(SIG "\x01\x11\0\x0c" ADDRS4)},
	{"a command it does not have", BYTES(SIG "\x22\x11\0\x0c" ADDRS4)},
	{"UDP over IPv4", BYTES(SIG "\x21\x12\0\x0c" ADDRS4)},
	{"UDP over IPv6", BYTES(SIG "\x21\x22\0\x24" SRC6 DST6 "\0\0\0\0")},
	{"UNIX", BYTES(SIG "\x21\x31\0\0")},
	{"a family it does not have", BYTES(SIG "\x21\x41\0\x0c" ADDRS4)},
	{"a protocol it does not have", BYTES(SIG "\x21\x13\0\x0c" ADDRS4)},
	{"IPv4 without protocol", BYTES(SIG "\x21\x10\0\x0c" ADDRS4)},
	{"a length of 0", BYTES(SIG "\x21\x11\0\0" ADDRS4)},
	{"a length one too short", BYTES(SIG "\x21\x11\0\x0b" ADDRS4)},
	{"IPv6 with IPv4's length", BYTES(SIG "\x21\x21\0\x0c" ADDRS4)},
	{"65535, before it has come", BYTES(SIG "\x21\x11\xff\xff" ADDRS4)},
	{"1009: one more than is read", BYTES(SIG "\x21\x11\x03\xf1")},
	{"LOCAL of 65535", BYTES(SIG "\x20\x00\xff\xff")},
	{"one byte of a TLV", BYTES(SIG "\x21\x11\0\x0d" ADDRS4 "\x04")},
	{"two bytes of a TLV", BYTES(SIG "\x21\x11\0\x0e" ADDRS4 "\x04\0")},
	{"a TLV longer than the header", BYTES(SIG "\x21\x11\0\x10" ADDRS4 "\x04\0\2x")},
	{"a TLV of 65535", BYTES(SIG "\x21\x11\0\x10" ADDRS4 "\x04\xff\xffx")},
	{"the second TLV cut", BYTES(SIG "\x21\x11\0\x11" ADDRS4 "\x04\0\0\x04\0")},
	{"a CRC32C of three bytes", BYTES(SIG "\x21\x11\0\x12" ADDRS4 "\x03\0\3abc")},
	{"a CRC32C of five bytes", BYTES(SIG "\x21\x11\0\x14" ADDRS4 "\x03\0\5abcde")},
	{"a wrong CRC32C", BYTES(SIG "\x21\x11\0\x13" ADDRS4 "\x03\0\4abcd")},
	{"a CRC32C of zeros", BYTES(SIG "\x21\x11\0\x13" ADDRS4 "\x03\0\4\0\0\0\0")},
};

/* However much of it has come: refused, or not decided yet, and never taken back. */
static void
what_is_no_header_is_refused(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(refused); i++) {
		struct sl_proxy_header h, untouched;
		const char *why = NULL;
		bool was_bad = false;
		memset(&untouched, 0xa5, sizeof(untouched));
		h = untouched;
		for (size_t n = 0; n <= refused[i].n; n++) {
			int r = parse_guarded(refused[i].bytes, n, &h, &why);
			CU_ASSERT_TRUE(was_bad ? r == SL_BAD : r <= 0);
			was_bad = r == SL_BAD;
		}
		if (!was_bad)
			fprintf(stderr, "not refused: %s\n", refused[i].reason);
		CU_ASSERT_TRUE(was_bad && why != NULL);
		CU_ASSERT_EQUAL(memcmp(&h, &untouched, sizeof(h)), 0);
	}
}

static void
a_header_of_the_largest_size_is_read_and_one_byte_more_is_not(void)
{
	uint8_t bytes[SL_PROXY_MAX + 1] = SIG "\x21\x11";
	struct sl_proxy_header h;
	const char *why;

	memcpy(bytes + 16, ADDRS4, 12);
	bytes[28] = 4; /* NOOP to the end */
	sl_store16(bytes + 14, sl_to_be16(SL_PROXY_MAX - 16));
	sl_store16(bytes + 29, sl_to_be16(SL_PROXY_MAX - 31));
	CU_ASSERT_EQUAL(parse_guarded(bytes, SL_PROXY_MAX, &h, &why), SL_PROXY_MAX);
	CU_ASSERT_EQUAL(parse_guarded(bytes, SL_PROXY_MAX - 1, &h, &why), SL_PARTIAL);
	sl_store16(bytes + 14, sl_to_be16(SL_PROXY_MAX - 15));
	sl_store16(bytes + 29, sl_to_be16(SL_PROXY_MAX - 30));
	CU_ASSERT_EQUAL(parse_guarded(bytes, SL_PROXY_MAX + 1, &h, &why), SL_BAD);
	CU_ASSERT_EQUAL(parse_guarded(bytes, 16, &h, &why), SL_BAD);
}

static void
each_bit_of_a_header_with_a_sum_counts(void)
{
	uint8_t bytes[sizeof(from_haproxy)];
	struct sl_proxy_header h;
	const char *why;

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		memcpy(bytes, from_haproxy, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		int r = parse_guarded(bytes, sizeof(bytes), &h, &why);
		bool local = bit == 12 * 8;                   /* LOCAL: what follows is not read */
		bool longer = bit / 8 == 14 || bit / 8 == 15; /* waits for more */
		bool no_sum = bit / 8 == 28; /* another type of TLV: there is no sum then */
		CU_ASSERT_TRUE(r == SL_BAD || local || longer || no_sum);
	}
}

static void
what_is_written_is_the_specifications_bytes(void)
{
	static const struct {
		const char *what;
		unsigned version;
		const char *src, *dst;
		unsigned sport, dport;
		const uint8_t *bytes;
		size_t n;
	} rows[] = {
		{"v1, IPv4", 1, "192.0.2.1", "198.51.100.7", 56324, 443,
		 BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n")},
		{"v1, ends of the range", 1, "255.255.255.255", "0.0.0.0", 65535, 0,
		 BYTES("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n")},
		{"v1, IPv6", 1, "2001:db8::1", "::", 1, 10,
		 BYTES("PROXY TCP6 2001:db8::1 :: 1 10\r\n")},
		{"v1, mixed", 1, "192.0.2.1", "2001:db8::2", 1, 2,
		 BYTES("PROXY TCP6 ::ffff:c000:0201 2001:db8::2 1 2\r\n")},
		{"v2, IPv4", 2, "192.0.2.1", "198.51.100.7", 56324, 443,
		 BYTES(SIG "\x21\x11\0\x0c" ADDRS4)},
		{"v2, IPv6", 2, "2001:db8::1", "2001:db8::2", 1, 65535,
		 BYTES(SIG "\x21\x21\0\x24" SRC6 DST6 "\0\1\xff\xff")},
		{"v2, mixed", 2, "2001:db8::1", "192.0.2.1", 1, 2,
		 BYTES(SIG "\x21\x21\0\x24" SRC6 "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
			   "\0\1\0\2")},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint8_t *to = guard_buf(SL_PROXY_OUT_MAX);
		struct sl_addr src, dst;
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(rows[i].src, &src), 0);
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(rows[i].dst, &dst), 0);
		unsigned n = sl_proxy_write(to, rows[i].version, &src, sl_to_be16(rows[i].sport),
					    &dst, sl_to_be16(rows[i].dport));
		if (n != rows[i].n || memcmp(to, rows[i].bytes, n) != 0)
			fprintf(stderr, "%s: %.*s\n", rows[i].what, (int)n, to);
		CU_ASSERT_EQUAL(n, rows[i].n);
		CU_ASSERT_EQUAL(memcmp(to, rows[i].bytes, SL_MIN(n, rows[i].n)), 0);
		guard_free(to, SL_PROXY_OUT_MAX);
	}
}

static struct sl_addr
some_addr(uint64_t *x)
{
	struct sl_addr a = {0};

	for (unsigned i = 0; i < 16; i++) {
		*x = *x * 6364136223846793005u + 1442695040888963407u;
		a.b[i] = (*x >> 33) % 3 ? (uint8_t)(*x >> 40) : 0;
	}
	return *x >> 63 ? a : sl_addr_from_v4(a.b);
}

static void
what_is_written_is_read_back(void)
{
	uint64_t x = 1;

	for (unsigned i = 0; i < 20000; i++) {
		struct sl_addr src = some_addr(&x), dst = some_addr(&x);
		sl_be16 sport = (sl_be16)(x >> 20), dport = (sl_be16)(x >> 36);
		uint8_t to[SL_PROXY_OUT_MAX];
		struct sl_proxy_header h;
		const char *why = "";
		unsigned version = 1 + i % 2;
		unsigned n = sl_proxy_write(to, version, &src, sport, &dst, dport);
		CU_ASSERT_EQUAL_FATAL(sl_proxy_parse(to, n, &h, &why), (int)n);
		CU_ASSERT_TRUE(h.version == version && !h.local);
		CU_ASSERT_TRUE(sl_addr_eq(&h.src, &src) && sl_addr_eq(&h.dst, &dst));
		CU_ASSERT_TRUE(h.sport == sport && h.dport == dport);
	}
}

SL_SUITE("proxy_protocol", SL_TEST(headers_are_read),
	 SL_TEST(headers_are_read_whatever_pieces_they_come_in),
	 SL_TEST(what_is_no_header_is_refused),
	 SL_TEST(a_header_of_the_largest_size_is_read_and_one_byte_more_is_not),
	 SL_TEST(each_bit_of_a_header_with_a_sum_counts),
	 SL_TEST(what_is_written_is_the_specifications_bytes),
	 SL_TEST(what_is_written_is_read_back))

#include "sluice/addr.h"

#include <arpa/inet.h>
#include <errno.h>

#include "tests/suite.h"

static struct sl_addr
addr(const char *text)
{
	struct sl_addr a = {0};

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(text, &a), 0);
	return a;
}

static void
parse_takes_addresses_and_nothing_else(void)
{
	static const struct {
		const char *text;
		bool ok;
		const char *reason;
	} rows[] = {
		{"192.0.2.1", true, "IPv4"},
		{"0.0.0.0", true, "unspecified is an address"},
		{"255.255.255.255", true, "broadcast too"},
		{"2001:db8::1", true, "IPv6"},
		{"::", true, "all zero"},
		{"2001:DB8::A", true, "capitals"},
		{"64:ff9b::192.0.2.1", true, "dotted tail"},
		{"2001:0db8:0000::0001", true, "zeros inside a group"},
		{"", false, "empty"},
		{"192.0.2", false, "three parts"},
		{"192.0.2.256", false, "part over 255"},
		{"192.0.02.1", false, "leading zero"},
		{"0x7f.1", false, "hexadecimal"},
		{" 192.0.2.1", false, "space before"},
		{"192.0.2.1 ", false, "space behind"},
		{"192.0.2.1/24", false, "prefix"},
		{"fe80::1%eth0", false, "zone"},
		{"::ffff:192.0.2.1", false, "v4-mapped text"},
		{"::ffff:c000:201", false, "v4-mapped in hexadecimal"},
		{"1::2::3", false, "two gaps"},
		{"12345::", false, "group of five digits"},
		{"1:2:3:4:5:6:7:8:9", false, "nine groups"},
		{"[2001:db8::1]", false, "brackets"},
		{"localhost", false, "name"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a, mark;
		memset(&mark, 0xa5, sizeof(mark));
		a = mark;
		int rc = sl_addr_parse(rows[i].text, &a);
		if (rc != (rows[i].ok ? 0 : -EINVAL))
			printf("  %s (%s): %d\n", rows[i].text, rows[i].reason, rc);
		CU_ASSERT_EQUAL(rc, rows[i].ok ? 0 : -EINVAL);
		if (!rows[i].ok)
			CU_ASSERT_TRUE(sl_addr_eq(&a, &mark));
	}
}

static void
v4_is_kept_as_mapped(void)
{
	struct sl_addr a = addr("192.0.2.1");
	static const uint8_t want[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};

	CU_ASSERT_EQUAL(memcmp(a.b, want, 16), 0);
	CU_ASSERT_TRUE(sl_addr_is_v4(&a));
	a = addr("2001:db8::1");
	CU_ASSERT_FALSE(sl_addr_is_v4(&a));
}

static void
format_is_rfc_5952(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:DB8::00AB", "2001:db8::ab"},
		{"0:0:1::", "0:0:1::"},
		{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
		{"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"::1.2.3.4", "::102:304"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char buf[SL_ADDR_STRLEN];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a = addr(rows[i].in);
		CU_ASSERT_STRING_EQUAL(sl_addr_format(&a, buf), rows[i].out);
	}
}

static void
what_is_printed_is_read_back(void)
{
	uint64_t x = 88172645463325252ull;
	char buf[SL_ADDR_STRLEN], libc[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < 20000; i++) {
		struct sl_addr a, b;
		for (unsigned j = 0; j < 8; j++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			sl_store16(a.b + 2 * j, x & 3 << 20 ? (uint16_t)(x >> 40) : 0);
		}
		sl_addr_format(&a, buf);
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(buf, &b), 0);
		CU_ASSERT_TRUE(sl_addr_eq(&a, &b));
		inet_ntop(AF_INET6, a.b, libc, sizeof(libc));
		if (!strchr(libc, '.'))
			CU_ASSERT_STRING_EQUAL(buf, libc);
	}
}

static void
parse_prefix_says_what_is_wrong(void)
{
	static const struct {
		const char *text;
		int rc;
		unsigned plen;
		const char *reason;
	} rows[] = {
		{"192.0.2.0/24", 0, 120, "IPv4 counts from 96"},
		{"0.0.0.0/0", 0, 96, "IPv4 default"},
		{"192.0.2.1/32", 0, 128, "host"},
		{"2001:db8::/32", 0, 32, "IPv6"},
		{"::/0", 0, 0, "IPv6 default"},
		{"::1/128", 0, 128, "host"},
		{"192.0.2.1/24", -ERANGE, 0, "bits behind"},
		{"2001:db8::1/64", -ERANGE, 0, "bits behind"},
		{"128.0.0.0/0", -ERANGE, 0, "bits behind the default"},
		{"192.0.2.0", -EINVAL, 0, "no length"},
		{"192.0.2.0/", -EINVAL, 0, "empty length"},
		{"192.0.2.0/33", -EINVAL, 0, "too long for IPv4"},
		{"2001:db8::/129", -EINVAL, 0, "too long"},
		{"192.0.2.0/024", -EINVAL, 0, "leading zero"},
		{"192.0.2.0/+24", -EINVAL, 0, "sign"},
		{"192.0.2.0/24 ", -EINVAL, 0, "space"},
		{"192.0.2.0/1000", -EINVAL, 0, "four digits"},
		{"192.0.2.0/2/4", -EINVAL, 0, "two slashes"},
		{"/24", -EINVAL, 0, "no address"},
		{"::ffff:192.0.2.0/120", -EINVAL, 0, "v4-mapped text"},
		{"aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa/1", -EINVAL, 0, "long"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a = {0};
		unsigned plen = 777;
		int rc = sl_addr_parse_prefix(rows[i].text, &a, &plen);
		if (rc != rows[i].rc)
			printf("  %s (%s): %d\n", rows[i].text, rows[i].reason, rc);
		CU_ASSERT_EQUAL(rc, rows[i].rc);
		CU_ASSERT_EQUAL(plen, rc ? 777 : rows[i].plen);
	}
}

static void
in_compares_exactly_plen_bits(void)
{
	struct sl_addr p = addr("2001:db8:5a5a:a5a5:5a5a:a5a5:5a5a:a5a5");

	for (unsigned bit = 0; bit < 128; bit++) {
		struct sl_addr a = p;
		a.b[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
		for (unsigned plen = 0; plen <= 128; plen++)
			CU_ASSERT_EQUAL(sl_addr_in(&a, &p, plen), plen <= bit);
	}
	CU_ASSERT_TRUE(sl_addr_in(&p, &p, 128));
}

static void
martians_are_told(void)
{
	static const struct {
		const char *text;
		bool src, dst;
	} rows[] = {
		{"192.0.2.1", true, true},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"127.0.0.1", false, false},
		{"127.255.255.255", false, false},
		{"128.0.0.1", true, true},
		{"224.0.0.1", false, true},
		{"239.255.255.255", false, true},
		{"240.0.0.1", true, true},
		{"255.255.255.255", false, true},
		{"::", false, false},
		{"::1", false, false},
		{"::2", true, true},
		{"ff02::1", false, true},
		{"fe80::1", true, true},
		{"2001:db8::1", true, true},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a = addr(rows[i].text);
		CU_ASSERT_EQUAL(sl_addr_src_ok(&a), rows[i].src);
		CU_ASSERT_EQUAL(sl_addr_dst_ok(&a), rows[i].dst);
	}
}

SL_SUITE("addr", SL_TEST(parse_takes_addresses_and_nothing_else), SL_TEST(v4_is_kept_as_mapped),
	 SL_TEST(format_is_rfc_5952), SL_TEST(what_is_printed_is_read_back),
	 SL_TEST(parse_prefix_says_what_is_wrong), SL_TEST(in_compares_exactly_plen_bits),
	 SL_TEST(martians_are_told))

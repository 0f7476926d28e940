/* Echo requests are turned round; nothing else is. */
#include "dataplane/icmp.h"
#include "dataplane/parse.h"

#include "tests/dataplane/frames.h"
#include "tests/suite.h"

static struct sl_pkt
parsed(struct frame *f)
{
	struct sl_pkt p = {.data = f->b, .len = (uint16_t)f->len};

	CU_ASSERT_EQUAL_FATAL(sl_parse(&p), SL_DROP_NONE);
	return p;
}

static void
an_echo_request_is_answered(void)
{
	struct frame f, was;

	frame_make(&f, FRAME_ICMP4);
	was = f;
	struct sl_pkt p = parsed(&f);
	CU_ASSERT_EQUAL(sl_icmp_echo(&p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(memcmp(f.b, frame_client_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 6, frame_my_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 26, frame_vip4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 30, frame_client4, 4), 0);
	CU_ASSERT_EQUAL(f.b[22], 64);
	CU_ASSERT_EQUAL(f.b[34], 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, was.b + 38, was.len - 38), 0);
	CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(0, f.b + 14, 20)), 0xffff);
	CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(0, f.b + 34, f.len - 34)), 0xffff);
	p = parsed(&f);
	CU_ASSERT_EQUAL(sl_icmp_echo(&p), SL_DROP_ICMP_IGNORED);
}

static void
an_ipv6_echo_request_is_answered(void)
{
	struct frame f, was;

	frame_make(&f, FRAME_ICMP6);
	was = f;
	struct sl_pkt p = parsed(&f);
	CU_ASSERT_EQUAL(sl_icmp_echo(&p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(memcmp(f.b, frame_client_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 22, frame_vip6, 16), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, frame_client6, 16), 0);
	CU_ASSERT_EQUAL(f.b[21], 64);
	CU_ASSERT_EQUAL(f.b[54], 129);
	CU_ASSERT_EQUAL(memcmp(f.b + 58, was.b + 58, was.len - 58), 0);
	p = parsed(&f);
	uint64_t sum = sl_csum_pseudo(&p.tuple.src, &p.tuple.dst, SL_IPPROTO_ICMP6, p.l4_len);
	CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(sum, f.b + 54, p.l4_len)), 0xffff);
}

static void
options_of_the_request_come_back_with_a_right_checksum(void)
{
	static const uint8_t route[8] = {7, 7, 4, 0, 0, 0, 0, 0};
	struct frame f;

	frame_ip4(&f, SL_IPPROTO_ICMP, route, 8, 3);
	struct sl_pkt p = parsed(&f);
	CU_ASSERT_EQUAL(sl_icmp_echo(&p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(0, f.b + 14, 28)), 0xffff);
	CU_ASSERT_EQUAL(f.b[42], 0);
}

/* The incremental update at its corners: every TTL, and payloads that put the sum near 0 and 0xffff. */
static void
checksums_are_right_for_every_ttl_and_sum(void)
{
	for (unsigned v = 0; v < 65536; v++) {
		struct frame f;
		frame_make(&f, FRAME_ICMP4);
		f.b[22] = (uint8_t)v;
		sl_store16(f.b + 42, (uint16_t)v);
		frame_sum4(&f);
		frame_sum_l4(&f, 34, SL_IPPROTO_ICMP, NULL, NULL);
		struct sl_pkt p = parsed(&f);
		CU_ASSERT_EQUAL_FATAL(sl_icmp_echo(&p), SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(0, f.b + 14, 20)), 0xffff);
		CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(0, f.b + 34, f.len - 34)), 0xffff);
	}
}

static void
what_is_not_a_unicast_echo_request_is_left_alone(void)
{
	static const struct {
		const char *reason;
		enum frame_kind kind;
		enum sl_drop drop;
		uint8_t at, n, to[4];
	} rows[] = {
		{"echo reply", FRAME_ICMP4, SL_DROP_ICMP_IGNORED, 34, 1, {0}},
		{"destination unreachable", FRAME_ICMP4, SL_DROP_ICMP_IGNORED, 34, 1, {3}},
		{"timestamp request", FRAME_ICMP4, SL_DROP_ICMP_IGNORED, 34, 1, {13}},
		{"echo request with a code", FRAME_ICMP4, SL_DROP_ICMP_IGNORED, 35, 1, {1}},
		{"to a multicast address",
		 FRAME_ICMP4,
		 SL_DROP_ICMP_IGNORED,
		 30,
		 4,
		 {224, 0, 0, 1}},
		{"to the broadcast address",
		 FRAME_ICMP4,
		 SL_DROP_ICMP_IGNORED,
		 30,
		 4,
		 {255, 255, 255, 255}},
		{"in a broadcast frame", FRAME_ICMP4, SL_DROP_ICMP_IGNORED, 0, 1, {0xff}},
		{"payload damaged", FRAME_ICMP4, SL_DROP_L4_CSUM, 45, 1, {0}},
		{"IPv6 echo reply", FRAME_ICMP6, SL_DROP_ICMP_IGNORED, 54, 1, {129}},
		{"packet too big", FRAME_ICMP6, SL_DROP_ICMP_IGNORED, 54, 1, {2}},
		{"to an IPv6 multicast address",
		 FRAME_ICMP6,
		 SL_DROP_ICMP_IGNORED,
		 38,
		 2,
		 {255, 2}},
		{"in a multicast frame", FRAME_ICMP6, SL_DROP_ICMP_IGNORED, 0, 2, {0x33, 0x33}},
		{"IPv6 payload damaged", FRAME_ICMP6, SL_DROP_L4_CSUM, 63, 1, {0}},
		{"not ICMP", FRAME_UDP4, SL_DROP_ICMP_IGNORED, 0, 0, {0}},
	};
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct frame f;
		frame_make(&f, rows[i].kind);
		memcpy(f.b + rows[i].at, rows[i].to, rows[i].n);
		if (f.b[12] == 8)
			frame_sum4(&f);
		struct sl_pkt p = parsed(&f);
		struct frame was = f;
		enum sl_drop why = sl_icmp_echo(&p);
		if (why != rows[i].drop)
			printf("  row \"%s\": %s\n", rows[i].reason, sl_drop_name(why));
		CU_ASSERT_EQUAL(why, rows[i].drop);
		CU_ASSERT_EQUAL(memcmp(f.b, was.b, f.len), 0);
	}
}

SL_SUITE("icmp", SL_TEST(an_echo_request_is_answered), SL_TEST(an_ipv6_echo_request_is_answered),
	 SL_TEST(options_of_the_request_come_back_with_a_right_checksum),
	 SL_TEST(checksums_are_right_for_every_ttl_and_sum),
	 SL_TEST(what_is_not_a_unicast_echo_request_is_left_alone))

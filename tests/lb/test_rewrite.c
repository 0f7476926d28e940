#include "lb/rewrite.h"

#include "tests/suite.h"

static uint64_t rng = 1;

static uint64_t
draw(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void
draw_bytes(uint8_t *b, size_t n)
{
	while (n--)
		*b++ = (uint8_t)draw();
}

/* The checksum as RFC 1071 words it: 16 bits at a time, in wire order. */
static uint16_t
plain_sum(const uint8_t *b, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

struct frame {
	uint8_t b[14 + 60 + 600];
	struct sl_pkt p;
	unsigned l3_len, l4_len;
	bool v4, tcp;
};

static uint8_t *
l3(struct frame *f)
{
	return f->b + 14;
}

static uint8_t *
l4(struct frame *f)
{
	return f->b + 14 + f->l3_len;
}

static uint8_t *
l4_csum(struct frame *f)
{
	return l4(f) + (f->tcp ? 16 : 6);
}

static uint16_t
get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void
put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* Sum over pseudo header and datagram, the stored checksum included: 0xffff when right. */
static uint16_t
l4_sum(struct frame *f)
{
	uint32_t sum = (f->tcp ? 6 : 17) + f->l4_len;

	if (f->v4)
		sum = plain_sum(l3(f) + 12, 8, sum);
	else
		sum = plain_sum(l3(f) + 8, 32, sum);
	return plain_sum(l4(f), f->l4_len, sum);
}

static void
set_checksums(struct frame *f)
{
	if (f->v4) {
		put16(l3(f) + 10, 0);
		put16(l3(f) + 10, (uint16_t)~plain_sum(l3(f), f->l3_len, 0));
	}
	put16(l4_csum(f), 0);
	uint16_t c = (uint16_t)~l4_sum(f);
	put16(l4_csum(f), c == 0 && !f->tcp ? 0xffff : c);
}

static struct frame
random_frame(bool v4, bool tcp)
{
	struct frame f = {.v4 = v4, .tcp = tcp};

	draw_bytes(f.b, sizeof(f.b));
	f.l3_len = v4 ? 20 + 4 * (unsigned)(draw() % 11) : 40;
	f.l4_len = (tcp ? 20 : 8) + (unsigned)(draw() % 500);
	l3(&f)[0] = v4 ? (uint8_t)(0x40 | f.l3_len / 4) : 0x60;
	l3(&f)[v4 ? 8 : 7] |= 2; /* TTL > 1 */
	set_checksums(&f);
	f.p = (struct sl_pkt){
		.len = (uint16_t)(14 + f.l3_len + f.l4_len),
		.flags = (v4 ? SL_PKT_V4 : SL_PKT_V6) | (tcp ? SL_PKT_TCP : SL_PKT_UDP),
		.l3_off = 14,
		.l4_off = (uint8_t)(14 + f.l3_len),
		.l4_len = f.l4_len,
	};
	return f;
}

static struct sl_addr
random_addr(bool v4)
{
	struct sl_addr a;

	draw_bytes(a.b, 16);
	return v4 ? sl_addr_from_v4(a.b) : a;
}

/* What the frame must be after the rewrite: fields set by hand, checksums computed afresh. */
static void
set_by_hand(struct frame *f, bool dst, const struct sl_addr *a, sl_be16 port)
{
	if (f->v4)
		memcpy(l3(f) + (dst ? 16 : 12), a->b + 12, 4);
	else
		memcpy(l3(f) + (dst ? 24 : 8), a->b, 16);
	if (port)
		memcpy(l4(f) + (dst ? 2 : 0), &port, 2);
	set_checksums(f);
}

static void
rewrite(struct frame *f, bool dst, const struct sl_addr *a, sl_be16 port)
{
	f->p.data = f->b;
	if (dst)
		sl_rewrite_dst(&f->p, a, port);
	else
		sl_rewrite_src(&f->p, a, port);
}

static void
rewriting_gives_what_a_full_computation_gives(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 40000; i++) {
		bool v4 = i & 1, tcp = i & 2, dst = i & 4;
		struct frame f = random_frame(v4, tcp), want = f;
		struct sl_addr a = random_addr(v4);
		sl_be16 port = i & 8 ? (sl_be16)draw() : 0;
		rewrite(&f, dst, &a, port);
		set_by_hand(&want, dst, &a, port);
		wrong += memcmp(f.b, want.b, sizeof(f.b)) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
there_and_back_is_the_identity(void)
{
	for (unsigned i = 0; i < 4000; i++) {
		struct frame f = random_frame(i & 1, i & 2), was = f;
		struct sl_addr a = random_addr(i & 1);
		struct sl_addr own =
			i & 1 ? sl_addr_from_v4(l3(&f) + 16) : sl_addr_from_v6(l3(&f) + 24);
		sl_be16 port = sl_load16(l4(&f) + 2);
		rewrite(&f, true, &a, 99);
		rewrite(&f, true, &own, port);
		CU_ASSERT_EQUAL(memcmp(f.b, was.b, sizeof(f.b)), 0);
	}
}

static void
udp_without_checksum_stays_without(void)
{
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct frame f = random_frame(v4, false);
		struct sl_addr a = random_addr(v4);
		put16(l4_csum(&f), 0);
		rewrite(&f, true, &a, 53);
		CU_ASSERT_EQUAL(get16(l4_csum(&f)), 0);
		CU_ASSERT_EQUAL(sl_load16(l4(&f) + 2), 53);
		rewrite(&f, false, &a, 53);
		CU_ASSERT_EQUAL(get16(l4_csum(&f)), 0);
	}
}

/* The source port that makes the checksum of the rewritten datagram come out as 0. */
static void
a_computed_zero_is_sent_as_ffff(void)
{
	for (unsigned i = 0; i < 200; i++) {
		struct frame f = random_frame(i & 1, false), probe = f;
		struct sl_addr a = random_addr(i & 1);
		set_by_hand(&probe, true, &a, 0);
		uint16_t sport = get16(l4(&f));
		uint32_t sum = (uint32_t)sport + get16(l4_csum(&probe));
		sport = (uint16_t)((sum & 0xffff) + (sum >> 16));
		put16(l4(&f), sport);
		set_checksums(&f);
		rewrite(&f, true, &a, 0);
		CU_ASSERT_EQUAL(get16(l4_csum(&f)), 0xffff);
		CU_ASSERT_EQUAL(l4_sum(&f), 0xffff);
	}
}

static void
a_datagram_sent_with_ffff_is_rewritten_right(void)
{
	for (unsigned i = 0; i < 200; i++) {
		struct frame f = random_frame(i & 1, false), want;
		struct sl_addr a = random_addr(i & 1);
		uint32_t sum = (uint32_t)get16(l4(&f)) + get16(l4_csum(&f));
		put16(l4(&f), (sum & 0xffff) + (sum >> 16));
		set_checksums(&f);
		CU_ASSERT_EQUAL_FATAL(get16(l4_csum(&f)), 0xffff);
		want = f;
		rewrite(&f, true, &a, 0);
		set_by_hand(&want, true, &a, 0);
		CU_ASSERT_EQUAL(memcmp(f.b, want.b, sizeof(f.b)), 0);
	}
}

static void
a_wrong_checksum_stays_as_wrong_as_it_was(void)
{
	for (unsigned i = 0; i < 4000; i++) {
		struct frame f = random_frame(i & 1, i & 2), want = f;
		struct sl_addr a = random_addr(i & 1);
		/* One bit of the payload or header turns on the way. */
		unsigned at = 14 + f.l3_len + (unsigned)(draw() % f.l4_len);
		uint8_t bit = (uint8_t)(1u << draw() % 8);
		bool csum_field = at / 2 == (14 + f.l3_len + (f.tcp ? 16u : 6u)) / 2;
		bool port_field = at < 14 + f.l3_len + 4;
		if (csum_field || port_field)
			continue;
		f.b[at] ^= bit;
		rewrite(&f, true, &a, 8080);
		CU_ASSERT_NOT_EQUAL(l4_sum(&f), 0xffff);
		set_by_hand(&want, true, &a, 8080);
		f.b[at] ^= bit;
		CU_ASSERT_EQUAL(memcmp(f.b, want.b, sizeof(f.b)), 0);
	}
}

static void
ttl_falls_by_one_and_the_header_sum_holds(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		struct frame f = random_frame(i & 1, true), want = f;
		l3(&want)[f.v4 ? 8 : 7]--;
		set_checksums(&want);
		f.p.data = f.b;
		sl_rewrite_ttl(&f.p);
		CU_ASSERT_EQUAL(memcmp(f.b, want.b, sizeof(f.b)), 0);
	}
}

static void
mac_sets_twelve_bytes(void)
{
	struct frame f = random_frame(true, true), was = f;

	f.p.data = f.b;
	sl_rewrite_mac(&f.p, (const uint8_t *)"destin", (const uint8_t *)"source");
	CU_ASSERT_EQUAL(memcmp(f.b, "destinsource", 12), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 12, was.b + 12, sizeof(f.b) - 12), 0);
}

static void
sums_agree_with_the_plain_ones_at_any_length_and_alignment(void)
{
	for (unsigned n = 0; n < 200; n++) {
		uint8_t *b = guard_buf(n);
		draw_bytes(b, n);
		uint32_t start = (uint32_t)draw() & 0xffff;
		uint16_t swapped = (uint16_t)(start << 8 | start >> 8);
		uint16_t sum = sl_csum_fold(sl_csum_add(swapped, b, n));
		CU_ASSERT_EQUAL((uint16_t)(sum << 8 | sum >> 8), plain_sum(b, n, start));
		guard_free(b, n);
	}
	CU_ASSERT_EQUAL(sl_csum_fold(UINT64_MAX), 0xffff);
	CU_ASSERT_EQUAL(sl_csum_fold(0), 0);
	CU_ASSERT_EQUAL(sl_csum_fold(0xffff0000ffffull), 0xffff);
}

static void
pseudo_and_datagram_of_a_sound_packet_sum_to_ffff(void)
{
	for (unsigned i = 0; i < 400; i++) {
		struct frame f = random_frame(i & 1, i & 2);
		struct sl_addr src =
			f.v4 ? sl_addr_from_v4(l3(&f) + 12) : sl_addr_from_v6(l3(&f) + 8);
		struct sl_addr dst =
			f.v4 ? sl_addr_from_v4(l3(&f) + 16) : sl_addr_from_v6(l3(&f) + 24);
		uint64_t sum = sl_csum_pseudo(&src, &dst, f.tcp ? 6 : 17, f.l4_len);
		CU_ASSERT_EQUAL(sl_csum_fold(sl_csum_add(sum, l4(&f), f.l4_len)), 0xffff);
	}
}

static void
both_ends_at_once_give_what_a_full_computation_gives(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct frame f = random_frame(i & 1, i & 2), want = f;
		struct sl_addr src = random_addr(i & 1), dst = random_addr(i & 1);
		sl_be16 sport = i % 16 ? (sl_be16)draw() : 0, dport = i % 24 ? (sl_be16)draw() : 0;
		f.p.data = f.b;
		sl_rewrite_both(&f.p, &src, sport, &dst, dport);
		memcpy(l4(&want), &sport, 2);
		memcpy(l4(&want) + 2, &dport, 2);
		set_by_hand(&want, false, &src, 0);
		set_by_hand(&want, true, &dst, 0);
		wrong += memcmp(f.b, want.b, sizeof(f.b)) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
both_ends_keep_udp_without_checksum_and_damage(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		struct frame f = random_frame(i & 1, false);
		struct sl_addr src = random_addr(i & 1), dst = random_addr(i & 1);
		f.p.data = f.b;
		if (i & 2)
			put16(l4_csum(&f), 0);
		else
			l4(&f)[f.l4_len - 1] ^= 4;
		bool damaged = l4_sum(&f) != 0xffff;
		sl_rewrite_both(&f.p, &src, 7, &dst, 9);
		CU_ASSERT_TRUE((i & 2) ? get16(l4_csum(&f)) == 0
				       : damaged == (l4_sum(&f) != 0xffff));
	}
}

SL_SUITE("rewrite", SL_TEST(both_ends_at_once_give_what_a_full_computation_gives),
	 SL_TEST(both_ends_keep_udp_without_checksum_and_damage),
	 SL_TEST(rewriting_gives_what_a_full_computation_gives),
	 SL_TEST(there_and_back_is_the_identity), SL_TEST(udp_without_checksum_stays_without),
	 SL_TEST(a_computed_zero_is_sent_as_ffff),
	 SL_TEST(a_datagram_sent_with_ffff_is_rewritten_right),
	 SL_TEST(a_wrong_checksum_stays_as_wrong_as_it_was),
	 SL_TEST(ttl_falls_by_one_and_the_header_sum_holds), SL_TEST(mac_sets_twelve_bytes),
	 SL_TEST(sums_agree_with_the_plain_ones_at_any_length_and_alignment),
	 SL_TEST(pseudo_and_datagram_of_a_sound_packet_sum_to_ffff))

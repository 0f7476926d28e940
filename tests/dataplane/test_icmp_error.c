/* Which ICMP errors are about a flow, and that a translated one is byte for byte what its new author would have sent. */
#include "dataplane/icmp_error.h"
#include "dataplane/parse.h"

#include "tests/dataplane/quotes.h"
#include "tests/suite.h"

static const uint8_t my_mac[6] = {2, 0, 0, 0, 0, 1}, router_mac[6] = {2, 0, 0, 0, 0, 9};

/* A parsed frame right before a page that must not be touched. */
struct given {
	uint8_t *g;
	unsigned len;
	struct sl_pkt p;
};

static enum sl_drop
give(struct given *r, const uint8_t *frame, unsigned len)
{
	r->g = guard_buf(len);
	r->len = len;
	memcpy(r->g, frame, len);
	r->p = (struct sl_pkt){.data = r->g, .len = (uint16_t)len};
	return sl_parse(&r->p);
}

static void
done(struct given *r)
{
	guard_free(r->g, r->len);
}

static struct frame_spec
packet(const char *src, unsigned sport, const char *dst, unsigned dport, uint8_t proto)
{
	return (struct frame_spec){
		.t = {.src = frame_addr(src),
		      .dst = frame_addr(dst),
		      .sport = sl_to_be16(sport),
		      .dport = sl_to_be16(dport),
		      .proto = proto},
		.tcp_flags = 0x10,
		.ttl = 33,
		.payload = 61,
		.seq = 0x1234567,
	};
}

static struct quote_spec
error(bool v4, uint8_t proto)
{
	return v4 ? (struct quote_spec){.from = "203.0.113.9",
					.to = "192.0.2.10",
					.type = 3,
					.code = 4,
					.rest = {0, 0, 5, 0x14},
					.about = packet("192.0.2.10", 443, "198.51.100.7", 40000,
							proto)}
		  : (struct quote_spec){
			    .from = "2001:db8:9::9",
			    .to = "2001:db8:1::10",
			    .type = 2,
			    .rest = {0, 0, 5, 0x14},
			    .about = packet("2001:db8:1::10", 443, "2001:db8::7", 40000, proto)};
}

static const uint8_t protos[] = {SL_IPPROTO_TCP, SL_IPPROTO_UDP};

static void
the_quote_turned_round_is_the_flow(void)
{
	for (unsigned i = 0; i < 16; i++) {
		struct quote_spec s = error(i & 1, protos[i >> 1 & 1]);
		struct given r;
		uint8_t f[2048];
		unsigned inner = 0;
		s.l4_bytes = i & 4 ? 8 : i & 8 ? 4 : 0;
		CU_ASSERT_EQUAL_FATAL(give(&r, f, quote_make(&s, my_mac, router_mac, f)),
				      SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_NONE);
		CU_ASSERT_TRUE(r.p.flags & SL_PKT_ICMP_ERR);
		CU_ASSERT_EQUAL(inner, i & 1 ? 14 + 20 + 8 : 14 + 40 + 8);
		const struct sl_tuple *t = &r.p.tuple, *q = &s.about.t;
		CU_ASSERT_TRUE(sl_addr_eq(&t->src, &q->dst) && sl_addr_eq(&t->dst, &q->src));
		CU_ASSERT_EQUAL(t->sport, sl_to_be16(40000));
		CU_ASSERT_EQUAL(t->dport, sl_to_be16(443));
		CU_ASSERT_EQUAL(t->proto, q->proto);
		CU_ASSERT_EQUAL(t->zero[0] | t->zero[1] | t->zero[2], 0);
		done(&r);
	}
}

static void
only_errors_of_these_types_are_passed_on(void)
{
	static const uint8_t good4[] = {3, 11, 12}, good6[] = {1, 2, 3, 4};

	for (unsigned v4 = 0; v4 < 2; v4++)
		for (unsigned type = 0; type < 256; type++) {
			struct quote_spec s = error(v4, SL_IPPROTO_UDP);
			struct given r;
			uint8_t f[2048];
			unsigned inner;
			s.type = (uint8_t)type;
			s.code = 0;
			CU_ASSERT_EQUAL(give(&r, f, quote_make(&s, my_mac, router_mac, f)),
					SL_DROP_NONE);
			bool good = memchr(v4 ? good4 : good6, (int)type, v4 ? 3 : 4) != NULL;
			CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner),
					good ? SL_DROP_NONE : SL_DROP_ICMP_IGNORED);
			CU_ASSERT_EQUAL((r.p.flags & SL_PKT_ICMP_ERR) != 0, good);
			done(&r);
		}
}

/* One byte of the frame changed, with the checksums of the outside made right again. */
static enum sl_drop
read_changed(const struct quote_spec *s, unsigned at, uint8_t to, unsigned cut)
{
	bool v4 = s->type == 3;
	uint8_t f[2048];
	struct given r;
	unsigned inner = 77;
	unsigned len = quote_make(s, my_mac, router_mac, f) - cut, l4 = v4 ? 34 : 54;

	f[at] = to;
	quote_put16(f + l4 + 2, 0);
	if (v4) {
		quote_put16(f + 16, len - 14);
		quote_put16(f + 24, 0);
		quote_put16(f + 24, ~quote_sum(0, f + 14, 20) & 0xffff);
		quote_put16(f + l4 + 2, ~quote_sum(0, f + l4, len - l4) & 0xffff);
	} else {
		quote_put16(f + 18, len - 54);
		quote_put16(f + l4 + 2, ~quote_l4_sum(f + 14, 58, f + l4, len - l4) & 0xffff);
	}
	CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
	const struct sl_tuple was = r.p.tuple;
	enum sl_drop why = sl_icmp_error_read(&r.p, &inner);
	if (why != SL_DROP_NONE) {
		CU_ASSERT_EQUAL(inner, 77);
		CU_ASSERT_EQUAL(memcmp(&was, &r.p.tuple, sizeof(was)), 0);
		CU_ASSERT_FALSE(r.p.flags & SL_PKT_ICMP_ERR);
	}
	done(&r);
	return why;
}

static void
a_bad_quote_is_refused_with_its_reason(void)
{
	static const struct {
		const char *reason;
		bool v4;
		uint8_t at, to;
		enum sl_drop why;
	} rows[] = {
		{"nothing changed", true, 0, 2, SL_DROP_NONE},
		{"nothing changed", false, 0, 2, SL_DROP_NONE},
		{"IPv6 in IPv4", true, 42, 0x65, SL_DROP_L4_HEADER},
		{"header of 16", true, 42, 0x44, SL_DROP_L4_HEADER},
		{"header longer than the quoted packet", true, 43 + 1, 0, SL_DROP_NONE},
		{"quoted packet shorter than its header", true, 45, 19, SL_DROP_ICMP_ERROR},
		{"quoted packet without ports", true, 45, 23, SL_DROP_ICMP_ERROR},
		{"quoted packet with ports", true, 45, 24, SL_DROP_NONE},
		{"later fragment", true, 49, 1, SL_DROP_ICMP_ERROR},
		{"first fragment", true, 48, 0x20, SL_DROP_NONE},
		{"quoted ICMP", true, 51, 1, SL_DROP_ICMP_ERROR},
		{"IPv4 in IPv6", false, 62, 0x45, SL_DROP_L4_HEADER},
		{"quoted ICMPv6", false, 68, 58, SL_DROP_ICMP_ERROR},
		{"options past the quote", false, 68, 60, SL_DROP_ICMP_ERROR},
		{"jumbo", false, 67, 0, SL_DROP_ICMP_ERROR},
		{"length of RFC 4884 that is none", true, 39, 5, SL_DROP_NONE},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct quote_spec s = error(rows[i].v4, SL_IPPROTO_UDP);
		enum sl_drop why = read_changed(&s, rows[i].at, rows[i].to, 0);
		if (why != rows[i].why)
			printf("  row \"%s\": %s\n", rows[i].reason, sl_drop_name(why));
		CU_ASSERT_EQUAL(why, rows[i].why);
	}
}

static void
a_quote_cut_before_its_ports_is_refused(void)
{
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct quote_spec s = error(v4, SL_IPPROTO_TCP);
		unsigned l3 = v4 ? 20 : 40, n = l3 + 20 + 61;
		for (unsigned cut = 0; cut <= n; cut++)
			CU_ASSERT_EQUAL(read_changed(&s, 0, 2, cut),
					n - cut >= l3 + 4 ? SL_DROP_NONE : SL_DROP_ICMP_ERROR);
	}
}

/* It would find flows of IPv4. */
static void
an_ipv6_quote_of_mapped_addresses_is_refused(void)
{
	struct quote_spec s = error(false, SL_IPPROTO_TCP);

	for (unsigned i = 0; i < 2; i++) {
		uint8_t f[2048];
		struct given r;
		unsigned inner, len = quote_make(&s, my_mac, router_mac, f);
		struct sl_addr mapped = frame_addr("198.51.100.7");
		memcpy(f + 62 + (i ? 24 : 8), mapped.b, 16);
		quote_put16(f + 56, 0);
		quote_put16(f + 56, ~quote_l4_sum(f + 14, 58, f + 54, len - 54) & 0xffff);
		CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_ICMP_ERROR);
		done(&r);
	}
}

static void
a_wrong_checksum_is_refused(void)
{
	for (unsigned v4 = 0; v4 < 2; v4++) {
		struct quote_spec s = error(v4, SL_IPPROTO_TCP);
		uint8_t f[2048];
		struct given r;
		unsigned inner, len = quote_make(&s, my_mac, router_mac, f);
		f[len - 1] ^= 1;
		CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_L4_CSUM);
		done(&r);
	}
}

static void
an_error_to_a_group_of_stations_is_ignored(void)
{
	static const uint8_t group[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct quote_spec s = error(true, SL_IPPROTO_TCP);
	uint8_t f[2048];
	struct given r;
	unsigned inner;

	CU_ASSERT_EQUAL(give(&r, f, quote_make(&s, group, router_mac, f)), SL_DROP_NONE);
	CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_ICMP_IGNORED);
	done(&r);
}

static void
extension_headers_of_the_quote_are_walked(void)
{
	static const struct {
		uint8_t chain[40];
		unsigned n;
		uint8_t first;
		enum sl_drop why;
	} rows[] = {
		{{17, 0, 1, 4}, 8, 60, SL_DROP_NONE},
		{{17, 1, 1, 12}, 16, 60, SL_DROP_NONE},
		{{44, 0, 1, 4, 0, 0, 0, 0, 17, 99, 0, 1}, 16, 0, SL_DROP_NONE},
		{{44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 8}, 16, 0, SL_DROP_ICMP_ERROR},
		{{60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 2, 0, 0, 0, 0, 0, 17},
		 32,
		 0,
		 SL_DROP_NONE},
		{{60, 0, 1, 4, 0, 0, 0,  0, 60, 0, 1, 4, 0, 0, 0,  0, 60, 0,
		  1,  4, 0, 0, 0, 0, 60, 0, 1,  4, 0, 0, 0, 0, 17, 0, 1,  4},
		 40,
		 60,
		 SL_DROP_ICMP_ERROR},
		{{17, 255}, 8, 60, SL_DROP_ICMP_ERROR},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct quote_spec s = error(false, SL_IPPROTO_UDP);
		uint8_t f[2048];
		struct given r;
		unsigned inner, n = rows[i].n, len = quote_make(&s, my_mac, router_mac, f) + n;
		memmove(f + 102 + n, f + 102, len - 102 - n);
		memcpy(f + 102, rows[i].chain, n);
		f[68] = rows[i].first;
		quote_put16(f + 66, quote_get16(f + 66) + n);
		quote_put16(f + 18, len - 54);
		quote_put16(f + 56, 0);
		quote_put16(f + 56, ~quote_l4_sum(f + 14, 58, f + 54, len - 54) & 0xffff);
		CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
		enum sl_drop why = sl_icmp_error_read(&r.p, &inner);
		CU_ASSERT_EQUAL(why, rows[i].why);
		if (why == SL_DROP_NONE)
			CU_ASSERT_EQUAL(r.p.tuple.sport, sl_to_be16(40000));
		done(&r);
	}
}

/* ---- editing ---- */

/* An error made for s, edited, is the one made for `is`. */
static bool
edit_makes(const struct quote_spec *s, const struct sl_icmp_edit *e, const struct quote_spec *is)
{
	uint8_t f[2048], want[2048];
	struct given r;
	unsigned inner, len = quote_make(s, my_mac, router_mac, f);
	unsigned want_len = quote_make(is, my_mac, router_mac, want);

	if (give(&r, f, len) != SL_DROP_NONE || sl_icmp_error_read(&r.p, &inner) != SL_DROP_NONE) {
		done(&r);
		return false;
	}
	sl_icmp_error_edit(&r.p, inner, e);
	bool same = len == want_len && memcmp(r.g, want, len) == 0;
	for (unsigned i = 0; !same && i < len; i++)
		if (r.g[i] != want[i])
			printf("  byte %u is %02x, not %02x\n", i, r.g[i], want[i]);
	done(&r);
	return same;
}

/* Every set of edits: bit 0 outer source, 1 outer destination, 2 and 3 inner addresses, 4 and 5 inner ports. */
static void
an_edit_gives_what_a_new_author_would_send(void)
{
	static const unsigned l4_bytes[] = {0, 4, 8, 16, 18, 20};

	for (unsigned i = 0; i < 64 * 4 * SL_ARRAY_CNT(l4_bytes); i++) {
		bool v4 = i & 64;
		struct quote_spec s = error(v4, protos[i >> 7 & 1]), is;
		const char *other = v4 ? "10.0.2.11" : "fd00:2::11";
		const char *third = v4 ? "10.9.8.7" : "fd00:7::77";
		struct sl_addr a = frame_addr(other), b = frame_addr(third);
		s.l4_bytes = l4_bytes[i >> 8];
		is = s;
		struct sl_icmp_edit e = {0};
		if (i & 1)
			e.outer_src = &b, is.from = third;
		if (i & 2)
			e.outer_dst = &a, is.to = other;
		if (i & 4)
			e.inner_src = &a, is.about.t.src = a;
		if (i & 8)
			e.inner_dst = &b, is.about.t.dst = b;
		if (i & 16)
			e.inner_sport = is.about.t.sport = sl_to_be16(8080);
		if (i & 32)
			e.inner_dport = is.about.t.dport = sl_to_be16(1);
		CU_ASSERT_TRUE(edit_makes(&s, &e, &is));
	}
}

/* Ports that bring the checksum through 0 and 0xffff. */
static void
checksums_at_their_borders_come_out_right(void)
{
	for (unsigned v4 = 0; v4 < 2; v4++)
		for (unsigned port = 1; port < 65536; port++) {
			struct quote_spec s = error(v4, SL_IPPROTO_UDP), is;
			s.l4_bytes = 8;
			s.about.payload = 2;
			is = s;
			is.about.t.sport = sl_to_be16(port);
			struct sl_icmp_edit e = {.inner_sport = sl_to_be16(port)};
			if (!edit_makes(&s, &e, &is)) {
				CU_FAIL("a port");
				return;
			}
		}
}

static void
a_quoted_packet_without_udp_checksum_stays_so(void)
{
	struct quote_spec s = error(true, SL_IPPROTO_UDP), is;
	struct sl_addr a = frame_addr("10.0.2.11");

	s.about.no_udp_csum = true;
	is = s;
	is.about.t.src = a;
	struct sl_icmp_edit e = {.inner_src = &a};
	CU_ASSERT_TRUE(edit_makes(&s, &e, &is));
}

/* RFC 4884: 128 bytes of quote with zeros, then extensions; what follows the quoted packet is left alone. */
static void
extensions_behind_the_quote_are_left_alone(void)
{
	struct quote_spec s = error(true, SL_IPPROTO_TCP), is;
	struct sl_addr a = frame_addr("10.0.2.11");

	s.about.payload = 500;
	s.l4_bytes = 108;
	s.pad = 40;
	s.rest[1] = 32;
	is = s;
	is.about.t.src = a;
	struct sl_icmp_edit e = {.inner_src = &a};
	CU_ASSERT_TRUE(edit_makes(&s, &e, &is));
	/* a quoted packet of 16 bytes of TCP has no checksum to mend; what lies there is padding */
	s = error(true, SL_IPPROTO_TCP);
	s.l4_bytes = 17;
	s.pad = 111;
	s.rest[1] = 32;
	is = s;
	is.about.t.src = a;
	uint8_t f[2048], want[2048];
	struct given r;
	unsigned inner, len = quote_make(&s, my_mac, router_mac, f);
	CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
	CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_NONE);
	sl_icmp_error_edit(&r.p, inner, &e);
	quote_make(&is, my_mac, router_mac, want);
	CU_ASSERT_TRUE(quote_sums_ok(r.g, 34, len - 34));
	CU_ASSERT_EQUAL(memcmp(r.g + 42, want + 42, 10), 0);
	done(&r);
}

/* ---- our own ---- */

static unsigned
too_big(const struct frame_spec *s, uint16_t mtu, uint8_t *ret_asked, uint8_t *ret_frame)
{
	struct given r;
	unsigned len = frame_make(s, ret_asked);

	memcpy(ret_asked, my_mac, 6);
	memcpy(ret_asked + 6, router_mac, 6);
	CU_ASSERT_EQUAL_FATAL(give(&r, ret_asked, len), SL_DROP_NONE);
	uint8_t *g = guard_buf(1300);
	unsigned n = sl_icmp_too_big(&r.p, mtu, g);
	CU_ASSERT_FATAL(n <= 1300);
	memcpy(ret_frame, g, n);
	guard_free(g, 1300);
	done(&r);
	return n;
}

static void
too_big_quotes_as_much_as_is_allowed(void)
{
	for (unsigned i = 0; i < 12; i++) {
		static const uint16_t payload[] = {0, 1, 490, 528, 1200, 1420};
		bool v4 = i & 1;
		struct quote_spec e = error(v4, SL_IPPROTO_UDP);
		struct frame_spec s = e.about;
		uint8_t asked[2048], f[2048];
		s.payload = payload[i >> 1];
		unsigned n = too_big(&s, 1480, asked, f), whole = (v4 ? 28 : 48) + s.payload;
		unsigned most = v4 ? 576 - 28 : 1280 - 48, quoted = whole < most ? whole : most;
		unsigned l3 = v4 ? 20 : 40, icmp = 14 + l3;
		CU_ASSERT_EQUAL_FATAL(n, icmp + 8 + quoted);
		CU_ASSERT_EQUAL(memcmp(f, router_mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(f + 6, my_mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(f + 12, asked + 12, 2), 0);
		CU_ASSERT_TRUE(quote_sums_ok(f, icmp, n - icmp));
		CU_ASSERT_EQUAL(memcmp(f + icmp + 8, asked + 14, quoted), 0);
		CU_ASSERT_EQUAL(quote_get16(f + icmp + 6), 1480);
		CU_ASSERT_EQUAL(quote_get16(f + icmp + 4), 0);
		unsigned a = v4 ? 4 : 16, src = v4 ? 26 : 22;
		CU_ASSERT_EQUAL(memcmp(f + src, asked + src + a, a), 0);
		CU_ASSERT_EQUAL(memcmp(f + src + a, asked + src, a), 0);
		CU_ASSERT_EQUAL(f[v4 ? 22 : 21], 64);
		CU_ASSERT_EQUAL(f[v4 ? 23 : 20], v4 ? 1 : 58);
		CU_ASSERT_EQUAL(f[icmp], v4 ? 3 : 2);
		CU_ASSERT_EQUAL(f[icmp + 1], v4 ? 4 : 0);
		CU_ASSERT_EQUAL(quote_get16(f + (v4 ? 16 : 18)), n - (v4 ? 14 : 54));
		/* and it is itself an error about a flow */
		struct given r;
		unsigned inner;
		CU_ASSERT_EQUAL(give(&r, f, n), SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_icmp_error_read(&r.p, &inner), SL_DROP_NONE);
		done(&r);
	}
}

static void
nothing_is_answered_that_may_not_be(void)
{
	static const struct {
		const char *reason;
		bool v4;
		uint8_t at, to;
		bool answered;
	} rows[] = {
		{"echo request", true, 34, 8, true},
		{"unreachable", true, 34, 3, false},
		{"source quench", true, 34, 4, false},
		{"redirect", true, 34, 5, false},
		{"time exceeded", true, 34, 11, false},
		{"parameter problem", true, 34, 12, false},
		{"timestamp", true, 34, 13, true},
		{"IPv4 group", true, 30, 224, false},
		{"IPv4 group", true, 30, 239, false},
		{"class E", true, 30, 240, true},
		{"to a group of stations", true, 0, 1, false},
		{"echo request", false, 54, 128, true},
		{"unreachable", false, 54, 1, false},
		{"private error", false, 54, 127, false},
		{"redirect", false, 54, 137, false},
		{"IPv6 group", false, 38, 0xff, false},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct quote_spec s = error(rows[i].v4, SL_IPPROTO_UDP);
		uint8_t f[2048], answer[1300];
		s.type = rows[i].v4 ? 8 : 128;
		unsigned len = quote_make(&s, my_mac, router_mac, f);
		f[rows[i].at] = rows[i].to;
		struct given r;
		give(&r, f, len);
		r.p.flags |= SL_PKT_IP_CSUM_OK;
		CU_ASSERT_EQUAL(sl_parse(&r.p), SL_DROP_NONE);
		unsigned n = sl_icmp_too_big(&r.p, 1400, answer);
		if ((n != 0) != rows[i].answered)
			printf("  row \"%s\"\n", rows[i].reason);
		CU_ASSERT_EQUAL(n != 0, rows[i].answered);
		done(&r);
	}
	struct quote_spec s = error(true, SL_IPPROTO_UDP);
	uint8_t f[2048], answer[1300];
	struct given r;
	unsigned len = frame_make(&s.about, f);
	memcpy(f, my_mac, 6);
	for (unsigned off = 0; off < 2; off++) {
		quote_put16(f + 20, off);
		quote_put16(f + 24, 0);
		quote_put16(f + 24, ~quote_sum(0, f + 14, 20) & 0xffff);
		CU_ASSERT_EQUAL(give(&r, f, len), SL_DROP_NONE);
		CU_ASSERT_EQUAL(sl_icmp_too_big(&r.p, 1400, answer) != 0, off == 0);
		done(&r);
	}
}

SL_SUITE("icmp_error", SL_TEST(the_quote_turned_round_is_the_flow),
	 SL_TEST(only_errors_of_these_types_are_passed_on),
	 SL_TEST(a_bad_quote_is_refused_with_its_reason),
	 SL_TEST(a_quote_cut_before_its_ports_is_refused),
	 SL_TEST(an_ipv6_quote_of_mapped_addresses_is_refused),
	 SL_TEST(a_wrong_checksum_is_refused), SL_TEST(an_error_to_a_group_of_stations_is_ignored),
	 SL_TEST(extension_headers_of_the_quote_are_walked),
	 SL_TEST(an_edit_gives_what_a_new_author_would_send),
	 SL_TEST(checksums_at_their_borders_come_out_right),
	 SL_TEST(a_quoted_packet_without_udp_checksum_stays_so),
	 SL_TEST(extensions_behind_the_quote_are_left_alone),
	 SL_TEST(too_big_quotes_as_much_as_is_allowed),
	 SL_TEST(nothing_is_answered_that_may_not_be))

/* Every reason parse can give, and that it never reads past the end. */
#include "dataplane/parse.h"

#include "tests/dataplane/frames.h"
#include "tests/suite.h"

#define BCAST SL_PKT_BCAST

/* Parses a copy of the frame that ends at a page which must not be touched. */
static enum sl_drop
parse(const struct frame *f, uint16_t driver_flags, struct sl_pkt *ret_pkt)
{
	uint8_t *guarded = guard_buf(sizeof(f->b));
	struct sl_pkt p = {.flags = driver_flags, .len = (uint16_t)f->len};

	p.data = guarded + sizeof(f->b) - f->len;
	memcpy(p.data, f->b, f->len);
	enum sl_drop why = sl_parse(&p);
	guard_free(guarded, sizeof(f->b));
	if (ret_pkt)
		*ret_pkt = p;
	return why;
}

static void
a_good_frame_is_told_what_it_is(void)
{
	static const struct {
		enum frame_kind kind;
		uint16_t flags;
		uint8_t l4_off, tcp_flags, proto;
		uint16_t l4_len;
		bool ports;
	} rows[] = {
		{FRAME_TCP4, SL_PKT_V4 | SL_PKT_TCP, 34, 16, 6, 20, true},
		{FRAME_UDP4, SL_PKT_V4 | SL_PKT_UDP, 34, 0, 17, 13, true},
		{FRAME_ICMP4, SL_PKT_V4 | SL_PKT_ICMP, 34, 0, 1, 17, false},
		{FRAME_TCP4_OPTIONS, SL_PKT_V4 | SL_PKT_TCP, 42, 16, 6, 24, true},
		{FRAME_ARP, SL_PKT_ARP | BCAST, 14, 0, 0, 28, false},
		{FRAME_TCP6, SL_PKT_V6 | SL_PKT_TCP, 54, 16, 6, 27, true},
		{FRAME_UDP6, SL_PKT_V6 | SL_PKT_UDP, 54, 0, 17, 15, true},
		{FRAME_ICMP6, SL_PKT_V6 | SL_PKT_ICMP, 54, 0, 58, 15, false},
		{FRAME_NS, SL_PKT_V6 | SL_PKT_ICMP | SL_PKT_ND | BCAST, 54, 0, 58, 32, false},
		{FRAME_NA, SL_PKT_V6 | SL_PKT_ICMP | SL_PKT_ND, 54, 0, 58, 32, false},
		{FRAME_DAD, SL_PKT_V6 | SL_PKT_ICMP | SL_PKT_ND | BCAST, 54, 0, 58, 24, false},
		{FRAME_HOP_BY_HOP, SL_PKT_V6 | SL_PKT_UDP, 62, 0, 17, 20, true},
		{FRAME_ATOMIC_FRAGMENT, SL_PKT_V6 | SL_PKT_TCP, 62, 16, 6, 20, true},
		{FRAME_FOUR_EXTENSIONS, SL_PKT_V6 | SL_PKT_TCP, 86, 16, 6, 23, true},
		{FRAME_FIRST4, SL_PKT_V4 | SL_PKT_UDP | SL_PKT_FRAG, 34, 0, 17, 32, true},
		{FRAME_LATER4, SL_PKT_V4 | SL_PKT_TCP | SL_PKT_FRAG | SL_PKT_FRAG_LATER, 34, 0, 6,
		 24, false},
		{FRAME_FIRST6, SL_PKT_V6 | SL_PKT_TCP | SL_PKT_FRAG, 78, 16, 6, 24, true},
		{FRAME_LATER6, SL_PKT_V6 | SL_PKT_UDP | SL_PKT_FRAG | SL_PKT_FRAG_LATER, 62, 0, 17,
		 21, false},
	};
	CU_ASSERT_EQUAL(SL_ARRAY_CNT(rows), FRAME_KINDS);

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct frame f;
		struct sl_pkt p;
		frame_make(&f, rows[i].kind);
		unsigned len = f.len;
		f.len += 6; /* Ethernet padding */
		CU_ASSERT_EQUAL(parse(&f, 0, &p), SL_DROP_NONE);
		CU_ASSERT_EQUAL(p.flags, rows[i].flags);
		CU_ASSERT_EQUAL(p.len, len);
		CU_ASSERT_EQUAL(p.l3_off, 14);
		CU_ASSERT_EQUAL(p.l4_off, rows[i].l4_off);
		CU_ASSERT_EQUAL(p.l4_len, rows[i].l4_len);
		CU_ASSERT_EQUAL(p.tcp_flags, rows[i].tcp_flags);
		CU_ASSERT_EQUAL(p.tuple.proto, rows[i].proto);
		CU_ASSERT_EQUAL(p.tuple.sport, rows[i].ports ? sl_to_be16(40000) : 0);
		CU_ASSERT_EQUAL(p.tuple.dport, rows[i].ports ? sl_to_be16(443) : 0);
		CU_ASSERT_EQUAL(p.tuple.zero[0] | p.tuple.zero[1] | p.tuple.zero[2], 0);
	}
}

static void
fragments_are_told_their_place(void)
{
	static const struct {
		enum frame_kind kind;
		uint16_t off;
		uint8_t more, id[4];
	} rows[] = {
		{FRAME_FIRST4, 0, 1, {0xab, 0xcd, 0, 0}},
		{FRAME_LATER4, 7992, 1, {0xab, 0xcd, 0, 0}},
		{FRAME_FIRST6, 0, 1, {0x12, 0x34, 0x56, 0x78}},
		{FRAME_LATER6, 7992, 0, {0x12, 0x34, 0x56, 0x78}},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct frame f;
		struct sl_pkt p;
		frame_make(&f, rows[i].kind);
		CU_ASSERT_EQUAL_FATAL(parse(&f, 0, &p), SL_DROP_NONE);
		CU_ASSERT_EQUAL(p.frag_off, rows[i].off);
		CU_ASSERT_EQUAL(p.frag_more, rows[i].more);
		CU_ASSERT_EQUAL(memcmp(&p.frag_id, rows[i].id, 4), 0);
	}
}

/* RFC 7112: a chain that goes on in another fragment hides what it is. */
static void
a_first_ipv6_fragment_holds_all_headers(void)
{
	struct frame f;

	frame_make(&f, FRAME_FIRST6);
	for (unsigned part = 8; part <= 40; part += 8) {
		sl_store16(f.b + 18, sl_to_be16(8 + part));
		enum sl_drop why = parse(&f, 0, NULL);
		if (part < 16)
			CU_ASSERT_EQUAL(why, SL_DROP_EXT_HEADER)
		else
			CU_ASSERT_EQUAL(why, part < 16 + 20 ? SL_DROP_L4_HEADER : SL_DROP_NONE);
	}
}

static void
addresses_come_out_in_the_16_byte_form(void)
{
	struct sl_addr client4 = sl_addr_from_v4(frame_client4), vip4 = sl_addr_from_v4(frame_vip4);
	struct frame f;
	struct sl_pkt p;

	frame_make(&f, FRAME_UDP4);
	CU_ASSERT_EQUAL_FATAL(parse(&f, 0, &p), SL_DROP_NONE);
	CU_ASSERT_TRUE(sl_addr_eq(&p.tuple.src, &client4) && sl_addr_eq(&p.tuple.dst, &vip4));
	frame_make(&f, FRAME_ARP);
	CU_ASSERT_EQUAL_FATAL(parse(&f, 0, &p), SL_DROP_NONE);
	CU_ASSERT_TRUE(sl_addr_eq(&p.tuple.src, &client4) && sl_addr_eq(&p.tuple.dst, &vip4));
	frame_make(&f, FRAME_TCP6);
	CU_ASSERT_EQUAL_FATAL(parse(&f, 0, &p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(memcmp(p.tuple.src.b, frame_client6, 16), 0);
	CU_ASSERT_EQUAL(memcmp(p.tuple.dst.b, frame_vip6, 16), 0);
}

static void
what_an_earlier_turn_left_does_not_show(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_tuple clean;

	frame_make(&f, FRAME_ICMP4);
	CU_ASSERT_EQUAL_FATAL(parse(&f, 0, &p), SL_DROP_NONE);
	clean = p.tuple;
	memset(&p, 0xff, sizeof(p));
	p.data = f.b;
	p.len = (uint16_t)f.len;
	CU_ASSERT_EQUAL(sl_parse(&p), SL_DROP_L4_CSUM);
	p.flags = SL_PKT_TCP | SL_PKT_V6 | SL_PKT_BCAST | SL_PKT_DRY | SL_PKT_OWNED;
	CU_ASSERT_EQUAL(sl_parse(&p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(p.flags, SL_PKT_V4 | SL_PKT_ICMP | SL_PKT_DRY | SL_PKT_OWNED);
	CU_ASSERT_EQUAL(p.tcp_flags, 0);
	CU_ASSERT_EQUAL(memcmp(&p.tuple, &clean, sizeof(clean)), 0);
}

/* A good frame with up to three runs of bytes changed.  IPv4 checksum is made right again unless `wrong_sum`. */
struct row {
	const char *reason;
	enum frame_kind kind;
	enum sl_drop drop;
	struct {
		uint8_t at, n, to[4];
	} edit[3];
	uint16_t len; /* 0: as it is */
	uint16_t driver;
	bool wrong_sum;
};

#define AT1(at, a)                                                                                 \
	{                                                                                          \
		at, 1,                                                                             \
		{                                                                                  \
			a                                                                          \
		}                                                                                  \
	}
#define AT2(at, a, b)                                                                              \
	{                                                                                          \
		at, 2,                                                                             \
		{                                                                                  \
			a, b                                                                       \
		}                                                                                  \
	}
#define AT4(at, a, b, c, d)                                                                        \
	{                                                                                          \
		at, 4,                                                                             \
		{                                                                                  \
			a, b, c, d                                                                 \
		}                                                                                  \
	}

static const struct row rows[] = {
	{"no frame at all", FRAME_TCP4, SL_DROP_RUNT, .len = UINT16_MAX},
	{"no whole Ethernet header", FRAME_TCP4, SL_DROP_RUNT, .len = 13},
	{"no whole IPv4 header", FRAME_TCP4, SL_DROP_RUNT, .len = 33},
	{"no whole IPv6 header", FRAME_TCP6, SL_DROP_RUNT, .len = 53},
	{"no whole ARP packet", FRAME_ARP, SL_DROP_RUNT, .len = 41},
	{"VLAN tag", FRAME_TCP4, SL_DROP_ETHERTYPE, .edit = {AT2(12, 0x81, 0)}},
	{"802.3 length", FRAME_TCP4, SL_DROP_ETHERTYPE, .edit = {AT2(12, 0, 46)}},
	{"IPv6 under the EtherType of IPv4", FRAME_TCP4, SL_DROP_IP_VERSION,
	 .edit = {AT1(14, 0x65)}},
	{"IPv4 under the EtherType of IPv6", FRAME_TCP6, SL_DROP_IP_VERSION,
	 .edit = {AT1(14, 0x45)}},
	{"header of 16 bytes", FRAME_TCP4, SL_DROP_IP_HEADER, .edit = {AT1(14, 0x44)}},
	{"header longer than the packet", FRAME_TCP4, SL_DROP_IP_HEADER, .edit = {AT1(14, 0x4f)}},
	{"total length below the header", FRAME_TCP4, SL_DROP_IP_HEADER, .edit = {AT2(16, 0, 19)}},
	{"total length past the frame", FRAME_TCP4, SL_DROP_IP_HEADER, .edit = {AT2(16, 0, 41)}},
	{"payload length past the frame", FRAME_TCP6, SL_DROP_IP_HEADER, .edit = {AT2(18, 0, 28)}},
	{"checksum wrong", FRAME_TCP4, SL_DROP_IP_CSUM, .edit = {AT1(24, 1)}, .wrong_sum = true},
	{"checksum wrong under options", FRAME_TCP4_OPTIONS, SL_DROP_IP_CSUM, .edit = {AT1(40, 1)},
	 .wrong_sum = true},
	{"checksum verified by the NIC", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(24, 1)},
	 .wrong_sum = true, .driver = SL_PKT_IP_CSUM_OK},
	{"loose source route", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS, .edit = {AT2(34, 131, 7)}},
	{"strict source route", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS, .edit = {AT2(35, 137, 7)}},
	{"option of length 0", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS, .edit = {AT2(34, 7, 0)}},
	{"option of length 1", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS, .edit = {AT2(34, 7, 1)}},
	{"option past the header", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS, .edit = {AT2(34, 7, 9)}},
	{"option type in the last byte", FRAME_TCP4_OPTIONS, SL_DROP_IP_OPTIONS,
	 .edit = {AT4(34, 1, 1, 1, 1), AT4(38, 1, 1, 1, 7)}},
	{"source route behind the end of options", FRAME_TCP4_OPTIONS, SL_DROP_NONE,
	 .edit = {AT2(34, 0, 131)}},
	{"record route", FRAME_TCP4_OPTIONS, SL_DROP_NONE, .edit = {AT4(34, 7, 7, 4, 0)}},
	{"source 0.0.0.0", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(26, 0, 0, 0, 0)}},
	{"source 0.1.2.3", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(26, 0, 1, 2, 3)}},
	{"source 127.0.0.1", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(26, 127, 0, 0, 1)}},
	{"source 224.0.0.1", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(26, 224, 0, 0, 1)}},
	{"source 239.255.0.1", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(26, 239, 255, 0, 1)}},
	{"source 255.255.255.255", FRAME_TCP4, SL_DROP_MARTIAN,
	 .edit = {AT4(26, 255, 255, 255, 255)}},
	{"destination 0.0.0.0", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(30, 0, 0, 0, 0)}},
	{"destination 127.1.2.3", FRAME_TCP4, SL_DROP_MARTIAN, .edit = {AT4(30, 127, 1, 2, 3)}},
	{"destination multicast is for the pipeline to refuse", FRAME_UDP4, SL_DROP_NONE,
	 .edit = {AT4(30, 224, 0, 0, 251)}},
	{"source ::1", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(22, 0, 0, 0, 0), AT2(26, 0, 0), AT1(37, 1)}},
	{"source ::", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(22, 0, 0, 0, 0), AT2(26, 0, 0), AT1(37, 0)}},
	{"source :: in an echo request", FRAME_ICMP6, SL_DROP_MARTIAN,
	 .edit = {AT4(22, 0, 0, 0, 0), AT2(26, 0, 0), AT1(37, 0)}},
	{"source :: in an advertisement", FRAME_DAD, SL_DROP_MARTIAN, .edit = {AT1(54, 136)}},
	{"source :: in a router solicitation", FRAME_DAD, SL_DROP_NONE, .edit = {AT1(54, 133)}},
	{"source multicast", FRAME_UDP6, SL_DROP_MARTIAN, .edit = {AT2(22, 0xff, 2)}},
	{"destination ::1", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(38, 0, 0, 0, 0), AT2(42, 0, 0), AT2(52, 0, 1)}},
	{"destination ::", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(38, 0, 0, 0, 0), AT2(42, 0, 0), AT2(52, 0, 0)}},
	{"source v4-mapped", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(22, 0, 0, 0, 0), AT2(32, 0xff, 0xff), AT4(34, 198, 51, 100, 7)}},
	{"destination v4-mapped", FRAME_TCP6, SL_DROP_MARTIAN,
	 .edit = {AT4(38, 0, 0, 0, 0), AT4(42, 0, 0, 0, 0), AT4(48, 0xff, 0xff, 192, 0)}},
	{"first fragment that is no multiple of 8", FRAME_UDP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(20, 0x20, 0)}},
	{"first fragment of 8 bytes", FRAME_UDP4, SL_DROP_NONE,
	 .edit = {AT2(16, 0, 28), AT2(20, 0x20, 0)}},
	{"UDP length that ends in the first fragment", FRAME_UDP4, SL_DROP_L4_HEADER,
	 .edit = {AT2(16, 0, 28), AT2(20, 0x20, 0), AT2(38, 0, 8)}},
	{"fragment without payload", FRAME_UDP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(16, 0, 20), AT2(20, 0x20, 2)}},
	{"last fragment without payload", FRAME_UDP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(16, 0, 20), AT2(20, 0, 2)}},
	{"last fragment", FRAME_UDP4, SL_DROP_NONE, .edit = {AT2(20, 0, 1)}},
	{"middle fragment that is no multiple of 8", FRAME_UDP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(20, 0x20, 9)}},
	{"middle fragment", FRAME_UDP4, SL_DROP_NONE, .edit = {AT2(16, 0, 28), AT2(20, 0x20, 9)}},
	{"fragment past 65535", FRAME_UDP4, SL_DROP_FRAGMENT, .edit = {AT2(20, 0x1f, 0xff)}},
	{"fragment to 65537 with its header", FRAME_UDP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(20, 0x1f, 0xfc)}},
	{"fragment to 65529", FRAME_UDP4, SL_DROP_NONE, .edit = {AT2(20, 0x1f, 0xfb)}},
	{"first TCP fragment without its header", FRAME_TCP4_OPTIONS, SL_DROP_L4_HEADER,
	 .edit = {AT2(16, 0, 44), AT2(20, 0x20, 0)}},
	{"first TCP fragment", FRAME_TCP4_OPTIONS, SL_DROP_NONE, .edit = {AT2(20, 0x20, 0)}},
	{"first TCP fragment, SYN+FIN", FRAME_TCP4_OPTIONS, SL_DROP_TCP_FLAGS,
	 .edit = {AT2(20, 0x20, 0), AT1(55, 3)}},
	{"TCP fragment at 8", FRAME_TCP4, SL_DROP_FRAGMENT, .edit = {AT2(20, 0, 1)}},
	{"TCP fragment at 16", FRAME_TCP4, SL_DROP_FRAGMENT, .edit = {AT2(20, 0, 2)}},
	{"TCP fragment at 24", FRAME_TCP4, SL_DROP_NONE, .edit = {AT2(20, 0, 3)}},
	{"first ICMP fragment", FRAME_ICMP4, SL_DROP_FRAGMENT,
	 .edit = {AT2(16, 0, 36), AT2(20, 0x20, 0)}},
	{"later ICMP fragment", FRAME_ICMP4, SL_DROP_FRAGMENT, .edit = {AT2(20, 0, 1)}},
	{"later fragment of SCTP", FRAME_TCP4, SL_DROP_PROTOCOL,
	 .edit = {AT1(23, 132), AT2(20, 0, 3)}},
	{"options in the next header of IPv4", FRAME_TCP4, SL_DROP_PROTOCOL,
	 .edit = {AT1(23, 60), AT2(20, 0, 3)}},
	{"a NIC's word on a fragment's checksum", FRAME_UDP4, SL_DROP_NONE, .edit = {AT2(20, 0, 1)},
	 .driver = SL_PKT_L4_CSUM_BAD},
	{"source 127.0.0.1 in a fragment", FRAME_UDP4, SL_DROP_MARTIAN,
	 .edit = {AT2(20, 0, 1), AT4(26, 127, 0, 0, 1)}},
	{"first IPv6 fragment that is no multiple of 8", FRAME_ATOMIC_FRAGMENT, SL_DROP_FRAGMENT,
	 .edit = {AT2(56, 0, 1)}},
	{"first IPv6 fragment without its TCP header", FRAME_ATOMIC_FRAGMENT, SL_DROP_L4_HEADER,
	 .edit = {AT2(56, 0, 1), AT2(18, 0, 24)}},
	{"later IPv6 fragment", FRAME_ATOMIC_FRAGMENT, SL_DROP_NONE, .edit = {AT2(56, 1, 0)}},
	{"later IPv6 fragment, options first", FRAME_ATOMIC_FRAGMENT, SL_DROP_NONE,
	 .edit = {AT2(56, 1, 0), AT1(54, 60)}},
	{"later IPv6 fragment, routing first", FRAME_ATOMIC_FRAGMENT, SL_DROP_PROTOCOL,
	 .edit = {AT2(56, 1, 0), AT1(54, 43)}},
	{"later IPv6 fragment of ICMPv6", FRAME_ATOMIC_FRAGMENT, SL_DROP_FRAGMENT,
	 .edit = {AT2(56, 1, 0), AT1(54, 58)}},
	{"IPv6 TCP fragment at 8", FRAME_ATOMIC_FRAGMENT, SL_DROP_FRAGMENT,
	 .edit = {AT2(56, 0, 8)}},
	{"IPv6 fragment to 65540", FRAME_ATOMIC_FRAGMENT, SL_DROP_FRAGMENT,
	 .edit = {AT2(56, 0xff, 0xf0)}},
	{"IPv6 fragment to 65532", FRAME_ATOMIC_FRAGMENT, SL_DROP_NONE,
	 .edit = {AT2(56, 0xff, 0xe8)}},
	{"IPv6 fragment without payload", FRAME_ATOMIC_FRAGMENT, SL_DROP_FRAGMENT,
	 .edit = {AT2(56, 1, 0), AT2(18, 0, 8)}},
	{"fragment header cut", FRAME_ATOMIC_FRAGMENT, SL_DROP_EXT_HEADER,
	 .edit = {AT2(56, 1, 0), AT2(18, 0, 7)}},
	{"reserved bits of a fragment header", FRAME_ATOMIC_FRAGMENT, SL_DROP_NONE,
	 .edit = {AT1(55, 255), AT2(56, 0, 6)}},
	{"TTL 0 is for the forwarder to refuse", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(22, 0)}},
	{"hop limit 0 is for the forwarder to refuse", FRAME_TCP6, SL_DROP_NONE,
	 .edit = {AT1(21, 0)}},
	{"extension longer than the packet", FRAME_HOP_BY_HOP, SL_DROP_EXT_HEADER,
	 .edit = {AT1(55, 3)}},
	{"extension type without an extension", FRAME_TCP6, SL_DROP_EXT_HEADER,
	 .edit = {AT1(20, 60), AT2(18, 0, 7)}},
	{"hop-by-hop option past its header", FRAME_HOP_BY_HOP, SL_DROP_EXT_HEADER,
	 .edit = {AT1(57, 5)}},
	{"hop-by-hop option that asks to discard", FRAME_HOP_BY_HOP, SL_DROP_EXT_HEADER,
	 .edit = {AT1(56, 0x41)}},
	{"jumbo payload", FRAME_HOP_BY_HOP, SL_DROP_EXT_HEADER, .edit = {AT1(56, 0xc2)}},
	{"router alert", FRAME_HOP_BY_HOP, SL_DROP_NONE, .edit = {AT4(56, 5, 2, 0, 0)}},
	{"hop-by-hop not first", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER, .edit = {AT1(62, 0)}},
	{"hop-by-hop twice", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER, .edit = {AT1(54, 0)}},
	{"routing type 0", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER, .edit = {AT1(72, 0)}},
	{"routing with segments left", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER,
	 .edit = {AT1(73, 1)}},
	{"routing twice", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER, .edit = {AT1(70, 43)}},
	{"destination options three times", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER,
	 .edit = {AT1(62, 60)}},
	{"a fifth extension", FRAME_FOUR_EXTENSIONS, SL_DROP_EXT_HEADER, .edit = {AT1(78, 44)}},
	{"destination option of unknown kind", FRAME_FOUR_EXTENSIONS, SL_DROP_NONE,
	 .edit = {AT1(80, 0xc9)}},
	{"NIC found the transport checksum wrong", FRAME_TCP4, SL_DROP_L4_CSUM,
	 .driver = SL_PKT_L4_CSUM_BAD},
	{"no whole TCP header", FRAME_TCP4, SL_DROP_L4_HEADER, .edit = {AT2(16, 0, 39)}},
	{"no whole UDP header", FRAME_UDP4, SL_DROP_L4_HEADER, .edit = {AT2(16, 0, 27)}},
	{"no whole ICMP header", FRAME_ICMP4, SL_DROP_L4_HEADER, .edit = {AT2(16, 0, 27)}},
	{"no whole TCP header in IPv6", FRAME_TCP6, SL_DROP_L4_HEADER, .edit = {AT2(18, 0, 19)}},
	{"nothing behind IPv6", FRAME_TCP6, SL_DROP_L4_HEADER, .edit = {AT2(18, 0, 0)}},
	{"nothing behind IPv4", FRAME_TCP4, SL_DROP_L4_HEADER, .edit = {AT2(16, 0, 20)}},
	{"TCP header of 16 bytes", FRAME_TCP4, SL_DROP_L4_HEADER, .edit = {AT1(46, 0x40)}},
	{"TCP header past the packet", FRAME_TCP4, SL_DROP_L4_HEADER, .edit = {AT1(46, 0x60)}},
	{"TCP header a byte past the packet", FRAME_TCP6, SL_DROP_L4_HEADER,
	 .edit = {AT1(66, 0x70)}},
	{"UDP length too short", FRAME_UDP4, SL_DROP_L4_HEADER, .edit = {AT2(38, 0, 12)}},
	{"UDP length too long", FRAME_UDP4, SL_DROP_L4_HEADER, .edit = {AT2(38, 0, 14)}},
	{"UDP length 0", FRAME_UDP6, SL_DROP_L4_HEADER, .edit = {AT2(58, 0, 0)}},
	{"no TCP flags", FRAME_TCP4, SL_DROP_TCP_FLAGS, .edit = {AT1(47, 0)}},
	{"only ECN flags", FRAME_TCP4, SL_DROP_TCP_FLAGS, .edit = {AT1(47, 0xc0)}},
	{"SYN+FIN", FRAME_TCP4, SL_DROP_TCP_FLAGS, .edit = {AT1(47, 3)}},
	{"SYN+FIN+ACK", FRAME_TCP6, SL_DROP_TCP_FLAGS, .edit = {AT1(67, 19)}},
	{"SYN+RST", FRAME_TCP4, SL_DROP_TCP_FLAGS, .edit = {AT1(47, 6)}},
	{"all flags", FRAME_TCP4, SL_DROP_TCP_FLAGS, .edit = {AT1(47, 63)}},
	{"SYN", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(47, 2)}},
	{"SYN with ECN", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(47, 0xc2)}},
	{"FIN+ACK", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(47, 17)}},
	{"RST", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(47, 4)}},
	{"URG+PSH+ACK", FRAME_TCP4, SL_DROP_NONE, .edit = {AT1(47, 56)}},
	{"ICMPv6 in IPv4", FRAME_ICMP4, SL_DROP_PROTOCOL, .edit = {AT1(23, 58)}},
	{"ICMP in IPv6", FRAME_ICMP6, SL_DROP_PROTOCOL, .edit = {AT1(20, 1)}},
	{"SCTP", FRAME_TCP4, SL_DROP_PROTOCOL, .edit = {AT1(23, 132)}},
	{"ESP", FRAME_TCP6, SL_DROP_PROTOCOL, .edit = {AT1(20, 50)}},
	{"AH", FRAME_TCP6, SL_DROP_PROTOCOL, .edit = {AT1(20, 51)}},
	{"no next header", FRAME_TCP6, SL_DROP_PROTOCOL, .edit = {AT1(20, 59)}},
	{"IPv4 in IPv6", FRAME_TCP6, SL_DROP_PROTOCOL, .edit = {AT1(20, 4)}},
	{"ARP for Token Ring", FRAME_ARP, SL_DROP_ARP_BAD, .edit = {AT2(14, 0, 6)}},
	{"ARP for IPv6", FRAME_ARP, SL_DROP_ARP_BAD, .edit = {AT2(16, 0x86, 0xdd)}},
	{"ARP with long MACs", FRAME_ARP, SL_DROP_ARP_BAD, .edit = {AT1(18, 8)}},
	{"ARP with long addresses", FRAME_ARP, SL_DROP_ARP_BAD, .edit = {AT1(19, 16)}},
};

static void
apply(const struct row *r, struct frame *f)
{
	frame_make(f, r->kind);
	for (size_t i = 0; i < SL_ARRAY_CNT(r->edit); i++)
		memcpy(f->b + r->edit[i].at, r->edit[i].to, r->edit[i].n);
	if (f->b[12] == 8 && f->b[13] == 0 && !r->wrong_sum)
		frame_sum4(f);
	if (r->len)
		f->len = r->len == UINT16_MAX ? 0 : r->len;
}

static void
a_bad_frame_is_refused_with_its_reason(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct frame f;
		apply(&rows[i], &f);
		enum sl_drop why = parse(&f, rows[i].driver, NULL);
		if (why != rows[i].drop)
			printf("  row \"%s\": %s, expected %s\n", rows[i].reason, sl_drop_name(why),
			       sl_drop_name(rows[i].drop));
		CU_ASSERT_EQUAL(why, rows[i].drop);
	}
}

static void
every_reason_of_parse_has_a_row(void)
{
	static const enum sl_drop reasons[] = {
		SL_DROP_RUNT,     SL_DROP_ETHERTYPE,  SL_DROP_IP_VERSION, SL_DROP_IP_HEADER,
		SL_DROP_IP_CSUM,  SL_DROP_IP_OPTIONS, SL_DROP_MARTIAN,    SL_DROP_FRAGMENT,
		SL_DROP_L4_CSUM,  SL_DROP_EXT_HEADER, SL_DROP_L4_HEADER,  SL_DROP_TCP_FLAGS,
		SL_DROP_PROTOCOL, SL_DROP_ARP_BAD};
	bool seen[SL_DROP_CNT] = {false};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
		seen[rows[i].drop] = true;
	for (size_t i = 0; i < SL_ARRAY_CNT(reasons); i++)
		CU_ASSERT_TRUE(seen[reasons[i]]);
}

static void
a_frame_cut_at_any_byte_is_refused(void)
{
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++) {
		struct frame f;
		frame_make(&f, (enum frame_kind)kind);
		for (unsigned whole = f.len; f.len-- > 0;) {
			CU_ASSERT_NOT_EQUAL(parse(&f, 0, NULL), SL_DROP_NONE);
			CU_ASSERT_NOT_EQUAL(parse(&f, SL_PKT_IP_CSUM_OK, NULL), SL_DROP_NONE);
			CU_ASSERT_FATAL(f.len < whole);
		}
	}
}

static void
extension_headers_past_byte_255_are_refused(void)
{
	struct frame f;
	struct sl_pkt p;

	for (unsigned size = 192; size <= 216; size += 8) {
		frame_ip6(&f, 60);
		frame_ext(&f, SL_IPPROTO_UDP, size);
		frame_end6(&f, SL_IPPROTO_UDP, 0);
		enum sl_drop why = parse(&f, 0, &p);
		if (14 + 40 + size <= 255) {
			CU_ASSERT_EQUAL(why, SL_DROP_NONE);
			CU_ASSERT_EQUAL(p.l4_off, 54 + size);
		} else {
			CU_ASSERT_EQUAL(why, SL_DROP_EXT_HEADER);
		}
	}
}

/* What holds for any packet that is let through. */
static void
check_accepted(const struct sl_pkt *p, unsigned len)
{
	bool v4 = p->flags & SL_PKT_V4, v6 = p->flags & SL_PKT_V6, arp = p->flags & SL_PKT_ARP;
	bool tcp = p->flags & SL_PKT_TCP, udp = p->flags & SL_PKT_UDP,
	     icmp = p->flags & SL_PKT_ICMP;

	CU_ASSERT_EQUAL(v4 + v6 + arp, 1);
	bool frag = p->flags & SL_PKT_FRAG, later = p->flags & SL_PKT_FRAG_LATER;
	/* what follows a later fragment's header in IPv6 may be options */
	CU_ASSERT_TRUE(tcp + udp + icmp == (arp ? 0 : 1) ||
		       (later && v6 && p->tuple.proto == 60 && tcp + udp + icmp == 0));
	CU_ASSERT_FALSE((frag && icmp) || (later && !frag));
	CU_ASSERT_TRUE(!frag || (p->frag_off % 8 == 0 && (p->frag_off != 0) == later));
	CU_ASSERT_TRUE(!later || (p->tuple.sport | p->tuple.dport) == 0);
	CU_ASSERT_TRUE(!frag || p->frag_off + p->l4_len <= 65535);
	CU_ASSERT_TRUE(p->len <= len);
	CU_ASSERT_EQUAL(p->l4_off + p->l4_len, p->len);
	CU_ASSERT_TRUE(arp || p->l4_len >= (later ? 1u : tcp ? 20u : 8u));
	CU_ASSERT_EQUAL(sl_addr_is_v4(&p->tuple.dst), v4 || arp);
	CU_ASSERT_EQUAL(sl_addr_is_v4(&p->tuple.src), v4 || arp);
	CU_ASSERT_TRUE(arp || sl_addr_dst_ok(&p->tuple.dst));
	CU_ASSERT_TRUE(arp || (p->flags & SL_PKT_ND) || sl_addr_src_ok(&p->tuple.src));
}

static void
mutated_frames_are_refused_or_sound(void)
{
	uint8_t *guarded = guard_buf(sizeof(((struct frame *)0)->b));
	unsigned accepted = 0;

	srandom(20260);
	for (unsigned round = 0; round < 150000; round++) {
		struct frame f;
		frame_make(&f, (enum frame_kind)(random() % FRAME_KINDS));
		for (long n = random() % 4; n >= 0; n--)
			f.b[random() % (f.len + 4)] = (uint8_t)random();
		if (round % 8 == 0)
			f.len = (unsigned)(random() % (f.len + 1));
		else if (round % 8 == 1)
			f.len += 4;
		struct sl_pkt p = {.data = guarded + sizeof(f.b) - f.len,
				   .len = (uint16_t)f.len,
				   .flags = round & 16 ? SL_PKT_IP_CSUM_OK : 0};
		memcpy(p.data, f.b, f.len);
		if (sl_parse(&p) != SL_DROP_NONE)
			continue;
		accepted++;
		check_accepted(&p, f.len);
	}
	guard_free(guarded, sizeof(((struct frame *)0)->b));
	CU_ASSERT_TRUE(accepted > 10000);
}

SL_SUITE("parse", SL_TEST(a_good_frame_is_told_what_it_is), SL_TEST(fragments_are_told_their_place),
	 SL_TEST(a_first_ipv6_fragment_holds_all_headers),
	 SL_TEST(addresses_come_out_in_the_16_byte_form),
	 SL_TEST(what_an_earlier_turn_left_does_not_show),
	 SL_TEST(a_bad_frame_is_refused_with_its_reason), SL_TEST(every_reason_of_parse_has_a_row),
	 SL_TEST(a_frame_cut_at_any_byte_is_refused),
	 SL_TEST(extension_headers_past_byte_255_are_refused),
	 SL_TEST(mutated_frames_are_refused_or_sound))

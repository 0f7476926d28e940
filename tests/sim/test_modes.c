/* The five forwarding modes, both families, both protocols, 1 to 3 workers, with and without RSS.  What leaves is compared
 * byte by byte with a frame that is made afresh from what should leave; outer headers are put down field by field. */
#include "tests/suite.h"

#include "dataplane/worker_priv.h"
#include "lb/flow_adopt.h"
#include "tests/sim/bed.h"

static const char *const vip4[] = {"192.0.2.1", "192.0.2.2", "192.0.2.10", "192.0.2.11",
				   "192.0.2.12"};
static const char *const vip6[] = {"2001:db8::1", "2001:db8::2", "2001:db8::10", "2001:db8::11",
				   "2001:db8::12"};

static const struct {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {1, true}, {2, false}, {2, true}, {3, false}, {3, true}, {5, false}};

enum { M_NAT, M_DSR, M_FULLNAT, M_IPIP, M_GUE };

/* Tunnels by listener: outer family by the endpoints', inner by the VIP's. */
static const struct tunnel_row {
	const char *vip;
	bool gue, v4;
} tunnels[] = {
	{"192.0.2.11", false, true},    {"192.0.2.12", true, true},
	{"192.0.2.13", false, false},   {"192.0.2.14", true, false},
	{"2001:db8::11", false, false}, {"2001:db8::12", true, false},
	{"2001:db8::13", false, true},  {"2001:db8::14", true, true},
};

static const char *const sources[] = {"10.0.2.200", "10.0.2.201", "fd00:2::200", "fd00:2::201"};

static bool
is_source(const struct sl_addr *a)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(sources); i++) {
		struct sl_addr s = frame_addr(sources[i]);
		if (sl_addr_eq(a, &s))
			return true;
	}
	return false;
}

/* Variants of the table. */
enum {
	NARROW = 1, /* fullnat: one source and one endpoint */
	SPREAD = 2, /* ipip: outer sources from a prefix */
};

/* Services f4, f6 (fullnat), i4, i6 (ipip), g4, g6 (gue); their listeners end in 10 to 12, and 13, 14 lead to i and g of
 * the other family. */
static char *
table(unsigned variant)
{
	static const char *const name[] = {"f", "i", "g"};
	static const char *const mode[] = {"fullnat", "ipip", "gue"};
	struct table_text more = {0}, ls = {0};

	for (unsigned i = 0; i < 6; i++) {
		const char *net = i % 2 ? "fd00:2::" : "10.0.2.";
		bool narrow = variant & NARROW, full = i < 2;
		table_append(&more, ",{ name = \"%s%u\"; forward = \"%s\"; max_endpoints = 10;\n",
			     name[i / 2], i % 2 ? 6 : 4, mode[i / 2]);
		if (full)
			table_append(&more, "sources = ( \"%s200\"%s%s%s ); ", net,
				     narrow ? "" : ", \"", narrow ? "" : net,
				     narrow ? "" : "201\"");
		if (i == 2 && (variant & SPREAD))
			table_append(&more, "tunnel_source = \"172.16.0.0/16\"; ");
		table_append(&more,
			     "endpoints = ( { name = \"a\"; address = \"%s11\"; port = %u; }", net,
			     full ? 8080 : 0);
		if (!full || !narrow)
			table_append(&more, ",{ name = \"b\"; address = \"%s12\"; port = %u; }",
				     net, full ? 8080 : 0);
		table_append(&more, " ); }\n");
	}
	for (unsigned i = 0; i < 20; i++) {
		unsigned which = i / 4, udp = i % 2, six = i / 2 % 2, other = which > 2;
		table_append(&ls,
			     ",{ name = \"m%u\"; address = \"%s%u\"; port = 80; protocol = \"%s\"; "
			     "mode = \"l4\"; service = \"%s%u\"; }\n",
			     i, six ? "2001:db8::" : "192.0.2.", 10 + which, udp ? "udp" : "tcp",
			     name[other ? which - 2 : which], six != other ? 6 : 4);
	}
	char *text = bed_table(more.buf, ls.buf);
	free(more.buf);
	free(ls.buf);
	return text;
}

static void
start_with(const struct rig_conf *c, unsigned variant)
{
	char *text = table(variant);

	bed_start(c, text);
	free(text);
}

static void
start(unsigned workers, bool rss)
{
	struct rig_conf c = {.workers = workers, .flows = 8192, .seed = 77 + workers, .rss = rss};

	start_with(&c, 0);
}

static void
put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static uint32_t
sum16(const uint8_t *b, unsigned n, uint32_t s)
{
	for (unsigned i = 0; i < n; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static bool
same_tuple(const struct sl_tuple *a, const struct sl_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* `in`, as it must leave: as tuple t, TTL one less, on `port` to next. */
static unsigned
expected(const struct frame_spec *in, const struct sl_tuple *t, unsigned port,
	 const struct sl_addr *next, uint8_t *frame)
{
	struct frame_spec s = *in;

	s.t = *t;
	s.ttl = (uint8_t)((in->ttl ? in->ttl : 64) - 1);
	memcpy(s.smac, rig_mac(bed.rig, port), 6);
	bed_mac(next, s.dmac);
	return frame_make(&s, frame);
}

static void
judge(const struct bed_frame *f, const struct frame_spec *in, const struct sl_tuple *t,
      unsigned port, const struct sl_addr *next)
{
	uint8_t want[RIG_FRAME];
	unsigned len = expected(in, t, port, next, want);

	CU_ASSERT_EQUAL(f->port, port);
	CU_ASSERT_EQUAL_FATAL(f->len, len);
	CU_ASSERT_EQUAL(memcmp(f->bytes, want, len), 0);
}

/* Which endpoint the packet went to: by its MAC. */
static struct sl_addr
endpoint_of(const struct bed_frame *f, bool v4)
{
	static const char *const name[] = {"10.0.2.11", "10.0.2.12", "fd00:2::11", "fd00:2::12"};

	for (unsigned i = v4 ? 0 : 2; i < (v4 ? 2u : 4u); i++) {
		struct sl_addr a = frame_addr(name[i]);
		uint8_t mac[6];
		bed_mac(&a, mac);
		if (memcmp(f->bytes, mac, 6) == 0)
			return a;
	}
	CU_FAIL_FATAL("went to no endpoint");
	return (struct sl_addr){0};
}

static struct sl_addr
router(bool v4)
{
	return frame_addr(v4 ? "10.0.1.254" : "fd00:1::fe");
}

static struct frame_spec
client_packet(bool v4, const char *vip, unsigned n, uint8_t proto, uint8_t flags)
{
	char src[64];

	snprintf(src, sizeof(src), v4 ? "198.51.100.%u" : "2001:db8:c::%u", 1 + n % 200);
	struct frame_spec s =
		bed_packet(src, n ? 10000 + n : 0, vip, 80, proto, proto == 6 ? flags : 0);
	s.payload = (uint16_t)(5 + n * 7 % 600);
	s.seq = n * 3 + 1;
	return s;
}

static unsigned
bucket(const struct sl_tuple *t)
{
	return sl_rss_bucket(sl_rss_hash(rig_rss(bed.rig), t));
}

/* ---- byte for byte ---- */

static void
nat_dsr_fullnat(unsigned mode, bool v4, uint8_t proto, unsigned n)
{
	const char *vip = v4 ? vip4[mode] : vip6[mode];
	struct frame_spec s = client_packet(v4, vip, n, proto, SL_TCP_SYN);
	struct sl_addr client_router = router(v4);

	for (unsigned round = 0; round < 3; round++) {
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		struct bed_frame out = bed.sent[0];
		struct sl_addr ep = endpoint_of(&out, v4);
		struct sl_tuple t = s.t, left = frame_tuple(out.bytes);
		if (mode != M_DSR) {
			t.dst = ep;
			t.dport = sl_to_be16(8080);
		}
		if (mode == M_FULLNAT) {
			CU_ASSERT_TRUE(is_source(&left.src));
			CU_ASSERT_TRUE(sl_from_be16(left.sport) >= 1024);
			t.src = left.src;
			t.sport = left.sport;
		}
		judge(&out, &s, &t, BED_BACK, &ep);
		s.tcp_flags = proto == 6 ? SL_TCP_ACK : 0;
		s.seq += 11;
		if (mode == M_DSR)
			continue;
		struct frame_spec a = bed_answer(&out, SL_TCP_ACK);
		a.payload = 300;
		CU_ASSERT_EQUAL(mode == M_FULLNAT ? bucket(&a.t) : 0,
				mode == M_FULLNAT ? bucket(&s.t) : 0);
		CU_ASSERT_EQUAL_FATAL(bed_give(&a, BED_BACK), 1);
		struct sl_tuple back = {.src = s.t.dst,
					.dst = s.t.src,
					.sport = s.t.dport,
					.dport = s.t.sport,
					.proto = proto};
		judge(&bed.sent[0], &a, &back, BED_FRONT, &client_router);
		/* the next packet of the client leaves as the first did */
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		struct sl_tuple again = frame_tuple(bed.sent[0].bytes);
		CU_ASSERT_TRUE(same_tuple(&again, &left));
		judge(&bed.sent[0], &s, &t, BED_BACK, &ep);
	}
}

static void
every_mode_without_tunnel_gives_the_right_bytes(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned mode = M_NAT; mode <= M_FULLNAT; mode++)
			for (unsigned k = 0; k < 4; k++)
				for (unsigned n = 0; n < 12; n++)
					nat_dsr_fullnat(mode, k & 1, k & 2 ? 6 : 17, n);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_FLOW), 0);
		bed_stop();
	}
}

/* The outer IP header and what follows it before the inner packet; its length.  The source, the flow label and the UDP
 * source port are those that came. */
static unsigned
outer(uint8_t *o, bool gue, bool v4, bool inner_v4, const uint8_t *inner, unsigned len,
      const struct sl_addr *src, const struct sl_addr *dst, const uint8_t *came)
{
	unsigned l3 = v4 ? 20 : 40, more = gue ? 12 : 0;
	uint8_t proto = inner_v4 ? 4 : 41, *u = o + l3;

	memset(o, 0, 64);
	if (v4) {
		o[0] = 0x45;
		put16(o + 2, 20 + more + len);
		o[6] = 0x40;
		o[8] = 64;
		o[9] = gue ? 17 : proto;
		memcpy(o + 12, src->b + 12, 4);
		memcpy(o + 16, dst->b + 12, 4);
		put16(o + 10, ~sum16(o, 20, 0) & 0xffff);
	} else {
		memcpy(o, came, 4);
		o[0] = 0x60;
		o[1] &= 0x0f;
		put16(o + 4, more + len);
		o[6] = gue ? 17 : proto;
		o[7] = 64;
		memcpy(o + 8, src->b, 16);
		memcpy(o + 24, dst->b, 16);
	}
	if (!gue)
		return l3;
	memcpy(u, came + l3, 2);
	put16(u + 2, 6080);
	put16(u + 4, 12 + len);
	u[9] = proto;
	if (!v4) {
		uint8_t tail[4] = {0, 17, (uint8_t)((12 + len) >> 8), (uint8_t)(12 + len)};
		uint32_t s = sum16(u, 12, sum16(tail, 4, sum16(o + 8, 32, 0)));
		s = ~sum16(inner, len, s) & 0xffff;
		put16(u + 6, s ? s : 0xffff);
	}
	return l3 + 12;
}

static void
judge_tunnel(const struct bed_frame *f, const struct frame_spec *in, bool gue, bool v4,
	     const struct sl_addr *src)
{
	uint8_t plain[RIG_FRAME], want[RIG_FRAME];
	struct sl_addr ep = endpoint_of(f, v4);
	bool inner_v4 = sl_addr_is_v4(&in->t.dst);
	unsigned len = expected(in, &in->t, BED_BACK, &ep, plain);
	struct sl_addr came = v4 ? sl_addr_from_v4(f->bytes + 26) : sl_addr_from_v6(f->bytes + 22);

	memcpy(want, plain, 12);
	put16(want + 12, v4 ? 0x0800 : 0x86dd);
	unsigned n = outer(want + 14, gue, v4, inner_v4, plain + 14, len - 14, src ? src : &came,
			   &ep, f->bytes + 14);
	memcpy(want + 14 + n, plain + 14, len - 14);
	CU_ASSERT_EQUAL(f->port, BED_BACK);
	CU_ASSERT_EQUAL_FATAL(f->len, len + n);
	CU_ASSERT_EQUAL(memcmp(f->bytes, want, len + n), 0);
}

static void
tunnels_give_the_right_bytes(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		struct sl_addr own4 = frame_addr("10.0.2.1"), own6 = frame_addr("fd00:2::1");
		for (unsigned r = 0; r < SL_ARRAY_CNT(tunnels); r++)
			for (unsigned n = 0; n < 24; n++) {
				const struct tunnel_row *row = &tunnels[r];
				struct frame_spec s = client_packet(strchr(row->vip, '.'), row->vip,
								    n, n & 1 ? 6 : 17, SL_TCP_SYN);
				for (unsigned k = 0; k < 3; k++) {
					CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
					judge_tunnel(&bed.sent[0], &s, row->gue, row->v4,
						     row->v4 ? &own4 : &own6);
					s.tcp_flags = n & 1 ? SL_TCP_ACK : 0;
					s.seq++;
				}
			}
		bed_stop();
	}
}

static void
outer_sources_are_spread_and_agreed(void)
{
	struct sl_addr first[64];
	unsigned distinct = 0;

	for (unsigned gateway = 0; gateway < 2; gateway++) {
		struct rig_conf c = {.workers = gateway ? 3 : 1, .flows = 8192, .seed = 77};
		start_with(&c, SPREAD);
		for (unsigned n = 0; n < 64; n++) {
			struct frame_spec s = client_packet(true, vip4[M_IPIP], n, 6, SL_TCP_SYN);
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			struct sl_addr src = sl_addr_from_v4(bed.sent[0].bytes + 26);
			judge_tunnel(&bed.sent[0], &s, false, true, NULL);
			CU_ASSERT_EQUAL(src.b[12], 172);
			CU_ASSERT_EQUAL(src.b[13], 16);
			if (gateway == 0)
				first[n] = src;
			else
				CU_ASSERT_TRUE(sl_addr_eq(&first[n], &src));
			for (unsigned k = 0; k < n; k++)
				distinct += sl_addr_eq(&first[k], &src) ? 0 : 1;
			/* the flow keeps it */
			s.tcp_flags = SL_TCP_ACK;
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			struct sl_addr next = sl_addr_from_v4(bed.sent[0].bytes + 26);
			CU_ASSERT_TRUE(sl_addr_eq(&next, &src));
		}
		bed_stop();
	}
	CU_ASSERT_TRUE(distinct > 2 * 64 * 63 / 2 - 40);
}

/* ---- ports of fullnat ---- */

static uint64_t
ports_used(void)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		for (unsigned s = 0; s < 64; s++)
			n += sl_stats_services(rig_stats_segment(bed.rig), w)[s].ports_used;
	return n;
}

static uint64_t
ports_out(void)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		for (unsigned s = 0; s < 64; s++)
			n += sl_stats_services(rig_stats_segment(bed.rig), w)[s].ports_out;
	return n;
}

/* The n-th client whose packets belong to bucket 5. */
static struct frame_spec
client_of_bucket(bool v4, unsigned *n)
{
	for (;;) {
		struct frame_spec s =
			bed_packet(v4 ? "198.51.100.7" : "2001:db8:c::7", 1,
				   v4 ? vip4[M_FULLNAT] : vip6[M_FULLNAT], 80, 6, SL_TCP_SYN);
		unsigned i = (*n)++;
		s.t.src.b[15] = (uint8_t)(i >> 16);
		s.t.sport = (sl_be16)i;
		if (bucket(&s.t) == 5)
			return s;
	}
}

/* One source, one endpoint: the ports of one bucket are 504 or so. */
static void
ports_run_out_late_and_are_counted(void)
{
	for (unsigned family = 0; family < 2; family++) {
		struct rig_conf c = {.workers = 2, .flows = 32768, .seed = 9};
		unsigned n = 0, open = 0;
		start_with(&c, NARROW);
		for (;; open++) {
			struct frame_spec s = client_of_bucket(family == 0, &n);
			if (bed_give(&s, BED_FRONT) == 0)
				break;
			s.tcp_flags = SL_TCP_ACK;
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			CU_ASSERT_EQUAL(ports_used(), open + 1);
			if (open > 512)
				break;
		}
		printf("    refused with %u of at most 512 in use\n", open);
		CU_ASSERT_TRUE(open > 489 && open <= 512);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_SOURCE_PORTS), 1);
		CU_ASSERT_EQUAL(ports_out(), 1);
		/* what ends gives its port back */
		bed_wait(3700 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), 0);
		CU_ASSERT_EQUAL(ports_used(), 0);
		struct frame_spec s = client_of_bucket(family == 0, &n);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		bed_stop();
	}
}

static void
a_flood_of_opening_packets_leaves_ports(void)
{
	struct rig_conf c = {.workers = 1, .flows = 32768, .seed = 9};
	unsigned n = 0;

	start_with(&c, NARROW);
	struct frame_spec good = client_of_bucket(true, &n);
	CU_ASSERT_EQUAL(bed_give(&good, BED_FRONT), 1);
	good.tcp_flags = SL_TCP_ACK;
	CU_ASSERT_EQUAL(bed_give(&good, BED_FRONT), 1);
	struct sl_tuple left = frame_tuple(bed.sent[0].bytes);
	for (unsigned i = 0; i < 2000; i++) {
		struct frame_spec s = client_of_bucket(true, &n);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		/* half a second for all ports of the bucket once */
		bed.now += BED_S / 1000;
	}
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_SOURCE_PORTS), 0);
	/* A handshake of 100 ms under it. */
	for (unsigned i = 0; i < 50; i++) {
		struct frame_spec s = client_of_bucket(true, &n);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		struct sl_tuple first = frame_tuple(bed.sent[0].bytes);
		for (unsigned k = 0; k < 100; k++) {
			struct frame_spec bad = client_of_bucket(true, &n);
			bed_give(&bad, BED_FRONT);
			bed.now += BED_S / 1000;
		}
		bed_resolve("10.0.2.11");
		s.tcp_flags = SL_TCP_ACK;
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		struct sl_tuple then = frame_tuple(bed.sent[0].bytes);
		CU_ASSERT_TRUE(same_tuple(&first, &then));
	}
	CU_ASSERT_EQUAL(bed_give(&good, BED_FRONT), 1);
	struct sl_tuple still = frame_tuple(bed.sent[0].bytes);
	CU_ASSERT_TRUE(same_tuple(&left, &still));
	bed_stop();
}

static void
what_belongs_to_no_flow_opens_none_in_fullnat(void)
{
	start(1, false);
	struct frame_spec s = client_packet(true, vip4[M_FULLNAT], 3, 6, SL_TCP_ACK);
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 0);
	s.tcp_flags = SL_TCP_RST;
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_FLOW), 2);
	CU_ASSERT_EQUAL(bed_active(), 0);
	bed_stop();
}

/* ---- what is too long ---- */

/* The answer to `in`, made by hand as far as it can be: everything but the ICMP checksum, which must be right. */
static void
judge_too_big(const struct bed_frame *f, const struct frame_spec *in, unsigned mtu)
{
	uint8_t was[RIG_FRAME];
	bool v4 = sl_addr_is_v4(&in->t.dst);
	unsigned len = frame_make(in, was), l3 = v4 ? 20 : 40;
	const uint8_t *ip = f->bytes + 14, *icmp = ip + l3;

	CU_ASSERT_EQUAL(f->port, BED_FRONT);
	CU_ASSERT_PTR_NULL(frame_judge(f->bytes, f->len));
	CU_ASSERT_EQUAL(memcmp(f->bytes, was + 6, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f->bytes + 6, was, 6), 0);
	CU_ASSERT_EQUAL(memcmp(ip + (v4 ? 12 : 8), was + 14 + (v4 ? 16 : 24), v4 ? 4 : 16), 0);
	CU_ASSERT_EQUAL(memcmp(ip + (v4 ? 16 : 24), was + 14 + (v4 ? 12 : 8), v4 ? 4 : 16), 0);
	CU_ASSERT_EQUAL(icmp[0], v4 ? 3 : 2);
	CU_ASSERT_EQUAL(icmp[1], v4 ? 4 : 0);
	CU_ASSERT_EQUAL(icmp[6] << 8 | icmp[7], (int)mtu);
	/* the packet as it came: not translated, TTL not decremented */
	CU_ASSERT_TRUE(f->len >= 14 + l3 + 8 + 28);
	CU_ASSERT_EQUAL(memcmp(icmp + 8, was + 14, SL_MIN(f->len - 14 - l3 - 8, len - 14)), 0);
}

static uint64_t
told(void)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += rig_stats(bed.rig, w)->icmp_too_big;
	return n;
}

/* Each tunnel takes what fits with its header, to the byte; one more is answered. */
static void
a_packet_too_long_for_its_tunnel_is_answered(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		struct rig_conf c = {.workers = shapes[i].workers,
				     .flows = 8192,
				     .seed = 4,
				     .rss = shapes[i].rss,
				     .mtu = 1500};
		start_with(&c, 0);
		for (unsigned r = 0; r < SL_ARRAY_CNT(tunnels); r++) {
			const struct tunnel_row *row = &tunnels[r];
			bool v4 = strchr(row->vip, '.');
			unsigned mtu = 1500 - (row->v4 ? 20 : 40) - (row->gue ? 12 : 0);
			struct frame_spec s = client_packet(v4, row->vip, r + 1, 6, SL_TCP_SYN);
			s.payload = (uint16_t)(mtu - (v4 ? 40 : 60));
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			judge_tunnel(&bed.sent[0], &s, row->gue, row->v4, NULL);
			CU_ASSERT_EQUAL(bed.sent[0].len, 1514);
			s.payload++;
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			judge_too_big(&bed.sent[0], &s, mtu);
			CU_ASSERT_EQUAL(told(), r + 1);
		}
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_TOO_BIG), SL_ARRAY_CNT(tunnels));
		bed_stop();
	}
}

static void
no_ipv6_sender_is_told_less_than_1280(void)
{
	struct rig_conf c = {.workers = 1, .flows = 8192, .seed = 4, .mtu = 1300};

	start_with(&c, 0);
	struct frame_spec s = client_packet(false, vip6[M_IPIP], 1, 6, SL_TCP_SYN);
	s.payload = 1290 - 60;
	CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
	judge_too_big(&bed.sent[0], &s, 1280);
	s.payload = 1280 - 60;
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_MTU), 1);
	s.payload = 1260 - 60;
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	bed_stop();
}

static void
answers_about_size_are_limited(void)
{
	struct rig_conf c = {.workers = 1, .flows = 8192, .seed = 4};
	unsigned answered = 0;

	start_with(&c, 0);
	bed.now += BED_S;
	struct frame_spec s = client_packet(true, vip4[M_IPIP], 1, 6, SL_TCP_SYN);
	s.payload = 1460;
	for (unsigned i = 0; i < 500; i++)
		answered += bed_give(&s, BED_FRONT);
	CU_ASSERT_TRUE(answered >= 100 && answered <= 102);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ICMP_LIMIT), 500 - answered);
	bed.now += BED_S / 100;
	for (answered = 0; bed_give(&s, BED_FRONT); answered++)
		;
	CU_ASSERT_TRUE(answered >= 9 && answered <= 11);
	bed_stop();
}

/* An IPv4 packet that may be cut: the pieces, each in its own header, make up the whole. */
static void
what_may_be_cut_is_cut(void)
{
	static const char *const vip[] = {"192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14"};

	for (unsigned w = 1; w <= 3; w++) {
		struct rig_conf c = {.workers = w, .flows = 8192, .seed = 4};
		start_with(&c, 0);
		for (unsigned r = 0; r < SL_ARRAY_CNT(vip); r++) {
			struct frame_spec s = client_packet(true, vip[r], r + 1, 17, 0);
			uint8_t f[RIG_FRAME], whole[RIG_FRAME] = {0};
			s.payload = 1500 - 28;
			memcpy(s.dmac, rig_mac(bed.rig, BED_FRONT), 6);
			unsigned len = frame_make(&s, f), got = 0;
			f[20] = 0; /* DF off */
			put16(f + 24, 0);
			put16(f + 24, ~sum16(f + 14, 20, 0) & 0xffff);
			bed_clear();
			CU_ASSERT_TRUE(rig_inject(bed.rig, BED_FRONT, f, len));
			rig_settle(bed.rig, bed.now);
			CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 2);
			for (unsigned k = 0; k < 2; k++) {
				const struct bed_frame *o = &bed.sent[k];
				bool v4 = tunnels[r].v4, gue = tunnels[r].gue;
				unsigned skip = (v4 ? 20 : 40) + (gue ? 12 : 0);
				const uint8_t *in = o->bytes + 14 + skip;
				unsigned n = o->len - 14 - skip,
					 off = (in[6] << 8 | in[7]) & 0x1fff;
				CU_ASSERT_TRUE(o->len <= 1514);
				CU_ASSERT_EQUAL(sum16(in, 20, 0), 0xffff);
				CU_ASSERT_EQUAL(in[8], 63);
				CU_ASSERT_EQUAL(in[2] << 8 | in[3], (int)n);
				CU_ASSERT_EQUAL(!!(in[6] & 0x20), k == 0);
				uint8_t head[64];
				struct sl_addr src = v4 ? sl_addr_from_v4(o->bytes + 26)
							: sl_addr_from_v6(o->bytes + 22);
				struct sl_addr dst = endpoint_of(o, v4);
				outer(head, gue, v4, true, in, n, &src, &dst, o->bytes + 14);
				CU_ASSERT_EQUAL(memcmp(head, o->bytes + 14, skip), 0);
				memcpy(whole + off * 8, in + 20, n - 20);
				got += n - 20;
			}
			CU_ASSERT_EQUAL(got, len - 34);
			CU_ASSERT_EQUAL(memcmp(whole, f + 34, len - 34), 0);
		}
		uint64_t made = 0, in = 0, out = 0;
		for (unsigned k = 0; k < w; k++) {
			const struct sl_stats_worker *st = rig_stats(bed.rig, k);
			made += st->frag_made;
			in += st->rx_packets + st->frag_made;
			out += st->forwarded + st->consumed + st->dropped;
		}
		CU_ASSERT_EQUAL(made, 2 * SL_ARRAY_CNT(vip));
		CU_ASSERT_EQUAL(in, out);
		bed_stop();
	}
}

/* A smaller port in the way of nat and fullnat, both directions. */
static void
plain_forwarding_answers_too(void)
{
	struct rig_conf c = {.workers = 2, .flows = 8192, .seed = 4, .mtu = 1400};

	start_with(&c, 0);
	for (unsigned i = 0; i < 6; i++) {
		unsigned mode = i / 2;
		bool v4 = i % 2;
		struct frame_spec s =
			client_packet(v4, v4 ? vip4[mode] : vip6[mode], 3, 6, SL_TCP_SYN);
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		struct frame_spec a = bed_answer(&bed.sent[0], SL_TCP_ACK);
		s.tcp_flags = SL_TCP_ACK;
		s.payload = (uint16_t)(1401 - (v4 ? 40 : 60));
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		judge_too_big(&bed.sent[0], &s, 1400);
		if (mode == M_DSR)
			continue;
		a.payload = s.payload;
		CU_ASSERT_EQUAL_FATAL(bed_give(&a, BED_BACK), 1);
		CU_ASSERT_EQUAL(bed.sent[0].port, BED_BACK);
		bed.sent[0].port = BED_FRONT;
		judge_too_big(&bed.sent[0], &a, 1400);
	}
	bed_stop();
}

/* ---- counting ---- */

static void
count_forward_half(void *ctx, struct sl_flow *f)
{
	uint32_t *conns = ctx;

	if (!(f->state & SL_FLOW_REPLY))
		conns[f->slot]++;
}

/* Every worker's counts are those of its table. */
static unsigned
counts_agree(void)
{
	static uint32_t conns[SL_MAX_ENDPOINTS];
	unsigned total = 0, wrong = 0, pairs = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++) {
		struct sl_worker *worker = rig_worker(bed.rig, w);
		memset(conns, 0, sizeof(conns));
		sl_flow_each(rig_flows(bed.rig, w), count_forward_half, conns);
		for (unsigned s = 0; s < 64; s++) {
			struct sl_stats_endpoint *e =
				&sl_stats_endpoints(rig_stats_segment(bed.rig), w)[s];
			wrong += worker->conns[s] != conns[s] || e->active != conns[s];
			total += conns[s];
			pairs += worker->use[s].pairs;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(ports_used(), pairs);
	return total;
}

static uint64_t rng = 3;

static unsigned
draw(unsigned n)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((rng >> 33) % n);
}

static void
flows_are_counted_however_they_come_and_go(void)
{
	static const uint8_t flags[] = {SL_TCP_SYN, SL_TCP_ACK, SL_TCP_ACK, SL_TCP_FIN | SL_TCP_ACK,
					SL_TCP_RST};

	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		/* a small table, so that flows are evicted */
		struct rig_conf c = {.workers = shapes[i].workers,
				     .flows = 1024,
				     .seed = 5,
				     .rss = shapes[i].rss};
		start_with(&c, 0);
		for (unsigned k = 0; k < 6000; k++) {
			bool v4 = draw(2);
			unsigned mode = draw(5);
			struct frame_spec s =
				client_packet(v4, v4 ? vip4[mode] : vip6[mode], draw(900),
					      draw(3) ? 6 : 17, flags[draw(5)]);
			if (bed_give(&s, BED_FRONT) && draw(2) &&
			    (mode == M_NAT || mode == M_FULLNAT)) {
				struct frame_spec a = bed_answer(&bed.sent[0], flags[1 + draw(4)]);
				bed_give(&a, BED_BACK);
			}
			bed.now += BED_S / 200;
			if (k % 500 == 0)
				counts_agree();
			if (k % 700 == 699) { /* an endpoint is disabled and comes back */
				struct sl_state_word2 *st =
					&rig_states(bed.rig)[table_slot(bed.view.view, "f4", "a")];
				st->admin = sl_state_make(k % 1400 == 699 ? SL_ST_DISABLED : 0,
							  SL_FRACTION_WHOLE, 1);
			}
		}
		CU_ASSERT_TRUE(counts_agree() > 100);
		bed_wait(3700 * BED_S);
		CU_ASSERT_EQUAL(counts_agree(), 0);
		CU_ASSERT_EQUAL(ports_used(), 0);
		bed_stop();
	}
}

static void
adopted_flows_are_counted(void)
{
	start(1, false);
	for (unsigned n = 1; n < 300; n++) {
		unsigned mode = n % 5;
		struct frame_spec s =
			client_packet(n & 1, n & 1 ? vip4[mode] : vip6[mode], n, 6, SL_TCP_SYN);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		s.tcp_flags = SL_TCP_ACK;
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	}
	unsigned flows = counts_agree();
	uint64_t ports = ports_used();
	CU_ASSERT_EQUAL(flows, 299);
	CU_ASSERT_TRUE(ports > 40);

	/* A worker that starts with this table. */
	struct rig_conf c = {.workers = 1, .flows = 8192, .seed = 78};
	struct rig *was = bed.rig, *r = rig_create(&c, NULL, NULL);
	sl_worker_adopt(rig_worker(r, 0), rig_flows(was, 0));
	struct sl_stats_worker *st = rig_stats(r, 0);
	CU_ASSERT_EQUAL(st->flow_active, bed_active());
	CU_ASSERT_EQUAL(st->flow_adopted, 299);
	CU_ASSERT_EQUAL(st->xlat_capacity, 8192);
	CU_ASSERT_TRUE(st->xlat_used > 40);
	rig_publish(r, bed.view.view);
	rig_turn(r, bed.now);
	for (unsigned s = 0; s < 64; s++) {
		CU_ASSERT_EQUAL(rig_worker(r, 0)->conns[s], rig_worker(was, 0)->conns[s]);
		CU_ASSERT_EQUAL(rig_worker(r, 0)->use[s].pairs, rig_worker(was, 0)->use[s].pairs);
		CU_ASSERT_EQUAL(sl_stats_endpoints(rig_stats_segment(r), 0)[s].active,
				rig_worker(was, 0)->conns[s]);
		CU_ASSERT_EQUAL(sl_stats_services(rig_stats_segment(r), 0)[s].ports_used,
				sl_stats_services(rig_stats_segment(was), 0)[s].ports_used);
	}
	rig_destroy(r);
	bed_stop();
}

/* ---- a reply half that was lost with the process ---- */

static void
first_packet_after_adoption_makes_the_reply_half_again(void)
{
	start(1, false);
	struct frame_spec s = client_packet(true, vip4[M_NAT], 4, 6, SL_TCP_SYN);
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	s.tcp_flags = SL_TCP_ACK;
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	struct frame_spec a = bed_answer(&bed.sent[0], SL_TCP_ACK);
	struct sl_flow_table *t = rig_flows(bed.rig, 0);
	uint64_t hash = sl_flow_hash(t, &a.t);
	uint32_t idx = sl_flow_find(t, hash, &a.t, (uint32_t)(bed.now / 250000000));
	CU_ASSERT_NOT_EQUAL_FATAL(idx, SL_FLOW_NONE);
	sl_flow_remove(t, hash, idx);
	CU_ASSERT_EQUAL(bed_give(&a, BED_BACK), 0);
	/* forward packets tell nothing for ten minutes … */
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	CU_ASSERT_EQUAL(bed_give(&a, BED_BACK), 0);
	/* … but at once after adoption */
	memset(rig_worker(bed.rig, 0)->conns, 0, sizeof(rig_worker(bed.rig, 0)->conns));
	sl_worker_adopt(rig_worker(bed.rig, 0), t);
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	CU_ASSERT_EQUAL(bed_give(&a, BED_BACK), 1);
	bed_stop();
}

/* ---- UDP that nobody answers ---- */

static unsigned
state_of(const struct sl_tuple *t)
{
	for (unsigned w = 0; w < bed.conf.workers; w++) {
		struct sl_flow_table *f = rig_flows(bed.rig, w);
		uint32_t idx =
			sl_flow_find(f, sl_flow_hash(f, t), t, (uint32_t)(bed.now / 250000000));
		if (idx != SL_FLOW_NONE)
			return sl_flow_get(f, idx)->state & SL_FLOW_STATE_MASK;
	}
	return 0;
}

static void
udp_is_new_until_it_is_answered(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned n = 1; n < 40; n++)
			for (unsigned mode = 0; mode < 5; mode++) {
				struct frame_spec s = client_packet(true, vip4[mode], n, 17, 0);
				CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
				struct frame_spec a = bed_answer(&bed.sent[0], 0);
				bool two_way = mode == M_NAT || mode == M_FULLNAT;
				CU_ASSERT_EQUAL(state_of(&s.t), SL_FLOW_UDP_NEW);
				CU_ASSERT_EQUAL(two_way ? state_of(&a.t) : SL_FLOW_UDP_NEW,
						SL_FLOW_UDP_NEW);
				CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
				CU_ASSERT_EQUAL(state_of(&s.t),
						two_way ? SL_FLOW_UDP_NEW : SL_FLOW_UDP);
				if (!two_way)
					continue;
				CU_ASSERT_EQUAL_FATAL(bed_give(&a, BED_BACK), 1);
				CU_ASSERT_EQUAL(state_of(&s.t), SL_FLOW_UDP);
				CU_ASSERT_EQUAL(state_of(&a.t), SL_FLOW_UDP);
			}
		bed_stop();
	}
}

/* ---- explain ---- */

static void
explain_says_what_will_happen(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned n = 1; n < 60; n++) {
			unsigned mode = n % 5;
			bool v4 = n & 1;
			struct frame_spec s = client_packet(v4, v4 ? vip4[mode] : vip6[mode], n,
							    n & 2 ? 6 : 17, SL_TCP_SYN);
			struct sl_explained e =
				rig_explain(bed.rig, &s.t, s.tcp_flags, BED_FRONT, bed.now);
			CU_ASSERT_EQUAL(e.pkt.verdict, SL_VERDICT_FORWARD);
			CU_ASSERT_EQUAL(bed_active() > 0 && bed_has(&s.t), false);
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			struct sl_addr ep = endpoint_of(&bed.sent[0], v4);
			CU_ASSERT_TRUE(sl_addr_eq(&e.next, &ep));
			struct sl_tuple left = mode == M_IPIP || mode == M_GUE
						       ? s.t
						       : frame_tuple(bed.sent[0].bytes);
			CU_ASSERT_TRUE(same_tuple(&e.out, &left));
			/* and of the flow */
			e = rig_explain(bed.rig, &s.t, s.tcp_flags ? SL_TCP_ACK : 0, BED_FRONT,
					bed.now);
			CU_ASSERT_EQUAL(e.pkt.why, SL_WHY_FLOW);
			CU_ASSERT_TRUE(same_tuple(&e.out, &left));
			if (mode != M_NAT && mode != M_FULLNAT)
				continue;
			struct frame_spec a = bed_answer(&bed.sent[0], SL_TCP_ACK);
			struct sl_addr way = router(v4);
			e = rig_explain(bed.rig, &a.t, SL_TCP_ACK, BED_BACK, bed.now);
			CU_ASSERT_EQUAL(e.pkt.why, SL_WHY_REPLY);
			CU_ASSERT_TRUE(sl_addr_eq(&e.out.dst, &s.t.src));
			CU_ASSERT_EQUAL(e.out.dport, s.t.sport);
			CU_ASSERT_TRUE(sl_addr_eq(&e.next, &way));
		}
		bed_stop();
	}
}

/* ---- a table that is not there yet ---- */

static unsigned
no_rx(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max)
{
	static uint8_t frame[SL_HEADROOM + 2048];
	struct frame_spec s =
		bed_packet("198.51.100.1", 1, "192.0.2.1", 80, SL_IPPROTO_TCP, SL_TCP_SYN);

	(void)port;
	(void)max;
	if ((*(unsigned *)ctx)++)
		return 0;
	pkts[0] = (struct sl_pkt){
		.data = frame + SL_HEADROOM,
		.buf = frame,
		.len = (uint16_t)frame_make(&s, frame + SL_HEADROOM),
	};
	return 1;
}

static void
no_free(void *ctx, void *const *bufs, unsigned n)
{
	(void)ctx;
	(void)bufs;
	(void)n;
}

static void
nothing_is_touched_before_the_first_view(void)
{
	const char *const name[] = {"front"};
	void *stats = aligned_alloc(4096, (sl_stats_bytes(2, 1) + 4095) & ~4095ul);
	void *mem = aligned_alloc(64, sl_worker_bytes());
	void *neigh = aligned_alloc(64, (sl_neigh_bytes() + 63) & ~63ul);
	struct sl_worker_port port = {.mtu = 1500, .poll = true};
	unsigned given = 0;

	memset(stats, 0, sl_stats_bytes(2, 1));
	memset(mem, 0, sl_worker_bytes());
	memset(neigh, 0, sl_neigh_bytes());
	sl_stats_init(stats, 2, 1, name, 1, 1000000000);
	struct sl_worker_conf c = {
		.worker_cnt = 2, /* whose it is would need the RSS key */
		.port_cnt = 1,
		.ports = &port,
		.io = {.rx = no_rx, .free = no_free, .ctx = &given},
		.neigh = sl_neigh_init(neigh),
		.stats = stats,
	};
	struct sl_worker *w = sl_worker_init(mem, &c);
	for (unsigned i = 0; i < 5; i++)
		sl_worker_turn(w, NULL, BED_S * (i + 1));
	CU_ASSERT_EQUAL(sl_stats_worker(stats, 0)->drop[SL_DROP_NO_TABLE], 1);
	sl_worker_fini(w);
	free(stats);
	free(mem);
	free(neigh);
}

SL_SUITE("modes", SL_TEST(every_mode_without_tunnel_gives_the_right_bytes),
	 SL_TEST(tunnels_give_the_right_bytes), SL_TEST(outer_sources_are_spread_and_agreed),
	 SL_TEST(ports_run_out_late_and_are_counted),
	 SL_TEST(a_flood_of_opening_packets_leaves_ports),
	 SL_TEST(what_belongs_to_no_flow_opens_none_in_fullnat),
	 SL_TEST(a_packet_too_long_for_its_tunnel_is_answered),
	 SL_TEST(no_ipv6_sender_is_told_less_than_1280), SL_TEST(answers_about_size_are_limited),
	 SL_TEST(what_may_be_cut_is_cut), SL_TEST(plain_forwarding_answers_too),
	 SL_TEST(flows_are_counted_however_they_come_and_go), SL_TEST(adopted_flows_are_counted),
	 SL_TEST(first_packet_after_adoption_makes_the_reply_half_again),
	 SL_TEST(udp_is_new_until_it_is_answered), SL_TEST(explain_says_what_will_happen),
	 SL_TEST(nothing_is_touched_before_the_first_view))

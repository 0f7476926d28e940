/* The command language, the packets it stands for, and the capture file, without an EAL. */
#include "pktgen/frame.h"
#include "pktgen/measure.h"
#include "pktgen/pace.h"
#include "pktgen/pcap.h"
#include "pktgen/search.h"
#include "tests/suite.h"

#include <dirent.h>
#include <errno.h>

static struct sl_diag diag, notes;

static struct sl_script *
parse(const char *text)
{
	struct sl_script *s = NULL;
	int rc;

	sl_diag_fini(&diag);
	sl_diag_fini(&notes);
	rc = sl_script_parse("t.pkt", text, strlen(text), &diag, &notes, &s);
	CU_ASSERT_EQUAL(rc, s ? 0 : -EINVAL);
	CU_ASSERT_EQUAL(s == NULL, diag.cnt > 0);
	return s;
}

static void
commands_set_what_they_say(void)
{
	struct sl_script *s = parse("# comment\n"
				    "\tset 0 count 7\n"
				    "set 0 size 128\r\n"
				    "set 0 rate 12.5\n"
				    "set 0 txburst 16\n"
				    "set 0 proto udp\n"
				    "set 0 src ip 10.0.0.9/8\n"
				    "set 0 dst ip 203.0.113.10\n"
				    "set 0 sport 1000\n"
				    "set 0 dport 53\n"
				    "set 0 ttl 9\n"
				    "set 0 dst mac 0011:2233:4455\n"
				    "set 0 src mac 02:00:00:00:00:0a\n"
				    "set 0 tcp flags syn,ack,clr,rst\n");
	CU_ASSERT_FATAL(s != NULL);
	const struct sl_script_port *p = &s->port[0];
	const struct sl_script_packet *k = &p->single;

	CU_ASSERT_EQUAL(p->count, 7);
	CU_ASSERT_EQUAL(p->burst, 16);
	CU_ASSERT_DOUBLE_EQUAL(p->rate, 12.5, 0);
	CU_ASSERT_EQUAL(k->size, 128);
	CU_ASSERT_EQUAL(k->proto, SL_IPPROTO_UDP);
	CU_ASSERT_EQUAL(k->src.b[12], 10);
	CU_ASSERT_EQUAL(k->src.b[15], 9);
	CU_ASSERT_EQUAL(k->dst.b[12], 203);
	CU_ASSERT_EQUAL(k->sport, 1000);
	CU_ASSERT_EQUAL(k->dport, 53);
	CU_ASSERT_EQUAL(k->ttl, 9);
	CU_ASSERT_EQUAL(k->dst_mac, 0x001122334455);
	CU_ASSERT_EQUAL(k->src_mac, 0x02000000000a);
	CU_ASSERT_EQUAL(k->tcp_flags, 4);
	CU_ASSERT_EQUAL(p->mode, SL_SCRIPT_SINGLE);
	sl_script_free(s);
}

static void
wrong_lines_are_refused_with_their_number(void)
{
	static const struct {
		const char *line, *text, *reason;
	} row[] = {
		{"frobnicate 0", "unknown command 'frobnicate'", "no such command"},
		{"set 0 size 63", "not in [64, 1518]", "Pktgen-DPDK would make it 64"},
		{"set 0 size 1519", "not in [64, 1518]", "Pktgen-DPDK would make it 1518"},
		{"set 0 count -1", "'-1' does not fit", "negative"},
		{"set 0 count 4294967296", "not in", "wraps in Pktgen-DPDK"},
		{"set 0 count", "too early, after 'count'", "no value"},
		{"set 0 count 1 2", "'2' does not fit", "one word too many"},
		{"set 9 count 1", "'9' does not fit", "no such port"},
		{"set 1-0 count 1", "'1-0' does not fit", "backwards"},
		{"set 0, count 1", "'0,' does not fit", "empty element"},
		{"set 0 rate 0", "not in (0, 100]", "Pktgen-DPDK would make it 0.01"},
		{"set 0 rate nan", "'nan' does not fit", "not a number"},
		{"set 0 proto icmp", "'icmp' does not fit", "not one of the choices"},
		{"set 0 src ip 10.0.0", "'10.0.0' does not fit", "half an address"},
		{"set 0 src ip 10.0.0.1/33", "does not fit", "mask"},
		{"set 0 dst mac 00:11:22:33:44", "does not fit", "five bytes"},
		{"set 0 dst mac 00:11:22:33:44:5g", "does not fit", "not a digit"},
		{"set 0 tcp flags syn,foo", "'foo' is not a TCP flag", "flag"},
		{"set 0 seq_cnt 17", "not in [0, 16]", "16 slots"},
		{"range 0 src port inc 65", "not in [0, 64]", "Pktgen-DPDK would make it 64"},
		{"range 0 src ip mim 10.0.0.1", "'mim' does not fit", "part"},
		{"range 0 src ip start 2001:db8::1", "not of the range's type", "family"},
		{"range 0 size min 60", "not in [64, 1518]", "size"},
		{"set 0 type ipv6", "an IPv6 packet of 64 bytes", "Pktgen-DPDK would make it 78"},
		{"delay 86400001", "not in", "more than a day"},
		{"set 0 vlan 4096", "not in [0, 4095]", "12 bits"},
		{"# sluice: fragment 0 3 forward", "unknown directive 'fragment'", "misspelt"},
		{"#sluice: fragments 0 3 forward", "a blank after '#'", "not a plain comment"},
		{"# sluice:", "without words", "nothing"},
		{"# sluice: fragments 0 65 forward", "not in [1, 64]", "pieces"},
		{"# sluice: fragments 0 3 sideways", "'sideways' does not fit", "order"},
		{"# sluice: headers 0 hop:12", "'hop:12' is no extension header", "not of eights"},
		{"# sluice: headers 0 hop:264", "'hop:264'", "one PadN cannot fill it"},
		{"# sluice: headers 0 fragment:16", "'fragment:16'", "has one size"},
		{"# sluice: headers 0 hop,,dst", "'' is no extension header", "empty element"},
		{"# sluice: headers 0 fragment,fragment", "more than one", "atomic twice"},
		{"# sluice: headers 0 hop,hop,hop,hop,hop,hop,hop,hop,hop", "one too many", "nine"},
		{"# sluice: imix 0 aah", "'h' has no size", "2112 bytes do not fit"},
		{"# sluice: imix 0 AB A=64,B=2000", "'B' has no size", "too large"},
		{"# sluice: imix 0 AB A=64", "'B' has no size", "not defined"},
		{"# sluice: imix 0 A A=6x", "'A' has no size", "not a number"},
		{"load other.pkt", "unknown command 'load'", "not done here"},
	};
	char text[256], said[1024];

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		snprintf(text, sizeof(text), "# one\n\n%s\n", row[i].line);
		struct sl_script *s = parse(text);
		bool end = !strncmp(row[i].line, "set 0 type", 10); /* judged at the end of file */

		CU_ASSERT_PTR_NULL(s);
		if (s || diag.cnt < 1) {
			printf("passes: %s (%s)\n", row[i].line, row[i].reason);
			continue;
		}
		sl_diag_format(&diag.items[0], said, sizeof(said));
		bool ok = !strncmp(said, "t.pkt:3:", 8) && strstr(said, row[i].text);
		CU_ASSERT(ok || (end && strstr(said, row[i].text)));
		if (!ok && !end)
			printf("%s: %s\n", row[i].line, said);
	}
}

static void
all_errors_of_a_file_are_reported(void)
{
	CU_ASSERT_PTR_NULL(parse("set 0 size 1\nbogus\nset 0 burst 0\n"));
	CU_ASSERT_EQUAL(diag.cnt, 3);
}

static void
screen_commands_are_noted_and_skipped(void)
{
	struct sl_script *s = parse("page main\nclear all stats\nenable 0 process\noff\ncls\n");

	CU_ASSERT_PTR_NOT_NULL(s);
	CU_ASSERT_EQUAL(notes.cnt, 5);
	sl_script_free(s);
}

static void
steps_carry_the_configuration_of_their_moment(void)
{
	struct sl_script *s =
		parse("set 0 count 5\nstart 0\ndelay 250\nset 0 count 6\nsleep 1\nstop 0\n");

	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_EQUAL(s->step_cnt, 4);
	CU_ASSERT_EQUAL(s->steps[0].what, SL_SCRIPT_START);
	CU_ASSERT_EQUAL(s->steps[0].port[0].count, 5);
	CU_ASSERT_EQUAL(s->steps[1].ms, 250);
	CU_ASSERT_EQUAL(s->steps[2].ms, 1000);
	CU_ASSERT_EQUAL(s->steps[2].port[0].count, 6);
	CU_ASSERT_EQUAL(s->steps[3].line, 6);
	CU_ASSERT_EQUAL(sl_script_first(s, 0)->count, 5);
	CU_ASSERT_EQUAL(sl_script_first(s, 1)->count, 0);
	sl_script_free(s);
}

/* Internet checksum over the pseudo header and segment: 0 when right. */
static uint16_t
l4_residue(const uint8_t *f, unsigned len)
{
	bool v6 = f[12] == 0x86;
	unsigned ip = v6 ? 40 : 20, l4 = len - 14 - ip;
	const uint8_t *a = f + 14 + (v6 ? 8 : 12);
	uint32_t acc = l4 + f[14 + (v6 ? 6 : 9)];

	for (unsigned i = 0; i < (v6 ? 32 : 8); i += 2)
		acc += (uint32_t)a[i] << 8 | a[i + 1];
	for (unsigned i = 0; i < l4; i++)
		acc += i % 2 ? f[14 + ip + i] : (uint32_t)f[14 + ip + i] << 8;
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

static uint16_t
ip_residue(const uint8_t *f)
{
	uint32_t acc = 0;

	for (unsigned i = 0; i < 20; i += 2)
		acc += (uint32_t)f[14 + i] << 8 | f[15 + i];
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

static void
a_single_packet_has_the_bytes_of_pktgen(void)
{
	static const uint8_t want[60] = {
		0x02, 0, 0,    0,    0,   1,  2,    0, 0,   0,   0,   2,   0x08, 0, /* Ethernet */
		0x45, 0, 0,    46,   0,   0,  0,    0, 64,  6,   0,   0,   10,   0, /* IPv4 */
		0,    1, 203,  0,    113, 10, 0x04, 0, 0,   80,  0,   1,   0x23, 0x78,
		0,    1, 0x23, 0x90, /* TCP */
		0x50, 2, 0x20, 0,    0,   0,  0,    0, 'a', 'b', 'c', 'd', 'e',  'f'};
	struct sl_script *s =
		parse("set 0 src ip 10.0.0.1/8\nset 0 dst ip 203.0.113.10\n"
		      "set 0 sport 1024\nset 0 dport 80\nset 0 tcp flags syn\n"
		      "set 0 dst mac 02:00:00:00:00:01\nset 0 src mac 02:00:00:00:00:02\n");
	CU_ASSERT_FATAL(s != NULL);
	uint8_t buf[SL_FRAME_MAX];
	struct sl_frame f;
	struct sl_tuple t;

	sl_frame_init(&f, &s->port[0]);
	CU_ASSERT_EQUAL(sl_frame_next(&f, buf, &t), 60);
	CU_ASSERT_EQUAL(ip_residue(buf), 0);
	CU_ASSERT_EQUAL(l4_residue(buf, 60), 0);
	sl_store16(buf + 24, 0);
	sl_store16(buf + 50, 0);
	CU_ASSERT_EQUAL(memcmp(buf, want, 60), 0);
	CU_ASSERT_EQUAL(t.proto, SL_IPPROTO_TCP);
	CU_ASSERT_EQUAL(t.sport, sl_to_be16(1024));
	CU_ASSERT_EQUAL(t.src.b[12], 10);
	sl_script_free(s);
}

/* Written by a program that shares nothing with the generator. */
static const char *const vlan4[] = {
	"0200000000010200000000028100006408004500002a00000000401134b80a000001cb00710a040000350016"
	"e1a66162636465666768696a6b6c6d6e",
};
static const char *const qinq6[] = {
	"02000000000102000000000288a8000a8100001486dd60000000001d064020010db800010000000000000000"
	"000120010db800020000000000000000001004000050000123780001239050102000ee550000616263646566"
	"676869",
};
static const char *const frag4[] = {
	"02000000000102000000000208004500002c00012000401114b50a000001cb00710a04000035002dc0b76162"
	"636465666768696a6b6c6d6e6f700000",
	"02000000000102000000000208004500002900010003401134b50a000001cb00710a7172737475767778797a"
	"6162636465666768696a6b0000000000",
};
static const char *const frag6[] = {
	"02000000000102000000000286dd600000000024004020010db800010000000000000000000120010db80002"
	"000000000000000000102c000104000000003c000030000000016768696a6b6c6d6e6f707172737475767778"
	"797a",
	"02000000000102000000000286dd600000000028004020010db800010000000000000000000120010db80002"
	"000000000000000000102c000104000000003c00001900000001696a6b6c6d6e6f707172737475767778797a"
	"616263646566",
	"02000000000102000000000286dd600000000028004020010db800010000000000000000000120010db80002"
	"000000000000000000102c000104000000003c00000100000001110001040000000004000035003c82846162"
	"636465666768",
};
static const char *const ext6[] = {
	"02000000000102000000000286dd600000000052004020010db800010000000000000000000120010db80002"
	"000000000000000000103c000104000000002c01010c00000000000000000000000011000000000000010400"
	"00350032cde86162636465666768696a6b6c6d6e6f707172737475767778797a6162636465666768696a6b6c"
	"6d6e6f70",
};

#define ENDS4                                                                                      \
	"set 0 src ip 10.0.0.1\nset 0 dst ip 203.0.113.10\n"                                       \
	"set 0 dst mac 02:00:00:00:00:01\nset 0 src mac 02:00:00:00:00:02\n"                       \
	"set 0 proto udp\nset 0 sport 1024\nset 0 dport 53\n"
#define ENDS6                                                                                      \
	"set 0 src ip 2001:db8:1::1\nset 0 dst ip 2001:db8:2::10\n"                                \
	"set 0 dst mac 02:00:00:00:00:01\nset 0 src mac 02:00:00:00:00:02\n"                       \
	"set 0 proto udp\nset 0 sport 1024\nset 0 dport 53\nset 0 size 140\n"

static void
frames_with_tags_headers_and_cuts_have_the_bytes_of_the_rfcs(void)
{
	static const struct {
		const char *name, *text;
		const char *const *want;
		unsigned cnt;
	} row[] = {
		{"802.1Q", ENDS4 "set 0 vlan 100\nenable 0 vlan\n", vlan4, 1},
		{"802.1ad",
		 ENDS6 "set 0 proto tcp\nset 0 dport 80\nset 0 size 95\nset 0 qinqids 10 20\n"
		       "enable 0 qinq\n",
		 qinq6, 1},
		{"fragments", ENDS4 "# sluice: fragments 0 2 forward\n# sluice: datagram 0 45\n",
		 frag4, 2},
		{"IPv6 fragments",
		 ENDS6 "# sluice: fragments 0 3 reverse\n# sluice: datagram 0 60\n"
		       "# sluice: headers 0 hop,dst\n",
		 frag6, 3},
		{"the same, the place of the cut listed",
		 ENDS6 "# sluice: fragments 0 3 reverse\n# sluice: datagram 0 60\n"
		       "# sluice: headers 0 hop:8,fragment,dst:8\n",
		 frag6, 3},
		{"extension headers", ENDS6 "# sluice: headers 0 hop:8,dst:16,fragment\n", ext6, 1},
	};
	static struct sl_frame f;
	uint8_t buf[SL_FRAME_MAX];
	char hex[2 * SL_FRAME_MAX + 1];

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(row[i].text);

		CU_ASSERT_FATAL(s != NULL);
		CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), row[i].cnt);
		sl_frame_init(&f, &s->port[0]);
		for (unsigned k = 0; k < row[i].cnt; k++) {
			unsigned len = sl_frame_next(&f, buf, NULL);

			for (unsigned b = 0; b < len; b++)
				snprintf(hex + 2 * b, 3, "%02x", buf[b]);
			CU_ASSERT_STRING_EQUAL(hex, row[i].want[k]);
			if (strcmp(hex, row[i].want[k]))
				printf("%s %u:\n%s\n%s\n", row[i].name, k, hex, row[i].want[k]);
		}
		sl_script_free(s);
	}
}

/* Puts the pieces of one datagram together, whatever their order: its bytes, 0 when one is missing or two overlap.
 * Of IPv6 the headers behind the fragment header are in it. */
static unsigned
join(const uint8_t (*frames)[SL_FRAME_MAX], unsigned cnt, uint8_t *datagram, uint32_t *ret_ident)
{
	static uint8_t seen[65536];
	unsigned end = 0, bytes = 0;

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < cnt; i++) {
		const uint8_t *ip = frames[i] + 14;
		bool v6 = frames[i][12] == 0x86;
		unsigned head = v6 ? 48 : 20;
		unsigned n = v6 ? (ip[4] << 8 | ip[5]) - 8u : (ip[2] << 8 | ip[3]) - 20u;
		unsigned word = v6 ? (unsigned)ip[42] << 8 | ip[43] : (unsigned)ip[6] << 8 | ip[7];
		unsigned off = v6 ? word & 0xfff8 : (word & 0x1fff) * 8;
		bool more = v6 ? word & 1 : word & 0x2000;

		*ret_ident =
			v6 ? sl_from_be32(sl_load32(ip + 44)) : sl_from_be16(sl_load16(ip + 4));
		if (v6 && ip[6] != 44)
			return 0;
		if (!more)
			end = off + n;
		for (unsigned b = 0; b < n; b++) {
			if (seen[off + b]++)
				return 0;
			datagram[off + b] = ip[head + b];
		}
		bytes += n;
	}
	return bytes == end ? bytes : 0;
}

static void
fragments_join_to_a_datagram_with_a_right_checksum(void)
{
	static const struct {
		const char *text;
		unsigned cnt, bytes;
	} row[] = {
		{ENDS4 "# sluice: fragments 0 3 random 7\n# sluice: datagram 0 4000\n", 3, 4000},
		{ENDS4 "# sluice: fragments 0 2 reverse\nset 0 size 1518\n", 2, 1480},
		{ENDS4 "# sluice: fragments 0 45 random 1\n# sluice: datagram 0 65515\n", 45,
		 65515},
		{ENDS6 "# sluice: fragments 0 64 random 3\n# sluice: datagram 0 65535\n", 64,
		 65535},
		{ENDS6 "# sluice: fragments 0 5 forward\n# sluice: datagram 0 1001\n", 5, 1001},
	};
	static uint8_t frames[SL_SCRIPT_PIECES][SL_FRAME_MAX], datagram[65536];
	static struct sl_frame f;

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(row[i].text);
		unsigned first_off = 0, moved = 0;
		uint32_t ident = 0, last = 0;

		CU_ASSERT_FATAL(s != NULL);
		sl_frame_init(&f, &s->port[0]);
		for (unsigned round = 0; round < 8; round++) {
			for (unsigned k = 0; k < row[i].cnt; k++) {
				CU_ASSERT(sl_frame_next(&f, frames[k], NULL) <= 1514);
				CU_ASSERT(frames[k][12] == 0x86 || ip_residue(frames[k]) == 0);
			}
			bool v6 = frames[0][12] == 0x86;
			unsigned off = sl_load16(frames[0] + 14 + (v6 ? 42 : 6));
			moved += round && off != first_off;
			first_off = off;
			CU_ASSERT_EQUAL(join(frames, row[i].cnt, datagram, &ident), row[i].bytes);
			CU_ASSERT_EQUAL(ident, last + 1);
			last = ident;
			uint32_t acc = row[i].bytes + 17;
			const uint8_t *a = frames[0] + 14 + (v6 ? 8 : 12);
			for (unsigned b = 0; b < (v6 ? 32 : 8); b += 2)
				acc += (uint32_t)a[b] << 8 | a[b + 1];
			for (unsigned b = 0; b < row[i].bytes; b++)
				acc += b % 2 ? datagram[b] : (uint32_t)datagram[b] << 8;
			while (acc >> 16)
				acc = (acc & 0xffff) + (acc >> 16);
			CU_ASSERT_EQUAL(acc, 0xffff);
		}
		/* random order differs from datagram to datagram, the others do not */
		CU_ASSERT_EQUAL(moved != 0, strstr(row[i].text, "random") != NULL);
		sl_script_free(s);
	}
}

static void
what_cannot_be_cut_or_carried_is_refused(void)
{
	static const struct {
		const char *text, *said;
	} row[] = {
		{ENDS4 "# sluice: fragments 0 8 forward\n", "too small for so many fragments"},
		{ENDS4 "# sluice: fragments 0 2 forward\n# sluice: datagram 0 4000\n",
		 "larger than a frame"},
		{ENDS4 "# sluice: fragments 0 64 forward\n# sluice: datagram 0 65530\n",
		 "longer than IP can say"},
		{ENDS4 "# sluice: headers 0 hop\n", "extension headers in an IPv4 packet"},
		{ENDS6 "# sluice: headers 0 hop:256\n", "no room for the headers"},
		{"set 0 size 64\nenable 0 qinq\nset 0 proto tcp\n", "no room for the headers"},
		{ENDS6 "# sluice: imix 0 ag\n", "an IPv6 packet of 64 bytes"},
		{"# sluice: imix 0 ag\nset 0 seq_cnt 2\n", "a genome and a sequence"},
	};
	char said[1024];

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(row[i].text);

		CU_ASSERT_PTR_NULL(s);
		if (s)
			printf("passes: %s\n", row[i].said);
		sl_script_free(s);
		said[0] = 0;
		for (unsigned k = 0; k < diag.cnt && !strstr(said, row[i].said); k++)
			sl_diag_format(&diag.items[k], said, sizeof(said));
		CU_ASSERT_PTR_NOT_NULL(strstr(said, row[i].said));
		if (!strstr(said, row[i].said))
			printf("%s: %s\n", row[i].said, said);
	}
}

static void
a_genome_gives_its_sizes_in_turn(void)
{
	static const unsigned want[] = {64, 594, 64, 1518, 256};
	static struct sl_frame f;
	struct sl_script *s = parse("range 0 type ipv4\nrange 0 src ip 10.0.0.0 10.0.0.0 10.0.0.2 "
				    "0.0.0.1\nrange 0 dst ip inc 0.0.0.0\nrange 0 dst port inc 0\n"
				    "range 0 src port inc 0\nenable 0 range\n"
				    "# sluice: imix 0 aAaBc A=594,B=1518\n");
	uint8_t buf[SL_FRAME_MAX];
	struct sl_tuple t;

	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), 15);
	sl_frame_init(&f, &s->port[0]);
	for (unsigned i = 0; i < 20; i++) {
		unsigned len = sl_frame_next(&f, buf, &t);

		CU_ASSERT_EQUAL(len, want[i % 5] - 4);
		CU_ASSERT_EQUAL(t.src.b[15], i % 3);
		CU_ASSERT_EQUAL(l4_residue(buf, len), 0);
	}
	sl_script_free(s);
}

static void
a_measured_frame_is_known_again_and_its_checksum_right(void)
{
	static const struct {
		const char *text;
		unsigned head; /* before layer 4 */
		bool fits;
	} row[] = {
		{ENDS4, 34, true},
		{ENDS4 "set 0 size 65\n", 34, true}, /* the time at an odd byte */
		{ENDS4 "set 0 size 1517\n", 34, true},
		{ENDS4 "set 0 proto tcp\n", 34, false}, /* 6 bytes of payload */
		{ENDS4 "set 0 proto tcp\nset 0 size 76\n", 34, true},
		{ENDS4 "set 0 proto tcp\nset 0 size 75\n", 34, false},
		{ENDS6 "set 0 size 84\n", 54, true},
		{ENDS6 "set 0 size 83\n", 54, false},
		{ENDS4 "enable 0 vlan\n", 38, false},
		{ENDS4 "enable 0 vlan\nset 0 size 68\n", 38, true},
	};
	static struct sl_frame f;
	uint8_t buf[SL_FRAME_MAX];

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(row[i].text);
		struct sl_trail t;
		unsigned min = 0;

		CU_ASSERT_FATAL(s != NULL);
		CU_ASSERT_EQUAL(sl_frame_measurable(&s->port[0], &min), row[i].fits);
		if (!row[i].fits)
			CU_ASSERT_EQUAL(min, row[i].head + (strstr(row[i].text, "tcp") ? 20 : 8) +
						     18 + 4);
		sl_frame_init(&f, &s->port[0]);
		f.measured = row[i].fits;
		f.stream = 3;
		f.run = 200;
		for (unsigned n = 0; row[i].fits && n < 300; n++) {
			unsigned len = sl_frame_next(&f, buf, NULL),
				 tag = row[i].head % 10 == 8 ? 4 : 0;
			uint64_t time = n * 0x9e3779b97f4a7c15ull;

			sl_trail_stamp(buf, &f.spot, time);
			CU_ASSERT(sl_trail_find(buf, len, buf, len, &t));
			CU_ASSERT(t.stream == 3 && t.run == 200 && t.seq == n && t.time == time);
			memmove(buf + 12, buf + 12 + tag, len - 12 - tag);
			CU_ASSERT_EQUAL(l4_residue(buf, len - tag), 0);
		}
		sl_script_free(s);
	}
}

static void
every_fragment_has_its_own_trail(void)
{
	static struct sl_frame f;
	struct sl_script *s = parse(ENDS4 "# sluice: fragments 0 3 reverse\n"
					  "# sluice: datagram 0 73\n"); /* 32, 32, 9: too small */
	uint8_t buf[SL_FRAME_MAX];
	struct sl_trail t;
	unsigned min;

	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_FALSE(sl_frame_measurable(&s->port[0], &min));
	CU_ASSERT_EQUAL(min, 0);
	s->port[0].datagram_bytes = 82; /* 32, 32, 18: the last is padded to 60 bytes */
	CU_ASSERT(sl_frame_measurable(&s->port[0], &min));
	sl_frame_init(&f, &s->port[0]);
	f.measured = true;
	f.time = 77;
	for (unsigned i = 0; i < 6; i++) {
		unsigned len = sl_frame_next(&f, buf, NULL);

		CU_ASSERT(sl_trail_find(buf, len, buf, len, &t));
		CU_ASSERT(t.seq == i && t.time == 77);
		CU_ASSERT_EQUAL(f.spot.time_off, 0);
	}
	sl_script_free(s);
}

static void
hostile_ends_of_packets_are_no_trails(void)
{
	struct sl_trail t;

	for (unsigned len = 0; len <= 60; len++) {
		uint8_t *p = guard_buf(len ? len : 1);

		for (unsigned told = 0; told < 64; told++) {
			memset(p, 0xff, len ? len : 1);
			if (len >= 24) {
				sl_store16(p + 12, sl_to_be16(told % 2 ? 0x0800 : 0x86dd));
				sl_store16(p + 16, sl_to_be16(told));
				sl_store16(p + 18, sl_to_be16(told));
			}
			CU_ASSERT_FALSE(sl_trail_find(p, len, p, len, &t));
		}
		for (unsigned i = 0; i < len; i++) /* nothing but tags */
			p[i] = i % 4 ? 0 : 0x81;
		CU_ASSERT_FALSE(sl_trail_find(p, len, p, len, &t));
		guard_free(p, len ? len : 1);
	}
}

static void
loss_duplicates_and_order_are_told_apart(void)
{
	static const struct {
		const char *came, *reason;
		unsigned received, duplicate, reordered, missing;
	} row[] = {
		{"0123456789", "all", 10, 0, 0, 0},   {"0123", "the rest is under way", 4, 0, 0, 0},
		{"0129", "a hole", 4, 0, 0, 6},       {"0213", "overtaken", 4, 0, 1, 0},
		{"00123", "doubled", 4, 1, 0, 0},     {"3210", "backwards", 4, 0, 3, 0},
		{"012:3;", "never sent", 4, 0, 0, 0}, {"9090", "the ends, twice", 2, 2, 1, 8},
	};
	static struct sl_measure_stream s;

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		sl_measure_init(&s);
		s.issued = 10;
		for (const char *c = row[i].came; *c; c++)
			sl_measure_take(&s, (uint32_t)(*c - '0'));
		CU_ASSERT_EQUAL(s.received, row[i].received);
		CU_ASSERT_EQUAL(s.duplicate, row[i].duplicate);
		CU_ASSERT_EQUAL(s.reordered, row[i].reordered);
		CU_ASSERT_EQUAL(sl_measure_missing(&s), row[i].missing);
	}
	/* Past 2^32, and past the window. */
	sl_measure_init(&s);
	s.issued = (1ull << 32) + 5;
	CU_ASSERT(sl_measure_take(&s, 3));
	CU_ASSERT_EQUAL(s.next, (1ull << 32) + 4);
	CU_ASSERT(sl_measure_take(&s, 0xfffffffe));
	CU_ASSERT_EQUAL(s.late, 0);
	CU_ASSERT_FALSE(sl_measure_take(&s, 3));
	CU_ASSERT(sl_measure_take(&s, 3u - SL_MEASURE_WINDOW));
	CU_ASSERT_EQUAL(s.late, 1);
	CU_ASSERT_EQUAL(s.received, 3);
}

static void
percentiles_are_not_too_short_and_hardly_too_long(void)
{
	static struct sl_latency l, m;

	sl_latency_init(&l);
	CU_ASSERT_EQUAL(sl_latency_at(&l, 0.5), 0);
	for (unsigned i = 1; i <= 10000; i++)
		sl_latency_add(&l, i * 100);
	sl_latency_init(&m);
	sl_latency_merge(&m, &l);
	static const double part[] = {0.5, 0.9, 0.99, 0.999};
	for (unsigned i = 0; i < SL_ARRAY_CNT(part); i++) {
		double want = part[i] * 1e6, got = (double)sl_latency_at(&m, part[i]);

		CU_ASSERT(got >= want - 1 && got <= want * 1.0626);
	}
	CU_ASSERT_EQUAL(sl_latency_at(&m, 1), 1000000);
	CU_ASSERT_EQUAL(m.min, 100);
}

/* A second of a sender that looks at the clock every step ticks and sleeps from at for so long. */
static unsigned
paced(double hz, double pps, unsigned burst, uint64_t step, uint64_t at, uint64_t sleep)
{
	const uint64_t begin = 1ull << 60;
	struct sl_pace p;
	unsigned n = 0;

	sl_pace_init(&p, hz, pps, SL_PACE_DEPTH_S, begin);
	for (uint64_t now = 0; now < (uint64_t)hz; now += step) {
		if (sleep && now >= at && now < at + sleep)
			continue;
		if (sl_pace_due(&p, begin + now)) {
			n += burst;
			sl_pace_sent(&p, begin + now, burst);
		}
	}
	return n;
}

static void
the_pace_is_kept_and_a_pause_made_up_for(void)
{
	const double hz = 2.0e9;

	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 100000, 1, 200, 0, 0), 100000, 2);
	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 100000, 32, 200, 0, 0), 100000, 33);
	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 333333.25, 2, 300, 0, 0), 333333, 3);
	CU_ASSERT_DOUBLE_EQUAL(paced(3e6, 2e6, 1, 1, 0, 0), 2e6, 3);
	/* 8 ms away: made up for; 100 ms away: 10 ms of them are */
	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 100000, 1, 200, 1000000000, 16000000), 100000, 20);
	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 100000, 1, 200, 1000000000, 200000000), 91000, 30);
	/* a clock looked at too seldom: as fast as that goes */
	CU_ASSERT_DOUBLE_EQUAL(paced(hz, 1000000, 1, 4000, 0, 0), 500000, 2);
}

/* A device that passes limit packets a second, and a generator that sends at most ability. */
struct device {
	double limit, ability;
	unsigned trials;
};

static int
device_trial(void *ctx, struct sl_search_trial *t)
{
	struct device *d = ctx;

	d->trials++;
	t->sent_pps = SL_MIN(t->offered_pps, d->ability);
	if (d->trials == 5) /* held up once */
		t->sent_pps = d->limit / 10;
	t->sent = (uint64_t)(t->sent_pps * 1000);
	t->received = (uint64_t)(SL_MIN(t->sent_pps, d->limit) * 1000);
	return d->trials > 60 ? -EDEADLK : 0;
}

static void
the_search_finds_the_limit_and_says_whose_it_is(void)
{
	static const struct {
		double limit, ability, tolerance, want;
		enum sl_search_limit by;
	} row[] = {
		{123456, 1e9, 0, 123456, SL_SEARCH_DEVICE},
		{999, 1e9, 0, 999, SL_SEARCH_DEVICE},
		{100, 1e9, 0, 100, SL_SEARCH_DEVICE}, /* the lowest itself */
		{99, 1e9, 0, 0, SL_SEARCH_NONE},
		{2e6, 1e9, 0, 1e6, SL_SEARCH_MAX},
		{2e6, 3e5, 0, 3e5, SL_SEARCH_GENERATOR},
		{2e5, 3e5, 0, 2e5, SL_SEARCH_DEVICE}, /* too slow at the top, not where it counts */
		{90000, 1e9, 0.1, 100000, SL_SEARCH_DEVICE},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		const struct sl_search_conf c = {.min_pps = 100,
						 .max_pps = 1e6,
						 .resolution = 0.01,
						 .tolerance = row[i].tolerance};
		struct device d = {row[i].limit, row[i].ability, 0};
		struct sl_search_result r = {0};

		CU_ASSERT_EQUAL(sl_search_run(&c, device_trial, NULL, &d, &r), 0);
		CU_ASSERT(r.pps <= row[i].want + 1 && r.pps >= row[i].want * 0.99);
		CU_ASSERT_EQUAL(r.limit, row[i].by);
		CU_ASSERT(r.trial_cnt == d.trials && d.trials <= 30);
		if (r.limit != row[i].by || r.pps < row[i].want * 0.99)
			printf("row %zu: %f, %d, %u trials\n", i, r.pps, r.limit, d.trials);
	}
}

static const char ranges[] = "range 0 type ipv4\n"
			     "range 0 proto udp\n"
			     "range 0 src ip 10.0.0.0 10.0.0.0 10.0.0.5 0.0.0.1\n"
			     "range 0 dst ip 203.0.113.10 203.0.113.10 203.0.113.10 0.0.0.0\n"
			     "range 0 src port 1000 1000 1003 1\n"
			     "range 0 dst port start 53\n"
			     "range 0 dst port inc 0\n"
			     "range 0 size 65 65 70 5\n"
			     "enable 0 range\n";

static void
range_fields_step_together_and_wrap_to_min(void)
{
	struct sl_script *s = parse(ranges);
	CU_ASSERT_FATAL(s != NULL);
	uint8_t buf[SL_FRAME_MAX];
	struct sl_frame f;
	struct sl_tuple t;

	CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), 12);
	sl_frame_init(&f, &s->port[0]);
	for (unsigned i = 0; i < 25; i++) {
		unsigned len = sl_frame_next(&f, buf, &t);

		CU_ASSERT_EQUAL(len, (i % 2 ? 70 : 65) - 4);
		CU_ASSERT_EQUAL(t.src.b[15], i % 6);
		CU_ASSERT_EQUAL(sl_from_be16(t.sport), 1000 + i % 4);
		CU_ASSERT_EQUAL(sl_from_be16(t.dport), 53);
		CU_ASSERT_EQUAL(l4_residue(buf, len), 0);
		CU_ASSERT_EQUAL(ip_residue(buf), 0);
	}
	sl_script_free(s);
}

static void
ranges_that_do_not_close_are_refused(void)
{
	static const struct {
		const char *text, *reason;
	} row[] = {
		{"range 0 src port 1 2 9 1\nenable 0 range\n", "start below min"},
		{"range 0 src port 5 9 2 1\nenable 0 range\n", "min above max"},
		{"range 0 src port 3 2 9 2\nenable 0 range\n", "start off the steps"},
		{"range 0 type ipv6\nrange 0 src ip 2001:db8::1 2001:db8:0:1::1 2001:db8::5 ::1\n",
		 "min outside the /64"},
		{"range 0 type ipv6\nrange 0 src ip inc 1::1\n", "inc past 64 bits"},
		{"range 0 type ipv6\nrange 0 src ip start 2001:db8::1\n"
		 "range 0 dst ip start 2001:db8::2\nenable 0 range\n",
		 "64 bytes of IPv6"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(row[i].text);

		CU_ASSERT_PTR_NULL(s);
		if (s)
			printf("passes: %s\n", row[i].reason);
		sl_script_free(s);
	}
}

static void
ipv6_frames_are_right(void)
{
	struct sl_script *s =
		parse("range 0 type ipv6\nrange 0 proto tcp\nrange 0 size start 78\n"
		      "range 0 src ip 2001:db8:1::1 2001:db8:1::1 2001:db8:1::3 ::1\n"
		      "range 0 dst ip start 2001:db8:2::10\nrange 0 dst port start 80\n"
		      "range 0 dst port inc 0\nrange 0 src port inc 0\n"
		      "range 0 src port start 9\nenable 0 range\n");
	CU_ASSERT_FATAL(s != NULL);
	uint8_t buf[SL_FRAME_MAX];
	struct sl_frame f;
	struct sl_tuple t;

	CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), 3);
	sl_frame_init(&f, &s->port[0]);
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(sl_frame_next(&f, buf, &t), 74);
		CU_ASSERT_EQUAL(l4_residue(buf, 74), 0);
		CU_ASSERT_EQUAL(buf[12], 0x86);
		CU_ASSERT_EQUAL(buf[14] >> 4, 6);
		CU_ASSERT_EQUAL(t.src.b[15], 1 + i % 3);
		CU_ASSERT_EQUAL(t.src.b[5], 1);
		CU_ASSERT_EQUAL(t.dst.b[15], 0x10);
	}
	sl_script_free(s);
}

static void
a_sequence_goes_round(void)
{
	struct sl_script *s =
		parse("seq 0 0 02:00:00:00:00:01 02:00:00:00:00:02 203.0.113.10 10.0.0.1/8 1 80 "
		      "ipv4 tcp 1 64\n"
		      "sequence 1 0 dst 02:00:00:00:00:01 src 02:00:00:00:00:02 dst 203.0.113.10 "
		      "src 10.0.0.2/8 sport 2 dport 80 ipv4 udp vlan 1 size 1518\n"
		      "seq 0 0 tcp flags syn\nset 0 seq_cnt 2\n");
	CU_ASSERT_FATAL(s != NULL);
	uint8_t buf[SL_FRAME_MAX];
	struct sl_frame f;
	const char *why;

	CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), 2);
	sl_frame_init(&f, &s->port[0]);
	for (unsigned i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(sl_frame_next(&f, buf, NULL), i % 2 ? 1514 : 60);
		CU_ASSERT_EQUAL(buf[23], i % 2 ? 17 : 6);
		if (i % 2 == 0)
			CU_ASSERT_EQUAL(buf[47], 2);
	}
	CU_ASSERT_EQUAL(sl_script_set_flows(&s->port[0], 5, &why), -EINVAL);
	sl_script_free(s);
}

static void
flows_give_exactly_that_many_tuples(void)
{
	static const unsigned row[] = {1, 2, 12, 1000};
	uint8_t buf[SL_FRAME_MAX];
	struct sl_tuple t, first;
	struct sl_frame f;
	const char *why;

	for (size_t i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_script *s = parse(ranges);
		CU_ASSERT_FATAL(s != NULL);
		CU_ASSERT_EQUAL(sl_script_set_flows(&s->port[0], row[i], &why), 0);
		sl_frame_init(&f, &s->port[0]);
		unsigned again = 0;
		for (unsigned n = 0; n <= row[i]; n++) {
			sl_frame_next(&f, buf, &t);
			if (!n)
				first = t;
			else if (!memcmp(&t, &first, sizeof(t)))
				again = n;
		}
		CU_ASSERT_EQUAL(again, row[i]);
		sl_script_free(s);
	}
	struct sl_script *s = parse("set 0 dport 80\n");
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_EQUAL(sl_script_set_flows(&s->port[0], 0, &why), -EINVAL);
	CU_ASSERT_EQUAL(sl_script_set_flows(&s->port[0], (1u << 24) + 1, &why), -EINVAL);
	CU_ASSERT_EQUAL(sl_script_set_flows(&s->port[0], 3, &why), 0);
	CU_ASSERT_EQUAL(sl_frame_period(&s->port[0]), 3);
	sl_script_free(s);
}

static void
the_capture_file_reads_back(void)
{
	static const uint8_t frames[2][3] = {{1, 2, 3}, {4, 5, 6}};
	char path[] = "/tmp/sl-pcap-XXXXXX";
	uint32_t head[6], rec[4];
	struct sl_pcap w;
	uint8_t got[3];
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL(sl_pcap_create(&w, path), 0);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(sl_pcap_add(&w, frames[i], i ? 3 : 2), 0);
	CU_ASSERT_EQUAL(sl_pcap_close(&w), 0);
	CU_ASSERT_EQUAL(sl_pcap_close(&w), 0);
	FILE *f = fopen(path, "rb");
	unlink(path);
	CU_ASSERT_FATAL(f != NULL);
	CU_ASSERT_EQUAL(fread(head, sizeof(head), 1, f), 1);
	CU_ASSERT_EQUAL(head[0], 0xa1b2c3d4);
	CU_ASSERT_EQUAL(head[5], 1);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(fread(rec, sizeof(rec), 1, f), 1);
		CU_ASSERT_EQUAL(rec[1], i);
		CU_ASSERT_EQUAL(rec[2], i ? 3 : 2);
		CU_ASSERT_EQUAL(rec[3], rec[2]);
		CU_ASSERT_EQUAL(fread(got, rec[2], 1, f), 1);
		CU_ASSERT_EQUAL(memcmp(got, frames[i], rec[2]), 0);
	}
	CU_ASSERT_EQUAL(fgetc(f), EOF);
	fclose(f);
	CU_ASSERT_EQUAL(sl_pcap_create(&w, "/nonexistent/x.pcap"), -ENOENT);
}

/* Each profile of the tree parses without a note that hides something, and closes. */
static void
the_profiles_of_the_tree_parse(void)
{
	DIR *d = opendir(PROFILES);
	unsigned seen = 0;
	char path[4096], text[16384];

	CU_ASSERT_FATAL(d != NULL);
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name);

		if (n < 4 || strcmp(e->d_name + n - 4, ".pkt"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PROFILES, e->d_name);
		FILE *f = fopen(path, "rb");
		CU_ASSERT_FATAL(f != NULL);
		size_t len = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[len] = 0;
		struct sl_script *s = parse(text);
		CU_ASSERT_PTR_NOT_NULL(s);
		if (!s)
			printf("%s: %s\n", path, diag.items[0].text);
		else
			CU_ASSERT(sl_frame_period(sl_script_first(s, 0)) <= 10000000);
		sl_script_free(s);
		seen++;
	}
	closedir(d);
	CU_ASSERT(seen >= 8);
	sl_diag_fini(&diag);
	sl_diag_fini(&notes);
}

SL_SUITE("pktgen", SL_TEST(commands_set_what_they_say),
	 SL_TEST(wrong_lines_are_refused_with_their_number),
	 SL_TEST(all_errors_of_a_file_are_reported), SL_TEST(screen_commands_are_noted_and_skipped),
	 SL_TEST(steps_carry_the_configuration_of_their_moment),
	 SL_TEST(a_single_packet_has_the_bytes_of_pktgen),
	 SL_TEST(range_fields_step_together_and_wrap_to_min),
	 SL_TEST(ranges_that_do_not_close_are_refused), SL_TEST(ipv6_frames_are_right),
	 SL_TEST(a_sequence_goes_round), SL_TEST(flows_give_exactly_that_many_tuples),
	 SL_TEST(frames_with_tags_headers_and_cuts_have_the_bytes_of_the_rfcs),
	 SL_TEST(fragments_join_to_a_datagram_with_a_right_checksum),
	 SL_TEST(what_cannot_be_cut_or_carried_is_refused),
	 SL_TEST(a_genome_gives_its_sizes_in_turn),
	 SL_TEST(a_measured_frame_is_known_again_and_its_checksum_right),
	 SL_TEST(every_fragment_has_its_own_trail), SL_TEST(hostile_ends_of_packets_are_no_trails),
	 SL_TEST(loss_duplicates_and_order_are_told_apart),
	 SL_TEST(percentiles_are_not_too_short_and_hardly_too_long),
	 SL_TEST(the_pace_is_kept_and_a_pause_made_up_for),
	 SL_TEST(the_search_finds_the_limit_and_says_whose_it_is),
	 SL_TEST(the_capture_file_reads_back), SL_TEST(the_profiles_of_the_tree_parse))

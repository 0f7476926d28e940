/* The command language, the packets it stands for, and the capture file, without an EAL. */
#include "pktgen/frame.h"
#include "pktgen/pcap.h"
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
	 SL_TEST(the_capture_file_reads_back), SL_TEST(the_profiles_of_the_tree_parse))

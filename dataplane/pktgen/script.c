/* A line is matched against a table of forms (form.h); the row that fits runs its function with the values.
 * When none fits, the row that agrees with the most words says what is wrong.  Settings are kept as
 * Pktgen-DPDK keeps them, one set for each mode, and judged together when a port starts. */
#include "pktgen/script.h"
#include "pktgen/form.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_LINE 1024
#define MAC_MASK 0xffffffffffffull

struct parser {
	struct sl_script *s;
	const char *file;
	int line;
	struct sl_diag *diag, *notes;
	bool failed;
	unsigned room; /* of s->steps */
};

struct form {
	const char *text;
	void (*run)(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a,
		    int what);
	int what;
	bool ports; /* run once for each port of the first %P, with a behind it */
};

static void __attribute__((format(printf, 3, 4)))
fail(struct parser *ps, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(ps->diag, ps->file, ps->line, NULL, hint, "%s", text);
	ps->failed = true;
}

/* ---- the functions of the rows ---- */

/* A number that must lie in [lo, hi]; says so when not. */
static bool
within(struct parser *ps, const struct sl_form_arg *a, uint64_t lo, uint64_t hi, const char *what)
{
	if (a->num >= lo && a->num <= hi)
		return true;
	fail(ps, NULL, "%s %s is not in [%llu, %llu]", what, a->word, (unsigned long long)lo,
	     (unsigned long long)hi);
	return false;
}

enum {
	SET_COUNT,
	SET_SIZE,
	SET_BURST,
	SET_SPORT,
	SET_DPORT,
	SET_TTL,
	SET_TOS,
	SET_SEQ,
	SET_ACK,
	SET_SEQ_CNT,
	SET_VLAN
};

static void
set_seq_cnt(struct sl_script_port *p, unsigned n)
{
	p->seq_cnt = n;
	p->mode = n ? SL_SCRIPT_SEQUENCE : SL_SCRIPT_SINGLE;
}

static void
set_number(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	static const struct {
		const char *name;
		uint64_t lo, hi;
	} lim[] = {
		[SET_COUNT] = {"count", 0, UINT32_MAX},
		[SET_SIZE] = {"size", SL_SCRIPT_SIZE_MIN, SL_SCRIPT_SIZE_MAX},
		[SET_BURST] = {"burst", 1, 256},
		[SET_SPORT] = {"sport", 0, UINT16_MAX},
		[SET_DPORT] = {"dport", 0, UINT16_MAX},
		[SET_TTL] = {"ttl", 0, UINT8_MAX},
		[SET_TOS] = {"tos", 0, UINT8_MAX},
		[SET_SEQ] = {"tcp seq", 0, UINT32_MAX},
		[SET_ACK] = {"tcp ack", 0, UINT32_MAX},
		[SET_SEQ_CNT] = {"seq_cnt", 0, SL_SCRIPT_SEQ},
		[SET_VLAN] = {"vlan", 0, 4095},
	};
	struct sl_script_packet *k = &p->single;
	uint64_t v = a->num;

	if (!within(ps, a, lim[what].lo, lim[what].hi, lim[what].name))
		return;
	switch (what) {
	case SET_COUNT:
		p->count = v;
		break;
	case SET_SIZE:
		k->size = (uint16_t)v;
		break;
	case SET_BURST:
		p->burst = (unsigned)v;
		break;
	case SET_SPORT:
		k->sport = (uint16_t)v;
		break;
	case SET_DPORT:
		k->dport = (uint16_t)v;
		break;
	case SET_TTL:
		k->ttl = (uint8_t)v;
		break;
	case SET_TOS:
		k->tos = (uint8_t)v;
		break;
	case SET_SEQ:
		k->seq = (uint32_t)v;
		break;
	case SET_ACK:
		k->ack = (uint32_t)v;
		break;
	case SET_SEQ_CNT:
		set_seq_cnt(p, (unsigned)v);
		break;
	case SET_VLAN:
		k->vlan = (uint16_t)v;
		break;
	}
}

static void
set_rate(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)what;
	if (a->real > 0 && a->real <= 100)
		p->rate = a->real;
	else
		fail(ps, "a rate is percent of the line rate", "rate %s is not in (0, 100]",
		     a->word);
}

static void
set_type(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	(void)what;
	p->single.v6 = a->num % 2 == 1;
}

static void
set_proto(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	(void)what;
	p->single.proto = a->num ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
}

enum { SRC, DST };

static void
set_mac(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	*(what == SRC ? &p->single.src_mac : &p->single.dst_mac) = a->num;
}

static void
set_ip(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	*(what == SRC ? &p->single.src : &p->single.dst) = a->addr;
	p->single.v6 = !sl_addr_is_v4(&a->addr);
}

static void
set_fill(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	(void)what;
	p->zero_fill = a->num == 1;
}

static bool
read_flags(struct parser *ps, const char *list, uint8_t *ret_flags)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
	uint8_t flags = 0;

	for (const char *w = list; *w;) {
		size_t n = strcspn(w, ",");
		unsigned i = 0;

		while (i < 8 && (n != 3 || memcmp(w, names[i], 3)))
			i++;
		if (i == 8 && (n != 3 || memcmp(w, "clr", 3))) {
			fail(ps, "cwr, ece, urg, ack, psh, rst, syn, fin or clr",
			     "'%.*s' is not a TCP flag", (int)n, w);
			return false;
		}
		flags = i == 8 ? 0 : (uint8_t)(flags | 1u << i);
		w += n + (w[n] == ',');
	}
	*ret_flags = flags;
	return true;
}

enum { OF_SINGLE, OF_RANGE, OF_SEQ };

static void
set_flags(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	read_flags(ps, a[1].word, what == OF_SINGLE ? &p->single.tcp_flags : &p->range.tcp_flags);
}

static void
range_type(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	(void)what;
	p->range.v6 = a->num == 1;
	/* Pktgen-DPDK keeps the spans of the two families apart; a file names its family first. */
	for (int f = SL_SPAN_DST_IP; f <= SL_SPAN_SRC_IP; f++)
		p->span[f] = (struct sl_script_span){0};
	memset(&p->range.src, 0, sizeof(p->range.src));
	memset(&p->range.dst, 0, sizeof(p->range.dst));
	if (!p->range.v6)
		p->range.src = p->range.dst = sl_addr_from_v4("\0\0\0\0");
}

static void
range_proto(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)ps;
	(void)what;
	p->range.proto = a->num ? SL_IPPROTO_UDP : SL_IPPROTO_TCP;
}

enum { PART_START, PART_MIN, PART_MAX, PART_INC };

/* The value of a as one for the field, checked; the high half of an IPv6 address is kept aside. */
static bool
span_value(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int field,
	   int part, uint64_t *ret_v)
{
	static const uint64_t max[SL_SPAN_CNT] = {
		[SL_SPAN_DST_MAC] = MAC_MASK,        [SL_SPAN_SRC_MAC] = MAC_MASK,
		[SL_SPAN_DST_PORT] = UINT16_MAX,     [SL_SPAN_SRC_PORT] = UINT16_MAX,
		[SL_SPAN_TTL] = UINT8_MAX,           [SL_SPAN_TOS] = UINT8_MAX,
		[SL_SPAN_SIZE] = SL_SCRIPT_SIZE_MAX, [SL_SPAN_SEQ] = UINT32_MAX,
		[SL_SPAN_ACK] = UINT32_MAX,          [SL_SPAN_VLAN] = 4095,
	};
	bool port = field == SL_SPAN_DST_PORT || field == SL_SPAN_SRC_PORT;

	*ret_v = a->num;
	if (field != SL_SPAN_DST_IP && field != SL_SPAN_SRC_IP)
		return within(ps, a,
			      field == SL_SPAN_SIZE && part != PART_INC ? SL_SCRIPT_SIZE_MIN : 0,
			      port && part == PART_INC ? 64 : max[field], "value");
	if (sl_addr_is_v4(&a->addr) == p->range.v6) {
		fail(ps, "'range <portlist> type ipv4|ipv6' comes before the addresses",
		     "%s is not of the range's type %s", a->word, p->range.v6 ? "ipv6" : "ipv4");
		return false;
	}
	if (!p->range.v6) {
		*ret_v = sl_from_be32(sl_load32(a->addr.b + 12));
		return true;
	}
	struct sl_addr *base = field == SL_SPAN_SRC_IP ? &p->range.src : &p->range.dst;
	bool zero = sl_load64(a->addr.b) == 0;

	if (part == PART_INC ? !zero
			     : part != PART_START && sl_load64(a->addr.b) != sl_load64(base->b)) {
		fail(ps, "start, min and max share the first 64 bits, and start comes first",
		     "%s leaves the range's /64", a->word);
		return false;
	}
	if (part == PART_START)
		memcpy(base->b, a->addr.b, 8);
	*ret_v = __builtin_bswap64(sl_load64(a->addr.b + 8));
	return true;
}

static void
span_put(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int field,
	 int part)
{
	struct sl_script_span *s = &p->span[field];
	uint64_t v;

	if (!span_value(ps, p, a, field, part, &v))
		return;
	*(part == PART_START ? &s->start
	  : part == PART_MIN ? &s->min
	  : part == PART_MAX ? &s->max
			     : &s->inc) = v;
}

/* %|start|minimum|maximum|increment|min|max|inc VALUE */
static void
range_part(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int field)
{
	static const uint8_t part[] = {PART_START, PART_MIN, PART_MAX, PART_INC,
				       PART_MIN,   PART_MAX, PART_INC};
	span_put(ps, p, a + 1, field, part[a->num]);
}

/* START MIN MAX INC */
static void
range_four(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int field)
{
	for (int part = PART_START; part <= PART_INC; part++)
		span_put(ps, p, a + part, field, part);
}

static bool
seq_slot(struct parser *ps, const struct sl_form_arg *slot)
{
	return within(ps, slot, 0, SL_SCRIPT_SEQ - 1, "sequence number");
}

/* NUMBER then, for each port: dst-mac src-mac dst-ip src-ip sport dport family proto vlan size.  The vlan is
 * sent where VLAN tags are enabled. */
static void
seq_packet(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	const struct sl_form_arg *slot = a - 2;
	struct sl_script_packet k = p->single;

	(void)what;
	if (!seq_slot(ps, slot) || !within(ps, a + 4, 0, UINT16_MAX, "sport") ||
	    !within(ps, a + 5, 0, UINT16_MAX, "dport") || !within(ps, a + 8, 0, 4095, "vlan") ||
	    !within(ps, a + 9, SL_SCRIPT_SIZE_MIN, SL_SCRIPT_SIZE_MAX, "size"))
		return;
	k.dst_mac = a[0].num;
	k.src_mac = a[1].num;
	k.dst = a[2].addr;
	k.src = a[3].addr;
	k.sport = (uint16_t)a[4].num;
	k.dport = (uint16_t)a[5].num;
	k.proto = a[7].num ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
	k.vlan = (uint16_t)a[8].num;
	k.size = (uint16_t)a[9].num;
	k.tcp_flags = p->seq[slot->num].tcp_flags;
	k.v6 = false;
	p->seq[slot->num] = k;
}

static void
seq_flags(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)what;
	if (seq_slot(ps, a - 2))
		read_flags(ps, a[1].word, &p->seq[a[-2].num].tcp_flags);
}

static void
use_range(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int on)
{
	(void)ps;
	(void)a;
	p->mode = on ? SL_SCRIPT_RANGE : SL_SCRIPT_SINGLE;
}

/* %|enable|disable %P %|vlan|qinq: the switch stands before the ports. */
static void
set_tags(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	enum sl_script_tags tags = a->num ? SL_TAGS_QINQ : SL_TAGS_VLAN;

	(void)ps;
	(void)what;
	if (a[-2].num == 0)
		p->tags = tags;
	else if (p->tags == tags)
		p->tags = SL_TAGS_NONE;
}

static void
set_qinq(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)what;
	if (within(ps, a, 0, 4095, "outer id") && within(ps, a + 1, 0, 4095, "inner id")) {
		p->qinq[0] = (uint16_t)a[0].num;
		p->qinq[1] = (uint16_t)a[1].num;
	}
}

/* ---- directives ---- */

/* COUNT ORDER [SEED] */
static void
set_fragments(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int seeded)
{
	if (!within(ps, a, 1, SL_SCRIPT_PIECES, "fragments"))
		return;
	p->piece_cnt = (unsigned)a->num;
	p->order = seeded ? SL_ORDER_RANDOM : (enum sl_script_order)a[1].num;
	p->seed = seeded ? a[1].num : 0;
}

static void
set_datagram(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)what;
	if (within(ps, a, 8, UINT16_MAX, "datagram"))
		p->datagram_bytes = (unsigned)a->num;
}

/* "hop", "dst:16" or "fragment": one element of n bytes at w. */
static bool
read_ext(const char *w, size_t n, struct sl_script_ext *ret_ext)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} kinds[] = {{"hop", SL_EXT_HOP}, {"dst", SL_EXT_DST}, {"fragment", SL_EXT_FRAGMENT}};
	size_t name = strcspn(w, ":,");
	unsigned long bytes = 8;
	char *end = (char *)w + n;

	if (name < n)
		bytes = w[name + 1] >= '0' && w[name + 1] <= '9' ? strtoul(w + name + 1, &end, 10)
								 : 0;
	if (end != w + n || bytes < 8 || bytes > SL_SCRIPT_EXT_MAX || bytes % 8)
		return false;
	for (size_t i = 0; i < SL_ARRAY_CNT(kinds); i++)
		if (strlen(kinds[i].name) == name && !memcmp(w, kinds[i].name, name)) {
			*ret_ext = (struct sl_script_ext){kinds[i].proto, (uint16_t)bytes};
			return kinds[i].proto != SL_EXT_FRAGMENT || bytes == 8;
		}
	return false;
}

static void
set_exts(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	struct sl_script_ext ext[SL_SCRIPT_EXTS];
	unsigned cnt = 0, fragments = 0;

	(void)what;
	for (const char *w = a->word;;) {
		size_t n = strcspn(w, ",");

		if (cnt == SL_SCRIPT_EXTS || !read_ext(w, n, &ext[cnt])) {
			fail(ps,
			     "up to 8 of hop[:BYTES], dst[:BYTES], fragment; BYTES: 8, 16, … 256",
			     "'%.*s' is no extension header, or one too many", (int)n, w);
			return;
		}
		fragments += ext[cnt++].proto == SL_EXT_FRAGMENT;
		if (!w[n])
			break;
		w += n + 1;
	}
	if (fragments > 1) {
		fail(ps, NULL, "more than one fragment header");
		return;
	}
	memcpy(p->ext, ext, sizeof(ext[0]) * cnt);
	p->ext_cnt = cnt;
}

/* The sizes of RFC 6985's lower case letters; 0 where they are past a frame of ours or MTU-sized. */
static unsigned
imix_size(char letter, const char *custom)
{
	static const uint16_t standard[] = {64, 128, 256, 512, 1024, 1280, 1518};

	if (letter >= 'a' && letter <= 'g')
		return standard[letter - 'a'];
	if (letter < 'A' || letter > 'Z' || !custom)
		return 0;
	for (const char *w = custom; w[0] && w[1] == '=';) {
		char *end;
		unsigned long v = strtoul(w + 2, &end, 10);

		if (w[0] == letter)
			return v <= SL_SCRIPT_SIZE_MAX && (!*end || *end == ',') ? (unsigned)v : 0;
		if (*end != ',')
			break;
		w = end + 1;
	}
	return 0;
}

/* GENOME [A=SIZE,B=SIZE,…] */
static void
set_imix(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int custom)
{
	size_t n = strlen(a->word);

	if (n > SL_SCRIPT_IMIX) {
		fail(ps, NULL, "a genome of %zu letters, more than %d", n, SL_SCRIPT_IMIX);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned size = imix_size(a->word[i], custom ? a[1].word : NULL);

		if (size < SL_SCRIPT_SIZE_MIN) {
			fail(ps,
			     "RFC 6985: a–g are 64, 128, 256, 512, 1024, 1280, 1518; A–Z as "
			     "A=594,B=…",
			     "'%c' has no size in [64, 1518]", a->word[i]);
			return;
		}
		p->imix[i] = (uint16_t)size;
	}
	p->imix_cnt = (unsigned)n;
}

static void
skip(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)p;
	(void)a;
	(void)what;
	if (ps->notes)
		sl_diag_add(ps->notes, ps->file, ps->line, NULL, NULL,
			    "skipped: only for Pktgen-DPDK's screen and answers");
}

static void port_default(struct sl_script_port *p, unsigned idx);

static void
reset(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)a;
	(void)what;
	port_default(p, (unsigned)(p - ps->s->port));
}

static void add_step(struct parser *ps, enum sl_script_do what, uint32_t ports, uint64_t ms);

static void
start_stop(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)p;
	add_step(ps, (enum sl_script_do)what, (uint32_t)a->num, 0);
}

static void
start_stop_all(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int what)
{
	(void)p;
	(void)a;
	add_step(ps, (enum sl_script_do)what, 1, 0);
}

static void
wait_ms(struct parser *ps, struct sl_script_port *p, const struct sl_form_arg *a, int scale)
{
	(void)p;
	if (within(ps, a, 0, 86400000u / (unsigned)scale, "time"))
		add_step(ps, SL_SCRIPT_DELAY, 0, a->num * (unsigned)scale);
}

#define PART "%|start|minimum|maximum|increment|min|max|inc"
#define SPAN(name, kind, field)                                                                    \
	{"range %P " name " " PART " " kind, range_part, field, true},                             \
	{                                                                                          \
		"range %P " name " " kind " " kind " " kind " " kind, range_four, field, true      \
	}

static const struct form forms[] = {
	{"set %P count %d", set_number, SET_COUNT, true},
	{"set %P size %d", set_number, SET_SIZE, true},
	{"set %P burst %d", set_number, SET_BURST, true},
	{"set %P txburst %d", set_number, SET_BURST, true},
	{"set %P sport %d", set_number, SET_SPORT, true},
	{"set %P dport %d", set_number, SET_DPORT, true},
	{"set %P ttl %d", set_number, SET_TTL, true},
	{"set %P tos %d", set_number, SET_TOS, true},
	{"set %P tcp seq %d", set_number, SET_SEQ, true},
	{"set %P tcp ack %d", set_number, SET_ACK, true},
	{"set %P vlan %d", set_number, SET_VLAN, true},
	{"set %P qinqids %d %d", set_qinq, 0, true},
	{"set %P seq_cnt %d", set_number, SET_SEQ_CNT, true},
	{"set %P seqcnt %d", set_number, SET_SEQ_CNT, true},
	{"set %P seqCnt %d", set_number, SET_SEQ_CNT, true},
	{"set %P rate %r", set_rate, 0, true},
	{"set %P type %|ipv4|ipv6|ip4|ip6", set_type, 0, true},
	{"set %P proto %|udp|tcp", set_proto, 0, true},
	{"set %P src mac %m", set_mac, SRC, true},
	{"set %P dst mac %m", set_mac, DST, true},
	{"set %P src ip %4", set_ip, SRC, true},
	{"set %P src ip %6", set_ip, SRC, true},
	{"set %P dst ip %4", set_ip, DST, true},
	{"set %P dst ip %6", set_ip, DST, true},
	{"set %P tcp %|flags|flag %c", set_flags, OF_SINGLE, true},
	{"set %P pattern %|abc|zero", set_fill, 0, true},
	{"set %P rxburst %d", skip, 0, false},

	{"range %P type %|ipv4|ipv6", range_type, 0, true},
	{"range %P proto %|tcp|udp", range_proto, 0, true},
	{"range %P tcp %|flags|flag %c", set_flags, OF_RANGE, true},
	SPAN("dst mac", "%m", SL_SPAN_DST_MAC),
	SPAN("src mac", "%m", SL_SPAN_SRC_MAC),
	SPAN("dst ip", "%4", SL_SPAN_DST_IP),
	SPAN("src ip", "%4", SL_SPAN_SRC_IP),
	SPAN("dst ip", "%6", SL_SPAN_DST_IP),
	SPAN("src ip", "%6", SL_SPAN_SRC_IP),
	SPAN("dst port", "%d", SL_SPAN_DST_PORT),
	SPAN("src port", "%d", SL_SPAN_SRC_PORT),
	SPAN("ttl", "%d", SL_SPAN_TTL),
	SPAN("hop_limits", "%d", SL_SPAN_TTL),
	SPAN("tos", "%d", SL_SPAN_TOS),
	SPAN("traffic_class", "%d", SL_SPAN_TOS),
	SPAN("size", "%d", SL_SPAN_SIZE),
	SPAN("tcp seq", "%d", SL_SPAN_SEQ),
	SPAN("tcp ack", "%d", SL_SPAN_ACK),
	SPAN("vlan", "%d", SL_SPAN_VLAN),

	{"%|seq|sequence %d %P %m %m %4 %4 %d %d %|ipv4 %|udp|tcp %d %d", seq_packet, 0, true},
	{"%|seq|sequence %d %P dst %m src %m dst %4 src %4 sport %d dport %d %|ipv4 %|udp|tcp "
	 "vlan %d size %d",
	 seq_packet, 0, true},
	{"%|seq|sequence %d %P tcp %|flags|flag %c", seq_flags, 0, true},

	{"enable %P range", use_range, 1, true},
	{"disable %P range", use_range, 0, true},
	{"%|enable|disable %P %|vlan|qinq", set_tags, 0, true},
	{"start %P", start_stop, SL_SCRIPT_START, false},
	{"stop %P", start_stop, SL_SCRIPT_STOP, false},
	{"str", start_stop_all, SL_SCRIPT_START, false},
	{"stp", start_stop_all, SL_SCRIPT_STOP, false},
	{"delay %d", wait_ms, 1, false},
	{"sleep %d", wait_ms, 1000, false},
	{"reset %P", reset, 0, true},

	{"%|enable|disable %P %|process|icmp|capture|latency|lat|blink", skip, 0, false},
	{"%|enable|disable %|screen|mac_from_arp|clock_gettime", skip, 0, false},
	{"clear %P stats", skip, 0, false},
	{"page %s", skip, 0, false},
	{"port %d", skip, 0, false},
	{"theme %s", skip, 0, false},
	{"theme %s %s %s %s", skip, 0, false},
	{"set ports_per_page %d", skip, 0, false},
	{"%|on|off|cls|clr|redisplay|geometry|geom", skip, 0, false},
};

static const struct form directives[] = {
	{"fragments %P %d %|forward|reverse", set_fragments, 0, true},
	{"fragments %P %d random %d", set_fragments, 1, true},
	{"datagram %P %d", set_datagram, 0, true},
	{"headers %P %s", set_exts, 0, true},
	{"imix %P %s", set_imix, 0, true},
	{"imix %P %s %s", set_imix, 1, true},
};

/* ---- a line to a row ---- */

static void
run(struct parser *ps, const struct form *f, const struct sl_form_arg *args, unsigned arg_cnt)
{
	unsigned at = 0; /* of %P */

	if (!f->ports) {
		f->run(ps, NULL, args, f->what);
		return;
	}
	if (!strncmp(f->text, "%|seq", 5))
		at = 2;
	else if (!strncmp(f->text, "%|enable", 8))
		at = 1;
	SL_ASSERT(at < arg_cnt);
	(void)arg_cnt;
	for (unsigned i = 0; i < SL_SCRIPT_PORTS; i++) {
		struct sl_script_port *p = &ps->s->port[i];

		if (!(args[at].num >> i & 1) ||
		    (!strcmp(args[at].word, "all") && i > 0 && !p->used))
			continue;
		p->used = true;
		f->run(ps, p, args + at + 1, f->what);
	}
}

/* words[0, cnt) against the rows. */
static void
dispatch(struct parser *ps, const struct form *table, size_t rows, char *const *words, unsigned cnt)
{
	struct sl_form_arg args[SL_FORM_WORDS];
	unsigned best = 0, best_agree = 0, arg_cnt;
	char form[256];

	for (unsigned i = 0; i < rows; i++) {
		bool fits;
		unsigned agree = sl_form_match(table[i].text, words, cnt, args, &arg_cnt, &fits);

		if (fits) {
			run(ps, &table[i], args, arg_cnt);
			return;
		}
		if (agree > best_agree) {
			best = i;
			best_agree = agree;
		}
	}
	if (!best_agree) {
		fail(ps, "scripts/pktgen/README.md lists the commands", "unknown %s '%s'",
		     table == forms ? "command" : "directive", words[0]);
		return;
	}
	sl_form_explain(table[best].text, form, sizeof(form));
	if (best_agree < cnt)
		fail(ps, form, "'%s' does not fit here (word %u)", words[best_agree],
		     best_agree + 1);
	else
		fail(ps, form, "the command stops too early, after '%s'", words[cnt - 1]);
}

static void
command(struct parser *ps, char *line)
{
	char *words[SL_FORM_WORDS + 1];
	bool close = !strncmp(line, "#sluice:", 8);
	unsigned cnt = sl_form_split(line, words);

	if (close)
		fail(ps, "# sluice: …", "a directive has a blank after '#'");
	if (!cnt || (words[0][0] == '#' &&
		     (cnt < 2 || strcmp(words[0], "#") || strcmp(words[1], "sluice:"))))
		return;
	if (cnt > SL_FORM_WORDS)
		fail(ps, NULL, "more than %d words", SL_FORM_WORDS);
	else if (words[0][0] != '#')
		dispatch(ps, forms, SL_ARRAY_CNT(forms), words, cnt);
	else if (cnt > 2)
		dispatch(ps, directives, SL_ARRAY_CNT(directives), words + 2, cnt - 2);
	else
		fail(ps, "scripts/pktgen/README.md lists the directives",
		     "a directive without words");
}

/* ---- the whole ---- */

static void
port_default(struct sl_script_port *p, unsigned idx)
{
	uint8_t src[4] = {192, 168, (uint8_t)idx, 1}, dst[4] = {192, 168, (uint8_t)(idx + 1), 1};
	struct sl_script_packet k = {.src = sl_addr_from_v4(src),
				     .dst = sl_addr_from_v4(dst),
				     .seq = 0x12378,
				     .ack = 0x12390,
				     .sport = 1234,
				     .dport = 5678,
				     .size = SL_SCRIPT_SIZE_MIN,
				     .proto = SL_IPPROTO_TCP,
				     .ttl = 64,
				     .vlan = 1,
				     .tcp_flags = 16};
	uint64_t s = 192u << 24 | 168u << 16 | idx << 8 | 1, d = s + 256;

	*p = (struct sl_script_port){.rate = 100, .burst = 32, .single = k, .range = k};
	for (unsigned i = 0; i < SL_SCRIPT_SEQ; i++)
		p->seq[i] = k;
	p->span[SL_SPAN_DST_IP] = (struct sl_script_span){d, d, d + 253, 1};
	p->span[SL_SPAN_SRC_IP] = (struct sl_script_span){s, s, s + 253, 0};
	p->span[SL_SPAN_DST_PORT] = (struct sl_script_span){5678, 0, UINT16_MAX, 1};
	p->span[SL_SPAN_SRC_PORT] = (struct sl_script_span){1234, 0, UINT16_MAX, 1};
	p->span[SL_SPAN_TTL] = (struct sl_script_span){64, 0, 255, 0};
	p->span[SL_SPAN_TOS] = (struct sl_script_span){0, 0, 255, 0};
	p->span[SL_SPAN_SIZE] = (struct sl_script_span){SL_SCRIPT_SIZE_MIN, SL_SCRIPT_SIZE_MIN,
							SL_SCRIPT_SIZE_MAX, 0};
	p->span[SL_SPAN_SEQ] = (struct sl_script_span){k.seq, 0, UINT32_MAX, 0};
	p->span[SL_SPAN_ACK] = (struct sl_script_span){k.ack, 0, UINT32_MAX, 0};
	p->span[SL_SPAN_VLAN] = (struct sl_script_span){k.vlan, 0, 4095, 0};
}

int
sl_script_shape(const struct sl_script_port *p, const struct sl_script_packet *k,
		struct sl_script_shape *ret_shape, const char **ret_why)
{
	struct sl_script_shape h = {.link = 14 + 4 * (unsigned)p->tags,
				    .ip = k->v6 ? 40 : 20,
				    .l4_head = k->proto == SL_IPPROTO_TCP ? 20 : 8};
	bool cut = p->piece_cnt > 1;
	unsigned i = 0;

	if (k->v6) {
		/* Before a fragment header: what is listed before it, or hop-by-hop options. */
		bool listed = false;

		for (unsigned n = 0; n < p->ext_cnt; n++)
			listed |= p->ext[n].proto == SL_EXT_FRAGMENT;
		for (; i < p->ext_cnt; i++) {
			if (cut && p->ext[i].proto != SL_EXT_HOP &&
			    (!listed || p->ext[i].proto == SL_EXT_FRAGMENT))
				break;
			h.before += p->ext[i].bytes;
		}
		h.before_cnt = i;
		for (i += listed && cut; i < p->ext_cnt; i++)
			h.after += p->ext[i].bytes;
	}
	unsigned head = h.link + h.ip + h.before + h.after + SL_SCRIPT_FCS;

	h.l4 = cut && p->datagram_bytes ? p->datagram_bytes : k->size > head ? k->size - head : 0;
	if (h.l4 < h.l4_head) {
		*ret_why = "the size has no room for the headers";
		return -EINVAL;
	}
	if (cut) {
		unsigned whole = h.after + h.l4;

		h.piece = ((whole + p->piece_cnt - 1) / p->piece_cnt + 7) / 8 * 8;
		if (h.piece * (p->piece_cnt - 1) >= whole) {
			*ret_why = "the datagram is too small for so many fragments (each but the "
				   "last holds "
				   "a multiple of 8 bytes)";
			return -EINVAL;
		}
		if (h.link + h.ip + h.before + (k->v6 ? 8 : 0) + h.piece + SL_SCRIPT_FCS >
		    SL_SCRIPT_SIZE_MAX) {
			*ret_why = "fragments larger than a frame of 1518 bytes: more fragments, "
				   "or a smaller "
				   "datagram";
			return -EINVAL;
		}
		if (whole + h.before + (k->v6 ? 0 : h.ip) > UINT16_MAX) {
			*ret_why = "a datagram longer than IP can say";
			return -EINVAL;
		}
	}
	*ret_shape = h;
	return 0;
}

static void
check_size(struct parser *ps, unsigned idx, const struct sl_script_port *p,
	   const struct sl_script_packet *packet, uint64_t size)
{
	struct sl_script_packet sized = *packet, *k = &sized;
	struct sl_script_shape shape;
	const char *why;

	k->size = (uint16_t)size;
	if (k->v6 && size < SL_SCRIPT_SIZE_MIN_V6)
		fail(ps, "Pktgen-DPDK would make it 78", "port %u: an IPv6 packet of %llu bytes",
		     idx, (unsigned long long)size);
	else if (sl_script_shape(p, k, &shape, &why))
		fail(ps, NULL, "port %u: a packet of %llu bytes: %s", idx, (unsigned long long)size,
		     why);
	if (sl_addr_is_v4(&k->src) == k->v6 || sl_addr_is_v4(&k->dst) == k->v6)
		fail(ps, "set src ip, dst ip and type alike",
		     "port %u: addresses that are not of the packet's type %s", idx,
		     k->v6 ? "ipv6" : "ipv4");
	if (p->ext_cnt && !k->v6)
		fail(ps, NULL, "port %u: extension headers in an IPv4 packet", idx);
}

/* The sizes of a genome stand in place of the packet's own. */
static void
check_sizes(struct parser *ps, unsigned idx, const struct sl_script_port *p,
	    const struct sl_script_packet *k, uint64_t lo, uint64_t hi, uint64_t inc)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < p->imix_cnt; i++)
		if (p->imix[i] != last)
			check_size(ps, idx, p, k, last = p->imix[i]);
	if (p->imix_cnt)
		return;
	check_size(ps, idx, p, k, lo);
	/* Whole packets only get easier with size. */
	while (p->piece_cnt > 1 && inc && !ps->failed && (lo += inc) <= hi)
		check_size(ps, idx, p, k, lo);
}

static void
check_spans(struct parser *ps, unsigned idx, const struct sl_script_port *p)
{
	static const char *const name[SL_SPAN_CNT] = {"dst mac",  "src mac",  "dst ip",  "src ip",
						      "dst port", "src port", "ttl",     "tos",
						      "size",     "tcp seq",  "tcp ack", "vlan"};

	for (unsigned i = 0; i < SL_SPAN_CNT; i++) {
		const struct sl_script_span *s = &p->span[i];

		if (!s->inc)
			continue;
		if (s->min > s->max || s->start < s->min || s->start > s->max)
			fail(ps, "min ≤ start ≤ max", "port %u: range %s starts outside [min, max]",
			     idx, name[i]);
		else if ((s->start - s->min) % s->inc)
			fail(ps, "start = min + a multiple of inc",
			     "port %u: range %s never comes back to its start", idx, name[i]);
	}
	const struct sl_script_span *size = &p->span[SL_SPAN_SIZE];

	check_sizes(ps, idx, p, &p->range, size->inc ? size->min : size->start, size->max,
		    size->inc);
}

/* What a port would send must make sense when it starts, not after each command. */
static void
check_port(struct parser *ps, unsigned idx, const struct sl_script_port *p)
{
	if (p->mode == SL_SCRIPT_SINGLE)
		check_sizes(ps, idx, p, &p->single, p->single.size, 0, 0);
	if (p->mode == SL_SCRIPT_RANGE)
		check_spans(ps, idx, p);
	for (unsigned i = 0; p->mode == SL_SCRIPT_SEQUENCE && i < p->seq_cnt; i++)
		check_size(ps, idx, p, &p->seq[i], p->seq[i].size);
	if (p->mode == SL_SCRIPT_SEQUENCE && p->imix_cnt)
		fail(ps, NULL, "port %u: a genome and a sequence: which sizes?", idx);
}

static void
add_step(struct parser *ps, enum sl_script_do what, uint32_t ports, uint64_t ms)
{
	struct sl_script *s = ps->s;

	if (s->step_cnt == ps->room) {
		unsigned room = ps->room ? 2 * ps->room : 8;
		struct sl_script_step *more = realloc(s->steps, room * sizeof(*more));

		if (!more) {
			fail(ps, NULL, "out of memory");
			return;
		}
		s->steps = more;
		ps->room = room;
	}
	struct sl_script_port *copy = malloc(sizeof(s->port));

	if (!copy) {
		fail(ps, NULL, "out of memory");
		return;
	}
	memcpy(copy, s->port, sizeof(s->port));
	s->steps[s->step_cnt++] =
		(struct sl_script_step){what, ports, (uint32_t)ms, ps->line, copy};
	if (what == SL_SCRIPT_START)
		for (unsigned i = 0; i < SL_SCRIPT_PORTS; i++)
			if (ports >> i & 1)
				check_port(ps, i, &s->port[i]);
}

static void
lines(struct parser *ps, const char *text, size_t len)
{
	const char *end = text + len;
	char line[MAX_LINE];

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);

		ps->line++;
		if (n >= sizeof(line))
			fail(ps, NULL, "a line of %zu bytes, more than %d", n, MAX_LINE - 1);
		else if (memchr(text, 0, n))
			fail(ps, NULL, "a NUL byte: not a text file");
		else {
			memcpy(line, text, n);
			line[n] = 0;
			command(ps, line);
		}
		text += n + 1;
	}
}

int
sl_script_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
		struct sl_diag *notes, struct sl_script **ret_script)
{
	struct parser ps = {.file = file, .diag = diag, .notes = notes};

	ps.s = calloc(1, sizeof(*ps.s));
	if (!ps.s)
		return -ENOMEM;
	for (unsigned i = 0; i < SL_SCRIPT_PORTS; i++)
		port_default(&ps.s->port[i], i);
	lines(&ps, text, len);
	if (!ps.failed)
		for (unsigned i = 0; i < SL_SCRIPT_PORTS; i++)
			check_port(&ps, i, &ps.s->port[i]);
	if (ps.failed) {
		sl_script_free(ps.s);
		return -EINVAL;
	}
	*ret_script = ps.s;
	return 0;
}

void
sl_script_free(struct sl_script *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->step_cnt; i++)
		free(s->steps[i].port);
	free(s->steps);
	free(s);
}

const struct sl_script_port *
sl_script_first(const struct sl_script *s, unsigned port)
{
	for (unsigned i = 0; i < s->step_cnt; i++)
		if (s->steps[i].what == SL_SCRIPT_START && s->steps[i].ports >> port & 1)
			return &s->steps[i].port[port];
	return &s->port[port];
}

/* A single packet as a range that does not move. */
static void
single_to_range(struct sl_script_port *p)
{
	const struct sl_script_packet *k = &p->single;
	uint64_t src = k->v6 ? __builtin_bswap64(sl_load64(k->src.b + 8))
			     : sl_from_be32(sl_load32(k->src.b + 12));
	uint64_t dst = k->v6 ? __builtin_bswap64(sl_load64(k->dst.b + 8))
			     : sl_from_be32(sl_load32(k->dst.b + 12));
	const uint64_t at[SL_SPAN_CNT] = {k->dst_mac, k->src_mac, dst,    src,
					  k->dport,   k->sport,   k->ttl, k->tos,
					  k->size,    k->seq,     k->ack, k->vlan};

	p->mode = SL_SCRIPT_RANGE;
	p->range = *k;
	for (unsigned i = 0; i < SL_SPAN_CNT; i++)
		p->span[i] = (struct sl_script_span){at[i], at[i], at[i], 0};
}

int
sl_script_set_flows(struct sl_script_port *p, uint64_t n, const char **ret_why)
{
	if (p->mode == SL_SCRIPT_SEQUENCE) {
		*ret_why = "a sequence has the flows it lists";
		return -EINVAL;
	}
	if (p->mode == SL_SCRIPT_SINGLE)
		single_to_range(p);
	struct sl_script_span *src = &p->span[SL_SPAN_SRC_IP];
	uint64_t top = p->range.v6 ? UINT64_MAX : UINT32_MAX;

	if (!n || n > (p->range.v6 ? 1ull << 32 : 1ull << 24) || top - src->start < n - 1) {
		*ret_why =
			"flows: [1, 16777216] for IPv4, [1, 4294967296] for IPv6, from the first "
			"source address on";
		return -EINVAL;
	}
	*src = (struct sl_script_span){src->start, src->start, src->start + n - 1, n > 1};
	/* Spans step together: the ports may go on moving where their round divides n. */
	for (int f = SL_SPAN_DST_PORT; f <= SL_SPAN_SRC_PORT; f++) {
		struct sl_script_span *s = &p->span[f];

		if (s->inc && n % ((s->max - s->min) / s->inc + 1))
			s->inc = 0;
	}
	p->span[SL_SPAN_DST_IP].inc = 0;
	return 0;
}

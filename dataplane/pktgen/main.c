/* sluice-pktgen — traffic from Pktgen-DPDK command files.
 *
 *   sluice-pktgen --pcap OUT -f FILE …            a capture of one round, without an EAL
 *   sluice-pktgen [EAL options] -- -f FILE …      sends and receives on DPDK ports
 */
#include "dataplane/rss.h"
#include "pktgen/form.h"
#include "pktgen/frame.h"
#include "pktgen/live.h"
#include "pktgen/pace.h"
#include "pktgen/pcap.h"

#include <errno.h>
#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <signal.h>
#include <stdlib.h>

#define TEXT_MAX (1 << 20)
#define CAPTURE_MAX (1u << 24) /* frames, unless --count asks for more */
#define SPLIT_MAX 64
#define ARP_MAX 64
#define ARP_BYTES 60
#define ARP_EVERY 65536 /* frames of a capture: a round of millions takes seconds */

struct options {
	const char *file, *pcap, *json;
	uint64_t count, flows, dmac, smac;
	double pps, duration_s, warm_s, tail_s, catch_up_ms;
	unsigned port, split;
	bool has_dmac, has_smac, has_key, quiet, track, measure, search;
	struct sl_live_search hunt;
	struct sl_live_arp arp[ARP_MAX];
	unsigned arp_cnt;
	uint8_t key[SL_RSS_KEY_BYTES];
};

static volatile int stop;

static void
on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static const struct row {
	const char *name, *arg, *help;
	int code;
} rows[] = {
	{"file", "FILE", "command file (also -f); scripts/pktgen/README.md lists the commands",
	 'f'},
	{"pcap", "OUT", "write a capture instead of sending; needs no EAL", 'o'},
	{"count", "N", "frames to write or send (default: the file's count, else one round)", 'n'},
	{"flows", "N", "exactly N flows, by source address", 'F'},
	{"split", "W", "one capture per worker, OUT with .0, .1, … before its ending", 'w'},
	{"rss-key", "HEX", "80 digits: the key that decides which worker", 'k'},
	{"dmac", "MAC", "destination MAC of all packets", 'd'},
	{"smac", "MAC", "source MAC of all packets", 's'},
	{"arp", "LIST",
	 "IP,MAC,TARGET: capture: an ARP answer at its head and every 65,536 frames; ports: answer "
	 "for IP; repeatable",
	 'a'},
	{"port", "P", "whose packets to write (default 0)", 'p'},
	{"pps", "N", "packets a second and port, instead of the file's rate", 'r'},
	{"duration", "S", "stop sending after S seconds", 't'},
	{"warm", "S",
	 "send S seconds first and count nothing of it (search: at --min-pps, for each size)", 'W'},
	{"tail", "S",
	 "receive for S seconds after sending (default: until nothing came for 0.5 s, at most 5)",
	 'E'},
	{"catch-up", "MS",
	 "held up, send what was missed in the last MS milliseconds at twice the rate (default 10)",
	 'C'},
	{"track", NULL, "count packets that come back to another MAC than their flow did before",
	 'T'},
	{"measure", NULL,
	 "sign the packets: loss, duplicates, reordering and latency of those that come back", 'M'},
	{"json", "FILE", "results as JSON; - for standard output, then nothing else", 'j'},
	{"quiet", NULL, "no line per second", 'q'},
	{"help", NULL, "this text", 'h'},
	/* search only */
	{"sizes", "LIST",
	 "frame sizes, with FCS (default 64,128,256,512,1024,1280,1518 as in RFC 2544)", 'Z'},
	{"min-pps", "N", "lowest rate of a port (default 100)", 'l'},
	{"max-pps", "N", "highest rate of a port (default: its line rate at the size)", 'u'},
	{"trial", "S", "seconds of a trial (default 60)", 'D'},
	{"settle", "S", "seconds to wait for the last packets of a trial (default 2)", 'S'},
	{"tolerance", "PCT", "percent that may be lost (default 0)", 'L'},
	{"resolution", "PCT", "stop when the rate is known that well, in percent (default 1)", 'R'},
	{"repeats", "N", "searches for each size, 1 to 50; the median counts (default 1)", 'N'},
};
#define SEARCH_FIRST 'Z'

static void
usage(FILE *f)
{
	fprintf(f, "sluice-pktgen --pcap OUT -f FILE [options]        a capture\n"
		   "sluice-pktgen [EAL options] -- -f FILE [options]  traffic on ports\n"
		   "sluice-pktgen search [EAL options] -- -f FILE [options]\n"
		   "                                                  no-drop rate (RFC 2544, "
		   "26.1)\n\n");
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		if (rows[i].code == SEARCH_FIRST)
			fprintf(f, "\nsearch only:\n");
		fprintf(f, "  --%-10s %-5s %s\n", rows[i].name, rows[i].arg ? rows[i].arg : "",
			rows[i].help);
	}
}

static int
bad(const char *name, const char *value, const char *what)
{
	fprintf(stderr, "sluice-pktgen: --%s %s: %s\n", name, value, what);
	return -EINVAL;
}

static bool
number(const char *text, uint64_t lo, uint64_t hi, uint64_t *ret_v)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || v < lo || v > hi)
		return false;
	*ret_v = v;
	return true;
}

static bool
key_digits(const char *text, uint8_t key[SL_RSS_KEY_BYTES])
{
	if (strlen(text) != 2 * SL_RSS_KEY_BYTES ||
	    strspn(text, "0123456789abcdefABCDEF") != 2 * SL_RSS_KEY_BYTES)
		return false;
	for (unsigned i = 0; i < SL_RSS_KEY_BYTES; i++)
		key[i] = (uint8_t)strtoul((char[]){text[2 * i], text[2 * i + 1], 0}, NULL, 16);
	return true;
}

static bool
real(const char *text, double *ret_v)
{
	char *end;
	double v = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || v <= 0 || v > 1e12)
		return false;
	*ret_v = v;
	return true;
}

static bool
arp_option(struct options *o, const char *text)
{
	char ip[16], mac[18], target[16];
	struct sl_addr a, t;

	if (o->arp_cnt == ARP_MAX ||
	    sscanf(text, "%15[0-9.],%17[0-9a-fA-F:],%15[0-9.]", ip, mac, target) != 3 ||
	    sl_addr_parse(ip, &a) || sl_addr_parse(target, &t) ||
	    sl_form_mac(mac, &o->arp[o->arp_cnt].mac))
		return false;
	memcpy(o->arp[o->arp_cnt].ip, a.b + 12, 4);
	memcpy(o->arp[o->arp_cnt++].target, t.b + 12, 4);
	return true;
}

static bool
sizes_option(struct sl_live_search *s, const char *text)
{
	s->size_cnt = 0;
	for (;;) {
		char *end;
		unsigned long v = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

		if (v < SL_SCRIPT_SIZE_MIN || v > SL_SCRIPT_SIZE_MAX ||
		    s->size_cnt == SL_LIVE_SIZES || (*end && *end != ','))
			return false;
		s->sizes[s->size_cnt++] = (unsigned)v;
		if (!*end)
			return true;
		text = end + 1;
	}
}

/* A percentage in [lo, 100) as a part of 1. */
static bool
percent(const char *text, double *ret_v, bool zero)
{
	char *end;
	double v = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || v < 0 || (!zero && v <= 0) || v >= 100)
		return false;
	*ret_v = v / 100;
	return true;
}

static int
search_option(struct options *o, const struct row *r, const char *v)
{
	struct sl_live_search *s = &o->hunt;
	uint64_t n;

	if (!o->search)
		return bad(r->name, v, "only for 'sluice-pktgen search …'");
	switch (r->code) {
	case 'Z':
		return sizes_option(s, v) ? 0 : bad(r->name, v, "not up to 16 sizes in [64, 1518]");
	case 'l':
		return real(v, &s->min_pps) ? 0 : bad(r->name, v, "not a rate above 0");
	case 'u':
		return real(v, &s->max_pps) ? 0 : bad(r->name, v, "not a rate above 0");
	case 'D':
		return real(v, &s->trial_s) ? 0 : bad(r->name, v, "not a time above 0");
	case 'S':
		return real(v, &s->settle_s) ? 0 : bad(r->name, v, "not a time above 0");
	case 'L':
		return percent(v, &s->tolerance, true) ? 0 : bad(r->name, v, "not in [0, 100)");
	case 'R':
		return percent(v, &s->resolution, false) ? 0 : bad(r->name, v, "not in (0, 100)");
	default:
		if (!number(v, 1, 50, &n))
			return bad(r->name, v, "not in [1, 50]");
		s->repeats = (unsigned)n;
		return 0;
	}
}

static int
option(struct options *o, const struct row *r, const char *v)
{
	uint64_t n = 0;

	switch (r->code) {
	case 'f':
		o->file = v;
		return 0;
	case 'o':
		o->pcap = v;
		return 0;
	case 'j':
		o->json = v;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case 'n':
		return number(v, 1, UINT32_MAX, &o->count) ? 0 : bad(r->name, v, "not a count");
	case 'F':
		return number(v, 1, 1ull << 32, &o->flows) ? 0 : bad(r->name, v, "not a count");
	case 'p':
		if (!number(v, 0, SL_SCRIPT_PORTS - 1, &n))
			return bad(r->name, v, "not in [0, 7]");
		o->port = (unsigned)n;
		return 0;
	case 'w':
		if (!number(v, 1, SPLIT_MAX, &n))
			return bad(r->name, v, "not in [1, 64]");
		o->split = (unsigned)n;
		return 0;
	case 'k':
		o->has_key = key_digits(v, o->key);
		return o->has_key ? 0 : bad(r->name, v, "not 80 hexadecimal digits");
	case 'd':
		o->has_dmac = !sl_form_mac(v, &o->dmac);
		return o->has_dmac ? 0 : bad(r->name, v, "not a MAC address");
	case 's':
		o->has_smac = !sl_form_mac(v, &o->smac);
		return o->has_smac ? 0 : bad(r->name, v, "not a MAC address");
	case 'a':
		return arp_option(o, v) ? 0 : bad(r->name, v, "not IPv4,MAC,IPv4, or more than 64");
	case 'T':
		o->track = true;
		return 0;
	case 'M':
		o->measure = true;
		return 0;
	case 'W':
		return real(v, &o->warm_s) ? 0 : bad(r->name, v, "not a time above 0");
	case 'E':
		return real(v, &o->tail_s) ? 0 : bad(r->name, v, "not a time above 0");
	case 'C':
		return real(v, &o->catch_up_ms) && o->catch_up_ms <= 1000
			       ? 0
			       : bad(r->name, v, "not in (0, 1000] ms");
	case 'r':
		return real(v, &o->pps) ? 0 : bad(r->name, v, "not a rate above 0");
	case 't':
		return real(v, &o->duration_s) ? 0 : bad(r->name, v, "not a time above 0");
	default:
		return search_option(o, r, v);
	}
}

/* 0, 1 (help was asked for) or -EINVAL. */
static int
options(struct options *o, int argc, char **argv)
{
	struct option longs[SL_ARRAY_CNT(rows) + 1] = {0};
	int c;

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
		longs[i] = (struct option){rows[i].name, rows[i].arg != NULL, NULL, rows[i].code};
	optind = 1;
	while ((c = getopt_long(argc, argv, "f:h", longs, NULL)) != -1) {
		size_t i = 0;

		while (i < SL_ARRAY_CNT(rows) && rows[i].code != c)
			i++;
		if (c == 'h')
			return 1;
		if (i == SL_ARRAY_CNT(rows) || option(o, &rows[i], optarg))
			return -EINVAL;
	}
	if (optind < argc)
		return bad("", argv[optind], "not an option");
	if (!o->file)
		return bad("file", "", "missing: which command file?");
	if (o->split && !(o->has_key && o->pcap))
		return bad("split", "", "needs --pcap and --rss-key");
	if (o->search && (o->pcap || o->pps > 0 || o->duration_s > 0 || o->count || o->track))
		return bad("search", "",
			   "sets rate and time itself: no --pcap, --pps, --duration, --count, "
			   "--track");
	if (o->pcap && o->measure)
		return bad("measure", "", "a capture is not measured");
	return 0;
}

static void
say(const struct sl_diag *d)
{
	char line[1024];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		fprintf(stderr, "sluice-pktgen: %s\n", line);
	}
	if (d->more)
		fprintf(stderr, "sluice-pktgen: and %u more\n", d->more);
}

static int
load(const char *path, struct sl_script **ret_script)
{
	struct sl_diag diag = {0}, notes = {0};
	FILE *f = strcmp(path, "-") ? fopen(path, "rbe") : stdin;
	char *text = malloc(TEXT_MAX + 1);
	int rc = -EINVAL;

	if (!f || !text) {
		fprintf(stderr, "sluice-pktgen: %s: %s\n", path, strerror(errno));
		goto out;
	}
	size_t len = fread(text, 1, TEXT_MAX + 1, f);
	if (len > TEXT_MAX || ferror(f)) {
		fprintf(stderr, "sluice-pktgen: %s: %s\n", path,
			ferror(f) ? "cannot be read" : "larger than 1 MiB");
		goto out;
	}
	rc = sl_script_parse(path, text, len, &diag, &notes, ret_script);
	say(&notes);
	say(&diag);
out:
	if (f && f != stdin)
		fclose(f);
	free(text);
	sl_diag_fini(&diag);
	sl_diag_fini(&notes);
	return rc;
}

/* ---- what the command line changes in the script ---- */

static int
adjust_port(const struct options *o, struct sl_script_port *p)
{
	struct sl_script_packet *k[2 + SL_SCRIPT_SEQ] = {&p->single, &p->range};
	const char *why;

	if (o->flows && sl_script_set_flows(p, o->flows, &why)) {
		fprintf(stderr, "sluice-pktgen: --flows %llu: %s\n", (unsigned long long)o->flows,
			why);
		return -EINVAL;
	}
	for (unsigned i = 0; i < SL_SCRIPT_SEQ; i++)
		k[2 + i] = &p->seq[i];
	for (unsigned i = 0; i < SL_ARRAY_CNT(k); i++) {
		k[i]->dst_mac = o->has_dmac ? o->dmac : k[i]->dst_mac;
		k[i]->src_mac = o->has_smac ? o->smac : k[i]->src_mac;
	}
	if (o->has_dmac)
		p->span[SL_SPAN_DST_MAC] = (struct sl_script_span){o->dmac, o->dmac, o->dmac, 0};
	if (o->has_smac)
		p->span[SL_SPAN_SRC_MAC] = (struct sl_script_span){o->smac, o->smac, o->smac, 0};
	if (o->count)
		p->count = o->count;
	return 0;
}

static int
adjust(const struct options *o, struct sl_script *s)
{
	int rc = 0;

	for (unsigned i = 0; i < SL_SCRIPT_PORTS && !rc; i++) {
		if (s->port[i].used || i == 0)
			rc = adjust_port(o, &s->port[i]);
		for (unsigned k = 0; k < s->step_cnt && !rc; k++)
			if (s->steps[k].port[i].used)
				rc = adjust_port(o, &s->steps[k].port[i]);
	}
	return rc;
}

/* ---- a capture ---- */

/* "dir/a.pcap", 1 → "dir/a.1.pcap" */
static void
part_name(const char *path, unsigned part, char *buf, size_t size)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

	if (!dot || (slash && dot < slash))
		dot = path + strlen(path);
	snprintf(buf, size, "%.*s.%u%s", (int)(dot - path), path, part, dot);
}

static int
capture_open(const struct options *o, struct sl_pcap *w, unsigned cnt)
{
	char name[4096];

	for (unsigned i = 0; i < cnt; i++) {
		snprintf(name, sizeof(name), "%s", o->pcap);
		if (o->split)
			part_name(o->pcap, i, name, sizeof(name));
		int rc = sl_pcap_create(&w[i], name);
		if (rc) {
			fprintf(stderr, "sluice-pktgen: %s: %s\n", name, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static void
put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

/* A replayed capture must hold what nobody is there to answer: that neighbour i is at its MAC.  All go to the
 * first part: one worker keeps the neighbours. */
static int
capture_arp(const struct options *o, uint64_t dmac, struct sl_pcap *w)
{
	static const uint8_t head[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2};
	int rc = 0;

	for (unsigned i = 0; i < o->arp_cnt && !rc; i++) {
		uint8_t f[ARP_BYTES] = {0};

		put_mac(f, dmac);
		put_mac(f + 6, o->arp[i].mac);
		memcpy(f + 12, head, sizeof(head));
		put_mac(f + 22, o->arp[i].mac);
		memcpy(f + 28, o->arp[i].ip, 4);
		put_mac(f + 32, dmac);
		memcpy(f + 38, o->arp[i].target, 4);
		rc = sl_pcap_add(&w[0], f, sizeof(f));
	}
	return rc;
}

static int
capture_fill(const struct options *o, const struct sl_script_port *p, uint64_t n, unsigned split,
	     const struct sl_rss *rss, struct sl_pcap *w)
{
	uint8_t buf[SL_FRAME_MAX];
	struct sl_tuple t;
	static struct sl_frame f; /* it is large */
	int rc = 0;

	sl_frame_init(&f, p);
	for (uint64_t i = 0; i < n && !rc && !stop; i++) {
		if (i % ARP_EVERY == 0)
			rc = capture_arp(o, f.now.dst_mac, w);
		unsigned len = sl_frame_next(&f, buf, &t);
		unsigned to = split ? rss->owner[sl_rss_bucket(sl_rss_hash(rss, &t))] : 0;

		rc = rc ? rc : sl_pcap_add(&w[to], buf, len);
	}
	return rc ? rc : stop ? -EINTR : 0;
}

static int
capture(const struct options *o, const struct sl_script *s)
{
	static struct sl_rss rss;
	struct sl_pcap w[SPLIT_MAX] = {0};
	const struct sl_script_port *p = sl_script_first(s, o->port);
	unsigned cnt = o->split ? o->split : 1;
	uint64_t n = p->count ? p->count : sl_frame_period(p);

	if (!p->count && n > CAPTURE_MAX) {
		fprintf(stderr, "sluice-pktgen: a round has %llu packets or more: give --count\n",
			(unsigned long long)CAPTURE_MAX);
		return -EINVAL;
	}
	if (o->split)
		sl_rss_init(&rss, o->key, o->split);
	int rc = capture_open(o, w, cnt);
	bool opened = !rc;

	if (!rc)
		rc = capture_fill(o, p, n, o->split, &rss, w);
	for (unsigned i = 0; i < cnt; i++) {
		uint64_t frames = w[i].cnt;
		int end = sl_pcap_close(&w[i]);

		rc = rc ? rc : end;
		if (!rc)
			printf("%u: %llu frames\n", i, (unsigned long long)frames);
	}
	if (rc && opened)
		fprintf(stderr, "sluice-pktgen: %s: %s\n", o->pcap, strerror(-rc));
	return rc;
}

/* ---- on ports ---- */

static int
live(const struct options *o, const struct sl_script *s)
{
	struct sl_live_conf c = {.script = s,
				 .pps = o->pps,
				 .duration_s = o->duration_s,
				 .warm_s = o->warm_s,
				 .tail_s = o->tail_s,
				 .catch_up_s = o->catch_up_ms / 1000,
				 .quiet = o->quiet,
				 .track = o->track,
				 .measure = o->measure || o->search,
				 .arp = o->arp,
				 .arp_cnt = o->arp_cnt,
				 .stop = &stop};
	struct sl_live_total t = {0};
	struct sl_diag diag = {0};

	if (o->json)
		c.json = strcmp(o->json, "-") ? fopen(o->json, "we") : stdout;
	if (o->json && !c.json) {
		fprintf(stderr, "sluice-pktgen: %s: %s\n", o->json, strerror(errno));
		return -EINVAL;
	}
	c.quiet |= c.json == stdout; /* JSON alone */
	int rc = o->search ? sl_live_search(&c, &o->hunt, &diag) : sl_live_run(&c, &diag, &t);

	say(&diag);
	sl_diag_fini(&diag);
	if (c.json && c.json != stdout && fclose(c.json) && !rc)
		rc = bad("json", o->json, "cannot be written");
	if (!rc && c.json != stdout && o->search)
		return 0;
	if (!rc && c.json != stdout)
		printf("total %.1f s  sent %llu  received %llu  lost %lld  other %llu\n", t.seconds,
		       (unsigned long long)t.sent, (unsigned long long)t.received,
		       (long long)(t.sent - t.received), (unsigned long long)t.other);
	if (!rc && c.json != stdout && o->measure)
		printf("duplicate %llu  reordered %llu  latency p50 %.1f  p90 %.1f  p99 %.1f  "
		       "p99.9 "
		       "%.1f  max %.1f us\n",
		       (unsigned long long)t.duplicate, (unsigned long long)t.reordered,
		       (double)t.latency_ns[0] / 1000, (double)t.latency_ns[1] / 1000,
		       (double)t.latency_ns[2] / 1000, (double)t.latency_ns[3] / 1000,
		       (double)t.latency_ns[4] / 1000);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = {.catch_up_ms = SL_PACE_DEPTH_S * 1000,
			    .hunt = {.sizes = {64, 128, 256, 512, 1024, 1280, 1518},
				     .size_cnt = 7,
				     .min_pps = 100,
				     .trial_s = 60,
				     .settle_s = 2,
				     .resolution = 0.01,
				     .repeats = 1}};
	struct sl_script *s = NULL;
	bool eal = false;

	if (argc > 1 && !strcmp(argv[1], "search")) {
		o.search = true;
		argv[1] = argv[0];
		argc--;
		argv++;
	}

	for (int i = 1; i < argc; i++)
		eal |= !strcmp(argv[i], "--");
	if (eal) {
		int used = rte_eal_init(argc, argv);
		if (used < 0) {
			fprintf(stderr, "sluice-pktgen: EAL: %s\n", rte_strerror(rte_errno));
			return 1;
		}
		argv += used;
		argc -= used;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	int rc = options(&o, argc, argv);

	if (rc == 1)
		usage(stdout);
	if (rc)
		return rc < 0 ? 2 : 0;
	if (!o.pcap && !eal) {
		bad("pcap", "", "missing; to send, give EAL options and then --");
		return 2;
	}
	rc = load(o.file, &s);
	if (!rc)
		rc = adjust(&o, s);
	if (!rc)
		rc = o.pcap ? capture(&o, s) : live(&o, s);
	sl_script_free(s);
	if (eal)
		rte_eal_cleanup();
	return rc ? 1 : 0;
}

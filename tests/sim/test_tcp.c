/* Packets in, packets out of a whole gateway that ends TCP: clients and endpoints are made of raw frames here, which know
 * nothing of the stack.  1, 2 and 3 workers, with and without RSS. */
#include "dataplane/icmp_error.h"
#include "dataplane/tcp/tcp.h"
#include "tests/sim/bed.h"
#include "tests/suite.h"

#include <stdlib.h>

#define CLIENT "198.51.100.7"
#define VIP "192.0.2.9"
#define FIN SL_TCP_FIN
#define SYN SL_TCP_SYN
#define RST SL_TCP_RST
#define PSH SL_TCP_PSH
#define ACK SL_TCP_ACK

static const struct shape {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {2, false}, {2, true}, {3, false}, {3, true}};

/* One end of a connection.  t: as its packets go to the gateway. */
struct peer {
	struct sl_tuple t;
	unsigned port;
	uint32_t snd, rcv; /* next to send; next expected */
	uint16_t window;
};

struct seg {
	uint8_t flags;
	uint32_t seq, ack;
	unsigned len, frame; /* of the payload; index into bed.sent */
	uint16_t mss;        /* option, 0: none */
	const uint8_t *data;
};

static bool used[BED_SENT];

static void
forget(void)
{
	bed_clear();
	memset(used, 0, sizeof(used));
}

/* ---- tables ---- */

static const char services[] =
	", { name = \"web\"; max_endpoints = 10; policy = \"round_robin\";\n"
	"  tcp = { connect_timeout = \"2s\"; retries = 1; };\n"
	"  endpoints = ( { name = \"a\"; address = \"10.0.2.11\"; port = 8080; },\n"
	"                { name = \"b\"; address = \"10.0.2.12\"; port = 0; } ); },\n"
	"{ name = \"web6\"; max_endpoints = 10; forward = \"proxy\";\n"
	"  endpoints = ( { name = \"a\"; address = \"fd00:2::11\"; port = 8080; } ); },\n"
	"{ name = \"mag\"; max_endpoints = 10; tcp = { retries = 1; };\n"
	"  endpoints = ( { name = \"a\"; address = \"10.0.2.11\"; port = 8081; },\n"
	"                { name = \"b\"; address = \"10.0.2.12\"; port = 8081; } ); },\n"
	"{ name = \"far\"; max_endpoints = 10; forward = \"proxy\"; sources = ( \"10.0.2.200\" );\n"
	"  endpoints = ( { name = \"a\"; address = \"10.0.2.44\"; port = 8080; } ); }\n";
static const char listeners[] =
	", { name = \"web\"; address = \"" VIP "\"; port = 80; protocol = \"tcp\"; mode = \"tcp\"; "
	"service = \"web\"; },\n"
	"{ name = \"web6\"; address = \"2001:db8::9\"; port = 80; protocol = \"tcp\"; mode = "
	"\"tcp\"; service = \"web6\"; },\n"
	"{ name = \"mag\"; address = \"" VIP "\"; port = 83; protocol = \"tcp\"; mode = \"tcp\"; "
	"service = \"mag\"; },\n"
	"{ name = \"far\"; address = \"" VIP "\"; port = 81; protocol = \"tcp\"; mode = \"tcp\"; "
	"service = \"far\"; }\n";

static void
begin_with(const struct rig_conf *conf)
{
	char *text = bed_table(services, listeners);

	bed_start(conf, text);
	free(text);
	forget();
}

static void
begin(unsigned workers, bool rss)
{
	const struct rig_conf conf = {
		.workers = workers, .flows = 1024, .seed = 7, .rss = rss, .streams = 256};

	begin_with(&conf);
}

static uint64_t
tcp_count(unsigned code)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += rig_stats(bed.rig, w)->tcp.count[code];
	return n;
}

/* The identity of stats.h; then everything ends and nothing is missing. */
static void
end(void)
{
	uint64_t in = 0, out = 0;

	rig_stop(bed.rig, bed.now);
	for (unsigned w = 0; w < bed.conf.workers; w++) {
		const struct sl_stats_worker *s = rig_stats(bed.rig, w);
		in += s->rx_packets + s->frag_made + s->made;
		out += s->forwarded + s->consumed + s->dropped - s->drop[SL_DROP_TX_FULL];
		CU_ASSERT_EQUAL(s->drop[SL_DROP_NO_BUFFER], 0);
	}
	CU_ASSERT_EQUAL(in, out);
	bed_stop();
}

/* ---- frames ---- */

static uint32_t
add16(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The TCP segment of a frame, and where it ends. */
static uint8_t *
tcp_of(uint8_t *f, unsigned *ret_len)
{
	bool v4 = f[12] == 8;
	uint8_t *ip = f + 14, *tcp = ip + (v4 ? 20 : 40);

	*ret_len = v4 ? (unsigned)(ip[2] << 8 | ip[3]) - 20 : (unsigned)(ip[4] << 8 | ip[5]);
	return tcp;
}

static void
seal(uint8_t *f)
{
	unsigned n;
	uint8_t *tcp = tcp_of(f, &n), *ip = f + 14;
	bool v4 = f[12] == 8;
	const uint8_t tail[4] = {0, SL_IPPROTO_TCP, (uint8_t)(n >> 8), (uint8_t)n};

	sl_store16(tcp + 16, 0);
	uint32_t sum = add16(ip + (v4 ? 12 : 8), v4 ? 8 : 32, add16(tail, 4, 0));
	sl_store16(tcp + 16, sl_to_be16(~add16(tcp, n, sum) & 0xffff));
}

static unsigned
make(const struct peer *p, uint8_t flags, const void *data, unsigned n, uint8_t *f)
{
	struct frame_spec s = {
		.t = p->t, .tcp_flags = flags, .payload = (uint16_t)n, .seq = p->snd};

	memcpy(s.dmac, rig_mac(bed.rig, p->port), 6);
	bed_mac(&s.t.src, s.smac);
	unsigned len = frame_make(&s, f), tcp_len;
	uint8_t *tcp = tcp_of(f, &tcp_len);
	sl_store32(tcp + 8, flags & ACK ? sl_to_be32(p->rcv) : 0);
	sl_store16(tcp + 14, sl_to_be16(p->window));
	if (n)
		memcpy(tcp + 20, data, n);
	seal(f);
	return len;
}

/* A segment, and what the gateway makes of it at once. */
static void
say(struct peer *p, uint8_t flags, const char *data)
{
	unsigned n = data ? (unsigned)strlen(data) : 0;
	uint8_t f[RIG_FRAME];
	unsigned len = make(p, flags, data, n, f);

	CU_ASSERT_TRUE(rig_inject(bed.rig, p->port, f, len));
	p->snd += n + !!(flags & SYN) + !!(flags & FIN);
	rig_settle(bed.rig, bed.now);
}

static struct seg
read_seg(unsigned i)
{
	unsigned n;
	uint8_t *tcp = tcp_of(bed.sent[i].bytes, &n);
	unsigned head = (tcp[12] >> 4) * 4u;
	struct seg s = {
		.flags = tcp[13],
		.seq = sl_from_be32(sl_load32(tcp + 4)),
		.ack = sl_from_be32(sl_load32(tcp + 8)),
		.len = n - head,
		.data = tcp + head,
		.frame = i,
	};

	for (unsigned k = 20; k + 4 <= head && tcp[k] > 1; k += tcp[k + 1] ? tcp[k + 1] : 40)
		if (tcp[k] == 2)
			s.mss = (uint16_t)(tcp[k + 2] << 8 | tcp[k + 3]);
	return s;
}

/* Whether frame i goes to p. */
static bool
is_for(unsigned i, const struct peer *p)
{
	struct sl_tuple t = frame_tuple(bed.sent[i].bytes);

	return t.proto == SL_IPPROTO_TCP && bed.sent[i].port == p->port &&
	       sl_addr_eq(&t.src, &p->t.dst) && sl_addr_eq(&t.dst, &p->t.src) &&
	       t.sport == p->t.dport && t.dport == p->t.sport;
}

/* The next segment to p, whose checksums are right; false: there is none. */
static bool
hear(struct peer *p, struct seg *ret)
{
	for (unsigned i = 0; i < bed.sent_cnt; i++) {
		if (used[i] || !is_for(i, p))
			continue;
		used[i] = true;
		const char *bad = frame_judge(bed.sent[i].bytes, bed.sent[i].len);
		if (bad)
			printf("    frame %u: %s\n", i, bad);
		CU_ASSERT_PTR_NULL(bad);
		*ret = read_seg(i);
		if (ret->seq == p->rcv)
			p->rcv += ret->len + !!(ret->flags & (SYN | FIN));
		return true;
	}
	return false;
}

/* Of all segments to p those with these flags; the others have been heard. */
static bool
hear_flags(struct peer *p, uint8_t flags, struct seg *ret)
{
	while (hear(p, ret))
		if ((ret->flags & flags) == flags)
			return true;
	return false;
}

/* All payload to p in order, as text. */
static const char *
hear_text(struct peer *p)
{
	static char text[8192];
	unsigned n = 0;
	struct seg s;

	for (uint32_t next = p->rcv; hear(p, &s); next = p->rcv)
		if (s.seq == next && n + s.len < sizeof(text)) {
			memcpy(text + n, s.data, s.len);
			n += s.len;
		}
	text[n] = 0;
	return text;
}

/* ---- connections ---- */

static struct peer
client(const char *from, unsigned sport, const char *to, unsigned dport)
{
	return (struct peer){
		.t = {.src = frame_addr(from),
		      .dst = frame_addr(to),
		      .sport = sl_to_be16(sport),
		      .dport = sl_to_be16(dport),
		      .proto = SL_IPPROTO_TCP},
		.port = BED_FRONT,
		.snd = 1000000 + sport,
		.window = 65535,
	};
}

/* The endpoint that the gateway is connecting to: of the first SYN on the back port that nobody has heard. */
static bool
endpoint(struct peer *ret)
{
	for (unsigned i = 0; i < bed.sent_cnt; i++) {
		if (used[i] || bed.sent[i].port != BED_BACK)
			continue;
		struct seg s = read_seg(i);
		if (!(s.flags & SYN))
			continue;
		struct sl_tuple t = frame_tuple(bed.sent[i].bytes);
		used[i] = true;
		*ret = (struct peer){
			.t = {.src = t.dst,
			      .dst = t.src,
			      .sport = t.dport,
			      .dport = t.sport,
			      .proto = SL_IPPROTO_TCP},
			.port = BED_BACK,
			.snd = 77000000 + i,
			.rcv = s.seq + 1,
			.window = 65535,
		};
		CU_ASSERT_PTR_NULL(frame_judge(bed.sent[i].bytes, bed.sent[i].len));
		return true;
	}
	return false;
}

static void
shake_hands(struct peer *c)
{
	struct seg s = {0};

	say(c, SYN, NULL);
	CU_ASSERT_TRUE_FATAL(hear(c, &s));
	CU_ASSERT_EQUAL(s.flags, SYN | ACK);
	CU_ASSERT_EQUAL(s.ack, c->snd);
	c->rcv = s.seq + 1;
	say(c, ACK, NULL);
}

/* Client and endpoint, coupled. */
static void
couple(struct peer *c, struct peer *e)
{
	struct seg s;

	shake_hands(c);
	CU_ASSERT_TRUE_FATAL(endpoint(e));
	say(e, SYN | ACK, NULL);
	CU_ASSERT_TRUE(hear_flags(e, ACK, &s));
	CU_ASSERT_EQUAL(s.ack, e->snd);
}

static uint64_t
active(const char *service, const char *name)
{
	uint32_t slot = table_slot(bed.view.view, service, name);
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += sl_stats_endpoints(rig_stats_segment(bed.rig), w)[slot].active;
	return n;
}

/* ---- tests ---- */

static void
exchange(struct peer *c, struct peer *e)
{
	struct seg s;

	say(c, ACK | PSH, "GET / HTTP/1.0\r\n\r\n");
	CU_ASSERT_STRING_EQUAL(hear_text(e), "GET / HTTP/1.0\r\n\r\n");
	say(e, ACK | PSH, "HTTP/1.0 200 OK\r\n\r\nhello");
	CU_ASSERT_STRING_EQUAL(hear_text(c), "HTTP/1.0 200 OK\r\n\r\nhello");
	say(c, ACK, NULL);
	/* the endpoint closes first */
	say(e, ACK | FIN, NULL);
	CU_ASSERT_TRUE(hear_flags(c, FIN, &s));
	say(c, ACK | FIN, NULL);
	CU_ASSERT_TRUE(hear_flags(e, FIN, &s));
	say(e, ACK, NULL);
	bed_wait(100000000);
	while (hear(c, &s) || hear(e, &s))
		CU_ASSERT_EQUAL(s.flags & RST, 0);
	CU_ASSERT_EQUAL(c->rcv, s.flags ? c->rcv : 0);
}

static void
a_request_goes_through_and_its_response_comes_back(void)
{
	static const char *const vips[] = {VIP, "2001:db8::9"};
	static const char *const from[] = {CLIENT, "2001:db8:7::1"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		begin(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 24; k++) {
			struct peer c = client(from[k % 2], 5000 + k, vips[k % 2], 80), e;
			couple(&c, &e);
			exchange(&c, &e);
			forget();
		}
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_RELAY_OPENED), 24);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_CONNECTED), 24);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_END_OK), 48);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_RST_SENT), 0);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_RETRANS), 0);
		CU_ASSERT_EQUAL(active("web", "a") + active("web", "b") + active("web6", "a"), 0);
		CU_ASSERT_EQUAL(bed_active(), 0);
		end();
	}
}

/* Where the endpoint's packets arrive without RSS, another worker than the connection's receives them. */
static void
each_worker_gets_its_share_and_keeps_both_sides_of_a_connection(void)
{
	for (unsigned i = 1; i < SL_ARRAY_CNT(shapes); i++) {
		begin(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 60; k++) {
			struct peer c = client(CLIENT, 6000 + k, VIP, 80), e;
			couple(&c, &e);
			forget();
		}
		uint64_t sum = 0;
		for (unsigned w = 0; w < shapes[i].workers; w++) {
			uint64_t n = rig_stats(bed.rig, w)->tcp.count[SL_TCP_RELAY_OPENED];
			CU_ASSERT_EQUAL(n, rig_stats(bed.rig, w)->tcp.count[SL_TCP_CONNECTED]);
			CU_ASSERT_TRUE(n > 5);
			sum += n;
		}
		CU_ASSERT_EQUAL(sum, 60);
		CU_ASSERT_EQUAL(active("web", "a") + active("web", "b"), 60);
		end();
	}
}

static void
endpoints_are_spoken_to_from_the_gateways_address_or_a_source(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), d = client(CLIENT, 5001, VIP, 81), e;
	struct sl_addr own = frame_addr("10.0.2.1"), source = frame_addr("10.0.2.200");

	begin(1, false);
	couple(&c, &e);
	CU_ASSERT_TRUE(sl_addr_eq(&e.t.dst, &own));
	/* port 0 of an endpoint: the one that the client came to */
	struct sl_addr a = frame_addr("10.0.2.11");
	CU_ASSERT_EQUAL(e.t.sport, sl_to_be16(sl_addr_eq(&e.t.src, &a) ? 8080 : 80));
	bed_resolve("10.0.2.44");
	couple(&d, &e);
	CU_ASSERT_TRUE(sl_addr_eq(&e.t.dst, &source));
	end();
}

static void
a_segment_waits_until_the_endpoint_has_answered_arp(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 81), e;

	begin(2, false);
	shake_hands(&c);
	CU_ASSERT_FALSE(endpoint(&e));
	bed_resolve("10.0.2.44");
	bed_wait(20000000);
	CU_ASSERT_TRUE(endpoint(&e));
	end();
}

static void
a_closed_port_of_our_own_address_is_answered_with_rst(void)
{
	static const char *const to[] = {"10.0.1.1", "fd00:1::1", "10.0.2.200"};
	static const char *const from[] = {CLIENT, "2001:db8:7::1", CLIENT};

	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		begin(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < SL_ARRAY_CNT(to); k++) {
			struct peer c = client(from[k], 5000, to[k], 4242);
			struct seg s = {0};
			say(&c, SYN, NULL);
			CU_ASSERT_TRUE(hear(&c, &s));
			CU_ASSERT_EQUAL(s.flags, RST | ACK);
			CU_ASSERT_EQUAL(s.ack, c.snd);
			c.rcv = 99;
			say(&c, ACK, "of nothing");
			CU_ASSERT_TRUE(hear(&c, &s));
			CU_ASSERT_EQUAL(s.flags, RST);
			CU_ASSERT_EQUAL(s.seq, 99);
			say(&c, RST | ACK, NULL);
			CU_ASSERT_FALSE(hear(&c, &s));
		}
		end();
	}
}

static void
a_vip_without_a_listener_on_the_port_stays_silent(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 82);

	begin(1, false);
	say(&c, SYN, NULL);
	CU_ASSERT_EQUAL(bed.sent_cnt, 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_LISTENER), 1);
	end();
}

/* What a table asks for and this process does not do is dropped; nothing reaches an endpoint as packets. */
static void
with_tcp_off_nothing_is_answered_or_forwarded(void)
{
	const struct rig_conf conf = {.workers = 2, .flows = 1024, .seed = 7};
	struct peer c = client(CLIENT, 5000, VIP, 80), d = client(CLIENT, 5000, "10.0.1.1", 81);

	begin_with(&conf);
	say(&c, SYN, NULL);
	say(&d, SYN, NULL);
	CU_ASSERT_EQUAL(bed.sent_cnt, 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_LISTENER), 2);
	end();
}

static void
a_packet_that_came_as_far_as_it_could_is_taken(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80);
	uint8_t f[RIG_FRAME];
	struct seg s;

	begin(1, false);
	unsigned len = make(&c, SYN, NULL, 0, f);
	f[22] = 1; /* TTL */
	sl_store16(f + 24, 0);
	sl_store16(f + 24, sl_to_be16(~add16(f + 14, 20, 0) & 0xffff));
	rig_inject(bed.rig, BED_FRONT, f, len);
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_TRUE(hear(&c, &s));
	CU_ASSERT_EQUAL(s.flags, SYN | ACK);
	end();
}

static void
fragments_for_a_tcp_listener_are_dropped(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), e;
	char data[600];
	uint8_t f[RIG_FRAME], piece[RIG_FRAME];

	memset(data, 'x', sizeof(data));
	begin(2, true);
	couple(&c, &e);
	forget();
	make(&c, ACK, data, sizeof(data), f);
	for (unsigned n = 0, len; (len = frame_piece(f, 256, n, 9, piece)) > 0; n++)
		CU_ASSERT_TRUE(rig_inject(bed.rig, BED_FRONT, piece, len));
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_EQUAL(bed.sent_cnt, 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_FRAGMENT), 1);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_FRAG_NO_FLOW), 2);
	end();
}

static void
an_endpoint_that_refuses_is_left_for_another(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 83), first, second; /* Maglev: the same again */
	struct seg s;

	begin(1, false);
	shake_hands(&c);
	CU_ASSERT_TRUE_FATAL(endpoint(&first));
	say(&c, ACK | PSH, "early");
	say(&first, RST | ACK, NULL);
	CU_ASSERT_TRUE_FATAL(endpoint(&second));
	CU_ASSERT_FALSE(sl_addr_eq(&first.t.src, &second.t.src));
	say(&second, SYN | ACK, NULL);
	CU_ASSERT_STRING_EQUAL(hear_text(&second), "early");
	CU_ASSERT_EQUAL(active("mag", "a") + active("mag", "b"), 1);
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_RELAY_RETRY), 1);
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_RELAY_CONNECT_FAILED), 1);
	CU_ASSERT_FALSE(hear_flags(&c, RST, &s));
	end();
}

/* One endpoint has nearly all the weight: a policy asked again names it nearly always. */
static void
every_endpoint_that_stays_silent_is_tried_once_whatever_the_policy(void)
{
	static const char *const policies[] = {"maglev", "round_robin", "source_hash",
					       "least_conn"};
	static const char table[] =
		", { name = \"silent\"; max_endpoints = 10; policy = \"%s\";\n"
		"  tcp = { connect_timeout = \"400ms\"; retries = 7; };\n"
		"  endpoints = ( { name = \"a\"; address = \"10.0.2.11\"; port = 1; weight = 100; "
		"},\n"
		"                { name = \"b\"; address = \"10.0.2.12\"; port = 2; },\n"
		"                { name = \"c\"; address = \"10.0.2.11\"; port = 3; },\n"
		"                { name = \"d\"; address = \"10.0.2.12\"; port = 4; },\n"
		"                { name = \"none\"; address = \"10.0.2.11\"; port = 5; weight = "
		"0; } ); }\n";
	static const char at[] = ", { name = \"silent\"; address = \"" VIP
				 "\"; port = 80; protocol = \"tcp\"; mode = \"tcp\"; "
				 "service = \"silent\"; }\n";
	const struct rig_conf conf = {.workers = 2, .flows = 1024, .seed = 7, .streams = 256};

	for (unsigned k = 0; k < SL_ARRAY_CNT(policies); k++) {
		char services_text[1024];
		snprintf(services_text, sizeof(services_text), table, policies[k]);
		char *text = bed_table(services_text, at);
		bed_start(&conf, text);
		free(text);
		for (unsigned i = 0; i < 32; i++) {
			struct peer c = client(CLIENT, 5000 + i, VIP, 80), e;
			bool answers = i % 2; /* the last one that is tried */
			unsigned tried = 0;
			struct seg s;
			forget();
			shake_hands(&c);
			for (unsigned n = 1; endpoint(&e); n++) {
				CU_ASSERT_FALSE(tried >> sl_from_be16(e.t.sport) & 1);
				tried |= 1u << sl_from_be16(e.t.sport);
				if (n == 4 && answers)
					say(&e, SYN | ACK, NULL);
				else
					bed_wait(500000000);
			}
			CU_ASSERT_EQUAL(tried, 15u << 1);
			CU_ASSERT_EQUAL(hear_flags(&c, RST, &s), !answers);
			if (answers)
				exchange(&c, &e);
		}
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_RELAY_RETRY), 32 * 3);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_END_CONNECT_TIMEOUT), 16 * 3 + 16 * 4);
		end();
	}
}

/* Without cookies the flood would fill what half-open connections may have, and the good client would wait. */
static void
a_flood_of_syns_does_not_keep_a_good_client_out(void)
{
	const struct rig_conf conf = {.workers = 2,
				      .flows = 1024,
				      .seed = 7,
				      .rss = true,
				      .streams = 256,
				      .half_open = 16};
	struct peer good = client(CLIENT, 5000, VIP, 80), e;
	char from[24];

	begin_with(&conf);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(from, sizeof(from), "203.0.%u.%u", 113 + i / 250, 1 + i % 250);
		struct peer bad = client(from, 1024 + i, VIP, 80);
		say(&bad, SYN, NULL);
		if (i % 500 == 499)
			forget();
	}
	CU_ASSERT_TRUE(tcp_count(SL_TCP_COOKIE_SENT) > 1900);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_BUFFER), 0);
	forget();
	shake_hands(&good);
	say(&good, ACK | PSH, "let me in");
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_COOKIE_OK), 1);
	CU_ASSERT_TRUE_FATAL(endpoint(&e));
	say(&e, SYN | ACK, NULL);
	CU_ASSERT_STRING_EQUAL(hear_text(&e), "let me in");
	end();
}

/* An ICMP error about the frame (a packet we sent), from somebody on its way. */
static void
inject_error(const struct bed_frame *about, const char *from, uint8_t type, uint8_t code,
	     unsigned mtu, uint8_t ttl)
{
	bool v4 = about->bytes[12] == 8;
	unsigned l3 = v4 ? 20 : 40, quoted = l3 + 8, n = 8 + quoted;
	uint8_t f[160] = {0}, *ip = f + 14, *icmp = ip + l3;
	const uint8_t tail[4] = {0, SL_IPPROTO_ICMP6, 0, (uint8_t)n};
	struct sl_addr a = frame_addr(from);

	memcpy(f, rig_mac(bed.rig, about->port), 6);
	bed_mac(&a, f + 6);
	memcpy(f + 12, about->bytes + 12, 2);
	if (v4) {
		ip[0] = 0x45;
		sl_store16(ip + 2, sl_to_be16(20 + n));
		ip[8] = ttl;
		ip[9] = SL_IPPROTO_ICMP;
		memcpy(ip + 12, a.b + 12, 4);
		memcpy(ip + 16, about->bytes + 26, 4);
		sl_store16(ip + 10, sl_to_be16(~add16(ip, 20, 0) & 0xffff));
	} else {
		ip[0] = 0x60;
		sl_store16(ip + 4, sl_to_be16(n));
		ip[6] = SL_IPPROTO_ICMP6;
		ip[7] = ttl;
		memcpy(ip + 8, a.b, 16);
		memcpy(ip + 24, about->bytes + 22, 16);
	}
	icmp[0] = type;
	icmp[1] = code;
	sl_store16(icmp + 6, sl_to_be16(mtu));
	memcpy(icmp + 8, about->bytes + 14, quoted);
	uint32_t sum = v4 ? 0 : add16(ip + 8, 32, add16(tail, 4, 0));
	sl_store16(icmp + 2, sl_to_be16(~add16(icmp, n, sum) & 0xffff));
	CU_ASSERT_TRUE(rig_inject(bed.rig, about->port, f, 14 + l3 + n));
	rig_settle(bed.rig, bed.now);
}

/* A client that takes segments of 1400 bytes, and what was sent to it and is not acknowledged. */
static struct bed_frame
long_segment(struct peer *c, struct peer *e)
{
	unsigned ip = c->t.src.b[10] == 0xff ? 20 : 40;
	char page[1300];
	struct seg s;
	uint8_t f[RIG_FRAME];

	memset(page, 'p', sizeof(page));
	page[sizeof(page) - 1] = 0;
	unsigned len = make(c, SYN, "\2\4\5\170", 4, f); /* MSS 1400, */
	f[14 + ip + 12] = 6 << 4;                        /* as an option */
	seal(f);
	rig_inject(bed.rig, BED_FRONT, f, len);
	c->snd++;
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_TRUE_FATAL(hear(c, &s));
	CU_ASSERT_EQUAL(s.mss, 1500 - ip - 20);
	c->rcv = s.seq + 1;
	say(c, ACK, NULL);
	CU_ASSERT_TRUE_FATAL(endpoint(e));
	say(e, SYN | ACK, NULL);
	say(e, ACK | PSH, page);
	say(e, ACK | PSH, page);
	forget();
	bed_wait(3 * BED_S); /* sent again, as nobody acknowledges */
	CU_ASSERT_TRUE_FATAL(hear(c, &s));
	CU_ASSERT_TRUE_FATAL(s.len > 1200);
	struct bed_frame about = bed.sent[s.frame];
	forget();
	return about;
}

/* A router's last TTL is enough: it is for us. */
static void
a_router_that_takes_less_is_heard_by_the_stream(void)
{
	static const struct {
		const char *from, *to, *router;
		uint8_t type, code;
		unsigned mtu;
	} ways[] = {{CLIENT, VIP, "10.0.1.254", 3, 4, 600},
		    {"2001:db8:7::1", "2001:db8::9", "2001:db8:7::fe", 2, 0, 1280}};

	for (unsigned i = 0; i < 2 * SL_ARRAY_CNT(shapes); i++) {
		unsigned v = i % 2;
		struct peer c = client(ways[v].from, 5000, ways[v].to, 80), e;
		struct seg s;
		begin(shapes[i / 2].workers, shapes[i / 2].rss);
		struct bed_frame about = long_segment(&c, &e);
		inject_error(&about, ways[v].router, ways[v].type, ways[v].code, ways[v].mtu, 1);
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_PMTU), 1);
		bed_wait(10 * BED_S);
		CU_ASSERT_TRUE(hear(&c, &s));
		for (unsigned k = 0; k < bed.sent_cnt; k++)
			CU_ASSERT_TRUE(bed.sent[k].len <= 14 + ways[v].mtu);
		end();
	}
}

/* Its host says that nothing listens there, before any RST. */
static void
an_endpoint_said_to_be_unreachable_is_left_for_another(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		struct peer c = client(CLIENT, 5000, VIP, 80), first, second;
		begin(shapes[i].workers, shapes[i].rss);
		shake_hands(&c);
		CU_ASSERT_TRUE_FATAL(endpoint(&first));
		struct bed_frame about = bed.sent[first.snd - 77000000];
		char from[SL_ADDR_STRLEN];
		sl_addr_format(&first.t.src, from);
		inject_error(&about, from, 3, 3, 0, 64);
		CU_ASSERT_TRUE_FATAL(endpoint(&second));
		CU_ASSERT_FALSE(sl_addr_eq(&first.t.src, &second.t.src));
		CU_ASSERT_EQUAL(tcp_count(SL_TCP_END_UNREACHABLE), 1);
		end();
	}
}

static void
an_error_about_a_stream_that_is_not_there_is_dropped(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), e;
	struct seg s;

	begin(1, false);
	couple(&c, &e);
	forget();
	say(&e, ACK | PSH, "x");
	CU_ASSERT_TRUE_FATAL(hear(&c, &s));
	struct bed_frame about = bed.sent[s.frame];
	about.bytes[37] ^= 1; /* another port of the client's */
	inject_error(&about, "10.0.1.254", 3, 4, 600, 64);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ICMP_ERROR), 1);
	end();
}

static void
a_push_without_the_listener_ends_its_connections(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), e, late = client(CLIENT, 5001, VIP, 80);
	struct seg s;

	begin(3, true);
	couple(&c, &e);
	forget();
	char *text = bed_table(services, "");
	bed_push(text);
	free(text);
	bed_wait(4 * BED_S);
	CU_ASSERT_TRUE(hear_flags(&c, RST, &s));
	CU_ASSERT_TRUE(hear_flags(&e, RST, &s));
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_END_ADMIN), 2);
	CU_ASSERT_EQUAL(active("web", "a") + active("web", "b"), 0);
	forget();
	say(&late, SYN, NULL);
	CU_ASSERT_EQUAL(bed.sent_cnt, 0);
	end();
}

static void
a_disabled_endpoint_loses_its_connections_and_gets_no_more(void)
{
	struct peer c[2], e[2];
	struct seg s;

	begin(1, false);
	for (unsigned i = 0; i < 2; i++) { /* round robin: one each */
		c[i] = client(CLIENT, 5000 + i, VIP, 80);
		couple(&c[i], &e[i]);
		forget();
	}
	struct sl_addr a = frame_addr("10.0.2.11");
	unsigned on_a = sl_addr_eq(&e[0].t.src, &a) ? 0 : 1;
	uint32_t slot = table_slot(bed.view.view, "web", "a");
	rig_states(bed.rig)[slot].admin = sl_state_make(SL_ST_DISABLED, SL_FRACTION_WHOLE,
							bed.view.view->hops[slot].incarnation);
	bed_wait(4 * BED_S);
	CU_ASSERT_TRUE(hear_flags(&c[on_a], RST, &s));
	CU_ASSERT_FALSE(hear_flags(&c[!on_a], RST, &s));
	forget();
	for (unsigned i = 0; i < 4; i++) {
		struct peer n = client(CLIENT, 5010 + i, VIP, 80), to;
		couple(&n, &to);
		CU_ASSERT_FALSE(sl_addr_eq(&to.t.src, &a));
		forget();
	}
	end();
}

static void
explain_says_what_the_relay_would_pick_and_changes_nothing(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), e;

	begin(2, true);
	struct sl_explained x = rig_explain(bed.rig, &c.t, SYN, BED_FRONT, bed.now);
	CU_ASSERT_EQUAL(x.pkt.verdict, SL_VERDICT_CONSUMED);
	CU_ASSERT_EQUAL(x.pkt.why, SL_WHY_ROUND_ROBIN);
	CU_ASSERT_NOT_EQUAL_FATAL(x.pkt.endpoint_slot, UINT32_MAX);
	struct sl_explained again = rig_explain(bed.rig, &c.t, SYN, BED_FRONT, bed.now);
	CU_ASSERT_EQUAL(x.pkt.endpoint_slot, again.pkt.endpoint_slot);
	CU_ASSERT_EQUAL(bed.sent_cnt, 0);
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_SYN_RECEIVED), 0);
	couple(&c, &e);
	CU_ASSERT_TRUE(sl_addr_eq(&e.t.src, &x.out.dst));
	CU_ASSERT_EQUAL(e.t.sport, x.out.dport);
	x = rig_explain(bed.rig, &c.t, ACK, BED_FRONT, bed.now);
	CU_ASSERT_EQUAL(x.pkt.verdict, SL_VERDICT_CONSUMED);
	CU_ASSERT_EQUAL(x.pkt.why, SL_WHY_FLOW);
	CU_ASSERT_TRUE(sl_addr_eq(&e.t.src, &x.out.dst));
	end();
}

static void
ports_that_finish_sums_and_cut_get_what_they_need(void)
{
	const struct rig_conf conf = {.workers = 2,
				      .flows = 1024,
				      .seed = 7,
				      .streams = 256,
				      .offload = SL_OFFLOAD_CSUM | SL_OFFLOAD_TSO};
	static const char *const vips[] = {VIP, "2001:db8::9"};
	static const char *const from[] = {CLIENT, "2001:db8:7::1"};
	char page[1201];

	for (unsigned i = 0; i < sizeof(page) - 1; i++)
		page[i] = (char)('a' + i % 26);
	page[sizeof(page) - 1] = 0;
	begin_with(&conf);
	for (unsigned k = 0; k < 4; k++) {
		struct peer c = client(from[k % 2], 5000 + k, vips[k % 2], 80), e;
		couple(&c, &e);
		say(&e, ACK | PSH, page);
		CU_ASSERT_STRING_EQUAL(hear_text(&c), page); /* in pieces of the least MSS */
		say(&c, ACK | PSH, page);
		CU_ASSERT_STRING_EQUAL(hear_text(&e), page);
		say(&e, ACK | FIN, NULL);
		forget();
	}
	end();
}

static void
payload_is_sent_from_the_buffer_it_came_in(void)
{
	const struct rig_conf conf = {
		.workers = 2, .flows = 1024, .seed = 7, .streams = 256, .pinned = 64};
	struct peer c = client(CLIENT, 5000, VIP, 80), e;
	char page[1001];

	memset(page, 'z', sizeof(page) - 1);
	page[sizeof(page) - 1] = 0;
	begin_with(&conf);
	couple(&c, &e);
	for (unsigned i = 0; i < 50; i++) {
		say(&c, ACK | PSH, page);
		/* 536 bytes are what an endpoint without the option takes */
		CU_ASSERT_STRING_EQUAL(hear_text(&e), page);
		say(&e, ACK, NULL);
		forget();
	}
	CU_ASSERT_TRUE(tcp_count(SL_TCP_ZERO_COPY) + tcp_count(SL_TCP_COPIED) >= 100);
	end();
}

/* What a queue refuses at first is offered again while it takes some: a stream's burst is not lost for that. */
static void
a_queue_that_drains_as_it_is_filled_takes_a_whole_burst(void)
{
	const struct rig_conf conf = {
		.workers = 1, .flows = 1024, .seed = 7, .streams = 256, .tx_max = 3};
	struct peer c = client(CLIENT, 5000, VIP, 80), e;
	char page[1341]; /* segments of 536 */
	uint8_t f[RIG_FRAME];

	memset(page, 'q', sizeof(page) - 1);
	page[sizeof(page) - 1] = 0;
	begin_with(&conf);
	couple(&c, &e);
	for (unsigned i = 0; i < 4; i++) { /* of one turn */
		unsigned len = make(&e, ACK | PSH, page, sizeof(page) - 1, f);
		CU_ASSERT_TRUE(rig_inject(bed.rig, BED_BACK, f, len));
		e.snd += sizeof(page) - 1;
	}
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_EQUAL(strlen(hear_text(&c)), 4 * (sizeof(page) - 1));
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_TX_FULL), 0);
	end();
}

static void
who_is_connected_when_the_gateway_stops_is_told(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		struct peer c[12], e[12];
		struct seg s;
		begin(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < SL_ARRAY_CNT(c); k++) {
			c[k] = client(CLIENT, 5000 + k, VIP, 80);
			couple(&c[k], &e[k]);
		}
		forget();
		rig_stop(bed.rig, bed.now);
		for (unsigned k = 0; k < SL_ARRAY_CNT(c); k++) {
			CU_ASSERT_TRUE(hear_flags(&c[k], RST, &s));
			CU_ASSERT_TRUE(hear_flags(&e[k], RST, &s));
		}
		end();
	}
}

#define FLOW(forward)                                                                              \
	", { name = \"x\"; max_endpoints = 10; forward = \"" forward                               \
	"\"; endpoints = ( { name = \"a\"; address = \"10.0.2.11\"; port = 0; } ); }\n"
#define AT_90(mode)                                                                                \
	", { name = \"x\"; address = \"" VIP "\"; port = 90; protocol = \"tcp\"; mode = \"" mode   \
	"\"; service = \"x\"; }\n"

/* A flow keeps its way; what begins after the push is ended here. */
static void
a_listener_that_becomes_tcp_keeps_its_flows_as_packets(void)
{
	static const char *const before[] = {FLOW("nat"), FLOW("dsr")};
	struct sl_addr a = frame_addr("10.0.2.11");
	uint8_t mac[6];

	bed_mac(&a, mac);
	for (unsigned i = 0; i < 2; i++) {
		const struct rig_conf conf = {
			.workers = 1, .flows = 1024, .seed = 7, .streams = 256};
		struct peer c = client(CLIENT, 5000, VIP, 90), d = client(CLIENT, 5001, VIP, 90);
		struct seg s;
		char *l4 = bed_table(before[i], AT_90("l4"));
		char *tcp = bed_table(FLOW("proxy"), AT_90("tcp"));
		bed_start(&conf, l4);
		forget();
		say(&c, SYN, NULL);
		CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 1);
		struct bed_frame as = bed.sent[0];
		bed_push(tcp);
		forget();
		say(&c, ACK, "on its way");
		CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 1);
		CU_ASSERT_EQUAL(bed.sent[0].port, BED_BACK);
		CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes, mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes + 26, as.bytes + 26, 12), 0);
		CU_ASSERT_PTR_NULL(frame_judge(bed.sent[0].bytes, bed.sent[0].len));
		forget();
		say(&d, SYN, NULL);
		CU_ASSERT_TRUE(hear(&d, &s));
		CU_ASSERT_EQUAL(s.flags, SYN | ACK);
		end();
		free(l4);
		free(tcp);
	}
}

/* The look-up of a burst is done before its first packet is worked on. */
static void
a_packet_finds_the_stream_that_one_before_it_in_the_burst_opened(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80);
	uint8_t f[RIG_FRAME];

	begin(1, false);
	unsigned len = make(&c, SYN, NULL, 0, f);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(rig_inject(bed.rig, BED_FRONT, f, len));
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_EQUAL(tcp_count(SL_TCP_SYN_RECEIVED), 1);
	bed_wait(BED_S / 2);
	CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->tcp.streams, 1);
	end();
}

static void
rows_and_gauges_tell_of_connections(void)
{
	struct peer c = client(CLIENT, 5000, VIP, 80), e;
	unsigned rows = 0;

	begin(1, false);
	couple(&c, &e);
	bed_wait(BED_S);
	CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->tcp.streams, 2);
	CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->tcp.stream_capacity, 256);
	const struct sl_streams_head *h = rig_streams(bed.rig);
	for (unsigned i = 0; i < h->capacity; i++) {
		const struct sl_stream_row *row =
			(void *)((char *)sl_streams_worker(rig_streams(bed.rig), 0) +
				 i * h->stride);
		if (row->state == SL_STREAM_FREE)
			continue;
		rows++;
		CU_ASSERT_EQUAL(row->state, SL_STREAM_ESTABLISHED);
		CU_ASSERT_EQUAL(
			row->endpoint_slot,
			table_slot(bed.view.view, "web", e.t.sport == sl_to_be16(80) ? "b" : "a"));
		CU_ASSERT_NOT_EQUAL(row->partner, UINT32_MAX);
	}
	CU_ASSERT_EQUAL(rows, 2);
	end();
}

SL_SUITE("tcp", SL_TEST(a_request_goes_through_and_its_response_comes_back),
	 SL_TEST(each_worker_gets_its_share_and_keeps_both_sides_of_a_connection),
	 SL_TEST(endpoints_are_spoken_to_from_the_gateways_address_or_a_source),
	 SL_TEST(a_segment_waits_until_the_endpoint_has_answered_arp),
	 SL_TEST(a_closed_port_of_our_own_address_is_answered_with_rst),
	 SL_TEST(a_vip_without_a_listener_on_the_port_stays_silent),
	 SL_TEST(with_tcp_off_nothing_is_answered_or_forwarded),
	 SL_TEST(a_packet_that_came_as_far_as_it_could_is_taken),
	 SL_TEST(fragments_for_a_tcp_listener_are_dropped),
	 SL_TEST(an_endpoint_that_refuses_is_left_for_another),
	 SL_TEST(every_endpoint_that_stays_silent_is_tried_once_whatever_the_policy),
	 SL_TEST(a_flood_of_syns_does_not_keep_a_good_client_out),
	 SL_TEST(a_router_that_takes_less_is_heard_by_the_stream),
	 SL_TEST(an_endpoint_said_to_be_unreachable_is_left_for_another),
	 SL_TEST(an_error_about_a_stream_that_is_not_there_is_dropped),
	 SL_TEST(a_push_without_the_listener_ends_its_connections),
	 SL_TEST(a_disabled_endpoint_loses_its_connections_and_gets_no_more),
	 SL_TEST(explain_says_what_the_relay_would_pick_and_changes_nothing),
	 SL_TEST(ports_that_finish_sums_and_cut_get_what_they_need),
	 SL_TEST(payload_is_sent_from_the_buffer_it_came_in),
	 SL_TEST(a_queue_that_drains_as_it_is_filled_takes_a_whole_burst),
	 SL_TEST(who_is_connected_when_the_gateway_stops_is_told),
	 SL_TEST(a_listener_that_becomes_tcp_keeps_its_flows_as_packets),
	 SL_TEST(a_packet_finds_the_stream_that_one_before_it_in_the_burst_opened),
	 SL_TEST(rows_and_gauges_tell_of_connections))

#include "tests/sim/bed.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

struct bed bed;

static void
note(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	bool arp = frame[12] == 8 && frame[13] == 6;
	bool nd = frame[12] == 0x86 && frame[20] == SL_IPPROTO_ICMP6 && frame[54] == 135;

	(void)ctx;
	if (arp && frame[21] == 1)
		bed.asked = sl_addr_from_v4(frame + 38);
	else if (nd)
		bed.asked = sl_addr_from_v6(frame + 62);
	if ((arp && frame[21] == 1) || nd) {
		bed.asked_cnt++;
		return;
	}
	if (bed.sent_cnt == BED_SENT)
		return;
	struct bed_frame *f = &bed.sent[bed.sent_cnt++];
	f->port = port;
	f->len = len;
	memcpy(f->bytes, frame, len);
}

void
bed_mac(const struct sl_addr *addr, uint8_t mac[6])
{
	mac[0] = 2;
	mac[1] = 0x77;
	memcpy(mac + 2, addr->b + 12, 4);
}

char *
bed_table(const char *more, const char *listeners)
{
	static const char *const name[] = {"nat4", "nat6", "dsr4", "dsr6"};
	static const char *const vip[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"};
	struct table_text t = {0};

	table_append(&t, "gateway = { name = \"t\"; };\nnetwork = { addresses = (\n"
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },"
			 "{ port = \"front\"; address = \"fd00:1::1/64\"; },"
			 "{ port = \"back\"; address = \"10.0.2.1/24\"; },"
			 "{ port = \"back\"; address = \"fd00:2::1/64\"; } );\n"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; },"
			 "{ prefix = \"::/0\"; via = \"fd00:1::fe\"; } ); };\nservices = (\n");
	for (unsigned s = 0; s < 4; s++)
		table_append(&t,
			     "%s{ name = \"%s\"; forward = \"%s\"; max_endpoints = 10; endpoints = "
			     "( { name = \"a\"; address = \"%s11\"; port = %u; }, "
			     "{ name = \"b\"; address = \"%s12\"; port = %u; } ); }\n",
			     s ? "," : "", name[s], s < 2 ? "nat" : "dsr",
			     s % 2 ? "fd00:2::" : "10.0.2.", s < 2 ? 8080 : 80,
			     s % 2 ? "fd00:2::" : "10.0.2.", s < 2 ? 8080 : 80);
	table_append(&t, "%s);\nlisteners = (\n", more);
	for (unsigned s = 0; s < 8; s++)
		table_append(&t,
			     "%s{ name = \"%s-%s\"; address = \"%s\"; port = 80; protocol = "
			     "\"%s\"; mode = \"l4\"; service = \"%s\"; }\n",
			     s ? "," : "", name[s / 2], s % 2 ? "udp" : "tcp", vip[s / 2],
			     s % 2 ? "udp" : "tcp", name[s / 2]);
	table_append(&t, "%s);\n", listeners);
	return t.buf;
}

void
bed_resolve(const char *text)
{
	struct sl_addr a = frame_addr(text);
	unsigned port = sl_addr_is_v4(&a) ? a.b[14] == 2 : a.b[3] == 2;
	uint8_t mac[6];

	bed_mac(&a, mac);
	rig_neighbour(bed.rig, port, &a, mac, bed.now);
}

static const char *const known[] = {"10.0.1.254", "fd00:1::fe", "10.0.2.11",
				    "10.0.2.12",  "fd00:2::11", "fd00:2::12"};

static void
resolve_known(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(known); i++)
		bed_resolve(known[i]);
}

void
bed_start(const struct rig_conf *conf, const char *text)
{
	char *own = text ? NULL : bed_table("", "");

	bed.conf = *conf;
	bed.now = BED_S;
	bed.rig = rig_create(conf, note, NULL);
	table_init(&bed.table);
	bed.view = table_push(&bed.table, text ? text : own);
	free(own);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed.view.view);
	rig_publish(bed.rig, bed.view.view);
	resolve_known();
	rig_settle(bed.rig, bed.now);
	bed_clear();
}

void
bed_stop(void)
{
	for (unsigned w = 0; w < bed.conf.workers; w++) {
		const char *bad = sl_flow_check(rig_flows(bed.rig, w));
		if (bad)
			printf("    worker %u: %s\n", w, bad);
		CU_ASSERT_PTR_NULL(bad);
	}
	rig_kernel_stop(bed.rig);
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
	rig_destroy(bed.rig);
	table_release(&bed.view);
	table_fini(&bed.table);
}

void
bed_push(const char *text)
{
	struct table_view old = bed.view;

	bed.view = table_push(&bed.table, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed.view.view);
	rig_publish(bed.rig, bed.view.view);
	table_release(&old);
}

void
bed_clear(void)
{
	bed.sent_cnt = 0;
}

struct frame_spec
bed_packet(const char *src, unsigned sport, const char *dst, unsigned dport, uint8_t proto,
	   uint8_t tcp_flags)
{
	return (struct frame_spec){
		.t = {.src = frame_addr(src),
		      .dst = frame_addr(dst),
		      .sport = sl_to_be16(sport),
		      .dport = sl_to_be16(dport),
		      .proto = proto},
		.tcp_flags = tcp_flags,
		.payload = 10,
	};
}

struct frame_spec
bed_answer(const struct bed_frame *f, uint8_t tcp_flags)
{
	struct sl_tuple t = frame_tuple(f->bytes);

	return (struct frame_spec){
		.t = {.src = t.dst,
		      .dst = t.src,
		      .sport = t.dport,
		      .dport = t.sport,
		      .proto = t.proto},
		.tcp_flags = tcp_flags,
		.payload = 10,
	};
}

void
bed_inject(struct frame_spec *s, unsigned port)
{
	uint8_t f[RIG_FRAME];

	memcpy(s->dmac, rig_mac(bed.rig, port), 6);
	bed_mac(&s->t.src, s->smac);
	unsigned len = frame_make(s, f);
	CU_ASSERT_TRUE(rig_inject(bed.rig, port, f, len));
}

unsigned
bed_give(struct frame_spec *s, unsigned port)
{
	bed_clear();
	bed_inject(s, port);
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

void
bed_wait(uint64_t ns)
{
	for (uint64_t end = bed.now + ns; bed.now < end;) {
		bed.now += 20000000;
		rig_turn(bed.rig, bed.now);
		resolve_known();
	}
}

uint32_t
bed_active(void)
{
	uint32_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++) {
		struct sl_flow_usage u;
		sl_flow_usage(rig_flows(bed.rig, w), &u);
		n += u.active;
	}
	return n;
}

bool
bed_has(const struct sl_tuple *t)
{
	for (unsigned w = 0; w < bed.conf.workers; w++) {
		struct sl_flow_table *f = rig_flows(bed.rig, w);
		if (sl_flow_find(f, sl_flow_hash(f, t), t, (uint32_t)(bed.now / 250000000)) !=
		    SL_FLOW_NONE)
			return true;
	}
	return false;
}

/* Levels, panic and failover of packets that are forwarded: what leaves, by whom, with 1, 2 and 3 workers.
 *
 *   198.5x.y.z ── front ── gateway ── back ── 10.0.2.20 + i: endpoints n0 … n3 of priority 0, n4 … n7 of priority 1
 */
#include "tests/suite.h"

#include <math.h>

#include "lb/shares.h"
#include "tests/sim/bed.h"

enum { ENDPOINTS = 8, FIRST = 4, FLOWS = 3000, NOBODY = -1 };

#define MS 1000000ull
#define VIP "192.0.2.7"

static char *
text_of(const char *forward, const char *policy, unsigned panic_pct)
{
	struct table_text t = {0};

	table_append(&t,
		     ",{ name = \"s\"; forward = \"%s\"; policy = \"%s\"; panic_threshold = %u; "
		     "max_endpoints = 20; endpoints = (",
		     forward, policy, panic_pct);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		table_append(&t,
			     "%s{ name = \"n%u\"; address = \"10.0.2.%u\"; port = 80; priority = "
			     "%u; }",
			     i ? "," : "", i, 20 + i, i / FIRST * 3);
	table_append(&t, "); }");
	char *text = bed_table(t.buf, ",{ name = \"t\"; address = \"" VIP
				      "\"; port = 80; protocol = \"tcp\"; mode = "
				      "\"l4\"; service = \"s\"; },{ name = \"u\"; address = \"" VIP
				      "\"; port = 80; "
				      "protocol = \"udp\"; mode = \"l4\"; service = \"s\"; }");
	free(t.buf);
	return text;
}

static void
resolve(void)
{
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		char addr[32];
		snprintf(addr, sizeof(addr), "10.0.2.%u", 20 + i);
		bed_resolve(addr);
	}
}

static void
start(unsigned workers, const char *forward, const char *policy, unsigned panic_pct)
{
	const struct rig_conf c = {
		.workers = workers, .flows = 1 << 18, .seed = 7, .rss = workers == 2};
	char *text = text_of(forward, policy, panic_pct);

	bed_start(&c, text);
	free(text);
	resolve();
}

/* Time passes, at most a few turns of it. */
static void
pass(uint64_t ns)
{
	bed.now += ns;
	rig_settle(bed.rig, bed.now);
	resolve();
}

static void
set_state(unsigned endpoint, unsigned flags, uint8_t fraction)
{
	char name[8];

	snprintf(name, sizeof(name), "n%u", endpoint);
	uint32_t slot = table_slot(bed.view.view, "s", name);
	CU_ASSERT_FATAL(slot != UINT32_MAX);
	rig_states(bed.rig)[slot].admin =
		sl_state_make((uint16_t)flags, fraction, bed.view.view->hops[slot].incarnation);
}

static void
set_level(unsigned level, unsigned down, unsigned flags)
{
	for (unsigned i = 0; i < FIRST; i++)
		set_state(level * FIRST + i, i < down ? flags : 0, 255);
}

/* Where a packet of client i goes. */
static int
send(unsigned i, uint8_t proto, uint8_t flags)
{
	char src[32];

	snprintf(src, sizeof(src), "198.%u.%u.%u", 50 + i / 40000, i / 200 % 200, 1 + i % 200);
	struct frame_spec s = bed_packet(src, 1024 + i % 60000, VIP, 80, proto, flags);
	if (bed_give(&s, BED_FRONT) != 1)
		return NOBODY;
	return bed.sent[0].bytes[5] - 20;
}

static int
open_flow(unsigned i)
{
	return send(i, SL_IPPROTO_TCP, SL_TCP_SYN);
}

/* New flows `from` … of which so many are to be at the second level. */
static void
expect_second(unsigned from, double want, const char *when)
{
	unsigned second = 0, lost = 0;

	for (unsigned i = 0; i < FLOWS; i++) {
		int e = open_flow(from + i);
		lost += e == NOBODY;
		second += e >= FIRST;
	}
	double off = want * FLOWS > 0 && want < 1 ? 5 * sqrt(want * (1 - want) * FLOWS) : 0;
	if (lost || fabs(second - want * FLOWS) > off)
		printf("    %s: %u of %u at the second level, wanted %.0f; %u lost\n", when, second,
		       FLOWS, want * FLOWS, lost);
	CU_ASSERT_EQUAL(lost, 0);
	CU_ASSERT(fabs(second - want * FLOWS) <= off);
}

static void
new_flows_go_by_health_and_old_ones_stay(void)
{
	static const char *const forwards[] = {"nat", "dsr"};
	static int was[FLOWS];

	for (unsigned run = 0; run < 6; run++) {
		start(1 + run / 2, forwards[run % 2], "maglev", 0);
		unsigned moved = 0;
		for (unsigned i = 0; i < FLOWS; i++) {
			was[i] = open_flow(i);
			CU_ASSERT_FATAL(was[i] >= 0 && was[i] < FIRST);
		}
		set_level(0, 2, SL_ST_UNHEALTHY);
		/* not measured anew yet: all to those that take of the first level */
		pass(10 * MS);
		expect_second(10000, 0, "within 100 ms");
		pass(100 * MS);
		expect_second(20000, 0.3, "half of the first level is down");
		set_level(0, 3, SL_ST_DRAIN);
		pass(100 * MS);
		expect_second(30000, 0.65, "three of four are drained");
		set_level(0, 4, SL_ST_UNHEALTHY);
		/* nobody there takes: no need to wait for shares */
		expect_second(40000, 1, "all of the first level has just gone down");
		pass(100 * MS);
		expect_second(50000, 1, "all of the first level is down");
		for (unsigned i = 0; i < FLOWS; i++)
			moved += send(i, SL_IPPROTO_TCP, SL_TCP_ACK) != was[i];
		CU_ASSERT_EQUAL(moved, 0);
		int there = open_flow(60000);
		CU_ASSERT(there >= FIRST);
		set_level(0, 0, 0);
		pass(100 * MS);
		expect_second(70000, 0, "all is well again");
		CU_ASSERT_EQUAL(send(60000, SL_IPPROTO_TCP, SL_TCP_ACK), there);
		bed_stop();
	}
}

static void
gateways_of_any_number_of_workers_agree_on_levels_and_endpoints(void)
{
	static int first[FLOWS];
	unsigned differ = 0;

	for (unsigned workers = 1; workers <= 3; workers++) {
		start(workers, "dsr", "source_hash", 0);
		set_level(0, 2, SL_ST_UNHEALTHY);
		set_level(1, 1, SL_ST_DISABLED);
		for (unsigned i = 0; i < FLOWS; i++) {
			int e = open_flow(i);
			if (workers == 1)
				first[i] = e;
			differ += e != first[i];
		}
		bed_stop();
	}
	CU_ASSERT_EQUAL(differ, 0);
}

static void
in_a_panic_flows_go_to_all_and_stay_where_they_are(void)
{
	static const char *const policies[] = {"maglev", "round_robin", "least_conn"};
	static int was[FLOWS];

	for (unsigned run = 0; run < 6; run++) {
		start(1 + run % 2, "nat", policies[run / 2], 50);
		unsigned cnt[ENDPOINTS] = {0}, moved = 0, back = 0;
		for (unsigned i = 0; i < FLOWS; i++)
			CU_ASSERT(open_flow(i) >= 0);
		set_level(0, 4, SL_ST_UNHEALTHY);
		set_level(1, 4, SL_ST_UNHEALTHY);
		set_state(7, SL_ST_DRAIN | SL_ST_UNHEALTHY, 255);
		pass(MS); /* long before the next look: who finds nobody looks at once */
		for (unsigned i = 0; i < FLOWS; i++) {
			was[i] = send(10000 + i, SL_IPPROTO_UDP, 0);
			CU_ASSERT_FATAL(was[i] >= 0);
			cnt[was[i]]++;
		}
		for (unsigned e = 0; e < 7; e++) /* both levels, by weight of who is not drained */
			CU_ASSERT(cnt[e] > FLOWS / 7 * 3 / 4 && cnt[e] < FLOWS / 7 * 5 / 4);
		CU_ASSERT_EQUAL(cnt[7], 0);
		/* UDP that moves away from who is down stays: health says nothing now */
		for (unsigned i = 0; i < FLOWS; i++)
			moved += send(10000 + i, SL_IPPROTO_UDP, 0) != was[i];
		CU_ASSERT_EQUAL(moved, 0);
		/* the panic ends: it does say something */
		set_level(0, 0, 0);
		pass(100 * MS);
		moved = 0;
		for (unsigned i = 0; i < FLOWS; i++) {
			int e = send(10000 + i, SL_IPPROTO_UDP, 0);
			moved += was[i] < FIRST && e != was[i];
			back += was[i] >= FIRST && e < FIRST;
		}
		CU_ASSERT_EQUAL(moved, 0);
		CU_ASSERT(back > FLOWS / 3);
		bed_stop();
	}
}

static void
without_a_threshold_nobody_takes_what_nobody_can(void)
{
	start(2, "dsr", "maglev", 0);
	set_level(0, 4, SL_ST_UNHEALTHY);
	set_level(1, 4, SL_ST_UNHEALTHY);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(open_flow(i), NOBODY);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_ENDPOINT), 100);
	set_state(6, 0, 1); /* one that takes hardly anything is better than nobody */
	pass(100 * MS);
	for (unsigned i = 200; i < 300; i++)
		CU_ASSERT_EQUAL(open_flow(i), 6);
	bed_stop();
}

static void
a_push_of_other_priorities_moves_new_flows_alone(void)
{
	static int was[500];
	char *other = text_of("nat", "maglev", 0), *at;

	start(2, "nat", "maglev", 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(was); i++)
		was[i] = open_flow(i);
	/* 0 and 3 change places */
	while ((at = strstr(other, "priority = 0")) != NULL)
		at[11] = '5';
	while ((at = strstr(other, "priority = 3")) != NULL)
		at[11] = '1';
	bed_push(other);
	resolve();
	free(other);
	for (unsigned i = 0; i < SL_ARRAY_CNT(was); i++)
		CU_ASSERT_EQUAL(send(i, SL_IPPROTO_TCP, SL_TCP_ACK), was[i]);
	for (unsigned i = 1000; i < 1500; i++)
		CU_ASSERT(open_flow(i) >= FIRST);
	bed_stop();
}

static void
explain_says_level_share_and_panic(void)
{
	static const struct {
		unsigned down[2], panic_pct;
		unsigned share[2], panic;
		const char *reason;
	} rows[] = {
		{{0, 0}, 0, {10000, 0}, 0, "well"},
		{{2, 0}, 0, {7000, 3000}, 0, "70 and 30"},
		{{3, 3}, 0, {5000, 5000}, 0, "half and half of what there is"},
		{{3, 3}, 50, {5000, 5000}, 3, "panic of both"},
		{{4, 4}, 50, {5000, 5000}, 3, "nobody is well"},
		{{4, 0}, 50, {0, 10000}, 0, "the second is well"},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		unsigned seen = 0;
		start(2, "nat", "maglev", rows[r].panic_pct);
		for (unsigned l = 0; l < 2; l++)
			set_level(l, rows[r].down[l], SL_ST_UNHEALTHY);
		for (unsigned i = 0; i < 100; i++) {
			char src[32];
			snprintf(src, sizeof(src), "198.51.100.%u", 1 + i);
			struct frame_spec s = bed_packet(src, 4000, VIP, 80, SL_IPPROTO_TCP, 0);
			struct sl_explained e =
				rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_FRONT, bed.now);
			CU_ASSERT_FATAL(e.level.cnt == 2 && e.level.level < 2);
			CU_ASSERT_EQUAL(e.level.share, rows[r].share[e.level.level]);
			CU_ASSERT_EQUAL(e.level.panic, rows[r].panic >> e.level.level & 1);
			unsigned n = (unsigned)e.next.b[15] - 20;
			CU_ASSERT_EQUAL(n / FIRST, e.level.level);
			seen |= 1u << e.level.level;
			/* and that is what happens */
			s.tcp_flags = SL_TCP_SYN;
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			CU_ASSERT_EQUAL(bed.sent[0].bytes[5] - 20u, n);
		}
		for (unsigned l = 0; l < 2; l++)
			CU_ASSERT_EQUAL(seen >> l & 1, rows[r].share[l] > 0);
		bed_stop();
	}
	/* of a plain service there is one; of a known flow nothing was chosen */
	bed_start(&(struct rig_conf){.workers = 1, .flows = 1024, .seed = 1}, NULL);
	struct frame_spec s =
		bed_packet("198.51.100.1", 4000, "192.0.2.1", 80, SL_IPPROTO_TCP, SL_TCP_SYN);
	struct sl_explained e = rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_FRONT, bed.now);
	CU_ASSERT(e.level.cnt == 1 && e.level.share == 10000 && e.level.panic == 0);
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	e = rig_explain(bed.rig, &s.t, SL_TCP_ACK, BED_FRONT, bed.now);
	CU_ASSERT_EQUAL(e.level.cnt, 0);
	bed_stop();
}

/* Connections that end at the gateway: what explain says they would get. */
static void
connections_go_by_levels_and_panic_too(void)
{
	static const struct {
		unsigned down[2], flags;
		const char *keys;
		unsigned levels, panic; /* bits of those that are met */
		const char *reason;
	} rows[] = {
		{{0, 0}, SL_ST_UNHEALTHY, "", 1, 0, "well"},
		{{2, 0}, SL_ST_UNHEALTHY, "", 3, 0, "70 and 30"},
		{{4, 0}, SL_ST_UNHEALTHY, "", 2, 0, "the second"},
		{{4, 4}, SL_ST_UNHEALTHY, "", 3, 3, "panic, unless told"},
		{{4, 4}, SL_ST_UNHEALTHY, "http = { panic_threshold = 0; };", 0, 0, "told"},
		{{4, 4}, SL_ST_DRAIN, "", 0, 0, "people are believed"},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		const struct rig_conf c = {
			.workers = 2, .flows = 1024, .seed = 3, .rss = true, .streams = 64};
		unsigned levels = 0, panic = 0;
		char *plain = text_of("proxy", "maglev", 0), *text = NULL, *at, *mode;
		/* a proxy has its threshold elsewhere, and no UDP */
		at = strstr(plain, "panic_threshold = 0;");
		CU_ASSERT_FATAL(asprintf(&text, "%.*s%s%s", (int)(at - plain), plain, rows[r].keys,
					 at + strlen("panic_threshold = 0;")) > 0);
		at = strstr(text, ",{ name = \"u\"");
		strcpy(at, ");\n");
		mode = strstr(strstr(text, "name = \"t\"; address"), "\"l4\"");
		char *done = NULL;
		CU_ASSERT_FATAL(
			asprintf(&done, "%.*s\"tcp\"%s", (int)(mode - text), text, mode + 4) > 0);
		bed_start(&c, done);
		free(plain);
		free(text);
		free(done);
		resolve();
		for (unsigned l = 0; l < 2; l++)
			set_level(l, rows[r].down[l], rows[r].flags);
		for (unsigned i = 0; i < 60; i++) {
			struct frame_spec s =
				bed_packet("198.51.100.1", 4000 + i, VIP, 80, SL_IPPROTO_TCP, 0);
			struct sl_explained e =
				rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_FRONT, bed.now);
			if (e.level.cnt == 0)
				continue;
			unsigned n = (unsigned)e.next.b[15] - 20;
			CU_ASSERT(e.level.cnt == 2 && n / FIRST == e.level.level);
			levels |= 1u << e.level.level;
			panic |= e.level.panic << e.level.level;
		}
		if (levels != rows[r].levels || panic != rows[r].panic)
			printf("    %s: levels %u, panic %u\n", rows[r].reason, levels, panic);
		CU_ASSERT_EQUAL(levels, rows[r].levels);
		CU_ASSERT_EQUAL(panic, rows[r].panic);
		bed_stop();
	}
}

SL_SUITE("levels", SL_TEST(new_flows_go_by_health_and_old_ones_stay),
	 SL_TEST(gateways_of_any_number_of_workers_agree_on_levels_and_endpoints),
	 SL_TEST(in_a_panic_flows_go_to_all_and_stay_where_they_are),
	 SL_TEST(without_a_threshold_nobody_takes_what_nobody_can),
	 SL_TEST(a_push_of_other_priorities_moves_new_flows_alone),
	 SL_TEST(explain_says_level_share_and_panic),
	 SL_TEST(connections_go_by_levels_and_panic_too))

#include "mgmt/operstate.h"
#include "tests/suite.h"

#include <errno.h>

static struct sl_oper *o;
static struct sl_state_seg *seg;
static struct sl_slot_map map;
static struct sl_conf *conf;

/* Service web with endpoints web-1 … web-n, compiled from `map`, placed at now. */
static void
place(unsigned endpoints, const char *keys, uint64_t now)
{
	char *text = NULL;
	size_t len;
	struct sl_compiled *compiled;
	struct sl_slot_map next;
	FILE *m = open_memstream(&text, &len);

	fprintf(m,
		"gateway = { name = \"e\"; }; services = ( { name = \"web\"; forward = \"nat\"; %s "
		"endpoints = (",
		keys);
	for (unsigned i = 1; i <= endpoints; i++)
		fprintf(m, "%s{ name = \"web-%u\"; address = \"192.0.2.%u\"; port = 80; }",
			i > 1 ? "," : "", i, i);
	fprintf(m, "); } );");
	fclose(m);
	sl_conf_free(conf);
	conf = NULL;
	CU_ASSERT_FATAL(sl_conf_parse("t", text, len, NULL, &conf) == 0);
	CU_ASSERT_FATAL(sl_compile(conf, &map, NULL, NULL, NULL, &next, &compiled) == 0);
	sl_slot_map_fini(&map);
	map = next;
	sl_compiled_free(compiled);
	sl_oper_prepare(o, conf, &map);
	CU_ASSERT_FATAL(sl_oper_place(o, conf, &map, now) == 0);
	free(text);
}

static void
begin(void)
{
	o = sl_oper_create();
	seg = calloc(1, sizeof(*seg) + SL_MAX_ENDPOINTS * sizeof(seg->slot[0]));
	sl_slot_map_init(&map);
	conf = NULL;
}

static void
end(void)
{
	sl_oper_destroy(o);
	sl_conf_free(conf);
	sl_slot_map_fini(&map);
	free(seg);
}

static uint64_t
word(const char *name)
{
	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", name);
	CU_ASSERT_FATAL(e != NULL);
	return seg->slot[e->at.slot].admin;
}

static bool
set(const char *name, enum sl_oper_verb verb, unsigned value, uint64_t now)
{
	bool changed = false;
	CU_ASSERT(sl_oper_set(o, "web", name, verb, value, NULL, now, &changed) == 0);
	return changed;
}

static void
each_verb_moves_its_bits(void)
{
	begin();
	place(2, "", 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(word("web-1") == sl_state_make(0, 255, 1));
	CU_ASSERT(set("web-1", SL_OPER_DRAIN, 0, 1));
	CU_ASSERT(word("web-1") == sl_state_make(SL_ST_DRAIN, 255, 1));
	CU_ASSERT(!set("web-1", SL_OPER_DRAIN, 0, 1)); /* it was so already */
	set("web-1", SL_OPER_DISABLE, 0, 1);
	CU_ASSERT(word("web-1") == sl_state_make(SL_ST_DRAIN | SL_ST_DISABLED, 255, 1));
	set("web-1", SL_OPER_ENABLE, 0, 1);
	set("web-1", SL_OPER_UNDRAIN, 0, 1);
	CU_ASSERT(word("web-1") == sl_state_make(0, 255, 1));
	CU_ASSERT(word("web-2") == sl_state_make(0, 255, 1));
	bool changed;
	CU_ASSERT(sl_oper_set(o, "web", "web-3", SL_OPER_DRAIN, 0, NULL, 1, &changed) == -ENOENT);
	end();
}

static void
percent_becomes_a_fraction(void)
{
	static const struct {
		unsigned percent, fraction;
	} row[] = {{0, 0}, {1, 3}, {50, 128}, {99, 252}, {100, 255}};
	begin();
	place(1, "", 0);
	sl_oper_attach(o, seg, true);
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		set("web-1", SL_OPER_WEIGHT, row[i].percent, 0);
		CU_ASSERT(sl_state_fraction(word("web-1")) == row[i].fraction);
		CU_ASSERT(sl_oper_admits(o, sl_oper_find(o, "web", "web-1")) ==
			  (row[i].percent > 0));
	}
	end();
}

static void
states_are_kept_by_name(void)
{
	char *text;
	size_t len;

	begin();
	place(3, "", 0);
	set("web-2", SL_OPER_DRAIN, 0, 0);
	set("web-3", SL_OPER_WEIGHT, 10, 0);
	CU_ASSERT_FATAL(sl_oper_save(o, &text, &len) == 0);
	sl_oper_destroy(o);
	o = sl_oper_create();
	CU_ASSERT(sl_oper_load(o, text, len, NULL) == 0);
	place(3, "", 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(word("web-2") == sl_state_make(SL_ST_DRAIN, 255, 1));
	CU_ASSERT(sl_state_fraction(word("web-3")) == 26);
	place(1, "", 0); /* gone … */
	place(3, "", 0); /* … and back: still drained, before it takes a flow */
	CU_ASSERT(sl_state_flags(word("web-2")) == SL_ST_DRAIN);
	for (size_t n = 0; n < len; n++) {
		struct sl_oper *other = sl_oper_create();
		CU_ASSERT(sl_oper_load(other, text, n, NULL) == -EINVAL);
		sl_oper_destroy(other);
	}
	free(text);
	end();
}

static void
a_drained_newcomer_is_drained_before_it_is_offered(void)
{
	begin();
	place(2, "", 0);
	set("web-2", SL_OPER_DRAIN, 0, 0);
	place(1, "", 0);
	sl_oper_attach(o, seg, true);
	memset(seg->slot, 0, SL_MAX_ENDPOINTS * sizeof(seg->slot[0]));
	struct sl_conf *now = conf;
	conf = NULL;
	/* the words that prepare stores, with the old placement still in force */
	char text[] = "gateway = { name = \"e\"; }; services = ( { name = \"web\"; forward = "
		      "\"nat\"; endpoints = ( { name = \"web-1\"; address = \"192.0.2.1\"; port = "
		      "80; }, { name = \"web-2\"; address = \"192.0.2.2\"; port = 80; } ); } );";
	struct sl_compiled *compiled;
	struct sl_slot_map next;
	struct sl_placed at;
	CU_ASSERT_FATAL(sl_conf_parse("t", text, strlen(text), NULL, &conf) == 0);
	CU_ASSERT_FATAL(sl_compile(conf, &map, NULL, NULL, NULL, &next, &compiled) == 0);
	sl_oper_prepare(o, conf, &next);
	CU_ASSERT_FATAL(sl_slot_find_endpoint(&next, &conf->services[0],
					      &conf->services[0].endpoints[1], &at) == 0);
	CU_ASSERT(seg->slot[at.slot].admin == sl_state_make(SL_ST_DRAIN, 255, at.incarnation));
	CU_ASSERT(seg->slot[sl_oper_find(o, "web", "web-1")->at.slot].admin == 0);
	sl_slot_map_fini(&next);
	sl_compiled_free(compiled);
	sl_conf_free(now);
	end();
}

#define PROBED "slow_start = \"10s\"; health = { type = \"tcp\"; };"

static void
health_moves_the_word_of_its_incarnation(void)
{
	begin();
	place(2, PROBED, 0);
	sl_oper_attach(o, seg, true);
	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", "web-1");
	CU_ASSERT(e->health == SL_OPER_UNKNOWN && sl_state_flags(word("web-1")) == 0);
	sl_oper_health(o, e->at.slot, e->at.incarnation + 1, false, "old", 1, 1);
	CU_ASSERT(sl_state_flags(word("web-1")) == 0);
	sl_oper_health(o, 60000, 1, false, "nobody", 1, 1);
	sl_oper_health(o, UINT32_MAX, 1, false, "nobody", 1, 1);
	sl_oper_health(o, e->at.slot, e->at.incarnation, false, "refused", 1, 1);
	CU_ASSERT(sl_state_flags(word("web-1")) == SL_ST_UNHEALTHY);
	place(2, PROBED, 2); /* a push does not forget it */
	CU_ASSERT(sl_state_flags(word("web-1")) == SL_ST_UNHEALTHY);
	place(2, "", 3); /* no probes any more: nothing says it is down */
	CU_ASSERT(sl_state_flags(word("web-1")) == 0);
	end();
}

static void
slow_start_rises_to_the_whole(void)
{
	begin();
	place(1, PROBED, 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(sl_state_fraction(word("web-1")) == 255); /* the first placement: no ramp */
	CU_ASSERT(!sl_oper_tick(o, 0));
	place(2, PROBED, 1000); /* added beside another */
	CU_ASSERT(sl_state_fraction(word("web-2")) == 26);
	CU_ASSERT(sl_oper_tick(o, 6000));
	CU_ASSERT(sl_state_fraction(word("web-2")) == 140); /* 10 % + 90 % / 2 */
	set("web-2", SL_OPER_WEIGHT, 50, 6000);
	CU_ASSERT(sl_state_fraction(word("web-2")) == 70);
	place(2, PROBED, 7000); /* a push in between does not begin it anew */
	CU_ASSERT(sl_oper_tick(o, 6000));
	CU_ASSERT(sl_state_fraction(word("web-2")) == 70);
	CU_ASSERT(!sl_oper_tick(o, 11000));
	CU_ASSERT(sl_state_fraction(word("web-2")) == 128);

	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", "web-1");
	sl_oper_health(o, e->at.slot, e->at.incarnation, false, "x", 20000, 1);
	sl_oper_health(o, e->at.slot, e->at.incarnation, true, "ok", 30000, 1);
	CU_ASSERT(word("web-1") == sl_state_make(0, 26, 1));
	CU_ASSERT(!sl_oper_tick(o, 40000));
	set("web-1", SL_OPER_DISABLE, 0, 50000);
	set("web-1", SL_OPER_ENABLE, 0, 60000);
	CU_ASSERT(word("web-1") == sl_state_make(0, 26, 1));
	end();
}

static void
a_restarted_daemon_believes_what_the_words_say(void)
{
	begin();
	place(2, PROBED, 0);
	sl_oper_attach(o, seg, true);
	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", "web-2");
	sl_oper_health(o, e->at.slot, e->at.incarnation, false, "refused", 1, 1);
	sl_oper_destroy(o);
	o = sl_oper_create();
	place(2, PROBED, 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(sl_state_flags(word("web-2")) == SL_ST_UNHEALTHY);
	CU_ASSERT(sl_state_flags(word("web-1")) == 0);
	end();
}

static struct sl_oper_account
account(const char *name)
{
	struct sl_oper_account a;

	sl_oper_account(o, sl_oper_find(o, "web", name), &a);
	return a;
}

static bool
set_by(const char *name, enum sl_oper_verb verb, unsigned value, const char *who, const char *why)
{
	struct sl_kept_note note = {.wall_ms = 1700000000000};
	bool changed = false;

	snprintf(note.who, sizeof(note.who), "%s", who);
	snprintf(note.why, sizeof(note.why), "%s", why);
	CU_ASSERT(sl_oper_set(o, "web", name, verb, value, &note, 5, &changed) == 0);
	return changed;
}

static void
maintenance_takes_no_flow_and_ends_with_a_probe(void)
{
	begin();
	place(2, PROBED, 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(set_by("web-1", SL_OPER_MAINTENANCE, 0, "ann", "disk"));
	CU_ASSERT(word("web-1") == sl_state_make(SL_ST_DRAIN, 255, 1));
	CU_ASSERT_STRING_EQUAL(account("web-1").state, "maintenance");
	CU_ASSERT_EQUAL(account("web-1").fraction, 0);
	place(2, PROBED, 1);
	CU_ASSERT(word("web-1") == sl_state_make(SL_ST_DRAIN, 255, 1));
	CU_ASSERT(set_by("web-1", SL_OPER_RETURN, 0, "ann", ""));
	CU_ASSERT(sl_state_flags(word("web-1")) == SL_ST_UNHEALTHY); /* who knows how it is? */
	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", "web-1");
	sl_oper_health(o, e->at.slot, e->at.incarnation, true, "ok", 10, 1);
	CU_ASSERT(word("web-1") == sl_state_make(0, 26, 1)); /* and slowly */
	place(2, "", 20);
	set_by("web-1", SL_OPER_MAINTENANCE, 0, "ann", "");
	set_by("web-1", SL_OPER_RETURN, 0, "ann", "");
	CU_ASSERT(sl_state_flags(word("web-1")) == 0); /* nobody probes it */
	end();
}

static void
who_when_and_why_are_kept_and_shown(void)
{
	char *text;
	size_t len;

	begin();
	place(3, "", 0);
	set_by("web-1", SL_OPER_MAINTENANCE, 0, "ann", "disk");
	set_by("web-1", SL_OPER_DRAIN, 0, "bob", "later");
	set_by("web-2", SL_OPER_WEIGHT, 10, "eve", "canary");
	CU_ASSERT_FATAL(sl_oper_save(o, &text, &len) == 0);
	sl_oper_destroy(o);
	o = sl_oper_create();
	CU_ASSERT(sl_oper_load(o, text, len, NULL) == 0);
	place(3, "", 0);
	CU_ASSERT_STRING_EQUAL(account("web-1").why, "disk");
	CU_ASSERT_STRING_EQUAL(account("web-1").who, "ann");
	CU_ASSERT_STRING_EQUAL(account("web-1").by, "operator");
	CU_ASSERT_EQUAL(account("web-1").since_ms, 1700000000000);
	set_by("web-1", SL_OPER_RETURN, 0, "ann", "");
	CU_ASSERT_STRING_EQUAL(account("web-1").state, "draining");
	CU_ASSERT_STRING_EQUAL(account("web-1").why, "later");
	CU_ASSERT_STRING_EQUAL(account("web-2").who, "eve");
	CU_ASSERT_STRING_EQUAL(account("web-3").by, "");
	/* again, without a reason: it is still bob's; with one: eve's */
	CU_ASSERT(!set_by("web-1", SL_OPER_DRAIN, 0, "eve", ""));
	CU_ASSERT_STRING_EQUAL(account("web-1").who, "bob");
	CU_ASSERT(!set_by("web-1", SL_OPER_DRAIN, 0, "eve", "mine"));
	CU_ASSERT_STRING_EQUAL(account("web-1").who, "eve");
	free(text);
	end();
}

static void
states_of_a_sluiced_without_reasons_are_read(void)
{
	static const char old[] = "{\"version\": 1, \"endpoints\": [{\"service\": \"web\", "
				  "\"endpoint\": \"web-1\", \"drain\": true, \"disabled\": false, "
				  "\"percent\": 40}]}";
	begin();
	CU_ASSERT(sl_oper_load(o, old, strlen(old), NULL) == 0);
	place(1, "", 0);
	sl_oper_attach(o, seg, true);
	CU_ASSERT(word("web-1") == sl_state_make(SL_ST_DRAIN, 102, 1));
	CU_ASSERT_STRING_EQUAL(account("web-1").who, "");
	end();
}

static void
hint(enum sl_hint_by by, const char *name, bool drain, bool down, unsigned percent, const char *why,
     uint64_t now)
{
	struct sl_hint h = {.drain = drain,
			    .down = down,
			    .percent = (uint8_t)percent,
			    .wall_ms = (int64_t)now + 1000};

	snprintf(h.why, sizeof(h.why), "%s", why);
	CU_ASSERT(sl_oper_hint(o, by, "web", name, &h, now, NULL) == 0);
}

static void
hints_are_joined_with_what_operators_say(void)
{
	begin();
	place(2, "slow_start = \"10s\";", 0);
	sl_oper_attach(o, seg, true);
	hint(SL_HINT_AGENT, "web-1", false, false, 50, "50%", 1);
	CU_ASSERT(word("web-1") == sl_state_make(0, 128, 1));
	CU_ASSERT_STRING_EQUAL(account("web-1").by, "agent");
	CU_ASSERT_EQUAL(account("web-1").since_ms, 1001);
	set("web-1", SL_OPER_WEIGHT, 50, 1);
	CU_ASSERT(sl_state_fraction(word("web-1")) == 64);
	hint(SL_HINT_SOURCE, "web-1", true, false, 100, "terminating", 2);
	CU_ASSERT(sl_state_flags(word("web-1")) == SL_ST_DRAIN);
	CU_ASSERT_STRING_EQUAL(account("web-1").state, "draining");
	CU_ASSERT_STRING_EQUAL(account("web-1").why, "terminating");
	hint(SL_HINT_AGENT, "web-1", false, true, 100, "fail", 3);
	CU_ASSERT(sl_state_flags(word("web-1")) == (SL_ST_DRAIN | SL_ST_UNHEALTHY));
	hint(SL_HINT_SOURCE, "web-1", false, false, 100, "", 4);
	CU_ASSERT_STRING_EQUAL(account("web-1").state, "down");
	CU_ASSERT_STRING_EQUAL(account("web-1").why, "fail");
	hint(SL_HINT_AGENT, "web-1", false, true, 100, "fail again", 9); /* no news */
	CU_ASSERT_EQUAL(account("web-1").since_ms, 1003);
	CU_ASSERT_STRING_EQUAL(account("web-1").why, "fail again");
	set("web-1", SL_OPER_WEIGHT, 100, 5);
	hint(SL_HINT_AGENT, "web-1", false, false, 100, "up", 10);
	CU_ASSERT(word("web-1") == sl_state_make(0, 26, 1)); /* back, slowly */
	hint(SL_HINT_AGENT, "web-2", false, false, 0, "0%", 11);
	CU_ASSERT(sl_state_fraction(word("web-2")) == 0);
	end();
}

static void
hints_belong_to_names_placed_or_not(void)
{
	begin();
	place(1, "", 0);
	sl_oper_attach(o, seg, true);
	for (unsigned i = 0; i < 1000; i++) { /* the table of names grows */
		char name[16];
		snprintf(name, sizeof(name), "web-%u", i + 2);
		hint(SL_HINT_SOURCE, name, true, false, 100, "leaves", 1);
	}
	place(3, "", 2);
	CU_ASSERT(sl_state_flags(word("web-1")) == 0);
	CU_ASSERT(sl_state_flags(word("web-2")) == SL_ST_DRAIN);
	CU_ASSERT(sl_state_flags(word("web-3")) == SL_ST_DRAIN);
	hint(SL_HINT_SOURCE, "web-3", false, false, 100, "", 3);
	CU_ASSERT(sl_state_flags(word("web-3")) == 0);
	for (unsigned i = 0; i < 1000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "web-%u", i + 2);
		hint(SL_HINT_SOURCE, name, false, false, 100, "", 4);
	}
	CU_ASSERT(sl_state_flags(word("web-2")) == 0);
	end();
}

static unsigned watched;

static void
on_watch(void *ctx, const struct sl_oper_endpoint *e)
{
	(void)ctx;
	CU_ASSERT_STRING_EQUAL(e->name, "web-2");
	watched++;
}

static void
ejections_are_seen_once_each_with_their_time(void)
{
	begin();
	place(2, "", 0);
	sl_oper_attach(o, seg, true);
	watched = 0;
	sl_oper_watch(o, 100, on_watch, NULL);
	CU_ASSERT_EQUAL(watched, 0);
	const struct sl_oper_endpoint *e = sl_oper_find(o, "web", "web-2");
	seg->slot[e->at.slot].passive = sl_state_make(SL_ST_EJECTED, 255, e->at.incarnation + 1);
	sl_oper_watch(o, 150, on_watch, NULL);
	CU_ASSERT_EQUAL(watched, 0); /* of another one */
	seg->slot[e->at.slot].passive = sl_state_make(SL_ST_EJECTED, 255, e->at.incarnation);
	sl_oper_watch(o, 200, on_watch, NULL);
	sl_oper_watch(o, 300, on_watch, NULL);
	CU_ASSERT_EQUAL(watched, 1);
	CU_ASSERT_STRING_EQUAL(account("web-2").state, "ejected");
	CU_ASSERT_STRING_EQUAL(account("web-2").by, "dataplane");
	CU_ASSERT_EQUAL(account("web-2").since_ms, 200);
	place(2, "", 2);
	CU_ASSERT_EQUAL(account("web-2").since_ms, 200);
	sl_oper_watch(o, 350, on_watch, NULL);
	CU_ASSERT_EQUAL(watched, 1);
	e = sl_oper_find(o, "web", "web-2");
	seg->slot[e->at.slot].passive = sl_state_make(0, 255, e->at.incarnation);
	sl_oper_watch(o, 400, on_watch, NULL);
	CU_ASSERT_EQUAL(watched, 2);
	CU_ASSERT_STRING_EQUAL(account("web-2").state, "unprobed");
	end();
}

SL_SUITE("operstate", SL_TEST(each_verb_moves_its_bits), SL_TEST(percent_becomes_a_fraction),
	 SL_TEST(states_are_kept_by_name),
	 SL_TEST(a_drained_newcomer_is_drained_before_it_is_offered),
	 SL_TEST(health_moves_the_word_of_its_incarnation), SL_TEST(slow_start_rises_to_the_whole),
	 SL_TEST(a_restarted_daemon_believes_what_the_words_say),
	 SL_TEST(maintenance_takes_no_flow_and_ends_with_a_probe),
	 SL_TEST(who_when_and_why_are_kept_and_shown),
	 SL_TEST(states_of_a_sluiced_without_reasons_are_read),
	 SL_TEST(hints_are_joined_with_what_operators_say),
	 SL_TEST(hints_belong_to_names_placed_or_not),
	 SL_TEST(ejections_are_seen_once_each_with_their_time))

/* probing: a daemon with endpoints that answer on loopback, agents beside them, and a double of the dataplane. */
#include "tests/mgmt/fixture.h"
#include "tests/mgmt/server.h"
#include "tests/suite.h"

#include <errno.h>

static struct fixture f;

/* ---- an agent: it says its line to whoever connects ---- */

static struct {
	int listener;
	uint16_t port;
	const char *line;
	unsigned asked;
	uv_poll_t poll;
} agent;

static void
on_caller(uv_poll_t *poll, int status, int events)
{
	int fd = accept(agent.listener, NULL, NULL);

	(void)poll;
	(void)status;
	(void)events;
	if (fd < 0)
		return;
	agent.asked++;
	(void)!write(fd, agent.line, strlen(agent.line));
	close(fd);
}

static void
agent_up(const char *line)
{
	agent.line = line;
	agent.port = refusing_port(&agent.listener);
	CU_ASSERT_FATAL(listen(agent.listener, 16) == 0);
	uv_poll_init(&f.loop, &agent.poll, agent.listener);
	uv_poll_start(&agent.poll, UV_READABLE, on_caller);
}

static void
agent_down(void)
{
	uv_close((uv_handle_t *)&agent.poll, NULL);
	close(agent.listener);
}

/* ---- the table: one endpoint, probed on loopback ---- */

static void
push(const char *health, uint16_t port)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "gateway = { name = \"edge\"; };\n"
		 "network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); "
		 "};\n"
		 "services = ( { name = \"web\"; forward = \"nat\"; %s endpoints = ( { name = "
		 "\"web-1\"; "
		 "address = \"192.0.2.11\"; port = 80; probe = \"127.0.0.1:%u\"; } ); } );\n",
		 health, port);
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));
	if (!answer_ok(a))
		printf("push: %s\n", json_dumps(a, 0));
	CU_ASSERT_FATAL(answer_ok(a));
	json_decref(a);
}

static const struct sl_oper_endpoint *
web_1(void)
{
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");

	CU_ASSERT_FATAL(e != NULL);
	return e;
}

static uint64_t
word(void)
{
	return f.dp.state->slot[web_1()->at.slot].admin;
}

static bool
probed(struct sl_probe_status *ret)
{
	return sl_prober_find(f.daemon.prober, web_1()->at.slot, web_1()->at.incarnation, ret) == 0;
}

static void
up(void)
{
	memset(&agent, 0, sizeof(agent));
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

static bool
half(struct fixture *fx)
{
	(void)fx;
	return sl_state_fraction(word()) == 128;
}

static bool
draining(struct fixture *fx)
{
	(void)fx;
	return sl_state_flags(word()) == SL_ST_DRAIN;
}

static bool
down(struct fixture *fx)
{
	(void)fx;
	return sl_state_flags(word()) & SL_ST_UNHEALTHY;
}

static unsigned asked_before;

static bool
asked_twice_more(struct fixture *fx)
{
	(void)fx;
	return agent.asked >= asked_before + 2;
}

static void
what_agents_say_moves_the_word(void)
{
	char health[128];
	struct sl_oper_account a;

	up();
	agent_up("50%\n");
	snprintf(health, sizeof(health),
		 "health = { type = \"none\"; agent = { port = %u; interval = \"100ms\"; }; };",
		 agent.port);
	push(health, 1);
	CU_ASSERT(fixture_wait(&f, half));
	agent.line = "drain # a new disk\x1b\n";
	CU_ASSERT(fixture_wait(&f, draining));
	sl_oper_account(f.daemon.oper, web_1(), &a);
	CU_ASSERT_STRING_EQUAL(a.state, "draining");
	CU_ASSERT_STRING_EQUAL(a.by, "agent");
	CU_ASSERT_STRING_EQUAL(a.why, "drain # a new disk?");
	agent.line = "what?\n";
	asked_before = agent.asked;
	CU_ASSERT(fixture_wait(&f, asked_twice_more));
	CU_ASSERT(draining(&f)); /* nonsense changes nothing */
	agent.line = "ready fail\n";
	CU_ASSERT(fixture_wait(&f, down));
	agent_down();
	uint32_t slot = web_1()->at.slot;
	push(health, 1); /* the agent is away: what it said stays, over a push, too */
	CU_ASSERT(down(&f));
	CU_ASSERT_EQUAL(web_1()->at.slot, slot);
	push("", 1); /* and goes with the question */
	CU_ASSERT_EQUAL(word(), sl_state_make(0, 255, web_1()->at.incarnation));
	fixture_close(&f);
}

#define PROBED(interval)                                                                           \
	"health = { type = \"tcp\"; interval = \"" interval "\"; timeout = \"100ms\"; };"

static bool
healthy(struct fixture *fx)
{
	struct sl_probe_status st;

	(void)fx;
	return probed(&st) && st.state == SL_PROBE_HEALTHY;
}

static json_t *
maintain(bool on)
{
	return fixture_ask(&f,
			   json_pack("{s:s, s:s, s:s, s:b, s:s}", "verb", "maintenance", "service",
				     "web", "endpoint", "web-1", "on", on, "reason", "disk"));
}

static void
who_is_in_maintenance_is_not_probed_until_it_ends(void)
{
	struct server s = {0};
	struct sl_probe_status st;

	up();
	server_start(&s, &f.loop, AF_INET);
	push(PROBED("100ms"), s.port);
	CU_ASSERT(fixture_wait(&f, healthy));
	json_decref(maintain(true));
	CU_ASSERT(!probed(&st));
	CU_ASSERT(draining(&f));
	push(PROBED("60s"), s.port); /* nor does a push bring probes back */
	CU_ASSERT(!probed(&st));
	json_t *a = maintain(false);
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "endpoint"), "state"), "down");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "endpoint"), "why"),
			       "not probed since its maintenance");
	json_decref(a);
	CU_ASSERT(fixture_wait(&f, healthy)); /* at once, not within a minute */
	CU_ASSERT_EQUAL(sl_state_flags(word()), 0);
	server_stop(&s);
	fixture_close(&f);
}

static bool
seen(struct fixture *fx)
{
	(void)fx;
	return web_1()->ejected;
}

static bool
probed_once(struct fixture *fx)
{
	struct sl_probe_status st;

	(void)fx;
	return probed(&st) && st.probes >= 1;
}

static void
an_ejection_starts_a_probe_at_once(void)
{
	struct server s = {0};
	struct sl_probe_status st;

	up();
	server_start(&s, &f.loop, AF_INET);
	push(PROBED("1h"), s.port);
	CU_ASSERT(probed(&st) && st.probes == 0);
	f.dp.state->slot[web_1()->at.slot].passive =
		sl_state_make(SL_ST_EJECTED, 255, web_1()->at.incarnation);
	CU_ASSERT(fixture_wait(&f, seen));
	CU_ASSERT(fixture_wait(&f, probed_once));
	CU_ASSERT(healthy(&f));
	struct sl_oper_account a;
	sl_oper_account(f.daemon.oper, web_1(), &a);
	CU_ASSERT_STRING_EQUAL(a.state, "ejected");
	CU_ASSERT_STRING_EQUAL(a.probe, "up");
	CU_ASSERT(a.since_ms > 0);
	server_stop(&s);
	fixture_close(&f);
}

static void
without_an_interface_of_the_port_nobody_is_down(void)
{
	struct sl_probe_status st;
	int keep;
	uint16_t port = refusing_port(&keep);

	up();
	push("health = { type = \"tcp\"; interval = \"20ms\"; timeout = \"10ms\"; fall = 1; "
	     "through = "
	     "\"port\"; };",
	     port);
	struct sl_prober_stats stats;
	do {
		uv_run(&f.loop, UV_RUN_ONCE);
		sl_prober_stats(f.daemon.prober, &stats);
	} while (stats.local_errors < 5);
	CU_ASSERT(probed(&st) && st.state == SL_PROBE_CHECKING);
	CU_ASSERT_PTR_NOT_NULL(strstr(st.last_text, "no address or route of the table leads"));
	CU_ASSERT_EQUAL(sl_state_flags(word()), 0);
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "endpoints"));
	json_t *e = json_array_get(json_object_get(a, "endpoints"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(e, "state"), "unknown");
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_text(e, "why"), "not probed: "));
	json_decref(a);
	fixture_close(&f);
	close(keep);
}

SL_SUITE("probing", SL_TEST(what_agents_say_moves_the_word),
	 SL_TEST(who_is_in_maintenance_is_not_probed_until_it_ends),
	 SL_TEST(an_ejection_starts_a_probe_at_once),
	 SL_TEST(without_an_interface_of_the_port_nobody_is_down))

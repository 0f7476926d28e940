/* A gateway of 1 to 3 workers between HTTP clients and endpoints that answer,
 * stall, lie and die, over many seeds (http_user.h). SIM_SEED=N runs that seed
 * alone, with SIM_LOG=1 it tells what happens; SIM_SEEDS=N sets how many
 * (default 500).
 *
 *   seed % 4   0: endpoints answer right: everything must be answered   1: they
 * lie: only those they lied to may suffer 2: they close kept connections too 3:
 * tables and states change as well seed % 10  7: the gateway stops in the midst
 * of it
 */
#include "tests/sim/http_user.h"

#include <stdarg.h>

#include "dataplane/outlier.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker_priv.h"
#include "l7/limits.h"
#include "tests/sim/table.h"
#include "tests/suite.h"

#define SERVICES 4
#define NOBODY UINT32_MAX
#define ALL (UINT32_MAX - 1)
#define STEP_NS (3 * TCP_MS)
#define LONGEST_NS (100 * TCP_S)

static struct run run;
static struct table table;
static struct table_view views[32];
static unsigned view_cnt;
static bool logs;
static uint32_t most_few; /* connections to an endpoint that may have one */

void
run_wrong(struct run *r, const char *fmt, ...)
{
	va_list ap;

	if (r->wrong[0])
		return;
	int n = snprintf(r->wrong, sizeof(r->wrong), "at %.3f s: ",
			 (double)(int64_t)(r->net.w.now_ns - ((1ull << 32) * TCP_MS - 5 * TCP_S)) /
				 1e9);
	va_start(ap, fmt);
	vsnprintf(r->wrong + n, sizeof(r->wrong) - (size_t)n, fmt, ap);
	va_end(ap);
}

void
run_log(const struct run *r, const char *fmt, ...)
{
	va_list ap;

	if (!logs)
		return;
	printf("%9.3f ms ",
	       (double)(int64_t)(r->net.w.now_ns - ((1ull << 32) * TCP_MS - 5 * TCP_S)) / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void
run_disturbed(struct run *r)
{
	r->disturbed_ns = SL_MAX(r->disturbed_ns, r->net.w.now_ns + EXCUSE_NS);
}

bool
run_excuses(const struct run *r, const struct req *q)
{
	return q->faulted || q->early || r->disturbed_ns >= q->begun_ns;
}

/* ---- tables ---- */

/* Service b: one connection to each endpoint, or two to both. */
static bool
few_by_endpoint(void)
{
	return run.seed / 3 % 2;
}

/* out: an endpoint that is not in it, NOBODY: all are; ALL: none is, and no
 * listener; gone: /b goes to service a, and subsets have other places. */
static void
push(unsigned out, bool gone)
{
	struct table_text t = {0};
	const char *const more[SERVICES] = {"",
					    few_by_endpoint()
						    ? "tcp = { endpoint_connections = 1; };"
						    : "tcp = { max_connections = 2; };",
					    "http = { max_requests = 3; };", ""};

	table_append(&t, "gateway = { name = \"t\"; };\nnetwork = { addresses = (\n"
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },"
			 "{ port = \"back\"; address = \"10.0.2.1/24\"; } );\n"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; } ); };\n"
			 "services = (\n");
	for (unsigned s = 0; s < SERVICES; s++) {
		table_append(&t,
			     "%s{ name = \"%c\"; policy = \"%s\"; max_endpoints = 10; %s "
			     "subsets = ( %s{ name = \"one\"; metadata = ( \"v=1\" ); fallback = "
			     "\"any\"; }, { name = \"zero\"; metadata = ( \"v=0\" ); } ); "
			     "endpoints = (\n",
			     s ? "," : "", 'a' + (int)s,
			     (const char *[]){"round_robin", "least_request", "random",
					      "ewma"}[(run.seed / 4 + s) % 4],
			     more[s], gone ? "{ name = \"all\"; metadata = ( \"x=y\" ); }, " : "");
		for (unsigned e = 0, n = 0; e < 2; e++)
			if (s * 2 + e != out && out != ALL)
				table_append(&t,
					     "%s{ name = \"e%u\"; address = \"10.0.2.%u\"; port = "
					     "80; metadata = ( \"x=y\", \"v=%u\" ); }\n",
					     n++ ? "," : "", e, 11 + s * 2 + e, e);
		table_append(&t, "); }\n");
	}
	table_append(&t, ");\nlisteners = (");
	if (out != ALL)
		table_append(&t, "{ name = \"edge\"; address = \"" NET_VIP
				 "\"; port = 80; protocol = \"tcp\"; mode = \"http\"; "
				 "routes = \"edge\"; }");
	table_append(&t, ");\n"
			 "route_tables = ( { name = \"edge\"; hosts = ( { name = \"t\"; match = ( "
			 "\"*\" ); routes = (\n");
	for (unsigned k = 0; k < REQ_KINDS; k++) {
		const char *svc = k == REQ_FEW && !gone ? "b" : k == REQ_LIMIT ? "c" : "a";
		if (k == REQ_NONE)
			continue;
		table_append(&t, "%s{ name = \"%s\"; prefix = \"/%s\"; ", k ? "," : "", req_path[k],
			     req_path[k]);
		if (k == REQ_LOCAL)
			table_append(&t, "respond = { code = 403; body = \"no\\n\"; };");
		else if (k == REQ_REDIR)
			table_append(&t, "redirect = { code = 301; path = \"/a\"; };");
		else
			table_append(&t,
				     "service = \"%s\"; %s timeout = \"3s\"; idle_timeout = "
				     "\"8s\";",
				     svc,
				     k == REQ_RETRY     ? "subset = \"one\";"
				     : k == REQ_UPGRADE ? "subset = \"zero\";"
							: "");
		if (k == REQ_RETRY)
			table_append(&t, "retry = { attempts = 2; on = ( \"connect\", \"reused\", "
					 "\"reset\", \"5xx\" ); };");
		if (k == REQ_HEDGE)
			table_append(&t,
				     "policy = { hedge = { after = \"1ms\"; max = 2; }; fault = { "
				     "delay = { "
				     "percent = \"10\"; time = \"50ms\"; }; max_active = 3; }; };");
		if (k == REQ_MIRROR)
			table_append(&t, "mirror = ( { service = \"d\"; percent = \"50\"; } );");
		table_append(&t, " }\n");
	}
	table_append(&t, "); } ); } );\n");
	if (view_cnt == SL_ARRAY_CNT(views))
		abort();
	views[view_cnt] = table_push(&table, t.buf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(views[view_cnt].view);
	rig_publish(run.net.rig, views[view_cnt++].view);
	free(t.buf);
}

/* ---- what changes meanwhile ---- */

static uint64_t change_ns;
static struct {
	uint64_t until_ns;
	uint32_t slot;
} ejected;

static void
change(void)
{
	struct tcp_dice *d = &run.dice;
	const struct sl_view *v = views[view_cnt - 1].view;
	unsigned e = (unsigned)dice_below(d, 2 * SERVICES);
	char service[2] = {(char)('a' + e / 2), 0}, name[] = {'e', (char)('0' + e % 2), 0};
	uint32_t slot = table_slot(v, service, name);
	unsigned what = (unsigned)dice_below(d, 6);

	run_log(&run, "change %u of endpoint %u", what, e);
	run_disturbed(&run);
	if (what == 0 && view_cnt + 1 < SL_ARRAY_CNT(views)) {
		push((unsigned)dice_below(d, 2 * SERVICES + 2), dice_chance(d, 0.3));
	} else if (what == 1) {
		run.net.dead[e] = !run.net.dead[e];
	} else if (what == 2) {
		run.net.refuses[e] = !run.net.refuses[e];
	} else if (slot != UINT32_MAX) {
		unsigned flags = what == 3 ? SL_ST_DRAIN : what == 4 ? SL_ST_DISABLED : 0;
		rig_states(run.net.rig)[slot].admin = sl_state_make(
			(uint16_t)flags, SL_FRACTION_WHOLE, v->hops[slot].incarnation);
	}
}

static void
changes(void)
{
	struct sl_outlier_report report;
	uint64_t now = run.net.w.now_ns;

	while (rig_report(run.net.rig, &report)) {
		if (!run.changes)
			continue;
		run_disturbed(&run);
		ejected.slot = report.endpoint_slot;
		ejected.until_ns = now + TCP_S;
		rig_states(run.net.rig)[ejected.slot].passive =
			sl_state_make(SL_ST_EJECTED, SL_FRACTION_WHOLE, report.incarnation);
	}
	if (ejected.until_ns && now >= ejected.until_ns) {
		ejected.until_ns = 0;
		rig_states(run.net.rig)[ejected.slot].passive = 0;
	}
	for (unsigned e = 0; e < NET_ENDPOINTS; e++)
		if (run.net.dead[e] || run.net.refuses[e])
			run_disturbed(&run);
	if (!run.changes || now < change_ns)
		return;
	change_ns = now + dice_range(&run.dice, 50 * TCP_MS, 600 * TCP_MS);
	if (now < run.net.w.now_ns + 1 && run.fine + run.own + run.cut < run.req_cnt)
		change();
}

/* ---- judging ---- */

static uint32_t
taken(unsigned service, enum sl_limit what)
{
	return rig_ledger(run.net.rig)->service[service].taken[what];
}

static uint32_t
open_to(uint32_t endpoint_slot)
{
	return rig_worker(run.net.rig, 0)->conf.tcp.limits->endpoint[endpoint_slot];
}

static void
judge_few(void)
{
	const struct sl_view *v = views[view_cnt - 1].view;

	for (unsigned e = 0; e < 2; e++) {
		uint32_t slot = table_slot(v, "b", e ? "e1" : "e0");
		if (slot != UINT32_MAX && open_to(slot) > 1)
			run_wrong(&run, "%u connections to endpoint %u, of one", open_to(slot), e);
		most_few = SL_MAX(most_few, slot == UINT32_MAX ? 0 : open_to(slot));
	}
}

static void
judge_limits(void)
{
	for (unsigned i = 0; i < REQ_KINDS; i++)
		if (rig_ledger(run.net.rig)->delays[i] > 3)
			run_wrong(&run, "%u requests are delayed",
				  rig_ledger(run.net.rig)->delays[i]);
	if (few_by_endpoint())
		judge_few();
	else if (taken(1, SL_LIMIT_CONNECTIONS) > 2)
		run_wrong(&run, "%u connections of two", taken(1, SL_LIMIT_CONNECTIONS));
	if (taken(2, SL_LIMIT_REQUESTS) > 3)
		run_wrong(&run, "%u requests of three", taken(2, SL_LIMIT_REQUESTS));
}

static void
judge_stacks(void)
{
	for (unsigned w = 0; w < run.net.workers; w++) {
		const char *bad = sl_tcp_check(rig_worker(run.net.rig, w)->tcp);
		if (bad)
			run_wrong(&run, "worker %u: %s", w, bad);
	}
}

static unsigned
streams(void)
{
	unsigned n = 0;

	for (unsigned w = 0; w < run.net.workers; w++) {
		struct sl_tcp_usage u;
		sl_tcp_usage(rig_worker(run.net.rig, w)->tcp, &u);
		n += u.streams;
	}
	return n;
}

static void
judge_stopped(void)
{
	for (unsigned w = 0; w < run.net.workers; w++) {
		const struct sl_stats_http *s = &rig_stats(run.net.rig, w)->http;
		if (s->conns || s->exchanges || s->head_bytes)
			run_wrong(&run,
				  "worker %u stopped with %u connections, %u requests, %u bytes of "
				  "heads",
				  w, (unsigned)s->conns, (unsigned)s->exchanges,
				  (unsigned)s->head_bytes);
		run.hedges += (unsigned)s->count[SL_HTTP_CNT_HEDGE];
		run.won += (unsigned)s->count[SL_HTTP_CNT_HEDGE_WON];
		run.delayed += (unsigned)s->count[SL_HTTP_CNT_FAULT_DELAY];
	}
	for (unsigned i = 0; i < REQ_KINDS; i++)
		if (rig_ledger(run.net.rig)->delays[i])
			run_wrong(&run, "%u delays of route %u are kept",
				  rig_ledger(run.net.rig)->delays[i], i);
}

/* ---- the access log ---- */

static void
note(const struct sl_event_access *e)
{
	const char *path = (const char *)(e + 1) + e->method_len + e->host_len;
	char word[16], text[64] = {0};
	unsigned id;

	memcpy(text, path, SL_MIN(e->path_len, sizeof(text) - 1));
	if (sscanf(text, "/%15[a-z]/%u", word, &id) != 2 || id == 0 || id > run.req_cnt)
		return; /* of what was refused */
	run.req[id].logged++;
	run.req[id].log_status = e->status;
}

static void
read_log(void)
{
	static _Alignas(8) uint8_t buf[16384];
	struct sl_events_head *h = rig_events(run.net.rig);

	for (unsigned w = 0; w < run.net.workers; w++) {
		long n;
		while ((n = sl_events_take(sl_events_worker(h, w), h->size, buf, sizeof(buf))) !=
		       0) {
			if (n < 0)
				run_wrong(&run, "worker %u: the ring of records is broken", w);
			else
				note((const struct sl_event_access *)(void *)buf);
		}
	}
}

/* Each request that reached an endpoint, or was answered, has one record, which
 * says what the client heard. */
static void
judge_log(void)
{
	read_log();
	for (unsigned i = 1; i <= run.req_cnt; i++) {
		const struct req *r = &run.req[i];
		if (r->malformed)
			continue;
		if (r->logged > 1 || ((r->seen || r->status) && !r->logged))
			run_wrong(&run, "request %u has %u records", i, r->logged);
		else if (r->status && r->status != r->log_status)
			run_wrong(&run, "request %u is answered %u, and logged %u", i, r->status,
				  r->log_status);
	}
}

static void
judge_left(void)
{
	for (unsigned w = 0; w < run.net.workers; w++) {
		const struct sl_stats_http *s = &rig_stats(run.net.rig, w)->http;
		struct sl_tcp_usage u;
		sl_tcp_usage(rig_worker(run.net.rig, w)->tcp, &u);
		if (s->conns || s->exchanges || s->pooled || s->pool_idle || s->head_bytes)
			run_wrong(&run,
				  "worker %u keeps %u connections, %u requests, %u of the pool "
				  "(%u idle), %u bytes of heads",
				  w, (unsigned)s->conns, (unsigned)s->exchanges,
				  (unsigned)s->pooled, (unsigned)s->pool_idle,
				  (unsigned)s->head_bytes);
		if (u.streams || u.segs || u.blocks || u.pinned)
			run_wrong(&run,
				  "worker %u keeps %u streams, %u chunks, %u blocks, %u pinned", w,
				  u.streams, u.segs, u.blocks, u.pinned);
	}
	for (unsigned s = 0; s < SERVICES + 3; s++)
		for (unsigned what = 0; what < SL_LIMIT_CNT; what++)
			if (taken(s, (enum sl_limit)what))
				run_wrong(&run, "service %u keeps %u of limit %u", s,
					  taken(s, (enum sl_limit)what), what);
	for (uint32_t slot = 0; slot < SL_MAX_ENDPOINTS; slot++)
		if (open_to(slot))
			run_wrong(&run, "endpoint slot %u keeps %u connections", slot,
				  open_to(slot));
}

/* ---- a run ---- */

static void
step(void)
{
	net_begin(&run.net, run.net.w.now_ns + STEP_NS);
	for (unsigned i = 0; i < run.client_cnt; i++)
		client_poke(&run.client[i]);
	for (struct peer *p = run.peers; p; p = p->next)
		peer_poke(p);
	changes();
	net_end(&run.net);
	judge_limits();
	if (run.steps++ % 64 == 0)
		read_log();
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < run.client_cnt; i++)
		if (!run.client[i].over)
			return false;
	return true;
}

static void
begin(uint64_t seed)
{
	struct rig_conf rig = {.workers = 1 + (unsigned)(seed / 4 % 3),
			       .flows = 1024,
			       .seed = seed,
			       .rss = seed / 12 % 2,
			       .streams = 256,
			       .pinned = 512,
			       .exchanges = 64,
			       .events = 65536};
	struct link_conf link = {.delay_ns = 200000, .jitter_ns = 100000, .mtu = 1500};

	memset(&run, 0, sizeof(run));
	run.seed = seed;
	run.dice.s = seed * 77 + 1;
	run.lies = seed % 4 >= 1;
	run.dies = seed % 4 >= 2;
	run.changes = seed % 4 == 3;
	if (seed / 8 % 3 == 1)
		link.loss = 0.01, link.dup = 0.01, link.reorder = 0.02, link.reorder_ns = TCP_MS;
	net_init(&run.net, seed, &rig, &link);
	run.net.accepted = peer_accepted;
	run.net.ctx = &run;
	table_init(&table);
	view_cnt = 0;
	change_ns = 0;
	ejected.until_ns = 0;
	push(NOBODY, false);
	run.client_cnt = (unsigned)dice_range(&run.dice, 4, RUN_CLIENTS);
	for (unsigned i = 0; i < run.client_cnt; i++)
		client_init(&run.client[i], &run, i);
}

/* Everything is closed, and nothing may be left. */
static void
close_all(void)
{
	uint64_t push_ns = run.net.w.now_ns + 2 * TCP_S, end = push_ns + 3 * TCP_S;

	run.closing = true;
	run.changes = false;
	memset(run.net.dead, 0, sizeof(run.net.dead));
	while (run.net.w.now_ns < push_ns && !run.wrong[0])
		step();
	/* a FIN or RST may have been lost: such connections end when the endpoint, or
   * the listener, is not in the table */
	push(ALL, false);
	/* an end that nobody acknowledges takes a minute */
	while (run.net.w.now_ns < end + (streams() ? 70 * TCP_S : 0) && !run.wrong[0])
		step();
	judge_left();
	judge_stacks();
	judge_log();
}

static void
finish(void)
{
	rig_settle(run.net.rig, run.net.w.now_ns); /* frames that wait at ports are no leak */
	rig_stop(run.net.rig, run.net.w.now_ns);
	judge_stopped();
	for (unsigned i = 0; i < run.client_cnt; i++)
		client_fini(&run.client[i]);
	for (struct peer *p = run.peers, *next; p; p = next) {
		next = p->next;
		free(p->out);
		free(p);
	}
	const char *bad = net_fini(&run.net, streams() > 0);
	if (bad)
		run_wrong(&run, "%s", bad);
	for (unsigned i = 0; i < view_cnt; i++)
		table_release(&views[i]);
	table_fini(&table);
}

static bool
judged(uint64_t seed)
{
	begin(seed);
	uint64_t end = run.net.w.now_ns + LONGEST_NS;
	uint64_t stop =
		seed % 10 == 7 ? run.net.w.now_ns + dice_below(&run.dice, 3 * TCP_S) : UINT64_MAX;
	while (!all_over() && !run.wrong[0] && run.net.w.now_ns < stop) {
		step();
		if (run.steps % 512 == 0)
			judge_stacks();
		if (run.net.w.now_ns > end)
			run_wrong(&run, "somebody waits for ever");
	}
	for (unsigned i = 0; i < run.client_cnt && run.wrong[0]; i++)
		if (!run.client[i].over)
			run_log(&run, "client %u is not over: request %u", i,
				run.client[i].first + run.client[i].read_at);
	if (!run.wrong[0] && stop == UINT64_MAX)
		close_all();
	finish();
	if (run.wrong[0])
		printf("    seed %llu: %s\n", (unsigned long long)seed, run.wrong);
	return !run.wrong[0];
}

static void
every_answer_is_the_one_asked_for(void)
{
	const char *only = getenv("SIM_SEED"), *many = getenv("SIM_SEEDS");
	uint64_t from = only ? strtoull(only, NULL, 0) : 1;
	uint64_t to = only ? from : many ? strtoull(many, NULL, 0) : 500;
	unsigned fine = 0, own = 0, cut = 0, hedges = 0, won = 0, delayed = 0;

	logs = getenv("SIM_LOG");
	for (uint64_t seed = from; seed <= to; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		fine += run.fine;
		own += run.own;
		cut += run.cut;
		hedges += run.hedges;
		won += run.won;
		delayed += run.delayed;
	}
	printf("    %u answers, %u of the gateway's own, %u connections cut; %u hedges, %u won; %u "
	       "delays ",
	       fine, own, cut, hedges, won, delayed);
	CU_ASSERT_TRUE(fine > cut && (to == from || most_few));
	if (to - from >= 100)
		CU_ASSERT_TRUE(hedges > won && won && delayed);
}

static void
same_seed_same_run(void)
{
	for (uint64_t seed = 12; seed <= 15; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		unsigned fine = run.fine, own = run.own, cut = run.cut, steps = run.steps;
		CU_ASSERT_TRUE(judged(seed));
		CU_ASSERT_TRUE(fine == run.fine && own == run.own && cut == run.cut &&
			       steps == run.steps);
	}
}

SL_SUITE("http", SL_TEST(same_seed_same_run), SL_TEST(every_answer_is_the_one_asked_for))

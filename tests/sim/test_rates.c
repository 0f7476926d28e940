/* Limits in virtual time: two gateways of 1 to 3 workers each, clients that ask for more than limits let through, over many seeds.
 * SIM_SEED=N runs that seed alone; SIM_SEEDS=N sets how many (default 200).
 *
 *   own     one number for all requests     key     one for each value of a header      web     of a service, with endpoints behind it
 *   group   shared by both gateways         each    likewise, for each value
 *
 * Parts of what is shared go from one gateway to the other, lapse and come back meanwhile, as sluiced moves them: who gives one up lowers
 * his word first, and per later it is the other's.  Tables are pushed again, with other numbers for what is not shared.
 *
 * What holds, of all limits and over any window of per, is seen from outside: by what the counters of workers come to after each
 * turn, and, where links always take the same time and the gateway itself answers, by when answers come to clients; of what is shared,
 * at both gateways together.
 *
 *   seed % 3   0: links always take the same time   1: they lose, double and reorder
 */
#include "tests/sim/http_net.h"
#include "tests/sim/http_read.h"

#include "dataplane/clock.h"
#include "dataplane/worker_priv.h"
#include "tests/sim/table.h"
#include "tests/suite.h"

#include <stdarg.h>

#define GATES 2
#define USERS 10
#define VIEWS 12
#define KEYS 3
#define STEP_NS (3 * TCP_MS)
#define RUN_NS (900 * TCP_MS)
#define LAG_NS                                                                                     \
	(TCP_MS /                                                                                  \
	 2) /* between the earliest and the latest that an answer comes, where links always take the same time */

enum limit { OWN, KEY, WEB, GROUP, EACH, LIMITS };
static const char *const limit_name[LIMITS] = {"own", "key", "web", "group", "each"};

/* Times of what passed. */
struct passed {
	uint64_t *at;
	size_t cnt, room;
};

struct gate;
struct user {
	struct gate *gate;
	struct sl_stream *s;
	unsigned id, key, sent, len;
	enum limit asks;
	uint64_t next_ns;
	bool opened, over, waits;
	char text[128];
	struct http_read in;
};

/* A connection to an endpoint. */
struct up {
	struct up *next;
	struct gate *gate;
	struct sl_stream *s;
	struct http_read in;
};

struct gate {
	struct http_net net;
	struct user user[USERS];
	struct up *ups;
	struct sl_state_seg *seg;
	uint64_t allowed[LIMITS], refused[LIMITS]; /* as counted so far */
	uint64_t heard[LIMITS];                    /* answers 200 */
	uint64_t seen;                             /* requests at endpoints */
	uint32_t part[LIMITS];                     /* of what is shared, beside the floor */
	bool lapses;                               /* its share is not renewed */
};

/* A part of a shared number on its way. */
struct part {
	enum limit limit;
	unsigned to;
	uint32_t tokens; /* 0: none */
	uint64_t due_ns;
};

static struct {
	uint64_t seed, start_ns, end_ns, t_ns;
	struct gate gate[GATES];
	struct tcp_dice dice;
	uint32_t requests[LIMITS], floor[LIMITS], per_ms[LIMITS];
	uint32_t most_requests[LIMITS]; /* of all tables */
	struct table table;
	struct table_view view[VIEWS];
	unsigned views;
	struct part part[4];
	uint64_t push_ns, move_ns;
	struct passed counted[LIMITS];        /* of what is shared, at both gateways */
	struct passed at_gate[GATES][LIMITS]; /* of the rest */
	struct passed heard[GATES][LIMITS][KEYS];
	uint64_t shareless, moved;
	char wrong[240];
} run;

__attribute__((format(printf, 1, 2))) static void
wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!run.wrong[0])
		vsnprintf(run.wrong, sizeof(run.wrong), fmt, ap);
	va_end(ap);
}

static bool
shared(enum limit l)
{
	return l == GROUP || l == EACH;
}

static bool
keyed(enum limit l)
{
	return l == KEY || l == EACH;
}

/* ---- what passed ---- */

static void
pass(struct passed *p, uint64_t at, uint64_t n)
{
	while (p->room < p->cnt + n) {
		p->room = p->room ? 2 * p->room : 256;
		p->at = realloc(p->at, p->room * sizeof(*p->at));
		if (!p->at)
			abort();
	}
	while (n--)
		p->at[p->cnt++] = at;
}

static int
earlier(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The most in any window of so many ns. */
static size_t
most(struct passed *p, uint64_t window_ns)
{
	size_t first = 0, ret = 0;

	if (p->cnt)
		qsort(p->at, p->cnt, sizeof(*p->at), earlier);
	for (size_t i = 0; i < p->cnt; i++) {
		while (p->at[i] - p->at[first] >= window_ns)
			first++;
		ret = SL_MAX(ret, i + 1 - first);
	}
	return ret;
}

static void
holds(struct passed *p, enum limit l, uint64_t slack_ns, const char *where)
{
	uint64_t per_ns = run.per_ms[l] * TCP_MS;
	size_t got = slack_ns < per_ns ? most(p, per_ns - slack_ns) : 0;

	if (got > run.most_requests[l])
		wrong("%s: %zu of limit %s passed %s in a window of %u ms, which has %u",
		      shared(l) ? "together" : "at one", got, limit_name[l], where, run.per_ms[l],
		      run.most_requests[l]);
	free(p->at);
}

/* After each turn of a gateway; of limits by key the counters say nothing of one key. */
static void
count(struct gate *g)
{
	unsigned i = (unsigned)(g - run.gate);

	for (enum limit l = 0; l < LIMITS; l++) {
		uint64_t allowed = 0, refused = 0;
		struct sl_placed at;
		if (sl_slot_find_rate(&run.table.slots, limit_name[l], &at))
			abort();
		for (unsigned w = 0; w < g->net.workers; w++) {
			const struct sl_stats_rate *s =
				&sl_stats_rates(rig_stats_segment(g->net.rig), w)[at.slot];
			allowed += s->allowed;
			refused += s->refused;
		}
		pass(shared(l) ? &run.counted[l] : &run.at_gate[i][l], g->net.w.now_ns,
		     allowed - g->allowed[l]);
		g->allowed[l] = allowed;
		g->refused[l] = refused;
	}
}

/* ---- tables ---- */

static void
put_limit(struct table_text *t, enum limit l)
{
	table_append(t, "%s{ name = \"%s\"; requests = %u; per = \"%ums\"; headers = true;",
		     l ? "," : "", limit_name[l], run.requests[l], run.per_ms[l]);
	if (keyed(l))
		table_append(t, " by = \"header\"; header = \"x-key\"; keys = 64;");
	if (shared(l))
		table_append(t, " shared = true; floor = %u;", run.floor[l]);
	table_append(t, " }");
	run.most_requests[l] = SL_MAX(run.most_requests[l], run.requests[l]);
}

static void
push(void)
{
	struct table_text t = {0};

	table_append(&t, "gateway = { name = \"t\"; }; network = { addresses = ("
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },"
			 "{ port = \"back\"; address = \"10.0.2.1/24\"; } );"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; } ); };"
			 "limits = (");
	for (enum limit l = 0; l < LIMITS; l++)
		put_limit(&t, l);
	table_append(&t,
		     "); services = ( { name = \"a\"; max_endpoints = 2; limits = ( \"web\" ); "
		     "endpoints = ( { name = \"e0\"; address = \"10.0.2.11\"; port = 80; },"
		     "{ name = \"e1\"; address = \"10.0.2.12\"; port = 80; } ); } );"
		     "listeners = ( { name = \"edge\"; address = \"" NET_VIP
		     "\"; port = 80; protocol = \"tcp\"; mode = \"http\"; routes = \"edge\"; } );"
		     "route_tables = ( { name = \"edge\"; hosts = ( { name = \"t\"; "
		     "match = ( \"*\" ); routes = (");
	for (enum limit l = 0; l < LIMITS; l++)
		table_append(&t,
			     l == WEB ? "%s{ name = \"%s\"; prefix = \"/%s\"; service = \"a\"; }"
				      : "%s{ name = \"%s\"; prefix = \"/%s\"; respond = { code = "
					"200; body "
					"= \"ok\"; }; policy = { limits = ( \"%s\" ); }; }",
			     l ? "," : "", limit_name[l], limit_name[l], limit_name[l]);
	table_append(&t, "); } ); } );");
	run.view[run.views] = table_push(&run.table, t.buf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(run.view[run.views].view);
	for (unsigned i = 0; i < GATES; i++)
		rig_publish(run.gate[i].net.rig, run.view[run.views].view);
	run.views++;
	free(t.buf);
}

static void
pushes(void)
{
	struct tcp_dice *d = &run.dice;

	if (run.t_ns < run.push_ns || run.views == VIEWS)
		return;
	run.push_ns = run.t_ns + dice_range(d, 20 * TCP_MS, 200 * TCP_MS);
	for (enum limit l = 0; l < GROUP; l++)
		if (dice_chance(d, 0.3))
			run.requests[l] = (uint32_t)dice_range(d, 1, run.most_requests[l]);
	push();
}

/* ---- shares ---- */

static void
say(struct gate *g, enum limit l)
{
	struct sl_placed at;

	if (sl_slot_find_rate(&run.table.slots, limit_name[l], &at))
		abort();
	struct sl_state_share *s = &g->seg->share[at.slot];
	s->share = sl_state_share_make(run.floor[l] + g->part[l], at.incarnation);
	s->floor = sl_state_share_make(run.floor[l], at.incarnation);
}

/* No part of somebody whose lease may still hold goes to another one before per is over. */
static void
give(unsigned from, enum limit l, uint32_t tokens, uint64_t since_ns)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(run.part); i++) {
		struct part *p = &run.part[i];
		if (p->tokens)
			continue;
		run.gate[from].part[l] -= tokens;
		*p = (struct part){l, 1 - from, tokens, since_ns + run.per_ms[l] * TCP_MS};
		run.moved++;
		if (!run.gate[from].lapses)
			say(&run.gate[from], l);
		return;
	}
}

static void
arrive(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(run.part); i++) {
		struct part *p = &run.part[i];
		if (!p->tokens || run.t_ns < p->due_ns)
			continue;
		run.gate[p->to].part[p->limit] += p->tokens;
		say(&run.gate[p->to], p->limit);
		p->tokens = 0;
	}
}

/* A gateway that is cut off: its word stays as it is, its share runs out by itself, and goes on to the other one as if it had been given up
 * then.  When it is back, it has what is left. */
static void
lapse(struct gate *g)
{
	uint64_t left = dice_below(&run.dice, 20 * TCP_MS), now = run.t_ns - SL_CLOCK_AHEAD_NS;

	g->lapses = !g->lapses;
	if (g->lapses) {
		g->seg->share_until_ns = now + left;
		g->seg->floor_until_ns = now + left + dice_below(&run.dice, 90 * TCP_MS);
		for (enum limit l = GROUP; l < LIMITS; l++)
			if (g->part[l])
				give((unsigned)(g - run.gate), l, g->part[l], run.t_ns + left);
		return;
	}
	for (enum limit l = GROUP; l < LIMITS; l++)
		say(g, l);
	g->seg->share_until_ns = g->seg->floor_until_ns = UINT64_MAX;
}

static void
moves(void)
{
	struct tcp_dice *d = &run.dice;

	arrive();
	if (run.t_ns < run.move_ns)
		return;
	run.move_ns = run.t_ns + dice_range(d, 5 * TCP_MS, 60 * TCP_MS);
	unsigned from = (unsigned)dice_below(d, GATES);
	struct gate *g = &run.gate[from];
	enum limit l = dice_chance(d, 0.5) ? GROUP : EACH;
	if (dice_chance(d, g->lapses ? 0.5 : 0.1))
		lapse(g);
	else if (!g->lapses && g->part[l])
		give(from, l, (uint32_t)dice_range(d, 1, g->part[l]), run.t_ns);
}

/* ---- clients ---- */

/* Whether a message has come whole. */
static bool
next_message(struct sl_stream *s, struct http_read *in)
{
	const uint8_t *body;
	struct sl_span span;
	unsigned used, n;

	while (!run.wrong[0]) {
		bool more = sl_stream_peek(s, 0, &span, 1);
		enum read_event e = read_feed(in, more ? span.data : NULL, more ? span.len : 0,
					      &used, &body, &n);
		sl_stream_consume(s, used);
		if (e == READ_BAD)
			wrong("what comes is %s", in->bad);
		if (e == READ_END || (e == READ_MORE && !more))
			return e == READ_END;
	}
	return false;
}

static void
ask(struct user *u)
{
	struct tcp_dice *d = &run.dice;

	u->asks = (enum limit)dice_below(d, LIMITS);
	u->key = (unsigned)dice_below(d, KEYS);
	u->sent = 0;
	u->waits = true;
	u->len = (unsigned)snprintf(u->text, sizeof(u->text),
				    "GET /%s HTTP/1.1\r\nhost: t\r\nx-key: %u\r\n\r\n",
				    limit_name[u->asks], u->key);
}

static void
answered(struct user *u)
{
	uint64_t now = u->gate->net.w.now_ns;
	char value[16];

	if (u->in.status != 200 && u->in.status != 429)
		wrong("/%s is answered %u", limit_name[u->asks], u->in.status);
	if (u->in.status == 200) {
		u->gate->heard[u->asks]++;
		pass(&run.heard[u->gate - run.gate][u->asks][keyed(u->asks) ? u->key : 0], now, 1);
	} else if (!read_header(&u->in, "retry-after", value, sizeof(value))) {
		wrong("429 without retry-after");
	} else if (read_header(&u->in, "x-ratelimit-limit", value, sizeof(value)) &&
		   strcmp(value, "0") == 0) {
		run.shareless++;
		if (!shared(u->asks))
			wrong("/%s has no share", limit_name[u->asks]);
	}
	read_begin(&u->in, true);
	u->waits = false;
	/* in bursts */
	u->next_ns = now + (dice_chance(&run.dice, 0.03) ? dice_below(&run.dice, 150 * TCP_MS)
							 : dice_below(&run.dice, 3 * TCP_MS));
}

static void
on_opened(struct sl_stream *s)
{
	((struct user *)sl_stream_user(s))->opened = true;
}

static void
on_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct user *u = sl_stream_user(s);

	u->s = NULL;
	u->over = true;
	wrong("user %u: closed: %s", u->id, sl_stream_end_text(why));
}

static const struct sl_stream_ops user_ops = {.opened = on_opened, .closed = on_closed};

static void
user_poke(struct user *u)
{
	uint64_t now = u->gate->net.w.now_ns;

	if (u->over || !u->opened)
		return;
	if (u->waits && next_message(u->s, &u->in))
		answered(u);
	if (!u->waits && now >= run.end_ns) {
		struct sl_stream *s = u->s;
		u->s = NULL;
		u->over = true;
		sl_stream_close(s);
		return;
	}
	if (!u->waits && now >= u->next_ns)
		ask(u);
	if (u->waits && u->sent < u->len)
		u->sent += sl_stream_write(u->s, u->text + u->sent, u->len - u->sent);
}

/* ---- endpoints ---- */

static void
up_poke(struct up *p)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

	while (p->s && next_message(p->s, &p->in)) {
		p->gate->seen++;
		sl_stream_write(p->s, ok, sizeof(ok) - 1);
		read_begin(&p->in, false);
	}
	if (p->s && sl_stream_eof(p->s)) {
		struct sl_stream *s = p->s;
		p->s = NULL;
		sl_stream_close(s);
	}
}

static void
up_closed(struct sl_stream *s, enum sl_stream_end why)
{
	(void)why;
	((struct up *)sl_stream_user(s))->s = NULL;
}

static const struct sl_stream_ops up_ops = {.closed = up_closed};

static void
accepted(void *ctx, struct sl_stream *s, unsigned endpoint)
{
	struct gate *g = ctx;
	struct up *p = calloc(1, sizeof(*p));

	(void)endpoint;
	*p = (struct up){.s = s, .next = g->ups, .gate = g};
	g->ups = p;
	read_begin(&p->in, false);
	sl_stream_attach(s, &up_ops, p);
}

/* ---- a run ---- */

static void
numbers(void)
{
	struct tcp_dice *d = &run.dice;

	for (enum limit l = 0; l < LIMITS; l++) {
		run.per_ms[l] = (uint32_t)dice_range(d, 20, 200);
		run.requests[l] = (uint32_t)(dice_chance(d, 0.2) ? dice_range(d, 1, 4)
								 : dice_range(d, 5, 60));
		if (l == GROUP && run.seed % 4 == 3) /* more than a grain each */
			run.requests[l] = (uint32_t)dice_range(d, 250, 700);
		run.floor[l] = shared(l) ? (uint32_t)dice_below(d, run.requests[l] / 4 + 1) : 0;
	}
}

static void
gate_begin(struct gate *g, const struct link_conf *link)
{
	unsigned i = (unsigned)(g - run.gate);
	const struct rig_conf rig = {.workers = 1 + (unsigned)((run.seed / 4 + i) % 3),
				     .flows = 1024,
				     .seed = run.seed * 2 + i,
				     .rss = run.seed / 12 % 2,
				     .streams = 128,
				     .pinned = 512,
				     .exchanges = 64,
				     .rates = true};

	net_init(&g->net, run.seed * 2 + i, &rig, link);
	g->net.accepted = accepted;
	g->net.ctx = g;
	g->seg = rig_shares(g->net.rig);
	g->seg->share_until_ns = g->seg->floor_until_ns = UINT64_MAX;
	for (unsigned k = 0; k < USERS; k++) {
		struct user *u = &g->user[k];
		*u = (struct user){.gate = g, .id = k};
		read_begin(&u->in, true);
	}
}

static void
begin(uint64_t seed)
{
	struct link_conf link = {.delay_ns = 200000, .mtu = 1500};

	memset(&run, 0, sizeof(run));
	run.seed = seed;
	run.dice.s = seed * 77 + 5;
	if (seed % 3)
		link.jitter_ns = 100000;
	if (seed % 3 == 1)
		link.loss = 0.01, link.dup = 0.01, link.reorder = 0.02, link.reorder_ns = TCP_MS;
	numbers();
	table_init(&run.table);
	for (unsigned i = 0; i < GATES; i++)
		gate_begin(&run.gate[i], &link);
	run.t_ns = run.gate[0].net.w.now_ns;
	run.end_ns = run.t_ns + RUN_NS;
	push();
	for (enum limit l = GROUP; l < LIMITS; l++) {
		uint32_t parts = run.requests[l] - GATES * run.floor[l];
		for (unsigned i = 0; i < GATES; i++)
			run.gate[i].part[l] = i ? parts / GATES : parts - parts / GATES;
		for (unsigned i = 0; i < GATES; i++)
			say(&run.gate[i], l);
	}
}

static void
gate_step(struct gate *g)
{
	while (g->net.w.now_ns < run.t_ns) {
		net_begin(&g->net, run.t_ns);
		for (unsigned k = 0; k < USERS; k++) {
			struct user *u = &g->user[k];
			if (!u->s && !u->over)
				u->s = net_connect(&g->net, k, &user_ops, u);
			user_poke(u);
		}
		for (struct up *p = g->ups; p; p = p->next)
			up_poke(p);
		net_end(&g->net);
		count(g);
	}
}

/* Both gateways up to the same time, so that what changes between them is as late for one as for the other. */
static void
step(void)
{
	for (unsigned i = 0; i < GATES; i++)
		run.t_ns = SL_MAX(run.t_ns, run.gate[i].net.w.now_ns);
	pushes();
	moves();
	run.t_ns += STEP_NS;
	for (unsigned i = 0; i < GATES; i++)
		gate_step(&run.gate[i]);
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < GATES * USERS; i++)
		if (!run.gate[i / USERS].user[i % USERS].over)
			return false;
	return true;
}

static void
judge(void)
{
	for (enum limit l = 0; l < LIMITS; l++) {
		if (shared(l) && !keyed(l))
			holds(&run.counted[l], l, 0, "by the counters");
		else
			free(run.counted[l].at);
		for (unsigned i = 0; i < GATES; i++) {
			struct gate *g = &run.gate[i];
			if (g->heard[l] != g->allowed[l])
				wrong("%lu passed by limit %s, and clients heard of %lu",
				      (unsigned long)g->allowed[l], limit_name[l],
				      (unsigned long)g->heard[l]);
			if (!shared(l) && !keyed(l))
				holds(&run.at_gate[i][l], l, 0, "by the counters");
			else
				free(run.at_gate[i][l].at);
		}
		for (unsigned k = 0; k < KEYS; k++) {
			struct passed *one = run.heard[0][l], *other = run.heard[1][l];
			for (size_t n = 0; shared(l) && n < other[k].cnt; n++)
				pass(&one[k], other[k].at[n], 1);
			bool exact = run.seed % 3 == 0 && l != WEB;
			uint64_t slack = !exact ? run.per_ms[l] * TCP_MS : LAG_NS;
			holds(&one[k], l, slack, "as clients heard");
			if (shared(l))
				free(other[k].at);
			else
				holds(&other[k], l, slack, "as clients heard");
		}
	}
	for (unsigned i = 0; i < GATES; i++)
		if (run.gate[i].seen != run.gate[i].allowed[WEB])
			wrong("endpoints saw %lu requests of %lu", (unsigned long)run.gate[i].seen,
			      (unsigned long)run.gate[i].allowed[WEB]);
}

static void
finish(void)
{
	uint64_t end = run.t_ns + TCP_S;

	while (run.t_ns < end) /* what is on its way */
		step();
	judge();
	for (unsigned i = 0; i < GATES; i++) {
		struct gate *g = &run.gate[i];
		rig_settle(g->net.rig, g->net.w.now_ns);
		rig_stop(g->net.rig, g->net.w.now_ns);
		for (struct up *p = g->ups, *next; p; p = next) {
			next = p->next;
			free(p);
		}
		const char *bad = net_fini(&g->net, true);
		if (bad)
			wrong("%s", bad);
	}
	for (unsigned i = 0; i < run.views; i++)
		table_release(&run.view[i]);
	table_fini(&run.table);
}

static bool
judged(uint64_t seed)
{
	begin(seed);
	while (!all_over() && !run.wrong[0]) {
		step();
		if (run.t_ns > run.end_ns + 20 * TCP_S)
			wrong("somebody waits for ever");
	}
	finish();
	if (run.wrong[0])
		printf("    seed %llu: %s\n", (unsigned long long)seed, run.wrong);
	return !run.wrong[0];
}

static void
no_window_has_more_than_its_number(void)
{
	const char *only = getenv("SIM_SEED"), *many = getenv("SIM_SEEDS");
	uint64_t from = only ? strtoull(only, NULL, 0) : 1;
	uint64_t to = only ? from : many ? strtoull(many, NULL, 0) : 200;
	uint64_t passed[LIMITS] = {0}, refused[LIMITS] = {0}, shareless = 0, moved = 0;

	for (uint64_t seed = from; seed <= to; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		for (unsigned i = 0; i < GATES * LIMITS; i++) {
			passed[i % LIMITS] += run.gate[i / LIMITS].allowed[i % LIMITS];
			refused[i % LIMITS] += run.gate[i / LIMITS].refused[i % LIMITS];
		}
		shareless += run.shareless;
		moved += run.moved;
	}
	for (enum limit l = 0; l < LIMITS; l++) {
		printf("    %s: %llu passed, %llu refused\n", limit_name[l],
		       (unsigned long long)passed[l], (unsigned long long)refused[l]);
		if (to - from >= 40)
			CU_ASSERT_TRUE(passed[l] > refused[l] / 10 && refused[l] > passed[l] / 10);
	}
	printf("    %llu parts moved, %llu requests met no share ", (unsigned long long)moved,
	       (unsigned long long)shareless);
	if (to - from >= 40)
		CU_ASSERT_TRUE(moved > 10 * (to - from) && shareless > 0);
}

static void
same_seed_same_run(void)
{
	for (uint64_t seed = 4; seed <= 6; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		uint64_t a = run.gate[0].allowed[GROUP], b = run.gate[1].refused[OWN], t = run.t_ns;
		CU_ASSERT_TRUE(judged(seed));
		CU_ASSERT_TRUE(a == run.gate[0].allowed[GROUP] && b == run.gate[1].refused[OWN] &&
			       t == run.t_ns);
	}
}

SL_SUITE("rates", SL_TEST(same_seed_same_run), SL_TEST(no_window_has_more_than_its_number))

/* A gateway of 1 to 3 workers whose requests bring tokens: good ones, expired and early ones by the run's own time of the day, forged ones
 * and none, while pushes change which keys the issuer has, over many seeds.  SIM_SEED=N runs that seed alone; SIM_SEEDS=N sets how many
 * (default 200).
 *
 *   seed % 4   0: all ask at once, with tokens nobody has seen: signatures wait for their share of time   1: clients leave, too
 *   seed % 3   1: links lose, double and reorder
 *
 * What an answer may be follows from what held between the first byte of the request and the last of the answer: a token that was good
 * all the time passes, one that never was does not, and what changed meanwhile may be either.
 */
#include "tests/sim/http_net.h"
#include "tests/sim/http_read.h"

#include "dataplane/worker_priv.h"
#include "tests/l7/jwt_scene.h"
#include "tests/sim/table.h"
#include "tests/suite.h"

#include <stdarg.h>

#define CLIENTS 96
#define FEW 24  /* unless all ask at once */
#define EACH 10 /* requests of a client, at most */
#define KEYS 4
#define VIEWS 24
#define STEP_NS (3 * TCP_MS)
#define SLACK_NS (5 * TCP_MS) /* a push is there a turn later */
#define WALL_OLD_NS (120 * TCP_MS)
#define LONGEST_NS (60 * TCP_S)

enum route { ROUTE_MUST, ROUTE_OPEN, ROUTE_FREE, ROUTES };
static const char *const route_name[ROUTES] = {"must", "open", "free"};

struct request {
	enum route route;
	bool has, forged;
	unsigned key, who; /* who: its sub */
	int64_t exp, nbf;
	char text[640]; /* of the head */
	unsigned len;
	uint64_t begun_ns, over_ns;
	unsigned status, seen;
	char why[64];
};

struct user {
	struct sl_stream *s;
	unsigned id, cnt, at, sent;
	uint64_t next_ns, leave_ns;
	bool began, opened, over;
	struct http_read in;
	struct request request[EACH];
};

/* A connection to an endpoint. */
struct up {
	struct up *next;
	struct sl_stream *s;
	struct http_read in;
	bool answers;
};

static struct {
	uint64_t seed;
	struct http_net net;
	struct tcp_dice dice;
	struct user user[CLIENTS];
	unsigned users, steps;
	struct up *ups;
	struct table table;
	struct table_view view[VIEWS];
	struct { /* which keys there were since then */
		uint64_t at_ns;
		unsigned mask;
	} keys[VIEWS];
	unsigned views;
	uint64_t push_ns;
	unsigned passed, refused, either, left;
	char wrong[240];
} run;

static EVP_PKEY *pkey[KEYS];
static struct sl_conf_jwt_key conf_key[KEYS], in_force[KEYS];
static uint64_t waited, busy, checked, kept;

__attribute__((format(printf, 1, 2))) static void
wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!run.wrong[0])
		vsnprintf(run.wrong, sizeof(run.wrong), fmt, ap);
	va_end(ap);
}

/* ---- time of the day, keys, tables ---- */

static int64_t
wall(uint64_t now_ns)
{
	return JWT_NOW + (int64_t)(now_ns / TCP_S);
}

static void
make_keys(void)
{
	for (unsigned i = 0; i < KEYS; i++) {
		uint8_t secret[32] = {(uint8_t)(i + 1)}, *to = conf_key[i].spki;
		pkey[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, 32);
		conf_key[i].alg = SL_JWT_EDDSA;
		conf_key[i].spki_len = (uint16_t)i2d_PUBKEY(pkey[i], &to);
		snprintf(conf_key[i].kid, sizeof(conf_key[i].kid), "k%u", i);
	}
}

static void
fill(struct sl_conf *conf)
{
	unsigned mask = run.keys[run.views].mask, n = 0;

	for (unsigned i = 0; i < KEYS; i++)
		if (mask >> i & 1)
			in_force[n++] = conf_key[i];
	conf->jwts[0].keys = in_force;
	conf->jwts[0].key_cnt = n;
}

static void
push(unsigned mask)
{
	struct table_text t = {0};

	run.keys[run.views].at_ns = run.net.w.now_ns;
	run.keys[run.views].mask = mask;
	table_append(
		&t,
		"gateway = { name = \"t\"; }; network = { addresses = ("
		"{ port = \"front\"; address = \"10.0.1.1/24\"; },"
		"{ port = \"back\"; address = \"10.0.2.1/24\"; } );"
		"routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; } ); };"
		"services = ( { name = \"a\"; max_endpoints = 2; endpoints = ("
		"{ name = \"e0\"; address = \"10.0.2.11\"; port = 80; },"
		"{ name = \"e1\"; address = \"10.0.2.12\"; port = 80; } ); } );"
		"listeners = ( { name = \"edge\"; address = \"" NET_VIP
		"\"; port = 80; protocol = \"tcp\"; mode = \"http\"; routes = \"edge\"; } );"
		"jwt = ( { name = \"main\"; issuer = \"i\"; jwks = \"file:/keys\"; leeway = \"0s\";"
		"claim_headers = ( { claim = \"sub\"; header = \"x-user\"; } ); } );"
		"route_tables = ( { name = \"edge\"; hosts = ( { name = \"t\"; match = ( \"*\" ); "
		"routes = (");
	for (unsigned r = 0; r < ROUTES; r++)
		table_append(&t, "%s{ name = \"%s\"; prefix = \"/%s\"; service = \"a\"; %s }",
			     r ? "," : "", route_name[r], route_name[r],
			     r == ROUTE_FREE ? ""
			     : r == ROUTE_MUST
				     ? "policy = { jwt = ( \"main\" ); jwt_required = true; };"
				     : "policy = { jwt = ( \"main\" ); };");
	table_append(&t, "); } ); } );");
	run.view[run.views] = table_push(&run.table, t.buf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(run.view[run.views].view);
	rig_publish(run.net.rig, run.view[run.views++].view);
	free(t.buf);
}

static void
pushes(void)
{
	uint64_t now = run.net.w.now_ns;

	if (now < run.push_ns || run.views == VIEWS)
		return;
	run.push_ns = now + dice_range(&run.dice, 20 * TCP_MS, 800 * TCP_MS);
	push((unsigned)dice_below(&run.dice, 1u << KEYS)); /* 0: the issuer has none */
}

/* ---- what is asked ---- */

static void
write_token(const struct request *r, char *to, size_t room)
{
	char header[64], claims[192];

	snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"k%u\"}", r->key);
	snprintf(claims, sizeof(claims), "{\"iss\":\"i\",\"sub\":\"%u\",\"exp\":%lld,\"nbf\":%lld}",
		 r->who, (long long)r->exp, (long long)r->nbf);
	snprintf(to, room, "authorization: Bearer %s\r\n",
		 jwt_sign(header, claims, SL_JWT_EDDSA, pkey[(r->key + r->forged) % KEYS]));
}

/* Times are as of when it is asked; a token may be one that came before. */
static void
write_request(struct user *u)
{
	struct request *r = &u->request[u->at];
	struct tcp_dice *d = &run.dice;
	int64_t now = wall(run.net.w.now_ns);
	char token[512] = "";

	r->has = run.seed % 4 == 0 || dice_chance(d, 0.85);
	if (u->at && r->has && run.seed % 4 && dice_chance(d, 0.3)) {
		*r = u->request[dice_below(d, u->at)];
		r->over_ns = r->status = r->seen = 0;
		r->why[0] = 0;
	} else {
		r->who = u->id * EACH + u->at;
		r->key = (unsigned)dice_below(d, KEYS);
		r->forged = dice_chance(d, 0.1);
		r->exp = now + (int64_t)dice_range(d, 0, 8) - (run.seed % 4 ? 2 : -1);
		r->nbf = run.seed % 4 && dice_chance(d, 0.3)
				 ? now + (int64_t)dice_range(d, 0, 4) - 2
				 : now;
	}
	r->route = (enum route)dice_below(d, ROUTES);
	if (r->has)
		write_token(r, token, sizeof(token));
	r->len = (unsigned)snprintf(r->text, sizeof(r->text),
				    "GET /%s/%u HTTP/1.1\r\nhost: t\r\nX-User: root\r\n%s\r\n",
				    route_name[r->route], u->id * EACH + u->at, token);
}

/* ---- what an answer may be ---- */

enum may { MAY_NOT, MAY, MAY_EITHER };

static enum may
both(enum may a, enum may b)
{
	return a == MAY_NOT || b == MAY_NOT ? MAY_NOT : a == MAY && b == MAY ? MAY : MAY_EITHER;
}

static enum may
of_time(const struct request *r)
{
	int64_t from = wall(r->begun_ns - WALL_OLD_NS), to = wall(r->over_ns);

	if (r->exp <= from || r->nbf > to)
		return MAY_NOT;
	return r->exp > to && r->nbf <= from ? MAY : MAY_EITHER;
}

static enum may
of_keys(const struct request *r)
{
	unsigned always = ~0u, ever = 0;

	for (unsigned i = 0; i < run.views; i++) {
		bool over = i + 1 < run.views && run.keys[i + 1].at_ns + SLACK_NS < r->begun_ns;
		if (over || run.keys[i].at_ns > r->over_ns)
			continue;
		always &= run.keys[i].mask;
		ever |= run.keys[i].mask;
	}
	if (r->forged || !(ever >> r->key & 1))
		return MAY_NOT;
	return always >> r->key & 1 ? MAY : MAY_EITHER;
}

static enum may
may_pass(const struct request *r)
{
	if (r->route == ROUTE_FREE)
		return MAY;
	if (!r->has)
		return r->route == ROUTE_OPEN ? MAY : MAY_NOT;
	return both(of_time(r), of_keys(r));
}

static void
judge(const struct user *u, const struct request *r)
{
	enum may may = may_pass(r);
	unsigned id = u->id * EACH + u->at;

	run.passed += r->status == 200;
	run.refused += r->status == 401;
	run.either += may == MAY_EITHER;
	if (r->status != 200 && r->status != 401)
		wrong("request %u is answered %u", id, r->status);
	else if (may != MAY_EITHER && (r->status == 200) != (may == MAY))
		wrong("request %u (%s, %s, key %u%s) is answered %u", id, route_name[r->route],
		      r->has ? "token" : "none", r->key, r->forged ? ", forged" : "", r->status);
	else if (r->seen != (r->status == 200))
		wrong("request %u is answered %u, and endpoints saw it %u times", id, r->status,
		      r->seen);
}

/* ---- the access log ---- */

static const char *
why_of(const struct request *r)
{
	if (r->route == ROUTE_FREE || r->status == 200)
		return "";
	if (!r->has)
		return "jwt/no-token";
	if (of_time(r) == MAY_NOT)
		return r->exp <= wall(r->begun_ns - WALL_OLD_NS) ? "main/expired" : "main/e";
	return of_time(r) == MAY_EITHER ? "main/" : r->forged ? "" : "main/";
}

static void
note(const struct sl_event_access *e)
{
	const char *strings = (const char *)(e + 1), *path = strings + e->method_len + e->host_len;
	uint32_t before = e->method_len + e->host_len + e->path_len + e->agent_len + e->id_len +
			  e->referer_len + e->sni_len + e->identity_len;
	char word[8], text[32] = {0};
	unsigned id;

	memcpy(text, path, SL_MIN(e->path_len, sizeof(text) - 1));
	if (sscanf(text, "/%7[a-z]/%u", word, &id) != 2 || id >= CLIENTS * EACH)
		return;
	struct request *r = &run.user[id / EACH].request[id % EACH];
	memcpy(r->why, strings + before, SL_MIN(e->why_len, sizeof(r->why) - 1));
}

static void
read_log(void)
{
	static _Alignas(8) uint8_t buf[16384];
	struct sl_events_head *h = rig_events(run.net.rig);

	for (unsigned w = 0; w < run.net.workers; w++)
		while (sl_events_take(sl_events_worker(h, w), h->size, buf, sizeof(buf)) > 0)
			note((const struct sl_event_access *)(void *)buf);
}

static void
judge_log(void)
{
	read_log();
	for (unsigned i = 0; i < run.users; i++)
		for (unsigned k = 0; k < run.user[i].at; k++) {
			const struct request *r = &run.user[i].request[k];
			const char *why = why_of(r);
			if (strncmp(r->why, why, strlen(why)) != 0 ||
			    (r->status == 200 && r->why[0]))
				wrong("request %u is answered %u, and the log says \"%s\", not "
				      "\"%s\"",
				      i * EACH + k, r->status, r->why, why);
		}
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
answered(struct user *u)
{
	struct request *r = &u->request[u->at];

	r->over_ns = run.net.w.now_ns;
	r->status = u->in.status;
	judge(u, r);
	read_begin(&u->in, true);
	u->at++;
	u->sent = 0;
	u->next_ns = run.net.w.now_ns + dice_below(&run.dice, run.seed % 4 ? 700 * TCP_MS : TCP_MS);
}

static void
user_reads(struct user *u)
{
	while (u->s && u->at < u->cnt && next_message(u->s, &u->in))
		answered(u);
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
user_leaves(struct user *u)
{
	struct sl_stream *s = u->s;

	u->s = NULL;
	u->over = true;
	run.left += u->at < u->cnt;
	if (u->at < u->cnt)
		sl_stream_abort(s, SL_END_ABORTED);
	else
		sl_stream_close(s);
}

static void
user_poke(struct user *u)
{
	uint64_t now = run.net.w.now_ns;

	if (u->over || now < u->next_ns)
		return;
	if (!u->began) {
		u->began = true;
		u->s = net_connect(&run.net, u->id, &user_ops, u);
	}
	if (!u->opened || !u->s)
		return;
	user_reads(u);
	if (u->at == u->cnt || now >= u->leave_ns) {
		user_leaves(u);
		return;
	}
	struct request *r = &u->request[u->at];
	if (now < u->next_ns || (r->len && u->sent == r->len))
		return;
	if (!r->len) {
		write_request(u);
		r->begun_ns = now;
	}
	u->sent += sl_stream_write(u->s, r->text + u->sent, r->len - u->sent);
}

/* ---- endpoints ---- */

/* Who the endpoint is told that it is: the token's, nobody without one, and never whom the client calls himself. */
static void
judge_seen(struct up *p)
{
	char word[8], user[32], is[32];
	unsigned id;

	if (sscanf(p->in.target, "/%7[a-z]/%u", word, &id) != 2 || id >= CLIENTS * EACH) {
		wrong("an endpoint sees %s", p->in.target);
		return;
	}
	struct request *r = &run.user[id / EACH].request[id % EACH];
	const char *x = read_header(&p->in, "x-user", user, sizeof(user));
	r->seen++;
	snprintf(is, sizeof(is), "%u", r->who);
	if (r->route == ROUTE_FREE ? !x || strcmp(x, "root") != 0
	    : r->has               ? !x || strcmp(x, is) != 0
				   : x != NULL)
		wrong("request %u (%s): the endpoint sees x-user: %s", id, route_name[r->route],
		      x ? x : "none");
}

static void
up_poke(struct up *p)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

	while (p->s && next_message(p->s, &p->in)) {
		judge_seen(p);
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
	struct up *p = calloc(1, sizeof(*p));

	(void)ctx, (void)endpoint;
	*p = (struct up){.s = s, .next = run.ups};
	run.ups = p;
	read_begin(&p->in, false);
	sl_stream_attach(s, &up_ops, p);
}

/* ---- a run ---- */

static void
begin(uint64_t seed)
{
	struct rig_conf rig = {.workers = 1 + (unsigned)(seed / 4 % 3),
			       .flows = 1024,
			       .seed = seed,
			       .rss = seed / 12 % 2,
			       .streams = 256,
			       .pinned = 512,
			       .exchanges = 128,
			       .events = 65536,
			       .wall = wall};
	struct link_conf link = {.delay_ns = 200000, .jitter_ns = 100000, .mtu = 1500};

	memset(&run, 0, sizeof(run));
	run.seed = seed;
	run.dice.s = seed * 77 + 1;
	if (seed % 3 == 1)
		link.loss = 0.01, link.dup = 0.01, link.reorder = 0.02, link.reorder_ns = TCP_MS;
	net_init(&run.net, seed, &rig, &link);
	run.net.accepted = accepted;
	table_init(&run.table);
	run.table.fill = fill;
	push((1u << KEYS) - 1);
	run.push_ns = run.net.w.now_ns + dice_below(&run.dice, seed % 4 ? TCP_S : 30 * TCP_MS);
	run.users = (unsigned)dice_range(&run.dice, 4, FEW);
	run.users = seed % 4 ? run.users : CLIENTS;
	for (unsigned i = 0; i < run.users; i++) {
		struct user *u = &run.user[i];
		u->id = i;
		u->cnt = (unsigned)dice_range(&run.dice, 3, EACH);
		u->next_ns = run.net.w.now_ns + (seed % 4 ? dice_below(&run.dice, TCP_S) : 0);
		u->leave_ns = seed % 4 == 0 && dice_chance(&run.dice, 0.2)
				      ? run.net.w.now_ns + dice_below(&run.dice, 100 * TCP_MS)
			      : seed % 4 == 1 && dice_chance(&run.dice, 0.4)
				      ? run.net.w.now_ns + dice_below(&run.dice, 2 * TCP_S)
				      : UINT64_MAX;
		read_begin(&u->in, true);
	}
}

static void
step(void)
{
	net_begin(&run.net, run.net.w.now_ns + STEP_NS);
	for (unsigned i = 0; i < run.users; i++)
		user_poke(&run.user[i]);
	for (struct up *p = run.ups; p; p = p->next)
		up_poke(p);
	pushes();
	net_end(&run.net);
	if (run.steps++ % 64 == 0)
		read_log();
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < run.users; i++)
		if (!run.user[i].over)
			return false;
	return true;
}

static void
finish(void)
{
	uint64_t end = run.net.w.now_ns + 2 * TCP_S;

	judge_log();
	while (run.net.w.now_ns < end) /* what is on its way */
		step();
	rig_settle(run.net.rig, run.net.w.now_ns);
	rig_stop(run.net.rig, run.net.w.now_ns);
	for (unsigned w = 0; w < run.net.workers; w++) {
		const struct sl_stats_http *s = &rig_stats(run.net.rig, w)->http;
		waited += s->count[SL_HTTP_CNT_TOKEN_WAITED];
		busy += s->count[SL_HTTP_CNT_TOKEN_BUSY];
		checked += s->count[SL_HTTP_CNT_TOKEN_CHECKED];
		kept += s->count[SL_HTTP_CNT_TOKEN_KEPT];
		if (s->conns || s->exchanges || s->head_bytes)
			wrong("worker %u stopped with %u connections, %u requests", w,
			      (unsigned)s->conns, (unsigned)s->exchanges);
	}
	for (struct up *p = run.ups, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	const char *bad = net_fini(&run.net, true);
	if (bad)
		wrong("%s", bad);
	for (unsigned i = 0; i < run.views; i++)
		table_release(&run.view[i]);
	table_fini(&run.table);
}

static bool
judged(uint64_t seed)
{
	begin(seed);
	uint64_t end = run.net.w.now_ns + LONGEST_NS;
	while (!all_over() && !run.wrong[0]) {
		step();
		if (run.net.w.now_ns > end)
			wrong("somebody waits for ever");
	}
	finish();
	if (run.wrong[0])
		printf("    seed %llu: %s\n", (unsigned long long)seed, run.wrong);
	return !run.wrong[0];
}

static void
tokens_pass_while_they_are_good(void)
{
	const char *only = getenv("SIM_SEED"), *many = getenv("SIM_SEEDS");
	uint64_t from = only ? strtoull(only, NULL, 0) : 1;
	uint64_t to = only ? from : many ? strtoull(many, NULL, 0) : 200;
	unsigned passed = 0, refused = 0, either = 0, left = 0;

	waited = busy = checked = kept = 0;
	for (uint64_t seed = from; seed <= to; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		passed += run.passed;
		refused += run.refused;
		either += run.either;
		left += run.left;
	}
	printf("    %u passed, %u refused (%u of all might be either), %u clients left; "
	       "%llu signatures checked, %llu known, %llu waited, %llu given up ",
	       passed, refused, either, left, (unsigned long long)checked, (unsigned long long)kept,
	       (unsigned long long)waited, (unsigned long long)busy);
	CU_ASSERT_EQUAL(busy, 0);
	if (to - from >= 100) {
		CU_ASSERT_TRUE(passed > refused / 2 && refused > passed / 4);
		CU_ASSERT_TRUE(either < (passed + refused) / 4 && left && waited && kept);
	}
}

static void
same_seed_same_run(void)
{
	make_keys();
	for (uint64_t seed = 4; seed <= 7; seed++) {
		CU_ASSERT_TRUE(judged(seed));
		unsigned passed = run.passed, refused = run.refused, steps = run.steps;
		CU_ASSERT_TRUE(judged(seed));
		CU_ASSERT_TRUE(passed == run.passed && refused == run.refused &&
			       steps == run.steps);
	}
}

SL_SUITE("tokens", SL_TEST(same_seed_same_run), SL_TEST(tokens_pass_while_they_are_good))

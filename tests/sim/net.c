#include "tests/sim/net.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/parse.h"
#include "tests/sim/frames.h"
#include "tests/sim/rig.h"
#include "tests/sim/table.h"

#define FRONT 0
#define BACK 1
#define SERVICES 11
#define ENDPOINTS 16
#define MS 1000000ull
#define AGAIN_NS (200 * MS)
#define TRIES 40

enum kind { TO_GATEWAY, TO_CLIENT, TO_ENDPOINT, CLIENT_TIMER, PUSH, CHANGE, KILL, RESTART };

struct event {
	uint64_t at, seq;
	enum kind kind;
	unsigned port; /* TO_GATEWAY */
	unsigned who;  /* flow (CLIENT_TIMER) */
	unsigned len;
	uint8_t *frame;
};

enum flow_phase { OPENING, ASKING, CLOSING, DONE, GIVEN_UP };

struct flow {
	struct sl_tuple t;
	unsigned service;
	enum flow_phase phase;
	unsigned asked, answered, tries;
	uint64_t sent_at;
	int endpoint; /* −1: none yet */
	bool excused;
	bool big; /* its packets go in fragments */
	/* fullnat: as its endpoint last knew it */
	struct sl_addr source;
	sl_be16 source_port;
	int source_at; /* that endpoint; −1: none yet */
};

struct endpoint {
	struct sl_addr addr;
	bool in_table, disabled, dead;
	unsigned weight;
};

struct net {
	struct net_conf conf;
	struct rig *rig;
	struct table table;
	struct table_view view;
	struct table_view old[64];
	unsigned old_cnt;
	struct event *heap;
	size_t cnt, room;
	uint64_t now, seq, rnd, trace;
	struct flow *flows;
	struct endpoint endpoints[SERVICES][ENDPOINTS];
	unsigned packets, done, restarts;
	uint32_t id; /* of fragments */
	const char *policy[SERVICES];
	struct frame_pot clients_pot, endpoints_pot;
	const char *wrong;
	char detail[256];
};

/* name, forward, VIP, family of the endpoints, further keys */
static const struct service {
	const char *name, *forward, *vip;
	bool v6;
	const char *more;
} services[SERVICES] = {
	{"nat4", "nat", "192.0.2.1", false, ""},
	{"nat6", "nat", "2001:db8::1", true, ""},
	{"dsr4", "dsr", "192.0.2.2", false, ""},
	{"dsr6", "dsr", "2001:db8::2", true, ""},
	{"full4", "fullnat", "192.0.2.3", false, "sources = ( \"10.0.2.1\", \"10.0.3.250\" );"},
	{"full6", "fullnat", "2001:db8::3", true, "sources = ( \"fd00:2::fff0\" );"},
	{"ipip4", "ipip", "192.0.2.4", false, "tunnel_source = \"172.16.0.0/16\";"},
	{"ipip46", "ipip", "192.0.2.5", true, ""},
	{"ipip6", "ipip", "2001:db8::5", true, "tunnel_source = \"fd00:77::/64\";"},
	{"gue4", "gue", "192.0.2.6", false, ""},
	{"gue6", "gue", "2001:db8::6", true, ""},
};

static bool
forwards(unsigned service, const char *how)
{
	return strcmp(services[service].forward, how) == 0;
}

static bool
tunnelled(unsigned service)
{
	return forwards(service, "ipip") || forwards(service, "gue");
}

/* Whether the endpoint has the VIP and answers the client itself. */
static bool
direct(unsigned service)
{
	return forwards(service, "dsr") || tunnelled(service);
}

static uint64_t
rnd(struct net *n)
{
	n->rnd ^= n->rnd << 13;
	n->rnd ^= n->rnd >> 7;
	n->rnd ^= n->rnd << 17;
	return n->rnd * 0x2545f4914f6cdd1dull;
}

static uint64_t
below(struct net *n, uint64_t limit)
{
	return (rnd(n) >> 11) % limit;
}

static bool
chance(struct net *n, double p)
{
	return (double)(rnd(n) >> 11) < p * 9007199254740992.0;
}

static void
trace(struct net *n, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		n->trace = (n->trace ^ p[i]) * 1099511628211ull;
}

static void
complain(struct net *n, const char *what, unsigned flow)
{
	if (n->wrong)
		return;
	n->wrong = what;
	int k = snprintf(n->detail, sizeof(n->detail), "at %.3f ms, flow %u", (double)n->now / 1e6,
			 flow);
	if (flow >= n->conf.flows)
		return;
	const struct flow *f = &n->flows[flow];
	snprintf(n->detail + k, sizeof(n->detail) - (size_t)k,
		 ": %s by %s, %s%s, phase %d, %u answers, endpoint %d, %u restarts",
		 services[f->service].name, n->policy[f->service],
		 f->t.proto == SL_IPPROTO_TCP ? "tcp" : "udp", f->big ? " in fragments" : "",
		 (int)f->phase, f->answered, f->endpoint, n->restarts);
}

/* ---- events ---- */

static bool
earlier(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

static void
later(struct net *n, uint64_t after, struct event e)
{
	if (n->cnt == n->room) {
		n->room = n->room ? 2 * n->room : 1024;
		n->heap = realloc(n->heap, n->room * sizeof(*n->heap));
		if (!n->heap)
			abort();
	}
	e.at = n->now + after;
	e.seq = n->seq++;
	size_t i = n->cnt++;
	for (; i && earlier(&e, &n->heap[(i - 1) / 2]); i = (i - 1) / 2)
		n->heap[i] = n->heap[(i - 1) / 2];
	n->heap[i] = e;
}

static struct event
next(struct net *n)
{
	struct event first = n->heap[0], last = n->heap[--n->cnt];
	size_t i = 0;

	for (size_t c; (c = 2 * i + 1) < n->cnt; i = c) {
		if (c + 1 < n->cnt && earlier(&n->heap[c + 1], &n->heap[c]))
			c++;
		if (!earlier(&n->heap[c], &last))
			break;
		n->heap[i] = n->heap[c];
	}
	n->heap[i] = last;
	return first;
}

/* A frame onto a link: lost, doubled, delayed. */
static void
carry(struct net *n, enum kind to, unsigned port, const uint8_t *frame, unsigned len)
{
	unsigned copies = chance(n, n->conf.dup) ? 2 : 1;

	for (unsigned i = 0; i < copies; i++) {
		if (chance(n, n->conf.loss))
			continue;
		uint8_t *copy = malloc(len);
		memcpy(copy, frame, len);
		uint64_t delay = n->conf.delay_ns + below(n, n->conf.jitter_ns + 1);
		later(n, delay,
		      (struct event){.kind = to, .port = port, .len = len, .frame = copy});
	}
}

/* ---- hosts ---- */

static const uint8_t router_mac[6] = {2, 0xaa, 0, 0, 0, 1};

static void
endpoint_mac(const struct sl_addr *a, uint8_t mac[6])
{
	memcpy(mac, (uint8_t[]){2, 0xbb, 0, 0, a->b[14], a->b[15]}, 6);
}

static struct endpoint *
endpoint_at(struct net *n, const struct sl_addr *a)
{
	for (unsigned s = 0; s < SERVICES; s++)
		for (unsigned e = 0; e < n->conf.endpoints; e++)
			if (sl_addr_eq(&n->endpoints[s][e].addr, a))
				return &n->endpoints[s][e];
	return NULL;
}

/* ARP and ND: whoever is asked for answers, over a clean wire (resolution has its own tests). */
static bool
neighbour_talk(struct net *n, unsigned port, const uint8_t *frame, unsigned len)
{
	uint8_t copy[2048];
	struct sl_pkt p = {.data = copy, .len = (uint16_t)len};
	struct sl_neigh_msg m;

	memcpy(copy, frame, len);
	if (sl_parse(&p) != SL_DROP_NONE || !(p.flags & (SL_PKT_ARP | SL_PKT_ND)))
		return false;
	if (sl_neigh_parse(&p, &m) != SL_DROP_NONE) {
		complain(n, "the gateway sent a bad ARP or ND message", 0);
		return true;
	}
	uint8_t mac[6];
	memcpy(mac, router_mac, 6);
	if (port == BACK) {
		struct endpoint *e = endpoint_at(n, &m.target);
		if (!e || e->dead)
			return true;
		endpoint_mac(&e->addr, mac);
	}
	unsigned out = m.request ? sl_neigh_answer(&p, &m, mac) : 0;
	if (out) {
		uint8_t *answer = malloc(out);
		memcpy(answer, copy, out);
		later(n, 10000,
		      (struct event){
			      .kind = TO_GATEWAY, .port = port, .len = out, .frame = answer});
	}
	return true;
}

/* The flow a packet says it is of. */
static int
flow_of(const struct net *n, const uint8_t *frame, unsigned len)
{
	uint32_t mark = frame_mark(frame, len) - 1;

	return mark < n->conf.flows ? (int)mark : -1;
}

static bool
may_move(const struct net *n, const struct flow *f)
{
	const struct endpoint *e = &n->endpoints[f->service][f->endpoint];

	return !e->in_table || e->disabled || f->excused;
}

/* Which machine of a service has this MAC; −1: none. */
static int
machine(const struct net *n, unsigned service, const uint8_t mac[6])
{
	for (unsigned e = 0; e < n->conf.endpoints; e++) {
		uint8_t own[6];
		endpoint_mac(&n->endpoints[service][e].addr, own);
		if (memcmp(own, mac, 6) == 0)
			return (int)e;
	}
	return -1;
}

static bool
is_fragment(const uint8_t *f, bool *ret_later)
{
	bool v4 = f[12] == 8;
	unsigned off = v4            ? (f[20] & 0x1fu) << 8 | f[21]
		       : f[20] == 44 ? ((unsigned)f[56] << 8 | f[57]) & 0xfff8
				     : 0;

	*ret_later = off != 0;
	return off || (v4 ? f[20] & 0x20 : f[20] == 44);
}

/* Where the gateway sends a flow, in the order in which it does: links may reorder what follows. */
static void
judge_place(struct net *n, const uint8_t *frame, unsigned len)
{
	int i = flow_of(n, frame, len);

	if (i < 0)
		return;
	struct flow *f = &n->flows[i];
	int who = machine(n, f->service, frame);
	if (f->endpoint >= 0 && f->endpoint != who && !may_move(n, f))
		complain(n, "a flow moved to another endpoint", (unsigned)i);
	f->endpoint = who;
}

/* Takes the outer header off what goes to an endpoint by tunnel: its length, 0: something is wrong with it. */
static unsigned
take_off(struct net *n, const uint8_t *frame, unsigned len, uint8_t *inner)
{
	bool v4 = frame[12] == 8;
	unsigned proto = v4 ? frame[23] : frame[20];
	struct sl_addr src, dst;
	const char *bad;

	if (proto != 4 && proto != 41 &&
	    (proto != 17 || frame_tuple(frame).dport != sl_to_be16(6080))) {
		memcpy(inner, frame, len);
		return len;
	}
	unsigned out = frame_decap(frame, len, inner, &src, &dst, &bad);
	if (!out) {
		complain(n, bad, 0);
		return 0;
	}
	uint8_t mac[6];
	endpoint_mac(&dst, mac);
	if (!endpoint_at(n, &dst) || memcmp(mac, frame, 6) != 0)
		complain(n, "a tunnel leads to another machine than its frame", 0);
	return out;
}

static void
sent(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	struct net *n = ctx;
	uint8_t inner[2048];
	bool later;

	trace(n, frame, len);
	if (neighbour_talk(n, port, frame, len))
		return;
	if (port == BACK) {
		len = take_off(n, frame, len, inner);
		frame = inner;
		if (len == 0)
			return;
	}
	bool fragment = is_fragment(frame, &later);
	const char *bad = fragment ? NULL : frame_judge(frame, len);
	if (bad)
		complain(n, bad, 0);
	if (port == BACK && !later && !fragment)
		judge_place(n, frame, len);
	carry(n, port == FRONT ? TO_CLIENT : TO_ENDPOINT, port, frame, len);
}

/* A packet onto a link, in fragments if it is to be: their order is drawn. */
static void
carry_flow(struct net *n, const struct flow *f, enum kind to, unsigned port, const uint8_t *frame,
	   unsigned len)
{
	uint8_t piece[2048];
	unsigned order[4] = {0, 1, 2, 3};

	if (!f->big) {
		carry(n, to, port, frame, len);
		return;
	}
	uint32_t id = ++n->id;
	for (unsigned i = 3; i > 0; i--) {
		unsigned k = (unsigned)below(n, i + 1), was = order[i];
		order[i] = order[k];
		order[k] = was;
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned out = frame_piece(frame, 104, order[i], id, piece);
		if (out)
			carry(n, to, port, piece, out);
	}
}

static void
client_send(struct net *n, unsigned i)
{
	struct flow *f = &n->flows[i];
	struct frame_spec s = {.t = f->t,
			       .payload = f->big ? 300 : 20,
			       .seq = f->asked,
			       .may_split = f->big,
			       .mark = i + 1};
	uint8_t frame[2048];

	s.tcp_flags = f->phase == OPENING   ? SL_TCP_SYN
		      : f->phase == CLOSING ? SL_TCP_FIN | SL_TCP_ACK
					    : SL_TCP_ACK | SL_TCP_PSH;
	memcpy(s.dmac, rig_mac(n->rig, FRONT), 6);
	memcpy(s.smac, router_mac, 6);
	f->sent_at = n->now;
	carry_flow(n, f, TO_GATEWAY, FRONT, frame, frame_make(&s, frame));
	later(n, AGAIN_NS, (struct event){.kind = CLIENT_TIMER, .who = i});
}

static void
client_timer(struct net *n, unsigned i)
{
	struct flow *f = &n->flows[i];

	if (f->phase >= DONE || n->now - f->sent_at < AGAIN_NS)
		return;
	if (++f->tries > TRIES || (f->excused && f->tries > 3)) {
		f->phase = GIVEN_UP;
		n->done++;
		return;
	}
	client_send(n, i);
}

static void
client_hears(struct net *n, const struct event *e)
{
	uint8_t whole[5000];
	bool twice; /* links double */
	unsigned len = frame_join(&n->clients_pot, e->frame, e->len, whole, &twice);

	if (len == 0)
		return;
	const char *bad = frame_judge(whole, len);
	if (bad)
		complain(n, bad, 0);
	struct sl_tuple t = frame_tuple(whole);
	int i = flow_of(n, whole, len);
	if (i < 0 || !sl_addr_eq(&t.dst, &n->flows[i].t.src) || t.dport != n->flows[i].t.sport) {
		complain(n, "a client heard what is not for it", (unsigned)i);
		return;
	}
	struct flow *f = &n->flows[i];
	if (!sl_addr_eq(&t.src, &f->t.dst) || t.sport != f->t.dport || t.proto != f->t.proto) {
		complain(n, "a client heard another source than its VIP", (unsigned)i);
		return;
	}
	if (f->phase >= DONE)
		return;
	f->tries = 0;
	if (f->phase == OPENING)
		f->phase = ASKING;
	else if (f->phase == ASKING && ++f->answered >= 3 + (unsigned)i % 5)
		f->phase = f->t.proto == SL_IPPROTO_TCP ? CLOSING : DONE;
	else if (f->phase == CLOSING)
		f->phase = DONE;
	if (f->phase == DONE) {
		n->done++;
		return;
	}
	f->asked++;
	/* The next question after a while, so that pushes and changes come in between. */
	f->sent_at = n->now;
	later(n, AGAIN_NS + below(n, 50) * MS,
	      (struct event){.kind = CLIENT_TIMER, .who = (unsigned)i});
}

/* Whom a fullnat endpoint sees: an address of the pool, and no other live flow's port. */
static void
judge_source(struct net *n, unsigned i, const struct sl_tuple *t, int who)
{
	struct flow *f = &n->flows[i];
	static const char *const pool[] = {"10.0.2.1", "10.0.3.250", "fd00:2::fff0"};
	bool known = false;

	for (unsigned k = 0; k < SL_ARRAY_CNT(pool); k++) {
		struct sl_addr a = frame_addr(pool[k]);
		known |= sl_addr_eq(&a, &t->src);
	}
	if (!known)
		complain(n, "an endpoint saw a source that is not of the pool", i);
	bool same = sl_addr_eq(&f->source, &t->src) && f->source_port == t->sport;
	if (f->source_at == who && !same && f->phase != OPENING && !may_move(n, f))
		complain(n, "an open fullnat flow changed its source", i);
	f->source = t->src;
	f->source_port = t->sport;
	f->source_at = who;
	for (unsigned k = 0; k < n->conf.flows; k++) {
		const struct flow *o = &n->flows[k];
		if (k != i && o->service == f->service && o->source_at == who && o->phase < DONE &&
		    !o->excused && o->t.proto == f->t.proto && o->source_port == t->sport &&
		    sl_addr_eq(&o->source, &t->src) && f->phase < DONE)
			complain(n, "two flows share a source port", i);
	}
}

static void
endpoint_hears(struct net *n, const struct event *ev)
{
	uint8_t whole[5000];
	bool twice; /* links double */
	unsigned len = frame_join(&n->endpoints_pot, ev->frame, ev->len, whole, &twice);

	if (len == 0)
		return;
	const char *bad = frame_judge(whole, len);
	if (bad)
		complain(n, bad, 0);
	struct sl_tuple t = frame_tuple(whole);
	int i = flow_of(n, whole, len);
	if (i < 0) {
		complain(n, "an endpoint heard a packet of no client", 0);
		return;
	}
	struct flow *f = &n->flows[i];
	int who = machine(n, f->service, whole);
	const struct sl_addr *to = direct(f->service) ? &f->t.dst
				   : who < 0          ? NULL
						      : &n->endpoints[f->service][who].addr;
	if (who < 0 || !sl_addr_eq(&t.dst, to)) {
		complain(n, "a packet reached a machine of another service", (unsigned)i);
		return;
	}
	if (forwards(f->service, "fullnat"))
		judge_source(n, (unsigned)i, &t, who);
	else if (!sl_addr_eq(&t.src, &f->t.src) || t.sport != f->t.sport)
		complain(n, "an endpoint saw another client", (unsigned)i);
	struct endpoint *e = &n->endpoints[f->service][who];
	if (e->dead) {
		f->excused = true;
		return;
	}
	uint8_t flags = whole[14 + (sl_addr_is_v4(&t.dst) ? 20 : 40) + 13];
	struct frame_spec s = {
		.t = {.src = t.dst,
		      .dst = t.src,
		      .sport = t.dport,
		      .dport = t.sport,
		      .proto = t.proto},
		.payload = f->big ? 300 : 20,
		.tcp_flags = SL_TCP_ACK | (flags & (SL_TCP_SYN | SL_TCP_FIN)),
		.may_split = f->big,
		.mark = (uint32_t)i + 1,
	};
	uint8_t frame[2048];
	memcpy(s.dmac, rig_mac(n->rig, BACK), 6);
	endpoint_mac(&e->addr, s.smac);
	/* An endpoint that has the VIP answers the client itself, past the gateway. */
	carry_flow(n, f, direct(f->service) ? TO_CLIENT : TO_GATEWAY, BACK, frame,
		   frame_make(&s, frame));
}

/* ---- tables and states ---- */

/* Every other seed some services have levels; flows stay where they are all the same. */
static unsigned
priority(const struct net *n, unsigned s, unsigned e)
{
	return (n->conf.seed + s) % 4 == 1 ? (e + 1) % 3 : 0;
}

static char *
make_table(struct net *n)
{
	struct table_text t = {0};

	table_append(&t, "gateway = { name = \"sim\"; };\nnetwork = { addresses = (\n"
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },"
			 "{ port = \"front\"; address = \"fd00:1::1/64\"; },"
			 "{ port = \"back\"; address = \"10.0.2.1/23\"; },"
			 "{ port = \"back\"; address = \"fd00:2::1/64\"; } );\n"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; },"
			 "{ prefix = \"::/0\"; via = \"fd00:1::fe\"; } ); };\nservices = (\n");
	for (unsigned s = 0; s < SERVICES; s++) {
		bool first = true;
		table_append(&t,
			     "%s{ name = \"%s\"; forward = \"%s\"; policy = \"%s\"; %s "
			     "max_endpoints = %u; endpoints = (\n",
			     s ? "," : "", services[s].name, services[s].forward, n->policy[s],
			     services[s].more, ENDPOINTS + (unsigned)below(n, 2));
		for (unsigned e = 0; e < n->conf.endpoints; e++) {
			char text[SL_ADDR_STRLEN];
			struct endpoint *ep = &n->endpoints[s][e];
			if (!ep->in_table)
				continue;
			table_append(
				&t,
				"%s{ name = \"e%u\"; address = \"%s\"; port = 80; weight = %u; "
				"priority = %u; }\n",
				first ? "" : ",", e, sl_addr_format(&ep->addr, text), ep->weight,
				priority(n, s, e));
			first = false;
		}
		table_append(&t, ");}\n");
	}
	table_append(&t, ");\nlisteners = (\n");
	for (unsigned s = 0; s < SERVICES; s++)
		for (unsigned p = 0; p < 2; p++)
			table_append(&t,
				     "%s{ name = \"%s-%s\"; address = \"%s\"; port = 80; protocol "
				     "= \"%s\"; "
				     "mode = \"l4\"; service = \"%s\"; }\n",
				     s + p ? "," : "", services[s].name, p ? "udp" : "tcp",
				     services[s].vip, p ? "udp" : "tcp", services[s].name);
	table_append(&t, ");\n");
	return t.buf;
}

static void
write_state(struct net *n, unsigned s, unsigned e, unsigned flags, unsigned fraction)
{
	char name[16];

	snprintf(name, sizeof(name), "e%u", e);
	uint32_t slot = table_slot(n->view.view, services[s].name, name);
	if (slot != UINT32_MAX)
		rig_states(n->rig)[slot].admin = sl_state_make(
			(uint16_t)flags, (uint8_t)fraction, n->view.view->hops[slot].incarnation);
}

static void
excuse_flows_of(struct net *n, unsigned s, unsigned e)
{
	for (unsigned i = 0; i < n->conf.flows; i++)
		if (n->flows[i].service == s && n->flows[i].endpoint == (int)e)
			n->flows[i].excused = true;
}

static void
push(struct net *n)
{
	unsigned s = (unsigned)below(n, SERVICES),
		 e = 1 + (unsigned)below(n, n->conf.endpoints - 1);
	struct endpoint *ep = &n->endpoints[s][e];

	/* Endpoint 0 of each service stays and stays healthy: somebody always answers. */
	if (chance(n, 0.5)) {
		ep->in_table = !ep->in_table;
		if (!ep->in_table)
			excuse_flows_of(n, s, e);
	} else {
		ep->weight = (unsigned)below(n, 5);
	}
	char *text = make_table(n);
	struct table_view v = table_push(&n->table, text);
	free(text);
	if (!v.view) {
		complain(n, "a table was refused", 0);
		return;
	}
	n->old[n->old_cnt++] = n->view;
	n->view = v;
	rig_publish(n->rig, v.view);
	/* one that comes back to the table as dead as it left it is a new one to the state words: probes would tell */
	for (unsigned i = 0; i < SERVICES * n->conf.endpoints; i++) {
		unsigned of = i / n->conf.endpoints, at = i % n->conf.endpoints;
		if (n->endpoints[of][at].dead)
			write_state(n, of, at, SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
	}
	/* All workers have turned since the one before the last was replaced. */
	if (n->old_cnt > 2) {
		table_release(&n->old[0]);
		memmove(n->old, n->old + 1, --n->old_cnt * sizeof(n->old[0]));
	}
}

static void
change(struct net *n)
{
	unsigned s = (unsigned)below(n, SERVICES),
		 e = 1 + (unsigned)below(n, n->conf.endpoints - 1);
	struct endpoint *ep = &n->endpoints[s][e];

	if (ep->dead)
		return;
	switch (below(n, 4)) {
	case 0:
		write_state(n, s, e, SL_ST_DRAIN, SL_FRACTION_WHOLE);
		ep->disabled = false;
		break;
	case 1:
		write_state(n, s, e, 0, (unsigned)below(n, 256));
		ep->disabled = false;
		break;
	case 2:
		write_state(n, s, e, SL_ST_DISABLED, SL_FRACTION_WHOLE);
		ep->disabled = true;
		excuse_flows_of(n, s, e);
		break;
	default:
		write_state(n, s, e, 0, SL_FRACTION_WHOLE);
		ep->disabled = false;
	}
}

static void
kill_one(struct net *n)
{
	unsigned s = (unsigned)below(n, SERVICES),
		 e = 1 + (unsigned)below(n, n->conf.endpoints - 1);

	n->endpoints[s][e].dead = true;
	write_state(n, s, e, SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
	excuse_flows_of(n, s, e);
}

/* The gateway dies between two turns and another starts on its flow region. */
static void
restart(struct net *n)
{
	unsigned workers = n->conf.vary ? 1 + (unsigned)below(n, 3) : n->conf.workers;
	struct sl_flow_adopted a = rig_restart(n->rig, workers, n->now);

	n->conf.workers = workers;
	n->restarts++;
	trace(n, &a, sizeof(a));
	if (a.lost)
		complain(n, "a restart lost flows", (unsigned)a.lost);
}

/* ---- a run ---- */

static void
make_endpoints(struct net *n)
{
	for (unsigned s = 0; s < SERVICES; s++)
		for (unsigned e = 0; e < n->conf.endpoints; e++) {
			struct sl_addr a = frame_addr(services[s].v6 ? "fd00:2::" : "10.0.2.0");
			a.b[14] = (uint8_t)(services[s].v6 ? 0x40 + s : 2);
			a.b[15] = (uint8_t)(16 + 16 * (services[s].v6 ? 0 : s) + e);
			n->endpoints[s][e] =
				(struct endpoint){.addr = a, .in_table = true, .weight = 1};
		}
}

static void
make_flows(struct net *n)
{
	n->flows = calloc(n->conf.flows, sizeof(*n->flows));
	for (unsigned i = 0; i < n->conf.flows; i++) {
		struct flow *f = &n->flows[i];
		f->service = (unsigned)below(n, SERVICES);
		f->endpoint = f->source_at = -1;
		f->t.dst = frame_addr(services[f->service].vip);
		f->t.src = frame_addr(sl_addr_is_v4(&f->t.dst) ? "198.18.0.0" : "2001:db8:c::");
		f->t.src.b[14] = (uint8_t)(i >> 8);
		f->t.src.b[15] = (uint8_t)i;
		f->t.sport = sl_to_be16(1024 + below(n, 60000));
		f->t.dport = sl_to_be16(80);
		f->t.proto = chance(n, 0.7) ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
		if (f->t.proto == SL_IPPROTO_UDP) {
			f->phase = ASKING;
			f->big = chance(n, 0.3);
		}
		/* Due at once, spread over a second. */
		f->sent_at = 0;
		later(n, below(n, 1000) * MS, (struct event){.kind = CLIENT_TIMER, .who = i});
	}
}

static void
handle(struct net *n, struct event *e)
{
	switch (e->kind) {
	case TO_GATEWAY:
		n->packets++;
		trace(n, e->frame, e->len);
		if (!rig_inject(n->rig, e->port, e->frame, e->len))
			complain(n, "the pool of frames is empty: buffers leak", 0);
		break;
	case TO_CLIENT:
		client_hears(n, e);
		break;
	case TO_ENDPOINT:
		endpoint_hears(n, e);
		break;
	case CLIENT_TIMER:
		client_timer(n, e->who);
		break;
	case PUSH:
		push(n);
		break;
	case CHANGE:
		change(n);
		break;
	case KILL:
		kill_one(n);
		break;
	case RESTART:
		restart(n);
		break;
	}
	free(e->frame);
}

static void
judge_end(struct net *n, struct net_result *r)
{
	uint64_t in = 0, out = 0;

	for (unsigned i = 0; i < n->conf.flows; i++) {
		const struct flow *f = &n->flows[i];
		if (f->phase == DONE)
			r->served++;
		else if (f->excused)
			r->excused++;
		else
			complain(n, "a flow whose endpoint lives was not served", i);
	}
	for (unsigned w = 0; w < n->conf.workers; w++) {
		const struct sl_stats_worker *s = rig_stats(n->rig, w);
		in += s->rx_packets;
		out += s->forwarded + s->consumed + s->dropped;
		for (unsigned d = 0; d < SL_DROP_CNT; d++)
			if (sl_drop_must_be_zero(d) && d != SL_DROP_NEIGH_PENDING &&
			    d != SL_DROP_NEIGH_QUEUE && s->drop[d])
				complain(n, sl_drop_name(d), 0);
		const char *bad = sl_flow_check(rig_flows(n->rig, w));
		if (bad)
			complain(n, bad, w);
	}
	if (rig_in_use(n->rig))
		complain(n, "buffers are not all back", rig_in_use(n->rig));
	if (in != out)
		complain(n, "packets in are not all accounted for", (unsigned)(in - out));
	trace(n, &in, sizeof(in));
}

/* Workers are not in step: in some order, some of them several times, some not at all. */
static void
some_turns(struct net *n)
{
	for (unsigned i = 0; i < 2 * n->conf.workers; i++)
		rig_turn_one(n->rig, (unsigned)below(n, n->conf.workers), n->now);
}

static void
run_until_done(struct net *n)
{
	while (n->cnt && n->done < n->conf.flows && !n->wrong) {
		/* Turns between events, so that timers and sweeps run in virtual time too.  A turn may put
		 * nearer events in. */
		if (n->heap[0].at > n->now + 20 * MS) {
			n->now += 20 * MS;
			rig_turn(n->rig, n->now);
			continue;
		}
		struct event e = next(n);
		n->now = e.at;
		handle(n, &e);
		some_turns(n);
	}
	/* What still lies in queues: three seconds for waiting packets to end. */
	for (unsigned i = 0; i < 150; i++) {
		n->now += 20 * MS;
		rig_turn(n->rig, n->now);
	}
}

struct net_result
net_run(const struct net_conf *c)
{
	static struct net n; /* large */

	n = (struct net){.conf = *c,
			 .now = 1000 * MS,
			 .rnd = c->seed * 0x9e3779b97f4a7c15ull + 1,
			 .trace = 14695981039346656037ull};

	struct rig_conf rc = {.workers = c->workers, .flows = 4096, .seed = c->seed, .rss = c->rss};
	struct net_result r = {0};

	static const char *const policies[] = {"maglev", "maglev", "round_robin", "source_hash",
					       "least_conn"};

	for (unsigned s = 0; s < SERVICES; s++)
		n.policy[s] = policies[below(&n, SL_ARRAY_CNT(policies) -
							 (getenv("SIM_NOLEAST") ? 1 : 0))];
	n.rig = rig_create(&rc, sent, &n);
	table_init(&n.table);
	make_endpoints(&n);
	char *text = make_table(&n);
	n.view = table_push(&n.table, text);
	free(text);
	if (n.view.view) {
		rig_publish(n.rig, n.view.view);
		make_flows(&n);
		for (unsigned i = 0; i < c->pushes; i++)
			later(&n, below(&n, 2500) * MS, (struct event){.kind = PUSH});
		for (unsigned i = 0; i < c->changes; i++)
			later(&n, below(&n, 2500) * MS, (struct event){.kind = CHANGE});
		for (unsigned i = 0; i < c->kills; i++)
			later(&n, below(&n, 2500) * MS, (struct event){.kind = KILL});
		for (unsigned i = 0; i < c->restarts; i++)
			later(&n, below(&n, 2500) * MS, (struct event){.kind = RESTART});
		run_until_done(&n);
		judge_end(&n, &r);
	} else {
		n.wrong = "the first table was refused";
	}
	while (n.cnt)
		free(next(&n).frame);
	rig_destroy(n.rig);
	table_release(&n.view);
	for (unsigned i = 0; i < n.old_cnt; i++)
		table_release(&n.old[i]);
	table_fini(&n.table);
	free(n.flows);
	free(n.heap);
	r.wrong = n.wrong;
	r.trace = n.trace;
	r.packets = n.packets;
	memcpy(r.detail, n.detail, sizeof(r.detail));
	return r;
}

/* The state machine: each state, and what each kind of segment and each wish of the user does there (RFC 9293, 3.10).
 *
 * Each row runs with plain numbers, and with the peer's and our own sequence numbers at the wrap. */
#include "../../suite.h"
#include "tcp_bed.h"

/* ---- reaching a state ---- */

enum state { SYNS, SYNR, BOTH, ESTA, FIN1, FIN2, CLOW, CLNG, LAST, TIMW, GONE };
static const char *const state_names[] = {"SYN-SENT",    "SYN-RECEIVED", "SYN-RECEIVED (both)",
					  "ESTABLISHED", "FIN-WAIT-1",   "FIN-WAIT-2",
					  "CLOSE-WAIT",  "CLOSING",      "LAST-ACK",
					  "TIME-WAIT",   "nothing"};
static const uint8_t row_states[] = {
	SL_STREAM_SYN_SENT,    SL_STREAM_SYN_RECEIVED, SL_STREAM_SYN_RECEIVED,
	SL_STREAM_ESTABLISHED, SL_STREAM_FIN_WAIT_1,   SL_STREAM_FIN_WAIT_2,
	SL_STREAM_CLOSE_WAIT,  SL_STREAM_CLOSING,      SL_STREAM_LAST_ACK};

struct numbers {
	const char *name;
	uint32_t peer; /* his ISN */
	uint32_t ours; /* of an accepted stream: 0: whatever it is */
};
static const struct numbers numbers[] = {
	{"plain", 5000, 0},
	{"the peer's SYN is the last number", UINT32_MAX, 0},
	{"the peer's first byte is the last number", UINT32_MAX - 1, 0},
	{"our SYN is the last number", 5000, UINT32_MAX},
	{"our first byte is the last number", UINT32_MAX - 2, UINT32_MAX - 1},
};

struct conn {
	struct tcp_bed *b;
	struct sl_stream *s; /* NULL: it is over */
	uint32_t mine, his;  /* what each sends next */
	uint16_t sport, dport;
};

static void
give(struct conn *c, int dseq, int dack, uint8_t flags, uint32_t len)
{
	static const uint8_t bytes[1460] = "some text, which is as good as any other";

	tcp_bed_in(c->b, &(struct tcp_in){.seq = c->his + (uint32_t)dseq,
					  .ack = flags & SL_TCP_ACK ? c->mine + (uint32_t)dack : 0,
					  .flags = flags,
					  .data = bytes,
					  .len = len,
					  .sport = c->sport,
					  .dport = c->dport});
	tcp_bed_run(c->b, 0);
}

static struct sl_tuple
tuple_of(uint16_t sport)
{
	static const uint8_t client[4] = {198, 51, 100, 7}, vip[4] = {192, 0, 2, 10};

	return (struct sl_tuple){.src = sl_addr_from_v4(client),
				 .dst = sl_addr_from_v4(vip),
				 .sport = sl_to_be16(sport),
				 .dport = sl_to_be16(80),
				 .proto = SL_IPPROTO_TCP};
}

/* A client's port whose ISN will be `iss` in a whole number of ms; waits until it is. */
static uint16_t
port_for(struct tcp_bed *b, uint32_t iss)
{
	uint32_t best_ms = UINT32_MAX;
	uint16_t best = 0;

	for (uint32_t port = 1024; port < 65536; port++) {
		struct sl_tuple u = tuple_of((uint16_t)port);
		uint32_t left = iss - sl_isn(tcp_bed_stack(b), &u);
		if (left % 250 == 0 && left / 250 < best_ms) {
			best_ms = left / 250;
			best = (uint16_t)port;
		}
	}
	tcp_bed_run(b, best_ms);
	return best;
}

static void
open_active(struct conn *c, const struct numbers *n, bool both)
{
	uint32_t iss;

	c->s = tcp_bed_connect(c->b, &iss);
	CU_ASSERT_FATAL(c->s != NULL);
	c->sport = 80;
	c->dport = sl_from_be16(tcp_bed_out(c->b, 0)->tuple.sport);
	c->mine = iss + 1;
	c->his = n->peer;
	if (!both)
		return;
	give(c, 0, 0, SL_TCP_SYN, 0);
	c->his++;
}

static void
open_passive(struct conn *c, const struct numbers *n)
{
	struct sl_tuple u;

	*tcp_bed_user(c->b) = (struct tcp_user){0};
	c->sport = n->ours ? port_for(c->b, n->ours) : 40000;
	c->dport = 80;
	c->his = n->peer;
	give(c, 0, 0, SL_TCP_SYN, 0);
	CU_ASSERT_FATAL(tcp_bed_sent(c->b) == 1);
	c->mine = tcp_bed_out(c->b, 0)->seq + 1;
	CU_ASSERT(n->ours == 0 || c->mine == n->ours + 1);
	c->his++;
	u = tuple_of(c->sport);
	struct sl_tcp *t = tcp_bed_stack(c->b);
	c->s = &t->streams[sl_tcp_find(t, sl_tcp_hash(t, &u), &u)];
}

static void
reach(struct conn *c, enum state state, const struct numbers *n)
{
	*c = (struct conn){
		.b = tcp_bed_create(&(struct tcp_bed_conf){
			.seg_cnt = 128, .block_cnt = 32, .buffers = 32, .capacity = 16})};
	if (state == SYNS || state == BOTH)
		open_active(c, n, state == BOTH);
	else
		open_passive(c, n);
	if (state >= ESTA)
		give(c, 0, 0, SL_TCP_ACK, 0);
	if (state == CLOW || state == LAST) {
		give(c, 0, 0, SL_TCP_ACK | SL_TCP_FIN, 0);
		c->his++;
	}
	if (state == FIN1 || state == FIN2 || state >= CLNG) {
		sl_stream_shutdown(c->s);
		tcp_bed_run(c->b, 0);
		c->mine++;
	}
	if (state == FIN2 || state == TIMW)
		give(c, 0, 0, SL_TCP_ACK, 0);
	if (state == CLNG || state == TIMW) {
		give(c, 0, state == CLNG ? -1 : 0, SL_TCP_ACK | SL_TCP_FIN, 0);
		c->his++;
	}
	tcp_bed_run(c->b, 300); /* late ACKs, quarter seconds of answers */
	tcp_bed_clear(c->b);
}

static enum state
state_of(struct conn *c)
{
	struct sl_tuple u = tuple_of(c->sport);
	struct sl_tcp *t = tcp_bed_stack(c->b);

	u.sport = sl_to_be16(c->sport);
	u.dport = sl_to_be16(c->dport);
	uint32_t idx = sl_tcp_find(t, sl_tcp_hash(t, &u), &u);
	if (idx == SL_TCP_NONE)
		return GONE;
	if (idx & SL_TCP_OF_TIMEWAIT)
		return TIMW;
	const struct sl_stream *s = &t->streams[idx];
	for (unsigned i = 0; i < SL_ARRAY_CNT(row_states); i++)
		if (s->row.state == row_states[i] && (i != SYNR || !(s->row.flags & SL_STREAM_OUT)))
			return (enum state)i;
	return GONE;
}

/* ---- rows ---- */

#define F SL_TCP_FIN
#define S SL_TCP_SYN
#define R SL_TCP_RST
#define A SL_TCP_ACK
enum { SILENT = 0 };
enum wish { SEGMENT, SHUT, CLOSE, ABORT };
#define NO_END SL_END_CNT /* `closed` was not called */

static const struct row {
	enum state in;
	const char *why;
	enum wish wish;
	int dseq, dack; /* from what each expects */
	uint8_t flags;
	uint32_t len;
	enum state then;
	uint8_t answer; /* flags of the only answer; SILENT */
	enum sl_stream_end end;
} rows[] = {
	{SYNS, "ACK of our SYN without one of his", 0, 9, 0, A, 0, SYNS, SILENT, NO_END},
	{SYNS, "ACK of less than our SYN", 0, 9, -1, A, 0, SYNS, R, NO_END},
	{SYNS, "ACK of what was not sent", 0, 9, 1, A, 0, SYNS, R, NO_END},
	{SYNS, "text without SYN", 0, 1, 0, A, 100, SYNS, SILENT, NO_END},
	{SYNS, "FIN without SYN", 0, 1, 0, A | F, 0, SYNS, SILENT, NO_END},
	{SYNS, "RST that acknowledges the SYN", 0, 0, 0, R | A, 0, GONE, SILENT, SL_END_REFUSED},
	{SYNS, "RST without ACK", 0, 0, 0, R, 0, SYNS, SILENT, NO_END},
	{SYNS, "RST with another ACK", 0, 0, 1, R | A, 0, SYNS, SILENT, NO_END},
	{SYNS, "RST with an old ACK", 0, 0, -1, R | A, 0, SYNS, SILENT, NO_END},
	{SYNS, "SYN+ACK", 0, 0, 0, S | A, 0, ESTA, A, NO_END},
	{SYNS, "SYN+ACK with text", 0, 0, 0, S | A, 100, ESTA, A, NO_END},
	{SYNS, "SYN+ACK of something else", 0, 0, 7, S | A, 0, SYNS, R, NO_END},
	{SYNS, "SYN alone: both open at once", 0, 0, 0, S, 0, BOTH, S | A, NO_END},
	{SYNS, "shutdown has nothing to end yet", SHUT, 0, 0, 0, 0, SYNS, SILENT, NO_END},
	{SYNS, "close forgets it", CLOSE, 0, 0, 0, 0, GONE, SILENT, NO_END},
	{SYNS, "abort needs no RST", ABORT, 0, 0, 0, 0, GONE, SILENT, NO_END},

	{SYNR, "ACK of our SYN", 0, 0, 0, A, 0, ESTA, SILENT, NO_END},
	{SYNR, "ACK with text", 0, 0, 0, A, 100, ESTA, SILENT, NO_END},
	{SYNR, "ACK with FIN", 0, 0, 0, A | F, 0, CLOW, A, NO_END},
	{SYNR, "ACK with text and FIN", 0, 0, 0, A | F, 100, CLOW, A, NO_END},
	{SYNR, "ACK of less", 0, 0, -1, A, 0, SYNR, R, NO_END},
	{SYNR, "ACK of more", 0, 0, 1, A, 0, SYNR, R, NO_END},
	{SYNR, "ACK before the window", 0, -10, 0, A, 0, SYNR, A, NO_END},
	{SYNR, "ACK behind the window", 0, 100000, 0, A, 0, SYNR, A, NO_END},
	{SYNR, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, NO_END},
	{SYNR, "RST in the window", 0, 1, 0, R, 0, SYNR, A, NO_END},
	{SYNR, "RST before it", 0, -1, 0, R, 0, SYNR, SILENT, NO_END},
	{SYNR, "RST behind it", 0, 100000, 0, R, 0, SYNR, SILENT, NO_END},
	{SYNR, "his SYN again", 0, -1, 0, S, 0, SYNR, S | A, NO_END},
	{SYNR, "another SYN in the window", 0, 5, 0, S, 0, SYNR, A, NO_END},
	{SYNR, "another SYN outside", 0, -50, 0, S, 0, SYNR, A, NO_END},
	{SYNR, "text without ACK", 0, 0, 0, SL_TCP_PSH, 100, SYNR, SILENT, NO_END},

	{BOTH, "ACK of our SYN", 0, 0, 0, A, 0, ESTA, SILENT, NO_END},
	{BOTH, "his SYN+ACK", 0, -1, 0, S | A, 0, ESTA, SILENT, NO_END},
	{BOTH, "his SYN+ACK of something else", 0, -1, 3, S | A, 0, BOTH, S | A, NO_END},
	{BOTH, "his SYN again", 0, -1, 0, S, 0, BOTH, S | A, NO_END},
	{BOTH, "ACK of more", 0, 0, 1, A, 0, BOTH, R, NO_END},
	{BOTH, "RST exact: refused", 0, 0, 0, R, 0, GONE, SILENT, SL_END_REFUSED},
	{BOTH, "RST in the window", 0, 1, 0, R, 0, BOTH, A, NO_END},
	{BOTH, "RST before it", 0, -1, 0, R, 0, BOTH, SILENT, NO_END},
	{BOTH, "FIN with the ACK", 0, 0, 0, A | F, 0, CLOW, A, NO_END},
	{BOTH, "shutdown has nothing to end yet", SHUT, 0, 0, 0, 0, BOTH, SILENT, NO_END},
	{BOTH, "close before it is open", CLOSE, 0, 0, 0, 0, GONE, R | A, NO_END},
	{BOTH, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{ESTA, "ACK of what is known", 0, 0, 0, A, 0, ESTA, SILENT, NO_END},
	{ESTA, "ACK of before", 0, 0, -1, A, 0, ESTA, SILENT, NO_END},
	{ESTA, "ACK of what was not sent", 0, 0, 1, A, 0, ESTA, A, NO_END},
	{ESTA, "ACK of what was not sent, with text", 0, 0, 1, A, 100, ESTA, A, NO_END},
	{ESTA, "ACK older than any window", 0, 0, -65537, A, 0, ESTA, A, NO_END},
	{ESTA, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{ESTA, "RST exact, with an ACK of anything", 0, 0, 999, R | A, 0, GONE, SILENT,
	 SL_END_RESET},
	{ESTA, "RST next to exact", 0, 1, 0, R, 0, ESTA, A, NO_END},
	{ESTA, "RST at the last number of the window", 0, 65534, 0, R, 0, ESTA, A, NO_END},
	{ESTA, "RST behind the window", 0, 65536, 0, R, 0, ESTA, SILENT, NO_END},
	{ESTA, "RST before it", 0, -1, 0, R, 0, ESTA, SILENT, NO_END},
	{ESTA, "SYN in the window", 0, 10, 0, S, 0, ESTA, A, NO_END},
	{ESTA, "SYN exact", 0, 0, 0, S, 0, ESTA, A, NO_END},
	{ESTA, "SYN outside", 0, -10, 0, S, 0, ESTA, A, NO_END},
	{ESTA, "SYN+ACK of the past", 0, -1, 0, S | A, 0, ESTA, A, NO_END},
	{ESTA, "FIN", 0, 0, 0, A | F, 0, CLOW, A, NO_END},
	{ESTA, "FIN behind a gap", 0, 10, 0, A | F, 0, ESTA, A, NO_END},
	{ESTA, "FIN without ACK", 0, 0, 0, F, 0, ESTA, SILENT, NO_END},
	{ESTA, "text", 0, 0, 0, A, 100, ESTA, SILENT, NO_END},
	{ESTA, "text behind a gap", 0, 10, 0, A, 100, ESTA, A, NO_END},
	{ESTA, "text before the window", 0, -100, 0, A, 100, ESTA, A, NO_END},
	{ESTA, "text behind the window", 0, 70000, 0, A, 100, ESTA, A, NO_END},
	{ESTA, "text without ACK", 0, 0, 0, SL_TCP_PSH, 100, ESTA, SILENT, NO_END},
	{ESTA, "keep-alive of the peer", 0, -1, 0, A, 0, ESTA, A, NO_END},
	{ESTA, "shutdown", SHUT, 0, 0, 0, 0, FIN1, F | A, NO_END},
	{ESTA, "close", CLOSE, 0, 0, 0, 0, FIN1, F | A, NO_END},
	{ESTA, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{FIN1, "ACK of our FIN", 0, 0, 0, A, 0, FIN2, SILENT, NO_END},
	{FIN1, "ACK of all but the FIN", 0, 0, -1, A, 0, FIN1, SILENT, NO_END},
	{FIN1, "ACK of more than the FIN", 0, 0, 1, A, 0, FIN1, A, NO_END},
	{FIN1, "FIN that does not know ours", 0, 0, -1, A | F, 0, CLNG, A, NO_END},
	{FIN1, "FIN that acknowledges ours", 0, 0, 0, A | F, 0, TIMW, A, SL_END_OK},
	{FIN1, "text with the ACK of our FIN", 0, 0, 0, A, 100, FIN2, SILENT, NO_END},
	{FIN1, "text that does not know our FIN", 0, 0, -1, A, 100, FIN1, SILENT, NO_END},
	{FIN1, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{FIN1, "RST in the window", 0, 1, 0, R, 0, FIN1, A, NO_END},
	{FIN1, "RST outside", 0, -1, 0, R, 0, FIN1, SILENT, NO_END},
	{FIN1, "SYN", 0, 0, 0, S, 0, FIN1, A, NO_END},
	{FIN1, "shutdown again", SHUT, 0, 0, 0, 0, FIN1, SILENT, NO_END},
	{FIN1, "close after shutdown", CLOSE, 0, 0, 0, 0, FIN1, SILENT, NO_END},
	{FIN1, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{FIN2, "ACK again", 0, 0, 0, A, 0, FIN2, SILENT, NO_END},
	{FIN2, "ACK of before", 0, 0, -1, A, 0, FIN2, SILENT, NO_END},
	{FIN2, "ACK of more", 0, 0, 1, A, 0, FIN2, A, NO_END},
	{FIN2, "text: half of it goes on", 0, 0, 0, A, 100, FIN2, SILENT, NO_END},
	{FIN2, "FIN", 0, 0, 0, A | F, 0, TIMW, A, SL_END_OK},
	{FIN2, "FIN behind unread text", 0, 0, 0, A | F, 100, FIN2, A, NO_END},
	{FIN2, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{FIN2, "RST in the window", 0, 1, 0, R, 0, FIN2, A, NO_END},
	{FIN2, "RST outside", 0, -1, 0, R, 0, FIN2, SILENT, NO_END},
	{FIN2, "SYN", 0, 0, 0, S, 0, FIN2, A, NO_END},
	{FIN2, "shutdown again", SHUT, 0, 0, 0, 0, FIN2, SILENT, NO_END},
	{FIN2, "close after shutdown", CLOSE, 0, 0, 0, 0, FIN2, SILENT, NO_END},
	{FIN2, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{CLOW, "ACK again", 0, 0, 0, A, 0, CLOW, SILENT, NO_END},
	{CLOW, "ACK of more", 0, 0, 1, A, 0, CLOW, A, NO_END},
	{CLOW, "FIN again", 0, -1, 0, A | F, 0, CLOW, A, NO_END},
	{CLOW, "text behind the FIN", 0, 0, 0, A, 100, CLOW, A, NO_END},
	{CLOW, "another FIN behind the FIN", 0, 0, 0, A | F, 0, CLOW, A, NO_END},
	{CLOW, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{CLOW, "RST in the window", 0, 1, 0, R, 0, CLOW, A, NO_END},
	{CLOW, "RST of before the FIN", 0, -1, 0, R, 0, CLOW, SILENT, NO_END},
	{CLOW, "SYN", 0, 0, 0, S, 0, CLOW, A, NO_END},
	{CLOW, "shutdown", SHUT, 0, 0, 0, 0, LAST, F | A, NO_END},
	{CLOW, "close", CLOSE, 0, 0, 0, 0, LAST, F | A, NO_END},
	{CLOW, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{CLNG, "ACK of our FIN", 0, 0, 0, A, 0, TIMW, SILENT, SL_END_OK},
	{CLNG, "ACK of all but the FIN", 0, 0, -1, A, 0, CLNG, SILENT, NO_END},
	{CLNG, "ACK of more", 0, 0, 1, A, 0, CLNG, A, NO_END},
	{CLNG, "FIN again, without knowing ours", 0, -1, -1, A | F, 0, CLNG, A, NO_END},
	{CLNG, "text behind the FIN", 0, 0, -1, A, 100, CLNG, A, NO_END},
	{CLNG, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{CLNG, "RST in the window", 0, 1, 0, R, 0, CLNG, A, NO_END},
	{CLNG, "RST outside", 0, -1, 0, R, 0, CLNG, SILENT, NO_END},
	{CLNG, "SYN", 0, 0, 0, S, 0, CLNG, A, NO_END},
	{CLNG, "shutdown again", SHUT, 0, 0, 0, 0, CLNG, SILENT, NO_END},
	{CLNG, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{LAST, "ACK of our FIN", 0, 0, 0, A, 0, GONE, SILENT, SL_END_OK},
	{LAST, "ACK of all but the FIN", 0, 0, -1, A, 0, LAST, SILENT, NO_END},
	{LAST, "ACK of more", 0, 0, 1, A, 0, LAST, A, NO_END},
	{LAST, "FIN again", 0, -1, -1, A | F, 0, LAST, A, NO_END},
	{LAST, "text behind the FIN", 0, 0, -1, A, 100, LAST, A, NO_END},
	{LAST, "RST exact", 0, 0, 0, R, 0, GONE, SILENT, SL_END_RESET},
	{LAST, "RST in the window", 0, 1, 0, R, 0, LAST, A, NO_END},
	{LAST, "RST outside", 0, -1, 0, R, 0, LAST, SILENT, NO_END},
	{LAST, "SYN", 0, 0, 0, S, 0, LAST, A, NO_END},
	{LAST, "shutdown again", SHUT, 0, 0, 0, 0, LAST, SILENT, NO_END},
	{LAST, "abort", ABORT, 0, 0, 0, 0, GONE, R | A, NO_END},

	{TIMW, "FIN again", 0, -1, 0, A | F, 0, TIMW, A, NO_END},
	{TIMW, "ACK again", 0, 0, 0, A, 0, TIMW, SILENT, NO_END},
	{TIMW, "text", 0, 0, 0, A, 100, TIMW, A, NO_END},
	{TIMW, "RST exact does not end it (RFC 1337)", 0, 0, 0, R, 0, TIMW, SILENT, NO_END},
	{TIMW, "RST in the window", 0, 1, 0, R, 0, TIMW, SILENT, NO_END},
	{TIMW, "old SYN", 0, -5, 0, S, 0, TIMW, A, NO_END},
	{TIMW, "new SYN", 0, 5, 0, S, 0, SYNR, S | A, NO_END},
};

static void
wish(struct conn *c, const struct row *r)
{
	switch (r->wish) {
	case SHUT:
		sl_stream_shutdown(c->s);
		break;
	case CLOSE:
		sl_stream_close(c->s);
		break;
	case ABORT:
		sl_stream_abort(c->s, SL_END_ABORTED);
		break;
	default:
		give(c, r->dseq, r->dack, r->flags, r->len);
	}
	tcp_bed_run(c->b, 0);
}

/* Whether the answer is the one expected, with the numbers of where we stand. */
static bool
answered(const struct conn *c, const struct row *r)
{
	const struct tcp_out *o = tcp_bed_out(c->b, 0);
	uint32_t got = r->then == CLOW || r->then == TIMW || r->then == CLNG || r->then == FIN2
			       ? r->len + 1
			       : r->len;

	if (r->answer == SILENT)
		return tcp_bed_sent(c->b) == 0;
	if (tcp_bed_sent(c->b) != 1 || (o->flags & ~SL_TCP_PSH) != r->answer || !o->csum_ok)
		return false;
	if (r->answer == R) /* of a segment that acknowledges what is not there */
		return o->seq == c->mine + (uint32_t)r->dack;
	if (r->answer != A || r->in == SYNS || r->then == SYNR)
		return true;
	return o->seq == c->mine && (o->ack == c->his || o->ack == c->his + got);
}

static unsigned
run_row(const struct row *r, const struct numbers *n)
{
	struct conn c;
	unsigned before = CU_get_number_of_failures();

	reach(&c, r->in, n);
	struct tcp_user was = *tcp_bed_user(c.b);
	CU_ASSERT(state_of(&c) == r->in);
	wish(&c, r);
	CU_ASSERT(state_of(&c) == r->then);
	CU_ASSERT(answered(&c, r));
	CU_ASSERT(tcp_bed_user(c.b)->closed == was.closed + (r->end != NO_END));
	if (r->end != NO_END)
		CU_ASSERT(tcp_bed_user(c.b)->why == r->end);
	tcp_bed_check(c.b);
	if (CU_get_number_of_failures() != before) {
		fprintf(stderr, "  %s: %s (%s): now %s, %u sent, flags %x\n", state_names[r->in],
			r->why, n->name, state_names[state_of(&c)], tcp_bed_sent(c.b),
			tcp_bed_sent(c.b) ? tcp_bed_out(c.b, 0)->flags : 0);
	}
	tcp_bed_destroy(c.b);
	return CU_get_number_of_failures() - before;
}

static void
each_segment_and_wish_does_in_each_state_what_the_rules_say(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
		(void)run_row(&rows[i], &numbers[0]);
}

static void
all_of_it_holds_where_sequence_numbers_wrap(void)
{
	for (size_t n = 1; n < SL_ARRAY_CNT(numbers); n++)
		for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
			if (numbers[n].ours == 0 || i % 4 == n % 4 || rows[i].in >= FIN1)
				(void)run_row(&rows[i], &numbers[n]);
}

/* ---- more than one step ---- */

static void
both_ends_open_at_once_and_speak(void)
{
	for (size_t n = 0; n < SL_ARRAY_CNT(numbers); n++) {
		struct conn c;

		reach(&c, BOTH, &numbers[n]);
		give(&c, -1, 0, S | A, 0);
		CU_ASSERT_FATAL(tcp_bed_user(c.b)->opened == 1);
		CU_ASSERT(tcp_bed_count(c.b, SL_TCP_CONNECTED) == 1);
		CU_ASSERT(sl_stream_write(c.s, "hello", 5) == 5);
		tcp_bed_run(c.b, 0);
		CU_ASSERT_FATAL(tcp_bed_sent(c.b) == 1);
		CU_ASSERT(tcp_bed_out(c.b, 0)->seq == c.mine && tcp_bed_out(c.b, 0)->ack == c.his);
		give(&c, 0, 5, A, 7);
		CU_ASSERT(sl_stream_readable_bytes(c.s) == 7);
		CU_ASSERT(sl_stream_row(c.s)->snd_una == c.mine + 5);
		sl_stream_abort(c.s, SL_END_ABORTED);
		tcp_bed_destroy(c.b);
	}
}

static void
both_ends_close_at_once_and_wait(void)
{
	for (size_t n = 0; n < SL_ARRAY_CNT(numbers); n++) {
		struct sl_tcp_usage u;
		struct conn c;

		reach(&c, FIN1, &numbers[n]);
		give(&c, 0, -1, A | F, 0);
		CU_ASSERT(state_of(&c) == CLNG && sl_stream_eof(c.s));
		give(&c, 1, 0, A, 0);
		CU_ASSERT(state_of(&c) == TIMW && tcp_bed_user(c.b)->closed == 1);
		tcp_bed_run(c.b, 59000);
		CU_ASSERT(state_of(&c) == TIMW);
		tcp_bed_run(c.b, 2000);
		CU_ASSERT(state_of(&c) == GONE);
		sl_tcp_usage(tcp_bed_stack(c.b), &u);
		CU_ASSERT(u.streams == 0 && u.timewait == 0);
		tcp_bed_destroy(c.b);
	}
}

/* More than a window goes through in both directions, from shortly before the wrap to behind it. */
static void
bytes_are_counted_on_past_the_wrap(void)
{
	static const struct numbers near = {"", UINT32_MAX - 3000, UINT32_MAX - 3000};
	char text[1000];
	struct conn c;

	memset(text, 'w', sizeof(text));
	reach(&c, ESTA, &near);
	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT(sl_stream_write(c.s, text, 500) == 500);
		tcp_bed_run(c.b, 0);
		CU_ASSERT(tcp_bed_last(c.b)->seq == c.mine && tcp_bed_last(c.b)->len == 500);
		/* the later half first, then the ACK with the rest */
		give(&c, 500, 0, A, 500);
		CU_ASSERT(sl_stream_row(c.s)->ooo == 500);
		c.mine += 500;
		give(&c, 0, 0, A, 500);
		c.his += 1000;
		CU_ASSERT(sl_stream_row(c.s)->ooo == 0);
		CU_ASSERT(sl_stream_row(c.s)->snd_una == c.mine);
		CU_ASSERT(sl_stream_readable_bytes(c.s) == 1000);
		sl_stream_consume(c.s, 1000);
		tcp_bed_run(c.b, 50);
		CU_ASSERT(tcp_bed_last(c.b)->ack == c.his);
		tcp_bed_check(c.b);
	}
	CU_ASSERT(c.his < 20000 && c.mine < 20000);
	sl_stream_abort(c.s, SL_END_ABORTED);
	tcp_bed_destroy(c.b);
}

static void
the_other_direction_goes_on_after_a_half_close(void)
{
	struct conn c;

	reach(&c, CLOW, &numbers[0]);
	CU_ASSERT(sl_stream_write(c.s, "still here", 10) == 10);
	tcp_bed_run(c.b, 0);
	CU_ASSERT_FATAL(tcp_bed_sent(c.b) == 1);
	CU_ASSERT(tcp_bed_out(c.b, 0)->len == 10 && state_of(&c) == CLOW);
	give(&c, 0, 10, A, 0);
	CU_ASSERT(sl_stream_row(c.s)->snd_una == c.mine + 10);
	sl_stream_abort(c.s, SL_END_ABORTED);
	tcp_bed_destroy(c.b);

	reach(&c, FIN2, &numbers[0]);
	give(&c, 0, 0, A, 1000);
	CU_ASSERT(sl_stream_readable_bytes(c.s) == 1000);
	sl_stream_consume(c.s, 1000);
	CU_ASSERT(sl_stream_write(c.s, "x", 1) == 0 && sl_stream_room(c.s) == 0);
	give(&c, 1000, 0, A | F, 0);
	CU_ASSERT(state_of(&c) == TIMW);
	tcp_bed_destroy(c.b);
}

/* Who has let go reads nothing: what still comes is answered with RST (RFC 2525, 2.17), a FIN is taken. */
static void
text_for_one_who_has_let_go_is_answered_with_rst(void)
{
	static const enum state in[] = {ESTA, FIN1, FIN2};

	for (unsigned i = 0; i < SL_ARRAY_CNT(in); i++) {
		struct conn c;

		reach(&c, in[i], &numbers[0]);
		sl_stream_close(c.s);
		tcp_bed_run(c.b, 0);
		c.mine += in[i] == ESTA;
		tcp_bed_clear(c.b);
		give(&c, 0, 0, A, 10);
		CU_ASSERT(state_of(&c) == GONE);
		CU_ASSERT_FATAL(tcp_bed_sent(c.b) == 1);
		CU_ASSERT(tcp_bed_out(c.b, 0)->flags & R);
		CU_ASSERT(tcp_bed_user(c.b)->closed == 0);
		tcp_bed_destroy(c.b);
		reach(&c, in[i], &numbers[0]);
		sl_stream_close(c.s);
		tcp_bed_run(c.b, 0);
		c.mine += in[i] == ESTA;
		give(&c, 0, 0, A | F, 0);
		CU_ASSERT(state_of(&c) == TIMW);
		tcp_bed_destroy(c.b);
	}
}

static void
closing_with_unread_bytes_resets(void)
{
	struct conn c;

	reach(&c, ESTA, &numbers[0]);
	give(&c, 0, 0, A, 10);
	tcp_bed_clear(c.b);
	sl_stream_close(c.s);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && (tcp_bed_out(c.b, 0)->flags & R));
	CU_ASSERT(state_of(&c) == GONE);
	tcp_bed_destroy(c.b);
}

/* A peer that acknowledges our FIN and then says nothing is not waited for by one who has let go. */
static void
fin_wait_2_without_a_user_ends_after_a_minute(void)
{
	struct conn c;

	reach(&c, ESTA, &numbers[0]);
	sl_stream_close(c.s);
	tcp_bed_run(c.b, 0);
	c.mine++;
	give(&c, 0, 0, A, 0);
	tcp_bed_run(c.b, 58000);
	CU_ASSERT(state_of(&c) == FIN2);
	tcp_bed_run(c.b, 4000);
	CU_ASSERT(state_of(&c) == GONE);
	tcp_bed_destroy(c.b);
}

/* FINs are sent again like anything else: without an answer the states before them end, too. */
static void
a_fin_without_an_answer_is_sent_again_and_given_up(void)
{
	static const enum state in[] = {FIN1, CLNG, LAST};

	for (unsigned i = 0; i < SL_ARRAY_CNT(in); i++) {
		struct conn c;

		reach(&c, in[i], &numbers[0]);
		tcp_bed_run(c.b, 5000);
		CU_ASSERT_FATAL(tcp_bed_sent(c.b) >= 1);
		for (unsigned k = 0; k < tcp_bed_sent(c.b); k++)
			CU_ASSERT((tcp_bed_out(c.b, k)->flags & F) &&
				  tcp_bed_out(c.b, k)->seq == c.mine - 1);
		tcp_bed_run(c.b, 15 * 60 * 1000);
		CU_ASSERT(state_of(&c) == GONE && tcp_bed_user(c.b)->why == SL_END_TIMEOUT);
		tcp_bed_destroy(c.b);
	}
}

SL_SUITE("state", SL_TEST(each_segment_and_wish_does_in_each_state_what_the_rules_say),
	 SL_TEST(all_of_it_holds_where_sequence_numbers_wrap),
	 SL_TEST(both_ends_open_at_once_and_speak), SL_TEST(both_ends_close_at_once_and_wait),
	 SL_TEST(bytes_are_counted_on_past_the_wrap),
	 SL_TEST(the_other_direction_goes_on_after_a_half_close),
	 SL_TEST(text_for_one_who_has_let_go_is_answered_with_rst),
	 SL_TEST(closing_with_unread_bytes_resets),
	 SL_TEST(fin_wait_2_without_a_user_ends_after_a_minute),
	 SL_TEST(a_fin_without_an_answer_is_sent_again_and_given_up))

/* tcp_trace — a judge of one end of a connection: sees each packet that this end sends and each that reaches it, keeps what
 * the end can know from these, and says what no TCP may do.
 *
 *   sent again      only with evidence: IsLost (RFC 6675), something sent later was delivered and the reordering time has
 *                   passed (8985), third duplicate or a partial acknowledgement (5681, 6582), a time-out that was waited
 *                   for and doubled (6298), one tail loss probe after its time (8985), a smaller path MTU (1191);
 *                   never what the peer has said it holds
 *   sent            right bytes in a row, inside the window (but for probes of one byte), no more than MSS and MTU, nothing
 *                   behind FIN, at most the initial window before the first acknowledgement (6928)
 *   acknowledged    only what arrived, never less than before; SACK blocks of what arrived, the newest first (2018), DSACK of
 *                   what arrived twice (2883); no later than half a second (9293)
 *   window          right edge never moves left (9293, 3.8.6) but for what scaling cuts off (7323, 2.4)
 *   timestamps      by a clock that goes forward; the echo is what 7323 4.3 says
 *   flags, options  legal; agreed on; RST only where `may_reset` says so
 *
 * Knows nothing of dataplane/tcp.  A log of the last packets (struct trace_log) is shown when something is wrong.
 */
#ifndef SL_TESTS_TCP_TRACE_H
#define SL_TESTS_TCP_TRACE_H

#include "tests/sim/tcp_link.h"
#include "tests/sim/tcp_wire.h"

#include <stdio.h>

#define TRACE_LOG 160

struct trace_log {
	struct trace_line {
		uint64_t at_ns;
		char who;
		bool out, damaged;
		struct wire_seg seg;
	} line[TRACE_LOG];
	unsigned long cnt;
	uint16_t port[2];
	uint32_t seq0[2];
	FILE *live; /* each packet is shown at once */
};

void log_add(struct trace_log *log, uint64_t at_ns, char who, bool out, bool damaged,
	     const struct wire_seg *s);
void log_print(const struct trace_log *log, FILE *to);

/* Disjoint runs of sequence numbers, in order. */
struct trace_set {
	struct wire_block *run;
	unsigned cnt, room;
};

/* A run under way, as it was last sent. */
struct trace_sent {
	uint32_t from, to;
	uint64_t first_ns, last_ns, order;
	unsigned times;
	bool sacked;
};

struct trace_conf {
	uint64_t seed_out;  /* of the bytes it sends */
	uint64_t out_bytes; /* that its user writes, if nobody gives up */
	unsigned mtu;
	bool ours; /* else a model's, which may lack options */
	bool may_reset;
	uint64_t slack_ns; /* how much earlier than timers say: a tick, and rounding */
	unsigned rto_min_ms;
	bool cookies; /* SYN+ACKs are cookies: their ISNs may differ */
	bool old_acks; /* user lets go, memory runs out, …: acknowledgements may be late or missing */
	bool reneges; /* memory runs short: what was SACKED may have been forgotten (RFC 2018, 8), and comes again */
};

struct tcp_trace {
	const struct tcp_world *w;
	struct trace_conf conf;
	char who;
	struct trace_log *log;
	char wrong[240];
	/* opening */
	bool syn_out, syn_in, bound, open;
	bool ts, sack;
	struct wire_seg my_syn, his_syn;
	uint32_t iss, irs;
	unsigned shift_in, shift_out; /* of the peer's window, of ours */
	unsigned syns;
	uint64_t syn_ns;
	/* sent */
	uint32_t una, nxt;
	bool fin_out;
	struct trace_sent *sent;
	unsigned sent_at, sent_cnt, sent_room; /* [sent_at, sent_cnt) are under way */
	uint64_t order;
	uint64_t delivered_ns; /* when the latest-sent of what has arrived was sent, and its end */
	uint32_t delivered_end;
	uint32_t edge; /* right edge of the peer's window, the furthest that came */
	bool edge_known;
	uint64_t rtt_min_ns;
	uint64_t progress_ns, data_ns, ack_in_ns;
	unsigned dupacks;
	uint32_t last_wnd, wnd_max;
	uint64_t rto_ns, rto_order; /* last time-out; what was sent before may go again */
	unsigned rtos;
	bool tlp_out;
	uint32_t tlp_end;
	bool recovering;
	uint32_t recover;
	uint64_t pmtu_order;
	unsigned pmtu; /* the smallest told; 0: none */
	/* received */
	struct trace_set got; /* beyond irs */
	struct wire_block twice[32];
	unsigned twice_at;
	uint32_t newest; /* first byte of the newest segment out of order */
	bool newest_set;
	bool fin_in, fin_in_first; /* before ours was acknowledged: no TIME-WAIT for us */
	uint32_t acked;            /* last acknowledgement sent */
	uint32_t adv;              /* right edge offered */
	uint32_t ts_recent, ts_last_val;
	uint64_t ts_last_ns, ts_base_ns;
	uint32_t ts_maybe
		[2]; /* of a segment at the edge, or a SYN+ACK that crossed ours: may be echoed */
	bool ts_sent;
	uint64_t owed_ns; /* data came that is not acknowledged; 0: none */
	bool rst_out, rst_in;
	/* figures */
	unsigned long segs, again, by_sack, by_rack, by_dup, by_rto, by_tlp, by_pmtu, probes;
};

void trace_init(struct tcp_trace *t, const struct tcp_world *w, const struct trace_conf *conf,
		char who, struct trace_log *log);
void trace_fini(struct tcp_trace *t);

/* trace_packet: a tap (tcp_node.h).  trace_pmtu: a router told it of an MTU. */
void trace_packet(struct tcp_trace *t, bool out, const uint8_t *ip, unsigned len, bool damaged);
void trace_pmtu(struct tcp_trace *t, unsigned mtu);

#endif

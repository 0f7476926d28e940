/* tcp_model — a TCP peer for tests, small and plain, written from the RFCs: 9293, 7323, 2018, 2883, 5681, 6582, 6298.
 *
 * Shares nothing with dataplane/tcp.  What it does is right and dull: it sends by Reno with SACK (or without), waits long
 * rather than short, keeps every byte out of order, answers keep-alive and window probes, and says in `wrong` when the
 * other side did what nobody may.
 * The user calls model_write, model_read, … at any time; `tell` is called when something changed.
 */
#ifndef SL_TESTS_TCP_MODEL_H
#define SL_TESTS_TCP_MODEL_H

#include "tests/sim/tcp_link.h"
#include "tests/sim/tcp_wire.h"

enum model_state {
	MODEL_CLOSED,
	MODEL_LISTEN,
	MODEL_SYN_SENT,
	MODEL_SYN_RECEIVED,
	MODEL_ESTABLISHED,
	MODEL_FIN_WAIT_1,
	MODEL_FIN_WAIT_2,
	MODEL_CLOSE_WAIT,
	MODEL_CLOSING,
	MODEL_LAST_ACK,
	MODEL_TIME_WAIT,
};

enum model_end { MODEL_OPEN, MODEL_OK, MODEL_RESET, MODEL_ABORTED, MODEL_TIMEOUT };

struct model_conf {
	struct sl_addr local, remote;
	uint16_t port, remote_port; /* remote_port 0: LISTEN takes whoever comes first */
	uint32_t iss;
	uint16_t mss; /* offered; 0: no option */
	uint16_t mtu; /* of packets sent */
	bool wscale, sack, ts;
	uint8_t shift;
	uint32_t rcv_bytes, snd_bytes; /* buffers */
	uint32_t delack_ms;            /* 0: acknowledges everything at once */
	uint32_t time_wait_ms;
	uint32_t ts_offset;
};

#define MODEL_SEGS 2048
#define MODEL_RUNS 256
#define MODEL_TRIES 15 /* time-outs in a row, then it gives up */

/* A segment under way. */
struct model_sent {
	uint32_t seq, len; /* FIN counts one */
	bool fin, sacked, lost, again;
};

struct tcp_model {
	struct tcp_world *w;
	struct model_conf conf;
	enum model_state state;
	enum model_end end;
	char wrong[160];
	void (*send)(void *ctx, const uint8_t *ip, unsigned len);
	void (*tell)(void *ctx);
	void *ctx;
	bool ts, sack, wscale;       /* what our SYN says; then what was agreed */
	uint8_t shift_in, shift_out; /* of the peer's window, of ours */
	uint16_t mss;
	bool shut, closed; /* closed: bytes that come are not read */
	/* sending */
	uint32_t iss, una, nxt, wnd, wl1, wl2;
	uint32_t cwnd, ssthresh, recover;
	bool recovering;
	unsigned dupacks, tries;
	uint8_t *out; /* ring of snd_bytes */
	uint64_t written, acked;
	struct model_sent sent[MODEL_SEGS]; /* by sequence number */
	unsigned sent_cnt;
	bool fin_sent;
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t timed_seq; /* RTT without timestamps: the byte that is timed */
	uint64_t timed_ns;
	/* receiving */
	uint32_t irs, rcv_nxt, adv, ack_sent, ts_recent;
	uint8_t *in; /* ring */
	uint32_t in_bytes;
	uint64_t arrived, read; /* in order */
	bool fin_in, fin_known;
	uint32_t fin_seq;
	struct wire_block run[MODEL_RUNS]; /* out of order, most recent first */
	unsigned run_cnt;
	bool dsack_due;
	struct wire_block dsack;
	unsigned owed; /* segments not acknowledged yet */
	bool ack_now;
	/* timers; UINT64_MAX: not set */
	uint64_t rto_ns, ack_ns, persist_ns, wait_ns, wake_ns;
	uint64_t persist_us;
	/* figures */
	unsigned retrans, timeouts, segs_in, segs_out, dsacks_in;
};

void model_init(struct tcp_model *m, struct tcp_world *w, const struct model_conf *conf);
void model_fini(struct tcp_model *m);
void model_listen(struct tcp_model *m);
void model_connect(struct tcp_model *m);

/* model_arrive takes a packet from a link: a tcp_event_fn. */
void model_arrive(void *model, struct tcp_packet *pkt);
/* model_too_big: a router's word on what we sent. */
void model_too_big(struct tcp_model *m, unsigned mtu);

uint32_t model_room(const struct tcp_model *m);
uint32_t model_write(struct tcp_model *m, const uint8_t *bytes, uint32_t n);
uint32_t model_readable(const struct tcp_model *m);
uint32_t model_read(struct tcp_model *m, uint8_t *to, uint32_t n);
bool model_eof(const struct tcp_model *m);
void model_shutdown(struct tcp_model *m);
void model_close(struct tcp_model *m);
void model_abort(struct tcp_model *m);
/* A keep-alive probe: one byte, or none, before what was acknowledged. */
void model_keepalive(struct tcp_model *m);

const char *model_state_name(enum model_state s);

#endif

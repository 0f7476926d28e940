/* tcp_bed — one stack alone, with segments put in by hand and those it sends kept, for tests of single segments.
 *
 * Time stands still until tcp_bed_run moves it.  Buffers are counted: what is not given back shows (tcp_bed_fini). */
#ifndef SL_TESTS_TCP_BED_H
#define SL_TESTS_TCP_BED_H

#include "dataplane/tcp/tcp_priv.h"

#ifdef TCP_BED_ABORT
#define TCP_BED_SENT 64
#else
#define TCP_BED_SENT 4096
#endif
#define TCP_BED_ISN 5000u /* what tcp_bed_in begins with as the peer's sequence number */

/* A segment the stack sent. */
struct tcp_out {
	struct sl_tuple tuple; /* as it left: src is ours */
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	uint32_t len;
	uint8_t data[64]; /* the first of the payload */
	struct sl_tcp_options o;
	bool csum_ok;
	unsigned ip_len;
};

/* A segment to put in.  Fields left 0 are what a peer would say who knows nothing better. */
struct tcp_in {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t wnd; /* 0: 65535; TCP_BED_WND0: really 0 */
	const void *data;
	uint32_t len;
	struct sl_tcp_options o;
	const uint8_t *raw_options; /* instead of o */
	unsigned raw_len;
	bool bad_csum, v6;
	uint16_t sport, dport; /* 0: 40000, 80 */
};
#define TCP_BED_WND0 0xfffeu

struct tcp_bed_conf {
	uint32_t capacity;  /* 0: 64 */
	uint32_t half_open; /* 0: 32; UINT32_MAX: 0 */
	uint32_t seg_cnt, block_cnt,
		pinned_max;        /* 0: 4096, 1024, 256; UINT32_MAX: 0 or the least */
	uint32_t rcv_max, snd_max; /* 0: 1 MiB */
	uint64_t seed;             /* 0: 1 */
	uint16_t mtu;              /* 0: 1500 */
	unsigned buffers;          /* 0: 4096 */
};

struct tcp_bed;

struct tcp_bed *tcp_bed_create(const struct tcp_bed_conf *conf);
/* tcp_bed_destroy tears down; buffers and memory not given back: a failed assertion of CUnit. */
void tcp_bed_destroy(struct tcp_bed *b);

struct sl_tcp *tcp_bed_stack(struct tcp_bed *b);
/* What a listener answers (SL_ADMIT_YES at first). */
void tcp_bed_admit(struct tcp_bed *b, enum sl_tcp_admit verdict);
void tcp_bed_buffers(struct tcp_bed *b, bool any); /* false: alloc gives none */
unsigned tcp_bed_buffers_used(const struct tcp_bed *b);

/* tcp_bed_in puts a segment in, as packets arrive (parsed by dataplane/parse.h); tcp_bed_run lets ms pass (0: none) and runs
 * the stack, in steps of at most a millisecond.  tcp_bed_check: sl_tcp_check, as an assertion. */
void tcp_bed_in(struct tcp_bed *b, const struct tcp_in *in);
void tcp_bed_run(struct tcp_bed *b, uint32_t ms);
void tcp_bed_check(struct tcp_bed *b);

/* What was sent since the last tcp_bed_clear. */
unsigned tcp_bed_sent(const struct tcp_bed *b);
const struct tcp_out *tcp_bed_out(const struct tcp_bed *b, unsigned i); /* NULL: not so many */
const struct tcp_out *tcp_bed_last(const struct tcp_bed *b);
void tcp_bed_clear(struct tcp_bed *b);
uint64_t tcp_bed_count(const struct tcp_bed *b, enum sl_tcp_counter code);

/* The user of all streams: what was told of the last one. */
struct tcp_user {
	struct sl_stream *s; /* accepted or connected last; NULL after closed */
	unsigned opened, readable, writable, timer, closed;
	enum sl_stream_end why;
};
struct tcp_user *tcp_bed_user(struct tcp_bed *b);

/* tcp_bed_connect opens towards the peer (port 80 there); *ret_iss of our SYN.  tcp_bed_accept does the handshake of a
 * client with options o and gives the stream in ESTABLISHED; what was sent is cleared.  ret_iss: our ISN. */
struct sl_stream *tcp_bed_connect(struct tcp_bed *b, uint32_t *ret_iss);
struct sl_stream *tcp_bed_accept(struct tcp_bed *b, const struct sl_tcp_options *o,
				 uint32_t *ret_iss);

#endif

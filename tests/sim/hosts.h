/* hosts — a few real TCP stacks on one wire, in virtual time, with users that write and check patterns.
 *
 * Host i has the address 10.0.0.(i + 1).  The wire delays every packet alike and loses what the test says.  Buffers are
 * counted: what is not given back fails the test.
 */
#ifndef SL_TESTS_HOSTS_H
#define SL_TESTS_HOSTS_H

#include "dataplane/tcp/tcp.h"

#define HOSTS_MAX 6

struct hosts;

/* One end of a connection, as its user sees it. */
struct hosts_end {
	struct hosts_end *next; /* accepted by the same host after this one */
	struct hosts *net;
	struct sl_stream *s; /* NULL: over */
	bool opened, eof, closed;
	enum sl_stream_end why;
	bool reads;      /* reads by itself */
	uint32_t seed;   /* of what it writes; of what it expects: the other's */
	uint64_t wrote;  /* bytes of its pattern */
	uint64_t read;   /* and of the other's, checked */
	uint32_t expect; /* the other's seed, UINT32_MAX: anything, kept in first[] */
	uint8_t first[1200];
	uint64_t wrong; /* bytes that were not as expected */
};

struct hosts_conf {
	unsigned cnt;     /* hosts */
	uint32_t streams; /* of each */
	uint32_t rcv_max, snd_max;
	uint32_t delay_us;
	/* NULL, or: whether a packet is lost; seen before it enters the wire */
	bool (*lost)(void *ctx, unsigned from, unsigned to, const struct sl_pkt *p);
	void *ctx;
	/* each turn of host `tick_host`, before its stack runs */
	void (*tick)(void *ctx);
	unsigned tick_host;
	/* memory of tick_host's stack; 0: enough */
	uint32_t seg_cnt, block_cnt;
};

struct hosts *hosts_create(const struct hosts_conf *conf);
void hosts_destroy(struct hosts *h);

/* hosts_run lets ms pass, in turns of 200 µs. */
void hosts_run(struct hosts *h, uint32_t ms);
uint64_t hosts_now_ns(const struct hosts *h);

struct sl_addr hosts_addr(unsigned host);
struct sl_tcp *hosts_tcp(struct hosts *h, unsigned host);
struct sl_stats_tcp *hosts_stats(struct hosts *h, unsigned host);
struct sl_tcp_usage hosts_usage(const struct hosts *h, unsigned host);
unsigned hosts_buffers(const struct hosts *h, unsigned host); /* in use */

/* A host takes connections: by ends of its own (hosts_accepted, the first of them), or as admit says.  Else: RST. */
void hosts_listen(struct hosts *h, unsigned host, bool reads, uint32_t seed, uint32_t expect);
void hosts_listen_as(struct hosts *h, unsigned host,
		     enum sl_tcp_admit (*admit)(void *ctx, const struct sl_pkt *p,
						struct sl_tcp_accept *ret),
		     void *ctx);
void hosts_down(struct hosts *h, unsigned host, bool down); /* hears and says nothing */
struct hosts_end *hosts_accepted(struct hosts *h, unsigned host);

struct hosts_end *hosts_connect(struct hosts *h, unsigned host, unsigned to, bool reads,
				uint32_t seed, uint32_t expect);
/* What an end does.  write: as much of n as there is room for. */
uint32_t hosts_write(struct hosts_end *e, uint32_t n);
void hosts_say(struct hosts_end *e, const void *bytes, uint32_t n); /* all of it */
uint32_t hosts_read(struct hosts_end *e, uint32_t n);

#endif

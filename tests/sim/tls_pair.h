/* tls_pair — two of our stacks in virtual time with TLS sessions on both ends of a link; handshakes are play-acted: a few bytes each way,
 * then keys that both know.  What OpenSSL says is tests/tls's business; here streams, sessions and records meet loss, delay and chance. */
#ifndef SL_TESTS_TLS_PAIR_H
#define SL_TESTS_TLS_PAIR_H

#include "l7/tls/session_priv.h"
#include "tests/sim/tcp_link.h"

#define PAIR_VIP "10.0.0.2"

enum { PAIR_CLIENT, PAIR_SERVER, PAIR_SIDES };

struct tls_pair;

struct pair_steps {
	struct tls_pair *pair;
	struct sl_hs_job *queue[64];
	unsigned cnt, limit;
	unsigned hs_cnt; /* handshakes that exist */
};

struct pair_side {
	struct tls_pair *pair;
	unsigned id, buffers, rx_cnt;
	struct sl_tcp *tcp;
	struct sl_tls *tls;
	void *mem, *rows, *tls_mem;
	struct sl_stats_tcp stats;
	struct sl_stats_tls tls_stats;
	struct tcp_link out;
	struct tcp_packet *rx[1024];
	struct pair_steps steps;
};

struct tls_pair {
	struct tcp_world w;
	struct tcp_dice dice;
	uint64_t seed;
	unsigned version, suite;
	bool keep;     /* clients show records for tickets */
	bool fails;    /* the server's handshakes fail */
	unsigned lazy; /* steps are answered once in so many looks */
	struct pair_side side[PAIR_SIDES];
	void (*accepted)(void *ctx, struct sl_stream *s);
	void *ctx;
};

void pair_init(struct tls_pair *p, uint64_t seed, const struct link_conf *link);
/* NULL, or what was left over. */
const char *pair_fini(struct tls_pair *p);
struct sl_stream *pair_connect(struct tls_pair *p, const struct sl_stream_ops *ops, void *user);
/* pair_turn: the next moment, at most until_ns. */
void pair_begin(struct tls_pair *p, uint64_t until_ns);
void pair_end(struct tls_pair *p);

#endif

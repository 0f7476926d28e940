/* http_user — who speaks HTTP in a run: clients that ask, endpoints that answer, and what they know of each other.
 *
 * A request is known by its number, which stands in its target and a header; an answer says whose it is, which one of several,
 * and how long.  Bodies are a function of these numbers, so that each byte can be judged where it arrives.
 *   http_client.c    clients: what they ask, and whether what they hear may be
 *   http_endpoint.c  endpoints: whether what reaches them may be, and how they answer, or lie
 */
#ifndef SL_TESTS_HTTP_USER_H
#define SL_TESTS_HTTP_USER_H

#include "tests/sim/http_net.h"
#include "tests/sim/http_read.h"
#include "tests/sim/tcp_link.h"

#include "dataplane/tcp/stream.h"

#define RUN_SHADOW 6 /* endpoints from here on are of service d */
#define RUN_CLIENTS 24
#define RUN_REQUESTS 256
#define EXCUSE_NS (4 * TCP_S)

/* Which route a request is for: the first part of its path. */
enum req_kind {
	REQ_PLAIN, /* service a, retries as by default */
	REQ_FEW,   /* service b, at most 2 connections */
	REQ_LIMIT, /* service c, at most 3 requests */
	REQ_RETRY, /* service a, subset one (e1; without it, any), tried again on reset and 5xx too */
	REQ_MIRROR,  /* service a, half of them to d, too */
	REQ_HEDGE,   /* service a, beside what is slow others are asked; some are delayed first */
	REQ_UPGRADE, /* service a, subset zero (e0, or nobody); becomes a tunnel, or does not */
	REQ_LOCAL,   /* answered by the gateway: 403 */
	REQ_REDIR,   /* likewise: 301 */
	REQ_NONE,    /* no route: 404 */
	REQ_KINDS
};
extern const char *const req_path[REQ_KINDS];

struct req {
	uint32_t id;
	enum req_kind kind;
	const char *method;
	const char *malformed; /* its bytes, NULL: it is not */
	bool bad_body;         /* malformed, but its head is not */
	bool idempotent, chunked, expect, says_close, keep_10;
	uint8_t version;
	uint64_t body;
	unsigned up, down; /* UPGRADE: bytes through the tunnel */
	/* what became of it */
	uint64_t begun_ns; /* 0: not yet */
	unsigned seen;     /* by endpoints */
	unsigned copies;   /* by those of service d */
	bool reused;       /* the last time on a connection that had had another */
	bool body_seen;    /* bytes of its body reached an endpoint */
	bool wrote_all, whole, faulted, early;
	unsigned status;
	unsigned logged, log_status; /* records of it */
};

struct client {
	struct run *run;
	struct sl_stream *s; /* NULL: none, or over */
	unsigned id, first, cnt, write_at, read_at, depth;
	uint64_t start_ns, write_ns, read_ns, vanish_ns, body_wait_ns, heard_ns;
	uint64_t read_gap_ns;
	uint32_t read_max;
	bool began, opened, over, shut, half_close, continues, told_close, vanished;
	uint8_t *wire; /* of the request being written */
	unsigned wire_len, wire_sent, wire_head;
	struct http_read in;
	/* of the answer being read */
	bool theirs;       /* an endpoint's */
	bool tunnels;      /* behind 101 */
	unsigned up, down; /* bytes that went */
	uint64_t answer_seed, answer_len;
};

#define SEED_UP (1ull << 62)
#define SEED_DOWN (1ull << 61)

enum peer_end { PEER_GOES_ON, PEER_FIN, PEER_RST };

/* A connection to an endpoint. */
struct peer {
	struct peer *next;
	struct run *run;
	struct sl_stream *s; /* NULL: over */
	unsigned endpoint, served;
	struct http_read in;
	struct req *r; /* being answered, or read; NULL: idle */
	uint8_t *out;
	unsigned out_len, out_sent;
	bool answers, stalls, endless, whole, shadow, tunnels, shut;
	unsigned up;       /* bytes of the tunnel that came */
	enum peer_end end; /* when all of out is sent */
	uint64_t write_ns, close_ns;
};

struct run {
	uint64_t seed;
	struct http_net net;
	struct tcp_dice dice;
	bool lies, dies,
		changes; /* endpoints lie; close when nobody expects it; tables and states change */
	struct req req[RUN_REQUESTS + 1]; /* from 1 on */
	unsigned req_cnt;
	struct client client[RUN_CLIENTS];
	unsigned client_cnt;
	struct peer *peers;
	uint64_t disturbed_ns; /* until then anything may fail */
	bool closing;          /* the run is over: endpoints close */
	unsigned fine, own, cut, steps;
	unsigned hedges, won, delayed; /* tries beside others; that won; requests delayed */
	char wrong[240];
};

void run_wrong(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* run_disturbed: something happened that other requests may suffer from. */
void run_disturbed(struct run *run);
/* run_excuses: whether a request may have failed. */
bool run_excuses(const struct run *run, const struct req *r);

/* run_log says with SIM_LOG=1 what happens. */
void run_log(const struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void client_init(struct client *c, struct run *run, unsigned id);
void client_poke(struct client *c);
void client_fini(struct client *c);

/* peer_accepted: of http_net.  peer_poke likewise client_poke. */
void peer_accepted(void *run, struct sl_stream *s, unsigned endpoint);
void peer_poke(struct peer *p);

#endif

/* http_priv — what the files of the HTTP engine share.
 *
 *   http.c          engine, client connections, timers
 *   http_request.c  a head: which route, which answer or which service
 *   http_forward.c  to an endpoint: asking, tries, retries, tunnels
 *   http_answer.c   answers: the endpoint's and the gateway's own
 *   http_pipe.c     bodies, from stream to stream
 *   http_shape.c    bandwidth: what of them may go
 *   http_end.c      the end of an exchange: statistics, access log
 *   http_mirror.c   copies of requests to other services
 *   http_hedge.c    further tries beside a slow one
 *   http_explain.c  what would become of a request
 *   http_jwt.c      tokens of requests
 *   http_shadow.c   what another table would make of it
 *   http_policy.c   what stands between a route and its action, and of that
 *   http_authz.c    sets of rules
 *   http_cors.c     CORS
 *   http_fault.c    faults for tests
 *   http_sticky.c   cookies that keep clients of a split
 *   http_rate.c     limits
 *
 * Life: connections and exchanges that are over are marked, and taken back in the next turn (sl_http_tick), outside any event: so
 * a pointer is good for the whole of an event, whatever was called in between; who calls something that may end them looks
 * at `state` afterwards.
 */
#ifndef SL_L7_HTTP_PRIV_H
#define SL_L7_HTTP_PRIV_H

#include "l7/adaptive.h"
#include "l7/arena.h"
#include "l7/heads.h"
#include "l7/http.h"
#include "l7/jwt_keys.h"
#include "l7/path.h"
#include "l7/shared_count.h"

#include <string.h>

#define HTTP_GATHER (SL_HTTP_HEAD_MAX + 4096) /* a head that came in pieces */
#define HTTP_OUT (SL_ARENA_MAX)               /* a head being written */
#define HTTP_AGAIN_MAX 64     /* connections with more of these that go on in a turn */
#define HTTP_ROOM_ANSWER 8192 /* of room that a request waits for: an ordinary answer's head */
#define HTTP_HEADS_MAX 16    /* requests that one connection has read and answered here in a turn */
#define HTTP_INTERIMS_MAX 32 /* answers 1xx to one request; more are nonsense */
#define HTTP_LINGER_MS 2000  /* how long what a client still says is read over, after our FIN */
#define HTTP_SWEEP_MS 1000   /* every connection is asked `listens` once in this time, */
#define HTTP_SWEEP_MAX 512   /* at most so many in a turn */
#define HTTP_ROOM 4096       /* of room that a writer out of room waits for */
#define HTTP_HEAD_GROWS 256  /* bytes by which an answer's head grows at most, edits aside */
#define HTTP_FRAME 32        /* room that a chunk's framing takes at most */
#define HTTP_TIMER_MAX 86400000
#define HTTP_PROXY_MS 3000 /* for a PROXY header */
#define HTTP_DRAIN_MAX                                                                             \
	65536 /* of a body that nobody wants: read over, so that the connection goes on */
#define HTTP_MIRROR_BODY 16384
#define HTTP_MIRROR_MS 15000
#define HTTP_POLICY_EDITS 24  /* lines that policy adds to one answer */
#define HTTP_POLICY_TEXT 4096 /* bytes of their names and values */
#define HTTP_TOKEN_EDITS 12   /* lines that a token adds to a request */
#define HTTP_TOKEN_TEXT                                                                            \
	(2 * SL_HTTP_HEAD_MAX + 65536) /* of these, names of claims in claims, a query */
#define HTTP_TOKEN_WAITS 1024          /* connections whose tokens wait to be verified */
#define HTTP_TOKEN_WAIT_MS 1000
#define HTTP_HIDDEN_MAX 64 /* lines of a client that are hidden */
#define HTTP_WALL_MS 100   /* so old the time of the day may be */
#define HTTP_ANSWER_TEXT (SL_MAX_EDITS * (255 + 4096) + HTTP_POLICY_TEXT)

/* ---- a body on its way ---- */

enum pipe_verdict {
	PIPE_MORE,   /* all there was went through */
	PIPE_ROOM,   /* waits for room: sl_stream_wait_room was called */
	PIPE_TOKENS, /* SHAPED: there are none left */
	PIPE_DONE,   /* the body's last byte went through */
	PIPE_EARLY,  /* the sender ended before that */
	PIPE_BAD,    /* framing */
	PIPE_LARGE,  /* over max */
};

enum {                         /* http_pipe.flags */
       PIPE_BEGAN = 1 << 0,    /* a chunk was written: CR LF stands before the next one's size */
       PIPE_TRAILERS = 1 << 1, /* the last chunk was read, trailers follow */
       PIPE_OVER = 1 << 2,     /* DONE was said */
       PIPE_TOUCHED = 1 << 3,  /* some of it was consumed: it cannot be sent again */
       PIPE_SHAPED = 1 << 4,   /* within a call: no more than `tokens` bytes go */
       PIPE_BARE = 1 << 5,     /* trailers are read and do not pass */
};

struct http_pipe {
	uint64_t left; /* LENGTH: bytes to come */
	uint64_t
		owed; /* of a chunk that was announced to the receiver, where the sender has none */
	uint64_t moved; /* bytes of the body */
	uint64_t max;   /* of them; 0: no limit */
	int64_t tokens; /* SHAPED: left; below 0: framing took more than there were */
	struct sl_http_chunked chunk;
	uint32_t seen;   /* bytes of trailers that were not whole */
	uint8_t in, out; /* enum sl_http_body; out NONE: read over */
	uint8_t flags;
	uint8_t bad; /* enum sl_http_bad */
};

/* pipe.c: moves what there is; to NULL: read over. */
enum pipe_verdict sl_http_pipe(struct sl_http *h, struct http_pipe *p, struct sl_stream *from,
			       struct sl_stream *to);

/* ---- a client's connection ---- */

enum conn_state {
	CONN_FREE,
	CONN_PROXY,  /* a PROXY header is awaited */
	CONN_PEEK,   /* the first byte tells whether TLS is spoken */
	CONN_TLS,    /* a handshake is under way: `opened` or `closed` follows */
	CONN_IDLE,   /* no byte of a request yet */
	CONN_HEAD,   /* some of a head */
	CONN_BUSY,   /* x */
	CONN_TUNNEL, /* x, after 101 */
	CONN_LINGER, /* our FIN is sent; what comes is read over */
	CONN_OVER,   /* goes back in the next turn */
};

struct http_xchg;

struct http_conn {
	struct sl_http *http;
	struct sl_stream *client; /* NULL: over */
	struct http_xchg *x;      /* BUSY, TUNNEL */
	struct sl_addr peer;      /* the client, as its packets or the PROXY header say */
	uint64_t head_ns;         /* first byte of the request being read */
	uint64_t generation;      /* that it was last looked at by */
	uint32_t listener_slot;
	uint32_t idle_ms;  /* of the table, as the last request saw it */
	uint32_t due_ms;   /* when its timer is meant to fire, and */
	uint32_t armed_ms; /* when it will: not later, unless `armed` is false */
	uint32_t seen;     /* bytes of a head that were answered SL_PARTIAL */
	uint32_t requests;
	uint32_t counted; /* as sl_clients_take gave it */
	uint32_t next;    /* list: place + 1, as */
	uint32_t again;   /* this one; UINT32_MAX: the last of it */
	uint16_t listener_incarnation;
	sl_be16 peer_port;
	uint8_t state;
	uint8_t armed;
	uint8_t going;  /* sl_http_conn_go is on the stack */
	uint8_t ending; /* the listener is gone: after this exchange, no more */
	uint8_t roomy;  /* there is as much room for the next answer as there will be */
	uint8_t tls;    /* 1: it is spoken, or about to be */
	uint8_t waited; /* the request has stood in the next list, first since waited_ms */
	uint8_t drawn;  /* of the request that waits: struct sl_http_env, tried */
	uint32_t waited_ms;
	uint32_t wait; /* list of those whose tokens wait: as `again` */
};

/* ---- an exchange: a request and its answer ---- */

enum xchg_state {
	XCHG_FREE,
	XCHG_ASKING, /* for a connection to an endpoint; or waiting to ask again (retry_at) */
	XCHG_SENT,   /* head on its way; answer awaited */
	XCHG_ANSWER, /* the answer's head was passed on */
	XCHG_LOCAL,  /* the gateway's own answer is written, as far as there is room; the request's
			body is read over */
	XCHG_TUNNEL,
	XCHG_OVER,
};

enum {                            /* http_xchg.flags */
       XF_KEEP = 1 << 0,          /* the client's connection goes on afterwards */
       XF_CONTINUE = 1 << 1,      /* the client waits for 100 before its body */
       XF_UPGRADE = 1 << 2,       /* asked for, and passed on */
       XF_HEAD = 1 << 3,          /* HEAD */
       XF_RETRYABLE = 1 << 4,     /* idempotent */
       XF_REQUEST_LIMIT = 1 << 5, /* holds a REQUESTS of the service */
       XF_RETRY_LIMIT = 1 << 6,   /* holds a RETRIES */
       XF_MIRROR = 1 << 7,
       XF_UP_KEEP = 1 << 8, /* the endpoint's connection may go on */
       XF_TO_SHUT = 1 << 9, /* TUNNEL: FINs passed on */
       XF_FROM_SHUT = 1 << 10,
       XF_LOG = 1 << 11,
       XF_WAITS = 1 << 12, /* the ticket is with upstream */
       XF_HASHED = 1 << 13,
       XF_REUSED = 1 << 14,   /* this try's connection had had requests before */
       XF_TOLD = 1 << 15,     /* env.result learned of this try */
       XF_DOOMED = 1 << 16,   /* the last sweep found its endpoint disabled or removed */
       XF_UP_TLS = 1 << 17,   /* this try's connection is TLS */
       XF_HEDGE = 1 << 18,    /* another try of the exchange `of` */
       XF_DELAYED = 1 << 19,  /* waits on purpose, counted at fault_counter */
       XF_SHAPED = 1 << 20,   /* the service has a bandwidth, as of this try, or the last sweep */
       XF_PAID = 1 << 21,     /* this try's head has had its tokens */
       XF_ADAPTIVE = 1 << 22, /* counted in `adaptive` */
};

struct http_xchg {
	/* line 0 and 1: moved while bytes move */
	struct sl_http *http;
	struct http_conn *conn; /* NULL: a mirror, or a hedge */
	struct sl_up *up;       /* lent; NULL: none */
	struct sl_stream *upstream;
	uint8_t state;
	uint8_t version; /* of the client's request: 10, 11 */
	uint8_t method;
	uint8_t tries;
	uint32_t flags; /* XF_* */
	uint8_t *
		head; /* arena: the head as it is sent (and a mirror's body); then edits; then the record */
	uint32_t head_room; /* of the piece */
	uint32_t head_len, head_sent;
	struct http_pipe req, ans;
	struct sl_up_ticket ticket;
	/* numbers of the route */
	uint32_t
		timeout_ms; /* from the end of the request to the beginning of the answer; 0: none */
	uint32_t timeout_due; /* ms of the worker clock, while `timed` */
	uint32_t try_ms, try_due;
	uint32_t stream_idle_ms;
	uint32_t retry_at;
	uint8_t timed, try_timed, retry_waits, retries; /* retries: left */
	uint8_t avoid_cnt;
	uint32_t seen;    /* bytes of an answer's head that was not whole */
	uint8_t interims; /* answers 1xx so far */
	uint8_t zero[2];
	uint16_t retry_on, service_incarnation;
	uint16_t retry_codes[SL_RETRY_CODES_MAX];
	uint32_t backoff_ms, backoff_max_ms;
	uint16_t name_off, name_len; /* in head: the server name with auto_sni; len 0: none */
	uint32_t service_slot, endpoint_slot;
	uint32_t vhost_slot, route_slot, table_slot;
	uint16_t endpoint_incarnation;
	uint16_t status, upstream_status;
	uint16_t edit_cnt;     /* of the answer */
	uint16_t policy_edits; /* the last ones of these: of policy, also for our own errors */
	uint32_t avoid[8];
	uint64_t hash;
	uint64_t subset; /* of the service, as in struct sl_up_ask */
	uint64_t generation;
	uint32_t edits_off; /* in head: struct sl_img_edit[edit_cnt], then their bytes */
	uint32_t strs_off;
	uint32_t rest_room, rest_len, rest_sent; /* LOCAL: of `rest` */
	uint8_t *rest;       /* arena: what of an answer there was no room for; NULL: nothing */
	uint32_t record_off; /* struct sl_event_access with its strings; XF_LOG */
	uint32_t rflags;     /* SL_RF_* */
	struct sl_addr endpoint;
	sl_be16 endpoint_port;
	uint64_t start_ns, sent_ns, answered_ns, first_ns; /* 0: not yet */
	uint32_t fault_counter;
	uint16_t fault_status; /* the answer after a wait; 0: none */
	/* hedging: tries beside this one are exchanges of their own, which send this one's head */
	struct http_xchg *of; /* HEDGE: whose; it ends them before itself */
	uint32_t hedges;      /* those under way: place + 1, then `next` */
	uint32_t hedge_ms, hedge_at;
	uint8_t hedge_left; /* further ones; hedge_at is when */
	uint8_t hedged;     /* of `tries` */
	uint32_t next;
};

/* ---- who asks ---- */

#define HTTP_CLAIMS_MAX 256 /* of the tokens of a request; a token with more is refused */

/* Claims of the verified tokens of the request being handled, as struct sl_claim says; filled by sl_http_judge_jwt, read by
 * sl_http_judge_authz.  What they point to stays until the request was judged. */
struct http_claims {
	uint32_t cnt; /* 0 when a request begins */
	struct sl_claim claim[HTTP_CLAIMS_MAX];
};

/* ---- tokens ---- */

struct http_hidden {
	struct sl_http_line line;
	uint16_t at;
};

/* Of the request being handled, but for the lists. */
struct http_tokens {
	struct sl_jwt_verifier *verifier;
	int64_t wall_s; /* time of the day, 0: not known */
	uint32_t wall_ms;
	uint32_t wait, wait_last,
		wait_cnt; /* connections, in the order in which they came: place + 1; wait: UINT32_MAX: none */
	struct sl_jwt token;
	/* tokens of a query, decoded: one, and what is compared with it */
	uint8_t found[2][SL_JWT_TOKEN_MAX + 1];
	struct http_hidden hidden[HTTP_HIDDEN_MAX];
	uint32_t hidden_cnt, text_len;
	struct sl_img_edit edits[HTTP_TOKEN_EDITS]; /* d->request_edits of them; texts in text */
	uint8_t text[HTTP_TOKEN_TEXT];
};

/* ---- the engine ---- */

struct sl_http {
	struct sl_http_conf conf;
	struct sl_upstream *upstream;
	struct sl_limits *limits;
	struct sl_adaptive *adaptive; /* [SL_MAX_SERVICES], by slot */
	struct sl_arena *arena;
	struct sl_shaper
		*shaper; /* waiters: of each place of an exchange TO_ENDPOINTS, TO_CLIENTS */
	struct http_conn *conns;
	struct http_xchg *xchgs;
	uint32_t conn_free, conn_used, conn_dead; /* lists: place + 1 */
	uint32_t xchg_free, xchg_used, xchg_dead;
	uint32_t sweep, sweep_end, sweep_ms;
	/* connections whose next requests wait for a turn to come, in the order in which they came: place + 1 */
	uint32_t again, again_last; /* again: UINT32_MAX: none */
	uint64_t random[2];
	bool trying;     /* sl_http_try */
	uint8_t *gather; /* [HTTP_GATHER] */
	uint8_t *out;    /* [HTTP_OUT] */
	uint8_t *path;   /* [SL_HTTP_HEAD_MAX]: a path in normal form */
	uint8_t *cert;   /* [SL_XFCC_MAX]: of the client whose request is handled */
	char request_id[SL_REQUEST_ID_LEN]; /* of the request being handled */
	char address[SL_ADDR_STRLEN + 8];   /* and what stands for its host when it names none */
	struct sl_http_head head;           /* the one being read */
	struct sl_match_result match;
	struct http_claims claims;
	struct http_claims said; /* of a question (explain) */
	struct http_tokens tokens;
	/* of the decision under way */
	struct sl_img_edit policy_edits[HTTP_POLICY_EDITS]; /* texts in policy_text */
	uint8_t policy_text[HTTP_POLICY_TEXT];
	/* edits of a route's answer, with those of policy behind them */
	struct sl_img_edit answer_edits[SL_MAX_EDITS + HTTP_POLICY_EDITS];
	uint8_t *answer_text; /* [HTTP_ANSWER_TEXT] */
};

static inline void
http_count(struct sl_http *h, unsigned code)
{
	h->conf.stats->count[code]++;
}

static inline uint64_t
http_now(const struct sl_http *h)
{
	return sl_tcp_now_ns(h->conf.tcp);
}

uint64_t sl_http_random(struct sl_http *h);

/* http.c: sl_http_conn_go reads requests while there are some and no exchange is under way.  sl_http_conn_end resets the client's
 * stream.  sl_http_conn_close ends it in order: what was written arrives.  sl_http_conn_due: the timer is meant to fire in ms
 * (0: not).  sl_http_xchg_due: when the nearest of what its exchange waits for has come; after each change of that. */
void sl_http_conn_go(struct http_conn *c);
void sl_http_conn_end(struct http_conn *c, enum sl_stream_end why);
void sl_http_conn_close(struct http_conn *c);
void sl_http_conn_due(struct http_conn *c, uint32_t ms);
void sl_http_xchg_due(struct http_xchg *x);
struct http_xchg *sl_http_xchg_new(struct sl_http *h);
/* sl_http_line_came: whether a line ends behind the first `from` readable bytes: else what was not whole before is not now, however
 * often it is read. */
bool sl_http_line_came(struct sl_stream *s, uint32_t from);
/* sl_http_span: all readable bytes from the beginning, up to max, in one piece: in place, or gathered. */
const uint8_t *sl_http_span(struct sl_http *h, struct sl_stream *s, uint32_t max,
			    uint32_t *ret_len);

/* sl_http_peer: who the client is, where TLS verified its certificate; else NULL.  sl_http_identity: its first URI SAN, else its first
 * DNS SAN; .at NULL: none. */
const struct sl_tls_peer *sl_http_peer(const struct http_conn *c);
struct sl_bytes sl_http_identity(const struct http_conn *c);
/* sl_http_sni: the server name it asked for; .len 0: none. */
struct sl_bytes sl_http_sni(const struct http_conn *c);

/* http_request.c: what a head asks for. */
struct http_decision {
	const struct sl_vhost *vhost;          /* NULL: none */
	const struct sl_img_http_route *route; /* NULL: none */
	const struct sl_img_policy *policy;    /* of the route; NULL: none */
	const uint8_t *strs;                   /* of the virtual host */
	struct sl_bytes path, query;           /* path: in normal form */
	uint16_t status;                       /* answered here: refused, or by policy; 0: not */
	uint16_t edit_cnt;     /* in h->policy_edits: of the answer, whoever gives it */
	uint16_t edit_bytes;   /* of their texts in h->policy_text */
	uint8_t request_edits; /* in h->tokens.edits: of the request, before the route's */
	uint8_t wait; /* with a status: it may be asked again later, once sl_http_jwt_wait takes it */
	bool sampled; /* for a trial, dry: takes no more time for signatures than a request's own */
	bool bare;    /* trailers of the request do not pass: lines of it say what a token says */
	bool foreign; /* of an origin that CORS does not allow */
	bool drawn;   /* its target follows from drawn_hash: the client is given the cookie */
	uint64_t drawn_hash;
	uint32_t delay_ms;     /* before the request goes on */
	uint16_t fault_status; /* answered so, after delay_ms */
	uint32_t rflags;
	unsigned count;              /* enum sl_http_counter of the refusal */
	const char *text;            /* for people: a sentence; of policy the answer's body, too */
	char why[SL_ACCESS_WHY_MAX]; /* which rule, limit, key or fault decided; "": none */
};

/* Who asks. */
struct http_ask {
	struct sl_addr peer;      /* as its packets or the PROXY header say */
	struct sl_bytes identity; /* of its verified certificate; .at NULL: none */
	struct sl_bytes
		sni;   /* the server name that it asked for by TLS; .len 0: none, or not known */
	uint16_t port; /* of the listener */
	const struct http_claims
		*claims; /* of a question: what his token is to say; NULL: it is looked at */
};

/* http_policy.c: what stands between the route and its action (image_policy.h says in which order); d: of sl_http_decide, with a
 * route.  dry: nothing is taken, counted or remembered.  sl_http_policy_edit adds a line to the answer: in place of all of its
 * name; false: no room; sl_http_policy_line does any other edit.  sl_http_policy_refuse: answered here, with why ("shop/deny-admins"), which log and explain tell. */
void sl_http_judge_policy(struct sl_http *h, const struct sl_http_rule *rule,
			  const struct http_ask *who, const struct sl_http_head *head,
			  struct http_decision *d, bool dry);

static inline void
sl_http_judge(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
	      const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	h->claims.cnt = 0;
	h->tokens.hidden_cnt = 0;
	if (sl_unlikely(d->route->policy))
		sl_http_judge_policy(h, rule, who, head, d, dry);
}

bool sl_http_policy_edit(struct sl_http *h, struct http_decision *d, const char *name,
			 const void *value, size_t len);
bool sl_http_policy_line(struct sl_http *h, struct http_decision *d, enum sl_edit_op op,
			 const char *name, const void *value, size_t len);
/* http_authz.c: 403 unless all sets of rules of the row allow it. */
void sl_http_judge_authz(struct sl_http *h, const struct sl_http_rule *rule,
			 const struct http_ask *who, const struct sl_http_head *head,
			 struct http_decision *d, bool dry);
void sl_http_policy_why(struct http_decision *d, const char *set, const char *rule);
void sl_http_policy_refuse(struct http_decision *d, uint16_t status, uint32_t rflags,
			   unsigned count, const char *text);

/* http_jwt.c.  restore: lines of the head that were hidden are as they were.  wait: the connection's request is handled anew when
 * signatures may be checked; false: it is to be answered. */
void sl_http_judge_jwt(struct sl_http *h, const struct sl_http_rule *rule,
		       const struct sl_http_head *head, struct http_decision *d, bool dry);
/* sl_http_presume_jwt: who asks told of claims in place of a token (explain): refuses what no issuer of the route would stand for. */
void sl_http_presume_jwt(struct sl_http *h, const struct sl_http_rule *rule,
			 const struct http_claims *claims, struct http_decision *d);
void sl_http_jwt_restore(struct sl_http *h, const struct sl_http_head *head);
bool sl_http_jwt_wait(struct http_conn *c);
/* tick: each turn.  next: who may go on now; NULL: nobody. */
void sl_http_jwt_tick(struct sl_http *h);
struct http_conn *sl_http_jwt_next(struct sl_http *h);
/* http_rate.c: limits of the route's row, and those of the service that a request goes to; service: false: refused in d. */
void sl_http_judge_rates(struct sl_http *h, const struct http_ask *who,
			 const struct sl_http_head *head, struct http_decision *d, bool dry);
bool sl_http_service_rates(struct sl_http *h, const struct sl_img_service *svc,
			   const struct http_ask *who, const struct sl_http_head *head,
			   struct http_decision *d, bool dry);
/* http_cors.c.  sl_http_cors_allows: whether one of origins (image_policy.h) is this one. */
void sl_http_judge_cors(struct sl_http *h, const struct sl_http_head *head,
			struct http_decision *d);
bool sl_http_cors_allows(struct sl_bytes origins, struct sl_bytes origin);
/* http_fault.c.  sl_http_fault_hide: what asks for faults is not passed on.  sl_http_fault_wait: x goes on after d->delay_ms, or at
 * once where too many wait.  _over: that time has come.  _end: it waits no more. */
void sl_http_judge_fault(struct sl_http *h, const struct sl_http_head *head,
			 struct http_decision *d, bool dry);
bool sl_http_fault_by_header(const struct http_decision *d);
void sl_http_fault_hide(struct sl_http_head *head);
void sl_http_fault_wait(struct http_xchg *x, const struct http_decision *d);
void sl_http_fault_over(struct http_xchg *x);
void sl_http_fault_end(struct http_xchg *x);
/* http_sticky.c */
void sl_http_judge_sticky(struct sl_http *h, const struct sl_http_rule *rule,
			  const struct sl_http_head *head, struct http_decision *d, bool dry);

/* http_shadow.c.  sl_http_shadow asks the table that is tried, before the request is decided on; false: it is not sampled.  d: what was
 * decided, before it is acted upon. */
bool sl_http_shadow(struct http_conn *c, const struct http_ask *who,
		    const struct sl_http_head *head, struct sl_http_outcome *ret);
void sl_http_shadow_compare(struct http_conn *c, const struct sl_http_rule *rule,
			    const struct http_ask *who, const struct sl_http_head *head,
			    const struct http_decision *d, const struct sl_http_outcome *then);

void sl_http_decide(struct sl_http *h, const struct sl_http_rule *rule,
		    const struct sl_http_head *head, struct sl_bytes identity,
		    struct http_decision *ret);
/* sl_http_subset: which subset of its service a target is (sl_choose_subset). */
uint64_t sl_http_subset(const struct sl_img_service *svc, const struct sl_img_target *t);

/* sl_http_target: the target of a route for this request: by weight, kept by what is sticky. */
const struct sl_img_target *sl_http_target(struct sl_http *h, const struct http_decision *d,
					   const struct sl_http_head *head,
					   const struct sl_addr *peer);
/* sl_http_hash: of a value that something is kept by. */
uint64_t sl_http_hash(const void *value, size_t len);
/* sl_http_hash_on: what the service hashes on; false: the request has none. */
bool sl_http_hash_on(const struct sl_img_service *svc, const struct sl_http_head *head,
		     const struct http_decision *d, const struct sl_addr *peer, uint64_t *ret);
/* sl_http_go_on: what was written of the request in x goes to its service, if that has a place. */
void sl_http_go_on(struct http_xchg *x);
void sl_http_handle(struct http_conn *c, const struct sl_http_rule *rule,
		    const struct sl_http_head *head, uint32_t consumed);
/* sl_http_refuse answers a client who is not in an exchange, and closes.  head_only: he asked with HEAD. */
void sl_http_refuse(struct http_conn *c, uint16_t status, uint32_t rflags, unsigned code,
		    uint8_t bad, bool head_only);

/* http_forward.c */
extern const struct sl_up_ops sl_http_up_ops;
extern const struct sl_stream_ops sl_http_upstream_ops;
void sl_http_ask(struct http_xchg *x);
/* sl_http_ask_of: what a try of x asks for.  sl_http_begin_try: up was lent for it: the head goes out. */
void sl_http_ask_of(const struct http_xchg *x, struct sl_tuple *ret_client,
		    struct sl_up_ask *ret_ask);
void sl_http_begin_try(struct http_xchg *x, struct sl_up *up);
/* sl_http_named: the head in x->head was made: what endpoints that go by server names are asked by.  host_len: of its host with its
 * port; shadow: "-shadow" is not part of it. */
void sl_http_named(struct http_xchg *x, bool shadow);
/* sl_http_told: what became of the try, once: OK when its answer is whole, or nobody waits for the rest.  sl_http_try_of: of an
 * answer's status. */
void sl_http_told(struct http_xchg *x, enum sl_try what);
static inline enum sl_try
sl_http_try_of(unsigned status)
{
	return status < 500                   ? SL_TRY_OK
	       : status > 501 && status < 505 ? SL_TRY_GATEWAY
					      : SL_TRY_5XX;
}
/* sl_http_timed: the request is whole: its time-out begins. */
void sl_http_timed(struct http_xchg *x);
/* sl_http_try_failed: a try came to nothing: another one, or the answer `status`.  kind: SL_RETRY_* or 0: never again. */
void sl_http_try_failed(struct http_xchg *x, unsigned kind, uint16_t status, uint32_t rflags,
			unsigned code);
/* sl_http_retries: whether another try may be made for kind; it is then counted, and sl_http_try_next makes it. */
bool sl_http_retries(struct http_xchg *x, unsigned kind);
void sl_http_try_next(struct http_xchg *x);
void sl_http_request_go(struct http_xchg *x); /* moves what there is of head and body */
void sl_http_up_drop(struct http_xchg *x, bool clean);
void sl_http_tunnel_go(struct http_xchg *x);

/* http_shape.c: sl_http_shape_look: a try begins, or time has passed: whether the service has a bandwidth.  _leave: a try is over.
 * _waits: for tokens.  _head: whether n bytes of a head may go now; else the exchange goes on by itself later.  _pipe: sl_http_pipe of the
 * request's or answer's body.  _forward: sl_stream_forward of a tunnel, as much as may go.  _go: tokens have come.  Where XF_SHAPED is not
 * set, all but _look cost a test of it. */
void sl_http_shape_look(struct http_xchg *x);
void sl_http_shape_leave(struct http_xchg *x);
bool sl_http_shape_queued(const struct http_xchg *x, enum sl_way way);
bool sl_http_shape_take(struct http_xchg *x, enum sl_way way, uint32_t n);
enum pipe_verdict sl_http_shape_pipe(struct http_xchg *x, enum sl_way way);
uint32_t sl_http_shape_forward(struct http_xchg *x, struct sl_stream *from, struct sl_stream *to,
			       enum sl_way way);
void sl_http_shape_go(void *engine, uint32_t waiter);

static inline bool
sl_http_shape_waits(const struct http_xchg *x, enum sl_way way)
{
	return sl_unlikely(x->flags & XF_SHAPED) && sl_http_shape_queued(x, way);
}

static inline bool
sl_http_shape_head(struct http_xchg *x, enum sl_way way, uint32_t n)
{
	return sl_likely(!(x->flags & XF_SHAPED)) || sl_http_shape_take(x, way, n);
}

/* http_answer.c.  sl_http_retry_kind: which of the route's conditions for another try an answer meets; 0: none. */
void sl_http_answer_go(struct http_xchg *x);
unsigned sl_http_retry_kind(const struct http_xchg *x, uint16_t status);
/* sl_http_local: the gateway's own answer of an exchange. */
struct http_local {
	uint16_t status;
	struct sl_bytes body, content_type, location;
	struct sl_edits edits;
};
void sl_http_local(struct http_xchg *x, const struct http_local *l);
void sl_http_local_error(struct http_xchg *x, uint16_t status, uint32_t rflags, unsigned code);
/* sl_http_client_write puts bytes to the client; false: no room for them at all. */
bool sl_http_client_write(struct http_conn *c, const uint8_t *bytes, uint32_t n);

/* http_end.c: an exchange is over.  sl_http_xchg_end does not touch the client's connection. */
void sl_http_xchg_end(struct http_xchg *x);
void sl_http_record(struct http_xchg *x, const struct sl_http_head *head, uint8_t *to);
uint32_t sl_http_record_bytes(const struct http_conn *c, const struct sl_http_head *head);
/* sl_http_why: what decided, for the access log, in place of what was said before; cut to SL_ACCESS_WHY_MAX - 1. */
void sl_http_why(struct http_xchg *x, const char *why);
void sl_http_log_refused(struct http_conn *c, uint16_t status, uint32_t rflags, uint8_t bad);

/* http_mirror.c: copies of a request, as its route says; before the request's own body is touched. */
void sl_http_mirror(struct http_conn *c, const struct sl_http_rule *rule,
		    const struct http_decision *d, const struct sl_http_head *head,
		    uint32_t consumed, struct sl_head_request *how);
void sl_http_mirror_readable(struct http_xchg *x);

/* http_hedge.c: beside a try that takes long, others, to other endpoints (image_policy.h: hedge_ms, hedge_max).  The first answer
 * goes on; those that cost another try are worth less than a try that is still under way.
 * sl_http_hedge_begin: the first try is asked for.  sl_http_hedge_only: no try beside x's own any more, now or later. */
void sl_http_hedge_begin(struct http_xchg *x);
void sl_http_hedge_only(struct http_xchg *x);
/* sl_http_hedge_instead: x's own try came to nothing, and was told; whether others are under way that x waits for.
 * sl_http_hedge_loses: whether an answer is worth less than these. */
bool sl_http_hedge_instead(struct http_xchg *x);
bool sl_http_hedge_loses(const struct http_xchg *x, uint16_t status);
/* sl_http_hedge_due: ms until another try is to be made, or one takes too long; UINT32_MAX: never.  _late: one of these, if it is
 * time. */
uint32_t sl_http_hedge_due(const struct http_xchg *x, uint32_t now_ms);
void sl_http_hedge_late(struct http_xchg *x, uint32_t now_ms);
/* Of a hedge w: its connection is there; it failed; a head of an answer came: true: read another one. */
void sl_http_hedge_ready(struct http_xchg *w, struct sl_up *up);
void sl_http_hedge_failed(struct http_xchg *w, unsigned kind, uint16_t status, uint32_t rflags,
			  unsigned code);
bool sl_http_hedge_came(struct http_xchg *w, const struct sl_http_head *head, uint32_t consumed);
/* sl_http_hedge_doomed: those whose endpoint was taken away are cut. */
void sl_http_hedge_doomed(struct http_xchg *x, bool (*is_doomed)(struct http_xchg *w));

#endif

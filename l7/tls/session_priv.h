/* session_priv — what the files of the session engine share.
 *
 *   session.c      engine, places, events of streams, what users ask (filter.h)
 *   session_hs.c   the handshake: bytes ↔ jobs, deadlines, tickets of endpoints
 *   session_in.c   records in: data, alerts, messages behind the handshake
 *   session_out.c  records out: what was written, alerts, key updates
 *
 *   FREE ─▶ HANDSHAKE ─▶ OPEN ─▶ CLOSING (the user is gone; what he wrote goes out) ─▶ FREE
 *                  └───────┴──▶ over: the user is to be told `closed` ─▶ FREE
 *
 * A session that ended gets another generation: who calls a user looks at it afterwards.
 */
#ifndef SL_L7_TLS_SESSION_PRIV_H
#define SL_L7_TLS_SESSION_PRIV_H

#include "l7/arena.h"
#include "l7/tls/ossl.h"
#include "l7/tls/session.h"

#include <openssl/crypto.h>
#include <string.h>

#define TLS_UNREAD_MAX 65536  /* bytes of plaintext before records are left where they are */
#define TLS_UNREAD_PIECES 256 /* and pieces of it: each may hold a block, however short it is */
#define TLS_SPANS 256         /* pieces of a record; more are put together */
#define TLS_ROOM 64           /* bytes of room that records take beside 1/32 */
#define TLS_FLOOD 32          /* key updates, empty records or such, between two bytes of data */
#define TLS_UPDATES 100       /* key updates in a second, whatever else comes */
#define TLS_TICKET_MS 2000    /* how long an endpoint's ticket is waited for */
#define TLS_CLOSE_MS 60000    /* how long what was written may take to go out behind its user */
#define TLS_RECORD_SMALL 16   /* records of one segment before they grow, */
#define TLS_IDLE_MS 1000      /* and after so long a pause again */
#define TLS_YIELD_MS 1000     /* how long a silent peer is waited for when others want its place */
#define TLS_YIELD_LOOKS 8     /* for one, at the oldest */
#define TLS_SCAN_MS 100       /* between two looks at deadlines */
#define TLS_POLL 64           /* jobs taken back in a turn */

enum session_state { SESSION_FREE, SESSION_HANDSHAKE, SESSION_OPEN, SESSION_CLOSING };

enum { /* session.flags */
       SF_SERVER = 1 << 0,
       SF_TELL_OPENED = 1 << 1,
       SF_OVER = 1 << 2,        /* `closed` is to be told; nothing else happens */
       SF_RAW_OVER = 1 << 3,    /* the raw stream has ended; held until its bytes are read */
       SF_SAID_END = 1 << 4,    /* close_notify came */
       SF_ENDED = 1 << 5,       /* nothing more comes */
       SF_SHUT = 1 << 6,        /* the user writes no more, */
       SF_SHUT_SENT = 1 << 7,   /* and the peer was told */
       SF_BLOCKED = 1 << 8,     /* what is written waits for room */
       SF_UPDATE_OWED = 1 << 9, /* a KeyUpdate of ours was asked for */
       SF_JOB_OUT = 1 << 10,    /* a job is at a thread */
       SF_JOB_WAITS = 1 << 11,  /* for a job, or a thread with room for it */
       SF_BEGUN = 1 << 12,      /* the first job was submitted */
       SF_KEEP = 1 << 13,       /* records are shown to OpenSSL, for tickets */
       SF_MORE_OUT = 1 << 14,   /* the answer had more than a job holds */
       SF_PENDING = 1 << 16,    /* in the list of deadlines */
       SF_TOLD_END = 1 << 15,   /* the user knows of ENDED */
};

struct session {
	struct sl_filter filter; /* first */
	struct sl_tls *tls;
	/* in */
	struct sl_chunk *in_first, *in_last; /* plaintext, not consumed */
	uint32_t in_bytes, in_cnt;           /* in_cnt: pieces */
	uint32_t state_flags;                /* SF_* */
	/* out */
	struct sl_chunk *out_first, *out_last; /* plaintext, not sealed */
	uint32_t out_bytes;
	uint32_t want;        /* room the user waits for */
	uint8_t state;        /* enum session_state */
	uint8_t end;          /* enum sl_stream_end, with OVER, RAW_OVER */
	uint8_t idle_records; /* key updates, empty records … since data came */
	uint8_t small_left;   /* records of one segment still to be sent */
	uint8_t message
		[5]; /* a message behind the handshake: its header, the first byte of its body, */
	uint8_t message_got;
	uint8_t suite, hash_len;
	uint32_t message_left; /* and what is still to come of it */
	uint32_t out_ms;       /* when something was sealed last */
	uint32_t update_ms;    /* when the second of update_cnt began */
	uint32_t update_cnt;   /* key updates of the peer in it */
	struct sl_record_dir read, write;
	uint8_t read_secret[SL_SECRET_LEN_MAX], write_secret[SL_SECRET_LEN_MAX];
	struct sl_tls_info info;
	uint8_t *about; /* arena: alpn[SL_ALPN_MAX], then struct sl_tls_peer; NULL: nothing */
	uint32_t about_room;
	uint32_t generation;
	void *ssl; /* records by OpenSSL */
	/* handshake */
	struct sl_hs *hs;
	struct sl_hs_job *job; /* answered; its bytes are on their way out */
	uint32_t job_sent;
	uint32_t slot, endpoint_slot; /* of listener or service */
	uint32_t due_ms;
	uint32_t next,
		prev; /* list of those in a handshake, or with tickets awaited: place + 1.  Free: next */
	uint16_t incarnation;
	uint16_t host_room;
	char *host; /* arena; NULL: none */
	uint64_t began_ns;
};

struct sl_tls {
	struct sl_tls_conf conf;
	struct session *sessions;
	struct sl_hs_job *jobs;
	struct sl_hs_job **free_jobs; /* [conf.jobs] */
	struct sl_hs **ends;          /* to be told END */
	struct sl_arena *arena;
	struct sl_record_engine *records;
	struct sl_keys *keys;
	uint8_t *linear; /* [SL_RECORD_WIRE_MAX] */
	uint32_t free_cnt, end_cnt;
	uint32_t session_free, session_linked, session_used;
	uint32_t pending, pending_cnt; /* list, the newest first: place + 1 */
	uint32_t pending_last;
	uint32_t scan, scan_ms;
	uint32_t waits; /* how many have JOB_WAITS */
	uint64_t expanded;
	struct sl_span spans[TLS_SPANS];
};

static inline struct session *
session_of(const struct sl_filter *f)
{
	return (struct session *)(uintptr_t)f;
}

static inline void
tls_count(struct sl_tls *t, unsigned code)
{
	t->conf.stats->count[code]++;
}

static inline bool
session_has(const struct session *s, uint32_t flag)
{
	return s->state_flags & flag;
}

static inline uint32_t
session_place(const struct session *s)
{
	return (uint32_t)(s - s->tls->sessions);
}

/* session.c: sl_session_end: the user is told `closed` in the coming run.  sl_session_release: the place is free, the stream without a filter
 * (and let go by the caller).  sl_session_about keeps what is known of the peer. */
void sl_session_end(struct session *s, enum sl_stream_end why);
void sl_session_release(struct session *s);
bool sl_session_about(struct session *s, const struct sl_hs_job *job);
void sl_session_drain(struct sl_stream *stream); /* what nobody will read */
void sl_session_drop_chunks(struct session *s, struct sl_chunk **first, struct sl_chunk **last);

/* session_hs.c */
void sl_session_pend(struct session *s, uint32_t due_ms); /* into the list of deadlines */
void sl_session_unpend(struct session *s);
void sl_session_hs_go(struct session *s);      /* what there is to do of the handshake */
void sl_session_hs_release(struct session *s); /* hs and job, of one that ends */
/* a record of an endpoint for its ticket, before it is opened: the job; then shown or not */
struct sl_hs_job *sl_session_ticket_copy(struct session *s, uint32_t bytes);
void sl_session_ticket_show(struct session *s, struct sl_hs_job *job);
void sl_session_ticket_drop(struct session *s,
			    struct sl_hs_job *job); /* it is none: nothing more is shown */
void sl_session_ticket_end(struct session *s);
bool sl_session_hs_tick(struct sl_tls *t);
/* the list of deadlines is full: one of the oldest goes, if it only waits for its peer */
void sl_session_hs_yield(struct sl_tls *t);

/* session_in.c: opens what there is.  Whether the user has something new. */
bool sl_session_in(struct session *s);

/* session_out.c: sl_session_flush seals and sends what may go.  sl_session_fail sends an alert and ends. */
void sl_session_flush(struct session *s);
void sl_session_fail(struct session *s, uint8_t alert, unsigned code);
uint32_t sl_session_room(const struct session *s);

#endif

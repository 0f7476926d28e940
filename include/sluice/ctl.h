/* ctl — what sluiced and sluice-dataplane say to each other.
 *
 * A SOCK_SEQPACKET Unix socket; the dataplane listens, sluiced connects.  Peer credentials are checked:
 * the dataplane takes its own uid, root, and the uid of its boot file's `daemon_user`.  One daemon at a
 * time: a second one gets BYE with a text and is closed; the first is not disturbed.
 * A message is one struct of its type with exactly that type's size plus, where said, trailing text of
 * `text_len` bytes (not terminated, UTF-8 printable).  Anything else — wrong length, version, type, or
 * descriptor count — is answered with BYE and the connection is closed; the active generation stays.
 *
 *   sluiced                               sluice-dataplane
 *     HELLO  ─────────────────────────────▶
 *     ◀──────────────────────── WELCOME   + 2 descriptors: state segment, stats segment
 *     ◀──────────────────────── STREAMS + fd: the region of TCP streams (streams.h), open for reading only; once, after
 *                                          WELCOME; not sent where TCP is off
 *     ◀──────────────────────── EVENTS + fd: the region of access-log records (events.h), for reading and writing; as STREAMS
 *     ◀──────────────────────── KEEP   + fd: the flow region (flows.h), when the dataplane has one, and again
 *                                          whenever it makes another
 *     PARKED + fd ────────────────────────▶  the region of a dataplane before, when WELCOME says flows = 0;
 *                                            at most one, before the first OFFER
 *     ◀──────────────────────── TAKEN kept, lost, text     (also once, unasked, to the first daemon of a dataplane that
 *                                                            took a region at boot)
 *     OFFER gen, root id  + root fd ──────▶
 *     ◀──────────────────────── WANT gen, [refs it does not hold]     (as many as needed, last flagged)
 *     OBJECT gen, ref + fd ───────────────▶  (one each, any order)
 *                                            … validates, builds, publishes, waits for all workers …
 *     ◀──────────────────────── REASON gen, text   (any number)
 *     ◀──────────────────────── VERDICT gen, active or refused, times
 *
 * OFFER while another offer is open replaces it (the older gets VERDICT superseded).  Offering the
 * root that is active answers VERDICT active at once.  When sluiced goes away an open offer is dropped.
 * An OFFER that comes while a worker has not taken its flow table, or the generation before, waits for it: WANT comes when it has, or
 * after SL_CTL_HOLD_MS the refusal.
 * EXPLAIN, EXPLAIN_HTTP and SECRET may come at any time after WELCOME.  An EXPLAIN that cannot be answered (unknown port, a
 * worker that does not answer) gets a REASON with its seq and generation 0 in place of EXPLAINED.
 * The dataplane makes or takes its flow region at the first of PARKED and OFFER (or at boot, from the descriptor store
 * of systemd or a predecessor that upgraded itself), and no packet needs it before.  KEEP's descriptor is
 * open for reading only; the daemon holds it, reads flows from it, and gives it back in PARKED.
 * PARKED twice on a connection, or after its first OFFER, breaks the protocol: BYE.  PARKED to a dataplane that has its
 * region, and a region that is not what it should be, are harmless: TAKEN with SL_CTL_TAKEN_NOT.
 * UPGRADE: the dataplane looks whether the program file it was started from would run here and has the same
 * table versions, answers UPGRADED (error, or 0 with a text), and becomes that program; the daemon sees the
 * connection end and connects again.  The message names no file: who may replace the program decides.
 * PORTS asks about ports; each is answered by PORTs with its seq, one port after the other, the last message flagged.  Of all
 * ports without, of one with the device's own statistics.  About a port that is not there: REASON as for EXPLAIN.
 * OFFER with sample_ppm is of a table that is tried beside the active one: it is checked and built like any other, but never
 * used: of requests and connections that are sampled it is only asked what it would do with them (VERDICT tried).  At most one; it
 * ends with SHADOW SL_SHADOW_END, or with the connection.  SHADOW is answered by SHADOW_COUNTS and as many SHADOW_EXAMPLEs as that
 * says, or by REASON: nothing is tried.
 * STOPPING: the dataplane was told to stop, or to upgrade, and goes on for wait_ms at most; the daemon withdraws what it
 * announces and says STOP.  A daemon that has nothing to withdraw answers at once.
 * Both segments of WELCOME are memfds sealed with F_SEAL_SHRINK | F_SEAL_GROW: their size cannot change under
 * the reader.
 */
#ifndef SLUICE_CTL_H
#define SLUICE_CTL_H

#include "sluice/addr.h"
#include "sluice/image.h"

#define SL_CTL_MAGIC 0x4c544353u /* "SCTL" */
#define SL_CTL_VERSION 9
#define SL_CTL_MSG_MAX 8192  /* bytes of any message */
#define SL_CTL_WANT_MAX 1024 /* refs in one WANT */
#define SL_CTL_TEXT_MAX 1024
#define SL_CTL_HOLD_MS 60000 /* that an OFFER waits for a worker at most */

enum sl_ctl_type {
	SL_CTL_HELLO = 1,
	SL_CTL_WELCOME = 2,
	SL_CTL_OFFER = 3,
	SL_CTL_WANT = 4,
	SL_CTL_OBJECT = 5,
	SL_CTL_REASON = 6,
	SL_CTL_VERDICT = 7,
	SL_CTL_EXPLAIN = 8,
	SL_CTL_EXPLAINED = 9,
	SL_CTL_SECRET = 10,
	SL_CTL_SECRET_ACK = 11,
	SL_CTL_BYE = 12,
	SL_CTL_KEEP = 13,
	SL_CTL_PARKED = 14,
	SL_CTL_TAKEN = 15,
	SL_CTL_UPGRADE = 16,
	SL_CTL_UPGRADED = 17,
	SL_CTL_STREAMS = 18,
	SL_CTL_EVENTS = 19,
	SL_CTL_EXPLAIN_HTTP = 20,
	SL_CTL_EXPLAINED_HTTP = 21,
	SL_CTL_FORGET = 22,
	SL_CTL_PORTS = 23,
	SL_CTL_PORT = 24,
	SL_CTL_STOPPING = 25,
	SL_CTL_STOP = 26,
	SL_CTL_SHADOW = 27,
	SL_CTL_SHADOW_COUNTS = 28,
	SL_CTL_SHADOW_EXAMPLE = 29,
};

struct sl_ctl_head {
	uint32_t magic;   /* SL_CTL_MAGIC */
	uint16_t version; /* SL_CTL_VERSION */
	uint16_t type;    /* enum sl_ctl_type */
	uint32_t size;    /* bytes of the whole message */
	uint32_t seq; /* chosen by the asker, returned in answers; 0 where there is no question */
};

struct sl_ctl_hello {
	struct sl_ctl_head head;
	uint32_t image_version; /* SL_IMAGE_VERSION */
	uint32_t pid;
};

#define SL_CTL_PRIVILEGES_DROPPED 1u /* no thread has capabilities, */
#define SL_CTL_PRIVILEGES_LOCK 2u    /* but the one to lock memory */
#define SL_CTL_PRIVILEGES_FILTER 4u  /* system calls are filtered */
#define SL_CTL_PRIVILEGES_ALL 7u

struct sl_ctl_welcome { /* + state fd, stats fd */
	struct sl_ctl_head head;
	uint32_t image_version;
	uint32_t pid;
	uint64_t boot_id;
	uint64_t generation;   /* active one, 0: none since boot */
	struct sl_obj_id root; /* of the active one */
	uint32_t worker_cnt;
	uint32_t port_cnt;
	uint64_t state_bytes;
	uint64_t stats_bytes;
	uint32_t flows;      /* 1: has its flow region, KEEP follows; 0: not yet */
	uint32_t privileges; /* SL_CTL_PRIVILEGES_*; 0: those it was started with */
};

struct sl_ctl_keep { /* + fd, read-only */
	struct sl_ctl_head head;
	uint64_t bytes;  /* of the region */
	uint64_t region; /* its id (flows.h) */
};

struct sl_ctl_parked { /* + fd */
	struct sl_ctl_head head;
	uint64_t bytes;
	uint64_t region;
};

struct sl_ctl_events { /* + fd */
	struct sl_ctl_head head;
	uint64_t bytes; /* of the region */
};

struct sl_ctl_streams { /* + fd, read-only */
	struct sl_ctl_head head;
	uint64_t bytes; /* of the region */
};

enum sl_ctl_taken_how {
	SL_CTL_TAKEN_NOT = 0,     /* refused or already has one: text says why; flows start empty */
	SL_CTL_TAKEN_PLACE = 1,   /* goes on in the same memory */
	SL_CTL_TAKEN_REBUILT = 2, /* number of workers or size changed: copied; KEEP follows */
};

struct sl_ctl_taken { /* + text */
	struct sl_ctl_head head;
	uint32_t how;      /* enum sl_ctl_taken_how */
	uint32_t text_len; /* [1, SL_CTL_TEXT_MAX] */
	uint64_t kept;     /* flows, halves counted once */
	uint64_t expired;  /* ended by time meanwhile */
	uint64_t lost;     /* damaged, or no room */
};

struct sl_ctl_upgrade {
	struct sl_ctl_head head;
};

struct sl_ctl_upgraded { /* + text */
	struct sl_ctl_head head;
	uint32_t error;    /* 0: about to become the new program; else errno, nothing has changed */
	uint32_t text_len; /* [1, SL_CTL_TEXT_MAX] */
};

struct sl_ctl_offer { /* + root fd */
	struct sl_ctl_head head;
	uint64_t generation; /* ≥ 1, larger than the active one */
	struct sl_obj_id root;
	uint32_t
		sample_ppm; /* [1, 1000000]: tried beside the active one with so many; 0: to be active */
	uint32_t zero;
};

struct sl_ctl_want {
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t last;  /* 1: no further WANT for this offer */
	uint32_t cnt;   /* [0, SL_CTL_WANT_MAX]; the message carries exactly cnt refs */
	uint32_t ref[]; /* indices into the root's refs */
};

struct sl_ctl_object { /* + object fd */
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t ref;
	uint32_t zero;
};

struct sl_ctl_reason { /* + text */
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t text_len; /* [1, SL_CTL_TEXT_MAX] */
	uint32_t zero;
};

enum sl_ctl_outcome {
	SL_CTL_ACTIVE = 1,     /* every worker uses it */
	SL_CTL_REFUSED = 2,    /* REASONs came before; the old generation is still active */
	SL_CTL_SUPERSEDED = 3, /* a later offer replaced this one */
	SL_CTL_TRIED = 4,      /* every worker compares it with the active one */
};

struct sl_ctl_verdict {
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t outcome;
	uint32_t live;     /* generations alive now, this one included */
	uint64_t check_ns; /* validation */
	uint64_t build_ns; /* run-time structures */
	uint64_t swap_ns;  /* from publication until the last worker uses it */
};

/* EXPLAIN runs the worker's own code on the worker's own tables for a packet made of the tuple, with
 * transmission, insertion and counters off. */
struct sl_ctl_explain {
	struct sl_ctl_head head;
	struct sl_tuple tuple;
	uint8_t tcp_flags; /* of the made packet; SYN by default */
	uint8_t zero[3];
	uint32_t port; /* it comes in by this port, index */
};

/* Which level of the service, or of its subset, the endpoint was chosen from. */
struct sl_ctl_level {
	uint32_t cnt;   /* levels there are; 0: nothing was chosen, and the following are 0 */
	uint32_t level; /* [0, cnt) */
	uint32_t share; /* what the level takes of new flows and requests now, parts of 10,000 */
	uint32_t panic; /* 1: it ignores health */
};

struct sl_ctl_explained {
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t verdict; /* enum sl_verdict (pkt.h) */
	uint32_t drop;    /* enum sl_drop */
	uint32_t worker;  /* owner of the tuple */
	uint32_t bucket;  /* Toeplitz bucket, [0,128) */
	uint32_t why;     /* enum sl_why (pkt.h) */
	uint32_t tries; /* salts tried until an endpoint admitted the flow, [0,8], 9: list walked */
	uint32_t listener_slot; /* UINT32_MAX: none, as the following */
	uint32_t service_slot;
	uint32_t endpoint_slot;
	uint32_t endpoint_incarnation;
	uint32_t port_out;
	uint32_t zero;
	struct sl_ctl_level level;
	struct sl_addr next_hop; /* all 0: none */
	struct sl_tuple out;     /* the tuple as it would leave */
};

/* EXPLAIN_HTTP runs the worker's own code on the worker's own tables for a request head, with sending and counters off.  Of
 * SL_CTL_ABOUT_CONNECTION it is asked what rules of a listener of mode tcp say of a connection; the text is lines ":identity: …" (of a
 * verified certificate) and ":sni: …", or one empty line.  The answer then has status 403 and flags UAEX, or 0, and as text
 * the rule: "set/rule", "set" (none decides), followed by " (audit)" where a denial is only told; "": the listener has no rules. */
enum sl_ctl_about { SL_CTL_ABOUT_REQUEST = 0, SL_CTL_ABOUT_CONNECTION = 1 };
#define SL_CTL_REQUEST_MAX 7168
struct sl_ctl_explain_http { /* + the head's bytes */
	struct sl_ctl_head head;
	struct sl_tuple tuple; /* client → listener */
	uint32_t text_len;     /* [1, SL_CTL_REQUEST_MAX]: a whole request head */
	uint32_t about;        /* enum sl_ctl_about */
};

struct sl_ctl_explained_http { /* + text, + the normalised path (any bytes) */
	struct sl_ctl_head head;
	uint64_t generation;
	uint32_t worker;        /* owner of the tuple */
	uint32_t status;        /* the gateway's own answer; 0: the request would be forwarded */
	uint32_t flags;         /* SL_RF_* (events.h) of that */
	uint32_t listener_slot; /* UINT32_MAX: none, as the following */
	uint32_t table_slot, vhost_slot, route_slot;
	uint32_t route; /* index into the virtual host's routes */
	uint32_t service_slot, endpoint_slot, endpoint_incarnation;
	uint32_t verified, scanned; /* candidates looked at, databases scanned */
	uint32_t path_len;          /* [0, SL_CTL_REQUEST_MAX / 2] */
	uint32_t subset;            /* of the service: 0: the whole; else 1 + index, by name */
	struct sl_ctl_level level;
	uint32_t
		text_len; /* [0, SL_CTL_TEXT_MAX]: the path as it would be sent, or Location, or why it is refused */
};

/* Secrets (secrets.h): the memfd is sealed against resizing only; the dataplane copies it into locked memory, checks it there,
 * zeroes the memfd, then answers.  The daemon tells all it has behind each WELCOME, before an OFFER.  FORGET takes one away; one
 * that the active generation names is kept: EBUSY.  Both are answered by SECRET_ACK. */
struct sl_ctl_secret { /* + fd */
	struct sl_ctl_head head;
	uint32_t
		kind; /* enum sl_secret_kind; another is answered with error ENOTSUP after zeroing */
	uint32_t bytes; /* [1, SL_SECRET_MAX] */
	char name[SL_NAME_MAX];
};

struct sl_ctl_forget {
	struct sl_ctl_head head;
	uint32_t kind;
	uint32_t zero;
	char name[SL_NAME_MAX];
};

struct sl_ctl_secret_ack { /* + text when error is not 0 */
	struct sl_ctl_head head;
	uint32_t error; /* 0 or errno */
	uint32_t text_len;
};

struct sl_ctl_ports {
	struct sl_ctl_head head;
	uint32_t port; /* index, or UINT32_MAX: all */
	uint32_t zero;
};

/* What a port can do, and what of it is used. */
enum {
	SL_NIC_RX_IP_CSUM = 1 << 0,
	SL_NIC_RX_L4_CSUM = 1 << 1,
	SL_NIC_RX_VLAN_STRIP = 1 << 2,
	SL_NIC_RX_SCATTER = 1 << 3,
	SL_NIC_RX_RSS_HASH = 1 << 4,
	SL_NIC_TX_IP_CSUM = 1 << 5,
	SL_NIC_TX_TCP_CSUM = 1 << 6,
	SL_NIC_TX_UDP_CSUM = 1 << 7,
	SL_NIC_TX_TSO = 1 << 8,
	SL_NIC_TX_VLAN_INSERT = 1 << 9,
	SL_NIC_TX_MULTI_SEGS = 1 << 10,
	SL_NIC_TX_FAST_FREE = 1 << 11,
};
enum { SL_LINK_DOWN = 0, SL_LINK_UP = 1, SL_LINK_GONE = 2 };
enum { SL_KERNEL_BY_NONE = 0, SL_KERNEL_BY_TAP = 1, SL_KERNEL_BY_VHOST = 2 };
enum { SL_SPREAD_NONE = 0, SL_SPREAD_RSS = 1, SL_SPREAD_ASSUMED = 2, SL_SPREAD_HANDOFF = 3 };

struct sl_ctl_xstat {
	char name[64];
	uint64_t value;
};

#define SL_CTL_XSTATS 96 /* of one message */
struct sl_ctl_port {
	struct sl_ctl_head head;
	uint32_t port;  /* index */
	uint32_t first; /* 1: the first message of this port; the others repeat all but xstat */
	uint32_t last;  /* 1: the last message of the answer */
	uint32_t link;  /* SL_LINK_* */
	char name[SL_NAME_MAX];
	char driver[32];
	char device[64];
	char kernel[16]; /* "": no exception path */
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t speed_mbps; /* 0: not known */
	uint32_t full_duplex;
	int32_t numa; /* -1: none */
	uint32_t rx_queues, tx_queues;
	uint32_t spread;    /* SL_SPREAD_* */
	uint32_t vlan;      /* 0: untagged */
	uint32_t can, uses; /* SL_NIC_* */
	uint64_t link_changes;
	uint64_t missed, no_buffer, tx_errors; /* of the device, since it was opened */
	uint32_t xstat_cnt;          /* [0, SL_CTL_XSTATS]: the message carries exactly so many */
	uint32_t kernel_by;          /* SL_KERNEL_BY_*: what kernel is */
	struct sl_ctl_xstat xstat[]; /* the device's own names */
};

enum { SL_STOPPING_STOP = 1, SL_STOPPING_UPGRADE = 2 };
struct sl_ctl_stopping {
	struct sl_ctl_head head;
	uint32_t wait_ms;
	uint32_t why; /* SL_STOPPING_* */
};

struct sl_ctl_stop {
	struct sl_ctl_head head;
};

/* ---- a table that is tried ---- */

enum sl_shadow_kind {
	SL_SHADOW_STATUS, /* another answer, or one in place of none: `pair` has from which to which */
	SL_SHADOW_LISTENER, /* it has none for the address, or not of that mode */
	SL_SHADOW_ROUTE,
	SL_SHADOW_SERVICE,
	SL_SHADOW_SUBSET,
	SL_SHADOW_ENDPOINT,
	SL_SHADOW_KINDS
};
enum { SL_SHADOW_REQUESTS, SL_SHADOW_FLOWS, SL_SHADOW_WHATS }; /* of mode http; of the others */

enum { SL_SHADOW_ASK = 1, SL_SHADOW_END = 2 };
struct sl_ctl_shadow {
	struct sl_ctl_head head;
	uint32_t op; /* SL_SHADOW_ASK, _END */
	uint32_t zero;
};

#define SL_SHADOW_PAIRS 24
#define SL_SHADOW_EXAMPLES 48 /* of a run */

/* What was counted of requests, or of flows. */
struct sl_shadow_tally {
	uint64_t seen, sampled;
	uint64_t changed;               /* of the sampled: differ in one kind at least, */
	uint64_t kind[SL_SHADOW_KINDS]; /* in each */
	uint64_t chance;                /* forwarded, the endpoint chosen by chance: not compared */
	uint64_t
		undecided; /* answered by a rate limit, or by chance: only their routes were compared */
};

struct sl_ctl_shadow_counts {
	struct sl_ctl_head head;
	uint64_t generation; /* that is tried */
	uint64_t ran_ns;
	uint32_t sample_ppm;
	uint32_t running; /* 0: this was the END */
	uint32_t example_cnt, pair_cnt;
	struct sl_shadow_tally what[SL_SHADOW_WHATS];
	struct {
		uint16_t from, to; /* 0: forwarded */
		uint32_t zero;
		uint64_t count;
	} pair[SL_SHADOW_PAIRS]; /* [pair_cnt] */
	uint64_t pairs_more;     /* requests of pairs that there was no place for */
};

/* What one of the two tables would do.  Slots: UINT32_MAX: none. */
struct sl_shadow_side {
	uint32_t listener_slot, vhost_slot, route_slot, service_slot, endpoint_slot;
	uint16_t status; /* 0: forwarded */
	uint16_t service_incarnation;
	struct sl_addr endpoint; /* all 0: none, or by chance */
	sl_be16 endpoint_port;
	uint8_t by_chance; /* the endpoint is */
	uint8_t zero;
	uint32_t zero2;
	uint64_t subset; /* of the service; 0: the whole */
	char why[64];    /* which rule decided; padded with 0 */
};

struct sl_ctl_shadow_example {
	struct sl_ctl_head head;
	uint32_t kind;         /* enum sl_shadow_kind: what it is an example of */
	uint32_t what;         /* SL_SHADOW_REQUESTS, _FLOWS */
	struct sl_tuple tuple; /* src, sport: the client, as its packets or a PROXY header say */
	struct sl_shadow_side now, then;
	char method[16], host[64], path[176]; /* any bytes, cut, padded with 0 */
};

struct sl_ctl_bye { /* + text */
	struct sl_ctl_head head;
	uint32_t text_len; /* [1, SL_CTL_TEXT_MAX] */
	uint32_t zero;
};

/* sl_ctl_check says whether `bytes` of a received message with `fd_cnt` descriptors are well-formed for
 * their type as sent by the daemon (from_daemon) or by the dataplane: 0, or -EINVAL with *ret_why
 * pointing at a static sentence.  Structure only: meaning is the receiver's business.  msg is aligned to 8. */
int sl_ctl_check(const void *msg, size_t bytes, unsigned fd_cnt, bool from_daemon,
		 const char **ret_why);

/* sl_ctl_init fills a head. */
static inline void
sl_ctl_init(struct sl_ctl_head *h, enum sl_ctl_type type, size_t size, uint32_t seq)
{
	*h = (struct sl_ctl_head){SL_CTL_MAGIC, SL_CTL_VERSION, (uint16_t)type, (uint32_t)size,
				  seq};
}

/* sl_ctl_send sends one message with up to 2 descriptors (not closed).  0 or -errno (-EAGAIN: the
 * peer does not read).  sl_ctl_recv receives one into buf (SL_CTL_MSG_MAX bytes): bytes, 0 at end, or
 * -errno; descriptors (close-on-exec) go to fds[2], which the caller closes; a message with more than 2
 * or a truncated one has its descriptors closed and gives -EBADMSG. */
int sl_ctl_send(int sock, const void *msg, size_t bytes, const int *fds, unsigned fd_cnt);
long sl_ctl_recv(int sock, void *buf, int fds[2], unsigned *ret_fd_cnt);

#endif

/* flow — which endpoint this tuple already belongs to.
 *
 * Walk:    after parse; before rewrite.  A hit needs no choice.
 * Owner:   one table per worker, in memory the caller gives (hugepages; part B: a memfd), pointer-free.
 * Threads: [worker]. No locks.
 * Units:   time in quarter seconds of the worker clock, `now_q` (32 bits, wraps are harmless).
 * Limits:  a tuple has two buckets of eight.  Where both are full, and nothing in them can be moved to its
 *          own other bucket, or where every entry is taken, an insert takes the place of an expired entry of
 *          the two, else of the one nearest to expiry if that is embryonic, else of the established one
 *          that has been silent for longest (at least SL_FLOW_IDLE_MIN), else it refuses.
 *          Embryonic flows are at most 1/4 of the capacity: past that a new one replaces the oldest
 *          embryonic one of its own buckets, or is refused.
 * Not here: endpoint choice (choose.h), health, messages between workers (worker).
 *
 * One bucket is one line; an entry is 48 bytes in an array beside it, and translation records
 * (nat replies) lie in a third.  58.7 bytes a flow at capacity, buckets included:
 *
 *   bucket  tag[8] u16 │ expire[8] u16 │ idx[8] u32          64 bytes, capacity / 6 of them
 *           0: free       low 16 bits     bits 0–26 entry · 27 embryonic · of idx[0] 28–31: how many
 *                         of now_q        entries have this as primary bucket and lie in the second;
 *                                         at 15 it stays.  A miss reads the second only when not 0
 *   entry   src 16 │ dst 16 │ sport 2 │ dport 2 │ slot 4 │ incarnation 2 │ proto 1 │ state 1 │ xlat 4
 */
#ifndef SL_LB_FLOW_H
#define SL_LB_FLOW_H

#include "lb/hash.h"
#include "sluice/addr.h"
#include "sluice/pkt.h"

#define SL_FLOW_NONE UINT32_MAX
#define SL_XLAT_NONE UINT32_MAX

/* Timeouts in quarter seconds (design.md section 6). */
enum {
	SL_FLOW_T_SYN = 30 * 4,
	SL_FLOW_T_EST = 3600 * 4,
	SL_FLOW_T_CLOSING = 7 * 4,
	SL_FLOW_T_UDP = 30 * 4,
	SL_FLOW_IDLE_MIN = 60 * 4, /* an established flow silent for less is never evicted */
};

enum sl_flow_state { /* low 3 bits of sl_flow.state */
		     SL_FLOW_FREE = 0,
		     SL_FLOW_EMBRYONIC = 1,   /* TCP: only the opening packet has been seen */
		     SL_FLOW_ESTABLISHED = 2, /* TCP: a later packet without SYN was seen */
		     SL_FLOW_CLOSING = 3,     /* TCP: FIN or RST seen */
		     SL_FLOW_UDP = 4,
};
enum {
	SL_FLOW_STATE_MASK = 7,
	SL_FLOW_REPLY = 1 << 3, /* reply half of a nat flow: xlat names its translation */
	SL_FLOW_NAT =
		1 << 4, /* forward half of a nat flow: xlat low byte = worker of the reply half */
	SL_FLOW_FIN_A = 1 << 5, /* FIN seen in this half's direction */
	SL_FLOW_FIN_B = 1 << 6, /* FIN seen in the other half's */
};

struct sl_flow {
	struct sl_addr src;
	struct sl_addr dst;
	sl_be16 sport;
	sl_be16 dport;
	uint32_t slot;        /* endpoint slot */
	uint16_t incarnation; /* of the endpoint */
	uint8_t proto;
	uint8_t state; /* enum sl_flow_state | SL_FLOW_* */
	uint32_t xlat; /* REPLY: index of the translation record; NAT: see worker; else 0 */
};
static_assert(sizeof(struct sl_flow) == 48, "");

/* sl_flow_tuple: the key of an entry, as its packets carry it. */
static inline struct sl_tuple
sl_flow_tuple(const struct sl_flow *f)
{
	return (struct sl_tuple){
		.src = f->src,
		.dst = f->dst,
		.sport = f->sport,
		.dport = f->dport,
		.proto = f->proto,
	};
}

/* Translation record of a reply half: what its source becomes. */
struct sl_xlat {
	struct sl_addr addr; /* the VIP */
	sl_be16 port;
	uint8_t worker; /* owner of the forward half */
	uint8_t zero;
	uint32_t told_q; /* when the forward half was last told of activity */
	uint32_t flow;   /* the entry this belongs to; free list link when free */
	uint32_t zero2;
};
static_assert(sizeof(struct sl_xlat) == 32, "");

struct sl_flow_table; /* header in the caller's memory; the layout is in flow.c */

/* sl_flow_bytes: memory for `capacity` flows [1024, 2^27] and xlat_capacity records [0, capacity]; 0 where
 * the ranges are not kept. */
size_t sl_flow_bytes(uint32_t capacity, uint32_t xlat_capacity);

/* sl_flow_init makes an empty table in zeroed memory of that size, aligned to a line.
 * Returns it (same address), or NULL where the ranges are not kept. */
struct sl_flow_table *sl_flow_init(void *mem, uint32_t capacity, uint32_t xlat_capacity,
				   const struct sl_hash_key *key);

/* Look-up in three steps, so that a burst hides both misses:
 *   hash → prefetch the bucket; then sl_flow_probe: match tags, prefetch the entry; then sl_flow_find. */
uint64_t sl_flow_hash(const struct sl_flow_table *t, const struct sl_tuple *tuple);
void sl_flow_prefetch(const struct sl_flow_table *t, uint64_t hash);
void sl_flow_probe(const struct sl_flow_table *t, uint64_t hash);

/* sl_flow_find returns the live entry for the tuple, or SL_FLOW_NONE.  An entry past its expiry is not
 * live (it stays until swept or replaced). */
uint32_t sl_flow_find(const struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple,
		      uint32_t now_q);

/* sl_flow_find_burst does all three steps for n tuples (n ≤ SL_FLOW_BURST), idx out, and refreshes the expiry of what
 * it finds: sl_flow_seen is then only needed where sl_flow_moves says so.  The worker's path. */
#define SL_FLOW_BURST 64
void sl_flow_find_burst(struct sl_flow_table *t, const struct sl_tuple *const *tuples,
			uint64_t *ret_hash, uint32_t *ret_idx, unsigned n, uint32_t now_q);

/* sl_flow_get: the entry; valid until the next insert, remove or sweep.  idx from find or insert. */
struct sl_flow *sl_flow_get(struct sl_flow_table *t, uint32_t idx);

/* What an insert had to take away (expired or not), so that the worker can tell the other half. */
struct sl_flow_evicted {
	bool any;
	struct sl_flow flow;
	struct sl_xlat xlat; /* when flow.state has SL_FLOW_REPLY */
};

/* sl_flow_insert adds a tuple that is not there.  state: sl_flow_state with flags.  expire follows from
 * the state.  Returns the entry, or SL_FLOW_NONE with *ret_reason SL_DROP_FLOW_FULL or
 * SL_DROP_EMBRYONIC (xlat wanted and none left: SL_DROP_XLAT_FULL).  An entry with SL_FLOW_REPLY gets a
 * record: *sl_flow_xlat(). */
uint32_t sl_flow_insert(struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple,
			uint32_t slot, uint16_t incarnation, uint8_t state, uint32_t now_q,
			struct sl_flow_evicted *ret_evicted, unsigned *ret_reason);

struct sl_xlat *sl_flow_xlat(struct sl_flow_table *t, const struct sl_flow *f);

/* sl_flow_seen notes a packet of the flow: refreshes expiry, moves the TCP state by flags (0 for UDP).
 * other: the packet went the other way (told by the other half).  True when state or FIN flags changed.
 *
 *   EMBRYONIC   ─ packet without SYN; of the other direction: with ACK and without SYN ─▶ ESTABLISHED
 *   any         ─ RST; FIN of both directions; one FIN when the flow is neither NAT nor REPLY ─▶ CLOSING
 *   CLOSING     ─ SYN without ACK, while embryonic flows are below their limit ─▶ EMBRYONIC
 *
 * So a SYN+ACK told as `other` (with its flags, or with 0) does not establish a flow that only a flood
 * opened; the ACK that answers it does. */
bool sl_flow_seen(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint8_t tcp_flags,
		  bool other, uint32_t now_q);

/* sl_flow_moves: whether a packet with these TCP flags (0 for UDP) in this half's direction can change the state. */
static inline bool
sl_flow_moves(const struct sl_flow *f, uint8_t tcp_flags)
{
	unsigned state = f->state & SL_FLOW_STATE_MASK;

	return (tcp_flags & (SL_TCP_FIN | SL_TCP_SYN | SL_TCP_RST)) ||
	       (state != SL_FLOW_ESTABLISHED && state != SL_FLOW_UDP);
}

/* sl_flow_remove takes the entry (and its record) away. */
void sl_flow_remove(struct sl_flow_table *t, uint64_t hash, uint32_t idx);

/* sl_flow_sweep looks at up to `buckets` further buckets and removes what has expired, calling gone (may be
 * NULL) for each first; gone must not touch the table, and x is NULL without SL_FLOW_REPLY.  A whole pass
 * within 2^14 quarter seconds keeps the 16-bit clock sound; the worker sees to a pass every 2 s or so.
 * Returns the number removed. */
typedef void sl_flow_gone_fn(void *ctx, const struct sl_flow *f, const struct sl_xlat *x);
unsigned sl_flow_sweep(struct sl_flow_table *t, unsigned buckets, uint32_t now_q,
		       sl_flow_gone_fn *gone, void *ctx);

struct sl_flow_usage {
	uint32_t capacity, active, embryonic, xlat_capacity, xlat_used, bucket_cnt;
};
void sl_flow_usage(const struct sl_flow_table *t, struct sl_flow_usage *ret_usage);

/* sl_flow_check walks everything and says whether the table is consistent (tests, debug builds):
 * NULL, or a static sentence. */
const char *sl_flow_check(const struct sl_flow_table *t);

#endif

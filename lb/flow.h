/* flow — which endpoint this tuple already belongs to.
 *
 * Walk:    after parse; before rewrite.  A hit needs no choice.
 * Owner:   one table per worker, in memory the caller gives (hugepages; part B: a memfd), pointer-free.
 * Threads: [worker]. No locks.
 * Units:   time in quarter seconds of the worker clock, `now_q` (32 bits, wraps are harmless).
 * Limits:  a tuple has two buckets of eight.  Where both are full, and nothing in them can be moved to its
 *          own other bucket, or where every entry is taken, an insert takes the place of an expired entry of
 *          the two, else of their embryonic one that is nearest to expiry, else of the established one
 *          that has been silent for longest (at least SL_FLOW_IDLE_MIN), else it refuses.
 *          Embryonic flows are at most 1/4 of the capacity: past that a new one replaces the oldest
 *          embryonic one of its own buckets, or is refused.
 * Not here: endpoint choice (choose.h), health, messages between workers (worker).
 *
 * One bucket is one line; an entry is 48 bytes in an array beside it, and translation records (nat replies) lie in a
 * third: sluice/flows.h has the format.  58.7 bytes a flow at capacity, buckets included.
 *
 * A fullnat flow is a pair: client → VIP and endpoint → source address, both in this table, each naming the other
 * in xlat.  They live, change state and go together: sl_flow_seen on one also moves the other, removing or evicting
 * one takes both, and one whose partner is live does not expire.
 *
 * After a restart: flow_adopt.h.  From another process: flow_scan.h.
 */
#ifndef SL_LB_FLOW_H
#define SL_LB_FLOW_H

#include "lb/hash.h"
#include "sluice/flows.h"
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

/* sl_flow_left: quarter seconds until entry idx expires, at least 0. */
uint32_t sl_flow_left(const struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint32_t now_q);

/* What an insert had to take away (expired or not), so that the worker can tell the other half. */
struct sl_flow_evicted {
	bool any;
	struct sl_flow flow;
	struct sl_xlat xlat; /* when flow.state has SL_FLOW_REPLY */
};

/* sl_flow_insert adds a tuple that is not there.  state: sl_flow_state with flags.  expire follows from
 * the state; UDP comes as SL_FLOW_UDP_NEW, or as what its other half says.  Returns the entry, or SL_FLOW_NONE with *ret_reason SL_DROP_FLOW_FULL or
 * SL_DROP_EMBRYONIC (xlat wanted and none left: SL_DROP_XLAT_FULL).  An entry with SL_FLOW_REPLY gets a
 * record: *sl_flow_xlat(). */
uint32_t sl_flow_insert(struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple,
			uint32_t slot, uint16_t incarnation, uint8_t state, uint32_t now_q,
			struct sl_flow_evicted *ret_evicted, unsigned *ret_reason);

/* sl_flow_xlat: the translation record of a nat reply half; NULL: it has none.  Who writes addr or port calls
 * sl_flow_xlat_seal afterwards. */
struct sl_xlat *sl_flow_xlat(struct sl_flow_table *t, const struct sl_flow *f);

static inline void
sl_flow_xlat_seal(struct sl_xlat *x)
{
	x->check = sl_xlat_check32(x);
}

/* sl_flow_seen notes a packet of the flow: refreshes expiry, moves the TCP state by flags (0 for UDP).
 * other: the packet went the other way (told by the other half).  True when state or FIN flags changed.
 *
 *   EMBRYONIC   ─ packet without SYN; of the other direction: with ACK and without SYN ─▶ ESTABLISHED
 *   UDP_NEW     ─ second packet of this direction (neither NAT nor REPLY); one of the other (NAT, REPLY) ─▶ UDP
 *   any         ─ RST; FIN of both directions; one FIN when the flow is neither NAT nor REPLY ─▶ CLOSING
 *   CLOSING     ─ SYN without ACK, while embryonic flows are below their limit ─▶ EMBRYONIC
 *
 * EMBRYONIC and UDP_NEW are what this file calls embryonic.  A pair is judged by its forward half, on whichever half
 * the packet came: its reply half's packets are `other` there.
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

/* sl_flow_remove takes the entry (and its record, or its partner) away. */
void sl_flow_remove(struct sl_flow_table *t, uint64_t hash, uint32_t idx);

/* sl_flow_insert_pair adds both halves of a fullnat flow, neither of which is there: all or nothing.  state without
 * flags.  Returns the forward half (its xlat is the reply half), or SL_FLOW_NONE with *ret_reason as above.  ret_evicted
 * is to be looked at in both cases: in a full table the second half can find no place after something went for the
 * first. */
uint32_t sl_flow_insert_pair(struct sl_flow_table *t, const struct sl_tuple *forward,
			     uint64_t forward_hash, const struct sl_tuple *reply,
			     uint64_t reply_hash, uint32_t slot, uint16_t incarnation,
			     uint8_t state, uint32_t now_q, struct sl_flow_evicted ret_evicted[2],
			     unsigned *ret_reason);

/* sl_flow_partner: the other half of a pair. */
static inline uint32_t
sl_flow_partner(const struct sl_flow *f)
{
	return f->xlat;
}

/* sl_flow_sweep looks at up to `buckets` further buckets and removes what has expired, calling gone (may be
 * NULL) for each first (of a pair, which is one: for the forward half alone); gone must not touch the table, and x is NULL
 * without a translation record.  A whole pass
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

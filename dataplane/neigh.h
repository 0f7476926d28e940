/* neigh — link-layer addresses of next hops: ARP (RFC 826, 5227) and neighbour discovery (RFC 4861).
 *
 * Owner:   one table per gateway.  Worker 0 writes; every worker and main read without locks: what a reader
 *          needs is one 64-bit word (MAC and state), complete in itself.  Keys are written before the
 *          word is released and only changed while the word is 0.
 * Threads: [worker 0] unless tagged [any].
 * Units:   time in ns of the worker clock.
 * Limits:  SL_NEIGH_MAX entries; entries not pinned (not a next hop of the live view) are the first to
 *          go; learning from strangers happens only on packets addressed to us and from on-link sources.
 *
 * States: an entry is asked for (INCOMPLETE, one request a second, 3 tries, then FAILED and again after
 * 5 s), REACHABLE for 30 s after an answer, then asked again by unicast while still used (STALE serves
 * traffic), dropped after 3 unanswered probes (→ INCOMPLETE).  Never-pinned entries unused for 60 s go.
 */
#ifndef SL_DATAPLANE_NEIGH_H
#define SL_DATAPLANE_NEIGH_H

#include "sluice/addr.h"

#define SL_NEIGH_MAX 16384
#define SL_NEIGH_NONE UINT32_MAX

struct sl_neigh_table; /* in the caller's memory */

size_t sl_neigh_bytes(void);
struct sl_neigh_table *sl_neigh_init(void *zeroed);

/* [any] sl_neigh_find gives the entry's index for (port, addr) or SL_NEIGH_NONE. */
uint32_t sl_neigh_find(const struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr);

/* [any] sl_neigh_mac: when entry idx is still that of (port, addr) and has a usable MAC: true and the 6 bytes. */
bool sl_neigh_mac(const struct sl_neigh_table *t, uint32_t idx, uint16_t port,
		  const struct sl_addr *addr, uint8_t ret_mac[6]);

/* [any] sl_neigh_watch: as sl_neigh_mac, to be kept: the MAC, the low 48 bits of is, is the entry's while
 * sl_neigh_watch_holds, for SL_NEIGH_WATCH_S at most. */
struct sl_neigh_watch {
	const uint64_t *word;
	uint64_t is;
};
#define SL_NEIGH_WATCH_S 1
bool sl_neigh_watch(const struct sl_neigh_table *t, uint32_t idx, uint16_t port,
		    const struct sl_addr *addr, struct sl_neigh_watch *ret_watch);

static inline bool
sl_neigh_watch_holds(const struct sl_neigh_watch *n)
{
	/* relaxed: the word is only compared */
	return __atomic_load_n(n->word, __ATOMIC_RELAXED) == n->is;
}

/* [any] sl_neigh_used marks the entry as used now (a relaxed store of a coarse clock; may be skipped when equal). */
void sl_neigh_used(struct sl_neigh_table *t, uint32_t idx, uint64_t now_ns);

/* sl_neigh_want makes sure an entry exists and is being resolved; its index or SL_NEIGH_NONE when full. */
uint32_t sl_neigh_want(struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr,
		       bool pin, uint64_t now_ns);

/* sl_neigh_pin: sl_neigh_want with pin where idx is the entry of (port, addr); else false, and nothing happens. */
bool sl_neigh_pin(struct sl_neigh_table *t, uint32_t idx, uint16_t port, const struct sl_addr *addr,
		  uint64_t now_ns);

/* sl_neigh_unpin_all: before the next hops of a new view are pinned again. */
void sl_neigh_unpin_all(struct sl_neigh_table *t);

/* sl_neigh_heard: an answer, or a solicitation that taught us a sender's address. solicited: an answer to us; it
 * counts as such only while a request of ours is out.  Else the address is taken, still to be verified, where no
 * usable one is known; where traffic uses another, that stays and everyone is asked.
 * create: make an entry when there is none; it never takes the place of one that is pinned or used. */
void sl_neigh_heard(struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr,
		    const uint8_t mac[6], bool solicited, bool create, uint64_t now_ns);

/* What the table wants sent: ask for addr on port; mac is NULL for a broadcast / solicited-node request,
 * or the known address for a unicast probe. */
typedef void sl_neigh_ask_fn(void *ctx, uint16_t port, const struct sl_addr *addr,
			     const uint8_t *mac);

/* sl_neigh_tick runs what is due, at most `budget` entries per call (the rest next time). */
void sl_neigh_tick(struct sl_neigh_table *t, uint64_t now_ns, unsigned budget, sl_neigh_ask_fn *ask,
		   void *ctx);

/* ---- the messages, pure bytes ---- */

/* Build a request into frame (≥ 86 bytes); its length.  my_mac/my_ip: of the port; mac: as in ask. */
unsigned sl_neigh_build_request(uint8_t *frame, const uint8_t my_mac[6],
				const struct sl_addr *my_ip, const struct sl_addr *target,
				const uint8_t *mac);

/* A received ARP packet or ND message (already parsed: SL_PKT_ARP, or SL_PKT_ICMP|SL_PKT_ND). */
struct sl_neigh_msg {
	bool request;          /* someone asks for `target`; else an answer about `sender` */
	bool solicited;        /* answer: in reply to a request */
	bool dad;              /* request from the unspecified address (address detection) */
	struct sl_addr sender; /* all 0 for dad */
	struct sl_addr target;
	uint8_t mac[6]; /* sender's (request), or of `sender` (answer) */
	bool has_mac;
};
struct sl_pkt;
/* sl_neigh_parse: 0, or the drop reason (ARP_BAD, ND_BAD, L4_CSUM; ICMP_IGNORED: router messages and
 * redirects).  Checks all of RFC 4861 7.1.  An ARP announcement comes out as an unsolicited answer. */
unsigned sl_neigh_parse(const struct sl_pkt *p, struct sl_neigh_msg *ret_msg);

/* sl_neigh_answer turns the request p (with message m) round in place into the answer that `target` is at
 * my_mac; the new length.  The buffer has room for 86 bytes. */
unsigned sl_neigh_answer(struct sl_pkt *p, const struct sl_neigh_msg *m, const uint8_t my_mac[6]);

#endif

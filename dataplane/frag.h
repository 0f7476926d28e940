/* frag — which datagram a fragment belongs to, and so which flow; nothing is put together.
 *
 * Only the first fragment has ports.  The worker that owns (source, destination, protocol without ports) follows a
 * datagram: it learns the ports from the first fragment and gives every other one the same tuple, holding
 * what comes before the first.  Each then goes to the owner of the tuple and to the flow's endpoint, in
 * any order of arrival.  Both families; RFC 791, 8200 4.5, 5722 (overlaps), 6946, 1858 and 3128 (tiny first ones).
 *
 * Owner:   one per worker, memory from the caller.
 * Threads: [worker]. Pure: time passed in.
 * Limits:  SL_FRAG_DATAGRAMS followed at a time (a full set of 8 lets its oldest go), SL_FRAG_HELD packets held,
 *          SL_FRAG_HELD_EACH of one datagram, SL_FRAG_HELD_NS each; a datagram is forgotten after SL_FRAG_NS,
 *          sooner when it is complete; 64 KiB, and as many pieces as fit its list of 32 separate ranges.
 */
#ifndef SL_DATAPLANE_FRAG_H
#define SL_DATAPLANE_FRAG_H

#include "lb/hash.h"
#include "sluice/pkt.h"

#define SL_FRAG_DATAGRAMS 1024
#define SL_FRAG_HELD 256
#define SL_FRAG_HELD_EACH 64
#define SL_FRAG_HELD_NS 1000000000ull
#define SL_FRAG_NS 5000000000ull

struct sl_frag_table;

size_t sl_frag_bytes(void);
/* in zeroed, line-aligned memory of that size; key: random (strangers choose identifications) */
struct sl_frag_table *sl_frag_init(void *mem, const struct sl_hash_key *key);

enum sl_frag_what {
	SL_FRAG_GO =
		0, /* p->tuple is the flow's: forward it.  After a first fragment: sl_frag_next gives those held */
	SL_FRAG_HOLD, /* kept: buffer and bytes are the table's until sl_frag_next or sl_frag_expire gives them back */
	SL_FRAG_DROP, /* *ret_why: FRAG_OVERLAP, FRAG_LIMIT, L4_HEADER (first fragment without its L4 header) */
};

/* sl_frag_take judges one fragment (SL_PKT_FRAG, parsed).  A range that lies wholly in what has come already is dropped
 * (a duplicate, or an attempt to replace); one that overlaps partly ends the whole datagram: what is held and what
 * still comes is dropped. */
enum sl_frag_what sl_frag_take(struct sl_frag_table *t, struct sl_pkt *p, uint64_t now_ns,
			       enum sl_drop *ret_why);

/* sl_frag_next: the next held fragment that can go now (its datagram's first has come; or, with SL_PKT's verdict DROP and
 * drop set, that must be dropped because its datagram ended).  false: none. */
bool sl_frag_next(struct sl_frag_table *t, struct sl_pkt *ret_pkt);

/* sl_frag_expire looks at a share of the table (all of it within SL_FRAG_HELD_NS / 4 when called every millisecond) and
 * makes sl_frag_next give out what has waited too long, with FRAG_TIMEOUT. */
void sl_frag_expire(struct sl_frag_table *t, uint64_t now_ns);

/* sl_frag_held_all gives every held packet back, for the end: like sl_frag_next. */
bool sl_frag_drain(struct sl_frag_table *t, struct sl_pkt *ret_pkt);

void sl_frag_usage(const struct sl_frag_table *t, uint32_t *ret_datagrams, uint32_t *ret_held);

/* ---- the other way: a packet that is larger than its way ---- */

/* sl_frag_split cuts an IPv4 packet without DF (also one that is a fragment itself) so that no piece's IP packet is larger
 * than mtu (≥ 68): copies the n-th piece (0 on) with its Ethernet header to frame and returns its length, or 0: there
 * is no n-th.  Options that are not to be copied stay in the first (RFC 791).  p is not changed. */
unsigned sl_frag_split(const struct sl_pkt *p, unsigned mtu, unsigned n, uint8_t *frame);

#endif

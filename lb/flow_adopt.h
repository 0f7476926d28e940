/* flow_adopt — the flow region of a dataplane that is gone: judged, mended, taken over.
 *
 * Threads: [main] for the head and for dealing; sl_flow_adopt may run on each worker's own thread.
 * Nothing in a region is trusted: a writer may have been killed anywhere, a bit may have flipped.  Every entry is
 * judged by itself (flows.h says what protects what); what is not right is dropped; counters, free lists, overflow
 * counts and flags are made anew.  So a region is either refused as a whole (head) or harmless afterwards.
 */
#ifndef SL_LB_FLOW_ADOPT_H
#define SL_LB_FLOW_ADOPT_H

#include "lb/flow.h"

/* sl_flows_layout: fills in the sizes of a region with worker_cnt tables, and its magic and version; 0, or -EINVAL outside
 * the ranges.  Region and boot ids and the RSS key are the caller's; sl_flows_seal then sets the sum.  With
 * sl_flows_head_check in the library that mgmt may link (flow_head.c). */
int sl_flows_layout(struct sl_flows_head *h, unsigned worker_cnt, uint32_t capacity,
		    uint32_t xlat_capacity);
void sl_flows_seal(struct sl_flows_head *h);

/* sl_flows_head_check: NULL, or a static sentence: another version, sizes that do not agree with `bytes`, a wrong sum. */
const char *sl_flows_head_check(const struct sl_flows_head *h, size_t bytes);

static inline struct sl_flow_table *
sl_flows_table(const struct sl_flows_head *h, unsigned worker)
{
	return (struct sl_flow_table *)((uintptr_t)h + h->table_off + worker * h->table_bytes);
}

struct sl_flow_adopted {
	uint64_t kept;    /* flows; a pair, and a half of nat, is one */
	uint64_t expired; /* ended by time since they were last written */
	uint64_t lost;    /* damaged; dealt to a table without room */
};

/* sl_flow_adopt mends one table of a checked region in place.  NULL, or a sentence: its head does not agree with the
 * region's, or there is no memory for a bit an entry; then it has been made an empty table with a key of its own from
 * `key`.  *ret is set, not added to.  The xlat of nat forward halves stays as it was: it counts another clock's seconds,
 * and who takes the table over resets it (sl_flow_each).
 * now_q: the new worker's time, on the clock the table was written by.  A table last swept more than an hour ago is
 * emptied: all counts as expired. */
const char *sl_flow_adopt(const struct sl_flows_head *h, unsigned worker, uint32_t now_q,
			  const struct sl_hash_key *key, struct sl_flow_adopted *ret);

/* sl_flow_deal copies every live flow of an adopted table into to[owner(tuple)] with its remaining time and state; both
 * halves of a pair go together, to the owner of the forward half, which is the reply's too (else it is lost).  Nobody is evicted for it.  owner answers
 * an index of to[].  *ret is set, for this table. */
void sl_flow_deal(const struct sl_flow_table *from, struct sl_flow_table *const *to,
		  unsigned (*owner)(void *ctx, const struct sl_tuple *t), void *ctx, uint32_t now_q,
		  struct sl_flow_adopted *ret);

/* sl_flow_each calls fn for every entry in the table. */
void sl_flow_each(struct sl_flow_table *t, void (*fn)(void *ctx, struct sl_flow *f), void *ctx);

#endif

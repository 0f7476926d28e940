/* shadow — a table that is tried beside the active one on sampled traffic: what it would do otherwise is counted.
 *
 *   main                                               worker
 *   view of the offer (store.h) ─▶ sl_shadow_create
 *   shared.shadow, release ──────────────────────────▶ each turn, acquire: sl_worker_shadow
 *                                                       request, connection or flow ─ sampled? ─▶ both tables are asked, dry ─▶
 *                                                         same, or counted by kind, the first ones kept as examples
 *   sl_shadow_sum reads the counts at any time
 *   shared.shadow = NULL, all quiescent ─▶ sl_shadow_destroy, view released
 *
 * Asked of a request: host, route, policy (sl_http_judge, dry), service, subset, endpoint; of what goes to a listener of mode l4 or
 * tcp: listener, service, endpoint.  Both sides see the same random numbers, words of endpoints, loads and cursors, and move none.
 * An endpoint that is chosen by chance is not compared, only whether there is one.
 * Not here: what a rate limit would do (nothing is taken from buckets, and new ones have none), limits of heads, TLS, SNI,
 *          connections to listeners of mode http (their requests are), breakers, retries, bandwidth.
 * Owner:   a run's memory is main's; a worker writes its own part alone.
 */
#ifndef SL_DATAPLANE_SHADOW_H
#define SL_DATAPLANE_SHADOW_H

#include "dataplane/view.h"
#include "sluice/ctl.h"

#define SL_SHADOW_OWN                                                                              \
	24 /* examples that a worker keeps: some of each kind, and of each pair of answers */

/* A worker's part; counts are written by it alone and read by main, relaxed. */
struct sl_shadow_part {
	SL_ALIGNED uint64_t random;
	struct sl_shadow_tally what[SL_SHADOW_WHATS];
	struct {
		uint16_t from, to;
		uint32_t kept; /* examples */
		uint64_t count;
	} pair[SL_SHADOW_PAIRS];
	uint32_t pair_cnt;
	uint64_t pairs_more;
	uint8_t kept[SL_SHADOW_WHATS][SL_SHADOW_KINDS];
	_Atomic uint32_t example_cnt; /* release: they are whole; pairs with main's acquire */
	struct sl_ctl_shadow_example example[SL_SHADOW_OWN];
};

struct sl_shadow {
	const struct sl_view *view;
	uint64_t below; /* of a draw in [0, 2^32): sampled */
	uint64_t since_ns;
	uint32_t sample_ppm;
	unsigned worker_cnt;
	struct sl_shadow_part *part; /* [worker_cnt] */
};

/* [main] sl_shadow_create: a run for view, which stays the caller's; NULL: no memory.  Destroy: no worker has it any more. */
struct sl_shadow *sl_shadow_create(const struct sl_view *view, uint32_t sample_ppm,
				   unsigned worker_cnt, uint64_t seed, uint64_t now_ns);
void sl_shadow_destroy(struct sl_shadow *s); /* NULL is accepted */

/* [main] sl_shadow_sum adds up what workers have counted so far: all but head and running; of examples the first ones of each worker
 * in turns, ret_examples[SL_SHADOW_EXAMPLES], all but heads. */
void sl_shadow_sum(const struct sl_shadow *s, uint64_t now_ns, struct sl_ctl_shadow_counts *ret,
		   struct sl_ctl_shadow_example *ret_examples);

/* [worker] sl_shadow_draws: whether the next one is sampled. */
static inline bool
sl_shadow_draws(const struct sl_shadow *s, struct sl_shadow_part *p, unsigned what)
{
	p->what[what].seen++;
	p->random = p->random * 6364136223846793005ull + 1442695040888963407ull;
	return (p->random >> 32) < s->below;
}

/* [worker] sl_shadow_differ compares two sides, counts, and says which kinds differ (bits).  undecided: a rate limit answered on one side. */
unsigned sl_shadow_differ(struct sl_shadow_part *p, unsigned what, const struct sl_shadow_side *now,
			  const struct sl_shadow_side *then, bool undecided);
/* [worker] sl_shadow_keep: a place for an example of what differs, or NULL: there are enough of its kind; the caller fills tuple and
 * texts, and commits. */
struct sl_ctl_shadow_example *sl_shadow_keep(struct sl_shadow_part *p, unsigned what,
					     unsigned kinds, const struct sl_shadow_side *now,
					     const struct sl_shadow_side *then);
void sl_shadow_commit(struct sl_shadow_part *p);

#endif

/* tcp_bed — one connection between two ends in virtual time, from the first SYN until nothing is left of it, and the verdict.
 *
 *   A (opens) ── link ──▶ B          an end: one of our stacks (tcp_node) or a model, a user on it, a judge beside it
 *     ◀── link ──
 *
 * bed_draw makes everything of a seed: profile of the links, sizes, users, options, sequence numbers near the wrap.
 */
#ifndef SL_TESTS_TCP_BED_H
#define SL_TESTS_TCP_BED_H

#include "tests/sim/tcp_model.h"
#include "tests/sim/tcp_node.h"
#include "tests/sim/tcp_trace.h"

enum bed_profile { BED_CLEAN, BED_LOSSY, BED_BURSTS, BED_FAR, BED_TINY_QUEUE, BED_PROFILES };

struct bed_conf {
	uint64_t seed;
	enum bed_profile profile;
	bool ours[2];
	bool v6, simultaneous, aborts, cookies, scarce;
	struct link_conf link; /* both ways alike */
	uint64_t mtu_at_ns;    /* when the links' MTU shrinks to mtu_then; 0: never */
	unsigned mtu_then;
	uint64_t start_ns[2]; /* B's only if both open */
	struct node_conf node[2];
	struct model_conf model[2];
	struct user_conf user[2];
	bool near_wrap[2];
};

struct bed_result {
	char wrong[320]; /* empty: well */
	bool excused;    /* not opened, on links that lose a lot */
	uint64_t bytes;  /* read by both users */
	uint64_t ns[2];  /* from its opening until user i had all it expected; 0: has not */
	uint64_t end_ns;
	unsigned long segs, again, by_sack, by_rack, by_dup, by_rto, by_tlp, by_pmtu, probes;
	unsigned long lost;
	uint64_t count[2][SL_TCP_CNT]; /* of our ends */
};

void bed_draw(uint64_t seed, bool ours_a, bool ours_b, struct bed_conf *ret);
/* log: where the last packets are shown when something is wrong, or NULL. */
void bed_run(const struct bed_conf *c, struct bed_result *ret, FILE *log);
const char *bed_profile_name(enum bed_profile p);
/* bed_link: the link of a profile. */
struct link_conf bed_link(enum bed_profile p, struct tcp_dice *d);

/* Runs the seeds [1, cnt] (SIM_SEED: that one; SIM_SEEDS: so many), kind(seed) saying whose ends they are: bit 0 A ours,
 * bit 1 B ours.  How many went wrong. */
struct bed_sum {
	unsigned long runs, bad, excused;
	struct bed_result all; /* sums */
};
void bed_seeds(unsigned cnt, unsigned (*kind)(uint64_t seed), struct bed_sum *ret);

#endif

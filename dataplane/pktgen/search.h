/* search — the no-drop rate of a device: the throughput of RFC 2544, section 26.1.
 *
 * Threads: one. Pure: a trial is a function of the caller's.
 * The first trial is at the highest rate; when it loses, the rate between the best that passed and the least that
 * failed is tried until they are less than the resolution apart.  A trial that the generator could not send at its
 * rate counts at the rate it was sent at, and where such a one passed the device has not been the limit.
 */
#ifndef SL_PKTGEN_SEARCH_H
#define SL_PKTGEN_SEARCH_H

#include "sluice/base.h"

#define SL_SEARCH_SHORT 0.99 /* below that part of its rate a trial was the generator's to blame, */
#define SL_SEARCH_TRIES 3    /* and is made again so often in all, but for the first */

struct sl_search_conf {
	double min_pps, max_pps; /* 0 < min ≤ max */
	double resolution;       /* part of the rate, (0, 1) */
	double tolerance;        /* part of the packets that may be lost, [0, 1) */
};

struct sl_search_trial {
	double offered_pps; /* asked for */
	double sent_pps;    /* reached */
	uint64_t sent, received, refused;
	bool passed, limited; /* set by the search */
};

enum sl_search_limit {
	SL_SEARCH_NONE,      /* not even the lowest rate passed */
	SL_SEARCH_DEVICE,    /* the device lost packets above */
	SL_SEARCH_MAX,       /* the highest rate asked for passed */
	SL_SEARCH_GENERATOR, /* the generator could not send faster */
};

struct sl_search_result {
	enum sl_search_limit limit;
	double pps;     /* the best rate that passed, as sent; 0: none */
	double offered; /* and as asked for */
	unsigned trial_cnt;
};

/* Fills t->sent_pps, sent, received, refused for t->offered_pps; nonzero ends the search with that. */
typedef int (*sl_search_fn)(void *ctx, struct sl_search_trial *t);
/* Told of each trial once it is judged; may be NULL. */
typedef void (*sl_search_said)(void *ctx, unsigned idx, const struct sl_search_trial *t);

/* sl_search_run: 0 with *ret_result, or what a trial returned. */
int sl_search_run(const struct sl_search_conf *c, sl_search_fn trial, sl_search_said said,
		  void *ctx, struct sl_search_result *ret_result);

#endif

/* trial_rates — what the limits of a table that is tried would refuse (trial.h): those that the active table has, too, under another
 * number or time.  Nothing is taken from buckets; what all clients ask of the active limit, refused or not, is counted and held against
 * the new number, window by window.
 *
 * Limits:  by "all" alone, on both sides (of a key's share nothing is counted), and not shared by gateways; whoever is refused may ask
 *          again or not: so the numbers are about right where the traffic stays as it is.
 * Units:   times in ms of any one clock; requests of the whole traffic, not of a sample.
 * Threads: [loop].
 */
#ifndef SL_MGMT_TRIAL_RATES_H
#define SL_MGMT_TRIAL_RATES_H

#include "mgmt/compile.h"
#include "sluice/stats.h"

#include <jansson.h>

#define SL_TRIAL_WINDOW_MS 1000 /* at least: sluiced does not look more often */

struct sl_trial_rate {
	char name[SL_NAME_MAX];
	struct sl_placed at;               /* of the active limit */
	uint32_t was[2], then[2];          /* requests, per_ms */
	uint64_t since_ms;                 /* begin of the window */
	uint64_t asked_then, refused_then; /* what was counted at that time */
	uint64_t asked, refused, over; /* of whole windows; over: about as many would be refused */
	uint32_t windows, above;       /* above: with more than the new number */
};

struct sl_trial_rates {
	struct sl_trial_rate *rate; /* [cnt] */
	uint32_t cnt;
};

typedef struct sl_stats_rate sl_trial_counted(void *ctx, struct sl_placed at);

/* sl_trial_rates_begin: map is now's.  No memory: nothing is foretold.  fini may come again. */
void sl_trial_rates_begin(struct sl_trial_rates *r, const struct sl_conf *now,
			  const struct sl_slot_map *map, const struct sl_conf *then,
			  uint64_t now_ms, sl_trial_counted *counted, void *ctx);
void sl_trial_rates_look(struct sl_trial_rates *r, uint64_t now_ms, sl_trial_counted *counted,
			 void *ctx);
void sl_trial_rates_fini(struct sl_trial_rates *r);

/* [{"name", "now", "then": {"requests", "per_ms"}, "windows", "above", "asked", "refused", "over"}…] */
json_t *sl_trial_rates_json(const struct sl_trial_rates *r);

#endif

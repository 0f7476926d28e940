/* hint — what others than operators and probes say of endpoints, by name: sources of endpoints (roster.h) and agents (agent.h).
 *
 * Nothing is kept over a restart: who said it says it again.
 * Threads: [loop].
 */
#ifndef SL_MGMT_HINT_H
#define SL_MGMT_HINT_H

#include "sluice/image.h"

#define SL_HINT_WHY_MAX 96

enum sl_hint_by { SL_HINT_SOURCE = 0, SL_HINT_AGENT, SL_HINT_BYS };

struct sl_hint {
	bool drain;      /* no new flows */
	bool down;       /* it does not serve: as a failed probe */
	uint8_t percent; /* [0, 100] of its weight that it wants; 100: all */
	char why[SL_HINT_WHY_MAX];
	int64_t wall_ms; /* when that began */
};

/* sl_hint_none: as if nothing was said. */
static inline bool
sl_hint_none(const struct sl_hint *h)
{
	return !h->drain && !h->down && h->percent == 100;
}

struct sl_hints;

struct sl_hints *sl_hints_create(void);
void sl_hints_destroy(struct sl_hints *t);

/* sl_hints_put: h in place of what `by` said of that name; one that says nothing is forgotten.  0 or -ENOMEM. */
int sl_hints_put(struct sl_hints *t, enum sl_hint_by by, const char *service, const char *name,
		 const struct sl_hint *h);

/* sl_hints_find: [SL_HINT_BYS], or NULL: nobody says anything.  Good until the next put. */
const struct sl_hint *sl_hints_find(const struct sl_hints *t, const char *service,
				    const char *name);

#endif

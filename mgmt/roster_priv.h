/* roster_priv — the roster's own files: roster.c (questions, sources, answers), roster_merge.c (endpoints of a service),
 * roster_disk.c (last good answers). */
#ifndef SL_MGMT_ROSTER_PRIV_H
#define SL_MGMT_ROSTER_PRIV_H

#include "mgmt/roster.h"
#include "mgmt/roster_rules.h"

#define SL_ROSTER_NOTE 256

/* Endpoints of one service, those of the table first; shared by the roster and configurations made of it. */
struct sl_roster_block {
	unsigned refs; /* atomic */
	uint32_t cnt;
	struct sl_conf_endpoint e[];
};

/* What one service asks one source. */
struct sl_roster_question {
	struct sl_roster_question *next; /* of the same hash */
	uint32_t hash;
	uint32_t id; /* while it is asked; 0: it is not */
	unsigned source;
	char service[SL_NAME_MAX];
	struct sl_conf_discover q;
	/* the last good answer, by name; every byte behind a text is 0 */
	struct sl_source_endpoint *eps; /* [cnt] */
	uint32_t cnt;
	bool good;       /* there is one */
	bool kept;       /* an answer after it was not believed */
	bool trouble;    /* since trouble_ms */
	bool used;       /* by the present table */
	bool spoken;     /* its source has said something */
	bool lifted;     /* its service's states are not believed */
	int64_t good_ms; /* of the loop's clock, may be below 0; likewise the next ones */
	int64_t trouble_ms, parked_ms;
	uint64_t answers, troubles;
	uint32_t strange; /* of the last answer: could not be read, by the source */
	uint32_t out;     /* of the last good one: not placed in the table */
	uint32_t placed;
	char note[SL_ROSTER_NOTE]; /* of the source, with the last answer */
	char left[SL_ROSTER_NOTE]; /* why some endpoint is not placed */
	char why[SL_ROSTER_NOTE];  /* of the trouble, or why the last answer is not believed */
	/* disk */
	bool unsaved, on_disk;
	uint64_t turn;
	int64_t saved_ms;
};

/* What a service of the present table asks; those that are asked no more stay until all of these have answered once. */
struct sl_roster_service {
	struct sl_roster_question *q[SL_MAX_DISCOVER];
	struct sl_roster_question *old[SL_MAX_DISCOVER];
	unsigned q_cnt, old_cnt;
	struct sl_roster_block *block; /* NULL: the service asks nobody */
	bool stale;                    /* block is to be made anew */
	uint8_t lift;                  /* enum sl_roster_lift */
};

/* What sources say of all endpoints of a service is not believed where it would leave nobody: */
enum sl_roster_lift {
	SL_ROSTER_AS_TOLD = 0,
	SL_ROSTER_LIFT_DRAIN, /* those that are on their way out but serve take flows; what is down stays down */
	SL_ROSTER_LIFT_DOWN, /* all are down: all take flows */
};

/* roster_merge.c.  sl_roster_merge makes the endpoints of service i of the rules' table out of last good answers: from[k] is what
 * endpoints of qs[k] have there.  now: those that are there, or NULL; room: of the gateway.  tell: counts and reasons go into
 * the questions.  NULL: no memory. */
struct sl_roster_block *sl_roster_merge(const struct sl_roster_rules *rules, uint32_t i,
					struct sl_roster_question *const *qs, const uint8_t *from,
					unsigned q_cnt, const struct sl_roster_block *now,
					uint32_t room, bool tell);
void sl_roster_block_unref(struct sl_roster_block *b);
struct sl_roster_block *sl_roster_block_ref(struct sl_roster_block *b);
bool sl_roster_block_same(const struct sl_roster_block *a, const struct sl_roster_block *b);

#endif

/* roster_priv — the roster's own files: roster.c (tables, what people are told), roster_questions.c (who asks whom for what),
 * roster_sources.c (whom they are put to), roster_answers.c (which answers are believed), roster_states.c (what counts of what sources say of
 * states), roster_endpoints.c (endpoints of services, in configurations), roster_merge.c (those of one service), roster_disk.c (last good
 * answers). */
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

/* What one service asks one source.  id is roster_sources.c's; used, q and parked_ms are roster.c's, lifted roster_states.c's, out, placed and
 * left roster_merge.c's; the answer, and what became of it, is roster_answers.c's, or from disk (roster.c). */
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
	/* roster_disk.c; turn and on_disk as they were found there, roster.c */
	bool unsaved, on_disk;
	uint64_t turn;
	int64_t saved_ms;
};

/* What a service of the present table asks; those that are asked no more stay until all of these have answered once.  Made by roster.c;
 * block is roster_endpoints.c's, which lets go of what is old, and lift roster_states.c's. */
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

/* All that are known, asked or not.  Written by roster_questions.c alone. */
struct sl_roster_questions {
	struct sl_roster_question **hash; /* [mask + 1] */
	uint32_t mask, cnt;
};

struct sl_roster_source {
	const struct sl_source_conf *conf; /* NULL: the registry */
	const struct sl_source_ops *ops;   /* NULL: not there (yet) */
	void *source;
};

/* Written by roster_sources.c alone. */
struct sl_roster_sources {
	struct sl_roster_source at[SL_SOURCES_MAX + 1]; /* [c.source_cnt], then the registry */
	struct sl_roster_question **by_id;              /* [id_cnt], id - 1; NULL: free */
	uint32_t id_cnt, id_next;
};

struct sl_roster {
	struct sl_roster_conf c;
	struct sl_source_sink sink;
	struct sl_roster_questions questions;
	struct sl_roster_sources sources;
	/* of the present table: roster.c; endpoint_cnt also roster_endpoints.c */
	const struct sl_conf *table; /* NULL: none */
	struct sl_roster_rules rules;
	struct sl_roster_service *services; /* [service_cnt] */
	uint32_t service_cnt, endpoint_cnt;
	struct sl_roster_disk *disk;
	uv_timer_t *turn; /* fires when `changed` is to be told */
};

/* roster.c.  now_ms: of the loop's clock.  say: a line for people.  stir: services are made anew in the next turn of the loop, and `changed`
 * is told if they are other ones.  service_index: of the present table's service of the name; UINT32_MAX: there is none. */
int64_t sl_roster_now_ms(const struct sl_roster *r);
void sl_roster_say(struct sl_roster *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sl_roster_stir(struct sl_roster *r);
uint32_t sl_roster_service_index(const struct sl_roster *r, const char *service);

/* roster_questions.c.  init: 0 or -ENOMEM.  fini: all are removed, and their answers on disk stay.  find: the question, or NULL.  get: it, or
 * a new one that no table asks yet; NULL: no memory.  each: fn may remove the one that it is given.  remove: it is not asked any more (drop),
 * and no service has it; file_stays: so does its answer on disk. */
int sl_roster_questions_init(struct sl_roster *r);
void sl_roster_questions_fini(struct sl_roster *r);
struct sl_roster_question *sl_roster_questions_find(const struct sl_roster *r, const char *service,
						    const struct sl_conf_discover *d);
struct sl_roster_question *sl_roster_questions_get(struct sl_roster *r, const char *service,
						   const struct sl_conf_discover *d);
void sl_roster_questions_each(struct sl_roster *r,
			      void (*fn)(struct sl_roster *r, struct sl_roster_question *q));
void sl_roster_questions_remove(struct sl_roster *r, struct sl_roster_question *q, bool file_stays);

/* roster_answers.c.  sink: what sources answer by.  trouble: q cannot be asked, or its source says so; its last good answer stays. */
struct sl_source_sink sl_roster_answers_sink(struct sl_roster *r);
void sl_roster_answers_trouble(struct sl_roster *r, struct sl_roster_question *q, const char *why);

/* roster_sources.c.  create: 0, or -errno with diag; fini in both cases.  index: the source of the name; UINT32_MAX: there is none.  ask: unless
 * it is asked already; q's trouble, if it cannot be.  drop: unless it is not asked.  asked: the question that has the id, or NULL. */
int sl_roster_sources_create(struct sl_roster *r, struct sl_diag *diag);
void sl_roster_sources_fini(struct sl_roster *r);
unsigned sl_roster_sources_index(const struct sl_roster *r, const char *name);
void sl_roster_sources_ask(struct sl_roster *r, struct sl_roster_question *q);
void sl_roster_sources_drop(struct sl_roster *r, struct sl_roster_question *q);
struct sl_roster_question *sl_roster_sources_asked(struct sl_roster *r, uint32_t id);

/* roster_endpoints.c.  refresh: the endpoints of stale services are made anew; true: of some they are other ones. */
bool sl_roster_endpoints_refresh(struct sl_roster *r);

/* roster_states.c.  lift: after states of service i of the present table may have moved: its lift begins or ends.  moved: two answers to one
 * question, by name: what moved between them is told.  tell: what counts of all of q's endpoints whose state is not the plain one. */
void sl_roster_states_lift(struct sl_roster *r, uint32_t i);
void sl_roster_states_moved(struct sl_roster *r, const char *service,
			    const struct sl_source_endpoint *old, uint32_t old_cnt,
			    const struct sl_source_endpoint *now, uint32_t now_cnt);
void sl_roster_states_tell(struct sl_roster *r, const struct sl_roster_question *q);

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

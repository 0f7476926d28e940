/* registry_priv — what the parts of the registry have in common.
 *
 * Services in a hash by name, each with its endpoints sorted by name; all endpoints once more in one array, which the sweep
 * walks.
 *
 *   registry.c         who may what, silence, life        registry_book.c    services, endpoints, questions, what people see
 *   registry_change.c  changes, and who waits for them
 */
#ifndef SL_MGMT_REGISTRY_PRIV_H
#define SL_MGMT_REGISTRY_PRIV_H

#include "mgmt/audit.h"
#include "mgmt/registry.h"
#include "mgmt/registry_journal.h"

#define SL_REGISTRY_BUCKETS 4096

struct service;

struct entry {
	struct service *of;
	struct sl_registration now;
	struct sl_registration *plan; /* what it will be; NULL: no change is under way */
	char *line;                   /* of now, as it is kept; NULL: not live */
	unsigned pending;             /* changes under way */
	bool live, plan_live;
	uint32_t all_idx;
	uint64_t due_ms;  /* live with a TTL: silent then; silent: removed then */
	int64_t heard_ms; /* wall; 0: not since the start */
};

struct question {
	uint32_t id;
	struct service *of;
};

struct service {
	struct service *next, *next_dirty;
	char name[256];
	struct entry **entries; /* [cnt], by name */
	uint32_t cnt, room, live_cnt;
	uint32_t asked; /* questions */
	bool dirty;
};

struct sl_registry {
	uv_loop_t *loop;
	const struct sl_registry_conf *conf;
	struct sl_audit *audit;
	struct sl_registry_events ev;
	struct sl_registry_journal *journal;
	const struct sl_source_sink *sink;
	struct service *bucket[SL_REGISTRY_BUCKETS];
	struct service *dirty;
	struct entry **all; /* [all_cnt] */
	uint32_t all_cnt, all_room;
	struct question *questions; /* [question_cnt] */
	uint32_t question_cnt, question_room;
	uv_timer_t *sweep, *answer;
	uint64_t swept_ms;
	unsigned sweeps;
	uint32_t waiting;
	struct sl_registry_stats stats;
	uint64_t denied_said_ms, denied_unsaid;
};

/* ---- registry.c ---- */

int64_t sl_registry_wall_ms(const struct sl_registry *r);
void sl_registry_say(struct sl_registry *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Whether who may change an endpoint of service at addr (NULL: any), or see the service's. */
bool sl_registry_may(const struct sl_registry *r, const struct sl_registry_who *who,
		     const char *service, const struct sl_addr *addr);
bool sl_registry_sees(const struct sl_registry *r, const struct sl_registry_who *who,
		      const char *service);

/* ---- registry_book.c ---- */

struct service *sl_registry_find_service(const struct sl_registry *r, const char *name);
struct entry *sl_registry_find(const struct sl_registry *r, const char *service, const char *name);
/* An endpoint that is not there yet, and not live.  NULL: no memory. */
struct entry *sl_registry_make(struct sl_registry *r, const char *service, const char *name);
/* Frees e unless it is live or has changes under way. */
void sl_registry_drop(struct sl_registry *r, struct entry *e);
void sl_registry_set_live(struct sl_registry *r, struct entry *e, bool live);
/* Its time runs from now on. */
void sl_registry_start_clock(struct sl_registry *r, struct entry *e);
/* e is another one now: its service's questions are answered in the next turn of the loop. */
void sl_registry_changed(struct sl_registry *r, const struct entry *e);
/* ENDPOINT of registry.h. */
struct json_t *sl_registry_show_entry(const struct entry *e);
/* The loop's turn for sl_registry_changed. */
void sl_registry_on_answer(uv_timer_t *t);

/* ---- registry_change.c ---- */

/* e->now changed, and nobody waits until it is kept. */
void sl_registry_keep_later(struct sl_registry *r, struct entry *e);

#endif

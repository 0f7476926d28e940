/* announce_plan — which VIPs routers shall be told of, and the file that tells BIRD.
 *
 * A VIP is an address or prefix of listeners with `announce`; several listeners may have the same.  It is wanted while the gateway
 * serves, nobody drained it, and one of its listeners wants it: always, or healthy: a service that it leads to has an
 * endpoint that takes new flows.  Of a route table each service that a route sends requests to counts; a table without
 * any answers by itself.  Endpoints that no probe has judged yet change nothing: what is announced stays so, what is not waits.
 * Time:    what is not wanted any more is withdrawn at once; what was withdrawn comes back when it has been wanted for `settle`
 *          without a break.
 * Threads: [any], pure.  Time: now_ms of any monotonic clock.
 */
#ifndef SL_MGMT_ANNOUNCE_PLAN_H
#define SL_MGMT_ANNOUNCE_PLAN_H

#include "mgmt/conf.h"

#define SL_ANNOUNCE_FILE_MAX (1u << 20) /* bytes; more than all listeners need */

/* What endpoints of a service say together; the largest counts. */
enum sl_announce_health {
	SL_ANNOUNCE_DEAD = 0,    /* none takes new flows */
	SL_ANNOUNCE_UNKNOWN = 1, /* some may: not probed yet */
	SL_ANNOUNCE_ALIVE = 2,
};

struct sl_announce_vip {
	struct sl_addr addr;
	uint32_t plen; /* over the 16-byte form */
	uint8_t policy; /* enum sl_announce_when: the strongest of its listeners; NONE: no listener has it any more */
	bool by_itself;  /* a listener's table needs no service */
	bool announced;  /* it shall be in the file */
	bool was;        /* it was, and was withdrawn */
	bool wanted;     /* since wanted_ms */
	bool told;       /* BIRD has said that it took the file with it (announce.c) */
	const char *why; /* a static phrase: why it is wanted, or not */
	uint64_t wanted_ms;
	uint64_t changed_ms; /* when announced changed; 0: never */
	uint32_t first, cnt; /* its services, in plan.service */
};

struct sl_announce_plan {
	struct sl_announce_vip *vips; /* [cnt], by address and length */
	uint32_t cnt;
	uint32_t *service; /* indices into the services of the configuration given last */
};

/* What is true of the whole gateway. */
struct sl_announce_facts {
	const char *not_serving; /* NULL: it serves; else a static phrase */
	bool drained;
	const uint8_t *health; /* enum sl_announce_health, by index of the service */
};

/* sl_announce_plan_set: c is the table from now on (NULL: none).  VIPs that stay keep what became of them; those that are
 * announced and gone from the table stay until they are withdrawn.  0, or -ENOMEM: the plan is as before. */
int sl_announce_plan_set(struct sl_announce_plan *p, const struct sl_conf *c);

/* sl_announce_plan_step judges all: true when what is announced has changed.  *ret_next_ms: when to look again at the latest because
 * of time alone, UINT64_MAX: no need.  *ret_withdrawn: a VIP was taken back now. */
bool sl_announce_plan_step(struct sl_announce_plan *p, const struct sl_announce_facts *f,
			   uint64_t now_ms, uint32_t settle_ms, uint64_t *ret_next_ms,
			   bool *ret_withdrawn);

/* sl_announce_plan_prune forgets VIPs that no listener has and that are not announced. */
void sl_announce_plan_prune(struct sl_announce_plan *p);

uint32_t sl_announce_plan_cnt(const struct sl_announce_plan *p); /* of VIPs announced */

/* sl_announce_text makes the file: *ret_text malloc'ed and terminated; 0 or -ENOMEM. */
int sl_announce_text(const struct sl_announce_plan *p, char **ret_text, size_t *ret_len);

/* sl_announce_text_ours: whether a file begins as ours do. */
bool sl_announce_text_ours(const char *text, size_t len);

/* sl_announce_plan_read takes a file that was made by sl_announce_text: its VIPs are announced, without a listener.  0; -EINVAL: it
 * is not such a file; -ENOMEM.  The plan is empty before. */
int sl_announce_plan_read(struct sl_announce_plan *p, const char *text, size_t len);

void sl_announce_plan_fini(struct sl_announce_plan *p);

#endif

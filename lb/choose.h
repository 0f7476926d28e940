/* choose — an endpoint for a new flow.
 *
 * Walk:    after a flow miss on a listener; before flow insert.
 * Threads: [worker]. Pure over (view of a service, state words, hash, cursor).
 *
 * The policy gives a candidate.  Its state words may refuse it (unhealthy, draining, disabled, ejected,
 * or hash2 ≥ fraction): then the next salt is tried, at most 8; then the endpoint list is walked from a hashed
 * start for one that admits anything at all (fraction > 0, weight > 0, no refusing flag).
 *
 * LEAST_CONN takes the endpoint with the smallest (flows + 1) / weight of those that admit the flow; if none does
 * (only fractions refuse), the smallest of those that admit anything.  A service of up to SL_CHOOSE_ALL endpoints
 * is looked at whole, from a hashed start, so that of equal ones each has its turn; of a larger one the best of
 * SL_CHOOSE_DRAWS drawn by hash is taken, and when all of these refuse, the list is walked.  Flows are those of this
 * worker alone: workers and gateways do not agree on the choice.
 *
 * LEAST_REQUEST draws two different endpoints by weight and takes the one with the smaller (requests + 1) / weight, requests of all
 * workers; RANDOM draws one.  RING_HASH takes the endpoint of the first point of the ring not below the hash's high 32 bits.
 * EWMA draws two likewise and takes the one with the smaller (what its answers take × (requests + 1)) / weight (ewma.h).
 * Flows of mode tcp: LEAST_REQUEST and EWMA count ctx.loads where given, else this worker's flows, and are drawn, as RANDOM, by the hash of
 * the tuple; RING_HASH goes by the client's address.
 *
 * load_max: what is full is passed over as if it refused.  Workers look at each other's loads without a lock: of those that ask at
 * the same moment each may be let in, so that with n workers up to n - 1 more than load_max may be under way.
 *
 * Levels: of a set with shares (shares.h) the key's hash with a salt of its own says which level is asked; when nobody in that admits (or
 * all who do are to be avoided), the others are, from the first on.  In a level that is in panic health, ejection and fractions are ignored: what is not disabled
 * or drained and has a weight takes all.
 *
 * SOURCE_HASH: clients whose addresses are equal in their leading source_bits4 or source_bits6 bits get the same
 * endpoint.
 */
#ifndef SL_LB_CHOOSE_H
#define SL_LB_CHOOSE_H

#include "lb/ewma.h"
#include "lb/hash.h"
#include "sluice/image.h"
#include "sluice/state.h"

#define SL_CHOOSE_SALTS 8
#define SL_CHOOSE_ALL 128
#define SL_CHOOSE_DRAWS 32
#define SL_CHOOSE_CURSORS (SL_MAX_SERVICES + 4096)

/* Endpoints that take new flows together: those of one priority in the whole service, or in a subset of it.  Tables hold indices
 * of endpoints that are members. */
struct sl_level {
	const uint16_t *members;         /* [member_cnt] ascending indices; NULL: all endpoints */
	const uint16_t *maglev;          /* [maglev_cnt] or NULL */
	const uint16_t *sched;           /* [sched_cnt] or NULL */
	const struct sl_img_point *ring; /* [ring_cnt] or NULL */
	/* [member_cnt], weights up to and with each, of policies that draw.  NULL: added up for each choice */
	const uint32_t *weight_sums;
	uint32_t member_cnt;
	uint32_t maglev_cnt;
	uint32_t sched_cnt;
	uint32_t ring_cnt;
	uint32_t cursor; /* ROUND_ROBIN: its place in ctx.cursors */
	uint8_t zone;    /* as in the image, */
	bool beside;     /* likewise */
};

struct sl_shares;

/* A service's levels in order of priority: of the whole service, or of a subset. */
struct sl_set {
	const struct sl_level *levels; /* [level_cnt] */
	uint64_t key;                  /* sl_choose_subset */
	uint32_t level_cnt;            /* [0, SL_MAX_LEVELS]; 0: nobody is in it */
	uint32_t shares;               /* place of its shares (shares.h); UINT32_MAX: it has none */
};

/* A service as a worker sees it: pointers into validated, immutable objects. */
struct sl_service {
	const struct sl_img_service *img;
	const struct sl_img_endpoint *endpoints; /* [endpoint_cnt] */
	const struct sl_set
		*sets; /* [set_cnt]: the whole, then the subsets by name.  NULL: plain */
	uint32_t endpoint_cnt;
	uint32_t slot;       /* service slot */
	struct sl_level top; /* the whole service's first level; of a plain one there is no other */
	uint32_t set_cnt;    /* ≥ 1 */
	uint8_t policy;
	uint8_t forward;
	uint8_t family;
	uint8_t source_bits4, source_bits6; /* SOURCE_HASH */
	sl_be16 gue_port;
	uint8_t tunnel_plen;
	uint8_t panic_pct;               /* [0, 100] */
	uint16_t zone_min, zone_traffic; /* as in the image */
	uint32_t incarnation;
	uint32_t source_cnt;
	const struct sl_addr *sources; /* FULLNAT: [source_cnt] or NULL */
	struct sl_addr tunnel;         /* prefix of outer sources, with tunnel_plen */
};

struct sl_choice {
	uint32_t endpoint; /* index into endpoints, or UINT32_MAX: none */
	uint8_t why;       /* enum sl_why */
	uint8_t tries;     /* salts tried beyond the first, [0,8]; 9: list walked */
	uint8_t level;     /* of the set, the endpoint is one of its members */
	bool panic;        /* the level is in panic */
};

/* What a worker knows besides: its own, and only read here but for the cursor. */
struct sl_choose_ctx {
	const struct sl_state_word2 *states; /* [SL_MAX_ENDPOINTS] */
	uint64_t seed;                       /* root.hash_seed */
	const uint32_t
		*conns;    /* [SL_MAX_ENDPOINTS]: flows this worker has on the slot (LEAST_CONN) */
	uint32_t *cursors; /* [SL_CHOOSE_CURSORS]: this worker's round-robin places by level */
	bool dry;          /* explain: cursors stay where they are */
	/* of SL_FORWARD_PROXY; may be left 0 else */
	const uint32_t *const *
		loads; /* [load_cnt] workers' requests under way by endpoint slot (LEAST_REQUEST): each its own lines,
			      * read relaxed.  NULL: conns */
	unsigned load_cnt;
	uint32_t load_max; /* who has so many under way takes none; 0: no limit.  Needs loads */
	uint32_t
		conn_max; /* likewise who has so many connections open and none idle here; needs open */
	const _Atomic uint32_t
		*open; /* [SL_MAX_ENDPOINTS] connections of all workers by endpoint slot */
	const uint32_t *
		idle; /* [SL_MAX_ENDPOINTS] of these, those of this worker that wait for a request; NULL: none */
	/* of svc->sets: who is asked for; NULL: the whole service, which is plain */
	const struct sl_set *set;
	const struct sl_shares *shares; /* of the set; NULL: all to its first level, no panic */
	uint64_t
		random; /* drawn for this choice: RANDOM, LEAST_REQUEST, EWMA, and what is not hashed */
	const struct sl_ewma *
		ewma; /* EWMA: [SL_MAX_ENDPOINTS], this worker's.  NULL: all are alike, as LEAST_REQUEST */
	uint64_t now_ns; /* of ewma */
};

/* sl_choose picks. */
struct sl_choice sl_choose(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
			   const struct sl_tuple *tuple);

/* sl_choose_other picks likewise, none of avoid[] (endpoint slots); UINT32_MAX: nobody else admits anything. */
struct sl_choice sl_choose_other(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
				 const struct sl_tuple *tuple, const uint32_t *avoid,
				 unsigned avoid_cnt);

/* sl_choose_request picks for a request: policies with a table or ring go by hash (hashed false: by ctx->random), SOURCE_HASH, too:
 * the hash is of the address.  None of avoid[] (endpoint slots) while another one admits anything. */
struct sl_choice sl_choose_request(const struct sl_service *svc, const struct sl_choose_ctx *ctx,
				   bool hashed, uint64_t hash, const uint32_t *avoid,
				   unsigned avoid_cnt);

/* sl_choose_subset: what a subset is called while tables change: its index is another one when others come and go.  name: NULL: the
 * whole service, 0.  sl_choose_set: the set of that key, or NULL: there is none any more; of a plain service, of which sets is NULL,
 * the key has to be 0 and there is no set to find. */
#define SL_CHOOSE_NO_SUBSET 2 /* the key of none */
uint64_t sl_choose_subset(const char *name);
const struct sl_set *sl_choose_set(const struct sl_service *svc, uint64_t key);

/* sl_choose_draws: whether the policy draws by weight.  sl_choose_sums fills sums[cnt] for weight_sums. */
static inline bool
sl_choose_draws(uint8_t policy)
{
	return policy == SL_POLICY_LEAST_REQUEST || policy == SL_POLICY_RANDOM ||
	       policy == SL_POLICY_EWMA;
}

void sl_choose_sums(const struct sl_img_endpoint *endpoints, const uint16_t *members, uint32_t cnt,
		    uint32_t *sums);

/* sl_choose_cursor: the place of a level's cursor: the first level of a whole service has one of its own; those of subsets and
 * further levels may meet, and then take turns from one count. */
static inline uint32_t
sl_choose_cursor(uint32_t service_slot, uint32_t set, uint32_t level)
{
	uint32_t other = (service_slot * SL_MAX_LEVELS + level) * 2654435761u + set * 2246822519u;

	return set == 0 && level == 0 ? service_slot : SL_MAX_SERVICES + (other >> 20);
}

/* sl_choose_takes: whether an endpoint takes any new flow at all by its words; panic: as far as people said. */
bool sl_choose_takes(const struct sl_state_word2 *w, uint32_t incarnation, bool panic);

/* sl_choose_admits: whether an endpoint takes this new flow (hash2 in [0,255]) by its words. */
bool sl_choose_admits(const struct sl_state_word2 *w, uint32_t incarnation, uint8_t hash2);

/* Of the flags of both words (sl_state_refusal), asked for every packet of a known flow:
 * sl_choose_lives: whether probes and replies say that the endpoint is there: neither unhealthy nor ejected.
 * sl_choose_serves: whether an established flow may go on to it (not disabled). */
static inline bool
sl_choose_lives(unsigned refusal)
{
	return !(refusal & (SL_ST_UNHEALTHY | SL_ST_EJECTED));
}

static inline bool
sl_choose_serves(unsigned refusal)
{
	return !(refusal & SL_ST_DISABLED);
}

#endif

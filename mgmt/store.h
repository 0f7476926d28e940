/* store — etcd as what several gateways share: the table that all of them take, what became of it on each, and (store_registry.h) the
 * services that registered with any of them.
 *
 *   store = { source = "etcd";       # one of `sources`, of type etcd: its servers, its user, its prefix
 *             table = "edge";        # tables come from the key PREFIXtables/edge; "": none do
 *             registry = true;       # registrations are shared
 *             limits = true;         # limits with `shared` are (rate_share.h)
 *             gateway = "gw-1"; };   # this one's name there; default: the host's
 *
 * Walk:    PREFIXtables/TABLE changes → a push by "etcd" (tables.h) → what became of it → PREFIXstatus/GATEWAY/TABLE.
 * Rules:   a table that was refused is not tried again until it changes; one that is active already is not pushed again; a key that was
 *          deleted, and an etcd that is away or back in time (etcd_view.h), change nothing.
 * Status:  {"state": "active" | "pending" | "refused" | "failed" | "replaced", "revision": N, "generation": N, "at": TIME,
 *          "problems": [TEXT…]}; replaced: another table was made active by hand.
 * Threads: [loop].
 */
#ifndef SL_MGMT_STORE_H
#define SL_MGMT_STORE_H

#include "mgmt/source.h"

struct sl_store_conf {
	char source[SL_NAME_MAX]; /* "": there is no store */
	char table[SL_NAME_MAX];
	char gateway[SL_NAME_MAX];
	bool registry;
	bool limits;
};

struct sl_daemon;
struct sl_store;
struct sl_publish_verdict;
struct json_t;

/* After registry and tables were opened.  NULL in *ret_store: the file has no store.  0 or -ENOMEM. */
int sl_store_create(struct sl_daemon *d, struct sl_store **ret_store);
/* Nothing is asked or pushed any more; before the tables end.  NULL is accepted, here and below. */
void sl_store_stop(struct sl_store *s);
/* After the tables ended. */
void sl_store_destroy(struct sl_store *s);

/* What the tables tell: a table is active; what the dataplane said of one. */
void sl_store_activated(struct sl_store *s);
void sl_store_verdict(struct sl_store *s, const struct sl_publish_verdict *v);

/* What the registry tells (registry.h:changed): reg NULL: gone.  Nothing unless the file says `registry`. */
struct sl_registration;
void sl_store_registered(struct sl_store *s, const char *service, const char *endpoint,
			 const struct sl_registration *reg);

/* Whether tables come from the store: a push beside it needs to be meant. */
bool sl_store_gives_tables(const struct sl_store *s);
const char *sl_store_key(const struct sl_store *s);

/* sl_store_put makes text the table there, if nobody else changed it since this gateway saw it, or force.  code: as of an error of
 * api.h, or NULL with revision.  fn: once, possibly from within. */
typedef void sl_store_put_fn(void *ctx, const char *code, const char *error, const char *hint,
			     uint64_t revision);
void sl_store_put(struct sl_store *s, const char *text, size_t len, bool force, sl_store_put_fn *fn,
		  void *ctx);

enum sl_store_state {
	SL_STORE_NONE,
	SL_STORE_ACTIVE,
	SL_STORE_PENDING,
	SL_STORE_REFUSED,
	SL_STORE_FAILED,
	SL_STORE_REPLACED,
	SL_STORE_STATES
};
static inline const char *
sl_store_state_name(enum sl_store_state s)
{
	static const char *const names[SL_STORE_STATES] = {"none",    "active", "pending",
							   "refused", "failed", "replaced"};
	return names[s];
}

struct sl_store_stats {
	bool connected;    /* etcd answers, with sense */
	uint64_t troubles; /* requests that came to nothing */
	bool gives_tables; /* the next ones mean something */
	enum sl_store_state state;
	uint64_t revision; /* of etcd when the table was changed last; 0: there is none */
	double age_s; /* since etcd said what the table is, or confirmed it; below 0: never yet */
	uint64_t conflicts; /* `push --store` that somebody else's change came before */
	bool shares_registry;
	uint32_t registered, shared; /* here; of these, in etcd as they are here */
};
/* false: there is no store. */
bool sl_store_stats(const struct sl_store *s, struct sl_store_stats *ret);

/* sl_store_show: what `show store` says (api.h), of all gateways that wrote a status; etcd is asked for it.  answer: the callee's, or NULL:
 * no memory.  fn: once, possibly from within. */
typedef void sl_store_show_fn(void *ctx, struct json_t *answer);
void sl_store_show(struct sl_store *s, sl_store_show_fn *fn, void *ctx);

#endif

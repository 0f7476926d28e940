/* compile — structs → objects (include/sluice/image.h), pure.
 *
 * The same configuration and slot map give the same bytes, in any process.  Slots: an owner that was in
 * the previous map keeps slot and incarnation (listeners and services by name, endpoints by service and name
 * and address: another address is another machine, hence a new incarnation); a new one takes a never-used slot, or else the slot
 * freed longest ago with its incarnation raised (65535 wraps to 1).
 * Threads: [any].
 */
#ifndef SL_MGMT_COMPILE_H
#define SL_MGMT_COMPILE_H

#include "mgmt/conf.h"

struct sl_slot_owner {
	char *key;            /* "web", "web/web-1/198.51.100.11:80"; NULL: free */
	uint32_t incarnation; /* last one given, 0: never used */
	uint64_t freed_seq;   /* order in which free slots are taken again */
};

struct sl_slot_space {
	struct sl_slot_owner *owner; /* [cnt], by slot */
	uint32_t cnt;
	uint32_t max;
	uint32_t *index; /* slots.c: hash of key → slot + 1; [index_mask + 1] or NULL */
	uint32_t index_mask;
};

/* Names a database by what it was made from (shards.h). */
struct sl_shard_key {
	uint8_t b[32];
};

/* The base that a scan's pattern ids count in: who was given an id keeps it until the base is made anew. */
struct sl_scan_base {
	char *scan; /* "edge/shop/header/x-env", "edge/shop/path"; sl_slot_key_scan */
	struct sl_shard_key key;
};

struct sl_slot_map {
	struct sl_slot_space listeners, services, endpoints;
	struct sl_slot_space tables, vhosts, hroutes; /* "edge", "edge/shop", "edge/shop/canary" */
	struct sl_slot_space jwt;                     /* issuers of tokens, by name */
	struct sl_slot_space rates;                   /* limits, by name */
	struct sl_slot_space authz;                   /* sets of rules, by name */
	struct sl_slot_space rules; /* "shop/no-admin"; as many as there is room for */
	uint64_t seq;               /* next freed_seq */
	struct sl_scan_base *bases; /* [base_cnt], by scan */
	uint32_t base_cnt;
};

void sl_slot_map_init(struct sl_slot_map *m);
void sl_slot_map_fini(struct sl_slot_map *m);
/* Text form for the disk: JSON without blanks, keys in order; load refuses what save would not write: -EINVAL with diag. */
int sl_slot_map_save(const struct sl_slot_map *m, char **ret_text, size_t *ret_len);
int sl_slot_map_load(const char *text, size_t len, struct sl_diag *diag,
		     struct sl_slot_map *ret_map);

/* The bytes of an object that did not change are shared with the previous result: read them only, and only
 * while some result that holds them lives. */
struct sl_compiled_object {
	struct sl_obj_id id;
	const void *bytes; /* aligned to 8 */
	size_t size;
};

struct sl_compiled {
	struct sl_compiled_object root;
	struct sl_compiled_object *objs; /* [cnt], in the order of the root's refs */
	uint32_t cnt;
	uint32_t want_cnt;
	struct sl_scan_want
		*wants; /* [want_cnt]: scans that a new base would serve better (shards.h) */
};

/* sl_compile: c passed sl_conf_check.  prev: slot map before; *ret_map: after (initialised by this call; prev
 * is not changed).  prev_compiled: the previous result or NULL; it changes the time taken, never the bytes:
 * an unchanged service is taken as it is, and one with the same (names, weights, size, seed) copies its
 * Maglev table.  It may be freed at once, by any thread.
 * shards: where databases for regexes come from (shards.h); NULL where no condition needs one.
 * 0, -EINVAL (slots exhausted, a bad regex; in diag) or -ENOMEM. */
struct sl_shards;
int sl_compile(const struct sl_conf *c, const struct sl_slot_map *prev,
	       const struct sl_compiled *prev_compiled, struct sl_shards *shards,
	       struct sl_diag *diag, struct sl_slot_map *ret_map,
	       struct sl_compiled **ret_compiled);
void sl_compiled_free(struct sl_compiled *c);

/* sl_compile_needs_shards: whether some condition of it needs a database. */
bool sl_compile_needs_shards(const struct sl_conf *c);

/* sl_compile_check: whether the databases that it needs can be made; file names it in messages.  0, -EINVAL or -ENOMEM. */
int sl_compile_check(const struct sl_conf *c, const char *file, struct sl_shards *shards,
		     struct sl_diag *diag);

/* Where things ended up, for health, metrics and the CLI. */
struct sl_placed {
	uint32_t slot;
	uint32_t incarnation;
};
/* In the order of conf.listeners / conf.services / endpoints of service i; -ENOENT when not there. */
int sl_slot_find_listener(const struct sl_slot_map *m, const struct sl_conf_listener *l,
			  struct sl_placed *ret);
int sl_slot_find_service(const struct sl_slot_map *m, const struct sl_conf_service *s,
			 struct sl_placed *ret);
int sl_slot_find_endpoint(const struct sl_slot_map *m, const struct sl_conf_service *s,
			  const struct sl_conf_endpoint *e, struct sl_placed *ret);
int sl_slot_find_table(const struct sl_slot_map *m, const struct sl_conf_table *t,
		       struct sl_placed *ret);
int sl_slot_find_vhost(const struct sl_slot_map *m, const struct sl_conf_table *t,
		       const struct sl_conf_vhost *v, struct sl_placed *ret);
int sl_slot_find_hroute(const struct sl_slot_map *m, const struct sl_conf_table *t,
			const struct sl_conf_vhost *v, const struct sl_conf_hroute *r,
			struct sl_placed *ret);
int sl_slot_find_authz(const struct sl_slot_map *m, const char *name, struct sl_placed *ret);
int sl_slot_find_rule(const struct sl_slot_map *m, const char *set, const char *rule,
		      struct sl_placed *ret);
int sl_slot_find_rate(const struct sl_slot_map *m, const char *name, struct sl_placed *ret);

#endif

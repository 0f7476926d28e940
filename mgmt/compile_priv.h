/* compile_priv — one compilation under way, for the compiler's own files: compile.c, compile_service.c,
 * compile_levels.c, compile_policy.c, compile_routes.c, compile_tls.c. */
#ifndef SL_MGMT_COMPILE_PRIV_H
#define SL_MGMT_COMPILE_PRIV_H

#include "lb/maglev.h"
#include "mgmt/compile.h"

struct sl_compiling {
	const struct sl_conf *c;
	const struct sl_compiled *prev; /* or NULL */
	uint64_t prev_seed;
	struct sl_shards *shards; /* or NULL */
	struct sl_diag *diag;
	struct sl_conf_links links;
	uint32_t *service_place;  /* [service_cnt]: where a service stands in links.service_order */
	uint32_t *service_ref;    /* [service_cnt], by place: index into the root's refs */
	uint32_t *listener_order; /* [listener_cnt] */
	uint32_t *endpoint_order; /* all services' in turn, from endpoint_first on */
	uint32_t *endpoint_first; /* [service_cnt + 1], by place */
	struct sl_placed *listener_placed, *service_placed, *endpoint_placed; /* by place */
	struct sl_levels_draft *levels; /* scratch: of the service under way */
	struct sl_maglev_node *nodes;   /* [SL_MAX_SERVICE_ENDPOINTS] scratch */
	struct sl_img_endpoint *eps;    /* likewise */
	struct sl_addr *sources;        /* [SL_MAX_SOURCES] likewise */
	uint32_t *rate_order;           /* [rate_cnt]: limits by name */
	struct sl_placed *rate_placed;  /* by place there */
	/* compile_authz.c, likewise of sets of rules; their objects, until they stand among the others */
	uint32_t *authz_order;
	struct sl_placed *authz_placed;
	struct sl_compiled_object *authz_objs;
	/* compile_routes.c: tables by name; all virtual hosts by (table, name); all routes by (host, place in its list) */
	uint32_t vhost_cnt, hroute_cnt;
	uint32_t *table_order; /* [table_cnt] */
	uint32_t *vhost_order; /* [vhost_cnt], index within the table */
	struct sl_placed *table_placed, *vhost_placed, *hroute_placed; /* by place */
	struct sl_placed *jwt_placed;        /* [jwt_cnt], in the order of the file */
	uint32_t *table_ref, *vhost_ref;     /* by place: index into the root's refs */
	const struct sl_slot_map *prev_map;  /* whose bases count */
	struct sl_slot_map *map;             /* the new one */
	struct sl_scan_base *bases;          /* [base_cnt]: in use, in no order; the key is ours */
	const struct sl_shard **used_shards; /* [used_shard_cnt] */
	uint32_t base_cnt, used_shard_cnt;
	struct sl_placed *ref_placed; /* [out->cnt] */
	struct sl_compiled *out;
};

/* sl_compile_previous: the object of that kind, slot and incarnation in the previous result, or NULL. */
const struct sl_compiled_object *sl_compile_previous(const struct sl_compiling *k,
						     enum sl_obj_kind kind,
						     const struct sl_placed *placed);

/* sl_compile_assign gives n owners slots; 0, -EINVAL with diag (none left), -ENOMEM. */
int sl_compile_assign(struct sl_compiling *k, const char *what, struct sl_slot_space *space,
		      uint64_t *seq, const char *const *keys, uint32_t n, struct sl_placed *placed);

/* compile_routes.c, in the order of the walk.  sl_compile_table_place: of a route table by name, UINT32_MAX: none. */
int sl_compile_order_routes(struct sl_compiling *k);
int sl_compile_assign_routes(struct sl_compiling *k, struct sl_slot_map *m);
uint32_t sl_compile_table_place(const struct sl_compiling *k, const char *name);
int sl_compile_routes(struct sl_compiling *k);
int sl_compile_shards(struct sl_compiling *k);
void sl_compile_routes_fini(struct sl_compiling *k);

/* compile_authz.c: slots of sets of rules; that of the name; the alternatives of a set as routes of a host, whose conditions are
 * those of the rules (alternatives_fini after that); the objects, which sl_compile_routes made, behind the databases. */
int sl_compile_assign_authz(struct sl_compiling *k, struct sl_slot_map *m);
struct sl_placed sl_compile_authz_placed(const struct sl_compiling *k, const char *name);
int sl_compile_alternatives(const struct sl_conf_authz *a, struct sl_conf_vhost *ret);
void sl_compile_alternatives_fini(struct sl_conf_vhost *v);
int sl_compile_authz(struct sl_compiling *k);

/* compile_rate.c: slots of limits; what stands in an object for the one of the name. */
int sl_compile_assign_rates(struct sl_compiling *k, struct sl_slot_map *m);
void sl_compile_rate(const struct sl_compiling *k, const char *name, struct sl_img_rate *ret);

/* compile_policy.c: the rows of policy of a virtual host, and what they name.  put: the place of a text in the object; texts: calls
 * count for each text that put will be asked for.  row: what t, v and r say together: *ret is index + 1, 0: nothing. */
struct sl_policy_rows {
	struct sl_img_policy *policies;
	struct sl_img_rate *rates;
	struct sl_img_policy_ref *refs;
	struct sl_img_cors *cors;
	struct sl_img_fault *faults;
	uint32_t policy_cnt, rate_cnt, ref_cnt, cors_cnt, fault_cnt;
	uint32_t shared; /* row of routes that say nothing of their own, + 1; 0: not made yet */
};
struct sl_policy_texts {
	void *ctx;
	struct sl_img_str (*put)(void *ctx, const char *text, size_t len);
};
void sl_compile_policy_texts(const struct sl_conf_policy *p,
			     void (*count)(void *ctx, const char *text, size_t len), void *ctx);
/* slots: of the table, the host and the route. */
int sl_compile_policy_row(const struct sl_compiling *k, struct sl_policy_rows *rows,
			  const struct sl_policy_texts *texts, const struct sl_conf_table *t,
			  const struct sl_conf_vhost *v, const struct sl_conf_hroute *r,
			  const uint32_t slots[3], uint32_t *ret);
void sl_compile_policy_fini(struct sl_policy_rows *rows);

/* compile_jwt.c: slots; by name, NULL: there is none; objects, behind all others. */
int sl_compile_assign_jwt(struct sl_compiling *k, struct sl_slot_map *m);
const struct sl_placed *sl_compile_jwt_placed(const struct sl_compiling *k, const char *name);
int sl_compile_jwts(struct sl_compiling *k);

/* sl_compile_keep_base notes the base of a scan for the new map. */
int sl_compile_keep_base(struct sl_compiling *k, const char *scan, const struct sl_shard_key *key);

/* compile_tls.c.  sections: counts and places of the sections of TLS, behind *end.  listener_tls: what the listener (by place in the
 * file) says of it becomes the next records there. */
struct sl_tls_used {
	uint32_t tls, names, sans, snis;
};
void sl_compile_tls_sections(const struct sl_conf *c, uint32_t *end, struct sl_img_listeners *ret);
void sl_compile_listener_tls(const struct sl_compiling *k, uint32_t listener,
			     struct sl_img_listeners *obj, struct sl_tls_used *u,
			     struct sl_img_listener *to);
/* Bytes of the service's part, 0: none; what is written there, zeroed.  streamed: a listener of mode tcp goes to it. */
uint32_t sl_compile_service_tls_size(const struct sl_conf_service *s);
void sl_compile_service_tls(const struct sl_conf_service *s, bool streamed, void *bytes);

/* compile_levels.c: the levels of a service, by place; k->eps are its endpoints from `place` on.  gather: who is in which.  unchanged:
 * whether old has the same.  place: their fields in img, and room for them from *end on.  fill: what stands there; old: the
 * object before, or NULL.  0, -ENOMEM or -EINVAL.  subset: 1 + index of the subset in the object, 0: name is "". */
struct sl_levels_draft *sl_compile_levels_create(void);
void sl_compile_levels_destroy(struct sl_levels_draft *d);
int sl_compile_levels_gather(const struct sl_compiling *k, uint32_t place);
bool sl_compile_levels_unchanged(const struct sl_compiling *k, const struct sl_img_service *old);
int sl_compile_levels_place(const struct sl_compiling *k, struct sl_img_service *img,
			    uint32_t *end);
int sl_compile_levels_fill(const struct sl_compiling *k, const struct sl_img_service *old,
			   struct sl_img_service *obj);
uint32_t sl_compile_subset(const struct sl_conf_service *s, const char *name);

/* The service at a place in the order of names; its object. */
const struct sl_conf_service *sl_compile_service_at(const struct sl_compiling *k, uint32_t place);
int sl_compile_service(const struct sl_compiling *k, uint32_t place,
		       struct sl_compiled_object *ret);

#endif

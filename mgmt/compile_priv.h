/* compile_priv — one compilation under way, for the compiler's own files: compile.c, compile_service.c,
 * compile_routes.c. */
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
	uint16_t *sched;              /* [SL_MAX_SCHED] scratch */
	struct sl_maglev_node *nodes; /* [SL_MAX_SERVICE_ENDPOINTS] scratch */
	struct sl_img_endpoint *eps;  /* likewise */
	struct sl_addr *sources;      /* [SL_MAX_SOURCES] likewise */
	struct sl_placed *ref_placed; /* [out->cnt] */
	struct sl_compiled *out;
};

/* sl_compile_previous: the object of that kind, slot and incarnation in the previous result, or NULL. */
const struct sl_compiled_object *sl_compile_previous(const struct sl_compiling *k,
						     enum sl_obj_kind kind,
						     const struct sl_placed *placed);

/* The service at a place in the order of names; its object. */
const struct sl_conf_service *sl_compile_service_at(const struct sl_compiling *k, uint32_t place);
int sl_compile_service(const struct sl_compiling *k, uint32_t place,
		       struct sl_compiled_object *ret);

#endif

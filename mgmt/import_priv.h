/* import_priv — what the files of an import have in common.
 *
 *   files ─▶ yaml ─▶ objects ─▶ istio* │ gateway_api* ─▶ out (services, listeners, route tables) ─▶ text ─▶ sl_conf_parse
 *                                  │
 *                                  └▶ left (what could not be said)
 *
 * A Sluice service is made for each host and port that something leads to (import_services.c); a listener and, for HTTP, a route table
 * for each address and port that something listens at (struct sl_bind).
 */
#ifndef SL_MGMT_IMPORT_PRIV_H
#define SL_MGMT_IMPORT_PRIV_H

#include "mgmt/import.h"
#include "mgmt/import_objects.h"
#include "mgmt/import_out.h"
#include "mgmt/import_words.h"

#define SL_CLUSTER ".svc.cluster.local"

/* Who serves a host's port. */
struct sl_backend {
	const char *host;    /* as Istio has it: "cart.shop.svc.cluster.local", "api.example.com" */
	uint16_t port;       /* 0: not known */
	const char *variant; /* a subset with a policy of its own, or "" */
	const char *name;    /* of the service in the table */
	struct sl_out *out;  /* the service */
	struct sl_object *entry; /* the ServiceEntry that has the host, or NULL */
	struct sl_object *service;
	const struct sl_issuers *issuers; /* Istio: of its workload, once they were asked for */
	bool labels;                      /* endpoints have metadata of labels */
	bool tcp; /* a listener of mode tcp or tls-passthrough leads there */
	struct sl_backend *next;
};

/* How many of one name a list has. */
struct sl_import_named {
	const struct sl_out *list;
	const char *text;
	unsigned last;
	struct sl_import_named *next;
};

#define SL_IMPORT_NAMED 4096

struct sl_import {
	struct sl_memory m;
	struct sl_left left;
	struct sl_objects objects;
	struct sl_out root, *services, *listeners, *tables;
	struct sl_backend *backends, *last_backend;
	const char *directory;         /* where the table goes; NULL: not known */
	struct sl_import_made *files;  /* what goes beside it */
	const char *addresses, *given; /* --address: what of it was not taken yet; all of it */
	unsigned placeholders;
	struct sl_import_named *named[SL_IMPORT_NAMED]; /* by hash of list and text */
	bool istio;
	bool wants_kubernetes, wants_dns; /* sources that sluiced's file has to have */
};

/* ---- import_services.c ---- */

/* sl_backend_get: the service for the port of the host, made when it is not there (*ret_new).  asked: the field that names the host:
 * what is not known of it is told there. */
struct sl_backend *sl_backend_get(struct sl_import *im, const char *host, uint16_t port,
				  const char *variant, struct sl_yaml *asked, bool *ret_new);

/* sl_backend_subset makes the subset of the labels (a map; NULL: nobody is in it) in the service, once. */
void sl_backend_subset(struct sl_import *im, struct sl_backend *b, const char *name,
		       struct sl_yaml *labels, struct sl_yaml *asked);

/* The Service behind "NAME.NS.svc.cluster.local", the ServiceEntry that has the host; NULL: not given. */
struct sl_object *sl_host_service(const struct sl_import *im, const char *host);
struct sl_object *sl_host_entry(const struct sl_import *im, const char *host);
/* The one port of the host; 0: it has several, or is not known. */
uint16_t sl_host_only_port(const struct sl_import *im, const char *host);
/* Whether pattern ("*", "*.a.example", a name) covers the host or pattern. */
bool sl_host_covers(const char *pattern, const char *host);

/* ---- import.c: what all kinds need ---- */

/* The address for one more group of listeners, told at the node when it is a placeholder. */
const char *sl_import_address(struct sl_import *im, struct sl_yaml *node, const char *who);

/* sl_import_time puts a duration as key of the group; what is out of [lo, hi] ms is brought to the nearer end and told; what is no duration,
 * left out.  false: nothing was put.  ret_ms may be NULL. */
bool sl_import_time(struct sl_import *im, struct sl_out *to, const char *key, struct sl_yaml *node,
		    uint64_t lo_ms, uint64_t hi_ms, uint64_t *ret_ms);
/* Likewise a whole number. */
bool sl_import_number(struct sl_import *im, struct sl_out *to, const char *key,
		      struct sl_yaml *node, int64_t lo, int64_t hi);
/* sl_import_set puts a text as key of the group in place of one that is there; _set_number, _set_bool likewise. */
void sl_import_set(struct sl_import *im, struct sl_out *to, const char *key, const char *text);
void sl_import_set_number(struct sl_import *im, struct sl_out *to, const char *key, int64_t n);
void sl_import_set_bool(struct sl_import *im, struct sl_out *to, const char *key, bool yes);
/* A comment that says where it is from. */
void sl_import_from(struct sl_import *im, struct sl_out *at, const struct sl_yaml *node);
/* A name of a table that no member of the list has ("web", "web-2"). */
const char *sl_import_distinct(struct sl_import *im, const struct sl_out *list, const char *text);

/* ---- import_route.c: what routes of both kinds are made of ---- */

/* sl_import_edit adds one edit ("set", "add", "remove") of a header to the route's list ("request_headers", "response_headers"); what
 * cannot be one is left out at the node. */
void sl_import_edit(struct sl_import *im, struct sl_out *route, const char *list, const char *op,
		    const char *name, const char *value, struct sl_yaml *node);
/* The host that endpoints are asked for; what is none is left out at the node. */
void sl_import_host(struct sl_import *im, struct sl_out *route, const char *host,
		    struct sl_yaml *node);
/* sl_import_condition adds one to the route's list ("headers", "query"): form is a key of conditions, or "present".  false: it
 * cannot be said, which is told. */
bool sl_import_condition(struct sl_import *im, struct sl_out *route, const char *list,
			 const char *name, const char *form, const char *value, bool invert,
			 struct sl_yaml *node);
/* Whether a request's path can be this, in the form in which paths are compared (merge: // is /); if not, that is told. */
bool sl_import_path_form(struct sl_import *im, const char *path, bool merge, struct sl_yaml *node);
/* sl_import_method adds one to the route's methods; false: told. */
bool sl_import_method(struct sl_import *im, struct sl_out *route, const char *method,
		      struct sl_yaml *node);
/* A service's share of the requests; of one share alone the route has service in place of split (sl_import_targets_end). */
void sl_import_target(struct sl_import *im, struct sl_out *split, const char *service,
		      const char *subset, int64_t weight);
void sl_import_targets_end(struct sl_import *im, struct sl_out *route, struct sl_out *split);
/* A mirror of the route: percent NULL: all. */
void sl_import_mirror(struct sl_import *im, struct sl_out *route, const char *service,
		      const char *percent, struct sl_yaml *node);

/* ---- import_policy.c: the policy of a route ---- */

/* A corsPolicy of Istio or a cors filter of the Gateway API; what is left out is told. */
void sl_import_cors(struct sl_import *im, struct sl_out *route, struct sl_yaml *node);
void sl_import_fault(struct sl_import *im, struct sl_out *route, struct sl_yaml *node);
/* "percentage: {value}", or the older number: as a table has it; NULL: neither is there. */
const char *sl_import_percent(struct sl_import *im, struct sl_yaml *of, const char *key,
			      const char *older);

/* ---- kinds ---- */

void sl_istio_import(struct sl_import *im);
void sl_gateway_api_import(struct sl_import *im);

#endif

/* import_istio — what the files of Istio's kinds have in common.
 *
 * A bind is an address and port at which VirtualServices are served: that of servers of Gateways, or of the mesh.  Gateways of one
 * selector are of one workload, so of one address; of several servers of one port the hosts are served together.
 */
#ifndef SL_MGMT_IMPORT_ISTIO_H
#define SL_MGMT_IMPORT_ISTIO_H

#include "mgmt/import_priv.h"

enum sl_bind_mode { SL_BIND_HTTP = 1, SL_BIND_TLS, SL_BIND_TCP }; /* TLS: passed through */

struct sl_bind_server {
	struct sl_object *gateway; /* NULL: the mesh */
	struct sl_yaml *server;
	bool https_redirect;
	struct sl_bind_server *next;
};

/* Several servers may have the same host. */
struct sl_bind_served {
	const struct sl_object *vs;
	const char *host;
	struct sl_bind_served *next;
};

struct sl_bind {
	const char *workload; /* the selector; "mesh" */
	uint16_t port;
	enum sl_bind_mode mode;
	bool tls; /* HTTP, TCP: ended here */
	struct sl_bind_server *servers, *last_server;
	struct sl_out *listener, *hosts; /* hosts: of the route table, of mode HTTP */
	struct sl_bind_served *served;
	struct sl_bind *next;
};

/* Where a route is being made. */
struct sl_istio_place {
	struct sl_import *im;
	const struct sl_bind *bind;
	const struct sl_object *vs;
	const struct sl_object *gateway; /* by which it came here, or NULL: the mesh */
	const char *host;                /* the virtual host's */
};

/* import_istio_route.c: the routes of one http entry of a VirtualService, added to the list of routes. */
void sl_istio_routes(const struct sl_istio_place *p, struct sl_yaml *http, struct sl_out *routes);

/* import_istio_match.c: the conditions of one match go into the route.  false: no request of this place is of it, or it cannot be said
 * (and that was told).  rewrites: what the route does with the path (uri of rewrite), or NULL. */
bool sl_istio_match(const struct sl_istio_place *p, struct sl_yaml *match, struct sl_out *route,
		    const char *rewrite);
/* Whether the gateways and port of a match are of the place. */
bool sl_istio_match_is_here(const struct sl_istio_place *p, struct sl_yaml *match);

/* import_istio_policy.c: a destination's (or what has one as `destination`) service and subset; port: the listener's, for hosts of
 * several ports.  NULL: it has no host (told). */
struct sl_backend *sl_istio_destination(struct sl_import *im, const struct sl_object *from,
					struct sl_yaml *node, uint16_t port,
					const char **ret_subset);
struct sl_backend *sl_istio_backend(struct sl_import *im, const char *host, uint16_t port,
				    const char *subset, struct sl_yaml *asked,
				    const char **ret_subset);
/* "cart" in a namespace is "cart.NS.svc.cluster.local". */
const char *sl_istio_host(struct sl_import *im, const char *host, const char *space);
/* Services of DestinationRules that nothing leads to; then policies of services of mode tcp. */
void sl_istio_policies_end(struct sl_import *im);

/* import_istio_authz.c: AuthorizationPolicies, once all routes are there. */
void sl_istio_authorize(struct sl_import *im, struct sl_bind *binds);
/* The action of a policy: ALLOW when it names none. */
const char *sl_istio_action(const struct sl_object *policy);

/* import_istio_rule.c: the rules of a policy, added to those of a set; gateway: its ports are those that clients come to. */
void sl_istio_rules(struct sl_import *im, const struct sl_object *policy, bool gateway,
		    struct sl_out *rules);

#endif

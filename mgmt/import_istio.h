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
	const struct sl_issuers *issuers; /* of its Gateways, once they were asked for */
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

struct sl_workload {
	const char *name, *address;
	struct sl_workload *next;
};

struct sl_istio {
	struct sl_import *im;
	struct sl_issuer *issuers, *last_issuer;
	struct sl_bind *binds, *last;
	struct sl_workload *workloads;
};

/* import_istio_gateway.c: the bind of the workload's port, made with its listener when it is not there: it may be of another mode. */
struct sl_bind *sl_bind_get(struct sl_istio *is, const char *workload, uint16_t port,
			    enum sl_bind_mode mode, const char *base, struct sl_yaml *node);
/* Of a port's protocol and a server's TLS mode ("": none). */
enum sl_bind_mode sl_bind_mode_of(const char *protocol, const char *tls);
void sl_istio_gateways(struct sl_istio *is);

/* import_istio_host.c: the virtual host of the name, made when it is not there; the mesh's services are known by shorter names, too.
 * NULL: it is no name (told at the node). */
struct sl_out *sl_istio_vhost(struct sl_istio *is, struct sl_bind *b, const char *host,
			      struct sl_yaml *node);
void sl_istio_serve_http(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
			 const struct sl_object *gateway, const char *host, struct sl_yaml *node);
/* Servers that send plaintext elsewhere do so for all of their hosts. */
void sl_istio_redirect_hosts(struct sl_istio *is);

/* import_istio_stream.c: the routes of connections: key "tls" by server name, "tcp" the first that is here. */
void sl_istio_serve_streams(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
			    const struct sl_object *gateway, const char *key);
void sl_istio_serve_names(struct sl_istio *is, struct sl_bind *b, struct sl_yaml *names,
			  struct sl_backend *to);

/* import_istio_mesh.c: a VirtualService at the ports of its hosts; ServiceEntries that nobody routes. */
void sl_istio_serve_mesh(struct sl_istio *is, struct sl_object *vs);
void sl_istio_entries(struct sl_istio *is);

/* import_istio_delegate.c: routes that lead to other VirtualServices become those of both, before anything is served. */
void sl_istio_delegate(struct sl_import *im);

/* import_istio.c: one host of a VirtualService at a bind, once. */
void sl_istio_serve(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
		    const struct sl_object *gateway, const char *host, struct sl_yaml *node);

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

/* import_istio_scope.c: whether a policy (of any kind with a selector) is of a workload.  PERHAPS: pods have more labels than their
 * Service asks for. */
enum sl_scope { SL_SCOPE_OTHERS, SL_SCOPE_PERHAPS, SL_SCOPE_OWN };
bool sl_scope_gateway(const struct sl_object *policy, const struct sl_object *gateway);
enum sl_scope sl_scope_service(struct sl_import *im, const struct sl_object *policy,
			       const struct sl_backend *b);
/* What says who it is for counts as read; that it is only perhaps of the service is told. */
void sl_scope_use(struct sl_object *policy);
void sl_scope_tell(struct sl_import *im, struct sl_object *policy, const struct sl_backend *b);
/* The service of the table by its name. */
struct sl_backend *sl_backend_named(const struct sl_import *im, const char *name);

/* import_istio_peer.c: PeerAuthentications, once all routes are there: listeners of the mesh ask for certificates. */
void sl_istio_peers(struct sl_istio *is);

/* import_istio_token.c: RequestAuthentications → issuers of tokens, each jwtRule one. */
struct sl_issuer {
	const char *name, *text; /* in the table; `iss` */
	const char *core;        /* what tokens it takes, and where */
	struct sl_out *out;
	struct sl_yaml *spaced; /* claims that are lists parted by blanks, or NULL */
	const struct sl_object *from;
	bool strips, tells; /* endpoints see no token; they see headers of claims */
	bool lost;          /* it cannot be said: who would be asked is denied */
	bool used;          /* some route asks for it */
	struct sl_issuer *next;
};

#define SL_ISSUERS_MOST 8
struct sl_issuers {
	struct sl_issuer *of[SL_ISSUERS_MOST];
	unsigned cnt;
	bool lost;    /* not all can be had */
	bool perhaps; /* some may be others' */
};

/* The issuers of each route or its table; routes whose issuers cannot be had let nobody pass. */
void sl_istio_authenticate(struct sl_istio *is);
/* Whose tokens the Gateways of the bind take, and the services behind the route. */
const struct sl_issuers *sl_istio_issuers_at(struct sl_istio *is, struct sl_bind *b);
const struct sl_issuers *sl_istio_issuers_of(struct sl_istio *is, struct sl_backend *b);

/* What can be known where a rule is asked. */
struct sl_asked {
	bool gateway;  /* its ports are those that clients come to */
	bool stream;   /* connections, not requests */
	bool identity; /* as much of who calls as at the policy's workload */
	bool claims;   /* tokens are verified as at the policy's workload */
	struct sl_issuers issuers;
};

/* import_istio_claim.c: what claims a rule asks for, as alternatives of conditions that hold together. */
#define SL_CLAIM_CHOICES 64
struct sl_claims {
	struct sl_import *im;
	const struct sl_asked *asked;
	bool denies;
	bool never;                              /* no token is so */
	struct sl_out *choice[SL_CLAIM_CHOICES]; /* lists of conditions */
	unsigned cnt;
};
void sl_claims_init(struct sl_claims *c, struct sl_import *im, const struct sl_asked *asked,
		    bool denies);
/* One more thing that has to hold: who the token is of ("ISS/SUB"), or a claim, is one of all (invert: none of them).  NULL, or why it
 * cannot be said. */
const char *sl_claims_principals(struct sl_claims *c, struct sl_yaml *all, bool invert);
const char *sl_claims_values(struct sl_claims *c, const char *claim, struct sl_yaml *all,
			     bool invert);

/* import_istio_authz.c: AuthorizationPolicies, once all routes are there. */
void sl_istio_authorize(struct sl_istio *is);
/* A route, table or listener lets nobody pass, whatever else it goes by. */
void sl_istio_deny(struct sl_import *im, struct sl_out *at);
/* The action of a policy: ALLOW when it names none. */
const char *sl_istio_action(const struct sl_object *policy);

/* import_istio_rule.c: the rules of a policy, added to those of a set, until there is one more than a set has. */
#define SL_ISTIO_RULES 16384
void sl_istio_rules(struct sl_import *im, const struct sl_object *policy,
		    const struct sl_asked *asked, struct sl_out *rules);
/* "x", "x*", "*x", "*": false: there is a star elsewhere, or nothing. */
bool sl_istio_is_starred(const char *text);

#endif

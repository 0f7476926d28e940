/* import_gateway_api — what the files of the Gateway API have in common. */
#ifndef SL_MGMT_IMPORT_GATEWAY_API_H
#define SL_MGMT_IMPORT_GATEWAY_API_H

#include "mgmt/import_priv.h"

/* What listens at one port of a Gateway. */
struct sl_api_port {
	struct sl_object *gateway;
	uint16_t number;
	const char *mode;                  /* of the listener */
	bool tls;                          /* it ends here */
	struct sl_out *listener, *hosts;   /* hosts: of the route table, of mode http; else NULL */
	struct sl_api_listener *listeners; /* the last one first */
	struct sl_api_port *next;
};

struct sl_api_listener {
	struct sl_yaml *node;
	const char *hostname; /* "*": any */
	struct sl_api_listener *next;
};

/* A route at a listener, for one name. */
struct sl_api_attachment {
	struct sl_api_port *port;
	struct sl_api_listener *listener;
	struct sl_object *route;
	const char *hostname;
	struct sl_api_attachment *next;
};

struct sl_api {
	struct sl_import *im;
	struct sl_api_port *ports, *last;
	struct sl_api_attachment *attachments, *last_attachment;
};

/* import_gateway_api_listener.c: one listener of a Gateway. */
void sl_api_listener(struct sl_api *api, struct sl_object *gateway, struct sl_yaml *node);

/* import_gateway_api_stream.c: TLSRoutes and TCPRoutes at ports of connections; ports that none is at are no listeners. */
void sl_api_streams(struct sl_api *api);
/* Which of two routes goes first where both are alike: the older, then by name. */
int sl_api_age_order(const struct sl_object *a, const struct sl_object *b);

/* import_gateway_api_grant.c: whether the object may refer to one of the kind and name in the namespace: its own, or by a
 * ReferenceGrant. */
bool sl_api_granted(const struct sl_import *im, const struct sl_object *from, const char *space,
		    const char *kind, const char *name);
/* BackendTLSPolicies: TLS to services that are there. */
void sl_api_backend_tls(struct sl_import *im);

/* Where a rule is being made: at a listener's port, for a virtual host. */
struct sl_rule_place {
	struct sl_import *im;
	const struct sl_object *route;
	uint16_t port;
};

/* sl_rule_add adds the route of one match (NULL: of every request) of a rule to the routes; what cannot be said of the match leaves it out. */
void sl_rule_add(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_yaml *match,
		 struct sl_out *routes);

/* The service of a backendRef; NULL: it leads nowhere, which is told with what becomes of its share. */
struct sl_backend *sl_rule_backend(const struct sl_rule_place *p, struct sl_yaml *ref,
				   const char *fate);

/* Which of two matches goes first, as the Gateway API has it: exact path, longer path, method, more headers, more parameters; then
 * 0.  Regexes stand between exact paths and prefixes (it leaves their place open). */
int sl_match_order(const struct sl_yaml *a, const struct sl_yaml *b);

#endif

/* registry_conf — group `registry` of sluiced's file, and what its `allow` permits.
 *
 *   registry = { socket = "/run/sluice/registry.sock";  # default: registry.sock beside api_socket; "": none
 *                group = "apps";                        # of the socket's file, mode 0660; "": everybody may connect (roles decide)
 *                listen = "10.0.0.1:8443";              # mTLS; "": none
 *                certificate = "/…"; key = "/…"; trust = "/…";   # PEM files of it; read anew when they change
 *                remove_after = "1h";                   # silence before an endpoint is removed; "0s": never
 *                allow = ( { identity = "spiffe://td/prod-*";      # of a certificate: first URI SAN, else first DNS SAN
 *                            services = ( "web", "api-*" );        # may end with "*"
 *                            addresses = ( "10.0.0.0/8" ); },      # of the endpoints; none: any
 *                          { user = "@apps"; services = ( "*" ); } ); };   # of the socket: name, "@group", uid
 *
 * Threads: [any], pure.
 */
#ifndef SL_MGMT_REGISTRY_CONF_H
#define SL_MGMT_REGISTRY_CONF_H

#include "mgmt/roles.h"
#include "mgmt/source.h"

#define SL_REGISTRY_ALLOW 64    /* rows */
#define SL_REGISTRY_PATTERNS 32 /* of a row */

struct sl_registry_net {
	struct sl_addr addr;
	uint32_t plen; /* over the 16-byte form */
};

struct sl_registry_allow {
	char identity[SL_HOST_MAX]; /* "": a row about a user */
	struct sl_roles users;      /* of one row, or none */
	char services[SL_REGISTRY_PATTERNS][SL_NAME_MAX + 1];
	unsigned service_cnt;
	struct sl_registry_net addresses[SL_REGISTRY_PATTERNS];
	unsigned address_cnt; /* 0: any */
};

struct sl_registry_conf {
	char socket[108]; /* "": none */
	char group[64];   /* "": none */
	bool group_given;
	uint32_t gid;    /* of group */
	char listen[64]; /* "": none; checked */
	char certificate[SL_SOURCE_PATH], key[SL_SOURCE_PATH], trust[SL_SOURCE_PATH];
	uint32_t remove_after_ms; /* 0: never */
	bool socket_given;
	struct sl_registry_allow *allow; /* [allow_cnt] */
	unsigned allow_cnt;
};

/* sl_registry_pattern: whether text is pattern, or, where that ends with "*", begins with what is before it. */
bool sl_registry_pattern(const char *pattern, const char *text);

/* Whether one of the rows of fits permits service, and addr in it (NULL: any). */
bool sl_registry_allowed(const struct sl_registry_conf *c, uint64_t fits, const char *service,
			 const struct sl_addr *addr);

/* sl_registry_conf_listen: NULL, or what is wrong with the value of `listen`. */
const char *sl_registry_conf_listen(const char *text, struct sl_addr *ret_addr, uint16_t *ret_port);

void sl_registry_conf_fini(struct sl_registry_conf *c);

#endif

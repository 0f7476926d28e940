/* import_gateway_api — what the files of the Gateway API have in common. */
#ifndef SL_MGMT_IMPORT_GATEWAY_API_H
#define SL_MGMT_IMPORT_GATEWAY_API_H

#include "mgmt/import_priv.h"

/* Where a rule is being made: at a listener's port, for a virtual host. */
struct sl_rule_place {
	struct sl_import *im;
	const struct sl_object *route;
	uint16_t port;
};

/* sl_rule_add adds the route of one match (NULL: of every request) of a rule to the routes; what cannot be said of the match leaves it out. */
void sl_rule_add(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_yaml *match,
		 struct sl_out *routes);

/* Which of two matches goes first, as the Gateway API has it: exact path, longer path, method, more headers, more parameters; then
 * 0.  Regexes stand between exact paths and prefixes (it leaves their place open). */
int sl_match_order(const struct sl_yaml *a, const struct sl_yaml *b);

#endif

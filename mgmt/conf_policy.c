/* What a group `policy` comes to. */
#include "mgmt/conf_priv.h"

#include <stdlib.h>

void
sl_finish_policy(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_conf_policy *p = out;

	(void)w, (void)draft;
	p->line = sl_walk_line(s);
}

void
sl_conf_policy_fini(struct sl_conf_policy *p)
{
	free(p->limits);
	free(p->authz);
	free(p->jwt);
	sl_conf_cors_fini(&p->cors);
}

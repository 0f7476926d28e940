#include "mgmt/rate_share.h"

int
sl_rate_shares_create(struct sl_daemon *d, struct sl_rate_shares **ret_shares)
{
	(void)d;
	*ret_shares = NULL;
	return 0;
}

void
sl_rate_shares_destroy(struct sl_rate_shares *s)
{
	(void)s;
}

bool
sl_rate_share_look(const struct sl_rate_shares *s, const char *limit,
		   struct sl_rate_share_look *ret)
{
	(void)s;
	(void)limit;
	(void)ret;
	return false;
}

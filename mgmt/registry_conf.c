#include "mgmt/registry_conf.h"

#include "mgmt/conf_value.h"
#include "sluice/addr.h"

#include <stdlib.h>

bool
sl_registry_pattern(const char *pattern, const char *text)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(pattern, text, len - 1) == 0;
	return strcmp(pattern, text) == 0;
}

static bool
permits(const struct sl_registry_allow *a, const char *service, const struct sl_addr *addr)
{
	bool named = false, there = !addr || a->address_cnt == 0;

	for (unsigned i = 0; i < a->service_cnt && !named; i++)
		named = sl_registry_pattern(a->services[i], service);
	for (unsigned i = 0; i < a->address_cnt && !there; i++)
		there = sl_addr_in(addr, &a->addresses[i].addr, a->addresses[i].plen);
	return named && there;
}

bool
sl_registry_allowed(const struct sl_registry_conf *c, uint64_t fits, const char *service,
		    const struct sl_addr *addr)
{
	for (unsigned i = 0; i < c->allow_cnt; i++)
		if (fits >> i & 1 && permits(&c->allow[i], service, addr))
			return true;
	return false;
}

const char *
sl_registry_conf_listen(const char *text, struct sl_addr *ret_addr, uint16_t *ret_port)
{
	const char *why = sl_value_probe(text, ret_addr, ret_port);

	return why ? why : *ret_port ? NULL : "has no port";
}

void
sl_registry_conf_fini(struct sl_registry_conf *c)
{
	for (unsigned i = 0; i < c->allow_cnt; i++)
		sl_roles_fini(&c->allow[i].users);
	free(c->allow);
	c->allow = NULL;
	c->allow_cnt = 0;
}

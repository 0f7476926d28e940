#include "mgmt/tls_names.h"

#include <stdio.h>

#include "sluice/secrets.h"

/* One group tls under walk. */
struct user {
	sl_conf_tls_fn *fn;
	void *ctx;
	const struct sl_conf_tls *tls;
	const char *by;
	uint32_t idx;
	bool listener;
};

/* idx UINT32_MAX: key has one value. */
static int
use(const struct user *u, const char *key, uint32_t idx, uint32_t kind, const char *name)
{
	char path[80], at[16] = "";

	if (!name[0])
		return 0;
	if (idx != UINT32_MAX)
		snprintf(at, sizeof(at), "[%u]", idx);
	snprintf(path, sizeof(path), "%s[%u].tls.%s%s", u->listener ? "listeners" : "services",
		 u->idx, key, at);
	return u->fn(u->ctx, &(struct sl_conf_tls_use){.name = name,
						       .kind = kind,
						       .listener = u->listener,
						       .by = u->by,
						       .path = path,
						       .line = u->tls->line});
}

static int
use_group(const struct user *u)
{
	const struct sl_conf_tls *t = u->tls;
	int stop = 0;

	if (!t->given)
		return 0;
	for (uint32_t i = 0; !stop && i < t->cert_cnt; i++)
		stop = use(u, "certificates", i, SL_SECRET_PAIR, t->certs[i].name);
	if (!stop)
		stop = use(u, "certificate", UINT32_MAX, SL_SECRET_PAIR, t->certificate);
	for (uint32_t i = 0; !stop && i < t->trust_cnt; i++)
		stop = use(u, "trust", i, SL_SECRET_TRUST, t->trust[i].name);
	return stop;
}

int
sl_conf_tls_names(const struct sl_conf *c, sl_conf_tls_fn *fn, void *ctx)
{
	struct user u = {.fn = fn, .ctx = ctx};
	int stop = 0;

	for (u.idx = 0; !stop && u.idx < c->service_cnt; u.idx++) {
		u.tls = &c->services[u.idx].tls;
		u.by = c->services[u.idx].name;
		stop = use_group(&u);
	}
	u.listener = true;
	for (u.idx = 0; !stop && u.idx < c->listener_cnt; u.idx++) {
		u.tls = &c->listeners[u.idx].tls;
		u.by = c->listeners[u.idx].name;
		stop = use_group(&u);
	}
	return stop;
}

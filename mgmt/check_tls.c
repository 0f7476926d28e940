/* TLS, as far as it needs more than one group: lists without twins, server names that lead somewhere, what listeners, services
 * and route tables say of each other.  What is allowed and hardly meant is a warning. */
#include "mgmt/check_priv.h"

#include <stdlib.h>

__attribute__((format(printf, 4, 5))) static void
warn(struct check *k, int line, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_warn(k->diag, k->file, line, k->path, hint, "%s", text);
}

/* ---- lists ---- */

/* Elements of these lists begin with their text. */
static int
text_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Tells every text that stands twice; path: of the list; lines: of the elements, where they have their own. */
static void
check_distinct(struct check *k, const char *path, const void *base, uint32_t n, size_t size,
	       int line, const struct sl_conf_sni *lines)
{
	uint32_t *idx = n > 1 ? sl_check_order(base, n, size, text_order) : NULL;

	k->oom = k->oom || (n > 1 && !idx);
	for (uint32_t i = 1, first = 0; idx && i < n; i++) {
		const char *a = (const char *)base + idx[first] * size;
		const char *b = (const char *)base + idx[i] * size;
		if (strcmp(a, b) != 0) {
			first = i;
		} else if (*b) {
			at(k, "%s[%u]%s", path, idx[i], lines ? ".name" : "");
			tell(k, lines ? lines[idx[i]].line : line, "remove one of the two",
			     "\"%s\" is %s[%u] already", b, strrchr(path, '.') + 1, idx[first]);
		}
	}
	free(idx);
}

/* of: "listeners[3]" */
static void
check_lists(struct check *k, const char *of, const struct sl_conf_tls *t, const char *names)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.tls.certificates", of);
	check_distinct(k, path, t->certs, t->cert_cnt, sizeof(*t->certs), t->line, NULL);
	snprintf(path, sizeof(path), "%s.tls.trust", of);
	check_distinct(k, path, t->trust, t->trust_cnt, sizeof(*t->trust), t->line, NULL);
	snprintf(path, sizeof(path), "%s.tls.%s", of, names);
	check_distinct(k, path, t->sans, t->san_cnt, sizeof(*t->sans), t->line, NULL);
	snprintf(path, sizeof(path), "%s.tls.alpn", of);
	check_distinct(k, path, t->alpn, t->alpn_cnt, sizeof(*t->alpn), t->line, NULL);
}

/* ---- mode tls-passthrough ---- */

/* A service that a listener of the mode leads to. */
static void
check_passed(struct check *k, uint32_t service, int line)
{
	const struct sl_conf_service *s = &k->c->services[service];

	if (s->forward && s->forward != SL_FORWARD_PROXY)
		tell(k, line, "remove the service's forward, or make a service for connections",
		     "mode \"tls-passthrough\" leads to services with forward \"proxy\"; \"%s\" "
		     "has forward \"%s\"",
		     s->name, sl_forward_name(s->forward));
	else if (s->tls.given)
		tell(k, line, "make a service without tls, or end the clients' TLS: mode = \"tcp\"",
		     "the client's TLS goes through as it is, and service \"%s\" has tls of its "
		     "own",
		     s->name);
}

static void
check_server_names(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	const uint32_t *services = k->links.sni_service + k->links.sni_first[i];
	char path[48];

	snprintf(path, sizeof(path), "listeners[%u].server_names", i);
	check_distinct(k, path, l->snis, l->sni_cnt, sizeof(*l->snis), l->line, l->snis);
	for (uint32_t j = 0; j < l->sni_cnt; j++) {
		const struct sl_conf_sni *n = &l->snis[j];
		at(k, "%s[%u].service", path, j);
		if (services[j] != UINT32_MAX)
			check_passed(k, services[j], n->line);
		else if (n->service[0] && !k->service_lost)
			tell(k, n->line, "name one of services", "there is no service \"%s\"",
			     n->service);
	}
	uint32_t own = k->links.listener_service[i];
	if (own == UINT32_MAX || !k->c->services[own].tls.given)
		return;
	at(k, "listeners[%u].service", i);
	check_passed(k, own, l->line);
}

/* ---- warnings ---- */

static void
warn_versions(struct check *k, const char *of, uint32_t i, const struct sl_conf_tls *t)
{
	if (t->max_version != SL_TLS_1_2)
		return;
	at(k, "%s[%u].tls.max_version", of, i);
	warn(k, t->line, "remove it, unless a peer breaks at 1.3",
	     "TLS 1.3 is off: certificates are seen on the wire, and records cost more");
}

static void
warn_service(struct check *k, uint32_t i)
{
	const struct sl_conf_service *s = &k->c->services[i];

	if (!s->tls.given)
		return;
	warn_versions(k, "services", i, &s->tls);
	if (!s->tls.verify) {
		at(k, "services[%u].tls.verify", i);
		warn(k, s->tls.line, "give trust, and server_name or names",
		     "whoever answers is believed: nobody is verified");
	}
}

static const struct sl_conf_hroute *
route_of_identity(const struct sl_conf_table *t)
{
	for (uint32_t i = 0; i < t->vhost_cnt; i++)
		for (uint32_t j = 0; j < t->vhosts[i].route_cnt; j++) {
			const struct sl_conf_hroute *r = &t->vhosts[i].routes[j];
			const struct sl_conf_cond *last =
				r->cond_cnt ? &r->conds[r->cond_cnt - 1] : NULL;
			if (last && last->field == SL_FIELD_HEADER && last->name &&
			    strcmp(last->name, SL_IDENTITY_NAME) == 0)
				return r;
		}
	return NULL;
}

/* identities: of each route table its first route with such a condition, or NULL. */
static void
warn_listener(struct check *k, uint32_t i, const struct sl_conf_hroute *const *identities)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	uint32_t table = k->links.listener_table[i];
	bool asks = l->tls.given && l->tls.client != SL_TLS_CLIENT_NONE;

	if (l->tls.given)
		warn_versions(k, "listeners", i, &l->tls);
	if (asks)
		return;
	if (l->tls.given && l->tls.xfcc != SL_XFCC_SANITIZE) {
		at(k, "listeners[%u].tls.forwarded_client_cert", i);
		warn(k, l->tls.line, "give client = \"optional\" or \"required\"",
		     "\"%s\" is as \"sanitize\": no client shows a certificate",
		     sl_xfcc_name(l->tls.xfcc));
	}
	if (l->mode == SL_MODE_HTTP && table != UINT32_MAX && identities[table]) {
		at(k, "listeners[%u].routes", i);
		warn(k, l->line, "give it tls with client = \"optional\" or \"required\"",
		     "its clients have no identity, which route \"%s\" at line %d looks at",
		     identities[table]->name, identities[table]->line);
	}
}

static void
look_at_all(struct check *k)
{
	const struct sl_conf *c = k->c;
	const struct sl_conf_hroute **identities = calloc(c->table_cnt + 1u, sizeof(*identities));

	if (!identities) {
		k->oom = true;
		return;
	}
	for (uint32_t i = 0; i < c->table_cnt; i++)
		identities[i] = route_of_identity(&c->tables[i]);
	for (uint32_t i = 0; i < c->service_cnt; i++)
		warn_service(k, i);
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		warn_listener(k, i, identities);
	free(identities);
}

/* ---- the whole ---- */

static void
check_sum(struct check *k, uint64_t sum, uint32_t max, const char *what)
{
	at(k, "listeners");
	if (sum > max)
		tell(k, 0, "split the table between gateways", "%llu %s are more than %u",
		     (unsigned long long)sum, what, max);
}

void
sl_check_tls(struct check *k)
{
	const struct sl_conf *c = k->c;
	uint64_t names = 0, sans = 0, snis = 0;
	char of[32];

	for (uint32_t i = 0; i < c->service_cnt; i++) {
		snprintf(of, sizeof(of), "services[%u]", i);
		check_lists(k, of, &c->services[i].tls, "names");
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &c->listeners[i];
		snprintf(of, sizeof(of), "listeners[%u]", i);
		check_lists(k, of, &l->tls, "client_names");
		names += (uint64_t)l->tls.cert_cnt + l->tls.trust_cnt;
		sans += l->tls.san_cnt;
		snis += l->sni_cnt;
		if (l->mode == SL_MODE_PASSTHROUGH)
			check_server_names(k, i);
	}
	check_sum(k, names, SL_MAX_TLS_NAMES, "names of certificates and trust bundles");
	check_sum(k, sans, SL_MAX_TLS_NAMES, "names of clients");
	check_sum(k, snis, SL_MAX_SNI, "server names");
	if (!k->bad && k->diag && !k->diag->cnt)
		look_at_all(k);
}

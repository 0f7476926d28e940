/* DestinationRule → services: how an endpoint is chosen, limits, who is ejected, TLS, subsets.
 *
 * Istio's defaults are written out, because a table's are others: no limits, least request, no panic, nobody ejected.
 */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <stdlib.h>
#include <string.h>

/* ---- whose rule ---- */

const char *
sl_istio_host(struct sl_import *im, const char *host, const char *space)
{
	if (strchr(host, '.') || strchr(host, '*'))
		return host;
	return sl_memory_print(&im->m, "%s.%s" SL_CLUSTER, host, space);
}

/* The rule of a host: one of its name before one of a pattern. */
static struct sl_object *
rule_of(struct sl_import *im, const char *host)
{
	struct sl_object *o = NULL, *wide = NULL;

	while ((o = sl_objects_next(&im->objects, o, "DestinationRule"))) {
		const char *of = sl_yaml_peek_text(o->spec, "host");
		of = of ? sl_istio_host(im, of, o->space) : "";
		if (strcasecmp(of, host) == 0)
			return o;
		if (!wide && strchr(of, '*') && sl_host_covers(of, host))
			wide = o;
	}
	return wide;
}

static struct sl_yaml *
subset_of(const struct sl_object *rule, const char *name)
{
	struct sl_yaml *list = rule ? sl_yaml_peek(rule->spec, "subsets") : NULL;

	for (struct sl_yaml *n = list ? list->first : NULL; n; n = n->next) {
		const char *is = sl_yaml_peek_text(n, "name");
		if (is && strcmp(is, name) == 0)
			return n;
	}
	return NULL;
}

/* ---- choice ---- */

/* What a rule says may be said again by the settings of a port or a subset, which replace it. */
static struct sl_out *
http_of(struct sl_import *im, struct sl_backend *b)
{
	return sl_out_in_group(&im->m, b->out, "http");
}

static void
put_hash(struct sl_import *im, struct sl_backend *b, struct sl_yaml *hash)
{
	struct sl_yaml *header = sl_yaml_get(hash, "httpHeaderName"),
		       *cookie = sl_yaml_get(hash, "httpCookie"),
		       *query = sl_yaml_get(hash, "httpQueryParameterName"),
		       *source = sl_yaml_get(hash, "useSourceIp"), *name = header ? header : query;
	bool yes = false, maglev = sl_yaml_peek(hash, "maglev");

	if (cookie)
		name = sl_yaml_get(cookie, "name");
	if (source && !sl_yaml_bool(source, &yes))
		sl_left_out(&im->left, source, "is neither true nor false");
	if (!name && !yes) {
		sl_left_out(&im->left, hash, "does not say by what: least_request");
		return;
	}
	if (name && (sl_value_token(name->text) || strlen(name->text) >= SL_NAME_MAX)) {
		sl_left_out(&im->left, hash, "a hash is by a name of 1 to 63 bytes: least_request");
		return;
	}
	sl_import_set(im, b->out, "policy", maglev ? "maglev" : "ring_hash");
	struct sl_out *to = sl_out_group(&im->m, http_of(im, b), "hash");
	if (name)
		sl_out_text(&im->m, to,
			    cookie   ? "cookie"
			    : header ? "header"
				     : "query",
			    name->text);
	else
		sl_out_bool(&im->m, to, "source", true);
	struct sl_yaml *ttl = cookie ? sl_yaml_peek(cookie, "ttl") : NULL,
		       *path = cookie ? sl_yaml_peek(cookie, "path") : NULL;
	if (ttl)
		sl_left_out(&im->left, ttl, "no cookie is made: requests without one go by chance");
	if (path)
		sl_left_out(&im->left, path, "no cookie is made");
	static const char *const sizes[] = {"maglev", "ringHash", "minimumRingSize"};
	for (size_t i = 0; i < SL_ARRAY_CNT(sizes); i++)
		if (sl_yaml_peek(hash, sizes[i]) && sl_yaml_get(hash, sizes[i]))
			sl_left_note(&im->left, sl_yaml_peek(hash, sizes[i]),
				     "the size of the table goes by max_endpoints"),
				sl_yaml_use(sl_yaml_peek(hash, sizes[i]));
}

static void
put_locality(struct sl_import *im, struct sl_backend *b, struct sl_yaml *locality)
{
	struct sl_yaml *enabled = sl_yaml_get(locality, "enabled");
	static const char *const lists[] = {"distribute", "failover", "failoverPriority"};
	bool yes = true;

	if (enabled && !sl_yaml_bool(enabled, &yes))
		sl_left_out(&im->left, enabled, "is neither true nor false");
	for (size_t i = 0; i < SL_ARRAY_CNT(lists); i++) {
		struct sl_yaml *n = sl_yaml_peek(locality, lists[i]);
		if (n)
			sl_left_out(&im->left, n,
				    "endpoints near the gateway come first, then its region, then "
				    "all others");
	}
	sl_import_set_bool(im, b->out, "locality_failover", yes);
}

static void
put_balance(struct sl_import *im, struct sl_backend *b, struct sl_yaml *lb)
{
	static const char *const words[][2] = {{"ROUND_ROBIN", "round_robin"},
					       {"LEAST_REQUEST", "least_request"},
					       {"LEAST_CONN", "least_request"},
					       {"RANDOM", "random"},
					       {"UNSPECIFIED", "least_request"}};
	struct sl_yaml *simple = sl_yaml_get(lb, "simple"),
		       *hash = sl_yaml_get(lb, "consistentHash"),
		       *locality = sl_yaml_get(lb, "localityLbSetting"),
		       *warm = sl_yaml_get(lb, "warmupDurationSecs");
	size_t i = 0;

	while (simple && i < SL_ARRAY_CNT(words) && strcmp(words[i][0], simple->text))
		i++;
	if (simple || hash)
		sl_out_remove(http_of(im, b), "hash");
	if (simple && i < SL_ARRAY_CNT(words))
		sl_import_set(im, b->out, "policy", words[i][1]);
	else if (simple)
		sl_left_changed(&im->left, simple, "least_request in place of it");
	if (hash)
		put_hash(im, b, hash);
	if (locality)
		put_locality(im, b, locality);
	if (!warm)
		warm = sl_yaml_get(sl_yaml_get(lb, "warmup"), "duration");
	if (warm)
		sl_import_time(im, b->out, "slow_start", warm, 0, 3600000, NULL);
}

/* ---- pools ---- */

static void
put_limit(struct sl_import *im, struct sl_out *to, const char *key, struct sl_yaml *of,
	  const char *name)
{
	struct sl_yaml *n = sl_yaml_get(of, name);
	int64_t v;

	if (n && sl_yaml_number(n, 0, 0, &v))
		sl_left_changed(&im->left, n, "0 would be no limit here: 1");
	if (n)
		sl_import_number(im, to, key, n, 1, INT32_MAX);
}

static void
put_pool(struct sl_import *im, struct sl_backend *b, struct sl_yaml *pool)
{
	struct sl_yaml *tcp = sl_yaml_get(pool, "tcp"), *http = sl_yaml_get(pool, "http"),
		       *alive = sl_yaml_get(tcp, "tcpKeepalive"), *n;
	struct sl_out *to = sl_out_in_group(&im->m, b->out, "tcp");

	put_limit(im, to, "max_connections", tcp, "maxConnections");
	if ((n = sl_yaml_get(tcp, "connectTimeout")))
		sl_import_time(im, to, "connect_timeout", n, 1, 600000, NULL);
	if ((n = sl_yaml_get(tcp, "idleTimeout")))
		sl_import_time(im, to, "idle_timeout", n, 0, 604800000, NULL);
	if ((n = sl_yaml_get(alive, "time")))
		sl_import_time(im, to, "keepalive", n, 1000, 65535000, NULL);
	else if (alive)
		sl_import_set(im, to, "keepalive", "7200s");
	if (!http)
		return;
	to = http_of(im, b);
	put_limit(im, to, "max_pending", http, "http1MaxPendingRequests");
	put_limit(im, to, "max_requests", http, "http2MaxRequests");
	put_limit(im, to, "max_retries", http, "maxRetries");
	if ((n = sl_yaml_get(http, "maxRequestsPerConnection")))
		sl_import_number(im, to, "requests_per_connection", n, 0, INT32_MAX);
	if ((n = sl_yaml_get(http, "idleTimeout")))
		sl_import_time(im, to, "idle_timeout", n, 1, 604800000, NULL);
}

/* ---- outliers ---- */

/* Failures without an answer are told apart only where that is asked for. */
static void
put_local(struct sl_import *im, struct sl_out *to, struct sl_yaml *o)
{
	struct sl_yaml *split = sl_yaml_get(o, "splitExternalLocalOriginErrors"),
		       *after = sl_yaml_get(o, "consecutiveLocalOriginFailures");
	bool yes = false;

	if (split && !sl_yaml_bool(split, &yes))
		sl_left_out(&im->left, split, "is neither true nor false");
	if (!yes)
		return;
	if (!after || !sl_import_number(im, to, "local_after", after, 0, 65535))
		sl_out_number(&im->m, to, "local_after", 5);
	sl_out_bool(&im->m, to, "split_local", true);
}

static void
put_outliers(struct sl_import *im, struct sl_backend *b, struct sl_yaml *o)
{
	struct sl_out *http = http_of(im, b);
	struct sl_yaml *after = sl_yaml_get(o, "consecutive5xxErrors"), *n;

	if (!after)
		after = sl_yaml_get(o, "consecutiveErrors");
	sl_out_remove(http, "ejection");
	struct sl_out *to = sl_out_group(&im->m, http, "ejection");
	if (after)
		sl_import_number(im, to, "after", after, 0, 65535);
	else
		sl_out_number(&im->m, to, "after", 5);
	if ((n = sl_yaml_get(o, "consecutiveGatewayErrors")))
		sl_import_number(im, to, "gateway_after", n, 0, 65535);
	put_local(im, to, o);
	if ((n = sl_yaml_get(o, "interval")))
		sl_import_time(im, to, "sweep", n, 10, 3600000, NULL);
	if ((n = sl_yaml_get(o, "baseEjectionTime"))) {
		uint64_t ms;
		if (sl_import_time(im, to, "time", n, 1, 3600000, &ms) && ms > 300000)
			sl_out_text(&im->m, to, "max_time", sl_words_time(&im->m, ms));
	}
	if ((n = sl_yaml_get(o, "maxEjectionPercent")))
		sl_import_number(im, to, "max_percent", n, 1, 100);
	if ((n = sl_yaml_get(o, "minHealthPercent")))
		sl_import_number(im, http, "panic_threshold", n, 0, 100);
}

/* ---- TLS ---- */

/* A file or credential as the name of a certificate. */
static const char *
certificate_name(struct sl_import *im, struct sl_yaml *n, const char *kind, const char *files)
{
	const char *slash = strrchr(n->text, '/'), *base = slash ? slash + 1 : n->text;
	const char *name = sl_words_name(&im->m, base);

	sl_left_note(&im->left, n, "the %s \"%s\" has to be there: sluicectl cert add %s %s", kind,
		     name, name, files);
	return name;
}

static void
put_one_name(struct sl_import *im, struct sl_out *tls, const char *key, const char *name)
{
	sl_out_text(&im->m, sl_out_in_list(&im->m, tls, key), NULL, name);
}

static void
put_trust(struct sl_import *im, struct sl_out *tls, struct sl_yaml *node, struct sl_yaml *ca,
	  struct sl_yaml *credential)
{
	if (ca) {
		put_one_name(im, tls, "trust", certificate_name(im, ca, "bundle", "--ca FILE"));
	} else if (credential) {
		const char *name = sl_words_name(
			&im->m, sl_memory_print(&im->m, "%s-cacert", credential->text));
		sl_left_note(&im->left, credential,
			     "the bundle \"%s\" has to be there: sluicectl cert add %s --ca FILE",
			     name, name);
		put_one_name(im, tls, "trust", name);
	} else {
		sl_left_note(&im->left, node,
			     "who issues certificates of endpoints has to be named: the bundle "
			     "\"system\" "
			     "stands for it: sluicectl cert add system --ca "
			     "/etc/ssl/certs/ca-certificates.crt");
		put_one_name(im, tls, "trust", "system");
	}
}

/* Istio's own identities. */
static void
put_mesh_tls(struct sl_import *im, struct sl_out *tls, struct sl_yaml *node)
{
	sl_left_note(&im->left, node,
		     "the certificate \"istio\" and the bundle \"istio-root\" have to be there: "
		     "those of the mesh");
	put_one_name(im, tls, "trust", "istio-root");
	sl_out_text(&im->m, tls, "certificate", "istio");
}

static void
put_names(struct sl_import *im, struct sl_out *tls, struct sl_yaml *sans)
{
	char san[SL_HOST_MAX];
	const char *why;

	for (struct sl_yaml *n = sl_yaml_each(sans, NULL); n; n = sl_yaml_each(sans, n)) {
		if ((why = sl_value_san(n->text, san)))
			sl_left_out(&im->left, n, "as a name of a certificate it %s", why);
		else
			put_one_name(im, tls, "names", n->text);
	}
}

static void
put_tls(struct sl_import *im, struct sl_backend *b, struct sl_yaml *t)
{
	struct sl_yaml *mode = sl_yaml_get(t, "mode"), *sni = sl_yaml_get(t, "sni"),
		       *ca = sl_yaml_get(t, "caCertificates"),
		       *credential = sl_yaml_get(t, "credentialName"),
		       *certificate = sl_yaml_get(t, "clientCertificate"),
		       *sans = sl_yaml_get(t, "subjectAltNames"),
		       *skip = sl_yaml_get(t, "insecureSkipVerify");
	bool blind = false;
	char server[SL_HOST_MAX];

	sl_yaml_get(t, "privateKey");
	sl_out_remove(b->out, "tls");
	if (!mode || strcmp(mode->text, "DISABLE") == 0)
		return;
	bool mesh = strcmp(mode->text, "ISTIO_MUTUAL") == 0,
	     mutual = strcmp(mode->text, "MUTUAL") == 0;
	struct sl_out *tls = sl_out_group(&im->m, b->out, "tls");
	if (skip && !sl_yaml_bool(skip, &blind))
		sl_left_out(&im->left, skip, "is neither true nor false");
	if (mesh)
		put_mesh_tls(im, tls, mode);
	else if (!blind)
		put_trust(im, tls, t, ca, credential);
	if (mutual && (credential || certificate))
		sl_out_text(&im->m, tls, "certificate",
			    certificate_name(im, credential ? credential : certificate,
					     "certificate", "--cert FILE --key FILE"));
	if (sni && !sl_value_server(sni->text, server))
		sl_out_text(&im->m, tls, "server_name", sni->text);
	else if (sni)
		sl_left_out(&im->left, sni, "is no host name");
	if (!sans && b->entry)
		sans = sl_yaml_get(b->entry->spec, "subjectAltNames");
	put_names(im, tls, sans);
	if (!sl_out_find(tls, "server_name"))
		sl_out_bool(&im->m, tls, "auto_server_name", true);
	if (blind)
		sl_out_bool(&im->m, tls, "verify", false);
}

/* ---- a policy ---- */

static void
put_policy(struct sl_import *im, struct sl_backend *b, struct sl_yaml *policy)
{
	struct sl_yaml *n;

	if ((n = sl_yaml_get(policy, "loadBalancer")))
		put_balance(im, b, n);
	if ((n = sl_yaml_get(policy, "connectionPool")))
		put_pool(im, b, n);
	if ((n = sl_yaml_get(policy, "outlierDetection")))
		put_outliers(im, b, n);
	if ((n = sl_yaml_get(policy, "tls")))
		put_tls(im, b, n);
	if ((n = sl_yaml_get(policy, "proxyProtocol"))) {
		struct sl_yaml *version = sl_yaml_get(n, "version");
		bool v2 = version && strcmp(version->text, "V2") == 0;
		sl_import_set(im, sl_out_in_group(&im->m, b->out, "tcp"), "proxy_protocol",
			      v2 ? "v2" : "v1");
	}
}

/* Settings of the port replace those of the whole. */
static void
put_policies(struct sl_import *im, struct sl_backend *b, struct sl_yaml *policy)
{
	struct sl_yaml *ports = sl_yaml_get(policy, "portLevelSettings"), *of_port = NULL;
	int64_t n;

	for (struct sl_yaml *p = sl_yaml_each(ports, NULL); p; p = sl_yaml_each(ports, p)) {
		struct sl_yaml *number = sl_yaml_get(sl_yaml_get(p, "port"), "number");
		if (number && sl_yaml_number(number, 1, 65535, &n) && n == b->port)
			of_port = p;
	}
	if (policy)
		put_policy(im, b, policy);
	if (of_port)
		put_policy(im, b, of_port);
}

static void
put_defaults(struct sl_import *im, struct sl_backend *b)
{
	struct sl_out *tcp = sl_out_group(&im->m, b->out, "tcp"), *http;

	sl_out_text(&im->m, b->out, "policy", "least_request");
	sl_out_text(&im->m, tcp, "connect_timeout", "10s");
	sl_out_number(&im->m, tcp, "max_connections", 0);
	http = sl_out_group(&im->m, b->out, "http");
	sl_out_number(&im->m, http, "max_pending", 0);
	sl_out_number(&im->m, http, "max_requests", 0);
	sl_out_number(&im->m, http, "max_retries", 0);
	sl_out_number(&im->m, http, "panic_threshold", 0);
	struct sl_out *budget = sl_out_group(&im->m, http, "budget");
	sl_out_number(&im->m, budget, "percent", 100);
	sl_out_number(&im->m, budget, "min", 255);
	sl_out_number(&im->m, sl_out_group(&im->m, http, "ejection"), "after", 0);
}

/* ---- destinations ---- */

struct sl_backend *
sl_istio_backend(struct sl_import *im, const char *host, uint16_t port, const char *subset,
		 struct sl_yaml *asked, const char **ret_subset)
{
	struct sl_object *rule = rule_of(im, host);
	struct sl_yaml *of = *subset ? subset_of(rule, subset) : NULL,
		       *own = sl_yaml_get(of, "trafficPolicy");
	bool is_new;
	struct sl_backend *b = sl_backend_get(im, host, port, own ? subset : "", asked, &is_new);

	*ret_subset = "";
	if (is_new) {
		put_defaults(im, b);
		if (rule)
			sl_import_from(im, b->out, rule->root);
		if (rule)
			sl_yaml_get(rule->spec, "host");
		put_policies(im, b, rule ? sl_yaml_get(rule->spec, "trafficPolicy") : NULL);
		if (own)
			put_policies(im, b, own);
	}
	if (!*subset)
		return b;
	*ret_subset = sl_words_name(&im->m, subset);
	if (of) {
		sl_yaml_get(rule->spec, "subsets");
		of->used = true;
		sl_yaml_get(of, "name");
	}
	sl_backend_subset(im, b, *ret_subset, of ? sl_yaml_get(of, "labels") : NULL, asked);
	return b;
}

struct sl_backend *
sl_istio_destination(struct sl_import *im, const struct sl_object *from, struct sl_yaml *node,
		     uint16_t port, const char **ret_subset)
{
	struct sl_yaml *d = sl_yaml_get(node, "destination"), *n;
	int64_t number = 0;

	*ret_subset = "";
	d = d ? d : node;
	struct sl_yaml *host = sl_yaml_get(d, "host"), *subset = sl_yaml_get(d, "subset");
	if (!host || host->type != SL_YAML_TEXT || !*host->text) {
		sl_left_out(&im->left, d, "has no host");
		return NULL;
	}
	const char *full = sl_istio_host(im, host->text, from->space);
	n = sl_yaml_get(sl_yaml_get(d, "port"), "number");
	if (n && !sl_yaml_number(n, 1, 65535, &number))
		sl_left_out(&im->left, n, "is no port");
	if (!number)
		number = sl_host_only_port(im, full);
	if (!number && (sl_host_service(im, full) || sl_host_entry(im, full)))
		number = port;
	return sl_istio_backend(im, full, (uint16_t)number, subset ? subset->text : "", host,
				ret_subset);
}

/* ---- the end ---- */

/* Settings of ports that nothing leads to. */
static void
ports_without_route(struct sl_import *im, struct sl_yaml *policy, const char *host)
{
	struct sl_yaml *ports = sl_yaml_peek(policy, "portLevelSettings"), *number;
	const char *subset;
	int64_t n;

	for (struct sl_yaml *p = ports ? ports->first : NULL; p; p = p->next) {
		number = sl_yaml_get(sl_yaml_get(p, "port"), "number");
		if (number && sl_yaml_number(number, 1, 65535, &n))
			sl_istio_backend(im, host, (uint16_t)n, "", number, &subset);
	}
}

/* A rule of a host that nothing leads to makes the service all the same, so that it is there for routes to come. */
static void
rule_without_route(struct sl_import *im, struct sl_object *rule)
{
	struct sl_yaml *host = sl_yaml_get(rule->spec, "host"), *subsets;
	const char *subset;

	if (!host || host->type != SL_YAML_TEXT) {
		sl_left_out(&im->left, rule->root, "has no host");
		return;
	}
	const char *full = sl_istio_host(im, host->text, rule->space);
	struct sl_backend *b = im->backends;
	while (b && rule_of(im, b->host) != rule)
		b = b->next;
	if (!b && strchr(full, '*')) {
		sl_left_out(&im->left, rule->root, "no host is known that it is for");
		return;
	}
	if (!b)
		b = sl_istio_backend(im, full, sl_host_only_port(im, full), "", host, &subset);
	if (!strchr(full, '*'))
		ports_without_route(im, sl_yaml_peek(rule->spec, "trafficPolicy"), full);
	subsets = sl_yaml_get(rule->spec, "subsets");
	for (struct sl_yaml *s = sl_yaml_each(subsets, NULL); s; s = sl_yaml_each(subsets, s)) {
		struct sl_yaml *name = sl_yaml_get(s, "name");
		if (name && name->type == SL_YAML_TEXT && *name->text)
			sl_istio_backend(im, b->host, b->port, name->text, name, &subset);
	}
}

void
sl_istio_policies_end(struct sl_import *im)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "DestinationRule")))
		rule_without_route(im, o);
	for (struct sl_backend *b = im->backends; b; b = b->next) {
		struct sl_out *policy = sl_out_find(b->out, "policy");
		struct sl_out *tls = sl_out_find(b->out, "tls");
		if (b->tcp && policy && strcmp(policy->text, "least_request") == 0)
			policy->text = "least_conn";
		if (b->tcp && tls && sl_out_find(tls, "auto_server_name")) {
			sl_out_remove(tls, "auto_server_name");
			if (b->host[0] != '*')
				sl_out_text(&im->m, tls, "server_name", b->host);
		}
	}
}

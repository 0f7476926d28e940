/* The rules of an AuthorizationPolicy → those of a set.
 *
 * What of a rule cannot be said denies more, never less: a condition of DENY is left out alone, an ALLOW with its rule.  So with who
 * calls, where nobody is asked for a certificate: that he is nobody in particular would always hold.
 */
#include "mgmt/import_istio.h"

#include "l7/path.h"
#include "mgmt/conf_value.h"

#include <stdio.h>
#include <string.h>

/* Where a rule is being made. */
struct rule {
	struct sl_import *im;
	const struct sl_object *policy;
	struct sl_out *out;
	const struct sl_asked *asked;
	struct sl_claims claims;
	bool denies; /* all but ALLOW */
	bool lost;   /* a condition that cannot be said, of a rule that allows */
};

/* ---- texts ---- */

/* A condition that cannot be said. */
static void
lose(struct rule *r, struct sl_yaml *node, const char *why)
{
	if (r->denies) {
		sl_left_out(&r->im->left, node, "%s: the rule denies without it, so more", why);
	} else {
		sl_left_out(&r->im->left, node, "%s: the rule allows nothing, so less", why);
		r->lost = true;
	}
}

bool
sl_istio_is_starred(const char *text)
{
	size_t n = strlen(text);
	const char *star = strchr(text + (*text == '*'), '*');

	return n != 0 && !(star && (star[1] || *text == '*'));
}

/* Segments that are literal, {*} or, last, {**}: no others are Istio's. */
static bool
is_rule_template(struct sl_import *im, const char *text)
{
	char *named = sl_memory_take(&im->m, 4 * strlen(text) + 16), *to = named;
	uint8_t *form = sl_memory_take(&im->m, strlen(text) + 1);
	unsigned cnt = 0;
	uint32_t len;

	for (const char *p = text; *p; p++) {
		if (strncmp(p, "{*}", 3) == 0) {
			to += snprintf(to, 16, "{p%u}", cnt++);
			p += 2;
		} else if (strncmp(p, "{**}", 4) == 0) {
			to = stpcpy(to, "{**}");
			p += 3;
		} else if (strchr("{}*", *p)) {
			return false;
		} else {
			*to++ = *p;
		}
	}
	return !sl_value_template(named) &&
	       sl_path_normalise((const uint8_t *)text, (uint32_t)strlen(text), SL_2F_KEEP, true,
				 form, &len) == SL_PATH_SAME;
}

static bool
is_rule_path(struct sl_import *im, const char *text)
{
	size_t n = strlen(text), star = n && text[n - 1] == '*';
	uint32_t len;

	if (strcmp(text, "*") == 0)
		return true;
	if (n == 0 || n > 4000 || strpbrk(text, "?# ") || sl_value_plain(text))
		return false;
	if (strpbrk(text, "{}"))
		return is_rule_template(im, text);
	const char *path = *text == '*'
				   ? sl_memory_print(&im->m, "/%s", text + 1 + (text[1] == '/'))
				   : sl_memory_copy(&im->m, text, n - star);
	uint8_t *form = sl_memory_take(&im->m, n + 2);
	return sl_istio_is_starred(text) && path[0] == '/' &&
	       sl_path_normalise((const uint8_t *)path, (uint32_t)strlen(path), SL_2F_KEEP, true,
				 form, &len) == SL_PATH_SAME;
}

static const char *
as_identity(struct sl_import *im, const char *text)
{
	if (*text == '*' || strncmp(text, "spiffe://", 9) == 0)
		return text;
	return sl_memory_print(&im->m, "spiffe://%s", text);
}

static const char *
as_account(struct rule *r, const char *text)
{
	const char *slash = strchr(text, '/');

	if (!*text || (slash && (slash == text || !slash[1] || strchr(slash + 1, '/'))))
		return NULL;
	return slash ? text : sl_memory_print(&r->im->m, "%s/%s", r->policy->space, text);
}

static const char *
host_of(struct sl_import *im, const char *text)
{
	size_t n = strlen(text);

	/* with or without any port */
	if (n > 2 && strcmp(text + n - 2, ":*") == 0)
		return sl_memory_copy(&im->m, text, n - 2);
	return strchr(text, ':') ? NULL : text;
}

/* The text as the key has it; NULL: it cannot be said. */
static const char *
text_of(struct rule *r, const char *key, const char *text)
{
	struct sl_img_prefix p;
	const char *bare = strncmp(key, "not_", 4) ? key : key + 4;

	if (strcmp(bare, "paths") == 0)
		return is_rule_path(r->im, text) ? text : NULL;
	if (strcmp(bare, "addresses") == 0 || strcmp(bare, "remote_addresses") == 0)
		return sl_value_trusted(text, &p.prefix, &p.plen) ? NULL : text;
	if (strcmp(bare, "methods") == 0)
		return !strcmp(text, "*") || !sl_value_token(text) ? text : NULL;
	if (strcmp(bare, "service_accounts") == 0)
		return strpbrk(text, "*") || strlen(text) > 200 ? NULL : as_account(r, text);
	if (strcmp(bare, "hosts") == 0)
		text = host_of(r->im, text);
	if (!text)
		return NULL;
	if (!sl_istio_is_starred(text) || sl_value_plain(text) || strlen(text) > 250)
		return NULL;
	if (strcmp(bare, "identities") == 0)
		return as_identity(r->im, text);
	return text;
}

/* Whether there are values to ask for; what is no list cannot be said. */
static bool
has_values(struct rule *r, struct sl_yaml *all)
{
	if (all && all->type != SL_YAML_LIST)
		lose(r, all, "is no list");
	return all && all->type == SL_YAML_LIST && all->first;
}

/* Why a field cannot be asked where the rule is; NULL: it can. */
static const char *
unknown(const struct rule *r, const char *key)
{
	static const char *const of_requests[] = {"hosts", "methods", "paths"},
				 *const of_callers[] = {"identities", "namespaces",
							"service_accounts"};
	bool invert = strncmp(key, "not_", 4) == 0;

	for (size_t i = 0; i < 3; i++) {
		if (r->asked->stream && !strcmp(key + 4 * invert, of_requests[i]))
			return "connections have no requests";
		if (!r->asked->identity && r->denies != invert &&
		    !strcmp(key + 4 * invert, of_callers[i]))
			return "nobody is asked there for a certificate, so who calls is not known";
	}
	return NULL;
}

/* Values of a field, of which one has to hold (not_…: none). */
static void
put_texts(struct rule *r, const char *key, struct sl_yaml *all)
{
	const char *text, *why = unknown(r, key);
	struct sl_out *list;

	if (!has_values(r, all))
		return;
	if (why) {
		lose(r, all, why);
		return;
	}
	if (sl_out_find(r->out, key)) {
		lose(r, all, "is asked twice in one rule");
		return;
	}
	list = sl_out_list(&r->im->m, NULL, key);
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if ((text = text_of(r, key, n->text)) && list->cnt < 256) {
			sl_out_text(&r->im->m, list, NULL, text);
			continue;
		}
		lose(r, all, "has a value that rules cannot have");
		return;
	}
	if (list->first)
		sl_out_attach(r->out, list);
}

static void
put_ports(struct rule *r, const char *key, struct sl_yaml *all)
{
	struct sl_out *list = sl_out_list(&r->im->m, NULL, key);
	int64_t port;

	if (!has_values(r, all))
		return;
	if (!r->asked->gateway || all->cnt > 16) {
		lose(r, all, "ports of workloads are not known to who comes to the gateway");
		return;
	}
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (!sl_yaml_number(n, 1, 65535, &port)) {
			lose(r, all, "is no port");
			return;
		}
		sl_out_number(&r->im->m, list, NULL, port);
	}
	if (list->first)
		sl_out_attach(r->out, list);
}

/* ---- headers ---- */

static const char *
regex_of(struct sl_import *im, const char *text)
{
	size_t n = strlen(text), star = n && text[n - 1] == '*', first = *text == '*';

	if (n == 1 && first)
		return ".+";
	return sl_memory_print(
		&im->m, "%s%s%s", first ? ".*" : "",
		sl_words_escape(&im->m, sl_memory_copy(&im->m, text + first, n - first - star)),
		star ? ".*" : "");
}

/* One value, as a condition's own keys have it. */
static void
put_value(struct sl_import *im, struct sl_out *c, const char *text)
{
	size_t n = strlen(text);

	if (strcmp(text, "*") == 0)
		sl_out_bool(&im->m, c, "present", true);
	else if (*text == '*')
		sl_out_text(&im->m, c, "suffix", text + 1);
	else if (n && text[n - 1] == '*')
		sl_out_text(&im->m, c, "prefix", sl_memory_copy(&im->m, text, n - 1));
	else
		sl_out_text(&im->m, c, "exact", text);
}

static void
put_header(struct rule *r, const char *name, struct sl_yaml *all, bool invert)
{
	struct sl_import *im = r->im;
	const char *regex = NULL;

	if (!has_values(r, all))
		return;
	if (r->asked->stream) {
		lose(r, all, "connections have no requests");
		return;
	}
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (!sl_istio_is_starred(n->text) || sl_value_plain(n->text) ||
		    strlen(n->text) > 1000) {
			lose(r, all, "has a value that rules cannot have");
			return;
		}
		const char *one = regex_of(im, n->text);
		regex = regex ? sl_memory_print(&im->m, "%s|%s", regex, one) : one;
		if (!invert && all->cnt > 1)
			continue;
		struct sl_out *c =
			sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, "headers"), NULL);
		sl_out_text(&im->m, c, "name", name);
		put_value(im, c, n->text);
		if (invert)
			sl_out_bool(&im->m, c, "invert", true);
	}
	if (invert || all->cnt == 1)
		return;
	if (strlen(regex) > 4096) {
		lose(r, all, "has more values than rules can have");
		return;
	}
	struct sl_out *c = sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, "headers"), NULL);
	sl_out_text(&im->m, c, "name", name);
	sl_out_text(&im->m, c, "regex", regex);
}

/* ---- claims ---- */

static void
put_principals(struct rule *r, struct sl_yaml *all, bool invert)
{
	const char *why;

	if (has_values(r, all) && (why = sl_claims_principals(&r->claims, all, invert)))
		lose(r, all, why);
}

static void
put_claim(struct rule *r, const char *claim, struct sl_yaml *all, bool invert)
{
	const char *why;

	if (has_values(r, all) && (why = sl_claims_values(&r->claims, claim, all, invert)))
		lose(r, all, why);
}

/* "[a][b]" as "a.b"; NULL: it is none. */
static const char *
claim_of(struct sl_import *im, const char *text)
{
	const char *claim = "", *end;

	if (*text != '[')
		return NULL;
	for (; *text; text = end + 1) {
		if (*text != '[' || !(end = strchr(text, ']')) || end == text + 1 ||
		    memchr(text + 1, '[', (size_t)(end - text - 1)))
			return NULL;
		claim = sl_memory_print(&im->m, "%s%s%.*s", claim, *claim ? "." : "",
					(int)(end - text - 1), text + 1);
	}
	return claim;
}

/* request.auth.…: false: nothing is called so. */
static bool
put_auth(struct rule *r, const char *key, struct sl_yaml *values, struct sl_yaml *not_values)
{
	static const char *const words[][2] = {{"audiences", "aud"}, {"presenter", "azp"}};
	const char *claim = NULL;

	if (strcmp(key, "principal") == 0) {
		put_principals(r, values, false);
		put_principals(r, not_values, true);
		return true;
	}
	for (size_t i = 0; i < 2; i++)
		if (strcmp(key, words[i][0]) == 0)
			claim = words[i][1];
	if (strncmp(key, "claims", 6) == 0)
		claim = claim_of(r->im, key + 6);
	if (!claim)
		return false;
	put_claim(r, claim, values, false);
	put_claim(r, claim, not_values, true);
	return true;
}

/* ---- from, to, when ---- */

static const struct {
	const char *field, *key;
} source_fields[] =
	{
		{"principals", "identities"},
		{"notPrincipals", "not_identities"},
		{"namespaces", "namespaces"},
		{"notNamespaces", "not_namespaces"},
		{"serviceAccounts", "service_accounts"},
		{"notServiceAccounts", "not_service_accounts"},
		{"ipBlocks", "addresses"},
		{"notIpBlocks", "not_addresses"},
		{"remoteIpBlocks", "remote_addresses"},
		{"notRemoteIpBlocks", "not_remote_addresses"},
},
  operation_fields[] = {
	  {"hosts", "hosts"},     {"notHosts", "not_hosts"},
	  {"methods", "methods"}, {"notMethods", "not_methods"},
	  {"paths", "paths"},     {"notPaths", "not_paths"},
};

static void
put_source(struct rule *r, struct sl_yaml *source)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(source_fields); i++)
		put_texts(r, source_fields[i].key, sl_yaml_get(source, source_fields[i].field));
	put_principals(r, sl_yaml_get(source, "requestPrincipals"), false);
	put_principals(r, sl_yaml_get(source, "notRequestPrincipals"), true);
}

static void
put_operation(struct rule *r, struct sl_yaml *operation)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(operation_fields); i++)
		put_texts(r, operation_fields[i].key,
			  sl_yaml_get(operation, operation_fields[i].field));
	put_ports(r, "ports", sl_yaml_get(operation, "ports"));
	put_ports(r, "not_ports", sl_yaml_get(operation, "notPorts"));
}

/* "request.headers[x-y]" of the stem "request.headers": x-y; NULL: another. */
static const char *
bracketed(struct sl_import *im, const char *key, const char *stem)
{
	size_t n = strlen(stem), len = strlen(key);

	if (strncmp(key, stem, n) || key[n] != '[' || len < n + 3 || key[len - 1] != ']' ||
	    strpbrk(key + n + 1, "[") || strchr(key + n, ']') != key + len - 1)
		return NULL;
	return sl_memory_copy(&im->m, key + n + 1, len - n - 2);
}

static bool
asks_nothing(const struct sl_yaml *all)
{
	return !all || (all->type == SL_YAML_LIST && !all->first);
}

static void
put_when(struct rule *r, struct sl_yaml *when)
{
	static const struct {
		const char *key, *yes, *no;
	} texts[] = {
		{"source.ip", "addresses", "not_addresses"},
		{"remote.ip", "remote_addresses", "not_remote_addresses"},
		{"source.namespace", "namespaces", "not_namespaces"},
		{"source.principal", "identities", "not_identities"},
		{"source.serviceAccount", "service_accounts", "not_service_accounts"},
		{"connection.sni", "server_names", "not_server_names"},
	};
	struct sl_yaml *values = sl_yaml_get(when, "values"),
		       *not_values = sl_yaml_get(when, "notValues");
	const char *key = sl_yaml_get_text(when, "key"), *name;

	key = key ? key : "";
	if (asks_nothing(values) && asks_nothing(not_values)) {
		lose(r, when, "asks for no value");
		return;
	}
	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++) {
		if (strcmp(key, texts[i].key) != 0)
			continue;
		put_texts(r, texts[i].yes, values);
		put_texts(r, texts[i].no, not_values);
		return;
	}
	if (strcmp(key, "destination.port") == 0) {
		put_ports(r, "ports", values);
		put_ports(r, "not_ports", not_values);
	} else if (strncmp(key, "request.auth.", 13) == 0 &&
		   put_auth(r, key + 13, values, not_values)) {
		return;
	} else if ((name = bracketed(r->im, key, "request.headers")) && !sl_value_token(name) &&
		   strcasecmp(name, "host")) {
		put_header(r, name, values, false);
		put_header(r, name, not_values, true);
	} else {
		lose(r, when, "is of nothing that rules know");
	}
}

/* ---- rules ---- */

/* The rule for one alternative of its claims. */
static void
attach(struct rule *r, struct sl_out *rules, const char *name, struct sl_out *claims)
{
	struct sl_out *one = sl_out_group(&r->im->m, NULL, NULL);

	*one = *r->out;
	one->first = one->last = NULL;
	one->cnt = 0;
	for (const struct sl_out *o = r->out->first; o; o = o->next) {
		struct sl_out *copy = sl_memory_take(&r->im->m, sizeof(*copy));
		*copy = *o;
		copy->next = NULL;
		sl_out_attach(one, copy);
	}
	sl_out_find(one, "name")->text = sl_import_distinct(r->im, rules, name);
	if (claims->first)
		sl_out_attach(one, claims);
	sl_out_attach(rules, one);
}

static void
put_conditions(struct rule *r, struct sl_yaml *rule, struct sl_yaml *source,
	       struct sl_yaml *operation)
{
	struct sl_yaml *when = sl_yaml_get(rule, "when");

	if (source)
		put_source(r, source);
	if (operation)
		put_operation(r, operation);
	for (struct sl_yaml *w = sl_yaml_each(when, NULL); w; w = sl_yaml_each(when, w))
		put_when(r, w);
}

/* One source and one operation (NULL: any) of a rule. */
static void
put_rule(struct rule *r, struct sl_out *rules, struct sl_yaml *rule, struct sl_yaml *source,
	 struct sl_yaml *operation)
{
	struct sl_import *im = r->im;
	const char *action = sl_istio_action(r->policy),
		   *name = sl_memory_print(&im->m, "%s-%u", r->policy->name, rule->index);

	r->lost = false;
	sl_claims_init(&r->claims, im, r->asked, r->denies);
	r->out = sl_out_group(&im->m, NULL, NULL);
	sl_out_text(&im->m, r->out, "name", name);
	sl_out_text(&im->m, r->out, "action",
		    !strcmp(action, "ALLOW")   ? "allow"
		    : !strcmp(action, "AUDIT") ? "audit"
					       : "deny");
	sl_import_from(im, r->out, rule);
	put_conditions(r, rule, source, operation);
	if (r->claims.never && !r->lost)
		sl_left_note(&im->left, source ? source : rule,
			     "asks for tokens that no issuer there gives: it never holds");
	if (r->lost || r->claims.never)
		return;
	for (unsigned i = 0; i < r->claims.cnt; i++)
		attach(r, rules, name, r->claims.choice[i]);
}

static void
put_rules(struct rule *r, struct sl_out *rules, struct sl_yaml *rule)
{
	struct sl_yaml *from = sl_yaml_get(rule, "from"), *to = sl_yaml_get(rule, "to");
	struct sl_yaml *f = sl_yaml_each(from, NULL);

	do {
		struct sl_yaml *t = sl_yaml_each(to, NULL);
		do {
			if (rules->cnt > SL_ISTIO_RULES)
				return; /* the set is refused */
			put_rule(r, rules, rule, f ? sl_yaml_get(f, "source") : NULL,
				 t ? sl_yaml_get(t, "operation") : NULL);
			t = t ? sl_yaml_each(to, t) : NULL;
		} while (t);
		f = f ? sl_yaml_each(from, f) : NULL;
	} while (f);
}

void
sl_istio_rules(struct sl_import *im, const struct sl_object *policy, const struct sl_asked *asked,
	       struct sl_out *rules)
{
	struct rule r = {.im = im, .policy = policy, .asked = asked};
	struct sl_yaml *list = sl_yaml_get(policy->spec, "rules");

	r.denies = strcmp(sl_istio_action(policy), "ALLOW") != 0;
	for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n))
		put_rules(&r, rules, n);
}

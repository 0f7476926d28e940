/* What the table says of TLS, for rows of listeners and services. */
#include "mgmt/show.h"

static void
put(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

/* n elements of a size, each of which begins with its text. */
static json_t *
names(const void *base, uint32_t n, size_t size)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, json_string((const char *)base + i * size));
	return list;
}

/* The words of a set, as the format functions write them. */
static json_t *
words(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t n = strcspn(text, " ");
		json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ' ');
	}
	return list;
}

/* What both have. */
static json_t *
common(const struct sl_conf_tls *t)
{
	char text[SL_TLS_SET_STRLEN];
	json_t *o = json_object();

	put(o, "min_version", json_string(sl_tls_version_name(t->min_version)));
	put(o, "max_version", json_string(sl_tls_version_name(t->max_version)));
	put(o, "suites", words(sl_tls_suites_format(t->suites, text)));
	put(o, "groups", words(sl_tls_groups_format(t->groups, text)));
	put(o, "alpn", t->alpn_given ? names(t->alpn, t->alpn_cnt, sizeof(*t->alpn)) : json_null());
	put(o, "trust", names(t->trust, t->trust_cnt, sizeof(*t->trust)));
	put(o, "handshake_timeout_ms", json_integer(t->handshake_ms));
	return o;
}

json_t *
sl_show_listener_tls(const struct sl_conf_listener *l)
{
	const struct sl_conf_tls *t = &l->tls;

	if (!t->given)
		return json_null();
	json_t *o = common(t);
	put(o, "certificates", names(t->certs, t->cert_cnt, sizeof(*t->certs)));
	put(o, "client", json_string(sl_tls_client_name(t->client)));
	put(o, "client_names", names(t->sans, t->san_cnt, sizeof(*t->sans)));
	put(o, "plaintext", json_string(t->plaintext ? "accept" : "refuse"));
	put(o, "tickets", json_boolean(t->tickets));
	put(o, "forwarded_client_cert", json_string(sl_xfcc_name(t->xfcc)));
	return o;
}

json_t *
sl_show_server_names(const struct sl_conf_listener *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->sni_cnt; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "name", l->snis[i].name,
						      "service", l->snis[i].service));
	return list;
}

json_t *
sl_show_service_tls(const struct sl_conf_service *s)
{
	const struct sl_conf_tls *t = &s->tls;

	if (!t->given)
		return json_null();
	json_t *o = common(t);
	put(o, "verify", json_boolean(t->verify));
	put(o, "resume", json_boolean(t->resume));
	put(o, "server_name", json_string(t->server_name));
	put(o, "auto_server_name", json_boolean(t->auto_sni));
	put(o, "names", names(t->sans, t->san_cnt, sizeof(*t->sans)));
	put(o, "certificate", json_string(t->certificate));
	return o;
}

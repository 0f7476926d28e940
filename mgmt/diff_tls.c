/* What listeners and services say of TLS.  Lists whose order means nothing are sorted; without the group the settings are those of
 * a group that does not give them, so that only what is unusual shows when it comes or goes. */
#include "mgmt/diff_priv.h"

#include <stdlib.h>

static int
text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* n elements of a size, each of which begins with its text. */
static void
put_names(struct sl_diff_values *v, const char *key, const void *base, uint32_t n, size_t size,
	  bool sorted)
{
	const char **texts = malloc((n + 1u) * sizeof(*texts));
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; texts && i < n; i++)
		texts[i] = (const char *)base + i * size;
	if (texts && sorted)
		qsort(texts, n, sizeof(*texts), text_order);
	for (uint32_t i = 0; texts && i < n; i++) {
		sl_diff_add(&t, i ? ", " : "");
		sl_diff_add(&t, texts[i]);
	}
	free(texts);
	sl_diff_put_text(v, key, &t);
}

static void
put_alpn(struct sl_diff_values *v, const struct sl_conf_tls *t)
{
	if (t->given && t->alpn_given && !t->alpn_cnt)
		sl_diff_put(v, "tls.alpn", "nothing");
	else
		put_names(v, "tls.alpn", t->alpn, t->alpn_cnt, sizeof(*t->alpn), false);
}

static void
put_bool(struct sl_diff_values *v, const char *key, bool value)
{
	sl_diff_put(v, key, "%s", value ? "true" : "false");
}

/* What both have. */
static void
put_common(struct sl_diff_values *v, const struct sl_conf_tls *t)
{
	char text[SL_TLS_SET_STRLEN];

	sl_diff_put(v, "tls.min_version", "%s", sl_tls_version_name(t->min_version));
	sl_diff_put(v, "tls.max_version", "%s", sl_tls_version_name(t->max_version));
	sl_diff_put(v, "tls.suites", "%s", sl_tls_suites_format(t->suites, text));
	sl_diff_put(v, "tls.groups", "%s", sl_tls_groups_format(t->groups, text));
	put_alpn(v, t);
	sl_diff_put(v, "tls.handshake_timeout", "%u ms", t->handshake_ms);
}

static int
sni_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_sni *)a)->name, ((const struct sl_conf_sni *)b)->name);
}

static void
put_server_names(struct sl_diff_values *v, const struct sl_conf_listener *l)
{
	struct sl_conf_sni *sorted = malloc((l->sni_cnt + 1u) * sizeof(*sorted));
	struct sl_diff_text t = {0};

	if (sorted && l->sni_cnt) {
		memcpy(sorted, l->snis, l->sni_cnt * sizeof(*sorted));
		qsort(sorted, l->sni_cnt, sizeof(*sorted), sni_order);
	}
	for (uint32_t i = 0; sorted && i < l->sni_cnt; i++) {
		sl_diff_add(&t, i ? ", " : "");
		sl_diff_add(&t, sorted[i].name);
		sl_diff_add(&t, " to ");
		sl_diff_add(&t, sorted[i].service);
	}
	free(sorted);
	sl_diff_put_text(v, "server_names", &t);
}

void
sl_diff_listener_tls(const struct sl_conf_listener *l, struct sl_diff_values *v)
{
	const struct sl_conf_tls *t = &l->tls;

	put_server_names(v, l);
	put_names(v, "tls.certificates", t->certs, t->cert_cnt, sizeof(*t->certs), false);
	put_names(v, "tls.trust", t->trust, t->trust_cnt, sizeof(*t->trust), true);
	put_names(v, "tls.client_names", t->sans, t->san_cnt, sizeof(*t->sans), true);
	v->minor = true;
	sl_diff_put(v, "tls.client", "%s", sl_tls_client_name(t->client));
	sl_diff_put(v, "tls.plaintext", "%s", t->plaintext ? "accept" : "refuse");
	put_bool(v, "tls.tickets", t->tickets);
	sl_diff_put(v, "tls.forwarded_client_cert", "%s", sl_xfcc_name(t->xfcc));
	put_common(v, t);
	v->minor = false;
}

void
sl_diff_service_tls(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	const struct sl_conf_tls *t = &s->tls;

	sl_diff_put(v, "tls", "%s", !t->given ? "" : t->verify ? "verified" : "not verified");
	put_names(v, "tls.trust", t->trust, t->trust_cnt, sizeof(*t->trust), true);
	sl_diff_put(v, "tls.server_name", "%s", t->server_name);
	put_names(v, "tls.names", t->sans, t->san_cnt, sizeof(*t->sans), true);
	sl_diff_put(v, "tls.certificate", "%s", t->certificate);
	v->minor = true;
	put_bool(v, "tls.auto_server_name", t->auto_sni);
	put_bool(v, "tls.resume", t->resume);
	put_common(v, t);
	v->minor = false;
}

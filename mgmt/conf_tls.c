/* Groups of TLS: what of their keys may stand together.  What depends on other groups is check_tls.c's. */
#include "mgmt/conf_priv.h"

#include <stdlib.h>

/* Said once for both sides, when all keys of the group could be read. */
static void
check_versions(struct walk *w, const struct sl_node *s, const struct sl_conf_tls *t)
{
	if (!w->clean || t->min_version <= t->max_version)
		return;
	size_t was = sl_walk_push(w, "min_version");
	sl_walk_tell(w, sl_node_member(s, "min_version"), "lower it, or raise max_version",
		     "is %s, above max_version, %s", sl_tls_version_name(t->min_version),
		     sl_tls_version_name(t->max_version));
	sl_walk_pop(w, was);
}

/* A list that must have something in it. */
static void
check_needed(struct walk *w, const struct sl_node *s, enum group g, const char *key, uint32_t cnt)
{
	if (!sl_conf_given(s, key)) {
		sl_walk_missing(w, s, g, key);
	} else if (cnt == 0 && w->clean) {
		size_t was = sl_walk_push(w, key);
		sl_walk_tell(w, sl_node_member(s, key), "name some", "is empty");
		sl_walk_pop(w, was);
	}
}

void
sl_finish_listener_tls(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	static const char asked[] = "client = \"optional\" or \"required\"";
	struct sl_conf_tls *t = out;

	(void)draft;
	t->alpn_given = sl_conf_given(s, "alpn");
	t->incomplete = !w->clean;
	check_versions(w, s, t);
	check_needed(w, s, LTLS, "certificates", t->cert_cnt);
	if (!w->clean)
		return;
	if (t->client != SL_TLS_CLIENT_NONE) {
		check_needed(w, s, LTLS, "trust", t->trust_cnt);
	} else {
		sl_conf_out_of_place(w, s, "trust", asked);
		sl_conf_out_of_place(w, s, "client_names", asked);
	}
}

void
sl_finish_service_tls(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_conf_tls *t = out;

	(void)draft;
	t->alpn_given = sl_conf_given(s, "alpn");
	t->incomplete = !w->clean;
	check_versions(w, s, t);
	if (!w->clean)
		return;
	if (!t->verify) {
		sl_conf_out_of_place(w, s, "trust", "verify = true");
		sl_conf_out_of_place(w, s, "names", "verify = true");
		return;
	}
	check_needed(w, s, STLS, "trust", t->trust_cnt);
	if (!t->server_name[0] && !t->san_cnt)
		sl_walk_tell(w, s, "give server_name or names; verify = false believes anybody",
			     "does not say whose certificate endpoints have");
}

void
sl_finish_health(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_health_conf *h = out;

	(void)w;
	(void)draft;
	h->tls_given = sl_conf_given(s, "tls");
}

void
sl_finish_tls_mode(struct walk *w, const struct sl_node *s, const struct sl_conf_listener *l)
{
	const struct sl_node *tls = sl_node_member(s, "tls");

	if (l->mode != SL_MODE_PASSTHROUGH)
		sl_conf_out_of_place(w, s, "server_names", "mode = \"tls-passthrough\"");
	if (l->mode != SL_MODE_TCP && l->mode != SL_MODE_HTTP)
		sl_conf_out_of_place(w, s, "tls", "mode = \"tcp\" or \"http\"");
	if (!tls || tls->type != SL_NODE_GROUP)
		return;
	size_t was = sl_walk_push(w, "tls");
	if (l->mode != SL_MODE_HTTP)
		sl_conf_out_of_place(w, tls, "forwarded_client_cert", "mode = \"http\"");
	sl_walk_push(w, "alpn");
	for (uint32_t i = 0; l->mode == SL_MODE_HTTP && i < l->tls.alpn_cnt; i++)
		if (l->tls.alpn[i].protocol[0] && strcmp(l->tls.alpn[i].protocol, "http/1.1"))
			sl_walk_tell(
				w, sl_node_member(tls, "alpn"), "give http/1.1, or remove alpn",
				"\"%s\" is not spoken with mode \"http\"", l->tls.alpn[i].protocol);
	sl_walk_pop(w, was);
}

void
sl_conf_tls_fini(struct sl_conf_tls *t)
{
	free(t->certs);
	free(t->trust);
	free(t->sans);
	free(t->alpn);
}

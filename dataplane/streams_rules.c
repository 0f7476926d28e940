/* Rules that connections of a listener of mode tcp are judged by: when one comes, and when that is only asked. */
#include "dataplane/worker_priv.h"
#include "l7/rate_judge.h"
#include "sluice/ctl.h"
#include "sluice/events.h"

#include <stdatomic.h>
#include <stdio.h>

/* As routes see it (sl_http_identity). */
void
sl_streams_who(const struct sl_stream *client, struct sl_rate_who *who)
{
	const struct sl_tls_info *info = sl_tls_info(client);
	const struct sl_tls_peer *p = info ? info->peer : NULL;

	if (!p || !p->verified)
		return;
	const char *dns = sl_tls_peer_dns(p), *comma = memchr(dns, ',', p->dns_len);
	who->identity = (const uint8_t *)(p->uri_len ? sl_tls_peer_uri(p) : dns);
	who->identity_len = p->uri_len ? p->uri_len : comma ? (uint32_t)(comma - dns) : p->dns_len;
	if (who->identity_len == 0)
		who->identity = NULL;
}

/* Of a request there is nothing: a set that goes by requests, which no table gives a listener (check_policy.c), lets nobody in. */
static void
judge(const struct sl_authz *set, const struct sl_authz_who *asks, struct sl_match_scratch *scratch,
      struct sl_authz_verdict *ret)
{
	static const struct sl_http_head none = {.method = SL_METHOD_OTHER};
	struct sl_authz_own own;

	sl_authz_own(asks, &own);
	const struct sl_match_input in = {
		.head = &none,
		.path = (const uint8_t *)"",
		.identity = asks->identity.at,
		.identity_len = asks->identity.len,
		.own = own.own,
		.own_cnt = own.cnt,
	};
	sl_authz_judge(set, &in, (struct sl_bytes){0}, scratch, ret);
}

/* ---- a connection ---- */

bool
sl_streams_allowed(void *worker, const struct sl_stream *client, bool tls,
		   const struct sl_tuple *tuple)
{
	struct sl_worker *w = worker;
	const struct sl_view *view = w->streams.view;
	const struct sl_tuple *came = &sl_stream_row(client)->tuple;
	struct sl_rate_who who = {.source = tuple->src};
	struct sl_authz_verdict v;
	uint32_t i = view ? sl_view_listener(view, &came->dst, came->dport, SL_IPPROTO_TCP)
			  : SL_VIEW_NONE;

	if (sl_likely(i == SL_VIEW_NONE || !view->listeners[i].authz))
		return true;
	uint32_t slot = view->listeners[i].authz - 1;
	const struct sl_authz *set = &view->authz[slot];
	if (!set->streams)
		return false;
	const struct sl_tls_info *info = tls ? sl_tls_info(client) : NULL;
	const struct sl_tls_peer *p = info ? info->peer : NULL;
	if (tls)
		sl_streams_who(client, &who);
	const struct sl_authz_who asks = {
		.source = &tuple->src,
		.remote = &tuple->src,
		.identity = {who.identity, who.identity_len},
		.sni = {p ? (const uint8_t *)sl_tls_peer_sni(p) : NULL, p ? p->sni_len : 0},
		.port = sl_from_be16(came->dport),
	};
	judge(set, &asks, &view->scratch[w->conf.id], &v);
	sl_authz_count(set, &v, &sl_stats_authz(w->conf.stats, w->conf.id)[slot],
		       sl_stats_rules(w->conf.stats, w->conf.id));
	if (!v.denied || v.told_only)
		return true;
	sl_streams_told(w, i, tuple, tls ? client : NULL, SL_RF_UAEX, set->img->name,
			sl_authz_rule(set, v.rule));
	return false;
}

/* ---- a question ---- */

/* What stands behind the name at the beginning of a line of the text; .len 0: there is no such line. */
static struct sl_bytes
line_of(const uint8_t *text, uint32_t len, const char *name)
{
	uint32_t n = (uint32_t)strlen(name);

	for (const uint8_t *at = text, *end; at < text + len; at = end + 1) {
		end = memchr(at, '\n', (size_t)(text + len - at));
		if (!end)
			end = text + len;
		if (end - at <= (long)n || memcmp(at, name, n) != 0)
			continue;
		at += n;
		while (at < end && *at == ' ')
			at++;
		return (struct sl_bytes){at, (uint32_t)(end - at)};
	}
	return (struct sl_bytes){0};
}

static void
say(struct sl_http_question *q, const struct sl_authz *set, const struct sl_authz_verdict *v)
{
	const char *rule = v->rule == SL_MATCH_NONE ? "" : sl_authz_rule(set, v->rule);
	bool denied = v->denied && !v->told_only;

	q->answer.status = denied ? 403 : 0;
	q->answer.flags = denied ? SL_RF_UAEX : 0;
	q->answer.verified = v->verified;
	q->answer.scanned = v->scanned;
	q->answer.text_len =
		(uint32_t)snprintf(q->text, sizeof(q->text), "%s%s%s%s", set->img->name,
				   *rule ? "/" : "", rule, v->told_only ? " (audit)" : "");
}

void
sl_streams_explain_rules(struct sl_worker *w, const struct sl_view *view,
			 struct sl_http_question *q)
{
	const struct sl_tuple *t = &q->tuple;
	uint32_t i = sl_view_listener(view, &t->dst, t->dport, SL_IPPROTO_TCP);
	const struct sl_img_listener *l = i == SL_VIEW_NONE ? NULL : &view->listeners[i];
	struct sl_bytes identity = line_of(q->request, q->len, ":identity:");
	struct sl_bytes sni = line_of(q->request, q->len, ":sni:");
	struct sl_authz_verdict v;

	if (!l || l->mode != SL_MODE_TCP) {
		q->why = "no listener of mode tcp has that address and port";
		return;
	}
	if ((identity.len || sni.len) && !l->tls) {
		q->why = "the listener speaks no TLS: clients show no certificate and name no "
			 "server";
		return;
	}
	if (identity.len && view->tls[l->tls - 1].client == SL_TLS_CLIENT_NONE) {
		q->why = "no client has an identity: the listener asks for no certificates";
		return;
	}
	q->answer.generation = view->generation;
	q->answer.listener_slot = l->slot;
	q->answer.table_slot = q->answer.vhost_slot = q->answer.route_slot = q->answer.route =
		UINT32_MAX;
	q->answer.service_slot = q->answer.endpoint_slot = UINT32_MAX;
	q->text[0] = 0;
	q->answer.text_len = 0;
	if (!l->authz || !view->authz[l->authz - 1].streams)
		return;
	const struct sl_authz_who asks = {
		.source = &t->src,
		.remote = &t->src,
		.identity = {identity.len ? identity.at : NULL, identity.len},
		.sni = sni,
		.port = sl_from_be16(t->dport),
	};
	judge(&view->authz[l->authz - 1], &asks, &view->scratch[w->conf.id], &v);
	say(q, &view->authz[l->authz - 1], &v);
}

/* What would become of a request: the code that requests run, up to the point where something would be sent. */
#include "l7/http_priv.h"

#include "sluice/ctl.h"

#include <stdio.h>

static void
say(struct sl_ctl_explained_http *ret, char *text, const void *bytes, uint32_t n)
{
	n = SL_MIN(n, (uint32_t)SL_CTL_TEXT_MAX);
	memcpy(text, bytes, n);
	ret->text_len = n;
}

static void
refused(struct sl_ctl_explained_http *ret, char *text, unsigned status, uint32_t rflags,
	const char *why)
{
	ret->status = status;
	ret->flags = rflags;
	say(ret, text, why, (uint32_t)strlen(why));
}

/* Refused, as d says. */
static void
judged(struct sl_ctl_explained_http *ret, char *text, const struct http_decision *d)
{
	char said[SL_ACCESS_WHY_MAX + 96];

	snprintf(said, sizeof(said), d->why[0] ? "%s: %s" : "%s",
		 d->text ? d->text : sl_status_text(d->status), d->why);
	refused(ret, text, d->status, d->rflags, said);
}

static void
forwarded(struct sl_http *h, struct http_decision *d, const struct sl_http_head *head,
	  const struct http_ask *who, const struct sl_tuple *client,
	  struct sl_ctl_explained_http *ret, char *text, struct sl_up_ask *ask)
{
	const struct sl_http_env *env = &h->conf.env;
	const struct sl_img_target *t = sl_http_target(h, d, head, &client->src);
	const struct sl_img_service *svc =
		env->service(env->ctx, t->service, (uint16_t)t->incarnation);
	uint32_t n = sl_rewrite_path(h->out, HTTP_OUT, d->vhost->img, d->route, &h->match,
				     d->path.at, d->path.len);

	ret->service_slot = t->service;
	if (!svc) {
		refused(ret, text, 503, SL_RF_NC, "the service is not in the table");
		return;
	}
	if (!sl_http_service_rates(h, svc, who, head, d, true)) {
		judged(ret, text, d);
		return;
	}
	say(ret, text, h->out, n);
	ask->service_slot = t->service;
	ask->service_incarnation = (uint16_t)t->incarnation;
	ask->subset = sl_http_subset(svc, t);
	ret->subset = t->subset;
	ask->hashed = sl_http_hash_on(svc, head, d, &client->src, &ask->hash);
	ask->client = client;
}

/* The line at `at`, with its end; 0: it has none. */
static uint32_t
line_len(const uint8_t *at, uint32_t left)
{
	const uint8_t *end = memchr(at, '\n', left);

	return end ? (uint32_t)(end - at) + 1 : 0;
}

static struct sl_bytes
trimmed(const uint8_t *at, uint32_t len)
{
	while (len && (*at == ' ' || *at == '\t'))
		at++, len--;
	while (len && strchr("\r\n \t", at[len - 1]))
		len--;
	return (struct sl_bytes){at, len};
}

/* Whether the line begins with the name; what stands behind it goes to *ret. */
static bool
begins(const uint8_t *line, uint32_t len, const char *name, struct sl_bytes *ret)
{
	uint32_t n = (uint32_t)strlen(name);

	if (len < n || memcmp(line, name, n) != 0)
		return false;
	*ret = (struct sl_bytes){line + n, len - n};
	return true;
}

static bool
take_claim(struct sl_bytes rest, struct http_claims *claims)
{
	const uint8_t *colon = memchr(rest.at, ':', rest.len);

	if (!colon || claims->cnt == HTTP_CLAIMS_MAX)
		return false;
	uint32_t name = (uint32_t)(colon - rest.at);
	claims->claim[claims->cnt++] = (struct sl_claim){
		.name = {rest.at, name},
		.value = trimmed(colon + 1, rest.len - name - 1),
	};
	return true;
}

/* A line ":identity: name" says who the client's certificate says that he is, lines ":claim.NAME: value" what his verified token
 * says, in place of it.  They are no lines of the request, which is put to h->gather without them; what they say stays where it is. */
static const uint8_t *
take_own(struct sl_http *h, const uint8_t *request, uint32_t *len, struct sl_bytes *identity,
	 struct http_claims *claims)
{
	uint32_t out = 0;

	if (!memmem(request, *len, "\n:", 2) || *len > HTTP_GATHER)
		return request;
	for (uint32_t at = 0, n; at < *len; at += n) {
		struct sl_bytes rest;
		n = line_len(request + at, *len - at);
		if (n && begins(request + at, n, ":identity:", &rest)) {
			*identity = trimmed(rest.at, rest.len);
		} else if (!n || !begins(request + at, n, ":claim.", &rest) ||
			   !take_claim(rest, claims)) {
			n = n ? n : *len - at;
			memcpy(h->gather + out, request + at, n);
			out += n;
		}
	}
	*len = out;
	return h->gather;
}

void
sl_http_explain(struct sl_http *h, const struct sl_http_rule *rule, const struct sl_tuple *client,
		const uint8_t *request, uint32_t len, struct sl_ctl_explained_http *ret, char *text,
		uint8_t *path, struct sl_up_ask *ret_ask)
{
	const struct sl_img_http *img = &rule->table->img->http;
	const struct sl_http_limits limits = {img->max_head, img->max_headers};
	uint64_t random[2] = {h->random[0], h->random[1]};
	enum sl_http_bad why = SL_HTTP_BAD_NONE;
	struct sl_bytes identity = {0};
	struct http_decision d;

	ret->generation = rule->generation;
	ret->listener_slot = rule->listener_slot;
	ret->table_slot = rule->table->slot;
	ret->vhost_slot = ret->route_slot = ret->route = UINT32_MAX;
	ret->service_slot = ret->endpoint_slot = UINT32_MAX;
	*ret_ask = (struct sl_up_ask){.service_slot = UINT32_MAX};
	h->said.cnt = 0;
	request = take_own(h, request, &len, &identity, &h->said);
	if (identity.at && (!rule->tls || rule->tls->client == SL_TLS_CLIENT_NONE)) {
		refused(ret, text, 400, SL_RF_DPE,
			"no client has an identity: the listener asks for no certificates");
		return;
	}
	int n = sl_http_request(request, len, 0, &limits, &h->head, &why);
	if (n <= 0) {
		refused(ret, text, n == SL_BAD ? sl_http_bad_status(why) : 400, SL_RF_DPE,
			n == SL_BAD ? sl_http_bad_text(why) : "the request head is not whole");
		return;
	}
	h->match = (struct sl_match_result){.route = SL_MATCH_NONE};
	sl_http_decide(h, rule, &h->head, identity, &d);
	ret->verified = h->match.verified;
	ret->scanned = h->match.scanned;
	ret->path_len = SL_MIN(d.path.len, (uint32_t)SL_CTL_REQUEST_MAX / 2);
	if (ret->path_len) /* CONNECT has none */
		memcpy(path, d.path.at, ret->path_len);
	if (d.vhost)
		ret->vhost_slot = d.vhost->slot;
	const struct http_ask who = {
		.peer = client->src,
		.identity = identity,
		.port = sl_from_be16(client->dport),
		.claims = h->said.cnt ? &h->said : NULL,
	};
	if (d.route) {
		sl_http_judge(h, rule, &who, &h->head, &d, true);
		ret->route_slot = d.route->slot;
		ret->route = h->match.route;
	}
	if (d.status) {
		judged(ret, text, &d);
		return;
	}
	if (d.route->action == SL_ACTION_FORWARD) {
		forwarded(h, &d, &h->head, &who, client, ret, text, ret_ask);
	} else {
		ret->status = d.route->code;
		if (d.route->action == SL_ACTION_REDIRECT)
			say(ret, text, h->out,
			    sl_redirect_location(
				    h->out, HTTP_OUT, d.vhost->img, d.route, &h->match, &h->head,
				    d.path, rule->tls && (!rule->tls->plaintext || identity.at)));
	}
	h->random[0] = random[0]; /* a question changes nothing */
	h->random[1] = random[1];
}

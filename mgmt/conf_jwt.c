/* What a group of the list `jwt` comes to. */
#include "mgmt/conf_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "l7/http1.h"
#include "mgmt/conf_value.h"

static char *
copy(struct walk *w, const char *text)
{
	char *s = text ? strdup(text) : NULL;

	if (text && !s)
		w->oom = true;
	return s;
}

static char *
copy_header(struct walk *w, const struct sl_node *s, const char *key, const char *text)
{
	char *to = copy(w, text);
	size_t was;

	for (char *c = to; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	if (to && sl_http_known((const uint8_t *)to, strlen(to))) {
		was = sl_walk_push(w, key);
		sl_walk_tell(w, s, "give a name of your own, as x-user",
			     "\"%s\" is a header that the gateway reads or writes", to);
		sl_walk_pop(w, was);
	}
	return to;
}

/* ---- claims to headers ---- */

void
sl_finish_claim(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	const struct claim_draft *d = draft;
	struct sl_conf_jwt_claim *c = out;

	c->line = sl_walk_line(s);
	c->claim = copy(w, d->claim);
	c->header = copy_header(w, s, "header", d->header);
}

/* ---- where tokens are ---- */

/* "bearer", "header:NAME", "cookie:NAME", "query:NAME" */
static bool
read_from(const char *text, struct sl_conf_jwt_from *ret)
{
	static const struct {
		const char *word;
		uint8_t place;
	} places[] = {{"header:", SL_JWT_FROM_HEADER},
		      {"cookie:", SL_JWT_FROM_COOKIE},
		      {"query:", SL_JWT_FROM_QUERY}};

	*ret = (struct sl_conf_jwt_from){.place = SL_JWT_FROM_BEARER};
	if (strcmp(text, "bearer") == 0)
		return true;
	for (unsigned i = 0; i < SL_ARRAY_CNT(places); i++) {
		size_t n = strlen(places[i].word);
		if (strncmp(text, places[i].word, n) != 0 || !text[n])
			continue;
		ret->place = places[i].place;
		snprintf(ret->name, sizeof(ret->name), "%s", text + n);
		for (char *c = ret->name; ret->place == SL_JWT_FROM_HEADER && *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c |= 0x20;
		return true;
	}
	return false;
}

static bool
from_fits(const struct sl_conf_jwt_from *f)
{
	if (f->place == SL_JWT_FROM_HEADER)
		return !sl_value_token(f->name) &&
		       !sl_http_known((const uint8_t *)f->name, strlen(f->name));
	return f->place != SL_JWT_FROM_COOKIE || !sl_value_token(f->name);
}

static void
finish_from(struct walk *w, const struct sl_node *s, const struct jwt_draft *d,
	    struct sl_conf_jwt *j)
{
	for (uint32_t i = 0; i < d->from_cnt; i++) {
		const char *text = d->from[i].text;
		if (!text[0]) /* was told */
			continue;
		if (read_from(text, &j->from[j->from_cnt]) && from_fits(&j->from[j->from_cnt])) {
			j->from_cnt++;
			continue;
		}
		size_t was = sl_walk_push(w, "from");
		sl_walk_tell(w, s,
			     "give \"bearer\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"; "
			     "no header that the gateway reads itself",
			     "\"%s\" is no place of tokens", text);
		sl_walk_pop(w, was);
	}
	if (d->from_cnt == 0)
		j->from[j->from_cnt++] = (struct sl_conf_jwt_from){.place = SL_JWT_FROM_BEARER};
}

/* What claims are written to is taken from the client's request first: a token that is looked for there would never be found. */
static void
not_from(struct walk *w, const struct sl_node *s, const struct sl_conf_jwt *j, const char *header)
{
	for (uint32_t i = 0; header && i < j->from_cnt; i++) {
		if (j->from[i].place != SL_JWT_FROM_HEADER || strcmp(j->from[i].name, header) != 0)
			continue;
		size_t was = sl_walk_push(w, "from");
		sl_walk_tell(w, s, "give tokens and claims headers of their own",
			     "claims are written to \"%s\", so no token can come in it", header);
		sl_walk_pop(w, was);
	}
}

static void
check_from(struct walk *w, const struct sl_node *s, const struct sl_conf_jwt *j)
{
	for (uint32_t i = 0; i < j->claim_cnt; i++)
		not_from(w, s, j, j->claims[i].header);
	not_from(w, s, j, j->payload_header);
}

/* ---- where keys are ---- */

static bool
is_loopback(const char *host)
{
	static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(hosts); i++) {
		size_t n = strlen(hosts[i]);
		if (strncmp(host, hosts[i], n) == 0 && strchr(":/", host[n]))
			return true;
	}
	return false;
}

static void
finish_jwks(struct walk *w, const struct sl_node *s, struct sl_conf_jwt *j)
{
	const char *u = j->jwks;
	bool plain = u && strncmp(u, "http://", 7) == 0;

	if (!u || strncmp(u, "file:/", 6) == 0 ||
	    (plain && is_loopback(u + 7) && !strpbrk(u, "@ \"")) ||
	    (strncmp(u, "https://", 8) == 0 && u[8] && !strpbrk(u, "@ \"")))
		return;
	size_t was = sl_walk_push(w, "jwks");
	sl_walk_tell(w, s, "give \"file:/PATH\" or \"https://HOST/PATH\"",
		     plain ? "\"%s\": whoever is on the way there could give keys of his own"
			   : "\"%s\" is no file: and no https: address",
		     u);
	sl_walk_pop(w, was);
}

void
sl_finish_jwt(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct jwt_draft *d = draft;
	struct sl_conf_jwt *j = out;

	*j = (struct sl_conf_jwt){
		.issuer = copy(w, d->issuer),
		.jwks = copy(w, d->jwks),
		.ca = copy(w, d->ca),
		.audiences = d->audiences,
		.audience_cnt = d->audience_cnt,
		.claims = d->claims,
		.claim_cnt = d->claim_cnt,
		.leeway_ms = d->leeway_ms,
		.interval_ms = d->interval_ms,
		.forward = d->forward,
		.line = sl_walk_line(s),
	};
	memcpy(j->name, d->name, sizeof(j->name));
	j->payload_header = copy_header(w, s, "payload_header", d->payload_header);
	finish_from(w, s, d, j);
	check_from(w, s, j);
	finish_jwks(w, s, j);
	free(d->from);
}

void
sl_conf_jwts_free(struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->jwt_cnt; i++) {
		struct sl_conf_jwt *j = &c->jwts[i];
		for (uint32_t k = 0; k < j->claim_cnt; k++) {
			free(j->claims[k].claim);
			free(j->claims[k].header);
		}
		free(j->claims);
		free(j->audiences);
		free(j->issuer);
		free(j->jwks);
		free(j->ca);
		free(j->payload_header);
	}
	free(c->jwts);
}

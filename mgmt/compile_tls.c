/* What objects say of TLS: sections of LISTENERS, in the order of the listeners; the part of a SERVICE behind its ring. */
#include "mgmt/compile_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "mgmt/object.h"

static void
copy_alpn(const struct sl_conf_tls *t, struct sl_img_tls_alpn *alpn, uint8_t *ret_cnt)
{
	if (t->alpn_cnt)
		memcpy(alpn, t->alpn, t->alpn_cnt * sizeof(*alpn));
	*ret_cnt = (uint8_t)t->alpn_cnt;
}

static void
speak_http(struct sl_img_tls_alpn *alpn, uint8_t *ret_cnt)
{
	snprintf(alpn[0].protocol, sizeof(alpn[0].protocol), "http/1.1");
	*ret_cnt = 1;
}

/* ---- LISTENERS ---- */

void
sl_compile_tls_sections(const struct sl_conf *c, uint32_t *end, struct sl_img_listeners *ret)
{
	uint32_t tls = 0, names = 0, sans = 0, snis = 0;

	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &c->listeners[i];
		snis += l->sni_cnt;
		tls += l->tls.given;
		names += l->tls.cert_cnt + l->tls.trust_cnt;
		sans += l->tls.san_cnt;
	}
	ret->tls_cnt = tls;
	ret->tls_off = sl_object_section(end, tls, sizeof(struct sl_img_tls_listener));
	ret->tls_name_cnt = names;
	ret->tls_name_off = sl_object_section(end, names, sizeof(struct sl_img_tls_name));
	ret->tls_san_cnt = sans;
	ret->tls_san_off = sl_object_section(end, sans, sizeof(struct sl_img_tls_san));
	ret->sni_cnt = snis;
	ret->sni_off = sl_object_section(end, snis, sizeof(struct sl_img_sni));
}

/* n of a list become the next ones of a section; where they begin. */
static uint32_t
append(void *section, uint32_t *used, const void *list, uint32_t n, size_t size)
{
	uint32_t first = n ? *used : 0;

	if (n)
		memcpy((char *)section + *used * size, list, n * size);
	*used += n;
	return first;
}

static void
put_tls(const struct sl_conf_listener *l, struct sl_img_listeners *obj, struct sl_tls_used *u)
{
	char *bytes = (char *)obj;
	const struct sl_conf_tls *t = &l->tls;
	struct sl_img_tls_listener *to = (void *)(bytes + obj->tls_off);

	to += u->tls++;
	*to = (struct sl_img_tls_listener){
		.min_version = t->min_version,
		.max_version = t->max_version,
		.client = t->client,
		.xfcc = t->xfcc,
		.suites = (uint8_t)t->suites,
		.groups = (uint8_t)t->groups,
		.tickets = t->tickets,
		.handshake_ms = t->handshake_ms,
		.cert_cnt = t->cert_cnt,
		.trust_cnt = t->trust_cnt,
		.san_cnt = t->san_cnt,
		.plaintext = t->plaintext,
	};
	if (t->alpn_given)
		copy_alpn(t, to->alpn, &to->alpn_cnt);
	else if (l->mode == SL_MODE_HTTP)
		speak_http(to->alpn, &to->alpn_cnt);
	void *names = bytes + obj->tls_name_off, *sans = bytes + obj->tls_san_off;
	to->cert_first = append(names, &u->names, t->certs, t->cert_cnt, sizeof(*t->certs));
	to->trust_first = append(names, &u->names, t->trust, t->trust_cnt, sizeof(*t->trust));
	to->san_first = append(sans, &u->sans, t->sans, t->san_cnt, sizeof(*t->sans));
}

static int
sni_order(const void *a, const void *b)
{
	return memcmp(a, b, SL_HOST_MAX);
}

static void
put_snis(const struct sl_compiling *k, uint32_t listener, struct sl_img_sni *to)
{
	const struct sl_conf_listener *l = &k->c->listeners[listener];
	const uint32_t *services = k->links.sni_service + k->links.sni_first[listener];

	for (uint32_t i = 0; i < l->sni_cnt; i++) {
		memcpy(to[i].name, l->snis[i].name, SL_HOST_MAX);
		to[i].ref = k->service_ref[k->service_place[services[i]]];
	}
	qsort(to, l->sni_cnt, sizeof(*to), sni_order);
}

void
sl_compile_listener_tls(const struct sl_compiling *k, uint32_t listener,
			struct sl_img_listeners *obj, struct sl_tls_used *u,
			struct sl_img_listener *to)
{
	const struct sl_conf_listener *l = &k->c->listeners[listener];

	if (l->tls.given) {
		put_tls(l, obj, u);
		to->tls = u->tls;
	}
	if (!l->sni_cnt)
		return;
	to->sni_first = u->snis;
	to->sni_cnt = l->sni_cnt;
	put_snis(k, listener, (struct sl_img_sni *)((char *)obj + obj->sni_off) + u->snis);
	u->snis += l->sni_cnt;
}

/* ---- SERVICE ---- */

uint32_t
sl_compile_service_tls_size(const struct sl_conf_service *s)
{
	return s->tls.given ? (uint32_t)(sizeof(struct sl_img_tls_service) +
					 s->tls.san_cnt * sizeof(struct sl_img_tls_san))
			    : 0;
}

void
sl_compile_service_tls(const struct sl_conf_service *s, bool streamed, void *bytes)
{
	const struct sl_conf_tls *t = &s->tls;
	struct sl_img_tls_service *to = bytes;

	*to = (struct sl_img_tls_service){
		.min_version = t->min_version,
		.max_version = t->max_version,
		.verify = t->verify,
		.resume = t->resume,
		.suites = (uint8_t)t->suites,
		.groups = (uint8_t)t->groups,
		.auto_sni = t->auto_sni,
		.handshake_ms = t->handshake_ms,
		.san_cnt = t->san_cnt,
	};
	memcpy(to->server_name, t->server_name, SL_HOST_MAX);
	memcpy(to->certificate, t->certificate, SL_NAME_MAX);
	for (uint32_t i = 0; i < t->trust_cnt && i < SL_ARRAY_CNT(to->trust); i++)
		memcpy(to->trust[i], t->trust[i].name, SL_NAME_MAX);
	if (t->alpn_given)
		copy_alpn(t, to->alpn, &to->alpn_cnt);
	else if (!streamed)
		speak_http(to->alpn, &to->alpn_cnt);
	if (t->san_cnt)
		memcpy(to + 1, t->sans, t->san_cnt * sizeof(*t->sans));
}

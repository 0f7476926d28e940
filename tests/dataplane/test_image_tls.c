/* What objects say of TLS: every field out of its range is named, and what passes can be followed by a view. */
#include "tests/suite.h"

#include <errno.h>

#include "tests/dataplane/tls_conf.h"

enum { LISTENERS = 1 };

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void
print_diag(const char *why, const struct sl_diag *d)
{
	char line[2048];

	printf("\n  %s\n", why);
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("    said: %s\n", line);
	}
}

/* A copy right before a page that must not be touched. */
static uint8_t *
guarded(const struct sl_object *o)
{
	uint8_t *p = guard_buf(o->size);

	memcpy(p, o->bytes, o->size);
	return p;
}

static enum sl_obj_kind
kind_of(int which)
{
	return which == LISTENERS ? SL_OBJ_LISTENERS : SL_OBJ_SERVICE;
}

static void
valid_objects_pass(void)
{
	struct sl_test_image im;

	sl_test_image_build(&tls_conf, &im);
	for (int which = LISTENERS; which <= TLS_WEB; which++) {
		const struct sl_object *o = &im.objs[which];
		uint8_t *p = guarded(o);
		struct sl_diag d = {0};
		CU_ASSERT_EQUAL(sl_image_check(p, o->size, kind_of(which), NULL, "o", &d), 0);
		if (d.cnt)
			print_diag("valid", &d);
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

static void
every_shorter_object_is_refused_without_reading_past_it(void)
{
	struct sl_test_image im;

	sl_test_image_build(&tls_conf, &im);
	for (int which = LISTENERS; which <= TLS_WEB; which++) {
		const struct sl_object *o = &im.objs[which];
		for (size_t size = sizeof(struct sl_obj_head); size < o->size; size += 8) {
			struct sl_object cut = {.bytes = o->bytes, .size = size};
			uint8_t *p = guarded(&cut);
			((struct sl_obj_head *)(void *)p)->size = (uint32_t)size;
			CU_ASSERT_EQUAL(sl_image_check(p, size, kind_of(which), NULL, "o", NULL),
					-EINVAL);
			guard_free(p, size);
		}
	}
	sl_test_image_free(&im);
}

/* ---- mistakes ---- */

/* `bytes` at `off` behind the beginning of a section or struct. */
struct mistake {
	uint8_t of; /* enum of */
	uint32_t idx;
	size_t off;
	unsigned bytes;
	uint64_t value;
	const char *says;
};

enum of { HEAD, LISTENER, TLS, NAME, SAN, SNI, SERVICE, STLS, SSAN };
#define AT(type, field)                                                                            \
	offsetof(struct sl_img_##type, field), sizeof(((struct sl_img_##type *)0)->field)

static const struct mistake mistakes[] = {
	{HEAD, 0, AT(listeners, tls_cnt), 8193, "tls.cnt: is 8193, must be in [0, 8192]"},
	{HEAD, 0, AT(listeners, tls_cnt), 1, "listeners[2].tls: is 2, must be 0 or 2, of 1"},
	{HEAD, 0, AT(listeners, tls_cnt), 3, "tls_names.off: is 1064, but the bytes before 1232"},
	{HEAD, 0, AT(listeners, tls_off), 8, "tls.off: is 8, but the bytes before"},
	{HEAD, 0, AT(listeners, tls_name_cnt), 65537, "must be in [0, 65536]"},
	{HEAD, 0, AT(listeners, tls_name_cnt), 3, "tls[1].cert: cnt is 1, but only 0 of 3"},
	{HEAD, 0, AT(listeners, tls_name_off), 0, "tls_names.off: is 0, but the bytes"},
	{HEAD, 0, AT(listeners, tls_san_cnt), 65537, "must be in [0, 65536]"},
	{HEAD, 0, AT(listeners, tls_san_cnt), 1, "tls[0].san: cnt is 2, but only 1 of 1 are left"},
	{HEAD, 0, AT(listeners, sni_cnt), 65537, "sni.cnt: is 65537, must be in [0, 65536]"},
	{HEAD, 0, AT(listeners, sni_cnt), 2, "listeners[4].sni: cnt is 1, but only 0 of 2"},
	{HEAD, 0, AT(listeners, sni_cnt), 0, "sni.off: is"},

	{LISTENER, 0, AT(listener, tls), 0, "listeners[2].tls: is 2, must be 0 or 1, of 2"},
	{LISTENER, 0, AT(listener, tls), 2, "listeners[0].tls: is 2, must be 0 or 1, of 2"},
	{LISTENER, 2, AT(listener, tls), 0, "tls.cnt: is 2, but listeners have 1"},
	{LISTENER, 2, AT(listener, tls), 0, "tls_names.cnt: is 4, but listeners have 3"},
	{LISTENER, 2, AT(listener, tls), 1, "listeners[2].tls: is 1, must be 0 or 2, of 2"},
	{LISTENER, 1, AT(listener, tls), UINT32_MAX, "listeners[1].tls: is 4294967295, must be"},
	{LISTENER, 3, AT(listener, tls), 3, "listeners[3].tls: is 3, must be 0: the mode has none"},
	{LISTENER, 0, AT(listener, mode), 1, "listeners[0].tls: is 1, must be 0: the mode has"},
	{LISTENER, 0, AT(listener, sni_cnt), 1, "listeners[0].sni_cnt: is 1, must be 0"},
	{LISTENER, 0, AT(listener, sni_first), 1, "listeners[0].sni: first is 1, must be 0"},
	{LISTENER, 0, AT(listener, authz), 2000, "listeners[0].authz: is 2000, must be in [0, "},
	{LISTENER, 3, AT(listener, mode), 5, "listeners[3].mode: is 5, must be in [1, 4]"},
	{LISTENER, 3, AT(listener, proto), 17, "must be 6 (TCP) with mode tls-passthrough"},
	{LISTENER, 3, AT(listener, sni_cnt), 0, "sni.cnt: is 3, but listeners have 1"},
	{LISTENER, 3, AT(listener, sni_cnt), 3, "listeners[4].sni: first is 2, must be 3"},
	{LISTENER, 3, AT(listener, sni_cnt), 4, "sni: cnt is 4, but only 3 of 3 are left"},
	{LISTENER, 3, AT(listener, sni_cnt), UINT32_MAX, "but only 3 of 3 are left"},
	{LISTENER, 4, AT(listener, sni_first), 1, "listeners[4].sni: first is 1, must be 2"},
	{LISTENER, 4, AT(listener, ref), 4354, "is 4354, must be in [2, 4353]"},
	{LISTENER, 0, AT(listener, ref), UINT32_MAX, "is 4294967295, must be in [2, 4353]"},

	{TLS, 0, AT(tls_listener, min_version), 11, "tls[0].min_version: is 11, must be in [12"},
	{TLS, 0, AT(tls_listener, min_version), 14, "tls[0].min_version: is 14, must be in [12"},
	{TLS, 0, AT(tls_listener, max_version), 11, "tls[0].max_version: is 11, must be in [12"},
	{TLS, 1, AT(tls_listener, max_version), 12, "tls[1].max_version: is 12, must be in [13"},
	{TLS, 0, AT(tls_listener, max_version), 14, "tls[0].max_version: is 14, must be in [12"},
	{TLS, 0, AT(tls_listener, client), 3, "tls[0].client: is 3, must be in [0, 2]"},
	{TLS, 0, AT(tls_listener, client), 0, "tls[0].trust_cnt: is 1, must be in [0, 0]"},
	{TLS, 0, AT(tls_listener, client), 0, "tls[0].san_cnt: is 2, must be in [0, 0]"},
	{TLS, 1, AT(tls_listener, client), 1, "tls[1].trust_cnt: is 0, must be in [1, 1024]"},
	{TLS, 0, AT(tls_listener, xfcc), 1, "tls[0].xfcc: is 1, must be in [0, 0]"},
	{TLS, 0, AT(tls_listener, suites), 0, "tls[0].suites: is 0, must be in [1, 7]"},
	{TLS, 0, AT(tls_listener, suites), 8, "tls[0].suites: is 8, must be in [1, 7]"},
	{TLS, 0, AT(tls_listener, groups), 0, "tls[0].groups: is 0, must be in [1, 3]"},
	{TLS, 0, AT(tls_listener, groups), 4, "tls[0].groups: is 4, must be in [1, 3]"},
	{TLS, 0, AT(tls_listener, tickets), 2, "tls[0].tickets: is 2, must be in [0, 1]"},
	{TLS, 0, AT(tls_listener, alpn_cnt), 5, "tls[0].alpn_cnt: is 5, must be in [0, 4]"},
	{TLS, 0, AT(tls_listener, alpn_cnt), 1, "tls[0].alpn[1]: must be empty"},
	{TLS, 0, AT(tls_listener, alpn_cnt), 3, "tls[0].alpn[2]: is empty"},
	{TLS, 0, AT(tls_listener, handshake_ms), 0, "handshake_ms: is 0, must be in [1, 600000]"},
	{TLS, 0, AT(tls_listener, handshake_ms), 600001, "is 600001, must be in [1, 600000]"},
	{TLS, 0, AT(tls_listener, cert_cnt), 0, "tls[0].cert_cnt: is 0, must be in [1, 1024]"},
	{TLS, 0, AT(tls_listener, cert_cnt), 1025, "cert_cnt: is 1025, must be in [1, 1024]"},
	{TLS, 0, AT(tls_listener, cert_cnt), UINT32_MAX, "but only 4 of 4 are left"},
	{TLS, 0, AT(tls_listener, cert_first), 1, "tls[0].cert: first is 1, must be 0"},
	{TLS, 0, AT(tls_listener, trust_first), 3, "tls[0].trust: first is 3, must be 2"},
	{TLS, 1, AT(tls_listener, trust_first), 1, "tls[1].trust: first is 1, must be 0"},
	{TLS, 1, AT(tls_listener, cert_first), 2, "tls[1].cert: first is 2, must be 3"},
	{TLS, 0, AT(tls_listener, san_cnt), 257, "san_cnt: is 257, must be in [0, 256]"},
	{TLS, 0, AT(tls_listener, san_cnt), 1, "tls_sans.cnt: is 2, but listeners have 1"},
	{TLS, 0, AT(tls_listener, san_first), 1, "tls[0].san: first is 1, must be 0"},
	{TLS, 0, AT(tls_listener, plaintext), 2, "tls[0].plaintext: is 2, must be in [0, 1]"},
	{TLS, 0, AT(tls_listener, alpn[0].protocol[0]), 0, "tls[0].alpn[0]: is not padded with 0"},
	{TLS, 0, AT(tls_listener, alpn[0].protocol[1]), ' ', "alpn[0]: has a byte that is not"},
	{TLS, 0, AT(tls_listener, alpn[0].protocol[31]), 'x', "alpn[0]: is not padded with 0"},
	{TLS, 0, AT(tls_listener, alpn[3].protocol[0]), 'x', "alpn[3]: must be empty"},

	{NAME, 0, AT(tls_name, name[0]), '-', "tls_names[0].name: \"-hop\" is not a name"},
	{NAME, 3, AT(tls_name, name[63]), 'x', "tls_names[3].name: \"db\" is not a name"},
	{SAN, 0, AT(tls_san, san[0]), 0, "tls_sans[0].san: is not padded with 0"},
	{SAN, 0, AT(tls_san, san[1]), '*', "has a * that is not its end"},
	{SAN, 0, AT(tls_san, san[1]), '\n', "tls_sans[0].san: has a byte that is not visible"},
	{SAN, 1, AT(tls_san, san[1]), 0xc3, "tls_sans[1].san: has a byte that is not visible"},
	{SAN, 1, AT(tls_san, san[255]), 'x', "tls_sans[1].san: is not padded with 0 to 256"},

	{SNI, 0, AT(sni, name[0]), 'b', "sni[1]: stands behind, but sorts before, record 0"},
	{SNI, 0, AT(sni, name[2]), '*', "sni[0].name: \"*.*.example\" is not"},
	{SNI, 1, AT(sni, name[0]), 'A', "sni[1].name: \"A.example\" is not a host name in lower"},
	{SNI, 1, AT(sni, name[1]), '*', "sni[1].name: \"a*example\" is not"},
	{SNI, 1, AT(sni, name[2]), '.', "sni[1].name: \"a..xample\" is not"},
	{SNI, 1, AT(sni, name[0]), '.', "sni[1].name: \"..example\" is not"},
	{SNI, 1, AT(sni, name[0]), 0, "sni[1].name: is not padded with 0"},
	{SNI, 1, AT(sni, ref), 1, "sni[1].ref: is 1, must be in [2, 4097]"},
	{SNI, 1, AT(sni, ref), 4098, "sni[1].ref: is 4098, must be in [2, 4097]"},
	{SNI, 1, AT(sni, zero), 1, "sni[1].zero: is 1, must be 0"},

	{SERVICE, TLS_WEB, AT(service, tls_off), 8, "tls.off: is 8, but the bytes before"},
	{SERVICE, TLS_WEB, AT(service, tls_off), 100000, "behind the object's end"},
	{SERVICE, TLS_WEB, AT(service, tls_off), UINT32_MAX - 7, "behind the object's end"},
	{SERVICE, TLS_WEB, AT(service, tls_off), 0, "must be 0: it is in no section"},
	{SERVICE, TLS_WEB, AT(service, forward), 1, "tls_off: is"},
	{STLS, TLS_WEB, AT(tls_service, min_version), 0, "tls.min_version: is 0, must be in [12"},
	{STLS, TLS_WEB, AT(tls_service, max_version), 14, "tls.max_version: is 14, must be in"},
	{STLS, TLS_DB, AT(tls_service, min_version), 13, "tls.max_version: is 12, must be in [13"},
	{STLS, TLS_WEB, AT(tls_service, verify), 2, "tls.verify: is 2, must be in [0, 1]"},
	{STLS, TLS_WEB, AT(tls_service, resume), 2, "tls.resume: is 2, must be in [0, 1]"},
	{STLS, TLS_WEB, AT(tls_service, suites), 0, "tls.suites: is 0, must be in [1, 7]"},
	{STLS, TLS_WEB, AT(tls_service, groups), 9, "tls.groups: is 9, must be in [1, 3]"},
	{STLS, TLS_WEB, AT(tls_service, auto_sni), 2, "tls.auto_sni: is 2, must be in [0, 1]"},
	{STLS, TLS_WEB, AT(tls_service, alpn_cnt), 0, "tls.alpn[0]: must be empty"},
	{STLS, TLS_WEB, AT(tls_service, handshake_ms), 0, "tls.handshake_ms: is 0, must be in"},
	{STLS, TLS_WEB, AT(tls_service, san_cnt), 257, "tls_sans.cnt: is 257, must be in [0, 256]"},
	{STLS, TLS_WEB, AT(tls_service, san_cnt), 3, "tls_sans.off: 3 records of 256 bytes at"},
	{STLS, TLS_WEB, AT(tls_service, san_cnt), 1, "must be 0: it is in no section"},
	{STLS, TLS_WEB, AT(tls_service, server_name[0]), 'W',
	 "\"Web.internal\" is not a host name"},
	{STLS, TLS_WEB, AT(tls_service, server_name[0]), '*',
	 "\"*eb.internal\" is not a host name"},
	{STLS, TLS_WEB, AT(tls_service, server_name[255]), 'x', "tls.server_name: is not padded"},
	{STLS, TLS_WEB, AT(tls_service, certificate[1]), ' ', "tls.certificate: \"g?\" is not"},
	{STLS, TLS_WEB, AT(tls_service, certificate[63]), 'x', "tls.certificate: \"gw\" is not"},
	{STLS, TLS_WEB, AT(tls_service, trust[0][0]), '/', "tls.trust[0]: \"/esh\" is not a name"},
	{STLS, TLS_WEB, AT(tls_service, trust[3][0]), 'x', "tls.trust[3]: must be empty"},
	{STLS, TLS_DB, AT(tls_service, verify), 1, "tls.trust[0]: is empty: verify is 1"},
	{STLS, TLS_DB, AT(tls_service, verify), 1, "tls.server_name: is empty: verify is 1"},
	{SSAN, 0, AT(tls_san, san[0]), '*', "tls_sans[0].san: \"*piffe://td"},
	{SSAN, 1, AT(tls_san, san[0]), ' ', "tls_sans[1].san: has a byte that is not visible"},
};

/* Where a mistake is put, in the bytes of its object. */
static size_t
place_of(const struct sl_test_image *im, const struct mistake *m)
{
	const struct sl_img_listeners *ls = im->objs[LISTENERS].bytes;
	uint32_t service = m->of == SSAN ? TLS_WEB : m->idx;
	const struct sl_img_service *s =
		m->of >= SERVICE ? im->objs[service].bytes : im->objs[TLS_WEB].bytes;

	switch ((enum of)m->of) {
	case HEAD:
	case SERVICE:
		return m->off;
	case LISTENER:
		return ls->listener_off + m->idx * sizeof(struct sl_img_listener) + m->off;
	case TLS:
		return ls->tls_off + m->idx * sizeof(struct sl_img_tls_listener) + m->off;
	case NAME:
		return ls->tls_name_off + m->idx * sizeof(struct sl_img_tls_name) + m->off;
	case SAN:
		return ls->tls_san_off + m->idx * sizeof(struct sl_img_tls_san) + m->off;
	case SNI:
		return ls->sni_off + m->idx * sizeof(struct sl_img_sni) + m->off;
	case STLS:
		return s->tls_off + m->off;
	case SSAN:
		break;
	}
	return s->tls_off + sizeof(struct sl_img_tls_service) +
	       m->idx * sizeof(struct sl_img_tls_san) + m->off;
}

static void
each_mistake_is_named_with_place_value_and_range(void)
{
	struct sl_test_image im;

	sl_test_image_build(&tls_conf, &im);
	for (unsigned i = 0; i < SL_ARRAY_CNT(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		uint32_t which = m->of < SERVICE ? LISTENERS : m->of == SSAN ? TLS_WEB : m->idx;
		const struct sl_object *o = &im.objs[which];
		uint8_t *p = guarded(o);
		struct sl_diag d = {0};
		memcpy(p + place_of(&im, m), &m->value, m->bytes);
		bool ok =
			sl_image_check(p, o->size, kind_of((int)which), NULL, "o", &d) == -EINVAL &&
			says(&d, m->says);
		if (!ok)
			print_diag(m->says, &d);
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

/* ---- views ---- */

static void
a_view_tells_what_each_listener_says(void)
{
	struct sl_view *v = sl_test_view(&tls_conf);
	const struct sl_img_tls_listener *t = sl_view_tls(v, TLS_L_HTTPS);
	uint32_t cnt = 7;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(t->client, SL_TLS_CLIENT_REQUIRED);
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->cert_first].name, "shop");
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->cert_first + 1].name, "wild");
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->trust_first].name, "mesh");
	CU_ASSERT_STRING_EQUAL(v->tls_sans[t->san_first + 1].san, "cl.example");
	CU_ASSERT_PTR_NULL(sl_view_tls(v, TLS_L_CLEAR));
	t = sl_view_tls(v, TLS_L_DB);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->cert_first].name, "db");
	CU_ASSERT_PTR_NULL(sl_view_tls(v, TLS_L_PASS));
	CU_ASSERT_PTR_NULL(sl_view_sni(v, TLS_L_HTTPS, &cnt));
	CU_ASSERT_EQUAL(cnt, 0);
	sl_test_view_free(v);
}

static void
server_names_lead_to_services(void)
{
	struct sl_view *v = sl_test_view(&tls_conf);
	uint32_t cnt;
	const struct sl_img_sni *sni = sl_view_sni(v, TLS_L_PASS, &cnt);

	CU_ASSERT_EQUAL_FATAL(cnt, 2);
	CU_ASSERT_STRING_EQUAL(sni[0].name, "*.b.example");
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_sni_service(&sni[0])].img->name, "web");
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_sni_service(&sni[1])].img->name, "raw");
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_service(v, TLS_L_PASS)].img->name, "raw");
	sni = sl_view_sni(v, TLS_L_NAMES, &cnt);
	CU_ASSERT_EQUAL_FATAL(cnt, 1);
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_sni_service(sni)].img->name, "db");
	CU_ASSERT_EQUAL(sl_view_service(v, TLS_L_NAMES), SL_VIEW_NONE);
	sl_test_view_free(v);
}

static void
a_view_tells_what_each_service_says(void)
{
	struct sl_view *v = sl_test_view(&tls_conf);
	const struct sl_img_tls_service *t = sl_view_service_tls(v, TLS_WEB - 2);

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_STRING_EQUAL(t->server_name, "web.internal");
	CU_ASSERT_EQUAL_FATAL(t->san_cnt, 2);
	CU_ASSERT_STRING_EQUAL(sl_view_service_sans(t)[0].san, "spiffe://td/ns/a/sa/web");
	CU_ASSERT_PTR_NULL(sl_view_service_tls(v, TLS_RAW - 2));
	t = sl_view_service_tls(v, TLS_DB - 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(t->verify, 0);
	CU_ASSERT_PTR_NULL(sl_view_service_sans(t));
	sl_test_view_free(v);
}

/* Between objects. */
static void
server_names_that_lead_nowhere_are_refused(void)
{
	static const struct {
		uint32_t sni;
		uint32_t ref;
		const char *says;
	} rows[] = {
		{1, 5, "sni[1].ref: listener \"l3\": is 5, the root has 3 services from ref 2"},
		{2, 4097, "sni[2].ref: listener \"l4\": is 4097, the root has 3 services"},
	};
	struct sl_test_image im;

	sl_test_image_build(&tls_conf, &im);
	struct sl_img_listeners *ls = sl_test_bytes(&im.objs[LISTENERS]);
	struct sl_img_sni *sni = (void *)((char *)ls + ls->sni_off);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag d = {0};
		struct sl_view *v = NULL;
		uint32_t was = sni[rows[i].sni].ref;
		sni[rows[i].sni].ref = rows[i].ref;
		sl_test_image_reseal(&im);
		CU_ASSERT_EQUAL(sl_test_image_view(&im, &tls_conf, &d, &v), -EINVAL);
		CU_ASSERT(says(&d, rows[i].says));
		sni[rows[i].sni].ref = was;
		sl_diag_fini(&d);
	}
	sl_test_image_free(&im);
}

static void
server_names_lead_to_services_of_connections_alone(void)
{
	static const struct sl_test_service services[] = {
		{.name = "nat", .endpoints = tls_eps, .endpoint_cnt = 1}, {0}};
	static const struct sl_test_listener listeners[] = {
		{.addr = "203.0.113.12:443", .snis = {{"c.example", "nat"}}}, {0}};
	const struct sl_test_conf conf = {
		.addresses = tls_addresses, .services = services, .listeners = listeners};
	struct sl_test_image im;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL(sl_test_image_view(&im, &conf, &d, &v), -EINVAL);
	CU_ASSERT(
		says(&d, "has mode \"tls-passthrough\", but service \"nat\" has forward \"nat\""));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* ---- text ---- */

static void
dump_shows_every_record(void)
{
	static const struct {
		int which;
		const char *shows;
	} rows[] = {
		{LISTENERS, "      tls versions 1.2 1.3 suites aes128-gcm aes256-gcm "
			    "chacha20-poly1305 groups x25519 "
			    "p-256 alpn http/1.1 x client required forwarded sanitize tickets 1 "
			    "handshake_ms 10000\n"
			    "      certificates shop wild\n      trust mesh\n      name "
			    "spiffe://td/ns/prod/*\n"
			    "      name cl.example\n"},
		{LISTENERS, "versions 1.3 1.3 suites aes128-gcm aes256-gcm chacha20-poly1305 "
			    "groups p-256 client none"},
		{LISTENERS,
		 "      server_name *.b.example ref 4\n      server_name a.example ref 3\n"},
		{LISTENERS,
		 "mode tls-passthrough ref none slot 4 incarnation 1 max_connections 0\n"},
		{TLS_WEB,
		 "alpn http/1.1 verify 1 resume 1 handshake_ms 5000\n  server_name web.internal "
		 "or the request's host\n  certificate gw\n  trust mesh\n  trust old-mesh\n"
		 "  name spiffe://td/ns/a/sa/web\n  name web.internal\n"},
		{TLS_DB,
		 "tls versions 1.2 1.2 suites chacha20-poly1305 groups x25519 p-256 verify 0 "
		 "resume 0 handshake_ms 750\n"},
	};
	struct sl_test_image im;

	sl_test_image_build(&tls_conf, &im);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_object *o = &im.objs[rows[i].which];
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);
		sl_image_dump(o->bytes, o->size, f);
		fclose(f);
		bool ok = strstr(text, rows[i].shows) != NULL;
		if (!ok)
			printf("\n  no \"%s\" in\n%s\n", rows[i].shows, text);
		CU_ASSERT(ok);
		free(text);
	}
	sl_test_image_free(&im);
}

SL_SUITE("image_tls", SL_TEST(valid_objects_pass),
	 SL_TEST(every_shorter_object_is_refused_without_reading_past_it),
	 SL_TEST(each_mistake_is_named_with_place_value_and_range),
	 SL_TEST(a_view_tells_what_each_listener_says), SL_TEST(server_names_lead_to_services),
	 SL_TEST(a_view_tells_what_each_service_says),
	 SL_TEST(server_names_that_lead_nowhere_are_refused),
	 SL_TEST(server_names_lead_to_services_of_connections_alone),
	 SL_TEST(dump_shows_every_record))

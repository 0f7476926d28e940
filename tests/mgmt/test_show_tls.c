/* What answers say of TLS in the table (api.h). */
#include "mgmt/show.h"

#include "files.h"
#include "tests/suite.h"

static struct sl_conf *
golden_conf(void)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;
	size_t len;
	char *text = file_read(SL_GOLDEN "/tls.conf", &len);

	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("tls.conf", text, len, &diag, &c), 0);
	sl_diag_fini(&diag);
	free(text);
	return c;
}

static bool
is(json_t *got, const char *wants)
{
	json_t *want = json_loads(wants, JSON_DECODE_ANY, NULL);
	bool same = want && json_equal(got, want);

	if (!same) {
		char *text = json_dumps(got, JSON_ENCODE_ANY);
		printf("\n  %s", text);
		free(text);
	}
	json_decref(got);
	json_decref(want);
	return same;
}

static void
listeners_say_what_the_file_says(void)
{
	struct sl_conf *conf = golden_conf();
	const struct sl_conf_listener *l = conf->listeners;

	CU_ASSERT(is(
		sl_show_listener_tls(&l[2]),
		"{\"min_version\":\"1.3\",\"max_version\":\"1.3\",\"suites\":[\"aes128-gcm\","
		"\"aes256-gcm\",\"chacha20-poly1305\"],\"groups\":[\"x25519\",\"p-256\"],\"alpn\":"
		"null,"
		"\"trust\":[\"mesh\",\"old-mesh\"],\"handshake_timeout_ms\":3000,\"certificates\":["
		"\"shop\",\"wild\"],\"client\":\"optional\",\"client_names\":["
		"\"spiffe://td.example/ns/prod/"
		"*\",\"cl.example\"],\"plaintext\":\"refuse\",\"tickets\":false,"
		"\"forwarded_client_cert\":\"append\"}"));
	CU_ASSERT(is(sl_show_listener_tls(&l[3]), "null"));
	CU_ASSERT(is(sl_show_server_names(&l[3]), "[]"));
	CU_ASSERT(is(sl_show_listener_tls(&l[1]), "null"));
	CU_ASSERT(is(sl_show_server_names(&l[1]),
		     "[{\"name\":\"b.example\",\"service\":\"raw\"},{\"name\":\"*.a.example\","
		     "\"service\":"
		     "\"raw\"},{\"name\":\"a.example\",\"service\":\"raw\"}]"));
	sl_conf_free(conf);
}

static void
services_say_what_the_file_says(void)
{
	struct sl_conf *conf = golden_conf();

	CU_ASSERT(is(
		sl_show_service_tls(&conf->services[1]),
		"{\"min_version\":\"1.2\",\"max_version\":\"1.2\",\"suites\":[\"chacha20-"
		"poly1305\"],"
		"\"groups\":[\"p-256\"],\"alpn\":null,\"trust\":[],\"handshake_timeout_ms\":750,"
		"\"verify\":false,\"resume\":false,\"server_name\":\"\",\"auto_server_name\":false,"
		"\"names\":[],\"certificate\":\"\"}"));
	CU_ASSERT(is(sl_show_service_tls(&conf->services[2]), "null"));
	json_t *o = sl_show_service_tls(&conf->services[0]);
	CU_ASSERT(is(json_incref(json_object_get(o, "names")),
		     "[\"spiffe://td.example/ns/a/sa/web\",\"web.internal\"]"));
	CU_ASSERT(is(json_incref(json_object_get(o, "auto_server_name")), "true"));
	CU_ASSERT(is(json_incref(json_object_get(o, "certificate")), "\"gw\""));
	json_decref(o);
	o = sl_show_service_tls(&conf->services[3]);
	CU_ASSERT(is(json_incref(json_object_get(o, "alpn")), "[\"dot\"]"));
	json_decref(o);
	sl_conf_free(conf);
}

SL_SUITE("show_tls", SL_TEST(listeners_say_what_the_file_says),
	 SL_TEST(services_say_what_the_file_says))

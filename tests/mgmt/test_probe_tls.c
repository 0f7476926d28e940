/* probe_tls: the prober against TLS servers of OpenSSL's, each in a thread of its own, on loopback. */
#include "mgmt/health.h"
#include "sluice/secrets.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define DEADLINE_MS 8000

/* ---- the server ---- */

struct tls_server {
	int listener;
	uint16_t port;
	pthread_t thread;
	SSL_CTX *ctx;
	const char *answer; /* NULL: shakes hands and is silent */
	bool mute;          /* accepts and says nothing at all */
	bool garbage;       /* answers no TLS */
	unsigned tickets;   /* further ones before the answer */
	_Atomic bool stop;
	_Atomic unsigned shaken;
	char sni[256], client[256]; /* of the last handshake */
	char alpn[32];
};

static void
talk(struct tls_server *s, int fd)
{
	char buf[2048];
	SSL *ssl = SSL_new(s->ctx);
	const unsigned char *alpn;
	unsigned len;

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		X509 *x = SSL_get1_peer_certificate(ssl);
		const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		snprintf(s->sni, sizeof(s->sni), "%s", sni ? sni : "");
		s->client[0] = 0;
		if (x)
			X509_NAME_oneline(X509_get_subject_name(x), s->client, sizeof(s->client));
		X509_free(x);
		SSL_get0_alpn_selected(ssl, &alpn, &len);
		snprintf(s->alpn, sizeof(s->alpn), "%.*s", (int)len, len ? (const char *)alpn : "");
		s->shaken++;
		bool asked = SSL_read(ssl, buf, sizeof(buf)) > 0;
		int cork = s->tickets > 0; /* many at once */
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
		for (unsigned i = 0; asked && i < s->tickets; i++)
			if (SSL_new_session_ticket(ssl) != 1 || SSL_do_handshake(ssl) != 1)
				break;
		if (asked && s->answer)
			SSL_write(ssl, s->answer, (int)strlen(s->answer));
		cork = 0;
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
		if (s->answer)
			SSL_shutdown(ssl);
		else
			while (SSL_read(ssl, buf, sizeof(buf)) > 0)
				;
	}
	ERR_clear_error();
	SSL_free(ssl);
}

static void *
serve(void *arg)
{
	struct tls_server *s = arg;
	char buf[256];

	for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0 && !s->stop; close(fd)) {
		struct timeval tv = {.tv_sec = 5};
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		if (s->garbage)
			(void)!write(fd, "SSH-2.0-OpenSSH_9.2\r\n", 21);
		else if (!s->mute)
			talk(s, fd);
		if (s->garbage || s->mute)
			while (read(fd, buf, sizeof(buf)) > 0)
				;
	}
	return NULL;
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
	unsigned len, void *arg)
{
	(void)ssl;
	(void)arg;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len,
				     (const unsigned char *)"\x8http/1.1", 9, in,
				     len) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_NOACK;
}

static void
server_up(struct tls_server *s, const struct tls_cert *cert, const struct tls_cert *client_ca)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	s->ctx = SSL_CTX_new(TLS_server_method());
	CU_ASSERT_FATAL(SSL_CTX_use_certificate(s->ctx, cert->x) == 1);
	CU_ASSERT_FATAL(SSL_CTX_use_PrivateKey(s->ctx, cert->key) == 1);
	SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, NULL);
	if (client_ca) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), client_ca->x);
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(bind(s->listener, (struct sockaddr *)&in, len) == 0);
	CU_ASSERT_FATAL(listen(s->listener, 64) == 0);
	getsockname(s->listener, (struct sockaddr *)&in, &len);
	s->port = ntohs(in.sin_port);
	CU_ASSERT_FATAL(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void
server_down(struct tls_server *s)
{
	s->stop = true;
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	SSL_CTX_free(s->ctx);
}

/* ---- the store ---- */

static struct {
	struct tls_cert *ca, *other, *pair; /* bundles "mesh" and "other"; the pair "gw" */
	uint64_t version;
	bool swapped; /* "mesh" is the other CA */
	unsigned keys_read;
} store;

static uint64_t
store_version(void *ctx)
{
	(void)ctx;
	return store.version;
}

static int
store_read(void *ctx, uint32_t kind, const char *name, void **ret, size_t *ret_bytes)
{
	(void)ctx;
	if (kind == SL_SECRET_PAIR && strcmp(name, "gw") == 0) {
		store.keys_read++;
		*ret = tls_secret_pair(store.pair, ret_bytes);
		return 0;
	}
	bool mesh = strcmp(name, "mesh") == 0;
	if (kind != SL_SECRET_TRUST || (!mesh && strcmp(name, "other")))
		return -ENOENT;
	struct tls_cert *ca = mesh == store.swapped ? store.other : store.ca;
	*ret = tls_secret_trust(&ca, 1, ret_bytes);
	return 0;
}

static void
store_release(void *secret, size_t bytes)
{
	(void)bytes;
	free(secret);
}

static const struct sl_probe_secrets from = {store_version, store_read, store_release, NULL};

/* ---- the prober ---- */

static struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	bool late;
	struct sl_prober *p;
} rig;

static void
on_late(uv_timer_t *t)
{
	(void)t;
	rig.late = true;
}

static void
rig_up(void)
{
	memset(&rig, 0, sizeof(rig));
	uv_loop_init(&rig.loop);
	uv_timer_init(&rig.loop, &rig.guard);
	rig.p = sl_prober_create(&rig.loop, 7, NULL, NULL);
	signal(SIGPIPE, SIG_IGN);
	memset(&store, 0, sizeof(store));
	store.ca = tls_cert_ca("mesh");
	store.other = tls_cert_ca("other");
	store.pair = tls_cert_make(&(struct tls_cert_spec){.cn = "the-gateway",
							   .issuer = store.ca,
							   .sans = {TLS_SAN("DNS:gw.example")},
							   .usage = "clientAuth"});
}

static void
rig_down(void)
{
	sl_prober_destroy(rig.p);
	uv_close((uv_handle_t *)&rig.guard, NULL);
	uv_run(&rig.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&rig.loop), 0);
	tls_cert_free(store.ca);
	tls_cert_free(store.other);
	tls_cert_free(store.pair);
}

#define AWAIT(cond)                                                                                \
	do {                                                                                       \
		rig.late = false;                                                                  \
		uv_update_time(&rig.loop);                                                         \
		uv_timer_start(&rig.guard, on_late, DEADLINE_MS, 0);                               \
		while (!(cond) && !rig.late)                                                       \
			uv_run(&rig.loop, UV_RUN_ONCE);                                            \
		uv_timer_stop(&rig.guard);                                                         \
		CU_ASSERT(cond);                                                                   \
	} while (0)

static struct sl_probe_status
status(void)
{
	struct sl_probe_status st = {0};

	CU_ASSERT_EQUAL_FATAL(sl_prober_find(rig.p, 0, 1, &st), 0);
	return st;
}

static struct sl_prober_stats
stats(void)
{
	struct sl_prober_stats st;

	sl_prober_stats(rig.p, &st);
	return st;
}

struct settings {
	const char *trust, *server_name, *name, *certificate;
	bool anybody;
	unsigned max;
};

static struct sl_probe_tls *
tls_of(const struct settings *s, bool http)
{
	struct sl_img_tls_name trust = {0};
	struct sl_img_tls_san san = {0};
	struct sl_conf_tls t = {.min_version = SL_TLS_1_2,
				.max_version = s->max ? (uint8_t)s->max : SL_TLS_1_3,
				.suites = SL_TLS_SUITE_AES128 | SL_TLS_SUITE_AES256,
				.groups = SL_TLS_GROUPS_ALL,
				.verify = !s->anybody,
				.given = true,
				.trust = &trust,
				.sans = &san};

	snprintf(trust.name, sizeof(trust.name), "%s", s->trust ? s->trust : "mesh");
	snprintf(san.san, sizeof(san.san), "%s", s->name ? s->name : "");
	t.trust_cnt = !s->anybody;
	t.san_cnt = s->name != NULL;
	snprintf(t.server_name, sizeof(t.server_name), "%s", s->server_name ? s->server_name : "");
	snprintf(t.certificate, sizeof(t.certificate), "%s", s->certificate ? s->certificate : "");
	return sl_probe_tls_create(&t, http, &from);
}

static void
probe(const struct tls_server *s, const struct settings *set, const struct sl_health_conf *c)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct sl_probe_tls *tls = tls_of(set, c->type == SL_HEALTH_HTTP);
	struct sl_probe_target t = {.service = "web",
				    .endpoint = "web-1",
				    .incarnation = 1,
				    .addr = sl_addr_from_v4(loopback),
				    .port = s->port,
				    .conf = c,
				    .tls = tls};

	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	sl_probe_tls_drop(tls);
}

static const struct sl_health_conf over_http = {.type = SL_HEALTH_HTTP,
						.interval_ms = 1000,
						.timeout_ms = 1000,
						.rise = 1,
						.fall = 1,
						.path = "/ready",
						.expect = {{200, 200}},
						.expect_cnt = 1};
static const struct sl_health_conf over_tcp = {
	.type = SL_HEALTH_TCP, .interval_ms = 1000, .timeout_ms = 1000, .rise = 1, .fall = 1};
static const struct sl_health_conf in_a_hurry = {.type = SL_HEALTH_HTTP,
						 .interval_ms = 200,
						 .timeout_ms = 100,
						 .rise = 1,
						 .fall = 1,
						 .path = "/",
						 .expect = {{200, 200}},
						 .expect_cnt = 1};

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void
certificates_are_verified_as_the_service_says(void)
{
	const struct row {
		struct settings set;
		const struct sl_health_conf *conf;
		bool up;
		const char *text;
	} rows[] = {
		{{.server_name = "web.internal"}, &over_http, true, "ok, HTTP status 200"},
		{{.server_name = "web.internal"}, &over_tcp, true, "ok, TLS 1.3"},
		{{.server_name = "web.internal", .max = SL_TLS_1_2},
		 &over_tcp,
		 true,
		 "ok, TLS 1.2"},
		{{.name = "spiffe://td/ns/a/sa/web"}, &over_http, true, "ok"},
		{{.name = "spiffe://td/ns/a/*"}, &over_http, true, "ok"},
		{{.name = "spiffe://td/ns/b/*"}, &over_http, false, "none of the names"},
		{{.server_name = "db.internal"}, &over_http, false, "none of the names"},
		{{.server_name = "web.internal", .trust = "other"},
		 &over_http,
		 false,
		 "does not verify"},
		{{.anybody = true}, &over_http, true, "ok"},
	};
	struct tls_server s = {.answer = OK_ANSWER};

	rig_up();
	struct tls_cert *web = tls_cert_make(&(struct tls_cert_spec){
		.issuer = store.ca,
		.sans = {TLS_SAN("DNS:web.internal"), TLS_SAN("URI:spiffe://td/ns/a/sa/web")}});
	server_up(&s, web, NULL);
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		sl_prober_set(rig.p, NULL, 0, NULL);
		probe(&s, &rows[i].set, rows[i].conf);
		AWAIT(status().state != SL_PROBE_CHECKING);
		if ((status().state == SL_PROBE_HEALTHY) != rows[i].up ||
		    !strstr(status().last_text, rows[i].text)) {
			printf("row %zu: %s, %s\n", i, sl_probe_state_name(status().state),
			       status().last_text);
			CU_FAIL("row");
		}
		if (rows[i].set.server_name && rows[i].up)
			CU_ASSERT_STRING_EQUAL(s.sni, "web.internal");
		if (rows[i].conf == &over_http && rows[i].up)
			CU_ASSERT_STRING_EQUAL(s.alpn, "http/1.1");
	}
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
an_expired_certificate_is_no_good(void)
{
	struct tls_server s = {.answer = OK_ANSWER};

	rig_up();
	struct tls_cert *web =
		tls_cert_make(&(struct tls_cert_spec){.issuer = store.ca,
						      .sans = {TLS_SAN("DNS:web.internal")},
						      .from_s = -7200,
						      .until_s = -3600});
	server_up(&s, web, NULL);
	probe(&s, &(struct settings){.server_name = "web.internal"}, &over_tcp);
	AWAIT(status().state != SL_PROBE_CHECKING);
	CU_ASSERT_EQUAL(status().state, SL_PROBE_UNHEALTHY);
	CU_ASSERT_PTR_NOT_NULL(strstr(status().last_text, "expired"));
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
our_certificate_is_shown_to_who_asks(void)
{
	struct tls_server s = {.answer = OK_ANSWER};

	rig_up();
	struct tls_cert *web = tls_cert_leaf(store.ca, TLS_CERT_EC, "web.internal");
	server_up(&s, web, store.ca);
	probe(&s, &(struct settings){.server_name = "web.internal"}, &over_http);
	AWAIT(status().state != SL_PROBE_CHECKING);
	CU_ASSERT_EQUAL(status().state, SL_PROBE_UNHEALTHY); /* it shows none */
	CU_ASSERT_EQUAL(store.keys_read, 0);
	probe(&s, &(struct settings){.server_name = "web.internal", .certificate = "gw"},
	      &over_http);
	AWAIT(status().state == SL_PROBE_HEALTHY);
	CU_ASSERT_PTR_NOT_NULL(strstr(s.client, "the-gateway"));
	CU_ASSERT(store.keys_read >= 1);
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
another_bundle_counts_from_the_next_probe_on(void)
{
	struct tls_server s = {.answer = OK_ANSWER};
	struct sl_health_conf c = over_http;

	c.interval_ms = 100;
	c.timeout_ms = 100;
	rig_up();
	struct tls_cert *web = tls_cert_leaf(store.ca, TLS_CERT_EC, "web.internal");
	server_up(&s, web, NULL);
	probe(&s, &(struct settings){.server_name = "web.internal"}, &c);
	AWAIT(status().state == SL_PROBE_HEALTHY);
	store.swapped = true;
	store.version++;
	AWAIT(status().state == SL_PROBE_UNHEALTHY);
	CU_ASSERT_PTR_NOT_NULL(strstr(status().last_text, "does not verify"));
	store.swapped = false;
	store.version++;
	AWAIT(status().state == SL_PROBE_HEALTHY);
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
a_bundle_that_is_not_there_is_not_held_against_the_endpoint(void)
{
	struct tls_server s = {.answer = OK_ANSWER};
	struct sl_health_conf c = over_http;

	c.interval_ms = 50;
	c.timeout_ms = 50;
	rig_up();
	struct tls_cert *web = tls_cert_leaf(store.ca, TLS_CERT_EC, "web.internal");
	server_up(&s, web, NULL);
	probe(&s, &(struct settings){.server_name = "web.internal", .trust = "gone"}, &c);
	AWAIT(stats().local_errors >= 2);
	CU_ASSERT_EQUAL(status().state, SL_PROBE_CHECKING);
	CU_ASSERT_STRING_EQUAL(status().last_text, "not probed: the bundle gone cannot be read");
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
servers_that_speak_no_tls_or_stop_in_the_middle_are_down(void)
{
	struct {
		struct tls_server s;
		const char *text;
		const struct sl_health_conf *conf; /* in a hurry: who is waited for in vain */
	} rows[] = {
		{{.garbage = true}, "TLS: ", &over_http},
		{{.mute = true}, "TLS's handshake did not end within 100 ms", &in_a_hurry},
		{{.answer = NULL}, "connected, but no answer within 100 ms", &in_a_hurry},
		{{.answer = "HTTP/1.1 200 OK\r\n"}, "closed in the middle", &over_http},
		{{.answer = OK_ANSWER, .tickets = 5000}, "TLS: messages without end", &over_http},
	};

	rig_up();
	struct tls_cert *web = tls_cert_leaf(store.ca, TLS_CERT_EC, "web.internal");
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		server_up(&rows[i].s, web, NULL);
		probe(&rows[i].s, &(struct settings){.server_name = "web.internal"}, rows[i].conf);
		AWAIT(status().state == SL_PROBE_UNHEALTHY);
		/* a busy machine may not come to it in time at once */
		AWAIT(strstr(status().last_text, rows[i].text) != NULL);
		if (!strstr(status().last_text, rows[i].text)) {
			printf("row %zu: %s\n", i, status().last_text);
			CU_FAIL("row");
		}
		sl_prober_set(rig.p, NULL, 0, NULL);
		server_down(&rows[i].s);
	}
	tls_cert_free(web);
	rig_down();
}

static void
tickets_before_the_answer_are_passed_over(void)
{
	struct tls_server s = {.answer = OK_ANSWER, .tickets = 10};

	rig_up();
	struct tls_cert *web = tls_cert_leaf(store.ca, TLS_CERT_EC, "web.internal");
	server_up(&s, web, NULL);
	probe(&s, &(struct settings){.server_name = "web.internal"}, &over_http);
	AWAIT(status().state == SL_PROBE_HEALTHY);
	sl_prober_set(rig.p, NULL, 0, NULL);
	server_down(&s);
	tls_cert_free(web);
	rig_down();
}

static void
other_settings_make_other_probes(void)
{
	rig_up();
	struct settings plain = {.server_name = "a"}, other = {.server_name = "b"},
			named = {.server_name = "a", .name = "c"};
	struct sl_probe_tls *a = tls_of(&plain, true), *b = tls_of(&plain, true),
			    *c = tls_of(&other, true), *d = tls_of(&named, true),
			    *e = tls_of(&plain, false);
	CU_ASSERT(sl_probe_tls_same(a, b));
	CU_ASSERT(!sl_probe_tls_same(a, c));
	CU_ASSERT(!sl_probe_tls_same(a, d));
	CU_ASSERT(!sl_probe_tls_same(a, e));
	CU_ASSERT(!sl_probe_tls_same(a, NULL) && sl_probe_tls_same(NULL, NULL));
	sl_probe_tls_drop(a);
	sl_probe_tls_drop(b);
	sl_probe_tls_drop(c);
	sl_probe_tls_drop(d);
	sl_probe_tls_drop(e);
	rig_down();
}

SL_SUITE("probe_tls", SL_TEST(certificates_are_verified_as_the_service_says),
	 SL_TEST(an_expired_certificate_is_no_good), SL_TEST(our_certificate_is_shown_to_who_asks),
	 SL_TEST(another_bundle_counts_from_the_next_probe_on),
	 SL_TEST(a_bundle_that_is_not_there_is_not_held_against_the_endpoint),
	 SL_TEST(servers_that_speak_no_tls_or_stop_in_the_middle_are_down),
	 SL_TEST(tickets_before_the_answer_are_passed_over),
	 SL_TEST(other_settings_make_other_probes))

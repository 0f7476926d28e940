/* Who a peer is, and who may not be: clients at a listener, endpoints of a service. */
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

struct peers {
	struct hs_scene s;
	struct sl_hs_engine *e;
};

static void
peers_init(struct peers *p)
{
	hs_init(&p->s);
	p->s.listener[0].img.client = SL_TLS_CLIENT_REQUIRED;
	p->s.listener[0].trust[0] = "mesh";
	hs_publish(&p->s);
	p->e = hs_engine(&p->s);
}

static void
peers_fini(struct peers *p)
{
	sl_hs_destroy(p->e);
	hs_fini(&p->s);
}

/* A plain client with this certificate comes to listener 0. */
static struct hs_end *
comes(struct peers *p, const struct tls_cert *c, int version)
{
	struct hs_plain *cl = hs_plain_client(NULL);
	struct hs_end *v = hs_server(&p->s, p->e, 0);

	SSL_CTX_set_min_proto_version(cl->ctx, version);
	SSL_CTX_set_max_proto_version(cl->ctx, version);
	SSL_CTX_set_security_level(cl->ctx, 0);
	if (c) {
		X509 *chain[SL_SECRET_CHAIN];
		unsigned cnt = tls_cert_chain(c, chain);
		hs_plain_cert(cl, c);
		for (unsigned i = 1; i < cnt; i++)
			SSL_CTX_add1_chain_cert(cl->ctx, chain[i]);
	}
	hs_plain_begin(cl, false, "web.example");
	hs_plain_talk(cl, v);
	hs_plain_free(cl);
	return v;
}

static const int both[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void
expect(struct peers *p, const struct tls_cert *c, unsigned fail, int line)
{
	for (unsigned i = 0; i < 2; i++) {
		struct hs_end *v = comes(p, c, both[i]);
		bool as_said = fail ? v->job.state == SL_HS_FAILED && v->job.fail == fail
				    : v->job.state == SL_HS_DONE;
		if (!as_said)
			fprintf(stderr, "line %d: state %u fail %u alert %u\n", line, v->job.state,
				v->job.fail, v->job.alert);
		CU_ASSERT(as_said);
		CU_ASSERT(!fail || v->job.alert);
		CU_ASSERT(!fail || v->job.out_len);
		hs_end_free(v);
	}
}
#define EXPECT(p, c, fail) expect(p, c, fail, __LINE__)

/* Of a certificate that is made for this alone. */
static void
expect_spec(struct peers *p, struct tls_cert_spec spec, unsigned fail, int line)
{
	if (!spec.issuer)
		spec.issuer = p->s.ca;
	struct tls_cert *c = tls_cert_make(&spec);
	expect(p, c, fail, line);
	tls_cert_free(c);
}
#define EXPECT_SPEC(p, fail, ...)                                                                  \
	expect_spec(p, (struct tls_cert_spec){__VA_ARGS__}, fail, __LINE__)

#define ALT_URI .sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/x")}

static void
a_good_client_is_told_with_all_its_names(void)
{
	struct peers p;
	peers_init(&p);
	for (unsigned i = 0; i < 2; i++) {
		struct hs_end *v = comes(&p, p.s.client, both[i]);
		CU_ASSERT_EQUAL(v->job.state, SL_HS_DONE);
		const struct sl_tls_peer *t = hs_peer(v);
		CU_ASSERT_PTR_NOT_NULL_FATAL(t);
		CU_ASSERT_EQUAL(t->verified, 1);
		CU_ASSERT_EQUAL(t->bytes, v->job.done.peer_len);
		CU_ASSERT(hs_text_is(sl_tls_peer_uri(t), t->uri_len, "spiffe://td/ns/a/sa/client"));
		CU_ASSERT(hs_text_is(sl_tls_peer_subject(t), t->subject_len, "CN=client"));
		CU_ASSERT(hs_text_is(sl_tls_peer_dns(t), t->dns_len, "cl.example"));
		CU_ASSERT(hs_text_is(sl_tls_peer_sni(t), t->sni_len, "web.example"));
		CU_ASSERT(hs_text_is(sl_tls_peer_cn(t), t->cn_len, "client"));
		CU_ASSERT(llabs(t->not_after - (p.s.now_s + 30 * 86400)) < 60);
		uint8_t hash[32];
		X509_digest(p.s.client->x, EVP_sha256(), hash, NULL);
		CU_ASSERT_EQUAL(memcmp(hash, t->hash, 32), 0);
		hs_end_free(v);
	}
	peers_fini(&p);
}

static void
clients_that_cannot_be_believed_are_refused(void)
{
	struct peers p;
	peers_init(&p);
	EXPECT(&p, NULL, SL_TLS_CNT_FAIL_NO_CERT);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_EXPIRED, .from_s = -7200, .until_s = -60, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_EXPIRED, .from_s = 3600, .until_s = 7200, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_USAGE, .usage = "serverAuth", ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_USAGE, .usage = "codeSigning", ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_ISSUER, .issuer = p.s.other_ca, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .key = TLS_CERT_RSA_1024, ALT_URI);
	EXPECT_SPEC(&p, 0, .usage = "clientAuth", ALT_URI);
	EXPECT_SPEC(&p, 0, .usage = "", .cn = "no names");
	struct tls_cert *self = tls_cert_make(&(struct tls_cert_spec){.cn = "self"});
	EXPECT(&p, self, SL_TLS_CNT_FAIL_ISSUER);
	tls_cert_free(self);
	/* one who calls himself as the authority is called */
	struct tls_cert *fake = tls_cert_ca("mesh ca");
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_ISSUER, .issuer = fake, ALT_URI);
	tls_cert_free(fake);
	peers_fini(&p);
}

static void
dates_go_by_the_jobs_time(void)
{
	struct peers p;
	peers_init(&p);
	p.s.now_s += 31 * 86400;
	EXPECT(&p, p.s.client, SL_TLS_CNT_FAIL_EXPIRED);
	p.s.now_s -= 62 * 86400;
	EXPECT(&p, p.s.client, SL_TLS_CNT_FAIL_EXPIRED);
	peers_fini(&p);
}

static void
names_that_can_be_read_otherwise_are_refused(void)
{
	struct peers p;
	peers_init(&p);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("DNS:cl.example\0.evil.example")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/x\0y")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("EMAIL:a@b\0c")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("DNS:cl.example\r\nx: y")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/\x7fx")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("DNS:c\xc3\xa4.example")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("DNS:")});
	EXPECT_SPEC(&p, 0, .sans = {TLS_SAN("IP:10.0.0.1"), TLS_SAN("DNS:cl.example")});
	peers_fini(&p);
}

static void
a_spiffe_id_stands_alone_and_is_well_formed(void)
{
	struct peers p;
	peers_init(&p);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT,
		    .sans = {TLS_SAN("URI:spiffe://td/a"), TLS_SAN("URI:spiffe://td/b")});
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT,
		    .sans = {TLS_SAN("URI:https://a.example/"), TLS_SAN("URI:spiffe://td/b")});
	EXPECT_SPEC(&p, 0,
		    .sans = {TLS_SAN("URI:https://a.example/"), TLS_SAN("URI:https://b.example")});
	EXPECT_SPEC(&p, 0, .sans = {TLS_SAN("URI:spiffe://td.example/ns/a-b/sa/C_1.x")});
	static const char *const bad[] = {
		"URI:spiffe://td/ns/../sa/x", "URI:spiffe://td/./x",   "URI:spiffe://td/a//b",
		"URI:spiffe://td/a/",         "URI:spiffe:///a",       "URI:spiffe://",
		"URI:spiffe://td/a%2fb",      "URI:spiffe://td/a?b=c", "URI:spiffe://TD/a",
		"URI:SPIFFE://td/a",          "URI:spiffe:td/a",       "URI:spiffe://u@td/a"};
	for (unsigned i = 0; i < SL_ARRAY_CNT(bad); i++)
		EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .sans = {{bad[i], 0}});
	peers_fini(&p);
}

static void
allowed_names_are_exact_or_begin_so(void)
{
	static const struct {
		const char *allowed[3], *san;
		bool ok;
	} rows[] = {
		{{"spiffe://td/ns/a/sa/b"}, "URI:spiffe://td/ns/a/sa/b", true},
		{{"spiffe://td/ns/a/sa/b"}, "URI:spiffe://td/ns/a/sa/bc", false},
		{{"spiffe://td/ns/a/sa/b"}, "URI:spiffe://td/ns/a/sa/B", false},
		{{"spiffe://td/ns/a/sa/b"}, "DNS:spiffe://td/ns/a/sa/b", false},
		{{"spiffe://td/ns/prod/*"}, "URI:spiffe://td/ns/prod/sa/x", true},
		{{"spiffe://td/ns/prod/*"}, "URI:spiffe://td/ns/production/sa/x", false},
		{{"spiffe://td/ns/prod/*"}, "URI:spiffe://td/ns/prod", false},
		{{"spiffe://td/*", "x.example"}, "DNS:X.Example", true},
		{{"cl.example"}, "DNS:cl.example", true},
		{{"cl.example"}, "DNS:other.example", false},
		{{"cl.example"}, "DNS:*.example", false}, /* a client has the name, or has not */
		{{"cl.example"}, "URI:cl.example", false},
		{{"cl.*"}, "DNS:cl.example", true},
		{{"cl.example"}, "DNS:xcl.example", false},
	};
	struct peers p;
	peers_init(&p);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		memcpy(p.s.listener[0].sans, rows[i].allowed, sizeof(rows[i].allowed));
		hs_publish(&p.s);
		expect_spec(&p,
			    (struct tls_cert_spec){.cn = "cl.example", .sans = {{rows[i].san, 0}}},
			    rows[i].ok ? 0 : SL_TLS_CNT_FAIL_NAME, 1000 + (int)i);
	}
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_NAME, .cn = "cl.example");
	peers_fini(&p);
}

static void
chains_are_followed_and_bundles_are_what_is_trusted(void)
{
	struct peers p;
	peers_init(&p);
	struct tls_cert *mid =
		tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = p.s.ca});
	struct tls_cert *no_ca =
		tls_cert_make(&(struct tls_cert_spec){.cn = "no ca", .issuer = p.s.ca});
	struct tls_cert *old = tls_cert_make(&(struct tls_cert_spec){
		.cn = "old", .ca = true, .issuer = p.s.ca, .from_s = -7200, .until_s = -60});
	EXPECT_SPEC(&p, 0, .issuer = mid, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_CERT, .issuer = no_ca, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_EXPIRED, .issuer = old, ALT_URI);
	/* an intermediate authority in the bundle is enough, and then its root is not trusted */
	hs_trust(&p.s, "mesh", mid);
	hs_publish(&p.s);
	EXPECT_SPEC(&p, 0, .issuer = mid, ALT_URI);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_ISSUER, ALT_URI);
	tls_cert_free(mid);
	tls_cert_free(no_ca);
	tls_cert_free(old);
	peers_fini(&p);
}

static void
optional_is_none_or_a_good_one(void)
{
	struct peers p;
	peers_init(&p);
	p.s.listener[0].img.client = SL_TLS_CLIENT_OPTIONAL;
	hs_publish(&p.s);
	EXPECT(&p, NULL, 0);
	EXPECT(&p, p.s.client, 0);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_EXPIRED, .from_s = -7200, .until_s = -60);
	EXPECT_SPEC(&p, SL_TLS_CNT_FAIL_ISSUER, .issuer = p.s.other_ca);
	struct hs_end *v = comes(&p, NULL, TLS1_3_VERSION);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hs_peer(v));
	CU_ASSERT_EQUAL(hs_peer(v)->verified, 0);
	CU_ASSERT_EQUAL(hs_peer(v)->uri_len, 0);
	hs_end_free(v);
	p.s.listener[0].img.client = SL_TLS_CLIENT_NONE;
	p.s.listener[0].trust[0] = NULL;
	hs_publish(&p.s);
	v = comes(&p, p.s.client, TLS1_3_VERSION);
	CU_ASSERT_EQUAL(v->job.state, SL_HS_DONE);
	CU_ASSERT_EQUAL(hs_peer(v)->verified, 0);
	CU_ASSERT_EQUAL(hs_peer(v)->uri_len, 0);
	hs_end_free(v);
	peers_fini(&p);
}

static void
what_is_too_long_is_left_out_whole(void)
{
	struct peers p;
	peers_init(&p);
	char uri[2300] = "URI:https://a.example/", cn[65], dns[TLS_SAN_MAX][256];
	memset(uri + strlen(uri), 'x', 2100);
	memset(cn, 'c', 64);
	cn[64] = 0;
	struct tls_cert_spec spec = {.issuer = p.s.ca, .cn = cn, .sans = {{uri, 0}}};
	for (unsigned i = 1; i < TLS_SAN_MAX; i++) {
		snprintf(dns[i], sizeof(dns[i]), "DNS:%060u.%060u.%060u.example", i, i, i);
		spec.sans[i].text = dns[i];
	}
	struct tls_cert *c = tls_cert_make(&spec);
	struct hs_end *v = comes(&p, c, TLS1_3_VERSION);
	CU_ASSERT_EQUAL(v->job.state, SL_HS_DONE);
	const struct sl_tls_peer *t = hs_peer(v);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(t->uri_len, 0);
	CU_ASSERT_EQUAL(t->dns_len, 0);
	CU_ASSERT(hs_text_is(sl_tls_peer_cn(t), t->cn_len, cn));
	CU_ASSERT(hs_text_is(sl_tls_peer_sni(t), t->sni_len, "web.example"));
	CU_ASSERT_EQUAL(t->bytes, sizeof(*t) + t->subject_len + t->sni_len + t->cn_len);
	hs_end_free(v);
	tls_cert_free(c);
	peers_fini(&p);
}

/* ---- endpoints ---- */

static void
expect_endpoint_at(struct peers *p, struct tls_cert *c, unsigned fail, int line)
{
	for (unsigned i = 0; i < 2; i++) {
		struct hs_plain *v = hs_plain_server(c);
		struct hs_end *cl = hs_client(&p->s, p->e, 0);
		SSL_CTX_set_max_proto_version(v->ctx, both[i]);
		SSL_CTX_set_security_level(v->ctx, 0);
		hs_plain_begin(v, true, NULL);
		while ((!cl->over && hs_go(cl, &v->in)) || v->in.len)
			hs_plain_go(v, &cl->in);
		bool as_said = fail ? cl->job.state == SL_HS_FAILED && cl->job.fail == fail
				    : cl->job.state == SL_HS_DONE;
		if (!as_said)
			fprintf(stderr, "line %d: state %u fail %u alert %u\n", line, cl->job.state,
				cl->job.fail, cl->job.alert);
		CU_ASSERT(as_said);
		if (!fail && as_said)
			CU_ASSERT_EQUAL(hs_peer(cl)->verified, p->s.service[0].img.verify);
		hs_end_free(cl);
		hs_plain_free(v);
	}
}

static void
expect_endpoint(struct peers *p, struct tls_cert_spec spec, unsigned fail, int line)
{
	if (!spec.issuer)
		spec.issuer = p->s.ca;
	struct tls_cert *c = tls_cert_make(&spec);
	expect_endpoint_at(p, c, fail, line);
	tls_cert_free(c);
}
#define EXPECT_ENDPOINT(p, fail, ...)                                                              \
	expect_endpoint(p, (struct tls_cert_spec){__VA_ARGS__}, fail, __LINE__)
#define WEB .sans = {TLS_SAN("DNS:web.example")}

static void
endpoints_that_cannot_be_believed_are_refused(void)
{
	struct peers p;
	peers_init(&p);
	EXPECT_ENDPOINT(&p, 0, WEB);
	EXPECT_ENDPOINT(&p, 0, .key = TLS_CERT_RSA, WEB);
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("DNS:w*.example")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("DNS:other.example")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .cn = "web.example");
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_CERT, .sans = {TLS_SAN("DNS:web.example\0.evil")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_EXPIRED, .from_s = -7200, .until_s = -60, WEB);
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_EXPIRED, .from_s = 60, .until_s = 7200, WEB);
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_USAGE, .usage = "clientAuth", WEB);
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_ISSUER, .issuer = p.s.other_ca, WEB);
	peers_fini(&p);
}

static void
endpoints_have_one_of_the_names(void)
{
	struct peers p;
	peers_init(&p);
	p.s.service[0].sans[0] = "spiffe://td/ns/a/sa/web";
	p.s.service[0].sans[1] = "spiffe://td/ns/b/*";
	p.s.service[0].sans[2] = "api.mesh.example";
	hs_publish(&p.s);
	EXPECT_ENDPOINT(&p, 0, .sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/web")});
	EXPECT_ENDPOINT(&p, 0, .sans = {TLS_SAN("URI:spiffe://td/ns/b/sa/x")});
	EXPECT_ENDPOINT(&p, 0, .sans = {TLS_SAN("DNS:*.mesh.example")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/we")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("DNS:mesh.example")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("DNS:*.api.mesh.example")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, WEB);
	peers_fini(&p);
}

static void
an_address_is_a_name_too(void)
{
	struct peers p;
	peers_init(&p);
	snprintf(p.s.service[0].img.server_name, SL_HOST_MAX, "10.0.0.1");
	hs_publish(&p.s);
	EXPECT_ENDPOINT(&p, 0, .sans = {TLS_SAN("IP:10.0.0.1")});
	EXPECT_ENDPOINT(&p, SL_TLS_CNT_FAIL_NAME, .sans = {TLS_SAN("IP:10.0.0.2")});
	peers_fini(&p);
}

static void
without_verification_whoever_answers_is_believed(void)
{
	struct peers p;
	peers_init(&p);
	p.s.service[0].img.verify = 0;
	p.s.service[0].trust[0] = NULL;
	hs_publish(&p.s);
	EXPECT_ENDPOINT(&p, 0, .issuer = p.s.other_ca, .until_s = -60, .from_s = -90);
	peers_fini(&p);
}

SL_SUITE("handshake_peer", SL_TEST(a_good_client_is_told_with_all_its_names),
	 SL_TEST(clients_that_cannot_be_believed_are_refused), SL_TEST(dates_go_by_the_jobs_time),
	 SL_TEST(names_that_can_be_read_otherwise_are_refused),
	 SL_TEST(a_spiffe_id_stands_alone_and_is_well_formed),
	 SL_TEST(allowed_names_are_exact_or_begin_so),
	 SL_TEST(chains_are_followed_and_bundles_are_what_is_trusted),
	 SL_TEST(optional_is_none_or_a_good_one), SL_TEST(what_is_too_long_is_left_out_whole),
	 SL_TEST(endpoints_that_cannot_be_believed_are_refused),
	 SL_TEST(endpoints_have_one_of_the_names), SL_TEST(an_address_is_a_name_too),
	 SL_TEST(without_verification_whoever_answers_is_believed))

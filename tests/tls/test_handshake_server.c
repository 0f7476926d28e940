/* Server names, protocols, tickets: what a client asked for, and what it gets. */
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

/* ---- server names ---- */

struct names {
	struct hs_scene s;
	struct sl_hs_engine *e;
	struct tls_cert *wild, *shop;
};

static void
names_init(struct names *n)
{
	hs_init(&n->s);
	n->wild = tls_cert_leaf(n->s.ca, TLS_CERT_EC, "*.wild.example");
	n->shop = tls_cert_leaf(n->s.ca, TLS_CERT_RSA, "shop.wild.example");
	hs_pair(&n->s, "wild", n->wild);
	hs_pair(&n->s, "shop", n->shop);
	n->s.listener[0].certs[2] = "wild";
	n->s.listener[0].certs[3] = "shop";
	hs_publish(&n->s);
	n->e = hs_engine(&n->s);
}

static void
names_fini(struct names *n)
{
	sl_hs_destroy(n->e);
	tls_cert_free(n->wild);
	tls_cert_free(n->shop);
	hs_fini(&n->s);
}

/* Which certificate a client of this server name is shown; NULL: none. */
static const struct tls_cert *
shown(struct names *n, const char *host, const char *want_sni)
{
	struct tls_cert *all[] = {n->s.web_ec, n->s.web_rsa, n->wild, n->shop};
	struct hs_plain *p = hs_plain_client(host);
	struct hs_end *v = hs_server(&n->s, n->e, 0);
	const struct tls_cert *ret = NULL;

	hs_plain_talk(p, v);
	X509 *x = SSL_get0_peer_certificate(p->ssl);
	for (unsigned i = 0; x && i < SL_ARRAY_CNT(all); i++)
		if (!X509_cmp(x, all[i]->x))
			ret = all[i];
	if (v->job.state == SL_HS_DONE && *want_sni) {
		const struct sl_tls_peer *peer = hs_peer(v);
		CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
		CU_ASSERT(hs_text_is(sl_tls_peer_sni(peer), peer->sni_len, want_sni));
		CU_ASSERT_EQUAL(peer->verified, 0);
	} else if (v->job.state == SL_HS_DONE) {
		CU_ASSERT_PTR_NULL(hs_peer(v));
	}
	hs_end_free(v);
	hs_plain_free(p);
	return ret;
}

static void
the_certificate_goes_by_exact_name_then_wildcard_then_default(void)
{
	struct names n;
	names_init(&n);
	CU_ASSERT_PTR_EQUAL(shown(&n, "web.example", "web.example"), n.s.web_ec);
	CU_ASSERT_PTR_EQUAL(shown(&n, "a.wild.example", "a.wild.example"), n.wild);
	CU_ASSERT_PTR_EQUAL(shown(&n, "shop.wild.example", "shop.wild.example"), n.shop);
	CU_ASSERT_PTR_EQUAL(shown(&n, "a.b.wild.example", "a.b.wild.example"), n.s.web_ec);
	CU_ASSERT_PTR_EQUAL(shown(&n, "unknown.example", "unknown.example"), n.s.web_ec);
	CU_ASSERT_PTR_EQUAL(shown(&n, NULL, ""), n.s.web_ec);
	names_fini(&n);
}

static void
case_and_a_dot_at_the_end_make_no_difference(void)
{
	struct names n;
	names_init(&n);
	CU_ASSERT_PTR_EQUAL(shown(&n, "A.Wild.EXAMPLE", "a.wild.example"), n.wild);
	CU_ASSERT_PTR_EQUAL(shown(&n, "shop.wild.example.", "shop.wild.example"), n.shop);
	names_fini(&n);
}

static void
names_that_are_none_are_refused(void)
{
	static const char *const bad[] = {"a..example",  ".example",      ".",
					  "a b.example", "a\x01.example", "a/b",
					  "\xc3\xa4.de", "*.wild.example"};
	struct names n;
	names_init(&n);
	for (unsigned i = 0; i < SL_ARRAY_CNT(bad); i++) {
		struct hs_plain *p = hs_plain_client(bad[i]);
		struct hs_end *v = hs_server(&n.s, n.e, 0);
		hs_plain_talk(p, v);
		CU_ASSERT_EQUAL(v->job.state, SL_HS_FAILED);
		CU_ASSERT_EQUAL(v->job.fail, SL_TLS_CNT_FAIL_PROTOCOL);
		CU_ASSERT_EQUAL(v->job.alert, SSL_AD_ILLEGAL_PARAMETER);
		hs_end_free(v);
		hs_plain_free(p);
	}
	names_fini(&n);
}

/* Each byte of the extension's lengths and type is another one; a NUL in the name. */
static void
a_malformed_extension_is_refused(void)
{
	struct names n;
	names_init(&n);
	for (int off = -5; off <= 0; off++) {
		struct hs_plain *p = hs_plain_client("web.example");
		struct hs_end *v = hs_server(&n.s, n.e, 0);
		hs_plain_go(p, &v->in);
		uint8_t *name = memmem(v->in.data, v->in.len, "web.example", 11);
		CU_ASSERT_PTR_NOT_NULL_FATAL(name);
		if (off == 0)
			name[3] = 0;
		else
			name[off] ^= 1;
		hs_go(v, NULL);
		CU_ASSERT_EQUAL(v->job.state, SL_HS_FAILED);
		CU_ASSERT_EQUAL(v->job.fail, SL_TLS_CNT_FAIL_PROTOCOL);
		CU_ASSERT_EQUAL(v->job.alert, off ? SSL_AD_DECODE_ERROR : SSL_AD_ILLEGAL_PARAMETER);
		hs_end_free(v);
		hs_plain_free(p);
	}
	names_fini(&n);
}

/* The client's first share is of a group that the listener has not. */
static void
a_second_hello_asks_for_the_same_name(void)
{
	for (unsigned other = 0; other < 2; other++) {
		struct names n;
		names_init(&n);
		n.s.listener[0].img.groups = SL_TLS_GROUP_P256;
		hs_publish(&n.s);
		struct hs_plain *p = hs_plain_client("a.wild.example");
		struct hs_end *v = hs_server(&n.s, n.e, 0);
		SSL_set1_groups_list(p->ssl, "X25519:P-256");
		hs_plain_go(p, &v->in);
		hs_go(v, &p->in);
		CU_ASSERT_EQUAL(v->job.state, SL_HS_MORE);
		hs_plain_go(p, &v->in);
		uint8_t *name = memmem(v->in.data, v->in.len, "a.wild.example", 14);
		CU_ASSERT_PTR_NOT_NULL_FATAL(name);
		name[0] = other ? 'b' : 'A';
		hs_go(v, &p->in);
		CU_ASSERT_EQUAL(v->job.state, other ? SL_HS_FAILED : SL_HS_MORE);
		if (other)
			CU_ASSERT_EQUAL(v->job.alert, SSL_AD_ILLEGAL_PARAMETER);
		hs_end_free(v);
		hs_plain_free(p);
		names_fini(&n);
	}
}

static void
of_two_kinds_of_key_the_client_gets_what_it_can_verify(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned i = 0; i < 2; i++) {
		struct hs_plain *p = hs_plain_client("web.example");
		struct hs_end *v = hs_server(&s, e, 0);
		SSL_set1_sigalgs_list(p->ssl, i ? "rsa_pss_rsae_sha256" : "ECDSA+SHA256");
		hs_plain_talk(p, v);
		CU_ASSERT_EQUAL(v->job.state, SL_HS_DONE);
		CU_ASSERT_EQUAL(
			X509_cmp(SSL_get0_peer_certificate(p->ssl), i ? s.web_rsa->x : s.web_ec->x),
			0);
		hs_end_free(v);
		hs_plain_free(p);
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
a_certificate_that_was_replaced_is_shown_at_once(void)
{
	struct names n;
	names_init(&n);
	CU_ASSERT_PTR_EQUAL(shown(&n, "a.wild.example", "a.wild.example"), n.wild);
	struct tls_cert *old = n.wild;
	n.wild = tls_cert_leaf(n.s.ca, TLS_CERT_EC, "*.wild.example");
	hs_pair(&n.s, "wild", n.wild);
	hs_publish(&n.s);
	CU_ASSERT_PTR_EQUAL(shown(&n, "a.wild.example", "a.wild.example"), n.wild);
	CU_ASSERT_PTR_EQUAL(shown(&n, "web.example", "web.example"), n.s.web_ec);
	n.s.listener[0].certs[2] = NULL;
	hs_publish(&n.s);
	CU_ASSERT_PTR_EQUAL(shown(&n, "a.wild.example", "a.wild.example"), n.s.web_ec);
	tls_cert_free(old);
	names_fini(&n);
}

/* ---- protocols ---- */

static void
alpn_is_ours_first(void)
{
	static const struct {
		const char *ours[2], *theirs, *want;
		bool fails;
	} rows[] = {
		{{"h2", "http/1.1"}, "\x08http/1.1\x02h2", "h2", false},
		{{"h2", "http/1.1"}, "\x08http/1.1", "http/1.1", false},
		{{"http/1.1"}, "\x02h2\x08http/1.1", "http/1.1", false},
		{{"http/1.1"}, "\x02h2\x03mqt", "", true},
		{{"http/1.1"}, "\x08http/1.0", "", true},
		{{"http/1.1"}, "", "", false}, /* none offered */
		{{NULL}, "\x02h2", "", false}, /* none of ours */
	};
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_img_tls_listener *img = &s.listener[0].img;
		img->alpn_cnt = 0;
		memset(img->alpn, 0, sizeof(img->alpn));
		for (unsigned a = 0; a < 2 && rows[i].ours[a]; a++)
			snprintf(img->alpn[img->alpn_cnt++].protocol, SL_ALPN_MAX, "%s",
				 rows[i].ours[a]);
		hs_publish(&s);
		struct hs_plain *p = hs_plain_client("web.example");
		struct hs_end *v = hs_server(&s, e, 0);
		if (*rows[i].theirs)
			SSL_set_alpn_protos(p->ssl, (const uint8_t *)rows[i].theirs,
					    (unsigned)strlen(rows[i].theirs));
		hs_plain_talk(p, v);
		CU_ASSERT_EQUAL(v->job.state, rows[i].fails ? SL_HS_FAILED : SL_HS_DONE);
		if (rows[i].fails) {
			CU_ASSERT_EQUAL(v->job.fail, SL_TLS_CNT_FAIL_ALPN);
			CU_ASSERT_EQUAL(v->job.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
		} else {
			CU_ASSERT_STRING_EQUAL(v->job.done.alpn, rows[i].want);
		}
		hs_end_free(v);
		hs_plain_free(p);
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* ---- tickets ---- */

struct again {
	struct hs_scene s;
	struct sl_hs_engine *e;
	int version;
	bool client_cert;
};

static void
again_init(struct again *a, int version)
{
	static const unsigned seeds[] = {1, 2};
	hs_init(&a->s);
	hs_tickets(&a->s, seeds, 2);
	a->s.listener[1] = a->s.listener[0];
	hs_publish(&a->s);
	a->e = hs_engine(&a->s);
	a->version = version;
	a->client_cert = false;
}

static void
again_fini(struct again *a)
{
	sl_hs_destroy(a->e);
	hs_fini(&a->s);
}

struct met {
	bool done, resumed;
	uint32_t fail;
	SSL_SESSION *session; /* NULL: none that may be resumed */
	char uri[64];
	bool verified;
};

/* A connection of a plain client: with a session, or without one. */
static struct met
meet(struct again *a, unsigned listener, const char *host, SSL_SESSION *with)
{
	struct hs_plain *p = hs_plain_client(NULL);
	struct hs_end *v = hs_server(&a->s, a->e, listener);
	struct met m = {0};
	char byte;

	SSL_CTX_set_min_proto_version(p->ctx, a->version);
	SSL_CTX_set_max_proto_version(p->ctx, a->version);
	if (a->client_cert)
		hs_plain_cert(p, a->s.client);
	hs_plain_begin(p, false, host);
	if (with)
		CU_ASSERT_EQUAL(SSL_set_session(p->ssl, with), 1);
	hs_plain_talk(p, v);
	m.done = v->job.state == SL_HS_DONE;
	m.fail = v->job.fail;
	if (m.done) {
		m.resumed = v->job.done.resumed;
		CU_ASSERT_EQUAL(SSL_session_reused(p->ssl), m.resumed);
		SSL_read(p->ssl, &byte, 1);
		m.session = SSL_get1_session(p->ssl);
		if (!SSL_SESSION_is_resumable(m.session)) {
			SSL_SESSION_free(m.session);
			m.session = NULL;
		}
		const struct sl_tls_peer *peer = hs_peer(v);
		m.verified = peer && peer->verified;
		if (peer)
			snprintf(m.uri, sizeof(m.uri), "%.*s", peer->uri_len,
				 sl_tls_peer_uri(peer));
		SSL_set_shutdown(p->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	}
	hs_end_free(v);
	hs_plain_free(p);
	return m;
}

static const int both[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static bool
resumed(struct again *a, unsigned listener, const char *host, SSL_SESSION *with)
{
	struct met m = meet(a, listener, host, with);
	CU_ASSERT(m.done);
	SSL_SESSION_free(m.session);
	return m.resumed;
}

static void
a_ticket_is_for_its_listener_and_server_name(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_init(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT(m.done && !m.resumed);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		CU_ASSERT(resumed(&a, 0, "web.example", m.session));
		CU_ASSERT(resumed(&a, 0, "WEB.example.", m.session));
		CU_ASSERT_FALSE(resumed(&a, 1, "web.example", m.session));
		CU_ASSERT_FALSE(resumed(&a, 0, "other.example", m.session));
		CU_ASSERT_FALSE(resumed(&a, 0, NULL, m.session));
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
a_ticket_outlives_its_certificate_and_another_engine_reads_it(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_init(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		struct tls_cert *again = tls_cert_leaf(a.s.ca, TLS_CERT_EC, "web.example");
		hs_pair(&a.s, "web_ec", again);
		hs_publish(&a.s);
		CU_ASSERT(resumed(&a, 0, "web.example", m.session));
		sl_hs_destroy(a.e);
		a.e = hs_engine(&a.s);
		CU_ASSERT(resumed(&a, 0, "web.example", m.session));
		SSL_SESSION_free(m.session);
		tls_cert_free(again);
		again_fini(&a);
	}
}

static void
ticket_keys_rotate(void)
{
	static const unsigned next[] = {3, 1}, last[] = {3};
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_init(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		hs_tickets(&a.s, next, 2);
		hs_publish(&a.s);
		struct met renewed = meet(&a, 0, "web.example", m.session);
		CU_ASSERT(renewed.resumed);
		CU_ASSERT_PTR_NOT_NULL_FATAL(renewed.session);
		hs_tickets(&a.s, last, 1);
		hs_publish(&a.s);
		CU_ASSERT_FALSE(resumed(&a, 0, "web.example", m.session));
		CU_ASSERT(resumed(&a, 0, "web.example", renewed.session));
		SSL_SESSION_free(m.session);
		SSL_SESSION_free(renewed.session);
		again_fini(&a);
	}
}

static void
without_tickets_nothing_is_resumed(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_init(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		a.s.listener[0].img.tickets = 0;
		hs_publish(&a.s);
		CU_ASSERT_FALSE(resumed(&a, 0, "web.example", m.session));
		struct met none = meet(&a, 0, "web.example", NULL);
		CU_ASSERT(none.done);
		CU_ASSERT_PTR_NULL(none.session);
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
a_changed_policy_ends_what_tickets_say(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_init(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		a.s.listener[0].img.client = SL_TLS_CLIENT_OPTIONAL;
		a.s.listener[0].trust[0] = "mesh";
		hs_publish(&a.s);
		CU_ASSERT_FALSE(resumed(&a, 0, "web.example", m.session));
		SSL_SESSION_free(m.session);
		m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT(resumed(&a, 0, "web.example", m.session));
		a.s.listener[0].img.client = SL_TLS_CLIENT_REQUIRED;
		hs_publish(&a.s);
		struct met no = meet(&a, 0, "web.example", m.session);
		CU_ASSERT_FALSE(no.done);
		CU_ASSERT_EQUAL(no.fail, SL_TLS_CNT_FAIL_NO_CERT);
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
again_with_client(struct again *a, int version)
{
	again_init(a, version);
	a->client_cert = true;
	a->s.listener[0].img.client = SL_TLS_CLIENT_REQUIRED;
	a->s.listener[0].trust[0] = "mesh";
	hs_publish(&a->s);
}

static void
a_resumed_client_is_who_it_was(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_with_client(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		CU_ASSERT(m.verified);
		struct met n = meet(&a, 0, "web.example", m.session);
		CU_ASSERT(n.resumed && n.verified);
		CU_ASSERT_STRING_EQUAL(n.uri, "spiffe://td/ns/a/sa/client");
		SSL_SESSION_free(n.session);
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
a_changed_bundle_or_other_names_end_what_tickets_say(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_with_client(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		a.s.listener[0].trust[1] = "other";
		hs_publish(&a.s);
		CU_ASSERT_FALSE(resumed(&a, 0, "web.example", m.session));
		a.s.listener[0].trust[1] = NULL;
		a.s.listener[0].sans[0] = "spiffe://td/ns/b/*";
		hs_publish(&a.s);
		struct met no = meet(&a, 0, "web.example", m.session);
		CU_ASSERT(!no.done && no.fail == SL_TLS_CNT_FAIL_NAME);
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
a_client_that_expired_since_is_not_resumed(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct again a;
		again_with_client(&a, both[i]);
		struct met m = meet(&a, 0, "web.example", NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m.session);
		a.s.now_s += 31 * 86400;
		struct met no = meet(&a, 0, "web.example", m.session);
		CU_ASSERT_FALSE(no.done);
		CU_ASSERT_EQUAL(no.fail, SL_TLS_CNT_FAIL_EXPIRED);
		SSL_SESSION_free(m.session);
		again_fini(&a);
	}
}

static void
a_changed_ticket_is_no_ticket(void)
{
	struct again a;
	again_init(&a, TLS1_3_VERSION);
	for (unsigned at = 0; at < 200; at += 7) {
		struct met m = meet(&a, 0, "web.example", NULL);
		uint8_t der[4096], *p = der;
		int len = i2d_SSL_SESSION(m.session, &p);
		const uint8_t *ticket;
		size_t n;
		SSL_SESSION_get0_ticket(m.session, &ticket, &n);
		CU_ASSERT_FATAL(len > 0 && len < (int)sizeof(der) && at < n);
		uint8_t *in = memmem(der, (size_t)len, ticket, n);
		CU_ASSERT_PTR_NOT_NULL_FATAL(in);
		in[at] ^= 4;
		const uint8_t *from = der;
		SSL_SESSION *changed = d2i_SSL_SESSION(NULL, &from, len);
		CU_ASSERT_FALSE(resumed(&a, 0, "web.example", changed));
		SSL_SESSION_free(changed);
		SSL_SESSION_free(m.session);
	}
	again_fini(&a);
}

SL_SUITE("handshake_server", SL_TEST(the_certificate_goes_by_exact_name_then_wildcard_then_default),
	 SL_TEST(case_and_a_dot_at_the_end_make_no_difference),
	 SL_TEST(names_that_are_none_are_refused), SL_TEST(a_malformed_extension_is_refused),
	 SL_TEST(a_second_hello_asks_for_the_same_name),
	 SL_TEST(of_two_kinds_of_key_the_client_gets_what_it_can_verify),
	 SL_TEST(a_certificate_that_was_replaced_is_shown_at_once), SL_TEST(alpn_is_ours_first),
	 SL_TEST(a_ticket_is_for_its_listener_and_server_name),
	 SL_TEST(a_ticket_outlives_its_certificate_and_another_engine_reads_it),
	 SL_TEST(ticket_keys_rotate), SL_TEST(without_tickets_nothing_is_resumed),
	 SL_TEST(a_changed_policy_ends_what_tickets_say), SL_TEST(a_resumed_client_is_who_it_was),
	 SL_TEST(a_changed_bundle_or_other_names_end_what_tickets_say),
	 SL_TEST(a_client_that_expired_since_is_not_resumed),
	 SL_TEST(a_changed_ticket_is_no_ticket))

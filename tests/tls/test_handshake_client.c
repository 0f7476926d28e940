/* Towards endpoints: what is sent, what is kept, and when it is used again. */
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

struct ends {
	struct hs_scene s;
	struct sl_hs_engine *server, *client;
};

static void
ends_init(struct ends *x, uint8_t version, uint32_t sessions)
{
	hs_init(&x->s);
	x->s.service[0].img.min_version = x->s.service[0].img.max_version = version;
	x->s.service[1] = x->s.service[0];
	hs_publish(&x->s);
	x->server = hs_engine(&x->s);
	x->client = hs_engine_with(&x->s, (struct sl_hs_conf){.sessions = sessions});
}

static void
ends_fini(struct ends *x)
{
	sl_hs_destroy(x->client);
	sl_hs_destroy(x->server);
	hs_fini(&x->s);
}

struct met {
	bool done, resumed;
	unsigned kept;
	uint32_t fail;
	char uri[64], sni[64], alpn[SL_ALPN_MAX];
	bool verified;
};

static struct met
meet_as(struct ends *x, unsigned service, uint32_t endpoint, const char *host)
{
	struct hs_end *c = hs_client(&x->s, x->client, service),
		      *v = hs_server(&x->s, x->server, 0);
	struct met m = {0};

	c->endpoint = endpoint;
	c->host = host;
	hs_talk(c, v);
	m.done = c->job.state == SL_HS_DONE;
	m.fail = c->job.fail;
	if (m.done) {
		const struct sl_tls_peer *p = hs_peer(c), *q = hs_peer(v);
		m.resumed = c->job.done.resumed;
		CU_ASSERT_EQUAL(m.resumed, v->job.done.resumed);
		m.verified = p && p->verified;
		m.kept = c->job.tickets;
		strcpy(m.alpn, c->job.done.alpn);
		if (q)
			snprintf(m.sni, sizeof(m.sni), "%.*s", q->sni_len, sl_tls_peer_sni(q));
		if (q)
			snprintf(m.uri, sizeof(m.uri), "%.*s", q->uri_len, sl_tls_peer_uri(q));
		CU_ASSERT_EQUAL(c->job.done.keep, c->job.hs != NULL);
		m.kept += hs_feed_tickets(c);
	}
	hs_end_free(c);
	hs_end_free(v);
	return m;
}

static struct met
meet(struct ends *x)
{
	return meet_as(x, 0, 0, NULL);
}

static const uint8_t both[] = {SL_TLS_1_2, SL_TLS_1_3};

static void
sessions_are_kept_and_used_again(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		struct met m = meet(&x);
		CU_ASSERT(m.done && !m.resumed && m.verified);
		CU_ASSERT_EQUAL(m.kept, 1);
		for (unsigned j = 0; j < 4; j++) {
			m = meet(&x);
			CU_ASSERT(m.done && m.resumed && m.verified);
			CU_ASSERT_EQUAL(m.kept, both[i] == SL_TLS_1_3 ? 1 : 0);
		}
		ends_fini(&x);
	}
}

static void
a_ticket_of_13_is_used_once(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	struct met m = meet(&x);
	CU_ASSERT_EQUAL(m.kept, 1);
	for (unsigned i = 0; i < 2; i++) {
		/* what the server gives behind it is not listened to */
		struct hs_end *c = hs_client(&x.s, x.client, 0), *v = hs_server(&x.s, x.server, 0);
		hs_talk(c, v);
		CU_ASSERT_EQUAL(c->job.done.resumed, i == 0);
		hs_end_free(c);
		hs_end_free(v);
	}
	ends_fini(&x);
}

static void
two_at_a_time_do_not_use_the_same_ticket(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	CU_ASSERT_EQUAL(meet(&x).kept, 1);
	struct hs_end *c[2], *v[2];
	for (unsigned i = 0; i < 2; i++) {
		c[i] = hs_client(&x.s, x.client, 0);
		v[i] = hs_server(&x.s, x.server, 0);
		hs_go(c[i], &v[i]->in);
	}
	for (unsigned i = 0; i < 2; i++) {
		hs_talk(c[i], v[i]);
		CU_ASSERT_EQUAL(c[i]->job.state, SL_HS_DONE);
		CU_ASSERT_EQUAL(c[i]->job.done.resumed, i == 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		hs_end_free(c[i]);
		hs_end_free(v[i]);
	}
	ends_fini(&x);
}

static void
sessions_are_of_one_service_endpoint_and_server_name(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		x.s.service[0].img.auto_sni = 1;
		x.s.service[0].sans[0] = "web.example";
		hs_publish(&x.s);
		CU_ASSERT_FALSE(meet_as(&x, 0, 1, "web.example").resumed);
		CU_ASSERT_FALSE(meet_as(&x, 1, 1, NULL).resumed);
		CU_ASSERT_FALSE(meet_as(&x, 0, 2, "web.example").resumed);
		CU_ASSERT_FALSE(meet_as(&x, 0, 1, "api.example").resumed);
		CU_ASSERT(meet_as(&x, 0, 1, "WEB.example").resumed);
		CU_ASSERT(meet_as(&x, 1, 1, NULL).resumed);
		ends_fini(&x);
	}
}

static void
a_changed_policy_ends_sessions(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		meet(&x);
		x.s.service[0].trust[1] = "other";
		hs_publish(&x.s);
		CU_ASSERT_FALSE(meet(&x).resumed);
		CU_ASSERT(meet(&x).resumed);
		snprintf(x.s.service[0].img.certificate, SL_NAME_MAX, "client");
		hs_publish(&x.s);
		CU_ASSERT_FALSE(meet(&x).resumed);
		x.s.service[0].sans[0] = "other.example";
		hs_publish(&x.s);
		struct met m = meet(&x);
		CU_ASSERT(!m.done && m.fail == SL_TLS_CNT_FAIL_NAME);
		ends_fini(&x);
	}
}

static void
an_endpoint_that_expired_since_is_not_resumed(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		CU_ASSERT(meet(&x).done);
		x.s.now_s += 31 * 86400;
		struct met m = meet(&x);
		CU_ASSERT_FALSE(m.done);
		CU_ASSERT_EQUAL(m.fail, SL_TLS_CNT_FAIL_EXPIRED);
		ends_fini(&x);
	}
}

static void
without_resume_nothing_is_kept(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		x.s.service[0].img.resume = 0;
		hs_publish(&x.s);
		struct met m = meet(&x);
		CU_ASSERT(m.done && m.kept == 0);
		CU_ASSERT_FALSE(meet(&x).resumed);
		ends_fini(&x);
	}
}

static void
kept_sessions_are_bounded_and_the_oldest_give_way(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 4);
		for (uint32_t endpoint = 0; endpoint < 8; endpoint++)
			meet_as(&x, 0, endpoint, NULL);
		CU_ASSERT_FALSE(meet_as(&x, 0, 0, NULL).resumed);
		CU_ASSERT(meet_as(&x, 0, 7, NULL).resumed);
		ends_fini(&x);
	}
}

static void
our_certificate_and_server_name_are_shown(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ends x;
		ends_init(&x, both[i], 64);
		x.s.listener[0].img.client = SL_TLS_CLIENT_REQUIRED;
		x.s.listener[0].trust[0] = "mesh";
		snprintf(x.s.service[0].img.certificate, SL_NAME_MAX, "client");
		hs_publish(&x.s);
		for (unsigned again = 0; again < 2; again++) {
			struct met m = meet(&x);
			CU_ASSERT(m.done && m.resumed == again);
			CU_ASSERT_STRING_EQUAL(m.uri, "spiffe://td/ns/a/sa/client");
			CU_ASSERT_STRING_EQUAL(m.sni, "web.example");
		}
		ends_fini(&x);
	}
}

static void
the_server_name_may_come_with_the_job(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	x.s.service[0].img.auto_sni = 1;
	hs_publish(&x.s);
	struct met m = meet_as(&x, 0, 0, "other.example");
	CU_ASSERT(!m.done && m.fail == SL_TLS_CNT_FAIL_NAME);
	m = meet_as(&x, 0, 0, NULL); /* none: the service's */
	CU_ASSERT(m.done);
	CU_ASSERT_STRING_EQUAL(m.sni, "web.example");
	x.s.service[0].sans[0] = "web.example";
	hs_publish(&x.s);
	m = meet_as(&x, 0, 0, "Other.Example.");
	CU_ASSERT(m.done);
	CU_ASSERT_STRING_EQUAL(m.sni, "other.example");
	m = meet_as(&x, 0, 0, "10.0.0.1"); /* addresses are not sent */
	CU_ASSERT(m.done);
	CU_ASSERT_STRING_EQUAL(m.sni, "");
	ends_fini(&x);
}

static void
alpn_is_offered_and_believed_only_of_what_was(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	struct sl_img_tls_service *img = &x.s.service[0].img;
	img->alpn_cnt = 2;
	strcpy(img->alpn[0].protocol, "h2");
	strcpy(img->alpn[1].protocol, "http/1.1");
	x.s.listener[0].img.alpn_cnt = 1;
	strcpy(x.s.listener[0].img.alpn[0].protocol, "http/1.1");
	hs_publish(&x.s);
	struct met m = meet(&x);
	CU_ASSERT(m.done);
	CU_ASSERT_STRING_EQUAL(m.alpn, "http/1.1");
	img->alpn_cnt = 1;
	hs_publish(&x.s);
	m = meet(&x);
	CU_ASSERT(!m.done && m.fail == SL_TLS_CNT_FAIL_ALERT);
	ends_fini(&x);
}

static int
select_other(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
	     unsigned in_len, void *arg)
{
	(void)ssl;
	(void)in;
	(void)in_len;
	(void)arg;
	*out = (const unsigned char *)"spdy";
	*out_len = 4;
	return SSL_TLSEXT_ERR_OK;
}

static void
a_protocol_that_was_not_offered_is_refused(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	x.s.service[0].img.alpn_cnt = 1;
	strcpy(x.s.service[0].img.alpn[0].protocol, "http/1.1");
	hs_publish(&x.s);
	struct hs_plain *v = hs_plain_server(x.s.web_ec);
	struct hs_end *c = hs_client(&x.s, x.client, 0);
	SSL_CTX_set_alpn_select_cb(v->ctx, select_other, NULL);
	while ((!c->over && hs_go(c, &v->in)) || v->in.len)
		hs_plain_go(v, &c->in);
	CU_ASSERT_EQUAL(c->job.state, SL_HS_FAILED);
	/* newer versions of OpenSSL see it themselves */
	CU_ASSERT(c->job.fail == SL_TLS_CNT_FAIL_ALPN || c->job.fail == SL_TLS_CNT_FAIL_PROTOCOL);
	hs_end_free(c);
	hs_plain_free(v);
	ends_fini(&x);
}

/* Tickets come in pieces, behind other records, or not at all. */
static void
a_kept_handshake_listens_until_it_is_ended(void)
{
	struct ends x;
	ends_init(&x, SL_TLS_1_3, 64);
	for (uint32_t chunk = 1; chunk < 200; chunk += 66) {
		struct hs_end *c = hs_client(&x.s, x.client, 0), *v = hs_server(&x.s, x.server, 0);
		c->endpoint = 100 + chunk;
		hs_talk(c, v);
		c->chunk = chunk;
		CU_ASSERT_EQUAL(hs_feed_tickets(c), 1);
		CU_ASSERT_EQUAL(c->job.state, SL_HS_DONE);
		CU_ASSERT_EQUAL(c->job.done.keep, 1);
		CU_ASSERT_EQUAL(c->job.out_len, 0);
		/* what is no record ends the listening, and nothing else */
		hs_wire_add(&c->in,
			    "\x17\x03\x03\x00\x20"
			    "0123456789abcdef0123456789abcdef",
			    37);
		c->chunk = 0;
		CU_ASSERT(hs_go(c, NULL));
		CU_ASSERT_EQUAL(c->job.state, SL_HS_FAILED);
		CU_ASSERT_EQUAL(c->job.out_len, 0);
		CU_ASSERT_PTR_NULL(c->job.hs);
		hs_end_free(c);
		hs_end_free(v);
	}
	ends_fini(&x);
}

SL_SUITE("handshake_client", SL_TEST(sessions_are_kept_and_used_again),
	 SL_TEST(a_ticket_of_13_is_used_once), SL_TEST(two_at_a_time_do_not_use_the_same_ticket),
	 SL_TEST(sessions_are_of_one_service_endpoint_and_server_name),
	 SL_TEST(a_changed_policy_ends_sessions),
	 SL_TEST(an_endpoint_that_expired_since_is_not_resumed),
	 SL_TEST(without_resume_nothing_is_kept),
	 SL_TEST(kept_sessions_are_bounded_and_the_oldest_give_way),
	 SL_TEST(our_certificate_and_server_name_are_shown),
	 SL_TEST(the_server_name_may_come_with_the_job),
	 SL_TEST(alpn_is_offered_and_believed_only_of_what_was),
	 SL_TEST(a_protocol_that_was_not_offered_is_refused),
	 SL_TEST(a_kept_handshake_listens_until_it_is_ended))

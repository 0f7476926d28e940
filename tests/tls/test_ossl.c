/* Records by OpenSSL, as handed over by an engine, against plain OpenSSL. */
#include "l7/tls/ossl.h"
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

#define BIG 200000

struct pair {
	struct hs_scene s;
	struct sl_hs_engine *e;
	struct hs_plain *p;
	void *ssl; /* the engine's end, handed over */
};

static void
feed(struct pair *x, struct hs_wire *from)
{
	CU_ASSERT(sl_ossl_in(x->ssl, from->data, from->len));
	from->len = 0;
}

/* plain: the peer is the client. */
static void
pair_init(struct pair *x, bool plain_client, int version)
{
	hs_init(&x->s);
	hs_publish(&x->s);
	x->e = hs_engine_with(&x->s, (struct sl_hs_conf){.fallback = true});
	x->p = plain_client ? hs_plain_client(NULL) : hs_plain_server(x->s.web_ec);
	SSL_CTX_set_max_proto_version(x->p->ctx, version);
	hs_plain_begin(x->p, !plain_client, plain_client ? "web.example" : NULL);
	struct hs_end *end = plain_client ? hs_server(&x->s, x->e, 0) : hs_client(&x->s, x->e, 0);
	hs_plain_talk(x->p, end);
	CU_ASSERT_EQUAL_FATAL(end->job.state, SL_HS_DONE);
	CU_ASSERT_EQUAL(end->job.done.suite, SL_SUITE_NONE);
	CU_ASSERT_EQUAL(end->job.done.version, version == TLS1_2_VERSION ? SL_TLS_1_2 : SL_TLS_1_3);
	CU_ASSERT_EQUAL(end->job.done.keep, 0);
	CU_ASSERT_PTR_NULL(end->job.hs);
	x->ssl = end->job.done.ssl;
	CU_ASSERT_PTR_NOT_NULL_FATAL(x->ssl);
	CU_ASSERT_PTR_NOT_NULL(hs_peer(end));
	feed(x, &end->in);
	hs_end_free(end);
}

static void
pair_fini(struct pair *x)
{
	sl_ossl_free(x->ssl);
	hs_plain_free(x->p);
	sl_hs_destroy(x->e);
	hs_fini(&x->s);
}

static void
out(struct pair *x)
{
	uint8_t buf[1000];
	uint32_t n, all = sl_ossl_out_bytes(x->ssl), sum = 0;

	while ((n = sl_ossl_out(x->ssl, buf, sizeof(buf))) > 0) {
		hs_wire_add(&x->p->in, buf, n);
		sum += n;
	}
	CU_ASSERT_EQUAL(all, sum);
	BIO_write(SSL_get_rbio(x->p->ssl), x->p->in.data, (int)x->p->in.len);
	x->p->in.len = 0;
}

static void
in(struct pair *x)
{
	static struct hs_wire w;

	hs_plain_flush(x->p, &w);
	feed(x, &w);
}

static const int both[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void
said(struct pair *x, const char *text)
{
	char buf[64] = "";

	CU_ASSERT_EQUAL(SSL_write(x->p->ssl, text, (int)strlen(text)), (int)strlen(text));
	in(x);
	CU_ASSERT_EQUAL(sl_ossl_read(x->ssl, buf, sizeof(buf)), (long)strlen(text));
	CU_ASSERT_STRING_EQUAL(buf, text);
	CU_ASSERT_EQUAL(sl_ossl_read(x->ssl, buf, sizeof(buf)), 0);
	CU_ASSERT(sl_ossl_write(x->ssl, "answer", 6));
	out(x);
	CU_ASSERT_EQUAL(SSL_read(x->p->ssl, buf, sizeof(buf)), 6);
}

static void
bytes_pass_both_ways_on_both_sides(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct pair x;
		pair_init(&x, i & 1, both[i / 2]);
		said(&x, "first");
		said(&x, "second");
		pair_fini(&x);
	}
}

static void
much_passes_in_pieces(void)
{
	static uint8_t sent[BIG], got[BIG];
	static struct hs_wire w;
	struct pair x;
	uint32_t at = 0;
	pair_init(&x, true, TLS1_3_VERSION);
	for (uint32_t i = 0; i < BIG; i++)
		sent[i] = (uint8_t)(i * 7 + (i >> 8));
	CU_ASSERT_EQUAL(SSL_write(x.p->ssl, sent, BIG), BIG);
	hs_plain_flush(x.p, &w);
	for (uint32_t from = 0, n; from < w.len; from += n) {
		long r;
		n = SL_MIN(777u, w.len - from);
		CU_ASSERT(sl_ossl_in(x.ssl, w.data + from, n));
		while ((r = sl_ossl_read(x.ssl, got + at, SL_MIN(500u, BIG - at))) > 0)
			at += (uint32_t)r;
		CU_ASSERT_EQUAL_FATAL(r, 0);
	}
	CU_ASSERT_EQUAL(at, BIG);
	CU_ASSERT_EQUAL(memcmp(sent, got, BIG), 0);
	pair_fini(&x);
}

static void
key_updates_are_followed_and_answered(void)
{
	struct pair x;
	char byte;
	pair_init(&x, true, TLS1_3_VERSION);
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(SSL_key_update(x.p->ssl, i & 1 ? SSL_KEY_UPDATE_REQUESTED
							       : SSL_KEY_UPDATE_NOT_REQUESTED),
				1);
		CU_ASSERT_EQUAL(SSL_do_handshake(x.p->ssl), 1);
		in(&x);
		CU_ASSERT_EQUAL(sl_ossl_read(x.ssl, &byte, 1), 0);
		said(&x, "under another key");
	}
	pair_fini(&x);
}

static void
close_notify_is_told_and_sent(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct pair x;
		char byte;
		pair_init(&x, i & 1, both[i / 2]);
		SSL_shutdown(x.p->ssl);
		in(&x);
		CU_ASSERT_EQUAL(sl_ossl_read(x.ssl, &byte, 1), -1);
		CU_ASSERT(sl_ossl_write(x.ssl, "still", 5));
		sl_ossl_close(x.ssl);
		CU_ASSERT(sl_ossl_out_bytes(x.ssl) > 0);
		out(&x);
		char buf[8];
		CU_ASSERT_EQUAL(SSL_read(x.p->ssl, buf, sizeof(buf)), 5);
		CU_ASSERT_EQUAL(SSL_read(x.p->ssl, buf, sizeof(buf)), 0);
		CU_ASSERT_EQUAL(SSL_get_error(x.p->ssl, 0), SSL_ERROR_ZERO_RETURN);
		pair_fini(&x);
	}
}

static void
a_changed_record_is_broken_and_an_alert_goes_out(void)
{
	for (unsigned i = 0; i < 2; i++) {
		static struct hs_wire w;
		struct pair x;
		char byte;
		pair_init(&x, true, both[i]);
		SSL_write(x.p->ssl, "hello", 5);
		w.len = 0;
		hs_plain_flush(x.p, &w);
		w.data[w.len - 3] ^= 1;
		feed(&x, &w);
		CU_ASSERT_EQUAL(sl_ossl_read(x.ssl, &byte, 1), -2);
		CU_ASSERT(sl_ossl_out_bytes(x.ssl) > 0);
		CU_ASSERT_FALSE(sl_ossl_write(x.ssl, "no", 2));
		CU_ASSERT_EQUAL(sl_ossl_read(x.ssl, &byte, 1), -2);
		pair_fini(&x);
	}
}

static void
renegotiation_is_refused(void)
{
	struct pair x;
	char byte;
	pair_init(&x, true, TLS1_2_VERSION);
	CU_ASSERT_EQUAL(SSL_renegotiate(x.p->ssl), 1);
	SSL_do_handshake(x.p->ssl);
	in(&x);
	long r = sl_ossl_read(x.ssl, &byte, 1);
	CU_ASSERT(r == 0 || r == -2);
	out(&x);
	CU_ASSERT_NOT_EQUAL(SSL_do_handshake(x.p->ssl), 1);
	pair_fini(&x);
}

SL_SUITE("ossl", SL_TEST(bytes_pass_both_ways_on_both_sides), SL_TEST(much_passes_in_pieces),
	 SL_TEST(key_updates_are_followed_and_answered), SL_TEST(close_notify_is_told_and_sent),
	 SL_TEST(a_changed_record_is_broken_and_an_alert_goes_out),
	 SL_TEST(renegotiation_is_refused))

#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <openssl/x509v3.h>

static int
verify(const struct tls_cert *leaf, const struct tls_cert *ca)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *chain[SL_SECRET_CHAIN];
	STACK_OF(X509) *more = sk_X509_new_null();
	unsigned cnt = tls_cert_chain(leaf, chain);
	for (unsigned i = 1; i < cnt; i++)
		sk_X509_push(more, chain[i]);
	X509_STORE_add_cert(store, ca->x);
	X509_STORE_CTX_init(ctx, store, leaf->x, more);
	X509_STORE_CTX_set_default(ctx, "ssl_server");
	X509_verify_cert(ctx);
	int err = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(more);
	return err;
}

static void
certificates_verify_against_who_issued_them(void)
{
	struct tls_cert *ca = tls_cert_ca("root"), *other = tls_cert_ca("other");
	struct tls_cert *mid = tls_cert_make(&(struct tls_cert_spec){
		.cn = "mid", .ca = true, .issuer = ca, .key = TLS_CERT_RSA});
	struct tls_cert *leaf = tls_cert_leaf(mid, TLS_CERT_RSA, "web.example");
	CU_ASSERT_EQUAL(verify(leaf, ca), X509_V_OK);
	CU_ASSERT_NOT_EQUAL(verify(leaf, other), X509_V_OK);
	CU_ASSERT_EQUAL(X509_check_host(leaf->x, "web.example", 0, 0, NULL), 1);
	tls_cert_free(ca);
	tls_cert_free(mid);
	CU_ASSERT_PTR_NULL(leaf->issuer->issuer->issuer);
	tls_cert_free(leaf);
	tls_cert_free(other);
}

static void
dates_and_usage_are_as_asked_for(void)
{
	struct tls_cert *ca = tls_cert_ca("root");
	struct tls_cert *past = tls_cert_make(
		&(struct tls_cert_spec){.issuer = ca, .from_s = -7200, .until_s = -3600});
	struct tls_cert *client =
		tls_cert_make(&(struct tls_cert_spec){.issuer = ca, .usage = "clientAuth"});
	CU_ASSERT_EQUAL(verify(past, ca), X509_V_ERR_CERT_HAS_EXPIRED);
	CU_ASSERT_EQUAL(verify(client, ca), X509_V_ERR_INVALID_PURPOSE);
	tls_cert_free(past);
	tls_cert_free(client);
	tls_cert_free(ca);
}

static void
names_keep_a_nul(void)
{
	struct tls_cert *c = tls_cert_make(
		&(struct tls_cert_spec){.sans = {TLS_SAN("DNS:good.example\0.evil.example")}});
	GENERAL_NAMES *names = X509_get_ext_d2i(c->x, NID_subject_alt_name, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(names);
	const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, 0);
	CU_ASSERT_EQUAL(ASN1_STRING_length(n->d.dNSName), 26);
	GENERAL_NAMES_free(names);
	tls_cert_free(c);
}

static void
secrets_are_laid_out_as_they_travel(void)
{
	struct tls_cert *ca = tls_cert_ca("root");
	struct tls_cert *mid =
		tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = ca});
	struct tls_cert *leaf = tls_cert_leaf(mid, TLS_CERT_EC, "web.example");
	size_t bytes;
	struct sl_secret_head *h = tls_secret_pair(leaf, &bytes);
	CU_ASSERT_EQUAL(h->magic, SL_SECRET_MAGIC);
	CU_ASSERT_EQUAL_FATAL(h->part_cnt, 3);
	CU_ASSERT_EQUAL(bytes, sizeof(*h) + 12 + h->len[0] + h->len[1] + h->len[2]);
	free(h);
	h = tls_secret_trust(&ca, 1, &bytes);
	CU_ASSERT_EQUAL(h->part_cnt, 1);
	free(h);
	struct sl_ticket_key keys[2] = {tls_ticket_key(1), tls_ticket_key(2)};
	h = tls_secret_tickets(keys, 2, &bytes);
	CU_ASSERT_EQUAL(h->len[1], 80);
	free(h);
	char *pem = tls_cert_pem(leaf), *key = tls_cert_key_pem(leaf);
	CU_ASSERT_PTR_NOT_NULL(strstr(strstr(pem, "BEGIN CERT") + 1, "BEGIN CERT"));
	CU_ASSERT_PTR_NOT_NULL(strstr(key, "BEGIN PRIVATE KEY"));
	free(pem);
	free(key);
	tls_cert_free(leaf);
	tls_cert_free(mid);
	tls_cert_free(ca);
}

SL_SUITE("tls_certs", SL_TEST(certificates_verify_against_who_issued_them),
	 SL_TEST(dates_and_usage_are_as_asked_for), SL_TEST(names_keep_a_nul),
	 SL_TEST(secrets_are_laid_out_as_they_travel))

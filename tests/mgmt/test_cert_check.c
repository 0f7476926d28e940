#include "mgmt/cert_check.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <time.h>

#define DAY 86400
#define YEAR .from_s = -DAY, .until_s = 365 * DAY

static struct tls_cert *root, *mid, *leaf; /* leaf ← mid ← root, all good for a year */
static struct sl_diag diag;

static void
setup(void)
{
	root = tls_cert_make(&(struct tls_cert_spec){.cn = "root", .ca = true, YEAR});
	mid = tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = root, YEAR});
	leaf = tls_cert_make(&(struct tls_cert_spec){
		.cn = "leaf",
		.issuer = mid,
		.sans = {TLS_SAN("DNS:shop.example"), TLS_SAN("DNS:*.shop.example"),
			 TLS_SAN("URI:spiffe://td/ns/a/sa/shop"), TLS_SAN("IP:192.0.2.7")},
		YEAR});
	diag = (struct sl_diag){0};
}

static void
teardown(void)
{
	tls_cert_free(root);
	tls_cert_free(mid);
	tls_cert_free(leaf);
	sl_diag_fini(&diag);
}

static bool
said(const struct sl_diag_item *items, unsigned cnt, const char *text)
{
	for (unsigned i = 0; i < cnt; i++)
		if (strstr(items[i].text, text) || (items[i].hint && strstr(items[i].hint, text)))
			return true;
	for (unsigned i = 0; i < cnt; i++)
		printf("  said: %s: %s (%s)\n", items[i].path, items[i].text,
		       items[i].hint ? items[i].hint : "");
	return false;
}

/* Checks texts (freed) as a pair, all forgotten but the sentences. */
static int
pair(char *cert, char *key)
{
	struct sl_cert_made m;

	sl_diag_fini(&diag);
	int err = sl_cert_check_pair(cert, strlen(cert), key, strlen(key), time(NULL), &diag, &m);
	if (!err)
		sl_cert_made_fini(&m);
	free(cert);
	free(key);
	return err;
}

static int
pair_of(struct tls_cert *c)
{
	int err = pair(tls_cert_pem(c), tls_cert_key_pem(c));
	tls_cert_free(c);
	return err;
}

static int
trust(char *ca)
{
	struct sl_cert_made m;

	sl_diag_fini(&diag);
	int err = sl_cert_check_trust(ca, strlen(ca), time(NULL), &diag, &m);
	if (!err)
		sl_cert_made_fini(&m);
	free(ca);
	return err;
}

/* The PEM of single certificates, one after the other. */
static char *
pems(struct tls_cert *const *c, unsigned cnt)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p;

	for (unsigned i = 0; i < cnt; i++)
		PEM_write_bio_X509(out, c[i]->x);
	long n = BIO_get_mem_data(out, &p);
	char *text = strndup(p, (size_t)n);
	BIO_free(out);
	return text;
}

static char *
joined(char *a, char *b)
{
	char *all = NULL;

	if (asprintf(&all, "%s%s", a, b) < 0)
		abort();
	free(a);
	free(b);
	return all;
}

static void
a_good_pair_becomes_a_secret(void)
{
	struct sl_secret_part part[SL_SECRET_PARTS];
	struct sl_cert_made m;
	const char *why;

	setup();
	char *cert = tls_cert_pem(leaf), *key = tls_cert_key_pem(leaf);
	CU_ASSERT_FATAL(sl_cert_check_pair(cert, strlen(cert), key, strlen(key), time(NULL), &diag,
					   &m) == 0);
	CU_ASSERT(diag.cnt == 0 && diag.warning_cnt == 0);
	CU_ASSERT(sl_secret_parts(m.secret, m.bytes, SL_SECRET_PAIR, part, &why) == 3);
	const uint8_t *p = part[0].data;
	PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, part[0].len);
	EVP_PKEY *k = p8 ? EVP_PKCS82PKEY(p8) : NULL;
	CU_ASSERT(k && EVP_PKEY_eq(k, leaf->key) == 1);
	EVP_PKEY_free(k);
	PKCS8_PRIV_KEY_INFO_free(p8);
	p = part[2].data;
	X509 *x = d2i_X509(NULL, &p, part[2].len);
	CU_ASSERT(x && X509_cmp(x, mid->x) == 0);
	X509_free(x);

	CU_ASSERT(m.info.line_cnt == 2 && m.info.name_cnt == 4);
	CU_ASSERT_STRING_EQUAL(m.info.names[0], "DNS:shop.example");
	CU_ASSERT_STRING_EQUAL(m.info.names[2], "URI:spiffe://td/ns/a/sa/shop");
	CU_ASSERT_STRING_EQUAL(m.info.names[3], "IP:192.0.2.7");
	CU_ASSERT_STRING_EQUAL(m.info.lines[0].issuer, "CN=mid");
	CU_ASSERT_STRING_EQUAL(m.info.lines[0].key, "EC P-256");
	CU_ASSERT(m.info.usage == (SL_CERT_SERVER | SL_CERT_CLIENT));
	struct sl_cert_info again;
	CU_ASSERT_FATAL(sl_cert_describe(m.secret, m.bytes, SL_SECRET_PAIR, &again, &why) == 0);
	CU_ASSERT(memcmp(again.lines, m.info.lines, 2 * sizeof(again.lines[0])) == 0);
	sl_cert_info_fini(&again);
	sl_cert_made_fini(&m);
	free(cert);
	free(key);
	teardown();
}

static void
every_kind_of_key_that_is_allowed_passes(void)
{
	static const enum tls_cert_key kinds[] = {TLS_CERT_EC, TLS_CERT_EC384, TLS_CERT_RSA,
						  TLS_CERT_ED25519};

	setup();
	for (unsigned i = 0; i < SL_ARRAY_CNT(kinds); i++) {
		CU_ASSERT(pair_of(tls_cert_leaf(mid, kinds[i], "a.example")) == 0);
		CU_ASSERT(diag.cnt == 0);
	}
	CU_ASSERT(pair_of(tls_cert_leaf(mid, TLS_CERT_RSA_1024, "a.example")) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "RSA 1024) is too short"));
	teardown();
}

static void
a_certificate_that_should_not_be_used_is_refused_with_a_sentence(void)
{
	const struct {
		struct tls_cert_spec spec;
		const char *says;
	} row[] = {
		{{.from_s = -2 * DAY, .until_s = -DAY, .sans = {TLS_SAN("DNS:a")}}, "expired on"},
		{{.from_s = DAY, .until_s = 9 * DAY, .sans = {TLS_SAN("DNS:a")}},
		 "not valid before"},
		{{.sans = {{0}}, YEAR}, "has no name"},
		{{.sans = {TLS_SAN("EMAIL:a@b.example")}, YEAR}, "has no name"},
		{{.usage = "codeSigning", .sans = {TLS_SAN("DNS:a")}, YEAR}, "neither for TLS"},
		{{.sans = {TLS_SAN("DNS:good.example\0.evil.example")}, YEAR},
		 "DNS:good.example\\x00.evil.example holds a control byte"},
		{{.sans = {TLS_SAN("DNS:a\nb.example")}, YEAR}, "holds a control byte"},
		{{.sans = {TLS_SAN("DNS:a..example")}, YEAR}, "empty label"},
		{{.sans = {TLS_SAN("DNS:a.*.example")}, YEAR}, "is no host name"},
		{{.sans = {TLS_SAN("DNS:a b.example")}, YEAR}, "is no host name"},
		{{.sans = {TLS_SAN("URI:spiffe://td/a\0b")}, YEAR}, "no URI has"},
		{{.sans = {TLS_SAN("URI:spiffe://TD/a")}, YEAR}, "trust domain with other"},
		{{.sans = {TLS_SAN("URI:spiffe:///a")}, YEAR}, "no trust domain"},
		{{.sans = {TLS_SAN("URI:spiffe://td/a/")}, YEAR}, "empty path segment"},
		{{.sans = {TLS_SAN("URI:spiffe://td/a/../b")}, YEAR}, "empty path segment"},
		{{.sans = {TLS_SAN("URI:spiffe://td/a%20b")}, YEAR}, "path with other"},
		{{.sans = {TLS_SAN("URI:SPIFFE://td/a")}, YEAR}, "lower case"},
		{{.sans = {TLS_SAN("URI:spiffe://td/a"), TLS_SAN("URI:spiffe://td/b")}, YEAR},
		 "2 URI names"},
	};

	setup();
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct tls_cert_spec spec = row[i].spec;
		spec.issuer = mid;
		int err = pair_of(tls_cert_make(&spec));
		if (err != -EINVAL)
			printf("  row %u: %s: %d\n", i, row[i].says, err);
		CU_ASSERT(err == -EINVAL);
		CU_ASSERT(said(diag.items, diag.cnt, row[i].says));
	}
	teardown();
}

static void
what_is_allowed_and_hardly_meant_is_warned_of(void)
{
	setup();
	CU_ASSERT(pair_of(tls_cert_make(&(struct tls_cert_spec){
			  .issuer = mid, .until_s = 10 * DAY + 60, .sans = {TLS_SAN("DNS:a")}})) ==
		  0);
	CU_ASSERT(said(diag.warnings, diag.warning_cnt, "in 10 days"));
	CU_ASSERT(pair_of(tls_cert_make(&(struct tls_cert_spec){
			  .cn = "self", .ca = true, .sans = {TLS_SAN("DNS:a")}, YEAR})) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "may not sign")); /* its keyUsage */
	CU_ASSERT(said(diag.warnings, diag.warning_cnt, "a CA's own"));
	teardown();
}

static void
a_chain_out_of_order_is_refused_with_the_right_order(void)
{
	setup();
	struct tls_cert *wrong[3] = {mid, leaf, root}, *late[3] = {leaf, root, mid};
	struct tls_cert *twice[3] = {leaf, mid, mid}, *short_cut[2] = {leaf, root};
	struct tls_cert *all[3] = {leaf, mid, root};

	CU_ASSERT(pair(pems(wrong, 3), tls_cert_key_pem(leaf)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt,
		       "number 2 (CN=leaf), number 1 (CN=mid), number 3 (CN=root)"));
	CU_ASSERT(pair(pems(late, 3), tls_cert_key_pem(leaf)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt,
		       "number 1 (CN=leaf), number 3 (CN=mid), number 2 (CN=root)"));
	CU_ASSERT(pair(pems(twice, 3), tls_cert_key_pem(leaf)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "is there twice"));
	CU_ASSERT(pair(pems(short_cut, 2), tls_cert_key_pem(leaf)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "(CN=root) did not issue certificate 1 (CN=leaf)"));
	CU_ASSERT(pair(pems(all, 3), tls_cert_key_pem(leaf)) == 0);
	teardown();
}

static void
a_signature_that_does_not_hold_is_refused(void)
{
	setup();
	struct tls_cert *other = tls_cert_make(
		&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = root, YEAR});
	struct tls_cert *c[2] = {leaf, other}; /* the name is right, the key another */

	CU_ASSERT(pair(pems(c, 2), tls_cert_key_pem(leaf)) == -EINVAL);
	CU_ASSERT(diag.cnt > 0);
	tls_cert_free(other);

	struct tls_cert *no_ca = tls_cert_leaf(mid, TLS_CERT_EC, "b.example");
	struct tls_cert *below = tls_cert_leaf(no_ca, TLS_CERT_EC, "c.example");
	CU_ASSERT(pair_of(below) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "and no CA"));
	tls_cert_free(no_ca);
	teardown();
}

static void
an_expired_link_of_the_chain_is_refused(void)
{
	setup();
	struct tls_cert *old = tls_cert_make(&(struct tls_cert_spec){
		.cn = "old", .ca = true, .issuer = root, .from_s = -9 * DAY, .until_s = -DAY});

	CU_ASSERT(pair_of(tls_cert_leaf(old, TLS_CERT_EC, "a.example")) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "certificate 2 (CN=old) expired on"));
	tls_cert_free(old);
	teardown();
}

static void
a_key_of_another_certificate_is_refused(void)
{
	setup();
	CU_ASSERT(pair(tls_cert_pem(leaf), tls_cert_key_pem(root)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "does not belong to certificate 1 (CN=leaf)"));
	CU_ASSERT(diag.cnt == 1 && strcmp(diag.items[0].path, "key") == 0);
	CU_ASSERT(pair(tls_cert_pem(leaf), tls_cert_key_pem(mid)) == -EINVAL);
	teardown();
}

static char *
encrypted(EVP_PKEY *key, bool old_form)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p;

	if (old_form)
		PEM_write_bio_PrivateKey_traditional(out, key, EVP_aes_128_cbc(), (uint8_t *)"pw",
						     2, NULL, NULL);
	else
		PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "pw", 2, NULL, NULL);
	long n = BIO_get_mem_data(out, &p);
	char *text = strndup(p, (size_t)n);
	BIO_free(out);
	return text;
}

static char *
traditional(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p;

	PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(out, &p);
	char *text = strndup(p, (size_t)n);
	BIO_free(out);
	return text;
}

static void
an_encrypted_key_is_refused_with_how_to_decrypt_it(void)
{
	setup();
	CU_ASSERT(pair(tls_cert_pem(leaf), encrypted(leaf->key, false)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "openssl pkey -in FILE -out PLAIN"));
	CU_ASSERT(pair(tls_cert_pem(leaf), encrypted(leaf->key, true)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "the key is encrypted"));
	CU_ASSERT(pair(tls_cert_pem(leaf), traditional(leaf->key)) == 0);
	struct tls_cert *rsa = tls_cert_leaf(mid, TLS_CERT_RSA, "a.example");
	CU_ASSERT(pair(tls_cert_pem(rsa), traditional(rsa->key)) == 0);
	tls_cert_free(rsa);
	teardown();
}

static void
text_that_is_not_what_it_should_be_is_refused(void)
{
	setup();
	char *cert = tls_cert_pem(leaf), *key = tls_cert_key_pem(leaf);
	const struct {
		char *cert, *key;
		const char *says;
	} row[] = {
		{strdup(""), strdup(key), "no PEM"},
		{strdup("hello"), strdup(key), "no PEM"},
		{strdup(cert), strdup(""), "no PEM"},
		{strdup(key), strdup(key), "is a private key"},
		{joined(strdup(cert), strdup(key)), strdup(key), "a file of their own"},
		{strdup(cert), strdup(cert), "something else than a private key"},
		{strdup(cert), joined(strdup(key), strdup(key)), "more than one private key"},
		{strndup(cert, strlen(cert) - 30), strdup(key), "is damaged"},
		{strdup(cert), strndup(key, strlen(key) - 30), "is damaged"},
		{joined(strdup(cert), strdup("-----BEGIN CERTIFICATE-----\nMIIB")), strdup(key),
		 "is damaged"},
		{strdup("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		 strdup(key), "says it is a certificate, and is none"},
		{strdup(cert),
		 strdup("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		 "cannot be read"},
		{strdup("-----BEGIN X-----\nAAAA\n-----END X-----\n"), strdup(key),
		 "no certificate"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		CU_ASSERT(pair(row[i].cert, row[i].key) == -EINVAL);
		CU_ASSERT(said(diag.items, diag.cnt, row[i].says));
	}
	/* words around the blocks are common, and harmless */
	CU_ASSERT(pair(joined(strdup("subject=/CN=leaf\n"), strdup(cert)), strdup(key)) == 0);
	free(cert);
	free(key);
	teardown();
}

static void
a_chain_longer_than_the_dataplane_takes_is_refused(void)
{
	struct tls_cert *c[SL_SECRET_CHAIN + 1] = {tls_cert_ca("0")};
	char cn[8];

	diag = (struct sl_diag){0};
	for (int i = 1; i < SL_SECRET_CHAIN + 1; i++) {
		snprintf(cn, sizeof(cn), "%d", i);
		c[i] = i < SL_SECRET_CHAIN ? tls_cert_make(&(struct tls_cert_spec){
						     .cn = cn, .ca = true, .issuer = c[i - 1]})
					   : tls_cert_leaf(c[i - 1], TLS_CERT_EC, "a.example");
	}
	struct tls_cert *up[SL_SECRET_CHAIN + 1];
	for (int i = 0; i < SL_SECRET_CHAIN + 1; i++)
		up[i] = c[SL_SECRET_CHAIN - i];
	CU_ASSERT(pair(pems(up, SL_SECRET_CHAIN), tls_cert_key_pem(up[0])) == 0);
	CU_ASSERT(pair(pems(up, SL_SECRET_CHAIN + 1), tls_cert_key_pem(up[0])) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "more than 10 certificates"));
	for (int i = 0; i < SL_SECRET_CHAIN + 1; i++)
		tls_cert_free(c[i]);
	sl_diag_fini(&diag);
}

static void
a_bundle_holds_cas_and_each_once(void)
{
	setup();
	struct tls_cert *old = tls_cert_make(&(struct tls_cert_spec){
		.cn = "old", .ca = true, .from_s = -9 * DAY, .until_s = -DAY});
	struct tls_cert *next = tls_cert_make(&(struct tls_cert_spec){
		.cn = "next", .ca = true, .from_s = DAY, .until_s = 9 * DAY});
	struct tls_cert *good[2] = {root, mid}, *twice[3] = {root, mid, root},
			*no[2] = {root, leaf};
	struct tls_cert *aged[2] = {old, root}, *to_come[2] = {root, next}, *none[2] = {old, next};

	CU_ASSERT(trust(pems(good, 2)) == 0 && diag.warning_cnt == 0);
	CU_ASSERT(trust(pems(twice, 3)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "is there twice"));
	CU_ASSERT(trust(pems(no, 2)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "certificate 2 (CN=leaf) is no CA"));
	CU_ASSERT(trust(pems(aged, 2)) == 0);
	CU_ASSERT(said(diag.warnings, diag.warning_cnt, "(CN=old) expired on"));
	CU_ASSERT(trust(pems(to_come, 2)) == 0);
	CU_ASSERT(said(diag.warnings, diag.warning_cnt, "(CN=next) is not valid before"));
	CU_ASSERT(trust(pems(none, 2)) == -EINVAL);
	CU_ASSERT(said(diag.items, diag.cnt, "no CA of the bundle is valid now"));
	CU_ASSERT(trust(tls_cert_key_pem(root)) == -EINVAL);
	CU_ASSERT(trust(strdup("# none\n")) == -EINVAL);
	tls_cert_free(old);
	tls_cert_free(next);
	teardown();
}

static void
it_is_over_with_the_first_of_a_chain_and_the_last_of_a_bundle(void)
{
	struct sl_cert_line line[3] = {
		{.not_after_s = 300}, {.not_after_s = 100}, {.not_after_s = 200}};
	struct sl_cert_info i = {.kind = SL_SECRET_PAIR, .lines = line, .line_cnt = 3};

	CU_ASSERT(sl_cert_not_after(&i, 150) == 100);
	i.kind = SL_SECRET_TRUST;
	CU_ASSERT(sl_cert_not_after(&i, 50) == 100);
	CU_ASSERT(sl_cert_not_after(&i, 150) == 200);
	CU_ASSERT(sl_cert_not_after(&i, 400) == 300);
}

/* Whatever is cut off or turned over, there is a sentence and no crash. */
static void
every_cut_and_flipped_byte_is_told_or_still_whole(void)
{
	setup();
	struct tls_cert *small = tls_cert_leaf(root, TLS_CERT_EC, "a.example");
	char *cert = tls_cert_pem(small), *key = tls_cert_key_pem(small);
	size_t n = strlen(cert), k = strlen(key);

	for (size_t i = 0; i + 2 < n; i += 3) /* the last newline may be missing */
		CU_ASSERT(pair(strndup(cert, i), strdup(key)) == -EINVAL && diag.cnt > 0);
	for (size_t i = 0; i + 2 < k; i++)
		CU_ASSERT(pair(strdup(cert), strndup(key, i)) == -EINVAL && diag.cnt > 0);
	for (size_t i = 0; i < k; i++) {
		char *bad = strdup(key);
		bad[i] ^= 0x15;
		int err = pair(strdup(cert), bad);
		CU_ASSERT(err == 0 || diag.cnt > 0);
	}
	free(cert);
	free(key);
	tls_cert_free(small);
	teardown();
}

SL_SUITE("cert_check", SL_TEST(a_good_pair_becomes_a_secret),
	 SL_TEST(every_kind_of_key_that_is_allowed_passes),
	 SL_TEST(a_certificate_that_should_not_be_used_is_refused_with_a_sentence),
	 SL_TEST(what_is_allowed_and_hardly_meant_is_warned_of),
	 SL_TEST(a_chain_out_of_order_is_refused_with_the_right_order),
	 SL_TEST(a_signature_that_does_not_hold_is_refused),
	 SL_TEST(an_expired_link_of_the_chain_is_refused),
	 SL_TEST(a_key_of_another_certificate_is_refused),
	 SL_TEST(an_encrypted_key_is_refused_with_how_to_decrypt_it),
	 SL_TEST(text_that_is_not_what_it_should_be_is_refused),
	 SL_TEST(a_chain_longer_than_the_dataplane_takes_is_refused),
	 SL_TEST(a_bundle_holds_cas_and_each_once),
	 SL_TEST(it_is_over_with_the_first_of_a_chain_and_the_last_of_a_bundle),
	 SL_TEST(every_cut_and_flipped_byte_is_told_or_still_whole))

/* keyring: what is taken, what is known of it, and a sentence for each thing that is not taken. */
#include "l7/tls/book.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <time.h>

static char text[SL_KEYRING_TEXT];

/* Puts a secret and frees it. */
static int
put(struct sl_keyring *k, uint32_t kind, const char *name, void *secret, size_t bytes)
{
	snprintf(text, sizeof(text), "(nothing)");
	int err = sl_keyring_put(k, kind, name, secret, bytes, text);
	free(secret);
	return err;
}

static int
put_pair(struct sl_keyring *k, const char *name, const struct tls_cert *c)
{
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);

	return put(k, SL_SECRET_PAIR, name, secret, bytes);
}

static int
put_trust(struct sl_keyring *k, const char *name, struct tls_cert *ca)
{
	size_t bytes;
	void *secret = tls_secret_trust(&ca, 1, &bytes);

	return put(k, SL_SECRET_TRUST, name, secret, bytes);
}

/* A secret of parts. */
static void *
assemble(uint32_t kind, const struct sl_secret_part *parts, unsigned cnt, size_t *ret_bytes)
{
	size_t at = sizeof(struct sl_secret_head) + cnt * sizeof(uint32_t), bytes = at;

	for (unsigned i = 0; i < cnt; i++)
		bytes += parts[i].len;
	struct sl_secret_head *h = calloc(1, bytes);
	if (!h)
		abort();
	*h = (struct sl_secret_head){SL_SECRET_MAGIC, kind, cnt, 0};
	for (unsigned i = 0; i < cnt; i++) {
		h->len[i] = parts[i].len;
		memcpy((uint8_t *)h + at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	*ret_bytes = bytes;
	return h;
}

static bool
has_host(const struct sl_pair *p, const char *host)
{
	for (uint32_t i = 0; p && i < p->host_cnt; i++)
		if (strcmp(p->hosts[i], host) == 0)
			return true;
	return false;
}

/* ---- what is known of a pair ---- */

static void
a_pair_is_kept_with_its_chain_names_kind_and_dates(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *root = tls_cert_ca("root");
	struct tls_cert *mid =
		tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = root});
	struct tls_cert *c = tls_cert_make(&(struct tls_cert_spec){
		.cn = "ignored.example",
		.sans = {TLS_SAN("DNS:Shop.EXAMPLE"), TLS_SAN("DNS:*.Shop.example"),
			 TLS_SAN("IP:192.0.2.1"), TLS_SAN("URI:spiffe://td/ns/a/sa/b"),
			 TLS_SAN("DNS:x_y.example"), TLS_SAN("DNS:f*.example"), TLS_SAN("DNS:a..b"),
			 TLS_SAN("DNS:*"), TLS_SAN("DNS:*.")},
		.issuer = mid,
		.from_s = -100,
		.until_s = 5000});
	time_t now = time(NULL);

	CU_ASSERT_EQUAL_FATAL(put_pair(k, "shop", c), 0);
	struct sl_pair *p = sl_keyring_pair(k, "shop");
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_STRING_EQUAL(p->name, "shop");
	CU_ASSERT_EQUAL(p->type, SL_KEY_EC);
	CU_ASSERT_EQUAL(p->chain_cnt, 2);
	uint8_t *der = NULL;
	int n = i2d_X509(mid->x, &der);
	CU_ASSERT_TRUE(n == (int)p->chain[1].len && memcmp(der, p->chain[1].data, (size_t)n) == 0);
	OPENSSL_free(der);
	CU_ASSERT_EQUAL(p->host_cnt, 3);
	CU_ASSERT_TRUE(has_host(p, "shop.example") && has_host(p, "*.shop.example") &&
		       has_host(p, "x_y.example"));
	CU_ASSERT_TRUE(p->not_before >= now - 110 && p->not_before <= now - 90);
	CU_ASSERT_TRUE(p->not_after >= now + 4990 && p->not_after <= now + 5010);
	CU_ASSERT_PTR_NULL(sl_keyring_pair(k, "sho"));
	CU_ASSERT_PTR_NULL(sl_keyring_trust(k, "shop"));
	tls_cert_free(c);
	tls_cert_free(mid);
	tls_cert_free(root);
	sl_keyring_destroy(k);
}

static void
the_common_name_counts_where_there_are_no_sans_at_all(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *a = tls_cert_make(&(struct tls_cert_spec){.cn = "Old.Example"});
	struct tls_cert *b = tls_cert_make(
		&(struct tls_cert_spec){.cn = "old.example", .sans = {TLS_SAN("IP:192.0.2.1")}});
	struct tls_cert *c = tls_cert_make(&(struct tls_cert_spec){.cn = "John Doe"});

	CU_ASSERT_EQUAL(put_pair(k, "a", a), 0);
	CU_ASSERT_EQUAL(put_pair(k, "b", b), 0);
	CU_ASSERT_EQUAL(put_pair(k, "c", c), 0);
	CU_ASSERT_TRUE(has_host(sl_keyring_pair(k, "a"), "old.example"));
	CU_ASSERT_EQUAL(sl_keyring_pair(k, "b")->host_cnt, 0);
	CU_ASSERT_EQUAL(sl_keyring_pair(k, "c")->host_cnt, 0);
	tls_cert_free(a);
	tls_cert_free(b);
	tls_cert_free(c);
	sl_keyring_destroy(k);
}

static void
each_kind_of_key_is_told_apart(void)
{
	static const struct {
		enum tls_cert_key key;
		int type;
	} rows[] = {{TLS_CERT_EC, SL_KEY_EC},
		    {TLS_CERT_EC384, SL_KEY_EC},
		    {TLS_CERT_RSA, SL_KEY_RSA},
		    {TLS_CERT_ED25519, SL_KEY_ED}};
	struct sl_keyring *k = sl_keyring_create();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct tls_cert *c = tls_cert_leaf(NULL, rows[i].key, "a.example");
		CU_ASSERT_EQUAL(put_pair(k, "a", c), 0);
		CU_ASSERT_EQUAL(sl_keyring_pair(k, "a")->type, rows[i].type);
		tls_cert_free(c);
	}
	sl_keyring_destroy(k);
}

/* ---- what is refused ---- */

enum wrong {
	KEY_OF_ANOTHER,
	KEY_OF_ANOTHER_KIND,
	KEY_WITH_ANOTHER_PUBLIC_PART,
	KEY_NOISE,
	KEY_LONGER,
	KEY_SHORT_RSA,
	CERT_NOISE,
	CERT_CUT,
	CERT_LONGER,
	CERT_SIGNATURE,
	CHAIN_SWAPPED,
	CHAIN_OF_ANOTHER,
	CHAIN_NO_AUTHORITY,
	SAN_WITH_0,
	NO_CERT,
};

struct crafted {
	struct tls_cert *root, *mid, *leaf, *other, *rsa, *weak, *zero, *fake;
};

static void
craft(struct crafted *c)
{
	c->root = tls_cert_ca("root");
	c->mid = tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true, .issuer = c->root});
	c->leaf = tls_cert_leaf(c->mid, TLS_CERT_EC, "a.example");
	c->other = tls_cert_leaf(c->leaf, TLS_CERT_EC, "a.example"); /* by who is no authority */
	c->rsa = tls_cert_leaf(c->mid, TLS_CERT_RSA, "a.example");
	c->weak = tls_cert_leaf(c->mid, TLS_CERT_RSA_1024, "a.example");
	c->zero = tls_cert_make(&(struct tls_cert_spec){.sans = {TLS_SAN("DNS:a.example\0.evil")}});
	c->fake =
		tls_cert_make(&(struct tls_cert_spec){.cn = "mid", .ca = true}); /* not mid's key */
}

static void
crafted_free(struct crafted *c)
{
	tls_cert_free(c->root);
	tls_cert_free(c->mid);
	tls_cert_free(c->leaf);
	tls_cert_free(c->other);
	tls_cert_free(c->rsa);
	tls_cert_free(c->weak);
	tls_cert_free(c->zero);
	tls_cert_free(c->fake);
}

/* Parts of `of`'s secret, which is kept in *ret_secret. */
static unsigned
parts_of(const struct tls_cert *of, void **ret_secret, struct sl_secret_part *parts)
{
	const char *why;
	size_t bytes;

	*ret_secret = tls_secret_pair(of, &bytes);
	int n = sl_secret_parts(*ret_secret, bytes, SL_SECRET_PAIR, parts, &why);
	if (n < 0)
		abort();
	return (unsigned)n;
}

static int
put_wrong(struct sl_keyring *k, const struct crafted *c, enum wrong wrong)
{
	struct sl_secret_part parts[SL_SECRET_PARTS], more[SL_SECRET_PARTS];
	struct tls_cert *of = wrong == KEY_SHORT_RSA        ? c->weak
			      : wrong == CHAIN_NO_AUTHORITY ? c->other
			      : wrong == SAN_WITH_0         ? c->zero
							    : c->leaf;
	struct tls_cert *from = wrong == KEY_OF_ANOTHER_KIND ? c->rsa
				: wrong == CHAIN_OF_ANOTHER  ? c->fake
							     : c->other;
	void *secret, *also;
	uint8_t room[8192] = {0}, *at;
	unsigned n = parts_of(of, &secret, parts);
	unsigned which = wrong >= CERT_NOISE;
	size_t bytes;

	(void)parts_of(from, &also, more);
	memcpy(room, parts[which].data, parts[which].len);
	switch (wrong) {
	case KEY_OF_ANOTHER:
	case KEY_OF_ANOTHER_KIND:
		parts[0] = more[0];
		break;
	case KEY_WITH_ANOTHER_PUBLIC_PART: /* the private number, 04 20 …, is another, the public point stays */
		at = memmem(room, parts[0].len, "\x02\x01\x01\x04\x20", 5);
		CU_ASSERT_PTR_NOT_NULL_FATAL(at);
		at[20] ^= 1;
		parts[0].data = room;
		break;
	case KEY_NOISE:
	case CERT_NOISE:
		memset(room, 0x5a, sizeof(room));
		parts[which].data = room;
		break;
	case KEY_LONGER:
	case CERT_LONGER:
		parts[which] = (struct sl_secret_part){room, parts[which].len + 1};
		break;
	case CERT_CUT:
		parts[1].len--;
		break;
	case CERT_SIGNATURE: /* its last bytes */
		room[parts[1].len - 1] ^= 1;
		parts[1].data = room;
		break;
	case CHAIN_SWAPPED:
		more[0] = parts[1];
		parts[1] = parts[2];
		parts[2] = more[0];
		break;
	case CHAIN_OF_ANOTHER:
		parts[2] = more[1];
		break;
	case NO_CERT:
		n = 1;
		break;
	case KEY_SHORT_RSA:
	case CHAIN_NO_AUTHORITY:
	case SAN_WITH_0:
		break;
	}
	void *made = assemble(SL_SECRET_PAIR, parts, n, &bytes);
	free(secret);
	free(also);
	return put(k, SL_SECRET_PAIR, "a", made, bytes);
}

static void
what_is_wrong_with_a_pair_is_said_and_the_one_held_stays(void)
{
	static const struct {
		enum wrong wrong;
		const char *says;
	} rows[] = {
		{KEY_OF_ANOTHER, "the private key is not the one of the certificate"},
		{KEY_OF_ANOTHER_KIND, "the private key is not the one of the certificate"},
		{KEY_WITH_ANOTHER_PUBLIC_PART, "the private key"},
		{KEY_NOISE, "cannot be read as PKCS #8"},
		{KEY_LONGER, "cannot be read as PKCS #8"},
		{KEY_SHORT_RSA, "an RSA key of 1024 bits: 2048 to 8192 are taken"},
		{CERT_NOISE, "certificate 1 cannot be read"},
		{CERT_CUT, "certificate 1 cannot be read"},
		{CERT_LONGER, "certificate 1 has 1 bytes behind its end"},
		{CERT_SIGNATURE,
		 "the signature of certificate 1 is not by the key of certificate 2"},
		{CHAIN_SWAPPED, "certificate 1 was not issued by certificate 2"},
		{CHAIN_OF_ANOTHER, "certificate 2"},
		{CHAIN_NO_AUTHORITY, "certificate 1 was not issued by certificate 2"},
		{SAN_WITH_0, "has a 0 byte"},
		{NO_CERT, "a pair has a key and 1 to 10 certificates"},
	};
	struct sl_keyring *k = sl_keyring_create();
	struct crafted c;

	craft(&c);
	CU_ASSERT_EQUAL_FATAL(put_pair(k, "a", c.leaf), 0);
	const struct sl_pair *held = sl_keyring_pair(k, "a");
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		CU_ASSERT_EQUAL(put_wrong(k, &c, rows[i].wrong), -EINVAL);
		if (!strstr(text, rows[i].says)) {
			printf("row %u says: %s\n", i, text);
			CU_FAIL("the sentence");
		}
		CU_ASSERT_PTR_EQUAL(sl_keyring_pair(k, "a"), held);
	}
	crafted_free(&c);
	sl_keyring_destroy(k);
}

static void
a_bundle_has_authorities_only(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *ca = tls_cert_ca("ca"),
			*leaf = tls_cert_leaf(ca, TLS_CERT_EC, "a.example");
	struct tls_cert *both[] = {ca, leaf};
	size_t bytes;
	void *secret = tls_secret_trust(both, 2, &bytes);

	CU_ASSERT_EQUAL(put_trust(k, "mesh", ca), 0);
	CU_ASSERT_EQUAL(sl_keyring_trust(k, "mesh")->cnt, 1);
	CU_ASSERT_EQUAL(put(k, SL_SECRET_TRUST, "mesh", secret, bytes), -EINVAL);
	CU_ASSERT_STRING_EQUAL(text, "certificate 2 of the bundle is not an authority's");
	CU_ASSERT_EQUAL(sl_keyring_trust(k, "mesh")->cnt, 1);
	tls_cert_free(ca);
	tls_cert_free(leaf);
	sl_keyring_destroy(k);
}

/* Every byte of a secret changed, and the secret cut at every byte: nothing breaks, whatever is said. */
static void
damaged_secrets_do_no_harm(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *ca = tls_cert_ca("ca"), *c = tls_cert_leaf(ca, TLS_CERT_EC, "a.example");
	size_t bytes;
	uint8_t *secret = tls_secret_pair(c, &bytes);

	for (size_t i = 0; i < bytes; i++) {
		uint8_t *cut = guard_buf(bytes);
		memcpy(cut + i, secret, bytes - i); /* ends right before the guard */
		if ((uintptr_t)(cut + i) % 4 == 0)
			CU_ASSERT_NOT_EQUAL(sl_keyring_put(k, SL_SECRET_PAIR, "a", cut + i,
							   i ? bytes - i : bytes - 1, text),
					    0);
		guard_free(cut, bytes);
		secret[i] ^= 1u << i % 8;
		(void)sl_keyring_put(k, SL_SECRET_PAIR, "a", secret, bytes, text);
		secret[i] ^= 1u << i % 8;
	}
	CU_ASSERT_EQUAL(put(k, SL_SECRET_PAIR, "a", secret, bytes), 0);
	tls_cert_free(c);
	tls_cert_free(ca);
	sl_keyring_destroy(k);
}

/* ---- many, gone, replaced ---- */

static void
names_are_replaced_and_dropped_each_by_its_kind(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *a = tls_cert_leaf(NULL, TLS_CERT_EC, "a.example");
	struct tls_cert *b = tls_cert_leaf(NULL, TLS_CERT_EC, "b.example"), *ca = tls_cert_ca("ca");

	CU_ASSERT_EQUAL(put_pair(k, "x", a), 0);
	CU_ASSERT_EQUAL(put_trust(k, "x", ca), 0);
	CU_ASSERT_EQUAL(put_pair(k, "x", b), 0);
	CU_ASSERT_TRUE(has_host(sl_keyring_pair(k, "x"), "b.example"));
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_TRUST, "y"), -ENOENT);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_PAIR, "x"), 0);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_PAIR, "x"), -ENOENT);
	CU_ASSERT_PTR_NULL(sl_keyring_pair(k, "x"));
	CU_ASSERT_PTR_NOT_NULL(sl_keyring_trust(k, "x"));
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_TICKETS, "tickets"), -ENOENT);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, 77, "x"), -ENOENT);
	tls_cert_free(a);
	tls_cert_free(b);
	tls_cert_free(ca);
	sl_keyring_destroy(k);
}

static void
there_are_as_many_names_as_there_may_be(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *ca = tls_cert_ca("ca");
	char name[SL_NAME_MAX + 1];
	int bad = 0;

	for (unsigned i = 0; i < SL_MAX_SECRETS; i++) {
		snprintf(name, sizeof(name), "n%u", i * 7919 % SL_MAX_SECRETS);
		bad += put_trust(k, name, ca) != 0;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(put_trust(k, "another", ca), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "8192 names"));
	CU_ASSERT_EQUAL(put_trust(k, "n4711", ca), 0);
	for (unsigned i = 0; i < SL_MAX_SECRETS; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		bad += sl_keyring_trust(k, name) == NULL;
	}
	CU_ASSERT_EQUAL(bad, 0);
	memset(name, 'n', sizeof(name));
	CU_ASSERT_EQUAL(put_trust(k, name, ca), -EINVAL);
	tls_cert_free(ca);
	sl_keyring_destroy(k);
}

static void
ticket_keys_are_distinct_and_have_their_name(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct sl_ticket_key keys[3] = {tls_ticket_key(1), tls_ticket_key(2), tls_ticket_key(1)};
	size_t bytes;
	void *secret = tls_secret_tickets(keys, 3, &bytes);

	CU_ASSERT_EQUAL(put(k, SL_SECRET_TICKETS, "tickets", secret, bytes), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ticket keys 1 and 3 have the same name"));
	secret = tls_secret_tickets(keys, 2, &bytes);
	CU_ASSERT_EQUAL(put(k, SL_SECRET_TICKETS, "ticket", secret, bytes), -EINVAL);
	secret = tls_secret_tickets(keys, 2, &bytes);
	CU_ASSERT_EQUAL(put(k, SL_SECRET_TICKETS, "tickets", secret, bytes), 0);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_TICKETS, "tickets"), 0);
	sl_keyring_destroy(k);
}

/* ---- what stays behind ---- */

static uint8_t number[2][32]; /* a private number, and the same from its other end */

/* Looks through what calls before this one left of the stack. */
static __attribute__((noinline, no_sanitize("address"))) bool
on_stack(void)
{
	const uint8_t *low = (const uint8_t *)__builtin_frame_address(0) - 60000;

	for (const uint8_t *p = low; p < low + 59000; p++)
		for (unsigned e = 0; e < 2; e++) {
			unsigned n = 0;
			while (n < 16 && p[n] == number[e][n + 8])
				n++;
			if (n == 16)
				return true;
		}
	return false;
}

static void
no_key_bytes_stay_on_the_stack(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct tls_cert *c = tls_cert_leaf(NULL, TLS_CERT_EC, "a.example");
	BIGNUM *priv = NULL;
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);

	CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get_bn_param(c->key, OSSL_PKEY_PARAM_PRIV_KEY, &priv), 1);
	CU_ASSERT_EQUAL_FATAL(BN_bn2binpad(priv, number[0], 32), 32);
	for (unsigned i = 0; i < 32; i++)
		number[1][i] = number[0][31 - i];
	BN_clear_free(priv);
	CU_ASSERT_EQUAL(sl_keyring_put(k, SL_SECRET_PAIR, "a", secret, bytes, text), 0);
	CU_ASSERT_FALSE(on_stack());
	free(secret);
	tls_cert_free(c);
	sl_keyring_destroy(k);
}

SL_SUITE("keyring", SL_TEST(a_pair_is_kept_with_its_chain_names_kind_and_dates),
	 SL_TEST(the_common_name_counts_where_there_are_no_sans_at_all),
	 SL_TEST(each_kind_of_key_is_told_apart),
	 SL_TEST(what_is_wrong_with_a_pair_is_said_and_the_one_held_stays),
	 SL_TEST(a_bundle_has_authorities_only), SL_TEST(damaged_secrets_do_no_harm),
	 SL_TEST(names_are_replaced_and_dropped_each_by_its_kind),
	 SL_TEST(there_are_as_many_names_as_there_may_be),
	 SL_TEST(ticket_keys_are_distinct_and_have_their_name),
	 SL_TEST(no_key_bytes_stay_on_the_stack))

/* Keys from secrets: RFC 8448's, and what the RFCs' words give when they are put together from HMAC. */
#include "l7/tls/keys.h"
#include "tests/suite.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

struct known {
	const char *secret, *key, *iv;
};

/* RFC 8448, 3: {client} and {server} derive write traffic keys for application data. */
static const struct known known[] = {
	{"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
	 "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
	{"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
	 "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"},
};

static void
unhex(const char *hex, uint8_t *to)
{
	for (unsigned v; sscanf(hex, "%2x", &v) == 1; hex += 2)
		*to++ = (uint8_t)v;
}

static void
keys_of_rfc_8448_come_from_its_secrets(void)
{
	struct sl_keys *k = sl_keys_create(NULL);

	CU_ASSERT_FATAL(k != NULL);
	for (unsigned i = 0; i < SL_ARRAY_CNT(known); i++) {
		uint8_t secret[32], key[16], iv[12], got_key[32], got_iv[12];
		unhex(known[i].secret, secret);
		unhex(known[i].key, key);
		unhex(known[i].iv, iv);
		CU_ASSERT(sl_keys_expand(k, SL_SUITE_AES128_GCM, secret, got_key, got_iv));
		CU_ASSERT(!memcmp(key, got_key, 16));
		CU_ASSERT(!memcmp(iv, got_iv, 12));
	}
	sl_keys_destroy(k);
}

static const EVP_MD *
hash_of(unsigned suite)
{
	return suite == SL_SUITE_AES256_GCM ? EVP_sha384() : EVP_sha256();
}

/* RFC 8446 7.1 for lengths of one hash: HMAC(secret, length, label, no context, 1). */
static void
expand_label(unsigned suite, const uint8_t *secret, const char *label, uint8_t *to, uint8_t len)
{
	uint8_t info[64] = {0, len, (uint8_t)(6 + strlen(label))}, full[64];
	unsigned n = 3, full_len;

	n += (unsigned)sprintf((char *)info + n, "tls13 %s", label);
	info[n++] = 0;
	info[n++] = 1;
	HMAC(hash_of(suite), secret, (int)sl_suite_hash_len(suite), info, n, full, &full_len);
	memcpy(to, full, len);
}

static const unsigned suites[] = {SL_SUITE_AES128_GCM, SL_SUITE_AES256_GCM, SL_SUITE_CHACHA20};

static void
each_suite_expands_as_rfc_8446_says(void)
{
	struct sl_keys *k = sl_keys_create(NULL);
	uint8_t secret[48], want[48], key[32], iv[12];

	for (unsigned i = 0; i < SL_ARRAY_CNT(suites); i++) {
		unsigned s = suites[i], key_len = s == SL_SUITE_AES128_GCM ? 16 : 32;
		memset(secret, 0x5a + (int)i, sizeof(secret));
		CU_ASSERT(sl_keys_expand(k, s, secret, key, iv));
		CU_ASSERT_EQUAL(sl_suite_key_len(s), key_len);
		expand_label(s, secret, "key", want, (uint8_t)key_len);
		CU_ASSERT(!memcmp(want, key, key_len));
		expand_label(s, secret, "iv", want, 12);
		CU_ASSERT(!memcmp(want, iv, 12));
	}
	sl_keys_destroy(k);
}

static void
the_next_secret_comes_from_the_one_before(void)
{
	struct sl_keys *k = sl_keys_create(NULL);
	uint8_t secret[48], want[48];

	for (unsigned i = 0; i < SL_ARRAY_CNT(suites); i++) {
		unsigned len = sl_suite_hash_len(suites[i]);
		memset(secret, 7 + (int)i, sizeof(secret));
		memset(want, 7 + (int)i, sizeof(want));
		for (unsigned turn = 0; turn < 3; turn++) {
			uint8_t next[48];
			expand_label(suites[i], want, "traffic upd", next, (uint8_t)len);
			memcpy(want, next, len);
			CU_ASSERT(sl_keys_next(k, suites[i], secret));
			CU_ASSERT(!memcmp(secret, want, sizeof(secret)));
		}
	}
	sl_keys_destroy(k);
}

/* RFC 5246 5: P_hash(secret, seed). */
static void
p_hash(unsigned suite, const uint8_t *secret, const uint8_t *seed, uint32_t seed_len, uint8_t *to,
       uint32_t len)
{
	uint8_t a[64 + 128], block[64];
	unsigned n, hash = sl_suite_hash_len(suite);

	HMAC(hash_of(suite), secret, 48, seed, seed_len, a, &n);
	for (uint32_t at = 0; at < len; at += hash) {
		memcpy(a + hash, seed, seed_len);
		HMAC(hash_of(suite), secret, 48, a, hash + seed_len, block, &n);
		memcpy(to + at, block, SL_MIN(hash, len - at));
		HMAC(hash_of(suite), secret, 48, a, hash, block, &n);
		memcpy(a, block, hash);
	}
}

static void
each_suite_expands_as_rfc_5246_says(void)
{
	struct sl_keys *k = sl_keys_create(NULL);
	uint8_t master[48], seed[13 + 64] = "key expansion", *server = seed + 13,
				      *client = seed + 45;

	memset(master, 3, sizeof(master));
	memset(server, 's', 32);
	memset(client, 'c', 32);
	for (unsigned i = 0; i < SL_ARRAY_CNT(suites); i++) {
		unsigned s = suites[i], key = sl_suite_key_len(s);
		unsigned iv = s == SL_SUITE_CHACHA20 ? 12 : 4;
		uint8_t want[128], ck[32], ci[12], sk[32], si[12];
		p_hash(s, master, seed, sizeof(seed), want, 2 * (key + iv));
		CU_ASSERT(sl_keys_expand_12(k, s, master, client, server, ck, ci, sk, si));
		CU_ASSERT(!memcmp(want, ck, key));
		CU_ASSERT(!memcmp(want + key, sk, key));
		CU_ASSERT(!memcmp(want + 2 * key, ci, iv));
		CU_ASSERT(!memcmp(want + 2 * key + iv, si, iv));
	}
	sl_keys_destroy(k);
}

SL_SUITE("keys", SL_TEST(keys_of_rfc_8448_come_from_its_secrets),
	 SL_TEST(each_suite_expands_as_rfc_8446_says),
	 SL_TEST(the_next_secret_comes_from_the_one_before),
	 SL_TEST(each_suite_expands_as_rfc_5246_says))

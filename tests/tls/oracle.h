/* oracle — records by OpenSSL's EVP, put together from the RFCs' words and nothing of l7/tls: what the record layer is compared with. */
#ifndef SL_TESTS_TLS_ORACLE_H
#define SL_TESTS_TLS_ORACLE_H

#include "l7/tls/record.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct oracle {
	unsigned version, suite;
	uint8_t key[32], iv[12];
	uint64_t seq;
};

static inline void
oracle_die(bool bad)
{
	if (bad)
		abort();
}

static inline const EVP_CIPHER *
oracle_cipher(unsigned suite)
{
	return suite == SL_SUITE_AES128_GCM   ? EVP_aes_128_gcm()
	       : suite == SL_SUITE_AES256_GCM ? EVP_aes_256_gcm()
					      : EVP_chacha20_poly1305();
}

/* Bytes of the nonce that the record carries. */
static inline uint32_t
oracle_explicit(const struct oracle *o)
{
	return o->version == SL_TLS_1_2 && o->suite != SL_SUITE_CHACHA20 ? 8 : 0;
}

static inline void
oracle_be(uint8_t *to, uint64_t v, unsigned n)
{
	while (n--) {
		to[n] = (uint8_t)v;
		v >>= 8;
	}
}

/* RFC 8446 5.3; RFC 5288 3; RFC 7905 2. */
static inline void
oracle_nonce(const struct oracle *o, const uint8_t *explicit_nonce, uint8_t nonce[12])
{
	uint8_t seq[12] = {0};

	if (oracle_explicit(o)) {
		memcpy(nonce, o->iv, 4);
		memcpy(nonce + 4, explicit_nonce, 8);
		return;
	}
	oracle_be(seq + 4, o->seq, 8);
	for (unsigned i = 0; i < 12; i++)
		nonce[i] = o->iv[i] ^ seq[i];
}

/* RFC 8446 5.2; RFC 5246 6.2.3.3.  len: of the content, in 1.2. */
static inline int
oracle_aad(const struct oracle *o, const uint8_t *header, uint32_t len, uint8_t aad[13])
{
	if (o->version == SL_TLS_1_3) {
		memcpy(aad, header, 5);
		return 5;
	}
	oracle_be(aad, o->seq, 8);
	memcpy(aad + 8, header, 3);
	oracle_be(aad + 11, len, 2);
	return 13;
}

/* body in place; the tag is written (enc) or checked.  false: it does not fit. */
static inline bool
oracle_aead(const struct oracle *o, bool enc, const uint8_t *nonce, const uint8_t *aad, int aad_len,
	    uint8_t *body, uint32_t n, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len;

	oracle_die(!c || !EVP_CipherInit_ex(c, oracle_cipher(o->suite), NULL, NULL, NULL, enc) ||
		   !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) ||
		   !EVP_CipherInit_ex(c, NULL, NULL, o->key, nonce, enc) ||
		   (!enc && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag)) ||
		   !EVP_CipherUpdate(c, NULL, &len, aad, aad_len) ||
		   (n && !EVP_CipherUpdate(c, body, &len, body, (int)n)));
	bool ok = EVP_CipherFinal_ex(c, body + n, &len) == 1;
	oracle_die(enc && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag));
	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* oracle_seal_raw makes a record of the header's type around a body as it is: n bytes of inner plaintext in 1.3, of content in 1.2.  Its
 * bytes. */
static inline uint32_t
oracle_seal_raw(struct oracle *o, uint8_t type, const uint8_t *body, uint32_t n, uint8_t *out)
{
	uint32_t explicit_len = oracle_explicit(o), len = explicit_len + n + 16;
	uint8_t nonce[12], aad[13];

	out[0] = type;
	out[1] = out[2] = 3;
	oracle_be(out + 3, len, 2);
	oracle_be(out + 5, o->seq, explicit_len);
	memmove(out + 5 + explicit_len, body, n);
	oracle_nonce(o, out + 5, nonce);
	int aad_len = oracle_aad(o, out, n, aad);
	oracle_aead(o, true, nonce, aad, aad_len, out + 5 + explicit_len, n,
		    out + 5 + explicit_len + n);
	o->seq++;
	return 5 + len;
}

/* With padding zeros in 1.3 (in 1.2 there is none). */
static inline uint32_t
oracle_seal(struct oracle *o, uint8_t type, const uint8_t *plain, uint32_t n, uint32_t padding,
	    uint8_t *out)
{
	static uint8_t inner[65536];

	if (o->version == SL_TLS_1_2)
		return oracle_seal_raw(o, type, plain, n, out);
	memcpy(inner, plain, n);
	inner[n] = type;
	memset(inner + n + 1, 0, padding);
	return oracle_seal_raw(o, SL_RECORD_DATA, inner, n + 1 + padding, out);
}

/* A record's content into ret, its length and type; -1: refused.  The header is believed but for what RFC 8446 says of it. */
static inline int
oracle_open(struct oracle *o, const uint8_t *record, uint32_t bytes, uint8_t *ret,
	    uint8_t *ret_type)
{
	uint32_t off = 5 + oracle_explicit(o);
	uint8_t nonce[12], aad[13], tag[16];

	if (bytes < off + 16 || record[1] != 3 || record[2] != 3 ||
	    bytes - 5 != 256u * record[3] + record[4])
		return -1;
	uint32_t n = bytes - 16 - off;
	oracle_nonce(o, record + 5, nonce);
	int aad_len = oracle_aad(o, record, n, aad);
	memcpy(ret, record + off, n);
	memcpy(tag, record + bytes - 16, 16);
	if (!oracle_aead(o, false, nonce, aad, aad_len, ret, n, tag))
		return -1;
	o->seq++;
	*ret_type = record[0];
	if (o->version == SL_TLS_1_2)
		return (int)n;
	if (record[0] != SL_RECORD_DATA)
		return -1;
	while (n && !ret[n - 1])
		n--;
	if (!n)
		return -1;
	*ret_type = ret[n - 1];
	return (int)n - 1;
}

#endif

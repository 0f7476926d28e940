#include "tests/tls/tls_certs.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NEED(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- keys ---- */

static EVP_PKEY *
rsa_lent(void)
{
	static EVP_PKEY *rsa;
	if (!rsa)
		NEED(rsa = EVP_RSA_gen(2048));
	NEED(EVP_PKEY_up_ref(rsa));
	return rsa;
}

static EVP_PKEY *
key_make(enum tls_cert_key kind)
{
	EVP_PKEY *k = NULL;
	switch (kind) {
	case TLS_CERT_EC:
		k = EVP_EC_gen("P-256");
		break;
	case TLS_CERT_EC384:
		k = EVP_EC_gen("P-384");
		break;
	case TLS_CERT_RSA:
		k = rsa_lent();
		break;
	case TLS_CERT_RSA_NEW:
		k = EVP_RSA_gen(2048);
		break;
	case TLS_CERT_RSA_1024:
		k = EVP_RSA_gen(1024);
		break;
	case TLS_CERT_ED25519:
		k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	}
	NEED(k);
	return k;
}

/* ---- extensions ---- */

static GENERAL_NAME *
san_ip(const char *text)
{
	GENERAL_NAME *n = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(text);
	NEED(n && ip);
	GENERAL_NAME_set0_value(n, GEN_IPADD, ip);
	return n;
}

/* Bytes as they are, whatever they are: tests want names that nobody should issue. */
static GENERAL_NAME *
san_make(const struct tls_cert_san *san)
{
	static const struct {
		const char *prefix;
		int type;
	} kinds[] = {{"DNS:", GEN_DNS}, {"URI:", GEN_URI}, {"EMAIL:", GEN_EMAIL}};
	size_t len = san->len ? san->len : strlen(san->text);
	if (!strncmp(san->text, "IP:", 3))
		return san_ip(san->text + 3);
	for (unsigned i = 0; i < SL_ARRAY_CNT(kinds); i++) {
		size_t skip = strlen(kinds[i].prefix);
		if (len < skip || memcmp(san->text, kinds[i].prefix, skip))
			continue;
		GENERAL_NAME *n = GENERAL_NAME_new();
		ASN1_IA5STRING *s = ASN1_IA5STRING_new();
		NEED(n && s && ASN1_STRING_set(s, san->text + skip, (int)(len - skip)));
		GENERAL_NAME_set0_value(n, kinds[i].type, s);
		return n;
	}
	NEED(!"a kind of SAN that is known");
	return NULL;
}

static void
sans_add(X509 *x, const struct tls_cert_spec *spec)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	NEED(names);
	for (unsigned i = 0; i < TLS_SAN_MAX && spec->sans[i].text; i++)
		NEED(sk_GENERAL_NAME_push(names, san_make(&spec->sans[i])) > 0);
	if (sk_GENERAL_NAME_num(names))
		NEED(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static void
ext_add(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	NEED(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static void
exts_add(X509 *x, X509 *issuer, const struct tls_cert_spec *spec)
{
	const char *usage = spec->usage ? spec->usage : spec->ca ? "" : "serverAuth,clientAuth";
	ext_add(x, issuer, NID_subject_key_identifier, "hash");
	ext_add(x, issuer, NID_authority_key_identifier, "keyid");
	ext_add(x, issuer, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
	ext_add(x, issuer, NID_key_usage,
		spec->ca ? "critical,keyCertSign,cRLSign"
			 : "critical,digitalSignature,keyEncipherment");
	if (*usage)
		ext_add(x, issuer, NID_ext_key_usage, usage);
	sans_add(x, spec);
}

/* ---- certificates ---- */

static void
dates_set(X509 *x, const struct tls_cert_spec *spec)
{
	bool usual = !spec->from_s && !spec->until_s;
	time_t now = time(NULL);
	NEED(ASN1_TIME_set(X509_getm_notBefore(x), now + (usual ? -3600 : spec->from_s)));
	NEED(ASN1_TIME_set(X509_getm_notAfter(x), now + (usual ? 30 * 86400 : spec->until_s)));
}

struct tls_cert *
tls_cert_make(const struct tls_cert_spec *spec)
{
	static long serial = 1;
	struct tls_cert *c = calloc(1, sizeof(*c));
	NEED(c);
	*c = (struct tls_cert){
		.x = X509_new(), .key = key_make(spec->key), .refs = 1, .issuer = spec->issuer};
	NEED(c->x && X509_set_version(c->x, 2) &&
	     ASN1_INTEGER_set(X509_get_serialNumber(c->x), serial++) &&
	     X509_set_pubkey(c->x, c->key));
	if (spec->issuer)
		spec->issuer->refs++;
	X509_NAME *name = X509_get_subject_name(c->x);
	if (spec->cn)
		NEED(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
						(const uint8_t *)spec->cn, -1, -1, 0));
	const struct tls_cert *by = spec->issuer ? spec->issuer : c;
	NEED(X509_set_issuer_name(c->x, X509_get_subject_name(by->x)));
	dates_set(c->x, spec);
	exts_add(c->x, by->x, spec);
	const EVP_MD *md = EVP_PKEY_is_a(by->key, "ED25519") ? NULL : EVP_sha256();
	NEED(X509_sign(c->x, by->key, md) > 0);
	return c;
}

void
tls_cert_free(struct tls_cert *c)
{
	while (c && --c->refs == 0) {
		struct tls_cert *issuer = c->issuer;
		X509_free(c->x);
		EVP_PKEY_free(c->key);
		free(c);
		c = issuer;
	}
}

struct tls_cert *
tls_cert_leaf(struct tls_cert *issuer, enum tls_cert_key key, const char *dns)
{
	char san[300];
	NEED(snprintf(san, sizeof(san), "DNS:%s", dns) < (int)sizeof(san));
	return tls_cert_make(
		&(struct tls_cert_spec){.key = key, .sans = {{san, 0}}, .issuer = issuer});
}

struct tls_cert *
tls_cert_ca(const char *cn)
{
	return tls_cert_make(&(struct tls_cert_spec){.cn = cn, .ca = true});
}

unsigned
tls_cert_chain(const struct tls_cert *c, X509 *ret[SL_SECRET_CHAIN])
{
	unsigned cnt = 0;
	ret[cnt++] = c->x;
	for (c = c->issuer; c && c->issuer && cnt < SL_SECRET_CHAIN; c = c->issuer)
		ret[cnt++] = c->x;
	return cnt;
}

/* ---- secrets ---- */

struct part {
	uint8_t *data;
	int len;
};

/* Takes the parts over. */
static void *
secret_make(uint32_t kind, struct part *parts, unsigned cnt, size_t *ret_bytes)
{
	size_t bytes = sizeof(struct sl_secret_head) + cnt * sizeof(uint32_t), at = bytes;
	for (unsigned i = 0; i < cnt; i++)
		bytes += (size_t)parts[i].len;
	struct sl_secret_head *h = calloc(1, bytes);
	NEED(h);
	*h = (struct sl_secret_head){.magic = SL_SECRET_MAGIC, .kind = kind, .part_cnt = cnt};
	for (unsigned i = 0; i < cnt; i++) {
		h->len[i] = (uint32_t)parts[i].len;
		memcpy((uint8_t *)h + at, parts[i].data, (size_t)parts[i].len);
		at += (size_t)parts[i].len;
		OPENSSL_free(parts[i].data);
	}
	*ret_bytes = bytes;
	return h;
}

static struct part
part_cert(X509 *x)
{
	struct part p = {NULL, 0};
	NEED((p.len = i2d_X509(x, &p.data)) > 0);
	return p;
}

static struct part
part_key(EVP_PKEY *key)
{
	struct part p = {NULL, 0};
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
	NEED(p8 && (p.len = i2d_PKCS8_PRIV_KEY_INFO(p8, &p.data)) > 0);
	PKCS8_PRIV_KEY_INFO_free(p8);
	return p;
}

void *
tls_secret_pair(const struct tls_cert *c, size_t *ret_bytes)
{
	X509 *chain[SL_SECRET_CHAIN];
	struct part parts[SL_SECRET_CHAIN + 1] = {part_key(c->key)};
	unsigned cnt = tls_cert_chain(c, chain);
	for (unsigned i = 0; i < cnt; i++)
		parts[i + 1] = part_cert(chain[i]);
	return secret_make(SL_SECRET_PAIR, parts, cnt + 1, ret_bytes);
}

void *
tls_secret_trust(struct tls_cert *const *cas, unsigned cnt, size_t *ret_bytes)
{
	struct part parts[64];
	NEED(cnt && cnt <= SL_ARRAY_CNT(parts));
	for (unsigned i = 0; i < cnt; i++)
		parts[i] = part_cert(cas[i]->x);
	return secret_make(SL_SECRET_TRUST, parts, cnt, ret_bytes);
}

void *
tls_secret_tickets(const struct sl_ticket_key *keys, unsigned cnt, size_t *ret_bytes)
{
	struct part parts[SL_TICKET_KEYS];
	NEED(cnt && cnt <= SL_TICKET_KEYS);
	for (unsigned i = 0; i < cnt; i++)
		NEED(parts[i].data = OPENSSL_memdup(&keys[i], parts[i].len = sizeof(keys[i])));
	return secret_make(SL_SECRET_TICKETS, parts, cnt, ret_bytes);
}

struct sl_ticket_key
tls_ticket_key(unsigned seed)
{
	struct sl_ticket_key k;
	uint8_t *p = (uint8_t *)&k;
	for (unsigned i = 0; i < sizeof(k); i++)
		p[i] = (uint8_t)(seed * 37 + i * 11 + (i >> 4));
	return k;
}

/* ---- PEM ---- */

static char *
bio_text(BIO *b)
{
	char *data;
	long n = BIO_get_mem_data(b, &data);
	char *text = strndup(data, (size_t)n);
	NEED(n > 0 && text);
	BIO_free(b);
	return text;
}

char *
tls_cert_pem(const struct tls_cert *c)
{
	X509 *chain[SL_SECRET_CHAIN];
	unsigned cnt = tls_cert_chain(c, chain);
	BIO *b = BIO_new(BIO_s_mem());
	NEED(b);
	for (unsigned i = 0; i < cnt; i++)
		NEED(PEM_write_bio_X509(b, chain[i]));
	return bio_text(b);
}

char *
tls_cert_key_pem(const struct tls_cert *c)
{
	BIO *b = BIO_new(BIO_s_mem());
	NEED(b && PEM_write_bio_PKCS8PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL));
	return bio_text(b);
}

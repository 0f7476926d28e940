/* Secrets by (kind, name), sorted.  What is put in has been looked at whole before anything changes:
 *
 *   PAIR     key: PKCS #8, of a kind and size that servers have ─▶ signs what the first certificate's key verifies
 *            chain: each certificate is issued, and signed, by the one behind it
 *   TRUST    certificates of authorities
 *   TICKETS  keys of distinct names
 *
 * Dates are kept and not judged: a certificate that has expired is better than none, and clocks are others' business.
 * OpenSSL leaves parts of keys on the stack, which is cleansed below the frame of sl_keyring_put. */
#include "l7/tls/book_priv.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define PAIR_HOSTS 1024 /* of one certificate */
#define RSA_MIN 2048
#define RSA_MAX 8192
#define STACK_BYTES 65536 /* more than OpenSSL has ever used of it */

struct entry {
	uint32_t kind; /* enum sl_secret_kind, not TICKETS */
	char name[SL_NAME_MAX];
	void *what; /* struct sl_pair, struct sl_trust: one reference */
};

struct sl_keyring {
	uint32_t cnt, room;
	struct entry *entries; /* [cnt], sorted by (kind, name) */
	uint32_t ticket_cnt;   /* 0: own */
	struct sl_ticket_key tickets[SL_TICKET_KEYS], own;
};

/* What looks at a secret. */
struct look {
	const struct sl_secret_part *parts;
	uint32_t cnt;
	char *text; /* [SL_KEYRING_TEXT] */
	X509 *certs[1 + SL_SECRET_CHAIN];
	uint32_t cert_cnt;
	EVP_PKEY *key;
};

/* ---- reasons ---- */

__attribute__((format(printf, 2, 3))) static int
refuse(struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->text, SL_KEYRING_TEXT, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int
no_memory(struct look *l)
{
	(void)refuse(l, "there is no memory for it: raise tls.memory_mb of the boot file");
	return -ENOMEM;
}

static const char *
openssl_says(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return why ? why : "no reason given";
}

/* ---- names ---- */

/* A host name of n bytes in lower case, or "*." and one; false: it is none, and no client asks for it. */
static bool
host_lower(const uint8_t *s, int n, char ret[SL_HOST_MAX])
{
	int label = 0;

	if (n <= 0 || n >= SL_HOST_MAX - 2)
		return false;
	for (int i = 0; i < n; i++) {
		uint8_t c = s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 32 : s[i];
		bool star = c == '*' && i == 0 && n > 2 && s[1] == '.';
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			    c == '_' || star;
		if (c == '.' ? label == 0 : !word)
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
		ret[i] = (char)c;
	}
	memset(ret + n, 0, (size_t)(SL_HOST_MAX - n));
	return label > 0;
}

static bool
add_host(struct sl_pair *p, const uint8_t *s, int n)
{
	char host[SL_HOST_MAX];

	if (!host_lower(s, n, host))
		return true;
	if (p->host_cnt == PAIR_HOSTS)
		return false;
	memcpy(p->hosts[p->host_cnt++], host, sizeof(host));
	return true;
}

static int
sans_hosts(struct look *l, struct sl_pair *p, const GENERAL_NAMES *sans)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);
		if (g->type != GEN_DNS)
			continue;
		const uint8_t *s = ASN1_STRING_get0_data(g->d.dNSName);
		int n = ASN1_STRING_length(g->d.dNSName);
		if (n > 0 && memchr(s, 0, (size_t)n))
			return refuse(l, "a name of its certificate has a 0 byte");
		if (!add_host(p, s, n))
			return refuse(l, "its certificate has more than %u names", PAIR_HOSTS);
	}
	return 0;
}

static int
common_name(struct look *l, struct sl_pair *p)
{
	const X509_NAME *subject = X509_get_subject_name(l->certs[0]);
	uint8_t *utf8 = NULL;
	int at = -1, next, n = -1;

	while ((next = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		at = next;
	if (at >= 0)
		n = ASN1_STRING_to_UTF8(&utf8,
					X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	bool zero = n > 0 && memchr(utf8, 0, (size_t)n);
	if (n > 0 && !zero)
		(void)add_host(p, utf8, n);
	OPENSSL_free(utf8);
	return zero ? refuse(l, "the common name of its certificate has a 0 byte") : 0;
}

/* Names of the first certificate: DNS SANs; its common name where there are no SANs at all. */
static int
find_hosts(struct look *l, struct sl_pair *p)
{
	int crit = 0, err;
	GENERAL_NAMES *sans = X509_get_ext_d2i(l->certs[0], NID_subject_alt_name, &crit, NULL);
	int room = sans ? SL_MIN(sk_GENERAL_NAME_num(sans), PAIR_HOSTS) : 1;

	if (!sans && crit != -1)
		return refuse(l, "the subjectAltName of its certificate cannot be read");
	p->hosts = OPENSSL_malloc((size_t)SL_MAX(room, 1) * sizeof(*p->hosts));
	if (!p->hosts)
		err = no_memory(l);
	else
		err = sans ? sans_hosts(l, p, sans) : common_name(l, p);
	GENERAL_NAMES_free(sans);
	return err;
}

/* ---- certificates ---- */

static int
read_cert(struct look *l, const struct sl_secret_part *part, unsigned no, X509 **ret)
{
	const uint8_t *at = part->data;
	X509 *x = d2i_X509(NULL, &at, (long)part->len);

	if (!x)
		return refuse(l, "certificate %u cannot be read: %s", no, openssl_says());
	if (at != part->data + part->len) {
		X509_free(x);
		return refuse(l, "certificate %u has %zu bytes behind its end", no,
			      (size_t)(part->data + part->len - at));
	}
	if (X509_get_extension_flags(x) & EXFLAG_INVALID || !X509_get0_pubkey(x)) {
		X509_free(x);
		return refuse(l, "certificate %u has extensions or a key that cannot be read", no);
	}
	*ret = x;
	return 0;
}

static int
read_chain(struct look *l)
{
	for (uint32_t i = 1; i < l->cnt; i++) {
		int err = read_cert(l, &l->parts[i], i, &l->certs[l->cert_cnt]);
		if (err)
			return err;
		l->cert_cnt++;
	}
	for (uint32_t i = 0; i + 1 < l->cert_cnt; i++) {
		X509 *issuer = l->certs[i + 1];
		if (X509_check_issued(issuer, l->certs[i]) != X509_V_OK)
			return refuse(
				l,
				"certificate %u was not issued by certificate %u: each stands "
				"behind the one it issued",
				i + 1, i + 2);
		if (!X509_check_ca(issuer))
			return refuse(l, "certificate %u of the chain is not an authority's",
				      i + 2);
		if (X509_verify(l->certs[i], X509_get0_pubkey(issuer)) != 1)
			return refuse(l,
				      "the signature of certificate %u is not by the key of "
				      "certificate %u",
				      i + 1, i + 2);
	}
	return 0;
}

static bool
seconds(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return false;
	*ret = timegm(&tm);
	return true;
}

/* ---- the key ---- */

static int
check_rsa(struct look *l, struct sl_pair *p)
{
	int bits = EVP_PKEY_get_bits(l->key);

	p->type = SL_KEY_RSA;
	if (bits < RSA_MIN || bits > RSA_MAX)
		return refuse(l, "an RSA key of %d bits: %d to %d are taken", bits, RSA_MIN,
			      RSA_MAX);
	return 0;
}

static int
check_ec(struct look *l, struct sl_pair *p)
{
	static const char *const curves[] = {"prime256v1", "P-256",     "secp384r1",
					     "P-384",      "secp521r1", "P-521"};
	char name[64] = "of no name";
	size_t n;

	p->type = SL_KEY_EC;
	(void)EVP_PKEY_get_utf8_string_param(l->key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name),
					     &n);
	for (unsigned i = 0; i < SL_ARRAY_CNT(curves); i++)
		if (strcmp(name, curves[i]) == 0)
			return 0;
	return refuse(l, "an EC key on curve %s: P-256, P-384 and P-521 are taken", name);
}

static int
check_kind(struct look *l, struct sl_pair *p)
{
	switch (EVP_PKEY_get_base_id(l->key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return check_rsa(l, p);
	case EVP_PKEY_EC:
		return check_ec(l, p);
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		p->type = SL_KEY_ED;
		return 0;
	}
	return refuse(l, "a key of a kind that signs no handshake: RSA, EC and Ed25519 are taken");
}

/* Whether the certificate's key verifies what the key signs: the public parts that stand in both may be the same without that. */
static bool
signs(EVP_PKEY *key, EVP_PKEY *public, bool digest)
{
	static const uint8_t said[32] = "a handshake that will come soon";
	uint8_t signature[RSA_MAX / 8];
	size_t n = sizeof(signature);
	EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
	const EVP_MD *md = digest ? EVP_sha256() : NULL;

	bool ok = sign && verify && EVP_DigestSignInit(sign, NULL, md, NULL, key) == 1 &&
		  EVP_DigestSign(sign, signature, &n, said, sizeof(said)) == 1 &&
		  EVP_DigestVerifyInit(verify, NULL, md, NULL, public) == 1 &&
		  EVP_DigestVerify(verify, signature, n, said, sizeof(said)) == 1;
	EVP_MD_CTX_free(sign);
	EVP_MD_CTX_free(verify);
	return ok;
}

static int
read_key(struct look *l, struct sl_pair *p)
{
	const uint8_t *at = l->parts[0].data;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)l->parts[0].len);

	if (info && at == l->parts[0].data + l->parts[0].len)
		l->key = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info); /* cleanses */
	if (!l->key)
		return refuse(l, "the private key cannot be read as PKCS #8: %s", openssl_says());
	int err = check_kind(l, p);
	if (err)
		return err;
	if (X509_check_private_key(l->certs[0], l->key) != 1 ||
	    !signs(l->key, X509_get0_pubkey(l->certs[0]), p->type != SL_KEY_ED))
		return refuse(l, "the private key is not the one of the certificate");
	return 0;
}

/* ---- what is kept ---- */

static bool
keep(struct sl_blob *to, const struct sl_secret_part *part)
{
	to->data = OPENSSL_memdup(part->data, part->len);
	to->len = to->data ? part->len : 0;
	return to->data;
}

static int
look_at_pair(struct look *l, struct sl_pair *p)
{
	int err = read_chain(l);

	if (!err)
		err = read_key(l, p);
	if (!err)
		err = find_hosts(l, p);
	if (!err && (!seconds(X509_get0_notBefore(l->certs[0]), &p->not_before) ||
		     !seconds(X509_get0_notAfter(l->certs[0]), &p->not_after)))
		err = refuse(l, "the dates of its certificate cannot be read");
	if (!err && !keep(&p->key, &l->parts[0]))
		err = no_memory(l);
	for (uint32_t i = 1; !err && i < l->cnt; i++)
		if (keep(&p->chain[p->chain_cnt], &l->parts[i]))
			p->chain_cnt++;
		else
			err = no_memory(l);
	return err;
}

static int
look_at_trust(struct look *l, struct sl_trust *t)
{
	int err = 0;

	t->certs = OPENSSL_zalloc(l->cnt * sizeof(*t->certs));
	if (!t->certs)
		return no_memory(l);
	for (uint32_t i = 0; i < l->cnt && !err; i++) {
		X509 *x = NULL;
		err = read_cert(l, &l->parts[i], i + 1, &x);
		if (!err && !X509_check_ca(x))
			err = refuse(l, "certificate %u of the bundle is not an authority's",
				     i + 1);
		if (!err && !keep(&t->certs[t->cnt++], &l->parts[i]))
			err = no_memory(l);
		X509_free(x);
	}
	return err;
}

static void
look_end(struct look *l)
{
	for (uint32_t i = 0; i < l->cert_cnt; i++)
		X509_free(l->certs[i]);
	EVP_PKEY_free(l->key);
	ERR_clear_error();
}

/* ---- entries ---- */

static int
order(const struct entry *e, uint32_t kind, const char *name)
{
	return e->kind != kind ? (e->kind < kind ? -1 : 1) : strcmp(e->name, name);
}

/* The first that is not before it. */
static uint32_t
place(const struct sl_keyring *k, uint32_t kind, const char *name)
{
	uint32_t lo = 0, hi = k->cnt;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (order(&k->entries[mid], kind, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *
find(const struct sl_keyring *k, uint32_t kind, const char *name)
{
	uint32_t at = place(k, kind, name);

	return at < k->cnt && order(&k->entries[at], kind, name) == 0 ? &k->entries[at] : NULL;
}

static void
put_what(uint32_t kind, void *what)
{
	if (kind == SL_SECRET_PAIR)
		sl_pair_put(what);
	else
		sl_trust_put(what);
}

/* Makes room for one of that name, before it is looked at. */
static int
make_room(struct sl_keyring *k, struct look *l, uint32_t kind, const char *name)
{
	if (find(k, kind, name) || k->cnt < k->room)
		return 0;
	if (k->cnt == SL_MAX_SECRETS) {
		(void)refuse(l, "%u names are held already, which is as many as there may be",
			     SL_MAX_SECRETS);
		return -ENOSPC;
	}
	uint32_t room = SL_MIN(k->room ? 2 * k->room : 16, (uint32_t)SL_MAX_SECRETS);
	struct entry *e = OPENSSL_realloc(k->entries, room * sizeof(*e));
	if (!e)
		return no_memory(l);
	k->entries = e;
	k->room = room;
	return 0;
}

static void
insert(struct sl_keyring *k, uint32_t kind, const char *name, void *what)
{
	uint32_t at = place(k, kind, name);
	struct entry *e = &k->entries[at];

	if (at < k->cnt && order(e, kind, name) == 0) {
		put_what(kind, e->what);
		e->what = what;
		return;
	}
	memmove(e + 1, e, (k->cnt - at) * sizeof(*e));
	k->cnt++;
	*e = (struct entry){.kind = kind, .what = what};
	strcpy(e->name, name);
}

/* ---- put ---- */

static int
put_pair(struct sl_keyring *k, struct look *l, const char *name, const uint8_t hash[32])
{
	struct sl_pair *p = OPENSSL_zalloc(sizeof(*p));

	if (!p)
		return no_memory(l);
	atomic_init(&p->refs, 1);
	strcpy(p->name, name);
	memcpy(p->hash, hash, sizeof(p->hash));
	int err = look_at_pair(l, p);
	if (err)
		sl_pair_put(p);
	else
		insert(k, SL_SECRET_PAIR, name, p);
	return err;
}

static int
put_trust(struct sl_keyring *k, struct look *l, const char *name, const uint8_t hash[32])
{
	struct sl_trust *t = OPENSSL_zalloc(sizeof(*t));

	if (!t)
		return no_memory(l);
	atomic_init(&t->refs, 1);
	strcpy(t->name, name);
	memcpy(t->hash, hash, sizeof(t->hash));
	int err = look_at_trust(l, t);
	if (err)
		sl_trust_put(t);
	else
		insert(k, SL_SECRET_TRUST, name, t);
	return err;
}

static int
put_tickets(struct sl_keyring *k, struct look *l, const char *name)
{
	if (strcmp(name, "tickets") != 0)
		return refuse(l, "ticket keys have the name \"tickets\"");
	for (uint32_t i = 0; i < l->cnt; i++)
		for (uint32_t j = 0; j < i; j++)
			if (memcmp(l->parts[i].data, l->parts[j].data, 16) == 0)
				return refuse(l,
					      "ticket keys %u and %u have the same name (their "
					      "first 16 bytes)",
					      j + 1, i + 1);
	OPENSSL_cleanse(k->tickets, sizeof(k->tickets));
	for (uint32_t i = 0; i < l->cnt; i++)
		memcpy(&k->tickets[i], l->parts[i].data, sizeof(k->tickets[i]));
	k->ticket_cnt = l->cnt;
	return 0;
}

/* Whether that is what is held. */
static bool
same(const struct sl_keyring *k, uint32_t kind, const char *name, const uint8_t hash[32])
{
	const struct entry *e = find(k, kind, name);
	const uint8_t *of = !e                       ? NULL
			    : kind == SL_SECRET_PAIR ? ((const struct sl_pair *)e->what)->hash
						     : ((const struct sl_trust *)e->what)->hash;

	return of && memcmp(of, hash, 32) == 0;
}

static __attribute__((noinline)) int
put(struct sl_keyring *k, uint32_t kind, const char *name, const void *secret, size_t bytes,
    char ret_text[SL_KEYRING_TEXT])
{
	struct sl_secret_part parts[SL_SECRET_PARTS];
	struct look l = {.parts = parts, .text = ret_text};
	uint8_t hash[32];
	const char *why = "";
	int n = sl_secret_parts(secret, bytes, kind, parts, &why);

	if (n < 0)
		return refuse(&l, "%s", why);
	l.cnt = (uint32_t)n;
	if (kind == SL_SECRET_TICKETS)
		return put_tickets(k, &l, name);
	int err = make_room(k, &l, kind, name);
	if (!err && EVP_Digest(secret, bytes, hash, NULL, EVP_sha256(), NULL) != 1)
		err = no_memory(&l);
	if (!err && !same(k, kind, name, hash))
		err = kind == SL_SECRET_PAIR ? put_pair(k, &l, name, hash)
					     : put_trust(k, &l, name, hash);
	look_end(&l);
	return err;
}

static __attribute__((noinline)) void
cleanse_stack(void)
{
	uint8_t below[STACK_BYTES];

	OPENSSL_cleanse(below, sizeof(below));
}

int
sl_keyring_put(struct sl_keyring *k, uint32_t kind, const char *name, const void *secret,
	       size_t bytes, char ret_text[SL_KEYRING_TEXT])
{
	if (strnlen(name, SL_NAME_MAX) == SL_NAME_MAX) {
		snprintf(ret_text, SL_KEYRING_TEXT, "the name is too long");
		return -EINVAL;
	}
	int err = put(k, kind, name, secret, bytes, ret_text);

	cleanse_stack();
	return err;
}

int
sl_keyring_drop(struct sl_keyring *k, uint32_t kind, const char *name)
{
	if (kind == SL_SECRET_TICKETS && k->ticket_cnt) {
		OPENSSL_cleanse(k->tickets, sizeof(k->tickets));
		k->ticket_cnt = 0;
		return 0;
	}
	struct entry *e = find(k, kind, name);
	if (!e)
		return -ENOENT;
	put_what(kind, e->what);
	k->cnt--;
	memmove(e, e + 1, (size_t)(&k->entries[k->cnt] - e) * sizeof(*e));
	return 0;
}

/* ---- look-ups, life ---- */

struct sl_pair *
sl_keyring_pair(struct sl_keyring *k, const char *name)
{
	const struct entry *e = find(k, SL_SECRET_PAIR, name);

	return e ? e->what : NULL;
}

struct sl_trust *
sl_keyring_trust(struct sl_keyring *k, const char *name)
{
	const struct entry *e = find(k, SL_SECRET_TRUST, name);

	return e ? e->what : NULL;
}

const struct sl_ticket_key *
sl_keyring_tickets(const struct sl_keyring *k, uint32_t *ret_cnt)
{
	*ret_cnt = k->ticket_cnt ? k->ticket_cnt : 1;
	return k->ticket_cnt ? k->tickets : &k->own;
}

struct sl_keyring *
sl_keyring_create(void)
{
	struct sl_keyring *k = OPENSSL_zalloc(sizeof(*k));

	if (k && RAND_priv_bytes((void *)&k->own, sizeof(k->own)) == 1)
		return k;
	OPENSSL_clear_free(k, sizeof(*k));
	return NULL;
}

void
sl_keyring_destroy(struct sl_keyring *k)
{
	if (!k)
		return;
	for (uint32_t i = 0; i < k->cnt; i++)
		put_what(k->entries[i].kind, k->entries[i].what);
	OPENSSL_free(k->entries);
	OPENSSL_clear_free(k, sizeof(*k));
}

/* PEM to OpenSSL's objects, those to rows for people, and to the bytes of a secret. */
#include "mgmt/cert_priv.h"

#include "mgmt/wipe.h"
#include "sluice/addr.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- PEM ---- */

struct block {
	char *name, *header;
	unsigned char *data;
	long len;
};

static void
free_block(struct block *b)
{
	OPENSSL_secure_clear_free(b->name, b->name ? strlen(b->name) : 0);
	OPENSSL_secure_clear_free(b->header, b->header ? strlen(b->header) : 0);
	OPENSSL_secure_clear_free(b->data, b->data ? (size_t)b->len : 0);
	*b = (struct block){0};
}

/* 1: a block; 0: no more; -1: damaged, *ret_why says how. */
static int
next_block(BIO *in, struct block *b, const char **ret_why)
{
	*b = (struct block){0};
	ERR_clear_error();
	if (PEM_read_bio_ex(in, &b->name, &b->header, &b->data, &b->len, PEM_FLAG_SECURE))
		return 1;
	unsigned long e = ERR_peek_last_error();
	*ret_why = ERR_reason_error_string(e);
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return end ? 0 : -1;
}

static unsigned
count_begins(const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN";
	const char *at = text, *end = text + len;
	unsigned n = 0;

	while ((at = memmem(at, (size_t)(end - at), begin, sizeof(begin) - 1))) {
		at += sizeof(begin) - 1;
		n++;
	}
	return n;
}

typedef void block_fn(void *ctx, const struct block *b, unsigned nth);

/* Every block in turn; false: not PEM from its beginning to its end. */
static bool
each_block(const char *text, size_t len, const char *path, struct sl_diag *diag, block_fn *fn,
	   void *ctx)
{
	BIO *in = len <= INT32_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;
	const char *why = NULL;
	struct block b;
	unsigned n = 0;
	int ret = -1;

	while (in && (ret = next_block(in, &b, &why)) > 0) {
		fn(ctx, &b, ++n);
		free_block(&b);
	}
	BIO_free(in);
	if (!in)
		sl_diag_add(diag, NULL, 0, path, NULL, "out of memory");
	else if (ret < 0 || n != count_begins(text, len))
		sl_diag_add(diag, NULL, 0, path, "the file was cut off, or edited?",
			    "PEM block %u is damaged%s%s", n + 1, why && ret < 0 ? ": " : "",
			    why && ret < 0 ? why : "");
	else if (n == 0)
		sl_diag_add(diag, NULL, 0, path,
			    "DER becomes PEM by: openssl x509 -inform DER, openssl pkey -inform "
			    "DER",
			    "no PEM: there is no line \"-----BEGIN …-----\"");
	else
		return true;
	return false;
}

struct take_list {
	const char *path;
	unsigned max;
	struct sl_diag *diag;
	struct sl_cert_list *list;
	bool bad;
};

static void
take_cert(void *ctx, const struct block *b, unsigned nth)
{
	struct take_list *t = ctx;
	const unsigned char *p = b->data;

	if (strcmp(b->name, PEM_STRING_X509) && strcmp(b->name, PEM_STRING_X509_OLD)) {
		bool key = strstr(b->name, "PRIVATE KEY") != NULL;
		t->bad = true;
		sl_diag_add(t->diag, NULL, 0, t->path,
			    key ? "keep keys in a file of their own, and name it with --key" : NULL,
			    "PEM block %u is %s, no certificate", nth,
			    key ? "a private key" : "something else");
		return;
	}
	if (t->list->cnt == t->max) {
		if (!t->bad)
			sl_diag_add(t->diag, NULL, 0, t->path, NULL, "more than %u certificates",
				    t->max);
		t->bad = true;
		return;
	}
	X509 *x = d2i_X509(NULL, &p, b->len);
	if (x && p == b->data + b->len) {
		t->list->x[t->list->cnt++] = x;
		return;
	}
	X509_free(x);
	ERR_clear_error();
	t->bad = true;
	sl_diag_add(t->diag, NULL, 0, t->path, NULL,
		    "PEM block %u says it is a certificate, and is none", nth);
}

bool
sl_cert_read_list(const char *text, size_t len, const char *path, unsigned max,
		  struct sl_diag *diag, struct sl_cert_list *ret)
{
	struct take_list t = {.path = path, .max = max, .diag = diag, .list = ret};

	ret->cnt = 0;
	return each_block(text, len, path, diag, take_cert, &t) && !t.bad;
}

void
sl_cert_list_fini(struct sl_cert_list *l)
{
	for (unsigned i = 0; i < l->cnt; i++)
		X509_free(l->x[i]);
	l->cnt = 0;
}

struct take_key {
	struct sl_diag *diag;
	EVP_PKEY *key;
	bool bad;
};

static void
key_wrong(struct take_key *t, const char *hint, const char *text)
{
	t->bad = true;
	sl_diag_add(t->diag, NULL, 0, "key", hint, "%s", text);
}

static void
take_key(void *ctx, const struct block *b, unsigned nth)
{
	struct take_key *t = ctx;
	const unsigned char *p = b->data;

	(void)nth;
	if (strcmp(b->name, PEM_STRING_ECPARAMETERS) == 0)
		return; /* openssl ecparam writes them before the key, which says the same */
	if (strcmp(b->name, PEM_STRING_PKCS8) == 0 || strstr(b->header, "ENCRYPTED")) {
		key_wrong(t,
			  "decrypt it first: umask 077; openssl pkey -in FILE -out PLAIN, then "
			  "give PLAIN with --key and remove it",
			  "the key is encrypted");
		return;
	}
	if (!strstr(b->name, "PRIVATE KEY")) {
		key_wrong(t, "certificates belong into the file of --cert",
			  "there is something else than a private key");
		return;
	}
	if (t->key) {
		key_wrong(t, NULL, "there is more than one private key");
		return;
	}
	t->key = d2i_AutoPrivateKey(NULL, &p, b->len);
	ERR_clear_error();
	if (!t->key || p != b->data + b->len)
		key_wrong(t, NULL,
			  "the private key cannot be read: damaged, or of an unknown kind");
}

EVP_PKEY *
sl_cert_read_key(const char *text, size_t len, struct sl_diag *diag)
{
	struct take_key t = {.diag = diag};
	bool ok = each_block(text, len, "key", diag, take_key, &t) && !t.bad;

	if (ok && !t.key)
		sl_diag_add(diag, NULL, 0, "key", NULL, "there is no private key");
	if (ok)
		return t.key;
	EVP_PKEY_free(t.key);
	return NULL;
}

/* ---- for people ---- */

static void
name_text(const X509_NAME *name, char buf[SL_CERT_TEXT_MAX])
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n = 0;

	if (out &&
	    X509_NAME_print_ex(out, name, 0,
			       ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN) >= 0)
		n = BIO_get_mem_data(out, &p);
	n = SL_MIN(n, SL_CERT_TEXT_MAX - 1L);
	if (n > 0)
		memcpy(buf, p, (size_t)n);
	buf[n > 0 ? n : 0] = 0;
	BIO_free(out);
	for (char *c = buf; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	ERR_clear_error();
}

const char *
sl_cert_subject(X509 *x, char buf[SL_CERT_TEXT_MAX])
{
	name_text(X509_get_subject_name(x), buf);
	if (!*buf)
		snprintf(buf, SL_CERT_TEXT_MAX, "no subject");
	return buf;
}

const char *
sl_cert_key_name(EVP_PKEY *key, char buf[24])
{
	char group[24] = "?";

	switch (key ? EVP_PKEY_get_base_id(key) : 0) {
	case EVP_PKEY_RSA:
		snprintf(buf, 24, "RSA %d", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		snprintf(buf, 24, "EC %s",
			 strcmp(group, "prime256v1") == 0  ? "P-256"
			 : strcmp(group, "secp384r1") == 0 ? "P-384"
							   : group);
		break;
	case EVP_PKEY_ED25519:
		snprintf(buf, 24, "Ed25519");
		break;
	default:
		snprintf(buf, 24, "of another kind");
	}
	ERR_clear_error();
	return buf;
}

int64_t
sl_cert_time(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

const char *
sl_cert_day(int64_t s, char buf[16])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(buf, 16, "%Y-%m-%d", &tm) == 0)
		snprintf(buf, 16, "?");
	return buf;
}

static void
hex(const uint8_t *bytes, unsigned cnt, char *out)
{
	for (unsigned i = 0; i < cnt; i++)
		snprintf(out + (size_t)2 * i, 3, "%02x", bytes[i]);
}

void
sl_cert_line(X509 *x, struct sl_cert_line *ret)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	*ret = (struct sl_cert_line){0};
	sl_cert_subject(x, ret->subject);
	name_text(X509_get_issuer_name(x), ret->issuer);
	sl_cert_key_name(X509_get0_pubkey(x), ret->key);
	ret->not_before_s = sl_cert_time(X509_get0_notBefore(x));
	ret->not_after_s = sl_cert_time(X509_get0_notAfter(x));
	hex(ASN1_STRING_get0_data(serial),
	    (unsigned)SL_MIN(ASN1_STRING_length(serial), (int)sizeof(ret->serial) / 2 - 1),
	    ret->serial);
	if (X509_digest(x, EVP_sha256(), md, &n) && n == 32)
		hex(md, 32, ret->fingerprint);
	ERR_clear_error();
}

unsigned
sl_cert_usage(X509 *x)
{
	X509_check_purpose(x, -1, 0); /* reads the extensions */
	uint32_t eku = X509_get_extended_key_usage(x);

	if (!(X509_get_extension_flags(x) & EXFLAG_XKUSAGE) || (eku & XKU_ANYEKU))
		return SL_CERT_SERVER | SL_CERT_CLIENT;
	return (eku & XKU_SSL_SERVER ? SL_CERT_SERVER : 0) |
	       (eku & XKU_SSL_CLIENT ? SL_CERT_CLIENT : 0);
}

/* ---- names ---- */

/* NULL, or what is wrong with a DNS name: labels of letters, digits, '-' and '_'; the first may be "*". */
static const char *
dns_wrong(const uint8_t *s, size_t len)
{
	size_t label = 0;

	if (len > 2 && s[0] == '*' && s[1] == '.') {
		s += 2;
		len -= 2;
	}
	if (len == 0 || len > 253)
		return "is empty, or longer than 253 bytes";
	for (size_t i = 0; i < len; i++) {
		uint8_t c = s[i];
		if (c < 0x20 || c == 0x7f)
			return "holds a control byte: who reads it up to there is deceived";
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!word && c != '.')
			return "is no host name";
		label = c == '.' ? 0 : label + 1;
		if ((c == '.' && (i == 0 || s[i - 1] == '.')) || label > 63)
			return "has an empty label, or one longer than 63 bytes";
	}
	return s[len - 1] == '.' ? "ends with a dot" : NULL;
}

const char *
sl_cert_spiffe_ok(const char *id, size_t len)
{
	static const char scheme[] = "spiffe://";
	const char *s = id + sizeof(scheme) - 1, *end = id + len;

	if (len > 2048 || len < sizeof(scheme) || strncasecmp(id, scheme, sizeof(scheme) - 1))
		return "is no SPIFFE id, or longer than 2048 bytes";
	if (memcmp(id, scheme, sizeof(scheme) - 1))
		return "has a scheme that is not written spiffe in lower case";
	const char *slash = memchr(s, '/', (size_t)(end - s));
	size_t domain = (size_t)((slash ? slash : end) - s);
	if (domain == 0 || domain > 255)
		return "has no trust domain, or one longer than 255 bytes";
	for (size_t i = 0; i < domain; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
		      (s[i] && strchr(".-_", s[i]))))
			return "has a trust domain with other than a-z 0-9 . - _";
	for (const char *at = slash; at && at < end;) {
		const char *next = memchr(at + 1, '/', (size_t)(end - at - 1));
		size_t n = (size_t)((next ? next : end) - at - 1);
		if (n == 0 || (n == 1 && at[1] == '.') || (n == 2 && at[1] == '.' && at[2] == '.'))
			return "has an empty path segment, \".\" or \"..\"";
		for (size_t i = 1; i <= n; i++)
			if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
			      (at[i] >= '0' && at[i] <= '9') || (at[i] && strchr(".-_", at[i]))))
				return "has a path with other than a-z A-Z 0-9 . - _";
		at = next;
	}
	return NULL;
}

static const char *
uri_wrong(const uint8_t *s, size_t len)
{
	if (len == 0)
		return "is empty";
	for (size_t i = 0; i < len; i++)
		if (s[i] < 0x21 || s[i] > 0x7e)
			return "holds a byte that no URI has";
	if (len >= 9 && strncasecmp((const char *)s, "spiffe://", 9) == 0)
		return sl_cert_spiffe_ok((const char *)s, len);
	return NULL;
}

/* Bytes of a name for a sentence: others than printable ASCII as \xx. */
static const char *
quoted(const uint8_t *s, size_t len, char buf[256])
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < 240; i++)
		n += (size_t)(s[i] >= 0x20 && s[i] < 0x7f
				      ? snprintf(buf + n, 256 - n, "%c", s[i])
				      : snprintf(buf + n, 256 - n, "\\x%02x", s[i]));
	buf[n] = 0;
	return buf;
}

static char *
ip_text(const uint8_t *s, size_t len)
{
	struct sl_addr a = {0};
	char buf[SL_ADDR_STRLEN], *text;

	if (len != 4 && len != 16)
		return NULL;
	if (len == 4)
		a.b[10] = a.b[11] = 0xff;
	memcpy(a.b + 16 - len, s, len);
	return asprintf(&text, "IP:%s", sl_addr_format(&a, buf)) < 0 ? NULL : text;
}

/* 0 with *ret_text (NULL: a kind of name that is not used here, or one that is wrong and told), or -ENOMEM. */
static int
name_of(const GENERAL_NAME *g, struct sl_diag *diag, char **ret_text)
{
	const char *why = NULL, *kind = g->type == GEN_DNS ? "DNS" : "URI";
	char buf[256];

	*ret_text = NULL;
	if (g->type != GEN_DNS && g->type != GEN_URI && g->type != GEN_IPADD &&
	    g->type != GEN_EMAIL)
		return 0;
	const ASN1_STRING *str = g->type == GEN_IPADD ? g->d.iPAddress : g->d.ia5;
	const uint8_t *s = ASN1_STRING_get0_data(str);
	size_t len = (size_t)ASN1_STRING_length(str);
	if (g->type == GEN_IPADD) {
		*ret_text = ip_text(s, len);
		if (len != 4 && len != 16)
			sl_diag_add(diag, NULL, 0, "cert", NULL,
				    "an address among its names has %zu bytes, neither 4 nor 16",
				    len);
		return *ret_text || (len != 4 && len != 16) ? 0 : -ENOMEM;
	}
	if (g->type == GEN_EMAIL) {
		why = memchr(s, 0, len) ? "holds a control byte" : NULL;
		kind = "email";
	} else {
		why = g->type == GEN_DNS ? dns_wrong(s, len) : uri_wrong(s, len);
	}
	if (why)
		sl_diag_add(diag, NULL, 0, "cert", NULL, "the name %s:%s %s", kind,
			    quoted(s, len, buf), why);
	if (why || g->type == GEN_EMAIL)
		return 0;
	return asprintf(ret_text, "%s:%.*s", kind, (int)len, (const char *)s) < 0 ? -ENOMEM : 0;
}

int
sl_cert_names(X509 *x, struct sl_diag *diag, char ***ret_names, unsigned *ret_cnt)
{
	int crit = 0, err = 0;
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, &crit, NULL);
	int n = all ? sk_GENERAL_NAME_num(all) : 0;
	char **names = calloc((size_t)n + 1, sizeof(*names));
	unsigned cnt = 0;

	ERR_clear_error();
	if (!all && crit != -1)
		sl_diag_add(diag, NULL, 0, "cert", NULL,
			    "its names (subjectAltName) cannot be read, or are there twice");
	for (int i = 0; names && !err && i < n; i++) {
		err = name_of(sk_GENERAL_NAME_value(all, i), diag, &names[cnt]);
		cnt += names[cnt] != NULL;
	}
	GENERAL_NAMES_free(all);
	if (!names || err) {
		for (unsigned i = 0; names && i < cnt; i++)
			free(names[i]);
		free(names);
		return -ENOMEM;
	}
	*ret_names = names;
	*ret_cnt = cnt;
	return 0;
}

/* ---- the secret ---- */

struct part {
	uint8_t *data;
	int len;
};

/* PKCS #8, not encrypted. */
static struct part
key_der(EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
	struct part p = {0};

	p.len = p8 ? i2d_PKCS8_PRIV_KEY_INFO(p8, &p.data) : -1;
	PKCS8_PRIV_KEY_INFO_free(p8);
	return p;
}

static int
pack_parts(uint32_t kind, const struct part *parts, uint32_t cnt, void **ret_secret,
	   size_t *ret_bytes)
{
	size_t bytes = sizeof(struct sl_secret_head) + cnt * sizeof(uint32_t), at = bytes;

	for (uint32_t i = 0; i < cnt; i++) {
		if (parts[i].len <= 0)
			return -ENOMEM;
		bytes += (size_t)parts[i].len;
	}
	if (bytes > SL_SECRET_MAX)
		return -E2BIG;
	struct sl_secret_head *h = sl_wipe_alloc(bytes);
	if (!h)
		return -ENOMEM;
	*h = (struct sl_secret_head){.magic = SL_SECRET_MAGIC, .kind = kind, .part_cnt = cnt};
	for (uint32_t i = 0; i < cnt; i++) {
		h->len[i] = (uint32_t)parts[i].len;
		memcpy((uint8_t *)h + at, parts[i].data, h->len[i]);
		at += h->len[i];
	}
	*ret_secret = h;
	*ret_bytes = bytes;
	return 0;
}

int
sl_cert_pack(uint32_t kind, EVP_PKEY *key, const struct sl_cert_list *l, void **ret_secret,
	     size_t *ret_bytes)
{
	struct part *parts = calloc(l->cnt + 1u, sizeof(*parts));
	uint32_t cnt = 0;

	if (!parts)
		return -ENOMEM;
	if (key)
		parts[cnt++] = key_der(key);
	for (unsigned i = 0; i < l->cnt; i++, cnt++)
		parts[cnt].len = i2d_X509(l->x[i], &parts[cnt].data);
	int err = cnt > SL_SECRET_PARTS ? -E2BIG
					: pack_parts(kind, parts, cnt, ret_secret, ret_bytes);
	for (uint32_t i = 0; i < cnt; i++)
		OPENSSL_clear_free(parts[i].data, parts[i].len > 0 ? (size_t)parts[i].len : 0);
	free(parts);
	ERR_clear_error();
	return err;
}

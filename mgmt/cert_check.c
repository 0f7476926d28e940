/* Each check adds its sentences and says whether all is well; the order of a chain is looked for only when every certificate of
 * it could be read. */
#include "mgmt/cert_priv.h"

#include "mgmt/wipe.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* a signature takes 40 times as long as of 2048 */
#define STRENGTH_MIN 112  /* bits; what peers refuse at OpenSSL's level 2 */

struct check {
	struct sl_diag *diag;
	const char *path; /* "cert", "ca" */
	int64_t now_s;
	bool bad;
};

#define COMPLAIN(c, hint, ...)                                                                     \
	do {                                                                                       \
		(c)->bad = true;                                                                   \
		sl_diag_add((c)->diag, NULL, 0, (c)->path, hint, __VA_ARGS__);                     \
	} while (0)

/* "certificate 2 (CN=…)" */
static const char *
nth(const struct sl_cert_list *l, unsigned i, char buf[320])
{
	char subject[SL_CERT_TEXT_MAX];

	snprintf(buf, 320, "certificate %u (%s)", i + 1, sl_cert_subject(l->x[i], subject));
	return buf;
}

/* ---- of any certificate ---- */

static void
check_same(struct check *c, const struct sl_cert_list *l)
{
	char a[320];

	for (unsigned i = 1; i < l->cnt; i++)
		for (unsigned j = 0; j < i; j++)
			if (X509_cmp(l->x[i], l->x[j]) == 0) {
				COMPLAIN(c, "take one of them out",
					 "%s is there twice, as number %u, too", nth(l, i, a),
					 j + 1);
				break;
			}
}

static void
check_extensions(struct check *c, const struct sl_cert_list *l, unsigned i)
{
	char a[320];

	X509_check_purpose(l->x[i], -1, 0); /* reads them */
	uint32_t flags = X509_get_extension_flags(l->x[i]);
	if (flags & EXFLAG_INVALID)
		COMPLAIN(c, NULL, "%s has an extension that cannot be read", nth(l, i, a));
	else if (flags & EXFLAG_CRITICAL)
		COMPLAIN(c, "peers refuse such certificates",
			 "%s has a critical extension that is not known", nth(l, i, a));
	ERR_clear_error();
}

static bool
is_ca(X509 *x)
{
	return X509_check_ca(x) == 1; /* others say so by old ways, which are not believed */
}

/* ---- the key ---- */

static const char *
key_wrong(EVP_PKEY *key)
{
	char name[24];
	int bits;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		bits = EVP_PKEY_get_bits(key);
		return bits < RSA_BITS_MIN   ? "is too short"
		       : bits > RSA_BITS_MAX ? "is so long that handshakes would be slow"
					     : NULL;
	case EVP_PKEY_EC:
		sl_cert_key_name(key, name);
		return strcmp(name, "EC P-256") && strcmp(name, "EC P-384")
			       ? "is on a curve that is not supported"
			       : NULL;
	case EVP_PKEY_ED25519:
		return NULL;
	default:
		return "is not supported";
	}
}

/* Whether what the key signs is verified by the certificate: more than that their public halves are the same. */
static bool
signs_for(EVP_PKEY *key, EVP_PKEY *pub)
{
	static const uint8_t text[] = "does this key belong to this certificate?";
	const EVP_MD *md = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
	EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
	uint8_t sig[RSA_BITS_MAX / 8 + 64];
	size_t len = sizeof(sig);

	bool ok = s && v && EVP_DigestSignInit(s, NULL, md, NULL, key) == 1 &&
		  EVP_DigestSign(s, sig, &len, text, sizeof(text)) == 1 &&
		  EVP_DigestVerifyInit(v, NULL, md, NULL, pub) == 1 &&
		  EVP_DigestVerify(v, sig, len, text, sizeof(text)) == 1;
	EVP_MD_CTX_free(s);
	EVP_MD_CTX_free(v);
	ERR_clear_error();
	return ok;
}

/* The place of the key's certificate among them; cnt: it is none of them. */
static unsigned
place_of(const struct sl_cert_list *l, EVP_PKEY *key)
{
	unsigned i = 0;

	while (i < l->cnt && EVP_PKEY_eq(X509_get0_pubkey(l->x[i]), key) != 1)
		i++;
	ERR_clear_error();
	return i;
}

static void
check_key(struct check *c, const struct sl_cert_list *l, EVP_PKEY *key, unsigned place)
{
	struct check k = {.diag = c->diag, .path = "key"};
	char name[24], a[320];
	const char *why = key_wrong(key);

	if (why)
		COMPLAIN(&k, "allowed are RSA of 2048 to 8192 bits, EC P-256 and P-384, Ed25519",
			 "the key (%s) %s", sl_cert_key_name(key, name), why);
	else if (place == l->cnt)
		COMPLAIN(&k, "is one of the files of another name, or older than the other?",
			 "the key does not belong to %s", nth(l, 0, a));
	else if (!signs_for(key, X509_get0_pubkey(l->x[place])))
		COMPLAIN(&k, NULL, "the key is damaged: what it signs is not verified by %s",
			 nth(l, place, a));
	c->bad |= k.bad;
}

/* ---- the chain ---- */

static bool
issued(X509 *by, X509 *x)
{
	bool yes = X509_check_issued(by, x) == X509_V_OK;

	ERR_clear_error();
	return yes;
}

static bool
signed_by(X509 *x, X509 *by)
{
	bool yes = X509_verify(x, X509_get0_pubkey(by)) == 1;

	ERR_clear_error();
	return yes;
}

/* The order from `first` on, each issued by the next, as far as it goes. */
static unsigned
right_order(const struct sl_cert_list *l, unsigned first, unsigned order[SL_SECRET_CHAIN])
{
	bool used[SL_SECRET_CHAIN] = {[0] = false};
	unsigned n = 0, next = first;

	while (next < l->cnt && n < SL_SECRET_CHAIN) {
		used[next] = true;
		order[n++] = next;
		for (next = 0; next < l->cnt; next++)
			if (!used[next] && issued(l->x[next], l->x[order[n - 1]]) &&
			    signed_by(l->x[order[n - 1]], l->x[next]))
				break;
	}
	return n;
}

static void
say_order(struct check *c, const struct sl_cert_list *l, const unsigned *order, unsigned cnt)
{
	char hint[900] = "the right order is:", subject[SL_CERT_TEXT_MAX];
	size_t n = strlen(hint);

	for (unsigned i = 0; i < cnt && n < sizeof(hint); i++)
		n += (size_t)snprintf(hint + n, sizeof(hint) - n, "%s number %u (%.80s)",
				      i ? "," : "", order[i] + 1,
				      sl_cert_subject(l->x[order[i]], subject));
	COMPLAIN(c, hint,
		 "the certificates are out of order: first that of the key, then each the issuer "
		 "of the one before");
}

/* Certificate i stands behind i - 1, and does not belong there. */
static void
say_break(struct check *c, const struct sl_cert_list *l, unsigned i)
{
	char a[320], b[320];

	nth(l, i, a);
	nth(l, i - 1, b);
	if (X509_NAME_cmp(X509_get_subject_name(l->x[i]), X509_get_issuer_name(l->x[i - 1])))
		COMPLAIN(c, "give the certificate, then its intermediate CAs, and no others",
			 "%s did not issue %s: that names another issuer", a, b);
	else if (issued(l->x[i], l->x[i - 1]))
		COMPLAIN(c, "the CA has another key of the same name?",
			 "the signature of %s is not verified by %s", b, a);
	else
		COMPLAIN(c, NULL, "%s has the name of the issuer of %s, and may not have issued it",
			 a, b);
}

static void
check_chain(struct check *c, const struct sl_cert_list *l, unsigned place)
{
	unsigned order[SL_SECRET_CHAIN], i = 1;
	unsigned n = right_order(l, place < l->cnt ? place : 0, order);
	char a[320];

	while (i < l->cnt && issued(l->x[i], l->x[i - 1]) && signed_by(l->x[i - 1], l->x[i]))
		i++;
	if (place < l->cnt && n == l->cnt && (i < l->cnt || place > 0))
		say_order(c, l, order, n);
	else if (i < l->cnt)
		say_break(c, l, i);
	else if (place > 0 && place < l->cnt)
		COMPLAIN(c, "put it first", "the key is that of %s, not of the first",
			 nth(l, place, a));
	for (i = 1; i < l->cnt; i++)
		if (!is_ca(l->x[i]))
			COMPLAIN(c, NULL,
				 "%s is in the chain, and no CA (basicConstraints CA:TRUE)",
				 nth(l, i, a));
}

/* What a peer would refuse for being too weak; who trusts a root does not look at its signature. */
static void
check_strength(struct check *c, const struct sl_cert_list *l, unsigned i)
{
	int md = NID_undef, bits = 0;
	char a[320], key[24];
	EVP_PKEY *pub = X509_get0_pubkey(l->x[i]);

	if (!pub || EVP_PKEY_get_security_bits(pub) < STRENGTH_MIN)
		COMPLAIN(c, NULL, "the key of %s (%s) is too weak, or of an unknown kind",
			 nth(l, i, a), sl_cert_key_name(pub, key));
	if (X509_get_extension_flags(l->x[i]) & EXFLAG_SS)
		return;
	if (!X509_get_signature_info(l->x[i], &md, NULL, &bits, NULL))
		COMPLAIN(c, NULL, "the signature of %s is of an unknown kind", nth(l, i, a));
	else if (bits < STRENGTH_MIN)
		COMPLAIN(c, "peers refuse it: have it issued again", "%s is signed with %s",
			 nth(l, i, a), md == NID_undef ? "too weak a hash" : OBJ_nid2sn(md));
	ERR_clear_error();
}

static void
check_pair_dates(struct check *c, const struct sl_cert_list *l, unsigned i)
{
	int64_t from = sl_cert_time(X509_get0_notBefore(l->x[i]));
	int64_t to = sl_cert_time(X509_get0_notAfter(l->x[i]));
	char a[320], day[16];

	if (to <= c->now_s)
		COMPLAIN(c, "have it issued again", "%s expired on %s", nth(l, i, a),
			 sl_cert_day(to, day));
	else if (from > c->now_s)
		COMPLAIN(c, "is the clock of this machine right?", "%s is not valid before %s",
			 nth(l, i, a), sl_cert_day(from, day));
	else if (to - c->now_s < SL_CERT_SOON_S)
		sl_diag_warn(c->diag, NULL, 0, c->path, NULL, "%s expires on %s, in %lld days",
			     nth(l, i, a), sl_cert_day(to, day),
			     (long long)((to - c->now_s) / 86400));
}

static void
check_usage(struct check *c, X509 *x)
{
	uint32_t flags = X509_get_extension_flags(x);

	if (!sl_cert_usage(x))
		COMPLAIN(c, "extendedKeyUsage = serverAuth, clientAuth",
			 "the certificate is neither for TLS servers nor for clients");
	if ((flags & EXFLAG_KUSAGE) && !(X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE))
		COMPLAIN(c, "keyUsage = digitalSignature",
			 "the certificate's key may not sign, as TLS 1.3 wants it to");
	if (is_ca(x))
		sl_diag_warn(
			c->diag, NULL, 0, c->path, "have one issued that is no CA",
			"the certificate is a CA's own: whoever trusts it trusts all that its key "
			"signs");
}

static void
check_names(struct check *c, char *const *names, unsigned cnt, bool told)
{
	unsigned uris = 0, spiffe = 0;

	for (unsigned i = 0; i < cnt; i++) {
		uris += strncmp(names[i], "URI:", 4) == 0;
		spiffe += strncmp(names[i], "URI:spiffe://", 13) == 0;
	}
	if (cnt == 0 && !told)
		COMPLAIN(c,
			 "subjectAltName = DNS:shop.example; the subject's CN is looked at by "
			 "nobody",
			 "the certificate has no name: no DNS, URI or IP name in subjectAltName");
	if (spiffe && uris > 1)
		COMPLAIN(c, NULL,
			 "the certificate has %u URI names; one with a SPIFFE id has no other",
			 uris);
}

/* ---- a pair ---- */

static int
describe(uint32_t kind, const struct sl_cert_list *l, struct sl_diag *diag,
	 struct sl_cert_info *ret)
{
	struct sl_cert_info i = {.kind = kind, .line_cnt = l->cnt};
	int err = kind == SL_SECRET_PAIR ? sl_cert_names(l->x[0], diag, &i.names, &i.name_cnt) : 0;

	i.lines = err ? NULL : calloc(l->cnt, sizeof(*i.lines));
	if (!i.lines) {
		sl_cert_info_fini(&i);
		return -ENOMEM;
	}
	for (unsigned k = 0; k < l->cnt; k++)
		sl_cert_line(l->x[k], &i.lines[k]);
	i.usage = kind == SL_SECRET_PAIR ? sl_cert_usage(l->x[0]) : 0;
	*ret = i;
	return 0;
}

static int
make(uint32_t kind, EVP_PKEY *key, const struct sl_cert_list *l, struct sl_diag *diag,
     const char *path, struct sl_cert_made *m)
{
	int err = sl_cert_pack(kind, key, l, &m->secret, &m->bytes);

	if (err != -E2BIG)
		return err;
	sl_diag_add(diag, NULL, 0, path, NULL, "more than %u KiB", SL_SECRET_MAX >> 10);
	return -EINVAL;
}

static int
check_pair(struct check *c, const struct sl_cert_list *l, EVP_PKEY *key, struct sl_cert_made *m)
{
	unsigned place = place_of(l, key), told = c->diag ? c->diag->cnt : 0;
	int err = describe(SL_SECRET_PAIR, l, c->diag, &m->info);

	if (err)
		return err;
	bool wrong_name = c->diag && c->diag->cnt > told;
	c->bad |= wrong_name;
	check_names(c, m->info.names, m->info.name_cnt, wrong_name);
	check_same(c, l);
	for (unsigned i = 0; i < l->cnt; i++) {
		check_extensions(c, l, i);
		check_strength(c, l, i);
		check_pair_dates(c, l, i);
	}
	check_key(c, l, key, place);
	check_chain(c, l, place);
	check_usage(c, l->x[place < l->cnt ? place : 0]);
	return c->bad ? -EINVAL : make(SL_SECRET_PAIR, key, l, c->diag, "cert", m);
}

int
sl_cert_check_pair(const char *cert, size_t cert_len, const char *key, size_t key_len,
		   int64_t now_s, struct sl_diag *diag, struct sl_cert_made *ret)
{
	struct sl_diag own = {0};
	struct check c = {diag ? diag : &own, "cert", now_s, false};
	struct sl_cert_made m = {.secret = NULL};
	struct sl_cert_list l;

	bool certs = sl_cert_read_list(cert, cert_len, "cert", SL_SECRET_CHAIN, c.diag, &l);
	EVP_PKEY *k = sl_cert_read_key(key, key_len, c.diag);
	int err = certs && l.cnt && k ? check_pair(&c, &l, k, &m) : -EINVAL;
	EVP_PKEY_free(k);
	sl_cert_list_fini(&l);
	sl_diag_fini(&own);
	if (err)
		sl_cert_made_fini(&m);
	else
		*ret = m;
	return err;
}

/* ---- a bundle ---- */

static void
check_trust_dates(struct check *c, const struct sl_cert_list *l)
{
	unsigned good = 0;
	char a[320], day[16];

	for (unsigned i = 0; i < l->cnt; i++) {
		int64_t from = sl_cert_time(X509_get0_notBefore(l->x[i]));
		int64_t to = sl_cert_time(X509_get0_notAfter(l->x[i]));
		good += from <= c->now_s && c->now_s < to;
		if (to <= c->now_s)
			sl_diag_warn(c->diag, NULL, 0, c->path, NULL, "%s expired on %s",
				     nth(l, i, a), sl_cert_day(to, day));
		else if (from > c->now_s)
			sl_diag_warn(c->diag, NULL, 0, c->path, NULL, "%s is not valid before %s",
				     nth(l, i, a), sl_cert_day(from, day));
		else if (to - c->now_s < SL_CERT_SOON_S)
			sl_diag_warn(c->diag, NULL, 0, c->path, NULL, "%s expires on %s",
				     nth(l, i, a), sl_cert_day(to, day));
	}
	if (!good)
		COMPLAIN(c, "is the clock of this machine right?",
			 "no CA of the bundle is valid now: nobody would be believed");
}

static void
check_authority(struct check *c, const struct sl_cert_list *l, unsigned i)
{
	EVP_PKEY *pub = X509_get0_pubkey(l->x[i]);
	char a[320], key[24];

	check_extensions(c, l, i);
	uint32_t flags = X509_get_extension_flags(l->x[i]);
	if (!is_ca(l->x[i]))
		COMPLAIN(c, "a bundle holds CAs; a peer is believed by its CA and its name",
			 "%s is no CA (basicConstraints CA:TRUE)", nth(l, i, a));
	else if ((flags & EXFLAG_KUSAGE) && !(X509_get_key_usage(l->x[i]) & KU_KEY_CERT_SIGN))
		COMPLAIN(c, NULL, "%s may not sign certificates (keyUsage keyCertSign)",
			 nth(l, i, a));
	if ((flags & EXFLAG_SS) && !signed_by(l->x[i], l->x[i]))
		COMPLAIN(c, NULL, "the signature of %s is not verified by its own key",
			 nth(l, i, a));
	if (!pub || EVP_PKEY_get_security_bits(pub) < STRENGTH_MIN)
		sl_diag_warn(c->diag, NULL, 0, c->path, NULL,
			     "the key of %s (%s) is too weak: what it signs is refused",
			     nth(l, i, a), sl_cert_key_name(pub, key));
	ERR_clear_error();
}

int
sl_cert_check_trust(const char *ca, size_t len, int64_t now_s, struct sl_diag *diag,
		    struct sl_cert_made *ret)
{
	struct sl_diag own = {0};
	struct check c = {diag ? diag : &own, "ca", now_s, false};
	struct sl_cert_made m = {.secret = NULL};
	static __thread struct sl_cert_list l;
	int err = -EINVAL;

	if (sl_cert_read_list(ca, len, "ca", SL_SECRET_PARTS, c.diag, &l) && l.cnt) {
		check_same(&c, &l);
		for (unsigned i = 0; i < l.cnt; i++)
			check_authority(&c, &l, i);
		check_trust_dates(&c, &l);
		err = c.bad ? -EINVAL : describe(SL_SECRET_TRUST, &l, NULL, &m.info);
		err = err ? err : make(SL_SECRET_TRUST, NULL, &l, c.diag, "ca", &m);
	}
	sl_cert_list_fini(&l);
	sl_diag_fini(&own);
	if (err)
		sl_cert_made_fini(&m);
	else
		*ret = m;
	return err;
}

/* ---- what is in a secret ---- */

void
sl_cert_info_fini(struct sl_cert_info *i)
{
	for (unsigned k = 0; k < i->name_cnt; k++)
		free(i->names[k]);
	free(i->names);
	free(i->lines);
	*i = (struct sl_cert_info){0};
}

void
sl_cert_made_fini(struct sl_cert_made *m)
{
	sl_cert_info_fini(&m->info);
	sl_wipe_release(m->secret, m->bytes);
	*m = (struct sl_cert_made){.secret = NULL};
}

int
sl_cert_describe(const void *secret, size_t bytes, uint32_t kind, struct sl_cert_info *ret,
		 const char **ret_why)
{
	static __thread struct sl_secret_part parts[SL_SECRET_PARTS];
	static __thread struct sl_cert_list l;
	int n = sl_secret_parts(secret, bytes, kind, parts, ret_why), err = 0;

	if (n < 0)
		return n;
	l.cnt = 0;
	for (int i = kind == SL_SECRET_PAIR; !err && i < n; i++) {
		const unsigned char *p = parts[i].data;
		X509 *x = d2i_X509(NULL, &p, (long)parts[i].len);
		if (x)
			l.x[l.cnt++] = x;
		if (!x || p != parts[i].data + parts[i].len) {
			*ret_why = "it holds something that is no certificate";
			err = -EINVAL;
		}
	}
	err = err ? err : describe(kind, &l, NULL, ret);
	sl_cert_list_fini(&l);
	ERR_clear_error();
	return err;
}

int64_t
sl_cert_not_after(const struct sl_cert_info *i, int64_t now_s)
{
	int64_t next = INT64_MAX, last = 0;

	for (unsigned k = 0; k < i->line_cnt; k++) {
		int64_t to = i->lines[k].not_after_s;
		last = SL_MAX(last, to);
		if (i->kind == SL_SECRET_PAIR || to > now_s)
			next = SL_MIN(next, to);
	}
	return next == INT64_MAX ? last : next;
}

/* From what main was given to a book, in two walks: names that are missing are told first, all of them; then it is made, and only
 * memory can be short.
 *
 * Names of a listener:  every host of every certificate ─▶ rows (host, certificate) sorted by (wildcard, host, place in the list)
 *                       ─▶ one struct sl_sni for each host: the first certificate of each kind of key. */
#include "l7/tls/book_priv.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>

struct row {
	struct sl_sni sni; /* rsa, ec: one of them is the certificate */
	uint32_t pair;
};

/* ---- what is missing ---- */

struct missing {
	const char *kind; /* "listener", "service" */
	const char *name; /* of it */
	struct sl_diag *diag;
	bool any;
};

static void
lacks(struct missing *m, const char *what, const char *name, const char *hint)
{
	m->any = true;
	sl_diag_add(m->diag, NULL, 0, NULL, hint, "%s \"%.63s\": %s \"%.63s\" is not here", m->kind,
		    m->name, what, name);
}

static void
need_pair(struct missing *m, struct sl_keyring *k, const char *name)
{
	if (!sl_keyring_pair(k, name))
		lacks(m, "certificate", name, "sluicectl cert add NAME --cert FILE --key FILE");
}

static void
need_trust(struct missing *m, struct sl_keyring *k, const char *name)
{
	if (!sl_keyring_trust(k, name))
		lacks(m, "trust bundle", name, "sluicectl cert add NAME --ca FILE");
}

static bool
all_there(struct sl_keyring *k, const struct sl_book_source *s, struct sl_diag *diag)
{
	struct missing m = {.diag = diag};

	if (s->listener) {
		const struct sl_img_tls_listener *t = s->tls_listener;
		m.kind = "listener";
		m.name = s->listener->name;
		for (uint32_t i = 0; i < t->cert_cnt; i++)
			need_pair(&m, k, s->names[t->cert_first + i].name);
		for (uint32_t i = 0; i < t->trust_cnt; i++)
			need_trust(&m, k, s->names[t->trust_first + i].name);
		return !m.any;
	}
	m.kind = "service";
	m.name = s->service->name;
	if (s->tls_service->certificate[0])
		need_pair(&m, k, s->tls_service->certificate);
	for (unsigned i = 0; i < SL_ARRAY_CNT(s->tls_service->trust); i++)
		if (s->tls_service->trust[i][0])
			need_trust(&m, k, s->tls_service->trust[i]);
	return !m.any;
}

/* ---- policies ---- */

struct sum {
	EVP_MD_CTX *ctx;
	bool ok;
};

static void
sum_begin(struct sum *s)
{
	s->ctx = EVP_MD_CTX_new();
	s->ok = s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1;
}

static void
sum_add(struct sum *s, const void *bytes, size_t n)
{
	s->ok = s->ok && EVP_DigestUpdate(s->ctx, bytes, n) == 1;
}

static bool
sum_end(struct sum *s, uint8_t ret[32])
{
	s->ok = s->ok && EVP_DigestFinal_ex(s->ctx, ret, NULL) == 1;
	EVP_MD_CTX_free(s->ctx);
	return s->ok;
}

/* By name, not by slot: gateways that share ticket keys number their listeners each for itself. */
static bool
listener_policy(struct sl_book_listener *l, const char name[SL_NAME_MAX])
{
	const uint32_t fixed[] = {l->img.client, l->trust_cnt, l->san_cnt, l->img.min_version,
				  l->img.max_version};
	struct sum s;

	sum_begin(&s);
	sum_add(&s, "listener", 8);
	sum_add(&s, name, SL_NAME_MAX);
	sum_add(&s, fixed, sizeof(fixed));
	for (uint32_t i = 0; i < l->trust_cnt; i++)
		sum_add(&s, l->trust[i]->hash, sizeof(l->trust[i]->hash));
	sum_add(&s, l->sans, l->san_cnt * sizeof(l->sans[0]));
	return sum_end(&s, l->policy);
}

static bool
service_policy(struct sl_book_service *v)
{
	const uint32_t fixed[] = {v->slot, v->incarnation, v->pair != NULL, v->trust_cnt};
	struct sum s;

	sum_begin(&s);
	sum_add(&s, "service", 7);
	sum_add(&s, fixed, sizeof(fixed));
	sum_add(&s, &v->img, sizeof(v->img));
	if (v->pair)
		sum_add(&s, v->pair->hash, sizeof(v->pair->hash));
	for (uint32_t i = 0; i < v->trust_cnt; i++)
		sum_add(&s, v->trust[i]->hash, sizeof(v->trust[i]->hash));
	sum_add(&s, v->sans, v->img.san_cnt * sizeof(v->sans[0]));
	return sum_end(&s, v->policy);
}

/* ---- server names ---- */

static void
sni_set(struct sl_sni *s, const struct sl_book_listener *l, uint32_t pair)
{
	uint32_t *to = l->pairs[pair]->type == SL_KEY_RSA ? &s->rsa : &s->ec;

	if (*to == SL_NO_PAIR)
		*to = pair;
}

static int
row_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int d = sl_sni_cmp(&x->sni, &y->sni);

	return d ? d : (x->pair > y->pair) - (x->pair < y->pair);
}

static uint32_t
fill_rows(const struct sl_book_listener *l, struct row *rows)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->pair_cnt; i++) {
		const struct sl_pair *p = l->pairs[i];
		for (uint32_t h = 0; h < p->host_cnt; h++) {
			struct row *r = &rows[n++];
			bool wildcard = strncmp(p->hosts[h], "*.", 2) == 0;
			*r = (struct row){.pair = i, .sni = {.rsa = SL_NO_PAIR, .ec = SL_NO_PAIR}};
			r->sni.wildcard = wildcard;
			strcpy(r->sni.host, p->hosts[h] + 2 * wildcard);
		}
	}
	return n;
}

/* Each host once.  sni: room for as many as there are rows. */
static uint32_t
merge_rows(const struct sl_book_listener *l, const struct row *rows, uint32_t cnt,
	   struct sl_sni *sni)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		if (n == 0 || sl_sni_cmp(&sni[n - 1], &rows[i].sni) != 0)
			sni[n++] = rows[i].sni;
		sni_set(&sni[n - 1], l, rows[i].pair);
	}
	return n;
}

static bool
same_host(const struct sl_pair *a, const struct sl_pair *b)
{
	for (uint32_t i = 0; i < a->host_cnt; i++)
		for (uint32_t j = 0; j < b->host_cnt; j++)
			if (strcmp(a->hosts[i], b->hosts[j]) == 0)
				return true;
	return false;
}

static void
make_fallback(struct sl_book_listener *l)
{
	l->fallback = (struct sl_sni){.rsa = SL_NO_PAIR, .ec = SL_NO_PAIR};
	sni_set(&l->fallback, l, 0);
	for (uint32_t i = 1; i < l->pair_cnt; i++)
		if (l->fallback.rsa != SL_NO_PAIR && l->fallback.ec != SL_NO_PAIR)
			break;
		else if (same_host(l->pairs[0], l->pairs[i]))
			sni_set(&l->fallback, l, i);
}

static bool
make_sni(struct sl_book_listener *l)
{
	uint32_t cnt = 0;

	make_fallback(l);
	for (uint32_t i = 0; i < l->pair_cnt; i++)
		cnt += l->pairs[i]->host_cnt;
	if (cnt == 0)
		return true;
	struct row *rows = OPENSSL_malloc(cnt * sizeof(*rows));
	l->sni = OPENSSL_malloc(cnt * sizeof(*l->sni));
	if (rows && l->sni) {
		cnt = fill_rows(l, rows);
		qsort(rows, cnt, sizeof(*rows), row_cmp);
		l->sni_cnt = merge_rows(l, rows, cnt, l->sni);
	}
	OPENSSL_free(rows);
	return l->sni_cnt > 0;
}

/* ---- listeners and services ---- */

/* Copies of names; NULL: none, or no memory. */
static char (*copy_sans(const struct sl_img_tls_san *sans, uint32_t cnt))[SL_HOST_MAX]
{
	char(*copy)[SL_HOST_MAX] = cnt ? OPENSSL_malloc(cnt * sizeof(*copy)) : NULL;

	static_assert(sizeof(*sans) == sizeof(*copy), "");
	if (copy)
		memcpy(copy, sans, cnt * sizeof(*copy));
	return copy;
}

static bool
make_listener(struct sl_keyring *k, const struct sl_book_source *s, struct sl_book_listener *l)
{
	const struct sl_img_tls_listener *t = s->tls_listener;

	*l = (struct sl_book_listener){
		.slot = s->slot,
		.incarnation = s->incarnation,
		.img = *t,
		.san_cnt = t->san_cnt,
		.pairs = OPENSSL_zalloc(t->cert_cnt * sizeof(*l->pairs)),
		.trust = t->trust_cnt ? OPENSSL_zalloc(t->trust_cnt * sizeof(*l->trust)) : NULL,
		.sans = t->san_cnt ? copy_sans(s->sans + t->san_first, t->san_cnt) : NULL,
	};
	if (!l->pairs || (t->trust_cnt && !l->trust) || (t->san_cnt && !l->sans))
		return false;
	for (; l->pair_cnt < t->cert_cnt; l->pair_cnt++)
		l->pairs[l->pair_cnt] = sl_pair_hold(
			sl_keyring_pair(k, s->names[t->cert_first + l->pair_cnt].name));
	for (; l->trust_cnt < t->trust_cnt; l->trust_cnt++)
		l->trust[l->trust_cnt] = sl_trust_hold(
			sl_keyring_trust(k, s->names[t->trust_first + l->trust_cnt].name));
	return make_sni(l) && listener_policy(l, s->listener->name);
}

static bool
make_service(struct sl_keyring *k, const struct sl_book_source *s, struct sl_book_service *v)
{
	const struct sl_img_tls_service *t = s->tls_service;

	*v = (struct sl_book_service){
		.slot = s->slot,
		.incarnation = s->incarnation,
		.img = *t,
		.sans = t->san_cnt ? copy_sans(s->sans, t->san_cnt) : NULL,
	};
	if (t->certificate[0])
		v->pair = sl_pair_hold(sl_keyring_pair(k, t->certificate));
	for (unsigned i = 0; i < SL_ARRAY_CNT(t->trust); i++)
		if (t->trust[i][0])
			v->trust[v->trust_cnt++] = sl_trust_hold(sl_keyring_trust(k, t->trust[i]));
	return (v->sans || t->san_cnt == 0) && service_policy(v);
}

static int
listener_cmp(const void *a, const void *b)
{
	const struct sl_book_listener *x = a, *y = b;

	return (x->slot > y->slot) - (x->slot < y->slot);
}

static int
service_cmp(const void *a, const void *b)
{
	const struct sl_book_service *x = a, *y = b;

	return (x->slot > y->slot) - (x->slot < y->slot);
}

/* ---- the whole ---- */

static struct sl_book *
new_book(const struct sl_keyring *k, uint32_t listener_cnt, uint32_t service_cnt, uint64_t version)
{
	struct sl_book *b = OPENSSL_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->version = version;
	b->listeners = OPENSSL_zalloc((listener_cnt + 1) * sizeof(*b->listeners));
	b->services = OPENSSL_zalloc((service_cnt + 1) * sizeof(*b->services));
	const struct sl_ticket_key *keys = sl_keyring_tickets(k, &b->ticket_cnt);
	memcpy(b->tickets, keys, b->ticket_cnt * sizeof(*keys));
	if (b->listeners && b->services)
		return b;
	sl_book_put(b);
	return NULL;
}

struct sl_book *
sl_book_build(struct sl_keyring *k, const struct sl_book_source *sources, uint32_t cnt,
	      uint64_t version, struct sl_diag *diag)
{
	uint32_t listener_cnt = 0;
	bool ok = true;

	for (uint32_t i = 0; i < cnt; i++) {
		listener_cnt += sources[i].listener != NULL;
		if (!all_there(k, &sources[i], diag))
			ok = false;
	}
	if (!ok)
		return NULL;
	struct sl_book *b = new_book(k, listener_cnt, cnt - listener_cnt, version);
	for (uint32_t i = 0; b && i < cnt && ok; i++)
		if (sources[i].listener)
			ok = make_listener(k, &sources[i], &b->listeners[b->listener_cnt++]);
		else
			ok = make_service(k, &sources[i], &b->services[b->service_cnt++]);
	if (!b || !ok) {
		sl_diag_add(diag, NULL, 0, NULL, "raise tls.memory_mb of the boot file",
			    "there is no memory for certificates and their names");
		sl_book_put(b);
		return NULL;
	}
	qsort(b->listeners, b->listener_cnt, sizeof(*b->listeners), listener_cmp);
	qsort(b->services, b->service_cnt, sizeof(*b->services), service_cmp);
	return b;
}

/* Look-ups by bisection, references, the board.  Building is in book_build.c. */
#include "l7/tls/book_priv.h"

#include <openssl/crypto.h>
#include <stdatomic.h>

/* ---- references ----
 * Whoever has one may make another, so a reference is added relaxed.  Dropping is a release, and the last one an acquire, too: what
 * others did with it is done before it is freed. */

static bool
last(_Atomic uint32_t *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

struct sl_pair *
sl_pair_hold(struct sl_pair *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
sl_pair_put(struct sl_pair *p)
{
	if (!p || !last(&p->refs))
		return;
	OPENSSL_clear_free(p->key.data, p->key.len);
	for (uint32_t i = 0; i < p->chain_cnt; i++)
		OPENSSL_free(p->chain[i].data);
	OPENSSL_free(p->hosts);
	OPENSSL_free(p);
}

struct sl_trust *
sl_trust_hold(struct sl_trust *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void
sl_trust_put(struct sl_trust *t)
{
	if (!t || !last(&t->refs))
		return;
	for (uint32_t i = 0; i < t->cnt; i++)
		OPENSSL_free(t->certs[i].data);
	OPENSSL_free(t->certs);
	OPENSSL_free(t);
}

static void
listener_free(struct sl_book_listener *l)
{
	for (uint32_t i = 0; l->pairs && i < l->pair_cnt; i++)
		sl_pair_put(l->pairs[i]);
	for (uint32_t i = 0; l->trust && i < l->trust_cnt; i++)
		sl_trust_put(l->trust[i]);
	OPENSSL_free(l->pairs);
	OPENSSL_free(l->trust);
	OPENSSL_free(l->sans);
	OPENSSL_free(l->sni);
}

static void
service_free(struct sl_book_service *s)
{
	sl_pair_put(s->pair);
	for (uint32_t i = 0; i < s->trust_cnt; i++)
		sl_trust_put(s->trust[i]);
	OPENSSL_free(s->sans);
}

void
sl_book_put(struct sl_book *b)
{
	if (!b || !last(&b->refs))
		return;
	for (uint32_t i = 0; b->listeners && i < b->listener_cnt; i++)
		listener_free(&b->listeners[i]);
	for (uint32_t i = 0; b->services && i < b->service_cnt; i++)
		service_free(&b->services[i]);
	OPENSSL_free(b->listeners);
	OPENSSL_free(b->services);
	OPENSSL_clear_free(b, sizeof(*b)); /* ticket keys */
}

/* ---- look-ups ---- */

const struct sl_book_listener *
sl_book_listener(const struct sl_book *b, uint32_t slot, uint16_t incarnation)
{
	uint32_t lo = 0, hi = b->listener_cnt;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (b->listeners[mid].slot < slot)
			lo = mid + 1;
		else
			hi = mid;
	}
	const struct sl_book_listener *l = &b->listeners[lo];
	return lo < b->listener_cnt && l->slot == slot && l->incarnation == incarnation ? l : NULL;
}

const struct sl_book_service *
sl_book_service(const struct sl_book *b, uint32_t slot, uint16_t incarnation)
{
	uint32_t lo = 0, hi = b->service_cnt;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (b->services[mid].slot < slot)
			lo = mid + 1;
		else
			hi = mid;
	}
	const struct sl_book_service *s = &b->services[lo];
	return lo < b->service_cnt && s->slot == slot && s->incarnation == incarnation ? s : NULL;
}

int
sl_sni_cmp(const void *a, const void *b)
{
	const struct sl_sni *x = a, *y = b;

	return x->wildcard != y->wildcard ? x->wildcard - y->wildcard : strcmp(x->host, y->host);
}

static const struct sl_sni *
sni_find(const struct sl_book_listener *l, const char *host, bool wildcard)
{
	uint32_t lo = 0, hi = l->sni_cnt;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct sl_sni *s = &l->sni[mid];
		int d = s->wildcard != wildcard ? s->wildcard - wildcard : strcmp(s->host, host);
		if (d == 0)
			return s;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* A "*" is one label exactly, so of all wildcards only the one of what stands behind the first dot can hold. */
const struct sl_sni *
sl_book_sni(const struct sl_book_listener *l, const char *host)
{
	if (!host || !*host)
		return &l->fallback;
	const struct sl_sni *s = sni_find(l, host, false);
	const char *dot = strchr(host, '.');
	if (!s && dot && dot > host && dot[1])
		s = sni_find(l, dot + 1, true);
	return s ? s : &l->fallback;
}

/* ---- the board ---- */

void
sl_board_init(struct sl_board *b)
{
	*b = (struct sl_board){0};
	pthread_mutex_init(&b->lock, NULL);
}

void
sl_board_fini(struct sl_board *b)
{
	sl_book_put(b->now);
	b->now = NULL;
	pthread_mutex_destroy(&b->lock);
}

struct sl_book *
sl_board_take(struct sl_board *b)
{
	pthread_mutex_lock(&b->lock);
	struct sl_book *book = b->now;
	if (book)
		atomic_fetch_add_explicit(&book->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&b->lock);
	return book;
}

void
sl_board_set(struct sl_board *b, struct sl_book *book)
{
	pthread_mutex_lock(&b->lock);
	struct sl_book *before = b->now;
	b->now = book;
	/* pairs with the acquire of who looks without the lock, and takes the book when it is not the one it has */
	atomic_store_explicit(&b->version, book ? book->version : 0, memory_order_release);
	pthread_mutex_unlock(&b->lock);
	sl_book_put(before);
}

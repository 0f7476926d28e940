/* book: what a handshake finds by server name, slot and incarnation; what a change makes of policies; who holds what. */
#include "l7/tls/book.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>

/* ---- memory that can run short ---- */

static unsigned allocations, fail_at; /* fail_at 0: never */

static void *
counted_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return fail_at && ++allocations >= fail_at ? NULL : malloc(n);
}

static void *
counted_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return realloc(p, n);
}

static void
counted_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static __attribute__((constructor)) void
count_allocations(void)
{
	if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
		abort();
}

/* ---- a keyring by names ---- */

static void
put(struct sl_keyring *k, uint32_t kind, const char *name, void *secret, size_t bytes)
{
	char text[SL_KEYRING_TEXT];

	if (sl_keyring_put(k, kind, name, secret, bytes, text)) {
		fprintf(stderr, "%s: %s\n", name, text);
		abort();
	}
	free(secret);
}

/* A pair of up to three names, "" for none. */
static void
put_pair(struct sl_keyring *k, const char *name, enum tls_cert_key key, const char *a,
	 const char *b)
{
	char sans[2][300];
	struct tls_cert_spec spec = {.key = key};

	snprintf(sans[0], sizeof(sans[0]), "DNS:%s", a);
	snprintf(sans[1], sizeof(sans[1]), "DNS:%s", b ? b : "");
	spec.sans[0] = (struct tls_cert_san){sans[0], 0};
	if (b)
		spec.sans[1] = (struct tls_cert_san){sans[1], 0};
	struct tls_cert *c = tls_cert_make(&spec);
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);
	put(k, SL_SECRET_PAIR, name, secret, bytes);
	tls_cert_free(c);
}

static void
put_trust(struct sl_keyring *k, const char *name)
{
	struct tls_cert *ca = tls_cert_ca(name);
	size_t bytes;
	void *secret = tls_secret_trust(&ca, 1, &bytes);

	put(k, SL_SECRET_TRUST, name, secret, bytes);
	tls_cert_free(ca);
}

/* ---- sources ---- */

/* LISTENERS as far as the builder is given it: names of certificates, then bundles. */
struct listener {
	struct sl_img_listener l;
	struct sl_img_tls_listener tls;
	struct sl_img_tls_name names[12];
	struct sl_img_tls_san sans[4];
};

static struct sl_book_source
listener(struct listener *l, uint32_t slot, const char *const *certs, const char *const *trust)
{
	uint32_t n = 2; /* names of others come before */

	if (!l->l.name[0])
		snprintf(l->l.name, sizeof(l->l.name), "listener-%u", slot);
	if (!l->tls.min_version)
		l->tls.min_version = SL_TLS_1_2;
	l->tls.max_version = SL_TLS_1_3;
	l->tls.cert_first = n;
	for (l->tls.cert_cnt = 0; certs[l->tls.cert_cnt]; l->tls.cert_cnt++)
		snprintf(l->names[n++].name, SL_NAME_MAX, "%s", certs[l->tls.cert_cnt]);
	l->tls.trust_first = n;
	for (l->tls.trust_cnt = 0; trust && trust[l->tls.trust_cnt]; l->tls.trust_cnt++)
		snprintf(l->names[n++].name, SL_NAME_MAX, "%s", trust[l->tls.trust_cnt]);
	return (struct sl_book_source){.listener = &l->l,
				       .slot = slot,
				       .incarnation = (uint16_t)(slot + 7),
				       .tls_listener = &l->tls,
				       .names = l->names,
				       .sans = l->sans};
}

struct service {
	struct sl_img_service s;
	struct sl_img_tls_service tls;
	struct sl_img_tls_san sans[4];
};

static struct sl_book_source
service(struct service *s, uint32_t slot, const char *cert, const char *trust)
{
	snprintf(s->s.name, sizeof(s->s.name), "service-%u", slot);
	snprintf(s->tls.certificate, SL_NAME_MAX, "%s", cert);
	snprintf(s->tls.trust[0], SL_NAME_MAX, "%s", trust);
	return (struct sl_book_source){.service = &s->s,
				       .slot = slot,
				       .incarnation = 1,
				       .tls_service = &s->tls,
				       .sans = s->sans};
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct sl_book *
build(struct sl_keyring *k, const struct sl_book_source *sources, uint32_t cnt, uint64_t version)
{
	struct sl_diag diag = {0};
	struct sl_book *b = sl_book_build(k, sources, cnt, version, &diag);
	char text[512];

	for (unsigned i = 0; i < diag.cnt; i++) {
		sl_diag_format(&diag.items[i], text, sizeof(text));
		printf("%s\n", text);
	}
	sl_diag_fini(&diag);
	return b;
}

/* ---- server names ---- */

static void
the_exact_name_wins_then_the_wildcard_then_the_default(void)
{
	static const struct {
		const char *host; /* asked for */
		const char *name; /* of the certificate */
		const char *why;
	} rows[] = {
		{"shop.example", "shop", "exact"},
		{"www.shop.example", "wild", "wildcard"},
		{"api.shop.example", "api", "exact before the wildcard"},
		{"a.b.shop.example", "first", "a star is one label"},
		{".shop.example", "first", "a star is one label at least"},
		{"shop.example.", "first", "another name"},
		{"www.other.example", "first", "no such name"},
		{"example", "first", "no such name"},
		{"", "first", "no name"},
		{NULL, "first", "no name"},
		{"first.example", "first", "exact, of the default"},
		{"www.deep.shop.example", "deep", "the wildcard right behind the first dot"},
		{"deep.shop.example", "wild", "the wildcard above it"},
	};
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};

	put_pair(k, "first", TLS_CERT_EC, "first.example", NULL);
	put_pair(k, "wild", TLS_CERT_EC, "*.Shop.example", NULL);
	put_pair(k, "api", TLS_CERT_EC, "api.shop.example", "zz.example");
	put_pair(k, "shop", TLS_CERT_EC, "shop.example", NULL);
	put_pair(k, "deep", TLS_CERT_EC, "*.deep.shop.example", NULL);
	struct sl_book_source s =
		listener(&l, 3, NAMES("first", "wild", "api", "shop", "deep"), NULL);
	struct sl_book *b = build(k, &s, 1, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	const struct sl_book_listener *bl = sl_book_listener(b, 3, 10);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bl);
	CU_ASSERT_EQUAL(bl->sni_cnt, 6);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_sni *sni = sl_book_sni(bl, rows[i].host);
		CU_ASSERT_TRUE(sni->ec < bl->pair_cnt && sni->rsa == SL_NO_PAIR);
		if (strcmp(bl->pairs[sni->ec]->name, rows[i].name) != 0) {
			printf("%s: %s, not %s (%s)\n", rows[i].host, bl->pairs[sni->ec]->name,
			       rows[i].name, rows[i].why);
			CU_FAIL("certificate");
		}
	}
	sl_book_put(b);
	sl_keyring_destroy(k);
}

static void
certificates_of_both_kinds_stand_side_by_side_and_the_first_of_a_kind_counts(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};

	put_pair(k, "ec", TLS_CERT_EC, "a.example", "d.example");
	put_pair(k, "ec2", TLS_CERT_EC384, "a.example", "e.example");
	put_pair(k, "rsa", TLS_CERT_RSA, "a.example", "b.example");
	put_pair(k, "ed", TLS_CERT_ED25519, "b.example", NULL);
	put_pair(k, "rsa2", TLS_CERT_RSA, "d.example", "c.example");
	struct sl_book_source s = listener(&l, 0, NAMES("ec", "ec2", "rsa", "ed", "rsa2"), NULL);
	struct sl_book *b = build(k, &s, 1, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	const struct sl_book_listener *bl = sl_book_listener(b, 0, 7);
	const struct sl_sni *a = sl_book_sni(bl, "a.example"), *bb = sl_book_sni(bl, "b.example");
	const struct sl_sni *c = sl_book_sni(bl, "c.example"), *none = sl_book_sni(bl, "x.example");
	CU_ASSERT_TRUE(a->ec == 0 && a->rsa == 2);
	CU_ASSERT_TRUE(bb->ec == 3 && bb->rsa == 2);
	CU_ASSERT_TRUE(c->ec == SL_NO_PAIR && c->rsa == 4);
	/* beside the default the first of the other kind that has a name of it */
	CU_ASSERT_TRUE(none->ec == 0 && none->rsa == 2);
	CU_ASSERT_PTR_EQUAL(none, &bl->fallback);
	sl_book_put(b);
	sl_keyring_destroy(k);
}

static void
a_certificate_without_names_serves_who_asks_for_none_of_the_others(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};
	struct tls_cert *c = tls_cert_make(&(struct tls_cert_spec){.cn = "Not A Host"});
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);

	put(k, SL_SECRET_PAIR, "bare", secret, bytes);
	struct sl_book_source s = listener(&l, 0, NAMES("bare"), NULL);
	struct sl_book *b = build(k, &s, 1, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL(sl_book_sni(sl_book_listener(b, 0, 7), "a.example")->ec, 0);
	sl_book_put(b);
	tls_cert_free(c);
	sl_keyring_destroy(k);
}

/* ---- listeners and services ---- */

static void
listeners_and_services_are_found_by_slot_and_incarnation(void)
{
	enum { CNT = 9 };
	struct sl_keyring *k = sl_keyring_create();
	static struct listener l[CNT];
	static struct service v[CNT];
	struct sl_book_source s[2 * CNT];

	put_pair(k, "a", TLS_CERT_EC, "a.example", NULL);
	put_trust(k, "mesh");
	for (uint32_t i = 0; i < CNT; i++) {
		uint32_t slot = i * 5 % CNT * 3;
		s[2 * i] = listener(&l[i], slot, NAMES("a"), NULL);
		s[2 * i + 1] = service(&v[i], 100 + slot, i % 2 ? "a" : "", "mesh");
		v[i].tls.handshake_ms = slot + 1;
	}
	struct sl_book *b = build(k, s, SL_ARRAY_CNT(s), 42);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL(b->version, 42);
	for (uint32_t slot = 0; slot < 3 * CNT; slot++) {
		const struct sl_book_listener *bl = sl_book_listener(b, slot, (uint16_t)(slot + 7));
		const struct sl_book_service *bs = sl_book_service(b, 100 + slot, 1);
		CU_ASSERT_EQUAL(bl != NULL, slot % 3 == 0);
		CU_ASSERT_EQUAL(bs != NULL, slot % 3 == 0);
		CU_ASSERT_TRUE(!bl || bl->slot == slot);
		CU_ASSERT_TRUE(!bs || (bs->img.handshake_ms == slot + 1 && bs->trust_cnt == 1 &&
				       strcmp(bs->trust[0]->name, "mesh") == 0));
	}
	CU_ASSERT_PTR_NULL(sl_book_listener(b, 3, 11));
	CU_ASSERT_PTR_NULL(sl_book_service(b, 103, 2));
	CU_ASSERT_PTR_NULL(sl_book_listener(b, UINT32_MAX, 1));
	CU_ASSERT_PTR_NULL(sl_book_service(b, 0, 1));
	sl_book_put(b);
	b = build(k, NULL, 0, 43);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_PTR_NULL(sl_book_listener(b, 0, 7));
	CU_ASSERT_PTR_NULL(sl_book_service(b, 100, 1));
	sl_book_put(b);
	sl_keyring_destroy(k);
}

static void
every_name_that_is_missing_is_told_with_who_needs_it(void)
{
	static const char *const says[] = {
		"listener \"listener-0\": certificate \"gone\" is not here "
		"(sluicectl cert add NAME --cert FILE --key FILE)",
		"listener \"listener-0\": certificate \"lost\" is not here",
		"listener \"listener-0\": trust bundle \"nobody\" is not here "
		"(sluicectl cert add NAME --ca FILE)",
		"service \"service-1\": certificate \"gone\" is not here",
		"service \"service-1\": trust bundle \"a\" is not here",
	};
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};
	struct service v = {0};
	struct sl_diag diag = {0};
	char text[512];

	put_pair(k, "a", TLS_CERT_EC, "a.example", NULL);
	const struct sl_book_source s[] = {
		listener(&l, 0, NAMES("gone", "a", "lost"), NAMES("nobody")),
		service(&v, 1, "gone", "a")};
	CU_ASSERT_PTR_NULL(sl_book_build(k, s, 2, 1, &diag));
	CU_ASSERT_EQUAL_FATAL(diag.cnt, SL_ARRAY_CNT(says));
	for (unsigned i = 0; i < diag.cnt; i++) {
		sl_diag_format(&diag.items[i], text, sizeof(text));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, says[i]));
	}
	sl_diag_fini(&diag);
	CU_ASSERT_PTR_NULL(sl_book_build(k, s, 2, 1, NULL));
	sl_keyring_destroy(k);
}

static void
a_book_that_memory_is_short_for_is_not_made_and_leaves_nothing_behind(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};
	struct service v = {0};
	struct sl_book *b = NULL;

	put_pair(k, "a", TLS_CERT_EC, "a.example", NULL);
	put_trust(k, "mesh");
	strcpy(l.sans[0].san, "spiffe://td/a");
	l.tls.san_cnt = v.tls.san_cnt = 1;
	const struct sl_book_source s[] = {listener(&l, 0, NAMES("a"), NAMES("mesh")),
					   service(&v, 1, "a", "mesh")};
	for (fail_at = 1; !b && fail_at < 100; fail_at++) {
		struct sl_diag diag = {0};
		allocations = 0;
		b = sl_book_build(k, s, 2, 1, &diag);
		CU_ASSERT_EQUAL(diag.cnt, b ? 0 : 1);
		CU_ASSERT_TRUE(b || strstr(diag.items[0].text, "no memory"));
		CU_ASSERT_EQUAL(sl_keyring_pair(k, "a")->refs, b ? 3 : 1);
		CU_ASSERT_EQUAL(sl_keyring_trust(k, "mesh")->refs, b ? 3 : 1);
		sl_diag_fini(&diag);
	}
	CU_ASSERT_TRUE(fail_at > 8 && b);
	fail_at = 0;
	sl_book_put(b);
	sl_keyring_destroy(k);
}

/* ---- policies ---- */

struct policies {
	struct sl_keyring *k;
	struct listener l;
	struct service v;
	uint8_t listener[32], service[32];
};

static void
policies_of(struct policies *p, uint32_t slot, uint16_t incarnation)
{
	struct sl_book_source s[] = {
		listener(&p->l, slot, NAMES("a"), p->l.tls.client ? NAMES("mesh") : NULL),
		service(&p->v, slot, "gw", "mesh")};

	s[0].incarnation = s[1].incarnation = incarnation;
	struct sl_book *b = build(p->k, s, 2, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	memcpy(p->listener, b->listeners[0].policy, 32);
	memcpy(p->service, b->services[0].policy, 32);
	sl_book_put(b);
}

/* Whether each differs from what it was. */
static void
expect(struct policies *p, uint32_t slot, uint16_t incarnation, bool listener_differs,
       bool service_differs)
{
	uint8_t l[32], s[32];

	memcpy(l, p->listener, 32);
	memcpy(s, p->service, 32);
	policies_of(p, slot, incarnation);
	CU_ASSERT_EQUAL(memcmp(l, p->listener, 32) != 0, listener_differs);
	CU_ASSERT_EQUAL(memcmp(s, p->service, 32) != 0, service_differs);
}

static void
a_policy_changes_with_what_a_resumed_session_would_evade_and_not_otherwise(void)
{
	struct policies p = {.k = sl_keyring_create()};

	put_pair(p.k, "a", TLS_CERT_EC, "a.example", NULL);
	put_pair(p.k, "gw", TLS_CERT_EC, "gw.example", NULL);
	put_trust(p.k, "mesh");
	p.l.tls.client = SL_TLS_CLIENT_OPTIONAL;
	policies_of(&p, 1, 1);
	expect(&p, 1, 1, false, false);
	p.l.tls.handshake_ms = 77;
	expect(&p, 1, 1, false, false);
	put_pair(p.k, "a", TLS_CERT_EC, "a.example", NULL); /* renewed: tickets live on */
	expect(&p, 1, 1, false, false);
	expect(&p, 2, 1, false, true); /* other gateways number otherwise */
	expect(&p, 2, 2, false, true);
	strcpy(p.l.l.name, "another");
	expect(&p, 2, 2, true, false);
	p.l.tls.client = SL_TLS_CLIENT_REQUIRED;
	expect(&p, 2, 2, true, false);
	p.l.tls.min_version = SL_TLS_1_3;
	expect(&p, 2, 2, true, false);
	strcpy(p.l.sans[0].san, "spiffe://td/a");
	p.l.tls.san_cnt = 1;
	expect(&p, 2, 2, true, false);
	strcpy(p.l.sans[0].san, "spiffe://td/b");
	expect(&p, 2, 2, true, false);
	put_trust(p.k, "mesh"); /* another authority of the same name */
	expect(&p, 2, 2, true, true);
	put_pair(p.k, "gw", TLS_CERT_EC, "gw.example", NULL);
	expect(&p, 2, 2, false, true);
	strcpy(p.v.tls.server_name, "web.internal");
	expect(&p, 2, 2, false, true);
	strcpy(p.v.sans[0].san, "web.internal");
	p.v.tls.san_cnt = 1;
	expect(&p, 2, 2, false, true);
	strcpy(p.v.sans[0].san, "web2.internal");
	expect(&p, 2, 2, false, true);
	CU_ASSERT_NOT_EQUAL(memcmp(p.listener, p.service, 32), 0);
	sl_keyring_destroy(p.k);
}

/* ---- tickets ---- */

static void
tickets_are_by_own_keys_until_others_are_put_in(void)
{
	struct sl_keyring *k = sl_keyring_create(), *other = sl_keyring_create();
	const struct sl_ticket_key keys[] = {tls_ticket_key(1), tls_ticket_key(2)};
	struct sl_book *a = build(k, NULL, 0, 1), *b = build(k, NULL, 0, 2);
	struct sl_book *c = build(other, NULL, 0, 1);
	size_t bytes;
	void *secret = tls_secret_tickets(keys, 2, &bytes);

	CU_ASSERT_EQUAL(a->ticket_cnt, 1);
	CU_ASSERT_EQUAL(memcmp(a->tickets, b->tickets, sizeof(keys[0])), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a->tickets, c->tickets, sizeof(keys[0])), 0);
	put(k, SL_SECRET_TICKETS, "tickets", secret, bytes);
	struct sl_book *d = build(k, NULL, 0, 3);
	CU_ASSERT_EQUAL(d->ticket_cnt, 2);
	CU_ASSERT_EQUAL(memcmp(d->tickets, keys, sizeof(keys)), 0);
	CU_ASSERT_EQUAL(a->ticket_cnt, 1);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_TICKETS, "tickets"), 0);
	struct sl_book *e = build(k, NULL, 0, 4);
	CU_ASSERT_EQUAL(e->ticket_cnt, 1);
	CU_ASSERT_EQUAL(memcmp(e->tickets, a->tickets, sizeof(keys[0])), 0);
	sl_book_put(a);
	sl_book_put(b);
	sl_book_put(c);
	sl_book_put(d);
	sl_book_put(e);
	sl_keyring_destroy(k);
	sl_keyring_destroy(other);
}

/* ---- who holds what ---- */

static void
a_book_keeps_what_was_replaced_and_dropped_behind_it(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct listener l = {0};

	put_pair(k, "a", TLS_CERT_EC, "a.example", NULL);
	put_trust(k, "mesh");
	struct sl_book_source s = listener(&l, 1, NAMES("a", "a"), NAMES("mesh"));
	struct sl_book *before = build(k, &s, 1, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(before);
	put_pair(k, "a", TLS_CERT_EC, "b.example", NULL);
	struct sl_book *after = build(k, &s, 1, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(after);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_PAIR, "a"), 0);
	CU_ASSERT_EQUAL(sl_keyring_drop(k, SL_SECRET_TRUST, "mesh"), 0);
	sl_keyring_destroy(k);
	memset(&l, 0xee, sizeof(l)); /* the image's bytes are not kept either */
	CU_ASSERT_STRING_EQUAL(before->listeners[0].pairs[1]->hosts[0], "a.example");
	CU_ASSERT_STRING_EQUAL(after->listeners[0].pairs[0]->hosts[0], "b.example");
	CU_ASSERT_STRING_EQUAL(after->listeners[0].trust[0]->name, "mesh");
	CU_ASSERT_EQUAL(before->listeners[0].pairs[0]->refs, 2);
	sl_book_put(before);
	sl_book_put(after);
	sl_book_put(NULL);
}

struct taker {
	pthread_t thread;
	struct sl_board *board;
	_Atomic bool *stop;
	unsigned wrong;
};

static void *
take_and_put(void *arg)
{
	struct taker *t = arg;
	uint64_t seen = 0;

	while (!atomic_load(t->stop)) {
		uint64_t version = atomic_load_explicit(&t->board->version, memory_order_acquire);
		struct sl_book *b = sl_board_take(t->board);
		t->wrong += version < seen || !b || b->version < version ||
			    strcmp(b->listeners[0].pairs[0]->hosts[0], "a.example") != 0;
		seen = version;
		sl_book_put(b);
	}
	return NULL;
}

static void
books_are_taken_while_others_are_set(void)
{
	struct sl_keyring *k = sl_keyring_create();
	struct sl_board board;
	struct listener l = {0};
	struct taker t[3];
	_Atomic bool stop = false;

	put_pair(k, "a", TLS_CERT_EC, "a.example", NULL);
	struct sl_book_source s = listener(&l, 1, NAMES("a"), NULL);
	sl_board_init(&board);
	CU_ASSERT_PTR_NULL(sl_board_take(&board));
	CU_ASSERT_EQUAL(board.version, 0);
	sl_board_set(&board, build(k, &s, 1, 1));
	struct sl_book *held = sl_board_take(&board);
	for (unsigned i = 0; i < SL_ARRAY_CNT(t); i++) {
		t[i] = (struct taker){.board = &board, .stop = &stop};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i].thread, NULL, take_and_put, &t[i]), 0);
	}
	for (uint64_t v = 2; v < 3000; v++)
		sl_board_set(&board, build(k, &s, 1, v));
	atomic_store(&stop, true);
	for (unsigned i = 0; i < SL_ARRAY_CNT(t); i++) {
		pthread_join(t[i].thread, NULL);
		CU_ASSERT_EQUAL(t[i].wrong, 0);
	}
	CU_ASSERT_EQUAL(board.version, 2999);
	CU_ASSERT_EQUAL(held->version, 1);
	CU_ASSERT_EQUAL(held->refs, 1);
	sl_book_put(held);
	sl_board_fini(&board);
	CU_ASSERT_EQUAL(sl_keyring_pair(k, "a")->refs, 1);
	sl_keyring_destroy(k);
}

SL_SUITE("book", SL_TEST(the_exact_name_wins_then_the_wildcard_then_the_default),
	 SL_TEST(certificates_of_both_kinds_stand_side_by_side_and_the_first_of_a_kind_counts),
	 SL_TEST(a_certificate_without_names_serves_who_asks_for_none_of_the_others),
	 SL_TEST(listeners_and_services_are_found_by_slot_and_incarnation),
	 SL_TEST(every_name_that_is_missing_is_told_with_who_needs_it),
	 SL_TEST(a_book_that_memory_is_short_for_is_not_made_and_leaves_nothing_behind),
	 SL_TEST(a_policy_changes_with_what_a_resumed_session_would_evade_and_not_otherwise),
	 SL_TEST(tickets_are_by_own_keys_until_others_are_put_in),
	 SL_TEST(a_book_keeps_what_was_replaced_and_dropped_behind_it),
	 SL_TEST(books_are_taken_while_others_are_set))

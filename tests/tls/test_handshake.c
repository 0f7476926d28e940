/* Engine against engine, and against plain OpenSSL: whole handshakes, their keys, how bytes are cut. */
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

#include <pthread.h>

static bool
same_secret(const struct sl_hs_secret *a, const struct sl_hs_secret *b)
{
	return !memcmp(a->key, b->key, 32) && !memcmp(a->iv, b->iv, 12) &&
	       !memcmp(a->secret, b->secret, SL_SECRET_LEN_MAX);
}

static uint64_t
records_in(const struct hs_wire *w)
{
	uint64_t cnt = 0;

	for (uint32_t at = 0; at + 5 <= w->len; cnt++)
		at += 5 + (w->data[at + 3] << 8 | w->data[at + 4]);
	return cnt;
}

static void
ends_agree(const struct hs_end *c, const struct hs_end *s)
{
	CU_ASSERT_EQUAL_FATAL(c->job.state, SL_HS_DONE);
	CU_ASSERT_EQUAL_FATAL(s->job.state, SL_HS_DONE);
	CU_ASSERT_EQUAL(c->job.done.version, s->job.done.version);
	CU_ASSERT_EQUAL(c->job.done.suite, s->job.done.suite);
	CU_ASSERT_EQUAL(c->job.done.resumed, s->job.done.resumed);
	CU_ASSERT_STRING_EQUAL(c->job.done.alpn, s->job.done.alpn);
	CU_ASSERT(same_secret(&c->job.done.read, &s->job.done.write));
	CU_ASSERT(same_secret(&c->job.done.write, &s->job.done.read));
	CU_ASSERT(memcmp(c->job.done.read.key, c->job.done.write.key, 16));
	uint64_t ahead = c->job.done.version == SL_TLS_1_2 ? 1 : 0;
	CU_ASSERT_EQUAL(c->job.done.read.seq, ahead);
	CU_ASSERT_EQUAL(c->job.done.write.seq, ahead);
	CU_ASSERT_EQUAL(s->job.done.read.seq, ahead);
	/* what the client has not taken is what the server wrote under its last key */
	CU_ASSERT_EQUAL(s->job.done.write.seq, ahead + records_in(&c->in));
}

static void
one(struct hs_scene *s, struct sl_hs_engine *ce, struct sl_hs_engine *se, unsigned version,
    unsigned suite)
{
	struct hs_end *c = hs_client(s, ce, 0), *v = hs_server(s, se, 0);
	hs_talk(c, v);
	ends_agree(c, v);
	CU_ASSERT_EQUAL(c->job.done.version, version);
	CU_ASSERT_EQUAL(c->job.done.suite, suite);
	CU_ASSERT_EQUAL(c->job.done.resumed, 0);
	CU_ASSERT_PTR_NULL(v->job.hs);
	CU_ASSERT_EQUAL(c->job.done.keep, version == SL_TLS_1_3);
	CU_ASSERT_EQUAL(c->job.hs != NULL, version == SL_TLS_1_3);
	hs_end_free(c);
	hs_end_free(v);
}

static void
versions_suites_and_groups_agree_with_rsa_and_ec(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *se = hs_engine(&s);
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++)
		for (unsigned suite = 0; suite < 3; suite++)
			for (unsigned group = 1; group <= 2; group++)
				for (unsigned rsa = 0; rsa < 2; rsa++) {
					s.service[0].img.min_version = (uint8_t)version;
					s.service[0].img.max_version = (uint8_t)version;
					s.service[0].img.suites = (uint8_t)(1u << suite);
					s.listener[0].img.groups = (uint8_t)group;
					s.listener[0].certs[0] = rsa ? "web_rsa" : "web_ec";
					s.listener[0].certs[1] = NULL;
					hs_publish(&s);
					struct sl_hs_engine *ce = hs_engine(&s);
					one(&s, ce, se, version, suite + 1);
					sl_hs_destroy(ce);
				}
	sl_hs_destroy(se);
	hs_fini(&s);
}

/* ---- records with the keys that came out ---- */

struct records {
	struct sl_record_engine *e;
	struct sl_record_dir read, write;
};

static void
records_init(struct records *r, const struct sl_hs_done *d)
{
	const char *why = "";
	void *mem = aligned_alloc(64, sl_record_bytes(16));

	if (!mem)
		abort();
	memset(mem, 0, sl_record_bytes(16));
	r->e = sl_record_init(mem, 16, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r->e);
	sl_record_key(r->e, &r->read, d->version, d->suite, d->read.key, d->read.iv, d->read.seq);
	sl_record_key(r->e, &r->write, d->version, d->suite, d->write.key, d->write.iv,
		      d->write.seq);
}

static void
records_fini(struct records *r)
{
	sl_record_fini(r->e);
	free(r->e);
}

/* The first record of a wire is opened and taken away: its type, 0: it cannot be. */
static uint8_t
records_open(struct records *r, struct hs_wire *w, char ret[SL_RECORD_MAX + 1])
{
	struct sl_record_head head;
	struct sl_record_opened o;

	if (w->len < 5 || sl_record_head(&r->read, w->data, &head) || head.bytes > w->len)
		return 0;
	struct sl_span span = {w->data, head.bytes};
	if (sl_record_open(r->e, &r->read, &span, 1, head.bytes, &o))
		return 0;
	memcpy(ret, w->data + o.off, o.len);
	ret[o.len] = 0;
	hs_wire_cut(w, head.bytes);
	return o.type;
}

static void
records_seal(struct records *r, const char *text, struct hs_wire *w)
{
	uint8_t out[512];
	struct sl_span from = {(uint8_t *)(uintptr_t)text, (uint32_t)strlen(text)};
	struct sl_span to = {out, from.len + sl_record_overhead(&r->write)};

	CU_ASSERT(sl_record_seal(r->e, &r->write, SL_RECORD_DATA, &from, 1, from.len, &to, 1));
	hs_wire_add(w, out, to.len);
}

/* p says text as soon as it may. */
static void
talk_and_say(struct hs_plain *p, struct hs_end *end, const char *text)
{
	bool said = false;

	for (bool moved = true; moved;) {
		uint32_t before = end->in.len;
		if (hs_plain_go(p, &end->in) == 1 && !said) {
			said = SSL_write(p->ssl, text, (int)strlen(text)) > 0;
			hs_plain_flush(p, &end->in);
		}
		moved = end->in.len != before;
		while (!end->over && hs_go(end, &p->in))
			moved = true;
	}
}

static void
both_are_heard(struct hs_plain *p, struct hs_end *end)
{
	static char text[SL_RECORD_MAX + 1];
	struct records r;
	uint8_t type;

	CU_ASSERT_EQUAL_FATAL(end->job.state, SL_HS_DONE);
	records_init(&r, &end->job.done);
	while ((type = records_open(&r, &end->in, text)) == SL_RECORD_HANDSHAKE)
		;
	CU_ASSERT_EQUAL(type, SL_RECORD_DATA);
	CU_ASSERT_STRING_EQUAL(text, "said at once");
	CU_ASSERT_EQUAL(end->in.len, 0);
	records_seal(&r, "and answered", &p->in);
	hs_plain_go(p, &end->in);
	memset(text, 0, 32);
	CU_ASSERT_EQUAL(SSL_read(p->ssl, text, 32), 12);
	CU_ASSERT_STRING_EQUAL(text, "and answered");
	SSL_write(p->ssl, "once more", 9);
	hs_plain_flush(p, &end->in);
	CU_ASSERT_EQUAL(records_open(&r, &end->in, text), SL_RECORD_DATA);
	CU_ASSERT_STRING_EQUAL(text, "once more");
	records_fini(&r);
}

static void
plain_only(struct hs_plain *p, bool server, unsigned version, unsigned suite)
{
	static const char *const v12[] = {"ECDHE+AES128+AESGCM", "ECDHE+AES256+AESGCM",
					  "ECDHE+CHACHA20"};
	static const char *const v13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
					  "TLS_CHACHA20_POLY1305_SHA256"};
	int v = version == SL_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;

	SSL_CTX_set_min_proto_version(p->ctx, v);
	SSL_CTX_set_max_proto_version(p->ctx, v);
	SSL_CTX_set_cipher_list(p->ctx, v12[suite]);
	SSL_CTX_set_ciphersuites(p->ctx, v13[suite]);
	hs_plain_begin(p, server, server ? NULL : "web.example");
}

static void
keys_open_what_a_plain_peer_sends_behind_its_finished(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++)
		for (unsigned suite = 0; suite < 3; suite++) {
			struct hs_plain *p = hs_plain_client(NULL);
			struct hs_end *end = hs_server(&s, e, 0);
			plain_only(p, false, version, suite);
			talk_and_say(p, end, "said at once");
			CU_ASSERT(version == SL_TLS_1_2 || end->job.in_used < end->job.in_len);
			both_are_heard(p, end);
			hs_end_free(end);
			hs_plain_free(p);
			p = hs_plain_server(s.web_ec);
			end = hs_client(&s, e, 0);
			plain_only(p, true, version, suite);
			talk_and_say(p, end, "said at once");
			CU_ASSERT(version == SL_TLS_1_3 || end->job.in_used < end->job.in_len);
			both_are_heard(p, end);
			hs_end_free(end);
			hs_plain_free(p);
		}
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* ---- how bytes are cut ---- */

static void
bytes_may_come_in_pieces_of_any_size(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++) {
		s.service[0].img.max_version = (uint8_t)version;
		s.service[0].img.resume = 0;
		hs_publish(&s);
		for (uint32_t chunk = 1; chunk < 1500; chunk += chunk < 24 ? 1 : chunk) {
			struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
			c->chunk = v->chunk = chunk;
			hs_talk(c, v);
			ends_agree(c, v);
			hs_end_free(c);
			hs_end_free(v);
		}
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* A chain of more bytes than one answer has room for: `cnt` certificates with names without end. */
static struct tls_cert *
long_cert(struct tls_cert *issuer, bool ca, const char *first)
{
	static char names[TLS_SAN_MAX][260];
	struct tls_cert_spec spec = {.issuer = issuer, .ca = ca, .cn = ca ? "long" : NULL};

	for (unsigned i = 0; i < TLS_SAN_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "DNS:%0*u.%0*u.%0*u.%0*u.example", 50, i, 60,
			 i, 60, i, 60, i);
		spec.sans[i] = (struct tls_cert_san){names[i], 0};
	}
	spec.sans[0] = (struct tls_cert_san){first, 0};
	return tls_cert_make(&spec);
}

static void
answers_longer_than_a_job_come_in_several(void)
{
	struct hs_scene s;
	hs_init(&s);
	struct tls_cert *a = long_cert(s.ca, true, "DNS:a.example");
	struct tls_cert *b = long_cert(a, true, "DNS:b.example");
	struct tls_cert *leaf = long_cert(b, false, "DNS:web.example");
	hs_pair(&s, "long", leaf);
	s.listener[0].certs[0] = "long";
	s.listener[0].certs[1] = NULL;
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++) {
		s.service[0].img.max_version = (uint8_t)version;
		hs_publish(&s);
		struct sl_hs_engine *e = hs_engine(&s);
		struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
		hs_go(c, &v->in);
		hs_go(v, &c->in);
		CU_ASSERT(v->job.more_out);
		CU_ASSERT_EQUAL(v->job.out_len, SL_HS_OUT);
		hs_talk(c, v);
		ends_agree(c, v);
		hs_end_free(c);
		hs_end_free(v);
		sl_hs_destroy(e);
	}
	tls_cert_free(leaf);
	tls_cert_free(b);
	tls_cert_free(a);
	hs_fini(&s);
}

/* A ticket with the client's certificate in it, longer than an answer. */
static void
done_waits_for_bytes_that_go_before_it(void)
{
	struct hs_scene s;
	hs_init(&s);
	struct tls_cert *leaf = long_cert(s.ca, false, "DNS:cl.example");
	hs_pair(&s, "client", leaf);
	s.listener[0].img.client = SL_TLS_CLIENT_REQUIRED;
	s.listener[0].trust[0] = "mesh";
	snprintf(s.service[0].img.certificate, SL_NAME_MAX, "client");
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
	bool waited = false;
	while ((!c->over && hs_go(c, &v->in)) || (!v->over && hs_go(v, &c->in)))
		waited |= c->over && v->job.more_out && v->job.state == SL_HS_MORE;
	CU_ASSERT(waited);
	ends_agree(c, v);
	CU_ASSERT_PTR_NOT_NULL(hs_peer(v));
	CU_ASSERT_EQUAL(hs_feed_tickets(c), 1);
	hs_end_free(c);
	hs_end_free(v);
	/* and who ends it while it waits leaves nothing behind */
	c = hs_client(&s, e, 0);
	v = hs_server(&s, e, 0);
	c->endpoint = 1; /* there is no session with it */
	while (!(c->over && v->job.more_out) &&
	       ((!c->over && hs_go(c, &v->in)) || (!v->over && hs_go(v, &c->in))))
		;
	CU_ASSERT_PTR_NOT_NULL(v->job.hs);
	hs_end_free(c);
	hs_end_free(v);
	sl_hs_destroy(e);
	tls_cert_free(leaf);
	hs_fini(&s);
}

/* ---- what is no handshake ---- */

static void
expect_failed(const struct hs_end *end, unsigned fail, unsigned alert)
{
	CU_ASSERT_EQUAL(end->job.state, SL_HS_FAILED);
	CU_ASSERT_EQUAL(end->job.fail, fail);
	CU_ASSERT_EQUAL(end->job.alert, alert);
	CU_ASSERT_PTR_NULL(end->job.hs);
}

static void
what_is_no_tls_is_refused(void)
{
	static const char *const said[] = {
		"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "\x80\x2e\x01\x03\x01",
		"\x16\x03\x01\x00\x01\x02",          "\x17\x03\x03\x00\x05hello",
		"\x15\x03\x01\x00\x02\x02\x28",      "\xff\xff\xff\xff\xff\xff"};
	static const unsigned lens[] = {28, 5, 6, 10, 7, 6};
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned i = 0; i < SL_ARRAY_CNT(said); i++) {
		struct hs_end *v = hs_server(&s, e, 0);
		hs_wire_add(&v->in, said[i], lens[i]);
		hs_talk(v, v);
		if (i == 1 || i == 2)
			CU_ASSERT_NOT_EQUAL(v->job.state, SL_HS_DONE)
		else
			CU_ASSERT_EQUAL(v->job.state, SL_HS_FAILED)
		if (i == 4) /* an alert before anything else is no answer to anything */
			expect_failed(v, SL_TLS_CNT_FAIL_PROTOCOL, 10);
		hs_end_free(v);
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* A ClientHello, cut at every byte, and with every byte changed: nothing is done, nothing breaks. */
static void
hellos_cut_or_changed_end_nothing_well(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	struct hs_plain *p = hs_plain_client("web.example");
	struct hs_end *from = hs_server(&s, e, 0);
	hs_plain_go(p, &from->in);
	for (uint32_t n = 0; n < from->in.len; n++) {
		struct hs_end *v = hs_server(&s, e, 0);
		hs_wire_add(&v->in, from->in.data, n);
		hs_go(v, NULL);
		CU_ASSERT(n == 0 || v->job.state == SL_HS_MORE);
		CU_ASSERT(n == 0 || v->job.out_len == 0);
		hs_end_free(v);
		v = hs_server(&s, e, 0);
		hs_wire_add(&v->in, from->in.data, from->in.len);
		v->in.data[n] ^= (uint8_t)(1u << n % 8);
		while (!v->over && hs_go(v, NULL))
			;
		CU_ASSERT_NOT_EQUAL(v->job.state, SL_HS_DONE);
		hs_end_free(v);
	}
	hs_end_free(from);
	hs_plain_free(p);
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* One byte of the client's last flight is another. */
static void
a_changed_finished_is_refused(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++)
		for (uint32_t at = 0; at < 40; at++) {
			struct hs_plain *p = hs_plain_client(NULL);
			struct hs_end *v = hs_server(&s, e, 0);
			plain_only(p, false, version, 0);
			hs_plain_go(p, &v->in);
			while (hs_go(v, &p->in))
				;
			hs_plain_go(p, &v->in);
			v->in.data[v->in.len - 1 - at] ^= 0x10;
			while (!v->over && hs_go(v, &p->in))
				;
			CU_ASSERT_NOT_EQUAL(v->job.state, SL_HS_DONE);
			hs_end_free(v);
			hs_plain_free(p);
		}
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
a_peer_says_at_most_64_kib(void)
{
	static uint8_t record[5 + 16384] = {22, 3, 1, 0x40, 0, 1, 1, 0x20, 0};
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	struct hs_end *v = hs_server(&s, e, 0);
	uint32_t fed = 0;
	hs_wire_add(&v->in, record, sizeof(record));
	memset(record + 5, 0, 4);
	for (unsigned i = 0; i < 5; i++)
		hs_wire_add(&v->in, record, sizeof(record));
	while (!v->over && hs_go(v, NULL))
		fed += v->job.in_len;
	CU_ASSERT_EQUAL(v->job.state, SL_HS_FAILED);
	CU_ASSERT_EQUAL(v->job.fail, SL_TLS_CNT_FAIL_PROTOCOL);
	CU_ASSERT(fed > 60000 && fed <= 65536 + SL_HS_IN);
	hs_end_free(v);
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
no_common_version_suite_or_group_is_told(void)
{
	struct hs_scene s;
	hs_init(&s);
	s.listener[0].img.min_version = SL_TLS_1_3;
	s.listener[0].img.suites = SL_TLS_SUITE_AES256;
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned i = 0; i < 3; i++) {
		static const unsigned alerts[] = {70, 40, 40};
		struct hs_plain *p = hs_plain_client(NULL);
		struct hs_end *v = hs_server(&s, e, 0);
		plain_only(p, false, i == 0 ? SL_TLS_1_2 : SL_TLS_1_3, i == 1 ? 0 : 1);
		if (i == 2)
			SSL_set1_groups_list(p->ssl, "P-384");
		hs_plain_talk(p, v);
		expect_failed(v, SL_TLS_CNT_FAIL_VERSION, alerts[i]);
		hs_end_free(v);
		hs_plain_free(p);
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
a_peers_alert_is_told(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned version = SL_TLS_1_2; version <= SL_TLS_1_3; version++) {
		struct hs_plain *p = hs_plain_client(NULL);
		struct hs_end *v = hs_server(&s, e, 0);
		hs_plain_trust(p, s.other_ca, SSL_VERIFY_PEER);
		plain_only(p, false, version, 0);
		hs_plain_talk(p, v);
		expect_failed(v, SL_TLS_CNT_FAIL_ALERT, 48);
		hs_end_free(v);
		hs_plain_free(p);
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

/* ---- the rest ---- */

static void
what_the_board_lacks_is_refused(void)
{
	struct hs_scene s;
	hs_init(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	for (unsigned i = 0; i < 2; i++) {
		struct hs_end *v = hs_server(&s, e, i);
		hs_wire_add(&v->in, "\x16", 1);
		hs_go(v, NULL);
		expect_failed(v, SL_TLS_CNT_FAIL_CONFIG, 0);
		hs_end_free(v);
		v = hs_client(&s, e, i);
		hs_go(v, NULL);
		expect_failed(v, SL_TLS_CNT_FAIL_CONFIG, 0);
		hs_end_free(v);
		hs_publish(&s); /* of the second round: other slots */
	}
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
a_handshake_ends_with_the_book_it_began_with(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
	hs_go(c, &v->in);
	v->chunk = 40;
	hs_go(v, &c->in);
	s.listener[0].there = s.service[0].there = false;
	hs_publish(&s);
	struct hs_end *other = hs_server(&s, e, 0);
	hs_wire_add(&other->in, "\x16", 1);
	hs_go(other, NULL);
	expect_failed(other, SL_TLS_CNT_FAIL_CONFIG, 0);
	hs_talk(c, v);
	ends_agree(c, v);
	hs_end_free(c);
	hs_end_free(v);
	hs_end_free(other);
	sl_hs_destroy(e);
	hs_fini(&s);
}

static void
an_engine_frees_handshakes_under_way(void)
{
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
	hs_go(c, &v->in);
	v->chunk = 100;
	hs_go(v, &c->in);
	CU_ASSERT(c->job.hs && v->job.hs);
	sl_hs_destroy(e);
	free(c);
	free(v);
	hs_fini(&s);
}

struct busy {
	pthread_t thread;
	struct hs_scene *s;
	unsigned done;
};

static void *
be_busy(void *arg)
{
	struct busy *b = arg;
	struct sl_hs_engine *e = hs_engine(b->s);
	for (unsigned i = 0; i < 60; i++) {
		struct hs_end *c = hs_client(b->s, e, 0), *v = hs_server(b->s, e, 0);
		hs_talk(c, v);
		b->done += c->job.state == SL_HS_DONE && v->job.state == SL_HS_DONE;
		hs_feed_tickets(c);
		hs_end_free(c);
		hs_end_free(v);
	}
	sl_hs_destroy(e);
	return NULL;
}

static void
engines_of_several_threads_share_a_board_that_changes(void)
{
	struct busy busy[3];
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
	for (unsigned i = 0; i < 3; i++) {
		busy[i] = (struct busy){.s = &s};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&busy[i].thread, NULL, be_busy, &busy[i]), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		struct tls_cert *c = tls_cert_leaf(s.ca, TLS_CERT_EC, "web.example");
		hs_pair(&s, "web_ec", c);
		hs_publish(&s);
		tls_cert_free(c);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(busy[i].thread, NULL);
		CU_ASSERT_EQUAL(busy[i].done, 60);
	}
	hs_fini(&s);
}

#ifndef NDEBUG
static void
count_line(void *ctx, const char *line)
{
	*(unsigned *)ctx += strstr(line, "_SECRET") != NULL;
}
#endif

static void
key_log_is_for_debug_builds(void)
{
	unsigned lines = 0;
	struct sl_hs_conf conf = {.key_log = true, .key_log_ctx = &lines};
	struct hs_scene s;
	hs_init(&s);
	hs_publish(&s);
#ifndef NDEBUG
	conf.key_log_fn = count_line;
#endif
	struct sl_hs_engine *e = hs_engine_with(&s, conf);
	struct hs_end *c = hs_client(&s, e, 0), *v = hs_server(&s, e, 0);
	hs_talk(c, v);
	ends_agree(c, v);
#ifndef NDEBUG
	CU_ASSERT_EQUAL(lines, 10);
#else
	CU_ASSERT_EQUAL(lines, 0);
#endif
	hs_end_free(c);
	hs_end_free(v);
	sl_hs_destroy(e);
	hs_fini(&s);
}

SL_SUITE("handshake", SL_TEST(versions_suites_and_groups_agree_with_rsa_and_ec),
	 SL_TEST(keys_open_what_a_plain_peer_sends_behind_its_finished),
	 SL_TEST(bytes_may_come_in_pieces_of_any_size),
	 SL_TEST(answers_longer_than_a_job_come_in_several),
	 SL_TEST(done_waits_for_bytes_that_go_before_it), SL_TEST(what_is_no_tls_is_refused),
	 SL_TEST(hellos_cut_or_changed_end_nothing_well), SL_TEST(a_changed_finished_is_refused),
	 SL_TEST(a_peer_says_at_most_64_kib), SL_TEST(no_common_version_suite_or_group_is_told),
	 SL_TEST(a_peers_alert_is_told), SL_TEST(what_the_board_lacks_is_refused),
	 SL_TEST(a_handshake_ends_with_the_book_it_began_with),
	 SL_TEST(an_engine_frees_handshakes_under_way),
	 SL_TEST(engines_of_several_threads_share_a_board_that_changes),
	 SL_TEST(key_log_is_for_debug_builds))

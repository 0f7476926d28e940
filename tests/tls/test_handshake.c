/* Engine against engine, and against plain OpenSSL: whole handshakes, their keys, how bytes are cut. */
#include "tests/suite.h"
#include "tests/tls/hs_scene.h"

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

SL_SUITE("handshake", SL_TEST(versions_suites_and_groups_agree_with_rsa_and_ec))

/* Records that somebody changed, that are none, or that go over a limit; and keys that are forgotten. */
#include "record_bed.h"

/* ---- changed ---- */

static bool
all_zero(const struct pieces *p)
{
	for (unsigned i = 0; i < p->cnt; i++)
		for (uint32_t b = 0; b < p->span[i].len; b++)
			if (p->span[i].data[b])
				return false;
	return true;
}

static uint32_t
seal_one(struct ends *x, uint8_t type, uint32_t n)
{
	fill(plain, n);
	return oracle_seal(&x->oracle, type, plain, n, 0, wire);
}

/* wire, cut at a and b, is refused; what was decrypted is not to be seen; nothing else changes. */
static bool
is_refused(struct ends *x, uint32_t bytes, uint32_t a, uint32_t b)
{
	struct sl_record_opened o;
	uint64_t seq = x->open.seq;

	cut(&record, wire, bytes, a, b);
	enum sl_record_verdict v = open_record(x, bytes, &o);
	if (v == SL_RECORD_OK || x->open.seq != seq)
		return false;
	return v != SL_RECORD_BAD_MAC || all_zero(&record);
}

static bool
is_opened(struct ends *x, uint32_t bytes, uint8_t type, uint32_t n)
{
	cut(&record, wire, bytes, bytes, bytes);
	return opens_to(x, bytes, type, plain, n);
}

static void
flip_bits(struct ends *x, uint32_t n, uint32_t a, uint32_t b)
{
	uint32_t bytes = seal_one(x, SL_RECORD_HANDSHAKE, n);
	unsigned bad = 0;

	for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
		wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bad += !is_refused(x, bytes, a, b);
		wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(is_opened(x, bytes, SL_RECORD_HANDSHAKE, n));
}

static void
flip_in_each_way(struct ends *x)
{
	flip_bits(x, 40, 0, 0);
	flip_bits(x, 40, 9, 47);
	flip_bits(x, 600, 0, 0);
	flip_bits(x, 600, 200, 610);
}

static void
a_record_with_a_changed_bit_is_refused_and_not_shown(void)
{
	each_suite_and_version(flip_in_each_way);
}

/* Bytes are taken off or put behind; the header says so, or does not. */
static void
change_length(struct ends *x)
{
	uint32_t bytes = seal_one(x, SL_RECORD_DATA, 600), off = sl_record_overhead(&x->seal) + 1;

	for (uint32_t n = off; n < bytes + 40; n += n + 30 < bytes ? 7 : 1) {
		if (n == bytes)
			continue;
		CU_ASSERT(is_refused(x, n, n / 2, n));
		oracle_be(wire + 3, n - 5, 2);
		CU_ASSERT(is_refused(x, n, n / 2, n));
		CU_ASSERT(is_refused(x, n, n, n));
		oracle_be(wire + 3, bytes - 5, 2);
	}
	CU_ASSERT(is_opened(x, bytes, SL_RECORD_DATA, 600));
}

static void
a_record_of_another_length_is_refused(void)
{
	each_suite_and_version(change_length);
}

/* The tag moves with the length, so that only AAD and cipher can tell. */
static void
any_bytes_short_of_a_tag_are_refused(void)
{
	struct ends x = ends(SL_TLS_1_3, SL_SUITE_AES128_GCM);
	struct sl_record_opened o;

	for (uint32_t n = 0; n < 22; n++) {
		uint8_t bytes[32] = {23, 3, 3, 0, (uint8_t)(n - 5)};
		struct sl_span span = {bytes, n};
		CU_ASSERT(sl_record_open(x.e, &x.open, &span, 1, n, &o) == SL_RECORD_BAD_LENGTH);
	}
	ends_free(&x);
}

/* ---- of another sequence, key, suite, version ---- */

static void
other_sequence(struct ends *x)
{
	for (uint64_t seq = 0; seq < 5; seq++) {
		x->oracle.seq = seq;
		uint32_t bytes = seal_one(x, SL_RECORD_DATA, 100);
		for (uint64_t at = 0; at < 5; at++) {
			x->open.seq = at;
			CU_ASSERT(at == seq ? is_opened(x, bytes, SL_RECORD_DATA, 100)
					    : is_refused(x, bytes, 0, 50));
		}
	}
}

static void
a_record_out_of_its_sequence_is_refused(void)
{
	each_suite_and_version(other_sequence);
}

static void
other_key(struct ends *x)
{
	uint32_t bytes = seal_one(x, SL_RECORD_DATA, 100);
	struct oracle was = x->oracle, key = was, iv = was;

	was.seq = key.seq = iv.seq = was.seq - 1;
	key.key[15] ^= 1;
	iv.iv[3] ^= 1;
	sl_record_key(x->e, &x->open, key.version, key.suite, key.key, key.iv, key.seq);
	CU_ASSERT(is_refused(x, bytes, 0, 0));
	sl_record_key(x->e, &x->open, iv.version, iv.suite, iv.key, iv.iv, iv.seq);
	CU_ASSERT(is_refused(x, bytes, 0, 0));
	for (unsigned s = 0; s < SL_ARRAY_CNT(suites); s++) {
		for (unsigned v = 0; v < SL_ARRAY_CNT(versions); v++) {
			bool same = suites[s] == was.suite && versions[v] == was.version;
			sl_record_key(x->e, &x->open, versions[v], suites[s], was.key, was.iv,
				      was.seq);
			CU_ASSERT(same ? is_opened(x, bytes, SL_RECORD_DATA, 100)
				       : is_refused(x, bytes, 0, 0));
		}
	}
}

static void
a_record_of_another_key_suite_or_version_is_refused(void)
{
	each_suite_and_version(other_key);
}

static void
count_to_the_end(struct ends *x)
{
	struct sl_record_opened o;

	rekey(x, x->seal.version, x->seal.suite, UINT64_MAX - 1);
	cut(&in, plain, 10, 5, 5);
	cut(&out, NULL, 10 + sl_record_overhead(&x->seal), 8, 20);
	CU_ASSERT(seals_as_oracle(x, SL_RECORD_DATA, plain, 10));
	pieces_get(&out, wire);
	CU_ASSERT(is_opened(x, 10 + sl_record_overhead(&x->seal), SL_RECORD_DATA, 10));
	CU_ASSERT(!sl_record_seal(x->e, &x->seal, SL_RECORD_DATA, in.span, in.cnt, 10, out.span,
				  out.cnt));
	uint32_t bytes = seal_one(x, SL_RECORD_DATA, 10);
	cut(&record, wire, bytes, 0, 0);
	CU_ASSERT_EQUAL(open_record(x, bytes, &o), SL_RECORD_BAD_SEQ);
}

static void
the_last_sequence_number_is_never_used(void)
{
	each_suite_and_version(count_to_the_end);
}

/* ---- headers, RFC 8446 5.1 and 5.2, RFC 5246 6.2 ---- */

struct header {
	const char *why;
	unsigned version;
	uint8_t type;
	uint16_t wire_version;
	uint32_t len;
	enum sl_record_verdict verdict;
};

/* AES-128-GCM: at least a tag, in 1.3 an inner type, in 1.2 an explicit nonce. */
static const struct header headers[] = {
	{"data", SL_TLS_1_3, 23, 0x0303, 100, SL_RECORD_OK},
	{"the shortest", SL_TLS_1_3, 23, 0x0303, 17, SL_RECORD_OK},
	{"no inner type", SL_TLS_1_3, 23, 0x0303, 16, SL_RECORD_BAD_LENGTH},
	{"empty", SL_TLS_1_3, 23, 0x0303, 0, SL_RECORD_BAD_LENGTH},
	{"the longest", SL_TLS_1_3, 23, 0x0303, 16384 + 256, SL_RECORD_OK},
	{"record_overflow", SL_TLS_1_3, 23, 0x0303, 16384 + 257, SL_RECORD_BAD_LENGTH},
	{"all ones", SL_TLS_1_3, 23, 0x0303, 65535, SL_RECORD_BAD_LENGTH},
	{"1.2's change_cipher_spec", SL_TLS_1_3, 20, 0x0303, 1, SL_RECORD_OK},
	{"a longer one", SL_TLS_1_3, 20, 0x0303, 2, SL_RECORD_BAD_HEADER},
	{"an alert in the clear", SL_TLS_1_3, 21, 0x0303, 2, SL_RECORD_BAD_HEADER},
	{"a handshake in the clear", SL_TLS_1_3, 22, 0x0303, 40, SL_RECORD_BAD_HEADER},
	{"heartbeat", SL_TLS_1_3, 24, 0x0303, 40, SL_RECORD_BAD_HEADER},
	{"HTTP", SL_TLS_1_3, 'G', 0x4554, 0x202f, SL_RECORD_BAD_HEADER},
	{"1.0", SL_TLS_1_3, 23, 0x0301, 100, SL_RECORD_BAD_HEADER},
	{"1.3's own number", SL_TLS_1_3, 23, 0x0304, 100, SL_RECORD_BAD_HEADER},
	{"data", SL_TLS_1_2, 23, 0x0303, 100, SL_RECORD_OK},
	{"alert", SL_TLS_1_2, 21, 0x0303, 26, SL_RECORD_OK},
	{"handshake", SL_TLS_1_2, 22, 0x0303, 26, SL_RECORD_OK},
	{"heartbeat", SL_TLS_1_2, 24, 0x0303, 26, SL_RECORD_BAD_HEADER},
	{"type 19", SL_TLS_1_2, 19, 0x0303, 26, SL_RECORD_BAD_HEADER},
	{"the shortest", SL_TLS_1_2, 23, 0x0303, 24, SL_RECORD_OK},
	{"no tag", SL_TLS_1_2, 23, 0x0303, 23, SL_RECORD_BAD_LENGTH},
	{"change_cipher_spec in the clear", SL_TLS_1_2, 20, 0x0303, 1, SL_RECORD_BAD_LENGTH},
	{"the longest", SL_TLS_1_2, 23, 0x0303, 16384 + 2048, SL_RECORD_OK},
	{"record_overflow", SL_TLS_1_2, 23, 0x0303, 16384 + 2049, SL_RECORD_BAD_LENGTH},
	{"1.1", SL_TLS_1_2, 23, 0x0302, 100, SL_RECORD_BAD_HEADER},
};

static void
headers_are_held_to_the_rfcs(void)
{
	struct sl_record_engine *e = engine();
	uint8_t key[32] = {0}, bytes[5];

	for (unsigned i = 0; i < SL_ARRAY_CNT(headers); i++) {
		const struct header *h = &headers[i];
		struct sl_record_head head = {0};
		struct sl_record_dir d = {0};
		sl_record_key(e, &d, h->version, SL_SUITE_AES128_GCM, key, key, 0);
		bytes[0] = h->type;
		oracle_be(bytes + 1, h->wire_version, 2);
		oracle_be(bytes + 3, h->len, 2);
		enum sl_record_verdict v = sl_record_head(&d, bytes, &head);
		if (v != h->verdict)
			printf("%s: %d\n", h->why, v);
		CU_ASSERT_EQUAL(v, h->verdict);
		if (v == SL_RECORD_OK)
			CU_ASSERT(head.type == h->type && head.bytes == h->len + 5 &&
				  head.version == 0x0303);
	}
	engine_free(e);
}

static void
change_cipher_spec_is_never_opened(void)
{
	struct ends x = ends(SL_TLS_1_3, SL_SUITE_CHACHA20);
	uint8_t bytes[] = {20, 3, 3, 0, 1, 1};
	struct sl_span span = {bytes, sizeof(bytes)};
	struct sl_record_opened o;

	CU_ASSERT_EQUAL(sl_record_open(x.e, &x.open, &span, 1, 6, &o), SL_RECORD_BAD_HEADER);
	ends_free(&x);
}

/* ---- lengths ---- */

/* n bytes of content, sealed by the oracle whatever the limits say. */
static enum sl_record_verdict
open_long(struct ends *x, uint32_t n, uint32_t padding, uint32_t piece)
{
	struct sl_record_opened o;

	fill(plain, n);
	uint32_t bytes = oracle_seal(&x->oracle, SL_RECORD_DATA, plain, n, padding, wire);
	x->open.seq = x->oracle.seq - 1;
	cut_even(&record, wire, bytes, piece, piece);
	enum sl_record_verdict v = open_record(x, bytes, &o);
	CU_ASSERT(v != SL_RECORD_OK || (o.len == n && o.type == SL_RECORD_DATA));
	return v;
}

static void
longest(struct ends *x)
{
	static const uint32_t piece[] = {1448, WIRE};
	uint32_t pad = x->open.version == SL_TLS_1_3;

	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(open_long(x, 16384, 0, piece[i]), SL_RECORD_OK);
		CU_ASSERT_EQUAL(open_long(x, 16383, pad, piece[i]), SL_RECORD_OK);
		CU_ASSERT_EQUAL(open_long(x, 0, 16384 * pad, piece[i]), SL_RECORD_OK);
		CU_ASSERT_EQUAL(open_long(x, 16385, 0, piece[i]), SL_RECORD_BAD_LENGTH);
		CU_ASSERT_EQUAL(open_long(x, 16600, 0, piece[i]), SL_RECORD_BAD_LENGTH);
		if (pad)
			CU_ASSERT_EQUAL(open_long(x, 16384, 1, piece[i]), SL_RECORD_BAD_LENGTH);
		if (pad)
			CU_ASSERT_EQUAL(open_long(x, 1, 16384, piece[i]), SL_RECORD_BAD_LENGTH);
	}
}

static void
plaintext_over_16384_bytes_is_refused(void)
{
	each_suite_and_version(longest);
}

static void
longest_sealed(struct ends *x)
{
	uint32_t bytes = SL_RECORD_MAX + sl_record_overhead(&x->seal);

	CU_ASSERT(bytes <= SL_RECORD_MAX + SL_RECORD_OVERHEAD_MAX);
	fill(plain, SL_RECORD_MAX);
	cut(&in, plain, SL_RECORD_MAX, 1, 16383);
	cut(&out, NULL, bytes, 4, bytes - 1);
	CU_ASSERT(seals_as_oracle(x, SL_RECORD_DATA, plain, SL_RECORD_MAX));
	cut(&in, plain, SL_RECORD_MAX, 0, 0);
	cut(&out, NULL, bytes, 0, 0);
	CU_ASSERT(seals_as_oracle(x, SL_RECORD_DATA, plain, SL_RECORD_MAX));
}

static void
plaintext_of_16384_bytes_is_sealed(void)
{
	each_suite_and_version(longest_sealed);
}

/* ---- inner types and padding of 1.3, RFC 8446 5.4 ---- */

static void
pad(struct ends *x, uint32_t n, uint32_t padding)
{
	unsigned bad = 0;

	fill(plain, n);
	if (n)
		plain[n - 1] = 0; /* content may end in zeros */
	uint32_t bytes = oracle_seal(&x->oracle, SL_RECORD_ALERT, plain, n, padding, wire);
	for (uint32_t a = 0; a <= bytes; a += 1 + bytes / 150) {
		x->open.seq = x->oracle.seq - 1;
		cut(&record, wire, bytes, a, a + 1 + padding / 2);
		bad += !opens_to(x, bytes, SL_RECORD_ALERT, plain, n);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void
padding_is_taken_off_wherever_it_is_cut(void)
{
	for (unsigned s = 0; s < SL_ARRAY_CNT(suites); s++) {
		struct ends x = ends(SL_TLS_1_3, suites[s]);
		for (uint32_t padding = 0; padding < 40; padding++)
			pad(&x, 1 + padding % 20, padding);
		pad(&x, 2, 255);
		pad(&x, 2, 2000);
		pad(&x, 700, 15000);
		pieces_free(&record);
		ends_free(&x);
	}
}

/* An inner plaintext of n bytes as it is, in pieces of `piece` bytes. */
static enum sl_record_verdict
open_inner(struct ends *x, const uint8_t *inner, uint32_t n, uint32_t piece)
{
	struct sl_record_opened o;
	uint32_t bytes = oracle_seal_raw(&x->oracle, SL_RECORD_DATA, inner, n, wire);

	cut_even(&record, wire, bytes, piece, piece);
	return open_record(x, bytes, &o);
}

static void
inner_plaintext_of_zeros_is_refused(void)
{
	static const uint8_t zeros[16385];
	static const uint32_t size[] = {1, 2, 7, 8, 9, 100, 3000, 16385};

	for (unsigned s = 0; s < SL_ARRAY_CNT(suites); s++) {
		struct ends x = ends(SL_TLS_1_3, suites[s]);
		for (unsigned i = 0; i < SL_ARRAY_CNT(size); i++) {
			CU_ASSERT_EQUAL(open_inner(&x, zeros, size[i], 1448), SL_RECORD_BAD_INNER);
			CU_ASSERT_EQUAL(open_inner(&x, zeros, size[i], WIRE), SL_RECORD_BAD_INNER);
		}
		pieces_free(&record);
		ends_free(&x);
	}
}

static void
inner_types_of_no_record_are_refused(void)
{
	struct ends x = ends(SL_TLS_1_3, SL_SUITE_AES256_GCM);

	for (unsigned type = 1; type < 256; type++) {
		uint8_t inner[] = {'x', 'y', (uint8_t)type, 0, 0};
		bool good = type == SL_RECORD_ALERT || type == SL_RECORD_HANDSHAKE ||
			    type == SL_RECORD_DATA;
		CU_ASSERT_EQUAL(open_inner(&x, inner, 5, 10),
				good ? SL_RECORD_OK : SL_RECORD_BAD_INNER);
	}
	pieces_free(&record);
	ends_free(&x);
}

static void
empty_ones(struct ends *x)
{
	struct sl_record_opened o;

	for (uint8_t type = SL_RECORD_ALERT; type <= SL_RECORD_DATA; type++) {
		uint32_t bytes = seal_one(x, type, 0);
		cut(&record, wire, bytes, 6, 6);
		enum sl_record_verdict v = open_record(x, bytes, &o);
		CU_ASSERT_EQUAL(v, type == SL_RECORD_DATA ? SL_RECORD_OK : SL_RECORD_BAD_INNER);
		CU_ASSERT(v != SL_RECORD_OK || o.len == 0);
	}
}

static void
only_data_may_be_empty(void)
{
	each_suite_and_version(empty_ones);
}

/* ---- keys ---- */

static bool
seals(struct sl_record_engine *e, struct sl_record_dir *d)
{
	uint8_t bytes[64];
	struct sl_span from = {plain, 10}, to = {bytes, 10 + sl_record_overhead(d)};

	return sl_record_seal(e, d, SL_RECORD_DATA, &from, 1, 10, &to, 1);
}

static void
a_key_is_expanded_once_while_there_is_room(void)
{
	struct sl_record_engine *e = engine();
	struct sl_record_dir d[KEYS] = {0};
	uint8_t key[32] = {0};

	for (unsigned i = 0; i < KEYS; i++) {
		key[0] = (uint8_t)i;
		sl_record_key(e, &d[i], SL_TLS_1_3, SL_SUITE_AES128_GCM, key, key, 0);
	}
	CU_ASSERT_EQUAL(sl_record_expanded(e), 0);
	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned i = 0; i < KEYS; i++)
			CU_ASSERT(seals(e, &d[i]));
	CU_ASSERT_EQUAL(sl_record_expanded(e), KEYS);
	engine_free(e);
}

static void
chacha20_needs_no_expanded_key(void)
{
	struct sl_record_engine *e = engine();
	struct sl_record_dir d = {0};
	uint8_t key[32] = {0};

	sl_record_key(e, &d, SL_TLS_1_3, SL_SUITE_CHACHA20, key, key, 0);
	CU_ASSERT(seals(e, &d));
	CU_ASSERT_EQUAL(sl_record_expanded(e), 0);
	engine_free(e);
}

/* More directions than slots, in an order by chance: records stay right, whoever is driven out. */
static void
keys_that_were_driven_out_come_back(void)
{
	enum { MANY = 5 * KEYS };
	static struct ends x[MANY];
	struct sl_record_engine *e = engine();
	unsigned bad = 0;

	memset(x, 0, sizeof(x));
	for (unsigned i = 0; i < MANY; i++) {
		x[i].e = e;
		rekey(&x[i], versions[i % 2], suites[chance(2)], i);
	}
	for (unsigned turn = 0; turn < 2000; turn++) {
		struct ends *one = &x[chance(4) ? chance(KEYS / 4) : chance(MANY)];
		uint32_t bytes = 60 + sl_record_overhead(&one->seal);
		fill(plain, 60);
		cut(&in, plain, 60, 0, 0);
		cut(&out, NULL, bytes, 30, 30);
		bad += !seals_as_oracle(one, SL_RECORD_DATA, plain, 60);
		pieces_get(&out, wire);
		cut(&record, wire, bytes, 40, 40);
		bad += !opens_to(one, bytes, SL_RECORD_DATA, plain, 60);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(sl_record_expanded(e) > MANY);
	CU_ASSERT(sl_record_expanded(e) < 2000); /* the few that are used often stay */
	pieces_free(&in);
	pieces_free(&out);
	pieces_free(&record);
	engine_free(e);
}

/* The first round key of AES-128 is the key. */
static bool
engine_holds(const struct sl_record_engine *e, const uint8_t key[16])
{
	return memmem(e, sl_record_bytes(KEYS), key, 16) != NULL;
}

static void
a_dropped_or_replaced_key_is_nowhere(void)
{
	struct sl_record_engine *e = engine();
	struct sl_record_dir d = {0}, zero = {0};
	uint8_t key[16] = "0123456789abcde", next[16] = "fedcba987654321", iv[12] = {0};

	sl_record_key(e, &d, SL_TLS_1_3, SL_SUITE_AES128_GCM, key, iv, 0);
	CU_ASSERT(seals(e, &d));
	CU_ASSERT(engine_holds(e, key));
	sl_record_key(e, &d, SL_TLS_1_3, SL_SUITE_AES128_GCM, next, iv, 0);
	CU_ASSERT(!engine_holds(e, key));
	CU_ASSERT(seals(e, &d));
	CU_ASSERT(engine_holds(e, next));
	sl_record_drop(e, &d);
	CU_ASSERT(!engine_holds(e, next));
	CU_ASSERT(!memcmp(&d, &zero, sizeof(d)));
	sl_record_drop(e, &d);
	engine_free(e);
}

static void
an_engine_that_ends_leaves_zeros(void)
{
	struct sl_record_engine *e = engine();
	size_t bytes = sl_record_bytes(KEYS);
	struct ends x = {.e = e};

	rekey(&x, SL_TLS_1_3, SL_SUITE_AES256_GCM, 0);
	CU_ASSERT(seals(e, &x.seal));
	sl_record_fini(e);
	for (size_t i = 0; i < bytes; i++)
		CU_ASSERT_FATAL(!((const uint8_t *)e)[i]);
	free(e);
}

SL_SUITE("record_bad", SL_TEST(a_record_with_a_changed_bit_is_refused_and_not_shown),
	 SL_TEST(a_record_of_another_length_is_refused),
	 SL_TEST(any_bytes_short_of_a_tag_are_refused),
	 SL_TEST(a_record_out_of_its_sequence_is_refused),
	 SL_TEST(a_record_of_another_key_suite_or_version_is_refused),
	 SL_TEST(the_last_sequence_number_is_never_used), SL_TEST(headers_are_held_to_the_rfcs),
	 SL_TEST(change_cipher_spec_is_never_opened),
	 SL_TEST(plaintext_over_16384_bytes_is_refused),
	 SL_TEST(plaintext_of_16384_bytes_is_sealed),
	 SL_TEST(padding_is_taken_off_wherever_it_is_cut),
	 SL_TEST(inner_plaintext_of_zeros_is_refused),
	 SL_TEST(inner_types_of_no_record_are_refused), SL_TEST(only_data_may_be_empty),
	 SL_TEST(a_key_is_expanded_once_while_there_is_room),
	 SL_TEST(chacha20_needs_no_expanded_key), SL_TEST(keys_that_were_driven_out_come_back),
	 SL_TEST(a_dropped_or_replaced_key_is_nowhere), SL_TEST(an_engine_that_ends_leaves_zeros))

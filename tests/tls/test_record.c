/* Records in pieces against known answers, against OpenSSL, and against whoever changes them. */
#include "record_bed.h"

/* ---- RFC 8448, 3: records of the simple handshake ---- */

struct known {
	const char *why;
	const char *key, *iv;
	uint64_t seq;
	uint8_t type;
	uint32_t len;
	const char *record;
};

static const struct known known[] = {
	{"client's data", "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9", 0,
	 SL_RECORD_DATA, 50,
	 "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a2"
	 "0441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"},
	{"client's close_notify", "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9", 1,
	 SL_RECORD_ALERT, 2, "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"},
	{"server's data, behind a ticket", "9f02283b6c9c07efc26bb9f2ac92e356",
	 "cf782b88dd83549aadf1e984", 1, SL_RECORD_DATA, 50,
	 "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb5"
	 "01a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"},
	{"server's close_notify", "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984", 2,
	 SL_RECORD_ALERT, 2, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"},
};

static uint32_t
unhex(const char *hex, uint8_t *to)
{
	uint32_t n = 0;

	for (unsigned v; sscanf(hex, "%2x", &v) == 1; hex += 2)
		to[n++] = (uint8_t)v;
	return n;
}

/* Data is 00 01 02 …, close_notify 01 00. */
static void
known_plain(const struct known *k, uint8_t *to)
{
	for (uint32_t i = 0; i < k->len; i++)
		to[i] = k->type == SL_RECORD_DATA ? (uint8_t)i : (uint8_t)(1 - i);
}

static void
known_record_both_ways(struct sl_record_engine *e, const struct known *k, uint32_t a, uint32_t b)
{
	struct ends x = {.e = e};
	uint8_t key[16], iv[12], got[128];
	uint32_t bytes = unhex(k->record, wire);

	unhex(k->key, key);
	unhex(k->iv, iv);
	known_plain(k, plain);
	sl_record_key(e, &x.seal, SL_TLS_1_3, SL_SUITE_AES128_GCM, key, iv, k->seq);
	sl_record_key(e, &x.open, SL_TLS_1_3, SL_SUITE_AES128_GCM, key, iv, k->seq);
	cut(&in, plain, k->len, a, b);
	cut(&out, NULL, bytes, a, b);
	CU_ASSERT(sl_record_seal(e, &x.seal, k->type, in.span, 3, k->len, out.span, 3));
	pieces_get(&out, got);
	CU_ASSERT(!memcmp(got, wire, bytes));
	cut(&record, wire, bytes, a, b);
	CU_ASSERT(opens_to(&x, bytes, k->type, plain, k->len));
	sl_record_drop(e, &x.seal);
	sl_record_drop(e, &x.open);
}

static void
records_of_rfc_8448_are_made_and_read(void)
{
	struct sl_record_engine *e = engine();

	for (unsigned i = 0; i < SL_ARRAY_CNT(known); i++)
		for (uint32_t a = 0; a <= 72; a++)
			known_record_both_ways(e, &known[i], a, a + 7);
	engine_free(e);
}

/* ---- pieces ---- */

static const uint32_t short_sizes[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 100};

static void
every_cut(struct ends *x, uint32_t n)
{
	uint32_t bytes = n + sl_record_overhead(&x->seal);
	unsigned bad = 0;

	for (uint32_t a = 0; a <= bytes; a++) {
		for (uint32_t b = 0; b <= n; b += 1 + n / 20) {
			fill(plain, n);
			cut(&in, plain, n, b, b + a % 5);
			cut(&out, NULL, bytes, a, a + b % 7);
			bad += !seals_as_oracle(x, SL_RECORD_DATA, plain, n);
			pieces_get(&out, wire);
			cut(&record, wire, bytes, a, a + b);
			bad += !opens_to(x, bytes, SL_RECORD_DATA, plain, n);
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void
every_short_cut(struct ends *x)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(short_sizes); i++)
		every_cut(x, short_sizes[i]);
}

static void
short_records_may_be_cut_at_every_byte(void)
{
	each_suite_and_version(every_short_cut);
}

/* Records that GCM takes piece by piece: each first piece, in pieces of all kinds. */
static void
long_cuts(struct ends *x)
{
	static const uint32_t size[] = {1448, 1440, 16, 17, 1, 4096, 767};
	uint32_t n = 2200, bytes = n + sl_record_overhead(&x->seal);
	unsigned bad = 0;

	for (uint32_t a = 0; a <= bytes; a++) {
		fill(plain, n);
		cut_even(&in, plain, n, (a * 7) % n, size[a % SL_ARRAY_CNT(size)]);
		cut_even(&out, NULL, bytes, a, size[a / 7 % SL_ARRAY_CNT(size)]);
		bad += !seals_as_oracle(x, SL_RECORD_DATA, plain, n);
		pieces_get(&out, wire);
		cut_even(&record, wire, bytes, a, size[a % SL_ARRAY_CNT(size)]);
		bad += !opens_to(x, bytes, SL_RECORD_DATA, plain, n);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void
long_records_may_be_cut_at_every_byte(void)
{
	each_suite_and_version(long_cuts);
}

static void
differ(struct ends *x)
{
	static uint8_t expected[WIRE];
	unsigned bad = 0;

	for (unsigned i = 0; i < 300; i++) {
		uint32_t n = chance(3) ? chance(600) : chance(SL_RECORD_MAX + 1);
		uint8_t type = n ? (uint8_t)(SL_RECORD_ALERT + chance(3)) : SL_RECORD_DATA;
		uint32_t bytes = n + sl_record_overhead(&x->seal);
		rekey(x, x->seal.version, x->seal.suite, (uint64_t)chance(1u << 31) << chance(32));
		struct oracle reader = x->oracle;
		fill(plain, n);
		cut_by_chance(&in, plain, n);
		cut_by_chance(&out, NULL, bytes);
		bad += !seals_as_oracle(x, type, plain, n);
		pieces_get(&out, wire);
		bool change = chance(3) == 0;
		if (change)
			wire[chance(bytes)] ^= (uint8_t)(1u << chance(8));
		uint8_t type_read = 0;
		int len = oracle_open(&reader, wire, bytes, expected, &type_read);
		cut_by_chance(&record, wire, bytes);
		if (len >= 0) {
			bad += !opens_to(x, bytes, type_read, expected, (uint32_t)len);
		} else {
			struct sl_record_opened o;
			bad += open_record(x, bytes, &o) == SL_RECORD_OK;
		}
		bad += change != (len < 0);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void
openssl_and_we_agree_on_records_by_chance(void)
{
	each_suite_and_version(differ);
}

/* In memory that ends before a page nobody may touch. */
static void
ends_of_pages(struct ends *x)
{
	unsigned bad = 0;

	in.guarded = out.guarded = record.guarded = true;
	for (uint32_t n = 0; n < 2400; n += n < 300 ? 1 : 97) {
		uint32_t bytes = n + sl_record_overhead(&x->seal);
		fill(plain, n);
		cut(&in, plain, n, n / 3, n);
		cut(&out, NULL, bytes, n % 40, bytes);
		bad += !seals_as_oracle(x, SL_RECORD_DATA, plain, n);
		pieces_get(&out, wire);
		cut(&record, wire, bytes, n % 30, bytes - n % 20);
		bad += !opens_to(x, bytes, SL_RECORD_DATA, plain, n);
	}
	CU_ASSERT_EQUAL(bad, 0);
	pieces_free(&in);
	pieces_free(&out);
	pieces_free(&record);
	in.guarded = out.guarded = record.guarded = false;
}

static void
nothing_is_touched_beyond_a_piece(void)
{
	each_suite_and_version(ends_of_pages);
}

/* One piece in memory, told as many. */
static void
neighbours(struct ends *x)
{
	static uint8_t room[8000];
	struct sl_span spans[8];
	struct sl_record_opened o;
	uint32_t n = 5000, bytes = n + sl_record_overhead(&x->seal), at = 0;

	for (unsigned i = 0; i < 8; i++) {
		spans[i] = (struct sl_span){room + at, i == 7 ? bytes - at : i == 3 ? 0 : 13u * i};
		at += spans[i].len;
	}
	fill(plain, n);
	cut(&in, plain, n, 1000, 1000);
	uint32_t len = oracle_seal(&x->oracle, SL_RECORD_DATA, plain, n, 0, wire);
	CU_ASSERT(sl_record_seal(x->e, &x->seal, SL_RECORD_DATA, in.span, in.cnt, n, spans, 8));
	CU_ASSERT(len == bytes && !memcmp(room, wire, bytes));
	CU_ASSERT_EQUAL(sl_record_open(x->e, &x->open, spans, 8, bytes, &o), SL_RECORD_OK);
	CU_ASSERT(o.len == n && !memcmp(room + o.off, plain, n));
}

static void
pieces_that_are_neighbours_are_one(void)
{
	each_suite_and_version(neighbours);
}

SL_SUITE("record", SL_TEST(records_of_rfc_8448_are_made_and_read),
	 SL_TEST(short_records_may_be_cut_at_every_byte),
	 SL_TEST(long_records_may_be_cut_at_every_byte), SL_TEST(nothing_is_touched_beyond_a_piece),
	 SL_TEST(pieces_that_are_neighbours_are_one),
	 SL_TEST(openssl_and_we_agree_on_records_by_chance))

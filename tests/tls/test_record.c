/* Records in pieces against known answers, against OpenSSL, and against whoever changes them. */
#include "l7/tls/mb.h"
#include "l7/tls/record.h"
#include "oracle.h"
#include "tests/suite.h"

#define KEYS 16
#define WIRE 40000 /* more than any record of a test */
#define PIECES 4096

static const unsigned versions[] = {SL_TLS_1_2, SL_TLS_1_3};
static const unsigned suites[] = {SL_SUITE_AES128_GCM, SL_SUITE_AES256_GCM, SL_SUITE_CHACHA20};

static uint64_t seed = 1;

static uint32_t
chance(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static void
fill(uint8_t *to, uint32_t n)
{
	while (n--)
		*to++ = (uint8_t)chance(256);
}

/* ---- an engine, and both ends of a direction ---- */

static struct sl_record_engine *
engine(void)
{
	const char *why = NULL;
	void *mem = aligned_alloc(64, sl_record_bytes(KEYS));

	if (!mem)
		abort();
	memset(mem, 0, sl_record_bytes(KEYS));
	struct sl_record_engine *e = sl_record_init(mem, KEYS, &why);
	if (!e) {
		fprintf(stderr, "no engine: %s\n", why);
		abort();
	}
	return e;
}

static void
engine_free(struct sl_record_engine *e)
{
	sl_record_fini(e);
	free(e);
}

/* The same key three times: for who seals, for who opens, and for the oracle. */
struct ends {
	struct sl_record_engine *e;
	struct sl_record_dir seal, open;
	struct oracle oracle;
};

static void
rekey(struct ends *x, unsigned version, unsigned suite, uint64_t seq)
{
	x->oracle = (struct oracle){.version = version, .suite = suite, .seq = seq};
	fill(x->oracle.key, 32);
	fill(x->oracle.iv, 12);
	sl_record_key(x->e, &x->seal, version, suite, x->oracle.key, x->oracle.iv, seq);
	sl_record_key(x->e, &x->open, version, suite, x->oracle.key, x->oracle.iv, seq);
}

static struct ends
ends(unsigned version, unsigned suite)
{
	struct ends x = {.e = engine()};

	rekey(&x, version, suite, chance(1000));
	return x;
}

static void
ends_free(struct ends *x)
{
	sl_record_drop(x->e, &x->seal);
	sl_record_drop(x->e, &x->open);
	engine_free(x->e);
}

/* ---- bytes in pieces ---- */

struct pieces {
	struct sl_span span[PIECES];
	unsigned cnt;
	bool guarded;
};

static struct pieces in, out, record;

static void
add_piece(struct pieces *p, const uint8_t *bytes, uint32_t n)
{
	if (p->cnt == PIECES)
		abort();
	uint8_t *data = p->guarded ? guard_buf(n) : malloc(n ? n : 1);
	if (!data)
		abort();
	if (bytes)
		memcpy(data, bytes, n);
	else
		memset(data, 0xee, n);
	p->span[p->cnt++] = (struct sl_span){data, n};
}

static void
pieces_free(struct pieces *p)
{
	while (p->cnt) {
		struct sl_span *s = &p->span[--p->cnt];
		if (p->guarded)
			guard_free(s->data, s->len);
		else
			free(s->data);
	}
}

static void
pieces_get(const struct pieces *p, uint8_t *to)
{
	for (unsigned i = 0; i < p->cnt; i++) {
		memcpy(to, p->span[i].data, p->span[i].len);
		to += p->span[i].len;
	}
}

/* n bytes cut at a and b, [0, n]; NULL: room for them. */
static void
cut(struct pieces *p, const uint8_t *bytes, uint32_t n, uint32_t a, uint32_t b)
{
	uint32_t low = SL_MIN(SL_MIN(a, b), n), high = SL_MIN(SL_MAX(a, b), n);

	pieces_free(p);
	add_piece(p, bytes, low);
	add_piece(p, bytes ? bytes + low : NULL, high - low);
	add_piece(p, bytes ? bytes + high : NULL, n - high);
}

/* Pieces of `size` bytes, the first of `first`. */
static void
cut_even(struct pieces *p, const uint8_t *bytes, uint32_t n, uint32_t first, uint32_t size)
{
	pieces_free(p);
	for (uint32_t at = 0, k = SL_MIN(first, n); at < n || !p->cnt;
	     at += k, k = SL_MIN(size, n - at))
		add_piece(p, bytes ? bytes + at : NULL, k);
}

static void
cut_by_chance(struct pieces *p, const uint8_t *bytes, uint32_t n)
{
	uint32_t most = chance(4) ? 1 + chance(3000) : 1 + chance(20);

	pieces_free(p);
	most = SL_MAX(most, n / (PIECES / 8) + 1);
	for (uint32_t at = 0, k; at < n || !p->cnt; at += k) {
		k = chance(most + 1);
		if (p->cnt > PIECES / 2 || k > n - at)
			k = n - at;
		add_piece(p, bytes ? bytes + at : NULL, k);
	}
}

/* ---- what is done in most tests ---- */

/* Seals plain (in `in`) into `out`; whether the bytes are what the oracle says.  The oracle goes on. */
static bool
seals_as_oracle(struct ends *x, uint8_t type, const uint8_t *plain, uint32_t n)
{
	static uint8_t want[WIRE], got[WIRE];
	uint32_t len = oracle_seal(&x->oracle, type, plain, n, 0, want);

	if (!sl_record_seal(x->e, &x->seal, type, in.span, in.cnt, n, out.span, out.cnt))
		return false;
	pieces_get(&out, got);
	return len == n + sl_record_overhead(&x->seal) && !memcmp(want, got, len) &&
	       x->seal.seq == x->oracle.seq;
}

/* Opens `record`, of `bytes` bytes. */
static enum sl_record_verdict
open_record(struct ends *x, uint32_t bytes, struct sl_record_opened *ret)
{
	return sl_record_open(x->e, &x->open, record.span, record.cnt, bytes, ret);
}

/* Whether `record` opens to plain. */
static bool
opens_to(struct ends *x, uint32_t bytes, uint8_t type, const uint8_t *plain, uint32_t n)
{
	static uint8_t got[WIRE];
	struct sl_record_opened o;

	if (open_record(x, bytes, &o) != SL_RECORD_OK)
		return false;
	pieces_get(&record, got);
	return o.type == type && o.len == n && o.off + o.len <= bytes &&
	       !memcmp(got + o.off, plain, n);
}

static uint8_t plain[WIRE], wire[WIRE];

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
each_suite_and_version(void (*what)(struct ends *))
{
	for (unsigned v = 0; v < SL_ARRAY_CNT(versions); v++) {
		for (unsigned s = 0; s < SL_ARRAY_CNT(suites); s++) {
			struct ends x = ends(versions[v], suites[s]);
			what(&x);
			ends_free(&x);
		}
	}
	pieces_free(&in);
	pieces_free(&out);
	pieces_free(&record);
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

SL_SUITE("record", SL_TEST(records_of_rfc_8448_are_made_and_read),
	 SL_TEST(short_records_may_be_cut_at_every_byte),
	 SL_TEST(long_records_may_be_cut_at_every_byte),
	 SL_TEST(openssl_and_we_agree_on_records_by_chance))

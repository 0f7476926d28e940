/* record_bed — both ends of a direction, bytes in pieces, and an oracle beside them: for tests of records. */
#ifndef SL_TESTS_TLS_RECORD_BED_H
#define SL_TESTS_TLS_RECORD_BED_H

#include "l7/tls/record.h"
#include "oracle.h"
#include "tests/suite.h"

#define KEYS 16
#define WIRE 40000 /* more than any record of a test */
#define PIECES 4096

static const unsigned versions[] = {SL_TLS_1_2, SL_TLS_1_3};
static const unsigned suites[] = {SL_SUITE_AES128_GCM, SL_SUITE_AES256_GCM, SL_SUITE_CHACHA20};

static uint64_t seed = 1;

static inline uint32_t
chance(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static inline void
fill(uint8_t *to, uint32_t n)
{
	while (n--)
		*to++ = (uint8_t)chance(256);
}

/* ---- an engine, and both ends of a direction ---- */

static inline struct sl_record_engine *
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

static inline void
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

static inline void
rekey(struct ends *x, unsigned version, unsigned suite, uint64_t seq)
{
	x->oracle = (struct oracle){.version = version, .suite = suite, .seq = seq};
	fill(x->oracle.key, 32);
	fill(x->oracle.iv, 12);
	sl_record_key(x->e, &x->seal, version, suite, x->oracle.key, x->oracle.iv, seq);
	sl_record_key(x->e, &x->open, version, suite, x->oracle.key, x->oracle.iv, seq);
}

static inline struct ends
ends(unsigned version, unsigned suite)
{
	struct ends x = {.e = engine()};

	rekey(&x, version, suite, chance(1000));
	return x;
}

static inline void
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

static inline void
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

static inline void
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

static inline void
pieces_get(const struct pieces *p, uint8_t *to)
{
	for (unsigned i = 0; i < p->cnt; i++) {
		memcpy(to, p->span[i].data, p->span[i].len);
		to += p->span[i].len;
	}
}

/* n bytes cut at a and b, [0, n]; NULL: room for them. */
static inline void
cut(struct pieces *p, const uint8_t *bytes, uint32_t n, uint32_t a, uint32_t b)
{
	uint32_t low = SL_MIN(SL_MIN(a, b), n), high = SL_MIN(SL_MAX(a, b), n);

	pieces_free(p);
	add_piece(p, bytes, low);
	add_piece(p, bytes ? bytes + low : NULL, high - low);
	add_piece(p, bytes ? bytes + high : NULL, n - high);
}

/* Pieces of `size` bytes, the first of `first`. */
static inline void
cut_even(struct pieces *p, const uint8_t *bytes, uint32_t n, uint32_t first, uint32_t size)
{
	pieces_free(p);
	for (uint32_t at = 0, k = SL_MIN(first, n); at < n || !p->cnt;
	     at += k, k = SL_MIN(size, n - at))
		add_piece(p, bytes ? bytes + at : NULL, k);
}

static inline void
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
static inline bool
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
static inline enum sl_record_verdict
open_record(struct ends *x, uint32_t bytes, struct sl_record_opened *ret)
{
	return sl_record_open(x->e, &x->open, record.span, record.cnt, bytes, ret);
}

/* Whether `record` opens to plain. */
static inline bool
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

static inline void
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

#endif

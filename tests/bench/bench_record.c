/* bench_record — GB/s of records sealed and opened, against ipsec-mb's bare call and against OpenSSL's EVP on the same bytes.
 *
 *   bench_record [--json]
 *
 * A slice is as many TLS 1.3 records as have 256 KiB of plaintext (as from a second-level cache), four times; slices of all ways
 * take turns, and a ratio is the median of the slices' ratios.  The bare call has a key that is expanded and a nonce; no header, no
 * sequence number, no inner type, nothing is compared.  It and EVP go from and to where our plaintext and ciphertext lie.  In pieces:
 * both sides are cut at 1448 bytes, 2304 apart, and are out of step by the header; they are compared with calls on one piece each.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "l7/tls/mb.h"
#include "l7/tls/record.h"

#define SLICES 51
#define ROUNDS 4 /* of the batch, a slice and way */
#define BATCH (256 * 1024)
#define PIECE 1448
#define APART 2304
#define SPANS 16 /* of a record at most */
#define KEYS 16
#define ARENA (32u << 20)

static const uint32_t sizes[] = {64, 256, 1024, 1400, 4096, 16384};
static const char *const suites[] = {[SL_SUITE_AES128_GCM] = "aes128-gcm",
				     [SL_SUITE_AES256_GCM] = "aes256-gcm",
				     [SL_SUITE_CHACHA20] = "chacha20-poly1305"};

struct bytes {
	struct sl_span span[SPANS];
	unsigned cnt;
};

/* Records of one size and suite, cut in one way. */
struct bench {
	unsigned suite;
	uint32_t size, cnt;
	bool pieces;
	struct sl_record_engine *e;
	struct sl_record_dir seal, open;
	IMB_MGR *mb;
	struct gcm_key_data *expanded;
	EVP_CIPHER_CTX *enc, *dec;
	uint8_t key[32], iv[12];
	uint8_t *plain, *wire;  /* of whom we are compared with: in one piece */
	struct bytes *in, *out; /* [cnt], of ours */
};

static void
die(bool bad, const char *why)
{
	if (!bad)
		return;
	fprintf(stderr, "bench_record: %s\n", why);
	exit(1);
}

/* ---- memory: in huge pages where the kernel has them, as packets are ---- */

static struct {
	uint8_t *base;
	size_t used;
} arena;

static void
arena_init(void)
{
	arena.base = aligned_alloc(2u << 20, ARENA);
	die(!arena.base, "no memory");
	(void)madvise(arena.base, ARENA, MADV_HUGEPAGE);
	memset(arena.base, 0, ARENA);
}

/* Zeros; not at the same place of a page as what was there before, which would cost whoever reads one and writes the other. */
static void *
room(size_t bytes)
{
	uint8_t *p = arena.base + arena.used;

	arena.used += (bytes + 63) / 64 * 64 + 17 * 64;
	die(arena.used > ARENA, "no room");
	memset(p, 0, bytes);
	return p;
}

/* ---- the ways; each does the whole batch ---- */

static void
ours_seal(struct bench *b)
{
	for (uint32_t i = 0; i < b->cnt; i++)
		die(!sl_record_seal(b->e, &b->seal, SL_RECORD_DATA, b->in[i].span, b->in[i].cnt,
				    b->size, b->out[i].span, b->out[i].cnt),
		    "a record was not sealed");
}

/* What was sealed last. */
static void
ours_open(struct bench *b)
{
	struct sl_record_opened o;

	b->open.seq = b->seal.seq - b->cnt;
	for (uint32_t i = 0; i < b->cnt; i++)
		die(sl_record_open(b->e, &b->open, b->out[i].span, b->out[i].cnt,
				   b->size + sl_record_overhead(&b->open), &o) != SL_RECORD_OK ||
			    o.len != b->size,
		    "a record was not opened");
}

static void
mb_chacha(struct bench *b, bool enc, uint8_t *dst, const uint8_t *src)
{
	struct chacha20_poly1305_context_data c;
	uint8_t tag[16], aad[16] = {0};

	IMB_CHACHA20_POLY1305_INIT(b->mb, b->key, &c, b->iv, aad, 5);
	if (enc)
		IMB_CHACHA20_POLY1305_ENC_UPDATE(b->mb, b->key, &c, dst, src, b->size);
	else
		IMB_CHACHA20_POLY1305_DEC_UPDATE(b->mb, b->key, &c, dst, src, b->size);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(b->mb, &c, tag, 16);
}

static void
mb_gcm(struct bench *b, bool enc, uint8_t *dst, const uint8_t *src)
{
	struct gcm_context_data c;
	uint8_t tag[16], aad[16] = {0};

	if (b->suite == SL_SUITE_AES128_GCM && enc)
		IMB_AES128_GCM_ENC(b->mb, b->expanded, &c, dst, src, b->size, b->iv, aad, 5, tag,
				   16);
	else if (b->suite == SL_SUITE_AES128_GCM)
		IMB_AES128_GCM_DEC(b->mb, b->expanded, &c, dst, src, b->size, b->iv, aad, 5, tag,
				   16);
	else if (enc)
		IMB_AES256_GCM_ENC(b->mb, b->expanded, &c, dst, src, b->size, b->iv, aad, 5, tag,
				   16);
	else
		IMB_AES256_GCM_DEC(b->mb, b->expanded, &c, dst, src, b->size, b->iv, aad, 5, tag,
				   16);
}

/* Where ciphertext is in one piece; a record in pieces has room for that, too. */
static uint8_t *
wire_of(struct bench *b, uint32_t i)
{
	return b->out[i].span[0].data + SL_RECORD_HEADER;
}

static void
mb_all(struct bench *b, bool enc)
{
	for (uint32_t i = 0; i < b->cnt; i++) {
		uint8_t *wire = wire_of(b, i);
		const uint8_t *src = enc ? b->in[i].span[0].data : wire;
		if (b->suite == SL_SUITE_CHACHA20)
			mb_chacha(b, enc, wire, src);
		else
			mb_gcm(b, enc, wire, src);
	}
}

static void
mb_seal(struct bench *b)
{
	mb_all(b, true);
}

static void
mb_open(struct bench *b)
{
	mb_all(b, false);
}

static void
evp_seal(struct bench *b)
{
	uint8_t tag[16], aad[5] = {0};
	int len;

	for (uint32_t i = 0; i < b->cnt; i++) {
		uint8_t *wire = wire_of(b, i);
		die(!EVP_EncryptInit_ex(b->enc, NULL, NULL, NULL, b->iv) ||
			    !EVP_EncryptUpdate(b->enc, NULL, &len, aad, 5) ||
			    !EVP_EncryptUpdate(b->enc, wire, &len, b->in[i].span[0].data,
					       (int)b->size) ||
			    !EVP_EncryptFinal_ex(b->enc, wire, &len) ||
			    !EVP_CIPHER_CTX_ctrl(b->enc, EVP_CTRL_AEAD_GET_TAG, 16, tag),
		    "EVP does not encrypt");
	}
}

/* Its tags are not right: it compares them all the same. */
static void
evp_open(struct bench *b)
{
	uint8_t tag[16] = {0}, aad[5] = {0};
	int len;

	for (uint32_t i = 0; i < b->cnt; i++) {
		uint8_t *wire = wire_of(b, i);
		die(!EVP_DecryptInit_ex(b->dec, NULL, NULL, NULL, b->iv) ||
			    !EVP_CIPHER_CTX_ctrl(b->dec, EVP_CTRL_AEAD_SET_TAG, 16, tag) ||
			    !EVP_DecryptUpdate(b->dec, NULL, &len, aad, 5) ||
			    !EVP_DecryptUpdate(b->dec, wire, &len, wire, (int)b->size),
		    "EVP does not decrypt");
		(void)EVP_DecryptFinal_ex(b->dec, wire, &len);
	}
}

/* ---- records ---- */

/* n bytes from base on, as they are cut; where the next ones may lie. */
static uint8_t *
lay(struct bytes *to, uint8_t *base, uint32_t n, bool pieces)
{
	to->cnt = 0;
	for (uint32_t k; n; n -= k) {
		k = pieces && n > PIECE ? PIECE : n;
		to->span[to->cnt++] = (struct sl_span){base, k};
		base += pieces ? APART : k;
	}
	return base;
}

static void
init_keys(struct bench *b)
{
	static const EVP_CIPHER *(*const cipher[])(void) = {[SL_SUITE_AES128_GCM] = EVP_aes_128_gcm,
							    [SL_SUITE_AES256_GCM] = EVP_aes_256_gcm,
							    [SL_SUITE_CHACHA20] =
								    EVP_chacha20_poly1305};

	memset(b->key, 7, sizeof(b->key));
	memset(b->iv, 9, sizeof(b->iv));
	sl_record_key(b->e, &b->seal, SL_TLS_1_3, b->suite, b->key, b->iv, 0);
	sl_record_key(b->e, &b->open, SL_TLS_1_3, b->suite, b->key, b->iv, 0);
	b->enc = EVP_CIPHER_CTX_new();
	b->dec = EVP_CIPHER_CTX_new();
	die(!EVP_EncryptInit_ex(b->enc, cipher[b->suite](), NULL, b->key, b->iv) ||
		    !EVP_DecryptInit_ex(b->dec, cipher[b->suite](), NULL, b->key, b->iv),
	    "EVP lacks a cipher");
	if (b->suite == SL_SUITE_AES128_GCM)
		IMB_AES128_GCM_PRE(b->mb, b->key, b->expanded);
	else
		IMB_AES256_GCM_PRE(b->mb, b->key, b->expanded);
}

static void
init(struct bench *b)
{
	uint32_t wire = b->size + SL_RECORD_OVERHEAD_MAX, per = b->pieces ? SPANS * APART : wire;

	b->cnt = BATCH / b->size;
	init_keys(b);
	b->in = room(b->cnt * sizeof(*b->in));
	b->out = room(b->cnt * sizeof(*b->out));
	uint8_t *in = room((size_t)b->cnt * per);
	uint8_t *out = room((size_t)b->cnt * per);
	for (uint32_t i = 0; i < b->cnt; i++) {
		in = lay(&b->in[i], in, b->size, b->pieces);
		out = lay(&b->out[i], out, b->size + sl_record_overhead(&b->seal), b->pieces);
	}
}

static void
fini(struct bench *b)
{
	sl_record_drop(b->e, &b->seal);
	sl_record_drop(b->e, &b->open);
	EVP_CIPHER_CTX_free(b->enc);
	EVP_CIPHER_CTX_free(b->dec);
}

/* ---- measuring ---- */

enum way { OURS_SEAL, OURS_OPEN, MB_SEAL, MB_OPEN, EVP_SEAL, EVP_OPEN, WAYS };

/* before: what is not measured. */
static const struct {
	void (*before)(struct bench *);
	void (*what)(struct bench *);
} ways[WAYS] = {{NULL, ours_seal}, {ours_seal, ours_open}, {NULL, mb_seal},
		{NULL, mb_open},   {NULL, evp_seal},       {NULL, evp_open}};

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct spread {
	double p10, mid, p90;
};

static struct spread
spread(const double *values)
{
	double v[SLICES];

	memcpy(v, values, sizeof(v));
	qsort(v, SLICES, sizeof(*v), by_value);
	return (struct spread){v[SLICES / 10], v[SLICES / 2], v[SLICES * 9 / 10]};
}

struct result {
	struct spread rate[WAYS]; /* GB/s of plaintext */
	struct spread mb[2];      /* ours against ipsec-mb: sealing, opening */
	struct spread evp[2];
};

static void
compare(double rate[WAYS][SLICES], enum way ours, enum way with, struct spread *ret)
{
	double ratio[SLICES];

	for (unsigned s = 0; s < SLICES; s++)
		ratio[s] = rate[ours][s] / rate[with][s];
	*ret = spread(ratio);
}

static double
rate_of(struct bench *b, enum way w)
{
	double ns = 0;

	for (unsigned r = 0; r < ROUNDS; r++) {
		if (ways[w].before)
			ways[w].before(b);
		double start = now_ns();
		ways[w].what(b);
		ns += now_ns() - start;
	}
	return (double)b->cnt * b->size * ROUNDS / ns;
}

static struct result
measure(struct bench *b)
{
	static double rate[WAYS][SLICES];
	struct result r;

	for (unsigned s = 0; s < SLICES; s++) {
		for (unsigned w = 0; w < WAYS; w++) {
			rate[w][s] = rate_of(b, w);
		}
	}
	for (unsigned w = 0; w < WAYS; w++)
		r.rate[w] = spread(rate[w]);
	for (unsigned open = 0; open < 2; open++) {
		compare(rate, open ? OURS_OPEN : OURS_SEAL, open ? MB_OPEN : MB_SEAL, &r.mb[open]);
		compare(rate, open ? OURS_OPEN : OURS_SEAL, open ? EVP_OPEN : EVP_SEAL,
			&r.evp[open]);
	}
	return r;
}

static void
put_json(const char *name, struct spread s, const char *unit)
{
	printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"p10\":%.3f,\"p90\":%.3f}\n", name,
	       s.mid, unit, s.p10, s.p90);
}

/* Goals are of records of 16 KiB by AES-128-GCM, sealed or opened, whichever is worse. */
static void
put_goals(const struct result *r, bool pieces)
{
	const char *tail = pieces ? ".pieces" : "";
	char name[64];

	snprintf(name, sizeof(name), "tls.record.ipsecmb%s", tail);
	put_json(name, r->mb[r->mb[1].mid < r->mb[0].mid], "ratio");
	snprintf(name, sizeof(name), "tls.record.openssl%s", tail);
	put_json(name, r->evp[r->evp[1].mid < r->evp[0].mid], "ratio");
}

static void
put_result(const struct bench *b, const struct result *r, bool json)
{
	static const char *const way[] = {"seal", "open"};

	for (unsigned open = 0; open < 2; open++) {
		const struct spread *rate = r->rate + (open ? OURS_OPEN : OURS_SEAL);
		char name[96];
		snprintf(name, sizeof(name), "tls.record.%s.%s.%u%s", way[open], suites[b->suite],
			 b->size, b->pieces ? ".pieces" : "");
		if (json) {
			put_json(name, *rate, "GB/s");
			continue;
		}
		printf("%-46s %5.2f GB/s (p10 %5.2f, p90 %5.2f) ipsec-mb %5.2f: %4.2f  OpenSSL "
		       "%5.2f: %5.2f\n",
		       name, rate->mid, rate->p10, rate->p90, rate[MB_SEAL].mid, r->mb[open].mid,
		       rate[EVP_SEAL].mid, r->evp[open].mid);
	}
}

static void
run(struct bench *shared, unsigned suite, uint32_t size, bool pieces, bool json)
{
	struct bench b = *shared;
	size_t used = arena.used;

	b.suite = suite;
	b.size = size;
	b.pieces = pieces;
	init(&b);
	struct result r = measure(&b);
	put_result(&b, &r, json);
	if (json && suite == SL_SUITE_AES128_GCM && size == SL_RECORD_MAX)
		put_goals(&r, pieces);
	fini(&b);
	arena.used = used;
}

int
main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	const char *why = NULL;

	arena_init();
	struct bench b = {.e = sl_record_init(room(sl_record_bytes(KEYS)), KEYS, &why)};
	die(!b.e, why);
	b.mb = alloc_mb_mgr(0);
	die(!b.mb, "no memory");
	init_mb_mgr_auto(b.mb, NULL);
	b.expanded = room(sizeof(*b.expanded));
	for (unsigned suite = SL_SUITE_AES128_GCM; suite <= SL_SUITE_CHACHA20; suite++)
		for (unsigned i = 0; i < SL_ARRAY_CNT(sizes); i++)
			for (unsigned pieces = 0; pieces < 1u + (sizes[i] > PIECE); pieces++)
				run(&b, suite, sizes[i], pieces, json);
	free_mb_mgr(b.mb);
	sl_record_fini(b.e);
	free(arena.base);
	return 0;
}

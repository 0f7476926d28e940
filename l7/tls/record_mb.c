/* A record's bytes, and what the cipher is given of them:
 *
 *   1.3          │ 23 03 03 len │ content … type (zeros) │ tag 16 │   nonce: iv ^ seq               AAD: the header
 *   1.2 GCM      │ type 03 03 len │ seq 8 │ content …    │ tag 16 │   nonce: iv[4], the 8 bytes     AAD: seq, type, version,
 *   1.2 ChaCha20 │ type 03 03 len │ content …            │ tag 16 │   nonce: iv ^ seq                    length of content
 *                └──── prefix ────┘└────── body ────────┘
 *
 * A body in one piece is one call of the library.  A long one in several goes through GCM from piece to piece (init, update …,
 * finalize), straight from where it lies on one side to where it is wanted on the other.  A short one is put together first, in its
 * place or in the engine: that costs less than more calls.  ChaCha20 always is: its calls cost hundreds of ns.
 */
#include "l7/tls/record.h"

#include "l7/tls/mb.h"

#include <immintrin.h>
#include <openssl/crypto.h>

#define TAG 16
#define EXPLICIT 8 /* 1.2 GCM: bytes of the nonce in the record */
/* Bytes of a record up to which a copy is cheaper than the calls for pieces. */
#define SHORT 512
/* 1.3: content, type and padding (RFC 8446, 5.4). */
#define INNER_MAX (SL_RECORD_MAX + 1)
/* How many slots the clock's hand passes at most. */
#define CLOCK_STEPS 16

enum { SEAL, OPEN };

struct slot {
	uint64_t id; /* whose key is expanded here; 0: nobody's */
	uint64_t used;
};

/* The library's functions of one key length, [SEAL] and [OPEN]. */
struct gcm {
	aes_gcm_pre_t expand;
	aes_gcm_enc_dec_t whole[2];
	aes_gcm_init_t init;
	aes_gcm_enc_dec_update_t update[2];
	aes_gcm_enc_dec_finalize_t finalize[2];
};

/* The record under way: in the engine, not on the stack, as all of it is near to a key. */
struct job {
	const struct gcm *gcm; /* NULL: ChaCha20 */
	const struct gcm_key_data *expanded;
	const uint8_t *key; /* ChaCha20 */
	__m128i nonce;      /* 12 bytes; both are stored whole, as they are loaded */
	__m128i aad;
	uint32_t aad_len;
	uint32_t way; /* SEAL, OPEN */
	struct gcm_context_data ctx;
};

struct sl_record_engine {
	struct gcm gcm[2]; /* AES-128, AES-256 */
	IMB_MGR *mgr;
	struct slot *slots;
	struct gcm_key_data *keys;
	uint32_t mask; /* slots - 1 */
	uint32_t hand;
	uint64_t last_id;
	uint64_t expanded;
	size_t bytes;
	SL_ALIGNED struct job job;
	SL_ALIGNED uint8_t record[SL_RECORD_WIRE_MAX]; /* where one is put together */
};

/* ---- the engine ---- */

static size_t
lines(size_t n)
{
	return (n + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

size_t
sl_record_bytes(uint32_t keys)
{
	return lines(sizeof(struct sl_record_engine)) + lines(keys * sizeof(struct slot)) +
	       keys * sizeof(struct gcm_key_data) + lines(imb_get_mb_mgr_size());
}

static void
take_functions(struct gcm gcm[2], const IMB_MGR *m)
{
	gcm[0] = (struct gcm){m->gcm128_pre,
			      {m->gcm128_enc, m->gcm128_dec},
			      m->gcm128_init,
			      {m->gcm128_enc_update, m->gcm128_dec_update},
			      {m->gcm128_enc_finalize, m->gcm128_dec_finalize}};
	gcm[1] = (struct gcm){m->gcm256_pre,
			      {m->gcm256_enc, m->gcm256_dec},
			      m->gcm256_init,
			      {m->gcm256_enc_update, m->gcm256_dec_update},
			      {m->gcm256_enc_finalize, m->gcm256_dec_finalize}};
}

/* Without AES instructions the library emulates them, slowly: that is not what anybody wants here. */
static const char *
why_not(IMB_MGR *m)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2;

	if ((m->features & need) != need)
		return "the CPU lacks AES-NI, PCLMULQDQ or SSE4.2, which ipsec-mb needs";
	if ((m->features & IMB_FEATURE_SELF_TEST) && !(m->features & IMB_FEATURE_SELF_TEST_PASS))
		return "ipsec-mb's self test failed: the library or the CPU is broken";
	if (imb_get_errno(m))
		return "ipsec-mb cannot be initialised";
	return NULL;
}

struct sl_record_engine *
sl_record_init(void *mem, uint32_t keys, const char **ret_why)
{
	struct sl_record_engine *e = mem;
	uint8_t *at = (uint8_t *)mem + lines(sizeof(*e));

	SL_ASSERT(keys >= 16 && keys <= 65536 && !(keys & (keys - 1)));
	e->slots = (struct slot *)at;
	at += lines(keys * sizeof(struct slot));
	e->keys = (struct gcm_key_data *)at;
	at += keys * sizeof(struct gcm_key_data);
	e->mask = keys - 1;
	e->bytes = sl_record_bytes(keys);
	e->mgr = imb_set_pointers_mb_mgr(at, 0, 1);
	if (!e->mgr) {
		*ret_why = "ipsec-mb does not take the memory it is given";
		return NULL;
	}
	init_mb_mgr_auto(e->mgr, NULL);
	const char *why = why_not(e->mgr);
	if (why) {
		*ret_why = why;
		return NULL;
	}
	take_functions(e->gcm, e->mgr);
	return e;
}

void
sl_record_fini(struct sl_record_engine *e)
{
	if (e)
		OPENSSL_cleanse(e, e->bytes);
}

uint64_t
sl_record_expanded(const struct sl_record_engine *e)
{
	return e->expanded;
}

/* ---- keys ---- */

static void
drop_expanded(struct sl_record_engine *e, const struct sl_record_dir *d)
{
	struct slot *s = &e->slots[d->slot & e->mask];

	if (!d->id || s->id != d->id)
		return;
	OPENSSL_cleanse(&e->keys[d->slot & e->mask], sizeof(*e->keys));
	*s = (struct slot){0};
}

void
sl_record_key(struct sl_record_engine *e, struct sl_record_dir *d, unsigned version, unsigned suite,
	      const uint8_t *key, const uint8_t *iv, uint64_t seq)
{
	bool gcm = suite != SL_SUITE_CHACHA20;

	drop_expanded(e, d);
	d->seq = seq;
	d->id = ++e->last_id;
	d->suite = (uint8_t)suite;
	d->version = (uint8_t)version;
	memset(d->key, 0, sizeof(d->key));
	memcpy(d->key, key, suite == SL_SUITE_AES128_GCM ? 16 : 32);
	memset(d->iv, 0, sizeof(d->iv));
	memcpy(d->iv, iv, gcm && version == SL_TLS_1_2 ? 4 : 12);
}

void
sl_record_drop(struct sl_record_engine *e, struct sl_record_dir *d)
{
	drop_expanded(e, d);
	OPENSSL_cleanse(d, sizeof(*d));
}

/* A clock: what was used since the hand was there last stays, but the hand does not go on for ever. */
static SL_COLD uint32_t
expand(struct sl_record_engine *e, struct sl_record_dir *d, const struct gcm *gcm)
{
	uint32_t i = e->hand;

	for (unsigned n = 0; n < CLOCK_STEPS && e->slots[i].id && e->slots[i].used; n++) {
		e->slots[i].used = 0;
		i = (i + 1) & e->mask;
	}
	e->hand = (i + 1) & e->mask;
	e->slots[i].id = d->id;
	d->slot = i;
	gcm->expand(d->key, &e->keys[i]);
	e->expanded++;
	return i;
}

static const struct gcm_key_data *
expanded(struct sl_record_engine *e, struct sl_record_dir *d, const struct gcm *gcm)
{
	uint32_t i = d->slot & e->mask;

	if (sl_unlikely(e->slots[i].id != d->id))
		i = expand(e, d, gcm);
	e->slots[i].used = 1;
	return &e->keys[i];
}

/* ---- pieces ---- */

struct cursor {
	uint8_t *data; /* left bytes in one piece: neighbours in memory are one piece */
	uint32_t left;
	const struct sl_span *next, *end;
};

static struct cursor
at(const struct sl_span *spans, unsigned cnt)
{
	return (struct cursor){NULL, 0, spans, spans + cnt};
}

/* How many bytes lie in one piece from here on, at most max.  0: there are no more. */
static uint32_t
run(struct cursor *c, uint32_t max, uint8_t **ret)
{
	while (c->left < max && c->next < c->end &&
	       (!c->left || c->next->data == c->data + c->left)) {
		if (!c->left)
			c->data = c->next->data;
		c->left += c->next->len;
		c->next++;
	}
	*ret = c->data;
	return SL_MIN(c->left, max);
}

/* n: not more than run said. */
static void
skip(struct cursor *c, uint32_t n)
{
	c->data += n;
	c->left -= n;
}

/* memcpy is by `rep movs` here, which takes four times as long when one of both is not aligned. */
static void
copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (; n >= 32; to += 32, from += 32, n -= 32) {
		memcpy(to, from, 32);
		__asm__("" ::: "memory"); /* or the compiler makes a call of it */
	}
	memcpy(to, from, n);
}

static void
put(struct cursor *c, const uint8_t *from, uint32_t n)
{
	uint8_t *p;

	for (uint32_t k; n && (k = run(c, n, &p)) != 0; from += k, n -= k) {
		copy(p, from, k);
		skip(c, k);
	}
}

static void
get(struct cursor *c, uint8_t *to, uint32_t n)
{
	uint8_t *p;

	for (uint32_t k; n && (k = run(c, n, &p)) != 0; to += k, n -= k) {
		copy(to, p, k);
		skip(c, k);
	}
}

static void
zero(struct cursor *c, uint32_t n)
{
	uint8_t *p;

	for (uint32_t k; n && (k = run(c, n, &p)) != 0; n -= k) {
		memset(p, 0, k);
		skip(c, k);
	}
}

/* ---- the cipher ---- */

static bool
is_gcm(const struct sl_record_dir *d)
{
	return d->suite != SL_SUITE_CHACHA20;
}

static bool
explicit_nonce(const struct sl_record_dir *d)
{
	return d->version == SL_TLS_1_2 && is_gcm(d);
}

static uint32_t
prefix_len(const struct sl_record_dir *d)
{
	return SL_RECORD_HEADER + (explicit_nonce(d) ? EXPLICIT : 0);
}

/* iv ^ seq, or of 1.2 GCM iv and what the record says. */
static __m128i
nonce_of(const struct sl_record_dir *d, const uint8_t *prefix, uint64_t seq)
{
	uint64_t low = sl_load32(d->iv), high = sl_load64(d->iv + 4);

	high = explicit_nonce(d) ? sl_load64(prefix + SL_RECORD_HEADER) : high ^ seq;
	return _mm_set_epi64x((long long)(high >> 32), (long long)(low | high << 32));
}

static __m128i
aad_of(const struct sl_record_dir *d, const uint8_t *prefix, uint64_t seq, uint32_t body)
{
	uint64_t head = sl_load32(prefix), content = sl_to_be16(body);

	if (d->version == SL_TLS_1_3)
		return _mm_set_epi64x(0, (long long)(head | (uint64_t)prefix[4] << 32));
	return _mm_set_epi64x((long long)((head & 0xffffff) | content << 24), (long long)seq);
}

/* prefix: header and explicit nonce; body: bytes between them and the tag. */
static struct job *
start(struct sl_record_engine *e, struct sl_record_dir *d, uint32_t way, const uint8_t *prefix,
      uint32_t body)
{
	struct job *j = &e->job;
	uint64_t seq = __builtin_bswap64(d->seq);

	j->way = way;
	j->gcm = is_gcm(d) ? &e->gcm[d->suite == SL_SUITE_AES256_GCM] : NULL;
	j->expanded = j->gcm ? expanded(e, d, j->gcm) : NULL;
	j->key = d->key;
	j->nonce = nonce_of(d, prefix, seq);
	j->aad = aad_of(d, prefix, seq, body);
	j->aad_len = d->version == SL_TLS_1_3 ? SL_RECORD_HEADER : 13;
	return j;
}

static bool
chacha(IMB_MGR *m, const struct job *j, uint8_t *dst, const uint8_t *src, uint32_t n, uint8_t *tag)
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(m);

	memset(job, 0, sizeof(*job));
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = j->way == SEAL ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = j->way == SEAL ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = j->key;
	job->key_len_in_bytes = 32;
	job->iv = (const uint8_t *)&j->nonce;
	job->iv_len_in_bytes = 12;
	job->u.CHACHA20_POLY1305.aad = &j->aad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = j->aad_len;
	job->src = src;
	job->dst = dst;
	job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = n;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = TAG;
	job = IMB_SUBMIT_JOB_NOCHECK(m);
	return job && job->status == IMB_STATUS_COMPLETED;
}

/* A body in one piece; dst may be src. */
static bool
whole(struct sl_record_engine *e, struct job *j, uint8_t *dst, const uint8_t *src, uint32_t n,
      uint8_t *tag)
{
	if (!j->gcm)
		return chacha(e->mgr, j, dst, src, n, tag);
	j->gcm->whole[j->way](j->expanded, &j->ctx, dst, src, n, (const uint8_t *)&j->nonce,
			      (const uint8_t *)&j->aad, j->aad_len, tag, TAG);
	return true;
}

/* GCM only: a body in pieces. */
static void
begin(struct job *j)
{
	j->gcm->init(j->expanded, &j->ctx, (const uint8_t *)&j->nonce, (const uint8_t *)&j->aad,
		     j->aad_len);
}

static void
update(struct job *j, uint8_t *dst, const uint8_t *src, uint32_t n)
{
	j->gcm->update[j->way](j->expanded, &j->ctx, dst, src, n);
}

static void
finish(struct job *j, uint8_t tag[TAG])
{
	j->gcm->finalize[j->way](j->expanded, &j->ctx, tag, TAG);
}

/* ---- sealing ---- */

uint32_t
sl_record_overhead(const struct sl_record_dir *d)
{
	return prefix_len(d) + TAG + (d->version == SL_TLS_1_3);
}

/* What is to be sealed. */
struct plain {
	struct cursor from;
	uint32_t n; /* bytes of content */
	bool inner; /* the type is behind it */
	uint8_t type;
};

static void
put_prefix(const struct sl_record_dir *d, const struct plain *p, uint8_t *to)
{
	uint32_t len = p->n + sl_record_overhead(d) - SL_RECORD_HEADER;

	sl_store32(to, (p->inner ? SL_RECORD_DATA : p->type) | 0x030300u | (len >> 8) << 24);
	to[4] = (uint8_t)len;
	if (explicit_nonce(d))
		sl_store64(to + SL_RECORD_HEADER, __builtin_bswap64(d->seq));
}

/* In one call to `to`, where there is room for all of the record. */
static bool
seal_whole(struct sl_record_engine *e, struct sl_record_dir *d, struct plain *p, uint8_t *to)
{
	uint8_t *body = to + prefix_len(d), *from = body;
	uint32_t n = p->n + p->inner;

	put_prefix(d, p, to);
	if (p->inner || !n || run(&p->from, n, &from) != n) {
		get(&p->from, body, p->n);
		if (p->inner)
			body[p->n] = p->type;
		from = body;
	}
	if (sl_likely(whole(e, start(e, d, SEAL, to, n), body, from, n, body + n)))
		return true;
	memset(body, 0, n); /* plaintext may lie there */
	return false;
}

/* GCM, from piece to piece. */
static void
seal_pieces(struct sl_record_engine *e, struct sl_record_dir *d, struct plain *p, struct cursor *to)
{
	uint8_t prefix[SL_RECORD_HEADER + EXPLICIT], tag[TAG], *dst, *src;
	struct job *j;

	put_prefix(d, p, prefix);
	put(to, prefix, prefix_len(d));
	begin(j = start(e, d, SEAL, prefix, p->n + p->inner));
	for (uint32_t left = p->n, k; left; left -= k) {
		k = run(to, left, &dst);
		k = run(&p->from, k, &src);
		if (!k)
			break; /* the caller promised more */
		update(j, dst, src, k);
		skip(to, k);
		skip(&p->from, k);
	}
	if (p->inner && run(to, 1, &dst)) {
		update(j, dst, &p->type, 1);
		skip(to, 1);
	}
	finish(j, tag);
	put(to, tag, TAG);
}

bool
sl_record_seal(struct sl_record_engine *e, struct sl_record_dir *d, uint8_t type,
	       const struct sl_span *in, unsigned in_cnt, uint32_t n, const struct sl_span *out,
	       unsigned out_cnt)
{
	struct plain p = {at(in, in_cnt), n, d->version == SL_TLS_1_3, type};
	struct cursor to = at(out, out_cnt);
	uint32_t bytes = n + sl_record_overhead(d);
	uint8_t *dst, *src;

	SL_ASSERT(n <= SL_RECORD_MAX);
	if (sl_unlikely(d->seq == UINT64_MAX || n > SL_RECORD_MAX))
		return false;
	bool flat = run(&to, bytes, &dst) == bytes;
	bool straight = flat && !p.inner && run(&p.from, n, &src) == n;
	if (is_gcm(d) && bytes > SHORT && !straight) {
		seal_pieces(e, d, &p, &to);
	} else {
		if (!seal_whole(e, d, &p, flat ? dst : e->record))
			return false;
		if (!flat)
			put(&to, e->record, bytes);
	}
	d->seq++;
	return true;
}

/* ---- opening ---- */

static bool
is_type(uint8_t type)
{
	return type >= SL_RECORD_CCS && type <= SL_RECORD_DATA;
}

enum sl_record_verdict
sl_record_head(const struct sl_record_dir *d, const uint8_t bytes[SL_RECORD_HEADER],
	       struct sl_record_head *ret)
{
	bool is_new = d->version == SL_TLS_1_3;
	uint32_t len = sl_from_be16(sl_load16(bytes + 3));
	bool ccs = is_new && bytes[0] == SL_RECORD_CCS && len == 1;
	uint32_t max = SL_RECORD_MAX + (is_new ? SL_RECORD_EXPANSION : SL_RECORD_EXPANSION_12);
	uint32_t min = sl_record_overhead(d) - SL_RECORD_HEADER;

	if (sl_load16(bytes + 1) != sl_to_be16(0x0303))
		return SL_RECORD_BAD_HEADER;
	if (is_new ? bytes[0] != SL_RECORD_DATA && !ccs : !is_type(bytes[0]))
		return SL_RECORD_BAD_HEADER;
	if (!ccs && (len < min || len > max))
		return SL_RECORD_BAD_LENGTH;
	*ret = (struct sl_record_head){bytes[0], 0, 0x0303, SL_RECORD_HEADER + len};
	return SL_RECORD_OK;
}

/* Whether a record with this header, of so many bytes, is worth decrypting. */
static enum sl_record_verdict
check(const struct sl_record_dir *d, const uint8_t *header, uint32_t bytes, uint8_t *ret_type)
{
	bool is_new = d->version == SL_TLS_1_3;
	struct sl_record_head head;
	enum sl_record_verdict v = sl_record_head(d, header, &head);

	if (v != SL_RECORD_OK)
		return v;
	if (is_new && head.type == SL_RECORD_CCS)
		return SL_RECORD_BAD_HEADER;
	if (head.bytes != bytes ||
	    bytes - prefix_len(d) - TAG > (is_new ? INNER_MAX : SL_RECORD_MAX))
		return SL_RECORD_BAD_LENGTH;
	if (d->seq == UINT64_MAX)
		return SL_RECORD_BAD_SEQ;
	*ret_type = head.type;
	return SL_RECORD_OK;
}

/* Constant time. */
static bool
same_tag(const uint8_t a[TAG], const uint8_t b[TAG])
{
	uint64_t diff = (sl_load64(a) ^ sl_load64(b)) | (sl_load64(a + 8) ^ sl_load64(b + 8));

	__asm__("" : "+r"(diff)); /* no early end */
	return diff == 0;
}

/* A record in one piece, in place. */
static bool
open_whole(struct sl_record_engine *e, struct sl_record_dir *d, uint8_t *record, uint32_t bytes)
{
	uint8_t *body = record + prefix_len(d), *tag = record + bytes - TAG, want[TAG];
	uint32_t n = (uint32_t)(tag - body);

	return whole(e, start(e, d, OPEN, record, n), body, body, n, want) && same_tag(tag, want);
}

/* GCM, in place, piece by piece; c: at the header. */
static bool
open_pieces(struct sl_record_engine *e, struct sl_record_dir *d, struct cursor c, uint32_t bytes)
{
	uint8_t prefix[SL_RECORD_HEADER + EXPLICIT], *p, tag[TAG], want[TAG];
	uint32_t n = bytes - prefix_len(d) - TAG;
	struct job *j;

	get(&c, prefix, prefix_len(d));
	begin(j = start(e, d, OPEN, prefix, n));
	for (uint32_t k; n && (k = run(&c, n, &p)) != 0; n -= k) {
		update(j, p, p, k);
		skip(&c, k);
	}
	finish(j, want);
	get(&c, tag, TAG);
	return same_tag(tag, want);
}

/* ChaCha20, or short: put together in the engine, and put back when it is what was sealed. */
static bool
open_copy(struct sl_record_engine *e, struct sl_record_dir *d, struct cursor c, uint32_t bytes)
{
	struct cursor back = c;

	get(&c, e->record, bytes);
	if (!open_whole(e, d, e->record, bytes))
		return false;
	put(&back, e->record, bytes);
	return true;
}

/* The last byte of content, type and padding, [off, end), that is not 0: its number plus 1; 0: there is none.  Padding is 16 KB when
 * somebody wants it so: eight at a time. */
static uint32_t
last_not_zero(const struct sl_span *spans, unsigned cnt, uint32_t bytes, uint32_t off, uint32_t end,
	      uint8_t *ret)
{
	while (cnt-- > 0) {
		const struct sl_span *s = &spans[cnt];
		bytes -= s->len; /* number of its first byte */
		uint32_t low = bytes < off ? SL_MIN(off - bytes, s->len) : 0;
		uint32_t high = bytes < end ? SL_MIN(end - bytes, s->len) : 0;
		while (high >= low + 8 && !sl_load64(s->data + high - 8))
			high -= 8;
		while (high > low && !s->data[high - 1])
			high--;
		if (high > low) {
			*ret = s->data[high - 1];
			return bytes + high;
		}
	}
	return 0;
}

/* Only data may be empty (RFC 8446, 5.4; RFC 5246, 6.2.1). */
static enum sl_record_verdict
opened(uint8_t type, uint32_t off, uint32_t len, struct sl_record_opened *ret)
{
	if (!len && type != SL_RECORD_DATA)
		return SL_RECORD_BAD_INNER;
	*ret = (struct sl_record_opened){.type = type, .off = off, .len = len};
	return SL_RECORD_OK;
}

enum sl_record_verdict
sl_record_open(struct sl_record_engine *e, struct sl_record_dir *d, const struct sl_span *spans,
	       unsigned cnt, uint32_t bytes, struct sl_record_opened *ret)
{
	struct cursor c = at(spans, cnt);
	uint8_t header[SL_RECORD_HEADER], type, *p;
	uint32_t off = prefix_len(d), end = bytes - TAG;

	if (sl_unlikely(bytes < SL_RECORD_HEADER))
		return SL_RECORD_BAD_LENGTH;
	get(&c, header, SL_RECORD_HEADER);
	enum sl_record_verdict v = check(d, header, bytes, &type);
	if (sl_unlikely(v != SL_RECORD_OK))
		return v;
	c = at(spans, cnt);
	bool ok = run(&c, bytes, &p) == bytes  ? open_whole(e, d, p, bytes)
		  : is_gcm(d) && bytes > SHORT ? open_pieces(e, d, c, bytes)
					       : open_copy(e, d, c, bytes);
	if (sl_unlikely(!ok)) {
		zero(&c, bytes);
		return SL_RECORD_BAD_MAC;
	}
	d->seq++;
	if (d->version != SL_TLS_1_3)
		return opened(type, off, end - off, ret);
	end = last_not_zero(spans, cnt, bytes, off, end, &type);
	if (!end || !is_type(type) || type == SL_RECORD_CCS)
		return SL_RECORD_BAD_INNER;
	return opened(type, off, end - 1 - off, ret);
}

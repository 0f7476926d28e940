/* A record's bytes, and what the cipher is given of them:
 *
 *   1.3          │ 23 03 03 len │ content … type (zeros) │ tag 16 │   nonce: iv ^ seq               AAD: the header
 *   1.2 GCM      │ type 03 03 len │ seq 8 │ content …    │ tag 16 │   nonce: iv[4], the 8 bytes     AAD: seq, type, version,
 *   1.2 ChaCha20 │ type 03 03 len │ content …            │ tag 16 │   nonce: iv ^ seq                    length of content
 *                                   └─────── body ───────┘
 *
 * A body in one piece is one call of the library.  A body in several: GCM goes on from piece to piece (init, update …, finalize), one
 * call for each piece of the out side; a call costs about what copying 4 KB does, so what does not lie in one piece on the in side is
 * gathered where it is going to, and encrypted there.  ChaCha20 (whose calls cost ten times that) and short bodies are put together in
 * the engine's own buffer instead.
 */
#include "l7/tls/record.h"

#include "l7/tls/mb.h"

#include <openssl/crypto.h>

#define TAG 16
#define EXPLICIT 8 /* 1.2 GCM: bytes of the nonce in the record */
/* Bytes of a body, inner type included, up to which a copy is cheaper than another call. */
#define SHORT 2048
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
	uint8_t nonce[16];
	uint8_t aad[16];
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
	SL_ALIGNED uint8_t body[INNER_MAX + SL_RECORD_EXPANSION_12];
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
	const struct sl_span *at, *end;
	uint32_t off; /* in *at */
};

/* How many bytes lie in one piece from here on, at most max; neighbours in memory are one piece.  0: there are no more. */
static uint32_t
run(struct cursor *c, uint32_t max, uint8_t **ret)
{
	while (c->at < c->end && c->off == c->at->len) {
		c->at++;
		c->off = 0;
	}
	SL_ASSERT(c->at < c->end || !max);
	if (c->at == c->end)
		return 0;
	*ret = c->at->data + c->off;
	uint32_t n = c->at->len - c->off;
	for (const struct sl_span *s = c->at + 1;
	     n < max && s < c->end && (s->data == *ret + n || !s->len); s++)
		n += s->len;
	return SL_MIN(n, max);
}

static void
skip(struct cursor *c, uint32_t n)
{
	for (; c->at < c->end; c->at++, c->off = 0) {
		uint32_t here = SL_MIN(n, c->at->len - c->off);
		c->off += here;
		n -= here;
		if (!n)
			return;
	}
}

static void
put(struct cursor *c, const uint8_t *from, uint32_t n)
{
	uint8_t *p;

	for (uint32_t k; n && (k = run(c, n, &p)) != 0; from += k, n -= k) {
		memcpy(p, from, k);
		skip(c, k);
	}
}

static void
get(struct cursor *c, uint8_t *to, uint32_t n)
{
	uint8_t *p;

	for (uint32_t k; n && (k = run(c, n, &p)) != 0; to += k, n -= k) {
		memcpy(to, p, k);
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
explicit_nonce(const struct sl_record_dir *d)
{
	return d->version == SL_TLS_1_2 && d->suite != SL_SUITE_CHACHA20;
}

static uint32_t
prefix_len(const struct sl_record_dir *d)
{
	return SL_RECORD_HEADER + (explicit_nonce(d) ? EXPLICIT : 0);
}

/* prefix: header and explicit nonce; body: bytes between them and the tag. */
static struct job *
start(struct sl_record_engine *e, struct sl_record_dir *d, uint32_t way, const uint8_t *prefix,
      uint32_t body)
{
	struct job *j = &e->job;
	uint64_t seq = __builtin_bswap64(d->seq);

	j->way = way;
	j->gcm = d->suite == SL_SUITE_CHACHA20 ? NULL : &e->gcm[d->suite == SL_SUITE_AES256_GCM];
	j->expanded = j->gcm ? expanded(e, d, j->gcm) : NULL;
	j->key = d->key;
	memcpy(j->nonce, d->iv, 12);
	if (explicit_nonce(d))
		memcpy(j->nonce + 4, prefix + SL_RECORD_HEADER, EXPLICIT);
	else
		sl_store64(j->nonce + 4, sl_load64(j->nonce + 4) ^ seq);
	if (d->version == SL_TLS_1_3) {
		j->aad_len = SL_RECORD_HEADER;
		memcpy(j->aad, prefix, SL_RECORD_HEADER);
	} else {
		j->aad_len = 13;
		sl_store64(j->aad, seq);
		memcpy(j->aad + 8, prefix, 3);
		sl_store16(j->aad + 11, sl_to_be16(body));
	}
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
	job->iv = j->nonce;
	job->iv_len_in_bytes = 12;
	job->u.CHACHA20_POLY1305.aad = j->aad;
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
	j->gcm->whole[j->way](j->expanded, &j->ctx, dst, src, n, j->nonce, j->aad, j->aad_len, tag,
			      TAG);
	return true;
}

/* GCM only: a body in pieces. */
static void
begin(struct job *j)
{
	j->gcm->init(j->expanded, &j->ctx, j->nonce, j->aad, j->aad_len);
}

static void
update(struct job *j, uint8_t *dst, const uint8_t *src, uint32_t n)
{
	j->gcm->update[j->way](j->expanded, &j->ctx, dst, src, n);
}

static void
finish(struct job *j, uint8_t *tag)
{
	j->gcm->finalize[j->way](j->expanded, &j->ctx, tag, TAG);
}

/* ---- sealing ---- */

uint32_t
sl_record_overhead(const struct sl_record_dir *d)
{
	return prefix_len(d) + TAG + (d->version == SL_TLS_1_3);
}

/* What is left to be sealed: content from the caller's pieces, then the inner type of 1.3. */
struct plain {
	struct cursor from;
	uint32_t content;
	uint32_t inner; /* 0, 1 */
	uint8_t type;
};

/* Where the next n bytes lie: in the caller's piece, or gathered in dst. */
static const uint8_t *
source(struct plain *p, uint8_t *dst, uint32_t n)
{
	uint32_t content = SL_MIN(n, p->content);
	uint8_t *from = dst;

	if (content == n && run(&p->from, n, &from) == n) {
		skip(&p->from, n);
	} else {
		get(&p->from, dst, content);
		if (content < n)
			dst[content] = p->type;
		from = dst;
	}
	p->content -= content;
	return from;
}

/* GCM, long, or out is in pieces: one call for each of them, but for an inner type behind content that needs no gathering otherwise. */
static void
seal_pieces(struct job *j, struct plain *p, struct cursor *to, uint32_t n, uint8_t *tag)
{
	uint8_t *dst, *from;

	begin(j);
	for (uint32_t k; n && (k = run(to, n, &dst)) != 0; n -= k) {
		if (k > SHORT && k > p->content && run(&p->from, p->content, &from) == p->content)
			k = p->content;
		update(j, dst, source(p, dst, k), k);
		skip(to, k);
	}
	finish(j, tag);
}

/* Whether the content is to go straight from one piece to one piece. */
static bool
goes_straight(struct plain *p)
{
	uint8_t *from;

	return p->content > SHORT && run(&p->from, p->content, &from) == p->content;
}

static bool
seal_body(struct sl_record_engine *e, struct job *j, struct plain *p, struct cursor *to,
	  uint8_t tag[TAG])
{
	uint32_t n = p->content + p->inner;
	uint8_t *dst = e->body;
	bool one = run(to, n, &dst) == n;

	if (j->gcm && (one ? p->inner && goes_straight(p) : n > SHORT)) {
		seal_pieces(j, p, to, n, tag);
		return true;
	}
	if (!one)
		dst = e->body;
	if (!whole(e, j, dst, source(p, dst, n), n, tag)) {
		memset(dst, 0, n); /* plaintext may lie there */
		return false;
	}
	if (one)
		skip(to, n);
	else
		put(to, dst, n);
	return true;
}

bool
sl_record_seal(struct sl_record_engine *e, struct sl_record_dir *d, uint8_t type,
	       const struct sl_span *in, unsigned in_cnt, uint32_t n, const struct sl_span *out,
	       unsigned out_cnt)
{
	struct plain p = {{in, in + in_cnt, 0}, n, d->version == SL_TLS_1_3, type};
	struct cursor to = {out, out + out_cnt, 0};
	uint32_t bytes = n + sl_record_overhead(d) - SL_RECORD_HEADER;
	uint8_t prefix[SL_RECORD_HEADER + EXPLICIT], tag[TAG];

	SL_ASSERT(n <= SL_RECORD_MAX);
	if (sl_unlikely(d->seq == UINT64_MAX))
		return false;
	prefix[0] = p.inner ? SL_RECORD_DATA : type;
	sl_store16(prefix + 1, sl_to_be16(0x0303));
	sl_store16(prefix + 3, sl_to_be16(bytes));
	sl_store64(prefix + SL_RECORD_HEADER, __builtin_bswap64(d->seq));
	put(&to, prefix, prefix_len(d));
	if (!seal_body(e, start(e, d, SEAL, prefix, n), &p, &to, tag))
		return false;
	put(&to, tag, TAG);
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

/* Constant time. */
static bool
same_tag(const uint8_t a[TAG], const uint8_t b[TAG])
{
	uint64_t diff = (sl_load64(a) ^ sl_load64(b)) | (sl_load64(a + 8) ^ sl_load64(b + 8));

	__asm__("" : "+r"(diff)); /* no early end */
	return diff == 0;
}

/* In place, piece by piece; the tag stands behind. */
static bool
open_pieces(struct job *j, struct cursor *c, uint32_t n)
{
	uint8_t *p, tag[TAG], want[TAG];

	begin(j);
	for (uint32_t k; n && (k = run(c, n, &p)) != 0; n -= k) {
		update(j, p, p, k);
		skip(c, k);
	}
	finish(j, want);
	get(c, tag, TAG);
	return same_tag(tag, want);
}

/* Decrypts n bytes from c on, and compares the tag behind them.  false: they are zeros now. */
static bool
open_body(struct sl_record_engine *e, struct job *j, struct cursor c, uint32_t n)
{
	struct cursor body = c;
	uint8_t *p = e->body, tag[TAG], want[TAG];
	bool one = run(&c, n, &p) == n, ok;

	if (!one && j->gcm && n > SHORT) {
		ok = open_pieces(j, &c, n);
	} else {
		if (one)
			skip(&c, n);
		else
			get(&c, p = e->body, n);
		get(&c, tag, TAG);
		ok = whole(e, j, p, p, n, want) && same_tag(tag, want);
		if (ok && !one) {
			c = body;
			put(&c, p, n);
		}
	}
	if (!ok)
		zero(&body, n);
	return ok;
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
	struct cursor c = {spans, spans + cnt, 0};
	struct sl_record_head head;
	uint8_t prefix[SL_RECORD_HEADER + EXPLICIT], type;
	uint32_t off = prefix_len(d), end = bytes - TAG;
	bool is_new = d->version == SL_TLS_1_3;

	if (sl_unlikely(bytes < SL_RECORD_HEADER))
		return SL_RECORD_BAD_LENGTH;
	get(&c, prefix, SL_RECORD_HEADER);
	enum sl_record_verdict v = sl_record_head(d, prefix, &head);
	if (sl_unlikely(v != SL_RECORD_OK))
		return v;
	if (sl_unlikely(is_new && head.type == SL_RECORD_CCS))
		return SL_RECORD_BAD_HEADER;
	if (sl_unlikely(head.bytes != bytes || end - off > (is_new ? INNER_MAX : SL_RECORD_MAX)))
		return SL_RECORD_BAD_LENGTH;
	if (sl_unlikely(d->seq == UINT64_MAX))
		return SL_RECORD_BAD_SEQ;
	get(&c, prefix + SL_RECORD_HEADER, off - SL_RECORD_HEADER);
	if (!open_body(e, start(e, d, OPEN, prefix, end - off), c, end - off))
		return SL_RECORD_BAD_MAC;
	d->seq++;
	if (!is_new)
		return opened(head.type, off, end - off, ret);
	end = last_not_zero(spans, cnt, bytes, off, end, &type);
	if (!end || !is_type(type) || type == SL_RECORD_CCS)
		return SL_RECORD_BAD_INNER;
	return opened(type, off, end - 1 - off, ret);
}

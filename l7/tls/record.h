/* record — TLS records in and out of plaintext: the one seam between sessions and cipher code (design.md section 8).
 *
 *   seal: plaintext pieces ── one pass ──▶ header, ciphertext, tag in transmit buffers
 *   open: a record's pieces ── in place ──▶ plaintext in the same bytes, header and tag cut off by the caller
 *
 * TLS 1.3 (RFC 8446, 5.2) and TLS 1.2 AEAD (RFC 5246 6.2.3.3, 5288, 7905); AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 by ipsec-mb.
 * Pieces are cut anywhere on both sides.
 * Owner:   an engine per worker, in the caller's memory (locked, not dumped: it holds expanded keys); a direction is part of its
 *          session.  Threads: [worker].  Pure: no EAL, no clock, no globals, no allocation.
 * Not here: what records say, when keys change, sockets.
 */
#ifndef SL_L7_TLS_RECORD_H
#define SL_L7_TLS_RECORD_H

#include "dataplane/tcp/stream.h"
#include "sluice/image.h"

#define SL_RECORD_HEADER 5
#define SL_RECORD_MAX 16384         /* bytes of plaintext (RFC 8446, 5.1) */
#define SL_RECORD_EXPANSION 256     /* a record's length field is at most MAX + this in 1.3, */
#define SL_RECORD_EXPANSION_12 2048 /* this in 1.2 */
#define SL_RECORD_OVERHEAD_MAX (5 + 8 + 16) /* what sealing adds at most */
#define SL_RECORD_WIRE_MAX (SL_RECORD_HEADER + SL_RECORD_MAX + SL_RECORD_EXPANSION_12)
/* RFC 8446, 5.5: records under one AES-GCM key, 2^24.5; sessions change keys before. */
#define SL_RECORD_KEY_LIMIT (1ull << 24)

enum sl_record_type {
	SL_RECORD_CCS = 20,
	SL_RECORD_ALERT = 21,
	SL_RECORD_HANDSHAKE = 22,
	SL_RECORD_DATA = 23
};

enum sl_suite {
	SL_SUITE_NONE = 0,
	SL_SUITE_AES128_GCM = 1,
	SL_SUITE_AES256_GCM = 2,
	SL_SUITE_CHACHA20 = 3
};

/* One direction of a session: what is kept of it while it is idle.  Contains key bytes: cleanse when done. */
struct sl_record_dir {
	uint64_t seq;    /* of the next record; 2^64 - 1 is never used */
	uint64_t id;     /* of the expanded key: never the same for two keys of an engine */
	uint32_t slot;   /* where the expanded key was last */
	uint8_t suite;   /* enum sl_suite */
	uint8_t version; /* SL_TLS_1_2, SL_TLS_1_3 */
	uint8_t zero[2];
	uint8_t key[32];
	uint8_t iv[12]; /* 1.2 GCM: the first 4 */
};

struct sl_record_engine;

/* sl_record_bytes: memory for an engine that keeps `keys` expanded keys, a power of two in [16, 65536].  sl_record_init in zeroed
 * memory of that size aligned to 64; NULL: the CPU lacks what ipsec-mb needs (ret_why: a sentence).  sl_record_fini cleanses it. */
size_t sl_record_bytes(uint32_t keys);
struct sl_record_engine *sl_record_init(void *mem, uint32_t keys, const char **ret_why);
void sl_record_fini(struct sl_record_engine *e);
/* How often a key was not there and had to be expanded. */
uint64_t sl_record_expanded(const struct sl_record_engine *e);

/* sl_record_key sets a direction's key (bytes as suite has them, iv 12, of 1.2 GCM 4); seq as given (0 after a key update).  d was zeroed
 * first, or had a key of this engine: that one is forgotten.  sl_record_drop cleanses a direction and what was expanded of its key; a
 * zeroed one is accepted. */
void sl_record_key(struct sl_record_engine *e, struct sl_record_dir *d, unsigned version,
		   unsigned suite, const uint8_t *key, const uint8_t *iv, uint64_t seq);
void sl_record_drop(struct sl_record_engine *e, struct sl_record_dir *d);

/* sl_record_overhead: bytes that sealing adds to plaintext. */
uint32_t sl_record_overhead(const struct sl_record_dir *d);

/* sl_record_seal makes one record of n bytes of plaintext, [0, SL_RECORD_MAX], from in[] (which hold at least n) to out[] (which hold
 * at least n + overhead): as many bytes are written there.  1.3: the inner type is `type`, no padding.  in and out
 * do not overlap.  false: the sequence number is used up, or the library refused: what was written is no record, nor plaintext. */
bool sl_record_seal(struct sl_record_engine *e, struct sl_record_dir *d, uint8_t type,
		    const struct sl_span *in, unsigned in_cnt, uint32_t n,
		    const struct sl_span *out, unsigned out_cnt);

/* What a header announces. */
struct sl_record_head {
	uint8_t type;
	uint8_t zero;
	uint16_t version;
	uint32_t bytes; /* of the whole record, header included */
};

enum sl_record_verdict {
	SL_RECORD_OK,
	SL_RECORD_BAD_HEADER, /* type or version of no record: unexpected_message, decode_error */
	SL_RECORD_BAD_LENGTH, /* record_overflow: over the limit, or plaintext over SL_RECORD_MAX (padding counts); or too short for a tag */
	SL_RECORD_BAD_MAC, /* bad_record_mac; its bytes are zeros now, nothing of it was shown to anybody */
	SL_RECORD_BAD_INNER, /* unexpected_message: nothing but zeros, an inner type of no record, empty but no data */
	SL_RECORD_BAD_SEQ, /* the sequence number is used up */
};

/* sl_record_head reads the 5 bytes of a protected record's header.  1.3: the type is DATA always, but for a CCS of one byte 1, which is
 * told as such (and is an error once the handshake is over).  version: 0x0303. */
enum sl_record_verdict sl_record_head(const struct sl_record_dir *d,
				      const uint8_t bytes[SL_RECORD_HEADER],
				      struct sl_record_head *ret);

/* sl_record_open verifies and decrypts one whole record in place: spans hold exactly head.bytes bytes.  OK: plaintext is
 * ret->len bytes (0 is possible) from byte ret->off of them on, of type ret->type. */
struct sl_record_opened {
	uint8_t type;
	uint8_t zero[3];
	uint32_t off, len;
};
enum sl_record_verdict sl_record_open(struct sl_record_engine *e, struct sl_record_dir *d,
				      const struct sl_span *spans, unsigned cnt, uint32_t bytes,
				      struct sl_record_opened *ret);

#endif

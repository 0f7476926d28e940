/* jwt_json — JSON of tokens: header and claims, read strictly into a bounded table of values (RFC 8259).
 *
 * Strict:  one value with white space around it; UTF-8; no member twice in an object; escapes as RFC 8259 has them, no lone
 *          surrogate, no NUL; nothing behind the end.
 * Memory:  the caller's.  The text is written to: strings are made what they mean in their own place, which escapes never make
 *          longer.
 * Limits:  text SL_JWT_TOKEN_MAX bytes, depth SL_JSON_DEPTH, values SL_JSON_VALUES, members of an object SL_JSON_MEMBERS.
 * Threads: [any]; pure.
 */
#ifndef SL_L7_JWT_JSON_H
#define SL_L7_JWT_JSON_H

#include "l7/heads.h"

#define SL_JSON_DEPTH 8
#define SL_JSON_VALUES 256
#define SL_JSON_MEMBERS 64

enum sl_json_type {
	SL_JSON_NULL,
	SL_JSON_FALSE,
	SL_JSON_TRUE,
	SL_JSON_NUMBER,
	SL_JSON_STRING,
	SL_JSON_ARRAY,
	SL_JSON_OBJECT,
};

/* Values stand in the order of the text: a member's or an element's own values directly behind it. */
struct sl_json_value {
	uint8_t type; /* enum sl_json_type */
	uint8_t zero;
	uint16_t end;            /* index behind its last own value */
	uint16_t name, name_len; /* of a member: in the text */
	uint16_t at,
		len; /* STRING: without quotes; NUMBER: as written; others: the text from its first byte to its last */
};

struct sl_json {
	uint8_t *text;
	uint32_t cnt;
	struct sl_json_value value[SL_JSON_VALUES]; /* [0]: the whole */
};

enum sl_json_bad {
	SL_JSON_OK,
	SL_JSON_SYNTAX,
	SL_JSON_DEEP,      /* deeper than SL_JSON_DEPTH */
	SL_JSON_MANY,      /* more values or members than there is room for */
	SL_JSON_DUPLICATE, /* a member twice */
};

/* sl_json_read: text[0, len), len ≤ 65535, is written to and stays with `ret` as long as that is used. */
enum sl_json_bad sl_json_read(uint8_t *text, uint32_t len, struct sl_json *ret);

/* sl_json_member: of the object at index `of`; NULL: it has none of that name, or is no object. */
const struct sl_json_value *sl_json_member(const struct sl_json *j, uint32_t of, const void *name,
					   uint32_t len);

static inline struct sl_bytes
sl_json_bytes(const struct sl_json *j, const struct sl_json_value *v)
{
	return (struct sl_bytes){j->text + v->at, v->len};
}

#endif

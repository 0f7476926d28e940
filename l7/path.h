/* path — a request's path in one form, before it is matched and before policy sees it (RFC 3986, 6.2.2).
 *
 * Percent-codes of unreserved characters are decoded, others get upper-case digits; "." and ".." segments are taken out; with
 * merge, "//" becomes "/".  %2F by its policy: kept, decoded (before dot segments are looked for), refused.  %00, a broken
 * percent-code and ".." above the root are refused, and so is "." or ".." beside what an endpoint may take for a slash: a kept
 * %2F, %5C, a backslash, ";" ("/public/..%2Fadmin").  The result begins with "/", is no longer than the input, and normalising it again
 * changes nothing (%2F decoded aside).
 * Pure.  Threads: [any].
 */
#ifndef SL_L7_PATH_H
#define SL_L7_PATH_H

#include "sluice/image.h"

enum sl_path_verdict {
	SL_PATH_SAME,    /* the input is normal; ret is not set */
	SL_PATH_CHANGED, /* ret holds *ret_len bytes */
	SL_PATH_REFUSED, /* → 400 */
};

/* in[0, len): "/…", len ≥ 1; ret has room for len bytes. */
enum sl_path_verdict sl_path_normalise(const uint8_t *in, uint32_t len, uint8_t slash_2f,
				       bool merge, uint8_t *ret, uint32_t *ret_len);

/* sl_query_find: the first parameter of the name ("a=1&b=2"): its value decoded ("+" is a space) into buf when it has codes, else in
 * place; names are compared decoded.  A "%" that begins no code is itself.  false: none, or more than buf_len. */
bool sl_query_find(const uint8_t *query, uint32_t len, const uint8_t *name, uint32_t name_len,
		   uint8_t *buf, uint32_t buf_len, const uint8_t **ret, uint32_t *ret_len);

/* sl_query_value: the same parameter's value as it was written.  false: there is none. */
bool sl_query_value(const uint8_t *query, uint32_t len, const uint8_t *name, uint32_t name_len,
		    const uint8_t **ret, uint32_t *ret_len);

/* sl_query_decode: a name or value alike.  false: buf is too short. */
bool sl_query_decode(const uint8_t *in, uint32_t len, uint8_t *buf, uint32_t buf_len,
		     const uint8_t **ret, uint32_t *ret_len);

#endif

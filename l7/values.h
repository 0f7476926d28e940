/* values — what a request has of the fields that a match knows: header, parameter, cookie, each found once a request.
 *
 * Threads: [worker].  Values lie in the head, in the query or in scratch, until the next request.
 */
#ifndef SL_L7_VALUES_H
#define SL_L7_VALUES_H

#include "l7/match_priv.h"

/* sl_values_key: the match's key of the name, MATCH_NONE.  HEADER: name in any case, with its hash. */
uint32_t sl_values_key(const struct sl_match *m, uint8_t field, uint16_t hash, const uint8_t *name,
		       uint32_t len);
uint32_t sl_values_key_hash(uint8_t field, uint16_t hash, const uint8_t *name, uint32_t len);

/* sl_values_read notes which keys of the field the request has: in present[] behind what was there. */
void sl_values_read(struct match_find *f, uint8_t field);

/* sl_values_get: the key's value; false: the request has none.  Not of LINES and CLAIM. */
bool sl_values_get(struct match_find *f, uint32_t key, const uint8_t **ret, uint32_t *ret_len);

/* sl_values_next: all of a key's values, one in each call; LINES and CLAIM may have several.  each: zeroed before the first. */
struct values_each {
	uint32_t at;
};
bool sl_values_next(struct match_find *f, uint32_t key, struct values_each *each,
		    const uint8_t **ret, uint32_t *ret_len);

#endif

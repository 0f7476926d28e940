/* Names are hashed sixteen bytes a step, the last step padded with zeros; the length goes in at the end,
 * so that padding cannot be confused with content. */
#include "lb/hash.h"

uint64_t
sl_hash_name(uint64_t seed, const char *name, size_t len, unsigned salt)
{
	uint64_t h = sl_hash_start(seed, salt), left = len;

	for (; left >= 16; left -= 16, name += 16)
		h = sl_hash_step(h, sl_load64(name), sl_load64(name + 8));
	uint64_t w[2] = {0, 0};
	memcpy(w, name, left);
	h = sl_hash_step(h, w[0], w[1]);
	return sl_hash_end(sl_hash_step(h, len, SL_HASH_P0));
}

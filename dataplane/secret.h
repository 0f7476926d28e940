/* secret — key material that came in a memfd, in memory that is neither swapped nor dumped.
 *
 * Threads: [main].
 */
#ifndef SL_DATAPLANE_SECRET_H
#define SL_DATAPLANE_SECRET_H

#include "sluice/base.h"

struct sl_secret {
	uint8_t *bytes; /* locked, left out of core dumps */
	size_t size;
};

/* sl_secret_take copies the size bytes of the memfd into locked memory and zeroes the memfd, which it does
 * also when it refuses.  fd stays the caller's.  The memfd is sealed against resizing (SHRINK and
 * GROW) and not against writing, and is exactly size bytes long.  0, or -errno with *ret_why a static sentence. */
int sl_secret_take(int fd, size_t size, struct sl_secret *ret_secret, const char **ret_why);

/* sl_secret_destroy wipes and gives back; a zeroed one is accepted. */
void sl_secret_destroy(struct sl_secret *s);

#endif

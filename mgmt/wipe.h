/* wipe — memory that held keys is given back empty.
 *
 * sl_wipe_install makes jansson and OpenSSL free through sl_wipe_free: keys of the command line and of the API pass through
 * both, in buffers of theirs that nobody else can reach.  The first call of a program.
 * Threads: [main] for sl_wipe_install; the others [any].
 */
#ifndef SL_MGMT_WIPE_H
#define SL_MGMT_WIPE_H

#include "sluice/base.h"

void sl_wipe_install(void);

/* sl_wipe_free zeroes all that malloc gave, and frees it; NULL is allowed. */
void sl_wipe_free(void *p);

/* sl_wipe_realloc: as realloc, but what is left behind is zeroed; NULL when there is no memory, p stays. */
void *sl_wipe_realloc(void *p, size_t size);

/* sl_wipe_alloc gives zeroed pages of their own, out of core dumps, and locked as far as the limit allows; NULL: no memory.
 * sl_wipe_release zeroes them and gives them back (NULL is allowed; size as it was asked). */
void *sl_wipe_alloc(size_t size);
void sl_wipe_release(void *p, size_t size);

#endif

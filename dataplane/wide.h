/* wide — listeners that are not one address and one port: prefixes, ranges of ports, any port.
 *
 * Walk:    view.c looks for the exact address and port first; what it does not find is looked for here, and only in a
 *          table that has such listeners.  image.h says which of several wins.
 * Threads: create, destroy [main]; read [worker].  Immutable.
 */
#ifndef SL_DATAPLANE_WIDE_H
#define SL_DATAPLANE_WIDE_H

#include "lb/hash.h"
#include "sluice/image.h"

#define SL_WIDE_NONE UINT32_MAX

struct sl_wide;

/* sl_wide_create: of the listeners of a checked LISTENERS object.  0 with *ret_wide NULL when all are of one address and
 * port; -ENOMEM. */
int sl_wide_create(const struct sl_img_listener *listeners, uint32_t cnt,
		   struct sl_wide **ret_wide);
void sl_wide_destroy(struct sl_wide *w);

/* sl_wide_find: the listener (index) for the packet, or SL_WIDE_NONE. */
uint32_t sl_wide_find(const struct sl_wide *w, const struct sl_addr *addr, sl_be16 port,
		      uint8_t proto);

/* sl_wide_prefix: a listener whose prefix, shorter than an address, holds addr; or SL_WIDE_NONE. */
uint32_t sl_wide_prefix(const struct sl_wide *w, const struct sl_addr *addr);

/* sl_wide_exact: one address and one port: not among these. */
static inline bool
sl_wide_exact(const struct sl_img_listener *l)
{
	return l->plen == 128 && l->port_be == l->port_last_be;
}

/* sl_wide_key: where a hash by address, port and protocol begins to look. */
static inline uint64_t
sl_wide_key(const struct sl_addr *addr, sl_be16 port, uint8_t proto)
{
	return sl_hash_fold(sl_load64(addr->b) ^ SL_HASH_P0 ^ (uint64_t)port << 40 ^
				    (uint64_t)proto << 32,
			    sl_load64(addr->b + 8) ^ SL_HASH_P1);
}

#endif

/* slots — who has which slot.  The part of the slot map that only the compiler uses; the rest is in compile.h.
 *
 * Threads: [any], one map per thread.
 */
#ifndef SL_MGMT_SLOTS_H
#define SL_MGMT_SLOTS_H

#include "mgmt/compile.h"

#define SL_SLOT_KEY_MAX 192 /* bytes of any key with its end: two names, an address, a port */

/* Keys as the map has them; each returns buf. */
const char *sl_slot_key_endpoint(const char *service, const struct sl_conf_endpoint *e,
				 char buf[SL_SLOT_KEY_MAX]);

/* sl_slot_map_copy: *ret_map is initialised by this call.  0 or -ENOMEM. */
int sl_slot_map_copy(const struct sl_slot_map *m, struct sl_slot_map *ret_map);

/* sl_slot_space_assign makes the n distinct keys the owners of a space: who was there stays, who is not among
 * the keys is freed (in the order of slots), who is new takes a slot (in the order of keys).
 * placed[i] is where keys[i] is.  seq: the map's.
 * 0, -ENOSPC (more keys than slots), -EEXIST (a key twice) or -ENOMEM; the space is then only good for
 * sl_slot_map_fini. */
int sl_slot_space_assign(struct sl_slot_space *space, uint64_t *seq, const char *const *keys,
			 uint32_t n, struct sl_placed *placed);

#endif

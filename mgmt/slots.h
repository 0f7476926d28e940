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
/* "table/vhost", "table/vhost/route"; of each part [0, SL_NAME_MAX) bytes. */
const char *sl_slot_key_vhost(const char *table, const char *vhost, char buf[SL_SLOT_KEY_MAX]);
const char *sl_slot_key_hroute(const char *table, const char *vhost, const char *route,
			       char buf[SL_SLOT_KEY_MAX]);

/* A scan's key: "table/vhost/field" and, but for the path, "/name", whose bytes outside [A-Za-z0-9._-] are written %XX. */
#define SL_SCAN_KEY_MAX (SL_SLOT_KEY_MAX + 8 + 3 * 255)
const char *sl_slot_key_scan(const char *table, const char *vhost, unsigned field, const char *name,
			     char buf[SL_SCAN_KEY_MAX]);

/* sl_slot_base: the base of a scan, or NULL.  sl_slot_base_add: scans come in ascending order; 0 or -ENOMEM.
 * sl_slot_bases_clear forgets all. */
const struct sl_shard_key *sl_slot_base(const struct sl_slot_map *m, const char *scan);
int sl_slot_base_add(struct sl_slot_map *m, const char *scan, const struct sl_shard_key *key);
void sl_slot_bases_clear(struct sl_slot_map *m);

/* sl_slot_map_copy: *ret_map is initialised by this call.  0 or -ENOMEM. */
int sl_slot_map_copy(const struct sl_slot_map *m, struct sl_slot_map *ret_map);

/* sl_slot_map_retain: endpoints that have lost their slots since `before` have them again, as long as nobody else got them.
 * 0 or -ENOMEM (then m is only good for sl_slot_map_fini). */
int sl_slot_map_retain(struct sl_slot_map *m, const struct sl_slot_map *before);

/* sl_slot_space_assign makes the n distinct keys the owners of a space: who was there stays, who is not among
 * the keys is freed (in the order of slots), who is new takes a slot (in the order of keys).
 * placed[i] is where keys[i] is.  seq: the map's.
 * 0, -ENOSPC (more keys than slots), -EEXIST (a key twice) or -ENOMEM; the space is then only good for
 * sl_slot_map_fini. */
int sl_slot_space_assign(struct sl_slot_space *space, uint64_t *seq, const char *const *keys,
			 uint32_t n, struct sl_placed *placed);

#endif

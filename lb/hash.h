/* hash — two families of hashes, never mixed.
 *
 *   keyed      random key per boot, AES rounds, not linear: flow-table buckets and tags.  An attacker who
 *              chooses tuples cannot choose buckets.  Leaves the process only with the flow tables (sluice/flows.h).
 *   agreed     seeded by the table (sl_img_root.hash_seed): Maglev choice, admission, source hash.
 *              All gateways with the same table agree.  Not secret.
 *
 * Threads: [any]. Pure.  Needs AES-NI (checked at boot by main).
 */
#ifndef SL_LB_HASH_H
#define SL_LB_HASH_H

#include "sluice/addr.h"

struct sl_hash_key {
	SL_ALIGNED uint8_t b[64]; /* four 128-bit round keys */
};

/* sl_hash_tuple_keyed hashes the 40 bytes of a tuple. */
static inline uint64_t sl_hash_tuple_keyed(const struct sl_hash_key *key, const struct sl_tuple *t);

/* sl_hash_tuple hashes a tuple for choices gateways agree on; salts give independent values: [0,8] are those
 * of a choice (choose.h), 9 that of its level. */
static inline uint64_t sl_hash_tuple(uint64_t seed, const struct sl_tuple *t, unsigned salt);

/* sl_hash_addr: likewise for one address (source hash). */
static inline uint64_t sl_hash_addr(uint64_t seed, const struct sl_addr *a, unsigned salt);

/* sl_hash_name: likewise for a name of len bytes (Maglev's permutation of an endpoint). */
uint64_t sl_hash_name(uint64_t seed, const char *name, size_t len, unsigned salt);

/* sl_hash_reduce maps a hash onto [0,n) without division (n ≥ 1): multiply and take the high half. */
static inline uint32_t
sl_hash_reduce(uint64_t hash, uint32_t n)
{
	return (uint32_t)(((unsigned __int128)hash * n) >> 64);
}

#include "hash_inline.h"

#endif

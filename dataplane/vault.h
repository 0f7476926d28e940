/* vault — memory for what must not leave the process: locked, left out of core dumps, not a child's, cleansed when it is given back.
 *
 *   sl_vault_open ─▶ everything OpenSSL allocates is here from now on (certificates, keys, handshakes, its own state)
 *   sl_vault_map  ─▶ whole mappings: sessions of workers, stacks of handshake threads
 *
 * Small sizes (up to 32 KiB) come in classes from spans of 64 KiB, by way of a cache of each thread; larger ones are mappings of
 * their own.
 * Threads: [any], but open [main], before the first use of OpenSSL and of threads.
 * Limits:  what OpenSSL may hold in sum (max_bytes); then it is told that there is no memory.  Maps are not part of it.
 * Address sanitizer: sizes come from malloc, so that it sees their ends; cleansed and bounded all the same.
 */
#ifndef SL_DATAPLANE_VAULT_H
#define SL_DATAPLANE_VAULT_H

#include "sluice/base.h"

#define SL_VAULT_TEXT 256
#define SL_VAULT_SMALL 32704 /* bytes: what is larger is a mapping of its own */

/* sl_vault_open looks whether memory can be locked, and makes the vault OpenSSL's memory.  0, or -errno with a sentence that says what
 * to do (-EPERM: RLIMIT_MEMLOCK; -EBUSY: OpenSSL has allocated already). */
int sl_vault_open(uint64_t max_bytes, char ret_text[SL_VAULT_TEXT]);

/* As malloc, realloc and free; memory is aligned to 16.  Size 0: NULL.  What is given back, or moved from, is cleansed. */
void *sl_vault_malloc(size_t bytes);
void *sl_vault_realloc(void *mem, size_t bytes);
void sl_vault_free(void *mem);

/* sl_vault_map: zeroed, page-aligned; pages are there, and locked, once they are touched.  NULL: errno says why.
 * sl_vault_unmap cleanses; NULL is accepted. */
void *sl_vault_map(size_t bytes);
void sl_vault_unmap(void *mem, size_t bytes);

/* sl_vault_stack: a stack of that many bytes with a page below it that faults; as pthread_attr_setstack wants it.  NULL as above.
 * sl_vault_unstack gives it back. */
void *sl_vault_stack(size_t bytes);
void sl_vault_unstack(void *stack, size_t bytes);

struct sl_vault_usage {
	uint64_t bytes,
		max_bytes; /* for OpenSSL: held, free places of spans included, and the limit */
	uint64_t mapped;   /* by sl_vault_map and _stack */
};
void sl_vault_usage(struct sl_vault_usage *ret);

#endif

/* arena — memory of one worker for heads and what goes with a request, in pieces of a few sizes.
 *
 * Pieces are powers of two from 512 B to 128 KiB; a piece given back is used again for its size.  Bounded: when the memory is used
 * up, NULL.  Threads: [worker].
 */
#ifndef SL_L7_ARENA_H
#define SL_L7_ARENA_H

#include "sluice/base.h"

struct sl_arena;
#define SL_ARENA_MIN 512u
#define SL_ARENA_MAX (128u << 10)

size_t sl_arena_bytes(size_t room);
struct sl_arena *sl_arena_init(void *mem, size_t room); /* mem: line-aligned, zeroed */
/* bytes in [1, SL_ARENA_MAX]; *ret_bytes: what may be used, ≥ bytes.  NULL: none left. */
void *sl_arena_take(struct sl_arena *a, uint32_t bytes, uint32_t *ret_bytes);
void sl_arena_give(struct sl_arena *a, void *piece, uint32_t ret_bytes);
size_t sl_arena_used(const struct sl_arena *a);

#endif

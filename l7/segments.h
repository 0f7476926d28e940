/* segments — which literal prefixes, exact paths and templates of a virtual host hold for a path: one trie over segments.
 *
 *   "/api"  SEGMENTS   root ─ api*                   * reached: what ends here holds for all below
 *   "/api/v1" EXACT             └ v1.                . end: holds when the path ends here
 *   "/api/{id}/x" TEMPLATE      └ {} ─ x.            {} wildcard: any segment but the empty one
 *
 * All literal children of all nodes lie in one open-addressing table by (node, segment).  A path is walked with the set of the
 * nodes it may stand at; nodes of one depth that differ in which of their ancestors are wildcards can be in it together, so it
 * is never larger than the number of such ways at one depth.
 * Threads: create, insert, destroy [main]; walk [any].  Walk allocates nothing.
 */
#ifndef SL_L7_SEGMENTS_H
#define SL_L7_SEGMENTS_H

#include "sluice/image.h"

#define SL_SEGMENTS_ACTIVE_MAX 32

struct sl_segments;

/* fold: paths are folded while they are walked; what is inserted is in lower case. */
struct sl_segments *sl_segments_create(bool fold);
void sl_segments_destroy(struct sl_segments *t);

/* sl_segments_insert files a path condition (EXACT, SEGMENTS, TEMPLATE; value begins with "/", in memory that outlives t).
 * *ret_slot: what walk says when it holds; slots are given from *next_slot on, conditions that hold alike share one.  0,
 * -ENOMEM, -E2BIG. */
int sl_segments_insert(struct sl_segments *t, uint8_t op, const uint8_t *value, uint32_t len,
		       uint32_t *next_slot, uint32_t *ret_slot);

typedef void (*sl_segments_fn)(void *ctx, uint32_t slot);
void sl_segments_walk(const struct sl_segments *t, const uint8_t *path, uint32_t len,
		      sl_segments_fn fn, void *ctx);

/* ---- one template ---- */

struct sl_segments_capture {
	uint16_t off, len; /* of the path */
};

/* sl_segments_template: whether the path is of the template; captures of its first `max` {…}.  The slow way. */
bool sl_segments_template(const uint8_t *tmpl, uint32_t tmpl_len, bool fold, const uint8_t *path,
			  uint32_t len, struct sl_segments_capture *ret, uint32_t max,
			  uint32_t *ret_cnt);

#endif

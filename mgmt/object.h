/* object — the bytes of an object with a reference count in front, so that a result shares what did not change with the
 * one before: 1,000 services of which 10 changed cost 10 tables and 12 sums, not 131 MB of copying.
 *
 * Threads: [any]; bytes are written only between create and finish.
 */
#ifndef SL_MGMT_OBJECT_H
#define SL_MGMT_OBJECT_H

#include "mgmt/compile.h"

/* sl_object_create gives a zeroed object with its head filled and one reference, or NULL. */
void *sl_object_create(enum sl_obj_kind kind, size_t size);

/* sl_object_unref drops a reference; bytes may be NULL. */
void sl_object_unref(const void *bytes);

/* sl_object_finish makes *ret of the bytes, with their sum; the reference goes over to it.  With the same bytes as prev (or
 * NULL) it is prev's object, without a sum.  −ENOMEM: the bytes are gone. */
int sl_object_finish(const void *bytes, size_t size, const struct sl_compiled_object *prev,
		     struct sl_compiled_object *ret);

/* sl_object_share makes *ret another reference to what from holds. */
void sl_object_share(const struct sl_compiled_object *from, struct sl_compiled_object *ret);

/* sl_object_section: a section of n elements at *end: its offset, 0 when it is empty; *end moves to the next multiple of
 * 8. */
uint32_t sl_object_section(uint32_t *end, size_t n, size_t size);

#endif

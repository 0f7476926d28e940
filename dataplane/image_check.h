/* image_check — validation of one object's bytes; steps 2 to 5 of the reader algorithm in image.h.
 * Threads: [main]. Pure; trusts nothing; reads only bytes[0, size). */
#ifndef SL_DATAPLANE_IMAGE_CHECK_H
#define SL_DATAPLANE_IMAGE_CHECK_H

#include "sluice/diag.h"
#include "sluice/image.h"

/* sl_image_check validates an object of the expected kind.  bytes is aligned to 8.  id NULL: the sum is not
 * compared (tests, fuzzing).  what names it in messages ("service web").  0, or -EINVAL with all
 * problems in diag. */
int sl_image_check(const void *bytes, size_t size, enum sl_obj_kind kind,
		   const struct sl_obj_id *id, const char *what, struct sl_diag *diag);

/* sl_image_id computes SHA-256. */
void sl_image_id(const void *bytes, size_t size, struct sl_obj_id *ret_id);

/* sl_image_dump writes a readable text of an object (golden tests, scripts/image-dump) to f. */
#include <stdio.h>
void sl_image_dump(const void *bytes, size_t size, FILE *f);

#endif

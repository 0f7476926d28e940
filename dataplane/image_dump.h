/* image_dump — what the files of sl_image_dump (image_check.h) share.  The bytes passed the check.
 * Threads: [main].  Private to image_dump.c and image_dump_http.c. */
#ifndef SL_DATAPLANE_IMAGE_DUMP_H
#define SL_DATAPLANE_IMAGE_DUMP_H

#include "dataplane/image_check.h"

void sl_image_dump_id(const struct sl_obj_id *id, FILE *f);
void sl_image_dump_http_service(const struct sl_img_http_service *h, FILE *f);
void sl_image_dump_routes(const uint8_t *bytes, FILE *f);
void sl_image_dump_vhost(const uint8_t *bytes, FILE *f);
void sl_image_dump_shard(const uint8_t *bytes, FILE *f);

#endif

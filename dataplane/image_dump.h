/* image_dump — what the files of sl_image_dump (image_check.h) share.  The bytes passed the check.
 * Threads: [main].  Private to image_dump*.c. */
#ifndef SL_DATAPLANE_IMAGE_DUMP_H
#define SL_DATAPLANE_IMAGE_DUMP_H

#include "dataplane/image_check.h"

void sl_image_dump_id(const struct sl_obj_id *id, FILE *f);
void sl_image_dump_http_service(const struct sl_img_http_service *h, FILE *f);
void sl_image_dump_routes(const uint8_t *bytes, FILE *f);
void sl_image_dump_vhost(const uint8_t *bytes, FILE *f);
/* Of a virtual host: CORS, faults, hedging, cookies of splits. */
void sl_image_dump_traffic(const uint8_t *bytes, FILE *f);
void sl_image_dump_authz(const uint8_t *bytes, FILE *f);
/* What the listener says of TLS, in lines of its own. */
void sl_image_dump_tls(const struct sl_img_listeners *ls, const struct sl_img_listener *l, FILE *f);
void sl_image_dump_service_tls(const struct sl_img_tls_service *t, FILE *f);
void sl_image_dump_jwt(const uint8_t *bytes, FILE *f);
/* " WORD "TEXT"" when there is one; strs: of the object. */
void sl_image_dump_text(const char *word, const uint8_t *strs, struct sl_img_str s, FILE *f);
/* Limits of a service; what policy the routes of a virtual host name. */
void sl_image_dump_rates(const struct sl_img_rate *r, uint32_t cnt, FILE *f);
void sl_image_dump_policies(const uint8_t *bytes, FILE *f);
void sl_image_dump_shard(const uint8_t *bytes, FILE *f);

#endif

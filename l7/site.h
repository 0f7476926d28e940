/* site — route tables and virtual hosts as a generation's view has them: what stands between validated objects and l7.
 * Threads: built by main, read by workers. */
#ifndef SL_L7_SITE_H
#define SL_L7_SITE_H

#include "l7/authz.h"

/* Pointers into the generation. */
struct sl_vhost {
	const struct sl_img_vhost *img;
	const struct sl_match *match;
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
};

/* An issuer of tokens. */
struct sl_jwt_keys;
struct sl_issuer {
	const struct sl_img_jwt *img; /* NULL: the slot is free */
	const struct sl_jwt_keys *keys;
	uint16_t incarnation;
};

struct sl_table {
	const struct sl_img_routes *img;
	const struct sl_hosts *hosts; /* → index into vhosts of the view */
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
};

#endif

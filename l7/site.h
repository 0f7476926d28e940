/* site — route tables and virtual hosts as a generation's view has them: what stands between validated objects and l7.
 * Threads: built by main, read by workers. */
#ifndef SL_L7_SITE_H
#define SL_L7_SITE_H

#include "l7/match.h"

/* Pointers into the generation. */
struct sl_vhost {
	const struct sl_img_vhost *img;
	const struct sl_match *match;
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
};

struct sl_table {
	const struct sl_img_routes *img;
	const struct sl_hosts *hosts; /* → index into vhosts of the view */
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
};

#endif

/* source_url — what a source is asked, as a URL.
 *
 * Threads: [any].  Pure.
 */
#ifndef SL_MGMT_SOURCE_URL_H
#define SL_MGMT_SOURCE_URL_H

#include "sluice/base.h"

/* A URL as it grows; what had no room is told by `full`. */
struct sl_source_url {
	char text[4096];
	size_t len;
	bool full;
};

void sl_source_url_begin(struct sl_source_url *u, const char *start);
/* As it is. */
void sl_source_url_add(struct sl_source_url *u, const char *text);
/* All but letters, digits and "-._~" as %XX (RFC 3986, 2). */
void sl_source_url_escape(struct sl_source_url *u, const char *text);

#endif

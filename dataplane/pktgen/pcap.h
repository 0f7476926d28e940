/* pcap — a capture file written frame by frame, as replay ports (net_pcap) read it.
 *
 * Threads: [any], one writer per file.
 * The bytes: little-endian header a1b2c3d4 2.4, Ethernet; one record per frame, a microsecond apart.
 * The same frames give the same file.
 */
#ifndef SL_PKTGEN_PCAP_H
#define SL_PKTGEN_PCAP_H

#include "sluice/base.h"

#include <stdio.h>

struct sl_pcap {
	FILE *f;
	uint64_t cnt; /* frames so far */
};

/* 0 or -errno.  An existing file is replaced. */
int sl_pcap_create(struct sl_pcap *w, const char *path);
/* len in [1, 65535]. 0 or -errno; an error may show as late as in close. */
int sl_pcap_add(struct sl_pcap *w, const uint8_t *frame, unsigned len);
/* Closes in any case; a second close does nothing. */
int sl_pcap_close(struct sl_pcap *w);

#endif

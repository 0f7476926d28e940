/* memfd — bytes in a sealed memory file, ready to be passed.
 * Threads: [any]. */
#ifndef SL_MGMT_MEMFD_H
#define SL_MGMT_MEMFD_H

#include "sluice/base.h"

/* sl_memfd_sealed copies bytes into a new memfd with all four seals (write, shrink, grow, seal); the
 * descriptor (close-on-exec) or −errno. */
int sl_memfd_sealed(const char *name, const void *bytes, size_t size);

/* sl_memfd_secret likewise, sealed against resizing alone: who takes the bytes can zero them (ctl.h, SECRET). */
int sl_memfd_secret(const void *bytes, size_t size);

#endif

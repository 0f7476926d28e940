/* boot_show — what was read of a boot file, as one JSON object: for programs that look at a machine with the
 * same eyes as the dataplane (sluicectl doctor).
 *
 * The keys are those of the file, in their groups, defaults filled in.  null: left out, and chosen later.  Not shown,
 * because they may hold secrets: the value of rss_key (true when it was given) and args of ports.
 */
#ifndef SL_DATAPLANE_BOOT_SHOW_H
#define SL_DATAPLANE_BOOT_SHOW_H

#include "dataplane/boot.h"

#include <stdio.h>

/* sl_boot_show writes the object and a newline.  0, or -EIO when f does not take them. */
int sl_boot_show(const struct sl_boot *boot, FILE *f);

#endif

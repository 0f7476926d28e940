/* port_priv — between port.c and its parts: a port that is being opened.
 *
 * Walk:    port.c (all ports, one by one) → port_device.c (make the device) → port_start.c (queues, key, offloads, start);
 *          port_hear.c keeps what drivers say meanwhile.  port_watch.c afterwards.
 * Threads: [main].
 */
#ifndef SL_DATAPLANE_PORT_PRIV_H
#define SL_DATAPLANE_PORT_PRIV_H

#include "dataplane/port.h"

struct sl_port_opening {
	struct sl_port_set *set;
	const struct sl_boot *boot;
	const struct sl_boot_port *conf;
	const struct sl_rss *rss;
	unsigned idx;
	struct sl_port port;
	char why[512]; /* what failed */
};

/* sl_port_say: a line for the log. */
void sl_port_say(const struct sl_port_set *set, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- port_hear.c ---- */

/* sl_port_hear_start: from now on drivers' lines go to log.  sl_port_hear_keep: until it is called with false, the first
 * line is kept as the reason of a failure, and none goes to the log. */
void sl_port_hear_start(sl_port_log_fn *log);
void sl_port_hear_keep(bool keep);

/* sl_port_failed notes why, with what the driver said.  err when it is negative, else -EIO. */
int sl_port_failed(struct sl_port_opening *o, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- port_device.c: o->port.id, or -errno (sl_port_failed) ---- */

typedef int sl_port_make_fn(struct sl_port_opening *o);
sl_port_make_fn sl_port_make_af_xdp, sl_port_make_af_packet, sl_port_make_vdev, sl_port_make_pci;

/* ---- port_watch.c ---- */

/* From start to stop a thread of the EAL may set bits of set->removed. */
void sl_port_watch_start(struct sl_port_set *set);
void sl_port_watch_stop(struct sl_port_set *set);

/* ---- port_start.c ---- */

/* sl_port_start configures and starts the device of o->port.id and fills in the rest of o->port. */
int sl_port_start(struct sl_port_opening *o);

#endif

/* gateway — everything one sluice-dataplane process has, from boot to exit.
 *
 * Owner:   main thread; what workers use of it is in lcore.h.
 */
#ifndef SL_DATAPLANE_GATEWAY_H
#define SL_DATAPLANE_GATEWAY_H

#include "dataplane/boot.h"
#include "dataplane/ctl_server.h"
#include "dataplane/exception.h"
#include "dataplane/explain.h"
#include "dataplane/farewell.h"
#include "dataplane/host.h"
#include "dataplane/lcore.h"
#include "dataplane/lockdown.h"
#include "dataplane/passive.h"
#include "dataplane/port.h"
#include "dataplane/takeover.h"
#include "dataplane/tls_main.h"
#include "dataplane/upgrade.h"
#include "dataplane/watchdog.h"

struct sl_publish;

struct sl_gateway {
	struct sl_boot boot;
	struct sl_host host;
	struct sl_diag diag; /* of the step of the boot that runs */
	uint64_t boot_id;
	struct sl_state_seg *state;
	void *stats;
	size_t state_bytes, stats_bytes;
	int state_fd, stats_fd;
	/* TCP; NULL, 0 and -1 where it is off */
	void *streams; /* the region (sluice/streams.h) */
	size_t streams_bytes;
	int streams_fd; /* open for reading */
	/* NULL, 0 and -1 where there are none */
	void *events; /* the region (sluice/events.h) */
	size_t events_bytes;
	int events_fd;
	struct sl_relay_limits *relay_limits;
	struct sl_rates_shared *rates;
	struct sl_passive passive;
	struct sl_tls_main tls;
	struct sl_rss rss;
	struct sl_port_set ports;
	uint64_t unplug_token; /* unplug.h, while unplugging */
	bool unplugging;
	struct sl_exception *exception; /* NULL: no port has one */
	struct sl_lcore_shared shared;
	struct sl_lcore *lcores; /* [worker_cnt] */
	struct sl_neigh_table *neigh;
	struct sl_path_table *paths;
	struct sl_ctl_server *server;
	struct sl_explain_desk explain;
	struct sl_publish *publish;
	struct sl_takeover takeover;
	struct sl_upgrade upgrade;
	struct sl_lockdown_conf lockdown; /* what stays */
	bool locked;                      /* the rest is gone */
	struct sl_watchdog watchdog;
	struct sl_farewell farewell;
	int flows_fd; /* a region that waited for this process; -1: none, or taken */
	int signal_fd;
	uint64_t started_ns; /* CLOCK_MONOTONIC */
};

/* n bytes of chance from the kernel: 0 or -EIO. */
int sl_gateway_random(void *to, size_t n);

/* One plain line on stderr, "sluice-dataplane: " before it. */
void sl_gateway_log(const char *line);
void sl_gateway_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

/* daemon_conf — sluiced's own file (libconfig), not the tables.
 *
 *   api_socket       = "/run/sluice/api.sock";        # where sluicectl connects
 *   dataplane_socket = "/run/sluice/dataplane.sock";  # where sluice-dataplane listens
 *   state_dir        = "/var/lib/sluice";             # generations, slots, operators' states
 *   audit_log        = "/var/log/sluice/audit.log";   # "" : no audit log
 *   compile_program  = "";                            # sluice-compile; "": beside sluiced
 *   metrics          = "127.0.0.1:9900";              # or "[::1]:9900", "unix:/path", "" : none
 *   access_log = { file = "/var/log/sluice/access.log";   # of requests, JSON lines; no group, or file = "": none
 *                  rotate_mb = 100; keep = 5; };           # 0: never rotated; old files
 *   tickets = { rotate = "12h"; };                    # of the gateway's own ticket keys: 1m to 168h
 *   announce = { bird_socket = "/run/bird/bird.ctl";  # VIPs, by BIRD on this node (announce.h); no group: none
 *                routes = "/run/sluice/bird.conf";    # what bird.conf includes
 *                settle = "1s"; };                    # before a VIP comes back, and after all were withdrawn: 0s to 60s
 *   locality = "eu/a";                                # where this gateway stands: region, zone, rack
 *   sources = ( { name = "dns"; type = "dns" | "files" | "etcd" | "consul" | "kubernetes";      # who knows endpoints (source.h)
 *                 servers = ( "192.0.2.53", "[2001:db8::53]:5353" );       # dns; without: as /etc/resolv.conf says
 *                 urls = ( "https://192.0.2.1:2379" );                     # etcd, consul, kubernetes: required, tried in order
 *                 directory = "/etc/sluice/endpoints";                     # files: required
 *                 prefix = "/sluice/";                                     # etcd
 *                 datacenter = ""; namespace = "default"; token_file = ""; # consul; kubernetes; both
 *                 region = "";                                             # kubernetes: that its zones are in
 *                 user = ""; password_file = "";                           # etcd
 *                 ca = ""; certificate = ""; key = "";                     # files for https
 *                 timeout = "2s"; wait = "5m";                             # of a question; consul: of a blocking query; kubernetes: a watch
 *                 min_ttl = "1s"; max_ttl = "1h"; }, … );                  # dns: bounds of TTLs
 *   store = { source = "etcd"; table = "edge"; registry = true; limits = true; };  # what gateways share: store.h
 *   registry = { … };                                 # services that register themselves: registry_conf.h
 *   core_dumps = false;                               # true: a core of sluiced may be written, with keys in it
 *   roles = { viewer = ( "bob", "@ops", 1000 ); operator = ( … ); admin = ( … ); };
 *
 * Every key may be absent (the values above are the defaults; roles empty).  All problems are
 * reported at once; an unknown key is an error that names the nearest valid one.
 * Threads: [main], before the loop.
 */
#ifndef SL_MGMT_DAEMON_CONF_H
#define SL_MGMT_DAEMON_CONF_H

#include "mgmt/access_log.h"
#include "mgmt/announce.h"
#include "mgmt/registry_conf.h"
#include "mgmt/roles.h"
#include "mgmt/source.h"
#include "mgmt/store.h"
#include "sluice/diag.h"

#define SL_DAEMON_PATH_MAX 108 /* of a socket, with the terminating 0 (sockaddr_un) */

struct sl_daemon_conf {
	char api_socket[SL_DAEMON_PATH_MAX];
	char dataplane_socket[SL_DAEMON_PATH_MAX];
	char state_dir[1024];
	char audit_log[1024];
	char compile_program[1024]; /* "": sluice-compile beside sluiced */
	uint32_t compile_ms;    /* not in the file: sl_shards_conf.deadline_ms, 0 for its default */
	uint32_t journal_bytes; /* not in the file: sl_tables_conf.journal_bytes */
	char metrics[128];      /* checked: "", "unix:/…", or a loopback address and a port */
	struct sl_access_log_conf access_log;
	uint32_t ticket_rotate_ms; /* 0: never; not from the file */
	struct sl_announce_conf announce;
	char locality[SL_LOCALITY_MAX];
	struct sl_source_conf *sources; /* [source_cnt] */
	unsigned source_cnt;
	struct sl_registry_conf registry;
	struct sl_store_conf store;
	bool core_dumps;
	struct sl_roles roles;
};

/* sl_daemon_conf_parse: 0, or -EINVAL with every problem in diag.  Fini in both cases. */
int sl_daemon_conf_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
			 struct sl_daemon_conf *ret_conf);
void sl_daemon_conf_fini(struct sl_daemon_conf *c);

/* sl_daemon_conf_metrics_ok: NULL, or what is wrong with the value of `metrics`. */
const char *sl_daemon_conf_metrics_ok(const char *value);

#endif

/* show — what the gateway is and does, as JSON (api.h: status, show, stats).
 * Threads: [loop]. */
#ifndef SL_MGMT_SHOW_H
#define SL_MGMT_SHOW_H

#include "mgmt/verbs.h"

/* The array that `show WHAT` puts under its own name; NULL: WHAT is none of these.  show_stats.c has those that
 * come from the statistics segment alone. */
json_t *sl_show_listeners(struct sl_daemon *d);
json_t *sl_show_services(struct sl_daemon *d);
/* show_endpoints.c: of one service, NULL: all. */
json_t *sl_show_endpoints(struct sl_daemon *d, const char *service);
json_t *sl_show_sources(struct sl_daemon *d, const char *service);
json_t *sl_show_jwt(struct sl_daemon *d);
json_t *sl_show_workers(struct sl_daemon *d, bool histograms);
json_t *sl_show_ports(struct sl_daemon *d);
json_t *sl_show_drops(struct sl_daemon *d);
json_t *sl_show_tcp(struct sl_daemon *d);
json_t *sl_show_http(struct sl_daemon *d);
json_t *sl_show_tls(struct sl_daemon *d);
json_t *sl_show_limits(struct sl_daemon *d); /* show_limits.c */
/* show_authz.c: sets of rules and their rules, or those of one set (NULL: there is no such). */
json_t *sl_show_authz(struct sl_daemon *d, const char *set);
/* show_routes.c: those of a name each (NULL: all).  sl_show_no_such: NULL, or of which kind there is none of that name:
 * "route table", "host", "route". */
json_t *sl_show_routes(struct sl_daemon *d, const char *table, const char *host, const char *route);
json_t *sl_show_hosts(struct sl_daemon *d, const char *table, const char *host);
const char *sl_show_no_such(struct sl_daemon *d, const char *table, const char *host,
			    const char *route);
/* sl_show_action: "service", "split", "redirect", "respond". */
const char *sl_show_action(const struct sl_conf_hroute *r);
/* All COUNTERS of sl_stats_worker, summed. */
json_t *sl_show_total(struct sl_daemon *d);
/* What a tick is, and for how long the workers have been running; 0 without a dataplane. */
uint64_t sl_show_ticks_per_s(struct sl_daemon *d);
double sl_show_uptime(struct sl_daemon *d);

json_t *sl_show_time(int64_t wall_ms); /* null for 0 */

/* show_conf_tls.c: what the table says of TLS (api.h); null: plaintext. */
json_t *sl_show_listener_tls(const struct sl_conf_listener *l);
json_t *sl_show_server_names(const struct sl_conf_listener *l);
json_t *sl_show_service_tls(const struct sl_conf_service *s);

/* show_members.c: what a row of services has of discovery, levels, subsets and panic (api.h).  s: of c, the active table. */
json_t *sl_show_members(struct sl_daemon *d, const struct sl_conf *c,
			const struct sl_conf_service *s);

#endif

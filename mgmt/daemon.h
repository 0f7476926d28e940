/* daemon — the parts of sluiced put together: who tells whom.
 *
 *   publish ──up, down, verdict──▶ tables ──activated──▶ prober's targets, baselines
 *   prober ──event──▶ operstate ──words──▶ dataplane       server ──request──▶ verbs ──▶ tables, operstate
 *   publish ──rings──▶ access log ◀──names── tables       metrics ──scrape──▶ snapshot of all
 *   sources ──answers──▶ roster ──endpoints──▶ tables    roster ──drain, down, percent──▶ operstate
 *   tables, operstate, publish, verbs ──table, health, link, drain──▶ announce ──▶ BIRD
 *   verbs ──certificates, ticket keys──▶ secrets ──▶ publish   tables ──may it be offered?──▶ secrets
 *
 *   store ──table──▶ tables ──what became of it──▶ store   counters ──asked for──▶ rate_share ──words──▶ dataplane
 * Threads: [loop].
 */
#ifndef SL_MGMT_DAEMON_H
#define SL_MGMT_DAEMON_H

#include "mgmt/access_log.h"
#include "mgmt/daemon_conf.h"
#include "mgmt/health.h"
#include "mgmt/metrics.h"
#include "mgmt/registry.h"
#include "mgmt/jwks.h"
#include "mgmt/roster.h"
#include "mgmt/server.h"
#include "mgmt/store.h"
#include "mgmt/tables.h"
#include "mgmt/trial.h"

struct sl_daemon {
	uv_loop_t *loop;
	const struct sl_daemon_conf *conf;
	struct sl_oper *oper;
	struct sl_counters *counters;
	struct sl_audit *audit;
	struct sl_access_log *access;
	struct sl_secrets *secrets;
	struct sl_announce *announce;
	struct sl_roster *roster;
	struct sl_jwks *jwks;
	struct sl_metrics_issuer m_issuers[SL_MAX_JWT];
	struct sl_store *store;             /* NULL: none */
	struct sl_rate_shares *rate_shares; /* NULL: none */
	struct sl_pushed *rostered;         /* whose questions the roster asks */
	struct sl_registry *registry;
	struct sl_registry_http *registry_http;
	struct sl_tables *tables;
	struct sl_trial *trial;
	struct sl_publish *publish;
	struct sl_probing *probing;
	struct sl_prober *prober; /* probing's */
	struct sl_metrics *metrics;
	struct sl_server *server;
	struct sl_port_facts *port_facts;
	struct sl_walk_queue *walk_queue;
	uv_timer_t *ramp;  /* runs while an endpoint's slow start is under way */
	int lock;          /* state_dir/lock */
	bool oper_unsaved; /* the last operstate.json could not be written */
	int64_t started_ms, link_since_ms;
	struct {                 /* what a dataplane did with the flows of the one before, last */
		int64_t wall_ms; /* 0: nothing yet */
		struct sl_publish_taken what;
		char text[SL_CTL_TEXT_MAX + 1];
	} taken;
	uint64_t
		away_since; /* uv_hrtime: when the link, or the table of a new dataplane, was missed; 0: it is there */
	double away_ms; /* how long the last absence was, until the table was active again; 0: none */
	char link_error[512];
	struct sl_diag notes; /* what was wrong at start, for status */
	unsigned jobs;        /* checks and diffs in the pool */
	/* of the last scrape */
	struct sl_metrics_listener *m_listeners;
	struct sl_metrics_service *m_services;
	struct sl_metrics_endpoint *m_endpoints;
	struct sl_metrics_vhost *m_vhosts;
	struct sl_metrics_rate *m_rates;
	struct sl_metrics_authz *m_authz;
	struct sl_metrics_route *m_routes;
	struct sl_metrics_cert *m_certs;
	struct sl_metrics_source *m_sources;
	struct sl_prober_stats m_probes;
	struct sl_access_stats m_access;
	struct sl_registry_stats m_registry;
	struct sl_store_stats m_store;
};

/* sl_daemon_create opens everything; 0, or −errno with every reason in diag.  Destroy in both cases; it runs the
 * loop until nothing is left. */
int sl_daemon_create(uv_loop_t *loop, const struct sl_daemon_conf *conf, struct sl_diag *diag,
		     struct sl_daemon *d);
void sl_daemon_destroy(struct sl_daemon *d);

/* sl_daemon_say writes one line to stderr. */
void sl_daemon_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int64_t sl_daemon_wall_ms(void);

/* sl_daemon_ramp starts the slow-start timer if it is needed. */
void sl_daemon_ramp(struct sl_daemon *d);

/* sl_daemon_save_oper puts what operators set on disk. */
int sl_daemon_save_oper(struct sl_daemon *d, struct sl_diag *diag);

#endif

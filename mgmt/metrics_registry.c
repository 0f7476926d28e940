/* Services that register themselves, and the store that several gateways share. */
#include "mgmt/metrics_priv.h"
#include "mgmt/registry.h"
#include "mgmt/store.h"

struct single {
	const char *name, *type, *help;
	uint64_t value;
};

static void
put_singles(struct sl_expo *o, const struct single *rows, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		sl_expo_single(o, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

void
sl_metrics_registry(struct sl_expo *o, const struct sl_registry_stats *r)
{
	static const char *const reasons[SL_REGISTRY_REFUSALS] = {"denied", "malformed", "unknown",
								  "busy", "disk"};
	const char *refused = "sluice_registry_refused_total";
	const struct single rows[] = {
		{"sluice_registry_endpoints", "gauge", "Endpoints that are registered.",
		 r->endpoints},
		{"sluice_registry_silent", "gauge", "Of these, not heard within their TTL.",
		 r->silent},
		{"sluice_registry_services", "gauge", "Services that have some.", r->services},
		{"sluice_registry_registered_total", "counter",
		 "Registrations that were kept: new ones, and others than before.", r->registered},
		{"sluice_registry_removed_total", "counter", "Endpoints that were deregistered.",
		 r->removed},
		{"sluice_registry_expired_total", "counter",
		 "Endpoints that were removed because they had been silent.", r->expired},
		{"sluice_registry_heartbeats_total", "counter", "Heartbeats.", r->heartbeats},
		{"sluice_registry_journal_bytes", "gauge", "Size of the registry's journal.",
		 r->journal_bytes},
		{"sluice_registry_journal_failing", "gauge",
		 "1 when the last write of the journal failed.", r->failing},
		{"sluice_registry_journal_writes_total", "counter",
		 "Writes of the journal, each synced.", r->writes},
		{"sluice_registry_journal_records_total", "counter", "Changes that these kept.",
		 r->records},
		{"sluice_registry_journal_errors_total", "counter",
		 "Of the writes, those that failed.", r->write_errors},
	};

	put_singles(o, rows, SL_ARRAY_CNT(rows));
	sl_expo_family(o, refused, "counter", "Requests that came to nothing, by why.");
	for (unsigned i = 0; i < SL_REGISTRY_REFUSALS; i++) {
		char label[32];
		snprintf(label, sizeof(label), "reason=\"%s\"", reasons[i]);
		sl_expo_sample(o, refused, label, r->refused[i]);
	}
}

static void
put_table(struct sl_expo *o, const struct sl_store_stats *s)
{
	const char *state = "sluice_store_table", *age = "sluice_store_age_seconds";

	sl_expo_single(
		o, "sluice_store_revision", "gauge",
		"Revision of etcd at which the table there was changed last; 0: there is none.",
		s->revision);
	sl_expo_single(o, "sluice_store_conflicts_total", "counter",
		       "Pushes into the store that somebody else's change came before.",
		       s->conflicts);
	sl_expo_family(o, state, "gauge",
		       "What became of the table there, here: 1 for what it is.");
	for (unsigned i = 0; i < SL_STORE_STATES; i++) {
		char label[32];
		snprintf(label, sizeof(label), "state=\"%s\"", sl_store_state_name(i));
		sl_expo_sample(o, state, label, s->state == i);
	}
	sl_expo_family(o, age, "gauge",
		       "Since etcd said what the table is, or confirmed it; none yet: no row.");
	if (s->age_s >= 0)
		sl_expo_format(o, "%s %.3f\n", age, s->age_s);
}

void
sl_metrics_store(struct sl_expo *o, const struct sl_store_stats *s)
{
	sl_expo_single(o, "sluice_store_connected", "gauge", "1 while etcd answers, with sense.",
		       s->connected);
	sl_expo_single(o, "sluice_store_troubles_total", "counter",
		       "Requests to etcd that came to nothing.", s->troubles);
	if (s->gives_tables)
		put_table(o, s);
	if (!s->shares_registry)
		return;
	sl_expo_single(o, "sluice_store_registrations", "gauge",
		       "Endpoints that registered here and are to be in the store.", s->registered);
	sl_expo_single(o, "sluice_store_registrations_shared", "gauge",
		       "Of these, in the store as they are here.", s->shared);
}

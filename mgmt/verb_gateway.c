/* gateway drain, gateway undrain: kept on disk first, then in force; a drain is answered when BIRD has withdrawn everything. */
#include "mgmt/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 10000 /* besides settle */

struct drain {
	struct sl_verb_run r;
	bool changed;
};

static void
audit(const struct sl_verb_run *r, const char *op, const char *outcome, bool changed)
{
	const char *comment = sl_verb_text(r, "comment");
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s}", "verb", "gateway", "outcome", outcome,
			      "op", op, "changed", changed, "comment", comment ? comment : "");
	int err = sl_audit_add(r->d->audit, sl_daemon_wall_ms(), (int64_t)r->peer->uid,
			       r->peer->user, o);

	if (err)
		sl_daemon_say("audit log: cannot write: %s", strerror(-err));
	sl_daemon_say("gateway %s by %s%s", op, r->peer->user,
		      changed ? "" : " (it was so already)");
}

static void
answer(const struct sl_verb_run *r, bool changed)
{
	const struct sl_announce_conf *c = &r->d->conf->announce;
	json_t *a = sl_verb_ok(r);

	json_object_set_new(a, "changed", json_boolean(changed));
	json_object_set_new(a, "drained", json_boolean(sl_announce_drained(r->d->announce)));
	json_object_set_new(a, "note",
			    c->on ? json_null()
				  : json_string("sluiced.conf has no group announce: no VIP is "
						"announced by sluiced, drained or not"));
	sl_call_answer(r->call, a);
}

static void
on_withdrawn(void *ctx, const char *why)
{
	struct drain *w = ctx;

	if (!why)
		answer(&w->r, w->changed);
	else
		sl_call_answer(w->r.call,
			       sl_call_error(w->r.verb, "timeout",
					     "see: show announce; it is tried again all the time",
					     "the gateway is drained, but VIPs may still be "
					     "announced: %s",
					     why));
	free(w);
}

void
sl_verb_gateway(const struct sl_verb_run *r)
{
	const char *op = sl_verb_text(r, "op");
	bool drain = strcmp(op, "drain") == 0, changed = false;
	struct drain *w = drain ? calloc(1, sizeof(*w)) : NULL;
	struct sl_diag diag = {0};

	if (!drain && strcmp(op, "undrain")) {
		sl_call_answer(r->call, sl_call_error(r->verb, "invalid", "drain, undrain",
						      "op: \"%.16s\" is not known", op));
		return;
	}
	int err = drain && !w ? -ENOMEM
			      : sl_announce_drain(r->d->announce, drain, r->peer->user,
						  sl_daemon_wall_ms(), &changed, &diag);
	audit(r, op, err ? "failed" : "ok", changed);
	if (err) {
		sl_call_answer(r->call,
			       sl_call_error(r->verb, "internal", NULL, "nothing was changed: %s",
					     diag.cnt ? diag.items[0].text : strerror(-err)));
		free(w);
	} else if (drain) {
		*w = (struct drain){*r, changed};
		sl_announce_wait(r->d->announce, PATIENCE_MS + r->d->conf->announce.settle_ms,
				 on_withdrawn, w);
	} else {
		answer(r, changed);
	}
	sl_diag_fini(&diag);
}

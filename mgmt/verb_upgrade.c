/* upgrade: the dataplane looks at its program file, and becomes it.  Answered when it has said whether it will; that it
 * came back, and with which flows, stands in status. */
#include "mgmt/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct upgrade {
	struct sl_verb_run r;
	uint64_t boot_id;
	uint32_t pid;
	int64_t uid; /* the peer is the call's */
	char user[256];
};

static void
audit(const struct upgrade *u, const char *outcome, const char *text)
{
	json_t *e =
		json_pack("{s:s, s:s, s:s}", "verb", "upgrade", "outcome", outcome, "text", text);

	if (e && sl_audit_add(u->r.d->audit, sl_daemon_wall_ms(), u->uid, u->user, e))
		sl_daemon_say("audit: the upgrade could not be written");
}

static void
on_upgraded(void *ctx, int err, int error, const char *text)
{
	struct upgrade *u = ctx;
	char boot[20];
	json_t *a;

	if (err == -ETIMEDOUT) {
		a = sl_call_error(u->r.verb, "timeout", "see: status",
				  "the dataplane has not said whether it can within %d s",
				  SL_PUBLISH_UPGRADE_MS / 1000);
		audit(u, "timeout", "");
	} else if (err) {
		a = sl_call_error(u->r.verb, "unavailable", "see: status",
				  "the dataplane went away before it said whether it can");
		audit(u, "unavailable", "");
	} else if (error) {
		a = sl_call_error(u->r.verb, "refused", "the dataplane goes on as it is", "%s",
				  text);
		audit(u, "refused", text);
	} else {
		snprintf(boot, sizeof(boot), "%016" PRIx64, u->boot_id);
		a = sl_verb_ok(&u->r);
		json_object_set_new(a, "text", json_string(text));
		json_object_set_new(a, "boot_id", json_string(boot));
		json_object_set_new(a, "pid", json_integer(u->pid));
		audit(u, "ok", text);
	}
	sl_daemon_say("upgrade asked for by %s (uid %lld): %s", u->user, (long long)u->uid,
		      err ? strerror(-err) : text);
	sl_call_answer(u->r.call, a);
	free(u);
}

void
sl_verb_upgrade(const struct sl_verb_run *r)
{
	const struct sl_publish_link *l = sl_publish_link(r->d->publish);
	struct upgrade *u = l ? calloc(1, sizeof(*u)) : NULL;

	if (!l || !u) {
		sl_call_answer(r->call, l ? NULL
					  : sl_call_error(r->verb, "unavailable", "see: status",
							  "the dataplane is not connected"));
		return;
	}
	u->r = *r;
	u->boot_id = l->boot_id;
	u->pid = l->pid;
	u->uid = (int64_t)r->peer->uid;
	snprintf(u->user, sizeof(u->user), "%s", r->peer->user);
	int err = sl_publish_upgrade(r->d->publish, on_upgraded, u);
	if (err) {
		sl_call_answer(
			r->call,
			sl_call_error(r->verb, err == -EBUSY ? "busy" : "unavailable",
				      "see: status", "%s",
				      err == -EBUSY ? "an upgrade is under way" : strerror(-err)));
		free(u);
	}
}

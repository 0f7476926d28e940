/* drain, undrain, disable, enable, weight, maintenance: the word first, so that it works at once; then the disk and the
 * audit log, before the answer says that it was kept. */
#include "mgmt/probing.h"
#include "mgmt/verbs.h"

#include <errno.h>
#include <stdio.h>

static enum sl_oper_verb
oper_verb(const char *verb)
{
	static const char *const names[] = {"drain", "undrain", "disable", "enable", "weight"};
	unsigned i = 0;
	while (i < SL_ARRAY_CNT(names) && strcmp(names[i], verb))
		i++;
	return (enum sl_oper_verb)i;
}

static enum sl_oper_verb
verb_of(const struct sl_verb_run *r)
{
	if (strcmp(r->verb, "maintenance"))
		return oper_verb(r->verb);
	return json_is_true(json_object_get(r->body, "on")) ? SL_OPER_MAINTENANCE : SL_OPER_RETURN;
}

/* False: the reason cannot be shown in a line. */
static bool
note_of(const struct sl_verb_run *r, struct sl_kept_note *ret)
{
	const char *why = sl_verb_text(r, "reason");

	*ret = (struct sl_kept_note){.wall_ms = sl_daemon_wall_ms()};
	snprintf(ret->who, sizeof(ret->who), "%s", r->peer->user);
	for (const char *p = why ? why : ""; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	snprintf(ret->why, sizeof(ret->why), "%s", why ? why : "");
	return true;
}

static void
audit(const struct sl_verb_run *r, const struct sl_oper_endpoint *e, const char *outcome,
      bool changed)
{
	const char *comment = sl_verb_text(r, "comment"), *reason = sl_verb_text(r, "reason");
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "verb", r->verb, "outcome",
			  outcome, "service", e->service, "endpoint", e->name, "changed", changed,
			  "comment", comment ? comment : "", "reason", reason ? reason : "");
	json_t *on = json_object_get(r->body, "on");
	if (on)
		json_object_set(o, "on", on);
	if (json_object_get(r->body, "percent"))
		json_object_set_new(o, "percent", json_integer(e->percent));
	int err = sl_audit_add(r->d->audit, sl_daemon_wall_ms(), (int64_t)r->peer->uid,
			       r->peer->user, o);
	if (err)
		sl_daemon_say("audit log: cannot write: %s", strerror(-err));
	sl_daemon_say("%s%s: %s/%s by %s%s%s%s", r->verb, json_is_false(on) ? " off" : "",
		      e->service, e->name, r->peer->user, changed ? "" : " (it was so already)",
		      reason && *reason ? ": " : "", reason ? reason : "");
}

/* Worth a word: nobody is left to take the service's new flows. */
static json_t *
note(const struct sl_verb_run *r, const struct sl_oper_endpoint *e)
{
	uint32_t cnt;
	const struct sl_oper_endpoint *all = sl_oper_endpoints(r->d->oper, &cnt);
	char text[256];

	for (uint32_t i = 0; i < cnt; i++)
		if (strcmp(all[i].service, e->service) == 0 && sl_oper_admits(r->d->oper, &all[i]))
			return json_null();
	snprintf(text, sizeof(text), "no endpoint of %s takes new flows now", e->service);
	return json_string(text);
}

void
sl_verb_endpoint(const struct sl_verb_run *r)
{
	const char *service = sl_verb_text(r, "service"), *name = sl_verb_text(r, "endpoint");
	struct sl_diag diag = {0};
	struct sl_kept_note kept;
	bool changed = false;

	if (!note_of(r, &kept)) {
		sl_call_answer(r->call, sl_call_error(r->verb, "invalid", "give one line",
						      "reason: has a control character"));
		return;
	}
	int err = sl_oper_set(r->d->oper, service, name, verb_of(r),
			      (unsigned)sl_verb_number(r, "percent", 0), &kept, uv_now(r->d->loop),
			      &changed);

	if (err == -ENOENT) {
		sl_call_answer(r->call, sl_call_error(r->verb, "not_found", "see: show endpoints",
						      "no endpoint %s/%s in the active table",
						      service, name));
		return;
	}
	if (err) {
		sl_call_answer(r->call, sl_call_error(r->verb, "internal", NULL,
						      "nothing was changed: %s", strerror(-err)));
		return;
	}
	if (changed || kept.why[0] || r->d->oper_unsaved)
		err = sl_daemon_save_oper(r->d, &diag);
	if (changed && strcmp(r->verb, "maintenance") == 0)
		sl_probing_endpoint(r->d->probing, service, name);
	sl_daemon_ramp(r->d);
	sl_announce_look(r->d->announce);
	const struct sl_oper_endpoint *e = sl_oper_find(r->d->oper, service, name);
	audit(r, e, err ? "unsaved" : "ok", changed);
	if (err) {
		sl_call_answer(r->call,
			       sl_call_error(r->verb, "internal", NULL,
					     "%s; it is in force until sluiced restarts",
					     diag.cnt ? diag.items[0].text : strerror(-err)));
		sl_diag_fini(&diag);
		return;
	}
	json_t *a = sl_verb_ok(r);
	json_object_set_new(a, "changed", json_boolean(changed));
	json_object_set_new(a, "endpoint", sl_show_endpoint(r->d, e));
	json_object_set_new(a, "applied", json_boolean(sl_publish_link(r->d->publish) != NULL));
	json_object_set_new(a, "note", note(r, e));
	sl_call_answer(r->call, a);
}

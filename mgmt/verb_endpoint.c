/* drain, undrain, disable, enable, weight: the word first, so that it works at once; then the disk and the
 * audit log, before the answer says that it was kept. */
#include "mgmt/verbs.h"

#include <errno.h>
#include <stdio.h>

static enum sl_oper_verb
oper_verb(const char *verb)
{
	static const char *const names[] = {"drain", "undrain", "disable", "enable", "weight"};
	unsigned i = 0;
	while (i < SL_OPER_WEIGHT && strcmp(names[i], verb))
		i++;
	return (enum sl_oper_verb)i;
}

static void
audit(const struct sl_verb_run *r, const struct sl_oper_endpoint *e, const char *outcome,
      bool changed)
{
	const char *comment = sl_verb_text(r, "comment");
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "verb", r->verb, "outcome", outcome,
			      "service", e->service, "endpoint", e->name, "changed", changed,
			      "comment", comment ? comment : "");
	if (json_object_get(r->body, "percent"))
		json_object_set_new(o, "percent", json_integer(e->percent));
	int err = sl_audit_add(r->d->audit, sl_daemon_wall_ms(), (int64_t)r->peer->uid,
			       r->peer->user, o);
	if (err)
		sl_daemon_say("audit log: cannot write: %s", strerror(-err));
	sl_daemon_say("%s: %s/%s by %s%s", r->verb, e->service, e->name, r->peer->user,
		      changed ? "" : " (it was so already)");
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
	bool changed = false;
	int err = sl_oper_set(r->d->oper, service, name, oper_verb(r->verb),
			      (unsigned)sl_verb_number(r, "percent", 0), uv_now(r->d->loop),
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
	if (changed || r->d->oper_unsaved)
		err = sl_daemon_save_oper(r->d, &diag);
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

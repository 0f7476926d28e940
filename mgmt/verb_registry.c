/* register, deregister, heartbeat; show registry: the same registry as over HTTP, for whom the API socket lets. */
#include "mgmt/verbs.h"

#include <stdlib.h>

/* What of a request is needed when the disk has it. */
struct asked {
	struct sl_call *call;
	char verb[16];
};

static const char *
code_of(unsigned status)
{
	return status == 400   ? "invalid"
	       : status == 403 ? "denied"
	       : status == 404 ? "not_found"
	       : status == 503 ? "busy"
			       : "internal";
}

static void
on_answer(void *ctx, const struct sl_registry_answer *a)
{
	struct asked *q = ctx;
	json_t *is = a->is ? json_incref((json_t *)(uintptr_t)a->is) : json_null();
	json_t *answer;

	if (a->status < 300) {
		answer = json_pack("{s:b, s:s, s:b, s:o}", "ok", 1, "verb", q->verb, "new",
				   a->status == 201, "is", is);
	} else {
		json_decref(is);
		answer = sl_call_error(q->verb, code_of(a->status), *a->hint ? a->hint : NULL,
				       "%s%s%s", a->where, *a->where ? ": " : "", a->what);
	}
	sl_call_answer(q->call, answer);
	free(q);
}

void
sl_verb_register(const struct sl_verb_run *r)
{
	const char *service = sl_verb_text(r, "service"), *endpoint = sl_verb_text(r, "endpoint");
	struct sl_registry *registry = r->d->registry;
	json_t *is = json_object_get(r->body, "is"), *none = json_object();
	struct asked *q = calloc(1, sizeof(*q));
	struct sl_registry_who who;

	if (!q || !none) {
		free(q);
		json_decref(none);
		sl_call_answer(r->call, NULL);
		return;
	}
	q->call = r->call;
	snprintf(q->verb, sizeof(q->verb), "%s", r->verb);
	sl_registry_who_peer(&r->d->conf->registry, r->peer, &who);
	if (strcmp(r->verb, "register") == 0)
		sl_registry_put(registry, &who, service, endpoint, is, on_answer, q);
	else if (strcmp(r->verb, "deregister") == 0)
		sl_registry_remove(registry, &who, service, endpoint, on_answer, q);
	else
		sl_registry_heartbeat(registry, &who, service, endpoint, is ? is : none, on_answer,
				      q);
	json_decref(none);
}

void
sl_verb_registry(const struct sl_verb_run *r)
{
	struct sl_registry_who who;
	struct sl_registry_stats s;

	sl_registry_who_peer(&r->d->conf->registry, r->peer, &who);
	json_t *a = sl_verb_ok(r),
	       *all = sl_registry_show(r->d->registry, &who, sl_verb_text(r, "service"));
	sl_registry_stats(r->d->registry, &s);
	json_object_set_new(a, "registry", json_incref(json_object_get(all, "endpoints")));
	json_object_set_new(
		a, "stats",
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "endpoints",
			  (json_int_t)s.endpoints, "silent", (json_int_t)s.silent, "registered",
			  (json_int_t)s.registered, "removed", (json_int_t)s.removed, "expired",
			  (json_int_t)s.expired, "heartbeats", (json_int_t)s.heartbeats, "denied",
			  (json_int_t)s.refused[SL_REGISTRY_DENIED], "writes", (json_int_t)s.writes,
			  "records", (json_int_t)s.records, "failing", s.failing));
	json_decref(all);
	sl_call_answer(r->call, a);
}

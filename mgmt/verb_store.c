/* show store; push --store: the text is looked at as for a push, in the pool, and then put into etcd; the gateways take it from there. */
#include "mgmt/cert_use.h"
#include "mgmt/secrets.h"
#include "mgmt/store.h"
#include "mgmt/verbs.h"

#include <errno.h>
#include <stdlib.h>

struct job {
	uv_work_t work;
	struct sl_verb_run r;
	struct sl_diag diag;
	struct sl_conf *conf;
	int err;
};

static json_t *
text_of(const struct job *j)
{
	return json_object_get(j->r.body, "text");
}

static void
look(uv_work_t *w)
{
	struct job *j = w->data;
	const char *file = sl_verb_text(&j->r, "file");

	j->err = sl_conf_parse(file, json_string_value(text_of(j)), json_string_length(text_of(j)),
			       &j->diag, &j->conf);
	if (!j->err)
		j->err =
			sl_compile_check(j->conf, file, sl_tables_shards(j->r.d->tables), &j->diag);
}

static void
end(struct job *j, json_t *answer)
{
	sl_call_answer(j->r.call, answer);
	sl_conf_free(j->conf);
	sl_diag_fini(&j->diag);
	free(j);
}

static void
on_put(void *ctx, const char *code, const char *error, const char *hint, uint64_t revision)
{
	struct job *j = ctx;
	struct sl_daemon *d = j->r.d;
	json_t *e =
		json_pack("{s:s, s:s, s:s, s:s?, s:I}", "verb", "push", "outcome",
			  code ? code : "stored", "file", sl_verb_text(&j->r, "file"), "comment",
			  sl_verb_text(&j->r, "comment"), "revision", (json_int_t)revision);

	if (e && sl_audit_add(d->audit, sl_daemon_wall_ms(), (int64_t)j->r.peer->uid,
			      j->r.peer->user, e))
		sl_daemon_say("audit: a push to the store could not be written");
	if (code) {
		end(j, sl_call_error("push", code, hint, "%s", error));
		return;
	}
	json_t *a = sl_verb_ok(&j->r);
	json_object_set_new(a, "outcome", json_string("stored"));
	json_object_set_new(a, "key", json_string(sl_store_key(d->store)));
	json_object_set_new(a, "revision", json_integer((json_int_t)revision));
	sl_verb_add_warnings(a, &j->diag);
	end(j, a);
}

static void
on_looked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct sl_daemon *d = j->r.d;
	const char *file = sl_verb_text(&j->r, "file");

	d->jobs--;
	if (!status && !j->err) {
		j->err = sl_cert_admit(sl_secrets_certs(d->secrets), j->conf, file, false,
				       sl_daemon_wall_ms() / 1000, &j->diag);
		int err = sl_roster_admit(d->roster, j->conf, file, &j->diag);
		j->err = j->err ? j->err : err;
	}
	if (status || j->err == -ENOMEM)
		end(j, sl_call_error("push", "internal", NULL, "out of memory"));
	else if (j->err)
		end(j, sl_verb_config_error("push", &j->diag));
	else
		sl_store_put(d->store, json_string_value(text_of(j)),
			     json_string_length(text_of(j)),
			     json_is_true(json_object_get(j->r.body, "force")), on_put, j);
}

void
sl_verb_push_store(const struct sl_verb_run *r)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		sl_call_answer(r->call, NULL);
		return;
	}
	j->r = *r;
	j->work.data = j;
	r->d->jobs++;
	int err = uv_queue_work(r->d->loop, &j->work, look, on_looked);
	if (err)
		on_looked(&j->work, err);
}

/* ---- show store ---- */

static void
on_shown(void *ctx, json_t *answer)
{
	sl_call_answer(ctx, answer);
}

void
sl_verb_show_store(const struct sl_verb_run *r)
{
	if (r->d->store)
		sl_store_show(r->d->store, on_shown, r->call);
	else
		sl_call_answer(r->call, sl_call_error(r->verb, "invalid",
						      "store = { source = \"…\"; table = \"…\"; };",
						      "sluiced's file has no store"));
}

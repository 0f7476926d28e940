/* check and diff parse in the thread pool and answer from the loop; push and rollback go to tables.h and answer
 * when it calls back. */
#include "mgmt/cert_use.h"
#include "mgmt/diff.h"
#include "mgmt/secrets.h"
#include "mgmt/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- problems ---- */

static json_t *
items_json(const struct sl_diag_item *items, unsigned cnt)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < cnt; i++) {
		const struct sl_diag_item *it = &items[i];
		json_t *text = json_string(it->text ? it->text : "out of memory");
		json_t *p = json_pack("{s:s?, s:i, s:s?, s:o, s:s?}", "file", it->file, "line",
				      it->line, "path", it->path, "text",
				      text ? text : json_string("(not UTF-8)"), "hint", it->hint);
		json_array_append_new(list, p);
	}
	return list;
}

json_t *
sl_verb_config_error(const char *verb, const struct sl_diag *diag)
{
	unsigned n = diag->cnt + diag->more;
	json_t *a = sl_call_error(verb, "config", NULL, "the table has %u problem%s", n,
				  n == 1 ? "" : "s");
	json_object_set_new(a, "problems", items_json(diag->items, diag->cnt));
	json_object_set_new(a, "more", json_integer(diag->more));
	return a;
}

void
sl_verb_add_warnings(json_t *a, const struct sl_diag *diag)
{
	if (!diag || !diag->warning_cnt)
		return;
	json_object_set_new(a, "warnings", items_json(diag->warnings, diag->warning_cnt));
	json_object_set_new(a, "warnings_more", json_integer(diag->warning_more));
}

/* ---- check, diff ---- */

/* check compiles the regexes, too; diff does not wait for that. */

struct parse {
	uv_work_t work;
	struct sl_verb_run r;
	struct sl_diag diag;
	struct sl_conf *conf;
	int err;
};

static void
parse_job(uv_work_t *w)
{
	struct parse *p = w->data;
	json_t *text = json_object_get(p->r.body, "text");
	p->err = sl_conf_parse(sl_verb_text(&p->r, "file"), json_string_value(text),
			       json_string_length(text), &p->diag, &p->conf);
	if (p->err || strcmp(p->r.verb, "check") != 0)
		return;
	p->err = sl_compile_check(p->conf, sl_verb_text(&p->r, "file"),
				  sl_tables_shards(p->r.d->tables), &p->diag);
}

static json_t *
counts(const struct sl_conf *c)
{
	json_int_t endpoints = 0, hosts = 0, routes = 0;
	for (uint32_t i = 0; i < c->service_cnt; i++)
		endpoints += c->services[i].endpoint_cnt;
	for (uint32_t i = 0; i < c->table_cnt; i++)
		hosts += c->tables[i].vhost_cnt;
	for (uint32_t i = 0; i < c->table_cnt; i++)
		for (uint32_t j = 0; j < c->tables[i].vhost_cnt; j++)
			routes += c->tables[i].vhosts[j].route_cnt;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "listeners",
			 (json_int_t)c->listener_cnt, "services", (json_int_t)c->service_cnt,
			 "endpoints", endpoints, "addresses", (json_int_t)c->address_cnt, "routes",
			 (json_int_t)c->route_cnt, "route_tables", (json_int_t)c->table_cnt,
			 "hosts", hosts, "http_routes", routes);
}

static json_t *
diff_answer(const struct parse *p)
{
	const struct sl_table *t = sl_tables_next(p->r.d->tables);
	if (!t)
		t = sl_tables_active(p->r.d->tables);
	json_t *a = sl_verb_ok(&p->r), *changes = sl_diff(t ? t->push->conf : NULL, p->conf);
	json_object_set_new(a, "against", json_integer(t ? (json_int_t)t->push->number : 0));
	json_object_set_new(a, "same", json_boolean(json_array_size(changes) == 0));
	json_object_set_new(a, "changes", changes);
	json_t *text = json_object_get(p->r.body, "text");
	if (sl_trial_of(p->r.d->trial, json_string_value(text), json_string_length(text)))
		json_object_set_new(a, "shadow", sl_trial_report(p->r.d->trial, false));
	sl_verb_add_warnings(a, &p->diag);
	return a;
}

static void
parse_done(uv_work_t *w, int status)
{
	struct parse *p = w->data;
	json_t *a;

	p->r.d->jobs--;
	if (!status && !p->err) /* a push would be refused */
		sl_cert_admit(sl_secrets_certs(p->r.d->secrets), p->conf,
			      sl_verb_text(&p->r, "file"), true, sl_daemon_wall_ms() / 1000,
			      &p->diag);
	if (status || p->err == -ENOMEM) {
		a = sl_call_error(p->r.verb, "internal", NULL, "out of memory");
	} else if (p->err) {
		a = sl_verb_config_error(p->r.verb, &p->diag);
	} else if (strcmp(p->r.verb, "diff") == 0) {
		a = diff_answer(p);
	} else {
		a = sl_verb_ok(&p->r);
		json_object_set_new(a, "counts", counts(p->conf));
		sl_verb_add_warnings(a, &p->diag);
	}
	sl_call_answer(p->r.call, a);
	sl_conf_free(p->conf);
	sl_diag_fini(&p->diag);
	free(p);
}

void
sl_verb_check(const struct sl_verb_run *r)
{
	struct parse *p = calloc(1, sizeof(*p));

	if (!p) {
		sl_call_answer(r->call, NULL);
		return;
	}
	p->r = *r;
	p->work.data = p;
	r->d->jobs++;
	int err = uv_queue_work(r->d->loop, &p->work, parse_job, parse_done);
	if (err)
		parse_done(&p->work, err);
}

void
sl_verb_diff(const struct sl_verb_run *r)
{
	sl_verb_check(r);
}

/* ---- push, rollback ---- */

static json_t *
reasons(const struct sl_publish_verdict *v)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < v->reason_cnt; i++)
		json_array_append_new(list, json_string(v->reasons[i]));
	return list;
}

static json_t *
push_error(const struct sl_verb_run *r, const struct sl_push_result *p)
{
	const struct sl_diag_item *it = p->diag && p->diag->cnt ? p->diag->items : NULL;
	const char *text = it && it->text ? it->text : "out of memory";
	json_t *a;

	switch (p->outcome) {
	case SL_PUSH_CONFIG:
		return sl_verb_config_error(r->verb, p->diag);
	case SL_PUSH_NOT_FOUND:
		it = it ? &p->diag->items[p->diag->cnt - 1] : NULL;
		return sl_call_error(r->verb, "not_found", it ? it->hint : NULL, "%s",
				     it ? it->text : text);
	case SL_PUSH_TIMEOUT:
		return sl_call_error(r->verb, "timeout", p->note,
				     "the dataplane has not decided within %d s",
				     SL_TABLES_ANSWER_MS / 1000);
	case SL_PUSH_BUSY:
		return sl_call_error(r->verb, "busy", "try again",
				     "another push is under way for too long; nothing was done");
	case SL_PUSH_AWAY:
		return sl_call_error(r->verb, "unavailable", "see: status",
				     "the dataplane is not connected: nothing is tried");
	case SL_PUSH_REFUSED:
		a = sl_call_error(r->verb, "refused", "the table that was active still is",
				  "the dataplane refused generation %" PRIu64, p->generation);
		json_object_set_new(a, "reasons", reasons(p->verdict));
		json_object_set_new(a, "generation", json_integer((json_int_t)p->generation));
		json_object_set_new(a, "active", json_integer((json_int_t)p->previous));
		return a;
	default:
		return sl_call_error(r->verb, "internal", it ? it->hint : NULL, "%s%s%s",
				     it && it->file ? it->file : "", it && it->file ? ": " : "",
				     text);
	}
}

static json_t *
push_ok(const struct sl_verb_run *r, const struct sl_push_result *p)
{
	const struct sl_publish_verdict *v = p->verdict;
	json_t *a =
		json_pack("{s:b, s:s, s:I, s:I, s:s, s:s?, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}",
			  "ok", 1, "verb", r->verb, "generation", (json_int_t)p->generation,
			  "previous", (json_int_t)p->previous, "outcome",
			  p->outcome == SL_PUSH_ACTIVE  ? "active"
			  : p->outcome == SL_PUSH_TRIED ? "tried"
							: "pending",
			  "note", p->note, "objects", (json_int_t)p->objects, "objects_sent",
			  (json_int_t)(v ? v->objects_sent : 0), "bytes_sent",
			  (json_int_t)(v ? v->bytes_sent : 0), "compile_ms", p->compile_ms,
			  "check_ms", v ? (double)v->check_ns / 1e6 : 0.0, "build_ms",
			  v ? (double)v->build_ns / 1e6 : 0.0, "swap_ms",
			  v ? (double)v->swap_ns / 1e6 : 0.0, "total_ms", p->total_ms);
	if (p->rollback_of)
		json_object_set_new(a, "rollback_of", json_integer((json_int_t)p->rollback_of));
	if (p->confirm_s)
		json_object_set_new(a, "confirm_s", json_integer(p->confirm_s));
	sl_verb_add_warnings(a, p->diag);
	return a;
}

static void
on_pushed(void *ctx, const struct sl_push_result *p)
{
	struct sl_verb_run *r = ctx;
	bool ok = p->outcome == SL_PUSH_ACTIVE || p->outcome == SL_PUSH_PENDING ||
		  p->outcome == SL_PUSH_TRIED;

	sl_call_answer(r->call, ok ? push_ok(r, p) : push_error(r, p));
	free(r);
}

void
sl_verb_push(const struct sl_verb_run *r)
{
	struct sl_verb_run *own = malloc(sizeof(*own));
	json_t *text = json_object_get(r->body, "text");
	bool rollback = strcmp(r->verb, "rollback") == 0;
	int64_t to = sl_verb_number(r, "generation", 0);

	if (json_is_true(json_object_get(r->body, "store"))) {
		free(own);
		if (json_object_get(r->body, "confirm_s") ||
		    json_object_get(r->body, "sample_ppm")) {
			sl_call_answer(r->call,
				       sl_call_error(r->verb, "invalid",
						     "push to this gateway alone, or without it",
						     "the store takes nothing back by itself, and "
						     "tries nothing"));
			return;
		}
		sl_verb_push_store(r);
		return;
	}
	if (!rollback && !json_object_get(r->body, "sample_ppm") &&
	    sl_store_gives_tables(r->d->store) &&
	    !json_is_true(json_object_get(r->body, "force"))) {
		free(own);
		sl_call_answer(r->call, sl_call_error(r->verb, "refused",
						      "push --store changes it for all gateways; "
						      "--force changes this one alone",
						      "this gateway's table comes from %s",
						      sl_store_key(r->d->store)));
		return;
	}
	if (json_object_get(r->body, "sample_ppm") ? json_object_get(r->body, "confirm_s") != NULL
						   : json_object_get(r->body, "for_s") != NULL) {
		free(own);
		sl_call_answer(r->call, sl_call_error(r->verb, "invalid", NULL,
						      "sample_ppm goes with for_s, and not "
						      "with confirm_s"));
		return;
	}
	if (!own) {
		sl_call_answer(r->call, NULL);
		return;
	}
	*own = *r;
	struct sl_push_request q = {
		.uid = (int64_t)r->peer->uid,
		.user = r->peer->user,
		.file = sl_verb_text(r, "file"),
		.comment = sl_verb_text(r, "comment"),
		.text = json_string_value(text),
		.len = json_string_length(text),
		.rollback_of = !rollback ? 0
			       : to      ? (uint64_t)to
					 : SL_TABLES_PREVIOUS,
		.confirm_s = (uint32_t)sl_verb_number(r, "confirm_s", 0),
		.sample_ppm = (uint32_t)sl_verb_number(r, "sample_ppm", 0),
		.for_s = (uint32_t)sl_verb_number(r, "for_s", SL_TRIAL_S),
	};
	sl_tables_push(r->d->tables, &q, on_pushed, own);
}

/* ---- confirm ---- */

void
sl_verb_confirm(const struct sl_verb_run *r)
{
	uint64_t generation = (uint64_t)sl_verb_number(r, "generation", 0);
	struct sl_confirm_wait w;
	int err = sl_tables_confirm(r->d->tables, generation, (int64_t)r->peer->uid, r->peer->user,
				    sl_verb_text(r, "comment"), &w);
	json_t *a;

	if (err == -EALREADY)
		a = sl_call_error(r->verb, "refused", "push it again",
				  "generation %" PRIu64 " is being taken back: its %u s are over",
				  w.generation, w.given_s);
	else if (err && w.generation)
		a = sl_call_error(r->verb, "not_found", NULL,
				  "generation %" PRIu64 " waits to be confirmed, not %" PRIu64,
				  w.generation, generation);
	else if (err)
		a = sl_call_error(r->verb, "not_found", "see: show generations",
				  "nothing waits to be confirmed");
	else
		a = json_pack("{s:b, s:s, s:I, s:f}", "ok", 1, "verb", r->verb, "generation",
			      (json_int_t)w.generation, "left_s", w.left_ms / 1000.0);
	sl_call_answer(r->call, a);
}

/* ---- shadow ---- */

void
sl_verb_shadow(const struct sl_verb_run *r)
{
	char why[128];

	if (strcmp(sl_verb_text(r, "op"), "stop")) {
		sl_call_answer(r->call, sl_call_error(r->verb, "invalid", "stop",
						      "op: \"%s\" is none", sl_verb_text(r, "op")));
		return;
	}
	snprintf(why, sizeof(why), "stopped by %.100s", r->peer->user);
	if (sl_trial_end(r->d->trial, why))
		sl_call_answer(r->call, sl_verb_ok(r));
	else
		sl_call_answer(r->call,
			       sl_call_error(r->verb, "not_found", NULL, "nothing is tried"));
}

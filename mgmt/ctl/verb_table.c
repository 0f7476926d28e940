/* verb_table — check, push, diff, rollback: what changes the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mgmt/api.h"
#include "mgmt/conf.h"
#include "mgmt/conf_value.h"
#include "mgmt/ctl/ctl.h"
#include "mgmt/shards.h"

static json_t *
items_json(const struct sl_diag_item *items, unsigned cnt)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < cnt; i++) {
		const struct sl_diag_item *it = &items[i];
		json_array_append_new(list, json_pack("{s:s?,s:i,s:s?,s:s?,s:s?}", "file", it->file,
						      "line", it->line, "path", it->path, "text",
						      it->text, "hint", it->hint));
	}
	return list;
}

/* conf NULL: the table has problems. */
static json_t *
check_answer(const struct sl_conf *conf, const struct sl_diag *diag)
{
	int endpoints = 0, routes = 0;
	json_t *a = json_pack("{s:b,s:s,s:o,s:i}", "ok", conf != NULL, "verb", "check", "problems",
			      items_json(diag->items, diag->cnt), "more", (int)diag->more);

	if (diag->warning_cnt) {
		json_object_set_new(a, "warnings", items_json(diag->warnings, diag->warning_cnt));
		json_object_set_new(a, "warnings_more", json_integer(diag->warning_more));
	}
	if (!conf) {
		json_object_set_new(a, "error",
				    json_pack("{s:s,s:s,s:n}", "code", "config", "text",
					      "the table has problems", "hint"));
		return a;
	}
	for (uint32_t i = 0; i < conf->service_cnt; i++)
		endpoints += (int)conf->services[i].endpoint_cnt;
	for (uint32_t i = 0; i < conf->table_cnt; i++)
		for (uint32_t j = 0; j < conf->tables[i].vhost_cnt; j++)
			routes += (int)conf->tables[i].vhosts[j].route_cnt;
	json_object_set_new(a, "counts",
			    json_pack("{s:i,s:i,s:i,s:i,s:i}", "listeners", (int)conf->listener_cnt,
				      "services", (int)conf->service_cnt, "endpoints", endpoints,
				      "route_tables", (int)conf->table_cnt, "http_routes", routes));
	return a;
}

static void
print_check(const char *file, const json_t *a)
{
	const json_t *n = json_object_get(a, "counts");
	long problems =
		(long)json_array_size(json_object_get(a, "problems")) + (long)ctl_int(a, "more");

	ctl_print_problems(json_object_get(a, "problems"), (long)ctl_int(a, "more"));
	ctl_print_warnings(a);
	if (!n) {
		fprintf(stderr, "%s: %ld problem%s\n", file, problems, problems == 1 ? "" : "s");
		return;
	}
	printf("%s: good: %lld listeners, %lld services, %lld endpoints", file,
	       ctl_int(n, "listeners"), ctl_int(n, "services"), ctl_int(n, "endpoints"));
	if (ctl_int(n, "route_tables"))
		printf(", %lld route tables, %lld routes", ctl_int(n, "route_tables"),
		       ctl_int(n, "http_routes"));
	printf("\n");
}

/* The regexes, by a sluice-compile beside this program; without one that is told, and the daemon will say. */
static bool
check_regexes(const char *file, const struct sl_conf *conf, struct sl_diag *diag)
{
	char program[4096];
	struct sl_shards_conf sc = {.program = sl_shards_program(program, sizeof(program))};
	struct sl_shards *shards;

	if (!sl_compile_needs_shards(conf))
		return true;
	if (access(program, X_OK) != 0) {
		sl_diag_warn(diag, file, 0, NULL, NULL,
			     "its regex and contains conditions were not compiled: there is no %s",
			     program);
		return true;
	}
	if (sl_shards_create(&sc, diag, &shards) != 0)
		return false;
	int err = sl_compile_check(conf, file, shards, diag);
	sl_shards_destroy(shards);
	return err == 0;
}

/* Needs no daemon: the same code reads the file here and there. */
int
ctl_check(struct ctl *c)
{
	struct sl_diag diag = {0};
	struct sl_conf *conf = NULL;
	size_t len;
	char *text = ctl_read_file(c, c->argv[0], &len);

	if (!text)
		return CTL_USAGE;
	bool ok = sl_conf_parse(c->argv[0], text, len, &diag, &conf) == 0 &&
		  check_regexes(c->argv[0], conf, &diag);
	json_t *a = check_answer(ok ? conf : NULL, &diag);
	if (c->json)
		ctl_print_json(a);
	else
		print_check(c->argv[0], a);
	json_decref(a);
	sl_conf_free(conf);
	sl_diag_fini(&diag);
	free(text);
	return ok ? CTL_OK : CTL_NO;
}

static json_t *
file_request(struct ctl *c, const char *verb, bool comment)
{
	size_t len;
	char *text = ctl_read_file(c, c->argv[0], &len);

	if (!text)
		return NULL;
	json_t *j = json_stringn(text, len);
	free(text);
	if (!j) {
		ctl_fail(c, CTL_USAGE, "table files are text", "%s: not UTF-8 text", c->argv[0]);
		return NULL;
	}
	json_t *r = json_pack("{s:s,s:o}", "verb", verb, "text", j);
	if (!ctl_put(c, r, "file", c->argv[0]) ||
	    (comment && !ctl_put(c, r, "comment", c->comment)))
		return NULL;
	return r;
}

static void
print_outcome(const json_t *a)
{
	const char *note = ctl_str(a, "note");

	printf("generation %lld %s (previous %lld): %lld objects, %lld sent, %lld bytes\n",
	       ctl_int(a, "generation"), ctl_str(a, "outcome"), ctl_int(a, "previous"),
	       ctl_int(a, "objects"), ctl_int(a, "objects_sent"), ctl_int(a, "bytes_sent"));
	printf("compile %.2f ms, check %.2f ms, build %.2f ms, swap %.3f ms, in all %.2f ms\n",
	       ctl_num(a, "compile_ms"), ctl_num(a, "check_ms"), ctl_num(a, "build_ms"),
	       ctl_num(a, "swap_ms"), ctl_num(a, "total_ms"));
	if (*note)
		printf("%s\n", note);
	ctl_print_warnings(a);
}

static void
print_stored(const json_t *a)
{
	printf("%s is at revision %lld; show store says who has taken it\n", ctl_str(a, "key"),
	       ctl_int(a, "revision"));
	ctl_print_warnings(a);
}

/* "--confirm 60s" → "confirm_s"; false: told, and r dropped. */
static bool
put_confirm(struct ctl *c, json_t *r)
{
	const char *text = c->opt[CTL_OPT_CONFIRM];
	uint32_t ms = 0;
	const char *why = text ? sl_value_duration(text, &ms) : NULL;

	if (!text)
		return true;
	if (!why && (ms == 0 || ms % 1000))
		why = "is not in whole seconds";
	if (!why && ms > SL_CONFIRM_MAX_S * 1000u)
		why = "is over 24h";
	if (!why) {
		json_object_set_new(r, "confirm_s", json_integer(ms / 1000));
		return true;
	}
	json_decref(r);
	ctl_fail(c, CTL_USAGE, "60s, 5m, 1h", "--confirm: '%s' %s", text, why);
	return false;
}

static void
print_confirm(const json_t *a)
{
	if (ctl_int(a, "confirm_s"))
		printf("taken back by itself %lld s after it became active, unless: sluicectl "
		       "confirm\n",
		       ctl_int(a, "confirm_s"));
}

/* Options that do not go together. */
static bool
misfits(struct ctl *c)
{
	bool shadow = c->opt[CTL_OPT_SHADOW] != NULL;

	if (!shadow && (c->opt[CTL_OPT_SAMPLE] || c->opt[CTL_OPT_FOR]))
		ctl_fail(c, CTL_USAGE, NULL, "--sample and --for go with --shadow only");
	else if (shadow && (c->opt[CTL_OPT_CONFIRM] || c->opt[CTL_OPT_STORE]))
		ctl_fail(c, CTL_USAGE, NULL, "--shadow goes with neither --confirm nor --store");
	else
		return false;
	return true;
}

int
ctl_push(struct ctl *c)
{
	json_t *r = file_request(c, "push", true);
	int rc = CTL_USAGE;

	if (r && misfits(c)) {
		json_decref(r);
		return rc;
	}
	if (r && c->opt[CTL_OPT_SHADOW])
		return ctl_push_shadow(c, r);
	if (r && !put_confirm(c, r))
		return rc;
	if (r && c->opt[CTL_OPT_STORE])
		json_object_set_new(r, "store", json_true());
	if (r && c->opt[CTL_OPT_FORCE])
		json_object_set_new(r, "force", json_true());
	json_t *a = r ? ctl_call(c, r, &rc) : NULL;
	if (a && c->opt[CTL_OPT_STORE])
		print_stored(a);
	else if (a)
		print_outcome(a);
	if (a)
		print_confirm(a);
	json_decref(a);
	return rc;
}

void
ctl_print_changes(const json_t *changes, const char *indent)
{
	const json_t *d;
	size_t i;

	json_array_foreach((json_t *)changes, i, d)
	{
		const char *change = ctl_str(d, "change");
		printf("%s%c %-8s %s%s%s\n", indent,
		       *change == 'a'   ? '+'
		       : *change == 'r' ? '-'
					: '~',
		       ctl_str(d, "kind"), ctl_str(d, "name"), *ctl_str(d, "text") ? ": " : "",
		       ctl_str(d, "text"));
	}
}

int
ctl_diff(struct ctl *c)
{
	json_t *r = file_request(c, "diff", false);
	int rc = CTL_USAGE;
	json_t *a = r ? ctl_ask(c, r, &rc) : NULL;

	if (!a)
		return rc;
	bool ok = ctl_bool(a, "ok"), same = ctl_bool(a, "same");
	if (!ok || c->json) {
		/* Print it as ctl_call would; only "differs" has a meaning of its own. */
		json_t *e = json_object_get(a, "error");
		if (c->json) {
			ctl_print_json(a);
		} else {
			ctl_print_problems(json_object_get(a, "problems"),
					   (long)ctl_int(a, "more"));
			fprintf(stderr, "sluicectl: %s\n", ctl_str(e, "text"));
		}
		if (!ok)
			rc = strcmp(ctl_str(e, "code"), "denied") ? CTL_USAGE : CTL_DENIED;
		else
			rc = same ? CTL_OK : CTL_NO;
		json_decref(a);
		return rc;
	}
	if (same)
		printf("no difference to generation %lld\n", ctl_int(a, "against"));
	ctl_print_changes(json_object_get(a, "changes"), "");
	ctl_print_shadow(a);
	ctl_print_warnings(a);
	json_decref(a);
	return same ? CTL_OK : CTL_NO;
}

/* {"verb", "generation"?, "comment"?}; NULL: told. */
static json_t *
generation_request(struct ctl *c, const char *verb)
{
	json_t *r = json_pack("{s:s}", "verb", verb);

	if (c->argc) {
		char *end;
		long long n = strtoll(c->argv[0], &end, 10);
		if (*end || n < 1) {
			json_decref(r);
			ctl_fail(c, CTL_USAGE, "a number from 1 on", "'%s' is no generation",
				 c->argv[0]);
			return NULL;
		}
		json_object_set_new(r, "generation", json_integer(n));
	}
	return ctl_put(c, r, "comment", c->comment) ? r : NULL;
}

int
ctl_rollback(struct ctl *c)
{
	json_t *r = generation_request(c, "rollback");
	int rc = CTL_USAGE;

	if (!r || !put_confirm(c, r))
		return rc;
	json_t *a = ctl_call(c, r, &rc);
	if (a) {
		print_outcome(a);
		print_confirm(a);
	}
	json_decref(a);
	return rc;
}

int
ctl_confirm(struct ctl *c)
{
	json_t *r = generation_request(c, "confirm");
	int rc = CTL_USAGE;
	json_t *a = r ? ctl_call(c, r, &rc) : NULL;

	if (a)
		printf("generation %lld is confirmed, %.0f s before it would have been taken "
		       "back\n",
		       ctl_int(a, "generation"), ctl_num(a, "left_s"));
	json_decref(a);
	return rc;
}

/* verb_table — check, push, diff, rollback: what changes the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/conf.h"
#include "mgmt/ctl/ctl.h"

static json_t *
problems_of(const struct sl_diag *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < d->cnt; i++) {
		const struct sl_diag_item *it = &d->items[i];
		json_array_append_new(list, json_pack("{s:s?,s:i,s:s?,s:s?,s:s?}", "file", it->file,
						      "line", it->line, "path", it->path, "text",
						      it->text, "hint", it->hint));
	}
	return list;
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
	bool ok = sl_conf_parse(c->argv[0], text, len, &diag, &conf) == 0;
	json_t *problems = problems_of(&diag);
	size_t endpoints = 0;
	for (uint32_t i = 0; ok && i < conf->service_cnt; i++)
		endpoints += conf->services[i].endpoint_cnt;
	if (c->json) {
		json_t *a = json_pack("{s:b,s:s,s:O,s:i}", "ok", ok, "verb", "check", "problems",
				      problems, "more", (int)diag.more);
		json_object_set_new(a, ok ? "counts" : "error",
				    ok ? json_pack("{s:i,s:i,s:i}", "listeners",
						   (int)conf->listener_cnt, "services",
						   (int)conf->service_cnt, "endpoints",
						   (int)endpoints)
				       : json_pack("{s:s,s:s,s:n}", "code", "config", "text",
						   "the table has problems", "hint"));
		ctl_print_json(a);
		json_decref(a);
	} else if (ok) {
		printf("%s: good: %u listeners, %u services, %zu endpoints\n", c->argv[0],
		       conf->listener_cnt, conf->service_cnt, endpoints);
	} else {
		ctl_print_problems(problems, diag.more);
		fprintf(stderr, "%s: %u problem%s\n", c->argv[0], diag.cnt + diag.more,
			diag.cnt + diag.more == 1 ? "" : "s");
	}
	json_decref(problems);
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
}

int
ctl_push(struct ctl *c)
{
	json_t *r = file_request(c, "push", true);
	int rc = CTL_USAGE;
	json_t *a = r ? ctl_call(c, r, &rc) : NULL;

	if (a)
		print_outcome(a);
	json_decref(a);
	return rc;
}

int
ctl_diff(struct ctl *c)
{
	json_t *r = file_request(c, "diff", false);
	int rc = CTL_USAGE;
	json_t *a = r ? ctl_ask(c, r, &rc) : NULL;
	size_t i;
	json_t *d;

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
	json_array_foreach(json_object_get(a, "changes"), i, d)
	{
		const char *change = ctl_str(d, "change");
		printf("%c %-8s %s%s%s\n",
		       *change == 'a'   ? '+'
		       : *change == 'r' ? '-'
					: '~',
		       ctl_str(d, "kind"), ctl_str(d, "name"), *ctl_str(d, "text") ? ": " : "",
		       ctl_str(d, "text"));
	}
	json_decref(a);
	return same ? CTL_OK : CTL_NO;
}

int
ctl_rollback(struct ctl *c)
{
	json_t *r = json_pack("{s:s}", "verb", "rollback");
	int rc;

	if (c->argc) {
		char *end;
		long long n = strtoll(c->argv[0], &end, 10);
		if (*end || n < 1) {
			json_decref(r);
			return ctl_fail(c, CTL_USAGE, "a number from 1 on", "'%s' is no generation",
					c->argv[0]);
		}
		json_object_set_new(r, "generation", json_integer(n));
	}
	if (!ctl_put(c, r, "comment", c->comment))
		return CTL_USAGE;
	json_t *a = ctl_call(c, r, &rc);
	if (a)
		print_outcome(a);
	json_decref(a);
	return rc;
}

/* Parts of routes that both kinds of YAML have: conditions, edits, targets, mirrors. */
#include "mgmt/import_priv.h"

#include "l7/http1.h"
#include "l7/path.h"
#include "mgmt/conf_value.h"

#include <stdlib.h>
#include <string.h>

/* ---- conditions ---- */

bool
sl_import_condition(struct sl_import *im, struct sl_out *route, const char *list, const char *name,
		    const char *form, const char *value, bool invert, struct sl_yaml *node)
{
	bool present = strcmp(form, "present") == 0, header = strcmp(list, "headers") == 0;
	const char *why = header ? sl_value_token(name) : sl_value_plain(name);

	if (why || strlen(name) > 255) {
		sl_left_out(&im->left, node, "as a name it %s", why ? why : "is too long");
		return false;
	}
	if (header && strcasecmp(name, "host") == 0) {
		sl_left_out(&im->left, node, "Host is matched by hosts, not as a header");
		return false;
	}
	if (!present && ((why = sl_value_plain(value)) || strlen(value) > 4096)) {
		sl_left_out(&im->left, node, "as a value it %s", why ? why : "is too long");
		return false;
	}
	/* An empty prefix is of every value; an empty regex of the empty one. */
	if (!present && !*value && strcmp(form, "exact") != 0) {
		present = strcmp(form, "regex") != 0;
		form = present ? "present" : "exact";
	}
	struct sl_out *c = sl_out_group(&im->m, sl_out_in_list(&im->m, route, list), NULL);
	sl_out_text(&im->m, c, "name", name);
	if (present)
		sl_out_bool(&im->m, c, "present", true);
	else
		sl_out_text(&im->m, c, form, value);
	if (invert)
		sl_out_bool(&im->m, c, "invert", true);
	return true;
}

bool
sl_import_path_form(struct sl_import *im, const char *path, bool merge, struct sl_yaml *node)
{
	size_t len = strlen(path);
	const char *why = sl_value_plain(path);
	uint32_t n;

	if (len > 4096)
		why = "is longer than 4096 bytes";
	else if (path[0] != '/')
		why = "does not begin with /";
	else if (strpbrk(path, "?# "))
		why = "holds what no path has";
	if (!why) {
		uint8_t *form = sl_memory_take(&im->m, len + 1);
		if (sl_path_normalise((const uint8_t *)path, (uint32_t)len, SL_2F_KEEP, merge, form,
				      &n) == SL_PATH_SAME)
			return true;
		why = "is in another form than the paths it is compared with";
	}
	sl_left_out(&im->left, node, "no request is matched: it %s", why);
	return false;
}

bool
sl_import_method(struct sl_import *im, struct sl_out *route, const char *method,
		 struct sl_yaml *node)
{
	static const char *const known[] = {"GET",     "HEAD",  "POST",  "PUT", "DELETE",
					    "OPTIONS", "TRACE", "PATCH", NULL};

	for (size_t i = 0; known[i]; i++) {
		if (strcmp(known[i], method) != 0)
			continue;
		sl_out_text(&im->m, sl_out_in_list(&im->m, route, "methods"), NULL, known[i]);
		return true;
	}
	sl_left_out(&im->left, node, "%s is no method that routes know",
		    sl_words_show(&im->m, method));
	return false;
}

/* ---- edits ---- */

void
sl_import_edit(struct sl_import *im, struct sl_out *route, const char *list, const char *op,
	       const char *name, const char *value, struct sl_yaml *node)
{
	const char *why = sl_value_token(name);
	bool removes = strcmp(op, "remove") == 0;

	if (!why && strlen(name) > 255)
		why = "has a name that is too long";
	if (!why && sl_http_reserved((const uint8_t *)name, strlen(name)))
		why = "is a header that the gateway writes itself";
	if (!why && !removes)
		why = sl_value_field(value);
	if (!why && !removes && strlen(value) > 4096)
		why = "is longer than 4096 bytes";
	struct sl_out *edits = why ? NULL : sl_out_in_list(&im->m, route, list);
	if (edits && edits->cnt == SL_MAX_EDITS)
		why = "is one edit more than a route has";
	if (why) {
		sl_left_out(&im->left, node, "%s %s", sl_words_show(&im->m, name), why);
		return;
	}
	struct sl_out *e = sl_out_group(&im->m, edits, NULL);
	sl_out_text(&im->m, e, op, name);
	if (!removes)
		sl_out_text(&im->m, e, "value", value);
}

void
sl_import_host(struct sl_import *im, struct sl_out *route, const char *host, struct sl_yaml *node)
{
	const char *why = sl_value_authority(host);

	if (why)
		sl_left_out(&im->left, node, "%s", why);
	else
		sl_import_set(im, sl_out_in_group(&im->m, route, "rewrite"), "host", host);
}

/* ---- targets ---- */

static bool
is_target(const struct sl_out *t, const char *service, const char *subset)
{
	const struct sl_out *s = sl_out_find(t, "subset");

	return strcmp(sl_out_find(t, "service")->text, service) == 0 &&
	       strcmp(s ? s->text : "", subset) == 0;
}

void
sl_import_target(struct sl_import *im, struct sl_out *split, const char *service,
		 const char *subset, int64_t weight)
{
	for (struct sl_out *t = split->first; t; t = t->next) {
		if (!is_target(t, service, subset))
			continue;
		sl_out_find(t, "weight")->number += weight;
		return;
	}
	struct sl_out *t = sl_out_group(&im->m, split, NULL);
	sl_out_text(&im->m, t, "service", service);
	if (*subset)
		sl_out_text(&im->m, t, "subset", subset);
	sl_out_number(&im->m, t, "weight", weight);
}

void
sl_import_targets_end(struct sl_import *im, struct sl_out *route, struct sl_out *split)
{
	struct sl_out *only = NULL, *subset;
	unsigned cnt = 0;

	for (struct sl_out *t = split->first; t; t = t->next) {
		if (sl_out_find(t, "weight")->number > 0) {
			only = t;
			cnt++;
		}
	}
	if (cnt != 1 || split->cnt != 1) {
		split->name = "split";
		sl_out_attach(route, split);
		return;
	}
	sl_out_text(&im->m, route, "service", sl_out_find(only, "service")->text);
	if ((subset = sl_out_find(only, "subset")))
		sl_out_text(&im->m, route, "subset", subset->text);
}

void
sl_import_mirror(struct sl_import *im, struct sl_out *route, const char *service,
		 const char *percent, struct sl_yaml *node)
{
	struct sl_out *list = sl_out_find(route, "mirror");

	if (list && list->cnt == SL_MAX_MIRRORS) {
		sl_left_out(&im->left, node, "a route has at most %d mirrors", SL_MAX_MIRRORS);
		return;
	}
	for (struct sl_out *t = list ? list->first : NULL; t; t = t->next) {
		if (strcmp(sl_out_find(t, "service")->text, service) != 0)
			continue;
		sl_left_out(&im->left, node, "%s gets copies already", service);
		return;
	}
	list = list ? list : sl_out_list(&im->m, route, "mirror");
	struct sl_out *t = sl_out_group(&im->m, list, NULL);
	sl_out_text(&im->m, t, "service", service);
	if (percent && strcmp(percent, "100") != 0)
		sl_out_text(&im->m, t, "percent", percent);
}

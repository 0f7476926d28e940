/* CORS and faults → the policy of a route. */
#include "mgmt/import_priv.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* ---- CORS ---- */

static struct sl_out *
policy_of(struct sl_import *im, struct sl_out *route)
{
	return sl_out_in_group(&im->m, route, "policy");
}

/* An origin as a text, or a StringMatch of one. */
static void
put_origin(struct sl_import *im, struct sl_out *list, struct sl_yaml *n)
{
	const char *text = n->type == SL_YAML_TEXT ? n->text : sl_yaml_get_text(n, "exact"),
		   *regex = sl_yaml_get_text(n, "regex"), *why = NULL;
	char origin[256];

	if (regex && (strcmp(regex, ".*") == 0 || strcmp(regex, ".+") == 0))
		text = "*";
	if (!text)
		why = "is no name: a table names origins, or *. and what is below it";
	else
		why = sl_value_origin(text, origin, sizeof(origin));
	if (why)
		sl_left_out(&im->left, n, "%s", why);
	else if (strcmp(text, "*") == 0)
		list->first = list->last = NULL, list->cnt = 0,
		sl_out_text(&im->m, list, NULL, "*");
	else if (!list->first || strcmp(list->first->text, "*") != 0)
		sl_out_text(&im->m, list, NULL, text);
}

static void
put_methods(struct sl_import *im, struct sl_out *cors, struct sl_yaml *all)
{
	struct sl_out *list = sl_out_list(&im->m, NULL, "methods");

	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (strcmp(n->text, "*") == 0) { /* what they ask for */
			sl_yaml_use(all);
			return;
		}
		struct sl_out *one = sl_out_group(&im->m, NULL, NULL), *methods;
		if (sl_import_method(im, one, n->text, n) &&
		    (methods = sl_out_find(one, "methods")))
			sl_out_text(&im->m, list, NULL, methods->first->text);
	}
	if (list->first)
		sl_out_attach(cors, list);
}

static void
put_names(struct sl_import *im, struct sl_out *cors, const char *key, struct sl_yaml *all)
{
	struct sl_out *list = sl_out_list(&im->m, NULL, key);
	const char *why;

	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (strcmp(n->text, "*") == 0 && strcmp(key, "headers") == 0) {
			sl_yaml_use(all);
			return;
		}
		if ((why = sl_value_token(n->text)))
			sl_left_out(&im->left, n, "as a header's name it %s", why);
		else
			sl_out_text(&im->m, list, NULL, n->text);
	}
	if (list->first)
		sl_out_attach(cors, list);
}

static void
put_max_age(struct sl_import *im, struct sl_out *cors, struct sl_yaml *n)
{
	int64_t s;

	if (sl_yaml_number(n, 0, INT32_MAX, &s)) /* the Gateway API counts seconds */
		sl_out_text(&im->m, cors, "max_age",
			    sl_words_time(&im->m, 1000 * SL_MIN((uint64_t)s, (uint64_t)86400)));
	else if (sl_import_time(im, cors, "max_age", n, 0, 86400000, NULL) &&
		 strstr(sl_out_find(cors, "max_age")->text, "ms"))
		sl_import_set(im, cors, "max_age", "1s");
}

void
sl_import_cors(struct sl_import *im, struct sl_out *route, struct sl_yaml *node)
{
	struct sl_yaml *origins = sl_yaml_get(node, "allowOrigins"),
		       *older = sl_yaml_get(node, "allowOrigin"),
		       *age = sl_yaml_get(node, "maxAge"),
		       *credentials = sl_yaml_get(node, "allowCredentials"),
		       *unmatched = sl_yaml_get(node, "unmatchedPreflights");
	struct sl_out *cors = sl_out_group(&im->m, NULL, "cors"),
		      *list = sl_out_list(&im->m, cors, "origins");
	bool yes = false;

	origins = origins ? origins : older;
	for (struct sl_yaml *n = sl_yaml_each(origins, NULL); n; n = sl_yaml_each(origins, n))
		put_origin(im, list, n);
	if (!list->first) {
		sl_left_out(&im->left, node, "names no origin that a table could");
		return;
	}
	put_methods(im, cors, sl_yaml_get(node, "allowMethods"));
	put_names(im, cors, "headers", sl_yaml_get(node, "allowHeaders"));
	put_names(im, cors, "expose", sl_yaml_get(node, "exposeHeaders"));
	if (credentials && !sl_yaml_bool(credentials, &yes))
		sl_left_out(&im->left, credentials, "is neither true nor false");
	if (yes && strcmp(list->first->text, "*") == 0)
		sl_left_out(&im->left, credentials,
			    "with all origins every site could act for whoever visits it");
	else if (yes)
		sl_out_bool(&im->m, cors, "credentials", true);
	if (age)
		put_max_age(im, cors, age);
	if (unmatched && strcmp(unmatched->text, "UNSPECIFIED") != 0)
		sl_left_changed(&im->left, unmatched,
				"what preflights are answered is the gateway's way");
	sl_out_attach(policy_of(im, route), cors);
}

/* ---- faults ---- */

const char *
sl_import_percent(struct sl_import *im, struct sl_yaml *of, const char *key, const char *older)
{
	struct sl_yaml *share = sl_yaml_get(of, key),
		       *value = share ? sl_yaml_get(share, "value") : sl_yaml_get(of, older);
	const char *text = value ? sl_words_percent(&im->m, value->text) : NULL;

	if (value && !text)
		sl_left_out(&im->left, value, "is no number of per cent");
	return share && !value ? "0" : text;
}

/* Without a percentage no request is meant. */
static bool
put_share(struct sl_import *im, struct sl_out *to, struct sl_yaml *of)
{
	const char *percent = sl_import_percent(im, of, "percentage", "percent");

	if (!percent || strcmp(percent, "0") == 0) {
		sl_yaml_use(of);
		sl_left_note(&im->left, of, "is of no request: it has no percentage");
		return false;
	}
	if (strcmp(percent, "100") != 0)
		sl_out_text(&im->m, to, "percent", percent);
	return true;
}

void
sl_import_fault(struct sl_import *im, struct sl_out *route, struct sl_yaml *node)
{
	struct sl_yaml *delay = sl_yaml_get(node, "delay"), *stop = sl_yaml_get(node, "abort");
	struct sl_yaml *time = sl_yaml_get(delay, "fixedDelay"),
		       *status = sl_yaml_get(stop, "httpStatus");
	struct sl_out *fault = sl_out_group(&im->m, NULL, "fault"), *d, *a;

	if (delay && !sl_out_find(route, "service") && !sl_out_find(route, "split")) {
		sl_left_out(&im->left, delay, "the gateway answers itself, nothing goes on later");
		time = NULL;
	} else if (delay && !time) {
		sl_left_out(&im->left, delay, "a delay has a fixedDelay");
	}
	d = sl_out_group(&im->m, NULL, "delay");
	if (time && put_share(im, d, delay) &&
	    sl_import_time(im, d, "time", time, 1, 3600000, NULL))
		sl_out_attach(fault, d);
	if (stop && !status)
		sl_left_out(&im->left, stop,
			    "requests are ended with an httpStatus, not otherwise");
	a = sl_out_group(&im->m, NULL, "abort");
	if (status && put_share(im, a, stop) && sl_import_number(im, a, "status", status, 200, 599))
		sl_out_attach(fault, a);
	if (fault->first)
		sl_out_attach(policy_of(im, route), fault);
}

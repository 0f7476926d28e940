/* verb_shadow — push --shadow: a table is tried beside the active one, watched, and told of; show shadow. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/api.h"
#include "mgmt/conf_value.h"
#include "mgmt/ctl/ctl.h"

#define LOOK_MS 500

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* ---- what is asked ---- */

/* "1%", "0.5 %" → 10000, 5000 of a million */
static bool
take_sample(struct ctl *c, json_t *r)
{
	const char *text = c->opt[CTL_OPT_SAMPLE] ? c->opt[CTL_OPT_SAMPLE] : "1%";
	char *end;
	double pct = strtod(text, &end);
	double ppm = pct * 10000;

	while (*end == ' ')
		end++;
	if (end == text || strcmp(end, "%") || !(ppm >= 1) || ppm > 1000000 || rint(ppm) != ppm) {
		ctl_fail(c, CTL_USAGE, "1%, 0.1%, 100%",
			 "--sample: '%s' is not within 0.0001%% and 100%%", text);
		return false;
	}
	json_object_set_new(r, "sample_ppm", json_integer((json_int_t)ppm));
	return true;
}

static bool
take_time(struct ctl *c, json_t *r)
{
	const char *text = c->opt[CTL_OPT_FOR];
	uint32_t ms = SL_TRIAL_S * 1000;
	const char *why = text ? sl_value_duration(text, &ms) : NULL;

	if (!why && (ms == 0 || ms % 1000))
		why = "is not in whole seconds";
	if (!why && ms > SL_TRIAL_MAX_S * 1000u)
		why = "is over 1h";
	if (why) {
		ctl_fail(c, CTL_USAGE, "30s, 5m", "--for: '%s' %s", text, why);
		return false;
	}
	json_object_set_new(r, "for_s", json_integer(ms / 1000));
	return true;
}

/* ---- what is told ---- */

static const char *
answer(const json_t *o, const char *key, char buf[16])
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		snprintf(buf, 16, "%lld", (long long)json_integer_value(v));
	else
		snprintf(buf, 16, "forwarded");
	return buf;
}

static const char *
word(const json_t *o, const char *key)
{
	const char *s = ctl_str(o, key);

	return *s ? s : "none";
}

/* What is told of a side depends on what differs. */
static void
print_side(const char *kind, const json_t *s)
{
	char buf[16];

	if (!strcmp(kind, "status"))
		printf("%s", answer(s, "status", buf));
	else if (!strcmp(kind, "endpoint") && *ctl_str(s, "endpoint_address"))
		printf("%s (%s:%lld)", word(s, "endpoint"), ctl_str(s, "endpoint_address"),
		       ctl_int(s, "endpoint_port"));
	else if (!strcmp(kind, "subset"))
		printf("%s, another subset", word(s, "service"));
	else
		printf("%s", word(s, kind));
	if (*ctl_str(s, "why"))
		printf(" by %s", ctl_str(s, "why"));
}

static void
print_example(const json_t *e)
{
	const char *kind = ctl_str(e, "kind"), *what = ctl_str(e, "what");
	const json_t *now = json_object_get(e, "now"), *then = json_object_get(e, "then");

	printf("  %-8s  ", kind);
	if (!strcmp(what, "request"))
		printf("%s %s%s from %s", ctl_str(e, "method"), ctl_str(e, "host"),
		       ctl_str(e, "path"), ctl_str(e, "client"));
	else
		printf("%s %s:%lld to %s:%lld", what, ctl_str(e, "client"),
		       ctl_int(e, "client_port"), ctl_str(e, "address"), ctl_int(e, "port"));
	printf(": ");
	print_side(kind, now);
	printf(" -> ");
	print_side(kind, then);
	if (strcmp(kind, "route") && *ctl_str(then, "route"))
		printf(" (route %s)", ctl_str(then, "route"));
	printf("\n");
}

static double
percent(long long part, long long all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

static void
print_kinds(const char *what, const json_t *n, const json_t *answers)
{
	static const char *const kinds[][2] = {
		{"endpoint", "endpoint"}, {"service", "service"},   {"subset", "subset"},
		{"route", "route"},       {"listener", "listener"},
	};
	const json_t *by = json_object_get(n, "kinds");
	long long sampled = ctl_int(n, "sampled"), seen = ctl_int(n, "seen"), cnt;
	char from[16], to[16];
	json_t *p;
	size_t i;

	if (seen == 0)
		return;
	printf("%s: %lld sampled of %lld; %lld (%.2f %%) would go otherwise\n", what, sampled, seen,
	       ctl_int(n, "changed"), percent(ctl_int(n, "changed"), sampled));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((cnt = ctl_int(by, kinds[i][0])))
			printf("  %lld (%.2f %%) would change %s\n", cnt, percent(cnt, sampled),
			       kinds[i][1]);
	json_array_foreach(answers, i, p)
		printf("  %lld (%.2f %%) would become %s, now %s\n", ctl_int(p, "requests"),
		       percent(ctl_int(p, "requests"), sampled), answer(p, "to", to),
		       answer(p, "from", from));
	if (ctl_int(n, "by_chance"))
		printf("  of %lld the endpoint is chosen by chance: service and subset were "
		       "compared\n",
		       ctl_int(n, "by_chance"));
	if (ctl_int(n, "undecided"))
		printf("  %lld were answered by a rate limit or by chance: their routes alone were "
		       "compared\n",
		       ctl_int(n, "undecided"));
}

/* "100 per 1 s" */
static void
print_number(const json_t *n)
{
	printf("%lld per %g s", ctl_int(n, "requests"), (double)ctl_int(n, "per_ms") / 1000);
}

/* Limits with another number, held against what all clients asked. */
static void
print_limits(const json_t *limits)
{
	const json_t *l;
	size_t i;

	json_array_foreach((json_t *)limits, i, l)
	{
		printf("limit %s, ", ctl_str(l, "name"));
		print_number(json_object_get(l, "now"));
		printf(" -> ");
		print_number(json_object_get(l, "then"));
		if (ctl_int(l, "windows") == 0)
			printf(": not one such time was over\n");
		else
			printf(": of %lld requests about %lld would be refused (now %lld), in %lld "
			       "of %lld such times\n",
			       ctl_int(l, "asked"), ctl_int(l, "over"), ctl_int(l, "refused"),
			       ctl_int(l, "above"), ctl_int(l, "windows"));
	}
}

static void
print_report(const json_t *s)
{
	const json_t *e = json_object_get(s, "examples"), *x,
		     *untried = json_object_get(s, "untried");
	bool running = !strcmp(ctl_str(s, "state"), "running");
	size_t i;

	if (!strcmp(ctl_str(s, "state"), "none")) {
		printf("no table has been tried: push --shadow FILE\n");
		return;
	}
	printf("%s as generation %lld %s beside the active table with %g %% for %.1f s",
	       ctl_str(s, "file"), ctl_int(s, "generation"), running ? "is tried" : "was tried",
	       (double)ctl_int(s, "sample_ppm") / 10000, ctl_num(s, "ran_s"));
	if (running)
		printf(", %.0f s left\n", ctl_num(s, "left_s"));
	else
		printf(": %s\n", ctl_str(s, "why"));
	if (ctl_int(s, "revised"))
		printf("endpoints of the active table moved %lld times meanwhile, those of this "
		       "one did not\n",
		       ctl_int(s, "revised"));
	print_kinds("requests", json_object_get(s, "requests"), json_object_get(s, "answers"));
	print_kinds("flows", json_object_get(s, "flows"), NULL);
	if (!ctl_int(json_object_get(s, "requests"), "seen") &&
	    !ctl_int(json_object_get(s, "flows"), "seen"))
		printf("no request and no new flow came\n");
	print_limits(json_object_get(s, "limits"));
	if (json_array_size(e))
		printf("for example\n");
	json_array_foreach((json_t *)e, i, x) print_example(x);
	if (json_array_size(untried))
		printf("changed as well, and not foretold: a trial asks where requests go, not how "
		       "many may\n");
	ctl_print_changes(untried, "  ");
}

/* ---- watching ---- */

/* The report, or NULL with *rc. */
static json_t *
look(struct ctl *c, int *rc)
{
	json_t *a = ctl_call(c, json_pack("{s:s,s:s}", "verb", "show", "what", "shadow"), rc);

	return a;
}

static void
stop(struct ctl *c)
{
	bool json = c->json, quiet = c->quiet;
	int rc;

	c->json = false;
	c->quiet = true;
	json_decref(ctl_ask(c, json_pack("{s:s,s:s}", "verb", "shadow", "op", "stop"), &rc));
	c->json = json;
	c->quiet = quiet;
}

static void
progress(const struct ctl *c, const json_t *s)
{
	const json_t *r = json_object_get(s, "requests"), *f = json_object_get(s, "flows");

	if (c->json)
		return;
	fprintf(stderr,
		"%.0f s left: %lld requests sampled, %lld would go otherwise; %lld flows, %lld\n",
		ctl_num(s, "left_s"), ctl_int(r, "sampled"), ctl_int(r, "changed"),
		ctl_int(f, "sampled"), ctl_int(f, "changed"));
}

static bool
is_over(const json_t *s, long long generation)
{
	return strcmp(ctl_str(s, "state"), "running") || ctl_int(s, "generation") != generation;
}

static int
watch(struct ctl *c, long long generation)
{
	const struct timespec pause = {0, LOOK_MS * 1000000l};
	bool stopped = false;
	int rc = CTL_OK;

	for (unsigned turn = 0;; turn++) {
		bool json = c->json;
		c->json = false; /* one report at the end */
		json_t *a = look(c, &rc);
		c->json = json;
		const json_t *s = a ? json_object_get(a, "shadow") : NULL;
		if (!a)
			return rc;
		if (is_over(s, generation)) {
			if (c->json)
				ctl_print_json(a);
			else
				print_report(s);
			json_decref(a);
			return CTL_OK;
		}
		if (turn % 4 == 3)
			progress(c, s);
		json_decref(a);
		nanosleep(&pause, NULL); /* a signal ends it */
		if (interrupted && !stopped) {
			stopped = true;
			stop(c);
		}
	}
}

int
ctl_push_shadow(struct ctl *c, json_t *r)
{
	const struct sigaction sa = {.sa_handler = on_signal};
	int rc = CTL_USAGE;

	if (!take_sample(c, r) || !take_time(c, r)) {
		json_decref(r);
		return rc;
	}
	bool json = c->json;
	json_t *a = ctl_ask(c, r, &rc);
	if (!a)
		return rc;
	if (!ctl_bool(a, "ok")) {
		if (json)
			ctl_print_json(a);
		else
			ctl_refused(c, a);
		rc = ctl_exit_of(a);
		json_decref(a);
		return rc;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (!json) {
		ctl_print_warnings(a);
		fprintf(stderr, "generation %lld is tried; Ctrl-C ends it with a report\n",
			ctl_int(a, "generation"));
	}
	rc = watch(c, ctl_int(a, "generation"));
	json_decref(a);
	return rc;
}

void
ctl_print_shadow(const json_t *a)
{
	const json_t *s = json_object_get(a, "shadow"), *r = json_object_get(s, "requests"),
		     *f = json_object_get(s, "flows");

	if (!s || !strcmp(ctl_str(s, "state"), "none"))
		return;
	printf("%s as generation %lld %s: %lld of %lld sampled requests, %lld of %lld flows would "
	       "go "
	       "otherwise (show shadow)\n",
	       ctl_str(s, "file"), ctl_int(s, "generation"),
	       !strcmp(ctl_str(s, "state"), "running") ? "is tried" : "was tried",
	       ctl_int(r, "changed"), ctl_int(r, "sampled"), ctl_int(f, "changed"),
	       ctl_int(f, "sampled"));
}

int
ctl_shadow(struct ctl *c)
{
	int rc;
	json_t *a = look(c, &rc);

	if (a)
		print_report(json_object_get(a, "shadow"));
	json_decref(a);
	return rc;
}

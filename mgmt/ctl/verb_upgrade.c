/* verb_upgrade — upgrade: asks for it, then watches status until the new dataplane has its table. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mgmt/ctl/ctl.h"

#define WAIT_MS 30000
#define LOOK_MS 50

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
progress(const struct ctl *c, const char *text)
{
	if (!c->json)
		fprintf(stderr, "%s\n", text);
}

/* How far it is: 0 the old one is there, 1 none, 2 the new one without its table, 3 with it. */
static int
stage_of(const json_t *status, const char *old_boot)
{
	const json_t *p = json_object_get(status, "dataplane"),
		     *g = json_object_get(status, "generation"),
		     *f = json_object_get(status, "flows");

	if (!ctl_bool(p, "connected"))
		return 1;
	if (strcmp(ctl_str(p, "boot_id"), old_boot) == 0)
		return 0;
	return ctl_int(g, "active") == 0 || ctl_bool(f, "serving") ? 3 : 2;
}

/* The last status; NULL with *ret_exit set: it could not be had. */
static json_t *
watch(struct ctl *c, const char *old_boot, int *ret_stage, int *ret_exit)
{
	static const char *const text[] = {"", "the old dataplane is gone",
					   "the new dataplane is connected", "it has its table"};
	long end = now_ms() + WAIT_MS;
	int stage = 0;

	for (;;) {
		json_t *a = ctl_ask(c, json_pack("{s:s}", "verb", "status"), ret_exit);
		if (!a)
			return NULL;
		int now = stage_of(a, old_boot);
		if (now > stage) {
			stage = now;
			progress(c, text[stage]);
		}
		if (now == 3 || now_ms() > end) {
			*ret_stage = now;
			return a;
		}
		json_decref(a);
		nanosleep(&(struct timespec){0, LOOK_MS * 1000000L}, NULL);
	}
}

int
ctl_upgrade(struct ctl *c)
{
	bool json = c->json;
	int rc, stage;

	progress(c, "the dataplane checks its program file");
	json_t *r = json_pack("{s:s}", "verb", "upgrade");
	c->json = false; /* one answer, at the end, if all goes well */
	json_t *a = json ? ctl_ask(c, r, &rc) : ctl_call(c, r, &rc);
	c->json = json;
	if (!a)
		return rc;
	if (json && !ctl_bool(a, "ok")) {
		rc = ctl_exit_of(a);
		ctl_print_json(a);
		json_decref(a);
		return rc;
	}
	progress(c, ctl_str(a, "text"));
	json_t *s = watch(c, ctl_str(a, "boot_id"), &stage, &rc);
	json_decref(a);
	if (!s)
		return rc;
	const json_t *f = json_object_get(s, "flows");
	if (stage != 3) {
		rc = ctl_fail(c, CTL_NO_PEER, "see: sluicectl status, and the dataplane's log",
			      "the new dataplane has no table after %d s", WAIT_MS / 1000);
	} else if (json) {
		ctl_print_json(s);
		rc = CTL_OK;
	} else {
		printf("upgraded: flows: %s; away for %.0f ms\n",
		       *ctl_str(f, "text") ? ctl_str(f, "text") : "there were none",
		       ctl_num(f, "away_ms"));
		rc = CTL_OK;
	}
	json_decref(s);
	return rc;
}

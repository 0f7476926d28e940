/* verb doctor — looks at this node, and asks the daemon only if it is there. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/doctor.h"

#define BOOT_FILE "/etc/sluice/dataplane.conf"
#define STATE_DIR "/var/lib/sluice"
#define LOG_DIR "/var/log/sluice"
#define WAIT_S 5 /* for the daemon */

/* ---- the daemon ---- */

/* The answer, or NULL: then nothing was said. */
static json_t *
ask(const struct ctl *c, json_t *request)
{
	struct ctl quiet = *c;
	int rc;

	quiet.quiet = true;
	quiet.wait_s = WAIT_S;
	json_t *a = ctl_ask(&quiet, request, &rc);
	if (a && ctl_bool(a, "ok"))
		return a;
	json_decref(a);
	return NULL;
}

static void
take_port(const json_t *o, struct sl_doctor_running *p)
{
	snprintf(p->name, sizeof(p->name), "%s", ctl_str(o, "name"));
	snprintf(p->link, sizeof(p->link), "%s", ctl_str(o, "link"));
	p->missed = ctl_int(o, "missed") + ctl_int(o, "no_buffer");
	p->tx_full = ctl_int(o, "tx_full");
}

static void
ask_daemon(const struct ctl *c, struct sl_doctor_facts *f, char state_dir[256])
{
	json_t *status = ask(c, json_pack("{s:s}", "verb", "status")), *o;
	size_t i;

	if (!status)
		return;
	const json_t *d = json_object_get(status, "daemon");
	f->answered = true;
	f->connected = ctl_bool(json_object_get(status, "dataplane"), "connected");
	snprintf(f->version, sizeof(f->version), "%s", ctl_str(d, "version"));
	if (*ctl_str(d, "state_dir") == '/' && strlen(ctl_str(d, "state_dir")) < 256)
		strcpy(state_dir, ctl_str(d, "state_dir"));
	json_t *ports = ask(c, json_pack("{s:s,s:s}", "verb", "show", "what", "ports"));
	json_array_foreach(json_object_get(ports, "ports"), i, o)
	{
		if (f->running_cnt < SL_DOCTOR_PORTS)
			take_port(o, &f->running[f->running_cnt++]);
	}
	json_decref(ports);
	json_decref(status);
}

/* ---- what is said ---- */

static void
print_lines(const char *mend)
{
	for (const char *p = mend; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		printf("         mend: %.*s\n", (int)strcspn(p, "\n"), p);
}

static void
print_findings(const struct sl_doctor_report *r)
{
	unsigned cnt[SL_DOCTOR_ERROR + 1] = {0};
	int w = 5;

	for (unsigned i = 0; i < r->cnt; i++)
		w = (int)strlen(r->items[i].check) > w ? (int)strlen(r->items[i].check) : w;
	printf("%-7s  %-*s  FOUND\n", "STATE", w, "CHECK");
	for (unsigned i = 0; i < r->cnt; i++) {
		const struct sl_doctor_finding *d = &r->items[i];
		cnt[d->state]++;
		printf("%-7s  %-*s  %s%s%s\n", sl_doctor_state_name(d->state), w, d->check,
		       d->found, d->why ? ": " : "", d->why ? d->why : "");
		print_lines(d->mend);
	}
	printf("\n%u error%s, %u warning%s, %u note%s, %u ok\n", cnt[SL_DOCTOR_ERROR],
	       cnt[SL_DOCTOR_ERROR] == 1 ? "" : "s", cnt[SL_DOCTOR_WARNING],
	       cnt[SL_DOCTOR_WARNING] == 1 ? "" : "s", cnt[SL_DOCTOR_NOTE],
	       cnt[SL_DOCTOR_NOTE] == 1 ? "" : "s", cnt[SL_DOCTOR_OK]);
}

/* A text that a file may have had a part in. */
static json_t *
json_text(const char *s)
{
	json_t *t = json_string(s);

	return t ? t : json_string("not UTF-8");
}

static json_t *
json_mend(const char *mend)
{
	json_t *list = json_array();

	for (const char *p = mend; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		json_t *line = json_stringn(p, strcspn(p, "\n"));
		json_array_append_new(list, line ? line : json_string("not UTF-8"));
	}
	return list;
}

static void
print_json(const struct sl_doctor_report *r, enum sl_doctor_state worst)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->cnt; i++) {
		const struct sl_doctor_finding *d = &r->items[i];
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "state",
						      sl_doctor_state_name(d->state), "check",
						      d->check, "found", json_text(d->found), "why",
						      d->why ? json_text(d->why) : json_null(),
						      "mend", json_mend(d->mend)));
	}
	json_t *a = json_pack("{s:b, s:s, s:s, s:o}", "ok", 1, "verb", "doctor", "worst",
			      sl_doctor_state_name(worst), "findings", list);
	ctl_print_json(a);
	json_decref(a);
}

/* ---- the verb ---- */

/* The dataplane's program: beside ours, beside where we were built, or where packages put it. */
static const char *
find_program(char buf[PATH_MAX])
{
	static const char *const places[] = {"", "/../sbin", "/../dataplane"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	if (strrchr(self, '/'))
		*strrchr(self, '/') = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(buf, PATH_MAX, "%s%s/sluice-dataplane", self, places[i]) < PATH_MAX &&
		    access(buf, X_OK) == 0)
			return buf;
	return "/usr/sbin/sluice-dataplane";
}

static void
look(struct ctl *c, const char *root, const struct sl_doctor_boot *b, struct sl_doctor_facts *f)
{
	char state_dir[256] = STATE_DIR;

	sl_doctor_facts_read(root, b, f);
	if (!f->live)
		return;
	ask_daemon(c, f, state_dir);
	sl_doctor_disk_read(state_dir, f);
	sl_doctor_disk_read(LOG_DIR, f);
}

int
ctl_doctor(struct ctl *c)
{
	static struct sl_doctor_facts f;
	static struct sl_doctor_boot b;
	const char *root = c->opt[CTL_OPT_ROOT] ? c->opt[CTL_OPT_ROOT] : "",
		   *file = c->opt[CTL_OPT_BOOT] ? c->opt[CTL_OPT_BOOT] : BOOT_FILE;
	struct sl_doctor_report r;
	char program[PATH_MAX];
	struct stat st;

	if (*root && (stat(root, &st) || !S_ISDIR(st.st_mode)))
		return ctl_fail(c, CTL_USAGE, "it has proc and sys below it", "%s is no directory",
				root);
	if (c->opt[CTL_OPT_BOOT] && access(file, R_OK))
		return ctl_fail(c, CTL_USAGE, NULL, "%s: %s", file, strerror(errno));
	if (strcmp(root, "/") == 0)
		root = ""; /* this machine */
	sl_doctor_boot_run(c->opt[CTL_OPT_DATAPLANE] ? c->opt[CTL_OPT_DATAPLANE]
						     : find_program(program),
			   file, &b);
	look(c, root, &b, &f);
	enum sl_doctor_state worst = sl_doctor_run(&f, &b, &r);
	if (c->json)
		print_json(&r, worst);
	else
		print_findings(&r);
	sl_doctor_report_fini(&r);
	sl_doctor_facts_fini(&f);
	sl_doctor_boot_fini(&b);
	return worst > SL_DOCTOR_NOTE ? CTL_NO : CTL_OK;
}

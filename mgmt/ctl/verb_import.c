/* verb import — YAML of Istio or of the Gateway API as a table file: the table on standard output (or -o FILE), on standard error
 * what it could not say.  Needs no daemon. */
#include "mgmt/import.h"

#include "mgmt/ctl/ctl.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

static void
files_fini(struct sl_import_file *files, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		free((char *)files[i].text);
	free(files);
}

/* NULL, with the reason said. */
static struct sl_import_file *
read_files(struct ctl *c, unsigned cnt, char **names)
{
	struct sl_import_file *files = calloc(cnt, sizeof(*files));

	if (!files)
		abort();
	for (unsigned i = 0; i < cnt; i++) {
		files[i].name = strcmp(names[i], "-") ? names[i] : "standard input";
		files[i].text = ctl_read_file(c, names[i], &files[i].len);
		if (files[i].text)
			continue;
		files_fini(files, i);
		return NULL;
	}
	return files;
}

/* ---- what is said ---- */

static json_t *
json_text(const char *s)
{
	json_t *t = json_string(s);

	return t ? t : json_string("not UTF-8");
}

static json_t *
items_json(const struct sl_left *left)
{
	json_t *list = json_array();

	for (const struct sl_left_item *i = left->first; i; i = i->next)
		json_array_append_new(
			list, json_pack("{s:s, s:o, s:i, s:o, s:o, s:o}", "kind",
					sl_left_word(i->kind), "file", json_text(i->file), "line",
					i->line, "object", json_text(i->object), "path",
					json_text(i->path), "text", json_text(i->text)));
	return list;
}

static json_t *
problems_json(const struct sl_diag *diag)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < diag->cnt; i++) {
		char text[1024];
		sl_diag_format(&diag->items[i], text, sizeof(text));
		json_array_append_new(list, json_text(text));
	}
	return list;
}

static void
print_items(const struct sl_left *left)
{
	for (const struct sl_left_item *i = left->first; i; i = i->next) {
		if (*i->file)
			fprintf(stderr, "%s:%d: ", i->file, i->line);
		if (*i->object)
			fprintf(stderr, "%s: ", i->object);
		if (*i->path)
			fprintf(stderr, "%s: ", i->path);
		fprintf(stderr, "%s: %s\n", sl_left_word(i->kind), i->text);
	}
}

static void
print_problems(const struct sl_diag *diag)
{
	for (unsigned i = 0; i < diag->cnt; i++) {
		char text[1024];
		sl_diag_format(&diag->items[i], text, sizeof(text));
		fprintf(stderr, "%s\n", text);
	}
}

/* ---- the outcome ---- */

/* name NULL: standard output.  CTL_OK, or what it ends with, said. */
static int
write_file(struct ctl *c, const char *name, const char *text, size_t len)
{
	FILE *f = name ? fopen(name, "w") : stdout;

	if (!f)
		return ctl_fail(c, CTL_USAGE, NULL, "%s: %s", name, strerror(errno));
	fwrite(text, 1, len, f);
	bool good = fflush(f) == 0 && !ferror(f);
	if (name && fclose(f) != 0)
		good = false;
	return good ? CTL_OK
		    : ctl_fail(c, CTL_USAGE, NULL, "%s: %s", name ? name : "standard output",
			       strerror(errno));
}

/* The table, and files beside it where it has a place. */
static int
write_table(struct ctl *c, const struct sl_import_result *r, const char *directory)
{
	int rc = CTL_OK;

	for (const struct sl_import_made *m = directory ? r->files : NULL; m && rc == CTL_OK;
	     m = m->next) {
		char *path = NULL;
		if (asprintf(&path, "%s/%s", directory, m->name) < 0)
			abort();
		rc = write_file(c, path, m->text, strlen(m->text));
		free(path);
	}
	return rc == CTL_OK ? write_file(c, c->opt[CTL_OPT_OUT], r->table, r->table_len) : rc;
}

/* Where the table goes, absolute, to be freed; NULL: standard output, or there is no such place (which writing it tells). */
static char *
directory_of(const char *out)
{
	char *copy = out ? strdup(out) : NULL;
	char *path = copy ? realpath(dirname(copy), NULL) : NULL;

	free(copy);
	return path;
}

/* Whether the table is to be had. */
static bool
is_taken(const struct ctl *c, const struct sl_import_result *r)
{
	return r->good && !(sl_left_lost(&r->left) && c->opt[CTL_OPT_STRICT]);
}

static void
print_json(struct ctl *c, const struct sl_import_result *r, bool taken)
{
	json_t *a = json_pack(
		"{s:b, s:s, s:b, s:o, s:i, s:i, s:i, s:i}", "ok", taken, "verb", "import", "good",
		r->good, "items", items_json(&r->left), "denied", (int)r->left.cnt[SL_LEFT_DENIED],
		"left_out", (int)r->left.cnt[SL_LEFT_OUT], "changed",
		(int)r->left.cnt[SL_LEFT_CHANGED], "notes", (int)r->left.cnt[SL_LEFT_NOTE]);

	if (!r->good)
		json_object_set_new(a, "problems", problems_json(&r->own));
	if (!c->opt[CTL_OPT_OUT])
		json_object_set_new(a, "table", json_text(r->table));
	if (!taken)
		json_object_set_new(
			a, "error",
			json_pack("{s:s, s:s, s:n}", "code", "import", "text",
				  r->good ? "not all could be said, and --strict was given"
					  : "the table has problems",
				  "hint"));
	ctl_print_json(a);
	json_decref(a);
}

static void
print_summary(const struct ctl *c, const struct sl_import_result *r, bool taken)
{
	const struct sl_left *l = &r->left;

	print_items(l);
	if (!r->good) {
		print_problems(&r->own);
		fprintf(stderr, "sluicectl: the table that came of it has these problems: mend it "
				"by hand\n");
	}
	if (l->cnt[SL_LEFT_DENIED])
		fprintf(stderr, "%u denied, ", l->cnt[SL_LEFT_DENIED]);
	fprintf(stderr, "%u left out, %u changed, %u note%s%s\n", l->cnt[SL_LEFT_OUT],
		l->cnt[SL_LEFT_CHANGED], l->cnt[SL_LEFT_NOTE], l->cnt[SL_LEFT_NOTE] == 1 ? "" : "s",
		taken || c->opt[CTL_OPT_STRICT] == NULL ? "" : ": nothing was written (--strict)");
}

/* A table with problems is written all the same, to be mended, but not with --strict. */
static int
tell(struct ctl *c, const struct sl_import_result *r, const char *directory)
{
	bool taken = is_taken(c, r);
	int rc = CTL_OK;

	if ((taken || !c->opt[CTL_OPT_STRICT]) && (c->opt[CTL_OPT_OUT] || !c->json))
		rc = write_table(c, r, directory);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		print_json(c, r, taken);
	else
		print_summary(c, r, taken);
	return taken && sl_left_lost(&r->left) == 0 ? CTL_OK : CTL_NO;
}

static int
unreadable(struct ctl *c, const struct sl_diag *diag)
{
	if (!c->json)
		print_problems(diag);
	char text[1024] = "the files cannot be read";
	if (c->json && diag->cnt)
		sl_diag_format(&diag->items[0], text, sizeof(text));
	return ctl_fail(c, CTL_USAGE, "nothing was written", "%s", text);
}

int
ctl_import(struct ctl *c)
{
	static const char *const from[] = {"istio", "gateway-api", NULL};
	struct sl_diag diag = {0};
	struct sl_import_result r;
	unsigned cnt = (unsigned)c->argc - 1;

	if (strcmp(c->argv[0], from[0]) && strcmp(c->argv[0], from[1])) {
		const char *near = ctl_near(c->argv[0], from);
		return ctl_fail(c, CTL_USAGE, near ? near : "there are istio and gateway-api",
				"'%s' is nothing that is imported", c->argv[0]);
	}
	struct sl_import_file *files = read_files(c, cnt, c->argv + 1);
	if (!files)
		return CTL_USAGE;
	char *directory = directory_of(c->opt[CTL_OPT_OUT]);
	struct sl_import_how how = {c->opt[CTL_OPT_ADDRESS], directory};
	int err =
		sl_import_run(strcmp(c->argv[0], from[0]) ? SL_IMPORT_GATEWAY_API : SL_IMPORT_ISTIO,
			      files, cnt, &how, &diag, &r);
	int rc = err ? unreadable(c, &diag) : tell(c, &r, directory);
	free(directory);
	if (!err)
		sl_import_result_fini(&r);
	files_fini(files, cnt);
	sl_diag_fini(&diag);
	return rc;
}

/* verb_cert — cert and tickets: files are read here, with an eye on who else may read the key; keys go to the daemon and are wiped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/wipe.h"

#define FILE_MAX (2u << 20)

/* ---- files ---- */

/* Bytes of a file ("-": standard input) in memory of sl_wipe_alloc, FILE_MAX of it; NULL with the reason said. */
static char *
read_secret(const struct ctl *c, const char *name, bool key, size_t *ret_len)
{
	int fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	char *text = fd >= 0 ? sl_wipe_alloc(FILE_MAX) : NULL;
	size_t len = 0;
	struct stat st;
	ssize_t n = 0;

	while (text && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	int err = errno;
	if (key && text && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
		fprintf(stderr,
			"warning: %s: everybody may read this key (mode %04o): chmod 600 %s\n",
			name, (unsigned)st.st_mode & 07777u, name);
	if (fd > STDIN_FILENO)
		close(fd);
	if (text && n == 0 && len < FILE_MAX) {
		*ret_len = len;
		return text;
	}
	sl_wipe_release(text, FILE_MAX);
	ctl_fail(c, CTL_USAGE, NULL, "%s: %s", name,
		 len == FILE_MAX ? "larger than 2 MiB" : strerror(err));
	return NULL;
}

/* Puts a file's text into the request; false with the reason said, the request is dropped then. */
static bool
put_file(const struct ctl *c, json_t *request, const char *key, const char *name)
{
	size_t len;
	char *text = name ? read_secret(c, name, strcmp(key, "key") == 0, &len) : NULL;
	json_t *v = text ? json_stringn(text, len) : NULL;

	if (!name)
		return true;
	sl_wipe_release(text, FILE_MAX);
	if (v && json_object_set_new(request, key, v) == 0)
		return true;
	if (text)
		ctl_fail(c, CTL_USAGE,
			 "PEM is text; DER becomes PEM by: openssl x509 -inform DER, openssl pkey "
			 "-inform DER",
			 "%s: not UTF-8 text", name);
	json_decref(request);
	return false;
}

/* Problems speak of "cert", "key" and "ca": the files are meant. */
static void
name_files(const struct ctl *c, json_t *items)
{
	static const struct {
		const char *path;
		enum ctl_opt opt;
	} files[] = {{"cert", CTL_OPT_CERT}, {"key", CTL_OPT_KEY}, {"ca", CTL_OPT_CA}};
	size_t i;
	json_t *p;

	json_array_foreach(items, i, p)
	{
		for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++)
			if (!strcmp(ctl_str(p, "path"), files[k].path) && c->opt[files[k].opt]) {
				json_object_set_new(p, "file", json_string(c->opt[files[k].opt]));
				json_object_set_new(p, "path", json_null());
				break;
			}
	}
}

/* As ctl_call, with names of files. */
static json_t *
call(struct ctl *c, json_t *request, int *ret_exit)
{
	json_t *a = ctl_ask(c, request, ret_exit);

	if (!a)
		return NULL;
	name_files(c, json_object_get(a, "problems"));
	name_files(c, json_object_get(a, "warnings"));
	bool ok = ctl_bool(a, "ok");
	*ret_exit = ok ? CTL_OK : ctl_refused(c, a);
	if (!ok && !c->json)
		ctl_print_warnings(a);
	if (ok && c->json)
		ctl_print_json(a);
	if (ok && !c->json)
		return a;
	json_decref(a);
	return NULL;
}

/* ---- printing ---- */

/* "DNS:a, DNS:b and 3 more"; most 0: all. */
static const char *
names_text(const json_t *cert, size_t most, char *buf, size_t size)
{
	const json_t *names = json_object_get(cert, "names");
	size_t cnt = json_array_size(names), n = 0;

	buf[0] = 0;
	if (!strcmp(ctl_str(cert, "kind"), "bundle"))
		snprintf(buf, size, "%lld CA%s", ctl_int(cert, "certificates"),
			 ctl_int(cert, "certificates") == 1 ? "" : "s");
	for (size_t i = 0; i < cnt && n < size; i++) {
		if (most && i == most) {
			snprintf(buf + n, size - n, " and %zu more", cnt - i);
			break;
		}
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      json_string_value(json_array_get(names, i)));
	}
	return buf;
}

static const char *
left_text(const json_t *cert, char buf[48])
{
	long long days = ctl_int(cert, "days_left");
	const char *state = ctl_str(cert, "state");

	if (!strcmp(state, "expired"))
		snprintf(buf, 48, "EXPIRED");
	else if (!strcmp(state, "early"))
		snprintf(buf, 48, "not yet valid");
	else
		snprintf(buf, 48, "%lld days%s", days, strcmp(state, "soon") ? "" : " !");
	return buf;
}

static void
used_text(const json_t *cert, char *buf, size_t size)
{
	const json_t *users = json_object_get(cert, "used_by");
	size_t i, n = 0;
	json_t *u;

	snprintf(buf, size, "-");
	json_array_foreach(users, i, u)
	{
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s %s", i ? ", " : "",
					      ctl_str(u, "kind"), ctl_str(u, "name"));
	}
}

static void
print_list(const json_t *a)
{
	static const char *const titles[] = {"NAME",      "KIND", "NAMES",   "ISSUER",
					     "NOT AFTER", "LEFT", "USED BY", NULL};
	struct ctl_table *t = ctl_table_new(titles);
	char names[256], left[48], used[256];
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(a, "certificates"), i, e)
	{
		used_text(e, used, sizeof(used));
		ctl_table_cell(t, "%s", ctl_str(e, "name"));
		ctl_table_cell(t, "%s", ctl_str(e, "kind"));
		ctl_table_cell(t, "%s", names_text(e, 2, names, sizeof(names)));
		ctl_table_cell(t, "%s", ctl_str(e, "issuer"));
		ctl_table_cell(t, "%.10s", ctl_str(e, "not_after"));
		ctl_table_cell(t, "%s%s", left_text(e, left),
			       ctl_bool(e, "damaged") ? ", DAMAGED" : "");
		ctl_table_cell(t, "%s", used);
	}
	ctl_table_print(t);
}

static void
print_chain(const json_t *cert)
{
	const json_t *chain = json_object_get(cert, "chain");
	size_t i;
	json_t *l;

	json_array_foreach(chain, i, l)
	{
		printf("%zu           %s\n", i + 1, ctl_str(l, "subject"));
		printf("  issuer    %s\n", ctl_str(l, "issuer"));
		printf("  valid     %.19s to %.19s UTC\n", ctl_str(l, "not_before"),
		       ctl_str(l, "not_after"));
		printf("  key       %s\n", ctl_str(l, "key"));
		printf("  serial    %s\n", ctl_str(l, "serial"));
		printf("  sha-256   %s\n", ctl_str(l, "fingerprint"));
	}
}

static void
print_one(const json_t *a)
{
	const json_t *e = json_object_get(a, "certificate"), *usage = json_object_get(e, "usage");
	char text[4096], left[48];
	size_t i;
	json_t *v;

	if (*ctl_str(e, "name"))
		printf("name        %s\n", ctl_str(e, "name"));
	printf("kind        %s\n", ctl_str(e, "kind"));
	if (json_array_size(json_object_get(e, "names")))
		printf("names       %s\n", names_text(e, 0, text, sizeof(text)));
	if (json_array_size(usage)) {
		printf("usage      ");
		json_array_foreach(usage, i, v) printf(" %s", json_string_value(v));
		printf("\n");
	}
	printf("not after   %.19s UTC, %s\n", ctl_str(e, "not_after"), left_text(e, left));
	if (json_object_get(e, "used_by")) {
		used_text(e, text, sizeof(text));
		printf("used by     %s\n", text);
		printf("added       %s\n", ctl_str(e, "added"));
	}
	print_chain(e);
}

static void
print_changed(const struct ctl *c, const json_t *a)
{
	const json_t *e = json_object_get(a, "certificate");
	const char *op = c->argv[0], *name = c->argv[1], *note = ctl_str(a, "note");
	char names[512], left[48];

	if (!strcmp(op, "remove"))
		printf("%s: removed\n", name);
	else
		printf("%s: %s %s: %s, until %.10s (%s)\n", name, ctl_str(e, "kind"),
		       !strcmp(op, "add") ? "added" : "replaced",
		       names_text(e, 4, names, sizeof(names)), ctl_str(e, "not_after"),
		       left_text(e, left));
	if (*note)
		printf("%s\n", note);
	ctl_print_warnings(a);
}

/* ---- cert ---- */

static const struct {
	const char *op;
	int names; /* arguments behind it */
	bool files;
} ops[] = {{"add", 1, true},   {"replace", 1, true}, {"remove", 1, false},
	   {"check", 0, true}, {"list", 0, false},   {"show", 1, false}};

static int
misused(const struct ctl *c, size_t op)
{
	bool cert = c->opt[CTL_OPT_CERT], key = c->opt[CTL_OPT_KEY], ca = c->opt[CTL_OPT_CA];
	const char *what =
		"cert add|replace NAME, cert check: --cert FILE --key FILE, or --ca FILE";

	if (c->argc - 1 != ops[op].names)
		return ctl_fail(c, CTL_USAGE, NULL, "usage: sluicectl cert %s%s%s", ops[op].op,
				ops[op].names ? " NAME" : "",
				ops[op].files ? " --cert FILE --key FILE | --ca FILE" : "");
	if (ops[op].files && (cert != key || cert == ca))
		return ctl_fail(c, CTL_USAGE, what, "cert %s needs --cert and --key, or --ca alone",
				ops[op].op);
	if (!ops[op].files && (cert || key || ca))
		return ctl_fail(c, CTL_USAGE, what, "cert %s takes no files", ops[op].op);
	return CTL_OK;
}

int
ctl_cert(struct ctl *c)
{
	size_t op = 0, cnt = sizeof(ops) / sizeof(ops[0]);
	int rc;

	while (op < cnt && strcmp(ops[op].op, c->argv[0]))
		op++;
	if (op == cnt)
		return ctl_fail(c, CTL_USAGE, "add, replace, remove, check, list or show",
				"cert: no '%s'", c->argv[0]);
	if (misused(c, op))
		return CTL_USAGE;
	json_t *r = json_pack("{s:s,s:s}", "verb", "cert", "op", ops[op].op);
	if (!ctl_put(c, r, "name", c->argc > 1 ? c->argv[1] : NULL) ||
	    !ctl_put(c, r, "comment", c->comment) ||
	    !put_file(c, r, "cert", c->opt[CTL_OPT_CERT]) ||
	    !put_file(c, r, "key", c->opt[CTL_OPT_KEY]) ||
	    !put_file(c, r, "ca", c->opt[CTL_OPT_CA]))
		return CTL_USAGE;
	json_t *a = call(c, r, &rc);
	if (!a)
		return rc;
	if (!strcmp(ops[op].op, "list")) {
		print_list(a);
	} else if (!strcmp(ops[op].op, "show")) {
		print_one(a);
	} else if (!strcmp(ops[op].op, "check")) {
		print_one(a);
		ctl_print_warnings(a);
		printf("good: nothing was stored\n");
	} else {
		print_changed(c, a);
	}
	json_decref(a);
	return rc;
}

/* ---- tickets ---- */

/* The keys of a file as hex; false with the reason said, the request is dropped then. */
static bool
put_keys(const struct ctl *c, json_t *request, const char *name)
{
	static const char hex[] = "0123456789abcdef";
	size_t len;
	char *bytes = read_secret(c, name, true, &len);
	bool fits = bytes && len > 0 && len % 80 == 0 && len <= 640;
	json_t *v = NULL;

	if (fits) {
		char *text = sl_wipe_alloc(2 * len);
		for (size_t i = 0; text && i < len; i++) {
			text[2 * i] = hex[(unsigned char)bytes[i] >> 4];
			text[2 * i + 1] = hex[(unsigned char)bytes[i] & 15];
		}
		v = text ? json_stringn(text, 2 * len) : NULL;
		sl_wipe_release(text, 2 * len);
	} else if (bytes) {
		ctl_fail(c, CTL_USAGE, "make one with: openssl rand 80 > FILE",
			 "%s: not 1 to 8 keys of 80 bytes, one after the other", name);
	}
	sl_wipe_release(bytes, FILE_MAX);
	if (v && json_object_set_new(request, "keys", v) == 0)
		return true;
	json_decref(request);
	return false;
}

static void
print_tickets(const json_t *t)
{
	bool own = !strcmp(ctl_str(t, "mode"), "own");
	static const char *const titles[] = {"KEY", "SINCE", "", NULL};
	size_t i;
	json_t *k;

	if (own)
		printf("the gateway's own keys, rotated every %lld min; next %.19s UTC\n",
		       ctl_int(t, "rotate_s") / 60, ctl_str(t, "next"));
	else
		printf("installed keys, not rotated here (sluicectl tickets own ends that)\n");
	struct ctl_table *table = ctl_table_new(titles);
	json_array_foreach(json_object_get(t, "keys"), i, k)
	{
		ctl_table_cell(table, "%s", ctl_str(k, "name"));
		ctl_table_cell(table, "%s", ctl_str(k, "since"));
		ctl_table_cell(table, "%s",
			       ctl_bool(k, "encrypts") ? "seals new tickets" : "opens older ones");
	}
	ctl_table_print(table);
}

int
ctl_tickets(struct ctl *c)
{
	const char *op = c->argv[0];
	bool install = !strcmp(op, "install");
	int rc;

	if (!install && strcmp(op, "show") && strcmp(op, "rotate") && strcmp(op, "own"))
		return ctl_fail(c, CTL_USAGE, "show, rotate, install FILE or own",
				"tickets: no '%s'", op);
	if (c->argc != 1 + install)
		return ctl_fail(c, CTL_USAGE, NULL, "usage: sluicectl tickets %s%s", op,
				install ? " FILE" : "");
	json_t *r = json_pack("{s:s,s:s}", "verb", "tickets", "op", op);
	if (!ctl_put(c, r, "comment", c->comment) || (install && !put_keys(c, r, c->argv[1])))
		return CTL_USAGE;
	json_t *a = call(c, r, &rc);
	if (!a)
		return rc;
	print_tickets(json_object_get(a, "tickets"));
	if (*ctl_str(a, "note"))
		printf("%s\n", ctl_str(a, "note"));
	json_decref(a);
	return rc;
}

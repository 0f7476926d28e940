/* client — one request, one answer over sluiced's socket (mgmt/api.h). */
#include "mgmt/ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mgmt/api.h"
#include "mgmt/wipe.h"

static void
say(const char *text, const char *hint)
{
	fprintf(stderr, "sluicectl: %s%s%s%s\n", text, *hint ? " (" : "", hint, *hint ? ")" : "");
}

void
ctl_print_json(const json_t *answer)
{
	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
}

int
ctl_fail(const struct ctl *c, int rc, const char *hint, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->quiet)
		return rc;
	say(text, hint ? hint : "");
	if (c->json) {
		json_t *t = json_string(text); /* NULL when what was typed is not UTF-8 */
		json_t *a = json_pack("{s:b,s:s?,s:{s:s,s:o,s:s?}}", "ok", 0, "verb", c->verb,
				      "error", "code", rc == CTL_USAGE ? "invalid" : "unavailable",
				      "text", t ? t : json_string("not UTF-8"), "hint", hint);
		ctl_print_json(a);
		json_decref(a);
	}
	return rc;
}

bool
ctl_put_text(const struct ctl *c, json_t *object, const char *key, const char *value)
{
	if (!value || json_object_set_new(object, key, json_string(value)) == 0)
		return true;
	ctl_fail(c, CTL_USAGE, NULL, "%s: not UTF-8 text", key);
	return false;
}

bool
ctl_put(const struct ctl *c, json_t *request, const char *key, const char *value)
{
	bool put = ctl_put_text(c, request, key, value);

	if (!put)
		json_decref(request);
	return put;
}

bool
ctl_put_number(struct ctl *c, json_t *request, const char *option, const char *key,
	       const char *text, long max)
{
	char *end;

	if (!text)
		return true;
	long n = strtol(text, &end, 10);
	if (end == text || *end || n < 0 || n > max) {
		ctl_fail(c, CTL_USAGE, NULL, "%s: '%s' is no number from 0 to %ld", option, text,
			 max);
		return false;
	}
	json_object_set_new(request, key, json_integer(n));
	return true;
}

static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64], m = (unsigned)strlen(b);

	for (unsigned j = 0; j <= m; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned best = corner + (*a != b[j - 1]);
			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[m];
}

const char *
ctl_near(const char *text, const char *const *list)
{
	const char *near = NULL;
	unsigned least = 3; /* more letters wrong than two: another word */

	for (; *list; list++) {
		unsigned d = strlen(*list) < 64 ? distance(text, *list) : least;
		if (d < least && d < strlen(*list)) {
			least = d;
			near = *list;
		}
	}
	return near;
}

int
ctl_dial(const char *path, char *why, size_t size, const char **ret_hint)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *hint = NULL;
	int s = -1;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(why, size, "socket path longer than %zu bytes: %s",
			 sizeof(sa.sun_path) - 1, path);
	} else {
		strcpy(sa.sun_path, path);
		s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (s < 0 || connect(s, (struct sockaddr *)&sa, sizeof(sa))) {
			hint = errno == EACCES ? "who may open it?"
					       : "is it running? --socket PATH names another";
			snprintf(why, size, "cannot reach sluiced at %s: %s", path,
				 strerror(errno));
			if (s >= 0)
				close(s);
			s = -1;
		}
	}
	if (ret_hint)
		*ret_hint = hint;
	return s;
}

static int
dial(const struct ctl *c)
{
	char why[1024];
	const char *hint;
	struct timeval limit = {.tv_sec = c->wait_s ? c->wait_s : 90};
	int s = ctl_dial(c->socket, why, sizeof(why), &hint);

	if (s < 0)
		ctl_fail(c, CTL_NO_PEER, hint, "%s", why);
	else
		setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return s;
}

static bool
send_all(int s, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = send(s, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool
recv_all(int s, void *data, size_t n)
{
	char *p = data;

	while (n) {
		ssize_t k = recv(s, p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static json_t *
exchange(int s, const char *text, size_t len)
{
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)len};
	json_t *answer = NULL;

	/* A daemon that refuses us may answer and close before it has read all: read in any case. */
	(void)(send_all(s, &h, sizeof(h)) && send_all(s, text, len));
	if (!recv_all(s, &h, sizeof(h)) || h.magic != SL_API_MAGIC || h.version != SL_API_VERSION ||
	    h.len > SL_API_MAX)
		return NULL;
	char *body = malloc(h.len + 1u);
	if (body && recv_all(s, body, h.len))
		answer = json_loadb(body, h.len, 0, NULL);
	free(body);
	return answer;
}

json_t *
ctl_ask(struct ctl *c, json_t *request, int *ret_exit)
{
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer = NULL;
	int s;

	json_decref(request);
	*ret_exit = CTL_NO_PEER;
	if (!text || strlen(text) > SL_API_MAX) {
		*ret_exit = ctl_fail(c, CTL_USAGE, NULL, "request larger than %u MiB",
				     SL_API_MAX >> 20);
	} else if ((s = dial(c)) >= 0) {
		answer = exchange(s, text, strlen(text));
		if (!answer)
			ctl_fail(c, CTL_NO_PEER, NULL,
				 "sluiced closed the connection without an answer");
		close(s);
	}
	sl_wipe_free(text); /* a key may be in it */
	return answer;
}

static int
exit_of(const char *code)
{
	if (!strcmp(code, "denied"))
		return CTL_DENIED;
	if (!strcmp(code, "unavailable") || !strcmp(code, "timeout") || !strcmp(code, "busy"))
		return CTL_NO_PEER;
	if (!strcmp(code, "invalid") || !strcmp(code, "malformed"))
		return CTL_USAGE;
	return CTL_NO;
}

int
ctl_exit_of(const json_t *answer)
{
	return exit_of(ctl_str(json_object_get(answer, "error"), "code"));
}

static void
print_items(const json_t *items, const char *before, long more)
{
	size_t i;
	json_t *p;

	json_array_foreach(items, i, p)
	{
		const char *file = ctl_str(p, "file"), *path = ctl_str(p, "path"),
			   *hint = ctl_str(p, "hint");
		if (*file && ctl_int(p, "line") > 0)
			fprintf(stderr, "%s:%lld: ", file, ctl_int(p, "line"));
		else if (*file)
			fprintf(stderr, "%s: ", file);
		fprintf(stderr, "%s%s%s%s%s%s%s\n", before, path, *path ? ": " : "",
			ctl_str(p, "text"), *hint ? " (" : "", hint, *hint ? ")" : "");
	}
	if (more)
		fprintf(stderr, "and %ld more\n", more);
}

void
ctl_print_problems(const json_t *problems, long more)
{
	print_items(problems, "", more);
}

void
ctl_print_warnings(const json_t *answer)
{
	print_items(json_object_get(answer, "warnings"),
		    "warning: ", (long)ctl_int(answer, "warnings_more"));
}

static void
print_error(const json_t *answer)
{
	const json_t *e = json_object_get(answer, "error");
	size_t i;
	json_t *r;

	ctl_print_problems(json_object_get(answer, "problems"), (long)ctl_int(answer, "more"));
	json_array_foreach(json_object_get(answer, "reasons"), i, r)
		fprintf(stderr, "  %s\n", json_string_value(r));
	say(ctl_str(e, "text"), ctl_str(e, "hint"));
}

int
ctl_refused(const struct ctl *c, const json_t *answer)
{
	if (c->json)
		ctl_print_json(answer);
	else
		print_error(answer);
	return exit_of(ctl_str(json_object_get(answer, "error"), "code"));
}

json_t *
ctl_call(struct ctl *c, json_t *request, int *ret_exit)
{
	json_t *answer = ctl_ask(c, request, ret_exit);

	if (!answer)
		return NULL;
	bool ok = ctl_bool(answer, "ok");
	*ret_exit = ok ? CTL_OK : ctl_refused(c, answer);
	if (ok && c->json)
		ctl_print_json(answer);
	if (ok && !c->json)
		return answer;
	json_decref(answer);
	return NULL;
}

char *
ctl_read_file(const struct ctl *c, const char *name, size_t *ret_len)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "rb") : stdin;
	char *text = NULL;
	size_t len = 0, room = 0, n;

	if (!f) {
		ctl_fail(c, CTL_USAGE, NULL, "%s: %s", name, strerror(errno));
		return NULL;
	}
	do {
		if (len + 65536 > room || len > SL_API_MAX) {
			room = room ? 2 * room : 1 << 20;
			char *more = realloc(text, room);
			if (!more || len > SL_API_MAX) {
				ctl_fail(c, CTL_USAGE, "split the table between gateways",
					 "%s: larger than %u MiB", name, SL_API_MAX >> 20);
				free(more ? more : text);
				text = NULL;
				break;
			}
			text = more;
		}
		n = fread(text + len, 1, 65535, f);
		len += n;
		text[len] = 0;
	} while (n);
	if (text && ferror(f)) {
		ctl_fail(c, CTL_USAGE, NULL, "%s: %s", name, strerror(errno ? errno : EIO));
		free(text);
		text = NULL;
	}
	if (f != stdin)
		fclose(f);
	*ret_len = len;
	return text;
}

const char *
ctl_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

long long
ctl_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

double
ctl_num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

bool
ctl_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

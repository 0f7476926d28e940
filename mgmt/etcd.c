/* A call tries servers from e->at on; each try is a token first, if there is a user and none yet, then the request itself. */
#include "mgmt/etcd.h"

#include "mgmt/etcd_wire.h"
#include "mgmt/web.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOKEN_MAX 4096
#define UNAUTHENTICATED 16
#define UNAVAILABLE 14
#define DEADLINE_EXCEEDED 4
#define UNKNOWN 2

struct sl_etcd_call {
	struct sl_etcd *etcd;
	struct sl_etcd_call *next, *prev;
	struct sl_web_call *web; /* NULL: between two */
	char *body;
	const char *path;
	unsigned tries, server; /* servers asked; the one that is being asked */
	bool renewed;           /* a new token was fetched for it once */
	bool streaming;         /* lines have come: no other server is tried */
	void (*line)(void *ctx, const char *text, size_t len);
	sl_etcd_fn *fn;
	void *ctx;
	char *text; /* [len of room]: of a line whose end has not come */
	size_t len, room;
	char url[SL_SOURCE_PATH + 64];
	bool *gone; /* set when it is cancelled from within line */
};

struct sl_etcd {
	uv_loop_t *loop;
	struct sl_web *web;
	const struct sl_source_conf *conf;
	struct sl_etcd_call *calls;
	unsigned at;
	char token[TOKEN_MAX];
};

static int send_call(struct sl_etcd_call *c);

static void
call_free(struct sl_etcd_call *c)
{
	if (c->gone)
		*c->gone = true;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->etcd->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c->body);
	free(c->text);
	free(c);
}

static void
finish(struct sl_etcd_call *c, unsigned code, const char *error, const char *body, size_t len)
{
	sl_etcd_fn *fn = c->fn;
	void *ctx = c->ctx;

	call_free(c);
	fn(ctx, code, error, body, len);
}

/* This server did not do: the next one, or the end. */
static void
try_next(struct sl_etcd_call *c, unsigned code, const char *error)
{
	struct sl_etcd *e = c->etcd;

	if (e->at == c->server)
		sl_etcd_next(e);
	c->server = (c->server + 1) % e->conf->server_cnt;
	if (++c->tries >= e->conf->server_cnt || c->streaming || send_call(c))
		finish(c, code, error, "", 0);
}

/* ---- answers ---- */

static bool
is_of_server(unsigned code, int status)
{
	return code == UNAVAILABLE || code == DEADLINE_EXCEEDED ||
	       (status >= 500 && code <= UNKNOWN);
}

static void
refused(struct sl_etcd_call *c, int status, const char *body, size_t len)
{
	struct sl_etcd *e = c->etcd;
	char words[200], error[SL_SOURCE_PATH + 320];
	unsigned code = sl_etcd_wire_error(body, len, words, sizeof(words));

	bool token = code == UNAUTHENTICATED || status == 401 ||
		     strstr(words, "user name is empty") ||
		     strstr(words, "auth store is old") != NULL;
	if (token && e->conf->user[0] && !c->renewed) {
		c->renewed = true;
		e->token[0] = 0;
		if (send_call(c) == 0)
			return;
	}
	if (words[0])
		snprintf(error, sizeof(error), "%s: etcd says %s (code %u)%s",
			 e->conf->servers[c->server], words, code,
			 token && !e->conf->user[0] ? ": it wants a user" : "");
	else
		snprintf(error, sizeof(error), "%s: status %d, and no word of etcd's",
			 e->conf->servers[c->server], status);
	if (is_of_server(code, status) || !words[0])
		try_next(c, code ? code : UNKNOWN, error);
	else
		finish(c, code ? code : UNKNOWN, error, "", 0);
}

static void
on_done(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct sl_etcd_call *c = ctx;
	struct sl_etcd *e = c->etcd;
	char why[SL_SOURCE_PATH + 64];

	c->web = NULL;
	if (status == SL_WEB_TOO_LONG) {
		finish(c, SL_ETCD_TOO_LONG, error, "", 0);
	} else if (error) {
		try_next(c, UNAVAILABLE, error);
	} else if (c->line && status == 200) {
		snprintf(why, sizeof(why), "%s: it ended the stream", e->conf->servers[c->server]);
		try_next(c, UNAVAILABLE, why);
	} else if (status != 200) {
		if (c->line) /* what came instead of a stream is in c->text */
			refused(c, status, c->text ? c->text : "", c->len);
		else
			refused(c, status, body, len);
	} else {
		e->at = c->server;
		finish(c, SL_ETCD_OK, NULL, body, len);
	}
}

/* ---- lines of a stream ---- */

static bool
keep(struct sl_etcd_call *c, const char *bytes, size_t len)
{
	if (c->len + len > SL_SOURCE_JSON_BYTES)
		return false;
	if (c->len + len + 1 > c->room) {
		size_t room = SL_MAX(2 * c->room, c->len + len + 1);
		char *text = realloc(c->text, room);
		if (!text)
			return false;
		c->text = text;
		c->room = room;
	}
	memcpy(c->text + c->len, bytes, len);
	c->len += len;
	c->text[c->len] = 0;
	return true;
}

static int
on_data(void *ctx, const char *bytes, size_t len)
{
	struct sl_etcd_call *c = ctx;
	bool gone = false;

	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;
		if (!keep(c, bytes, n))
			return -1;
		if (!end)
			return 0;
		bytes += n + 1;
		len -= n + 1;
		c->streaming = true;
		c->etcd->at = c->server;
		c->gone = &gone;
		c->line(c->ctx, c->text, c->len);
		if (gone)
			return -1;
		c->gone = NULL;
		c->len = 0;
	}
	return 0;
}

/* ---- requests ---- */

static void
on_token(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct sl_etcd_call *c = ctx;
	struct sl_etcd *e = c->etcd;
	char why[160], words[SL_SOURCE_PATH + 320];

	c->web = NULL;
	if (error || status != 200) {
		char said[160];
		sl_etcd_wire_error(body, len, said, sizeof(said));
		bool readable = access(e->conf->password_file, R_OK) == 0;
		snprintf(words, sizeof(words), "%s: user %s is not let in: %s (status %d)%s",
			 e->conf->servers[c->server], e->conf->user, said, status,
			 readable ? "" : ": the file of password_file cannot be read");
		try_next(c, UNAUTHENTICATED, error ? error : words);
		return;
	}
	if (sl_etcd_wire_token(body, len, e->token, sizeof(e->token), why, sizeof(why))) {
		snprintf(words, sizeof(words), "%s: its answer to user %s %s",
			 e->conf->servers[c->server], e->conf->user, why);
		try_next(c, UNAUTHENTICATED, words);
		return;
	}
	if (send_call(c))
		finish(c, UNKNOWN, "out of memory", "", 0);
}

static int
send_web(struct sl_etcd_call *c, const char *path, const char *body, bool with_token)
{
	const struct sl_source_conf *conf = c->etcd->conf;
	struct sl_web_header header = {"Authorization", c->etcd->token};
	bool stream = with_token && c->line;
	struct sl_web_request r = {
		.method = "POST",
		.url = c->url,
		.headers = &header,
		.header_cnt = with_token && c->etcd->token[0] ? 1 : 0,
		.body = body,
		.body_len = strlen(body),
		.ca = conf->ca,
		.certificate = conf->certificate,
		.key = conf->key,
		.connect_ms = conf->timeout_ms,
		.total_ms = stream ? 0 : conf->timeout_ms,
		.max_body = stream ? 0 : SL_SOURCE_JSON_BYTES,
		.data = stream ? on_data : NULL,
		.done = with_token ? on_done : on_token,
		.ctx = c,
	};

	snprintf(c->url, sizeof(c->url), "%s%s", conf->servers[c->server], path);
	return sl_web_start(c->etcd->web, &r, &c->web);
}

/* The password is in the file's first line. */
static char *
token_body(const struct sl_source_conf *conf)
{
	char password[256];
	int fd = open(conf->password_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, password, sizeof(password) - 1);

	if (fd >= 0)
		close(fd);
	password[n > 0 ? n : 0] = 0;
	password[strcspn(password, "\r\n")] = 0;
	char *body = sl_etcd_wire_ask_token(conf->user, password);
	explicit_bzero(password, sizeof(password));
	return body;
}

static int
send_call(struct sl_etcd_call *c)
{
	const struct sl_source_conf *conf = c->etcd->conf;

	c->len = 0;
	if (!conf->user[0] || c->etcd->token[0])
		return send_web(c, c->path, c->body, true);
	char *body = token_body(conf);
	int err = body ? send_web(c, "/v3/auth/authenticate", body, false) : -ENOMEM;
	if (body)
		explicit_bzero(body, strlen(body));
	free(body);
	return err;
}

int
sl_etcd_stream(struct sl_etcd *e, const char *path, char *body,
	       void (*line)(void *ctx, const char *text, size_t len), sl_etcd_fn *fn, void *ctx,
	       struct sl_etcd_call **ret_call)
{
	struct sl_etcd_call *c = body ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		free(body);
		return -ENOMEM;
	}
	*c = (struct sl_etcd_call){.etcd = e,
				   .next = e->calls,
				   .body = body,
				   .path = path,
				   .server = e->at,
				   .line = line,
				   .fn = fn,
				   .ctx = ctx};
	if (c->next)
		c->next->prev = c;
	e->calls = c;
	if (send_call(c)) {
		call_free(c);
		return -ENOMEM;
	}
	*ret_call = c;
	return 0;
}

int
sl_etcd_ask(struct sl_etcd *e, const char *path, char *body, sl_etcd_fn *fn, void *ctx,
	    struct sl_etcd_call **ret_call)
{
	return sl_etcd_stream(e, path, body, NULL, fn, ctx, ret_call);
}

void
sl_etcd_cancel(struct sl_etcd_call *c)
{
	if (!c)
		return;
	sl_web_cancel(c->web);
	call_free(c);
}

/* ---- life ---- */

const char *
sl_etcd_server(const struct sl_etcd *e)
{
	return e->conf->servers[e->at];
}

void
sl_etcd_next(struct sl_etcd *e)
{
	e->at = (e->at + 1) % e->conf->server_cnt;
}

int
sl_etcd_create(uv_loop_t *loop, const struct sl_source_conf *conf, struct sl_etcd **ret_etcd)
{
	struct sl_etcd *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->loop = loop;
	e->conf = conf;
	e->web = sl_web_get(loop);
	if (!e->web) {
		free(e);
		return -ENOMEM;
	}
	*ret_etcd = e;
	return 0;
}

void
sl_etcd_destroy(struct sl_etcd *e)
{
	if (!e)
		return;
	while (e->calls)
		sl_etcd_cancel(e->calls);
	sl_web_put(e->web);
	explicit_bzero(e->token, sizeof(e->token));
	free(e);
}

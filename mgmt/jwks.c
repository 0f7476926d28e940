#include "mgmt/jwks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "mgmt/disk.h"
#include "mgmt/web.h"

#define FILE_MS 1000
#define RETRY_MS 1000
#define CONNECT_MS 5000
#define TOTAL_MS 10000

struct source {
	struct source *next;
	struct sl_jwks *j; /* NULL: dropped, the timer closes */
	char *url, *ca;    /* ca "": none */
	char sum[65];      /* of both: the name of its file */
	uint32_t interval_ms, retry_ms;
	bool used, spoken, quiet; /* quiet: who asks for its keys gets them right then */
	uv_timer_t timer;
	struct sl_web_call *call;
	struct stat known; /* of a file, when it was read last */
	struct sl_jwks_set *set;
	int64_t good_ms, trouble_ms;
	uint64_t reads, troubles;
	char why[400];
};

struct sl_jwks {
	struct sl_jwks_conf c;
	char dir[512];
	struct sl_web *web;
	struct source *sources;
};

static int64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void
say(const struct sl_jwks *j, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	j->c.say(j->c.ctx, line);
}

static bool
is_file(const struct source *s)
{
	return strncmp(s->url, "file:", 5) == 0;
}

/* ---- what a reading comes to ---- */

/* Told when it is another one than before. */
static void
in_trouble(struct source *s, const char *why)
{
	s->spoken = true;
	s->troubles++;
	if (!s->trouble_ms)
		s->trouble_ms = wall_ms();
	if (strcmp(s->why, why) != 0)
		say(s->j, "jwks: %s: %s; %s", s->url, why,
		    s->set ? "the keys read last are used" : "no key is known, tokens are refused");
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void
keep(const struct source *s, const char *text, size_t len)
{
	struct sl_diag diag = {0};
	char path[700];

	snprintf(path, sizeof(path), "%s/%s.json", s->j->dir, s->sum);
	if (sl_disk_write(path, text, len, &diag))
		say(s->j, "jwks: %s: cannot be kept on disk: %s", s->url,
		    diag.cnt ? diag.items[0].text : "no memory");
	sl_diag_fini(&diag);
}

static void
take(struct source *s, const char *text, size_t len)
{
	char why[SL_JWKS_WHY] = "";
	struct sl_jwks_set *set;
	int err = sl_jwks_read(text, len, why, &set);

	if (err) {
		in_trouble(s, err == -ENOMEM ? "no memory" : why);
		return;
	}
	bool same = s->set && sl_jwks_set_same(s->set, set);
	s->spoken = true;
	s->reads++;
	s->good_ms = wall_ms();
	s->trouble_ms = 0;
	s->retry_ms = 0;
	snprintf(s->why, sizeof(s->why), "%s", set->note);
	if (!same) {
		say(s->j, "jwks: %s: %u keys%s%s", s->url, set->cnt, set->note[0] ? "; " : "",
		    set->note);
		keep(s, text, len);
	}
	sl_jwks_set_unref(s->set);
	s->set = set;
	if (!same && !s->quiet)
		s->j->c.changed(s->j->c.ctx);
}

/* ---- files ---- */

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

static void
look(struct source *s)
{
	const char *path = s->url + 5;
	struct sl_diag diag = {0};
	char *text = NULL, why[300];
	struct stat st;
	size_t len;

	if (stat(path, &st) != 0) {
		memset(&s->known, 0, sizeof(s->known));
		snprintf(why, sizeof(why), "%s", strerror(errno));
		in_trouble(s, why);
		return;
	}
	if (same_file(&st, &s->known))
		return;
	s->known = st;
	int err = sl_disk_read(path, SL_JWKS_BYTES, &text, &len, &diag);
	if (err) {
		snprintf(why, sizeof(why), "%s", diag.cnt ? diag.items[0].text : strerror(-err));
		in_trouble(s, why);
	} else {
		take(s, text, len);
	}
	sl_diag_fini(&diag);
	free(text);
}

/* ---- URLs ---- */

static void
on_done(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct source *s = ctx;
	char why[400];

	s->call = NULL;
	if (status == 200) {
		take(s, body, len);
	} else {
		if (status == SL_WEB_TOO_LONG)
			snprintf(why, sizeof(why), "the answer is longer than %u bytes",
				 SL_JWKS_BYTES);
		else if (status)
			snprintf(why, sizeof(why), "the answer is %d%s", status,
				 status / 100 == 3 ? ": redirects are not followed" : "");
		else
			snprintf(why, sizeof(why), "%s", error);
		in_trouble(s, why);
	}
	if (s->trouble_ms)
		s->retry_ms = SL_MIN(s->retry_ms ? 2 * s->retry_ms : RETRY_MS, s->interval_ms);
	uv_timer_start(&s->timer, s->timer.timer_cb, s->trouble_ms ? s->retry_ms : s->interval_ms,
		       0);
}

static void
fetch(struct source *s)
{
	const struct sl_web_header accept = {"accept",
					     "application/jwk-set+json, application/json"};
	const struct sl_web_request r = {
		.method = "GET",
		.url = s->url,
		.headers = &accept,
		.header_cnt = 1,
		.ca = s->ca,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.max_body = SL_JWKS_BYTES,
		.done = on_done,
		.ctx = s,
	};

	int err = s->call ? 0 : sl_web_start(s->j->web, &r, &s->call);
	if (err) {
		in_trouble(s, err == -EINVAL ? "is no URL that can be asked" : "no memory");
		uv_timer_start(&s->timer, s->timer.timer_cb, s->interval_ms, 0);
	}
}

/* ---- sources ---- */

static void
on_timer(uv_timer_t *t)
{
	struct source *s = t->data;

	if (is_file(s))
		look(s);
	else
		fetch(s);
}

static void
on_closed(uv_handle_t *h)
{
	struct source *s = h->data;

	sl_jwks_set_unref(s->set);
	free(s->url);
	free(s->ca);
	free(s);
}

static void
drop(struct source *s)
{
	if (s->call)
		sl_web_cancel(s->call);
	s->call = NULL;
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

/* What was read before this process began. */
static void
load(struct source *s)
{
	struct sl_diag diag = {0};
	char path[700], why[SL_JWKS_WHY], *text = NULL;
	struct stat st;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s.json", s->j->dir, s->sum);
	if (sl_disk_read(path, SL_JWKS_BYTES, &text, &len, &diag) == 0 && stat(path, &st) == 0 &&
	    sl_jwks_read(text, len, why, &s->set) == 0)
		s->good_ms = (int64_t)st.st_mtim.tv_sec * 1000;
	sl_diag_fini(&diag);
	free(text);
}

static struct source *
find(const struct sl_jwks *j, const struct sl_conf_jwt *issuer)
{
	const char *ca = issuer->ca ? issuer->ca : "";

	for (struct source *s = j->sources; s; s = s->next)
		if (strcmp(s->url, issuer->jwks) == 0 && strcmp(s->ca, ca) == 0)
			return s;
	return NULL;
}

static void
name_of(struct source *s)
{
	size_t url = strlen(s->url) + 1, ca = strlen(s->ca);
	char *both = malloc(url + ca + 1);

	if (both) {
		memcpy(both, s->url, url);
		memcpy(both + url, s->ca, ca + 1);
		sl_disk_sum(both, url + ca, s->sum);
	}
	free(both);
}

/* NULL: no memory. */
static struct source *
find_or_make(struct sl_jwks *j, const struct sl_conf_jwt *issuer)
{
	struct source *s = find(j, issuer);

	if (s || !(s = calloc(1, sizeof(*s))))
		return s;
	s->j = j;
	s->url = strdup(issuer->jwks);
	s->ca = strdup(issuer->ca ? issuer->ca : "");
	if (!s->url || !s->ca) {
		free(s->url);
		free(s->ca);
		free(s);
		return NULL;
	}
	s->interval_ms = issuer->interval_ms;
	name_of(s);
	load(s);
	uv_timer_init(j->c.loop, &s->timer);
	s->timer.data = s;
	s->next = j->sources;
	j->sources = s;
	if (is_file(s)) {
		s->quiet = true;
		look(s);
		s->quiet = false;
		uv_timer_start(&s->timer, on_timer, FILE_MS, FILE_MS);
	} else {
		uv_timer_start(&s->timer, on_timer, 0, 0);
	}
	return s;
}

void
sl_jwks_table(struct sl_jwks *j, const struct sl_conf *c)
{
	for (struct source *s = j->sources; s; s = s->next)
		s->used = false;
	for (uint32_t i = 0; i < c->jwt_cnt; i++) {
		struct source *s = find_or_make(j, &c->jwts[i]);
		if (!s)
			continue;
		s->interval_ms = s->used ? SL_MIN(s->interval_ms, c->jwts[i].interval_ms)
					 : c->jwts[i].interval_ms;
		s->used = true;
	}
	for (struct source **at = &j->sources; *at;) {
		struct source *s = *at;
		if (s->used) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		drop(s);
	}
}

void
sl_jwks_fill(struct sl_jwks *j, struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->jwt_cnt; i++) {
		struct source *s = find_or_make(j, &c->jwts[i]);
		sl_jwks_lend(s ? s->set : NULL, &c->jwts[i]);
	}
}

bool
sl_jwks_settled(const struct sl_jwks *j)
{
	for (const struct source *s = j->sources; s; s = s->next)
		if (!s->spoken)
			return false;
	return true;
}

int
sl_jwks_find(const struct sl_jwks *j, const struct sl_conf_jwt *issuer, struct sl_jwks_status *ret)
{
	const struct source *s = find(j, issuer);

	if (!s)
		return -ENOENT;
	*ret = (struct sl_jwks_status){s->url,   s->set,      s->good_ms, s->trouble_ms,
				       s->reads, s->troubles, s->why};
	return 0;
}

/* ---- life ---- */

int
sl_jwks_create(const struct sl_jwks_conf *conf, struct sl_diag *diag, struct sl_jwks **ret)
{
	struct sl_jwks *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->c = *conf;
	snprintf(j->dir, sizeof(j->dir), "%s/jwks", conf->state_dir);
	int err = sl_disk_mkdir(j->dir, diag);
	if (!err && !(j->web = sl_web_get(conf->loop)))
		err = -ENOMEM;
	if (err) {
		free(j);
		return err;
	}
	*ret = j;
	return 0;
}

void
sl_jwks_destroy(struct sl_jwks *j)
{
	if (!j)
		return;
	for (struct source *s = j->sources, *next; s; s = next) {
		next = s->next;
		drop(s);
	}
	sl_web_put(j->web);
	free(j);
}

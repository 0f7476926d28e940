#include "dataplane/tls_main.h"

#include "dataplane/vault.h"
#include "dataplane/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 1024          /* of a worker; touched as they are needed */
#define KEYS 4096              /* expanded keys of a worker: 4 MiB */
#define PEER_KB_MIN 1024       /* of a worker; and 128 bytes for each session */
#define ENDPOINT_SESSIONS 4096 /* tickets of endpoints that an engine keeps */

/* ---- boot ---- */

int
sl_tls_main_vault(struct sl_tls_main *m, struct sl_boot *boot, struct sl_diag *errors,
		  struct sl_diag *notes)
{
	char text[SL_VAULT_TEXT];

	m->key_log = -1;
	if (boot->tls_sessions == 0 || boot->tcp_streams == 0) {
		snprintf(m->off, sizeof(m->off), "%s is 0 in its boot file",
			 boot->tcp_streams ? "tls.sessions" : "tcp.streams");
		boot->tls_sessions = 0;
		return 0;
	}
	int err = sl_vault_open((uint64_t)boot->tls_memory_mb << 20, text);
	if (!err)
		return 0;
	sl_diag_add(boot->tls_line ? errors : notes, boot->file, boot->tls_line, "tls",
		    "or set tls.sessions = 0, for none", "%s%s",
		    boot->tls_line ? "" : "no TLS: ", text);
	snprintf(m->off, sizeof(m->off), "%s", text);
	boot->tls_sessions = 0;
	return boot->tls_line ? err : 0;
}

/* ---- key log ---- */

#ifndef NDEBUG
static void
log_line(void *ctx, const char *line)
{
	const struct sl_tls_main *m = ctx;
	const struct iovec v[] = {{(void *)(uintptr_t)line, strlen(line)}, {"\n", 1}};

	(void)!writev(m->key_log, v, 2); /* appended in one piece, by whichever thread */
}
#endif

static int
open_key_log(struct sl_tls_main *m, const struct sl_boot *boot, struct sl_hs_conf *hs,
	     struct sl_diag *diag)
{
	if (!boot->tls_key_log[0])
		return 0;
#ifdef NDEBUG
	(void)m;
	(void)hs;
	(void)diag;
	return -EPERM; /* the boot file was refused */
#else
	m->key_log = open(boot->tls_key_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			  0600);
	if (m->key_log < 0) {
		sl_diag_add(diag, boot->file, boot->tls_line, "tls.key_log", NULL, "%s: %s",
			    boot->tls_key_log, strerror(errno));
		return -EIO;
	}
	hs->key_log = true;
	hs->key_log_fn = log_line;
	hs->key_log_ctx = m;
	return 0;
#endif
}

/* ---- up and down ---- */

/* Whether records can be made here: workers cannot say. */
static int
try_records(struct sl_diag *diag)
{
	size_t bytes = sl_record_bytes(16);
	void *mem = sl_vault_map(bytes);
	const char *why = "no memory can be locked: raise RLIMIT_MEMLOCK";
	struct sl_record_engine *e = mem ? sl_record_init(mem, 16, &why) : NULL;

	if (e)
		sl_record_fini(e);
	else
		sl_diag_add(diag, NULL, 0, NULL, "or set tls.sessions = 0, for no TLS", "TLS: %s",
			    why);
	sl_vault_unmap(mem, bytes);
	return e ? 0 : -ENOTSUP;
}

static int
make_handshakers(struct sl_tls_main *m, const struct sl_boot *boot, const void *set,
		 uint64_t ticks_per_s, struct sl_diag *diag)
{
	static const struct sl_handshaker_ops ops = {sl_hs_create, sl_hs_step, sl_hs_destroy};
	char text[SL_HANDSHAKERS_TEXT];
	struct sl_handshakers_conf conf = {
		.worker_cnt = boot->worker_cnt,
		.thread_cnt = (unsigned)boot->tls_threads,
		.jobs = SL_MIN((uint32_t)boot->tls_handshakes, (uint32_t)JOBS_MAX),
		.budget_ticks = ticks_per_s / 1000000 * (uint64_t)boot->tls_budget_us,
		.cpu_cnt = boot->tls_cpu_cnt,
		.cpus = boot->tls_cpus,
		.set = set,
		.hs = {.board = &m->board,
		       .fallback = boot->tls_records == SL_RECORDS_OPENSSL,
		       .sessions = ENDPOINT_SESSIONS},
		.ops = &ops,
	};
	int err = open_key_log(m, boot, &conf.hs, diag);

	if (err)
		return err;
	err = sl_handshakers_create(&conf, &m->handshakers, text);
	if (err)
		sl_diag_add(diag, NULL, 0, NULL, NULL, "TLS: %s", text);
	return err;
}

int
sl_tls_main_up(struct sl_tls_main *m, const struct sl_boot *boot, const void *set,
	       uint64_t ticks_per_s, struct sl_diag *diag)
{
	if (boot->tls_sessions == 0)
		return 0;
	int err = try_records(diag);
	if (err)
		return err;
	sl_board_init(&m->board);
	m->keyring = sl_keyring_create();
	if (!m->keyring) {
		sl_diag_add(diag, NULL, 0, NULL, NULL,
			    "TLS: OpenSSL has no memory or no randomness");
		err = -EIO;
	} else {
		err = make_handshakers(m, boot, set, ticks_per_s, diag);
	}
	if (err)
		sl_tls_main_down(m);
	return err;
}

int
sl_tls_main_worker(struct sl_tls_main *m, const struct sl_boot *boot, unsigned id,
		   struct sl_worker_tls *ret, struct sl_diag *diag)
{
	if (!m->keyring)
		return 0;
	struct sl_worker_tls t = {
		.sessions = (uint32_t)boot->tls_sessions,
		.handshakes = (uint32_t)boot->tls_handshakes,
		.jobs = SL_MIN((uint32_t)boot->tls_handshakes, (uint32_t)JOBS_MAX),
		.keys = KEYS,
		.peer_kb = SL_MAX((uint32_t)boot->tls_sessions / 8, (uint32_t)PEER_KB_MIN),
		.steps = sl_handshakers_worker(m->handshakers, id),
		.now_s = sl_handshakers_now_s,
	};
	const struct sl_tls_conf conf = {.sessions = t.sessions,
					 .handshakes = t.handshakes,
					 .jobs = t.jobs,
					 .keys = t.keys,
					 .peer_kb = t.peer_kb};
	size_t bytes = sl_tls_bytes(&conf);

	t.mem = sl_vault_map(bytes);
	if (!t.mem) {
		sl_diag_add(diag, NULL, 0, NULL, "lower tls.sessions, or raise RLIMIT_MEMLOCK",
			    "TLS: worker %u: %zu MB of memory cannot be locked: %s", id,
			    bytes >> 20, strerror(errno));
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void
sl_tls_main_stop(struct sl_tls_main *m)
{
	sl_handshakers_stop(m->handshakers);
}

void
sl_tls_main_down(struct sl_tls_main *m)
{
	if (m->board.now || m->keyring || m->handshakers) {
		sl_handshakers_destroy(m->handshakers);
		sl_board_fini(&m->board);
		sl_keyring_destroy(m->keyring);
	}
	if (m->key_log >= 0)
		close(m->key_log);
	m->handshakers = NULL;
	m->keyring = NULL;
	m->key_log = -1;
}

void
sl_tls_main_turn(struct sl_tls_main *m)
{
	struct timespec ts;

	if (m->handshakers && clock_gettime(CLOCK_REALTIME_COARSE, &ts) == 0)
		sl_handshakers_now(m->handshakers, ts.tv_sec);
}

/* ---- a view as the builder is given it ---- */

static bool
listener_source(const struct sl_view *v, uint32_t i, struct sl_book_source *ret)
{
	const struct sl_img_tls_listener *t = sl_view_tls(v, i);

	*ret = (struct sl_book_source){
		.listener = &v->listeners[i],
		.slot = v->listeners[i].slot,
		.incarnation = (uint16_t)v->listeners[i].incarnation,
		.tls_listener = t,
		.names = v->tls_names,
		.sans = v->tls_sans,
	};
	return t;
}

static bool
service_source(const struct sl_view *v, uint32_t i, struct sl_book_source *ret)
{
	const struct sl_img_tls_service *t = sl_view_service_tls(v, i);

	*ret = (struct sl_book_source){
		.service = v->services[i].img,
		.slot = v->services[i].slot,
		.incarnation = (uint16_t)v->services[i].incarnation,
		.tls_service = t,
		.sans = t ? sl_view_service_sans(t) : NULL,
	};
	return t;
}

/* All that speak TLS; NULL: no memory.  To be freed. */
static struct sl_book_source *
sources_of(const struct sl_view *v, uint32_t *ret_cnt)
{
	struct sl_book_source *s =
		malloc(((size_t)v->listener_cnt + v->service_cnt + 1) * sizeof(*s));
	uint32_t n = 0;

	for (uint32_t i = 0; s && i < v->listener_cnt; i++)
		n += listener_source(v, i, &s[n]);
	for (uint32_t i = 0; s && i < v->service_cnt; i++)
		n += service_source(v, i, &s[n]);
	*ret_cnt = n;
	return s;
}

static bool
source_names(const struct sl_book_source *s, uint32_t kind, const char *name)
{
	if (kind == SL_SECRET_TICKETS)
		return true;
	if (s->listener) {
		const struct sl_img_tls_listener *t = s->tls_listener;
		uint32_t first = kind == SL_SECRET_PAIR ? t->cert_first : t->trust_first;
		uint32_t cnt = kind == SL_SECRET_PAIR ? t->cert_cnt : t->trust_cnt;
		for (uint32_t i = first; i < first + cnt; i++)
			if (strcmp(s->names[i].name, name) == 0)
				return true;
		return false;
	}
	if (kind == SL_SECRET_PAIR)
		return strcmp(s->tls_service->certificate, name) == 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(s->tls_service->trust); i++)
		if (strcmp(s->tls_service->trust[i], name) == 0)
			return true;
	return false;
}

/* Who names a secret; false: nobody. */
static bool
user_of(const struct sl_view *v, uint32_t kind, const char *name, struct sl_book_source *ret)
{
	for (uint32_t i = 0; v && i < v->listener_cnt; i++)
		if (listener_source(v, i, ret) && source_names(ret, kind, name))
			return true;
	for (uint32_t i = 0; v && i < v->service_cnt; i++)
		if (service_source(v, i, ret) && source_names(ret, kind, name))
			return true;
	return false;
}

/* ---- books ---- */

static void
refuse_all(const struct sl_tls_main *m, const struct sl_book_source *s, uint32_t cnt,
	   struct sl_diag *diag)
{
	for (uint32_t i = 0; i < cnt; i++)
		sl_diag_add(diag, NULL, 0, NULL, NULL,
			    "%s \"%.63s\" has tls, and this dataplane does none: %s",
			    s[i].listener ? "listener" : "service",
			    s[i].listener ? s[i].listener->name : s[i].service->name, m->off);
}

int
sl_tls_main_ready(void *tls_main, const struct sl_view *view, struct sl_diag *diag)
{
	struct sl_tls_main *m = tls_main;
	struct sl_book *book = NULL;
	uint32_t cnt;
	struct sl_book_source *s = sources_of(view, &cnt);
	int err = s ? 0 : -ENOMEM;

	if (s && !m->keyring) {
		refuse_all(m, s, cnt, diag);
		err = cnt ? -EINVAL : 0;
	} else if (s) {
		book = sl_book_build(m->keyring, s, cnt, m->version + 1, diag);
		err = book ? 0 : -EINVAL;
	}
	if (book) {
		m->version++;
		sl_board_set(&m->board, book);
	}
	free(s);
	return err;
}

/* ---- secrets ---- */

static int
is_off(const struct sl_tls_main *m, char ret_text[SL_TLS_TEXT])
{
	snprintf(ret_text, SL_TLS_TEXT, "this dataplane does no TLS: %.200s", m->off);
	return -ENOTSUP;
}

/* What the keyring has of that name; never looked into. */
static const void *
held(struct sl_tls_main *m, uint32_t kind, const char *name)
{
	if (kind == SL_SECRET_PAIR)
		return sl_keyring_pair(m->keyring, name);
	return kind == SL_SECRET_TRUST ? sl_keyring_trust(m->keyring, name) : NULL;
}

/* A secret of the active generation has changed. */
static int
renew(struct sl_tls_main *m, const struct sl_view *view, char ret_text[SL_TLS_TEXT])
{
	struct sl_diag diag = {0};
	int err = sl_tls_main_ready(m, view, &diag);

	if (err)
		snprintf(ret_text, SL_TLS_TEXT, "it is held, but not in use yet: %.180s",
			 diag.cnt ? diag.items[0].text : strerror(-err));
	sl_diag_fini(&diag);
	return err;
}

int
sl_tls_main_secret(struct sl_tls_main *m, const struct sl_view *view, uint32_t kind,
		   const char *name, const void *secret, size_t bytes, char ret_text[SL_TLS_TEXT])
{
	struct sl_book_source user;

	if (!m->keyring)
		return is_off(m, ret_text);
	const void *before = held(m, kind, name);
	int err = sl_keyring_put(m->keyring, kind, name, secret, bytes, ret_text);
	if (err || (before && before == held(m, kind, name))) /* the same as before */
		return err;
	return user_of(view, kind, name, &user) ? renew(m, view, ret_text) : 0;
}

int
sl_tls_main_forget(struct sl_tls_main *m, const struct sl_view *view, uint32_t kind,
		   const char *name, char ret_text[SL_TLS_TEXT])
{
	struct sl_book_source user;

	if (!m->keyring)
		return is_off(m, ret_text);
	bool used = user_of(view, kind, name, &user);
	if (used && kind != SL_SECRET_TICKETS) {
		snprintf(ret_text, SL_TLS_TEXT, "%s \"%.63s\" of the active table uses it",
			 user.listener ? "listener" : "service",
			 user.listener ? user.listener->name : user.service->name);
		return -EBUSY;
	}
	int err = sl_keyring_drop(m->keyring, kind, name);
	if (err) {
		snprintf(ret_text, SL_TLS_TEXT, "it is not here");
		return err;
	}
	return used ? renew(m, view, ret_text) : 0; /* tickets: by own keys again */
}

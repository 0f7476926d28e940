/* tls_main: secrets and views in, books on the board; what is refused, and in which words. */
#include "dataplane/tls_main.h"

#include "dataplane/vault.h"
#include "dataplane/worker.h"
#include "tests/dataplane/image_build.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static char text[SL_TLS_TEXT];

/* ---- what there is ---- */

static const struct sl_test_endpoint eps[] = {{.addr = "10.0.0.11:80"}};
static const struct sl_test_address addresses[] = {{"p0", "10.0.0.1/24"}, {0}};
static const struct sl_test_tls front = {.certs = {"shop", "wild"}},
				mutual = {.img = {.client = SL_TLS_CLIENT_REQUIRED},
					  .certs = {"wild"},
					  .trust = {"mesh"}};
static const struct sl_test_service_tls back = {.img = {.verify = 1,
							.server_name = "web.internal",
							.certificate = "gw",
							.trust = {"mesh"}}};
static const struct sl_test_service services[] = {
	{.name = "web", .endpoints = eps, .endpoint_cnt = 1, .forward = SL_FORWARD_PROXY},
	{.name = "mtls",
	 .endpoints = (const struct sl_test_endpoint[]){{.addr = "10.0.0.12:80"}},
	 .endpoint_cnt = 1,
	 .forward = SL_FORWARD_PROXY,
	 .tls = &back},
	{0}};
static const struct sl_test_listener with_tls[] = {
	{.addr = "203.0.113.10:443", .service = "web", .name = "front", .tls = &front},
	{.addr = "203.0.113.10:444", .service = "mtls", .name = "mutual", .tls = &mutual},
	{.addr = "203.0.113.10:80", .service = "web", .name = "plain"},
	{0}};
static const struct sl_test_listener plain[] = {{.addr = "203.0.113.10:80", .service = "web"}, {0}};
static const struct sl_test_service plain_services[] = {
	{.name = "web", .endpoints = eps, .endpoint_cnt = 1, .forward = SL_FORWARD_PROXY}, {0}};

struct rig {
	struct sl_tls_main m;
	struct sl_boot boot;
	struct sl_view *tls, *plain;
};

static void
rig_up(struct rig *r, int sessions, int threads)
{
	const struct sl_test_conf a = {
		.addresses = addresses, .services = services, .listeners = with_tls};
	const struct sl_test_conf b = {
		.addresses = addresses, .services = plain_services, .listeners = plain};
	struct sl_diag diag = {0};

	*r = (struct rig){.m = {.key_log = -1},
			  .boot = {.worker_cnt = 2,
				   .tcp_streams = 1000,
				   .tls_sessions = sessions,
				   .tls_handshakes = 64,
				   .tls_threads = threads,
				   .tls_budget_us = 100,
				   .tls_memory_mb = 64}};
	r->tls = sl_test_view(&a);
	r->plain = sl_test_view(&b);
	if (sessions == 0)
		strcpy(r->m.off, "tls.sessions is 0 in its boot file");
	if (sl_tls_main_up(&r->m, &r->boot, NULL, 2000000000, &diag))
		abort();
	sl_diag_fini(&diag);
}

static void
rig_down(struct rig *r)
{
	sl_tls_main_stop(&r->m);
	sl_tls_main_down(&r->m);
	sl_tls_main_down(&r->m);
	sl_test_view_free(r->tls);
	sl_test_view_free(r->plain);
}

/* Puts a new certificate, or bundle, of that name; active: what is published, or NULL. */
static int
put(struct rig *r, const struct sl_view *active, uint32_t kind, const char *name)
{
	struct tls_cert *c = kind == SL_SECRET_TRUST
				     ? tls_cert_ca(name)
				     : tls_cert_leaf(NULL, TLS_CERT_EC, "a.example");
	size_t bytes;
	void *secret = kind == SL_SECRET_TRUST ? tls_secret_trust(&c, 1, &bytes)
					       : tls_secret_pair(c, &bytes);
	int err = sl_tls_main_secret(&r->m, active, kind, name, secret, bytes, text);

	free(secret);
	tls_cert_free(c);
	return err;
}

static void
put_all(struct rig *r)
{
	CU_ASSERT_EQUAL(put(r, NULL, SL_SECRET_PAIR, "shop"), 0);
	CU_ASSERT_EQUAL(put(r, NULL, SL_SECRET_PAIR, "wild"), 0);
	CU_ASSERT_EQUAL(put(r, NULL, SL_SECRET_PAIR, "gw"), 0);
	CU_ASSERT_EQUAL(put(r, NULL, SL_SECRET_TRUST, "mesh"), 0);
}

static const struct sl_img_listener *
tls_listener(const struct sl_view *v)
{
	uint32_t i = 0;

	while (!sl_view_tls(v, i))
		i++;
	return &v->listeners[i];
}

/* Whether the view is refused for exactly these reasons. */
static void
refused(struct rig *r, const struct sl_view *v, const char *const *says, unsigned cnt)
{
	struct sl_diag diag = {0};

	CU_ASSERT_EQUAL(sl_tls_main_ready(&r->m, v, &diag), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, cnt);
	for (unsigned i = 0; i < SL_MIN(diag.cnt, cnt); i++)
		if (!strstr(diag.items[i].text, says[i])) {
			printf("says: %s\n", diag.items[i].text);
			CU_FAIL("another reason");
		}
	sl_diag_fini(&diag);
}

/* ---- generations ---- */

static void
a_generation_is_ready_once_all_it_names_is_here(void)
{
	static const char *const says[] = {"listener \"front\": certificate \"wild\" is not here",
					   "listener \"mutual\": certificate \"wild\" is not here",
					   "listener \"mutual\": trust bundle \"mesh\" is not here",
					   "service \"mtls\": certificate \"gw\" is not here",
					   "service \"mtls\": trust bundle \"mesh\" is not here"};
	struct rig r;

	rig_up(&r, 64, 1);
	CU_ASSERT_EQUAL(put(&r, NULL, SL_SECRET_PAIR, "shop"), 0);
	refused(&r, r.tls, says, SL_ARRAY_CNT(says));
	CU_ASSERT_PTR_NULL(r.m.board.now);
	put_all(&r);
	CU_ASSERT_PTR_NULL(r.m.board.now); /* nobody names them yet */
	CU_ASSERT_EQUAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
	struct sl_book *b = sl_board_take(&r.m.board);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL(b->version, 1);
	CU_ASSERT_EQUAL(b->listener_cnt, 2);
	CU_ASSERT_EQUAL(b->service_cnt, 1);
	const struct sl_img_listener *l = tls_listener(r.tls);
	CU_ASSERT_PTR_NOT_NULL(sl_book_listener(b, l->slot, (uint16_t)l->incarnation));
	CU_ASSERT_STRING_EQUAL(b->services[0].img.server_name, "web.internal");
	CU_ASSERT_STRING_EQUAL(b->services[0].pair->name, "gw");
	sl_book_put(b);
	CU_ASSERT_EQUAL(sl_tls_main_ready(&r.m, r.plain, NULL), 0);
	CU_ASSERT_EQUAL(r.m.board.now->listener_cnt, 0);
	CU_ASSERT_EQUAL(r.m.board.version, 2);
	rig_down(&r);
}

static void
without_tls_a_table_that_has_some_is_refused_with_the_reason(void)
{
	static const char *const says[] = {
		"listener \"front\" has tls, and this dataplane does none: tls.sessions is 0",
		"listener \"mutual\" has tls", "service \"mtls\" has tls"};
	struct rig r;
	struct sl_worker_tls w = {0};

	rig_up(&r, 0, 1);
	refused(&r, r.tls, says, SL_ARRAY_CNT(says));
	CU_ASSERT_EQUAL(sl_tls_main_ready(&r.m, r.plain, NULL), 0);
	CU_ASSERT_EQUAL(put(&r, NULL, SL_SECRET_PAIR, "shop"), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "does no TLS: tls.sessions is 0"));
	CU_ASSERT_EQUAL(sl_tls_main_forget(&r.m, r.plain, SL_SECRET_PAIR, "shop", text), -ENOTSUP);
	CU_ASSERT_EQUAL(sl_tls_main_worker(&r.m, &r.boot, 0, &w, NULL), 0);
	CU_ASSERT_EQUAL(w.sessions, 0);
	sl_tls_main_turn(&r.m);
	rig_down(&r);
}

/* ---- secrets ---- */

static void
a_secret_that_is_in_use_and_changed_is_used_at_once(void)
{
	struct rig r;

	rig_up(&r, 64, 1);
	put_all(&r);
	CU_ASSERT_EQUAL_FATAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
	const struct sl_pair *before = r.m.board.now->listeners[0].pairs[0];
	CU_ASSERT_EQUAL(put(&r, r.tls, SL_SECRET_PAIR, "shop"), 0);
	CU_ASSERT_EQUAL(r.m.board.version, 2);
	CU_ASSERT_PTR_NOT_EQUAL(r.m.board.now->listeners[0].pairs[0], before);
	CU_ASSERT_EQUAL(put(&r, r.tls, SL_SECRET_TRUST, "mesh"), 0);
	CU_ASSERT_EQUAL(r.m.board.version, 3);
	CU_ASSERT_EQUAL(put(&r, r.tls, SL_SECRET_PAIR, "nobody"), 0);
	CU_ASSERT_EQUAL(put(&r, r.tls, SL_SECRET_TRUST, "shop"), 0); /* of the other kind */
	CU_ASSERT_EQUAL(r.m.board.version, 3);

	struct tls_cert *c = tls_cert_leaf(NULL, TLS_CERT_EC, "b.example");
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);
	for (unsigned i = 0; i < 2; i++) { /* the second time it is the same */
		CU_ASSERT_EQUAL(
			sl_tls_main_secret(&r.m, r.tls, SL_SECRET_PAIR, "gw", secret, bytes, text),
			0);
		CU_ASSERT_EQUAL(r.m.board.version, 4);
	}
	free(secret);
	tls_cert_free(c);
	const struct sl_ticket_key key = tls_ticket_key(5);
	secret = tls_secret_tickets(&key, 1, &bytes);
	CU_ASSERT_EQUAL(
		sl_tls_main_secret(&r.m, r.tls, SL_SECRET_TICKETS, "tickets", secret, bytes, text),
		0);
	CU_ASSERT_EQUAL(r.m.board.version, 5);
	CU_ASSERT_EQUAL(memcmp(r.m.board.now->tickets, &key, sizeof(key)), 0);
	((uint8_t *)secret)[0] ^= 1;
	CU_ASSERT_EQUAL(
		sl_tls_main_secret(&r.m, r.tls, SL_SECRET_TICKETS, "tickets", secret, bytes, text),
		-EINVAL);
	CU_ASSERT_EQUAL(r.m.board.version, 5);
	free(secret);
	CU_ASSERT_EQUAL(sl_tls_main_forget(&r.m, r.tls, SL_SECRET_TICKETS, "tickets", text), 0);
	CU_ASSERT_EQUAL(r.m.board.version, 6);
	CU_ASSERT_NOT_EQUAL(memcmp(r.m.board.now->tickets, &key, sizeof(key)), 0);
	rig_down(&r);
}

static void
what_the_active_table_names_is_not_forgotten(void)
{
	static const struct {
		uint32_t kind;
		const char *name;
		bool active; /* the table is */
		int err;
		const char *says;
	} rows[] = {
		{SL_SECRET_PAIR, "shop", true, -EBUSY,
		 "listener \"front\" of the active table uses it"},
		{SL_SECRET_PAIR, "gw", true, -EBUSY,
		 "service \"mtls\" of the active table uses it"},
		{SL_SECRET_TRUST, "mesh", true, -EBUSY, "listener \"mutual\""},
		{SL_SECRET_TRUST, "shop", true, -ENOENT, "it is not here"},
		{SL_SECRET_PAIR, "other", true, -ENOENT, "it is not here"},
		{SL_SECRET_PAIR, "shop", false, 0, ""},
		{SL_SECRET_PAIR, "shop", false, -ENOENT, "it is not here"},
		{SL_SECRET_TICKETS, "tickets", true, -ENOENT, "it is not here"},
	};
	struct rig r;

	rig_up(&r, 64, 1);
	put_all(&r);
	CU_ASSERT_EQUAL_FATAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		text[0] = 0;
		CU_ASSERT_EQUAL(sl_tls_main_forget(&r.m, rows[i].active ? r.tls : r.plain,
						   rows[i].kind, rows[i].name, text),
				rows[i].err);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, rows[i].says));
	}
	CU_ASSERT_EQUAL(r.m.board.version, 1);
	rig_down(&r);
}

/* ---- workers ---- */

/* A job for somebody who does not speak TLS, there and back. */
static void
refuse_noise(struct rig *r, unsigned worker)
{
	struct sl_worker_tls w = {0};
	struct sl_hs_job *job = sl_vault_map(sizeof(*job));
	const struct sl_img_listener *l = tls_listener(r->tls);
	struct sl_hs_job *done = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_tls_main_worker(&r->m, &r->boot, worker, &w, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.mem);
	CU_ASSERT_EQUAL((uintptr_t)w.mem % 64, 0);
	CU_ASSERT_EQUAL(w.sessions, 64);
	CU_ASSERT_TRUE(w.jobs >= 1 && w.jobs <= w.handshakes);
	sl_tls_main_turn(&r->m);
	int64_t now_s = w.now_s(w.steps.ctx);
	CU_ASSERT_TRUE(now_s > time(NULL) - 100 && now_s <= time(NULL));
	job->op = SL_HS_SERVER;
	job->slot = l->slot;
	job->incarnation = (uint16_t)l->incarnation;
	job->now_s = now_s;
	job->in_len = 18;
	memcpy(job->in, "GET / HTTP/1.1\r\n\r\n", 18);
	CU_ASSERT_TRUE_FATAL(w.steps.submit(w.steps.ctx, job));
	time_t until = time(NULL) + 20;
	while (!done && time(NULL) < until) {
		done = w.steps.poll(w.steps.ctx);
		sched_yield();
	}
	CU_ASSERT_PTR_EQUAL(done, job);
	CU_ASSERT_EQUAL(job->state, SL_HS_FAILED);
	CU_ASSERT_EQUAL(job->fail, SL_TLS_CNT_FAIL_PROTOCOL);
	sl_vault_unmap(job, sizeof(*job));
	const struct sl_tls_conf conf = {.sessions = w.sessions,
					 .handshakes = w.handshakes,
					 .jobs = w.jobs,
					 .keys = w.keys,
					 .peer_kb = w.peer_kb};
	sl_vault_unmap(w.mem, sl_tls_bytes(&conf));
}

static void
workers_get_memory_a_clock_and_somebody_who_handshakes(void)
{
	for (int threads = 0; threads < 3; threads++) {
		struct rig r;
		rig_up(&r, 64, threads);
		put_all(&r);
		CU_ASSERT_EQUAL_FATAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
		refuse_noise(&r, 0);
		refuse_noise(&r, 1);
		rig_down(&r);
	}
}

struct client {
	pthread_t thread;
	struct rig *r;
	unsigned worker, done, failed;
};

static bool
step(const struct sl_tls_steps *s, struct sl_hs_job *job)
{
	time_t until = time(NULL) + 20;

	if (!s->submit(s->ctx, job))
		return false;
	while (!s->poll(s->ctx))
		if (time(NULL) >= until)
			return false;
		else
			sched_yield();
	return true;
}

/* One handshake from ClientHello to DONE. */
static bool
handshake(const struct sl_tls_steps *s, const struct sl_img_listener *l, SSL_CTX *ctx,
	  struct sl_hs_job *job)
{
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	job->hs = NULL;
	job->op = SL_HS_SERVER;
	job->state = SL_HS_MORE;
	job->slot = l->slot;
	job->incarnation = (uint16_t)l->incarnation;
	job->now_s = time(NULL);
	for (unsigned i = 0; i < 10 && job->state == SL_HS_MORE; i++) {
		(void)SSL_do_handshake(ssl);
		int n = BIO_read(out, job->in, SL_HS_IN);
		job->in_len = n > 0 ? (uint32_t)n : 0;
		if (!step(s, job))
			break;
		if (job->out_len)
			BIO_write(in, job->out, (int)job->out_len);
		job->op = SL_HS_FEED;
	}
	SSL_free(ssl);
	return job->state == SL_HS_DONE;
}

static void *
run_client(void *arg)
{
	struct client *c = arg;
	struct sl_tls_steps s = sl_handshakers_worker(c->r->m.handshakers, c->worker);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct sl_hs_job *job = calloc(1, sizeof(*job));

	for (unsigned i = 0; ctx && job && i < 60; i++)
		if (handshake(&s, tls_listener(c->r->tls), ctx, job))
			c->done++;
		else
			c->failed++;
	free(job);
	SSL_CTX_free(ctx);
	return NULL;
}

static void
certificates_are_replaced_while_workers_handshake(void)
{
	struct rig r;
	struct client c[2];

	rig_up(&r, 64, 2);
	put_all(&r);
	CU_ASSERT_EQUAL_FATAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
		c[i] = (struct client){.r = &r, .worker = i};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&c[i].thread, NULL, run_client, &c[i]), 0);
	}
	for (unsigned i = 0; i < 60; i++) {
		CU_ASSERT_EQUAL(put(&r, r.tls, SL_SECRET_PAIR, i % 2 ? "shop" : "wild"), 0);
		CU_ASSERT_EQUAL(sl_tls_main_ready(&r.m, r.tls, NULL), 0);
		sl_tls_main_turn(&r.m);
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
		pthread_join(c[i].thread, NULL);
		CU_ASSERT_EQUAL(c[i].done, 60);
		CU_ASSERT_EQUAL(c[i].failed, 0);
	}
	CU_ASSERT_EQUAL(r.m.board.version, 121);
	rig_down(&r);
}

/* ---- the process; each in a child: what it changes stays changed ---- */

struct outcome {
	int err;
	int sessions;
	unsigned errors, notes;
	char text[300];
};

static struct outcome
vault_in_child(int sessions, bool in_file, bool may_lock)
{
	struct outcome o = {0};
	int p[2];

	if (pipe(p))
		abort();
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct sl_tls_main m = {0};
		struct sl_boot b = {.file = (char *)(uintptr_t) "boot.conf",
				    .tcp_streams = 100,
				    .tls_sessions = sessions,
				    .tls_memory_mb = 16,
				    .tls_line = in_file ? 7 : 0};
		struct sl_diag errors = {0}, notes = {0};
		if (!may_lock) {
			setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){65536, 65536});
			if (getuid() == 0 && (setgid(65534) || setuid(65534)))
				_exit(3);
		}
		o.err = sl_tls_main_vault(&m, &b, &errors, &notes);
		o.sessions = b.tls_sessions;
		o.errors = errors.cnt;
		o.notes = notes.cnt;
		if (errors.cnt + notes.cnt)
			sl_diag_format(errors.cnt ? errors.items : notes.items, o.text,
				       sizeof(o.text));
		_exit(write(p[1], &o, sizeof(o)) != sizeof(o));
	}
	close(p[1]);
	if (read(p[0], &o, sizeof(o)) != sizeof(o))
		o.err = 1;
	close(p[0]);
	(void)waitpid(pid, NULL, 0);
	return o;
}

static void
tls_is_on_as_the_boot_file_says(void)
{
	struct outcome o = vault_in_child(100, true, true);

	if (o.err)
		return; /* no right to lock here, which another test is about */
	CU_ASSERT_EQUAL(o.sessions, 100);
	o = vault_in_child(0, true, true);
	CU_ASSERT_EQUAL(o.sessions, 0);
	CU_ASSERT_EQUAL(o.errors + o.notes, 0);
}

static void
without_the_right_to_lock_tls_is_off_or_the_boot_ends(void)
{
	struct outcome o = vault_in_child(100, true, false);

	CU_ASSERT_EQUAL(o.err, -EPERM);
	CU_ASSERT_TRUE(o.errors == 1 && o.notes == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.text, "boot.conf:7: tls: 16 MB of memory for keys cannot"));
	CU_ASSERT_PTR_NOT_NULL(strstr(o.text, "RLIMIT_MEMLOCK"));
	o = vault_in_child(100, false, false);
	CU_ASSERT_EQUAL(o.err, 0);
	CU_ASSERT_EQUAL(o.sessions, 0);
	CU_ASSERT_TRUE(o.errors == 0 && o.notes == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.text, "no TLS: "));
}

static const CU_TestInfo tests[] = {
	SL_TEST(a_generation_is_ready_once_all_it_names_is_here),
	SL_TEST(without_tls_a_table_that_has_some_is_refused_with_the_reason),
	SL_TEST(a_secret_that_is_in_use_and_changed_is_used_at_once),
	SL_TEST(what_the_active_table_names_is_not_forgotten),
	SL_TEST(workers_get_memory_a_clock_and_somebody_who_handshakes),
	SL_TEST(certificates_are_replaced_while_workers_handshake),
	CU_TEST_INFO_NULL,
};

/* Before OpenSSL has memory that is not the vault's. */
static const CU_TestInfo before[] = {
	SL_TEST(tls_is_on_as_the_boot_file_says),
	SL_TEST(without_the_right_to_lock_tls_is_off_or_the_boot_ends),
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	int failed = sl_suite_run("tls_main, the process", before);

	return sl_suite_run("tls_main", tests) || failed;
}

/* The engine and its steps.
 *
 *   job.in ──▶ BIO read ──▶ SSL_do_handshake ──▶ BIO write ──▶ job.out ─ full ─▶ rest ─▶ out[] of the next jobs
 *
 * A step runs OpenSSL until it wants bytes, is done, or has failed.  While rest has bytes the answer is MORE with more_out, and the
 * one that is true (DONE, FAILED) waits in `last`.  OpenSSL reads a record's header, then its body, and never more: what it left of
 * in[] when it is done belongs to the session. */
#include "l7/tls/handshake_priv.h"

#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdatomic.h>

/* ---- OpenSSL's side: a BIO over the job ---- */

static int
bio_read(BIO *b, char *buf, size_t n, size_t *ret_n)
{
	struct sl_hs *hs = BIO_get_data(b);
	uint32_t left = hs->job->in_len - hs->in_at;

	BIO_clear_retry_flags(b);
	if (left == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	n = SL_MIN(n, left);
	if (hs->in_total + n > HS_IN_MAX)
		return 0;
	memcpy(buf, hs->job->in + hs->in_at, n);
	hs->in_at += (uint32_t)n;
	hs->in_total += (uint32_t)n;
	*ret_n = n;
	return 1;
}

static bool
rest_add(struct hs_rest *r, const uint8_t *bytes, uint32_t n)
{
	if (r->len + n > r->room) {
		uint32_t room = SL_MAX(2 * r->room, r->len + n + 4096);
		uint8_t *data = room <= HS_REST_MAX ? OPENSSL_realloc(r->data, room) : NULL;
		if (!data)
			return false;
		r->data = data;
		r->room = room;
	}
	memcpy(r->data + r->len, bytes, n);
	r->len += n;
	return true;
}

static int
bio_write(BIO *b, const char *buf, size_t n, size_t *ret_n)
{
	struct sl_hs *hs = BIO_get_data(b);
	struct sl_hs_job *job = hs->job;
	const uint8_t *bytes = (const void *)buf;

	BIO_clear_retry_flags(b);
	*ret_n = n;
	/* a kept session only listens: the worker's own answers what is to be answered */
	if (hs->phase != HS_RUNNING)
		return 1;
	if (n > HS_REST_MAX)
		return 0;
	if (hs->count.on)
		hs_count(&hs->count, bytes, (uint32_t)n);
	uint32_t now = hs->rest.len ? 0 : SL_MIN((uint32_t)n, SL_HS_OUT - job->out_len);
	memcpy(job->out + job->out_len, bytes, now);
	job->out_len += now;
	return now == n || rest_add(&hs->rest, bytes + now, (uint32_t)n - now);
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "handshake");

	if (!m)
		return NULL;
	BIO_meth_set_read_ex(m, bio_read);
	BIO_meth_set_write_ex(m, bio_write);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

/* ---- engine ---- */

struct sl_hs_engine *
sl_hs_create(const struct sl_hs_conf *conf)
{
	/* openssl.cnf is the host's; what a gateway allows is said by its tables alone */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return NULL;
	struct sl_hs_engine *e = OPENSSL_zalloc(sizeof(*e));
	if (!e)
		return NULL;
	e->conf = *conf;
	e->lib = OSSL_LIB_CTX_new();
	e->provider = e->lib ? OSSL_PROVIDER_load(e->lib, "default") : NULL;
	if (e->provider) {
		e->keys = sl_keys_create(e->lib);
		e->sha256 = EVP_MD_fetch(e->lib, "SHA256", NULL);
		e->aes_cbc = EVP_CIPHER_fetch(e->lib, "AES-256-CBC", NULL);
	}
	e->bio = bio_method();
	e->md_ctx = EVP_MD_CTX_new();
	e->ctxs = OPENSSL_zalloc(HS_CTX_BUCKETS * sizeof(e->ctxs[0]));
	if (!e->keys || !e->sha256 || !e->aes_cbc || !e->bio || !e->md_ctx || !e->ctxs ||
	    !hs_sessions_init(e)) {
		sl_hs_destroy(e);
		e = NULL;
	}
	ERR_clear_error();
	return e;
}

static void
hs_free(struct sl_hs *hs)
{
	struct sl_hs_engine *e = hs->e;

	if (hs->next)
		hs->next->prev = hs->prev;
	if (hs->prev)
		hs->prev->next = hs->next;
	else
		e->first = hs->next;
	/* what ended well is no reason to forget its session, which is what OpenSSL thinks of a missing close_notify */
	if (hs->ssl && SSL_is_init_finished(hs->ssl))
		SSL_set_shutdown(hs->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(hs->ssl);
	hs_view_put(hs->view);
	OPENSSL_free(hs->rest.data);
	if (hs->last)
		SSL_free(hs->last->done.ssl);
	OPENSSL_clear_free(hs->last, sizeof(*hs->last));
	OPENSSL_clear_free(hs, sizeof(*hs));
}

void
sl_hs_destroy(struct sl_hs_engine *e)
{
	if (!e)
		return;
	while (e->first)
		hs_free(e->first);
	if (e->ctxs)
		hs_ctx_sweep(e, NULL);
	OPENSSL_free(e->ctxs);
	hs_sessions_fini(e);
	hs_view_put(e->view);
	EVP_MD_CTX_free(e->md_ctx);
	BIO_meth_free(e->bio);
	EVP_CIPHER_free(e->aes_cbc);
	EVP_MD_free(e->sha256);
	sl_keys_destroy(e->keys);
	if (e->provider)
		OSSL_PROVIDER_unload(e->provider);
	OSSL_LIB_CTX_free(e->lib);
	OPENSSL_free(e);
}

bool
hs_hash(struct sl_hs_engine *e, const void *a, size_t a_len, const void *b, size_t b_len,
	uint8_t ret[32])
{
	return EVP_DigestInit_ex(e->md_ctx, e->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(e->md_ctx, a, a_len) == 1 &&
	       EVP_DigestUpdate(e->md_ctx, b, b_len) == 1 &&
	       EVP_DigestFinal_ex(e->md_ctx, ret, NULL) == 1;
}

/* ---- books ---- */

struct hs_view *
hs_view_hold(struct hs_view *v)
{
	v->refs++;
	return v;
}

void
hs_view_put(struct hs_view *v)
{
	if (!v || --v->refs)
		return;
	sl_book_put(v->book);
	OPENSSL_free(v);
}

/* The board's book, as far as it changed.  Without memory the one before stays, and the next step tries again. */
static void
view_refresh(struct sl_hs_engine *e)
{
	/* pairs with the release in sl_board_set; the lock of sl_board_take orders the book itself */
	uint64_t version = atomic_load_explicit(&e->conf.board->version, memory_order_acquire);

	if (version == e->version)
		return;
	struct hs_view *v = NULL;
	struct sl_book *book = sl_board_take(e->conf.board);
	if (book) {
		v = OPENSSL_zalloc(sizeof(*v));
		if (!v) {
			sl_book_put(book);
			return;
		}
		*v = (struct hs_view){.book = book, .refs = 1};
	}
	hs_view_put(e->view);
	e->view = v;
	e->version = book ? book->version : 0;
	hs_ctx_sweep(e, v);
}

/* ---- how it fails ---- */

static uint32_t
reason_fail(int reason)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_UNSUPPORTED_SSL_VERSION:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_INAPPROPRIATE_FALLBACK:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_CIPHERS_AVAILABLE:
	case SSL_R_UNKNOWN_CIPHER_RETURNED:
	case SSL_R_WRONG_CIPHER_RETURNED:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
		return SL_TLS_CNT_FAIL_VERSION;
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return SL_TLS_CNT_FAIL_ALPN;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return SL_TLS_CNT_FAIL_NO_CERT;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return SL_TLS_CNT_FAIL_CERT;
	case ERR_R_MALLOC_FAILURE:
	case ERR_R_INTERNAL_ERROR:
		return SL_TLS_CNT_FAIL_INTERNAL;
	default:
		return SL_TLS_CNT_FAIL_PROTOCOL;
	}
}

/* What OpenSSL's queue says: the first entry that says more than "malformed". */
static uint32_t
queue_fail(void)
{
	uint32_t fail = SL_TLS_CNT_FAIL_PROTOCOL;

	for (unsigned long err = ERR_get_error(); err; err = ERR_get_error())
		if (fail == SL_TLS_CNT_FAIL_PROTOCOL && ERR_GET_LIB(err) == ERR_LIB_SSL)
			fail = reason_fail(ERR_GET_REASON(err));
	return fail;
}

static void
answer_failed(struct sl_hs *hs, struct sl_hs_job *job)
{
	uint32_t fail = queue_fail();

	job->state = SL_HS_FAILED;
	job->alert = hs->alert;
	job->fail = hs->fail ? hs->fail : hs->alerted ? SL_TLS_CNT_FAIL_ALERT : fail;
}

/* ---- a step ---- */

static void
info(const SSL *ssl, int where, int ret)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);

	if (!hs)
		return;
	if (where & SSL_CB_ALERT) {
		/* 1: a warning; close_notify is one, and ends a handshake all the same */
		hs->alert = (uint8_t)ret;
		hs->alerted = where & SSL_CB_READ;
	} else if ((where & SSL_CB_LOOP) && !hs->log) {
		/* A line costs OpenSSL a call of sprintf for each byte: none is asked for before the secrets that matter. */
		OSSL_HANDSHAKE_STATE at = SSL_get_state(ssl);
		hs->log = at == TLS_ST_SW_ENCRYPTED_EXTENSIONS ||
			  at == TLS_ST_CR_ENCRYPTED_EXTENSIONS;
		if (hs->log)
			SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), hs_keys_line);
	}
}

static bool
ssl_begin(struct sl_hs *hs, SSL_CTX *ctx)
{
	hs->ssl = SSL_new(ctx);
	BIO *b = hs->ssl ? BIO_new(hs->e->bio) : NULL;
	if (!b)
		return false;
	BIO_set_data(b, hs);
	BIO_set_init(b, 1);
	SSL_set_bio(hs->ssl, b, b);
	SSL_set_app_data(hs->ssl, hs);
	SSL_set_info_callback(hs->ssl, info);
	return true;
}

static bool
ssl_make(struct sl_hs *hs)
{
	struct sl_hs_engine *e = hs->e;
	SSL_CTX *ctx;

	if (hs->listener)
		ctx = hs_ctx_listener(e, hs->view, hs->listener, hs->rsa, hs->ec);
	else
		ctx = hs_ctx_service(e, hs->view, hs->service);
	if (!ctx) {
		hs->fail = SL_TLS_CNT_FAIL_CONFIG;
		return false;
	}
	hs->fail = SL_TLS_CNT_FAIL_INTERNAL;
	bool ok = ssl_begin(hs, ctx) &&
		  (hs->listener ? hs_server_begin(hs) : hs_client_begin(hs, hs->job));
	SSL_CTX_free(ctx);
	if (ok)
		hs->fail = 0;
	return ok;
}

/* The last answer waits for bytes that go before it.  in_used is told now: what is behind the handshake is the session's. */
static void
last_keep(struct sl_hs *hs, struct sl_hs_job *job)
{
	struct hs_last *last = OPENSSL_zalloc(sizeof(*last));

	if (!last) {
		SSL_free(job->done.ssl);
		OPENSSL_cleanse(&job->done, sizeof(job->done));
		job->done = (struct sl_hs_done){0};
		job->state = SL_HS_FAILED;
		job->fail = SL_TLS_CNT_FAIL_INTERNAL;
		hs->rest.len = hs->rest.at = 0;
		return;
	}
	last->state = job->state;
	last->alert = job->alert;
	last->fail = job->fail;
	last->tickets = job->tickets;
	last->done = job->done;
	memcpy(last->peer, job->peer, job->done.peer_len);
	hs->last = last;
	hs->phase = HS_LAST;
	OPENSSL_cleanse(&job->done, sizeof(job->done));
	job->done = (struct sl_hs_done){0};
	job->state = SL_HS_MORE;
	job->alert = 0;
	job->fail = 0;
	job->tickets = 0;
}

static void
last_tell(struct sl_hs *hs, struct sl_hs_job *job)
{
	struct hs_last *last = hs->last;

	job->state = last->state;
	job->alert = last->alert;
	job->fail = last->fail;
	job->tickets = last->tickets;
	job->done = last->done;
	memcpy(job->peer, last->peer, last->done.peer_len);
	hs->last = NULL;
	OPENSSL_clear_free(last, sizeof(*last));
}

static void
rest_send(struct sl_hs *hs, struct sl_hs_job *job)
{
	struct hs_rest *r = &hs->rest;
	uint32_t n = SL_MIN(r->len - r->at, SL_HS_OUT - job->out_len);

	if (n == 0)
		return;
	memcpy(job->out + job->out_len, r->data + r->at, n);
	job->out_len += n;
	r->at += n;
	if (r->at == r->len)
		r->at = r->len = 0;
}

static void
answer_done(struct sl_hs *hs, struct sl_hs_job *job)
{
	job->in_used = hs->in_at;
	/* bytes behind Finished in its own record: nobody may send them */
	bool ok = !SSL_has_pending(hs->ssl) && (hs->listener || hs_client_done(hs)) &&
		  hs_keys_end(hs, &job->done);
	if (!ok) {
		job->in_used = job->in_len;
		answer_failed(hs, job);
		return;
	}
	job->state = SL_HS_DONE;
	job->done.peer_len = hs_peer_tell(hs, job->peer);
	if (job->done.ssl)
		hs->ssl = NULL; /* the worker's now */
	OPENSSL_cleanse(&hs->secrets, sizeof(hs->secrets));
	hs->in_total = 0;
}

static void
run(struct sl_hs *hs, struct sl_hs_job *job)
{
	SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(hs->ssl), hs->log ? hs_keys_line : NULL);
	int r = SSL_do_handshake(hs->ssl);
	if (r == 1)
		answer_done(hs, job);
	else if (SSL_get_error(hs->ssl, r) != SSL_ERROR_WANT_READ)
		answer_failed(hs, job);
}

/* Records of the session, for the tickets among them. */
static void
listen_on(struct sl_hs *hs, struct sl_hs_job *job)
{
	uint8_t waste[1024];
	int n;

	while ((n = SSL_read(hs->ssl, waste, sizeof(waste))) > 0)
		;
	OPENSSL_cleanse(waste, sizeof(waste));
	job->state = SL_HS_DONE;
	job->done.keep = 1;
	if (SSL_get_error(hs->ssl, n) != SSL_ERROR_WANT_READ)
		answer_failed(hs, job);
}

static void
feed(struct sl_hs *hs, struct sl_hs_job *job)
{
	rest_send(hs, job);
	if (hs->phase == HS_KEPT) {
		listen_on(hs, job);
	} else if (hs->phase == HS_LAST && job->in_len) {
		/* behind the end of a handshake that was not told yet: the worker's mistake */
		hs->last->state = SL_HS_FAILED;
		hs->last->fail = SL_TLS_CNT_FAIL_INTERNAL;
	} else if (hs->phase == HS_RUNNING && (job->in_len || job->op != SL_HS_FEED)) {
		run(hs, job);
	}
}

/* What is answered beside the state: whether there is more to be sent, and whether hs stays. */
static void
finish(struct sl_hs *hs, struct sl_hs_job *job)
{
	if (hs->rest.len && job->state != SL_HS_MORE)
		last_keep(hs, job);
	job->more_out = hs->rest.len != 0;
	if (hs->last && !hs->rest.len)
		last_tell(hs, job);
	hs->job = NULL;
	if (job->state == SL_HS_DONE)
		hs->phase = HS_KEPT;
	bool stays = job->state == SL_HS_MORE || (job->state == SL_HS_DONE && job->done.keep);
	job->hs = stays ? hs : NULL;
	if (!stays)
		hs_free(hs);
}

static void
answer_reset(struct sl_hs_job *job)
{
	job->state = SL_HS_MORE;
	job->more_out = 0;
	job->tickets = 0;
	job->alert = 0;
	job->fail = 0;
	job->in_len = SL_MIN(job->in_len, SL_HS_IN);
	job->in_used = job->in_len;
	job->out_len = 0;
	job->done = (struct sl_hs_done){0};
}

static void
answer_refused(struct sl_hs_job *job, uint32_t fail)
{
	job->state = SL_HS_FAILED;
	job->fail = fail;
	job->hs = NULL;
}

static struct sl_hs *
hs_make(struct sl_hs_engine *e, const struct sl_book_listener *l, const struct sl_book_service *s)
{
	struct sl_hs *hs = OPENSSL_zalloc(sizeof(*hs));

	if (!hs)
		return NULL;
	hs->e = e;
	hs->view = hs_view_hold(e->view);
	hs->listener = l;
	hs->service = s;
	hs->next = e->first;
	if (e->first)
		e->first->prev = hs;
	e->first = hs;
#ifndef NDEBUG
	hs->log = e->conf.key_log;
#endif
	return hs;
}

static void
begin(struct sl_hs_engine *e, struct sl_hs_job *job)
{
	const struct sl_book_listener *l = NULL;
	const struct sl_book_service *s = NULL;

	view_refresh(e);
	if (e->view && job->op == SL_HS_SERVER)
		l = sl_book_listener(e->view->book, job->slot, job->incarnation);
	else if (e->view)
		s = sl_book_service(e->view->book, job->slot, job->incarnation);
	if (!l && !s) {
		answer_refused(job, SL_TLS_CNT_FAIL_CONFIG);
		return;
	}
	struct sl_hs *hs = hs_make(e, l, s);
	if (!hs) {
		answer_refused(job, SL_TLS_CNT_FAIL_INTERNAL);
		return;
	}
	hs->job = job;
	hs->now_s = job->now_s;
	if (l) {
		hs->rsa = l->fallback.rsa;
		hs->ec = l->fallback.ec;
	}
	if (ssl_make(hs))
		feed(hs, job);
	else
		answer_failed(hs, job);
	finish(hs, job);
}

static void
go_on(struct sl_hs *hs, struct sl_hs_job *job)
{
	hs->job = job;
	hs->in_at = 0;
	hs->now_s = job->now_s;
	feed(hs, job);
	finish(hs, job);
}

void
sl_hs_step(struct sl_hs_engine *e, struct sl_hs_job *job)
{
	ERR_clear_error();
	answer_reset(job);
	if (job->op == SL_HS_SERVER || job->op == SL_HS_CLIENT) {
		begin(e, job);
	} else if (job->op == SL_HS_FEED && job->hs) {
		go_on(job->hs, job);
	} else if (job->op == SL_HS_END) {
		if (job->hs)
			hs_free(job->hs);
		job->hs = NULL;
	} else {
		answer_refused(job, SL_TLS_CNT_FAIL_INTERNAL);
	}
	ERR_clear_error();
}

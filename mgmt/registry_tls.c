/* Two sockets, and a buffer for each way; who has nothing to write reads, who has something writes until it is gone:
 *
 *   peer ══TLS══ net ──up──▶ end ── libmicrohttpd
 *                    ◀─down──
 */
#include "mgmt/registry_front.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF 16384
#define LOOK_MS 1000

struct sl_registry_tls {
	const struct sl_registry_conf *conf;
	SSL_CTX *ctx;
	struct stat seen[3];
	uint64_t looked_ms;
};

/* ---- files ---- */

static int
complain(struct sl_diag *diag, const char *file, const char *key, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(e);

	sl_diag_add(diag, file, 0, key, "PEM files that sluiced may read", "%s: %s", what,
		    why ? why : "no reason given");
	ERR_clear_error();
	return -EINVAL;
}

static int
load_files(SSL_CTX *ctx, const struct sl_registry_conf *c, struct sl_diag *diag)
{
	STACK_OF(X509_NAME) * names;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, c->certificate) != 1)
		return complain(diag, c->certificate, "registry.certificate",
				"cannot be used as a certificate");
	if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1)
		return complain(diag, c->key, "registry.key",
				"cannot be used as the certificate's key");
	if (SSL_CTX_load_verify_locations(ctx, c->trust, NULL) != 1 ||
	    !(names = SSL_load_client_CA_file(c->trust)))
		return complain(diag, c->trust, "registry.trust", "cannot be used as CAs");
	SSL_CTX_set_client_CA_list(ctx, names);
	return 0;
}

/* Every connection is verified for itself: no tickets, no sessions. */
static SSL_CTX *
make_ctx(const struct sl_registry_conf *c, struct sl_diag *diag)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(ctx, 8);
	SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_max_cert_list(ctx, 64 << 10);
	if (load_files(ctx, c, diag) == 0)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool
files_changed(struct sl_registry_tls *t)
{
	const char *const path[] = {t->conf->certificate, t->conf->key, t->conf->trust};
	bool changed = false;

	for (unsigned i = 0; i < 3; i++) {
		struct stat st;
		if (stat(path[i], &st))
			memset(&st, 0, sizeof(st));
		const struct stat *was = &t->seen[i];
		changed |= st.st_ino != was->st_ino || st.st_size != was->st_size ||
			   st.st_mtim.tv_sec != was->st_mtim.tv_sec ||
			   st.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
		t->seen[i] = st;
	}
	return changed;
}

int
sl_registry_tls_create(const struct sl_registry_conf *conf, struct sl_diag *diag,
		       struct sl_registry_tls **ret_tls)
{
	struct sl_registry_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->conf = conf;
	files_changed(t);
	t->ctx = make_ctx(conf, diag);
	if (!t->ctx) {
		free(t);
		return -EINVAL;
	}
	*ret_tls = t;
	return 0;
}

void
sl_registry_tls_destroy(struct sl_registry_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

void
sl_registry_tls_look(struct sl_registry_tls *t, uint64_t now_ms, struct sl_diag *diag)
{
	if (now_ms - t->looked_ms < LOOK_MS)
		return;
	t->looked_ms = now_ms;
	SSL_CTX *ctx = files_changed(t) ? make_ctx(t->conf, diag) : NULL;
	if (!ctx)
		return;
	SSL_CTX_free(t->ctx); /* connections hold it as long as they are there */
	t->ctx = ctx;
}

/* ---- names ---- */

static bool
take_name(const ASN1_IA5STRING *s, char ret[SL_HOST_MAX])
{
	const unsigned char *text = ASN1_STRING_get0_data(s);
	int len = ASN1_STRING_length(s);

	if (len <= 0 || len >= SL_HOST_MAX)
		return false;
	for (int i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	memcpy(ret, text, (size_t)len);
	ret[len] = 0;
	return true;
}

/* The first URI, else the first DNS name; one that cannot be used is none, and the next does not stand in for it. */
static void
peer_name(SSL *ssl, char ret[SL_HOST_MAX])
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	GENERAL_NAMES *names = x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
	const GENERAL_NAME *best = NULL;

	ret[0] = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if ((n->type == GEN_URI && (!best || best->type != GEN_URI)) ||
		    (n->type == GEN_DNS && !best))
			best = n;
	}
	if (best && take_name(best->d.ia5, ret) && best->type == GEN_DNS)
		for (char *p = ret; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 32 : *p);
	GENERAL_NAMES_free(names);
}

/* ---- bytes ---- */

struct way {
	char buf[BUF];
	size_t off, len; /* what waits is [off, len) */
	bool eof;        /* no more comes */
};

struct sl_registry_pump {
	struct sl_registry_pump_events ev;
	uv_poll_t net, pipe;
	SSL *ssl;
	int fd, end;     /* end -1: handshake */
	bool net_writes; /* TLS wants to write before it goes on */
	bool pipe_on, closing;
	unsigned handles;
	struct way up, down;
};

static void on_net(uv_poll_t *h, int status, int events);
static void on_pipe(uv_poll_t *h, int status, int events);

static void
on_handle_closed(uv_handle_t *h)
{
	struct sl_registry_pump *p = h->data;

	if (--p->handles)
		return;
	close(p->fd);
	if (p->end >= 0)
		close(p->end);
	SSL_free(p->ssl);
	free(p);
}

void
sl_registry_pump_close(struct sl_registry_pump *p)
{
	if (p->closing)
		return;
	p->closing = true;
	uv_close((uv_handle_t *)&p->net, on_handle_closed);
	if (p->pipe_on)
		uv_close((uv_handle_t *)&p->pipe, on_handle_closed);
}

static void
end_pump(struct sl_registry_pump *p)
{
	if (p->closing)
		return;
	sl_registry_pump_close(p);
	p->ev.closed(p->ev.ctx);
}

/* 1: went on; 0: has to wait; -1: it is over. */
static int
judge(struct sl_registry_pump *p, int n)
{
	int e = SSL_get_error(p->ssl, n);

	ERR_clear_error();
	if (e == SSL_ERROR_WANT_WRITE)
		p->net_writes = true;
	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int
shake_hands(struct sl_registry_pump *p)
{
	char name[SL_HOST_MAX];

	ERR_clear_error();
	int n = SSL_accept(p->ssl);
	if (n != 1)
		return judge(p, n);
	peer_name(p->ssl, name);
	p->end = p->ev.ready(p->ev.ctx, name);
	if (p->end < 0 || uv_poll_init(p->net.loop, &p->pipe, p->end))
		return -1;
	p->pipe.data = p;
	p->pipe_on = true;
	p->handles++;
	return 1;
}

static int
pump_up(struct sl_registry_pump *p)
{
	struct way *w = &p->up;

	if (w->off == w->len && !w->eof) {
		ERR_clear_error();
		int n = SSL_read(p->ssl, w->buf, sizeof(w->buf));
		if (n <= 0 && SSL_get_error(p->ssl, n) == SSL_ERROR_ZERO_RETURN) {
			w->eof = true;
			shutdown(p->end, SHUT_WR);
			return 1;
		}
		if (n <= 0)
			return judge(p, n);
		w->off = 0;
		w->len = (size_t)n;
	}
	if (w->off == w->len)
		return 0;
	ssize_t n = send(p->end, w->buf + w->off, w->len - w->off, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	w->off += (size_t)n;
	return 1;
}

static int
pump_down(struct sl_registry_pump *p)
{
	struct way *w = &p->down;

	if (w->off == w->len && !w->eof) {
		ssize_t n = recv(p->end, w->buf, sizeof(w->buf), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		w->eof = n == 0;
		w->off = 0;
		w->len = (size_t)n;
	}
	if (w->off == w->len) {
		SSL_shutdown(p->ssl); /* all is said: close_notify, no waiting for the other's */
		ERR_clear_error();
		return -1;
	}
	ERR_clear_error();
	int n = SSL_write(p->ssl, w->buf + w->off, (int)(w->len - w->off));
	if (n <= 0)
		return judge(p, n);
	w->off += (size_t)n;
	return 1;
}

static int
watch(struct sl_registry_pump *p)
{
	bool read = p->end < 0 || (p->up.off == p->up.len && !p->up.eof);
	int net = (read ? UV_READABLE : 0) | (p->net_writes ? UV_WRITABLE : 0);
	int pipe = (p->down.off == p->down.len && !p->down.eof ? UV_READABLE : 0) |
		   (p->up.off < p->up.len ? UV_WRITABLE : 0);

	if (uv_poll_start(&p->net, net, on_net))
		return -1;
	return p->pipe_on && uv_poll_start(&p->pipe, pipe, on_pipe) ? -1 : 0;
}

static void
run(struct sl_registry_pump *p)
{
	int up = 1, down = 1;

	p->net_writes = false;
	if (p->end < 0 && shake_hands(p) < 0) {
		end_pump(p);
		return;
	}
	while (p->end >= 0 && up >= 0 && down >= 0 && (up > 0 || down > 0)) {
		up = pump_up(p);
		down = up < 0 ? -1 : pump_down(p);
	}
	if (up < 0 || down < 0 || watch(p))
		end_pump(p);
}

static void
on_net(uv_poll_t *h, int status, int events)
{
	struct sl_registry_pump *p = h->data;

	(void)events;
	if (status < 0)
		end_pump(p);
	else
		run(p);
}

static void
on_pipe(uv_poll_t *h, int status, int events)
{
	(void)events;
	if (status < 0)
		end_pump(h->data);
	else
		run(h->data);
}

int
sl_registry_pump_start(struct sl_registry_tls *t, uv_loop_t *loop, int fd,
		       const struct sl_registry_pump_events *ev, struct sl_registry_pump **ret_pump)
{
	struct sl_registry_pump *p = calloc(1, sizeof(*p));
	SSL *ssl = p ? SSL_new(t->ctx) : NULL;

	if (!ssl || SSL_set_fd(ssl, fd) != 1 || uv_poll_init(loop, &p->net, fd)) {
		SSL_free(ssl);
		free(p);
		close(fd);
		return -ENOMEM;
	}
	p->ev = *ev;
	p->ssl = ssl;
	p->fd = fd;
	p->end = -1;
	p->handles = 1;
	p->net.data = p;
	uv_poll_start(&p->net, UV_READABLE, on_net);
	*ret_pump = p;
	return 0;
}

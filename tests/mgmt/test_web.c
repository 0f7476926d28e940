/* The client against a server that answers well, badly, slowly and not at all, with TLS and without. */
#include "mgmt/web.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

/* ---- a server: what it answers to a path, whole or in two pieces ---- */

static uv_loop_t loop;
static struct sl_web *web;
static uv_tcp_t listener;
static uv_timer_t tick; /* so that a turn of the loop has an end */
static uint16_t port;
static unsigned accepted, opened;
static char asked[8192]; /* the last request */

static const struct {
	const char *path, *answer;
	bool close;
} answers[] = {
	{"/hello",
	 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Consul-Index:  7 \r\nEmpty:\r\n\r\nhello",
	 false},
	{"/none", "HTTP/1.1 204 No Content\r\n\r\n", false},
	{"/bad", "HTTP/1.1 503 Away\r\nContent-Length: 4\r\n\r\naway", false},
	{"/early",
	 "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
	 "2\r\n\r\nok",
	 false},
	{"/redirect", "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n", false},
	{"/chunks",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
	 false},
	{"/stream", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", false},
	{"/short", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfew", true},
	{"/nothing", "", true},
	{"/silent", "", false},
	{"/garbage", "\x01\x02garbage\r\n\r\n", true},
	{"/head", NULL, true}, /* headers without end */
	{"/long", NULL, true}, /* a body without end */
};

struct peer {
	uv_tcp_t tcp;
	char in[8192];
	size_t len;
};

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct peer *p = (struct peer *)h;
	(void)size;
	*buf = uv_buf_init(p->in + p->len, (unsigned)(sizeof(p->in) - 1 - p->len));
}

static void
on_peer_closed(uv_handle_t *h)
{
	opened--;
	free(h);
}

static void
on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

static void
say(struct peer *p, const char *bytes, size_t len)
{
	uv_write_t *w = calloc(1, sizeof(*w));
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
	uv_write(w, (uv_stream_t *)p, &buf, 1, on_written);
}

static void
answer(struct peer *p)
{
	static char endless[1 << 20];
	char path[64] = "";

	sscanf(p->in, "%*s %63s", path);
	for (unsigned i = 0; i < SL_ARRAY_CNT(answers); i++) {
		if (strcmp(path, answers[i].path) != 0)
			continue;
		const char *text = answers[i].answer;
		if (!text) {
			int n = snprintf(endless, sizeof(endless), "HTTP/1.1 200 OK\r\n%s",
					 path[1] == 'l' ? "\r\n" : "");
			for (size_t at = (size_t)n; at + 100 < sizeof(endless); at += 100)
				snprintf(endless + at, 101, "x: %095d\r\n", 0);
			text = endless;
		}
		say(p, text, strlen(text));
		if (answers[i].close && !uv_is_closing((uv_handle_t *)p))
			uv_shutdown(calloc(1, sizeof(uv_shutdown_t)), (uv_stream_t *)p,
				    (uv_shutdown_cb)(void (*)(void))free);
	}
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct peer *p = (struct peer *)s;

	(void)buf;
	if (n < 0) {
		if (!uv_is_closing((uv_handle_t *)s))
			uv_close((uv_handle_t *)s, on_peer_closed);
		return;
	}
	p->len += (size_t)n;
	p->in[p->len] = 0;
	const char *end = strstr(p->in, "\r\n\r\n"), *length = strcasestr(p->in, "content-length:");
	if (!end || (length && strlen(end + 4) < (size_t)atoi(length + 15)))
		return;
	snprintf(asked, sizeof(asked), "%s", p->in);
	p->len = 0;
	answer(p);
}

static void
on_connection(uv_stream_t *server, int status)
{
	struct peer *p = calloc(1, sizeof(*p));

	(void)status;
	accepted++;
	opened++;
	uv_tcp_init(&loop, &p->tcp);
	uv_accept(server, (uv_stream_t *)p);
	uv_read_start((uv_stream_t *)p, on_alloc, on_read);
}

static void
on_walk(uv_handle_t *h, void *ctx)
{
	(void)ctx;
	if (h->type == UV_TCP && h != (uv_handle_t *)&listener && !uv_is_closing(h))
		uv_close(h, on_peer_closed);
}

static void
on_tick(uv_timer_t *t)
{
	(void)t;
}

static void
server_open(void)
{
	struct sockaddr_in sa;
	int len = sizeof(sa);

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, on_tick, 20, 20);
	uv_tcp_init(&loop, &listener);
	uv_ip4_addr("127.0.0.1", 0, &sa);
	uv_tcp_bind(&listener, (struct sockaddr *)&sa, 0);
	CU_ASSERT_FATAL(uv_listen((uv_stream_t *)&listener, 512, on_connection) == 0);
	uv_tcp_getsockname(&listener, (struct sockaddr *)&sa, &len);
	port = ntohs(sa.sin_port);
	accepted = 0;
	CU_ASSERT_FATAL((web = sl_web_get(&loop)) != NULL);
}

static void
server_close(void)
{
	sl_web_put(web);
	uv_close((uv_handle_t *)&listener, NULL);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_walk(&loop, on_walk, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT(uv_loop_close(&loop) == 0);
}

/* ---- a client's notes ---- */

struct notes {
	unsigned done, headers, pieces;
	int status;
	char error[512], body[4096], index[64], empty[8], stream[256];
	size_t len;
	int stop;                    /* what data answers */
	struct sl_web_call **cancel; /* by data or done */
	struct sl_web_request *again;
	struct notes *again_notes;
	bool put;
};

static void
on_done(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct notes *n = ctx;
	struct sl_web_call *c;

	n->done++;
	n->status = status;
	snprintf(n->error, sizeof(n->error), "%s", error ? error : "");
	snprintf(n->body, sizeof(n->body), "%s", body);
	CU_ASSERT(strlen(body) == len);
	n->len = len;
	if (n->cancel)
		sl_web_cancel(*n->cancel);
	if (n->again)
		CU_ASSERT(sl_web_start(web, n->again, &c) == 0);
	if (n->put) {
		sl_web_put(web);
		web = NULL;
	}
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct notes *n = ctx;

	n->headers++;
	if (strcmp(name, "x-consul-index") == 0)
		snprintf(n->index, sizeof(n->index), "%s", value);
	if (strcmp(name, "empty") == 0)
		snprintf(n->empty, sizeof(n->empty), "<%s>", value);
}

static int
on_data(void *ctx, const char *bytes, size_t len)
{
	struct notes *n = ctx;
	size_t at = strlen(n->stream);

	n->pieces++;
	snprintf(n->stream + at, sizeof(n->stream) - at, "%.*s", (int)len, bytes);
	if (n->cancel) {
		sl_web_cancel(*n->cancel);
		n->cancel = NULL;
	}
	return n->stop;
}

static char url[200];

static struct sl_web_request
get(const char *path, struct notes *n)
{
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
	return (struct sl_web_request){.method = "GET",
				       .url = url,
				       .total_ms = 3000,
				       .max_body = 4000,
				       .header = on_header,
				       .done = on_done,
				       .ctx = n};
}

static void
run(const struct sl_web_request *r, struct notes *n)
{
	struct sl_web_call *c;

	CU_ASSERT_FATAL(sl_web_start(web, r, &c) == 0);
	CU_ASSERT(n->done == 0);
	while (!n->done)
		uv_run(&loop, UV_RUN_ONCE);
}

/* ---- answers ---- */

static void
an_answer_comes_with_status_headers_and_body(void)
{
	struct notes n = {0}, m = {0}, e = {0}, c = {0};

	server_open();
	struct sl_web_request r = get("/hello", &n);
	run(&r, &n);
	CU_ASSERT(n.status == 200 && n.done == 1 && n.headers == 3);
	CU_ASSERT_STRING_EQUAL(n.error, "");
	CU_ASSERT_STRING_EQUAL(n.body, "hello");
	CU_ASSERT_STRING_EQUAL(n.index, "7");
	CU_ASSERT_STRING_EQUAL(n.empty, "<>");
	r = get("/bad", &m);
	run(&r, &m);
	CU_ASSERT(m.status == 503);
	CU_ASSERT_STRING_EQUAL(m.body, "away");
	r = get("/early", &e);
	run(&r, &e);
	CU_ASSERT(e.status == 200 && e.headers == 1); /* not those of 103 */
	r = get("/chunks", &c);
	run(&r, &c);
	CU_ASSERT_STRING_EQUAL(c.body, "onetwo");
	CU_ASSERT(accepted == 1); /* one connection for all */
	server_close();
}

static void
a_request_carries_what_it_was_given(void)
{
	struct notes n = {0};
	char file[] = "/tmp/test_web.XXXXXX";
	int fd = mkstemp(file);
	struct sl_web_header h[] = {{"X-A", "b"}, {"X-Empty", ""}};

	CU_ASSERT_FATAL(write(fd, "secret\nmore\n", 12) == 12);
	server_open();
	struct sl_web_request r = get("/hello", &n);
	r.method = "PUT";
	r.body = "{\"a\": 1}";
	r.body_len = 8;
	r.headers = h;
	r.header_cnt = 2;
	r.bearer_file = file;
	run(&r, &n);
	CU_ASSERT(strncmp(asked, "PUT /hello HTTP/1.1\r\n", 21) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(asked, "\r\n\r\n{\"a\": 1}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(asked, "\r\nX-A: b\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(asked, "\r\nX-Empty:\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(asked, "\r\nAuthorization: Bearer secret\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(asked, "\r\nContent-Type: application/json\r\n"));
	CU_ASSERT_PTR_NULL(strcasestr(asked, "expect"));
	n = (struct notes){0};
	r = get("/none", &n);
	r.method = "DELETE";
	run(&r, &n);
	CU_ASSERT(n.status == 204);
	CU_ASSERT(strncmp(asked, "DELETE /none ", 13) == 0);
	CU_ASSERT_PTR_NULL(strcasestr(asked, "authorization"));
	server_close();
	close(fd);
	unlink(file);
}

static void
a_token_that_cannot_be_read_is_an_error(void)
{
	char file[] = "/tmp/test_web.XXXXXX";
	int fd = mkstemp(file);
	const char *const files[] = {"/nowhere/token", file, "/tmp"};

	server_open();
	for (unsigned i = 0; i < SL_ARRAY_CNT(files); i++) {
		struct notes n = {0};
		struct sl_web_request r = get("/hello", &n);
		r.bearer_file = files[i];
		run(&r, &n);
		CU_ASSERT(n.status == 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(n.error, files[i]));
	}
	CU_ASSERT(accepted == 0);
	server_close();
	close(fd);
	unlink(file);
}

static void
nobody_is_asked_but_the_server_that_was_named(void)
{
	struct notes n = {0};

	server_open();
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	struct sl_web_request r = get("/redirect", &n);
	run(&r, &n);
	CU_ASSERT(n.status == 302 && n.done == 1);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	n = (struct notes){0};
	r = get("/hello", &n);
	snprintf(url, sizeof(url), "http://localhost:%u/hello", port);
	run(&r, &n);
	CU_ASSERT(n.status == 200);
	server_close();
}

/* ---- what goes wrong ---- */

static void
what_is_wrong_is_said_with_the_server(void)
{
	static const struct {
		const char *path, *error;
	} rows[] = {
		{"/short", "its answer ends too early"},
		{"/nothing", "it closed the connection without an answer"},
		{"/garbage", "it does not speak HTTP"},
		{"/head", "its headers are longer than 65536 bytes"},
		{"/long", "its answer is longer than 4000 bytes"},
		{"/silent", "no whole answer within 150 ms"},
	};

	server_open();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct notes n = {0};
		char head[64];
		struct sl_web_request r = get(rows[i].path, &n);
		if (strcmp(rows[i].path, "/silent") == 0)
			r.total_ms = 150;
		run(&r, &n);
		snprintf(head, sizeof(head), "http://127.0.0.1:%u: ", port);
		if (strncmp(n.error, head, strlen(head)) != 0 || !strstr(n.error, rows[i].error) ||
		    n.status != (strstr(n.error, "longer than 4000") ? SL_WEB_TOO_LONG : 0) ||
		    n.len)
			CU_FAIL("the error");
		if (!strstr(n.error, rows[i].error))
			printf("%s: %s\n", rows[i].path, n.error);
	}
	struct notes n = {0};
	struct sl_web_request r = get("/hello", &n);
	r.url = "http://127.0.0.1:1/x";
	run(&r, &n);
	CU_ASSERT_STRING_EQUAL(n.error, "http://127.0.0.1:1: cannot connect: Connection refused");
	n = (struct notes){0};
	r.url = "http://no-such-name.invalid/";
	run(&r, &n);
	CU_ASSERT_STRING_EQUAL(n.error, "http://no-such-name.invalid:80: its name has no address");
	server_close();
}

static void
what_is_no_request_is_refused(void)
{
	static const char *const urls[] = {"",
					   "/x",
					   "ftp://127.0.0.1/x",
					   "file:///etc/passwd",
					   "http://a:b@127.0.0.1/",
					   "http://127.0.0.1/\r\nX: y",
					   "http://127.0.0.1:99999/"};
	struct notes n = {0};
	struct sl_web_call *c;
	struct sl_web_header bad = {"X-A", "b\r\nX-B: c"};

	server_open();
	struct sl_web_request r = get("/hello", &n);
	for (unsigned i = 0; i < SL_ARRAY_CNT(urls); i++) {
		r.url = urls[i];
		CU_ASSERT(sl_web_start(web, &r, &c) == -EINVAL);
	}
	r = get("/hello", &n);
	r.headers = &bad;
	r.header_cnt = 1;
	CU_ASSERT(sl_web_start(web, &r, &c) == -EINVAL);
	server_close();
	CU_ASSERT(n.done == 0 && accepted == 0);
}

/* ---- streams ---- */

static void
a_stream_comes_in_pieces_and_fails_when_it_is_silent(void)
{
	struct notes n = {0};

	server_open();
	struct sl_web_request r = get("/stream", &n);
	r.data = on_data;
	r.total_ms = 0;
	r.max_body = 0;
	r.silent_ms = 200;
	uint64_t since = uv_hrtime();
	run(&r, &n);
	uint64_t took_ms = (uv_hrtime() - since) / 1000000;
	CU_ASSERT(took_ms >= 190);
	CU_ASSERT_STRING_EQUAL(n.stream, "one");
	CU_ASSERT_PTR_NOT_NULL(strstr(n.error, "nothing was heard for 200 ms"));
	n = (struct notes){.stop = 1};
	run(&r, &n);
	CU_ASSERT_PTR_NOT_NULL(strstr(n.error, ": stopped"));
	CU_ASSERT(n.pieces == 1);
	n = (struct notes){0};
	r.max_body = 2;
	run(&r, &n);
	CU_ASSERT_PTR_NOT_NULL(strstr(n.error, "longer than 2 bytes"));
	server_close();
}

/* ---- cancelling ---- */

static void
who_is_cancelled_hears_nothing_more(void)
{
	struct notes fresh = {0}, stream = {0}, other = {0}, last = {0};
	struct sl_web_call *c, *s, *o;

	server_open();
	struct sl_web_request r = get("/hello", &fresh);
	CU_ASSERT(sl_web_start(web, &r, &c) == 0);
	sl_web_cancel(c); /* before anything went out */
	r = get("/silent", &other);
	CU_ASSERT(sl_web_start(web, &r, &o) == 0);
	r = get("/stream", &stream);
	r.data = on_data;
	stream.cancel = &s; /* itself, from within */
	CU_ASSERT(sl_web_start(web, &r, &s) == 0);
	while (!stream.pieces)
		uv_run(&loop, UV_RUN_ONCE);
	r = get("/hello", &last);
	last.cancel = &o; /* another, from done */
	run(&r, &last);
	CU_ASSERT(last.status == 200);
	CU_ASSERT(fresh.done == 0 && stream.done == 0 && other.done == 0);
	server_close();
	CU_ASSERT(other.done == 0);
}

static void
done_may_start_another_and_may_end_everything(void)
{
	struct notes first = {0}, second = {0}, away = {0};
	struct sl_web_call *c;

	server_open();
	CU_ASSERT_PTR_EQUAL(sl_web_get(&loop), web);
	sl_web_put(web);
	struct sl_web_request r2 = get("/hello", &second), r = r2;
	r.ctx = &first;
	first.again = &r2;
	run(&r, &first);
	while (!second.done)
		uv_run(&loop, UV_RUN_ONCE);
	CU_ASSERT(second.status == 200);
	struct sl_web_request r3 = get("/silent", &away);
	CU_ASSERT(sl_web_start(web, &r3, &c) == 0);
	first = (struct notes){.put = true};
	r = get("/hello", &first);
	run(&r, &first);
	CU_ASSERT(first.status == 200 && away.done == 0 && web == NULL);
	server_close();
}

/* ---- TLS ---- */

static SSL_CTX *tls_ctx;
static int tls_sock;
static _Atomic unsigned tls_served;

static void *
serve_tls(void *ctx)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntls";
	char buf[4096];

	(void)ctx;
	for (int fd; (fd = accept(tls_sock, NULL, NULL)) >= 0; close(fd)) {
		SSL *ssl = SSL_new(tls_ctx);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1 && SSL_read(ssl, buf, sizeof(buf)) > 0) {
			tls_served++;
			SSL_write(ssl, text, sizeof(text) - 1);
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
	}
	return NULL;
}

static void
write_file(const char *dir, const char *name, char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	free(text);
}

static void
tls_listen(struct tls_cert *leaf, struct tls_cert *ca, uint16_t *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);

	tls_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(tls_ctx, leaf->x);
	SSL_CTX_use_PrivateKey(tls_ctx, leaf->key);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(tls_ctx), ca->x);
	tls_sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(bind(tls_sock, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CU_ASSERT_FATAL(listen(tls_sock, 8) == 0);
	getsockname(tls_sock, (struct sockaddr *)&sa, &len);
	*ret_port = ntohs(sa.sin_port);
}

static void
tls_trusts_the_named_bundle_alone(void)
{
	char dir[] = "/tmp/test_web.XXXXXX", cmd[64];
	struct tls_cert *ca = tls_cert_ca("ca"), *other = tls_cert_ca("other");
	struct tls_cert *leaf = tls_cert_make(
		&(struct tls_cert_spec){.issuer = ca, .sans = {TLS_SAN("IP:127.0.0.1")}});
	struct tls_cert *client = tls_cert_make(&(struct tls_cert_spec){.issuer = ca, .cn = "me"});
	const struct {
		const char *host, *ca, *certificate, *key, *error;
		bool asks;
	} rows[] = {
		{"127.0.0.1", "ca", NULL, NULL, NULL, false},
		{"127.0.0.1", "other", NULL, NULL, "certificate", false},
		{"127.0.0.1", NULL, NULL, NULL, "certificate", false},
		{"localhost", "ca", NULL, NULL, "localhost", false},
		{"127.0.0.1", "nowhere", NULL, NULL, "`ca`", false},
		{"127.0.0.1", "ca", NULL, NULL, "", true},
		{"127.0.0.1", "ca", "client", "client.key", NULL, true},
		{"127.0.0.1", "ca", "client", "nowhere", "`key`", true},
	};
	uint16_t tls_port;
	pthread_t thread;

	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
	write_file(dir, "ca", tls_cert_pem(ca));
	write_file(dir, "other", tls_cert_pem(other));
	write_file(dir, "client", tls_cert_pem(client));
	write_file(dir, "client.key", tls_cert_key_pem(client));
	tls_listen(leaf, ca, &tls_port);
	pthread_create(&thread, NULL, serve_tls, NULL);
	server_open();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct notes n = {0};
		char files[3][128] = {"", "", ""};
		const char *const names[] = {rows[i].ca, rows[i].certificate, rows[i].key};
		for (unsigned k = 0; k < 3; k++)
			if (names[k])
				snprintf(files[k], sizeof(files[k]), "%s/%s", dir, names[k]);
		SSL_CTX_set_verify(tls_ctx,
				   rows[i].asks ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
						: SSL_VERIFY_NONE,
				   NULL);
		struct sl_web_request r = get("/", &n);
		snprintf(url, sizeof(url), "https://%s:%u/", rows[i].host, tls_port);
		r.ca = files[0];
		r.certificate = files[1];
		r.key = files[2];
		unsigned served = tls_served;
		run(&r, &n);
		bool good = !rows[i].error;
		CU_ASSERT((n.status == 200) == good && (tls_served == served + 1) == good);
		CU_ASSERT(good == !*n.error && (good || strstr(n.error, rows[i].error)));
		if (good == !!*n.error || (!good && !strstr(n.error, rows[i].error)))
			printf("row %u: %s\n", i, n.error);
	}
	server_close();
	shutdown(tls_sock, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(tls_sock);
	SSL_CTX_free(tls_ctx);
	tls_cert_free(ca);
	tls_cert_free(other);
	tls_cert_free(leaf);
	tls_cert_free(client);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CU_ASSERT(system(cmd) == 0);
}

static void
many_calls_are_under_way_at_once(void)
{
	static struct notes notes[200];

	server_open();
	for (unsigned i = 0; i < SL_ARRAY_CNT(notes); i++) {
		struct sl_web_call *c;
		notes[i] = (struct notes){0};
		struct sl_web_request r = get(i % 4 ? "/hello" : "/silent", &notes[i]);
		r.total_ms = i % 4 ? 5000 : 300;
		CU_ASSERT(sl_web_start(web, &r, &c) == 0);
	}
	for (unsigned ended = 0; ended < SL_ARRAY_CNT(notes);) {
		uv_run(&loop, UV_RUN_ONCE);
		ended = 0;
		for (unsigned i = 0; i < SL_ARRAY_CNT(notes); i++)
			ended += notes[i].done;
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(notes); i++)
		CU_ASSERT(notes[i].done == 1 && notes[i].status == (i % 4 ? 200 : 0));
	server_close();
}

SL_SUITE("web", SL_TEST(an_answer_comes_with_status_headers_and_body),
	 SL_TEST(a_request_carries_what_it_was_given),
	 SL_TEST(a_token_that_cannot_be_read_is_an_error),
	 SL_TEST(nobody_is_asked_but_the_server_that_was_named),
	 SL_TEST(what_is_wrong_is_said_with_the_server), SL_TEST(what_is_no_request_is_refused),
	 SL_TEST(a_stream_comes_in_pieces_and_fails_when_it_is_silent),
	 SL_TEST(who_is_cancelled_hears_nothing_more),
	 SL_TEST(done_may_start_another_and_may_end_everything),
	 SL_TEST(tls_trusts_the_named_bundle_alone), SL_TEST(many_calls_are_under_way_at_once))

#include "tests/tls/hs_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NEED(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- the scene ---- */

static void
put(struct hs_scene *s, uint32_t kind, const char *name, void *secret, size_t bytes)
{
	char text[SL_KEYRING_TEXT] = "";

	if (sl_keyring_put(s->keys, kind, name, secret, bytes, text)) {
		fprintf(stderr, "%s: %s\n", name, text);
		abort();
	}
	free(secret);
}

void
hs_pair(struct hs_scene *s, const char *name, const struct tls_cert *c)
{
	size_t bytes;
	void *secret = tls_secret_pair(c, &bytes);
	put(s, SL_SECRET_PAIR, name, secret, bytes);
}

void
hs_trust(struct hs_scene *s, const char *name, struct tls_cert *ca)
{
	size_t bytes;
	void *secret = tls_secret_trust(&ca, 1, &bytes);
	put(s, SL_SECRET_TRUST, name, secret, bytes);
}

void
hs_tickets(struct hs_scene *s, const unsigned *seeds, unsigned cnt)
{
	struct sl_ticket_key keys[SL_TICKET_KEYS];
	size_t bytes;

	for (unsigned i = 0; i < cnt; i++)
		keys[i] = tls_ticket_key(seeds[i]);
	void *secret = tls_secret_tickets(keys, cnt, &bytes);
	put(s, SL_SECRET_TICKETS, "tickets", secret, bytes);
}

static void
make_certs(struct hs_scene *s)
{
	s->ca = tls_cert_ca("mesh ca");
	s->other_ca = tls_cert_ca("other ca");
	s->web_ec = tls_cert_leaf(s->ca, TLS_CERT_EC, "web.example");
	s->web_rsa = tls_cert_leaf(s->ca, TLS_CERT_RSA, "web.example");
	s->client = tls_cert_make(&(struct tls_cert_spec){
		.cn = "client",
		.issuer = s->ca,
		.sans = {TLS_SAN("URI:spiffe://td/ns/a/sa/client"), TLS_SAN("DNS:cl.example")}});
	hs_trust(s, "mesh", s->ca);
	hs_trust(s, "other", s->other_ca);
	hs_pair(s, "web_ec", s->web_ec);
	hs_pair(s, "web_rsa", s->web_rsa);
	hs_pair(s, "client", s->client);
}

void
hs_init(struct hs_scene *s)
{
	*s = (struct hs_scene){.keys = sl_keyring_create(), .now_s = time(NULL)};
	NEED(s->keys);
	sl_board_init(&s->board);
	make_certs(s);
	s->listener[0] = (struct hs_listener){.there = true,
					      .img = {.min_version = SL_TLS_1_2,
						      .max_version = SL_TLS_1_3,
						      .suites = SL_TLS_SUITES_ALL,
						      .groups = SL_TLS_GROUPS_ALL,
						      .tickets = 1,
						      .handshake_ms = 10000},
					      .certs = {"web_ec", "web_rsa"}};
	s->service[0] = (struct hs_service){.there = true,
					    .img = {.min_version = SL_TLS_1_2,
						    .max_version = SL_TLS_1_3,
						    .verify = 1,
						    .resume = 1,
						    .suites = SL_TLS_SUITES_ALL,
						    .groups = SL_TLS_GROUPS_ALL,
						    .handshake_ms = 10000,
						    .server_name = "web.example"},
					    .trust = {"mesh"}};
}

void
hs_fini(struct hs_scene *s)
{
	sl_board_fini(&s->board);
	sl_keyring_destroy(s->keys);
	tls_cert_free(s->web_ec);
	tls_cert_free(s->web_rsa);
	tls_cert_free(s->client);
	tls_cert_free(s->ca);
	tls_cert_free(s->other_ca);
}

struct sources {
	struct sl_book_source list[2 * HS_ITEMS];
	uint32_t cnt;
	struct sl_img_listener listener[HS_ITEMS];
	struct sl_img_service service[HS_ITEMS];
	struct sl_img_tls_name names[HS_ITEMS][16];
	struct sl_img_tls_san sans[2 * HS_ITEMS][8];
};

static uint32_t
fill_sans(struct sl_img_tls_san *to, const char *const *sans)
{
	uint32_t n = 0;

	for (; n < 8 && sans[n]; n++)
		snprintf(to[n].san, sizeof(to[n].san), "%s", sans[n]);
	return n;
}

static void
add_listener(struct sources *src, struct hs_listener *l, unsigned i)
{
	struct sl_img_tls_listener *img = &l->img;
	uint32_t n = 0;

	snprintf(src->listener[i].name, sizeof(src->listener[i].name), "listener%u", i);
	img->cert_first = 0;
	for (unsigned c = 0; c < 8 && l->certs[c]; c++)
		snprintf(src->names[i][n++].name, SL_NAME_MAX, "%s", l->certs[c]);
	img->cert_cnt = img->trust_first = n;
	for (unsigned t = 0; t < 4 && l->trust[t]; t++)
		snprintf(src->names[i][n++].name, SL_NAME_MAX, "%s", l->trust[t]);
	img->trust_cnt = n - img->trust_first;
	img->san_first = 0;
	img->san_cnt = fill_sans(src->sans[i], l->sans);
	src->list[src->cnt++] = (struct sl_book_source){.listener = &src->listener[i],
							.slot = i + 10,
							.incarnation = 1,
							.tls_listener = img,
							.names = src->names[i],
							.sans = src->sans[i]};
}

static void
add_service(struct sources *src, struct hs_service *v, unsigned i)
{
	for (unsigned t = 0; t < 4; t++)
		snprintf(v->img.trust[t], SL_NAME_MAX, "%s", v->trust[t] ? v->trust[t] : "");
	v->img.san_cnt = fill_sans(src->sans[HS_ITEMS + i], v->sans);
	src->list[src->cnt++] = (struct sl_book_source){.service = &src->service[i],
							.slot = i + 20,
							.incarnation = 1,
							.tls_service = &v->img,
							.sans = src->sans[HS_ITEMS + i]};
}

void
hs_publish(struct hs_scene *s)
{
	struct sources *src = calloc(1, sizeof(*src));
	struct sl_diag diag = {0};

	NEED(src);
	for (unsigned i = 0; i < HS_ITEMS; i++)
		if (s->listener[i].there)
			add_listener(src, &s->listener[i], i);
	for (unsigned i = 0; i < HS_ITEMS; i++)
		if (s->service[i].there)
			add_service(src, &s->service[i], i);
	struct sl_book *b = sl_book_build(s->keys, src->list, src->cnt, ++s->version, &diag);
	NEED(b);
	sl_board_set(&s->board, b);
	free(src);
}

struct sl_hs_engine *
hs_engine_with(struct hs_scene *s, struct sl_hs_conf conf)
{
	conf.board = &s->board;
	if (!conf.sessions)
		conf.sessions = 64;
	struct sl_hs_engine *e = sl_hs_create(&conf);
	NEED(e);
	return e;
}

struct sl_hs_engine *
hs_engine(struct hs_scene *s)
{
	return hs_engine_with(s, (struct sl_hs_conf){0});
}

/* ---- wires ---- */

void
hs_wire_add(struct hs_wire *w, const void *bytes, uint32_t n)
{
	NEED(n <= HS_WIRE - w->len);
	memcpy(w->data + w->len, bytes, n);
	w->len += n;
}

void
hs_wire_cut(struct hs_wire *w, uint32_t n)
{
	NEED(n <= w->len);
	memmove(w->data, w->data + n, w->len - n);
	w->len -= n;
}

/* ---- an engine's end ---- */

static struct hs_end *
end_make(struct hs_scene *s, struct sl_hs_engine *e, uint8_t op, uint32_t slot)
{
	struct hs_end *end = calloc(1, sizeof(*end));

	NEED(end);
	end->e = e;
	end->scene = s;
	end->op = op;
	end->slot = slot;
	return end;
}

struct hs_end *
hs_server(struct hs_scene *s, struct sl_hs_engine *e, unsigned listener)
{
	return end_make(s, e, SL_HS_SERVER, 10 + listener);
}

struct hs_end *
hs_client(struct hs_scene *s, struct sl_hs_engine *e, unsigned service)
{
	return end_make(s, e, SL_HS_CLIENT, 20 + service);
}

void
hs_end_free(struct hs_end *end)
{
	if (end->job.hs) {
		end->job.op = SL_HS_END;
		sl_hs_step(end->e, &end->job);
		NEED(!end->job.hs);
	}
	free(end);
}

static void
fill_job(struct hs_end *end, uint32_t in_len)
{
	struct sl_hs_job *job = &end->job;

	job->op = end->begun ? SL_HS_FEED : end->op;
	job->slot = end->slot;
	job->incarnation = 1;
	job->endpoint_slot = end->endpoint;
	job->now_s = end->scene->now_s;
	snprintf(job->host, sizeof(job->host), "%s", end->host ? end->host : "");
	job->in_len = in_len;
	memcpy(job->in, end->in.data, in_len);
}

bool
hs_go(struct hs_end *end, struct hs_wire *to)
{
	uint32_t n = SL_MIN(end->in.len, end->chunk ? end->chunk : SL_HS_IN);
	bool client = !end->begun && end->op == SL_HS_CLIENT;

	if (client || end->job.more_out)
		n = 0;
	else if (n == 0)
		return false;
	fill_job(end, SL_MIN(n, SL_HS_IN));
	end->begun = true;
	sl_hs_step(end->e, &end->job);
	end->steps++;
	NEED(end->job.in_used <= end->job.in_len);
	hs_wire_cut(&end->in, end->job.in_used);
	if (to)
		hs_wire_add(to, end->job.out, end->job.out_len);
	end->over = end->job.state != SL_HS_MORE;
	return true;
}

void
hs_talk(struct hs_end *client, struct hs_end *server)
{
	for (bool moved = true; moved;) {
		moved = false;
		while (!client->over && hs_go(client, &server->in))
			moved = true;
		while (!server->over && hs_go(server, &client->in))
			moved = true;
	}
}

unsigned
hs_feed_tickets(struct hs_end *client)
{
	unsigned cnt = 0;

	while (client->job.hs && client->in.len && hs_go(client, NULL))
		cnt += client->job.tickets;
	return cnt;
}

const struct sl_tls_peer *
hs_peer(const struct hs_end *end)
{
	return end->job.done.peer_len ? (const void *)end->job.peer : NULL;
}

bool
hs_text_is(const char *text, uint32_t len, const char *want)
{
	return strlen(want) == len && !memcmp(text, want, len);
}

/* ---- plain OpenSSL's end ---- */

static struct hs_plain *
plain_make(const SSL_METHOD *method)
{
	struct hs_plain *p = calloc(1, sizeof(*p));

	NEED(p && (p->ctx = SSL_CTX_new(method)));
	return p;
}

void
hs_plain_cert(struct hs_plain *p, const struct tls_cert *c)
{
	NEED(SSL_CTX_use_cert_and_key(p->ctx, c->x, c->key, NULL, 1) == 1);
}

void
hs_plain_trust(struct hs_plain *p, const struct tls_cert *ca, int verify)
{
	NEED(X509_STORE_add_cert(SSL_CTX_get_cert_store(p->ctx), ca->x) == 1);
	SSL_CTX_set_verify(p->ctx, verify, NULL);
}

void
hs_plain_begin(struct hs_plain *p, bool server, const char *host)
{
	SSL_free(p->ssl);
	p->in.len = 0;
	NEED(p->ssl = SSL_new(p->ctx));
	SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(p->ssl), -1);
	if (server)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
	if (host)
		NEED(SSL_set_tlsext_host_name(p->ssl, host) == 1);
}

struct hs_plain *
hs_plain_client(const char *host)
{
	struct hs_plain *p = plain_make(TLS_client_method());

	hs_plain_begin(p, false, host);
	return p;
}

struct hs_plain *
hs_plain_server(const struct tls_cert *c)
{
	struct hs_plain *p = plain_make(TLS_server_method());

	hs_plain_cert(p, c);
	hs_plain_begin(p, true, NULL);
	return p;
}

void
hs_plain_free(struct hs_plain *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	free(p);
}

void
hs_plain_flush(struct hs_plain *p, struct hs_wire *to)
{
	char buf[4096];
	int n;

	while ((n = BIO_read(SSL_get_wbio(p->ssl), buf, sizeof(buf))) > 0)
		hs_wire_add(to, buf, (uint32_t)n);
}

int
hs_plain_go(struct hs_plain *p, struct hs_wire *to)
{
	if (p->in.len)
		NEED(BIO_write(SSL_get_rbio(p->ssl), p->in.data, (int)p->in.len) == (int)p->in.len);
	p->in.len = 0;
	int r = SSL_do_handshake(p->ssl);
	hs_plain_flush(p, to);
	return r;
}

void
hs_plain_talk(struct hs_plain *p, struct hs_end *end)
{
	for (bool moved = true; moved;) {
		uint32_t before = end->in.len;
		hs_plain_go(p, &end->in);
		moved = end->in.len != before;
		while (!end->over && hs_go(end, &p->in))
			moved = true;
	}
}

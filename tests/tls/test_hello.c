/* ClientHellos: OpenSSL's own, and rows by hand; each is tried whole, cut at every byte right before a page that must not be
 * touched, and in records of every size. */
#include <openssl/ssl.h>

#include "l7/tls/hello.h"
#include "tests/suite.h"

#define RECORD_HEAD 5
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static int
parse_guarded(const uint8_t *bytes, uint32_t n, struct sl_hello *ret, const char **ret_why)
{
	uint8_t *g = guard_buf(n ? n : 1);

	if (n)
		memcpy(g, bytes, n);
	int r = sl_hello_parse(n ? g : g + 1, n, ret, ret_why);
	guard_free(g, n ? n : 1);
	return r;
}

static bool
same(const struct sl_hello *a, const struct sl_hello *b)
{
	if (strcmp(a->host, b->host) != 0 || a->alpn_cnt != b->alpn_cnt || a->version != b->version)
		return false;
	for (uint32_t i = 0; i < a->alpn_cnt; i++)
		if (strcmp(a->alpn[i], b->alpn[i]) != 0)
			return false;
	return true;
}

/* Whatever piece has come, it could still become this hello, and not before `need`; what comes behind it changes nothing. */
static void
every_cut(const uint8_t *bytes, uint32_t n, const struct sl_hello *want)
{
	uint8_t *more = malloc(n + 3);
	struct sl_hello h, was;
	const char *why = NULL;
	bool partial = true, untouched = true;

	memset(&was, 0xa5, sizeof(was));
	for (uint32_t cut = 0; cut < n; cut++) {
		memcpy(&h, &was, sizeof(h));
		partial &= parse_guarded(bytes, cut, &h, &why) == SL_PARTIAL;
		partial &= h.need > cut && h.need <= n;
		h.need = was.need;
		untouched &= memcmp(&h, &was, sizeof(h)) == 0;
	}
	CU_ASSERT_TRUE(partial);
	CU_ASSERT_TRUE(untouched);
	CU_ASSERT_PTR_NULL(why);
	memcpy(more, bytes, n);
	memcpy(more + n, "\x17\3\3", 3);
	CU_ASSERT_EQUAL(sl_hello_parse(more, n + 3, &h, &why), (int)n);
	CU_ASSERT_TRUE(same(&h, want));
	free(more);
}

/* The message of one record in records of `size` bytes; how many bytes. */
static uint32_t
in_records(const uint8_t *msg, uint32_t n, uint32_t size, uint8_t *to)
{
	uint8_t *p = to;

	for (uint32_t at = 0; at < n; at += size) {
		uint32_t len = SL_MIN(size, n - at);
		memcpy(p, "\x16\3\1", 3);
		p[3] = (uint8_t)(len >> 8);
		p[4] = (uint8_t)len;
		memcpy(p + RECORD_HEAD, msg + at, len);
		p += RECORD_HEAD + len;
	}
	return (uint32_t)(p - to);
}

/* ---- OpenSSL's ---- */

struct client {
	const char *host; /* NULL: no server name */
	const char *alpn; /* wire form; NULL: none */
	uint32_t alpn_len;
	int min, max;   /* versions; 0: whatever there is */
	uint32_t extra; /* bytes of an extension nobody knows */
};

static int
extra_add(SSL *ssl, unsigned type, unsigned context, const unsigned char **out, size_t *out_len,
	  X509 *x, size_t chain, int *alert, void *arg)
{
	(void)ssl, (void)type, (void)context, (void)x, (void)chain, (void)alert;
	*out = calloc(1, *(uint32_t *)arg);
	*out_len = *(uint32_t *)arg;
	return *out != NULL;
}

static void
extra_free(SSL *ssl, unsigned type, unsigned context, const unsigned char *out, void *arg)
{
	(void)ssl, (void)type, (void)context, (void)arg;
	free((void *)(uintptr_t)out);
}

/* What a client sends first. */
static uint32_t
hello_of(const struct client *c, uint8_t *to, uint32_t room)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	uint32_t extra = c->extra;

	SSL_CTX_set_min_proto_version(ctx, c->min);
	SSL_CTX_set_max_proto_version(ctx, c->max);
	if (extra)
		CU_ASSERT_EQUAL(SSL_CTX_add_custom_ext(ctx, 0xfe00, SSL_EXT_CLIENT_HELLO, extra_add,
						       extra_free, &extra, NULL, NULL),
				1);
	SSL *ssl = SSL_new(ctx);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (c->host)
		CU_ASSERT_EQUAL(SSL_set_tlsext_host_name(ssl, c->host), 1);
	if (c->alpn)
		CU_ASSERT_EQUAL(SSL_set_alpn_protos(ssl, (const uint8_t *)c->alpn, c->alpn_len), 0);
	CU_ASSERT_EQUAL(SSL_connect(ssl), -1);
	int n = BIO_read(SSL_get_wbio(ssl), to, (int)room);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	CU_ASSERT_TRUE_FATAL(n > RECORD_HEAD);
	return (uint32_t)n;
}

#define H1_H2 "\x2h2\x8http/1.1"

static const struct client clients[] = {
	{"shop.example", NULL, 0, 0, TLS1_3_VERSION, 0},
	{"Shop.Example", H1_H2, sizeof(H1_H2) - 1, TLS1_2_VERSION, TLS1_2_VERSION, 0},
	{"a-b.c_d.example", H1_H2, sizeof(H1_H2) - 1, TLS1_3_VERSION, TLS1_3_VERSION, 0},
	{NULL, H1_H2, sizeof(H1_H2) - 1, 0, TLS1_3_VERSION, 0},
	{NULL, NULL, 0, TLS1_2_VERSION, TLS1_2_VERSION, 0},
	{"big.example", H1_H2, sizeof(H1_H2) - 1, 0, TLS1_3_VERSION, 3000},
};

static void
is_what_the_client_said(const struct client *c, const struct sl_hello *h)
{
	CU_ASSERT_EQUAL(strcasecmp(h->host, c->host ? c->host : ""), 0);
	CU_ASSERT_EQUAL(h->version, c->max);
	CU_ASSERT_EQUAL(h->alpn_cnt, c->alpn ? 2 : 0);
	if (c->alpn) {
		CU_ASSERT_STRING_EQUAL(h->alpn[0], "h2");
		CU_ASSERT_STRING_EQUAL(h->alpn[1], "http/1.1");
	}
	for (const char *p = h->host; *p; p++)
		CU_ASSERT_FALSE(*p >= 'A' && *p <= 'Z');
}

static void
what_openssl_sends_is_understood_whole_and_at_every_cut(void)
{
	static uint8_t bytes[SL_HELLO_MAX];
	struct sl_hello h;
	const char *why;

	for (unsigned i = 0; i < SL_ARRAY_CNT(clients); i++) {
		uint32_t n = hello_of(&clients[i], bytes, sizeof(bytes));
		CU_ASSERT_EQUAL_FATAL(parse_guarded(bytes, n, &h, &why), (int)n);
		is_what_the_client_said(&clients[i], &h);
		every_cut(bytes, n, &h);
	}
}

static void
records_may_cut_the_message_anywhere(void)
{
	static uint8_t bytes[SL_HELLO_MAX], cut[6 * SL_HELLO_MAX];
	struct sl_hello want, h;
	const char *why;

	for (unsigned i = 0; i + 1 < SL_ARRAY_CNT(clients); i++) {
		uint32_t n = hello_of(&clients[i], bytes, sizeof(bytes));
		CU_ASSERT_EQUAL_FATAL(sl_hello_parse(bytes, n, &want, &why), (int)n);
		for (uint32_t size = 1; size < n; size++) {
			uint32_t len = in_records(bytes + RECORD_HEAD, n - RECORD_HEAD, size, cut);
			CU_ASSERT_EQUAL_FATAL(parse_guarded(cut, len, &h, &why), (int)len);
			CU_ASSERT_TRUE(same(&h, &want));
			if (size < 4 || size == 100)
				every_cut(cut, len, &want);
		}
	}
}

static void
a_hello_of_the_longest_kind_is_read_and_one_byte_more_is_refused(void)
{
	static uint8_t bytes[2 * SL_HELLO_MAX];
	struct client c = {"big.example", NULL, 0, 0, TLS1_3_VERSION, 15000};
	struct sl_hello h;
	const char *why = NULL;

	c.extra += SL_HELLO_MAX - hello_of(&c, bytes, sizeof(bytes));
	uint32_t n = hello_of(&c, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(n, SL_HELLO_MAX);
	CU_ASSERT_EQUAL(parse_guarded(bytes, n, &h, &why), (int)n);
	CU_ASSERT_STRING_EQUAL(h.host, "big.example");
	CU_ASSERT_EQUAL(parse_guarded(bytes, n - 1, &h, &why), SL_PARTIAL);
	CU_ASSERT_EQUAL(h.need, n);
	c.extra++;
	n = hello_of(&c, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(n, SL_HELLO_MAX + 1);
	CU_ASSERT_EQUAL(parse_guarded(bytes, n, &h, &why), SL_BAD);
	CU_ASSERT_STRING_EQUAL(why, "the ClientHello is longer than 16384 bytes");
	/* its length alone says so */
	CU_ASSERT_EQUAL(parse_guarded(bytes, 9, &h, &why), SL_BAD);
	CU_ASSERT_EQUAL(parse_guarded(bytes, 8, &h, &why), SL_PARTIAL);
}

/* Each record's header is part of what is waited for. */
static void
small_records_cannot_make_a_hello_longer_than_it_may_be(void)
{
	static uint8_t bytes[SL_HELLO_MAX], cut[6 * SL_HELLO_MAX];
	const struct client c = {"big.example", NULL, 0, 0, TLS1_3_VERSION, 3000};
	struct sl_hello h;
	const char *why = NULL;
	uint32_t n = hello_of(&c, bytes, sizeof(bytes));
	uint32_t len = in_records(bytes + RECORD_HEAD, n - RECORD_HEAD, 1, cut), at = 1;

	CU_ASSERT_TRUE(len > SL_HELLO_MAX);
	while (at < len && sl_hello_parse(cut, at, &h, &why) == SL_PARTIAL)
		at++;
	CU_ASSERT_TRUE(at < SL_HELLO_MAX);
	CU_ASSERT_STRING_EQUAL(why, "the ClientHello is longer than 16384 bytes");
}

/* ---- by hand ---- */

/* A hello with these extensions, in one record. */
static uint32_t
hello_with(const uint8_t *ext, uint32_t ext_len, uint8_t *to)
{
	static const uint8_t fixed[] = "\3\3"
				       "0123456789abcdef0123456789abcdef"
				       "\0\0\2\x13\1\1";
	uint32_t body = sizeof(fixed) + 2 + ext_len, msg = 4 + body;
	uint8_t *p = to;

	memcpy(p, "\x16\3\1", 3);
	p[3] = (uint8_t)(msg >> 8);
	p[4] = (uint8_t)msg;
	memcpy(p + 5, "\1\0", 2);
	p[7] = (uint8_t)(body >> 8);
	p[8] = (uint8_t)body;
	memcpy(p + 9, fixed, sizeof(fixed)); /* its 0 is the compression method */
	p += 9 + sizeof(fixed);
	p[0] = (uint8_t)(ext_len >> 8);
	p[1] = (uint8_t)ext_len;
	memcpy(p + 2, ext, ext_len);
	return 5 + msg;
}

struct row {
	const char *what;
	const uint8_t *ext;
	uint32_t len;
	const char *why;  /* NULL: it is good, */
	const char *host; /* and names this */
};

#define SNI(n2, n5, host) "\0\0\0" n2 "\0" n5 host
#define OVER_EXT "a length reaches past the end of what holds it"
#define OVER_FIELD "a field reaches past the end of what holds it"
#define BEHIND "bytes behind the end of a list"
#define SHORT "a list is shorter than it may be"
#define NO_HOST "the server name is no host name"
#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define L61 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"
#define H253 L63 "." L63 "." L63 "." L61

static const struct row rows[] = {
	{"no extensions in the list", BYTES(""), NULL, ""},
	{"a name", BYTES("\0\0\0\x8\0\6\0\0\3a.b"), NULL, "a.b"},
	{"upper case", BYTES("\0\0\0\x8\0\6\0\0\3A.Z"), NULL, "a.z"},
	{"one label, a digit first, '_' and '-'", BYTES("\0\0\0\x9\0\7\0\0\4\x31_-x"), NULL,
	 "1_-x"},
	{"a dot at the end goes", BYTES("\0\0\0\x9\0\7\0\0\4a.b."), NULL, "a.b"},
	{"two dots at the end", BYTES("\0\0\0\xa\0\x8\0\0\5a.b.."), NO_HOST, NULL},
	{"a dot alone", BYTES("\0\0\0\6\0\4\0\0\1."), NO_HOST, NULL},
	{"a dot first", BYTES("\0\0\0\7\0\5\0\0\2.a"), NO_HOST, NULL},
	{"an empty label", BYTES("\0\0\0\x9\0\7\0\0\4a..b"), NO_HOST, NULL},
	{"a NUL in the name", BYTES("\0\0\0\x8\0\6\0\0\3a\0b"), NO_HOST, NULL},
	{"an address with something behind a NUL", BYTES("\0\0\0\xe\0\xc\0\0\x9\x31.2.3.4\0a"),
	 NO_HOST, NULL},
	{"a wildcard", BYTES("\0\0\0\x8\0\6\0\0\3*.b"), NO_HOST, NULL},
	{"a slash", BYTES("\0\0\0\x8\0\6\0\0\3a/b"), NO_HOST, NULL},
	{"a space", BYTES("\0\0\0\x8\0\6\0\0\3a b"), NO_HOST, NULL},
	{"a port", BYTES("\0\0\0\x8\0\6\0\0\3a:1"), NO_HOST, NULL},
	{"8 bits", BYTES("\0\0\0\x8\0\6\0\0\3a\xc3\xa4"), NO_HOST, NULL},
	{"what is next to letters and digits", BYTES("\0\0\0\6\0\4\0\0\1@"), NO_HOST, NULL},
	{"what is next to letters", BYTES("\0\0\0\6\0\4\0\0\1["), NO_HOST, NULL},
	{"an IPv4 address is no name", BYTES("\0\0\0\xc\0\xa\0\0\7\x31.2.3.4"), NULL, ""},
	{"an IPv6 address is no name", BYTES("\0\0\0\x8\0\6\0\0\3::1"), NULL, ""},
	{"63 bytes of label", BYTES("\0\0\0\x44\0\x42\0\0\x3f" L63), NULL, L63},
	{"64 bytes of label", BYTES("\0\0\0\x45\0\x43\0\0\x40" L63 "l"), NO_HOST, NULL},
	{"253 bytes", BYTES("\0\0\1\x02\1\0\0\0\xfd" H253), NULL, H253},
	{"253 bytes and a dot", BYTES("\0\0\1\x03\1\1\0\0\xfe" H253 "."), NULL, H253},
	{"254 bytes", BYTES("\0\0\1\x03\1\1\0\0\xfe" H253 "j"), NO_HOST, NULL},
	{"255 bytes", BYTES("\0\0\1\x04\1\2\0\0\xff" H253 "jk"),
	 "a server name longer than a host name may be", NULL},
	{"a server's empty extension", BYTES("\0\0\0\0"), OVER_FIELD, NULL},
	{"an empty list of names", BYTES("\0\0\0\2\0\0"), SHORT, NULL},
	{"an empty name", BYTES("\0\0\0\5\0\3\0\0\0"), SHORT, NULL},
	{"two names", BYTES("\0\0\0\xc\0\xa\0\0\2aa\0\0\2aa"), "more than one server name", NULL},
	{"a name of another type before", BYTES("\0\0\0\xc\0\xa\7\0\2\0\0\0\0\2aa"), NULL, "aa"},
	{"a name of another type, empty", BYTES("\0\0\0\5\0\3\7\0\0"), NULL, ""},
	{"a name of another type too long", BYTES("\0\0\0\5\0\3\7\0\1"), OVER_EXT, NULL},
	{"a list longer than its extension", BYTES("\0\0\0\x8\0\7\0\0\3a.b"), OVER_EXT, NULL},
	{"a list shorter than its extension", BYTES("\0\0\0\x8\0\5\0\0\3a.b"), BEHIND, NULL},
	{"a name longer than its list", BYTES("\0\0\0\x8\0\6\0\0\4a.b"), OVER_EXT, NULL},
	{"a name shorter than its list", BYTES("\0\0\0\x8\0\6\0\0\2a.b"), OVER_FIELD, NULL},
	{"a list of one byte", BYTES("\0\0\0\3\0\1\0"), OVER_FIELD, NULL},
	{"an extension longer than the list", BYTES("\0\0\0\x9\0\6\0\0\3a.b"), OVER_EXT, NULL},
	{"an extension of half a head", BYTES("\0\1\0"), OVER_FIELD, NULL},
	{"the same extension twice", BYTES("\xfa\xfa\0\0\xfa\xfa\0\0"),
	 "an extension that comes twice", NULL},
	{"server_name twice", BYTES("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1b"),
	 "an extension that comes twice", NULL},
	{"a name behind others", BYTES("\xfa\xfa\0\0\0\x2b\0\3\2\3\4\0\0\0\6\0\4\0\0\1b"), NULL,
	 "b"},
	{"ALPN: an empty list", BYTES("\0\x10\0\2\0\0"), SHORT, NULL},
	{"ALPN: an empty protocol", BYTES("\0\x10\0\5\0\3\0\1a"), SHORT, NULL},
	{"ALPN: bytes behind", BYTES("\0\x10\0\5\0\2\1aa"), BEHIND, NULL},
	{"ALPN: past the end", BYTES("\0\x10\0\4\0\2\2a"), OVER_EXT, NULL},
	{"versions: none", BYTES("\0\x2b\0\1\0"), SHORT, NULL},
	{"versions: half a one", BYTES("\0\x2b\0\4\3\3\4\3"), "half a version", NULL},
	{"versions: bytes behind", BYTES("\0\x2b\0\4\2\3\4\3"), BEHIND, NULL},
	{"versions: past the end", BYTES("\0\x2b\0\3\4\3\4"), OVER_EXT, NULL},
};

/* The verdict on a piece is that on all of it, or that it is not whole. */
static void
refused(const char *what, const uint8_t *bytes, uint32_t n, const char *why_want)
{
	struct sl_hello h, untouched;
	const char *why = NULL;
	uint32_t cut = 0;
	int r = SL_PARTIAL;

	memset(&untouched, 0xa5, sizeof(untouched));
	for (; cut < n && r == SL_PARTIAL; cut++)
		r = parse_guarded(bytes, cut + 1, &h, &why);
	memcpy(&h, &untouched, sizeof(h));
	int whole = parse_guarded(bytes, n, &h, &why);
	if (r != SL_BAD || whole != SL_BAD || strcmp(why, why_want) != 0)
		fprintf(stderr, "%s: %d %d (%s)\n", what, r, whole, why ? why : "-");
	CU_ASSERT_TRUE(r == SL_BAD && whole == SL_BAD && strcmp(why, why_want) == 0);
	CU_ASSERT_EQUAL(memcmp(&h, &untouched, sizeof(h)), 0);
}

static void
extensions_nest_exactly_and_a_name_is_a_host_name(void)
{
	static uint8_t bytes[SL_HELLO_MAX], cut[6 * SL_HELLO_MAX];
	struct sl_hello h;
	const char *why = NULL;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct row *r = &rows[i];
		uint32_t n = hello_with(r->ext, r->len, bytes);
		uint32_t len = in_records(bytes + RECORD_HEAD, n - RECORD_HEAD, 3, cut);
		if (r->why) {
			refused(r->what, bytes, n, r->why);
			refused(r->what, cut, len, r->why);
			continue;
		}
		int got = parse_guarded(bytes, n, &h, &why);
		if (got != (int)n || strcmp(h.host, r->host) != 0)
			fprintf(stderr, "%s: %d \"%s\" (%s)\n", r->what, got, h.host,
				why ? why : "-");
		CU_ASSERT_EQUAL_FATAL(got, (int)n);
		CU_ASSERT_STRING_EQUAL(h.host, r->host);
		every_cut(bytes, n, &h);
		CU_ASSERT_EQUAL(parse_guarded(cut, len, &h, &why), (int)len);
		CU_ASSERT_STRING_EQUAL(h.host, r->host);
	}
}

/* What is not of the extensions: a good hello with a change at one place. */
static void
records_and_message_are_what_they_say(void)
{
	static const struct {
		const char *what;
		uint32_t at;
		uint8_t byte;
		const char *why;
	} changes[] = {
		{"HTTP", 0, 'G', "it does not begin with a TLS handshake record"},
		{"an SSL 2 hello", 0, 0x80, "it does not begin with a TLS handshake record"},
		{"an alert", 0, 21, "it does not begin with a TLS handshake record"},
		{"version 2 of a record", 1, 2, "a record of no version of TLS"},
		{"a record that is too long", 3, 0x41, "a record longer than 16384 bytes"},
		{"a record of one byte too many", 4, 0x40,
		 "bytes follow the ClientHello in its record"},
		{"a ServerHello", 5, 2, "the first message is no ClientHello"},
		{"a message of a megabyte", 6, 16, "the ClientHello is longer than 16384 bytes"},
		{"a message of 4 bytes less", 8, 0x2f,
		 "bytes follow the ClientHello in its record"},
		{"version 2 of a hello", 9, 2, "a ClientHello of no version of TLS"},
		{"a session identifier of 33 bytes", 43, 33, OVER_EXT},
		{"half a suite", 45, 3, "half a cipher suite"},
		{"no suites", 45, 0, SHORT},
		{"one byte of suites", 45, 1, SHORT},
		{"suites past the end", 44, 1, OVER_EXT},
		{"no compression methods", 48, 0, SHORT},
		{"extensions past the end", 50, 1, OVER_EXT},
		{"bytes behind the extensions", 51, 4, BEHIND},
	};
	uint8_t bytes[128];
	struct sl_hello h;
	const char *why;

	for (unsigned i = 0; i < SL_ARRAY_CNT(changes); i++) {
		uint32_t n = hello_with(BYTES("\0\0\0\x6\0\4\0\0\1a"), bytes);
		CU_ASSERT_EQUAL_FATAL(sl_hello_parse(bytes, n, &h, &why), (int)n);
		bytes[changes[i].at] = changes[i].byte;
		refused(changes[i].what, bytes, n, changes[i].why);
	}
}

static void
a_long_session_identifier_is_refused(void)
{
	uint8_t bytes[256], id[40] = {0};
	uint32_t n = hello_with(id, sizeof(id), bytes);

	bytes[43] = 33; /* over what were suites, methods and extensions */
	refused("33 bytes", bytes, n, "a session identifier longer than 32 bytes");
}

static void
records_of_other_types_and_empty_ones_are_refused_within(void)
{
	uint8_t one[128], bytes[256];
	uint32_t n = hello_with(BYTES("\0\0\0\x6\0\4\0\0\1a"), one);
	uint32_t len = in_records(one + RECORD_HEAD, n - RECORD_HEAD, 20, bytes);

	static const struct {
		uint8_t head[5];
		const char *why;
	} second[] = {
		{{20, 3, 3, 0, 20}, "a record of another type within the ClientHello"},
		{{21, 3, 3, 0, 20}, "a record of another type within the ClientHello"},
		{{23, 3, 3, 0, 20}, "a record of another type within the ClientHello"},
		{{22, 3, 3, 0, 0}, "an empty handshake record"},
		{{22, 2, 3, 0, 20}, "a record of no version of TLS"},
		{{22, 3, 3, 0x40, 1}, "a record longer than 16384 bytes"},
		{{22, 3, 3, 0, 200}, "bytes follow the ClientHello in its record"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(second); i++) {
		memcpy(bytes + 25, second[i].head, 5);
		refused("second record", bytes, len, second[i].why);
	}
}

static void
a_hello_of_tls_1_2_needs_no_extensions(void)
{
	uint8_t bytes[128];
	struct sl_hello h;
	const char *why = NULL;
	uint32_t n = hello_with(BYTES(""), bytes) - 2;

	bytes[4] = (uint8_t)(bytes[4] - 2);
	bytes[8] = (uint8_t)(bytes[8] - 2);
	CU_ASSERT_EQUAL_FATAL(parse_guarded(bytes, n, &h, &why), (int)n);
	CU_ASSERT_STRING_EQUAL(h.host, "");
	CU_ASSERT_EQUAL(h.version, 0x0303);
	every_cut(bytes, n, &h);
}

static void
of_many_protocols_the_first_that_fit_are_kept(void)
{
	static const uint8_t ext[] = "\0\x10\0\x36\0\x34"
				     "\2\x0a\x0a"
				     "\x20"
				     "12345678901234567890123456789012"
				     "\3h\0"
				     "2"
				     "\2h2\1a\2bb\3ccc";
	uint8_t bytes[256];
	struct sl_hello h;
	const char *why = NULL;
	uint32_t n = hello_with(ext, sizeof(ext) - 1, bytes);

	CU_ASSERT_EQUAL_FATAL(parse_guarded(bytes, n, &h, &why), (int)n);
	CU_ASSERT_EQUAL(h.alpn_cnt, 4);
	CU_ASSERT_STRING_EQUAL(h.alpn[0], "\x0a\x0a");
	CU_ASSERT_STRING_EQUAL(h.alpn[1], "h2");
	CU_ASSERT_STRING_EQUAL(h.alpn[2], "a");
	CU_ASSERT_STRING_EQUAL(h.alpn[3], "bb");
}

static void
the_highest_version_that_is_known_counts(void)
{
	uint8_t bytes[256];
	struct sl_hello h;
	const char *why = NULL;
	uint32_t n = hello_with(BYTES("\0\x2b\0\x9\x8\xfa\xfa\3\3\3\4\x7f\x1c"), bytes);

	CU_ASSERT_EQUAL(parse_guarded(bytes, n, &h, &why), (int)n);
	CU_ASSERT_EQUAL(h.version, 0x0304);
	n = hello_with(BYTES("\0\x2b\0\3\2\xfa\xfa"), bytes);
	CU_ASSERT_EQUAL(parse_guarded(bytes, n, &h, &why), (int)n);
	CU_ASSERT_EQUAL(h.version, 0);
}

/* ---- who is meant ---- */

static void
a_name_is_found_exactly_else_by_its_longest_suffix(void)
{
	static const struct sl_img_sni names[] = {
		{"*.b.example", 1, 0}, {"*.example", 2, 0}, {"*.x.b.example", 3, 0},
		{"a.b.example", 4, 0}, {"example", 5, 0},   {"z.example", 6, 0},
	};
	static const struct {
		const char *host;
		uint32_t at;
	} asked[] = {
		{"a.b.example", 3},   {"example", 4},      {"z.example", 5},
		{"c.b.example", 0},   {"b.example", 1},    {"q.example", 1},
		{"1.2.3.example", 1}, {"x.b.example", 0},  {"y.x.b.example", 2},
		{"xb.example", 1},    {"y.z.example", 1},  {"zexample", UINT32_MAX},
		{"", UINT32_MAX},     {"com", UINT32_MAX}, {"example.", UINT32_MAX},
		{"*.example", 1},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(asked); i++) {
		uint32_t at = sl_hello_pick(names, SL_ARRAY_CNT(names), asked[i].host);
		if (at != asked[i].at)
			fprintf(stderr, "%s: %u\n", asked[i].host, at);
		CU_ASSERT_EQUAL(at, asked[i].at);
		CU_ASSERT_EQUAL(sl_hello_pick(names, 0, asked[i].host), UINT32_MAX);
	}
	CU_ASSERT_EQUAL(sl_hello_pick(names + 3, 3, "q.example"), UINT32_MAX);
	CU_ASSERT_EQUAL(sl_hello_pick(names, 3, "a.b.example"), 0);
}

/* By chance, against a look at all of them. */
static void
among_many_names_each_is_found(void)
{
	enum { CNT = 2000 };
	struct sl_img_sni *names = calloc(CNT, sizeof(*names));

	for (uint32_t i = 0; i < CNT; i++)
		snprintf(names[i].name, sizeof(names[i].name), "%s%04u.example",
			 i < CNT / 2 ? "*.w" : "n", i);
	for (uint32_t i = 0; i < CNT; i++) {
		char host[64];
		snprintf(host, sizeof(host), "%s%04u.example", i < CNT / 2 ? "a.b.w" : "n", i);
		CU_ASSERT_EQUAL(sl_hello_pick(names, CNT, host), i);
		snprintf(host, sizeof(host), "%s%04u.example", i < CNT / 2 ? "w" : "a.n", i);
		CU_ASSERT_EQUAL(sl_hello_pick(names, CNT, host), UINT32_MAX);
	}
	free(names);
}

SL_SUITE("hello", SL_TEST(what_openssl_sends_is_understood_whole_and_at_every_cut),
	 SL_TEST(records_may_cut_the_message_anywhere),
	 SL_TEST(a_hello_of_the_longest_kind_is_read_and_one_byte_more_is_refused),
	 SL_TEST(small_records_cannot_make_a_hello_longer_than_it_may_be),
	 SL_TEST(extensions_nest_exactly_and_a_name_is_a_host_name),
	 SL_TEST(records_and_message_are_what_they_say),
	 SL_TEST(a_long_session_identifier_is_refused),
	 SL_TEST(records_of_other_types_and_empty_ones_are_refused_within),
	 SL_TEST(a_hello_of_tls_1_2_needs_no_extensions),
	 SL_TEST(of_many_protocols_the_first_that_fit_are_kept),
	 SL_TEST(the_highest_version_that_is_known_counts),
	 SL_TEST(a_name_is_found_exactly_else_by_its_longest_suffix),
	 SL_TEST(among_many_names_each_is_found))

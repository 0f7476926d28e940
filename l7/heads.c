/* A head is the start line, Host, the lines that pass, the gateway's own lines, framing, Connection.
 *
 *   no edits:  lines that stand in the order and form they go out in are copied as one run of bytes; the gateway's own are
 *              written behind them
 *   edits:     all lines become rows of a set, edits change the set, the set is written
 *
 * A row may go on in the rows behind it (`more`): its value is theirs joined by ", ".  Values are never looked into.  The worker
 * has no clock of the day: no Date is made up (RFC 9110, 6.6.1).
 */
#include "l7/heads.h"

#include <string.h>
#include <strings.h>

/* ---- bytes out ---- */

struct writer {
	uint8_t *at, *end;
	bool full; /* something did not fit: what is there is worth nothing */
};

static inline void
put(struct writer *w, const void *bytes, size_t n)
{
	if (sl_unlikely(n > (size_t)(w->end - w->at))) {
		w->full = true;
		return;
	}
	if (n) /* what is empty may be nowhere */
		memcpy(w->at, bytes, n);
	w->at += n;
}

#define PUT(w, text) put((w), (text), sizeof(text) - 1)

static inline void
put_bytes(struct writer *w, struct sl_bytes b)
{
	put(w, b.at, b.len);
}

static void
put_number(struct writer *w, uint64_t n)
{
	char digits[20];
	unsigned at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put(w, digits + at, sizeof(digits) - at);
}

static uint32_t
written(const struct writer *w, const uint8_t *out)
{
	return w->full ? 0 : (uint32_t)(w->at - out);
}

/* ---- texts ---- */

const char *
sl_status_text(unsigned status)
{
	static const struct {
		uint16_t status;
		char text[32];
	} texts[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{102, "Processing"},
		{103, "Early Hints"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{203, "Non-Authoritative Information"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{300, "Multiple Choices"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{425, "Too Early"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "";
}

static const char hex[] = "0123456789abcdef";

void
sl_request_id(const uint8_t random[16], char ret[SL_REQUEST_ID_LEN])
{
	unsigned at = 0;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t b = random[i];
		if (i == 6)
			b = (b & 0x0f) | 0x40;
		if (i == 8)
			b = (b & 0x3f) | 0x80;
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[at++] = '-';
		ret[at++] = hex[b >> 4];
		ret[at++] = hex[b & 15];
	}
}

static uint32_t
v4_text(const uint8_t b[4], char *to)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (b[i] >= 100)
			to[n++] = (char)('0' + b[i] / 100);
		if (b[i] >= 10)
			to[n++] = (char)('0' + b[i] / 10 % 10);
		to[n++] = (char)('0' + b[i] % 10);
		to[n++] = '.';
	}
	return n - 1;
}

/* The longest run of two or more zero groups, the first of them (RFC 5952, 4.2): "::" stands for it.  *ret_first 8: none. */
static unsigned
zero_run(const uint8_t b[16], unsigned *ret_first)
{
	unsigned best = 1;

	*ret_first = 8;
	for (unsigned i = 0; i < 8;) {
		unsigned n = 0;
		while (i + n < 8 && sl_load16(b + 2 * (i + n)) == 0)
			n++;
		if (n > best) {
			best = n;
			*ret_first = i;
		}
		i += n + 1;
	}
	return best;
}

static uint32_t
v6_text(const uint8_t b[16], char *to)
{
	unsigned first, run = zero_run(b, &first);
	uint32_t n = 0;

	for (unsigned i = 0; i < 8; i++) {
		if (i == first) {
			to[n++] = ':';
			to[n++] = ':';
			i += run - 1;
			continue;
		}
		unsigned g = (unsigned)b[2 * i] << 8 | b[2 * i + 1];
		if (i && to[n - 1] != ':')
			to[n++] = ':';
		for (unsigned shift = g >= 0x1000  ? 16
				      : g >= 0x100 ? 12
				      : g >= 0x10  ? 8
						   : 4;
		     shift; shift -= 4)
			to[n++] = hex[g >> (shift - 4) & 15];
	}
	return n;
}

static struct sl_bytes
addr_text(const struct sl_addr *a, char to[SL_ADDR_STRLEN])
{
	uint32_t n = sl_addr_is_v4(a) ? v4_text(a->b + 12, to) : v6_text(a->b, to);

	return (struct sl_bytes){(const uint8_t *)to, n};
}

/* ---- sets of lines ---- */

#define ROWS (SL_HTTP_HEADERS_MAX + SL_MAX_EDITS + 8)

/* Whether its value goes on that of the line before it: a list of RFC 9110, 5.6.1, or of those who split at commas alone. */
enum more { MORE_NOT, MORE_LIST, MORE_COMMA };

struct row {
	struct sl_bytes name, value;
	uint16_t hash;
	uint8_t more; /* enum more */
};

struct set {
	uint32_t cnt;
	bool full;
	struct row row[ROWS];
};

static void
set_insert(struct set *s, uint32_t at, struct row row)
{
	if (s->cnt == ROWS) {
		s->full = true;
		return;
	}
	memmove(&s->row[at + 1], &s->row[at], (s->cnt - at) * sizeof(row));
	s->row[at] = row;
	s->cnt++;
}

static bool
row_is(const struct row *r, const struct row *name)
{
	return r->hash == name->hash && r->name.len == name->name.len &&
	       strncasecmp((const char *)r->name.at, (const char *)name->name.at, r->name.len) == 0;
}

/* All rows of the name go; where the first one was (cnt: there was none). */
static uint32_t
set_remove(struct set *s, const struct row *name)
{
	uint32_t first = UINT32_MAX, to = 0;

	for (uint32_t i = 0; i < s->cnt; i++) {
		if (row_is(&s->row[i], name))
			first = SL_MIN(first, to);
		else
			s->row[to++] = s->row[i];
	}
	s->cnt = to;
	return SL_MIN(first, to);
}

static void
set_append(struct set *s, struct row row)
{
	for (uint32_t i = s->cnt; i--;) {
		if (row_is(&s->row[i], &row)) {
			row.more = MORE_LIST;
			set_insert(s, i + 1, row);
			return;
		}
	}
	set_insert(s, s->cnt, row);
}

static void
set_edit(struct set *s, const struct sl_edits *edits)
{
	for (uint32_t i = 0; i < edits->cnt; i++) {
		const struct sl_img_edit *e = &edits->edit[i];
		const uint8_t *name = edits->strs + e->name.off;
		struct row row = {
			.name = {name, e->name.len},
			.value = {edits->strs + e->value.off, e->value.len},
			.hash = sl_http_name_hash(name, e->name.len),
		};
		if (e->op == SL_EDIT_ADD)
			set_insert(s, s->cnt, row);
		else if (e->op == SL_EDIT_APPEND)
			set_append(s, row);
		else if (e->op == SL_EDIT_REMOVE)
			set_remove(s, &row);
		else
			set_insert(s, set_remove(s, &row), row);
	}
}

static inline void
put_more(struct writer *w, unsigned more)
{
	put(w, ", ", more == MORE_COMMA ? 1 : 2);
}

static void
set_write(const struct set *s, struct writer *w)
{
	for (uint32_t i = 0; i < s->cnt;) {
		const struct row *r = &s->row[i];
		bool some = r->value.len;

		put_bytes(w, r->name);
		PUT(w, ": ");
		put_bytes(w, r->value);
		for (i++, r++; i < s->cnt && r->more; i++, r++) {
			if (some && r->value.len)
				put_more(w, r->more);
			some |= r->value.len != 0;
			put_bytes(w, r->value);
		}
		PUT(w, "\r\n");
	}
	w->full |= s->full;
}

/* ---- lines of the gateway's own ---- */

/* Into the set where there are edits to come, else straight out; a line written straight ends with the next one, since it may
 * go on. */
struct sink {
	struct writer *w;
	struct set *set; /* NULL: no edits */
	bool open, some; /* a line was begun; with a value */
};

/* name: with ": " behind it. */
static inline void
sink_add(struct sink *k, const char *name, uint32_t name_len, struct sl_bytes value, enum more more)
{
	if (sl_unlikely(k->set)) {
		struct sl_bytes n = {(const uint8_t *)name, name_len - 2};
		set_insert(k->set, k->set->cnt,
			   (struct row){n, value, sl_http_name_hash(n.at, n.len), (uint8_t)more});
		return;
	}
	if (more) {
		if (k->some && value.len)
			put_more(k->w, more);
	} else {
		if (k->open)
			PUT(k->w, "\r\n");
		put(k->w, name, name_len);
	}
	k->open = true;
	k->some = (more && k->some) || value.len;
	put_bytes(k->w, value);
}

#define ADD(k, name, value, more) sink_add((k), name ": ", sizeof(name ": ") - 1, (value), (more))

static void
sink_end(struct sink *k, const struct sl_edits *edits)
{
	if (k->set) {
		set_edit(k->set, edits);
		set_write(k->set, k->w);
	} else if (k->open) {
		PUT(k->w, "\r\n");
	}
}

static inline struct set *
set_for(struct set *s, const struct sl_edits *edits)
{
	if (sl_likely(edits->cnt == 0))
		return NULL;
	s->cnt = 0;
	s->full = false;
	return s;
}

/* ---- lines that pass ---- */

/* skip: bits of enum sl_http_known. */
static inline bool
passes(const struct sl_http_line *l, uint32_t skip)
{
	return !l->hop && !(skip >> l->known & 1);
}

/* Whether the line stands as "name: value CR LF", as it is written here. */
static inline bool
is_plain(const struct sl_http_head *in, const struct sl_http_line *l)
{
	uint32_t gap = (uint32_t)l->name + l->name_len + 1;

	return l->value == gap + 1 && in->bytes[gap] == ' ' &&
	       in->bytes[l->value + l->value_len] == '\r';
}

static void
lines_copy(const struct sl_http_head *in, uint32_t skip, struct writer *w)
{
	const uint8_t *b = in->bytes;

	for (uint32_t i = 0; i < in->line_cnt;) {
		const struct sl_http_line *l = &in->line[i++];
		uint32_t from = l->name, to = (uint32_t)l->value + l->value_len + 2;

		if (!passes(l, skip))
			continue;
		if (sl_unlikely(!is_plain(in, l))) {
			put(w, b + l->name, l->name_len);
			PUT(w, ": ");
			put(w, b + l->value, l->value_len);
			PUT(w, "\r\n");
			continue;
		}
		for (l++; i < in->line_cnt && passes(l, skip) && is_plain(in, l); l++, i++)
			to = (uint32_t)l->value + l->value_len + 2;
		put(w, b + from, to - from);
	}
}

static void
lines_add(const struct sl_http_head *in, uint32_t skip, struct set *s)
{
	for (uint32_t i = 0; i < in->line_cnt; i++) {
		const struct sl_http_line *l = &in->line[i];
		if (passes(l, skip))
			set_insert(s, s->cnt,
				   (struct row){{in->bytes + l->name, l->name_len},
						{in->bytes + l->value, l->value_len},
						l->hash,
						MORE_NOT});
	}
}

/* The lines of one known header, whether they are hop-by-hop or not. */
static void
lines_known(const struct sl_http_head *in, unsigned id, struct writer *w)
{
	for (uint32_t i = in->first[id]; i < in->line_cnt; i++) {
		const struct sl_http_line *l = &in->line[i];
		if (l->known != id)
			continue;
		put(w, in->bytes + l->name, l->name_len);
		PUT(w, ": ");
		put(w, in->bytes + l->value, l->value_len);
		PUT(w, "\r\n");
	}
}

static inline bool
has(const struct sl_http_head *in, unsigned id)
{
	return in->first[id] != UINT8_MAX;
}

/* ---- requests ---- */

bool
sl_request_id_ok(const struct sl_http_head *in)
{
	unsigned first = in->first[SL_HTTP_X_REQUEST_ID];

	if (first >= in->line_cnt)
		return false;
	const struct sl_http_line *l = &in->line[first];
	if (l->value_len == 0 || l->value_len > SL_REQUEST_ID_MAX || l->hop)
		return false;
	for (unsigned i = 0; i < l->value_len; i++)
		if (in->bytes[l->value + i] <= 0x20 || in->bytes[l->value + i] >= 0x7f)
			return false;
	for (unsigned i = first + 1; i < in->line_cnt; i++)
		if (in->line[i].known == SL_HTTP_X_REQUEST_ID)
			return false;
	return true;
}

/* Bytes of an authority before its port. */
static uint32_t
host_len(struct sl_bytes authority)
{
	uint32_t n = authority.len;

	while (n && authority.at[n - 1] >= '0' && authority.at[n - 1] <= '9')
		n--;
	return n && authority.at[n - 1] == ':' ? n - 1 : authority.len;
}

/* A literal address is no name that "-shadow" could be put behind. */
static void
put_host(struct writer *w, struct sl_bytes authority, bool shadow)
{
	PUT(w, "Host: ");
	if (shadow && authority.len && authority.at[0] != '[') {
		uint32_t n = host_len(authority);
		put(w, authority.at, n);
		PUT(w, "-shadow");
		put(w, authority.at + n, authority.len - n);
	} else {
		put_bytes(w, authority);
	}
	PUT(w, "\r\n");
}

static void
put_target(struct writer *w, const struct sl_http_head *in, const struct sl_head_request *how)
{
	put(w, in->bytes, in->method_len);
	PUT(w, " ");
	if (in->flags & SL_HEAD_STAR) {
		PUT(w, "*");
	} else {
		put_bytes(w, how->path);
		if (how->query.at) {
			PUT(w, "?");
			put_bytes(w, how->query);
		}
	}
	PUT(w, " HTTP/1.1\r\n");
}

static struct sl_bytes
authority_of(const struct sl_http_head *in)
{
	return (struct sl_bytes){in->bytes + in->host, in->authority_len};
}

#define BIT(ID) (1u << SL_HTTP_##ID)

/* What is known and does not pass, or passes in another form. */
static uint32_t
request_skips(const struct sl_http_head *in, const struct sl_head_request *how)
{
	uint32_t skip = BIT(HOST) | BIT(CONTENT_LENGTH) | BIT(X_FORWARDED_FOR);

	if (!how->trusted_hops)
		skip |= BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST);
	if (how->xfcc != SL_XFCC_FORWARD)
		skip |= BIT(X_FORWARDED_CLIENT_CERT);
	if (!sl_request_id_ok(in))
		skip |= BIT(X_REQUEST_ID);
	/* HTTP/1.0 knows no 100 (RFC 9110, 10.1.1), and nobody waits for what becomes of a shadow */
	if (in->version == 10 || how->shadow)
		skip |= BIT(EXPECT);
	return skip;
}

static inline void
forwarded_add(struct sink *k, const struct sl_http_head *in, const struct sl_head_request *how,
	      struct sl_bytes client)
{
	static const struct sl_bytes http = {(const uint8_t *)"http", 4},
				     https = {(const uint8_t *)"https", 5};
	struct sl_bytes authority = authority_of(in);
	enum more more = MORE_NOT;

	for (unsigned i = how->trusted_hops ? in->first[SL_HTTP_X_FORWARDED_FOR] : UINT8_MAX;
	     i < in->line_cnt; i++) {
		const struct sl_http_line *l = &in->line[i];
		if (l->known != SL_HTTP_X_FORWARDED_FOR)
			continue;
		ADD(k, "x-forwarded-for", ((struct sl_bytes){in->bytes + l->value, l->value_len}),
		    more);
		more = MORE_LIST;
	}
	ADD(k, "x-forwarded-for", client, more);
	if (!how->trusted_hops || !has(in, SL_HTTP_X_FORWARDED_PROTO))
		ADD(k, "x-forwarded-proto", how->https ? https : http, MORE_NOT);
	if (authority.len && (!how->trusted_hops || !has(in, SL_HTTP_X_FORWARDED_HOST)))
		ADD(k, "x-forwarded-host", authority, MORE_NOT);
}

/* The verified certificate's element; APPEND: behind what the client itself was told of others. */
static void
cert_add(struct sink *k, const struct sl_http_head *in, const struct sl_head_request *how)
{
	enum more more = MORE_NOT;
	unsigned i = in->line_cnt;

	if (how->xfcc == SL_XFCC_APPEND)
		i = in->first[SL_HTTP_X_FORWARDED_CLIENT_CERT];
	for (; i < in->line_cnt; i++) {
		const struct sl_http_line *l = &in->line[i];
		if (l->known != SL_HTTP_X_FORWARDED_CLIENT_CERT)
			continue;
		ADD(k, "x-forwarded-client-cert",
		    ((struct sl_bytes){in->bytes + l->value, l->value_len}), more);
		more = MORE_COMMA;
	}
	ADD(k, "x-forwarded-client-cert", how->cert, more);
}

static void
put_framing(struct writer *w, unsigned body, uint64_t length)
{
	if (body == SL_BODY_CHUNKED) {
		PUT(w, "Transfer-Encoding: chunked\r\n");
	} else if (body == SL_BODY_LENGTH) {
		PUT(w, "Content-Length: ");
		put_number(w, length);
		PUT(w, "\r\n");
	}
}

static void
put_upgrade(struct writer *w, const struct sl_http_head *in)
{
	lines_known(in, SL_HTTP_UPGRADE, w);
	PUT(w, "Connection: upgrade\r\n");
}

/* To the sink where edits are to see them, else as they stand. */
static void
lines_pass(const struct sl_http_head *in, uint32_t skip, struct sink *k)
{
	if (sl_unlikely(k->set))
		lines_add(in, skip, k->set);
	else
		lines_copy(in, skip, k->w);
}

uint32_t
sl_head_write_request(uint8_t *out, uint32_t max, const struct sl_http_head *in,
		      const struct sl_head_request *how)
{
	struct writer w = {out, out + max, false};
	uint32_t skip = request_skips(in, how);
	char client[SL_ADDR_STRLEN];
	struct set s;
	struct sink k = {.w = &w, .set = set_for(&s, how->before.cnt ? &how->before : &how->edits)};

	put_target(&w, in, how);
	put_host(&w, how->host.len ? how->host : authority_of(in), how->shadow);
	lines_pass(in, skip, &k);
	forwarded_add(&k, in, how, addr_text(&how->client, client));
	if (sl_unlikely(how->cert.len))
		cert_add(&k, in, how);
	if (skip & BIT(X_REQUEST_ID))
		ADD(&k, "x-request-id",
		    ((struct sl_bytes){(const uint8_t *)how->request_id, SL_REQUEST_ID_LEN}),
		    MORE_NOT);
	if (sl_unlikely(how->before.cnt))
		set_edit(k.set, &how->before);
	sink_end(&k, &how->edits);
	put_framing(&w, in->body, in->length);
	if (how->upgrade)
		put_upgrade(&w, in);
	PUT(&w, "\r\n");
	return written(&w, out);
}

/* ---- answers ---- */

static void
put_status(struct writer *w, unsigned status, struct sl_bytes reason)
{
	const char *text = sl_status_text(status);

	PUT(w, "HTTP/1.1 ");
	put_number(w, status);
	PUT(w, " ");
	if (reason.len)
		put_bytes(w, reason);
	else
		put(w, text, strlen(text));
	PUT(w, "\r\n");
}

static void
put_connection(struct writer *w, bool close, unsigned version)
{
	if (close)
		PUT(w, "Connection: close\r\n");
	else if (version == 10)
		PUT(w, "Connection: keep-alive\r\n");
}

/* 1xx and 204 have no length, not even of nothing (RFC 9110, 8.6). */
static bool
is_bare(unsigned status)
{
	return status < 200 || status == 204;
}

uint32_t
sl_head_write_response(uint8_t *out, uint32_t max, const struct sl_http_head *in,
		       const struct sl_head_response *how)
{
	struct writer w = {out, out + max, false};
	bool final = in->status >= 200;
	struct set s;
	struct sink k = {.w = &w, .set = set_for(&s, &how->edits)};

	put_status(&w, in->status, (struct sl_bytes){in->bytes + in->reason, in->reason_len});
	lines_pass(in, BIT(CONTENT_LENGTH), &k);
	sink_end(&k, &how->edits);
	if (how->body == SL_BODY_NONE && how->head_of && !is_bare(in->status) &&
	    has(in, SL_HTTP_CONTENT_LENGTH))
		put_framing(&w, SL_BODY_LENGTH, in->length);
	else
		put_framing(&w, how->body, in->length);
	if (how->upgrade)
		put_upgrade(&w, in);
	else if (final)
		put_connection(&w, how->close || how->body == SL_BODY_CLOSE, how->version);
	PUT(&w, "\r\n");
	return written(&w, out);
}

uint32_t
sl_head_write_local(uint8_t *out, uint32_t max, const struct sl_head_local *how)
{
	struct writer w = {out, out + max, false};
	bool bodiless = is_bare(how->status) || how->status == 304;
	struct set s;
	struct sink k = {.w = &w, .set = set_for(&s, &how->edits)};

	put_status(&w, how->status, (struct sl_bytes){0});
	if (how->location.len)
		ADD(&k, "Location", how->location, MORE_NOT);
	if (how->body.len && how->content_type.len && !bodiless)
		ADD(&k, "Content-Type", how->content_type, MORE_NOT);
	sink_end(&k, &how->edits);
	if (!bodiless)
		put_framing(&w, SL_BODY_LENGTH, how->body.len);
	put_connection(&w, how->close, how->version);
	PUT(&w, "\r\n");
	if (!bodiless && !how->head_only)
		put_bytes(&w, how->body);
	return written(&w, out);
}

/* Records in: opened in the pieces in which they arrived; what is left of these is what users read. */
#include "l7/tls/session_priv.h"

enum { ALERT_CLOSE = 0, ALERT_USER_CANCELED = 90, ALERT_WARNING = 1 };
enum {
	UNEXPECTED_MESSAGE = 10,
	BAD_RECORD_MAC = 20,
	RECORD_OVERFLOW = 22,
	DECODE_ERROR = 50,
	INTERNAL_ERROR = 80,
	NO_RENEGOTIATION = 100
};
enum { HELLO_REQUEST = 0, NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };

/* A record's pieces, out of the receive queue. */
struct pieces {
	struct sl_chunk *first, *last;
	unsigned cnt;
};

static void
pieces_free(struct session *s, struct pieces *p)
{
	sl_session_drop_chunks(s, &p->first, &p->last);
}

static bool
take_record(struct session *s, uint32_t bytes, struct pieces *ret)
{
	*ret = (struct pieces){0};
	while (bytes > 0) {
		struct sl_chunk *c = sl_raw_take(s->filter.stream, bytes);
		if (!c)
			return false;
		bytes -= c->len;
		sl_chunk_set_next(c, NULL);
		if (ret->last)
			sl_chunk_set_next(ret->last, c);
		else
			ret->first = c;
		ret->last = c;
		ret->cnt++;
	}
	return true;
}

/* Many small pieces: put together, opened, put back. */
static enum sl_record_verdict
open_linear(struct session *s, struct pieces *p, uint32_t bytes, struct sl_record_opened *ret)
{
	struct sl_tls *t = s->tls;
	struct sl_span whole = {t->linear, bytes};
	uint32_t at = 0;

	for (struct sl_chunk *c = p->first; c; c = sl_chunk_next(c)) {
		memcpy(t->linear + at, c->data, c->len);
		at += c->len;
	}
	enum sl_record_verdict v = sl_record_open(t->records, &s->read, &whole, 1, bytes, ret);
	at = 0;
	for (struct sl_chunk *c = p->first; c; c = sl_chunk_next(c)) {
		memcpy(c->data, t->linear + at, c->len);
		at += c->len;
	}
	return v;
}

static enum sl_record_verdict
open_pieces(struct session *s, struct pieces *p, uint32_t bytes, struct sl_record_opened *ret)
{
	struct sl_tls *t = s->tls;
	unsigned cnt = 0;

	if (p->cnt > TLS_SPANS)
		return open_linear(s, p, bytes, ret);
	for (struct sl_chunk *c = p->first; c; c = sl_chunk_next(c))
		t->spans[cnt++] = (struct sl_span){c->data, c->len};
	return sl_record_open(t->records, &s->read, t->spans, cnt, bytes, ret);
}

/* Leaves len bytes from off on; the pieces that hold nothing of these are freed. */
static void
cut(struct session *s, struct pieces *p, uint32_t off, uint32_t len)
{
	struct sl_chunk *c = p->first, *next;
	struct pieces left = {0};

	for (; c; c = next) {
		next = sl_chunk_next(c);
		uint32_t head = SL_MIN(off, c->len), keep = SL_MIN(c->len - head, len);
		off -= head;
		len -= keep;
		if (keep == 0) {
			sl_chunk_free(s->tls->conf.tcp, c);
			continue;
		}
		sl_chunk_touched(c);
		sl_chunk_trim(c, head, c->len - head - keep);
		sl_chunk_set_next(c, NULL);
		if (left.last)
			sl_chunk_set_next(left.last, c);
		else
			left.first = c;
		left.last = c;
		left.cnt++;
	}
	*p = left;
}

/* ---- what a record says ---- */

static void
flood(struct session *s)
{
	if (++s->idle_records > TLS_FLOOD)
		sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_FLOOD);
}

static void
data(struct session *s, struct pieces *p, uint32_t len)
{
	if (s->message_got) { /* within a message: RFC 8446, 5.1 */
		sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_MESSAGE);
		return;
	}
	if (len == 0) {
		flood(s);
		return;
	}
	s->idle_records = 0;
	if (s->in_last)
		sl_chunk_set_next(s->in_last, p->first);
	else
		s->in_first = p->first;
	s->in_last = p->last;
	s->in_bytes += len;
	s->in_cnt += p->cnt;
	s->tls->conf.stats->count[SL_TLS_CNT_BYTES_IN] += len;
	*p = (struct pieces){0};
}

static void
alert(struct session *s, const uint8_t *bytes, uint32_t len)
{
	if (len != 2) {
		sl_session_fail(s, DECODE_ERROR, SL_TLS_CNT_BAD_LENGTH);
	} else if (bytes[1] == ALERT_CLOSE) {
		s->state_flags |= SF_SAID_END | SF_ENDED;
	} else if (bytes[1] == ALERT_USER_CANCELED ||
		   (bytes[0] == ALERT_WARNING && s->read.version == SL_TLS_1_2)) {
		flood(s);
	} else {
		tls_count(s->tls, SL_TLS_CNT_ALERT_IN);
		sl_session_end(s, SL_END_TLS);
	}
}

/* A byte of data behind each of them would make them no flood otherwise, and they cost a hundred times what data does. */
static bool
updates_too_often(struct session *s)
{
	uint32_t now_ms = sl_tcp_now_ms(s->tls->conf.tcp);

	if (now_ms - s->update_ms >= 1000) {
		s->update_ms = now_ms;
		s->update_cnt = 0;
	}
	return ++s->update_cnt > TLS_UPDATES;
}

/* RFC 8446, 4.6.3: the sender of it uses his next keys from the next record on. */
static void
key_update(struct session *s, uint8_t request, bool last_of_record)
{
	struct sl_tls *t = s->tls;
	uint8_t key[32], iv[12];

	if (request > 1 || !last_of_record) {
		sl_session_fail(s, request > 1 ? 47 : UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_MESSAGE);
		return;
	}
	if (updates_too_often(s)) {
		sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_FLOOD);
		return;
	}
	if (!sl_keys_next(t->keys, s->suite, s->read_secret) ||
	    !sl_keys_expand(t->keys, s->suite, s->read_secret, key, iv)) {
		sl_session_fail(s, INTERNAL_ERROR, SL_TLS_CNT_FAIL_INTERNAL);
		return;
	}
	sl_record_key(t->records, &s->read, SL_TLS_1_3, s->suite, key, iv, 0);
	OPENSSL_cleanse(key, sizeof(key));
	tls_count(t, SL_TLS_CNT_KEY_UPDATE_IN);
	if (request) {
		s->state_flags |= SF_UPDATE_OWED;
		sl_filter_dirty(&s->filter);
	}
	flood(s);
}

static bool
is_renegotiation(const struct session *s, uint8_t type)
{
	return s->read.version == SL_TLS_1_2 && (type == 1 || type == HELLO_REQUEST);
}

/* The header of a message is whole.  false: it has no place here. */
static bool
message_begins(struct session *s)
{
	const uint8_t *h = s->message;

	s->message_left = (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
	if (is_renegotiation(s, h[0])) {
		/* asked by an endpoint it may be passed over (RFC 5246, 7.4.1.1) */
		if (h[0] == HELLO_REQUEST && !session_has(s, SF_SERVER) && s->message_left == 0) {
			flood(s);
			return true;
		}
		sl_session_fail(s, NO_RENEGOTIATION, SL_TLS_CNT_BAD_MESSAGE);
		return false;
	}
	if (s->read.version == SL_TLS_1_3 && h[0] == KEY_UPDATE && s->message_left == 1)
		return true;
	if (s->read.version == SL_TLS_1_3 && h[0] == NEW_SESSION_TICKET &&
	    !session_has(s, SF_SERVER) && s->message_left <= 65536) {
		flood(s);
		return true;
	}
	sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_MESSAGE);
	return false;
}

/* Messages, cut into records anywhere.  Of tickets nothing is kept here. */
static void
messages(struct session *s, const uint8_t *bytes, uint32_t len)
{
	while (len > 0 && !session_has(s, SF_OVER)) {
		if (s->message_got < 4) {
			s->message[s->message_got++] = *bytes++;
			len--;
			if (s->message_got == 4 && !message_begins(s))
				return;
			if (s->message_got < 4 || s->message_left > 0)
				continue;
		} else {
			uint32_t n = SL_MIN(len, s->message_left);
			s->message[4] = bytes[0];
			bytes += n;
			len -= n;
			s->message_left -= n;
			if (s->message_left > 0)
				continue;
		}
		s->message_got = 0;
		if (s->message[0] == KEY_UPDATE)
			key_update(s, s->message[4], len == 0);
	}
}

static void
control(struct session *s, struct pieces *p, const struct sl_record_opened *o)
{
	uint8_t *to = s->tls->linear;
	uint32_t at = 0;

	if (o->len == 0) { /* RFC 8446, 5.1: no empty ones */
		sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_LENGTH);
		return;
	}
	for (struct sl_chunk *c = p->first; c; c = sl_chunk_next(c)) {
		memcpy(to + at, c->data, c->len);
		at += c->len;
	}
	if (o->type == SL_RECORD_HANDSHAKE)
		messages(s, to, o->len);
	else if (s->message_got || o->type != SL_RECORD_ALERT)
		sl_session_fail(s, UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_MESSAGE);
	else
		alert(s, to, o->len);
	OPENSSL_cleanse(to, o->len);
}

/* ---- one record ---- */

static void
refuse(struct session *s, enum sl_record_verdict v)
{
	static const struct {
		uint8_t alert;
		uint8_t code;
	} rows[] = {
		[SL_RECORD_BAD_HEADER] = {UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_LENGTH},
		[SL_RECORD_BAD_LENGTH] = {RECORD_OVERFLOW, SL_TLS_CNT_BAD_LENGTH},
		[SL_RECORD_BAD_MAC] = {BAD_RECORD_MAC, SL_TLS_CNT_BAD_RECORD},
		[SL_RECORD_BAD_INNER] = {UNEXPECTED_MESSAGE, SL_TLS_CNT_BAD_LENGTH},
		[SL_RECORD_BAD_SEQ] = {INTERNAL_ERROR, SL_TLS_CNT_BAD_RECORD},
	};

	sl_session_fail(s, rows[v].alert, rows[v].code);
}

static void
record(struct session *s, uint32_t bytes)
{
	struct sl_hs_job *job = NULL;
	struct sl_record_opened o;
	struct pieces p;

	if (session_has(s, SF_KEEP)) {
		if (session_has(s, SF_JOB_OUT))
			sl_session_ticket_end(s);
		else
			job = sl_session_ticket_copy(s, bytes);
	}
	if (!take_record(s, bytes, &p)) {
		pieces_free(s, &p);
		if (job)
			sl_session_ticket_drop(s, job);
		sl_session_end(s, SL_END_NO_MEMORY);
		return;
	}
	enum sl_record_verdict v = open_pieces(s, &p, bytes, &o);
	bool shown = v == SL_RECORD_OK && o.type == SL_RECORD_HANDSHAKE;
	if (job && shown)
		sl_session_ticket_show(s, job);
	else if (job)
		sl_session_ticket_drop(s, job);
	if (v != SL_RECORD_OK) {
		pieces_free(s, &p);
		refuse(s, v);
		return;
	}
	tls_count(s->tls, SL_TLS_CNT_RECORDS_IN);
	cut(s, &p, o.off, o.len);
	if (o.type == SL_RECORD_DATA)
		data(s, &p, o.len);
	else
		control(s, &p, &o);
	pieces_free(s, &p);
}

/* Bytes of the next record; 0: it is not whole, or there is nothing to be done. */
static uint32_t
next_record(struct session *s)
{
	struct sl_stream *stream = s->filter.stream;
	uint8_t bytes[SL_RECORD_HEADER];
	struct sl_record_head h;
	struct sl_span spans[SL_RECORD_HEADER];
	uint32_t have = sl_raw_readable_bytes(stream), at = 0;

	if (have < SL_RECORD_HEADER)
		return 0;
	unsigned cnt = sl_raw_peek(stream, 0, spans, SL_RECORD_HEADER);
	for (unsigned i = 0; i < cnt && at < SL_RECORD_HEADER; i++)
		for (uint32_t k = 0; k < spans[i].len && at < SL_RECORD_HEADER; k++)
			bytes[at++] = spans[i].data[k];
	enum sl_record_verdict v = sl_record_head(&s->read, bytes, &h);
	if (v == SL_RECORD_OK && h.type == SL_RECORD_CCS)
		v = SL_RECORD_BAD_HEADER;
	if (v != SL_RECORD_OK) {
		refuse(s, v);
		return 0;
	}
	return have >= h.bytes ? h.bytes : 0;
}

/* ---- OpenSSL's own records ---- */

static void
ossl_in(struct session *s)
{
	struct sl_stream *stream = s->filter.stream;
	struct sl_tls *t = s->tls;
	struct sl_span span;
	long n;

	while (sl_raw_peek(stream, 0, &span, 1) > 0) {
		if (!sl_ossl_in(s->ssl, span.data, span.len)) {
			sl_session_end(s, SL_END_NO_MEMORY);
			return;
		}
		sl_raw_consume(stream, span.len);
	}
	for (;;) {
		uint32_t room;
		struct sl_chunk *c = sl_chunk_new(t->conf.tcp, &room);
		if (!c) {
			sl_session_end(s, SL_END_NO_MEMORY);
			return;
		}
		n = sl_ossl_read(s->ssl, c->data, room);
		if (n <= 0) {
			sl_chunk_free(t->conf.tcp, c);
			break;
		}
		sl_chunk_grow(c, (uint32_t)n);
		struct pieces p = {c, c, 1};
		data(s, &p, (uint32_t)n);
	}
	sl_filter_dirty(&s->filter); /* what it has to say */
	if (n == -1)
		s->state_flags |= SF_SAID_END | SF_ENDED;
	else if (n == -2)
		sl_session_fail(s, 0, SL_TLS_CNT_BAD_RECORD);
}

/* What nobody reads bounds what is opened. */
static bool
may_open(const struct session *s)
{
	return s->in_bytes < TLS_UNREAD_MAX && s->in_cnt < TLS_UNREAD_PIECES;
}

bool
sl_session_in(struct session *s)
{
	struct sl_stream *stream = s->filter.stream;
	uint32_t before = s->in_bytes, bytes;

	if (s->ssl && !session_has(s, SF_ENDED | SF_OVER) && may_open(s))
		ossl_in(s);
	while (!s->ssl && may_open(s) && !session_has(s, SF_ENDED | SF_OVER) &&
	       (bytes = next_record(s)) > 0)
		record(s, bytes);
	if (session_has(s, SF_OVER))
		return false;
	if (session_has(s, SF_SAID_END)) /* RFC 8446, 6.1: what comes behind it is not looked at */
		sl_session_drain(stream);
	else if (may_open(s) && sl_raw_ending(stream) && !session_has(s, SF_ENDED)) {
		/* half a record, or the end without a word */
		tls_count(s->tls, SL_TLS_CNT_CUT);
		s->state_flags |= SF_ENDED;
		sl_session_drain(stream);
	}
	bool news =
		s->in_bytes > before || (session_has(s, SF_ENDED) && !session_has(s, SF_TOLD_END));
	if (session_has(s, SF_ENDED))
		s->state_flags |= SF_TOLD_END;
	return news;
}

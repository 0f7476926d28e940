/* Records out: what was written in a turn is sealed at its end, from the pieces it lies in into the buffers that packets are made of. */
#include "l7/tls/session_priv.h"

#define PIECES 64 /* of one record */

uint32_t
sl_session_room(const struct session *s)
{
	uint32_t raw = sl_raw_room(s->filter.stream), taken = s->out_bytes + s->out_bytes / 32;
	uint32_t room = raw - raw / 32;

	return room > taken + TLS_ROOM ? room - taken - TLS_ROOM : 0;
}

/* Small at first and after a pause, so that the first bytes do not wait for a record's rest; then as large as may be. */
static uint32_t
record_size(struct session *s)
{
	uint32_t now_ms = sl_tcp_now_ms(s->tls->conf.tcp);

	if (now_ms - s->out_ms > TLS_IDLE_MS)
		s->small_left = TLS_RECORD_SMALL;
	s->out_ms = now_ms;
	if (s->small_left == 0)
		return SL_RECORD_MAX;
	uint32_t mss = sl_stream_row(s->filter.stream)->mss, over = sl_record_overhead(&s->write);
	return mss > over + 64 ? SL_MIN(mss - over, (uint32_t)SL_RECORD_MAX) : 64;
}

/* Spans in the stream's buffers for a record of up to n bytes of plaintext: how many bytes it may have; 0: no room. */
static uint32_t
reserve(struct session *s, uint32_t n, struct sl_span *spans, unsigned *ret_cnt)
{
	struct sl_stream *stream = s->filter.stream;
	uint32_t over = sl_record_overhead(&s->write), given = 0;

	if (sl_raw_room(stream) <= over)
		return 0;
	*ret_cnt = sl_raw_reserve(stream, n + over, spans, PIECES);
	for (unsigned i = 0; i < *ret_cnt; i++)
		given += spans[i].len;
	if (given > over)
		return given - over;
	sl_raw_commit(stream, 0);
	return 0;
}

static void
drop_sealed(struct session *s, uint32_t n)
{
	s->out_bytes -= n;
	while (n > 0 && s->out_first->len <= n) {
		struct sl_chunk *c = s->out_first;
		n -= c->len;
		s->out_first = sl_chunk_next(c);
		sl_chunk_free(s->tls->conf.tcp, c);
	}
	if (!s->out_first)
		s->out_last = NULL;
	else if (n > 0)
		sl_chunk_skip(s->out_first, n);
}

static void
block(struct session *s)
{
	s->state_flags |= SF_BLOCKED;
	sl_raw_wait_room(s->filter.stream, SL_MAX(SL_MIN(s->out_bytes, 4096u), 64u) + TLS_ROOM);
}

/* One record of a few bytes; false: no room. */
static bool
say(struct session *s, uint8_t type, const uint8_t *bytes, uint32_t n)
{
	struct sl_span out[PIECES], in = {(uint8_t *)(uintptr_t)bytes, n};
	unsigned cnt;

	if (s->ssl)
		return true;
	if (reserve(s, n, out, &cnt) < n) {
		sl_raw_commit(s->filter.stream, 0);
		return false;
	}
	bool ok = sl_record_seal(s->tls->records, &s->write, type, &in, 1, n, out, cnt);
	sl_raw_commit(s->filter.stream, ok ? n + sl_record_overhead(&s->write) : 0);
	tls_count(s->tls, SL_TLS_CNT_RECORDS_OUT);
	return true;
}

void
sl_session_fail(struct session *s, uint8_t alert, unsigned code)
{
	const uint8_t bytes[2] = {2, alert};

	if (session_has(s, SF_OVER))
		return;
	tls_count(s->tls, code);
	if (s->state == SESSION_OPEN && alert && !session_has(s, SF_SHUT_SENT | SF_RAW_OVER))
		say(s, SL_RECORD_ALERT, bytes, 2);
	sl_session_end(s, SL_END_TLS);
}

static bool
update_keys(struct session *s)
{
	static const uint8_t message[] = {24, 0, 0, 1, 0}; /* update_not_requested */
	struct sl_tls *t = s->tls;
	uint8_t key[32], iv[12];

	if (!say(s, SL_RECORD_HANDSHAKE, message, sizeof(message)))
		return false;
	if (!sl_keys_next(t->keys, s->suite, s->write_secret) ||
	    !sl_keys_expand(t->keys, s->suite, s->write_secret, key, iv)) {
		sl_session_end(s, SL_END_TLS);
		return false;
	}
	sl_record_key(t->records, &s->write, SL_TLS_1_3, s->suite, key, iv, 0);
	OPENSSL_cleanse(key, sizeof(key));
	s->state_flags &= ~(uint32_t)SF_UPDATE_OWED;
	tls_count(t, SL_TLS_CNT_KEY_UPDATE_OUT);
	return true;
}

/* Whether keys are to be changed before the next record. */
static bool
update_due(const struct session *s)
{
	return session_has(s, SF_UPDATE_OWED) ||
	       (s->write.seq >= SL_RECORD_KEY_LIMIT && s->write.version == SL_TLS_1_3 && !s->ssl);
}

static unsigned
gather(const struct session *s, struct sl_span *spans, uint32_t *ret_bytes)
{
	unsigned cnt = 0;

	*ret_bytes = 0;
	for (struct sl_chunk *c = s->out_first; c && cnt < PIECES; c = sl_chunk_next(c)) {
		spans[cnt++] = (struct sl_span){c->data, c->len};
		*ret_bytes += c->len;
	}
	return cnt;
}

/* false: no room. */
static bool
seal_one(struct session *s)
{
	struct sl_tls *t = s->tls;
	struct sl_span in[PIECES], out[PIECES];
	uint32_t n;
	unsigned out_cnt = 0, in_cnt = gather(s, in, &n);

	n = SL_MIN(n, record_size(s));
	uint32_t may = reserve(s, n, out, &out_cnt);
	if (may < n && may < 1024) { /* not worth a record of its own: more room comes */
		sl_raw_commit(s->filter.stream, 0);
		return false;
	}
	n = SL_MIN(n, may);
	if (!sl_record_seal(t->records, &s->write, SL_RECORD_DATA, in, in_cnt, n, out, out_cnt)) {
		sl_raw_commit(s->filter.stream, 0);
		sl_session_end(s, SL_END_TLS);
		return false;
	}
	sl_raw_commit(s->filter.stream, n + sl_record_overhead(&s->write));
	s->small_left -= s->small_left > 0;
	drop_sealed(s, n);
	tls_count(t, SL_TLS_CNT_RECORDS_OUT);
	t->conf.stats->count[SL_TLS_CNT_BYTES_OUT] += n;
	return true;
}

/* ---- OpenSSL's own records ---- */

/* What it has to say goes out as far as there is room; false: not all. */
static bool
ossl_out(struct session *s)
{
	struct sl_tls *t = s->tls;
	uint32_t n;

	while (sl_ossl_out_bytes(s->ssl) > 0) {
		uint32_t room = SL_MIN(sl_raw_room(s->filter.stream), (uint32_t)SL_RECORD_MAX);
		if (room == 0 || (n = sl_ossl_out(s->ssl, t->linear, room)) == 0)
			return false;
		if (sl_raw_write(s->filter.stream, t->linear, n) < n) {
			sl_session_end(s, SL_END_NO_MEMORY);
			return false;
		}
	}
	return true;
}

static bool
ossl_one(struct session *s)
{
	uint32_t n = SL_MIN(s->out_first->len, (uint32_t)SL_RECORD_MAX);

	if (!ossl_out(s))
		return false;
	if (!sl_ossl_write(s->ssl, s->out_first->data, n)) {
		sl_session_end(s, SL_END_TLS);
		return false;
	}
	s->tls->conf.stats->count[SL_TLS_CNT_BYTES_OUT] += n;
	drop_sealed(s, n);
	return ossl_out(s);
}

/* ---- */

static void
say_end(struct session *s)
{
	static const uint8_t close_notify[2] = {1, 0};

	if (s->ssl)
		sl_ossl_close(s->ssl);
	if (s->ssl ? !ossl_out(s) : !say(s, SL_RECORD_ALERT, close_notify, 2)) {
		block(s);
		return;
	}
	s->state_flags |= SF_SHUT_SENT;
	sl_raw_shutdown(s->filter.stream);
}

void
sl_session_flush(struct session *s)
{
	if (session_has(s, SF_BLOCKED | SF_SHUT_SENT))
		return;
	if (s->ssl && !ossl_out(s)) {
		block(s);
		return;
	}
	if (update_due(s) && !update_keys(s)) {
		block(s);
		return;
	}
	while (s->out_first) {
		if (!(s->ssl ? ossl_one(s) : seal_one(s))) {
			if (!session_has(s, SF_OVER))
				block(s);
			return;
		}
		if (update_due(s) && !update_keys(s)) {
			block(s);
			return;
		}
	}
	if (session_has(s, SF_SHUT))
		say_end(s);
}

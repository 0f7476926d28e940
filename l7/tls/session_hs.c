/* The handshake of a session: what the peer says goes to a handshake thread in jobs, its answers come back, and are sent.
 *
 *   bytes in the receive queue ─▶ job ─▶ thread ─▶ job ─▶ sent (waits for room) ─▶ MORE: again; DONE: keys; FAILED: closed
 *
 * One job of a session is under way at a time.  Bytes stay in the receive queue until the answer says that they were the
 * handshake's. */
#include "l7/tls/session_priv.h"

/* ---- deadlines ---- */

void
sl_session_pend(struct session *s, uint32_t due_ms)
{
	struct sl_tls *t = s->tls;

	s->state_flags |= SF_PENDING;
	s->due_ms = due_ms;
	s->prev = 0;
	s->next = t->pending;
	*(t->pending ? &t->sessions[t->pending - 1].prev : &t->pending_last) = session_place(s) + 1;
	t->pending = session_place(s) + 1;
	t->pending_cnt++;
	t->conf.stats->handshakes = t->pending_cnt;
}

void
sl_session_unpend(struct session *s)
{
	struct sl_tls *t = s->tls;

	if (!session_has(s, SF_PENDING))
		return;
	s->state_flags &= ~(uint32_t)SF_PENDING;
	*(s->next ? &t->sessions[s->next - 1].prev : &t->pending_last) = s->prev;
	*(s->prev ? &t->sessions[s->prev - 1].next : &t->pending) = s->next;
	s->next = s->prev = 0;
	t->pending_cnt--;
	t->conf.stats->handshakes = t->pending_cnt;
}

/* ---- jobs ---- */

static struct sl_hs_job *
job_take(struct sl_tls *t)
{
	return t->free_cnt ? t->free_jobs[--t->free_cnt] : NULL;
}

static void
job_back(struct sl_tls *t, struct sl_hs_job *job)
{
	/* what carried bytes of keys or plaintext of a handshake is not left lying about */
	OPENSSL_cleanse(&job->done, sizeof(job->done));
	job->hs = NULL;
	t->free_jobs[t->free_cnt++] = job;
}

static bool
submit(struct session *s, struct sl_hs_job *job)
{
	struct sl_tls *t = s->tls;

	job->hs = s->hs;
	job->slot = s->slot;
	job->incarnation = s->incarnation;
	job->endpoint_slot = s->endpoint_slot;
	job->tag = (uint64_t)s->generation << 32 | session_place(s);
	job->asked_ns = sl_tcp_now_ns(t->conf.tcp);
	job->now_s = t->conf.now_s(t->conf.steps.ctx);
	if (!t->conf.steps.submit(t->conf.steps.ctx, job))
		return false;
	s->state_flags |= SF_JOB_OUT;
	return true;
}

static void
wait_for_job(struct session *s)
{
	if (session_has(s, SF_JOB_WAITS))
		return;
	s->state_flags |= SF_JOB_WAITS;
	s->tls->waits++;
}

static void
wait_no_more(struct session *s)
{
	if (!session_has(s, SF_JOB_WAITS))
		return;
	s->state_flags &= ~(uint32_t)SF_JOB_WAITS;
	s->tls->waits--;
}

static uint32_t
copy_raw(struct session *s, uint8_t *to, uint32_t max)
{
	struct sl_span spans[16];
	uint32_t len = 0;
	unsigned cnt;

	while (len < max &&
	       (cnt = sl_raw_peek(s->filter.stream, len, spans, SL_ARRAY_CNT(spans))) > 0) {
		for (unsigned i = 0; i < cnt && len < max; i++) {
			uint32_t n = SL_MIN(spans[i].len, max - len);
			memcpy(to + len, spans[i].data, n);
			len += n;
		}
	}
	return len;
}

static uint8_t
next_op(const struct session *s)
{
	if (session_has(s, SF_BEGUN))
		return SL_HS_FEED;
	return session_has(s, SF_SERVER) ? SL_HS_SERVER : SL_HS_CLIENT;
}

/* Whether there is something for a thread to do. */
static bool
step_due(const struct session *s)
{
	return session_has(s, SF_MORE_OUT) || sl_raw_readable_bytes(s->filter.stream) > 0 ||
	       (!session_has(s, SF_BEGUN) && !session_has(s, SF_SERVER));
}

static void
ask(struct session *s)
{
	struct sl_tls *t = s->tls;
	struct sl_hs_job *job = job_take(t);

	if (!job) {
		wait_for_job(s);
		return;
	}
	job->op = next_op(s);
	job->in_len = 0;
	job->host[0] = 0;
	if (job->op == SL_HS_CLIENT && s->host)
		memcpy(job->host, s->host, strlen(s->host) + 1);
	else if (job->op != SL_HS_CLIENT && !session_has(s, SF_MORE_OUT))
		job->in_len = copy_raw(s, job->in, SL_HS_IN);
	if (!submit(s, job)) {
		job_back(t, job);
		wait_for_job(s);
		return;
	}
	s->state_flags = (s->state_flags | SF_BEGUN) & ~(uint32_t)SF_MORE_OUT;
}

/* ---- answers ---- */

/* hs is told that nothing more comes: now, or when a job is there. */
static void
end_later(struct sl_tls *t, struct sl_hs *hs)
{
	if (hs)
		t->ends[t->end_cnt++] = hs;
}

static void
fail(struct session *s, unsigned code)
{
	tls_count(s->tls, code);
	sl_session_unpend(s);
	wait_no_more(s);
	sl_session_end(s, SL_END_TLS);
}

static void
count_done(struct session *s, const struct sl_hs_done *d)
{
	static const uint8_t suite_codes[] = {SL_TLS_CNT_OSSL_FALLBACK, SL_TLS_CNT_AES128,
					      SL_TLS_CNT_AES256, SL_TLS_CNT_CHACHA};
	struct sl_tls *t = s->tls;
	bool server = session_has(s, SF_SERVER);

	tls_count(t, server ? SL_TLS_CNT_SERVER_DONE : SL_TLS_CNT_CLIENT_DONE);
	if (d->resumed)
		tls_count(t, server ? SL_TLS_CNT_SERVER_RESUMED : SL_TLS_CNT_CLIENT_RESUMED);
	tls_count(t, d->version == SL_TLS_1_3 ? SL_TLS_CNT_V13 : SL_TLS_CNT_V12);
	tls_count(t, suite_codes[d->suite]);
	if (s->info.peer && s->info.peer->verified)
		tls_count(t, SL_TLS_CNT_PEER_CERT);
	sl_hist_add(&t->conf.stats->handshake_us,
		    (sl_tcp_now_ns(t->conf.tcp) - s->began_ns) / 1000);
}

static void
take_keys(struct session *s, const struct sl_hs_done *d)
{
	struct sl_tls *t = s->tls;

	if (d->suite == SL_SUITE_NONE)
		return;
	sl_record_key(t->records, &s->read, d->version, d->suite, d->read.key, d->read.iv,
		      d->read.seq);
	sl_record_key(t->records, &s->write, d->version, d->suite, d->write.key, d->write.iv,
		      d->write.seq);
	memcpy(s->read_secret, d->read.secret, SL_SECRET_LEN_MAX);
	memcpy(s->write_secret, d->write.secret, SL_SECRET_LEN_MAX);
}

static void
done(struct session *s, struct sl_hs_job *job)
{
	const struct sl_hs_done *d = &job->done;

	sl_session_unpend(s);
	if (d->suite > SL_SUITE_CHACHA20 || (d->suite == SL_SUITE_NONE && !d->ssl) ||
	    !sl_session_about(s, job)) {
		sl_ossl_free(d->ssl);
		fail(s, SL_TLS_CNT_FAIL_INTERNAL);
		return;
	}
	s->ssl = d->ssl;
	s->info.version = d->version;
	s->info.suite = s->suite = d->suite;
	s->info.resumed = d->resumed;
	take_keys(s, d);
	s->small_left = TLS_RECORD_SMALL;
	s->out_ms = sl_tcp_now_ms(s->tls->conf.tcp);
	count_done(s, d);
	if (s->host) {
		sl_arena_give(s->tls->arena, s->host, s->host_room);
		s->host = NULL;
	}
	if (d->keep && s->tls->pending_cnt < s->tls->conf.handshakes / 2) {
		s->state_flags |= SF_KEEP;
		sl_session_pend(s, s->out_ms + TLS_TICKET_MS);
	} else {
		end_later(s->tls, s->hs);
		s->hs = NULL;
	}
	s->state = SESSION_OPEN;
	s->state_flags |= SF_TELL_OPENED;
}

/* The answer's bytes were sent. */
static void
answered(struct session *s, struct sl_hs_job *job)
{
	uint8_t state = job->state;

	s->job = NULL;
	if (job->more_out && state != SL_HS_FAILED)
		s->state_flags |= SF_MORE_OUT;
	if (state == SL_HS_DONE && !job->more_out)
		done(s, job);
	else if (state == SL_HS_FAILED)
		fail(s, job->fail < SL_TLS_CNT_CNT ? job->fail : SL_TLS_CNT_FAIL_INTERNAL);
	job_back(s->tls, job);
}

/* false: the rest waits for room. */
static bool
send_answer(struct session *s)
{
	struct sl_hs_job *job = s->job;
	struct sl_stream *stream = s->filter.stream;
	uint32_t left = job->out_len - s->job_sent;

	s->job_sent += sl_raw_write(stream, job->out + s->job_sent, left);
	if (s->job_sent < job->out_len) {
		sl_raw_wait_room(stream, SL_MIN(job->out_len - s->job_sent, 4096u));
		return false;
	}
	answered(s, job);
	return true;
}

void
sl_session_hs_go(struct session *s)
{
	while (s->state == SESSION_HANDSHAKE && !session_has(s, SF_OVER)) {
		if (s->job && !send_answer(s))
			return;
		if (s->state != SESSION_HANDSHAKE || session_has(s, SF_OVER | SF_JOB_OUT))
			return;
		if (!step_due(s)) {
			if (sl_raw_ending(s->filter.stream))
				fail(s, SL_TLS_CNT_FAIL_GONE);
			return;
		}
		ask(s);
		return;
	}
}

/* ---- tickets of endpoints ---- */

struct sl_hs_job *
sl_session_ticket_copy(struct session *s, uint32_t bytes)
{
	struct sl_hs_job *job = NULL;

	if (bytes <= SL_HS_IN && !session_has(s, SF_JOB_OUT))
		job = job_take(s->tls);
	if (!job) {
		sl_session_ticket_end(s);
		return NULL;
	}
	job->in_len = copy_raw(s, job->in, bytes);
	return job;
}

void
sl_session_ticket_show(struct session *s, struct sl_hs_job *job)
{
	job->op = SL_HS_FEED;
	if (submit(s, job))
		return;
	job_back(s->tls, job);
	sl_session_ticket_end(s);
}

void
sl_session_ticket_drop(struct session *s, struct sl_hs_job *job)
{
	job_back(s->tls, job);
	sl_session_ticket_end(s);
}

void
sl_session_ticket_end(struct session *s)
{
	if (!session_has(s, SF_KEEP))
		return;
	s->state_flags &= ~(uint32_t)SF_KEEP;
	sl_session_unpend(s);
	if (session_has(s, SF_JOB_OUT))
		return; /* when it is back */
	end_later(s->tls, s->hs);
	s->hs = NULL;
}

void
sl_session_hs_release(struct session *s)
{
	struct sl_tls *t = s->tls;

	sl_session_unpend(s);
	wait_no_more(s);
	if (s->job) {
		/* a connection that ended before its answer was sent */
		sl_ossl_free(s->job->state == SL_HS_DONE ? s->job->done.ssl : NULL);
		job_back(t, s->job);
		s->job = NULL;
	}
	if (!session_has(s, SF_JOB_OUT))
		end_later(t, s->hs);
	s->hs = NULL;
}

/* ---- the turn ---- */

static void
ticket_answer(struct session *s, struct sl_hs_job *job)
{
	struct sl_tls *t = s->tls;

	t->conf.stats->count[SL_TLS_CNT_TICKETS_IN] += job->tickets;
	if (job->state == SL_HS_FAILED) {
		s->hs = NULL;
		s->state_flags &= ~(uint32_t)SF_KEEP;
		sl_session_unpend(s);
	} else if (job->tickets || !session_has(s, SF_KEEP)) {
		if (session_has(s, SF_KEEP)) {
			s->state_flags &= ~(uint32_t)SF_KEEP;
			sl_session_unpend(s);
		}
		end_later(t, s->hs);
		s->hs = NULL;
	}
	job_back(t, job);
	sl_filter_wake(&s->filter, false);
}

/* The session of a job ended while a thread had it. */
static void
orphan(struct sl_tls *t, struct sl_hs_job *job)
{
	if (job->op != SL_HS_END) {
		if (job->state == SL_HS_DONE)
			sl_ossl_free(job->done.ssl);
		end_later(t, job->hs);
	}
	job_back(t, job);
}

static void
take_back(struct sl_tls *t, struct sl_hs_job *job)
{
	uint32_t place = (uint32_t)job->tag, generation = (uint32_t)(job->tag >> 32);
	struct session *s = place < t->session_linked ? &t->sessions[place] : NULL;

	if (job->op == SL_HS_END || !s || s->generation != generation || s->state == SESSION_FREE) {
		orphan(t, job);
		return;
	}
	s->state_flags &= ~(uint32_t)SF_JOB_OUT;
	s->hs = job->hs;
	sl_hist_add(&t->conf.stats->wait_us, (sl_tcp_now_ns(t->conf.tcp) - job->asked_ns) / 1000);
	if (s->state != SESSION_HANDSHAKE) {
		ticket_answer(s, job);
		return;
	}
	sl_raw_consume(s->filter.stream,
		       SL_MIN(job->in_used, sl_raw_readable_bytes(s->filter.stream)));
	s->job = job;
	s->job_sent = 0;
	sl_filter_wake(&s->filter, false);
}

static void
tell_ends(struct sl_tls *t)
{
	while (t->end_cnt > 0) {
		struct sl_hs_job *job = job_take(t);
		if (!job)
			return;
		job->op = SL_HS_END;
		job->hs = t->ends[t->end_cnt - 1];
		job->in_len = 0;
		job->tag = UINT64_MAX;
		if (!t->conf.steps.submit(t->conf.steps.ctx, job)) {
			job_back(t, job);
			return;
		}
		t->end_cnt--;
	}
}

/* budget: jobs that are left for those who wait for one. */
static void
look(struct session *s, uint32_t now_ms, uint32_t *budget)
{
	struct sl_tls *t = s->tls;

	if (session_has(s, SF_JOB_WAITS) && *budget > 0) {
		--*budget;
		wait_no_more(s);
		sl_filter_wake(&s->filter, false);
	}
	if ((int32_t)(now_ms - s->due_ms) < 0 || session_has(s, SF_OVER))
		return;
	if (session_has(s, SF_KEEP)) {
		sl_session_ticket_end(s);
	} else {
		/* it counts as under way until it is released: its hs has no place in ends[] before */
		tls_count(t, SL_TLS_CNT_FAIL_TIMEOUT);
		sl_session_end(s, SL_END_TLS);
	}
}

/* A peer that has said nothing for a while, or not all of what it has to say, is waited for only while there is room for others. */
static bool
only_waits(const struct session *s)
{
	uint64_t age_ns = sl_tcp_now_ns(s->tls->conf.tcp) - s->began_ns;

	return s->state == SESSION_HANDSHAKE && !s->job &&
	       !session_has(s, SF_OVER | SF_JOB_OUT | SF_JOB_WAITS) &&
	       sl_raw_readable_bytes(s->filter.stream) == 0 && age_ns >= TLS_YIELD_MS * 1000000ull;
}

void
sl_session_hs_yield(struct sl_tls *t)
{
	uint32_t at = t->pending_last;

	for (unsigned n = 0; at && n < TLS_YIELD_LOOKS; n++) {
		struct session *s = &t->sessions[at - 1];
		at = s->prev;
		if (session_has(s, SF_KEEP)) {
			sl_session_ticket_end(s);
			return;
		}
		if (only_waits(s)) {
			sl_session_hs_release(s);
			fail(s, SL_TLS_CNT_FAIL_OVERLOAD);
			return;
		}
	}
}

static void
look_at_pending(struct sl_tls *t)
{
	uint32_t now_ms = sl_tcp_now_ms(t->conf.tcp), budget = t->free_cnt;

	if ((t->waits == 0 || budget == 0) && now_ms - t->scan_ms < TLS_SCAN_MS)
		return;
	t->scan_ms = now_ms;
	for (uint32_t at = t->pending; at;) {
		struct session *s = &t->sessions[at - 1];
		at = s->next;
		look(s, now_ms, &budget);
	}
}

bool
sl_session_hs_tick(struct sl_tls *t)
{
	const struct sl_tls_steps *steps = &t->conf.steps;
	struct sl_hs_job *job;
	unsigned did = 0;

	while (did < TLS_POLL && (job = steps->poll(steps->ctx))) {
		take_back(t, job);
		did++;
	}
	tell_ends(t);
	look_at_pending(t);
	return did > 0;
}

/* A turn: input changes state → output sends what may be sent → the user is told, who may call again. */
#include "tests/sim/tcp_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NEVER UINT64_MAX
#define RTO_FIRST_US 1000000u
#define RTO_MIN_US 300000u
#define RTO_MAX_US 8000000u

const char *
model_state_name(enum model_state s)
{
	static const char *const name[] = {
		"closed",     "listen",     "syn-sent", "syn-received", "established", "fin-wait-1",
		"fin-wait-2", "close-wait", "closing",  "last-ack",     "time-wait"};

	return name[s];
}

__attribute__((format(printf, 2, 3))) static void
complain(struct tcp_model *m, const char *form, ...)
{
	va_list ap;

	if (m->wrong[0])
		return;
	va_start(ap, form);
	vsnprintf(m->wrong, sizeof(m->wrong), form, ap);
	va_end(ap);
}

/* ---- timers: one event at the earliest ---- */

static void on_time(void *ctx, struct tcp_packet *pkt);

static void
rewake(struct tcp_model *m)
{
	uint64_t at = SL_MIN(SL_MIN(m->rto_ns, m->ack_ns), SL_MIN(m->persist_ns, m->wait_ns));

	if (at < m->wake_ns) {
		m->wake_ns = at;
		world_at(m->w, at, on_time, m, NULL);
	}
}

static void
arm_rto(struct tcp_model *m)
{
	uint64_t us = (uint64_t)m->rto_us << SL_MIN(m->tries, 8u);

	m->rto_ns = m->w->now_ns + SL_MIN(us, RTO_MAX_US) * 1000;
}

static void
over(struct tcp_model *m, enum model_end why)
{
	m->state = MODEL_CLOSED;
	m->end = why;
	m->rto_ns = m->ack_ns = m->persist_ns = m->wait_ns = NEVER;
}

/* ---- segments out ---- */

static uint32_t
clock_ms(const struct tcp_model *m)
{
	return (uint32_t)(m->w->now_ns / 1000000) + m->conf.ts_offset;
}

/* The window to offer: its right edge never moves left but for what scaling cuts off, and opens by no less than a segment
 * (RFC 9293, 3.8.6.2.2; 7323, 2.4). */
static uint16_t
offer(struct tcp_model *m, unsigned shift)
{
	uint32_t there = m->rcv_nxt + (m->conf.rcv_bytes - (uint32_t)(m->arrived - m->read));
	uint32_t edge = there;
	uint32_t worth = SL_MIN(m->conf.rcv_bytes / 2, 1460u);

	if (wire_diff(edge, m->adv) < (int32_t)worth)
		edge = m->adv;
	uint32_t field = (edge - m->rcv_nxt) >> shift;
	if (wire_diff(m->rcv_nxt + (field << shift), m->adv) < 0 &&
	    wire_diff(m->rcv_nxt + ((field + 1) << shift), there) <= 0)
		field++;
	field = SL_MIN(field, 65535u);
	if (wire_diff(m->rcv_nxt + (field << shift), m->adv) > 0)
		m->adv = m->rcv_nxt + (field << shift);
	return (uint16_t)field;
}

static void
add_sacks(struct tcp_model *m, struct wire_seg *s)
{
	unsigned left = m->mss - s->len - (s->has_ts ? 12 : 0), max = s->has_ts ? 3 : 4;

	max = SL_MIN(max, left < 12 ? 0 : (left - 4) / 8);
	if (!m->sack || s->flags & (WIRE_SYN | WIRE_RST) || !max)
		return;
	if (m->dsack_due)
		s->block[s->block_cnt++] = m->dsack;
	m->dsack_due = false;
	for (unsigned i = 0; i < m->run_cnt && s->block_cnt < max; i++)
		s->block[s->block_cnt++] = m->run[i];
}

static void
transmit(struct tcp_model *m, struct wire_seg *s)
{
	uint8_t ip[WIRE_HEADERS + 65536];

	s->src = m->conf.local;
	s->dst = m->conf.remote;
	s->sport = m->conf.port;
	s->dport = m->conf.remote_port;
	if (s->flags & WIRE_ACK && !(s->flags & WIRE_RST)) {
		s->ack = m->rcv_nxt;
		m->ack_sent = m->rcv_nxt;
		m->owed = 0;
		m->ack_now = false;
		m->ack_ns = NEVER;
	}
	if (m->ts && !(s->flags & WIRE_RST)) {
		s->has_ts = true;
		s->ts_val = clock_ms(m);
		s->ts_ecr = s->flags & WIRE_ACK ? m->ts_recent : 0;
	}
	if (s->flags & WIRE_ACK)
		add_sacks(m, s);
	if (!(s->flags & WIRE_RST))
		s->wnd = offer(m, s->flags & WIRE_SYN ? 0 : m->shift_out);
	m->segs_out++;
	m->send(m->ctx, ip, wire_write(ip, s));
}

static void
send_syn(struct tcp_model *m)
{
	struct wire_seg s = {.seq = m->iss,
			     .flags = WIRE_SYN | (m->state == MODEL_SYN_RECEIVED ? WIRE_ACK : 0),
			     .has_mss = m->conf.mss != 0,
			     .mss = m->conf.mss,
			     .has_wscale = m->wscale,
			     .wscale = m->conf.shift,
			     .sack_ok = m->sack};

	transmit(m, &s);
	m->nxt = m->iss + 1;
	arm_rto(m);
}

static void
send_rst(struct tcp_model *m, uint32_t seq)
{
	struct wire_seg s = {.seq = seq, .flags = WIRE_RST};

	if (m->state >= MODEL_SYN_RECEIVED) {
		s.flags |= WIRE_ACK;
		s.ack = m->rcv_nxt;
	}
	transmit(m, &s);
}

static unsigned
full(const struct tcp_model *m)
{
	return m->mss - (m->ts ? 12u : 0);
}

static uint32_t
data_end(const struct tcp_model *m)
{
	return m->iss + 1 + (uint32_t)m->written;
}

static void
send_data(struct tcp_model *m, const struct model_sent *e)
{
	uint8_t bytes[65536];
	uint32_t len = e->len - e->fin, off = e->seq - m->iss - 1;
	struct wire_seg s = {.seq = e->seq, .flags = WIRE_ACK, .data = bytes, .len = len};

	for (uint32_t i = 0, k; i < len; i += k) {
		uint32_t at = (off + i) % m->conf.snd_bytes;
		k = SL_MIN(len - i, m->conf.snd_bytes - at);
		memcpy(bytes + i, m->out + at, k);
	}
	if (e->fin)
		s.flags |= WIRE_FIN;
	if (len && e->seq + len == data_end(m))
		s.flags |= WIRE_PSH;
	transmit(m, &s);
}

/* ---- what is under way ---- */

static uint32_t
pipe_bytes(const struct tcp_model *m)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < m->sent_cnt; i++)
		if (!m->sent[i].sacked && !m->sent[i].lost)
			n += m->sent[i].len;
	return n;
}

/* Cuts sent[i] behind n bytes. */
static bool
cut(struct tcp_model *m, unsigned i, uint32_t n)
{
	if (m->sent_cnt == MODEL_SEGS)
		return false;
	memmove(m->sent + i + 1, m->sent + i, (m->sent_cnt - i) * sizeof(*m->sent));
	m->sent_cnt++;
	m->sent[i].len = n;
	m->sent[i].fin = false;
	m->sent[i + 1].seq += n;
	m->sent[i + 1].len -= n;
	return true;
}

static void
resend(struct tcp_model *m, unsigned i)
{
	if (m->sent[i].len > full(m) + m->sent[i].fin && !cut(m, i, full(m)))
		return;
	m->sent[i].lost = false;
	m->sent[i].again = true;
	m->retrans++;
	if (m->timed_ns && wire_diff(m->timed_seq, m->sent[i].seq) >= 0)
		m->timed_ns = 0; /* Karn */
	send_data(m, &m->sent[i]);
	if (m->rto_ns == NEVER || i == 0)
		arm_rto(m);
}

static void
send_new(struct tcp_model *m, uint32_t len, bool fin)
{
	struct model_sent *e = &m->sent[m->sent_cnt++];

	*e = (struct model_sent){.seq = m->nxt, .len = len + fin, .fin = fin};
	m->nxt += e->len;
	m->fin_sent |= fin;
	if (!m->timed_ns) {
		m->timed_ns = m->w->now_ns;
		m->timed_seq = e->seq + e->len - 1;
	}
	send_data(m, e);
	if (m->rto_ns == NEVER)
		arm_rto(m);
}

/* ---- what may be sent ---- */

static bool
may_send(const struct tcp_model *m)
{
	return m->state == MODEL_ESTABLISHED || m->state == MODEL_CLOSE_WAIT ||
	       m->state == MODEL_FIN_WAIT_1 || m->state == MODEL_CLOSING ||
	       m->state == MODEL_LAST_ACK;
}

/* One new segment, if congestion window, offered window and data are there. */
static bool
output_one(struct tcp_model *m)
{
	uint32_t left = m->fin_sent ? 0 : data_end(m) - m->nxt;
	int32_t usable = wire_diff(m->una + m->wnd, m->nxt);
	uint32_t n = SL_MIN(left, full(m));

	if (m->fin_sent || m->sent_cnt >= MODEL_SEGS - 1)
		return false;
	if (usable < 0)
		usable = 0;
	bool fin = m->shut && n == left && n <= (uint32_t)usable;
	if (!n && !fin)
		return false;
	if (n > (uint32_t)usable) {
		if (m->sent_cnt || !usable)
			return false;
		n = (uint32_t)usable;
	}
	uint32_t under_way = pipe_bytes(m);
	if (under_way && under_way + n > m->cwnd)
		return false;
	send_new(m, n, fin);
	return true;
}

static void
output_lost(struct tcp_model *m)
{
	for (unsigned i = 0; i < m->sent_cnt; i++) {
		if (!m->sent[i].lost)
			continue;
		uint32_t under_way = pipe_bytes(m);
		if (under_way && under_way + SL_MIN(m->sent[i].len, full(m)) > m->cwnd)
			return;
		resend(m, i);
	}
}

/* Data waits, the window is closed, nothing is under way that would be answered. */
static void
persist(struct tcp_model *m)
{
	bool stuck = !m->sent_cnt && !m->fin_sent && (data_end(m) != m->nxt || m->shut);

	if (!stuck) {
		m->persist_ns = NEVER;
		m->persist_us = RTO_MIN_US;
	} else if (m->persist_ns == NEVER) {
		m->persist_ns = m->w->now_ns + m->persist_us * 1000;
		m->persist_us = SL_MIN(2 * m->persist_us, 4000000u);
	}
}

static void
output(struct tcp_model *m)
{
	if (may_send(m)) {
		output_lost(m);
		while (output_one(m))
			;
		persist(m);
		if (m->fin_sent && m->state == MODEL_ESTABLISHED)
			m->state = MODEL_FIN_WAIT_1;
		if (m->fin_sent && m->state == MODEL_CLOSE_WAIT)
			m->state = MODEL_LAST_ACK;
	}
	if (m->ack_now && m->state >= MODEL_SYN_RECEIVED) {
		struct wire_seg s = {.seq = m->nxt, .flags = WIRE_ACK};
		transmit(m, &s);
	}
	rewake(m);
}

/* ---- acknowledgements ---- */

static void
measure(struct tcp_model *m, uint64_t rtt_us)
{
	uint32_t r = (uint32_t)SL_MIN(rtt_us, 10000000u);

	if (!m->srtt_us) {
		m->srtt_us = r + 1;
		m->rttvar_us = r / 2;
	} else {
		uint32_t d = m->srtt_us > r ? m->srtt_us - r : r - m->srtt_us;
		m->rttvar_us = (3 * m->rttvar_us + d) / 4;
		m->srtt_us = (7 * m->srtt_us + r) / 8;
	}
	m->rto_us = SL_MAX(m->srtt_us + 4 * m->rttvar_us, RTO_MIN_US);
}

static void
forget_acked(struct tcp_model *m, uint32_t ack)
{
	unsigned gone = 0;

	while (gone < m->sent_cnt && wire_diff(m->sent[gone].seq + m->sent[gone].len, ack) <= 0)
		gone++;
	memmove(m->sent, m->sent + gone, (m->sent_cnt - gone) * sizeof(*m->sent));
	m->sent_cnt -= gone;
	if (m->sent_cnt && wire_diff(m->sent[0].seq, ack) < 0) {
		m->sent[0].len -= ack - m->sent[0].seq;
		m->sent[0].seq = ack;
	}
}

static void
loses(struct tcp_model *m, unsigned i)
{
	m->sent[i].lost = true;
	if (m->recovering)
		return;
	m->ssthresh = SL_MAX((m->nxt - m->una) / 2, 2 * full(m));
	m->cwnd = m->ssthresh;
	m->recover = m->nxt;
	m->recovering = true;
}

static void
new_ack(struct tcp_model *m, const struct wire_seg *s)
{
	uint32_t n = s->ack - m->una;
	bool fin = m->fin_sent && s->ack == data_end(m) + 1;

	if (m->ts && s->has_ts && s->ts_ecr)
		measure(m, (uint64_t)(uint32_t)(clock_ms(m) - s->ts_ecr) * 1000);
	else if (!m->ts && m->timed_ns && wire_diff(s->ack, m->timed_seq) > 0)
		measure(m, (m->w->now_ns - m->timed_ns) / 1000);
	if (m->timed_ns && wire_diff(s->ack, m->timed_seq) > 0)
		m->timed_ns = 0;
	m->una = s->ack;
	m->acked += n - fin;
	m->tries = 0;
	m->dupacks = 0;
	forget_acked(m, s->ack);
	if (m->recovering && wire_diff(m->una, m->recover) >= 0)
		m->recovering = false;
	else if (m->recovering && !m->sack && m->sent_cnt && !m->sent[0].again)
		m->sent[0].lost = true; /* RFC 6582: partial acknowledgement */
	if (!m->recovering)
		m->cwnd += m->cwnd < m->ssthresh ? SL_MIN(n, 2 * full(m))
						 : full(m) * SL_MIN(n, full(m)) / m->cwnd + 1;
	m->cwnd = SL_MIN(m->cwnd, 1u << 20);
	if (m->sent_cnt)
		arm_rto(m);
	else
		m->rto_ns = NEVER;
}

static void
mark_sacked(struct tcp_model *m, const struct wire_seg *s)
{
	for (unsigned b = 0; b < s->block_cnt; b++) {
		uint32_t from = s->block[b].from, to = s->block[b].to;
		bool inside = b == 0 && s->block_cnt > 1 &&
			      wire_diff(from, s->block[1].from) >= 0 &&
			      wire_diff(to, s->block[1].to) <= 0;

		if (wire_diff(to, from) <= 0 || wire_diff(to, m->nxt) > 0)
			complain(m, "SACK block of what was not sent");
		if (b == 0 && (wire_diff(to, s->ack) <= 0 || inside)) {
			m->dsacks_in++;
			continue;
		}
		for (unsigned i = 0; i < m->sent_cnt; i++) {
			struct model_sent *e = &m->sent[i];
			if (wire_diff(e->seq, from) >= 0 && wire_diff(e->seq + e->len, to) <= 0) {
				e->sacked = true;
				e->lost = false;
			}
		}
	}
	/* RFC 6675, IsLost */
	uint32_t above = 0;
	unsigned runs = 0;
	for (unsigned i = m->sent_cnt; i-- > 0;) {
		if (m->sent[i].sacked) {
			above += m->sent[i].len;
			runs += i + 1 == m->sent_cnt || !m->sent[i + 1].sacked;
		} else if ((above > 2 * full(m) || runs >= 3) && !m->sent[i].again &&
			   !m->sent[i].lost)
			loses(m, i);
	}
}

/* false: the segment is not to be looked at any further. */
static bool
take_ack(struct tcp_model *m, const struct wire_seg *s)
{
	if (wire_diff(s->ack, m->nxt) > 0) {
		complain(m, "acknowledgement of what was not sent");
		return false;
	}
	if (wire_diff(s->ack, m->una) < 0)
		return true;
	uint32_t wnd = (uint32_t)s->wnd << m->shift_in;
	bool dup = s->ack == m->una && !s->len && !(s->flags & WIRE_FIN) && wnd == m->wnd &&
		   m->sent_cnt;
	if (s->ack != m->una)
		new_ack(m, s);
	else if (dup && !m->sack && ++m->dupacks == 3 && !m->recovering)
		loses(m, 0);
	if (m->sack)
		mark_sacked(m, s);
	else if (s->block_cnt)
		complain(m, "SACK that was not agreed on");
	/* What acknowledges more is newer, whatever its sequence number. */
	if (wire_diff(s->seq, m->wl1) > 0 || wire_diff(s->ack, m->wl2) > 0 ||
	    (s->seq == m->wl1 && wire_diff(s->ack, m->wl2) >= 0)) {
		if (wire_diff(s->ack + wnd, m->una + m->wnd) > 0)
			m->persist_ns = NEVER;
		m->wnd = wnd;
		m->wl1 = s->seq;
		m->wl2 = s->ack;
	}
	if (!wnd)
		m->tries = SL_MIN(m->tries, 4u); /* closed, but alive */
	return true;
}

static void
fin_acked(struct tcp_model *m)
{
	if (!m->fin_sent || m->una != data_end(m) + 1)
		return;
	if (m->state == MODEL_FIN_WAIT_1)
		m->state = MODEL_FIN_WAIT_2;
	else if (m->state == MODEL_CLOSING) {
		m->state = MODEL_TIME_WAIT;
		m->wait_ns = m->w->now_ns + m->conf.time_wait_ms * TCP_MS;
	} else if (m->state == MODEL_LAST_ACK)
		over(m, MODEL_OK);
}

/* ---- data ---- */

static void
ring_put(struct tcp_model *m, uint32_t seq, const uint8_t *bytes, uint32_t n)
{
	uint32_t off = seq - m->irs - 1;

	for (uint32_t i = 0, k; i < n; i += k) {
		uint32_t at = (off + i) % m->in_bytes;
		k = SL_MIN(n - i, m->in_bytes - at);
		memcpy(m->in + at, bytes + i, k);
	}
}

static void
note_dup(struct tcp_model *m, uint32_t from, uint32_t to)
{
	if (!m->sack || wire_diff(to, from) <= 0)
		return;
	m->dsack = (struct wire_block){from, to};
	m->dsack_due = true;
}

/* [from, to) joins the runs out of order and becomes the first.  false: no room. */
static bool
join(struct tcp_model *m, uint32_t from, uint32_t to)
{
	unsigned n = 0;
	struct wire_block kept[MODEL_RUNS];

	if (m->run_cnt == MODEL_RUNS)
		return false;
	for (unsigned i = 0; i < m->run_cnt; i++) {
		struct wire_block r = m->run[i];
		if (wire_diff(r.from, to) > 0 || wire_diff(r.to, from) < 0) {
			kept[n++] = r;
			continue;
		}
		uint32_t a = wire_diff(r.from, from) > 0 ? r.from : from;
		uint32_t b = wire_diff(r.to, to) < 0 ? r.to : to;
		note_dup(m, a, b);
		from = wire_diff(r.from, from) < 0 ? r.from : from;
		to = wire_diff(r.to, to) > 0 ? r.to : to;
	}
	m->run[0] = (struct wire_block){from, to};
	memcpy(m->run + 1, kept, n * sizeof(*kept));
	m->run_cnt = n + 1;
	return true;
}

static void
advance(struct tcp_model *m)
{
	for (unsigned i = 0; i < m->run_cnt; i++) {
		if (m->run[i].from != m->rcv_nxt)
			continue;
		m->arrived += m->run[i].to - m->rcv_nxt;
		m->rcv_nxt = m->run[i].to;
		memmove(m->run + i, m->run + i + 1, (m->run_cnt - i - 1) * sizeof(*m->run));
		m->run_cnt--;
		return;
	}
}

static void
take_data(struct tcp_model *m, const struct wire_seg *s)
{
	uint32_t from = s->seq, to = s->seq + s->len;
	const uint8_t *bytes = s->data;

	if (wire_diff(to, m->adv) > 0)
		to = m->adv; /* a probe of the window, or worse: the judge looks at that */
	if (wire_diff(from, m->rcv_nxt) < 0) {
		note_dup(m, from, wire_diff(to, m->rcv_nxt) < 0 ? to : m->rcv_nxt);
		bytes += m->rcv_nxt - from;
		from = m->rcv_nxt;
		m->ack_now = true;
	}
	if (wire_diff(to, from) <= 0) {
		m->ack_now = true;
		return;
	}
	if (m->closed) {
		send_rst(m, m->nxt);
		over(m, MODEL_ABORTED);
		return;
	}
	bool gap = m->run_cnt != 0;
	if (!join(m, from, to))
		return;
	ring_put(m, from, bytes, to - from);
	if (from != m->rcv_nxt || gap)
		m->ack_now = true;
	advance(m);
	if (++m->owed >= 2 || !m->conf.delack_ms)
		m->ack_now = true;
	else if (m->ack_ns == NEVER)
		m->ack_ns = m->w->now_ns + m->conf.delack_ms * TCP_MS;
}

static void
take_fin(struct tcp_model *m, const struct wire_seg *s)
{
	if (s->flags & WIRE_FIN && wire_diff(s->seq + s->len, m->adv) <= 0) {
		if (m->fin_known && m->fin_seq != s->seq + s->len)
			complain(m, "FIN at another place than before");
		m->fin_known = true;
		m->fin_seq = s->seq + s->len;
		m->ack_now = true;
		if (m->state == MODEL_TIME_WAIT)
			m->wait_ns = m->w->now_ns + m->conf.time_wait_ms * TCP_MS;
	}
	if (!m->fin_known || m->fin_in || m->rcv_nxt != m->fin_seq)
		return;
	m->fin_in = true;
	m->rcv_nxt++;
	m->adv = wire_diff(m->rcv_nxt, m->adv) > 0 ? m->rcv_nxt : m->adv;
	if (m->state == MODEL_ESTABLISHED)
		m->state = MODEL_CLOSE_WAIT;
	else if (m->state == MODEL_FIN_WAIT_1)
		m->state = MODEL_CLOSING;
	else if (m->state == MODEL_FIN_WAIT_2) {
		m->state = MODEL_TIME_WAIT;
		m->wait_ns = m->w->now_ns + m->conf.time_wait_ms * TCP_MS;
	}
}

/* ---- opening ---- */

static void
agree(struct tcp_model *m, const struct wire_seg *s)
{
	unsigned link = m->conf.mtu - (sl_addr_is_v4(&m->conf.local) ? 40u : 60u);
	unsigned other = s->has_mss ? s->mss : sl_addr_is_v4(&m->conf.local) ? 536 : 1220;

	m->mss = (uint16_t)SL_MIN(link, other);
	m->ts &= s->has_ts;
	m->sack &= s->sack_ok;
	m->wscale &= s->has_wscale;
	m->shift_in = m->wscale ? SL_MIN(s->wscale, 14) : 0;
	m->shift_out = m->wscale ? m->conf.shift : 0;
	m->irs = s->seq;
	m->rcv_nxt = s->seq + 1;
	m->ack_sent = m->rcv_nxt;
	/* What our SYN offered, before we knew where it begins. */
	m->adv = m->rcv_nxt + (m->state == MODEL_SYN_SENT ? m->adv : 0);
	m->ts_recent = s->ts_val;
	m->wnd = s->wnd;
	m->wl1 = s->seq;
	m->wl2 = s->ack;
	m->cwnd = 4 * full(m);
}

static void
arrive_listen(struct tcp_model *m, const struct wire_seg *s)
{
	if (s->flags & WIRE_RST)
		return;
	if (s->flags & WIRE_ACK || !(s->flags & WIRE_SYN))
		return;
	m->conf.remote_port = s->sport;
	m->conf.remote = s->src;
	agree(m, s);
	m->state = MODEL_SYN_RECEIVED;
	send_syn(m);
}

static void
established(struct tcp_model *m)
{
	m->state = MODEL_ESTABLISHED;
	m->una = m->iss + 1;
	m->tries = 0;
	m->rto_ns = NEVER;
	if (!m->srtt_us)
		m->rto_us = RTO_FIRST_US;
}

static void
arrive_syn_sent(struct tcp_model *m, const struct wire_seg *s)
{
	if (s->flags & WIRE_ACK && s->ack != m->iss + 1) {
		if (!(s->flags & WIRE_RST))
			send_rst(m, s->ack);
		return;
	}
	if (s->flags & WIRE_RST) {
		if (s->flags & WIRE_ACK)
			over(m, MODEL_RESET);
		return;
	}
	if (!(s->flags & WIRE_SYN))
		return;
	agree(m, s);
	if (s->flags & WIRE_ACK) {
		established(m);
		m->ack_now = true;
	} else {
		m->state = MODEL_SYN_RECEIVED;
		send_syn(m);
	}
}

/* ---- a segment (RFC 9293, 3.10.7.4) ---- */

static bool
acceptable(const struct tcp_model *m, const struct wire_seg *s)
{
	uint32_t wnd = m->adv - m->rcv_nxt, span = wire_span(s), end = s->seq + span - 1;
	bool begins = s->seq - m->rcv_nxt < wnd, ends = end - m->rcv_nxt < wnd;

	if (!span)
		return begins || s->seq == m->adv;
	if (!wnd)
		return s->flags & WIRE_FIN && !s->len && s->seq == m->rcv_nxt;
	if (s->flags & WIRE_FIN && s->seq + s->len == m->adv)
		return true; /* a FIN right behind the window is taken */
	return begins || ends;
}

static void
refuse(struct tcp_model *m, const struct wire_seg *s)
{
	if (s->flags & WIRE_RST)
		return;
	if (s->len && wire_diff(s->seq + s->len, m->rcv_nxt) <= 0)
		note_dup(m, s->seq, s->seq + s->len);
	if (s->flags & WIRE_FIN && m->state == MODEL_TIME_WAIT)
		m->wait_ns = m->w->now_ns + m->conf.time_wait_ms * TCP_MS;
	/* A window of 0 still takes acknowledgements (RFC 9293, 3.10.7.4). */
	if (s->flags & WIRE_ACK && !(s->flags & WIRE_SYN) && m->adv == m->rcv_nxt &&
	    s->seq == m->rcv_nxt && m->state >= MODEL_ESTABLISHED) {
		take_ack(m, s);
		fin_acked(m);
	}
	m->ack_now = true;
}

static void
arrive_open(struct tcp_model *m, const struct wire_seg *s)
{
	bool rst = s->flags & WIRE_RST;

	if (m->ts && !rst && !s->has_ts) {
		complain(m, "segment without the timestamp agreed on");
		return;
	}
	if (m->ts && !rst && wire_diff(s->ts_val, m->ts_recent) < 0) {
		m->ack_now = true; /* PAWS */
		return;
	}
	if (!acceptable(m, s)) {
		refuse(m, s);
		return;
	}
	if (rst) {
		if (m->state == MODEL_TIME_WAIT)
			return; /* RFC 1337 */
		if (s->seq == m->rcv_nxt)
			over(m, MODEL_RESET);
		else
			m->ack_now = true;
		return;
	}
	if (s->flags & WIRE_SYN) {
		m->ack_now = true;
		return;
	}
	if (!(s->flags & WIRE_ACK))
		return;
	if (m->state == MODEL_SYN_RECEIVED) {
		if (s->ack != m->iss + 1 &&
		    (wire_diff(s->ack, m->iss + 1) < 0 || wire_diff(s->ack, m->nxt) > 0)) {
			send_rst(m, s->ack);
			return;
		}
		established(m);
		m->wnd = (uint32_t)s->wnd << m->shift_in;
		m->wl1 = s->seq;
		m->wl2 = s->ack;
	}
	if (m->ts && wire_diff(s->seq, m->ack_sent) <= 0)
		m->ts_recent = s->ts_val;
	if (!take_ack(m, s))
		return;
	fin_acked(m);
	if (m->state == MODEL_CLOSED)
		return;
	if (m->fin_known && s->len && wire_diff(s->seq + s->len, m->fin_seq) > 0)
		complain(m, "data behind FIN");
	if (s->len)
		take_data(m, s);
	if (m->state != MODEL_CLOSED)
		take_fin(m, s);
}

static void
told(struct tcp_model *m)
{
	output(m);
	if (m->tell)
		m->tell(m->ctx);
}

void
model_arrive(void *model, struct tcp_packet *pkt)
{
	struct tcp_model *m = model;
	struct wire_seg s;
	const char *bad = wire_read(pkt->ip, pkt->len, &s);

	if (bad) {
		if (!pkt->damaged)
			complain(m, "malformed: %s", bad);
	} else if (s.dport == m->conf.port && sl_addr_eq(&s.dst, &m->conf.local) &&
		   (m->state == MODEL_LISTEN || s.sport == m->conf.remote_port)) {
		m->segs_in++;
		if (m->state == MODEL_LISTEN)
			arrive_listen(m, &s);
		else if (m->state == MODEL_SYN_SENT)
			arrive_syn_sent(m, &s);
		else if (m->state != MODEL_CLOSED)
			arrive_open(m, &s);
		else if (!(s.flags & WIRE_RST) && s.flags & WIRE_ACK)
			send_rst(m, s.ack);
		told(m);
	}
	free(pkt);
}

/* ---- time ---- */

static void
rto_passed(struct tcp_model *m)
{
	m->rto_ns = NEVER;
	m->timeouts++;
	if (++m->tries > MODEL_TRIES) {
		over(m, MODEL_TIMEOUT);
		return;
	}
	if (m->state == MODEL_SYN_SENT || m->state == MODEL_SYN_RECEIVED) {
		send_syn(m);
		return;
	}
	if (!m->sent_cnt)
		return;
	m->ssthresh = SL_MAX((m->nxt - m->una) / 2, 2 * full(m));
	m->cwnd = full(m);
	m->recovering = false;
	m->dupacks = 0;
	bool renege = m->sent[0].sacked; /* RFC 2018, 8 */
	for (unsigned i = 0; i < m->sent_cnt; i++) {
		m->sent[i].sacked &= !renege;
		m->sent[i].lost = !m->sent[i].sacked;
		m->sent[i].again = false;
	}
	arm_rto(m);
}

static void
persist_passed(struct tcp_model *m)
{
	m->persist_ns = NEVER;
	if (m->sent_cnt || m->fin_sent)
		return;
	if (data_end(m) != m->nxt)
		send_new(m, 1, false);
	else if (m->shut)
		send_new(m, 0, true);
}

static void
on_time(void *ctx, struct tcp_packet *pkt)
{
	struct tcp_model *m = ctx;
	uint64_t now = m->w->now_ns;

	(void)pkt;
	if (m->wake_ns > now)
		return;
	m->wake_ns = NEVER;
	if (m->ack_ns <= now) {
		m->ack_ns = NEVER;
		m->ack_now = true;
	}
	if (m->wait_ns <= now)
		over(m, MODEL_OK);
	if (m->persist_ns <= now)
		persist_passed(m);
	if (m->rto_ns <= now)
		rto_passed(m);
	told(m);
}

/* ---- life ---- */

void
model_init(struct tcp_model *m, struct tcp_world *w, const struct model_conf *conf)
{
	memset(m, 0, sizeof(*m));
	m->w = w;
	m->conf = *conf;
	m->iss = conf->iss;
	m->nxt = m->una = conf->iss;
	m->ts = conf->ts;
	m->sack = conf->sack;
	m->wscale = conf->wscale;
	m->mss = 536;
	m->ssthresh = UINT32_MAX / 2;
	m->rto_us = RTO_FIRST_US;
	m->persist_us = RTO_MIN_US;
	m->rto_ns = m->ack_ns = m->persist_ns = m->wait_ns = m->wake_ns = NEVER;
	m->in_bytes = conf->rcv_bytes;
	m->in = malloc(m->in_bytes);
	m->out = malloc(conf->snd_bytes);
	if (!m->in || !m->out)
		abort();
}

void
model_fini(struct tcp_model *m)
{
	free(m->in);
	free(m->out);
}

void
model_listen(struct tcp_model *m)
{
	m->state = MODEL_LISTEN;
}

void
model_connect(struct tcp_model *m)
{
	m->state = MODEL_SYN_SENT;
	send_syn(m);
	rewake(m);
}

void
model_too_big(struct tcp_model *m, unsigned mtu)
{
	unsigned mss = mtu - (sl_addr_is_v4(&m->conf.local) ? 40u : 60u);

	if (m->state < MODEL_ESTABLISHED || mss >= m->mss)
		return;
	m->mss = (uint16_t)mss;
	for (unsigned i = 0; i < m->sent_cnt; i++)
		if (!m->sent[i].sacked && m->sent[i].len > full(m) + m->sent[i].fin)
			m->sent[i].lost = true;
	told(m);
}

/* ---- the user ---- */

uint32_t
model_room(const struct tcp_model *m)
{
	if (m->shut || (m->state != MODEL_ESTABLISHED && m->state != MODEL_CLOSE_WAIT))
		return 0;
	return m->conf.snd_bytes - (uint32_t)(m->written - m->acked);
}

uint32_t
model_write(struct tcp_model *m, const uint8_t *bytes, uint32_t n)
{
	n = SL_MIN(n, model_room(m));
	for (uint32_t i = 0, k; i < n; i += k) {
		uint32_t at = (uint32_t)(m->written + i) % m->conf.snd_bytes;
		k = SL_MIN(n - i, m->conf.snd_bytes - at);
		memcpy(m->out + at, bytes + i, k);
	}
	m->written += n;
	output(m);
	return n;
}

uint32_t
model_readable(const struct tcp_model *m)
{
	return (uint32_t)(m->arrived - m->read);
}

uint32_t
model_read(struct tcp_model *m, uint8_t *to, uint32_t n)
{
	n = SL_MIN(n, model_readable(m));
	for (uint32_t i = 0, k; i < n; i += k) {
		uint32_t at = (uint32_t)(m->read + i) % m->in_bytes;
		k = SL_MIN(n - i, m->in_bytes - at);
		memcpy(to + i, m->in + at, k);
	}
	m->read += n;
	uint32_t edge = m->rcv_nxt + m->conf.rcv_bytes - model_readable(m);
	if (wire_diff(edge, m->adv) >= (int32_t)SL_MIN(m->conf.rcv_bytes / 2, 2u * m->mss) &&
	    !m->fin_in && m->state >= MODEL_ESTABLISHED)
		m->ack_now = true;
	output(m);
	return n;
}

bool
model_eof(const struct tcp_model *m)
{
	return m->fin_in && m->arrived == m->read;
}

void
model_shutdown(struct tcp_model *m)
{
	m->shut = true;
	output(m);
}

void
model_close(struct tcp_model *m)
{
	if (model_readable(m)) {
		model_abort(m);
		return;
	}
	m->closed = true;
	model_shutdown(m);
}

void
model_abort(struct tcp_model *m)
{
	if (m->state == MODEL_CLOSED || m->state == MODEL_LISTEN)
		return;
	if (m->state != MODEL_SYN_SENT && m->state != MODEL_TIME_WAIT)
		send_rst(m, m->nxt);
	over(m, MODEL_ABORTED);
}

void
model_keepalive(struct tcp_model *m)
{
	struct wire_seg s = {.seq = m->nxt - 1, .flags = WIRE_ACK};

	if (m->state >= MODEL_ESTABLISHED && !m->sent_cnt)
		transmit(m, &s);
}

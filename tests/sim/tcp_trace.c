#include "tests/sim/tcp_trace.h"

#include <stdarg.h>
#include <stdlib.h>

/* ---- log ---- */

static unsigned
side_of(struct trace_log *log, const struct wire_seg *s)
{
	unsigned i = log->port[0] == s->sport ? 0 : 1;

	if (!log->port[0]) {
		i = 0;
		log->port[0] = s->sport;
		log->port[1] = s->dport;
		log->seq0[0] = s->seq;
	}
	if (i == 1 && s->flags & WIRE_SYN)
		log->seq0[1] = s->seq;
	return i;
}

static void
print_line(const struct trace_log *log, const struct trace_line *l, FILE *to)
{
	unsigned side = log->port[0] == l->seg.sport ? 0 : 1;
	char text[400];

	wire_text(&l->seg, log->seq0[side], log->seq0[!side], text, sizeof(text));
	fprintf(to, "      %12.6f %c %s%s %s\n", (double)l->at_ns / 1e9, l->who,
		l->out ? "sends" : "gets ", l->damaged ? " (damaged)" : "", text);
}

void
log_add(struct trace_log *log, uint64_t at_ns, char who, bool out, bool damaged,
	const struct wire_seg *s)
{
	struct trace_line *l = &log->line[log->cnt++ % TRACE_LOG];

	side_of(log, s);
	*l = (struct trace_line){at_ns, who, out, damaged, *s};
	if (log->live)
		print_line(log, l, log->live);
}

void
log_print(const struct trace_log *log, FILE *to)
{
	unsigned long from = log->cnt > TRACE_LOG ? log->cnt - TRACE_LOG : 0;

	for (unsigned long i = from; i < log->cnt && !log->live; i++)
		print_line(log, &log->line[i % TRACE_LOG], to);
}

__attribute__((format(printf, 2, 3))) static void
complain(struct tcp_trace *t, const char *form, ...)
{
	va_list ap;

	if (t->wrong[0])
		return;
	int n = snprintf(t->wrong, sizeof(t->wrong), "%c at %.6f: ", t->who,
			 (double)t->w->now_ns / 1e9);
	va_start(ap, form);
	vsnprintf(t->wrong + n, sizeof(t->wrong) - (size_t)n, form, ap);
	va_end(ap);
}

/* ---- sets ---- */

/* Adds [from, to); true: all of it was new. */
static bool
set_add(struct trace_set *s, uint32_t from, uint32_t to)
{
	unsigned a = s->cnt, b;
	bool fresh = true;

	while (a > 0 && wire_diff(s->run[a - 1].to, from) >= 0)
		a--;
	for (b = a; b < s->cnt && wire_diff(s->run[b].from, to) <= 0; b++) {
		if (wire_diff(s->run[b].from, to) < 0 && wire_diff(s->run[b].to, from) > 0)
			fresh = false;
		from = wire_diff(s->run[b].from, from) < 0 ? s->run[b].from : from;
		to = wire_diff(s->run[b].to, to) > 0 ? s->run[b].to : to;
	}
	if (a == b && s->cnt == s->room) {
		s->room = s->room ? 2 * s->room : 16;
		s->run = realloc(s->run, s->room * sizeof(*s->run));
		if (!s->run)
			abort();
	}
	memmove(s->run + a + 1, s->run + b, (s->cnt - b) * sizeof(*s->run));
	s->cnt = s->cnt - (b - a) + 1;
	s->run[a] = (struct wire_block){from, to};
	return fresh;
}

static bool
set_has(const struct trace_set *s, uint32_t from, uint32_t to)
{
	for (unsigned i = s->cnt; i-- > 0;)
		if (wire_diff(s->run[i].from, from) <= 0)
			return wire_diff(s->run[i].to, to) >= 0;
	return false;
}

/* ---- runs under way ---- */

static struct trace_sent *
room_for(struct tcp_trace *t, unsigned more)
{
	if (t->sent_at > 256 && t->sent_at > t->sent_cnt / 2) {
		memmove(t->sent, t->sent + t->sent_at,
			(t->sent_cnt - t->sent_at) * sizeof(*t->sent));
		t->sent_cnt -= t->sent_at;
		t->sent_at = 0;
	}
	if (t->sent_cnt + more > t->sent_room) {
		t->sent_room = 2 * t->sent_room + 64;
		t->sent = realloc(t->sent, t->sent_room * sizeof(*t->sent));
		if (!t->sent)
			abort();
	}
	return t->sent;
}

/* The first run that ends behind seq. */
static unsigned
run_at(const struct tcp_trace *t, uint32_t seq)
{
	unsigned lo = t->sent_at, hi = t->sent_cnt;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (wire_diff(t->sent[mid].to, seq) > 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Cuts the run that holds seq, so that one begins there. */
static void
cut_at(struct tcp_trace *t, uint32_t seq)
{
	room_for(t, 1);
	unsigned i = run_at(t, seq);
	if (i == t->sent_cnt || wire_diff(t->sent[i].from, seq) >= 0)
		return;
	memmove(t->sent + i + 1, t->sent + i, (t->sent_cnt - i) * sizeof(*t->sent));
	t->sent_cnt++;
	t->sent[i].to = seq;
	t->sent[i + 1].from = seq;
}

/* ---- evidence ---- */

static unsigned
full(const struct tcp_trace *t)
{
	unsigned link = (t->pmtu ? SL_MIN(t->pmtu, t->conf.mtu) : t->conf.mtu) -
			(sl_addr_is_v4(&t->my_syn.src) ? 40u : 60u);
	unsigned his = t->his_syn.has_mss ? t->his_syn.mss
					  : (sl_addr_is_v4(&t->my_syn.src) ? 536u : 1220u);

	return SL_MIN(link, SL_MAX(his, 64u)) - (t->ts ? 12u : 0);
}

/* RFC 6675, IsLost: more than two segments' bytes, or three runs, are SACKed above. */
static bool
is_lost(const struct tcp_trace *t, unsigned i)
{
	uint32_t bytes = 0, last = 0;
	unsigned runs = 0;

	for (unsigned k = t->sent_cnt; k-- > i + 1;) {
		if (!t->sent[k].sacked)
			continue;
		if (!runs || t->sent[k].to != last)
			runs++;
		last = t->sent[k].from;
		bytes += t->sent[k].to - t->sent[k].from;
	}
	return runs >= 3 || bytes > 2 * full(t);
}

static bool
many_sacked(const struct tcp_trace *t)
{
	uint32_t bytes = 0;
	unsigned runs = 0;

	for (unsigned i = t->sent_at; i < t->sent_cnt; i++)
		if (t->sent[i].sacked) {
			bytes += t->sent[i].to - t->sent[i].from;
			runs++;
		}
	return runs >= 3 || bytes > 2 * full(t);
}

/* RFC 8985: what was sent later has arrived, and a round trip and the reordering window have passed since. */
static bool
rack_lost(const struct tcp_trace *t, const struct trace_sent *r)
{
	uint64_t since = t->w->now_ns - r->last_ns + t->conf.slack_ns;
	bool no_wait = t->recovering || many_sacked(t);

	/* The stack's clock counts µs: what is less apart is told by its place. */
	bool later = t->delivered_ns > r->last_ns || (t->delivered_ns + 1000 >= r->last_ns &&
						      wire_diff(t->delivered_end, r->to) > 0);

	return later && since >= t->rtt_min_ns + (no_wait ? 0 : t->rtt_min_ns / 4);
}

static uint64_t
rto_min(const struct tcp_trace *t)
{
	uint64_t ns = t->conf.rto_min_ms * TCP_MS;

	return SL_MIN(ns << SL_MIN(t->rtos, 12u), (t->conf.ours ? 60 : 8) * TCP_S);
}

static bool
timed_out(const struct tcp_trace *t)
{
	uint64_t base = SL_MAX(t->progress_ns, t->rto_ns);

	base = SL_MAX(base, t->sent[t->sent_at].first_ns);
	return t->w->now_ns + t->conf.slack_ns >= base + rto_min(t);
}

static bool
may_probe_tail(const struct tcp_trace *t)
{
	uint64_t base = t->conf.old_acks ? t->data_ns : SL_MAX(t->data_ns, t->progress_ns);
	uint64_t pto = SL_MIN(2 * t->rtt_min_ns, t->conf.rto_min_ms * TCP_MS);

	return !t->tlp_out && (t->w->now_ns + t->conf.slack_ns >= base + pto || timed_out(t));
}

/* Why run i may be sent again: counts the reason, or complains. */
static void
judge_again(struct tcp_trace *t, unsigned i, uint32_t seg_end)
{
	const struct trace_sent *r = &t->sent[i];

	if (r->from == t->una && timed_out(t)) {
		t->by_rto++;
		/* Where there is evidence as well, it need not have been the timer. */
		if (!rack_lost(t, r)) {
			t->rtos++;
			t->rto_ns = t->w->now_ns;
		}
		t->rto_order = t->order - 1;
		t->recovering = false;
		return;
	}
	if (r->order <= t->rto_order) {
		t->by_rto++;
		if (!t->recovering) {
			t->recovering = true;
			t->recover = t->nxt;
		}
		return;
	}
	if (r->order <= t->pmtu_order)
		t->by_pmtu++;
	else if (t->sack && r->times == 1 && is_lost(t, i))
		t->by_sack++;
	else if (t->sack && rack_lost(t, r))
		t->by_rack++;
	else if (!t->sack && r->from == t->una && (t->dupacks >= 3 || t->recovering))
		t->by_dup++;
	else if (!t->sack && rack_lost(t, r))
		t->by_rack++;
	else if (seg_end == t->nxt && may_probe_tail(t)) {
		t->by_tlp++;
		t->tlp_out = true;
		t->tlp_end = t->nxt;
		return;
	} else if (t->conf.reneges)
		t->by_rack++;
	else
		complain(t,
			 "sends %d:%d again without evidence (sent %u times, last %.3f ms ago, rtt "
			 "%.3f ms, progress %.3f ms ago, una %d)",
			 (int)(r->from - t->iss), (int)(r->to - t->iss), r->times,
			 (double)(t->w->now_ns - r->last_ns) / 1e6, (double)t->rtt_min_ns / 1e6,
			 (double)(t->w->now_ns - t->progress_ns) / 1e6, (int)(t->una - t->iss));
	/* Or begun anew, after an undo that we do not see. */
	t->recovering = true;
	t->recover = t->nxt;
}

/* ---- our side sends ---- */

static void
sends_again(struct tcp_trace *t, uint32_t from, uint32_t to, uint32_t seg_end)
{
	bool any = false;

	t->again++;
	/* The first one SACKed and not acknowledged: the peer has it no more (RFC 2018, 8). */
	if (t->conf.old_acks && t->sent_at < t->sent_cnt && t->sent[t->sent_at].sacked)
		for (unsigned i = t->sent_at; i < t->sent_cnt; i++)
			t->sent[i].sacked = false;
	if (wire_diff(from, t->una) < 0) {
		/* Acknowledged already: only as a probe of nothing, or one byte. */
		if ((to - from > 1 || to != t->una) && !t->conf.old_acks)
			complain(t, "sends %d:%d again, which was acknowledged up to %d",
				 (int)(from - t->iss), (int)(to - t->iss), (int)(t->una - t->iss));
		t->probes++;
		return;
	}
	cut_at(t, from);
	cut_at(t, to);
	for (unsigned i = run_at(t, from); i < t->sent_cnt; i++) {
		struct trace_sent *r = &t->sent[i];
		if (wire_diff(r->from, to) >= 0)
			break;
		if (r->sacked)
			continue;
		if (!any)
			judge_again(t, i, seg_end);
		any = true;
		r = &t->sent[i];
		r->last_ns = t->w->now_ns;
		r->order = t->order;
		r->times++;
	}
	if (!any && t->rto_order == 0 && t->pmtu_order == 0)
		complain(t, "sends %d:%d again, which the peer has (SACK)", (int)(from - t->iss),
			 (int)(to - t->iss));
}

static void
check_bytes(struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t off = s->seq - t->iss - 1;

	if (bytes_same(t->conf.seed_out, off, s->data, s->len) != s->len)
		complain(t, "sends wrong bytes in %u:%u", off, off + s->len);
	if ((uint64_t)off + s->len > t->conf.out_bytes)
		complain(t, "sends more than was written");
	if (s->len > full(t))
		complain(t, "sends %u bytes, the most is %u", s->len, full(t));
}

/* May be no more than 10 segments before the first acknowledgement of data. */
static void
check_initial(struct tcp_trace *t, uint32_t end)
{
	unsigned most = SL_MAX(10 * full(t), 14600u);

	if (t->una == t->iss + 1 && !t->ack_in_ns && end - t->una > most && !may_probe_tail(t))
		complain(t, "sends %u bytes before the first acknowledgement", end - t->una);
}

static void
sends_new(struct tcp_trace *t, const struct wire_seg *s, uint32_t from, uint32_t to)
{
	int32_t beyond = wire_diff(to - !!(s->flags & WIRE_FIN), t->edge);

	if (from != t->nxt)
		complain(t, "skips %d bytes", (int)(from - t->nxt));
	if (t->fin_out)
		complain(t, "sends behind its FIN");
	if (beyond > 1 || (beyond == 1 && s->len != 1))
		complain(t, "sends %d bytes beyond the window", beyond);
	if (beyond == 1 &&
	    t->w->now_ns + t->conf.slack_ns < t->progress_ns + t->conf.rto_min_ms * TCP_MS)
		complain(t, "probes the window %.3f ms after the last acknowledgement",
			 (double)(t->w->now_ns - t->progress_ns) / 1e6);
	check_initial(t, to);
	if (t->sent_at == t->sent_cnt)
		t->rtos = 0; /* the timer starts anew */
	room_for(t, 1);
	t->sent[t->sent_cnt++] = (struct trace_sent){
		.from = from,
		.to = to,
		.first_ns = t->w->now_ns,
		.last_ns = t->w->now_ns,
		.order = t->order,
		.times = 1,
	};
	t->nxt = to;
	if (s->flags & WIRE_FIN) {
		t->fin_out = true;
		if (!t->conf.may_reset && to - 1 != t->iss + 1 + (uint32_t)t->conf.out_bytes)
			complain(t, "FIN after %u bytes", to - 2 - t->iss);
	}
}

static void
sends_span(struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t from = s->seq, to = s->seq + s->len + !!(s->flags & WIRE_FIN);

	if (s->len)
		check_bytes(t, s);
	t->order++;
	if (wire_diff(from, t->nxt) < 0)
		sends_again(t, from, wire_diff(to, t->nxt) > 0 ? t->nxt : to, to);
	if (wire_diff(to, t->nxt) > 0)
		sends_new(t, s, wire_diff(from, t->nxt) < 0 ? t->nxt : from, to);
	t->data_ns = t->w->now_ns;
}

/* ---- our side acknowledges ---- */

static uint32_t
in_order(const struct tcp_trace *t)
{
	uint32_t end = t->irs + 1;

	if (t->got.cnt && t->got.run[0].from == end)
		end = t->got.run[0].to;
	return end;
}

static bool
came_twice(const struct tcp_trace *t, const struct wire_block *b)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(t->twice); i++)
		if (wire_diff(t->twice[i].from, b->from) <= 0 &&
		    wire_diff(t->twice[i].to, b->to) >= 0 && t->twice[i].from != t->twice[i].to)
			return true;
	return false;
}

/* As it came: then it may be a DSACK though its block is not among those told. */
static bool
is_duplicate(const struct tcp_trace *t, const struct wire_block *b)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(t->twice); i++)
		if (t->twice[i].from == b->from && t->twice[i].to == b->to)
			return true;
	return false;
}

static void
check_sacks(struct tcp_trace *t, const struct wire_seg *s)
{
	unsigned first = 0;

	if (s->block_cnt && !t->sack)
		complain(t, "SACK that was not agreed on");
	for (unsigned i = 0; i < s->block_cnt; i++) {
		const struct wire_block *b = &s->block[i];
		bool inside = i == 0 && s->block_cnt > 1 &&
			      wire_diff(b->from, s->block[1].from) >= 0 &&
			      wire_diff(b->to, s->block[1].to) <= 0;
		int at = (int)(b->from - t->irs), end = (int)(b->to - t->irs);
		if (wire_diff(b->to, b->from) <= 0)
			complain(t, "empty SACK block %d:%d", at, end);
		if (i == 0 && (wire_diff(b->to, s->ack) <= 0 || inside || is_duplicate(t, b))) {
			first = 1;
			if (!came_twice(t, b) && !t->conf.old_acks)
				complain(t, "DSACK %d:%d of what did not come twice", at, end);
			continue;
		}
		if (wire_diff(b->from, s->ack) <= 0)
			complain(t, "SACK block %d:%d not beyond the acknowledgement", at, end);
		if (!set_has(&t->got, b->from, b->to))
			complain(t, "SACK block %d:%d of what did not arrive", at, end);
		for (unsigned k = first; k < i; k++)
			if (wire_diff(b->from, s->block[k].to) < 0 &&
			    wire_diff(s->block[k].from, b->to) < 0)
				complain(t, "SACK blocks overlap at %d:%d", at, end);
	}
	if (!t->newest_set || !t->sack || wire_diff(t->newest, s->ack) < 0 || t->conf.old_acks ||
	    (wire_span(s) && !s->block_cnt))
		return;
	if (!s->block_cnt) {
		complain(t, "no SACK block for %d", (int)(t->newest - t->irs));
		return;
	}
	/* Behind a DSACK comes the block that it lies in (RFC 2883, 4). */
	bool held = false;
	for (unsigned i = 0; i < s->block_cnt && i <= 2 * first; i++)
		held |= wire_diff(t->newest, s->block[i].from) >= 0 &&
			wire_diff(t->newest, s->block[i].to) < 0;
	if (!held)
		complain(t, "the first SACK block does not hold the newest segment, %d",
			 (int)(t->newest - t->irs));
}

static void
check_ts(struct tcp_trace *t, const struct wire_seg *s)
{
	uint64_t now = t->w->now_ns;

	if (!t->ts) {
		if (s->has_ts)
			complain(t, "timestamps that were not agreed on");
		return;
	}
	if (!s->has_ts) {
		complain(t, "no timestamp");
		return;
	}
	if (t->ts_sent) {
		int32_t d = wire_diff(s->ts_val, t->ts_last_val);
		int64_t ms = (int64_t)(now - t->ts_last_ns) / 1000000;
		if (d < 0 || d < ms - 1 || d > ms + 1)
			complain(t, "timestamp moved by %d in %lld ms", d, (long long)ms);
	}
	t->ts_sent = true;
	t->ts_last_val = s->ts_val;
	t->ts_last_ns = now;
	for (unsigned i = 0; i < 2; i++)
		if (t->ts_maybe[i] && s->ts_ecr == t->ts_maybe[i])
			t->ts_recent = t->ts_maybe[i];
	/* In TIME-WAIT, and where memory decides what is taken, an older one may be echoed. */
	bool over = t->fin_in && t->fin_out && t->una == t->nxt;
	if (s->flags & WIRE_ACK && s->ts_ecr != t->ts_recent && !over && !t->conf.old_acks)
		complain(t, "echoes timestamp %u, not %u", s->ts_ecr, t->ts_recent);
}

static void
sends_ack(struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t there = in_order(t), edge = s->ack + ((uint32_t)s->wnd << t->shift_out);

	if (wire_diff(s->ack, there) > 0)
		complain(t, "acknowledges %d, only %d arrived", (int)(s->ack - t->irs),
			 (int)(there - t->irs));
	if (wire_diff(s->ack, t->acked) < 0)
		complain(t, "acknowledges %d after %d", (int)(s->ack - t->irs),
			 (int)(t->acked - t->irs));
	if (wire_diff(edge, t->adv) <= -(1 << t->shift_out))
		complain(t, "window's right edge moves left by %d", (int)(t->adv - edge));
	if (wire_diff(edge, t->adv) > 0)
		t->adv = edge;
	check_sacks(t, s);
	t->acked = s->ack;
	if (t->owed_ns && t->w->now_ns > t->owed_ns + 500 * TCP_MS && !t->conf.old_acks)
		complain(t, "acknowledges after %.3f ms",
			 (double)(t->w->now_ns - t->owed_ns) / 1e6);
	t->owed_ns = 0;
	/* Data may go without blocks where an acknowledgement with them follows. */
	if (!wire_span(s) || s->block_cnt)
		t->newest_set = false;
}

/* ---- opening ---- */

static void
agree(struct tcp_trace *t)
{
	t->ts = t->my_syn.has_ts && t->his_syn.has_ts;
	t->sack = t->my_syn.sack_ok && t->his_syn.sack_ok;
	bool scale = t->my_syn.has_wscale && t->his_syn.has_wscale;
	t->shift_in = scale ? SL_MIN(t->his_syn.wscale, 14u) : 0;
	t->shift_out = scale ? t->my_syn.wscale : 0;
	t->una = t->iss + 1;
	if (t->nxt == t->iss)
		t->nxt = t->una;
	t->edge = t->una + t->his_syn.wnd;
	t->acked = t->irs + 1;
	if (wire_diff(t->adv, t->irs + 1) < 0 || !t->open)
		t->adv = t->irs + 1 + t->my_syn.wnd;
	t->ts_recent = t->his_syn.ts_val;
	t->last_wnd = t->his_syn.wnd >> t->shift_in << t->shift_in;
	t->open = true;
}

static void
sends_syn(struct tcp_trace *t, const struct wire_seg *s)
{
	uint64_t now = t->w->now_ns;
	bool same = t->syn_out && ((s->flags ^ t->my_syn.flags) & WIRE_ACK) == 0;

	if (t->syn_out && s->seq != t->iss && !t->conf.cookies)
		complain(t, "another ISN in a SYN sent again");
	if (s->flags & WIRE_ACK && (!t->syn_in || s->ack != t->irs + 1))
		complain(t, "SYN+ACK for no SYN");
	if (s->len)
		complain(t, "SYN with data");
	if (!s->has_mss && t->conf.ours)
		complain(t, "SYN without MSS");
	else if (s->mss > t->conf.mtu - (sl_addr_is_v4(&s->src) ? 40u : 60u))
		complain(t, "MSS %u is larger than the link's", s->mss);
	if (s->flags & WIRE_ACK &&
	    ((s->has_ts && !t->his_syn.has_ts) || (s->sack_ok && !t->his_syn.sack_ok) ||
	     (s->has_wscale && !t->his_syn.has_wscale)))
		complain(t, "SYN+ACK with an option that was not offered");
	if (s->has_wscale && s->wscale > 14)
		complain(t, "window scale %u", s->wscale);
	/* A SYN+ACK also answers a SYN that came again. */
	if (same && !(s->flags & WIRE_ACK) &&
	    now + t->conf.slack_ns < t->syn_ns + (TCP_S << SL_MIN(t->syns - 1, 6u)))
		complain(t, "SYN sent again after %.3f ms", (double)(now - t->syn_ns) / 1e6);
	t->syns = same ? t->syns + 1 : 1;
	t->syn_ns = now;
	t->my_syn = *s;
	t->my_syn.data = NULL;
	t->iss = s->seq;
	if (!t->syn_out || t->conf.cookies) {
		t->nxt = t->una = t->iss + 1;
		t->progress_ns = now;
	}
	t->syn_out = true;
	if (t->syn_in)
		agree(t);
}

static void
note_maybe(struct tcp_trace *t, uint32_t ts_val)
{
	t->ts_maybe[1] = t->ts_maybe[0];
	t->ts_maybe[0] = ts_val;
}

static void
opening_rtt(struct tcp_trace *t)
{
	/* Which of several was answered nobody knows. */
	t->rtt_min_ns = t->syns == 1 ? t->w->now_ns - t->syn_ns : 1;
}

static void
gets_syn(struct tcp_trace *t, const struct wire_seg *s)
{
	if (t->syn_in && s->has_ts)
		note_maybe(t, s->ts_val);
	if (t->syn_in || (s->flags & WIRE_ACK && s->ack != t->iss + 1))
		return;
	t->syn_in = true;
	t->his_syn = *s;
	t->his_syn.data = NULL;
	t->irs = s->seq;
	if (t->syn_out) {
		opening_rtt(t);
		agree(t);
	}
}

/* ---- our side hears ---- */

static bool
in_window(const struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t span = wire_span(s), end = s->seq + SL_MAX(span, 1u);
	uint32_t nxt = t->conf.old_acks ? t->acked : in_order(t);

	if (t->adv == nxt && span)
		return false;
	if (!span)
		return wire_diff(s->seq, nxt) >= 0 && wire_diff(s->seq, t->adv) <= 0;
	return wire_diff(end, nxt) > 0 && wire_diff(s->seq, t->adv) < 0;
}

static void
delivered(struct tcp_trace *t, const struct trace_sent *r)
{
	uint64_t rtt = t->w->now_ns - r->last_ns;

	if (r->last_ns > t->delivered_ns ||
	    (r->last_ns == t->delivered_ns && wire_diff(r->to, t->delivered_end) > 0)) {
		t->delivered_ns = r->last_ns;
		t->delivered_end = r->to;
	}
	if (r->times > 1)
		return;
	t->rtos = 0; /* a new measure ends the doubling (RFC 6298, 5.7) */
	if (!t->rtt_min_ns || rtt < t->rtt_min_ns || t->rtt_min_ns == 1)
		t->rtt_min_ns = rtt;
}

static void
hears_progress(struct tcp_trace *t, uint32_t ack)
{
	cut_at(t, ack);
	while (t->sent_at < t->sent_cnt && wire_diff(t->sent[t->sent_at].to, ack) <= 0) {
		if (!t->sent[t->sent_at].sacked)
			delivered(t, &t->sent[t->sent_at]);
		t->sent_at++;
	}
	t->una = ack;
	t->progress_ns = t->w->now_ns;
	t->dupacks = 0;
	t->rtos = 0;
	if (t->tlp_out && wire_diff(ack, t->tlp_end) >= 0)
		t->tlp_out = false;
	if (t->recovering && wire_diff(ack, t->recover) >= 0)
		t->recovering = false;
	if (t->sent_at == t->sent_cnt)
		t->rto_order = t->pmtu_order = 0;
}

static void
hears_sacks(struct tcp_trace *t, const struct wire_seg *s)
{
	for (unsigned b = 0; b < s->block_cnt; b++) {
		uint32_t from = s->block[b].from, to = s->block[b].to;
		if (wire_diff(from, t->una) < 0 || wire_diff(to, t->nxt) > 0 ||
		    wire_diff(from, to) >= 0)
			continue;
		cut_at(t, from);
		cut_at(t, to);
		for (unsigned i = run_at(t, from);
		     i < t->sent_cnt && wire_diff(t->sent[i].to, to) <= 0; i++) {
			if (t->sent[i].sacked)
				continue;
			delivered(t, &t->sent[i]);
			t->sent[i].sacked = true;
		}
	}
}

static void
hears_duplicate(struct tcp_trace *t)
{
	if (++t->dupacks != 3 || t->sack)
		return;
	t->recovering = true;
	t->recover = t->nxt;
}

static void
hears_ack(struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t wnd = (uint32_t)s->wnd << (s->flags & WIRE_SYN ? 0 : t->shift_in);
	uint32_t edge = s->ack + wnd;

	if (wire_diff(s->ack, t->nxt) > 0 || wire_diff(s->ack, t->una) < 0 ||
	    !(in_window(t, s) || s->seq == t->adv))
		return;
	if (!t->rtt_min_ns && t->my_syn.flags & WIRE_ACK)
		opening_rtt(t);
	if (!t->edge_known || wire_diff(edge, t->edge) > 0)
		t->edge = edge;
	t->edge_known = true;
	t->ack_in_ns = t->w->now_ns;
	if (s->ack != t->una)
		hears_progress(t, s->ack);
	else if (!wire_span(s) && wnd == t->last_wnd && t->sent_at != t->sent_cnt)
		hears_duplicate(t);
	t->last_wnd = wnd;
	hears_sacks(t, s);
}

static void
hears_data(struct tcp_trace *t, const struct wire_seg *s)
{
	uint32_t to = s->seq + s->len;

	if (wire_diff(to, t->adv) > 0)
		to = t->adv;
	if (wire_diff(to, s->seq) <= 0 || wire_diff(s->seq, t->irs + 1) < 0) {
		if (s->flags & WIRE_FIN) /* alone */
			t->twice[t->twice_at++ % SL_ARRAY_CNT(t->twice)] =
				(struct wire_block){s->seq, s->seq + 1};
		return;
	}
	uint32_t before = in_order(t);
	if (!set_add(&t->got, s->seq, to))
		t->twice[t->twice_at++ % SL_ARRAY_CNT(t->twice)] =
			(struct wire_block){s->seq, to + (s->flags & WIRE_FIN ? 1 : 0)};
	uint32_t now = in_order(t);
	if (now != before && !t->owed_ns)
		t->owed_ns = t->w->now_ns;
	if (wire_diff(s->seq, now) > 0) {
		t->newest = s->seq;
		t->newest_set = true;
	}
}

static void
hears(struct tcp_trace *t, const struct wire_seg *s)
{
	if (s->flags & WIRE_RST) {
		t->rst_in = true;
		return;
	}
	if (s->flags & WIRE_SYN) {
		gets_syn(t, s);
		return;
	}
	if (!t->open || !(s->flags & WIRE_ACK))
		return;
	bool paws = t->ts && (!s->has_ts || wire_diff(s->ts_val, t->ts_recent) < 0);
	if (paws && !t->conf.old_acks)
		return;
	if (!paws)
		t->wnd_max = SL_MAX(t->wnd_max, (uint32_t)s->wnd << t->shift_in);
	if (paws || wire_diff(s->ack, t->una - t->wnd_max) < 0) {
		/* Too old (RFC 5961, 5.2, or perhaps PAWS): it may be refused, with its text. */
		hears_data(t, s);
		t->newest_set = false;
		note_maybe(t, s->ts_val);
		return;
	}
	/* Whether it ends in the window is for the stack to say; what it may have taken counts. */
	if (t->ts && wire_diff(s->seq, t->acked) <= 0) {
		if (in_window(t, s))
			t->ts_recent = s->ts_val;
		else if (s->seq == t->acked || s->flags & WIRE_FIN)
			note_maybe(t, s->ts_val); /* a probe of a closed window, a FIN again */
	}
	hears_ack(t, s);
	if (s->len || s->flags & WIRE_FIN)
		hears_data(t, s);
	if (s->flags & WIRE_FIN && wire_diff(s->seq + s->len, t->adv) <= 0) {
		if (!t->fin_in)
			t->fin_in_first = !t->fin_out || t->una != t->nxt;
		t->fin_in = true;
		set_add(&t->got, s->seq + s->len, s->seq + s->len + 1);
	}
}

/* ---- all ---- */

static void
sends(struct tcp_trace *t, const struct wire_seg *s)
{
	uint8_t f = s->flags;

	t->segs++;
	if (s->ip_bytes > t->conf.mtu)
		complain(t, "sends a packet of %u bytes, the MTU is %u", s->ip_bytes, t->conf.mtu);
	if (s->may_split)
		complain(t, "sends without DF");
	if (f & WIRE_URG)
		complain(t, "sends URG");
	if (f & WIRE_RST) {
		t->rst_out = true;
		/* When both directions have ended nothing is left of it, unless it waits (and then it must not). */
		bool over = t->fin_out && t->una == t->nxt && t->fin_in &&
			    t->acked == in_order(t) && t->fin_in_first;
		if (!t->conf.may_reset && !over)
			complain(t, "sends RST");
		return;
	}
	if (f & WIRE_SYN) {
		if (f & (WIRE_FIN | WIRE_RST))
			complain(t, "SYN with FIN or RST");
		sends_syn(t, s);
		return;
	}
	if (!t->open)
		return;
	if (!(f & WIRE_ACK)) {
		complain(t, "sends without ACK");
		return;
	}
	if (s->has_mss || s->has_wscale || s->sack_ok)
		complain(t, "options of a SYN in another segment");
	check_ts(t, s);
	sends_ack(t, s);
	if (s->len || f & WIRE_FIN)
		sends_span(t, s);
	else if (s->seq != t->nxt && s->seq != t->nxt - 1 && s->seq != t->una - 1)
		complain(t, "acknowledges with sequence number %d, next is %d",
			 (int)(s->seq - t->iss), (int)(t->nxt - t->iss));
}

void
trace_packet(struct tcp_trace *t, bool out, const uint8_t *ip, unsigned len, bool damaged)
{
	struct wire_seg s;
	const char *bad = wire_read(ip, len, &s);

	if (bad) {
		if (out)
			complain(t, "sends a malformed packet: %s", bad);
		return;
	}
	log_add(t->log, t->w->now_ns, t->who, out, damaged, &s);
	if (out)
		sends(t, &s);
	else
		hears(t, &s);
}

void
trace_pmtu(struct tcp_trace *t, unsigned mtu)
{
	t->pmtu_order = t->order;
	(void)mtu;
}

void
trace_init(struct tcp_trace *t, const struct tcp_world *w, const struct trace_conf *conf, char who,
	   struct trace_log *log)
{
	*t = (struct tcp_trace){.w = w, .conf = *conf, .who = who, .log = log};
}

void
trace_fini(struct tcp_trace *t)
{
	free(t->sent);
	free(t->got.run);
}

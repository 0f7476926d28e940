/* Reassembly against a naive model: an array of bytes and one bit for each that arrived.
 *
 * What is delivered is what lay there first; SACK blocks tell only of what arrived, the newest first; the window's right edge never
 * goes back; the stack agrees with itself after each segment. */
#include "../../suite.h"
#include "tcp_bed.h"

#define SPACE (1u << 20) /* bytes of a run, at most */

struct model {
	struct tcp_bed *b;
	struct sl_stream *s;
	uint32_t base, ack;   /* sequence number of byte 0; what he acknowledges */
	uint8_t bytes[SPACE]; /* as they arrived first */
	uint8_t there[SPACE];
	uint32_t next, read; /* delivered in order, read */
	uint32_t fin;        /* place of the FIN; UINT32_MAX: not decided */
	bool fin_sent, fin_there;
	uint32_t edge; /* right edge of the window as it was told */
	bool reneged;  /* memory is short: what was out of order may be dropped */
	uint64_t seed;
};

static struct model m;

static uint32_t
any(uint32_t below)
{
	m.seed = m.seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((m.seed >> 33) % below);
}

/* What segment k brings at a place: others than any other segment brings, so that overlaps show. */
static uint8_t
byte_of(uint32_t k, uint32_t place)
{
	return (uint8_t)(k * 131 + place * 7 + (place >> 8));
}

static void
begin(uint64_t seed, const struct tcp_bed_conf *conf, uint32_t peer_isn)
{
	const struct sl_tcp_options sack = {.mss = 1460, .sack_ok = true};
	const struct tcp_out *o;

	memset(&m, 0, sizeof(m));
	m.seed = seed * 0x9e3779b97f4a7c15ull + 1;
	m.fin = UINT32_MAX;
	m.b = tcp_bed_create(conf);
	*tcp_bed_user(m.b) = (struct tcp_user){0};
	tcp_bed_in(m.b, &(struct tcp_in){.seq = peer_isn, .flags = SL_TCP_SYN, .o = sack});
	tcp_bed_run(m.b, 0);
	o = tcp_bed_last(m.b);
	m.base = peer_isn + 1;
	m.ack = o->seq + 1;
	m.edge = o->wnd;
	tcp_bed_in(m.b, &(struct tcp_in){.seq = m.base, .ack = m.ack, .flags = SL_TCP_ACK});
	tcp_bed_run(m.b, 0);
	m.s = tcp_bed_user(m.b)->s;
	CU_ASSERT_FATAL(m.s != NULL);
	tcp_bed_clear(m.b);
}

/* ---- the model ---- */

static void
model_take(uint32_t k, uint32_t from, uint32_t len, bool fin)
{
	for (uint32_t i = from; i < from + len && i < SPACE; i++) {
		if (i >= m.edge || m.there[i])
			continue;
		m.there[i] = 1;
		m.bytes[i] = byte_of(k, i);
	}
	if (fin && from + len < m.edge)
		m.fin_there = true;
	while (m.next < SPACE && m.there[m.next])
		m.next++;
}

/* Where memory is short: what lay behind a gap may be gone again.  Every segment brings the same bytes then. */
static void
model_believe(uint32_t from, uint32_t len)
{
	for (uint32_t i = from; i < from + len && i < SPACE; i++) {
		m.there[i] = 1;
		m.bytes[i] = byte_of(0, i);
	}
	m.next = (uint32_t)sl_stream_row(m.s)->bytes_in;
	m.fin_there = sl_stream_row(m.s)->state == SL_STREAM_CLOSE_WAIT;
}

static void
drain(uint32_t most)
{
	uint32_t n = SL_MIN(sl_stream_readable_bytes(m.s), most), done = 0;
	struct sl_span span[16];

	while (done < n) {
		unsigned cnt = sl_stream_peek(m.s, done, span, 16);
		CU_ASSERT_FATAL(cnt > 0);
		for (unsigned i = 0; i < cnt && done < n; i++) {
			uint32_t len = SL_MIN(span[i].len, n - done);
			CU_ASSERT_FATAL(memcmp(span[i].data, m.bytes + m.read + done, len) == 0);
			done += len;
		}
	}
	m.read += n;
	if (n)
		sl_stream_consume(m.s, n);
}

/* ---- what is told ---- */

static bool
arrived(uint32_t from, uint32_t to)
{
	bool fin = m.fin_sent && to == m.fin + 1;

	if (from > to || to > SPACE)
		return false;
	for (uint32_t i = from; i < to - fin; i++)
		if (!m.there[i])
			return false;
	return true;
}

/* `from` to `to` are what the last segment brought anew (nothing: both 0). */
static void
judge(const struct tcp_out *o, uint32_t from, uint32_t to)
{
	uint32_t ack = o->ack - m.base;
	bool dsack = o->o.block_cnt > 0;

	CU_ASSERT(o->csum_ok);
	CU_ASSERT(ack == m.next + (m.fin_there && m.next == m.fin) || (m.reneged && ack <= m.next));
	if (ack <= m.next) {
		CU_ASSERT(ack + o->wnd >= m.edge);
		m.edge = SL_MAX(m.edge, ack + o->wnd);
	}
	for (unsigned i = 0; i < o->o.block_cnt; i++) {
		uint32_t a = o->o.block[i].from - m.base, e = o->o.block[i].to - m.base;
		CU_ASSERT(arrived(a, e) && a < e);
		if (i > 0) /* only the first may tell of a duplicate */
			CU_ASSERT(a > ack);
	}
	if (dsack && !m.reneged && from < to && from > ack) {
		bool first = false;
		for (unsigned i = 0; i < 2 && i < o->o.block_cnt; i++) {
			uint32_t a = o->o.block[i].from - m.base, e = o->o.block[i].to - m.base;
			bool is_dup = i == 0 && o->o.block_cnt > 1 &&
				      o->o.block[1].from - m.base <= a &&
				      e <= o->o.block[1].to - m.base;
			if (!is_dup && a <= from && from < e) {
				first = true;
				break;
			}
		}
		CU_ASSERT(first);
	}
}

/* ---- segments ---- */

static uint64_t
dropped(void)
{
	return tcp_bed_count(m.b, SL_TCP_OOO_LIMIT) + tcp_bed_count(m.b, SL_TCP_MEMORY_LIMIT);
}

static void
put(uint32_t k, uint32_t from, uint32_t len, bool fin)
{
	static uint8_t data[1500];
	uint32_t sent = len;
	bool fin_sent = fin;
	uint32_t end = SL_MIN(SL_MIN(from + len, m.edge), SPACE), gap = SL_MAX(from, m.read);

	for (uint32_t i = 0; i < len; i++)
		data[i] = byte_of(m.reneged ? 0 : k, from + i);
	/* Behind a gap as much is taken as fits before what is there next. */
	while (gap < end && m.there[gap])
		gap++;
	uint32_t gap_end = gap;
	while (gap_end < end && !m.there[gap_end])
		gap_end++;
	if (from > m.next && gap_end < end) {
		len = gap_end - from;
		fin = false;
	}
	tcp_bed_clear(m.b);
	uint64_t lost = dropped();
	tcp_bed_in(m.b, &(struct tcp_in){.seq = m.base + from,
					 .ack = m.ack,
					 .flags = SL_TCP_ACK | (fin_sent ? SL_TCP_FIN : 0),
					 .data = data,
					 .len = sent});
	if (dropped() != lost)
		gap = gap_end = 0;
	else if (!m.reneged)
		model_take(k, from, len, fin);
	m.fin_sent |= fin_sent;
	if (m.reneged)
		model_believe(from, sent);
	tcp_bed_run(m.b, 0);
	for (unsigned i = 0; i < tcp_bed_sent(m.b); i++)
		judge(tcp_bed_out(m.b, i), gap, gap_end);
	tcp_bed_check(m.b);
	CU_ASSERT(sl_stream_readable_bytes(m.s) == m.next - m.read);
}

/* Where the next segment goes: mostly in order or near it, sometimes before, at the edge, or beyond. */
static uint32_t
place(uint32_t len)
{
	uint32_t kind = any(16);

	if (kind < 5)
		return m.next;
	if (kind < 8)
		return m.next + any(4) * 1000;
	if (kind < 11)
		return m.next + any(20000);
	if (kind < 13)
		return m.next > 3000 ? m.next - any(3000) : 0;
	if (kind < 14 && m.edge > len)
		return m.edge - any(len + 1);
	return m.next + any(70000);
}

static uint32_t
length(void)
{
	static const uint32_t lens[] = {1, 2, 7, 100, 255, 256, 500, 1000, 1460};

	return any(3) ? lens[any(SL_ARRAY_CNT(lens))] : 1 + any(1460);
}

/* n segments of one stream; with a FIN at the end, which comes early now and then.  How many bytes were read. */
static uint32_t
run(uint32_t n, bool slow)
{
	for (uint32_t k = 1; k <= n; k++) {
		uint32_t len = length(), from = place(len);
		bool fin = false;

		if (m.fin == UINT32_MAX && k > n / 2)
			m.fin = SL_MIN(m.edge, SPACE - 2000) + any(1000);
		if (from >= m.fin || from > SPACE - 2000)
			from = m.next;
		if (from + len >= m.fin) {
			len = m.fin - from;
			fin = any(2);
		}
		if (len == 0 && !fin)
			continue;
		put(k, from, len, fin);
		if (m.fin_there && m.next == m.fin)
			break;
		if (any(slow ? 12 : 3) == 0)
			drain(any(2) ? UINT32_MAX : any(5000));
		if (any(50) == 0) {
			tcp_bed_clear(m.b);
			tcp_bed_run(m.b, any(60));
			for (unsigned i = 0; i < tcp_bed_sent(m.b); i++)
				judge(tcp_bed_out(m.b, i), 0, 0);
		}
	}
	return m.read;
}

/* All that is missing comes in order, so that everything is delivered. */
static void
finish(void)
{
	for (uint32_t k = 1000000; m.next < m.fin; k++) {
		drain(UINT32_MAX);
		tcp_bed_clear(m.b);
		tcp_bed_run(m.b, 5);
		for (unsigned i = 0; i < tcp_bed_sent(m.b); i++)
			judge(tcp_bed_out(m.b, i), 0, 0);
		uint32_t len = SL_MIN(SL_MIN(m.fin, m.edge) - m.next, 1000u);
		CU_ASSERT_FATAL(len > 0);
		put(k, m.next, len, false);
	}
	if (!m.fin_there || sl_stream_row(m.s)->state == SL_STREAM_ESTABLISHED)
		put(2000000, m.fin, 0, true);
	drain(UINT32_MAX);
	CU_ASSERT(m.read == m.fin && sl_stream_eof(m.s));
	CU_ASSERT(sl_stream_row(m.s)->state == SL_STREAM_CLOSE_WAIT);
	CU_ASSERT(sl_stream_row(m.s)->bytes_in == m.fin);
	CU_ASSERT(sl_stream_row(m.s)->ooo == 0);
}

static void
end(void)
{
	sl_stream_abort(m.s, SL_END_ABORTED);
	tcp_bed_run(m.b, 0);
	tcp_bed_destroy(m.b);
}

static void
random_segments_are_put_together_as_a_model_does(void)
{
	unsigned before = CU_get_number_of_failures();
	uint64_t segments = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint32_t isn = seed % 3 ? (uint32_t)seed * 77777777u : UINT32_MAX - 20000;
		begin(seed,
		      &(struct tcp_bed_conf){.buffers = 512,
					     .seg_cnt = 1024,
					     .block_cnt = 600,
					     .pinned_max = seed % 2 ? 0 : UINT32_MAX},
		      isn);
		run(600, seed % 4 == 0);
		finish();
		segments += tcp_bed_count(m.b, SL_TCP_SEGS_IN);
		end();
		if (CU_get_number_of_failures() != before) {
			fprintf(stderr, "  seed %u\n", (unsigned)seed);
			break;
		}
	}
	CU_ASSERT(segments >= 20000);
}

/* The same where memory is short: what is dropped is dropped whole, counted, and comes again. */
static void
what_is_dropped_for_want_of_memory_comes_again(void)
{
	unsigned before = CU_get_number_of_failures();
	uint64_t drops = 0;

	for (uint64_t seed = 1; seed <= 30; seed++) {
		begin(seed,
		      &(struct tcp_bed_conf){.buffers = 256,
					     .seg_cnt = 64,
					     .block_cnt = 16,
					     .pinned_max = seed % 2 ? 16 : UINT32_MAX},
		      (uint32_t)seed * 77777777u);
		m.reneged = true;
		run(300, false);
		finish();
		drops += dropped();
		end();
		if (CU_get_number_of_failures() != before) {
			fprintf(stderr, "  seed %u\n", (unsigned)seed);
			break;
		}
	}
	CU_ASSERT(drops > 100);
}

/* ---- by hand ---- */

static const struct sl_sack_block *
blocks_after(uint32_t from, uint32_t len, unsigned *ret_cnt)
{
	put(7, from, len, false);
	const struct tcp_out *o = tcp_bed_last(m.b);
	*ret_cnt = o ? o->o.block_cnt : 0;
	return o ? o->o.block : NULL;
}

static void
the_newest_block_comes_first_and_the_oldest_is_forgotten(void)
{
	const struct sl_sack_block *b = NULL;
	unsigned n = 0;

	begin(1, &(struct tcp_bed_conf){0}, 5000);
	for (uint32_t i = 1; i <= 6; i++)
		b = blocks_after(i * 1000, 100, &n);
	CU_ASSERT_FATAL(n == 4);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT(b[i].from - m.base == (6 - i) * 1000 && b[i].to - b[i].from == 100);
	/* grown: it is the newest again */
	b = blocks_after(4100, 50, &n);
	CU_ASSERT_FATAL(n == 4);
	CU_ASSERT(b[0].from - m.base == 4000 && b[0].to - m.base == 4150);
	CU_ASSERT(b[1].from - m.base == 6000 && b[2].from - m.base == 5000);
	/* a gap closed: two become one */
	b = blocks_after(5100, 900, &n);
	CU_ASSERT(b[0].from - m.base == 5000 && b[0].to - m.base == 6100);
	end();
}

static void
a_duplicate_is_told_by_dsack_once(void)
{
	const struct sl_sack_block *b;
	unsigned n;

	begin(1, &(struct tcp_bed_conf){0}, 5000);
	(void)blocks_after(0, 100, &n);
	b = blocks_after(0, 100, &n);
	CU_ASSERT_FATAL(n == 1);
	CU_ASSERT(b[0].from == m.base && b[0].to == m.base + 100);
	/* inside a block: that one follows (RFC 2883, 4) */
	(void)blocks_after(1000, 500, &n);
	b = blocks_after(1100, 100, &n);
	CU_ASSERT_FATAL(n == 2);
	CU_ASSERT(b[0].from - m.base == 1100 && b[0].to - m.base == 1200);
	CU_ASSERT(b[1].from - m.base == 1000 && b[1].to - m.base == 1500);
	b = blocks_after(2000, 100, &n);
	CU_ASSERT_FATAL(n == 2);
	CU_ASSERT(b[0].from - m.base == 2000 && b[1].from - m.base == 1000);
	end();
}

SL_SUITE("recvq", SL_TEST(random_segments_are_put_together_as_a_model_does),
	 SL_TEST(what_is_dropped_for_want_of_memory_comes_again),
	 SL_TEST(the_newest_block_comes_first_and_the_oldest_is_forgotten),
	 SL_TEST(a_duplicate_is_told_by_dsack_once))

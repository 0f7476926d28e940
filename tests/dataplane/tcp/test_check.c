/* The check of everything finds each thing that is damaged, by its sentence. */
#include "../../suite.h"
#include "tcp_bed.h"

static struct tcp_bed *b;
static struct sl_tcp *t;
static struct sl_stream *s, *half;
static struct sl_chunk *taken;
static uint32_t iss;

/* A stack with some of everything: bytes in order, out of order, taken; segments SACKED, sent again, never sent; a stream
 * half open; one in TIME-WAIT. */
static void
begin(void)
{
	static const char text[1460 * 20];
	struct sl_tcp_options o = {.mss = 1460, .sack_ok = true};

	b = tcp_bed_create(&(struct tcp_bed_conf){0});
	t = tcp_bed_stack(b);
	s = tcp_bed_accept(b, &o, &iss);
	sl_stream_shutdown(s);
	tcp_bed_run(b, 0);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 2,
				       .flags = SL_TCP_ACK | SL_TCP_FIN});
	tcp_bed_run(b, 2000);
	CU_ASSERT_EQUAL_FATAL(t->timewait_used, 1);
	tcp_bed_in(b, &(struct tcp_in){.seq = 1, .flags = SL_TCP_SYN, .sport = 40001});
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL_FATAL(t->half_open, 1);
	half = &t->streams[t->streams[0].row.state == SL_STREAM_SYN_RECEIVED ? 0 : 1];
	tcp_bed_in(b, &(struct tcp_in){
			      .seq = TCP_BED_ISN, .flags = SL_TCP_SYN, .o = o, .sport = 40002});
	tcp_bed_run(b, 0);
	iss = tcp_bed_last(b)->seq;
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 1,
				       .flags = SL_TCP_ACK,
				       .sport = 40002});
	tcp_bed_run(b, 0);
	s = tcp_bed_user(b)->s;
	CU_ASSERT_FATAL(s != NULL);
	for (unsigned i = 0; i < 2; i++)
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1 + i * 500,
					       .ack = iss + 1,
					       .flags = SL_TCP_ACK,
					       .data = text,
					       .len = 500,
					       .sport = 40002});
	for (unsigned i = 2; i < 4; i++)
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1 + i * 1000,
					       .ack = iss + 1,
					       .flags = SL_TCP_ACK,
					       .data = text,
					       .len = 100,
					       .sport = 40002});
	sl_stream_write(s, text, sizeof(text));
	tcp_bed_run(b, 10);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1001,
				       .ack = iss + 1,
				       .flags = SL_TCP_ACK,
				       .o = {.block_cnt = 1,
					     .block = {{iss + 1 + 1460 * 3, iss + 1 + 1460 * 7}}},
				       .sport = 40002});
	tcp_bed_run(b, 0);
	CU_ASSERT_FATAL(s->loss.sacked > 0 && s->loss.again > 0 && s->sq_next && s->ooo->cnt == 2);
	taken = sl_stream_take(s, 500);
	CU_ASSERT_FATAL(taken != NULL);
	tcp_bed_run(b, 0);
}

static void
end(void)
{
	sl_chunk_free(t, taken);
	tcp_bed_destroy(b);
}

static void
a_stack_with_some_of_everything_agrees(void)
{
	begin();
	const char *wrong = sl_tcp_check(t);
	CU_ASSERT_PTR_NULL(wrong);
	if (wrong)
		printf("  %s\n", wrong);
	end();
}

enum where { STACK, STREAM, HALF, TIMEWAIT, IN, OUT, OUT_LAST, OOO, OOO_HEAD, SEG_FREE };

/* What is damaged: so much is added to the number there. */
static const struct {
	const char *sentence;
	enum where where;
	size_t off;
	unsigned width;
	int32_t add;
} rows[] = {
#define IN_STACK(f) STACK, offsetof(struct sl_tcp, f), sizeof(((struct sl_tcp *)0)->f)
#define IN_STREAM(f) STREAM, offsetof(struct sl_stream, f), sizeof(((struct sl_stream *)0)->f)
#define IN_HALF(f) HALF, offsetof(struct sl_stream, f), sizeof(((struct sl_stream *)0)->f)
#define IN_TIMEWAIT(f)                                                                             \
	TIMEWAIT, offsetof(struct sl_timewait, f), sizeof(((struct sl_timewait *)0)->f)
#define IN_SEG(w, f) w, offsetof(struct sl_seg, f), sizeof(((struct sl_seg *)0)->f)
#define IN_OOO(f) OOO_HEAD, offsetof(struct sl_ooo, f), sizeof(((struct sl_ooo *)0)->f)
	{"segments used are not those not free", IN_STACK(mem.seg_used), 1},
	{"blocks used are not those not free", IN_STACK(mem.block_used), -1},
	{"packet buffers pinned are not those of segments", IN_STACK(mem.pinned), 1},
	{"segments in use stand nowhere, and no user holds them", IN_STACK(mem.taken), -1},
	{"segments used are not those not free", IN_STACK(mem.seg_free), 64},
	{"a free block stands twice in the list, or is none", IN_STACK(mem.block_free), 64},
	{"half-open streams are not those in SYN-RECEIVED", IN_STACK(half_open), 1},
	{"places used are not those not free", IN_STACK(stream_cnt), 1},
	{"the list of TIME-WAIT has another length or end", IN_STACK(timewait_used), 1},
	{"the list of TIME-WAIT has another length or end", IN_STACK(timewait_last), 1},
	{"an entry of TIME-WAIT is lost", IN_STACK(timewait_free), 1},
	{"the wheel has other timers than streams have", IN_STACK(wheel.cnt), 1},
	{"the wheel passed a timer by", IN_STACK(wheel.now), 1000000},
	{"an entry of TIME-WAIT is not in the table", IN_TIMEWAIT(hash), 1},
	{"the list of TIME-WAIT is broken", IN_TIMEWAIT(prev), 1},
	{"a stream is not in the table", IN_STREAM(hash), 1},
	{"the table has something in a strange chain", IN_STREAM(row.tuple.sport), 1},
	{"a stream that is not TCP", IN_STREAM(row.tuple.proto), 1},
	{"nothing ends a handshake", IN_HALF(due[SL_T_SLOW]), 0},
	{"the wheel comes later than something is due", IN_HALF(timer.due), 5},
	{"the state says that the peer's FIN came", IN_STREAM(row.state), 3},
	{"the state does not say whether our FIN was written", IN_STREAM(row.state), 1},
	{"the state does not say whether our FIN was written", IN_STREAM(flags), SL_F_SHUT},
	{"the state says that the peer's FIN did not come", IN_STREAM(flags), SL_F_FIN_IN},
	{"our FIN was acknowledged, and something is to be sent", IN_STREAM(flags), SL_F_FIN_ACKED},
	{"a dead stream has a state", IN_STREAM(flags), SL_F_DEAD},
	{"nobody holds it any more, and nothing ends it", IN_STREAM(flags), SL_F_LET_GO},
	{"no segment may ever be sent", IN_STREAM(pmtu), -1500},
	{"bytes to be read are not those queued", IN_STREAM(row.rcv_queue), 1},
	{"bytes out of order are not those queued", IN_STREAM(row.ooo), 1},
	{"the receive charge is not that of its segments", IN_STREAM(rcv_charge), 64},
	{"segments out of order overlap, or have been reached", IN_STREAM(rcv_nxt), 1000},
	{"bytes out of order beyond the window", IN_STREAM(rcv_adv), -63000},
	{"the out-of-order queue has another length or tail", IN_OOO(cnt), 1},
	{"a SACK block of what is not out of order", IN_OOO(block[0].from), 100},
	{"too many SACK blocks", IN_OOO(block_cnt), 3},
	{"segments out of order overlap, or have been reached", IN_SEG(OOO, seq), -1001},
	{"an empty segment to be read", IN_SEG(IN, chunk.len), -500},
	{"the send queue has a gap", IN_STREAM(row.snd_una), 1},
	{"what was sent does not end where the next begins", IN_STREAM(row.snd_nxt), 1},
	{"the send queue does not end where writing did", IN_STREAM(row.snd_end), 1},
	{"what was acknowledged, sent and written is out of order", IN_STREAM(row.snd_end), -29200},
	{"the send charge is not that of its segments", IN_STREAM(sq_charge), -1},
	{"bytes LOST are not those of segments", IN_STREAM(loss.lost), 1},
	{"bytes SACKED are not those of segments", IN_STREAM(loss.sacked), 1},
	{"bytes sent again are not those of segments", IN_STREAM(loss.again), 1},
	{"the send queue has a gap", IN_SEG(OUT, chunk.len), -1},
	{"the order of sending has not just what is under way", IN_SEG(OUT, flags), SL_SEG_SACKED},
	{"a segment that was sent has no mark of it", IN_SEG(OUT, flags), -SL_SEG_SENT},
	{"a segment that was never sent has marks", IN_SEG(OUT_LAST, flags), SL_SEG_LOST},
	{"bytes behind the FIN", IN_SEG(OUT, flags), SL_SEG_FIN},
	{"a segment in a block that is none", IN_SEG(OUT, owner), 8},
	{"a segment is larger than what its block gave out", IN_SEG(OUT_LAST, chunk.data), 1},
	{"the order of sending is broken", IN_SEG(OUT, at), 8},
	{"a free segment stands twice in the list, or is none", IN_SEG(SEG_FREE, next), 4},
};

static uint8_t *
place(enum where where)
{
	switch (where) {
	case STACK:
		return (uint8_t *)t;
	case STREAM:
		return (uint8_t *)s;
	case HALF:
		return (uint8_t *)half;
	case TIMEWAIT:
		return (uint8_t *)&t->timewaits[t->timewait_first - 1];
	case IN:
		return (uint8_t *)s->rq_head;
	case OUT:
		return (uint8_t *)s->sq_head;
	case OUT_LAST:
		return (uint8_t *)s->sq_tail;
	case OOO:
		return (uint8_t *)s->ooo->head;
	case OOO_HEAD:
		return (uint8_t *)s->ooo;
	default:
		return (uint8_t *)t->mem.seg_free;
	}
}

/* add 0: the number is made 0. */
static void
damage(uint8_t *at, unsigned width, int32_t add)
{
	uint64_t v = 0;

	memcpy(&v, at, width);
	v = add ? v + (uint64_t)(int64_t)add : 0;
	memcpy(at, &v, width);
}

static void
each_damage_is_found_by_its_sentence(void)
{
	begin();
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint8_t *at = place(rows[i].where) + rows[i].off, kept[8];
		memcpy(kept, at, rows[i].width);
		damage(at, rows[i].width, rows[i].add);
		const char *wrong = sl_tcp_check(t);
		memcpy(at, kept, rows[i].width);
		bool right = wrong && strcmp(wrong, rows[i].sentence) == 0;
		CU_ASSERT_TRUE(right);
		if (!right)
			printf("  row %zu: \"%s\" instead of \"%s\"\n", i,
			       wrong ? wrong : "nothing", rows[i].sentence);
	}
	CU_ASSERT_PTR_NULL(sl_tcp_check(t));
	end();
}

static void
a_segment_in_two_queues_is_found(void)
{
	begin();
	struct sl_seg *tail = s->ooo->tail, *head = s->sq_head;
	tail->next = head;
	CU_ASSERT_PTR_NOT_NULL(sl_tcp_check(t));
	tail->next = NULL;
	s->rq_tail->next = s->rq_head; /* round and round */
	CU_ASSERT_STRING_EQUAL(sl_tcp_check(t), "a segment stands in two queues (receive)");
	s->rq_tail->next = NULL;
	CU_ASSERT_PTR_NULL(sl_tcp_check(t));
	end();
}

SL_SUITE("check", SL_TEST(a_stack_with_some_of_everything_agrees),
	 SL_TEST(each_damage_is_found_by_its_sentence), SL_TEST(a_segment_in_two_queues_is_found))

/* Segments into any state of a stream, and users that do anything; after each step everything in the stack has to agree
 * (sl_tcp_check), and what is sent has to be well-formed (tcp_bed).
 *
 * Input: two bytes of configuration, then steps.  A step is an operation, and what it needs: sequence and acknowledgement
 * numbers are given as distances from what the stack expects, so that deep states are reached by few bytes. */
#include "../dataplane/tcp/tcp_bed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p, *end;
};

static uint8_t
u8(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static uint16_t
u16(struct input *in)
{
	return (uint16_t)(u8(in) | u8(in) << 8);
}

/* Small distances mostly, large ones at times. */
static uint32_t
distance(struct input *in)
{
	int8_t d = (int8_t)u8(in);

	if (d == 127)
		return (uint32_t)u16(in) << 16 | u16(in);
	if (d == 126)
		return u16(in);
	return (uint32_t)d;
}

static struct sl_stream *
nth(struct tcp_bed *b, unsigned n)
{
	struct sl_tcp *t = tcp_bed_stack(b);
	struct sl_stream *s = &t->streams[n % t->conf.capacity];

	return s->row.state != SL_STREAM_FREE ? s : NULL;
}

/* Whether its user still holds it. */
static bool
held(const struct sl_stream *s)
{
	return s && (s->flags & SL_F_OPENED) && !(s->flags & (SL_F_LET_GO | SL_F_DEAD));
}

static void
segment(struct tcp_bed *b, struct input *in, uint8_t how)
{
	static const uint8_t bytes[1400] = {1, 2, 3};
	static uint8_t raw[40];
	struct sl_stream *s = nth(b, how & 3);
	struct tcp_in seg = {.sport = 40000, .dport = 80, .flags = u8(in)};

	if (s) {
		seg.sport = sl_from_be16(s->row.tuple.sport);
		seg.dport = sl_from_be16(s->row.tuple.dport);
		seg.seq = s->rcv_nxt;
		seg.ack = s->row.snd_una;
		if (how & 4)
			seg.ack = s->row.snd_nxt;
		if (s->row.flags & SL_STREAM_TS) {
			seg.o.has_ts = true;
			seg.o.ts_val = s->ts_recent + (how & 8 ? distance(in) : 1);
			seg.o.ts_ecr = tcp_bed_stack(b)->now_ms + s->ts_offset;
		}
	}
	seg.sport = (uint16_t)(seg.sport + (how & 16 ? u8(in) & 3 : 0));
	seg.seq += distance(in);
	seg.ack += distance(in);
	seg.wnd = u16(in);
	seg.data = bytes;
	seg.len = how & 32 ? u16(in) % sizeof(bytes) : 0;
	if (how & 64) {
		seg.o.block_cnt = u8(in) % 5;
		for (unsigned i = 0; i < seg.o.block_cnt; i++) {
			seg.o.block[i].from = (s ? s->row.snd_una : 0) + distance(in);
			seg.o.block[i].to = seg.o.block[i].from + distance(in);
		}
	}
	if (seg.flags & SL_TCP_SYN) {
		seg.o.mss = u16(in);
		seg.o.sack_ok = how & 1;
		seg.o.has_wscale = how & 2;
		seg.o.wscale = u8(in) & 15;
		seg.o.has_ts = how & 8;
	}
	if (how & 128) {
		seg.raw_len = (u8(in) % 11) * 4u;
		for (unsigned i = 0; i < seg.raw_len; i++)
			raw[i] = u8(in);
		seg.raw_options = raw;
	}
	tcp_bed_in(b, &seg);
}

static void
user(struct tcp_bed *b, struct input *in, uint8_t op)
{
	static const uint8_t bytes[70000];
	struct sl_stream *s = nth(b, u8(in) & 3), *to = nth(b, u8(in) & 3);
	struct sl_span spans[4];
	uint32_t n = u16(in);

	if (!held(s))
		return;
	switch (op) {
	case 0:
		sl_stream_write(s, bytes, n);
		break;
	case 1:
		sl_stream_consume(s, SL_MIN(n, sl_stream_readable_bytes(s)));
		break;
	case 2:
		if (held(to))
			sl_stream_forward(s, to, n);
		break;
	case 3:
		sl_stream_reserve(s, n, spans, 4);
		sl_stream_commit(s, 0);
		break;
	case 4:
		sl_stream_shutdown(s);
		break;
	case 5:
		sl_stream_close(s);
		break;
	case 6:
		sl_stream_abort(s, SL_END_ABORTED);
		break;
	case 7:
		sl_stream_wait_room(s, n);
		break;
	case 8:
		sl_stream_set_keepalive(s, n & 15, 1, 2);
		break;
	case 9: {
		struct sl_chunk *c = sl_stream_take(s, n);
		if (c && held(to))
			sl_stream_give(to, c);
		else if (c)
			sl_chunk_free(tcp_bed_stack(b), c);
		break;
	}
	case 10:
		sl_stream_set_nodelay(s, n & 1);
		break;
	case 11:
		sl_tcp_icmp(tcp_bed_stack(b), &s->row.tuple, s->row.snd_una, n & 1, n, n & 2);
		break;
	default:
		sl_stream_set_timer(s, n);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + SL_MIN(size, (size_t)1024)};
	uint8_t shape = u8(&in);
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){
		.capacity = 16,
		.half_open = shape & 1 ? UINT32_MAX : 2,
		.seg_cnt = shape & 2 ? UINT32_MAX : 256,
		.block_cnt = shape & 4 ? UINT32_MAX : 64,
		.pinned_max = shape & 8 ? UINT32_MAX : 32,
		.mtu = shape & 16 ? 1280 : 1500,
		.rcv_max = shape & 32 ? 4096 : 0,
		.seed = 1 + (uint64_t)u8(&in),
		.buffers = 256,
	});

	while (in.p < in.end) {
		uint8_t op = u8(&in);
		if (op < 128)
			segment(b, &in, u8(&in));
		else if (op < 200)
			user(b, &in, op & 15);
		else if (op < 210)
			tcp_bed_connect(b, NULL);
		else if (op < 220)
			tcp_bed_buffers(b, op & 1);
		else
			tcp_bed_run(b, op < 240 ? op - 220u : (op - 239u) * 300u);
		if (op & 1)
			tcp_bed_run(b, 0);
		tcp_bed_check(b);
		tcp_bed_clear(b);
	}
	tcp_bed_buffers(b, true);
	tcp_bed_destroy(b);
	return 0;
}

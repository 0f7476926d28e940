#include "pktgen/trail.h"

#define MAGIC 0x1e57c1a5u
#define STREAM_OFF 4
#define RUN_OFF 5
#define SEQ_OFF 6
#define TIME_OFF 10

void
sl_trail_put(uint8_t *p, const struct sl_trail *t)
{
	sl_store32(p, MAGIC);
	p[STREAM_OFF] = t->stream;
	p[RUN_OFF] = t->run;
	sl_store32(p + SEQ_OFF, t->seq);
	sl_store64(p + TIME_OFF, t->time);
}

void
sl_trail_stamp(uint8_t *frame, const struct sl_trail_spot *spot, uint64_t time)
{
	uint8_t *csum = frame + spot->csum_off;
	uint64_t acc =
		(time & 0xffff) + (time >> 16 & 0xffff) + (time >> 32 & 0xffff) + (time >> 48);

	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	if (spot->odd)
		acc = sl_bswap16((uint16_t)acc);
	acc += (uint16_t)~sl_load16(csum);
	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	uint16_t v = (uint16_t)~acc;

	sl_store64(frame + spot->time_off, time);
	sl_store16(csum, v || !spot->udp ? v : 0xffff);
}

static bool
read_at(const uint8_t *p, struct sl_trail *ret_trail)
{
	if (sl_load32(p) != MAGIC)
		return false;
	*ret_trail = (struct sl_trail){.time = sl_load64(p + TIME_OFF),
				       .seq = sl_load32(p + SEQ_OFF),
				       .stream = p[STREAM_OFF],
				       .run = p[RUN_OFF]};
	return true;
}

/* Length of the frame by its outer IP header, 0 when there is none. */
static unsigned
told_length(const uint8_t *p, unsigned len)
{
	unsigned at = 12;

	while (len >= at + 6 &&
	       (sl_load16(p + at) == sl_to_be16(0x8100) || sl_load16(p + at) == sl_to_be16(0x88a8)))
		at += 4;
	if (len < at + 8)
		return 0;
	if (sl_load16(p + at) == sl_to_be16(0x0800))
		return at + 2 + sl_from_be16(sl_load16(p + at + 4));
	if (sl_load16(p + at) == sl_to_be16(0x86dd))
		return at + 2 + 40 + sl_from_be16(sl_load16(p + at + 6));
	return 0;
}

bool
sl_trail_find(const uint8_t *head, unsigned head_len, const uint8_t *tail, unsigned tail_len,
	      struct sl_trail *ret_trail)
{
	if (tail_len >= SL_TRAIL_BYTES && read_at(tail + tail_len - SL_TRAIL_BYTES, ret_trail))
		return true;
	/* Only a packet of the smallest size can be padded; all of it is in head then. */
	unsigned told = head_len <= 64 + 8 ? told_length(head, head_len) : 0;

	return told >= SL_TRAIL_BYTES && told < head_len &&
	       read_at(head + told - SL_TRAIL_BYTES, ret_trail);
}

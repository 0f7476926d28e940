/* pressure — what is done when memory runs short, so that those who hold much and move nothing pay for it first.
 *
 *   free, of what is scarcest: segments, blocks,
 *   blocks and pinned buffers together             a stream may hold     and besides
 *   1/2 and more                                   its own limits
 *   under 1/2                                      256 KiB
 *   under 1/4                                      32 KiB
 *   under 1/8                                      8 KiB                 who has moved nothing for two seconds is reset,
 *                                                                        and what came out of order is forgotten
 *   under 1/16                                     4 KiB                 … for half a second
 *
 * Bounds are for what comes from now on: room to write, windows to offer, text to keep.  Looked at once a turn. */
#include "dataplane/tcp/tcp_priv.h"

#define LOOK 256 /* places a turn */

/* Free, in 1/256. */
static unsigned
free_share(const struct sl_tcp *t)
{
	const struct sl_tcp_conf *c = &t->conf;
	const struct sl_mem *m = &t->mem;
	uint64_t bytes = (uint64_t)c->block_cnt + c->pinned_max;
	uint64_t used = (uint64_t)m->block_used + SL_MIN(m->pinned, c->pinned_max);
	unsigned by_bytes = (unsigned)((bytes - used) * 256 / bytes);
	/* not all can be pinned: short texts and what is written need blocks */
	unsigned by_blocks =
		(unsigned)((uint64_t)(c->block_cnt - m->block_used) * 256 / c->block_cnt);
	unsigned by_segs = (unsigned)((uint64_t)(c->seg_cnt - m->seg_used) * 256 / c->seg_cnt);

	return SL_MIN(SL_MIN(by_bytes, by_blocks), by_segs);
}

/* Whether bytes wait for the peer, and he has taken none for so long: he keeps his window closed, or does not answer. */
static bool
stalls(const struct sl_tcp *t, const struct sl_stream *s, uint32_t us)
{
	if (s->row.snd_una == s->row.snd_end)
		return false;
	if (s->loss.backoff >= 2)
		return true;
	return s->row.snd_una == s->row.snd_nxt && t->now_us - s->rto_from_us > us;
}

static void
shed(struct sl_tcp *t, uint32_t us, uint32_t least)
{
	for (unsigned i = 0; i < LOOK; i++) {
		struct sl_stream *s = &t->streams[t->shed_next];
		if (++t->shed_next == t->conf.capacity)
			t->shed_next = 0;
		if (s->row.state < SL_STREAM_ESTABLISHED)
			continue;
		sl_recvq_forget(t, s);
		if (s->sq_charge < least || !stalls(t, s, us))
			continue;
		sl_tcp_count(t, SHED);
		sl_output_rst(t, s);
		sl_tcp_end(t, s, SL_END_NO_MEMORY);
	}
}

void
sl_pressure_look(struct sl_tcp *t)
{
	unsigned share = free_share(t);

	if (sl_likely(share >= 128)) {
		t->may_hold = UINT32_MAX;
	} else if (share >= 64) {
		t->may_hold = 256 * 1024;
	} else if (share >= 32) {
		t->may_hold = 32 * 1024;
	} else if (share >= 16) {
		t->may_hold = 8 * 1024;
		shed(t, 2000000, 8 * 1024);
	} else {
		t->may_hold = 4 * 1024;
		shed(t, 500000, 2 * 1024);
	}
}

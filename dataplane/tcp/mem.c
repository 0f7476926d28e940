/* mem — segments, blocks, pinned packet buffers.
 *
 *   block:  head (next, refs, used) · headroom for packet headers · SL_BLOCK_ROOM bytes of payload
 *
 * Free lists, in memory given at init; nothing is allocated per packet. */
#include "dataplane/tcp/tcp_priv.h"

static void
link_segs(struct sl_tcp *t)
{
	struct sl_mem *m = &t->mem;
	uint32_t first = m->seg_linked, end = SL_MIN(first + SL_LINK_EACH, t->conf.seg_cnt);

	for (uint32_t i = end; i-- > first;) {
		m->segs[i].next = m->seg_free;
		m->seg_free = &m->segs[i];
	}
	m->seg_linked = end;
}

static void
link_blocks(struct sl_tcp *t)
{
	struct sl_mem *m = &t->mem;
	uint32_t first = m->block_linked, end = SL_MIN(first + SL_LINK_EACH, t->conf.block_cnt);

	for (uint32_t i = end; i-- > first;) {
		struct sl_block *b = (struct sl_block *)(m->blocks + (size_t)i * SL_BLOCK);
		b->next = m->block_free;
		m->block_free = b;
	}
	m->block_linked = end;
}

void
sl_mem_link(struct sl_tcp *t)
{
	if (!t->mem.seg_free && t->mem.seg_linked < t->conf.seg_cnt)
		link_segs(t);
	if (!t->mem.block_free && t->mem.block_linked < t->conf.block_cnt)
		link_blocks(t);
}

struct sl_seg *
sl_mem_seg(struct sl_tcp *t)
{
	struct sl_seg *seg = t->mem.seg_free;

	if (sl_unlikely(!seg))
		return NULL;
	t->mem.seg_free = seg->next;
	if (sl_unlikely(!t->mem.seg_free))
		sl_mem_link(t);
	t->mem.seg_used++;
	memset(seg, 0, sizeof(*seg));
	return seg;
}

static void
drop_owner(struct sl_tcp *t, struct sl_seg *seg)
{
	switch (seg->kind) {
	case SL_SEG_IO:
		t->conf.env.free(t->conf.env.ctx, seg->owner);
		t->mem.pinned--;
		break;
	case SL_SEG_BLOCK:
		sl_mem_block_put(t, seg->owner);
		break;
	case SL_SEG_EXT:
		sl_ext_put(seg->owner);
		break;
	default:
		break;
	}
}

void
sl_mem_seg_free(struct sl_tcp *t, struct sl_seg *seg)
{
	drop_owner(t, seg);
	seg->kind = SL_SEG_NONE;
	seg->next = t->mem.seg_free;
	t->mem.seg_free = seg;
	t->mem.seg_used--;
}

struct sl_block *
sl_mem_block(struct sl_tcp *t)
{
	struct sl_block *b = t->mem.block_free;

	if (sl_unlikely(!b))
		return NULL;
	t->mem.block_free = b->next;
	if (sl_unlikely(!t->mem.block_free))
		sl_mem_link(t);
	t->mem.block_used++;
	b->refs = 0;
	b->used = 0;
	return b;
}

void
sl_mem_block_put(struct sl_tcp *t, struct sl_block *b)
{
	SL_ASSERT(b->refs > 0);
	if (--b->refs > 0)
		return;
	b->next = t->mem.block_free;
	t->mem.block_free = b;
	t->mem.block_used--;
}

struct sl_seg *
sl_mem_block_seg(struct sl_tcp *t)
{
	struct sl_seg *seg = sl_mem_seg(t);

	if (!seg)
		return NULL;
	struct sl_block *b = sl_mem_block(t);
	if (!b) {
		sl_mem_seg_free(t, seg);
		return NULL;
	}
	b->refs = 1;
	seg->kind = SL_SEG_BLOCK;
	seg->owner = b;
	seg->chunk.data = sl_mem_block_data(b);
	return seg;
}

bool
sl_mem_may_pin(const struct sl_tcp *t)
{
	const struct sl_tcp_env *env = &t->conf.env;

	return env->share && t->mem.pinned < t->conf.pinned_max && env->held(env->ctx) < 128;
}

struct sl_seg *
sl_mem_split(struct sl_tcp *t, struct sl_seg *seg, uint32_t n)
{
	struct sl_seg *rest = sl_mem_seg(t);

	if (!rest)
		return NULL;
	SL_ASSERT(n > 0 && n < seg->chunk.len);
	rest->chunk.data = seg->chunk.data + n;
	rest->chunk.len = seg->chunk.len - n;
	rest->kind = seg->kind;
	rest->owner = seg->owner;
	rest->flags = seg->flags & (uint8_t)~SL_SEG_SUM;
	rest->seq = seg->seq + n;
	rest->sent_us = seg->sent_us;
	rest->next = seg->next;
	seg->next = rest;
	seg->chunk.len = n;
	seg->flags &= (uint8_t) ~(SL_SEG_SUM | SL_SEG_FIN | SL_SEG_PSH);
	if (seg->kind == SL_SEG_IO) {
		t->conf.env.share(t->conf.env.ctx, seg->owner);
		t->mem.pinned++;
	} else if (seg->kind == SL_SEG_BLOCK) {
		((struct sl_block *)seg->owner)->refs++;
	} else if (seg->kind == SL_SEG_EXT) {
		((struct sl_ext *)seg->owner)->refs++;
	}
	return rest;
}

void
sl_mem_seg_rehouse(struct sl_tcp *t, struct sl_seg *seg, struct sl_block *b)
{
	struct sl_seg was = *seg;

	b->refs = 1;
	seg->kind = SL_SEG_BLOCK;
	seg->owner = b;
	seg->chunk.data = sl_mem_block_data(b);
	seg->flags &= (uint8_t)~SL_SEG_SUM;
	drop_owner(t, &was);
}

void
sl_ext_put(struct sl_ext *e)
{
	if (--e->refs == 0)
		e->release(e);
}

/* An offer is open until its verdict, another offer, or the link's end.
 *
 *   OFFER, root ──▶ WANT … last WANT ──▶ VERDICT, REASONs before it
 *
 * What WANT asks for is a list of refs with a cursor, turned into memfds one by one as the socket takes them, at most
 * OBJECTS_PER_TURN a loop turn. */
#include "mgmt/publish_priv.h"

#include "mgmt/memfd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define OBJECTS_PER_TURN 64

void
sl_publish_drop_offer(struct sl_publish *p)
{
	for (unsigned i = 0; i < p->offer.reason_cnt; i++)
		free(p->offer.reason[i]);
	free(p->offer.want);
	p->offer.want = NULL;
	p->offer.reason_cnt = 0;
	p->offer.generation = 0;
	p->offer.compiled = NULL;
	p->offer.want_cnt = p->offer.want_at = 0;
	p->offer.want_closed = false;
	p->offer.objects_sent = 0;
	p->offer.bytes_sent = 0;
}

static int
send_object(struct sl_publish *p, uint32_t ref)
{
	const struct sl_compiled_object *obj = &p->offer.compiled->objs[ref];
	struct sl_ctl_object m = {.generation = p->offer.generation, .ref = ref};
	int fd = sl_memfd_sealed("sluice-object", obj->bytes, obj->size);

	if (fd < 0)
		return fd;
	sl_ctl_init(&m.head, SL_CTL_OBJECT, sizeof(m), ++p->seq);
	int ret = sl_publish_send(p, &m, sizeof(m), fd);
	close(fd);
	if (ret > 0) {
		p->offer.objects_sent++;
		p->offer.bytes_sent += obj->size;
	}
	return ret;
}

int
sl_publish_send_objects(struct sl_publish *p)
{
	int ret = 1;

	for (unsigned n = 0;
	     ret > 0 && n < OBJECTS_PER_TURN && p->offer.want_at < p->offer.want_cnt; n++) {
		ret = send_object(p, p->offer.want[p->offer.want_at]);
		p->offer.want_at += ret > 0;
	}
	return ret;
}

bool
sl_publish_more_objects(const struct sl_publish *p)
{
	return p->offer.want_at < p->offer.want_cnt;
}

const char *
sl_publish_take_want(struct sl_publish *p, const struct sl_ctl_want *m)
{
	if (p->offer.generation == 0 || m->generation != p->offer.generation)
		return NULL; /* of an offer that is not open any more */
	if (p->offer.want_closed)
		return "WANT after the last WANT";
	uint32_t *more = realloc(p->offer.want, (p->offer.want_cnt + m->cnt + 1) * sizeof(*more));
	if (!more)
		return "out of memory here";
	p->offer.want = more;
	for (uint32_t i = 0; i < m->cnt; i++) {
		if (m->ref[i] >= p->offer.compiled->cnt ||
		    p->offer.want_cnt >= p->offer.compiled->cnt)
			return "WANT for an object that was not offered";
		p->offer.want[p->offer.want_cnt++] = m->ref[i];
	}
	p->offer.want_closed = m->last;
	sl_publish_update_poll(p);
	return NULL;
}

bool
sl_publish_keep_reason(struct sl_publish *p, uint64_t generation, char *text)
{
	if (generation != p->offer.generation || p->offer.reason_cnt >= SL_PUBLISH_REASONS)
		return false;
	p->offer.reason[p->offer.reason_cnt++] = text;
	return true;
}

const char *
sl_publish_take_verdict(struct sl_publish *p, const struct sl_ctl_verdict *m)
{
	if (p->offer.generation == 0 || m->generation != p->offer.generation)
		return NULL;
	if (m->outcome < SL_CTL_ACTIVE || m->outcome > SL_CTL_TRIED)
		return "a verdict of an unknown kind";
	if (m->outcome != SL_CTL_REFUSED && p->offer.tried != (m->outcome == SL_CTL_TRIED))
		return "a verdict of another kind than what was offered";
	if (m->outcome == SL_CTL_SUPERSEDED)
		return "a verdict that another offer replaced the last one";
	struct sl_publish_verdict v = {
		.generation = m->generation,
		.outcome = (enum sl_ctl_outcome)m->outcome,
		.check_ns = m->check_ns,
		.build_ns = m->build_ns,
		.swap_ns = m->swap_ns,
		.reasons = (const char *const *)p->offer.reason,
		.reason_cnt = p->offer.reason_cnt,
		.objects_sent = p->offer.objects_sent,
		.bytes_sent = p->offer.bytes_sent,
	};
	/* The callback may offer again: the reasons are taken out of its way. */
	char *reason[SL_PUBLISH_REASONS];
	unsigned cnt = p->offer.reason_cnt;
	memcpy(reason, p->offer.reason, cnt * sizeof(reason[0]));
	v.reasons = (const char *const *)reason;
	p->offer.reason_cnt = 0;
	if (v.outcome == SL_CTL_ACTIVE) {
		p->link.generation = m->generation;
		p->link.root = p->offer.compiled->root.id;
	}
	sl_publish_drop_offer(p);
	p->ev.verdict(p->ev.ctx, &v);
	for (unsigned i = 0; i < cnt; i++)
		free(reason[i]);
	return NULL;
}

static int
offer(struct sl_publish *p, uint64_t generation, const struct sl_compiled *c, uint32_t sample_ppm)
{
	struct sl_ctl_offer m = {
		.generation = generation, .root = c->root.id, .sample_ppm = sample_ppm};

	if (p->phase != SL_PUBLISH_UP)
		return -ENOTCONN;
	sl_publish_drop_offer(p);
	int fd = sl_memfd_sealed("sluice-root", c->root.bytes, c->root.size);
	if (fd < 0)
		return fd;
	p->offer.generation = generation;
	p->offer.tried = sample_ppm != 0;
	p->offer.compiled = c;
	p->offer.bytes_sent = c->root.size;
	sl_ctl_init(&m.head, SL_CTL_OFFER, sizeof(m), ++p->seq);
	int err = sl_publish_queue(p, &m, sizeof(m), fd);
	if (err)
		sl_publish_drop_offer(p); /* c is not ours to keep */
	return err;
}

int
sl_publish_offer(struct sl_publish *p, uint64_t generation, const struct sl_compiled *c)
{
	return offer(p, generation, c, 0);
}

int
sl_publish_try(struct sl_publish *p, uint64_t generation, const struct sl_compiled *c,
	       uint32_t sample_ppm)
{
	return offer(p, generation, c, sample_ppm);
}

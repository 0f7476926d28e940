/* What goes out: small messages in a queue, in order; behind them, while it is empty, the objects of the open offer. */
#include "mgmt/publish_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct sl_publish_out { /* one queued message */
	struct sl_publish_out *next;
	int fd;     /* -1: none; closed after sending */
	bool later; /* a SECRET whose descriptor is asked for when its turn comes */
	size_t bytes;
	_Alignas(8) uint8_t msg[];
};

void
sl_publish_drop_queue(struct sl_publish *p)
{
	while (p->queue.head) {
		struct sl_publish_out *o = p->queue.head;
		p->queue.head = o->next;
		if (o->fd >= 0)
			close(o->fd);
		free(o);
	}
	p->queue.tail = &p->queue.head;
}

int
sl_publish_send(struct sl_publish *p, const void *msg, size_t bytes, int fd)
{
	int err = sl_ctl_send(p->sock, msg, bytes, &fd, fd >= 0);
	if (err == -EAGAIN || err == -ETOOMANYREFS)
		return 0;
	return err ? err : 1;
}

uint32_t
sl_publish_next_seq(struct sl_publish *p)
{
	return ++p->seq ? p->seq : ++p->seq;
}

int
sl_publish_queue_later(struct sl_publish *p, const void *msg, size_t bytes, int fd, bool later)
{
	struct sl_publish_out *o = calloc(1, sizeof(*o) + bytes);
	if (!o) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	memcpy(o->msg, msg, bytes);
	o->bytes = bytes;
	o->fd = fd;
	o->later = later;
	*p->queue.tail = o;
	p->queue.tail = &o->next;
	sl_publish_update_poll(p);
	return 0;
}

int
sl_publish_queue(struct sl_publish *p, const void *msg, size_t bytes, int fd)
{
	return sl_publish_queue_later(p, msg, bytes, fd, false);
}

bool
sl_publish_more(const struct sl_publish *p)
{
	return p->queue.head || sl_publish_more_objects(p);
}

static int
flush_queue(struct sl_publish *p)
{
	while (p->queue.head) {
		struct sl_publish_out *o = p->queue.head;
		bool send = !o->later || sl_publish_fetch_secret(p, (void *)o->msg, &o->fd);
		int ret = send ? sl_publish_send(p, o->msg, o->bytes, o->fd) : 1;
		if (ret <= 0)
			return ret;
		p->queue.head = o->next;
		if (!p->queue.head)
			p->queue.tail = &p->queue.head;
		if (o->fd >= 0)
			close(o->fd);
		free(o);
	}
	return 1;
}

int
sl_publish_flush(struct sl_publish *p)
{
	int ret = flush_queue(p);
	if (ret > 0)
		ret = sl_publish_send_objects(p);
	return ret < 0 ? ret : 0;
}

/* What the dataplane passes as memory of its own, and how long it is held here:
 *
 *   state, statistics  mapped from WELCOME until down() has returned
 *   streams            open while the link is up
 *   flows              open across connections, until another region comes, or it is dropped for what died of it
 *   events             handed on, not held */
#include "mgmt/publish_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluice/stats.h"

static void say(struct sl_publish *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct sl_publish *p, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	p->ev.say(p->ev.ctx, line);
}

void
sl_publish_unmap(struct sl_publish *p)
{
	if (p->link.state)
		munmap(p->link.state, sizeof(struct sl_state_seg) +
					      SL_MAX_ENDPOINTS * sizeof(struct sl_state_word2));
	if (p->link.stats)
		munmap((void *)(uintptr_t)p->link.stats, p->link.stats_bytes);
	p->link = (struct sl_publish_link){0};
}

const char *
sl_publish_map(struct sl_publish_link *l, const struct sl_ctl_welcome *w, const int fds[2])
{
	size_t state_bytes =
		sizeof(struct sl_state_seg) + SL_MAX_ENDPOINTS * sizeof(struct sl_state_word2);
	struct sl_stats_head h; /* a copy: what was checked cannot change any more */
	struct stat st[2];

	for (int i = 0; i < 2; i++) {
		int seals = fcntl(fds[i], F_GET_SEALS); /* -1: no memfd, and all bits set */
		if (fstat(fds[i], &st[i]) || seals < 0 || !(seals & F_SEAL_SHRINK))
			return "a segment that is not sealed against shrinking";
	}
	if ((uint64_t)st[0].st_size < state_bytes || (uint64_t)st[1].st_size != w->stats_bytes)
		return "a segment of the wrong size";
	void *m = mmap(NULL, state_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (m == MAP_FAILED)
		return "a state segment that cannot be mapped";
	l->state = m;
	m = mmap(NULL, w->stats_bytes, PROT_READ, MAP_SHARED, fds[1], 0);
	if (m == MAP_FAILED)
		return "a statistics segment that cannot be mapped";
	l->stats = m;
	l->stats_bytes = w->stats_bytes;
	if (l->state->magic != SL_STATE_MAGIC || l->state->version != SL_STATE_VERSION ||
	    l->state->slot_cnt != SL_MAX_ENDPOINTS || l->state->share_cnt != SL_STATE_SHARES)
		return "a state segment of another version";
	if (l->stats_bytes < sizeof(h))
		return "a segment of the wrong size";
	memcpy(&h, l->stats, sizeof(h));
	if (sl_stats_check(&h, l->stats_bytes) || h.worker_cnt != w->worker_cnt ||
	    h.port_cnt != w->port_cnt)
		return "a statistics segment of another version";
	for (unsigned i = 0; i < h.port_cnt; i++) /* they go into answers, metrics and the log */
		if (!sl_name_ok(h.port_name[i]))
			return "a port whose name is not a name padded with 0";
	memcpy(l->port_name, h.port_name, sizeof(l->port_name));
	return NULL;
}

void
sl_publish_end_streams(struct sl_publish *p)
{
	if (p->streams.fd >= 0)
		close(p->streams.fd);
	p->streams.fd = -1;
	p->streams.bytes = 0;
	p->events = false;
}

void
sl_publish_drop_flows(struct sl_publish *p)
{
	if (p->flows.fd >= 0)
		close(p->flows.fd);
	p->flows.fd = -1;
	p->flows.bytes = p->flows.id = 0;
}

const char *
sl_publish_take_keep(struct sl_publish *p, const struct sl_ctl_keep *m, int *fd)
{
	int seals = fcntl(*fd, F_GET_SEALS);
	struct stat st;

	if (fstat(*fd, &st) || seals < 0 || !(seals & F_SEAL_SHRINK))
		return "a flow region that is not sealed against shrinking";
	if (st.st_size < 0 || (uint64_t)st.st_size != m->bytes)
		return "a flow region of the wrong size";
	sl_publish_drop_flows(p);
	p->flows.fd = *fd;
	p->flows.bytes = m->bytes;
	p->flows.id = m->region;
	p->flows.boot_id = p->link.boot_id;
	*fd = -1;
	return NULL;
}

/* What is in it is looked at when somebody asks (stream_query.h). */
const char *
sl_publish_take_streams(struct sl_publish *p, const struct sl_ctl_streams *m, int *fd)
{
	int seals = fcntl(*fd, F_GET_SEALS);
	struct stat st;

	if (p->streams.fd >= 0)
		return "a second region of streams";
	if (fstat(*fd, &st) || seals < 0 || !(seals & F_SEAL_SHRINK))
		return "a region of streams that is not sealed against shrinking";
	if (st.st_size < 0 || (uint64_t)st.st_size != m->bytes)
		return "a region of streams of the wrong size";
	p->streams.fd = *fd;
	p->streams.bytes = m->bytes;
	*fd = -1;
	return NULL;
}

const char *
sl_publish_take_events(struct sl_publish *p, const struct sl_ctl_events *m, int fd)
{
	if (p->events)
		return "a second region of events";
	p->events = true;
	return p->ev.events ? p->ev.events(p->ev.ctx, fd, m->bytes) : NULL;
}

void
sl_publish_park(struct sl_publish *p)
{
	struct sl_ctl_parked m = {.bytes = p->flows.bytes, .region = p->flows.id};

	if (p->flows.fd < 0 || p->flows.boot_id == p->link.boot_id)
		return;
	if (p->flows.parks >= SL_PUBLISH_PARKS) {
		say(p,
		    "flows: the region %016" PRIx64
		    " was given to %u dataplanes and none lived %d s "
		    "with it: it is dropped, and flows start empty",
		    p->flows.id, p->flows.parks, SL_PUBLISH_LIVED_MS / 1000);
		p->flows.parks = 0;
		sl_publish_drop_flows(p);
		return;
	}
	int fd = fcntl(p->flows.fd, F_DUPFD_CLOEXEC, 0);
	sl_ctl_init(&m.head, SL_CTL_PARKED, sizeof(m), ++p->seq);
	if (fd < 0 || sl_publish_queue(p, &m, sizeof(m), fd)) {
		say(p, "flows: out of memory or descriptors: they start empty");
		return;
	}
	p->flows.parks++;
	p->flows.lived_at = uv_now(p->loop) + SL_PUBLISH_LIVED_MS;
}

void
sl_publish_flows_lived(struct sl_publish *p, uint64_t now)
{
	if (p->flows.parks > 0 && now >= p->flows.lived_at)
		p->flows.parks = 0;
}

void
sl_publish_take_taken(struct sl_publish *p, const struct sl_ctl_taken *m)
{
	char text[SL_CTL_TEXT_MAX + 1];
	struct sl_publish_taken t = {
		.how = (enum sl_ctl_taken_how)m->how,
		.kept = m->kept,
		.expired = m->expired,
		.lost = m->lost,
		.text = text,
	};

	snprintf(text, sizeof(text), "%.*s", (int)m->text_len, (const char *)(m + 1));
	p->ev.taken(p->ev.ctx, &t);
}

bool
sl_publish_flows(const struct sl_publish *p, int *ret_fd, uint64_t *ret_bytes)
{
	if (p->flows.fd < 0)
		return false;
	*ret_fd = p->flows.fd;
	*ret_bytes = p->flows.bytes;
	return true;
}

bool
sl_publish_streams(const struct sl_publish *p, int *ret_fd, uint64_t *ret_bytes)
{
	if (p->streams.fd < 0)
		return false;
	*ret_fd = p->streams.fd;
	*ret_bytes = p->streams.bytes;
	return true;
}

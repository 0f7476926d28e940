#include "tests/mgmt/double.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

static void
close_poll(uv_poll_t **p, int *fd)
{
	if (*p) {
		uv_poll_stop(*p);
		uv_close((uv_handle_t *)*p, on_freed);
	}
	*p = NULL;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
double_send(struct double_dp *d, const void *msg, size_t bytes)
{
	if (sl_ctl_send(d->peer_fd, msg, bytes, NULL, 0))
		d->bad++;
}

static void
send_text(struct double_dp *d, enum sl_ctl_type type, uint64_t generation, uint32_t seq,
	  const char *text)
{
	_Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];
	struct sl_ctl_reason *r = (void *)buf;
	struct sl_ctl_bye *b = (void *)buf;
	size_t fixed = type == SL_CTL_BYE ? sizeof(*b) : sizeof(*r), len = strlen(text);

	memset(buf, 0, fixed);
	sl_ctl_init(&r->head, type, fixed + len, seq);
	if (type == SL_CTL_BYE) {
		b->text_len = (uint32_t)len;
	} else {
		r->generation = generation;
		r->text_len = (uint32_t)len;
	}
	memcpy(buf + fixed, text, len);
	double_send(d, buf, fixed + len);
}

/* Where it is, or would be. */
static unsigned
place_of(const struct double_dp *d, const struct sl_obj_id *id)
{
	static const struct sl_obj_id none;
	unsigned i;

	memcpy(&i, id->b, sizeof(i));
	for (i %= DOUBLE_OBJECTS; memcmp(&d->held[i], &none, sizeof(none)) != 0 &&
				  memcmp(&d->held[i], id, sizeof(*id)) != 0;)
		i = (i + 1) % DOUBLE_OBJECTS;
	return i;
}

static bool
holds(const struct double_dp *d, const struct sl_obj_id *id)
{
	return memcmp(&d->held[place_of(d, id)], id, sizeof(*id)) == 0;
}

static void
hold(struct double_dp *d, const struct sl_obj_id *id)
{
	if (4 * d->held_cnt > 3 * DOUBLE_OBJECTS) {
		struct sl_obj_id keep[DOUBLE_REFS];
		unsigned cnt = 0;
		for (unsigned i = 0; i < d->ref_cnt; i++)
			if (holds(d, &d->refs[i].id))
				keep[cnt++] = d->refs[i].id;
		memset(d->held, 0, sizeof(d->held));
		d->held_cnt = 0;
		for (unsigned i = 0; i < cnt; i++)
			hold(d, &keep[i]);
	}
	struct sl_obj_id *to = &d->held[place_of(d, id)];
	d->held_cnt += memcmp(to, id, sizeof(*id)) != 0;
	*to = *id;
}

/* Reads an object and its SHA-256; -1 when it is not as it must be. */
static long
read_object(struct double_dp *d, int fd, void *buf, size_t size, struct sl_obj_id *ret_id)
{
	int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	if (fstat(fd, &st) || (fcntl(fd, F_GET_SEALS) & all) != all) {
		d->bad++;
		return -1;
	}
	void *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (m == MAP_FAILED) {
		d->bad++;
		return -1;
	}
	EVP_Digest(m, (size_t)st.st_size, ret_id->b, NULL, EVP_sha256(), NULL);
	memcpy(buf, m, SL_MIN(size, (size_t)st.st_size));
	munmap(m, (size_t)st.st_size);
	return st.st_size;
}

static void
verdict(struct double_dp *d)
{
	struct sl_ctl_verdict v = {
		.generation = d->offered,
		.outcome = d->refuse      ? SL_CTL_REFUSED
			   : d->supersede ? SL_CTL_SUPERSEDED
					  : SL_CTL_ACTIVE,
		.live = 1,
		.check_ns = 1000000,
		.build_ns = 2000000,
		.swap_ns = 3000,
	};
	const char *text = d->refuse;
	bool refuse = text != NULL;

	if (d->silent)
		return;
	if (refuse && d->refuse_cnt && --d->refuse_cnt == 0)
		d->refuse = NULL;
	if (refuse)
		send_text(d, SL_CTL_REASON, d->offered, 0, text);
	sl_ctl_init(&v.head, SL_CTL_VERDICT, sizeof(v), 0);
	if (!refuse && !d->supersede) {
		d->generation = d->offered;
		d->root = d->offered_root;
	}
	double_send(d, &v, sizeof(v));
	d->offered = 0;
}

static void
take_offer(struct double_dp *d, const struct sl_ctl_offer *m, int fd)
{
	_Alignas(8)
		uint8_t buf[sizeof(struct sl_img_root) + DOUBLE_REFS * sizeof(struct sl_img_ref)];
	_Alignas(8) uint8_t out[sizeof(struct sl_ctl_want) + DOUBLE_REFS * sizeof(uint32_t)];
	const struct sl_img_root *root = (const void *)buf;
	struct sl_ctl_want *w = (void *)out;
	struct sl_obj_id id;

	d->offers++;
	d->secrets_at_offer = d->secrets;
	d->drained_at_offer = 0;
	for (uint32_t i = 0; i < SL_MAX_ENDPOINTS; i++)
		d->drained_at_offer += sl_state_flags(d->state->slot[i].admin) == SL_ST_DRAIN;
	d->offered = m->generation;
	d->offered_root = m->root;
	d->missing = d->ref_cnt = 0;
	bool same = memcmp(&m->root, &d->root, sizeof(d->root)) == 0;
	if (read_object(d, fd, buf, sizeof(buf), &id) < 0 || memcmp(&id, &m->root, sizeof(id)) ||
	    (!same && m->generation <= d->generation) || root->ref_cnt > DOUBLE_REFS)
		d->bad++;
	else
		d->ref_cnt = root->ref_cnt;
	memcpy(d->refs, buf + root->ref_off, d->ref_cnt * sizeof(d->refs[0]));
	memset(w, 0, sizeof(*w));
	for (uint32_t i = 0; i < d->ref_cnt; i++)
		if (!holds(d, &d->refs[i].id))
			w->ref[w->cnt++] = i;
	if (d->wrong_ref) {
		w->ref[0] = d->wrong_ref;
		w->cnt = 1;
	}
	d->missing = w->cnt;
	w->generation = m->generation;
	w->last = 1;
	size_t bytes = sizeof(*w) + w->cnt * sizeof(uint32_t);
	sl_ctl_init(&w->head, SL_CTL_WANT, bytes, 0);
	double_send(d, w, bytes);
	if (d->missing == 0)
		verdict(d);
}

static void
take_object(struct double_dp *d, const struct sl_ctl_object *m, int fd)
{
	struct sl_obj_id id;
	uint8_t head[16];

	d->objects++;
	long size = read_object(d, fd, head, sizeof(head), &id);
	if (m->generation != d->offered || m->ref >= d->ref_cnt ||
	    memcmp(&id, &d->refs[m->ref].id, sizeof(id)) || size != d->refs[m->ref].size)
		d->bad++;
	else
		hold(d, &id);
	if (--d->missing == 0)
		verdict(d);
}

static void
welcome(struct double_dp *d)
{
	struct sl_ctl_welcome w = {
		.image_version = SL_IMAGE_VERSION,
		.pid = (uint32_t)getpid(),
		.boot_id = d->boot_id,
		.generation = d->generation,
		.root = d->root,
		.worker_cnt = 1,
		.port_cnt = 2,
		.state_bytes = d->state_bytes,
		.stats_bytes = d->stats_bytes,
		.flows = d->region_fd >= 0,
	};
	int fds[2] = {d->state_fd, d->stats_fd};

	d->hellos++;
	if (d->mute)
		return;
	if (d->bye) {
		send_text(d, SL_CTL_BYE, 0, 0, d->bye);
		close_poll(&d->peer, &d->peer_fd);
		return;
	}
	sl_ctl_init(&w.head, SL_CTL_WELCOME, sizeof(w), 0);
	if (sl_ctl_send(d->peer_fd, &w, sizeof(w), fds, 2))
		d->bad++;
}

void
double_keep(struct double_dp *d, uint64_t region, uint8_t fill)
{
	struct sl_ctl_keep m = {.bytes = 4096, .region = region};
	uint8_t page[4096];

	if (d->region_fd >= 0)
		close(d->region_fd);
	memset(page, fill, sizeof(page));
	d->region = region;
	d->region_fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->region_fd < 0 || write(d->region_fd, page, sizeof(page)) != sizeof(page) ||
	    fcntl(d->region_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		abort();
	sl_ctl_init(&m.head, SL_CTL_KEEP, sizeof(m), 0);
	if (sl_ctl_send(d->peer_fd, &m, sizeof(m), &d->region_fd, 1))
		d->bad++;
}

static void
take_parked(struct double_dp *d, const struct sl_ctl_parked *m, int fd)
{
	_Alignas(8) uint8_t buf[sizeof(struct sl_ctl_taken) + SL_CTL_TEXT_MAX];
	struct sl_ctl_taken *t = (void *)buf;

	d->parks++;
	d->offers_at_park = d->offers;
	d->parked = *m;
	if (pread(fd, &d->parked_first, 1, 0) != 1)
		d->bad++;
	if (!d->taken)
		return;
	*t = (struct sl_ctl_taken){.how = SL_CTL_TAKEN_PLACE, .kept = 5, .expired = 6, .lost = 7};
	t->text_len = (uint32_t)strlen(d->taken);
	memcpy(t + 1, d->taken, t->text_len);
	sl_ctl_init(&t->head, SL_CTL_TAKEN, sizeof(*t) + t->text_len, 0);
	double_send(d, t, t->head.size);
}

static void
take_upgrade(struct double_dp *d, uint32_t seq)
{
	_Alignas(8) uint8_t buf[sizeof(struct sl_ctl_upgraded) + 16];
	struct sl_ctl_upgraded *u = (void *)buf;

	d->upgrades++;
	if (d->upgraded < 0)
		return;
	*u = (struct sl_ctl_upgraded){.error = (uint32_t)d->upgraded, .text_len = 4};
	memcpy(u + 1, "text", 4);
	sl_ctl_init(&u->head, SL_CTL_UPGRADED, sizeof(*u) + 4, seq);
	double_send(d, u, u->head.size);
}

static void
send_port(struct double_dp *d, uint32_t seq, uint32_t port, uint32_t first, uint32_t last,
	  uint32_t xstats)
{
	_Alignas(8) uint8_t room[SL_CTL_MSG_MAX] = {0};
	struct sl_ctl_port *m = (void *)room;

	m->port = port + d->port_past;
	m->first = first;
	m->last = last;
	m->link = SL_LINK_UP;
	m->numa = -1;
	m->missed = 5;
	m->link_changes = 3;
	m->can = SL_NIC_RX_RSS_HASH | SL_NIC_TX_TSO;
	m->xstat_cnt = xstats;
	snprintf(m->name, sizeof(m->name), "%s", port ? "back" : "front");
	snprintf(m->driver, sizeof(m->driver), "net_double");
	for (uint32_t i = 0; i < xstats; i++) {
		snprintf(m->xstat[i].name, sizeof(m->xstat[i].name), "x%u_%u", first, i);
		m->xstat[i].value = i;
	}
	sl_ctl_init(&m->head, SL_CTL_PORT, sizeof(*m) + xstats * sizeof(m->xstat[0]), seq);
	double_send(d, m, m->head.size);
}

/* Both ports, or one in two messages. */
static void
take_ports(struct double_dp *d, const struct sl_ctl_ports *m)
{
	if (d->ports_silent)
		return;
	if (m->port != UINT32_MAX) {
		send_port(d, m->head.seq, m->port, 1, 0, SL_CTL_XSTATS);
		send_port(d, m->head.seq, m->port, 0, 1, 4);
		return;
	}
	send_port(d, m->head.seq, 0, 1, 0, 0);
	send_port(d, m->head.seq, 1, 1, 1, 0);
}

static struct double_secret *
find_secret(struct double_dp *d, uint32_t kind, const char *name)
{
	for (unsigned i = 0; i < d->keep_cnt; i++)
		if (d->keeps[i].kind == kind && strcmp(d->keeps[i].name, name) == 0)
			return &d->keeps[i];
	return NULL;
}

const struct double_secret *
double_secret(const struct double_dp *d, const char *name)
{
	for (unsigned i = 0; i < d->keep_cnt; i++)
		if (strcmp(d->keeps[i].name, name) == 0)
			return &d->keeps[i];
	return NULL;
}

static void
ack_secret(struct double_dp *d, uint32_t seq, int error)
{
	_Alignas(8) uint8_t buf[sizeof(struct sl_ctl_secret_ack) + 64];
	struct sl_ctl_secret_ack *a = (void *)buf;

	if (d->secret_silent)
		return;
	*a = (struct sl_ctl_secret_ack){.error = (uint32_t)error};
	if (error) {
		a->text_len = (uint32_t)snprintf((char *)(a + 1), 64, "the double says no");
	}
	sl_ctl_init(&a->head, SL_CTL_SECRET_ACK, sizeof(*a) + a->text_len, seq);
	double_send(d, a, a->head.size);
}

/* As the real one has to: sealed against resizing alone, laid out well, zeroed behind. */
static void
take_secret(struct double_dp *d, const struct sl_ctl_secret *m, int fd)
{
	static struct sl_secret_part parts[SL_SECRET_PARTS];
	static _Alignas(8) uint8_t bytes[65536], zero[65536];
	struct double_secret *s = find_secret(d, m->kind, m->name);
	const char *why;
	struct stat st;

	d->secrets++;
	if (fstat(fd, &st) || st.st_size != m->bytes || m->bytes > sizeof(bytes) ||
	    fcntl(fd, F_GET_SEALS) != (F_SEAL_SHRINK | F_SEAL_GROW) ||
	    pread(fd, bytes, m->bytes, 0) != m->bytes ||
	    pwrite(fd, zero, m->bytes, 0) != m->bytes) {
		d->bad++;
		return;
	}
	int n = sl_secret_parts(bytes, m->bytes, m->kind, parts, &why);
	if (n < 0)
		d->bad++;
	int error = d->no_tls ? ENOTSUP : n < 0 ? EINVAL : d->secret_error;
	bool take = !error || d->secret_held;
	if (take && !s && d->keep_cnt < DOUBLE_SECRETS)
		s = &d->keeps[d->keep_cnt++];
	if (take && s) {
		s->kind = m->kind;
		s->parts = (uint32_t)n;
		memcpy(s->name, m->name, sizeof(s->name));
		EVP_Digest(bytes, m->bytes, s->sum.b, NULL, EVP_sha256(), NULL);
		memcpy(d->last, bytes, m->bytes);
		d->last_bytes = m->bytes;
	}
	ack_secret(d, m->head.seq, error);
}

static void
take_forget(struct double_dp *d, const struct sl_ctl_forget *m)
{
	struct double_secret *s = find_secret(d, m->kind, m->name);

	d->forgets++;
	if (s && !d->secret_error)
		*s = d->keeps[--d->keep_cnt];
	ack_secret(d, m->head.seq, d->secret_error ? d->secret_error : s ? 0 : ENOENT);
}

static void
take_explain_http(struct double_dp *d, const struct sl_ctl_explain_http *m)
{
	_Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];
	struct sl_ctl_explained_http *e = (void *)buf;
	const char *text = d->http_text ? d->http_text : "";
	const char *path = d->http_path ? d->http_path : "";

	d->asked_http = *m;
	memcpy(d->asked_head, m + 1, m->text_len);
	d->asked_head[m->text_len] = 0;
	if (d->silent)
		return;
	*e = d->explained_http;
	e->text_len = (uint32_t)strlen(text);
	e->path_len = (uint32_t)strlen(path);
	memcpy(e + 1, text, e->text_len);
	memcpy((char *)(e + 1) + e->text_len, path, e->path_len);
	sl_ctl_init(&e->head, SL_CTL_EXPLAINED_HTTP, sizeof(*e) + e->text_len + e->path_len,
		    m->head.seq);
	double_send(d, e, e->head.size);
}

static void
take(struct double_dp *d, const void *msg, int fd)
{
	const struct sl_ctl_head *h = msg;
	struct sl_ctl_explained e = d->explained;

	if (h->type == SL_CTL_HELLO) {
		welcome(d);
	} else if (h->type == SL_CTL_OFFER) {
		take_offer(d, msg, fd);
	} else if (h->type == SL_CTL_OBJECT && d->leave_on_object) {
		close_poll(&d->peer, &d->peer_fd);
	} else if (h->type == SL_CTL_OBJECT) {
		take_object(d, msg, fd);
	} else if (h->type == SL_CTL_PARKED) {
		take_parked(d, msg, fd);
	} else if (h->type == SL_CTL_SECRET && d->leave_on_secret &&
		   ((const struct sl_ctl_secret *)msg)->kind != SL_SECRET_TICKETS) {
		d->leave_on_secret = false;
		close_poll(&d->peer, &d->peer_fd);
	} else if (h->type == SL_CTL_SECRET) {
		take_secret(d, msg, fd);
	} else if (h->type == SL_CTL_STOP) {
		d->stops++;
	} else if (h->type == SL_CTL_FORGET) {
		take_forget(d, msg);
	} else if (h->type == SL_CTL_PORTS) {
		take_ports(d, msg);
	} else if (h->type == SL_CTL_UPGRADE) {
		take_upgrade(d, h->seq);
	} else if (h->type == SL_CTL_EXPLAIN_HTTP && !d->no_explain && !d->mixed_up) {
		take_explain_http(d, msg);
	} else if (h->type == SL_CTL_EXPLAIN_HTTP && d->mixed_up) {
		sl_ctl_init(&e.head, SL_CTL_EXPLAINED, sizeof(e), h->seq);
		double_send(d, &e, sizeof(e));
	} else if ((h->type == SL_CTL_EXPLAIN || h->type == SL_CTL_EXPLAIN_HTTP) && d->no_explain) {
		send_text(d, SL_CTL_REASON, 0, h->seq, d->no_explain);
	} else if (h->type == SL_CTL_EXPLAIN) {
		memcpy(&d->asked, msg, sizeof(d->asked));
		sl_ctl_init(&e.head, SL_CTL_EXPLAINED, sizeof(e), h->seq);
		if (!d->silent)
			double_send(d, &e, sizeof(e));
	}
}

static void
on_peer(uv_poll_t *p, int status, int events)
{
	struct double_dp *d = p->data;
	_Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];
	(void)status;
	(void)events;

	while (d->peer == p) {
		int fds[2] = {-1, -1};
		unsigned cnt = 0;
		const char *why;
		long n = sl_ctl_recv(d->peer_fd, buf, fds, &cnt);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			close_poll(&d->peer, &d->peer_fd);
			return;
		}
		if (sl_ctl_check(buf, (size_t)n, cnt, true, &why))
			d->bad++;
		else
			take(d, buf, fds[0]);
		for (unsigned i = 0; i < cnt; i++)
			close(fds[i]);
	}
}

static void
on_connect(uv_poll_t *p, int status, int events)
{
	struct double_dp *d = p->data;
	(void)status;
	(void)events;
	int fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	close_poll(&d->peer, &d->peer_fd);
	d->peer_fd = fd;
	d->peer = calloc(1, sizeof(*d->peer));
	uv_poll_init(d->loop, d->peer, fd);
	d->peer->data = d;
	uv_poll_start(d->peer, UV_READABLE, on_peer);
}

static int
segment(struct double_dp *d, const char *name, size_t bytes, void **ret_mem)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	*ret_mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*ret_mem == MAP_FAILED)
		abort();
	(void)d;
	return fd;
}

void
double_start(struct double_dp *d, uv_loop_t *loop, const char *path, uint64_t boot_id)
{
	static const char *const ports[] = {"front", "back"};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	void *mem;

	*d = (struct double_dp){.loop = loop, .boot_id = boot_id, .peer_fd = -1, .region_fd = -1};
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->state_bytes =
		sizeof(struct sl_state_seg) + SL_MAX_ENDPOINTS * sizeof(struct sl_state_word2);
	d->stats_bytes = sl_stats_bytes(1, 2);
	d->state_fd = segment(d, "state", d->state_bytes, &mem);
	d->state = mem;
	d->state->magic = SL_STATE_MAGIC;
	d->state->version = SL_STATE_VERSION;
	d->state->boot_id = boot_id;
	d->state->slot_cnt = SL_MAX_ENDPOINTS;
	d->state->share_cnt = SL_STATE_SHARES;
	d->stats_fd = segment(d, "stats", d->stats_bytes, &d->stats);
	sl_stats_init(d->stats, 1, 2, ports, boot_id, 1000000000);
	fcntl(d->state_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	fcntl(d->stats_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);

	d->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(sa.sun_path, d->path, sizeof(sa.sun_path));
	unlink(path);
	if (bind(d->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(d->listen_fd, 8))
		abort();
	d->listener = calloc(1, sizeof(*d->listener));
	uv_poll_init(loop, d->listener, d->listen_fd);
	d->listener->data = d;
	uv_poll_start(d->listener, UV_READABLE, on_connect);
}

void
double_stop(struct double_dp *d)
{
	close_poll(&d->peer, &d->peer_fd);
	close_poll(&d->listener, &d->listen_fd);
	unlink(d->path);
	munmap(d->state, d->state_bytes);
	munmap(d->stats, d->stats_bytes);
	close(d->state_fd);
	close(d->stats_fd);
	if (d->region_fd >= 0)
		close(d->region_fd);
}

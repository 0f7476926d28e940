/* One row per message type says how long it is, who sends it and with how many descriptors; a type whose
 * length follows from its content has a function that gives the exact length.  A check reads nothing
 * behind `bytes`, so any bytes may be given to it. */
#include "sluice/ctl.h"
#include "sluice/secrets.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DAEMON = 1, DATAPLANE = 2 };

typedef const char *body_fn(const void *msg, size_t bytes);

static body_fn check_welcome, check_offer, check_want, check_object, check_reason, check_explain,
	check_secret, check_secret_ack, check_bye, check_region, check_taken, check_upgraded,
	check_streams, check_events, check_explain_http, check_explained, check_explained_http,
	check_forget, check_ports, check_port, check_stopping, check_shadow, check_shadow_counts,
	check_shadow_example;

static const struct row {
	uint16_t from;
	uint16_t fd_cnt;
	uint32_t size; /* of the struct */
	bool tail;     /* body says how much more */
	body_fn *body; /* NULL: nothing more to check */
} rows[] = {
	[SL_CTL_HELLO] = {DAEMON, 0, sizeof(struct sl_ctl_hello), false, NULL},
	[SL_CTL_WELCOME] = {DATAPLANE, 2, sizeof(struct sl_ctl_welcome), false, check_welcome},
	[SL_CTL_OFFER] = {DAEMON, 1, sizeof(struct sl_ctl_offer), false, check_offer},
	[SL_CTL_WANT] = {DATAPLANE, 0, sizeof(struct sl_ctl_want), true, check_want},
	[SL_CTL_OBJECT] = {DAEMON, 1, sizeof(struct sl_ctl_object), false, check_object},
	[SL_CTL_REASON] = {DATAPLANE, 0, sizeof(struct sl_ctl_reason), true, check_reason},
	[SL_CTL_VERDICT] = {DATAPLANE, 0, sizeof(struct sl_ctl_verdict), false, NULL},
	[SL_CTL_EXPLAIN] = {DAEMON, 0, sizeof(struct sl_ctl_explain), false, check_explain},
	[SL_CTL_EXPLAINED] = {DATAPLANE, 0, sizeof(struct sl_ctl_explained), false,
			      check_explained},
	[SL_CTL_SECRET] = {DAEMON, 1, sizeof(struct sl_ctl_secret), false, check_secret},
	[SL_CTL_FORGET] = {DAEMON, 0, sizeof(struct sl_ctl_forget), false, check_forget},
	[SL_CTL_PORTS] = {DAEMON, 0, sizeof(struct sl_ctl_ports), false, check_ports},
	[SL_CTL_PORT] = {DATAPLANE, 0, sizeof(struct sl_ctl_port), true, check_port},
	[SL_CTL_STOPPING] = {DATAPLANE, 0, sizeof(struct sl_ctl_stopping), false, check_stopping},
	[SL_CTL_STOP] = {DAEMON, 0, sizeof(struct sl_ctl_stop), false, NULL},
	[SL_CTL_SHADOW] = {DAEMON, 0, sizeof(struct sl_ctl_shadow), false, check_shadow},
	[SL_CTL_SHADOW_COUNTS] = {DATAPLANE, 0, sizeof(struct sl_ctl_shadow_counts), false,
				  check_shadow_counts},
	[SL_CTL_SHADOW_EXAMPLE] = {DATAPLANE, 0, sizeof(struct sl_ctl_shadow_example), false,
				   check_shadow_example},
	[SL_CTL_SECRET_ACK] = {DATAPLANE, 0, sizeof(struct sl_ctl_secret_ack), true,
			       check_secret_ack},
	[SL_CTL_BYE] = {DAEMON | DATAPLANE, 0, sizeof(struct sl_ctl_bye), true, check_bye},
	[SL_CTL_KEEP] = {DATAPLANE, 1, sizeof(struct sl_ctl_keep), false, check_region},
	[SL_CTL_PARKED] = {DAEMON, 1, sizeof(struct sl_ctl_parked), false, check_region},
	[SL_CTL_TAKEN] = {DATAPLANE, 0, sizeof(struct sl_ctl_taken), true, check_taken},
	[SL_CTL_UPGRADE] = {DAEMON, 0, sizeof(struct sl_ctl_upgrade), false, NULL},
	[SL_CTL_UPGRADED] = {DATAPLANE, 0, sizeof(struct sl_ctl_upgraded), true, check_upgraded},
	[SL_CTL_EVENTS] = {DATAPLANE, 1, sizeof(struct sl_ctl_events), false, check_events},
	[SL_CTL_STREAMS] = {DATAPLANE, 1, sizeof(struct sl_ctl_streams), false, check_streams},
	[SL_CTL_EXPLAIN_HTTP] = {DAEMON, 0, sizeof(struct sl_ctl_explain_http), true,
				 check_explain_http},
	[SL_CTL_EXPLAINED_HTTP] = {DATAPLANE, 0, sizeof(struct sl_ctl_explained_http), true,
				   check_explained_http},
};

int
sl_ctl_check(const void *msg, size_t bytes, unsigned fd_cnt, bool from_daemon, const char **ret_why)
{
	const char *why = NULL;
	struct sl_ctl_head h;

	if (bytes < sizeof(h)) {
		*ret_why = "message shorter than its head";
		return -EINVAL;
	}
	memcpy(&h, msg, sizeof(h));
	const struct row *r = h.type < SL_ARRAY_CNT(rows) ? &rows[h.type] : &rows[0];
	if (h.magic != SL_CTL_MAGIC)
		why = "not a control message (magic)";
	else if (h.version != SL_CTL_VERSION)
		why = "control protocol version differs: install the same release of both programs";
	else if (!(r->from & (DAEMON | DATAPLANE)))
		why = "unknown message type";
	else if (!(r->from & (from_daemon ? DAEMON : DATAPLANE)))
		why = "message type that only the other side sends";
	else if (h.size != bytes || bytes > SL_CTL_MSG_MAX)
		why = "size field differs from the length of the message";
	else if (r->tail ? bytes < r->size : bytes != r->size)
		why = "length does not fit the message type";
	else if (fd_cnt != r->fd_cnt)
		why = "wrong number of descriptors for the message type";
	else if (r->body)
		why = r->body(msg, bytes);
	if (!why)
		return 0;
	*ret_why = why;
	return -EINVAL;
}

/* Length of the UTF-8 sequence that starts at s, or 0: none that is well-formed and printable. */
static unsigned
utf8_len(const uint8_t *s, size_t left)
{
	uint32_t c = s[0], min[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	if (n == 1)
		return c >= 0x20 && c != 0x7f;
	c &= 0xffu >> (n + 1);
	for (unsigned i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	bool ok = c >= min[n] && c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000) && c >= 0xa0;
	return ok ? n : 0;
}

static const char *
check_text(const void *msg, size_t bytes, size_t fixed, uint32_t len, uint32_t min)
{
	const uint8_t *s = (const uint8_t *)msg + fixed;

	if (len < min || len > SL_CTL_TEXT_MAX || bytes != fixed + len)
		return "text_len out of range or not what the message holds";
	for (uint32_t i = 0; i < len;) {
		unsigned n = utf8_len(s + i, len - i);
		if (n == 0)
			return "text is not printable UTF-8";
		i += n;
	}
	return NULL;
}

static const char *
check_welcome(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_welcome *m = msg;
	if (m->privileges & ~SL_CTL_PRIVILEGES_ALL)
		return "unknown privileges";
	return m->flows <= 1 ? NULL : "flows is neither 0 nor 1";
}

static const char *
check_ports(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_ports *m = msg;
	return m->zero ? "field that must be 0 is not" : NULL;
}

/* Texts in fixed places: terminated, printable ASCII. */
static bool
word_ok(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return n < size;
}

static const char *
check_port(const void *msg, size_t bytes)
{
	const struct sl_ctl_port *m = msg;

	if (m->xstat_cnt > SL_CTL_XSTATS ||
	    bytes != sizeof(*m) + m->xstat_cnt * sizeof(m->xstat[0]))
		return "xstat_cnt out of range or not what the message holds";
	if (m->kernel_by > SL_KERNEL_BY_VHOST || !m->kernel_by != !m->kernel[0] || m->first > 1 ||
	    m->last > 1 || m->link > SL_LINK_GONE || m->spread > SL_SPREAD_HANDOFF ||
	    m->vlan > 4094)
		return "field of a port out of range";
	if (!word_ok(m->name, sizeof(m->name)) || !word_ok(m->driver, sizeof(m->driver)) ||
	    !word_ok(m->device, sizeof(m->device)) || !word_ok(m->kernel, sizeof(m->kernel)))
		return "text of a port is not printable";
	for (uint32_t i = 0; i < m->xstat_cnt; i++)
		if (!m->xstat[i].name[0] || !word_ok(m->xstat[i].name, sizeof(m->xstat[i].name)))
			return "name of a statistic is not printable";
	return NULL;
}

static const char *
check_stopping(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_stopping *m = msg;
	bool known = m->why == SL_STOPPING_STOP || m->why == SL_STOPPING_UPGRADE;
	return known ? NULL : "reason of a stop that is none";
}

static const char *
check_shadow(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_shadow *m = msg;
	bool known = m->op == SL_SHADOW_ASK || m->op == SL_SHADOW_END;
	return known && !m->zero ? NULL : "unknown question about what is tried";
}

static const char *
check_shadow_counts(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_shadow_counts *m = msg;
	bool fits = m->running <= 1 && m->pair_cnt <= SL_SHADOW_PAIRS &&
		    m->example_cnt <= SL_SHADOW_EXAMPLES;
	return fits ? NULL : "counts of a trial that are out of range";
}

static const char *
check_shadow_example(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_shadow_example *m = msg;
	bool known = m->kind < SL_SHADOW_KINDS && m->what < SL_SHADOW_WHATS;
	return known ? NULL : "an example of nothing";
}

static const char *
check_offer(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_offer *m = msg;
	if (m->sample_ppm > 1000000 || m->zero)
		return "a sample that is more than all, or a field that must be 0 is not";
	return m->generation ? NULL : "generation 0";
}

static const char *
check_want(const void *msg, size_t bytes)
{
	const struct sl_ctl_want *m = msg;
	if (m->cnt > SL_CTL_WANT_MAX || bytes != sizeof(*m) + m->cnt * sizeof(m->ref[0]))
		return "cnt out of range or not what the message holds";
	return m->last <= 1 ? NULL : "last is neither 0 nor 1";
}

static const char *
check_object(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_object *m = msg;
	if (m->generation == 0)
		return "generation 0";
	return m->zero == 0 ? NULL : "field that must be 0 is not";
}

static const char *
check_reason(const void *msg, size_t bytes)
{
	const struct sl_ctl_reason *m = msg;
	if (m->zero)
		return "field that must be 0 is not";
	return check_text(msg, bytes, sizeof(*m), m->text_len, 1);
}

static const char *
check_explain(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_explain *m = msg;
	uint8_t zero = m->zero[0] | m->zero[1] | m->zero[2] | m->tuple.zero[0] | m->tuple.zero[1] |
		       m->tuple.zero[2];

	if (zero)
		return "field that must be 0 is not";
	if (m->tcp_flags & 0xc0)
		return "tcp_flags past URG";
	if (sl_addr_is_v4(&m->tuple.src) != sl_addr_is_v4(&m->tuple.dst))
		return "source and destination of different families";
	switch (m->tuple.proto) {
	case SL_IPPROTO_TCP:
	case SL_IPPROTO_UDP:
	case SL_IPPROTO_ICMP:
	case SL_IPPROTO_ICMP6:
		return NULL;
	}
	return "protocol is none of TCP, UDP, ICMP, ICMPv6";
}

static const char *
check_secret(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_secret *m = msg;
	if (m->bytes == 0 || m->bytes > SL_SECRET_MAX)
		return "secret's size out of [1, 1 MiB]";
	return sl_name_ok(m->name) ? NULL : "secret's name is not a name padded with 0";
}

static const char *
check_forget(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_forget *m = msg;
	if (m->zero)
		return "field that must be 0 is not";
	return sl_name_ok(m->name) ? NULL : "secret's name is not a name padded with 0";
}

static const char *
check_secret_ack(const void *msg, size_t bytes)
{
	const struct sl_ctl_secret_ack *m = msg;
	if (!m->error != !m->text_len)
		return "text without error, or error without text";
	return check_text(msg, bytes, sizeof(*m), m->text_len, 0);
}

static const char *
check_bye(const void *msg, size_t bytes)
{
	const struct sl_ctl_bye *m = msg;
	if (m->zero)
		return "field that must be 0 is not";
	return check_text(msg, bytes, sizeof(*m), m->text_len, 1);
}

/* KEEP and PARKED */
static_assert(sizeof(struct sl_ctl_keep) == sizeof(struct sl_ctl_parked), "");
static_assert(offsetof(struct sl_ctl_keep, bytes) == offsetof(struct sl_ctl_parked, bytes), "");

static const char *
check_region(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_keep *m = msg;
	return m->bytes ? NULL : "a flow region of 0 bytes";
}

static const char *
check_taken(const void *msg, size_t bytes)
{
	const struct sl_ctl_taken *m = msg;
	if (m->how > SL_CTL_TAKEN_REBUILT)
		return "how is no way to take flows over";
	return check_text(msg, bytes, sizeof(*m), m->text_len, 1);
}

static const char *
check_upgraded(const void *msg, size_t bytes)
{
	const struct sl_ctl_upgraded *m = msg;
	return check_text(msg, bytes, sizeof(*m), m->text_len, 1);
}

static const char *
check_streams(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_streams *m = msg;
	return m->bytes ? NULL : "a region of streams of 0 bytes";
}

static const char *
check_events(const void *msg, size_t bytes)
{
	(void)bytes;
	const struct sl_ctl_events *m = msg;
	return m->bytes ? NULL : "a region of events of 0 bytes";
}

static const char *
check_explain_http(const void *msg, size_t bytes)
{
	const struct sl_ctl_explain_http *m = msg;
	const struct sl_tuple *t = &m->tuple;

	if (m->about > SL_CTL_ABOUT_CONNECTION || t->zero[0] || t->zero[1] || t->zero[2])
		return "field that must be 0 is not";
	if (m->text_len == 0 || m->text_len > SL_CTL_REQUEST_MAX ||
	    bytes != sizeof(*m) + m->text_len)
		return "text_len out of range or not what the message holds";
	if (sl_addr_is_v4(&t->src) != sl_addr_is_v4(&t->dst))
		return "source and destination of different families";
	return t->proto == SL_IPPROTO_TCP ? NULL : "protocol is not TCP";
}

static bool
level_ok(const struct sl_ctl_level *l)
{
	if (l->cnt == 0)
		return (l->level | l->share | l->panic) == 0;
	return l->cnt <= SL_MAX_LEVELS && l->level < l->cnt && l->share <= 10000 && l->panic <= 1;
}

static const char *
check_explained(const void *msg, size_t bytes)
{
	const struct sl_ctl_explained *m = msg;

	(void)bytes;
	return m->zero == 0 && level_ok(&m->level) ? NULL : "level out of range";
}

static const char *
check_explained_http(const void *msg, size_t bytes)
{
	const struct sl_ctl_explained_http *m = msg;

	if (!level_ok(&m->level))
		return "level out of range";
	if (m->path_len > SL_CTL_REQUEST_MAX / 2 || m->path_len > bytes - sizeof(*m))
		return "path_len out of range or not what the message holds";
	return check_text(msg, bytes - m->path_len, sizeof(*m), m->text_len, 0);
}

/* Room for exactly two descriptors: a third makes the kernel drop the rest and set MSG_CTRUNC. */
union fd_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

int
sl_ctl_send(int sock, const void *msg, size_t bytes, const int *fds, unsigned fd_cnt)
{
	union fd_room room = {0};
	struct iovec iov = {(void *)(uintptr_t)msg, bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_cnt > 2 || bytes == 0 || bytes > SL_CTL_MSG_MAX)
		return -EINVAL;
	if (fd_cnt) {
		mh.msg_control = room.bytes;
		mh.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_cnt * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == bytes ? 0 : -EMSGSIZE;
}

/* Descriptors that came with a message, into fds[2]; their count. */
static unsigned
take_fds(struct msghdr *mh, int fds[2])
{
	unsigned cnt = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (cnt < 2)
				fds[cnt++] = fd;
			else
				close(fd);
		}
	}
	return cnt;
}

long
sl_ctl_recv(int sock, void *buf, int fds[2], unsigned *ret_fd_cnt)
{
	union fd_room room;
	struct iovec iov = {buf, SL_CTL_MSG_MAX};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room.bytes,
			    .msg_controllen = sizeof(room.bytes)};
	ssize_t n;

	*ret_fd_cnt = 0;
	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	unsigned cnt = take_fds(&mh, fds);
	if (n == 0 || mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (cnt > 0)
			close(fds[--cnt]);
		return n == 0 ? 0 : -EBADMSG;
	}
	*ret_fd_cnt = cnt;
	return n;
}

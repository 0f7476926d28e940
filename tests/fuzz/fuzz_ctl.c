/* The control socket under arbitrary messages.  An input is a sequence of
 *
 *   flags u8 │ length u16 LE │ bytes[length]      flags: 0–1 descriptors, 7: magic, version and size are made right
 *
 * sent to a server with a publisher that takes everything.  Whatever comes, each answer is well-formed and no descriptor
 * is lost.  The bytes are also given to sl_ctl_check as they are, from memory of exactly their size. */
#include "dataplane/ctl_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static struct sl_ctl_server *server;

static void
active(void *ctx, uint64_t *ret_generation, struct sl_obj_id *ret_root)
{
	(void)ctx;
	*ret_generation = 1;
	*ret_root = (struct sl_obj_id){0};
}

static void
offer(void *ctx, uint64_t generation, const struct sl_obj_id *root, uint32_t sample_ppm, int fd)
{
	struct sl_diag diag = {0};
	const uint32_t refs[2] = {0, 1};

	(void)ctx, (void)sample_ppm;
	close(fd);
	sl_ctl_server_want(server, generation, refs, root->b[0] % 3);
	sl_diag_add(&diag, NULL, 0, NULL, NULL, "%.32s", (const char *)root->b);
	sl_ctl_server_reasons(server, generation, &diag);
	sl_ctl_server_verdict(server, generation, SL_CTL_REFUSED, 1, NULL);
	sl_diag_fini(&diag);
}

static void
object(void *ctx, uint64_t generation, uint32_t ref, int fd)
{
	(void)ctx, (void)generation, (void)ref;
	close(fd);
}

static void
drop(void *ctx)
{
	(void)ctx;
}

static int
explain(void *ctx, const struct sl_ctl_explain *ask, const char **ret_why)
{
	struct sl_ctl_explained e = {.out = ask->tuple};

	(void)ctx;
	*ret_why = "odd port";
	if (ask->port & 1)
		return -1;
	sl_ctl_server_explained(server, ask->head.seq, &e);
	return 0;
}

static int
explain_http(void *ctx, const struct sl_ctl_explain_http *ask, const uint8_t *text,
	     const char **ret_why)
{
	struct sl_ctl_explained_http e = {.path_len = SL_MIN(ask->text_len, 3584u)};
	char said[64];

	(void)ctx;
	*ret_why = "odd length";
	if (ask->text_len & 1)
		return -1;
	snprintf(said, sizeof(said), "%.*s", (int)SL_MIN(ask->text_len, 63u), (const char *)text);
	sl_ctl_server_explained_http(server, ask->head.seq, &e, said, text);
	return 0;
}

static int region = -1; /* what ops.flows gives, from the first PARKED on */

static int
flows(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region)
{
	(void)ctx;
	*ret_bytes = 64;
	*ret_region = 1;
	return region;
}

static void
parked(void *ctx, uint64_t bytes, uint64_t id, int fd)
{
	char text[64];

	(void)ctx;
	snprintf(text, sizeof(text), "%.*s\xff", (int)(id % 9), (const char *)&bytes);
	if (id & 1 && region < 0)
		region = fd;
	else
		close(fd);
	sl_ctl_server_taken(server, (enum sl_ctl_taken_how)(id % 3), bytes, id, 0, text);
	sl_ctl_server_keep(server);
}

static void
upgrade(void *ctx, uint32_t seq)
{
	(void)ctx;
	sl_ctl_server_upgraded(server, seq, (int)(seq & 1), "");
}

static int
secret(void *ctx, uint32_t kind, const char *name, const void *bytes, size_t n,
       char ret_text[SL_CTL_WHY])
{
	uint8_t sum = 0;

	(void)ctx;
	for (size_t i = 0; i < n; i++)
		sum ^= ((const uint8_t *)bytes)[i];
	MUST(kind >= 1 && kind <= 3 && strlen(name) < SL_NAME_MAX);
	snprintf(ret_text, SL_CTL_WHY, "%u", sum);
	return n & 1 ? -EINVAL : 0;
}

static int
forget(void *ctx, uint32_t kind, const char *name, char ret_text[SL_CTL_WHY])
{
	(void)ctx;
	MUST(kind >= 1 && kind <= 3 && strlen(name) < SL_NAME_MAX);
	snprintf(ret_text, SL_CTL_WHY, "%s", name);
	return name[0] & 1 ? -ENOENT : 0;
}

static void
no_stop(void *ctx)
{
	(void)ctx;
}

static void
ports(void *ctx, uint32_t seq, uint32_t port)
{
	struct sl_ctl_port m = {.first = 1, .last = 1, .name = "front"};

	(void)ctx, (void)port;
	sl_ctl_server_port(server, seq, &m);
}

static void
no_log(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

static void
check_raw(const uint8_t *data, size_t size)
{
	void *exact = aligned_alloc(8, (size + 7) & ~(size_t)7);
	const char *why = NULL;

	MUST(exact || size == 0);
	if (size)
		memcpy(exact, data, size);
	for (unsigned i = 0; i < 6; i++)
		MUST(sl_ctl_check(exact, size, i % 3, i < 3, &why) == 0 || why);
	free(exact);
}

static void
read_answers(int sock)
{
	_Alignas(8) static uint8_t buf[SL_CTL_MSG_MAX];
	int fds[2];
	unsigned cnt;
	const char *why;
	long n;

	while ((n = sl_ctl_recv(sock, buf, fds, &cnt)) > 0) {
		MUST(sl_ctl_check(buf, (size_t)n, cnt, false, &why) == 0);
		while (cnt > 0)
			close(fds[--cnt]);
	}
}

static void
converse(int sock, const uint8_t *data, size_t size)
{
	_Alignas(8) static uint8_t msg[SL_CTL_MSG_MAX];
	int memfd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int fds[2] = {memfd, memfd};

	MUST(memfd >= 0 && ftruncate(memfd, 64) == 0 &&
	     fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	while (size >= 3) {
		uint8_t flags = data[0];
		size_t n = SL_MIN((size_t)sl_load16(data + 1), size - 3);
		n = SL_MIN(n, sizeof(msg));
		memcpy(msg, data + 3, n);
		if (flags & 0x80 && n >= sizeof(struct sl_ctl_head)) {
			struct sl_ctl_head *h = (void *)msg;
			h->magic = SL_CTL_MAGIC;
			h->version = SL_CTL_VERSION;
			h->size = (uint32_t)n;
		}
		check_raw(msg, n);
		(void)sl_ctl_send(sock, msg, n, fds, SL_MIN(flags & 3u, 2u));
		sl_ctl_server_turn(server);
		read_answers(sock);
		data += 3 + n;
		size -= 3 + n;
	}
	close(memfd);
}

static void
shadow(void *ctx, uint32_t seq, uint32_t op)
{
	struct sl_ctl_shadow_counts counts = {.running = op == SL_SHADOW_ASK, .example_cnt = 1};
	struct sl_ctl_shadow_example example = {.what = SL_SHADOW_FLOWS};

	(void)ctx;
	sl_ctl_server_shadow(server, seq, &counts, &example);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_ctl_server_conf conf = {
		.state_fd = STDIN_FILENO,
		.stats_fd = STDERR_FILENO,
		.ops = {active, offer, object, drop, explain, explain_http, flows, parked, upgrade,
			secret, forget, no_stop, ports, shadow, no_log, NULL},
	};
	int pair[2], before = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(before);
	MUST(sl_ctl_server_create(&conf, NULL, &server) == 0);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	sl_ctl_server_attach(server, pair[0]);
	converse(pair[1], data, size);
	sl_ctl_server_destroy(server);
	read_answers(pair[1]);
	close(pair[1]);
	if (region >= 0)
		close(region);
	region = -1;
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	MUST(after == before); /* the lowest free descriptor is the same: none was lost */
	return 0;
}

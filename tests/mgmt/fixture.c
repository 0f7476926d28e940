#include "tests/mgmt/fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_NS 20000000000ull /* a machine may stand still for some */

void
fixture_daemon_start(struct fixture *f)
{
	struct sl_diag diag = {0};
	if (sl_daemon_create(&f->loop, &f->conf, &diag, &f->daemon)) {
		fprintf(stderr, "fixture: %s\n", diag.cnt ? diag.items[0].text : "?");
		abort();
	}
	sl_diag_fini(&diag);
	f->daemon_on = true;
}

/* sl_daemon_destroy runs the loop until it is empty, so the double has to go first. */
void
fixture_daemon_stop(struct fixture *f)
{
	fixture_dp_stop(f);
	sl_daemon_destroy(&f->daemon);
	f->daemon_on = false;
}

void
fixture_open(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/sluice-test-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	uv_loop_init(&f->loop);
	snprintf(f->conf.api_socket, sizeof(f->conf.api_socket), "%s/api", f->dir);
	snprintf(f->conf.dataplane_socket, sizeof(f->conf.dataplane_socket), "%s/dp", f->dir);
	snprintf(f->conf.state_dir, sizeof(f->conf.state_dir), "%s/state", f->dir);
	f->conf.ticket_rotate_ms = 12 * 3600000;
	snprintf(f->conf.audit_log, sizeof(f->conf.audit_log), "%s/audit", f->dir);
	fixture_daemon_start(f);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void
fixture_close(struct fixture *f)
{
	fixture_dp_stop(f);
	if (f->daemon_on)
		fixture_daemon_stop(f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&f->loop))
		abort(); /* a handle was left open */
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void
fixture_dp_start(struct fixture *f, uint64_t boot_id)
{
	double_start(&f->dp, &f->loop, f->conf.dataplane_socket, boot_id);
	f->dp_on = true;
}

void
fixture_dp_stop(struct fixture *f)
{
	if (f->dp_on)
		double_stop(&f->dp);
	f->dp_on = false;
}

bool
fixture_wait(struct fixture *f, bool (*cond)(struct fixture *f))
{
	uint64_t end = uv_hrtime() + WAIT_NS;
	while (!cond(f)) {
		if (uv_hrtime() > end)
			return false;
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	return true;
}

bool
fixture_linked(struct fixture *f)
{
	return sl_publish_link(f->daemon.publish) != NULL;
}

bool
fixture_unlinked(struct fixture *f)
{
	return !fixture_linked(f);
}

int
fixture_connect(struct fixture *f)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(sa.sun_path, f->conf.api_socket, sizeof(sa.sun_path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
on_ready(uv_poll_t *p, int status, int events)
{
	(void)p;
	(void)status;
	(void)events; /* it only wakes the loop */
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

static bool
pump(int sock, uint8_t **buf, size_t *have, size_t *room)
{
	ssize_t n;
	do {
		if (*have == *room) {
			*room = *room ? *room * 2 : 65536;
			*buf = realloc(*buf, *room);
		}
		n = recv(sock, *buf + *have, *room - *have, 0);
		*have += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	return n != 0;
}

json_t *
fixture_exchange(struct fixture *f, int sock, const void *bytes, size_t len)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));
	uint64_t end = uv_hrtime() + WAIT_NS;
	struct sl_api_head h = {0};
	uint8_t *buf = NULL;
	size_t sent = 0, have = 0, room = 0;
	json_t *answer = NULL;
	bool open = true;

	uv_poll_init(&f->loop, poll, sock);
	while (open && uv_hrtime() < end) {
		ssize_t n = sent < len ? send(sock, (const char *)bytes + sent, len - sent,
					      MSG_NOSIGNAL)
				       : 0;
		sent += n > 0 ? (size_t)n : 0;
		open = pump(sock, &buf, &have, &room);
		if (have >= sizeof(h)) {
			memcpy(&h, buf, sizeof(h));
			if (have >= sizeof(h) + h.len)
				break;
		}
		if (!open)
			break;
		uv_poll_start(poll, UV_READABLE | (sent < len ? UV_WRITABLE : 0), on_ready);
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	if (have >= sizeof(h) && h.magic == SL_API_MAGIC && have == sizeof(h) + h.len)
		answer = json_loadb((char *)buf + sizeof(h), h.len, 0, NULL);
	uv_poll_stop(poll);
	uv_close((uv_handle_t *)poll, on_freed);
	free(buf);
	return answer;
}

json_t *
fixture_ask(struct fixture *f, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t n = strlen(text);
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)n};
	uint8_t *frame = malloc(sizeof(h) + n);
	int sock = fixture_connect(f);

	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), text, n);
	json_t *a = sock >= 0 ? fixture_exchange(f, sock, frame, sizeof(h) + n) : NULL;
	if (sock >= 0)
		close(sock);
	json_decref(request);
	free(text);
	free(frame);
	return a;
}

bool
answer_ok(json_t *a)
{
	return json_is_true(json_object_get(a, "ok"));
}

const char *
answer_code(json_t *a)
{
	const char *s = json_string_value(json_object_get(json_object_get(a, "error"), "code"));
	return s ? s : "";
}

json_int_t
answer_int(json_t *a, const char *key)
{
	return json_integer_value(json_object_get(a, key));
}

const char *
answer_text(json_t *a, const char *key)
{
	const char *s = json_string_value(json_object_get(a, key));
	return s ? s : "";
}

char *
fixture_table(unsigned endpoints, const char *service_keys)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	fprintf(m,
		"gateway = { name = \"edge\"; };\n"
		"network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); "
		"};\n"
		"services = ( { name = \"web\"; forward = \"nat\"; %s\n  endpoints = (",
		service_keys);
	for (unsigned i = 1; i <= endpoints; i++)
		fprintf(m, "%s { name = \"web-%u\"; address = \"192.0.2.%u\"; port = 80; }",
			i > 1 ? ",\n" : "", i, 10 + i);
	fprintf(m, " ); } );\n"
		   "listeners = ( { name = \"web-v4\"; address = \"203.0.113.10\"; port = 80; "
		   "protocol = \"tcp\"; mode = \"l4\"; service = \"web\"; } );\n");
	fclose(m);
	return text;
}

json_t *
fixture_push(struct fixture *f, unsigned endpoints)
{
	char *text = fixture_table(endpoints, "");
	json_t *a = fixture_ask(
		f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));
	free(text);
	return a;
}

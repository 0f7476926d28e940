/* The API socket under arbitrary bytes, with a daemon behind it and a dataplane that takes everything.  An input is a
 * sequence of
 *
 *   kind u8 │ length u16 LE │ bytes[length]      kind: bit 0: the bytes are a body, a right head goes before them
 *
 * sent on one connection.  Whatever comes, each answer is a whole frame with an object that has "ok" and "verb", and an error has a known code and a text; the
 * next client is served. */
#include "tests/mgmt/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig loses the string it looks at on a syntax error (mgmt/conf_scan.h bounds it). */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static struct fixture f;

static void
close_fixture(void)
{
	fixture_close(&f);
}

static void
open_fixture(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	MUST(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 3));
	atexit(close_fixture);
}

static void
judge(const char *text, size_t len)
{
	static const char *const codes[] = {"malformed", "invalid", "denied",      "config",
					    "not_found", "refused", "unavailable", "busy",
					    "timeout",   "internal"};
	json_t *a = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	unsigned known = 0;

	MUST(json_is_object(a) && json_is_boolean(json_object_get(a, "ok")) &&
	     json_object_get(a, "verb"));
	if (!answer_ok(a)) {
		for (unsigned i = 0; i < SL_ARRAY_CNT(codes); i++)
			known += strcmp(answer_code(a), codes[i]) == 0;
		MUST(known == 1);
		MUST(json_string_length(json_object_get(json_object_get(a, "error"), "text")) > 0);
	}
	json_decref(a);
}

/* What has come so far; frames are judged as they are whole. */
struct heard {
	char *text;
	size_t len, room;
	bool ended;
};

static void
listen_to(int sock, struct heard *h)
{
	struct sl_api_head head;

	for (;;) {
		if (h->len + 65536 > h->room)
			MUST((h->text = realloc(h->text, h->room = 2 * h->room + 65536)) != NULL);
		ssize_t n = recv(sock, h->text + h->len, 65536, MSG_DONTWAIT);
		if (n <= 0) {
			h->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
			break;
		}
		h->len += (size_t)n;
	}
	while (h->len >= sizeof(head)) {
		memcpy(&head, h->text, sizeof(head));
		MUST(head.magic == SL_API_MAGIC && head.version == SL_API_VERSION &&
		     head.zero == 0 && head.len <= SL_API_MAX);
		size_t whole = sizeof(head) + head.len;
		if (h->len < whole)
			break;
		judge(h->text + sizeof(head), head.len);
		memmove(h->text, h->text + whole, h->len - whole);
		h->len -= whole;
	}
}

/* All of it, while the daemon reads; false: it has closed. */
static bool
say(int sock, const void *bytes, size_t len, struct heard *h)
{
	const char *p = bytes;

	while (len > 0 && !h->ended) {
		ssize_t n = send(sock, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		uv_run(&f.loop, UV_RUN_NOWAIT);
		listen_to(sock, h);
	}
	return !h->ended;
}

static bool
say_part(int sock, uint8_t kind, const uint8_t *bytes, size_t len, struct heard *h)
{
	struct sl_api_head head = {SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)len};

	if ((kind & 1) && !say(sock, &head, sizeof(head), h))
		return false;
	return say(sock, bytes, len, h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard h = {0};

	if (!f.daemon_on)
		open_fixture();
	int sock = fixture_connect(&f);
	for (bool open = true; open && size >= 3;) {
		size_t n = SL_MIN((size_t)sl_load16(data + 1), size - 3);
		open = say_part(sock, data[0], data + 3, n, &h);
		data += 3 + n;
		size -= 3 + n;
	}
	/* The daemon answers what is whole and closes behind the end. */
	shutdown(sock, SHUT_WR);
	while (!h.ended) {
		uv_run(&f.loop, UV_RUN_ONCE);
		listen_to(sock, &h);
	}
	MUST(h.len == 0);
	free(h.text);
	close(sock);
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	MUST(a && answer_ok(a));
	json_decref(a);
	return 0;
}

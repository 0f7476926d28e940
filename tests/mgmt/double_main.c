/* double SOCKET — the test double of a dataplane as a program, for tests of whole daemons.  Lines of its standard input: "refuse REASON",
 * "accept".  It ends with its input. */
#include "tests/mgmt/double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct double_dp dp;
static char reason[256], room[4096];

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	(void)h;
	(void)size;
	*buf = uv_buf_init(room, sizeof(room) - 1);
}

static void
on_line(const char *line)
{
	if (strncmp(line, "refuse ", 7) == 0) {
		snprintf(reason, sizeof(reason), "%s", line + 7);
		dp.refuse = reason;
	} else if (strcmp(line, "accept") == 0) {
		dp.refuse = NULL;
	}
	printf("%s\n", line);
}

/* A line comes whole: tests write one at a time. */
static void
on_input(uv_stream_t *in, ssize_t n, const uv_buf_t *buf)
{
	if (n < 0) {
		uv_stop(in->loop);
		return;
	}
	buf->base[n] = 0;
	buf->base[strcspn(buf->base, "\n")] = 0;
	on_line(buf->base);
}

int
main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_pipe_t in;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	double_start(&dp, loop, argv[1], (uint64_t)uv_hrtime() | 1);
	uv_pipe_init(loop, &in, 0);
	uv_pipe_open(&in, 0);
	uv_read_start((uv_stream_t *)&in, on_alloc, on_input);
	printf("ready\n");
	uv_run(loop, UV_RUN_DEFAULT);
	double_stop(&dp);
	return 0;
}

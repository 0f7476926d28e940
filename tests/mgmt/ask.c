/* ask CONF SOURCE SERVICE [key=value…] — makes one source of a sluiced file, asks it one question, and prints what it says, a line of
 * JSON each time, with the ms since the start: for tests against real servers.
 *
 *   {"ms": 12, "answer": [{"name": "a", "address": "192.0.2.1", "port": 80, …}, …], "left_out": 0, "note": ""}
 *   {"ms": 20, "confirm": true}   {"ms": 31, "trouble": "…"}   {"ms": 32, "say": "…"}
 *
 * keys: name, port, record, tag, namespace, port_name, weight, priority.  Ends at the end of its standard input.
 */
#include "mgmt/daemon_conf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t start_ns;

static void
print(json_t *line)
{
	json_object_set_new(line, "ms",
			    json_integer((json_int_t)((uv_hrtime() - start_ns) / 1000000)));
	char *text = json_dumps(line, JSON_COMPACT | JSON_SORT_KEYS);
	puts(text ? text : "{}");
	fflush(stdout);
	free(text);
	json_decref(line);
}

static json_t *
endpoint(const struct sl_source_endpoint *e)
{
	char addr[SL_ADDR_STRLEN];

	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:b, s:b, s:s, s:s}", "name", e->name,
			 "address", sl_addr_format(&e->addr, addr), "port", e->port, "weight",
			 e->weight == UINT16_MAX ? -1 : e->weight, "priority", e->priority,
			 "percent", e->percent, "drain", e->drain, "down", e->down, "locality",
			 e->locality, "metadata", e->meta);
}

static void
on_answer(void *ctx, uint32_t id, const struct sl_source_endpoint *e, size_t cnt, uint32_t left_out,
	  const char *note)
{
	json_t *list = json_array();

	(void)ctx;
	for (size_t i = 0; i < cnt; i++)
		json_array_append_new(list, endpoint(&e[i]));
	print(json_pack("{s:o, s:i, s:s, s:i}", "answer", list, "left_out", (int)left_out, "note",
			note ? note : "", "id", (int)id));
}

static void
on_confirm(void *ctx, uint32_t id)
{
	(void)ctx;
	(void)id;
	print(json_pack("{s:b}", "confirm", 1));
}

static void
on_trouble(void *ctx, uint32_t id, const char *why)
{
	(void)ctx;
	(void)id;
	print(json_pack("{s:s}", "trouble", why));
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	print(json_pack("{s:s}", "say", line));
}

static int
fail(struct sl_diag *diag, const char *what)
{
	char line[1800];

	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		fprintf(stderr, "%s\n", line);
	}
	fprintf(stderr, "ask: %s\n", what);
	return 1;
}

/* key=value into q; false: no such key. */
static bool
set_key(struct sl_conf_discover *q, const char *arg)
{
	static const char *const records[] = {"", "address", "ipv4", "ipv6", "srv"};
	const char *eq = strchr(arg, '=');
	char key[32] = "";

	if (!eq || (size_t)(eq - arg) >= sizeof(key))
		return false;
	memcpy(key, arg, (size_t)(eq - arg));
	const char *v = eq + 1;
	struct {
		const char *key;
		char *field;
		size_t size;
	} texts[] = {{"name", q->name, sizeof(q->name)},
		     {"tag", q->tag, sizeof(q->tag)},
		     {"namespace", q->space, sizeof(q->space)},
		     {"port_name", q->port_name, sizeof(q->port_name)}};
	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++)
		if (strcmp(key, texts[i].key) == 0)
			return snprintf(texts[i].field, texts[i].size, "%s", v) <
			       (int)texts[i].size;
	for (unsigned i = 1; strcmp(key, "record") == 0 && i < SL_ARRAY_CNT(records); i++)
		if (strcmp(v, records[i]) == 0) {
			q->record = (uint8_t)i;
			return true;
		}
	if (strcmp(key, "port") == 0)
		q->port = (uint16_t)atoi(v);
	else if (strcmp(key, "weight") == 0)
		q->weight = (uint16_t)atoi(v);
	else if (strcmp(key, "priority") == 0)
		q->priority = (uint8_t)atoi(v);
	else
		return false;
	return true;
}

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	static char room[256];

	(void)h;
	(void)size;
	*buf = uv_buf_init(room, sizeof(room));
}

static void
on_input(uv_stream_t *in, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0) {
		uv_stop(in->loop);
		uv_close((uv_handle_t *)in, NULL);
	}
}

static int
parse(const char *file, struct sl_diag *diag, struct sl_daemon_conf *conf)
{
	static char text[65536];
	FILE *f = fopen(file, "r");

	if (!f)
		return fail(diag, "cannot read the file");
	size_t len = fread(text, 1, sizeof(text), f);
	fclose(f);
	return sl_daemon_conf_parse(file, text, len, diag, conf) ? fail(diag, "bad file") : 0;
}

int
main(int argc, char **argv)
{
	struct sl_diag diag = {0};
	struct sl_daemon_conf conf;
	struct sl_conf_discover q = {.record = SL_RECORD_ADDRESS, .weight = 1};
	const struct sl_source_conf *c = NULL;
	void *source;
	uv_pipe_t in;

	if (argc < 4)
		return fail(&diag, "ask CONF SOURCE SERVICE [key=value…]");
	if (parse(argv[1], &diag, &conf))
		return 1;
	for (unsigned i = 0; i < conf.source_cnt; i++)
		if (strcmp(conf.sources[i].name, argv[2]) == 0)
			c = &conf.sources[i];
	const struct sl_source_ops *ops = c ? sl_source_ops_of(c->type) : NULL;
	if (!ops)
		return fail(&diag, "no such source");
	snprintf(q.source, sizeof(q.source), "%s", argv[2]);
	for (int i = 4; i < argc; i++)
		if (!set_key(&q, argv[i]))
			return fail(&diag, argv[i]);
	start_ns = uv_hrtime();
	uv_loop_t *loop = uv_default_loop();
	struct sl_source_sink sink = {loop,       start_ns, on_answer, on_confirm,
				      on_trouble, on_say,   NULL};
	if (ops->create(c, &sink, &diag, &source))
		return fail(&diag, "cannot be made");
	if (ops->ask(source, 1, argv[3], &q))
		return fail(&diag, "cannot be asked");
	uv_pipe_init(loop, &in, 0);
	uv_pipe_open(&in, 0);
	uv_read_start((uv_stream_t *)&in, on_alloc, on_input);
	uv_run(loop, UV_RUN_DEFAULT);
	ops->drop(source, 1);
	ops->destroy(source);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	sl_daemon_conf_fini(&conf);
	sl_diag_fini(&diag);
	return 0;
}

/* A ring of events that holds anything, read by the daemon, and each record made a line of the access log.  An input is
 *
 *   tail u64 LE │ head u64 LE │ what stands in the ring from its first byte on
 *
 * Whatever it is, reading ends, nothing outside of ring and record is touched, and a line is one line of JSON with the keys
 * that it always has. */
#include "mgmt/access_line.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)
#define SIZE 16384u

static struct sl_access_names *names;

static void
drop_names(void)
{
	sl_access_names_destroy(names);
}

static void
learn(void)
{
	static struct sl_slot_owner owner = {.key = (char *)(uintptr_t) "edge/shop/canary"};
	const struct sl_slot_space one = {.owner = &owner, .cnt = 1};
	const struct sl_slot_map map = {one, one, one, one, one, one, .seq = 1};

	names = sl_access_names_create();
	MUST(names && sl_access_names_learn(names, 3, &map) == 0);
	atexit(drop_names);
}

static void
judge(const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	MUST(len <= SL_ACCESS_LINE_MAX && memchr(line, '\n', len) == line + len - 1);
	MUST(json_is_object(o) && json_object_size(o) == 37);
	MUST(json_is_string(json_object_get(o, "time")));
	MUST(json_is_string(json_object_get(o, "flags")));
	json_decref(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = sizeof(struct sl_events_worker) + SIZE;
	struct sl_events_worker *w = aligned_alloc(64, bytes);
	struct sl_access_clock clock = {0};
	char *line = malloc(SL_ACCESS_LINE_MAX);
	long n;

	if (!names)
		learn();
	MUST(w && line);
	memset(w, 0, bytes);
	if (size >= 16) {
		atomic_store(&w->tail, sl_load64(data));
		atomic_store(&w->head, sl_load64(data + 8));
		memcpy(w->data, data + 16, SL_MIN(size - 16, (size_t)SIZE));
	}
	for (unsigned turns = 0;; turns++) {
		uint8_t *record = aligned_alloc(8, SL_ACCESS_RECORD_MAX);
		MUST(record && turns <= SIZE / 8 + 1);
		n = sl_events_take(w, SIZE, record, SL_ACCESS_RECORD_MAX);
		uint8_t *exact = n > 0 ? aligned_alloc(8, (size_t)n) : NULL;
		if (exact) { /* sanitizers see its end */
			memcpy(exact, record, (size_t)n);
			size_t len = sl_access_line(names, &clock, (void *)exact, (size_t)n, line);
			if (len)
				judge(line, len);
		}
		free(exact);
		free(record);
		if (n == 0)
			break;
	}
	free(line);
	free(w);
	return 0;
}

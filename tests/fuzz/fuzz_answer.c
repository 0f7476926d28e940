/* What a probed endpoint sends: the same verdict however it is cut into pieces, and never a byte past its end. */
#include <stdlib.h>

#include "mgmt/held.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
	int head, body;
	unsigned status;
	const char *why;
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Pieces of 1, 2, … step bytes in turn, each in memory of exactly its size; step 0: all at once. */
static struct verdict
run(const uint8_t *data, size_t size, size_t step, const struct sl_held_text *t)
{
	struct verdict v = {.why = ""};
	struct sl_answer a = {0};
	struct sl_held h;
	size_t piece = step ? 1 : size;

	for (size_t at = 0, n; at < size && v.head >= 0 && v.body == 0; at += n) {
		n = SL_MIN(SL_MAX(piece, 1u), size - at);
		piece = step ? piece % step + 1 : n;
		uint8_t *copy = malloc(n);
		size_t from = 0;
		must(copy != NULL);
		memcpy(copy, data + at, n);
		if (v.head == 0) {
			v.head = sl_answer_feed(&a, copy, n, &v.status, &v.why);
			must(v.head <= (int)n);
			from = v.head > 0 ? (size_t)v.head : n;
			if (v.head > 0) {
				must(v.status >= 101 && v.status <= 599);
				v.head = 1;
				v.body = sl_held_begin(&h, &a, v.status, &v.why);
			}
		}
		if (v.head > 0 && v.body == 0)
			v.body = sl_held_feed(&h, t, copy + from, n - from, &v.why);
		free(copy);
	}
	must(v.head >= 0 || *v.why);
	if (v.head == 0)
		must(*sl_answer_end(&a));
	return v;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_held_text t;

	if (size > 1 << 17)
		return 0;
	sl_held_prepare(&t, "ready");
	struct verdict whole = run(data, size, 0, &t);
	for (size_t step = 1; step <= 7; step += 3) {
		struct verdict cut = run(data, size, step, &t);
		must(cut.head == whole.head && cut.body == whole.body);
		must(whole.head <= 0 || cut.status == whole.status);
		must((whole.head >= 0 && whole.body >= 0) || cut.why == whole.why);
	}
	return 0;
}

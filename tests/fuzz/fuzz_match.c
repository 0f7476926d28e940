/* Bytes make a route table and requests (route_model): what is found must be what the slow and simple matcher finds. */
#include <stdlib.h>

#include "tests/l7/route_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096
#define SCRATCH_BYTES (1u << 20)
#define REQUESTS 8

static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sl_match_scratch
		scratch; /* one for all inputs: what is left in it must not count */
	static struct sl_model_table table;
	struct sl_model_source s = {.bytes = data, .n = size};
	struct sl_test_vhost_image image;
	struct sl_match *m = NULL;

	if (size > INPUT_MAX)
		return 0;
	if (!scratch.mem)
		scratch = sl_test_scratch(SCRATCH_BYTES, NULL);
	sl_model_table(&s, 12, &table);
	sl_test_vhost_build(&table.vhost, &image);
	must(sl_match_create(image.img, image.dbs, &m) == 0);
	must(sl_match_bytes(m) <= SCRATCH_BYTES);
	scratch.hs = image.hs;
	for (unsigned i = 0; i < REQUESTS && s.n; i++) {
		struct sl_model_request r;
		sl_model_request(&s, &r);
		must(sl_model_compare(&table.vhost, m, &scratch, &r) == NULL);
	}
	sl_match_destroy(m);
	sl_test_vhost_free(&image);
	return 0;
}

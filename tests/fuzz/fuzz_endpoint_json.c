/* Any text as what a source has of endpoints: a list of them, or one. */
#include "mgmt/source.h"

#include "mgmt/conf_value.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
must_be_words(const char *why)
{
	must(why && *why);
	for (; *why; why++)
		must(*why >= ' ' && *why < 127);
}

/* Whatever is taken is what a table could say. */
static void
look_at(const json_t *e)
{
	char buf[300], ip[SL_ADDR_STRLEN], locality[SL_LOCALITY_MAX];
	struct sl_source_endpoint got;
	struct sl_addr addr;
	const char *why = sl_source_endpoint_json(e, &got, buf, sizeof(buf));

	if (why) {
		must_be_words(why);
		return;
	}
	must(sl_value_addr(sl_addr_format(&got.addr, ip), &addr) == NULL);
	must(sl_addr_eq(&got.addr, &addr));
	must(got.weight <= SL_MAX_WEIGHT || got.weight == UINT16_MAX);
	must(got.priority <= SL_MAX_PRIORITY && got.percent <= 100);
	must(sl_value_locality(got.locality, locality) == NULL);
	must(memchr(got.meta, 0, SL_META_MAX) != NULL);
	must(sl_value_meta_has(got.meta, got.meta));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[300];
	json_t *e, *j = sl_source_json((const char *)data, size, buf, sizeof(buf));
	size_t i;

	if (!j) {
		must_be_words(buf);
		return 0;
	}
	look_at(j);
	json_array_foreach(j, i, e) look_at(e);
	json_decref(j);
	return 0;
}

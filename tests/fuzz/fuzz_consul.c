/* Any bytes as what a Consul agent says of the service "web": first whole, then as X-Consul-Index. */
#include "mgmt/source_consul_read.h"
#include "tests/fuzz/source_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_as(const uint8_t *data, size_t size, const char *tag)
{
	struct sl_source_answer a = {0};
	char why[256] = "";

	if (sl_source_consul_read((const char *)data, size, "web", tag, 80, &a, why, sizeof(why)))
		must(why[0] != 0 && !a.endpoints);
	else
		must_be_an_answer(&a);
	must_be_words(why);
	sl_source_answer_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[32] = "";
	uint64_t n;

	read_as(data, size, "");
	read_as(data, size, "v2");
	memcpy(text, data, SL_MIN(size, sizeof(text) - 1));
	if (sl_source_consul_index(text, &n) == 0)
		must(strspn(text, "0123456789") == strlen(text));
	return 0;
}

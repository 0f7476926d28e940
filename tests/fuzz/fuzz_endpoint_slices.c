/* Any bytes as what a Kubernetes API server says: a page of a list, and lines of a watch; then what they make together. */
#include "mgmt/source_kubernetes_read.h"
#include "tests/fuzz/source_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
unite(const struct sl_slice *slices, const char *port_name, uint16_t port)
{
	struct sl_source_answer a;

	if (sl_source_kubernetes_union(slices, port_name, port, &a))
		return;
	must_be_an_answer(&a);
	sl_source_answer_fini(&a);
}

static void
read_page(const char *text, size_t len, const char *region)
{
	struct sl_slice_page p = {0};
	char why[256] = "";

	if (sl_source_kubernetes_page(text, len, region, &p, why, sizeof(why))) {
		must(why[0] != 0 && !p.slices && !p.more);
		must_be_words(why);
		return;
	}
	must(p.version[0] != 0);
	for (size_t i = 0; i < p.cnt; i++) {
		must_be_words(p.slices[i]->name);
		p.slices[i]->next = i + 1 < p.cnt ? p.slices[i + 1] : NULL;
	}
	unite(p.cnt ? p.slices[0] : NULL, "", 0);
	unite(p.cnt ? p.slices[0] : NULL, "http", 80);
	sl_slice_page_fini(&p);
}

static void
read_event(const char *line, size_t len)
{
	struct sl_slice_event e = {0};
	char why[256] = "";

	if (sl_source_kubernetes_event(line, len, "", &e, why, sizeof(why))) {
		must(why[0] != 0 && !e.slice);
		must_be_words(why);
		return;
	}
	must((e.version[0] != 0) == (e.kind != SL_SLICE_ERROR));
	must((e.slice != NULL) == (e.kind == SL_SLICE_PUT || e.kind == SL_SLICE_DELETE));
	must_be_words(e.text);
	if (e.slice)
		unite(e.slice, "", 80);
	sl_slice_event_fini(&e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size;

	read_page(text, size, "");
	read_page(text, size, "eu-west-1");
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		read_event(text, (size_t)(stop - text));
		text = nl ? nl + 1 : end;
	}
	return 0;
}

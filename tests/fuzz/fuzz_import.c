/* Any text as YAML: read, imported as Istio's and as the Gateway API's.  What is refused is told; what is not becomes a table that the
 * table's own parser takes. */
#include "mgmt/import.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

/* Lines of a list: where nothing breaks them. */
static void
must_be_line(const char *text)
{
	must(text != NULL);
	for (; *text; text++)
		must((unsigned char)*text >= ' ' && *text != 127);
}

static void
import(enum sl_import_from from, const struct sl_import_file *file)
{
	static const struct sl_import_how how = {"192.0.2.1", "/tables"};
	struct sl_diag diag = {0};
	struct sl_import_result r;

	if (sl_import_run(from, file, 1, &how, &diag, &r) != 0) {
		must(diag.cnt > 0);
		must_be_line(diag.items[0].text);
		sl_diag_fini(&diag);
		return;
	}
	for (const struct sl_left_item *i = r.left.first; i; i = i->next) {
		must_be_line(i->object);
		must_be_line(i->path);
		must_be_line(i->text);
	}
	must(r.good);
	sl_import_result_fini(&r);
	sl_diag_fini(&diag);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_import_file file = {"f", (const char *)data, size};

	import(SL_IMPORT_ISTIO, &file);
	import(SL_IMPORT_GATEWAY_API, &file);
	return 0;
}

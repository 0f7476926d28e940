/* Any text as a slot map: refused, or saved again as a text that loads to the same. */
#include "mgmt/compile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_slot_map map, back;
	char *text, *again;
	size_t len, again_len;

	if (sl_slot_map_load((const char *)data, size, NULL, &map) != 0)
		return 0;
	if (sl_slot_map_save(&map, &text, &len) != 0 ||
	    sl_slot_map_load(text, len, NULL, &back) != 0 ||
	    sl_slot_map_save(&back, &again, &again_len) != 0 || len != again_len ||
	    memcmp(text, again, len) != 0)
		abort();
	free(text);
	free(again);
	sl_slot_map_fini(&map);
	sl_slot_map_fini(&back);
	return 0;
}

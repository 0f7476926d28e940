/* Any text as a table file: refused in words, or compiled to objects that the dataplane takes. */
#include "mgmt/compile.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/image_check.h"
#include "lb/maglev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
must_pass(const struct sl_compiled_object *o, enum sl_obj_kind kind)
{
	must(sl_image_check(o->bytes, o->size, kind, &o->id, "object", NULL) == 0);
}

/* Large tables are slow and all alike. */
static bool
small(const struct sl_conf *c)
{
	uint64_t places = 0;

	for (uint32_t i = 0; i < c->service_cnt; i++)
		places += sl_maglev_size(c->services[i].max_endpoints);
	return places < 200000;
}

static void
compile(const struct sl_conf *c)
{
	struct sl_slot_map none, first_map, second_map;
	struct sl_compiled *first, *second;

	sl_slot_map_init(&none);
	int err = sl_compile(c, &none, NULL, NULL, NULL, &first_map, &first);
	must(err == (sl_compile_needs_shards(c) ? -EINVAL : 0)); /* no fuzzer waits for databases */
	if (err)
		return;
	must_pass(&first->root, SL_OBJ_ROOT);
	must_pass(&first->objs[0], SL_OBJ_NETWORK);
	must_pass(&first->objs[1], SL_OBJ_LISTENERS);
	for (uint32_t i = 2; i < first->cnt; i++) {
		const struct sl_obj_head *head = first->objs[i].bytes;
		must(head->kind >= SL_OBJ_SERVICE && head->kind <= SL_OBJ_KIND_LAST);
		must_pass(&first->objs[i], (enum sl_obj_kind)head->kind);
	}
	must(sl_compile(c, &first_map, first, NULL, NULL, &second_map, &second) == 0);
	must(memcmp(&first->root.id, &second->root.id, SL_ID_BYTES) == 0);
	sl_compiled_free(first);
	sl_compiled_free(second);
	sl_slot_map_fini(&first_map);
	sl_slot_map_fini(&second_map);
}

/* What people are told is text. */
static void
look_at(const struct sl_diag_item *items, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		char line[2048];
		sl_diag_format(&items[i], line, sizeof(line));
		for (const char *p = line; *p; p++)
			must((unsigned char)*p >= ' ' && (unsigned char)*p < 127);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;
	int err = sl_conf_parse("fuzz.conf", (const char *)data, size, &diag, &c);

	must(err ? diag.cnt > 0 : diag.cnt == 0);
	look_at(diag.items, diag.cnt);
	look_at(diag.warnings, diag.warning_cnt);
	if (err == 0 && small(c))
		compile(c);
	sl_conf_free(c);
	sl_diag_fini(&diag);
	return 0;
}

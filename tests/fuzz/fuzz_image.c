/* Any bytes as a generation: refused, or the view built from them can be walked to the end.
 *
 * The input is objects one after the other, ROOT first, each as long as its head says (what is left over is
 * the last).  What a peer could make right himself is made right here, so that mutations reach what lies
 * behind: sums are not compared and the sizes of the root's refs are filled in.
 *
 * The byte code in a SHARD is left out: it cannot be validated (image.h), so when a SHARD's own fields pass, a database of
 * ours takes the place of its bytes.  Requests are then matched with it. */
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/dataplane/image_build.h"

#define OBJECTS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each object lies in memory of exactly its size. */
static unsigned
split(const uint8_t *data, size_t size, struct sl_object objs[OBJECTS])
{
	unsigned cnt = 0;

	while (size && cnt < OBJECTS) {
		size_t n = size;
		if (size >= sizeof(struct sl_obj_head)) {
			uint32_t said = sl_load32(data + offsetof(struct sl_obj_head, size));
			if (said >= sizeof(struct sl_obj_head) && said < size)
				n = said;
		}
		void *copy = malloc(n);
		if (!copy)
			abort();
		memcpy(copy, data, n);
		objs[cnt++] = (struct sl_object){.bytes = copy, .size = n};
		data += n;
		size -= n;
	}
	return cnt;
}

static bool
check(const struct sl_object *o, enum sl_obj_kind kind)
{
	struct sl_diag d = {0};
	int err = sl_image_check(o->bytes, o->size, kind, NULL, "object", &d);

	if (err ? d.cnt == 0 : d.cnt != 0)
		abort(); /* a refusal has a reason */
	sl_diag_fini(&d);
	return err == 0;
}

/* A serialised database of one pattern. */
static const char *
database(size_t *ret_bytes)
{
	static char *bytes;
	static size_t cnt;
	hs_database_t *db = NULL;
	hs_compile_error_t *err = NULL;

	if (!bytes && (hs_compile("x.y", HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL,
				  HS_MODE_BLOCK, NULL, &db, &err) != HS_SUCCESS ||
		       hs_serialize_database(db, &bytes, &cnt) != HS_SUCCESS))
		abort();
	hs_free_database(db);
	*ret_bytes = cnt;
	return bytes;
}

/* The SHARD with our database in it. */
static void
put_database(struct sl_object *o)
{
	const struct sl_img_shard *was = o->bytes;
	size_t bytes;
	const char *db = database(&bytes);
	size_t size = (sizeof(*was) + bytes + 7) & ~(size_t)7;
	struct sl_img_shard *s = calloc(1, size);

	if (!s)
		abort();
	*s = *was;
	s->head.size = (uint32_t)size;
	s->db_bytes = (uint32_t)bytes;
	s->db_off = sizeof(*s);
	memcpy(s + 1, db, bytes);
	free(sl_test_bytes(o));
	*o = (struct sl_object){.bytes = s, .size = size};
}

static void
build(const struct sl_object *root, const struct sl_object *objs, unsigned cnt)
{
	static const struct sl_view_ports ports = {.worker_cnt = 1, .cnt = 2, .name = {"p0", "p1"}};
	static const struct sl_obj_id id;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	int err = sl_view_create(root, &id, 1, objs, cnt, &ports, &d, &v);
	const char *wrong = err ? NULL : sl_test_view_walk(v);
	if (wrong || (err ? d.cnt == 0 : d.cnt != 0)) {
		fprintf(stderr, "fuzz_image: %s\n", wrong ? wrong : "outcome and reasons differ");
		abort();
	}
	sl_view_destroy(v);
	sl_diag_fini(&d);
}

static void
generation(struct sl_object *objs, unsigned cnt)
{
	bool good = check(&objs[0], SL_OBJ_ROOT);
	struct sl_img_root *root = sl_test_bytes(&objs[0]);

	if (!good || root->ref_cnt != cnt - 1)
		return;
	struct sl_img_ref *ref = (void *)((char *)root + root->ref_off);
	for (unsigned i = 0; i < cnt - 1; i++) {
		bool one = check(&objs[i + 1], ref[i].kind);
		if (one && ref[i].kind == SL_OBJ_SHARD)
			put_database(&objs[i + 1]);
		ref[i].size = (uint32_t)objs[i + 1].size;
		good &= one;
	}
	if (good)
		build(&objs[0], objs + 1, cnt - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *null;
	struct sl_object objs[OBJECTS];
	unsigned cnt = split(data, size, objs);

	if (!null)
		null = fopen("/dev/null", "w");
	for (unsigned i = 0; null && i < cnt; i++)
		sl_image_dump(objs[i].bytes, objs[i].size, null);
	if (cnt)
		generation(objs, cnt);
	for (unsigned i = 0; i < cnt; i++)
		free(sl_test_bytes(&objs[i]));
	return 0;
}

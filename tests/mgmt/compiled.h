/* compiled — results of the compiler in tests: pushed one after the other, compared, and read as the dataplane reads them. */
#ifndef SL_TESTS_MGMT_COMPILED_H
#define SL_TESTS_MGMT_COMPILED_H

#include "dataplane/image_check.h"
#include "dataplane/view.h"
#include "mgmt/compile.h"

#include "suite.h"

struct pushed {
	struct sl_slot_map map;
	struct sl_compiled *out;
};

static inline struct sl_conf *
conf_of(const char *text)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	int err = sl_conf_parse("t", text, strlen(text), &diag, &c);
	if (diag.cnt)
		printf("\n  %s: %s", diag.items[0].path, diag.items[0].text);
	sl_diag_fini(&diag);
	CU_ASSERT_EQUAL_FATAL(err, 0);
	return c;
}

/* The first push when prev is NULL. */
static inline struct pushed
push_with(const struct sl_conf *c, const struct pushed *prev, struct sl_shards *shards)
{
	struct sl_slot_map none;
	struct pushed p;

	sl_slot_map_init(&none);
	CU_ASSERT_EQUAL_FATAL(sl_compile(c, prev ? &prev->map : &none, prev ? prev->out : NULL,
					 shards, NULL, &p.map, &p.out),
			      0);
	return p;
}

static inline struct pushed
push(const struct sl_conf *c, const struct pushed *prev)
{
	return push_with(c, prev, NULL);
}

static inline void
pushed_fini(struct pushed *p)
{
	sl_slot_map_fini(&p->map);
	sl_compiled_free(p->out);
}

static inline bool
same_object(const struct sl_compiled_object *a, const struct sl_compiled_object *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0 &&
	       memcmp(&a->id, &b->id, sizeof(a->id)) == 0;
}

static inline bool
same_bytes(const struct sl_compiled *a, const struct sl_compiled *b)
{
	if (a->cnt != b->cnt || !same_object(&a->root, &b->root))
		return false;
	for (uint32_t i = 0; i < a->cnt; i++)
		if (!same_object(&a->objs[i], &b->objs[i]))
			return false;
	return true;
}

static inline const struct sl_img_service *
service(const struct sl_compiled *c, const char *name)
{
	for (uint32_t i = 2; i < c->cnt; i++) {
		const struct sl_img_service *s = c->objs[i].bytes;
		if (s->head.kind == SL_OBJ_SERVICE && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static inline const struct sl_img_level *
level(const struct sl_img_service *s, uint32_t i)
{
	return (const struct sl_img_level *)(const void *)((const char *)s + s->level_off) + i;
}

/* ---- what the dataplane says of it ---- */

static inline bool
checks_pass(const struct sl_compiled *c)
{
	struct sl_diag diag = {0};
	char line[2048];

	sl_image_check(c->root.bytes, c->root.size, SL_OBJ_ROOT, &c->root.id, "root", &diag);
	for (uint32_t i = 0; i < c->cnt; i++) {
		const struct sl_img_root *root = c->root.bytes;
		const struct sl_img_ref *ref = (const void *)((const char *)root + root->ref_off);
		enum sl_obj_kind kind = (enum sl_obj_kind)ref[i].kind;
		sl_image_check(c->objs[i].bytes, c->objs[i].size, kind, &c->objs[i].id, "object",
			       &diag);
	}
	for (unsigned i = 0; i < diag.cnt; i++) {
		sl_diag_format(&diag.items[i], line, sizeof(line));
		printf("\n  %s", line);
	}
	bool good = diag.cnt == 0;
	sl_diag_fini(&diag);
	return good;
}

/* The view that the dataplane makes of it, for one worker; NULL: it refuses, and says why. */
static inline struct sl_view *
view_of(const struct sl_compiled *c)
{
	static const struct sl_view_ports ports = {
		.worker_cnt = 1, .cnt = 3, .name = {"front", "back", "a"}};
	struct sl_object root = {c->root.bytes, c->root.size, NULL};
	struct sl_object *objs = calloc(c->cnt, sizeof(*objs));
	struct sl_view *view = NULL;
	struct sl_diag diag = {0};

	for (uint32_t i = 0; i < c->cnt; i++)
		objs[i] = (struct sl_object){c->objs[i].bytes, c->objs[i].size, NULL};
	sl_view_create(&root, &c->root.id, 1, objs, c->cnt, &ports, &diag, &view);
	for (unsigned i = 0; i < diag.cnt; i++)
		printf("\n  %s: %s", diag.items[i].path, diag.items[i].text);
	sl_diag_fini(&diag);
	free(objs);
	return view;
}

static inline bool
view_stands(const struct sl_compiled *c)
{
	struct sl_view *view = view_of(c);

	sl_view_destroy(view);
	return view != NULL;
}

#endif

#include "tests/sim/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/image_check.h"

void
table_init(struct table *t)
{
	memset(t, 0, sizeof(*t));
	sl_slot_map_init(&t->slots);
}

void
table_fini(struct table *t)
{
	sl_slot_map_fini(&t->slots);
}

static int
check_all(const struct sl_compiled *c, struct sl_diag *d)
{
	const struct sl_img_root *root = c->root.bytes;
	const struct sl_img_ref *refs = (const void *)((const char *)c->root.bytes + root->ref_off);
	int rc = sl_image_check(c->root.bytes, c->root.size, SL_OBJ_ROOT, &c->root.id, "root", d);

	for (uint32_t i = 0; i < c->cnt && rc == 0; i++)
		rc = sl_image_check(c->objs[i].bytes, c->objs[i].size,
				    (enum sl_obj_kind)refs[i].kind, &c->objs[i].id, "object", d);
	return rc;
}

static int
build(struct sl_compiled *c, uint64_t generation, struct sl_diag *d, struct sl_view **ret)
{
	static const struct sl_view_ports ports = {
		.worker_cnt = 8, .cnt = 2, .name = {"front", "back"}};
	struct sl_object *objs = calloc(c->cnt, sizeof(*objs));
	struct sl_object root = {.bytes = c->root.bytes, .size = c->root.size};

	for (uint32_t i = 0; i < c->cnt; i++)
		objs[i] = (struct sl_object){.bytes = c->objs[i].bytes, .size = c->objs[i].size};
	int rc = sl_view_create(&root, &c->root.id, generation, objs, c->cnt, &ports, d, ret);
	free(objs);
	return rc;
}

struct table_view
table_push(struct table *t, const char *text)
{
	struct table_view v = {0};
	struct sl_diag d = {0};
	struct sl_conf *conf = NULL;
	struct sl_slot_map next;

	if (sl_conf_parse("table", text, strlen(text), &d, &conf) == 0 &&
	    (!t->fill || (t->fill(conf), true)) &&
	    sl_compile(conf, &t->slots, NULL, NULL, &d, &next, &v.compiled) == 0) {
		sl_slot_map_fini(&t->slots);
		t->slots = next;
		if (check_all(v.compiled, &d) == 0)
			build(v.compiled, ++t->generation, &d, &v.view);
	}
	for (unsigned i = 0; i < d.cnt; i++) {
		char line[2048];
		sl_diag_format(&d.items[i], line, sizeof(line));
		fprintf(stderr, "%s\n", line);
	}
	sl_diag_fini(&d);
	sl_conf_free(conf);
	return v;
}

void
table_release(struct table_view *v)
{
	if (v->view)
		sl_view_destroy(v->view);
	if (v->compiled)
		sl_compiled_free(v->compiled);
	*v = (struct table_view){0};
}

void
table_append(struct table_text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->room - t->len < 4096) {
		t->room = t->room ? 2 * t->room : 65536;
		t->buf = realloc(t->buf, t->room);
		if (!t->buf)
			abort();
	}
	va_start(ap, fmt);
	int n = vsnprintf(t->buf + t->len, t->room - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->room - t->len)
		abort();
	t->len += (size_t)n;
}

uint32_t
table_slot(const struct sl_view *v, const char *service, const char *endpoint)
{
	for (uint32_t s = 0; s < v->service_cnt; s++) {
		const struct sl_service *svc = &v->services[s];
		if (strcmp(svc->img->name, service))
			continue;
		for (uint32_t e = 0; e < svc->endpoint_cnt; e++)
			if (strcmp(svc->endpoints[e].name, endpoint) == 0)
				return svc->endpoints[e].slot;
	}
	return UINT32_MAX;
}

/* What Kubernetes itself writes into objects has no meaning here, and is passed over: these are the lists of it. */
#include "mgmt/import_objects.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <string.h>

static const char *const no_meaning[] = {
	"name",
	"namespace",
	"uid",
	"resourceVersion",
	"generation",
	"creationTimestamp",
	"selfLink",
	"managedFields",
	"labels",
	"ownerReferences",
	"finalizers",
	"generateName",
	"deletionTimestamp",
	"deletionGracePeriodSeconds",
	NULL,
};

/* Annotations that change what the projects do with an object; all others are for people and other programs. */
static bool
annotation_acts(const char *key)
{
	return strstr(key, "istio.io/") || strstr(key, "gateway.networking.k8s.io/");
}

static void
use_metadata(struct sl_yaml *meta)
{
	for (size_t i = 0; no_meaning[i]; i++) {
		struct sl_yaml *n = sl_yaml_peek(meta, no_meaning[i]);
		if (n)
			sl_yaml_use(n);
	}
	struct sl_yaml *all = sl_yaml_get(meta, "annotations");
	for (struct sl_yaml *n = all ? all->first : NULL; n; n = n->next)
		n->used = n->used || !n->key || !annotation_acts(n->key);
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

static const char *
printable(struct sl_memory *m, const char *text)
{
	char quoted[300];

	sl_value_quote(text, quoted, sizeof(quoted));
	return sl_memory_copy(m, quoted + 1, strlen(quoted) - 2);
}

static void
add_one(struct sl_objects *o, struct sl_yaml *root, const char *kind, const struct sl_kind *kinds)
{
	const char *version = or_empty(sl_yaml_get_text(root, "apiVersion")),
		   *slash = strchr(version, '/');
	struct sl_yaml *meta = sl_yaml_get(root, "metadata"),
		       *status = sl_yaml_peek(root, "status");
	struct sl_object *b = sl_memory_take(o->m, sizeof(*b));

	sl_yaml_get(root, "kind");
	b->group = slash ? sl_memory_copy(o->m, version, (size_t)(slash - version)) : "";
	b->kind = kind;
	b->name = or_empty(sl_yaml_peek_text(meta, "name"));
	b->space = sl_yaml_peek_text(meta, "namespace");
	b->space = b->space ? b->space : "default";
	b->created = or_empty(sl_yaml_peek_text(meta, "creationTimestamp"));
	b->title = sl_memory_print(o->m, "%s %s/%s", printable(o->m, kind),
				   printable(o->m, b->space), printable(o->m, b->name));
	b->root = root;
	b->spec = sl_yaml_get(root, "spec");
	root->object = b;
	root->used = true;
	if (meta)
		use_metadata(meta);
	if (status)
		sl_yaml_use(status);
	for (const struct sl_kind *k = kinds; k->kind && !b->wanted; k++)
		b->wanted = !strcmp(k->kind, kind) && !strcmp(k->group, b->group);
	if (!b->wanted) {
		sl_left_out(o->left, root, "%s of \"%s\" is no kind that this import reads", kind,
			    printable(o->m, version));
		return;
	}
	if (o->last)
		o->last->next = b;
	else
		o->first = b;
	o->last = b;
}

/* A document or an item of a list; kind: what it is if it does not say so itself. */
static void
add(struct sl_objects *o, struct sl_yaml *root, const char *kind, const struct sl_kind *kinds,
    unsigned depth)
{
	const char *own = sl_yaml_peek_text(root, "kind");
	size_t len;

	if (own)
		kind = own;
	if (root->type != SL_YAML_MAP || !kind) {
		sl_left_out(o->left, root, "is no object: it has no kind");
		return;
	}
	len = strlen(kind);
	struct sl_yaml *items = sl_yaml_peek(root, "items");
	if (len < 4 || strcmp(kind + len - 4, "List") || !items || depth == 0) {
		add_one(o, root, kind, kinds);
		return;
	}
	const char *of = len > 4 ? sl_memory_copy(o->m, kind, len - 4) : NULL;
	for (struct sl_yaml *n = sl_yaml_each(items, NULL); n; n = sl_yaml_each(items, n))
		add(o, n, of, kinds, depth - 1);
}

void
sl_objects_add(struct sl_objects *o, struct sl_yaml *docs, const struct sl_kind *kinds)
{
	for (struct sl_yaml *next; docs; docs = next) {
		next = docs->next;
		docs->next = NULL;
		add(o, docs, NULL, kinds, 2);
	}
}

struct sl_object *
sl_objects_next(const struct sl_objects *o, const struct sl_object *before, const char *kind)
{
	struct sl_object *b = before ? before->next : o->first;

	while (b && strcmp(b->kind, kind))
		b = b->next;
	return b;
}

struct sl_object *
sl_objects_find(const struct sl_objects *o, const char *kind, const char *space, const char *name)
{
	struct sl_object *b = NULL;

	while ((b = sl_objects_next(o, b, kind)))
		if (strcmp(b->name, name) == 0 && strcmp(b->space, space) == 0)
			return b;
	return NULL;
}

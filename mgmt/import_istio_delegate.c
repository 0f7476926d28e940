/* VirtualServices that lead to others: `delegate` → the routes of both in one, before anything is served.
 *
 *   root:     - match: [M]   delegate: {name: D}   timeout: 1s         http of the root: - match: [M and N]   timeout: 1s   route: R
 *   D:        - match: [N]   route: R                          ─▶
 *
 * As Istio does it: of two that say the same the delegate counts, of headers both do; a match that contradicts the root's, or is a regex
 * where both are given, takes nothing, nor does a delegate's delegate.
 */
#include "mgmt/import_istio.h"

#include <string.h>

#define NODES_MAX (1u << 20) /* of all copies */

struct merging {
	struct sl_import *im;
	uint32_t nodes;
	bool full;
};

/* ---- trees ---- */

static void
hang(struct sl_yaml *to, struct sl_yaml *n)
{
	n->parent = to;
	n->next = NULL;
	n->index = to->cnt++;
	if (to->last)
		to->last->next = n;
	else
		to->first = n;
	to->last = n;
}

/* A node like it without what is below it, as the last of to. */
static struct sl_yaml *
node_like(struct merging *m, const struct sl_yaml *from, struct sl_yaml *to)
{
	struct sl_yaml *n = sl_memory_take(&m->im->m, sizeof(*n));

	*n = (struct sl_yaml){.key = from->key,
			      .text = from->text,
			      .file = from->file,
			      .hash = from->hash,
			      .line = from->line,
			      .type = from->type,
			      .plain = from->plain};
	m->full = m->full || ++m->nodes > NODES_MAX;
	hang(to, n);
	return n;
}

/* Depth is bounded (SL_YAML_DEPTH). */
static void
copy(struct merging *m, const struct sl_yaml *from, struct sl_yaml *to)
{
	struct sl_yaml *n = node_like(m, from, to);

	for (const struct sl_yaml *c = from->first; c && !m->full; c = c->next)
		copy(m, c, n);
}

/* The members of from that to has not. */
static void
copy_others(struct merging *m, const struct sl_yaml *from, struct sl_yaml *to)
{
	for (const struct sl_yaml *c = from->first; c && !m->full; c = c->next)
		if (!sl_yaml_peek(to, c->key))
			copy(m, c, to);
}

/* ---- contradictions ---- */

static const char *
text_of(const struct sl_yaml *node, const char *form)
{
	const char *text = sl_yaml_peek_text(node, form);

	return text && *text ? text : NULL;
}

static bool
texts_differ(const struct sl_yaml *root, const struct sl_yaml *leaf)
{
	const char *exact = text_of(root, "exact"), *prefix = text_of(root, "prefix"),
		   *leaf_exact = text_of(leaf, "exact"), *leaf_prefix = text_of(leaf, "prefix");

	if (!root || !leaf)
		return false;
	if (text_of(root, "regex") || text_of(leaf, "regex"))
		return true;
	if (exact)
		return !leaf_exact || strcmp(exact, leaf_exact);
	leaf_exact = leaf_exact ? leaf_exact : leaf_prefix;
	return !prefix || !leaf_exact || strncmp(leaf_exact, prefix, strlen(prefix));
}

static bool
maps_differ(const struct sl_yaml *root, const struct sl_yaml *leaf, bool plain)
{
	for (const struct sl_yaml *n = root && leaf ? leaf->first : NULL; n; n = n->next) {
		const struct sl_yaml *r = n->key ? sl_yaml_peek(root, n->key) : NULL;
		if (r && (plain ? strcmp(r->text, n->text) != 0 : texts_differ(r, n)))
			return true;
	}
	return false;
}

static bool
values_differ(const struct sl_yaml *root, const struct sl_yaml *leaf)
{
	return root && leaf && strcmp(root->text, leaf->text);
}

static bool
gateways_differ(const struct sl_yaml *root, const struct sl_yaml *leaf)
{
	for (const struct sl_yaml *n = root && leaf ? leaf->first : NULL; n; n = n->next) {
		const struct sl_yaml *r = root->first;
		while (r && strcmp(r->text, n->text))
			r = r->next;
		if (!r)
			return true;
	}
	return false;
}

static bool
matches_differ(const struct sl_yaml *root, const struct sl_yaml *leaf)
{
	static const struct {
		const char *key;
		enum { TEXT, MAP, LABELS, VALUE, GATEWAYS } kind;
	} keys[] = {{"uri", TEXT},
		    {"scheme", TEXT},
		    {"method", TEXT},
		    {"authority", TEXT},
		    {"headers", MAP},
		    {"withoutHeaders", MAP},
		    {"queryParams", MAP},
		    {"sourceLabels", LABELS},
		    {"port", VALUE},
		    {"ignoreUriCase", VALUE},
		    {"sourceNamespace", VALUE},
		    {"gateways", GATEWAYS}};

	for (size_t i = 0; i < SL_ARRAY_CNT(keys); i++) {
		const struct sl_yaml *r = sl_yaml_peek(root, keys[i].key),
				     *l = sl_yaml_peek(leaf, keys[i].key);
		if (keys[i].kind == TEXT       ? texts_differ(r, l)
		    : keys[i].kind == VALUE    ? values_differ(r, l)
		    : keys[i].kind == GATEWAYS ? gateways_differ(r, l)
					       : maps_differ(r, l, keys[i].kind == LABELS))
			return true;
	}
	return false;
}

/* ---- matches ---- */

static void
merge_match(struct merging *m, const struct sl_yaml *root, const struct sl_yaml *leaf,
	    struct sl_yaml *list)
{
	static const char *const maps[] = {"headers", "withoutHeaders", "queryParams",
					   "sourceLabels"};
	struct sl_yaml *to = node_like(m, leaf, list);

	for (const struct sl_yaml *n = leaf->first; n; n = n->next)
		copy(m, n, to);
	for (size_t i = 0; i < SL_ARRAY_CNT(maps); i++) {
		struct sl_yaml *map = sl_yaml_peek(to, maps[i]);
		const struct sl_yaml *of = sl_yaml_peek(root, maps[i]);
		if (map && of && map->type == SL_YAML_MAP)
			copy_others(m, of, map);
	}
	copy_others(m, root, to);
}

/* The matches that are of both.  false: none is. */
static bool
merge_matches(struct merging *m, const struct sl_yaml *root, const struct sl_yaml *leaf,
	      struct sl_yaml *to)
{
	struct sl_yaml *list;

	if (!root || !root->first || !leaf || !leaf->first) {
		if ((leaf && leaf->first) || root)
			copy(m, leaf && leaf->first ? leaf : root, to);
		return true;
	}
	list = node_like(m, leaf, to);
	for (struct sl_yaml *l = leaf->first; l; l = l->next) {
		uint32_t before = list->cnt;
		for (const struct sl_yaml *r = root->first; r && !m->full; r = r->next) {
			m->full = ++m->nodes > NODES_MAX;
			if (!matches_differ(r, l))
				merge_match(m, r, l, list);
		}
		if (list->cnt == before)
			sl_left_note(
				&m->im->left, l,
				"no request is of it and of a match that leads to it, as in Istio");
	}
	return list->first;
}

/* ---- routes ---- */

/* Names of the delegate's services are of its namespace. */
static void
place_host(struct merging *m, struct sl_yaml *destination, const char *space)
{
	struct sl_yaml *host = sl_yaml_peek(destination, "host");

	if (host && host->type == SL_YAML_TEXT && *host->text)
		host->text = sl_istio_host(m->im, host->text, space);
}

static void
place_hosts(struct merging *m, struct sl_yaml *http, const char *space)
{
	static const char *const lists[] = {"route", "mirrors"};

	place_host(m, sl_yaml_peek(http, "mirror"), space);
	for (size_t i = 0; i < 2; i++) {
		struct sl_yaml *list = sl_yaml_peek(http, lists[i]);
		for (struct sl_yaml *n = list ? list->first : NULL; n; n = n->next)
			place_host(m, sl_yaml_peek(n, "destination"), space);
	}
}

static void
merge_headers(struct merging *m, const struct sl_yaml *root, struct sl_yaml *headers)
{
	for (const struct sl_yaml *way = root->first; way; way = way->next) {
		struct sl_yaml *to = way->key ? sl_yaml_peek(headers, way->key) : NULL;
		for (const struct sl_yaml *op = to ? way->first : NULL; op; op = op->next) {
			struct sl_yaml *all = op->key ? sl_yaml_peek(to, op->key) : NULL;
			if (all && all->type == SL_YAML_MAP)
				copy_others(m, op, all);
			else if (all)
				for (struct sl_yaml *n = op->first; n; n = n->next)
					copy(m, n, all);
		}
		if (to)
			copy_others(m, way, to);
	}
	copy_others(m, root, headers);
}

static const char *const inherited[] = {
	"rewrite",          "timeout", "retries",        "fault",         "mirror",
	"mirrorPercentage", "mirrors", "mirror_percent", "mirrorPercent", "corsPolicy",
};

/* What of a route that leads to a delegate has no meaning. */
static void
tell_others(struct merging *m, struct sl_yaml *root)
{
	static const char *const read[] = {"name", "match", "delegate", "headers"};

	for (struct sl_yaml *n = root->first; n; n = n->next) {
		bool known = false;
		for (size_t i = 0; i < SL_ARRAY_CNT(read); i++)
			known = known || !strcmp(n->key, read[i]);
		for (size_t i = 0; i < SL_ARRAY_CNT(inherited); i++)
			known = known || !strcmp(n->key, inherited[i]);
		if (!known)
			sl_left_out(&m->im->left, n, "is nothing of a route that is delegated");
	}
}

/* One route of the delegate under one of the root. */
static void
merge_route(struct merging *m, const struct sl_object *delegate, const struct sl_yaml *root,
	    struct sl_yaml *leaf, struct sl_yaml *to)
{
	struct sl_yaml *http = node_like(m, leaf, to), *headers;
	const char *first = sl_yaml_peek_text(root, "name"),
		   *second = sl_yaml_peek_text(leaf, "name");

	if (!merge_matches(m, sl_yaml_peek(root, "match"), sl_yaml_peek(leaf, "match"), http)) {
		sl_left_note(
			&m->im->left, leaf,
			"no request is of its match and of the one that leads to it, as in Istio");
		sl_yaml_use(http);
		return;
	}
	for (const struct sl_yaml *n = leaf->first; n && !m->full; n = n->next)
		if (strcmp(n->key, "match"))
			copy(m, n, http);
	place_hosts(m, http, delegate->space);
	struct sl_yaml *name = sl_yaml_peek(http, "name");
	if (name && first)
		name->text = sl_memory_print(&m->im->m, "%s-%s", first, second);
	for (size_t i = 0; i < SL_ARRAY_CNT(inherited); i++) {
		const struct sl_yaml *n = sl_yaml_peek(root, inherited[i]);
		if (n && !sl_yaml_peek(http, inherited[i]))
			copy(m, n, http);
	}
	const struct sl_yaml *edits = sl_yaml_peek(root, "headers");
	if (edits && (headers = sl_yaml_peek(http, "headers")))
		merge_headers(m, edits, headers);
	else if (edits)
		copy(m, edits, http);
	if (!sl_yaml_peek(leaf, "delegate"))
		return;
	sl_left_out(&m->im->left, leaf, "a delegate has no delegates, as in Istio");
	sl_yaml_use(http);
}

/* Routes that came to nothing are no part of the list. */
static void
drop_used(struct sl_yaml *list)
{
	struct sl_yaml *n = list->first, *next;

	list->first = list->last = NULL;
	list->cnt = 0;
	for (; n; n = next) {
		next = n->next;
		if (!n->used)
			hang(list, n);
	}
}

static void
merge_delegate(struct merging *m, struct sl_object *vs, struct sl_yaml *root, struct sl_yaml *to)
{
	struct sl_yaml *ref = sl_yaml_peek(root, "delegate");
	const char *name = sl_yaml_peek_text(ref, "name"),
		   *space = sl_yaml_peek_text(ref, "namespace");
	struct sl_object *o = !name ? NULL
				    : sl_objects_find(&m->im->objects, "VirtualService",
						      space && *space ? space : vs->space, name);
	const struct sl_yaml *hosts = o ? sl_yaml_peek(o->spec, "hosts") : NULL;
	struct sl_yaml *http = o ? sl_yaml_get(o->spec, "http") : NULL;

	if (!o || o == vs || (hosts && hosts->first)) {
		sl_left_out(&m->im->left, root,
			    "there is no such VirtualService without hosts in the files: the route "
			    "is not there");
		return;
	}
	tell_others(m, root);
	for (struct sl_yaml *n = http ? http->first : NULL; n && !m->full; n = n->next) {
		merge_route(m, o, root, n, to);
		sl_yaml_use(n);
	}
}

void
sl_istio_delegate(struct sl_import *im)
{
	struct merging m = {.im = im};
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "VirtualService"))) {
		struct sl_yaml *http = sl_yaml_peek(o->spec, "http"), *n, *next;
		for (n = http ? http->first : NULL; n && !sl_yaml_peek(n, "delegate");)
			n = n->next;
		if (!n)
			continue;
		const struct sl_yaml *hosts = sl_yaml_peek(o->spec, "hosts");
		if (!hosts || !hosts->first)
			continue; /* told where it is led to */
		n = http->first;
		http->first = http->last = NULL;
		http->cnt = 0;
		for (; n; n = next) {
			next = n->next;
			if (!sl_yaml_peek(n, "delegate")) {
				hang(http, n);
				continue;
			}
			merge_delegate(&m, o, n, http);
		}
		drop_used(http);
		if (m.full)
			http->first = http->last = NULL, http->cnt = 0;
		if (m.full)
			sl_left_out(
				&im->left, http,
				"with its delegates it has more than %u values: it is not there",
				NODES_MAX);
	}
}

/* From files to the text of a table: read, imported by the kinds, written, and read again by the table's own parser. */
#include "mgmt/import_priv.h"

#include "mgmt/conf.h"
#include "mgmt/conf_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what all kinds need ---- */

/* In place of one that is there. */
static void
set(struct sl_import *im, struct sl_out *to, const struct sl_out *value)
{
	struct sl_out *o = sl_out_find(to, value->name);

	if (!o)
		o = sl_out_text(&im->m, to, value->name, "");
	o->type = value->type;
	o->text = value->text;
	o->number = value->number;
}

void
sl_import_set(struct sl_import *im, struct sl_out *to, const char *key, const char *text)
{
	set(im, to, &(struct sl_out){.name = key, .type = SL_OUT_TEXT, .text = text});
}

void
sl_import_set_number(struct sl_import *im, struct sl_out *to, const char *key, int64_t n)
{
	set(im, to, &(struct sl_out){.name = key, .type = SL_OUT_NUMBER, .number = n});
}

void
sl_import_set_bool(struct sl_import *im, struct sl_out *to, const char *key, bool yes)
{
	set(im, to, &(struct sl_out){.name = key, .type = SL_OUT_BOOL, .number = yes});
}

bool
sl_import_time(struct sl_import *im, struct sl_out *to, const char *key, struct sl_yaml *node,
	       uint64_t lo_ms, uint64_t hi_ms, uint64_t *ret_ms)
{
	uint64_t ms;

	if (node->type != SL_YAML_TEXT || !sl_words_duration(node->text, &ms)) {
		sl_left_out(&im->left, node, "is no duration, as 15s");
		return false;
	}
	uint64_t fit = SL_MIN(SL_MAX(ms, lo_ms), hi_ms);
	if (fit != ms)
		sl_left_changed(&im->left, node, "%s goes from %s to %s: %s", key,
				sl_words_time(&im->m, lo_ms), sl_words_time(&im->m, hi_ms),
				sl_words_time(&im->m, fit));
	sl_import_set(im, to, key, sl_words_time(&im->m, fit));
	if (ret_ms)
		*ret_ms = fit;
	return true;
}

bool
sl_import_number(struct sl_import *im, struct sl_out *to, const char *key, struct sl_yaml *node,
		 int64_t lo, int64_t hi)
{
	int64_t n;

	if (!sl_yaml_number(node, INT64_MIN / 2, INT64_MAX / 2, &n)) {
		sl_left_out(&im->left, node, "is no whole number");
		return false;
	}
	int64_t fit = SL_MIN(SL_MAX(n, lo), hi);
	if (fit != n)
		sl_left_changed(&im->left, node, "%s goes from %lld to %lld: %lld", key,
				(long long)lo, (long long)hi, (long long)fit);
	sl_import_set_number(im, to, key, fit);
	return true;
}

void
sl_import_from(struct sl_import *im, struct sl_out *at, const struct sl_yaml *node)
{
	const struct sl_yaml *root = node;

	while (root->parent && !root->object)
		root = root->parent;
	const char *path = sl_left_path(&im->m, node);
	const char *text = sl_memory_print(
		&im->m, "%s%s%s (%s:%d)", root->object ? root->object->title : "", *path ? " " : "",
		path, sl_words_show(&im->m, node->file), node->line);
	for (struct sl_out_comment *c = at->comment; c; c = c->next)
		if (strcmp(c->text, text) == 0)
			return;
	sl_out_comment(&im->m, at, "%s", text);
}

static bool
taken(const struct sl_out *list, const char *name)
{
	for (const struct sl_out *o = list->first; o; o = o->next) {
		const struct sl_out *n = sl_out_find(o, "name");
		if (n && strcmp(n->text, name) == 0)
			return true;
	}
	return false;
}

/* Where the search for the next number begins. */
static struct sl_import_named *
named_get(struct sl_import *im, const struct sl_out *list, const char *text)
{
	uintptr_t hash = (uintptr_t)list >> 4;
	struct sl_import_named *n;

	for (const char *c = text; *c; c++)
		hash = hash * 31 + (uint8_t)*c;
	struct sl_import_named **at = &im->named[hash % SL_IMPORT_NAMED];
	for (n = *at; n; n = n->next)
		if (n->list == list && strcmp(n->text, text) == 0)
			return n;
	n = sl_memory_take(&im->m, sizeof(*n));
	*n = (struct sl_import_named){list, text, 2, *at};
	*at = n;
	return n;
}

const char *
sl_import_distinct(struct sl_import *im, const struct sl_out *list, const char *text)
{
	const char *name = sl_words_name(&im->m, text);

	if (!list || !taken(list, name))
		return name;
	for (struct sl_import_named *n = named_get(im, list, text);; n->last++) {
		name = sl_words_name(&im->m, sl_memory_print(&im->m, "%s-%u", text, n->last));
		if (!taken(list, name))
			return name;
	}
}

const char *
sl_import_address(struct sl_import *im, struct sl_yaml *node, const char *who)
{
	if (im->addresses && *im->addresses) {
		size_t n = strcspn(im->addresses, ",");
		const char *a = sl_memory_copy(&im->m, im->addresses, n);
		im->addresses += n + (im->addresses[n] == ',');
		return a;
	}
	const char *a;
	do
		a = sl_memory_print(&im->m, "192.0.2.%u", SL_MIN(++im->placeholders, 254u));
	while (im->given && strstr(im->given, a) && im->placeholders < 254);
	sl_left_changed(&im->left, node,
			"the address of %s is not in the files: %s stands for it; give --address",
			who, a);
	return a;
}

/* ---- the whole ---- */

static const struct sl_kind istio_kinds[] = {
	{"networking.istio.io", "VirtualService"},
	{"networking.istio.io", "DestinationRule"},
	{"networking.istio.io", "ServiceEntry"},
	{"networking.istio.io", "Gateway"},
	{"security.istio.io", "AuthorizationPolicy"},
	{"security.istio.io", "RequestAuthentication"},
	{"security.istio.io", "PeerAuthentication"},
	{"", "Service"},
	{"discovery.k8s.io", "EndpointSlice"},
	{"", "Pod"},
	{NULL, NULL},
};
static const struct sl_kind gateway_api_kinds[] = {
	{"gateway.networking.k8s.io", "HTTPRoute"},
	{"gateway.networking.k8s.io", "TLSRoute"},
	{"gateway.networking.k8s.io", "TCPRoute"},
	{"gateway.networking.k8s.io", "GRPCRoute"},
	{"gateway.networking.k8s.io", "BackendTLSPolicy"},
	{"gateway.networking.k8s.io", "Gateway"},
	{"gateway.networking.k8s.io", "GatewayClass"},
	{"gateway.networking.k8s.io", "ReferenceGrant"},
	{"", "Service"},
	{"", "Namespace"},
	{"discovery.k8s.io", "EndpointSlice"},
	{"", "Pod"},
	{NULL, NULL},
};

/* Objects that are looked up only: of these what nobody asks for has no meaning here. */
static void
rest_of(struct sl_import *im, struct sl_object *o)
{
	static const char *const looked_up[] = {"Service",   "EndpointSlice", "Pod",
						"Namespace", "GatewayClass",  NULL};
	const struct sl_yaml *sticky = sl_yaml_peek(o->spec, "sessionAffinity");

	if (!strcmp(o->kind, "Service") && sticky && strcmp(sticky->text, "None") == 0)
		sl_yaml_get(o->spec, "sessionAffinity");
	for (size_t i = 0; looked_up[i]; i++)
		if (strcmp(looked_up[i], o->kind) == 0)
			for (struct sl_yaml *n = (o->spec ? o->spec : o->root)->first; n;
			     n = n->next)
				if (!n->key || strcmp(n->key, "sessionAffinity") != 0)
					sl_yaml_use(n);
	for (size_t i = 0; looked_up[i]; i++)
		if (strcmp(looked_up[i], o->kind) == 0)
			for (struct sl_yaml *n = o->root->first; n; n = n->next)
				if (n != o->spec && strcmp(n->key, "metadata") != 0)
					sl_yaml_use(n);
	sl_left_rest(&im->left, o->root);
}

/* Members in the order of the keys; others behind them. */
static void
order(struct sl_out *group, const char *const *keys)
{
	struct sl_out sorted = {0}, *next;

	for (; *keys; keys++) {
		struct sl_out *o = sl_out_find(group, *keys);
		if (!o)
			continue;
		sl_out_remove(group, *keys);
		o->next = NULL;
		sl_out_attach(&sorted, o);
	}
	for (struct sl_out *o = group->first; o; o = next) {
		next = o->next;
		o->next = NULL;
		sl_out_attach(&sorted, o);
	}
	group->first = sorted.first;
	group->last = sorted.last;
	group->cnt = sorted.cnt;
}

static void
order_all(struct sl_import *im)
{
	static const char *const root[] = {"gateway",       "services",  "jwt",
					   "authorization", "listeners", NULL};
	static const char *const service[] = {
		"name",       "policy",    "tcp",      "http",    "tls", "max_endpoints",
		"slow_start", "endpoints", "discover", "subsets", NULL};
	static const char *const table[] = {"name", "merge_slashes", "policy", NULL};

	order(&im->root, root);
	for (struct sl_out *s = im->services->first; s; s = s->next)
		order(s, service);
	for (struct sl_out *t = im->tables->first; t; t = t->next)
		order(t, table);
}

static bool
same_place(const struct sl_out *a, const struct sl_out *b)
{
	return sl_out_find(a, "port")->number == sl_out_find(b, "port")->number &&
	       strcmp(sl_out_find(a, "address")->text, sl_out_find(b, "address")->text) == 0;
}

/* A packet has one listener: the first that is at its address and port. */
static void
part_listeners(struct sl_import *im)
{
	struct sl_out kept = {0}, *next;

	for (struct sl_out *l = im->listeners->first; l; l = next) {
		struct sl_out *k = kept.first;
		next = l->next;
		l->next = NULL;
		while (k && !same_place(k, l))
			k = k->next;
		if (k)
			sl_left_add(&im->left, SL_LEFT_OUT, NULL,
				    "listener %s is where %s is, at %s port %lld: it is not in the "
				    "table",
				    sl_out_find(l, "name")->text, sl_out_find(k, "name")->text,
				    sl_out_find(l, "address")->text,
				    (long long)sl_out_find(l, "port")->number);
		else
			sl_out_attach(&kept, l);
	}
	im->listeners->first = kept.first;
	im->listeners->last = kept.last;
	im->listeners->cnt = kept.cnt;
}

/* Groups that stayed empty are taken out; what sluiced's file has to have is told. */
static void
finish(struct sl_import *im)
{
	part_listeners(im);
	order_all(im);
	if (!im->services->first)
		sl_out_remove(&im->root, "services");
	if (!im->listeners->first)
		sl_out_remove(&im->root, "listeners");
	if (!im->tables->first)
		sl_out_remove(&im->root, "route_tables");
	if (im->wants_kubernetes)
		sl_left_note(
			&im->left, NULL,
			"services ask the source \"kubernetes\": sluiced's file needs one of that "
			"name and type");
	if (im->wants_dns)
		sl_left_note(&im->left, NULL,
			     "services ask the source \"dns\": sluiced's file needs one of that "
			     "name and "
			     "type");
	sl_left_note(&im->left, NULL,
		     "network (the gateway's own addresses and routes) is not in YAML: add it "
		     "before the push");
}

static void
begin(struct sl_import *im, enum sl_import_from from)
{
	const char *what = from == SL_IMPORT_ISTIO ? "istio" : "gateway-api";

	im->istio = from == SL_IMPORT_ISTIO;
	im->root = (struct sl_out){.type = SL_OUT_GROUP};
	sl_out_comment(&im->m, &im->root,
		       "Made by sluicectl import %s.  Names behind # say what a part is from.",
		       what);
	sl_out_text(&im->m, sl_out_group(&im->m, &im->root, "gateway"), "name", "imported");
	im->services = sl_out_list(&im->m, &im->root, "services");
	im->listeners = sl_out_list(&im->m, &im->root, "listeners");
	im->tables = sl_out_list(&im->m, &im->root, "route_tables");
}

static bool
read_files(struct sl_import *im, enum sl_import_from from, const struct sl_import_file *files,
	   unsigned cnt, struct sl_diag *diag)
{
	bool good = true;

	for (unsigned i = 0; i < cnt; i++) {
		struct sl_yaml *docs;
		const char *name = sl_memory_copy(&im->m, files[i].name, strlen(files[i].name));
		if (sl_yaml_read(&im->m, name, files[i].text, files[i].len, diag, &docs) == 0)
			sl_objects_add(&im->objects, docs,
				       from == SL_IMPORT_ISTIO ? istio_kinds : gateway_api_kinds);
		else
			good = false;
	}
	return good;
}

/* The table's own parser has the last word. */
static void
check_own(struct sl_import_result *r)
{
	struct sl_conf *conf = NULL;

	r->good = sl_conf_parse("imported", r->table, r->table_len, &r->own, &conf) == 0;
	sl_conf_free(conf);
}

int
sl_import_run(enum sl_import_from from, const struct sl_import_file *files, unsigned file_cnt,
	      const struct sl_import_how *how, struct sl_diag *diag, struct sl_import_result *ret)
{
	struct sl_import *im = calloc(1, sizeof(*im));

	if (!im)
		abort();
	im->left.m = im->objects.m = &im->m;
	im->objects.left = &im->left;
	im->addresses = im->given = how->addresses;
	im->directory = how->directory;
	begin(im, from);
	if (!read_files(im, from, files, file_cnt, diag)) {
		sl_memory_fini(&im->m);
		free(im);
		return -EINVAL;
	}
	if (from == SL_IMPORT_ISTIO)
		sl_istio_import(im);
	else
		sl_gateway_api_import(im);
	for (struct sl_object *o = im->objects.first; o; o = o->next)
		rest_of(im, o);
	finish(im);
	*ret = (struct sl_import_result){0};
	FILE *f = open_memstream(&ret->table, &ret->table_len);
	if (!f)
		abort();
	sl_out_write(&im->root, f);
	if (fclose(f))
		abort();
	ret->m = im->m;
	ret->left = im->left;
	ret->files = im->files;
	ret->left.m = NULL;
	check_own(ret);
	free(im);
	return 0;
}

void
sl_import_result_fini(struct sl_import_result *r)
{
	sl_memory_fini(&r->m);
	sl_diag_fini(&r->own);
	free(r->table);
}

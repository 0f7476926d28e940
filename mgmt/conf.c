/* A file's text to structs, or every problem of it:
 *
 *   text → conf_scan (what is too much) → conf_tree → conf_walk → sl_conf_check */
#include "mgmt/conf_priv.h"

#include "mgmt/conf_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A probe goes to the endpoint's address unless it was given another. */
static void
fill_probes(struct sl_conf *c)
{
	static const struct sl_addr none;

	for (uint32_t i = 0; i < c->service_cnt; i++) {
		for (uint32_t j = 0; j < c->services[i].endpoint_cnt; j++) {
			struct sl_conf_endpoint *e = &c->services[i].endpoints[j];
			if (sl_addr_eq(&e->probe_addr, &none))
				e->probe_addr = e->addr;
		}
	}
}

static int
walk_tree(struct walk *w, const struct sl_tree *t, struct sl_conf **ret_conf)
{
	struct sl_conf *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	sl_walk_tree(w, &t->root, c);
	fill_probes(c);
	int err = w->oom ? -ENOMEM : w->told ? -EINVAL : 0;
	if (!w->oom && !w->shape_bad) {
		int cross = sl_conf_check(w->file, c, w->diag);
		err = err ? err : cross;
	}
	if (err)
		sl_conf_free(c);
	else
		*ret_conf = c;
	return err;
}

/* People read from the top.  Stable, at most SL_DIAG_MAX items. */
static void
sort_by_line(struct sl_diag *diag, unsigned from)
{
	for (unsigned i = from + 1; i < diag->cnt; i++) {
		struct sl_diag_item item = diag->items[i];
		unsigned j = i;
		for (; j > from && diag->items[j - 1].line > item.line; j--)
			diag->items[j] = diag->items[j - 1];
		diag->items[j] = item;
	}
}

int
sl_conf_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
	      struct sl_conf **ret_conf)
{
	struct walk w = {.file = file, .diag = diag};
	unsigned diag_was = diag ? diag->cnt : 0;
	struct sl_tree tree;
	int err = sl_scan_text(file, text, len, diag);

	if (err)
		return err;
	err = sl_tree_parse(text, len, &tree);
	if (err == -EINVAL)
		sl_diag_add(diag, file, tree.error_line, NULL, tree.error_hint,
			    "%s; nothing behind it was read", tree.error);
	if (err == 0)
		err = walk_tree(&w, &tree, ret_conf);
	sl_tree_fini(&tree);
	if (diag)
		sort_by_line(diag, diag_was);
	return err;
}

void
sl_conf_free(struct sl_conf *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		free(c->services[i].endpoints);
		free(c->services[i].sources);
		free(c->services[i].discover);
		free(c->services[i].subsets);
		free(c->services[i].limits);
		sl_conf_tls_fini(&c->services[i].tls);
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		free(c->listeners[i].trusted);
		free(c->listeners[i].snis);
		sl_conf_tls_fini(&c->listeners[i].tls);
	}
	sl_conf_tables_free(c);
	sl_conf_jwts_free(c);
	sl_conf_authz_free(c);
	free(c->rates);
	free(c->services);
	free(c->listeners);
	free(c->addresses);
	free(c->routes);
	free(c);
}

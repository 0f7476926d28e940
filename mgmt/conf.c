/* A file's text to structs, or every problem of it:
 *
 *   text → conf_scan (what libconfig would hide) → libconfig → conf_walk → sl_conf_check */
#include "mgmt/conf_priv.h"

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

static void
tell_syntax(const char *file, const config_t *cfg, struct sl_diag *diag)
{
	const char *text = config_error_text(cfg);
	bool twice = text && strcmp(text, "duplicate setting name") == 0;

	sl_diag_add(diag, file, config_error_line(cfg), NULL,
		    twice ? "remove one of the two"
			  : "look at this line and the one before: a missing ';', ',' or bracket",
		    "%s; nothing behind it was read",
		    twice ? "a key stands twice in its group" : "syntax error");
}

/* read_tree: text → libconfig's tree.  @include cannot get here; the directory is a second lock. */
static int
read_tree(const char *file, const char *text, size_t len, struct sl_diag *diag, config_t *cfg)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = 0;
	config_set_include_dir(cfg, "/dev/null");
	int ok = config_read_string(cfg, copy);
	free(copy);
	if (ok)
		return 0;
	tell_syntax(file, cfg, diag);
	return -EINVAL;
}

static int
walk_tree(struct walk *w, const config_t *cfg, struct sl_conf **ret_conf)
{
	struct sl_conf *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	sl_walk_tree(w, config_root_setting(cfg), c);
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
	struct sl_conf *c = NULL;
	struct sl_scan *scan = malloc(sizeof(*scan));
	struct walk w = {.file = file, .diag = diag, .scan = scan};
	unsigned diag_was = diag ? diag->cnt : 0;
	config_t cfg;

	if (!scan)
		return -ENOMEM;
	config_init(&cfg);
	int err = sl_scan_text(file, text, len, diag, scan);
	if (err == 0)
		err = read_tree(file, text, len, diag, &cfg);
	if (err == 0)
		err = walk_tree(&w, &cfg, &c);
	for (unsigned i = 0; i < scan->number_cnt && err != -ENOMEM; i++) {
		if (scan->number[i].told)
			continue;
		sl_scan_tell_number(file, &scan->number[i], NULL, diag);
		err = -EINVAL;
	}
	config_destroy(&cfg);
	free(scan);
	if (diag)
		sort_by_line(diag, diag_was);
	if (err) {
		sl_conf_free(c);
		return err;
	}
	*ret_conf = c;
	return 0;
}

void
sl_conf_free(struct sl_conf *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		free(c->services[i].endpoints);
		free(c->services[i].sources);
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		free(c->listeners[i].trusted);
	sl_conf_tables_free(c);
	free(c->services);
	free(c->listeners);
	free(c->addresses);
	free(c->routes);
	free(c);
}

#include "sluice/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char *
copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

void
sl_diag_add(struct sl_diag *d, const char *file, int line, const char *path, const char *hint,
	    const char *fmt, ...)
{
	if (!d)
		return;
	if (d->cnt >= SL_DIAG_MAX) {
		d->more++;
		return;
	}
	struct sl_diag_item *items = realloc(d->items, (d->cnt + 1) * sizeof(*items));
	if (!items) {
		d->more++;
		return;
	}
	d->items = items;

	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	items[d->cnt++] = (struct sl_diag_item){
		.file = copy(file),
		.line = line,
		.path = copy(path),
		.text = copy(text),
		.hint = copy(hint),
	};
}

void
sl_diag_fini(struct sl_diag *d)
{
	for (unsigned i = 0; i < d->cnt; i++) {
		free(d->items[i].file);
		free(d->items[i].path);
		free(d->items[i].text);
		free(d->items[i].hint);
	}
	free(d->items);
	*d = (struct sl_diag){0};
}

void
sl_diag_format(const struct sl_diag_item *it, char *buf, size_t size)
{
	char where[512] = "";

	if (it->file && it->line)
		snprintf(where, sizeof(where), "%s:%d: ", it->file, it->line);
	else if (it->file)
		snprintf(where, sizeof(where), "%s: ", it->file);
	snprintf(buf, size, "%s%s%s%s%s%s%s", where, it->path ? it->path : "", it->path ? ": " : "",
		 it->text ? it->text : "out of memory", it->hint ? " (" : "",
		 it->hint ? it->hint : "", it->hint ? ")" : "");
}

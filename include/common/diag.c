#include "sluice/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char *
copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

__attribute__((format(printf, 8, 0))) static void
add(struct sl_diag_item **items, unsigned *cnt, unsigned *more, const char *file, int line,
    const char *path, const char *hint, const char *fmt, va_list ap)
{
	struct sl_diag_item *room = NULL;

	if (*cnt < SL_DIAG_MAX)
		room = realloc(*items, (*cnt + 1) * sizeof(*room));
	if (!room) {
		++*more;
		return;
	}
	*items = room;

	char text[1024];
	vsnprintf(text, sizeof(text), fmt, ap);
	room[(*cnt)++] = (struct sl_diag_item){
		.file = copy(file),
		.line = line,
		.path = copy(path),
		.text = copy(text),
		.hint = copy(hint),
	};
}

void
sl_diag_add(struct sl_diag *d, const char *file, int line, const char *path, const char *hint,
	    const char *fmt, ...)
{
	va_list ap;

	if (!d)
		return;
	va_start(ap, fmt);
	add(&d->items, &d->cnt, &d->more, file, line, path, hint, fmt, ap);
	va_end(ap);
}

void
sl_diag_warn(struct sl_diag *d, const char *file, int line, const char *path, const char *hint,
	     const char *fmt, ...)
{
	va_list ap;

	if (!d)
		return;
	va_start(ap, fmt);
	add(&d->warnings, &d->warning_cnt, &d->warning_more, file, line, path, hint, fmt, ap);
	va_end(ap);
}

static void
free_items(struct sl_diag_item *items, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		free(items[i].file);
		free(items[i].path);
		free(items[i].text);
		free(items[i].hint);
	}
	free(items);
}

void
sl_diag_fini(struct sl_diag *d)
{
	free_items(d->items, d->cnt);
	free_items(d->warnings, d->warning_cnt);
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

void
sl_diag_name_file(struct sl_diag *d, unsigned first, const char *file)
{
	for (unsigned i = first; d && i < d->cnt; i++)
		if (!d->items[i].file && d->items[i].line)
			d->items[i].file = strdup(file);
}

/* table — aligned columns: rows are gathered, then printed at the width of the widest cell. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

struct ctl_table {
	const char *const *titles;
	size_t columns;
	char **cells; /* [cnt], row by row */
	size_t cnt, room;
};

struct ctl_table *
ctl_table_new(const char *const *titles)
{
	struct ctl_table *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->titles = titles;
	while (titles[t->columns])
		t->columns++;
	return t;
}

void
ctl_table_cell(struct ctl_table *t, const char *fmt, ...)
{
	va_list ap;

	if (t->cnt == t->room) {
		t->room = t->room ? 2 * t->room : 256;
		t->cells = realloc(t->cells, t->room * sizeof(*t->cells));
	}
	va_start(ap, fmt);
	if (!t->cells || vasprintf(&t->cells[t->cnt++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

void
ctl_table_end(struct ctl_table *t, const char *addr, long long port)
{
	bool v6 = strchr(addr, ':') != NULL;

	if (*addr)
		ctl_table_cell(t, "%s%s%s:%lld", v6 ? "[" : "", addr, v6 ? "]" : "", port);
	else
		ctl_table_cell(t, "-");
}

void
ctl_table_time(struct ctl_table *t, long long ms)
{
	long long s = ms / 1000;

	if (ms < 60000)
		ctl_table_cell(t, "%lld.%llds", s, ms % 1000 / 100);
	else if (s < 3600)
		ctl_table_cell(t, "%lldm%02llds", s / 60, s % 60);
	else
		ctl_table_cell(t, "%lldh%02lldm", s / 3600, s / 60 % 60);
}

void
ctl_table_size(struct ctl_table *t, long long bytes)
{
	static const char unit[] = "kMGTPE";
	double v = (double)bytes / 1024;
	unsigned i = 0;

	if (bytes < 10000) {
		ctl_table_cell(t, "%lld", bytes);
		return;
	}
	for (; v >= 1000 && unit[i + 1]; i++)
		v /= 1024;
	ctl_table_cell(t, v < 100 ? "%.1f%c" : "%.0f%c", v, unit[i]);
}

/* Columns on the screen: UTF-8 continuation bytes take none. */
static int
width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
print_cell(const char *text, int column_width, bool right, bool last)
{
	int pad = column_width - width(text);

	if (right)
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

void
ctl_table_print(struct ctl_table *t)
{
	int *w = calloc(t->columns, sizeof(*w));

	if (!w)
		abort();
	for (size_t c = 0; c < t->columns; c++)
		w[c] = width(t->titles[c] + (t->titles[c][0] == '>'));
	for (size_t i = 0; i < t->cnt; i++)
		if (width(t->cells[i]) > w[i % t->columns])
			w[i % t->columns] = width(t->cells[i]);
	for (size_t c = 0; c < t->columns; c++) {
		bool right = t->titles[c][0] == '>';
		print_cell(t->titles[c] + right, w[c], right, c + 1 == t->columns);
	}
	for (size_t i = 0; i < t->cnt; i++) {
		size_t c = i % t->columns;
		print_cell(t->cells[i], w[c], t->titles[c][0] == '>', c + 1 == t->columns);
		free(t->cells[i]);
	}
	free(w);
	free(t->cells);
	free(t);
}

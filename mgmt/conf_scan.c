/* One pass, one character of look-ahead.  The tokens are those of libconfig's scanner: comments (#, //,
 * slash-star), strings with backslash escapes, names [A-Za-z*][-A-Za-z0-9_*]*, and single characters.  Grammar is
 * conf_tree.c's business. */
#include "mgmt/conf_scan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct scan {
	const char *file;
	const char *at, *end;
	const char *line_start;
	int line;
	unsigned depth;
	unsigned values;
	unsigned members[SL_SCAN_MAX_DEPTH + 1];
	struct sl_diag *diag;
	bool bad;
};

static void
refuse(struct scan *s, int line, const char *hint, const char *text)
{
	sl_diag_add(s->diag, s->file, line, NULL, hint, "%s", text);
	s->bad = true;
}

static void
end_line(struct scan *s)
{
	if ((size_t)(s->at - s->line_start) > SL_SCAN_MAX_LINE)
		refuse(s, s->line, "break the line", "a line is longer than 65536 bytes");
	s->line++;
	s->line_start = s->at + 1;
}

/* step passes one character, counting lines and refusing NUL. */
static void
step(struct scan *s)
{
	if (*s->at == '\n') {
		end_line(s);
	} else if (*s->at == 0) {
		refuse(s, s->line, "table files are text", "the file contains a NUL byte");
		s->at = s->end;
		return;
	}
	s->at++;
}

static bool
next_is(const struct scan *s, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(s->end - s->at) >= n && memcmp(s->at, word, n) == 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*' ||
	       (!first && (is_digit(c) || c == '-' || c == '_'));
}

static void
skip_line_comment(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		step(s);
}

static void
skip_block_comment(struct scan *s)
{
	int opened = s->line;

	s->at += 2;
	while (s->at < s->end && !next_is(s, "*/"))
		step(s);
	if (s->at < s->end)
		s->at += 2;
	else if (!s->bad)
		refuse(s, opened, "end it with */", "the comment that starts here is not closed");
}

static void
skip_string(struct scan *s)
{
	const char *start = ++s->at;
	int opened = s->line;

	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\\' && (next_is(s, "\\x00") || next_is(s, "\\X00")))
			refuse(s, s->line, "remove it", "\\x00 would cut the string short");
		if (*s->at == '\\' && s->at + 1 < s->end)
			s->at++;
		step(s);
	}
	if (s->at - start > (ptrdiff_t)SL_SCAN_MAX_STRING)
		refuse(s, opened, "is its end where it should be? several strings in a row are one",
		       "a string is longer than 16384 bytes");
	if (s->at < s->end)
		s->at++;
	else if (!s->bad)
		refuse(s, opened, "end it with \"", "the string that starts here is not closed");
}

static void
open_nest(struct scan *s)
{
	if (++s->depth > SL_SCAN_MAX_DEPTH) {
		refuse(s, s->line, "a table needs six levels", "brackets nest deeper than 32");
		s->at = s->end - 1;
		return;
	}
	s->members[s->depth] = 0;
}

static void
count_member(struct scan *s)
{
	if (++s->members[s->depth] != SL_SCAN_MAX_MEMBERS + 1)
		return;
	refuse(s, s->line, "large collections are lists: ( {...}, {...} )",
	       "a group has more than 64 members");
	s->at = s->end - 1;
}

static void
scan_char(struct scan *s)
{
	char c = *s->at;

	bool opens = c == '(' || c == '[' || c == '{';

	if ((opens || c == '=' || c == ':' || c == ',') && ++s->values > SL_SCAN_MAX_VALUES) {
		refuse(s, s->line, "split the table between gateways",
		       "the file has more than 2097152 values");
		s->at = s->end;
		return;
	}
	if (opens)
		open_nest(s);
	else if ((c == ')' || c == ']' || c == '}') && s->depth > 0)
		s->depth--;
	else if (c == '=' || c == ':')
		count_member(s);
	else if (c == '@' && next_is(s, "@include"))
		refuse(s, s->line, "put everything into one file", "@include is not taken");
	step(s);
}

static void
scan_token(struct scan *s)
{
	char c = *s->at, d = s->at + 1 < s->end ? s->at[1] : 0;

	if (c == '#' || (c == '/' && d == '/')) {
		skip_line_comment(s);
	} else if (c == '/' && d == '*') {
		skip_block_comment(s);
	} else if (c == '"') {
		skip_string(s);
	} else if (is_name(c, true)) {
		while (s->at < s->end && is_name(*s->at, false))
			s->at++;
	} else {
		scan_char(s);
	}
}

int
sl_scan_text(const char *file, const char *text, size_t len, struct sl_diag *diag)
{
	struct scan s = {.file = file,
			 .at = text,
			 .end = text + len,
			 .line_start = text,
			 .line = 1,
			 .diag = diag};

	if (len > SL_SCAN_MAX_BYTES) {
		refuse(&s, 0, "split the table between gateways", "the file is over 64 MiB");
		return -EINVAL;
	}
	while (s.at < s.end)
		scan_token(&s);
	if (!s.bad)
		end_line(&s);
	return s.bad ? -EINVAL : 0;
}

#include "mgmt/source_url.h"

#include <stdio.h>

static void
put(struct sl_source_url *u, const char *text, size_t len)
{
	if (u->full || len >= sizeof(u->text) - u->len) {
		u->full = true;
		return;
	}
	memcpy(u->text + u->len, text, len);
	u->text[u->len += len] = 0;
}

void
sl_source_url_begin(struct sl_source_url *u, const char *start)
{
	u->len = 0;
	u->full = false;
	u->text[0] = 0;
	put(u, start, strlen(start));
}

void
sl_source_url_add(struct sl_source_url *u, const char *text)
{
	put(u, text, strlen(text));
}

static bool
is_unreserved(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

void
sl_source_url_escape(struct sl_source_url *u, const char *text)
{
	char escaped[4];

	for (; *text; text++) {
		if (is_unreserved(*text)) {
			put(u, text, 1);
			continue;
		}
		snprintf(escaped, sizeof(escaped), "%%%02X", (unsigned)(uint8_t)*text);
		put(u, escaped, 3);
	}
}

#include "mgmt/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool
is_gap(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

/* "50%"; more than 100 is 100. */
static bool
percent_of(const char *word, size_t len, uint8_t *ret)
{
	unsigned n = 0;

	if (len < 2 || len > 5 || word[len - 1] != '%')
		return false;
	for (size_t i = 0; i + 1 < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		n = n * 10 + (unsigned)(word[i] - '0');
	}
	*ret = (uint8_t)SL_MIN(n, 100u);
	return true;
}

static bool
is(const char *word, size_t len, const char *what)
{
	return strlen(what) == len && strncasecmp(word, what, len) == 0;
}

static bool
take(const char *word, size_t len, struct sl_agent_state *s)
{
	if (is(word, len, "up"))
		s->down = false;
	else if (is(word, len, "down") || is(word, len, "fail") || is(word, len, "stopped"))
		s->down = true;
	else if (is(word, len, "ready"))
		s->drain = false;
	else if (is(word, len, "drain") || is(word, len, "maint"))
		s->drain = true;
	else if (len > 8 && strncasecmp(word, "maxconn:", 8) == 0)
		return strspn(word + 8, "0123456789") >= len - 8;
	else
		return percent_of(word, len, &s->percent);
	return true;
}

const char *
sl_agent_read(const char *line, size_t len, struct sl_agent_state *s, char *buf, size_t size)
{
	struct sl_agent_state next = *s;
	unsigned words = 0;
	char text[SL_AGENT_LINE_MAX + 1];

	if (len > SL_AGENT_LINE_MAX)
		return "the agent's line is too long";
	memcpy(text, line, len);
	text[len] = 0;
	if (strlen(text) != len)
		return "the agent's line has a NUL";
	text[strcspn(text, "#")] = 0;
	for (char *p = text; *p;) {
		size_t n = strcspn(p, " \t,");
		if (n && !take(p, n, &next)) {
			snprintf(buf, size, "the agent says what is not known: \"%.*s\"",
				 (int)SL_MIN(n, 32u), p);
			for (char *c = buf; *c; c++)
				if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
					*c = '?';
			return buf;
		}
		words += n > 0;
		p += n;
		while (is_gap(*p))
			p++;
	}
	if (words == 0)
		return "the agent's line says nothing";
	*s = next;
	return NULL;
}

int
sl_agent_end(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (i > SL_AGENT_LINE_MAX)
			return SL_BAD;
		if (data[i] == '\n' || data[i] == '\r')
			return (int)i + 1;
	}
	return len > SL_AGENT_LINE_MAX ? SL_BAD : SL_PARTIAL;
}

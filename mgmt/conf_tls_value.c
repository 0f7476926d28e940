/* Names of servers and peers, and protocols, as TLS has them. */
#include "mgmt/conf_value.h"

#include <stdio.h>

/* All that ret has beyond the text is 0, as in objects. */
static const char *
keep(const char *text, size_t max, char *ret)
{
	size_t len = strlen(text);

	if (len >= max)
		return "is too long";
	memset(ret, 0, max);
	memcpy(ret, text, len);
	return NULL;
}

static const char *
host_name(const char *text, char ret_name[256])
{
	struct sl_addr a;
	uint8_t kind;

	if (sl_addr_parse(text, &a) == 0 || *text == '[')
		return "is an address, not a name";
	const char *why = sl_value_hostname(text, &kind, ret_name);
	if (!why && kind != SL_HOST_EXACT)
		why = "has a * where none may be";
	if (!why && strlen(ret_name) > 253)
		why = "is longer than 253 bytes";
	return why;
}

const char *
sl_value_server(const char *text, char ret_name[SL_HOST_MAX])
{
	char name[256];
	const char *why = host_name(text, name);

	return why ? why : keep(name, SL_HOST_MAX, ret_name);
}

const char *
sl_value_servers(const char *text, char ret_name[SL_HOST_MAX])
{
	char name[256], all[2 + 256];
	bool wild = strncmp(text, "*.", 2) == 0;
	const char *why;

	if (strcmp(text, "*") == 0)
		return "is every name: give the listener a service instead";
	why = host_name(text + 2 * wild, name);
	if (why)
		return why;
	snprintf(all, sizeof(all), "%s%s", wild ? "*." : "", name);
	return keep(all, SL_HOST_MAX, ret_name);
}

/* ---- names of peers ---- */

static bool
alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool
lower(char c)
{
	return alnum(c) && !(c >= 'A' && c <= 'Z');
}

/* The path of a SPIFFE id, from its first slash on: segments of letters, digits, '.', '-' and '_', none of them empty, "." or
 * "..".  A * that ends it stands for the rest. */
static const char *
check_spiffe_path(const char *path)
{
	while (*path) {
		const char *from = ++path; /* behind the slash */
		while (alnum(*path) || (*path && strchr(".-_", *path)))
			path++;
		size_t len = (size_t)(path - from);
		if (*path == '*' && path[1] == 0)
			return NULL;
		if (*path && *path != '/')
			return "has a character that a SPIFFE id's path cannot have";
		if (len == 0)
			return "has an empty segment in its path";
		if ((len == 1 && from[0] == '.') || (len == 2 && from[0] == '.' && from[1] == '.'))
			return "has a segment . or .. in its path";
	}
	return NULL;
}

/* Behind "spiffe://": a trust domain of small letters, digits, '.', '-' and '_', then a path. */
static const char *
check_spiffe(const char *text)
{
	size_t len = 0;

	while (lower(text[len]) || (text[len] && strchr(".-_", text[len])))
		len++;
	if (len == 0 && (!*text || *text == '/'))
		return "has no trust domain";
	if (text[len] == '*')
		return "has a * in its trust domain, which must be whole";
	if (text[len] && text[len] != '/')
		return "has a character that a trust domain cannot have";
	if (!text[len] || !text[len + 1])
		return "has no path: it names a trust domain, not who is in it";
	return check_spiffe_path(text + len);
}

/* Of "scheme://…": the scheme's characters, then what is visible. */
static const char *
check_uri(const char *text, const char *behind)
{
	if (!lower(*text) || (*text >= '0' && *text <= '9'))
		return "has a scheme that does not begin with a small letter";
	for (const char *p = text; *p != ':'; p++)
		if (!lower(*p) && !strchr("+.-", *p))
			return "has a character that a scheme cannot have";
	for (const char *p = behind; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			return "has a character that a URI cannot have";
		if (*p == '*' && p[1])
			return "has a * that is not its end";
	}
	size_t host = strcspn(behind, "/");
	if (host == 0)
		return "has no host";
	return behind[host]                ? NULL
	       : memchr(behind, '*', host) ? "has a * in its host, which must be whole"
					   : NULL;
}

const char *
sl_value_san(const char *text, char ret_san[SL_HOST_MAX])
{
	const char *colon = strstr(text, "://"), *why;
	char name[256];

	if (!colon) {
		struct sl_addr a;
		if (strchr(text, ':') && *text != '[' && sl_addr_parse(text, &a) != 0)
			return "is no host name, and no URI with ://";
		why = host_name(text, name);
		return why ? why : keep(name, SL_HOST_MAX, ret_san);
	}
	if (strncmp(text, "spiffe://", 9) == 0)
		why = check_spiffe(text + 9);
	else if (strncasecmp(text, "spiffe://", 9) == 0)
		why = "has a scheme that is not written spiffe";
	else
		why = check_uri(text, colon + 3);
	return why ? why : keep(text, SL_HOST_MAX, ret_san);
}

const char *
sl_value_alpn(const char *text, char ret_protocol[SL_ALPN_MAX])
{
	if (!*text)
		return "is empty";
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return "has a character that is not visible";
	return keep(text, SL_ALPN_MAX, ret_protocol);
}

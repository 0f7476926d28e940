#include "l7/xfcc.h"

static const char hex[] = "0123456789abcdef";

static uint8_t *
put(uint8_t *to, const char *text)
{
	size_t n = strlen(text);

	memcpy(to, text, n);
	return to + n;
}

/* What need not stand in quotes. */
static bool
is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~:/@%+*!?&", c));
}

/* What no header value may hold, or not every reader takes for itself. */
static bool
is_odd(uint8_t c)
{
	return c < 0x20 || c >= 0x7f;
}

static uint8_t *
put_code(uint8_t *to, char mark, uint8_t c)
{
	*to++ = (uint8_t)mark;
	*to++ = (uint8_t)hex[c >> 4];
	*to++ = (uint8_t)hex[c & 15];
	return to;
}

static uint8_t *
put_value(uint8_t *to, const char *text, uint32_t len)
{
	bool plain = true;

	for (uint32_t i = 0; i < len; i++)
		plain &= is_plain((uint8_t)text[i]);
	if (!plain)
		*to++ = '"';
	for (uint32_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];
		if (is_odd(c)) {
			to = put_code(to, '%', c);
			continue;
		}
		if (c == '"' || c == '\\')
			*to++ = '\\';
		*to++ = c;
	}
	if (!plain)
		*to++ = '"';
	return to;
}

/* A backslash and what it takes with it stay; one that has nothing to take, and a quote that none precedes, are no RFC 2253, and
 * get one. */
static uint8_t *
put_subject(uint8_t *to, const char *text, uint32_t len)
{
	*to++ = '"';
	for (uint32_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];
		if (c == '\\' && i + 1 < len) {
			c = (uint8_t)text[++i];
			if (!is_odd(c))
				*to++ = '\\';
		} else if (c == '"' || c == '\\') {
			*to++ = '\\';
		}
		if (is_odd(c))
			to = put_code(to, '\\', c);
		else
			*to++ = c;
	}
	*to++ = '"';
	return to;
}

static uint8_t *
put_names(uint8_t *to, const char *names, uint32_t len)
{
	for (uint32_t at = 0; at < len;) {
		const char *comma = memchr(names + at, ',', len - at);
		uint32_t n = comma ? (uint32_t)(comma - names) - at : len - at;
		if (n) {
			to = put(to, ";DNS=");
			to = put_value(to, names + at, n);
		}
		at += n + 1;
	}
	return to;
}

uint32_t
sl_xfcc_write(uint8_t *out, const struct sl_tls_peer *p)
{
	uint8_t *to = put(out, "Hash=");

	for (unsigned i = 0; i < sizeof(p->hash); i++) {
		*to++ = (uint8_t)hex[p->hash[i] >> 4];
		*to++ = (uint8_t)hex[p->hash[i] & 15];
	}
	to = put(to, ";Subject=");
	to = put_subject(to, sl_tls_peer_subject(p), p->subject_len);
	if (p->uri_len) {
		to = put(to, ";URI=");
		to = put_value(to, sl_tls_peer_uri(p), p->uri_len);
	}
	to = put_names(to, sl_tls_peer_dns(p), p->dns_len);
	return (uint32_t)(to - out);
}

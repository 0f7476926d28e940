/* Clients of a split that have no cookie yet are given one, whose hash leads where they are sent now. */
#include "l7/http_priv.h"

#define VALUE 32 /* hexadecimal digits: 128 bits */

static size_t
put(char *to, size_t at, const void *bytes, size_t n)
{
	memcpy(to + at, bytes, n);
	return at + n;
}

static size_t
put_number(char *to, size_t at, uint32_t v)
{
	char digits[10];
	unsigned n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return put(to, at, digits + n, sizeof(digits) - n);
}

static void
value_of(struct sl_http *h, char ret[VALUE])
{
	uint64_t random[2] = {sl_http_random(h), sl_http_random(h)};

	for (unsigned i = 0; i < VALUE; i++)
		ret[i] = "0123456789abcdef"[random[i / 16] >> i % 16 * 4 & 15];
}

void
sl_http_judge_sticky(struct sl_http *h, const struct sl_http_rule *rule,
		     const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	const struct sl_img_policy *p = d->policy;
	const uint8_t *name = d->strs + p->sticky_cookie.off, *had;
	uint32_t len = p->sticky_cookie.len, had_len;
	char value[VALUE], line[255 + VALUE + 128];
	size_t n = 0;

	if (len == 0 || dry || d->route->target_cnt < 2 ||
	    sl_cookie_find(head, name, len, &had, &had_len))
		return;
	value_of(h, value);
	n = put(line, put(line, 0, name, len), "=", 1);
	n = put(line, n, value, VALUE);
	n = put(line, n, "; Path=/; HttpOnly; SameSite=Lax", 32);
	if (rule->tls && !rule->tls->plaintext)
		n = put(line, n, "; Secure", 8);
	if (p->sticky_ttl_s)
		n = put_number(line, put(line, n, "; Max-Age=", 10), p->sticky_ttl_s);
	if (!sl_http_policy_line(h, d, SL_EDIT_ADD, "set-cookie", line, n))
		return;
	d->drawn = true;
	d->drawn_hash = sl_http_hash(value, VALUE);
}

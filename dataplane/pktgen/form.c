#include "pktgen/form.h"
#include "pktgen/script.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool
read_ports(const char *w, uint64_t *ret_mask)
{
	uint64_t mask = 0;

	if (!strcmp(w, "all")) {
		*ret_mask = (1u << SL_SCRIPT_PORTS) - 1;
		return true;
	}
	for (;;) {
		char *end;

		if (!isdigit((unsigned char)*w))
			return false;
		unsigned long lo = strtoul(w, &end, 10), hi = lo;

		if (*end == '-' && isdigit((unsigned char)end[1]))
			hi = strtoul(end + 1, &end, 10);
		if (lo > hi || hi >= SL_SCRIPT_PORTS || (*end && *end != ','))
			return false;
		for (; lo <= hi; lo++)
			mask |= 1ull << lo;
		if (!*end)
			break;
		w = end + 1;
	}
	*ret_mask = mask;
	return true;
}

static bool
read_number(const char *w, uint64_t *ret_v)
{
	char *end;

	if (!isdigit((unsigned char)*w) || strlen(w) > 18)
		return false;
	*ret_v = strtoull(w, &end, 10);
	return !*end;
}

int
sl_form_mac(const char *text, uint64_t *ret_mac)
{
	uint64_t mac = 0;
	const char *shape = strlen(text) == 17 ? "xx:xx:xx:xx:xx:xx" : "xxxx:xxxx:xxxx";

	if (strlen(text) != strlen(shape))
		return -EINVAL;
	for (; *text; text++, shape++) {
		unsigned char c = (unsigned char)*text;

		if (*shape == ':' ? c != ':' : !isxdigit(c))
			return -EINVAL;
		if (c == ':')
			continue;
		mac = mac << 4 | (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	*ret_mac = mac;
	return 0;
}

/* An address with or without "/length". */
static bool
read_addr(const char *w, bool v6, struct sl_addr *ret_addr)
{
	char text[SL_ADDR_STRLEN];
	size_t n = strcspn(w, "/");
	uint64_t plen;

	if (n >= sizeof(text) ||
	    (w[n] && (!read_number(w + n + 1, &plen) || plen > (v6 ? 128 : 32))))
		return false;
	memcpy(text, w, n);
	text[n] = 0;
	return sl_addr_parse(text, ret_addr) == 0 && sl_addr_is_v4(ret_addr) == !v6;
}

/* kind is "%|a|b|c". */
static bool
read_choice(const char *kind, const char *w, uint64_t *ret_idx)
{
	size_t n = strlen(w);
	uint64_t idx = 0;

	for (const char *c = kind + 2;; idx++) {
		size_t m = strcspn(c, "|");

		if (m == n && !memcmp(c, w, n)) {
			*ret_idx = idx;
			return true;
		}
		if (!c[m])
			return false;
		c += m + 1;
	}
}

static bool
read_word(const char *kind, const char *w, struct sl_form_arg *a)
{
	char *end;

	a->word = w;
	switch (kind[1]) {
	case 'P':
		return read_ports(w, &a->num);
	case 'd':
		return read_number(w, &a->num);
	case 'r':
		a->real = strtod(w, &end);
		return isdigit((unsigned char)*w) && !*end && isfinite(a->real);
	case 'm':
		return sl_form_mac(w, &a->num) == 0;
	case '4':
		return read_addr(w, false, &a->addr);
	case '6':
		return read_addr(w, true, &a->addr);
	case '|':
		return read_choice(kind, w, &a->num);
	default:
		return *w != 0;
	}
}

unsigned
sl_form_split(char *line, char *words[SL_FORM_WORDS + 1])
{
	unsigned n = 0;

	for (char *save, *w = strtok_r(line, " \t\r", &save); w;
	     w = strtok_r(NULL, " \t\r", &save)) {
		if (n <= SL_FORM_WORDS)
			words[n] = w;
		n++;
	}
	return n;
}

unsigned
sl_form_match(const char *text, char *const *words, unsigned cnt, struct sl_form_arg *args,
	      unsigned *ret_arg_cnt, bool *ret_fits)
{
	char copy[256], *kinds[SL_FORM_WORDS + 1];
	unsigned agree = 0, arg_cnt = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	unsigned kind_cnt = sl_form_split(copy, kinds);

	for (; agree < SL_MIN(kind_cnt, cnt); agree++) {
		const char *kind = kinds[agree];

		if (kind[0] != '%' ? strcmp(kind, words[agree])
				   : !read_word(kind, words[agree], &args[arg_cnt++]))
			break;
	}
	*ret_arg_cnt = arg_cnt;
	*ret_fits = agree == cnt && agree == kind_cnt;
	return agree;
}

void
sl_form_explain(const char *text, char *buf, size_t size)
{
	static const char *const name[][2] = {
		{"%P", "<ports>"},  {"%4", "<ipv4>"},   {"%6", "<ipv6>"},  {"%m", "<mac>"},
		{"%d", "<number>"}, {"%r", "<number>"}, {"%c", "<a,b,…>"}, {"%s", "<word>"}};
	size_t n = 0;

	while (*text && n + 24 < size) {
		unsigned i = 0;

		while (i < SL_ARRAY_CNT(name) && strncmp(text, name[i][0], 2))
			i++;
		if (i < SL_ARRAY_CNT(name)) {
			n += (size_t)snprintf(buf + n, size - n, "%s", name[i][1]);
			text += 2;
		} else if (!strncmp(text, "%|", 2)) {
			text += 2;
		} else {
			buf[n++] = *text++;
		}
	}
	buf[n] = 0;
}

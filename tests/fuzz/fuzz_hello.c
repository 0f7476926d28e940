/* The beginning of a connection as a ClientHello: never past its end; whole, and byte by byte, it has one answer, no piece is
 * taken for a whole, and what a name is stands.  The name is looked up among some. */
#include <stdlib.h>

#include "l7/tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 2048

static const struct sl_img_sni names[] = {
	{"*.b.example", 0, 0}, {"*.example", 0, 0}, {"a.b.example", 0, 0}, {"x", 0, 0}};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Parses the first n bytes in memory of exactly that size. */
static int
parse(const uint8_t *data, uint32_t n, struct sl_hello *ret)
{
	uint8_t *copy = malloc(n ? n : 1);
	const char *why = NULL;

	must(copy != NULL);
	if (n)
		memcpy(copy, data, n);
	memset(ret, 0, sizeof(*ret));
	int r = sl_hello_parse(copy, n, ret, &why);
	must((r == SL_BAD) == (why != NULL));
	must(r >= SL_BAD && r <= (int)n);
	must(r != SL_PARTIAL || (n < SL_HELLO_MAX && ret->need > n && ret->need <= SL_HELLO_MAX));
	free(copy);
	return r;
}

static void
well_formed(const struct sl_hello *h)
{
	size_t n = strnlen(h->host, sizeof(h->host));

	must(n <= 253 && strspn(h->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n);
	must(h->host[0] != '.' && !strstr(h->host, "..") && (n == 0 || h->host[n - 1] != '.'));
	must(h->alpn_cnt <= SL_TLS_ALPNS);
	for (uint32_t i = 0; i < h->alpn_cnt; i++)
		must(h->alpn[i][0] && memchr(h->alpn[i], 0, SL_ALPN_MAX));
	must(h->version == 0 || h->version >> 8 == 3);
}

/* As sl_hello_pick, by a look at all of them. */
static uint32_t
slow_pick(const char *host)
{
	size_t n = strlen(host), best_len = 0;
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < SL_ARRAY_CNT(names); i++) {
		const char *name = names[i].name;
		size_t len = strlen(name);
		if (strcmp(name, host) == 0)
			return i;
		if (*name == '*' && n > len - 1 && strcmp(host + n - (len - 1), name + 1) == 0 &&
		    len > best_len) {
			best = i;
			best_len = len;
		}
	}
	return best;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_hello h, part;
	uint32_t need = 0;
	bool was_bad = false;

	if (size > INPUT_MAX)
		return 0;
	int r = parse(data, (uint32_t)size, &h);
	for (uint32_t n = 0; n < size; n++) {
		int p = parse(data, n, &part);
		must(!was_bad || p == SL_BAD);
		was_bad = p == SL_BAD;
		must(p != SL_BAD || r == SL_BAD);
		must(p <= 0 || (p == r && memcmp(&part, &h, sizeof(h)) == 0));
		must(p <= 0 || n >= need);
		must(r <= 0 || n < (uint32_t)r || p == r);
		if (p == SL_PARTIAL)
			need = SL_MAX(need, part.need);
	}
	must(r <= 0 || size >= need);
	if (r > 0) {
		well_formed(&h);
		must(sl_hello_pick(names, SL_ARRAY_CNT(names), h.host) == slow_pick(h.host));
	}
	return 0;
}

/* The beginning of a connection as a PROXY header: never past its end; the answer for a longer piece follows from that
 * for a shorter one; what was understood is written and understood again. */
#include <stdlib.h>

#include "l7/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 2048

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Parses the first n bytes in memory of exactly that size. */
static int
parse(const uint8_t *data, size_t n, struct sl_proxy_header *ret)
{
	uint8_t *copy = malloc(n ? n : 1);
	const char *why = NULL;

	must(copy != NULL);
	if (n)
		memcpy(copy, data, n);
	memset(ret, 0, sizeof(*ret));
	int r = sl_proxy_parse(copy, n, ret, &why);
	must((r == SL_BAD) == (why != NULL));
	must(r >= SL_BAD && r <= (int)n);
	must(r != SL_PARTIAL || n < SL_PROXY_MAX);
	free(copy);
	return r;
}

static bool
same(const struct sl_proxy_header *a, const struct sl_proxy_header *b)
{
	return a->version == b->version && a->local == b->local && sl_addr_eq(&a->src, &b->src) &&
	       sl_addr_eq(&a->dst, &b->dst) && a->sport == b->sport && a->dport == b->dport;
}

static void
again(const struct sl_proxy_header *h)
{
	for (unsigned version = SL_PROXY_V1; version <= SL_PROXY_V2; version++) {
		uint8_t bytes[SL_PROXY_OUT_MAX];
		struct sl_proxy_header back;
		unsigned n = sl_proxy_write(bytes, version, &h->src, h->sport, &h->dst, h->dport);
		must(n <= sizeof(bytes) && parse(bytes, n, &back) == (int)n);
		back.version = h->version;
		must(same(h, &back));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_proxy_header h, part;

	if (size > INPUT_MAX)
		return 0;
	int r = parse(data, size, &h);
	bool was_bad = false;
	for (size_t n = 0; n < size; n++) {
		int p = parse(data, n, &part);
		must(!was_bad || p == SL_BAD);
		was_bad = p == SL_BAD;
		must(p != SL_BAD || r == SL_BAD);
		must(p <= 0 || (p == r && same(&part, &h)));
		must(r <= 0 || n < (size_t)r || p == r);
	}
	if (r > 0 && !h.local)
		again(&h);
	return 0;
}

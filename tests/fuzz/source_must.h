/* What holds for every answer of a source, whatever it was read from. */
#ifndef SL_TESTS_FUZZ_SOURCE_MUST_H
#define SL_TESTS_FUZZ_SOURCE_MUST_H

#include "mgmt/conf_value.h"
#include "mgmt/source_answer.h"

#include <stdlib.h>

static inline void
must(bool good)
{
	if (!good)
		abort();
}

static inline void
must_be_words(const char *text)
{
	for (; *text; text++)
		must(*text >= ' ' && *text < 127);
}

/* Each endpoint is one that a table could have; names and places stand once, in the order of names. */
static inline void
must_be_an_answer(const struct sl_source_answer *a)
{
	char ip[SL_ADDR_STRLEN], locality[SL_LOCALITY_MAX];
	struct sl_addr addr;

	must(a->cnt <= SL_MAX_SERVICE_ENDPOINTS);
	must_be_words(a->note);
	for (size_t i = 0; i < a->cnt; i++) {
		const struct sl_source_endpoint *e = &a->endpoints[i];
		must(sl_name_ok(e->name) && (i == 0 || strcmp(e[-1].name, e->name) < 0));
		must(sl_value_addr(sl_addr_format(&e->addr, ip), &addr) == NULL);
		must(sl_addr_eq(&e->addr, &addr));
		must(e->weight <= SL_MAX_WEIGHT || e->weight == UINT16_MAX);
		must(e->priority <= SL_MAX_PRIORITY && e->percent <= 100);
		must(sl_value_locality(e->locality, locality) == NULL);
		must(memchr(e->meta, 0, SL_META_MAX) != NULL);
		must(sl_value_meta_has(e->meta, e->meta));
		for (size_t k = 0; k < i && i < 64; k++)
			must(a->endpoints[k].port != e->port ||
			     !sl_addr_eq(&a->endpoints[k].addr, &e->addr));
	}
}

#endif

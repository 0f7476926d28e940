/* match_filing — under what each route of a match is filed, while the match is built.
 *
 * Of match_build.c and match_filing.c only.  Threads: [main].
 */
#ifndef SL_L7_MATCH_FILING_H
#define SL_L7_MATCH_FILING_H

#include "l7/match_priv.h"

/* In order of preference. */
enum probe_kind {
	PROBE_PATH_EXACT,
	PROBE_PATH,
	PROBE_EXACT,
	PROBE_LITERAL, /* that a regex's matches begin with */
	PROBE_PATTERN,
	PROBE_PREFIX,
	PROBE_SUFFIX,
	PROBE_PRESENT,
	PROBE_METHOD,
	PROBE_NONE,
};
/* Routes that share a probe and may as well be told apart by verifying as by a scan. */
#define FEW 16

struct match_probe {
	uint8_t kind;
	bool fold;
	uint32_t key, slot;
	const uint8_t *bytes;
	uint32_t len;
	uint32_t route_cnt;
	uint32_t list; /* number of the list that its routes go to */
};

struct match_builder {
	struct sl_match *m;
	const struct sl_img_cond *cond;
	const struct sl_img_http_route *route;
	const uint32_t *cond_id;
	const struct sl_img_scan *scan;
	struct match_probe *probe;
	uint32_t probe_cnt;
	uint32_t *probe_table, probe_mask; /* probe + 1 */
	struct sl_pattern *pattern;        /* of each condition that is a regex */
	uint32_t *cond_probe;              /* of each condition; MATCH_NONE */
	uint32_t *cond_literal;            /* likewise: of what its regex begins with */
	uint32_t *cond_use;                /* routes that have it */
	uint32_t *filed;                   /* of each route: its probe */
	uint32_t *filed_cond;              /* and the condition that it is of */
	uint32_t *method;                  /* of each route filed under PROBE_METHOD: bits */
	/* Lists [0, SL_METHOD_CNT) are those of methods, the next one is the catch-all. */
	uint32_t list_cnt;
	uint32_t *slot_number; /* list of a slot; 0: none */
};

static inline uint32_t
builder_table_room(uint32_t cnt)
{
	uint32_t room = 8;

	while (room < 2 * (cnt + 1))
		room *= 2;
	return room;
}

static inline bool
is_pattern(const struct match_cond *c)
{
	return c->op == SL_COND_REGEX || c->op == SL_COND_CONTAINS;
}

/* Only what begins with "/" is in the trie; "" as SEGMENTS holds for all. */
static inline bool
is_trie(const struct match_cond *c)
{
	return c->field == SL_FIELD_PATH &&
	       (c->op == SL_COND_EXACT || c->op == SL_COND_SEGMENTS || c->op == SL_COND_TEMPLATE) &&
	       c->len && c->value[0] == '/';
}

/* sl_filing_build makes probes of all conditions and files each route under one of them (filed, filed_cond, method); sets the
 * lengths that prefixes and suffixes of keys are looked up by.  0, -ENOMEM. */
int sl_filing_build(struct match_builder *b);

/* sl_filing_affix_hash: of a prefix, suffix or literal, as find makes it of the longest length that is looked up. */
uint64_t sl_filing_affix_hash(struct sl_match *m, const struct match_probe *p);

#endif

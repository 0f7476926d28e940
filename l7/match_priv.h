/* match_priv — what a built match holds, and one request's state while it is looked for; of match*.c, cond.c, values.c.
 *
 *   scratch  [ generation | joined and decoded values | words: marks, places of values, heap of lists ]
 *
 * A mark is a word that counts only with the generation of this request, so nothing is cleared between requests.  All other
 * words have the top bit 0 and so never look like a mark: matches of any layout share one scratch.
 */
#ifndef SL_L7_MATCH_PRIV_H
#define SL_L7_MATCH_PRIV_H

#include "l7/match.h"
#include "l7/pattern.h"
#include "l7/segments.h"

#define MATCH_NONE UINT32_MAX
#define MATCH_PATH 0  /* key of the path */
#define MATCH_LENS 12 /* lengths that prefixes of one key are looked up by */
#define MATCH_LOOKS 4 /* by automata in a request; more are dearer than a scan */
#define MATCH_LIST_END UINT32_MAX
#define MATCH_LIST_EMPTY 0 /* list[0] is an end */

/* A field of a name: what conditions look at. */
struct match_lens {
	uint8_t cnt;
	uint16_t len[MATCH_LENS]; /* ascending */
};

struct match_key {
	uint8_t field; /* enum sl_field */
	uint8_t folds; /* of the following: 0: none has anything, 1: [0] has, 2: both may */
	bool exact[2]; /* routes are filed under whole values; [1]: folded, as the following */
	struct match_lens prefix[2], suffix[2];
	uint16_t hash; /* HEADER: sl_http_name_hash */
	uint32_t name_len;
	const uint8_t *name;
	uint32_t scan;    /* the first of its scans; MATCH_NONE */
	uint32_t present; /* list of routes filed under its presence */
	uint32_t first;   /* the first route that is filed under a value of it */
};

struct match_cond {
	uint8_t field, op;
	bool invert, fold;
	bool keep;    /* several routes have it: the answer is kept */
	uint32_t key; /* HEADER, QUERY, COOKIE, PATH */
	uint32_t
		slot; /* path conditions of the trie, REGEX, CONTAINS: mark that is set when it holds; else 0 */
	uint32_t scan;      /* REGEX, CONTAINS */
	uint32_t automaton; /* REGEX: of patterns; MATCH_NONE */
	uint32_t len;
	const uint8_t *value;
	int64_t lo, hi;
};

struct match_route {
	uint32_t cond, cond_cnt; /* into route_cond: what is left to verify, cheap ones first */
	uint32_t prefix;         /* bytes of its SEGMENTS condition */
	uint32_t template;       /* its TEMPLATE condition, MATCH_NONE */
};

struct match_scan {
	const struct hs_database *base, *delta;
	uint32_t key;
	uint32_t next; /* scan of the same key; MATCH_NONE */
	uint32_t slot; /* of pattern 0 */
	uint32_t base_cnt, delta_cnt;
	uint32_t first; /* the first route that is filed under a pattern */
};

/* Exact values, prefixes and suffixes that routes are filed under: by hash only, for every candidate is verified. */
struct match_entry {
	uint64_t hash; /* 0: free */
	uint32_t list;
};

enum { MATCH_EXACT, MATCH_PREFIX, MATCH_SUFFIX };

struct sl_match {
	const struct sl_img_vhost *img;
	const uint8_t *str;
	struct sl_segments *trie[2]; /* [1]: folded; NULL: no such condition */
	struct match_entry *entry;   /* open addressing */
	uint32_t entry_mask;
	struct match_cond *cond;
	struct match_route *route;
	uint32_t *route_cond;
	struct match_scan *scan;
	struct sl_patterns *patterns;
	struct match_key *key;
	uint32_t *key_table; /* open addressing by (field, name): keys; MATCH_NONE: free */
	uint32_t key_mask;
	uint64_t header_bloom; /* of the hashes of header names */
	bool several;          /* there are LINES or CLAIM: an entry may be met twice */
	uint32_t *list;        /* routes, ascending, each list with its end */
	uint32_t *slot_list;   /* of slots */
	uint32_t scan_first;   /* the first route filed under a pattern */
	uint32_t method_list[SL_METHOD_CNT], any_list;
	uint32_t field_first[SL_FIELD_LAST + 1]; /* the first route filed under anything of it */
	/* words of scratch */
	uint32_t slot_cnt, cond_cnt, key_cnt, scan_cnt, list_cnt;
	uint32_t cond_mark, key_mark, scan_mark; /* marks of slots begin at 0 */
	uint32_t entry_mark;                     /* with `several`: of the entries that were met */
	uint32_t places, present, heap;          /* words that are no marks */
	uint32_t word_cnt;
};

/* State of a mark; 0: it is of another request. */
enum { MARK_FALSE = 1, MARK_TRUE = 2, MARK_LATER = 3 };
#define MARK_BIT 0x80000000u
#define MARK_GENERATIONS (1u << 29)

/* Twice: a header's lines may be asked for joined (HEADER) and one by one (LINES). */
#define MATCH_JOIN_BYTES (2 * (SL_HTTP_HEAD_MAX + 4 * SL_HTTP_HEADERS_MAX))

struct match_mem {
	SL_ALIGNED uint32_t generation;
	uint8_t join[MATCH_JOIN_BYTES]; /* values that do not stand in the head in one piece */
	SL_ALIGNED uint32_t word[];
};

struct match_find {
	const struct sl_match *m;
	const struct sl_match_input *in;
	struct match_mem *mem;
	uint32_t *word;
	struct hs_scratch *hs;
	uint32_t stamp;
	uint32_t joined; /* bytes of join */
	uint32_t present_cnt;
	uint32_t heap_cnt;
	uint32_t best;
	uint32_t from; /* routes before it are not of interest */
	uint32_t verified, scanned;
	uint32_t looks; /* values looked at by an automaton instead of a scan */
	uint8_t fields; /* bits of enum sl_field: keys of the request are known */
	bool slow;      /* conditions are looked at one by one, without the trie and automata */
};

static inline unsigned
mark_get(const struct match_find *f, uint32_t i)
{
	uint32_t state = f->word[i] ^ f->stamp;

	return state < 4 ? state : 0;
}

static inline void
mark_set(const struct match_find *f, uint32_t i, unsigned state)
{
	f->word[i] = f->stamp | state;
}

/* ---- cond.c ---- */

/* sl_cond_holds: whether the condition does; scans when it must. */
bool sl_cond_holds(struct match_find *f, uint32_t cond);
/* sl_cond_rank: how dear it is to verify. */
unsigned sl_cond_rank(const struct match_cond *c);

/* ---- match.c ---- */

/* sl_match_scan: all patterns of the scan that hold for the value are marked; once a request. */
void sl_match_scan(struct match_find *f, uint32_t scan);

/* sl_match_entry_hash: of n bytes that follow those with hash h; 0 begins. */
uint64_t sl_match_entry_hash(uint32_t key, unsigned kind, bool fold, uint32_t len, uint64_t h);

#endif

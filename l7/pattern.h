/* pattern — what a regex's text says without a database: bytes that every match begins with, and, for most that are written for
 * paths and headers, whether a short value matches as a whole.
 *
 * A route whose regex begins with literal bytes is filed under them, so it is asked for only when a value begins so; then one
 * look at the value by the regex's own automaton is cheaper than a scan for thousands of others.
 *   understood  bytes, \ before punctuation, ., […], \d \D \w \W, (…), (?:…), |, *, +, ?, {n}, {n,}, {n,m}, lazy or not;
 *               ^ at the beginning and $ at the end
 *   all else    is left to the databases
 * The automaton is Glushkov's: one position for each byte or set of the text, which of them may follow which, in 64 bits.
 * Threads: create, add, destroy [main]; matches [any].  Pure.
 */
#ifndef SL_L7_PATTERN_H
#define SL_L7_PATTERN_H

#include "sluice/base.h"

#define SL_PATTERN_POSITIONS 64   /* of one automaton */
#define SL_PATTERN_LITERAL_MAX 64 /* bytes */
#define SL_PATTERN_VALUE_MAX 256  /* bytes of a value that is looked at: longer ones are scanned */

struct sl_patterns;

struct sl_pattern {
	uint8_t literal[SL_PATTERN_LITERAL_MAX]; /* folded: lower case */
	uint8_t literal_len;
	uint32_t automaton; /* for matches; UINT32_MAX: the text asks for more than is understood */
};

struct sl_patterns *sl_patterns_create(void);
void sl_patterns_destroy(struct sl_patterns *ps);

/* sl_patterns_add reads a text that stands for ^(?:text)\z with bytes of any kind for ".".  0, -ENOMEM. */
int sl_patterns_add(struct sl_patterns *ps, const uint8_t *text, uint32_t len, bool fold,
		    struct sl_pattern *ret);

/* n ≤ SL_PATTERN_VALUE_MAX. */
bool sl_patterns_matches(const struct sl_patterns *ps, uint32_t automaton, const uint8_t *value,
			 uint32_t n);

#endif

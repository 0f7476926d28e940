/* form — a command's shape, in Pktgen-DPDK's own notation, and the values of a line that has it.
 *
 *   "range %P src port %|min|max %d"   a word stands for itself
 *   %P  list of ports: "0", "0,2-3", "all"      %m  "00:11:22:33:44:55" or "0011:2233:4455"
 *   %4  %6  address, "/length" allowed          %d  decimal number, at most 18 digits
 *   %r  number with a fraction                  %c  %s  any word
 *   %|a|b|c  one of the words
 * Threads: [any]. Pure.
 */
#ifndef SL_PKTGEN_FORM_H
#define SL_PKTGEN_FORM_H

#include "sluice/addr.h"

#define SL_FORM_WORDS 32

/* What a % stood for. */
struct sl_form_arg {
	const char *word;
	uint64_t num; /* %d, %m; %|: place in the list; %P: bit per port */
	double real;  /* %r */
	struct sl_addr addr;
};

/* sl_form_split cuts line at blanks in place; the number of words, of which the first SL_FORM_WORDS + 1 are
 * in words. */
unsigned sl_form_split(char *line, char *words[SL_FORM_WORDS + 1]);

/* sl_form_match: how many leading words agree with the form; *ret_fits: all of them, and the form has no more.
 * args[0, *ret_arg_cnt) are the values in order (room for SL_FORM_WORDS). */
unsigned sl_form_match(const char *text, char *const *words, unsigned cnt, struct sl_form_arg *args,
		       unsigned *ret_arg_cnt, bool *ret_fits);

/* sl_form_explain writes the form as people read it: "range <ports> src port min|max <number>". */
void sl_form_explain(const char *text, char *buf, size_t size);

/* sl_form_mac reads a %m: 0 or -EINVAL. */
int sl_form_mac(const char *text, uint64_t *ret_mac);

#endif

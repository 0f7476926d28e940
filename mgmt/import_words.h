/* import_words — texts of YAML as a table has them: names, durations, regexes. */
#ifndef SL_MGMT_IMPORT_WORDS_H
#define SL_MGMT_IMPORT_WORDS_H

#include "mgmt/import_yaml.h"

/* A name as tables have them (63 bytes): other characters become "-"; what is longer is cut, and ends with a hash of the whole. */
const char *sl_words_name(struct sl_memory *m, const char *text);

/* "1.5s", "1h30m", "250ms": false: it is none.  Rounded to the next millisecond, 0 only of 0. */
bool sl_words_duration(const char *text, uint64_t *ret_ms);
/* "15s", "1500ms". */
const char *sl_words_time(struct sl_memory *m, uint64_t ms);

/* text with what means something in a regex escaped. */
const char *sl_words_escape(struct sl_memory *m, const char *text);

/* "50", "12.5" of a number of per cent: what a table takes, with up to 4 decimals; NULL: no number within 0 to 100. */
const char *sl_words_percent(struct sl_memory *m, const char *text);

/* The bytes of a base64 text, terminated; NULL: it is none, or they hold a NUL. */
const char *sl_words_base64(struct sl_memory *m, const char *text);

/* printable, without quotes. */
const char *sl_words_show(struct sl_memory *m, const char *text);

#endif

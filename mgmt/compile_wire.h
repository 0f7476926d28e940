/* compile_wire — what sluiced (shards.c) and sluice-compile (compile_main.c) say to each other, over the pipe that is the
 * latter's standard input and output.  Both are of one build and on one host: integers are the machine's.
 *
 *   ask     struct sl_compile_ask, then cnt × (struct sl_compile_pattern, len bytes)
 *   answer  struct sl_compile_answer, then `bytes` bytes: the serialized database; or, for BAD, errors:
 *           (struct sl_compile_error, len bytes) each; or, for LIMIT, a text
 *
 * One answer for each ask, in order; the end of the asks ends the program.
 */
#ifndef SL_MGMT_COMPILE_WIRE_H
#define SL_MGMT_COMPILE_WIRE_H

#include "sluice/base.h"

#define SL_COMPILE_MAGIC 0x43434c53u    /* "SLCC" */
#define SL_COMPILE_ASK_MAX (256u << 20) /* bytes behind an ask */
#define SL_COMPILE_ERRORS_MAX 256

enum { SL_COMPILE_TRY = 1 << 0 }; /* the database is not wanted, only whether it can be made */

struct sl_compile_ask {
	uint32_t magic;
	uint32_t flags;
	uint32_t cnt;   /* [1, 65536] */
	uint32_t bytes; /* behind this */
};

struct sl_compile_pattern {
	uint8_t op;    /* enum sl_cond_op: CONTAINS, REGEX */
	uint8_t icase; /* 0 or 1 */
	uint16_t zero;
	uint32_t len; /* of the text as written in the table */
};

enum sl_compile_status {
	SL_COMPILE_OK = 0,
	SL_COMPILE_BAD = 1,   /* some patterns are wrong by themselves */
	SL_COMPILE_LIMIT = 2, /* all together are too much */
};

struct sl_compile_answer {
	uint32_t magic;
	uint32_t status; /* enum sl_compile_status */
	uint32_t bytes;
	uint32_t zero;
};

struct sl_compile_error {
	uint32_t index; /* of the pattern in the ask */
	uint32_t len;
};

#endif

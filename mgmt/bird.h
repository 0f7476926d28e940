/* bird — a client of BIRD's control socket: commands out, answers in.
 *
 *   OFF ── connect ──▶ GREETING ── "0001 BIRD 2.0.12 ready." ──▶ READY ◀── command, answer ──▶ ASKED
 *    ▲                                                              │
 *    └── end, what is no answer, no answer within SL_BIRD_WAIT_MS ──┘   again after SL_BIRD_RETRY_MS or SL_BIRD_BACKOFF_MS
 *
 * Answers are lines: "NNNN-text" goes on, "NNNN text" is the last one, " text" is a line with the code of the one before,
 * "+text" nobody asked for.  Codes: 0xxx done, 1xxx and 2xxx what was asked for, 8xxx it failed, 9xxx it was not understood.
 * The connection stays open, so that BIRD's end is seen at once.
 * Trust:   who listens there is the operator's choice; what comes is bounded and may be anything.  Text is passed on
 *          printable.
 * Threads: [loop].  Never blocks.
 */
#ifndef SL_MGMT_BIRD_H
#define SL_MGMT_BIRD_H

#include "sluice/base.h"

#include <uv.h>

#define SL_BIRD_LINE_MAX 1024
#define SL_BIRD_ANSWER_MAX 8192 /* bytes of an answer's text; what is behind them is left out */
#define SL_BIRD_LINES_MAX 65536 /* lines of one answer, and of unasked messages before it */
#define SL_BIRD_WAIT_MS 5000
#define SL_BIRD_RETRY_MS 200
#define SL_BIRD_BACKOFF_MS 1000

/* ---- the reader, pure ---- */

struct sl_bird_reader { /* all 0: at the beginning */
	size_t have;
	unsigned code; /* of the line before */
	bool coded;    /* there was one */
	char line[SL_BIRD_LINE_MAX];
};

struct sl_bird_line {
	unsigned code;    /* [0, 9999] */
	bool last;        /* of its answer */
	bool unasked;     /* code and last say nothing */
	const char *text; /* printable ASCII, terminated; in the reader, until the next call */
};

/* sl_bird_read takes bytes, n ≥ 1.  > 0: so many of them ended a line, *ret_line; SL_PARTIAL: all were taken and none ended;
 * SL_BAD: this is not BIRD's protocol (or a line is too long): the reader is of no use any more. */
long sl_bird_read(struct sl_bird_reader *r, const char *bytes, size_t n,
		  struct sl_bird_line *ret_line);

/* ---- the client ---- */

struct sl_bird;

/* up: BIRD greets; down: it is gone after that.  trouble: why there is no connection, whenever that changes.  They may call
 * sl_bird_ask, and not destroy. */
struct sl_bird_events {
	void (*up)(void *ctx, const char *greeting);
	void (*down)(void *ctx, const char *why);
	void (*trouble)(void *ctx, const char *why);
	void *ctx;
};

struct sl_bird_answer {
	unsigned code;    /* of the last line */
	const char *text; /* of the last line */
	const char *all;  /* "NNNN text\n" of each line */
};

int sl_bird_create(uv_loop_t *loop, const char *path, const struct sl_bird_events *ev,
		   struct sl_bird **ret_bird);
/* sl_bird_destroy calls nothing back; the loop must run once more.  NULL is accepted. */
void sl_bird_destroy(struct sl_bird *b);

/* sl_bird_ask sends a command (one line, without its end).  fn gets the answer, or NULL: the connection ended first, which down
 * says, too, before it.  0, -ENOTCONN, -EBUSY: one is under way. */
typedef void sl_bird_fn(void *ctx, const struct sl_bird_answer *a);
int sl_bird_ask(struct sl_bird *b, const char *command, sl_bird_fn *fn, void *ctx);

/* sl_bird_greeting: NULL while there is no connection; sl_bird_trouble: why not, "" else. */
const char *sl_bird_greeting(const struct sl_bird *b);
const char *sl_bird_trouble(const struct sl_bird *b);
/* sl_bird_absent: nobody listens at the socket, or there is none: no BIRD runs. */
bool sl_bird_absent(const struct sl_bird *b);

#endif

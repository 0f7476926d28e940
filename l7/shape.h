/* shape — how many bytes a second a service moves, each way, over all workers: who may send now, who waits, for how long.
 *
 *   word     the time until which the bytes sent so far are paid for: one a service and way, shared by all workers
 *   take     word = max(word, now − burst) + bytes / rate, when that is not after now; else the taker waits
 *   queue    of a shaper, first in, first out: one a service and way; served in its turns, a bite each
 *   waiters  beside the word: the sum of what all shapers have told, each as long as its queue is
 *   own      of a queue, the time until which what it took is its share: own += bytes / rate × all waiters / its own
 *
 * In any window of length t, rate × t + burst bytes are taken at most, by all workers together: a take is one compare and swap, and
 * roundings are for the limit (less than 1 ns a take).  now is of the taker's turn, so a window reaches as far back as the
 * oldest turn under way has lasted.  What goes whole (a head) needs a bite to be there, and is ahead of its tokens
 * by the rest once: nobody takes anything until that is paid.
 * A limit that changes: what is there may be a whole burst at once.
 * Nothing is held by a worker: what one does not take is there for others at once.  A worker that comes later than
 * burst / rate loses what was saved up past the burst.
 * Fair:    who waits is before who comes; with others waiting nobody takes more than a bite: 2 ms of the rate, 1460 to 65536 bytes,
 *          a quarter of the burst at most.  While somebody waits elsewhere, a queue leaves some of what is there: nothing when its
 *          own is LAG before now, a third of the burst when it is LAG after now, between them in proportion.  So of two queues
 *          the one that has had less of its part comes first, whosever turn is first, and what it does not fetch the other
 *          may have.  Thus every queue gets its waiters' part of the rate over any time that it has them, less LAG and two bites,
 *          if its worker has a turn in each 10th of burst / rate.  What a queue had too little, as its worker stood still, is made good
 *          up to LAG, and so that others wait LAG for it at most; what it had too much, when others did, likewise.
 * Ends:    words are of the process, as workers are: a shaper that ends gives back the waiters that it has told (fini).
 * Pure over (shared words, now).  Threads: words [any]; struct sl_shaper [worker], one for each user.
 */
#ifndef SL_L7_SHAPE_H
#define SL_L7_SHAPE_H

#include "sluice/image.h"

#include <stdatomic.h>

#define SL_SHAPE_BITE_MIN 1460
#define SL_SHAPE_BITE_MAX 65536
#define SL_SHAPE_LOOK_NS 100000000 /* who waits looks at the table anew after this at the latest */
#define SL_SHAPE_LAG_NS 100000000

/* Shared memory, zeroed.  Relaxed: numbers, nothing is ordered by them. */
struct sl_shape_words {
	struct {
		SL_ALIGNED _Atomic uint64_t until_ns[SL_WAYS];
		_Atomic uint32_t waiters[SL_WAYS];
	} service[SL_MAX_SERVICES];
};

/* ---- a word ---- */

/* A limit at the moment: rate ≥ 1, burst as in struct sl_img_bandwidth. */
struct sl_shape_limit {
	uint64_t rate;
	uint32_t burst;
	uint32_t bite;
};
struct sl_shape_limit sl_shape_limit(const struct sl_img_bandwidth *b, enum sl_way way);

/* sl_shape_grab: up to `want` bytes, but not less than `need` (≤ want, ≤ burst); how many, 0: not yet.
 * sl_shape_grab_whole: all of n as soon as a bite, or n, is there.
 * sl_shape_pay: n bytes that went without having been asked for.  sl_shape_return: n that were taken and did not go.
 * sl_shape_wait_ns: until n bytes (≤ burst) are there; 0: they are. */
uint32_t sl_shape_grab(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
		       uint32_t need, uint32_t want);
bool sl_shape_grab_whole(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
			 uint32_t n);
void sl_shape_pay(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint64_t now_ns,
		  uint32_t n);
void sl_shape_return(_Atomic uint64_t *word, const struct sl_shape_limit *l, uint32_t n);
uint64_t sl_shape_wait_ns(const _Atomic uint64_t *word, const struct sl_shape_limit *l,
			  uint64_t now_ns, uint32_t n);

/* ---- a worker's queues ---- */

struct sl_shaper;

struct sl_shape_env {
	void *ctx;
	/* bandwidth: of a service in the table of this turn; NULL: not there any more, or none. */
	const struct sl_img_bandwidth *(*bandwidth)(void *ctx, uint32_t service_slot,
						    uint16_t incarnation);
	/* go: the waiter waits no more, may take now, and waits again when that was not enough. */
	void (*go)(void *user, uint32_t waiter);
	void *user;
};

struct sl_shaper_conf {
	uint32_t waiters; /* numbered from 0 */
	struct sl_shape_words *words;
	struct sl_shape_env env;
};

/* Who takes: a waiter takes for one service and way at a time. */
struct sl_shape_who {
	uint32_t waiter;
	uint32_t service_slot;
	uint16_t incarnation;
	uint8_t way; /* enum sl_way */
	uint8_t zero;
};

size_t sl_shaper_bytes(uint32_t waiters);
struct sl_shaper *sl_shaper_init(void *mem, const struct sl_shaper_conf *conf);
void sl_shaper_fini(struct sl_shaper *s); /* calls nobody */

/* sl_shaper_take: how many of `want` bytes may go now; less than `want`: the rest waits, `go` follows, in a tick.
 * sl_shaper_take_whole: whether all n may; else `go` follows.
 * sl_shaper_pay, sl_shaper_return: as of the word.
 * sl_shaper_leave: who waits does not any more.  sl_shaper_waits: for any service. */
uint32_t sl_shaper_take(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns,
			uint32_t want);
bool sl_shaper_take_whole(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns,
			  uint32_t n);
void sl_shaper_pay(struct sl_shaper *s, const struct sl_shape_who *who, uint64_t now_ns,
		   uint32_t n);
void sl_shaper_return(struct sl_shaper *s, const struct sl_shape_who *who, uint32_t n);
void sl_shaper_leave(struct sl_shaper *s, uint32_t waiter);
bool sl_shaper_waits(const struct sl_shaper *s, uint32_t waiter);

/* sl_shaper_tick: each turn: those go whose bytes are there. */
void sl_shaper_tick(struct sl_shaper *s, uint64_t now_ns);

#endif

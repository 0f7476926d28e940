/* rate — how many requests may pass in a time, counted over all workers.
 *
 * A limit has `tokens`; one that is taken is back per_ms after it was taken.  So in any window of per_ms at most `tokens` are
 * taken, over all workers, exactly; a burst of all of them passes at once; and under steady demand at least 99 % of them are used.
 * Keyed limits have a bucket of their own for each key.  A key that finds no room, or is one over `keys`, shares one bucket of
 * the limit with others like it (`overflow`): never more than `tokens` for all of them together, nor for a key that had some of them and
 * then got a bucket.
 * A limit whose number changes keeps what was taken: no window holds more than the larger of both numbers.
 *
 * Leases:  where several workers run, a worker takes up to tokens / (SL_RATE_EXACT × workers) tokens, at most SL_RATE_LEASE, at
 *          once from a bucket that all requests share, and has per/256 to use them; they come back per after that.  It is at most
 *          a quarter of what its part of the demand is in that time.  Under-use: below 1/256 by the time, and what is left over
 *          where demand leaves a worker.  Below 2 × SL_RATE_EXACT × workers tokens, with one worker, and by key: none.
 * Grains:  above SL_RATE_GRAINS tokens, they come back in grains of tokens/SL_RATE_GRAINS: with the last one that was taken.
 * Owner:   struct sl_rates_shared lies in memory of the process, given at boot; pages that no bucket needs are never touched.
 * Threads: [worker], each with its own struct sl_rates.  A bucket for all requests is lock-free; keyed ones are found and taken from
 *          under the lock of a set of about a hundred buckets.
 * Time:    of a take: CLOCK_MONOTONIC's (sl_rates_now), or what another worker has already written, if later.  Not the worker clock's: that
 *          lies behind it by up to half a millisecond and catches up at once, by which windows would be shorter.
 * Shares:  a limit with SL_RATE_SHARED has as many tokens here as sluiced wrote into the state segment (state.h).  They may change at any
 *          take: in no window more than the largest of that time are taken, and of takes after it fell, never more than the smaller.
 * Not here: what a key is (rate_judge.h), how gateways come to their shares (mgmt/rate_share.h).
 */
#ifndef SL_L7_RATE_H
#define SL_L7_RATE_H

#include "lb/hash.h"
#include "sluice/image_policy.h"
#include "sluice/state.h"

#define SL_RATE_GRAINS 256
#define SL_RATE_EXACT 1024
#define SL_RATE_LEASE 16
#define SL_RATE_NONE_MS                                                                            \
	1000 /* told to who is refused for want of a share, or per_ms if that is less */
#define SL_RATE_MEMORY_MIN (4u << 20)

struct sl_rates_shared;
/* sl_rates_shared_init: mem: zeroed, page-aligned, bytes ≥ SL_RATE_MEMORY_MIN; key: secret, so that nobody can choose keys
 * that share a bucket. */
struct sl_rates_shared *sl_rates_shared_init(void *mem, size_t bytes,
					     const struct sl_hash_key *key);

struct sl_rates;
size_t sl_rates_bytes(void);
struct sl_rates *sl_rates_init(void *mem, struct sl_rates_shared *shared, unsigned worker_cnt);

/* Where this gateway's shares stand; seg NULL, as at first: limits with SL_RATE_SHARED let nobody through.
 * monotonic_ns: CLOCK_MONOTONIC, read when asked and not once in a turn: a worker that has stood still goes by no share that is over.
 * now_ns: the same on the worker clock's scale, never before it; NULL: takes go by the time of the last tick. */
struct sl_rate_words {
	const struct sl_state_seg *seg;
	uint64_t (*monotonic_ns)(void *ctx);
	uint64_t (*now_ns)(void *ctx);
	void *ctx;
};
void sl_rates_words(struct sl_rates *r, const struct sl_rate_words *words);
/* sl_rate_share: tokens that a limit with SL_RATE_SHARED has here now; 0: none. */
uint32_t sl_rate_share(const struct sl_rates *r, const struct sl_img_rate *rate);

struct sl_rate_verdict {
	bool allowed;
	bool overflow;     /* by the bucket that keys without one of their own share */
	uint32_t retry_ms; /* refused: when the next token is back, ≥ 1 */
	/* of a limit with SL_RATE_HEADERS and of sl_rate_look, else 0 */
	uint32_t remaining; /* could be taken now */
	uint32_t reset_ms;  /* when the first of those that are taken is back; 0: none is taken */
	uint64_t at_ns;     /* allowed: the time of the take */
	/* for sl_rate_give */
	uint64_t bucket;
	uint32_t place;
};

/* sl_rate_take: one token of the key's bucket (key ignored for SL_RATE_ALL).  tokens: how many the limit has here and now, rate->tokens
 * or this gateway's share of them (sl_rate_share); 0: none.  now_ns: of a worker, never goes back.
 * sl_rate_give: a token that was taken in this turn is not needed.
 * sl_rate_look: what a take would say, without taking. */
void sl_rate_take(struct sl_rates *r, const struct sl_img_rate *rate, uint32_t tokens,
		  const void *key, uint32_t len, uint64_t now_ns, struct sl_rate_verdict *ret);
void sl_rate_give(struct sl_rates *r, const struct sl_img_rate *rate,
		  const struct sl_rate_verdict *taken);
void sl_rate_look(struct sl_rates *r, const struct sl_img_rate *rate, uint32_t tokens,
		  const void *key, uint32_t len, uint64_t now_ns, struct sl_rate_verdict *ret);

/* sl_rates_tick: each turn, when its packets were taken in and before their requests are looked at; now_ns: read then.  Lets go of
 * buckets whose tokens are all back, some each millisecond; true: it was one of those turns.
 * sl_rates_now: the time of a take, read now, so that none is told as earlier than its request came, however long the turn has stood
 * still; without words.now_ns the last tick's, 0: there was none yet. */
bool sl_rates_tick(struct sl_rates *r, uint64_t now_ns);
uint64_t sl_rates_now(const struct sl_rates *r);

/* sl_rates_keys: buckets that the limit in the slot has now. */
uint32_t sl_rates_keys(const struct sl_rates_shared *shared, uint32_t rate_slot);

#endif

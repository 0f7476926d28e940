/* state — what moves between generations: two words per endpoint slot, and this gateway's shares of limits that several gateways share.
 *
 * The segment is a memfd made by the dataplane at boot and passed to sluiced, which maps it
 * read-write.  Each word has one writer and is read with a relaxed atomic load: a word is complete in
 * itself, nothing is ordered against it.
 *
 *   admin    written by sluiced (health, drain, disable, fraction)
 *   passive  written by the dataplane's main thread (ejection: dataplane/outlier.h)
 *
 * Layout of a word:  bits 0–15 flags · 16–23 fraction · 24–31 zero (passive: enum sl_ejected) · 32–63 incarnation
 * A word whose incarnation differs from the endpoint's in the table says nothing about it: the
 * endpoint is then taken as freshly added, healthy, whole (SL_STATE_FRESH).
 */
#ifndef SLUICE_STATE_H
#define SLUICE_STATE_H

#include "sluice/base.h"

#define SL_STATE_MAGIC 0x54535453u /* "STST" */
#define SL_STATE_VERSION 2
#define SL_STATE_SHARES 1024 /* SL_MAX_RATES */

enum {
	SL_ST_UNHEALTHY =
		1 << 0, /* probes failed: no new flows; TCP ones go on, UDP ones choose again */
	SL_ST_DRAIN = 1 << 1,    /* no new flows; established ones go on */
	SL_ST_DISABLED = 1 << 2, /* no new flows; established ones end */
	SL_ST_EJECTED = 1 << 3,  /* passive word only */
};

/* Why the dataplane ejected an endpoint. */
enum sl_ejected {
	SL_EJECTED_NOT = 0,
	SL_EJECTED_FAILED,  /* eject_after answers 5xx or failures in a row */
	SL_EJECTED_GATEWAY, /* gateway_after */
	SL_EJECTED_LOCAL,   /* local_after */
	SL_EJECTED_RATE,    /* its success rate is far below the others' */
	SL_EJECTED_PERCENT, /* failure_pct */
};

#define SL_FRACTION_WHOLE 255 /* every new flow is admitted; f admits hash2 & 255 < f; 0 none */

struct sl_state_word2 {
	_Atomic uint64_t admin;
	_Atomic uint64_t passive;
};

/* How many tokens this gateway has of a limit with SL_RATE_SHARED, by the limit's slot.  A word: bits 0–31 tokens, 32–63 the limit's
 * incarnation; of another incarnation, or 0: none.  Written by sluiced, read by workers.
 * A dataplane that has just begun knows nothing of what was taken before it: its words stay 0 for per.  A worker may lag by what it
 * stands still between a look at the word and the take; the worker clock, by up to 1 in 2,000 between two seconds (clock.h). */
struct sl_state_share {
	_Atomic uint64_t share; /* while share_until_ns is ahead */
	_Atomic uint64_t floor; /* after that, while floor_until_ns is */
};

struct sl_state_seg {
	uint32_t magic; /* stored last by the creator */
	uint32_t version;
	uint64_t boot_id;
	uint32_t slot_cnt;  /* SL_MAX_ENDPOINTS */
	uint32_t share_cnt; /* SL_STATE_SHARES */
	/* CLOCK_MONOTONIC; stored after the shares that they cover (release, acquire) */
	_Atomic uint64_t share_until_ns;
	_Atomic uint64_t floor_until_ns;
	uint32_t zero[6];
	struct sl_state_share share[SL_STATE_SHARES];
	struct sl_state_word2 slot[]; /* [slot_cnt] */
};
static_assert(offsetof(struct sl_state_seg, share) == 64, "");
static_assert(offsetof(struct sl_state_seg, slot) % 64 == 0, "");

static inline uint64_t
sl_state_share_make(uint32_t tokens, uint32_t incarnation)
{
	return (uint64_t)tokens | (uint64_t)incarnation << 32;
}

/* sl_state_share_tokens: how many tokens the limit has here at this time. */
static inline uint32_t
sl_state_share_tokens(const struct sl_state_seg *seg, uint32_t slot, uint32_t incarnation,
		      uint64_t monotonic_ns)
{
	const struct sl_state_share *s = &seg->share[slot];
	uint64_t word = 0;

	if (monotonic_ns <
	    __atomic_load_n((const uint64_t *)&seg->share_until_ns, __ATOMIC_ACQUIRE))
		word = __atomic_load_n((const uint64_t *)&s->share, __ATOMIC_RELAXED);
	else if (monotonic_ns <
		 __atomic_load_n((const uint64_t *)&seg->floor_until_ns, __ATOMIC_ACQUIRE))
		word = __atomic_load_n((const uint64_t *)&s->floor, __ATOMIC_RELAXED);
	return (uint32_t)(word >> 32) == incarnation ? (uint32_t)word : 0;
}

static inline uint64_t
sl_state_make(uint16_t flags, uint8_t fraction, uint32_t incarnation)
{
	return (uint64_t)flags | (uint64_t)fraction << 16 | (uint64_t)incarnation << 32;
}

static inline uint16_t
sl_state_flags(uint64_t word)
{
	return (uint16_t)word;
}

static inline uint8_t
sl_state_fraction(uint64_t word)
{
	return (uint8_t)(word >> 16);
}

static inline unsigned
sl_state_why(uint64_t word)
{
	return (uint8_t)(word >> 24);
}

static inline uint32_t
sl_state_incarnation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* sl_state_refusal: the flags of both words, as far as they speak of this incarnation.  Relaxed: see above. */
static inline unsigned
sl_state_refusal(const struct sl_state_word2 *w, uint32_t incarnation)
{
	uint64_t admin = __atomic_load_n((const uint64_t *)&w->admin, __ATOMIC_RELAXED);
	uint64_t passive = __atomic_load_n((const uint64_t *)&w->passive, __ATOMIC_RELAXED);

	return (sl_state_incarnation(admin) == incarnation ? sl_state_flags(admin) : 0u) |
	       (sl_state_incarnation(passive) == incarnation ? sl_state_flags(passive) : 0u);
}

#endif

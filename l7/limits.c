/* What a worker has in use (`used`) lies within what it has taken from the ledger (`taken`):
 *
 *   ledger   Σ taken of all workers ≤ max, by compare and swap: so Σ used ≤ max
 *   exact    taken = used: every take and give is one swap
 *   shares   used ≤ taken ≤ used + SL_LIMIT_SHARE; the ledger is written once in about eight times
 *
 * Which of the two is for a counter is said by the last take, because a give does not know the limit.
 */
#include "l7/limits.h"

#include <stdatomic.h>

#define SECOND_NS 1000000000ull

struct share {
	uint32_t used, taken;
};

struct sl_limits {
	struct sl_ledger *ledger;
	uint32_t exact_below; /* limits */
	uint32_t used;        /* slots that ever had something lie below */
	uint32_t next;        /* told next */
	struct sl_stats_service *stats;
	struct {
		struct share of[SL_LIMIT_CNT];
		uint8_t shared[SL_LIMIT_CNT]; /* 1: by shares */
		uint8_t zero[4];
	} service[SL_MAX_SERVICES];
};

size_t
sl_limits_bytes(void)
{
	return sizeof(struct sl_limits);
}

struct sl_limits *
sl_limits_init(void *mem, struct sl_ledger *ledger, unsigned worker_cnt)
{
	struct sl_limits *l = mem;

	memset(l, 0, sizeof(*l));
	l->ledger = ledger;
	l->exact_below = SL_LIMIT_EXACT * worker_cnt;
	return l;
}

/* Relaxed, as all of the ledger: a number, nothing is ordered by it. */
static uint32_t
ledger_load(const struct sl_limits *l, uint32_t slot, enum sl_limit what)
{
	return atomic_load_explicit(&l->ledger->service[slot].taken[what], memory_order_relaxed);
}

static void
give_back(struct sl_limits *l, uint32_t slot, enum sl_limit what, uint32_t n)
{
	if (n == 0)
		return;
	l->service[slot].of[what].taken -= n;
	atomic_fetch_sub_explicit(&l->ledger->service[slot].taken[what], n, memory_order_relaxed);
}

void
sl_limits_fini(struct sl_limits *l)
{
	for (uint32_t slot = 0; slot < SL_MAX_SERVICES; slot++)
		for (unsigned what = 0; what < SL_LIMIT_CNT; what++) {
			give_back(l, slot, what, l->service[slot].of[what].taken);
			l->service[slot].of[what].used = 0;
		}
}

/* Up to n more from the ledger; false: it has none. */
static bool
fetch(struct sl_limits *l, uint32_t slot, enum sl_limit what, uint32_t n, uint32_t max)
{
	_Atomic uint32_t *at = &l->ledger->service[slot].taken[what];
	uint32_t old = atomic_load_explicit(at, memory_order_relaxed), got;

	do {
		if (old >= max)
			return false;
		got = SL_MIN(n, max - old);
	} while (!atomic_compare_exchange_weak_explicit(at, &old, old + got, memory_order_relaxed,
							memory_order_relaxed));
	l->service[slot].of[what].taken += got;
	return true;
}

void
sl_limits_stats(struct sl_limits *l, struct sl_stats_service *stats)
{
	l->stats = stats;
}

uint32_t
sl_limits_tell(struct sl_limits *l)
{
	uint32_t slot = l->next < l->used ? l->next : 0;

	l->next = slot + 1;
	for (unsigned what = 0; l->stats && slot < l->used && what < SL_LIMIT_CNT; what++)
		l->stats[slot].under_way[what] = l->service[slot].of[what].used;
	return slot;
}

static SL_COLD void
reached(struct sl_limits *l, uint32_t slot, enum sl_limit what)
{
	if (l->stats)
		l->stats[slot].reached[what]++;
}

bool
sl_limit_take(struct sl_limits *l, uint32_t service_slot, enum sl_limit what, uint32_t max)
{
	struct share *s = &l->service[service_slot].of[what];
	bool shared = max == 0 || max >= l->exact_below;
	uint32_t top = max ? max : UINT32_MAX;

	l->service[service_slot].shared[what] = shared;
	if (s->taken > s->used) {
		if (sl_likely(shared && ledger_load(l, service_slot, what) <= top)) {
			s->used++;
			return true;
		}
		/* the limit has become another one */
		give_back(l, service_slot, what, s->taken - s->used);
	}
	if (!fetch(l, service_slot, what, shared ? SL_LIMIT_SHARE : 1, top)) {
		reached(l, service_slot, what);
		return false;
	}
	if (sl_unlikely(service_slot >= l->used))
		l->used = service_slot + 1;
	s->used++;
	return true;
}

void
sl_limit_give(struct sl_limits *l, uint32_t service_slot, enum sl_limit what)
{
	struct share *s = &l->service[service_slot].of[what];

	s->used--;
	uint32_t spare = s->taken - s->used;
	if (s->used == 0 || !l->service[service_slot].shared[what])
		give_back(l, service_slot, what, spare);
	else if (spare > SL_LIMIT_SHARE)
		give_back(l, service_slot, what, spare - SL_LIMIT_SHARE / 2);
}

uint32_t
sl_limit_held(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what)
{
	return l->service[service_slot].of[what].used;
}

bool
sl_limit_full(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what, uint32_t max)
{
	const struct share *s = &l->service[service_slot].of[what];

	return max && ledger_load(l, service_slot, what) - (s->taken - s->used) >= max;
}

bool
sl_limit_elsewhere(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what)
{
	return ledger_load(l, service_slot, what) > l->service[service_slot].of[what].taken;
}

/* One of the retries that may be made each second: `retry_ns` runs ahead by a second's part with each, at most to now. */
static bool
take_floor(struct sl_limits *l, uint32_t slot, uint32_t per_s, uint64_t now_ns)
{
	_Atomic uint64_t *at = &l->ledger->service[slot].retry_ns;
	uint64_t old = atomic_load_explicit(at, memory_order_relaxed), next;

	if (per_s == 0)
		return false;
	do {
		next = SL_MAX(old, now_ns > SECOND_NS ? now_ns - SECOND_NS : 0) +
		       (SECOND_NS + per_s - 1) / per_s;
		if (next > now_ns)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(at, &old, next, memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

bool
sl_limit_retry(struct sl_limits *l, uint32_t service_slot, const struct sl_img_http_service *http,
	       uint64_t now_ns)
{
	uint64_t under_way = sl_limit_held(l, service_slot, SL_LIMIT_REQUESTS);
	uint64_t budget = SL_MAX(under_way * http->budget_pct / 100, (uint64_t)http->budget_min);
	bool within = sl_limit_held(l, service_slot, SL_LIMIT_RETRIES) < budget;

	if (!sl_limit_take(l, service_slot, SL_LIMIT_RETRIES, http->max_retries))
		return false;
	if (within || take_floor(l, service_slot, http->budget_per_s, now_ns))
		return true;
	sl_limit_give(l, service_slot, SL_LIMIT_RETRIES);
	reached(l, service_slot, SL_LIMIT_RETRIES);
	return false;
}

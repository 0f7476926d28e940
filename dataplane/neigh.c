/* One line an entry:
 *
 *   word  version 12 │ state 4 │ MAC 48      0: free
 *   key   address 16, port
 *   used  coarse clock, written by anyone
 *   the rest is worker 0's alone
 *
 * Places: an address hashes to two sets of eight and lives in either, so a look-up reads at most sixteen
 * entries and taking one away leaves no mark.  The emptier set is taken: the first new entry that has to
 * take another's place comes at about three quarters of SL_NEIGH_MAX.
 *
 * Readers: load the word, compare the key, load the word again.  The writer changes a key only while the
 * word is 0 and gives the next word a new version, so two equal words around a matching key mean that the
 * MAC belongs to it.
 *
 * Time: a heap of the live entries by what is due next.  Only worker 0 touches it.
 *
 *              want                     answer                    30 s
 *   (free) ──────────▶ INCOMPLETE ─────────────────▶ REACHABLE ─────────▶ STALE ──▶ unicast probes
 *                       │   ▲  ▲                          ▲                │ │         │
 *              3 tries  ▼   │5 s└───── 3 unanswered ───────│────────────────┘ └─unused──▶ (free)
 *                       FAILED                            └──── answer ────┘
 *
 * Another MAC claimed for an entry in use (an announcement, a stranger's request) makes it STALE with the MAC it has,
 * and everyone is asked: whose answer comes is believed.
 *
 * Whose place a new entry may take when both sets are full, worst first: one that FAILED; one learned from a
 * stranger and never used; one still INCOMPLETE; the one unused for longest.  Pinned ones never, and what
 * strangers teach may take only the first two, so no flood of ARP pushes out what traffic uses.
 */
#include "dataplane/neigh.h"

#include <stdatomic.h>

#include "lb/hash.h"

#define NS_PER_S 1000000000ull
#define ASK_EVERY_NS NS_PER_S
#define RETRY_FAILED_NS (5 * NS_PER_S)
#define REACHABLE_NS (30 * NS_PER_S)
#define LOOK_AGAIN_NS NS_PER_S /* at a stale entry: is it used? */
#define UNUSED_S 60
#define TRIES 3

#define WAYS 8
#define SETS (SL_NEIGH_MAX / WAYS)

enum { FREE = 0, INCOMPLETE, FAILED, REACHABLE, STALE };

#define MAC_MASK 0xffffffffffffull
#define STATE_SHIFT 48
#define STATE_MASK 15
#define VERSION_SHIFT 52

/* In `used`: learned from a stranger, and no packet has gone there since. */
#define NEVER_USED (1u << 31)

struct entry {
	_Atomic uint64_t word;
	_Atomic uint64_t addr[2]; /* as loaded from memory */
	_Atomic uint32_t port;
	_Atomic uint32_t used; /* seconds, | NEVER_USED */
	/* worker 0 */
	uint64_t due_ns;
	uint64_t asked_ns; /* last request; 0: none is out */
	uint32_t heap_at;
	uint32_t pin_round; /* pinned when equal to the table's; 0: never was */
	uint16_t version;
	uint8_t tries;
	uint8_t contested;    /* another MAC was claimed: the next request goes to everyone */
	uint32_t contested_s; /* when that was last believed worth a request */
};
static_assert(sizeof(struct entry) == 64, "one line");

struct sl_neigh_table {
	struct entry entries[SL_NEIGH_MAX];
	uint32_t heap[SL_NEIGH_MAX]; /* entries, the one due first at 0 */
	uint32_t heap_cnt;
	uint32_t pin_round;
};

size_t
sl_neigh_bytes(void)
{
	return sizeof(struct sl_neigh_table);
}

struct sl_neigh_table *
sl_neigh_init(void *zeroed)
{
	struct sl_neigh_table *t = zeroed;

	t->pin_round = 1;
	return t;
}

/* ---- words ---- */

static inline unsigned
word_state(uint64_t w)
{
	return (unsigned)(w >> STATE_SHIFT) & STATE_MASK;
}

static inline bool
word_usable(uint64_t w)
{
	return word_state(w) >= REACHABLE;
}

static uint64_t
mac_bits(const uint8_t mac[6])
{
	return sl_load32(mac) | (uint64_t)sl_load16(mac + 4) << 32;
}

/* Only worker 0 asks for its own last store. */
static inline uint64_t
word_own(const struct entry *e)
{
	return atomic_load_explicit(&e->word, memory_order_relaxed);
}

/* Release: pairs with the acquire of readers' first load, so they see the key that goes with the word. */
static void
set_word(struct entry *e, unsigned state, uint64_t mac)
{
	atomic_store_explicit(&e->word,
			      (uint64_t)(e->version & 0xfff) << VERSION_SHIFT |
				      (uint64_t)state << STATE_SHIFT | mac,
			      memory_order_release);
}

static inline bool
key_is(const struct entry *e, uint16_t port, const struct sl_addr *addr)
{
	return atomic_load_explicit(&e->addr[0], memory_order_relaxed) == sl_load64(addr->b) &&
	       atomic_load_explicit(&e->addr[1], memory_order_relaxed) == sl_load64(addr->b + 8) &&
	       atomic_load_explicit(&e->port, memory_order_relaxed) == port;
}

static inline uint32_t
set_of(uint16_t port, const struct sl_addr *addr, unsigned choice)
{
	return sl_hash_reduce(sl_hash_addr(port, addr, choice), SETS) * WAYS;
}

/* ---- readers ---- */

uint32_t
sl_neigh_find(const struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr)
{
	for (unsigned choice = 0; choice < 2; choice++) {
		uint32_t set = set_of(port, addr, choice);
		for (uint32_t i = set; i < set + WAYS; i++) {
			const struct entry *e = &t->entries[i];
			/* acquire: the key is not older than the word; sl_neigh_mac checks again */
			if (atomic_load_explicit(&e->word, memory_order_acquire) != 0 &&
			    key_is(e, port, addr))
				return i;
		}
	}
	return SL_NEIGH_NONE;
}

/* The word of entry idx, or 0: it is another's, or has no usable MAC. */
static inline uint64_t
word_for(const struct sl_neigh_table *t, uint32_t idx, uint16_t port, const struct sl_addr *addr)
{
	if (idx >= SL_NEIGH_MAX)
		return 0;
	const struct entry *e = &t->entries[idx];
	/* acquire: pairs with set_word.  The fence keeps the second load behind those of the key; it
	 * pairs with the fence of claim(). */
	uint64_t w = atomic_load_explicit(&e->word, memory_order_acquire);
	if (!word_usable(w) || !key_is(e, port, addr))
		return 0;
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&e->word, memory_order_relaxed) == w ? w : 0;
}

bool
sl_neigh_mac(const struct sl_neigh_table *t, uint32_t idx, uint16_t port,
	     const struct sl_addr *addr, uint8_t ret_mac[6])
{
	uint64_t w = word_for(t, idx, port, addr);

	if (w == 0)
		return false;
	sl_store32(ret_mac, (uint32_t)w);
	sl_store16(ret_mac + 4, (uint16_t)(w >> 32));
	return true;
}

/* An entry that another key takes has another version for 4096 owners, more than come and go in SL_NEIGH_WATCH_S. */
bool
sl_neigh_watch(const struct sl_neigh_table *t, uint32_t idx, uint16_t port,
	       const struct sl_addr *addr, struct sl_neigh_watch *ret_watch)
{
	uint64_t w = word_for(t, idx, port, addr);

	if (w == 0)
		return false;
	*ret_watch = (struct sl_neigh_watch){(const uint64_t *)&t->entries[idx].word, w};
	return true;
}

static inline uint32_t
coarse(uint64_t now_ns)
{
	return (uint32_t)(now_ns / NS_PER_S) & ~NEVER_USED;
}

void
sl_neigh_used(struct sl_neigh_table *t, uint32_t idx, uint64_t now_ns)
{
	if (idx >= SL_NEIGH_MAX)
		return;
	/* relaxed: a hint for aging; nothing is ordered by it */
	_Atomic uint32_t *used = &t->entries[idx].used;
	uint32_t now = coarse(now_ns);
	if (atomic_load_explicit(used, memory_order_relaxed) != now)
		atomic_store_explicit(used, now, memory_order_relaxed);
}

/* ---- the heap ---- */

static void
heap_put(struct sl_neigh_table *t, uint32_t at, uint32_t idx)
{
	t->heap[at] = idx;
	t->entries[idx].heap_at = at;
}

static uint64_t
heap_due(const struct sl_neigh_table *t, uint32_t at)
{
	return t->entries[t->heap[at]].due_ns;
}

/* Restores the order after the entry at `at` got another due time. */
static void
heap_move(struct sl_neigh_table *t, uint32_t at)
{
	uint32_t idx = t->heap[at];
	uint64_t due = t->entries[idx].due_ns;

	for (; at > 0 && heap_due(t, (at - 1) / 2) > due; at = (at - 1) / 2)
		heap_put(t, at, t->heap[(at - 1) / 2]);
	for (uint32_t child; (child = 2 * at + 1) < t->heap_cnt; at = child) {
		if (child + 1 < t->heap_cnt && heap_due(t, child + 1) < heap_due(t, child))
			child++;
		if (heap_due(t, child) >= due)
			break;
		heap_put(t, at, t->heap[child]);
	}
	heap_put(t, at, idx);
}

static void
set_due(struct sl_neigh_table *t, struct entry *e, uint64_t due_ns)
{
	e->due_ns = due_ns;
	heap_move(t, e->heap_at);
}

/* ---- entries come and go ---- */

static void
release(struct sl_neigh_table *t, uint32_t idx)
{
	struct entry *e = &t->entries[idx];
	uint32_t at = e->heap_at, last = t->heap[--t->heap_cnt];

	/* relaxed: a reader that still sees the old word gets the old key's MAC, as a moment ago */
	atomic_store_explicit(&e->word, 0, memory_order_relaxed);
	if (at < t->heap_cnt) {
		heap_put(t, at, last);
		heap_move(t, at);
	}
}

static void
claim(struct sl_neigh_table *t, uint32_t idx, uint16_t port, const struct sl_addr *addr,
      uint32_t used, uint64_t due_ns)
{
	struct entry *e = &t->entries[idx];

	/* release: no reader sees the new key together with the word before the 0 (sl_neigh_mac) */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&e->addr[0], sl_load64(addr->b), memory_order_relaxed);
	atomic_store_explicit(&e->addr[1], sl_load64(addr->b + 8), memory_order_relaxed);
	atomic_store_explicit(&e->port, port, memory_order_relaxed);
	atomic_store_explicit(&e->used, used, memory_order_relaxed);
	e->due_ns = due_ns;
	e->asked_ns = 0;
	e->pin_round = 0;
	e->version++;
	e->tries = 0;
	e->contested = 0;
	e->contested_s = 0;
	heap_put(t, t->heap_cnt, idx);
	heap_move(t, t->heap_cnt++);
}

enum rank { RANK_FAILED, RANK_LEARNED, RANK_INCOMPLETE, RANK_USED, RANK_PINNED };

static enum rank
rank_of(const struct sl_neigh_table *t, const struct entry *e)
{
	unsigned state = word_state(word_own(e));

	if (e->pin_round == t->pin_round)
		return RANK_PINNED;
	if (state == FAILED)
		return RANK_FAILED;
	if (atomic_load_explicit(&e->used, memory_order_relaxed) & NEVER_USED)
		return RANK_LEARNED;
	return state == INCOMPLETE ? RANK_INCOMPLETE : RANK_USED;
}

/* A place for a new key: a free one in the emptier set, else that of the worst entry not above
 * `limit` (below RANK_PINNED), else SL_NEIGH_NONE.  The place returned is free. */
static uint32_t
make_room(struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr, enum rank limit)
{
	uint32_t room = SL_NEIGH_NONE, worst = SL_NEIGH_NONE, worst_used = 0;
	unsigned most_free = 0;
	enum rank worst_rank = RANK_PINNED;

	for (unsigned choice = 0; choice < 2; choice++) {
		uint32_t set = set_of(port, addr, choice), found = SL_NEIGH_NONE;
		unsigned free_cnt = 0;
		for (uint32_t i = set; i < set + WAYS; i++) {
			const struct entry *e = &t->entries[i];
			if (word_own(e) == 0) {
				free_cnt++;
				found = i;
				continue;
			}
			enum rank rank = rank_of(t, e);
			uint32_t used = atomic_load_explicit(&e->used, memory_order_relaxed);
			if (rank < worst_rank || (rank == worst_rank && used < worst_used)) {
				worst = i;
				worst_rank = rank;
				worst_used = used;
			}
		}
		if (free_cnt > most_free) {
			most_free = free_cnt;
			room = found;
		}
	}
	if (room != SL_NEIGH_NONE)
		return room;
	if (worst_rank > limit)
		return SL_NEIGH_NONE;
	release(t, worst);
	return worst;
}

uint32_t
sl_neigh_want(struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr, bool pin,
	      uint64_t now_ns)
{
	uint32_t idx = sl_neigh_find(t, port, addr);

	if (idx == SL_NEIGH_NONE) {
		idx = make_room(t, port, addr, RANK_USED);
		if (idx == SL_NEIGH_NONE)
			return idx;
		claim(t, idx, port, addr, coarse(now_ns), now_ns);
		set_word(&t->entries[idx], INCOMPLETE, 0);
	}
	sl_neigh_used(t, idx, now_ns);
	if (pin)
		t->entries[idx].pin_round = t->pin_round;
	return idx;
}

bool
sl_neigh_pin(struct sl_neigh_table *t, uint32_t idx, uint16_t port, const struct sl_addr *addr,
	     uint64_t now_ns)
{
	if (idx >= SL_NEIGH_MAX || word_own(&t->entries[idx]) == 0 ||
	    !key_is(&t->entries[idx], port, addr))
		return false;
	sl_neigh_used(t, idx, now_ns);
	t->entries[idx].pin_round = t->pin_round;
	return true;
}

void
sl_neigh_unpin_all(struct sl_neigh_table *t)
{
	if (++t->pin_round == 0)
		t->pin_round = 1;
}

/* ---- what is heard ---- */

static void
reachable(struct sl_neigh_table *t, struct entry *e, uint64_t mac, uint64_t now_ns)
{
	e->tries = 0;
	e->contested = 0;
	e->asked_ns = 0;
	set_word(e, REACHABLE, mac);
	set_due(t, e, now_ns + REACHABLE_NS);
}

/* Believed, but to be verified as soon as it is used. */
static void
stale(struct sl_neigh_table *t, struct entry *e, uint64_t mac, uint64_t now_ns)
{
	e->tries = 0;
	e->contested = 0;
	e->asked_ns = 0;
	set_word(e, STALE, mac);
	set_due(t, e, now_ns);
}

/* Somebody claims the address of an entry that traffic uses.  Who moved answers a request to everyone as fast as
 * who did not; a claim alone moves nothing.  One such request a second: claims come in floods. */
static void
contest(struct sl_neigh_table *t, struct entry *e, uint64_t mac, uint64_t now_ns)
{
	if (e->contested || e->contested_s == coarse(now_ns))
		return;
	e->contested_s = coarse(now_ns);
	stale(t, e, mac, now_ns);
	e->contested = 1;
}

static bool
never_used(const struct entry *e)
{
	return atomic_load_explicit(&e->used, memory_order_relaxed) & NEVER_USED;
}

/* "Solicited" counts only while a request of ours is out: else anyone could confirm himself. */
void
sl_neigh_heard(struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr,
	       const uint8_t mac[6], bool solicited, bool create, uint64_t now_ns)
{
	uint64_t bits = mac_bits(mac);
	uint32_t idx = sl_neigh_find(t, port, addr);

	if ((mac[0] & 1) || bits == 0)
		return;
	if (idx == SL_NEIGH_NONE) {
		if (!create)
			return;
		idx = make_room(t, port, addr, RANK_LEARNED);
		if (idx == SL_NEIGH_NONE)
			return;
		claim(t, idx, port, addr, coarse(now_ns) | NEVER_USED, now_ns + LOOK_AGAIN_NS);
		set_word(&t->entries[idx], STALE, bits);
		return;
	}
	struct entry *e = &t->entries[idx];
	uint64_t w = word_own(e);
	if (solicited && e->asked_ns != 0)
		reachable(t, e, bits, now_ns);
	else if (!word_usable(w) || (never_used(e) && (w & MAC_MASK) != bits))
		stale(t, e, bits, now_ns);
	else if ((w & MAC_MASK) != bits)
		contest(t, e, w & MAC_MASK, now_ns);
}

/* ---- what is due ---- */

struct tick {
	uint64_t now_ns;
	sl_neigh_ask_fn *ask;
	void *ctx;
};

static void
ask_now(struct sl_neigh_table *t, struct entry *e, const struct tick *k, uint64_t mac)
{
	uint16_t port = (uint16_t)atomic_load_explicit(&e->port, memory_order_relaxed);
	uint8_t mac_bytes[6];
	struct sl_addr addr;

	sl_store64(addr.b, atomic_load_explicit(&e->addr[0], memory_order_relaxed));
	sl_store64(addr.b + 8, atomic_load_explicit(&e->addr[1], memory_order_relaxed));
	sl_store32(mac_bytes, (uint32_t)mac);
	sl_store16(mac_bytes + 4, (uint16_t)(mac >> 32));
	e->tries++;
	e->asked_ns = k->now_ns;
	set_due(t, e, k->now_ns + ASK_EVERY_NS);
	k->ask(k->ctx, port, &addr, mac ? mac_bytes : NULL);
}

/* Seconds since the last use; a pinned entry is always in use.  One whose pin has gone begins to age at
 * that moment. */
static uint32_t
unused_s(const struct sl_neigh_table *t, struct entry *e, uint64_t now_ns)
{
	uint32_t now = coarse(now_ns);

	if (e->pin_round == t->pin_round)
		return 0;
	if (e->pin_round != 0) {
		e->pin_round = 0;
		atomic_store_explicit(&e->used, now, memory_order_relaxed);
	}
	uint32_t used = atomic_load_explicit(&e->used, memory_order_relaxed) & ~NEVER_USED;
	return used < now ? now - used : 0;
}

static void
stale_due(struct sl_neigh_table *t, struct entry *e, const struct tick *k, uint32_t unused)
{
	uint64_t mac = word_own(e) & MAC_MASK;
	bool used = unused < REACHABLE_NS / NS_PER_S &&
		    !(atomic_load_explicit(&e->used, memory_order_relaxed) & NEVER_USED);

	if (e->tries >= TRIES) {
		e->tries = 0;
		set_word(e, INCOMPLETE, 0);
		ask_now(t, e, k, 0);
	} else if (e->contested) {
		ask_now(t, e, k, 0);
	} else if (e->tries > 0 || used || e->pin_round == t->pin_round) {
		ask_now(t, e, k, mac);
	} else {
		set_due(t, e, k->now_ns + LOOK_AGAIN_NS);
	}
}

static void
due(struct sl_neigh_table *t, struct entry *e, const struct tick *k)
{
	uint32_t unused = unused_s(t, e, k->now_ns);

	if (unused >= UNUSED_S) {
		release(t, t->heap[e->heap_at]);
		return;
	}
	switch (word_state(word_own(e))) {
	case INCOMPLETE:
		if (e->tries < TRIES) {
			ask_now(t, e, k, 0);
			break;
		}
		set_word(e, FAILED, 0);
		set_due(t, e, k->now_ns + RETRY_FAILED_NS);
		break;
	case FAILED:
		e->tries = 0;
		set_word(e, INCOMPLETE, 0);
		ask_now(t, e, k, 0);
		break;
	case REACHABLE:
		stale(t, e, word_own(e) & MAC_MASK, k->now_ns);
		stale_due(t, e, k, unused);
		break;
	default:
		stale_due(t, e, k, unused);
		break;
	}
}

void
sl_neigh_tick(struct sl_neigh_table *t, uint64_t now_ns, unsigned budget, sl_neigh_ask_fn *ask,
	      void *ctx)
{
	const struct tick k = {now_ns, ask, ctx};

	for (; budget > 0 && t->heap_cnt > 0; budget--) {
		struct entry *e = &t->entries[t->heap[0]];
		if (e->due_ns > now_ns)
			return;
		due(t, e, &k);
	}
}

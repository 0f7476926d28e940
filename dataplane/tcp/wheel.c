/* Level n has 256 slots of 256^n ticks.  A timer lies in the lowest level whose turn it falls into:
 *
 *   level 0   due within 256 ticks      slot due & 255              called when its tick comes
 *   level 1   within 2^16               slot due >> 8 & 255         moves down when tick >> 8 comes to it
 *   level 2   within 2^24               slot due >> 16 & 255        likewise
 *   level 3   the rest                  slot due >> 24              likewise
 *
 * `within` is counted from the first tick that has not come, now + 1: so what moves down at the beginning of a turn finds
 * its place below, and never its own slot again. */
#include "dataplane/tcp/wheel.h"

#define BITS 8
#define MASK (SL_WHEEL_SLOTS - 1)

static void
link_in(struct sl_timer **head, struct sl_timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->at = &t->next;
	*head = t;
	t->at = head;
}

static void
unlink_timer(struct sl_timer *t)
{
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	t->at = NULL;
}

/* Moves a list to another, empty head. */
static void
move_list(struct sl_timer **to, struct sl_timer **from)
{
	*to = *from;
	*from = NULL;
	if (*to)
		(*to)->at = to;
}

static void
place(struct sl_wheel *w, struct sl_timer *t)
{
	uint32_t delta = t->due - (w->now + 1);
	unsigned level = 0;

	if (sl_unlikely((int32_t)delta < 0)) {
		link_in(&w->late, t);
		return;
	}
	while (level < SL_WHEEL_LEVELS - 1 && delta >> (level + 1) * BITS)
		level++;
	unsigned slot = t->due >> level * BITS & MASK;
	w->full[level][slot / 64] |= 1ull << slot % 64;
	link_in(&w->slot[level][slot], t);
}

void
sl_wheel_init(struct sl_wheel *w, uint32_t now)
{
	memset(w, 0, sizeof(*w));
	w->now = now;
}

void
sl_wheel_set(struct sl_wheel *w, struct sl_timer *t, uint32_t due)
{
	if (t->at)
		unlink_timer(t);
	else
		w->cnt++;
	t->due = due;
	place(w, t);
}

void
sl_wheel_stop(struct sl_wheel *w, struct sl_timer *t)
{
	if (!t->at)
		return;
	unlink_timer(t);
	w->cnt--;
}

/* Takes a slot's list out; false: it was empty. */
static bool
take_slot(struct sl_wheel *w, unsigned level, unsigned slot, struct sl_timer **ret)
{
	w->full[level][slot / 64] &= ~(1ull << slot % 64);
	move_list(ret, &w->slot[level][slot]);
	return *ret != NULL;
}

/* Tick `first` (now + 1) begins a turn of level 0: slots of the levels above move down, the highest first. */
static void
move_down(struct sl_wheel *w, uint32_t first)
{
	unsigned level = 1;
	struct sl_timer *list;

	while (level < SL_WHEEL_LEVELS - 1 && !(first >> level * BITS & MASK))
		level++;
	for (; level > 0; level--) {
		if (!take_slot(w, level, first >> level * BITS & MASK, &list))
			continue;
		while (list) {
			struct sl_timer *t = list;
			unlink_timer(t);
			place(w, t);
		}
	}
}

/* The first slot of level 0 from `from` on that may hold something; SL_WHEEL_SLOTS: none to the end of the turn. */
static unsigned
next_full(const struct sl_wheel *w, unsigned from)
{
	uint64_t word = w->full[0][from / 64] & ~0ull << from % 64;

	for (unsigned i = from / 64;;) {
		if (word)
			return i * 64 + (unsigned)__builtin_ctzll(word);
		if (++i == SL_WHEEL_SLOTS / 64)
			return SL_WHEEL_SLOTS;
		word = w->full[0][i];
	}
}

/* Moves `now` on to the next tick that holds something, at most to `to`; its list.  A turn's end is a stop, too. */
static void
advance(struct sl_wheel *w, uint32_t to, struct sl_timer **ret)
{
	uint32_t first = w->now + 1;
	unsigned from = first & MASK;

	if (from == 0)
		move_down(w, first);
	unsigned slot = next_full(w, from);
	uint32_t tick = (first & ~(uint32_t)MASK) + SL_MIN(slot, (unsigned)MASK);
	if (tick - first > to - first) {
		w->now = to;
		return;
	}
	w->now = tick;
	if (slot < SL_WHEEL_SLOTS)
		take_slot(w, 0, slot, ret);
}

/* Puts what the budget did not allow before what was set in the past meanwhile. */
static void
keep_late(struct sl_wheel *w, struct sl_timer **rest)
{
	struct sl_timer **end = &w->late;

	while (*end)
		end = &(*end)->next;
	move_list(end, rest);
}

unsigned
sl_wheel_run(struct sl_wheel *w, uint32_t now, unsigned budget, sl_wheel_fn *fn, void *ctx)
{
	struct sl_timer *list;
	unsigned done = 0;

	move_list(&list, &w->late);
	for (;;) {
		for (; list && done < budget; done++) {
			struct sl_timer *t = list;
			unlink_timer(t);
			w->cnt--;
			fn(ctx, t);
		}
		if (done == budget || (int32_t)(now - w->now) <= 0)
			break;
		if (w->cnt == 0)
			w->now = now;
		else
			advance(w, now, &list);
	}
	if (list)
		keep_late(w, &list);
	return done;
}

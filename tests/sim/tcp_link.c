#include "tests/sim/tcp_link.h"

#include <stdlib.h>

/* ---- chance: splitmix64 ---- */

static uint64_t
mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t
dice_next(struct tcp_dice *d)
{
	return mix(d->s += 0x9e3779b97f4a7c15u);
}

uint64_t
dice_below(struct tcp_dice *d, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)dice_next(d) * n) >> 64);
}

uint64_t
dice_range(struct tcp_dice *d, uint64_t a, uint64_t b)
{
	return a + dice_below(d, b - a + 1);
}

bool
dice_chance(struct tcp_dice *d, double p)
{
	return p > 0 && (double)(dice_next(d) >> 11) * 0x1p-53 < p;
}

/* ---- bytes ---- */

static uint64_t
word_at(uint64_t seed, uint64_t off)
{
	return mix(seed + (off / 8 + 1) * 0x9e3779b97f4a7c15u);
}

void
bytes_fill(uint64_t seed, uint64_t off, uint8_t *to, size_t n)
{
	while (n) {
		uint64_t v = word_at(seed, off) >> off % 8 * 8;
		size_t k = SL_MIN(n, 8 - off % 8);

		memcpy(to, &v, k);
		to += k;
		off += k;
		n -= k;
	}
}

size_t
bytes_same(uint64_t seed, uint64_t off, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint64_t v = word_at(seed, off + i) >> (off + i) % 8 * 8;
		size_t k = SL_MIN(n - i, 8 - (off + i) % 8);

		if (memcmp(bytes + i, &v, k)) {
			while (bytes[i] == (uint8_t)v) {
				v >>= 8;
				i++;
			}
			return i;
		}
		i += k;
	}
	return n;
}

/* ---- time: a binary heap ---- */

void
world_init(struct tcp_world *w, uint64_t now_ns)
{
	*w = (struct tcp_world){.now_ns = now_ns};
}

void
world_fini(struct tcp_world *w)
{
	for (unsigned i = 0; i < w->cnt; i++)
		free(w->heap[i].pkt);
	free(w->heap);
	*w = (struct tcp_world){0};
}

static bool
sooner(const struct tcp_event *a, const struct tcp_event *b)
{
	return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void
world_at(struct tcp_world *w, uint64_t at_ns, tcp_event_fn *fn, void *ctx, struct tcp_packet *pkt)
{
	if (w->cnt == w->room) {
		w->room = w->room ? 2 * w->room : 64;
		w->heap = realloc(w->heap, w->room * sizeof(*w->heap));
		if (!w->heap)
			abort();
	}
	struct tcp_event e = {SL_MAX(at_ns, w->now_ns), w->order++, fn, ctx, pkt};
	unsigned i = w->cnt++;
	for (; i && sooner(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
}

static struct tcp_event
pop(struct tcp_world *w)
{
	struct tcp_event top = w->heap[0], last = w->heap[--w->cnt];
	unsigned i = 0;

	for (unsigned c; (c = 2 * i + 1) < w->cnt; i = c) {
		if (c + 1 < w->cnt && sooner(&w->heap[c + 1], &w->heap[c]))
			c++;
		if (!sooner(&w->heap[c], &last))
			break;
		w->heap[i] = w->heap[c];
	}
	w->heap[i] = last;
	return top;
}

bool
world_step(struct tcp_world *w)
{
	if (!w->cnt)
		return false;
	struct tcp_event e = pop(w);
	w->now_ns = e.at_ns;
	e.fn(e.ctx, e.pkt);
	return true;
}

/* ---- a link ---- */

void
link_init(struct tcp_link *l, struct tcp_world *w, uint64_t seed, const struct link_conf *conf,
	  tcp_event_fn *arrive, void *ctx)
{
	*l = (struct tcp_link){.w = w, .dice = {seed}, .conf = *conf, .arrive = arrive, .ctx = ctx};
}

/* At most 15 bits in a row change: an Internet sum sees every such error. */
static void
damage(struct tcp_link *l, struct tcp_packet *p)
{
	uint64_t bit = dice_below(&l->dice, 8ull * p->len - 15);
	uint32_t flip = (uint32_t)dice_range(&l->dice, 1, 0x7fff) << bit % 8;

	for (unsigned i = 0; i < 3; i++)
		if (flip >> 8 * i & 0xff)
			p->ip[bit / 8 + i] ^= (uint8_t)(flip >> 8 * i);
	p->damaged = true;
	l->damaged++;
}

static void
deliver(struct tcp_link *l, const uint8_t *ip, unsigned len, uint64_t at_ns)
{
	struct tcp_packet *p = malloc(sizeof(*p) + len + 2);

	if (!p)
		abort();
	p->len = len;
	p->damaged = false;
	memcpy(p->ip, ip, len);
	if (dice_chance(&l->dice, l->conf.corrupt))
		damage(l, p);
	world_at(l->w, at_ns, l->arrive, l->ctx, p);
}

/* When the packet has left, or 0: the queue is full. */
static uint64_t
transmitted(struct tcp_link *l, unsigned len)
{
	uint64_t now = l->w->now_ns, rate = l->conf.bits_per_s;

	if (!rate)
		return now;
	if (l->free_ns < now)
		l->free_ns = now;
	uint64_t waiting = (l->free_ns - now) / 1000 * rate / 8000000;
	if (l->conf.queue_bytes && waiting && waiting + len > l->conf.queue_bytes)
		return 0;
	return l->free_ns += 8ull * len * TCP_S / rate;
}

static uint64_t
arrival(struct tcp_link *l, uint64_t left_ns)
{
	uint64_t at = left_ns + l->conf.delay_ns;

	if (l->conf.jitter_ns)
		at += dice_below(&l->dice, l->conf.jitter_ns);
	if (dice_chance(&l->dice, l->conf.reorder)) {
		l->reordered++;
		return at + dice_below(&l->dice, l->conf.reorder_ns + 1);
	}
	return l->last_ns = SL_MAX(at, l->last_ns);
}

static bool
is_lost(struct tcp_link *l)
{
	if (l->w->now_ns >= l->burst_ns && dice_chance(&l->dice, l->conf.burst))
		l->burst_ns = l->w->now_ns + dice_range(&l->dice, 1, l->conf.burst_ns);
	return l->w->now_ns < l->burst_ns || dice_chance(&l->dice, l->conf.loss);
}

void
link_send(struct tcp_link *l, const uint8_t *ip, unsigned len)
{
	l->sent++;
	if (len > l->conf.mtu) {
		l->oversized++;
		if (l->too_big)
			l->too_big(l->too_big_ctx, ip, len, l->conf.mtu);
		return;
	}
	uint64_t left = transmitted(l, len);
	if (!left) {
		l->full++;
		return;
	}
	if (is_lost(l)) {
		l->lost++;
		return;
	}
	deliver(l, ip, len, arrival(l, left));
	if (dice_chance(&l->dice, l->conf.dup)) {
		l->dup++;
		deliver(l, ip, len, arrival(l, left));
	}
}

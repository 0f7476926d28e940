/* Datagrams in fragments: 128 sets of 8, by keyed hash.
 *
 *   datagram   key │ tuple once the first has come │ ranges that have come, sorted, apart from each other │ held ─┐
 *   slots      ┌──────────────────────────────────────────────────────────────────────────────────────────────────┘
 *              └▶ fragment ─▶ fragment ─▶ …    waiting for the first
 *   ready         fragment ─▶ …                on the way back to the caller: the first has come, or they are dropped
 *   unused        slot ─▶ …
 *
 * A slot is in exactly one of these lists.  A datagram is open, until all of it has come (then it is forgotten), or
 * has ended: pieces overlapped, and until its time is up all that still comes is dropped.  What was dropped for want of room
 * does not count as come.
 *
 * In IPv6 the protocol is not part of the key (RFC 8200, 4.5: only the first fragment's counts).
 */
#include "dataplane/frag.h"

#include "lb/rewrite.h"

#define WAYS 8
#define SETS (SL_FRAG_DATAGRAMS / WAYS)
#define RANGES 32
#define NONE UINT16_MAX
#define END_UNKNOWN UINT32_MAX

#define IP4_LEN 20
#define IP6_LEN 40
#define TCP_LEN 20
#define UDP_LEN 8
enum { EXT_FRAGMENT = 44 };

struct range {
	uint16_t from, to; /* to is the first byte that is not in it; at most 65535 */
};

enum state { UNUSED = 0, OPEN, ENDED };

struct datagram {
	/* line 0 */
	struct sl_tuple tuple; /* of the first fragment; until it has come: key alone, ports 0 */
	uint64_t since_ns;
	sl_be32 id;
	uint32_t end; /* bytes of the whole, or END_UNKNOWN: the last has not come */
	uint8_t state;
	uint8_t key_proto;
	uint8_t has_first;
	uint8_t held_cnt;
	uint16_t head, tail; /* held */
	/* line 1 */
	uint32_t range_cnt;
	struct range ranges[RANGES];
};
static_assert(sizeof(struct datagram) <= 256, "memory small");

struct slot {
	struct sl_pkt pkt;
	uint64_t since_ns;
	uint16_t next;
};

struct list {
	uint16_t head, tail;
};

struct sl_frag_table {
	struct sl_hash_key key;
	uint32_t datagram_cnt;
	uint32_t held_cnt; /* slots in use, ready ones included */
	uint32_t next_set; /* to be looked at by expire */
	struct list ready;
	uint16_t unused;
	struct datagram datagrams[SETS][WAYS];
	struct slot slots[SL_FRAG_HELD];
};

size_t
sl_frag_bytes(void)
{
	return (sizeof(struct sl_frag_table) + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

struct sl_frag_table *
sl_frag_init(void *mem, const struct sl_hash_key *key)
{
	struct sl_frag_table *t = mem;

	t->key = *key;
	t->ready = (struct list){NONE, NONE};
	for (unsigned i = 0; i < SL_FRAG_HELD; i++)
		t->slots[i].next = (uint16_t)(i + 1 < SL_FRAG_HELD ? i + 1 : NONE);
	t->unused = 0;
	return t;
}

/* ---- held fragments ---- */

static void
make_ready(struct sl_frag_table *t, uint16_t s)
{
	t->slots[s].next = NONE;
	if (t->ready.head == NONE)
		t->ready.head = s;
	else
		t->slots[t->ready.tail].next = s;
	t->ready.tail = s;
}

/* What the first fragment says holds for all. */
static void
adopt(struct sl_pkt *p, const struct datagram *d)
{
	p->tuple = d->tuple;
	p->flags &= (uint16_t) ~(SL_PKT_TCP | SL_PKT_UDP);
	p->flags |= d->tuple.proto == SL_IPPROTO_TCP ? SL_PKT_TCP : SL_PKT_UDP;
}

/* Takes the one that has waited longest off d's list. */
static uint16_t
unhold(struct sl_frag_table *t, struct datagram *d)
{
	uint16_t s = d->head;

	d->head = t->slots[s].next;
	if (d->head == NONE)
		d->tail = NONE;
	d->held_cnt--;
	return s;
}

static void
drop_oldest(struct sl_frag_table *t, struct datagram *d, enum sl_drop why)
{
	uint16_t s = unhold(t, d);

	t->slots[s].pkt.verdict = SL_VERDICT_DROP;
	t->slots[s].pkt.drop = (uint8_t)why;
	make_ready(t, s);
}

static void
drop_held(struct sl_frag_table *t, struct datagram *d, enum sl_drop why)
{
	while (d->held_cnt)
		drop_oldest(t, d, why);
}

static void
release_held(struct sl_frag_table *t, struct datagram *d)
{
	while (d->held_cnt) {
		uint16_t s = unhold(t, d);
		adopt(&t->slots[s].pkt, d);
		make_ready(t, s);
	}
}

static bool
hold(struct sl_frag_table *t, struct datagram *d, const struct sl_pkt *p, uint64_t now_ns)
{
	uint16_t s = t->unused;

	if (s == NONE || d->held_cnt == SL_FRAG_HELD_EACH)
		return false;
	t->unused = t->slots[s].next;
	t->slots[s] = (struct slot){.pkt = *p, .since_ns = now_ns, .next = NONE};
	t->slots[s].pkt.verdict = SL_VERDICT_NONE;
	if (d->head == NONE)
		d->head = s;
	else
		t->slots[d->tail].next = s;
	d->tail = s;
	d->held_cnt++;
	t->held_cnt++;
	return true;
}

/* ---- datagrams ---- */

static void
forget(struct sl_frag_table *t, struct datagram *d, enum sl_drop why)
{
	drop_held(t, d, why);
	d->state = UNUSED;
	t->datagram_cnt--;
}

static struct datagram *
set_of(struct sl_frag_table *t, const struct sl_pkt *p, uint8_t key_proto)
{
	struct sl_tuple k = {.src = p->tuple.src, .dst = p->tuple.dst, .proto = key_proto};

	sl_store32(&k.sport, p->frag_id);
	return t->datagrams[sl_hash_tuple_keyed(&t->key, &k) % SETS];
}

static bool
is_of(const struct datagram *d, const struct sl_pkt *p, uint8_t key_proto)
{
	return d->state != UNUSED && d->id == p->frag_id && d->key_proto == key_proto &&
	       sl_addr_eq(&d->tuple.src, &p->tuple.src) && sl_addr_eq(&d->tuple.dst, &p->tuple.dst);
}

/* A place in the set: free, or the oldest's. */
static struct datagram *
room_in(struct sl_frag_table *t, struct datagram *set)
{
	struct datagram *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].state == UNUSED)
			return &set[i];
		if (set[i].since_ns < oldest->since_ns)
			oldest = &set[i];
	}
	forget(t, oldest, SL_DROP_FRAG_LIMIT);
	return oldest;
}

static struct datagram *
find_or_open(struct sl_frag_table *t, const struct sl_pkt *p, uint64_t now_ns)
{
	uint8_t key_proto = p->flags & SL_PKT_V4 ? p->tuple.proto : 0;
	struct datagram *set = set_of(t, p, key_proto);

	for (unsigned i = 0; i < WAYS; i++) {
		if (!is_of(&set[i], p, key_proto))
			continue;
		if (now_ns - set[i].since_ns < SL_FRAG_NS)
			return &set[i];
		forget(t, &set[i], SL_DROP_FRAG_TIMEOUT);
	}
	struct datagram *d = room_in(t, set);
	*d = (struct datagram){
		.tuple = {.src = p->tuple.src, .dst = p->tuple.dst},
		.since_ns = now_ns,
		.id = p->frag_id,
		.end = END_UNKNOWN,
		.state = OPEN,
		.key_proto = key_proto,
		.head = NONE,
		.tail = NONE,
	};
	t->datagram_cnt++;
	return d;
}

/* ---- ranges ---- */

/* Where the fragmentable part begins: behind the IPv6 fragment header, which parse has found in its place. */
static uint32_t
part_off(const struct sl_pkt *p)
{
	const uint8_t *ip = p->data + p->l3_off;
	uint32_t off = IP6_LEN;

	if (p->flags & (SL_PKT_V4 | SL_PKT_FRAG_LATER))
		return p->l4_off;
	for (uint8_t type = ip[6]; type != EXT_FRAGMENT && p->l3_off + off + 8 <= p->l4_off;) {
		type = ip[off];
		off += (ip[off + 1] + 1u) * 8;
	}
	return SL_MIN(p->l3_off + off + 8, (uint32_t)p->l4_off);
}

enum fit { FITS, INSIDE, OVERLAPS, TOO_MANY };

/* How [from, to) lies among what has come; *ret_at: the first range that does not end before it. */
static enum fit
place(const struct datagram *d, uint32_t from, uint32_t to, uint32_t *ret_at)
{
	uint32_t i = 0;

	while (i < d->range_cnt && d->ranges[i].to < from)
		i++;
	*ret_at = i;
	/* the one that ends where this begins is no overlap */
	uint32_t k = i < d->range_cnt && d->ranges[i].to == from ? i + 1 : i;
	if (k == d->range_cnt || d->ranges[k].from >= to)
		return FITS;
	return d->ranges[k].from <= from && to <= d->ranges[k].to ? INSIDE : OVERLAPS;
}

/* Puts [from, to) in at `at`, growing a range that it touches.  false: the list is full. */
static bool
put(struct datagram *d, uint32_t at, uint32_t from, uint32_t to)
{
	struct range *r = &d->ranges[at], *end = &d->ranges[d->range_cnt];

	if (r < end && r->to == from) {
		r->to = (uint16_t)to;
		if (r + 1 < end && r[1].from == to) {
			r->to = r[1].to;
			memmove(r + 1, r + 2, (size_t)(end - r - 2) * sizeof(*r));
			d->range_cnt--;
		}
		return true;
	}
	if (r < end && r->from == to) {
		r->from = (uint16_t)from;
		return true;
	}
	if (d->range_cnt == RANGES)
		return false;
	memmove(r + 1, r, (size_t)(end - r) * sizeof(*r));
	*r = (struct range){(uint16_t)from, (uint16_t)to};
	d->range_cnt++;
	return true;
}

/* The last piece's end holds for the datagram: nothing lies behind it, and there are not two. */
static bool
contradicts_end(const struct datagram *d, const struct sl_pkt *p, uint32_t to)
{
	if (p->frag_more)
		return d->end != END_UNKNOWN && to >= d->end;
	if (d->end != END_UNKNOWN)
		return to != d->end;
	return d->range_cnt && d->ranges[d->range_cnt - 1].to > to;
}

static bool
complete(const struct datagram *d)
{
	return d->range_cnt == 1 && d->ranges[0].from == 0 && d->ranges[0].to == d->end;
}

/* ---- judging ---- */

static bool
has_header(const struct sl_pkt *p)
{
	if (p->tuple.proto == SL_IPPROTO_TCP)
		return p->l4_len >= TCP_LEN;
	return p->tuple.proto == SL_IPPROTO_UDP && p->l4_len >= UDP_LEN;
}

static enum sl_frag_what
end(struct sl_frag_table *t, struct datagram *d)
{
	d->state = ENDED;
	drop_held(t, d, SL_DROP_FRAG_OVERLAP);
	return SL_FRAG_DROP;
}

/* The piece fits: [from, to) of d. */
static enum sl_frag_what
accept(struct sl_frag_table *t, struct datagram *d, struct sl_pkt *p, uint64_t now_ns)
{
	enum sl_frag_what what = SL_FRAG_GO;

	if (!(p->flags & SL_PKT_FRAG_LATER)) {
		d->tuple = p->tuple;
		d->has_first = 1;
		release_held(t, d);
	} else if (d->has_first) {
		adopt(p, d);
	} else {
		what = hold(t, d, p, now_ns) ? SL_FRAG_HOLD : SL_FRAG_DROP;
	}
	return what;
}

enum sl_frag_what
sl_frag_take(struct sl_frag_table *t, struct sl_pkt *p, uint64_t now_ns, enum sl_drop *ret_why)
{
	uint32_t from = p->frag_off, to = from + (p->len - part_off(p)), at;

	*ret_why = SL_DROP_L4_HEADER;
	if (!(p->flags & SL_PKT_FRAG_LATER) && !has_header(p))
		return SL_FRAG_DROP;
	*ret_why = SL_DROP_FRAG_OVERLAP;
	struct datagram *d = find_or_open(t, p, now_ns);
	if (d->state == ENDED)
		return SL_FRAG_DROP;
	enum fit fit = place(d, from, to, &at);
	if (fit == INSIDE)
		return SL_FRAG_DROP;
	if (fit == OVERLAPS || contradicts_end(d, p, to))
		return end(t, d);
	const struct datagram before = *d;
	*ret_why = SL_DROP_FRAG_LIMIT;
	if (!put(d, at, from, to))
		return SL_FRAG_DROP;
	if (!p->frag_more)
		d->end = to;
	enum sl_frag_what what = accept(t, d, p, now_ns);
	if (what == SL_FRAG_DROP)
		*d = before;
	else if (complete(d))
		forget(t, d, SL_DROP_NONE);
	return what;
}

/* ---- giving back ---- */

static void
take_ready(struct sl_frag_table *t, struct sl_pkt *ret_pkt)
{
	uint16_t s = t->ready.head;

	t->ready.head = t->slots[s].next;
	*ret_pkt = t->slots[s].pkt;
	t->slots[s].next = t->unused;
	t->unused = s;
	t->held_cnt--;
}

bool
sl_frag_next(struct sl_frag_table *t, struct sl_pkt *ret_pkt)
{
	if (t->ready.head == NONE)
		return false;
	take_ready(t, ret_pkt);
	return true;
}

void
sl_frag_expire(struct sl_frag_table *t, uint64_t now_ns)
{
	struct datagram *set = t->datagrams[t->next_set];

	t->next_set = (t->next_set + 1) % SETS;
	if (t->datagram_cnt == 0)
		return;
	for (struct datagram *d = set; d < set + WAYS; d++) {
		if (d->state == UNUSED)
			continue;
		while (d->held_cnt && now_ns - t->slots[d->head].since_ns >= SL_FRAG_HELD_NS)
			drop_oldest(t, d, SL_DROP_FRAG_TIMEOUT);
		if (now_ns - d->since_ns >= SL_FRAG_NS)
			forget(t, d, SL_DROP_FRAG_TIMEOUT);
	}
}

bool
sl_frag_drain(struct sl_frag_table *t, struct sl_pkt *ret_pkt)
{
	for (unsigned i = 0; i < SL_FRAG_DATAGRAMS && t->datagram_cnt; i++) {
		struct datagram *d = &t->datagrams[i / WAYS][i % WAYS];
		if (d->state != UNUSED)
			forget(t, d, SL_DROP_FRAG_TIMEOUT);
	}
	return sl_frag_next(t, ret_pkt);
}

void
sl_frag_usage(const struct sl_frag_table *t, uint32_t *ret_datagrams, uint32_t *ret_held)
{
	*ret_datagrams = t->datagram_cnt;
	*ret_held = t->held_cnt;
}

/* ---- cutting ---- */

#define MORE_BIT 0x2000u
#define DF_BIT 0x4000u
#define KEPT_BITS 0x8000u /* reserved: not ours to clear */
#define OFF_BITS 0x1fffu

/* The options that go into every piece (RFC 791: the copied flag), padded with END; their length. */
static unsigned
copied_options(const uint8_t *ip, unsigned header, uint8_t *to)
{
	enum { END = 0, NOP = 1, COPIED = 0x80 };
	unsigned n = 0, size;

	for (unsigned i = IP4_LEN; i < header && ip[i] != END; i += size) {
		size = ip[i] == NOP ? 1 : i + 1 < header ? ip[i + 1] : 0;
		if (size == 0 || size > header - i)
			break; /* parse lets no such packet through */
		if (ip[i] & COPIED) {
			memcpy(to + n, ip + i, size);
			n += size;
		}
	}
	while (n % 4)
		to[n++] = END;
	return n;
}

unsigned
sl_frag_split(const struct sl_pkt *p, unsigned mtu, unsigned n, uint8_t *frame)
{
	const uint8_t *ip = p->data + p->l3_off;
	unsigned header = (ip[0] & 15) * 4u, payload = p->len - p->l3_off - header;
	unsigned bits = sl_from_be16(sl_load16(ip + 6));
	uint8_t *out = frame + p->l3_off;
	uint8_t options[40];

	if (!(p->flags & SL_PKT_V4) || (bits & DF_BIT) || mtu < 68)
		return 0;
	unsigned mine = header, size, from = 0;
	unsigned small = IP4_LEN + copied_options(ip, header, options);
	for (unsigned i = 0;; i++, mine = small, from += size) {
		if (from >= payload && i > 0)
			return 0;
		/* only the last piece's length need not be a multiple of 8 */
		size = payload - from;
		if (size > mtu - mine)
			size = (mtu - mine) & ~7u;
		if (i == n)
			break;
	}

	memcpy(frame, p->data, p->l3_off);
	memcpy(out, ip, mine);
	if (n)
		memcpy(out + IP4_LEN, options, mine - IP4_LEN);
	memcpy(out + mine, ip + header + from, size);
	out[0] = (uint8_t)(0x40 | mine / 4);
	sl_store16(out + 2, sl_to_be16(mine + size));
	unsigned more = from + size < payload ? MORE_BIT : bits & MORE_BIT;
	sl_store16(out + 6, sl_to_be16((bits & KEPT_BITS) | more | ((bits & OFF_BITS) + from / 8)));
	sl_store16(out + 10, 0);
	sl_store16(out + 10, (uint16_t)~sl_csum_fold(sl_csum_add(0, out, mine)));
	return p->l3_off + mine + size;
}

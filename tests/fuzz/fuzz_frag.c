/* Fragments of up to 8 datagrams, in any order, with any lies, and time between them.  Each input byte group makes one
 * fragment; a model over sets of 8-byte units says what must never happen: a unit passed twice, two tuples for one datagram, a
 * packet kept for ever. */
#include <stdlib.h>

#include "dataplane/frag.h"
#include "dataplane/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS 8
#define UNITS 96
#define OP 6
#define STEP_NS 100000000ull

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* What a datagram has been since the tracker can first have heard of it. */
struct model {
	bool open, has_tuple, came[UNITS], passed[UNITS];
	unsigned end; /* units; 0: the last has not come */
	uint64_t since_ns;
	struct sl_tuple tuple;
};

struct run {
	struct sl_frag_table *t;
	uint64_t now;
	unsigned kept; /* packets that the tracker has */
	struct model m[KEYS];
};

/* The frame of an op: key, place, length, last or not. */
static unsigned
make(const uint8_t op[OP], uint8_t *f)
{
	unsigned key = op[0] & 7, from = (op[1] & 63) * 8u, len = (op[2] & 31) * 8u;
	bool v4 = key & 1, more = !(op[1] & 128);
	uint8_t proto = op[0] & 64 ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
	uint8_t *ip = f + 14, *part = ip + (v4 ? 20 : 48);

	if (!more)
		len += op[3] & 7;
	memset(f, 0, 14 + 48 + 272);
	sl_store16(f + 12, v4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));
	if (v4) {
		ip[0] = 0x45;
		sl_store16(ip + 2, sl_to_be16(20 + len));
		sl_store16(ip + 4, sl_to_be16(key));
		sl_store16(ip + 6, sl_to_be16((more ? 0x2000 : 0) | from / 8));
		/* in IPv4 the protocol is of the key */
		proto = key & 2 ? SL_IPPROTO_TCP : SL_IPPROTO_UDP;
		ip[9] = proto;
		ip[12] = ip[16] = 10;
	} else {
		ip[0] = 0x60;
		sl_store16(ip + 4, sl_to_be16(8 + len));
		ip[6] = 44;
		ip[8] = ip[24] = 0x20;
		ip[40] = op[0] & 32 ? 60 : proto;
		sl_store16(ip + 42, sl_to_be16(from | more));
		ip[47] = (uint8_t)key;
	}
	if (from == 0) {
		if (!v4 && (op[0] & 32)) { /* options first */
			part[0] = proto;
			part[2] = 1;
			part[3] = 4;
			part += 8;
		}
		part[1] = op[4];
		part[3] = op[5];
		part[proto == SL_IPPROTO_TCP ? 12 : 4] = 0x50;
		part[13] |= 0x10;
	}
	return (v4 ? 34 : 62) + len;
}

static void
mark(struct model *m, bool *set, const struct sl_pkt *p)
{
	/* behind the fragment header, whatever that is followed by */
	unsigned part = p->flags & SL_PKT_V4 ? 34 : 62, n = (p->len - part + 7u) / 8;

	for (unsigned u = p->frag_off / 8u; u < p->frag_off / 8u + n; u++) {
		must(u < UNITS && !set[u]);
		set[u] = true;
	}
	if (!p->frag_more && set == m->came)
		m->end = p->frag_off / 8u + n;
}

static struct model *
model_of(struct run *r, const struct sl_pkt *p)
{
	return &r->m[p->flags & SL_PKT_V4 ? sl_from_be16((uint16_t)p->frag_id)
					  : sl_from_be32(p->frag_id)];
}

static void
passes(struct run *r, struct sl_pkt *p)
{
	struct model *m = model_of(r, p);

	must(p->tuple.proto == SL_IPPROTO_TCP || p->tuple.proto == SL_IPPROTO_UDP);
	must(p->flags & (p->tuple.proto == SL_IPPROTO_TCP ? SL_PKT_TCP : SL_PKT_UDP));
	if (!m->has_tuple) {
		must(!(p->flags & SL_PKT_FRAG_LATER)); /* nothing before the first */
		m->tuple = p->tuple;
	}
	m->has_tuple = true;
	must(memcmp(&m->tuple, &p->tuple, sizeof(m->tuple)) == 0);
	mark(m, m->passed, p);
	free(p->buf);
}

static void
take_back(struct run *r)
{
	for (struct sl_pkt p; sl_frag_next(r->t, &p); r->kept--) {
		if (p.verdict != SL_VERDICT_DROP) {
			passes(r, &p);
			continue;
		}
		must(p.drop == SL_DROP_FRAG_OVERLAP || p.drop == SL_DROP_FRAG_TIMEOUT);
		free(p.buf);
	}
}

static void
forget_complete(struct model *m)
{
	for (unsigned u = 0; u < m->end; u++)
		if (!m->came[u])
			return;
	if (m->end)
		*m = (struct model){0};
}

static void
one(struct run *r, const uint8_t op[OP])
{
	uint8_t f[400];
	unsigned len = make(op, f);
	uint8_t *buf = malloc(len);
	struct sl_pkt p = {
		.data = buf, .buf = buf, .len = (uint16_t)len, .flags = SL_PKT_IP_CSUM_OK};
	enum sl_drop why;

	must(buf != NULL);
	memcpy(buf, f, len);
	if (sl_parse(&p) != SL_DROP_NONE || !(p.flags & SL_PKT_FRAG)) {
		free(buf);
		return;
	}
	struct model *m = model_of(r, &p);
	if (m->open && r->now - m->since_ns >= SL_FRAG_NS)
		*m = (struct model){0};
	if (!m->open) {
		m->open = true;
		m->since_ns = r->now;
	}
	switch (sl_frag_take(r->t, &p, r->now, &why)) {
	case SL_FRAG_GO:
		mark(m, m->came, &p);
		passes(r, &p);
		break;
	case SL_FRAG_HOLD:
		mark(m, m->came, &p);
		r->kept++;
		break;
	default:
		must(why == SL_DROP_FRAG_OVERLAP || why == SL_DROP_FRAG_LIMIT);
		free(buf);
	}
	take_back(r);
	forget_complete(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sl_hash_key key = {.b = {1, 2, 3}};
	struct run r = {.now = SL_FRAG_NS};
	uint32_t open, held;

	void *mem = aligned_alloc(SL_CACHE_LINE, sl_frag_bytes());
	must(mem != NULL);
	memset(mem, 0, sl_frag_bytes());
	r.t = sl_frag_init(mem, &key);
	for (; size >= OP; data += OP, size -= OP) {
		one(&r, data);
		sl_frag_usage(r.t, &open, &held);
		must(open <= KEYS && held == r.kept && held <= SL_FRAG_HELD);
		r.now += (data[3] >> 3) * STEP_NS / 8;
		for (unsigned i = 0; i < (data[3] & 128 ? 128u : 0); i++)
			sl_frag_expire(r.t, r.now);
		take_back(&r);
	}
	for (struct sl_pkt p; sl_frag_drain(r.t, &p); r.kept--)
		free(p.buf);
	sl_frag_usage(r.t, &open, &held);
	must(r.kept == 0 && open == 0 && held == 0);
	free(mem);
	return 0;
}

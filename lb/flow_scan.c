/* A bucket, and then an entry, is copied word by word and judged as a copy: what the writer does meanwhile can make a
 * copy wrong, never lead outside.  All places in the region follow from a head that was checked and copied at first.
 *
 * Order of the copies does not matter: the tag, the bucket and the check all hang on the tuple's hash, so parts of two
 * flows do not fit together, whatever part is older. */
#include "lb/flow_scan.h"

#include "lb/flow_adopt.h"
#include "lb/flow_priv.h"

/* Relaxed: the words are judged, not ordered.  Pairs with the worker's plain stores. */
static void
copy(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t v = __atomic_load_n(
			(const uint64_t *)(const void *)((const char *)from + i), __ATOMIC_RELAXED);
		memcpy((char *)to + i, &v, 8);
	}
}

static const struct sl_flow_table *
table_at(const struct sl_flow_scan *s)
{
	return (const struct sl_flow_table *)(const void *)((const char *)s->region +
							    s->head.table_off +
							    s->worker * s->head.table_bytes);
}

static uint32_t
clock_of(const struct sl_flow_table *t)
{
	return __atomic_load_n(&t->clock_q, __ATOMIC_RELAXED);
}

/* A table whose head says otherwise than the region's has no buckets for us. */
static void
enter_table(struct sl_flow_scan *s)
{
	s->bucket = 0;
	s->way = 0;
	if (s->worker >= s->head.worker_cnt)
		return;
	copy(&s->table, table_at(s), sizeof(s->table));
	if (!head_agrees(&s->table, s->head.capacity, s->head.xlat_capacity)) {
		s->table.bucket_cnt = 0;
		s->skipped++;
	}
}

const char *
sl_flow_scan_init(struct sl_flow_scan *s, const void *region, size_t bytes)
{
	struct sl_flows_head head;

	if (bytes < SL_FLOWS_HEAD_BYTES)
		return "the flow region is shorter than its head";
	copy(&head, region, sizeof(head));
	const char *bad = sl_flows_head_check(&head, bytes);
	if (bad)
		return bad;
	memset(s, 0, sizeof(*s));
	s->region = region;
	s->head = head;
	enter_table(s);
	return NULL;
}

/* ---- one flow ---- */

/* What is left of the entry idx, by a bucket's copy; 0: it is not there. */
static int
left_in(const struct sl_flow_scan *s, uint32_t at, uint16_t tag, uint32_t idx, uint32_t now_q)
{
	struct sl_flow_bucket b;

	copy(&b, bucket_at(table_at(s), at), sizeof(b));
	for (unsigned way = 0; way < WAYS; way++)
		if (b.tag[way] == tag && (b.idx[way] & IDX_MASK) == idx)
			return (int16_t)(b.expire[way] - now_q);
	return 0;
}

/* The reply half of f: its addresses, and its time. */
static bool
take_partner(const struct sl_flow_scan *s, const struct sl_flow *f, uint32_t idx, uint32_t now_q,
	     int *left, struct sl_flow_record *r)
{
	struct sl_flow g;

	if (f->xlat >= s->table.capacity)
		return false;
	copy(&g, (const char *)table_at(s) + s->table.entry_off + f->xlat * sizeof(g), sizeof(g));
	uint64_t hash = hash_of_entry(&s->table, &g);
	uint32_t primary = primary_of(&s->table, hash);
	uint16_t tag = tag_of(hash);
	if (!is_plausible(&g) || !leads_to(&s->table, &g, primary, tag, hash) ||
	    !are_partners(f, idx, &g))
		return false;
	int first = left_in(s, primary, tag, f->xlat, now_q);
	int second = left_in(s, other_of(&s->table, primary, tag), tag, f->xlat, now_q);
	*left = SL_MAX(*left, SL_MAX(first, second));
	r->other_addr = g.dst;
	r->other_port = g.dport;
	return true;
}

static bool
take_record(const struct sl_flow_scan *s, const struct sl_flow *f, uint32_t idx,
	    struct sl_flow_record *r)
{
	struct sl_xlat x;

	if (f->xlat >= s->table.xlat_capacity)
		return false;
	copy(&x, (const char *)table_at(s) + s->table.xlat_off + f->xlat * sizeof(x), sizeof(x));
	if (!is_record_of(&x, idx))
		return false;
	r->other_addr = x.addr;
	r->other_port = x.port;
	return true;
}

enum took { SKIPPED, HIDDEN, TOOK };

static enum took
take(const struct sl_flow_scan *s, const struct sl_flow_bucket *b, unsigned way, uint32_t now_q,
     struct sl_flow_record *r)
{
	uint32_t idx = b->idx[way] & IDX_MASK;
	int left = (int16_t)(b->expire[way] - now_q);
	struct sl_flow f;

	if (idx >= s->table.capacity)
		return SKIPPED;
	copy(&f, (const char *)table_at(s) + s->table.entry_off + idx * sizeof(f), sizeof(f));
	uint64_t hash = hash_of_entry(&s->table, &f);
	if (!is_plausible(&f) || !leads_to(&s->table, &f, s->bucket, b->tag[way], hash))
		return SKIPPED;
	bool pair = f.state & SL_FLOW_PAIR;
	if (pair && (f.state & SL_FLOW_REPLY))
		return HIDDEN;
	*r = (struct sl_flow_record){
		.tuple = sl_flow_tuple(&f),
		.slot = f.slot,
		.incarnation = f.incarnation,
		.state = f.state,
		.worker = (uint16_t)s->worker,
	};
	if (pair && !take_partner(s, &f, idx, now_q, &left, r))
		return SKIPPED;
	if (has_record(f.state) && !take_record(s, &f, idx, r))
		return SKIPPED;
	if (left <= 0)
		return HIDDEN;
	unsigned longest = timeout_of(state_of(&f));
	r->left_q = SL_MIN((unsigned)left, longest);
	r->idle_q = longest - r->left_q;
	return TOOK;
}

/* ---- walking ---- */

/* Fills from the present bucket; its end moves the scan on. */
static unsigned
scan_bucket(struct sl_flow_scan *s, uint32_t now_q, struct sl_flow_record *ret, unsigned max)
{
	struct sl_flow_bucket b;
	unsigned n = 0;

	copy(&b, bucket_at(table_at(s), s->bucket), sizeof(b));
	while (s->way < WAYS && n < max) {
		unsigned way = s->way++;
		if (b.tag[way] == 0)
			continue;
		s->looked++;
		struct sl_flow_record r;
		enum took took = take(s, &b, way, now_q, &r);
		s->skipped += took == SKIPPED;
		if (took == TOOK)
			ret[n++] = r;
	}
	if (s->way == WAYS) {
		s->way = 0;
		s->bucket++;
	}
	return n;
}

unsigned
sl_flow_scan_next(struct sl_flow_scan *s, struct sl_flow_record *ret, unsigned max,
		  unsigned buckets, bool *ret_end)
{
	unsigned n = 0;

	while (s->worker < s->head.worker_cnt && n < max) {
		if (s->bucket >= s->table.bucket_cnt) {
			s->worker++;
			enter_table(s);
			continue;
		}
		if (buckets-- == 0)
			break;
		n += scan_bucket(s, clock_of(table_at(s)), ret + n, max - n);
	}
	*ret_end = s->worker >= s->head.worker_cnt;
	return n;
}

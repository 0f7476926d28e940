/* A flow region that was damaged: read beside, adopted, dealt on.  The bytes are first what two workers did (until a
 * step OP_END, or 512 steps), then what was done to the memory:
 *
 *   step, 3 bytes:    operation │ flow number (tests/lb/region.h) │ argument
 *   damage, 6 bytes:  where: 0 region's head, 1–2 tables │ offset (3 bytes, little-endian) │ length │ value
 *                     length 0: xor one byte with value; else: copy so many bytes from `value` such lengths further on
 *
 * Whatever was done, what is found afterwards are flows that were put in, with their endpoint, role, VIP and partner. */
#include <stdio.h>
#include <stdlib.h>

#include "lb/flow_scan.h"
#include "tests/lb/region.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLOWS 256
#define STEPS 512
#define TABLE_BYTES sl_flow_bytes(1024, 256)

enum { OP_PUT, OP_REMOVE, OP_SEEN, OP_OTHER, OP_FIND, OP_WAIT, OP_SWEEP, OP_END };

static struct sl_flows_head *region, *others; /* two tables; three to deal to */
static struct sl_flows_head head;             /* as it was made */
static uint32_t now_q;

/* malloc's memory, so that sanitizers see its end. */
static struct sl_flows_head *
make(unsigned workers)
{
	struct sl_flows_head *m = region_make(workers, 1024, 256);
	struct sl_flows_head *h = aligned_alloc(SL_FLOWS_ALIGN, m->bytes);

	if (!h)
		abort();
	memcpy(h, m, m->bytes);
	region_free(m, m->bytes);
	return h;
}

static void
empty_tables(struct sl_flows_head *h)
{
	for (unsigned w = 0; w < h->worker_cnt; w++) {
		struct sl_flow_table *t = sl_flows_table(h, w);
		struct sl_hash_key key;
		for (unsigned i = 0; i < sizeof(key.b); i++)
			key.b[i] = (uint8_t)(i * 13 + w + 1);
		memset(t, 0, TABLE_BYTES);
		sl_flow_init(t, 1024, 256, &key);
	}
}

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "flows: %s\n", what);
	abort();
}

/* ---- what the workers did ---- */

static void
step(uint8_t op, uint32_t n, uint8_t arg)
{
	struct sl_flow_table *t = sl_flows_table(region, n % 2);
	unsigned half = region_is_pair(n) && (arg & 0x80);
	struct sl_tuple k = region_tuple(n, half);
	uint64_t hash = sl_flow_hash(t, &k);
	uint32_t idx = sl_flow_find(t, hash, &k, now_q);

	if (op == OP_WAIT)
		now_q += arg;
	else if (op == OP_SWEEP)
		sl_flow_sweep(t, arg, now_q, NULL, NULL);
	else if (op == OP_PUT && idx == SL_FLOW_NONE)
		region_put(t, n, now_q);
	else if (op == OP_REMOVE && idx != SL_FLOW_NONE)
		sl_flow_remove(t, hash, idx);
	else if ((op == OP_SEEN || op == OP_OTHER) && idx != SL_FLOW_NONE)
		sl_flow_seen(t, hash, idx, arg & 0x7f, op == OP_OTHER, now_q);
	else if (op == OP_FIND) {
		const struct sl_tuple *at = &k;
		sl_flow_find_burst(t, &at, &hash, &idx, 1, now_q);
	}
}

static size_t
build(const uint8_t *data, size_t size)
{
	size_t at = 0;

	now_q = REGION_NOW;
	for (unsigned i = 0; i < STEPS && size - at >= 3; i++, at += 3) {
		if (data[at] % 8 == OP_END)
			return at + 3;
		step(data[at] % 8, data[at + 1], data[at + 2]);
	}
	return at;
}

/* ---- what was done to the memory ---- */

static void
damage(const uint8_t *d)
{
	size_t where = d[1] | (size_t)d[2] << 8 | (size_t)d[3] << 16;
	uint8_t *base = (uint8_t *)region;
	size_t bytes = sizeof(head), len = d[4] % 65;

	if (d[0] % 3) {
		base = (uint8_t *)sl_flows_table(&head, 0) - (uintptr_t)&head + (uintptr_t)region +
		       (d[0] % 3 - 1) * head.table_bytes;
		bytes = TABLE_BYTES;
	}
	where %= bytes;
	if (len == 0) {
		base[where] ^= d[5];
		return;
	}
	size_t from = (where + (size_t)d[5] * len) % bytes;
	if (where + len <= bytes && from + len <= bytes)
		memmove(base + where, base + from, len);
}

/* ---- what may be found ---- */

static void
scan(void)
{
	SL_ALIGNED struct sl_flow_scan s;
	struct sl_flow_record r[16];
	bool end = false;

	must(!sl_flow_scan_init(&s, region, head.bytes), "a good head is refused");
	while (!end) {
		unsigned cnt = sl_flow_scan_next(&s, r, 16, 50, &end);
		for (unsigned i = 0; i < cnt; i++) {
			uint32_t n;
			unsigned half;
			must(region_number(&r[i].tuple, FLOWS, &n, &half) && half == 0,
			     "a scan shows a flow that never was");
			must(r[i].slot == region_slot(n) &&
				     r[i].incarnation == region_incarnation(n),
			     "a scan shows another endpoint");
			struct sl_addr vip = region_vip(n), source = region_tuple(n, 1).dst;
			must(region_kind(n) != NAT_REPLY || sl_addr_eq(&vip, &r[i].other_addr),
			     "a scan shows another VIP");
			must(!region_is_pair(n) || sl_addr_eq(&source, &r[i].other_addr),
			     "a scan shows another source");
		}
	}
}

static unsigned
owner(void *ctx, const struct sl_tuple *k)
{
	(void)ctx;
	return k->proto == SL_IPPROTO_TCP ? k->sport % 3u : 1;
}

static void
adopt_and_deal(void)
{
	static const struct sl_hash_key key = {.b = {9, 8, 7}};
	struct sl_flow_table *to[3];
	uint64_t kept = 0;
	uint32_t found, dealt = 0;

	for (unsigned w = 0; w < 3; w++)
		to[w] = sl_flows_table(others, w);
	for (unsigned w = 0; w < 2; w++) {
		struct sl_flow_table *t = sl_flows_table(region, w);
		struct sl_flow_adopted a, d;
		sl_flow_adopt(region, w, now_q, &key, &a);
		const char *bad = region_wrong(t, FLOWS, &found);
		must(!bad, bad);
		must(found == a.kept, "kept is not what is there");
		sl_flow_deal(t, to, owner, NULL, now_q, &d);
		must(d.kept + d.lost + d.expired == a.kept, "dealing loses without a word");
		kept += d.kept;
		/* The adopted table goes on. */
		for (uint32_t n = w; n < FLOWS; n += 2)
			if (region_find(t, n, 0, now_q) == SL_FLOW_NONE &&
			    (!region_is_pair(n) || region_find(t, n, 1, now_q) == SL_FLOW_NONE))
				region_put(t, n, now_q);
		bad = sl_flow_check(t);
		must(!bad, bad);
	}
	for (unsigned w = 0; w < 3; w++) {
		const char *bad = region_wrong(to[w], FLOWS, &found);
		must(!bad, bad);
		dealt += found;
	}
	must(dealt == kept, "dealt is not what is there");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!region) {
		region = make(2);
		others = make(3);
		head = *region;
	}
	empty_tables(region);
	empty_tables(others);
	for (size_t at = build(data, size); size - at >= 6; at += 6)
		damage(data + at);
	if (memcmp(region, &head, sizeof(head)) != 0)
		must(sl_flows_head_check(region, head.bytes) != NULL, "a bad head is taken");
	*region = head;
	scan();
	adopt_and_deal();
	return 0;
}

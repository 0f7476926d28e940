/* Cycles of the flow table: look-up in bursts at three sizes, insert and expire next to rte_hash's add and
 * delete with as many entries.  The two take turns in short slices of one run; medians are printed, one
 * JSON object a line, with the tenth and ninetieth percentile.
 *
 *   bench_flow [--quick] [EAL options]      without options: --no-huge --no-pci -l 0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>

#include "lb/flow.h"

#define BURST 32
#define SLICES 61

static struct sl_hash_key key;
static bool quick;

static uint64_t
mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static struct sl_tuple
tuple(uint32_t n)
{
	uint32_t client = n * 2654435761u;
	struct sl_tuple t = {.sport = (sl_be16)(n * 7), .dport = 80, .proto = 6};

	t.src = sl_addr_from_v4(&client);
	t.dst = sl_addr_from_v4("\xc0\0\2\1");
	return t;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
report(const char *name, double *v, unsigned n, const char *unit)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"%s\",\"p10\":%.2f,\"p90\":%.2f}\n", name,
	       v[n / 2], unit, v[n / 10], v[n * 9 / 10]);
}

/* From the EAL, as rte_hash has its own: the same kind of pages for both. */
static struct sl_flow_table *
make(uint32_t capacity)
{
	void *m = rte_zmalloc("flows", sl_flow_bytes(capacity, 0), SL_CACHE_LINE);

	if (!m)
		fprintf(stderr, "bench_flow: no memory for %" PRIu32 " flows (try -m 2048)\n",
			capacity);
	return m ? sl_flow_init(m, capacity, 0, &key) : NULL;
}

static void
put(struct sl_flow_table *t, uint32_t n, uint8_t state, uint32_t now_q)
{
	struct sl_tuple k = tuple(n);
	struct sl_flow_evicted ev;
	unsigned reason;

	sl_flow_insert(t, sl_flow_hash(t, &k), &k, n & 65535, 1, state, now_q, &ev, &reason);
}

/* ---- look-up ---- */

static double
find_slice(struct sl_flow_table *t, uint32_t flows, uint64_t from, unsigned bursts, bool present)
{
	struct sl_tuple tuples[BURST];
	const struct sl_tuple *at[BURST];
	uint64_t hash[BURST], spent = 0;
	uint32_t idx[BURST], found = 0;

	for (unsigned b = 0; b < bursts; b++) {
		for (unsigned i = 0; i < BURST; i++) {
			uint32_t n = (uint32_t)(mix(from + b * BURST + i) % flows);
			tuples[i] = tuple(present ? n : n + flows);
			at[i] = &tuples[i];
		}
		uint64_t start = rte_rdtsc_precise();
		sl_flow_find_burst(t, at, hash, idx, BURST, 1);
		spent += rte_rdtsc_precise() - start;
		for (unsigned i = 0; i < BURST; i++)
			found += idx[i] != SL_FLOW_NONE;
	}
	if (found != (present ? bursts * BURST : 0))
		fprintf(stderr, "bench_flow: %" PRIu32 " found of %u\n", found, bursts * BURST);
	return (double)spent / (bursts * BURST);
}

static void
bench_find(const char *what, uint32_t flows)
{
	double hit[SLICES], miss[SLICES];
	char name[64];
	struct sl_flow_table *t = make(flows);

	if (!t)
		return;
	for (uint32_t n = 0; n < flows; n++)
		put(t, n, SL_FLOW_ESTABLISHED, 0);
	find_slice(t, flows, 0, 2000, true);
	for (unsigned s = 0; s < SLICES; s++) {
		hit[s] = find_slice(t, flows, mix(s), 400, true);
		miss[s] = find_slice(t, flows, mix(s), 400, false);
	}
	snprintf(name, sizeof(name), "flow.find.%s", what);
	report(name, hit, SLICES, "cycles");
	snprintf(name, sizeof(name), "flow.miss.%s", what);
	report(name, miss, SLICES, "cycles");
	rte_free(t);
}

/* ---- insert and expire ---- */

#define CHUNK 1024
#define MAX_CHUNKS (1u << 14)

/* Cycles a flow, one value a chunk: short enough that most chunks run undisturbed. */
struct series {
	double v[MAX_CHUNKS];
	unsigned cnt;
};

static void
note(struct series *s, uint64_t start, unsigned flows)
{
	uint64_t spent = rte_rdtsc_precise() - start;

	if (flows && s->cnt < MAX_CHUNKS)
		s->v[s->cnt++] = (double)spent / flows;
}

/* What a round inserts has expired when its sweep begins; `flows` others stay. */
static void
churn_ours(struct sl_flow_table *t, uint32_t first, uint32_t cnt, uint32_t now_q,
	   struct series *insert, struct series *expire)
{
	struct sl_flow_usage u;
	uint32_t gone = 0;

	for (uint32_t n = first; n < first + cnt; n += CHUNK) {
		uint64_t start = rte_rdtsc_precise();
		for (uint32_t i = 0; i < CHUNK; i++)
			put(t, n + i, SL_FLOW_UDP, now_q);
		note(insert, start, CHUNK);
	}
	sl_flow_usage(t, &u);
	for (uint32_t done = 0; done < u.bucket_cnt; done += CHUNK) {
		uint32_t buckets = SL_MIN(CHUNK, u.bucket_cnt - done);
		uint64_t start = rte_rdtsc_precise();
		unsigned n = sl_flow_sweep(t, buckets, now_q + SL_FLOW_T_UDP, NULL, NULL);
		note(expire, start, n);
		gone += n;
	}
	if (gone != cnt)
		fprintf(stderr, "bench_flow: %" PRIu32 " of %" PRIu32 " expired\n", gone, cnt);
}

static void
churn_theirs(struct rte_hash *h, uint32_t first, uint32_t cnt, struct series *add,
	     struct series *del)
{
	for (uint32_t n = first; n < first + cnt; n += CHUNK) {
		uint64_t start = rte_rdtsc_precise();
		for (uint32_t i = 0; i < CHUNK; i++) {
			struct sl_tuple k = tuple(n + i);
			rte_hash_add_key(h, &k);
		}
		note(add, start, CHUNK);
	}
	for (uint32_t n = first; n < first + cnt; n += CHUNK) {
		uint64_t start = rte_rdtsc_precise();
		for (uint32_t i = 0; i < CHUNK; i++) {
			struct sl_tuple k = tuple(n + i);
			rte_hash_del_key(h, &k);
		}
		note(del, start, CHUNK);
	}
}

static void
report_sum(const char *name, const struct series *a, const struct series *b)
{
	printf("{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"cycles\"}\n", name,
	       a->v[a->cnt / 2] + b->v[b->cnt / 2]);
}

static void
bench_churn(uint32_t flows)
{
	static struct series insert, expire, add, del;
	const uint32_t cnt = flows / 8 / CHUNK * CHUNK;
	const struct rte_hash_parameters params = {
		.name = "bench_flow",
		.entries = flows + cnt,
		.key_len = sizeof(struct sl_tuple),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
	};
	struct sl_flow_table *t = make(flows + cnt);
	struct rte_hash *h = rte_hash_create(&params);

	if (!t || !h) {
		fprintf(stderr, "bench_flow: no memory (try -m 2048)\n");
		exit(1);
	}
	for (uint32_t n = 0; n < flows; n++) {
		struct sl_tuple k = tuple(n);
		put(t, n, SL_FLOW_ESTABLISHED, 0);
		rte_hash_add_key(h, &k);
	}
	for (unsigned r = 0; r < (quick ? 6u : 30u); r++) {
		uint32_t first = flows + r * cnt;
		churn_ours(t, first, cnt, 1 + r, &insert, &expire);
		churn_theirs(h, first, cnt, &add, &del);
	}
	report("flow.insert.1m", insert.v, insert.cnt, "cycles");
	report("flow.expire.1m", expire.v, expire.cnt, "cycles");
	report_sum("flow.insert_expire.1m", &insert, &expire);
	report("rte_hash.add.1m", add.v, add.cnt, "cycles");
	report("rte_hash.del.1m", del.v, del.cnt, "cycles");
	report_sum("rte_hash.add_del.1m", &add, &del);
	rte_hash_free(h);
	rte_free(t);
}

int
main(int argc, char **argv)
{
	char *plain[] = {argv[0], "--no-huge",     "--no-pci",       "-l", "0", "-m",
			 "1024",  "--log-level=4", "--no-telemetry", NULL};

	if (argc > 1 && strcmp(argv[1], "--quick") == 0) {
		quick = true;
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	if (rte_eal_init(argc > 1 ? argc : 9, argc > 1 ? argv : plain) < 0) {
		fprintf(stderr, "bench_flow: EAL did not start; see its message above\n");
		return 1;
	}
	for (unsigned i = 0; i < sizeof(key.b); i++)
		key.b[i] = (uint8_t)mix(i);
	double bytes = (double)sl_flow_bytes(1000000, 0) / 1000000;
	printf("{\"name\":\"flow.bytes\",\"value\":%.2f,\"unit\":\"B\"}\n", bytes);
	bench_find("16k", 16384);
	bench_find("1m", 1000000);
	if (!quick)
		bench_find("10m", 10000000);
	bench_churn(1000000);
	rte_eal_cleanup();
	return 0;
}

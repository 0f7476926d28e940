/* The neighbour table in virtual time, and the bytes of its messages. */
#include "dataplane/neigh.h"
#include "dataplane/parse.h"
#include "sluice/drop.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/dataplane/frames.h"
#include "tests/suite.h"

#define S 1000000000ull

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

/* What the table asked for. */
struct asked {
	unsigned broadcast, unicast;
	uint16_t port;
	struct sl_addr addr;
	uint8_t mac[6];
};

static void
ask(void *ctx, uint16_t port, const struct sl_addr *addr, const uint8_t *mac)
{
	struct asked *a = ctx;

	if (mac) {
		a->unicast++;
		memcpy(a->mac, mac, 6);
	} else {
		a->broadcast++;
	}
	a->port = port;
	a->addr = *addr;
}

static struct sl_neigh_table *
table(void)
{
	void *zeroed = calloc(1, sl_neigh_bytes());

	CU_ASSERT_PTR_NOT_NULL_FATAL(zeroed);
	return sl_neigh_init(zeroed);
}

static struct sl_addr
v4(uint32_t n)
{
	uint32_t be = sl_to_be32(0x0a000000u + n);

	return sl_addr_from_v4(&be);
}

/* Ticks once a second in [from, to], both in seconds. */
static struct asked
run(struct sl_neigh_table *t, unsigned from, unsigned to)
{
	struct asked a = {0};

	for (unsigned s = from; s <= to; s++)
		sl_neigh_tick(t, s * S, SL_NEIGH_MAX, ask, &a);
	return a;
}

static bool
has_mac(const struct sl_neigh_table *t, uint16_t port, const struct sl_addr *addr,
	const uint8_t *mac)
{
	uint8_t got[6];

	return sl_neigh_mac(t, sl_neigh_find(t, port, addr), port, addr, got) &&
	       memcmp(got, mac, 6) == 0;
}

/* An entry that was asked for at second 100 and has answered with mac_a. */
static uint32_t
reachable(struct sl_neigh_table *t, const struct sl_addr *addr, bool pin)
{
	uint32_t idx = sl_neigh_want(t, 1, addr, pin, 100 * S);

	run(t, 100, 100);
	sl_neigh_heard(t, 1, addr, mac_a, true, false, 100 * S);
	CU_ASSERT_TRUE_FATAL(has_mac(t, 1, addr, mac_a));
	return idx;
}

static void
want_asks_and_an_answer_resolves(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);
	uint8_t mac[6];

	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	uint32_t idx = sl_neigh_want(t, 1, &a, false, 100 * S);
	CU_ASSERT_EQUAL(sl_neigh_want(t, 1, &a, false, 100 * S), idx);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), idx);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 2, &a), SL_NEIGH_NONE);
	CU_ASSERT_FALSE(sl_neigh_mac(t, idx, 1, &a, mac));
	struct asked q = run(t, 100, 100);
	CU_ASSERT_EQUAL(q.broadcast, 1);
	CU_ASSERT_EQUAL(q.port, 1);
	CU_ASSERT_TRUE(sl_addr_eq(&q.addr, &a));
	sl_neigh_heard(t, 1, &a, mac_a, true, false, 100 * S + 1);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	q = run(t, 101, 129);
	CU_ASSERT_EQUAL(q.broadcast + q.unicast, 0);
	free(t);
}

static void
mac_is_given_only_for_the_right_key(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1), b = v4(2);
	uint32_t idx = reachable(t, &a, false);
	uint8_t mac[6] = {9, 9, 9, 9, 9, 9}, was[6];

	memcpy(was, mac, 6);
	CU_ASSERT_FALSE(sl_neigh_mac(t, idx, 2, &a, mac));
	CU_ASSERT_FALSE(sl_neigh_mac(t, idx, 1, &b, mac));
	CU_ASSERT_FALSE(sl_neigh_mac(t, SL_NEIGH_NONE, 1, &a, mac));
	CU_ASSERT_FALSE(sl_neigh_mac(t, SL_NEIGH_MAX, 1, &a, mac));
	CU_ASSERT_FALSE(sl_neigh_mac(t, idx ^ 1, 1, &a, mac));
	CU_ASSERT_EQUAL(memcmp(mac, was, 6), 0);
	sl_neigh_used(t, SL_NEIGH_NONE, S);
	free(t);
}

static void
three_tries_then_failed_then_again_after_five_seconds(void)
{
	/* requests at 100 101 102, failed at 103, then 108 109 110, failed at 111, 116 … */
	static const unsigned due[] = {100, 101, 102, 108, 109, 110, 116, 117, 118};
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);
	unsigned next = 0;

	sl_neigh_want(t, 1, &a, true, 100 * S);
	for (unsigned s = 100; s < 119; s++) {
		struct asked q = run(t, s, s);
		bool expected = next < SL_ARRAY_CNT(due) && due[next] == s;
		CU_ASSERT_EQUAL(q.broadcast, expected ? 1 : 0);
		CU_ASSERT_EQUAL(q.unicast, 0);
		next += expected;
	}
	sl_neigh_heard(t, 1, &a, mac_a, true, false, 119 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	free(t);
}

static void
a_used_entry_is_probed_by_unicast_and_goes_on_serving(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);
	uint32_t idx = reachable(t, &a, false);

	sl_neigh_used(t, idx, 115 * S);
	struct asked q = run(t, 101, 129);
	CU_ASSERT_EQUAL(q.unicast + q.broadcast, 0);
	q = run(t, 130, 130);
	CU_ASSERT_EQUAL(q.unicast, 1);
	CU_ASSERT_EQUAL(q.broadcast, 0);
	CU_ASSERT_EQUAL(memcmp(q.mac, mac_a, 6), 0);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	sl_neigh_heard(t, 1, &a, mac_a, true, false, 130 * S);
	q = run(t, 131, 159);
	CU_ASSERT_EQUAL(q.unicast + q.broadcast, 0);
	free(t);
}

static void
three_unanswered_probes_make_it_incomplete(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	reachable(t, &a, true);
	struct asked q = run(t, 101, 132);
	CU_ASSERT_EQUAL(q.unicast, 3);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	q = run(t, 133, 133);
	CU_ASSERT_EQUAL(q.broadcast, 1);
	CU_ASSERT_FALSE(has_mac(t, 1, &a, mac_a));
	sl_neigh_heard(t, 1, &a, mac_b, true, false, 134 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_b));
	free(t);
}

static void
an_unused_entry_is_left_in_peace_and_goes_after_a_minute(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	reachable(t, &a, false);
	struct asked q = run(t, 101, 159);
	CU_ASSERT_EQUAL(q.unicast + q.broadcast, 0);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	run(t, 160, 162);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	free(t);
}

static void
a_stale_entry_used_again_is_probed(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);
	uint32_t idx = reachable(t, &a, false);

	run(t, 101, 150);
	sl_neigh_used(t, idx, 151 * S);
	struct asked q = run(t, 151, 152);
	CU_ASSERT_TRUE(q.unicast >= 1);
	CU_ASSERT_EQUAL(q.broadcast, 0);
	free(t);
}

static void
a_failed_entry_nobody_wants_goes(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	sl_neigh_want(t, 1, &a, false, 100 * S);
	run(t, 100, 170);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	struct asked q = run(t, 171, 200);
	CU_ASSERT_EQUAL(q.broadcast, 0);
	free(t);
}

/* Answers each request of the table at once. */
struct answering {
	struct sl_neigh_table *t;
	uint64_t now_ns;
	unsigned cnt;
};

static void
ask_and_note(void *ctx, uint16_t port, const struct sl_addr *addr, const uint8_t *mac)
{
	struct answering *x = ctx;

	(void)port;
	(void)addr;
	(void)mac;
	x->cnt++;
}

static void
pinned_entries_are_kept_until_unpinned(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	reachable(t, &a, true);
	for (unsigned s = 101; s < 400; s++)
		if (run(t, s, s).unicast)
			sl_neigh_heard(t, 1, &a, mac_a, true, false, s * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	/* a new view pins it again: nothing is lost between */
	sl_neigh_unpin_all(t);
	run(t, 400, 401);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	sl_neigh_want(t, 1, &a, true, 401 * S);
	for (unsigned s = 402; s < 600; s++)
		if (run(t, s, s).unicast)
			sl_neigh_heard(t, 1, &a, mac_a, true, false, s * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	sl_neigh_unpin_all(t);
	run(t, 600, 720);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	free(t);
}

static void
a_claim_to_a_used_address_makes_us_ask_everyone(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);
	uint32_t idx = reachable(t, &a, false);

	sl_neigh_used(t, idx, 105 * S);
	sl_neigh_heard(t, 1, &a, mac_b, false, false, 105 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	struct asked q = run(t, 105, 105);
	CU_ASSERT_EQUAL(q.broadcast, 1);
	CU_ASSERT_EQUAL(q.unicast, 0);
	/* who has it answers; the stranger's next claim comes too soon to be asked about */
	sl_neigh_heard(t, 1, &a, mac_a, true, false, 105 * S);
	for (unsigned i = 0; i < 1000; i++)
		sl_neigh_heard(t, 1, &a, mac_b, i & 1, i & 2, 105 * S);
	q = run(t, 105, 105);
	CU_ASSERT_EQUAL(q.broadcast + q.unicast, 0);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	/* it did move: the new place answers */
	sl_neigh_heard(t, 1, &a, mac_b, false, false, 110 * S);
	q = run(t, 110, 110);
	CU_ASSERT_EQUAL(q.broadcast, 1);
	sl_neigh_heard(t, 1, &a, mac_b, true, false, 110 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_b));
	/* the same address again changes nothing */
	sl_neigh_heard(t, 1, &a, mac_b, true, false, 110 * S);
	sl_neigh_heard(t, 1, &a, mac_b, false, false, 111 * S);
	q = run(t, 111, 139);
	CU_ASSERT_EQUAL(q.unicast + q.broadcast, 0);
	free(t);
}

static void
a_claim_nobody_confirms_ends_like_silence(void)
{
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	reachable(t, &a, true);
	sl_neigh_heard(t, 1, &a, mac_b, false, false, 105 * S);
	struct asked q = run(t, 105, 107);
	CU_ASSERT_EQUAL(q.broadcast, 3);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	run(t, 108, 108);
	CU_ASSERT_FALSE(has_mac(t, 1, &a, mac_a));
	/* then a claim is all there is */
	sl_neigh_heard(t, 1, &a, mac_b, false, false, 109 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_b));
	free(t);
}

static void
strangers_are_learned_only_when_told_to(void)
{
	static const uint8_t group[6] = {1, 0, 0, 0, 0, 1}, zero[6];
	struct sl_neigh_table *t = table();
	struct sl_addr a = v4(1);

	sl_neigh_heard(t, 1, &a, mac_a, false, false, 100 * S);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	sl_neigh_heard(t, 1, &a, group, false, true, 100 * S);
	sl_neigh_heard(t, 1, &a, zero, false, true, 100 * S);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	sl_neigh_heard(t, 1, &a, mac_a, false, true, 100 * S);
	CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	struct asked q = run(t, 100, 159);
	CU_ASSERT_EQUAL(q.unicast + q.broadcast, 0);
	run(t, 160, 162);
	CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	free(t);
}

static void
a_full_table_refuses_more_pins_and_keeps_what_it_has(void)
{
	struct sl_neigh_table *t = table();
	unsigned held = 0, refused = 0;

	for (uint32_t i = 0; i < SL_NEIGH_MAX + 4096; i++) {
		struct sl_addr a = v4(i);
		uint32_t idx = sl_neigh_want(t, 1, &a, true, 100 * S);
		if (idx == SL_NEIGH_NONE)
			refused++;
		else
			held++;
		if (i + 1 == SL_NEIGH_MAX * 7 / 10)
			CU_ASSERT_EQUAL(refused, 0);
	}
	CU_ASSERT_TRUE(refused > 0);
	CU_ASSERT_TRUE(held > SL_NEIGH_MAX * 95 / 100);
	unsigned found = 0;
	for (uint32_t i = 0; i < SL_NEIGH_MAX + 4096; i++) {
		struct sl_addr a = v4(i);
		found += sl_neigh_find(t, 1, &a) != SL_NEIGH_NONE;
	}
	CU_ASSERT_EQUAL(found, held);
	free(t);
}

static void
a_flood_of_arp_takes_no_place_from_what_is_pinned_or_used(void)
{
	struct sl_neigh_table *t = table();
	const uint32_t pinned = 4000, used = 2000;

	for (uint32_t i = 0; i < pinned + used; i++) {
		struct sl_addr a = v4(i);
		uint32_t idx = sl_neigh_want(t, 1, &a, i < pinned, 100 * S);
		CU_ASSERT_NOT_EQUAL(idx, SL_NEIGH_NONE);
	}
	run(t, 100, 100);
	for (uint32_t i = 0; i < pinned + used; i++) {
		struct sl_addr a = v4(i);
		sl_neigh_heard(t, 1, &a, mac_a, true, false, 100 * S);
	}
	for (uint32_t i = 0; i < 200000; i++) {
		struct sl_addr a = v4(0x100000 + i);
		sl_neigh_heard(t, 1, &a, mac_b, false, true, 101 * S);
	}
	for (uint32_t i = 0; i < pinned + used; i++) {
		struct sl_addr a = v4(i);
		CU_ASSERT_TRUE(has_mac(t, 1, &a, mac_a));
	}
	/* and a new next hop still finds a place */
	unsigned refused = 0;
	for (uint32_t i = 0; i < 4000; i++) {
		struct sl_addr a = v4(0x800000 + i);
		refused += sl_neigh_want(t, 1, &a, true, 102 * S) == SL_NEIGH_NONE;
	}
	CU_ASSERT_EQUAL(refused, 0);
	free(t);
}

static void
strangers_take_no_place_where_all_is_in_use(void)
{
	struct sl_neigh_table *t = table();
	bool *held = calloc(40000, sizeof(*held));

	CU_ASSERT_PTR_NOT_NULL_FATAL(held);
	for (uint32_t i = 0; i < 40000; i++) {
		struct sl_addr a = v4(i);
		CU_ASSERT_NOT_EQUAL(sl_neigh_want(t, 1, &a, false, 100 * S), SL_NEIGH_NONE);
	}
	for (uint32_t i = 0; i < 40000; i++) {
		struct sl_addr a = v4(i);
		held[i] = sl_neigh_find(t, 1, &a) != SL_NEIGH_NONE;
	}
	for (uint32_t i = 0; i < 40000; i++) {
		struct sl_addr a = v4(0x100000 + i);
		sl_neigh_heard(t, 1, &a, mac_b, false, true, 101 * S);
		CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a), SL_NEIGH_NONE);
	}
	for (uint32_t i = 0; i < 40000; i++) {
		struct sl_addr a = v4(i);
		CU_ASSERT_EQUAL(sl_neigh_find(t, 1, &a) != SL_NEIGH_NONE, held[i]);
	}
	free(held);
	free(t);
}

static void
a_tick_does_no_more_than_its_budget(void)
{
	struct sl_neigh_table *t = table();

	for (uint32_t i = 0; i < 1000; i++) {
		struct sl_addr a = v4(i);
		sl_neigh_want(t, 1, &a, true, 100 * S);
	}
	for (unsigned round = 0; round < 16; round++) {
		struct answering x = {.t = t};
		sl_neigh_tick(t, 100 * S, 64, ask_and_note, &x);
		CU_ASSERT_EQUAL(x.cnt, round < 15 ? 64 : 1000 - 15 * 64);
	}
	free(t);
}

/* Random operations against a plain list: what is found is what was wanted, whatever comes and goes. */
static void
random_operations_keep_keys_and_macs_together(void)
{
	struct sl_neigh_table *t = table();
	struct asked q = {0};
	uint64_t now = 100 * S;

	srandom(99);
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t n = (uint32_t)random() % 40000;
		struct sl_addr a = v4(n);
		uint8_t mac[6] = {2, 0, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n},
			got[6];
		switch (random() % 6) {
		case 0:
		case 1:
			sl_neigh_want(t, 1, &a, n < 1000, now);
			break;
		case 2:
			sl_neigh_heard(t, 1, &a, mac, true, random() & 1, now);
			break;
		case 3:
			now += S / 1000;
			sl_neigh_tick(t, now, 16, ask, &q);
			break;
		case 4:
			if (random() % 1000 == 0)
				sl_neigh_unpin_all(t);
			break;
		default:
			if (sl_neigh_mac(t, sl_neigh_find(t, 1, &a), 1, &a, got))
				CU_ASSERT_EQUAL_FATAL(memcmp(got, mac, 6), 0);
		}
	}
	CU_ASSERT_TRUE(q.broadcast > 1000);
	free(t);
}

/* A reader beside the writer never gets the MAC of another key.  The keys all live in one place, one after
 * the other. */
#define KEYS 8
static struct sl_neigh_table *shared;
static uint32_t place, keys[KEYS];
static atomic_bool stop;
static atomic_uint wrong, seen;

static void *
reader(void *unused)
{
	(void)unused;
	for (unsigned k = 0; !atomic_load_explicit(&stop, memory_order_relaxed);
	     k = (k + 1) % KEYS) {
		struct sl_addr a = v4(keys[k]);
		uint8_t mac[6];
		if (!sl_neigh_mac(shared, place, 1, &a, mac))
			continue;
		sl_neigh_used(shared, place, 100 * S);
		atomic_fetch_add_explicit(&seen, 1, memory_order_relaxed);
		if (mac[5] != (uint8_t)k)
			atomic_fetch_add_explicit(&wrong, 1, memory_order_relaxed);
	}
	return NULL;
}

/* Lets everything age and go. */
static void
empty(struct sl_neigh_table *t, uint64_t *now_ns)
{
	struct asked q = {0};

	*now_ns += 200 * S;
	sl_neigh_tick(t, *now_ns, SL_NEIGH_MAX, ask, &q);
}

static void
choose_keys(uint64_t *now_ns)
{
	for (uint32_t n = 0, k = 0; k < KEYS; n++) {
		struct sl_addr a = v4(n);
		uint32_t idx = sl_neigh_want(shared, 1, &a, false, *now_ns);
		if (n == 0)
			place = idx;
		if (idx == place)
			keys[k++] = n;
		empty(shared, now_ns);
	}
}

static void
a_reader_never_sees_the_mac_of_another_key(void)
{
	pthread_t thread;
	uint64_t now = 1000 * S;

	shared = table();
	choose_keys(&now);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, reader, NULL), 0);
	for (unsigned round = 0; round < 1000000 || (atomic_load(&seen) == 0 && round < 50000000);
	     round++) {
		struct sl_addr a = v4(keys[round % KEYS]);
		uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(round % KEYS)};
		sl_neigh_heard(shared, 1, &a, mac, false, true, now);
		empty(shared, &now);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	CU_ASSERT_TRUE(atomic_load(&seen) > 0);
	free(shared);
}

/* ---- messages ---- */

static enum sl_drop
parse(struct frame *f, struct sl_pkt *ret_pkt, struct sl_neigh_msg *ret_msg)
{
	*ret_pkt = (struct sl_pkt){.data = f->b, .len = (uint16_t)f->len};
	enum sl_drop why = sl_parse(ret_pkt);
	return why != SL_DROP_NONE ? why : (enum sl_drop)sl_neigh_parse(ret_pkt, ret_msg);
}

static void
an_arp_request_is_built_and_read_back(void)
{
	static const uint8_t expected[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,   0,   0, 0,  0,
					     1,    8,    6,    0,    1,    8,    0,   6,   4, 0,  1,
					     2,    0,    0,    0,    0,    1,    192, 0,   2, 10, 0,
					     0,    0,    0,    0,    0,    198,  51,  100, 7};
	struct sl_addr me = sl_addr_from_v4(frame_vip4), target = sl_addr_from_v4(frame_client4);
	struct frame f = {0};
	struct sl_pkt p;
	struct sl_neigh_msg m;

	memset(f.b, 0xee, sizeof(f.b));
	f.len = sl_neigh_build_request(f.b, frame_my_mac, &me, &target, NULL);
	CU_ASSERT_EQUAL(f.len, 60);
	CU_ASSERT_EQUAL(memcmp(f.b, expected, 60), 0);
	CU_ASSERT_EQUAL(f.b[60], 0xee);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(m.request && m.has_mac && !m.dad);
	CU_ASSERT_TRUE(sl_addr_eq(&m.sender, &me) && sl_addr_eq(&m.target, &target));

	f.len = sl_neigh_build_request(f.b, frame_my_mac, &me, &target, mac_a);
	CU_ASSERT_EQUAL(memcmp(f.b, mac_a, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 32, mac_a, 6), 0);
}

static void
a_solicitation_is_built_and_read_back(void)
{
	static const uint8_t group_mac[6] = {0x33, 0x33, 0xff, 0, 0, 7};
	static const uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 7};
	struct sl_addr me = sl_addr_from_v6(frame_vip6), target = sl_addr_from_v6(frame_client6);
	struct frame f = {0};
	struct sl_pkt p;
	struct sl_neigh_msg m;

	f.len = sl_neigh_build_request(f.b, frame_my_mac, &me, &target, NULL);
	CU_ASSERT_EQUAL(f.len, 86);
	CU_ASSERT_EQUAL(memcmp(f.b, group_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, group, 16), 0);
	CU_ASSERT_EQUAL(f.b[21], 255);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(m.request && m.has_mac && !m.dad);
	CU_ASSERT_TRUE(sl_addr_eq(&m.sender, &me) && sl_addr_eq(&m.target, &target));
	CU_ASSERT_EQUAL(memcmp(m.mac, frame_my_mac, 6), 0);

	f.len = sl_neigh_build_request(f.b, frame_my_mac, &me, &target, mac_a);
	CU_ASSERT_EQUAL(memcmp(f.b, mac_a, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, frame_client6, 16), 0);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
}

static void
an_arp_request_is_answered(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_ARP);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	f.len = sl_neigh_answer(&p, &m, frame_my_mac);
	CU_ASSERT_EQUAL(f.len, 60);
	CU_ASSERT_EQUAL(p.len, 60);
	CU_ASSERT_EQUAL(memcmp(f.b, frame_client_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 6, frame_my_mac, 6), 0);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(!m.request && m.solicited && m.has_mac);
	CU_ASSERT_EQUAL(memcmp(m.sender.b + 12, frame_vip4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(m.target.b + 12, frame_client4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(m.mac, frame_my_mac, 6), 0);
}

static void
an_arp_probe_is_answered_to_the_unspecified_address(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_ARP);
	memset(f.b + 28, 0, 4);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(m.request && m.dad);
	f.len = sl_neigh_answer(&p, &m, frame_my_mac);
	CU_ASSERT_EQUAL(f.b[21], 2);
	CU_ASSERT_EQUAL(memcmp(f.b + 28, frame_vip4, 4), 0);
	CU_ASSERT_EQUAL(sl_load32(f.b + 38), 0);
}

static void
a_solicitation_is_answered(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_NS);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	f.len = sl_neigh_answer(&p, &m, frame_my_mac);
	CU_ASSERT_EQUAL(f.len, 86);
	CU_ASSERT_EQUAL(memcmp(f.b, frame_client_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, frame_client6, 16), 0);
	CU_ASSERT_EQUAL(f.b[58], 0xe0);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(!m.request && m.solicited && m.has_mac);
	CU_ASSERT_EQUAL(memcmp(m.sender.b, frame_vip6, 16), 0);
	CU_ASSERT_EQUAL(memcmp(m.mac, frame_my_mac, 6), 0);
}

static void
address_detection_is_answered_to_all_nodes(void)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_DAD);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(m.request && m.dad && !m.has_mac);
	f.len = sl_neigh_answer(&p, &m, frame_my_mac);
	CU_ASSERT_EQUAL(memcmp(f.b, all_nodes_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f.b + 38, all_nodes, 16), 0);
	CU_ASSERT_EQUAL(f.b[58] & 0x40, 0);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_NONE);
}

static void
an_announcement_is_an_unsolicited_answer(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	for (uint8_t op = 1; op <= 2; op++) {
		frame_make(&f, FRAME_ARP);
		f.b[21] = op;
		memcpy(f.b + 38, f.b + 28, 4);
		CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
		CU_ASSERT_TRUE(!m.request && !m.solicited && m.has_mac);
		CU_ASSERT_EQUAL(memcmp(m.sender.b + 12, frame_client4, 4), 0);
	}
}

static void
the_ethernet_address_stands_in_where_a_probe_is_answered_without_option(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_NA);
	f.len -= 8;
	frame_sum_nd(&f);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(m.solicited && m.has_mac);
	CU_ASSERT_EQUAL(memcmp(m.mac, frame_client_mac, 6), 0);
	f.b[58] = 0x20;
	frame_sum_nd(&f);
	CU_ASSERT_EQUAL_FATAL(parse(&f, &p, &m), SL_DROP_NONE);
	CU_ASSERT_TRUE(!m.solicited && !m.has_mac);
}

static void
malformed_messages_are_refused(void)
{
	static const struct {
		const char *reason;
		enum frame_kind kind;
		enum sl_drop drop;
		uint8_t at, n, to[6];
		bool wrong_sum;
	} rows[] = {
		{"operation 0", FRAME_ARP, SL_DROP_ARP_BAD, 21, 1, {0}, 0},
		{"operation 3", FRAME_ARP, SL_DROP_ARP_BAD, 21, 1, {3}, 0},
		{"operation 257", FRAME_ARP, SL_DROP_ARP_BAD, 20, 1, {1}, 0},
		{"sender's MAC a group", FRAME_ARP, SL_DROP_ARP_BAD, 22, 1, {3}, 0},
		{"sender's MAC broadcast",
		 FRAME_ARP,
		 SL_DROP_ARP_BAD,
		 22,
		 6,
		 {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		 0},
		{"sender's MAC zero", FRAME_ARP, SL_DROP_ARP_BAD, 22, 6, {0}, 0},
		{"Ethernet source a group", FRAME_ARP, SL_DROP_ARP_BAD, 6, 1, {1}, 0},
		{"sender loopback", FRAME_ARP, SL_DROP_ARP_BAD, 28, 1, {127}, 0},
		{"sender multicast", FRAME_ARP, SL_DROP_ARP_BAD, 28, 1, {224}, 0},
		{"sender broadcast", FRAME_ARP, SL_DROP_ARP_BAD, 28, 4, {255, 255, 255, 255}, 0},
		{"target multicast", FRAME_ARP, SL_DROP_ARP_BAD, 38, 1, {224}, 0},
		{"target unspecified", FRAME_ARP, SL_DROP_ARP_BAD, 38, 4, {0}, 0},
		{"target broadcast", FRAME_ARP, SL_DROP_ARP_BAD, 38, 4, {255, 255, 255, 255}, 0},
		{"hop limit 254", FRAME_NS, SL_DROP_ND_BAD, 21, 1, {254}, 0},
		{"Ethernet source of a solicitation a group",
		 FRAME_NS,
		 SL_DROP_ND_BAD,
		 6,
		 1,
		 {3},
		 0},
		{"code 1", FRAME_NS, SL_DROP_ND_BAD, 55, 1, {1}, 0},
		{"checksum wrong", FRAME_NS, SL_DROP_L4_CSUM, 62, 1, {0x21}, true},
		{"target multicast", FRAME_NS, SL_DROP_ND_BAD, 62, 1, {0xff}, 0},
		{"option of length 0", FRAME_NS, SL_DROP_ND_BAD, 79, 1, {0}, 0},
		{"option past the end", FRAME_NS, SL_DROP_ND_BAD, 79, 1, {2}, 0},
		{"other option past the end", FRAME_NS, SL_DROP_ND_BAD, 78, 2, {14, 2}, 0},
		{"MAC option a group", FRAME_NS, SL_DROP_ND_BAD, 80, 1, {3}, 0},
		{"other option", FRAME_NS, SL_DROP_NONE, 78, 1, {14}, 0},
		{"detection not to the solicited-node group",
		 FRAME_DAD,
		 SL_DROP_ND_BAD,
		 53,
		 1,
		 {0x35},
		 0},
		{"advertisement hop limit 64", FRAME_NA, SL_DROP_ND_BAD, 21, 1, {64}, 0},
		{"advertisement to a group, solicited",
		 FRAME_NA,
		 SL_DROP_ND_BAD,
		 38,
		 2,
		 {0xff, 2},
		 0},
		{"advertisement of a multicast target", FRAME_NA, SL_DROP_ND_BAD, 62, 1, {0xff}, 0},
		{"advertisement checksum", FRAME_NA, SL_DROP_L4_CSUM, 85, 1, {0xbb}, true},
		{"router solicitation", FRAME_NS, SL_DROP_ICMP_IGNORED, 54, 1, {133}, 0},
		{"router advertisement", FRAME_NA, SL_DROP_ICMP_IGNORED, 54, 1, {134}, 0},
		{"redirect", FRAME_NA, SL_DROP_ICMP_IGNORED, 54, 1, {137}, 0},
	};
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct frame f;
		struct sl_pkt p;
		struct sl_neigh_msg m;
		frame_make(&f, rows[i].kind);
		memcpy(f.b + rows[i].at, rows[i].to, rows[i].n);
		if (rows[i].kind != FRAME_ARP && !rows[i].wrong_sum)
			frame_sum_nd(&f);
		uint8_t *g = guard_buf(f.len);
		memcpy(g, f.b, f.len);
		p = (struct sl_pkt){.data = g, .len = (uint16_t)f.len};
		CU_ASSERT_EQUAL_FATAL(sl_parse(&p), SL_DROP_NONE);
		enum sl_drop why = (enum sl_drop)sl_neigh_parse(&p, &m);
		guard_free(g, f.len);
		if (why != rows[i].drop)
			printf("  row \"%s\": %s\n", rows[i].reason, sl_drop_name(why));
		CU_ASSERT_EQUAL(why, rows[i].drop);
	}
}

static void
detection_with_a_mac_option_is_refused(void)
{
	struct frame f;
	struct sl_pkt p;
	struct sl_neigh_msg m;

	frame_make(&f, FRAME_NS);
	memset(f.b + 22, 0, 16);
	frame_sum_nd(&f);
	CU_ASSERT_EQUAL(parse(&f, &p, &m), SL_DROP_ND_BAD);
}

/* Shortened messages whose IPv6 length and checksum are right: only the ND length is wrong. */
static void
short_messages_are_refused_without_reading_on(void)
{
	for (unsigned kind = FRAME_NS; kind <= FRAME_DAD; kind++) {
		struct frame f;
		frame_make(&f, (enum frame_kind)kind);
		for (unsigned len = f.len - 1; len >= 62; len--) {
			f.len = len;
			frame_sum_nd(&f);
			uint8_t *g = guard_buf(len);
			struct sl_neigh_msg m;
			struct sl_pkt p = {.data = g, .len = (uint16_t)len};
			memcpy(g, f.b, len);
			CU_ASSERT_EQUAL_FATAL(sl_parse(&p), SL_DROP_NONE);
			CU_ASSERT_EQUAL(sl_neigh_parse(&p, &m),
					len == 78 ? SL_DROP_NONE : SL_DROP_ND_BAD);
			guard_free(g, len);
		}
	}
}

SL_SUITE("neigh", SL_TEST(want_asks_and_an_answer_resolves),
	 SL_TEST(mac_is_given_only_for_the_right_key),
	 SL_TEST(three_tries_then_failed_then_again_after_five_seconds),
	 SL_TEST(a_used_entry_is_probed_by_unicast_and_goes_on_serving),
	 SL_TEST(three_unanswered_probes_make_it_incomplete),
	 SL_TEST(an_unused_entry_is_left_in_peace_and_goes_after_a_minute),
	 SL_TEST(a_stale_entry_used_again_is_probed), SL_TEST(a_failed_entry_nobody_wants_goes),
	 SL_TEST(pinned_entries_are_kept_until_unpinned),
	 SL_TEST(a_claim_to_a_used_address_makes_us_ask_everyone),
	 SL_TEST(a_claim_nobody_confirms_ends_like_silence),
	 SL_TEST(strangers_are_learned_only_when_told_to),
	 SL_TEST(a_full_table_refuses_more_pins_and_keeps_what_it_has),
	 SL_TEST(a_flood_of_arp_takes_no_place_from_what_is_pinned_or_used),
	 SL_TEST(strangers_take_no_place_where_all_is_in_use),
	 SL_TEST(a_tick_does_no_more_than_its_budget),
	 SL_TEST(random_operations_keep_keys_and_macs_together),
	 SL_TEST(a_reader_never_sees_the_mac_of_another_key),
	 SL_TEST(an_arp_request_is_built_and_read_back),
	 SL_TEST(a_solicitation_is_built_and_read_back), SL_TEST(an_arp_request_is_answered),
	 SL_TEST(an_arp_probe_is_answered_to_the_unspecified_address),
	 SL_TEST(a_solicitation_is_answered), SL_TEST(address_detection_is_answered_to_all_nodes),
	 SL_TEST(an_announcement_is_an_unsolicited_answer),
	 SL_TEST(the_ethernet_address_stands_in_where_a_probe_is_answered_without_option),
	 SL_TEST(malformed_messages_are_refused), SL_TEST(detection_with_a_mac_option_is_refused),
	 SL_TEST(short_messages_are_refused_without_reading_on))

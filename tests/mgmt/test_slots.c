/* Who has which slot, through pushes, and on disk. */
#include "mgmt/slots.h"

#include <errno.h>
#include <jansson.h>

#include "suite.h"

enum { OWNERS = 300, SLOTS = 128, PUSHES = 1000 };

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
space_init(struct sl_slot_space *s, uint32_t max)
{
	*s = (struct sl_slot_space){.max = max};
}

static void
space_fini(struct sl_slot_space *s)
{
	struct sl_slot_map m = {.endpoints = *s};
	sl_slot_map_fini(&m);
}

/* What a restart of the daemon does to the map. */
static void
through_the_disk(struct sl_slot_map *m)
{
	struct sl_slot_map back;
	char *text;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(sl_slot_map_save(m, &text, &len), 0);
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_load(text, len, NULL, &back), 0);
	back.listeners.max = m->listeners.max;
	CU_ASSERT_EQUAL(back.base_cnt, m->base_cnt);
	sl_slot_map_fini(m);
	free(text);
	*m = back;
}

static void
owners_keep_slot_and_incarnation_through_a_thousand_pushes(void)
{
	/* The model: where an owner is while it is there, and the last incarnation of each slot. */
	struct sl_placed at[OWNERS];
	bool there[OWNERS] = {false};
	uint32_t last[SLOTS] = {0};
	uint64_t seed = 7;
	struct sl_slot_map m;
	char names[OWNERS][16];

	sl_slot_map_init(&m);
	m.listeners.max = SLOTS;
	for (int i = 0; i < OWNERS; i++)
		snprintf(names[i], sizeof(names[i]), "owner-%03d", i);
	for (int push = 0; push < PUSHES; push++) {
		const char *keys[OWNERS];
		int who[OWNERS];
		bool wanted[OWNERS] = {false}, used[SLOTS] = {false};
		struct sl_placed placed[OWNERS];
		uint32_t n = 0;

		for (int i = 0; i < OWNERS && n < SLOTS; i++) {
			wanted[i] = there[i] ? next_random(&seed) % 10 != 0
					     : next_random(&seed) % 12 == 0;
			if (wanted[i]) {
				keys[n] = names[i];
				who[n++] = i;
			}
		}
		CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&m.listeners, &m.seq, keys, n, placed),
				      0);
		for (uint32_t k = 0; k < n; k++) {
			struct sl_placed *p = &at[who[k]];
			CU_ASSERT_FATAL(placed[k].slot < SLOTS);
			CU_ASSERT_FALSE(used[placed[k].slot]); /* no two owners share */
			used[placed[k].slot] = true;
			if (there[who[k]]) {
				CU_ASSERT_EQUAL(placed[k].slot, p->slot);
				CU_ASSERT_EQUAL(placed[k].incarnation, p->incarnation);
			} else {
				CU_ASSERT_EQUAL(placed[k].incarnation, last[placed[k].slot] + 1);
				last[placed[k].slot] = placed[k].incarnation;
			}
			*p = placed[k];
		}
		memcpy(there, wanted, sizeof(there));
		if (push % 50 == 0)
			through_the_disk(&m);
	}
	CU_ASSERT(m.seq > PUSHES); /* slots were freed and given again */
	sl_slot_map_fini(&m);
}

static void
limits_keep_their_slots_through_the_disk(void)
{
	const char *const two[] = {"a", "b"}, *const other[] = {"b", "c"};
	struct sl_placed placed[2], at;
	struct sl_slot_map m;

	sl_slot_map_init(&m);
	CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&m.rates, &m.seq, two, 2, placed), 0);
	through_the_disk(&m);
	m.rates.max = 2; /* c takes the place of a */
	CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&m.rates, &m.seq, other, 2, placed), 0);
	through_the_disk(&m);
	CU_ASSERT_EQUAL(sl_slot_find_rate(&m, "a", &at), -ENOENT);
	CU_ASSERT_EQUAL_FATAL(sl_slot_find_rate(&m, "b", &at), 0);
	CU_ASSERT(at.slot == 1 && at.incarnation == 1);
	CU_ASSERT_EQUAL_FATAL(sl_slot_find_rate(&m, "c", &at), 0);
	CU_ASSERT(at.slot == 0 && at.incarnation == 2);
	sl_slot_map_fini(&m);
}

static void
rules_keep_their_slots_through_the_disk(void)
{
	const char *const two[] = {"shop/a", "shop/default"};
	struct sl_placed placed[2], at;
	struct sl_slot_map m;

	sl_slot_map_init(&m);
	CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&m.rules, &m.seq, two, 2, placed), 0);
	through_the_disk(&m);
	CU_ASSERT_EQUAL_FATAL(sl_slot_find_rule(&m, "shop", "default", &at), 0);
	CU_ASSERT(at.slot == 1 && at.incarnation == 1);
	CU_ASSERT_EQUAL(sl_slot_find_rule(&m, "shop", "b", &at), -ENOENT);
	sl_slot_map_fini(&m);
}

static void
assign_one(struct sl_slot_space *s, uint64_t *seq, const char *const *keys, uint32_t n,
	   uint32_t which, uint32_t slot, uint32_t incarnation)
{
	struct sl_placed placed[8];

	CU_ASSERT_EQUAL(sl_slot_space_assign(s, seq, keys, n, placed), 0);
	CU_ASSERT_EQUAL(placed[which].slot, slot);
	CU_ASSERT_EQUAL(placed[which].incarnation, incarnation);
}

static void
never_used_slots_come_first_then_the_longest_freed(void)
{
	struct sl_slot_space s;
	uint64_t seq = 1;

	space_init(&s, 4);
	assign_one(&s, &seq, (const char *[]){"a", "b", "c"}, 3, 2, 2, 1);
	assign_one(&s, &seq, (const char *[]){"a", "c"}, 2, 1, 2, 1); /* b frees 1 */
	assign_one(&s, &seq, (const char *[]){"c"}, 1, 0, 2, 1);      /* then a frees 0 */
	assign_one(&s, &seq, (const char *[]){"c", "d"}, 2, 1, 3, 1); /* never used */
	assign_one(&s, &seq, (const char *[]){"c", "d", "e"}, 3, 2, 1, 2);
	assign_one(&s, &seq, (const char *[]){"c", "d", "e", "a"}, 4, 3, 0,
		   2); /* not its old self */
	space_fini(&s);
}

/* All free slots in the order in which they were freed. */
static uint32_t
list_free(const struct sl_slot_space *s, uint32_t *list)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->cnt; i++) {
		uint32_t k = n++;
		if (s->owner[i].key) {
			n--;
			continue;
		}
		for (; k > 0 && s->owner[list[k - 1]].freed_seq > s->owner[i].freed_seq; k--)
			list[k] = list[k - 1];
		list[k] = i;
	}
	return n;
}

static void
of_many_free_slots_the_longest_freed_are_taken_in_their_order(void)
{
	enum { MOST = 400 };
	static char names[500 * MOST][16];
	const char *keys[MOST];
	struct sl_placed placed[MOST];
	uint32_t order[MOST], fresh = 0, held = 0;
	struct sl_slot_space s;
	uint64_t seq = 1, seed = 9;

	space_init(&s, MOST);
	for (unsigned round = 0; round < 500; round++) {
		/* some of those that are there go; how many come is anything up to all that is free */
		uint32_t n = 0;
		for (uint32_t i = 0; i < held; i++)
			if (next_random(&seed) % 4)
				keys[n++] = keys[i];
		CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&s, &seq, keys, n, placed), 0);
		held = n;
		uint32_t unused = MOST - s.cnt, free_cnt = list_free(&s, order);
		uint32_t want = (uint32_t)(next_random(&seed) % (MOST - held + 1));
		if (round % 3)
			want = want % 8; /* mostly few of many */
		for (uint32_t i = 0; i < want; i++) {
			char *name = names[fresh++];
			snprintf(name, sizeof(names[0]), "n%u", fresh);
			keys[n++] = name;
		}
		CU_ASSERT_EQUAL_FATAL(sl_slot_space_assign(&s, &seq, keys, n, placed), 0);
		for (uint32_t i = unused; i < want; i++)
			CU_ASSERT_EQUAL(placed[held + i].slot, order[i - unused]);
		CU_ASSERT(want <= unused || want - unused <= free_cnt);
		held = n;
	}
	space_fini(&s);
}

static void
a_slot_freed_by_a_push_may_be_given_in_it_with_a_new_incarnation(void)
{
	struct sl_slot_space s;
	uint64_t seq = 1;

	space_init(&s, 1);
	assign_one(&s, &seq, (const char *[]){"a"}, 1, 0, 0, 1);
	assign_one(&s, &seq, (const char *[]){"b"}, 1, 0, 0, 2);
	s.owner[0].incarnation = 65535;
	assign_one(&s, &seq, (const char *[]){"c"}, 1, 0, 0, 1); /* wraps past 0 */
	space_fini(&s);
}

static void
too_many_owners_and_twins_are_refused(void)
{
	struct sl_placed placed[4];
	struct sl_slot_space s;
	uint64_t seq = 1;

	space_init(&s, 2);
	CU_ASSERT_EQUAL(sl_slot_space_assign(&s, &seq, (const char *[]){"a", "b", "c"}, 3, placed),
			-ENOSPC);
	space_fini(&s);
	space_init(&s, 4);
	CU_ASSERT_EQUAL(sl_slot_space_assign(&s, &seq, (const char *[]){"a", "a"}, 2, placed),
			-EEXIST);
	space_fini(&s);
	space_init(&s, 4);
	CU_ASSERT_EQUAL(sl_slot_space_assign(&s, &seq, (const char *[]){"a"}, 1, placed), 0);
	CU_ASSERT_EQUAL(sl_slot_space_assign(&s, &seq, (const char *[]){"a", "a"}, 2, placed),
			-EEXIST);
	space_fini(&s);
}

static void
fill(struct sl_slot_map *m)
{
	struct sl_placed placed[4];

	sl_slot_map_init(m);
	sl_slot_space_assign(&m->listeners, &m->seq, (const char *[]){"web-v4", "x"}, 2, placed);
	sl_slot_space_assign(&m->listeners, &m->seq, (const char *[]){"x"}, 1, placed);
	sl_slot_space_assign(&m->services, &m->seq, (const char *[]){"web"}, 1, placed);
	sl_slot_space_assign(
		&m->endpoints, &m->seq,
		(const char *[]){"web/web-1/198.51.100.11:80", "web/web-2/[2001:db8::1]:0"}, 2,
		placed);
	sl_slot_space_assign(&m->tables, &m->seq, (const char *[]){"edge"}, 1, placed);
	sl_slot_space_assign(&m->vhosts, &m->seq, (const char *[]){"edge/shop", "edge/any"}, 2,
			     placed);
	sl_slot_space_assign(&m->hroutes, &m->seq,
			     (const char *[]){"edge/shop/canary", "edge/any/rest"}, 2, placed);
	sl_slot_base_add(m, "edge/any/path", &(struct sl_shard_key){{1, [31] = 0xfe}});
	sl_slot_base_add(m, "edge/shop/query/a%20b", &(struct sl_shard_key){{2}});
}

static void
a_saved_map_loads_as_it_was(void)
{
	struct sl_slot_map m, back;
	char *text, *again;
	size_t len, again_len;

	fill(&m);
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_save(&m, &text, &len), 0);
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_load(text, len, NULL, &back), 0);
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_save(&back, &again, &again_len), 0);
	CU_ASSERT_STRING_EQUAL(text, again);
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	char *canon = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS); /* what sums are taken of */
	CU_ASSERT_STRING_EQUAL(text, canon);
	free(canon);
	json_decref(j);
	CU_ASSERT_EQUAL(len, again_len);
	CU_ASSERT_EQUAL(back.seq, m.seq);

	struct sl_conf_service s = {.name = "web"};
	struct sl_conf_endpoint e = {.name = "web-2", .port = 0};
	struct sl_conf_listener l = {.name = "web-v4"};
	struct sl_placed p;
	CU_ASSERT_EQUAL(sl_addr_parse("2001:db8::1", &e.addr), 0);
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&back, &s, &e, &p), 0);
	CU_ASSERT_EQUAL(p.slot, 1);
	CU_ASSERT_EQUAL(p.incarnation, 1);
	e.port = 1; /* another port is another machine */
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&back, &s, &e, &p), -ENOENT);
	CU_ASSERT_EQUAL(sl_slot_find_service(&back, &s, &p), 0);
	CU_ASSERT_EQUAL(sl_slot_find_listener(&back, &l, &p), -ENOENT); /* was freed */

	struct sl_conf_table t = {.name = "edge"};
	struct sl_conf_vhost v = {.name = "shop"};
	struct sl_conf_hroute r = {.name = "canary"};
	CU_ASSERT_EQUAL(sl_slot_find_table(&back, &t, &p), 0);
	CU_ASSERT_EQUAL(sl_slot_find_vhost(&back, &t, &v, &p), 0);
	CU_ASSERT_EQUAL(sl_slot_find_hroute(&back, &t, &v, &r, &p), 0);
	strcpy(v.name, "any");
	CU_ASSERT_EQUAL(sl_slot_find_vhost(&back, &t, &v, &p), 0);
	CU_ASSERT_EQUAL(p.slot, 1);
	CU_ASSERT_EQUAL(sl_slot_find_hroute(&back, &t, &v, &r, &p), -ENOENT);
	CU_ASSERT_PTR_NULL(sl_slot_base(&back, "edge/shop/path"));
	const struct sl_shard_key *key = sl_slot_base(&back, "edge/any/path");
	CU_ASSERT(key && key->b[0] == 1 && key->b[31] == 0xfe);
	free(text);
	free(again);
	sl_slot_map_fini(&m);
	sl_slot_map_fini(&back);
}

static void
scans_have_keys_of_their_own(void)
{
	static const struct {
		unsigned field;
		const char *name, *key;
	} rows[] = {
		{SL_FIELD_PATH, NULL, "edge/shop/path"},
		{SL_FIELD_HEADER, "x-env", "edge/shop/header/x-env"},
		{SL_FIELD_COOKIE, "x-env", "edge/shop/cookie/x-env"},
		{SL_FIELD_QUERY, "a/\"\xff%", "edge/shop/query/a%2F%22%FF%25"},
	};
	char buf[SL_SCAN_KEY_MAX];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		CU_ASSERT_STRING_EQUAL(
			sl_slot_key_scan("edge", "shop", rows[i].field, rows[i].name, buf),
			rows[i].key);
}

#define HEAD "{\"version\": 1, \"seq\": 5, "
#define REST "\"services\": [], \"endpoints\": []}"
#define NEW(tables, vhosts, routes, bases)                                                         \
	"{\"version\": 2, \"seq\": 5, \"listeners\": [], \"services\": [], \"endpoints\": [], "    \
	"\"tables\": " tables ", \"vhosts\": " vhosts ", \"routes\": " routes                      \
	", \"bases\": " bases "}"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BASE(scan) "{\"scan\": \"" scan "\", \"key\": \"" SUM "\"}"

static void
load_refuses_what_save_would_not_write(void)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{"", "nothing"},
		{"[]", "not an object"},
		{"{}", "no version"},
		{HEAD "\"listeners\": [], \"services\": []}", "a space is missing"},
		{HEAD "\"listeners\": [], \"x\": 1, " REST, "an unknown key"},
		{HEAD "\"listeners\": [], \"listeners\": [], " REST, "a key twice"},
		{"{\"version\": 3, \"seq\": 5, \"listeners\": [], " REST, "another version"},
		{"{\"version\": 2, \"seq\": 5, \"listeners\": [], " REST, "version 2 has more"},
		{NEW("[{\"key\": \"edge/x\", \"incarnation\": 1}]", "[]", "[]", "[]"),
		 "a table's key"},
		{NEW("[]", "[{\"key\": \"edge\", \"incarnation\": 1}]", "[]", "[]"),
		 "a host's key"},
		{NEW("[]", "[]", "[{\"key\": \"edge/a b/c\", \"incarnation\": 1}]", "[]"),
		 "a route's key"},
		{NEW("[]", "[]", "[]", "[{\"scan\": \"edge/x/path\", \"key\": \"00\"}]"),
		 "a short key of a base"},
		{NEW("[]", "[]", "[]", "{}"), "bases are a list"},
		{NEW("[]", "[]", "[]", "[" BASE("b/x/path") ", " BASE("a/x/path") "]"),
		 "bases in order"},
		{NEW("[]", "[]", "[]", "[" BASE("b/x/path") ", " BASE("b/x/path") "]"),
		 "a base twice"},
		{NEW("[]", "[]", "[]", "[" BASE("b/x/\\\"path") "]"), "a scan with a quote"},
		{NEW("[]", "[]", "[]", "[], \"rates\": []"), "no limits are not told"},
		{NEW("[]", "[]", "[]", "[], \"rates\": [{\"key\": \"a/b\", \"incarnation\": 1}]"),
		 "a limit's key"},
		{NEW("[]", "[]", "[]", "[], \"rules\": [{\"key\": \"a\", \"incarnation\": 1}]"),
		 "a rule's key"},
		{"{\"version\": 1, \"seq\": 0, \"listeners\": [], " REST, "seq starts at 1"},
		{"{\"version\": 1, \"seq\": 5.0, \"listeners\": [], " REST, "a fraction"},
		{"{\"version\": 1, \"seq\": 99999999999999999999, \"listeners\": [], " REST,
		 "over 64 bits"},
		{HEAD "\"listeners\": {}, " REST, "not a list"},
		{HEAD "\"listeners\": [1], " REST, "not an owner"},
		{HEAD "\"listeners\": [{\"key\": \"a\"}], " REST, "no incarnation"},
		{HEAD "\"listeners\": [{\"key\": \"a\", \"incarnation\": 0}], " REST, "0"},
		{HEAD "\"listeners\": [{\"key\": \"a\", \"incarnation\": 65536}], " REST, "65536"},
		{HEAD "\"listeners\": [{\"key\": \"a\", \"incarnation\": \"1\"}], " REST,
		 "a string"},
		{HEAD "\"listeners\": [{\"key\": \"a b\", \"incarnation\": 1}], " REST, "no name"},
		{HEAD "\"listeners\": [{\"key\": \"a\\u0000\", \"incarnation\": 1}], " REST,
		 "a NUL within"},
		{HEAD "\"listeners\": [{\"key\": null, \"incarnation\": 1}], " REST, "null"},
		{HEAD "\"listeners\": [{\"key\": \"a\", \"incarnation\": 1, \"freed\": 1}], " REST,
		 "free and owned"},
		{HEAD "\"listeners\": [{\"key\": \"a\", \"incarnation\": 1}, "
		      "{\"key\": \"a\", \"incarnation\": 1}], " REST,
		 "an owner twice"},
		{HEAD "\"listeners\": [{\"freed\": 5, \"incarnation\": 1}], " REST, "not yet"},
		{HEAD "\"listeners\": [{\"freed\": 0, \"incarnation\": 1}], " REST, "before all"},
		{HEAD "\"listeners\": [{\"freed\": 2, \"incarnation\": 1}, "
		      "{\"freed\": 2, \"incarnation\": 1}], " REST,
		 "freed at one time"},
		{HEAD "\"listeners\": [], " REST " x", "more behind it"},
	};
	static const char *const keys[] = {"web",
					   "web/a",
					   "web/a/192.0.2.1",
					   "web/a/192.0.2.1:65536",
					   "web/a/192.0.2.1:080",
					   "web/a/192.0.2.01:80",
					   "web/a/[192.0.2.1]:80",
					   "web/a/2001:db8::1:80",
					   "web/a/[2001:DB8::1]:80",
					   "web/a b/192.0.2.1:80",
					   "/a/192.0.2.1:80",
					   ":/",
					   "//:",
					   "web/a/:80",
					   "web/a/192.0.2.1:80/",
					   ""};
	struct sl_slot_map m;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag diag = {0};
		int err = sl_slot_map_load(rows[i].text, strlen(rows[i].text), &diag, &m);
		if (err != -EINVAL || diag.cnt == 0)
			printf("\n  taken: %s", rows[i].reason);
		CU_ASSERT_EQUAL(err, -EINVAL);
		CU_ASSERT(diag.cnt > 0);
		sl_diag_fini(&diag);
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(keys); i++) {
		char text[512];
		snprintf(text, sizeof(text),
			 HEAD "\"listeners\": [], \"services\": [], \"endpoints\": "
			      "[{\"key\": \"%s\", \"incarnation\": 1}]}",
			 keys[i]);
		int err = sl_slot_map_load(text, strlen(text), NULL, &m);
		if (err != -EINVAL)
			printf("\n  taken: %s", keys[i]);
		CU_ASSERT_EQUAL(err, -EINVAL);
	}
}

static void
an_empty_map_loads(void)
{
	const char *text = HEAD "\"listeners\": [], " REST;
	struct sl_slot_map m;

	CU_ASSERT_EQUAL_FATAL(sl_slot_map_load(text, strlen(text), NULL, &m), 0);
	CU_ASSERT_EQUAL(m.seq, 5);
	CU_ASSERT_EQUAL(m.endpoints.max, SL_MAX_ENDPOINTS);
	CU_ASSERT_EQUAL(m.hroutes.max, SL_MAX_HTTP_ROUTES); /* version 1 had none */
	CU_ASSERT_EQUAL(m.hroutes.cnt, 0);
	sl_slot_map_fini(&m);
}

SL_SUITE("slots", SL_TEST(limits_keep_their_slots_through_the_disk),
	 SL_TEST(rules_keep_their_slots_through_the_disk),
	 SL_TEST(owners_keep_slot_and_incarnation_through_a_thousand_pushes),
	 SL_TEST(never_used_slots_come_first_then_the_longest_freed),
	 SL_TEST(of_many_free_slots_the_longest_freed_are_taken_in_their_order),
	 SL_TEST(a_slot_freed_by_a_push_may_be_given_in_it_with_a_new_incarnation),
	 SL_TEST(too_many_owners_and_twins_are_refused), SL_TEST(a_saved_map_loads_as_it_was),
	 SL_TEST(load_refuses_what_save_would_not_write), SL_TEST(an_empty_map_loads),
	 SL_TEST(scans_have_keys_of_their_own))

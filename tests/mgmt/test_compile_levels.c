/* Levels in objects, against a slow reference: who is in which, what is reused, how large they get. */
#include "mgmt/levels.h"

#include <errno.h>

#include "compiled.h"
#include "files.h"
#include "lb/maglev.h"
#include "mgmt/conf_value.h"

#define MOST 60

static uint64_t seed = 1;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

/* One service with n endpoints that stand anywhere and have anything. */
static struct sl_conf *
make(uint32_t n, enum sl_policy policy, uint32_t subsets)
{
	static const char *const places[] = {"", "eu/a", "eu/b/r1", "us/a", "eu", "-/b"};
	struct sl_conf *c = calloc(1, sizeof(*c));
	struct sl_conf_service *s = c->services = calloc(1, sizeof(*s));

	strcpy(c->name, "g");
	c->service_cnt = 1;
	strcpy(c->locality, places[rnd(3)]);
	strcpy(s->name, "s");
	s->forward = SL_FORWARD_PROXY;
	s->tcp.connect_ms = 1;
	s->http = (struct sl_conf_http){.conn_idle_ms = 1,
					.sweep_ms = 10,
					.eject_ms = 1,
					.eject_max_ms = 1,
					.eject_max_pct = 1};
	s->panic_pct = SL_CONF_NO_PANIC;
	s->policy = policy;
	s->max_endpoints = SL_MAX(n, 1u);
	s->locality_failover = rnd(2);
	s->zones = (struct sl_conf_zones){!s->locality_failover && rnd(2), rnd(101), 1 + rnd(9)};
	s->endpoint_cnt = n;
	s->endpoints = calloc(n + 1u, sizeof(*s->endpoints));
	for (uint32_t i = 0; i < n; i++) {
		struct sl_conf_endpoint *e = &s->endpoints[i];
		uint8_t a[4] = {10, 1, (uint8_t)(i >> 8), (uint8_t)i};
		snprintf(e->name, SL_NAME_MAX, "e%u", i * 7919 % 16411);
		e->addr = sl_addr_from_v4(a);
		e->port = 80;
		e->weight = (uint16_t)(rnd(4) * (1 + rnd(64)));
		e->priority = (uint8_t)rnd(rnd(2) ? 3 : 8);
		strcpy(e->locality, places[rnd(SL_ARRAY_CNT(places))]);
		if (rnd(3))
			sl_value_meta_add(rnd(2) ? "v=1" : "v=2", e->meta);
		if (rnd(2))
			sl_value_meta_add("canary=true", e->meta);
	}
	s->subset_cnt = subsets;
	s->subsets = calloc(subsets + 1u, sizeof(*s->subsets));
	for (uint32_t i = 0; i < subsets; i++) {
		static const char *const wanted[] = {"v=1", "v=2", "canary=true", "canary=true,v=2",
						     "v=3"};
		snprintf(s->subsets[i].name, SL_NAME_MAX, "x%u", i * 37 % 101);
		strcpy(s->subsets[i].meta, wanted[rnd(SL_ARRAY_CNT(wanted))]);
		s->subsets[i].any = rnd(2);
	}
	return c;
}

static const struct sl_conf_endpoint *
by_name(const struct sl_conf_service *s, const char *name)
{
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		if (strcmp(s->endpoints[i].name, name) == 0)
			return &s->endpoints[i];
	return NULL;
}

/* ---- who is in which level ---- */

static const char *const zones[] = {"-/b", "eu", "eu/a", "eu/b", "us/a", "us/b"};

/* Of zone_aware, in the order of ranks: 0: near, then by name of region and zone. */
static unsigned
zone_by_hand(const struct sl_conf *c, const struct sl_conf_endpoint *e)
{
	char name[SL_LOCALITY_MAX];
	char *slash;

	if (sl_level_distance(c->locality, e->locality) == 0)
		return 0;
	strcpy(name, e->locality);
	if ((slash = strchr(name, '/')) && (slash = strchr(slash + 1, '/')))
		*slash = 0;
	for (unsigned z = 0; z < SL_ARRAY_CNT(zones); z++)
		if (strcmp(name, zones[z]) == 0)
			return 1 + z;
	CU_FAIL_FATAL("a zone that is not in the list");
	return 0;
}

/* Zones are numbered through the whole service, and the last ones are one where all would be too many. */
static unsigned
zone_number(const struct sl_conf *c, const struct sl_conf_service *s, unsigned zone)
{
	unsigned number = 0, priorities = 0, cnt = 0;

	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		priorities |= 1u << s->endpoints[i].priority;
	for (unsigned p = 0; p < 8; p++)
		cnt += priorities >> p & 1;
	for (unsigned z = 1; z <= zone; z++)
		for (uint32_t i = 0; i < s->endpoint_cnt; i++)
			if (zone_by_hand(c, &s->endpoints[i]) == z) {
				number++;
				break;
			}
	return SL_MIN(number, SL_MAX_LEVELS / cnt - 1);
}

/* A number that orders endpoints as their ranks do. */
static unsigned
rank_by_hand(const struct sl_conf *c, const struct sl_conf_service *s,
	     const struct sl_conf_endpoint *e)
{
	if (!s->zones.given)
		return 10 * sl_level_rank(c, s, e);
	return 10 * e->priority + zone_number(c, s, zone_by_hand(c, e));
}

/* The levels of one set, from index at on: as many as there are ranks among those that have meta, ascending, with exactly
 * these members.  The index behind, or UINT32_MAX. */
static uint32_t
judge_set(const struct sl_conf *c, const struct sl_img_service *img, uint32_t set, const char *meta,
	  uint32_t at)
{
	const struct sl_conf_service *s = c->services;
	const struct sl_img_endpoint *e = (const void *)((const char *)img + img->endpoint_off);
	uint32_t priority = 0;
	unsigned last = UINT32_MAX;

	for (unsigned rank = 0; rank < 10 * SL_RANKS; rank++) {
		uint16_t want[MOST];
		uint32_t n = 0;
		for (uint32_t i = 0; i < img->endpoint_cnt; i++) {
			const struct sl_conf_endpoint *from = by_name(s, e[i].name);
			if (rank_by_hand(c, s, from) == rank && sl_value_meta_has(from->meta, meta))
				want[n++] = (uint16_t)i;
		}
		if (n == 0)
			continue;
		const struct sl_img_level *l = level(img, at++);
		const uint16_t *m = (const void *)((const char *)img + l->member_off);
		bool good = at <= img->level_cnt && l->subset == set && l->priority == priority++ &&
			    l->member_cnt == n;
		good = good && l->zone == (s->zones.given ? rank % 10 : 0) &&
		       l->beside == (s->zones.given && last / 10 == rank / 10);
		last = rank;
		for (uint32_t i = 0; good && i < n; i++)
			good = (l->member_off ? m[i] : i) == want[i];
		if (!good)
			return UINT32_MAX;
	}
	return at;
}

static const char *
meta_of(const struct sl_conf_service *s, const char *subset)
{
	for (uint32_t i = 0; i < s->subset_cnt; i++)
		if (strcmp(s->subsets[i].name, subset) == 0)
			return s->subsets[i].meta;
	return NULL;
}

static bool
judge(const struct sl_conf *c, const struct sl_img_service *img)
{
	const struct sl_img_subset *sub = (const void *)((const char *)img + img->subset_off);
	uint32_t at = judge_set(c, img, 0, "", 0);

	if (img->subset_cnt != c->services->subset_cnt)
		return false;
	for (uint32_t i = 0; at != UINT32_MAX && i < img->subset_cnt; i++) {
		uint32_t first = at;
		const char *meta = meta_of(c->services, sub[i].name);
		at = meta ? judge_set(c, img, 1 + i, meta, at) : UINT32_MAX;
		if (sub[i].level_first != first || sub[i].level_cnt != at - first ||
		    strcmp(sub[i].name, i ? sub[i - 1].name : "") <= 0)
			return false;
	}
	return at == img->level_cnt;
}

/* As many zones as a source may make up: each endpoint is in a level still, and the last zones of a priority are one. */
static void
more_zones_than_levels_are_one_at_the_end(void)
{
	for (unsigned priorities = 1; priorities <= 8; priorities++) {
		struct sl_conf *c = make(60, SL_POLICY_RANDOM, 0);
		struct sl_conf_service *s = c->services;
		strcpy(c->locality, "eu/a");
		s->locality_failover = false;
		s->zones = (struct sl_conf_zones){true, 0, 6};
		for (uint32_t i = 0; i < 60; i++) {
			s->endpoints[i].priority = i % priorities;
			snprintf(s->endpoints[i].locality, SL_LOCALITY_MAX, "us/z%02u", i);
		}
		struct pushed p = push(c, NULL);
		const struct sl_img_service *img = service(p.out, "s");
		uint32_t members = 0;
		for (uint32_t i = 0; i < img->level_cnt; i++)
			members += level(img, i)->member_cnt;
		CU_ASSERT_EQUAL(members, 60);
		CU_ASSERT(img->level_cnt <= SL_MAX_LEVELS && img->level_cnt >= priorities);
		CU_ASSERT_EQUAL(img->zone_min, 6);
		CU_ASSERT(checks_pass(p.out));
		pushed_fini(&p);
		sl_conf_free(c);
	}
}

static void
levels_are_those_of_the_reference(void)
{
	for (unsigned run = 0; run < 150; run++) {
		struct sl_conf *c = make(rnd(MOST), 1 + rnd(SL_POLICY_LAST), rnd(3) * rnd(9));
		c->services->max_endpoints = SL_MAX(c->services->endpoint_cnt, 1u) + rnd(40);
		c->services->panic_pct = (uint8_t)rnd(101);
		struct pushed p = push(c, NULL);
		CU_ASSERT(judge(c, service(p.out, "s")));
		CU_ASSERT(checks_pass(p.out));
		pushed_fini(&p);
		sl_conf_free(c);
	}
}

/* ---- what is reused ---- */

static void
change(struct sl_conf *c, unsigned which)
{
	struct sl_conf_service *s = c->services;
	struct sl_conf_endpoint *e = &s->endpoints[rnd(s->endpoint_cnt)];
	struct sl_conf_subset *x = &s->subsets[rnd(s->subset_cnt)];

	switch (which) {
	case 0:
		e->priority = (uint8_t)rnd(8);
		break;
	case 1:
		strcpy(e->locality, rnd(2) ? "eu/a" : "us/b");
		break;
	case 2:
		memset(e->meta, 0, sizeof(e->meta));
		break;
	case 3:
		e->weight = (uint16_t)rnd(5);
		break;
	case 4:
		s->locality_failover ^= 1;
		break;
	case 5:
		strcpy(c->locality, rnd(2) ? "us/b" : "eu/b");
		break;
	case 6:
		snprintf(x->name, SL_NAME_MAX, "y%u", rnd(1000000));
		break;
	case 7:
		strcpy(x->meta, rnd(2) ? "v=1" : "v=3");
		break;
	case 8:
		x->any ^= 1;
		break;
	case 9:
		s->subset_cnt -= s->subset_cnt > 1;
		break;
	case 10:
		s->endpoint_cnt -= s->endpoint_cnt > 1;
		break;
	case 11:
		snprintf(e->name, SL_NAME_MAX, "f%u", rnd(1000000));
		break;
	case 12:
		s->http.panic_pct = rnd(101);
		break;
	case 13:
		c->hash_seed = rnd(2);
		break;
	case 14:
		s->zones.given ^= 1;
		break;
	case 15:
		s->zones.traffic_pct = rnd(101);
		break;
	}
}

/* With and without the result before: the same bytes, whatever changed. */
static void
no_change_is_overlooked(void)
{
	static const enum sl_policy policies[] = {SL_POLICY_MAGLEV, SL_POLICY_ROUND_ROBIN,
						  SL_POLICY_RING_HASH};

	for (unsigned run = 0; run < 18; run++) {
		struct sl_conf *c = make(2 + rnd(30), policies[run % 3], 1 + rnd(5));
		struct pushed was = push(c, NULL);
		for (unsigned i = 0; i < 30; i++) {
			struct pushed with, without;
			change(c, i % 16);
			with = push(c, &was);
			CU_ASSERT_EQUAL_FATAL(sl_compile(c, &was.map, NULL, NULL, NULL,
							 &without.map, &without.out),
					      0);
			CU_ASSERT(same_bytes(with.out, without.out));
			CU_ASSERT(judge(c, service(with.out, "s")));
			CU_ASSERT(checks_pass(with.out));
			pushed_fini(&was);
			pushed_fini(&without);
			was = with;
		}
		pushed_fini(&was);
		sl_conf_free(c);
	}
}

static const struct sl_img_endpoint *
owner(const struct sl_img_service *s, uint32_t l, uint32_t place)
{
	const uint16_t *t = (const void *)((const char *)s + level(s, l)->maglev_off);

	return (const struct sl_img_endpoint *)(const void *)((const char *)s + s->endpoint_off) +
	       t[place];
}

/* What happens in one level moves nothing in another: its table names the same endpoints, in the same places. */
static void
a_level_keeps_its_places_when_another_changes(void)
{
	struct sl_conf *c = make(40, SL_POLICY_MAGLEV, 0);
	struct sl_conf_service *s = c->services;
	unsigned moved = 0, places;

	s->locality_failover = s->zones.given = false;
	for (uint32_t i = 0; i < 40; i++) {
		s->endpoints[i].priority = i % 2;
		s->endpoints[i].weight = 1;
	}
	struct pushed a = push(c, NULL);
	s->endpoint_cnt = 39; /* the last one was of level 1 */
	struct pushed b = push(c, &a);
	const struct sl_img_service *x = service(a.out, "s"), *y = service(b.out, "s");
	places = level(x, 0)->maglev_cnt;
	CU_ASSERT_EQUAL(level(y, 0)->member_cnt, 20);
	CU_ASSERT_EQUAL(level(y, 1)->member_cnt, 19);
	CU_ASSERT_EQUAL(level(y, 0)->maglev_cnt, places);
	for (uint32_t i = 0; i < places; i++) {
		CU_ASSERT_STRING_EQUAL(owner(x, 0, i)->name, owner(y, 0, i)->name);
		moved += strcmp(owner(x, 1, i)->name, owner(y, 1, i)->name) != 0;
	}
	CU_ASSERT(moved >= places / 20 && moved < places / 10); /* a 20th, and a little */
	pushed_fini(&a);
	pushed_fini(&b);
	sl_conf_free(c);
}

/* ---- how large ---- */

/* The most endpoints, in the most levels of the most subsets: of each policy the object is one that is taken. */
static void
the_largest_service_is_an_object(void)
{
	static const enum sl_policy policies[] = {SL_POLICY_MAGLEV, SL_POLICY_ROUND_ROBIN,
						  SL_POLICY_RING_HASH, SL_POLICY_LEAST_REQUEST};

	for (unsigned i = 0; i < SL_ARRAY_CNT(policies); i++) {
		bool maglev = policies[i] == SL_POLICY_MAGLEV;
		struct sl_conf *c =
			make(maglev ? 655 : SL_MAX_SERVICE_ENDPOINTS, policies[i], SL_MAX_SUBSETS);
		struct sl_conf_service *s = c->services;
		s->locality_failover = true;
		s->zones.given = false;
		strcpy(c->locality, "eu/a");
		for (uint32_t k = 0; k < s->endpoint_cnt; k++) {
			s->endpoints[k].priority = k % 8;
			s->endpoints[k].weight = 1 + k % 256;
		}
		for (uint32_t k = 0; k < s->subset_cnt; k++)
			strcpy(s->subsets[k].meta, k % 8 ? "v=1" : "canary=true");
		struct pushed p = push(c, NULL);
		const struct sl_img_service *img = service(p.out, "s");
		CU_ASSERT_EQUAL(img->level_cnt, SL_MAX_LEVELS * (1 + SL_MAX_SUBSETS));
		CU_ASSERT(img->head.size <= SL_OBJ_MAX);
		CU_ASSERT(checks_pass(p.out));
		printf("\n    %s: %u KiB", sl_policy_name(policies[i]), img->head.size >> 10);
		pushed_fini(&p);
		sl_conf_free(c);
	}
	printf("\n    ");
}

SL_SUITE("compile_levels", SL_TEST(levels_are_those_of_the_reference),
	 SL_TEST(more_zones_than_levels_are_one_at_the_end), SL_TEST(no_change_is_overlooked),
	 SL_TEST(a_level_keeps_its_places_when_another_changes),
	 SL_TEST(the_largest_service_is_an_object))

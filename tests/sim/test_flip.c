/* Every byte of every object of the golden tables is changed (XOR 0x01, 0x80, 0xff) as a peer could who computes the
 * sums anew: the generation is refused, or the gateway runs packets with it in silence.  The rig and its flow tables
 * stay the same throughout, so flows of one table meet all the others.
 *
 * Which changes get all 10,000 packets: the first that passes the checks of each class, a class being (kind of
 * object, byte of its fixed part or of a record of one of its sections, mask).  The same byte of another endpoint,
 * listener or Maglev place leads down the same paths, so later members of a class get PACKETS_FEW.  Every view is met by
 * frames for its own listeners and endpoints too, wherever the change has put them.  Long arrays are sampled. */
#include "tests/suite.h"

#include "dataplane/image_check.h"
#include "tests/sim/frames.h"
#include "tests/sim/rig.h"
#include "tests/sim/table.h"

#define PACKETS 10000
#define PACKETS_FEW 1000
#define POOL 4096
#define LONG 8192 /* bytes of an object after which every STEP-th is changed */
#define STEP 61
#define FIELDS 4096

struct frame {
	uint16_t len, port;
	uint8_t bytes[128];
};

static struct rig *rig;
static uint64_t now, rnd_state = 1;
static struct frame pool[POOL];
static unsigned pool_cnt;
static const char *judged;
static bool seen[SL_OBJ_KIND_LAST + 1][FIELDS][3];
static unsigned refused, ran_full, ran_few;

static uint32_t
rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((rnd_state >> 33) % n);
}

static void
judge(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	bool arp = frame[12] == 8 && frame[13] == 6;
	const char *wrong = arp ? NULL : frame_judge(frame, len);

	(void)ctx;
	if (port >= RIG_PORTS || (arp && len < 42))
		wrong = "a port or length that cannot be";
	if (!judged)
		judged = wrong;
}

/* ---- packets ---- */

static struct sl_addr
someone(bool v4)
{
	struct sl_addr a = frame_addr(v4 ? "198.18.0.1" : "2001:db8:c::1");

	a.b[15] = (uint8_t)(1 + rnd(60));
	return a;
}

static void
frame_for(struct frame *f, const struct sl_addr *src, sl_be16 sport, const struct sl_addr *dst,
	  sl_be16 dport, uint8_t proto, unsigned port)
{
	static const uint8_t flags[] = {SL_TCP_SYN, SL_TCP_ACK,
					SL_TCP_ACK, SL_TCP_FIN | SL_TCP_ACK,
					SL_TCP_RST, SL_TCP_SYN | SL_TCP_ACK};
	struct frame_spec s = {
		.t = {.src = *src, .dst = *dst, .sport = sport, .dport = dport, .proto = proto},
		.tcp_flags = flags[rnd(SL_ARRAY_CNT(flags))],
		.ttl = (uint8_t)(rnd(20) ? 64 : 1),
		.payload = (uint16_t)rnd(30),
	};

	memcpy(s.dmac, rig_mac(rig, port), 6);
	s.smac[0] = 2;
	f->port = (uint16_t)port;
	f->len = (uint16_t)frame_make(&s, f->bytes);
	if (rnd(100) == 0)
		f->len = (uint16_t)rnd(f->len); /* cut short */
}

/* A frame for a listener of v, or back from an endpoint, or for nobody. */
static void
frame_at(struct frame *f, const struct sl_view *v)
{
	sl_be16 high = sl_to_be16(1024 + rnd(16));

	if (rnd(16) == 0) {
		struct sl_addr a =
			v->address_cnt ? v->addresses[rnd(v->address_cnt)].addr : someone(true);
		struct sl_addr b = someone(sl_addr_is_v4(&a));
		f->port = (uint16_t)rnd(RIG_PORTS);
		f->len = (uint16_t)sl_neigh_build_request(f->bytes, rig_mac(rig, f->port), &b, &a,
							  NULL);
		memcpy(f->bytes + 6, (uint8_t[]){2, 5, 5, 5, 5, 5}, 6);
	} else if (v->listener_cnt && rnd(2)) {
		const struct sl_img_listener *l = &v->listeners[rnd(v->listener_cnt)];
		struct sl_addr c = someone(sl_addr_is_v4(&l->addr));
		frame_for(f, &c, high, &l->addr, l->port_be, l->proto, rnd(8) == 0);
	} else if (v->hop_cnt && rnd(8)) {
		const struct sl_hop *h = &v->hops[rnd(v->hop_cnt)];
		struct sl_addr c = someone(sl_addr_is_v4(&h->addr));
		frame_for(f, &h->addr, h->port, &c, high, rnd(3) ? 6 : 17, rnd(8) != 0);
	} else {
		bool v4 = rnd(2);
		struct sl_addr a = someone(v4), b = someone(v4);
		frame_for(f, &a, high, &b, sl_to_be16(80), rnd(3) ? 6 : 17, rnd(2));
	}
}

static void
resolve(const struct sl_view *v)
{
	static const uint8_t mac[6] = {2, 6, 6, 6, 6, 6};

	for (uint32_t i = 0; i < v->hop_cnt; i++)
		if (v->hops[i].incarnation && v->hops[i].out_port < RIG_PORTS && rnd(8))
			rig_neighbour(rig, v->hops[i].out_port, &v->hops[i].next, mac, now);
	for (unsigned i = 0; i < 2; i++) {
		struct sl_addr c = someone(i);
		const struct sl_fib_hop *h = sl_fib_find(v->fib, &c);
		static const struct sl_addr none;
		if (h)
			rig_neighbour(rig, h->port, sl_addr_eq(&h->via, &none) ? &c : &h->via, mac,
				      now);
	}
}

/* Received = forwarded + consumed + dropped + waiting. */
static bool
accounted(void)
{
	uint64_t in = 0, out = rig_in_use(rig);

	for (unsigned w = 0; w < 2; w++) {
		const struct sl_stats_worker *s = rig_stats(rig, w);
		in += s->rx_packets;
		out += s->forwarded + s->consumed + s->dropped - s->drop[SL_DROP_NO_BUFFER];
	}
	return in == out;
}

static void
run(struct sl_view *v, unsigned packets)
{
	struct frame own[64];

	rig_publish(rig, v);
	resolve(v);
	for (unsigned i = 0; i < SL_ARRAY_CNT(own); i++)
		frame_at(&own[i], v);
	for (unsigned done = 0; done < packets;) {
		for (unsigned i = 0; i < 100; i++, done++) {
			const struct frame *f =
				rnd(2) ? &own[rnd(SL_ARRAY_CNT(own))] : &pool[rnd(pool_cnt)];
			rig_inject(rig, f->port, f->bytes, f->len);
		}
		now += 10000000;
		rig_settle(rig, now);
	}
	CU_ASSERT_PTR_NULL(judged);
	if (judged)
		printf("    a frame that left was wrong: %s\n", judged);
	judged = NULL;
	CU_ASSERT_TRUE(accounted());
}

/* ---- changing ---- */

struct section {
	uint32_t off, cnt, each;
};

/* The field that byte `at` of an object belongs to: equal for equal bytes of equal records. */
static unsigned
field_of(const void *bytes, size_t at)
{
	const struct sl_obj_head *h = bytes;
	struct section s[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};

	if (h->kind == SL_OBJ_ROOT) {
		const struct sl_img_root *o = bytes;
		s[0] = (struct section){o->ref_off, o->ref_cnt, sizeof(struct sl_img_ref)};
	} else if (h->kind == SL_OBJ_NETWORK) {
		const struct sl_img_network *o = bytes;
		s[0] = (struct section){o->address_off, o->address_cnt,
					sizeof(struct sl_img_address)};
		s[1] = (struct section){o->route_off, o->route_cnt, sizeof(struct sl_img_route)};
	} else if (h->kind == SL_OBJ_LISTENERS) {
		const struct sl_img_listeners *o = bytes;
		s[0] = (struct section){o->listener_off, o->listener_cnt,
					sizeof(struct sl_img_listener)};
	} else if (h->kind == SL_OBJ_ROUTES) {
		const struct sl_img_routes *o = bytes;
		s[0] = (struct section){o->host_off, o->host_cnt, sizeof(struct sl_img_host)};
	} else if (h->kind == SL_OBJ_VHOST) {
		const struct sl_img_vhost *o = bytes;
		s[0] = (struct section){o->route_off, o->route_cnt,
					sizeof(struct sl_img_http_route)};
		s[1] = (struct section){o->cond_off, o->cond_cnt, sizeof(struct sl_img_cond)};
	} else {
		const struct sl_img_service *o = bytes;
		s[0] = (struct section){o->endpoint_off, o->endpoint_cnt,
					sizeof(struct sl_img_endpoint)};
		const struct sl_img_level *l = (const void *)((const char *)bytes + o->level_off);
		s[1] = (struct section){o->level_off, o->level_cnt, sizeof(*l)};
		if (o->level_cnt)
			s[2] = l->maglev_cnt ? (struct section){l->maglev_off, l->maglev_cnt, 2}
					     : (struct section){l->sched_off, l->sched_cnt, 2};
	}
	for (unsigned i = 0; i < 3; i++)
		if (s[i].cnt && at >= s[i].off && at - s[i].off < (size_t)s[i].cnt * s[i].each)
			return 1024 * (i + 1) + (unsigned)((at - s[i].off) % s[i].each);
	return SL_MIN((unsigned)at, 1023u);
}

struct generation {
	struct sl_object root, objs[12];
	enum sl_obj_kind kinds[12];
	struct sl_obj_id root_id;
	unsigned cnt;
};

/* Exactly as long as the object, so that the sanitizer sees a read behind it. */
static struct sl_object
copy(const struct sl_compiled_object *o)
{
	void *b = malloc(o->size);

	if (!b)
		abort();
	memcpy(b, o->bytes, o->size);
	return (struct sl_object){.bytes = b, .size = o->size};
}

/* The view, or NULL: refused with a reason. */
static struct sl_view *
offer(const struct generation *g)
{
	static const struct sl_view_ports ports = {.cnt = 2, .name = {"front", "back"}};
	struct sl_diag d = {0};
	struct sl_view *v = NULL;
	int err = sl_image_check(g->root.bytes, g->root.size, SL_OBJ_ROOT, NULL, "root", &d);

	for (unsigned i = 0; i < g->cnt && err == 0; i++)
		err = sl_image_check(g->objs[i].bytes, g->objs[i].size, g->kinds[i], NULL, "object",
				     &d);
	if (err == 0)
		err = sl_view_create(&g->root, &g->root_id, 1 + ran_few + ran_full, g->objs, g->cnt,
				     &ports, &d, &v);
	CU_ASSERT_EQUAL(err == 0, d.cnt == 0);
	CU_ASSERT_EQUAL(err == 0, v != NULL);
	sl_diag_fini(&d);
	return v;
}

static void
flip(const struct generation *g, const struct sl_object *o, size_t at, unsigned mask)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	const struct sl_obj_head *h = o->bytes;
	uint8_t *b = (uint8_t *)(uintptr_t)o->bytes;
	bool *was = &seen[h->kind][field_of(o->bytes, at)][mask];

	b[at] ^= masks[mask];
	struct sl_view *v = offer(g);
	if (v) {
		run(v, *was ? PACKETS_FEW : PACKETS);
		*(*was ? &ran_few : &ran_full) += 1;
		*was = true;
		rig_publish(rig, NULL);
		sl_view_destroy(v);
	} else {
		refused++;
	}
	b[at] ^= masks[mask];
}

static void
flip_table(const char *path)
{
	char text[16384];
	struct table t;
	FILE *f = fopen(path, "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	table_init(&t);
	struct table_view base = table_push(&t, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(base.view);
	for (pool_cnt = 0; pool_cnt < POOL; pool_cnt++)
		frame_at(&pool[pool_cnt], base.view);

	struct generation g = {.root = copy(&base.compiled->root), .cnt = base.compiled->cnt};
	CU_ASSERT_TRUE_FATAL(g.cnt <= SL_ARRAY_CNT(g.objs));
	for (unsigned i = 0; i < g.cnt; i++) {
		g.objs[i] = copy(&base.compiled->objs[i]);
		g.kinds[i] = ((const struct sl_obj_head *)g.objs[i].bytes)->kind;
	}
	for (unsigned i = 0; i <= g.cnt; i++) {
		const struct sl_object *o = i ? &g.objs[i - 1] : &g.root;
		for (size_t at = 0; at < o->size; at += at < LONG ? 1 : STEP)
			for (unsigned m = 0; m < 3; m++)
				flip(&g, o, at, m);
	}
	free((void *)(uintptr_t)g.root.bytes);
	for (unsigned i = 0; i < g.cnt; i++)
		free((void *)(uintptr_t)g.objs[i].bytes);
	table_release(&base);
	table_fini(&t);
}

static void
a_changed_table_is_refused_or_carries_packets(void)
{
	struct rig_conf c = {.workers = 2, .flows = 4096, .seed = 77};
	static const char *const names[] = {"edge", "minimal", "ports", "http", "tls"};

	now = 1000000000;
	rig = rig_create(&c, judge, NULL);
	for (unsigned i = 0; i < SL_ARRAY_CNT(names); i++) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/%s.conf", SL_GOLDEN, names[i]);
		flip_table(path);
	}
	for (unsigned i = 0; i < 100; i++)
		rig_turn(rig, now += 20000000);
	CU_ASSERT_EQUAL(rig_in_use(rig), 0); /* nothing waits any longer */
	for (unsigned w = 0; w < 2; w++)
		CU_ASSERT_PTR_NULL(sl_flow_check(rig_flows(rig, w)));
	uint64_t forwarded = rig_stats(rig, 0)->forwarded + rig_stats(rig, 1)->forwarded;
	printf("\n    %u refused, %u carried %u packets, %u carried %u; %llu left the gateway ",
	       refused, ran_full, PACKETS, ran_few, PACKETS_FEW, (unsigned long long)forwarded);
	CU_ASSERT_TRUE(refused > 5000 && ran_full > 100);
	CU_ASSERT_TRUE(forwarded > 100000);
	rig_destroy(rig);
}

SL_SUITE("flip", SL_TEST(a_changed_table_is_refused_or_carries_packets))

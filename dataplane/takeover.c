#include "dataplane/takeover.h"

#include "dataplane/fdstore.h"
#include "dataplane/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 20000

static uint32_t
now_q(const struct sl_gateway *g)
{
	return (uint32_t)(sl_clock_now(&g->shared.clock) / 250000000u);
}

static uint32_t
capacity(const struct sl_gateway *g)
{
	return (uint32_t)g->boot.flows;
}

static uint32_t
xlat_capacity(const struct sl_gateway *g)
{
	return (uint32_t)g->boot.flows / 2;
}

/* ---- workers ---- */

/* Whether every worker has its table. */
static bool
handed(struct sl_gateway *g)
{
	struct sl_takeover *t = &g->takeover;
	unsigned done = 0;

	/* pairs with the worker's release: its answer is whole */
	while (!t->handed && done < g->boot.worker_cnt &&
	       atomic_load_explicit(&g->lcores[done].hand.state, memory_order_acquire) ==
		       SL_HAND_DONE)
		done++;
	t->handed |= done == g->boot.worker_cnt;
	return t->handed;
}

/* Whether every worker has its table by the end of the wait. */
static bool
wait_workers(struct sl_gateway *g)
{
	uint64_t until = sl_clock_now(&g->shared.clock) + SL_TAKEOVER_WAIT_NS;

	while (!handed(g)) {
		if (sl_clock_now(&g->shared.clock) > until)
			return false;
		nanosleep(&(struct timespec){0, NAP_NS}, NULL);
	}
	return true;
}

/* Has each worker take its table of the region that g now has. */
static int
hand_out(struct sl_gateway *g, enum sl_hand_how how)
{
	struct sl_takeover *t = &g->takeover;
	struct sl_hash_key keys[SL_BOOT_MAX_WORKERS];

	if (getrandom(keys, sizeof(keys), 0) != sizeof(keys))
		return -EIO;
	for (unsigned i = 0; i < g->boot.worker_cnt; i++) {
		struct sl_hand *h = &g->lcores[i].hand;
		h->how = how;
		h->head = t->region.head;
		h->key = keys[i];
		h->populate = t->region.huge;
		h->handed_over = t->handed_over;
		/* dealt by main: told once */
		h->gone = how == SL_HAND_TAKE && i == 0 ? t->got.expired + t->got.lost : 0;
		/* pairs with the acquire in sl_lcore_run */
		atomic_store_explicit(&h->state, SL_HAND_ASKED, memory_order_release);
	}
	return 0;
}

/* The region is what it will be: who keeps it gets it. */
static void
settle(struct sl_gateway *g)
{
	sl_fdstore_put(g->takeover.region.keep_fd);
	sl_ctl_server_keep(g->server);
}

/* ---- a new one ---- */

static int
make(struct sl_gateway *g, const uint8_t key[SL_RSS_KEY_BYTES], struct sl_region *ret_region)
{
	int err = sl_region_create(g->boot.worker_cnt, capacity(g), xlat_capacity(g), key,
				   g->boot_id, g->host.huge, ret_region);

	if (err)
		sl_gateway_say("flows: %u tables of %u flows cannot be made: %s: lower flows, or "
			       "add memory",
			       g->boot.worker_cnt, capacity(g), strerror(-err));
	else if (g->host.huge && !ret_region->huge)
		sl_gateway_say("note: no hugepages left for the flow tables (%" PRIu64
			       " MB per worker)",
			       ret_region->head->table_bytes >> 20);
	return err;
}

/* There is none: a new one, and workers are asked to take their tables of it. */
static int
begin(struct sl_gateway *g)
{
	struct sl_takeover *t = &g->takeover;
	int err = make(g, g->rss.key, &t->region);

	if (!err)
		err = hand_out(g, SL_HAND_MAKE);
	if (t->region.head)
		settle(g);
	return err;
}

int
sl_takeover_gate(void *gateway, struct sl_diag *diag)
{
	struct sl_gateway *g = gateway;
	int err = g->takeover.region.head ? 0 : begin(g);

	if (err) {
		sl_diag_add(diag, NULL, 0, NULL, "lower flows in the boot file, or add memory",
			    "there is no memory for the flow tables");
		return err;
	}
	if (handed(g))
		return 0;
	sl_diag_add(diag, NULL, 0, NULL, "is the worker's CPU used by something else?",
		    "a worker has not taken its flow table yet");
	return -EBUSY;
}

/* ---- that of another ---- */

static void __attribute__((format(printf, 3, 4)))
outcome(struct sl_gateway *g, enum sl_ctl_taken_how how, const char *fmt, ...)
{
	struct sl_takeover *t = &g->takeover;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
	t->how = how;
	t->untold = true;
	sl_gateway_say("flows: %s", t->text);
}

static void
refuse(struct sl_gateway *g, const char *why)
{
	g->takeover.got = (struct sl_flow_adopted){0};
	outcome(g, SL_CTL_TAKEN_NOT,
		"they start empty, because the region of the dataplane before cannot be taken: %s; "
		"dsr, ipip and gue flows go on by Maglev, nat and fullnat flows are lost",
		why);
}

static void
add(struct sl_flow_adopted *sum, const struct sl_flow_adopted *more)
{
	sum->kept += more->kept;
	sum->expired += more->expired;
	sum->lost += more->lost;
}

/* The region's key in place of the one the ports were opened with.  NULL, or why not. */
static const char *
take_key(struct sl_gateway *g, const uint8_t key[SL_RSS_KEY_BYTES])
{
	if (memcmp(g->rss.key, key, SL_RSS_KEY_BYTES) == 0)
		return NULL;
	if (g->boot.has_rss_key)
		return "its RSS key is another than rss_key in the boot file";
	if (!sl_rss_key_ok(key))
		return "its RSS key is none that a dataplane chooses";
	sl_rss_init(&g->rss, key, g->boot.worker_cnt);
	g->takeover.handed_over |= sl_port_rekey(&g->ports, key);
	return NULL;
}

static void
in_place(struct sl_gateway *g, struct sl_region *r)
{
	struct sl_takeover *t = &g->takeover;
	const char *why = NULL;
	unsigned bad = 0;

	t->region = *r;
	if (hand_out(g, SL_HAND_ADOPT) ||
	    !wait_workers(g)) { /* who reads this table meanwhile finds what is there */
		outcome(g, SL_CTL_TAKEN_PLACE,
			"they are being taken over in place, and a worker has not come to it for "
			"5 s: is its CPU used by something else?");
		return;
	}
	for (unsigned i = 0; i < g->boot.worker_cnt; i++) {
		const struct sl_hand *h = &g->lcores[i].hand;
		add(&t->got, &h->got);
		bad += h->why != NULL;
		why = h->why ? h->why : why;
	}
	outcome(g, SL_CTL_TAKEN_PLACE,
		"%" PRIu64 " taken over in place, %" PRIu64 " ended meanwhile, %" PRIu64
		" lost%s%s",
		t->got.kept, t->got.expired, t->got.lost,
		bad ? "; a worker's table was not right and is empty: " : "", bad ? why : "");
}

static unsigned
owner_of(void *ctx, const struct sl_tuple *tuple)
{
	const struct sl_rss *rss = ctx;

	return rss->owner[sl_rss_bucket(sl_rss_hash(rss, tuple))];
}

/* Mends the old tables and deals them to new ones; false: no memory. */
static bool
rebuild(struct sl_gateway *g, struct sl_region *old)
{
	struct sl_takeover *t = &g->takeover;
	struct sl_flow_table *to[SL_BOOT_MAX_WORKERS];
	struct sl_flow_adopted got;
	struct sl_hash_key keys[SL_BOOT_MAX_WORKERS + 1];
	unsigned cnt = old->head->worker_cnt, bad = 0;
	uint32_t now = now_q(g);

	if (getrandom(keys, sizeof(keys), 0) != sizeof(keys) ||
	    make(g, old->head->rss_key, &t->region))
		return false;
	for (unsigned i = 0; i < g->boot.worker_cnt; i++)
		to[i] = sl_flow_init(sl_flows_table(t->region.head, i), capacity(g),
				     xlat_capacity(g), &keys[i]);
	for (unsigned i = 0; i < cnt; i++) {
		bad += sl_flow_adopt(old->head, i, now, &keys[SL_BOOT_MAX_WORKERS], &got) != NULL;
		got.kept = 0; /* those that find a place count */
		add(&t->got, &got);
		sl_flow_deal(sl_flows_table(old->head, i), to, owner_of, &g->rss, now, &got);
		add(&t->got, &got);
	}
	if (hand_out(g, SL_HAND_TAKE) == 0)
		(void)wait_workers(g);
	outcome(g, SL_CTL_TAKEN_REBUILT,
		"%" PRIu64 " taken over from %u tables of %u flows into %u of %u, %" PRIu64
		" ended meanwhile, %" PRIu64 " lost%s",
		t->got.kept, cnt, old->head->capacity, g->boot.worker_cnt, capacity(g),
		t->got.expired, t->got.lost, bad ? "; a table was not right and is empty" : "");
	sl_region_close(old);
	return true;
}

static void
take(struct sl_gateway *g, struct sl_region *r)
{
	const char *why = take_key(g, r->head->rss_key);

	g->takeover.got = (struct sl_flow_adopted){0};
	if (why) {
		refuse(g, why);
		sl_region_close(r);
	} else if (sl_region_fits(r, g->boot.worker_cnt, capacity(g), xlat_capacity(g))) {
		in_place(g, r);
	} else if (!rebuild(g, r)) {
		refuse(g, "there is no memory for tables of another size beside it");
		sl_region_close(r);
	}
	if (g->takeover.region.head)
		settle(g);
}

void
sl_takeover_tell(struct sl_gateway *g)
{
	struct sl_takeover *t = &g->takeover;

	if (!t->untold || sl_ctl_server_peer(g->server) == 0)
		return;
	t->untold = false;
	sl_ctl_server_taken(g->server, t->how, t->got.kept, t->got.expired, t->got.lost, t->text);
}

void
sl_takeover_boot(struct sl_gateway *g, int fd)
{
	struct sl_region r;

	if (fd < 0)
		return;
	const char *why = sl_region_open(fd, 0, 0, &r);
	if (why)
		refuse(g, why);
	else
		take(g, &r);
}

void
sl_takeover_parked(struct sl_gateway *g, uint64_t bytes, uint64_t region, int fd)
{
	struct sl_region r;

	if (g->takeover.region.head) {
		close(fd);
		sl_ctl_server_taken(g->server, SL_CTL_TAKEN_NOT, 0, 0, 0,
				    "the dataplane has flows of its own: those are not taken");
		return;
	}
	const char *why = sl_region_open(fd, bytes, region, &r);
	if (why)
		refuse(g, why);
	else
		take(g, &r);
	sl_takeover_tell(g);
}

#include "mgmt/rate_share_keys.h"

#include "mgmt/rate_share_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GIVE_UP_NS 2000000000ull
#define AGAIN_NS 300000000ull
#define FLOOR_KEEP_NS 60000000000ull

enum asked { NOTHING, GRANT_FLOOR, PUT_FLOOR, KEEP_FLOOR, GRANT, PUT, KEEP, TOUCH };

struct sl_share_keys {
	uv_loop_t *loop;
	struct sl_etcd *etcd;
	const char *prefix, *gateway;
	uint64_t session, nonce;
	void (*world)(void *ctx);
	void (*changed)(void *ctx);
	void *ctx;
	struct sl_etcd_call *call;
	enum asked asked;
	uint64_t asked_ns, due_ns, sent_ns, floor_sent_ns;
	uint64_t lease, floor_lease, floor_due_ns;
	bool floor_put;
	uint64_t epoch, epochs, sure_ns, floor_sure_ns;
	uint64_t count, counted; /* in the key: what was tried, what is surely there */
	uint64_t cluster, revision,
		worlds; /* the highest that was seen; how many etcds there were */
	struct sl_share_asked asked_at;
	char trouble[400];
};

static void on_answer(void *ctx, unsigned code, const char *error, const char *body, size_t len);

static uint64_t
now(void)
{
	return uv_hrtime();
}

void
sl_share_keys_live(const struct sl_share_keys *k, uint64_t session, char ret[SL_ETCD_KEY_MAX])
{
	snprintf(ret, SL_ETCD_KEY_MAX, "%slimits-live/%016" PRIx64, k->prefix, session);
}

void
sl_share_keys_floor(const struct sl_share_keys *k, uint64_t session, char ret[SL_ETCD_KEY_MAX])
{
	snprintf(ret, SL_ETCD_KEY_MAX, "%slimits-floor/%016" PRIx64, k->prefix, session);
}

struct sl_share_keys_look
sl_share_keys_look(const struct sl_share_keys *k)
{
	return (struct sl_share_keys_look){k->epoch, k->lease, k->sure_ns, k->floor_sure_ns,
					   k->trouble};
}

struct sl_share_asked
sl_share_keys_asked(const struct sl_share_keys *k)
{
	return (struct sl_share_asked){k->revision, k->worlds};
}

static void
other_world(struct sl_share_keys *k)
{
	k->worlds++;
	k->epoch = k->lease = k->floor_lease = 0;
	k->floor_put = false;
	k->world(k->ctx);
}

bool
sl_share_keys_heard(struct sl_share_keys *k, struct sl_share_asked asked,
		    const struct sl_etcd_answer *a)
{
	if (asked.world != k->worlds)
		return false;
	bool same = !k->revision || (a->cluster == k->cluster && a->revision >= asked.revision);

	k->cluster = a->cluster;
	k->revision = same ? SL_MAX(k->revision, a->revision) : a->revision;
	if (!same)
		other_world(k);
	return same;
}

void
sl_share_keys_older(struct sl_share_keys *k)
{
	other_world(k);
}

/* ---- requests ---- */

static void
value_of(const struct sl_share_keys *k, uint64_t count, char ret[64])
{
	snprintf(ret, 64, "%016" PRIx64 " %" PRIu64, k->nonce, count);
}

/* The live key's next value; after the first only in place of the one before. */
static char *
live_text(struct sl_share_keys *k, bool first)
{
	char key[SL_ETCD_KEY_MAX], value[64], before[64];

	sl_share_keys_live(k, k->session, key);
	value_of(k, ++k->count, value);
	value_of(k, k->counted, before);
	const struct sl_etcd_compare is[] = {
		{.key = key, .by = SL_ETCD_VALUE, .value = before, .len = strlen(before)},
		{.key = key, .by = SL_ETCD_LEASE, .number = k->lease},
	};
	return sl_etcd_wire_ask_if(is, first ? 0 : 2, key, value, strlen(value), k->lease);
}

static char *
floor_text(const struct sl_share_keys *k)
{
	char key[SL_ETCD_KEY_MAX];

	sl_share_keys_floor(k, k->session, key);
	return sl_etcd_wire_ask_if(NULL, 0, key, k->gateway, strlen(k->gateway), k->floor_lease);
}

static enum asked
next_of(const struct sl_share_keys *k, uint64_t now_ns)
{
	if (!k->floor_lease)
		return GRANT_FLOOR;
	if (!k->floor_put)
		return PUT_FLOOR;
	if (!k->lease)
		return GRANT;
	if (!k->epoch)
		return PUT;
	if (k->asked == KEEP) /* was good */
		return TOUCH;
	return now_ns >= k->floor_due_ns ? KEEP_FLOOR : KEEP;
}

static void
ask(struct sl_share_keys *k, uint64_t now_ns)
{
	static const char *const path[] = {
		[GRANT_FLOOR] = "/v3/lease/grant",
		[PUT_FLOOR] = "/v3/kv/txn",
		[KEEP_FLOOR] = "/v3/lease/keepalive",
		[GRANT] = "/v3/lease/grant",
		[PUT] = "/v3/kv/txn",
		[KEEP] = "/v3/lease/keepalive",
		[TOUCH] = "/v3/kv/txn",
	};
	enum asked what = next_of(k, now_ns);
	char *body = what == GRANT_FLOOR  ? sl_etcd_wire_ask_grant(SL_SHARE_FLOOR_LEASE_S)
		     : what == GRANT      ? sl_etcd_wire_ask_grant(SL_SHARE_LEASE_S)
		     : what == KEEP_FLOOR ? sl_etcd_wire_ask_lease(k->floor_lease)
		     : what == KEEP       ? sl_etcd_wire_ask_lease(k->lease)
		     : what == PUT_FLOOR  ? floor_text(k)
					  : live_text(k, what == PUT);

	k->asked = what;
	k->asked_ns = now_ns;
	k->asked_at = sl_share_keys_asked(k);
	if (what == GRANT || what == KEEP)
		k->sent_ns = now_ns;
	if (what == GRANT_FLOOR || what == KEEP_FLOOR)
		k->floor_sent_ns = now_ns;
	if (sl_etcd_ask(k->etcd, path[what], body, on_answer, k, &k->call)) {
		k->call = NULL;
		k->asked = NOTHING;
		k->due_ns = now_ns + AGAIN_NS;
	}
}

/* ---- answers ---- */

static void
fail(struct sl_share_keys *k, const char *why)
{
	k->asked = NOTHING;
	k->due_ns = now() + AGAIN_NS;
	snprintf(k->trouble, sizeof(k->trouble), "%s", why);
}

/* Nothing of this gateway is in etcd any more: from the beginning. */
static void
start_over(struct sl_share_keys *k, const char *why)
{
	fail(k, why);
	k->epoch = k->lease = k->sure_ns = 0;
	k->due_ns = 0;
}

static void
on_lease(struct sl_share_keys *k, unsigned code, const char *body, size_t len)
{
	uint64_t id = 0;
	int64_t ttl_s = 0;
	char why[160], text[200];

	if (code == SL_ETCD_OK && sl_etcd_wire_lease(body, len, &id, &ttl_s, why, sizeof(why))) {
		snprintf(text, sizeof(text), "an answer about a lease %s", why);
		fail(k, text);
		return;
	}
	bool is_floor = k->asked == GRANT_FLOOR || k->asked == KEEP_FLOOR;
	bool kept = k->asked == KEEP || k->asked == KEEP_FLOOR;
	if (code != SL_ETCD_OK || ttl_s == 0 ||
	    (kept && id != (is_floor ? k->floor_lease : k->lease))) {
		if (is_floor) {
			k->floor_lease = 0;
			k->floor_put = false;
			k->floor_sure_ns = 0;
			if (kept)
				k->asked = NOTHING;
			else
				fail(k, "etcd grants no lease");
		} else if (kept) {
			start_over(k, "its lease has ended");
		} else {
			fail(k, "etcd grants no lease");
		}
		return;
	}
	if (is_floor) {
		k->floor_lease = id;
		k->floor_due_ns = k->floor_sent_ns + FLOOR_KEEP_NS;
		if (kept)
			k->floor_sure_ns = k->floor_sent_ns + SL_SHARE_FLOOR_COUNTS_NS;
	} else {
		k->lease = id;
	}
	if (k->asked != KEEP)
		k->asked = NOTHING;
	k->due_ns = 0;
}

/* What is there instead of what was written last: an earlier try whose answer was lost, or another state of etcd. */
static void
on_other_value(struct sl_share_keys *k, const struct sl_etcd_answer *a)
{
	char value[64];

	k->asked = NOTHING;
	k->due_ns = 0;
	if (a->cnt == 0) {
		start_over(k, "its key is gone");
		return;
	}
	for (uint64_t n = k->counted; n <= k->count; n++) {
		value_of(k, n, value);
		if (strcmp(a->kvs[0].value, value) == 0) {
			if (n == k->counted) /* it is under another lease */
				start_over(k, "its key has another lease");
			k->counted = n;
			return;
		}
	}
	value_of(k, 0, value);
	if (strncmp(a->kvs[0].value, value, 16) == 0) {
		other_world(k);
		return;
	}
	start_over(k, "another sluiced writes to its key: was the state directory copied? "
		      "remove limits.session from the copy");
	k->due_ns = now() + SL_SHARE_KEEP_NS;
}

static void
on_txn(struct sl_share_keys *k, const char *body, size_t len)
{
	struct sl_etcd_answer a;
	char why[160], text[200];
	bool good = false;
	enum asked what = k->asked;

	if (sl_etcd_wire_txn(body, len, "", &good, &a, why, sizeof(why))) {
		snprintf(text, sizeof(text), "an answer of etcd %s", why);
		fail(k, text);
	} else if (!sl_share_keys_heard(k, k->asked_at, &a)) {
		k->asked = NOTHING;
	} else if (!good) {
		on_other_value(k, &a);
	} else {
		k->asked = NOTHING;
		k->due_ns = 0;
		if (what == PUT_FLOOR) {
			k->floor_put = true;
			k->floor_sure_ns = k->floor_sent_ns + SL_SHARE_FLOOR_COUNTS_NS;
		} else {
			k->counted = k->count;
			k->sure_ns = k->sent_ns + SL_SHARE_COUNTS_NS;
			k->due_ns = k->sent_ns + SL_SHARE_KEEP_NS;
			k->trouble[0] = 0;
		}
		if (what == PUT)
			k->epoch = ++k->epochs;
	}
	sl_etcd_wire_fini(&a);
}

static void
on_answer(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_share_keys *k = ctx;
	bool txn = k->asked == PUT_FLOOR || k->asked == PUT || k->asked == TOUCH;

	k->call = NULL;
	if (code != SL_ETCD_OK && code != SL_ETCD_NOT_FOUND)
		fail(k, error);
	else if (k->asked_at.world != k->worlds) /* of an etcd that is no more */
		k->asked = NOTHING, k->due_ns = 0;
	else if (code == SL_ETCD_NOT_FOUND && k->asked == PUT_FLOOR)
		k->floor_lease = 0, fail(k, "etcd does not know the lease that it granted");
	else if (code == SL_ETCD_NOT_FOUND && txn)
		start_over(k, "its lease has ended");
	else if (txn)
		on_txn(k, body, len);
	else
		on_lease(k, code, body, len);
	k->changed(k->ctx);
}

void
sl_share_keys_tick(struct sl_share_keys *k, uint64_t now_ns)
{
	char text[200];

	if (k->call && now_ns < k->asked_ns + GIVE_UP_NS)
		return;
	if (k->call) {
		sl_etcd_cancel(k->call);
		k->call = NULL;
		snprintf(text, sizeof(text), "%s does not answer", sl_etcd_server(k->etcd));
		fail(k, text);
		sl_etcd_next(k->etcd);
	}
	if (now_ns >= k->due_ns)
		ask(k, now_ns);
}

void
sl_share_keys_doubt(struct sl_share_keys *k)
{
	if (k->epoch && !k->call)
		k->due_ns = 0;
}

/* ---- life ---- */

int
sl_share_keys_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix, const char *gateway,
		     uint64_t session, uint64_t nonce, void (*world)(void *ctx),
		     void (*changed)(void *ctx), void *ctx, struct sl_share_keys **ret_keys)
{
	struct sl_share_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->loop = loop;
	k->etcd = etcd;
	k->prefix = prefix;
	k->gateway = gateway;
	k->session = session;
	k->nonce = nonce;
	k->world = world;
	k->changed = changed;
	k->ctx = ctx;
	snprintf(k->trouble, sizeof(k->trouble), "etcd has not answered yet");
	*ret_keys = k;
	return 0;
}

void
sl_share_keys_destroy(struct sl_share_keys *k)
{
	if (!k)
		return;
	sl_etcd_cancel(k->call);
	free(k);
}

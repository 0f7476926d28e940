/* `eps` (sorted by name: what is placed, with what operators and hints say copied in) and `by_slot` (slot → index into eps + 1).
 * Every change ends in store(), which makes the word of one endpoint anew from scratch. */
#include "mgmt/operstate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct sl_oper {
	struct sl_kept_list kept;
	struct sl_hints *hints;
	struct sl_oper_endpoint *eps;
	struct sl_state_seg *seg; /* not ours */
	uint64_t now_ms;          /* of the last call that gave one */
	uint32_t ep_cnt;
	bool placed;
	uint32_t by_slot[SL_MAX_ENDPOINTS];
};

struct sl_oper *
sl_oper_create(void)
{
	struct sl_oper *o = calloc(1, sizeof(struct sl_oper));

	if (o && !(o->hints = sl_hints_create())) {
		free(o);
		return NULL;
	}
	return o;
}

void
sl_oper_destroy(struct sl_oper *o)
{
	if (!o)
		return;
	sl_kept_fini(&o->kept);
	sl_hints_destroy(o->hints);
	free(o->eps);
	free(o);
}

static int
ep_cmp(const void *a, const void *b)
{
	const struct sl_oper_endpoint *x = a, *y = b;
	return sl_kept_name_cmp(x->service, x->name, y->service, y->name);
}

int
sl_oper_save(const struct sl_oper *o, char **ret_text, size_t *ret_len)
{
	return sl_kept_save(&o->kept, ret_text, ret_len);
}

int
sl_oper_load(struct sl_oper *o, const char *text, size_t len, struct sl_diag *diag)
{
	return sl_kept_load(&o->kept, text, len, diag);
}

/* ---- words ---- */

static bool
ramp_over(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	return e->ramp_from_ms == UINT64_MAX || o->now_ms >= e->ramp_from_ms + e->slow_start_ms;
}

static uint8_t
fraction_of(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	double share = e->percent * e->hint_percent / 10000.0;

	if (e->percent == 0 || e->hint_percent == 0)
		return 0;
	if (!ramp_over(o, e)) {
		uint64_t past = o->now_ms > e->ramp_from_ms ? o->now_ms - e->ramp_from_ms : 0;
		share *= SL_OPER_RAMP_START +
			 (1 - SL_OPER_RAMP_START) * (double)past / e->slow_start_ms;
	}
	unsigned f = (unsigned)(share * SL_FRACTION_WHOLE + 0.5);
	return (uint8_t)SL_MIN(SL_MAX(f, 1u), (unsigned)SL_FRACTION_WHOLE);
}

uint64_t
sl_oper_word(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	bool down = e->health == SL_OPER_DOWN || e->hint_down;
	bool drain = e->maintenance || e->drain || e->hint_drain;
	unsigned flags = (down ? SL_ST_UNHEALTHY : 0) | (drain ? SL_ST_DRAIN : 0) |
			 (e->disabled ? SL_ST_DISABLED : 0);
	return sl_state_make((uint16_t)flags, fraction_of(o, e), e->at.incarnation);
}

/* Read by the dataplane's workers with a relaxed load; a word is complete in itself. */
static void
store(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	if (o->seg && e->at.slot < SL_MAX_ENDPOINTS)
		__atomic_store_n((uint64_t *)&o->seg->slot[e->at.slot].admin, sl_oper_word(o, e),
				 __ATOMIC_RELAXED);
}

/* The dataplane's word, 0: it says nothing of it. */
static uint64_t
passive_word(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	if (!o->seg || e->at.slot >= SL_MAX_ENDPOINTS)
		return 0;
	uint64_t w =
		__atomic_load_n((uint64_t *)&o->seg->slot[e->at.slot].passive, __ATOMIC_RELAXED);
	return sl_state_incarnation(w) == e->at.incarnation ? w : 0;
}

uint16_t
sl_oper_passive(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	return sl_state_flags(passive_word(o, e));
}

bool
sl_oper_admits(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	uint64_t w = sl_oper_word(o, e);
	return e->weight > 0 && sl_state_fraction(w) > 0 && sl_state_flags(w) == 0;
}

/* ---- placement ---- */

/* What is kept and said of its name. */
static void
recall(const struct sl_oper *o, struct sl_oper_endpoint *e)
{
	const struct sl_kept *k = sl_kept_find(&o->kept, e->service, e->name);
	const struct sl_hint *h = sl_hints_find(o->hints, e->service, e->name);
	unsigned percent = 100;

	e->maintenance = k && k->maintenance;
	e->drain = k && k->drain;
	e->disabled = k && k->disabled;
	e->percent = k ? k->percent : 100;
	e->hint_drain = e->hint_down = false;
	for (unsigned i = 0; h && i < SL_HINT_BYS; i++) {
		e->hint_drain = e->hint_drain || h[i].drain;
		e->hint_down = e->hint_down || h[i].down;
		/* a little is not nothing */
		percent = h[i].percent == 0 || percent == 0
				  ? 0
				  : SL_MAX(percent * h[i].percent / 100, 1u);
	}
	e->hint_percent = (uint8_t)percent;
}

/* Endpoint k of service i in its place, with what is known of its name; false: it has no slot. */
static bool
describe(const struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m, uint32_t i,
	 uint32_t k, struct sl_oper_endpoint *e)
{
	const struct sl_conf_service *s = &c->services[i];
	const struct sl_conf_endpoint *ce = &s->endpoints[k];

	if (sl_slot_find_endpoint(m, s, ce, &e->at) || e->at.slot >= SL_MAX_ENDPOINTS)
		return false;
	memcpy(e->service, s->name, SL_NAME_MAX);
	memcpy(e->name, ce->name, SL_NAME_MAX);
	e->addr = ce->addr;
	e->port = ce->port;
	e->weight = ce->weight;
	e->service_idx = i;
	e->slow_start_ms = s->slow_start_ms;
	e->health = s->health.type == SL_HEALTH_NONE ? SL_OPER_UNPROBED : SL_OPER_UNKNOWN;
	e->eject_after = (uint16_t)s->http.eject_after;
	e->gateway_after = (uint16_t)s->http.gateway_after;
	e->local_after = (uint16_t)s->http.local_after;
	e->failure_pct = (uint8_t)s->http.failure_pct;
	recall(o, e);
	e->ramp_from_ms = UINT64_MAX;
	return true;
}

/* The endpoints of services that may have moved as a new sorted array, with what operators set; nothing of the present
 * placement. */
static struct sl_oper_endpoint *
layout(const struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
       const struct sl_slot_map *m, uint32_t *ret_cnt)
{
	uint32_t cnt = 0, n = 0;

	for (uint32_t i = 0; i < c->service_cnt; i++)
		if (sl_conf_moved(before, c, i))
			cnt += c->services[i].endpoint_cnt;
	struct sl_oper_endpoint *eps = calloc(cnt + 1, sizeof(*eps));
	if (!eps)
		return NULL;
	for (uint32_t i = 0; i < c->service_cnt; i++)
		for (uint32_t k = 0; k < c->services[i].endpoint_cnt && sl_conf_moved(before, c, i);
		     k++)
			n += describe(o, c, m, i, k, &eps[n]);
	qsort(eps, n, sizeof(*eps), ep_cmp);
	*ret_cnt = n;
	return eps;
}

static bool
service_placed(const struct sl_oper *o, const char *service)
{
	uint32_t lo = 0, hi = o->ep_cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(o->eps[mid].service, service);
		if (d == 0)
			return true;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static void
begin_ramp(const struct sl_oper *o, struct sl_oper_endpoint *e)
{
	e->ramp_from_ms = e->slow_start_ms ? o->now_ms : UINT64_MAX;
}

/* What e takes over from the endpoint that held its slot; a new one beside old ones begins slowly. */
static void
inherit(const struct sl_oper *o, struct sl_oper_endpoint *e)
{
	const struct sl_oper_endpoint *old = sl_oper_by_slot(o, e->at.slot);

	if (old && old->at.incarnation == e->at.incarnation) {
		e->ramp_from_ms = old->ramp_from_ms;
		e->ejected = old->ejected;
		e->ejected_why = old->ejected_why;
		e->ejected_wall_ms = old->ejected_wall_ms;
		if (e->health != SL_OPER_UNPROBED && old->health != SL_OPER_UNPROBED) {
			e->health = old->health;
			memcpy(e->health_text, old->health_text, sizeof(e->health_text));
			e->health_wall_ms = old->health_wall_ms;
		}
	} else if (o->placed && service_placed(o, e->service)) {
		begin_ramp(o, e);
	}
}

void
sl_oper_prepare_moved(struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
		      const struct sl_slot_map *m)
{
	uint32_t cnt;
	struct sl_oper_endpoint *eps = o->seg ? layout(o, before, c, m, &cnt) : NULL;

	for (uint32_t i = 0; eps && i < cnt; i++) {
		if (sl_oper_by_slot(o, eps[i].at.slot))
			continue;
		inherit(o, &eps[i]);
		store(o, &eps[i]);
	}
	free(eps);
}

void
sl_oper_prepare(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m)
{
	sl_oper_prepare_moved(o, NULL, c, m);
}

/* The first endpoint of a service that is not below it. */
static uint32_t
place_of(const struct sl_oper_endpoint *eps, uint32_t cnt, const char *service)
{
	uint32_t lo = 0, hi = cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(eps[mid].service, service) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Services that may have moved, by index: out of a placement. */
static bool *
list_moved(const struct sl_conf *before, const struct sl_conf *c)
{
	bool *moved = calloc(c->service_cnt + 1u, sizeof(*moved));

	for (uint32_t i = 0; moved && i < c->service_cnt; i++)
		moved[i] = sl_conf_moved(before, c, i);
	return moved;
}

/* What is placed without services that moved, and fresh, which is theirs, in order; takes fresh over. */
static struct sl_oper_endpoint *
blend(const struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
      struct sl_oper_endpoint *fresh, uint32_t *cnt)
{
	if (!before)
		return fresh;
	bool *moved = list_moved(before, c);
	struct sl_oper_endpoint *all = malloc((o->ep_cnt + *cnt + 1u) * sizeof(*all));
	uint32_t n = 0, at = 0;

	for (uint32_t k = 0; moved && all && k <= *cnt;) { /* service by service of fresh */
		uint32_t to = k < *cnt ? place_of(o->eps, o->ep_cnt, fresh[k].service) : o->ep_cnt;
		for (; at < to; at++)
			if (!moved[o->eps[at].service_idx])
				all[n++] = o->eps[at];
		if (k == *cnt)
			break;
		uint32_t service = fresh[k].service_idx;
		while (k < *cnt && fresh[k].service_idx == service)
			all[n++] = fresh[k++];
	}
	bool good = moved && all;
	free(moved);
	free(fresh);
	if (!good) {
		free(all);
		return NULL;
	}
	*cnt = n;
	return all;
}

int
sl_oper_place_moved(struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
		    const struct sl_slot_map *m, uint64_t now_ms)
{
	uint32_t cnt;
	struct sl_oper_endpoint *eps = layout(o, before, c, m, &cnt);

	if (!eps)
		return -ENOMEM;
	o->now_ms = now_ms;
	for (uint32_t i = 0; i < cnt; i++) {
		inherit(o, &eps[i]);
		store(o, &eps[i]);
	}
	eps = blend(o, before, c, eps, &cnt);
	if (!eps)
		return -ENOMEM;
	free(o->eps);
	o->eps = eps;
	o->ep_cnt = cnt;
	o->placed = true;
	memset(o->by_slot, 0, sizeof(o->by_slot));
	for (uint32_t i = 0; i < cnt; i++)
		o->by_slot[eps[i].at.slot] = i + 1;
	return 0;
}

int
sl_oper_place(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m,
	      uint64_t now_ms)
{
	return sl_oper_place_moved(o, NULL, c, m, now_ms);
}

void
sl_oper_attach(struct sl_oper *o, struct sl_state_seg *seg, bool adopt)
{
	o->seg = seg;
	for (uint32_t i = 0; seg && i < o->ep_cnt; i++) {
		struct sl_oper_endpoint *e = &o->eps[i];
		uint64_t w =
			__atomic_load_n((uint64_t *)&seg->slot[e->at.slot].admin, __ATOMIC_RELAXED);
		if (adopt && e->health == SL_OPER_UNKNOWN &&
		    sl_state_incarnation(w) == e->at.incarnation &&
		    (sl_state_flags(w) & SL_ST_UNHEALTHY)) {
			e->health = SL_OPER_DOWN;
			snprintf(e->health_text, sizeof(e->health_text),
				 "down before the daemon was restarted");
		}
		store(o, e);
	}
}

/* ---- changes ---- */

const struct sl_oper_endpoint *
sl_oper_find(const struct sl_oper *o, const char *service, const char *name)
{
	uint32_t lo = 0, hi = o->ep_cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct sl_oper_endpoint *e = &o->eps[mid];
		int d = sl_kept_name_cmp(e->service, e->name, service, name);
		if (d == 0)
			return e;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sl_oper_endpoint *
sl_oper_by_slot(const struct sl_oper *o, uint32_t slot)
{
	uint32_t i = slot < SL_MAX_ENDPOINTS ? o->by_slot[slot] : 0;
	return i ? &o->eps[i - 1] : NULL;
}

const struct sl_oper_endpoint *
sl_oper_endpoints(const struct sl_oper *o, uint32_t *ret_cnt)
{
	*ret_cnt = o->ep_cnt;
	return o->eps;
}

/* Nothing that the endpoint said before counts: it was not probed. */
static void
come_back(struct sl_oper *o, struct sl_oper_endpoint *e)
{
	begin_ramp(o, e);
	if (e->health == SL_OPER_UNPROBED)
		return;
	e->health = SL_OPER_DOWN;
	e->health_wall_ms = 0;
	snprintf(e->health_text, sizeof(e->health_text), "not probed since its maintenance");
}

static enum sl_kept_what
what_of(enum sl_oper_verb verb)
{
	switch (verb) {
	case SL_OPER_DRAIN:
	case SL_OPER_UNDRAIN:
		return SL_KEPT_DRAIN;
	case SL_OPER_DISABLE:
	case SL_OPER_ENABLE:
		return SL_KEPT_DISABLED;
	case SL_OPER_WEIGHT:
		return SL_KEPT_PERCENT;
	default:
		return SL_KEPT_MAINTENANCE;
	}
}

static void
apply(struct sl_kept *k, enum sl_oper_verb verb, unsigned value, const struct sl_kept_note *note)
{
	enum sl_kept_what what = what_of(verb);
	bool usual = false;

	if (what == SL_KEPT_DRAIN)
		usual = !(k->drain = verb == SL_OPER_DRAIN);
	else if (what == SL_KEPT_DISABLED)
		usual = !(k->disabled = verb == SL_OPER_DISABLE);
	else if (what == SL_KEPT_PERCENT)
		usual = (k->percent = (uint8_t)SL_MIN(value, 100u)) == 100;
	else
		usual = !(k->maintenance = verb == SL_OPER_MAINTENANCE);
	k->note[what] = note && !usual ? *note : (struct sl_kept_note){0};
}

int
sl_oper_set(struct sl_oper *o, const char *service, const char *name, enum sl_oper_verb verb,
	    unsigned value, const struct sl_kept_note *note, uint64_t now_ms, bool *ret_changed)
{
	struct sl_oper_endpoint *e = (struct sl_oper_endpoint *)sl_oper_find(o, service, name);
	if (!e)
		return -ENOENT;
	const struct sl_kept *was = sl_kept_find(&o->kept, service, name);
	struct sl_kept k = {.percent = 100};
	struct sl_oper_endpoint old = *e;

	if (was)
		k = *was;
	memcpy(k.service, e->service, SL_NAME_MAX);
	memcpy(k.name, e->name, SL_NAME_MAX);
	apply(&k, verb, value, note);
	enum sl_kept_what what = what_of(verb);
	*ret_changed = k.drain != e->drain || k.disabled != e->disabled ||
		       k.percent != e->percent || k.maintenance != e->maintenance;
	if (!*ret_changed && was && !(note && note->why[0]))
		k.note[what] = was->note[what]; /* who did it stays who did it */
	int err = sl_kept_put(&o->kept, &k);
	if (err)
		return err;
	o->now_ms = now_ms;
	recall(o, e);
	if (old.maintenance && !e->maintenance)
		come_back(o, e);
	else if (old.disabled && !e->disabled)
		begin_ramp(o, e);
	store(o, e);
	return 0;
}

int
sl_oper_hint(struct sl_oper *o, enum sl_hint_by by, const char *service, const char *name,
	     const struct sl_hint *h, uint64_t now_ms, bool *ret_changed)
{
	const struct sl_hint *was = sl_hints_find(o->hints, service, name);
	struct sl_hint next = *h;
	bool same = was ? was[by].drain == h->drain && was[by].down == h->down &&
				    was[by].percent == h->percent
			: sl_hint_none(h);

	if (same && was)
		next.wall_ms = was[by].wall_ms;
	if (ret_changed)
		*ret_changed = !same;
	int err = sl_hints_put(o->hints, by, service, name, &next);
	struct sl_oper_endpoint *e = (struct sl_oper_endpoint *)sl_oper_find(o, service, name);
	if (err || same || !e)
		return err;
	o->now_ms = now_ms;
	bool down = e->hint_down;
	recall(o, e);
	if (down && !e->hint_down)
		begin_ramp(o, e);
	store(o, e);
	return 0;
}

void
sl_oper_watch(struct sl_oper *o, int64_t wall_ms, sl_oper_watch_fn *fn, void *ctx)
{
	for (uint32_t i = 0; o->seg && i < o->ep_cnt; i++) {
		struct sl_oper_endpoint *e = &o->eps[i];
		uint64_t word = passive_word(o, e);
		bool ejected = sl_state_flags(word) & SL_ST_EJECTED;
		if (ejected == e->ejected)
			continue;
		e->ejected = ejected;
		e->ejected_why = sl_state_why(word);
		e->ejected_wall_ms = ejected ? wall_ms : 0;
		fn(ctx, e);
	}
}

void
sl_oper_health(struct sl_oper *o, uint32_t slot, uint32_t incarnation, bool up, const char *why,
	       uint64_t now_ms, int64_t wall_ms)
{
	struct sl_oper_endpoint *e = (struct sl_oper_endpoint *)sl_oper_by_slot(o, slot);

	if (!e || e->at.incarnation != incarnation || e->health == SL_OPER_UNPROBED)
		return;
	o->now_ms = now_ms;
	if (e->health == SL_OPER_DOWN && up)
		begin_ramp(o, e);
	e->health = up ? SL_OPER_UP : SL_OPER_DOWN;
	e->health_wall_ms = wall_ms;
	snprintf(e->health_text, sizeof(e->health_text), "%s", why);
	store(o, e);
}

bool
sl_oper_tick(struct sl_oper *o, uint64_t now_ms)
{
	bool ramping = false;

	o->now_ms = now_ms;
	for (uint32_t i = 0; i < o->ep_cnt; i++) {
		struct sl_oper_endpoint *e = &o->eps[i];
		if (e->ramp_from_ms == UINT64_MAX)
			continue;
		if (ramp_over(o, e))
			e->ramp_from_ms = UINT64_MAX;
		else
			ramping = true;
		store(o, e);
	}
	return ramping;
}

/* ---- for people ---- */

static const char *const health_word[] = {"unprobed", "unknown", "up", "down"};

static const char *
admin_word(const struct sl_oper_endpoint *e)
{
	return e->maintenance ? "maintenance"
	       : e->disabled  ? "disabled"
	       : e->drain     ? "draining"
			      : "in";
}

static void
say(struct sl_oper_account *a, const char *by, int64_t since_ms, const char *why)
{
	a->by = by;
	a->since_ms = since_ms;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

static void
say_operator(const struct sl_oper *o, const struct sl_oper_endpoint *e, enum sl_kept_what what,
	     struct sl_oper_account *a)
{
	const struct sl_kept *k = sl_kept_find(&o->kept, e->service, e->name);

	if (!k)
		return;
	say(a, "operator", k->note[what].wall_ms, k->note[what].why);
	memcpy(a->who, k->note[what].who, sizeof(a->who));
}

/* The first of those who say it. */
static void
say_hint(const struct sl_oper *o, const struct sl_oper_endpoint *e, struct sl_oper_account *a)
{
	static const char *const by[] = {"source", "agent"};
	const struct sl_hint *h = sl_hints_find(o->hints, e->service, e->name);

	for (unsigned i = 0; h && i < SL_HINT_BYS; i++)
		if ((e->hint_drain && h[i].drain) ||
		    (!e->hint_drain && e->hint_down && h[i].down) ||
		    (!e->hint_drain && !e->hint_down && h[i].percent < 100)) {
			say(a, by[i], h[i].wall_ms, h[i].why);
			return;
		}
}

void
sl_oper_ejected(const struct sl_oper_endpoint *e, unsigned why, char ret[SL_OPER_EJECTED_MAX])
{
	static const char rate[] = "far more of its requests failed than of the others'";

	if (why == SL_EJECTED_GATEWAY)
		snprintf(ret, SL_OPER_EJECTED_MAX, "%u gateway errors in a row", e->gateway_after);
	else if (why == SL_EJECTED_LOCAL)
		snprintf(ret, SL_OPER_EJECTED_MAX, "%u requests in a row were not answered",
			 e->local_after);
	else if (why == SL_EJECTED_RATE)
		snprintf(ret, SL_OPER_EJECTED_MAX, "%s", rate);
	else if (why == SL_EJECTED_PERCENT)
		snprintf(ret, SL_OPER_EJECTED_MAX, "%u %% or more of its requests failed",
			 e->failure_pct);
	else
		snprintf(ret, SL_OPER_EJECTED_MAX, "%u requests in a row failed", e->eject_after);
}

static void
say_ejected(const struct sl_oper *o, const struct sl_oper_endpoint *e, struct sl_oper_account *a)
{
	char why[SL_OPER_EJECTED_MAX];

	sl_oper_ejected(e, sl_state_why(passive_word(o, e)), why);
	say(a, "dataplane", e->ejected_wall_ms, why);
}

const char *
sl_oper_state(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	if (e->maintenance || e->disabled)
		return admin_word(e);
	if (e->drain || e->hint_drain)
		return "draining";
	if (e->health == SL_OPER_DOWN || e->hint_down)
		return "down";
	return sl_oper_passive(o, e) & SL_ST_EJECTED ? "ejected" : health_word[e->health];
}

void
sl_oper_account(const struct sl_oper *o, const struct sl_oper_endpoint *e,
		struct sl_oper_account *ret)
{
	uint64_t w = sl_oper_word(o, e);
	bool ejected = sl_oper_passive(o, e) & SL_ST_EJECTED;
	bool probe = e->health == SL_OPER_DOWN;

	*ret = (struct sl_oper_account){
		.admin = admin_word(e),
		.probe = health_word[e->health],
		.passive = ejected ? "ejected" : "in",
		.by = "",
		.fraction = sl_state_flags(w) ? 0 : sl_state_fraction(w),
	};
	ret->state = sl_oper_state(o, e);
	if (e->maintenance || e->disabled || e->drain)
		say_operator(o, e,
			     e->maintenance ? SL_KEPT_MAINTENANCE
			     : e->disabled  ? SL_KEPT_DISABLED
					    : SL_KEPT_DRAIN,
			     ret);
	else if (e->hint_drain || (e->hint_down && !probe))
		say_hint(o, e, ret);
	else if (probe)
		say(ret, "probe", e->health_wall_ms, e->health_text);
	else if (ejected)
		say_ejected(o, e, ret);
	else if (e->percent < 100)
		say_operator(o, e, SL_KEPT_PERCENT, ret);
	else if (e->hint_percent < 100)
		say_hint(o, e, ret);
	else if (!ramp_over(o, e))
		say(ret, "slow start", e->health_wall_ms, "it comes up to its full share");
	else if (e->health == SL_OPER_UP)
		say(ret, "probe", e->health_wall_ms, e->health_text);
}

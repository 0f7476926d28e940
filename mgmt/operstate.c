/* Three arrays: `kept` (sorted by name: what operators set), `eps` (sorted by name: what is placed, with the
 * kept state copied in), `by_slot` (slot → index into eps + 1).  Every change ends in store(), which makes the
 * word of one endpoint anew from scratch. */
#include "mgmt/operstate.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct kept {
	char service[SL_NAME_MAX];
	char name[SL_NAME_MAX];
	bool drain;
	bool disabled;
	uint8_t percent;
};

struct sl_oper {
	struct kept *kept; /* [kept_cnt], room for kept_room */
	struct sl_oper_endpoint *eps;
	struct sl_state_seg *seg; /* not ours */
	uint64_t now_ms;          /* of the last call that gave one */
	uint32_t kept_cnt, kept_room, ep_cnt;
	bool placed;
	uint32_t by_slot[SL_MAX_ENDPOINTS];
};

struct sl_oper *
sl_oper_create(void)
{
	return calloc(1, sizeof(struct sl_oper));
}

void
sl_oper_destroy(struct sl_oper *o)
{
	if (!o)
		return;
	free(o->kept);
	free(o->eps);
	free(o);
}

/* ---- names ---- */

static int
name_cmp(const char *s1, const char *n1, const char *s2, const char *n2)
{
	int d = strcmp(s1, s2);
	return d ? d : strcmp(n1, n2);
}

static int
ep_cmp(const void *a, const void *b)
{
	const struct sl_oper_endpoint *x = a, *y = b;
	return name_cmp(x->service, x->name, y->service, y->name);
}

/* First place in kept whose name is not below. */
static uint32_t
kept_place(const struct sl_oper *o, const char *service, const char *name)
{
	uint32_t lo = 0, hi = o->kept_cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct kept *k = &o->kept[mid];
		if (name_cmp(k->service, k->name, service, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct kept *
kept_find(const struct sl_oper *o, const char *service, const char *name)
{
	uint32_t i = kept_place(o, service, name);
	if (i < o->kept_cnt && name_cmp(o->kept[i].service, o->kept[i].name, service, name) == 0)
		return &o->kept[i];
	return NULL;
}

static int
kept_insert(struct sl_oper *o, const struct kept *k)
{
	if (o->kept_cnt >= SL_OPER_KEPT_MAX)
		return -ENOSPC;
	if (o->kept_cnt == o->kept_room) {
		uint32_t room = o->kept_room ? o->kept_room * 2 : 16;
		struct kept *more = realloc(o->kept, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		o->kept = more;
		o->kept_room = room;
	}
	uint32_t i = kept_place(o, k->service, k->name);
	memmove(&o->kept[i + 1], &o->kept[i], (o->kept_cnt - i) * sizeof(*k));
	o->kept[i] = *k;
	o->kept_cnt++;
	return 0;
}

static void
kept_remove(struct sl_oper *o, struct kept *k)
{
	size_t after = (size_t)(o->kept + o->kept_cnt - (k + 1));
	memmove(k, k + 1, after * sizeof(*k));
	o->kept_cnt--;
}

static int
kept_set(struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	struct kept *k = kept_find(o, e->service, e->name);
	bool plain = !e->drain && !e->disabled && e->percent == 100;

	if (plain && k)
		kept_remove(o, k);
	if (plain)
		return 0;
	if (k) {
		k->drain = e->drain;
		k->disabled = e->disabled;
		k->percent = e->percent;
		return 0;
	}
	struct kept fresh = {.drain = e->drain, .disabled = e->disabled, .percent = e->percent};
	memcpy(fresh.service, e->service, SL_NAME_MAX);
	memcpy(fresh.name, e->name, SL_NAME_MAX);
	return kept_insert(o, &fresh);
}

/* ---- disk ---- */

int
sl_oper_save(const struct sl_oper *o, char **ret_text, size_t *ret_len)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < o->kept_cnt; i++) {
		const struct kept *k = &o->kept[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b, s:b, s:i}", "service", k->service,
						"endpoint", k->name, "drain", k->drain, "disabled",
						k->disabled, "percent", k->percent));
	}
	json_t *root = json_pack("{s:i, s:o}", "version", 1, "endpoints", list);
	char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	*ret_len = strlen(text);
	return 0;
}

static bool
name_take(char dst[SL_NAME_MAX], const char *src)
{
	memset(dst, 0, SL_NAME_MAX);
	if (strlen(src) >= SL_NAME_MAX)
		return false;
	memcpy(dst, src, strlen(src));
	return sl_name_ok(dst);
}

static bool
load_one(struct sl_oper *o, json_t *e)
{
	const char *service, *name;
	int drain, disabled, percent;
	struct kept k = {0};

	if (json_unpack(e, "{s:s, s:s, s:b, s:b, s:i !}", "service", &service, "endpoint", &name,
			"drain", &drain, "disabled", &disabled, "percent", &percent) ||
	    percent < 0 || percent > 100 || !name_take(k.service, service) ||
	    !name_take(k.name, name) || kept_find(o, service, name))
		return false;
	k.drain = drain;
	k.disabled = disabled;
	k.percent = (uint8_t)percent;
	return kept_insert(o, &k) == 0;
}

int
sl_oper_load(struct sl_oper *o, const char *text, size_t len, struct sl_diag *diag)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *list = NULL, *e;
	int version = 0;
	size_t i;
	bool ok = root &&
		  json_unpack(root, "{s:i, s:o !}", "version", &version, "endpoints", &list) == 0 &&
		  version == 1 && json_is_array(list);

	if (ok) {
		json_array_foreach(list, i, e)
		{
			if (!load_one(o, e)) {
				ok = false;
				break;
			}
		}
	}
	json_decref(root);
	if (ok)
		return 0;
	o->kept_cnt = 0;
	sl_diag_add(diag, NULL, 0, NULL, NULL, "truncated, or not what sluiced writes");
	return -EINVAL;
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
	double share = e->percent / 100.0;

	if (e->percent == 0)
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
	unsigned flags = (e->health == SL_OPER_DOWN ? SL_ST_UNHEALTHY : 0) |
			 (e->drain ? SL_ST_DRAIN : 0) | (e->disabled ? SL_ST_DISABLED : 0);
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

uint16_t
sl_oper_passive(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	if (!o->seg || e->at.slot >= SL_MAX_ENDPOINTS)
		return 0;
	uint64_t w =
		__atomic_load_n((uint64_t *)&o->seg->slot[e->at.slot].passive, __ATOMIC_RELAXED);
	return sl_state_incarnation(w) == e->at.incarnation ? sl_state_flags(w) : 0;
}

bool
sl_oper_admits(const struct sl_oper *o, const struct sl_oper_endpoint *e)
{
	uint64_t w = sl_oper_word(o, e);
	return e->weight > 0 && sl_state_fraction(w) > 0 && sl_state_flags(w) == 0;
}

/* ---- placement ---- */

/* (c, m) as a new sorted array, with what operators set; nothing of the present placement. */
static struct sl_oper_endpoint *
layout(const struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m,
       uint32_t *ret_cnt)
{
	uint32_t cnt = 0, n = 0;

	for (uint32_t i = 0; i < c->service_cnt; i++)
		cnt += c->services[i].endpoint_cnt;
	struct sl_oper_endpoint *eps = calloc(cnt + 1, sizeof(*eps));
	if (!eps)
		return NULL;
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		const struct sl_conf_service *s = &c->services[i];
		for (uint32_t k = 0; k < s->endpoint_cnt; k++) {
			const struct sl_conf_endpoint *ce = &s->endpoints[k];
			struct sl_oper_endpoint *e = &eps[n];
			if (sl_slot_find_endpoint(m, s, ce, &e->at) ||
			    e->at.slot >= SL_MAX_ENDPOINTS)
				continue;
			memcpy(e->service, s->name, SL_NAME_MAX);
			memcpy(e->name, ce->name, SL_NAME_MAX);
			e->addr = ce->addr;
			e->port = ce->port;
			e->weight = ce->weight;
			e->service_idx = i;
			e->slow_start_ms = s->slow_start_ms;
			e->health = s->health.type == SL_HEALTH_NONE ? SL_OPER_UNPROBED
								     : SL_OPER_UNKNOWN;
			const struct kept *kept = kept_find(o, e->service, e->name);
			e->drain = kept && kept->drain;
			e->disabled = kept && kept->disabled;
			e->percent = kept ? kept->percent : 100;
			e->ramp_from_ms = UINT64_MAX;
			n++;
		}
	}
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
sl_oper_prepare(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m)
{
	uint32_t cnt;
	struct sl_oper_endpoint *eps = o->seg ? layout(o, c, m, &cnt) : NULL;

	for (uint32_t i = 0; eps && i < cnt; i++) {
		if (sl_oper_by_slot(o, eps[i].at.slot))
			continue;
		inherit(o, &eps[i]);
		store(o, &eps[i]);
	}
	free(eps);
}

int
sl_oper_place(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m,
	      uint64_t now_ms)
{
	uint32_t cnt;
	struct sl_oper_endpoint *eps = layout(o, c, m, &cnt);

	if (!eps)
		return -ENOMEM;
	o->now_ms = now_ms;
	for (uint32_t i = 0; i < cnt; i++)
		inherit(o, &eps[i]);
	free(o->eps);
	o->eps = eps;
	o->ep_cnt = cnt;
	o->placed = true;
	memset(o->by_slot, 0, sizeof(o->by_slot));
	for (uint32_t i = 0; i < cnt; i++) {
		o->by_slot[eps[i].at.slot] = i + 1;
		store(o, &eps[i]);
	}
	return 0;
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
		int d = name_cmp(e->service, e->name, service, name);
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

int
sl_oper_set(struct sl_oper *o, const char *service, const char *name, enum sl_oper_verb verb,
	    unsigned value, uint64_t now_ms, bool *ret_changed)
{
	struct sl_oper_endpoint *e = (struct sl_oper_endpoint *)sl_oper_find(o, service, name);
	if (!e)
		return -ENOENT;
	struct sl_oper_endpoint old = *e;

	o->now_ms = now_ms;
	if (verb == SL_OPER_DRAIN || verb == SL_OPER_UNDRAIN)
		e->drain = verb == SL_OPER_DRAIN;
	else if (verb == SL_OPER_WEIGHT)
		e->percent = (uint8_t)SL_MIN(value, 100u);
	else
		e->disabled = verb == SL_OPER_DISABLE;
	if (old.disabled && !e->disabled)
		begin_ramp(o, e);
	int err = kept_set(o, e);
	if (err) {
		*e = old;
		return err;
	}
	store(o, e);
	*ret_changed =
		old.drain != e->drain || old.disabled != e->disabled || old.percent != e->percent;
	return 0;
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

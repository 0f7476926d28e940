/* Each question is asked in rounds: its own look-ups (A, AAAA or SRV), then, for SRV, those of targets whose addresses did not
 * come along.  A round that has all of its answers is an answer; one look-up without makes the whole round trouble, so that half
 * of what DNS knows is never taken for all.
 *
 *   timer ─▶ start_round ─▶ look-ups, 32 at a time ─▶ finish_round ─timer 0─▶ deliver: sink, and the timer of the next round
 *
 * Answers come from within c-ares, the sink is told from the timer: whatever the roster does then, c-ares is not in the middle
 * of something. */
#include "mgmt/source.h"

#include "mgmt/dns_channel.h"
#include "mgmt/dns_endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MOST_OPEN 32          /* look-ups of a round at a time */
#define MOST_ADDRS (1u << 16) /* of all targets of a round */
#define PAUSE_NONE_MS 5000    /* at most, while something is missing */
#define RESOLV_CONF "/etc/resolv.conf"

struct look_up {
	struct asked *asked;
	char name[256];
	uint16_t type;
	struct sl_addr *addrs; /* [addr_cnt] */
	uint32_t addr_cnt;
};

/* What has come of a round so far. */
struct round {
	struct look_up *look_ups; /* [cnt]; the first ones are the question's own */
	uint32_t cnt, next, open;
	uint32_t addr_cnt, ttl_s, odd, failed;
	struct sl_dns_srv *srvs; /* [srv_cnt] */
	uint32_t srv_cnt;
	bool no_name;  /* NXDOMAIN to the question itself */
	char why[400]; /* "": no trouble */
};

struct asked {
	struct asked *next;
	struct dns *dns; /* NULL: dropped */
	uint32_t id;
	char name[256];
	uint16_t port;
	uint8_t record;  /* enum sl_record */
	bool delivering; /* the timer that runs is the one that tells the sink */
	bool timer_closed;
	bool answered;  /* last is what the sink was told */
	unsigned tries; /* rounds in trouble, or with something missing, since the last good one */
	uv_timer_t timer;
	struct round round;
	struct sl_dns_endpoints last;
};

struct dns {
	const struct sl_source_conf *conf;
	struct sl_source_sink sink;
	struct sl_dns_channel *channel;
	struct asked *asked;
	uint64_t rng;
	struct timespec resolv_conf; /* when it was changed, for a source without servers */
};

static void start_round(struct asked *a);
static void go_on(struct asked *a);

/* ---- rounds ---- */

static void
round_fini(struct round *r)
{
	for (uint32_t i = 0; i < r->cnt; i++)
		free(r->look_ups[i].addrs);
	free(r->look_ups);
	free(r->srvs);
	*r = (struct round){.ttl_s = UINT32_MAX};
}

/* Dropped: the last of timer and look-ups frees. */
static void
release(struct asked *a)
{
	if (a->dns || !a->timer_closed || a->round.open)
		return;
	round_fini(&a->round);
	sl_dns_endpoints_fini(&a->last);
	free(a);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct asked *a = handle->data;

	a->timer_closed = true;
	release(a);
}

static const char *
type_name(uint16_t type)
{
	return type == SL_DNS_A ? "A" : type == SL_DNS_AAAA ? "AAAA" : "SRV";
}

/* The first trouble of a round is the one that is told. */
static void
fail(struct asked *a, const struct look_up *l, const char *why)
{
	if (a->round.failed++ == 0)
		snprintf(a->round.why, sizeof(a->round.why), "%s %.255s: %s", type_name(l->type),
			 l->name, why);
}

static void on_timer(uv_timer_t *t);

static void
set_timer(struct asked *a, uint64_t ms, bool delivering)
{
	a->delivering = delivering;
	uv_timer_start(&a->timer, on_timer, ms, 0);
}

/* Room for n look-ups more; none is under way. */
static bool
add_room(struct round *r, uint32_t n)
{
	struct look_up *more = realloc(r->look_ups, (r->cnt + (size_t)n) * sizeof(*more));

	if (more)
		r->look_ups = more;
	return more != NULL;
}

static void
add_look_up(struct asked *a, const char *name, uint16_t type)
{
	struct look_up *l = &a->round.look_ups[a->round.cnt++];

	*l = (struct look_up){.asked = a, .type = type};
	snprintf(l->name, sizeof(l->name), "%s", name);
}

/* ---- SRV: whose addresses are still to be asked for ---- */

static int
by_target(const void *a, const void *b)
{
	return strcmp(((const struct sl_dns_srv *)a)->target,
		      ((const struct sl_dns_srv *)b)->target);
}

/* What the additional section has of a target is taken; of each type that it does not have, a look-up. */
static bool
add_target(struct asked *a, const char *target, uint16_t type, const struct sl_dns_answer *answer)
{
	uint32_t cnt;
	const struct sl_dns_more *more = sl_dns_answer_more(answer, target, type, &cnt);

	add_look_up(a, target, type);
	if (!more)
		return true;
	struct look_up *l = &a->round.look_ups[a->round.cnt - 1];
	l->addrs = calloc(cnt, sizeof(*l->addrs));
	if (!l->addrs)
		return false;
	for (uint32_t i = 0; i < cnt; i++) {
		l->addrs[i] = more[i].addr;
		a->round.ttl_s = SL_MIN(a->round.ttl_s, more[i].ttl_s);
	}
	l->addr_cnt = cnt;
	return true;
}

static bool
add_targets(struct asked *a, struct sl_dns_answer *answer)
{
	struct round *r = &a->round;

	r->srvs = answer->srvs;
	r->srv_cnt = answer->srv_cnt;
	answer->srvs = NULL;
	qsort(r->srvs, r->srv_cnt, sizeof(*r->srvs), by_target);
	if (!add_room(r, 2 * r->srv_cnt))
		return false;
	for (uint32_t i = 0; i < r->srv_cnt; i++) {
		const char *target = r->srvs[i].target;
		if (!*target || (i && strcmp(target, r->srvs[i - 1].target) == 0))
			continue;
		if (!add_target(a, target, SL_DNS_A, answer) ||
		    !add_target(a, target, SL_DNS_AAAA, answer))
			return false;
	}
	return true;
}

/* ---- look-ups ---- */

static bool
take_answer(struct asked *a, struct look_up *l, struct sl_dns_answer *answer)
{
	struct round *r = &a->round;

	r->ttl_s = SL_MIN(r->ttl_s, answer->ttl_s);
	r->odd += answer->odd;
	r->no_name |= answer->no_name && l == &r->look_ups[0];
	if (l->type == SL_DNS_SRV)
		return add_targets(a, answer);
	l->addrs = answer->addrs;
	l->addr_cnt = answer->addr_cnt;
	answer->addrs = NULL;
	r->addr_cnt += l->addr_cnt;
	if (r->addr_cnt > MOST_ADDRS)
		fail(a, l, "the targets have more addresses than any service can have");
	return true;
}

static void
on_bytes(void *ctx, const char *error, const uint8_t *bytes, size_t len)
{
	struct look_up *l = ctx;
	struct asked *a = l->asked;
	struct sl_dns_answer answer;

	a->round.open--;
	if (!a->dns) {
		release(a);
		return;
	}
	if (!error) {
		int err = sl_dns_answer_read(bytes, len, l->name, l->type, &answer, &error);
		if (err == -ENOMEM)
			error = "no memory";
	}
	if (error) {
		fail(a, l, error);
	} else {
		if (!take_answer(a, l, &answer)) /* l may have moved */
			snprintf(a->round.why, sizeof(a->round.why), "no memory");
		sl_dns_answer_fini(&answer);
	}
	go_on(a);
}

/* Starts what there is room for; the last answer of all ends the round.  Answers may come from within. */
static void
go_on(struct asked *a)
{
	struct round *r = &a->round;

	while (!r->why[0] && r->next < r->cnt && r->open < MOST_OPEN) {
		struct look_up *l = &r->look_ups[r->next++];
		if (l->addrs)
			continue;
		r->open++;
		if (sl_dns_channel_ask(a->dns->channel, l->name, l->type, on_bytes, l)) {
			r->open--;
			fail(a, l, "no memory");
		}
	}
	if (r->open == 0 && !a->delivering && (r->why[0] || r->next == r->cnt))
		set_timer(a, 0, true);
}

static const uint16_t types_of[][3] = {
	[SL_RECORD_ADDRESS] = {SL_DNS_A, SL_DNS_AAAA},
	[SL_RECORD_IPV4] = {SL_DNS_A},
	[SL_RECORD_IPV6] = {SL_DNS_AAAA},
	[SL_RECORD_SRV] = {SL_DNS_SRV},
};

static void
start_round(struct asked *a)
{
	const uint16_t *types = types_of[a->record];

	round_fini(&a->round);
	if (!add_room(&a->round, 2)) {
		snprintf(a->round.why, sizeof(a->round.why), "no memory");
		set_timer(a, 0, true);
		return;
	}
	for (; *types; types++)
		add_look_up(a, a->name, *types);
	go_on(a);
}

/* ---- what the sink is told ---- */

static struct sl_dns_target *
targets_of(const struct round *r, struct sl_addr *addrs, uint32_t *ret_cnt)
{
	struct sl_dns_target *list = calloc(r->cnt + 1u, sizeof(*list));
	uint32_t n = 0, at = 0;

	for (uint32_t i = 1; list && i < r->cnt; i++) { /* 0: the SRV itself */
		const struct look_up *l = &r->look_ups[i];
		if (n == 0 || strcmp(list[n - 1].host, l->name) != 0) {
			snprintf(list[n].host, sizeof(list[n].host), "%s", l->name);
			list[n++].addrs = &addrs[at];
		}
		if (l->addr_cnt)
			memcpy(&addrs[at], l->addrs, l->addr_cnt * sizeof(*addrs));
		at += l->addr_cnt;
		list[n - 1].addr_cnt += l->addr_cnt;
	}
	*ret_cnt = n;
	return list;
}

/* 0 or -ENOMEM. */
static int
make_endpoints(struct asked *a, struct sl_dns_endpoints *ret)
{
	struct round *r = &a->round;
	uint32_t cnt = 0, target_cnt = 0;
	int err = -ENOMEM;

	for (uint32_t i = 0; i < r->cnt; i++)
		cnt += r->look_ups[i].addr_cnt;
	struct sl_addr *addrs = calloc(cnt + 1u, sizeof(*addrs));
	struct sl_dns_target *targets = addrs ? targets_of(r, addrs, &target_cnt) : NULL;
	if (targets && a->record == SL_RECORD_SRV) {
		err = sl_dns_endpoints_srv(r->srvs, r->srv_cnt, targets, target_cnt, ret);
	} else if (targets) {
		cnt = 0;
		for (uint32_t i = 0; i < r->cnt; cnt += r->look_ups[i++].addr_cnt)
			if (r->look_ups[i].addr_cnt)
				memcpy(&addrs[cnt], r->look_ups[i].addrs,
				       r->look_ups[i].addr_cnt * sizeof(*addrs));
		err = sl_dns_endpoints_addrs(addrs, cnt, a->port, ret);
	}
	free(targets);
	free(addrs);
	return err;
}

/* Whether something that was looked up is not there: the records, or all addresses of a target. */
static bool
is_missing(const struct asked *a)
{
	const struct round *r = &a->round;
	bool srv = a->record == SL_RECORD_SRV;

	if (srv && r->srv_cnt == 0)
		return true;
	for (uint32_t i = srv ? 1 : 0; i < r->cnt; i++) {
		const struct look_up *l = &r->look_ups[i];
		bool pair = i + 1 < r->cnt && strcmp(l->name, l[1].name) == 0; /* A and AAAA */
		if (l->addr_cnt + (pair ? l[1].addr_cnt : 0) == 0)
			return true;
		i += pair;
	}
	return false;
}

/* The next round: after the TTL; while something is missing after a pause that grows, but not for long: somebody may just be making
 * it, and what is not there has no TTL that we know. */
static void
plan(struct asked *a)
{
	const struct sl_source_conf *c = a->dns->conf;
	uint64_t ms = (uint64_t)a->round.ttl_s * 1000;

	if (!is_missing(a)) {
		a->tries = 0;
	} else {
		uint32_t pause = sl_source_pause(++a->tries, &a->dns->rng);
		ms = SL_MIN(ms, (uint64_t)SL_MIN(pause, (uint32_t)PAUSE_NONE_MS));
	}
	ms = SL_MIN(SL_MAX(ms, c->min_ttl_ms), c->max_ttl_ms);
	set_timer(a, ms, false);
}

static void
tell_answer(struct asked *a, struct sl_dns_endpoints *e)
{
	const struct sl_source_sink *sink = &a->dns->sink;
	bool same = a->answered && sl_dns_endpoints_same(e, &a->last);

	sl_dns_endpoints_fini(&a->last);
	a->last = *e;
	a->answered = true;
	if (same)
		sink->confirm(sink->ctx, a->id);
	else
		sink->answer(sink->ctx, a->id, a->last.list, a->last.cnt, a->last.left_out,
			     a->last.note);
}

static void
tell_trouble(struct asked *a, const char *why)
{
	struct dns *d = a->dns;

	set_timer(a, sl_source_pause(++a->tries, &d->rng), false);
	d->sink.trouble(d->sink.ctx, a->id, why);
}

static void
deliver(struct asked *a)
{
	struct sl_dns_endpoints e;
	char why[sizeof(a->round.why)];

	memcpy(why, a->round.why, sizeof(why));
	if (!why[0] && make_endpoints(a, &e))
		snprintf(why, sizeof(why), "no memory");
	if (why[0]) {
		if (a->record == SL_RECORD_ADDRESS && a->round.failed == 1) {
			size_t n = strlen(why);
			snprintf(why + n, sizeof(why) - n,
				 " (record = \"ipv4\" or \"ipv6\" asks for one of A and AAAA)");
		}
		round_fini(&a->round);
		tell_trouble(a, why);
		return;
	}
	if (a->round.odd && e.left_out == 0)
		snprintf(e.note, sizeof(e.note),
			 "a record has a target or address that cannot be used");
	if (e.cnt == 0 && !e.note[0])
		snprintf(e.note, sizeof(e.note), "DNS has no such %s",
			 a->round.no_name ? "name" : "records");
	e.left_out += a->round.odd;
	plan(a);
	round_fini(&a->round);
	tell_answer(a, &e);
}

/* ---- the servers of the system ---- */

static struct timespec
changed_at(void)
{
	struct stat st;

	return stat(RESOLV_CONF, &st) ? (struct timespec){0} : st.st_mtim;
}

/* Others stand in /etc/resolv.conf now: whoever waits for the old ones gets trouble, and asks the new ones next. */
static void
look_for_servers(struct dns *d)
{
	struct sl_dns_channel *fresh;
	struct timespec now = changed_at();

	if (d->conf->server_cnt ||
	    (now.tv_sec == d->resolv_conf.tv_sec && now.tv_nsec == d->resolv_conf.tv_nsec))
		return;
	d->resolv_conf = now;
	if (sl_dns_channel_create(d->sink.loop, d->conf, NULL, &fresh))
		return;
	struct sl_dns_channel *old = d->channel;
	d->channel = fresh;
	sl_dns_channel_destroy(old);
}

static void
on_timer(uv_timer_t *t)
{
	struct asked *a = t->data;

	if (a->delivering) {
		a->delivering = false;
		deliver(a);
		return;
	}
	if (a->tries)
		look_for_servers(a->dns);
	start_round(a);
}

/* ---- the source ---- */

static int
create(const struct sl_source_conf *conf, const struct sl_source_sink *sink, struct sl_diag *diag,
       void **ret_source)
{
	struct dns *d = calloc(1, sizeof(*d));
	int err = -ENOMEM;

	if (d) {
		*d = (struct dns){.conf = conf, .sink = *sink, .rng = sink->seed};
		d->resolv_conf = changed_at();
		err = sl_dns_channel_create(sink->loop, conf, diag, &d->channel);
	}
	if (err) {
		free(d);
		return err;
	}
	*ret_source = d;
	return 0;
}

static int
ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *q)
{
	struct dns *d = source;
	struct asked *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	*a = (struct asked){.next = d->asked,
			    .dns = d,
			    .id = id,
			    .port = q->port,
			    .record = q->record ? q->record : SL_RECORD_ADDRESS};
	snprintf(a->name, sizeof(a->name), "%s", q->name[0] ? q->name : service);
	d->asked = a;
	uv_timer_init(d->sink.loop, &a->timer);
	a->timer.data = a;
	set_timer(a, 0, false);
	return 0;
}

static void
let_go(struct asked *a)
{
	a->dns = NULL;
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void
drop(void *source, uint32_t id)
{
	struct dns *d = source;

	for (struct asked **at = &d->asked; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct asked *a = *at;
			*at = a->next;
			let_go(a);
			return;
		}
}

static void
destroy(void *source)
{
	struct dns *d = source;

	if (!d)
		return;
	for (struct asked *a = d->asked, *next; a; a = next) {
		next = a->next;
		let_go(a);
	}
	sl_dns_channel_destroy(d->channel);
	free(d);
}

const struct sl_source_ops sl_source_dns = {create, destroy, ask, drop};

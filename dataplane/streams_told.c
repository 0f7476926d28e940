/* Connections of mode tcp that were refused, as records of the access log (events.h).  What refuses costs less than what is refused, so that
 * a flood is not made worse by its log: each worker tells of SL_STREAMS_TOLD in a second. */
#include "dataplane/clock.h"
#include "dataplane/worker_priv.h"
#include "l7/rate_judge.h"
#include "sluice/events.h"

struct texts {
	struct sl_bytes sni, identity;
	char why[SL_ACCESS_WHY_MAX];
	uint32_t why_len;
};

static bool
may_tell(struct sl_worker *w, uint64_t now_ns)
{
	uint64_t second = now_ns / 1000000000;

	if (w->streams.told_second != second) {
		w->streams.told_second = second;
		w->streams.told = 0;
	}
	return w->streams.told++ < SL_STREAMS_TOLD;
}

static void
put_peer(const struct sl_stream *client, struct texts *t, struct sl_event_access *e)
{
	const struct sl_tls_info *info = client ? sl_tls_info(client) : NULL;
	const struct sl_tls_peer *p = info ? info->peer : NULL;
	struct sl_rate_who who = {0};

	if (!info)
		return;
	e->tls_version = (uint8_t)info->version;
	e->tls_suite = (uint8_t)info->suite;
	e->tls_resumed = info->resumed;
	if (p)
		t->sni = (struct sl_bytes){(const uint8_t *)sl_tls_peer_sni(p),
					   SL_MIN(p->sni_len, (uint32_t)SL_ACCESS_STR_MAX)};
	sl_streams_who(client, &who);
	t->identity = (struct sl_bytes){who.identity,
					SL_MIN(who.identity_len, (uint32_t)SL_ACCESS_STR_MAX)};
}

static uint32_t
add(char *to, uint32_t at, const char *text)
{
	uint32_t n = SL_MIN((uint32_t)strlen(text), SL_ACCESS_WHY_MAX - at);

	memcpy(to + at, text, n);
	return at + n;
}

static uint8_t *
put(uint8_t *to, const void *from, uint32_t len, uint16_t *ret_len)
{
	if (len)
		memcpy(to, from, len);
	*ret_len = (uint16_t)len;
	return to + len;
}

/* false: there is no room. */
static bool
write_record(struct sl_worker *w, const struct sl_event_access *record, const struct texts *t)
{
	uint32_t bytes = (uint32_t)sizeof(*record) + t->sni.len + t->identity.len + t->why_len + 7;
	bytes &= ~7u;
	struct sl_event_access *e = sl_events_put(w->conf.events, w->conf.events_size, bytes);

	if (!e)
		return false;
	*e = *record;
	e->head = (struct sl_event){.bytes = bytes, .type = SL_EVENT_ACCESS};
	uint8_t *at = put((uint8_t *)(e + 1), t->sni.at, t->sni.len, &e->sni_len);
	at = put(at, t->identity.at, t->identity.len, &e->identity_len);
	at = put(at, t->why, t->why_len, &e->why_len);
	memset(at, 0, (size_t)((uint8_t *)e + bytes - at));
	sl_events_commit(w->conf.events, bytes);
	return true;
}

void
sl_streams_told(struct sl_worker *w, uint32_t listener, const struct sl_tuple *tuple,
		const struct sl_stream *client, uint32_t rflags, const char *set, const char *rule)
{
	const uint64_t epoch = SL_STREAMS_EPOCH_MS * 1000000ull;
	uint64_t now_ns = w->conf.clock ? sl_clock_now(w->conf.clock) : w->now_ns;
	struct texts t = {0};
	struct sl_event_access e = {
		.start_ns = now_ns > epoch ? now_ns - epoch : 0,
		.generation = w->streams.view->generation,
		.first_us = UINT32_MAX,
		.last_us = UINT32_MAX,
		.try_us = UINT32_MAX,
		.flags = rflags,
		.client = tuple->src,
		.client_port = tuple->sport,
		.listener_slot = w->streams.view->listeners[listener].slot,
		.table_slot = UINT32_MAX,
		.vhost_slot = UINT32_MAX,
		.route_slot = UINT32_MAX,
		.service_slot = UINT32_MAX,
		.endpoint_slot = UINT32_MAX,
		.version = SL_ACCESS_TCP,
		.worker = (uint8_t)w->conf.id,
	};

	if (!w->conf.events)
		return;
	if (sl_likely(may_tell(w, now_ns))) {
		put_peer(client, &t, &e);
		t.why_len = add(t.why, 0, set);
		if (rule)
			t.why_len = add(t.why, add(t.why, t.why_len, "/"), rule);
		if (write_record(w, &e, &t))
			return;
	}
	w->stats->tcp.count[SL_TCP_REFUSAL_UNTOLD]++;
}

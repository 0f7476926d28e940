/* Towards a destination all ports of all sources stand in one row: source fastest, then the bucket that the replies shall
 * arrive in, then the place among the ports that lead to it (rss.h).  Buckets of other workers are passed over.  One
 * cursor goes round for all destinations, each with a beginning of its own by a keyed function (RFC 6056, 3.3.3): so
 * the next port is mostly the one that was used longest ago, and nobody else can foretell it.
 *
 * Mostly the first port is free.  Where it is TIME-WAIT that may be reused, a few more are looked at for a free one. */
#include "dataplane/tcp/tcp_priv.h"

#define ROW (SL_RSS_BUCKETS * SL_RSS_PORTS)
#define LOOKS 256
#define LOOKS_FOR_FREE 4

struct search {
	const struct sl_tcp *t;
	const struct sl_rss_ports *ports;
	const struct sl_addr *sources;
	uint32_t source_cnt;
	uint32_t begin; /* of this destination */
	struct sl_tuple tuple;
	uint64_t hash;
};

static bool
is_ours(const struct search *s, uint32_t port)
{
	return s->t->conf.rss->owner[port % SL_RSS_BUCKETS] == s->t->conf.worker;
}

/* Moves the cursor past the next place whose bucket is ours: that place. */
static uint32_t
next_place(const struct search *s, uint32_t *cursor, unsigned *skipped)
{
	uint32_t port = *cursor / s->source_cnt, place = *cursor;

	for (; !is_ours(s, s->begin + port) && *skipped < ROW; (*skipped)++)
		place = ++port * s->source_cnt;
	*cursor = place + 1;
	return place;
}

/* The candidate at a place of the row, into tuple and hash; false: the place has no port, or another's (once in 2^32
 * places, where the cursor begins again). */
static bool
candidate(struct search *s, uint32_t place)
{
	uint32_t port = (s->begin + place / s->source_cnt) % ROW;

	s->tuple.dst = s->sources[place % s->source_cnt];
	s->tuple.dport = 0;
	unsigned bare = sl_rss_bucket(sl_rss_hash(s->t->conf.rss, &s->tuple));
	s->tuple.dport = sl_rss_port(s->ports, bare ^ port % SL_RSS_BUCKETS, port / SL_RSS_BUCKETS);
	s->hash = sl_tcp_hash(s->t, &s->tuple);
	return s->tuple.dport != 0 && is_ours(s, port);
}

static void
take(const struct search *s, struct sl_port_pick *ret)
{
	*ret = (struct sl_port_pick){.tuple = s->tuple, .hash = s->hash};
}

/* A free tuple, or the first of TIME-WAIT that may be reused: its handle. */
static bool
look(struct search *s, uint32_t *cursor, struct sl_port_pick *ret, uint32_t *ret_handle)
{
	unsigned skipped = 0, looks = 0;

	*ret_handle = SL_TCP_NONE;
	while (looks < LOOKS && skipped < ROW) {
		if (!candidate(s, next_place(s, cursor, &skipped))) {
			skipped++;
			continue;
		}
		uint32_t handle = sl_tcp_find(s->t, s->hash, &s->tuple);
		if (sl_likely(handle == SL_TCP_NONE)) {
			take(s, ret);
			*ret_handle = SL_TCP_NONE;
			return true;
		}
		looks++;
		if (*ret_handle == SL_TCP_NONE && (handle & SL_TCP_OF_TIMEWAIT) &&
		    sl_timewait_reusable(s->t, handle)) {
			take(s, ret);
			*ret_handle = handle;
		}
		if (*ret_handle != SL_TCP_NONE && looks >= LOOKS_FOR_FREE)
			return true;
	}
	return *ret_handle != SL_TCP_NONE;
}

bool
sl_ports_pick(struct sl_tcp *t, const struct sl_addr *dst, sl_be16 dport,
	      const struct sl_addr *sources, uint32_t source_cnt, struct sl_port_pick *ret)
{
	const struct sl_rss *rss = t->conf.rss;
	struct search s = {
		.t = t,
		.ports = sl_addr_is_v4(dst) ? &rss->ports4 : &rss->ports6,
		.sources = sources,
		.source_cnt = source_cnt,
		.tuple = {.src = *dst, .sport = dport, .proto = SL_IPPROTO_TCP},
	};
	uint32_t handle;

	if (sl_unlikely(source_cnt == 0 || !s.ports->ok))
		return false;
	s.begin = (uint32_t)sl_isn_mac(t, &s.tuple, SL_MAC_PORTS);
	struct sl_port_pick pick;
	if (sl_unlikely(!look(&s, &t->port_cursor, &pick, &handle)))
		return false;
	if (handle != SL_TCP_NONE)
		pick.reused = sl_timewait_reuse(t, handle, &pick.iss_min, &pick.ts_offset,
						&pick.ts_recent);
	*ret = pick;
	return true;
}

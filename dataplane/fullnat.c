/* fullnat — flows whose source is translated too: one pair of entries, and the choice of a source port.
 *
 *   forward half   key: client → VIP          leaves as  source:port → endpoint
 *   reply half     key: endpoint → source:port  leaves as  VIP → client
 *
 * Each half says how the other leaves, so there is no translation record.  Both must belong to this worker, whatever the
 * number of workers: the port is chosen so that the reply's bucket is that of the forward half (rss.h).  Per source,
 * endpoint and bucket that leaves about 504 ports, 64,512 for all buckets.
 *
 * Search: from a place and with a stride that the flow's hash names, sixteen ports of a source and then of the next one; at
 * most SL_FULLNAT_TRIES.  With u of the ports in use the chance to find none is about u^256: 1 in 2,400 at 97 %,
 * 1 in 13 at 99 %; with one source, of whose ports it sees half, still less.  Then the oldest half-open flow that was met gives its port up: a flood of opening packets
 * cannot use the ports up, and a handshake that is under way is not the oldest.  */
#include "dataplane/worker_priv.h"

#define BATCH 16

struct candidate {
	struct sl_tuple reply;
	uint64_t hash;
};

struct search {
	const struct sl_worker *w;
	const struct sl_service *svc;
	const struct sl_rss_ports *ports;
	struct sl_tuple reply;                     /* endpoint → source; without the port */
	unsigned bucket;                           /* of both halves */
	uint32_t first_source, first_port, stride; /* stride: odd, so that it reaches every place */
	struct candidate oldest;                   /* half-open flow met on the way */
	uint32_t oldest_idx, oldest_left;
};

/* Candidates of the tries [from, to), all in one batch of 16; how many. */
static unsigned
candidates(struct search *s, unsigned from, unsigned to, struct candidate c[BATCH])
{
	const struct sl_flow_table *t = s->w->conf.flows;
	unsigned turn = from / BATCH, cnt = 0;
	unsigned round = turn / s->svc->source_cnt;

	s->reply.dst = s->svc->sources[(s->first_source + turn) % s->svc->source_cnt];
	unsigned change = s->bucket ^ sl_rss_bucket(sl_rss_hash(s->w->conf.rss, &s->reply));
	for (; from < to; from++) {
		unsigned k = round * BATCH + from % BATCH;
		unsigned n = (s->first_port + k * s->stride) % SL_RSS_PORTS;
		sl_be16 port = sl_rss_port(s->ports, change, n);
		if (!port)
			continue;
		c[cnt].reply = s->reply;
		c[cnt].reply.dport = port;
		c[cnt].hash = sl_flow_hash(t, &c[cnt].reply);
		sl_flow_prefetch(t, c[cnt].hash);
		cnt++;
	}
	return cnt;
}

static void
note_half_open(struct search *s, const struct candidate *c, uint32_t idx)
{
	const struct sl_flow *f = sl_flow_get(s->w->conf.flows, idx);
	unsigned state = f->state & SL_FLOW_STATE_MASK;

	if (!(f->state & SL_FLOW_PAIR) || (state != SL_FLOW_EMBRYONIC && state != SL_FLOW_UDP_NEW))
		return;
	uint32_t left = sl_flow_left(s->w->conf.flows, c->hash, idx, s->w->now_q);
	if (s->oldest_idx != SL_FLOW_NONE && left >= s->oldest_left)
		return;
	s->oldest = *c;
	s->oldest_idx = idx;
	s->oldest_left = left;
}

/* The first try is alone: mostly it is the last. */
static bool
find_free(struct search *s, struct candidate *ret)
{
	const struct sl_flow_table *t = s->w->conf.flows;
	struct candidate c[BATCH];

	for (unsigned from = 0, to; from < SL_FULLNAT_TRIES; from = to) {
		to = from == 0 ? 1 : from == 1 ? 4 : (from / BATCH + 1) * BATCH;
		unsigned cnt = candidates(s, from, to, c);
		for (unsigned i = 0; i < cnt; i++)
			sl_flow_probe(t, c[i].hash);
		for (unsigned i = 0; i < cnt; i++) {
			uint32_t idx = sl_flow_find(t, c[i].hash, &c[i].reply, s->w->now_q);
			if (sl_likely(idx == SL_FLOW_NONE)) {
				*ret = c[i];
				return true;
			}
			note_half_open(s, &c[i], idx);
		}
	}
	return false;
}

static void
take_from_oldest(struct sl_worker *w, const struct search *s)
{
	struct sl_flow f = *sl_flow_get(w->conf.flows, s->oldest_idx);

	sl_flow_remove(w->conf.flows, s->oldest.hash, s->oldest_idx);
	w->stats->flow_evict++;
	sl_tally_end(w, &f);
}

static enum sl_drop
insert(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, const struct candidate *c)
{
	uint8_t state = p->flags & SL_PKT_TCP ? SL_FLOW_EMBRYONIC : SL_FLOW_UDP_NEW;
	struct sl_flow_evicted gone[2] = {0};
	unsigned reason = 0;

	p->flow = sl_flow_insert_pair(w->conf.flows, &p->tuple, p->hash, &c->reply, c->hash,
				      p->endpoint_slot, (uint16_t)p->endpoint_incarnation, state,
				      w->now_q, gone, &reason);
	for (unsigned i = 0; i < 2; i++)
		if (sl_unlikely(gone[i].any))
			sl_nat_evicted(w, view, &gone[i]);
	return p->flow == SL_FLOW_NONE ? (enum sl_drop)reason : SL_DROP_NONE;
}

enum sl_drop
sl_fullnat_open(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
		const struct sl_hop *hop, struct sl_tuple *ret_reply)
{
	const struct sl_service *svc = &view->services[hop->service];
	const struct sl_rss *rss = w->conf.rss;
	struct candidate c;

	/* What belongs to no flow here cannot be given the source that the endpoint knows it by. */
	if ((p->flags & SL_PKT_TCP) && (p->tcp_flags & (SL_TCP_SYN | SL_TCP_ACK)) != SL_TCP_SYN)
		return SL_DROP_NO_FLOW;
	if (sl_unlikely(svc->source_cnt == 0))
		return SL_DROP_SOURCE_PORTS;
	struct search s = {
		.w = w,
		.svc = svc,
		.ports = hop->family == 4 ? &rss->ports4 : &rss->ports6,
		.reply = {.src = hop->addr,
			  .sport = hop->port ? hop->port : p->tuple.dport,
			  .proto = p->tuple.proto},
		.bucket = sl_rss_bucket(sl_rss_hash(rss, &p->tuple)),
		.first_source = sl_hash_reduce(p->hash, svc->source_cnt),
		.first_port = (uint32_t)p->hash,
		.stride = (uint32_t)(p->hash >> 16) | 1,
		.oldest_idx = SL_FLOW_NONE,
	};
	if (sl_unlikely(!find_free(&s, &c))) {
		if (s.oldest_idx == SL_FLOW_NONE) {
			if (!sl_pkt_dry(p))
				w->service_stats[svc->slot].ports_out++;
			return SL_DROP_SOURCE_PORTS;
		}
		c = s.oldest;
		if (!sl_pkt_dry(p))
			take_from_oldest(w, &s);
	}
	*ret_reply = c.reply;
	return sl_pkt_dry(p) ? SL_DROP_NONE : insert(w, view, p, &c);
}

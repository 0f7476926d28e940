/* measure — what became of the test packets of a stream: lost, doubled, out of order, and how long they took.
 *
 * Threads: one at a time. Pure: time is an argument, in ns.
 * Sequence numbers are known for the last SL_MEASURE_WINDOW ones; an older one that comes is late: counted as
 * received and reordered, and a duplicate that old is not known as one.
 * Loss: what was sent less what came.  While packets are under way that is too much; sl_measure_missing counts
 * the holes below the highest number that came instead.
 */
#ifndef SL_PKTGEN_MEASURE_H
#define SL_PKTGEN_MEASURE_H

#include "pktgen/trail.h"
#include "sluice/stats.h"

#define SL_MEASURE_WINDOW 65536

struct sl_measure_stream {
	/* by the sender */
	uint64_t issued;  /* sequence numbers given out */
	uint64_t refused; /* of those, not taken by the port */
	/* by the receiver */
	uint64_t next; /* one past the highest that came */
	uint64_t received;
	uint64_t duplicate;
	uint64_t reordered; /* came after a higher one (RFC 4737) */
	uint64_t late;      /* of those, older than the window */
	uint64_t seen[SL_MEASURE_WINDOW / 64];
};

struct sl_latency {
	struct sl_hist hist; /* ns */
	uint64_t min, max;   /* exact; of nothing: UINT64_MAX, 0 */
};

void sl_measure_init(struct sl_measure_stream *s);

/* sl_measure_take: whether a packet with the low half of a sequence number is new (not a duplicate and not one
 * that was never sent).  Its latency counts then. */
bool sl_measure_take(struct sl_measure_stream *s, uint32_t seq);

static inline uint64_t
sl_measure_sent(const struct sl_measure_stream *s)
{
	return s->issued - s->refused;
}

/* sl_measure_missing: sent, below the highest that came, and not here; refused ones are left out as far as that is
 * known.  At most what is lost or overtaken. */
uint64_t sl_measure_missing(const struct sl_measure_stream *s);

void sl_latency_init(struct sl_latency *l);

static inline void
sl_latency_add(struct sl_latency *l, uint64_t ns)
{
	sl_hist_add(&l->hist, ns);
	l->min = SL_MIN(l->min, ns);
	l->max = SL_MAX(l->max, ns);
}

void sl_latency_merge(struct sl_latency *into, const struct sl_latency *from);

/* sl_latency_at: a time that at least the part [0, 1] of the packets did not exceed, at most 6.25 % too long;
 * 0 of nothing. */
uint64_t sl_latency_at(const struct sl_latency *l, double part);

#endif

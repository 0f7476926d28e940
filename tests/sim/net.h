/* net — a virtual-time network around the rig: links that lose, double, delay and reorder, clients and endpoints
 * that speak a small TCP or UDP, pushes and state changes in between.  A run is a function of its seed.
 *
 * Workers are not in step: which of them turns next is drawn too.
 *
 * Every client flow has an address and port of its own, so that an endpoint can tell which flow a packet is of.
 * Services are of all forwarding modes and both families, their policies are drawn.  Some UDP flows talk in fragments, the
 * order of which is drawn.  Tunnels end at the endpoint's link, which judges the outer header.
 *
 * A client opens, asks some questions one after the other (sending again when no answer comes), closes. Endpoints
 * answer and note which of them a flow's packets reach.
 *
 * Judged at every packet: checksums; the client hears its VIP and nobody else; a flow stays on its endpoint while
 * that exists and is not disabled; fullnat: sources are of the pool, ports are nobody else's, and stay.  Judged at the end: every flow whose endpoint lived was served; buffers are all
 * back; packets in = packets accounted for; no counter that must be 0 is not; tables are sound.
 */
#ifndef SL_TESTS_NET_H
#define SL_TESTS_NET_H

#include "sluice/base.h"

struct net_conf {
	uint64_t seed;
	unsigned workers;
	bool rss;
	unsigned flows;
	unsigned endpoints; /* per service, ≤ 16 */
	double loss, dup;   /* per packet and link, 0–1 */
	uint64_t delay_ns;  /* base */
	uint64_t jitter_ns; /* uniform on top: reordering */
	unsigned pushes;    /* tables pushed during the run */
	unsigned changes;   /* drains, fractions, disables, ends of these */
	unsigned kills;     /* endpoints that fall silent and are marked unhealthy */
	unsigned restarts;  /* times the gateway is killed and started again on its flow region */
	bool vary;          /* with another number of workers, 1–3 */
};

struct net_result {
	const char *wrong; /* NULL: all judged well */
	uint64_t trace;    /* hash over everything that happened */
	unsigned served,
		excused; /* flows; excused: their endpoint was disabled, removed or killed */
	unsigned packets;
	char detail[256];
};

struct net_result net_run(const struct net_conf *c);

#endif

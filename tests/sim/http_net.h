/* http_net — a whole gateway between two of our own stacks in virtual time: clients at its front, endpoints at its back.
 *
 *   clients' stack ── link ──▶ rig (front) … rig (back) ── link ──▶ endpoints' stack
 *
 * One stack speaks for all clients, one for all endpoints; addresses tell them apart.  Neighbours are known.  Links lose,
 * double and reorder as the seed says.
 */
#ifndef SL_TESTS_HTTP_NET_H
#define SL_TESTS_HTTP_NET_H

#include "dataplane/tcp/stream.h"
#include "tests/sim/rig.h"
#include "tests/sim/tcp_link.h"

#define NET_ENDPOINTS 8
#define NET_VIP "192.0.2.9"

enum { NET_CLIENTS, NET_SERVERS, NET_SIDES };

struct http_net;

struct net_side {
	struct http_net *net;
	unsigned id, buffers, rx_cnt;
	struct sl_tcp *tcp;
	void *mem, *rows;
	struct sl_stats_tcp stats;
	struct tcp_link out, in; /* to the gateway, from it */
	struct tcp_packet *rx[1024];
};

struct http_net {
	struct tcp_world w;
	struct tcp_dice dice;
	struct rig *rig;
	unsigned workers;
	struct sl_rss rss;
	struct net_side side[NET_SIDES];
	uint64_t neighbours_ns;
	bool dead[NET_ENDPOINTS];    /* hears and says nothing */
	bool refuses[NET_ENDPOINTS]; /* answers SYNs with RST */
	/* a connection to an endpoint was accepted: attach yourself */
	void (*accepted)(void *ctx, struct sl_stream *s, unsigned endpoint);
	void *ctx;
};

void net_init(struct http_net *n, uint64_t seed, const struct rig_conf *rig,
	      const struct link_conf *link);
/* net_fini: NULL, or what was left over.  orphans: the gateway stopped while bytes of streams that nobody holds any more were
 * on their way: their buffers are no leak. */
const char *net_fini(struct http_net *n, bool orphans);

struct sl_addr net_endpoint(unsigned i);

/* net_connect: a client's connection to NET_VIP, port 80; client: of its address. */
struct sl_stream *net_connect(struct http_net *n, unsigned client, const struct sl_stream_ops *ops,
			      void *user);

/* net_begin lets the next moment come, at most at until_ns, and delivers what arrives in it; users may then act; net_end
 * turns the stacks. */
void net_begin(struct http_net *n, uint64_t until_ns);
void net_end(struct http_net *n);

#endif

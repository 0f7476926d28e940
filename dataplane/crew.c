#include "dataplane/crew.h"

#include "dataplane/publish.h"
#include "dataplane/tcp/tcp.h"
#include "l7/rate.h"
#include "l7/relay.h"
#include "lb/flow.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>

#define HALF_OPEN_MAX 8192 /* of a worker, before SYN cookies */
#define TCP_BLOCK 2048u    /* bytes of a block of payload, */
#define TCP_PIECE 64u      /* and of what says where a piece of it lies (tcp/tcp_priv.h) */

struct arena {
	uint8_t *next;
	size_t left;
};

static struct sl_ring *
ring(struct arena *a, uint32_t size, uint32_t item_bytes)
{
	size_t n = sl_ring_bytes(size, item_bytes);

	SL_ASSERT(n <= a->left);
	struct sl_ring *r = sl_ring_init(a->next, size, item_bytes);
	a->next += n;
	a->left -= n;
	return r;
}

/* Rings worker `to` takes from, one of each kind per peer, in one piece of memory. */
static int
make_rings(struct sl_gateway *g, struct sl_worker_conf *confs, unsigned to)
{
	unsigned cnt = g->boot.worker_cnt;
	uint32_t size = cnt <= 8 ? 2048 : 512;
	size_t peer = sl_ring_bytes(size, sizeof(struct sl_pkt)) +
		      sl_ring_bytes(size, sizeof(struct sl_txd)) +
		      sl_ring_bytes(2 * size, sizeof(struct sl_msg));
	struct arena a = {.left = peer * cnt +
				  sl_ring_bytes(SL_EXPLAIN_MAX, sizeof(struct sl_msg)) +
				  sl_ring_bytes(SL_EXPLAIN_MAX, sizeof(struct sl_explained))};

	a.next = sl_host_map(a.left, g->host.huge, NULL);
	if (!a.next)
		return -ENOMEM;
	for (unsigned from = 0; from < cnt; from++) {
		if (from == to)
			continue;
		confs[to].pkt_in[from] = confs[from].pkt_out[to] =
			ring(&a, size, sizeof(struct sl_pkt));
		confs[to].tx_in[from] = confs[from].tx_out[to] =
			ring(&a, size, sizeof(struct sl_txd));
		confs[to].msg_in[from] = confs[from].msg_out[to] =
			ring(&a, 2 * size, sizeof(struct sl_msg));
	}
	g->explain.to[to] = confs[to].main_in = ring(&a, SL_EXPLAIN_MAX, sizeof(struct sl_msg));
	g->explain.from[to] = confs[to].explain_out =
		ring(&a, SL_EXPLAIN_MAX, sizeof(struct sl_explained));
	return 0;
}

/* memory_mb is cut into parts of a block and four pieces: of what lies in blocks most is as long as a packet, and what is
 * kept in packet buffers needs pieces alone.  At most a third of all buffers is kept that way. */
static int
make_tcp(struct sl_gateway *g, struct sl_worker_conf *c)
{
	const struct sl_boot *b = &g->boot;
	const uint64_t part = TCP_BLOCK + 4 * TCP_PIECE;
	struct sl_worker_tcp *t = &c->tcp;

	if (b->tcp_streams == 0)
		return 0;
	*t = (struct sl_worker_tcp){
		.streams = (uint32_t)b->tcp_streams,
		.timewait_cnt = (uint32_t)b->tcp_timewait,
		.half_open_max = SL_MIN((uint32_t)b->tcp_streams / 4, (uint32_t)HALF_OPEN_MAX),
		.block_cnt = (uint32_t)(((uint64_t)b->tcp_memory_mb << 20) / part),
		.pinned_max = (uint32_t)b->buffers / 3 / b->worker_cnt,
		.rcv_max = (uint32_t)b->tcp_receive_max,
		.snd_max = (uint32_t)b->tcp_send_max,
		.places = sl_streams_worker(g->streams, c->id),
		.limits = g->relay_limits,
		.rates = g->rates,
	};
	t->seg_cnt = SL_MIN(4 * t->block_cnt, 1u << 24);
	size_t bytes = sl_worker_tcp_bytes(t);
	t->mem = bytes ? sl_host_map(bytes, g->host.huge, NULL) : NULL;
	return t->mem ? 0 : -ENOMEM;
}

static int
make_worker(struct sl_gateway *g, struct sl_worker_conf *c, unsigned id)
{
	struct sl_worker_port ports[SL_BOOT_MAX_PORTS];
	struct sl_lcore *l = &g->lcores[id];
	void *mem = sl_host_map(sl_worker_bytes(), g->host.huge, NULL);

	if (!mem || sl_gateway_random(&c->seed, sizeof(c->seed)))
		return -ENOMEM;
	c->id = id;
	c->worker_cnt = g->boot.worker_cnt;
	c->port_cnt = g->ports.cnt;
	c->ports = ports;
	c->rss = &g->rss;
	c->neigh = g->neigh;
	c->paths = g->paths;
	c->states = g->state->slot;
	c->shares = g->state;
	c->stats = g->stats;
	c->clock = &g->shared.clock;
	c->questions = g->explain.question;
	if (g->events) {
		c->events = sl_events_worker(g->events, id);
		c->events_size = (uint32_t)g->boot.events_kb << 10;
	}
	sl_exception_worker(g->exception, id, &c->punt);
	sl_port_io_init(&l->io, &g->ports, id, &c->io, ports);
	if (make_tcp(g, c) || sl_tls_main_worker(&g->tls, &g->boot, id, &c->tls, &g->diag) ||
	    sl_passive_worker(&g->passive, &g->boot, g->host.huge, c))
		return -ENOMEM;
	l->shared = &g->shared;
	l->id = id;
	l->stats = sl_stats_worker(g->stats, id);
	l->worker = sl_worker_init(mem, c);
	return 0;
}

/* Not in hugepages: most of it is never touched. */
static int
make_rates(struct sl_gateway *g)
{
	size_t bytes = (size_t)g->boot.limits_mb << 20;
	struct sl_hash_key key;

	if (g->boot.tcp_streams == 0)
		return 0;
	void *mem = sl_host_map(bytes, false, NULL);
	if (!mem || sl_gateway_random(&key, sizeof(key)))
		return -ENOMEM;
	g->rates = sl_rates_shared_init(mem, bytes, &key);
	return 0;
}

static int
make_workers(struct sl_gateway *g, struct sl_worker_conf *confs)
{
	unsigned cnt = g->boot.worker_cnt;
	void *neigh = sl_host_map(sl_neigh_bytes(), g->host.huge, NULL);
	int err;

	g->paths = sl_host_map(sizeof(*g->paths), g->host.huge, NULL);
	g->relay_limits = sl_host_map(sizeof(*g->relay_limits), false, NULL);
	err = neigh && g->paths && g->relay_limits ? make_rates(g) : -ENOMEM;
	if (!err && sl_gateway_random(&g->relay_limits->clients.key, sizeof(uint64_t)))
		err = -ENOMEM;
	if (neigh)
		g->neigh = sl_neigh_init(neigh);
	if (!err)
		err = sl_passive_up(&g->passive, &g->boot, g->host.huge, g->state->slot, g->stats);
	for (unsigned i = 0; i < cnt && !err; i++) {
		sl_host_prefer(g->host.worker_node[i]); /* of who takes from them */
		err = make_rings(g, confs, i);
	}
	for (unsigned i = 0; i < cnt && !err; i++) {
		sl_host_prefer(g->host.worker_node[i]);
		err = make_worker(g, &confs[i], i);
	}
	sl_host_prefer(-1);
	return err;
}

static int
make_qsbr(struct sl_gateway *g)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(g->boot.worker_cnt);

	g->shared.qsbr = sl_host_map(bytes, false, NULL);
	if (!g->shared.qsbr || rte_rcu_qsbr_init(g->shared.qsbr, g->boot.worker_cnt))
		return -ENOMEM;
	for (unsigned i = 0; i < g->boot.worker_cnt; i++)
		rte_rcu_qsbr_thread_register(g->shared.qsbr, i);
	return 0;
}

int
sl_crew_up(struct sl_gateway *g)
{
	const char *names[SL_BOOT_MAX_PORTS];
	unsigned cnt = g->boot.worker_cnt;
	struct sl_view_ports ports = {.worker_cnt = g->boot.worker_cnt, .cnt = g->ports.cnt};
	struct sl_worker_conf *confs = calloc(cnt, sizeof(*confs));

	for (unsigned i = 0; i < g->ports.cnt; i++)
		names[i] = ports.name[i] = g->ports.port[i].name;
	sl_stats_init(g->stats, cnt, g->ports.cnt, names, g->boot_id, rte_get_tsc_hz());
	g->lcores = sl_host_map(cnt * sizeof(*g->lcores), false, NULL);
	g->explain.rss = &g->rss;
	g->explain.server = g->server;
	g->explain.worker_cnt = cnt;
	g->explain.port_cnt = g->ports.cnt;
	g->shared.adaptive = g->boot.power == SL_POWER_ADAPTIVE;
	g->shared.worker_cnt = cnt;
	int err = confs && g->lcores ? make_workers(g, confs) : -ENOMEM;
	free(confs);
	if (!err)
		err = make_qsbr(g);
	if (!err)
		err = sl_publish_create(&ports, &g->shared, sl_gateway_log, &g->publish);
	if (err) {
		sl_diag_add(&g->diag, NULL, 0, NULL, "add memory", "%u workers: %s", cnt,
			    strerror(-err));
		return err;
	}
	sl_publish_attach(g->publish, g->server);
	sl_publish_before(g->publish, sl_tls_main_ready, &g->tls);
	sl_publish_gate(g->publish, sl_takeover_gate, g);
	return 0;
}

void
sl_crew_down(struct sl_gateway *g)
{
	for (unsigned i = 0; i < g->boot.worker_cnt; i++)
		sl_worker_fini(g->lcores[i].worker);
	sl_publish_destroy(g->publish);
	g->publish = NULL;
	sl_passive_down(&g->passive);
}

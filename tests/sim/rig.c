#include "tests/sim/rig.h"

#include "tests/sim/frames.h"

#include "dataplane/outlier.h"
#include "dataplane/tcp/tcp.h"
#include "l7/limits.h"
#include "l7/rate.h"
#include "l7/relay.h"

#include <stdlib.h>
#include <sys/mman.h>

struct queue {
	struct rig_frame *first, **last;
};

struct io_ctx {
	struct rig *rig;
	unsigned worker;
};

struct rig {
	struct rig_conf conf;
	rig_sent_fn *sent;
	void *ctx;
	struct sl_view *view;
	struct sl_rss rss;
	struct rig_frame *pool, *free;
	unsigned in_use;
	struct queue rx[RIG_WORKERS][RIG_PORTS];
	struct sl_worker *worker[RIG_WORKERS];
	struct sl_flows_head *region;
	struct sl_hash_key hash_key;
	uint8_t rss_key[SL_RSS_KEY_BYTES];
	struct sl_flow_table *flows[RIG_WORKERS];
	struct io_ctx io[RIG_WORKERS];
	struct sl_neigh_table *neigh;
	struct sl_path_table *paths;
	struct sl_streams_head *streams;
	struct sl_relay_limits *limits;
	struct sl_rates_shared *rates;
	struct sl_state_seg *shares;
	struct sl_ledger *ledger;
	struct sl_outlier_counts *outliers;
	uint32_t *loads[RIG_WORKERS];
	struct sl_outlier_tally *tallies[RIG_WORKERS];
	struct sl_ring *reports;
	struct sl_events_head *events;
	struct sl_state_word2 *states;
	void *stats;
	struct sl_ring *main_in[RIG_WORKERS];
	struct sl_ring *explain;
	void *mem[4096];
	size_t mem_bytes[4096];
	unsigned mem_cnt;
	uint8_t mac[RIG_PORTS][6];
	struct sl_punt_addrs *kernel_addrs;
	struct sl_punt_conf kernel[RIG_WORKERS];
	unsigned woken;
};

static void *
take(struct rig *r, size_t bytes)
{
	/* Mapped, not allocated: the statistics arrays are large and mostly untouched. */
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || r->mem_cnt == SL_ARRAY_CNT(r->mem))
		abort();
	r->mem_bytes[r->mem_cnt] = bytes;
	return r->mem[r->mem_cnt++] = p;
}

static struct rig_frame *
frame_get(struct rig *r)
{
	struct rig_frame *f = r->free;

	if (!f)
		return NULL;
	if (f->in_use)
		abort();
	r->free = f->next;
	f->next = NULL;
	f->in_use = 1;
	r->in_use++;
	return f;
}

static void
frame_put(struct rig *r, struct rig_frame *f)
{
	if (f->in_use == 0)
		abort(); /* freed twice */
	if (--f->in_use > 0)
		return;
	f->next = r->free;
	r->free = f;
	r->in_use--;
}

static unsigned
io_rx(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max)
{
	struct io_ctx *io = ctx;
	struct queue *q = &io->rig->rx[io->worker][port];
	unsigned n = 0;

	for (; n < max && q->first; n++) {
		struct rig_frame *f = q->first;
		q->first = f->next;
		if (!q->first)
			q->last = &q->first;
		pkts[n] = (struct sl_pkt){
			.data = f->room,
			.buf = f,
			.len = (uint16_t)f->len,
			.port_in = f->port_in,
		};
	}
	return n;
}

/* The Internet sum of n bytes on top of `sum`, folded. */
static uint32_t
sum_of(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0u);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Bytes [from, from + n) of the payload of a segment whose headers are `heads` long, as a frame of its own. */
static void
send_piece(struct rig *r, const struct sl_txd *d, const uint8_t *frame, unsigned heads,
	   unsigned from, unsigned n)
{
	uint8_t out[RIG_FRAME], *l3 = out + 14, *l4 = out + d->l4_off;
	bool tso = d->offload & SL_OFFLOAD_TSO, v4 = l3 + 20 == l4,
	     last = heads + from + n == d->len;
	unsigned l4_len = heads - d->l4_off + n;

	memcpy(out, frame, heads);
	memcpy(out + heads, frame + heads + from, n);
	if (tso) {
		uint32_t seq = sl_from_be32(sl_load32(l4 + 4)) + from;
		sl_store32(l4 + 4, sl_to_be32(seq));
		if (!last)
			l4[13] &= (uint8_t) ~(SL_TCP_FIN | SL_TCP_PSH);
		/* the stack's sum is without the length */
		uint8_t len[2] = {(uint8_t)(l4_len >> 8), (uint8_t)l4_len};
		sl_store16(l4 + 16, sl_to_be16(sum_of(len, 2, sl_from_be16(sl_load16(l4 + 16)))));
		sl_store16(l3 + (v4 ? 2 : 4), sl_to_be16(v4 ? l4_len + 20 : l4_len));
	}
	if (tso && v4) {
		sl_store16(l3 + 10, 0);
		sl_store16(l3 + 10, sl_to_be16(~sum_of(l3, 20, 0) & 0xffff));
	}
	sl_store16(l4 + 16, sl_to_be16(~sum_of(l4, l4_len, 0) & 0xffff));
	r->sent(r->ctx, d->port, out, heads + n);
}

/* What a port with offloads does. */
static void
finish(struct rig *r, const struct sl_txd *d, const uint8_t *frame)
{
	unsigned heads = d->l4_off + (frame[d->l4_off + 12] >> 4) * 4u, left = d->len - heads;
	unsigned each = d->offload & SL_OFFLOAD_TSO ? d->mss : left;

	if (d->offload & (unsigned)~(r->conf.offload | SL_TXD_AT))
		abort(); /* asked for what the port does not do */
	for (unsigned from = 0, n; from == 0 || left > 0; from += n, left -= n) {
		n = SL_MIN(each, left);
		send_piece(r, d, frame, heads, from, n);
		if (n == 0)
			break;
	}
}

static unsigned
io_tx(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n)
{
	const struct io_ctx *io = ctx;
	struct rig *r = io->rig;

	if (!r->conf.rss && port % r->conf.workers != io->worker)
		abort(); /* another worker's queue */
	if (r->conf.tx_max)
		n = SL_MIN(n, r->conf.tx_max);
	for (unsigned i = 0; i < n; i++) {
		struct rig_frame *f = pkts[i].buf;
		bool at = pkts[i].offload & SL_TXD_AT;
		const uint8_t *frame = at ? f->head + pkts[i].at : f->room - pkts[i].grown;
		if (r->sent && pkts[i].offload & ~SL_TXD_AT)
			finish(r, &pkts[i], frame);
		else if (r->sent)
			r->sent(r->ctx, port, frame, pkts[i].len);
		frame_put(r, f);
	}
	return n;
}

static void *
io_alloc(void *ctx, uint8_t **ret_data)
{
	struct rig_frame *f = frame_get(((struct io_ctx *)ctx)->rig);

	if (f)
		*ret_data = f->room;
	return f;
}

static void
io_free(void *ctx, void *const *bufs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		frame_put(((struct io_ctx *)ctx)->rig, bufs[i]);
}

static void
io_share(void *ctx, void *buf)
{
	(void)ctx;
	((struct rig_frame *)buf)->in_use++;
}

static unsigned
io_refs(void *ctx, void *buf)
{
	(void)ctx;
	return ((struct rig_frame *)buf)->in_use;
}

static unsigned
io_held(void *ctx)
{
	const struct rig *r = ((struct io_ctx *)ctx)->rig;

	return r->in_use * 256 / (r->conf.frames ? r->conf.frames : 8192);
}

static unsigned
io_offset(void *ctx, void *buf, const uint8_t *data)
{
	(void)ctx;
	return (unsigned)(data - ((struct rig_frame *)buf)->head);
}

static void
fill(void *to, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		((uint8_t *)to)[i] = (uint8_t)(seed >> 56);
	}
}

static struct sl_ring *
ring(struct rig *r, size_t item)
{
	unsigned size = r->conf.ring ? r->conf.ring : 1024;

	return sl_ring_init(take(r, sl_ring_bytes(size, (uint32_t)item)), size, (uint32_t)item);
}

static void
make_rings(struct rig *r, struct sl_worker_conf *confs)
{
	for (unsigned a = 0; a < r->conf.workers; a++)
		for (unsigned b = 0; b < r->conf.workers; b++) {
			if (a == b)
				continue;
			confs[a].pkt_out[b] = confs[b].pkt_in[a] = ring(r, sizeof(struct sl_pkt));
			confs[a].tx_out[b] = confs[b].tx_in[a] = ring(r, sizeof(struct sl_txd));
			confs[a].msg_out[b] = confs[b].msg_in[a] = ring(r, sizeof(struct sl_msg));
		}
	r->explain = ring(r, sizeof(struct sl_explained));
	for (unsigned a = 0; a < r->conf.workers; a++) {
		r->main_in[a] = confs[a].main_in = ring(r, sizeof(struct sl_msg));
		confs[a].explain_out = r->explain;
	}
}

static void
make_ports(struct rig *r, unsigned worker, struct sl_worker_port ports[RIG_PORTS])
{
	for (unsigned p = 0; p < RIG_PORTS; p++) {
		memcpy(ports[p].mac, r->mac[p], 6);
		ports[p].mtu = r->conf.mtu ? r->conf.mtu : 1500;
		ports[p].rss = r->conf.rss;
		ports[p].trunk = r->conf.trunk && p == 0;
		/* Without RSS each port has one queue each way, at the worker of its number. */
		ports[p].poll = r->conf.rss || p % r->conf.workers == worker;
		ports[p].tx_worker = (uint8_t)(r->conf.rss ? worker : p % r->conf.workers);
		ports[p].offload = r->conf.offload;
		ports[p].tso_max = r->conf.offload & SL_OFFLOAD_TSO ? RIG_FRAME - 114 : 0;
	}
}

/* Alignment is a region's: SL_FLOWS_ALIGN. */
static struct sl_flows_head *
make_region(struct rig *r)
{
	struct sl_flows_head h = {.region = r->conf.seed};

	if (sl_flows_layout(&h, r->conf.workers, r->conf.flows, r->conf.flows))
		abort();
	uint8_t *mem = take(r, h.bytes + SL_FLOWS_ALIGN);
	mem += SL_FLOWS_ALIGN - (uintptr_t)mem % SL_FLOWS_ALIGN;
	memcpy(h.rss_key, r->rss_key, sizeof(h.rss_key));
	sl_flows_seal(&h);
	memcpy(mem, &h, sizeof(h));
	struct sl_flows_head *region = (void *)mem;
	for (unsigned i = 0; i < r->conf.workers; i++)
		sl_flow_init(sl_flows_table(region, i), r->conf.flows, r->conf.flows, &r->hash_key);
	return region;
}

/* One region for all, as dataplane/main.c has it. */
static void
make_streams(struct rig *r)
{
	uint32_t stride = (uint32_t)sl_tcp_stride();

	r->streams = take(r, sl_streams_bytes(r->conf.workers, r->conf.streams, stride));
	sl_streams_init(r->streams, r->conf.workers, r->conf.streams, stride, 1);
	r->limits = take(r, sizeof(*r->limits));
	if (!r->conf.rates)
		return;
	r->rates =
		sl_rates_shared_init(take(r, SL_RATE_MEMORY_MIN), SL_RATE_MEMORY_MIN, &r->hash_key);
	r->shares = take(r, sizeof(*r->shares));
}

static void
make_tcp(struct rig *r, struct sl_worker_conf *c)
{
	const struct rig_conf *conf = &r->conf;
	uint32_t blocks = conf->blocks ? conf->blocks : 2048;

	c->io.share = io_share;
	c->io.refs = io_refs;
	c->io.held = io_held;
	c->io.offset = io_offset;
	c->tcp = (struct sl_worker_tcp){
		.streams = conf->streams,
		.timewait_cnt = conf->streams,
		.half_open_max = conf->half_open ? conf->half_open : conf->streams / 4,
		.seg_cnt = 4 * blocks,
		.block_cnt = blocks,
		.pinned_max = conf->pinned,
		.rcv_max = 1 << 20,
		.snd_max = 1 << 20,
		.places = sl_streams_worker(r->streams, c->id),
		.limits = r->limits,
		.rates = r->rates,
	};
	c->shares = r->shares;
	size_t bytes = sl_worker_tcp_bytes(&c->tcp);
	if (bytes == 0)
		abort();
	c->tcp.mem = take(r, bytes);
}

/* What workers share for HTTP. */
static void
make_http_shared(struct rig *r)
{
	r->ledger = take(r, sizeof(*r->ledger));
	r->outliers = take(r, sizeof(*r->outliers));
	for (unsigned i = 0; i < r->conf.workers; i++) {
		r->loads[i] = take(r, SL_MAX_ENDPOINTS * sizeof(uint32_t));
		r->tallies[i] = take(r, sizeof(*r->tallies[i]));
	}
	/* workers take their turns on one thread: one ring for all */
	r->reports = sl_ring_init(take(r, sl_ring_bytes(64, sizeof(struct sl_outlier_report))), 64,
				  sizeof(struct sl_outlier_report));
	if (r->conf.events) {
		r->events = take(r, sl_events_bytes(r->conf.workers, r->conf.events));
		sl_events_init(r->events, r->conf.workers, r->conf.events, 1);
	}
}

static void
make_http(struct rig *r, struct sl_worker_conf *c)
{
	c->http = (struct sl_worker_http){
		.conns = 2 * r->conf.exchanges,
		.exchanges = r->conf.exchanges,
		.pool = r->conf.exchanges,
		.head_bytes = 4 << 20,
		.ledger = r->ledger,
		.outliers = r->outliers,
		.tally = r->tallies[c->id],
		.ewma = take(r, SL_MAX_ENDPOINTS * sizeof(struct sl_ewma)),
		.reports = r->reports,
		.wall = r->conf.wall,
	};
	memcpy(c->http.loads, r->loads, sizeof(r->loads));
	c->http.mem = take(r, sl_worker_http_bytes(&c->http));
	if (r->events) {
		c->events = sl_events_worker(r->events, c->id);
		c->events_size = r->conf.events;
	}
}

static void
wake(void *rig)
{
	((struct rig *)rig)->woken++;
}

/* As dataplane/exception.c lays it out: what comes from the kernel is sent by worker (port mod workers). */
static void
make_kernel(struct rig *r, unsigned worker)
{
	uint32_t size = r->conf.kernel_ring ? r->conf.kernel_ring : 256;
	struct sl_punt_conf *c = &r->kernel[worker];
	const size_t item = sizeof(struct sl_punt_item);

	*c = (struct sl_punt_conf){.addrs = r->kernel_addrs, .wake = wake, .ctx = r};
	c->pps[0] = r->conf.kernel_pps;
	for (unsigned i = 0; i < SL_PUNT_CLASSES; i++)
		c->out[i] = sl_ring_init(take(r, sl_ring_bytes(size, (uint32_t)item)), size,
					 (uint32_t)item);
	c->back = sl_ring_init(take(r, sl_ring_bytes(4 * size, sizeof(void *))), 4 * size,
			       sizeof(void *));
	if (worker > 0)
		return;
	c->empty = sl_ring_init(take(r, sl_ring_bytes(128, (uint32_t)item)), 128, (uint32_t)item);
	c->in = sl_ring_init(take(r, sl_ring_bytes(128, (uint32_t)item)), 128, (uint32_t)item);
}

/* Everything that goes with the process: ports, rings, workers, statistics, neighbours. */
static void
start(struct rig *r)
{
	static struct sl_worker_conf confs[RIG_WORKERS];
	const char *names[RIG_PORTS] = {"front", "back"};
	const struct rig_conf *conf = &r->conf;

	memset(confs, 0, sizeof(confs));
	sl_rss_init(&r->rss, r->rss_key, conf->workers);
	r->neigh = sl_neigh_init(take(r, sl_neigh_bytes()));
	r->paths = take(r, sizeof(*r->paths));
	r->stats = take(r, sl_stats_bytes(conf->workers, RIG_PORTS));
	sl_stats_init(r->stats, conf->workers, RIG_PORTS, names, 1, 1000000000);
	make_rings(r, confs);
	if (conf->streams)
		make_streams(r);
	if (conf->exchanges)
		make_http_shared(r);
	for (unsigned i = 0; i < conf->workers; i++) {
		struct sl_worker_port ports[RIG_PORTS] = {0};
		make_ports(r, i, ports);
		for (unsigned p = 0; p < RIG_PORTS; p++)
			r->rx[i][p] = (struct queue){.last = &r->rx[i][p].first};
		r->flows[i] = sl_flows_table(r->region, i);
		r->io[i] = (struct io_ctx){r, i};
		struct sl_worker_conf *c = &confs[i];
		c->id = i;
		c->worker_cnt = conf->workers;
		c->port_cnt = RIG_PORTS;
		c->ports = ports;
		c->io = (struct sl_io){.rx = io_rx,
				       .tx = io_tx,
				       .alloc = io_alloc,
				       .free = io_free,
				       .ctx = &r->io[i]};
		c->rss = &r->rss;
		c->neigh = r->neigh;
		c->paths = r->paths;
		c->states = r->states;
		c->stats = r->stats;
		c->seed = conf->seed;
		if (conf->kernel_pps) {
			make_kernel(r, i);
			c->punt = r->kernel[i];
		}
		if (conf->streams)
			make_tcp(r, c);
		if (conf->exchanges)
			make_http(r, c);
		r->worker[i] = sl_worker_init(take(r, sl_worker_bytes()), c);
		sl_worker_adopt(r->worker[i], r->flows[i]);
	}
}

struct rig *
rig_create(const struct rig_conf *conf, rig_sent_fn *sent, void *ctx)
{
	struct rig *r = calloc(1, sizeof(*r));
	unsigned frames = conf->frames ? conf->frames : 8192;

	r->conf = *conf;
	r->sent = sent;
	r->ctx = ctx;
	r->pool = calloc(frames, sizeof(*r->pool));
	for (unsigned i = 0; i < frames; i++) {
		r->pool[i].next = r->free;
		r->free = &r->pool[i];
	}
	for (uint64_t k = 1;; k += 1000003) { /* one key in hundreds leaves fullnat without ports */
		fill(r->rss_key, sizeof(r->rss_key), conf->seed + k);
		if (sl_rss_key_ok(r->rss_key))
			break;
	}
	fill(&r->hash_key, sizeof(r->hash_key), conf->seed + 2);
	r->states = take(r, sizeof(struct sl_state_word2) * SL_MAX_ENDPOINTS);
	for (unsigned p = 0; p < RIG_PORTS; p++)
		r->mac[p][0] = 2, r->mac[p][5] = (uint8_t)p;
	r->region = make_region(r);
	if (conf->kernel_pps)
		r->kernel_addrs = take(r, sizeof(*r->kernel_addrs));
	start(r);
	return r;
}

static unsigned
owner(void *ctx, const struct sl_tuple *t)
{
	struct rig *r = ctx;

	return r->rss.owner[sl_rss_bucket(sl_rss_hash(&r->rss, t))];
}

struct sl_flow_adopted
rig_restart(struct rig *r, unsigned workers, uint64_t now_ns)
{
	unsigned frames = r->conf.frames ? r->conf.frames : 8192, before = r->conf.workers;
	uint32_t now_q = (uint32_t)(now_ns / 250000000u);
	struct sl_flows_head *old = r->region;
	struct sl_flow_adopted sum = {0};

	r->free = NULL;
	r->in_use = 0;
	for (unsigned i = 0; i < frames; i++) {
		r->pool[i].in_use = 0;
		r->pool[i].next = r->free;
		r->free = &r->pool[i];
	}
	if (sl_flows_head_check(old, old->bytes))
		abort();
	for (unsigned i = 0; i < before; i++) {
		struct sl_flow_adopted a = {0};
		if (sl_flow_adopt(old, i, now_q, &r->hash_key, &a))
			abort();
		sum.kept += a.kept;
		sum.expired += a.expired;
		sum.lost += a.lost;
	}
	r->conf.workers = workers;
	sl_rss_init(&r->rss, r->rss_key, workers);
	if (workers != before) {
		struct sl_flow_table *to[RIG_WORKERS];
		r->region = make_region(r);
		for (unsigned i = 0; i < workers; i++)
			to[i] = sl_flows_table(r->region, i);
		sum.kept = 0;
		for (unsigned i = 0; i < before; i++) {
			struct sl_flow_adopted a = {0};
			sl_flow_deal(sl_flows_table(old, i), to, owner, r, now_q, &a);
			sum.kept += a.kept;
			sum.lost += a.lost;
		}
	}
	start(r);
	return sum;
}

void
rig_destroy(struct rig *r)
{
	for (unsigned i = 0; i < r->conf.workers; i++)
		sl_worker_fini(r->worker[i]);
	for (unsigned i = 0; i < r->mem_cnt; i++)
		munmap(r->mem[i], r->mem_bytes[i]);
	free(r->pool);
	free(r);
}

void
rig_publish(struct rig *r, struct sl_view *view)
{
	if (view && !view->fresh && view != r->view)
		sl_view_follow(view, r->view);
	r->view = view;
}

/* What a NIC with RSS would do: TCP and UDP over IPv4 without options or plain IPv6 by tuple, the rest to queue 0. */
static unsigned
nic_queue(const struct rig *r, const uint8_t *f, unsigned len)
{
	struct sl_tuple t = {0};
	unsigned type = len >= 14 ? sl_from_be16(sl_load16(f + 12)) : 0, l4;

	if (!r->conf.rss)
		return UINT32_MAX;
	if (type == 0x0800 && len >= 38 && f[14] == 0x45) {
		t.src = sl_addr_from_v4(f + 26);
		t.dst = sl_addr_from_v4(f + 30);
		t.proto = f[23];
		l4 = 34;
	} else if (type == 0x86dd && len >= 58) {
		t.src = sl_addr_from_v6(f + 22);
		t.dst = sl_addr_from_v6(f + 38);
		t.proto = f[20];
		l4 = 54;
	} else {
		return 0;
	}
	if (t.proto != SL_IPPROTO_TCP && t.proto != SL_IPPROTO_UDP)
		return 0;
	t.sport = sl_load16(f + l4);
	t.dport = sl_load16(f + l4 + 2);
	return r->rss.owner[sl_rss_bucket(sl_rss_hash(&r->rss, &t))];
}

bool
rig_inject(struct rig *r, unsigned port, const void *frame, unsigned len)
{
	return rig_inject_as(r, port, port, frame, len);
}

bool
rig_inject_as(struct rig *r, unsigned port, unsigned port_in, const void *frame, unsigned len)
{
	struct rig_frame *f = len <= RIG_FRAME ? frame_get(r) : NULL;

	if (!f)
		return false;
	memcpy(f->room, frame, len);
	f->len = len;
	f->port_in = (uint16_t)port_in;
	unsigned worker = nic_queue(r, frame, len);
	if (worker == UINT32_MAX)
		worker = port % r->conf.workers;
	struct queue *q = &r->rx[worker][port];
	*q->last = f;
	q->last = &f->next;
	return true;
}

unsigned
rig_turn(struct rig *r, uint64_t now_ns)
{
	unsigned done = 0;

	for (unsigned i = 0; i < r->conf.workers; i++)
		done += sl_worker_turn(r->worker[i], r->view, now_ns);
	return done;
}

void
rig_turn_one(struct rig *r, unsigned worker, uint64_t now_ns)
{
	sl_worker_turn(r->worker[worker], r->view, now_ns);
}

void
rig_settle(struct rig *r, uint64_t now_ns)
{
	for (unsigned i = 0, idle = 0; i < 1000 && idle < 2; i++)
		idle = rig_turn(r, now_ns) ? 0 : idle + 1;
}

void
rig_stop(struct rig *r, uint64_t now_ns)
{
	for (unsigned i = 0; i < r->conf.workers; i++)
		sl_worker_stop(r->worker[i], r->view, now_ns);
	for (unsigned i = 0; i < r->conf.workers; i++)
		sl_worker_forward(r->worker[i]);
}

bool
rig_report(struct rig *r, struct sl_outlier_report *ret)
{
	return sl_ring_take(r->reports, ret, 1) == 1;
}

struct sl_events_head *
rig_events(struct rig *r)
{
	return r->events;
}

struct sl_ledger *
rig_ledger(struct rig *r)
{
	return r->ledger;
}

struct sl_streams_head *
rig_streams(struct rig *r)
{
	return r->streams;
}

struct sl_worker *
rig_worker(struct rig *r, unsigned i)
{
	return r->worker[i];
}

struct sl_flow_table *
rig_flows(struct rig *r, unsigned i)
{
	return r->flows[i];
}

struct sl_neigh_table *
rig_neigh(struct rig *r)
{
	return r->neigh;
}

struct sl_state_seg *
rig_shares(struct rig *r)
{
	return r->shares;
}

struct sl_state_word2 *
rig_states(struct rig *r)
{
	return r->states;
}

const struct sl_rss *
rig_rss(const struct rig *r)
{
	return &r->rss;
}

const uint8_t *
rig_mac(const struct rig *r, unsigned port)
{
	return r->mac[port];
}

struct sl_stats_worker *
rig_stats(struct rig *r, unsigned worker)
{
	return sl_stats_worker(r->stats, worker);
}

void *
rig_stats_segment(struct rig *r)
{
	return r->stats;
}

uint64_t
rig_drops(struct rig *r, unsigned reason)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < r->conf.workers; i++)
		n += rig_stats(r, i)->drop[reason];
	return n;
}

unsigned
rig_in_use(const struct rig *r)
{
	return r->in_use;
}

void
rig_neighbour(struct rig *r, unsigned port, const struct sl_addr *addr, const uint8_t mac[6],
	      uint64_t now_ns)
{
	sl_neigh_heard(r->neigh, (uint16_t)port, addr, mac, true, true, now_ns);
}

void
rig_kernel_has(struct rig *r, const char *const *addrs, unsigned n)
{
	struct sl_addr a[SL_PUNT_ADDRS];

	for (unsigned i = 0; i < n; i++)
		a[i] = frame_addr(addrs[i]);
	sl_punt_addrs_set(r->kernel_addrs, a, n);
}

bool
rig_kernel_take(struct rig *r, enum sl_punt_class class, struct rig_kernel_frame *ret)
{
	struct sl_punt_item it;

	for (unsigned w = 0; w < r->conf.workers; w++) {
		if (sl_ring_take(r->kernel[w].out[class], &it, 1) == 0)
			continue;
		*ret = (struct rig_kernel_frame){.worker = w, .port = it.port, .len = it.len};
		memcpy(ret->bytes, it.data, it.len);
		if (sl_ring_put(r->kernel[w].back, &it.buf, 1) != 1)
			abort();
		return true;
	}
	return false;
}

bool
rig_kernel_give(struct rig *r, unsigned port, const void *frame, unsigned len)
{
	struct sl_punt_item it;

	if (sl_ring_take(r->kernel[0].empty, &it, 1) == 0)
		return false;
	memcpy(it.data, frame, len);
	it.len = (uint16_t)len;
	it.port = (uint16_t)port;
	return sl_ring_put(r->kernel[0].in, &it, 1) == 1;
}

unsigned
rig_kernel_woken(const struct rig *r)
{
	return r->woken;
}

static void
drain(struct rig *r, struct sl_ring *ring)
{
	struct sl_punt_item it;

	while (ring && sl_ring_take(ring, &it, 1) == 1)
		frame_put(r, it.buf);
}

void
rig_kernel_stop(struct rig *r)
{
	void *buf;

	for (unsigned w = 0; r->conf.kernel_pps && w < r->conf.workers; w++) {
		struct sl_punt_conf *c = &r->kernel[w];
		for (unsigned i = 0; i < SL_PUNT_CLASSES; i++)
			drain(r, c->out[i]);
		drain(r, c->empty);
		drain(r, c->in);
		while (sl_ring_take(c->back, &buf, 1) == 1)
			frame_put(r, buf);
	}
}

struct sl_explained
rig_explain(struct rig *r, const struct sl_tuple *t, uint8_t tcp_flags, unsigned port,
	    uint64_t now_ns)
{
	unsigned owner = r->rss.owner[sl_rss_bucket(sl_rss_hash(&r->rss, t))];
	struct sl_explained e = {0};
	struct sl_msg m = {
		.type = SL_MSG_EXPLAIN,
		.from = UINT8_MAX,
		.tcp_flags = tcp_flags,
		.port_in = (uint16_t)port,
		.cookie = 7,
		.tuple = *t,
	};

	sl_ring_put(r->main_in[owner], &m, 1);
	rig_settle(r, now_ns);
	if (sl_ring_take(r->explain, &e, 1) != 1)
		abort();
	return e;
}

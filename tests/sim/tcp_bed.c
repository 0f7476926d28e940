#include "tests/sim/tcp_bed.h"

#include "tests/sim/frames.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LISTEN_PORT 8080
#define MODEL_PORT 40123

static const char *const addr4[2] = {"10.1.0.1", "10.2.0.2"};
static const char *const addr6[2] = {"2001:db8:1::1", "2001:db8:2::2"};

struct bed_end {
	struct bed *bed;
	unsigned i;
	bool ours;
	struct tcp_node node;
	struct node_user nu;
	struct tcp_model model;
	struct tcp_user model_user;
	struct tcp_user *user;
	struct tcp_trace trace;
	struct tcp_link out;
	uint64_t wake_ns;
};

struct bed {
	const struct bed_conf *c;
	struct tcp_world w;
	struct trace_log log;
	struct bed_end end[2];
	struct bed_result *r;
};

__attribute__((format(printf, 2, 3))) static void
complain(struct bed *b, const char *form, ...)
{
	va_list ap;

	if (b->r->wrong[0])
		return;
	va_start(ap, form);
	vsnprintf(b->r->wrong, sizeof(b->r->wrong), form, ap);
	va_end(ap);
}

/* ---- what a seed is ---- */

const char *
bed_profile_name(enum bed_profile p)
{
	static const char *const name[] = {"clean", "lossy", "bursts", "far", "tiny queue"};

	return name[p];
}

struct link_conf
bed_link(enum bed_profile p, struct tcp_dice *d)
{
	struct link_conf l = {.mtu = 65535};

	l.delay_ns = dice_range(d, 20000, 5 * TCP_MS);
	l.bits_per_s = dice_chance(d, 0.5) ? 0 : dice_range(d, 5, 1000) * 1000000;
	switch (p) {
	case BED_CLEAN:
		break;
	case BED_LOSSY:
		l.loss = 0.05;
		l.dup = 0.02;
		l.reorder = 0.05;
		l.corrupt = 0.001;
		l.reorder_ns = dice_range(d, TCP_MS / 10, 10 * TCP_MS);
		break;
	case BED_BURSTS:
		l.burst = 0.01;
		l.burst_ns = dice_range(d, TCP_MS, 300 * TCP_MS);
		l.jitter_ns = dice_below(d, 3 * TCP_MS);
		break;
	case BED_FAR:
		l.delay_ns = dice_range(d, 50, 400) * TCP_MS;
		l.loss = dice_chance(d, 0.5) ? 0.01 : 0;
		l.jitter_ns = dice_below(d, 20 * TCP_MS);
		break;
	case BED_TINY_QUEUE:
		l.bits_per_s = dice_range(d, 2, 100) * 1000000;
		l.queue_bytes = (unsigned)dice_range(d, 4000, 30000);
		break;
	default:
		break;
	}
	return l;
}

static uint64_t
draw_size(struct tcp_dice *d)
{
	uint64_t p = dice_below(d, 1000);

	if (p < 100)
		return 0;
	if (p < 300)
		return dice_range(d, 1, 100);
	if (p < 650)
		return dice_range(d, 1, 10000);
	if (p < 950)
		return dice_range(d, 1, 100000);
	if (p < 996)
		return dice_range(d, 1, 600000);
	return dice_range(d, 1, 3000000);
}

static void
draw_user(struct tcp_dice *d, struct user_conf *u, struct user_conf *peer)
{
	u->seed = dice_next(d);
	u->seed_out = peer->seed_in = dice_next(d);
	u->out_bytes = peer->in_bytes = draw_size(d);
	u->abort_out = u->abort_in = USER_NEVER;
	u->write_min = 1;
	u->write_max = dice_chance(d, 0.5) ? 65536 : (uint32_t)dice_range(d, 1, 3000);
	if (u->write_max < u->out_bytes / 500)
		u->write_max = (uint32_t)u->out_bytes / 100;
	if (dice_chance(d, 0.15))
		u->write_gap_ns = dice_range(d, TCP_MS / 10, 20 * TCP_MS);
}

static void
draw_reader(struct tcp_dice *d, struct user_conf *u)
{
	if (dice_chance(d, 0.15)) {
		uint64_t part = u->in_bytes / dice_range(d, 5, 100);
		u->read_max = (uint32_t)SL_MAX(part, 100u);
		u->read_gap_ns = dice_range(d, TCP_MS / 10, 50 * TCP_MS);
	}
	if (u->in_bytes && dice_chance(d, 0.1)) {
		u->stall_at = dice_below(d, u->in_bytes);
		u->stall_ns = dice_range(d, TCP_MS, dice_chance(d, 0.3) ? 30 * TCP_S : 2 * TCP_S);
	}
}

static void
draw_closes(struct tcp_dice *d, struct bed_conf *c)
{
	c->user[0].close = (enum user_close)dice_below(d, 4);
	c->user[1].close = (enum user_close)dice_below(d, 4);
	/* Somebody has to begin. */
	if (c->user[0].close % 2 && c->user[1].close % 2)
		c->user[dice_below(d, 2)].close--;
	c->aborts = dice_chance(d, 0.08);
	if (c->aborts) {
		struct user_conf *u = &c->user[dice_below(d, 2)];
		if (dice_chance(d, 0.5))
			u->abort_out = dice_range(d, 0, u->out_bytes);
		else
			u->abort_in = dice_range(d, 0, u->in_bytes);
	}
}

static unsigned
draw_mtu(struct tcp_dice *d, bool v6)
{
	static const unsigned mtu[] = {576, 1280, 1400, 1500, 1500, 1500, 9000};

	unsigned m = mtu[dice_below(d, SL_ARRAY_CNT(mtu))];

	return v6 ? SL_MAX(m, 1280u) : m;
}

static void
draw_node(struct tcp_dice *d, struct bed_conf *c, unsigned i)
{
	static const uint64_t wraps[] = {1ull << 32, /* ns */
					 (1ull << 32) * 1000, (1ull << 32) * 1000000,
					 (1ull << 32) << 18};
	struct node_conf *n = &c->node[i];

	*n = (struct node_conf){
		.seed = dice_next(d),
		.clock_ns = dice_range(d, 1, 100 * 86400) * TCP_S + dice_below(d, TCP_S),
		.workers = (unsigned)dice_range(d, 1, 3),
		.mtu = draw_mtu(d, c->v6),
		.csum_offload = dice_chance(d, 0.3),
		.buffers = 4096,
		.turn_ns = dice_chance(d, 0.5) ? dice_below(d, 100000) : 0,
		.hold = (unsigned)dice_range(d, 1, 64),
		.share = !dice_chance(d, 0.1),
		.half_open_max = 16,
		.seg_cnt = 8192,
		.block_cnt = 512,
		.pinned_max = dice_chance(d, 0.5) ? 1024 : (uint32_t)dice_below(d, 64),
		.rcv_max = dice_chance(d, 0.5) ? 1 << 20 : (uint32_t)dice_range(d, 4096, 1 << 18),
		.snd_max = dice_chance(d, 0.5) ? 1 << 20 : (uint32_t)dice_range(d, 4096, 1 << 18),
		.timewait_ms = 60000,
		.keepalive_s = (uint16_t)(dice_chance(d, 0.3) ? dice_range(d, 1, 20) : 0),
		.cc = (uint8_t)dice_below(d, 2),
		.nodelay = dice_chance(d, 0.7),
		.listen_port = i == 1 && !c->simultaneous ? LISTEN_PORT : 0,
	};
	n->worker = (unsigned)dice_below(d, n->workers);
	if (n->mtu <= 1500 && dice_chance(d, 0.2))
		n->tso_max = (unsigned)dice_range(d, 3000, 16000);
	if (dice_chance(d, 0.1))
		n->clock_ns = wraps[dice_below(d, 4)] - dice_below(d, 2 * TCP_S);
	if (c->aborts)
		n->keepalive_s = (uint16_t)dice_range(d, 5, 20);
	if (c->cookies)
		n->half_open_max = 0;
	if (c->scarce) {
		n->buffers = n->hold + (unsigned)dice_range(d, 64, 300);
		n->no_buffer = 0.01;
		n->seg_cnt = (uint32_t)dice_range(d, 64, 200);
		n->block_cnt = (uint32_t)dice_range(d, 16, 64);
	}
}

static void
draw_model(struct tcp_dice *d, struct bed_conf *c, unsigned i)
{
	struct model_conf *m = &c->model[i];
	unsigned mtu = draw_mtu(d, c->v6);

	*m = (struct model_conf){
		.local = frame_addr(c->v6 ? addr6[i] : addr4[i]),
		.remote = frame_addr(c->v6 ? addr6[!i] : addr4[!i]),
		.port = i == 1 ? LISTEN_PORT : MODEL_PORT,
		.iss = (uint32_t)dice_next(d),
		.mtu = (uint16_t)mtu,
		.mss = (uint16_t)(mtu - (c->v6 ? 60 : 40)),
		.wscale = dice_chance(d, 0.75),
		.sack = dice_chance(d, 0.75),
		.ts = dice_chance(d, 0.75),
		.shift = (uint8_t)dice_below(d, 15),
		.rcv_bytes = dice_chance(d, 0.5) ? 1 << 18 : (uint32_t)dice_range(d, 1000, 1 << 16),
		.snd_bytes = 1 << 17,
		.delack_ms = (uint32_t)(dice_chance(d, 0.3) ? 0 : dice_range(d, 1, 200)),
		.time_wait_ms = 60000,
		.ts_offset = (uint32_t)dice_next(d),
	};
	if (dice_chance(d, 0.1))
		m->mss = dice_chance(d, 0.5) ? 0 : (uint16_t)dice_range(d, 64, m->mss);
	/* A window that a scale of 14 can tell apart from none. */
	m->rcv_bytes = SL_MAX(m->rcv_bytes, 4u << (m->wscale ? m->shift : 0));
	c->near_wrap[i] = dice_chance(d, 0.3);
	if (c->near_wrap[i])
		m->iss = 0u - (uint32_t)dice_range(d, 1, 20000);
}

/* The worker clock that brings our ISN near 2^32 (RFC 6528: it is the clock plus a hash of the tuple). */
static void
draw_isn(struct tcp_dice *d, struct bed_conf *c, unsigned i)
{
	const char *const *addr = c->v6 ? addr6 : addr4;
	uint32_t isn = 0u - (uint32_t)dice_range(d, 1, 20000);
	uint16_t mine = LISTEN_PORT, other = MODEL_PORT;

	c->near_wrap[i] = true;
	if (i == 0) {
		mine = node_next_port(&c->node[0], addr[0], addr[1],
				      c->simultaneous ? MODEL_PORT : LISTEN_PORT);
		other = c->simultaneous ? MODEL_PORT : LISTEN_PORT;
	} else if (c->ours[0]) {
		other = node_next_port(&c->node[0], addr[0], addr[1], LISTEN_PORT);
	}
	struct sl_tuple t = {.src = frame_addr(addr[!i]),
			     .dst = frame_addr(addr[i]),
			     .sport = sl_to_be16(other),
			     .dport = sl_to_be16(mine),
			     .proto = SL_IPPROTO_TCP};
	c->node[i].clock_ns = node_isn_clock(&c->node[i], addr[i], &t,
					     c->start_ns[0] + (i ? c->link.delay_ns : 0), isn);
}

void
bed_draw(uint64_t seed, bool ours_a, bool ours_b, struct bed_conf *c)
{
	struct tcp_dice d = {seed}, d0 = d;
	d.s = dice_next(&d0);
	uint64_t p = dice_below(&d, 100);

	memset(c, 0, sizeof(*c));
	c->seed = seed;
	c->ours[0] = ours_a;
	c->ours[1] = ours_b;
	c->profile = p < 20   ? BED_CLEAN
		     : p < 60 ? BED_LOSSY
		     : p < 75 ? BED_BURSTS
		     : p < 85 ? BED_FAR
			      : BED_TINY_QUEUE;
	c->link = bed_link(c->profile, &d);
	c->v6 = dice_chance(&d, 0.4);
	c->simultaneous = !ours_b && dice_chance(&d, 0.08);
	c->scarce = dice_chance(&d, 0.05);
	draw_user(&d, &c->user[0], &c->user[1]);
	draw_user(&d, &c->user[1], &c->user[0]);
	draw_reader(&d, &c->user[0]);
	draw_reader(&d, &c->user[1]);
	draw_closes(&d, c);
	c->cookies = ours_b && dice_chance(&d, 0.1);
	c->start_ns[0] = dice_below(&d, 10 * TCP_MS);
	c->start_ns[1] = c->start_ns[0] + dice_below(&d, c->link.delay_ns);
	for (unsigned i = 0; i < 2; i++) {
		draw_node(&d, c, i);
		draw_model(&d, c, i);
	}
	if (c->cookies && !c->user[0].out_bytes)
		/* A client whose ACK is lost and who has nothing to say is never heard of. */
		c->user[0].out_bytes = c->user[1].in_bytes = 1;
	for (unsigned i = 0; i < 2; i++)
		if (c->ours[i] && !(i == 1 && c->cookies) && dice_chance(&d, 0.3))
			draw_isn(&d, c, i);
	if (dice_chance(&d, 0.1)) {
		c->mtu_at_ns = c->start_ns[0] + 4 * c->link.delay_ns + dice_below(&d, 200 * TCP_MS);
		c->mtu_then = (unsigned)dice_range(&d, c->v6 ? 1280 : 576, 1500);
	}
}

/* ---- model as a port of a user ---- */

static uint32_t
m_room(void *ctx)
{
	return model_room(&((struct bed_end *)ctx)->model);
}

static uint32_t
m_readable(void *ctx)
{
	return model_readable(&((struct bed_end *)ctx)->model);
}

static bool
m_eof(void *ctx)
{
	return model_eof(&((struct bed_end *)ctx)->model);
}

static uint32_t
m_produce(void *ctx, uint32_t n)
{
	struct bed_end *e = ctx;
	uint8_t bytes[16384];

	n = SL_MIN(n, (uint32_t)sizeof(bytes));
	user_fill(&e->model_user, 0, bytes, n);
	return model_write(&e->model, bytes, n);
}

static uint32_t
m_consume(void *ctx, uint32_t n)
{
	struct bed_end *e = ctx;
	uint8_t bytes[16384];

	n = model_read(&e->model, bytes, SL_MIN(n, (uint32_t)sizeof(bytes)));
	user_check(&e->model_user, bytes, n);
	return n;
}

static void
m_want_room(void *ctx, uint32_t n)
{
	(void)ctx;
	(void)n;
}

static void
m_shutdown(void *ctx)
{
	model_shutdown(&((struct bed_end *)ctx)->model);
}

static void
m_close(void *ctx)
{
	model_close(&((struct bed_end *)ctx)->model);
}

static void
m_abort(void *ctx)
{
	model_abort(&((struct bed_end *)ctx)->model);
}

static void
m_awake(void *ctx, struct tcp_packet *none)
{
	struct bed_end *e = ctx;

	(void)none;
	if (e->wake_ns > e->bed->w.now_ns)
		return;
	e->wake_ns = UINT64_MAX;
	user_poke(&e->model_user);
}

static void
m_wake(void *ctx, uint64_t at_ns)
{
	struct bed_end *e = ctx;

	if (at_ns >= e->wake_ns)
		return;
	e->wake_ns = at_ns;
	world_at(&e->bed->w, at_ns, m_awake, e, NULL);
}

static const struct user_port model_port = {
	m_room,      m_readable, m_eof,   m_produce, m_consume,
	m_want_room, m_shutdown, m_close, m_abort,   m_wake,
};

static void
m_tell(void *ctx)
{
	struct bed_end *e = ctx;
	struct tcp_user *u = &e->model_user;

	if (!u->opened && e->model.state >= MODEL_ESTABLISHED) {
		u->opened = true;
		u->opened_ns = e->bed->w.now_ns;
	}
	if (e->model.state == MODEL_CLOSED && e->model.end != MODEL_OK)
		u->gone = true;
	user_poke(u);
}

static void
m_send(void *ctx, const uint8_t *ip, unsigned len)
{
	struct bed_end *e = ctx;

	trace_packet(&e->trace, true, ip, len, false);
	link_send(&e->out, ip, len);
}

static void
m_arrive(void *ctx, struct tcp_packet *pkt)
{
	struct bed_end *e = ctx;

	trace_packet(&e->trace, false, pkt->ip, pkt->len, pkt->damaged);
	model_arrive(&e->model, pkt);
}

/* ---- routers ---- */

struct told {
	struct bed_end *e;
	unsigned mtu;
};

static void
m_told(void *ctx, struct tcp_packet *none)
{
	struct told *t = ctx;

	(void)none;
	trace_pmtu(&t->e->trace, t->mtu);
	model_too_big(&t->e->model, t->mtu);
	free(t);
}

static void
too_big(void *ctx, const uint8_t *ip, unsigned len, unsigned mtu)
{
	struct bed_end *e = ctx;

	if (e->ours) {
		trace_pmtu(&e->trace, mtu);
		node_too_big(&e->node, ip, len, mtu);
		return;
	}
	struct told *t = malloc(sizeof(*t));
	if (!t)
		abort();
	*t = (struct told){e, mtu};
	world_at(&e->bed->w, e->bed->w.now_ns + 1000, m_told, t, NULL);
}

static void
shrink(void *ctx, struct tcp_packet *none)
{
	struct bed *b = ctx;

	(void)none;
	b->end[0].out.conf.mtu = b->end[1].out.conf.mtu = b->c->mtu_then;
}

/* ---- putting together ---- */

static void
tap(void *ctx, bool out, const uint8_t *ip, unsigned len, bool damaged)
{
	trace_packet(&((struct bed_end *)ctx)->trace, out, ip, len, damaged);
}

static void
set_up_end(struct bed *b, unsigned i)
{
	const struct bed_conf *c = b->c;
	struct bed_end *e = &b->end[i], *other = &b->end[!i];
	struct trace_conf tc = {
		.seed_out = c->user[i].seed_out,
		.out_bytes = c->user[i].out_bytes,
		.mtu = c->ours[i] ? c->node[i].mtu : c->model[i].mtu,
		.ours = c->ours[i],
		.may_reset = c->aborts || c->scarce,
		.slack_ns = 1 * TCP_MS,
		.rto_min_ms = 200,
		.reneges = c->scarce,
		.old_acks = c->scarce || c->aborts || c->cookies,
		.cookies = i == 1 && c->cookies,
	};

	e->bed = b;
	e->i = i;
	e->ours = c->ours[i];
	e->wake_ns = UINT64_MAX;
	trace_init(&e->trace, &b->w, &tc, (char)('A' + i), &b->log);
	link_init(&e->out, &b->w, c->seed * 2 + i, &c->link, c->ours[!i] ? node_arrive : m_arrive,
		  c->ours[!i] ? (void *)&other->node : other);
	e->out.too_big = too_big;
	e->out.too_big_ctx = e;
	if (e->ours) {
		node_init(&e->node, &b->w, &c->node[i], c->v6 ? addr6[i] : addr4[i]);
		e->node.out = &e->out;
		e->node.tap = tap;
		e->node.tap_ctx = e;
		node_user_init(&e->nu, &e->node, &c->user[i]);
		e->user = &e->nu.user;
	} else {
		model_init(&e->model, &b->w, &c->model[i]);
		e->model.send = m_send;
		e->model.tell = m_tell;
		e->model.ctx = e;
		user_init(&e->model_user, &b->w, &c->user[i], &model_port, e);
		e->user = &e->model_user;
	}
}

static void
open_end(void *ctx, struct tcp_packet *none)
{
	struct bed_end *e = ctx;
	const struct bed_conf *c = e->bed->c;

	(void)none;
	if (e->ours) {
		if (!node_connect(&e->nu, c->v6 ? addr6[!e->i] : addr4[!e->i],
				  c->simultaneous ? MODEL_PORT : LISTEN_PORT))
			complain(e->bed, "connect refused");
		return;
	}
	if (c->simultaneous && e->i == 1)
		e->model.conf.remote_port =
			e->bed->c->ours[0]
				? sl_from_be16(sl_stream_row(e->bed->end[0].nu.s)->tuple.dport)
				: MODEL_PORT;
	model_connect(&e->model);
}

static void
set_up(struct bed *b)
{
	const struct bed_conf *c = b->c;

	world_init(&b->w, 0);
	set_up_end(b, 0);
	set_up_end(b, 1);
	if (!c->ours[0])
		b->end[0].model.conf.remote_port = c->simultaneous ? MODEL_PORT + 1 : LISTEN_PORT;
	if (!c->ours[1] && c->simultaneous)
		b->end[1].model.conf.port = c->ours[0] ? MODEL_PORT : MODEL_PORT + 1;
	else if (!c->ours[1])
		model_listen(&b->end[1].model);
	world_at(&b->w, c->start_ns[0], open_end, &b->end[0], NULL);
	if (c->simultaneous)
		world_at(&b->w, c->start_ns[1], open_end, &b->end[1], NULL);
	if (c->mtu_at_ns)
		world_at(&b->w, c->mtu_at_ns, shrink, b, NULL);
}

/* ---- verdict ---- */

static bool
lossy(const struct bed_conf *c)
{
	return c->profile != BED_CLEAN && c->profile != BED_TINY_QUEUE;
}

static bool
ran_short(const struct bed *b)
{
	for (unsigned i = 0; i < 2; i++)
		if (b->end[i].ours && b->end[i].node.stats->count[SL_TCP_END_NO_MEMORY])
			return true;
	return false;
}

static void
judge_end(struct bed *b, struct bed_end *e)
{
	const struct bed_conf *c = b->c;
	const struct tcp_user *u = e->user;
	char who = (char)('A' + e->i);

	if (u->wrong[0])
		complain(b, "user %c: %s", who, u->wrong);
	if (c->aborts)
		return;
	/* Under pressure streams whose peers take nothing are reset; at most a part of what was sent is there then. */
	if (c->scarce && ran_short(b)) {
		b->r->excused = true;
		return;
	}
	if (!u->opened && lossy(c)) {
		b->r->excused = true;
		return;
	}
	if (!u->opened)
		complain(b, "%c never opened (%s)", who,
			 e->ours ? sl_stream_end_text(e->nu.why)
				 : model_state_name(e->model.state));
	if (u->read != u->conf.in_bytes || u->written != u->conf.out_bytes)
		complain(b, "%c read %llu of %llu, wrote %llu of %llu (%s)", who,
			 (unsigned long long)u->read, (unsigned long long)u->conf.in_bytes,
			 (unsigned long long)u->written, (unsigned long long)u->conf.out_bytes,
			 e->ours ? (e->nu.closed ? sl_stream_end_text(e->nu.why) : "open")
				 : model_state_name(e->model.state));
	if (e->ours && !e->nu.closed && !u->gone)
		complain(b, "%c was never closed", who);
	if (e->ours && e->nu.closed && e->nu.why != SL_END_OK)
		complain(b, "%c ended: %s", who, sl_stream_end_text(e->nu.why));
	if (!e->ours && e->model.end != MODEL_OK)
		complain(b, "model %c ended %d in %s", who, e->model.end,
			 model_state_name(e->model.state));
}

static void
add_up(struct bed *b, const struct bed_end *e)
{
	struct bed_result *r = b->r;
	const struct tcp_trace *t = &e->trace;

	r->bytes += e->user->read;
	if (e->user->read == e->user->conf.in_bytes)
		r->ns[e->i] = e->user->all_ns - e->user->opened_ns;
	r->lost += e->out.lost + e->out.full + e->out.damaged;
	if (e->ours)
		memcpy(r->count[e->i], e->node.stats->count, sizeof(r->count[e->i]));
	r->segs += t->segs;
	r->again += t->again;
	r->by_sack += t->by_sack;
	r->by_rack += t->by_rack;
	r->by_dup += t->by_dup;
	r->by_rto += t->by_rto;
	r->by_tlp += t->by_tlp;
	r->by_pmtu += t->by_pmtu;
	r->probes += t->probes;
}

static bool
wrong_so_far(const struct bed *b)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct bed_end *e = &b->end[i];
		if (e->trace.wrong[0] || e->user->wrong[0] ||
		    (e->ours ? e->node.wrong[0] : e->model.wrong[0]))
			return true;
	}
	return false;
}

static void
run_dry(struct bed *b)
{
	unsigned long steps = 0;

	while (world_step(&b->w)) {
		if (wrong_so_far(b))
			return;
		if (++steps > 5000000 || b->w.now_ns > 7200 * TCP_S) {
			complain(b, "does not end: %lu steps, %.1f s (A %llu/%llu B %llu/%llu)",
				 steps, (double)b->w.now_ns / 1e9,
				 (unsigned long long)b->end[0].user->read,
				 (unsigned long long)b->end[0].user->conf.in_bytes,
				 (unsigned long long)b->end[1].user->read,
				 (unsigned long long)b->end[1].user->conf.in_bytes);
			return;
		}
	}
}

void
bed_run(const struct bed_conf *c, struct bed_result *r, FILE *log)
{
	struct bed *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	memset(r, 0, sizeof(*r));
	b->c = c;
	b->r = r;
	b->log.live = getenv("SIM_LOG") ? log : NULL;
	set_up(b);
	run_dry(b);
	for (unsigned i = 0; i < 2; i++) {
		struct bed_end *e = &b->end[i];
		if (e->trace.wrong[0])
			complain(b, "judge: %s", e->trace.wrong);
		if (!e->ours && e->model.wrong[0])
			complain(b, "model %c: %s", 'A' + i, e->model.wrong);
		if (e->ours && e->node.wrong[0])
			complain(b, "node %c: %s", 'A' + i, e->node.wrong);
	}
	for (unsigned i = 0; i < 2; i++) {
		judge_end(b, &b->end[i]);
		add_up(b, &b->end[i]);
	}
	r->end_ns = b->w.now_ns;
	/* What is left is no fault where nobody could say goodbye, or something went wrong before. */
	bool in_order = !r->wrong[0];
	world_fini(&b->w);
	for (unsigned i = 0; i < 2; i++) {
		struct bed_end *e = &b->end[i];
		if (e->ours) {
			node_fini(&e->node);
			if (in_order && e->node.wrong[0])
				complain(b, "node %c: %s", 'A' + i, e->node.wrong);
		} else
			model_fini(&e->model);
		trace_fini(&e->trace);
	}
	if (r->wrong[0] && log)
		log_print(&b->log, log);
	free(b);
}

/* ---- many seeds ---- */

static void
tell_seed(const struct bed_conf *c, const struct bed_result *r)
{
	printf("    seed %llu (%s%s, %s, A %s %llu bytes, B %s %llu bytes%s%s%s%s): %s\n",
	       (unsigned long long)c->seed, bed_profile_name(c->profile), c->v6 ? ", IPv6" : "",
	       c->simultaneous ? "both open" : "A opens", c->ours[0] ? "ours" : "model",
	       (unsigned long long)c->user[0].out_bytes, c->ours[1] ? "ours" : "model",
	       (unsigned long long)c->user[1].out_bytes, c->aborts ? ", aborts" : "",
	       c->cookies ? ", cookies" : "", c->scarce ? ", scarce" : "",
	       c->mtu_at_ns ? ", MTU shrinks" : "", r->wrong[0] ? r->wrong : "well");
}

static void
one_seed(uint64_t seed, unsigned kind, bool loud, struct bed_sum *sum)
{
	struct bed_conf c;
	struct bed_result r;

	bed_draw(seed, kind & 1, kind & 2, &c);
	/* Everything is looked at after every turn for a share of the seeds. */
	c.node[0].check = c.node[1].check = seed % 8 == 0 || loud;
	bed_run(&c, &r, loud || sum->bad < 2 ? stdout : NULL);
	if (loud || (r.wrong[0] && sum->bad < 40))
		tell_seed(&c, &r);
	sum->runs++;
	sum->bad += r.wrong[0] != 0;
	sum->excused += r.excused && !r.wrong[0];
	sum->all.bytes += r.bytes;
	sum->all.lost += r.lost;
	sum->all.segs += r.segs;
	sum->all.again += r.again;
	sum->all.by_sack += r.by_sack;
	sum->all.by_rack += r.by_rack;
	sum->all.by_dup += r.by_dup;
	sum->all.by_rto += r.by_rto;
	sum->all.by_tlp += r.by_tlp;
	sum->all.by_pmtu += r.by_pmtu;
	sum->all.probes += r.probes;
}

void
bed_seeds(unsigned cnt, unsigned (*kind)(uint64_t seed), struct bed_sum *sum)
{
	const char *only = getenv("SIM_SEED"), *many = getenv("SIM_SEEDS");
	uint64_t from = only ? strtoull(only, NULL, 0) : 1;
	uint64_t to = only ? from : many ? strtoull(many, NULL, 0) : cnt;
	const struct bed_result *a = &sum->all;

	memset(sum, 0, sizeof(*sum));
	for (uint64_t seed = from; seed <= to; seed++)
		one_seed(seed, kind(seed), only != NULL, sum);
	printf("    %lu transfers, %lu excused, %llu bytes, %lu segments, %lu lost; again %lu: "
	       "SACK "
	       "%lu, RACK %lu, duplicates %lu, time-out %lu, tail %lu, MTU %lu; probes %lu ",
	       sum->runs, sum->excused, (unsigned long long)a->bytes, a->segs, a->lost, a->again,
	       a->by_sack, a->by_rack, a->by_dup, a->by_rto, a->by_tlp, a->by_pmtu, a->probes);
}

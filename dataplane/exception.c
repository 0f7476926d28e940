#include "dataplane/exception.h"

#include "dataplane/kernel_addrs.h"
#include "dataplane/kernel_if.h"
#include "sluice/ctl.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BURST 32
#define OUT_MAX 512 /* places of a ring out */
#define OUT_MIN 32
#define NAP_NS 100000l
#define NAPS 20               /* before it sleeps */
#define VHOST_NAP_NS 1000000l /* nothing wakes it for these */
#define SLEEP_NS 500000000l
#define ETH_LEN 14
#define QUIET 10 /* calls of watch until losses may be told again */

struct lane { /* of a worker */
	struct sl_ring *out[SL_PUNT_CLASSES], *back, *empty, *in;
	struct sl_punt_item room; /* an empty buffer that was taken and not used; buf NULL: none */
};

struct kernel_port {
	struct sl_kernel_if kif;
	bool has;
	char what[40];
	/* thread */
	_Atomic uint64_t refused; /* frames that the interface did not take; relaxed: a counter */
	_Atomic bool gone;        /* somebody removed the interface; relaxed: a mark */
	/* main */
	uint64_t told;
	unsigned quiet;
	bool told_gone;
};

struct sl_exception {
	SL_ALIGNED _Atomic uint32_t asleep; /* 1: the thread waits for wake_fd */
	SL_ALIGNED struct sl_exception_conf conf;
	unsigned worker_cnt, port_cnt;
	bool any_vhost;
	bool runs;
	pthread_t thread;
	int wake_fd;
	unsigned first;            /* [thread] port that is read first */
	_Atomic bool stop;         /* relaxed: wake_fd, written behind it, makes a sleeper see it */
	_Atomic unsigned left_out; /* addresses; relaxed: a number for the log */
	unsigned left_out_told;
	void *rings;
	struct sl_punt_addrs addrs;
	struct sl_kernel_addrs kernel;
	struct lane lane[SL_BOOT_MAX_WORKERS];
	struct kernel_port port[SL_BOOT_MAX_PORTS];
};

/* ---- the thread: towards the kernel ---- */

/* How many more the other end of a ring of ours takes; it may be more by now. */
static uint32_t
room_of(const struct sl_ring *r)
{
	return r->mask + 1 -
	       (atomic_load_explicit(&r->head, memory_order_relaxed) -
		atomic_load_explicit(&r->tail, memory_order_acquire));
}

static void
write_one(struct sl_exception *x, const struct sl_punt_item *it)
{
	struct kernel_port *p = &x->port[it->port];

	if (!sl_kernel_if_write(&p->kif, it->data, it->len))
		atomic_fetch_add_explicit(&p->refused, 1, memory_order_relaxed);
}

static unsigned
drain(struct sl_exception *x, struct lane *l, struct sl_ring *out)
{
	struct sl_punt_item items[BURST];
	unsigned n = sl_ring_take(out, items, SL_MIN(room_of(l->back), (uint32_t)BURST));

	for (unsigned i = 0; i < n; i++) {
		write_one(x, &items[i]);
		sl_ring_put(l->back, &items[i].buf, 1);
	}
	return n;
}

/* A burst of each class of each worker. */
static unsigned
to_kernel(struct sl_exception *x)
{
	unsigned done = 0;

	for (unsigned w = 0; w < x->worker_cnt; w++)
		for (unsigned c = 0; c < SL_PUNT_CLASSES; c++)
			done += drain(x, &x->lane[w], x->lane[w].out[c]);
	return done;
}

/* ---- the thread: from the kernel ---- */

static bool
take_room(struct lane *l)
{
	return l->room.buf || sl_ring_take(l->empty, &l->room, 1) == 1;
}

/* A burst of the port's.  *ret_short: there was no buffer to read into. */
static unsigned
read_port(struct sl_exception *x, unsigned port, bool *ret_short)
{
	struct lane *l = &x->lane[port % x->worker_cnt];
	struct sl_kernel_if *k = &x->port[port].kif;
	unsigned done = 0;

	for (; done < BURST; done++) {
		if (!take_room(l)) {
			*ret_short = true;
			break;
		}
		int n = sl_kernel_if_read(k, l->room.data, (unsigned)x->conf.boot->mbuf_data);
		if (n == 0)
			break;
		if (n < ETH_LEN)
			continue;
		l->room.len = (uint16_t)n;
		l->room.port = (uint16_t)port;
		sl_ring_put(l->in, &l->room, 1);
		l->room.buf = NULL;
	}
	return done;
}

static bool
gone(const struct kernel_port *p)
{
	return atomic_load_explicit(&p->gone, memory_order_relaxed);
}

/* Each time another port comes first: ports of one worker share its buffers, and one alone could use them all. */
static unsigned
from_kernel(struct sl_exception *x, bool *ret_short)
{
	unsigned done = 0;

	*ret_short = false;
	x->first = (x->first + 1) % x->port_cnt;
	for (unsigned i = 0; i < x->port_cnt; i++) {
		unsigned port = (x->first + i) % x->port_cnt;
		if (x->port[port].has && !gone(&x->port[port]))
			done += read_port(x, port, ret_short);
	}
	return done;
}

/* ---- the thread: waiting ---- */

static bool
all_empty(struct sl_exception *x)
{
	for (unsigned w = 0; w < x->worker_cnt; w++)
		for (unsigned c = 0; c < SL_PUNT_CLASSES; c++)
			if (!sl_ring_empty(x->lane[w].out[c]))
				return false;
	return true;
}

/* Waits for the kernel, changes of its addresses, and wake.  Without room to read into, interfaces are not waited for. */
static void
wait_for_any(struct sl_exception *x, long ns, bool is_short)
{
	struct pollfd p[2 + SL_BOOT_MAX_PORTS] = {{x->wake_fd, POLLIN, 0},
						  {x->kernel.events_fd, POLLIN, 0}};
	struct kernel_port *of[2 + SL_BOOT_MAX_PORTS];
	struct timespec ts = {0, ns};
	unsigned n = 2;
	uint64_t cnt;

	for (unsigned i = 0; i < x->port_cnt && !is_short; i++) {
		if (!x->port[i].has || x->port[i].kif.vhost || gone(&x->port[i]))
			continue;
		of[n] = &x->port[i];
		p[n++] = (struct pollfd){x->port[i].kif.fd, POLLIN, 0};
	}
	if (ppoll(p, n, &ts, NULL) <= 0)
		return;
	for (unsigned i = 2; i < n; i++)
		if (p[i].revents & POLLERR) /* for ever: it would be no wait any more */
			atomic_store_explicit(&of[i]->gone, true, memory_order_relaxed);
	if (p[0].revents)
		(void)!read(x->wake_fd, &cnt, sizeof(cnt));
	if (p[1].revents) {
		sl_kernel_addrs_turn(&x->kernel, &x->addrs);
		atomic_store_explicit(&x->left_out, x->kernel.left_out, memory_order_relaxed);
	}
}

static void
sleep_until_woken(struct sl_exception *x)
{
	/* One word, changed by both: if a worker's put came before, its exchange released it and this acquires it;
	 * if this came before, the worker sees 1 and wakes.  Pairs with wake. */
	(void)atomic_exchange_explicit(&x->asleep, 1, memory_order_acq_rel);
	if (all_empty(x) && !atomic_load_explicit(&x->stop, memory_order_relaxed))
		wait_for_any(x, x->any_vhost ? VHOST_NAP_NS : SLEEP_NS, false);
	atomic_store_explicit(&x->asleep, 0, memory_order_relaxed);
}

static void *
run(void *exception)
{
	struct sl_exception *x = exception;
	unsigned idle = 0;
	bool is_short;

	while (!atomic_load_explicit(&x->stop, memory_order_relaxed)) {
		unsigned done = to_kernel(x) + from_kernel(x, &is_short);
		if (done)
			idle = 0;
		else
			idle++;
		if (done == 0 && idle > NAPS && !is_short)
			sleep_until_woken(x);
		else
			wait_for_any(x, done ? 0 : NAP_NS, is_short);
	}
	return NULL;
}

/* [worker] */
static void
wake(void *exception)
{
	struct sl_exception *x = exception;
	const uint64_t one = 1;

	if (atomic_fetch_and_explicit(&x->asleep, 0, memory_order_acq_rel))
		(void)!write(x->wake_fd, &one, sizeof(one));
}

/* ---- making ---- */

static uint32_t
out_size(const struct sl_boot *b)
{
	uint32_t size = OUT_MAX, most = (uint32_t)b->buffers / 16 / SL_PUNT_CLASSES / b->worker_cnt;

	while (size > OUT_MIN && size > most)
		size /= 2;
	return size;
}

static void
lay_out(struct sl_exception *x, uint8_t *mem, size_t *ret_bytes)
{
	uint32_t out = out_size(x->conf.boot);
	const struct {
		uint32_t size, item;
	} kinds[] = {{out, sizeof(struct sl_punt_item)},
		     {4 * out, sizeof(void *)},
		     {2 * SL_PUNT_ROOM, sizeof(struct sl_punt_item)}};
	size_t at = 0;

	for (unsigned w = 0; w < x->worker_cnt; w++) {
		struct lane *l = &x->lane[w];
		struct sl_ring **rings[] = {&l->out[0], &l->out[1], &l->out[2],
					    &l->back,   &l->empty,  &l->in};
		static_assert(SL_PUNT_CLASSES == 3, "");
		for (unsigned i = 0; i < SL_ARRAY_CNT(rings); i++) {
			unsigned kind = i < 3 ? 0 : i == 3 ? 1 : 2;
			if (mem)
				*rings[i] =
					sl_ring_init(mem + at, kinds[kind].size, kinds[kind].item);
			at += sl_ring_bytes(kinds[kind].size, kinds[kind].item);
		}
	}
	*ret_bytes = at;
}

static int
make_rings(struct sl_exception *x)
{
	size_t bytes;

	lay_out(x, NULL, &bytes);
	if (posix_memalign(&x->rings, SL_CACHE_LINE, bytes))
		return -ENOMEM;
	lay_out(x, x->rings, &bytes);
	return 0;
}

/* The kernel takes all packets of an interface that is read by AF_PACKET, too. */
static bool
kernel_sees_all(const struct sl_port *p)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(p->id, &info) == 0 &&
	       strcmp(info.driver_name, "net_af_packet") == 0;
}

static int
make_port(struct sl_exception *x, unsigned i, struct sl_diag *diag)
{
	const struct sl_boot_port *b = &x->conf.boot->ports[i];
	const struct sl_port *p = &x->conf.ports->port[i];
	struct kernel_port *k = &x->port[i];
	struct sl_kernel_if_conf c = {.name = b->kernel,
				      .idx = i,
				      .mtu = p->mtu,
				      .room = (uint16_t)x->conf.boot->mbuf_data};
	char path[48], text[SL_KERNEL_IF_TEXT] = "", line[SL_KERNEL_IF_TEXT + 160];

	snprintf(path, sizeof(path), "ports[%u].kernel", i);
	if (kernel_sees_all(p)) {
		sl_diag_add(diag, x->conf.boot->file, b->line, path,
			    "leave kernel out, or use driver \"af_xdp\"",
			    "port %s is read by AF_PACKET: the kernel sees all its packets anyway",
			    b->name);
		return -EINVAL;
	}
	memcpy(c.mac, p->mac, 6);
	int err = sl_kernel_if_open(&k->kif, &c, text);
	if (err) {
		sl_diag_add(diag, x->conf.boot->file, b->line, path, NULL, "port %s: %s", b->name,
			    text);
		return err;
	}
	k->has = true;
	x->any_vhost |= k->kif.vhost;
	snprintf(k->what, sizeof(k->what), "%s (%s)", b->kernel,
		 k->kif.vhost ? "vhost-net" : "TAP");
	sl_kernel_if_carrier(&k->kif, p->up == 1);
	snprintf(line, sizeof(line), "port %s: the kernel has %s, at most %d packets a second%s%s",
		 b->name, k->what, b->kernel_pps, text[0] ? "; " : "", text);
	x->conf.log(line);
	return 0;
}

static int
start(struct sl_exception *x)
{
	int err = sl_kernel_addrs_open(&x->kernel);

	if (err)
		return err;
	if (!sl_kernel_addrs_read(&x->kernel, &x->addrs))
		return -EIO;
	x->left_out = x->kernel.left_out;
	x->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (x->wake_fd < 0)
		return -errno;
	err = make_rings(x);
	if (!err)
		err = -pthread_create(&x->thread, NULL, run, x);
	if (err)
		return err;
	x->runs = true;
	pthread_setname_np(x->thread, "kernel");
	return -pthread_setaffinity_np(x->thread, sizeof(cpu_set_t), x->conf.set);
}

static bool
any_port(const struct sl_boot *b)
{
	for (unsigned i = 0; i < b->port_cnt; i++)
		if (b->ports[i].kernel[0])
			return true;
	return false;
}

int
sl_exception_create(const struct sl_exception_conf *conf, struct sl_diag *diag,
		    struct sl_exception **ret)
{
	const struct sl_boot *b = conf->boot;
	struct sl_exception *x;
	int err = 0;

	*ret = NULL;
	if (!any_port(b))
		return 0;
	x = aligned_alloc(SL_CACHE_LINE,
			  (sizeof(*x) + SL_CACHE_LINE - 1) / SL_CACHE_LINE * SL_CACHE_LINE);
	if (!x)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	x->conf = *conf;
	x->worker_cnt = b->worker_cnt;
	x->port_cnt = b->port_cnt;
	x->wake_fd = x->kernel.events_fd = x->kernel.ask_fd = -1;
	for (unsigned i = 0; i < b->port_cnt; i++)
		if (b->ports[i].kernel[0]) {
			int e = make_port(x, i, diag);
			err = err ? err : e;
		}
	if (!err && (err = start(x)) != 0)
		sl_diag_add(diag, NULL, 0, NULL, NULL, "the way to the kernel: %s", strerror(-err));
	if (err) {
		sl_exception_destroy(x);
		return err;
	}
	*ret = x;
	return 0;
}

void
sl_exception_destroy(struct sl_exception *x)
{
	const uint64_t one = 1;

	if (!x)
		return;
	if (x->runs) {
		atomic_store_explicit(&x->stop, true, memory_order_relaxed);
		(void)!write(x->wake_fd, &one, sizeof(one));
		pthread_join(x->thread, NULL);
	}
	for (unsigned i = 0; i < x->port_cnt; i++)
		if (x->port[i].has)
			sl_kernel_if_close(&x->port[i].kif);
	sl_kernel_addrs_close(&x->kernel);
	if (x->wake_fd >= 0)
		close(x->wake_fd);
	free(x->rings); /* the buffers in them go with the pool */
	free(x);
}

void
sl_exception_worker(struct sl_exception *x, unsigned id, struct sl_punt_conf *ret)
{
	*ret = (struct sl_punt_conf){0};
	if (!x)
		return;
	struct lane *l = &x->lane[id];
	*ret = (struct sl_punt_conf){.addrs = &x->addrs, .back = l->back, .wake = wake, .ctx = x};
	memcpy(ret->out, l->out, sizeof(ret->out));
	for (unsigned i = 0; i < x->port_cnt; i++) {
		if (!x->port[i].has)
			continue;
		ret->pps[i] = (uint32_t)x->conf.boot->ports[i].kernel_pps;
		if (i % x->worker_cnt == id) {
			ret->empty = l->empty;
			ret->in = l->in;
		}
	}
}

/* ---- once a second ---- */

static void __attribute__((format(printf, 2, 3)))
say(const struct sl_exception *x, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	x->conf.log(line);
}

static void
watch_port(struct sl_exception *x, unsigned i)
{
	struct kernel_port *k = &x->port[i];
	uint64_t refused = atomic_load_explicit(&k->refused, memory_order_relaxed);

	if (gone(k)) {
		if (!k->told_gone)
			say(x, "port %s: %s was removed: restart the dataplane to have it again",
			    x->conf.ports->port[i].name, k->what);
		k->told_gone = true;
		return;
	}
	sl_kernel_if_carrier(&k->kif, x->conf.ports->port[i].up == 1);
	if (k->quiet > 0 && --k->quiet > 0)
		return;
	if (refused > k->told) {
		say(x, "port %s: %s did not take %llu packets: is it up?",
		    x->conf.ports->port[i].name, k->what, (unsigned long long)(refused - k->told));
		k->quiet = QUIET;
	}
	k->told = refused;
}

void
sl_exception_watch(struct sl_exception *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < x->port_cnt; i++)
		if (x->port[i].has)
			watch_port(x, i);
	unsigned left_out = atomic_load_explicit(&x->left_out, memory_order_relaxed);
	if (left_out != x->left_out_told)
		say(x,
		    "the kernel has %u addresses more than the %u that packets are given to it for",
		    left_out, SL_PUNT_ADDRS);
	x->left_out_told = left_out;
}

int
sl_exception_by(const struct sl_exception *x, unsigned port)
{
	if (!x || port >= x->port_cnt || !x->port[port].has)
		return SL_KERNEL_BY_NONE;
	return x->port[port].kif.vhost ? SL_KERNEL_BY_VHOST : SL_KERNEL_BY_TAP;
}

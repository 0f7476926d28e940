/* sluice-dataplane: the boot order as one table, then the main thread's loop.
 *
 * Each step comes up with what the steps before it made, and puts its problems into the gateway's diag; when
 * one fails, all of them are printed and the steps before go down in reverse order.  The control
 * socket is taken early, so that a second instance stops before it touches memory or ports; it is served
 * from the loop on. */
#include "dataplane/boot_show.h"
#include "dataplane/crew.h"
#include "dataplane/fdstore.h"
#include "dataplane/filter.h"
#include "dataplane/gateway.h"
#include "dataplane/publish.h"
#include "dataplane/segments.h"
#include "dataplane/unplug.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_log.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NS 1000000000ull
#define SLOW_START_NS 1000000000ull
#define BOOT_FILE "/etc/sluice/dataplane.conf"

#define NO_HUGE "SLUICE_NO_HUGE" /* in the environment: see again_without_huge */

static char **arguments_given;
static cpu_set_t cpus_given; /* the EAL pins this thread */

struct step {
	const char *what;
	int (*up)(struct sl_gateway *g);
	void (*down)(struct sl_gateway *g); /* NULL: nothing to undo */
};

static unsigned step_ms[16]; /* what each took */

/* ---- the log ---- */

void
sl_gateway_log(const char *line)
{
	fprintf(stderr, "sluice-dataplane: %s\n", line);
}

void
sl_gateway_say(const char *fmt, ...)
{
	char line[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sl_gateway_log(line);
}

static void
say_diag(struct sl_diag *d, const char *kind)
{
	char text[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], text, sizeof(text));
		sl_gateway_say("%s%s", kind, text);
	}
	if (d->more)
		sl_gateway_say("%s%u more", kind, d->more);
	sl_diag_fini(d);
}

int
sl_gateway_random(void *to, size_t n)
{
	return getrandom(to, n, 0) == (ssize_t)n ? 0 : -EIO;
}

static uint64_t
monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Both clocks at once: of some readings the one that was disturbed least. */
struct instant {
	uint64_t tsc, ns;
};

static struct instant
instant(void)
{
	struct instant best = {0};
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = __rdtsc(), ns = monotonic_ns(), after = __rdtsc();
		if (after - before < least) {
			least = after - before;
			best = (struct instant){before + least / 2, ns};
		}
	}
	return best;
}

static struct instant started;

/* ---- machine ---- */

/* Before there is anything that a child should not have. */
static int
warden_up(struct sl_gateway *g)
{
	bool keep = g->boot.privileges == SL_PRIVILEGES_KEEP;

	g->lockdown = (struct sl_lockdown_conf){
		.user = g->boot.user, .file = g->boot.file, .filter = sl_filter_possible()};
	if (!keep && g->boot.tls_sessions)
		g->lockdown.keep = sl_lockdown_memory();
	if (!g->boot.tls_core_dumps)
		sl_lockdown_dumps();
	return sl_upgrade_start(&g->upgrade, g->boot.file, keep, g->lockdown.keep);
}

/* Before anything uses OpenSSL. */
static int
vault_up(struct sl_gateway *g)
{
	struct sl_diag notes = {0};
	int err = sl_tls_main_vault(&g->tls, &g->boot, &g->diag, &notes);

	say_diag(&notes, "note: ");
	return err;
}

static int
machine_up(struct sl_gateway *g)
{
	struct sl_diag notes = {0};

	if (getenv(NO_HUGE) && g->boot.hugepages == SL_HUGE_AUTO)
		g->boot.hugepages = SL_HUGE_NEVER;
	int err = sl_host_check(&g->boot, &g->diag, &notes, &g->host);
	int user = sl_lockdown_check(
		&(struct sl_lockdown_conf){g->boot.user, g->boot.file, 0, true}, &g->diag);

	say_diag(&notes, "note: ");
	return err ? err : user;
}

static int
signals_up(struct sl_gateway *g)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL); /* every thread made later inherits it */
	g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return g->signal_fd < 0 ? -errno : 0;
}

/* ---- control socket ---- */

static void
ctl_active(void *ctx, uint64_t *ret_generation, struct sl_obj_id *ret_root)
{
	sl_publish_active(((struct sl_gateway *)ctx)->publish, ret_generation, ret_root);
}

static void
ctl_offer(void *ctx, uint64_t generation, const struct sl_obj_id *root, uint32_t sample_ppm, int fd)
{
	sl_publish_offer(((struct sl_gateway *)ctx)->publish, generation, root, sample_ppm, fd);
}

static void
ctl_object(void *ctx, uint64_t generation, uint32_t ref, int fd)
{
	sl_publish_object(((struct sl_gateway *)ctx)->publish, generation, ref, fd);
}

static void
ctl_shadow(void *ctx, uint32_t seq, uint32_t op)
{
	sl_publish_shadow(((struct sl_gateway *)ctx)->publish, seq, op);
}

static void
ctl_drop(void *ctx)
{
	struct sl_gateway *g = ctx;

	if (g->publish)
		sl_publish_drop(g->publish);
}

static int
ctl_explain(void *ctx, const struct sl_ctl_explain *ask, const char **ret_why)
{
	struct sl_gateway *g = ctx;

	return sl_explain_ask(&g->explain, ask, sl_clock_now(&g->shared.clock), ret_why);
}

static int
ctl_explain_http(void *ctx, const struct sl_ctl_explain_http *ask, const uint8_t *text,
		 const char **ret_why)
{
	struct sl_gateway *g = ctx;

	return sl_explain_ask_http(&g->explain, ask, text, sl_clock_now(&g->shared.clock), ret_why);
}

static int
ctl_flows(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region)
{
	const struct sl_region *r = &((struct sl_gateway *)ctx)->takeover.region;

	if (!r->head)
		return -1;
	*ret_bytes = r->bytes;
	*ret_region = r->head->region;
	return r->keep_fd;
}

static void
ctl_parked(void *ctx, uint64_t bytes, uint64_t region, int fd)
{
	sl_takeover_parked(ctx, bytes, region, fd);
}

static void
ctl_upgrade(void *ctx, uint32_t seq)
{
	struct sl_gateway *g = ctx;

	if (g->farewell.open) {
		sl_ctl_server_upgraded(g->server, seq, EBUSY, "the dataplane is about to end");
		return;
	}
	char text[SL_CTL_TEXT_MAX];
	int err = sl_upgrade_ask(&g->upgrade, seq, monotonic_ns(), text, sizeof(text));
	if (err)
		sl_ctl_server_upgraded(g->server, seq, -err, text);
}

static int
ctl_secret(void *ctx, uint32_t kind, const char *name, const void *bytes, size_t n,
	   char ret_text[SL_CTL_WHY])
{
	struct sl_gateway *g = ctx;

	static_assert(SL_TLS_TEXT <= SL_CTL_WHY, "");
	return sl_tls_main_secret(&g->tls, sl_publish_view(g->publish), kind, name, bytes, n,
				  ret_text);
}

static int
ctl_forget(void *ctx, uint32_t kind, const char *name, char ret_text[SL_CTL_WHY])
{
	struct sl_gateway *g = ctx;

	return sl_tls_main_forget(&g->tls, sl_publish_view(g->publish), kind, name, ret_text);
}

static void
ctl_stop(void *ctx)
{
	sl_farewell_release(&((struct sl_gateway *)ctx)->farewell);
}

struct port_answer {
	struct sl_ctl_server *server;
	uint32_t seq;
};

static void
put_port(void *ctx, struct sl_ctl_port *m)
{
	const struct port_answer *a = ctx;

	sl_ctl_server_port(a->server, a->seq, m);
}

/* The devices' own statistics only when one port is asked for. */
static void
ctl_ports(void *ctx, uint32_t seq, uint32_t port)
{
	struct sl_gateway *g = ctx;
	struct port_answer a = {g->server, seq};

	for (unsigned i = 0; port == UINT32_MAX && i < g->ports.cnt; i++)
		sl_port_tell(&g->ports, i, false, i + 1 == g->ports.cnt, put_port, &a);
	if (port < g->ports.cnt)
		sl_port_tell(&g->ports, port, true, true, put_port, &a);
}

static void
ctl_log(void *ctx, const char *line)
{
	(void)ctx;
	sl_gateway_log(line);
}

static int
control_up(struct sl_gateway *g)
{
	errno = 0;
	const struct passwd *pw = getpwnam(g->boot.daemon_user);

	if (!pw) {
		sl_diag_add(&g->diag, g->boot.file, 0, "daemon_user", NULL,
			    "there is no user \"%s\"", g->boot.daemon_user);
		return -ENOENT;
	}
	struct sl_ctl_server_conf conf = {
		.path = g->boot.control,
		.daemon_uid = pw->pw_uid,
		.boot_id = g->boot_id,
		.worker_cnt = g->boot.worker_cnt,
		.port_cnt = g->boot.port_cnt,
		.state_bytes = g->state_bytes,
		.stats_bytes = g->stats_bytes,
		.streams_bytes = g->streams_bytes,
		.events_bytes = g->events_bytes,
		.state_fd = g->state_fd,
		.stats_fd = g->stats_fd,
		.streams_fd = g->streams_fd,
		.events_fd = g->events_fd,
		.ops = {ctl_active, ctl_offer, ctl_object, ctl_drop, ctl_explain, ctl_explain_http,
			ctl_flows, ctl_parked, ctl_upgrade, ctl_secret, ctl_forget, ctl_stop,
			ctl_ports, ctl_shadow, ctl_log, g},
	};
	return sl_ctl_server_create(&conf, &g->diag, &g->server);
}

static void
control_down(struct sl_gateway *g)
{
	sl_ctl_server_destroy(g->server);
}

/* ---- EAL and ports ---- */

/* Another process took the hugepages after we had looked, and the EAL cannot be started twice in one process:
 * the program begins anew without them. */
static void
again_without_huge(struct sl_gateway *g)
{
	sl_gateway_say(
		"note: hugepages were taken by another process: starting again on normal pages");
	sched_setaffinity(0, sizeof(cpus_given), &cpus_given);
	setenv(NO_HUGE, "1", 1);
	if (g->flows_fd >= 0)
		sl_fdstore_leave(g->flows_fd);
	sl_upgrade_stop(&g->upgrade);
	execv("/proc/self/exe", arguments_given);
}

static int
eal_up(struct sl_gateway *g)
{
	struct sl_eal_args *args = malloc(sizeof(*args));

	if (!args)
		return -ENOMEM;
	sl_host_eal_args(&g->boot, &g->host, args);
	int n = rte_eal_init(args->argc, args->argv);
	if (n < 0 && g->host.huge && g->boot.hugepages == SL_HUGE_AUTO)
		again_without_huge(g);
	/* the EAL keeps no pointer into args */
	if (n < 0)
		sl_diag_add(&g->diag, NULL, 0, NULL,
			    "what it said stands above; memory.size_mb and workers are what it was "
			    "given",
			    "DPDK does not start: %s", rte_strerror(rte_errno));
	free(args);
	if (n < 0)
		return -EIO;
	struct instant now = instant();
	if (now.ns - g->started_ns < 20000000) { /* too short to measure a rate by */
		nanosleep(&(struct timespec){0, 20000000}, NULL);
		now = instant();
	}
	double hz = (double)(now.tsc - started.tsc) * 1e9 / (double)(now.ns - started.ns);
	sl_clock_init(&g->shared.clock, (uint64_t)hz, now.ns, monotonic_ns);
	sl_clock_follow(&g->shared.clock, monotonic_ns());
	return 0;
}

static void
eal_down(struct sl_gateway *g)
{
	(void)g;
	rte_eal_cleanup();
}

static int
ports_up(struct sl_gateway *g)
{
	uint8_t key[SL_RSS_KEY_BYTES];

	memcpy(key, g->boot.rss_key, sizeof(key));
	int err = 0;
	if (!g->boot.has_rss_key)
		do
			err = sl_gateway_random(key, sizeof(key));
		while (!err && !sl_rss_key_ok(key));
	if (err)
		return err;
	sl_rss_init(&g->rss, key, g->boot.worker_cnt);
	err = sl_port_open(&g->ports, &g->boot, &g->rss, sl_gateway_log, &g->diag);
	if (err == -ENOMEM && g->host.huge && g->boot.hugepages == SL_HUGE_AUTO)
		again_without_huge(g); /* no port is open yet */
	return err;
}

/* Without privileges nobody takes an XDP program off: it stays, gives all packets to the kernel, and the next start finds it. */
static void
ports_down(struct sl_gateway *g)
{
	bool xdp = false;

	for (unsigned i = 0; i < g->ports.cnt; i++)
		xdp |= strncmp(g->ports.port[i].what, "net_af_xdp", 10) == 0;
	if (xdp && g->locked) {
		(void)rte_log_set_level_pattern("pmd.net.af_xdp*", RTE_LOG_CRIT);
		sl_gateway_say(
			"note: the XDP programs stay on their interfaces and give all packets "
			"to the kernel, until the next start or ip link set dev NAME xdp off");
	}
	sl_port_close(&g->ports);
}

/* Where threads of ours run: where no worker does, if they can; the EAL has pinned this one. */
static cpu_set_t
beside_workers(const struct sl_gateway *g)
{
	cpu_set_t set = cpus_given;

	for (unsigned i = 0; i < g->boot.worker_cnt; i++)
		CPU_CLR((size_t)g->boot.workers[i], &set);
	if (CPU_COUNT(&set) == 0)
		CPU_SET((size_t)g->host.main_cpu, &set);
	return set;
}

/* ---- the kernel's share ---- */

static int
exception_up(struct sl_gateway *g)
{
	cpu_set_t set = beside_workers(g);
	const struct sl_exception_conf conf = {
		.boot = &g->boot, .ports = &g->ports, .set = &set, .log = sl_gateway_log};

	int err = sl_exception_create(&conf, &g->diag, &g->exception);
	for (unsigned i = 0; i < g->ports.cnt; i++)
		g->ports.port[i].kernel_by = sl_exception_by(g->exception, i);
	return err;
}

static void
exception_down(struct sl_gateway *g)
{
	sl_exception_destroy(g->exception);
	g->exception = NULL;
}

/* ---- TLS ---- */

static int
tls_up(struct sl_gateway *g)
{
	cpu_set_t set = beside_workers(g);

	return sl_tls_main_up(&g->tls, &g->boot, &set, rte_get_tsc_hz(), &g->diag);
}

static void
tls_down(struct sl_gateway *g)
{
	sl_tls_main_down(&g->tls);
}

/* All threads are there, all ports are open; memory for flows is made by who will be here for good. */
static int
privileges_up(struct sl_gateway *g)
{
	char text[SL_LOCKDOWN_TEXT];
	struct sl_lockdown l;

	if (g->boot.privileges == SL_PRIVILEGES_KEEP)
		return 0;
	int err = sl_lockdown_enter(&g->lockdown, &g->diag, &l);
	if (err)
		return err;
	g->locked = true;
	sl_lockdown_say(&l, g->lockdown.filter, text);
	sl_gateway_say("privileges: %s", text);
	sl_ctl_server_privileges(g->server,
				 SL_CTL_PRIVILEGES_DROPPED | (l.kept ? SL_CTL_PRIVILEGES_LOCK : 0) |
					 (g->lockdown.filter ? SL_CTL_PRIVILEGES_FILTER : 0));
	return 0;
}

/* Behind the threads: workers take their tables themselves. */
static int
flows_up(struct sl_gateway *g)
{
	int fd = g->flows_fd;

	g->flows_fd = -1;
	sl_takeover_boot(g, fd);
	return 0;
}

static void
threads_down(struct sl_gateway *g)
{
	atomic_store_explicit(&g->shared.stop, true, memory_order_relaxed);
	rte_eal_mp_wait_lcore();
	sl_tls_main_stop(&g->tls);
}

static int
threads_up(struct sl_gateway *g)
{
	for (unsigned i = 0; i < g->boot.worker_cnt; i++) {
		int err = rte_eal_remote_launch(sl_lcore_run, &g->lcores[i], i + 1);
		if (err) {
			sl_diag_add(&g->diag, NULL, 0, NULL, NULL, "worker %u: %s", i,
				    strerror(-err));
			threads_down(g); /* those that run */
			return err;
		}
	}
	return 0;
}

/* ---- the loop ---- */

static void
say_ready(const struct sl_gateway *g)
{
	char ports[1024] = "";
	size_t n = 0;

	for (unsigned i = 0; i < g->ports.cnt && n < sizeof(ports); i++)
		n += (size_t)snprintf(ports + n, sizeof(ports) - n, "%s%s (%s)", i ? ", " : "",
				      g->ports.port[i].name, g->ports.port[i].what);
	sl_gateway_say("ready: control socket %s, %u worker%s, ports %s; %s pages, %s; %u ms",
		       g->boot.control, g->boot.worker_cnt, g->boot.worker_cnt > 1 ? "s" : "",
		       ports, g->host.huge ? "huge" : "normal",
		       g->shared.adaptive ? "adaptive" : "polling",
		       (unsigned)((monotonic_ns() - g->started_ns) / 1000000));
	sl_fdstore_notify("READY=1\n");
}

/* What the filter refused is a fault: of ours, or of who is in here. */
static void
refused_turn(void)
{
	char name[SL_FILTER_NAME];
	int number;

	while (sl_filter_refused(&number, name))
		sl_gateway_say("privileges: system call %s (%d) was refused: the filter does not "
			       "know it; this is told once",
			       name, number);
}

static void
watchdog_turn(struct sl_gateway *g)
{
	unsigned worker;
	bool before = g->watchdog.stands;

	switch (sl_watchdog_turn(&g->watchdog, g->stats, monotonic_ns(), &worker)) {
	case SL_WATCHDOG_LIVES:
		if (before)
			sl_gateway_say("watchdog: all workers turn again");
		sl_fdstore_notify("WATCHDOG=1\n");
		break;
	case SL_WATCHDOG_STANDS:
		sl_gateway_say("watchdog: worker %u stands still; the manager is not told that we "
			       "live until it turns",
			       worker);
		break;
	case SL_WATCHDOG_WAIT:
	case SL_WATCHDOG_STILL:
		break;
	}
}

/* Whether a signal says stop. */
static bool
stop_asked(struct sl_gateway *g)
{
	struct signalfd_siginfo si;

	while (read(g->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			sl_gateway_say("SIGHUP: the boot file is read at start only; tables come "
				       "from sluiced");
			continue;
		}
		sl_gateway_say("stopping: %s from pid %u", strsignal((int)si.ssi_signo),
			       si.ssi_pid);
		return true;
	}
	return false;
}

/* Whether the program is to become another. */
static bool
upgrade_turn(struct sl_gateway *g)
{
	char text[SL_CTL_TEXT_MAX];
	int error;

	if (!sl_upgrade_turn(&g->upgrade, monotonic_ns(), &error, text, sizeof(text)))
		return false;
	sl_gateway_say("upgrade: %s%s", error ? "refused, nothing has changed: " : "", text);
	sl_ctl_server_upgraded(g->server, g->upgrade.seq, error, text);
	if (!error)
		sl_ctl_server_goodbye(g->server, "upgrading");
	return !error;
}

/* Whether the end, of which sluiced is told, is to be waited for. */
static bool
farewell(struct sl_gateway *g, uint32_t why)
{
	uint32_t wait_ms = (uint32_t)g->boot.stop_wait_ms;

	if (!sl_farewell_begin(&g->farewell, why, sl_ctl_server_peer(g->server), wait_ms,
			       monotonic_ns()))
		return false;
	sl_ctl_server_stopping(g->server, wait_ms, why);
	if (why == SL_STOPPING_STOP)
		sl_ctl_server_goodbye(g->server, "the dataplane is stopping");
	return true;
}

static bool
farewell_over(struct sl_gateway *g)
{
	const char *how =
		sl_farewell_over(&g->farewell, sl_ctl_server_peer(g->server), monotonic_ns());

	if (how)
		sl_gateway_say("farewell: %s", how);
	return how;
}

/* Until a signal says stop (false), or another program shall go on (true). */
static bool
loop(struct sl_gateway *g)
{
	int watchdog_ms = sl_watchdog_wait_ms(&g->watchdog);
	uint64_t watched = 0;

	for (;;) {
		struct pollfd p[4] = {{g->signal_fd, POLLIN, 0}};
		unsigned n = 1 + sl_ctl_server_poll(g->server, p + 1);
		bool upgrading = sl_upgrade_poll(&g->upgrade, &p[n]) == 1;
		int wait = sl_publish_turn(g->publish);

		if (wait < 0)
			wait = 500;
		if (g->passive.outlier && wait > SL_PASSIVE_WAIT_MS)
			wait = SL_PASSIVE_WAIT_MS;
		if (g->explain.open_cnt)
			wait = 1;
		if (watchdog_ms >= 0 && wait > watchdog_ms)
			wait = watchdog_ms;
		if (g->farewell.open && wait > 10)
			wait = 10;
		poll(p, n + upgrading, wait);
		if (stop_asked(g) && !farewell(g, SL_STOPPING_STOP))
			return false;
		sl_ctl_server_turn(g->server);
		sl_takeover_tell(g);
		sl_tls_main_turn(&g->tls);
		if (upgrade_turn(g) && !farewell(g, SL_STOPPING_UPGRADE))
			return true;
		if (farewell_over(g))
			return g->farewell.why == SL_STOPPING_UPGRADE;
		uint64_t now_ns = sl_clock_now(&g->shared.clock);
		sl_explain_turn(&g->explain, sl_publish_view(g->publish), now_ns);
		sl_passive_turn(&g->passive, sl_publish_view(g->publish), now_ns);
		watchdog_turn(g);
		refused_turn();
		if (now_ns - watched >= WATCH_NS) {
			watched = now_ns;
			sl_clock_follow(&g->shared.clock, monotonic_ns());
			sl_port_watch(&g->ports);
			sl_unplug_turn(g);
			sl_exception_watch(g->exception);
		}
	}
}

/* ---- boot ---- */

static const struct step steps[] = {
	{"signals", signals_up, NULL},
	{"warden", warden_up, NULL},
	{"locked memory", vault_up, NULL},
	{"machine", machine_up, NULL},
	{"segments", sl_segments_up, sl_segments_down},
	{"control socket", control_up, control_down},
	{"DPDK", eal_up, eal_down},
	{"ports", ports_up, ports_down},
	{"exception path", exception_up, exception_down},
	{"TLS", tls_up, tls_down},
	{"workers", sl_crew_up, sl_crew_down},
	{"threads", threads_up, threads_down},
	{"privileges", privileges_up, NULL},
	{"flows", flows_up, NULL},
};

/* A slow start is worth an explanation. */
static void
say_times(const struct sl_gateway *g)
{
	char text[256] = "";
	size_t n = 0;

	if (monotonic_ns() - g->started_ns < SLOW_START_NS)
		return;
	for (unsigned i = 0; i < SL_ARRAY_CNT(steps) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %u", i ? ", " : "",
				      steps[i].what, step_ms[i]);
	sl_gateway_say("note: slow start, ms: %s", text);
}

/* The ports are closed and the EAL is down: nothing of us is left but the flows. */
static int
become_new(struct sl_gateway *g)
{
	int fd = g->takeover.region.head ? g->takeover.region.fd : -1;

	(void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* libraries leave some open */
	if (fd >= 0)
		sl_fdstore_leave(fd);
	int err = sl_upgrade_become(&g->upgrade);
	sl_gateway_say("upgrade: %s cannot be run any more: %s: stopped", g->upgrade.path,
		       strerror(-err));
	return 1;
}

static int
run(struct sl_gateway *g)
{
	unsigned up = 0;
	bool upgraded = false, become = false;
	int err = 0;

	static_assert(SL_ARRAY_CNT(steps) <= SL_ARRAY_CNT(step_ms), "");
	while (up < SL_ARRAY_CNT(steps)) {
		uint64_t start = monotonic_ns();
		err = steps[up].up(g);
		if (err)
			break;
		step_ms[up++] = (unsigned)((monotonic_ns() - start) / 1000000);
	}
	if (err) {
		unsigned told = g->diag.cnt;
		say_diag(&g->diag, "");
		sl_gateway_say("not started: %s%s%s", steps[up].what, told ? "" : ": ",
			       told ? "" : strerror(-err));
	} else {
		say_ready(g);
		say_times(g);
		g->upgrade.freed_mb = g->host.huge ? g->boot.size_mb : 0;
		sl_watchdog_init(&g->watchdog, sl_fdstore_watchdog(), g->boot.worker_cnt);
		upgraded = loop(g);
		become = upgraded && g->upgrade.how == SL_UPGRADE_BECOME;
		sl_fdstore_notify(become ? "RELOADING=1\n" : "STOPPING=1\n");
	}
	while (up-- > 0)
		if (steps[up].down)
			steps[up].down(g);
	refused_turn();
	if (become)
		return become_new(g);
	sl_upgrade_stop(&g->upgrade);
	sl_region_close(&g->takeover.region); /* who holds it keeps it */
	if (!err)
		sl_gateway_say("stopped");
	return err ? 1 : upgraded ? SL_UPGRADE_EXIT : 0;
}

static const char usage[] =
	"usage: sluice-dataplane [--check | --show-boot] [-c FILE]\n"
	"  -c FILE    boot file (" BOOT_FILE ")\n"
	"  --check    read the boot file, look at the machine, and say what is "
	"wrong; start nothing\n"
	"  --show-boot\n"
	"             what was read of the boot file, as JSON; does not look at the "
	"machine\n"
	"  --version\n"
	"  --versions the versions of the formats it shares with others\n";

enum ask { RUN, CHECK, SHOW_BOOT };

/* 0, or an exit code + 1 with nothing to run. */
static int
arguments(int argc, char **argv, const char **ret_file, enum ask *ret_ask)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return 1;
		}
		if (strcmp(argv[i], "--version") == 0) {
			puts("sluice-dataplane " SL_VERSION);
			return 1;
		}
		if (strcmp(argv[i], "--versions") == 0) {
			fputs(sl_upgrade_versions(), stdout);
			return 1;
		}
		if (strcmp(argv[i], "--check") == 0) {
			*ret_ask = CHECK;
		} else if (strcmp(argv[i], "--show-boot") == 0) {
			*ret_ask = SHOW_BOOT;
		} else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			*ret_file = argv[++i];
		} else {
			fprintf(stderr, "sluice-dataplane: unknown argument %s\n%s", argv[i],
				usage);
			return 3;
		}
	}
	return 0;
}

static int
check_only(struct sl_gateway *g)
{
	int err = vault_up(g);

	if (!err)
		err = machine_up(g);
	say_diag(&g->diag, "");
	if (!err)
		sl_gateway_say("%s: nothing wrong", g->boot.file);
	return err ? 1 : 0;
}

int
main(int argc, char **argv)
{
	static struct sl_gateway g;
	const char *file = BOOT_FILE, *missing = sl_host_cpu_missing();
	enum ask ask = RUN;

	arguments_given = argv;
	sched_getaffinity(0, sizeof(cpus_given), &cpus_given);
	sl_upgrade_init(&g.upgrade, argv, &cpus_given);
	setvbuf(stderr, NULL, _IOLBF, 0);
	started = instant();
	g.started_ns = started.ns;
	g.flows_fd = sl_fdstore_take();
	int rc = arguments(argc, argv, &file, &ask);
	if (rc)
		return rc - 1;
	if (missing && ask != SHOW_BOOT) {
		sl_gateway_say("this CPU lacks %s: x86-64-v3 with AES-NI is needed (in a virtual "
			       "machine, pass the host's CPU through)",
			       missing);
		return 1;
	}
	if (sl_boot_load(file, &g.diag, &g.boot)) {
		say_diag(&g.diag, "");
		sl_gateway_say("not started: boot file");
		return 1;
	}
	rc = ask == CHECK                    ? check_only(&g)
	     : ask == RUN                    ? run(&g)
	     : sl_boot_show(&g.boot, stdout) ? 1
					     : 0;
	sl_boot_fini(&g.boot);
	return rc;
}

/* sluiced — the management daemon: command line, file, signals, readiness.  Everything else is daemon.h.
 *
 * exit: 0 ended by SIGTERM or SIGINT · 1 could not start, or the file has problems · 2 wrong command line */
#include "mgmt/daemon.h"

#include "mgmt/disk.h"
#include "mgmt/wipe.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONF_MAX (1u << 20)

static void
usage(FILE *to)
{
	fprintf(to, "usage: sluiced -c FILE [--check]\n"
		    "  -c, --config FILE  sluiced's own file (not a table)\n"
		    "      --check        say what is wrong with it, and end\n"
		    "      --version\n"
		    "      --help\n");
}

static unsigned
print_diag(const struct sl_diag *diag)
{
	char line[2048];

	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		sl_daemon_say("%s", line);
	}
	if (diag->more)
		sl_daemon_say("and %u more", diag->more);
	return diag->cnt;
}

static int
read_conf(const char *file, struct sl_diag *diag, struct sl_daemon_conf *conf)
{
	char *text;
	size_t len;
	int err = sl_disk_read(file, CONF_MAX, &text, &len, diag);

	if (err) {
		if (err == -ENOENT)
			sl_diag_add(diag, file, 0, NULL, "name it with -c FILE", "no such file");
		return err;
	}
	err = sl_daemon_conf_parse(file, text, len, diag, conf);
	free(text);
	return err;
}

/* sd_notify(3) without the library: one datagram to a path or an abstract name. */
static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		sl_daemon_say("cannot tell NOTIFY_SOCKET %s: %s", path, strerror(errno));
	close(fd);
}

/* How often the manager wants to hear that we live, in ms; 0: it does not. */
static uint64_t
watchdog_ms(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char *end;

	if (!us || *us < '1' || *us > '9' || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	errno = 0;
	unsigned long long v = strtoull(us, &end, 10);
	return errno || *end ? 0 : SL_MAX(v / 1000, 4ull);
}

/* The loop turns. */
static void
on_watchdog(uv_timer_t *t)
{
	(void)t;
	notify("WATCHDOG=1");
}

static void
on_signal(uv_signal_t *s, int signum)
{
	sl_daemon_say("ending: %s", strsignal(signum));
	uv_stop(s->loop);
}

static void
on_hangup(uv_signal_t *s, int signum)
{
	struct sl_daemon *d = s->data;

	(void)signum;
	sl_daemon_say("SIGHUP: the access log is opened anew; other files are read at start only");
	sl_access_log_reopen(d->access);
}

/* Keys are in this process for moments; nobody shall find them in a core, or look on. */
static void
keep_to_ourselves(const struct sl_daemon_conf *conf)
{
	struct rlimit none = {0, 0};

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* sluice-compile needs none either */
	if (conf->core_dumps)
		return;
	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		sl_daemon_say("core dumps cannot be turned off: %s", strerror(errno));
}

static int
serve(const struct sl_daemon_conf *conf)
{
	uv_loop_t loop;
	uv_signal_t term, intr, hangup;
	uv_timer_t watchdog;
	struct sl_daemon d;
	struct sl_diag diag = {0};

	signal(SIGPIPE, SIG_IGN);
	keep_to_ourselves(conf);
	uv_loop_init(&loop);
	int err = sl_daemon_create(&loop, conf, &diag, &d);
	if (err) {
		if (print_diag(&diag) == 0)
			sl_daemon_say("cannot start: %s", strerror(-err));
	} else {
		const struct sl_table *t = sl_tables_active(d.tables);
		const struct sl_table *next = sl_tables_next(d.tables);
		uv_signal_init(&loop, &term);
		uv_signal_init(&loop, &intr);
		uv_signal_start(&term, on_signal, SIGTERM);
		uv_signal_start(&intr, on_signal, SIGINT);
		uv_signal_init(&loop, &hangup);
		hangup.data = &d;
		uv_signal_start(&hangup, on_hangup, SIGHUP);
		print_diag(&d.notes);
		sl_daemon_say("ready: %s, generation %" PRIu64 " active, %" PRIu64
			      " pending, metrics %s",
			      conf->api_socket, t ? t->number : 0, next ? next->number : 0,
			      conf->metrics[0] ? conf->metrics : "off");
		notify("READY=1");
		uint64_t period_ms = watchdog_ms();
		uv_timer_init(&loop, &watchdog);
		if (period_ms)
			uv_timer_start(&watchdog, on_watchdog, 0, period_ms / 4);
		uv_run(&loop, UV_RUN_DEFAULT);
		notify("STOPPING=1");
		uv_close((uv_handle_t *)&term, NULL);
		uv_close((uv_handle_t *)&intr, NULL);
		uv_close((uv_handle_t *)&hangup, NULL);
		uv_close((uv_handle_t *)&watchdog, NULL);
	}
	sl_diag_fini(&diag);
	sl_daemon_destroy(&d);
	uv_loop_close(&loop);
	return err ? 1 : 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *file = NULL;
	bool check = false;
	int opt;

	sl_wipe_install();

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt == 'c') {
			file = optarg;
		} else if (opt == 'k') {
			check = true;
		} else if (opt == 'v') {
			printf("sluiced %s\n", SL_VERSION);
			return 0;
		} else {
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (!file || optind < argc) {
		usage(stderr);
		return 2;
	}
	struct sl_daemon_conf conf = {0};
	struct sl_diag diag = {0};
	int err = read_conf(file, &diag, &conf);
	print_diag(&diag);
	sl_diag_fini(&diag);
	int code = err ? 1 : 0;
	if (check && !err)
		printf("%s: ok\n", file);
	else if (!err)
		code = serve(&conf);
	sl_daemon_conf_fini(&conf);
	return code;
}

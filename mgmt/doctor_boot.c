/* The boot file is read by the dataplane's own parser alone: the program is run with --show-boot, and prints what it
 * read as JSON.  What it prints is believed as little as a file. */
#include "mgmt/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX (1u << 20)
#define LIMIT_MS 10000

/* ---- JSON ---- */

static void
copy(char *to, size_t size, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	snprintf(to, size, "%s", s ? s : "");
}

/* A whole number in [0, max]; else 0. */
static long
whole(const json_t *o, const char *key, long max)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v >= 0 && v <= max ? (long)v : 0;
}

static void
read_workers(const json_t *w, struct sl_doctor_boot *b)
{
	size_t i;
	json_t *v;

	if (json_is_integer(w)) {
		b->worker_ask = true;
		b->worker_cnt = json_integer_value(w) > 0 && json_integer_value(w) <= SL_DOCTOR_CPUS
					? (unsigned)json_integer_value(w)
					: 0;
		return;
	}
	json_array_foreach((json_t *)w, i, v)
	{
		if (json_integer_value(v) >= 0 && json_integer_value(v) < SL_DOCTOR_CPUS)
			sl_doctor_cpus_add(&b->workers, (int)json_integer_value(v));
		b->worker_cnt++;
	}
}

static void
read_port(const json_t *o, struct sl_doctor_boot_port *p)
{
	copy(p->name, sizeof(p->name), o, "name");
	copy(p->device, sizeof(p->device), o, "device");
	copy(p->driver, sizeof(p->driver), o, "driver");
	copy(p->kernel, sizeof(p->kernel), o, "kernel");
	p->queues = (int)whole(o, "queues", 1024);
	p->vlan = (int)whole(o, "vlan", 4094);
}

static void
read_boot(const json_t *j, struct sl_doctor_boot *b)
{
	const json_t *memory = json_object_get(j, "memory"), *tls = json_object_get(j, "tls");
	size_t i;
	json_t *p;
	char word[16];

	read_workers(json_object_get(j, "workers"), b);
	copy(b->hugepages, sizeof(b->hugepages), memory, "hugepages");
	b->size_mb = whole(memory, "size_mb", 1 << 20);
	copy(word, sizeof(word), j, "power");
	b->polls = strcmp(word, "poll") == 0;
	copy(word, sizeof(word), j, "privileges");
	b->drops = strcmp(word, "drop") == 0;
	b->core_dumps = json_is_true(json_object_get(tls, "core_dumps"));
	if (whole(tls, "sessions", 1 << 30))
		b->tls_memory_mb = whole(tls, "memory_mb", 1 << 20);
	json_array_foreach(json_object_get(j, "ports"), i, p)
	{
		if (b->port_cnt < SL_DOCTOR_PORTS)
			read_port(p, &b->port[b->port_cnt++]);
	}
}

static void __attribute__((format(printf, 2, 3)))
say_why(struct sl_doctor_boot *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(b->why);
	if (vasprintf(&b->why, fmt, ap) < 0)
		abort();
	va_end(ap);
}

bool
sl_doctor_boot_read(const char *text, size_t len, struct sl_doctor_boot *ret)
{
	json_error_t e;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);

	ret->known = json_is_object(j) && json_is_array(json_object_get(j, "ports")) &&
		     json_object_get(j, "workers");
	if (ret->known)
		read_boot(j, ret);
	else
		say_why(ret, "sluice-dataplane --show-boot printed no boot file: %s",
			j ? "keys are missing" : e.text);
	json_decref(j);
	return ret->known;
}

void
sl_doctor_boot_fini(struct sl_doctor_boot *b)
{
	free(b->why);
	b->why = NULL;
}

/* ---- the program ---- */

struct output {
	char *text;
	size_t len;
	int fd; /* -1: at its end */
};

static void
take(struct output *o)
{
	ssize_t n = o->len < OUTPUT_MAX ? read(o->fd, o->text + o->len, OUTPUT_MAX - o->len) : 0;

	if (n > 0) {
		o->len += (size_t)n;
		o->text[o->len] = 0;
	} else if (n == 0 || errno != EINTR) {
		close(o->fd);
		o->fd = -1;
	}
}

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until both have ended; false: not in time. */
static bool
take_all(struct output o[2])
{
	long end = now_ms() + LIMIT_MS;

	while (o[0].fd >= 0 || o[1].fd >= 0) {
		struct pollfd p[2] = {{o[0].fd, POLLIN, 0}, {o[1].fd, POLLIN, 0}};
		long left = end - now_ms();
		if (left <= 0 || (poll(p, 2, (int)left) < 0 && errno != EINTR))
			return false;
		for (unsigned i = 0; i < 2; i++)
			if (o[i].fd >= 0 && p[i].revents)
				take(&o[i]);
	}
	return true;
}

static pid_t
start(const char *program, const char *file, struct output o[2])
{
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC))
		return -1;
	if (pipe2(err, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2)
			execl(program, program, "--show-boot", "-c", file, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	o[0].fd = out[0];
	o[1].fd = err[0];
	if (pid < 0) {
		close(out[0]);
		close(err[0]);
		o[0].fd = o[1].fd = -1;
	}
	return pid;
}

/* How it ended: its exit code, or -1 with why. */
static int
run(const char *program, const char *file, struct output o[2], struct sl_doctor_boot *b)
{
	int status = 0;
	pid_t pid = start(program, file, o);

	if (pid < 0) {
		say_why(b, "%s cannot be run: %s", program, strerror(errno));
		return -1;
	}
	bool in_time = take_all(o);
	if (!in_time)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (o[0].len == OUTPUT_MAX)
		say_why(b, "%s --show-boot printed more than %u MiB", program, OUTPUT_MAX >> 20);
	else if (!in_time)
		say_why(b, "%s --show-boot did not end within %d s", program, LIMIT_MS / 1000);
	else if (WIFSIGNALED(status))
		say_why(b, "%s --show-boot was ended by %s", program, strsignal(WTERMSIG(status)));
	else
		return WEXITSTATUS(status);
	return -1;
}

void
sl_doctor_boot_run(const char *program, const char *file, struct sl_doctor_boot *ret)
{
	struct output o[2] = {{.fd = -1}, {.fd = -1}};

	*ret = (struct sl_doctor_boot){0};
	snprintf(ret->file, sizeof(ret->file), "%s", file);
	if (access(file, R_OK)) {
		say_why(ret, "%s: %s", file, strerror(errno));
		return;
	}
	if (access(program, X_OK)) {
		say_why(ret, "%s cannot be run: %s", program, strerror(errno));
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		if (!(o[i].text = calloc(1, OUTPUT_MAX + 1)))
			abort();
	int rc = run(program, file, o, ret);
	if (rc == 0) {
		sl_doctor_boot_read(o[0].text, o[0].len, ret);
	} else if (rc > 0) {
		ret->bad = true;
		say_why(ret, "%s",
			o[1].len ? o[1].text
				 : "sluice-dataplane --show-boot failed, and does not say why");
	}
	for (unsigned i = 0; i < 2; i++) {
		if (o[i].fd >= 0)
			close(o[i].fd);
		free(o[i].text);
	}
}

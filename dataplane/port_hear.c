/* What DPDK and its drivers have to say, line by line: while a port comes up the first line, which is nearest to the
 * cause, is kept as the reason of a failure; at other times lines go to our log. */
#include "dataplane/port_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <rte_log.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
	sl_port_log_fn *log;
	bool keep;
	char line[256];
	size_t len;
	char first[256];
	char xdp[256]; /* libxdp's or libbpf's last: they have warnings on every success */
} heard;

static void
hear_line(void)
{
	heard.line[heard.len] = 0;
	heard.len = 0;
	if (heard.keep && !heard.first[0])
		memcpy(heard.first, heard.line, sizeof(heard.first));
	else if (heard.keep)
		return;
	else if (heard.log && heard.line[0])
		heard.log(heard.line);
}

static ssize_t
hear(void *cookie, const char *buf, size_t n)
{
	(void)cookie;
	for (size_t i = 0; i < n; i++)
		if (buf[i] == '\n')
			hear_line();
		else if (heard.len < sizeof(heard.line) - 1)
			heard.line[heard.len++] = buf[i];
	return (ssize_t)n;
}

static int __attribute__((format(printf, 2, 0))) hear_xdp(int level, const char *fmt, va_list ap)
{
	if (level == 0 && heard.keep) {
		vsnprintf(heard.xdp, sizeof(heard.xdp), fmt, ap);
		heard.xdp[strcspn(heard.xdp, "\n")] = 0;
	}
	return 0;
}

/* The AF_XDP driver brings these libraries; when it is not installed there is nothing to quieten. */
static void
hear_library(const char *library, const char *function)
{
	typedef int print_fn(int level, const char *fmt, va_list ap);
	void *lib = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	print_fn *(*set_print)(print_fn *) = NULL;

	if (lib)
		*(void **)&set_print = dlsym(lib, function);
	if (set_print)
		set_print(hear_xdp);
}

void
sl_port_hear_start(sl_port_log_fn *log)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){.write = hear});

	heard.log = log;
	if (f) {
		setvbuf(f, NULL, _IONBF, 0);
		rte_openlog_stream(f);
	}
	hear_library("libxdp.so.1", "libxdp_set_print");
	hear_library("libbpf.so.1", "libbpf_set_print");
}

void
sl_port_hear_keep(bool keep)
{
	heard.keep = keep;
	if (keep)
		heard.first[0] = heard.xdp[0] = 0;
}

int
sl_port_failed(struct sl_port_opening *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(o->why, sizeof(o->why), fmt, ap);
	va_end(ap);
	const char *heard_why = heard.first[0] ? heard.first : heard.xdp;
	if (*heard_why && n > 0 && n < (int)sizeof(o->why))
		snprintf(o->why + n, sizeof(o->why) - (size_t)n, " (%s)", heard_why);
	return err < 0 ? err : -EIO;
}

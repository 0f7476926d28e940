/* One row per key says its type, range and place in the struct; one walk over a group applies the rows,
 * so that every problem of a file is found in one pass.
 *
 * libconfig 1.5 wraps integers that do not fit 32 bits without a word, so the text is scanned for them first
 * (strings and comments skipped).  It stops at the first syntax error: then that is the only one reported. */
#include "dataplane/boot_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1 << 20)

struct ctx {
	const char *file;
	struct sl_diag *diag;
	struct sl_boot *boot;
	int wrapped
		[64]; /* lines with a number that libconfig will have wrapped: reported already */
	unsigned wrapped_cnt;
};

#define TOP(f) offsetof(struct sl_boot, f)
#define PORT(f) offsetof(struct sl_boot_port, f)

static const struct sl_boot_key memory_keys[] = {
	{"hugepages", CHOICE, false, 0, 0, "auto|require|never", TOP(hugepages), NULL},
	{"size_mb", INTEGER, false, 64, 1 << 20, NULL, TOP(size_mb), NULL},
};
static const struct sl_boot_group memory_group = {memory_keys, SL_ARRAY_CNT(memory_keys)};

static const struct sl_boot_key tcp_keys[] = {
	{"streams", INTEGER, false, 0, 1 << 22, NULL, TOP(tcp_streams), NULL},
	{"timewait", INTEGER, false, 16, 1 << 22, NULL, TOP(tcp_timewait), NULL},
	{"memory_mb", INTEGER, false, 1, 8192, NULL, TOP(tcp_memory_mb), NULL},
	{"receive_max", INTEGER, false, 4096, 1 << 24, NULL, TOP(tcp_receive_max), NULL},
	{"send_max", INTEGER, false, 4096, 1 << 24, NULL, TOP(tcp_send_max), NULL},
};
static const struct sl_boot_group tcp_group = {tcp_keys, SL_ARRAY_CNT(tcp_keys)};

static const struct sl_boot_key http_keys[] = {
	{"requests", INTEGER, false, 0, 1 << 22, NULL, TOP(http_requests), NULL},
	{"pool", INTEGER, false, 16, 1 << 22, NULL, TOP(http_pool), NULL},
	{"head_mb", INTEGER, false, 1, 8192, NULL, TOP(http_head_mb), NULL},
};
static const struct sl_boot_group http_group = {http_keys, SL_ARRAY_CNT(http_keys)};

static const struct sl_boot_key tls_keys[] = {
	{"sessions", INTEGER, false, 0, 1 << 20, NULL, TOP(tls_sessions), NULL},
	{"handshakes", INTEGER, false, 1, 65536, NULL, TOP(tls_handshakes), NULL},
	{"threads", INTEGER, false, 0, SL_BOOT_MAX_TLS_THREADS, NULL, TOP(tls_threads), NULL},
	{"cpus", TLS_CPUS, false, 1, SL_BOOT_MAX_TLS_THREADS, NULL, 0, NULL},
	{"budget_us", INTEGER, false, 10, 100000, NULL, TOP(tls_budget_us), NULL},
	{"memory_mb", INTEGER, false, 16, 65536, NULL, TOP(tls_memory_mb), NULL},
	{"records", CHOICE, false, 0, 0, "ipsec-mb|openssl", TOP(tls_records), NULL},
	{"core_dumps", BOOL, false, 0, 0, NULL, TOP(tls_core_dumps), NULL},
	{"key_log", STRING, false, 1, 255, NULL, TOP(tls_key_log), NULL},
};
static const struct sl_boot_group tls_group = {tls_keys, SL_ARRAY_CNT(tls_keys)};

static const struct sl_boot_key port_keys[] = {
	{"name", NAME, true, 0, 0, NULL, PORT(name), NULL},
	{"device", STRING, true, 1, 63, NULL, PORT(device), NULL},
	{"driver", CHOICE, false, 0, 0, "auto|af_xdp|af_packet|vdev|pci", PORT(driver), NULL},
	{"args", STRING, false, 0, 511, NULL, PORT(args), NULL},
	{"mac", MAC, false, 0, 0, NULL, 0, NULL},
	{"mtu", INTEGER, false, 576, 9216, NULL, PORT(mtu), NULL},
	{"queues", INTEGER, false, 1, SL_BOOT_MAX_WORKERS, NULL, PORT(queues), NULL},
	{"rss", CHOICE, false, 0, 0, "auto|assume", PORT(rss), NULL},
	{"vlan", INTEGER, false, 1, 4094, NULL, PORT(vlan), NULL},
	{"kernel", STRING, false, 1, 15, NULL, PORT(kernel), NULL},
	{"kernel_pps", INTEGER, false, 100, 10000000, NULL, PORT(kernel_pps), NULL},
};
static const struct sl_boot_group port_group = {port_keys, SL_ARRAY_CNT(port_keys)};

static const struct sl_boot_key top_keys[] = {
	{"control", STRING, false, 1, 103, NULL, TOP(control), NULL},
	{"daemon_user", STRING, false, 1, 63, NULL, TOP(daemon_user), NULL},
	{"workers", CPUS, true, 1, SL_BOOT_MAX_WORKERS, NULL, 0, NULL},
	{"main_cpu", INTEGER, false, 0, 1023, NULL, TOP(main_cpu), NULL},
	{"memory", GROUP, false, 0, 0, NULL, 0, &memory_group},
	{"buffers", INTEGER, false, 1024, 1 << 24, NULL, TOP(buffers), NULL},
	{"mbuf_data", INTEGER, false, 256, 9728, NULL, TOP(mbuf_data), NULL},
	{"flows", INTEGER, false, 1024, 1 << 27, NULL, TOP(flows), NULL},
	{"tcp", GROUP, false, 0, 0, NULL, 0, &tcp_group},
	{"http", GROUP, false, 0, 0, NULL, 0, &http_group},
	{"tls", GROUP, false, 0, 0, NULL, 0, &tls_group},
	{"limits_mb", INTEGER, false, 4, 65536, NULL, TOP(limits_mb), NULL},
	{"events_kb", INTEGER, false, 0, 1 << 18, NULL, TOP(events_kb), NULL},
	{"power", CHOICE, false, 0, 0, "poll|adaptive", TOP(power), NULL},
	{"privileges", CHOICE, false, 0, 0, "drop|keep", TOP(privileges), NULL},
	{"user", STRING, false, 1, 63, NULL, TOP(user), NULL},
	{"stop_wait_ms", INTEGER, false, 0, 60000, NULL, TOP(stop_wait_ms), NULL},
	{"rss_key", HEXKEY, false, 0, 0, NULL, 0, NULL},
	{"ports", PORTS, true, 1, SL_BOOT_MAX_PORTS, NULL, 0, &port_group},
};
const struct sl_boot_group sl_boot_top = {top_keys, SL_ARRAY_CNT(top_keys)};

static void read_group(struct ctx *c, const config_setting_t *s, const char *path,
		       const struct sl_boot_group *g, void *into);

/* ---- text ---- */

/* Length of the comment or string that starts at s, or 0. */
static size_t
skip_len(const char *s)
{
	const char *p = s;

	if (*s == '#' || (s[0] == '/' && s[1] == '/'))
		return strcspn(s, "\n");
	if (s[0] == '/' && s[1] == '*') {
		p = strstr(s + 2, "*/");
		return p ? (size_t)(p - s) + 2 : strlen(s);
	}
	if (*s != '"')
		return 0;
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return (size_t)(p - s) + (*p == '"');
}

static bool
word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '.' || c == '*';
}

/* Whether the number at s fits 32 bits the way libconfig reads it. */
static bool
number_fits(const char *s, size_t len)
{
	char buf[64], *end;

	if (memchr(s, '.', len) || (memchr(s, 'e', len) && !(len > 1 && (s[1] | 32) == 'x')))
		return true;
	if (len >= sizeof(buf))
		return false;
	memcpy(buf, s, len);
	buf[len] = 0;
	errno = 0;
	bool hex = buf[0] == '0' && (buf[1] | 32) == 'x';
	unsigned long long v = strtoull(buf, &end, hex ? 16 : 10);
	return errno == 0 && v <= INT_MAX;
}

static void
scan_text(struct ctx *c, const char *text)
{
	int line = 1;

	for (const char *p = text; *p;) {
		size_t n = skip_len(p);
		if (n == 0 && *p >= '0' && *p <= '9') {
			while (word_char(p[n]))
				n++;
			bool fits = number_fits(p, n);
			if (!fits && c->wrapped_cnt < SL_ARRAY_CNT(c->wrapped))
				c->wrapped[c->wrapped_cnt++] = line;
			if (!fits)
				sl_diag_add(c->diag, c->file, line, NULL,
					    "no value here is larger than 2147483647",
					    "the number %.*s does not fit", (int)SL_MIN(n, 40), p);
		} else if (n == 0 && *p == '@') {
			sl_diag_add(c->diag, c->file, line, NULL,
				    "write the settings into this file",
				    "@include is not taken in a boot file");
		} else if (n == 0 && word_char(*p)) {
			while (word_char(p[n]) || p[n] == '-')
				n++;
		}
		n = n ? n : 1;
		for (size_t i = 0; i < n; i++)
			line += p[i] == '\n';
		p += n;
	}
}

/* ---- values ---- */

static void __attribute__((format(printf, 5, 6)))
bad(struct ctx *c, const config_setting_t *s, const char *path, const char *hint, const char *fmt,
    ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(c->diag, c->file, s ? (int)config_setting_source_line(s) : 0, path, hint, "%s",
		    text);
}

static const char *
type_name(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a decimal number";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	}
	return "nothing";
}

static bool
integer(struct ctx *c, const config_setting_t *s, const char *path, long min, long max, int *ret)
{
	int type = config_setting_type(s);

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
		bad(c, s, path, NULL, "must be an integer, not %s", type_name(s));
		return false;
	}
	long long v =
		type == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_int64(s);
	for (unsigned i = 0; i < c->wrapped_cnt; i++)
		if (c->wrapped[i] == (int)config_setting_source_line(s))
			return false;
	if (v < min || v > max) {
		bad(c, s, path, NULL, "%lld is out of range: %ld to %ld", v, min, max);
		return false;
	}
	*ret = (int)v;
	return true;
}

static const char *
string(struct ctx *c, const config_setting_t *s, const char *path)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	bad(c, s, path, "write it in \" \"", "must be a string, not %s", type_name(s));
	return NULL;
}

static void
read_string(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k,
	    char *to)
{
	const char *v = string(c, s, path);

	if (!v)
		return;
	size_t n = strlen(v);
	if ((long)n < k->min || (long)n > k->max) {
		bad(c, s, path, NULL, "is %zu bytes long: %ld to %ld are allowed", n, k->min,
		    k->max);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)v[i] < 0x20 || v[i] == 0x7f) {
			bad(c, s, path, NULL, "has a control character");
			return;
		}
	memcpy(to, v, n + 1);
}

static void
read_choice(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k,
	    int *to)
{
	const char *v = string(c, s, path);

	if (!v)
		return;
	int idx = 0;
	for (const char *p = k->choices; *p; idx++) {
		size_t n = strcspn(p, "|");
		if (strlen(v) == n && memcmp(v, p, n) == 0) {
			*to = idx;
			return;
		}
		p += n + (p[n] == '|');
	}
	bad(c, s, path, NULL, "\"%s\" is none of %s", v, k->choices);
}

static void
read_bool(struct ctx *c, const config_setting_t *s, const char *path, bool *to)
{
	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*to = config_setting_get_bool(s);
	else
		bad(c, s, path, NULL, "must be true or false, not %s", type_name(s));
}

static void
read_name(struct ctx *c, const config_setting_t *s, const char *path, char to[SL_NAME_MAX])
{
	char name[SL_NAME_MAX] = "";
	const char *v = string(c, s, path);

	if (!v)
		return;
	if (strlen(v) < SL_NAME_MAX)
		memcpy(name, v, strlen(v));
	if (sl_name_ok(name))
		memcpy(to, name, SL_NAME_MAX);
	else
		bad(c, s, path, "1 to 63 of letters, digits, . _ -, a letter or digit first",
		    "\"%s\" is not a name", v);
}

/* cnt bytes of two hex digits, separated by sep unless that is 0. */
static bool
hex_bytes(const char *v, char sep, uint8_t *to, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		unsigned b = 0;
		for (unsigned d = 0; d < 2; d++, v++) {
			char l = *v | 32;
			if (*v >= '0' && *v <= '9')
				b = b << 4 | (unsigned)(*v - '0');
			else if (l >= 'a' && l <= 'f')
				b = b << 4 | (unsigned)(l - 'a' + 10);
			else
				return false;
		}
		to[i] = (uint8_t)b;
		if (sep && i + 1 < cnt && *v++ != sep)
			return false;
	}
	return *v == 0;
}

static void
read_mac(struct ctx *c, const config_setting_t *s, const char *path, struct sl_boot_port *port)
{
	static const uint8_t none[6];
	uint8_t mac[6];
	const char *v = string(c, s, path);

	if (!v)
		return;
	if (!hex_bytes(v, ':', mac, 6))
		bad(c, s, path, "six pairs of hex digits: 02:00:00:00:00:01",
		    "\"%s\" is not a MAC address", v);
	else if (mac[0] & 1 || memcmp(mac, none, 6) == 0)
		bad(c, s, path, "the first byte is even, and not all are 0",
		    "%s is not a unicast MAC address", v);
	else {
		memcpy(port->mac, mac, 6);
		port->has_mac = true;
	}
}

static void
read_rss_key(struct ctx *c, const config_setting_t *s, const char *path)
{
	uint8_t key[SL_BOOT_KEY_BYTES];
	const char *v = string(c, s, path);

	if (!v)
		return;
	if (!hex_bytes(v, 0, key, SL_BOOT_KEY_BYTES)) {
		bad(c, s, path, "leave it out: then it is random at each boot",
		    "must be exactly 80 hex digits");
		return;
	}
	memcpy(c->boot->rss_key, key, sizeof(key));
	c->boot->has_rss_key = true;
}

/* Number of members of an array or list in [min, max], or -1. */
static int
members(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k,
	const char *what)
{
	int n = config_setting_length(s);

	if (n >= k->min && n <= k->max)
		return n;
	bad(c, s, path, NULL, "has %d %s: %ld to %ld are allowed", n, what, k->min, k->max);
	return -1;
}

/* An array of CPUs; how many there are, 0 when it is none. */
static unsigned
cpu_array(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k,
	  const char *what, int *to)
{
	int type = config_setting_type(s);
	char hint[64];

	if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		snprintf(hint, sizeof(hint), "%s = [ 1, 2 ];", k->name);
		bad(c, s, path, hint, "must be an array of CPU numbers, not %s", type_name(s));
		return 0;
	}
	int n = members(c, s, path, k, what);
	for (int i = 0; i < n; i++) {
		char at[224];
		snprintf(at, sizeof(at), "%s[%d]", path, i);
		integer(c, config_setting_get_elem(s, (unsigned)i), at, 0, 1023, &to[i]);
	}
	return n > 0 ? (unsigned)n : 0;
}

static void
read_cpus(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k)
{
	int type = config_setting_type(s);

	c->boot->workers_line = (int)config_setting_source_line(s);
	if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
		integer(c, s, path, k->min, k->max, &c->boot->worker_ask);
		c->boot->worker_cnt = (unsigned)c->boot->worker_ask;
		return;
	}
	unsigned n = cpu_array(c, s, path, k, "workers", c->boot->workers);
	if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST)
		return;
	c->boot->worker_cnt = n;
}

static void
read_ports(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k)
{
	if (config_setting_type(s) != CONFIG_TYPE_LIST) {
		bad(c, s, path, "ports = ( { name = \"front\"; device = \"eth1\"; } );",
		    "must be a list of groups, not %s", type_name(s));
		return;
	}
	int n = members(c, s, path, k, "ports");
	for (int i = 0; i < n; i++) {
		char at[224];
		const config_setting_t *p = config_setting_get_elem(s, (unsigned)i);
		snprintf(at, sizeof(at), "%s[%d]", path, i);
		c->boot->ports[i].line = (int)config_setting_source_line(p);
		c->boot->ports[i].kernel_pps = 20000;
		read_group(c, p, at, k->group, &c->boot->ports[i]);
	}
	c->boot->port_cnt = n > 0 ? (unsigned)n : 0;
}

static void
read_value(struct ctx *c, const config_setting_t *s, const char *path, const struct sl_boot_key *k,
	   void *into)
{
	void *to = (char *)into + k->off;

	switch (k->type) {
	case STRING:
		read_string(c, s, path, k, to);
		break;
	case INTEGER:
		integer(c, s, path, k->min, k->max, to);
		break;
	case CHOICE:
		read_choice(c, s, path, k, to);
		break;
	case BOOL:
		read_bool(c, s, path, to);
		break;
	case NAME:
		read_name(c, s, path, to);
		break;
	case MAC:
		read_mac(c, s, path, into);
		break;
	case HEXKEY:
		read_rss_key(c, s, path);
		break;
	case CPUS:
		read_cpus(c, s, path, k);
		break;
	case TLS_CPUS:
		c->boot->tls_cpu_cnt = cpu_array(c, s, path, k, "CPUs", c->boot->tls_cpus);
		break;
	case GROUP:
		read_group(c, s, path, k->group, into);
		break;
	case PORTS:
		read_ports(c, s, path, k);
		break;
	}
}

/* ---- groups ---- */

/* Edits that make a into b; both shorter than 64. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[65], n = (unsigned)strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diag = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned up = row[j];
			unsigned best = diag + (a[i - 1] != b[j - 1]);
			best = SL_MIN(best, SL_MIN(up, row[j - 1]) + 1);
			diag = up;
			row[j] = best;
		}
	}
	return row[n];
}

static void
unknown_key(struct ctx *c, const config_setting_t *s, const char *path,
	    const struct sl_boot_group *g)
{
	const char *name = config_setting_name(s), *near = NULL;
	unsigned best = 4;
	char hint[256] = "";
	size_t len = 0;

	for (unsigned i = 0; strlen(name) < 64 && i < g->cnt; i++) {
		unsigned d = distance(name, g->keys[i].name);
		if (d < best) {
			best = d;
			near = g->keys[i].name;
		}
	}
	if (near)
		snprintf(hint, sizeof(hint), "did you mean %s?", near);
	else
		for (unsigned i = 0; i < g->cnt && len < sizeof(hint); i++)
			len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s%s",
						i ? ", " : "keys here: ", g->keys[i].name);
	bad(c, s, path, hint, "unknown key");
}

static const struct sl_boot_key *
find_key(const struct sl_boot_group *g, const char *name)
{
	for (unsigned i = 0; i < g->cnt; i++)
		if (strcmp(g->keys[i].name, name) == 0)
			return &g->keys[i];
	return NULL;
}

static void
read_group(struct ctx *c, const config_setting_t *s, const char *path,
	   const struct sl_boot_group *g, void *into)
{
	if (config_setting_type(s) != CONFIG_TYPE_GROUP) {
		bad(c, s, path, "{ key = value; … }", "must be a group, not %s", type_name(s));
		return;
	}
	const char *dot = *path ? "." : "";
	char at[192];
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		const struct sl_boot_key *k = find_key(g, config_setting_name(m));
		snprintf(at, sizeof(at), "%s%s%s", path, dot, config_setting_name(m));
		if (k)
			read_value(c, m, at, k, into);
		else
			unknown_key(c, m, at, g);
	}
	for (unsigned i = 0; i < g->cnt; i++) {
		if (!g->keys[i].required || config_setting_get_member(s, g->keys[i].name))
			continue;
		snprintf(at, sizeof(at), "%s%s%s", path, dot, g->keys[i].name);
		bad(c, *path ? s : NULL, at, NULL, "is missing");
	}
}

/* ---- the whole ---- */

unsigned
sl_boot_lead(const struct sl_boot *boot, unsigned port)
{
	for (unsigned i = 0; i < port; i++)
		if (strcmp(boot->ports[i].device, boot->ports[port].device) == 0)
			return i;
	return port;
}

/* What is the device's is said once. */
static void
check_shared(struct ctx *c, unsigned idx, const char *path)
{
	unsigned lead = sl_boot_lead(c->boot, idx);
	const struct sl_boot_port *p = &c->boot->ports[idx], *l = &c->boot->ports[lead];

	if (lead == idx || !p->device[0])
		return;
	if ((p->driver && p->driver != l->driver) || p->queues || p->rss || p->args[0])
		sl_diag_add(
			c->diag, c->file, p->line, path, "leave it out here",
			"driver, queues, rss and args of device \"%s\" stand with ports[%u], its "
			"first port",
			p->device, lead);
	if (p->mtu && l->mtu && p->mtu > l->mtu)
		sl_diag_add(c->diag, c->file, p->line, path, "raise the first one's, or lower this",
			    "mtu %d is larger than that of ports[%u], the first port of device "
			    "\"%s\"",
			    p->mtu, lead, p->device);
}

static void
check_port(struct ctx *c, unsigned idx)
{
	struct sl_boot *b = c->boot;
	const struct sl_boot_port *p = &b->ports[idx];
	char path[64];

	snprintf(path, sizeof(path), "ports[%u]", idx);
	for (unsigned i = 0; i < idx; i++) {
		if (p->name[0] && strcmp(p->name, b->ports[i].name) == 0)
			sl_diag_add(c->diag, c->file, p->line, path, NULL,
				    "name \"%s\" is taken by ports[%u]", p->name, i);
		if (p->device[0] && strcmp(p->device, b->ports[i].device) == 0 &&
		    !(p->vlan && b->ports[i].vlan && p->vlan != b->ports[i].vlan))
			sl_diag_add(c->diag, c->file, p->line, path,
				    "ports of one device each have a vlan of their own",
				    "device \"%s\" is taken by ports[%u]", p->device, i);
		if (p->kernel[0] && strcmp(p->kernel, b->ports[i].kernel) == 0)
			sl_diag_add(c->diag, c->file, p->line, path, NULL,
				    "kernel interface \"%s\" is taken by ports[%u]", p->kernel, i);
	}
	check_shared(c, idx, path);
	if (p->kernel[0] && (strcmp(p->kernel, p->device) == 0 || strpbrk(p->kernel, "/ :%")))
		sl_diag_add(c->diag, c->file, p->line, path,
			    "a name for a new interface: letters, digits, . _ -",
			    "kernel interface \"%s\" cannot be made", p->kernel);
	if (p->kernel[0] && p->driver == SL_DRIVER_AF_PACKET)
		sl_diag_add(c->diag, c->file, p->line, path,
			    "leave kernel out, or use driver \"af_xdp\"",
			    "kernel interface \"%s\": the kernel sees all packets of an AF_PACKET "
			    "port anyway",
			    p->kernel);
	if (p->mtu + 18 > b->mbuf_data)
		sl_diag_add(c->diag, c->file, p->line, path, "raise mbuf_data or lower mtu",
			    "mtu %d needs buffers of %d bytes, mbuf_data is %d", p->mtu,
			    p->mtu + 18, b->mbuf_data);
	if (p->rss == SL_RSS_ASSUME && b->worker_cnt > 1 && (unsigned)p->queues != b->worker_cnt)
		sl_diag_add(c->diag, c->file, p->line, path, "set queues to the number of workers",
			    "rss = \"assume\" needs one queue per worker (%u), queues is %d",
			    b->worker_cnt, p->queues ? p->queues : 1);
	if (p->driver == SL_DRIVER_VDEV && p->device[0] && strncmp(p->device, "net_", 4) != 0)
		sl_diag_add(c->diag, c->file, p->line, path,
			    "e.g. net_pcap0, net_null0, net_memif0, net_tap0",
			    "device \"%s\" is not the name of a DPDK virtual device", p->device);
}

/* What certificates and all handshakes together need: OpenSSL holds some 57 KB for one that waits for its client. */
static int
tls_memory(const struct sl_boot *b)
{
	long mb = 64 + (long)b->worker_cnt * b->tls_handshakes / 16;

	return (int)SL_MIN(mb, 65536);
}

static void
check_tls(struct ctx *c, const config_t *conf)
{
	const struct sl_boot *b = c->boot;
	const config_setting_t *s;

	if (!config_lookup(conf, "tls.memory_mb"))
		c->boot->tls_memory_mb = tls_memory(b);
	if ((s = config_lookup(conf, "tls")))
		c->boot->tls_line = (int)config_setting_source_line(s);
	if ((s = config_lookup(conf, "tls.sessions")) && b->tls_sessions > 0 &&
	    b->tls_sessions < SL_BOOT_MIN_STREAMS)
		bad(c, s, "tls.sessions", "0: no TLS", "%d is out of range: 0, or %d to %d",
		    b->tls_sessions, SL_BOOT_MIN_STREAMS, 1 << 20);
	if (!(s = config_lookup(conf, "tls.key_log")) || !b->tls_key_log[0])
		return;
#ifdef NDEBUG
	bad(c, s, "tls.key_log", "leave it out, or build with --buildtype=debug",
	    "secrets of sessions are written by debug builds alone, and this is none");
#else
	if (b->tls_key_log[0] != '/')
		bad(c, s, "tls.key_log", NULL, "\"%s\" is not an absolute path", b->tls_key_log);
#endif
}

static void
read_all(struct ctx *c, const config_t *conf)
{
	const config_setting_t *s;

	read_group(c, config_root_setting(conf), "", &sl_boot_top, c->boot);
	if ((s = config_lookup(conf, "main_cpu")))
		c->boot->main_line = (int)config_setting_source_line(s);
	if ((s = config_lookup(conf, "memory")))
		c->boot->memory_line = (int)config_setting_source_line(s);
	if ((s = config_lookup(conf, "tcp.streams")) && c->boot->tcp_streams > 0 &&
	    c->boot->tcp_streams < SL_BOOT_MIN_STREAMS)
		bad(c, s, "tcp.streams", "0: no TCP", "%d is out of range: 0, or %d to %d",
		    c->boot->tcp_streams, SL_BOOT_MIN_STREAMS, 1 << 22);
	if ((s = config_lookup(conf, "events_kb")) && c->boot->events_kb > 0 &&
	    (c->boot->events_kb < SL_BOOT_MIN_EVENTS_KB ||
	     (c->boot->events_kb & (c->boot->events_kb - 1))))
		bad(c, s, "events_kb", "0: no access log",
		    "%d is neither 0 nor a power of two from %d to %d", c->boot->events_kb,
		    SL_BOOT_MIN_EVENTS_KB, 1 << 18);
	check_tls(c, conf);
	for (unsigned i = 0; i < c->boot->port_cnt; i++)
		check_port(c, i);
	if (c->boot->control[0] != '/')
		sl_diag_add(c->diag, c->file, 0, "control", NULL, "\"%s\" is not an absolute path",
			    c->boot->control);
}

int
sl_boot_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
	      struct sl_boot *ret_boot)
{
	struct sl_diag own = {0};
	struct sl_boot b = {
		.control = "/run/sluice/dataplane.sock",
		.daemon_user = "root",
		.main_cpu = -1,
		.size_mb = 512,
		.buffers = 16384,
		.mbuf_data = 2048,
		.flows = 1 << 20,
		.events_kb = 4096,
		.stop_wait_ms = 3000,
		.tcp_streams = 65536,
		.http_requests = 16384,
		.http_pool = 16384,
		.http_head_mb = 16,
		.limits_mb = 16,
		.tls_sessions = 65536,
		.tls_handshakes = 2048,
		.tls_threads = 1,
		.tls_budget_us = 500,
		.tcp_timewait = 65536,
		.tcp_memory_mb = 64,
		.tcp_receive_max = 1 << 20,
		.tcp_send_max = 1 << 20,
	};
	struct ctx c = {.file = file, .diag = diag ? diag : &own, .boot = &b};
	unsigned before = c.diag->cnt + c.diag->more;
	config_t conf;

	if (memchr(text, 0, len)) {
		sl_diag_add(c.diag, file, 0, NULL, "it must be text", "the file has a 0 byte");
		sl_diag_fini(&own);
		return -EINVAL;
	}
	config_init(&conf);
	scan_text(&c, text);
	if (strchr(text, '@') && c.diag->cnt + c.diag->more > before)
		; /* an @include would be followed */
	else if (!config_read_string(&conf, text))
		sl_diag_add(c.diag, file, config_error_line(&conf), NULL, NULL, "%s",
			    config_error_text(&conf));
	else
		read_all(&c, &conf);
	config_destroy(&conf);
	int err = c.diag->cnt + c.diag->more > before ? -EINVAL : 0;
	sl_diag_fini(&own);
	if (err == 0 && !(b.file = strdup(file)))
		err = -ENOMEM;
	if (err == 0)
		*ret_boot = b;
	return err;
}

static int
read_file(const char *file, char **ret_text, size_t *ret_len)
{
	int err = 0, fd = open(file, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(FILE_MAX_BYTES + 1);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (!text)
		err = -ENOMEM;
	while (!err) {
		ssize_t n = read(fd, text + len, FILE_MAX_BYTES + 1 - len);
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > FILE_MAX_BYTES)
			err = -EFBIG;
	}
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[len] = 0;
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int
sl_boot_load(const char *file, struct sl_diag *diag, struct sl_boot *ret_boot)
{
	char *text = NULL;
	size_t len = 0;
	int err = read_file(file, &text, &len);

	if (err) {
		sl_diag_add(diag, file, 0, NULL, "give a boot file: sluice-dataplane -c FILE",
			    "cannot be read: %s", strerror(-err));
		return err;
	}
	err = sl_boot_parse(file, text, len, diag, ret_boot);
	free(text);
	return err;
}

void
sl_boot_fini(struct sl_boot *boot)
{
	free(boot->file);
	*boot = (struct sl_boot){0};
}

/* drive — what a benchmark needs of a running sluice-dataplane, in place of sluiced.
 *
 *   bench_drive SOCKET          answers one JSON object per line; commands on standard input:
 *     load FILE                 parse, compile, offer; answered when the dataplane has judged
 *     swap FILE_A FILE_B N      load A and B in turn, N pushes, as fast as verdicts come
 *     try FILE PPM              offer it to be tried beside the active one (shadow.h); answered when that has begun
 *     untry                     end that; answered with what was counted
 *     pair NAME CERT KEY        PEM files checked, made a secret, sent; answered when the dataplane has it
 *     sample                    counters of all workers now, and of TLS
 *     quit
 *
 * It uses the daemon's own link, parser and compilers (sluice-compile is program SLUICE_COMPILE), so push times are those of the
 * product without the CLI's socket and the disk.  When the dataplane goes and another comes it says so ("down", "up") and gives it back the flow region, as
 * the daemon does; the table has to be loaded again, and keeps its slots. */
#include "mgmt/cert_check.h"
#include "mgmt/memfd.h"
#include "mgmt/publish.h"
#include "mgmt/shards.h"
#include "sluice/stats.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>
#include <x86intrin.h>

struct table {
	struct sl_slot_map map;
	struct sl_compiled *compiled;
	bool have_map;
};

struct drive {
	uv_loop_t loop;
	uv_pipe_t in;
	struct sl_publish *link;
	char line[8192];
	size_t line_len;
	char *text[2]; /* of A and B while swapping; [0] for load */
	char name[2][4096];
	unsigned left, done; /* pushes to go, and made */
	bool swapping;
	struct table now, next; /* now: active; next: on offer */
	struct sl_shards *shards;
	uint32_t sample_ppm; /* the push under way is to be tried; 0: not */
	uint64_t generation;
	double begun, parse_ms, compile_ms, offer_at;
	double *push_ms; /* [done] */
	json_t *before;
	double tsc_hz;
	bool up;
};

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
measure_tsc(void)
{
	double t0 = now_ms();
	uint64_t c0 = __rdtsc();
	struct timespec nap = {.tv_nsec = 50000000};

	nanosleep(&nap, NULL);
	return (double)(__rdtsc() - c0) / (now_ms() - t0) * 1e3;
}

static void
answer(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static void
put(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

/* ---- counters ---- */

static json_t *
one_worker(const struct sl_stats_worker *w)
{
	json_t *o = json_object(), *drops = json_object(), *tls = json_object();

	put(o, "rx", w->rx_packets);
	put(o, "tx", w->tx_packets);
	put(o, "forwarded", w->forwarded);
	put(o, "consumed", w->consumed);
	put(o, "dropped", w->dropped);
	put(o, "busy_ticks", w->busy_ticks);
	put(o, "total_ticks", w->total_ticks);
	put(o, "turns", w->turns);
	put(o, "flow_insert", w->flow_insert);
	put(o, "flow_expire", w->flow_expire);
	put(o, "flow_evict", w->flow_evict);
	put(o, "flow_hit", w->flow_hit);
	put(o, "flow_miss", w->flow_miss);
	put(o, "flow_active", w->flow_active);
	put(o, "flow_capacity", w->flow_capacity);
	put(o, "flow_adopted", w->flow_adopted);
	put(o, "flow_lost", w->flow_lost);
	put(o, "maglev_only", w->maglev_only);
	put(o, "handoff_out", w->handoff_out);
	put(o, "generation", w->generation);
	for (unsigned i = 0; i < SL_DROP_CNT; i++)
		if (w->drop[i])
			put(drops, sl_drop_name(i), w->drop[i]);
	for (unsigned i = 0; i < SL_TLS_CNT_CNT; i++)
		put(tls, sl_tls_counter_name(i), w->tls.count[i]);
	json_object_set_new(o, "drop", drops);
	json_object_set_new(o, "tls", tls);
	return o;
}

static json_t *
sample(struct drive *d)
{
	const struct sl_publish_link *l = sl_publish_link(d->link);
	json_t *o = json_object(), *ws = json_array();
	uint64_t tx_full = 0;

	if (!l) {
		json_object_set_new(o, "error", json_string("no dataplane"));
		return o;
	}
	void *seg = (void *)(uintptr_t)l->stats;
	const struct sl_stats_head *h = seg;

	for (unsigned i = 0; i < h->worker_cnt; i++) {
		json_array_append_new(ws, one_worker(sl_stats_worker(seg, i)));
		for (unsigned p = 0; p < h->port_cnt; p++)
			tx_full += sl_stats_ports(seg, i)[p].tx_full;
	}
	json_object_set_new(o, "event", json_string("sample"));
	json_object_set_new(o, "ms", json_real(now_ms()));
	put(o, "ticks_per_s", h->ticks_per_s);
	put(o, "tx_full", tx_full);
	json_object_set_new(o, "workers", ws);
	return o;
}

/* ---- pushes ---- */

static void
fail(const char *what, const char *why, const struct sl_diag *diag)
{
	json_t *o = json_object(), *a = json_array();
	char line[1024];

	json_object_set_new(o, "error", json_sprintf("%s: %s", what, why));
	for (unsigned i = 0; diag && i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		json_array_append_new(a, json_string(line));
	}
	json_object_set_new(o, "reasons", a);
	answer(o);
}

static void
table_fini(struct table *t)
{
	if (t->have_map)
		sl_slot_map_fini(&t->map);
	sl_compiled_free(t->compiled);
	*t = (struct table){0};
}

static bool
compile(struct drive *d, const char *name, const char *text)
{
	struct sl_slot_map none;
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;
	double t0 = d->begun = now_ms();

	sl_slot_map_init(&none);
	int rc = sl_conf_parse(name, text, strlen(text), &diag, &c);
	double t1 = now_ms();

	if (!rc)
		rc = sl_compile(c, d->now.have_map ? &d->now.map : &none, d->now.compiled,
				d->shards, &diag, &d->next.map, &d->next.compiled);
	d->next.have_map = !rc;
	if (rc)
		fail(name, strerror(-rc), &diag);
	d->parse_ms = t1 - t0;
	d->compile_ms = now_ms() - t1;
	sl_conf_free(c);
	sl_slot_map_fini(&none);
	sl_diag_fini(&diag);
	return !rc;
}

/* One push: d->done says which of the two texts.  False: an answer has been given. */
static bool
push(struct drive *d)
{
	unsigned which = d->swapping ? d->done % 2 : 0;

	if (!compile(d, d->name[which], d->text[which]))
		return false;
	d->offer_at = now_ms();
	int rc = d->sample_ppm
			 ? sl_publish_try(d->link, ++d->generation, d->next.compiled, d->sample_ppm)
			 : sl_publish_offer(d->link, ++d->generation, d->next.compiled);
	if (rc) {
		fail("offer", strerror(-rc), NULL);
		table_fini(&d->next);
	}
	return !rc;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
pushes_end(struct drive *d)
{
	for (unsigned i = 0; i < 2; i++) {
		free(d->text[i]);
		d->text[i] = NULL;
	}
	free(d->push_ms);
	d->push_ms = NULL;
	if (d->before)
		json_decref(d->before);
	d->before = NULL;
	d->left = d->done = 0;
	d->swapping = false;
	d->sample_ppm = 0;
}

static void
swapped(struct drive *d)
{
	json_t *o = json_object();

	qsort(d->push_ms, d->done, sizeof(*d->push_ms), by_value);
	json_object_set_new(o, "event", json_string("swapped"));
	put(o, "pushes", d->done);
	json_object_set_new(o, "median_ms", json_real(d->push_ms[d->done / 2]));
	json_object_set_new(o, "max_ms", json_real(d->push_ms[d->done - 1]));
	json_object_set(o, "before", d->before);
	json_object_set_new(o, "after", sample(d));
	answer(o);
}

static void
pushed(const struct drive *d, const struct sl_publish_verdict *v)
{
	json_t *o = json_object(), *a = json_array();

	json_object_set_new(o, "event", json_string("pushed"));
	json_object_set_new(o, "outcome",
			    json_string(v->outcome == SL_CTL_ACTIVE  ? "active"
					: v->outcome == SL_CTL_TRIED ? "tried"
								     : "refused"));
	put(o, "generation", v->generation);
	json_object_set_new(o, "total_ms", json_real(now_ms() - d->begun));
	json_object_set_new(o, "parse_ms", json_real(d->parse_ms));
	json_object_set_new(o, "compile_ms", json_real(d->compile_ms));
	json_object_set_new(o, "offer_ms", json_real(now_ms() - d->offer_at));
	put(o, "check_ns", v->check_ns);
	put(o, "build_ns", v->build_ns);
	put(o, "swap_ns", v->swap_ns);
	put(o, "objects_sent", v->objects_sent);
	put(o, "bytes_sent", v->bytes_sent);
	for (unsigned i = 0; i < v->reason_cnt; i++)
		json_array_append_new(a, json_string(v->reasons[i]));
	json_object_set_new(o, "reasons", a);
	answer(o);
}

static void
on_verdict(void *ctx, const struct sl_publish_verdict *v)
{
	struct drive *d = ctx;

	if (!d->left || v->generation != d->generation)
		return;
	if (v->outcome != SL_CTL_ACTIVE) {
		pushed(d, v);
		table_fini(&d->next);
		pushes_end(d);
		return;
	}
	table_fini(&d->now);
	d->now = d->next;
	d->next = (struct table){0};
	d->left--;
	if (!d->swapping) {
		pushed(d, v);
		pushes_end(d);
		return;
	}
	d->push_ms[d->done++] = now_ms() - d->begun;
	if (!d->left) {
		swapped(d);
		pushes_end(d);
	} else if (!push(d)) {
		pushes_end(d);
	}
}

static char *
slurp(const char *path)
{
	FILE *f = fopen(path, "rbe");
	size_t room = 1 << 26, n = 0;
	char *text = f ? malloc(room + 1) : NULL;

	if (text) {
		n = fread(text, 1, room, f);
		text[n] = 0;
	}
	if (f)
		fclose(f);
	return text;
}

static void
begin(struct drive *d, const char *a, const char *b, unsigned n)
{
	if (d->left) {
		fail("busy", "a push is under way", NULL);
		return;
	}
	snprintf(d->name[0], sizeof(d->name[0]), "%s", a);
	snprintf(d->name[1], sizeof(d->name[1]), "%s", b ? b : "");
	d->text[0] = slurp(a);
	d->text[1] = b ? slurp(b) : NULL;
	d->swapping = b != NULL;
	d->left = n;
	d->push_ms = calloc(n, sizeof(*d->push_ms));
	d->before = d->swapping ? sample(d) : NULL;
	if (!d->text[0] || (b && !d->text[1]) || !d->push_ms) {
		fail(a, "cannot be read", NULL);
		pushes_end(d);
	} else if (!push(d)) {
		pushes_end(d);
	}
}

static void
on_untried(void *ctx, int err, const struct sl_ctl_shadow_counts *c,
	   const struct sl_ctl_shadow_example *e, const char *why)
{
	json_t *o = json_object();

	(void)ctx;
	if (err)
		fail("untry", why ? why : strerror(-err), NULL);
	if (err || e) {
		json_decref(o);
		return;
	}
	json_object_set_new(o, "event", json_string("untried"));
	put(o, "seen", c->what[SL_SHADOW_REQUESTS].seen);
	put(o, "sampled", c->what[SL_SHADOW_REQUESTS].sampled);
	put(o, "changed", c->what[SL_SHADOW_REQUESTS].changed);
	answer(o);
}

static void
try(struct drive *d, const char *file, unsigned ppm)
{
	if (!d->left)
		d->sample_ppm = ppm;
	begin(d, file, NULL, 1);
}

static void
on_secret(void *ctx, uint32_t kind, const char *name, int err, int error, const char *text)
{
	json_t *o = json_object();

	(void)ctx;
	(void)kind;
	if (err || error) {
		fail(name, err ? strerror(-err) : text, NULL);
		json_decref(o);
		return;
	}
	json_object_set_new(o, "event", json_string("secret"));
	json_object_set_new(o, "name", json_string(name));
	answer(o);
}

static void
pair(struct drive *d, const char *name, const char *cert_file, const char *key_file)
{
	char *cert = slurp(cert_file), *key = slurp(key_file);
	struct sl_cert_made made = {0};
	struct sl_diag diag = {0};
	int rc = -ENOENT, fd;

	if (cert && key)
		rc = sl_cert_check_pair(cert, strlen(cert), key, strlen(key), time(NULL), &diag,
					&made);
	if (!rc) {
		fd = sl_memfd_secret(made.secret, made.bytes);
		rc = fd < 0 ? fd
			    : sl_publish_secret(d->link, SL_SECRET_PAIR, name, fd,
						(uint32_t)made.bytes, on_secret, d);
		sl_cert_made_fini(&made);
	}
	if (rc)
		fail(name, strerror(-rc), &diag);
	sl_diag_fini(&diag);
	free(cert);
	free(key);
}

static void
command(struct drive *d, char *line)
{
	char a[4096], b[4096], name[64];
	unsigned n;

	if (!strcmp(line, "sample"))
		answer(sample(d));
	else if (!strcmp(line, "quit"))
		uv_stop(&d->loop);
	else if (!strcmp(line, "untry")) {
		int rc = sl_publish_shadow(d->link, SL_SHADOW_END, on_untried, d);
		if (rc)
			fail(line, strerror(-rc), NULL);
	} else if (sscanf(line, "try %4095s %u", a, &n) == 2 && n > 0 && n <= 1000000)
		try(d, a, n);
	else if (sscanf(line, "load %4095s", a) == 1)
		begin(d, a, NULL, 1);
	else if (sscanf(line, "pair %63s %4095s %4095s", name, a, b) == 3)
		pair(d, name, a, b);
	else if (sscanf(line, "swap %4095s %4095s %u", a, b, &n) == 3 && n > 0 && n < 1000000)
		begin(d, a, b, n);
	else
		fail(line, "not a command", NULL);
}

/* ---- the loop ---- */

static void
on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret_buf)
{
	struct drive *d = h->data;

	(void)want;
	*ret_buf = uv_buf_init(d->line + d->line_len, (unsigned)(sizeof(d->line) - d->line_len));
}

static void
on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct drive *d = s->data;
	char *nl;

	(void)buf;
	if (n < 0) {
		uv_stop(&d->loop);
		return;
	}
	d->line_len += (size_t)n;
	while ((nl = memchr(d->line, '\n', d->line_len))) {
		*nl = 0;
		command(d, d->line);
		d->line_len -= (size_t)(nl + 1 - d->line);
		memmove(d->line, nl + 1, d->line_len);
	}
	if (d->line_len == sizeof(d->line))
		d->line_len = 0;
}

static void
on_up(void *ctx, const struct sl_publish_link *l)
{
	struct drive *d = ctx;
	json_t *o = json_object();

	d->up = true;
	d->generation = l->generation;
	json_object_set_new(o, "event", json_string("up"));
	put(o, "pid", l->pid);
	put(o, "workers", l->worker_cnt);
	put(o, "ports", l->port_cnt);
	json_object_set_new(o, "tsc_hz", json_real(d->tsc_hz));
	answer(o);
}

static void
on_down(void *ctx, const char *why)
{
	struct drive *d = ctx;

	json_t *o = json_object();

	json_object_set_new(o, "event", json_string("down"));
	json_object_set_new(o, "why", json_string(why));
	answer(o);
	table_fini(&d->next);
	pushes_end(d);
}

static void
on_trouble(void *ctx, const char *why)
{
	(void)ctx;
	fprintf(stderr, "bench_drive: %s\n", why);
}

static void
on_taken(void *ctx, const struct sl_publish_taken *t)
{
	on_trouble(ctx, t->text);
}

static struct sl_shards *
make_shards(void)
{
	const char *program = getenv("SLUICE_COMPILE");
	struct sl_shards_conf conf = {.program = program ? program : "sluice-compile",
				      .deadline_ms = 600000}; /* the machine may be busy */
	struct sl_diag notes = {0};
	struct sl_shards *s = NULL;

	sl_shards_create(&conf, &notes, &s);
	sl_diag_fini(&notes);
	return s;
}

int
main(int argc, char **argv)
{
	static struct drive drive;
	struct drive *d = &drive;
	struct sl_publish_events ev = {on_up, on_down,    on_verdict, on_trouble, on_taken,
				       NULL,  on_trouble, NULL,       NULL,       d};

	if (argc != 2) {
		fprintf(stderr, "bench_drive SOCKET\n");
		return 2;
	}
	d->tsc_hz = measure_tsc();
	d->shards = make_shards();
	uv_loop_init(&d->loop);
	uv_pipe_init(&d->loop, &d->in, 0);
	d->in.data = d;
	if (uv_pipe_open(&d->in, 0) || uv_read_start((uv_stream_t *)&d->in, on_alloc, on_input) ||
	    sl_publish_create(&d->loop, argv[1], &ev, &d->link)) {
		fprintf(stderr, "bench_drive: standard input must be a pipe\n");
		return 1;
	}
	uv_run(&d->loop, UV_RUN_DEFAULT);
	sl_publish_destroy(d->link);
	pushes_end(d);
	table_fini(&d->next);
	table_fini(&d->now);
	sl_shards_destroy(d->shards);
	return d->up ? 0 : 1;
}

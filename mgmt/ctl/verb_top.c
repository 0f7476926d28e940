/* verb_top — the counters, looked at again and again.
 *
 * The screen listens to keys and to the daemon at once: a request goes out, its answer is gathered as it comes, so
 * that a daemon that is slow or stopped does not hold up the keys.  A connection that breaks is made again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/api.h"
#include "mgmt/conf_value.h"
#include "mgmt/ctl/top.h"

#define ANSWER_MS 5000 /* after that the daemon is said not to answer, and asked anew */

struct feed {
	const char *path;
	int sock; /* -1: none */
	struct sl_api_head head;
	char *body;
	size_t have; /* of head and body together */
	bool waiting;
	int64_t asked_ms;
	char why[256]; /* the last trouble, "" while all is well */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
feed_drop(struct feed *f)
{
	if (f->sock >= 0)
		close(f->sock);
	free(f->body);
	f->sock = -1;
	f->body = NULL;
	f->have = 0;
	f->waiting = false;
}

static void
feed_trouble(struct feed *f, const char *what)
{
	feed_drop(f);
	snprintf(f->why, sizeof(f->why), "%s; trying again", what);
}

static void
feed_ask(struct feed *f)
{
	static const char body[] = "{\"verb\":\"stats\"}";
	struct {
		struct sl_api_head head;
		char body[sizeof(body) - 1];
	} frame = {{SL_API_MAGIC, SL_API_VERSION, 0, sizeof(body) - 1}, ""};
	char why[200];

	if (f->sock < 0) {
		f->sock = ctl_dial(f->path, why, sizeof(why), NULL);
		if (f->sock < 0) {
			feed_trouble(f, why);
			return;
		}
		fcntl(f->sock, F_SETFL, O_NONBLOCK);
	}
	memcpy(frame.body, body, sizeof(frame.body));
	f->asked_ms = now_ms();
	if (send(f->sock, &frame, sizeof(frame), MSG_NOSIGNAL) != (ssize_t)sizeof(frame))
		feed_trouble(f, "sluiced closed the connection");
	else
		f->waiting = true;
}

/* More of the answer; NULL until it is whole. */
static json_t *
feed_hear(struct feed *f)
{
	while (f->sock >= 0) {
		bool head = f->have < sizeof(f->head);
		char *at = head ? (char *)&f->head + f->have : f->body + f->have - sizeof(f->head);
		size_t need = sizeof(f->head) + (head ? 0 : f->head.len) - f->have;
		ssize_t n = recv(f->sock, at, need, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return NULL;
		if (n <= 0 || !f->waiting) {
			feed_trouble(f, "sluiced closed the connection");
			return NULL;
		}
		f->have += (size_t)n;
		if ((size_t)n < need)
			continue;
		if (head) {
			f->body = f->head.magic == SL_API_MAGIC && f->head.len >= 2 &&
						  f->head.len <= SL_API_MAX
					  ? malloc(f->head.len)
					  : NULL;
			if (!f->body)
				feed_trouble(f, "sluiced's answer is no answer");
			continue;
		}
		json_t *a = json_loadb(f->body, f->head.len, 0, NULL);
		free(f->body);
		f->body = NULL;
		f->have = 0;
		f->waiting = false;
		return a;
	}
	return NULL;
}

/* ---- the screen ---- */

struct show {
	struct top_sample *old, *now;
	struct top_view view;
	bool viewed;
	int64_t restarted_ms; /* when a restart was seen; 0: none */
};

static void
take_answer(struct show *s, struct feed *f, json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	struct top_sample *next = top_sample_make(answer);

	if (!next) {
		snprintf(f->why, sizeof(f->why), "%.200s; trying again",
			 *ctl_str(error, "text") ? ctl_str(error, "text")
						 : "sluiced's answer is no answer");
		return;
	}
	f->why[0] = 0;
	if (s->viewed)
		top_view_fini(&s->view);
	top_sample_free(s->old);
	s->old = s->now;
	s->now = next;
	s->viewed = top_view_make(&s->view, s->old, s->now);
	if (s->viewed && s->view.restarted)
		s->restarted_ms = now_ms();
}

static void
draw(const struct show *s, const struct feed *f)
{
	char note[300] = "";

	if (f->why[0])
		snprintf(note, sizeof(note), "%s", f->why);
	else if (f->waiting && now_ms() - f->asked_ms > ANSWER_MS / 5)
		snprintf(note, sizeof(note), "sluiced does not answer yet");
	else if (s->restarted_ms && now_ms() - s->restarted_ms < 10000)
		snprintf(note, sizeof(note), "the dataplane was restarted; it took over %llu flows",
			 (unsigned long long)s->now->adopted);
	top_screen_draw(s->viewed ? &s->view : NULL, note);
}

static int
watch(struct ctl *c, uint32_t interval_ms)
{
	struct feed f = {.path = c->socket, .sock = -1};
	struct show s = {0};
	enum top_wish wish = TOP_REDRAW;
	int64_t next = now_ms();

	const char *why = top_screen_open();
	if (why)
		return ctl_fail(c, CTL_USAGE, "--once prints it once as text",
				"cannot use this terminal: %s", why);
	while (wish != TOP_QUIT) {
		int64_t now = now_ms();
		if (f.waiting && now - f.asked_ms > ANSWER_MS)
			feed_trouble(&f, "sluiced does not answer");
		if (!f.waiting && now >= next) {
			next = now + interval_ms;
			if (!top_screen_paused())
				feed_ask(&f);
		}
		draw(&s, &f);
		struct pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {f.sock, POLLIN, 0}};
		int64_t wait = f.waiting ? ANSWER_MS / 5 : next - now_ms();
		poll(p, 2, (int)(wait < 0 ? 0 : wait > 1000 ? 1000 : wait));
		if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			break; /* the terminal is gone */
		wish = top_screen_keys();
		json_t *a = feed_hear(&f);
		if (a)
			take_answer(&s, &f, a);
		json_decref(a);
	}
	top_screen_close();
	feed_drop(&f);
	if (s.viewed)
		top_view_fini(&s.view);
	top_sample_free(s.old);
	top_sample_free(s.now);
	return CTL_OK;
}

/* ---- once ---- */

static void
print_pane(const struct top_view *v, enum top_pane p)
{
	const char *titles[TOP_COLUMNS + 1] = {0};
	char title[TOP_COLUMNS][32], buf[TOP_TEXT_MAX];
	unsigned n = 0;

	for (; top_panes[p].columns[n].title; n++) {
		const struct top_column *col = &top_panes[p].columns[n];
		snprintf(title[n], sizeof(title[n]), "%s%s", col->kind == TOP_TEXT ? "" : ">",
			 col->title);
		titles[n] = title[n];
	}
	struct ctl_table *t = ctl_table_new(titles);
	for (size_t i = 0; i < v->pane[p].cnt; i++)
		for (unsigned k = 0; k < n; k++)
			ctl_table_cell(t, "%s", top_cell(p, k, &v->pane[p].row[i], false, buf));
	printf("\n");
	ctl_table_print(t);
}

static void
print_text(const struct top_view *v)
{
	const struct top_sample *s = v->now;
	char age[32];

	printf("gateway     %s, generation %lld\n", s->gateway, s->generation);
	printf("processes   dataplane %lld, up %s; sluiced %lld\n", s->dataplane_pid,
	       top_age(s->uptime_s, age), s->daemon_pid);
	printf("flows       %llu of %llu, %.1f new/s\n", (unsigned long long)s->flows,
	       (unsigned long long)s->capacity, v->new_flows);
	if (s->streams)
		printf("streams     %llu\n", (unsigned long long)s->streams);
	printf("packets     %.1f/s in, %.1f/s out, %.1f/s dropped%s%s%s\n", v->rx, v->tx, v->drops,
	       v->drop[0] ? " (most: " : "", v->drop, v->drop[0] ? ")" : "");
	printf("over        %.3f s\n", v->seconds);
	for (unsigned p = 0; p < TOP_PANES; p++)
		print_pane(v, p);
}

static json_t *
row_json(enum top_pane p, const struct top_row *r)
{
	json_t *o = json_object();

	for (unsigned k = 0; top_panes[p].columns[k].title; k++) {
		const struct top_column *c = &top_panes[p].columns[k];
		bool none = (c->kind != TOP_NOW && !r->rated) || r->cell[k] < 0;
		json_object_set_new(o, c->key,
				    c->kind == TOP_TEXT  ? json_string(r->item->text[c->a])
				    : none               ? json_null()
				    : c->kind == TOP_NOW ? json_integer((json_int_t)r->cell[k])
							 : json_real(r->cell[k]));
	}
	return o;
}

static void
print_json(const struct top_view *v)
{
	const struct top_sample *s = v->now;
	json_t *o = json_pack(
		"{s:b, s:s, s:s, s:s, s:I, s:f, s:{s:I, s:I}, s:f, s:I, s:I, s:I, s:f, "
		"s:f, s:f, s:f, s:s?}",
		"ok", 1, "verb", "top", "gateway", s->gateway, "boot_id", s->boot, "generation",
		(json_int_t)s->generation, "uptime_s", s->uptime_s, "pids", "daemon",
		(json_int_t)s->daemon_pid, "dataplane", (json_int_t)s->dataplane_pid, "seconds",
		v->seconds, "flows", (json_int_t)s->flows, "streams", (json_int_t)s->streams,
		"capacity", (json_int_t)s->capacity, "new_flows_s", v->new_flows, "rx_pps", v->rx,
		"tx_pps", v->tx, "drops_s", v->drops, "drop_reason", v->drop[0] ? v->drop : NULL);

	for (unsigned p = 0; p < TOP_PANES; p++) {
		json_t *rows = json_array();
		for (size_t i = 0; i < v->pane[p].cnt; i++)
			json_array_append_new(rows, row_json(p, &v->pane[p].row[i]));
		json_object_set_new(o, top_panes[p].name, rows);
	}
	ctl_print_json(o);
	json_decref(o);
}

static struct top_sample *
sample(struct ctl *c, int *ret_exit)
{
	json_t *a = ctl_ask(c, json_pack("{s:s}", "verb", "stats"), ret_exit);
	struct top_sample *s = a ? top_sample_make(a) : NULL;

	if (a && !s)
		*ret_exit = ctl_refused(c, a);
	json_decref(a);
	return s;
}

static int
once(struct ctl *c, uint32_t interval_ms)
{
	struct timespec t = {interval_ms / 1000, interval_ms % 1000 * 1000000L};
	struct top_sample *old, *now = NULL;
	struct top_view v;
	int rc = CTL_OK;

	old = sample(c, &rc);
	if (old) {
		while (nanosleep(&t, &t) && errno == EINTR)
			;
		now = sample(c, &rc);
	}
	if (now && top_view_make(&v, old, now)) {
		if (v.restarted)
			rc = ctl_fail(c, CTL_NO_PEER, "again",
				      "the dataplane was restarted meanwhile");
		else if (c->json)
			print_json(&v);
		else
			print_text(&v);
		rc = v.restarted ? rc : CTL_OK;
		top_view_fini(&v);
	}
	top_sample_free(old);
	top_sample_free(now);
	return rc;
}

int
ctl_top(struct ctl *c)
{
	const char *interval = c->opt[CTL_OPT_INTERVAL];
	uint32_t ms = 1000;

	if (interval && (sl_value_duration(interval, &ms) || ms < 100 || ms > 60000))
		return ctl_fail(c, CTL_USAGE, "from 100ms to 60s", "'%s' is no interval", interval);
	if (c->opt[CTL_OPT_ONCE] || c->json)
		return once(c, ms);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ctl_fail(c, CTL_USAGE, "--once prints it once as text",
				"top needs a terminal for its screen");
	return watch(c, ms);
}

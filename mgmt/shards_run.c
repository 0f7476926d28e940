/* A run's child is started for the first database that is neither in memory nor on disk, and does all of them in turn.
 *
 *   ask ─▶ child ─▶ database            kept
 *                ─▶ BAD: these patterns  each named with its route; the push is refused
 *                ─▶ LIMIT, or it died, or the time is up: patterns are tried in small groups, and alone where a group
 *                   fails, to name those that are too much by themselves; none: the set is named as a whole
 *
 * The last sixth of the time is kept for that search. */
#include "mgmt/shards_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/compile_wire.h"
#include "mgmt/object.h"

#define CULPRITS_MAX 8
#define GROUP 64u              /* patterns tried at a time when a culprit is looked for */
#define ALONE_NS 1000000000ull /* a pattern is given this to show that it is not too much */
#define QUOTE_MAX 80
#define ERRORS_BYTES_MAX (16u << 20)

enum outcome {
	ANSWERED,
	LATE,    /* the time is up */
	DIED,    /* the child is gone: run->why */
	STOPPED, /* sl_shards_stop */
	NO_MEMORY,
};

/* What the child said. */
struct reply {
	enum sl_compile_status status;
	uint32_t bytes;
	char *text;                    /* BAD, LIMIT: terminated */
	struct sl_compiled_object obj; /* OK */
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the child ---- */

static int
spawn(const struct sl_shards *s, int end, pid_t *ret_pid)
{
	char memory[16], cpu[16], *env[] = {NULL};
	char *argv[] = {s->program, "--memory-mb", memory, "--cpu-s", cpu, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;

	snprintf(memory, sizeof(memory), "%u", s->memory_mb);
	snprintf(cpu, sizeof(cpu), "%u", s->deadline_ms / 500 + 2); /* the clock ends it first */
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, end, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, end, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	int err = posix_spawn(ret_pid, s->program, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -err;
}

static int
start(struct sl_shards_run *r)
{
	int ends[2];

	if (r->fd >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	int err = spawn(r->s, ends[1], &r->pid);
	close(ends[1]);
	if (err) {
		close(ends[0]);
		return err;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	r->fd = ends[0];
	return 0;
}

/* Ends the child, whatever it does; how it ended by itself, if so, goes to why. */
static void
end(struct sl_shards_run *r, char *why, size_t size)
{
	int status = 0;

	if (r->fd < 0)
		return;
	close(r->fd);
	r->fd = -1;
	kill(r->pid, SIGKILL); /* it is ours until we wait for it */
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!why)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		snprintf(why, size, "its processor time was up");
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		snprintf(why, size, "sluice-compile ended with: %s", strsignal(WTERMSIG(status)));
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		snprintf(why, size, "sluice-compile ended with exit code %d", WEXITSTATUS(status));
	else
		snprintf(why, size, "sluice-compile ended");
}

/* Waits until the child takes or gives something. */
static enum outcome
await(const struct sl_shards_run *r, short events, uint64_t until_ns)
{
	struct pollfd p[2] = {{.fd = r->fd, .events = events},
			      {.fd = r->s->stop_fd, .events = POLLIN}};

	for (;;) {
		uint64_t now = now_ns();
		if (now >= until_ns)
			return LATE;
		int n = poll(p, 2, (int)SL_MIN((until_ns - now) / 1000000 + 1, 1000000u));
		if (n > 0 && p[1].revents)
			return STOPPED;
		if (n > 0)
			return ANSWERED;
		if (n < 0 && errno != EINTR)
			return NO_MEMORY;
	}
}

/* Moves len bytes to or from the child. */
static enum outcome
move(const struct sl_shards_run *r, void *bytes, size_t len, bool out, uint64_t until_ns)
{
	for (char *at = bytes; len > 0;) {
		ssize_t n = out ? send(r->fd, at, len, MSG_NOSIGNAL) : recv(r->fd, at, len, 0);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return DIED;
		enum outcome o = await(r, out ? POLLOUT : POLLIN, until_ns);
		if (o != ANSWERED)
			return o;
	}
	return ANSWERED;
}

static char *
ask_bytes(const struct sl_pattern *patterns, uint32_t cnt, uint32_t flags, size_t *ret_len)
{
	struct sl_compile_ask ask = {.magic = SL_COMPILE_MAGIC, .flags = flags, .cnt = cnt};
	size_t len = 0;

	for (uint32_t i = 0; i < cnt; i++)
		len += sizeof(struct sl_compile_pattern) + patterns[i].len;
	char *buf = len <= SL_COMPILE_ASK_MAX ? malloc(sizeof(ask) + len) : NULL, *to = buf;
	if (!buf)
		return NULL;
	ask.bytes = (uint32_t)len;
	memcpy(to, &ask, sizeof(ask));
	to += sizeof(ask);
	for (uint32_t i = 0; i < cnt; i++) {
		struct sl_compile_pattern p = {
			.op = patterns[i].op, .icase = patterns[i].icase, .len = patterns[i].len};
		memcpy(to, &p, sizeof(p));
		memcpy(to + sizeof(p), patterns[i].text, p.len);
		to += sizeof(p) + p.len;
	}
	*ret_len = sizeof(ask) + len;
	return buf;
}

/* The database goes straight into its object. */
static enum outcome
take_database(const struct sl_shards_run *r, uint32_t cnt, uint64_t until_ns, struct reply *ret)
{
	uint32_t size = sizeof(struct sl_img_shard);
	uint32_t off = sl_object_section(&size, ret->bytes, 1);
	struct sl_img_shard *img = sl_object_create(SL_OBJ_SHARD, size);

	if (!img)
		return NO_MEMORY;
	img->pattern_cnt = cnt;
	img->db_bytes = ret->bytes;
	img->db_off = off;
	enum outcome o = move(r, (char *)img + off, ret->bytes, false, until_ns);
	if (o != ANSWERED)
		sl_object_unref(img);
	else if (sl_object_finish(img, size, NULL, &ret->obj) != 0)
		o = NO_MEMORY;
	return o;
}

static enum outcome
take_reply(const struct sl_shards_run *r, uint32_t cnt, uint64_t until_ns, struct reply *ret)
{
	struct sl_compile_answer a;
	enum outcome o = move(r, &a, sizeof(a), false, until_ns);

	if (o != ANSWERED)
		return o;
	ret->status = (enum sl_compile_status)a.status;
	ret->bytes = a.bytes;
	if (a.magic != SL_COMPILE_MAGIC || a.status > SL_COMPILE_LIMIT ||
	    a.bytes > (a.status == SL_COMPILE_OK ? SL_OBJ_MAX - 4096 : ERRORS_BYTES_MAX))
		return DIED; /* it is not itself any more */
	if (a.status == SL_COMPILE_OK)
		return a.bytes ? take_database(r, cnt, until_ns, ret) : ANSWERED;
	if (!(ret->text = malloc(a.bytes + 1u)))
		return NO_MEMORY;
	ret->text[a.bytes] = 0;
	o = move(r, ret->text, a.bytes, false, until_ns);
	if (o != ANSWERED) {
		free(ret->text);
		ret->text = NULL;
	}
	return o;
}

/* One question.  why: [256] of what became of a child that DIED. */
static enum outcome
ask(struct sl_shards_run *r, const struct sl_pattern *patterns, uint32_t cnt, uint32_t flags,
    uint64_t until_ns, struct reply *ret, char *why)
{
	size_t len;
	char *bytes = ask_bytes(patterns, cnt, flags, &len);

	*ret = (struct reply){0};
	if (!bytes)
		return NO_MEMORY;
	enum outcome o = move(r, bytes, len, true, until_ns);
	free(bytes);
	if (o == ANSWERED)
		o = take_reply(r, cnt, until_ns, ret);
	if (o != ANSWERED)
		end(r, why, 256);
	return o;
}

/* ---- what to say ---- */

/* The text between quotes, cut, with what is not printable as \xHH. */
static const char *
quote(const struct sl_pattern *p, char buf[QUOTE_MAX + 16])
{
	char *to = buf;

	*to++ = '"';
	for (uint32_t i = 0; i < p->len; i++) {
		uint8_t c = (uint8_t)p->text[i];
		if (to - buf >= QUOTE_MAX) {
			to = stpcpy(to, "...");
			break;
		}
		if (c >= ' ' && c < 0x7f)
			*to++ = (char)c;
		else
			to += sprintf(to, "\\x%02x", c);
	}
	strcpy(to, "\"");
	return buf;
}

static const char *
field_text(const struct sl_scan_name *what, char *buf, size_t size)
{
	switch (what->field) {
	case SL_FIELD_PATH:
		return "path";
	case SL_FIELD_HEADER:
		snprintf(buf, size, "header %s", what->name);
		return buf;
	case SL_FIELD_QUERY:
		snprintf(buf, size, "query %s", what->name);
		return buf;
	default:
		snprintf(buf, size, "cookie %s", what->name);
		return buf;
	}
}

static void
say_pattern(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_pattern *p,
	    const char *hint, const char *why)
{
	char quoted[QUOTE_MAX + 16], field[280];
	size_t len = strlen(why);

	if (len > 0 && why[len - 1] == '.')
		len--;
	sl_diag_add(r->diag, NULL, p->cond ? p->cond->line : 0, NULL, hint,
		    "%s of %s %s/%s%s%s: %s: %s: %.*s",
		    p->op == SL_COND_REGEX ? "regex" : "contains", p->route ? "route" : "host",
		    what->table, what->vhost, p->route ? "/" : "", p->route ? p->route->name : "",
		    field_text(what, field, sizeof(field)), quote(p, quoted), (int)len, why);
}

static void
say_bad(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_pattern *patterns,
	uint32_t cnt, const struct reply *reply)
{
	for (uint32_t at = 0; at + sizeof(struct sl_compile_error) <= reply->bytes;) {
		struct sl_compile_error e;
		memcpy(&e, reply->text + at, sizeof(e));
		at += sizeof(e);
		if (e.index >= cnt || e.len > reply->bytes - at)
			break;
		char *why = strndup(reply->text + at, e.len);
		const char *hint =
			why && strstr(why, "support") ? "regexes are those of Hyperscan: no "
							"back-references, no look-around"
			: why && strstr(why, "arge")
				? "bounded repeats as {1,1000} cost most; write it simpler"
				: NULL;
		say_pattern(r, what, &patterns[e.index], hint, why ? why : "is refused");
		free(why);
		at += e.len;
	}
}

static void
say_set(struct sl_shards_run *r, const struct sl_scan_name *what, uint32_t cnt, const char *why)
{
	char field[280];

	sl_diag_add(r->diag, NULL, 0, NULL,
		    "none was found to be too much alone; use exact, prefix or template where they "
		    "do, or spread the routes over several hosts",
		    "the %u regex and contains conditions of host %s/%s, %s, are too much "
		    "together: %s",
		    cnt, what->table, what->vhost, field_text(what, field, sizeof(field)), why);
}

static void
say_outcome(struct sl_shards_run *r, enum outcome o)
{
	r->over = true;
	if (o == STOPPED)
		sl_diag_add(r->diag, NULL, 0, NULL, NULL,
			    "the regexes were not compiled: sluiced is ending");
}

/* ---- who is too much ---- */

/* One pattern alone; true when it is too much, which was said. */
static bool
try_alone(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_pattern *p,
	  enum outcome *ret_outcome)
{
	char why[256] = "", text[320];
	struct reply reply;
	bool guilty = true;

	if (start(r) != 0) {
		*ret_outcome = NO_MEMORY;
		return false;
	}
	enum outcome o = ask(r, p, 1, SL_COMPILE_TRY, now_ns() + ALONE_NS, &reply, why);
	*ret_outcome = o;
	if (o == LATE)
		snprintf(text, sizeof(text), "takes more than %.1f s to compile by itself",
			 (double)ALONE_NS / 1e9);
	else if (o == DIED)
		snprintf(text, sizeof(text), "cannot be compiled: %s", why);
	else if (o == ANSWERED && reply.status == SL_COMPILE_LIMIT)
		snprintf(text, sizeof(text), "%.300s", reply.text);
	else
		guilty = false;
	if (guilty)
		end(r, NULL, 0);
	if (o == ANSWERED && reply.status == SL_COMPILE_BAD)
		say_bad(r, what, p, 1, &reply);
	else if (guilty)
		say_pattern(r, what, p, "bounded repeats as {1,1000} cost most; write it simpler",
			    text);
	free(reply.text);
	return guilty || (o == ANSWERED && reply.status == SL_COMPILE_BAD);
}

/* Whether some patterns together are made in the time that one is given: then none of them is too much. */
static bool
try_group(struct sl_shards_run *r, const struct sl_pattern *p, uint32_t cnt)
{
	struct reply reply;
	char why[256];

	if (start(r) != 0)
		return false;
	enum outcome o = ask(r, p, cnt, SL_COMPILE_TRY, now_ns() + ALONE_NS, &reply, why);
	free(reply.text);
	return o == ANSWERED && reply.status == SL_COMPILE_OK;
}

/* Tries them one by one until the time or the list of culprits is full; how many are too much, and were told. */
static unsigned
try_each(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_pattern *p,
	 uint32_t cnt, uint64_t until, enum outcome *ret_outcome)
{
	unsigned found = 0;

	*ret_outcome = ANSWERED;
	for (uint32_t i = 0; i < cnt && found < CULPRITS_MAX && now_ns() + ALONE_NS <= until; i++) {
		found += try_alone(r, what, &p[i], ret_outcome);
		if (*ret_outcome == STOPPED || *ret_outcome == NO_MEMORY)
			break;
	}
	return found;
}

/* The set was too much, for the reason given. */
static void
find_culprits(struct sl_shards_run *r, const struct sl_scan_name *what,
	      const struct sl_pattern *patterns, uint32_t cnt, const char *why)
{
	uint64_t all_ns = (uint64_t)r->s->deadline_ms * 1000000;
	uint64_t until = SL_MAX(r->start_ns + all_ns, now_ns() + 3 * ALONE_NS);
	unsigned found = 0;

	end(r, NULL, 0); /* what ran out of memory once does not get all of it back */
	for (uint32_t i = 0; i < cnt && found < CULPRITS_MAX; i += GROUP) {
		uint32_t n = SL_MIN(cnt - i, GROUP);
		enum outcome o;
		if (now_ns() + ALONE_NS > until)
			break;
		if (n > 1 && try_group(r, &patterns[i], n))
			continue;
		end(r, NULL, 0);
		found += try_each(r, what, &patterns[i], n, until, &o);
		if (o == STOPPED || o == NO_MEMORY) {
			say_outcome(r, o);
			return;
		}
	}
	if (found == 0)
		say_set(r, what, cnt, why);
	r->over = true;
}

/* ---- a run ---- */

void
sl_shards_begin(struct sl_shards_run *r, struct sl_shards *s, struct sl_diag *diag)
{
	*r = (struct sl_shards_run){.s = s, .diag = diag, .start_ns = now_ns(), .fd = -1};
	pthread_mutex_lock(&s->lock);
	s->round++;
	pthread_mutex_unlock(&s->lock);
}

void
sl_shards_end(struct sl_shards_run *r)
{
	end(r, NULL, 0);
}

/* What became of the question, when there is no database. */
static int
refuse(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_pattern *patterns,
       uint32_t cnt, enum outcome o, const struct reply *reply, const char *died)
{
	char why[320];

	if (o == NO_MEMORY)
		return -ENOMEM;
	if (o == STOPPED) {
		say_outcome(r, o);
		return -EINVAL;
	}
	if (o == ANSWERED && reply->status == SL_COMPILE_BAD) {
		say_bad(r, what, patterns, cnt, reply);
		return -EINVAL;
	}
	if (o == ANSWERED)
		snprintf(why, sizeof(why), "%.300s", reply->text);
	else if (o == LATE)
		snprintf(why, sizeof(why), "the %.1f s that a push may compile are up",
			 (double)(now_ns() - r->start_ns) / 1e9);
	else
		snprintf(why, sizeof(why), "%s", died);
	find_culprits(r, what, patterns, cnt, why);
	return -EINVAL;
}

static int
compile(struct sl_shards_run *r, const struct sl_scan_name *what, const struct sl_shard_key *key,
	const struct sl_pattern *patterns, uint32_t cnt, const struct sl_shard **ret_shard)
{
	uint64_t until = r->start_ns + (uint64_t)r->s->deadline_ms * 1000000 / 6 * 5;
	char died[256] = "";
	struct reply reply;
	int err = start(r);

	if (err) {
		r->over = true;
		sl_diag_add(r->diag, r->s->program, 0, NULL,
			    "install sluice-compile beside sluiced, or name it with "
			    "compile_program in sluiced's own file",
			    "regex and contains conditions cannot be compiled: %s", strerror(-err));
		return -EINVAL;
	}
	enum outcome o = ask(r, patterns, cnt, 0, until, &reply, died);
	if (o == ANSWERED && reply.status == SL_COMPILE_OK && reply.bytes) {
		*ret_shard = sl_shards_keep(r->s, key, patterns, cnt, &reply.obj);
		return *ret_shard ? 0 : -ENOMEM;
	}
	err = refuse(r, what, patterns, cnt, o, &reply, died);
	free(reply.text);
	return err;
}

int
sl_shards_make(struct sl_shards_run *r, const struct sl_scan_name *what,
	       const struct sl_pattern *patterns, uint32_t cnt, const struct sl_shard **ret_shard)
{
	struct sl_shard_key key;

	sl_shard_key_of(patterns, cnt, &key);
	const struct sl_shard *there = sl_shards_find(r->s, &key);
	if (there) {
		*ret_shard = there;
		return 0;
	}
	return r->over ? -EINVAL : compile(r, what, &key, patterns, cnt, ret_shard);
}

int
sl_shards_compact(struct sl_shards *s, const struct sl_scan_want *want, struct sl_diag *diag)
{
	const struct sl_scan_name what = {want->table, want->vhost, want->field, want->name};
	const struct sl_shard *shard;
	struct sl_shards_run r;

	const struct sl_shard_key now = sl_shards_base(s, want->scan, &want->from);
	if (memcmp(&now, &want->from, sizeof(now)) != 0)
		return 0; /* for an earlier table, and not used yet */
	sl_shards_begin(&r, s, diag);
	int err = sl_shards_make(&r, &what, want->patterns, want->cnt, &shard);
	sl_shards_end(&r);
	if (err)
		return err;
	err = sl_shards_rebase(s, want->scan, &want->from, &shard->key);
	sl_shard_unref(shard);
	return err;
}

/* Lines are kept as text until a replay is over; what is replayed goes through the same checks as a slot map from disk. */
#include "mgmt/slot_journal.h"

#include "mgmt/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUM_LEN 16
#define FILE_MAX (256u << 20)

struct record {
	uint64_t from, id;
	char *json;
};

struct sl_slot_journal {
	char path[1100], prev[1110];
	int fd;
	uint64_t bytes, last;
	struct record *records; /* [cnt], until the replay */
	size_t cnt;
};

/* ---- spaces ---- */

#define SPACES 10
static const char *const space_names[SPACES] = {"authz",  "endpoints", "jwt",   "listeners",
						"rates",  "routes",    "rules", "services",
						"tables", "vhosts"};

static struct sl_slot_space *
space_of(struct sl_slot_map *m, unsigned i)
{
	struct sl_slot_space *const all[SPACES] = {
		&m->authz,   &m->endpoints, &m->jwt,      &m->listeners, &m->rates,
		&m->hroutes, &m->rules,     &m->services, &m->tables,    &m->vhosts};
	return all[i];
}

static bool
same_owner(const struct sl_slot_owner *a, const struct sl_slot_owner *b)
{
	if (a->incarnation != b->incarnation || !a->key != !b->key)
		return false;
	return a->key ? a->key == b->key || strcmp(a->key, b->key) == 0
		      : a->freed_seq == b->freed_seq;
}

/* ---- a line ---- */

static void
put_space(FILE *f, const char *name, const struct sl_slot_space *before,
	  const struct sl_slot_space *after, bool *some)
{
	static const struct sl_slot_owner none;
	bool any = false;

	for (uint32_t i = 0; i < after->cnt; i++) {
		const struct sl_slot_owner *o = &after->owner[i];
		if (same_owner(i < before->cnt ? &before->owner[i] : &none, o))
			continue;
		if (!any)
			fprintf(f, "%s\"%s\":[", *some ? "," : "", name);
		fprintf(f, any ? ",[%u,%u," : "[%u,%u,", i, o->incarnation);
		if (o->key) /* names and addresses: nothing that JSON would escape */
			fprintf(f, "\"%s\"]", o->key);
		else
			fprintf(f, "%llu]", (unsigned long long)o->freed_seq);
		any = *some = true;
	}
	if (any)
		fputc(']', f);
}

char *
sl_slot_journal_line(uint64_t from, uint64_t id, const struct sl_slot_map *before,
		     const struct sl_slot_map *after)
{
	char *text = NULL, hex[65];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool some = false;

	if (!f)
		return NULL;
	fprintf(f, "%*s {\"from\":%llu,\"id\":%llu,\"seq\":%llu,\"spaces\":{", SUM_LEN, "",
		(unsigned long long)from, (unsigned long long)id, (unsigned long long)after->seq);
	for (unsigned i = 0; i < SPACES; i++)
		put_space(f, space_names[i], space_of((struct sl_slot_map *)(uintptr_t)before, i),
			  space_of((struct sl_slot_map *)(uintptr_t)after, i), &some);
	fputs("}}\n", f);
	bool failed = ferror(f);
	if (fclose(f) != 0 || failed) {
		free(text);
		return NULL;
	}
	sl_disk_sum(text + SUM_LEN + 1, len - SUM_LEN - 2, hex);
	memcpy(text, hex, SUM_LEN);
	return text;
}

/* ---- reading ---- */

static bool
line_ok(const char *line, size_t len)
{
	char hex[65];

	if (len < SUM_LEN + 2 || line[SUM_LEN] != ' ')
		return false;
	sl_disk_sum(line + SUM_LEN + 1, len - SUM_LEN - 1, hex);
	return memcmp(line, hex, SUM_LEN) == 0;
}

static int
take_line(struct sl_slot_journal *j, const char *line, size_t len)
{
	unsigned long long from, id;

	if (!line_ok(line, len) ||
	    sscanf(line + SUM_LEN + 1, "{\"from\":%llu,\"id\":%llu,", &from, &id) != 2)
		return -EINVAL;
	if ((j->cnt & (j->cnt + 1)) == 0) { /* room for 1, 3, 7, … */
		struct record *more = realloc(j->records, (2 * j->cnt + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		j->records = more;
	}
	char *json = strndup(line + SUM_LEN + 1, len - SUM_LEN - 1);
	if (!json)
		return -ENOMEM;
	j->records[j->cnt++] = (struct record){from, id, json};
	j->last = SL_MAX(j->last, id);
	return 0;
}

/* Lines up to the first that is not whole; *ret_good: bytes of them. */
static int
read_file(struct sl_slot_journal *j, const char *path, struct sl_diag *notes, uint64_t *ret_good)
{
	char *text;
	size_t len, at = 0;
	int err = sl_disk_read(path, FILE_MAX, &text, &len, notes);

	*ret_good = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	while (at < len && !err) {
		const char *end = memchr(text + at, '\n', len - at);
		err = end ? take_line(j, text + at, (size_t)(end - text) - at) : -EINVAL;
		if (!err)
			at = (size_t)(end - text) + 1;
	}
	free(text);
	if (err == -EINVAL)
		sl_diag_add(notes, path, 0, NULL, NULL,
			    "torn after %zu of %zu bytes: what follows is cut off", at, len);
	*ret_good = at;
	return err == -EINVAL ? 0 : err;
}

int
sl_slot_journal_load(const char *state_dir, struct sl_diag *notes, struct sl_diag *diag,
		     struct sl_slot_journal **ret_journal)
{
	struct sl_slot_journal *j = calloc(1, sizeof(*j));
	uint64_t good;

	if (!j)
		return -ENOMEM;
	snprintf(j->path, sizeof(j->path), "%s/slots.journal", state_dir);
	snprintf(j->prev, sizeof(j->prev), "%s/slots.journal.prev", state_dir);
	j->fd = -1;
	int err = read_file(j, j->prev, notes, &good);
	if (!err)
		err = read_file(j, j->path, notes, &good);
	if (!err) {
		j->fd = open(j->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (j->fd < 0 || ftruncate(j->fd, (off_t)good))
			err = -errno;
		j->bytes = good;
	}
	if (err) {
		sl_diag_add(diag, j->path, 0, NULL, NULL, "cannot be used: %s", strerror(-err));
		sl_slot_journal_destroy(j);
		return err;
	}
	*ret_journal = j;
	return 0;
}

static void
free_records(struct sl_slot_journal *j)
{
	for (size_t i = 0; i < j->cnt; i++)
		free(j->records[i].json);
	free(j->records);
	j->records = NULL;
	j->cnt = 0;
}

void
sl_slot_journal_destroy(struct sl_slot_journal *j)
{
	if (!j)
		return;
	free_records(j);
	if (j->fd >= 0)
		close(j->fd);
	free(j);
}

uint64_t
sl_slot_journal_last(const struct sl_slot_journal *j)
{
	return j->last;
}

/* ---- replay ---- */

static bool
put_owner(struct sl_slot_space *s, const json_t *e)
{
	json_int_t slot = json_integer_value(json_array_get(e, 0));
	json_int_t incarnation = json_integer_value(json_array_get(e, 1));
	const json_t *what = json_array_get(e, 2);
	const char *key = json_string_value(what);

	if (json_array_size(e) != 3 || slot < 0 || slot >= s->max || incarnation < 1 ||
	    incarnation > 65535)
		return false;
	if (slot >= s->cnt) {
		struct sl_slot_owner *more = realloc(s->owner, ((size_t)slot + 1) * sizeof(*more));
		if (!more)
			return false;
		memset(more + s->cnt, 0, ((size_t)slot + 1 - s->cnt) * sizeof(*more));
		s->owner = more;
		s->cnt = (uint32_t)slot + 1;
	}
	struct sl_slot_owner *o = &s->owner[slot];
	free(o->key);
	*o = (struct sl_slot_owner){.incarnation = (uint32_t)incarnation};
	if (key)
		return (o->key = strdup(key)) != NULL;
	o->freed_seq = (uint64_t)json_integer_value(what);
	return json_is_integer(what);
}

static bool
apply(struct sl_slot_map *m, const char *json)
{
	json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	const json_t *spaces = json_object_get(o, "spaces"), *list, *e;
	json_int_t seq = json_integer_value(json_object_get(o, "seq"));
	bool good = json_is_object(spaces) && seq >= 1;
	size_t k;

	m->seq = (uint64_t)seq;
	for (unsigned i = 0; i < SPACES && good; i++) {
		list = json_object_get(spaces, space_names[i]);
		json_array_foreach(list, k, e) good = good && put_owner(space_of(m, i), e);
	}
	json_decref(o);
	return good;
}

/* The record of an id, SIZE_MAX: none.  Ids rise within a file, but not where one was begun anew. */
static size_t
find(const struct sl_slot_journal *j, uint64_t id, size_t below)
{
	while (below > 0)
		if (j->records[--below].id == id)
			return below;
	return SIZE_MAX;
}

/* Marks the records that lead from `id` to the one at `end`, in their order; false: they do not. */
static bool
chain(const struct sl_slot_journal *j, uint64_t id, size_t end, bool *in)
{
	memset(in, 0, j->cnt * sizeof(*in));
	for (size_t at = end; at != SIZE_MAX; at = find(j, j->records[at].from, at)) {
		in[at] = true;
		if (j->records[at].from == id)
			return true;
	}
	return false;
}

/* m as read from disk: with its checks, and an index. */
static int
check(struct sl_slot_map *m, struct sl_diag *notes)
{
	struct sl_slot_map good;
	char *text;
	size_t len;
	int err = sl_slot_map_save(m, &text, &len);

	if (err)
		return err;
	err = sl_slot_map_load(text, len, notes, &good);
	free(text);
	if (err)
		return err;
	sl_slot_map_fini(m);
	*m = good;
	return 0;
}

static int
replay(const struct sl_slot_journal *j, const bool *in, struct sl_slot_map *m,
       struct sl_diag *notes)
{
	struct sl_slot_map copy;
	int err = sl_slot_map_copy(m, &copy);
	bool good = true;

	if (err)
		return err;
	for (size_t i = 0; i < j->cnt && good; i++)
		if (in[i])
			good = apply(&copy, j->records[i].json);
	err = good ? check(&copy, notes) : -EINVAL;
	if (err) {
		sl_slot_map_fini(&copy);
		return err;
	}
	sl_slot_map_fini(m);
	*m = copy;
	return 0;
}

uint64_t
sl_slot_journal_replay(struct sl_slot_journal *j, uint64_t id, struct sl_slot_map *m,
		       struct sl_diag *notes)
{
	bool *in = calloc(j->cnt + 1, sizeof(*in));
	uint64_t reached = id;

	for (size_t end = j->cnt; in && end > 0; end--) {
		if (j->records[end - 1].id == id)
			break; /* what comes before is in m */
		if (!chain(j, id, end - 1, in))
			continue;
		if (replay(j, in, m, notes) == 0)
			reached = j->records[end - 1].id;
		else
			sl_diag_add(notes, j->path, 0, NULL, NULL,
				    "cannot be replayed: slots are those of the last push, and "
				    "flows of newer endpoints may end");
		break;
	}
	free(in);
	free_records(j);
	return reached;
}

/* ---- writing ---- */

int
sl_slot_journal_add(struct sl_slot_journal *j, const char *line)
{
	size_t len = strlen(line);
	ssize_t n = j->fd < 0 ? -1 : write(j->fd, line, len);
	int err = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : 0;

	if (!err)
		j->bytes += len;
	else if (n > 0 &&
		 ftruncate(j->fd, (off_t)j->bytes)) /* half a line: the next one is to be whole */
		j->bytes += (uint64_t)n;
	return err;
}

int
sl_slot_journal_turn(struct sl_slot_journal *j)
{
	int fd;

	if (rename(j->path, j->prev) && errno != ENOENT)
		return -errno;
	fd = open(j->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	j->bytes = 0;
	return 0;
}

bool
sl_slot_journal_says(const char *line)
{
	return !strstr(line, "\"spaces\":{}");
}

uint64_t
sl_slot_journal_bytes(const struct sl_slot_journal *j)
{
	return j->bytes;
}

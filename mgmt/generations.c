/* write:  DIR/N.tmp/{table.conf, meta.json} synced ── rename ──▶ DIR/N, then fsync of DIR.
 * meta.json holds "sum", the SHA-256 over its own compact, sorted text without that key. */
#include "mgmt/generations.h"

#include "mgmt/disk.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_MAX (1u << 20)
#define PATH_LEN 4096

static const char *const state_name[] = {
	"corrupt", "pending", "active", "refused", "superseded",
};

const char *
sl_generation_state_name(enum sl_generation_state s)
{
	return (unsigned)s < SL_ARRAY_CNT(state_name) ? state_name[s] : "corrupt";
}

void
sl_generation_meta_fini(struct sl_generation_meta *m)
{
	free(m->file);
	free(m->comment);
	free(m->user);
	free(m->text);
	*m = (struct sl_generation_meta){0};
}

static const char *
path_of(char buf[PATH_LEN], const char *dir, uint64_t number, const char *tail)
{
	snprintf(buf, PATH_LEN, "%s/%08" PRIu64 "%s", dir, number, tail);
	return buf;
}

static char *
meta_sum(json_t *o, char ret_hex[65])
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (text)
		sl_disk_sum(text, strlen(text), ret_hex);
	return text;
}

static char *
meta_dump(const struct sl_generation_meta *m)
{
	char sum[65];
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}",
			      "generation", (json_int_t)m->number, "state",
			      sl_generation_state_name(m->state), "file", m->file, "comment",
			      m->comment, "user", m->user, "text", m->text ? m->text : "", "root",
			      m->root, "table_sum", m->sum, "uid", (json_int_t)m->uid, "written_ms",
			      (json_int_t)m->written_ms, "bytes", (json_int_t)m->bytes,
			      "rollback_of", (json_int_t)m->rollback_of);
	if (!o)
		return NULL;
	if (m->confirm_s)
		json_object_set_new(o, "confirm_s", json_integer(m->confirm_s));
	char *text = meta_sum(o, sum);
	free(text);
	text = NULL;
	if (json_object_set_new(o, "sum", json_string(sum)) == 0)
		text = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(o);
	return text;
}

static enum sl_generation_state
state_of(const char *name)
{
	for (unsigned i = 1; i < SL_ARRAY_CNT(state_name); i++)
		if (strcmp(name, state_name[i]) == 0)
			return (enum sl_generation_state)i;
	return SL_GENERATION_CORRUPT;
}

/* NULL, or what is wrong with meta.json. */
static const char *
meta_load(const char *text, size_t len, uint64_t number, struct sl_generation_meta *m)
{
	const char *file, *comment, *user, *why, *root, *table_sum, *state, *sum;
	json_int_t gen, uid, written, bytes, rollback_of, confirm_s = 0;
	char hex[65] = "";
	const char *wrong = NULL;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (!o ||
	    json_unpack(o,
			"{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s?I, s:s !}",
			"generation", &gen, "state", &state, "file", &file, "comment", &comment,
			"user", &user, "text", &why, "root", &root, "table_sum", &table_sum, "uid",
			&uid, "written_ms", &written, "bytes", &bytes, "rollback_of", &rollback_of,
			"confirm_s", &confirm_s, "sum", &sum)) {
		json_decref(o);
		return "meta.json is truncated or not what sluiced writes";
	}
	json_t *copy = json_copy(o);
	json_object_del(copy, "sum");
	free(meta_sum(copy, hex));
	json_decref(copy);
	if (strcmp(hex, sum))
		wrong = "meta.json does not match its checksum";
	else if ((uint64_t)gen != number)
		wrong = "meta.json belongs to another generation";
	else if (strlen(root) > 64 || strlen(table_sum) != 64 || !state_of(state) ||
		 confirm_s < 0 || confirm_s > UINT32_MAX)
		wrong = "meta.json holds a value sluiced does not write";
	if (!wrong) {
		*m = (struct sl_generation_meta){
			.number = number,
			.state = state_of(state),
			.file = strdup(file),
			.comment = strdup(comment),
			.user = strdup(user),
			.text = strdup(why),
			.uid = uid,
			.written_ms = written,
			.bytes = (uint64_t)bytes,
			.rollback_of = (uint64_t)rollback_of,
			.confirm_s = (uint32_t)confirm_s,
		};
		snprintf(m->root, sizeof(m->root), "%s", root);
		snprintf(m->sum, sizeof(m->sum), "%s", table_sum);
	}
	json_decref(o);
	return wrong;
}

static int
read_meta(const char *dir, uint64_t number, struct sl_generation_meta *ret, struct sl_diag *diag)
{
	char path[PATH_LEN], *text = NULL;
	size_t len = 0;
	int err =
		sl_disk_read(path_of(path, dir, number, "/meta.json"), META_MAX, &text, &len, diag);
	if (err == -ENOENT) {
		if (access(path_of(path, dir, number, ""), F_OK))
			return -ENOENT;
		sl_diag_add(diag, path, 0, NULL, NULL, "meta.json is missing");
		return -EINVAL;
	}
	if (err)
		return err;
	const char *wrong = meta_load(text, len, number, ret);
	free(text);
	if (wrong)
		sl_diag_add(diag, path_of(path, dir, number, ""), 0, NULL, NULL, "%s", wrong);
	return wrong ? -EINVAL : 0;
}

int
sl_generations_read(const char *dir, uint64_t number, struct sl_generation_meta *ret_meta,
		    char **ret_text, size_t *ret_len, struct sl_diag *diag)
{
	char path[PATH_LEN], hex[65], *text = NULL;
	struct sl_generation_meta m;
	size_t len = 0;
	int err = read_meta(dir, number, &m, diag);

	if (err)
		return err;
	err = sl_disk_read(path_of(path, dir, number, "/table.conf"), SL_GENERATIONS_TEXT_MAX,
			   &text, &len, diag);
	if (err) {
		if (err == -ENOENT)
			sl_diag_add(diag, path, 0, NULL, NULL, "missing");
		sl_generation_meta_fini(&m);
		return -EINVAL;
	}
	sl_disk_sum(text, len, hex);
	if (len != m.bytes || strcmp(hex, m.sum)) {
		sl_diag_add(diag, path, 0, NULL, NULL,
			    "truncated or changed: its checksum is not the one in meta.json");
		free(text);
		sl_generation_meta_fini(&m);
		return -EINVAL;
	}
	*ret_meta = m;
	if (ret_text) {
		*ret_text = text;
		*ret_len = len;
	} else {
		free(text);
	}
	return 0;
}

static void
remove_dir(const char *path)
{
	char file[PATH_LEN + 300];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d && (e = readdir(d))) {
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			unlink(file);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

int
sl_generations_write(const char *dir, struct sl_generation_meta *m, const char *text, size_t len,
		     struct sl_diag *diag)
{
	char tmp[PATH_LEN], path[PATH_LEN];

	sl_disk_sum(text, len, m->sum);
	m->bytes = len;
	char *meta = meta_dump(m);
	if (!meta) {
		sl_diag_add(diag, NULL, 0, NULL, NULL,
			    "cannot describe the generation: out of memory, or a name or comment "
			    "that is not UTF-8");
		return -ENOMEM;
	}
	path_of(tmp, dir, m->number, ".tmp");
	remove_dir(tmp);
	int err = sl_disk_mkdir(tmp, diag);
	if (!err)
		err = sl_disk_create(path_of(path, dir, m->number, ".tmp/table.conf"), text, len,
				     diag);
	if (!err)
		err = sl_disk_create(path_of(path, dir, m->number, ".tmp/meta.json"), meta,
				     strlen(meta), diag);
	if (!err)
		err = sl_disk_sync_dir(tmp);
	free(meta);
	if (!err && rename(tmp, path_of(path, dir, m->number, ""))) {
		err = -errno;
		sl_diag_add(diag, path, 0, NULL, NULL, "cannot rename: %s", strerror(-err));
	}
	if (err)
		remove_dir(tmp);
	else
		err = sl_disk_sync_dir(dir);
	return err;
}

int
sl_generations_mark(const char *dir, uint64_t number, enum sl_generation_state state,
		    const char *text, struct sl_diag *diag)
{
	char path[PATH_LEN];
	struct sl_generation_meta m;
	int err = read_meta(dir, number, &m, diag);

	if (err)
		return err;
	m.state = state;
	if (text) {
		free(m.text);
		m.text = strdup(text);
	}
	char *meta = meta_dump(&m);
	sl_generation_meta_fini(&m);
	if (!meta)
		return -ENOMEM;
	err = sl_disk_write(path_of(path, dir, number, "/meta.json"), meta, strlen(meta), diag);
	free(meta);
	return err;
}

/* A directory name of digits, at least 8 of them, as path_of writes it; 0: another name. */
static uint64_t
number_of(const char *name)
{
	char *end;
	if (strlen(name) < 8 || strspn(name, "0123456789") != strlen(name))
		return 0;
	errno = 0;
	uint64_t n = strtoull(name, &end, 10);
	return errno || n > INT64_MAX ? 0 : n;
}

static int
descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? 1 : x > y ? -1 : 0;
}

static uint64_t *
numbers(const char *dir, unsigned *ret_cnt)
{
	uint64_t *list = NULL;
	unsigned cnt = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		uint64_t n = number_of(e->d_name);
		uint64_t *more = n ? realloc(list, (cnt + 1) * sizeof(*list)) : NULL;
		if (!more)
			continue;
		list = more;
		list[cnt++] = n;
	}
	if (d)
		closedir(d);
	if (cnt)
		qsort(list, cnt, sizeof(*list), descending);
	*ret_cnt = cnt;
	return list;
}

int
sl_generations_list(const char *dir, struct sl_generation_meta **ret_list, unsigned *ret_cnt)
{
	unsigned cnt;
	char text[1024];
	uint64_t *n = numbers(dir, &cnt);
	struct sl_generation_meta *list = calloc(cnt + 1, sizeof(*list));

	if (!list) {
		free(n);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < cnt; i++) {
		struct sl_diag diag = {0};
		if (sl_generations_read(dir, n[i], &list[i], NULL, NULL, &diag)) {
			if (diag.cnt)
				sl_diag_format(&diag.items[0], text, sizeof(text));
			list[i] = (struct sl_generation_meta){
				.number = n[i],
				.text = strdup(diag.cnt ? text : "unreadable"),
			};
		}
		sl_diag_fini(&diag);
	}
	free(n);
	*ret_list = list;
	*ret_cnt = cnt;
	return 0;
}

void
sl_generations_list_free(struct sl_generation_meta *list, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		sl_generation_meta_fini(&list[i]);
	free(list);
}

uint64_t
sl_generations_last(const char *dir)
{
	unsigned cnt;
	uint64_t *n = numbers(dir, &cnt), last = cnt ? n[0] : 0;
	free(n);
	return last;
}

static void
remove_half_written(const char *dir)
{
	char path[PATH_LEN];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		if (n <= 4 || strcmp(e->d_name + n - 4, ".tmp"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		remove_dir(path);
	}
	if (d)
		closedir(d);
}

void
sl_generations_prune(const char *dir, uint64_t keep, uint64_t keep_too)
{
	char path[PATH_LEN];
	unsigned cnt;
	uint64_t *n = numbers(dir, &cnt);

	remove_half_written(dir);
	for (unsigned i = SL_GENERATIONS_KEEP; i < cnt; i++)
		if (n[i] != keep && n[i] != keep_too)
			remove_dir(path_of(path, dir, n[i], ""));
	free(n);
}

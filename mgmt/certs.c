#include "mgmt/certs.h"

#include "mgmt/disk.h"
#include "mgmt/keep.h"
#include "mgmt/memfd.h"
#include "mgmt/wipe.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sl_certs {
	char dir[2048];
	struct sl_cert_entry **entries; /* [cnt], sorted by name */
	unsigned cnt, room;
	uint64_t version;
};

static const char *
ending(uint32_t kind)
{
	return kind == SL_SECRET_PAIR ? "pair" : "trust";
}

static const char *
path_of(const struct sl_certs *c, const char *name, uint32_t kind, char buf[2200])
{
	snprintf(buf, 2200, "%s/%s.%s", c->dir, name, ending(kind));
	return buf;
}

/* ---- in memory ---- */

/* Where the name stands, or would. */
static unsigned
place(const struct sl_certs *c, const char *name)
{
	unsigned lo = 0, hi = c->cnt;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (strcmp(c->entries[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct sl_cert_entry *
sl_certs_find(const struct sl_certs *c, const char *name)
{
	unsigned at = place(c, name);

	return at < c->cnt && strcmp(c->entries[at]->name, name) == 0 ? c->entries[at] : NULL;
}

struct sl_cert_entry *const *
sl_certs_list(const struct sl_certs *c, unsigned *ret_cnt)
{
	*ret_cnt = c->cnt;
	return c->entries;
}

bool
sl_certs_full(const struct sl_certs *c)
{
	return c->cnt >= SL_MAX_SECRETS - 1; /* ticket keys are one, too */
}

bool
sl_certs_knows(const struct sl_certs *c, uint32_t kind, const char *name)
{
	const struct sl_cert_entry *e = sl_certs_find(c, name);

	return e && e->info.kind == kind && !e->leaving;
}

static struct sl_cert_entry *
insert(struct sl_certs *c, const char *name)
{
	struct sl_cert_entry *e = calloc(1, sizeof(*e));
	unsigned at = place(c, name);

	if (e && c->cnt == c->room) {
		unsigned room = c->room ? 2 * c->room : 64;
		struct sl_cert_entry **more =
			realloc(c->entries, room * sizeof(struct sl_cert_entry *));
		if (!more) {
			free(e);
			return NULL;
		}
		c->entries = more;
		c->room = room;
	}
	if (!e)
		return NULL;
	memmove(c->entries + at + 1, c->entries + at,
		(c->cnt - at) * sizeof(struct sl_cert_entry *));
	c->entries[at] = e;
	c->cnt++;
	snprintf(e->name, sizeof(e->name), "%s", name);
	return e;
}

/* ---- loading ---- */

/* "shop.pair" → "shop", padded; 0: no file of ours. */
static uint32_t
kind_of(const char *file, char ret_name[SL_NAME_MAX])
{
	const char *dot = strrchr(file, '.');
	size_t n = dot ? (size_t)(dot - file) : 0;
	uint32_t kind = !dot                         ? 0
			: strcmp(dot, ".pair") == 0  ? SL_SECRET_PAIR
			: strcmp(dot, ".trust") == 0 ? SL_SECRET_TRUST
						     : 0;

	memset(ret_name, 0, SL_NAME_MAX);
	if (!kind || n == 0 || n >= SL_NAME_MAX)
		return 0;
	memcpy(ret_name, file, n);
	return sl_name_ok(ret_name) ? kind : 0;
}

static void
load_one(struct sl_certs *c, const char *name, uint32_t kind, struct sl_diag *notes)
{
	char path[2200];
	struct sl_cert_info info;
	const char *why = "out of memory";
	void *secret;
	size_t bytes;
	int64_t stamp;

	path_of(c, name, kind, path);
	if (sl_certs_find(c, name)) {
		sl_diag_add(notes, path, 0, NULL, "remove one of the files",
			    "there is a %s of that name, too: this one is not used",
			    kind == SL_SECRET_PAIR ? "bundle" : "pair");
		return;
	}
	if (sl_keep_read(path, kind, &secret, &bytes, &stamp, notes)) {
		sl_diag_add(notes, NULL, 0, NULL, "sluicectl cert add it again",
			    "certificate %s is not there: its file cannot be used", name);
		return;
	}
	int err = sl_cert_describe(secret, bytes, kind, &info, &why);
	sl_wipe_release(secret, bytes);
	struct sl_cert_entry *e = err ? NULL : insert(c, name);
	if (e) {
		e->info = info;
		e->added_ms = stamp;
		return;
	}
	if (!err)
		sl_cert_info_fini(&info);
	sl_diag_add(notes, path, 0, NULL, "sluicectl cert add it again", "%s", why);
}

static int
load(struct sl_certs *c, struct sl_diag *notes)
{
	DIR *d = opendir(c->dir);
	char name[SL_NAME_MAX];

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		uint32_t kind = kind_of(e->d_name, name);
		if (kind)
			load_one(c, name, kind, notes);
	}
	closedir(d);
	return 0;
}

int
sl_certs_create(const char *state_dir, struct sl_diag *notes, struct sl_certs **ret_certs)
{
	struct sl_certs *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	snprintf(c->dir, sizeof(c->dir), "%s/certs", state_dir);
	int err = sl_keep_dir(c->dir, notes);
	if (!err)
		err = load(c, notes);
	if (err) {
		sl_certs_destroy(c);
		return err;
	}
	*ret_certs = c;
	return 0;
}

void
sl_certs_destroy(struct sl_certs *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->cnt; i++) {
		sl_cert_info_fini(&c->entries[i]->info);
		free(c->entries[i]);
	}
	free(c->entries);
	free(c);
}

/* ---- changes ---- */

int
sl_certs_stage(struct sl_certs *c, const char *name, const struct sl_cert_made *m, int64_t now_ms,
	       struct sl_diag *diag)
{
	char path[2200];

	return sl_keep_stage(path_of(c, name, m->info.kind, path), m->info.kind, now_ms, m->secret,
			     m->bytes, diag);
}

int
sl_certs_commit(struct sl_certs *c, const char *name, struct sl_cert_made *m, int64_t now_ms,
		struct sl_diag *diag)
{
	struct sl_cert_entry *e = sl_certs_find(c, name);
	bool fresh = !e;
	char path[2200];

	if (!e)
		e = insert(c, name);
	int err = e ? sl_keep_commit(path_of(c, name, m->info.kind, path), diag) : -ENOMEM;
	if (err) {
		if (e && fresh)
			sl_certs_remove(c, name, NULL);
		sl_certs_drop(c, name, m->info.kind);
		return err;
	}
	sl_cert_info_fini(&e->info);
	e->info = m->info;
	m->info = (struct sl_cert_info){0};
	e->added_ms = now_ms;
	e->damaged = false;
	c->version++;
	return 0;
}

void
sl_certs_drop(struct sl_certs *c, const char *name, uint32_t kind)
{
	char path[2200];

	sl_keep_drop(path_of(c, name, kind, path));
}

int
sl_certs_remove(struct sl_certs *c, const char *name, struct sl_diag *diag)
{
	struct sl_cert_entry *e = sl_certs_find(c, name);
	unsigned at = place(c, name);
	char path[2200];

	if (!e)
		return -ENOENT;
	if (e->info.kind && unlink(path_of(c, name, e->info.kind, path)) && errno != ENOENT) {
		int err = errno;
		sl_diag_add(diag, path, 0, NULL, NULL, "cannot remove: %s", strerror(err));
		return -err;
	}
	(void)!sl_disk_sync_dir(c->dir);
	sl_cert_info_fini(&e->info);
	free(e);
	c->cnt--;
	c->version++;
	memmove(c->entries + at, c->entries + at + 1,
		(c->cnt - at) * sizeof(struct sl_cert_entry *));
	return 0;
}

uint64_t
sl_certs_version(const struct sl_certs *c)
{
	return c->version;
}

int
sl_certs_read(struct sl_certs *c, uint32_t kind, const char *name, void **ret_secret,
	      size_t *ret_bytes)
{
	char path[2200];
	int64_t stamp;

	if (!sl_certs_knows(c, kind, name))
		return -ENOENT;
	return sl_keep_read(path_of(c, name, kind, path), kind, ret_secret, ret_bytes, &stamp,
			    NULL);
}

int
sl_certs_memfd(struct sl_certs *c, const char *name, uint32_t *ret_bytes, struct sl_diag *diag)
{
	struct sl_cert_entry *e = sl_certs_find(c, name);
	char path[2200];
	void *secret;
	size_t bytes;
	int64_t stamp;

	if (!e)
		return -ENOENT;
	path_of(c, name, e->info.kind, path);
	int err = sl_keep_read(path, e->info.kind, &secret, &bytes, &stamp, diag);
	e->damaged = err != 0;
	if (err == -ENOENT)
		sl_diag_add(diag, path, 0, NULL, "sluicectl cert replace it", "is gone");
	if (err)
		return err;
	int fd = sl_memfd_secret(secret, bytes);
	sl_wipe_release(secret, bytes);
	*ret_bytes = (uint32_t)bytes;
	return fd;
}

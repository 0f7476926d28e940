/* memory   bucket[key] ─▶ sl_shard ─▶ …          one reference of the cache's, one of each user
 * disk     DIR/<64 hex>.hs: head, patterns, object; written beside and renamed, not synced: what a power cut leaves of
 *          it does not fit its sums, and is made again */
#include "mgmt/shards_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hs_runtime.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mgmt/disk.h"
#include "mgmt/object.h"
#include "mgmt/slots.h"

#define FILE_MAGIC "SLSHARD1"
#define FILE_MAX ((size_t)SL_OBJ_MAX + (256u << 20))
#define PATH_LEN 4096
#define TMP_AGE_S 600 /* a half-written file of a process that is no more */

struct file_head {
	char magic[8];
	uint32_t cnt;
	uint32_t list_bytes;
	uint64_t object_bytes;
	struct sl_shard_key key;
	struct sl_obj_id id;
};

struct file_pattern {
	uint8_t op, icase;
	uint16_t zero;
	uint32_t len;
};

/* ---- patterns and keys ---- */

int
sl_pattern_order(const struct sl_pattern *a, const struct sl_pattern *b)
{
	int d = (int)a->op - (int)b->op;

	if (!d)
		d = (int)a->icase - (int)b->icase;
	if (!d)
		d = memcmp(a->text, b->text, SL_MIN(a->len, b->len));
	return d ? d : (a->len > b->len) - (a->len < b->len);
}

static uint32_t
hash_of(const struct sl_pattern *p)
{
	uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)p->op << 8 ^ p->icase;

	for (uint32_t i = 0; i < p->len; i++)
		h = (h ^ (uint8_t)p->text[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

/* Everything but the patterns that decides what a database is: the shape of a SHARD and of the expressions
 * (compile_main.c), the compiler, and what it compiles for. */
static void
circumstances(char *buf, size_t size)
{
	snprintf(buf, size, "sluice shard 1, image %d, hyperscan %s, cpu%s%s%s%s\n",
		 SL_IMAGE_VERSION, hs_version(), __builtin_cpu_supports("avx2") ? " avx2" : "",
		 __builtin_cpu_supports("avx512bw") ? " avx512" : "",
		 __builtin_cpu_supports("avx512vbmi") ? " vbmi" : "",
		 __builtin_cpu_supports("ssse3") ? " ssse3" : "");
}

void
sl_shard_key_of(const struct sl_pattern *patterns, uint32_t cnt, struct sl_shard_key *ret)
{
	char text[256];
	unsigned len = 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	memset(ret, 0, sizeof(*ret)); /* without memory for a sum nothing else will go, either */
	circumstances(text, sizeof(text));
	if (!md)
		return;
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	EVP_DigestUpdate(md, text, strlen(text));
	for (uint32_t i = 0; i < cnt; i++) {
		struct file_pattern head = {patterns[i].op, patterns[i].icase, 0, patterns[i].len};
		EVP_DigestUpdate(md, &head, sizeof(head));
		EVP_DigestUpdate(md, patterns[i].text, patterns[i].len);
	}
	EVP_DigestFinal_ex(md, ret->b, &len);
	EVP_MD_CTX_free(md);
}

static bool
key_eq(const struct sl_shard_key *a, const struct sl_shard_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- one shard ---- */

static void
shard_free(struct sl_shard *s)
{
	sl_object_unref(s->obj.bytes);
	free(s->patterns);
	free(s->index);
	free(s->text);
	free(s);
}

void
sl_shard_unref(const struct sl_shard *shard)
{
	struct sl_shard *s = (struct sl_shard *)(uintptr_t)shard;

	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		shard_free(s);
}

static void
index_patterns(struct sl_shard *s)
{
	for (uint32_t i = 0; i < s->cnt; i++) {
		uint32_t at = hash_of(&s->patterns[i]) & s->index_mask;
		while (s->index[at])
			at = (at + 1) & s->index_mask;
		s->index[at] = i + 1;
	}
}

/* Takes the object over, also when memory runs out. */
static struct sl_shard *
shard_create(const struct sl_shard_key *key, const struct sl_pattern *patterns, uint32_t cnt,
	     const struct sl_compiled_object *obj)
{
	struct sl_shard *s = calloc(1, sizeof(*s));
	size_t bytes = 1, size = 64;

	if (!s) {
		sl_object_unref(obj->bytes);
		return NULL;
	}
	for (uint32_t i = 0; i < cnt; i++)
		bytes += patterns[i].len;
	while (size < 2u * cnt)
		size *= 2;
	*s = (struct sl_shard){
		.key = *key,
		.obj = *obj,
		.patterns = calloc(cnt, sizeof(*s->patterns)),
		.cnt = cnt,
		.refs = 1,
		.index_mask = (uint32_t)size - 1,
		.index = calloc(size, sizeof(*s->index)),
		.text = malloc(bytes),
	};
	if (!s->patterns || !s->index || !s->text) {
		shard_free(s);
		return NULL;
	}
	char *to = s->text;
	for (uint32_t i = 0; i < cnt; i++) {
		memcpy(to, patterns[i].text, patterns[i].len);
		s->patterns[i] = (struct sl_pattern){
			.text = to,
			.len = patterns[i].len,
			.op = patterns[i].op,
			.icase = patterns[i].icase,
		};
		to += patterns[i].len;
	}
	index_patterns(s);
	return s;
}

uint32_t
sl_shard_find(const struct sl_shard *s, const struct sl_pattern *p)
{
	for (uint32_t at = hash_of(p) & s->index_mask; s->index[at]; at = (at + 1) & s->index_mask)
		if (sl_pattern_order(&s->patterns[s->index[at] - 1], p) == 0)
			return s->index[at] - 1;
	return UINT32_MAX;
}

/* ---- memory ---- */

static struct sl_shard **
bucket_of(struct sl_shards *s, const struct sl_shard_key *key)
{
	return &s->bucket[sl_load32(key->b) % SL_SHARD_BUCKETS];
}

/* Under the lock: with a reference for the caller. */
static struct sl_shard *
lookup(struct sl_shards *s, const struct sl_shard_key *key)
{
	struct sl_shard *at = *bucket_of(s, key);

	while (at && !key_eq(&at->key, key))
		at = at->next;
	if (at) {
		at->used = s->round;
		__atomic_add_fetch(&at->refs, 1, __ATOMIC_RELAXED);
	}
	return at;
}

/* Puts a new shard in, unless another run was faster; the reference becomes one to what is there. */
static const struct sl_shard *
insert(struct sl_shards *s, struct sl_shard *fresh)
{
	pthread_mutex_lock(&s->lock);
	struct sl_shard *there = lookup(s, &fresh->key), **at = bucket_of(s, &fresh->key);
	if (!there) {
		fresh->next = *at;
		fresh->used = s->round;
		fresh->refs++;
		*at = fresh;
	}
	pthread_mutex_unlock(&s->lock);
	if (there)
		sl_shard_unref(fresh);
	return there ? there : fresh;
}

/* ---- disk ---- */

static const char *
path_of(const struct sl_shards *s, const struct sl_shard_key *key, char buf[PATH_LEN])
{
	int n = snprintf(buf, PATH_LEN - 80, "%s/", s->dir);

	for (unsigned i = 0; i < sizeof(key->b); i++)
		n += snprintf(buf + n, 3, "%02x", key->b[i]);
	strcpy(buf + n, ".hs");
	return buf;
}

/* The patterns of a file, pointing into it; NULL: not what we write. */
static struct sl_pattern *
read_list(const struct file_head *h, const char *at)
{
	const char *end = at + h->list_bytes;
	struct sl_pattern *list = calloc(h->cnt, sizeof(*list));

	for (uint32_t i = 0; list && i < h->cnt; i++) {
		struct file_pattern p = {0};
		if ((size_t)(end - at) >= sizeof(p)) {
			memcpy(&p, at, sizeof(p));
			at += sizeof(p);
		}
		if (!p.op || (size_t)(end - at) < p.len) {
			free(list);
			return NULL;
		}
		list[i] =
			(struct sl_pattern){.text = at, .len = p.len, .op = p.op, .icase = p.icase};
		at += p.len;
	}
	return list;
}

static int
read_object(const struct file_head *h, const char *at, struct sl_compiled_object *ret)
{
	const struct sl_img_shard *img = (const void *)at;

	if (h->object_bytes < sizeof(*img) || img->head.size != h->object_bytes ||
	    img->head.kind != SL_OBJ_SHARD || img->head.version != SL_IMAGE_VERSION ||
	    img->pattern_cnt != h->cnt)
		return -EINVAL;
	void *bytes = sl_object_create(SL_OBJ_SHARD, h->object_bytes);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, at, h->object_bytes);
	int err = sl_object_finish(bytes, h->object_bytes, NULL, ret);
	if (err == 0 && memcmp(&ret->id, &h->id, sizeof(h->id)) != 0) {
		sl_object_unref(ret->bytes);
		err = -EINVAL;
	}
	return err;
}

static struct sl_shard *
parse(const char *text, size_t len, const struct sl_shard_key *key)
{
	struct sl_compiled_object obj;
	struct sl_shard_key sum;
	struct sl_shard *s = NULL;
	struct file_head h;

	if (len < sizeof(h))
		return NULL;
	memcpy(&h, text, sizeof(h));
	size_t list = ((size_t)h.list_bytes + 7) & ~(size_t)7;
	if (memcmp(h.magic, FILE_MAGIC, sizeof(h.magic)) || h.cnt == 0 || h.cnt > 65536 ||
	    h.object_bytes > SL_OBJ_MAX || sizeof(h) + list + h.object_bytes != len ||
	    !key_eq(&h.key, key))
		return NULL;
	struct sl_pattern *patterns = read_list(&h, text + sizeof(h));
	if (!patterns)
		return NULL;
	sl_shard_key_of(patterns, h.cnt, &sum);
	if (key_eq(&sum, key) && read_object(&h, text + sizeof(h) + list, &obj) == 0)
		s = shard_create(key, patterns, h.cnt, &obj);
	free(patterns);
	return s;
}

static struct sl_shard *
load(struct sl_shards *s, const struct sl_shard_key *key)
{
	char path[PATH_LEN], *text;
	size_t len;

	if (!s->dir || sl_disk_read(path_of(s, key, path), FILE_MAX, &text, &len, NULL))
		return NULL;
	struct sl_shard *shard = parse(text, len, key);
	free(text);
	if (!shard)
		unlink(path); /* torn, or of other circumstances */
	return shard;
}

static char *
file_bytes(const struct sl_shard *shard, size_t *ret_len)
{
	struct file_head h = {
		.magic = FILE_MAGIC,
		.cnt = shard->cnt,
		.object_bytes = shard->obj.size,
		.key = shard->key,
		.id = shard->obj.id,
	};

	for (uint32_t i = 0; i < shard->cnt; i++)
		h.list_bytes += (uint32_t)sizeof(struct file_pattern) + shard->patterns[i].len;
	size_t list = ((size_t)h.list_bytes + 7) & ~(size_t)7;
	char *buf = calloc(1, sizeof(h) + list + shard->obj.size), *to = buf;
	if (!buf)
		return NULL;
	memcpy(to, &h, sizeof(h));
	to += sizeof(h);
	for (uint32_t i = 0; i < shard->cnt; i++) {
		const struct sl_pattern *p = &shard->patterns[i];
		struct file_pattern head = {p->op, p->icase, 0, p->len};
		memcpy(to, &head, sizeof(head));
		memcpy(to + sizeof(head), p->text, p->len);
		to += sizeof(head) + p->len;
	}
	memcpy(buf + sizeof(h) + list, shard->obj.bytes, shard->obj.size);
	*ret_len = sizeof(h) + list + shard->obj.size;
	return buf;
}

static bool
write_file(const char *path, const char *bytes, size_t len)
{
	char tmp[PATH_LEN + 32];

	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, syscall(SYS_gettid));
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	ssize_t n = 0;
	while (len > 0 && (n = write(fd, bytes, len)) > 0) {
		bytes += n;
		len -= (size_t)n;
	}
	bool good = close(fd) == 0 && len == 0 && rename(tmp, path) == 0;
	if (!good)
		unlink(tmp);
	return good;
}

static bool
store(const struct sl_shards *s, const struct sl_shard *shard)
{
	char path[PATH_LEN];
	size_t len;

	if (!s->dir)
		return true;
	char *bytes = file_bytes(shard, &len);
	bool good = bytes && write_file(path_of(s, &shard->key, path), bytes, len);
	free(bytes);
	return good;
}

/* ---- both ---- */

const struct sl_shard *
sl_shards_find(struct sl_shards *s, const struct sl_shard_key *key)
{
	pthread_mutex_lock(&s->lock);
	struct sl_shard *shard = lookup(s, key);
	s->stats.held += shard != NULL;
	pthread_mutex_unlock(&s->lock);
	if (shard || !(shard = load(s, key)))
		return shard;
	pthread_mutex_lock(&s->lock);
	s->stats.loaded++;
	pthread_mutex_unlock(&s->lock);
	return insert(s, shard);
}

const struct sl_shard *
sl_shards_keep(struct sl_shards *s, const struct sl_shard_key *key,
	       const struct sl_pattern *patterns, uint32_t cnt,
	       const struct sl_compiled_object *obj)
{
	struct sl_shard *shard = shard_create(key, patterns, cnt, obj);

	if (!shard)
		return NULL;
	bool kept = store(s, shard);
	pthread_mutex_lock(&s->lock);
	s->stats.compiled++;
	s->stats.unkept += !kept;
	pthread_mutex_unlock(&s->lock);
	return insert(s, shard);
}

void
sl_shards_count(struct sl_shards *s, struct sl_shards_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}

/* ---- bases made anew ---- */

/* Under the lock. */
static struct sl_shard_rebase *
rebase_of(struct sl_shards *s, const char *scan)
{
	for (uint32_t i = 0; i < s->rebase_cnt; i++)
		if (strcmp(s->rebases[i].scan, scan) == 0)
			return &s->rebases[i];
	return NULL;
}

int
sl_shards_rebase(struct sl_shards *s, const char *scan, const struct sl_shard_key *from,
		 const struct sl_shard_key *to)
{
	int err = 0;

	pthread_mutex_lock(&s->lock);
	struct sl_shard_rebase *r = rebase_of(s, scan);
	if (!r) {
		char *copy = strdup(scan);
		struct sl_shard_rebase *more =
			copy ? realloc(s->rebases, (s->rebase_cnt + 1u) * sizeof(*more)) : NULL;
		if (more) {
			s->rebases = more;
			r = &more[s->rebase_cnt++];
			r->scan = copy;
		} else {
			free(copy);
			err = -ENOMEM;
		}
	}
	if (r) {
		r->from = *from;
		r->to = *to;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

struct sl_shard_key
sl_shards_base(struct sl_shards *s, const char *scan, const struct sl_shard_key *from)
{
	pthread_mutex_lock(&s->lock);
	const struct sl_shard_rebase *r = rebase_of(s, scan);
	struct sl_shard_key key = r && key_eq(&r->from, from) ? r->to : *from;
	pthread_mutex_unlock(&s->lock);
	return key;
}

void
sl_scan_wants_free(struct sl_scan_want *wants, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		free(wants[i].scan);
		free(wants[i].name);
		free(wants[i].patterns);
		free(wants[i].text);
	}
	free(wants);
}

/* ---- forgetting ---- */

/* Under the lock. */
static void
drop_rebases(struct sl_shards *s, const struct sl_slot_map *active)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->rebase_cnt; i++) {
		const struct sl_shard_key *now = sl_slot_base(active, s->rebases[i].scan);
		if (now && key_eq(now, &s->rebases[i].from))
			s->rebases[kept++] = s->rebases[i];
		else
			free(s->rebases[i].scan);
	}
	s->rebase_cnt = kept;
}

/* Under the lock; those taken out, as a list. */
static struct sl_shard *
take_unused(struct sl_shards *s)
{
	struct sl_shard *out = NULL;

	for (unsigned b = 0; b < SL_SHARD_BUCKETS; b++)
		for (struct sl_shard **at = &s->bucket[b]; *at;) {
			struct sl_shard *x = *at;
			if (x->used + 2 >= s->round) {
				at = &x->next;
				continue;
			}
			*at = x->next;
			x->next = out;
			out = x;
		}
	return out;
}

struct kept_file {
	char name[80];
	int64_t mtime;
	uint64_t bytes;
};

static int
newest_first(const void *a, const void *b)
{
	const struct kept_file *x = a, *y = b;
	int d = (x->mtime < y->mtime) - (x->mtime > y->mtime);
	return d ? d : strcmp(x->name, y->name);
}

static bool
in_memory(struct sl_shards *s, const char *name)
{
	struct sl_shard_key key;

	if (strlen(name) != 2 * sizeof(key.b) + 3)
		return false;
	for (unsigned i = 0; i < sizeof(key.b); i++)
		if (sscanf(name + (size_t)2 * i, "%2hhx", &key.b[i]) != 1)
			return false;
	pthread_mutex_lock(&s->lock);
	const struct sl_shard *at = *bucket_of(s, &key);
	while (at && !key_eq(&at->key, &key))
		at = at->next;
	pthread_mutex_unlock(&s->lock);
	return at != NULL;
}

static struct kept_file *
list_files(struct sl_shards *s, DIR *d, uint32_t *ret_cnt)
{
	struct kept_file *list = NULL;
	uint32_t cnt = 0;
	struct dirent *e;
	struct stat st;

	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');
		if (!dot || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (strcmp(dot, ".tmp") == 0 && st.st_mtime + TMP_AGE_S < time(NULL))
			unlinkat(dirfd(d), e->d_name, 0);
		if (strcmp(dot, ".hs") != 0 || strlen(e->d_name) >= sizeof(list->name) ||
		    in_memory(s, e->d_name))
			continue;
		if ((cnt & (cnt + 1)) == 0) { /* room for 1, 3, 7, … */
			struct kept_file *more = realloc(list, (2 * cnt + 1u) * sizeof(*more));
			if (!more)
				break;
			list = more;
		}
		strcpy(list[cnt].name, e->d_name);
		list[cnt].mtime = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
		list[cnt++].bytes = (uint64_t)st.st_size;
	}
	*ret_cnt = cnt;
	return list;
}

static void
prune_files(struct sl_shards *s)
{
	DIR *d = opendir(s->dir);
	uint64_t bytes = 0;
	uint32_t cnt;

	if (!d)
		return;
	struct kept_file *list = list_files(s, d, &cnt);
	if (cnt)
		qsort(list, cnt, sizeof(*list), newest_first);
	for (uint32_t i = 0; i < cnt; i++) {
		bytes += list[i].bytes;
		if (i >= SL_SHARDS_KEEP || bytes > SL_SHARDS_KEEP_BYTES)
			unlinkat(dirfd(d), list[i].name, 0);
	}
	free(list);
	closedir(d);
}

void
sl_shards_trim(struct sl_shards *s, const struct sl_slot_map *active)
{
	char path[PATH_LEN];

	pthread_mutex_lock(&s->lock);
	drop_rebases(s, active);
	struct sl_shard *out = s->dir ? take_unused(s) : NULL;
	pthread_mutex_unlock(&s->lock);
	while (out) {
		struct sl_shard *x = out;
		out = x->next;
		utimensat(AT_FDCWD, path_of(s, &x->key, path), NULL, 0); /* the newest of the old */
		sl_shard_unref(x);
	}
	if (s->dir)
		prune_files(s);
}

/* ---- the whole ---- */

const char *
sl_shards_program(char *buf, size_t size)
{
	static const char name[] = "sluice-compile";
	ssize_t n = readlink("/proc/self/exe", buf, size - sizeof(name));
	char *slash = n > 0 ? memrchr(buf, '/', (size_t)n) : NULL;

	snprintf(slash ? slash + 1 : buf, sizeof(name), "%s", name);
	return buf;
}

int
sl_shards_create(const struct sl_shards_conf *conf, struct sl_diag *diag,
		 struct sl_shards **ret_shards)
{
	struct sl_shards *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->deadline_ms = conf->deadline_ms ? conf->deadline_ms : SL_SHARDS_DEADLINE_MS;
	s->memory_mb = conf->memory_mb ? conf->memory_mb : SL_SHARDS_MEMORY_MB;
	s->program = strdup(conf->program);
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	if (conf->dir && sl_disk_mkdir(conf->dir, diag) == 0)
		s->dir = strdup(conf->dir);
	if (!s->program || s->stop_fd < 0) {
		sl_shards_destroy(s);
		return -ENOMEM;
	}
	*ret_shards = s;
	return 0;
}

void
sl_shards_destroy(struct sl_shards *s)
{
	if (!s)
		return;
	for (unsigned b = 0; b < SL_SHARD_BUCKETS; b++)
		while (s->bucket[b]) {
			struct sl_shard *x = s->bucket[b];
			s->bucket[b] = x->next;
			sl_shard_unref(x);
		}
	for (uint32_t i = 0; i < s->rebase_cnt; i++)
		free(s->rebases[i].scan);
	free(s->rebases);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	pthread_mutex_destroy(&s->lock);
	free(s->program);
	free(s->dir);
	free(s);
}

void
sl_shards_stop(struct sl_shards *s)
{
	eventfd_write(s->stop_fd, 1);
}

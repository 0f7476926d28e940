/* Objects hang in a hash by id (SHA-256 is its own hash) with a count of the generations and offers that
 * name them.  A generation holds one count per ref and one for its root; dropping it drops those.
 *
 * What a view makes of a VHOST or a SHARD is kept with the object for the views to come, and goes with it.  A match reads the
 * databases it was made with, so it holds their objects: they stay as long as it does, whoever else names them.
 *
 * A descriptor is looked at from outside to inside: plain file of the memory file system → all four seals
 * → size → bytes.  Seals come before size: what is not sealed could change between two looks.
 *
 * Small objects are copied, not mapped: to unmap one interrupts every worker, and under churn a thousand come and go each second. */
#include "dataplane/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dataplane/image_check.h"

#define BUCKETS 8192u
#define COPIED_MAX (64u << 10)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct object {
	struct object *next; /* in its bucket */
	struct sl_obj_id id;
	const void *bytes;
	size_t size;
	uint32_t holders;
	uint32_t dep_cnt;
	struct object **deps; /* [dep_cnt]: objects that what was made needs */
	void *made;           /* sl_view_take; NULL: nothing */
};

struct generation {
	uint64_t number;
	struct object *root;  /* NULL: unused */
	struct object **objs; /* [cnt], by ref; NULL: has not come */
	uint32_t cnt;
	struct sl_view *view;
	enum sl_store_state state;
};

struct sl_store {
	struct sl_view_ports ports;
	char port_name[SL_VIEW_MAX_PORTS][SL_NAME_MAX];
	struct generation live[SL_STORE_LIVE_MAX]; /* [live_cnt], oldest first */
	unsigned live_cnt;
	struct {
		struct generation gen;
		uint32_t *wanted; /* [wanted_cnt] refs */
		bool *came;       /* [wanted_cnt] */
		uint32_t wanted_cnt;
		uint32_t missing;
		uint32_t refused;
	} offer; /* open when gen.root is not NULL */
	struct sl_store_usage usage;
	struct object *bucket[BUCKETS];
};

/* ---- objects ---- */

static struct object **
object_place(struct sl_store *s, const struct sl_obj_id *id)
{
	struct object **p = &s->bucket[sl_load32(id->b) % BUCKETS];

	while (*p && memcmp(&(*p)->id, id, sizeof(*id)) != 0)
		p = &(*p)->next;
	return p;
}

/* The bytes of a checked descriptor; NULL: errno says why. */
static void *
bytes_take(int fd, size_t size)
{
	if (size > COPIED_MAX) {
		void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		return map == MAP_FAILED ? NULL : map;
	}
	uint8_t *copy = aligned_alloc(SL_CACHE_LINE,
				      (size + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1));
	ssize_t n = 0;
	for (size_t got = 0; copy && got < size; got += (size_t)n) {
		n = pread(fd, copy + got, size - got, (off_t)got);
		if (n <= 0) {
			int err = n < 0 ? errno : EIO;
			free(copy);
			errno = err;
			return NULL;
		}
	}
	return copy;
}

static void
bytes_drop(const void *bytes, size_t size)
{
	if (size > COPIED_MAX)
		munmap((void *)(uintptr_t)bytes, size);
	else
		free((void *)(uintptr_t)bytes);
}

static void
object_drop(struct sl_store *s, struct object *o)
{
	if (!o || --o->holders > 0)
		return;
	*object_place(s, &o->id) = o->next;
	s->usage.objects--;
	s->usage.bytes -= o->size;
	sl_view_unmake(((const struct sl_obj_head *)o->bytes)->kind, o->made);
	for (uint32_t i = 0; i < o->dep_cnt; i++)
		object_drop(s, o->deps[i]);
	free(o->deps);
	bytes_drop(o->bytes, o->size);
	free(o);
}

static int
refuse(struct sl_diag *diag, const char *what, const char *hint, const char *text)
{
	sl_diag_add(diag, what, 0, NULL, hint, "%s", text);
	return -EINVAL;
}

/* Steps 1 of image.h: 0 with *ret_size, or -EINVAL. */
static int
fd_check(int fd, const char *what, struct sl_diag *diag, size_t *ret_size)
{
	static const char hint[] = "send a memfd sealed by F_SEAL_SEAL, SHRINK, GROW and WRITE";
	struct stat st;
	struct statfs fs;
	char text[160];

	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return refuse(diag, what, hint, "the descriptor cannot be looked at");
	if (!S_ISREG(st.st_mode))
		return refuse(diag, what, hint, "the descriptor is no file");
	/* A hugetlb memfd can be sealed too, but it can run out of pages under the reader. */
	if (fs.f_type != TMPFS_MAGIC)
		return refuse(diag, what, hint, "the descriptor is no memfd of ordinary pages");
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS) {
		snprintf(text, sizeof(text), "the memfd is not sealed: it lacks%s%s%s%s",
			 seals < 0 || !(seals & F_SEAL_SEAL) ? " F_SEAL_SEAL" : "",
			 seals < 0 || !(seals & F_SEAL_SHRINK) ? " F_SEAL_SHRINK" : "",
			 seals < 0 || !(seals & F_SEAL_GROW) ? " F_SEAL_GROW" : "",
			 seals < 0 || !(seals & F_SEAL_WRITE) ? " F_SEAL_WRITE" : "");
		return refuse(diag, what, hint, text);
	}
	/* Sealed now, so the size that fstat saw before the seals may be old. */
	if (fstat(fd, &st) != 0)
		return refuse(diag, what, hint, "the descriptor cannot be looked at");
	if (st.st_size < (off_t)sizeof(struct sl_obj_head) || st.st_size > (off_t)SL_OBJ_MAX ||
	    st.st_size % 8 != 0) {
		snprintf(text, sizeof(text), "has %lld bytes, must be a multiple of 8 in [%zu, %u]",
			 (long long)st.st_size, sizeof(struct sl_obj_head), SL_OBJ_MAX);
		return refuse(diag, what, NULL, text);
	}
	*ret_size = (size_t)st.st_size;
	return 0;
}

/* An object that is not held yet, from fd.  size 0: any (the root).  On success it has one holder. */
static int
object_add(struct sl_store *s, int fd, const struct sl_obj_id *id, enum sl_obj_kind kind,
	   size_t size, const char *what, struct sl_diag *diag, struct object **ret_object)
{
	size_t got = 0;
	char text[96];
	int err = fd_check(fd, what, diag, &got);

	if (err)
		return err;
	if (size && got != size) {
		snprintf(text, sizeof(text), "has %zu bytes, the root announced %zu", got, size);
		return refuse(diag, what, NULL, text);
	}
	struct object *o = malloc(sizeof(*o));
	if (!o)
		return -ENOMEM;
	void *bytes = bytes_take(fd, got);
	if (!bytes) {
		err = errno == ENOMEM ? -ENOMEM : refuse(diag, what, NULL, "cannot be read");
		free(o);
		return err;
	}
	err = sl_image_check(bytes, got, kind, id, what, diag);
	if (err) {
		bytes_drop(bytes, got);
		free(o);
		return err;
	}
	*o = (struct object){.id = *id, .bytes = bytes, .size = got, .holders = 1};
	struct object **place = object_place(s, id);
	o->next = *place;
	*place = o;
	s->usage.objects++;
	s->usage.bytes += got;
	*ret_object = o;
	return 0;
}

/* The held object with this id as one more holder's, or NULL.  An object that is held was checked as
 * what its head says, so it must be what the ref says. */
static struct object *
object_hold(struct sl_store *s, const struct sl_obj_id *id)
{
	struct object *o = *object_place(s, id);

	if (o)
		o->holders++;
	return o;
}

/* ---- generations ---- */

static void
generation_drop(struct sl_store *s, struct generation *g)
{
	sl_view_destroy(g->view);
	for (uint32_t i = 0; i < g->cnt; i++)
		object_drop(s, g->objs[i]);
	object_drop(s, g->root);
	free(g->objs);
	*g = (struct generation){0};
}

static const struct sl_img_ref *
refs_of(const struct generation *g)
{
	const struct sl_img_root *root = g->root->bytes;

	return (const void *)((const uint8_t *)root + root->ref_off);
}

static uint32_t
pins_of(const struct sl_view *v)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < SL_VIEW_MAX_WORKERS; i++) /* acquire: as in sl_view_pinned */
		sum += atomic_load_explicit(&v->pins[i].cnt, memory_order_acquire);
	return sum;
}

/* 0, or -EBUSY with who holds what. */
static int
room_check(const struct sl_store *s, uint64_t generation, struct sl_diag *diag)
{
	static const char *const states[] = {
		[SL_STORE_READY] = "waits to be published",
		[SL_STORE_ACTIVE] = "is active",
		[SL_STORE_RETIRED] = "waits for the workers to leave it",
	};
	char text[512];
	int n;

	if (s->live_cnt < SL_STORE_LIVE_MAX)
		return 0;
	n = snprintf(text, sizeof(text),
		     "generation %" PRIu64 " would be one too many: ", generation);
	for (unsigned i = 0; i < s->live_cnt; i++) {
		const struct generation *g = &s->live[i];
		uint32_t pins = pins_of(g->view);
		const char *sep = i ? ", " : "";
		if (pins && g->state == SL_STORE_RETIRED)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
				      "%sgeneration %" PRIu64 " is held by %u pins", sep, g->number,
				      pins);
		else
			n += snprintf(text + n, sizeof(text) - (size_t)n,
				      "%sgeneration %" PRIu64 " %s", sep, g->number,
				      states[g->state]);
	}
	sl_diag_add(diag, NULL, 0, NULL, "offer again when an older one is gone", "%s", text);
	return -EBUSY;
}

/* ---- offers ---- */

static void
ref_name(char buf[48], uint32_t ref, uint32_t kind)
{
	static const char *const names[] = {
		[SL_OBJ_NETWORK] = "network",    [SL_OBJ_LISTENERS] = "listeners",
		[SL_OBJ_SERVICE] = "service",    [SL_OBJ_ROUTES] = "route table",
		[SL_OBJ_VHOST] = "virtual host", [SL_OBJ_SHARD] = "shard",
		[SL_OBJ_AUTHZ] = "rule set",     [SL_OBJ_JWT] = "issuer",
	};

	snprintf(buf, 48, "object %u (%s)", ref, names[kind]);
}

static int
begin_check(const struct sl_store *s, uint64_t generation, struct sl_diag *diag)
{
	if (s->offer.gen.root) {
		sl_diag_add(diag, NULL, 0, NULL, "abort it first",
			    "the offer of generation %" PRIu64 " is open", s->offer.gen.number);
		return -EBUSY;
	}
	if (s->live_cnt && generation <= s->live[s->live_cnt - 1].number) {
		sl_diag_add(diag, NULL, 0, NULL, "offer it with a larger number",
			    "generation %" PRIu64 " is not after generation %" PRIu64
			    ", which is here",
			    generation, s->live[s->live_cnt - 1].number);
		return -EINVAL;
	}
	if (generation == 0) {
		sl_diag_add(diag, NULL, 0, NULL, NULL, "generations are numbered from 1");
		return -EINVAL;
	}
	return room_check(s, generation, diag);
}

static int
size_check(const struct sl_img_ref *refs, uint32_t cnt, struct sl_diag *diag)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < cnt; i++)
		sum += refs[i].size;
	if (sum <= SL_STORE_BYTES_MAX)
		return 0;
	sl_diag_add(diag, "root", 0, "refs", "use fewer services or smaller max_endpoints",
		    "name %" PRIu64 " bytes in sum, at most %llu are allowed", sum,
		    SL_STORE_BYTES_MAX);
	return -EINVAL;
}

/* A held object that the root names as something else. */
static int
held_check(const struct object *o, const struct sl_img_ref *r, uint32_t i, struct sl_diag *diag)
{
	const struct sl_obj_head *h = o->bytes;
	char what[48];

	if (h->kind == r->kind && o->size == r->size)
		return 0;
	ref_name(what, i, r->kind);
	sl_diag_add(diag, what, 0, NULL, NULL,
		    "the root announces kind %u of %u bytes, but the object with this id is of "
		    "kind %u with %zu",
		    r->kind, r->size, h->kind, o->size);
	return -EINVAL;
}

static int
id_cmp(const void *a, const void *b, void *refs)
{
	const struct sl_img_ref *r = refs;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int d = memcmp(&r[x].id, &r[y].id, sizeof(r[x].id));

	return d ? d : (x > y) - (x < y);
}

/* Two refs with one id would be two services or virtual hosts of one name. */
static int
distinct_check(const struct sl_img_ref *refs, uint32_t cnt, uint32_t *scratch, struct sl_diag *diag)
{
	int err = 0;
	char what[48];

	for (uint32_t i = 0; i < cnt; i++)
		scratch[i] = i;
	qsort_r(scratch, cnt, sizeof(*scratch), id_cmp, (void *)(uintptr_t)refs);
	for (uint32_t i = 1; i < cnt; i++) {
		uint32_t x = scratch[i - 1], y = scratch[i];
		if (memcmp(&refs[x].id, &refs[y].id, sizeof(refs[x].id)) != 0)
			continue;
		ref_name(what, y, refs[y].kind);
		sl_diag_add(diag, what, 0, NULL, NULL, "has the id of object %u", x);
		err = -EINVAL;
	}
	return err;
}

/* The offer's root is there: hold what is held, list what is wanted. */
static int
offer_fill(struct sl_store *s, struct sl_diag *diag)
{
	struct generation *g = &s->offer.gen;
	const struct sl_img_ref *refs = refs_of(g);
	uint32_t cnt = ((const struct sl_img_root *)g->root->bytes)->ref_cnt;

	g->objs = calloc(cnt, sizeof(struct object *));
	s->offer.wanted = calloc(cnt, sizeof(*s->offer.wanted));
	s->offer.came = calloc(cnt, sizeof(*s->offer.came));
	if (!g->objs || !s->offer.wanted || !s->offer.came)
		return -ENOMEM;
	int err = size_check(refs, cnt, diag);
	int same = distinct_check(refs, cnt, s->offer.wanted, diag);
	err = err ? err : same;
	g->cnt = cnt;
	for (uint32_t i = 0; i < cnt; i++) {
		g->objs[i] = object_hold(s, &refs[i].id);
		if (!g->objs[i])
			s->offer.wanted[s->offer.wanted_cnt++] = i;
		else if (held_check(g->objs[i], &refs[i], i, diag))
			err = -EINVAL;
	}
	s->offer.missing = s->offer.wanted_cnt;
	return err;
}

int
sl_store_offer_begin(struct sl_store *s, uint64_t generation, const struct sl_obj_id *root_id,
		     int root_fd, struct sl_diag *diag)
{
	struct object *root = NULL;
	int err = begin_check(s, generation, diag);

	if (err)
		return err;
	root = object_hold(s, root_id);
	if (root) {
		const struct sl_obj_head *h = root->bytes;
		if (h->kind != SL_OBJ_ROOT)
			err = refuse(diag, "root", NULL, "the offered id is that of another kind");
	} else {
		err = object_add(s, root_fd, root_id, SL_OBJ_ROOT, 0, "root", diag, &root);
	}
	if (err) {
		object_drop(s, root);
		return err;
	}
	s->offer.gen = (struct generation){.number = generation, .root = root};
	err = offer_fill(s, diag);
	if (err)
		sl_store_offer_abort(s);
	return err;
}

uint64_t
sl_store_offer_generation(const struct sl_store *s)
{
	return s->offer.gen.number;
}

const uint32_t *
sl_store_offer_wanted(const struct sl_store *s, unsigned *ret_cnt)
{
	*ret_cnt = s->offer.wanted_cnt;
	return s->offer.wanted;
}

unsigned
sl_store_offer_missing(const struct sl_store *s)
{
	return s->offer.missing;
}

static int
u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int
sl_store_offer_object(struct sl_store *s, uint32_t ref, int fd, struct sl_diag *diag)
{
	struct generation *g = &s->offer.gen;
	const uint32_t *place = NULL;
	char what[48];

	if (g->root && s->offer.wanted_cnt)
		place = bsearch(&ref, s->offer.wanted, s->offer.wanted_cnt, sizeof(ref), u32_cmp);
	if (!place || s->offer.came[place - s->offer.wanted]) {
		sl_diag_add(diag, NULL, 0, NULL, NULL,
			    !g->root ? "object %u came without an offer"
			    : !place ? "object %u was not wanted"
				     : "object %u came twice",
			    ref);
		return -EPROTO;
	}
	const struct sl_img_ref *r = &refs_of(g)[ref];
	ref_name(what, ref, r->kind);
	int err = object_add(s, fd, &r->id, r->kind, r->size, what, diag, &g->objs[ref]);
	if (err == -ENOMEM)
		return err;
	s->offer.came[place - s->offer.wanted] = true;
	s->offer.missing--;
	s->offer.refused += err != 0;
	return err;
}

/* Holds for o the objects of the scans' databases.  false: no memory. */
static bool
hold_shards(struct sl_store *s, struct object *o)
{
	const struct sl_img_vhost *v = o->bytes;
	const struct sl_img_scan *scan = (const void *)((const uint8_t *)v + v->scan_off);

	o->deps = calloc(2 * (size_t)v->scan_cnt + 1, sizeof(struct object *));
	if (!o->deps)
		return false;
	for (uint32_t i = 0; i < v->scan_cnt; i++) {
		o->deps[o->dep_cnt++] = object_hold(s, &scan[i].base);
		if (scan[i].delta_cnt)
			o->deps[o->dep_cnt++] = object_hold(s, &scan[i].delta);
	}
	return true;
}

/* Keeps what the view made with the objects: databases first, matches need them. */
static void
keep_made(struct sl_store *s, const struct generation *g)
{
	for (uint32_t i = g->cnt; i-- > 0;) {
		struct object *o = g->objs[i];
		uint16_t kind = ((const struct sl_obj_head *)o->bytes)->kind;
		bool match = kind == SL_OBJ_VHOST || kind == SL_OBJ_AUTHZ;
		if (o->made || (!match && kind != SL_OBJ_SHARD))
			continue;
		if (kind == SL_OBJ_SHARD || hold_shards(s, o)) /* else it goes with the view */
			o->made = sl_view_take(g->view, i);
	}
}

static int
view_of(struct sl_store *s, struct generation *g, struct sl_diag *diag)
{
	struct sl_object root = {.bytes = g->root->bytes, .size = g->root->size};
	struct sl_object *objs = malloc(g->cnt * sizeof(*objs));

	if (!objs)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->cnt; i++)
		objs[i] = (struct sl_object){.bytes = g->objs[i]->bytes,
					     .size = g->objs[i]->size,
					     .made = g->objs[i]->made};
	int err = sl_view_create(&root, &g->root->id, g->number, objs, g->cnt, &s->ports, diag,
				 &g->view);
	free(objs);
	if (err == 0)
		keep_made(s, g);
	return err;
}

int
sl_store_offer_complete(struct sl_store *s, struct sl_diag *diag, struct sl_view **ret_view)
{
	struct generation *g = &s->offer.gen;
	int err;

	if (!g->root || s->offer.missing) {
		sl_diag_add(diag, NULL, 0, NULL, NULL,
			    g->root ? "%u objects have not come" : "no offer is open",
			    s->offer.missing);
		return -EPROTO;
	}
	err = room_check(s, g->number, diag);
	if (err == 0 && s->offer.refused) /* their reasons were given when they came */
		err = -EINVAL;
	if (err == 0)
		err = view_of(s, g, diag);
	if (err == 0) {
		g->state = SL_STORE_READY;
		*ret_view = g->view;
		s->live[s->live_cnt++] = *g;
		*g = (struct generation){0};
	}
	sl_store_offer_abort(s);
	return err;
}

void
sl_store_offer_abort(struct sl_store *s)
{
	generation_drop(s, &s->offer.gen);
	free(s->offer.wanted);
	free(s->offer.came);
	memset(&s->offer, 0, sizeof(s->offer));
}

/* ---- live generations ---- */

static struct generation *
live_find(struct sl_store *s, const struct sl_view *v)
{
	for (unsigned i = 0; i < s->live_cnt; i++)
		if (s->live[i].view == v)
			return &s->live[i];
	return NULL;
}

void
sl_store_published(struct sl_store *s, struct sl_view *v)
{
	struct generation *g = live_find(s, v);

	SL_ASSERT(g && g->state == SL_STORE_READY);
	for (unsigned i = 0; i < s->live_cnt; i++)
		if (s->live[i].state == SL_STORE_ACTIVE)
			s->live[i].state = SL_STORE_RETIRED;
	g->state = SL_STORE_ACTIVE;
}

int
sl_store_release(struct sl_store *s, struct sl_view *v)
{
	struct generation *g = live_find(s, v);

	SL_ASSERT(g);
	if (g->state == SL_STORE_ACTIVE || sl_view_pinned(v))
		return -EBUSY;
	generation_drop(s, g);
	s->live_cnt--;
	memmove(g, g + 1, (size_t)(&s->live[s->live_cnt] - g) * sizeof(*g));
	return 0;
}

struct sl_view *
sl_store_active(const struct sl_store *s)
{
	for (unsigned i = 0; i < s->live_cnt; i++)
		if (s->live[i].state == SL_STORE_ACTIVE)
			return s->live[i].view;
	return NULL;
}

unsigned
sl_store_live(const struct sl_store *s, struct sl_store_live ret_live[SL_STORE_LIVE_MAX])
{
	for (unsigned i = 0; i < s->live_cnt; i++)
		ret_live[i] = (struct sl_store_live){s->live[i].view, s->live[i].state,
						     pins_of(s->live[i].view)};
	return s->live_cnt;
}

void
sl_store_usage(const struct sl_store *s, struct sl_store_usage *ret_usage)
{
	*ret_usage = s->usage;
}

/* ---- the store ---- */

int
sl_store_create(const struct sl_view_ports *ports, struct sl_store **ret_store)
{
	struct sl_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ports.worker_cnt = ports->worker_cnt;
	s->ports.cnt = ports->cnt;
	for (unsigned i = 0; i < ports->cnt; i++) {
		snprintf(s->port_name[i], SL_NAME_MAX, "%s", ports->name[i]);
		s->ports.name[i] = s->port_name[i];
	}
	*ret_store = s;
	return 0;
}

void
sl_store_destroy(struct sl_store *s)
{
	if (!s)
		return;
	sl_store_offer_abort(s);
	while (s->live_cnt)
		generation_drop(s, &s->live[--s->live_cnt]);
	free(s);
}

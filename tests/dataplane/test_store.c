#include "tests/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dataplane/store.h"
#include "tests/dataplane/image_build.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const struct sl_test_endpoint a_eps[] = {{.addr = "10.0.0.11:80"}, {.addr = "10.0.0.12:80"}};
static const struct sl_test_endpoint b_eps[] = {{.addr = "10.0.0.21:80"}};
static const struct sl_test_endpoint b2_eps[] = {{.addr = "10.0.0.22:80"}};
static const struct sl_test_endpoint far_eps[] = {{.addr = "10.7.7.7:80"}};
static const struct sl_test_address addresses[] = {{"p0", "10.0.0.1/24"}, {0}};
static const struct sl_test_listener listeners[] = {{.addr = "203.0.113.10:80", .service = "a"},
						    {0}};

/* Services a and b; the second of the tables below has another b, the third one that has no route. */
static const struct sl_test_service tables[3][3] = {
	{{.name = "a", .endpoints = a_eps, .endpoint_cnt = 2},
	 {.name = "b", .endpoints = b_eps, .endpoint_cnt = 1}},
	{{.name = "a", .endpoints = a_eps, .endpoint_cnt = 2},
	 {.name = "b", .endpoints = b2_eps, .endpoint_cnt = 1}},
	{{.name = "a", .endpoints = a_eps, .endpoint_cnt = 2},
	 {.name = "b", .endpoints = far_eps, .endpoint_cnt = 1}},
};

static struct sl_test_image
image_of(unsigned table)
{
	struct sl_test_conf conf = {
		.addresses = addresses, .services = tables[table], .listeners = listeners};
	struct sl_test_image im;

	sl_test_image_build(&conf, &im);
	return im;
}

static int
memfd_of(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("object", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

static struct sl_store *
store_new(void)
{
	struct sl_view_ports ports = {.cnt = 2, .name = {"p0", "p1"}};
	struct sl_store *s = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_store_create(&ports, &s), 0);
	return s;
}

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("\n    not \"%s\" but: %s\n", text, line);
	}
	return false;
}

/* What the process holds: descriptors, and mappings of memfds. */
struct held {
	unsigned fds, maps;
};

static struct held
held_now(void)
{
	struct held h = {0};
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		h.fds++;
	closedir(dir);

	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	while (fgets(line, sizeof(line), f))
		h.maps += strstr(line, "/memfd:") != NULL;
	fclose(f);
	return h;
}

static bool
held_same(struct held a, struct held b)
{
	if (a.fds != b.fds || a.maps != b.maps)
		printf("\n  descriptors %u → %u, mappings %u → %u\n", a.fds, b.fds, a.maps, b.maps);
	return a.fds == b.fds && a.maps == b.maps;
}

static int
begin(struct sl_store *s, uint64_t generation, const struct sl_test_image *im, struct sl_diag *d)
{
	int fd = memfd_of(im->root.bytes, im->root.size, ALL_SEALS);
	int err = sl_store_offer_begin(s, generation, &im->root_id, fd, d);

	close(fd);
	return err;
}

static int
give(struct sl_store *s, const struct sl_test_image *im, uint32_t ref, struct sl_diag *d)
{
	int fd = memfd_of(im->objs[ref].bytes, im->objs[ref].size, ALL_SEALS);
	int err = sl_store_offer_object(s, ref, fd, d);

	close(fd);
	return err;
}

/* Sends all that is wanted; the number of objects sent. */
static unsigned
give_all(struct sl_store *s, const struct sl_test_image *im)
{
	unsigned cnt;
	const uint32_t *wanted = sl_store_offer_wanted(s, &cnt);

	for (unsigned i = 0; i < cnt; i++)
		CU_ASSERT_EQUAL(give(s, im, wanted[i], NULL), 0);
	return cnt;
}

static struct sl_view *
publish(struct sl_store *s, uint64_t generation, unsigned table, unsigned expect_sent)
{
	struct sl_test_image im = image_of(table);
	struct sl_view *v = NULL;

	CU_ASSERT_EQUAL_FATAL(begin(s, generation, &im, NULL), 0);
	CU_ASSERT_EQUAL(give_all(s, &im), expect_sent);
	CU_ASSERT_EQUAL_FATAL(sl_store_offer_complete(s, NULL, &v), 0);
	sl_store_published(s, v);
	sl_test_image_free(&im);
	return v;
}

/* ---- the way of an offer ---- */

static void
an_offer_becomes_the_active_view(void)
{
	struct held before = held_now();
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_view *v = NULL;
	struct sl_store_live live[SL_STORE_LIVE_MAX];

	CU_ASSERT_EQUAL(begin(s, 5, &im, NULL), 0);
	CU_ASSERT_EQUAL(sl_store_offer_generation(s), 5);
	CU_ASSERT_EQUAL(sl_store_offer_missing(s), 4);
	CU_ASSERT_EQUAL(sl_store_offer_complete(s, NULL, &v), -EPROTO);
	CU_ASSERT_EQUAL(give_all(s, &im), 4);
	CU_ASSERT_EQUAL(sl_store_offer_missing(s), 0);
	CU_ASSERT_EQUAL_FATAL(sl_store_offer_complete(s, NULL, &v), 0);
	CU_ASSERT_EQUAL(sl_store_offer_generation(s), 0);
	CU_ASSERT_PTR_NULL(sl_store_active(s));
	CU_ASSERT(sl_store_live(s, live) == 1 && live[0].state == SL_STORE_READY);
	sl_store_published(s, v);
	CU_ASSERT_PTR_EQUAL(sl_store_active(s), v);
	CU_ASSERT(v->generation == 5 && v->hop_cnt == 3);
	CU_ASSERT(memcmp(&v->root_id, &im.root_id, sizeof(im.root_id)) == 0);
	CU_ASSERT_EQUAL(sl_store_release(s, v), -EBUSY);
	CU_ASSERT_EQUAL(held_now().maps, before.maps);
	sl_store_destroy(s);
	sl_test_image_free(&im);
	CU_ASSERT(held_same(before, held_now()));
}

/* What is small is copied: to unmap it would interrupt the workers. */
static void
only_a_large_object_is_mapped(void)
{
	enum { MANY = 2000 };
	static struct sl_test_endpoint eps[MANY];
	static char addr[MANY][24];
	struct held before = held_now();

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(addr[i], sizeof(addr[i]), "10.0.%u.%u:80", 1 + i / 250, 1 + i % 250);
		eps[i].addr = addr[i];
	}
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/16"}),
		.services = SL_TEST_LIST(struct sl_test_service,
					 {.name = "many", .endpoints = eps, .endpoint_cnt = MANY}),
	};
	struct sl_test_image im;
	struct sl_store *s = store_new();
	struct sl_view *v = NULL;
	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL(begin(s, 1, &im, NULL), 0);
	CU_ASSERT_EQUAL(give_all(s, &im), 3);
	CU_ASSERT_EQUAL_FATAL(sl_store_offer_complete(s, NULL, &v), 0);
	CU_ASSERT_EQUAL(v->hop_cnt, MANY);
	CU_ASSERT_EQUAL(held_now().maps, before.maps + 1);
	sl_store_destroy(s);
	sl_test_image_free(&im);
	CU_ASSERT(held_same(before, held_now()));
}

static void
unchanged_objects_are_not_wanted_again_and_outlive_their_first_generation(void)
{
	struct held before = held_now();
	struct sl_store *s = store_new();
	struct sl_store_usage u;

	struct sl_view *v1 = publish(s, 1, 0, 4);
	struct sl_view *v2 = publish(s, 2, 1, 1);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, 5 + 2);
	CU_ASSERT_PTR_EQUAL(v1->services[0].img, v2->services[0].img);
	CU_ASSERT_EQUAL(sl_store_release(s, v1), 0);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, 5);
	CU_ASSERT_STRING_EQUAL(v2->services[0].img->name, "a"); /* still mapped */
	publish(s, 3, 1, 0);
	CU_ASSERT_EQUAL(sl_store_release(s, v2), 0);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, 5);
	sl_store_destroy(s);
	CU_ASSERT(held_same(before, held_now()));
}

static void
a_view_that_was_never_published_can_be_released(void)
{
	struct held before = held_now();
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_view *v = NULL;

	CU_ASSERT_EQUAL(begin(s, 1, &im, NULL), 0);
	give_all(s, &im);
	CU_ASSERT_EQUAL_FATAL(sl_store_offer_complete(s, NULL, &v), 0);
	CU_ASSERT_EQUAL(sl_store_release(s, v), 0);
	CU_ASSERT(held_same(before, held_now()));
	sl_store_destroy(s);
	sl_test_image_free(&im);
}

static void
an_aborted_offer_leaves_nothing(void)
{
	struct held before = held_now();
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_diag d = {0};

	sl_store_offer_abort(s); /* without an offer: nothing */
	CU_ASSERT_EQUAL(begin(s, 1, &im, NULL), 0);
	CU_ASSERT_EQUAL(give(s, &im, 2, NULL), 0);
	CU_ASSERT_EQUAL(begin(s, 2, &im, &d), -EBUSY);
	CU_ASSERT(says(&d, "the offer of generation 1 is open"));
	sl_store_offer_abort(s);
	CU_ASSERT(held_same(before, held_now()));
	CU_ASSERT_EQUAL(begin(s, 2, &im, NULL), 0);
	sl_store_destroy(s); /* with an open offer */
	CU_ASSERT(held_same(before, held_now()));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

static void
a_refused_offer_leaves_the_active_view_alone(void)
{
	struct sl_store *s = store_new();
	struct sl_view *v1 = publish(s, 1, 0, 4), *v = NULL;
	struct held before = held_now();
	struct sl_test_image im = image_of(2);
	struct sl_diag d = {0};

	CU_ASSERT_EQUAL(begin(s, 2, &im, NULL), 0);
	CU_ASSERT_EQUAL(give_all(s, &im), 1);
	CU_ASSERT_EQUAL(sl_store_offer_complete(s, &d, &v), -EINVAL);
	CU_ASSERT(says(&d, "endpoint \"e0\" of service \"b\" at 10.7.7.7: no route"));
	CU_ASSERT_EQUAL(sl_store_offer_generation(s), 0);
	CU_ASSERT_PTR_NULL(v);
	CU_ASSERT_PTR_EQUAL(sl_store_active(s), v1);
	CU_ASSERT(held_same(before, held_now()));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

static void
numbers_only_grow(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(1);
	struct sl_diag d = {0};

	CU_ASSERT_EQUAL(begin(s, 0, &im, &d), -EINVAL);
	publish(s, 7, 0, 4);
	CU_ASSERT_EQUAL(begin(s, 7, &im, &d), -EINVAL);
	CU_ASSERT(says(&d, "generation 7 is not after generation 7"));
	CU_ASSERT_EQUAL(begin(s, 6, &im, &d), -EINVAL);
	CU_ASSERT_EQUAL(begin(s, 8, &im, &d), 0);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

static void
objects_out_of_turn_change_nothing(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_diag d = {0};

	CU_ASSERT_EQUAL(give(s, &im, 0, &d), -EPROTO);
	CU_ASSERT(says(&d, "object 0 came without an offer"));
	CU_ASSERT_EQUAL(begin(s, 1, &im, NULL), 0);
	CU_ASSERT_EQUAL(give(s, &im, 0, NULL), 0);
	CU_ASSERT_EQUAL(give(s, &im, 0, &d), -EPROTO);
	CU_ASSERT(says(&d, "object 0 came twice"));
	for (uint32_t i = 4; i != 0; i *= 2) { /* 4 is one past the last */
		int fd = memfd_of("", 0, ALL_SEALS);
		CU_ASSERT_EQUAL(sl_store_offer_object(s, i, fd, &d), -EPROTO);
		close(fd);
	}
	CU_ASSERT(says(&d, "object 4 was not wanted"));
	CU_ASSERT_EQUAL(sl_store_offer_missing(s), 3);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

/* ---- pins ---- */

static void
a_fifth_generation_is_refused_naming_the_holders(void)
{
	struct sl_store *s = store_new();
	struct sl_view *v[4];
	struct sl_test_image im = image_of(0);
	struct sl_diag d = {0};

	for (unsigned i = 0; i < 4; i++) {
		v[i] = publish(s, 10 + i, i % 2, i == 0 ? 4 : i == 1 ? 1 : 0);
		if (i < 2) {
			sl_view_pin(v[i], 0);
			sl_view_pin(v[i], 3 + i);
			sl_view_pin(v[i], 3 + i);
		}
	}
	CU_ASSERT_EQUAL(begin(s, 14, &im, &d), -EBUSY);
	CU_ASSERT(says(&d, "generation 10 is held by 3 pins"));
	CU_ASSERT(says(&d, "generation 11 is held by 3 pins"));
	CU_ASSERT(says(&d, "generation 12 waits for the workers to leave it"));
	CU_ASSERT(says(&d, "generation 13 is active"));
	CU_ASSERT_EQUAL(sl_store_release(s, v[0]), -EBUSY);
	sl_view_unpin(v[0], 0);
	sl_view_unpin(v[0], 3);
	CU_ASSERT_EQUAL(sl_store_release(s, v[0]), -EBUSY);
	sl_view_unpin(v[0], 3);
	CU_ASSERT_EQUAL(sl_store_release(s, v[0]), 0);
	CU_ASSERT_EQUAL(begin(s, 14, &im, NULL), 0);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

/* ---- hostile descriptors ---- */

static int
hostile_directory(const struct sl_object *o)
{
	(void)o;
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
hostile_pipe(const struct sl_object *o)
{
	int p[2];

	(void)o;
	if (pipe2(p, O_CLOEXEC))
		abort();
	close(p[1]);
	return p[0];
}

static int
hostile_socket(const struct sl_object *o)
{
	(void)o;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
hostile_device(const struct sl_object *o)
{
	(void)o;
	return open("/dev/zero", O_RDONLY | O_CLOEXEC);
}

static int
hostile_disk_file(const struct sl_object *o)
{
	(void)o;
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int
hostile_closed(const struct sl_object *o)
{
	(void)o;
	return -1;
}

static int
unsealed(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size, 0);
}

static int
not_against_write(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW);
}

static int
not_against_future_write_only(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size,
			F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | 0x0010 /* FUTURE_WRITE */);
}

static int
not_against_seals(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
}

static int
not_against_growth(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size, F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_SHRINK);
}

static int
not_against_shrinking(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size, F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW);
}

static int
empty(const struct sl_object *o)
{
	return memfd_of(o->bytes, 0, ALL_SEALS);
}

static int
odd_size(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size - 3, ALL_SEALS);
}

static int
shorter(const struct sl_object *o)
{
	return memfd_of(o->bytes, o->size - 8, ALL_SEALS);
}

static int
huge(const struct sl_object *o)
{
	int fd = memfd_of(o->bytes, o->size, 0);

	if (ftruncate(fd, (off_t)1 << 42) || fcntl(fd, F_ADD_SEALS, ALL_SEALS))
		abort();
	return fd;
}

static int
other_bytes(const struct sl_object *o)
{
	uint8_t *copy = malloc(o->size);

	memcpy(copy, o->bytes, o->size);
	copy[o->size / 2] ^= 1;
	int fd = memfd_of(copy, o->size, ALL_SEALS);
	free(copy);
	return fd;
}

static int
write_only(const struct sl_object *o)
{
	char path[64];
	int fd = memfd_of(o->bytes, o->size, 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int w = open(path, O_WRONLY | O_CLOEXEC);
	if (w < 0 || fcntl(fd, F_ADD_SEALS, ALL_SEALS))
		abort();
	close(fd);
	return w;
}

static int
path_only(const struct sl_object *o)
{
	char path[64];
	int fd = memfd_of(o->bytes, o->size, ALL_SEALS);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int p = open(path, O_PATH | O_CLOEXEC);
	close(fd);
	return p;
}

static const struct {
	int (*fd_of)(const struct sl_object *o);
	const char *says, *why;
} hostile[] = {
	{hostile_directory, "the descriptor is no file", "directory"},
	{hostile_pipe, "the descriptor is no file", "pipe"},
	{hostile_socket, "the descriptor is no file", "socket"},
	{hostile_device, "the descriptor is no file", "device"},
	{hostile_disk_file, "memfd", "file of a disk"},
	{hostile_closed, "cannot be looked at", "no descriptor"},
	{unsealed, "lacks F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE", "unsealed"},
	{not_against_write, "lacks F_SEAL_WRITE (", "writable"},
	{not_against_future_write_only, "lacks F_SEAL_WRITE (", "old mappings may write"},
	{not_against_seals, "lacks F_SEAL_SEAL (", "seals may be added"},
	{not_against_growth, "lacks F_SEAL_GROW (", "may grow"},
	{not_against_shrinking, "lacks F_SEAL_SHRINK (", "may shrink: SIGBUS"},
	{empty, "has 0 bytes, must be a multiple of 8 in [16, 67108864]", "empty"},
	{odd_size, "must be a multiple of 8", "odd size"},
	{huge, "has 4398046511104 bytes, must be", "4 TiB, all holes"},
	{other_bytes, "was announced", "other bytes than the id"},
	{write_only, "cannot be read", "open for writing only"},
	{path_only, "lacks F_SEAL_SEAL", "a path, not a file"},
	{shorter, "", "8 bytes less"},
};

static void
hostile_descriptors_are_refused_as_objects(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct held before = held_now();

	for (unsigned i = 0; i < SL_ARRAY_CNT(hostile); i++) {
		struct sl_diag d = {0};
		struct sl_view *v = NULL;
		CU_ASSERT_EQUAL(begin(s, 1, &im, NULL), 0);
		int fd = hostile[i].fd_of(&im.objs[2]);
		CU_ASSERT_EQUAL(sl_store_offer_object(s, 2, fd, &d), -EINVAL);
		CU_ASSERT(says(&d, hostile[i].says) && says(&d, "object 2 (service): "));
		if (fd >= 0)
			close(fd);
		/* The others still come, so that all reasons are found, and then it is refused. */
		for (uint32_t ref = 0; ref < 4; ref++)
			CU_ASSERT_EQUAL(ref == 2 ? 0 : give(s, &im, ref, NULL), 0);
		CU_ASSERT_EQUAL(sl_store_offer_complete(s, &d, &v), -EINVAL);
		CU_ASSERT_PTR_NULL(v);
		CU_ASSERT_EQUAL(sl_store_offer_generation(s), 0);
		CU_ASSERT(held_same(before, held_now()));
		sl_diag_fini(&d);
	}
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

static void
hostile_descriptors_are_refused_as_root(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct held before = held_now();

	for (unsigned i = 0; i < SL_ARRAY_CNT(hostile); i++) {
		struct sl_diag d = {0};
		int fd = hostile[i].fd_of(&im.root);
		CU_ASSERT_EQUAL(sl_store_offer_begin(s, 1, &im.root_id, fd, &d), -EINVAL);
		CU_ASSERT(says(&d, hostile[i].says) && says(&d, "root: "));
		if (fd >= 0)
			close(fd);
		CU_ASSERT_EQUAL(sl_store_offer_generation(s), 0);
		CU_ASSERT(held_same(before, held_now()));
		sl_diag_fini(&d);
	}
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

static void
a_root_that_lies_about_its_objects_is_refused(void)
{
	static const struct {
		size_t off; /* in the refs */
		uint32_t value;
		bool held; /* the objects are there already */
		const char *says, *why;
	} rows[] = {
		{2 * sizeof(struct sl_img_ref) + offsetof(struct sl_img_ref, size), 512, true,
		 "announces kind 4 of 512 bytes", "other size of an object that is held"},
		{offsetof(struct sl_img_ref, size), 512, false, "the root announced 512",
		 "other size of an object to come"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_store *s = store_new();
		struct sl_test_image im = image_of(0);
		struct sl_diag d = {0};
		if (rows[i].held)
			publish(s, 1, 0, 4);
		struct held before = held_now();
		uint8_t *root = sl_test_bytes(&im.root);
		sl_store32(root + sizeof(struct sl_img_root) + rows[i].off, rows[i].value);
		sl_image_id(root, im.root.size, &im.root_id);
		int err = begin(s, 2, &im, &d);
		if (!rows[i].held) {
			CU_ASSERT_EQUAL(err, 0);
			err = give(s, &im, 0, &d);
			sl_store_offer_abort(s);
		}
		CU_ASSERT_EQUAL(err, -EINVAL);
		CU_ASSERT(says(&d, rows[i].says));
		CU_ASSERT(held_same(before, held_now()));
		sl_diag_fini(&d);
		sl_test_image_free(&im);
		sl_store_destroy(s);
	}
}

static void
a_root_that_names_one_object_twice_is_refused(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_diag d = {0};
	struct sl_img_ref *ref =
		(void *)((char *)sl_test_bytes(&im.root) + sizeof(struct sl_img_root));

	ref[3].id = ref[2].id;
	sl_image_id(im.root.bytes, im.root.size, &im.root_id);
	CU_ASSERT_EQUAL(begin(s, 1, &im, &d), -EINVAL);
	CU_ASSERT(says(&d, "object 3 (service): has the id of object 2"));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

static void
a_held_object_cannot_stand_in_for_a_root(void)
{
	struct sl_store *s = store_new();
	struct sl_test_image im = image_of(0);
	struct sl_diag d = {0};
	struct sl_obj_id id;

	publish(s, 1, 0, 4);
	sl_image_id(im.objs[2].bytes, im.objs[2].size, &id);
	int fd = memfd_of(im.objs[2].bytes, im.objs[2].size, ALL_SEALS);
	CU_ASSERT_EQUAL(sl_store_offer_begin(s, 2, &id, fd, &d), -EINVAL);
	CU_ASSERT(says(&d, "that of another kind"));
	close(fd);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
	sl_store_destroy(s);
}

SL_SUITE("store", SL_TEST(an_offer_becomes_the_active_view), SL_TEST(only_a_large_object_is_mapped),
	 SL_TEST(unchanged_objects_are_not_wanted_again_and_outlive_their_first_generation),
	 SL_TEST(a_view_that_was_never_published_can_be_released),
	 SL_TEST(an_aborted_offer_leaves_nothing),
	 SL_TEST(a_refused_offer_leaves_the_active_view_alone), SL_TEST(numbers_only_grow),
	 SL_TEST(objects_out_of_turn_change_nothing),
	 SL_TEST(a_fifth_generation_is_refused_naming_the_holders),
	 SL_TEST(hostile_descriptors_are_refused_as_objects),
	 SL_TEST(hostile_descriptors_are_refused_as_root),
	 SL_TEST(a_root_that_lies_about_its_objects_is_refused),
	 SL_TEST(a_root_that_names_one_object_twice_is_refused),
	 SL_TEST(a_held_object_cannot_stand_in_for_a_root))

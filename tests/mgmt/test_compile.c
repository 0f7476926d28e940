/* Structs → objects: what is promised about bytes. */
#include "mgmt/compile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/wait.h>

#include "compiled.h"
#include "files.h"
#include "lb/maglev.h"

static struct sl_conf *
edge_conf(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/edge.conf", &len);
	struct sl_conf *c = conf_of(text);

	free(text);
	return c;
}

static const struct sl_img_endpoint *
endpoints(const struct sl_img_service *s)
{
	return (const void *)((const char *)s + s->endpoint_off);
}

/* ---- content ---- */

static void
ids_are_sums_and_refs_name_them(void)
{
	struct sl_conf *c = edge_conf();
	struct pushed p = push(c, NULL);
	const struct sl_img_root *root = p.out->root.bytes;
	const struct sl_img_ref *ref = (const void *)((const char *)root + root->ref_off);

	CU_ASSERT_EQUAL(root->ref_cnt, p.out->cnt);
	CU_ASSERT_EQUAL(p.out->cnt, 2 + c->service_cnt);
	CU_ASSERT_EQUAL(root->hash_seed, 0x00112233445566ffu);
	for (uint32_t i = 0; i < p.out->cnt; i++) {
		const struct sl_compiled_object *o = &p.out->objs[i];
		const struct sl_obj_head *head = o->bytes;
		struct sl_obj_id id;
		EVP_Digest(o->bytes, o->size, id.b, NULL, EVP_sha256(), NULL);
		CU_ASSERT_EQUAL(memcmp(&id, &o->id, sizeof(id)), 0);
		CU_ASSERT_EQUAL(memcmp(&ref[i].id, &o->id, sizeof(id)), 0);
		CU_ASSERT_EQUAL(ref[i].size, o->size);
		CU_ASSERT_EQUAL(head->size, o->size);
		CU_ASSERT_EQUAL(ref[i].kind, head->kind);
		CU_ASSERT_EQUAL((uintptr_t)o->bytes % 8, 0);
		CU_ASSERT_EQUAL(o->size % 8, 0);
		if (i > 2)
			CU_ASSERT(ref[i - 1].slot < ref[i].slot);
	}
	pushed_fini(&p);
	sl_conf_free(c);
}

static void
tables_follow_policy_and_weights(void)
{
	struct sl_conf *c = edge_conf();
	struct pushed p = push(c, NULL);
	const struct sl_img_service *web = service(p.out, "web"), *batch = service(p.out, "batch"),
				    *empty = service(p.out, "empty"), *dns = service(p.out, "dns6");
	unsigned share[2] = {0}, turns[3] = {0};

	CU_ASSERT_EQUAL(level(web, 0)->maglev_cnt, sl_maglev_size(2));
	CU_ASSERT_EQUAL(level(web, 0)->sched_cnt, 0);
	CU_ASSERT_STRING_EQUAL(endpoints(web)[0].name, "web-1"); /* by name, not by file */
	const uint16_t *table = (const void *)((const char *)web + level(web, 0)->maglev_off);
	for (uint32_t i = 0; i < level(web, 0)->maglev_cnt; i++)
		share[table[i] % 2]++;
	CU_ASSERT(share[1] > 2 * share[0] && share[1] < 4 * share[0]);

	CU_ASSERT_EQUAL(level(batch, 0)->maglev_cnt, 0);
	CU_ASSERT_EQUAL(level(batch, 0)->sched_cnt, 3); /* 4 : 2 : 0, by their common factor */
	const uint16_t *sched = (const void *)((const char *)batch + level(batch, 0)->sched_off);
	for (uint32_t i = 0; i < level(batch, 0)->sched_cnt; i++)
		turns[sched[i] % 3]++;
	CU_ASSERT(turns[0] == 2 && turns[1] == 1 && turns[2] == 0);

	CU_ASSERT_EQUAL(empty->endpoint_cnt + empty->level_cnt + empty->subset_cnt, 0);
	CU_ASSERT_EQUAL(empty->endpoint_off + empty->level_off + empty->subset_off, 0);
	CU_ASSERT_EQUAL(empty->family, 6); /* its listener's */
	CU_ASSERT_EQUAL(dns->family, 6);
	CU_ASSERT_EQUAL(dns->forward, SL_FORWARD_DSR);
	pushed_fini(&p);
	sl_conf_free(c);
}

/* ---- files ---- */

static void
compare_dump(const char *path, const char *stem)
{
	char dump_path[4096], *text, *dump = NULL;
	size_t len;
	FILE *f = open_memstream(&dump, &len);

	(void)stem;
	snprintf(dump_path, sizeof(dump_path), "%.*s.dump", (int)strlen(path) - 5, path);
	text = file_read(path, &len);
	struct sl_conf *c = conf_of(text);
	struct pushed p = push(c, NULL);
	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT(view_stands(p.out));
	sl_image_dump(p.out->root.bytes, p.out->root.size, f);
	for (uint32_t i = 0; i < p.out->cnt; i++)
		sl_image_dump(p.out->objs[i].bytes, p.out->objs[i].size, f);
	fclose(f);
	CU_ASSERT(golden_is(dump_path, dump));
	free(dump);
	free(text);
	pushed_fini(&p);
	sl_conf_free(c);
}

static void
every_good_file_gives_exactly_its_objects(void)
{
	CU_ASSERT(golden_each(SL_GOLDEN, compare_dump) >= 3);
}

/* ---- determinism ---- */

#define MANY_SERVICES 40

/* A configuration of size by a seed; turned: every list stands the other way round. */
static char *
many(uint64_t seed, bool turned, unsigned changed)
{
	char *text, eps[2048];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "gateway = { name = \"g\"; }; network = { addresses = ( { port = \"a\"; address "
		   "= \"10.0.0.1/8\"; } ); };\nservices = (");
	for (unsigned n = 0; n < MANY_SERVICES; n++) {
		unsigned i = turned ? MANY_SERVICES - 1 - n : n, cnt = (seed >> (i % 32) & 3) + 1;
		size_t at = 0;
		for (unsigned m = 0; m < cnt; m++) {
			unsigned j = turned ? cnt - 1 - m : m;
			at += (size_t)snprintf(eps + at, sizeof(eps) - at,
					       "%s{ name = \"e%u\"; address = \"10.1.%u.%u\"; port "
					       "= 80; weight = %u; }",
					       m ? ", " : "", j, i, j + 1,
					       i < changed ? 7 + j : 1 + j);
		}
		fprintf(f,
			"%s{ name = \"s%u\"; forward = \"nat\"; max_endpoints = 5; policy = "
			"\"%s\"; "
			"endpoints = ( %s ); }\n",
			n ? ", " : "", i, i % 3 ? "maglev" : "round_robin", eps);
	}
	fprintf(f, ");\nlisteners = (");
	for (unsigned n = 0; n < MANY_SERVICES; n++) {
		unsigned i = turned ? MANY_SERVICES - 1 - n : n;
		fprintf(f,
			"%s{ name = \"l%u\"; address = \"10.2.0.%u\"; port = %u; protocol = "
			"\"%s\"; mode = \"l4\"; service = \"s%u\"; }\n",
			n ? ", " : "", i, i / 4 + 1, i % 2 + 80, i / 2 % 2 ? "tcp" : "udp", i);
	}
	fprintf(f, ");\n");
	fclose(f);
	return text;
}

static struct sl_conf *
many_conf(uint64_t seed, bool turned, unsigned changed)
{
	char *text = many(seed, turned, changed);
	struct sl_conf *c = conf_of(text);

	free(text);
	return c;
}

static void
the_same_configuration_gives_the_same_bytes_in_any_order(void)
{
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct sl_conf *a = many_conf(seed * 0x9e3779b97f4a7c15u, false, 0);
		struct sl_conf *b = many_conf(seed * 0x9e3779b97f4a7c15u, true, 0);
		struct pushed pa = push(a, NULL), pb = push(b, NULL);
		CU_ASSERT(same_bytes(pa.out, pb.out));
		CU_ASSERT(checks_pass(pa.out));
		CU_ASSERT(view_stands(pa.out));
		pushed_fini(&pa);
		pushed_fini(&pb);
		sl_conf_free(a);
		sl_conf_free(b);
	}
}

static void
another_process_gives_the_same_root(void)
{
	struct sl_conf *c = many_conf(77, false, 0);
	struct pushed p = push(c, NULL);
	struct sl_obj_id id;
	int ends[2], status;

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) { /* a fresh program: other addresses, nothing left over from this one */
		dup2(ends[1], 3);
		execl("/proc/self/exe", "test_compile", "--root", (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	CU_ASSERT_EQUAL(read(ends[0], &id, sizeof(id)), (ssize_t)sizeof(id));
	close(ends[0]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(memcmp(&id, &p.out->root.id, sizeof(id)), 0);
	pushed_fini(&p);
	sl_conf_free(c);
}

static void
what_came_before_changes_no_bytes(void)
{
	struct sl_conf *a = many_conf(5, false, 0), *b = many_conf(5, true, 6);
	struct pushed first = push(a, NULL), with = push(b, &first), without;

	CU_ASSERT_EQUAL_FATAL(
		sl_compile(b, &first.map, NULL, NULL, NULL, &without.map, &without.out), 0);
	CU_ASSERT(same_bytes(with.out, without.out));
	pushed_fini(&first); /* shared bytes live on */
	CU_ASSERT(same_bytes(with.out, without.out));
	pushed_fini(&with);
	pushed_fini(&without);
	sl_conf_free(a);
	sl_conf_free(b);
}

static void
an_unchanged_service_is_the_same_object(void)
{
	struct sl_conf *a = many_conf(5, false, 0), *b = many_conf(5, false, 6);
	struct pushed first = push(a, NULL), second = push(b, &first);
	unsigned shared = 0, same = 0;

	for (uint32_t i = 0; i < first.out->cnt; i++) {
		same += memcmp(&first.out->objs[i].id, &second.out->objs[i].id, 32) == 0;
		shared += first.out->objs[i].bytes == second.out->objs[i].bytes;
	}
	CU_ASSERT_EQUAL(same, first.out->cnt - 6);
	CU_ASSERT_EQUAL(shared, MANY_SERVICES - 6);
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(a);
	sl_conf_free(b);
}

static void
a_new_seed_or_size_or_policy_makes_new_tables(void)
{
	struct sl_conf *c = many_conf(5, false, 0);
	struct pushed first = push(c, NULL), second, plain;

	c->hash_seed++;
	c->services[1].max_endpoints = 11;
	c->services[2].policy = SL_POLICY_SOURCE_HASH;
	c->services[4].policy = SL_POLICY_ROUND_ROBIN;
	c->services[3].policy = SL_POLICY_MAGLEV;
	second = push(c, &first);
	CU_ASSERT_EQUAL_FATAL(sl_compile(c, &first.map, NULL, NULL, NULL, &plain.map, &plain.out),
			      0);
	CU_ASSERT(same_bytes(second.out, plain.out));
	CU_ASSERT(checks_pass(second.out));
	for (uint32_t i = 2; i < first.out->cnt; i++) {
		const struct sl_img_service *s = first.out->objs[i].bytes;
		if (s->endpoint_cnt > 1 && level(s, 0)->maglev_cnt)
			CU_ASSERT_NOT_EQUAL(
				memcmp(&first.out->objs[i].id, &second.out->objs[i].id, 32), 0);
	}
	pushed_fini(&first);
	pushed_fini(&second);
	pushed_fini(&plain);
	sl_conf_free(c);
}

/* Each on its own: reuse must see every one of them. */
static void
no_single_change_is_overlooked(void)
{
	struct sl_conf *c = many_conf(0xffffffffffffffffu, false, 0);
	struct sl_conf_service *s = &c->services[1];
	struct pushed first = push(c, NULL);

	for (int change = 0; change < 9; change++) {
		struct sl_conf_service was = *s;
		struct sl_conf_endpoint e = s->endpoints[0];
		uint64_t seed = c->hash_seed;
		struct pushed with, without;
		switch (change) {
		case 0:
			s->max_endpoints = 11;
			break;
		case 1:
			s->policy = SL_POLICY_SOURCE_HASH;
			break;
		case 2:
			s->policy = SL_POLICY_ROUND_ROBIN;
			break;
		case 3:
			s->forward = SL_FORWARD_DSR;
			break;
		case 4:
			s->endpoints[0].weight++;
			break;
		case 5:
			s->endpoints[0].port++;
			break;
		case 6:
			strncpy(s->endpoints[0].name, "zz", SL_NAME_MAX);
			break;
		case 7:
			s->endpoint_cnt--;
			break;
		case 8:
			c->hash_seed++;
			break;
		}
		with = push(c, &first);
		CU_ASSERT_EQUAL_FATAL(
			sl_compile(c, &first.map, NULL, NULL, NULL, &without.map, &without.out), 0);
		CU_ASSERT(same_bytes(with.out, without.out));
		CU_ASSERT_FALSE(same_bytes(first.out, with.out));
		CU_ASSERT(checks_pass(with.out));
		pushed_fini(&with);
		pushed_fini(&without);
		*s = was;
		s->endpoints[0] = e;
		c->hash_seed = seed;
	}
	pushed_fini(&first);
	sl_conf_free(c);
}

/* A table with connections; the caller changes one value at a time. */
static void
no_change_of_connections_is_overlooked(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/tcp.conf", &len);
	struct sl_conf *c = conf_of(text);
	struct sl_conf_service *s = &c->services[1];
	struct sl_conf_listener *l = &c->listeners[1];
	struct pushed first = push(c, NULL);

	free(text);
	CU_ASSERT_EQUAL_FATAL(l->trusted_cnt, 5);
	for (int change = 0; change < 11; change++) {
		struct sl_conf_service was = *s;
		struct sl_conf_listener l_was = *l;
		struct sl_img_prefix p = l->trusted[3];
		struct pushed with, without;
		switch (change) {
		case 0:
			s->tcp.connect_ms++;
			break;
		case 1:
			s->tcp.idle_ms++;
			break;
		case 2:
			s->tcp.keepalive_ms += 1000;
			break;
		case 3:
			s->tcp.max_connections++;
			break;
		case 4:
			s->tcp.retries--;
			break;
		case 5:
			s->tcp.proxy_out--;
			break;
		case 6:
			s->tcp.cc = 0;
			break;
		case 7:
			s->source_cnt = 0;
			break;
		case 8:
			l->max_connections--;
			break;
		case 9:
			l->trusted_cnt--;
			break;
		case 10:
			l->trusted[3].prefix.b[15]++;
			break;
		}
		with = push(c, &first);
		CU_ASSERT_EQUAL_FATAL(
			sl_compile(c, &first.map, NULL, NULL, NULL, &without.map, &without.out), 0);
		CU_ASSERT(same_bytes(with.out, without.out));
		CU_ASSERT_FALSE(same_bytes(first.out, with.out));
		CU_ASSERT(checks_pass(with.out));
		pushed_fini(&with);
		pushed_fini(&without);
		*s = was;
		*l = l_was;
		l->trusted[3] = p;
	}
	/* The order in the file means nothing. */
	struct sl_img_prefix p = l->trusted[0];
	l->trusted[0] = l->trusted[4];
	l->trusted[4] = p;
	struct pushed same = push(c, &first);
	CU_ASSERT(same_bytes(first.out, same.out));
	pushed_fini(&same);
	pushed_fini(&first);
	sl_conf_free(c);
}

/* ---- slots through the compiler ---- */

static void
a_new_address_is_a_new_machine_and_a_new_weight_is_not(void)
{
	struct sl_conf *c = edge_conf();
	struct pushed first = push(c, NULL), second;
	struct sl_conf_endpoint *e = c->services[0].endpoints; /* web-2, web-1 */

	e[0].weight = 9;
	e[1].addr.b[15] ^= 1;
	second = push(c, &first);
	const struct sl_img_endpoint *was = endpoints(service(first.out, "web")),
				     *is = endpoints(service(second.out, "web"));
	CU_ASSERT_EQUAL(is[1].slot, was[1].slot);
	CU_ASSERT_EQUAL(is[1].incarnation, was[1].incarnation);
	CU_ASSERT(is[0].slot != was[0].slot || is[0].incarnation != was[0].incarnation);

	struct sl_placed p;
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&second.map, &c->services[0], &e[1], &p), 0);
	CU_ASSERT_EQUAL(p.slot, is[0].slot);
	CU_ASSERT_EQUAL(p.incarnation, is[0].incarnation);
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&first.map, &c->services[0], &e[1], &p), -ENOENT);
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(c);
}

static void
a_listener_and_a_service_keep_their_slots_when_they_move(void)
{
	struct sl_conf *c = edge_conf();
	struct pushed first = push(c, NULL), second;
	struct sl_placed was, is;

	c->listeners[0].port = c->listeners[0].port_last = 8081;
	strncpy(c->services[2].name, "aaa", SL_NAME_MAX); /* refs move, slots do not */
	strncpy(c->listeners[2].service, "aaa", SL_NAME_MAX);
	second = push(c, &first);
	CU_ASSERT_EQUAL(sl_slot_find_listener(&first.map, &c->listeners[0], &was), 0);
	CU_ASSERT_EQUAL(sl_slot_find_listener(&second.map, &c->listeners[0], &is), 0);
	CU_ASSERT_EQUAL(was.slot, is.slot);
	CU_ASSERT_EQUAL(was.incarnation, is.incarnation);
	CU_ASSERT_EQUAL(sl_slot_find_service(&first.map, &c->services[0], &was), 0);
	CU_ASSERT_EQUAL(sl_slot_find_service(&second.map, &c->services[0], &is), 0);
	CU_ASSERT_EQUAL(was.slot, is.slot);
	CU_ASSERT(checks_pass(second.out));
	CU_ASSERT(view_stands(second.out));
	CU_ASSERT_EQUAL(memcmp(service(first.out, "web"), service(second.out, "web"),
			       service(first.out, "web")->head.size),
			0);
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(c);
}

static void
slots_that_run_out_are_reported(void)
{
	struct sl_conf *c = edge_conf();
	struct sl_slot_map small;
	struct sl_diag diag = {0};
	struct pushed p;

	sl_slot_map_init(&small);
	small.endpoints.max = 5;
	CU_ASSERT_EQUAL(sl_compile(c, &small, NULL, NULL, &diag, &p.map, &p.out), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(diag.cnt, 1);
	CU_ASSERT_STRING_EQUAL(diag.items[0].text,
			       "6 endpoints are more than the 5 slots of a gateway");
	sl_diag_fini(&diag);
	sl_conf_free(c);
}

/* What the other process does: outside the suite, so without its assertions. */
static int
write_root(int fd)
{
	char *text = many(77, false, 0);
	struct sl_conf *c;
	struct sl_slot_map none;
	struct pushed p;

	sl_slot_map_init(&none);
	if (sl_conf_parse("t", text, strlen(text), NULL, &c) != 0 ||
	    sl_compile(c, &none, NULL, NULL, NULL, &p.map, &p.out) != 0 ||
	    write(fd, &p.out->root.id, SL_ID_BYTES) != SL_ID_BYTES)
		return 1;
	pushed_fini(&p);
	sl_conf_free(c);
	free(text);
	return 0;
}

int
main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		SL_TEST(ids_are_sums_and_refs_name_them),
		SL_TEST(tables_follow_policy_and_weights),
		SL_TEST(every_good_file_gives_exactly_its_objects),
		SL_TEST(the_same_configuration_gives_the_same_bytes_in_any_order),
		SL_TEST(another_process_gives_the_same_root),
		SL_TEST(what_came_before_changes_no_bytes),
		SL_TEST(an_unchanged_service_is_the_same_object),
		SL_TEST(a_new_seed_or_size_or_policy_makes_new_tables),
		SL_TEST(no_single_change_is_overlooked),
		SL_TEST(no_change_of_connections_is_overlooked),
		SL_TEST(a_new_address_is_a_new_machine_and_a_new_weight_is_not),
		SL_TEST(a_listener_and_a_service_keep_their_slots_when_they_move),
		SL_TEST(slots_that_run_out_are_reported),
		CU_TEST_INFO_NULL,
	};

	if (argc == 2 && strcmp(argv[1], "--root") == 0)
		return write_root(3);
	return sl_suite_run("compile", tests);
}

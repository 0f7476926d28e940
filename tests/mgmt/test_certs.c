/* Certificates and ticket keys: kept, sent, refused; and that no key's bytes stand where they should not. */
#include "mgmt/certs.h"
#include "mgmt/keep.h"
#include "mgmt/secrets.h"
#include "mgmt/tickets.h"
#include "mgmt/wipe.h"
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"
#include "tests/tls/tls_certs.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define DAY 86400

static struct fixture f;
static struct tls_cert *ca, *one, *two;
static char *one_pem, *one_key, *two_pem, *two_key, *ca_pem;

static void
setup(void)
{
	ca = tls_cert_make(&(struct tls_cert_spec){
		.cn = "mesh-ca", .ca = true, .from_s = -DAY, .until_s = 400 * DAY});
	one = tls_cert_make(&(struct tls_cert_spec){.cn = "one",
						    .issuer = ca,
						    .sans = {TLS_SAN("DNS:shop.example")},
						    .from_s = -DAY,
						    .until_s = 90 * DAY});
	two = tls_cert_make(&(struct tls_cert_spec){.cn = "two",
						    .issuer = ca,
						    .sans = {TLS_SAN("DNS:new.example")},
						    .from_s = -DAY,
						    .until_s = 91 * DAY});
	one_pem = tls_cert_pem(one);
	one_key = tls_cert_key_pem(one);
	two_pem = tls_cert_pem(two);
	two_key = tls_cert_key_pem(two);
	ca_pem = tls_cert_pem(ca);
	fixture_open(&f);
}

static void
teardown(void)
{
	if (f.dp_on)
		CU_ASSERT(f.dp.bad == 0);
	fixture_close(&f);
	free(one_pem);
	free(one_key);
	free(two_pem);
	free(two_key);
	free(ca_pem);
	tls_cert_free(one);
	tls_cert_free(two);
	tls_cert_free(ca);
}

static void
link_up(uint64_t boot)
{
	fixture_dp_start(&f, boot);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

static json_t *
pair(const char *op, const char *name, const char *cert, const char *key)
{
	return fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:s, s:s}", "verb", "cert", "op", op,
					 "name", name, "cert", cert, "key", key));
}

static json_t *
bundle(const char *op, const char *name)
{
	return fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:s}", "verb", "cert", "op", op, "name",
					 name, "ca", ca_pem));
}

static json_t *
named(const char *op, const char *name)
{
	return fixture_ask(&f,
			   json_pack("{s:s, s:s, s:s}", "verb", "cert", "op", op, "name", name));
}

static json_t *
tickets(const char *op, const char *keys)
{
	return fixture_ask(
		&f, json_pack("{s:s, s:s, s:s*}", "verb", "tickets", "op", op, "keys", keys));
}

static const char *
error_text(json_t *a)
{
	return answer_text(json_object_get(a, "error"), "text");
}

static void
is_ok(json_t *a)
{
	CU_ASSERT(answer_ok(a));
	if (!answer_ok(a))
		printf("  %s: %s\n", answer_code(a), error_text(a));
	json_decref(a);
}

static void
is_error(json_t *a, const char *code, const char *text)
{
	CU_ASSERT_STRING_EQUAL(answer_code(a), code);
	CU_ASSERT_PTR_NOT_NULL(strstr(error_text(a), text));
	if (!strstr(error_text(a), text))
		printf("  %s: %s\n", answer_code(a), error_text(a));
	json_decref(a);
}

/* The subject of what the daemon says it has. */
static bool
has(const char *name, const char *subject)
{
	const struct sl_cert_entry *e = sl_certs_find(sl_secrets_certs(f.daemon.secrets), name);
	return e && strcmp(e->info.lines[0].subject, subject) == 0;
}

static void
file_of(const char *name, char path[1200])
{
	snprintf(path, 1200, "%s/certs/%s", f.conf.state_dir, name);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;
	return stat(path, &st) ? 0 : st.st_mode & 07777;
}

/* ---- the store ---- */

static void
certificates_survive_a_restart(void)
{
	char path[1200];

	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	is_ok(bundle("add", "mesh"));
	file_of("shop.pair", path);
	CU_ASSERT(mode_of(path) == 0600);
	file_of("", path);
	CU_ASSERT(mode_of(path) == 0700);
	snprintf(path, sizeof(path), "%s/tickets", f.conf.state_dir);
	CU_ASSERT(mode_of(path) == 0600);
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	CU_ASSERT(has("shop", "CN=one") && has("mesh", "CN=mesh-ca"));
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "cert", "op", "list"));
	json_t *rows = json_object_get(a, "certificates"), *shop = json_array_get(rows, 1);
	CU_ASSERT(json_array_size(rows) == 2);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(rows, 0), "kind"), "bundle");
	CU_ASSERT_STRING_EQUAL(answer_text(shop, "kind"), "pair");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(shop, "names"), 0)),
			       "DNS:shop.example");
	CU_ASSERT_STRING_EQUAL(answer_text(shop, "issuer"), "CN=mesh-ca");
	CU_ASSERT_STRING_EQUAL(answer_text(shop, "state"), "ok");
	CU_ASSERT(answer_int(shop, "days_left") >= 89 && answer_int(shop, "days_left") <= 90);
	json_decref(a);
	a = named("show", "shop");
	json_t *chain = json_object_get(json_object_get(a, "certificate"), "chain");
	CU_ASSERT(json_array_size(chain) == 1);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(chain, 0), "key"), "EC P-256");
	json_decref(a);
	teardown();
}

static bool
noted(const char *text)
{
	for (unsigned i = 0; i < f.daemon.notes.cnt; i++)
		if (strstr(f.daemon.notes.items[i].text, text))
			return true;
	return false;
}

static void
flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t b = 0;

	CU_ASSERT_FATAL(fd >= 0 && pread(fd, &b, 1, at) == 1);
	b ^= 0x40;
	CU_ASSERT(pwrite(fd, &b, 1, at) == 1);
	close(fd);
}

static void
a_damaged_file_is_told_of_and_never_sent(void)
{
	char path[1200];
	struct stat st;

	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	is_ok(bundle("add", "mesh"));
	file_of("shop.pair", path);
	CU_ASSERT_FATAL(stat(path, &st) == 0);
	/* every seventh byte, and the file cut off */
	for (off_t at = 0; at <= st.st_size; at += 7) {
		struct sl_diag notes = {0};
		struct sl_certs *c;
		bool cut = at + 7 > st.st_size;
		if (!cut)
			flip(path, at);
		CU_ASSERT(!cut || truncate(path, st.st_size - 1) == 0);
		CU_ASSERT_FATAL(sl_certs_create(f.conf.state_dir, &notes, &c) == 0);
		CU_ASSERT(!sl_certs_find(c, "shop") && sl_certs_find(c, "mesh") && notes.cnt > 0);
		sl_certs_destroy(c);
		sl_diag_fini(&notes);
		if (!cut)
			flip(path, at);
	}
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	CU_ASSERT(noted("damaged") && noted("certificate shop is not there"));
	link_up(1);
	is_ok(bundle("replace", "mesh")); /* all that was sent before has come */
	CU_ASSERT(double_secret(&f.dp, "mesh") && !double_secret(&f.dp, "shop"));
	is_ok(pair("add", "shop", one_pem, one_key)); /* and mends it */
	CU_ASSERT(double_secret(&f.dp, "shop") != NULL);
	teardown();
}

static void
a_file_damaged_while_we_run_is_not_sent_either(void)
{
	char path[1200];

	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	file_of("shop.pair", path);
	flip(path, 300);
	link_up(1);
	is_ok(bundle("add", "mesh"));
	CU_ASSERT(!double_secret(&f.dp, "shop") && double_secret(&f.dp, "tickets"));
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	json_t *notes = json_object_get(json_object_get(a, "daemon"), "notes");
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_array_get(notes, 0)), "shop"));
	json_decref(a);
	teardown();
}

static void
what_was_not_finished_is_taken_away(void)
{
	char path[1200];
	struct sl_cert_made m;

	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	CU_ASSERT_FATAL(sl_cert_check_pair(two_pem, strlen(two_pem), two_key, strlen(two_key),
					   time(NULL), NULL, &m) == 0);
	struct sl_certs *c = sl_secrets_certs(f.daemon.secrets);
	CU_ASSERT(sl_certs_stage(c, "shop", &m, 1, NULL) == 0);
	sl_cert_made_fini(&m);
	file_of("shop.pair.new", path);
	CU_ASSERT(mode_of(path) == 0600);
	fixture_daemon_stop(&f); /* as if the power had been cut */
	fixture_daemon_start(&f);
	CU_ASSERT(access(path, F_OK) != 0 && has("shop", "CN=one"));
	teardown();
}

/* ---- the verbs ---- */

static void
verbs_refuse_what_makes_no_sense(void)
{
	setup();
	is_error(named("replace", "shop"), "invalid", "needs cert and key");
	is_error(pair("replace", "shop", one_pem, one_key), "not_found",
		 "no certificate or bundle");
	is_error(named("remove", "shop"), "not_found", "no certificate or bundle");
	is_error(named("show", "shop"), "not_found", "no certificate or bundle");
	is_error(named("fly", "shop"), "invalid", "is none");
	is_error(pair("remove", "shop", one_pem, one_key), "invalid", "not allowed with remove");
	is_ok(pair("add", "shop", one_pem, one_key));
	is_error(pair("add", "shop", one_pem, one_key), "exists", "there is a pair shop");
	is_error(bundle("add", "shop"), "exists", "there is a pair shop");
	is_error(bundle("replace", "shop"), "invalid", "shop is a pair");
	is_error(pair("replace", "shop", one_pem, two_key), "config", "1 problem");
	is_error(pair("add", "x", two_pem, one_pem), "config", "problem");
	is_error(fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", "cert", "op", "add", "cert",
					   "x")),
		 "invalid", "needs cert and key");
	CU_ASSERT(has("shop", "CN=one"));
	json_t *a = pair("add", "twin", one_pem, one_key);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_text(json_array_get(json_object_get(a, "warnings"), 0), "text"),
		       "shop, too"));
	json_decref(a);
	is_ok(named("remove", "twin"));
	CU_ASSERT(!has("twin", "CN=one"));
	teardown();
}

static void
check_stores_nothing(void)
{
	setup();
	link_up(1);
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:s}", "verb", "cert", "op", "check",
					      "cert", one_pem, "key", one_key));
	CU_ASSERT(answer_ok(a));
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "certificate"), "subject"), "CN=one");
	json_decref(a);
	is_ok(bundle("add", "mesh"));
	CU_ASSERT(f.dp.keep_cnt == 2 && !has("shop", "CN=one")); /* and the ticket keys */
	teardown();
}

/* ---- towards the dataplane ---- */

static bool
got_two(struct fixture *fx)
{
	return fx->dp.secrets >= 3;
}

static bool
offered(struct fixture *fx)
{
	return fx->dp.offers > 0;
}

static void
secrets_come_before_the_offer(void)
{
	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	is_ok(bundle("add", "mesh"));
	json_decref(fixture_push(&f, 2));
	link_up(1);
	CU_ASSERT(fixture_wait(&f, offered));
	CU_ASSERT(f.dp.offers == 1 && f.dp.secrets_at_offer == 3);
	CU_ASSERT(fixture_wait(&f, got_two));
	const struct double_secret *s = double_secret(&f.dp, "shop");
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT(s->kind == SL_SECRET_PAIR && s->parts == 2);
	s = double_secret(&f.dp, "mesh");
	CU_ASSERT(s && s->kind == SL_SECRET_TRUST && s->parts == 1);
	s = double_secret(&f.dp, "tickets");
	CU_ASSERT(s && s->kind == SL_SECRET_TICKETS && s->parts == 1);
	/* and another dataplane gets them again */
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, fixture_unlinked));
	link_up(2);
	CU_ASSERT(fixture_wait(&f, got_two));
	CU_ASSERT(double_secret(&f.dp, "shop") && double_secret(&f.dp, "mesh"));
	teardown();
}

static void
a_change_goes_to_the_dataplane_at_once(void)
{
	setup();
	link_up(1);
	json_t *a = pair("add", "shop", one_pem, one_key);
	CU_ASSERT(answer_ok(a) && json_is_true(json_object_get(a, "sent")));
	json_decref(a);
	const struct double_secret *s = double_secret(&f.dp, "shop");
	CU_ASSERT_FATAL(s != NULL);
	struct sl_obj_id first = s->sum;
	is_ok(pair("replace", "shop", two_pem, two_key));
	CU_ASSERT(memcmp(&first, &double_secret(&f.dp, "shop")->sum, sizeof(first)) != 0);
	is_ok(named("remove", "shop"));
	CU_ASSERT(f.dp.forgets == 1 && !double_secret(&f.dp, "shop"));
	teardown();
}

static void
what_the_dataplane_refuses_is_not_kept(void)
{
	setup();
	link_up(1);
	is_ok(pair("add", "shop", one_pem, one_key));
	struct sl_obj_id first = double_secret(&f.dp, "shop")->sum;
	f.dp.secret_held = true; /* as when it holds what it cannot use */
	f.dp.secret_error = ENOSPC;
	is_error(pair("replace", "shop", two_pem, two_key), "refused", "the double says no");
	is_error(bundle("add", "later"), "refused", "the double says no");
	CU_ASSERT(memcmp(&first, &double_secret(&f.dp, "shop")->sum, sizeof(first)) == 0);
	is_error(pair("add", "other", two_pem, two_key), "refused", "the double says no");
	is_error(named("remove", "shop"), "refused", "the double says no");
	CU_ASSERT(has("shop", "CN=one") && !has("other", "CN=two"));
	f.dp.secret_error = 0;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	CU_ASSERT(has("shop", "CN=one") && !has("other", "CN=two"));
	teardown();
}

static void
a_dataplane_that_goes_in_between_gets_the_old_one_again(void)
{
	setup();
	link_up(1);
	is_ok(pair("add", "shop", one_pem, one_key));
	struct sl_obj_id first = double_secret(&f.dp, "shop")->sum;
	f.dp.leave_on_secret = true;
	is_error(pair("replace", "shop", two_pem, two_key), "unavailable", "went away");
	CU_ASSERT(has("shop", "CN=one"));
	f.dp.secrets = 0;
	CU_ASSERT(fixture_wait(&f, fixture_linked));
	is_ok(bundle("add", "mesh"));
	CU_ASSERT(memcmp(&first, &double_secret(&f.dp, "shop")->sum, sizeof(first)) == 0);
	is_ok(pair("replace", "shop", two_pem, two_key));
	CU_ASSERT(has("shop", "CN=two"));
	teardown();
}

static bool
forgotten(struct fixture *fx)
{
	return fx->dp.forgets > 0;
}

/* Where the file should go there is a directory. */
static void
what_the_disk_refuses_is_taken_back_from_the_dataplane(void)
{
	char path[1200], staged[1200];

	setup();
	link_up(1);
	file_of("shop.pair", path);
	CU_ASSERT_FATAL(mkdir(path, 0700) == 0);
	is_error(pair("add", "shop", one_pem, one_key), "internal", "cannot take its place");
	CU_ASSERT(!has("shop", "CN=one"));
	CU_ASSERT(fixture_wait(&f, forgotten) && !double_secret(&f.dp, "shop"));
	rmdir(path);
	file_of("shop.pair.new", staged);
	CU_ASSERT(access(staged, F_OK) != 0);
	CU_ASSERT_FATAL(mkdir(staged, 0700) == 0);
	unsigned before = f.dp.secrets;
	is_error(pair("add", "shop", one_pem, one_key), "internal", "cannot create");
	CU_ASSERT(f.dp.secrets == before);
	rmdir(staged);
	is_ok(pair("add", "shop", one_pem, one_key));
	teardown();
}

/* Nobody who does not use TLS is to be troubled by it. */
static void
without_certificates_a_dataplane_without_tls_is_no_matter(void)
{
	setup();
	fixture_dp_start(&f, 1);
	f.dp.no_tls = true;
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2)); /* what was sent before it is answered */
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	CU_ASSERT(f.dp.secrets == 1 &&
		  json_array_size(json_object_get(json_object_get(a, "daemon"), "notes")) == 0);
	json_decref(a);
	teardown();
}

static bool
answered(struct fixture *fx)
{
	return fx->dp.secrets >= 1;
}

static void
a_dataplane_without_tls_is_said_once(void)
{
	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	fixture_dp_start(&f, 1);
	f.dp.no_tls = true;
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(fixture_wait(&f, answered));
	is_error(pair("add", "other", two_pem, two_key), "refused", "the double says no");
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	json_t *notes = json_object_get(json_object_get(a, "daemon"), "notes");
	CU_ASSERT(json_array_size(notes) == 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(json_string_value(json_array_get(notes, 0)), "does not take 2 secrets"));
	json_decref(a);
	is_ok(named("remove", "shop")); /* what it does not hold need not be forgotten */
	teardown();
}

static bool
all_there(struct fixture *fx)
{
	return fx->dp.keep_cnt == 301;
}

/* Each secret is a descriptor, for as long as it is under way. */
static void
more_secrets_than_descriptors_arrive(void)
{
	struct rlimit old, few;
	char name[32];
	struct sl_cert_made m;

	setup();
	for (int i = 0; i < 300; i++) {
		CU_ASSERT_FATAL(sl_cert_check_pair(one_pem, strlen(one_pem), one_key,
						   strlen(one_key), time(NULL), NULL, &m) == 0);
		snprintf(name, sizeof(name), "c-%03d", i);
		struct sl_certs *c = sl_secrets_certs(f.daemon.secrets);
		CU_ASSERT_FATAL(sl_certs_stage(c, name, &m, 1, NULL) == 0 &&
				sl_certs_commit(c, name, &m, 1, NULL) == 0);
		sl_cert_made_fini(&m);
	}
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 64;
	fixture_dp_start(&f, 1);
	setrlimit(RLIMIT_NOFILE, &few);
	CU_ASSERT(fixture_wait(&f, all_there));
	setrlimit(RLIMIT_NOFILE, &old);
	teardown();
}

/* ---- tables ---- */

static json_t *
push_tls(const char *certs, const char *trust)
{
	char *text = NULL;

	if (asprintf(&text,
		     "gateway = { name = \"edge\"; };\n"
		     "network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } "
		     "); };\n"
		     "services = ( { name = \"web\"; forward = \"proxy\";\n"
		     "  endpoints = ( { name = \"web-1\"; address = \"192.0.2.11\"; port = 80; } "
		     "); } );\n"
		     "listeners = ( { name = \"web-443\"; address = \"203.0.113.10\"; port = 443;\n"
		     "  protocol = \"tcp\"; mode = \"tcp\"; service = \"web\";\n"
		     "  tls = { certificates = ( %s ); %s }; } );\n",
		     certs, trust) < 0)
		abort();
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));
	free(text);
	return a;
}

static void
a_table_that_names_what_there_is_not_is_refused_before_the_offer(void)
{
	setup();
	link_up(1);
	json_t *a = push_tls("\"shop\", \"mesh\"", "client = \"required\"; trust = ( \"mesh\" );");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	json_t *p = json_object_get(a, "problems");
	CU_ASSERT(json_array_size(p) == 3 && f.dp.offers == 0);
	json_t *first = json_array_get(p, 0);
	CU_ASSERT_STRING_EQUAL(answer_text(first, "text"), "there is no certificate \"shop\"");
	CU_ASSERT_STRING_EQUAL(answer_text(first, "hint"),
			       "sluicectl cert add shop --cert FILE --key FILE");
	CU_ASSERT_STRING_EQUAL(answer_text(first, "path"), "listeners[0].tls.certificates[0]");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(p, 2), "hint"),
			       "sluicectl cert add mesh --ca FILE");
	json_decref(a);
	is_ok(bundle("add", "mesh"));
	is_ok(pair("add", "shop", one_pem, one_key));
	a = push_tls("\"shop\", \"mesh\"", "client = \"required\"; trust = ( \"mesh\" );");
	p = json_object_get(a, "problems");
	CU_ASSERT(json_array_size(p) == 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_text(json_array_get(p, 0), "text"), "is a bundle of CAs"));
	json_decref(a);
	a = push_tls("\"shop\"", "client = \"required\"; trust = ( \"mesh\" );");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "generations"));
	CU_ASSERT_STRING_EQUAL(
		answer_text(json_array_get(json_object_get(a, "generations"), 1), "state"),
		"refused");
	json_decref(a);
	teardown();
}

/* Who looks beforehand is told, and not refused: the certificate may still come. */
static void
diff_warns_of_what_there_is_not(void)
{
	static const char text[] =
		"gateway = { name = \"edge\"; }; services = ( { name = \"web\"; forward = "
		"\"proxy\"; } );"
		"listeners = ( { name = \"l\"; address = \"203.0.113.10\"; port = 443; protocol = "
		"\"tcp\";"
		" mode = \"tcp\"; service = \"web\"; tls = { certificates = ( \"shop\" ); }; } );";

	setup();
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "diff", "file", "t.conf", "text", text));
	CU_ASSERT(answer_ok(a));
	json_t *w = json_object_get(a, "warnings");
	CU_ASSERT(json_array_size(w) == 1);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(w, 0), "text"),
			       "there is no certificate \"shop\"");
	json_decref(a);
	teardown();
}

static void
without_a_dataplane_such_a_table_is_refused_too(void)
{
	setup();
	is_error(push_tls("\"shop\"", ""), "config", "1 problem");
	CU_ASSERT(sl_tables_next(f.daemon.tables) == NULL);
	json_decref(fixture_push(&f, 2));
	is_error(push_tls("\"shop\"", ""), "config", "1 problem");
	const struct sl_table *next = sl_tables_next(f.daemon.tables);
	CU_ASSERT(next && next->conf->listener_cnt == 1 && next->number == 2); /* the good one */
	teardown();
}

static void
what_a_table_uses_cannot_be_removed(void)
{
	setup();
	is_ok(pair("add", "shop", one_pem, one_key));
	json_t *a = push_tls("\"shop\"", "");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	is_error(named("remove", "shop"), "in_use", "used by listener web-443");
	link_up(1);
	is_ok(bundle("add", "mesh"));
	is_error(named("remove", "shop"), "in_use", "used by listener web-443");
	a = named("show", "shop");
	json_t *users = json_object_get(json_object_get(a, "certificate"), "used_by");
	CU_ASSERT(json_array_size(users) == 1);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(users, 0), "name"), "web-443");
	json_decref(a);
	is_ok(pair("replace", "shop", two_pem, two_key)); /* that is how it is renewed */
	json_decref(fixture_push(&f, 2));
	is_ok(named("remove", "shop"));
	teardown();
}

/* ---- ticket keys ---- */

static json_t *
keys_of(json_t *a)
{
	return json_object_get(json_object_get(a, "tickets"), "keys");
}

static void
own_ticket_keys_rotate_and_the_last_three_stay(void)
{
	char names[5][40];

	setup();
	link_up(1);
	for (int i = 0; i < 5; i++) {
		json_t *a = tickets("rotate", NULL);
		CU_ASSERT(json_array_size(keys_of(a)) == (size_t)SL_MIN(i + 2, 3));
		snprintf(names[i], sizeof(names[i]), "%s",
			 answer_text(json_array_get(keys_of(a), 0), "name"));
		json_decref(a);
	}
	CU_ASSERT(double_secret(&f.dp, "tickets")->parts == 3);
	const struct sl_ticket_key *k =
		(const void *)(f.dp.last + sizeof(struct sl_secret_head) + 3 * sizeof(uint32_t));
	for (int i = 0; i < 3; i++) {
		char hex[33];
		for (int b = 0; b < 16; b++)
			snprintf(hex + 2 * b, 3, "%02x", k[i].name[b]);
		CU_ASSERT_STRING_EQUAL(hex, names[4 - i]);
	}
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	json_t *a = tickets("show", NULL);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(keys_of(a), 0), "name"), names[4]);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(keys_of(a), 2), "name"), names[2]);
	json_decref(a);
	teardown();
}

static void
time_rotates_own_keys_and_no_installed_ones(void)
{
	struct sl_tickets_row row[SL_TICKET_KEYS];
	char first[33], hex[321];
	int64_t now = sl_daemon_wall_ms();

	setup();
	struct sl_tickets *t = sl_secrets_tickets(f.daemon.secrets);
	sl_tickets_rows(t, row);
	memcpy(first, row[0].name, sizeof(first));
	sl_secrets_tick(f.daemon.secrets, now + 11 * 3600000);
	CU_ASSERT(sl_tickets_rows(t, row) == 1 && strcmp(row[0].name, first) == 0);
	sl_secrets_tick(f.daemon.secrets, now + 13 * 3600000);
	CU_ASSERT(sl_tickets_rows(t, row) == 2 && strcmp(row[1].name, first) == 0);

	struct sl_ticket_key k[2] = {tls_ticket_key(1), tls_ticket_key(2)};
	for (int i = 0; i < 160; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)k)[i]);
	is_ok(tickets("install", hex));
	CU_ASSERT(sl_tickets_rows(t, row) == 2 && sl_tickets_installed(t));
	sl_secrets_tick(f.daemon.secrets, now + 400ll * 3600000);
	CU_ASSERT(sl_tickets_rows(t, row) == 2 && sl_tickets_installed(t));
	is_error(tickets("rotate", NULL), "refused", "were installed");
	is_ok(tickets("own", NULL));
	CU_ASSERT(sl_tickets_rows(t, row) == 3 && !sl_tickets_installed(t));
	teardown();
}

static bool
rotated(struct fixture *fx)
{
	struct sl_tickets_row row[SL_TICKET_KEYS];

	return sl_tickets_rows(sl_secrets_tickets(fx->daemon.secrets), row) == 2;
}

static void
time_rotates_them_beside_a_dataplane_without_tls(void)
{
	setup();
	fixture_dp_start(&f, 1);
	f.dp.no_tls = true;
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	sl_secrets_tick(f.daemon.secrets, sl_daemon_wall_ms() + 13 * 3600000);
	CU_ASSERT(fixture_wait(&f, rotated));
	teardown();
}

static bool
two_secrets(struct fixture *fx)
{
	return fx->dp.secrets >= 2;
}

/* Nobody hears the answer any more, and nothing is half done. */
static void
a_daemon_that_ends_in_between_keeps_the_old_one(void)
{
	setup();
	link_up(1);
	is_ok(bundle("add", "mesh"));
	json_t *ask = json_pack("{s:s, s:s, s:s, s:s, s:s}", "verb", "cert", "op", "add", "name",
				"shop", "cert", one_pem, "key", one_key);
	char *text = json_dumps(ask, JSON_COMPACT);
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)strlen(text)};
	int sock = fixture_connect(&f);
	f.dp.secret_silent = true;
	f.dp.secrets = 1;
	CU_ASSERT(write(sock, &h, sizeof(h)) == sizeof(h) && write(sock, text, h.len) == h.len);
	CU_ASSERT(fixture_wait(&f, two_secrets));
	is_error(pair("add", "shop", one_pem, one_key), "busy", "under way");
	fixture_daemon_stop(&f);
	close(sock);
	json_decref(ask);
	free(text);
	fixture_daemon_start(&f);
	CU_ASSERT(has("mesh", "CN=mesh-ca") && !has("shop", "CN=one"));
	teardown();
}

static void
wrong_ticket_keys_are_refused(void)
{
	char hex[2 * 80 * 9 + 1];

	setup();
	memset(hex, '1', sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = 0;
	is_error(tickets("install", hex), "refused", "not 1 to 8 keys"); /* nine */
	hex[2 * 80 * 2] = 0;
	is_error(tickets("install", hex), "refused", "same name");
	hex[2 * 80] = 0;
	hex[7] = 'x';
	is_error(tickets("install", hex), "refused", "not 1 to 8 keys");
	hex[7] = '1';
	hex[2 * 79] = 0;
	is_error(tickets("install", hex), "refused", "not 1 to 8 keys");
	memset(hex, '0', 160);
	hex[160] = 0;
	is_error(tickets("install", hex), "refused", "all zeros");
	is_error(tickets("install", NULL), "invalid", "keys: with install");
	is_error(tickets("show", "11"), "invalid", "keys: with install");
	is_error(tickets("dance", NULL), "invalid", "is none");
	link_up(1);
	f.dp.secret_error = EINVAL;
	struct sl_tickets_row before[SL_TICKET_KEYS], after[SL_TICKET_KEYS];
	sl_tickets_rows(sl_secrets_tickets(f.daemon.secrets), before);
	is_error(tickets("rotate", NULL), "refused", "the double says no");
	CU_ASSERT(sl_tickets_rows(sl_secrets_tickets(f.daemon.secrets), after) == 1);
	CU_ASSERT_STRING_EQUAL(before[0].name, after[0].name);
	f.dp.secret_error = 0;
	is_ok(tickets("rotate", NULL));
	teardown();
}

static void
damaged_ticket_keys_are_made_anew(void)
{
	char path[1200];

	setup();
	snprintf(path, sizeof(path), "%s/tickets", f.conf.state_dir);
	fixture_daemon_stop(&f);
	flip(path, 200);
	fixture_daemon_start(&f);
	CU_ASSERT(noted("damaged") && noted("made anew"));
	is_ok(tickets("rotate", NULL));
	teardown();
}

/* ---- what people are told ---- */

static void
what_expires_is_told(void)
{
	struct tls_cert *soon;
	char *pem, *key;

	setup();
	soon = tls_cert_make(&(struct tls_cert_spec){
		.cn = "soon", .issuer = ca, .sans = {TLS_SAN("DNS:a")}, .until_s = 3 * DAY + 3600});
	pem = tls_cert_pem(soon);
	key = tls_cert_key_pem(soon);
	json_t *a = pair("add", "soon", pem, key);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_text(json_array_get(json_object_get(a, "warnings"), 0), "text"),
		       "in 3 days"));
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "certificate"), "state"), "soon");
	json_decref(a);
	is_ok(pair("add", "shop", one_pem, one_key));
	a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	json_t *notes = json_object_get(json_object_get(a, "daemon"), "notes");
	CU_ASSERT(json_array_size(notes) == 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_array_get(notes, 0)),
				      "certificate soon expires in 3 days"));
	json_decref(a);
	free(pem);
	free(key);
	tls_cert_free(soon);
	teardown();
}

/* ---- secrecy ---- */

static char seen[4 << 20]; /* all that was said */
static size_t seen_len;

static void
see(const void *bytes, size_t n)
{
	n = SL_MIN(n, sizeof(seen) - seen_len);
	memcpy(seen + seen_len, bytes, n);
	seen_len += n;
}

static void
see_answer(json_t *a)
{
	char *text = json_dumps(a, 0);

	see(text ? text : "", text ? strlen(text) : 0);
	free(text);
	json_decref(a);
}

static void
see_file(const char *path)
{
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;

	see(buf, n > 0 ? (size_t)n : 0);
	if (fd >= 0)
		close(fd);
}

/* Any 12 letters of the key's text, and any 8 bytes of its private half, raw or as hex. */
static bool
leaked(const char *pem, EVP_PKEY *key)
{
	uint8_t priv[64];
	size_t len = 0;
	char hex[17];
	BIGNUM *d = NULL;

	for (const char *at = strchr(pem, '\n'); at && strncmp(at, "\n-----END", 9); at++)
		if (memchr(at, '\n', 12) == NULL && memmem(seen, seen_len, at, 12))
			return true;
	EVP_PKEY_get_bn_param(key, "priv", &d);
	len = (size_t)BN_bn2bin(d, priv);
	BN_free(d);
	for (size_t i = 0; i + 8 <= len; i++) {
		for (int b = 0; b < 8; b++)
			snprintf(hex + 2 * b, 3, "%02x", priv[i + (size_t)b]);
		if (memmem(seen, seen_len, priv + i, 8) || memmem(seen, seen_len, hex, 16))
			return true;
	}
	return len == 0;
}

static json_t *
malformed(void)
{
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, 0};
	char frame[8192];
	int n = snprintf(frame + sizeof(h), sizeof(frame) - sizeof(h),
			 "{\"verb\": \"cert\", \"key\": %s}", strchr(one_key, '\n') + 1);
	int sock = fixture_connect(&f);

	h.len = (uint32_t)n;
	memcpy(frame, &h, sizeof(h));
	json_t *a = fixture_exchange(&f, sock, frame, sizeof(h) + (size_t)n);
	close(sock);
	return a;
}

static void
no_byte_of_a_key_stands_in_answers_logs_or_the_audit_log(void)
{
	char log[1200], path[1300];
	int keep = dup(STDERR_FILENO);

	setup();
	snprintf(log, sizeof(log), "%s/log", f.dir);
	int to = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fflush(stderr);
	dup2(to, STDERR_FILENO);
	close(to);
	link_up(1);
	see_answer(pair("add", "shop", one_pem, one_key));
	see_answer(pair("add", "shop", one_pem, one_key));
	see_answer(pair("replace", "shop", two_pem, one_key));
	see_answer(pair("replace", "shop", one_key, one_key));
	see_answer(pair("replace", "shop", one_key, one_pem));
	see_answer(pair("remove", "shop", one_pem, one_key));
	see_answer(pair(one_key, "shop", one_pem, one_key));
	see_answer(pair("add", one_key, one_pem, one_key));
	see_answer(fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:s}", "verb", "cert", "op", "check",
					     "cert", one_pem, "key", one_key)));
	see_answer(fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:s}", "verb", "cert", "op", "add",
					     "name", "x", "ca", one_key)));
	see_answer(fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "cert", "op", "list", "key", one_key)));
	see_answer(fixture_ask(
		&f, json_pack("{s:s, s:s, s:i}", "verb", "cert", "op", "list", "key", 7)));
	see_answer(malformed());
	f.dp.secret_error = EINVAL;
	see_answer(pair("replace", "shop", one_pem, one_key));
	f.dp.secret_error = 0;
	f.dp.leave_on_secret = true;
	see_answer(pair("replace", "shop", one_pem, one_key));
	CU_ASSERT(fixture_wait(&f, fixture_linked));
	see_answer(named("show", "shop"));
	see_answer(tickets("show", NULL));
	see_answer(tickets("install", one_key));
	see_answer(fixture_ask(&f, json_pack("{s:s}", "verb", "status")));
	see_answer(fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit")));
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	see_file(log);
	see_file(f.conf.audit_log);
	CU_ASSERT(seen_len > 4000 && memmem(seen, seen_len, "does not belong", 15));
	CU_ASSERT(memmem(seen, seen_len, "dataplane: connected", 20) != NULL);
	CU_ASSERT(!leaked(one_key, one->key));
	/* the search finds one where it is */
	file_of("shop.pair", path);
	see_file(path);
	CU_ASSERT(leaked(one_key, one->key));
	teardown();
}

SL_SUITE("certs", SL_TEST(certificates_survive_a_restart),
	 SL_TEST(a_damaged_file_is_told_of_and_never_sent),
	 SL_TEST(a_file_damaged_while_we_run_is_not_sent_either),
	 SL_TEST(what_was_not_finished_is_taken_away), SL_TEST(verbs_refuse_what_makes_no_sense),
	 SL_TEST(check_stores_nothing), SL_TEST(secrets_come_before_the_offer),
	 SL_TEST(a_change_goes_to_the_dataplane_at_once),
	 SL_TEST(what_the_dataplane_refuses_is_not_kept),
	 SL_TEST(a_dataplane_that_goes_in_between_gets_the_old_one_again),
	 SL_TEST(what_the_disk_refuses_is_taken_back_from_the_dataplane),
	 SL_TEST(a_dataplane_without_tls_is_said_once),
	 SL_TEST(without_certificates_a_dataplane_without_tls_is_no_matter),
	 SL_TEST(more_secrets_than_descriptors_arrive),
	 SL_TEST(a_table_that_names_what_there_is_not_is_refused_before_the_offer),
	 SL_TEST(diff_warns_of_what_there_is_not),
	 SL_TEST(without_a_dataplane_such_a_table_is_refused_too),
	 SL_TEST(what_a_table_uses_cannot_be_removed),
	 SL_TEST(own_ticket_keys_rotate_and_the_last_three_stay),
	 SL_TEST(time_rotates_own_keys_and_no_installed_ones),
	 SL_TEST(time_rotates_them_beside_a_dataplane_without_tls),
	 SL_TEST(a_daemon_that_ends_in_between_keeps_the_old_one),
	 SL_TEST(wrong_ticket_keys_are_refused), SL_TEST(damaged_ticket_keys_are_made_anew),
	 SL_TEST(what_expires_is_told),
	 SL_TEST(no_byte_of_a_key_stands_in_answers_logs_or_the_audit_log))

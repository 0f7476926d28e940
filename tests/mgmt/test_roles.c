#include "mgmt/daemon_conf.h"
#include "mgmt/roles.h"
#include "tests/suite.h"

#include <errno.h>
#include <sys/socket.h>

static void
the_strongest_row_counts(void)
{
	struct sl_role_row rows[] = {
		{SL_ROLE_VIEWER, false, 1000},
		{SL_ROLE_OPERATOR, true, 50},
		{SL_ROLE_VIEWER, true, 51},
		{SL_ROLE_ADMIN, false, 1002},
	};
	struct sl_roles r = {rows, 4};
	static const struct {
		uid_t uid;
		gid_t gid[2];
		enum sl_role want;
		const char *why;
	} row[] = {
		{0, {0, 0}, SL_ROLE_ADMIN, "root"},
		{77, {0, 0}, SL_ROLE_ADMIN, "the daemon itself"},
		{1000, {9, 9}, SL_ROLE_VIEWER, "by uid"},
		{1000, {9, 50}, SL_ROLE_OPERATOR, "the group gives more"},
		{1001, {51, 9}, SL_ROLE_VIEWER, "by group"},
		{1002, {51, 50}, SL_ROLE_ADMIN, "by uid, groups give less"},
		{50, {9, 9}, SL_ROLE_NONE, "a gid is no uid"},
		{1003, {1000, 1002}, SL_ROLE_NONE, "a uid is no gid"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++)
		CU_ASSERT(sl_roles_of(&r, 77, row[i].uid, row[i].gid, 2) == row[i].want);
}

static void
names_become_numbers(void)
{
	struct sl_roles r = {0};

	CU_ASSERT(sl_roles_add(&r, SL_ROLE_VIEWER, "daemon") == 0);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "@root") == 0);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "1234") == 0);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "no-such-user") == -ENOENT);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "@no-such-group") == -ENOENT);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "12x") == -ENOENT);
	CU_ASSERT(sl_roles_add(&r, SL_ROLE_ADMIN, "4294967295") == -ENOENT);
	CU_ASSERT(r.cnt == 3 && !r.row[0].group && r.row[1].group && r.row[2].id == 1234);
	sl_roles_fini(&r);
}

static void
the_kernel_says_who_asks(void)
{
	struct sl_roles r = {0};
	struct sl_peer p;
	int s[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CU_ASSERT(sl_roles_peer(&r, s[0], &p) == 0);
	CU_ASSERT(p.uid == geteuid() && p.pid == getpid() && p.role == SL_ROLE_ADMIN);
	close(s[0]);
	close(s[1]);
	CU_ASSERT(sl_roles_peer(&r, s[0], &p) < 0);
}

static void
the_file_of_the_daemon_is_checked_whole(void)
{
	static const struct {
		const char *text;
		unsigned problems;
		const char *hint, *why;
	} row[] = {
		{"", 0, NULL, "all defaults"},
		{"metrics = \"\"; audit_log = \"\";", 0, NULL, "both off"},
		{"metrics = \"unix:/run/m\";", 0, NULL, "unix"},
		{"metrics = \"[::1]:9900\";", 0, NULL, "IPv6 loopback"},
		{"metrics = \"127.8.8.8:1\";", 0, NULL, "all of 127/8"},
		{"metrics = \"0.0.0.0:9900\";", 1, NULL, "not loopback"},
		{"metrics = \"192.0.2.1:9900\";", 1, NULL, "not loopback"},
		{"metrics = \"[::]:9900\";", 1, NULL, "not loopback"},
		{"metrics = \"127.0.0.1\";", 1, NULL, "no port"},
		{"metrics = \"127.0.0.1:0\";", 1, NULL, "port 0"},
		{"metrics = \"127.0.0.1:65536\";", 1, NULL, "port range"},
		{"metrics = \"127.0.0.1: 80\";", 1, NULL, "space"},
		{"metrics = \"::1:80\";", 1, NULL, "no brackets"},
		{"metrics = \"unix:m\";", 1, NULL, "relative"},
		{"metrics = 9900;", 1, NULL, "type"},
		{"state_dri = \"/x\";", 1, "state_dir", "unknown key"},
		{"roles = { admins = ( 1 ); };", 1, "admin", "unknown role"},
		{"roles = { admin = 1; };", 1, NULL, "no list"},
		{"roles = 7;", 1, NULL, "no group"},
		{"roles = { viewer = ( \"no-such-user\", -1, 1.5 ); };", 3, NULL, "each member"},
		{"roles = { viewer = ( \"daemon\", \"@root\", 1000 ); operator = [ 5 ]; };", 0,
		 NULL, "good"},
		{"api_socket = \"x\"; state_dir = \"\"; foo = 1;", 3, NULL, "all at once"},
		{"access_log = { file = \"/var/x\"; rotate_mb = 0; keep = 0; };", 0, NULL,
		 "all of it"},
		{"access_log = { file = \"\"; };", 0, NULL, "none"},
		{"access_log = { file = \"x\"; rotate_mb = -1; keep = 1001; };", 3, NULL, "each"},
		{"access_log = { file = 7; keep = \"5\"; rotate_mb = 1.5; };", 3, NULL, "types"},
		{"access_log = { rotate_kb = 5; };", 1, "rotate_mb", "unknown key"},
		{"access_log = \"/x\";", 1, NULL, "no group"},
		{"acess_log = { };", 1, "access_log", "unknown group"},
		{"tickets = { rotate = \"1m\"; }; core_dumps = true;", 0, NULL, "least"},
		{"tickets = { rotate = \"168h\"; };", 0, NULL, "most"},
		{"tickets = { rotate = \"59s\"; };", 1, "12h", "too often"},
		{"tickets = { rotate = \"169h\"; };", 1, "12h", "longer than tickets are good"},
		{"tickets = { rotate = \"12\"; };", 1, "12h", "no unit"},
		{"tickets = { rotate = 12; };", 1, "12h", "no text"},
		{"tickets = { rotat = \"1h\"; };", 1, "rotate", "unknown key"},
		{"announce = { };", 0, NULL, "all defaults"},
		{"announce = { bird_socket = \"/b\"; routes = \"/r\"; settle = \"500ms\"; };", 0,
		 NULL, "all keys"},
		{"announce = { settle = \"0s\"; };", 0, NULL, "none"},
		{"announce = { settle = \"60s\"; };", 0, NULL, "most"},
		{"announce = { settle = \"61s\"; };", 1, "1s", "too long"},
		{"announce = { settle = \"60001ms\"; };", 1, "1s", "too long"},
		{"announce = { settle = \"-1s\"; };", 1, "1s", "below nothing"},
		{"announce = { settle = \"1\"; };", 1, "1s", "no unit"},
		{"announce = { settle = 1; };", 1, "1s", "no text"},
		{"announce = { routes = \"bird.conf\"; };", 1, NULL, "relative"},
		{"announce = { setle = \"1s\"; };", 1, "settle", "unknown key"},
		{"announce = true;", 1, "settle", "no group"},
		{"tickets = \"1h\";", 1, "rotate", "no group"},
		{"core_dumps = 1;", 1, NULL, "no boolean"},
		{"core_dump = true;", 1, "core_dumps", "unknown key"},
		{"api_socket = \"/a\nb", 1, NULL, "syntax"},
		{"@include \"/etc/passwd\"", 1, NULL, "include"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_daemon_conf c;
		struct sl_diag diag = {0};
		int err = sl_daemon_conf_parse("f", row[i].text, strlen(row[i].text), &diag, &c);
		if (diag.cnt != row[i].problems)
			printf("  %s: %u problems\n", row[i].text, diag.cnt);
		CU_ASSERT(diag.cnt == row[i].problems);
		CU_ASSERT(err == (row[i].problems ? -EINVAL : 0));
		if (row[i].hint && diag.cnt)
			CU_ASSERT(diag.items[0].hint && strstr(diag.items[0].hint, row[i].hint));
		sl_diag_fini(&diag);
		sl_daemon_conf_fini(&c);
	}
}

SL_SUITE("roles", SL_TEST(the_strongest_row_counts), SL_TEST(names_become_numbers),
	 SL_TEST(the_kernel_says_who_asks), SL_TEST(the_file_of_the_daemon_is_checked_whole))

/* fixture — a daemon in a directory of its own, on the test's loop, and a client that asks it. */
#ifndef SL_TESTS_MGMT_FIXTURE_H
#define SL_TESTS_MGMT_FIXTURE_H

#include "mgmt/daemon.h"
#include "tests/mgmt/double.h"

struct fixture {
	uv_loop_t loop;
	struct sl_daemon_conf conf;
	struct sl_daemon daemon;
	struct double_dp dp;
	bool dp_on, daemon_on;
	char dir[64];
};

/* Makes the directory and starts the daemon without a dataplane; fails the process when it cannot. */
void fixture_open(struct fixture *f);
/* Ends both, removes the directory. */
void fixture_close(struct fixture *f);

void fixture_daemon_start(struct fixture *f);
void fixture_daemon_stop(struct fixture *f);
void fixture_dp_start(struct fixture *f, uint64_t boot_id);
void fixture_dp_stop(struct fixture *f);

/* Runs the loop until cond is true; false after 4 s. */
bool fixture_wait(struct fixture *f, bool (*cond)(struct fixture *f));
bool fixture_linked(struct fixture *f);
bool fixture_unlinked(struct fixture *f);

/* A connection of a client; what is read is up to the test. */
int fixture_connect(struct fixture *f);
/* Sends bytes and runs the loop until one answer has come (malloc'ed JSON), NULL: closed or 4 s. */
json_t *fixture_exchange(struct fixture *f, int sock, const void *bytes, size_t len);
/* One question on a connection of its own; request is taken over. */
json_t *fixture_ask(struct fixture *f, json_t *request);

/* Reading answers: "ok", "error.code" as text; "" when absent. */
bool answer_ok(json_t *a);
const char *answer_code(json_t *a);
json_int_t answer_int(json_t *a, const char *key);
const char *answer_text(json_t *a, const char *key);

/* A table with services web (endpoints web-1 … web-n) and listeners web-v4. */
char *fixture_table(unsigned endpoints, const char *service_keys);
json_t *fixture_push(struct fixture *f, unsigned endpoints);

#endif

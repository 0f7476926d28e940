/* From OFFER to VERDICT over a socket pair, with real objects; the test itself is the worker: it reports quiescent
 * states when it says so. */
#include "dataplane/publish.h"
#include "dataplane/shadow.h"
#include "tests/dataplane/image_build.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>

static const struct sl_test_endpoint eps[] = {{.addr = "10.0.0.11:80"}, {.addr = "10.0.0.12:80"}};
static const struct sl_test_endpoint more[] = {
	{.addr = "10.0.0.11:80"}, {.addr = "10.0.0.12:80"}, {.addr = "10.0.0.13:80"}};
static const struct sl_test_address addresses[] = {{"p0", "10.0.0.1/24"}, {0}};
static const struct sl_test_listener listeners[] = {{.addr = "203.0.113.10:80", .service = "web"},
						    {0}};
static const struct sl_test_service web[] = {{.name = "web", .endpoints = eps, .endpoint_cnt = 2},
					     {0}};
static const struct sl_test_service web3[] = {{.name = "web", .endpoints = more, .endpoint_cnt = 3},
					      {0}};

#define HOLD_NS (SL_CTL_HOLD_MS * 1000000ull)

struct rig {
	struct sl_lcore_shared shared;
	struct sl_publish *publish;
	struct sl_ctl_server *server;
	int sock;
	struct sl_test_image image[2]; /* two endpoints, three */
};

static int
no_explain(void *ctx, const struct sl_ctl_explain *ask, const char **ret_why)
{
	(void)ctx, (void)ask, (void)ret_why;
	return -1;
}

static int
no_flows(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region)
{
	(void)ctx, (void)ret_bytes, (void)ret_region;
	return -1;
}

static void
no_parked(void *ctx, uint64_t bytes, uint64_t region, int fd)
{
	(void)ctx, (void)bytes, (void)region;
	close(fd);
}

static void
no_upgrade(void *ctx, uint32_t seq)
{
	(void)ctx, (void)seq;
}

static int
no_secret(void *ctx, uint32_t kind, const char *name, const void *bytes, size_t n,
	  char ret_text[SL_CTL_WHY])
{
	(void)ctx, (void)kind, (void)name, (void)bytes, (void)n;
	ret_text[0] = 0;
	return -ENOTSUP;
}

static int
no_forget(void *ctx, uint32_t kind, const char *name, char ret_text[SL_CTL_WHY])
{
	(void)ctx, (void)kind, (void)name;
	ret_text[0] = 0;
	return -ENOTSUP;
}

static int
no_explain_http(void *ctx, const struct sl_ctl_explain_http *ask, const uint8_t *text,
		const char **ret_why)
{
	(void)ctx, (void)ask, (void)text, (void)ret_why;
	return -1;
}

static void
ctx_log(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

static void
no_log(const char *line)
{
	(void)line;
}

static struct rig *
rig_up(void)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	struct sl_view_ports ports = {.cnt = 2, .name = {"p0", "p1"}};
	struct sl_test_conf conf = {
		.addresses = addresses, .services = web, .listeners = listeners};
	int pair[2];

	memset(r, 0, sizeof(*r));
	sl_test_image_build(&conf, &r->image[0]);
	conf.services = web3;
	sl_test_image_build(&conf, &r->image[1]);
	sl_clock_init(&r->shared.clock, 2000000000, 0, NULL);
	r->shared.qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
	r->shared.worker_cnt = 1;
	rte_rcu_qsbr_init(r->shared.qsbr, 1);
	rte_rcu_qsbr_thread_register(r->shared.qsbr, 0);
	rte_rcu_qsbr_thread_online(r->shared.qsbr, 0);
	if (sl_publish_create(&ports, &r->shared, no_log, &r->publish))
		abort();
	struct sl_ctl_server_conf sc = {
		.state_fd = 0,
		.stats_fd = 0,
		.ops = {sl_publish_active, sl_publish_offer, sl_publish_object, sl_publish_drop,
			no_explain, no_explain_http, no_flows, no_parked, no_upgrade, no_secret,
			no_forget, NULL, NULL, sl_publish_shadow, ctx_log, r->publish},
	};
	if (sl_ctl_server_create(&sc, NULL, &r->server) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	sl_publish_attach(r->publish, r->server);
	sl_ctl_server_attach(r->server, pair[0]);
	r->sock = pair[1];
	return r;
}

static void
rig_down(struct rig *r)
{
	sl_ctl_server_destroy(r->server);
	sl_publish_destroy(r->publish);
	close(r->sock);
	free(r->shared.qsbr);
	sl_test_image_free(&r->image[0]);
	sl_test_image_free(&r->image[1]);
	free(r);
}

static _Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];

/* The next message when it is of that type; NULL when it is another or there is none. */
static void *
next(struct rig *r, enum sl_ctl_type type)
{
	int fds[2];
	unsigned cnt;
	long n = sl_ctl_recv(r->sock, buf, fds, &cnt);

	while (n > 0 && cnt > 0)
		close(fds[--cnt]);
	return n > 0 && ((struct sl_ctl_head *)buf)->type == type ? buf : NULL;
}

static bool
verdict(struct rig *r, uint64_t generation, enum sl_ctl_outcome outcome)
{
	const struct sl_ctl_verdict *v = next(r, SL_CTL_VERDICT);

	return v && v->generation == generation && v->outcome == outcome;
}

static void
send_fd(struct rig *r, void *msg, enum sl_ctl_type type, size_t bytes, const struct sl_object *o,
	bool sealed)
{
	int fd = -1;

	sl_ctl_init(msg, type, bytes, 1);
	if (o) {
		fd = memfd_create("object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0 || write(fd, o->bytes, o->size) != (ssize_t)o->size)
			abort();
		if (sealed)
			fcntl(fd, F_ADD_SEALS,
			      F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	}
	if (sl_ctl_send(r->sock, msg, bytes, &fd, o ? 1 : 0))
		abort();
	if (fd >= 0)
		close(fd);
	sl_ctl_server_turn(r->server);
}

static void
say_hello(struct rig *r)
{
	struct sl_ctl_hello m = {.image_version = SL_IMAGE_VERSION};

	send_fd(r, &m, SL_CTL_HELLO, sizeof(m), NULL, false);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WELCOME));
}

static void
offer_sample(struct rig *r, unsigned image, uint64_t generation, uint32_t sample_ppm)
{
	struct sl_ctl_offer m = {.generation = generation,
				 .root = r->image[image].root_id,
				 .sample_ppm = sample_ppm};

	send_fd(r, &m, SL_CTL_OFFER, sizeof(m), &r->image[image].root, true);
}

static void
offer(struct rig *r, unsigned image, uint64_t generation)
{
	offer_sample(r, image, generation, 0);
}

static void
object(struct rig *r, unsigned image, uint64_t generation, uint32_t ref, bool sealed)
{
	struct sl_ctl_object m = {.generation = generation, .ref = ref};

	send_fd(r, &m, SL_CTL_OBJECT, sizeof(m), &r->image[image].objs[ref], sealed);
}

/* All that is wanted of image; how many objects that was. */
static unsigned
give(struct rig *r, unsigned image, uint64_t generation)
{
	const struct sl_ctl_want *w = next(r, SL_CTL_WANT);

	CU_ASSERT_FATAL(w && w->generation == generation && w->cnt <= 8);
	unsigned cnt = w->cnt;
	uint32_t refs[8];
	memcpy(refs, w->ref, cnt * sizeof(refs[0]));
	for (unsigned i = 0; i < cnt; i++)
		object(r, image, generation, refs[i], true);
	return cnt;
}

/* Offers and sends what is wanted; how many objects that was. */
static unsigned
push(struct rig *r, unsigned image, uint64_t generation)
{
	offer(r, image, generation);
	return give(r, image, generation);
}

/* A turn of the worker. */
static const struct sl_view *
worker_turn(struct rig *r)
{
	const struct sl_view *v = atomic_load_explicit(&r->shared.view, memory_order_acquire);

	rte_rcu_qsbr_quiescent(r->shared.qsbr, 0);
	sl_publish_turn(r->publish);
	return v;
}

static void
first_push(struct rig *r)
{
	say_hello(r);
	CU_ASSERT_EQUAL(push(r, 0, 1), 3);
	worker_turn(r);
	CU_ASSERT_TRUE_FATAL(verdict(r, 1, SL_CTL_ACTIVE));
}

/* ---- claims ---- */

static void
active_is_said_only_after_the_worker_was_quiescent(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	CU_ASSERT_EQUAL(push(r, 0, 1), 3);
	CU_ASSERT_PTR_NOT_NULL(atomic_load(&r->shared.view));
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 1);
	CU_ASSERT_PTR_NULL(next(r, SL_CTL_VERDICT));
	CU_ASSERT_PTR_NOT_NULL(worker_turn(r));
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(((struct sl_ctl_verdict *)buf)->live, 1);
	CU_ASSERT_TRUE(((struct sl_ctl_verdict *)buf)->swap_ns > 0);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	CU_ASSERT_EQUAL(sl_publish_view(r->publish)->generation, 1);
	rig_down(r);
}

static void
a_sleeping_worker_is_not_waited_for(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	rte_rcu_qsbr_thread_offline(r->shared.qsbr, 0);
	push(r, 0, 1);
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_ACTIVE));
	rig_down(r);
}

static void
a_second_push_sends_only_what_changed(void)
{
	struct rig *r = rig_up();

	first_push(r);
	CU_ASSERT_EQUAL(push(r, 1, 2), 1); /* the service; network and listeners are held */
	CU_ASSERT_EQUAL(worker_turn(r)->generation, 2);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(((struct sl_ctl_verdict *)buf)->live, 1);
	rig_down(r);
}

static void
the_old_view_stays_while_a_worker_may_see_it_or_holds_it(void)
{
	struct rig *r = rig_up();

	first_push(r);
	struct sl_view *old = (struct sl_view *)(uintptr_t)sl_publish_view(r->publish);
	sl_view_pin(old, 0);
	push(r, 1, 2);
	CU_ASSERT_EQUAL(old->generation, 1); /* not quiescent yet: ASan would tell */
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(((struct sl_ctl_verdict *)buf)->live, 2);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 10);
	CU_ASSERT_EQUAL(old->generation, 1);
	sl_view_unpin(old, 0);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	rig_down(r);
}

static void
offering_the_active_root_is_active_at_once(void)
{
	struct rig *r = rig_up();

	first_push(r);
	offer(r, 0, 2);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	rig_down(r);
}

/* ---- what is tried ---- */

static void
shadow_op(struct rig *r, uint32_t op)
{
	struct sl_ctl_shadow m = {.op = op};

	send_fd(r, &m, SL_CTL_SHADOW, sizeof(m), NULL, false);
}

/* Image 1 as generation, all objects but the service held. */
static void
try(struct rig *r, uint64_t generation)
{
	offer_sample(r, 1, generation, 500000);
	const struct sl_ctl_want *w = next(r, SL_CTL_WANT);
	CU_ASSERT_FATAL(w && w->cnt == 1);
	object(r, 1, generation, w->ref[0], true);
	CU_ASSERT_TRUE(verdict(r, generation, SL_CTL_TRIED));
}

static bool
counts(struct rig *r, uint32_t running)
{
	const struct sl_ctl_shadow_counts *c = next(r, SL_CTL_SHADOW_COUNTS);

	return c && c->running == running && c->generation == 2 && c->sample_ppm == 500000;
}

static void
what_is_tried_is_seen_by_workers_and_never_active(void)
{
	struct rig *r = rig_up();

	first_push(r);
	try(r, 2);
	const struct sl_shadow *s = atomic_load(&r->shared.shadow);
	CU_ASSERT_FATAL(s && s->view->generation == 2 && s->view->services[0].endpoint_cnt == 3);
	CU_ASSERT_EQUAL(sl_publish_view(r->publish)->generation, 1);
	CU_ASSERT_EQUAL(worker_turn(r)->generation, 1);
	shadow_op(r, SL_SHADOW_ASK);
	CU_ASSERT(counts(r, 1));
	offer_sample(r, 0, 3, 1);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	CU_ASSERT_TRUE(verdict(r, 3, SL_CTL_REFUSED));
	/* an ordinary push of the same, meanwhile */
	offer(r, 1, 4);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 4, SL_CTL_ACTIVE));
	CU_ASSERT_PTR_EQUAL(atomic_load(&r->shared.shadow), s);
	shadow_op(r, SL_SHADOW_END);
	CU_ASSERT_PTR_NULL(atomic_load(&r->shared.shadow));
	CU_ASSERT_PTR_NULL(next(r, SL_CTL_SHADOW_COUNTS));
	CU_ASSERT_EQUAL(s->view->generation, 2); /* not quiescent yet: ASan would tell */
	worker_turn(r);
	CU_ASSERT(counts(r, 0));
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	shadow_op(r, SL_SHADOW_END);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	offer_sample(r, 0, 5, 1000000);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	rig_down(r);
}

static void
nothing_is_tried_beside_no_table(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	offer_sample(r, 1, 1, 1000000);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_REFUSED));
	CU_ASSERT_PTR_NULL(atomic_load(&r->shared.shadow));
	rig_down(r);
}

static void
what_is_tried_goes_with_the_daemon(void)
{
	struct rig *r = rig_up();

	first_push(r);
	try(r, 2);
	shutdown(r->sock, SHUT_RDWR);
	sl_ctl_server_turn(r->server);
	CU_ASSERT_PTR_NULL(atomic_load(&r->shared.shadow));
	worker_turn(r);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	CU_ASSERT_EQUAL(sl_publish_view(r->publish)->generation, 1);
	rig_down(r);
}

/* What is refused of it is refused as of any push. */
static void
a_bad_object_of_what_is_to_be_tried_is_refused(void)
{
	struct rig *r = rig_up();

	first_push(r);
	offer_sample(r, 1, 2, 1000000);
	const struct sl_ctl_want *w = next(r, SL_CTL_WANT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	object(r, 1, 2, w->ref[0], false);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));
	CU_ASSERT_PTR_NULL(atomic_load(&r->shared.shadow));
	rig_down(r);
}

static void
a_push_takes_the_place_of_what_is_tried_when_there_is_no_other(void)
{
	struct rig *r = rig_up();
	struct sl_view *held[2];

	first_push(r);
	for (unsigned i = 0; i < 2; i++) {
		held[i] = (struct sl_view *)(uintptr_t)sl_publish_view(r->publish);
		sl_view_pin(held[i], 0);
		push(r, 1 - i % 2, 2 + i);
		worker_turn(r);
		CU_ASSERT_TRUE(verdict(r, 2 + i, SL_CTL_ACTIVE));
	}
	offer_sample(r, 1, 4, 1000000);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	CU_ASSERT_TRUE(verdict(r, 4, SL_CTL_TRIED));
	rte_rcu_qsbr_thread_offline(r->shared.qsbr, 0);
	offer(r, 1, 5);
	CU_ASSERT_PTR_NULL(atomic_load(&r->shared.shadow));
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	CU_ASSERT_TRUE(verdict(r, 5, SL_CTL_ACTIVE));
	for (unsigned i = 0; i < 2; i++)
		sl_view_unpin(held[i], 0);
	rig_down(r);
}

static void
an_offer_replaces_one_that_is_open(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	offer(r, 0, 1);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	object(r, 0, 1, 0, true);
	offer(r, 1, 2);
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_SUPERSEDED));
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	object(r, 0, 1, 1, true); /* was on its way: no mistake */
	for (uint32_t i = 0; i < 3; i++)
		object(r, 1, 2, i, true);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	rig_down(r);
}

/* ---- an offer that is held ---- */

static bool
nothing_said(struct rig *r)
{
	int fds[2];
	unsigned cnt;

	return sl_ctl_recv(r->sock, buf, fds, &cnt) == -EAGAIN;
}

static void
later(struct rig *r, uint64_t ns)
{
	atomic_fetch_add(&r->shared.clock.base_ns, ns);
}

static bool
reason_says(struct rig *r, const char *text)
{
	const struct sl_ctl_reason *why = next(r, SL_CTL_REASON);

	return why && memmem(why + 1, why->text_len, text, strlen(text));
}

/* Main would not hear a signal if it waited, and nobody would push again. */
static void
an_offer_is_held_until_the_swap_before_it_is_over(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	push(r, 0, 1);
	offer(r, 1, 2); /* the worker has not turned */
	CU_ASSERT_TRUE(nothing_said(r));
	later(r, HOLD_NS - 1000000000u);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 1);
	CU_ASSERT_TRUE(nothing_said(r));
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(give(r, 1, 2), 1);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	rig_down(r);
}

static void
a_worker_that_is_stuck_for_long_is_the_reason_of_a_refusal(void)
{
	struct rig *r = rig_up();

	say_hello(r);
	push(r, 0, 1);
	offer(r, 1, 2);
	later(r, HOLD_NS);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 1);
	CU_ASSERT_TRUE(reason_says(r, "a worker has not taken generation 1 yet"));
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(push(r, 1, 2), 1);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	rig_down(r);
}

struct gate {
	int err;
	unsigned asked;
	struct sl_publish *ends; /* the connection ends while it is asked; NULL: it stays */
};

static int
gate(void *ctx, struct sl_diag *diag)
{
	struct gate *g = ctx;

	g->asked++;
	if (g->ends)
		sl_publish_drop(g->ends);
	if (g->err)
		sl_diag_add(diag, NULL, 0, NULL, NULL, "the gate says %d", g->err);
	return g->err;
}

static void
an_offer_is_held_while_the_gate_is_not_open(void)
{
	struct rig *r = rig_up();
	struct gate g = {.err = -EBUSY};

	sl_publish_gate(r->publish, gate, &g);
	say_hello(r);
	offer(r, 0, 1);
	CU_ASSERT_EQUAL(g.asked, 1);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 1);
	CU_ASSERT_EQUAL(g.asked, 2);
	CU_ASSERT_TRUE(nothing_said(r));
	offer(r, 1, 2); /* the newest one is held, for as long again */
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_SUPERSEDED));
	later(r, HOLD_NS - 1000000000u);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), 1);
	CU_ASSERT_TRUE(nothing_said(r));
	g.err = 0;
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	CU_ASSERT_EQUAL(give(r, 1, 2), 3);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	CU_ASSERT_EQUAL(worker_turn(r)->services[0].endpoint_cnt, 3);
	rig_down(r);
}

static void
a_gate_that_stays_shut_or_never_opens_refuses(void)
{
	struct rig *r = rig_up();
	struct gate g = {.err = -ENOMEM};

	sl_publish_gate(r->publish, gate, &g);
	say_hello(r);
	offer(r, 0, 1);
	CU_ASSERT_TRUE(reason_says(r, "the gate says -12"));
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_REFUSED));
	g.err = -EBUSY;
	offer(r, 0, 2);
	later(r, HOLD_NS);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	CU_ASSERT_TRUE(reason_says(r, "the gate says -16"));
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));
	g.err = 0;
	CU_ASSERT_EQUAL(push(r, 0, 3), 3);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 3, SL_CTL_ACTIVE));
	rig_down(r);
}

static void
an_offer_whose_daemon_goes_over_the_gate_is_gone(void)
{
	struct rig *r = rig_up();
	struct gate g = {.ends = r->publish};

	sl_publish_gate(r->publish, gate, &g);
	say_hello(r);
	offer(r, 0, 1);
	CU_ASSERT_TRUE(nothing_said(r));
	g.err = -ENOMEM;
	offer(r, 0, 2);
	CU_ASSERT_TRUE(nothing_said(r));
	g = (struct gate){0};
	CU_ASSERT_EQUAL(push(r, 0, 3), 3);
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 3, SL_CTL_ACTIVE));
	rig_down(r);
}

static void
an_offer_that_is_held_goes_with_the_daemon(void)
{
	struct rig *r = rig_up();
	struct gate g = {.err = -EBUSY};
	int pair[2];

	sl_publish_gate(r->publish, gate, &g);
	say_hello(r);
	offer(r, 0, 1);
	close(r->sock);
	sl_ctl_server_turn(r->server);
	CU_ASSERT_EQUAL(sl_publish_turn(r->publish), -1);
	CU_ASSERT_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	r->sock = pair[1];
	sl_ctl_server_attach(r->server, pair[0]);
	say_hello(r);
	offer(r, 1, 2); /* no "superseded" */
	CU_ASSERT_TRUE(nothing_said(r));
	rig_down(r); /* with one held: its descriptor goes, too */
}

/* Its answers cannot be sent any more while its last offer can still be read. */
static void
an_offer_of_a_peer_that_went_meanwhile_is_not_opened(void)
{
	struct rig *r = rig_up();
	int pair[2];

	say_hello(r);
	offer(r, 0, 1);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	shutdown(r->sock, SHUT_RD);
	offer(r, 1, 2); /* the verdict on 1 finds nobody */
	CU_ASSERT_EQUAL(sl_ctl_server_peer(r->server), 0);
	close(r->sock);
	CU_ASSERT_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	r->sock = pair[1];
	sl_ctl_server_attach(r->server, pair[0]);
	say_hello(r);
	CU_ASSERT_EQUAL(push(r, 1, 2),
			3); /* the first answer is WANT, not a verdict on another's */
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	rig_down(r);
}

static void
every_refusal_has_a_reason_and_leaves_the_active_one(void)
{
	struct rig *r = rig_up();

	first_push(r);
	offer(r, 1, 2);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	object(r, 1, 2, 2, false); /* unsealed */
	const struct sl_ctl_reason *why = next(r, SL_CTL_REASON);
	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_PTR_NOT_NULL(memmem(why + 1, why->text_len, "not sealed", 10));
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));

	offer(r, 1, 1); /* not a later number */
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	CU_ASSERT_TRUE(verdict(r, 1, SL_CTL_REFUSED));

	offer(r, 1, 2);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	object(r, 1, 2, 0, true); /* not wanted */
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));

	((uint8_t *)sl_test_bytes(&r->image[1].objs[2]))[40] ^= 1; /* another sum */
	offer(r, 1, 3);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	object(r, 1, 3, 2, true);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_REASON));
	while (!verdict(r, 3, SL_CTL_REFUSED))
		CU_ASSERT_EQUAL_FATAL(((struct sl_ctl_head *)buf)->type, SL_CTL_REASON);
	CU_ASSERT_EQUAL(worker_turn(r)->generation, 1);
	CU_ASSERT_EQUAL(sl_publish_view(r->publish)->generation, 1);
	rig_down(r);
}

struct ready {
	struct rig *r;
	unsigned asked;
	uint64_t generation; /* that is not ready; 0: all are */
	bool seen;           /* by workers, when it was asked */
};

static int
ready(void *ctx, const struct sl_view *view, struct sl_diag *diag)
{
	struct ready *y = ctx;

	y->asked++;
	y->seen = atomic_load(&y->r->shared.view) == view;
	if (view->generation != y->generation)
		return 0;
	sl_diag_add(diag, NULL, 0, NULL, NULL, "certificate \"a\" is not here");
	sl_diag_add(diag, NULL, 0, NULL, NULL, "certificate \"b\" is not here");
	return -EINVAL;
}

static void
a_generation_that_is_not_ready_is_refused_with_every_reason_unseen_by_workers(void)
{
	struct rig *r = rig_up();
	struct ready y = {.r = r, .generation = 2};

	sl_publish_before(r->publish, ready, &y);
	first_push(r);
	CU_ASSERT_EQUAL(y.asked, 1);
	push(r, 1, 2);
	CU_ASSERT_EQUAL(y.asked, 2);
	CU_ASSERT_FALSE(y.seen);
	for (unsigned i = 0; i < 2; i++) {
		const struct sl_ctl_reason *reason = next(r, SL_CTL_REASON);
		CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
		CU_ASSERT_EQUAL(
			memcmp(reason + 1, i ? "certificate \"b\"" : "certificate \"a\"", 15), 0);
	}
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_REFUSED));
	CU_ASSERT_EQUAL(((struct sl_ctl_verdict *)buf)->live, 1);
	CU_ASSERT_EQUAL(worker_turn(r)->generation, 1);
	CU_ASSERT_EQUAL(push(r, 1, 3), 1); /* what was refused is not held */
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 3, SL_CTL_ACTIVE));
	rig_down(r);
}

static void
an_open_offer_goes_with_the_daemon(void)
{
	struct rig *r = rig_up();
	int pair[2];

	first_push(r);
	offer(r, 1, 2);
	CU_ASSERT_PTR_NOT_NULL(next(r, SL_CTL_WANT));
	close(r->sock);
	sl_ctl_server_turn(r->server);
	CU_ASSERT_EQUAL(sl_publish_view(r->publish)->generation, 1);
	CU_ASSERT_EQUAL_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	sl_ctl_server_attach(r->server, pair[0]);
	r->sock = pair[1];
	say_hello(r);
	CU_ASSERT_EQUAL(push(r, 1, 2), 1); /* begins anew: no "superseded" before WANT */
	worker_turn(r);
	CU_ASSERT_TRUE(verdict(r, 2, SL_CTL_ACTIVE));
	rig_down(r);
}

SL_SUITE("publish", SL_TEST(active_is_said_only_after_the_worker_was_quiescent),
	 SL_TEST(a_sleeping_worker_is_not_waited_for),
	 SL_TEST(a_second_push_sends_only_what_changed),
	 SL_TEST(the_old_view_stays_while_a_worker_may_see_it_or_holds_it),
	 SL_TEST(offering_the_active_root_is_active_at_once),
	 SL_TEST(an_offer_replaces_one_that_is_open),
	 SL_TEST(what_is_tried_is_seen_by_workers_and_never_active),
	 SL_TEST(nothing_is_tried_beside_no_table), SL_TEST(what_is_tried_goes_with_the_daemon),
	 SL_TEST(a_bad_object_of_what_is_to_be_tried_is_refused),
	 SL_TEST(a_push_takes_the_place_of_what_is_tried_when_there_is_no_other),
	 SL_TEST(an_offer_is_held_until_the_swap_before_it_is_over),
	 SL_TEST(a_worker_that_is_stuck_for_long_is_the_reason_of_a_refusal),
	 SL_TEST(an_offer_is_held_while_the_gate_is_not_open),
	 SL_TEST(a_gate_that_stays_shut_or_never_opens_refuses),
	 SL_TEST(an_offer_whose_daemon_goes_over_the_gate_is_gone),
	 SL_TEST(an_offer_that_is_held_goes_with_the_daemon),
	 SL_TEST(an_offer_of_a_peer_that_went_meanwhile_is_not_opened),
	 SL_TEST(every_refusal_has_a_reason_and_leaves_the_active_one),
	 SL_TEST(a_generation_that_is_not_ready_is_refused_with_every_reason_unseen_by_workers),
	 SL_TEST(an_open_offer_goes_with_the_daemon))

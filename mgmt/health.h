/* health — active probes: which endpoints answer.
 *
 * Walk:    sluiced gives the whole set of targets after each push; every change comes back by a
 *          callback, which moves the endpoint's administrative state word (include/sluice/state.h).
 *          No generation is needed.
 * Threads: [loop] everything runs on the uv loop's thread.
 * Time:    uv_now for schedules, uv_hrtime for latency.  Milliseconds unless named otherwise;
 *          `since_ms` and `last_ms` are on the clock of uv_now(loop).
 * Probe:   tcp: the connection is established.  http: method, path and headers over HTTP/1.1 with `Connection:
 *          close`, an answer whose head ends within SL_ANSWER_HEAD_MAX bytes (answer.h), whose
 *          status is in `expect` and, where the conf has one, whose body holds the text (held.h).
 *          With TLS behind a handshake that verifies (probe_tls.h).  All must be done `timeout_ms` after the start.
 *          agent: its line is what it says, whatever that is (agent.h).
 * Counts:  `fall` failures in a row make an endpoint unhealthy, `rise` successes healthy again.
 *          Before the first result it is "checking" and counts as healthy; one success ends that.
 * Periods: the first probe comes at a random point of the first interval (98 % of it); from start
 *          to start a period is the interval shortened by a random share of [0, jitter_pct]
 *          percent: never longer than the interval.  That of an unhealthy one is `unhealthy_ms`
 *          where the conf has it; one that failed and still counts as healthy is probed a tenth earlier.  While an endpoint counts as healthy, a probe
 *          that met silence until its timeout is repeated at once.  So one that dies is found
 *          within `fall` intervals when it refuses, and within interval + fall × timeout when it is
 *          silent: two intervals with fall = 2 and a timeout of half the interval.
 * Ours:    what fails on this side (descriptors, memory, local ports) says nothing about the
 *          endpoint: the probe is counted in `local_errors` and left out.  When the loop was held
 *          up, a probe past its handshake gets its timeout anew.
 * Limits:  at most `open_max` probes at once, bounded by SL_PROBE_OPEN_MAX and the descriptor
 *          limit, which is raised as far as allowed; further ones wait their turn.
 * Not here: drain, slow start, what a state means for traffic (sluiced), passive ejection.
 */
#ifndef SL_MGMT_HEALTH_H
#define SL_MGMT_HEALTH_H

#include "mgmt/conf.h"
#include "mgmt/probe.h"

#include <uv.h>

#define SL_PROBE_OPEN_MAX 16384

struct sl_prober;

enum sl_probe_state {
	SL_PROBE_CHECKING = 0, /* no result yet: counts as healthy */
	SL_PROBE_HEALTHY,
	SL_PROBE_UNHEALTHY,
};

/* sl_probe_state_name gives "checking", "healthy", "unhealthy". */
const char *sl_probe_state_name(enum sl_probe_state s);

/* One endpoint to probe.  Everything is copied by sl_prober_set. */
struct sl_probe_target {
	const char *service;
	const char *endpoint;
	uint32_t slot; /* [0, SL_MAX_ENDPOINTS), distinct in a set */
	uint32_t incarnation;
	struct sl_addr addr;               /* where to probe: probe_addr of the endpoint */
	uint16_t port;                     /* host order, [1, 65535]: resolved by the caller */
	const struct sl_health_conf *conf; /* a target of type SL_HEALTH_NONE is not probed */
	const char *
		out; /* the dataplane's port that it leaves by; "": none leads there; NULL: as the kernel routes */
	struct sl_probe_tls *tls; /* NULL: plaintext; shared, not taken over */
};

struct sl_probe_event {
	uint32_t slot;
	uint32_t incarnation;
	const char *service; /* strings are valid during the callback */
	const char *endpoint;
	enum sl_probe_state from;
	enum sl_probe_state to; /* HEALTHY or UNHEALTHY, differs from `from` */
	const char *reason;     /* "connection refused", "HTTP status 500, expected 200", … */
	uint64_t since_ms;      /* when it changed: now */
};

/* Called on each change of state, also from checking to healthy.  It may call sl_prober_find, _show
 * and _stats, but neither sl_prober_set nor sl_prober_destroy.  Never called from within
 * sl_prober_set. */
typedef void (*sl_probe_fn)(void *ctx, const struct sl_probe_event *ev);

/* sl_prober_create starts an empty prober; seed drives phases and jitter (same seed and sets, same
 * schedule).  NULL with errno set. */
struct sl_prober *sl_prober_create(uv_loop_t *loop, uint64_t seed, sl_probe_fn fn, void *ctx);

/* sl_prober_devices: who knows the kernel's interface of a port of the dataplane, now; NULL: it has none, or the dataplane is away:
 * what leaves by that port is not probed, with that reason, and counts as it did. */
typedef const char *sl_probe_device_fn(void *ctx, const char *port);
void sl_prober_devices(struct sl_prober *p, sl_probe_device_fn *fn, void *ctx);

/* sl_prober_lines: who hears what agents say (targets of type SL_HEALTH_AGENT): each line, during the call; under the rules of
 * sl_probe_fn. */
typedef void sl_probe_line_fn(void *ctx, uint32_t slot, uint32_t incarnation, const char *line,
			      size_t len);
void sl_prober_lines(struct sl_prober *p, sl_probe_line_fn *fn, void *ctx);

/* sl_prober_beside: descriptors are left to other's probes, too. */
void sl_prober_beside(struct sl_prober *p, const struct sl_prober *other);

/* sl_prober_destroy ends all probes at once (NULL is allowed); the loop must run once more
 * afterwards, as for uv_close, before it is closed. */
void sl_prober_destroy(struct sl_prober *p);

/* sl_prober_set replaces the whole set.  A target with the same slot, incarnation, address, port
 * and conf goes on undisturbed (state, counters, phase, a probe under way).  Same slot and
 * incarnation with another address, port or conf keeps its state and starts counting and probing
 * anew.  Any other is new ("checking"). One that is no longer in the set is forgotten, without a
 * callback: sl_prober_find then says -ENOENT, and such an endpoint counts as healthy. 0; -EINVAL
 * (slot repeated or out of range, port 0, an address that is neither family, a conf out of its
 * ranges: all in diag) or -ENOMEM, the old set going on.  With 0 diag may hold a warning: the
 *         descriptor
 * limit is too low for the set. */
int sl_prober_set(struct sl_prober *p, const struct sl_probe_target *targets, size_t cnt,
		  struct sl_diag *diag);

/* sl_prober_kick starts the next probe of a target now, unless one is under way.  -ENOENT as sl_prober_find. */
int sl_prober_kick(struct sl_prober *p, uint32_t slot, uint32_t incarnation);

struct sl_probe_status {
	const char *service;
	const char *endpoint;
	uint32_t slot;
	uint32_t incarnation;
	struct sl_addr addr;
	uint16_t port;
	enum sl_health_type type;
	enum sl_probe_state state;
	uint64_t since_ms;     /* in this state since */
	uint64_t last_ms;      /* end of the last probe; 0: none yet */
	const char *last_text; /* its result, "ok" or what was wrong; "" before */
	uint64_t latency_us;   /* of the last probe, start to result; 0: none yet */
	uint32_t ok_run;       /* successes in a row, */
	uint32_t fail_run;     /* failures in a row: one of the two is 0 */
	uint64_t probes;       /* finished */
	uint64_t failures;     /* of these */
	uint64_t next_ms;      /* start of the next probe, or deadline of the one under way */
	bool open;             /* a probe is under way */
};

/* sl_prober_show calls fn for every target in slot order; it stops early when fn returns non-zero
 * and returns that. Strings are valid until the next sl_prober_set. */
int sl_prober_show(struct sl_prober *p, int (*fn)(void *ctx, const struct sl_probe_status *st),
		   void *ctx);

/* sl_prober_find: 0, or -ENOENT when nothing probes that incarnation of that slot. */
int sl_prober_find(struct sl_prober *p, uint32_t slot, uint32_t incarnation,
		   struct sl_probe_status *ret_st);

struct sl_prober_stats {
	uint32_t targets;
	uint32_t unhealthy; /* of these */
	uint32_t open;      /* probes under way */
	uint32_t open_max;  /* most there may be at once */
	uint32_t waiting;   /* due, but open_max are under way */
	uint64_t ok;        /* finished probes, monotonic over the prober's life */
	uint64_t failed;
	uint64_t local_errors;
};

void sl_prober_stats(const struct sl_prober *p, struct sl_prober_stats *ret);

#endif

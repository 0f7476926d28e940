/* operstate — the administrative state of every endpoint, and the state words that carry it.
 *
 * Walk:    health results and operators' verbs → here → one word per endpoint slot in the shared segment
 *          (include/sluice/state.h), which the dataplane reads for each new flow.  No generation.
 * Parts:   what operators set (maintenance, drain, disable, percent; kept.h) belongs to the *names* service/endpoint, is
 *          kept on disk and outlives removal and return of the endpoint; so do hints of sources and agents (hint.h), which are
 *          not kept; what probes and the dataplane say and the slow-start ramp belong to the placed endpoint (slot,
 *          incarnation) and are not kept either.
 * Word:    flags ORed: drain by maintenance, drain and hints; disabled; unhealthy by probes and hints.  fraction = 255 × percent ×
 *          hints' percents × ramp, at least 1 unless one of them is 0.
 * Ramp:    from SL_OPER_RAMP_START of the percentage to all of it, linear over the service's slow_start;
 *          begun by an endpoint added to a service that was already there, by health coming back, by a hint `down` that ends, by
 *          `enable`.  Advanced by sl_oper_tick.
 * Return from maintenance: a probed endpoint was not probed meanwhile: it is down until a probe finds it up.
 * Threads: [loop]; the words are stored with relaxed atomics for the dataplane's workers.
 * Time:    now_ms of any monotonic clock, wall_ms for people.
 */
#ifndef SL_MGMT_OPERSTATE_H
#define SL_MGMT_OPERSTATE_H

#include "mgmt/compile.h"
#include "mgmt/hint.h"
#include "mgmt/kept.h"
#include "sluice/state.h"

#define SL_OPER_RAMP_START 0.10 /* share at the beginning of a slow start */
#define SL_OPER_TEXT_MAX 128

enum sl_oper_health { SL_OPER_UNPROBED = 0, SL_OPER_UNKNOWN, SL_OPER_UP, SL_OPER_DOWN };
enum sl_oper_verb {
	SL_OPER_DRAIN,
	SL_OPER_UNDRAIN,
	SL_OPER_DISABLE,
	SL_OPER_ENABLE,
	SL_OPER_WEIGHT,
	SL_OPER_MAINTENANCE,
	SL_OPER_RETURN /* from maintenance */
};

struct sl_oper_endpoint {
	char service[SL_NAME_MAX];
	char name[SL_NAME_MAX];
	struct sl_addr addr;
	uint16_t port; /* host order, 0: the listener's */
	uint16_t weight;
	struct sl_placed at;
	uint32_t service_idx; /* into the services of the configuration placed */
	uint32_t slow_start_ms;
	enum sl_oper_health health;
	char health_text[SL_OPER_TEXT_MAX]; /* of the last change */
	int64_t health_wall_ms;             /* of the last change, 0: none */
	bool maintenance;
	bool drain;
	bool disabled;
	uint8_t percent; /* [0, 100] */
	bool hint_drain, hint_down;
	uint8_t hint_percent; /* the product of hints */
	bool ejected;         /* by the dataplane, when sl_oper_watch looked last */
	uint16_t eject_after, gateway_after, local_after; /* of its service */
	uint8_t failure_pct;
	unsigned ejected_why;    /* enum sl_ejected, when it was ejected last */
	int64_t ejected_wall_ms; /* since when, or 0 */
	uint64_t ramp_from_ms;   /* now_ms when the ramp began; UINT64_MAX: none */
};

struct sl_oper;

struct sl_oper *sl_oper_create(void);
void sl_oper_destroy(struct sl_oper *o);

/* What operators set, as JSON for the disk.  Load refuses what save would not write: -EINVAL, nothing taken. */
int sl_oper_save(const struct sl_oper *o, char **ret_text, size_t *ret_len);
int sl_oper_load(struct sl_oper *o, const char *text, size_t len, struct sl_diag *diag);

/* sl_oper_prepare stores the words of endpoints that (c, m) adds, before they are offered, so that a drained
 * name never takes a flow.  Slots that the placed generation uses are left alone. */
void sl_oper_prepare(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m);

/* sl_oper_prepare_moved, sl_oper_place_moved: the same where c is what is placed with other endpoints of some services
 * (sl_conf_moved): those of the others are left as they are.  before NULL: all may have moved. */
void sl_oper_prepare_moved(struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
			   const struct sl_slot_map *m);
int sl_oper_place_moved(struct sl_oper *o, const struct sl_conf *before, const struct sl_conf *c,
			const struct sl_slot_map *m, uint64_t now_ms);

/* sl_oper_place: (c, m) is active from now on.  Endpoints that were placed in the same slot and
 * incarnation keep health and ramp.  0 or -ENOMEM (the old placement stays). */
int sl_oper_place(struct sl_oper *o, const struct sl_conf *c, const struct sl_slot_map *m,
		  uint64_t now_ms);

/* sl_oper_attach: words go to seg from now on (NULL: nowhere), all are stored at once.  With adopt, a word that is
 * already there for the same incarnation and says unhealthy is believed while health is unknown (a
 * restarted daemon has not probed yet). */
void sl_oper_attach(struct sl_oper *o, struct sl_state_seg *seg, bool adopt);

/* sl_oper_set: 0 and *ret_changed, or -ENOENT (not placed), -ENOSPC.  value: percent for WEIGHT.  note: kept beside what was set; where
 * nothing changes, only one that says why takes the place of the one before.  NULL: none. */
int sl_oper_set(struct sl_oper *o, const char *service, const char *name, enum sl_oper_verb verb,
		unsigned value, const struct sl_kept_note *note, uint64_t now_ms,
		bool *ret_changed);

/* sl_oper_hint: what a source or an agent says of a name from now on, placed or not (hint.h); h->wall_ms counts where drain, down or
 * percent differ from what `by` said before, else the time of that stays.  0 with *ret_changed (may be NULL), -ENOMEM. */
int sl_oper_hint(struct sl_oper *o, enum sl_hint_by by, const char *service, const char *name,
		 const struct sl_hint *h, uint64_t now_ms, bool *ret_changed);

/* sl_oper_health: what the prober found; a slot that is not placed with that incarnation is ignored. */
void sl_oper_health(struct sl_oper *o, uint32_t slot, uint32_t incarnation, bool up,
		    const char *why, uint64_t now_ms, int64_t wall_ms);

/* sl_oper_watch looks at the dataplane's own words: fn for each endpoint that was ejected, or came back, since the last look. */
typedef void sl_oper_watch_fn(void *ctx, const struct sl_oper_endpoint *e);
void sl_oper_watch(struct sl_oper *o, int64_t wall_ms, sl_oper_watch_fn *fn, void *ctx);

/* sl_oper_tick advances ramps; true while any is under way. */
bool sl_oper_tick(struct sl_oper *o, uint64_t now_ms);

/* Reading.  Pointers stay valid until the next place. */
const struct sl_oper_endpoint *sl_oper_endpoints(const struct sl_oper *o, uint32_t *ret_cnt);
const struct sl_oper_endpoint *sl_oper_find(const struct sl_oper *o, const char *service,
					    const char *name);
const struct sl_oper_endpoint *sl_oper_by_slot(const struct sl_oper *o, uint32_t slot);

/* sl_oper_word is the word as it is (or would be) in the segment. */
uint64_t sl_oper_word(const struct sl_oper *o, const struct sl_oper_endpoint *e);
/* sl_oper_passive: the dataplane's own flags for it, 0 when there is no segment. */
uint16_t sl_oper_passive(const struct sl_oper *o, const struct sl_oper_endpoint *e);
/* sl_oper_ejected: why the dataplane ejected it (enum sl_ejected why), in words. */
#define SL_OPER_EJECTED_MAX 96
void sl_oper_ejected(const struct sl_oper_endpoint *e, unsigned why, char ret[SL_OPER_EJECTED_MAX]);
/* sl_oper_admits: whether it takes any new flow by its admin word and weight. */
bool sl_oper_admits(const struct sl_oper *o, const struct sl_oper_endpoint *e);

/* What people are told of one endpoint.  The words are static. */
struct sl_oper_account {
	const char *
		state; /* the strongest: "maintenance", "disabled", "draining", "down", "ejected", "unknown", "up", "unprobed" */
	const char *admin;   /* by operators: "maintenance", "disabled", "draining", "in" */
	const char *probe;   /* "up", "down", "unknown", "unprobed" */
	const char *passive; /* by the dataplane: "ejected", "in" */
	const char *
		by; /* who says why: "operator", "source", "agent", "probe", "dataplane", "slow start"; "": there is no reason */
	char who[SL_NAME_MAX]; /* the operator, or "" */
	char why[SL_OPER_TEXT_MAX]; /* why it does not take all that it could, or the last probe's words; may be "" */
	int64_t since_ms; /* wall clock; 0: not known */
	uint8_t fraction; /* of 255, admitted by the admin word; 0: a flag refuses all */
};
/* sl_oper_state is the account's state alone. */
const char *sl_oper_state(const struct sl_oper *o, const struct sl_oper_endpoint *e);
void sl_oper_account(const struct sl_oper *o, const struct sl_oper_endpoint *e,
		     struct sl_oper_account *ret);

#endif

/* rate_share_priv — the files of this gateway's part in limits that several gateways share: rate_share.c (which limits there are, when
 * anything is done), rate_share_limit.c (a limit's document, read and written), rate_share_view.c (what etcd has), rate_share_demand.c
 * (what is asked for here), rate_share_words.c (what workers are told).
 *
 * Threads: [loop].  Time: CLOCK_MONOTONIC.
 */
#ifndef SL_MGMT_RATE_SHARE_PRIV_H
#define SL_MGMT_RATE_SHARE_PRIV_H

#include "mgmt/daemon.h"
#include "mgmt/etcd_view.h"
#include "mgmt/rate_share.h"
#include "mgmt/rate_share_keys.h"
#include "mgmt/rate_share_plan.h"

#define SL_SHARE_SAMPLES 52 /* 10 s, and the ends */

/* What is asked for at a limit here.  Written by rate_share_demand.c alone. */
struct sl_share_demand {
	uint64_t count[SL_SHARE_SAMPLES], count_ns[SL_SHARE_SAMPLES]; /* asked for in all; ring */
	unsigned samples;
	uint64_t watch_ns; /* since when */
	uint32_t measured;
};

/* What is not said to be of another is written by rate_share_limit.c. */
struct sl_share_limit {
	struct sl_rate_shares *s;
	char name[SL_NAME_MAX];
	struct sl_share_plan plan; /* stepped by rate_share_limit.c; told by all what they know */
	struct sl_placed at;       /* by rate_share.c, as the next one */
	bool placed;               /* the active table has it */
	bool seen;                 /* by rate_share_view.c: in etcd, since begin */
	bool look; /* its document is to be read by itself: set by all, unset once it was */
	struct sl_etcd_call *call;
	struct sl_share_asked asked;
	uint64_t call_ns, hold_ns;           /* nothing is asked before */
	unsigned refusals;                   /* in a row */
	char trouble[SL_ETCD_KEY_MAX + 300]; /* with its document; "": none */
	struct sl_share_demand demand;
};

/* What etcd has.  Written by rate_share_view.c alone. */
struct sl_share_view {
	struct sl_etcd_view *etcd;
	bool trouble, whole;               /* whole: begin was called, and not yet end */
	uint64_t made_ns;                  /* when it was made */
	uint64_t seen_ns;                  /* of when the sessions are, surely */
	struct sl_share_session *sessions; /* [session_cnt]: of which a document has an entry */
	unsigned session_cnt;
	bool crowded;                /* there are more */
	struct sl_share_peer *peers; /* [session_cnt]: of the sessions */
};

/* What workers are told.  Written by rate_share_words.c alone. */
struct sl_share_words {
	struct sl_state_seg *seg;          /* not ours; NULL: no dataplane */
	uint64_t boot_id, up_ns, down_ns;  /* of the last one; when it came and went */
	uint64_t until_ns, floor_until_ns; /* what it was told last */
};

/* Written by rate_share.c, but for the structs of others, and rng (rate_share_limit.c). */
struct sl_rate_shares {
	struct sl_daemon *d;
	const struct sl_source_conf *source;
	struct sl_etcd *etcd;
	struct sl_share_keys *keys;
	uv_timer_t *timer; /* freed by its close callback */
	uint64_t session, seed, rng;
	unsigned turn;                  /* the limit that is the first to ask */
	char gateway[SL_NAME_MAX];      /* padded */
	struct sl_share_limit **limits; /* [cnt] */
	unsigned cnt;
	bool placed; /* a table was there */
	uint64_t start_ns, quiet_ns;
	uint64_t epoch; /* of the key, the last that was not 0 */
	char said[300];
	struct sl_share_view view;
	struct sl_share_words words;
};

/* rate_share_demand.c.  measure: what is asked for at l, told to its plan; every 100 ms or so, also while there is no dataplane.  forget:
 * what is counted from now on is of another limit. */
void sl_share_demand_measure(struct sl_share_limit *l, uint64_t now_ns);
void sl_share_demand_forget(struct sl_share_demand *d);

/* rate_share_limit.c.  lead: what is due: what is asked for is measured, the document read or written, words step; may_ask false: etcd
 * is asked nothing.  learn: the document is text [len], of revision `modified`; 0: there is none.  left: the table has it no more, and its
 * document nothing of this gateway: it may be dropped. */
void sl_share_limit_lead(struct sl_share_limit *l, uint64_t now_ns, bool may_ask);
void sl_share_limit_learn(struct sl_share_limit *l, const void *text, size_t len,
			  uint64_t modified);
bool sl_share_limit_left(const struct sl_share_limit *l);

/* rate_share_view.c.  keep: there is a view of etcd's keys, and one that went wrong is made anew; every 100 ms or so.  renew: the next keep
 * does so at once.  drop: there is none until the next keep.  look, after a document was learnt: who has an entry in one and no key is gone
 * since now, or since it was seen to be; anew: what was between this look and the one before is not known.  fini: after drop. */
void sl_share_view_keep(struct sl_rate_shares *s, uint64_t now_ns);
void sl_share_view_renew(struct sl_rate_shares *s);
void sl_share_view_drop(struct sl_rate_shares *s);
void sl_share_view_look(struct sl_rate_shares *s, bool anew);
void sl_share_view_fini(struct sl_rate_shares *s);

/* rate_share_words.c.  attach: the segment that words go into, of the dataplane of that boot; NULL: there is none.  What a sluiced of
 * before wrote there becomes the plans'.  clear: slots that no limit of the table has get 0; seg is there.  tell: after plans stepped, and
 * every 100 ms or so: what may not count any more ends also while there is no dataplane. */
void sl_share_words_attach(struct sl_rate_shares *s, struct sl_state_seg *seg, uint64_t boot_id);
void sl_share_words_clear(struct sl_rate_shares *s);
void sl_share_words_tell(struct sl_rate_shares *s, uint64_t now_ns);

/* rate_share.c.  find: the limit of the name, or NULL.  add: a new one, of no table yet; NULL: no memory.  here: this gateway as it is
 * now; it points into s.  tick: after an answer, and every 100 ms; limits may be dropped by it. */
struct sl_share_limit *sl_rate_shares_find(const struct sl_rate_shares *s, const char *name);
struct sl_share_limit *sl_rate_shares_add(struct sl_rate_shares *s, const char *name);
struct sl_share_here sl_rate_shares_here(const struct sl_rate_shares *s);
void sl_rate_shares_tick(struct sl_rate_shares *s);

#endif

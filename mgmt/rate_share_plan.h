/* rate_share_plan — one limit that gateways share, as one of them goes about it: what it may let pass, and what it writes next.
 *
 *   document ─learn─▶ plan ─step─▶ a write, which goes by compare-and-swap ─answer─▶ plan;   plan ─▶ word, word_floor ─▶ workers
 *
 * Safe:    all shares of the document together are at most the limit's tokens, and a gateway goes by no more than its own.  It
 *          rises only after its own write was applied; it comes down first and writes that sl_share_wait later, when what it had let
 *          pass is over.  From a gateway that is gone others take sl_share_wait after they saw its key gone, in a write that holds only while the
 *          key is not there.  A write also holds only while this gateway's own key is under its present lease.
 * Lost:    a write whose answer is lost may still be applied until the document is seen changed: until then the least of what it
 *          says and what was known before counts.
 * Quiet:   who starts, or sees etcd in an older state than before, does not rise before all who may know a later state have lost
 *          their leases.
 * Threads: [any].  Pure: time is an argument, of one monotonic clock.
 */
#ifndef SL_MGMT_RATE_SHARE_PLAN_H
#define SL_MGMT_RATE_SHARE_PLAN_H

#include "mgmt/rate_share_doc.h"

#define SL_SHARE_NEVER UINT64_MAX
/* The lease of a gateway's key, and how long its shares count from before a keep-alive was sent: the rest is for clocks that run at
 * different speeds, for workers that stand still, and for a new leader of etcd that does not know of it yet. */
#define SL_SHARE_LEASE_S 10
#define SL_SHARE_COUNTS_NS 7500000000ull
#define SL_SHARE_FLOOR_LEASE_S 4200
/* How old what is known of the keys of others may be: a key that was missing then, and is now, was not there in between. */
#define SL_SHARE_SEEN_NS 9000000000ull
#define SL_SHARE_FLOOR_COUNTS_NS 3600000000000ull

struct sl_share_peer {
	uint64_t session;
	/* since when its key is seen missing; SL_SHARE_NEVER: it is there */
	uint64_t gone_ns, floor_gone_ns;
};

/* It is seen, with its keys or without.  anew: what was between this look and the one before is not known. */
void sl_share_peer_look(struct sl_share_peer *p, bool live, bool floor, bool anew, uint64_t now_ns);

/* Whether workers cannot be told anything, and may go by what they have.  attached: they can; ever: they could, since start_ns, when this
 * sluiced began; until_ns: what they were told last. */
bool sl_share_frozen(bool attached, bool ever, uint64_t now_ns, uint64_t start_ns,
		     uint64_t until_ns);

/* The gateway, as it is when something is asked of a plan. */
struct sl_share_here {
	uint64_t now_ns;
	uint64_t session;
	const char *gateway; /* [SL_NAME_MAX], padded with 0 */
	uint64_t epoch;      /* counts how often its key was put; 0: it is not there */
	uint64_t sure_ns;    /* until when that is surely so */
	bool frozen;         /* workers cannot be told anything, and go by what they have */
	const struct sl_share_peer
		*peers; /* [peer_cnt]: all sessions of documents that are missing */
	unsigned peer_cnt;
	uint64_t seen_ns; /* of when they are */
};

struct sl_share_plan {
	/* of the table */
	uint32_t tokens, floor, per_ms;
	bool leaving;   /* the table has it no more */
	uint32_t asked; /* measured: for in a time of per, [0, tokens] */
	/* the document, as it was seen last */
	struct sl_share_doc doc;
	uint64_t modified; /* 0: there is none */
	uint64_t removed;  /* when this gateway removed it; 0: not */
	bool known;        /* it was looked for */
	bool readable;
	/* what is surely this gateway's: confirmed in that epoch, 0: never */
	uint32_t held, held_floor;
	uint64_t epoch, seq, confirmed;
	/* what workers may go by */
	uint32_t word, word_floor;
	/* on the way down: the word is at most give_to, and workers have that since give_ns; SL_SHARE_NEVER: from the next step on */
	bool giving;
	uint32_t give_to;
	uint64_t give_ns;
	/* the least of the writes whose answers are not known */
	uint32_t cap, cap_floor;
	uint64_t cap_modified;
	uint64_t rise_ns; /* nothing rises before */
	uint32_t want, goal;
	uint64_t want_ns;
	bool asking, full; /* full: the document has no room for this gateway */
	struct sl_share_doc next;
	uint64_t next_epoch, next_modified;
};

/* A write: `doc` in place of what was modified at `modified`, or the key deleted when doc has no entries; while the keys of `absent` and
 * `floors` are not there, and this gateway's own is. */
struct sl_share_write {
	const struct sl_share_doc *doc;
	uint64_t modified;
	uint64_t absent[SL_SHARE_GATEWAYS], floors[SL_SHARE_GATEWAYS];
	unsigned absent_cnt, floor_cnt;
};

/* How long what passed counts, with a little for clocks and for workers in the middle of something. */
uint64_t sl_share_wait(uint32_t per_ms);

void sl_share_plan_init(struct sl_share_plan *p);
/* Numbers of the table that is active. */
void sl_share_plan_table(struct sl_share_plan *p, uint32_t tokens, uint32_t floor, uint32_t per_ms);
/* Workers go by that much: of a sluiced that was here before.  It counts while nothing was confirmed yet. */
void sl_share_plan_adopt(struct sl_share_plan *p, uint32_t word, uint32_t floor, uint64_t now_ns);
/* Workers are new, or the limit is to them: everything may just have passed. */
void sl_share_plan_restarted(struct sl_share_plan *p, uint64_t now_ns);
/* Others may know a later state of etcd until quiet_ns, and what they let pass counts for per after that. */
void sl_share_plan_quiet(struct sl_share_plan *p, uint64_t quiet_ns);
/* The tokens that workers are told for until until_ns: the share, or the floor where that is more and counts as long. */
uint32_t sl_share_plan_told(const struct sl_share_plan *p, uint64_t until_ns,
			    uint64_t floor_until_ns);
/* What workers were told counts no more: the lease may have ended. */
void sl_share_plan_lapse(struct sl_share_plan *p);
/* Whether workers may go by the word for longer: it was confirmed under the key that is there now, or is 0. */
bool sl_share_plan_sure(const struct sl_share_plan *p, const struct sl_share_here *here);

/* The document is now this one.  doc NULL: it cannot be read, or, with modified 0, is not there.  An older one than is known is passed over.
 * true: it is not as this gateway left it: etcd has lost something. */
bool sl_share_plan_learn(struct sl_share_plan *p, const struct sl_share_here *here,
			 const struct sl_share_doc *doc, uint64_t modified);
/* etcd is another one, or in an older state: what is learnt next counts, whatever its revision. */
void sl_share_plan_world(struct sl_share_plan *p);

/* Words, and the next write: true: *ret is to be asked; it points into p, until the answer. */
bool sl_share_plan_step(struct sl_share_plan *p, const struct sl_share_here *here,
			struct sl_share_write *ret);
/* applied: it was, as `revision`. */
void sl_share_plan_applied(struct sl_share_plan *p, const struct sl_share_here *here,
			   uint64_t revision);
/* It was not, and never will be; what is there instead is to be learnt. */
void sl_share_plan_refused(struct sl_share_plan *p);
/* Nobody knows. */
void sl_share_plan_lost(struct sl_share_plan *p);

#endif

/* store — main's book of objects and generations: what is held, what is offered, what may go.
 *
 * An offer is put together from descriptors of a peer that is not trusted, becomes a view, is published by
 * the caller, and goes when the caller says that no worker can see it any more:
 *
 *                 begin             object …            complete            published
 *      (no offer) ─────▶ COLLECTING ───────▶ COLLECTING ────────▶ READY ──────────────▶ ACTIVE
 *          ▲                 │  (missing > 0)   │ (missing = 0)     │                      │ the next one
 *          │      abort      │                  │                   │ release              │ is published
 *          └─────────────────┴──────────────────┘                   ▼         release      ▼
 *             also: begin or complete refuses                     (gone) ◀──────────── RETIRED
 *                                                                          no pin left
 *
 * Objects are shared by id: one that a live generation or the open offer names is held once, mapped once,
 * and unmapped when the last of them goes.  What the first view made of it (sl_view_take) is shared, too, and goes with
 * it.  READY, ACTIVE and RETIRED generations are live; at most SL_STORE_LIVE_MAX of them: past that, offers are
 * refused with who holds what.
 *
 * Threads: [main].  No EAL, no sockets, no clock.
 * Descriptors: never kept and never closed here: the caller closes them after the call, whatever it says.
 * Limits:  one offer at a time, SL_MAX_REFS objects each, SL_STORE_BYTES_MAX in sum.
 */
#ifndef SL_DATAPLANE_STORE_H
#define SL_DATAPLANE_STORE_H

#include "dataplane/view.h"
#include "sluice/diag.h"
#include "sluice/image.h"

#define SL_STORE_LIVE_MAX 4
#define SL_STORE_BYTES_MAX (2ull << 30) /* of the objects one generation names */

struct sl_store;

/* sl_store_create: ports (copied, names too) are what NETWORK may name.  0 or -ENOMEM.
 * sl_store_destroy drops everything, pinned or not: workers have stopped.  NULL is allowed. */
int sl_store_create(const struct sl_view_ports *ports, struct sl_store **ret_store);
void sl_store_destroy(struct sl_store *s);

/* sl_store_offer_begin opens an offer: takes the root from root_fd (seals, size, sum, all of its fields; ids
 * must be distinct) and holds what is already here of the objects it names.  0: sl_store_offer_wanted says what to send.  -EBUSY: an offer is
 * open (abort it first), or too many generations live; -EINVAL: refused; -ENOMEM.  Reasons in diag. */
int sl_store_offer_begin(struct sl_store *s, uint64_t generation, const struct sl_obj_id *root_id,
			 int root_fd, struct sl_diag *diag);

/* Generation of the open offer, 0: none is open. */
uint64_t sl_store_offer_generation(const struct sl_store *s);

/* Refs (indices into the root's) that were not held at begin, ascending; valid until the offer ends. */
const uint32_t *sl_store_offer_wanted(const struct sl_store *s, unsigned *ret_cnt);

/* How many of them have not come yet: at 0 it is time for sl_store_offer_complete. */
unsigned sl_store_offer_missing(const struct sl_store *s);

/* sl_store_offer_object takes a wanted object.  0; -EINVAL: the object is refused (reasons in diag): it counts as
 * come, so that the others' problems are found too, and complete will refuse; -EPROTO: no offer, or ref was not wanted or has
 * come before (nothing changes); -ENOMEM. */
int sl_store_offer_object(struct sl_store *s, uint32_t ref, int fd, struct sl_diag *diag);

/* sl_store_offer_complete builds the view of a complete offer and ends the offer, whatever the outcome.
 * 0: *ret_view is READY; -EINVAL with reasons (an object had been refused, objects contradict each
 * other); -EPROTO: no offer, or objects are missing (the offer stays open); -ENOMEM. */
int sl_store_offer_complete(struct sl_store *s, struct sl_diag *diag, struct sl_view **ret_view);

/* sl_store_offer_abort ends the open offer, if there is one, and drops what only it held. */
void sl_store_offer_abort(struct sl_store *s);

/* sl_store_published: the caller has made the READY view what workers load: it is ACTIVE, the one before
 * RETIRED. */
void sl_store_published(struct sl_store *s, struct sl_view *v);

/* sl_store_release destroys a view that no worker can see any more (all were quiescent after another was
 * published) or that was never published.  0; -EBUSY: it is active, or pinned. */
int sl_store_release(struct sl_store *s, struct sl_view *v);

/* The active view, or NULL. */
struct sl_view *sl_store_active(const struct sl_store *s);

enum sl_store_state { SL_STORE_READY = 1, SL_STORE_ACTIVE, SL_STORE_RETIRED };

struct sl_store_live {
	struct sl_view *view;
	enum sl_store_state state;
	uint32_t pins; /* sum over workers */
};

/* sl_store_live lists the live generations, oldest first; their number. */
unsigned sl_store_live(const struct sl_store *s, struct sl_store_live ret_live[SL_STORE_LIVE_MAX]);

struct sl_store_usage {
	uint32_t objects; /* mapped now */
	uint64_t bytes;
};
void sl_store_usage(const struct sl_store *s, struct sl_store_usage *ret_usage);

#endif

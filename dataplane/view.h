/* view — one generation as workers see it: immutable, except the neighbour hints and the pins.
 *
 * Built by main from validated objects (image_check.h, store.h), published as one pointer, loaded by a
 * worker once per turn and passed down as const.  Released when all workers have been quiescent and
 * no pin is left.
 * Threads: build, destroy [main]; read [worker].
 */
#ifndef SL_DATAPLANE_VIEW_H
#define SL_DATAPLANE_VIEW_H

#include "dataplane/fib.h"
#include "l7/site.h"
#include "lb/choose.h"
#include "lb/shares.h"
#include "sluice/diag.h"
#include "sluice/image.h"
#include "sluice/state.h"

#define SL_VIEW_MAX_PORTS 32
#define SL_VIEW_MAX_WORKERS 64
#define SL_VIEW_NONE UINT32_MAX
#define SL_VIEW_FIRST_SERVICE 2 /* of the root's refs: NETWORK, LISTENERS, SERVICE… */

/* Where an endpoint is, by endpoint slot.  One line. */
struct sl_hop {
	SL_ALIGNED struct sl_addr addr; /* the endpoint */
	struct sl_addr next;  /* link-layer next hop: addr itself when on-link, else a gateway */
	sl_be16 port;         /* endpoint's port; 0: keep */
	uint16_t incarnation; /* 0: the slot is not in this generation */
	uint16_t out_port;    /* port index; UINT16_MAX: no route */
	uint8_t forward;      /* enum sl_forward */
	uint8_t family;       /* 4 or 6 */
	uint32_t service;     /* index into services */
	uint32_t endpoint;    /* index into the service's endpoints */
	uint32_t address; /* NETWORK address of that port and family: source of ARP/ND there, and of
				* tunnels without a prefix */
	uint32_t same;    /* another hop in a tunnel to the same address: slot + 1; 0: none */
	_Atomic uint32_t
		neigh; /* hint: entry of the neighbour table, relaxed; SL_NEIGH_NONE unknown.
				 * Checked at use against (out_port, next). */
};
static_assert(sizeof(struct sl_hop) == 64, "one line");

/* An address the gateway answers for. */
enum sl_local_kind {
	SL_LOCAL_OWN = 1,    /* of NETWORK; may be a source, too */
	SL_LOCAL_SOURCE = 2, /* of a fullnat or proxy service, and not of NETWORK */
	SL_LOCAL_VIP = 3,    /* a listener's single address */
};
struct sl_local {
	struct sl_addr addr;
	uint32_t address; /* OWN: index into NETWORK's addresses; else SL_VIEW_NONE */
	uint32_t kind;    /* enum sl_local_kind; 0: free place of the hash table */
};

struct sl_view {
	/* read per packet */
	uint64_t generation;
	uint64_t seed;
	const struct sl_img_listener *listeners;
	const uint32_t *vip_hash; /* open addressing, [vip_mask + 1]: listener index + 1, 0 empty */
	const struct sl_service *services;
	struct sl_hop *hops; /* [hop_cnt], by endpoint slot */
	const uint32_t *
		listener_service; /* listener → index into services; mode HTTP: into tables; SL_VIEW_NONE: of mode PASSTHROUGH,
				    * without one of its own */
	const struct sl_fib *fib;
	uint32_t vip_mask;
	uint32_t listener_cnt;
	uint32_t service_cnt;
	uint32_t hop_cnt;
	const struct sl_wide
		*wide; /* prefixes, ranges and any-port (wide.h); NULL: no listener is one */
	/* read seldom */
	uint16_t *service_at,
		*listener_at; /* index + 1 by slot, [SL_MAX_SERVICES], [SL_MAX_LISTENERS] */
	const uint32_t *
		tunnel_hash; /* open addressing, [tunnel_mask + 1]: slot + 1 of a hop in a tunnel, one
				      * for each address (the others: same) */
	uint32_t tunnel_mask;
	const struct sl_local *locals; /* open addressing, [local_mask + 1] */
	uint32_t local_mask;
	uint32_t address_cnt;
	const struct sl_img_address *addresses;
	const struct sl_img_prefix
		*trust; /* of all listeners; a listener's own by trust_first, trust_cnt */
	/* of image_tls.h, of all listeners: read by what follows below; NULL: there are none */
	const struct sl_img_tls_listener *tls;
	const struct sl_img_tls_name *tls_names;
	const struct sl_img_tls_san *tls_sans;
	const struct sl_img_sni *snis;
	const uint16_t *address_port; /* address → port index */
	struct sl_level *levels;      /* of services (choose.h), as the following */
	struct sl_set *sets;
	uint32_t *weight_sums;
	/* [share_workers][share_cnt] of this generation: each written by that worker alone; sl_view_shares */
	struct sl_shares *shares;
	uint32_t share_cnt, share_workers;
	bool shaped;                   /* some service has a bandwidth */
	bool results;                  /* some service wants to know of tries that went well, too */
	const struct sl_table *tables; /* [table_cnt] */
	const struct sl_vhost *vhosts; /* [vhost_cnt] */
	uint32_t table_cnt, vhost_cnt;
	struct sl_issuer *issuers;    /* [SL_MAX_JWT], by slot; NULL: there are none */
	const struct sl_authz *authz; /* [authz_cnt]: sets of rules by slot (img NULL: none) */
	uint32_t authz_cnt;
	/* [worker], for this generation's databases: written by that worker alone while it finds routes and judges; NULL:
	 * there is nothing to match */
	struct sl_match_scratch *scratch;
	struct sl_view_made *
		made; /* [vhost_cnt + shards + sets of rules]: behind tables and vhosts; of view_http.c */
	uint32_t made_cnt, scratch_cnt;
	struct sl_obj_id root_id;
	/* sl_view_follow: slots whose next hop the view of that generation does not have, [fresh_cnt]; NULL: all */
	uint64_t follows;
	uint32_t *fresh;
	uint32_t fresh_cnt;
	/* written by workers: requests that outlive a turn hold the generation; plain per-worker counters */
	struct {
		SL_ALIGNED _Atomic uint32_t
			cnt; /* written by that worker alone, read by main (acquire) */
	} pins[SL_VIEW_MAX_WORKERS];
};

/* [worker] sl_view_listener: the listener for (addr, port, proto) or SL_VIEW_NONE: exact address and port by one
 * hash; prefixes, ranges and any-port (image.h says which wins) behind it, only where the table has some. */
uint32_t sl_view_listener(const struct sl_view *v, const struct sl_addr *addr, sl_be16 port,
			  uint8_t proto);

/* [worker] sl_view_service: the service (index) that packets and connections to the listener go to, or SL_VIEW_NONE: mode HTTP,
 * where each request has its own; mode PASSTHROUGH, where server names that the listener does not list are refused. */
static inline uint32_t
sl_view_service(const struct sl_view *v, uint32_t listener)
{
	return v->listeners[listener].mode == SL_MODE_HTTP ? SL_VIEW_NONE
							   : v->listener_service[listener];
}

/* [any] sl_view_service_at, sl_view_listener_at: the index + 1 of what has that slot; 0: nothing has. */
static inline uint32_t
sl_view_service_at(const struct sl_view *v, uint32_t slot)
{
	return slot < SL_MAX_SERVICES ? v->service_at[slot] : 0;
}

static inline uint32_t
sl_view_listener_at(const struct sl_view *v, uint32_t slot)
{
	return slot < SL_MAX_LISTENERS ? v->listener_at[slot] : 0;
}

/* [any] sl_view_tls: what the listener says of TLS, or NULL: plaintext.  Its certificates, trust bundles and client names are
 * [cert_first, +cert_cnt) and [trust_first, +trust_cnt) of v->tls_names, [san_first, +san_cnt) of v->tls_sans. */
static inline const struct sl_img_tls_listener *
sl_view_tls(const struct sl_view *v, uint32_t listener)
{
	uint32_t tls = v->listeners[listener].tls;

	return tls ? &v->tls[tls - 1] : NULL;
}

/* [any] sl_view_service_tls: what the service (index) says of TLS to its endpoints, or NULL: plaintext.  sl_view_service_sans: its
 * names, [tls->san_cnt]; NULL: none. */
static inline const struct sl_img_tls_service *
sl_view_service_tls(const struct sl_view *v, uint32_t service)
{
	const struct sl_img_service *s = v->services[service].img;

	return s->tls_off ? (const void *)((const char *)s + s->tls_off) : NULL;
}

static inline const struct sl_img_tls_san *
sl_view_service_sans(const struct sl_img_tls_service *tls)
{
	return tls->san_cnt ? (const void *)(tls + 1) : NULL;
}

/* [worker] sl_view_sni: the server names of a listener of mode PASSTHROUGH, sorted, for sl_hello_pick; NULL with *ret_cnt 0: it has
 * none.  sl_view_sni_service: the service (index) one of them leads to.  Names that are not among them: sl_view_service. */
static inline const struct sl_img_sni *
sl_view_sni(const struct sl_view *v, uint32_t listener, uint32_t *ret_cnt)
{
	const struct sl_img_listener *l = &v->listeners[listener];

	*ret_cnt = l->sni_cnt;
	return l->sni_cnt ? v->snis + l->sni_first : NULL;
}

static inline uint32_t
sl_view_sni_service(const struct sl_img_sni *sni)
{
	return sni->ref - SL_VIEW_FIRST_SERVICE;
}

/* [worker] sl_view_shares: the worker's shares of a set of some service, or NULL: it has none. */
static inline struct sl_shares *
sl_view_shares(const struct sl_view *v, unsigned worker, const struct sl_set *set)
{
	if (set->shares == SL_VIEW_NONE || worker >= v->share_workers)
		return NULL;
	return &v->shares[(size_t)worker * v->share_cnt + set->shares];
}

/* [worker] sl_view_local: the address the gateway answers ARP, ND and ping for, or NULL: own addresses,
 * sources, listeners of one address. */
const struct sl_local *sl_view_local(const struct sl_view *v, const struct sl_addr *addr);

/* [worker] sl_view_vip: whether some listener has the address, alone or in its prefix. */
bool sl_view_vip(const struct sl_view *v, const struct sl_addr *addr);

/* [worker] sl_view_ours: whether it is an address of the gateway or of some listener. */
bool sl_view_ours(const struct sl_view *v, const struct sl_addr *addr);

/* [worker] sl_view_source: the addresses that connections to the endpoint of a proxy service come from: the service's
 * sources, else the gateway's own address on the way there.  NULL with *ret_cnt 0: there is no way. */
const struct sl_addr *sl_view_source(const struct sl_view *v, const struct sl_hop *hop,
				     uint32_t *ret_cnt);

/* [worker] sl_view_tunnel: a hop in a tunnel (ipip, gue) to that endpoint, or NULL; sl_view_tunnel_next: the next one to
 * the same address. */
const struct sl_hop *sl_view_tunnel(const struct sl_view *v, const struct sl_addr *endpoint);
const struct sl_hop *sl_view_tunnel_next(const struct sl_view *v, const struct sl_hop *hop);

/* [worker] pin / unpin on behalf of `worker`. */
void sl_view_pin(struct sl_view *v, unsigned worker);
void sl_view_unpin(struct sl_view *v, unsigned worker);
/* [main] whether any worker holds it. */
bool sl_view_pinned(const struct sl_view *v);

/* What the dataplane is, for cross-checks. */
struct sl_view_ports {
	unsigned worker_cnt; /* each gets a scratch; 0: none */
	unsigned cnt;
	const char *name[SL_VIEW_MAX_PORTS];
};

/* An object whose bytes have been mapped.  bytes stays valid and unchanged for the life of the view. */
struct sl_object {
	const void *bytes;
	size_t size;
	void *made; /* what an earlier view made of it (sl_view_take); NULL: nothing yet */
};

/* [main] sl_view_create checks the references between objects (each already passed sl_image_check) and builds the
 * view.  objs[i] belongs to refs[i] of the root.  All problems go to diag; 0, -EINVAL or -ENOMEM.
 * The view keeps pointers into the objects. */
int sl_view_create(const struct sl_object *root, const struct sl_obj_id *root_id,
		   uint64_t generation, const struct sl_object *objs, unsigned obj_cnt,
		   const struct sl_view_ports *ports, struct sl_diag *diag,
		   struct sl_view **ret_view);
void sl_view_destroy(struct sl_view *v);

/* [main] sl_view_follow: v, that nobody sees yet, is to take the place of live (NULL: of none), which workers may be using.  It
 * gets the neighbour hints that live has, and notes which next hops live does not have.  Short of memory: all are noted. */
void sl_view_follow(struct sl_view *v, const struct sl_view *live);

/* Matches (of a VHOST or AUTHZ) and databases (of a SHARD) take long to make and depend on nothing but their objects, so one is made
 * for all generations that name the object.
 *
 * sl_view_take: what this view made of objs[ref], which from now on is the caller's: it outlives all views that were given it,
 * and a match goes before the databases of its scans.  NULL: nothing was, or it has been taken, or was given.
 * sl_view_unmake frees it; kind: of the object.  NULL is allowed. */
void *sl_view_take(struct sl_view *v, uint32_t ref);
void sl_view_unmake(enum sl_obj_kind kind, void *made);

#endif

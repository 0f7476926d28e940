/* flow_query — which flows somebody asks about, and the walk through a flow region that finds them.
 *
 * Walk:    verb_flows.c makes a filter of a request → pool thread → sl_flow_query_run → verb_flows.c gives names.
 * Threads: [any]. Pure over the region, which the dataplane's workers write meanwhile (lb/flow_scan.h); they are
 *          neither stopped nor asked.
 * Limits:  at most `limit` records are kept; the walk ends with the region, with the first match beyond the limit, or
 *          soon after *cancel has become true.
 * Not here: names; slots are matched with the incarnation they had in the table when the question came.
 */
#ifndef SL_MGMT_FLOW_QUERY_H
#define SL_MGMT_FLOW_QUERY_H

#include "lb/flow_scan.h"

#include <stdatomic.h>

/* What a listener takes: addresses of a prefix, a range of ports, a protocol. */
struct sl_flow_span {
	struct sl_addr addr;
	uint8_t plen; /* over the 16-byte form */
	uint8_t proto;
	uint16_t port_lo, port_hi; /* host order, both included */
};

/* A zeroed filter takes every forward half. */
struct sl_flow_filter {
	struct sl_addr client, vip; /* prefixes */
	uint8_t client_plen, vip_plen;
	uint8_t client_family, vip_family; /* 4, 6; 0: any, then the prefix is not looked at */
	uint8_t proto;                     /* 0: any */
	bool halves;                       /* the reply halves of nat flows too */
	bool with_port;
	uint16_t port;   /* of the VIP, host order */
	uint8_t states;  /* bit per enum sl_flow_state; 0: any */
	uint32_t worker; /* + 1; 0: any */
	uint32_t idle_q; /* silent for at least this long */
	/* endpoints, by slot: the incarnation that is meant, 0: not this slot.  NULL: any, also ones that are gone */
	const uint32_t *slots; /* [SL_MAX_ENDPOINTS] */
	/* spans[0] is the listener asked for, the others are listeners that take flows out of it.  NULL: any */
	const struct sl_flow_span *spans; /* [span_cnt] */
	uint32_t span_cnt;
};

/* The flow as its client sees it, from either half: client → VIP. */
struct sl_flow_ends {
	struct sl_addr client, vip;
	sl_be16 client_port, vip_port;
};
struct sl_flow_ends sl_flow_ends(const struct sl_flow_record *r);

bool sl_flow_filter_takes(const struct sl_flow_filter *f, const struct sl_flow_record *r);

/* "established", "embryonic", "closing", "udp", "udp_new"; NULL: no such state.  sl_flow_state_find: the state, or
 * SL_FLOW_FREE. */
const char *sl_flow_state_name(unsigned state);
unsigned sl_flow_state_find(const char *name);

struct sl_flow_query {
	/* in */
	struct sl_flow_filter filter;
	uint32_t limit; /* 0: count only, through the whole region */
	/* out */
	struct sl_flow_record *found; /* [found_cnt], the caller frees it */
	uint32_t found_cnt;
	bool more;        /* a match beyond the limit: the walk ended there */
	uint64_t matched; /* found_cnt, or with limit 0 how many there are */
	uint64_t looked;  /* entries */
	uint64_t skipped; /* changed while they were read */
};

/* sl_flow_query_run: 0; -EINVAL (not a region; *ret_why is a static sentence), -ENOMEM, -ECANCELED. */
int sl_flow_query_run(struct sl_flow_query *q, const void *region, size_t bytes,
		      const atomic_bool *cancel, const char **ret_why);

#endif

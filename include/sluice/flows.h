/* flows — THE format of the flow region: the workers' flow tables in one memfd that outlives the dataplane.
 *
 * Made and written by sluice-dataplane (one table per worker, written by that worker alone); held by sluiced, and by
 * systemd's descriptor store, while the dataplane restarts; read by sluiced for `show flows`.  Pointer-free.
 *
 *   struct sl_flows_head, in the first 4096 bytes │ table 0 │ table 1 │ …      each SL_FLOWS_ALIGN-aligned
 *   table:  struct sl_flow_table │ bucket[bucket_cnt] │ entry[capacity] │ xlat[xlat_capacity]
 *
 * Written while it is read: a reader copies an entry and believes it only when the keyed hash of its tuple leads to the
 * bucket and tag it was found by and its check is right (lb/flow_scan.h).  After a kill the same test, over
 * everything, decides what is taken over (lb/flow_adopt.c): nothing in a region is trusted.
 *
 * What protects what:  head                      sum
 *                      tuple                     the keyed hash (tag, bucket, and check of the entry)
 *                      slot, incarnation, role   check, of the entry
 *                      translation record        check, of the record
 *                      pair                      the two halves name each other
 * State, FIN flags, expiry and the xlat of a nat forward half are not protected: a wrong one shortens or stretches a
 * flow's life within the timeout of its state, or has its other half told once more.
 */
#ifndef SLUICE_FLOWS_H
#define SLUICE_FLOWS_H

#include "sluice/addr.h"

#define SL_FLOWS_MAGIC 0x574c4653u /* "SFLW" */
#define SL_FLOWS_VERSION 2 /* of everything in this file and of the hash (lb/hash_inline.h) */
#define SL_FLOWS_ALIGN (2u << 20)
#define SL_FLOWS_HEAD_BYTES 4096
#define SL_FLOWS_MAX_WORKERS 64

struct sl_flows_head {
	uint32_t magic;
	uint32_t version;
	uint64_t region;      /* random id */
	uint64_t boot_id;     /* of the dataplane that made it */
	uint64_t bytes;       /* of the region */
	uint64_t table_off;   /* of table 0, = SL_FLOWS_ALIGN */
	uint64_t table_bytes; /* from table to table, a multiple of SL_FLOWS_ALIGN */
	uint32_t worker_cnt;  /* [1, SL_FLOWS_MAX_WORKERS] */
	uint32_t capacity;    /* of each table */
	uint32_t xlat_capacity;
	uint32_t zero;
	uint8_t rss_key[40]; /* decides which worker owns a flow, and the ports of fullnat */
	uint64_t sum;        /* of all bytes before it (lb/flow_adopt.c); written last */
};
static_assert(sizeof(struct sl_flows_head) == 112, "");

/* ---- entries ---- */

enum sl_flow_state { /* low 3 bits of sl_flow.state */
		     SL_FLOW_FREE = 0,
		     SL_FLOW_EMBRYONIC = 1,   /* TCP: only the opening packet has been seen */
		     SL_FLOW_ESTABLISHED = 2, /* TCP: a later packet without SYN was seen */
		     SL_FLOW_CLOSING = 3,     /* TCP: FIN or RST seen */
		     SL_FLOW_UDP = 4,
		     SL_FLOW_UDP_NEW =
			     5, /* UDP: seen once (nat, fullnat: not answered); counts as embryonic */
};
enum {
	SL_FLOW_STATE_MASK = 7,
	SL_FLOW_REPLY =
		1
		<< 3, /* reply half: of nat, xlat names its translation record; of a pair, its partner */
	SL_FLOW_NAT =
		1
		<< 4, /* forward half: of nat, xlat as the worker keeps it; of a pair, its partner */
	SL_FLOW_FIN_A = 1 << 5, /* FIN seen in this half's direction */
	SL_FLOW_FIN_B = 1 << 6, /* FIN seen in the other half's */
	SL_FLOW_PAIR =
		1 << 7, /* fullnat: both halves are in this table and xlat is the other's entry */
	SL_FLOW_ROLE_MASK =
		SL_FLOW_REPLY | SL_FLOW_NAT | SL_FLOW_PAIR, /* never changes in a flow's life */
};

struct sl_flow {
	struct sl_addr src;
	struct sl_addr dst;
	sl_be16 sport;
	sl_be16 dport;
	uint16_t slot;        /* endpoint slot */
	uint16_t check;       /* sl_flow_check16 */
	uint16_t incarnation; /* of the endpoint */
	uint8_t proto;
	uint8_t state; /* enum sl_flow_state | SL_FLOW_* */
	uint32_t xlat; /* see the flags; else 0.  Free entry: link */
};
static_assert(sizeof(struct sl_flow) == 48, "");

/* sl_flow_tuple: the key of an entry, as its packets carry it. */
static inline struct sl_tuple
sl_flow_tuple(const struct sl_flow *f)
{
	return (struct sl_tuple){
		.src = f->src,
		.dst = f->dst,
		.sport = f->sport,
		.dport = f->dport,
		.proto = f->proto,
	};
}

/* sl_flow_check16 of an entry: a flipped bit in slot, incarnation or role must not lead to another endpoint, or there
 * by another way.  hash: the keyed one of its tuple, of which neither tag nor bucket use these bits. */
static inline uint16_t
sl_flow_check16(uint64_t hash, uint32_t slot, uint32_t incarnation, uint8_t state)
{
	uint64_t v = (uint64_t)slot << 24 | incarnation << 8 | (state & SL_FLOW_ROLE_MASK);

	v += 0x9e3779b97f4a7c15ull;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
	return (uint16_t)(v >> 40 ^ hash >> 16);
}

/* Translation record of a nat reply half: what its source becomes. */
struct sl_xlat {
	struct sl_addr addr; /* the VIP */
	sl_be16 port;
	uint16_t zero;
	uint32_t told_q; /* when the forward half was last told of activity */
	uint32_t flow;   /* the entry this belongs to; free list link when free */
	uint32_t check;  /* over addr, port, flow (sl_xlat_check32) */
};
static_assert(sizeof(struct sl_xlat) == 32, "");

static inline uint32_t
sl_xlat_check32(const struct sl_xlat *x)
{
	uint64_t v = sl_load64(x->addr.b) * 0x9e3779b97f4a7c15ull;

	v = (v ^ v >> 29 ^ sl_load64(x->addr.b + 8)) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ v >> 32 ^ ((uint64_t)x->flow << 16 | x->port)) * 0x94d049bb133111ebull;
	return (uint32_t)(v >> 32);
}

/* ---- table ---- */

#define SL_FLOW_WAYS 8
#define SL_FLOW_IDX_MASK ((1u << 27) - 1) /* parts of bucket.idx[] */
#define SL_FLOW_IDX_EMBRYONIC (1u << 27)
#define SL_FLOW_IDX_OVER_SHIFT 28 /* of idx[0] alone */

/*   tag:    0 free       expire: low 16 bits of now_q
 *   idx:    bits 0–26 entry · 27 embryonic · of idx[0] 28–31: how many entries have this as primary bucket
 *           and lie in the second; at 15 it stays.  A miss reads the second only when not 0 */
struct sl_flow_bucket {
	SL_ALIGNED uint16_t tag[SL_FLOW_WAYS];
	uint16_t expire[SL_FLOW_WAYS];
	uint32_t idx[SL_FLOW_WAYS];
};
static_assert(sizeof(struct sl_flow_bucket) == 64, "one line");

struct sl_flow_table {
	/* line 0: constant */
	SL_ALIGNED uint32_t magic; /* SL_FLOWS_MAGIC */
	uint32_t version;          /* SL_FLOWS_VERSION */
	uint32_t capacity;
	uint32_t xlat_capacity;
	uint32_t bucket_cnt;
	uint32_t embryonic_max;
	uint64_t entry_off; /* from the table */
	uint64_t xlat_off;
	/* line 1: constant */
	SL_ALIGNED uint8_t key[64]; /* of the flow hash (struct sl_hash_key) */
	/* line 2: written by the worker */
	SL_ALIGNED uint32_t active;
	uint32_t embryonic;
	uint32_t free_head; /* entry + 1, 0 none; link in xlat */
	uint32_t fresh;     /* entries below were used at least once */
	uint32_t xlat_used;
	uint32_t xlat_free_head; /* record + 1, 0 none; link in flow */
	uint32_t xlat_fresh;
	uint32_t sweep_at;
	uint32_t clock_q; /* the worker's time, in quarter seconds, when it last swept */
	uint32_t pairs;   /* of active: halves of pairs */
	uint32_t zero[6];
	/* then the buckets */
};
static_assert(sizeof(struct sl_flow_table) == 192, "three lines");

#endif

/* pkt — what a worker knows about one packet of the burst it works on.
 *
 * Owner:   the worker's burst array (L1-hot, reused each turn); never outlives the turn.
 * Buffer:  `buf` is the driver's handle (an mbuf, or the simulator's frame); `data` its first byte.
 *          Only struct sl_io's functions know what is behind it.
 * Units:   offsets and lengths in bytes from `data`.
 */
#ifndef SLUICE_PKT_H
#define SLUICE_PKT_H

#include "sluice/addr.h"
#include "sluice/drop.h"

enum sl_verdict {
	SL_VERDICT_NONE = 0, /* not decided yet */
	SL_VERDICT_FORWARD,  /* leaves by port_out after rewriting */
	SL_VERDICT_REPLY,    /* turned round: ARP, ND or echo answer, leaves by port_out */
	SL_VERDICT_CONSUMED, /* taken by the gateway (neighbour messages); buffer is free again */
	SL_VERDICT_HELD,     /* waits for its next hop's address */
	SL_VERDICT_HANDOFF,  /* given to the worker that owns it */
	SL_VERDICT_DROP,     /* `drop` says why */
	SL_VERDICT_KERNEL,   /* to the kernel, by the port's exception path */
};

/* Why this endpoint (explain). */
enum sl_why {
	SL_WHY_NONE = 0,
	SL_WHY_FLOW,        /* the flow table holds the flow */
	SL_WHY_REPLY,       /* reply half of a nat flow */
	SL_WHY_MAGLEV,      /* Maglev table, by tuple */
	SL_WHY_SOURCE,      /* Maglev table, by client address */
	SL_WHY_ROUND_ROBIN, /* next in the schedule */
	SL_WHY_WALK,  /* every salt met an endpoint that admits nothing: endpoint list walked */
	SL_WHY_LEAST, /* fewest flows, or requests, for its weight; policy ewma: the shortest wait */
	SL_WHY_RING,  /* next point of the ring, by hash */
	SL_WHY_RANDOM, /* drawn by weight */
};

/* parse results */
enum {
	SL_PKT_V4 = 1 << 0,
	SL_PKT_V6 = 1 << 1,
	SL_PKT_ARP = 1 << 2,
	SL_PKT_TCP = 1 << 3,
	SL_PKT_UDP = 1 << 4,
	SL_PKT_ICMP = 1 << 5,        /* either family's */
	SL_PKT_ND = 1 << 6,          /* ICMPv6 133–137 */
	SL_PKT_IP_CSUM_OK = 1 << 7,  /* set by the driver: do not verify again */
	SL_PKT_L4_CSUM_BAD = 1 << 8, /* set by the driver */
	SL_PKT_DRY = 1 << 9,         /* explain: nothing is inserted, counted or sent */
	SL_PKT_OWNED = 1 << 10,      /* came over a hand-off ring: the hash was checked */
	SL_PKT_BCAST = 1 << 11,      /* link-layer group address */
	SL_PKT_FRAG = 1 << 12,       /* fragment: frag_off, frag_more, frag_id are set */
	SL_PKT_FRAG_LATER =
		1 << 13, /* … and not the first: no L4 header; ports are 0 until the tracker
				      * (frag.h) has put in those of the first */
	SL_PKT_ICMP_ERR =
		1 << 14, /* ICMP error about a flow: tuple is that flow's key (icmp_error.h) */
	SL_PKT_TRACKED = 1 << 15, /* fragment whose tuple has its datagram's ports (frag.h) */
};

/* tcp_flags, as on the wire */
enum {
	SL_TCP_FIN = 1,
	SL_TCP_SYN = 2,
	SL_TCP_RST = 4,
	SL_TCP_PSH = 8,
	SL_TCP_ACK = 16,
	SL_TCP_URG = 32,
};

struct sl_pkt {
	/* line 0 */
	uint8_t *data;
	void *buf;
	uint16_t len; /* bytes of the frame, one linear segment */
	uint16_t port_in;
	uint16_t port_out;
	uint16_t flags; /* SL_PKT_* */
	uint8_t l3_off;
	uint8_t l4_off;    /* from data: Ethernet + IP header + extension headers, < 256 */
	uint8_t tcp_flags; /* of the TCP header; 0 otherwise */
	uint8_t verdict;   /* enum sl_verdict */
	uint8_t drop;      /* enum sl_drop */
	uint8_t why;       /* enum sl_why */
	uint8_t tries;
	uint8_t bucket; /* Toeplitz bucket when known */
	uint32_t flow;  /* entry of the flow table, or SL_FLOW_NONE */
	uint32_t endpoint_slot;
	uint64_t hash;     /* keyed hash of the tuple (flow table) */
	uint32_t listener; /* index into the view's listeners; UINT32_MAX none */
	uint32_t service;  /* index into the view's services; UINT32_MAX none */
	uint32_t neigh;    /* entry of the neighbour table, or SL_NEIGH_NONE */
	uint16_t
		frag_off; /* bytes of the datagram's payload before this fragment's, a multiple of 8 */
	uint8_t grown; /* bytes by which encapsulation moved `data` before the buffer's first byte */
	uint8_t frag_more; /* 1: more fragments follow */
	/* line 1 */
	struct sl_tuple tuple;
	uint32_t endpoint_incarnation;
	uint32_t service_slot;
	uint32_t l4_len;  /* bytes from l4_off to the end of the IP datagram */
	uint32_t frag_id; /* IPv4: 16 bits; wire order */
	uint32_t stream;  /* handle of the TCP stack (dataplane/tcp/tcp.h), or UINT32_MAX */
	uint8_t csum_ok;  /* 1: the port verified the TCP or UDP checksum */
	uint8_t level;    /* of the service, when an endpoint was chosen */
	uint8_t panic;    /* 1: that level ignored health */
	uint8_t zero;
};
static_assert(sizeof(struct sl_pkt) == 128, "two lines");

#endif

/* script — a command file in the language of Pktgen-DPDK: text → what each port sends, and when.
 *
 * Walk:    first step of sluice-pktgen; frame.h makes packets of the result.
 * Threads: [any]. Pure: no EAL, no clock, no globals.
 * Limits:  the commands of scripts/pktgen/README.md.  Anything else is an error with file and line; commands
 *          that only touch Pktgen-DPDK's screen are noted and skipped.
 * Directives: comment lines "# sluice: …" that Pktgen-DPDK passes over say what its language has no words for:
 *          fragments, IPv6 extension headers, IMIX genomes.  A wrong one is an error like any other line.
 * Not here: values are never rounded or clamped where Pktgen-DPDK would; such a value is an error, so that
 *          a file that passes means the same in both programs.
 */
#ifndef SL_PKTGEN_SCRIPT_H
#define SL_PKTGEN_SCRIPT_H

#include "sluice/addr.h"
#include "sluice/diag.h"

#define SL_SCRIPT_PORTS 8
#define SL_SCRIPT_SEQ 16
#define SL_SCRIPT_SIZE_MIN 64 /* sizes count the 4 bytes of the frame check sequence */
#define SL_SCRIPT_SIZE_MIN_V6 78
#define SL_SCRIPT_SIZE_MAX 1518
#define SL_SCRIPT_FCS 4
#define SL_SCRIPT_PIECES 64 /* fragments of one datagram */
#define SL_SCRIPT_EXTS 8
#define SL_SCRIPT_EXT_MAX 256 /* bytes of one extension header */
#define SL_SCRIPT_IMIX 64

/* What varies in range mode.  All spans step together, once a packet; past max it goes on at min. */
enum sl_script_field {
	SL_SPAN_DST_MAC,
	SL_SPAN_SRC_MAC,
	SL_SPAN_DST_IP, /* IPv4 host order; IPv6: the low 64 bits */
	SL_SPAN_SRC_IP,
	SL_SPAN_DST_PORT,
	SL_SPAN_SRC_PORT,
	SL_SPAN_TTL,
	SL_SPAN_TOS,
	SL_SPAN_SIZE,
	SL_SPAN_SEQ,
	SL_SPAN_ACK,
	SL_SPAN_VLAN,
	SL_SPAN_CNT
};

struct sl_script_span {
	uint64_t start, min, max, inc;
};

struct sl_script_packet {
	struct sl_addr src, dst;
	uint64_t src_mac, dst_mac; /* 48 bits, first byte on the wire highest */
	uint32_t seq, ack;
	uint16_t sport, dport; /* host order */
	uint16_t size;         /* with FCS and tags */
	uint16_t vlan;         /* sent where the port's tags say so */
	uint8_t proto;         /* SL_IPPROTO_TCP or SL_IPPROTO_UDP */
	uint8_t ttl, tos, tcp_flags;
	bool v6;
};

enum sl_script_tags { SL_TAGS_NONE, SL_TAGS_VLAN, SL_TAGS_QINQ };
enum sl_script_order { SL_ORDER_FORWARD, SL_ORDER_REVERSE, SL_ORDER_RANDOM };

struct sl_script_ext {
	uint8_t proto;  /* SL_EXT_… */
	uint16_t bytes; /* a multiple of 8 */
};
enum { SL_EXT_HOP = 0, SL_EXT_DST = 60, SL_EXT_FRAGMENT = 44 };

enum sl_script_mode { SL_SCRIPT_SINGLE, SL_SCRIPT_RANGE, SL_SCRIPT_SEQUENCE };

struct sl_script_port {
	enum sl_script_mode mode;
	bool used;      /* some command named this port */
	bool zero_fill; /* payload of zeros instead of letters */
	unsigned seq_cnt;
	uint64_t count; /* packets to send, 0: until stopped */
	double rate;    /* percent of the line rate, (0, 100] */
	unsigned burst; /* [1, 256] */
	enum sl_script_tags tags;
	uint16_t qinq[2]; /* outer, inner */
	/* directives */
	unsigned piece_cnt; /* fragments of each datagram; below 2: whole */
	enum sl_script_order order;
	uint64_t seed; /* of the random order */
	unsigned
		datagram_bytes; /* TCP or UDP with its header, when in fragments; 0: as the size says */
	unsigned ext_cnt;       /* of IPv6 packets, in this order */
	unsigned imix_cnt;      /* sizes in turn, in place of that of the single or range packet */
	struct sl_script_ext ext[SL_SCRIPT_EXTS];
	uint16_t imix[SL_SCRIPT_IMIX];
	struct sl_script_packet single;
	struct sl_script_packet seq[SL_SCRIPT_SEQ];
	struct sl_script_packet range; /* what the spans leave alone; addresses: the high bits */
	struct sl_script_span span[SL_SPAN_CNT];
};

enum sl_script_do { SL_SCRIPT_START, SL_SCRIPT_STOP, SL_SCRIPT_DELAY };

struct sl_script_step {
	enum sl_script_do what;
	uint32_t ports; /* bit per port: START, STOP */
	uint32_t ms;    /* DELAY */
	int line;
	struct sl_script_port *port; /* [SL_SCRIPT_PORTS]: as configured when the step begins */
};

struct sl_script {
	struct sl_script_port port[SL_SCRIPT_PORTS]; /* as the whole file leaves them */
	struct sl_script_step *steps;
	unsigned step_cnt;
};

/* sl_script_parse reads text (len bytes); file names it in messages.  0 with *ret_script to be freed
 * by sl_script_free; -EINVAL with every problem in diag; -ENOMEM.  notes may be NULL: commands
 * skipped go there. */
int sl_script_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
		    struct sl_diag *notes, struct sl_script **ret_script);
void sl_script_free(struct sl_script *s);

/* sl_script_first gives the configuration port begins to send with: that of its first START, or that at
 * the end of the file. */
const struct sl_script_port *sl_script_first(const struct sl_script *s, unsigned port);

/* sl_script_set_flows makes the port send exactly n distinct flows by its source addresses: range mode and
 * single mode become a range; a sequence is refused.  n in [1, 2^24] (IPv4), [1, 2^32] (IPv6).
 * 0 or -EINVAL with *ret_why. */
int sl_script_set_flows(struct sl_script_port *p, uint64_t n, const char **ret_why);

/* Where a packet's bytes go.  A datagram in fragments repeats link, ip, before and (IPv6) the fragment header in
 * each; after and l4 are cut into pieces of piece bytes, the last shorter. */
struct sl_script_shape {
	unsigned link;          /* Ethernet and tags */
	unsigned ip;            /* fixed header */
	unsigned before, after; /* extension headers: in each fragment; in the part that is cut */
	unsigned
		before_cnt; /* that many of the port's ext are before; with fragments the next may be theirs */
	unsigned l4; /* with its header */
	unsigned l4_head;
	unsigned piece; /* 0: not in fragments */
};

/* sl_script_shape: 0, or -EINVAL with *ret_why (static) when the packet cannot be made so. */
int sl_script_shape(const struct sl_script_port *p, const struct sl_script_packet *k,
		    struct sl_script_shape *ret_shape, const char **ret_why);

#endif

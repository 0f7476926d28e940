/* bed — a rig with a table and resolved neighbours, and what it sent: the ground that packet tests stand on.
 *
 * One at a time, in the global `bed`.  Ports: 0 front (clients, router 10.0.1.254 / fd00:1::fe), 1 back. */
#ifndef SL_TESTS_BED_H
#define SL_TESTS_BED_H

#include "tests/sim/frames.h"
#include "tests/sim/rig.h"
#include "tests/sim/table.h"

#define BED_FRONT 0
#define BED_BACK 1
#define BED_SENT 4096
#define BED_S 1000000000ull

struct bed_frame {
	unsigned port, len;
	uint8_t bytes[RIG_FRAME];
};

struct bed {
	struct rig *rig;
	struct rig_conf conf;
	struct table table;
	struct table_view view;
	uint64_t now;
	struct bed_frame sent[BED_SENT]; /* since bed_clear */
	unsigned sent_cnt;
	unsigned asked_cnt;   /* requests of ARP and ND; these are not among sent[] */
	struct sl_addr asked; /* by the last */
};
extern struct bed bed;

/* The MAC of every neighbour follows from its address: 02:77: and the last four bytes. */
void bed_mac(const struct sl_addr *addr, uint8_t mac[6]);

/* Four services (nat4, nat6, dsr4, dsr6), each with endpoints a and b at 10.0.2.11, .12 or fd00:2::11, ::12, port
 * 8080 (dsr: 80); listeners on 192.0.2.1, 2001:db8::1, 192.0.2.2, 2001:db8::2, port 80, both protocols; and what `more`
 * (services) and `listeners` add, each starting with a comma.  The text is the caller's to free. */
char *bed_table(const char *more, const char *listeners);

/* text NULL: bed_table("", ""). */
void bed_start(const struct rig_conf *conf, const char *text);
void bed_stop(void); /* false assertions when buffers are missing or a table is broken */
void bed_push(const char *text);    /* the view before is released */
void bed_resolve(const char *addr); /* known to the neighbour table, on the port of its prefix */
void bed_clear(void);

/* A spec from text. */
struct frame_spec bed_packet(const char *src, unsigned sport, const char *dst, unsigned dport,
			     uint8_t proto, uint8_t tcp_flags);
/* The answer to a packet as it left. */
struct frame_spec bed_answer(const struct bed_frame *f, uint8_t tcp_flags);

/* Inject alone, or with settling: the number of frames sent. */
void bed_inject(struct frame_spec *s, unsigned port);
unsigned bed_give(struct frame_spec *s, unsigned port);

/* Turns in steps of 20 ms until `ns` have passed; routers and endpoints answer when asked for. */
void bed_wait(uint64_t ns);

/* Entries in all flow tables; whether some worker has the tuple live. */
uint32_t bed_active(void);
bool bed_has(const struct sl_tuple *t);

#endif

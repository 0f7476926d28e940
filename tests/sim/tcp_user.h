/* tcp_user — who writes and reads at an end of a connection: how much at once, how fast, in what order the ends close.
 *
 * Content is a function of seed and place (tcp_link.h); the user checks each byte it reads.  Where it stands on is a port:
 * one of our streams (tcp_node) or a model.
 */
#ifndef SL_TESTS_TCP_USER_H
#define SL_TESTS_TCP_USER_H

#include "tests/sim/tcp_link.h"

#define USER_NEVER UINT64_MAX

/* How the end is reached. */
enum user_close {
	USER_SHUT,       /* shutdown when all is written */
	USER_SHUT_LAST,  /* … and the peer's end has come */
	USER_CLOSE,      /* lets go when all is written and read */
	USER_CLOSE_LAST, /* lets go at the peer's end */
};

struct user_conf {
	uint64_t seed, seed_out, seed_in;
	uint64_t out_bytes, in_bytes;       /* to write; expected */
	uint32_t write_min, write_max;      /* at once */
	uint32_t read_max;                  /* at once; 0: what is there */
	uint64_t read_gap_ns, write_gap_ns; /* pause after each */
	uint64_t stall_at, stall_ns;        /* reads nothing for so long from this byte on */
	uint64_t abort_out, abort_in; /* gives up having written, or read, so many; or never */
	enum user_close close;
};

struct user_port {
	uint32_t (*room)(void *ctx);
	uint32_t (*readable)(void *ctx);
	bool (*eof)(void *ctx);
	/* produce writes up to n of the user's bytes (user_fill), consume reads up to n (user_check); how many */
	uint32_t (*produce)(void *ctx, uint32_t n);
	uint32_t (*consume)(void *ctx, uint32_t n);
	void (*want_room)(void *ctx, uint32_t n);
	void (*shutdown)(void *ctx);
	void (*close)(void *ctx);
	void (*abort)(void *ctx);
	/* call user_poke at this time */
	void (*wake)(void *ctx, uint64_t at_ns);
};

struct tcp_user {
	struct user_conf conf;
	const struct user_port *port;
	void *ctx;
	const struct tcp_world *w;
	struct tcp_dice dice;
	uint64_t written, read, read_ns, write_ns;
	uint64_t opened_ns, all_ns;   /* all_ns: everything expected has been read */
	bool opened, shut, eof, gone; /* gone: nothing may be called any more */
	bool aborted;                 /* by this user */
	char wrong[120];
};

void user_init(struct tcp_user *u, const struct tcp_world *w, const struct user_conf *conf,
	       const struct user_port *port, void *ctx);
/* user_poke does what is to be done now. */
void user_poke(struct tcp_user *u);
void user_fill(const struct tcp_user *u, uint64_t ahead, uint8_t *to, uint32_t n);
void user_check(struct tcp_user *u, const uint8_t *bytes, uint32_t n);

#endif

/* double — a test double of the dataplane: the control protocol (include/sluice/ctl.h) and nothing behind it.
 *
 * Runs on the test's own loop.  It checks what it is given as the real one would have to (four seals, SHA-256,
 * sizes), keeps objects by id, and answers as the switches below say.
 */
#ifndef SL_TESTS_MGMT_DOUBLE_H
#define SL_TESTS_MGMT_DOUBLE_H

#include "sluice/ctl.h"
#include "sluice/secrets.h"
#include "sluice/state.h"
#include "sluice/stats.h"

#include <uv.h>

#define DOUBLE_OBJECTS                                                                             \
	8192 /* places of its hash; past 3/4 it forgets those that are not on offer */
#define DOUBLE_REFS 1100
#define DOUBLE_SECRETS 512

struct double_dp {
	uv_loop_t *loop;
	uv_poll_t *listener, *peer; /* NULL: closed */
	int listen_fd, peer_fd;
	char path[108];
	/* what it is */
	uint64_t boot_id;
	uint64_t generation;
	struct sl_obj_id root;
	int state_fd, stats_fd;
	struct sl_state_seg *state;
	void *stats;
	size_t state_bytes, stats_bytes;
	/* switches */
	const char *refuse;   /* answer offers with this reason */
	unsigned refuse_cnt;  /* only this many; 0: all */
	bool supersede;       /* answer offers with a verdict that another replaced them */
	bool silent;          /* take offers, answer nothing */
	bool leave_on_object; /* close when the first object comes */
	bool mute;            /* no WELCOME */
	uint32_t wrong_ref;   /* ask for this ref; 0: right ones */
	const char *bye;      /* answer HELLO with it */
	const char *no_explain;
	int region_fd; /* what KEEP carries; -1: has no flows */
	uint64_t region;
	const char *taken;  /* answer to PARKED, TAKEN_PLACE with 5, 6 and 7 flows; NULL: none */
	uint32_t port_past; /* answers to PORTS are about ports so many later than asked */
	bool ports_silent;  /* no answer to them */
	int upgraded;       /* answer to UPGRADE: errno; -1: none */
	struct sl_ctl_explained explained; /* answer to EXPLAIN, head apart */
	struct sl_ctl_explained_http
		explained_http;            /* answer to EXPLAIN_HTTP, head and lengths apart */
	const char *http_text, *http_path; /* of it; NULL: "" */
	bool mixed_up;                     /* answer EXPLAIN_HTTP with EXPLAINED */
	int secret_error;                  /* answer to SECRET and FORGET: errno */
	bool secret_held;                  /* with secret_error: keep them all the same */
	bool secret_silent;                /* no answer to them */
	bool leave_on_secret;              /* close when the next pair or bundle comes */
	bool no_tls;                       /* answer SECRET with ENOTSUP */
	/* what it saw */
	unsigned hellos, offers, objects, bad; /* bad: objects that fail a check */
	struct sl_ctl_explain asked;
	struct sl_ctl_explain_http asked_http;
	char asked_head[SL_CTL_REQUEST_MAX + 1];
	unsigned parks, upgrades, stops;
	unsigned offers_at_park;
	struct sl_ctl_parked parked; /* the last */
	uint8_t parked_first;        /* byte of its region */
	unsigned drained_at_offer;   /* words that said so when the last offer came */
	unsigned secrets, forgets, secrets_at_offer;
	struct double_secret {
		uint32_t kind;
		char name[SL_NAME_MAX];
		struct sl_obj_id sum; /* of its bytes */
		uint32_t parts;
	} keeps[DOUBLE_SECRETS]; /* what it holds now */
	unsigned keep_cnt;
	uint8_t last[65536]; /* the last secret */
	uint32_t last_bytes;
	/* the open offer */
	uint64_t offered;
	struct sl_obj_id offered_root;
	struct sl_img_ref refs[DOUBLE_REFS];
	unsigned ref_cnt, missing;
	struct sl_obj_id held[DOUBLE_OBJECTS]; /* all 0: free */
	unsigned held_cnt;
};

/* Starts with one worker and ports "front" and "back". */
void double_start(struct double_dp *d, uv_loop_t *loop, const char *path, uint64_t boot_id);
/* Closes and removes its socket; handles are closed by the next turns of the loop. */
void double_stop(struct double_dp *d);
/* Makes a region of a page whose bytes are `fill`, and says KEEP. */
void double_keep(struct double_dp *d, uint64_t region, uint8_t fill);
/* The secret of that name that it holds, or NULL. */
const struct double_secret *double_secret(const struct double_dp *d, const char *name);
/* Sends any bytes on the connection. */
void double_send(struct double_dp *d, const void *msg, size_t bytes);

#endif

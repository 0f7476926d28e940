/* registry_front — who connects to the registry: accepts, asks who it is, keeps time; TLS in between.
 *
 *   Unix:  accept ─ credentials ────────────────────────────────────────▶ give(fd)
 *   TLS:   accept ─ handshake, certificate ─▶ name ─ pair of sockets ────▶ give(one end);  bytes between the other end and TLS
 *
 * Whoever took fd closes it; the client is told (sl_registry_front_gone).
 * Threads: [loop].
 */
#ifndef SL_MGMT_REGISTRY_FRONT_H
#define SL_MGMT_REGISTRY_FRONT_H

#include "mgmt/registry.h"

struct sl_registry_front;
struct sl_registry_tls;

struct sl_registry_client {
	struct sl_registry_client *next, **link;
	struct sl_registry_front *front;
	struct sl_registry_who who;
	int fd; /* that was given; -1: none yet */
	bool given;
	uint64_t deadline_ms; /* of the loop; UINT64_MAX: none */
	struct sl_addr addr;  /* TLS: of the peer */
	struct sl_registry_pump *pump;
};

struct sl_registry_front_conf {
	uv_loop_t *loop;
	const struct sl_registry_conf *conf;
	const struct sl_roles *roles;
	/* fd is the callee's; c stays until sl_registry_front_gone.  false: fd was closed, and c is forgotten. */
	bool (*give)(void *ctx, struct sl_registry_client *c, int fd);
	void (*say)(void *ctx, const char *line);
	void *ctx, *say_ctx;
};

int sl_registry_front_start(const struct sl_registry_front_conf *conf, struct sl_diag *diag,
			    struct sl_registry_front **ret_front);
/* No new ones. */
void sl_registry_front_end(struct sl_registry_front *f);
/* When all that were given are gone. */
void sl_registry_front_stop(struct sl_registry_front *f);

struct sl_registry_client *sl_registry_front_find(struct sl_registry_front *f, int fd);
/* The given end of c is closed. */
void sl_registry_front_gone(struct sl_registry_client *c);

/* What c has time for now: 10 s for a request or to read an answer, 30 s for the next to come; none while it waits for us. */
void sl_registry_front_waits(struct sl_registry_client *c);
void sl_registry_front_answered(struct sl_registry_client *c);
void sl_registry_front_idle(struct sl_registry_client *c);

/* ---- TLS (registry_tls.c) ---- */

/* Files of conf: certificate, key, trust.  0 or -EINVAL with diag. */
int sl_registry_tls_create(const struct sl_registry_conf *conf, struct sl_diag *diag,
			   struct sl_registry_tls **ret_tls);
void sl_registry_tls_destroy(struct sl_registry_tls *t);
/* Reads the files anew when they have changed; looked at once a second.  What is wrong with them: diag, and the old ones go on. */
void sl_registry_tls_look(struct sl_registry_tls *t, uint64_t now_ms, struct sl_diag *diag);

struct sl_registry_pump_events {
	/* The handshake is done; name: the first URI SAN, else the first DNS SAN, "" when there is none that can be used.  The end that
	 * the pump is to be connected with, or -1: it ends. */
	int (*ready)(void *ctx, const char *name);
	/* Once, from the loop: it is closed; not after sl_registry_pump_close. */
	void (*closed)(void *ctx);
	void *ctx;
};
/* Owns fd, also when it fails. */
int sl_registry_pump_start(struct sl_registry_tls *t, uv_loop_t *loop, int fd,
			   const struct sl_registry_pump_events *ev,
			   struct sl_registry_pump **ret_pump);
void sl_registry_pump_close(struct sl_registry_pump *p);

#endif

/* probe — one connection of one health probe, from connect to its verdict.
 *
 * Walk:    health.c says when; this file does the system calls and words the result.
 * Threads: [loop], one epoll descriptor per prober.  Sockets are registered edge-triggered, once.
 * Close:   an established connection is reset, not shut down: otherwise each probe would leave a
 *          TIME_WAIT record behind for a minute (300,000 at 5,000 probes a second).
 * Not here: deadlines, counting, what a result means.
 */
#ifndef SL_MGMT_PROBE_H
#define SL_MGMT_PROBE_H

#include "mgmt/agent.h"
#include "mgmt/answer.h"
#include "mgmt/conf.h"
#include "mgmt/held.h"
#include "mgmt/probe_tls.h"

#define SL_PROBE_TEXT_MAX SL_PROBE_TLS_TEXT

enum sl_probe_result {
	SL_PROBE_GOING = 0, /* wait for the next event */
	SL_PROBE_OK,
	SL_PROBE_FAILED,
	SL_PROBE_LOCAL, /* failed for a reason on this side: says nothing about the endpoint */
};

struct sl_probe {
	int fd;       /* -1: not open */
	uint8_t step; /* of probe.c; 0: connecting */
	uint16_t sent;
	void *ssl; /* NULL: plaintext, or not there yet */
	struct sl_answer answer;
	char *line; /* of an agent, [SL_AGENT_LINE_MAX + 1]; NULL: none */
	uint16_t line_len;
	struct sl_held held; /* behind the head, where the body matters */
	uint16_t status;
};

struct sl_probe_where {
	struct sl_addr addr;
	uint16_t port; /* host order */
	const struct sl_health_conf *conf;
	const char *device;       /* interface that it leaves by; NULL: as the kernel routes */
	struct sl_probe_tls *tls; /* NULL: plaintext */
	const struct sl_held_text *held; /* of conf->body; NULL: the body does not matter */
};

/* sl_probe_open starts connecting and adds the socket to epfd with tag.  Any answer but GOING has
 * closed it again.  text gets the result in words unless it is GOING. */
enum sl_probe_result sl_probe_open(struct sl_probe *pr, const struct sl_probe_where *w, int epfd,
				   void *tag, char text[SL_PROBE_TEXT_MAX]);

/* sl_probe_event goes on after epoll reported `events`.  As above; the caller closes it. */
enum sl_probe_result sl_probe_event(struct sl_probe *pr, const struct sl_probe_where *w,
				    uint32_t events, char text[SL_PROBE_TEXT_MAX]);

/* sl_probe_timeout words what was missing when the time was up. */
void sl_probe_timeout(const struct sl_probe *pr, const struct sl_probe_where *w,
		      char text[SL_PROBE_TEXT_MAX]);

/* sl_probe_connected says whether the handshake is over: from then on this side has something to
 * do. */
static inline bool
sl_probe_connected(const struct sl_probe *pr)
{
	return pr->step != 0;
}

/* sl_probe_close is for any probe, open or not. */
void sl_probe_close(struct sl_probe *pr);

#endif

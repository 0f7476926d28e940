/* dns_channel — questions to DNS servers, by c-ares, on the loop.
 *
 * Walk:    source_dns.c asks; UDP first, TCP where an answer was cut off; the next server when one is silent, fails or refuses;
 *          the bytes of the answer go back, for dns_answer.h.
 * Time:    all servers are asked twice, the second time with twice the patience, and all of it takes timeout_ms at most.
 * Limits:  256 questions are under way at a time, further ones wait in order.
 * Threads: [loop], no blocking but for reading /etc/resolv.conf when it is made.
 */
#ifndef SL_MGMT_DNS_CHANNEL_H
#define SL_MGMT_DNS_CHANNEL_H

#include "mgmt/source.h"

struct sl_dns_channel;

/* Once for each question, perhaps from within sl_dns_channel_ask.  error: NULL, or the end of a sentence that begins with the
 * question; bytes: [len], valid during the call; NULL with error. */
typedef void sl_dns_done(void *ctx, const char *error, const uint8_t *bytes, size_t len);

/* conf: servers (none: those of /etc/resolv.conf), timeout_ms.  0, or -errno with diag. */
int sl_dns_channel_create(uv_loop_t *loop, const struct sl_source_conf *conf, struct sl_diag *diag,
			  struct sl_dns_channel **ret_channel);
/* Questions under way end with an error, from within; handles close in the loop.  Never from within `done`.  NULL taken. */
void sl_dns_channel_destroy(struct sl_dns_channel *c);

/* 0 or -ENOMEM: then done is not called. */
int sl_dns_channel_ask(struct sl_dns_channel *c, const char *name, uint16_t type, sl_dns_done *done,
		       void *ctx);

#endif
